"""What a web page says about its pictures: where they are, how large, and in what words.

In: an element of a page. Out: a picture's path, its stated size, the caption that belongs to a
figure. Class names are those of MediaWiki, WordPress, DocBook, Asciidoctor, Sphinx and of books.
"""

from __future__ import annotations

import re
from functools import lru_cache

from lxml import etree

from dsvl_data.render.parse import attribute, name_of

_FIGURE = re.compile(
    r"(?:^|[-_])(?:informal)?(?:figures?|fig|thumb(?:inner|image)?|tsingle|imageblock|gallerybox"
    r"|mediaobject|wp-caption|images?|img|pictures?|photos?|illustrations?|illus?|plate)"
    r"(?:$|[-_]|\d|block|box|wrap|center|left|right|full)",
    re.IGNORECASE,
)
_CAPTION = re.compile(
    r"(?:^|[-_])(?:fig|figure|image|img|photo|picture|wp|thumb|gallery)?[-_]?"
    r"(?:captions?|legend|gallerytext)(?:$|[-_]|text|\d)",
    re.IGNORECASE,
)
_TITLE = re.compile(r"(?:^|[-_])(?:fig|figure|image|img)?[-_]?title$", re.IGNORECASE)
_LAZY = ("data-src", "data-original", "data-lazy-src", "data-lazy", "data-orig-src", "data-url")
_PIXELS = re.compile(r"\s*(\d{1,5})(?:\.\d+)?\s*(?:px)?\s*\Z")
_STYLE = re.compile(r"(?<![\w-])(width|height)\s*:\s*(\d{1,5})(?:\.\d+)?px", re.IGNORECASE)
_PLACEHOLDER_BYTES = 400


@lru_cache(maxsize=4096)
def is_figure(classes: frozenset[str]) -> bool:
    """Whether one of an element's classes calls it a figure, or a box around one."""
    return any(map(_names_figure, classes))


@lru_cache(maxsize=4096)
def is_caption(classes: frozenset[str]) -> bool:
    """Whether one of an element's classes calls it a caption."""
    return any(map(_names_caption, classes))


def caption_of(figure: etree._Element) -> etree._Element | None:
    """The element that holds a figure's caption; None without one, or without a picture."""
    if name_of(figure) != "figure" and not _holds_picture(figure):
        return None
    for element in figure.iter():
        name = name_of(element)
        if element is figure or not name or name in ("img", "a", "table", "figure", "body"):
            continue
        if not _is_caption_of(element, name):
            continue
        if _own(element, figure) and not _holds_picture(element):
            return element
    return None


def _is_caption_of(element: etree._Element, name: str) -> bool:
    if name == "figcaption":
        return True
    names = (element.get("class") or "").split()
    return any(_names_caption(each) or _names_title(each) for each in names)


def _own(caption: etree._Element, figure: etree._Element) -> bool:
    """Whether a caption belongs to this figure and to none within it."""
    for parent in caption.iterancestors():
        if parent is figure:
            return True
        if name_of(parent) == "figure" or is_caption(
            frozenset((parent.get("class") or "").split())
        ):
            return False
        inner = is_figure(frozenset((parent.get("class") or "").split()))
        if inner and _holds_picture(parent) and parent.get("class") != figure.get("class"):
            # A box within the box, unless the outer one has pictures of its own.
            return _pictures(parent) == _pictures(figure)
        if inner and parent.get("class") == figure.get("class"):
            return False
    return False


def _holds_picture(element: etree._Element) -> bool:
    return next(element.iter("{*}img", "{*}svg", "{*}object"), None) is not None


def _pictures(element: etree._Element) -> int:
    return sum(1 for _ in element.iter("{*}img", "{*}svg", "{*}object"))


@lru_cache(maxsize=4096)
def _names_figure(name: str) -> bool:
    return _FIGURE.search(name) is not None


@lru_cache(maxsize=4096)
def _names_caption(name: str) -> bool:
    return _CAPTION.search(name) is not None


@lru_cache(maxsize=4096)
def _names_title(name: str) -> bool:
    return _TITLE.search(name) is not None


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
