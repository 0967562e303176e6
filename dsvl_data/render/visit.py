"""What a web page gets when it asks: itself, the files of its site, and nothing else.

In: the requests of a page in Chromium. Out: its HTML and style sheets, with a `Placeholder` for
each picture, those in data: URLs too; an empty page for each frame; a refusal for everything else,
which is remembered. No request leaves this process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from playwright.sync_api import Error, Route

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.sites import Site
from dsvl_data.render.assets import data_asset
from dsvl_data.render.placeholder import ABSENT, Placeholder, placeholder
from dsvl_data.render.styles import At, Sheet, import_parts, imports_of, parse_rules

#: What a page may not do, whatever it says itself.
_POLICY = "font-src 'none'; media-src 'none'; object-src 'none'"
_NO_SCRIPTS = _POLICY + "; script-src 'none'"
_MAX_REQUESTS = 500
_MAX_IMPORTS = 5  # sheets that import sheets
_KEPT_DATA = 1000  # characters of a small SVG in a sheet that stays as its author wrote it
_DATA = re.compile(
    rb"data:image/(?:png|jpe?g|pjpeg|gif|webp|bmp|avif|tiff|x-icon|vnd\.microsoft\.icon|svg\+xml)"
    rb"(?:;[\w=-]{1,40}){0,3};base64,[A-Za-z0-9+/=%]+",
    re.IGNORECASE,
)
_REFRESH = re.compile(rb"<meta\b[^>]*\bhttp-equiv\s*=\s*[\"']?\s*refresh\b[^>]*>", re.IGNORECASE)
_LOADS = re.compile(rb"<(?:img|image|i?frame|link|source|input|video|audio|embed)\b", re.IGNORECASE)
_BLANK = "<!DOCTYPE html><title></title>"


class Visit:
    """One page while it is open, and what became of what it asked for.

    `shown` are the pictures that it loaded, `absent` those of them that are nowhere; `lost` what
    was refused, as (kind, URL); `error` says why the page must be dropped. Raises `DocumentError`
    (`EMPTY_DOCUMENT`, `BAD_MARKUP`, `IMAGE_BOMB`, `TEXT_TOO_LONG`).
    """

    def __init__(self, html: bytes, site: Site, *, number: int, scripts: bool) -> None:
        # Browsers remember by address: each document gets one of its own. All are of one site:
        # for another one Chromium would start another process.
        self.origin = f"http://d{number}.page.invalid/"
        self.url = self.origin + quote(site.page)
        self.shown: set[str] = set()
        self.absent: set[str] = set()
        self.lost: list[tuple[str, str]] = []
        self.error: DocumentError | None = None
        self._site = site
        self._scripts = scripts
        self._known: dict[str, Placeholder] = {}
        self._opened = False
        self._requests = 0
        if not html.strip():
            raise DocumentError(Reason.EMPTY_DOCUMENT, "no markup")
        if b"\0" in html[:1024] and html[:2] not in (b"\xff\xfe", b"\xfe\xff"):
            raise DocumentError(Reason.BAD_MARKUP, "bytes that are no text")
        loads = sum(1 for _ in _LOADS.finditer(html))
        if loads > _MAX_REQUESTS:
            detail = f"{loads} pictures, frames and links, the limit is {_MAX_REQUESTS}"
            raise DocumentError(Reason.TEXT_TOO_LONG, detail)
        self._media_type = "text/html; charset=utf-8" if _is_utf8(html) else "text/html"
        self._html = _REFRESH.sub(b"", self._rewritten(html))

    def answer(self, route: Route) -> None:
        """Answer a request of the page, or of a frame or window that it opens."""
        kind = route.request.resource_type
        try:
            if kind == "document":
                self._answer_document(route)
            elif not self._answer_file(route, kind, route.request.url):
                self.lost.append((kind, route.request.url))
                route.abort("blockedbyclient")
        except DocumentError as error:  # nobody above would hear of it
            self.error = error
            route.abort("blockedbyclient")

    def own_path(self, url: str) -> str:
        """The path within the site of an address; empty for one of elsewhere."""
        if not url.startswith(self.origin):
            return ""
        return unquote(urlsplit(url).path).lstrip("/")

    def picture(self, url: str, width: str, height: str, base: str) -> str:
        """The address that stands for a picture of this natural size in CSS pixels."""
        found = self._placeholder(urljoin(base, url))
        if found is None:
            return self.substitute(url, base) or ABSENT.url
        sized = found.width and found.height
        if width and height and "0" not in (width, height) and (sized or not found.view_box):
            found = found.sized(float(width), float(height))
        return found.url

    def substitute(self, url: str, base: str) -> str | None:
        """What stands for a picture that a style names; None for what is no picture."""
        if url.startswith("data:") and url not in self._known:
            small = url.startswith("data:image/svg+xml") and len(url) <= _KEPT_DATA
            return _legible(url) if small else None
        try:
            absolute = urljoin(base, url)
        except ValueError:  # no address at all
            return None
        if not absolute.startswith(("http:", "https:", "data:")):
            return None  # a browser does not even ask
        found = self._placeholder(absolute)
        return found.url if found else None

    def sheets(self, facts: dict[str, Any]) -> list[Sheet]:
        """The page's style sheets, and those that they import, in the order that counts."""
        sheets: list[Sheet] = []
        for entry in facts["sheets"]:
            base = entry.get("href") or facts["base"]
            text = self._css(base) if "href" in entry else entry["text"]
            if text is not None:
                sheets += self._with_imports(text, base, entry["media"], ())
        return sheets

    def _with_imports(
        self, text: str, base: str, media: str, chain: tuple[str, ...]
    ) -> Iterator[Sheet]:
        rules = parse_rules(text)
        for rule in imports_of(rules):
            url, condition, layer, supports = import_parts(rule)
            url = urljoin(base, url) if url else ""
            if not url or url in chain or len(chain) >= _MAX_IMPORTS:
                continue
            imported = self._css(url)
            if imported is None:
                continue
            for sheet in self._with_imports(imported, url, "", (*chain, url)):
                inner = sheet.rules
                if sheet.layer is not None:
                    inner = (At("layer", sheet.layer, inner),)
                if supports:
                    wrapped = supports if supports.startswith("(") else f"({supports})"
                    inner = (At("supports", wrapped, inner),)
                for query in (sheet.media, condition):
                    if query:
                        inner = (At("media", query, inner),)
                yield Sheet(inner, media, layer, sheet.base)
        yield Sheet(rules, media, None, base)

    def _css(self, url: str) -> str | None:
        path = self.own_path(url)
        data = self._site.read(path) if path else None
        return None if data is None else _decoded(self._rewritten(data))

    def _rewritten(self, data: bytes) -> bytes:
        """Put a placeholder for each picture that stands in the text itself."""

        def one(match: re.Match[bytes]) -> bytes:
            asset = data_asset(match[0].decode())
            found = (_made(asset.data) if asset else None) or ABSENT
            url = "data:image/svg+xml," + quote(found.svg, safe="=:/")
            self._known[url] = found
            return url.encode()

        return _DATA.sub(one, data) if b";base64," in data else data

    def _placeholder(self, url: str) -> Placeholder | None:
        """What stands for a picture: for one that is nowhere, grey; None for a small SVG."""
        if url in self._known:
            return self._known[url]
        if url.startswith("data:"):
            asset = data_asset(url)
            if asset is None or len(url) <= _KEPT_DATA:
                return None
            data: bytes | None = asset.data
        else:
            data = self._site.read(path) if (path := self.own_path(url)) else None
        found = _made(data) if data else None
        if found is None:
            self.absent.add(url)
        self._known[url] = found = found or ABSENT
        return found

    def _answer_document(self, route: Route) -> None:
        if not self._opened and route.request.url == self.url:
            self._opened = True
            policy = _POLICY if self._scripts else _NO_SCRIPTS
            headers = {"content-type": self._media_type, "content-security-policy": policy}
            route.fulfill(body=self._html, headers=headers)
            return
        inner = False
        with suppress(Error):  # a window that a script opens has no frame yet
            inner = route.request.frame.parent_frame is not None
        if inner:
            route.fulfill(body=_BLANK, content_type="text/html")
        else:
            route.fulfill(status=204)  # the page stays where it is

    def _answer_file(self, route: Route, kind: str, url: str) -> bool:
        self._requests += 1
        if self._requests > _MAX_REQUESTS:
            self.absent.add(url)
            return False
        if kind == "image":
            self.shown.add(url)
            found = self._placeholder(url) or ABSENT
            route.fulfill(body=found.svg, content_type="image/svg+xml")
            return True
        if kind == "stylesheet":
            text = self._css(url)
            if text is not None:
                route.fulfill(body=text, content_type="text/css; charset=utf-8")
            return text is not None
        if self._scripts and kind in ("script", "fetch", "xhr"):
            path = self.own_path(url)
            data = self._site.read(path) if path else None
            if data is not None:
                media_type = "text/javascript" if kind == "script" else "application/octet-stream"
                route.fulfill(body=data, content_type=media_type)
            return data is not None
        return False


def _made(data: bytes) -> Placeholder | None:
    """What stands for a picture; None for one that no browser shows."""
    try:
        return placeholder(data)
    except DocumentError as error:
        if error.reason is Reason.IMAGE_BOMB:
            raise
        return None


def _legible(url: str) -> str:
    """A small SVG in a data: URL, for double quotes: not encoded where that is not needed."""
    plain = " ".join(unquote(url).split())
    return " ".join(url.replace('"', "%22").split()) if re.search('["#%]', plain) else plain


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
