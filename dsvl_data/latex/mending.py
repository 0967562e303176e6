"""Mends LaTeXML's HTML in place, class by class, where Nougat's parser would fail or lose text."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator

from lxml import etree

from dsvl_data.latex.parser_tree import (
    CODE_START,
    LABEL_CLOSE,
    LABEL_OPEN,
    NUMBER_CLOSE,
    NUMBER_OPEN,
    PROGRAM_MARK,
    REFERENCE_MARK,
    UNSEEN,
    Element,
    classes_of,
)
from dsvl_data.outcome import DocumentError, Reason

MAX_SPAN = 1_000  # rows or columns that one cell of a table may span
MAX_CELLS = 100_000  # of one table, spanned ones too


def mend(article: Element) -> None:
    for element in list(article.iter(etree.Element)):
        classes = classes_of(element)
        if element.tag == "table" and "ltx_tabular" in classes:
            _check_table(element)
        if element.tag == "sup":
            _raised(element)
        for name in classes:
            if name in _MENDERS:
                _MENDERS[name](element)
        if "ltx_tag" in classes:
            parent = element.getparent()
            if parent is not None and parent.tag in _NUMBERED:
                _number(element)
    # After every line's text is final: verbatim blocks have become listings too.
    for element in list(article.iter("div", "span")):
        if "ltx_listing" in classes_of(element):
            _listing(element)


def set_classes(element: Element, *classes: str) -> None:
    element.set("class", " ".join(classes))


def drop(element: Element) -> None:
    """Take an element out and leave the text that follows it."""
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


def become_text(element: Element, text: str) -> None:
    for child in list(element):
        element.remove(child)
    element.text = text
    element.tag = "span"
    element.attrib.clear()


def _surround(element: Element, opening: str, closing: str) -> None:
    element.text = opening + (element.text or "")
    if len(element):
        element[-1].tail = (element[-1].tail or "") + closing
    else:
        element.text += closing


def _missing_citation(element: Element) -> None:
    become_text(element, "?")


def _missing_label(element: Element) -> None:
    become_text(element, "??")


def _number(element: Element) -> None:
    """What numbers a heading or caption: the parser drops some, and shouts others."""
    _surround(element, NUMBER_OPEN, NUMBER_CLOSE + " ")
    set_classes(element)


def _equation_number(element: Element) -> None:
    _surround(element, NUMBER_OPEN, NUMBER_CLOSE)
    set_classes(element)


def _item_label(element: Element) -> None:
    _surround(element, LABEL_OPEN, LABEL_CLOSE)
    set_classes(element)


def _reference_label(element: Element) -> None:
    _surround(element, REFERENCE_MARK + LABEL_OPEN, LABEL_CLOSE)
    set_classes(element)


def _run_in_title(title: Element) -> None:
    """A title that stands in the line of the text after it: move it there."""
    block = title.getparent()
    if block is None:
        return
    classes = classes_of(title)
    title.tag = "span"
    italic = "ltx_font_italic" in classes
    if "ltx_title_theorem" in classes:
        set_classes(title)  # its parts carry their own fonts
    else:
        set_classes(title, "ltx_text", "ltx_font_italic" if italic else "ltx_font_bold")
    _strip_ends(title)
    follower = title.getnext()
    home = follower
    while home is not None and home.tag in ("div", "section", "span"):
        home = home[0] if len(home) and not (home.text or "").strip() else None
    if home is None or home.tag != "p" or "ltx_p" not in classes_of(home):
        home = etree.Element("p", {"class": "ltx_p"})
        title.addprevious(home)
        home.tail = title.tail
        title.tail = None
        home.append(title)
        return
    tail, title.tail = title.tail, None
    if tail and tail.strip():
        title.tail = tail
    block.remove(title)
    title.tail = (title.tail or "") + " " + (home.text or "")
    home.text = None
    home.insert(0, title)


def _strip_ends(element: Element) -> None:
    if element.text:
        element.text = element.text.lstrip()
    if len(element):
        element[-1].tail = (element[-1].tail or "").rstrip() or None
    elif element.text:
        element.text = element.text.rstrip()


def _author_note(element: Element) -> None:
    r"""A \thanks of an author: LaTeXML shows it in place, TeX at the foot of the page."""
    if element.find(".//*[@class]") is not None and element.xpath(
        ".//*[contains(@class, 'ltx_contact') or contains(@class, 'ltx_role_')]"
    ):
        return
    _become_note(element)


def _become_note(element: Element) -> None:
    set_classes(element, "ltx_note", "ltx_role_thanks")
    content = etree.Element("span", {"class": "ltx_note_outer"})
    content.text, element.text = element.text, None
    for child in list(element):
        content.append(child)
    element.append(content)


def _dates(element: Element) -> None:
    text = (element.text or "").strip()
    if not len(element) and text.startswith("(") and text.endswith(")"):
        element.text = text[1:-1]  # LaTeXML's brackets, not LaTeX's
    if text.lstrip("(").startswith("Date:"):
        _become_note(element)  # so the AMS's classes print it
        return
    set_classes(element, "ltx_para")


def _verbatim(element: Element) -> None:
    """A verbatim block becomes a listing; one inside a line stays what it is."""
    if element.tag != "pre":
        return
    pieces = list(_pieces(element))
    for child in list(element):
        element.remove(child)
    element.text = None
    element.tag = "div"
    set_classes(element, "ltx_listing", "ltx_verbatim_block")
    row = etree.SubElement(element, "div", {"class": "ltx_listingline"})
    for piece in pieces:
        if not isinstance(piece, str):
            piece.tail = None
            row.append(piece)
            continue
        for index, line in enumerate(piece.split("\n")):
            if index:
                row = etree.SubElement(element, "div", {"class": "ltx_listingline"})
            # LaTeXML takes a tab for the ninth letter of TeX's typewriter font.
            line = UNSEEN.sub("", line.replace("Ψ", "\t")).expandtabs(8)
            _append_text(row, line.replace(" ", "\xa0"))


def _pieces(element: Element) -> Iterator[Element | str]:
    """The text below an element, and the formulas and notes in it, in their order."""
    if element.text:
        yield element.text
    for child in element:
        if child.tag == "math" or "ltx_note" in classes_of(child):
            tail = child.tail
            yield child
            if tail:
                yield tail
            continue
        yield from _pieces(child)
        if child.tail:
            yield child.tail


def _append_text(element: Element, text: str) -> None:
    if len(element):
        element[-1].tail = (element[-1].tail or "") + text
    else:
        element.text = (element.text or "") + text


def _listing(element: Element) -> None:
    """Give code its own quotation marks back, which LaTeXML's listings set as text."""
    program = any(name in classes_of(element) for name in ("ltx_lstlisting", "ltx_verbatim_block"))
    rows = [row for row in element if "ltx_listingline" in classes_of(row)]
    data = element.find("div[@class='ltx_listing_data']")
    if data is not None:
        source = _source_lines(data)
        element.remove(data)
        if len(source) == len(rows):
            for row, line in zip(rows, source, strict=True):
                _source_line(row, line)
    if program and rows:
        rows[0].text = PROGRAM_MARK + (rows[0].text or "")
    for row in rows:
        row.text = CODE_START + (row.text or "")


