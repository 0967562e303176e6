"""What a table's columns are good for, and its numbers gathered as a chart needs them.

In: a `Table`. Out: which columns are measures, categories, keys and times; counts and means by
category; numbers rounded so that they can be shown. Rows without a needed value are left out
and counted.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import pairwise

from dsvl_data.plots.chart import Words
from dsvl_data.plots.table import Column, Table
from dsvl_data.plots.values import TIMES, decimals, is_chinese, rounded, write_date
from dsvl_data.plots.wording import scale_of

MAX_LABEL = 40
MAX_CATEGORIES = 12
_NO_MEASURE = re.compile(
    r"(?:^|[\s_])(id|index|idx|code|lat|lon|lng|latitude|longitude|zip|phone|uuid|no\.?|number|"
    r"rank|row|key|group|period)(?:$|[\s_])|编号|序号|代码|排名|经度|纬度",
    re.IGNORECASE,
)
_NO_SUM = re.compile(
    r"mean|average|avg|rate|per[\s_]|ratio|index|score|price|temp|age|length|width|height|depth|"
    r"weight|mass|speed|radius|density|power|percent|share|median|max|min|open|close|high|low|wind|"
    r"point|energy|degree|level|rating|"
    r"平均|率|比|指数|分数|得分|价|温|龄|长|宽|高|深|重|速|密度",
    re.IGNORECASE,
)
_NO_SUM_UNITS = frozenset(("mm", "cm", "m", "km/h", "mph", "°C", "g", "%", "ms", "hPa"))
#: Bars of which one is so many times as long as the middle one show only that one.
_UNEVEN = 30
#: The same for the shortest bar that is not nothing.
_TINY = 150
#: And bars that differ by less than this part of the longest look all the same.
_ALIKE = Decimal("0.03")


@dataclass(frozen=True)
class Facts:
    """A table and what its columns can be used for."""

    table: Table

    @cached_property
    def words(self) -> Words:
        """The language in which people who read this table speak of it."""
        return "zh" if is_chinese("".join(c.name for c in self.table.columns)) else "en"

    @cached_property
    def measures(self) -> list[Column]:
        """Numbers that differ and are no names."""
        return [
            column
            for column in self.table.columns
            if column.kind == "number"
            and not _NO_MEASURE.search(column.name)
            and len({v for v in column.values if v is not None}) >= 3
        ]

    @cached_property
    def categories(self) -> list[Column]:
        """Words, years or few whole numbers that come again and again."""
        found = []
        for column in self.table.columns:
            there = [v for v in column.values if v is not None]
            distinct = set(there)
            few = column.kind == "number" and len(there) >= 20 and len(distinct) <= 8
            whole = few and all(isinstance(v, Decimal) and v == int(v) for v in distinct)
            if (
                (column.kind in ("text", "year") or whole)
                and 2 <= len(distinct) <= MAX_CATEGORIES
                and len(there) >= 2 * len(distinct)
                and all(len(label(v, column.kind)) <= MAX_LABEL for v in distinct)
            ):
                found.append(column)
        return found

    @cached_property
    def keys(self) -> list[Column]:
        """Words that name each row differently."""
        found = []
        for column in self.table.columns:
            there = [str(v).casefold() for v in column.values if v is not None]
            short = sum(len(text) <= MAX_LABEL for text in there)
            if (
                column.kind == "text"
                and 3 <= len(there) == len(set(there))
                and short >= 0.8 * len(there)
                and not all(re.search(r"[#{}<>\\]|https?:", text) for text in there)
            ):
                found.append(column)
        return found

    @cached_property
    def times(self) -> list[Column]:
        """Columns of dates that go on for at least four of them."""
        return [
            c for c in self.table.columns
            if c.kind in TIMES and len({v for v in c.values if v is not None}) >= 4
        ]  # fmt: skip

    def rows_with(self, columns: Sequence[Column]) -> list[int]:
        """Numbers of the rows that have a value in each of the columns."""
        return [
            row for row in range(len(self.table)) if all(c.values[row] is not None for c in columns)
        ]

    def comparable(self, first: Column) -> list[Column]:
        """`first` and the measures that can share its axis: same unit, numbers of like size."""
        mine = _middle(first)
        found = [first]
        for other in self.measures:
            if other is first or other.unit != first.unit or not mine:
                continue
            ratio = _middle(other) / mine
            if Decimal("0.2") <= ratio <= 5 and _whole(other) == _whole(first):
                found.append(other)
        return found


def label(value: object, kind: str) -> str:
    """A category as it is shown."""
    if isinstance(value, datetime.date):
        return write_date(value, kind)
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def numbers(column: Column, rows: Sequence[int]) -> list[Decimal]:
    """The column's numbers in these rows, all of which it has."""
    return [v for row in rows if isinstance(v := column.values[row], Decimal)]


