"""Notebook outputs as a screen shows them: SVG, HTML and JavaScript to screenshots.

In: the outputs of a notebook, in order. Out: a `Shot` for each that is asked for. nbconvert
makes the page (its HTML exporter, with its templates), Chromium runs it, without a network:
libraries that pages load from elsewhere come from a folder whose tree mirrors host and path.

All outputs of a notebook share one page, with the scripts of earlier cells before them, since a
plot may need the library that another cell's output holds. What does not come out well there
(a script that never ends hides all that follows) is tried again on a page of its own.
"""

from __future__ import annotations

import io
import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat
from nbconvert import HTMLExporter
from PIL import Image as Pillow
from playwright.sync_api import Error, Locator, Page
from playwright.sync_api import TimeoutError as BrowserTimeout

from dsvl_data.outcome import Reason
from dsvl_data.read.blank import ink
from dsvl_data.read.images import MAX_PIXELS
from dsvl_data.render.browser import ORIGIN, Browser
from dsvl_data.render.frozen import frozen
from dsvl_data.render.markup import as_html, is_library, markup_of
from dsvl_data.render.mirror import Mirror
from dsvl_data.render.pages import Asset
from dsvl_data.render.probe import PROBE
from dsvl_data.render.trim import trim
from dsvl_data.sample import Image

_PAGE = "notebook.html"
_PLACE = "payload-of-output-{}-here"
_PLACES = re.compile(r"payload-of-output-(\d+)-here")
_STEP = 0.1  # seconds between two looks at a page
_STILL = 2  # looks without a change that make a page settled
_STUCK = 9  # such looks that make a page, refused something, one that will not draw the rest
_MARGIN = 8  # CSS pixels left around a trimmed figure
_MAX_WIDTH = 4000  # CSS pixels to which a page is widened for what does not fit
#: A page that has a new width gets as much time again to draw for it.
_RESIZED = """() => window[Symbol.for("screen")]?.resized() ?? '"no clock"'"""


@dataclass(frozen=True, slots=True)
class Shown:
    """One output as the page gets it: media type, payload, and the width and height asked for.

    `completes` says that it is the script that draws in the output right before it.
    """

    media_type: str
    payload: Any
    size: Mapping[str, Any] = field(default_factory=dict)
    completes: bool = False


@dataclass(frozen=True, slots=True)
class Shot:
    """What an output shows: its picture (PNG), or why there is none.

    With neither image nor reason it shows no figure and was not meant to: a line of text, or a
    script without a picture. `spoiled`: it may be another output's doing.
    """

    image: Image | None = None
    table: bool = False
    spoiled: bool = False
    reason: Reason | None = None
    detail: str = ""


