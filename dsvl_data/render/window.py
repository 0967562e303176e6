"""A window of the browser that is used for many documents, and the pictures taken of it.

In: an address to go to, or a document's text to show in place of what is there. Out: a `Shot` of
the upper left corner, and how far two shots are from each other.
"""

from __future__ import annotations

import base64
import io
import re
import struct
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from playwright.sync_api import CDPSession, Error, Page
from playwright.sync_api import TimeoutError as BrowserTimeout

from dsvl_data.read.blank import ink
from dsvl_data.render.browser import Browser
from dsvl_data.render.survey import REPLACE

_FRAMES = 20  # that a still window draws until it has a picture, at most
_STALLED = 8  # seconds: so long no frame takes, on the busiest machine
_LATE = re.compile("<(?:audio|video)\\b")  # they lay out their buttons with the first frame
_TOLERANCE = 16  # of 255: less is no difference


class Shot:
    """A picture of a page: `data` is its PNG, `pixels` what it shows, height x width x RGB."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, as its PNG's header says."""
        width, height = struct.unpack(">II", self.data[16:24])
        return width, height

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """Decoded on first use: shots with equal bytes need not be."""
        picture = Pillow.open(io.BytesIO(self.data))
        return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))

    def ink(self) -> float:
        """The share of it that is no background, of a quarter of its pixels: they tell as much."""
        height, width = (side // 2 * 2 for side in self.pixels.shape[:2])
        return ink(Pillow.fromarray(self.pixels[1:height:2, 1:width:2]))

    def differing(self, other: Shot) -> float:
        """The share of pixels that differ visibly; rows that only this one has differ."""
        if self.data == other.data:
            return 0.0
        height = min(len(self.pixels), len(other.pixels))
        one, two = self.pixels[:height], other.pixels[:height]
        rows = np.flatnonzero((one != two).reshape(height, -1).any(axis=1))
        apart = np.abs(one[rows].astype(np.int16) - two[rows]) > _TOLERANCE
        # Not `any` along the channels: NumPy is slow where an axis is short.
        wrong = np.count_nonzero(apart[..., 0] | apart[..., 1] | apart[..., 2])
        rest = (len(self.pixels) - height) * self.pixels.shape[1]
        return float((wrong + rest) / (self.pixels.shape[0] * self.pixels.shape[1]))


class Window:
    """A page of the browser, with the session that takes its pictures.

    A `still` one (`Browser.still_page`) draws when a picture is taken and at no other time.
    """

    def __init__(self, page: Page, browser: Browser, *, still: bool = False) -> None:
        self.page = page
        self.still = still
        self._browser = browser
        self._session: CDPSession = page.context.new_cdp_session(page)
        if not still:  # where nothing moves before the first frame
            page.mouse.move(-9, -9)  # it lies at the corner of a page, and what is there lights up

    def resize(self, width: int, height: int) -> None:
        """Set the window's size, in CSS pixels."""
        size = {"width": width, "height": height}
        if self.page.viewport_size != size:
            self.page.set_viewport_size({"width": width, "height": height})

    def open(self, url: str, seconds: float) -> None:
        """Go to an address; what was there is gone, with all that it remembered."""
        self.page.goto(url, wait_until="load", timeout=seconds * 1000)

    def show(self, html: str) -> int:
        """Show a document in place of the one that is there; returns its height.

        Half the work of going to an address. The address, and with it the policy that says
        whether scripts run, stay: only for documents that have no scripts and no files.
        """
        height: int = self.page.evaluate(REPLACE, html)
        if self.still and _LATE.search(html):
            self.draw()
        return height

    def draw(self) -> None:
        """Let a still page draw, so that what waits for a frame goes on."""
        self._frame({"format": "jpeg"})  # without a picture Chromium does not always answer

    def shoot(self, width: int, height: int) -> Shot:
        """Take a picture of the page's upper left corner; equal pixels give equal bytes."""
        # Playwright's own takes twice as long: it waits for frames, and nothing moves any more.
        # Half the time, and a quarter more bytes.
        wanted: dict[str, Any] = {"format": "png", "optimizeForSpeed": True}
        # What lies beyond the window costs another layout.
        beyond = self.page.viewport_size != {"width": width, "height": height}
        if self.still:
            return self._picture(wanted, width, height, beyond=beyond)
        if beyond:
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            wanted |= {"clip": clip, "captureBeyondViewport": True}
        for again in (True, True, False):
            try:
                answer = self._session.send("Page.captureScreenshot", wanted)
                return Shot(base64.b64decode(answer["data"]))
            except Error as error:
                # A busy machine may have no frame yet.
                if not again or "Unable to capture" not in str(error):
                    raise
                self.page.wait_for_timeout(100)
        raise AssertionError("the last try raises or returns")

    def _picture(self, wanted: dict[str, Any], width: int, height: int, *, beyond: bool) -> Shot:
        """Let a still page draw a frame, of more than its window shows if that is `beyond` it."""
        if beyond:
            self._override({"x": 0, "y": 0, "width": width, "height": height, "scale": 1})
        try:
            for _ in range(_FRAMES):  # the first one after a change of size may have the old
                shot = Shot(self._frame(wanted))
                if shot.size == (width, height):
                    return shot
        finally:
            if beyond and self._browser.alive:  # a stalled one has been ended
                self._override(None)
        raise BrowserTimeout(f"no picture of {width} x {height} in {_FRAMES} frames")

    def _frame(self, wanted: dict[str, Any]) -> bytes:
        for _ in range(_FRAMES):  # of a page that has only just opened there may be nothing to see
            answer = self._begin_frame(wanted)
            if "screenshotData" in answer:
                return base64.b64decode(answer["screenshotData"])
        raise BrowserTimeout(f"no picture in {_FRAMES} frames")

    def _begin_frame(self, wanted: dict[str, Any]) -> dict[str, Any]:
        # One frame in a thousand never comes; the engine then gives the page another try.
        with self._browser.stalled_after(_STALLED, "frame"):
            answer: dict[str, Any] = self._session.send(
                "HeadlessExperimental.beginFrame", {"screenshot": wanted}
            )
        return answer

    def _override(self, part: dict[str, int] | None) -> None:
        """Have a part of the page drawn, laid out as in the window; None: what it shows."""
        size: Any = self.page.viewport_size or {}
        metrics: dict[str, Any] = {**size, "deviceScaleFactor": 1, "mobile": False}
        if part is not None:
            metrics["viewport"] = part
        self._session.send("Emulation.setDeviceMetricsOverride", metrics)
