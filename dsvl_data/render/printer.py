"""From clean HTML to proved pages: the one door of the rendering core.

In: a `Chapter` and a `Template`. Out: `Page`s, each with its picture, the Markdown of exactly
what the picture shows, and the verdict of the proof.

A chapter is laid out once, as a PDF, by a browser that has no network, no files and no
scripts; PyMuPDF draws its pages. Chapters with more than `PRINT_LIMIT` characters go in
several prints, cut between blocks: memory stays bounded, at the price of a page that ends
early at each cut.
"""

from __future__ import annotations

import copy
import html
import json
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Literal

import pymupdf
from lxml import etree
from playwright.sync_api import Error
from playwright.sync_api import Page as BrowserPage
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.render.browser import ORIGIN, Browser
from dsvl_data.render.fitting import SVG_TYPE, fit_picture
from dsvl_data.render.flow import Flow, build_flow, visible
from dsvl_data.render.markdown import write_line, write_markdown
from dsvl_data.render.pages import Asset, Chapter, Page
from dsvl_data.render.paginate import Share, paginate
from dsvl_data.render.proof import find_faults
from dsvl_data.render.raster import encode, rasterise
from dsvl_data.render.template import Template
from dsvl_data.render.textlayer import (
    Painted,
    drawn_fonts,
    find_missing_glyphs,
    lighten,
    read_painted,
)

#: Visible characters a print: about a hundred pages, at which the browser stays below 500 MB.
PRINT_LIMIT = 150_000
#: A page with fewer visible characters shows pictures only, or next to nothing.
MIN_CHARACTERS = 8
#: A browser page is replaced after so many prints, so that nothing piles up in it.
_PRINTS_A_PAGE = 100

_POLICY = f"default-src 'none'; img-src {ORIGIN} data:; style-src 'unsafe-inline'"
_IMAGES_SHOWN = "Array.from(document.images, i => i.complete && i.naturalWidth > 0)"
_FRAME = (
    '<!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml" lang="{language}" dir="{direction}"'
    '><head><meta http-equiv="Content-Security-Policy" content="{policy}"/>'
    "<title>-</title><style>{style}</style></head><body>{body}</body></html>"
)


