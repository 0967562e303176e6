"""Interleaved text and pictures from raw documents: pages, articles, manuals and books.

In: HTML (folders as they were saved, MediaWiki's, tars and zips of them), ZIM archives, Markdown,
EPUB and PDF. Out: `interleaved` samples: the document's text as Markdown and its pictures where
they stand, each followed by its caption, cut at section borders into sequences that fit a token
budget. A sequence without a picture becomes a `text` sample, or is filtered, as the recipe says.

What is no part of the document is left out: navigation and boilerplate of web pages
(`read.main_content`), and, each with its reason in the ledger, pictures that are icons, rules,
logos that the neighbouring pages show as well, or that are not there. Nothing is fetched from
anywhere.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from urllib.parse import unquote, urlsplit

from pydantic import Field

from dsvl_data.language import identify_all
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import (
    Document,
    DocumentRef,
    Dropped,
    InputSpec,
    Limits,
    Pipeline,
)
from dsvl_data.read.blocks import Block, LostBlock, PictureBlock, TextBlock
from dsvl_data.read.epub import Book, SpineItem, open_epub
from dsvl_data.read.html_blocks import read_blocks
from dsvl_data.read.html_formulas import uses_tex
from dsvl_data.read.main_content import main_content
from dsvl_data.read.markdown_documents import markdown_to_html
from dsvl_data.read.neighbours import Neighbours, picture_name, with_neighbours
from dsvl_data.read.pdf_layout import read_pdf
from dsvl_data.read.picture_sizes import PictureSizes
from dsvl_data.read.pictures import to_image
from dsvl_data.read.sites import Site, list_pages, read_page, site_of
from dsvl_data.read.zim import ZimSite, list_articles, read_article
from dsvl_data.render.assets import data_asset, is_svg
from dsvl_data.render.clean import clean_text
from dsvl_data.render.pages import Asset
from dsvl_data.render.parse import check_characters, decode, parse_markup, text_of
from dsvl_data.sample import Image, Sample, Segment, Text
from pipelines.interleaved_sequences import Budget, SequenceOptions, make_parts, make_sequences

VERSION = "1"
_HTML = (".html", ".htm", ".xhtml")
_MARKDOWN = (".md", ".markdown")
_OTHERS = (".zim", ".epub", ".pdf")
#: Characters by which a language is told.
_PROSE = 3000
#: A picture that one document shows so often is an ornament of it.
_ORNAMENT = 4


class InterleavedOptions(SequenceOptions):
    """What a recipe can set for interleaved documents."""

    min_image_side: int = Field(
        default=96, ge=1, description="pixels of a picture's shorter side below which it is an icon"
    )
    max_image_ratio: float = Field(
        default=5.0, ge=1, description="longer by shorter side above which a picture is a rule"
    )
    min_characters: int = Field(
        default=200, ge=1, description="characters of text below which a document is filtered"
    )


def list_interleaved(
    inputs: Sequence[InputSpec], options: InterleavedOptions
) -> Iterator[DocumentRef]:
    """List pages, books, and the articles of ZIMs; pages remember their neighbours."""
    return with_neighbours(_documents(inputs))


def _documents(inputs: Sequence[InputSpec]) -> Iterator[DocumentRef]:
    suffixes = (*_HTML, *_MARKDOWN, *_OTHERS)
    for ref in list_pages(inputs, suffixes=suffixes, column=None):
        # By its path: one within an archive cannot be opened.
        if "reason" not in ref.meta and ref.path.lower().endswith(".zim"):
            yield from list_articles(ref)
        else:
            yield ref


def read_document(ref: DocumentRef) -> bytes:
    """Load a listed document. Raises `DocumentError`."""
    return read_article(ref) if "entry" in ref.meta else read_page(ref)


@dataclass(slots=True)
class _Read:
    """A document's chapters as blocks, and what is known of it."""

    chapters: list[list[Block]]
    reader: str
    share: float = 1.0
    names: list[str] = field(default_factory=list)  # of chapters that were left out
    left_out: list[DocumentError] = field(default_factory=list)


