"""Shares of a mix hold at any moment, whatever draws cost, and go on exactly after a stop."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.mixing import Mixer, WarmUp

_SHARES = st.lists(st.floats(0.01, 1), min_size=2, max_size=6)


def _draw(mixer: Mixer, shares: dict[str, float], costs: list[int]) -> list[str]:
    """One draw after the other: the next costs the same, whichever category it falls on."""
    drawn = []
    for cost in costs:
        drawn += mixer.draw(shares, np.full((len(mixer.names), 1), cost), 1).tolist()
    return [mixer.names[number] for number in drawn]


def test_many_draws_at_once_are_the_same_draws() -> None:
    shares = {"a": 0.5, "b": 0.3, "c": 0.2}
    costs = np.random.default_rng(5).integers(1, 4096, (3, 200))
    single, many = Mixer(["a", "b", "c"]), Mixer(["a", "b", "c"])
    taken = [0, 0, 0]
    expected = []
    for _ in range(150):
        next_costs = np.array([[costs[c, taken[c]]] for c in range(3)])
        category = int(single.draw(shares, next_costs, 1)[0])
        taken[category] += 1
        expected.append(category)

    assert many.draw(shares, costs, 150).tolist() == expected
    assert many.credits == single.credits


def test_draws_end_where_costs_are_not_known() -> None:
    drawn = Mixer(["a", "b"]).draw({"a": 1, "b": 1}, np.array([[1, 1, 1], [1, 0, 0]]), 10)

    assert drawn.tolist() == [0, 1, 0]


def test_seven_to_three_holds_within_one_draw_at_any_moment() -> None:
    drawn = _draw(Mixer(["language", "multimodal"]), {"language": 7, "multimodal": 3}, [1] * 1000)

    for number in range(1, 1001):
        assert abs(drawn[:number].count("language") - 0.7 * number) < 1


@given(_SHARES, st.integers(1, 300))
def test_many_categories_stay_within_their_number_of_draws(given_: list[float], draws: int) -> None:
    names = [str(number) for number in range(len(given_))]
    shares = dict(zip(names, given_, strict=True))
    counts = Counter(_draw(Mixer(names), shares, [1] * draws))

    for name in names:
        assert abs(counts[name] - draws * shares[name] / sum(given_)) < len(names)


@given(_SHARES, st.lists(st.integers(1, 4096), min_size=1, max_size=200))
def test_shares_are_of_what_draws_cost(given_: list[float], costs: list[int]) -> None:
    names = [str(number) for number in range(len(given_))]
    shares = dict(zip(names, given_, strict=True))
    drawn = _draw(Mixer(names), shares, costs)

    for name in names:
        got = sum(cost for cost, drawn_name in zip(costs, drawn, strict=True) if drawn_name == name)
        assert abs(got - sum(costs) * shares[name] / sum(given_)) <= len(names) * max(costs)


@given(_SHARES, st.lists(st.integers(1, 4096), min_size=2, max_size=60), st.data())
def test_credits_are_the_whole_state(
    given_: list[float], costs: list[int], data: st.DataObject
) -> None:
    names = [str(number) for number in range(len(given_))]
    shares = dict(zip(names, given_, strict=True))
    stop = data.draw(st.integers(1, len(costs) - 1))
    whole = _draw(Mixer(names), shares, costs)
    first = Mixer(names)

    begun = _draw(first, shares, costs[:stop])

    assert begun + _draw(Mixer(names, first.credits), shares, costs[stop:]) == whole


def test_a_category_without_a_share_is_never_drawn() -> None:
    mixer = Mixer(["a", "b", "c"])

    assert set(_draw(mixer, {"a": 1, "c": 1}, [1] * 50)) == {"a", "c"}
    assert _draw(mixer, {"b": 1}, [1] * 3) == ["b"] * 3


def test_language_warm_up_is_the_same_mechanism() -> None:
    warm_up = WarmUp(target=0.7, steps=100)
    mixer = Mixer(["language", "multimodal"])
    drawn = []
    for step in range(400):
        share = warm_up.share(step)
        drawn += _draw(mixer, {"language": share, "multimodal": 1 - share}, [1])

    assert warm_up.share(0) == 1
    assert warm_up.share(100) == warm_up.share(10**6) == 0.7
    assert abs(drawn[:100].count("language") - 85) <= 1
    assert abs(drawn[100:].count("language") - 210) <= 1


def test_shares_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="once each"):
        Mixer(["a", "a"])
    with pytest.raises(ValueError, match="unknown categories: \\['b'\\]"):
        _draw(Mixer(["a"]), {"b": 1}, [1])
    with pytest.raises(ValueError, match="not all zero"):
        _draw(Mixer(["a"]), {"a": 0}, [1])
