"""The words of a page that are a picture's caption.

In: an element, or a text that follows a picture. Out: the element that holds a figure's caption,
whether a text is one, a figure's blocks with the caption at its picture. Class names are those of
MediaWiki, WordPress, DocBook, Asciidoctor, Sphinx and of books.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from lxml import etree

from dsvl_data.read.blocks import Block, LostBlock, PictureBlock, TextBlock
from dsvl_data.render.inline import escape_line_start
from dsvl_data.render.parse import name_of

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
_BEGINS_LIKE_CAPTION = re.compile(
    r"[*_]{0,3}(?:Fig(?:ure|\.)?|Plate|Photo|Abb(?:ildung|\.)|Figura|Рис(?:унок|\.)|图表?|圖|図)\s*"
    r"[A-Z]?[\d一二三四五六七八九十]",
    re.IGNORECASE,
)
_MAX_CAPTION = 600


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


def begins_like_caption(text: str) -> bool:
    """Whether a paragraph is a caption by its first words (`Figure 3`) and its length."""
    return len(text) <= _MAX_CAPTION and _BEGINS_LIKE_CAPTION.match(text) is not None


def with_caption(figure: Sequence[Block], text: str) -> list[Block]:
    """Return a figure's blocks with its caption: its last picture's, after that picture's own.

    Without a picture it leads what is there, or stands alone; that of a lost picture is lost.
    """
    blocks = list(figure)
    if not text:
        return blocks
    for at in reversed(range(len(blocks))):
        picture = blocks[at]
        if isinstance(picture, PictureBlock):
            both = f"{picture.caption} {text}" if picture.caption else text
            blocks[at] = replace(picture, caption=both)
            return blocks
    paragraph = TextBlock("paragraph", escape_line_start(text))
    if any(isinstance(block, TextBlock) for block in blocks):
        return [paragraph, *blocks]
    if not any(isinstance(block, LostBlock) for block in blocks):
        return [*blocks, paragraph]
    return blocks


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
