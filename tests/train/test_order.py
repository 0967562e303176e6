"""The order of samples: every one once an epoch, mixed, and the same wherever one asks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.order import Order, permute

_COUNTS = st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(sum)


@given(_COUNTS, st.integers(0, 2**63), st.integers(0, 5), st.integers(1, 5))
@settings(max_examples=100)
def test_an_epoch_has_every_sample_once(
    counts: list[int], seed: int, epoch: int, window: int
) -> None:
    order = Order(counts, seed=seed, window=window)

    shards, rows = order.locate(epoch, np.arange(len(order)))

    expected = [(shard, row) for shard, count in enumerate(counts) for row in range(count)]
    assert sorted(zip(shards.tolist(), rows.tolist(), strict=True)) == expected


@given(_COUNTS, st.integers(0, 2**63), st.data())
def test_a_position_is_the_same_whatever_was_asked_before(
    counts: list[int], seed: int, data: st.DataObject
) -> None:
    order = Order(counts, seed=seed, window=2)
    whole = order.locate(3, np.arange(len(order)))
    asked = np.array(data.draw(st.lists(st.integers(0, len(order) - 1), min_size=1)))

    order.locate(1, asked)
    shards, rows = Order(counts, seed=seed, window=2).locate(3, asked)

    assert (shards == whole[0][asked]).all()
    assert (rows == whole[1][asked]).all()
    assert all((a == b).all() for a, b in zip(order.locate(3, asked), (shards, rows), strict=True))


def test_epochs_and_seeds_differ() -> None:
    positions = np.arange(600)
    orders = [
        Order([100] * 6, seed=seed).locate(epoch, positions) for seed in (1, 2) for epoch in (0, 1)
    ]

    rows = [shards * 100 + rows for shards, rows in orders]

    for number, one in enumerate(rows):
        for other in rows[number + 1 :]:
            assert (one == other).mean() < 0.02


def test_few_shards_are_open_at_a_time() -> None:
    shards, _ = Order([50] * 40, seed=7, window=4).locate(0, np.arange(2000))

    for start in range(0, 2000, 200):
        assert len(np.unique(shards[start : start + 200])) == 4


def test_neighbours_in_a_shard_are_far_apart() -> None:
    shards, rows = Order([1000] * 8, seed=3, window=8).locate(0, np.arange(8000))

    places = np.empty(8000)
    places[shards * 1000 + rows] = np.arange(8000)
    # Two independent places of 8,000 are 2,667 apart on average.
    assert 2400 < np.abs(np.diff(places)).mean() < 2900


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 65, 1000])
def test_a_permutation_is_one(size: int) -> None:
    assert sorted(permute(np.arange(size), size, 11)) == list(range(size))


def test_a_permutation_takes_no_memory() -> None:
    size = 10**12
    values = np.array([0, 1, size - 1])

    assert len(set(permute(values, size, 5).tolist())) == 3
    assert (permute(values, size, 5) < size).all()


def test_what_cannot_be_ordered_is_refused() -> None:
    with pytest.raises(ValueError, match="no sample"):
        Order([0, 0], seed=0)
    with pytest.raises(IndexError, match="of 5"):
        Order([5], seed=0).locate(0, np.array([5]))
    with pytest.raises(ValueError, match="window"):
        Order([5], seed=0, window=0)
