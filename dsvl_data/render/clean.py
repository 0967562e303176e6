"""Arbitrary HTML in, the clean HTML of `dsvl_data.render` out.

In: a parsed document (`render.parse`) and a way to find its pictures. Out: the `<article>` of
the contract, the assets it shows, and the pictures that had to be left out with the reason.

Elements fall into few kinds: dropped with all they hold, shown as themselves, renamed, or
unwrapped. The tree is written by one walk (`render.outline`) that mends the nesting as it goes.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lxml import etree

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.render.assets import (
    Resolve,
    clean_svg,
    data_asset,
    is_svg,
    raster_asset,
)
from dsvl_data.render.mathml import clean_math
from dsvl_data.render.notes import Notes, find_notes
from dsvl_data.render.outline import Outline
from dsvl_data.render.pages import Asset
from dsvl_data.render.parse import attribute, is_plain, name_of, parse_markup
from dsvl_data.render.traits import (
    BLOCKS,
    DROPPED,
    LINE_NUMBERS,
    classes_of,
    code_language,
    code_strings,
    copy_numbers,
    direction_of,
    guess_direction,
    is_hidden,
    language_of,
)

_INLINE = {
    "b": "strong", "strong": "strong", "i": "em", "em": "em", "cite": "em", "dfn": "em",
    "var": "em", "code": "code", "tt": "code", "kbd": "code", "samp": "code", "sup": "sup",
    "sub": "sub", "u": "u", "ins": "u", "s": "s", "strike": "s", "del": "s", "ruby": "ruby",
    "rt": "rt",
}  # fmt: skip
_TRANSPARENT_INLINE = frozenset({
    "a", "span", "font", "small", "big", "abbr", "acronym", "mark", "time", "label", "q", "bdi",
    "bdo", "data", "output", "rb", "rtc", "noscript", "nobr", "blink", "picture", "object",
    "switch", "case", "default",
})  # fmt: skip
_LAYOUT = frozenset({
    "ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tfoot", "tr", "td", "th",
})  # fmt: skip
_RENAMED = {"dir": "ul", "menu": "ul", "listing": "pre", "xmp": "pre", "plaintext": "pre"}

_STYLED = (
    ("strong", re.compile(r"font-weight\s*:\s*(?:bold|bolder|[6-9]00)", re.IGNORECASE)),
    ("em", re.compile(r"font-style\s*:\s*(?:italic|oblique)", re.IGNORECASE)),
    ("u", re.compile(r"text-decoration(?:-line)?\s*:[^;]*underline", re.IGNORECASE)),
    ("s", re.compile(r"text-decoration(?:-line)?\s*:[^;]*line-through", re.IGNORECASE)),
    ("sup", re.compile(r"vertical-align\s*:\s*super", re.IGNORECASE)),
    ("sub", re.compile(r"vertical-align\s*:\s*sub(?!p)", re.IGNORECASE)),
)
_NO_MARKER = re.compile(r"list-style(?:-type)?\s*:\s*none", re.IGNORECASE)
# Joiners shape Arabic, Indic scripts and emoji; elsewhere they are noise.
_NOISE = (
    "\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b"
    "\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb\ufffe\uffff\ud800-\udfff"
    "\U000e0000-\U000e007f"
)
_UNSEEN = re.compile(
    f"[{_NOISE}]"
    "|(?<![\u0600-\u0fff\u1000-\u109f\u1780-\u17ff\u2600-\u27bf\ufb50-\ufefc\U0001f000-\U0001faff\ufe0f])[\u200c\u200d]"
)
# One set of characters is searched for ten times faster than what may stand before them.
_SUSPECT = re.compile(f"[{_NOISE}\u200c\u200d]")
_CONTROLS = bytes(code for code in range(128) if _SUSPECT.match(chr(code)))
_NUMBER = re.compile(r"\s*(\d{1,4})(?:\.\d+)?\s*(?:px)?\s*\Z")
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A picture that is not shown, and why."""

    name: str
    reason: Reason
    detail: str


@dataclass(slots=True)
class Clean:
    """A clean tree, the assets it shows by name, and what was left out of it."""

    body: etree._Element
    assets: dict[str, Asset] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)


def clean_html(
    root: etree._Element,
    *,
    language: str = "und",
    name: str = "",
    vertical: bool = False,
    direction: str = "",
    resolve: Resolve | None = None,
) -> Clean:
    """Write `root` (a document or any element of one) as clean HTML.

    `language` is the article's; `name` is the document's own file name, by which links into
    itself are known; `direction` (`ltr`, `rtl`) holds where the document says nothing.
    `resolve` finds pictures by the path the document gives. `root` may be changed.
    """
    return _Cleaner(find_notes(root, name), resolve).run(root, language, vertical, direction)


