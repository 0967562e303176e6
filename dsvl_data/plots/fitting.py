"""Labels made to fit: lines broken, slanted, or left out at even steps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from dsvl_data.plots.chart import Chart
from dsvl_data.plots.fonts import text_width
from dsvl_data.plots.style import Style
from dsvl_data.plots.values import write_number

#: CSS pixels a point.
PIXELS = 96 / 72
_GAP = 8.0
_WORDS = re.compile(r"\s+|(?<=[\u3000-\u9fff\uff00-\uffef])(?=[\u3000-\u9fff\uff00-\uffef])")
_STEPS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 20, 24)


def broken(text: str, room: float, style: Style, size: float) -> list[str]:
    """The text in lines of at most `room` CSS pixels, where it can be broken so."""
    lines: list[str] = []
    line = ""
    position = 0
    for match in [*_WORDS.finditer(text), None]:
        end = match.start() if match else len(text)
        word, space = text[position:end], match[0] if match else ""
        position = match.end() if match else len(text)
        if line and _pixels(line + word, style, size) > room:
            lines.append(line.rstrip())
            line = ""
        line += word + (" " if space else "")
    return [*lines, line.rstrip()]


def fit_labels(
    labels: Sequence[str], room: float, style: Style, *, lines: int = 3
) -> tuple[list[str], bool]:
    """Labels for slots `room` CSS pixels wide, and whether they must be slanted."""
    slot = room / max(len(labels), 1) - _GAP
    if max(_pixels(label, style, style.font_size) for label in labels) <= slot:
        return list(labels), False
    parts = [broken(label, slot, style, style.font_size) for label in labels]
    widest = max(_pixels(line, style, style.font_size) for part in parts for line in part)
    if widest <= slot and max(map(len, parts)) <= lines:
        return ["\n".join(part) for part in parts], False
    return list(labels), True


def tick_step(labels: Sequence[str], room: float, style: Style) -> int:
    """Every how manieth label of an axis can be shown without touching the next."""
    width = max(_pixels(label, style, style.font_size) for label in labels) + _GAP
    most = max(2.0, room / width)
    return next((step for step in _STEPS if (len(labels) - 1) / step + 1 <= most), len(labels))


def value_text(value: Decimal | None, style: Style) -> str:
    """A number as it stands in the picture."""
    return "" if value is None else write_number(value, commas=style.commas)


def share_texts(chart: Chart) -> list[str]:
    """Of each slice its part of the whole, in percent with one decimal."""
    values = [v or Decimal(0) for v in chart.series[0].values]
    total = sum(values)
    return [f"{(100 * v / total):.1f}%" for v in values]


def _pixels(text: str, style: Style, size: float) -> float:
    return text_width(text, style.families, size) * PIXELS
