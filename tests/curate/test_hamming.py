"""Hamming search: every pair within the distance, each once, whatever the masks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvl_data.curate.hamming import masks_for, near_pairs, prefixes_of

HASHES = st.integers(0, (1 << 64) - 1)
FLIPS = st.lists(st.integers(0, 63), max_size=9)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(HASHES, min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 5), FLIPS), max_size=40),
    st.integers(0, 8),
    st.sampled_from([2, 10_000, 10**7, 10**10]),
)
def test_the_pairs_are_those_of_comparing_all(
    centres: list[int], near: list[tuple[int, list[int]]], bits: int, corpus: int
) -> None:
    """`corpus`, for which the masks are made, changes the work and not the pairs."""
    made = set(centres)
    for centre, flips in near:
        made.add(centres[centre % len(centres)] ^ sum(1 << bit for bit in set(flips)))
    hashes = np.array(sorted(made), np.uint64)
    expected = {
        (i, j)
        for i, j in itertools.combinations(range(len(hashes)), 2)
        if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= bits
    }
    masks = masks_for(corpus, bits)
    found = [
        tuple(sorted(pair))
        for which in range(len(masks))
        for pair in zip(
            *(each.tolist() for each in near_pairs(hashes, masks, which, bits)), strict=True
        )
    ]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("bits", range(11))
def test_masks_grow_with_the_corpus_and_stay_few(bits: int) -> None:
    widths = []
    for corpus in (10, 10**4, 10**6, 10**9):
        masks = masks_for(corpus, bits)
        assert len(masks) <= 100
        widths.append(min(int(mask).bit_count() for mask in masks.tolist()))
    assert widths == sorted(widths)


def test_a_bucket_is_in_one_prefix() -> None:
    hashes = np.random.default_rng(0).integers(0, 1 << 63, 4000, dtype=np.uint64)
    mask = masks_for(10**6, 4)[7]
    prefixes = prefixes_of(hashes, mask, 8)
    assert set(prefixes.tolist()) == set(range(8))
    other = hashes ^ (np.uint64(0x5555555555555555) & ~mask)
    assert (prefixes_of(other, mask, 8) == prefixes).all()
