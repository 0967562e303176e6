"""What a mix should look like: a YAML file or options in; a share for every leaf, and bounds, out.

size: 100000                       # conversations in the mix
shares: {recognition: 0.3, ocr-and-transcription: 0.1}   # of the whole mix; any nodes
rest: even                         # nodes without a share: even | leaves | supply
temperature: 1                     # with supply: weights are supply ** (1 / temperature)
skip_empty: false                  # true: leaves without any supply get no share
languages: {en: 0.5, zh: 0.5}      # shares of languages, the same in every leaf
source_cap: 0.3                    # at most this much from any one source
bounds:                            # min and max: up to 1 shares, above 1 conversations
  sources: {llava: {max: 0.2}}
  languages: {zh: {min: 0.3, max: 0.5}}
  nodes: {safety: {min: 0.02}}
image_uses: 2                      # of one image, at most
conversation_uses: 1               # more than 1 allows up-sampling
near_duplicates: remove            # or keep
min_confidence: 0                  # labels below count as none
seed: 0
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from dsvl_data.outcome import UserError
from dsvl_data.pipeline import Settings
from taxonomy.tree import Node, Taxonomy

_EXACT = 1e-9  # shares written as decimals do not add up to 1 to the last bit


class Bound(Settings):
    """At least `min`, at most `max`: up to 1 they are shares, above 1 numbers of conversations."""

    min: float = Field(default=0, ge=0)
    max: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Bound:
        if self.max is not None and self.max < self.min and (self.min <= 1) == (self.max <= 1):
            raise ValueError(f"the minimum {self.min:g} is above the maximum {self.max:g}")
        return self

    def counts(self, size: int) -> tuple[int, int]:
        """Return the least and the greatest number of conversations in a mix of `size`."""
        low = self.min * size if self.min <= 1 else self.min
        high = size if self.max is None else self.max * size if self.max <= 1 else self.max
        return math.ceil(low - _EXACT * size), min(size, math.floor(high + _EXACT * size))


class Bounds(Settings):
    """Bounds of sources and languages by name, of nodes by id."""

    sources: dict[str, Bound] = Field(default_factory=dict)
    languages: dict[str, Bound] = Field(default_factory=dict)
    nodes: dict[str, Bound] = Field(default_factory=dict)


class BalanceSettings(Settings):
    """All that decides a mix; see the module."""

    size: int = Field(gt=0, lt=1 << 31)
    shares: dict[str, float] = Field(default_factory=dict)
    rest: Literal["even", "leaves", "supply"] = "even"
    temperature: float = Field(default=1, gt=0)
    skip_empty: bool = False
    languages: dict[str, float] = Field(default_factory=dict)
    source_cap: float | None = Field(default=None, gt=0)
    bounds: Bounds = Bounds()
    image_uses: int | None = Field(default=None, ge=1, lt=1 << 15)
    conversation_uses: int = Field(default=1, ge=1, lt=1 << 15)
    near_duplicates: Literal["remove", "keep"] = "remove"
    min_confidence: float = Field(default=0, ge=0, le=1)
    seed: int = Field(default=0, ge=0, lt=1 << 63)

    @model_validator(mode="after")
    def _shares_are_shares(self) -> BalanceSettings:
        for name, share in (*self.shares.items(), *self.languages.items()):
            if not 0 <= share <= 1:
                raise ValueError(f"the share of {name} must be between 0 and 1, not {share:g}")
        if self.languages and abs(sum(self.languages.values()) - 1) > 1e-6:
            raise ValueError(
                f"the shares of the languages sum to {sum(self.languages.values()):g}, not 1"
            )
        return self


def load_settings(path: Path | None, options: Mapping[str, Any]) -> BalanceSettings:
    """Read a target file and let `options` take precedence; `UserError` says what is wrong."""
    values: dict[str, Any] = {}
    if path is not None:
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"cannot read the target {path}: {error}") from error
        if not isinstance(found, dict | None):
            raise UserError(f"{path} must be a mapping; its keys are {_keys()}")
        values = found or {}
    values = _merged(values, options)
    try:
        return BalanceSettings.model_validate(values)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"])
            if problem["type"] == "extra_forbidden":
                known = list(BalanceSettings.model_fields)
                lines.append(f"unknown key {key!r}{nearest(str(problem['loc'][-1]), known)}")
            elif problem["type"] == "missing":
                lines.append(f"{key} is missing: say it in the target file or with --{key}")
            else:
                said = problem["msg"].removeprefix("Value error, ")
                lines.append(f"{key}: {said}" if key else said)
        raise UserError(f"{path or 'the options'}: " + "; ".join(lines)) from error


def leaf_shares(
    taxonomy: Taxonomy, settings: BalanceSettings, supply: Mapping[str, int]
) -> dict[str, float]:
    """Return the share of each leaf, by id, in the taxonomy's order; they sum to 1.

    `supply` counts conversations by leaf. Down the tree, what is left of a node's share goes to
    the children without one, by `rest`; a child whose own descendants were given more than that
    gets what they need. Raises `UserError` for unknown nodes and for shares that do not add up.
    """
    known = [node.id for node in taxonomy.nodes()]
    check_names("node", settings.shares, known)
    check_names("node", settings.bounds.nodes, known)
    divider = _Divider(settings, supply)
    shares: dict[str, float] = {}
    divider.divide(None, taxonomy.main, 1.0, shares)
    return {leaf.id: shares[leaf.id] for leaf in taxonomy.leaves()}


def check_names(kind: str, wanted: Iterable[str], known: Iterable[str]) -> None:
    """Raise `UserError` for the first wanted name that is not known, with the nearest one."""
    names = list(known)
    for name in wanted:
        if name not in names:
            raise UserError(f"there is no {kind} {name!r}{nearest(name, names)}")


def nearest(wrong: str, known: Iterable[str]) -> str:
    """Return `; did you mean ...?`, or the names that there are."""
    names = list(known)
    close = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"; there are {listed}" if names else ""


class _Divider:
    """Hands shares down the tree."""

    def __init__(self, settings: BalanceSettings, supply: Mapping[str, int]) -> None:
        self._settings = settings
        self._supply = supply

    def divide(
        self, parent: str | None, children: tuple[Node, ...], share: float, into: dict[str, float]
    ) -> None:
        given = self._settings.shares
        parts = {child.id: given[child.id] for child in children if child.id in given}
        open_ones = [child for child in children if child.id not in given]
        left = share - sum(parts.values())
        needs = [self._needed(child) for child in open_ones]
        where = f"the nodes below {parent!r}" if parent else "the main categories"
        if left - sum(needs) < -1e-6:
            raise UserError(
                f"{where} are given {sum(parts.values()) + sum(needs):g} together, more than "
                f"the {share:g} that there is to give"
            )
        takers = [i for i, child in enumerate(open_ones) if self._weight(child) > 0]
        rest = max(0.0, left - sum(needs))
        if rest > 1e-6 and not takers:
            takers = [
                i for i, child in enumerate(open_ones) if _free_leaves(child, self._settings.shares)
            ]
            if not takers:
                raise UserError(
                    f"{where} are given {sum(parts.values()):g} together, not the {share:g} that "
                    "there is to give: change one, or leave one out to take the rest"
                )
            # None of them has any supply: it stays a deficit, of all of them alike.
        weights = [self._weight(open_ones[i]) or 1.0 for i in takers]
        filled = _fill_up([needs[i] for i in takers], weights, rest)
        for i, amount in zip(takers, filled, strict=True):
            needs[i] = amount
        parts.update({child.id: need for child, need in zip(open_ones, needs, strict=True)})
        for child in children:
            into[child.id] = parts[child.id]
            if child.children:
                self.divide(child.id, child.children, parts[child.id], into)

    def _needed(self, node: Node) -> float:
        """What the given shares below a node come to."""
        given = self._settings.shares
        return sum(
            given[child.id] if child.id in given else self._needed(child) for child in node.children
        )

    def _weight(self, node: Node) -> float:
        """How much a node takes of what is left; 0 where all below it is given, or skipped."""
        leaves = _free_leaves(node, self._settings.shares)
        if self._settings.skip_empty:
            leaves = [leaf for leaf in leaves if self._supply.get(leaf.id, 0)]
        if not leaves:
            return 0.0
        match self._settings.rest:
            case "even":
                return 1.0
            case "leaves":
                return float(len(leaves))
            case "supply":
                supply = sum(self._supply.get(leaf.id, 0) for leaf in leaves)
                return float(supply ** (1 / self._settings.temperature)) if supply else 0.0


def _free_leaves(node: Node, given: Mapping[str, float]) -> list[Node]:
    """Return the leaves that no share of theirs or between them and `node` settles."""
    if node.is_leaf:
        return [] if node.id in given else [node]
    return [
        leaf
        for child in node.children
        if child.id not in given
        for leaf in _free_leaves(child, given)
    ]


def _fill_up(needs: list[float], weights: list[float], rest: float) -> list[float]:
    """Add `rest` so that all come near a common level a weight, none below its need."""
    total = sum(needs) + rest
    fixed: set[int] = set()
    while True:
        free = [i for i in range(len(needs)) if i not in fixed]
        left = total - sum(needs[i] for i in fixed)
        weight = sum(weights[i] for i in free)
        level = left / weight if weight else 0.0
        above = {i for i in free if needs[i] > level * weights[i] + _EXACT}
        if not above:
            return [needs[i] if i in fixed else level * weights[i] for i in range(len(needs))]
        fixed |= above


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        before = merged.get(key)
        if isinstance(value, Mapping):
            merged[key] = _merged(before if isinstance(before, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def _keys() -> str:
    return ", ".join(BalanceSettings.model_fields)
