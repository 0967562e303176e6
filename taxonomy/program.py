"""The mix as an integer program over cells: a problem in; the nearest feasible counts out.

A cell is what the constraints cannot tell apart: the conversations of one leaf, source and
language. The program has an integer for each cell, how many uses are taken from it, and minimises

    total variation = 1/2 * sum over classes of |taken / size - target share|

where a class is a leaf (or a leaf in one language, where languages have targets). The distance of
an integer from a target is convex, and linear between whole numbers, so each class needs three
variables: up to 1 from the whole number below its target to the one above, and what is beyond
either. So written, the linear relaxation is nearly always integral, and HiGHS proves the integer
optimum at the root of its search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Nodes of HiGHS's search. Not seconds, which would make the result depend on the machine.
_NODES = 2000
#: Slack that floating-point counts get, in conversations.
TOLERANCE = 1e-6


class Infeasible(Exception):
    """No counts satisfy all constraints; `infeasible.py` finds out which ones collide."""


@dataclass(frozen=True)
class Constraint:
    """At least `low` and at most `high` uses from these cells together.

    `name` is what a report calls it; `rule` says whose it is (`size`, `source`, `language`,
    `node`, `images`). The many constraints that the limit on images comes to share a name.
    """

    name: str
    rule: str
    cells: Ints
    low: float
    high: float


@dataclass(frozen=True)
class Flow:
    """More columns than the cells, and rows that tie these to them: `matrix @ columns <= high`.

    How uses flow from images into cells, written out (`image_flow.py`); `upper` bounds the added
    columns, `matrix` has those of the cells first.
    """

    upper: Floats
    matrix: sparse.csr_matrix
    high: Floats


@dataclass(frozen=True)
class Problem:
    """Cells, targets and constraints.

    `classes` gives the class of each cell, `target` the wanted uses of each class (they sum to
    `size`, and some classes may have no cell); `capacity` bounds each cell.
    """

    size: int
    classes: Ints
    target: Floats
    capacity: Ints
    constraints: tuple[Constraint, ...] = ()
    flow: Flow | None = None

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return len(self.classes)

    @cached_property
    def upper(self) -> Floats:
        """Upper bounds of the cells' columns, then of the flow's."""
        more = np.empty(0) if self.flow is None else self.flow.upper
        return np.concatenate([self.capacity.astype(np.float64), more])

    @property
    def columns(self) -> int:
        """How many columns cells and flow have together."""
        return len(self.upper)

    @cached_property
    def flow_matrix(self) -> sparse.csr_matrix:
        """The flow's rows; none without one."""
        nothing = sparse.csr_matrix((0, self.columns))
        return nothing if self.flow is None else self.flow.matrix

    @property
    def flow_high(self) -> Floats:
        """Their upper bounds."""
        return np.empty(0) if self.flow is None else self.flow.high

    @cached_property
    def rows(self) -> tuple[Constraint, ...]:
        """The constraints with that on the size in front."""
        every = np.arange(self.cells)
        size = Constraint(f"size {self.size}", "size", every, self.size, self.size)
        return (size, *self.constraints)

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """One row a constraint; columns as of `upper`."""
        return membership([row.cells for row in self.rows], self.columns)

    @cached_property
    def low(self) -> Floats:
        """The lower bound of each row."""
        return np.array([row.low for row in self.rows], np.float64)

    @cached_property
    def high(self) -> Floats:
        """The upper bound of each row."""
        return np.array([row.high for row in self.rows], np.float64)

    def taken(self, counts: NDArray[Any]) -> Floats:
        """Return the uses of each class."""
        return np.bincount(self.classes, counts, len(self.target)).astype(np.float64)

    def taken_by_row(self, counts: NDArray[Any]) -> Floats:
        """Return the uses that each row sums."""
        return np.array([counts[row.cells].sum() for row in self.rows], np.float64)

    def distance(self, counts: NDArray[Any]) -> float:
        """Return the total variation between the mix of these counts and the target."""
        return float(np.abs(self.taken(counts) - self.target).sum() / (2 * self.size))

    def with_constraints(self, added: Sequence[Constraint]) -> Problem:
        """Return the problem with more constraints."""
        return replace(self, constraints=(*self.constraints, *added))


