"""How good a classifier is: true and found paths in; accuracy a level, and who is taken for whom.

A file to test on has a JSON object a line: `{"id": leaf id, "language": "en", "text": ...}`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsvl_data.outcome import UserError
from taxonomy.classify import Label
from taxonomy.tree import Taxonomy

LEVELS = ("main", "secondary", "leaf")
ALL = "all"


@dataclass(frozen=True, slots=True)
class Example:
    """A question of which the right leaf is known; `path` is of ids."""

    text: str
    path: tuple[str, ...]
    language: str


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What `measure` found.

    `right` is by language (and `all`) and level, a share of `count[language]`. Of all examples,
    `labelled` is the share that got a label at the threshold, `labelled_right` how many of those
    labels are right. `confusion[true][found]` counts main categories; `mistaken` lists leaves that
    are taken for others most often: true, found, count.
    """

    count: Mapping[str, int]
    right: Mapping[str, Mapping[str, float]]
    labelled: float
    labelled_right: float
    confusion: Mapping[str, Mapping[str, int]]
    mistaken: Sequence[tuple[str, str, int]]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; `from_json` reads them."""
        return {
            "count": dict(self.count),
            "right": {key: dict(value) for key, value in self.right.items()},
            "labelled": self.labelled,
            "labelled_right": self.labelled_right,
            "confusion": {key: dict(value) for key, value in self.confusion.items()},
            "mistaken": [list(each) for each in self.mistaken],
        }

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Accuracy:
        """Rebuild it. Raises `KeyError` or `TypeError` on another form."""
        return cls(
            form["count"],
            form["right"],
            form["labelled"],
            form["labelled_right"],
            form["confusion"],
            [(true, found, count) for true, found, count in form["mistaken"]],
        )


def measure(
    examples: Sequence[Example],
    found: Sequence[tuple[str, ...] | None],
    labels: Sequence[Label],
) -> Accuracy:
    """Compare true paths with what was found (None: nothing) and with the labels given."""
    languages = [ALL, *sorted({example.language for example in examples})]
    count: Counter[str] = Counter()
    right: dict[str, Counter[str]] = {language: Counter() for language in languages}
    confusion: dict[str, Counter[str]] = {}
    mistaken: Counter[tuple[str, str]] = Counter()
    for example, path in zip(examples, found, strict=True):
        confusion.setdefault(example.path[0], Counter())[path[0] if path else "-"] += 1
        if path and path != example.path:
            mistaken[example.path[-1], path[-1]] += 1
        for language in (ALL, example.language):
            count[language] += 1
            for level in LEVELS:
                right[language][level] += bool(path) and _cut(example.path, level) == _cut(
                    path or (), level
                )
    given = [
        (example, label)
        for example, label in zip(examples, labels, strict=True)
        if label.path is not None
    ]
    good = sum(label.path == "/".join(example.path) for example, label in given)
    return Accuracy(
        count=dict(count),
        right={
            language: {level: right[language][level] / max(1, count[language]) for level in LEVELS}
            for language in languages
        },
        labelled=len(given) / max(1, len(examples)),
        labelled_right=good / max(1, len(given)),
        confusion={key: dict(value) for key, value in confusion.items()},
        mistaken=[(*pair, number) for pair, number in mistaken.most_common(20)],
    )


def read_examples(path: Path, taxonomy: Taxonomy) -> list[Example]:
    """Read a file to test on. Raises `UserError` naming the line that cannot be used."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    leaves = {leaf.id for leaf in taxonomy.leaves()}
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            name, text, language = row["id"], row["text"], row["language"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(
                f"{path}:{number}: must be an object with the keys id, language and text: {error!r}"
            ) from error
        if name not in leaves:
            raise UserError(f"{path}:{number}: {name!r} is no leaf of this taxonomy")
        if not isinstance(text, str) or not isinstance(language, str):
            raise UserError(f"{path}:{number}: text and language must be text")
        found.append(Example(text, taxonomy.path(name), language))
    if not found:
        raise UserError(f"{path} has no examples")
    return found


def _cut(path: tuple[str, ...], level: str) -> tuple[str, ...]:
    return path[: {"main": 1, "secondary": 2}.get(level, len(path))]
