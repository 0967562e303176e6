"""Questions about a chart, with answers computed from the numbers that it shows.

In: a `Chart`, its `Style`, a language and a seed. Out: `Pair`s. A question is asked only where
the answer is one and can be seen: exact numbers where numbers stand in the picture, comparisons
only between what differs visibly, no largest among equals. Rounding is stated in the question.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from dsvl_data.plots.chart import Chart, ChartKind, Words
from dsvl_data.plots.phrases import NOUNS, PHRASES
from dsvl_data.plots.style import Style
from dsvl_data.plots.values import decimals, rounded, write_number

#: Without numbers in the picture, values must differ by this part of the axis to be told apart.
_VISIBLE = Decimal("0.04")
#: Correlations that anybody sees.
_STRONG = 0.75


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and its answer; `about` is the kind of question."""

    about: str
    question: str
    answer: str


def ask(chart: Chart, style: Style, words: Words, rng: random.Random, most: int) -> list[Pair]:
    """Up to `most` pairs, each about something else, in a drawn order; maybe none."""
    pairs = list(_Asker(chart, style, words, rng).all())
    rng.shuffle(pairs)
    found: dict[str, Pair] = {}
    for pair in pairs:
        found.setdefault(pair.about, pair)
    return list(found.values())[:most]


class _Asker:
    def __init__(self, chart: Chart, style: Style, words: Words, rng: random.Random) -> None:
        self.chart, self.style, self.words, self.rng = chart, style, words, rng
        self.labelled = _shows_numbers(chart, style)
        every = [v for s in chart.series for v in s.values if v is not None]
        low = min(every)
        if chart.kind not in ("line", "multi_line", "step", "box", "scatter", "bubble"):
            low = min(low, Decimal(0))
        self.range = max(every) - low
        self.places = max(decimals(v) for v in every)

    def all(self) -> Iterator[Pair]:
        """Every question that can be asked."""
        yield from _ASKERS[self.chart.kind](self)

    # Wording.

    def _pair(self, about: str, answer: str, **parts: object) -> Pair:
        template = self.rng.choice(PHRASES[about][self.words])
        shown = {"m": self.chart.measure, "l": self.chart.label, "a": self.chart.across, **parts}
        question = template.format(**shown)
        if self.words == "en":  # where no question begins with a word of the data
            question = question[:1].upper() + question[1:]
        return Pair(about, question, answer)

    def _number(self, value: Decimal, *, unit: bool = True) -> str:
        text = write_number(value, commas=self.style.commas)
        name = self.chart.unit if unit else ""
        if not name:
            return text
        return text + name if name == "%" or ord(name[0]) > 0x2E80 else f"{text} {name}"

    def _item(self, label: str) -> str:
        """A label as it stands in a sentence: of a number, what it is a number of."""
        if self.chart.dates or not label.replace(".", "").replace("-", "").isdigit():
            return label
        gap = " " if self.words == "en" else ""
        return f"{self.chart.label}{gap}{label}"

    def _yes(self, truth: bool) -> str:
        return {"en": ("No", "Yes"), "zh": ("否", "是")}[self.words][truth]

    # What can be told apart.

    def _clear(self, first: Decimal, second: Decimal) -> bool:
        least = Decimal(0) if self.labelled else _VISIBLE * self.range
        return first != second and abs(first - second) >= least

    def _ends(
        self, values: Sequence[Decimal | None], *, at: int = 0
    ) -> tuple[int | None, int | None]:
        """Where the largest (or `at`-th after it) and the smallest are, if clearly so."""
        there = sorted((v, i) for i, v in enumerate(values) if v is not None)
        if len(there) < at + 2:
            return None, None
        top = there[-1 - at]
        near = [there[-2 - at], *([there[-at]] if at else [])]
        high = top[1] if all(self._clear(top[0], other[0]) for other in near) else None
        low = there[0][1] if self._clear(there[0][0], there[1][0]) else None
        return high, low

    def _two(self, values: Sequence[Decimal | None]) -> tuple[int, int] | None:
        """Two places, the first with the clearly larger number."""
        pairs = [
            (i, j)
            for i, a in enumerate(values)
            for j, b in enumerate(values)
            if a is not None and b is not None and a > b and self._clear(a, b)
        ]
        return self.rng.choice(pairs) if pairs else None

    # Kinds of charts.

    def _one_series(self) -> Iterator[Pair]:
        chart = self.chart
        labels = [self._item(label) for label in chart.labels]
        values = [v for v in chart.series[0].values if v is not None]
        readable = self.labelled or not chart.dates or len(labels) <= 12
        if not chart.dates:
            yield self._pair("count", str(len(labels)), noun=NOUNS[chart.kind][self.words])
        high, low = self._ends(values)
        when = "_when" if chart.dates else ""
        if high is not None and readable:
            yield self._pair("largest" + when, chart.labels[high])
        if low is not None and readable:
            yield self._pair("smallest" + when, chart.labels[low])
        second, _ = self._ends(values, at=1)
        if second is not None and readable and len(values) > 3:
            yield self._pair("second" + when, chart.labels[second])
        two = self._two(values)
        if two and readable:
            pair = list(two)
            self.rng.shuffle(pair)
            yield self._pair("larger", chart.labels[two[0]], x=labels[pair[0]], y=labels[pair[1]])
        if chart.dates and self._clear(values[0], values[-1]):
            yield self._pair("rise", self._yes(values[-1] > values[0]), x=labels[-1], y=labels[0])
        if self.labelled:
            yield from self._with_numbers(labels, values)

    def _with_numbers(self, labels: Sequence[str], values: Sequence[Decimal]) -> Iterator[Pair]:
        chart, rng = self.chart, self.rng
        place = rng.randrange(len(labels))
        yield self._pair("lookup", self._number(values[place]), x=labels[place])
        two = self._two(values)
        if two:
            gap = values[two[0]] - values[two[1]]
            yield self._pair("gap", self._number(gap), x=labels[two[0]], y=labels[two[1]])
        ordered = sorted(set(values))
        if len(ordered) > 3:
            middle = rng.randrange(1, len(ordered) - 1)
            border = rounded((ordered[middle] + ordered[middle + 1]) / 2, self.places)
            if ordered[middle] < border < ordered[middle + 1]:
                number = sum(v > border for v in values)
                yield self._pair("above", str(number), t=self._number(border))
        if chart.sums and not chart.dates:
            yield self._pair("total", self._number(sum(values, Decimal(0))))
        if chart.kind in ("pie", "donut"):
            share = 100 * values[place] / sum(values)
            if not _halfway(share, 1):
                yield self._pair("share", f"{rounded(share, 1)}%", x=labels[place])
        elif len(values) <= 10:
            places = self.places + 1
            middle_value = sum(values, Decimal(0)) / len(values)
            if not _halfway(middle_value, places):
                answer = self._number(rounded(middle_value, places))
                yield self._pair("average", answer, p=self._decimals(places))

    def _decimals(self, places: int) -> str:
        if self.words == "zh":
            return f"{places}位小数"
        return f"{places} decimal place{'s' if places > 1 else ''}"

    def _several_series(self) -> Iterator[Pair]:
        chart, rng = self.chart, self.rng
        labels = [self._item(label) for label in chart.labels]
        about = "columns" if chart.kind == "heat_map" else "series"
        yield self._pair(about, str(len(chart.series)))
        stacked = chart.kind in ("stacked_bar", "stacked_area")
        if chart.kind == "stacked_area":
            return
        place = rng.choice((0, len(labels) - 1)) if chart.dates else rng.randrange(len(labels))
        row = [s.values[place] for s in chart.series]
        high, low = self._ends(row)
        if high is not None:
            yield self._pair("largest_of", chart.series[high].name, x=labels[place])
        if low is not None:
            yield self._pair("smallest_of", chart.series[low].name, x=labels[place])
        number = rng.randrange(len(chart.series))
        series = chart.series[number]
        high, low = self._ends(series.values)
        # In a stack only the lowest part stands on the axis.
        if not stacked and (self.labelled or len(labels) <= 8):
            if high is not None:
                yield self._pair("peak", chart.labels[high], s=series.name)
            if low is not None:
                yield self._pair("least", chart.labels[low], s=series.name)
        first, last = series.values[0], series.values[-1]
        if chart.dates and first is not None and last is not None and self._clear(first, last):
            yield self._pair(
                "rise_of", self._yes(last > first), s=series.name, x=labels[-1], y=labels[0]
            )
        if self.labelled:
            yield from self._cells(labels)

    def _cells(self, labels: Sequence[str]) -> Iterator[Pair]:
        """Questions about single numbers of a chart with several series."""
        chart, rng = self.chart, self.rng
        cells = [
            (i, s) for s in chart.series for i, value in enumerate(s.values) if value is not None
        ]
        place, series = rng.choice(cells)
        value = series.values[place]
        assert value is not None
        yield self._pair("cell", self._number(value), x=labels[place], s=series.name)
        two = self._two(series.values)
        if two:
            a, b = (series.values[i] for i in two)
            assert a is not None
            assert b is not None
            yield self._pair(
                "gap_of", self._number(a - b), s=series.name, x=labels[two[0]], y=labels[two[1]]
            )
        row = [s.values[place] for s in chart.series]
        whole = [v for v in row if v is not None]
        if chart.sums and len(whole) == len(row):
            yield self._pair("total_of", self._number(sum(whole, Decimal(0))), x=labels[place])
        if chart.kind == "heat_map":
            flat = [s.values[i] for i, s in cells]
            high, _ = self._ends(flat)
            if high is not None:
                i, best = cells[high]
                yield self._pair("hottest", f"{chart.labels[i]}, {best.name}")

    def _points(self) -> Iterator[Pair]:
        chart = self.chart
        x, y = ([float(v) for v in s.values if v is not None] for s in chart.series[:2])
        names = {"x": chart.series[0].name, "y": chart.series[1].name}
        strength = _correlation(x, y)
        if len(x) >= 10 and abs(strength) >= _STRONG:
            answers = {
                "en": ("{y} tends to fall as {x} rises.", "They tend to rise together."),
                "zh": ("{y}随{x}的增大而减小。", "两者大致同增同减。"),
            }
            answer = answers[self.words][strength > 0].format(**names)
            yield self._pair("relation", answer, **names)
        groups = list(dict.fromkeys(chart.labels))
        if not chart.across:
            return
        yield self._pair("groups", str(len(groups)))
        for series, about in zip(chart.series[:2], ("rightmost", "topmost"), strict=True):
            values = [v for v in series.values if v is not None]
            order = sorted(range(len(values)), key=values.__getitem__)
            best = order[-1]
            rest = [i for i in order if chart.labels[i] != chart.labels[best]]
            visible = _VISIBLE * (max(values) - min(values))
            if rest and values[best] - values[rest[-1]] >= visible:
                yield self._pair(about, chart.labels[best], n=series.name)

    def _bins(self) -> Iterator[Pair]:
        chart, rng = self.chart, self.rng
        counts = [v for v in chart.series[0].values if v is not None]
        edges = [write_number(e, commas=self.style.commas) for e in chart.edges]
        high, _ = self._ends(counts)
        if high is not None:
            yield self._pair("bin_most", chart.labels[high])
        place = rng.randrange(len(counts))
        yield self._pair("bin", str(counts[place]), f=edges[place], t=edges[place + 1])
        yield self._pair("bin_total", self._number(sum(counts, Decimal(0))))
        border = rng.randrange(1, len(counts))
        below = sum(counts[:border], Decimal(0))
        yield self._pair("bin_below", self._number(below), t=edges[border])
        yield self._pair("bins", str(len(counts)))

    def _spreads(self) -> Iterator[Pair]:
        chart = self.chart
        low, _, median, _, high = (s.values for s in chart.series)
        yield self._pair("boxes", str(len(chart.labels)))
        most, least = self._ends(median)
        if most is not None:
            yield self._pair("median_most", chart.labels[most])
        if least is not None:
            yield self._pair("median_least", chart.labels[least])
        top, _ = self._ends(high)
        if top is not None:
            yield self._pair("reach_most", chart.labels[top])
        spans = [b - a for a, b in zip(low, high, strict=True) if a is not None and b is not None]
        widest, _ = self._ends(spans)
        if widest is not None:
            yield self._pair("range_most", chart.labels[widest])


