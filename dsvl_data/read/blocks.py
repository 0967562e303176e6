"""A document as one ordered list of blocks: what its readers make, what sequences are made of.

In: nothing; these are records. Out: `Block`s in reading order. HTML, EPUB, Markdown and PDF all
become this list, and `pipelines.interleaved` turns it into samples without asking which it was.

All text is Markdown as `dsvl_data.render.markdown` writes it: formulas within a line stand in
single dollars, a hard line break is two spaces and a newline, and no block starts or ends with
white space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from dsvl_data.outcome import Reason

#: What a block of text is; it tells where it may be cut when it is too long for a sequence.
Kind: TypeAlias = Literal["heading", "paragraph", "list", "table", "formula", "code"]


@dataclass(frozen=True, slots=True)
class TextBlock:
    """A block of text, as it is to be written.

    `markdown` is complete: a heading has its number signs, a table its delimiter row (and may be
    led by its caption as a paragraph), a display formula its double dollars, code its fence.
    `level` is a heading's, 1 to 6, and 0 for anything else. Quotations, definitions and notes
    are paragraphs.
    """

    kind: Kind
    markdown: str
    level: int = 0


@dataclass(frozen=True, slots=True)
class PictureBlock:
    """A picture where it stands in the text, with the caption that belongs to it.

    `name` is for the ledger: a path, or where in the document it is (`page 3, picture 2`).
    `data` are encoded bytes, as found: nobody has decoded them, or looked at their size.
    `caption` is Markdown, empty when it has none; it is not a block of its own.
    """

    name: str
    data: bytes
    caption: str = ""


@dataclass(frozen=True, slots=True)
class LostBlock:
    """A picture (or another part) that the document has here and that cannot be had, and why.

    A picture's caption is lost with it.
    """

    name: str
    reason: Reason
    detail: str


Block: TypeAlias = TextBlock | PictureBlock | LostBlock
