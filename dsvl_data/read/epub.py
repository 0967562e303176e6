"""EPUB 2 and 3 from untrusted bytes.

In: the bytes of an `.epub`. Out: a `Book`: its title and its spine in reading order, each item
parsed on demand with its pictures at hand. What fails in a chapter is that chapter's
`DocumentError`; only what fails for the whole archive is raised by `open_epub`.

Fonts are never used (pages have their templates' fonts), so obfuscated ones do no harm. Style
sheets are read for one thing: whether the text runs vertically or from the right.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from lxml import etree

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.zips import ZipArchive
from dsvl_data.render.pages import Asset
from dsvl_data.render.parse import attribute, decode, name_of, parse_markup, parse_xml, text_of

_FONT_OBFUSCATION = frozenset(
    ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
)
_NAVIGATION_TYPES = frozenset(
    ("toc", "cover", "index", "landmarks", "page-list", "loi", "lot", "doc-toc", "doc-cover",
     "doc-index", "doc-pagelist")
)  # fmt: skip
_SECTIONS = ("section", "div", "nav")
_WHOLE = 0.9  # of a page's text, the share that makes a section stand for the page
_GUIDE_NAVIGATION = frozenset(("toc", "cover", "index", "loi", "lot"))
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_VERTICAL = re.compile(r"writing-mode\s*:\s*(?:vertical-rl|vertical-lr|tb-rl|tb)\b", re.IGNORECASE)
_SCHEME = re.compile(r"[\x00- ]*[A-Za-z][A-Za-z0-9+.-]*:")
_RIGHT_TO_LEFT = re.compile(r"(?<![\w-])direction\s*:\s*rtl\b", re.IGNORECASE)
#: Of a page's text, the share within links above which it is a list of links, and how many.
_LINKED_SHARE, _LINKS = 0.7, 8


@dataclass(frozen=True, slots=True)
class SpineItem:
    """One item of the reading order. `name` is its path in the archive, or as it was given."""

    position: int
    name: str
    media_type: str
    linear: bool
    fixed_layout: bool
    navigation: bool
    title: str


@dataclass(frozen=True, slots=True)
class BookChapter:
    """A parsed spine item: its document, and how its text runs (`direction` is `rtl` or empty)."""

    root: etree._Element
    vertical: bool
    direction: str
    navigation: bool


@dataclass(frozen=True)
class Book:
    """An opened EPUB."""

    title: str
    language: str
    right_to_left: bool
    spine: tuple[SpineItem, ...]
    _archive: ZipArchive
    _names: Mapping[str, str]
    _sheets: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def chapter(self, item: SpineItem) -> BookChapter:
        """Parse one item. Raises `DocumentError` with the reason for this chapter alone."""
        if item.fixed_layout:
            raise DocumentError(Reason.FIXED_LAYOUT, "a page of fixed layout")
        if item.media_type.startswith("image/"):
            raise DocumentError(Reason.NO_TEXT, f"the page is {item.media_type}")
        root = parse_markup(self._read(item.name))
        vertical, direction = self._directions(root, item)
        return BookChapter(root, vertical, direction, item.navigation or _is_navigation(root))

    def picture(self, item: SpineItem, path: str) -> Asset | None:
        """What the chapter `item` names by the relative `path`; None when it is not there.

        Raises `DocumentError`: `NEEDS_NETWORK` for an address, `UNSAFE_PATH` for a path out of
        the book.
        """
        try:
            parts = urlsplit(path.strip())
        except ValueError as error:
            raise DocumentError(Reason.MISSING_IMAGE, f"no path: {error}") from error
        if parts.scheme in ("http", "https", "ftp") or parts.netloc:
            raise DocumentError(Reason.NEEDS_NETWORK, "the picture is not in the book")
        if parts.scheme:
            raise DocumentError(Reason.UNSAFE_PATH, f"{parts.scheme}: leads out of the book")
        found = self._find(_join(item.name, parts.path))
        return None if found is None else Asset(self._archive.read(found), _media_type(found))

    def _find(self, name: str) -> str | None:
        return self._names.get(name) or self._names.get(_folded(name))

    def _read(self, name: str) -> bytes:
        _check_inside(name, name)
        found = self._find(name)
        if found is None:
            raise DocumentError(Reason.UNREADABLE, f"{name} is not in the archive")
        return self._archive.read(found)

    def _directions(self, root: etree._Element, item: SpineItem) -> tuple[bool, str]:
        """Whether the style sheets set the whole text vertically, or from the right."""
        outer = [element for element in (root, _body(root)) if element is not None]
        names = {f".{word}" for element in outer for word in (element.get("class") or "").split()}
        names |= {f"#{element.get('id')}" for element in outer if element.get("id")}
        declarations = [element.get("style") or "" for element in outer]
        for selectors, body in self._rules(root, item):
            if any(_selects(selector, names) for selector in selectors.split(",")):
                declarations.append(body)
        text = ";".join(declarations)
        return bool(_VERTICAL.search(text)), "rtl" if _RIGHT_TO_LEFT.search(text) else ""

    def _rules(self, root: etree._Element, item: SpineItem) -> Iterator[tuple[str, str]]:
        """Selectors and declarations of the rules, in the page's sheets, on how text runs."""
        for element in root.iter():
            name = name_of(element)
            if name == "style":
                yield from _rules_on_direction(text_of(element))
            elif name == "link" and "stylesheet" in attribute(element, "rel").lower():
                found = self._find(_target(item.name, attribute(element, "href")))
                if found is None:
                    continue
                if found not in self._sheets:  # the same ones for all pages
                    sheet = decode(self._archive.read(found)[:1_000_000])
                    self._sheets[found] = _rules_on_direction(sheet)
                yield from self._sheets[found]


