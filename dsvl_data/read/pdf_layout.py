"""From a PDF to blocks: paragraphs, headings, tables and figures in the order of reading.

In: the bytes of a PDF with a text layer. Out: `Block`s, page after page: text in reading order
(two columns too), without running heads and page numbers; tables whose cells are ruled as
Markdown; figures, bitmaps as they are embedded and vector drawings drawn by their box, each with
its caption. What a PDF does not say is not guessed: a displayed formula has no LaTeX in it, and
is left out as a `LostBlock`; a table without a grid is a picture.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pymupdf

from dsvl_data.latex.pdf_lines import Line, read_lines
from dsvl_data.latex.pdf_words import CAPTION
from dsvl_data.layout.columns import Box, order_boxes
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.blocks import Block, LostBlock, PictureBlock, TextBlock
from dsvl_data.read.images import MAX_PIXELS
from dsvl_data.read.pdf_figures import FLOAT, Region, find_regions
from dsvl_data.read.pdf_text import (
    Type,
    flowing,
    goes_on,
    joined,
    plain,
    text_block,
    without_repeats,
)
from dsvl_data.render.inline import escape_signs
from dsvl_data.render.markdown_table import write_cell, write_table

pymupdf.no_recommend_layout()  # it prints an advertisement for another package

#: Pixels a point at which vector drawings are drawn, and the most pixels a side.
_SCALE = 2.0
_LONGEST_SIDE = 1600
#: Points of white between two columns, at least.
_GUTTER = 7.0
#: A table is looked for in regions up to so many drawn rules: finding one takes quadratic time.
_MOST_RULES = 600
#: How the outer edges of some lines are found.
_WIDTH: tuple[tuple[Callable[[list[float]], float], str], ...] = ((min, "x0"), (max, "x1"))


@dataclass(slots=True)
class _Part:
    """What stands at one place of a page: lines that belong together, or a finished block."""

    lines: list[Line] = field(default_factory=list)
    block: Block | None = None


def read_pdf(data: bytes) -> list[Block]:
    """Read a PDF. Raises `DocumentError` (`BAD_PDF`, `ENCRYPTED`, `NO_TEXT` without a text layer).

    A picture that cannot be had is a `LostBlock`; the text around it stays.
    """
    try:
        document = pymupdf.open("pdf", data)
    except (pymupdf.FileDataError, pymupdf.EmptyFileError, RuntimeError, ValueError) as error:
        raise DocumentError(Reason.BAD_PDF, str(error)) from error
    with document:
        if document.needs_pass:
            raise DocumentError(Reason.ENCRYPTED, "the PDF asks for a password")
        try:
            if not document.is_pdf:  # MuPDF opens web pages, archives and pictures as well
                raise DocumentError(Reason.BAD_PDF, "another format under a PDF's name")
            blocks, words = _blocks(document)
            return list(joined(without_repeats(blocks), words))
        except (
            RuntimeError,
            ValueError,
            pymupdf.mupdf.FzErrorBase,
        ) as error:  # MuPDF's own errors are no finer
            raise DocumentError(Reason.BAD_PDF, str(error)) from error


def _blocks(document: pymupdf.Document) -> tuple[Iterator[Block], frozenset[str]]:
    """The blocks of all pages, and the document's words."""
    pages, size, font = read_lines(document, plain)
    if not any(pages):
        raise DocumentError(Reason.NO_TEXT, "the PDF has no text layer")
    body = Type.of(pages, size, font)
    return _read(document, pages, body), body.words


def _read(document: pymupdf.Document, pages: Sequence[list[Line]], body: Type) -> Iterator[Block]:
    repeated = _repeated(document)
    for page, lines in zip(document.pages(), pages, strict=True):
        parts = _page_parts(page, lines, body, repeated)
        for part in parts:
            if part.block is not None:
                yield part.block
            elif part.lines:
                block = text_block(part.lines, body)
                if block is not None:
                    yield block


