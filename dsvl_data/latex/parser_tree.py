"""LaTeXML's mended HTML in; out comes the tree of tags that Nougat's parser reads.

Here stand the marks too: what the parser must not touch (formulas, the spaces of code, the
numbers of headings) travels through it as characters that no text may hold, and is put back by
`nougat_markdown`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from dsvl_data.latex.nougat_import import Tag
from dsvl_data.outcome import DocumentError, Reason

# Marks: Unicode's noncharacters, which are for a program's own use; removed from the input.
NOTE_MARK = "\ufdd0"  # stands where a footnote is called: the mark, its index, the mark
FORMULA_MARK = "\ufdd1"  # stands for a formula's TeX: the mark, its index, the mark
CODE_SPACE = "\ufdd2"  # a space of code, which no one may collapse
CODE_START = "\ufdd3"  # begins a line of code, so that no one strips it
LABEL_OPEN, LABEL_CLOSE = "\ufdd4", "\ufdd5"  # around an item's printed label
NUMBER_OPEN, NUMBER_CLOSE = "\ufdd6", "\ufdd7"  # around what numbers a heading or a caption
REFERENCE_MARK = "\ufdd8"  # begins an item of the bibliography
PROGRAM_MARK = "\ufdd9"  # begins a listing of source code, and none of an algorithm
UNDEFINED_MARK = (
    "\ufdda"  # stands for the name of an undefined macro: the mark, its index, the mark
)

ANY_MARK = re.compile("[\ufdd0-\ufdef]")

MAX_TREE_DEPTH = 120  # of the tree for the parser, whose formatter takes three frames a level

Element = Any  # lxml's element; its stubs know no better


def names(words: str) -> frozenset[str]:
    """Names written as one string."""
    return frozenset(words.split())


def classes_of(element: Element) -> list[str]:
    """The classes of an element of lxml's."""
    return (element.get("class") or "").split()


UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)
_SPACES = re.compile(r"\s+")
_SOURCE_SPACES = re.compile(r"[ \t\r\n\f]+")
_CJK = "\u3001-\u30ff\u31c0-\u31ef\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef"
_CJK_SPACE = re.compile(rf"(?<=[{_CJK}]) (?=[{_CJK}])")
_LIGATURES = str.maketrans(
    {
        "\ufb00": "ff",
        "\ufb01": "fi",
        "\ufb02": "fl",
        "\ufb03": "ffi",
        "\ufb04": "ffl",
        "\ufb05": "st",
        "\ufb06": "st",
    }
)


def clean_text(text: str) -> str:
    r"""Text as it shows: one space for any run of white space, ligatures and accents folded.

    Non-breaking, thin and wide spaces become plain ones. Between Chinese or Japanese characters
    plain ones go: TeX drops the end of a source line there, and HTML keeps it; a `\quad` stays.
    """
    if text.isascii():
        return _SPACES.sub(" ", UNSEEN.sub("", text))
    text = UNSEEN.sub("", text).translate(_LIGATURES)
    text = _SOURCE_SPACES.sub(" ", unicodedata.normalize("NFC", text))
    return _SPACES.sub(" ", _CJK_SPACE.sub("", text))


def code_text(text: str) -> str:
    """Text of a line of code: the source's own white space is layout, LaTeXML's nbsp is not."""
    text = _SOURCE_SPACES.sub(" ", UNSEEN.sub("", text))
    return text.replace("\xa0", CODE_SPACE).translate(_LIGATURES)


_WIDTH = re.compile(r"width:\d+(?:\.\d+)?[a-z]{2}")
_FONTS = frozenset({"ltx_font_italic", "ltx_font_bold", "ltx_font_upright", "ltx_font_medium"})


@dataclass(frozen=True, slots=True)
class _Place:
    """What holds around the text that is being added."""

    font: str = ""
    depth: int = 1
    code: bool = False
    equation: bool = False  # in the table of a displayed formula
    closed: bool = False  # where Nougat formats all, and floats and sections would be lost

    def within(self, name: str, classes: list[str]) -> _Place:
        return _Place(
            font=next((each for each in classes if each in _FONTS), self.font),
            depth=self.depth + 1,
            code=self.code or "ltx_listingline" in classes,
            equation="ltx_eqn_table" in classes or (self.equation and name != "table"),
            closed=self.closed or name in _CLOSED or not _CLOSED.isdisjoint(classes),
        )

    def clean(self, text: str) -> str:
        return code_text(text) if self.code else clean_text(text)


