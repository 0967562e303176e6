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

    def next(self, shares: Mapping[str, float], cost: int) -> str:
        """The category that is owed most if the next draw costs `cost`; the first of equals.

        Raises `ValueError` when no share is above zero.
        """
        units = self._units(shares)
        owed = [
            credit + unit * cost if unit else None
            for credit, unit in zip(self.credits, units, strict=True)
        ]
        best = max((credit, -number) for number, credit in enumerate(owed) if credit is not None)
        return self.names[-best[1]]

    def charge(self, name: str, shares: Mapping[str, float], cost: int) -> None:
        """Note that a draw of `name` cost so much: tokens, samples or whatever is shared out."""
        for number, unit in enumerate(self._units(shares)):
            self.credits[number] += unit * cost
        self.credits[self.names.index(name)] -= _UNIT * cost

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
