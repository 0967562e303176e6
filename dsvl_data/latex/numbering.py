"""Numbers as the page prints them: matched blocks and pages in, edits of the Markdown out.

LaTeXML counts by itself, and a journal's class may count otherwise ("A." for its "I.1", "TABLE
II." for its "Table 2", no line numbers at all), or the PDF was made of another state of the
source. Where a block is found on a page, what the page prints in the label's place is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from dsvl_data.latex.aligned import AlignedPage
from dsvl_data.latex.article import Article, Block, Kind
from dsvl_data.latex.differences import Edit, Source, row_before
from dsvl_data.latex.matching import Pair
from dsvl_data.latex.pdf_words import CAPTION, FLOAT_NAMES
from dsvl_data.latex.sequences import BlockWords, PdfStream

_NUMBER = r"(?:\d+|[A-Z]{1,4}|[a-z])(?:[.\-–]\d+|[.\-–][A-Z]|[.\-–][a-z](?![a-z]))*"
_NAMES = r"(?:Appendix|APPENDIX|Chapter|CHAPTER|Part|PART|Section|SECTION|§|附录|第)"
_SHOWN = re.compile(rf"(?:{_NAMES}\s*)?{_NUMBER}[.:)]?|{_NAMES}[.:]?")
_HEADING = re.compile(rf"#+ (?P<label>(?:{_NAMES}\s?)?{_NUMBER}[.:)]? |{_NAMES} )")
_RUN_IN = re.compile(r"\*\*(?=[^\W\d_]{2})")
_RUN_IN_LABEL = re.compile(r"(?:\d+(?:\.\d+)*|[a-z]|[ivx]+)[.)]")
_LABEL = re.compile(
    rf"^[\s*_]*(?P<label>(?:{'|'.join(sorted(FLOAT_NAMES, key=len, reverse=True))})[.~\s]*"
    r"(?:[A-Z]?[.\-]?\d+(?:\.\d+)*|[IVXL]+|[A-Z])[.:]?)(?![\w.])",
    re.IGNORECASE | re.MULTILINE,
)
_AFTER_FORMULA = re.compile(r"\\\]\s*\((?P<one>[^()\s]+)\)|^\((?P<two>[^()\s]+)\)\s*\\\[", re.M)
_LINE_NUMBER = re.compile(r"^(?P<label>\d+:)(?: |$)", re.MULTILINE)


def label_edits(
    source: Source, blocks: BlockWords, stream: PdfStream, pairs: Sequence[Pair]
) -> Iterator[Edit]:
    """Labels of headings, captions and lines of algorithms that the pages print otherwise.

    `pairs` tie the blocks' words to places in the stream.
    """
    by_block: dict[int, dict[int, int]] = {}
    for i, j in pairs:
        by_block.setdefault(blocks.block[i], {})[i] = j
    for index, found in by_block.items():
        block = blocks.blocks[index]
        edits: Iterator[tuple[int, int, str, int]] = iter(())
        if block.kind is Kind.HEADING:
            edits = _heading(block, blocks, index, stream, found)
        elif block.kind is Kind.PARAGRAPH and block.markdown.startswith("**"):
            edits = _run_in(block, blocks, index, stream, found)
        elif block.kind is Kind.REFERENCE and block.number:
            edits = _reference(block, blocks, index, stream, found)
        elif block.kind in (Kind.FIGURE, Kind.TABLE) or source is Source.FLOATS:
            edits = _caption(block, blocks, index, stream, found)
        for start, end, text, page in edits:
            yield Edit(source, index, start, end, text, page)
        if block.kind is Kind.ALGORITHM:
            for start, end, text, page in _line_numbers(block, blocks, index, stream, found):
                yield Edit(source, index, start, end, text, page)


def equation_edits(article: Article, pages: Sequence[AlignedPage], stream: PdfStream) -> list[Edit]:
    """Numbers of equations, where text and page have as many of them but others."""
    index_of = {id(block): index for index, block in enumerate(article.flow)}
    edits = []
    for aligned, page in zip(pages, stream.pages, strict=True):
        ours = [
            (index_of[id(part.block)], m)
            for part in aligned.parts
            if part.block.kind is Kind.FORMULA and part.start == 0
            for m in _AFTER_FORMULA.finditer(part.block.markdown)
        ]
        if len(ours) != len(page.equations):
            continue
        for (index, m), shown in zip(ours, page.equations, strict=True):
            group = m.lastgroup or "one"
            if m.group(group) != shown:
                start, end = m.span(group)
                edits.append(Edit(Source.FLOW, index, start, end, shown, aligned.number))
    return edits


def footnote_edits(
    article: Article, notes: BlockWords, stream: PdfStream, pairs: Sequence[Pair]
) -> Iterator[Edit]:
    """Other marks of footnotes, below and in the text: LaTeXML counts the thanks too."""
    first = {notes.block[i]: j for i, j in reversed(pairs) if i == notes.first[notes.block[i]]}
    marked: set[tuple[int, int]] = set()
    for index, place in first.items():
        block = notes.blocks[index]
        label = _NOTE_LABEL.match(block.markdown)
        if label is None or not 0 <= block.anchor < len(article.flow):
            continue
        word = stream.pages[stream.page[place]].words[stream.word[place]].text
        fused = _NOTE_MARK.match(word)
        shown = fused.group() if fused else row_before(stream, place)[0]
        mark = label.group(1)
        raised = re.compile(rf"(?<![{_RAISED}]){mark.translate(_RAISE)}(?![{_RAISED}])")
        calls = [
            m
            for m in raised.finditer(article.flow[block.anchor].markdown)
            if (block.anchor, m.start()) not in marked
        ]
        if not _NOTE_MARK.fullmatch(shown) or not calls:
            continue
        page, call = stream.page[place], calls[0]
        marked.add((block.anchor, call.start()))
        if shown != mark:
            yield Edit(Source.FOOTNOTES, index, *label.span(1), shown, page)
            new = shown.translate(_RAISE)
            yield Edit(Source.FLOW, block.anchor, call.start(), call.end(), new, page)


_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_RAISE = str.maketrans("0123456789", _RAISED)
_NOTE_LABEL = re.compile(r"Footnote (\d+):")
_NOTE_MARK = re.compile(r"\d{1,3}(?![\d.,])|[*∗†‡§¶‖#]{1,3}")

_Change = tuple[int, int, str, int]


def _heading(
    block: Block, blocks: BlockWords, index: int, stream: PdfStream, found: Mapping[int, int]
) -> Iterator[_Change]:
    m = _HEADING.match(block.markdown)
    numbered = m is not None and (block.number != "" or not m.group("label")[0].isalpha())
    title = m.end() if m is not None and numbered else block.markdown.find(" ") + 1
    place = _first(blocks, index, title, found)
    if place is None:
        return
    shown, above = row_before(stream, place)
    if (shown and not _SHOWN.fullmatch(shown)) or (not shown and _SHOWN.fullmatch(above)):
        return
    start, page = block.markdown.find(" ") + 1, stream.page[place]
    written = block.markdown[start:title].strip()
    if shown and not numbered and not re.search(r"\d|^[A-Z]+[.:]?$", shown):
        return
    if written.rstrip(".:") != shown.rstrip(".:"):
        yield start, title, f"{shown} " if shown else "", page


def _run_in(
    block: Block, blocks: BlockWords, index: int, stream: PdfStream, found: Mapping[int, int]
) -> Iterator[_Change]:
    """A paragraph's own title has a number in some styles, which LaTeXML leaves out."""
    m = _RUN_IN.match(block.markdown)
    place = _first(blocks, index, m.end(), found) if m else None
    if m is None or place is None:
        return
    shown, _ = row_before(stream, place)
    if _RUN_IN_LABEL.fullmatch(shown):
        yield m.end(), m.end(), f"{shown} ", stream.page[place]


