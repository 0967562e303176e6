"""Lines of a PDF's type as text blocks: which lines make a paragraph, and what kind it is.

In: lines in reading order. Out: headings, paragraphs, list items and code as Markdown; paragraphs
that a column or page has torn are joined again, words broken at a line's end mended.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeGuard

from dsvl_data.latex.pdf_lines import Line
from dsvl_data.outcome import Reason
from dsvl_data.read.blocks import Block, LostBlock, TextBlock
from dsvl_data.render.inline import escape_signs

_BULLET = re.compile(r"^[•◦▪‣●■–\-*∗]\s+|^\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)]\s+")
_LIST_NUMBER = re.compile(r"^\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)]\s+")
_HEADING_NUMBER = re.compile(r"^(?:\d{1,2}(?:\.\d{1,2})*\.?|[A-Z]\.|[IVX]+\.|第.{1,4}[章节])\s*\S")
_MONOSPACED = re.compile(r"Mono|Courier|Consol|CMTT|LMMono|Typewriter|Menlo|txtt|cmtt|sltt", re.I)
_BOLD = re.compile(r"Bold|Black|Heavy|Semibold|Medi\b|-B\b|CMBX|CMSSBX|SFBX", re.I)
_WIDE = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")
_END = re.compile(r"[.!?:;。！？：；]['\"”’)\]]*$")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "ft", "ﬆ": "st"}
    | dict.fromkeys("\u00a0\u2002\u2003\u2009\u200a\u202f", " ")
    | dict.fromkeys("\u00ad\u200b\ufeff")
)
#: Kinds of text that no float stands in the middle of.
_FLOWING = frozenset(("heading", "paragraph", "list"))


@dataclass(frozen=True, slots=True)
class Type:
    """How the document's text is set: sizes in points, `leading` from one line to the next.

    `levels` are those of headings by their size; `words` are the words that it has, by which
    one that is broken at a line's end is mended.
    """

    size: float
    font: str
    leading: float
    levels: Mapping[float, int]
    words: frozenset[str]

    @classmethod
    def of(cls, pages: Sequence[Sequence[Line]], size: float, font: str) -> Type:
        """Measure a document; `size` and `font` are those of most of its letters."""
        return cls(size, font, _leading(pages, size), _heading_levels(pages, size), _words(pages))


def plain(text: str) -> str:
    """Text without ligatures and typographic spaces; full-width forms stay as they are."""
    return text if text.isascii() else text.translate(_LIGATURES)


def goes_on(earlier: Line, later: Line, body: Type) -> bool:
    """Whether a line belongs to the paragraph of the one before it."""
    height = max(earlier.size, later.size)
    drop = later.y1 - earlier.y1
    same_row = abs(drop) < 0.5 * height
    if same_row:
        return later.x0 > earlier.x0 and later.x0 - earlier.x1 < 4 * height
    mono = _is_code(earlier), _is_code(later)
    if mono[0] != mono[1] or abs(earlier.size - later.size) > 0.15 * height:
        return False
    most = 1.2 * body.leading * max(1.0, height / body.size)
    if mono[0]:
        return 0 < drop < 3 * body.leading and later.x0 < earlier.x1 + 40 * body.size
    if not 0 < drop < most or (_is_bold(earlier) != _is_bold(later) and not _fills(earlier, later)):
        return False
    overlaps = later.x0 < earlier.x1 and later.x1 > earlier.x0
    starts = _BULLET.match(later.text) is not None or (
        later.x0 > earlier.x0 + 0.7 * body.size
        and earlier.block != later.block
        and _END.search(earlier.text) is not None
    )
    indented = later.x0 > earlier.x0 + 0.7 * body.size and _END.search(earlier.text) is not None
    hanging = _BULLET.match(earlier.text) is not None
    return overlaps and not starts and (hanging or not indented)


def text_block(lines: Sequence[Line], body: Type) -> Block | None:
    if all(_is_code(line) for line in lines):
        return TextBlock("code", _code(lines))
    if _is_formula(lines):
        text = " ".join(line.text for line in lines)[:60]
        return LostBlock("formula", Reason.BAD_FORMULA, f"a PDF has no LaTeX of {text!r}")
    text = flowing(lines, body)
    if not text:
        return None
    level = _level(lines, text, body)
    if level:
        return TextBlock("heading", f"{'#' * level} {text}", level)
    if _BULLET.match(lines[0].text):
        number = _LIST_NUMBER.match(lines[0].text)
        bare = _BULLET.sub("", text.replace("\\*", "*", 1), count=1)
        mark = number.group().strip() if number else "-"
        return TextBlock("list", f"{mark} {bare}")
    return TextBlock("paragraph", text)


def joined(blocks: Iterable[Block], words: Collection[str]) -> Iterator[Block]:
    """Join paragraphs that the end of a column or page, or a float, has torn."""
    held: list[Block] = []  # a torn paragraph, and what stands between its halves
    for block in blocks:
        first = held[0] if held else None
        if isinstance(first, TextBlock) and _continues(block):
            initial = len(first.markdown) == 1  # a large one, over two or three lines
            whole = _linked(first.markdown, block.markdown, words)
            whole = first.markdown + block.markdown if initial else whole
            held[0] = TextBlock("paragraph", whole)
            if not _is_torn(held[0]):
                yield from held
                held = []
        elif held and not (isinstance(block, TextBlock) and block.kind in _FLOWING):
            held.append(block)
        else:
            yield from held
            held = [block]
            if not _is_torn(block):
                yield block
                held = []
    yield from held


def without_repeats(blocks: Iterable[Block]) -> Iterator[Block]:
    """Formulas that follow one another are one loss: their lines are no more to a reader."""
    last: Block | None = None
    for block in blocks:
        lost = isinstance(block, LostBlock) and block.reason is Reason.BAD_FORMULA
        if not (lost and isinstance(last, LostBlock) and last.reason is Reason.BAD_FORMULA):
            yield block
        last = block


def flowing(lines: Sequence[Line], body: Type) -> str:
    """The text of a paragraph's lines, words broken at a line's end mended."""
    text = ""
    for line in lines:
        text = _linked(text, escape_signs(" ".join(line.text.split())), body.words)
    return text


def _leading(pages: Sequence[Sequence[Line]], size: float) -> float:
    """Points from one line of the text to the next, as most lines have it."""
    drops: Counter[float] = Counter()
    for lines in pages:
        for earlier, later in pairwise(lines):
            drop = later.y1 - earlier.y1
            if 0.8 * size < drop < 2 * size and earlier.block == later.block:
                drops[round(2 * drop) / 2] += 1
    return drops.most_common(1)[0][0] if drops else 1.2 * size


def _words(pages: Sequence[Sequence[Line]]) -> frozenset[str]:
    return frozenset(
        word.lower()
        for lines in pages
        for line in lines
        # A line's last word may be half of one.
        for word in _WORD.findall(line.text)[:-1]
    )


def _heading_levels(pages: Sequence[Sequence[Line]], size: float) -> dict[float, int]:
    """The level of each size of type that is larger than the text's, largest first."""
    sizes: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            if line.size > 1.08 * size and len(line.text) < 160:
                sizes[round(line.size, 1)] += 1
    ordered = sorted(sizes, reverse=True)[:5]
    return {size: level for level, size in enumerate(ordered, 1)}


