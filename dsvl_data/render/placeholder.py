"""What stands for a picture in a page's source: a box of its size and its mean colour.

In: the bytes of a picture, raster or SVG. Out: a `Placeholder`, and as its `svg` the few words that
draw it. A picture's own bytes would be noise to a language model, and a name such as `photo.jpg`
would say nothing of how it looks.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pymupdf
from lxml import etree
from PIL import Image as Pillow

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.images import decode, inspect
from dsvl_data.render.assets import clean_svg, is_svg
from dsvl_data.render.pages import Asset
from dsvl_data.render.parse import name_of, parse_xml
from dsvl_data.render.styles import Style, parse_rules

_SIDE = 64  # pixels; a mean needs no more
_LENGTH = re.compile(r"\s*\d+(\.\d+)?(px|em|rem|ex|pt|pc|mm|cm|in)?\s*")
_VIEW_BOX = re.compile(r"[-\d.e+, ]{3,60}")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A box in place of a picture.

    `width` and `height` are CSS lengths as an SVG writes them and may be empty, `view_box` gives
    the ratio then; `colour` is what CSS calls one.
    """

    width: str
    height: str
    colour: str
    view_box: str = ""

    @property
    def svg(self) -> str:
        """An SVG document without `#`, `%` and double quotes: in a data: URL it stays as it is."""
        size = f" width='{self.width}'" if self.width else ""
        size += f" height='{self.height}'" if self.height else ""
        size += f" viewBox='{self.view_box}'" if self.view_box else ""
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg'{size} style='background:{self.colour}'></svg>"
        )

    @property
    def url(self) -> str:
        """The placeholder as a data: URL."""
        return "data:image/svg+xml," + self.svg

    def sized(self, width: float, height: float) -> Placeholder:
        """The same colour at another size, in CSS pixels."""
        return Placeholder(f"{width:g}", f"{height:g}", self.colour)


#: For a picture that is not there: its size is a guess.
ABSENT = Placeholder("300", "200", "rgb(204 204 204)")


@lru_cache(maxsize=256)
def placeholder(data: bytes) -> Placeholder:
    """Return what stands for a picture. Raises `DocumentError` (`BAD_IMAGE`, `IMAGE_BOMB`)."""
    if is_svg(Asset(data, "")):
        return _of_svg(data)
    info = inspect(data)
    picture = decode(data)
    turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # browsers heed EXIF's rotation
    width, height = (info.height, info.width) if turned else (info.width, info.height)
    picture.thumbnail((_SIDE, _SIDE), Pillow.Resampling.BOX)
    return Placeholder(str(width), str(height), _mean(np.asarray(picture.convert("RGBA"))))


def _of_svg(data: bytes) -> Placeholder:
    try:
        root = parse_xml(data)
    except DocumentError as error:
        raise DocumentError(Reason.BAD_IMAGE, error.detail) from error
    clean = clean_svg(_styled(root))
    width, height = (_length(root.get(name)) for name in ("width", "height"))
    box = root.get("viewBox", "")
    try:
        with pymupdf.open(stream=clean, filetype="svg") as drawing:
            page = drawing[0]
            scale = _SIDE / max(page.rect.width, page.rect.height, 1)
            pixmap = page.get_pixmap(matrix=pymupdf.Matrix(scale, scale), alpha=True)
            picture = Pillow.frombytes("RGBa", (pixmap.width, pixmap.height), pixmap.samples)
    except (RuntimeError, ValueError, IndexError) as error:
        raise DocumentError(Reason.BAD_IMAGE, f"an SVG that cannot be drawn: {error}") from error
    colour = _mean(np.asarray(picture.convert("RGBA")))
    return Placeholder(width, height, colour, box if _VIEW_BOX.fullmatch(box) else "")


def _styled(root: etree._Element) -> etree._Element:
    """A copy with the rules of its `<style>` as attributes: MuPDF reads no CSS."""
    root = copy.deepcopy(root)
    sheets = [element for element in root.iter() if name_of(element) == "style"]
    looks: dict[str, dict[str, str]] = {}
    for rule in (rule for sheet in sheets for rule in parse_rules(sheet.text or "")):
        if isinstance(rule, Style):
            for selector in rule.selectors:
                look = looks.setdefault(selector.text, {})
                look.update((d.name, d.value) for d in rule.declarations if "url(" not in d.value)
    for element in root.iter() if looks else ():
        names = [name_of(element), *("." + n for n in (element.get("class") or "").split())]
        for name in (*names, "#" + (element.get("id") or "")):
            for attribute, value in looks.get(name, {}).items():
                element.set(attribute, value)
    return root


def _length(value: str | None) -> str:
    return value.strip() if value and _LENGTH.fullmatch(value) else ""


def _mean(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    """The mean colour, weighed by how much can be seen of each pixel."""
    values = pixels.reshape(-1, 4).astype(np.float64)
    alpha = values[:, 3]
    if not alpha.any():
        return "transparent"
    red, green, blue = (round(c) for c in np.average(values[:, :3], axis=0, weights=alpha))
    seen = round(float(alpha.mean()) / 255, 2)
    return f"rgb({red} {green} {blue})" if seen >= 1 else f"rgb({red} {green} {blue} / {seen:g})"
