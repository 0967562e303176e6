"""What each kind of chart is in matplotlib: the calls that draw it on given axes.

In: a chart, its style and a `Script` that carries out and writes down each call. Out: axes with
the chart on them; title, note and file are `matplotlib_code`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from dsvl_data.plots.chart import Chart, ChartKind
from dsvl_data.plots.fitting import broken, fit_labels, share_texts, tick_step, value_text
from dsvl_data.plots.script import Named, Script, plain_number
from dsvl_data.plots.style import Style

_MAPS = {"blue": "Blues", "green": "YlGn", "red": "OrRd", "purple": "PuBu", "grey": "Greys"}


class Plot:
    """One chart on its way: `write_data`, then `draw` on a figure and its axes."""

    def __init__(self, chart: Chart, style: Style, script: Script) -> None:
        self.chart, self.style, self.script = chart, style, script
        self.values = [list(series.values) for series in chart.series]
        self.colours = [style.palette[i % len(style.palette)] for i in range(12)]
        self.figure = Named("fig", None)
        self.axes = Named("ax", None)

    def write_data(self) -> list[Named]:
        """Write the numbers down; one list a series."""
        chart, script = self.chart, self.script
        if len(self.values) == 1:
            return [script.let("values", self.values[0])]
        if chart.kind in ("scatter", "bubble"):
            return [script.let(n, v) for n, v in zip(("x", "y", "size"), self.values, strict=False)]
        if chart.kind == "heat_map":
            rows = [
                [float("nan") if v is None else v for v in row]
                for row in zip(*self.values, strict=True)
            ]
            return [script.let("values", rows)]
        if chart.kind == "box":
            return []
        names = [f"values_{number}" for number in range(1, len(self.values) + 1)]
        return [script.let(n, v) for n, v in zip(names, self.values, strict=True)]

    def draw(self, figure: Figure, data: list[Named]) -> None:
        """Put the chart on the figure, which the code calls `fig`, and its axes `ax`."""
        self.figure, self.axes = Named("fig", figure), Named("ax", figure.axes[0])
        _DRAWERS[self.chart.kind](self, data)

    # Pieces that the kinds share.

    def _ax(self, method: str, *args: Any, to: str = "", **kwargs: Any) -> Named:
        return self.script.call(self.axes, method, *args, to=to, **kwargs)

    def _category_axis(self, axis: str = "x") -> None:
        chart, style = self.chart, self.style
        places = range(len(chart.labels))
        if axis == "y":
            labels = ["\n".join(broken(t, 190, style, style.font_size)) for t in chart.labels]
            self._ax("set_yticks", places, labels)
            self._ax("set_ylabel", chart.label)
            return
        room = style.width * (0.62 if chart.across and style.legend == "right" else 0.84)
        labels, slanted = fit_labels(chart.labels, room, style)
        slant: dict[str, Any] = (
            {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
        )
        self._ax("set_xticks", places, labels, **slant)
        self._ax("set_xlabel", chart.label)

    def _value_axis(self, axis: str = "y", *, floor: bool = False) -> None:
        chart, style = self.chart, self.style
        every = [abs(v) for values in self.values for v in values if v is not None]
        room = style.height * 0.75 if axis == "y" else style.width * 0.75
        lines = broken(chart.measure, room, style, style.font_size)
        self._ax(f"set_{axis}label", "\n".join(lines))
        if max(every) >= 5000 and style.commas:
            self._ax(f"{axis}axis.set_major_formatter", "{x:,.0f}")
        else:
            self._ax("ticklabel_format", axis=axis, style="plain", useOffset=False)
        if floor:
            self._ax("set_ylim", bottom=0)

    def _legend(self) -> None:
        if not self.chart.across:
            return
        names = len(dict.fromkeys(self.chart.labels)) if self._by_group else len(self.chart.series)
        place = self.style.legend
        where = {"right": "outside right upper", "bottom": "outside lower center"}.get(
            place, "outside upper center"
        )
        columns: dict[str, Any] = {} if place == "right" else {"ncols": min(names, 3)}
        if self.chart.kind == "bubble":
            columns["markerscale"] = 0.4
        self.script.call(self.figure, "legend", loc=where, title=self.chart.across, **columns)

    @property
    def _by_group(self) -> bool:
        return self.chart.kind in ("scatter", "bubble")

    def _bar_labels(self, bars: Named, **kwargs: Any) -> None:
        places = max(decimals_shown(s) for s in self.values)
        comma = "," if self.style.commas else ""
        self._ax("bar_label", bars, fmt=f"{{:{comma}.{places}f}}", padding=3, **kwargs)

    def _point_labels(self, x: Named, y: Named, size: float) -> None:
        texts = self.script.let("texts", [value_text(v, self.style) for v in y.value])
        code = (
            f"for a, b, text in zip({x.name}, {y.name}, texts):\n"
            '    ax.annotate(text, (a, b), xytext=(0, 6), textcoords="offset points", '
            f'ha="center", fontsize={size:g})\n'
        )

        def action() -> None:
            for a, b, text in zip(x.value, y.value, texts.value, strict=True):
                place = (a, plain_number(b))
                self.axes.value.annotate(
                    text, place, xytext=(0, 6), textcoords="offset points", ha="center",
                    fontsize=size,
                )  # fmt: skip

        self.script.block(code, action)

    def _time_axis(self) -> Named:
        """Write the times, and show as many of them as there is room for."""
        chart, style = self.chart, self.style
        if chart.precision == "year":
            times = self.script.let("x", [date.year for date in chart.dates])
        else:
            times = self.script.let("x", list(chart.dates))
        room = style.width * (0.62 if chart.across and style.legend == "right" else 0.82)
        step = tick_step(chart.labels, room, style)
        labels = list(chart.labels[::step])
        self._ax("set_xticks", times.value[::step], labels)
        self._ax("set_xlabel", chart.label)
        return times

    # The kinds.

    def bar(self, data: list[Named]) -> None:
        n, style = len(self.chart.labels), self.style
        edge = {"edgecolor": "black", "linewidth": 0.8} if style.outline else {}
        bars = self._ax(
            "bar", range(n), data[0], to="bars", width=style.bar_width, color=self.colours[0],
            **edge,
        )  # fmt: skip
        self._category_axis()
        if style.labelled:
            self._bar_labels(bars)
            self._ax("margins", y=0.12)
        self._value_axis()

    def horizontal_bar(self, data: list[Named]) -> None:
        n, style = len(self.chart.labels), self.style
        bars = self._ax(
            "barh", range(n), data[0], to="bars", height=style.bar_width, color=self.colours[0]
        )
        self._category_axis("y")
        self._ax("invert_yaxis")
        if style.labelled:
            self._bar_labels(bars)
            self._ax("margins", x=0.14)
        self._value_axis("x")

    def lollipop(self, data: list[Named]) -> None:
        x = self.script.let("x", list(range(len(self.chart.labels))))
        width = self.style.line_width
        self._ax("vlines", x, 0, data[0], color=self.colours[0], linewidth=width)
        self._ax("plot", x, data[0], "o", color=self.colours[0], markersize=9)
        self._category_axis()
        if self.style.labelled:
            self._point_labels(x, data[0], self.style.font_size)
        self._ax("margins", x=0.1, y=0.14)
        every = [v for v in self.values[0] if v is not None]
        self._value_axis(floor=min(every) >= 0)

    def grouped_bar(self, data: list[Named]) -> None:
        n, style = len(self.chart.labels), self.style
        width = round(0.8 / len(data), 3)
        for number, (series, values) in enumerate(zip(self.chart.series, data, strict=True)):
            shift = (number - (len(data) - 1) / 2) * width
            places = [round(i + shift, 3) for i in range(n)]
            bars = self._ax(
                "bar", places, values, to="bars", width=width, color=self.colours[number],
                label=series.name,
            )  # fmt: skip
            if style.labelled:
                self._bar_labels(bars, fontsize=round(style.font_size * 0.85, 1))
        self._category_axis()
        if style.labelled:
            self._ax("margins", y=0.12)
        self._value_axis()
        self._legend()

    def stacked_bar(self, data: list[Named]) -> None:
        n, style = len(self.chart.labels), self.style
        bottom = [0 * (v or 0) for v in data[0].value]
        for number, (series, values) in enumerate(zip(self.chart.series, data, strict=True)):
            colour = self.colours[number]
            below = {"bottom": bottom} if number else {}
            bars = self._ax(
                "bar", range(n), values, to="bars", width=style.bar_width, color=colour,
                label=series.name, **below,
            )  # fmt: skip
            if style.labelled:
                ink = ink_on(colour)
                texts = [value_text(v, style) if v else "" for v in values.value]
                self._ax("bar_label", bars, labels=texts, label_type="center", color=ink)
            bottom = [b + (v or 0) for b, v in zip(bottom, values.value, strict=True)]
        self._category_axis()
        self._value_axis()
        self._legend()

    def line(self, data: list[Named]) -> None:
        style, method = self.style, "step" if self.chart.kind == "step" else "plot"
        times = self._time_axis()
        marker = style.marker or ("o" if len(times.value) <= 20 else "")
        more: dict[str, Any] = {"where": "post"} if method == "step" else {}
        if marker and method == "plot":
            more = {"marker": marker, "markersize": 5}
        several = len(data) > 1
        for number, (series, values) in enumerate(zip(self.chart.series, data, strict=True)):
            name = {"label": series.name} if several else {}
            self._ax(
                method, times, values, color=self.colours[number], linewidth=style.line_width,
                **more, **name,
            )  # fmt: skip
        if style.labelled and not several:
            self._point_labels(times, data[0], round(style.font_size * 0.85, 1))
            self._ax("margins", y=0.15)
        self._value_axis()
        self._legend()

    def area(self, data: list[Named]) -> None:
        times = self._time_axis()
        names = [series.name for series in self.chart.series]
        colours = self.colours[: len(data)]
        if len(data) > 1:
            self._ax("stackplot", times, *data, labels=names, colors=colours, alpha=0.9)
        else:
            self._ax("fill_between", times, data[0], color=colours[0], alpha=0.45)
            self._ax("plot", times, data[0], color=colours[0], linewidth=self.style.line_width)
            if self.style.labelled:
                self._point_labels(times, data[0], round(self.style.font_size * 0.85, 1))
                self._ax("margins", y=0.15)
        self._value_axis(floor=True)
        self._legend()

    def pie(self, data: list[Named]) -> None:
        chart, style = self.chart, self.style
        values, shares = data[0].value, share_texts(chart)
        texts = [value_text(v, style) for v in values]
        if style.marker:  # as good a coin as any
            texts = [f"{t} ({share})" for t, share in zip(texts, shares, strict=True)]
        by_legend = not style.outline
        if not by_legend:
            texts = [f"{name}\n{text}" for name, text in zip(chart.labels, texts, strict=True)]
        edge: dict[str, Any] = {"edgecolor": "black" if style.dark else "white", "linewidth": 1.5}
        if chart.kind == "donut":
            edge["width"] = 0.42
        self._ax(
            "pie", data[0], labels=texts, colors=self.colours[: len(values)], startangle=90,
            counterclock=False, wedgeprops=edge,
        )  # fmt: skip
        if by_legend:
            wedges = Named("ax.patches", list(self.axes.value.patches))
            below = style.legend != "right" and not chart.note
            where = "outside lower center" if below else "outside right upper"
            columns: dict[str, Any] = {"ncols": min(len(values), 3)} if below else {}
            self.script.call(
                self.figure, "legend", wedges, list(chart.labels), loc=where,
                title=chart.label, **columns,
            )  # fmt: skip

    def scatter(self, data: list[Named]) -> None:
        chart = self.chart
        groups = list(dict.fromkeys(chart.labels))
        largest = max((v or 0 for v in data[2].value), default=1) if len(data) > 2 else 1
        for number, group in enumerate(groups):
            rows = [i for i, name in enumerate(chart.labels) if name == group]
            picked = [[values.value[i] for i in rows] for values in data]
            size: Any = 36
            if len(data) > 2:
                size = [round(float(v / largest) * 700, 1) for v in picked[2]]
            name = {"label": group} if chart.across else {}
            arguments = data[:2] if len(groups) == 1 else picked[:2]
            self._ax("scatter", *arguments, s=size, color=self.colours[number], alpha=0.75, **name)
        if len(data) > 2:
            self._ax("margins", 0.15)
        self._ax("set_xlabel", chart.series[0].name)
        self._ax("ticklabel_format", style="plain", useOffset=False)
        self._ax("set_ylabel", chart.measure)
        self._legend()

    def histogram(self, data: list[Named]) -> None:
        edges = self.script.let("edges", list(self.chart.edges))
        step = edges.value[1] - edges.value[0]
        bars = self._ax(
            "bar", list(edges.value[:-1]), data[0], to="bars", width=step, align="edge",
            color=self.colours[0], edgecolor="black" if not self.style.dark else "white",
        )  # fmt: skip
        texts = [value_text(e, self.style) for e in edges.value]
        room = self.style.width * 0.84
        every = tick_step(texts, room, self.style)
        self._ax("set_xticks", edges.value[::every], texts[::every])
        self._ax("set_xlabel", self.chart.label)
        self._bar_labels(bars)
        self._ax("margins", y=0.12)
        self._value_axis()

    def box(self, data: list[Named]) -> None:
        chart = self.chart
        keys = ("whislo", "q1", "med", "q3", "whishi")
        stats = [
            {"label": name, **dict(zip(keys, map(float, filter(_there, five)), strict=True))}
            for name, *five in zip(chart.labels, *self.values, strict=True)
        ]
        boxes = self.script.let("boxes", stats)
        self._ax(
            "bxp", boxes, showfliers=False, patch_artist=True, widths=0.5,
            boxprops={"facecolor": self.colours[0], "alpha": 0.8},
            medianprops={"color": "white" if self.style.dark else "black", "linewidth": 2},
        )  # fmt: skip
        labels, slanted = fit_labels(chart.labels, self.style.width * 0.84, self.style)
        slant: dict[str, Any] = (
            {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
        )
        self._ax("set_xticks", range(1, len(labels) + 1), labels, **slant)
        self._ax("set_xlabel", chart.label)
        self._value_axis()

    def heat_map(self, data: list[Named]) -> None:
        chart, style = self.chart, self.style
        names = sorted(_MAPS)
        colours = _MAPS[names[sum(map(ord, style.palette[0])) % len(names)]]
        image = self._ax("imshow", data[0], to="image", cmap=colours, aspect="auto")
        rows = [[value_text(v, style) for v in row] for row in zip(*self.values, strict=True)]
        inks = [
            [ink_on(image.value.cmap(image.value.norm(float(v)))) if v is not None else "black"
             for v in row] for row in zip(*self.values, strict=True)
        ]  # fmt: skip
        texts, colour = self.script.let("texts", rows), self.script.let("inks", inks)
        code = (
            "for i, row in enumerate(texts):\n    for j, text in enumerate(row):\n"
            '        ax.text(j, i, text, ha="center", va="center", color=inks[i][j])\n'
        )

        def action() -> None:
            for i, row in enumerate(texts.value):
                for j, text in enumerate(row):
                    ink = colour.value[i][j]
                    self.axes.value.text(j, i, text, ha="center", va="center", color=ink)

        self.script.block(code, action)
        columns = [series.name for series in chart.series]
        labels, slanted = fit_labels(columns, style.width * 0.62, style)
        slant: dict[str, Any] = (
            {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
        )
        self._ax("set_xticks", range(len(labels)), labels, **slant)
        self._ax("set_xlabel", chart.across)
        self._category_axis("y")
        self._ax("grid", False)
        self.script.call(self.figure, "colorbar", image, label=chart.measure)


_DRAWERS: Mapping[ChartKind, Callable[[Plot, list[Named]], None]] = {
    "bar": Plot.bar, "horizontal_bar": Plot.horizontal_bar, "lollipop": Plot.lollipop,
    "grouped_bar": Plot.grouped_bar, "stacked_bar": Plot.stacked_bar, "line": Plot.line,
    "multi_line": Plot.line, "step": Plot.line, "area": Plot.area,
    "stacked_area": Plot.area, "pie": Plot.pie, "donut": Plot.pie, "scatter": Plot.scatter,
    "bubble": Plot.scatter, "histogram": Plot.histogram, "box": Plot.box,
    "heat_map": Plot.heat_map,
}  # fmt: skip


def decimals_shown(values: Sequence[Any]) -> int:
    """The decimals with which these rounded numbers are written."""
    return max((-v.as_tuple().exponent for v in values if v is not None), default=0)


def ink_on(colour: Any) -> str:
    """Black or white, whichever is seen better on a colour."""
    red, green, blue = matplotlib.colors.to_rgb(colour)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"


def _there(value: Any) -> bool:
    return value is not None