class Screen:
    """Shoots outputs in one browser. `seconds` bounds a page, `settle` how long it may draw.

    `settle` counts the page's own time, which stands while the page computes or loads: the
    same output gives the same picture on a slow machine, or `TIMEOUT`, never an earlier frame.

    `assets` is a folder that stands for the network: `HOST/PATH` in it answers
    `https://HOST/PATH`. `budget` bounds the seconds spent on one call of `shoot`; what is left
    then is `TIMEOUT`.
    """

    def __init__(
        self,
        browser: Browser,
        *,
        assets: Path | None = None,
        width: int = 1000,
        scale: float = 1,
        seconds: float = 15,
        settle: float = 3,
        budget: float = 60,
        min_ink: float = 0.001,
    ) -> None:
        self.browser = browser
        self.assets = assets
        self.width = width
        self.scale = scale
        self.seconds = seconds
        self.settle = settle
        self.budget = budget
        self.min_ink = min_ink

    @property
    def version(self) -> str:
        """What draws, for provenance: `nbconvert 7.17, chromium 130.0`."""
        return f"nbconvert {version('nbconvert')}, chromium {self.browser.version}"

    def shoot(self, outputs: Sequence[Shown], wanted: Sequence[int]) -> dict[int, Shot]:
        """Shoot the outputs at positions `wanted`; the scripts of all others run too.

        Raises `WorkerBroken` when the browser dies.
        """
        if not wanted:
            return {}
        deadline = time.monotonic() + self.budget
        scripted = [i for i, output in enumerate(outputs) if markup_of(output).scripted]
        together = sorted({*scripted, *wanted})
        shots = self._page(outputs, together, wanted, deadline)
        for position in wanted:
            alone = [i for i in scripted if i < position and is_library(outputs[i])] + [position]
            alone += [i for i in (position + 1,) if i < len(outputs) and outputs[i].completes]
            if alone != together and not _settled(shots[position]):
                shots.update(self._page(outputs, alone, [position], deadline))
        return shots

    @cached_property
    def _exporter(self) -> HTMLExporter:
        # It warns of images without a text for the blind, of which a notebook has many.
        log = logging.getLogger(f"{__name__}.nbconvert")
        log.setLevel(logging.ERROR)
        untyped: Any = HTMLExporter
        exporter: HTMLExporter = untyped(
            template_name="lab",
            exclude_input=True,
            exclude_input_prompt=True,
            exclude_output_prompt=True,
            log=log,
        )
        return exporter

    def _html(self, outputs: Sequence[Shown], positions: Sequence[int]) -> bytes:
        cells = []
        payloads: dict[int, str] = {}
        for i in positions:
            media_type, payload = as_html(outputs[i])
            if media_type in ("text/html", "application/javascript"):
                # nbconvert parses its own page again, which takes seconds for a plotting library.
                payloads[i], payload = str(payload), _PLACE.format(i)
            size = {
                name: value
                for name, value in outputs[i].size.items()
                if name in ("width", "height") and isinstance(value, int | float)
            }
            output = {
                "output_type": "display_data",
                "data": {media_type: payload},
                "metadata": {media_type: size},
            }
            # A cell for each, so that each has an element with an id of ours around it.
            cell: dict[str, Any] = {
                "cell_type": "code",
                "source": "",
                "metadata": {},
                "execution_count": None,
            }
            cells.append({**cell, "id": f"o{i}", "outputs": [output]})
        notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
        untyped: Any = nbformat.from_dict
        html, _ = self._exporter.from_notebook_node(untyped(notebook))
        page = _PLACES.sub(lambda place: payloads[int(place[1])], str(html))
        return page.encode("utf-8", "replace")

    def _page(
        self,
        outputs: Sequence[Shown],
        positions: Sequence[int],
        wanted: Sequence[int],
        deadline: float,
    ) -> dict[int, Shot]:
        """Shoot `wanted` on one page that holds the outputs at `positions`."""
        end = min(deadline, time.monotonic() + self.seconds)
        late = Shot(reason=Reason.TIMEOUT, detail=f"no end within {self.seconds:g} seconds")
        shots = dict.fromkeys(wanted, late)
        if end - time.monotonic() < 1:
            return shots
        own = Asset(self._html(outputs, positions), "text/html; charset=utf-8")
        resources = Mirror(self.assets, {_PAGE: own})
        with self.browser.page(
            javascript=True, width=self.width, scale=self.scale, resources=resources
        ) as page:
            try:
                page.add_init_script(frozen(self.settle))
                page.goto(ORIGIN + _PAGE, wait_until="load", timeout=_left(end))
                seen = self._watch(page, wanted, end, own.data)
                wide = max(int(s["overflow"]) for s in seen.values())
                if wide > self.width:
                    page.set_viewport_size({"width": min(wide, _MAX_WIDTH), "height": 1024})
                    _ask(page.main_frame, _RESIZED, None, end)
                    seen = self._watch(page, wanted, end, own.data)
                for position in wanted:
                    shots[position] = self._shot(
                        page,
                        seen[position],
                        position,
                        output=outputs[position],
                        blocked=_blocked(self.browser.blocked, self._exporter, own.data),
                        end=end,
                    )
            except BrowserTimeout:
                pass  # what has no shot yet stays `late`
            except Error as error:
                if "crashed" not in str(error) or not self.browser.alive:
                    raise
                crash = Shot(reason=Reason.BROWSER_CRASHED, detail="its page used up its memory")
                shots.update((p, crash) for p in wanted if shots[p] is late)
        return shots

    def _watch(
        self, page: Page, wanted: Sequence[int], end: float, source: bytes
    ) -> dict[int, dict[str, Any]]:
        """Look at the outputs until nothing changes any more and all that will draw have drawn."""
        give_up = min(time.monotonic() + self.settle, end)
        still, last = 0, None
        while True:
            seen = {p: _look(page, f"cell-id=o{p}", end) for p in wanted}
            still = still + 1 if seen == last else 0
            last = seen
            if not any(s["busy"] for s in seen.values()):
                drawn = all(s["graphics"] or s["cells"] for s in seen.values())
                stuck = still >= _STUCK and _blocked(self.browser.blocked, self._exporter, source)
                if (still >= _STILL and (drawn or stuck)) or time.monotonic() >= give_up:
                    return seen
            if time.monotonic() >= end:
                raise BrowserTimeout("the page is not done")
            page.wait_for_timeout(_STEP * 1000)

    def _shot(
        self,
        page: Page,
        seen: dict[str, Any],
        position: int,
        *,
        output: Shown,
        blocked: list[str],
        end: float,
    ) -> Shot:
        """Judge what an output shows (`seen`, from the probe), and take its picture."""
        scripted = markup_of(output).scripted
        # Who asked is not known; when alone again on a page, an output has only itself to blame.
        source = str(output.payload)
        foreign = not any((urlsplit(url).hostname or url) in source for url in blocked)
        if seen["nested"]:
            if page.url.startswith("chrome-error:"):  # a script led the page elsewhere
                return replace(_missing(blocked), spoiled=True)
            detail = "its place on the page is gone"
            return Shot(reason=Reason.BAD_MARKUP, detail=detail, spoiled=True)
        if seen["broken"]:
            return _missing(seen["broken"])
        if not seen["graphics"]:
            if seen["cells"] and not (scripted and blocked and not seen["text"]):
                shot = self._picture(page, position, seen, end, scripted=scripted)
                return replace(shot, table=True)
            if scripted and blocked:
                return replace(_missing(blocked), spoiled=foreign)
            if scripted and seen["height"] >= 32 and not seen["text"]:
                return Shot(reason=Reason.BLANK_IMAGE, detail="its script draws nothing")
            return Shot()
        shot = self._picture(page, position, seen, end, scripted=scripted)
        if shot.reason is Reason.BLANK_IMAGE and blocked:
            return replace(_missing(blocked), spoiled=foreign)
        return shot

    def _picture(
        self, page: Page, position: int, seen: dict[str, Any], end: float, *, scripted: bool
    ) -> Shot:
        if seen["overflow"] > _MAX_WIDTH:
            detail = f"wider than the {_MAX_WIDTH} CSS pixels of the widest page"
            return Shot(reason=Reason.IMAGE_BOMB, detail=detail)
        pixels = seen["width"] * seen["height"] * self.scale**2
        if pixels > MAX_PIXELS:
            size = f"{seen['width']:.0f} x {seen['height']:.0f}"
            return Shot(reason=Reason.IMAGE_BOMB, detail=f"{size} CSS pixels on the page")
        element = page.locator(f'[id="cell-id=o{position}"] .jp-OutputArea-output').first
        picture = _steady(page, element, end, shots=2 if scripted else 1)
        # A worker, which has a clock of its own, may draw later.
        if scripted and ink(picture) < self.min_ink and time.monotonic() + self.settle < end:
            page.wait_for_timeout(self.settle * 1000)
            picture = _steady(page, element, end, shots=2)
        picture = trim(picture, round(_MARGIN * self.scale))
        if ink(picture) < self.min_ink:
            return Shot(reason=Reason.BLANK_IMAGE, detail=f"ink {ink(picture):.4f}")
        encoded = io.BytesIO()
        picture.save(encoded, "PNG")
        return Shot(Image(encoded.getvalue(), "png", *picture.size))