def open_epub(data: bytes) -> Book:
    """Open an EPUB and read its package document.

    Raises `DocumentError`: what `ZipArchive` raises; `XML_ENTITIES` or `BAD_MARKUP` for the
    package document, `ENCRYPTED` for DRM, `FIXED_LAYOUT` when every page is one,
    `EMPTY_DOCUMENT` for an empty spine.
    """
    archive = ZipArchive(data)
    names = {_folded(name): name for name in reversed(archive.names)}
    names.update({name: name for name in archive.names})
    _check_encryption(archive, names)
    package_name = _package_name(archive, names)
    package = parse_xml(archive.read(package_name))
    fixed = _is_fixed(package) or _apple_fixed(archive, names)
    items = {element.get("id"): element for element in package.iter() if name_of(element) == "item"}
    guide = _guide(package, package_name)
    titles = _titles(archive, names, items, package_name)
    spine: list[SpineItem] = []
    seen: set[str] = set()
    for itemref in package.iter("{*}itemref"):
        item = items.get(itemref.get("idref"))
        if item is None:
            spine.append(_absent(len(spine), itemref.get("idref") or ""))
            continue
        name = _target(package_name, item.get("href") or "")
        if name in seen:
            continue
        seen.add(name)
        layout = f"{itemref.get('properties') or ''} {item.get('properties') or ''}"
        spine.append(
            SpineItem(
                position=len(spine),
                name=name,
                media_type=(item.get("media-type") or "").lower(),
                linear=itemref.get("linear") != "no",
                fixed_layout="rendition:layout-pre-paginated" in layout
                or (fixed and "rendition:layout-reflowable" not in layout),
                navigation="nav" in (item.get("properties") or "").split() or name in guide,
                title=titles.get(name, ""),
            )
        )
    if not spine:
        raise DocumentError(Reason.EMPTY_DOCUMENT, "the spine is empty")
    if all(item.fixed_layout for item in spine):
        raise DocumentError(Reason.FIXED_LAYOUT, "every page has a fixed layout")
    progression = next((e.get("page-progression-direction") for e in package.iter("{*}spine")), "")
    return Book(
        title=_metadata(package, "title"),
        language=_metadata(package, "language"),
        right_to_left=progression == "rtl",
        spine=tuple(spine),
        _archive=archive,
        _names=names,
    )


def _absent(position: int, idref: str) -> SpineItem:
    return SpineItem(position, idref, "", True, False, False, "")


def _package_name(archive: ZipArchive, names: Mapping[str, str]) -> str:
    container = names.get("META-INF/container.xml") or names.get("meta-inf/container.xml")
    if container is not None:
        for element in parse_xml(archive.read(container)).iter("{*}rootfile"):
            name = posixpath.normpath(unquote(element.get("full-path") or "."))
            found = names.get(name) or names.get(_folded(name))
            if found is not None:
                return found
    for name in archive.names:
        if name.lower().endswith(".opf"):
            return name
    raise DocumentError(Reason.BAD_ARCHIVE, "no package document: this is no EPUB")


def _check_encryption(archive: ZipArchive, names: Mapping[str, str]) -> None:
    found = names.get("META-INF/encryption.xml") or names.get("meta-inf/encryption.xml")
    if found is None:
        return
    for element in parse_xml(archive.read(found)).iter("{*}EncryptedData"):
        methods = [e.get("Algorithm") or "" for e in element.iter("{*}EncryptionMethod")]
        if not methods or set(methods) - _FONT_OBFUSCATION:
            uris = [e.get("URI") or "" for e in element.iter("{*}CipherReference")]
            raise DocumentError(Reason.ENCRYPTED, f"{', '.join(uris)} by {', '.join(methods)}")


def _is_fixed(package: etree._Element) -> bool:
    for element in package.iter("{*}meta"):
        value = text_of(element).strip() or element.get("content") or ""
        name = element.get("property") or element.get("name") or ""
        if name == "rendition:layout" and value == "pre-paginated":
            return True
        if name == "fixed-layout" and value == "true":
            return True
    return False


