"""Rights: which licences a recipe keeps. SPDX licence expressions in, yes or no out.

An expression is read by SPDX's grammar (specification 2.3, annex D): `WITH` binds closest, then
`AND`, then `OR`; brackets; operators and ids in any case. Of alternatives one must be kept, of
what holds together everything. The measures hold a sample's licence as it is, so nothing is
scored here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dsvl_data.curate.rule import Criterion, Rule
from dsvl_data.curate.settings import CategoryRules, RightsRules
from dsvl_data.outcome import Reason

#: What is said where nobody knows: ours, and SPDX's own words.
UNKNOWN = frozenset({"", "unknown", "noassertion", "none"})

_LONGEST = 2000  # characters of an expression that are worth reading
_WORD = re.compile(r"[()]|[^\s()]+")
_BINDING = {"or": 1, "and": 2, "with": 3}


class Standing(IntEnum):
    """What the rules make of a licence; of alternatives the highest counts, else the lowest."""

    DENIED = 0
    UNKNOWN = 1
    ALLOWED = 2


def standing(licence: str, rules: RightsRules) -> Standing:
    """Judge a licence expression. One that cannot be read is unknown."""
    if len(licence) > _LONGEST:
        return Standing.UNKNOWN
    values: list[Standing | str] = []
    operators: list[str] = []

    def reduce(least: int) -> None:
        while operators and operators[-1] != "(" and _BINDING[operators[-1]] >= least:
            operator, right, left = operators.pop(), values.pop(), values.pop()
            if operator == "with":
                values.append(_with(left, right, rules))
            else:
                choose = max if operator == "or" else min
                values.append(choose(_value(left, rules), _value(right, rules)))

    try:
        wants_value = True
        for word in _words(licence):
            if wants_value != (word == "(" or (word != ")" and word not in _BINDING)):
                return Standing.UNKNOWN
            if word == "(":
                operators.append(word)
            elif word == ")":
                reduce(0)
                operators.pop()
            elif word in _BINDING:
                reduce(_BINDING[word])
                operators.append(word)
                wants_value = True
            else:
                values.append(word)
                wants_value = False
        reduce(0)
    except (IndexError, KeyError):  # brackets that do not match
        return Standing.UNKNOWN
    if len(values) != 1 or operators:
        return Standing.UNKNOWN
    return _value(values[0], rules)


def _words(licence: str) -> Iterator[str]:
    """Yield operators, brackets and licences; a name of several words (no SPDX id) is one."""
    name: list[str] = []
    for word in _WORD.findall(licence.casefold()):
        if word in _BINDING or word in "()":
            if name:
                yield " ".join(name)
            name = []
            yield word
        else:
            name.append(word)
    if name:
        yield " ".join(name)


def _value(value: Standing | str, rules: RightsRules) -> Standing:
    return value if isinstance(value, Standing) else _of(value, rules)


def _of(name: str, rules: RightsRules) -> Standing:
    """Judge one licence by its id, or an id with its exception."""
    if name in UNKNOWN:
        return Standing.UNKNOWN
    if _is_among(rules.deny, name):
        return Standing.DENIED
    return Standing.ALLOWED if not rules.allow or _is_among(rules.allow, name) else Standing.DENIED


def _with(licence: Standing | str, exception: Standing | str, rules: RightsRules) -> Standing:
    """Judge a licence with an exception: it allows more than the licence alone.

    So `allow` may name either; and what `deny` names, either, is denied.
    """
    alone = _value(licence, rules)
    if alone == Standing.UNKNOWN or not isinstance(licence, str) or _is_among(rules.deny, licence):
        return alone
    whole = f"{licence} with {exception}"
    if _is_among(rules.deny, whole):
        return Standing.DENIED
    return max(alone, _of(whole, rules))


def _is_among(listed: tuple[str, ...], name: str) -> bool:
    # `MPL-1.1+` is that licence, or a later one.
    pattern = _patterns(listed)
    return any(pattern.fullmatch(each) for each in (name, name.removesuffix("+")))


@lru_cache(maxsize=64)
def _patterns(licences: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(
        "|".join(
            ".*".join(map(re.escape, " ".join(licence.casefold().split()).split("*")))
            for licence in licences
        )
        or r"(?!)"
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    """A rule: the licence must not stand as it should not."""

    rules: RightsRules
    refused: Standing
    reason: Reason
    threshold: str
    column: str = "licence"

    def passes(self, measures: pa.Table) -> NDArray[np.bool_]:
        # A part has a handful of different licences.
        licences = pc.fill_null(measures.column("licence"), "").combine_chunks()
        coded = licences.dictionary_encode()
        stands = [standing(name, self.rules) for name in coded.dictionary.to_pylist()]
        passing = np.array([stand != self.refused for stand in stands], np.bool_)
        found: NDArray[np.bool_] = passing[np.asarray(coded.indices)]
        return found


def _rules(rules: CategoryRules) -> Iterator[Rule]:
    rights = rules.rights
    if rights is None:
        return
    asked = [f"one of {', '.join(rights.allow)}"] if rights.allow else []
    asked += [f"none of {', '.join(rights.deny)}"] if rights.deny else []
    if asked:
        yield _Judged(rights, Standing.DENIED, Reason.LICENCE, ", ".join(asked))
    if rights.unknown == "drop":
        yield _Judged(rights, Standing.UNKNOWN, Reason.UNKNOWN_LICENCE, "one that is stated")


CRITERION = Criterion(scorer=lambda _: None, rules=_rules)