def _source_lines(data: Element) -> list[str]:
    link = data.find("a")
    address = "" if link is None else link.get("href", "")
    prefix, _, code = address.partition("base64,")
    if not prefix.startswith("data:text/plain"):
        return []
    try:
        text = base64.b64decode(code, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return []
    return UNSEEN.sub("", text).expandtabs(8).strip("\n").split("\n")


_CODE_SKELETON = re.compile(r"[\W_]+")


def _source_line(row: Element, line: str) -> None:
    """Show a line as its source has it, where both say the same but for marks and spaces."""
    label = None
    if len(row) and "ltx_tag" in classes_of(row[0]) and not (row.text or "").strip():
        label = row[0]
    shown = "".join(row.itertext())
    if label is not None:
        shown = shown.lstrip().removeprefix("".join(label.itertext()))
    if row.find(".//math") is not None:
        return
    if _CODE_SKELETON.sub("", shown) != _CODE_SKELETON.sub("", line):
        return
    for child in list(row):
        if child is not label:
            row.remove(child)
    line = line.replace(" ", "\xa0")
    if label is None:
        row.text = line
    else:
        row.text = None
        label.tail = "\xa0" + line


def _equation_block(element: Element) -> None:
    """An equation that is no table (LaTeXML makes some so): one row of one."""
    row = etree.Element("div", {"class": "ltx_eqn_row"})
    row.text, element.text = element.text, None
    for child in list(element):
        row.append(child)
    element.append(row)
    set_classes(element, "ltx_eqn_table")


def _span_table(element: Element) -> None:
    """Tables inside a line are made of spans, which the parser does not take for tables."""
    for name, tag in _TABLE_TAGS.items():
        if name in classes_of(element):
            element.tag = tag
            return


_TABLE_TAGS = {
    "ltx_tabular": "table",
    "ltx_thead": "thead",
    "ltx_tbody": "tbody",
    "ltx_tfoot": "tbody",
    "ltx_tr": "tr",
    "ltx_td": "td",
}


def _float(element: Element) -> None:
    classes = classes_of(element)
    if "ltx_lstlisting" in classes:
        element.tag = "div"  # stands in the flow, and may break across pages
        set_classes(element, "ltx_para")
        for caption in element.findall("figcaption"):
            caption.tag = "p"
            set_classes(caption, "ltx_p")
    elif "ltx_table" not in classes:
        set_classes(element, "ltx_figure")


def _raised(sup: Element) -> None:
    """Numbers in a list, as authors' affiliations are, raised like the single ones."""
    if not len(sup) and _RAISED_LIST.fullmatch(sup.text or ""):
        become_text(sup, sup.text.translate(_RAISED_DIGITS))


_RAISED_LIST = re.compile(r"\s*\d+(?:\s*[,;–-]\s*\d+)+\s*", re.ASCII)
_RAISED_DIGITS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def _bibliography_block(element: Element) -> None:
    """A part of a reference; what LaTeXML adds for the web is on no page."""
    text = "".join(element.itertext()).strip()
    if "ltx_bib_cited" in classes_of(element) or text.startswith("External Links:"):
        drop(element)
        return
    if (element.text or "").lstrip().startswith("Note: "):
        element.text = (element.text or "").lstrip().removeprefix("Note: ")
    element.tail = " " + (element.tail or "")


def _check_table(table: Element) -> None:
    """Refuse a table that the formatter would blow up: it fills in every spanned cell."""
    rows = [row for row in table.iter() if "ltx_tr" in classes_of(row)]
    cells = widest = 0
    for index, row in enumerate(rows):
        width = 0
        for cell in row:
            columns, deep = _span(cell, "colspan"), _span(cell, "rowspan")
            width += columns
            cells += columns * min(deep, len(rows) - index)
        widest = max(widest, width)
    if max(cells, len(rows) * widest) > MAX_CELLS:
        raise DocumentError(Reason.TOO_LARGE, f"a table of {len(rows)} x {widest} cells")


def _span(cell: Element, name: str) -> int:
    """How many columns or rows a cell spans; an attribute that says nothing goes."""
    value = cell.get(name, "")
    size = int(value) if value.isascii() and value.isdigit() and len(value) < 6 else 1
    if size > MAX_SPAN:
        raise DocumentError(Reason.TOO_LARGE, f"a table's cell with {name} {size}")
    if size < 2:
        cell.attrib.pop(name, None)
    return max(size, 1)


_MENDERS: dict[str, Callable[[Element], None]] = {
    "ltx_missing_citation": _missing_citation,
    "ltx_missing_label": _missing_label,
    "ltx_tag_equation": _equation_number,
    "ltx_tag_equationgroup": _equation_number,
    "ltx_tag_item": _item_label,
    "ltx_tag_bibitem": _reference_label,
    "ltx_title_theorem": _run_in_title,
    "ltx_title_proof": _run_in_title,
    "ltx_title_paragraph": _run_in_title,
    "ltx_title_subparagraph": _run_in_title,
    "ltx_author_notes": _author_note,
    "ltx_dates": _dates,
    "ltx_verbatim": _verbatim,
    "ltx_eqn_div": _equation_block,
    "ltx_tabular": _span_table,
    "ltx_thead": _span_table,
    "ltx_tbody": _span_table,
    "ltx_tfoot": _span_table,
    "ltx_tr": _span_table,
    "ltx_td": _span_table,
    "ltx_float": _float,
    "ltx_bibblock": _bibliography_block,
    "ltx_cite": _strip_ends,
}
_NUMBERED = frozenset({"h1", "h2", "h3", "h4", "h5", "h6", "figcaption"})
