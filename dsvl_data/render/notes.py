"""Find the footnotes of a document: which links refer to notes, which elements are notes.

In: a parsed document. Out: `Notes`, by element. Known forms: EPUB 3 (`epub:type`, `role`),
DocBook, Sphinx and docutils old and new, pandoc, and the plain form most books have: a small
number that links to a paragraph which starts with that number and links back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lxml import etree

from dsvl_data.render.parse import attribute, is_plain, name_of, text_of

Element = etree._Element

_REFERENCE_TYPES = frozenset(("noteref", "doc-noteref"))
_NOTE_TYPES = frozenset(("footnote", "endnote", "rearnote", "doc-footnote", "doc-endnote"))
_NOTE_LIST_TYPES = frozenset(("footnotes", "doc-endnotes"))
_BACKLINK_TYPES = frozenset(("backlink", "doc-backlink", "referrer"))
_REFERENCE_CLASSES = frozenset(
    ("footnote-reference", "footnote-ref", "footnote_ref", "footnoteref", "noteref", "fnref")
)
_NOTE_CLASSES = frozenset(("footnote", "endnote", "rearnote", "fn"))
_BACKLINK_CLASSES = frozenset(
    ("fn-backref", "footnote-back", "footnote-backref", "backlink", "backref", "reversefootnote")
)
_NOTHING: frozenset[str] = frozenset()
_BRACKETS = " \t\r\n\u00a0[](){}.:：〔〕【】（）［］"
_LABEL = re.compile(
    r"(?:\d{1,4}|[*†‡§¶#]{1,4}|[a-z]|[ivxl]{1,6}|[①-⑳]|注\d*|註\d*)\Z", re.IGNORECASE
)
_ARROWS = frozenset("↩↑^⏎←⤴↵\ufe0e\ufe0f ")
_BLOCKS = frozenset(("p", "li", "div", "dd", "td", "aside", "section", "dt", "blockquote"))
_LEADING = re.compile(r"^[\s\u00a0]*[\])）.:：、]?[\s\u00a0]*")


@dataclass
class Notes:
    """What a document's links and notes are; elements not named here are ordinary.

    `references` and `notes` give the label. `hidden` are the elements that repeat a note's label
    or lead back from it, and rules that only set notes off.
    """

    references: dict[Element, str] = field(default_factory=dict)
    notes: dict[Element, str] = field(default_factory=dict)
    hidden: set[Element] = field(default_factory=set)


def find_notes(root: Element, name: str = "") -> Notes:
    """Find the references and notes of the document `root`, whose own file name is `name`.

    Changes no element but for what follows a note's own label (`1. Text` becomes `Text`, since
    the label is written elsewhere).
    """
    order = {element: i for i, element in enumerate(root.iter())}
    marked = [element for element in order if element.keys()]
    ids = {element.get("id"): element for element in marked if element.get("id")}
    notes = Notes()
    targets: dict[Element, str] = {}  # notes, by the label of their first reference
    anchors: set[str] = set()
    for link in [element for element in marked if name_of(element) == "a"]:
        block = _note_block(ids.get(_fragment(link, name)))
        says_so = _types(link) & _REFERENCE_TYPES or _classes(link) & _REFERENCE_CLASSES
        if block is None and not says_so:  # as most links are
            continue
        label = _label_of(link)
        if label is None or _is_backlink(link):
            continue
        if not says_so and not _looks_like_reference(link, block, label, order):
            continue
        reference = _widest(link)
        notes.references[reference] = label
        anchors.update(_ids(link, reference))
        if block is not None:
            targets.setdefault(block, label)
    for element in marked:
        if _is_note(element) and element not in targets:
            targets[element] = ""
    _drop_outer(targets)
    in_order = sorted(targets.items(), key=lambda item: order[item[0]])
    for position, (block, label) in enumerate(in_order, 1):
        _collect(block, label, position, anchors, notes, name)
    if notes.notes:
        for element in marked:
            if "footnotes" in _classes(element) or _types(element) & _NOTE_LIST_TYPES:
                notes.hidden.update(child for child in element if name_of(child) in ("hr", "br"))
    return notes


def _collect(
    block: Element, label: str, position: int, anchors: set[str], notes: Notes, name: str
) -> None:
    own = _own_label(block)
    if own is not None:
        element, text = own
        label = label or text
        if element not in notes.references:
            notes.hidden.add(element)
            _trim_after(element)
    for link in block.iter():
        if name_of(link) == "a" and link not in notes.references:
            back = _fragment(link, name) in anchors or _is_backlink(link)
            text = text_of(link).strip(_BRACKETS)
            if back and (_LABEL.match(text) or not text or set(text) <= _ARROWS):
                widest = _widest(link)
                notes.hidden.add(widest)
                if not _text_before(block, widest):
                    label = label or text
                    _trim_after(widest)
    label = label or _item_number(block) or str(position)
    notes.notes[block] = label
    _trim_label(block, label, notes.hidden)


def _trim_label(block: Element, label: str, hidden: set[Element]) -> None:
    """Take the label from the start of a note that has it as plain text: `* Text`."""
    for element in block.iter():
        if any(parent in hidden for parent in (element, *element.iterancestors())):
            return
        if element.text and element.text.strip():
            pattern = rf"\s*[\[(（〔【［]?{re.escape(label)}(?:[\])）〕】］.:：、]+\s*|[\s\u00a0]+)"
            element.text = re.sub(rf"\A{pattern}", "", element.text)
            return
        if element is not block and element.tail and element.tail.strip():
            return


def _looks_like_reference(
    link: Element, block: Element | None, label: str, order: dict[Element, int]
) -> bool:
    if block is None or not _LABEL.match(label) or order[block] < order[link]:
        return False  # a note comes after its reference: this one leads back from it
    if "footnote" in _classes(link) or _is_note(block):
        return True
    # The plain form: raised or in brackets, and the target starts with the same label.
    around = [name_of(e) for e in (link, link.getparent(), *link) if e is not None]
    raised = "sup" in around or text_of(link).strip()[:1] in {*"[〔【（［"}
    start = text_of(block).strip(_BRACKETS)
    if not raised or len(start) <= len(label):
        return False
    return start.startswith(label) or _item_number(block) == label


def _item_number(block: Element) -> str:
    """The number that a list shows before one of its items; empty for anything else."""
    parent = block.getparent()
    if parent is None or name_of(block) != "li" or name_of(parent) != "ol":
        return ""
    items = [child for child in parent if name_of(child) == "li"]
    start = parent.get("start", "1")
    return str(items.index(block) + int(start)) if re.match(r"\d{1,6}\Z", start) else ""


def _is_note(element: Element) -> bool:
    name = name_of(element)
    if _types(element) & _NOTE_TYPES:
        return name not in ("a", "section", "body", "ol", "ul")
    if not _classes(element) & _NOTE_CLASSES:
        return False
    # docutils: `dl.footnote` and `table.footnote` hold notes; the note is one of their children.
    return name in ("div", "aside", "li", "p", "dd")


def _note_block(target: Element | None) -> Element | None:
    """The block that a link's target stands for; None when it is no part of the text."""
    if target is not None and name_of(target) in ("table", "tr"):  # old docutils
        cells = [element for element in target.iter() if name_of(element) == "td"]
        return cells[-1] if cells else None
    while target is not None and name_of(target) not in _BLOCKS:
        target = target.getparent()
    if target is not None and name_of(target) == "dt":
        target = target.getnext()
    return target


