"""Charts that fit a table.

In: a `Table`, a seed and how many charts are wanted. Out: `Chart`s of as many kinds as the
table allows. A kind is tried only with columns that suit it: parts of a whole for a pie, times in
order for a line, no negative number in a stack. What has too many rows is averaged, counted,
cut or sampled, and the chart's note says so.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import get_args

from dsvl_data.plots import categorical, pointwise, timewise
from dsvl_data.plots.chart import Chart, ChartKind
from dsvl_data.plots.facts import Facts
from dsvl_data.plots.table import Table

KINDS: tuple[ChartKind, ...] = get_args(ChartKind)
_TRIES = 6


def choose_charts(
    table: Table, rng: random.Random, count: int, kinds: Sequence[ChartKind] = KINDS
) -> list[Chart]:
    """Up to `count` charts, each of another kind as far as the table has enough of them."""
    facts = Facts(table)
    chosen: list[Chart] = []
    left = list(kinds)
    rng.shuffle(left)
    seen: set[tuple[object, ...]] = set()
    for _ in range(2):  # the second round may use a kind again, with other columns
        for kind in left:
            if len(chosen) >= count:
                return chosen
            chart = next((c for c in _attempts(facts, kind, rng) if _content(c) not in seen), None)
            if chart is not None:
                seen.add(_content(chart))
                chosen.append(chart)
    return chosen


def _attempts(facts: Facts, kind: ChartKind, rng: random.Random) -> Iterator[Chart]:
    makers = _MAKERS[kind]
    for attempt in range(_TRIES):
        chart = makers[(attempt + rng.randrange(len(makers))) % len(makers)](facts, kind, rng)
        if chart is not None:
            yield chart


def _content(chart: Chart) -> tuple[object, ...]:
    return chart.kind, chart.measure, chart.label, chart.across, chart.columns


_Maker = Callable[[Facts, ChartKind, random.Random], Chart | None]
_MAKERS: dict[ChartKind, tuple[_Maker, ...]] = {
    "bar": (categorical.keyed, categorical.counted, categorical.averaged, timewise.timed),
    "horizontal_bar": (categorical.keyed, categorical.counted, categorical.averaged),
    "lollipop": (categorical.keyed, categorical.averaged),
    "grouped_bar": (
        categorical.keyed_several,
        categorical.crossed,
        timewise.timed,
        timewise.timed_groups,
    ),
    "stacked_bar": (categorical.keyed_several, categorical.crossed),
    "line": (timewise.timed,),
    "multi_line": (timewise.timed, timewise.timed_groups),
    "step": (timewise.timed,),
    "area": (timewise.timed,),
    "stacked_area": (timewise.timed, timewise.timed_groups),
    "pie": (categorical.keyed, categorical.counted),
    "donut": (categorical.keyed, categorical.counted),
    "scatter": (pointwise.scatter,),
    "bubble": (pointwise.scatter,),
    "histogram": (pointwise.histogram,),
    "box": (pointwise.boxes,),
    "heat_map": (categorical.keyed_several, categorical.crossed),
}
assert set(_MAKERS) == set(KINDS)
