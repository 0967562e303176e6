"""A web page and its source as a proved pair: a picture, and one self-contained HTML that gives it.

In: the bytes of an HTML document and the files beside it (`read.sites`). Out: a `Pair`. The page is
loaded in Chromium (`render.visit`): nothing is fetched, no script runs unless asked for, no web
font, frame or film is shown, and each picture is a `Placeholder` of its size and mean colour. What
the page then consists of is cleaned, pruned and written out (`render.pruning`, `render.source`),
and the result is loaded again, alone: it may ask for nothing, and must show the same pixels.

What nobody can see on the picture (menus that are closed, what lies below its edge) is left out of
the source. Where the height of a page shows, it looks another way without what lies below: then
the page itself, so shortened, is what its source must show.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Error, Page, Route
from playwright.sync_api import TimeoutError as BrowserTimeout

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.sites import Site
from dsvl_data.render.browser import Browser
from dsvl_data.render.frozen import frozen
from dsvl_data.render.pruning import Answers, ask, prune
from dsvl_data.render.source import Writer
from dsvl_data.render.styles import Sheet, parse_declarations, write, write_declarations
from dsvl_data.render.survey import HARVEST, SURVEY
from dsvl_data.render.visit import Visit
from dsvl_data.render.window import Window
from dsvl_data.sample import Image

_CLEANED = "http://cleaned.invalid/page.html"
_MAX_ELEMENTS = 10_000
_USES = 100  # documents after which the pages are opened anew
_STEP = 0.05
#: Share of a page's elements that may move when what lies below its picture is taken away.
_MOVED = 0.25
#: Sheets without which a page still looks as it should: letters and signs.
_FONTS = re.compile(r"font|icon|typekit|material-symbols", re.IGNORECASE)
#: Scripts that make a page's style.
_STYLISTS = re.compile(r"tailwind|unocss|twind|(^|/)less(\.min)?\.js|windicss", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class View:
    """How a page is looked at: a window in CSS pixels, or with `whole` down to `max_height`."""

    width: int
    height: int
    whole: bool = False
    max_height: int = 3000


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture and its source.

    `differing` is the share of pixels that differ between the page as it was and as its source
    shows it; `complete` says that what cannot be seen is still in the source.
    """

    image: Image
    source: str
    text: str
    ink: float
    differing: float
    complete: bool
    pictures: int
    absent: int


