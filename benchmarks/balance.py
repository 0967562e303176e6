"""The nearest mix, and what people do today: 10 million conversations, side by side.

In: a synthetic index (100 leaves, 20 sources, 2 languages, three conversations an image, some
near-duplicates). Out, as lines: seconds, memory and distance to the target of `taxonomy balance`;
then the distance, over the same pool, of

- random: conversations drawn at random, from all and from each source alike;
- interleaved: `datasets.interleave_datasets` over the sources with probabilities, as LLaMA-Factory
  mixes (`mix_strategy: interleave_under`/`interleave_over`), with even weights, with weights by
  size, and with the best weights that there are for these leaves (least squares, not negative):
  more than anybody does by hand.

    python benchmarks/balance.py [CONVERSATIONS] [SIZE]
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.optimize import nnls

from taxonomy.balance import balance
from taxonomy.mix_report import check
from taxonomy.targets import BalanceSettings
from taxonomy.tree import Node, Taxonomy

LEAVES, SOURCES, ROUNDS = 100, 20, 3


def tree() -> Taxonomy:
    """Ten main categories with ten leaves each."""

    def node(name: str, children: tuple[Node, ...] = ()) -> Node:
        names = {"en": name}
        return Node(name, names, names, ("one", "photo"), {}, {}, children, 1, "benchmark")

    return Taxonomy(
        tuple(
            node(f"main{m}", tuple(node(f"leaf{m * 10 + i:02d}") for i in range(10)))
            for m in range(LEAVES // 10)
        ),
        ("en", "zh"),
    )


def synthetic(count: int, taxonomy: Taxonomy, seed: int = 0) -> pa.Table:
    """Sources of uneven size and subject; one in four is Chinese; 2 % come again, nearly."""
    draw = np.random.default_rng(seed)
    paths = [taxonomy.text_path(leaf.id) for leaf in taxonomy.leaves()]
    source = draw.choice(SOURCES, count, p=draw.dirichlet(np.full(SOURCES, 0.7))).astype(np.int32)
    leaf = np.empty(count, np.int32)
    chance = draw.random(count)
    for number in range(SOURCES):
        here = source == number
        within = np.cumsum(draw.dirichlet(np.full(LEAVES, 0.3)))
        leaf[here] = np.searchsorted(within, chance[here]).clip(0, LEAVES - 1)
    language = (draw.random(count) < np.where(source % 4 == 0, 0.9, 0.02)).astype(np.int32)
    images = draw.integers(0, max(1, count // 3), count).astype(np.uint64)
    text = draw.integers(0, 1 << 62, count).astype(np.uint64)
    again = np.flatnonzero(draw.random(count - 1) < 0.02) + 1
    images[again], text[again] = images[again - 1], text[again - 1]

    def few(codes: Any, names: list[str]) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names))

    return pa.table(
        {
            "key": pa.array(np.char.add("conversation-", np.arange(count).astype("U9"))),
            "source": few(source, [f"source{number:02d}" for number in range(SOURCES)]),
            "language": few(language, ["en", "zh"]),
            "taxonomy": few(leaf, paths),
            "confidence": pa.array(draw.random(count).astype(np.float32)),
            "images": pa.ListArray.from_arrays(
                pa.array(np.arange(count + 1, dtype=np.int32)), pa.array(images)
            ),
            "text_hash": pa.array(text),
            "near": pa.nulls(count, pa.uint64()),
            "part": few(np.zeros(count, np.int32), ["sft/part-00000.parquet"]),
        }
    )


def distance(leaves: Any) -> float:
    """Total variation of these leaves' numbers from an even mix."""
    return float(np.abs(np.bincount(leaves, minlength=LEAVES) / len(leaves) - 1 / LEAVES).sum() / 2)


def peers(table: pa.Table, size: int, seed: int) -> dict[str, float]:
    """Distance to the target of each way, for one seed; no constraint is kept by any."""
    from datasets import Dataset, interleave_datasets

    leaf = np.asarray(table["taxonomy"].combine_chunks().indices)
    source = np.asarray(table["source"].combine_chunks().indices)
    draw = np.random.default_rng(seed)
    own = [draw.permutation(leaf[source == number]) for number in range(SOURCES)]
    sizes = np.array([len(leaves) for leaves in own], np.float64)
    within = np.stack([np.bincount(each, minlength=LEAVES) / max(1, len(each)) for each in own])
    best = nnls(within.T, np.full(LEAVES, 1 / LEAVES))[0]
    weights = {
        "even weights": np.full(SOURCES, 1 / SOURCES),
        "weights by size": sizes / sizes.sum(),
        "best weights": best / best.sum(),
    }
    each = size // SOURCES
    found = {
        "random, of all": distance(draw.choice(leaf, size, replace=False)),
        "random, each source alike": distance(np.concatenate([some[:each] for some in own])),
    }
    for name, chances in weights.items():
        used = np.flatnonzero(chances > 0)
        # What can be drawn at most, so that datasets need not hold what is never drawn.
        sets = [
            Dataset.from_dict({"leaf": own[i][: int(size * chances[i] * 1.2) + 1000]}) for i in used
        ]
        mixed = interleave_datasets(
            sets,
            probabilities=(chances[used] / chances[used].sum()).tolist(),
            seed=seed,
            stopping_strategy="first_exhausted",
        )
        rows = np.asarray(mixed.with_format("numpy")[:size]["leaf"])
        found[f"interleave_datasets, {name}"] = distance(rows)
    return found


def main() -> None:
    """Run and print."""
    count = int(float(sys.argv[1])) if len(sys.argv) > 1 else 10_000_000
    size = int(float(sys.argv[2])) if len(sys.argv) > 2 else count // 10
    taxonomy = tree()
    table = synthetic(count, taxonomy)
    print(f"{count} conversations, {LEAVES} leaves, {SOURCES} sources, 2 languages; mix of {size}")
    plain: dict[str, Any] = {"size": size}
    bound: dict[str, Any] = {
        "source_cap": 0.12,
        "bounds": {"languages": {"zh": {"min": 0.3}}, "nodes": {"main1": {"min": 0.12}}},
        "image_uses": 1,
    }
    for name, more in (("target alone", {}), ("with constraints", bound)):
        settings = BalanceSettings.model_validate({**plain, **more})
        walls, works = [], []
        for _ in range(ROUNDS):
            wall, work = time.perf_counter(), time.process_time()
            mix = balance(table, taxonomy, settings, threads=2)
            walls.append(time.perf_counter() - wall)
            works.append(time.process_time() - work)
        check(table, mix)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"taxonomy balance, {name}: {statistics.median(walls):.1f} s (CPU "
            f"{statistics.median(works):.1f} s, first {walls[0]:.1f} s), peak {peak:.2f} GB with "
            f"the index, distance {mix.solution.distance:.6f}, no mix below "
            f"{mix.solution.bound:.6f}"
        )
    runs = [peers(table, size, seed) for seed in range(ROUNDS)]
    for name in runs[0]:
        print(f"{name}: distance {statistics.median(run[name] for run in runs):.6f}")


if __name__ == "__main__":
    main()
