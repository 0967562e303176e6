"""Who passes a recipe's rules: measures in; of each sample that does not, the first rule, out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsvl_data.curate.criteria import rules
from dsvl_data.curate.rule import Rule
from dsvl_data.curate.settings import Curation

_LONGEST = 200  # characters of a value in a sentence


def failures(measures: pa.Table, settings: Curation) -> Iterator[tuple[Rule, NDArray[np.int64]]]:
    """Yield rules, each with the rows of which it is the first that they do not pass."""
    coded = measures.column("category").combine_chunks().dictionary_encode()
    categories = np.asarray(coded.indices)
    for number, category in enumerate(coded.dictionary.to_pylist()):
        rows = np.flatnonzero(categories == number)
        table = measures if len(rows) == measures.num_rows else measures.take(pa.array(rows))
        passing = np.ones(len(rows), np.bool_)
        for rule in rules(settings, category):
            failing = passing & ~rule.passes(table)
            if failing.any():
                passing &= ~failing
                yield rule, rows[failing]


def passes(measures: pa.Table, settings: Curation) -> NDArray[np.bool_]:
    """Say for each row whether it passes every rule of its category."""
    passing = np.ones(measures.num_rows, np.bool_)
    for _, rows in failures(measures, settings):
        passing[rows] = False
    return passing


def sentence(rule: Rule, value: Any) -> str:
    """Say what a rule has against a value."""
    return f"{rule.column} is {_shown(value)[:_LONGEST]}, not {rule.threshold}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
