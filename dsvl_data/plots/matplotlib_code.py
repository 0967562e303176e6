"""A chart drawn by matplotlib, with the script that draws the same.

In: a `Chart` and a `Style`. Out: PNG bytes, the Python that makes them, and the boxes of all
its texts. The settings of the machine's own matplotlib play no part.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from typing import Any

import matplotlib
import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text as Artist
from matplotlib.transforms import Affine2D

from dsvl_data.plots.chart import Chart
from dsvl_data.plots.fitting import broken
from dsvl_data.plots.look import Box, Drawing
from dsvl_data.plots.matplotlib_kinds import Plot
from dsvl_data.plots.script import Named, Script
from dsvl_data.plots.style import DESIGNS, Style

_DPI = 100
#: What matplotlib warns of when a picture is not as meant.
_FAULT = re.compile("constrained_layout|missing from|excluded from the legend")


def draw_matplotlib(chart: Chart, style: Style) -> Drawing:
    """Draw the chart. Colours, sizes and fonts are the style's."""
    script = Script()
    script.note("import matplotlib.pyplot as plt")
    if chart.dates and chart.precision != "year" and chart.kind not in ("bar", "grouped_bar"):
        script.lines.insert(0, "from datetime import date\n")
    script.note()
    settings = _settings(chart, style)
    base = DESIGNS[style.design].base
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.style.use(base)
        script.note(f'plt.style.use("{base}")')
        script.call(Named("plt.rcParams", matplotlib.rcParams), "update", {**settings})
        script.note()
        return _draw(chart, style, script)


def _settings(chart: Chart, style: Style) -> dict[str, Any]:
    design = DESIGNS[style.design]
    settings: dict[str, Any] = {
        "font.family": list(style.families),
        "font.size": style.font_size,
        "axes.titlesize": round(style.font_size * 1.2, 1),
        "axes.titleweight": "bold" if style.bold_title else "normal",
        "axes.labelsize": style.font_size,
        "xtick.labelsize": style.font_size,
        "ytick.labelsize": style.font_size,
        "legend.fontsize": style.font_size,
        "axes.axisbelow": True,
        **design.settings,
    }
    if design.grid is None:
        settings["axes.grid"] = style.grid
        if style.grid:
            settings["axes.grid.axis"] = "x" if chart.kind == "horizontal_bar" else "y"
            settings["grid.alpha"] = 0.5
    if any("$" in text for text in chart.texts):
        settings["text.parse_math"] = False  # a dollar is a dollar
    if any(v is not None and v < 0 for s in chart.series for v in s.values):
        settings["axes.unicode_minus"] = False
    return settings


def _draw(chart: Chart, style: Style, script: Script) -> Drawing:
    plot = Plot(chart, style, script)
    data = plot.write_data()
    dpi = _DPI * style.scale
    figure = Figure(figsize=(style.width / 100, style.height / 100), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    figure.subplots()
    script.note()
    size = f"({style.width / 100:g}, {style.height / 100:g})"
    script.note(f'fig, ax = plt.subplots(figsize={size}, dpi={dpi:g}, layout="constrained")')
    plot.draw(figure, data)
    if style.titled:
        where: dict[str, Any] = {"loc": "left"} if style.left_title else {}
        beside = chart.kind == "heat_map" or (chart.across and style.legend == "right")
        room = style.width * (0.62 if beside else 0.9)
        title = "\n".join(broken(chart.title, room, style, style.font_size * 1.25))
        script.call(plot.axes, "set_title", title, **where)
    if chart.note:
        note = "\n".join(broken(chart.note, style.width * 0.94, style, style.font_size * 0.85))
        size_of_note = round(style.font_size * 0.85, 1)
        script.call(plot.figure, "supxlabel", note, fontsize=size_of_note)
    script.note('fig.savefig("chart.png")')
    out = io.BytesIO()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        figure.savefig(out, format="png", metadata={"Software": None})
    faults = [str(w.message)[:200] for w in said if _FAULT.search(str(w.message))]
    boxes = tuple(_boxes(figure, style.scale))
    return Drawing(
        out.getvalue(), script.code, "python", boxes, style.width, style.height, tuple(faults)
    )


def _boxes(figure: Figure, scale: float) -> list[Box]:
    """Where the texts of a drawn figure are, in CSS pixels from the upper left corner."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    height = figure.bbox.height / scale
    smaller = Affine2D().scale(1 / scale)
    found = []
    hidden = {id(t) for t in _ticks_out_of_view(figure)}
    for artist in figure.findobj(Artist):
        text = artist.get_text()
        if not text.strip() or not artist.get_visible() or id(artist) in hidden:
            continue
        outer = artist.get_window_extent(renderer).transformed(smaller)
        angle = artist.get_rotation()
        wide, high = outer.width, outer.height
        if angle % 90:
            artist.set_rotation(0)
            flat = artist.get_window_extent(renderer).transformed(smaller)
            wide, high = flat.width, flat.height
            artist.set_rotation(angle)
        elif angle % 180:
            wide, high = high, wide
        x, y = (outer.x0 + outer.x1) / 2, height - (outer.y0 + outer.y1) / 2
        found.append(Box(text, x, y, wide, high, -math.radians(angle)))
    return found


def _ticks_out_of_view(figure: Figure) -> list[Artist]:
    """Labels of ticks beyond an axis' ends, which exist and are not drawn."""
    hidden = []
    for axes in figure.axes:
        if not axes.axison:
            hidden += [*axes.get_xticklabels(), *axes.get_yticklabels()]
            hidden += [axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = (high - low) * 1e-6
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not low - slack <= tick.get_loc() <= high + slack:
                    hidden += [tick.label1, tick.label2]
            hidden += [t.label2 for t in axis.get_major_ticks() if not t.label2.get_visible()]
            hidden.append(axis.get_offset_text())
    return hidden
