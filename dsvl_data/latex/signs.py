"""Signs between words as the page prints them: matched blocks and pages in, edits out.

Words and numbers match whatever stands around them. LaTeXML writes "[1]" for every citation by
number, where many journals raise the bare number; and it writes the "<" of the source, which TeX's
oldest encoding of fonts prints as "¡".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from dsvl_data.latex.article import Kind
from dsvl_data.latex.differences import Edit, Source
from dsvl_data.latex.matching import Pair
from dsvl_data.latex.sequences import BlockWords, PdfStream

_CITED = re.compile(r"\[(\d+(?:\s*[,–\-]\s*\d+)*)\]")
_BARE = re.compile(r"\d+(?:\s*[,–\-]\s*\d+)*")
_RAISE = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_PRINTED = {"<": "¡", ">": "¿"}
_TEXT = frozenset(
    (Kind.TITLE, Kind.HEADING, Kind.PARAGRAPH, Kind.ITEM, Kind.FOOTNOTE, Kind.FIGURE, Kind.TABLE)
)


def sign_edits(
    source: Source, blocks: BlockWords, stream: PdfStream, pairs: Sequence[Pair]
) -> Iterator[Edit]:
    """Citations without brackets, and signs that the page's font prints as others."""
    yield from _citations(source, blocks, stream, dict(pairs))
    yield from _misprints(source, blocks, stream, pairs)


def _citations(
    source: Source, blocks: BlockWords, stream: PdfStream, found: dict[int, int]
) -> Iterator[Edit]:
    for index, block in enumerate(blocks.blocks):
        if block.kind not in _TEXT or "[" not in block.markdown:
            continue
        words = range(blocks.first[index], blocks.first[index + 1])
        for m in _CITED.finditer(block.markdown):
            inside = [i for i in words if m.start() <= blocks.words[i].start < m.end()]
            places = [found[i] for i in inside if i in found and not blocks.words[i].opaque]
            if not places or len(places) != len(inside):
                continue
            low, high = places[0], places[-1]
            if high - low != len(places) - 1 or stream.page[low] != stream.page[high]:
                continue
            change = _without_brackets(block.markdown, m, stream.shown(low, high + 1))
            if change is not None:
                yield Edit(source, index, *change, stream.page[low])


def _without_brackets(text: str, cited: re.Match[str], shown: str) -> tuple[int, int, str] | None:
    """How to write a citation whose page has the words `shown` there; None: as it is."""
    digits = re.findall(r"\d+", cited[1])
    numbers = [m for m in _BARE.finditer(shown) if re.findall(r"\d+", m.group()) == digits]
    if len(numbers) != 1 or set("[](){}") & set(shown[numbers[0].end() :][:1]):
        return None
    before, bare = shown[: numbers[0].start()], numbers[0].group()
    start, end = cited.span()
    if not before:
        return start, end, bare
    if not (before[-1].isalpha() or before[-1] in ".,;:!?”’\"'"):
        return None
    raised = re.sub(r"\s", "", bare).translate(_RAISE)
    start -= len(text[:start]) - len(text[:start].rstrip(" ~"))
    if not before[-1].isalpha() and text[end : end + 1] == before[-1] != text[start - 1 : start]:
        return start, end + 1, before[-1] + raised  # the page has the stop before its number
    return start, end, raised


def _misprints(
    source: Source, blocks: BlockWords, stream: PdfStream, pairs: Sequence[Pair]
) -> Iterator[Edit]:
    for (i, j), (a, b) in pairwise(pairs):
        index = blocks.block[i]
        if a != i + 1 or b != j + 1 or blocks.block[a] != index or stream.page[j] != stream.page[b]:
            continue
        block = blocks.blocks[index]
        start, end = blocks.words[i].end, blocks.words[a].start
        signs = [k for k in range(start, end) if block.markdown[k] in _PRINTED]
        if len(signs) != 1 or block.kind not in _TEXT or "\\" in block.markdown[start:end]:
            continue
        sign = block.markdown[signs[0]]
        words = stream.pages[stream.page[j]].words[stream.word[j] : stream.word[b] + 1]
        shown = " ".join(word.text for word in words)  # with those that have no letter
        if _PRINTED[sign] in shown and sign not in shown:
            yield Edit(source, index, signs[0], signs[0] + 1, _PRINTED[sign], stream.page[j])
