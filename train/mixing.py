"""What is drawn next: categories in their shares, at any moment, without chance.

In: shares, which may change with the step, and what each draw has cost. Out: the category of the
next draw. Error diffusion: every draw credits each category with its share of the cost and
charges it to the one that was drawn; whoever is owed most is next. After any number of draws a
category that is never starved is within one draw of its share, where sampling at random would
stray by the square root of their number.

Credits are integers (shares in units of 2^-32), so a checkpoint holds them exactly and every
machine goes on alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

_UNIT = 1 << 32


class Mixer:
    """Draws from named categories by their shares; `credits` is all its state."""

    def __init__(self, names: Sequence[str], credits: Sequence[int] | None = None) -> None:
        if not names or len(set(names)) != len(names):
            raise ValueError(f"categories must be named, once each: {list(names)}")
        if credits is not None and len(credits) != len(names):
            raise ValueError(f"{len(credits)} credits for {len(names)} categories")
        self.names = tuple(names)
        self.credits = [0] * len(names) if credits is None else list(credits)

    def draw(
        self, shares: Mapping[str, float], costs: NDArray[np.int64], most: int
    ) -> NDArray[np.int64]:
        """Draw at most so often, and while costs are known; returns the numbers of categories.

        `costs[c, i]` is what the i-th draw from category c from now on would cost: tokens,
        samples or whatever is shared out; 0 or less ends a category's row. Who is owed most
        after one more unit is next, the first of equals.

        Raises `ValueError` when no share is above zero.
        """
        credits = np.array(self.credits, np.int64)
        drawn = _draw(credits, np.array(self._units(shares), np.int64), costs, most)
        self.credits = credits.tolist()
        return drawn

    def _units(self, shares: Mapping[str, float]) -> list[int]:
        """Shares as integers that add up to the unit: the rest goes to the largest."""
        unknown = set(shares) - set(self.names)
        if unknown:
            raise ValueError(f"shares of unknown categories: {sorted(unknown)}")
        given = [shares.get(name, 0.0) for name in self.names]
        total = sum(given)
        if not total > 0 or min(given) < 0:
            raise ValueError(f"shares must be positive and not all zero: {dict(shares)}")
        units = [int(share / total * _UNIT) for share in given]
        units[given.index(max(given))] += _UNIT - sum(units)
        return units


@numba.njit(cache=True)
def _draw(
    credits: NDArray[np.int64], units: NDArray[np.int64], costs: NDArray[np.int64], most: int
) -> NDArray[np.int64]:  # pragma: no cover - compiled
    """Advances `credits`; a cost is below 2^30, so sums of a few stay below 2^63."""
    number, known = costs.shape
    drawn = np.empty(most, np.int64)
    taken = np.zeros(number, np.int64)
    for draws in range(most):
        best = -1
        for category in range(number):
            if units[category] > 0 and (
                best < 0 or credits[category] + units[category] > credits[best] + units[best]
            ):
                best = category
        if taken[best] == known or costs[best, taken[best]] <= 0:
            return drawn[:draws]
        cost = costs[best, taken[best]]
        credits += units * cost
        credits[best] -= _UNIT * cost
        taken[best] += 1
        drawn[draws] = best
    return drawn


@dataclass(frozen=True, slots=True)
class WarmUp:
    """The share of language draws: 1 at step 0, then linearly down to `target`.

    The paper (section 3.2.2) begins stage 2 with language only and brings its share down
    gradually; it does not give the curve.
    """

    target: float
    steps: int

    def share(self, step: int) -> float:
        """The share at a step, counted from 0."""
        if step >= self.steps:
            return self.target
        return 1 - (1 - self.target) * step / self.steps