def to_tag(root: Element) -> Tag:
    """The tree below an element of lxml's; `DocumentError(BAD_MARKUP)` when it is too deep."""
    tag = _new_tag(root.tag, classes_of(root), root, None)
    _fill(tag, root, _Place())
    return tag


def _new_tag(name: str, classes: list[str], element: Element | None, parent: Tag | None) -> Tag:
    attrs: dict[str, Any] = {"class": classes}
    if element is not None:
        for key in ("alttext", "display", "colspan", "rowspan"):
            value = element.get(key)
            if value is not None:
                attrs[key] = value
        width = _WIDTH.search(element.get("style", ""))
        if width is not None:  # of a column; the formatter copies it into the tabular
            attrs["style"] = width[0]
    above = ("", frozenset()) if parent is None else parent.signature[:2]
    return Tag(name, attrs, (name, frozenset(classes), *above))


def _fill(tag: Tag, element: Element, place: _Place) -> None:
    """Add what lies in `element` to `tag`; elements that mean nothing are passed through."""
    if place.depth > MAX_TREE_DEPTH:
        raise DocumentError(Reason.BAD_MARKUP, f"an article nested over {MAX_TREE_DEPTH} deep")
    keep_blanks = not (element.tag in _NO_TEXT_TAGS or "ltx_eqn_cell" in element.get("class", ""))
    if element.text and (keep_blanks or element.text.strip()):
        _add(tag, place.clean(element.text))
    for child in element:
        name, classes = _normal_form(child, place)
        if name == "":
            _fill(tag, child, place)
        else:
            name, classes = _where_it_may_stand(name, classes, tag)
            below = _new_tag(name, classes, child, tag)
            _fill(below, child, place.within(name, classes))
            _append(tag, below)
        if child.tail and (keep_blanks or child.tail.strip()):
            _add(tag, place.clean(child.tail))


def _where_it_may_stand(name: str, classes: list[str], parent: Tag) -> tuple[str, list[str]]:
    """The parser loses rows outside tables, items outside lists: those become paragraphs."""
    homes = _HOMES.get(name)
    if homes is not None and parent.name not in homes:
        return "div", ["ltx_para"]
    if "ltx_listingline" in classes and "ltx_listing" not in parent.attrs["class"]:
        return "div", ["ltx_para"]
    return name, classes


def _add(tag: Tag, child: Tag | str) -> None:
    """Add a child; one that the parser would lose there (text outside a cell) gets its cell."""
    missing = _MISSING.get(tag.name)
    if missing is not None and "ltx_eqn_table" not in tag.attrs["class"]:
        name, classes = missing
        known = isinstance(child, Tag) and child.name in _KNOWN_CHILDREN[tag.name]
    else:
        name, classes = "div", ["ltx_listingline"]
        known = "ltx_listing" not in tag.attrs["class"] or (
            isinstance(child, Tag) and "ltx_listingline" in child.attrs["class"]
        )
    if known or (isinstance(child, str) and not child.strip()):
        tag.children.append(child)
        return
    holder = _new_tag(name, classes, None, tag)
    _add(holder, child)
    tag.children.append(holder)


def _append(tag: Tag, below: Tag) -> None:
    """Add a tag; one that only repeats the font of its neighbour is joined to it."""
    font = _FONTS.intersection(below.attrs["class"])
    if font and "ltx_text" in below.attrs["class"]:
        if not any(not isinstance(each, str) or each.strip() for each in below.children):
            for blank in below.children:  # white space has no font
                _add(tag, blank)
            return
        before = tag.children[-1] if tag.children else None
        if (
            isinstance(before, Tag)
            and "ltx_text" in before.attrs["class"]
            and _FONTS.intersection(before.attrs["class"]) == font
        ):
            before.children.extend(below.children)
            return
    _add(tag, below)


_INLINE_TAGS = names(
    "span a em strong b i u s small big code tt q abbr cite ins del mark font kbd var samp"
)
_NO_TEXT_TAGS = names("table thead tbody tr ul ol dl section article figure")
_BLOCK_TAGS = names("div header footer main aside address center fieldset")
_MEANT = names(
    "ltx_note_outer ltx_note_content ltx_note_mark ltx_listing ltx_listingline ltx_abstract "
    "ltx_acknowledgements ltx_eqn_table ltx_eqn_row ltx_eqn_cell ltx_break ltx_authors "
    "ltx_personname ltx_contact ltx_role_author ltx_role_email ltx_role_affiliation "
    "ltx_inline-para ltx_para"
)


