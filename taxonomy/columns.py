"""Whole columns of an index at once: hashed, numbered, and put in order, without general sorts.

In: Arrow columns of strings or of lists of 64-bit numbers, and arrays of small numbers. Out:
seeded hashes, the only chance in a choice, from the value and the seed alone (not for secrets:
whoever knows the seed can make values that collide); numbers for values; orders by group.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]
Small = NDArray[np.int32]

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


def order_by_group(groups: NDArray[np.int32] | Ints, count: int) -> tuple[Ints, Small]:
    """Return where each group from 0 to `count` - 1 begins, and the rows in order of their group.

    Rows of one group stay in order; rows with a negative group are left out.
    """
    starts = np.zeros(count + 1, np.int64)
    order = np.empty(len(groups), np.int32)
    return starts, order[: _order_by_group(groups, starts, order)]


def number_values(values: Hashes) -> tuple[Small, int]:
    """Return a number for each value, equal for equal values, by first appearance; and how many."""
    bits = max(4, int(2 * len(values)).bit_length())
    numbers = np.empty(len(values), np.int32)
    slots = np.full(1 << bits, -1, np.int32)
    return numbers, _number_values(values, slots, np.uint64(64 - bits), numbers)


def _each_chunk(column: pa.ChunkedArray, work, threads: int) -> None:  # type: ignore[no-untyped-def]
    spans, at = [], 0
    for chunk in column.chunks:
        if len(chunk):
            spans.append((at, chunk))
        at += len(chunk)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        list(pool.map(work, spans))


@njit(nogil=True, cache=True)
def _order_by_group(groups: Small | Ints, starts: Ints, order: Small) -> int:
    for row in range(groups.shape[0]):
        if groups[row] >= 0:
            starts[groups[row] + 1] += 1
    for group in range(1, starts.shape[0]):
        starts[group] += starts[group - 1]
    at = starts[:-1].copy()
    for row in range(groups.shape[0]):
        group = groups[row]
        if group >= 0:
            order[at[group]] = row
            at[group] += 1
    return int(starts[-1])


@njit(nogil=True, cache=True)
def _number_values(values: Hashes, slots: Small, shift: np.uint64, numbers: Small) -> int:
    """Each slot holds the row in which its value came first."""
    mask = np.int64(slots.shape[0] - 1)
    count = 0
    for row in range(values.shape[0]):
        slot = np.int64(np.uint64(values[row] * _P) >> shift)
        while slots[slot] >= 0 and values[slots[slot]] != values[row]:
            slot = (slot + 1) & mask
        if slots[slot] < 0:
            slots[slot] = row
            numbers[row] = count
            count += 1
        else:
            numbers[row] = numbers[slots[slot]]
    return count


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
        word, bits = np.uint64(0), np.uint64(0)
        for at in range(start, end):
            word |= np.uint64(data[at]) << bits
            bits += np.uint64(8)
            if bits == np.uint64(64) or at == end - 1:
                h = np.uint64(h ^ word) * _P
                h = np.uint64(h ^ np.uint64(h >> np.uint64(29))) * _Q
                word, bits = np.uint64(0), np.uint64(0)
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
