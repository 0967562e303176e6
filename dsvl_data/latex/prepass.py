"""LaTeXML's HTML in; out comes a tree that Nougat's parser reads whole, and the formulas aside.

Nougat's parser gives up on an article for one missing label, and loses what it does not know:
this pass mends the tree before it, so that the parser only meets what it understands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lxml import etree

from dsvl_data.latex.mending import become_text, drop, mend, set_classes
from dsvl_data.latex.nougat_import import Tag
from dsvl_data.latex.parser_tree import (
    ANY_MARK,
    FORMULA_MARK,
    NOTE_MARK,
    UNDEFINED_MARK,
    UNSEEN,
    Element,
    classes_of,
    names,
    to_tag,
)
from dsvl_data.outcome import DocumentError, Reason

MAX_BYTES = 300_000_000
MAX_DEPTH = 400  # of the HTML; LaTeXML's deepest real nesting is about 40


@dataclass(frozen=True, slots=True)
class Prepared:
    r"""The tree for Nougat's parser: the body, the notes that stood in it, and the formulas.

    `undefined` are the macros (`\name`) and environments (`{name}`) that nothing defines, one for
    each place where one is used: what the page shows there is not in the text.
    """

    article: Tag
    notes: tuple[Tag, ...]
    formulas: tuple[str, ...]
    undefined: tuple[str, ...] = ()


def prepare(html: bytes) -> Prepared:
    """Mend LaTeXML's HTML for Nougat's parser.

    `DocumentError` with `BAD_MARKUP` when there is no article in it or it is nested too deeply,
    `TOO_LARGE` for more bytes or larger tables than an article can have.
    """
    article = _article(html)
    _drop_unseen(article)
    formulas = _take_formulas(article)
    undefined = _take_undefined(article)
    _check_depth(article)
    mend(article)
    notes = _take_notes(article)
    return Prepared(
        article=to_tag(article),
        notes=tuple(to_tag(note) for note in notes),
        formulas=tuple(formulas),
        undefined=tuple(undefined),
    )


def _article(html: bytes) -> Element:
    if len(html) > MAX_BYTES:
        raise DocumentError(Reason.TOO_LARGE, f"{len(html)} bytes of HTML from LaTeXML")
    parser = etree.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True, huge_tree=True
    )
    try:
        root = etree.fromstring(html, parser)
    except etree.XMLSyntaxError as error:
        raise DocumentError(Reason.BAD_MARKUP, f"no HTML: {error}") from None
    for entry in parser.error_log:
        if entry.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT:
            raise DocumentError(Reason.BAD_MARKUP, entry.message)
    article = None if root is None else root.find(".//article")
    if article is None:
        raise DocumentError(Reason.BAD_MARKUP, "LaTeXML's HTML has no article in it")
    return article


def _check_depth(article: Element) -> None:
    depth = 0
    for event, _ in etree.iterwalk(article, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > MAX_DEPTH:
            raise DocumentError(Reason.BAD_MARKUP, f"HTML nested over {MAX_DEPTH} levels deep")


_DROPPED_TAGS = names(
    "script style svg img object iframe link meta audio video canvas embed template noscript "
    "head title input button select textarea form"
)
_DROPPED_CLASSES = names(
    "ltx_page_footer ltx_page_logo ltx_rule ltx_note_type ltx_picture ltx_author_before"
)


def _drop_unseen(article: Element) -> None:
    """Drop what shows no text, and characters that would pass for our marks."""
    for element in list(article.iter(etree.Element)):
        if element.tag in _DROPPED_TAGS or not _DROPPED_CLASSES.isdisjoint(classes_of(element)):
            drop(element)
            continue
        if element.tag == "figure":
            _drop_repeated_captions(element)
        if element.text and not element.text.isascii():
            element.text = ANY_MARK.sub("", element.text)
        if element.tail and not element.tail.isascii():
            element.tail = ANY_MARK.sub("", element.tail)


def _drop_repeated_captions(figure: Element) -> None:
    """LaTeXML writes the first caption of a figure with several of them twice."""
    seen = set()
    for caption in figure.findall("figcaption"):
        says = "".join(caption.itertext()), *(math.get("alttext") for math in caption.iter("math"))
        if says in seen:
            drop(caption)
        seen.add(says)


_CONTINUED = re.compile(r"(?<!\\)((?:\\\\)*)%\n")
_JOINED_COMMAND = re.compile(r"(\\[A-Za-z]+)%\n(?=[A-Za-z])")


def formula_tex(math: Element) -> str:
    r"""The TeX of a `<math>`: one line, without the `%` line ends that LaTeXML breaks it with."""
    tex = math.get("alttext")
    if tex is None:
        tex = next(
            (
                "".join(note.itertext())
                for note in math.iter("annotation")
                if note.get("encoding") == "application/x-tex"
            ),
            "",
        )
    tex = _JOINED_COMMAND.sub(r"\1 ", tex)
    tex = _CONTINUED.sub(r"\1", tex)
    tex = ANY_MARK.sub("", UNSEEN.sub("", tex)).replace("\n", " ").strip()
    if _in_equation_cell(math):  # LaTeXML's own addition, not the author's
        tex = tex.removeprefix(r"\displaystyle").strip()
    return tex


def _in_equation_cell(math: Element) -> bool:
    cell = math.getparent()
    while cell is not None and cell.tag == "span":
        cell = cell.getparent()
    return cell is not None and "ltx_eqn_cell" in cell.get("class", "")


def _take_formulas(article: Element) -> list[str]:
    formulas: list[str] = []
    for math in list(article.iter("math")):
        tex = formula_tex(math)
        display = math.get("display", "inline")
        for child in list(math):
            math.remove(child)
        math.text = None
        math.attrib.clear()
        if not tex:
            math.tag = "span"
            continue
        math.set("class", "ltx_Math")
        math.set("display", "block" if display == "block" else "inline")
        math.set("alttext", f"{FORMULA_MARK}{len(formulas)}{FORMULA_MARK}")
        formulas.append(tex)
    return formulas


def _take_undefined(article: Element) -> list[str]:
    """Take the names of what nothing defines out of the text, and leave their marks."""
    undefined: list[str] = []
    for element in list(article.iter("span", "div", "p")):
        classes = classes_of(element)
        if "ltx_ERROR" not in classes:
            continue
        name = "".join(element.itertext()).strip()
        if "undefined" not in classes or not name:  # a remark of LaTeXML's own
            drop(element)
            continue
        become_text(element, f"{UNDEFINED_MARK}{len(undefined)}{UNDEFINED_MARK}")
        undefined.append(name)
    return undefined


_NO_CALL = names("ltx_role_footnotetext ltx_role_margin")  # their mark is not in the text


def _take_notes(article: Element) -> list[Element]:
    """Take the footnotes out, those within footnotes too, and leave their marks."""
    notes: list[Element] = []
    for note in list(article.iter("span", "div")):
        if "ltx_note" not in classes_of(note) or note.getparent() is None:
            continue
        outer = next((child for child in note if "ltx_note_outer" in classes_of(child)), None)
        if outer is None:
            continue
        for label in list(outer.iter("span")):
            if "ltx_tag_note" in classes_of(label):
                drop(label)
        outer.tail = None
        note.remove(outer)
        for mark in list(note):
            if _NO_CALL.isdisjoint(classes_of(note)):
                set_classes(mark)  # a raised number like others: it calls, the inner one names
            else:
                note.remove(mark)
        if "ltx_role_margin" in classes_of(note):
            for mark in list(outer.iter("sup")):
                if "ltx_note_mark" in classes_of(mark):
                    drop(mark)
        mark = etree.SubElement(note, "span")
        mark.text = f"{NOTE_MARK}{len(notes)}{NOTE_MARK}"
        set_classes(note)
        holder = etree.Element("div")
        holder.append(outer)
        notes.append(holder)
    return notes
