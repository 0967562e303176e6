"""Clusters of near-duplicates from files of band keys, however large the corpus is.

In: the files that `signature_files.write_bands` made, each with the number of its first
document. Out: for each document that resembles another the smallest number in its cluster.

A task is one (band, prefix of the key): it reads its row group of every file, finds the keys
that occur more than once, and writes the edges from the first document with a key to the
others. Its memory is what `prefixes_for` was given, whatever the size of the corpus; a bucket
is never in two tasks, so the edges do not depend on how many tasks there are. Edges are
written whole or not at all, and what is there is not made again. Union-find over the edges
needs four bytes a document and gives the same clusters in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit

from dsvl_data import storage
from dsvl_data.curate.minhash import Signatures
from dsvl_data.curate.signature_files import (
    Bands,
    Keys,
    metadata_of,
    read_band,
    take_signatures,
)
from dsvl_data.curate.union_find import Numbers, UnionFind

Edges = tuple[Numbers, Numbers]

_TASK_BYTES = 48  # memory of a task for each of its documents
_CHUNK = 2048  # keys whose table stays in the first cache
_LEADERS = 64
# Documents whose signatures are in memory at once: 256 MB of them, read in the order of the files.
_VERIFIED_AT_ONCE = 1 << 19
_FINGERPRINT = "fingerprint"


@dataclass(frozen=True, slots=True)
class BandFile:
    """A file of bands: the number of its first document, and its signatures where verified."""

    path: str
    first: int
    signatures: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """One (band, prefix) over all files: reads `group` of each, writes edges to `out`.

    With `similarity`, an edge joins only documents whose signatures agree in that share of
    values at least; 0 joins all that share a key. Edges already at `out` with the same
    `fingerprint` stand.
    """

    files: tuple[BandFile, ...]
    group: int
    out: str
    fingerprint: str
    similarity: float = 0.0


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
    similarity: float = 0.0,
) -> Iterator[Task]:
    """Yield the tasks that find all edges among the documents of `files`, into folder `out`."""
    for group in range(bands.bands * prefixes):
        path = storage.join(out, f"edges-{group:06d}.parquet")
        yield Task(tuple(files), group, path, fingerprint, similarity)


def run_task(task: Task) -> str:
    """Find and write a task's edges unless they are there; returns their path."""
    if metadata_of(task.out).get(_FINGERPRINT) != task.fingerprint:
        left, right = find_edges(task)
        table = pa.table({"left": left, "right": right})
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata({_FINGERPRINT: task.fingerprint}), sink)
        storage.atomic_write(task.out, sink.getvalue())
    return task.out


def find_edges(task: Task) -> Edges:
    """Return a task's edges, from a smaller to a larger number, in ascending order."""
    found = [read_band(file.path, task.group) for file in task.files]
    total = sum(len(rows) for _, rows in found)
    keys, numbers = np.empty(total, np.uint64), np.empty(total, np.int64)
    at = 0
    # By number, so that the first document of a bucket is its smallest.
    for file, (some, rows) in sorted(
        zip(task.files, found, strict=True), key=lambda pair: pair[0].first
    ):
        keys[at : at + len(rows)] = some
        numbers[at : at + len(rows)] = rows
        numbers[at : at + len(rows)] += file.first
        at += len(rows)
    del found
    left, right = stars(keys, numbers)
    order = np.lexsort((right, left))
    left, right = left[order], right[order]
    if task.similarity > 0 and len(left):
        return _verified(left, right, task.files, task.similarity)
    return left, right


