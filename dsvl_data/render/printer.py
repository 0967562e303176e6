"""From clean HTML to proved pages: the one door of the rendering core.

In: a `Chapter` and a `Template`. Out: `Page`s, each with its picture, the Markdown of exactly
what the picture shows, and the verdict of the proof.

A chapter is printed once (`press`) and its pages are drawn by PyMuPDF. While one print is
proved, the browser already makes the next ones. Chapters with more than `PRINT_LIMIT` characters
go in several prints, cut between blocks: memory stays bounded, at the price of a page that
ends early at each cut.
"""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from typing import Literal, TypeAlias

import pymupdf
from lxml import etree

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.render.flow import Flow, visible
from dsvl_data.render.markdown import write_line, write_markdown
from dsvl_data.render.pages import Chapter, Page
from dsvl_data.render.paginate import Share, paginate
from dsvl_data.render.press import Press, Sheet
from dsvl_data.render.proof import find_cut_pictures, find_faults
from dsvl_data.render.raster import encode, is_grey, rasterise
from dsvl_data.render.template import Template
from dsvl_data.render.textlayer import (
    Painted,
    drawn_fonts,
    find_missing_glyphs,
    has_coloured_glyphs,
    read_painted,
)
from dsvl_data.sample import Image

#: Visible characters a print: about a hundred pages, at which the browser stays below 500 MB.
PRINT_LIMIT = 150_000
#: A page with fewer visible characters shows pictures only, or next to nothing.
MIN_CHARACTERS = 8

#: Prints made or under way while an earlier one is proved: chapters differ in length, and a
#: print is small (a few megabytes at most), so a short chapter need not leave the browser idle.
PRINTS_AHEAD = 8
#: Pages that wait for their image while later ones are proved: two megabytes each.
ENCODED_AHEAD = 4

#: The number of a job, the pages before its print, and the print.
_Waiting: TypeAlias = tuple[int, int, Future[Sheet]]

_NO_IMAGE = Image(b"", "png", 0, 0)


class Printer:
    """Prints chapters; holds one browser, in a thread of its own. For one caller at a time.

    `longest_side` is a page image's longer side in pixels; `timeout` bounds layout and print
    of one chapter, together, in seconds.
    """

    def __init__(
        self,
        *,
        longest_side: int = 1024,
        image_format: Literal["png", "jpg"] = "png",
        timeout: float = 60,
    ) -> None:
        self._longest_side = longest_side
        self._image_format: Literal["png", "jpg"] = image_format
        self._press = Press(longest_side=longest_side, timeout=timeout)
        self._browser = ThreadPoolExecutor(max_workers=1, thread_name_prefix="press")
        self._encoder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")

    @cached_property
    def details(self) -> Mapping[str, str]:
        """Versions for a sample's provenance; asked once, since the browser answers in turn."""
        version = self._browser.submit(self._press.version).result()
        return {"browser": version, "pymupdf": str(pymupdf.version[0])}

    def pages(self, chapter: Chapter, template: Template) -> Iterator[Page]:
        """Yield the chapter's pages in order, failed ones too (see `Page.failure`).

        Raises `DocumentError` (`TIMEOUT`) when layout or print take too long, and
        `WorkerBroken` when the browser dies.
        """
        for _, result in self.stream([(chapter, template)]):
            if isinstance(result, DocumentError):
                raise result
            yield result

    def stream(
        self, jobs: Iterable[tuple[Chapter, Template]]
    ) -> Generator[tuple[int, Page | DocumentError]]:
        """Yield the pages of all jobs in order, each with the number of its job, from 0.

        What `pages` would raise of a document is yielded instead, and ends its job. Faster than
        one call of `pages` after the other: the next chapters are printed while this one's
        pages are drawn and proved. `jobs` is asked for at most `PRINTS_AHEAD` jobs ahead.
        Closing the stream early takes back the prints ahead, save one that is under way.
        """
        with closing(self._prints(jobs)) as prints:
            for number, result in prints:
                if isinstance(result, DocumentError):
                    yield number, result
                else:
                    for page in result:
                        yield number, page

    def print_many(
        self, jobs: Iterable[tuple[Chapter, Template]]
    ) -> Iterator[list[Page] | DocumentError]:
        """Yield, for each job in order, all its pages or what `pages` would raise: see `stream`."""
        asked = 0

        def counted() -> Iterator[tuple[Chapter, Template]]:
            nonlocal asked
            for job in jobs:
                asked += 1
                yield job

        done = 0
        pages: list[Page] | DocumentError = []
        for number, result in self.stream(counted()):
            while done < number:
                yield pages
                pages, done = [], done + 1
            if isinstance(result, DocumentError):
                pages = result
            elif isinstance(pages, list):
                pages.append(result)
        while done < asked:
            yield pages
            pages, done = [], done + 1

    def close(self) -> None:
        """End the browser."""
        self._browser.submit(self._press.close).result()
        self._browser.shutdown()
        self._encoder.shutdown()

    def _prints(
        self, jobs: Iterable[tuple[Chapter, Template]]
    ) -> Generator[tuple[int, Iterator[Page] | DocumentError]]:
        """Print the parts of all jobs, some ahead; yields each job's number with its pages."""
        waiting: deque[_Waiting] = deque()
        try:
            yield from self._print_ahead(jobs, waiting)
        finally:
            # Whoever leaves early must not leave work behind that the next one waits for.
            for _, _, printing in waiting:
                printing.cancel()

    def _print_ahead(
        self, jobs: Iterable[tuple[Chapter, Template]], waiting: deque[_Waiting]
    ) -> Iterator[tuple[int, Iterator[Page] | DocumentError]]:
        for number, (chapter, template) in enumerate(jobs):
            before = 0
            for position, part in enumerate(_parts(chapter)):
                # A part's first page number is known when the part before it is printed.
                while len(waiting) >= PRINTS_AHEAD or (position and len(waiting) > 1):
                    yield self._finish(waiting.popleft())[:2]
                ready = self._finish(waiting.popleft()) if position else None
                if ready is not None and isinstance(ready[1], DocumentError):
                    yield ready[:2]
                    break
                before += ready[2] if ready is not None else 0
                printing = self._browser.submit(self._press.print, part, template, before)
                waiting.append((number, before, printing))
                if ready is not None:
                    yield ready[:2]
        while waiting:
            yield self._finish(waiting.popleft())[:2]

    def _finish(self, waiting: _Waiting) -> tuple[int, Iterator[Page] | DocumentError, int]:
        """Wait for a print; its job's number, its pages to come, and how many they are."""
        number, before, printing = waiting
        try:
            sheet = printing.result()
        except DocumentError as error:
            return number, error, 0
        document = pymupdf.open("pdf", sheet.pdf)
        return number, self._prove(sheet, document, before), len(document)

    def _prove(self, sheet: Sheet, document: pymupdf.Document, before: int) -> Iterator[Page]:
        flow, template, drawn = sheet.flow, sheet.template, drawn_fonts(sheet.pdf)
        coloured_glyphs = has_coloured_glyphs(sheet.pdf)
        listings = [document[index].get_displaylist() for index in range(len(document))]
        painted = [read_painted(listing, template) for listing in listings]
        shares = paginate(flow, [page.texts for page in painted])
        spoilt = _spoilt_pages(flow, shares, sheet.broken)
        encoding: deque[tuple[Page, Future[Image]]] = deque()
        for index, (listing, paint, share) in enumerate(
            zip(listings, painted, shares, strict=True)
        ):
            content = document[index].read_contents()
            grey = not coloured_glyphs and is_grey(content)
            raster = rasterise(listing, longest_side=self._longest_side, grey=grey)
            # Encoding lets go of the interpreter: it goes on beside the next page's work.
            image = self._encoder.submit(encode, raster.pixels, self._image_format)
            faults = find_faults(
                paint.spans, _formula_numbers(flow, paint, share), raster, template
            )
            faults += find_cut_pictures(document[index], template)
            missing = find_missing_glyphs(document[index], content, drawn)
            if missing:
                faults.append(f"no font has a glyph for {missing[:20]!r}")
            if share.strange:
                faults.append(f"shown, but not in the text: {share.strange[:40]!r}")
            if share.missing:
                faults.append(f"in the text, but not shown: {share.missing[:40]!r}")
            failure = Reason.PROOF_FAILED if faults else None
            if failure is None and index in spoilt:
                failure, faults = spoilt[index].reason, [spoilt[index].detail]
            if failure is None and share.characters < MIN_CHARACTERS:
                failure = Reason.NO_TEXT
            margins = visible(paint.head + paint.foot)
            page = Page(
                number=before + index + 1,
                image=_NO_IMAGE,
                text=_text(flow, share, paint),
                characters=share.characters + len(margins),
                score=share.score,
                failure=failure,
                detail="; ".join(faults),
                margin_characters=len(margins),
            )
            encoding.append((page, image))
            if len(encoding) > ENCODED_AHEAD:
                yield _with_image(*encoding.popleft())
        while encoding:
            yield _with_image(*encoding.popleft())
        document.close()


