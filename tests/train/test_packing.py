"""Packed rows: nothing lost, nothing twice, no row too full, none waits for ever, and few gaps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from train.packing import Limits, pack

_SAMPLES = st.lists(st.tuples(st.integers(1, 100), st.integers(0, 3)), max_size=120)


def _rows(
    samples: list[tuple[int, int]], limits: Limits, waiting: int, *, flush: bool
) -> list[list[int]]:
    lengths = np.array([length for length, _ in samples], np.int64)
    images = np.array([count for _, count in samples], np.int64)
    members, ends = pack(lengths, images, limits, waiting=waiting, flush=flush)
    return [row.tolist() for row in np.split(members, ends)[: len(ends)]]


@given(_SAMPLES, st.integers(100, 260), st.integers(3, 6), st.integers(1, 20), st.booleans())
@settings(max_examples=200, deadline=None)
def test_rows_hold_each_sample_once_and_no_more_than_they_may(
    samples: list[tuple[int, int]], tokens: int, images: int, waiting: int, flush: bool
) -> None:
    rows = _rows(samples, Limits(tokens, images), waiting, flush=flush)

    placed = [sample for row in rows for sample in row]
    assert len(set(placed)) == len(placed)
    assert len(placed) == len(samples) if flush else len(samples) - len(placed) < waiting
    for row in rows:
        assert row == sorted(row)
        assert sum(samples[sample][0] for sample in row) <= tokens
        assert sum(samples[sample][1] for sample in row) <= images


@given(
    st.lists(st.tuples(st.integers(1, 100), st.integers(0, 2)), min_size=1, max_size=9),
    st.integers(100, 260),
    st.integers(2, 4),
)
@settings(max_examples=200, deadline=None)
def test_the_first_row_is_as_full_as_can_be(
    samples: list[tuple[int, int]], tokens: int, images: int
) -> None:
    row = _rows(samples, Limits(tokens, images), 16, flush=True)[0]

    others = range(1, len(samples))
    best = max(
        total
        for number in range(len(samples))
        for chosen in itertools.combinations(others, number)
        if (total := sum(samples[sample][0] for sample in (0, *chosen))) <= tokens
        and sum(samples[sample][1] for sample in (0, *chosen)) <= images
    )
    assert row[0] == 0
    assert sum(samples[sample][0] for sample in row) == best


@given(_SAMPLES, st.integers(1, 12))
@settings(deadline=None)
def test_the_oldest_is_always_next(samples: list[tuple[int, int]], waiting: int) -> None:
    left = list(range(len(samples)))
    for row in _rows(samples, Limits(200, 3), waiting, flush=True):
        assert row[0] == left[0]
        assert row[-1] in left[:waiting]
        left = [sample for sample in left if sample not in row]


@given(_SAMPLES, st.integers(0, 120))
@settings(deadline=None)
def test_what_waits_goes_on_with_what_comes(samples: list[tuple[int, int]], cut: int) -> None:
    """Packing in two goes, what waited put before what comes, is packing in one."""
    limits, waiting = Limits(150, 4), 8
    cut = min(cut, len(samples))
    first = _rows(samples[:cut], limits, waiting, flush=False)
    placed = {sample for row in first for sample in row}
    rest = [sample for sample in range(cut) if sample not in placed]
    rest += range(cut, len(samples))

    second = _rows([samples[sample] for sample in rest], limits, waiting, flush=False)

    again = [[rest[sample] for sample in row] for row in second]
    assert first + again == _rows(samples, limits, waiting, flush=False)


def _fill(lengths: NDArray[np.int64], images: NDArray[np.int64], limits: Limits) -> float:
    members, ends = pack(lengths, images, limits)
    return float(lengths[members].sum() / (len(ends) * limits.tokens))


def test_rows_of_text_are_full() -> None:
    lengths = np.random.default_rng(1).lognormal(5.8, 1.1, 20_000).astype(np.int64).clip(1, 4096)

    assert _fill(lengths, np.zeros_like(lengths), Limits(4096)) >= 0.995


def test_rows_of_pages_are_full() -> None:
    """Pages of a book: one image each, and their text."""
    generator = np.random.default_rng(2)
    images = np.ones(20_000, np.int64)
    lengths = 576 + generator.lognormal(5.5, 0.8, 20_000).astype(np.int64).clip(20, 3000)

    assert _fill(lengths, images, Limits(4096, 6)) >= 0.97


def test_what_no_row_can_hold_is_named() -> None:
    with pytest.raises(ValueError, match="sample 1 has 101 tokens; a row holds 1 to 100"):
        _rows([(5, 0), (101, 0)], Limits(100), 4, flush=True)
    with pytest.raises(ValueError, match="sample 0 has 3 images; a row holds at most 2"):
        _rows([(5, 3)], Limits(100, 2), 4, flush=True)
    with pytest.raises(ValueError, match="at least one token"):
        Limits(0)
