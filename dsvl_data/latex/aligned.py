"""A page of an alignment: parts of blocks in, the page's Markdown and its scores out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsvl_data.latex.article import Block, Kind
from dsvl_data.latex.cutting import piece_text
from dsvl_data.latex.differences import Difference
from dsvl_data.latex.pdf_lines import Zone
from dsvl_data.latex.sequences import PdfStream
from dsvl_data.latex.words import markdown_words


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a block that a page shows: `block.markdown[start:end]`.

    `broken` says that it ends within a word that the next page goes on with.
    """

    block: Block
    start: int
    end: int
    broken: bool = False

    @property
    def text(self) -> str:
        """Its Markdown, whole in itself."""
        return piece_text(self.block, self.start, self.end, broken=self.broken)


@dataclass(frozen=True, slots=True)
class AlignedPage:
    """What a page shows, as Markdown, and how well it agrees with the PDF's text layer.

    `parts` are the flow's, `floats` and `footnotes` those that the page shows; `text` has them all
    as the page orders them. `words` counts the text's words outside formulas, `precision` is
    the share of them that the page has at their place; `coverage` the share of the page's words
    (formulas', digits and pictures' apart) that the text has. `top` and `bottom` count the words
    beyond the first and last match, on either side, which may belong to the neighbouring page;
    `torn` blocks that the page's ends cut though Markdown can't; `unplaced` words of the flow
    that belong here but that the page does not show, which are left out; `mended` citations and
    numbers; `unseen` are the page's lines in larger or bolder type of which the text has no word,
    `foreign` the text's words that the page has nowhere.
    """

    number: int
    parts: tuple[Part, ...]
    floats: tuple[Part, ...]
    footnotes: tuple[Part, ...]
    text: str
    words: int
    precision: float
    coverage: float
    top: int = 0
    bottom: int = 0
    torn: int = 0
    unplaced: int = 0
    mended: int = 0
    unseen: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()


Placed = tuple[Part, int]  # with the place of its first word in the PDF's stream


def page_text(parts: Sequence[Placed], floats: Sequence[Placed], notes: Sequence[Placed]) -> str:
    """The Markdown of a page: each float before the first part that starts behind it."""
    ordered: list[Part] = []
    waiting = list(floats)
    for part, place in parts:
        while waiting and waiting[0][1] < place:
            ordered.append(waiting.pop(0)[0])
        ordered.append(part)
    ordered.extend(part for part, _ in (*waiting, *notes))
    text = ""
    last: Part | None = None
    for part in ordered:
        if not (markdown := part.text):
            continue
        listed = (
            last is not None
            and last.block.kind is part.block.kind
            and part.block.kind in (Kind.ITEM, Kind.REFERENCE)
        )
        text += (("\n" if listed else "\n\n") if last is not None else "") + markdown
        last = part
    return text


def unseen_lines(
    stream: PdfStream, here: range, found: NDArray[np.bool_], placed: Sequence[Placed]
) -> tuple[str, ...]:
    """The lines of a page (its words are `here` in the stream) that look like headings, unmatched.

    A keyword of a program is set bold too, and "else" alone is no match.
    """
    code = {
        word.key
        for part, _ in placed
        if part.block.kind in (Kind.CODE, Kind.ALGORITHM)
        for word in markdown_words(part.block)
    }
    seen: dict[int, bool] = {}
    for j in here:
        if stream.strong[j] and stream.prose[j] and stream.zone[j] is Zone.BODY:
            known = bool(found[j]) or stream.keys[j] in code
            seen[stream.line[j]] = seen.get(stream.line[j], False) or known
    return tuple(
        stream.pages[stream.page[here.start]].lines[line].text
        for line, known in seen.items()
        if not known
    )


_LIGATURE = re.compile("f[fil]")  # fonts without names for their characters lose these


def foreign_words(stream: PdfStream, here: range, placed: Sequence[Placed]) -> tuple[str, ...]:
    """Words of a page's text that are no part of the page's words, wherever they stand on it."""
    shown = "".join(stream.keys[j] for j in here)
    return tuple(
        word.key
        for part, _ in placed
        for word in markdown_words(replace(part.block, markdown=part.text))
        if not word.opaque and word.key.isalpha() and len(word.key) >= 3
        if word.key not in shown and not _LIGATURE.search(word.key)
    )
