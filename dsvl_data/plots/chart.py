"""What a chart shows, whoever draws it: a small table of rounded numbers and its words.

Everything that follows, picture, code, data and answers, is made of a `Chart` and of nothing
else, so none of them can say what the others do not.
"""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from dsvl_data.plots.values import write_number
from dsvl_data.render.inline import SIGNS, escape_signs
from dsvl_data.render.markdown_table import write_table

ChartKind: TypeAlias = Literal[
    "bar", "horizontal_bar", "lollipop", "grouped_bar", "stacked_bar", "line", "multi_line",
    "step", "area", "stacked_area", "pie", "donut", "scatter", "bubble", "histogram", "box",
    "heat_map",
]  # fmt: skip
Words: TypeAlias = Literal["en", "zh"]

#: What is escaped of a name or a datum, within a table or above it.
_SIGNS = SIGNS + "|~"


@dataclass(frozen=True, slots=True)
class Series:
    """A name and one number a label, all rounded to the same decimals; None: not there."""

    name: str
    values: tuple[Decimal | None, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart without its looks.

    `labels` are categories, times or groups, `label` what they are; `across` is what the series
    are. `measure` names the axis of values, `unit` is short and may be empty. `dates` are the
    places of `labels` on an axis of time. Of a `scatter` or `bubble` the series are x, y and
    size and `labels` the groups (empty without groups); of a `box` they are minimum, quartiles
    and maximum; of a `histogram` the counts between `edges`. `sums`: adding values up means
    something. `note` says what was averaged or left out; it is shown below the chart.
    """

    kind: ChartKind
    words: Words
    title: str
    label: str
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    measure: str
    unit: str = ""
    across: str = ""
    dates: tuple[datetime.date, ...] = ()
    precision: str = ""
    edges: tuple[Decimal, ...] = ()
    sums: bool = False
    note: str = ""
    columns: tuple[str, ...] = ()

    @property
    def texts(self) -> list[str]:
        """All words that a picture of it may show."""
        return [
            self.title, self.label, *self.labels, *(s.name for s in self.series), self.measure,
            self.across, self.note,
        ]  # fmt: skip

    def header(self) -> list[str]:
        """The names of the data's columns."""
        names = [series.name for series in self.series]
        return [self.label, *names] if self.label else names

    def rows(self, *, commas: bool = False) -> list[list[str]]:
        """The data, a list of texts for each label; a missing number is empty."""
        columns = [
            ["" if v is None else write_number(v, commas=commas) for v in series.values]
            for series in self.series
        ]
        if self.label:
            columns.insert(0, list(self.labels))
        return [list(row) for row in zip(*columns, strict=True)]


def write_markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; what would be markup is escaped."""
    return write_table([*map(escaped, header)], [[*map(escaped, row)] for row in rows])


def write_csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same as CSV, without a line end after the last row."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([header, *rows])
    return out.getvalue().rstrip("\n")


def escaped(text: str) -> str:
    """Markdown that shows this line of text."""
    return escape_signs(text, _SIGNS)
