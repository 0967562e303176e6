"""SVG pictures as PNG: an untrusted drawing in, pixels of a bounded size out.

The drawing is cleaned first (`render.assets.clean_svg`: no scripts, no references, a bounded
number of shapes), then drawn by resvg on white, without a browser.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lxml import etree

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.render.assets import clean_svg

#: A drawing has no pixels of its own, and may be in any units. Its longest side becomes this at
#: most,
LONGEST_SIDE = 1024
#: and where it is smaller, so many times its own, and so many pixels at least.
_ENLARGED, _LEAST = 2.0, 384
_THINNEST = 2  # pixels; resvg panics below one
_OPEN = re.compile(rb"<svg\b[^>]*>")


def draw_svg(source: bytes | etree._Element, check: Callable[[int, int], None]) -> bytes:
    """Draw an SVG document, or an inline `<svg>`, as PNG.

    `check(width, height)` is told the size that the drawing gives itself, in pixels, and raises
    for one that is not wanted. Raises `DocumentError`: what `check` and `clean_svg` raise, and
    `BAD_IMAGE` when it cannot be drawn.
    """
    from vl_convert import svg_to_png  # most documents have none, and it is large

    clean = clean_svg(source)
    width, height = _size(clean)
    check(round(width), round(height))
    longest = max(width, height)
    scale = min(max(_ENLARGED * longest, _LEAST), LONGEST_SIDE) / longest
    if min(width, height) * scale < _THINNEST:
        raise DocumentError(Reason.BAD_IMAGE, f"an SVG of {width:g} x {height:g}: a line")
    white = b'<rect x="-100000" y="-100000" width="300000" height="300000" fill="white"/>'
    match = _OPEN.search(clean)
    if match is None or match[0].endswith(b"/>"):
        raise DocumentError(Reason.BAD_IMAGE, "an SVG with nothing in it")
    drawn = clean[: match.end()] + white + clean[match.end() :]
    try:
        return bytes(svg_to_png(drawn.decode(), scale=scale))
    except ValueError as error:
        raise DocumentError(Reason.BAD_IMAGE, f"an SVG that cannot be drawn: {error}") from error


def _size(clean: bytes) -> tuple[float, float]:
    """Width and height in pixels, as `clean_svg` wrote them."""
    head = _OPEN.search(clean)
    sizes = dict(re.findall(rb'\s(width|height)="([\d.e+-]+)"', head[0] if head else b""))
    # Whatever it says, something to divide by.
    width, height = (max(float(sizes.get(name, 1)), 1e-6) for name in (b"width", b"height"))
    return width, height
