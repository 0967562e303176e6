"""One chapter laid out and printed, once, as a PDF.

In: a `Chapter` and a `Template`. Out: a `Sheet`: the PDF, the flow that it shows, and the
pictures that it fails to show. The browser has no network, no files and no scripts, and a
time limit.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from playwright.sync_api import Error
from playwright.sync_api import Page as BrowserPage

from dsvl_data.outcome import DocumentError, Reason, WorkerBroken
from dsvl_data.render.browser import ORIGIN, Browser
from dsvl_data.render.fitting import SVG_TYPE, fit_picture
from dsvl_data.render.flow import Flow, build_flow
from dsvl_data.render.pages import Asset, Chapter
from dsvl_data.render.template import Template
from dsvl_data.render.textlayer import lighten

#: A browser page is replaced after so many prints, so that nothing piles up in it.
_PRINTS_A_PAGE = 100

_POLICY = f"default-src 'none'; img-src {ORIGIN} data:; style-src 'unsafe-inline'"
#: Laid out for paper only: on a screen nobody looks at, the same work would be done first.
_NO_SCREEN = "@media screen{body{display:none!important}}"
_FRAME_NAME = "frame.xhtml"
#: One document for all chapters, which are put into it: a navigation costs as much as four pages.
_FRAME = Asset(
    (
        '<!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"><head>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"/>'
        "<title>-</title><style></style></head><body></body></html>"
    ).encode(),
    "application/xhtml+xml; charset=utf-8",
)
_FILL = """({language, direction, style, body}) => {
    document.documentElement.lang = language;
    document.documentElement.dir = direction;
    document.querySelector("style").textContent = style;
    document.body.innerHTML = body;
}"""
#: Scripts are off, so nothing can listen for an image's load; but it can be asked to be decoded.
_LOAD_IMAGES = "Promise.allSettled(Array.from(document.images, i => i.decode()))"
_IMAGES_SHOWN = "Array.from(document.images, i => i.complete && i.naturalWidth > 0)"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A print. `broken` says by name what is wrong with pictures that are not shown."""

    template: Template
    flow: Flow
    pdf: bytes
    broken: dict[str, DocumentError]


class Press:
    """Holds the browser that prints; to be used from one thread only, as Playwright is."""

    def __init__(self, *, longest_side: int, timeout: float) -> None:
        self._longest_side = longest_side
        self._timeout = timeout
        self._browser = Browser(timeout=timeout)
        self._resources: dict[str, Asset] = {}
        self._open = ExitStack()
        self._page: BrowserPage | None = None
        self._prints = 0

    def version(self) -> str:
        """The browser's version."""
        return self._browser.version

    def print(self, chapter: Chapter, template: Template, before: int) -> Sheet:
        """Print a chapter whose first page has the number `before` + 1.

        Raises `DocumentError` (`TIMEOUT`), and `WorkerBroken` when the browser dies.
        """
        folder = f"{self._prints}/"
        pictures, broken = _pictures(chapter, template, self._longest_side)
        drawings = {name for name, asset in pictures.items() if asset.media_type == SVG_TYPE}
        flow = build_flow(chapter.body, image_url=ORIGIN + folder, drawings=drawings)
        self._resources.clear()
        self._resources[_FRAME_NAME] = _FRAME
        self._resources.update((folder + name, asset) for name, asset in pictures.items())
        content = {
            "language": chapter.body.get("lang") or chapter.language or "en",
            "direction": "rtl" if chapter.body.get("dir") == "rtl" else "ltr",
            "style": _style(chapter, template, before),
            "body": flow.html,
        }
        pdf, shown = self._print(content, has_images=bool(flow.images))
        for number, ok in enumerate(shown):
            name = flow.images[number][1]
            if not ok and name not in broken:
                broken[name] = DocumentError(Reason.BAD_IMAGE, f"{name} is not shown")
        return Sheet(template, flow, lighten(pdf), broken)

    def close(self) -> None:
        """End the browser."""
        self._close_page()
        self._browser.close()

    def _print(self, content: Mapping[str, str], *, has_images: bool) -> tuple[bytes, list[bool]]:
        """Lay out and print; returns the PDF and, for each image, whether it is shown."""
        self._prints += 1
        try:
            with self._browser.limit(self._timeout):
                page = self._fresh_page()
                page.evaluate(_FILL, content)
                shown = []
                if has_images:
                    page.evaluate(_LOAD_IMAGES)
                    shown = page.evaluate(_IMAGES_SHOWN)
                return page.pdf(prefer_css_page_size=True, print_background=True), shown
        except BaseException as error:
            # A browser that printed nothing once is not trusted with another chapter.
            self._page = None
            with suppress(Error, WorkerBroken):
                self._open.__exit__(type(error), error, error.__traceback__)
            if isinstance(error, Error):
                # Clean HTML does not break a browser: the document gets another try.
                raise WorkerBroken(Reason.BROWSER_CRASHED, str(error)) from error
            raise

    def _fresh_page(self) -> BrowserPage:
        if self._page is None or self._prints % _PRINTS_A_PAGE == 0:
            self._close_page()
            self._page = self._open.enter_context(
                self._browser.page(resources=self._resources, width=64, height=64)
            )
            self._page.goto(ORIGIN + _FRAME_NAME, timeout=0)  # the limit counts
        return self._page

    def _close_page(self) -> None:
        self._page = None
        self._open.close()


def _style(chapter: Chapter, template: Template, before: int) -> str:
    header = json.dumps(_fitting(chapter.header, template), ensure_ascii=False)
    return (
        f"{_NO_SCREEN}{template.stylesheet}\nhtml{{--header:{header};counter-reset:page {before}}}"
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