def _reference(
    block: Block, blocks: BlockWords, index: int, stream: PdfStream, found: Mapping[int, int]
) -> Iterator[_Change]:
    """The label of a bibliography's item, where the page shows none of it."""
    start = block.markdown.find(block.number)
    end = start + len(block.number)
    labels = [i for i in range(*blocks.first[index : index + 2]) if blocks.words[i].start < end]
    place = _first(blocks, index, end, found)
    if not 0 <= start <= 4 or "[" in block.markdown[:start] or place is None:
        return
    if any(i in found for i in labels):
        return
    shown, _ = row_before(stream, place)
    if not shown:
        yield start, end + block.markdown[end:].startswith(" "), "", stream.page[place]
    elif _REFERENCE_LABEL.fullmatch(shown):
        yield start, end, shown, stream.page[place]


_REFERENCE_LABEL = re.compile(r"\[[^\[\]]+\]|\(\d+\)|\d+\.?")


def _caption(
    block: Block, blocks: BlockWords, index: int, stream: PdfStream, found: Mapping[int, int]
) -> Iterator[_Change]:
    labels = list(_LABEL.finditer(block.markdown))
    if len(labels) != 1:
        return  # of parts with captions of their own it is not known which is which
    start, end = labels[0].span("label")
    best, label, page = 0, "", -1
    following = [(i, j) for i, j in found.items() if blocks.words[i].start >= end][:12]
    for number in sorted({stream.page[j] for _, j in following}):
        page_ = stream.pages[number]
        for caption in page_.captions:
            m = CAPTION.match(page_.lines[caption.line].text)
            if m is None:
                continue
            # A label on a line of its own stands above its caption.
            line = caption.line + (m.end() == len(page_.lines[caption.line].text))
            near = sum(stream.page[j] == number and stream.line[j] == line for _, j in following)
            if near > best:
                best, label, page = near, m.group().strip(), number
    if best and _letters(label) != _letters(labels[0].group("label")):
        yield start, end, label, page


