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
        with pytest.raises(UserError, match="no mix satisfies|no whole numbers"):
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
        assert least is None or "no mix was found" in str(error)
        return
    assert least is not None
    times = times_of(mix, len(table))
    assert is_allowed(table, times, target)
    assert distance(table, times, target, shares) == pytest.approx(mix.solution.distance)
    assert mix.solution.bound - 1e-9 <= least <= mix.solution.distance + 1e-9
