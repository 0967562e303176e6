"""A chart drawn by Vega-Lite, with the specification that draws the same.

In: a `Chart` and a `Style`. Out: PNG bytes, the specification as JSON with the data in it, and
the boxes of all its texts. vl-convert draws without a browser; it may load nothing.
"""

from __future__ import annotations

import json
import math
import re

import vl_convert
from lxml import etree

from dsvl_data.plots.chart import Chart
from dsvl_data.plots.fonts import text_width
from dsvl_data.plots.look import Box, Drawing
from dsvl_data.plots.style import Style
from dsvl_data.plots.vega_kinds import make_spec

_TRANSFORM = re.compile(r"(translate|rotate|scale)\(([^)]*)\)")
_NS = "{http://www.w3.org/2000/svg}"


def draw_vega(chart: Chart, style: Style) -> Drawing:
    """Draw the chart. Colours, sizes and fonts are the style's."""
    spec = make_spec(chart, style)
    svg = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    png = vl_convert.svg_to_png(svg, scale=style.scale)
    boxes, width, height = _boxes(svg, style)
    code = json.dumps(spec, ensure_ascii=False, indent=1)
    return Drawing(png, _compact(code), "json", tuple(boxes), width, height)


def _compact(code: str) -> str:
    """JSON with its innermost objects and lists on one line each."""
    joined = re.compile(r"[\[{][^\[\]{}\"]*(?:\"(?:[^\"\\]|\\.)*\"[^\[\]{}\"]*)*[\]}]")

    def one_line(match: re.Match[str]) -> str:
        flat = re.sub(r"\n\s*", " ", match[0])
        flat = re.sub(r"^([\[{]) ", r"\1", re.sub(r" ([\]}])$", r"\1", flat))
        return flat if len(flat) <= 100 else match[0]

    return joined.sub(one_line, code)


def _boxes(svg: str, style: Style) -> tuple[list[Box], int, int]:
    """Where the texts of an SVG are, and its size."""
    root = etree.fromstring(svg.encode(), etree.XMLParser(resolve_entities=False, huge_tree=False))
    found: list[Box] = []

    def walk(element: etree._Element, x: float, y: float, angle: float) -> None:
        for kind, arguments in _TRANSFORM.findall(element.get("transform", "")):
            numbers = [float(n) for n in re.split(r"[ ,]+", arguments.strip())]
            if kind == "translate":
                dx, dy = numbers[0], numbers[1] if len(numbers) > 1 else 0.0
                x += dx * math.cos(angle) - dy * math.sin(angle)
                y += dx * math.sin(angle) + dy * math.cos(angle)
            elif kind == "rotate":
                angle += math.radians(numbers[0])
        if element.tag == _NS + "text":
            found.extend(_text_boxes(element, x, y, angle, style))
            return
        for child in element:
            walk(child, x, y, angle)

    walk(root, 0.0, 0.0, 0.0)
    width, height = (math.ceil(float(root.get(side) or 0)) for side in ("width", "height"))
    return found, width, height


def _text_boxes(
    element: etree._Element, x: float, y: float, angle: float, style: Style
) -> list[Box]:
    size = float((element.get("font-size") or "11px").removesuffix("px"))
    bold = 1.07 if element.get("font-weight") == "bold" else 1.0
    anchor = element.get("text-anchor", "start")
    spans = [child for child in element if child.tag == _NS + "tspan"]
    lines = [(span.text or "", float(span.get("dy") or 0)) for span in spans] or [
        (element.text or "", 0.0)
    ]
    boxes = []
    drop = 0.0
    for text, dy in lines:
        drop += dy
        if not text.strip() or element.get("opacity") == "0":  # labels that Vega hides
            continue
        width = text_width(text, style.families, size) * bold
        shift = {"start": width / 2, "end": -width / 2}.get(anchor, 0.0)
        lift = drop - size * 0.36  # from the line that letters stand on to their middle
        boxes.append(
            Box(
                text,
                x + shift * math.cos(angle) - lift * math.sin(angle),
                y + shift * math.sin(angle) + lift * math.cos(angle),
                width,
                size,
                angle,
            )
        )
    return boxes
