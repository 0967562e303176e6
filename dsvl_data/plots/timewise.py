"""Charts over time: times in order, each once, averaged or cut where they are too many."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal

from dsvl_data.plots import facts as f
from dsvl_data.plots.chart import Chart, ChartKind, Series
from dsvl_data.plots.facts import Facts
from dsvl_data.plots.table import Column
from dsvl_data.plots.values import write_date
from dsvl_data.plots.wording import (
    SERIES,
    common_name,
    listed,
    mean_name,
    note,
    title,
    with_scale,
)

_MAX_SERIES = 5


def timed(facts: Facts, kind: ChartKind, rng: random.Random) -> Chart | None:
    """One or several numbers over time."""
    if not facts.times or not facts.measures:
        return None
    time = facts.times[0]
    first = rng.choice(facts.measures)
    several = [first]
    if kind in ("multi_line", "stacked_area", "grouped_bar"):
        columns = facts.comparable(first)
        if len(columns) < 2:
            return None
        most = min(len(columns), 3 if kind == "grouped_bar" else _MAX_SERIES)
        several = rng.sample(columns, rng.randint(2, most))
        several.sort(key=facts.table.columns.index)
    rows = sorted(facts.rows_with([time, *several]), key=lambda r: (str(time.values[r]), r))
    table = [(c.name, f.numbers(c, rows)) for c in several]
    return _over_time(facts, kind, rng, time, rows, table, several, "")


def timed_groups(facts: Facts, kind: ChartKind, rng: random.Random) -> Chart | None:
    """A number over time, for each of some categories."""
    if not facts.times or not facts.measures or not facts.categories:
        return None
    time, measure = facts.times[0], rng.choice(facts.measures)
    column = rng.choice(facts.categories)
    if column is time:
        return None
    rows = facts.rows_with([time, measure, column])
    groups = {name: part for name, part in f.grouped(column, rows).items() if len(part) >= 4}
    if not 2 <= len(groups) <= 8:
        return None
    names = list(groups)
    if len(names) > _MAX_SERIES:
        names = sorted(rng.sample(names, _MAX_SERIES), key=names.index)
    shared = set.intersection(*(set(f.dates(time, groups[n])) for n in names))
    if len(shared) < 4:
        return None
    series = []
    kept: list[int] = []
    for name in names:
        part = [r for r in groups[name] if time.values[r] in shared]
        part.sort(key=lambda r: str(time.values[r]))
        if len(part) != len(shared):
            return None  # two numbers for one time
        series.append((name, f.numbers(measure, part)))
        kept = part
    return _over_time(facts, kind, rng, time, kept, series, [measure, column], column.name)


def _over_time(
    facts: Facts,
    kind: ChartKind,
    rng: random.Random,
    time: Column,
    rows: Sequence[int],
    series: Sequence[tuple[str, Sequence[Decimal]]],
    columns: Sequence[Column],
    across: str,
) -> Chart | None:
    """Finish a chart over time: times in order, each once, and not too many of them."""
    words, dates = facts.words, f.dates(time, rows)
    measure = columns[0]
    lists = [list(values) for _, values in series]
    averaged = 0
    if not f.increases(dates) or (len(dates) > 120 and time.kind == "day"):
        # Several numbers for a time, or more times than a chart can hold: means by year or month.
        size = 4 if len({d.year for d in dates}) >= 5 else 7
        if time.kind == "year":
            size = 4
        groups: dict[str, list[int]] = {}
        for place, date in enumerate(dates):
            groups.setdefault(date.isoformat()[:size], []).append(place)
        averaged = len(dates)
        lists = [[f.mean([v[p] for p in group]) for group in groups.values()] for v in lists]
        dates = [min(dates[p] for p in group).replace(day=1) for group in groups.values()]
        precision = "year" if size == 4 else "month"
        if size == 4:
            dates = [date.replace(month=1) for date in dates]
    else:
        precision = time.kind
    most = {"bar": 12, "grouped_bar": 6, "step": 24}.get(kind, rng.choice((12, 24, 40)))
    total = len(dates)
    if total > most:
        start = rng.randint(0, total - most)
        dates = dates[start : start + most]
        lists = [values[start : start + most] for values in lists]
    every = [v for values in lists for v in values]
    if len(dates) < 4 or max(every) == min(every):
        return None
    if kind in ("area", "stacked_area", "bar", "grouped_bar") and min(every) < 0:
        return None
    if kind in ("bar", "grouped_bar") and not f.is_even(every):
        return None
    if kind == "stacked_area" and not all(f.adds_up(c) for c in columns if c.kind == "number"):
        return None
    more = int(averaged > 0)
    shown = f.shown_numbers(lists, words, more=more)
    if shown is None or max(every) > 300 * sorted(abs(v) for v in every)[len(every) // 2]:
        return None
    numbers, scale = shown
    several = len(series) > 1 and not across
    name = common_name(measure.unit, words) if several else measure.name
    if averaged:
        name = mean_name(measure.name, words) if not several else mean_name(name, words)
    axis, short = with_scale(name, measure.unit, scale, words)
    labels = [write_date(date, precision) for date in dates]
    topic = listed([n for n, _ in series], words) if several else name
    heading = title("time", words, rng, m=topic, f=labels[0], t=labels[-1])
    part = total > len(dates)
    remark = note(
        words, ("mean", averaged, 0), ("points", len(dates) if part and not averaged else 0, total)
    )
    return Chart(
        kind=kind, words=words, title=heading, label=time.name, labels=tuple(labels),
        series=tuple(
            Series(n if len(series) > 1 else axis, v)
            for (n, _), v in zip(series, numbers, strict=True)
        ),
        measure=axis, unit=short, across=(across or SERIES[words]) if len(series) > 1 else "",
        dates=tuple(dates), precision=precision, note=remark,
        sums=all(f.adds_up(c) for c in columns if c.kind == "number") and not averaged,
        columns=(time.source, *(c.source for c in columns)),
    )  # fmt: skip
