"""A web page and its source as a proved pair: a picture, and one self-contained HTML that gives it.

In: the bytes of an HTML document and the files beside it (`read.sites`). Out: a `Pair`. The page is
loaded in Chromium: nothing is fetched, no script runs unless asked for, no web font, frame or film
is shown, and each picture is a `Placeholder` of its size and mean colour. What the page then
consists of is cleaned, pruned and written out (`render.styles`, `render.source`), and the result is
loaded again, alone: it may ask for nothing, and must show the same pixels.

What nobody can see on the picture (menus that are closed, what lies below its edge) is left out of
the source where the proof allows it.
"""

from __future__ import annotations

import base64
import io
import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

import numpy as np
from PIL import Image as Pillow
from playwright.sync_api import CDPSession, Error, Page, Route
from playwright.sync_api import TimeoutError as BrowserTimeout

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.blank import ink
from dsvl_data.read.sites import Site
from dsvl_data.render.assets import data_asset
from dsvl_data.render.browser import ORIGIN, Browser
from dsvl_data.render.frozen import frozen
from dsvl_data.render.placeholder import ABSENT, Placeholder, placeholder
from dsvl_data.render.source import Writer
from dsvl_data.render.styles import (
    Answers,
    At,
    Sheet,
    ask,
    import_parts,
    imports_of,
    parse_declarations,
    parse_rules,
    prune,
    write,
    write_declarations,
)
from dsvl_data.render.survey import HALT, HARVEST, SURVEY
from dsvl_data.sample import Image

_CLEANED = "http://cleaned.invalid/page.html"
#: What neither form of a page may do, whatever it says itself.
_POLICY = "font-src 'none'; media-src 'none'; object-src 'none'; base-uri *; "
_NO_SCRIPTS = _POLICY + "script-src 'none'"
_MAX_REQUESTS = 500
_MAX_ELEMENTS = 10_000
_MAX_IMPORTS = 5  # sheets that import sheets
_KEPT_DATA = 1000  # characters of a small SVG in a sheet that stays as its author wrote it
_USES = 100  # documents after which the pages are opened anew
_TOLERANCE = 16  # of 255: less is no difference
_STEP = 0.05
#: Share of pixels in which a page may differ that has lost what lies below its picture.
_SHORTENED = 0.25
_DATA = re.compile(
    rb"data:image/(?:png|jpe?g|pjpeg|gif|webp|bmp|avif|tiff|x-icon|vnd\.microsoft\.icon|svg\+xml)"
    rb"(?:;[\w=-]{1,40}){0,3};base64,[A-Za-z0-9+/=%]+",
    re.IGNORECASE,
)
_REFRESH = re.compile(rb"<meta\b[^>]*\bhttp-equiv\s*=\s*[\"']?\s*refresh\b[^>]*>", re.IGNORECASE)
#: Sheets without which a page still looks as it should: letters and signs.
_FONTS = re.compile(r"font|icon|typekit|fonts\.|material-symbols", re.IGNORECASE)
#: Scripts that make a page's style.
_STYLISTS = re.compile(r"tailwind|unocss|twind|(^|/)less(\.min)?\.js|windicss", re.IGNORECASE)
_BLANK = "<!DOCTYPE html><title></title>"


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


