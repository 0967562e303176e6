"""Shares down the tree, and target files: what is given holds, the rest is shared as asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.outcome import UserError
from taxonomy.targets import BalanceSettings, Bound, leaf_shares, load_settings
from tests.taxonomy.pools import tree

TREE = tree({"see": ["count", "read"], "think": ["sum", "plan", "guess"], "judge": []})
SUPPLY = {"count": 90, "read": 10, "sum": 100, "plan": 0, "guess": 0, "judge": 200}


def shares(**values: Any) -> dict[str, float]:
    return leaf_shares(TREE, BalanceSettings.model_validate({"size": 10, **values}), SUPPLY)


def test_what_is_not_given_is_shared_as_asked() -> None:
    third = 1 / 3
    assert shares() == pytest.approx(
        {"count": third / 2, "read": third / 2, "judge": third}
        | dict.fromkeys(["sum", "plan", "guess"], third / 3)
    )
    assert shares(rest="leaves") == pytest.approx(dict.fromkeys(SUPPLY, 1 / 6))
    by_supply = shares(rest="supply")
    assert by_supply == pytest.approx({name: n / 400 for name, n in SUPPLY.items()})
    flat = shares(rest="supply", temperature=1000)
    assert flat["count"] == pytest.approx(third / 2, rel=0.01)
    skipping = shares(skip_empty=True)
    assert (skipping["sum"], skipping["plan"], skipping["guess"]) == pytest.approx((third, 0, 0))


def test_what_is_given_holds_at_every_level() -> None:
    found = shares(shares={"see": 0.5, "count": 0.1, "guess": 0.4})
    assert found["count"] == pytest.approx(0.1)
    assert found["read"] == pytest.approx(0.4)
    # `think` needs 0.4 for `guess`; half of what `see` leaves would not do.
    assert found["guess"] == pytest.approx(0.4)
    assert found["sum"] + found["plan"] + found["judge"] == pytest.approx(0.1)


@given(
    st.dictionaries(
        st.sampled_from(["see", "count", "sum", "plan", "judge"]), st.floats(0, 0.3), max_size=5
    ),
    st.sampled_from(["even", "leaves", "supply"]),
    st.booleans(),
)
def test_shares_always_sum_to_one(given_shares: dict[str, float], rest: str, skip: bool) -> None:
    try:
        found = shares(shares=given_shares, rest=rest, skip_empty=skip)
    except UserError as error:
        said = str(error)
        assert "are given" in said
        return
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) >= 0
    for name, share in given_shares.items():
        below = {"see": ["count", "read"]}.get(name, [name])
        assert sum(found[leaf] for leaf in below) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("size: 10\nshares: {sea: 0.5}", "did you mean 'see'"),
        ("size: 10\nshares: {see: 0.9, think: 0.4}", "1.3 together, more than the 1"),
        ("size: 10\nshares: {see: 0.5, count: 0.1, read: 0.1}", "below 'see' are given 0.2"),
        ("sizes: 10", "unknown key 'sizes'; did you mean 'size'?"),
        ("shares: {see: 0.5}", "size is missing"),
        ("size: 10\nlanguages: {en: 0.5}", "sum to 0.5, not 1"),
        ("size: 10\nbounds: {nodes: {see: {min: 0.5, max: 0.2}}}", "above the maximum"),
        ("- size", "must be a mapping"),
        ("size: [", "cannot read the target"),
    ],
)
def test_a_wrong_target_is_told(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "target.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as told:
        leaf_shares(TREE, load_settings(file, {}), SUPPLY)
    assert said in str(told.value)


def test_options_take_precedence_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "target.yaml"
    file.write_text("size: 10\nseed: 3\nbounds: {languages: {zh: {min: 0.1}}}")
    more = {"size": 20, "bounds": {"languages": {"zh": {"max": 0.5}}}}
    found = load_settings(file, more)
    assert (found.size, found.seed) == (20, 3)
    assert found.bounds.languages["zh"] == Bound(min=0.1, max=0.5)


def test_bounds_are_shares_up_to_one_and_numbers_above() -> None:
    assert Bound(min=0.25, max=0.3).counts(10) == (3, 3)
    assert Bound(min=2, max=7).counts(10) == (2, 7)
    assert Bound(min=0.1, max=0.7).counts(10) == (1, 7)  # 0.7 * 10 is 6.999... in floating point
    assert Bound().counts(10) == (0, 10)
