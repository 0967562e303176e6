"""One walk over clean HTML: what is printed, and every visible character of it in order.

In: the `<article>` of a `Chapter`. Out: a `Flow`: a small tree whose text runs know their
place in the sequence of visible characters, the HTML to print, and that sequence. The
printed page is matched against the sequence (`paginate`), and the Markdown is written from
the same tree (`markdown`), so both speak of the same characters by number.

Everything visible is literal text here: list markers, footnote labels and references are
added to the tree by this walk. A *position* is the index of a visible character; white space
and characters without ink have none.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lxml import etree

#: White space, and characters that never have ink: joiners, marks of direction, selectors.
INVISIBLE = re.compile(
    "[\\s\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e0fff]+"
)

_INLINE = frozenset(
    ["em", "strong", "code", "sup", "sub", "span", "u", "s", "a", "ruby", "rt", "br", "img", "math"]
)
_KEPT_ATTRIBUTES = frozenset(
    ["class", "dir", "lang", "colspan", "rowspan", "width", "height", "display"]
)
_MATH_ATTRIBUTES = frozenset(
    {"accent", "accentunder", "columnalign", "columnspan", "depth", "dir", "display",
     "displaystyle", "fence", "form", "height", "largeop", "linethickness", "lspace",
     "mathvariant", "maxsize", "minsize", "movablelimits", "rowspan", "rspace", "scriptlevel",
     "separator", "stretchy", "symmetric", "voffset", "width"}
)  # fmt: skip
#: Blocks that hold lines: a right-to-left word puts the whole line in another order.
_PARAGRAPHS = frozenset(
    {"h1", "h2", "h3", "h4", "h5", "h6", "p", "li", "dt", "dd", "caption", "td", "th",
     "figcaption", "aside", "pre"}
)  # fmt: skip
_UNSEEN_MATH = frozenset(("annotation", "annotation-xml", "mphantom"))
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff]")
#: What a line is not broken in: letters and digits but those of Chinese and Japanese.
_UNBROKEN = re.compile("[^\\s\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef]+")
#: Letters of a word that any line of any template has room for, five lists deep. A browser that
#: may break words anywhere lays lines out in twice the time, so only what needs it is allowed it.
_WORD_FITS = 14
_BULLETS = ("•", "–", "·")
_ALPHABETS = {
    "bold": "BOLD",
    "bold-italic": "BOLD ITALIC",
    "double-struck": "DOUBLE-STRUCK",
    "fraktur": "FRAKTUR",
    "bold-fraktur": "BOLD FRAKTUR",
    "script": "SCRIPT",
    "bold-script": "BOLD SCRIPT",
    "sans-serif": "SANS-SERIF",
    "bold-sans-serif": "SANS-SERIF BOLD",
    "monospace": "MONOSPACE",
}
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"),
    (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip


@dataclass(slots=True)
class Run:
    """A stretch of text whose visible characters have the positions `start` to `end`."""

    text: str
    start: int
    end: int


@dataclass(slots=True)
class Node:
    """An element of the printed tree; its visible characters are `start` to `end`.

    `tag` is an HTML name, or `marker` for the literal marker of a list item or footnote.
    """

    tag: str
    attributes: Mapping[str, str]
    start: int
    end: int = 0
    children: list[Node | Run] = field(default_factory=list)

    def nodes(self) -> Iterator[Node]:
        """The children that are elements."""
        return (child for child in self.children if isinstance(child, Node))


@dataclass(slots=True)
class Flow:
    """What a chapter prints and says.

    `html` is the article's markup; `text` holds its visible characters, one a position.
    `unordered` are the position ranges whose characters a browser may paint in another order
    (formulas, paragraphs with ruby or right-to-left words); `formulas` the ranges of formulas;
    `images` the position before which each picture stands, with its name; `cells` the position
    at which each table cell starts.
    """

    root: Node
    html: str
    text: str
    unordered: list[tuple[int, int]]
    formulas: list[tuple[int, int]]
    images: list[tuple[int, str]]
    cells: list[int]


def build_flow(
    body: etree._Element, *, image_url: str = "", drawings: Collection[str] = ()
) -> Flow:
    """Walk the clean tree `body` once.

    Images are asked for at `image_url` and their name; those named in `drawings` (SVG) get
    the class `drawing`, by which `base.css` prints them as pixels.
    """
    return _Builder(image_url, drawings).build(body)


def visible(text: str) -> str:
    """`text` without white space and without characters that have no ink."""
    return INVISIBLE.sub("", text)


class _Fold(dict[int, str | int]):
    """For `str.translate`: a character to the one that stands for all that look like it."""

    def __missing__(self, code: int) -> str | int:
        character = chr(code)
        folded = unicodedata.normalize("NFKC", character)
        if "\ufb00" <= character <= "\ufb06":
            folded = folded.replace("ſ", "s")
        elif len(folded) != 1 or folded.isspace():
            folded = character
        if folded in "\u2010\u2011\u2212":
            folded = "-"
        value = code if folded == character else folded
        self[code] = value
        return value


_FOLD = _Fold()


def fold(text: str) -> str:
    """Map presentation forms to the characters that they present.

    These are ligatures, mathematical alphabets, radicals, wide and narrow forms, hyphens.
    """
    return text if text.isascii() else text.translate(_FOLD)


def format_number(number: int, style: str) -> str:
    """Write a list item's number as `style` (1, a, A, i, I) asks."""
    if style in ("a", "A") and number > 0:
        letters = ""
        rest = number
        while rest:
            rest, digit = divmod(rest - 1, 26)
            letters = chr(ord("a") + digit) + letters
        return letters if style == "a" else letters.upper()
    if style in ("i", "I") and 0 < number < 4000:
        roman, rest = "", number
        for value, letter in _ROMAN:
            count, rest = divmod(rest, value)
            roman += letter * count
        return roman if style == "i" else roman.upper()
    return str(number)


