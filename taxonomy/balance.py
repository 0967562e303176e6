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
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsvl_data.outcome import UserError
from taxonomy.assignment import Assignment, allot, assign, take_within
from taxonomy.columns import Ints
from taxonomy.image_flow import image_flow
from taxonomy.infeasible import explain
from taxonomy.pool import HeldOut, Pool, gather
from taxonomy.program import Constraint, Flow, Infeasible, Problem, Solution, solve
from taxonomy.spread import Preferences, spread
from taxonomy.targets import BalanceSettings, Bound, check_names, leaf_shares
from taxonomy.tree import Taxonomy

#: Rounds of cuts before the images go into the program, and in all.
_FEW_ROUNDS, _ROUNDS = 3, 12
_MOST_CUTS = 64


@dataclass(frozen=True)
class Cut:
    """Cells that images keep from giving more than `high`."""

    cells: Ints
    high: int


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
    return _Search(pool, taxonomy, settings, shares).run()


class _Search:
    """The rounds between counts of cells and conversations.

    Cuts first: most pools need few. Where these do not do, the images go into the program
    itself, if it can hold them; and where that is not enough either (too many images, or several
    in a conversation), images are allotted to conversations before the program is solved.
    """

    def __init__(
        self, pool: Pool, taxonomy: Taxonomy, settings: BalanceSettings, shares: dict[str, float]
    ) -> None:
        self._pool, self._taxonomy, self._settings = pool, taxonomy, settings
        self._shares = shares
        self._preferences = _preferences(pool, taxonomy, settings)
        self._bound = 0.0

    def run(self) -> Mix:
        pool, settings = self._pool, self._settings
        cuts = _first_cuts(pool, settings)
        flow: Flow | None = None
        for number in range(_ROUNDS):
            problem = self._problem(cuts, flow)
            chosen = self._solve(problem)
            found = assign(pool.candidates, chosen.counts)
            if not found.short.any():
                return self._mix(problem, chosen, cuts, found.times)
            added = _new_cuts(pool, settings, chosen.counts, found)
            if flow is not None or not added:
                break
            cuts = [*cuts, *added]
            if number + 1 == _FEW_ROUNDS:
                flow = image_flow(pool.candidates)
        allotted = allot(pool.candidates, found)
        capacity = np.bincount(pool.candidates.cell_of_row, allotted, len(chosen.counts)).astype(
            np.int64
        )
        problem = replace(self._problem(cuts, flow), capacity=capacity, flow=None)
        problem = replace(problem, constraints=self._problem([], None).constraints)
        try:
            chosen = spread(problem, solve(problem), self._preferences)
        except Infeasible:
            raise UserError(
                f"no mix was found in which no image is used more than {settings.image_uses} "
                "times, though there may be one; allow more with --image-uses, or a smaller --size"
            ) from None
        times = take_within(pool.candidates, allotted, chosen.counts)
        return self._mix(problem, chosen, cuts, times)

    def _problem(self, cuts: Sequence[Cut], flow: Flow | None) -> Problem:
        problem = build(self._pool, self._taxonomy, self._settings, self._shares, cuts)
        return replace(problem, flow=flow)

    def _solve(self, problem: Problem) -> Solution:
        try:
            best = solve(problem)
        except Infeasible:
            raise _infeasible(problem) from None
        self._bound = max(self._bound, best.bound)
        return spread(problem, best, self._preferences)

    def _mix(
        self, problem: Problem, chosen: Solution, cuts: Sequence[Cut], times: NDArray[np.int32]
    ) -> Mix:
        used = np.flatnonzero(times)
        order = used[np.argsort(self._pool.rows[used])]
        bound = min(self._bound, chosen.distance)
        return Mix(
            self._taxonomy, self._settings, self._pool, self._shares, problem,
            Solution(chosen.counts, chosen.distance, bound), tuple(cuts),
            self._pool.rows[order], times[order].astype(np.int64),
        )  # fmt: skip


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
    """Turn what was short into cuts: the sets that ask for more than their rank."""
    rank = _rank(pool, settings)
    sets = list(found.sets)
    if len(sets) > 1:
        sets.append(np.unique(np.concatenate(sets)))
    cuts = []
    for cells in sets[:_MOST_CUTS]:
        inside = np.ones(len(wanted), np.int64)
        inside[cells] = 0
        most = int(rank(inside, 2)[0])
        if wanted[cells].sum() > most:
            cuts.append(Cut(cells, most))
    return cuts


def _rank(pool: Pool, settings: BalanceSettings) -> Callable[[Ints, int], Ints]:
    def rank(group: Ints, groups: int) -> Ints:
        uses = settings.image_uses or 1 << 30
        return pool.candidates.ranks(group, groups, uses, settings.conversation_uses)

    return rank


def _infeasible(problem: Problem) -> UserError:
    culprits = explain(problem)
    if not culprits:
        return UserError("no whole numbers of conversations satisfy all constraints; widen a bound")
    lines = "\n".join(f"  {culprit}" for culprit in culprits)
    return UserError(
        "no mix satisfies all of these together; without any one of them some mix does:\n" + lines
    )
