"""Seeded 64-bit hashes of strings and lists, a column at once: the only chance in a choice.

In: an Arrow column of strings or of lists of 64-bit numbers. Out: one hash each, from the value
and the seed alone. Not for secrets: whoever knows the seed can make values that collide.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_P = np.uint64(0x9E3779B185EBCA87)
_Q = np.uint64(0xC2B2AE3D27D4EB4F)


def hash_strings(column: pa.ChunkedArray, seed: int, threads: int = 1) -> Hashes:
    """Return a hash of each string; null counts as empty."""
    found = np.empty(len(column), np.uint64)

    def work(span: tuple[int, pa.Array]) -> None:
        start, chunk = span
        if not pa.types.is_large_string(chunk.type):
            chunk = chunk.cast(pa.large_string())
        offsets = np.frombuffer(chunk.buffers()[1], np.int64)[chunk.offset :][: len(chunk) + 1]
        data = np.frombuffer(chunk.buffers()[2] or b"\0", np.uint8)
        _hash_bytes(data, offsets, np.uint64(seed), found[start : start + len(chunk)])

    _each_chunk(column.fill_null("") if column.null_count else column, work, threads)
    return found


def hash_lists(column: pa.ChunkedArray, seed: int, threads: int = 1) -> Hashes:
    """Return a hash of each list of numbers, 0 for one that is empty or null."""
    found = np.zeros(len(column), np.uint64)

    def work(span: tuple[int, pa.Array]) -> None:
        start, chunk = span
        values, starts = list_values(chunk)
        _hash_numbers(values, starts, np.uint64(seed), found[start : start + len(chunk)])

    _each_chunk(column, work, threads)
    return found


def list_values(chunk: pa.Array) -> tuple[Hashes, NDArray[np.int64]]:
    """Return the numbers of an array of lists, one list after the other, and where each begins."""
    values = np.asarray(chunk.flatten(), np.uint64)
    lengths = np.asarray(chunk.value_lengths().fill_null(0), np.int64)
    return values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _each_chunk(column: pa.ChunkedArray, work, threads: int) -> None:  # type: ignore[no-untyped-def]
    spans, at = [], 0
    for chunk in column.chunks:
        if len(chunk):
            spans.append((at, chunk))
        at += len(chunk)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        list(pool.map(work, spans))


@njit(nogil=True, cache=True)
def _finish(h: np.uint64) -> np.uint64:
    h = np.uint64(h ^ np.uint64(h >> np.uint64(33))) * _Q
    h = np.uint64(h ^ np.uint64(h >> np.uint64(29))) * _P
    return np.uint64(h ^ np.uint64(h >> np.uint64(32)))


@njit(nogil=True, cache=True)
def _hash_bytes(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], seed: np.uint64, found: Hashes
) -> None:
    for i in range(found.shape[0]):
        start, end = offsets[i], offsets[i + 1]
        h = np.uint64(seed * _P + np.uint64(end - start) + _Q)
        at = start
        while at < end:
            word = np.uint64(0)
            for k in range(min(8, end - at)):
                word |= np.uint64(data[at + k]) << np.uint64(8 * k)
            h = np.uint64(h ^ word) * _P
            h = np.uint64(h ^ np.uint64(h >> np.uint64(29))) * _Q
            at += 8
        found[i] = _finish(h)


@njit(nogil=True, cache=True)
def _hash_numbers(
    values: Hashes, starts: NDArray[np.int64], seed: np.uint64, found: Hashes
) -> None:
    for i in range(found.shape[0]):
        start, end = starts[i], starts[i + 1]
        if start == end:
            continue
        h = np.uint64(seed * _P + np.uint64(end - start) + _Q)
        for at in range(start, end):
            h = np.uint64(h ^ values[at]) * _P
            h = np.uint64(h ^ np.uint64(h >> np.uint64(29))) * _Q
        found[i] = _finish(h)
