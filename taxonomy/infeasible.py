"""Why no mix satisfies all constraints: a problem in; an irreducible set of culprits out.

An elastic program lets every row be broken at a price; the rows that it breaks are enforced, one
round after the other, until nothing is left to give (Chinneck's elastic filter). These rows hold
a contradiction; each that is not needed for it is taken out (deletion filter). What remains
cannot be satisfied together, and can when any one of them goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.optimize import linprog

from taxonomy.program import Constraint, Floats, Problem

_NOTHING = 1e-6


@dataclass(frozen=True)
class Culprit:
    """A constraint of a contradiction.

    `capacity`: what its cells have at most. `enough`: to what its bound would have to move so
    that all constraints can be satisfied, if it alone moves; None where that is not enough.
    """

    constraint: Constraint
    capacity: int
    enough: int | None

    def __str__(self) -> str:
        row = self.constraint
        if row.low == row.high:
            said = f"{row.name}: exactly {row.low:.0f}"
        elif row.low > 0 and self._is_low:
            said = f"{row.name}: at least {row.low:.0f}"
        else:
            said = f"{row.name}: at most {row.high:.0f}"
        said += f" (there are {self.capacity} to take)"
        return said if self.enough is None else f"{said}; {self.enough} would do"

    @property
    def _is_low(self) -> bool:
        return self.enough is None or self.enough < self.constraint.low


def explain(problem: Problem) -> list[Culprit]:
    """Return constraints that cannot be satisfied together; none when all of them can."""
    rows = _irreducible(problem, _elastic_filter(problem))
    culprits: dict[str, Culprit] = {}
    for row in rows:
        constraint = problem.rows[row]
        capacity = int(problem.capacity[constraint.cells].sum())
        culprit = Culprit(constraint, capacity, _enough(problem, row))
        culprits.setdefault(constraint.name, culprit)
    return list(culprits.values())


def _elastic_filter(problem: Problem) -> list[int]:
    enforced: list[int] = []
    while True:
        slack = _least_slack(problem, range(len(problem.rows)), enforced)
        if slack is None:
            return enforced
        broken = [int(row) for row in np.flatnonzero(slack > _NOTHING)]
        if not broken:
            return []
        enforced += broken


def _irreducible(problem: Problem, rows: Sequence[int]) -> list[int]:
    kept = list(rows)
    for row in rows:
        fewer = [other for other in kept if other != row]
        if _least_slack(problem, fewer, fewer) is None:
            kept = fewer
    return kept


def _enough(problem: Problem, row: int) -> int | None:
    """To what the bound of one row would have to move if nothing else does."""
    others = [other for other in range(len(problem.rows)) if other != row]
    slack = _least_slack(problem, range(len(problem.rows)), others, signed=True)
    if slack is None or abs(slack[row]) <= _NOTHING:
        return None
    bound = problem.low[row] if slack[row] < 0 else problem.high[row]
    moved = bound + slack[row]
    return int(np.floor(moved + _NOTHING) if slack[row] < 0 else np.ceil(moved - _NOTHING))


def _least_slack(
    problem: Problem, rows: Sequence[int], enforced: Sequence[int], *, signed: bool = False
) -> Floats | None:
    """Return how far each row is broken at the least total, none of `enforced` at all.

    Only `rows` count. None when not even that is possible. Signed: below a lower bound is
    negative.
    """
    chosen = np.asarray(list(rows), np.int64)
    given: NDArray[np.bool_] = ~np.isin(chosen, np.asarray(list(enforced), np.int64))
    count = len(chosen)
    matrix = problem.matrix[chosen]
    low, high = problem.low[chosen], problem.high[chosen]
    one = sparse.identity(count, format="csr")
    # A row may be off by a part of itself: 10 of 100 and 10 of 100000 are not the same.
    price = 1 / np.maximum(1, np.where(low > 0, low, high))
    cost = np.concatenate([np.zeros(problem.columns), price, price])
    # matrix @ x + under >= low, matrix @ x - over <= high
    below = sparse.hstack([-matrix, -one, sparse.csr_matrix((count, count))])
    above = sparse.hstack([matrix, sparse.csr_matrix((count, count)), -one])
    flow = problem.flow_matrix
    flow = sparse.hstack([flow, sparse.csr_matrix((flow.shape[0], 2 * count))])
    upper = np.concatenate([problem.upper, np.tile(np.where(given, np.inf, 0.0), 2)])
    found = linprog(
        cost,
        A_ub=sparse.vstack([below, above, flow]).tocsr(),
        b_ub=np.concatenate([-low, high, problem.flow_high]),
        bounds=np.stack([np.zeros(len(upper)), upper], axis=1),
        method="highs",
    )
    if found.x is None:
        return None
    under = found.x[problem.columns : problem.columns + count]
    over = found.x[problem.columns + count :]
    slack = np.zeros(len(problem.rows))
    slack[chosen] = over - under if signed else over + under
    return slack