@dataclass(slots=True)
class _Visit:
    """What one page asks for while it is open."""

    site: Site
    html: bytes
    url: str
    media_type: str = "text/html"
    scripts: bool = False
    opened: bool = False
    requests: int = 0
    known: dict[str, Placeholder] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)
    lost: list[tuple[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


class WebPages:
    """Makes pairs in one browser, whose pages it uses again.

    `seconds` bounds each document, `settle` the page's own time with `scripts`; `tolerance` is the
    share of pixels that may differ.
    """

    def __init__(
        self,
        browser: Browser,
        *,
        seconds: float = 20,
        scripts: bool = False,
        settle: float = 3,
        tolerance: float = 0.001,
        max_characters: int = 30_000,
        min_ink: float = 0.01,
    ) -> None:
        self.browser = browser
        self.seconds = seconds
        self.scripts = scripts
        self.settle = settle
        self.tolerance = tolerance
        self.max_characters = max_characters
        self.min_ink = min_ink
        self._open = ExitStack()
        self._pages: tuple[Page, Page] | None = None
        self._uses = 0
        self._visit: _Visit | None = None

    def close(self) -> None:
        """Close the pages; the browser is its owner's."""
        self._pages = None
        with suppress(Error):  # the browser may be gone
            self._open.close()

    def pair(self, html: bytes, site: Site, view: View) -> Pair:
        """Make the pair of one document.

        Raises `DocumentError`: `BLANK_IMAGE`, `TEXT_TOO_LONG`, `NEEDS_NETWORK`, `MISSING_FILE`,
        `MISSING_IMAGE`, `IMAGE_BOMB`, `UNSAFE_PATH`, `BAD_MARKUP`, `TIMEOUT`, `PROOF_FAILED`
        (see `Unproved`); `WorkerBroken` when the browser dies.
        """
        try:
            with self.browser.limit(self.seconds):
                return self._pair(html, site, view)
        except DocumentError as error:
            if error.reason in (Reason.TIMEOUT, Reason.BROWSER_CRASHED):
                self.close()
            raise
        except BrowserTimeout as error:
            self.close()
            raise DocumentError(
                Reason.TIMEOUT, f"no end within {self.seconds:g} seconds"
            ) from error
        except Error as error:
            self.close()
            if "crashed" in str(error) and self.browser.alive:
                detail = "its page used up its memory"
                raise DocumentError(Reason.BROWSER_CRASHED, detail) from error
            raise
        except BaseException:
            self.close()
            raise

    def _pair(self, html: bytes, site: Site, view: View) -> Pair:
        first, second = self._fresh_pages()
        visit = _Visit(site, b"", ORIGIN + quote(site.page), scripts=self.scripts)
        visit.media_type = "text/html; charset=utf-8" if _is_utf8(html) else "text/html"
        visit.html = _REFRESH.sub(b"", self._rewritten(html, visit))
        self._visit = visit
        with ExitStack() as stack:
            if self.scripts:
                # Scripts leave traces in a browser's stores: each document gets its own.
                first = stack.enter_context(
                    self.browser.page(javascript=True, width=view.width, height=view.height)
                )
                first.route("**/*", self._answer)
                first.add_init_script(frozen(self.settle))
                first.mouse.move(-9, -9)
            return self._proved(first, second, visit, view)

    def _proved(self, first: Page, second: Page, visit: _Visit, view: View) -> Pair:
        size = {"width": view.width, "height": view.height}
        first.set_viewport_size(size)  # type: ignore[arg-type]
        first.goto(visit.url, wait_until="load", timeout=self.seconds * 1000)
        if self.scripts:
            self._settle(first)
        facts = json.loads(first.evaluate(SURVEY, self.scripts))
        self._judge(facts, visit)
        height = min(facts["height"], view.max_height) if view.whole else view.height
        original = _shoot(first, view.width, height)
        seen = ink(original)
        if seen < self.min_ink:
            built = facts["scripted"] and not self.scripts
            detail = f"{seen:.4f} of it is no background" + ("; scripts build it" if built else "")
            raise DocumentError(Reason.BLANK_IMAGE, detail)
        sheets = self._sheets(facts, visit)
        there = None
        if not facts["quirks"]:  # where names differ by their case too
            names = ["." + n for n in facts["classes"]] + ["#" + n for n in facts["ids"]]
            there = frozenset(names)
        asked = ask(sheets, there)
        questions = {
            name: list(getattr(asked, name)) for name in ("probes", "lists", "media", "supports")
        }
        harvest = json.loads(first.evaluate(HARVEST, [json.dumps(questions), view.width, height]))
        if harvest["deep"]:
            raise DocumentError(Reason.BAD_MARKUP, "elements nested too deep")
        second.set_viewport_size(size)  # type: ignore[arg-type]
        score = 0.0
        for complete in (False, True):
            source = self._source(facts, harvest, questions, sheets, visit, complete=complete)
            if len(source) > self.max_characters:
                limit = f"the limit is {self.max_characters}"
                raise DocumentError(Reason.TEXT_TOO_LONG, f"{len(source)} characters, {limit}")
            visit.html, visit.asked = source.encode(), []
            second.goto(_CLEANED, wait_until="load", timeout=self.seconds * 1000)
            tall = second.evaluate(HALT)
            high = min(tall, height) if view.whole else height
            data = _screenshot(second, view.width, high, fast=False)
            cleaned = Pillow.open(io.BytesIO(data)).convert("RGB")
            differing = _differing(original, cleaned)
            if differing >= self.tolerance and not complete:
                # A page without what lies below looks another way where its height shows: then
                # it is itself, so shortened, that its source must show.
                shortened = _shoot(first, view.width, high)
                if _differing(original, shortened) < _SHORTENED:
                    differing = _differing(shortened, cleaned)
            score = max(score, 1 - differing)
            if visit.asked:
                raise Unproved(f"its source asks for {visit.asked[0][:100]}", score)
            if differing < self.tolerance:
                return Pair(
                    Image(data, "png", view.width, high),
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

    def _judge(self, facts: dict[str, Any], visit: _Visit) -> None:
        """Raise for a page that is not what its author made."""
        if facts["elements"] > _MAX_ELEMENTS:
            raise DocumentError(Reason.TEXT_TOO_LONG, f"{facts['elements']} elements")
        stylists = [s for s in facts["scripts"] if _STYLISTS.search(s)]
        if stylists and not self.scripts:
            raise _missing(stylists)
        needed = [
            url
            for kind, url in visit.lost
            if (kind == "stylesheet" and url not in facts["unneeded"] and not _FONTS.search(url))
            or (kind == "script" and _STYLISTS.search(url))
        ]
        if needed:
            raise _missing(needed)
        for picture in facts["images"]:
            url = picture["source"]
            if not picture["shown"]:
                continue
            if url.lower().startswith("file:"):
                raise DocumentError(Reason.UNSAFE_PATH, f"asks for {url[:100]}")
            unknown = url in visit.absent and not picture["sized"]
            if unknown or picture["broken"]:
                own = url.startswith(ORIGIN)
                reason = Reason.MISSING_IMAGE if own else Reason.NEEDS_NETWORK
                name = url.removeprefix(ORIGIN)[:100]
                raise DocumentError(reason, f"{name}: its size is not known without it")

    def _source(
        self,
        facts: dict[str, Any],
        harvest: dict[str, Any],
        questions: dict[str, list[str]],
        sheets: Sequence[Sheet],
        visit: _Visit,
        *,
        complete: bool,
    ) -> str:
        valid = set(harvest["valid"])
        lists, probes = questions["lists"], questions["probes"]
        answers = Answers(
            frozenset(probes[i] for i in harvest["matching" if complete else "still"]),
            frozenset(text for i, text in enumerate(lists) if i not in valid),
            dict(zip(questions["media"], harvest["media"], strict=True)),
            dict(zip(questions["supports"], harvest["supports"], strict=True)),
        )
        base = facts["base"]

        def substitute(url: str, base: str) -> str | None:
            return self._substitute(url, base, visit)

        rules, names = prune(sheets, answers, substitute=substitute, inline=facts["inline"])
        writer = Writer(
            None if facts["quirks"] else frozenset(names),
            picture=lambda url, w, h: self._picture_url(url, w, h, base, visit),
            style=lambda text: write_declarations(
                parse_declarations(text), lambda url: substitute(url, base)
            ),
            whole=complete,
        )
        try:
            return writer.document(harvest["tree"], write(rules, "    "), facts["doctype"])
        except RecursionError as error:
            raise DocumentError(Reason.BAD_MARKUP, "elements nested too deep") from error

    def _picture_url(self, url: str, width: str, height: str, base: str, visit: _Visit) -> str:
        found = self._placeholder(urljoin(base, url), visit)
        if found is None:
            return self._substitute(url, base, visit) or ABSENT.url
        if found.view_box and not (found.width and found.height):
            return found.url
        if width and height and "0" not in (width, height):
            found = found.sized(float(width), float(height))
        return found.url

    def _substitute(self, url: str, base: str, visit: _Visit) -> str | None:
        if url.startswith("data:") and url not in visit.known:
            small = url.startswith("data:image/svg+xml") and len(url) <= _KEPT_DATA
            return re.sub(r"\s+", " ", url.replace('"', "%22")) if small else None
        try:
            found = self._placeholder(urljoin(base, url), visit)
        except ValueError:  # no address at all
            return None
        return found.url if found else None

    def _placeholder(self, url: str, visit: _Visit) -> Placeholder | None:
        """What stands for a picture: that of an own file, or grey."""
        if url in visit.known:
            return visit.known[url]
        if url.startswith("data:"):
            asset = data_asset(url)
            if asset is None or len(url) <= _KEPT_DATA:
                return None
            data: bytes | None = asset.data
        else:
            data = visit.site.read(path) if (path := _own_path(url)) else None
        found = None
        if data:
            try:
                found = placeholder(data)
            except DocumentError as error:
                if error.reason is Reason.IMAGE_BOMB:
                    raise
        if found is None:
            visit.absent.add(url)
        visit.known[url] = found = found or ABSENT
        return found

    def _sheets(self, facts: dict[str, Any], visit: _Visit) -> list[Sheet]:
        sheets: list[Sheet] = []
        for entry in facts["sheets"]:
            if "href" in entry:
                text = self._css(entry["href"] or "", visit)
                base = entry["href"] or ""
            else:
                text, base = entry["text"], facts["base"]
            if text is not None:
                sheets += self._with_imports(text, base, entry["media"], visit, ())
        return sheets

    def _with_imports(
        self, text: str, base: str, media: str, visit: _Visit, chain: tuple[str, ...]
    ) -> Iterator[Sheet]:
        rules = parse_rules(text)
        for rule in imports_of(rules):
            url, condition, layer, supports = import_parts(rule)
            url = urljoin(base, url)
            if not url or url in chain or len(chain) >= _MAX_IMPORTS:
                continue
            imported = self._css(url, visit)
            if imported is None:
                continue
            condition = condition or "all"
            for sheet in self._with_imports(imported, url, "", visit, (*chain, url)):
                inner = sheet.rules
                if supports:
                    wrapped = supports if supports.startswith("(") else f"({supports})"
                    inner = (At("supports", wrapped, inner),)
                if sheet.media and sheet.media != "all":
                    inner = (At("media", sheet.media, inner),)
                if sheet.layer is not None:
                    inner = (At("layer", sheet.layer, inner),)
                if media and condition != "all":
                    inner = (At("media", condition, inner),)
                    yield Sheet(inner, media, layer, sheet.base)
                else:
                    yield Sheet(inner, media or condition, layer, sheet.base)
        yield Sheet(rules, media, None, base)

    def _css(self, url: str, visit: _Visit) -> str | None:
        path = _own_path(url)
        data = visit.site.read(path) if path else None
        return None if data is None else _decoded(self._rewritten(data, visit))

    def _rewritten(self, data: bytes, visit: _Visit) -> bytes:
        """Put a placeholder for each picture that stands in the text itself."""

        def one(match: re.Match[bytes]) -> bytes:
            asset = data_asset(match[0].decode())
            found = None
            if asset is not None:
                try:
                    found = placeholder(asset.data)
                except DocumentError as error:
                    if error.reason is Reason.IMAGE_BOMB:
                        raise
            found = found or ABSENT
            url = "data:image/svg+xml," + quote(found.svg, safe="=:/")
            visit.known[url] = found
            return url.encode()

        return _DATA.sub(one, data) if b";base64," in data else data

    def _fresh_pages(self) -> tuple[Page, Page]:
        """The page that documents are opened on, and the one on which their source is."""
        self._uses += 1
        if self._pages is None or not self.browser.alive or self._uses > _USES:
            self.close()
            self._open = ExitStack()
            self._uses = 1
            page = self._open.enter_context(self.browser.page(javascript=True))
            page.route("**/*", self._answer)
            second = page.context.new_page()
            second.route("**/*", self._answer_cleaned)
            for each in (page, second):
                each.mouse.move(-9, -9)  # it lies at the corner of a page, and what is there glows
            self._pages = page, second
        return self._pages

    def _answer(self, route: Route) -> None:
        """Answer what a page asks for: itself, files of its site, and nothing else."""
        visit = self._visit
        assert visit is not None
        request = route.request
        kind, url = request.resource_type, request.url
        visit.requests += 1
        if kind == "document":
            self._answer_document(route, visit)
        elif visit.requests > _MAX_REQUESTS:
            visit.absent.add(url)
            route.abort("blockedbyclient")
        elif kind == "image":
            visit.shown.add(url)
            try:
                found = self._placeholder(url, visit) or ABSENT
            except DocumentError as error:  # `_judge` cannot be asked from here
                visit.lost.append(("bomb", f"{url}: {error.detail}"))
                route.abort("blockedbyclient")
                return
            route.fulfill(body=found.svg, content_type="image/svg+xml")
        elif kind == "stylesheet" and (text := self._css(url, visit)) is not None:
            route.fulfill(body=text, content_type="text/css; charset=utf-8")
        elif (
            visit.scripts
            and kind in ("script", "fetch", "xhr")
            and (path := _own_path(url))
            and (data := visit.site.read(path)) is not None
        ):
            media_type = "text/javascript" if kind == "script" else "application/octet-stream"
            route.fulfill(body=data, content_type=media_type)
        else:
            visit.lost.append((kind, url))
            route.abort("blockedbyclient")

    def _answer_document(self, route: Route, visit: _Visit) -> None:
        if not visit.opened and route.request.url == visit.url:
            visit.opened = True
            policy = _POLICY if visit.scripts else _NO_SCRIPTS
            headers = {"content-type": visit.media_type, "content-security-policy": policy}
            route.fulfill(body=visit.html, headers=headers)
            return
        inner = False
        with suppress(Error):  # a window that a script opens has no frame yet
            inner = route.request.frame.parent_frame is not None
        if inner:
            route.fulfill(body=_BLANK, content_type="text/html")
        else:
            route.fulfill(status=204)  # the page stays where it is

    def _answer_cleaned(self, route: Route) -> None:
        visit, request = self._visit, route.request
        assert visit is not None
        if request.url == _CLEANED:
            headers = {"content-type": "text/html", "content-security-policy": "script-src 'none'"}
            route.fulfill(body=visit.html, headers=headers)
            return
        if not request.url.endswith("/favicon.ico"):
            visit.asked.append(request.url)
        route.abort("blockedbyclient")


class Unproved(DocumentError):
    """A pair whose source does not show the picture; `score` is the share of pixels that agree."""

    def __init__(self, detail: str, score: float) -> None:
        super().__init__(Reason.PROOF_FAILED, detail)
        self.score = score


def _shoot(page: Page, width: int, height: int) -> Pillow.Image:
    data = _screenshot(page, width, height, fast=True)
    return Pillow.open(io.BytesIO(data)).convert("RGB")


def _screenshot(page: Page, width: int, height: int, *, fast: bool) -> bytes:
    # Playwright's own takes twice as long: it waits for frames, and `HALT` has stopped them.
    session: CDPSession = page.context.new_cdp_session(page)
    try:
        shot = session.send(
            "Page.captureScreenshot",
            {
                "format": "png",
                "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1},
                "captureBeyondViewport": True,
                "optimizeForSpeed": fast,
            },
        )
    finally:
        session.detach()
    return base64.b64decode(shot["data"])


def _differing(original: Pillow.Image, cleaned: Pillow.Image) -> float:
    """The share of pixels that differ visibly; rows that only the original has differ."""
    height = min(original.height, cleaned.height)
    a = np.asarray(original)[:height].astype(np.int16)
    b = np.asarray(cleaned)[:height].astype(np.int16)
    wrong = np.count_nonzero(np.abs(a - b).max(axis=2) > _TOLERANCE)
    rest = (original.height - height) * original.width
    return float((wrong + rest) / (original.height * original.width))


def _own_path(url: str) -> str:
    """The path within the site of an address; empty for one of elsewhere."""
    if not url.startswith(ORIGIN):
        return ""
    return unquote(urlsplit(url).path).lstrip("/")


def _missing(urls: Sequence[str]) -> DocumentError:
    own = all(url.startswith(ORIGIN) for url in urls)
    names = ", ".join(url.removeprefix(ORIGIN)[:100] for url in list(dict.fromkeys(urls))[:3])
    return DocumentError(Reason.MISSING_FILE if own else Reason.NEEDS_NETWORK, f"asks for {names}")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decoded(data: bytes) -> str:
    declared = re.match(rb'@charset "([\w.:-]{1,40})";', data)
    for encoding in ("utf-8-sig", declared[1].decode() if declared else "gb18030"):
        with suppress(UnicodeDecodeError, LookupError):
            return data.decode(encoding)
    return data.decode("latin-1")
