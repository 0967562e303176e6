"""Both sides of an alignment as flat arrays: article and pages in, numbered words out.

A word's id is the same on both sides; the PDF's words that the article has nowhere share the
id -1, which matches nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from dsvl_data.latex.article import Block
from dsvl_data.latex.matching import Ids
from dsvl_data.latex.pdf_lines import Zone
from dsvl_data.latex.pdf_words import PdfPage
from dsvl_data.latex.words import MarkdownWord, key_of, markdown_words, split_words

UNKNOWN = -1

_BOLD = re.compile(r"Bold|Black|Heavy|Demi|CMBX|SFBX|CMSSBX|Medi(?!um)|-B$", re.IGNORECASE)


@dataclass(slots=True)
class Vocabulary:
    """Ids of keys; only the article's words are given one."""

    ids: dict[str, int] = field(default_factory=dict)

    def add(self, key: str) -> int:
        """The id of a key, a new one for a new key; the empty key has none."""
        return self.ids.setdefault(key, len(self.ids)) if key else UNKNOWN

    def find(self, key: str) -> int:
        """The id of a key, `UNKNOWN` where the article does not have it."""
        return self.ids.get(key, UNKNOWN)


@dataclass(frozen=True, slots=True)
class BlockWords:
    """Some blocks' words in one row; `block[i]` is the index of the block of word i."""

    blocks: Sequence[Block]
    words: list[MarkdownWord]
    ids: Ids
    block: list[int]
    first: list[int]  # of each block, the index of its first word; one entry more at the end
    weights: list[float]


def block_words(blocks: Sequence[Block], vocabulary: Vocabulary) -> BlockWords:
    """Number the words of blocks."""
    words: list[MarkdownWord] = []
    of_block: list[int] = []
    first = [0]
    for index, block in enumerate(blocks):
        words.extend(markdown_words(block))
        of_block.extend([index] * (len(words) - len(of_block)))
        first.append(len(words))
    ids = np.array([vocabulary.add(word.key) for word in words], dtype=np.int64)
    return BlockWords(blocks, words, ids, of_block, first, [_weight(word) for word in words])


def _weight(word: MarkdownWord) -> float:
    """How much a match of the word says: an article or a digit matches anywhere."""
    if word.opaque:
        return 0.3
    if len(word.key) <= 3:
        return 0.5
    return 1.0


@dataclass(frozen=True, slots=True)
class PdfStream:
    """All pages' words in one row, in reading order.

    `word[j]` is the index of word j in its page's `words` (several may share one: "3.14" is
    two), `breaks[j]` says that a line starts at j, `prose[j]` that a text with the page's words
    must have it: no formula, no digits, no single letter; `small[j]` that its line is set smaller
    than the document's text, `strong[j]` that it is larger or bolder, as headings are.
    """

    pages: Sequence[PdfPage]
    keys: list[str]
    ids: Ids
    page: list[int]
    word: list[int]
    line: list[int]
    zone: list[Zone]
    breaks: list[bool]
    prose: list[bool]
    small: list[bool]
    strong: list[bool]
    first: list[int]  # of each page, the index of its first word; one entry more at the end

    def shown(self, start: int, end: int) -> str:
        """The text of the words `start` to `end` (without), as their page shows it."""
        texts = []
        last = (-1, -1)
        for j in range(start, end):
            if (here := (self.page[j], self.word[j])) != last:
                texts.append(self.pages[here[0]].words[here[1]].text)
                last = here
        return " ".join(texts)


def pdf_stream(pages: Sequence[PdfPage], vocabulary: Vocabulary) -> PdfStream:
    """Number the words of pages."""
    keys: list[str] = []
    page_of: list[int] = []
    word_of: list[int] = []
    line_of: list[int] = []
    zone_of: list[Zone] = []
    breaks: list[bool] = []
    prose: list[bool] = []
    small: list[bool] = []
    strong: list[bool] = []
    types = Counter(
        (round(line.size, 1), line.font)
        for page in pages
        for line in page.lines
        for _ in line.text.split()
    )
    sizes: Counter[float] = Counter()
    for (size, _), count in types.items():
        sizes[size] += count
    body_size = sizes.most_common(1)[0][0] if sizes else 0.0
    body_font = types.most_common(1)[0][0][1] if types else ""
    bold_body = _BOLD.search(body_font) is not None
    first = [0]
    for number, page in enumerate(pages):
        line = -1
        for index, word in enumerate(page.words):
            for key, _, _ in split_words(word.text):
                keys.append(key)
                page_of.append(number)
                word_of.append(index)
                line_of.append(word.line)
                zone_of.append(page.lines[word.line].zone)
                breaks.append(word.line != line)
                prose.append(not word.math and _must_appear(key))
                shown = page.lines[word.line]
                small.append(shown.size < body_size - 0.6)
                bold = not bold_body and _BOLD.search(shown.font) is not None
                strong.append(
                    shown.size > body_size + 0.8 or (bold and shown.size > body_size - 0.6)
                )
                line = word.line
        first.append(len(keys))
    breaks.append(True)
    ids = np.array([vocabulary.find(key) for key in keys], dtype=np.int64)
    return PdfStream(
        pages, keys, ids, page_of, word_of, line_of, zone_of, breaks, prose, small, strong, first
    )


def _must_appear(key: str) -> bool:
    return key.isalpha() and (len(key) > 1 or key >= "\u3005")


def join_broken(
    stream: PdfStream, rest: Iterable[int], vocabulary: Vocabulary
) -> tuple[list[int], Ids, dict[int, int]]:
    """Join words that a hyphen breaks over columns or pages, where the article has the whole.

    `rest` are the words left for the flow (indices into the stream). Returns those without the
    second halves, their ids, and of each joined word the place of its second half.
    """
    kept: list[int] = []
    ids: list[int] = []
    halves: dict[int, int] = {}
    for j in rest:
        if kept:
            last = kept[-1]
            apart = stream.page[last] != stream.page[j] or stream.line[last] != stream.line[j]
            if apart and last not in halves and stream.keys[j].isalpha():
                text = stream.pages[stream.page[last]].words[stream.word[last]].text
                whole = vocabulary.find(stream.keys[last] + stream.keys[j])
                if text[-1] in "-\u2010\u00ad" and whole != UNKNOWN and key_of(text[-2:-1]):
                    halves[last] = j
                    ids[-1] = whole
                    continue
        kept.append(j)
        ids.append(int(stream.ids[j]))
    return kept, np.array(ids, dtype=np.int64), halves