def _line_numbers(
    block: Block, blocks: BlockWords, index: int, stream: PdfStream, found: Mapping[int, int]
) -> Iterator[_Change]:
    """The numbers of an algorithm's lines; where the page has none, none."""
    marks = list(_LINE_NUMBER.finditer(block.markdown))
    bounds = [*(m.start() for m in marks), len(block.markdown)]
    shown: list[tuple[str | None, int]] = []
    for m, (_, end) in zip(marks, pairwise(bounds), strict=True):
        place = _first(blocks, index, m.end(), found, end)
        if place is None:
            shown.append((None, -1))
            continue
        before, _ = row_before(stream, place)
        plain = before == "" or re.fullmatch(r"\d+[:.]?", before)
        shown.append((before if plain else None, stream.page[place]))
    known = [label for label, _ in shown if label is not None]
    if not known or len(known) < 0.5 * len(shown):
        return
    page = max(page for _, page in shown)
    bare = sum(label == "" for label in known)
    for m, (_, line_end), (label, where) in zip(marks, pairwise(bounds), shown, strict=True):
        body = block.markdown[m.end() : line_end]
        if not body.strip() and label is None and not _found_at(m.start(), blocks, index, found):
            yield m.start(), line_end, "", page  # LaTeXML's own, behind the last line
            continue
        text = label if label is not None else "" if bare > 0.5 * len(known) else m.group("label")
        if text != m.group("label"):
            start, end = m.span("label")
            yield start, end + (text == "" and end < m.end()), text, where if where >= 0 else page


def _first(
    blocks: BlockWords, index: int, start: int, found: Mapping[int, int], end: int | None = None
) -> int | None:
    """The place of the first word behind `start`, if it has one."""
    for i in range(blocks.first[index], blocks.first[index + 1]):
        if blocks.words[i].start >= start:
            inside = end is None or blocks.words[i].start < end
            return found.get(i) if inside else None
    return None


def _found_at(start: int, blocks: BlockWords, index: int, found: Mapping[int, int]) -> bool:
    """Whether the word that starts at a place of the Markdown is on the page."""
    words = range(blocks.first[index], blocks.first[index + 1])
    return any(blocks.words[i].start == start and i in found for i in words)


def _letters(text: str) -> str:
    return re.sub(r"\W", "", text).casefold()
