"""From the bytes of an (X)HTML document to a tree, without trusting a byte of it.

In: bytes in whatever encoding they claim or have. Out: an lxml tree: no DTD is read, no entity
declared, nothing fetched, depth and size bounded. What is not well-formed XML goes through the
HTML parser.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from html.entities import html5

from lxml import etree

from dsvl_data.outcome import DocumentError, Reason

MAX_BYTES = 10_000_000
MAX_DEPTH = 200

_ENCODING = re.compile(
    rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{1,40})"""
    rb"""|<meta[^>]{0,200}?charset\s*=\s*["']?([\w.:-]{1,40})""",
    re.IGNORECASE,
)
# By the bytes alone; the last one takes anything.
_GUESSES = ("utf-8", "gb18030", "cp1252", "latin-1")
# Python's own, for host names and source code; some take quadratic time.
_NO_ENCODINGS = frozenset(("idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"))
_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_PROLOG = re.compile(r"(?:\s+|<!--.*?-->|<\?.*?\?>)*", re.DOTALL)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31});")
_XML_ENTITIES = frozenset(("amp", "lt", "gt", "quot", "apos"))
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ufffd\ud800-\udfff]")
#: Share of them above which bytes are no text.
_MOST_CONTROLS = 0.01
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
# They say nothing of an element's kind, look, language or direction; most elements have no others.
_PLAIN = frozenset(("class", "id", "href", "title", "src", "alt", "width", "height"))
_is_too_deep = etree.XPath(f"boolean({'/'.join('*' * MAX_DEPTH)})")  # a child of a child of...
_KNOWN = 100  # characters of a tag, name space and all, up to which its name is remembered
_VOID = "area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr"
_SELF_CLOSED = re.compile(rf"<(?!(?:{_VOID})\b)([A-Za-z][\w:-]*)((?:\s[^<>]*)?)/>")


def parse_markup(data: bytes | str) -> etree._Element:
    """Parse an (X)HTML document or fragment; the root is `html` in any case or name space.

    Raises `DocumentError`: `TOO_LARGE` beyond `MAX_BYTES`, `BAD_ENCODING` for bytes that are no
    text, `XML_ENTITIES` when a DTD declares entities, `EMPTY_DOCUMENT` without markup or text,
    `BAD_MARKUP` when nothing can be made of it or it nests deeper than `MAX_DEPTH`.
    """
    _check_size(data)
    if isinstance(data, bytes):
        data = decode(data)
        check_characters(data)
    text = _text(data)
    if not text.strip():
        raise DocumentError(Reason.EMPTY_DOCUMENT, "no markup")
    root = _parse_xml(text)
    if root is None or name_of(root) != "html":
        root = _parse_html(text)
    _check_depth(root)
    return root


def parse_xml(data: bytes) -> etree._Element:
    """Parse a well-formed XML document (OPF, NCX, container, SVG). Errors as `parse_markup`'s."""
    try:
        root = etree.fromstring(_named_entities(_text(data)).strip().encode(), _xml_parser())
    except etree.XMLSyntaxError as error:
        raise DocumentError(Reason.BAD_MARKUP, str(error)) from error
    _check_depth(root)
    return root


def decode(data: bytes) -> str:
    """Turn bytes into text by byte order mark, declaration, or what fits."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if data[:2] in (b"<\0", b"\0<"):  # UTF-16 without its mark
        return data.decode("utf-16-le" if data[0] else "utf-16-be", "replace")
    declared = _ENCODING.search(data[:2048])
    claims = [claim.decode("ascii") for claim in declared.groups() if claim] if declared else []
    for encoding in (*claims, *_GUESSES):
        try:
            if codecs.lookup(encoding).name in _NO_ENCODINGS:
                continue
            return data.decode(encoding)
        except (LookupError, UnicodeDecodeError):
            continue
    raise AssertionError("latin-1 decodes all bytes")


def check_characters(text: str) -> None:
    """Raise `BAD_ENCODING` for what was decoded from bytes that are no text: a picture, say.

    Such bytes have control characters all over; a text that went through many hands has a few.
    """
    controls = len(_CONTROLS.findall(text))
    if controls > max(1, _MOST_CONTROLS * len(text)):
        detail = f"{controls} of {len(text)} characters are none"
        raise DocumentError(Reason.BAD_ENCODING, detail)


def name_of(element: etree._Element) -> str:
    """The element's local name in lower case; empty for comments and instructions."""
    tag: object = element.tag  # a function, for comments
    if not isinstance(tag, str):
        return ""
    return _known_name(tag) if len(tag) <= _KNOWN else _name(tag)


