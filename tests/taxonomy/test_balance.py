"""The mix is the nearest one that keeps to every constraint: against all mixes, one by one."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsvl_data.outcome import UserError
from taxonomy import balance as balancing
from taxonomy.balance import Mix, balance, shares_of
from taxonomy.pool import HeldOut, gather
from taxonomy.targets import BalanceSettings
from tests.taxonomy.pools import rows, tree

TREE = tree({"see": ["count", "read"], "think": ["sum"], "judge": []})
LEAVES = [TREE.text_path(leaf.id) for leaf in TREE.leaves()]

ROW = st.fixed_dictionaries(
    {
        "taxonomy": st.sampled_from(LEAVES),
        "source": st.sampled_from(["a", "b"]),
        "language": st.sampled_from(["en", "zh"]),
    }
)
ONE_IMAGE = st.lists(st.integers(1, 3), max_size=1)
MANY_IMAGES = st.lists(st.integers(1, 4), max_size=3)
BOUND = st.tuples(st.floats(0, 0.6), st.floats(0.3, 1)).map(
    lambda b: {"min": round(min(b), 2), "max": round(max(b), 2)}
)
TARGET = st.fixed_dictionaries(
    {"size": st.integers(1, 6), "seed": st.integers(0, 5)},
    optional={
        "shares": st.fixed_dictionaries(
            {}, optional={"see": st.sampled_from([0.1, 0.35]), "sum": st.sampled_from([0.0, 0.5])}
        ),
        "rest": st.sampled_from(["even", "leaves", "supply"]),
        "languages": st.sampled_from([{"en": 0.7, "zh": 0.3}, {"en": 1.0}]),
        "source_cap": st.sampled_from([0.5, 0.75]),
        "bounds": st.fixed_dictionaries(
            {},
            optional={
                "languages": st.fixed_dictionaries({}, optional={"zh": BOUND}),
                "nodes": st.fixed_dictionaries({}, optional={"see": BOUND, "judge": BOUND}),
            },
        ),
        "image_uses": st.integers(1, 2),
        "conversation_uses": st.integers(1, 2),
    },
)


def pools(images: Any) -> Any:
    row = st.tuples(ROW, images).map(lambda pair: {**pair[0], "images": pair[1]})
    return st.lists(row, min_size=1, max_size=7)


def told(values: dict[str, Any], table: Any) -> BalanceSettings:
    """Settings that name only languages that there are: another is an error of its own."""
    there = set(table["language"].to_pylist())
    bounds = values.get("bounds", {})
    kept = {k: v for k, v in bounds.get("languages", {}).items() if k in there}
    return BalanceSettings.model_validate({**values, "bounds": {**bounds, "languages": kept}})


def distance(table: Any, times: Any, target: BalanceSettings, shares: dict[str, float]) -> float:
    """Total variation, from its definition."""
    mix: Counter[tuple[str, str]] = Counter()
    for row, count in zip(table.to_pylist(), times, strict=True):
        mix[row["taxonomy"], row["language"] if target.languages else ""] += count
    wanted = {
        (TREE.text_path(leaf), language): share * part
        for leaf, share in shares.items()
        for language, part in (target.languages or {"": 1.0}).items()
    }
    keys = {*mix, *wanted}
    return sum(abs(mix[k] / target.size - wanted.get(k, 0.0)) for k in keys) / 2


def is_allowed(table: Any, times: Any, target: BalanceSettings) -> bool:
    """Whether a mix keeps to every constraint, from their definitions."""
    if sum(times) != target.size or max(times, default=0) > target.conversation_uses:
        return False
    of: Counter[tuple[str, Any]] = Counter()
    for row, count in zip(table.to_pylist(), times, strict=True):
        of["source", row["source"]] += count
        of["language", row["language"]] += count
        for node in row["taxonomy"].split("/"):
            of["node", node] += count
        for image in set(row["images"]):
            of["image", image] += count
    limits = []
    for source in ("a", "b"):
        if target.source_cap is not None:
            limits.append((("source", source), 0.0, target.source_cap))
    for kind, bounds in (("language", target.bounds.languages), ("node", target.bounds.nodes)):
        limits += [((kind, name), b.min, b.max) for name, b in bounds.items()]
    for name, low, high in limits:
        if of[name] < low * target.size - 1e-6 or of[name] > (high or 0.0) * target.size + 1e-6:
            return False
    uses = [count for (kind, _), count in of.items() if kind == "image"]
    return target.image_uses is None or max(uses, default=0) <= target.image_uses


def times_of(mix: Mix, count: int) -> list[int]:
    times = np.zeros(count, np.int64)
    times[mix.rows] = mix.times
    return times.tolist()


def best_of_all(table: Any, target: BalanceSettings, shares: dict[str, float]) -> float | None:
    distances = [
        distance(table, times, target, shares)
        for times in itertools.product(range(target.conversation_uses + 1), repeat=len(table))
        if is_allowed(table, times, target)
    ]
    return min(distances) if distances else None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pools(ONE_IMAGE), TARGET)
def test_the_distance_is_the_least_of_all_mixes(pool: Any, values: dict[str, Any]) -> None:
    table = rows(pool)
    target = told(values, table)
    shares = shares_of(gather(table, TREE, target), TREE, target)
    least = best_of_all(table, target, shares)
    if least is None:
        with pytest.raises(UserError, match=r"no mix satisfies|no whole numbers"):
            balance(table, TREE, target)
        return
    mix = balance(table, TREE, target)
    times = times_of(mix, len(table))
    assert is_allowed(table, times, target)
    assert distance(table, times, target, shares) == pytest.approx(least, abs=1e-9)
    assert mix.solution.distance == pytest.approx(least, abs=1e-9)
    assert mix.solution.bound <= least + 1e-9
    assert mix.is_optimal


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pools(MANY_IMAGES), TARGET)
def test_with_several_images_a_conversation_the_bound_holds(
    pool: Any, values: dict[str, Any]
) -> None:
    table = rows(pool)
    target = told(values, table)
    shares = shares_of(gather(table, TREE, target), TREE, target)
    least = best_of_all(table, target, shares)
    try:
        mix = balance(table, TREE, target)
    except UserError as error:
        said = str(error)
        assert least is None or "no mix was found" in said
        return
    assert least is not None
    times = times_of(mix, len(table))
    assert is_allowed(table, times, target)
    assert distance(table, times, target, shares) == pytest.approx(mix.solution.distance)
    assert mix.solution.bound - 1e-9 <= least <= mix.solution.distance + 1e-9


@pytest.mark.parametrize("way", ["program", "allotted"])
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(pool=pools(ONE_IMAGE), values=TARGET)
def test_where_cuts_do_not_do_images_go_into_the_program_or_are_allotted(
    way: str, pool: Any, values: dict[str, Any]
) -> None:
    table = rows(pool)
    target = told({**values, "image_uses": 1}, table)
    shares = shares_of(gather(table, TREE, target), TREE, target)
    least = best_of_all(table, target, shares)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(balancing, "_first_cuts", lambda *_: [])
        patch.setattr(balancing, "_FEW_ROUNDS", 1)
        if way == "allotted":
            patch.setattr(balancing, "_ROUNDS", 1)
        try:
            mix = balance(table, TREE, target)
        except UserError as error:
            said = str(error)
            assert least is None or (way == "allotted" and "no mix was found" in said)
            return
    times = times_of(mix, len(table))
    assert least is not None
    assert is_allowed(table, times, target)
    assert mix.solution.bound - 1e-9 <= least <= mix.solution.distance + 1e-9
    if way == "program":
        assert mix.solution.distance == pytest.approx(least, abs=1e-9)


def many(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of all kinds; some share an image, some are nearly the same."""
    draw = np.random.default_rng(seed)
    return [
        {
            "taxonomy": LEAVES[int(draw.choice(len(LEAVES), p=[0.5, 0.3, 0.15, 0.05]))],
            "source": ["a", "b"][int(draw.random() < 0.3)],
            "language": ["en", "zh"][int(draw.random() < 0.4)],
            "images": [int(draw.integers(count // 2))],
            "near": int(draw.integers(count)) if draw.random() < 0.5 else None,
            "confidence": float(draw.random()),
        }
        for _ in range(count)
    ]


def keys_of(table: Any, mix: Mix) -> list[tuple[str, int]]:
    keys = table["key"].to_pylist()
    return sorted((keys[row], int(times)) for row, times in zip(mix.rows, mix.times, strict=True))


def test_the_mix_depends_neither_on_threads_nor_on_the_order_of_the_index() -> None:
    table = rows(many(3000))
    target = BalanceSettings(size=700, source_cap=0.6, image_uses=1, seed=3)
    mix = balance(table, TREE, target)
    shuffled = table.take(np.random.default_rng(1).permutation(len(table)))
    assert keys_of(table, balance(table, TREE, target, threads=16)) == keys_of(table, mix)
    assert keys_of(shuffled, balance(shuffled, TREE, target)) == keys_of(table, mix)
    other = balance(table, TREE, target.model_copy(update={"seed": 4}))
    assert keys_of(table, other) != keys_of(table, mix)
    assert other.solution.distance == pytest.approx(mix.solution.distance)


def test_of_near_duplicates_with_the_same_images_the_surest_stays() -> None:
    same = {"taxonomy": LEAVES[0], "near": 7, "images": [1, 2]}
    table = rows(
        [
            {**same, "confidence": 0.5},
            {**same, "confidence": 0.9},
            {**same, "confidence": 0.7},
            {**same, "images": [3]},  # the same question about another picture
            {"taxonomy": LEAVES[0], "text_hash": 5},
            {"taxonomy": LEAVES[0], "text_hash": 5},
        ]
    )
    pool = gather(table, TREE, BalanceSettings(size=1))
    assert pool.counts["near_duplicate"] == 3
    assert {1, 3} <= set(pool.rows.tolist())
    assert len({4, 5} & set(pool.rows.tolist())) == 1
    kept = gather(table, TREE, BalanceSettings(size=1, near_duplicates="keep"))
    assert kept.counts["candidates"] == 6


def test_every_row_of_the_index_is_accounted_for() -> None:
    table = rows(
        [
            {"taxonomy": None},
            {"taxonomy": "no/such/leaf"},
            {"taxonomy": LEAVES[0], "confidence": 0.2},
            {"taxonomy": LEAVES[0], "key": "twice"},
            {"taxonomy": LEAVES[1], "key": "twice"},
            {"taxonomy": LEAVES[0], "images": [9]},
            {"taxonomy": LEAVES[0]},
            {"taxonomy": LEAVES[2], "text_hash": 77},
        ]
    )
    held = HeldOut.of(rows([{"images": [9], "key": "x", "text_hash": 77}]))
    counts = gather(table, TREE, BalanceSettings(size=1, min_confidence=0.3), held).counts
    assert counts == {
        "total": 8,
        "held_out": 2,
        "unlabelled": 2,
        "unknown_path": 1,
        "repeated_key": 1,
        "near_duplicate": 0,
        "candidates": 2,
    }


def test_constraints_that_collide_are_named_and_only_these() -> None:
    table = rows([{"taxonomy": LEAVES[0]}] * 10 + [{"taxonomy": LEAVES[3], "source": "b"}] * 3)
    table = table.set_column(0, "key", [[f"k{i}" for i in range(13)]])
    bounds = {"nodes": {"judge": {"min": 0.5}, "see": {"min": 0.1}}, "sources": {"a": {"max": 0.9}}}
    target = BalanceSettings.model_validate(
        {"size": 8, "near_duplicates": "keep", "bounds": bounds}
    )
    with pytest.raises(UserError) as told_by:
        balance(table, TREE, target)
    said = str(told_by.value)
    assert "node judge: at least 4 (there are 3 to take); 3 would do" in said
    assert "node see" not in said
    assert "source a" not in said


def test_excess_stays_near_and_is_spread() -> None:
    # `count` has nothing; `read` is of the same main category and takes its part.
    table = rows([{"taxonomy": leaf} for leaf in LEAVES[1:] for _ in range(100)])
    mix = balance(table, TREE, BalanceSettings(size=90))
    taken = dict(zip(LEAVES, np.bincount(mix.pool.cells.leaf, mix.solution.counts), strict=True))
    assert taken == {LEAVES[0]: 0, LEAVES[1]: 30, LEAVES[2]: 30, LEAVES[3]: 30}
    # Of two sources that could give it all, each gives by what it has.
    table = rows(
        [{"taxonomy": LEAVES[0], "source": "a"}] * 300
        + [{"taxonomy": LEAVES[0], "source": "b"}] * 100
    )
    table = table.set_column(0, "key", [[f"k{i}" for i in range(400)]])
    mix = balance(table, TREE, BalanceSettings(size=40, near_duplicates="keep"))
    assert mix.solution.counts.tolist() == [30, 10]


def test_nobody_comes_again_while_another_has_not_come() -> None:
    table = rows([{"taxonomy": LEAVES[0], "source": s} for s in "aab"])
    mix = balance(table, TREE, BalanceSettings(size=3, conversation_uses=5))
    assert mix.times.tolist() == [1, 1, 1]
    mix = balance(table, TREE, BalanceSettings(size=7, conversation_uses=3))
    assert sorted(mix.times.tolist()) == [2, 2, 3]