class _Builder:
    def __init__(self, image_url: str, drawings: Collection[str]) -> None:
        self._image_url = image_url
        self._drawings = drawings
        self._html: list[str] = []
        self._seen: list[str] = []
        self._position = 0
        self._unordered: list[tuple[int, int]] = []
        self._formulas: list[tuple[int, int]] = []
        self._images: list[tuple[int, str]] = []
        self._cells: list[int] = []
        self._direction = "ltr"
        self._last_reordered = -1
        self._pending = ""  # a marker that waits for the first line of its item

    def build(self, body: etree._Element) -> Flow:
        root = self._element(body, 0)
        return Flow(
            root=root,
            html="".join(self._html),
            text="".join(self._seen),
            unordered=_merged(self._unordered),
            formulas=self._formulas,
            images=self._images,
            cells=self._cells,
        )

    def _element(self, element: etree._Element, depth: int) -> Node:
        tag = str(element.tag)
        if tag == "math":
            return self._math(element)
        if tag == "img":
            return self._image(element)
        attributes = _attributes(element)
        node = Node(tag, attributes, self._position)
        if tag in ("br", "hr"):
            self._html.append(f"<{tag}/>")
            node.end = self._position
            return node
        if tag == "a":
            return self._reference(node)
        if tag in ("td", "th"):
            self._cells.append(self._position)
        outer = self._direction
        self._direction = attributes.get("dir", outer)
        self._html.append(self._open(tag, attributes, _style(element, tag)))
        if tag == "pre" and (element.text or "").startswith("\n"):
            self._html.append("\n")  # a parser swallows the first one
        if tag == "aside" and attributes.get("data-label"):
            self._pending = attributes["data-label"].strip()
        self._content(element, node, depth)
        self._flush_marker(node)
        self._html.append(f"</{tag}>")
        self._close(node)
        self._direction = outer
        return node

    def _close(self, node: Node) -> None:
        node.end = self._position
        if node.tag == "ruby":
            self._last_reordered = node.start
        elif node.tag in _PARAGRAPHS and (
            self._direction == "rtl" or self._last_reordered >= node.start
        ):
            self._unordered.append((node.start, node.end))

    def _content(self, element: etree._Element, node: Node, depth: int) -> None:
        if node.tag in ("ul", "ol"):
            self._list(element, node, depth)
            return
        self._text(element.text, node)
        for child in element:
            if isinstance(child.tag, str):
                if child.tag in _INLINE or child.tag in ("ul", "ol", "table", "pre", "hr"):
                    self._flush_marker(node)
                node.children.append(self._element(child, depth))
            self._text(child.tail, node)

    def _list(self, element: etree._Element, node: Node, depth: int) -> None:
        style = node.attributes.get("type", "1")
        number = _integer(node.attributes.get("start"), 1)
        for item in element:
            if item.tag != "li":
                continue
            if node.tag == "ul":
                marker = _BULLETS[min(depth, len(_BULLETS) - 1)]
            else:
                number = _integer(item.get("value"), number)
                marker = format_number(number, style) + "."
                number += 1
            attributes = _attributes(item)
            child = Node("li", {**attributes, "marker": marker}, self._position)
            self._html.append(self._open("li", attributes, _style(item, "li")))
            self._pending = marker
            self._content(item, child, depth + 1)
            self._flush_marker(child)
            self._html.append("</li>")
            self._close(child)
            node.children.append(child)

    def _flush_marker(self, node: Node) -> None:
        if self._pending:
            marker, self._pending = self._pending, ""
            self._html.append('<span class="marker">')
            child = Node("marker", {}, self._position)
            self._add(marker, child)
            child.end = self._position
            self._html.append("</span>")
            node.children.append(child)

    def _text(self, text: str | None, node: Node) -> None:
        if not text:
            return
        if node.tag in ("table", "thead", "tbody", "tfoot", "tr", "ul", "ol", "dl"):
            return  # white space only, by the grammar of HTML
        if self._pending and visible(text):
            self._flush_marker(node)
        self._add(text, node)

    def _add(self, text: str, node: Node) -> None:
        seen = visible(text)
        start = self._position
        self._position += len(seen)
        self._seen.append(seen)
        self._html.append(html.escape(text, quote=False))
        node.children.append(Run(text, start, self._position))
        if not text.isascii() and _RIGHT_TO_LEFT.search(text):
            self._last_reordered = start

    def _drawn(self, sign: str, node: Node) -> None:
        """A sign that the browser draws of itself: seen on the page, absent from the markup."""
        self._seen.append(sign)
        node.children.append(Run(sign, self._position, self._position + len(sign)))
        self._position += len(sign)

    def _reference(self, node: Node) -> Node:
        self._html.append('<sup class="noteref">')
        self._add(node.attributes.get("data-label", "").strip(), node)
        self._html.append("</sup>")
        node.end = self._position
        return node

    def _image(self, element: etree._Element) -> Node:
        name = element.get("src", "")
        self._images.append((self._position, name))
        size = "".join(
            f' {key}="{html.escape(element.get(key, ""))}"'
            for key in ("width", "height")
            if element.get(key)
        )
        if name in self._drawings:
            size += ' class="drawing"'
        self._html.append(f'<img src="{html.escape(self._image_url + name)}"{size}/>')
        return Node("img", _attributes(element), self._position, self._position)

    def _math(self, element: etree._Element) -> Node:
        node = Node("math", _attributes(element), self._position)
        self._formula(element, node)
        node.end = self._position
        self._unordered.append((node.start, node.end))
        self._formulas.append((node.start, node.end))
        return node

    def _formula(self, element: etree._Element, node: Node) -> None:
        tag = str(element.tag)
        if tag in _UNSEEN_MATH:
            return
        attributes = {str(k): str(v) for k, v in element.attrib.items() if k in _MATH_ATTRIBUTES}
        variant = attributes.pop("mathvariant", None) if tag in ("mi", "mn", "mo") else None
        if variant == "normal":
            attributes["mathvariant"] = variant
        if tag == "math":
            attributes["xmlns"] = "http://www.w3.org/1998/Math/MathML"
        self._html.append(_tag(tag, attributes))
        text = (element.text or "").strip()
        if text:
            # Browsers draw what they are given: a hyphen, though a formula has minus signs.
            self._add("\u2212" if tag == "mo" and text == "-" else _styled(text, variant), node)
        if tag in ("msqrt", "mroot"):
            self._drawn("√", node)
        for child in element:
            if isinstance(child.tag, str):
                self._formula(child, node)
        self._html.append(f"</{tag}>")

    def _open(self, tag: str, attributes: Mapping[str, str], style: str = "") -> str:
        kept = {k: v for k, v in attributes.items() if k in _KEPT_ATTRIBUTES}
        if style:
            kept["style"] = style
        return _tag(tag, kept)