class InterleavedConverter:
    """Turns documents into sequences."""

    def __init__(self, options: InterleavedOptions) -> None:
        self._options = options
        self._sizes = PictureSizes(options.min_image_side, options.max_image_ratio)
        self._budget = Budget.of(options)
        self._neighbours = Neighbours(read_document)

    def __call__(self, documents: Sequence[Document]) -> Iterator[Sample | Dropped]:
        """Yield the sequences of each document, in their order."""
        for document in documents:
            yield from self._document(document)

    def close(self) -> None:
        """Nothing is held."""

    def _document(self, document: Document) -> Iterator[Sample | Dropped]:
        read = self._read(document)
        for name, error in zip(read.names, read.left_out, strict=True):
            yield document.dropped(error.reason, item=name, detail=error.detail)
        characters = sum(
            len(block.markdown)
            for chapter in read.chapters
            for block in chapter
            if isinstance(block, TextBlock)
        )
        if characters < self._options.min_characters:
            raise DocumentError(Reason.NO_TEXT, f"{characters} characters")
        ornaments = _ornaments(read.chapters)
        changes: set[str] = set()
        chapters = []
        for chapter in read.chapters:
            kept: list[TextBlock | tuple[Image, str]] = []
            for block in chapter:
                found = self._judged(block, ornaments, changes)
                if isinstance(found, LostBlock):
                    yield document.dropped(found.reason, item=found.name, detail=found.detail)
                else:
                    kept.append(found)
            chapters.append(make_parts(kept, self._budget))
        sequences = make_sequences(chapters, self._budget)
        details = {"reader": read.reader}
        if changes:
            details["images_changed"] = ", ".join(sorted(changes))
        yield from self._samples(document, read, sequences, details)

    def _samples(
        self,
        document: Document,
        read: _Read,
        sequences: Sequence[Sequence[Segment]],
        details: dict[str, str],
    ) -> Iterator[Sample | Dropped]:
        languages = identify_all([_prose(segments) for segments in sequences])
        for position, (segments, language) in enumerate(zip(sequences, languages, strict=True)):
            place = f"{position + 1} of {len(sequences)}"
            pictures = sum(isinstance(segment, Image) for segment in segments)
            if not pictures and self._options.without_picture == "drop":
                yield document.dropped(Reason.NO_PICTURE, item=f"sequence {place}")
                continue
            yield document.sample(
                position,
                category="interleaved" if pictures else "text",
                segments=segments,
                language=language.code,
                details={**details, "sequence": place},
                scores={
                    "language_confidence": language.confidence,
                    "main_content": read.share,
                    "characters": float(sum(len(s.text) for s in segments if isinstance(s, Text))),
                },
            )

    def _read(self, document: Document) -> _Read:
        uri = document.ref.uri.lower().removesuffix(".gz")
        if uri.endswith(".pdf"):
            return _Read([read_pdf(document.data)], "pdf")
        if uri.endswith(".epub"):
            return self._book(open_epub(document.data))
        site: Site = site_of(document.ref)
        if "entry" in document.ref.meta:
            site = ZimSite(document.ref.path, document.ref.meta["entry"])
        if uri.endswith(_MARKDOWN):
            return self._markdown(document, site)
        return self._page(document, site)

    def _page(self, document: Document, site: Site) -> _Read:
        page = parse_markup(document.data)
        main = main_content(page)
        blocks = read_blocks(
            main.root,
            load=lambda path: self._load(document.ref, site, path),
            draw=self._sizes.draw,
            name=posixpath.basename(site.page),
            tex=uses_tex(document.data),
        )
        if main.title is not None:
            title = clean_text(" ".join(text_of(main.title).split()))
            if title:
                blocks.insert(0, TextBlock("heading", f"# {title}", 1))
        return _Read([blocks], "html", main.share)

    def _markdown(self, document: Document, site: Site) -> _Read:
        text = decode(document.data)
        check_characters(text)
        page = parse_markup(markdown_to_html(text))
        blocks = read_blocks(
            page, load=lambda path: self._load(document.ref, site, path), draw=self._sizes.draw
        )
        return _Read([blocks], "markdown")

    def _book(self, book: Book) -> _Read:
        read = _Read([], "epub")
        for item in book.spine:
            try:
                read.chapters.append(self._chapter(book, item))
            except DocumentError as error:
                read.names.append(item.name)
                read.left_out.append(error)
        return read

    def _chapter(self, book: Book, item: SpineItem) -> list[Block]:
        chapter = book.chapter(item)
        if chapter.navigation:
            raise DocumentError(Reason.NAVIGATION, item.title)

        def load(path: str) -> bytes:
            asset = data_asset(path) if path.startswith("data:") else book.picture(item, path)
            return self._sound(asset)

        return read_blocks(
            chapter.root, load=load, draw=self._sizes.draw, name=posixpath.basename(item.name)
        )

    def _load(self, ref: DocumentRef, site: Site, path: str) -> bytes:
        """A picture by the path that a page gives. Raises `DocumentError` that says why not."""
        name = picture_name(site.page, path)
        if self._neighbours.repeats(ref, name):
            raise DocumentError(Reason.REPEATED_IMAGE, "neighbouring pages show it, too")
        if path.startswith("data:"):
            return self._sound(data_asset(path))
        try:
            parts = urlsplit(path)
        except ValueError as error:
            raise DocumentError(Reason.MISSING_IMAGE, f"no path: {error}") from error
        if parts.scheme in ("http", "https", "ftp") or parts.netloc:
            raise DocumentError(Reason.NEEDS_NETWORK, "the picture lies elsewhere")
        if parts.scheme:
            raise DocumentError(Reason.UNSAFE_PATH, f"{parts.scheme}: leads out of the input")
        if name.startswith(("../", "/")) or name == "..":
            raise DocumentError(Reason.UNSAFE_PATH, "the path leads out of the input")
        data = site.read(name)
        if data is None and unquote(parts.path) != parts.path:  # a name with a percent sign
            folder = posixpath.dirname(site.page)
            data = site.read(posixpath.normpath(posixpath.join(folder, parts.path)))
        return self._sound(None if data is None else Asset(data, ""))

    def _sound(self, asset: Asset | None) -> bytes:
        """The bytes of a picture, drawn if it is an SVG; raises for one that is not wanted.

        Judged here, where an icon in a sentence does not yet part it.
        """
        if asset is None:
            raise DocumentError(Reason.MISSING_IMAGE, "it is not there, or may not be read")
        if is_svg(asset):
            return self._sizes.draw(asset.data)
        image, _ = to_image(asset.data)
        self._sizes.check(image.width, image.height)
        return asset.data

    def _judged(
        self, block: Block, ornaments: set[bytes], changes: set[str]
    ) -> TextBlock | tuple[Image, str] | LostBlock:
        """A block as it goes into a sequence, or why its picture does not."""
        if not isinstance(block, PictureBlock):
            return block
        try:
            image, change = to_image(block.data)
            self._sizes.check(image.width, image.height)
        except DocumentError as error:
            return LostBlock(block.name, error.reason, error.detail)
        if ornaments and _digest(block.data) in ornaments:
            detail = f"the document shows it at least {_ORNAMENT} times"
            return LostBlock(block.name, Reason.REPEATED_IMAGE, detail)
        if change:
            changes.add(change)
        return image, block.caption


def _ornaments(chapters: Iterable[Sequence[Block]]) -> set[bytes]:
    """The pictures that a document shows again and again: at most a bullet or a chapter's head."""
    pictures = [
        block for chapter in chapters for block in chapter if isinstance(block, PictureBlock)
    ]
    if len(pictures) < _ORNAMENT:
        return set()
    counts = Counter(_digest(picture.data) for picture in pictures)
    return {digest for digest, count in counts.items() if count >= _ORNAMENT}


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _prose(segments: Sequence[Segment]) -> str:
    """The first text of a sequence, by which its language is told."""
    texts = (segment.text for segment in segments if isinstance(segment, Text))
    return " ".join(text[:_PROSE] for text in islice(texts, 3))


PIPELINE = Pipeline(
    name="interleaved",
    version=VERSION,
    options=InterleavedOptions,
    source=list_interleaved,
    reader=read_document,
    converter=InterleavedConverter,
    partition_size=64,
    limits=Limits(seconds=120, document_mb=200),
)