class WebPages:
    """Makes pairs in one browser, whose pages it uses again.

    A `still` browser is faster, and takes no pages with `scripts`: they need frames to go on.

    `seconds` bounds each document, `settle` the page's own time with `scripts`; `tolerance` is the
    share of pixels that may differ, by more than 16 of 255.
    """

    def __init__(
        self,
        browser: Browser,
        *,
        seconds: float = 20,
        scripts: bool = False,
        settle: float = 3,
        tolerance: float = 0.0001,
        max_characters: int = 30_000,
        min_ink: float = 0.003,
    ) -> None:
        if scripts and browser.still:
            raise ValueError("pages with scripts need a browser that is not still")
        self.browser = browser
        self.seconds = seconds
        self.scripts = scripts
        self.settle = settle
        self.tolerance = tolerance
        self.max_characters = max_characters
        self.min_ink = min_ink
        self._open = ExitStack()
        self._windows: tuple[Window, Window] | None = None
        self._uses = 0
        self._visits = 0
        self._visit: Visit | None = None
        self._asked: list[str] = []

    def close(self) -> None:
        """Close the pages; the browser is its owner's."""
        self._windows = None
        with suppress(Error):  # the browser may be gone
            self._open.close()

    def pair(self, html: bytes, site: Site, view: View) -> Pair:
        """Make the pair of one document.

        Raises `DocumentError`: `BLANK_IMAGE`, `TEXT_TOO_LONG`, `NEEDS_NETWORK`, `MISSING_FILE`,
        `MISSING_IMAGE`, `IMAGE_BOMB`, `UNSAFE_PATH`, `BAD_MARKUP`, `TIMEOUT`, and `PROOF_FAILED`
        as `Unproved`; `WorkerBroken` when the browser dies.
        """
        sound = False
        try:
            with self.browser.limit(self.seconds):
                pair = self._pair(html, site, view)
            sound = True
        except DocumentError as error:
            sound = error.reason is not Reason.TIMEOUT
            raise
        except BrowserTimeout as error:
            detail = f"no end within {self.seconds:g} seconds"
            raise DocumentError(Reason.TIMEOUT, detail) from error
        except Error as error:
            if "crashed" not in str(error) or not self.browser.alive:
                raise
            detail = "its page used up its memory"
            raise DocumentError(Reason.BROWSER_CRASHED, detail) from error
        finally:
            self._visit = None
            if not sound:
                self.close()
        return pair

    def _pair(self, html: bytes, site: Site, view: View) -> Pair:
        self._visits += 1
        visit = Visit(html, site, number=self._visits, scripts=self.scripts)
        first, second = self._fresh_windows()
        self._visit = visit
        with ExitStack() as stack:
            if self.scripts:
                # Scripts leave traces in a browser's stores: each document gets its own.
                page = stack.enter_context(self.browser.page(javascript=True))
                page.route("**/*", self._answer)
                page.add_init_script(frozen(self.settle))
                first = Window(page, self.browser)
            return self._proved(first, second, visit, view)

    def _proved(self, first: Window, second: Window, visit: Visit, view: View) -> Pair:
        first.resize(view.width, view.height)
        first.open(visit.url, self.seconds)
        if self.scripts:
            self._settle(first.page)
        facts = json.loads(first.page.evaluate(SURVEY, self.scripts))
        if facts["late"] and first.still:
            first.draw()
            facts = json.loads(first.page.evaluate(SURVEY, self.scripts))
        self._judge(facts, visit)
        height = min(facts["height"], view.max_height) if view.whole else view.height
        original = first.shoot(view.width, height)
        seen = original.ink()
        if seen < self.min_ink:
            built = facts["scripted"] and not self.scripts
            detail = f"{seen:.4f} of it is no background" + ("; scripts build it" if built else "")
            raise DocumentError(Reason.BLANK_IMAGE, detail)
        harvest, answers = self._harvest(first.page, facts, visit, view.width, height)
        score = 0.0
        for complete in (False, True):
            source = self._write(facts, harvest, answers[complete], visit, complete=complete)
            if len(source) > self.max_characters:
                limit = f"the limit is {self.max_characters}"
                raise DocumentError(Reason.TEXT_TOO_LONG, f"{len(source)} characters, {limit}")
            if self._asked:  # the same document would not ask again for what it was refused
                second.open(_CLEANED, self.seconds)
                self._asked = []
            second.resize(view.width, view.height)
            tall = second.show(source)
            high = min(tall, height) if view.whole else height
            shown = second.shoot(view.width, high)
            differing = original.differing(shown)
            if differing >= self.tolerance and not complete and harvest["moved"] < _MOVED:
                differing = first.shoot(view.width, high).differing(shown)
            score = max(score, 1 - differing)
            if self._asked:
                raise Unproved(f"its source asks for {self._asked[0][:100]}", score)
            if differing < self.tolerance:
                return Pair(
                    Image(shown.data, "png", view.width, high),
                    source,
                    facts["text"],
                    seen,
                    differing,
                    complete,
                    len(visit.shown),
                    len(visit.shown & visit.absent),
                )
            if facts["height"] > height:
                break  # the whole source would tell of what the picture has not
        raise Unproved(f"{1 - score:.4f} of the pixels differ", score)

    def _settle(self, page: Page) -> None:
        end = time.monotonic() + self.seconds
        while page.evaluate('() => window[Symbol.for("screen")]?.busy() ?? false'):
            if time.monotonic() > end:
                raise BrowserTimeout("the page is not done")
            page.wait_for_timeout(_STEP * 1000)

    def _judge(self, facts: dict[str, Any], visit: Visit) -> None:
        """Raise for a page that is not what its author made."""
        if visit.error is not None:
            raise visit.error
        if facts["elements"] > _MAX_ELEMENTS:
            raise DocumentError(Reason.TEXT_TOO_LONG, f"{facts['elements']} elements")
        stylists = [url for url in facts["scripts"] if _STYLISTS.search(url)]
        if stylists and not self.scripts:
            raise _missing(stylists, visit)
        needed = [
            url
            for kind, url in visit.lost
            if (kind == "stylesheet" and url not in facts["unneeded"] and not _FONTS.search(url))
            or (kind == "script" and _STYLISTS.search(url))
        ]
        if needed:
            raise _missing(needed, visit)
        for picture in facts["images"]:
            url = picture["source"]
            if not picture["shown"]:
                continue
            if url.lower().startswith("file:"):
                raise DocumentError(Reason.UNSAFE_PATH, f"asks for {url[:100]}")
            if picture["broken"] or (url in visit.absent and not picture["sized"]):
                own = visit.own_path(url)
                reason = Reason.MISSING_IMAGE if own else Reason.NEEDS_NETWORK
                raise DocumentError(reason, f"{(own or url)[:100]}: its size is told by none else")

    def _harvest(
        self, page: Page, facts: dict[str, Any], visit: Visit, width: int, height: int
    ) -> tuple[dict[str, Any], tuple[_Styling, _Styling]]:
        """Take a page apart: its tree, and what styles it without and with what cannot be seen."""
        sheets = visit.sheets(facts)
        there = None
        if not facts["quirks"]:  # where names that differ by their case only are the same
            names = ["." + n for n in facts["classes"]] + ["#" + n for n in facts["ids"]]
            there = frozenset(names)
        asked = ask(sheets, there)
        probes, lists = list(asked.probes), list(asked.lists)
        media, supports = list(asked.media), list(asked.supports)
        questions = {"probes": probes, "lists": lists, "media": media, "supports": supports}
        harvest = json.loads(page.evaluate(HARVEST, [json.dumps(questions), width, height]))
        if harvest["deep"]:
            raise DocumentError(Reason.BAD_MARKUP, "elements nested too deep")
        valid = set(harvest["valid"])
        invalid = frozenset(text for i, text in enumerate(lists) if i not in valid)
        left, whole = (
            _Styling(
                sheets,
                Answers(
                    frozenset(probes[i] for i in harvest[name]),
                    invalid,
                    dict(zip(media, harvest["media"], strict=True)),
                    dict(zip(supports, harvest["supports"], strict=True)),
                ),
            )
            for name in ("still", "matching")
        )
        return harvest, (left, whole)

    def _write(
        self,
        facts: dict[str, Any],
        harvest: dict[str, Any],
        styling: _Styling,
        visit: Visit,
        *,
        complete: bool,
    ) -> str:
        base = facts["base"]
        rules, names = prune(
            styling.sheets, styling.answers, substitute=visit.substitute, inline=facts["inline"]
        )
        writer = Writer(
            None if facts["quirks"] else frozenset(names),
            picture=lambda url, width, height: visit.picture(url, width, height, base),
            style=lambda text: write_declarations(
                parse_declarations(text), lambda url: visit.substitute(url, base)
            ),
            whole=complete,
        )
        try:
            source = writer.document(harvest["tree"], write(rules, "    "), facts["doctype"])
        except RecursionError as error:
            raise DocumentError(Reason.BAD_MARKUP, "elements nested too deep") from error
        # Scripts may leave halves of characters, which no file can hold; this is how they show.
        return source.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _fresh_windows(self) -> tuple[Window, Window]:
        """The window that documents are opened in, and the one that shows their source."""
        self._uses += 1
        if self._windows is None or not self.browser.alive or self._uses > _USES:
            self.close()
            self._open = ExitStack()
            self._uses = 1
            self._windows = self._new_windows()
        return self._windows

    def _new_windows(self) -> tuple[Window, Window]:
        page = self._open.enter_context(self.browser.page(javascript=True))
        still = self.browser.still
        if still:
            first, second = (self.browser.still_page(page) for _ in range(2))
            page.close()
        else:
            first, second = page, page.context.new_page()
        first.route("**/*", self._answer)
        second.route("**/*", self._answer_cleaned)
        second.goto(_CLEANED)
        return Window(first, self.browser, still=still), Window(second, self.browser, still=still)

    def _answer(self, route: Route) -> None:
        if self._visit is not None and self.browser.alive:
            self._visit.answer(route)

    def _answer_cleaned(self, route: Route) -> None:
        url = route.request.url
        if url == _CLEANED:
            headers = {"content-type": "text/html", "content-security-policy": "script-src 'none'"}
            route.fulfill(body="", headers=headers)
            return
        if not url.endswith("/favicon.ico"):
            self._asked.append(url)
        route.abort("blockedbyclient")


@dataclass(frozen=True, slots=True)
class _Styling:
    sheets: Sequence[Sheet]
    answers: Answers


class Unproved(DocumentError):
    """A pair whose source does not show the picture; `score` is the share of pixels that agree."""

    def __init__(self, detail: str, score: float) -> None:
        super().__init__(Reason.PROOF_FAILED, detail)
        self.score = score


def _missing(urls: Sequence[str], visit: Visit) -> DocumentError:
    own = all(visit.own_path(url) for url in urls)
    names = ", ".join(_short(url, visit) for url in list(dict.fromkeys(urls))[:3])
    return DocumentError(Reason.MISSING_FILE if own else Reason.NEEDS_NETWORK, f"asks for {names}")


def _short(url: str, visit: Visit) -> str:
    return (visit.own_path(url) or url)[:100]
