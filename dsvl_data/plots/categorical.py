"""Charts over categories: of named rows, and of counts and means by category."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal

from dsvl_data.plots import facts as f
from dsvl_data.plots.chart import Chart, ChartKind, Series
from dsvl_data.plots.facts import Facts
from dsvl_data.plots.table import Column
from dsvl_data.plots.wording import (
    COUNT,
    SERIES,
    common_name,
    listed,
    mean_name,
    note,
    title,
    with_scale,
)

_SHARES: tuple[ChartKind, ...] = ("pie", "donut")
_MAX_SLICES = 7
_MAX_SERIES = 5


def keyed(facts: Facts, kind: ChartKind, rng: random.Random) -> Chart | None:
    """A number of each of some named rows."""
    if not facts.keys or not facts.measures:
        return None
    key, measure = facts.keys[0], rng.choice(facts.measures)
    rows = [r for r in facts.rows_with([key, measure]) if _short(key, r)]
    share = kind in _SHARES
    if share and not (f.adds_up(measure) or _is_percentage(measure, rows)):
        return None
    limit = _MAX_SLICES if share else rng.randint(5, 10 if kind == "bar" else 14)
    if share and len(rows) > limit:
        return None  # a part of the parts is no whole
    top = len(rows) > limit and rng.random() < 0.5
    if top:
        rows = sorted(rows, key=lambda r: -f.numbers(measure, [r])[0])[:limit]
    elif len(rows) > limit:
        rows = sorted(rng.sample(rows, limit))
    words = facts.words
    which = "share" if share else "top" if top else "by"
    heading = title(which, words, rng, m=measure.name, l=key.name, n=len(rows))
    values = f.numbers(measure, rows)
    return _categorical(
        facts, kind, heading, key.name, [f.label(key.values[r], key.kind) for r in rows],
        [("", values)], measure.name, measure.unit, sums=share or f.adds_up(measure),
        note=_part_note(facts, len(rows)), columns=(key, measure),
    )  # fmt: skip


def keyed_several(facts: Facts, kind: ChartKind, rng: random.Random) -> Chart | None:
    """Several numbers of each of some named rows."""
    if not facts.keys or not facts.measures:
        return None
    key, first = facts.keys[0], rng.choice(facts.measures)
    columns = facts.comparable(first)
    if len(columns) < (3 if kind == "heat_map" else 2):
        return None
    several = sorted(
        rng.sample(columns, min(len(columns), 6 if kind == "heat_map" else rng.randint(2, 3))),
        key=facts.table.columns.index,
    )
    if kind == "stacked_bar" and not all(f.adds_up(c) for c in several):
        return None
    rows = [r for r in facts.rows_with([key, *several]) if _short(key, r)]
    if len(rows) > 8:
        rows = sorted(rng.sample(rows, rng.randint(4, 8)))
    words = facts.words
    names = [c.name for c in several]
    heading = title("several", words, rng, l=key.name, s=listed(names, words))
    return _categorical(
        facts, kind, heading, key.name, [f.label(key.values[r], key.kind) for r in rows],
        [(c.name, f.numbers(c, rows)) for c in several], common_name(first.unit, words),
        first.unit, across=SERIES[words], sums=kind == "stacked_bar",
        note=_part_note(facts, len(rows)), columns=(key, *several),
    )  # fmt: skip


def counted(facts: Facts, kind: ChartKind, rng: random.Random) -> Chart | None:
    """How many rows each category has."""
    if not facts.categories:
        return None
    column = rng.choice(facts.categories)
    rows = facts.rows_with([column])
    groups = f.grouped(column, rows)
    if kind in _SHARES and len(groups) > _MAX_SLICES:
        return None
    labels = list(groups)
    if column.kind == "text" and rng.random() < 0.5:
        labels.sort(key=lambda name: -len(groups[name]))
    words = facts.words
    which = "share" if kind in _SHARES else "by"
    heading = title(which, words, rng, m=COUNT[words], l=column.name)
    counts = [Decimal(len(groups[name])) for name in labels]
    remark = note(words, ("count", len(rows), 0), *_left_out(facts, len(rows)))
    return _categorical(
        facts, kind, heading, column.name, labels, [("", counts)], COUNT[words], "",
        sums=True, note=remark, columns=(column,),
    )  # fmt: skip


def averaged(facts: Facts, kind: ChartKind, rng: random.Random) -> Chart | None:
    """The mean of a number in each category."""
    if not facts.categories or not facts.measures:
        return None
    column, measure = rng.choice(facts.categories), rng.choice(facts.measures)
    if column is measure:
        return None
    rows = facts.rows_with([column, measure])
    groups = f.grouped(column, rows)
    if len(groups) < 2 or min(map(len, groups.values())) < 2:
        return None
    words = facts.words
    name = mean_name(measure.name, words)
    means = [f.mean(f.numbers(measure, group)) for group in groups.values()]
    remark = note(words, ("mean", len(rows), 0), *_left_out(facts, len(rows)))
    heading = title("by", words, rng, m=name, l=column.name)
    return _categorical(
        facts, kind, heading, column.name, list(groups), [("", means)], name, measure.unit,
        note=remark, columns=(column, measure), more=1,
    )  # fmt: skip


def crossed(facts: Facts, kind: ChartKind, rng: random.Random) -> Chart | None:
    """Counts or means for each pair of two categories."""
    if len(facts.categories) < 2:
        return None
    column, other = rng.sample(facts.categories, 2)
    counts = kind == "stacked_bar" or not facts.measures or rng.random() < 0.4
    measure = None if counts else rng.choice(facts.measures)
    if measure in (column, other):
        return None
    needed = [column, other] if measure is None else [column, other, measure]
    rows = facts.rows_with(needed)
    groups, series = f.grouped(column, rows), list(f.grouped(other, rows))
    if len(series) > (8 if kind == "heat_map" else _MAX_SERIES) or len(groups) > 8:
        return None
    cells: list[tuple[str, list[Decimal | None]]] = [(name, []) for name in series]
    for group in groups.values():
        parts = f.grouped(other, group)
        for name, values in cells:
            part = parts.get(name, [])
            if measure is None:
                values.append(Decimal(len(part)))
            else:
                values.append(f.mean(f.numbers(measure, part)) if part else None)
    missing = sum(v is None for _, values in cells for v in values)
    if missing and kind != "heat_map":
        return None
    words = facts.words
    name = COUNT[words] if measure is None else mean_name(measure.name, words)
    kind_of_note = "count" if measure is None else "mean"
    remark = note(words, (kind_of_note, len(rows), 0), *_left_out(facts, len(rows)))
    heading = title("across", words, rng, m=name, l=column.name, a=other.name)
    return _categorical(
        facts, kind, heading, column.name, list(groups), cells, name,
        "" if measure is None else measure.unit, across=other.name, sums=measure is None,
        note=remark, columns=needed, more=int(measure is not None),
    )  # fmt: skip


def _categorical(
    facts: Facts,
    kind: ChartKind,
    heading: str,
    label: str,
    labels: Sequence[str],
    series: Sequence[tuple[str, Sequence[Decimal | None]]],
    measure: str,
    unit: str,
    *,
    columns: Sequence[Column],
    across: str = "",
    sums: bool = False,
    note: str = "",
    more: int = 0,
) -> Chart | None:
    """Finish a chart over categories; None when its numbers do not suit its kind."""
    every = [v for _, values in series for v in values]
    there = [v for v in every if v is not None]
    if len(labels) < 2 or len(set(labels)) < len(labels) or not there:
        return None
    if kind in (*_SHARES, "stacked_bar") and (min(there) < 0 or not sums):
        return None
    if kind in _SHARES and min(there) * 50 < sum(there):
        return None  # slices thinner than 2 %
    if kind != "heat_map" and not f.is_even(there):
        return None
    shown = f.shown_numbers([values for _, values in series], facts.words, more=more)
    if shown is None:
        return None
    numbers, scale = shown
    axis, short = with_scale(measure, unit, scale, facts.words)
    return Chart(
        kind=kind, words=facts.words, title=heading, label=label, labels=tuple(labels),
        series=tuple(
            Series(name or axis, v) for (name, _), v in zip(series, numbers, strict=True)
        ),
        measure=axis, unit=short, across=across, sums=sums, note=note,
        columns=tuple(c.source for c in columns),
    )  # fmt: skip


def _short(key: Column, row: int) -> bool:
    return len(f.label(key.values[row], key.kind)) <= f.MAX_LABEL


def _is_percentage(measure: Column, rows: Sequence[int]) -> bool:
    total = sum(f.numbers(measure, rows), Decimal(0))
    return measure.unit == "%" and 99 <= total <= 101


def _part_note(facts: Facts, shown: int) -> str:
    return note(facts.words, ("part", shown if shown < facts.table.total else 0, facts.table.total))


def _left_out(facts: Facts, used: int) -> list[tuple[str, int, int]]:
    table = facts.table
    first = len(table) if table.total > len(table) else 0
    return [("missing", len(table) - used, 0), ("first", first, table.total)]