def _page_parts(
    page: pymupdf.Page, lines: list[Line], body: Type, repeated: set[int]
) -> list[_Part]:
    """The parts of a page in reading order."""
    # By where it stands: programs write columns, boxes and pages in any order.
    lines = [line for line in lines if line.upright] + [line for line in lines if not line.upright]
    upright = sum(line.upright for line in lines)
    gutter = max(_GUTTER, 0.8 * body.size)
    order = order_boxes([_box(line) for line in lines[:upright]], gutter)
    lines = [lines[number] for number in order] + lines[upright:]
    things: list[Line | Block] = []
    boxes: list[Box] = []
    taken = set(range(upright, len(lines)))
    regions = find_regions(page, lines, body.size)
    captions = _assign_captions(regions, lines, body)
    for index, (region, caption) in enumerate(zip(regions, captions, strict=True)):
        name = f"page {page.number + 1}, picture {index + 1}"
        block = _region_block(page, region, lines, name, repeated)
        if block is None:
            continue
        text = flowing([lines[number] for number in sorted(caption)], body)
        things.append(_captioned(block, text))
        boxes.append(_around([region.box, *(_box(lines[number]) for number in caption)]))
        taken |= region.inside | caption
    for number, line in enumerate(lines):
        if number not in taken:
            things.append(line)
            boxes.append(_box(line))
    parts: list[_Part] = []
    for number in order_boxes(boxes, gutter):
        thing = things[number]
        if not isinstance(thing, Line):
            parts.append(_Part(block=thing))
        elif parts and parts[-1].lines and goes_on(parts[-1].lines[-1], thing, body):
            parts[-1].lines.append(thing)
        else:
            parts.append(_Part([thing]))
    return parts


def _box(line: Line) -> Box:
    return line.x0, line.y0, line.x1, line.y1


def _around(boxes: Sequence[Box]) -> Box:
    """The smallest box around some."""
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _region_block(
    page: pymupdf.Page, region: Region, lines: Sequence[Line], name: str, repeated: set[int]
) -> Block | None:
    if region.ruled and len(region.inside) < 2:
        return None
    if not region.pictures and len(region.inside) >= 4 and (table := _table(page, region)):
        return TextBlock("table", table)
    if region.pictures and (bomb := _bomb(page)):
        return LostBlock(name, Reason.IMAGE_BOMB, bomb)
    bitmap = _only_bitmap(page, region)
    in_margin = region.box[3] < 0.12 * page.rect.height or region.box[1] > 0.88 * page.rect.height
    if bitmap in repeated and in_margin:
        return None
    if bitmap and not region.inside:
        return _embedded(page.parent, bitmap, name)
    return _drawn(page, region.box, name)


def _table(page: pymupdf.Page, region: Region) -> str:
    """A ruled table as Markdown; empty when its rules make no grid."""
    if region.rules + region.drawings > _MOST_RULES:
        return ""
    found = page.find_tables(clip=_grown(region.box), use_layout=False).tables
    if len(found) != 1 or found[0].row_count < 2 or found[0].col_count < 2:
        return ""
    rows = [[_cell(cell) for cell in row] for row in found[0].extract()]
    filled = sum(bool(cell) for row in rows for cell in row)
    shown = sum(len(cell.replace(" ", "")) for row in rows for cell in row)
    there = page.get_textbox(_grown(region.box))
    # All of its text must be in the cells, and most of the cells in use.
    if filled < 0.5 * len(rows) * len(rows[0]) or shown < 0.9 * len("".join(there.split())):
        return ""
    head, *rest = rows
    return write_table(head, rest)


def _cell(text: str | None) -> str:
    return write_cell(escape_signs(" ".join((text or "").split())))


def _bomb(page: pymupdf.Page) -> str:
    """What is wrong with a page's bitmaps that nobody should decode; empty: nothing."""
    for _, _, width, height, *_ in page.get_images():
        if width * height > MAX_PIXELS:
            return f"{width} x {height} pixels, the limit is {MAX_PIXELS} in all"
    return ""


def _only_bitmap(page: pymupdf.Page, region: Region) -> int:
    """The xref of the bitmap that is all there is in a region, upright; else 0."""
    if region.pictures != 1 or region.drawings:
        return 0
    x0, y0, x1, y1 = region.box
    for info in page.get_image_info(xrefs=True):
        a, b, c, d, _, _ = info["transform"]
        left, top, right, bottom = info["bbox"]
        inside = left > x0 - 3 and top > y0 - 3 and right < x1 + 3 and bottom < y1 + 3
        upright = a > 0 and d > 0 and abs(b) < 0.01 * a and abs(c) < 0.01 * d
        if inside and upright:
            return int(info["xref"])
    return 0


def _embedded(document: pymupdf.Document, xref: int, name: str) -> Block:
    """A bitmap as it is embedded: the bytes of a JPEG or PNG, else a PNG of its pixels."""
    found = document.extract_image(xref)
    plain = found and not found["smask"] and found["colorspace"] in (1, 3)
    if plain and found["ext"] in ("jpeg", "png"):
        return PictureBlock(name, found["image"])
    pixels = pymupdf.Pixmap(document, xref)
    if found and found["smask"]:
        pixels = pymupdf.Pixmap(pixels, pymupdf.Pixmap(document, found["smask"]))
    if pixels.colorspace is None or pixels.colorspace.n not in (1, 3):
        pixels = pymupdf.Pixmap(pymupdf.csRGB, pixels)
    return PictureBlock(name, pixels.tobytes("png"))


