"""What there is to say of a mix: a `Mix` in; numbers for people and programs, and its files, out.

Prices come twice: the linear program's dual value, which is exact for a small step (one step of
one conversation, told for 1 % of the mix), and the distance after a step of 1 %, from solving the
relaxation anew, which tells how far the price holds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsvl_data import storage
from taxonomy import index
from taxonomy.balance import Cut, Mix, build
from taxonomy.program import Infeasible, relaxed

MIX, MIX_JSON = "mix.parquet", "mix.json"
#: Steps that are solved anew, of the constraints with the highest prices.
_STEPS = 24
_STEP = 0.01


def mix_table(table: pa.Table, mix: Mix) -> pa.Table:
    """Return the mix's rows: a conversation each, and how often it is used."""
    columns = ["key", "taxonomy", "source", "language", "part"]
    chosen = table.select(columns).take(pa.array(mix.rows))
    return chosen.add_column(1, "times", pa.array(mix.times, pa.int32()))


def check(table: pa.Table, mix: Mix) -> None:
    """Count again, from the index and the times alone; `AssertionError` when a limit is broken."""
    settings, problem = mix.settings, mix.problem
    chosen = table.select(["key", "images"]).take(pa.array(mix.rows))
    assert int(mix.times.sum()) == settings.size, "the size is not what was asked for"
    assert int(mix.times.max(initial=0)) <= settings.conversation_uses, "a conversation too often"
    assert pc.count_distinct(chosen["key"]).as_py() == len(mix.rows), "a conversation came twice"
    taken = problem.taken_by_row(mix.solution.counts)
    for row, count in zip(problem.rows, taken, strict=True):
        assert row.low - 1e-3 <= count <= row.high + 1e-3 or row.rule == "images", row.name
    if settings.image_uses is not None:
        owners = np.asarray(pc.list_parent_indices(chosen["images"].combine_chunks()))
        images = np.asarray(pc.list_flatten(chosen["images"]), np.uint64)
        if len(images):
            pairs = np.unique(np.stack([images, owners.astype(np.uint64)]), axis=1)
            _, number = np.unique(pairs[0], return_inverse=True)
            uses = np.bincount(number, mix.times[pairs[1].astype(np.int64)])
            assert uses.max() <= settings.image_uses, "an image is used too often"


def report(mix: Mix) -> dict[str, Any]:
    """Return all numbers of a mix, as JSON values."""
    pool, settings, counts = mix.pool, mix.settings, mix.solution.counts
    prices = relaxed(mix.problem)
    cells = pool.cells
    by_leaf = np.bincount(cells.leaf, counts, len(pool.leaves))
    worth = np.zeros(len(pool.leaves))
    np.maximum.at(worth, cells.leaf, prices.supply)
    leaves = []
    taken = _by_language(mix, counts)
    supply = _by_language(mix, cells.supply)
    for number, path in enumerate(pool.leaves):
        share = mix.shares[path.rpartition("/")[2]]
        leaves.append(
            {
                "path": path,
                "target": share * settings.size,
                "taken": int(by_leaf[number]),
                "supply": int(sum(supply[number].values())),
                "languages": {
                    name: {"taken": taken[number][name], "supply": supply[number][name]}
                    for name in pool.languages
                },
                "price": float(worth[number] * settings.size * _STEP),
            }
        )
    return {
        "size": settings.size,
        "conversations": len(mix.rows),
        "distance": mix.solution.distance,
        "bound": mix.solution.bound,
        "optimal": mix.is_optimal,
        "images_exact": pool.candidates.is_exact,
        "pool": dict(pool.counts),
        "times": {str(k): v for k, v in sorted(Counter(mix.times.tolist()).items())},
        "target_languages": dict(settings.languages),
        "constraints": _constraints(mix, prices.rows),
        "limits": _limits(mix),
        "leaves": leaves,
        "sources": _totals(pool.sources, cells.source, cells.supply, counts),
        "languages": _totals(pool.languages, cells.language, cells.supply, counts),
        "settings": settings.model_dump(mode="json"),
    }


def write(out: str, table: pa.Table, mix: Mix) -> dict[str, Any]:
    """Check and write a mix below `OUT/taxonomy/`; returns its report."""
    check(table, mix)
    said = report(mix)
    sink = pa.BufferOutputStream()
    pq.write_table(mix_table(table, mix), sink, compression="zstd")
    folder = storage.join(out, index.ROOT)
    storage.atomic_write(storage.join(folder, MIX), sink.getvalue().to_pybytes())
    text = json.dumps(said, indent=2, ensure_ascii=False)
    storage.atomic_write(storage.join(folder, MIX_JSON), text.encode())
    return said


