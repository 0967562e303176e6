"""The pictures of a web page: where they are, how large, what they stand for, and their bytes.

In: an element of a page, and a way to load or draw what it shows. Out: a picture's path, its stated
size, the character that it stands for; the picture as a block, or why it is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from lxml import etree

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.blocks import LostBlock, PictureBlock
from dsvl_data.render.parse import attribute, name_of

_LAZY = ("data-src", "data-original", "data-lazy-src", "data-lazy", "data-orig-src", "data-url")
_PIXELS = re.compile(r"\s*(\d{1,5})(?:\.\d+)?\s*(?:px)?\s*\Z")
_STYLE = re.compile(r"(?<![\w-])(width|height)\s*:\s*(\d{1,5})(?:\.\d+)?px", re.IGNORECASE)
_PLACEHOLDER_BYTES = 400
#: A picture that the page shows no larger than this is an icon, whatever its file holds.
_ICON = 32

#: Returns a picture's bytes by the path that the page gives. Raises `DocumentError`: its reason
#: is why the picture is left out.
Load: TypeAlias = Callable[[str], bytes]
#: Draws an inline SVG as the bytes of a raster picture; errors as `Load`'s.
Draw: TypeAlias = Callable[[etree._Element], bytes]


class Pictures:
    """The pictures of one page as blocks; each is loaded once."""

    def __init__(self, load: Load, draw: Draw) -> None:
        self._load, self._draw = load, draw
        self._found: dict[str, PictureBlock | LostBlock] = {}

    def image(self, source: etree._Element) -> PictureBlock | LostBlock | None:
        """Return what an `img`, SVG `image` or `object` shows; None when it names no picture."""
        path = picture_path(source)
        if not path:
            return None
        size = stated_size(source)
        if size is not None and min(size) <= _ICON and max(size) <= 2 * _ICON:
            detail = f"shown at {size[0]} x {size[1]} pixels"
            return LostBlock(_short(path), Reason.IMAGE_TOO_SMALL, detail)
        if path not in self._found:
            self._found[path] = _loaded(_short(path), lambda: self._load(path))
        return self._found[path]

    def svg(self, source: etree._Element) -> PictureBlock | LostBlock | None:
        """Return what an inline SVG shows; None when it draws nothing, or for its looks only."""
        drawn = [e for e in source.iter() if name_of(e) not in ("", "svg", "g", "title", "desc")]
        if len(drawn) == 1 and name_of(drawn[0]) == "image":  # the usual wrapper of a cover
            return self.image(drawn[0])
        if drawn and source.get("aria-hidden") != "true":
            return _loaded("inline SVG", lambda: self._draw(source))
        return None


def _loaded(name: str, load: Callable[[], bytes]) -> PictureBlock | LostBlock:
    try:
        return PictureBlock(name, load())
    except DocumentError as error:
        return LostBlock(name, error.reason, error.detail)


def _short(path: str) -> str:
    return path if len(path) < 200 else path[:60] + "..."


def picture_path(source: etree._Element) -> str:
    """The path or address of an `img`, SVG `image` or `object`; empty without one.

    Of a picture that a script loads later it is the one that the script would load, not the
    placeholder.
    """
    path = attribute(source, "src") or attribute(source, "href") or attribute(source, "data")
    for key in _LAZY:
        later = source.get(key)
        if later:
            return later.strip()
    if not path or (path.startswith("data:") and len(path) < _PLACEHOLDER_BYTES):
        chosen = _largest(source.get("data-srcset") or source.get("srcset") or "")
        if not chosen:
            # The sources of a `picture`; a parser may take the later ones to be in the first.
            parent = next((e for e in source.iterancestors() if name_of(e) != "source"), None)
            if parent is not None and name_of(parent) == "picture":
                sizes = (_largest(each.get("srcset") or "") for each in parent.iter("{*}source"))
                chosen = next((each for each in sizes if each), "")
        path = chosen or path
    return path.strip()


def _largest(srcset: str) -> str:
    """The address with the highest width or density of a `srcset`."""
    best, most = "", -1.0
    for candidate in re.split(r",\s+|,(?=https?:|/)", srcset):
        address, _, size = candidate.strip().partition(" ")
        match = re.match(r"([\d.]{1,8})[wx]", size.strip())
        try:
            value = float(match[1]) if match else 1.0
        except ValueError:
            value = 1.0
        if address and value > most:
            best, most = address, value
    return best


def stated_size(source: etree._Element) -> tuple[int, int] | None:
    """Width and height in pixels that a page gives its picture; None unless it gives both."""
    sizes: dict[str, int] = {}
    for key in ("width", "height"):
        match = _PIXELS.match(source.get(key) or "")
        if match:
            sizes[key] = int(match[1])
    style = source.get("style")
    if style:
        sizes |= {key.lower(): int(value) for key, value in _STYLE.findall(style)}
    if len(sizes) < 2:
        return None
    return sizes["width"], sizes["height"]


def emoji_of(source: etree._Element, classes: frozenset[str]) -> str:
    """The character that a picture of an emoji stands for; empty for any other picture."""
    alt = (source.get("alt") or "").strip()
    if (
        0 < len(alt) <= 8
        and not alt.isascii()
        and any("emoji" in name or "smiley" in name for name in classes)
    ):
        return alt
    return ""
