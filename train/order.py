"""The order in which the samples of one category are read: a pure function of three integers.

In: how many samples each shard has, a seed. Out: for a position of an epoch, the shard and row
that stand there. Nothing is kept between two calls, so any process can ask for any position, and
a checkpoint of the order is the position itself.

Shards are permuted; then the samples of `window` neighbouring shards are permuted together, so
that few files are open at a time. The permutations are Feistel networks of four rounds (Luby and
Rackoff 1988) walked until they land inside (cycle walking, Black and Rogaway 2002): they take no
memory, whatever their size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
from numpy.typing import NDArray

_Integers = NDArray[np.int64]

_ROUNDS = 4
_MASK = (1 << 64) - 1


class Order:
    """The order of one category.

    `counts` are the shards' numbers of samples, in the manifest's order; `window` is how many
    shards are mixed with each other. Raises `ValueError` when there is no sample.
    """

    def __init__(self, counts: Sequence[int], *, seed: int, window: int = 8) -> None:
        if window < 1:
            raise ValueError(f"a window of {window} shards; at least 1")
        self._counts = np.asarray(counts, np.int64)
        self._seed = seed
        self._window = window
        self._epoch = -1
        self._shards = np.zeros(0, np.int64)
        self._ends = np.zeros(0, np.int64)
        if len(self) == 0:
            raise ValueError("no sample in any shard")

    def __len__(self) -> int:
        """Samples of an epoch."""
        return int(self._counts.sum())

    def locate(self, epoch: int, positions: _Integers) -> tuple[_Integers, _Integers]:
        """Return the shards and the rows in them at `positions` (0 to `len` - 1) of an epoch."""
        if len(positions) and not 0 <= positions.min() <= positions.max() < len(self):
            raise IndexError(f"positions {positions.min()} to {positions.max()} of {len(self)}")
        self._begin(epoch)
        # Which window, by the sum of samples before it; and where in it, once permuted.
        firsts = np.arange(0, len(self._shards), self._window)
        ends = self._ends[np.minimum(firsts + self._window, len(self._shards)) - 1]
        windows = np.searchsorted(ends, positions, side="right")
        shards = np.empty(len(positions), np.int64)
        rows = np.empty(len(positions), np.int64)
        for window in np.unique(windows):
            chosen = windows == window
            start = int(ends[window - 1]) if window else 0
            size = int(ends[window]) - start
            within = permute(positions[chosen] - start, size, _mix(self._seed, epoch, int(window)))
            slots = np.searchsorted(self._ends, within + start, side="right")
            shards[chosen] = self._shards[slots]
            rows[chosen] = within + start - (self._ends[slots] - self._counts[self._shards[slots]])
        return shards, rows

    def _begin(self, epoch: int) -> None:
        if epoch != self._epoch:
            number = len(self._counts)
            key = _mix(self._seed, epoch, -1)
            self._shards = permute(np.arange(number, dtype=np.int64), number, key)
            self._ends = np.cumsum(self._counts[self._shards])
            self._epoch = epoch


def permute(values: _Integers, size: int, key: int) -> _Integers:
    """Return where a permutation of 0 to `size` - 1, chosen by `key`, takes each of `values`."""
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    keys = np.array([_mix(key, number, 0) for number in range(_ROUNDS)], np.uint64)
    return _walk(np.ascontiguousarray(values, np.int64), size, half, keys)


@numba.njit(cache=True)
def _walk(
    values: _Integers, size: int, half: int, keys: NDArray[np.uint64]
) -> _Integers:  # pragma: no cover - compiled
    """The network again and again, for each value, until it lands below `size`."""
    result = np.empty_like(values)
    shift = np.uint64(half)
    mask = (np.uint64(1) << shift) - np.uint64(1)
    for place in range(len(values)):
        value = np.uint64(values[place])
        while True:
            left, right = value >> shift, value & mask
            for key in keys:
                left, right = right, left ^ (_scramble(right ^ key) & mask)
            value = (left << shift) | right
            if value < np.uint64(size):
                break
        result[place] = np.int64(value)
    return result


@numba.njit(cache=True)
def _scramble(value: np.uint64) -> np.uint64:  # pragma: no cover - compiled
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _mix(*numbers: int) -> int:
    """One 64-bit integer from several."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state ^ (number & _MASK)) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state = (state ^ (state >> 31)) + 0x9E3779B97F4A7C15
    return state & _MASK
