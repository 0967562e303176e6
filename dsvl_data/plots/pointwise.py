"""Charts of single rows and of how numbers are spread: scatter, bubble, histogram, box."""

from __future__ import annotations

import random
from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise

from dsvl_data.plots import facts as f
from dsvl_data.plots.chart import Chart, ChartKind, Series
from dsvl_data.plots.facts import Facts
from dsvl_data.plots.values import decimals, rounded, write_number
from dsvl_data.plots.wording import BOX, COUNT, JOIN, RANGE, SIZE, note, title, with_scale

#: So many points can be told apart, and listed.
_POINTS = 40
_BUBBLES = 20
_MAX_GROUPS = 5
#: A bubble with less than this part of the largest one's area is a dot.
_SIZES = 60


def scatter(facts: Facts, kind: ChartKind, rng: random.Random) -> Chart | None:
    """Two or three numbers of each of some rows, perhaps by category."""
    wanted = 3 if kind == "bubble" else 2
    measures = [c for c in facts.measures if len(set(c.values)) >= 8]
    if len(measures) < wanted:
        return None
    columns = rng.sample(measures, wanted)
    groups = [c for c in facts.categories if c not in columns and len(set(c.values)) <= _MAX_GROUPS]
    column = rng.choice(groups) if groups and rng.random() < 0.7 else None
    rows = facts.rows_with([*columns, column] if column else columns)
    most = _BUBBLES if kind == "bubble" else _POINTS
    sampled = len(rows) > most
    if sampled:
        rows = sorted(rng.sample(rows, most))
    if len(rows) < 5:
        return None
    if kind == "bubble":
        sizes = f.numbers(columns[2], rows)
        if min(sizes) <= 0 or max(sizes) > _SIZES * min(sizes):
            return None
    words, series, short = facts.words, [], ""
    for place, c in enumerate(columns):
        values = f.numbers(c, rows)
        shown = f.shown_numbers([values], words)
        low, high = min(values), max(values)
        if shown is None or low == high or (high - low) * 500 < max(abs(low), abs(high)):
            return None
        name, unit = with_scale(c.name, c.unit, shown[1], words)
        series.append(Series(name, shown[0][0]))
        short = unit if place == 1 else short
    if len({s.name for s in series}) < wanted:
        return None
    labels = tuple(f.label(column.values[r], column.kind) if column else "" for r in rows)
    if column and len(set(labels)) < 2:
        return None
    points = set(zip(*(s.values for s in series[:2]), strict=True))
    if len(points) < 0.8 * len(rows):
        return None  # too many on top of each other
    n, total = len(rows), facts.table.total
    remark = note(words, ("sample" if sampled else "part", n if n < total else 0, total))
    if kind == "bubble":
        shown_sizes = [v for v in series[2].values if v is not None]
        size = SIZE[words].format(
            name=series[2].name,
            low=write_number(min(shown_sizes)),
            high=write_number(max(shown_sizes)),
        )
        remark = JOIN[words].join(filter(None, (size, remark)))
    return Chart(
        kind=kind, words=words, label=column.name if column else "", labels=labels,
        title=title("points", words, rng, x=columns[0].name, y=columns[1].name),
        series=tuple(series), measure=series[1].name, unit=short,
        across=column.name if column else "", note=remark,
        columns=tuple(c.source for c in [*columns, *([column] if column else [])]),
    )  # fmt: skip


def histogram(facts: Facts, kind: ChartKind, rng: random.Random) -> Chart | None:
    """How often numbers fall between round borders."""
    columns = [c for c in facts.measures if len({v for v in c.values if v is not None}) >= 12]
    if not columns:
        return None
    column = rng.choice(columns)
    rows = facts.rows_with([column])
    values = f.numbers(column, rows)
    if len(values) < 20:
        return None
    step, edges = _borders(min(values), max(values), rng.randint(6, 10))
    if not 4 <= len(edges) - 1 <= 14:
        return None
    counts = [0] * (len(edges) - 1)
    for value in values:
        place = int(((value - edges[0]) / step).to_integral_value(ROUND_FLOOR))
        counts[min(place, len(counts) - 1)] += 1  # the last bin has its upper border too
    if max(counts) > 0.8 * len(values):
        return None
    words = facts.words
    texts = [write_number(edge) for edge in edges]
    if any(len(text) > 9 for text in texts):
        return None
    table = facts.table
    first = len(table) if table.total > len(table) else 0
    remark = note(
        words, ("count", len(rows), 0), ("missing", len(table) - len(rows), 0),
        ("first", first, table.total),
    )  # fmt: skip
    return Chart(
        kind=kind, words=words, title=title("spread", words, rng, m=column.name),
        label=column.name, measure=COUNT[words], edges=tuple(edges), sums=True, note=remark,
        labels=tuple(RANGE[words].format(a, b) for a, b in pairwise(texts)),
        series=(Series(COUNT[words], tuple(Decimal(n) for n in counts)),),
        columns=(column.source,),
    )  # fmt: skip


def boxes(facts: Facts, kind: ChartKind, rng: random.Random) -> Chart | None:
    """Minimum, quartiles and maximum of a number in each category."""
    if not facts.categories or not facts.measures:
        return None
    column, measure = rng.choice(facts.categories), rng.choice(facts.measures)
    if column is measure:
        return None
    rows = facts.rows_with([column, measure])
    groups = {n: part for n, part in f.grouped(column, rows).items() if len(part) >= 5}
    used = sum(map(len, groups.values()))
    if not 2 <= len(groups) <= 8 or used < len(rows):
        return None
    five = [f.quartiles(f.numbers(measure, part)) for part in groups.values()]
    if any(box[0] == box[4] for box in five):
        return None
    words = facts.words
    shown = f.shown_numbers(list(zip(*five, strict=True)), words, more=1)
    if shown is None:
        return None
    axis, short = with_scale(measure.name, measure.unit, shown[1], words)
    remark = note(words, ("rows", used, 0), ("missing", len(facts.table) - used, 0))
    return Chart(
        kind=kind, words=words, label=column.name, labels=tuple(groups), measure=axis, unit=short,
        title=title("boxes", words, rng, m=measure.name, l=column.name), note=remark,
        series=tuple(Series(n, v) for n, v in zip(BOX[words], shown[0], strict=True)),
        columns=(column.source, measure.source),
    )  # fmt: skip


def _borders(low: Decimal, high: Decimal, bins: int) -> tuple[Decimal, list[Decimal]]:
    """A round step, and multiples of it from below `low` to above `high`."""
    rough = (high - low) / bins
    power = Decimal(1).scaleb(rough.adjusted())
    step = next(power * m for m in (Decimal(1), Decimal(2), Decimal(5), Decimal(10)) if
                power * m >= rough)  # fmt: skip
    step = step.normalize()
    edge = (low / step).to_integral_value(ROUND_FLOOR) * step
    edges = [edge]
    while edges[-1] < high or len(edges) < 2:
        edges.append(edges[-1] + step)
    places = decimals(step)
    return step, [rounded(e, places) for e in edges]
