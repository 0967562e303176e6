"""The order in which a person reads the words or lines that stand in a picture.

In: texts and the four corners of each (`dsvl_data.layout.shapes.Ends`). Out: lines, in order,
each of the texts that stand in it. Words that follow one another along their own direction make
a line; lines that follow one another across it make a block (`strokes`); blocks go from top to
bottom and from left to right (`blocks`). So slanted, turned and curved texts are read as they run,
columns one after the other, and vertical Chinese from the right column to the left: which is the
same rule, that the next line lies to the right hand of the reading direction.

The result does not depend on the order of the input, on where in the picture the texts stand,
or on the picture's scale: all coordinates are first taken relative to what the texts cover.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from dsvl_data.layout.blocks import block_order
from dsvl_data.layout.shapes import Ends
from dsvl_data.layout.strokes import (
    frame_of,
    joined,
    lines_in_block,
    stroke_of,
    words_in_line,
)


class Line(NamedTuple):
    """Texts that are read one after the other, as indices into the input, in order.

    `block` counts the blocks of lines from 0; `vertical`: Chinese or Japanese that runs downwards.
    """

    texts: tuple[int, ...]
    block: int
    vertical: bool


#: As `Line`, in half the time.
_line_of: Callable[[tuple[Any, ...]], Line] = partial(tuple.__new__, Line)


def reading_order(
    texts: Sequence[str], ends: Sequence[Ends], *, oriented: bool = True
) -> list[Line]:
    """Return the lines that texts make, in reading order.

    With `oriented`, the first of the four points of each is the upper left corner of the text as
    it is read; otherwise a text is taken to run to the right, or down if it is turned. Every
    index is in exactly one line. Only neighbours are compared, so that time grows with the number
    of texts where they do not overlap, and with its square where they all do.
    """
    if not texts:
        return []
    order = [index for _, _, index in sorted(zip(ends, texts, range(len(texts)), strict=True))]
    frame = frame_of(ends)
    words = [stroke_of(texts[index], ends[index], frame, oriented) for index in order]
    chains = words_in_line(words)
    lines = [
        words[chain[0]] if len(chain) == 1 else joined([words[word] for word in chain])
        for chain in chains
    ]
    blocks = lines_in_block(lines)

    def corners_of(line: int) -> list[Ends]:
        return [ends[order[word]] for word in chains[line]]

    found = []
    for number, block in enumerate(block_order(blocks, lines, corners_of, frame)):
        for line in blocks[block]:
            inside = [order[word] for word in chains[line]]
            if len(inside) > 1 and _runs_left([texts[index] for index in inside]):
                inside.reverse()
            found.append(_line_of((tuple(inside), number, lines[line][8])))
    return found


def _runs_left(texts: Sequence[str]) -> bool:
    """Whether most letters are of a script that runs from right to left."""
    if all(map(str.isascii, texts)):
        return False
    left = right = 0
    for text in texts:
        if text.isascii():
            right += len(text)
            continue
        for character in text:
            if unicodedata.bidirectional(character) in ("R", "AL"):
                left += 1
            elif character.isalpha():
                right += 1
    return left > right