@dataclass(frozen=True)
class Model:
    """The program of a problem: columns are the cells, the flow's, then three for each class.

    `cost` is in conversations that are off target, `constant` what no choice changes.
    """

    problem: Problem
    cost: Floats = field(init=False)
    constant: float = field(init=False)

    def __post_init__(self) -> None:
        part = np.maximum(0, self.problem.target - self._whole)
        classes = len(self.problem.target)
        cost = np.concatenate([np.zeros(self.problem.columns), 1 - 2 * part, np.ones(2 * classes)])
        object.__setattr__(self, "cost", cost)
        object.__setattr__(self, "constant", float(part.sum()))

    @property
    def _whole(self) -> Floats:
        """The whole number at or below each target, with 1e-9 for what decimals do to it."""
        return np.floor(self.problem.target + 1e-9)

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """The problem's rows, each class's (taken - step - over + under = whole), the flow's."""
        problem, classes = self.problem, len(self.problem.target)
        of_class = sparse.csr_matrix(
            (np.ones(problem.cells), (problem.classes, np.arange(problem.cells))),
            shape=(classes, problem.columns),
        )
        one = sparse.identity(classes, format="csr")

        def wide(rows: sparse.csr_matrix) -> sparse.csr_matrix:
            return sparse.hstack([rows, sparse.csr_matrix((rows.shape[0], 3 * classes))])

        return sparse.vstack(
            [
                wide(problem.matrix),
                sparse.hstack([of_class, -one, -one, one]),
                wide(problem.flow_matrix),
            ]
        ).tocsr()

    @cached_property
    def low(self) -> Floats:
        """Lower bounds of all rows."""
        nothing = np.full(len(self.problem.flow_high), -np.inf)
        return np.concatenate([self.problem.low, self._whole, nothing])

    @cached_property
    def high(self) -> Floats:
        """Upper bounds of all rows."""
        return np.concatenate([self.problem.high, self._whole, self.problem.flow_high])

    def upper(self) -> Floats:
        """Return upper bounds of the columns."""
        classes = len(self.problem.target)
        return np.concatenate([self.problem.upper, np.ones(classes), np.full(2 * classes, np.inf)])


@dataclass(frozen=True)
class Solution:
    """Counts for each cell, their distance, and what no feasible counts can go below."""

    counts: Ints
    distance: float
    bound: float


def solve(problem: Problem, near: Floats | None = None, width: int = 0) -> Solution:
    """Return integer counts nearest to the target. Raises `Infeasible`.

    With `near`, only counts within `width` of these (rounded down and up) are looked at; the
    bound is then no bound.
    """
    model = Model(problem)
    lower, upper = np.zeros(len(model.cost)), model.upper()
    if near is not None:
        lower[: problem.cells] = np.maximum(0, np.floor(near + TOLERANCE) - width)
        upper[: problem.cells] = np.minimum(problem.capacity, np.ceil(near - TOLERANCE) + width)
    whole = np.zeros(len(model.cost))
    whole[: problem.cells] = 1
    found = milp(
        model.cost,
        constraints=LinearConstraint(model.matrix, model.low, model.high),
        bounds=Bounds(lower, upper),
        integrality=whole,
        options={"mip_rel_gap": 0.0, "node_limit": _NODES},
    )
    if found.x is None:
        if found.status == 2:
            raise Infeasible
        raise RuntimeError(f"HiGHS gave up: {found.message}")
    counts = np.rint(found.x[: problem.cells]).astype(np.int64)
    bound = (found.mip_dual_bound + model.constant) / (2 * problem.size)
    distance = problem.distance(counts)
    return Solution(counts, distance, max(0.0, min(bound, distance)))


@dataclass(frozen=True)
class Prices:
    """The linear relaxation's dual values, in distance per conversation.

    `rows`: how the distance changes when the bound that binds on a row rises by one (for the
    lower bound of a row: rises, for its upper bound: falls). `supply`: by how much it falls for
    one more conversation in a cell.
    """

    distance: float
    rows: Floats
    supply: Floats


def relaxed(problem: Problem) -> Prices:
    """Solve the linear relaxation and return its distance and dual values; or `Infeasible`."""
    model = Model(problem)
    rows = len(problem.rows)
    fixed = model.low == model.high
    above = np.flatnonzero(~fixed & np.isfinite(model.high))
    below = np.flatnonzero(~fixed & (model.low > 0))
    found = linprog(
        model.cost,
        A_ub=sparse.vstack([model.matrix[above], -model.matrix[below]]),
        b_ub=np.concatenate([model.high[above], -model.low[below]]),
        A_eq=model.matrix[fixed],
        b_eq=model.low[fixed],
        bounds=np.stack([np.zeros(len(model.cost)), model.upper()], axis=1),
        method="highs",
    )
    if found.status == 2:
        raise Infeasible
    if found.x is None:
        raise RuntimeError(f"HiGHS gave up: {found.message}")
    prices = np.zeros(len(model.low))
    prices[fixed] = found.eqlin.marginals
    prices[above] += found.ineqlin.marginals[: len(above)]
    prices[below] -= found.ineqlin.marginals[len(above) :]
    scale = 2 * problem.size
    return Prices(
        (found.fun + model.constant) / scale,
        prices[:rows] / scale,
        -found.upper.marginals[: problem.cells] / scale,
    )


def membership(groups: Sequence[Ints], columns: int) -> sparse.csr_matrix:
    """Return a matrix with a row for each group, ones where its members are."""
    lengths = [len(group) for group in groups]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    members = np.concatenate([*groups, np.empty(0, np.int64)]).astype(np.int64)
    return sparse.csr_matrix((np.ones(len(members)), members, starts), shape=(len(groups), columns))