def _with_image(page: Page, image: Future[Image]) -> Page:
    return replace(page, image=image.result())


def _spoilt_pages(
    flow: Flow, shares: Sequence[Share], broken: Mapping[str, DocumentError]
) -> dict[int, DocumentError]:
    """Pages on which a broken picture may stand: those of the characters around it."""
    spoilt: dict[int, DocumentError] = {}
    for position, name in flow.images:
        if name in broken:
            for index, share in enumerate(shares):
                if any(start <= position <= end for start, end in share.ranges):
                    spoilt[index] = broken[name]
    return spoilt


def _formula_numbers(flow: Flow, painted: Painted, share: Share) -> list[int]:
    """For each painted span the number of the formula that it belongs to, or -1."""
    if not flow.formulas or not share.order:
        return [-1] * len(painted.spans)
    starts = [start for start, _ in flow.formulas]
    numbers = []
    order = iter(share.order)
    position, end = next(order)
    for span in painted.spans:
        index = bisect_right(starts, position) - 1
        numbers.append(index if index >= 0 and position < flow.formulas[index][1] else -1)
        position += len(visible(span.text))
        while position >= end:
            following = next(order, None)
            if following is None:
                break
            position, end = following[0] + position - end, following[1]
    return numbers


def _parts(chapter: Chapter) -> Iterator[Chapter]:
    """The chapter, or for a very long one several that follow each other."""
    sizes = [sum(len(text) for text in block.itertext()) for block in chapter.body]
    if sum(sizes) <= PRINT_LIMIT or len(sizes) < 2:
        yield chapter
        return
    part: etree._Element | None = None
    filled = 0
    for block, size in zip(chapter.body, sizes, strict=True):
        if part is not None and filled + size > PRINT_LIMIT:
            yield replace(chapter, body=part)
            part = None
        if part is None:
            part, filled = _empty_copy(chapter.body), 0
        part.append(copy.deepcopy(block))
        filled += size
    if part is not None:
        yield replace(chapter, body=part)


def _empty_copy(element: etree._Element) -> etree._Element:
    empty = etree.Element(element.tag)
    for key, value in element.attrib.items():
        empty.set(key, value)
    return empty


def _text(flow: Flow, share: Share, painted: Painted) -> str:
    lines = [write_line(painted.head), write_markdown(flow, share.ranges), write_line(painted.foot)]
    return "\n\n".join(line for line in lines if line)
