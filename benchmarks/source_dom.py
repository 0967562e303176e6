"""What a book's own pages say, before any cleaning: the truth that the whole way is held to.

In: a parsed chapter as `read.epub` gives it. Out: its visible characters in order, without
what is left out on purpose, which is counted by kind; and how many of them another text has.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from dsvl_data.outcome import DocumentError
from dsvl_data.read.epub import open_epub
from dsvl_data.render.flow import visible
from dsvl_data.render.notes import Notes, find_notes
from dsvl_data.render.parse import name_of, text_of
from dsvl_data.render.traits import DROPPED, LINE_NUMBERS, classes_of, is_hidden

#: Never seen by a reader, so never counted.
_UNSEEN = frozenset({"head", "script", "style", "title", "template", "rp"})
_ANNOTATIONS = frozenset({"annotation", "annotation-xml"})


@dataclass(slots=True)
class Source:
    """The visible characters of a body, and how many were left out of it on purpose, by kind."""

    text: str = ""
    left_out: Counter[str] = field(default_factory=Counter)


def read_sources(folder: Path) -> dict[str, Source]:
    """Return the sources of all chapters of all books, by the names that `load_jobs` gives."""
    sources = {}
    for path in sorted((folder / "ebooks").glob("*.epub")):
        book = open_epub(path.read_bytes())
        for item in book.spine:
            try:
                chapter = book.chapter(item)
            except DocumentError:
                continue
            source = read_source(chapter.root, item.name.rpartition("/")[2])
            if chapter.navigation:
                kind = "pages of contents, cover or index"
                source = Source("", Counter({kind: len(source.text)}))
            sources[f"{path.stem}/{item.name}"] = source
    return sources


def read_source(root: etree._Element, name: str) -> Source:
    """Read the body of a document called `name`. Changes `root`."""
    body = next((element for element in root.iter() if name_of(element) == "body"), root)
    before = {element: (element.text, element.tail) for element in body.iter()}
    # The search for notes also trims their labels and brackets away: what is gone is counted.
    notes = find_notes(root, name)
    source = Source()
    pieces: list[str] = []
    for element, (text, tail) in before.items():
        gone = _seen(text) + _seen(tail) - _seen(element.text) - _seen(element.tail)
        if gone and not any(parent in notes.hidden for parent in element.iterancestors()):
            source.left_out["labels and brackets of notes, written anew"] += gone
    _walk(body, notes, source, pieces)
    source.text = visible(unicodedata.normalize("NFC", "".join(pieces)))
    return source


def common(first: str, second: str) -> int:
    """Length of the longest sequence of characters that both have in this order."""
    masks: dict[str, int] = {}
    for index, character in enumerate(first):
        masks[character] = masks.get(character, 0) | 1 << index
    everything = (1 << len(first)) - 1
    # One row of the usual table at a time, a bit a character: 0 where the length grows.
    row = everything
    for character in second:
        matches = row & masks.get(character, 0)
        row = ((row + matches) | (row - matches)) & everything
    return len(first) - row.bit_count()


def _walk(element: etree._Element, notes: Notes, source: Source, pieces: list[str]) -> None:
    pieces.append(element.text or "")
    for child in element:
        kind = _left_out(child, notes)
        if child in notes.references:
            label = notes.references[child]
            pieces.append(label)
            brackets = _seen(text_of(child)) - _seen(label)
            source.left_out["labels and brackets of notes, written anew"] += brackets
        elif kind is None:
            _walk(child, notes, source, pieces)
        elif kind:
            source.left_out[kind] += _seen(text_of(child))
        pieces.append(child.tail or "")


def _left_out(element: etree._Element, notes: Notes) -> str | None:
    """Why an element's text is left out; empty for what nobody sees, None for what stays."""
    name = name_of(element)
    if not name or name in _UNSEEN:
        return ""
    if element in notes.hidden:
        return "labels and brackets of notes, written anew"
    if classes_of(element) & LINE_NUMBERS:
        return "numbers of code lines"
    if name in _ANNOTATIONS:
        return "other forms of formulas"
    if name == "svg":
        return "words in drawings, which are pictures"
    if name in DROPPED:
        return "controls and media"
    return "what the book hides" if is_hidden(element, name) else None


def _seen(text: str | None) -> int:
    return len(visible(text or ""))
