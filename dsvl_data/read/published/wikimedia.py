"""Wikimedia Enterprise's HTML dumps: Wikipedia's articles in any language, as the site shows them.

In: an article's JSON, a line of NDJSON within a `.tar.gz`, whose HTML is Parsoid's, and the
pictures that it shows, known by the addresses of their thumbnails or of the files these were made
from. Out: the whole article, a picture or none, read as any web page is
(`read.main_content`, `read.html_blocks`): apparatus left out, tables as Markdown, formulas as
LaTeX, captions below their pictures.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from posixpath import dirname
from urllib.parse import urlsplit

from lxml import etree

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.blocks import LostBlock, PictureBlock, TextBlock
from dsvl_data.read.html_blocks import read_blocks
from dsvl_data.read.main_content import main_content
from dsvl_data.read.picture_sizes import PictureSizes
from dsvl_data.read.pictures import to_image
from dsvl_data.read.published.conversations import first_picture
from dsvl_data.read.published.fields import (
    integer_of,
    object_of,
    objects_of,
    required_text,
    text_of,
)
from dsvl_data.read.published.reader import Article, Choice, Left, Pictures, Reader, Record, Rows
from dsvl_data.render.inline import escape
from dsvl_data.render.parse import parse_markup
from dsvl_data.sample import Image

_IMAGE = re.compile(r"<img\b[^>]{0,4000}?\bsrc\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)
_LANGUAGE = re.compile(r"[a-z]{2,3}\Z")


def _addresses(record: Record) -> list[str]:
    """The addresses of an article's pictures as its HTML writes them, each once."""
    markup = text_of(object_of(record.get("article_body")).get("html"))
    found = [html.unescape(match[1] or match[2] or "") for match in _IMAGE.finditer(markup)]
    return list(dict.fromkeys(address.strip() for address in found))


def _names(address: str) -> tuple[str, ...]:
    """What a picture may be called: its thumbnail's address, and that of the file behind it."""
    if address.startswith("//"):
        address = "https:" + address
    try:
        path = urlsplit(address).path
    except ValueError:
        return ()
    if not address.startswith(("http://", "https://")):
        return ()
    if "/thumb/" not in path:
        return (address,)
    return (address, dirname(address).replace("/thumb/", "/", 1))


def _pictures(record: Record) -> Sequence[str]:
    return [name for address in _addresses(record) for name in _names(address)]


def _convert(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Article | Left]:
    namespace = integer_of(object_of(record.get("namespace")).get("identifier"))
    if namespace:
        raise DocumentError(Reason.NAVIGATION, f"of the namespace {namespace}: no article")
    title = " ".join(required_text(record, "name").split())
    markup = required_text(object_of(record.get("article_body")), "html")
    album = _Album(record, pictures, choice.thresholds)
    root = main_content(parse_markup(markup)).root
    blocks: list[TextBlock | tuple[Image, str]] = [TextBlock("heading", f"# {escape(title)}", 1)]
    for block in read_blocks(root, load=album.load, draw=album.draw):
        if isinstance(block, LostBlock):
            yield Left(block.reason, block.name, block.detail)
        elif isinstance(block, PictureBlock):
            blocks.append((album.image(block.data), block.caption))
        else:
            blocks.append(block)
    if len(blocks) == 1:
        raise DocumentError(Reason.NO_TEXT, "an article without text")
    language = text_of(object_of(record.get("in_language")).get("identifier"))
    licences = [text_of(licence.get("identifier")) for licence in objects_of(record.get("license"))]
    details = {"page": text_of(record.get("url")), "licence": ", ".join(filter(None, licences))}
    yield Article(
        blocks,
        language if _LANGUAGE.match(language) else "",
        details={name: value for name, value in details.items() if value},
    )


class _Album:
    """An article's pictures, by the addresses that its HTML gives them."""

    def __init__(self, record: Record, pictures: Pictures, thresholds: Mapping[str, float]) -> None:
        self._pictures = pictures
        self._sizes = PictureSizes(thresholds.get("min_side", 0), thresholds.get("max_ratio", 0))
        self._places: dict[str, range] = {}
        self._images: dict[bytes, Image] = {}
        start = 0
        for address in _addresses(record):
            stop = start + len(_names(address))
            self._places[address] = range(start, stop)
            start = stop

    def load(self, address: str) -> bytes:
        """Return a picture's bytes; raises `DocumentError` with why it is left out."""
        place = self._places.get(address)
        if not place:
            raise DocumentError(Reason.MISSING_IMAGE, "no address of a file")
        image = first_picture(self._pictures, place.start, place.stop)
        self._sizes.check(image.width, image.height)
        self._images[image.data] = image
        return image.data

    def draw(self, svg: etree._Element) -> bytes:
        """Draw an SVG of the article's own."""
        return self._sizes.draw(svg)

    def image(self, data: bytes) -> Image:
        """The picture that `load` gave these bytes of, or a drawing."""
        if data not in self._images:
            self._images[data] = to_image(data)[0]
        return self._images[data]


_READERS = (
    Reader(
        name="wikimedia_enterprise",
        category="interleaved",
        licence="CC-BY-SA-4.0",
        # `enwiki-NS0-20240201-ENTERPRISE-HTML.json.tar.gz` holds `enwiki_namespace_0_0.ndjson`, ...
        layout="https://enterprise.wikimedia.com/docs/data-dictionary/",
        rows=Rows(("**/*.ndjson",)),
        convert=_convert,
        pictures=_pictures,
        images="urls",
        # In pixels, and longer side by shorter: flags, icons, rules.
        thresholds={"min_side": 96.0, "max_ratio": 5.0},
    ),
)

READERS: Mapping[str, Reader] = {reader.name: reader for reader in _READERS}
