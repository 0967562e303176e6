"""A tree of clean HTML that has been written, tidied: nothing empty, no text beside paragraphs.

In: an `<article>` as `render.outline` wrote it, in place. Out: the same without elements that
show nothing, with emphasis that touches joined, and each cell and list item either text or blocks.
"""

from __future__ import annotations

from lxml import etree

from dsvl_data.render.parse import text_of

_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
#: They hold a line of text: a block within becomes another line of it.
LINES = _HEADINGS | {"dt", "caption", "figcaption"}
#: They hold text or blocks.
MIXED = frozenset(("li", "dd", "td", "th"))
SECTIONS = frozenset(("thead", "tbody", "tfoot"))
_EMPTY_INLINE = frozenset(("em", "strong", "code", "sup", "sub", "span", "u", "s", "ruby", "rt"))
_EMPTY_BLOCKS = LINES | SECTIONS | {
    "p", "blockquote", "pre", "ul", "li", "ol", "dl", "dd", "table", "tr", "figure", "aside", "div",
}  # fmt: skip
_SHOWN = ("img", "math", "hr", "a")


def tidy(article: etree._Element) -> None:
    """Tidy a finished article."""
    for element in reversed(list(article.iter())):
        if element is not article and _is_empty(element):
            _remove(element)
    while len(article) and article[-1].tag == "hr":  # it parts nothing, and may part a page
        article.remove(article[-1])
    for element in list(article.iter("em", "strong")):
        _join_next(element)
    for element in article.iter("p", *LINES, *MIXED):
        _strip_end(element)
    for element in list(article.iter(*MIXED)):
        if element.find("p") is not None:
            _wrap_text(element)


def _is_empty(element: etree._Element) -> bool:
    if (text := element.text) and not text.isspace():
        return False
    tag = element.tag
    if tag in _EMPTY_INLINE or tag in _EMPTY_BLOCKS:
        if tag == "li" and (parent := element.getparent()) is not None and parent.tag == "ol":
            return False  # its number is seen
        if len(element) == 0:
            return True
        if text_of(element).strip():
            return False
        return next(element.iter(*_SHOWN), None) is None
    return False


def _remove(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is None:
        return
    if element.tail:
        before = element.getprevious()
        if before is not None:
            before.tail = (before.tail or "") + element.tail
        else:
            parent.text = (parent.text or "") + element.tail
    parent.remove(element)


def _join_next(element: etree._Element) -> None:
    """Two emphasised words that touch are one: `<em>a</em><em>b</em>`."""
    while (follower := element.getnext()) is not None and not element.tail:
        if follower.tag != element.tag or follower.items() != element.items():
            return
        if follower.text:
            if len(element):
                element[-1].tail = (element[-1].tail or "") + follower.text
            else:
                element.text = (element.text or "") + follower.text
        element.extend(list(follower))
        element.tail, follower.tail = follower.tail, None
        parent = element.getparent()
        if parent is None:
            return
        parent.remove(follower)


def _strip_end(block: etree._Element) -> None:
    """Hard spaces at the end of a block are seen by nobody, and spoil the emphasis they end."""
    element = block
    while len(element):
        last = element[-1]
        last.tail = (last.tail or "").rstrip() or None
        if last.tail or last.tag not in _EMPTY_INLINE:
            return
        element = last
    element.text = (element.text or "").rstrip() or None


def _wrap_text(host: etree._Element) -> None:
    """Put text that stands beside paragraphs into paragraphs of its own."""
    blocks = _EMPTY_BLOCKS | {"hr"}
    paragraph: etree._Element | None = None
    if host.text and host.text.strip():
        paragraph = etree.Element("p")
        paragraph.text, host.text = host.text, None
        host.insert(0, paragraph)
    for child in list(host):
        if child is paragraph:
            continue
        if child.tag in blocks:
            paragraph = None
            if child.tail and child.tail.strip():
                paragraph = etree.Element("p")
                paragraph.text, child.tail = child.tail, None
                child.addnext(paragraph)
        elif paragraph is not None:
            paragraph.append(child)
        else:
            paragraph = etree.Element("p")
            child.addprevious(paragraph)
            paragraph.append(child)