def _steady(page: Page, element: Locator, end: float, *, shots: int) -> Pillow.Image:
    """Shoot until so many pictures in a row are the same; `BrowserTimeout` when none are."""
    same, last = 0, b""
    while True:
        data = element.screenshot(
            type="png", animations="disabled", caret="hide", timeout=_left(end)
        )
        same = same + 1 if data == last else 1
        if same >= shots:
            return Pillow.open(io.BytesIO(data)).convert("RGB")
        if time.monotonic() >= end:
            raise BrowserTimeout("the picture changes")
        if last:
            page.wait_for_timeout(_STEP * 1000)
        last = data


def _look(page: Page, element: str, end: float) -> dict[str, Any]:
    """Ask the page what an output shows; frames of another origin are asked themselves."""
    seen = _ask(page.main_frame, PROBE, {"id": element}, end)
    for source in seen.pop("frames"):
        frame = next((f for f in page.frames if f.url == source), None)
        if frame is None:  # refused, so its address is that of an error page
            seen["broken"].append(source)
            continue
        inner = _ask(frame, PROBE, {"id": None}, end)
        for name in ("graphics", "cells", "text", "nodes", "busy"):
            seen[name] += inner[name]
        seen["broken"] += inner["broken"]
    return seen


def _ask(frame: Any, script: str, argument: Any, end: float) -> dict[str, Any]:
    # `evaluate` waits for ever for a page whose script does not end; this has a limit.
    handle = frame.wait_for_function(script, arg=argument, timeout=_left(end))
    answer: dict[str, Any] = json.loads(handle.json_value())
    return answer


