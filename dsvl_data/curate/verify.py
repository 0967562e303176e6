"""Which documents that share a band are as similar as they have to be.

In: the edges of `clusters.py`, joined, and the signatures of all parts. Out: for each document
that resembles another the smallest number in its cluster.

Banding finds candidates; their signatures lie scattered over the corpus. A task that looked up its
own would read all of them, and there are hundreds of tasks. So signatures and edges go the same
way once: the components that the edges make are dealt into shares by a hash, each run of parts
writes the signatures of its members by share, each file of edges is written again by share, and a
task that has both for its share needs nothing else. What is joined depends on buckets alone, and
no bucket is in two shares: clusters do not depend on how many there are.

Within a bucket each document joins the first leader that it resembles, and becomes one itself
when it resembles none; a bucket has 64 leaders at most, and who resembles none of these stays
alone. Clusters are components: of two of their documents each resembles some third, no more.

Memory: that of a share, which is `memory` bytes, or its largest component where that is larger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.curate.clusters import EDGES, FINGERPRINT, Edges, read_edges
from dsvl_data.curate.minhash import Signatures
from dsvl_data.curate.signature_files import (
    matrix_of,
    metadata_of,
    read_batch,
    read_signatures,
    write_batches,
)
from dsvl_data.curate.union_find import Numbers, UnionFind

_LEADERS = 64
_MOST_SHARES = 1 << 15
_SHUFFLE = np.uint64(0x9E3779B97F4A7C15)
_VALUE_BYTES = "value_bytes"


@dataclass(frozen=True, slots=True)
class Signed:
    """Signatures of a run of parts: their files, how many each holds, and the first's number."""

    paths: tuple[str, ...]
    rows: tuple[int, ...]
    first: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where files go on the way, what they are made from, and how large a signature is."""

    folder: str
    fingerprint: str
    signature_bytes: int


@dataclass(frozen=True, slots=True)
class _Gather:
    signed: Signed
    members: Numbers
    share: NDArray[np.uint16]
    shares: int
    out: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class _Share:
    number: int
    gathered: tuple[str, ...]
    edges: tuple[str, ...]
    similarity: float
    out: str
    fingerprint: str


def verified(
    candidates: UnionFind,
    edges: Sequence[str],
    signed: Sequence[Signed],
    similarity: float,
    place: Place,
    memory: int,
    mapping: Callable[[Callable[[Any], str], Iterable[Any]], Iterable[str]] = map,
) -> UnionFind:
    """Join only documents whose signatures agree in `similarity` of their values, at least.

    `candidates` are the components of `edges`, the files of all tasks. `mapping` runs a function
    over jobs, anywhere and in any order. In this process: 16 bytes a member of a component.
    """
    members, smallest = candidates.components()
    shares = _shares_for(len(members) * place.signature_bytes, memory)
    made = f"{place.fingerprint}/{similarity}/{shares}"
    share = _share_of(smallest, shares)
    gathers = []
    for run in signed:
        low, high = np.searchsorted(members, [run.first, run.first + sum(run.rows)])
        if high > low:
            out = storage.join(place.folder, f"gathered-{run.first:013d}.arrow")
            gathers.append(
                _Gather(run, members[low:high] - run.first, share[low:high], shares, out, made)
            )
    del members, smallest, share
    gathered = tuple(sorted(mapping(_gather, gathers)))
    routed = tuple(
        _route(
            path, storage.join(place.folder, f"routed-{number:06d}.arrow"), candidates, shares, made
        )
        for number, path in enumerate(sorted(edges))
    )
    jobs = [
        _Share(number, gathered, routed, similarity, out, made)
        for number in range(shares)
        for out in [storage.join(place.folder, f"verified-{number:06d}.arrow")]
    ]
    union = UnionFind(candidates.documents)
    for path in mapping(_verify, jobs):
        union.join(*read_edges(path))
    return union


def _shares_for(size: int, memory: int) -> int:
    shares = 1
    while shares < _MOST_SHARES and 2 * size > memory * shares:  # read, then put together
        shares *= 2
    return shares


def _share_of(smallest: Numbers, shares: int) -> NDArray[np.uint16]:
    hashed = smallest.astype(np.uint64) * _SHUFFLE >> np.uint64(32)
    return (hashed % np.uint64(shares)).astype(np.uint16)


def _gather(job: _Gather) -> str:
    """Write the signatures of a run's members, a batch for each share."""
    if metadata_of(job.out).get(FINGERPRINT) == job.fingerprint:
        return job.out
    pieces, first = [], 0
    for path, rows in zip(job.signed.paths, job.signed.rows, strict=True):
        low, high = np.searchsorted(job.members, [first, first + rows])
        if high > low:
            pieces.append(read_signatures(path)[job.members[low:high] - first])
        first += rows
    signatures = np.concatenate(pieces)
    width = signatures.shape[1] * signatures.itemsize
    schema = pa.schema(
        [
            pa.field("number", pa.int64(), nullable=False),
            pa.field("signature", pa.binary(width), nullable=False),
        ]
    )
    order = np.argsort(job.share, kind="stable")
    ends = np.searchsorted(job.share[order], np.arange(job.shares), side="right")
    batches = []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        some = order[start:end]
        values = pa.py_buffer(signatures[some])
        column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(some), [None, values])
        batches.append([job.members[some] + job.signed.first, column])
    notes = {FINGERPRINT: job.fingerprint, _VALUE_BYTES: str(signatures.itemsize)}
    write_batches(job.out, schema, batches, notes)
    return job.out


