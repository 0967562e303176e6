"""Of all mixes that are equally near to the target, the one that a person would take.

In: a problem and its least distance. Out: counts with the same distance. Total variation does
not mind where the excess goes that fills the place of a short leaf, nor which sources a leaf is
taken from. So, one after the other:

1. what a leaf lacks is taken from leaves of the same node, as far as possible;
2. no conversation is used again while another of its leaf is unused;
3. excess and lack are shared among leaves in proportion to their targets;
4. a leaf is taken from its sources and languages in proportion to what they have.

1 to 3 are one linear program (weights keep the order), 4 another with the classes' totals fixed;
proportion is a convex cost in bands of growing slope. A last small integer program rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.optimize import linprog

from taxonomy.program import (
    TOLERANCE,
    Floats,
    Infeasible,
    Ints,
    Model,
    Problem,
    Solution,
    membership,
    solve,
)

#: Widths of the bands above and below a reference, as shares of it; the costs are 1, 2, 3, ...
_ABOVE = (0.05, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, np.inf)
_BELOW = (0.05, 0.05, 0.1, 0.2, 0.2, 0.2, 0.2)
_NODE_WEIGHT, _AGAIN_WEIGHT = 1000.0, 100.0
#: How far rounding may move a cell, tried in this order.
_WIDTHS = (0, 2, 8)


@dataclass(frozen=True)
class Preferences:
    """What decides among equals.

    `fresh`: how many uses each cell has before a conversation is used again. `supply`: how many
    conversations. `levels`: for each level above the leaves the node of each class.
    """

    fresh: Ints
    supply: Ints
    levels: Sequence[Ints]


def spread(problem: Problem, best: Solution, preferences: Preferences) -> Solution:
    """Return counts with the distance of `best`, spread by the preferences.

    Where rounding finds none that near, `best` itself comes back.
    """
    totals = _totals(problem, best, preferences)
    if totals is None:
        return best
    near = _within(problem, totals, preferences)
    if near is None:
        return best
    for width in _WIDTHS:
        try:
            rounded = solve(problem, near, width)
        except Infeasible:
            continue
        if rounded.distance <= best.distance + TOLERANCE / problem.size:
            return Solution(rounded.counts, rounded.distance, best.bound)
    return best


def _totals(problem: Problem, best: Solution, preferences: Preferences) -> Floats | None:
    """Steps 1 to 3: uses of each class."""
    model = Model(problem)
    program = _Program(model.cost.size, model.upper())
    program.add(model.matrix, model.low, model.high)
    near = best.distance * 2 * problem.size - model.constant
    program.add(sparse.csr_matrix(model.cost), [-np.inf], [near + TOLERANCE])
    for nodes in preferences.levels:
        of_node = _sums(nodes[problem.classes], int(nodes.max(initial=-1)) + 1)
        wanted = np.bincount(nodes, problem.target).astype(np.float64)
        program.bands(of_node, wanted, wanted, (np.inf,), (np.inf,), _NODE_WEIGHT)
    _again(program, problem, preferences)
    program.bands(
        _sums(problem.classes, len(problem.target)),
        problem.target,
        np.maximum(problem.target, 1),
        _ABOVE,
        (*_BELOW, np.inf),
        1.0,
    )
    found = program.minimise()
    return None if found is None else problem.taken(found[: problem.cells])


def _within(problem: Problem, totals: Floats, preferences: Preferences) -> Floats | None:
    """Step 4: uses of each cell, not yet whole."""
    program = _Program(problem.columns, problem.upper)
    program.add(problem.matrix, problem.low, problem.high)
    program.add(problem.flow_matrix, np.full(len(problem.flow_high), -np.inf), problem.flow_high)
    of_class = _sums(problem.classes, len(totals))
    some = np.unique(problem.classes)
    program.add(of_class[some], totals[some] - TOLERANCE, totals[some] + TOLERANCE)
    _again(program, problem, preferences)
    supply = problem.taken(preferences.supply)
    share = np.divide(totals, supply, out=np.zeros_like(totals), where=supply > 0)
    fair = preferences.supply * share[problem.classes]
    own = sparse.identity(problem.cells, format="csr")
    program.bands(own, fair, np.maximum(fair, 0.5), _ABOVE, (*_BELOW, np.inf), 1.0)
    found = program.minimise()
    return None if found is None else found[: problem.cells]


def _again(program: _Program, problem: Problem, preferences: Preferences) -> None:
    """Let each use beyond the fresh ones of a cell cost."""
    some = np.flatnonzero(problem.capacity > preferences.fresh)
    if len(some):
        own = membership([np.array([cell]) for cell in some], problem.cells)
        program.bands(
            own, preferences.fresh[some], np.ones(len(some)), (np.inf,), (np.inf,), _AGAIN_WEIGHT,
            free_below=True,
        )  # fmt: skip


def _sums(groups: NDArray[np.int64], count: int) -> sparse.csr_matrix:
    return sparse.csr_matrix(
        (np.ones(len(groups)), (groups, np.arange(len(groups)))), shape=(count, len(groups))
    )


class _Program:
    """A linear program that grows: columns from 0 on, rows with two bounds."""

    def __init__(self, columns: int, upper: Floats) -> None:
        self._upper = [np.asarray(upper, np.float64)]
        self._cost = [np.zeros(columns)]
        self._rows: list[tuple[sparse.csr_matrix, Floats, Floats]] = []
        self._columns = columns

    def add(
        self,
        matrix: sparse.csr_matrix,
        low: Sequence[float] | Floats | Ints,
        high: Sequence[float] | Floats | Ints,
    ) -> None:
        """Bound sums over the columns so far."""
        self._rows.append((matrix, np.asarray(low, np.float64), np.asarray(high, np.float64)))

    def bands(
        self,
        matrix: sparse.csr_matrix,
        reference: Floats | Ints,
        base: Floats,
        above: Sequence[float],
        below: Sequence[float],
        weight: float,
        *,
        free_below: bool = False,
    ) -> None:
        """Let sums over the first columns cost for being off `reference`, ever more by bands."""
        rows = matrix.shape[0]
        blocks = [matrix, sparse.csr_matrix((rows, self._columns - matrix.shape[1]))]
        for sign, widths in ((-1.0, above), (1.0, below)):
            for number, width in enumerate(widths, start=1):
                blocks.append(sign * sparse.identity(rows, format="csr"))
                self._upper.append(width * base if np.isfinite(width) else np.full(rows, np.inf))
                cost = 0.0 if free_below and sign > 0 else weight * number
                self._cost.append(np.full(rows, cost))
                self._columns += rows
        self.add(sparse.hstack(blocks).tocsr(), reference, reference)

    def minimise(self) -> Floats | None:
        """Return the values of the columns; None when HiGHS finds none."""
        matrix = sparse.vstack(
            [
                sparse.hstack([m, sparse.csr_matrix((m.shape[0], self._columns - m.shape[1]))])
                for m, _, _ in self._rows
            ]
        ).tocsr()
        low = np.concatenate([low for _, low, _ in self._rows])
        high = np.concatenate([high for _, _, high in self._rows])
        fixed = low == high
        above = np.flatnonzero(~fixed & np.isfinite(high))
        below = np.flatnonzero(~fixed & np.isfinite(low) & (low > 0))
        upper = np.concatenate(self._upper)
        found = linprog(
            np.concatenate(self._cost),
            A_ub=sparse.vstack([matrix[above], -matrix[below]]),
            b_ub=np.concatenate([high[above], -low[below]]),
            A_eq=matrix[fixed],
            b_eq=low[fixed],
            bounds=np.stack([np.zeros(len(upper)), upper], axis=1),
            method="highs",
        )
        return None if found.x is None else np.asarray(found.x, np.float64)