class Printer:
    """Prints chapters; holds one browser. Not to be shared between threads.

    `longest_side` is a page image's longer side in pixels; `timeout` bounds the layout and the
    print of one chapter, each, in seconds.
    """

    def __init__(
        self,
        *,
        longest_side: int = 1024,
        image_format: Literal["png", "jpg"] = "png",
        timeout: float = 60,
        browser: Browser | None = None,
    ) -> None:
        self.longest_side = longest_side
        self.image_format = image_format
        self._browser = browser or Browser(timeout=timeout)
        self._timeout = timeout
        self._resources: dict[str, Asset] = {}
        self._open = ExitStack()
        self._page: BrowserPage | None = None
        self._prints = 0
        self._encoder = ThreadPoolExecutor(max_workers=1)

    @property
    def details(self) -> dict[str, str]:
        """Versions for a sample's provenance."""
        return {"browser": self._browser.version, "pymupdf": str(pymupdf.version[0])}

    def pages(self, chapter: Chapter, template: Template) -> Iterator[Page]:
        """Yield the chapter's pages in order, failed ones too (see `Page.failure`).

        Raises `DocumentError` (`TIMEOUT`) when layout or print take too long, and
        `WorkerBroken` when the browser dies.
        """
        number = 0
        for part in _parts(chapter):
            for page in self._part(part, template, number):
                number = page.number
                yield page

    def print_many(self, jobs: Iterable[tuple[Chapter, Template]]) -> Iterator[list[Page]]:
        """Yield the pages of each job, in order."""
        for chapter, template in jobs:
            yield list(self.pages(chapter, template))

    def close(self) -> None:
        """End the browser."""
        self._close_page()
        self._browser.close()
        self._encoder.shutdown()

    def _part(self, chapter: Chapter, template: Template, before: int) -> Iterator[Page]:
        folder = f"{self._prints}/"
        pictures, broken = _pictures(chapter, template, self.longest_side)
        drawings = {name for name, asset in pictures.items() if asset.media_type == SVG_TYPE}
        flow = build_flow(chapter.body, image_url=ORIGIN + folder, drawings=drawings)
        self._resources.clear()
        self._resources.update((folder + name, asset) for name, asset in pictures.items())
        pdf, shown = self._print(
            _frame(chapter, template, flow, before), folder, has_images=bool(flow.images)
        )
        for number, ok in enumerate(shown):
            name = flow.images[number][1]
            if not ok and name not in broken:
                broken[name] = DocumentError(Reason.BAD_IMAGE, f"{name} is not shown")
        pdf = lighten(pdf)
        with pymupdf.open("pdf", pdf) as document:
            yield from self._prove(document, drawn_fonts(pdf), flow, template, broken, before)

    def _prove(
        self,
        document: pymupdf.Document,
        drawn: frozenset[bytes],
        flow: Flow,
        template: Template,
        broken: Mapping[str, DocumentError],
        before: int,
    ) -> Iterator[Page]:
        listings = [document[index].get_displaylist() for index in range(len(document))]
        painted = [read_painted(listing, template) for listing in listings]
        shares = paginate(flow, [page.texts for page in painted])
        spoilt = _spoilt_pages(flow, shares, broken)
        for index, (listing, paint, share) in enumerate(
            zip(listings, painted, shares, strict=True)
        ):
            raster = rasterise(listing, longest_side=self.longest_side)
            # Encoding lets go of the interpreter, so it goes on beside the checks.
            image = self._encoder.submit(encode, raster.pixels, self.image_format)
            faults = find_faults(
                paint.spans, _formula_numbers(flow, paint, share), raster, template
            )
            missing = find_missing_glyphs(document[index], drawn)
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
            yield Page(
                number=before + index + 1,
                image=image.result(),
                text=_text(flow, share, paint),
                characters=share.characters + len(margins),
                score=share.score,
                failure=failure,
                detail="; ".join(faults),
                margin_characters=len(margins),
            )

    def _print(self, document: str, folder: str, *, has_images: bool) -> tuple[bytes, list[bool]]:
        """Lay out and print; returns the PDF and, for each image, whether it is shown."""
        name = folder + "chapter.xhtml"
        self._resources[name] = Asset(document.encode(), "application/xhtml+xml; charset=utf-8")
        self._prints += 1
        with self._browser.limit(self._timeout):
            try:
                page = self._fresh_page()
                page.goto(ORIGIN + name, wait_until="load", timeout=self._timeout * 1000)
                shown = page.evaluate(_IMAGES_SHOWN) if has_images else []
                return page.pdf(prefer_css_page_size=True, print_background=True), shown
            except Error as error:
                # Through the browser's own hands, which know a dead browser from a bad page.
                self._page = None
                self._open.__exit__(type(error), error, error.__traceback__)
                if isinstance(error, PlaywrightTimeout):
                    detail = f"layout took over {self._timeout:g} s"
                    raise DocumentError(Reason.TIMEOUT, detail) from error
                raise

    def _fresh_page(self) -> BrowserPage:
        if self._page is None or self._prints % _PRINTS_A_PAGE == 0:
            self._close_page()
            self._page = self._open.enter_context(self._browser.page(resources=self._resources))
        return self._page

    def _close_page(self) -> None:
        self._page = None
        self._open.close()


def _frame(chapter: Chapter, template: Template, flow: Flow, before: int) -> str:
    direction = "rtl" if chapter.body.get("dir") == "rtl" else "ltr"
    header = json.dumps(_fitting(chapter.header, template), ensure_ascii=False)
    style = f"{template.stylesheet}\nhtml{{--header:{header};counter-reset:page {before}}}"
    return _FRAME.format(
        language=html.escape(chapter.body.get("lang") or chapter.language or "en"),
        direction=direction,
        policy=_POLICY,
        style=html.escape(style, quote=False),
        body=flow.html,
    )


def _fitting(header: str, template: Template) -> str:
    """The header, cut so that it fits half of the page's width at any template's size."""
    left, _, right, _ = template.content
    room = (right - left) * 0.6 / 11
    header = " ".join(header.split())
    for number, character in enumerate(header):
        room -= 1.0 if unicodedata.east_asian_width(character) in "WF" else 0.6
        if room < 0:
            return header[:number].rpartition(" ")[0] or header[:number]
    return header


def _pictures(
    chapter: Chapter, template: Template, longest_side: int
) -> tuple[dict[str, Asset], dict[str, DocumentError]]:
    """The chapter's pictures ready for print, and what is wrong with the others, by name."""
    ready: dict[str, Asset] = {}
    broken: dict[str, DocumentError] = {}
    for image in chapter.body.iter("img"):
        name = image.get("src", "")
        if name in ready or name in broken:
            continue
        asset = chapter.assets.get(name)
        if asset is None:
            broken[name] = DocumentError(Reason.MISSING_IMAGE, f"no image {name!r}")
            continue
        try:
            ready[name] = fit_picture(asset, template, longest_side=longest_side)
        except DocumentError as error:
            broken[name] = error
    return ready, broken


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