def attribute(element: etree._Element, name: str) -> str:
    """An attribute by its local name, whatever prefix or name space it has; empty if absent."""
    value = element.get(name)
    if value is not None:
        return str(value)
    # Asked of every element, most of which have no such attribute: names cost a third of items.
    for key in map(str, element.keys()):
        if key.endswith(name) and key.rpartition("}")[2].rpartition(":")[2] == name:
            # Not by `get`: what an HTML parser takes for a name need not be one.
            return str(dict(element.items())[key])
    return ""


def is_plain(element: etree._Element) -> bool:
    """Whether an element has only attributes that name things: see `_PLAIN`."""
    return _PLAIN.issuperset(element.keys())


def text_of(element: etree._Element) -> str:
    """All text within an element, in one piece; what `itertext` gives, at a fifth of its cost."""
    return etree.tostring(element, method="text", encoding="unicode", with_tail=False)


def _name(tag: str) -> str:
    return tag.rpartition("}")[2].rpartition(":")[2].lower()


_known_name = lru_cache(maxsize=1024)(_name)


def _text(data: bytes | str) -> str:
    """The document as text without XML declaration and document type."""
    _check_size(data)
    text = data if isinstance(data, str) else decode(data)
    text = _NOT_XML.sub("", text).lstrip("\ufeff")
    if "<?xml" in text:  # most pages have none, and the search is not cheap
        text = _DECLARATION.sub("", text, count=1)
    return _without_doctype(text)


def _check_size(data: bytes | str) -> None:
    if len(data) > MAX_BYTES:
        raise DocumentError(Reason.TOO_LARGE, f"markup of {len(data)} bytes")


def _without_doctype(text: str) -> str:
    """Cut the document type out: what it says about entities is a refusal, the rest nothing."""
    prolog = _PROLOG.match(text)
    start = prolog.end() if prolog else 0
    if text[start : start + 9].lower() != "<!doctype":
        return text
    end, brackets, quote = start, 0, ""
    for end in range(start + 9, len(text)):
        character = text[end]
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == "[":
            brackets += 1
        elif character == "]":
            brackets -= 1
        elif character == ">" and brackets <= 0:
            break
    else:
        raise DocumentError(Reason.BAD_MARKUP, "a document type without an end")
    if "<!entity" in text[start:end].lower():
        raise DocumentError(Reason.XML_ENTITIES, "the document type declares entities")
    return text[:start] + text[end + 1 :]


def _named_entities(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        name = match[1]
        return match[0] if name in _XML_ENTITIES else html5.get(name + ";", match[0])

    return _ENTITY.sub(character, text) if "&" in text else text


def _xml_parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _parse_xml(text: str) -> etree._Element | None:
    try:
        return etree.fromstring(_named_entities(text).strip().encode(), _xml_parser())
    except etree.XMLSyntaxError:
        return None


def _parse_html(text: str) -> etree._Element:
    # HTML knows no `<a id="x"/>`: it would take the rest of the chapter for the link.
    if "/>" in text:
        text = _SELF_CLOSED.sub(r"<\1\2></\1>", text)
    parser = etree.HTMLParser(
        encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=False
    )
    try:
        root: etree._Element | None = etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, etree.ParserError) as error:
        raise DocumentError(Reason.BAD_MARKUP, str(error)) from error
    if root is None:
        raise DocumentError(Reason.BAD_MARKUP, "nothing in it is markup")
    for entry in parser.error_log:
        if "depth" in entry.message.lower():
            raise DocumentError(Reason.BAD_MARKUP, entry.message)
    return root


def _check_depth(root: etree._Element) -> None:
    if _is_too_deep(root):
        raise DocumentError(Reason.BAD_MARKUP, f"elements nested deeper than {MAX_DEPTH}")