def _own_label(block: Element) -> tuple[Element, str] | None:
    """Where a note gives its own label, for forms that set it apart."""
    before = block.getprevious()
    if before is not None and (name_of(before) == "dt" or "label" in _classes(before)):
        match = re.search(r"[\w*†‡§]+", text_of(before))
        return before, match.group() if match else ""
    for child in block:
        if "label" in _classes(child):
            text = text_of(child)
            return child, text.strip(_BRACKETS)
    return None


def _widest(link: Element) -> Element:
    """The outermost inline element that shows the link and, but for brackets, nothing else."""
    element = link
    text = text_of(link).strip(_BRACKETS)
    while (parent := element.getparent()) is not None:
        if name_of(parent) not in ("sup", "span", "small"):
            break
        if text_of(parent).strip(_BRACKETS) != text:
            break
        element = parent
    return element


def _trim_after(element: Element) -> None:
    if element.tail:
        element.tail = _LEADING.sub("", element.tail)


def _text_before(block: Element, element: Element) -> bool:
    """Whether the note says something before `element`."""
    for event, node in etree.iterwalk(block, events=("start", "end")):
        if node is element:
            return False
        text = node.text if event == "start" else (node.tail if node is not block else None)
        if text and text.strip(_BRACKETS):
            return True
    return False


def _drop_outer(targets: dict[Element, str]) -> None:
    """Of notes within notes keep the inner ones: the outer one holds them all."""
    for element in list(targets):
        for parent in element.iterancestors():
            if parent in targets:
                label = targets.pop(parent)
                targets[element] = targets[element] or label


def _label_of(link: Element) -> str | None:
    label = text_of(link).strip(_BRACKETS)
    return label if 0 < len(label) <= 12 else None


def _is_backlink(link: Element) -> bool:
    return bool(_types(link) & _BACKLINK_TYPES or _classes(link) & _BACKLINK_CLASSES)


def _fragment(link: Element, name: str) -> str:
    """The id within this document that a link leads to; empty when it leads elsewhere."""
    path, _, fragment = attribute(link, "href").partition("#")
    return fragment if not path or path.rpartition("/")[2] == name else ""


def _ids(*elements: Element) -> list[str]:
    return [element.get("id", "") for element in elements if element.get("id")]


def _classes(element: Element) -> frozenset[str]:
    return _words(element.get("class", ""))


def _types(element: Element) -> frozenset[str]:
    if is_plain(element):
        return _NOTHING
    return _words(attribute(element, "type")) | _words(attribute(element, "role"))


def _words(value: str) -> frozenset[str]:
    return frozenset(value.lower().split()) if value else _NOTHING