_HOMES = {  # a tag, and those that may hold it
    "tbody": ("table",),
    "tr": ("table", "tbody"),
    "td": ("tr",),
    "th": ("tr",),
    "li": ("ul", "ol"),
    "dt": ("dl",),
    "dd": ("dl",),
}
_KNOWN_CHILDREN = {
    "table": ("tbody", "tr"),
    "tbody": ("tr",),
    "tr": ("td", "th"),
    "ul": ("li",),
    "ol": ("li",),
    "dl": ("dt", "dd"),
}
_MISSING = {  # what stands between a tag and a child that it cannot hold
    "table": ("tr", ["ltx_tr"]),
    "tbody": ("tr", ["ltx_tr"]),
    "tr": ("td", ["ltx_td"]),
    "ul": ("li", ["ltx_item"]),
    "ol": ("li", ["ltx_item"]),
    "dl": ("dd", ["ltx_item"]),
}
_HEADINGS = names("h1 h2 h3 h4 h5 h6")
_CLOSED = _HEADINGS | names("td th dt figcaption ltx_listingline ltx_eqn_row")


def _normal_form(element: Element, place: _Place) -> tuple[str, list[str]]:
    """A tag's name and classes for the parser; no name for one that means nothing to it."""
    name = element.tag
    classes = classes_of(element)
    if name in _INLINE_TAGS:
        block = next((_SPANS[each] for each in classes if each in _SPANS), None)
        if block is None:
            return _inline_form(name, classes, place)
        name = block
    if name in _BLOCK_TAGS:
        return "div", _meant(classes, place) or ["ltx_para"]
    if name in ("section", "nav", "figure"):
        if place.closed:
            return "div", ["ltx_para"]
        if name == "figure":
            return name, ["ltx_table" if "ltx_table" in classes else "ltx_figure"]
        return "section", []
    if name in _HEADINGS or name == "figcaption":
        return ("p", ["ltx_p"]) if place.closed else (name, classes)
    if name in ("ul", "ol"):
        plain = name == "ul" or "ltx_toclist" in classes  # its entries bring their numbers
        return ("ul", ["ltx_itemize"]) if plain else ("ol", ["ltx_enumerate"])
    if name == "table":
        return name, ["ltx_eqn_table" if "ltx_eqn_table" in classes else "ltx_tabular"]
    if name == "tr":
        return name, ["ltx_eqn_row" if place.equation else "ltx_tr"]
    if name in ("td", "th"):
        return name, ["ltx_eqn_cell"] if place.equation else ["ltx_td", *_cell_classes(classes)]
    if name in _PLAIN:
        return _PLAIN[name]
    return name, classes


_SPANS = {  # blocks that LaTeXML makes of spans within a line
    "ltx_p": "p",
    "ltx_itemize": "ul",
    "ltx_description": "ul",
    "ltx_enumerate": "ol",
    "ltx_item": "li",
}
_PLAIN = {
    "li": ("li", ["ltx_item"]),
    "dl": ("dl", ["ltx_description"]),
    "dt": ("dt", ["ltx_item"]),
    "dd": ("dd", ["ltx_item"]),
    "p": ("p", ["ltx_p"]),
    "tbody": ("tbody", ["ltx_tbody"]),
    "thead": ("tbody", ["ltx_tbody"]),
    "tfoot": ("tbody", ["ltx_tbody"]),
    "br": ("br", ["ltx_break"]),
}


def _meant(classes: list[str], place: _Place) -> list[str]:
    """Those that the parser acts on; a note that no one took out has no place within a cell."""
    return [
        each
        for each in classes
        if each in _MEANT and not (place.closed and each == "ltx_note_outer")
    ]


def _inline_form(name: str, classes: list[str], place: _Place) -> tuple[str, list[str]]:
    meant = _meant(classes, place)
    if meant:
        return "span", meant
    wanted = "ltx_font_italic" if name in ("em", "i") and _FONTS.isdisjoint(classes) else ""
    for each in classes:
        if each in ("ltx_font_italic", "ltx_font_bold"):
            wanted = each
    if wanted and wanted != place.font:
        return "span", ["ltx_text", wanted]
    return "", []


def _cell_classes(classes: list[str]) -> list[str]:
    """A cell's borders and its one horizontal alignment; the formatter takes the first it sees."""
    kept = [each for each in classes if each.startswith("ltx_border_")]
    aligned = [each for each in classes if each in _ALIGNMENTS]
    return kept + aligned[:1]


_ALIGNMENTS = frozenset(
    {"ltx_align_left", "ltx_align_right", "ltx_align_center", "ltx_align_justify"}
)
