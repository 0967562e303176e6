"""Write clean HTML while its nesting is being mended.

In: the events of a walk over any HTML: text, blocks, inline elements, in whatever nesting. Out:
the `<article>` it was given, filled so that blocks stand in blocks, list items in lists, cells
in rows, text in paragraphs, and white space is collapsed. `Outline` knows the grammar of the
contract and nothing of where the events come from.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lxml import etree

from dsvl_data.render.tidy import LINES, MIXED, SECTIONS, tidy

_LISTS = frozenset(("ul", "ol"))
_TABLE = SECTIONS | {"table", "tr"}
_STRUCTURES = frozenset(("ul", "dl", "tbody", "tr"))
_NESTABLE = frozenset(("span", "sup", "sub"))
_SPACE = re.compile("[ \t\r\n\f\u2028\u2029]+")
_UNEVEN = re.compile("[\t\r\n\f\u2028\u2029]|  ")  # any but single spaces


@dataclass(slots=True)
class _Open:
    """An element that is being filled; `implicit` when the source did not have it."""

    element: etree._Element
    tag: str
    direction: str
    language: str
    implicit: bool
    lines: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Format:
    """An inline element that text is to stand in; two of the same name are two elements."""

    tag: str
    attributes: Mapping[str, str]


class Outline:
    """Fills `article`. `direction` and `language` are what holds where the source says nothing."""

    def __init__(self, article: etree._Element, *, direction: str, language: str) -> None:
        self._direction, self._language = direction, language
        self._open = [_Open(article, str(article.tag), direction, language, False, False)]
        self._formats: list[_Format] = []  # what the source asks for here
        self._written: list[tuple[_Format, etree._Element]] = []  # what stands open in the block
        self._space = ""  # white space that waits for the text after it
        self._breaks = 0  # line breaks that wait for the same
        self._last = ""  # the last character of the block
        self._implied: set[etree._Element] = set()
        self._bounded = False  # whether a block began or ended since the last text

    @contextmanager
    def block(
        self, name: str, about: Mapping[str, str], *, lines: bool = False
    ) -> Iterator[etree._Element]:
        """Open a block for what follows; yields its element, for attributes.

        `lines` makes the blocks within it lines of it.
        """
        before = self._enter(about)
        if self._in_lines():
            self._separate(name)
            yield etree.Element(name)
            self._separate(name)
        else:
            self._bound()
            depth = len(self._open)
            if self._prepare(name):
                yield self._push(name, lines=lines)
            else:
                yield etree.Element(name)
            self._pop(depth)
        self._direction, self._language = before

    @contextmanager
    def group(self, about: Mapping[str, str]) -> Iterator[None]:
        """What follows is set apart as a block, without an element of its own."""
        before = self._enter(about)
        for step in range(2):
            if self._in_lines():
                self._separate("div")
            else:
                self._bound()
            if step == 0:
                yield
        self._direction, self._language = before

    @contextmanager
    def inline(self, tags: Sequence[str], about: Mapping[str, str]) -> Iterator[None]:
        """Text that follows stands in these inline elements, block after block."""
        before = self._enter(about)
        attributes = {}
        if self._direction != before[0]:
            attributes["dir"] = self._direction
        if self._language != before[1]:
            attributes["lang"] = self._language
        known = {form.tag for form in self._formats}
        wanted = [tag for tag in tags if tag in _NESTABLE or tag not in known]
        if "rt" in wanted and "ruby" not in known:
            wanted.remove("rt")
        if attributes and not wanted:
            wanted = ["span"]
        forms = [_Format(tag, attributes if i == 0 else {}) for i, tag in enumerate(wanted)]
        self._formats += forms
        yield
        if forms:
            del self._formats[-len(forms) :]
        self._direction, self._language = before

    def text(self, text: str) -> None:
        """Add text; its white space collapses as in a browser."""
        core = text.strip(" \t\r\n\f\u2028\u2029")
        if not core:
            self._space += text
            return
        start = text.index(core[0])
        self._space += text[:start]
        self._append(self._ready() + _collapse(core))
        self._last = core[-1]
        self._space = text[start + len(core) :]

    def atom(self, element: etree._Element) -> None:
        """Add an inline element that is whole: a picture, a formula."""
        if space := self._ready():
            self._append(space)
        self._innermost().append(element)
        self._last = "\ufffc"

    def reference(self, label: str) -> None:
        """Add a footnote reference."""
        self.atom(etree.Element("a", {"class": "noteref", "data-label": label}))

    def code(self, text: str, language: str) -> None:
        """Add a code block whose text stands as it is."""
        if self._in_lines():
            self._separate("pre")
            for line in text.split("\n"):
                self.text(line)
                self._separate("pre")
            return
        with self.block("pre", {}) as made:
            made.text = text
            if language:
                made.set("data-lang", language)

    def line_break(self) -> None:
        """Break the line; two breaks end the paragraph."""
        self._breaks += 1

    def rule(self) -> None:
        """Add a horizontal rule."""
        if self._in_lines():
            self._separate("hr")
            return
        self._bound()
        if self._open[-1].tag not in _LISTS | _TABLE | {"dl"}:
            etree.SubElement(self._open[-1].element, "hr")

    def finish(self) -> None:
        """Tidy the finished tree: nothing empty, no text beside paragraphs."""
        tidy(self._open[0].element)

    def _enter(self, about: Mapping[str, str]) -> tuple[str, str]:
        before = (self._direction, self._language)
        self._direction = about.get("dir", self._direction)
        self._language = about.get("lang", self._language)
        return before

    def _in_lines(self) -> bool:
        top = self._open[-1]
        return top.lines or top.tag in LINES

    def _separate(self, name: str) -> None:
        """Where a block would begin or end in a line of text."""
        if name in ("td", "th", "span"):
            self._space += " "
        else:
            self._breaks = max(self._breaks, 1)

    def _bound(self) -> None:
        """Where a block begins or ends: the paragraph is over."""
        while self._open[-1].implicit or self._open[-1].tag == "p":
            self._open.pop()
        self._fresh()
        self._bounded = True

    def _fresh(self) -> None:
        self._written = []
        self._space = self._last = ""
        self._breaks = 0

    def _prepare(self, name: str) -> bool:
        """Open what must stand around a `name`; False when it has no place here."""
        tag = self._open[-1].tag
        if name == "li":
            if tag not in _LISTS:
                self._push_flow()
                self._push("ul", implicit=True)
        elif name in ("dt", "dd"):
            if tag != "dl":
                self._push_flow()
                self._push("dl", implicit=True)
        elif name in SECTIONS or name == "caption":
            return tag == "table"
        elif name == "tr":
            if tag == "table":
                self._push("tbody", implicit=True)
            return tag == "table" or tag in SECTIONS
        elif name in ("td", "th"):
            if tag in _TABLE - {"tr"}:
                if tag == "table":
                    self._push("tbody", implicit=True)
                self._push("tr", implicit=True)
            return tag in _TABLE
        elif name == "figcaption":
            return tag == "figure"
        else:
            self._push_flow()
        return True

    def _push_flow(self) -> None:
        """Make sure that a block may stand here."""
        tag = self._open[-1].tag
        if tag in _LISTS:
            self._push("li", implicit=True)
        elif tag == "dl":
            self._push("dd", implicit=True)
        elif tag in _TABLE:
            if tag == "table":
                self._push("tbody", implicit=True)
            if tag != "tr":
                self._push("tr", implicit=True)
            self._push("td", implicit=True)

    def _push(self, name: str, *, implicit: bool = False, lines: bool = False) -> etree._Element:
        parent = self._open[-1]
        element = self._implied_before(name) if implicit else None
        if element is None:
            element = etree.SubElement(parent.element, name)
            if implicit and name in _STRUCTURES:
                self._implied.add(element)
        if name != "pre":  # code is in no human language, and is written from the left
            if self._direction != parent.direction:
                element.set("dir", self._direction)
            if self._language != parent.language:
                element.set("lang", self._language)
        made = _Open(element, name, self._direction, self._language, implicit, lines)
        self._open.append(made)
        self._fresh()
        self._bounded = False
        return element

    def _implied_before(self, name: str) -> etree._Element | None:
        """The list or table part that was implied for the element before: it goes on."""
        parent = self._open[-1].element
        last = parent[-1] if len(parent) else None
        if last is not None and last.tag == name and last in self._implied and not last.tail:
            return last
        return None

    def _pop(self, depth: int) -> None:
        del self._open[depth:]
        self._fresh()
        self._bounded = True

    def _ready(self) -> str:
        """Before text: a block to hold it, breaks that waited, inline elements.

        Returns the space to put before the text.
        """
        top = self._open[-1]
        if top.tag in MIXED:
            if self._bounded and (top.element.text or len(top.element)):
                self._push("p", implicit=True)
        elif top.tag != "p" and top.tag not in LINES:
            self._push_flow()
            if self._open[-1].tag not in MIXED:
                self._push("p", implicit=True)
        self._bounded = False
        if self._last and self._breaks > 1 and self._is_plain_paragraph():
            implicit = self._open.pop().implicit
            self._push("p", implicit=implicit)
            self._bounded = False
        wanted = self._formats
        if self._written:
            common = 0
            for (form, _), want in zip(self._written, self._formats, strict=False):
                if form is not want:
                    break
                common += 1
            del self._written[common:]
            wanted = self._formats[common:]
        space = ""
        if self._last and self._breaks:
            etree.SubElement(self._innermost(), "br")
        elif self._last and self._space:
            space = " "
        self._space, self._breaks = "", 0
        if wanted and space:
            self._append(space)
            space = ""
        for form in wanted:
            made = etree.SubElement(self._innermost(), form.tag)
            for key, value in form.attributes.items():
                made.set(key, value)
            self._written.append((form, made))
        return space

    def _is_plain_paragraph(self) -> bool:
        top = self._open[-1]
        return top.tag == "p" and not top.lines

    def _innermost(self) -> etree._Element:
        return self._written[-1][1] if self._written else self._open[-1].element

    def _append(self, text: str) -> None:
        element = self._innermost()
        if len(element):
            element[-1].tail = (element[-1].tail or "") + text
        else:
            element.text = (element.text or "") + text


def _collapse(text: str) -> str:
    """White space as one space; a line that ends between two wide characters leaves none."""
    if not _UNEVEN.search(text):
        return text
    if text.isascii():
        return " ".join(text.split())

    def space(match: re.Match[str]) -> str:
        if "\n" in match[0] and _wide(text[match.start() - 1]) and _wide(text[match.end()]):
            return ""
        return " "

    return _SPACE.sub(space, text)


def _wide(character: str) -> bool:
    # Korean is wide, too, but has spaces between its words.
    if "\u1100" <= character <= "\u11ff" or "\uac00" <= character <= "\ud7af":
        return False
    return unicodedata.east_asian_width(character) in "WF"