def _left(end: float) -> float:
    """Milliseconds that are left, at least one: Playwright takes 0 for no limit."""
    return max(1.0, (end - time.monotonic()) * 1000)


def _settled(shot: Shot) -> bool:
    """Whether a second try, alone, would tell nothing new."""
    final = (None, Reason.NEEDS_NETWORK, Reason.MISSING_IMAGE, Reason.IMAGE_BOMB)
    return not shot.spoiled and shot.reason in final


def _missing(urls: Sequence[str]) -> Shot:
    """Say what an output lacks: files that lay beside the notebook, or the network."""
    own = [url.removeprefix(ORIGIN) for url in urls if url.startswith(ORIGIN)]
    if len(own) == len(urls):
        return Shot(reason=Reason.MISSING_IMAGE, detail="not in the notebook: " + _few(own))
    away = [url for url in urls if not url.startswith(ORIGIN)]
    files = [url for url in away if url.startswith("file:")]
    if files:
        return Shot(reason=Reason.UNSAFE_PATH, detail="asked for " + _few(files))
    return Shot(reason=Reason.NEEDS_NETWORK, detail="asked for " + _few(away))


def _few(names: Sequence[str]) -> str:
    short = [name if len(name) <= 120 else name[:117] + "..." for name in dict.fromkeys(names)]
    return ", ".join(short[:3]) + (f" and {len(short) - 3} more" if len(short) > 3 else "")


def _blocked(urls: Sequence[str], exporter: HTMLExporter, page: bytes) -> list[str]:
    """The refused requests that the outputs made, not nbconvert's template for itself."""
    own = {exporter.mathjax_url, exporter.mermaid_js_url, exporter.mermaid_layout_elk_js_url}
    found = [url for url in urls if url not in own and not url.endswith("/favicon.ico")]
    others = [url for url in found if url != exporter.require_js_url]
    # The template asks for require.js always; what it would do for nobody is no loss.
    required = b"require(" in page or b"require.config" in page
    return others or (found if required else [])
