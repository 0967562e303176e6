"""What each kind of chart is in Vega-Lite: marks, channels and data of a specification.

In: a `Chart` and a `Style`. Out: the specification as a dictionary. Values of the data stand in
`data` and in titles only, never in an expression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from dsvl_data.plots.chart import Chart, ChartKind
from dsvl_data.plots.fitting import PIXELS, broken, fit_labels, share_texts, tick_step, value_text
from dsvl_data.plots.fonts import text_width
from dsvl_data.plots.script import plain_number
from dsvl_data.plots.style import DESIGNS, Style

_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_SCHEMES = ("blues", "greens", "oranges", "purples", "tealblues")
Spec: TypeAlias = dict[str, Any]


def make_spec(chart: Chart, style: Style) -> Spec:
    """The specification of a chart, with its data and its looks."""
    return _Plot(chart, style).spec()


class _Plot:
    """One chart on its way to a specification."""

    def __init__(self, chart: Chart, style: Style) -> None:
        self.chart, self.style = chart, style
        self.colours = [style.palette[i % len(style.palette)] for i in range(12)]
        self.width = style.width - 170 if chart.across else style.width - 90
        self.height = style.height - 110
        self.ink = "#ffffff" if style.dark else "#222222"

    def spec(self) -> Spec:
        chart, style = self.chart, self.style
        spec: Spec = {"$schema": _SCHEMA, "background": "white"}
        if DESIGNS[style.design].settings.get("background"):
            del spec["background"]
        title: Spec = {}
        size = style.font_size * PIXELS
        if style.titled:
            title["text"] = _lines(broken(chart.title, self.width, style, style.font_size * 1.25))
        if chart.note:
            # Vega-Lite has no foot line: what would stand there is the second line of the head.
            note = _lines(broken(chart.note, self.width, style, style.font_size * 0.9))
            title["subtitle" if style.titled else "text"] = note
            if not style.titled:
                title.update(fontSize=round(size * 0.9, 1), fontWeight="normal")
        if title:
            spec["title"] = {**title, **({"anchor": "start"} if style.left_title else {})}
        spec.update(width=self.width, height=self.height)
        spec["data"] = {"values": self._values()}
        spec.update(_DRAWERS[chart.kind](self))
        spec["config"] = self._config()
        return spec

    def _config(self) -> Spec:
        style = self.style
        size = round(style.font_size * PIXELS, 1)
        design: Mapping[str, Any] = DESIGNS[style.design].settings
        sizes: Spec = {
            "font": ", ".join(style.families),
            "axis": {"labelFontSize": size, "titleFontSize": size, "labelLimit": 0,
                     "titleFontWeight": "normal", "labelFlush": False},
            "legend": {"labelFontSize": size, "titleFontSize": size, "labelLimit": 0,
                       "titleLimit": 0, "orient": style.legend, "titleFontWeight": "normal"},
            "title": {"fontSize": round(size * 1.2, 1), "subtitleFontSize": round(size * 0.85, 1),
                      "fontWeight": "bold" if style.bold_title else "normal", "limit": 0},
        }  # fmt: skip
        if style.legend != "right":
            sizes["legend"]["columns"] = 4
        for key, value in design.items():
            sizes[key] = {**sizes.get(key, {}), **value} if isinstance(value, dict) else value
        return sizes

    def _values(self) -> list[Spec]:
        """The data as rows: label and value, or series too."""
        chart, style = self.chart, self.style
        if chart.kind in ("scatter", "bubble"):
            names = ("x", "y", "size")
            return [
                {**({"group": label} if chart.across else {}),
                 **{n: _number(v) for n, v in zip(names, row, strict=False)}}
                for label, *row in zip(chart.labels, *(s.values for s in chart.series), strict=True)
            ]  # fmt: skip
        if chart.kind == "box":
            keys = ("minimum", "q1", "median", "q3", "maximum")
            return [
                {"label": label, **{k: _number(v) for k, v in zip(keys, row, strict=True)}}
                for label, *row in zip(chart.labels, *(s.values for s in chart.series), strict=True)
            ]  # fmt: skip
        if chart.kind == "histogram":
            return [
                {"start": _number(a), "end": _number(b), "count": _number(v), "middle":
                 _number((a + b) / 2)}
                for a, b, v in zip(
                    chart.edges, chart.edges[1:], chart.series[0].values, strict=False
                )
            ]  # fmt: skip
        labels: list[Any] = list(chart.labels)
        if chart.dates and not self._discrete:
            labels = [
                date.year if chart.precision == "year" else date.isoformat() for date in chart.dates
            ]
        elif chart.kind not in ("heat_map", "horizontal_bar", "pie", "donut"):
            labels = self._category_labels()[0]
        several = len(chart.series) > 1
        texts = self._texts() if style.labelled else None
        rows = []
        for number, series in enumerate(chart.series):
            for place, (label, value) in enumerate(zip(labels, series.values, strict=True)):
                if value is None:
                    continue
                row: Spec = {"label": label, **({"series": series.name} if several else {})}
                row["value"] = _number(value)
                if texts:
                    row["text"] = texts[number][place]
                rows.append(row)
        return rows

    def _texts(self) -> list[list[str]]:
        chart, style = self.chart, self.style
        texts = [[value_text(v, style) for v in s.values] for s in chart.series]
        if chart.kind in ("pie", "donut") and style.marker:
            shares = share_texts(chart)
            texts = [[f"{t} ({s})" for t, s in zip(texts[0], shares, strict=True)]]
        return texts

    @property
    def _discrete(self) -> bool:
        return self.chart.kind in ("bar", "grouped_bar", "lollipop")

    def _category_labels(self) -> tuple[list[str], bool]:
        _, slanted = fit_labels(self.chart.labels, self.width, self.style, lines=1)
        return list(self.chart.labels), slanted

    # Channels.

    def _category(self, *, vertical: bool = False) -> Spec:
        axis: Spec = {"grid": False}
        if vertical:
            axis["labelLimit"] = 0
        else:
            axis["labelAngle"] = -40 if self._category_labels()[1] else 0
        return {
            "field": "label", "type": "nominal", "sort": None, "title": self.chart.label,
            "axis": axis,
        }  # fmt: skip

    def _quantity(self, room: float, *, zero: bool = True, **more: Any) -> Spec:
        chart, style = self.chart, self.style
        every = [abs(v) for s in chart.series for v in s.values if v is not None]
        axis: Spec = {"grid": style.grid}
        if max(every) >= 1000:
            axis["format"] = ",~f" if style.commas else "~f"
        scale = {} if zero else {"scale": {"zero": False}}
        title = _lines(broken(chart.measure, room, style, style.font_size))
        return {
            "field": "value", "type": "quantitative", "title": title, "axis": axis, **scale, **more,
        }  # fmt: skip

    def _time(self) -> Spec:
        chart = self.chart
        step = tick_step(chart.labels, self.width, self.style)
        shown = chart.dates[::step]
        if chart.precision == "year":
            years = [date.year for date in shown]
            axis: Spec = {"values": years, "format": "d", "grid": False}
            return {
                "field": "label", "type": "quantitative", "title": chart.label, "axis": axis,
                "scale": {"zero": False, "nice": False},
            }  # fmt: skip
        form = "%Y-%m" if chart.precision == "month" else "%Y-%m-%d"
        axis = {
            "values": [{"expr": f"utc({d.year}, {d.month - 1}, {d.day})"} for d in shown],
            "format": form, "grid": False, "labelAngle": 0,
        }  # fmt: skip
        return {
            "field": "label", "type": "temporal", "title": chart.label, "axis": axis,
            "scale": {"type": "utc"},
        }  # fmt: skip

    def _series(self, field: str = "series") -> Spec:
        names = [s.name for s in self.chart.series]
        if field == "group":
            names = list(dict.fromkeys(self.chart.labels))
        return {
            "field": field, "type": "nominal", "title": self.chart.across, "sort": None,
            "scale": {"domain": names, "range": self.colours[: len(names)]},
        }  # fmt: skip

    def _text_mark(self, **more: Any) -> Spec:
        size = round(self.style.font_size * PIXELS * 0.9, 1)
        return {"type": "text", "fontSize": size, "color": self.ink, **more}

    def _labelled(self, marks: list[Any], encoding: Spec, **text: Any) -> Spec:
        """Layers that share an encoding; with the numbers as texts where they are shown."""
        layers: list[Spec] = [{"mark": mark} for mark in marks]
        if self.style.labelled:
            layers.append(
                {"mark": self._text_mark(**text), "encoding": {"text": {"field": "text"}}}
            )
        return {"encoding": encoding, "layer": layers}

    # The kinds.

    def bar(self) -> Spec:
        width = {"type": "bar", "color": self.colours[0], "width": {"band": self.style.bar_width}}
        encoding = {"x": self._category(), "y": self._quantity(self.height)}
        return self._labelled([width], encoding, dy=-7)

    def horizontal_bar(self) -> Spec:
        bar = {"type": "bar", "color": self.colours[0], "height": {"band": self.style.bar_width}}
        encoding = {"y": self._category(vertical=True), "x": self._quantity(self.width)}
        return self._labelled([bar], encoding, align="left", dx=4)

    def lollipop(self) -> Spec:
        rule = {"type": "rule", "color": self.colours[0], "strokeWidth": self.style.line_width}
        point = {"type": "point", "filled": True, "size": 110, "color": self.colours[0],
                 "opacity": 1}  # fmt: skip
        encoding = {"x": self._category(), "y": self._quantity(self.height)}
        spec = self._labelled([rule, point], encoding, dy=-12)
        spec["layer"][0]["encoding"] = {"y2": {"datum": 0}}
        return spec

    def grouped_bar(self) -> Spec:
        encoding = {
            "x": self._category(), "y": self._quantity(self.height),
            "xOffset": {"field": "series", "sort": None},
        }  # fmt: skip
        spec = self._labelled(["bar"], encoding, dy=-7)
        spec["layer"][0]["encoding"] = {"color": self._series()}
        return spec

    def stacked_bar(self) -> Spec:
        band = {"type": "bar", "width": {"band": self.style.bar_width}}
        spec = {"x": self._category(), "y": self._quantity(self.height), "color": self._series()}
        return {"mark": band, "encoding": spec}

    def line(self) -> Spec:
        chart, style = self.chart, self.style
        mark: Spec = {"type": "line", "strokeWidth": style.line_width}
        if chart.kind == "step":
            mark["interpolate"] = "step-after"
        elif style.marker:
            mark["point"] = {"filled": True, "size": 40}
        encoding = {"x": self._time(), "y": self._quantity(self.height, zero=False)}
        if len(chart.series) > 1:
            return {"mark": mark, "encoding": {**encoding, "color": self._series()}}
        mark["color"] = self.colours[0]
        if "point" in mark:
            mark["point"]["color"] = self.colours[0]
        return self._labelled([mark], encoding, dy=-10)

    def area(self) -> Spec:
        encoding: Spec = {"x": self._time(), "y": self._quantity(self.height)}
        if len(self.chart.series) > 1:
            return {"mark": {"type": "area", "opacity": 0.9},
                    "encoding": {**encoding, "color": self._series()}}  # fmt: skip
        mark = {"type": "area", "color": self.colours[0], "opacity": 0.55, "line": {
            "color": self.colours[0], "strokeWidth": self.style.line_width}}  # fmt: skip
        return self._labelled([mark], encoding, dy=-9)

    def pie(self) -> Spec:
        chart = self.chart
        radius = min(self.width, self.height) / 2 - 40
        arc: Spec = {"type": "arc", "outerRadius": radius, "stroke": "white", "strokeWidth": 1.5}
        if chart.kind == "donut":
            arc["innerRadius"] = round(radius * 0.55)
        names = list(chart.labels)
        colour = {
            "field": "label", "type": "nominal", "title": chart.label, "sort": None,
            "scale": {"domain": names, "range": self.colours[: len(names)]},
        }  # fmt: skip
        encoding = {
            "theta": {"field": "value", "type": "quantitative", "stack": True},
            "order": {"field": "rank", "type": "quantitative"},
        }
        # A text stands with its middle on a circle: so far out that none reaches a slice.
        size = self.style.font_size * PIXELS * 0.9
        widest = max(text_width(t, self.style.families, size) for t in self._texts()[0])
        spec = self._labelled([arc], encoding, radius=round(radius + 10 + widest / 2))
        spec["layer"][0]["encoding"] = {"color": colour}
        spec["transform"] = [{"window": [{"op": "row_number", "as": "rank"}]}]
        return spec

    def scatter(self) -> Spec:
        chart, style = self.chart, self.style
        scale = {"zero": False, "padding": 20 if chart.kind == "bubble" else 10}
        encoding: Spec = {
            "x": {"field": "x", "type": "quantitative", "title": chart.series[0].name,
                  "scale": dict(scale), "axis": {"grid": style.grid}},
            "y": {"field": "y", "type": "quantitative", "title": chart.measure,
                  "scale": dict(scale), "axis": {"grid": style.grid}},
        }  # fmt: skip
        mark: Spec = {"type": "point", "filled": True, "opacity": 0.75, "size": 60}
        if chart.across:
            encoding["color"] = self._series("group")
        else:
            mark["color"] = self.colours[0]
        if chart.kind == "bubble":
            del mark["size"]
            largest = max(v for v in chart.series[2].values if v is not None)
            encoding["size"] = {
                "field": "size", "type": "quantitative", "legend": None,
                "scale": {"domain": [0, _number(largest)], "range": [0, 800]},
            }  # fmt: skip
        for channel, series in zip(("x", "y"), chart.series, strict=False):
            if max(abs(v) for v in series.values if v is not None) >= 1000:
                encoding[channel]["axis"]["format"] = ",~f" if style.commas else "~f"
        return {"mark": mark, "encoding": encoding}

    def histogram(self) -> Spec:
        chart, style = self.chart, self.style
        texts = [value_text(edge, style) for edge in chart.edges]
        step = tick_step(texts, self.width, style)
        values = [_number(edge) for edge in chart.edges[::step]]
        form = f"{',' if style.commas else ''}.{-_exponent(chart.edges[0])}f"
        x: Spec = {
            "field": "start", "type": "quantitative", "title": chart.label,
            "scale": {"domain": [_number(chart.edges[0]), _number(chart.edges[-1])]},
            "axis": {"values": values, "format": form, "grid": False},
        }  # fmt: skip
        bars = {
            "mark": {"type": "bar", "color": self.colours[0], "binSpacing": 1},
            "encoding": {"x": {**x, "bin": {"binned": True}}, "x2": {"field": "end"}},
        }
        text = {
            "mark": self._text_mark(dy=-7),
            "encoding": {"x": {"field": "middle", "type": "quantitative"},
                         "text": {"field": "count", "format": "," if style.commas else "d"}},
        }  # fmt: skip
        y = {"field": "count", "type": "quantitative", "title": chart.measure,
             "axis": {"grid": style.grid}}  # fmt: skip
        return {"encoding": {"y": y}, "layer": [bars, text]}

    def box(self) -> Spec:
        colour = self.colours[0]
        low, high = (
            min(v for v in self.chart.series[0].values if v is not None),
            max(v for v in self.chart.series[4].values if v is not None),
        )
        y = self._quantity(self.height, zero=low * 3 < high)

        def layer(mark: Any, lower: str, upper: str = "") -> Spec:
            encoding: Spec = {"y": {**y, "field": lower}}
            if upper:
                encoding["y2"] = {"field": upper}
            return {"mark": mark, "encoding": encoding}

        layers = [
            layer({"type": "rule", "color": self.ink}, "minimum", "maximum"),
            layer({"type": "bar", "width": {"band": 0.5}, "color": colour, "stroke": self.ink},
                  "q1", "q3"),
            layer({"type": "tick", "thickness": 2.5, "width": {"band": 0.5}, "color": self.ink},
                  "median"),
        ]  # fmt: skip
        for end in ("minimum", "maximum"):
            layers.append(layer({"type": "tick", "width": {"band": 0.2}, "color": self.ink}, end))
        return {"encoding": {"x": self._category()}, "layer": layers}

    def heat_map(self) -> Spec:
        chart = self.chart
        rows = [v for s in chart.series for v in s.values if v is not None]
        middle = (min(rows) + max(rows)) / 2
        names = [s.name for s in chart.series]
        _, slanted = fit_labels(names, self.width, self.style, lines=1)
        scheme = _SCHEMES[sum(map(ord, self.style.palette[0])) % len(_SCHEMES)]
        x = {"field": "series", "type": "nominal", "sort": None, "title": chart.across,
             "axis": {"labelAngle": -40 if slanted else 0, "grid": False}}  # fmt: skip
        y = {"field": "label", "type": "nominal", "sort": None, "title": chart.label,
             "axis": {"grid": False}}  # fmt: skip
        colour = {"field": "value", "type": "quantitative", "title": chart.measure,
                  "scale": {"scheme": scheme}, "legend": {"orient": "right"}}  # fmt: skip
        ink = {"condition": {"test": f"datum.value > {_number(middle)}", "value": "white"},
               "value": "black"}  # fmt: skip
        return {
            "encoding": {"x": x, "y": y},
            "layer": [
                {"mark": "rect", "encoding": {"color": colour}},
                {"mark": self._text_mark(),
                 "encoding": {"text": {"field": "text"}, "color": ink}},
            ],
        }  # fmt: skip


_DRAWERS: Mapping[ChartKind, Callable[[_Plot], Spec]] = {
    "bar": _Plot.bar, "horizontal_bar": _Plot.horizontal_bar, "lollipop": _Plot.lollipop,
    "grouped_bar": _Plot.grouped_bar, "stacked_bar": _Plot.stacked_bar, "line": _Plot.line,
    "multi_line": _Plot.line, "step": _Plot.line, "area": _Plot.area,
    "stacked_area": _Plot.area, "pie": _Plot.pie, "donut": _Plot.pie, "scatter": _Plot.scatter,
    "bubble": _Plot.scatter, "histogram": _Plot.histogram, "box": _Plot.box,
    "heat_map": _Plot.heat_map,
}  # fmt: skip


def _number(value: Decimal | None) -> int | float | None:
    return None if value is None else plain_number(value)


def _exponent(value: Decimal) -> int:
    return int(value.as_tuple().exponent)


def _lines(lines: list[str]) -> Any:
    return lines[0] if len(lines) == 1 else lines