def dates(column: Column, rows: Sequence[int]) -> list[datetime.date]:
    """The column's dates in these rows, all of which it has."""
    return [v for row in rows if isinstance(v := column.values[row], datetime.date)]


def adds_up(column: Column) -> bool:
    """Whether a sum of the column's numbers means something: quantities, no rates or sizes."""
    values = [v for v in column.values if isinstance(v, Decimal)]
    return (
        column.unit not in _NO_SUM_UNITS
        and not _NO_SUM.search(column.name)
        and all(v >= 0 for v in values)
        and _whole(column)
    )


def grouped(column: Column, rows: Sequence[int]) -> dict[str, list[int]]:
    """The rows of each category: numbers and dates in order, words by first appearance."""
    groups: dict[object, list[int]] = {}
    for row in rows:
        groups.setdefault(column.values[row], []).append(row)
    ordered = list(groups)
    if column.kind != "text":
        ordered.sort(key=lambda value: (str(type(value)), value))
    return {label(value, column.kind): groups[value] for value in ordered}


def mean(values: Sequence[Decimal]) -> Decimal:
    """The mean of at least one number."""
    return sum(values, Decimal(0)) / len(values)


def quartiles(values: Sequence[Decimal]) -> list[Decimal]:
    """Minimum, lower quartile, median, upper quartile, maximum, between neighbours linearly."""
    ordered = sorted(values)
    found = []
    for quarter in range(5):
        place = Decimal(quarter * (len(ordered) - 1)) / 4
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        found.append(ordered[low] + (ordered[high] - ordered[low]) * (place - low))
    return found


def shown_numbers(
    lists: Sequence[Sequence[Decimal | None]], words: Words, *, more: int = 0
) -> tuple[list[tuple[Decimal | None, ...]], str] | None:
    """Numbers of one axis as they are shown: scaled to millions, with about four digits.

    Returns the lists and the scale's name; None when rounding would make nothing of a number.
    `more` decimals are allowed beyond those that the numbers have.
    """
    every = [v for values in lists for v in values if v is not None]
    largest = max((abs(v) for v in every), default=Decimal(0))
    if not largest:
        return None
    power, scale = scale_of(largest, words)
    wanted = 3 - (largest.adjusted() - power)
    given = max(decimals(v) for v in every) + power + more
    places = max(0, min(wanted, given, 6))
    result = [
        tuple(None if v is None else rounded(v.scaleb(-power), places) for v in values)
        for values in lists
    ]
    lost = any(
        v and not r
        for values, results in zip(lists, result, strict=True)
        for v, r in zip(values, results, strict=True)
    )
    return None if lost else (result, scale)


def is_even(values: Sequence[Decimal | None]) -> bool:
    """Whether bars of these lengths can be told from nothing and from each other."""
    lengths = sorted(abs(v) for v in values if v is not None)
    if len(lengths) < 2 or lengths[-1] - lengths[0] < _ALIKE * lengths[-1]:
        return False
    middle = lengths[len(lengths) // 2]
    least = next((length for length in lengths if length), lengths[-1])
    return lengths[-1] <= min(_UNEVEN * middle, _TINY * least)


def increases(values: Sequence[datetime.date]) -> bool:
    """Whether each is later than the one before."""
    return all(a < b for a, b in pairwise(values))


def _middle(column: Column) -> Decimal:
    values = sorted(abs(v) for v in column.values if isinstance(v, Decimal))
    return values[len(values) // 2]


def _whole(column: Column) -> bool:
    return all(v == int(v) for v in column.values if isinstance(v, Decimal))