def _fills(earlier: Line, later: Line) -> bool:
    """Whether a line is as long as the next: a heading that text follows is shorter."""
    return earlier.x1 > later.x1 - 2 * later.size


def _level(lines: Sequence[Line], text: str, body: Type) -> int:
    """A heading's level; 0 for anything else."""
    if len(lines) > 4 or not 1 < len(text) <= 200:
        return 0
    if all(line.size > 1.08 * body.size for line in lines):
        return body.levels.get(round(lines[0].size, 1), 5)
    bold = all(_is_bold(line) for line in lines) and not _BOLD.search(body.font)
    numbered = _HEADING_NUMBER.match(text) is not None
    if bold and len(lines) <= 2 and len(text) < 120 and (numbered or not _END.search(text)):
        return min(len(body.levels) + 1, 6)
    return 0


def _is_bold(line: Line) -> bool:
    return _BOLD.search(line.font) is not None


def _is_code(line: Line) -> bool:
    return _MONOSPACED.search(line.font) is not None


def _is_formula(lines: Sequence[Line]) -> bool:
    """Whether lines are a displayed formula: mostly in fonts for formulas."""
    math = sum(len(text.strip()) for line in lines for text, is_math in line.runs if is_math)
    total = sum(len(text.strip()) for line in lines for text, _ in line.runs)
    words = re.findall(r"[^\W\d_]{3,}", " ".join(line.text for line in lines))
    return total > 0 and math > 0.3 * total and len(words) <= 2 * len(lines)


def _linked(first: str, second: str, words: Collection[str]) -> str:
    """Two texts that follow each other as one."""
    if not first or not second:
        return first + second
    if first.endswith("-") and first[-2:-1].isalpha() and second[0].islower():
        start = _WORD.findall(first[-40:])
        end = _WORD.match(second)
        if start and end and f"{start[-1]}-{end.group()}".lower() in words:
            return first + second  # written with a hyphen elsewhere too
        return first[:-1] + second
    if _WIDE.match(first[-1]) and _WIDE.match(second[0]):
        return first + second
    return f"{first} {second}"


def _code(lines: Sequence[Line]) -> str:
    rows: list[list[Line]] = []
    for line in lines:
        if rows and abs(rows[-1][0].y1 - line.y1) < 0.5 * line.size:
            rows[-1].append(line)
        else:
            rows.append([line])
    left = min(line.x0 for line in lines)
    width = max(0.6 * lines[0].size, 1.0)
    leading = min((b[0].y1 - a[0].y1 for a, b in pairwise(rows)), default=1.0)
    text, last = "", rows[0][0].y1
    for row in rows:
        text += "\n" * max(0, round((row[0].y1 - last) / max(leading, 1.0)) - 1)
        last = row[0].y1
        ordered = sorted(row, key=lambda line: line.x0)
        shown = ""
        for line in ordered:
            written = "".join(run for run, _ in line.runs)  # with the spaces that it begins with
            shown = shown.ljust(round((line.x0 - left) / width)) + written
        text += shown.rstrip() + "\n"
    fence = "```" if "```" not in text else "~~~~"
    return f"{fence}\n{text}{fence}"


def _continues(block: Block) -> TypeGuard[TextBlock]:
    if not isinstance(block, TextBlock) or block.kind != "paragraph":
        return False
    return block.markdown[0].islower() or _WIDE.match(block.markdown) is not None


def _is_torn(block: Block) -> bool:
    if not isinstance(block, TextBlock) or block.kind != "paragraph":
        return False
    if len(block.markdown) == 1:
        return block.markdown.isupper()
    return len(block.markdown) > 60 and _END.search(block.markdown) is None
