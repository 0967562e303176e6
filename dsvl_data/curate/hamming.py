"""Which of many 64-bit hashes differ in few bits: no pair is missed, and few are compared.

In: hashes, and in how many bits two may differ. Out: all such pairs. The bits are cut into blocks;
of `m` blocks at most `d` can hold differing bits, so any such pair is equal in some `m - d` blocks
(the pigeonhole principle; Manku et al., "Detecting Near-Duplicates for Web Crawling", 2007,
section 3). For every choice of blocks the hashes that agree in them are a bucket, and only those
in one bucket are compared. Which blocks there are changes the work, never the pairs.
"""

from __future__ import annotations

import itertools
import math
from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

Hashes: TypeAlias = NDArray[np.uint64]
Numbers: TypeAlias = NDArray[np.int64]

_BITS = 64
_MOST_MASKS = 100
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def masks_for(hashes: int, bits: int) -> Hashes:
    """Return the masks of the buckets, so many that a bucket has few of `hashes` hashes.

    Of 10^4 hashes and 4 bits, 5 masks of 12 or 13 bits; of 10^6, 15 of 21; of 10^9, 70 of 32.
    """
    blocks = bits + 1
    while (
        bits
        and _BITS * (blocks - bits) // blocks < math.log2(max(2, hashes))
        and math.comb(blocks + 1, bits) <= _MOST_MASKS
    ):
        blocks += 1
    edges = [block * _BITS // blocks for block in range(blocks + 1)]
    whole = [(1 << end) - (1 << start) for start, end in itertools.pairwise(edges)]
    chosen = itertools.combinations(whole, blocks - bits)
    return np.array([sum(some) for some in chosen], np.uint64)


def prefixes_of(hashes: Hashes, mask: np.uint64, prefixes: int) -> NDArray[np.uint16]:
    """Return for each hash a number below `prefixes` (a power of two), one for each bucket."""
    if prefixes == 1:
        return np.zeros(len(hashes), np.uint16)
    spread = (hashes & mask) * _SPREAD
    return (spread >> np.uint64(_BITS + 1 - prefixes.bit_length())).astype(np.uint16)


def near_pairs(hashes: Hashes, masks: Hashes, which: int, bits: int) -> tuple[Numbers, Numbers]:
    """Return the positions of all pairs that differ in 1 to `bits` bits and share a bucket.

    `hashes` are distinct. The buckets are those of mask number `which`; a pair that an earlier
    mask brings together is left to that one.
    """
    order = np.argsort(hashes & masks[which], kind="stable")
    left, right = _near_pairs(hashes[order], masks, which, bits)
    return order[left], order[right]


@njit(nogil=True, cache=True)
def _ones(word: np.uint64) -> np.int64:
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + (
        (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(nogil=True, cache=True)
def _near_pairs(hashes: Hashes, masks: Hashes, which: int, bits: int) -> tuple[Numbers, Numbers]:
    left, right = np.empty(1024, np.int64), np.empty(1024, np.int64)
    found = 0
    start = 0
    mask = masks[which]
    for end in range(1, hashes.shape[0] + 1):
        if end < hashes.shape[0] and hashes[end] & mask == hashes[start] & mask:
            continue
        for i in range(start, end):
            for j in range(i + 1, end):
                differing = hashes[i] ^ hashes[j]
                if _ones(differing) > bits:
                    continue
                earlier = False
                for k in range(which):
                    if differing & masks[k] == 0:
                        earlier = True
                        break
                if earlier:
                    continue
                if found == left.shape[0]:
                    left = np.concatenate((left, np.empty(found, np.int64)))
                    right = np.concatenate((right, np.empty(found, np.int64)))
                left[found], right[found] = i, j
                found += 1
        start = end
    return left[:found], right[:found]
