"""The mix: an index of conversations, a taxonomy and a target in; how often each is used, out.

    OUT/taxonomy/mix.parquet    key, times, taxonomy, source, language, part: a row a conversation
    OUT/taxonomy/mix.json       target, distance, what binds and what it costs, supply and deficits

Four steps: what can be used (`pool.py`), the counts of cells nearest to the target (`program.py`),
among equals the fairest (`spread.py`), and which conversations (`assignment.py`). Where images
are used too often, the last step tells the second what it did not know, and both go again: with
one image a conversation this ends at the optimum, and proves it; else the distance is given with
a bound that no mix can go below. Constraints that no mix satisfies are named (`infeasible.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dsvl_data.outcome import UserError
from taxonomy.assignment import Assignment, assign
from taxonomy.columns import Ints
from taxonomy.infeasible import explain
from taxonomy.pool import HeldOut, Pool, gather
from taxonomy.program import Constraint, Infeasible, Problem, Solution, solve
from taxonomy.spread import Preferences, spread
from taxonomy.targets import BalanceSettings, Bound, check_names, leaf_shares
from taxonomy.tree import Taxonomy

_ROUNDS = 60


@dataclass(frozen=True)
class Cut:
    """Cells that images keep from giving more than `high`.

    Not `valid`: that is only what the search for conversations reached, not what there is.
    """

    cells: Ints
    high: int
    valid: bool = True


@dataclass(frozen=True)
class Mix:
    """A mix: `rows` of the index with their `times`, ascending, and all that led to it."""

    taxonomy: Taxonomy
    settings: BalanceSettings
    pool: Pool
    shares: dict[str, float]
    problem: Problem
    solution: Solution
    cuts: tuple[Cut, ...]
    rows: Ints
    times: Ints

    @property
    def is_optimal(self) -> bool:
        """Whether it is proven that no feasible mix is nearer to the target."""
        return self.solution.distance - self.solution.bound < 1e-9 + 1e-3 / self.settings.size


def balance(
    table: pa.Table,
    taxonomy: Taxonomy,
    settings: BalanceSettings,
    held_out: HeldOut | None = None,
    threads: int = 1,
) -> Mix:
    """Return the mix nearest to the target. Raises `UserError` naming what cannot be satisfied."""
    pool = gather(table, taxonomy, settings, held_out, threads)
    if not pool.counts["candidates"]:
        said = ", ".join(f"{count} {name}" for name, count in pool.counts.items() if count)
        raise UserError(f"the index has no conversation that could be used: {said}")
    shares = shares_of(pool, taxonomy, settings)
    cuts = _first_cuts(pool, settings)
    preferences = _preferences(pool, taxonomy, settings)
    bound = 0.0
    for _ in range(_ROUNDS):
        problem = build(pool, taxonomy, settings, shares, cuts)
        try:
            best = solve(problem)
        except Infeasible:
            raise _infeasible(problem, cuts) from None
        if all(cut.valid for cut in cuts):
            bound = best.bound
        chosen = spread(problem, best, preferences)
        found = assign(pool.candidates, chosen.counts)
        if not found.short.any():
            times = found.times.astype(np.int64)
            used = np.flatnonzero(times)
            order = used[np.argsort(pool.rows[used])]
            solution = Solution(chosen.counts, chosen.distance, min(bound, chosen.distance))
            return Mix(
                taxonomy, settings, pool, shares, problem, solution, tuple(cuts),
                pool.rows[order], times[order],
            )  # fmt: skip
        cuts = [*cuts, *_new_cuts(pool, settings, chosen.counts, found)]
    raise UserError(
        f"no mix was found in {_ROUNDS} rounds in which no image is used more than "
        f"{settings.image_uses} times; allow more with --image-uses, or a smaller --size"
    )


def shares_of(pool: Pool, taxonomy: Taxonomy, settings: BalanceSettings) -> dict[str, float]:
    """Return the target share of each leaf, by id; checks names against what there is."""
    check_names("source", settings.bounds.sources, pool.sources)
    check_names("language", settings.bounds.languages, pool.languages)
    by_leaf = pool.supply("leaf")
    names = (path.rpartition("/")[2] for path in pool.leaves)
    supply = {name: int(count) for name, count in zip(names, by_leaf, strict=True)}
    return leaf_shares(taxonomy, settings, supply)


def build(
    pool: Pool,
    taxonomy: Taxonomy,
    settings: BalanceSettings,
    shares: dict[str, float],
    cuts: Sequence[Cut],
) -> Problem:
    """Put targets and constraints into one problem over the pool's cells."""
    cells = pool.cells
    wanted = np.array([shares[path.rpartition("/")[2]] for path in pool.leaves]) * settings.size
    classes = cells.leaf
    if settings.languages:
        languages = class_languages(pool, settings)
        of_language = np.array([settings.languages.get(name, 0.0) for name in languages])
        place = np.array([languages.index(name) for name in pool.languages])
        classes = cells.leaf * len(languages) + place[cells.language]
        wanted = np.outer(wanted, of_language / of_language.sum()).ravel()
    candidates, count = pool.candidates, len(cells.supply)
    capacity = candidates.ranks(
        np.arange(count), count, settings.image_uses or 1 << 30, settings.conversation_uses
    )
    constraints: list[Constraint] = []

    def bound(rule: str, name: str, members: Ints, limit: Bound) -> None:
        low, high = limit.counts(settings.size)
        constraints.append(Constraint(f"{rule} {name}", rule, members, low, high))

    for number, name in enumerate(pool.sources):
        limit = settings.bounds.sources.get(name)
        if limit is None and settings.source_cap is not None:
            limit = Bound(max=settings.source_cap)
        if limit is not None:
            bound("source", name, np.flatnonzero(cells.source == number), limit)
    for name, limit in settings.bounds.languages.items():
        at = pool.languages.index(name)
        bound("language", name, np.flatnonzero(cells.language == at), limit)
    for name, limit in settings.bounds.nodes.items():
        path = taxonomy.text_path(name)
        below = [p == path or p.startswith(f"{path}/") for p in pool.leaves]
        bound("node", name, np.flatnonzero(np.array(below)[cells.leaf]), limit)
    for cut in cuts:
        name = f"image uses {settings.image_uses}"
        constraints.append(Constraint(name, "images", cut.cells, 0, cut.high))
    return Problem(settings.size, classes, wanted, capacity, tuple(constraints))


