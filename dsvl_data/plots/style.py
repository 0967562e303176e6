"""The looks of a chart: designs, fonts, colours, sizes, all drawn from a seed.

A design names who draws (matplotlib or Vega-Lite) and what is fixed about it; the rest of a
`Style` varies. Fonts are those of the machine that we know by name; what matplotlib brings with
it (DejaVu) is always there.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from dsvl_data.plots.chart import Chart
from dsvl_data.plots.fonts import families_for, text_width
from dsvl_data.plots.values import write_number

Backend: TypeAlias = Literal["matplotlib", "vega_lite"]
Legend: TypeAlias = Literal["right", "bottom", "top"]


@dataclass(frozen=True, slots=True)
class Design:
    """What is fixed: the drawing program, its own named style or settings, and the ground."""

    backend: Backend
    base: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    dark: bool = False
    grid: bool | None = None  # None: as the seed says
    palettes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Style:
    """All that is needed beside a `Chart` to draw it. Sizes in CSS pixels (1/96 inch)."""

    design: str
    families: tuple[str, ...]
    palette: tuple[str, ...]
    width: int
    height: int
    scale: float
    font_size: float
    grid: bool
    legend: Legend
    labelled: bool
    commas: bool
    titled: bool
    left_title: bool
    bold_title: bool
    bar_width: float
    line_width: float
    marker: str
    outline: bool

    @property
    def backend(self) -> Backend:
        """Who draws."""
        return DESIGNS[self.design].backend

    @property
    def dark(self) -> bool:
        """Whether the ground is dark."""
        return DESIGNS[self.design].dark


_COLOURS = {
    "harbour": "27647b ca3542 aecbc9 b4a29e 57575f e8a33d 7a9e4b 84596b",
    "fruit": "d1495b edae49 00798c 30638e 66a182 8d6a9f b9643c 5c5c5c",
    "primary": "1f5fbf e0532f 2f9e5b f0b429 8a4fbf 16a3b8 c2418c 777777",
    "meadow": "4a7c59 c8963e 8fc0a9 68707a a44a3f 3d5a80 d4a5a5 556b2f",
    "ink": "2b3a67 496a81 66999b b3af8f ffc482 a35c48 7d5ba6 4d4d4d",
    "candy": "ef476f ffa600 06a77d 118ab2 7b4b94 6a994e bc4749 386fa4",
    "soft": "6c8ebf d79b56 82b366 b85450 9673a6 5fa8a3 a0826d 999999",
    "neon": "4cc9f0 f72585 b8f35d ffb703 9d8df1 ff7f50 2ee6a8 e0e0e0",
    "glow": "8ecae6 ffb703 95d5b2 f28482 cdb4db f6bd60 84a59d e5e5e5",
    "slate": "333f48 6b7a86 a3b1bb 4f5d75 8d99ae 2d3142 bfc7cd 5a6770",
}
PALETTES: Mapping[str, tuple[str, ...]] = {
    name: tuple(f"#{colour}" for colour in colours.split()) for name, colours in _COLOURS.items()
}
_BRIGHT = tuple(name for name in PALETTES if name not in ("neon", "glow", "slate"))
_ON_DARK = ("neon", "glow")

DESIGNS: Mapping[str, Design] = {
    "plain": Design("matplotlib", "default"),
    "open_axes": Design(
        "matplotlib", "default", {"axes.spines.top": False, "axes.spines.right": False}
    ),
    "ggplot": Design("matplotlib", "ggplot", grid=True),
    "bmh": Design("matplotlib", "bmh", grid=True),
    "whitegrid": Design("matplotlib", "seaborn-v0_8-whitegrid", grid=True),
    "newsroom": Design("matplotlib", "fivethirtyeight", grid=True),
    "solarized": Design("matplotlib", "Solarize_Light2", grid=True),
    "night": Design("matplotlib", "dark_background", dark=True, palettes=_ON_DARK),
    "photocopy": Design("matplotlib", "grayscale", palettes=("slate",)),
    "paper": Design(
        "matplotlib", "default",
        {"figure.facecolor": "#fbf5e6", "axes.facecolor": "#fbf5e6", "axes.edgecolor": "#6b5d4a",
         "axes.labelcolor": "#4a4033", "text.color": "#3b3226", "xtick.color": "#6b5d4a",
         "ytick.color": "#6b5d4a", "grid.color": "#e0d5bd"},
        palettes=("meadow", "ink", "harbour"),
    ),
    "vega": Design("vega_lite"),
    "vega_bare": Design(
        "vega_lite",
        settings={"view": {"stroke": None},
                  "axis": {"domainColor": "#333", "tickColor": "#333", "gridColor": "#ececec"}},
    ),
    "vega_card": Design(
        "vega_lite",
        settings={"background": "#eef1f5", "view": {"fill": "#ffffff", "stroke": None},
                  "axis": {"gridColor": "#d9dee6", "domain": False, "ticks": False,
                           "labelPadding": 9,
                           "labelColor": "#4b5563", "titleColor": "#374151"}},
        grid=True,
    ),
    "vega_night": Design(
        "vega_lite", dark=True, palettes=_ON_DARK,
        settings={"background": "#1d2433", "view": {"stroke": "#4a556b"},
                  "axis": {"gridColor": "#37415a", "domainColor": "#8d99b3",
                           "tickColor": "#8d99b3", "labelColor": "#e4e8f0",
                           "titleColor": "#e4e8f0"},
                  "legend": {"labelColor": "#e4e8f0", "titleColor": "#e4e8f0"},
                  "title": {"color": "#ffffff", "subtitleColor": "#c5cbd8"}},
    ),
    "vega_ledger": Design(
        "vega_lite", palettes=("meadow", "ink", "fruit"),
        settings={"background": "#fffdf5", "view": {"stroke": "#c9bfa5"},
                  "axis": {"gridColor": "#ebe3cc", "domainColor": "#8a7f66",
                           "tickColor": "#8a7f66", "labelColor": "#5b523f",
                           "titleColor": "#5b523f", "gridDash": [3, 3]},
                  "title": {"color": "#5b3a29"}},
    ),
    "vega_bold": Design(
        "vega_lite", palettes=("candy", "primary"),
        settings={"view": {"stroke": None},
                  "axis": {"domainWidth": 2, "tickWidth": 2, "domainColor": "#222",
                           "tickColor": "#222", "gridColor": "#e5e5e5",
                           "labelColor": "#222", "titleColor": "#222"}},
    ),
}  # fmt: skip


def choose_style(chart: Chart, rng: random.Random, designs: Sequence[str] = ()) -> Style:
    """Looks that suit the chart, its fonts with a glyph for each of its letters where there are."""
    name = rng.choice(sorted(designs or DESIGNS))
    design = DESIGNS[name]
    rows, series = len(chart.labels), len(chart.series)
    width = rng.randrange(520, 761, 40)
    height = rng.randrange(340, 501, 20)
    wide = chart.kind in ("histogram", "grouped_bar", "bar") and rows * series > 10
    if chart.kind in ("horizontal_bar", "heat_map", "box"):
        height = max(height, 150 + rows * 34)
    if chart.kind in ("pie", "donut"):
        height = max(height, 400)
    palette = list(PALETTES[rng.choice(design.palettes or _BRIGHT)])
    if rng.random() < 0.5:
        start = rng.randrange(len(palette))
        palette = palette[start:] + palette[:start]
    few = rows * (1 if chart.kind in ("pie", "donut") else series) <= (
        14 if chart.kind in ("line", "area", "step", "multi_line") else 24
    )
    crowded = chart.kind in ("scatter", "bubble", "box", "stacked_area", "multi_line")
    always = chart.kind in ("pie", "donut", "histogram", "heat_map")
    titled = rng.random() < 0.85
    families = families_for(chart.texts, rng)
    font_size = rng.choice((9.0, 10.0, 11.0))
    labelled = always or (few and not crowded and rng.random() < 0.65)
    commas = rng.random() < 0.5
    if chart.kind == "grouped_bar":
        # A number wider than its bar would stand on the next one.
        bar = width * 0.62 * 0.8 / (rows * series)
        texts = [write_number(v, commas=commas) for s in chart.series for v in s.values if v]
        widest = max(text_width(text, families, font_size * 0.9) for text in texts)
        labelled = labelled and widest * 96 / 72 <= bar
    return Style(
        design=name,
        families=families,
        palette=tuple(palette),
        width=max(width, 680) if wide else width,
        height=height,
        scale=rng.choice((1.0, 1.25, 1.5)),
        font_size=font_size,
        grid=design.grid if design.grid is not None else rng.random() < 0.5,
        legend=_legend(chart, titled, rng),
        labelled=labelled,
        commas=commas,
        titled=titled,
        left_title=rng.random() < 0.3,
        bold_title=rng.random() < 0.4,
        bar_width=rng.choice((0.55, 0.65, 0.75, 0.85)),
        line_width=rng.choice((1.5, 2.0, 2.5)),
        marker=rng.choice(("", "o", "o", "s", "^")),
        outline=rng.random() < 0.2,
    )


def _legend(chart: Chart, titled: bool, rng: random.Random) -> Legend:
    """A side where neither title nor note stands."""
    sides: list[Legend] = ["right", "right"]
    if not chart.note:
        sides.append("bottom")
    if not titled:
        sides.append("top")
    return rng.choice(sides)