def _attributes(element: etree._Element) -> dict[str, str]:
    return {str(key): str(value) for key, value in element.attrib.items()}


def _tag(tag: str, attributes: Mapping[str, str]) -> str:
    written = "".join(f' {key}="{html.escape(value)}"' for key, value in attributes.items())
    return f"<{tag}{written}>"


def _style(element: etree._Element, tag: str) -> str:
    """What the style sheet cannot know: a table's columns, a cell's longest word, a long word."""
    if tag == "table":
        return f"--cells:{max((len(row) for row in element.iter('tr')), default=1)}"
    if tag in ("td", "th"):
        return f"--word:{min(_longest_word(map(str, element.itertext())), 40)}"
    if tag in ("p", "li", "dt", "dd", "blockquote", "aside", "figcaption"):
        # Code may be broken anyway, and a block inside says for itself.
        return "overflow-wrap:anywhere" if _longest_word(_own_text(element)) > _WORD_FITS else ""
    return ""


def _own_text(element: etree._Element) -> Iterator[str]:
    """The text of a paragraph's own lines; a space where code or a block is."""
    yield element.text or ""
    for child in element:
        if child.tag in _INLINE and child.tag not in ("code", "math"):
            yield from _own_text(child)
        else:
            yield " "
        yield child.tail or ""


def _longest_word(parts: Iterable[str]) -> int:
    text = "".join(parts)
    words = text.split() if text.isascii() else _UNBROKEN.findall(text)
    return max(map(len, words), default=0)


def _styled(text: str, variant: str | None) -> str:
    """The mathematical alphabet that `mathvariant` names; MathML Core knows `normal` only."""
    style = _ALPHABETS.get(variant or "")
    if style is None:
        return text
    styled = []
    for character in text:
        name = unicodedata.name(character, "")
        name = name.replace("LATIN ", "").replace("GREEK ", "").replace(" LETTER", "")
        try:
            styled.append(unicodedata.lookup(f"MATHEMATICAL {style} {name}"))
        except KeyError:
            styled.append(character)
    return "".join(styled)


def _integer(text: str | None, default: int) -> int:
    try:
        return int(text) if text else default
    except ValueError:
        return default


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif end > start:
            merged.append((start, end))
    return merged