def class_languages(pool: Pool, settings: BalanceSettings) -> list[str]:
    """Return the languages that classes have, where languages have targets."""
    return sorted({*pool.languages, *settings.languages})


def _preferences(pool: Pool, taxonomy: Taxonomy, settings: BalanceSettings) -> Preferences:
    cells, count = pool.cells, len(pool.cells.supply)
    fresh = pool.candidates.ranks(np.arange(count), count, settings.image_uses or 1 << 30, 1)
    each = len(class_languages(pool, settings)) if settings.languages else 1
    depth = max(path.count("/") for path in pool.leaves)
    levels = []
    for level in range(1, depth + 1):
        names = ["/".join(path.split("/")[:level]) for path in pool.leaves]
        numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
        levels.append(np.repeat([numbers[name] for name in names], each).astype(np.int64))
    if settings.languages:
        levels.append(np.tile(np.arange(each), len(pool.leaves)).astype(np.int64))
    return Preferences(fresh, cells.supply, levels)


def _first_cuts(pool: Pool, settings: BalanceSettings) -> list[Cut]:
    """Return what images mean for each leaf, source, language, and all: where searches begin."""
    if not pool.candidates.image_count:
        return []
    cells = pool.cells
    families: list[Ints] = [
        cells.leaf,
        cells.source,
        cells.language,
        cells.leaf * len(pool.languages) + cells.language,
        cells.source * len(pool.languages) + cells.language,
        np.zeros(len(cells.leaf), np.int64),
    ]
    count = len(cells.supply)
    rank = _rank(pool, settings)
    own = rank(np.arange(count), count)
    cuts = []
    for family in families:
        names, group = np.unique(family, return_inverse=True)
        together = rank(group, len(names))
        apart = np.bincount(group, own)
        for number in np.flatnonzero(together < apart):
            cuts.append(Cut(np.flatnonzero(group == number), int(together[number])))
    return cuts


def _new_cuts(pool: Pool, settings: BalanceSettings, wanted: Ints, found: Assignment) -> list[Cut]:
    """Turn what was short into cuts: proven ones where there are some."""
    rank = _rank(pool, settings)
    got = np.bincount(pool.candidates.cell_of_row, found.times, len(wanted)).astype(np.int64)
    sets = list(found.sets)
    if len(sets) > 1:
        sets.append(np.unique(np.concatenate(sets)))
    proven, tried = [], []
    for cells in sets:
        inside = np.ones(len(wanted), np.int64)
        inside[cells] = 0
        most = int(rank(inside, 2)[0])
        if wanted[cells].sum() > most:
            proven.append(Cut(cells, most))
        elif wanted[cells].sum() > got[cells].sum():
            tried.append(Cut(cells, int(got[cells].sum()), valid=False))
    if proven or tried:
        return proven or tried
    short = np.flatnonzero(found.short)
    return [Cut(np.array([cell]), int(got[cell]), valid=False) for cell in short]


def _rank(pool: Pool, settings: BalanceSettings) -> Callable[[Ints, int], Ints]:
    def rank(group: Ints, groups: int) -> Ints:
        uses = settings.image_uses or 1 << 30
        return pool.candidates.ranks(group, groups, uses, settings.conversation_uses)

    return rank


def _infeasible(problem: Problem, cuts: Sequence[Cut]) -> UserError:
    culprits = explain(problem)
    lines = "\n".join(f"  {culprit}" for culprit in culprits)
    said = "no mix satisfies all of these together; without any one of them some mix does:"
    if not culprits:
        return UserError("no whole numbers of conversations satisfy all constraints; widen a bound")
    if not all(cut.valid for cut in cuts):
        said = "no mix was found that satisfies all of these (images may leave others possible):"
    return UserError(f"{said}\n{lines}")
