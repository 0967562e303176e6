"""An article as blocks of Markdown: what the HTML reader makes and the alignment cuts.

The body is one flow in reading order. Floats and footnotes stand outside it, because TeX puts
them on a page of its own choosing; each knows the block of the flow that calls for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a block is; it decides where a page break may cut it (see `Block.markdown`)."""

    TITLE = "title"
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    ITEM = "item"
    FORMULA = "formula"
    CODE = "code"
    TABLE = "table"
    FIGURE = "figure"
    ALGORITHM = "algorithm"
    FOOTNOTE = "footnote"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of an article.

    `markdown` is what goes into a page's text. A page break may cut a paragraph, an item, a
    footnote or a reference between words outside formulas; code, algorithms and tables between
    lines; the others not at all. `number` is what LaTeXML numbered it ("2.1", "3", "A.2"; empty
    without one); `caption` is a float's caption without its number. `anchor` is the index in
    `Article.flow` of the block that calls for a float or footnote, -1 in the flow itself.
    """

    kind: Kind
    markdown: str
    number: str = ""
    caption: str = ""
    anchor: int = -1


@dataclass(frozen=True, slots=True)
class Article:
    """The whole article; `floats` and `footnotes` in the order of the source."""

    flow: tuple[Block, ...]
    floats: tuple[Block, ...] = ()
    footnotes: tuple[Block, ...] = ()
