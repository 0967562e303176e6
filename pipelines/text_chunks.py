"""Cuts a text into pieces of a sequence's length, where its paragraphs end.

In: a text, and what counts its tokens. Out: slices of it, in order, that leave out nothing but
white space. A paragraph that is too long by itself is cut where a line, else a sentence, else a
word ends, else anywhere: that is for base64 and the like.
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
    pieces: list[str] = []
    start, end, filled = 0, 0, 0.0
    for piece in _fitting(text, 0, len(text), limit, counter, 0):
        if filled and filled + piece.tokens > limit:
            pieces.append(text[start:end].strip())
            start, filled = piece.start, 0.0
        end = piece.end
        filled += piece.tokens
    pieces.append(text[start:end].strip())
    return [piece for piece in pieces if piece]


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