def _apple_fixed(archive: ZipArchive, names: Mapping[str, str]) -> bool:
    found = names.get("meta-inf/com.apple.ibooks.display-options.xml")
    if found is None:
        return False
    try:
        root = parse_xml(archive.read(found))
    except DocumentError:  # an extra file that no reader needs
        return False
    return any(
        element.get("name") == "fixed-layout" and (element.text or "").strip() == "true"
        for element in root.iter("{*}option")
    )


def _guide(package: etree._Element, package_name: str) -> set[str]:
    """Paths that the package itself calls table of contents, cover or index."""
    return {
        _target(package_name, element.get("href") or "")
        for element in package.iter("{*}reference")
        if (element.get("type") or "").lower() in _GUIDE_NAVIGATION
    }


def _titles(
    archive: ZipArchive,
    names: Mapping[str, str],
    items: Mapping[str | None, etree._Element],
    package_name: str,
) -> dict[str, str]:
    """Chapter titles by path, from the navigation document or the NCX; the first one counts."""
    titles: dict[str, str] = {}
    for item in items.values():
        is_nav = "nav" in (item.get("properties") or "").split()
        if not is_nav and item.get("media-type") != "application/x-dtbncx+xml":
            continue
        name = _target(package_name, item.get("href") or "")
        found = names.get(name) or names.get(_folded(name))
        if found is None:
            continue
        try:
            root = parse_markup(archive.read(found)) if is_nav else parse_xml(archive.read(found))
        except DocumentError:  # titles are an ornament: the book does without
            continue
        for target, title in _nav_links(root) if is_nav else _ncx_points(root):
            if title and "#" not in target:
                titles.setdefault(_target(name, target), title)
    return titles


def _nav_links(root: etree._Element) -> Iterator[tuple[str, str]]:
    for element in root.iter():
        if name_of(element) == "a" and element.get("href"):
            yield str(element.get("href")), _squeezed(element)


def _ncx_points(root: etree._Element) -> Iterator[tuple[str, str]]:
    for point in root.iter("{*}navPoint"):
        label, content = point.find("{*}navLabel"), point.find("{*}content")
        if label is not None and content is not None:
            yield content.get("src") or "", _squeezed(label)


def _is_navigation(root: etree._Element) -> bool:
    """Whether a page says that it is one of contents, cover or index, or is nothing but links."""
    body = _body(root)
    if body is None:
        return False
    length = max(1, len(_squeezed(body)))
    for section in (body, *(child for child in body if name_of(child) in _SECTIONS)):
        kinds = {*attribute(section, "type").split(), *attribute(section, "role").split()}
        if kinds & _NAVIGATION_TYPES and len(_squeezed(section)) >= _WHOLE * length:
            return True
    if any("indextable" in (table.get("class") or "").split() for table in body.iter("{*}table")):
        return True  # Sphinx's general index
    links = [element for element in body.iter() if name_of(element) == "a" and element.get("href")]
    if len(links) < _LINKS:
        return False
    linked = sum(len(_squeezed(element)) for element in links if not _is_address(element))
    return linked > _LINKED_SHARE * length


def _is_address(link: etree._Element) -> bool:
    return _SCHEME.match(attribute(link, "href")) is not None


def _metadata(package: etree._Element, name: str) -> str:
    for element in package.iter(f"{{http://purl.org/dc/elements/1.1/}}{name}"):
        text = _squeezed(element)
        if text:
            return text
    return ""


def _squeezed(element: etree._Element) -> str:
    return " ".join(text_of(element).split())


def _body(root: etree._Element) -> etree._Element | None:
    return next((element for element in root.iter() if name_of(element) == "body"), None)


def _rules_on_direction(sheet: str) -> list[tuple[str, str]]:
    return [
        (selectors, body)
        for selectors, body in _RULE.findall(_COMMENT.sub("", sheet))
        if _VERTICAL.search(body) or _RIGHT_TO_LEFT.search(body)
    ]


def _selects(selector: str, names: set[str]) -> bool:
    """Whether a selector is for `html` or `body`, by name or by their classes."""
    simple = selector.strip()
    if simple.lower() in ("html", "body", ":root", "*"):
        return True
    element, dot, word = simple.partition(".")
    return element.lower() in ("", "html", "body") and f"{dot}{word}" in names


def _join(base: str, path: str) -> str:
    """A relative path from the member `base`, percent signs decoded.

    Raises `DocumentError` (`UNSAFE_PATH`) when it leads out of the archive.
    """
    decoded = unquote(path)
    if not decoded:
        return base
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(base), decoded))
    _check_inside(joined, path)
    return joined


def _check_inside(name: str, given: str) -> None:
    if name.startswith(("../", "/")) or name == ".." or "\\" in name or "\0" in name:
        raise DocumentError(Reason.UNSAFE_PATH, f"{given!r} leads out of the book")


def _target(base: str, href: str) -> str:
    """`_join` for the package's own tables: what leads out stays as it is, and is never found."""
    try:
        return _join(base, urlsplit(href).path)
    except (DocumentError, ValueError):
        return href


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _media_type(name: str) -> str:
    return "image/svg+xml" if name.lower().endswith((".svg", ".svgz")) else ""