def _drawn(page: pymupdf.Page, box: tuple[float, float, float, float], name: str) -> Block:
    clip = _grown(box) & page.rect
    longest = max(clip.width, clip.height)
    scale = min(_SCALE, _LONGEST_SIDE / max(longest, 1.0))
    pixels = page.get_pixmap(matrix=pymupdf.Matrix(scale, scale), clip=clip, alpha=False)
    return PictureBlock(name, pixels.tobytes("png"))


def _grown(box: tuple[float, float, float, float]) -> pymupdf.Rect:
    x0, y0, x1, y1 = box
    return pymupdf.Rect(x0 - 2, y0 - 2, x1 + 2, y1 + 2)


def _repeated(document: pymupdf.Document) -> set[int]:
    """The xrefs of bitmaps that several pages show: logos and ornaments, in their margins."""
    seen: Counter[int] = Counter()
    for page in document.pages():
        seen.update({image[0] for image in page.get_images()})
    return {xref for xref, pages in seen.items() if pages >= 3}


def _assign_captions(
    regions: Sequence[Region], lines: Sequence[Line], body: Type
) -> list[set[int]]:
    """For each region the numbers of the lines of its caption: below it, above it, or in it.

    The nearest find each other first; a caption belongs to one region.
    """
    found = [_caption_inside(region, lines, body) for region in regions]
    shown = set().union(*(region.inside for region in regions))
    pairs = []
    for caption in _captions(lines, shown, body):
        x0, x1 = (edge([getattr(lines[n], name) for n in caption]) for edge, name in _WIDTH)
        top, foot = lines[caption[0]].y0, lines[caption[-1]].y1
        for index, region in enumerate(regions):
            left, y0, right, y1 = region.box
            below, above = top - y1, y0 - foot
            away = below if below > -body.size else above
            if (
                x0 < right + body.size
                and x1 > left - body.size
                and (-body.size < away < 3.5 * body.size)
            ):
                pairs.append((away, index, caption))
    used: set[int] = set()
    for _, index, caption in sorted(pairs):
        if not found[index] and caption[0] not in used:
            used.add(caption[0])
            found[index] = set(caption)
    return found


def _caption_inside(region: Region, lines: Sequence[Line], body: Type) -> set[int]:
    """The lines of a caption between a region's own rules: as far as lines fill their width."""
    inside = sorted(region.inside)
    first = next((i for i, n in enumerate(inside) if FLOAT.match(lines[n].text)), None)
    if first is None:
        return set()
    caption = {inside[first]}
    for number, following in pairwise(inside[first:]):
        earlier, later = lines[number], lines[following]
        filled = earlier.x1 > later.x1 - 2 * later.size
        ruled = any(earlier.y1 - 2 < level < later.y0 + 2 for level in region.levels)
        if not filled or ruled or abs(later.x0 - earlier.x0) > 2:
            break
        if not _is_next(earlier, later, body):
            break
        caption.add(following)
    return caption


def _captions(lines: Sequence[Line], shown: Collection[int], body: Type) -> Iterator[list[int]]:
    """The numbers of the lines of each caption of a page."""
    # What a region shows may come between two lines of a caption in the order of reading.
    free = deque(number for number in range(len(lines)) if number not in shown)
    while free:
        caption = [free.popleft()]
        text = lines[caption[0]].text
        if not (CAPTION.match(text) or FLOAT.match(text)):
            continue
        while free and _is_next(lines[caption[-1]], lines[free[0]], body):
            caption.append(free.popleft())
        yield caption


def _is_next(earlier: Line, later: Line, body: Type) -> bool:
    """Whether a line stands right below another, in type of about the same size."""
    near = -0.5 * body.size < later.y1 - earlier.y1 < 1.25 * body.leading
    alike = abs(later.size - earlier.size) < 0.25 * body.size
    return near and alike and later.x0 < earlier.x1 + 4 * body.size


def _captioned(block: Block, caption: str) -> Block:
    if isinstance(block, PictureBlock):
        return PictureBlock(block.name, block.data, caption)
    if isinstance(block, TextBlock) and caption:
        return TextBlock("table", f"{caption}\n\n{block.markdown}")
    return block