def summary(said: Mapping[str, Any]) -> list[str]:
    """Return a report's main lines, for a person."""
    pool = said["pool"]
    left = ", ".join(
        f"{count} {name.replace('_', ' ')}"
        for name, count in pool.items()
        if count and name not in ("total", "candidates")
    )
    lines = [
        f"index: {pool['total']} conversations, {pool['candidates']} can be used"
        + (f" (left out: {left})" if left else ""),
        f"mix: {said['size']} uses of {said['conversations']} conversations",
        f"distance to the target (total variation): {said['distance']:.6f}, "
        + (
            "and no mix within the constraints is nearer"
            if said["optimal"]
            else f"and no mix within the constraints is below {said['bound']:.6f}"
        ),
    ]
    binding = [c for c in said["constraints"] if c["binds"]]
    for c in binding:
        line = f"binds: {c['name']} {c['binds']} {c['bound']}"
        if c["distance_after"] is not None and c["distance_after"] < said["distance"] - 1e-9:
            line += f"; moved by 1 % of the mix, the distance would be {c['distance_after']:.6f}"
        elif c["rule"] != "size":
            line += "; moving it by 1 % of the mix brings nothing"
        lines.append(line)
    for name, after in said["limits"].items():
        if after < said["distance"] - 1e-9:
            lines.append(f"{name}: the distance would be {after:.6f} at best")
    return lines


def _constraints(mix: Mix, prices: Any) -> list[dict[str, Any]]:
    """Every constraint but the cuts for images, with what it costs where it binds."""
    problem, size = mix.problem, mix.settings.size
    taken = np.rint(problem.taken_by_row(mix.solution.counts)).astype(int)
    found: list[dict[str, Any]] = []
    for number, row in enumerate(problem.rows):
        if row.rule in ("images", "size"):
            continue
        binds = "at most" if taken[number] >= row.high and row.high < size else ""
        if taken[number] <= row.low and row.low > 0:
            binds = "at least"
        found.append(
            {
                "name": row.name,
                "rule": row.rule,
                "low": int(row.low),
                "high": int(row.high),
                "taken": int(taken[number]),
                "binds": binds,
                "bound": int(row.low if binds == "at least" else row.high),
                "price": float(prices[number] * size * _STEP),
                "distance_after": None,
                "_row": number,
            }
        )
    ranked = sorted((c for c in found if c["binds"]), key=lambda c: -abs(c["price"]))
    for constraint in ranked[:_STEPS]:
        constraint["distance_after"] = _after(mix, constraint["_row"], constraint["binds"])
    for constraint in found:
        del constraint["_row"]
    return found


def _after(mix: Mix, number: int, binds: str) -> float:
    """The relaxation's distance when one bound gives way by 1 % of the mix."""
    step = mix.settings.size * _STEP
    rows = list(mix.problem.constraints)
    row = rows[number - 1]  # the size stands in front
    if binds == "at least":
        rows[number - 1] = replace(row, low=max(0.0, row.low - step))
    else:
        rows[number - 1] = replace(row, high=row.high + step)
    return relaxed(replace(mix.problem, constraints=tuple(rows))).distance


def _limits(mix: Mix) -> dict[str, float]:
    """The distance, at best, were a limit on uses or the size another."""
    settings, pool = mix.settings, mix.pool
    variants = {
        f"each conversation up to {settings.conversation_uses + 1} times": {
            "conversation_uses": settings.conversation_uses + 1
        },
        "a mix smaller by 1 %": {"size": max(1, int(settings.size * (1 - _STEP)))},
    }
    if pool.candidates.image_count and settings.image_uses is not None:
        name = f"each image up to {settings.image_uses + 1} times"
        variants[name] = {"image_uses": settings.image_uses + 1}
    found = {}
    for name, change in variants.items():
        other = settings.model_copy(update=change)
        cuts = []
        for cut in mix.cuts:
            inside = np.ones(len(pool.cells.supply), np.int64)
            inside[cut.cells] = 0
            uses = other.image_uses or 1 << 30
            most = pool.candidates.ranks(inside, 2, uses, other.conversation_uses)[0]
            cuts.append(Cut(cut.cells, int(most)))
        try:
            found[name] = relaxed(build(pool, mix.taxonomy, other, mix.shares, cuts)).distance
        except Infeasible:  # a bound given as a number of conversations, at another size
            continue
    return found


def _by_language(mix: Mix, counts: Any) -> list[dict[str, int]]:
    cells, names = mix.pool.cells, mix.pool.languages
    where = cells.leaf * len(names) + cells.language
    matrix = np.bincount(where, counts, len(mix.pool.leaves) * len(names))
    return [
        {name: int(count) for name, count in zip(names, row, strict=True)}
        for row in matrix.reshape(len(mix.pool.leaves), len(names))
    ]


def _totals(names: tuple[str, ...], groups: Any, supply: Any, counts: Any) -> dict[str, Any]:
    have = np.bincount(groups, supply, len(names))
    taken = np.bincount(groups, counts, len(names))
    return {name: {"supply": int(have[i]), "taken": int(taken[i])} for i, name in enumerate(names)}
