"""Which pictures of a document are wanted by their size: a recipe's limits in, refusals out."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.svg_pictures import draw_svg


@dataclass(frozen=True, slots=True)
class PictureSizes:
    """The shorter side in pixels, at least, and how often the longer may hold it; 0: any."""

    min_side: float
    max_ratio: float

    def check(self, width: int, height: int) -> None:
        """Raise `DocumentError` (`IMAGE_TOO_SMALL`, `IMAGE_RATIO`) for icons and rules."""
        short, long = sorted((width, height))
        if short < self.min_side:
            raise DocumentError(Reason.IMAGE_TOO_SMALL, f"{width} x {height} pixels")
        if self.max_ratio and long > self.max_ratio * short:
            raise DocumentError(Reason.IMAGE_RATIO, f"{width} x {height} pixels")

    def draw(self, svg: bytes | etree._Element) -> bytes:
        """Draw an SVG as PNG if it is wanted; errors as `draw_svg`'s."""
        return draw_svg(svg, self.check)