def stars(keys: Keys, numbers: Numbers) -> Edges:
    """Return an edge from the first document with a key to each other one with that key.

    The order of the edges is not defined.
    """
    if not len(keys):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    bits = max(0, (len(keys) // _CHUNK).bit_length())
    return _stars(keys, numbers, bits, _MULTIPLIER)


def find_clusters(
    documents: int,
    jobs: Iterable[Task],
    mapping: Callable[[Callable[[Task], str], Iterable[Task]], Iterable[str]] = map,
) -> tuple[Numbers, Numbers]:
    """Run the tasks and join their edges.

    `mapping(run_task, jobs)` runs the tasks, anywhere and in any order. Returns the documents in
    clusters of two and more, ascending, and for each the smallest number in its cluster.
    """
    union = UnionFind(documents)
    for path in mapping(run_task, jobs):
        union.join(*read_edges(path))
    return union.components()


def read_edges(path: str) -> Edges:
    """Return the edges that a task has written."""
    with storage.open_input(path) as source:
        table = pq.read_table(source)
    return table["left"].to_numpy(), table["right"].to_numpy()


def _verified(left: Numbers, right: Numbers, files: Sequence[BandFile], similarity: float) -> Edges:
    """Keep what is similar: each document joins the first leader of its bucket that it resembles.

    A document that resembles none becomes a leader itself. A bucket has 64 leaders at most;
    documents that resemble none of these stay alone.
    """
    # Each bucket is its centre followed by the others.
    centres, begins = np.unique(left, return_index=True)
    members = np.insert(right, begins, centres)
    bucket = np.insert(left, begins, centres)
    state: Any = None
    joined: list[Edges] = []
    for start in range(0, len(members), _VERIFIED_AT_ONCE):
        part = slice(start, start + _VERIFIED_AT_ONCE)
        rows, places = _signatures_of(members[part], files)
        if state is None:
            state = (np.full(2, -1, np.int64), np.zeros(_LEADERS, np.int64),
                     np.zeros((_LEADERS, rows.shape[1]), rows.dtype))  # fmt: skip
        needed = int(np.ceil(similarity * rows.shape[1] - 1e-9))
        to = _follow(bucket[part], members[part], rows, places, needed, *state)
        found = np.flatnonzero(to >= 0)
        joined.append((to[found], members[part][found]))
    return np.concatenate([a for a, _ in joined]), np.concatenate([b for _, b in joined])


def _signatures_of(documents: Numbers, files: Sequence[BandFile]) -> tuple[Signatures, Numbers]:
    """Return the signatures of documents in ascending order, and the place of each among them."""
    ordered = sorted(files, key=lambda file: file.first)
    firsts = np.array([file.first for file in ordered])
    wanted, places = np.unique(documents, return_inverse=True)
    where = np.searchsorted(firsts, wanted, side="right") - 1
    matrix: Signatures | None = None
    for number in np.unique(where):
        here = np.flatnonzero(where == number)
        rows = take_signatures(ordered[number].signatures, wanted[here] - firsts[number])
        if matrix is None:
            matrix = np.empty((len(wanted), rows.shape[1]), rows.dtype)
        matrix[here] = rows
    assert matrix is not None
    return matrix, places.astype(np.int64)


_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@njit(nogil=True, cache=True)
def _stars(keys: Keys, numbers: Numbers, bits: int, multiplier: np.uint64) -> Edges:
    """Part the keys by a hash into chunks that fit the cache; a hash table for each chunk."""
    n = keys.shape[0]
    chunks = 1 << bits
    shift = np.uint64(64 - bits)
    ends = np.zeros(chunks + 1, np.int64)
    for i in range(n):
        # A shift by 64 is undefined: one chunk has no bits.
        chunk = np.int64(np.uint64(keys[i] * multiplier) >> shift) if bits else 0
        ends[chunk + 1] += 1
    longest = 0
    for chunk in range(chunks):
        longest = max(longest, ends[chunk + 1])
        ends[chunk + 1] += ends[chunk]
    parted, whose = np.empty(n, np.uint64), np.empty(n, np.int64)
    place = ends[:-1].copy()
    for i in range(n):
        chunk = np.int64(np.uint64(keys[i] * multiplier) >> shift) if bits else 0
        parted[place[chunk]] = keys[i]
        whose[place[chunk]] = numbers[i]
        place[chunk] += 1
    most = 16
    while most < 2 * longest:
        most *= 2
    table = np.empty(most, np.int64)
    first = np.empty(n, np.int64)
    edges = 0
    for chunk in range(chunks):
        start, end = ends[chunk], ends[chunk + 1]
        size = 16
        while size < 2 * (end - start):
            size *= 2
        table[:size] = -1
        for i in range(start, end):
            key = parted[i]
            slot = np.int64(key & np.uint64(size - 1))
            while table[slot] >= 0 and parted[table[slot]] != key:
                slot = (slot + 1) & (size - 1)
            first[i] = table[slot]
            if table[slot] < 0:
                table[slot] = i
            else:
                edges += 1
    left, right = np.empty(edges, np.int64), np.empty(edges, np.int64)
    at = 0
    for i in range(n):
        if first[i] >= 0:
            left[at], right[at] = whose[first[i]], whose[i]
            at += 1
    return left, right


@njit(nogil=True, cache=True)
def _follow(
    bucket: Numbers,
    members: Numbers,
    rows: Signatures,
    places: Numbers,
    needed: int,
    current: Numbers,
    leaders: Numbers,
    leading: Signatures,
) -> Numbers:
    """Return for each member the leader that it joins, -1 for none.

    `current` holds the bucket in hand and how many of the `leaders` are its; all three go on
    from call to call.
    """
    to = np.full(members.shape[0], -1, np.int64)
    for i in range(members.shape[0]):
        if bucket[i] != current[0]:
            current[0] = bucket[i]
            current[1] = 0
        for leader in range(current[1]):
            equal = 0
            for k in range(rows.shape[1]):
                equal += rows[places[i], k] == leading[leader, k]
            if equal >= needed:
                to[i] = leaders[leader]
                break
        if to[i] < 0 and current[1] < _LEADERS:
            leaders[current[1]] = members[i]
            leading[current[1]] = rows[places[i]]
            current[1] += 1
    return to
