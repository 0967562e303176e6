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
from collections.abc import Sequence
from typing import NamedTuple

from dsvl_data.layout.blocks import Block, block_order
from dsvl_data.layout.shapes import Ends
from dsvl_data.layout.strokes import (
    bounds_of,
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
    boxes = [bounds_of(ends[index]) for index in order]
    frame = frame_of(boxes)
    words = [
        stroke_of(texts[index], ends[index], box, frame, oriented)
        for index, box in zip(order, boxes, strict=True)
    ]
    chains = words_in_line(words)
    lines = [joined([words[word] for word in chain]) for chain in chains]
    members = [[order[word] for word in chain] for chain in chains]
    groups = lines_in_block(lines)
    blocks = [
        Block([lines[line] for line in group], [ends[t] for line in group for t in members[line]])
        for group in groups
    ]
    found = []
    for number, block in enumerate(block_order(blocks, lines, frame)):
        for line in groups[block]:
            inside = members[line]
            if len(inside) > 1 and _runs_left([texts[index] for index in inside]):
                inside.reverse()
            found.append(Line(tuple(inside), number, lines[line][-2]))
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