def clean_fragment(markup: str, *, language: str = "und", resolve: Resolve | None = None) -> Clean:
    """`clean_html` for a piece of HTML, such as a question's stem. Errors as `parse_markup`'s."""
    return clean_html(parse_markup(markup), language=language, resolve=resolve)


def clean_text(text: str) -> str:
    """NFC, without characters that are not seen; white space is left as it is."""
    if text.isascii():
        return text if text.isprintable() else text.encode().translate(None, _CONTROLS).decode()
    if _SUSPECT.search(text):
        text = _UNSEEN.sub("", text)
    return unicodedata.normalize("NFC", text)


class _Cleaner:
    def __init__(self, notes: Notes, resolve: Resolve | None) -> None:
        self._notes = notes
        self._resolve = resolve
        self._assets: dict[str, Asset] = {}
        self._left_out: list[LeftOut] = []
        self._names: dict[str, str | None] = {}  # a picture by the path that names it
        self._layouts: dict[etree._Element, bool] = {}
        self._quotes = 0

    def run(self, root: etree._Element, language: str, vertical: bool, direction: str) -> Clean:
        article = etree.Element("article", {"lang": language})
        body = next((e for e in root.iter() if name_of(e) == "body"), root)
        declared = language_of(body) or language_of(root)
        own = direction_of(body) or direction_of(root) or direction or guess_direction(body)
        if own == "rtl":
            article.set("dir", "rtl")
        if vertical:
            article.set("class", "vertical")
        self._out = Outline(article, direction=own or "ltr", language=declared)
        self._children(body)
        self._out.finish()
        used = {image.get("src") for image in article.iter("img")}
        assets = {name: asset for name, asset in self._assets.items() if name in used}
        return Clean(article, assets, self._left_out)

    def _children(self, source: etree._Element) -> None:
        if text := source.text:
            self._text(text)
        for child in source:
            if name := name_of(child):
                self._element(child, _RENAMED.get(name, name))
            if text := child.tail:
                self._text(text)

    def _text(self, text: str) -> None:
        self._out.text(clean_text(text))

    def _element(self, source: etree._Element, name: str) -> None:
        if name in DROPPED or source in self._notes.hidden or is_hidden(source, name):
            return
        if source in self._notes.references:
            self._out.reference(self._notes.references[source])
        elif source in self._notes.notes:
            with self._out.block("aside", self._about(source)) as note:
                note.set("class", "footnote")
                note.set("data-label", self._notes.notes[source])
                self._children(source)
        elif name == "br":
            self._out.line_break()
        elif name == "hr":
            self._out.rule()
        elif name in ("img", "image"):
            self._image(source)
        elif name == "svg":
            self._svg(source)
        elif name == "math":
            self._math(source)
        elif name == "switch":
            self._switch(source)
        elif name == "object" and (attribute(source, "type") or "image/").startswith("image/"):
            self._object(source)
        elif name in _INLINE or name in _TRANSPARENT_INLINE:
            self._inline(source, name)
        elif name == "pre":
            self._code(source)
        elif name in BLOCKS:
            self._block(source, name)
        elif classes_of(source) & {"line-block", "lineblock"}:
            with self._out.block("p", self._about(source), lines=True):
                self._children(source)
        else:
            with self._out.group(self._about(source)):
                self._children(source)

    def _inline(self, source: etree._Element, name: str) -> None:
        tags = [_INLINE[name]] if name in _INLINE else []
        if style := source.get("style"):
            tags += [tag for tag, pattern in _STYLED if pattern.search(style) and tag not in tags]
        about = self._about(source)
        if name != "q" and not tags and not about:  # as most spans and links are
            self._children(source)
            return
        with self._out.inline(tags, about):
            if name == "q":
                self._text("“‘"[self._quotes % 2])
                self._quotes += 1
            self._children(source)
            if name == "q":
                self._quotes -= 1
                self._text("”’"[self._quotes % 2])

    def _block(self, source: etree._Element, name: str) -> None:
        if name in _LAYOUT and self._is_layout(source, name):
            with self._out.group(self._about(source)):
                self._children(source)
            return
        with self._out.block(name, self._about(source)) as made:
            copy_numbers(source, made, name)
            self._children(source)

    def _is_layout(self, source: etree._Element, name: str) -> bool:
        """Whether a list or table is there for its looks, or was one of notes."""
        if name in ("li", "dt", "dd"):
            parent = source.getparent()
            return parent is not None and (
                name_of(parent) in ("ul", "ol", "dl") and self._is_layout(parent, name_of(parent))
            )
        if name in ("ul", "ol", "dl"):
            if source not in self._layouts:  # asked for each of its items
                no_marker = name != "dl" and _NO_MARKER.search(source.get("style", ""))
                of_notes = self._notes.notes and any(child in self._notes.notes for child in source)
                self._layouts[source] = bool(no_marker or of_notes)
            return self._layouts[source]
        table: etree._Element | None = source
        while table is not None and name_of(table) != "table":
            table = table.getparent()
        if table is None:
            return True
        if table not in self._layouts:
            self._layouts[table] = self._is_layout_table(table)
        return self._layouts[table]

    def _is_layout_table(self, table: etree._Element) -> bool:
        if attribute(table, "role") in ("presentation", "none"):
            return True
        cells = 0
        for element in table.iter():
            name = name_of(element)
            if (name == "table" and element is not table) or element in self._notes.notes:
                return True
            if classes_of(element) & LINE_NUMBERS and table.find(".//{*}pre") is not None:
                return True
            cells += name in ("td", "th")
        return cells < 2

    def _code(self, source: etree._Element) -> None:
        text = "".join(code_strings(source, self._notes.hidden))
        text = clean_text(text.replace("\r\n", "\n").replace("\r", "\n")).replace("\u00a0", " ")
        lines = text.split("\n")
        while lines and not lines[0].strip():
            lines.pop(0)
        text = "\n".join(lines).rstrip()
        if text:
            self._out.code(text, code_language(source))
        for image in source.iter():
            if name_of(image) == "img":
                self._image(image)

    def _math(self, source: etree._Element) -> None:
        math = clean_math(source)
        if math is not None:
            self._out.atom(math)

    def _switch(self, source: etree._Element) -> None:
        """`epub:switch`: the first case that we can show, else the default."""
        known = ("http://www.w3.org/1998/Math/MathML", "http://www.w3.org/2000/svg")
        for child in source:
            name = name_of(child)
            if name == "default" or (
                name == "case" and attribute(child, "required-namespace") in known
            ):
                self._children(child)
                return

    def _object(self, source: etree._Element) -> None:
        path = attribute(source, "data")
        asset = self._named(path) if path else None
        if asset:
            self._show(asset, source)
        else:
            self._children(source)

    def _image(self, source: etree._Element) -> None:
        path = attribute(source, "src") or attribute(source, "href")
        asset = self._named(path) if path else None
        if asset:
            self._show(asset, source)

    def _svg(self, source: etree._Element) -> None:
        drawn = [e for e in source.iter() if name_of(e) not in ("", "svg", "g", "title", "desc")]
        if len(drawn) == 1 and name_of(drawn[0]) == "image":  # the usual wrapper of a cover
            self._image(drawn[0])
        elif drawn:
            name = self._keep("inline SVG", lambda: self._drawn(source))
            if name:
                self._show(name, source)

    def _show(self, name: str, source: etree._Element) -> None:
        image = etree.Element("img", {"src": name})
        alt = clean_text(source.get("alt") or "").strip()
        if alt:
            image.set("alt", " ".join(alt.split()))
        for key in ("width", "height"):
            match = _NUMBER.match(source.get(key) or "")
            if match and 0 < int(match[1]) <= 4000:
                image.set(key, match[1])
        self._out.atom(image)

    def _named(self, path: str) -> str | None:
        """The asset that a path names, under the name it is shown by."""
        if path not in self._names:
            short = path if len(path) < 200 else path[:60] + "..."
            self._names[path] = self._keep(short, lambda: self._found(path))
        return self._names[path]

    def _found(self, path: str) -> Asset:
        found = data_asset(path) if path.startswith("data:") else None
        if found is None and self._resolve is not None:
            found = self._resolve(path)
        if found is None:
            raise DocumentError(Reason.MISSING_IMAGE, "it is not there")
        return self._drawn(found.data) if is_svg(found) else raster_asset(found.data)

    def _drawn(self, svg: bytes | etree._Element) -> Asset:
        return Asset(clean_svg(svg, self._resolve), "image/svg+xml")

    def _keep(self, name: str, load: Callable[[], Asset]) -> str | None:
        try:
            asset = load()
        except DocumentError as error:
            self._left_out.append(LeftOut(name, error.reason, error.detail))
            return None
        suffix = asset.media_type.partition("/")[2].partition("+")[0]
        kept = f"{hashlib.sha256(asset.data).hexdigest()[:16]}.{suffix}"
        self._assets[kept] = asset
        return kept

    def _about(self, source: etree._Element) -> Mapping[str, str]:
        if is_plain(source):
            return _NOTHING
        about = {}
        if direction := direction_of(source):
            about["dir"] = direction
        if language := language_of(source):
            about["lang"] = language
        return about
