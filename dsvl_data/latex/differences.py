"""Where an aligned text and its page disagree: matches in, differences and mended citations out.

A difference lies between two words that both sides share, on one page. LaTeXML resolves
citations itself and may do it in another style than the journal's: there the page is right.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from dsvl_data.latex.article import Article, Block, Kind
from dsvl_data.latex.matching import Pair
from dsvl_data.latex.sequences import BlockWords, PdfStream
from dsvl_data.latex.words import split_words

_MOST_WORDS = 16  # a longer disagreement is missing text, not another spelling


class Source(StrEnum):
    """The field of `Article` that a block stands in."""

    FLOW = "flow"
    FLOATS = "floats"
    FOOTNOTES = "footnotes"


@dataclass(frozen=True, slots=True)
class Difference:
    """`block.markdown[start:end]` is `written`, where page `page` has `shown` instead.

    The block is number `index` of the article's `source`. Either text may be empty.
    """

    source: Source
    index: int
    block: Block
    start: int
    end: int
    page: int
    shown: str

    @property
    def written(self) -> str:
        """What the Markdown has."""
        return self.block.markdown[self.start : self.end]


def differences(
    source: Source, blocks: BlockWords, stream: PdfStream, pairs: Sequence[Pair]
) -> Iterator[Difference]:
    """The differences between neighbouring matches; words in formulas are no difference."""
    for (i, j), (a, b) in pairwise(pairs):
        if not (a - i > 1 or (b - j > 1 and blocks.blocks[blocks.block[a]].kind is Kind.HEADING)):
            continue
        if not 0 < b - j <= _MOST_WORDS or stream.page[j] != stream.page[b]:
            continue
        shown = stream.shown(j + 1, b)
        by_block: dict[int, list[int]] = {}
        for k in range(i + 1, a):
            if not blocks.words[k].opaque:
                by_block.setdefault(blocks.block[k], []).append(k)
        heading = blocks.block[a]
        if not by_block and b - j > 1 and blocks.block[i] != heading:
            start = blocks.words[a].start
            yield Difference(
                source, heading, blocks.blocks[heading], start, start, stream.page[b], shown
            )
        for index, words in by_block.items():
            if len(words) <= _MOST_WORDS:
                yield Difference(
                    source,
                    index,
                    blocks.blocks[index],
                    blocks.words[words[0]].start,
                    blocks.words[words[-1]].end,
                    stream.page[b],
                    shown,
                )


_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d[a-z]?\b")
_NUMBERS = re.compile(r"\[\d+[a-z]?(?:\s*[,;–\-]\s*\d+[a-z]?)*\]")
_NAMES = re.compile(r"[\[(]?[A-Z][\w'’\-]+.*?(?:1[5-9]|20)\d\d[a-z]?[\])]{0,2}", re.DOTALL)


def mend(article: Article, found: Sequence[Difference]) -> tuple[Article, Counter[int]]:
    """The article with citations and headings' numbers as the PDF prints them.

    Also returns how many were mended on each page.
    """
    edits: dict[tuple[Source, int], list[tuple[int, int, str]]] = {}
    mended: Counter[int] = Counter()
    for difference in found:
        edit = _mended(difference)
        if edit is not None:
            edits.setdefault((difference.source, difference.index), []).append(edit)
            mended[difference.page] += 1
    if not edits:
        return article, mended
    fields: dict[Source, list[Block]] = {
        Source.FLOW: list(article.flow),
        Source.FLOATS: list(article.floats),
        Source.FOOTNOTES: list(article.footnotes),
    }
    for (source, index), changes in edits.items():
        block = fields[source][index]
        text = block.markdown
        for start, end, shown in sorted(changes, reverse=True):
            text = text[:start] + shown + text[end:]
        fields[source][index] = replace(block, markdown=text)
    return Article(*(tuple(fields[source]) for source in Source)), mended


def is_citation(text: str) -> bool:
    """Whether a text looks like a citation, in numbers or with names and a year."""
    return _NUMBERS.search(text) is not None or (
        _YEAR.search(text) is not None and re.search(r"[A-Z][^\W\d_]", text) is not None
    )


def _mended(difference: Difference) -> tuple[int, int, str] | None:
    """How to mend a citation or a number in another style: start, end, new text."""
    text, start, end = difference.block.markdown, difference.start, difference.end
    if difference.block.kind is Kind.REFERENCE and start <= len(difference.block.number):
        return _reference_label(difference)
    if difference.block.kind is Kind.HEADING:
        return _heading_number(difference)
    if difference.block.kind in (Kind.TITLE, Kind.CODE) or "\n" in text[start:end]:
        return None
    # The brackets that hold it belong to it.
    while start > 0 and text[start - 1] in "([" and text[start - 1 : start + 1] != "](":
        start -= 1
    while end < len(text) and text[end] in ")]" and _unbalanced(text[start:end]):
        end += 1
    written = text[start:end]
    if "\\" in written:
        return None
    numbers, names = _NUMBERS.search(difference.shown), _NAMES.search(difference.shown)
    if numbers and _YEAR.search(written) and not _NUMBERS.search(written):
        return start, end, numbers.group()
    if names and _NUMBERS.fullmatch(written):
        return start, end, _balanced(names.group(), difference.shown[names.end() :])
    return None


def _heading_number(difference: Difference) -> tuple[int, int, str] | None:
    """Some styles print less of a heading's number than LaTeXML: "E." of "IV-E"."""
    written, shown = difference.written, difference.shown.strip()
    if not shown and re.fullmatch(r"Appendix|Chapter|Part|Section", written):
        return difference.start, difference.end + 1, ""
    part = shown.rstrip(".)")
    if part and written != part and re.search(rf"(?<![^\W_]){re.escape(part)}$", written):
        return difference.start, difference.end, shown
    return None


def _reference_label(difference: Difference) -> tuple[int, int, str] | None:
    """The label of a bibliography's item: the style may print a number instead, or nothing."""
    label, text = difference.block.number, difference.block.markdown
    start = text.find(label) if label else -1
    if not 0 <= start <= 4 or difference.end > start + len(label) or "[" in text[:start]:
        return None
    shown = difference.shown.strip()
    if shown and not re.fullmatch(r"\[[^\[\]]+\]|\d+\.", shown):
        return None
    if len(split_words(label)) > len(split_words(difference.written)):
        return None  # some of the label's words are there
    end = start + len(label)
    return (start, end, shown) if shown else (start, end + text[end:].startswith(" "), "")


def _unbalanced(text: str) -> bool:
    return text.count("(") > text.count(")") or text.count("[") > text.count("]")


def _balanced(text: str, following: str) -> str:
    while _unbalanced(text) and following[:1] in {")", "]"}:
        text, following = text + following[0], following[1:]
    return text
