"""Cuts a text into pieces of a sequence's length, where its paragraphs end.

In: a text, and what counts its tokens. Out: slices of it, in order, that leave out nothing but
white space. A paragraph that is too long by itself is cut where a line, else a sentence, else a
word ends, else anywhere: that is for base64 and the like. A heading stands with what it heads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from dsvl_data.shards.tokens import TokenCounter

#: Where a text may be cut, from the best place to the worst; each match ends a piece.
_ENDS = (
    re.compile(r"\n[ \t]*\n\s*"),
    re.compile(r"\n"),
    re.compile(r"[.!?…]['\"”’)]*\s+|[。！？…]+[”’」』）]*"),
    re.compile(r"\s+"),
)
_HEADING = re.compile(r"\s*#{1,6}[ \t]+\S[^\n]*\s*\Z")
#: A counter rounds each piece to whole tokens; so far may their sum be off, a piece.
_ROUNDING = 0.5


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    tokens: float


def cut(text: str, limit: int, counter: TokenCounter) -> list[str]:
    """Return the pieces of a text, each of at most `limit` tokens and none of them blank.

    Exact for the estimate. A tokenizer may need a token or two more for a piece than for the
    paragraphs in it, as it sees them together.
    """
    chunks: list[str] = []
    held: list[_Piece] = []  # the chunk that is being filled
    filled = 0.0
    for piece in _fitting(text, 0, len(text), limit, counter, 0):
        if filled + piece.tokens > limit:
            headings = _last_headings(text, held, limit)
            chunks.append(_between(text, held[: len(held) - len(headings)]))
            held, filled = headings, sum(heading.tokens for heading in headings)
        if filled + piece.tokens <= limit or not held:
            held.append(piece)
            filled += piece.tokens
            continue
        # Under its heading a paragraph is too long: it is cut finer.
        for part in _fitting(text, piece.start, piece.end, int(limit - filled), counter, 0):
            if filled + part.tokens > limit:
                chunks.append(_between(text, held))
                held, filled = [], 0.0
            held.append(part)
            filled += part.tokens
    chunks.append(_between(text, held))
    return [chunk for chunk in chunks if chunk]


def _last_headings(text: str, pieces: list[_Piece], limit: int) -> list[_Piece]:
    """The headings that end a chunk, as long as they leave room for what they head."""
    first, tokens = len(pieces), 0.0
    while first and _HEADING.match(text, pieces[first - 1].start, pieces[first - 1].end):
        tokens += pieces[first - 1].tokens
        if tokens > limit / 2:
            break
        first -= 1
    return pieces[first:]


def _between(text: str, pieces: list[_Piece]) -> str:
    return text[pieces[0].start : pieces[-1].end].strip() if pieces else ""


def _fitting(
    text: str, start: int, end: int, limit: int, counter: TokenCounter, level: int
) -> Iterator[_Piece]:
    """Yield the pieces between two places, cut no finer than they must be to fit."""
    borders = _borders(text, start, end, level)
    slices = [text[a:b] for a, b in pairwise(borders)]
    counts = counter.count(slices)
    for (a, b), count in zip(pairwise(borders), counts, strict=True):
        tokens = count + _ROUNDING
        if tokens <= limit or b - a == 1:
            yield _Piece(a, b, tokens)
        else:
            yield from _fitting(text, a, b, limit, counter, level + 1)


def _borders(text: str, start: int, end: int, level: int) -> list[int]:
    if level < len(_ENDS):
        ends = [match.end() for match in _ENDS[level].finditer(text, start, end)]
    else:
        ends = [(start + end) // 2]
    return [start, *(place for place in ends if start < place < end), end]