def _route(path: str, out: str, candidates: UnionFind, shares: int, made: str) -> str:
    """Write a task's edges again, a batch for each share."""
    if metadata_of(out).get(FINGERPRINT) != made:
        left, right = read_edges(path)
        share = _share_of(candidates.smallest(left), shares)
        order = np.argsort(share, kind="stable")
        ends = np.searchsorted(share[order], np.arange(shares), side="right")
        cuts = [order[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        batches = [(left[some], right[some]) for some in cuts]
        write_batches(out, EDGES, batches, {FINGERPRINT: made})
    return out


def _verify(job: _Share) -> str:
    """Write the edges of a share that hold."""
    if metadata_of(job.out).get(FINGERPRINT) != job.fingerprint:
        numbers, signatures = _members_of(job)
        needed = int(np.ceil(job.similarity * signatures.shape[1] - 1e-9))
        found = [
            _similar(read_edges(path, job.number), numbers, signatures, needed)
            for path in job.edges
        ]
        left = np.concatenate([some for some, _ in found])
        right = np.concatenate([some for _, some in found])
        write_batches(job.out, EDGES, [(left, right)], {FINGERPRINT: job.fingerprint})
    return job.out


def _members_of(job: _Share) -> tuple[Numbers, Signatures]:
    """Return the numbers of a share's members, ascending, and their signatures."""
    numbers, matrices = [np.empty(0, np.int64)], []
    for path in job.gathered:
        batch = read_batch(path, job.number)
        numbers.append(batch["number"].to_numpy())
        width = int(batch.schema.metadata[_VALUE_BYTES.encode()])
        matrices.append(matrix_of(batch["signature"], width))
    signatures = np.concatenate(matrices) if matrices else np.empty((0, 1), np.uint32)
    return np.concatenate(numbers), signatures


def _similar(edges: Edges, numbers: Numbers, signatures: Signatures, needed: int) -> Edges:
    """Return edges from leaders to those that they resemble; `edges` are of one band."""
    left, right = edges
    # Each bucket is its first document followed by the others.
    centres, begins = np.unique(left, return_index=True)
    members = np.insert(right, begins, centres)
    bucket = np.insert(left, begins, centres)
    to = _follow(bucket, np.searchsorted(numbers, members), signatures, needed)
    joined = np.flatnonzero(to >= 0)
    return numbers[to[joined]], members[joined]


@njit(nogil=True, cache=True)
def _follow(bucket: Numbers, places: Numbers, signatures: Signatures, needed: int) -> Numbers:
    """Return for each member the place of the leader that it joins, -1 for none."""
    to = np.full(bucket.shape[0], -1, np.int64)
    leaders = np.empty(_LEADERS, np.int64)
    count = 0
    for i in range(bucket.shape[0]):
        if i == 0 or bucket[i] != bucket[i - 1]:
            count = 0
        for leader in leaders[:count]:
            equal = 0
            for k in range(signatures.shape[1]):
                equal += signatures[places[i], k] == signatures[leader, k]
            if equal >= needed:
                to[i] = leader
                break
        if to[i] < 0 and count < _LEADERS:
            leaders[count] = places[i]
            count += 1
    return to
