"""Who answers better, by category: verdicts of models or people in; one report out.

A verdict is on one question and two models. The report counts wins, ties and losses for each main
category and in all, with the win rate (ties half) and its 95 % interval (Wilson's), and what the
position of an answer did to it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table

ALL = "all"
Outcome = Literal["win", "tie", "loss"]


@dataclass(frozen=True)
class Verdict:
    """What became of `a` against `b` on a question.

    `swayed`: the judge changed sides when the answers changed places; the verdict is a tie then.
    """

    category: str
    a: str
    b: str
    outcome: Outcome
    swayed: bool = False


@dataclass
class Position:
    """How often the answer shown first, or second, was the better one; ties are neither."""

    first: int = 0
    second: int = 0
    ties: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the counts, and the first's share with its interval; 0.5 is no bias."""
        decided = self.first + self.second
        return {
            "first": self.first,
            "second": self.second,
            "ties": self.ties,
            "first_share": self.first / decided if decided else None,
            "interval": wilson(self.first, decided),
        }


@dataclass
class Comparison:
    """Everything that was judged. `scores`: (model, category) to all scores given."""

    verdicts: list[Verdict] = field(default_factory=list)
    position: Position = field(default_factory=Position)
    scores: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        pairs = list(dict.fromkeys((v.a, v.b) for v in self.verdicts))
        return {
            "pairs": [
                {"a": a, "b": b, "categories": self._counts(a, b, self.verdicts)} for a, b in pairs
            ],
            "position": self.position.to_json(),
            "scores": self._means(),
            "unjudged": dict(self.failures),
        }

    @staticmethod
    def _counts(a: str, b: str, verdicts: Iterable[Verdict]) -> dict[str, dict[str, Any]]:
        by_category: dict[str, Counter[str]] = {}
        for verdict in verdicts:
            if (verdict.a, verdict.b) == (a, b):
                for name in (verdict.category, ALL):
                    counts = by_category.setdefault(name, Counter())
                    counts[verdict.outcome] += 1
                    counts["swayed"] += verdict.swayed
        found = {}
        for name in [*sorted(by_category.keys() - {ALL}), ALL]:
            counts = by_category.get(name, Counter())
            total = counts["win"] + counts["tie"] + counts["loss"]
            points = counts["win"] + counts["tie"] / 2
            found[name] = {
                **{key: counts[key] for key in ("win", "tie", "loss", "swayed")},
                "win_rate": points / total if total else None,
                "interval": wilson(points, total),
            }
        return found

    def _means(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for model in dict.fromkeys(model for model, _ in self.scores):
            of_model = {c: s for (name, c), s in self.scores.items() if name == model}
            of_model[ALL] = [score for scores in of_model.values() for score in scores]
            found[model] = {
                name: {"mean": sum(scores) / len(scores), "count": len(scores)}
                for name, scores in of_model.items()
            }
        return found


def wilson(successes: float, total: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a share, None of nothing."""
    if not total:
        return None
    z = 1.959964
    share = successes / total
    middle = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def tables(said: Mapping[str, Any]) -> list[Table]:
    """Return a report (`Comparison.to_json`) as tables."""
    drawn = []
    for pair in said["pairs"]:
        table = Table(title=f"{pair['a']} against {pair['b']}", box=SIMPLE_HEAD)
        table.add_column("category")
        for name in ("win", "tie", "loss", "swayed", "win rate", "95 %"):
            table.add_column(name, justify="right")
        for name, counts in pair["categories"].items():
            numbers = [str(counts[key]) for key in ("win", "tie", "loss", "swayed")]
            table.add_row(name, *numbers, _percent(counts["win_rate"]), _range(counts["interval"]))
        drawn.append(table)
    if said["scores"]:
        table = Table(title="mean scores", box=SIMPLE_HEAD)
        table.add_column("category")
        models = list(said["scores"])
        for model in models:
            table.add_column(model, justify="right")
        names = list(dict.fromkeys(n for model in models for n in said["scores"][model]))
        for name in sorted(names, key=lambda n: (n == ALL, n)):
            cells = [said["scores"][model].get(name) for model in models]
            table.add_row(name, *(f"{cell['mean']:.2f}" if cell else "" for cell in cells))
        drawn.append(table)
    return drawn


def lines(said: Mapping[str, Any]) -> list[str]:
    """Return what stands below the tables: the position's part, and what was not judged."""
    position = said["position"]
    found = []
    if position["first_share"] is not None:
        low, high = position["interval"]
        bias = "no bias is to be seen" if low <= 0.5 <= high else "the position decides with"
        found.append(
            f"position: the answer shown first was better in {_percent(position['first_share'])} "
            f"of {position['first'] + position['second']} decisions "
            f"({_range(position['interval'])}): {bias}"
        )
    for kind, count in sorted(said["unjudged"].items()):
        found.append(f"not judged: {count} ({kind})")
    return found


def compare_scores(
    category: str, models: Sequence[str], scores: Mapping[str, float]
) -> list[Verdict]:
    """Turn one person's scores on a question into verdicts on each pair of models."""
    found = []
    for number, a in enumerate(models):
        for b in models[number + 1 :]:
            if a in scores and b in scores:
                better = scores[a] - scores[b]
                outcome: Outcome = "win" if better > 0 else "loss" if better < 0 else "tie"
                found.append(Verdict(category, a, b, outcome))
    return found


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _range(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{100 * interval[0]:.0f} to {100 * interval[1]:.0f} %"