_ASKERS: Mapping[ChartKind, Callable[[_Asker], Iterator[Pair]]] = {
    "bar": _Asker._one_series, "horizontal_bar": _Asker._one_series,
    "lollipop": _Asker._one_series, "pie": _Asker._one_series, "donut": _Asker._one_series,
    "line": _Asker._one_series, "step": _Asker._one_series, "area": _Asker._one_series,
    "grouped_bar": _Asker._several_series, "stacked_bar": _Asker._several_series,
    "multi_line": _Asker._several_series, "stacked_area": _Asker._several_series,
    "heat_map": _Asker._several_series, "scatter": _Asker._points, "bubble": _Asker._points,
    "histogram": _Asker._bins, "box": _Asker._spreads,
}  # fmt: skip


def _shows_numbers(chart: Chart, style: Style) -> bool:
    """Whether each number stands in the picture."""
    if chart.kind in ("scatter", "bubble", "box", "multi_line", "stacked_area"):
        return False
    return style.labelled and not (chart.kind == "stacked_bar" and style.backend == "vega_lite")


def _halfway(value: Decimal, places: int) -> bool:
    """Whether a number lies exactly between two roundings, which people settle differently."""
    rest = (value.scaleb(places)) % 1
    return abs(abs(rest) - Decimal("0.5")) < Decimal("1e-9")


def _correlation(x: Sequence[float], y: Sequence[float]) -> float:
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    dx, dy = [a - mean_x for a in x], [b - mean_y for b in y]
    scale = (sum(a * a for a in dx) * sum(b * b for b in dy)) ** 0.5
    product = sum(a * b for a, b in zip(dx, dy, strict=True))
    return product / scale if scale else 0.0
