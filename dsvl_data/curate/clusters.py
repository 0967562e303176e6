"""Clusters of near-duplicates from files of band keys, however large the corpus is.

In: the files that `signature_files.write_bands` made, each with the number of its first
document. Out: for each document that shares a band with another the smallest number in its
cluster; `verify.py` then asks which of them are as similar as they have to be.

A task is one (band, prefix of the key): it reads its batch of every file, finds the keys that
occur more than once, and writes the edges from the first document with a key to the others. Its
memory is what `prefixes_for` was given, whatever the size of the corpus; a bucket is never in two
tasks, so the edges do not depend on how many tasks there are. Edges are written whole or not at
all, and what is there is not made again. Union-find over the edges needs four bytes a document
and gives the same clusters in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numba import njit

from dsvl_data import storage
from dsvl_data.curate.signature_files import (
    Bands,
    Keys,
    metadata_of,
    read_band,
    read_batch,
    write_batches,
)
from dsvl_data.curate.union_find import Numbers, UnionFind

Edges = tuple[Numbers, Numbers]
#: Runs a function over jobs, anywhere and in any order.
Mapping = Callable[[Callable[..., str], Iterable["Task"]], Iterable[str]]

FINGERPRINT = "fingerprint"
EDGES = pa.schema(
    [pa.field("left", pa.int64(), nullable=False), pa.field("right", pa.int64(), nullable=False)]
)

_TASK_BYTES = 64  # memory of a task for each of its documents
_CHUNK = 2048  # keys whose table stays in the first cache


@dataclass(frozen=True, slots=True)
class BandFile:
    """A file of bands, and the number of its first document."""

    path: str
    first: int


@dataclass(frozen=True, slots=True)
class Task:
    """One (band, prefix) over all files: reads batch `group` of each, writes edges to `out`.

    Edges already at `out` with the same `fingerprint` stand.
    """

    files: tuple[BandFile, ...]
    group: int
    out: str
    fingerprint: str


def prefixes_for(documents: int, memory: int) -> int:
    """Return into how many prefixes a band is cut so that a task stays within `memory` bytes."""
    prefixes = 1
    while prefixes < 1 << 16 and documents * _TASK_BYTES > memory * prefixes:
        prefixes *= 2
    return prefixes


def tasks(
    files: Sequence[BandFile],
    bands: Bands,
    prefixes: int,
    out: str,
    fingerprint: str,
) -> Iterator[Task]:
    """Yield the tasks that find all edges among the documents of `files`, into folder `out`."""
    # By number, so that the first document of a bucket is its smallest.
    ordered = tuple(sorted(files, key=lambda file: file.first))
    for group in range(bands.bands * prefixes):
        path = storage.join(out, f"edges-{group:06d}.arrow")
        yield Task(ordered, group, path, fingerprint)


def run_task(task: Task) -> str:
    """Find and write a task's edges unless they are there; returns their path."""
    if metadata_of(task.out).get(FINGERPRINT) != task.fingerprint:
        write_batches(task.out, EDGES, [find_edges(task)], {FINGERPRINT: task.fingerprint})
    return task.out


def find_edges(task: Task) -> Edges:
    """Return a task's edges, from a smaller to a larger number, by the smaller one."""
    found = [read_band(file.path, task.group) for file in task.files]
    total = sum(len(rows) for _, rows in found)
    keys, numbers = np.empty(total, np.uint64), np.empty(total, np.int64)
    at = 0
    for file, (some, rows) in zip(task.files, found, strict=True):
        keys[at : at + len(rows)] = some
        np.add(rows, file.first, out=numbers[at : at + len(rows)], casting="unsafe")
        at += len(rows)
    del found
    left, right = stars(keys, numbers)
    order = np.argsort(left, kind="stable")
    return left[order], right[order]


def stars(keys: Keys, numbers: Numbers) -> Edges:
    """Return an edge from the first document with a key to each other one with that key.

    The edges of one key stand in the order of their documents.
    """
    if not len(keys):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    bits = max(0, (len(keys) // _CHUNK).bit_length())
    left, right = _stars(keys, bits, _MULTIPLIER)
    return numbers[left], numbers[right]


def find_clusters(
    documents: int,
    jobs: Iterable[Task],
    mapping: Mapping = map,
) -> UnionFind:
    """Run the tasks and join their edges.

    `mapping(run_task, jobs)` runs the tasks, anywhere and in any order.
    """
    union = UnionFind(documents)
    for path in mapping(run_task, jobs):
        union.join(*read_edges(path))
    return union


def read_edges(path: str, batch: int = 0) -> Edges:
    """Return the edges that a task has written."""
    edges = read_batch(path, batch)
    return edges["left"].to_numpy(), edges["right"].to_numpy()


_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@njit(nogil=True, cache=True)
def _stars(keys: Keys, bits: int, multiplier: np.uint64) -> Edges:
    """Part the keys by a hash into chunks that fit the cache; a hash table for each chunk.

    Returns positions among the keys.
    """
    n = keys.shape[0]
    chunks = 1 << bits
    shift = np.uint64(64 - bits)
    ends = np.zeros(chunks + 1, np.int64)
    # Unsigned: a signed index might count from the end, which costs as much as all the rest.
    for i in range(n):
        # A shift by 64 is undefined: one chunk has no bits.
        chunk = np.uintp(np.uint64(keys[i] * multiplier) >> shift) if bits else np.uintp(0)
        ends[chunk + np.uintp(1)] += 1
    longest = 0
    for i in range(chunks):
        longest = max(longest, ends[i + 1])
        ends[i + 1] += ends[i]
    parted, whose = np.empty(n, np.uint64), np.empty(n, np.uint32)
    place = ends[:-1].copy()
    for i in range(n):
        chunk = np.uintp(np.uint64(keys[i] * multiplier) >> shift) if bits else np.uintp(0)
        at = np.uintp(place[chunk])
        parted[at] = keys[i]
        whose[at] = i
        place[chunk] += 1
    most = 16
    while most < 2 * longest:
        most *= 2
    table = np.empty(most, np.int32)
    left, right = np.empty(n, np.int64), np.empty(n, np.int64)  # of which little is touched
    edges = 0
    for number in range(chunks):
        some, mine = parted[ends[number] : ends[number + 1]], whose[ends[number] : ends[number + 1]]
        size = 16
        while size < 2 * some.shape[0]:
            size *= 2
        mask = np.uint64(size - 1)
        table[:size] = -1
        for i in range(some.shape[0]):
            slot = np.uintp(some[i] & mask)
            while table[slot] >= 0 and some[np.uintp(table[slot])] != some[i]:
                slot = np.uintp((slot + np.uintp(1)) & mask)
            if table[slot] < 0:
                table[slot] = i
            else:
                left[edges], right[edges] = mine[np.uintp(table[slot])], mine[i]
                edges += 1
    return left[:edges].copy(), right[:edges].copy()
