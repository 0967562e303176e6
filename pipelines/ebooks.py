"""E-books: from an EPUB to the pages of its chapters, each beside the Markdown of what it shows.

In: `.epub` files (also as members of tars). Out: one `document_ocr` sample a page: the page's
image and its text. Chapters that are navigation, and pages with next to no text, are filtered;
a page that fails its proof, or a chapter that cannot be read, is left out with the reason and
takes nothing else with it.
"""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lxml import etree
from pydantic import Field, field_validator

from dsvl_data.language import HEAD, UNDETERMINED, Language, identify
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import (
    Document,
    DocumentRef,
    Dropped,
    InputSpec,
    Limits,
    Pipeline,
    Settings,
)
from dsvl_data.read.archives import list_documents, read_bytes
from dsvl_data.read.epub import Book, SpineItem, open_epub
from dsvl_data.render.clean import Clean, clean_html, clean_text
from dsvl_data.render.pages import Chapter, Page
from dsvl_data.render.parse import text_of
from dsvl_data.render.printer import Printer
from dsvl_data.render.template import Template, choose, load_templates
from dsvl_data.sample import Sample, Text

VERSION = "1"
_MAX_HEADER = 80

#: A chapter with a picture of this kind means harm, or cannot look as its author meant it; one
#: whose picture is merely missing or broken is printed without.
_HOSTILE = frozenset((Reason.IMAGE_BOMB, Reason.UNSAFE_PATH, Reason.NEEDS_NETWORK))


class EbookOptions(Settings):
    """What a recipe can set for e-books."""

    longest_side: int = Field(
        default=1024, ge=256, le=4096, description="longer side of a page image in pixels"
    )
    image_format: Literal["png", "jpg"] = Field(
        default="png", description="format of the page images"
    )
    templates: tuple[str, ...] = Field(
        default=(), description="names of the page designs to use; empty: all of them"
    )
    seed: int = Field(default=0, description="decides which chapter gets which page design")
    min_characters: int = Field(
        default=50, ge=1, description="visible characters below which a page is filtered"
    )
    keep_navigation: bool = Field(
        default=False, description="keep tables of contents, indices and covers"
    )
    print_seconds: float = Field(
        default=60, gt=0, description="wall-clock seconds that one chapter's print may take"
    )

    @field_validator("templates")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = {template.name: template for template in load_templates("books")}
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"no page design is called {name!r}{hint}")
        if names and all(known[name].vertical for name in names):
            raise ValueError("name one page design that is not vertical, for other books")
        return names


def list_ebooks(inputs: Sequence[InputSpec], options: EbookOptions) -> Iterable[DocumentRef]:
    """List the EPUBs of the inputs."""
    return list_documents(inputs, suffixes=(".epub",))


@dataclass(slots=True)
class _Plan:
    """What is known of a chapter before it is printed; without a template it is not printed."""

    item: SpineItem
    drops: list[Dropped] = field(default_factory=list)
    language: Language = field(default_factory=lambda: Language(UNDETERMINED, 0.0))
    template: str = ""


class EbookConverter:
    """Prints the chapters of books; holds one browser."""

    def __init__(self, options: EbookOptions) -> None:
        self._options = options
        allowed = set(options.templates)
        self._templates = [
            template
            for template in load_templates("books")
            if not allowed or template.name in allowed
        ]
        self._printer = Printer(
            longest_side=options.longest_side,
            image_format=options.image_format,
            timeout=options.print_seconds,
        )

    def __call__(self, documents: Sequence[Document]) -> Iterator[Sample | Dropped]:
        """Yield the pages of each book in reading order."""
        for document in documents:
            yield from self._book(document, open_epub(document.data))

    def close(self) -> None:
        """End the browser."""
        self._printer.close()

    def _book(self, document: Document, book: Book) -> Iterator[Sample | Dropped]:
        plans: deque[_Plan] = deque()
        pages = 0
        current = -1
        for number, result in self._printer.stream(self._jobs(document, book, plans)):
            while current < number:
                # The plans before this job's, and its own first drops.
                plan = plans.popleft()
                yield from plan.drops
                current += bool(plan.template)
            if isinstance(result, DocumentError):
                yield document.dropped(result.reason, item=plan.item.name, detail=result.detail)
                continue
            yield self._page(document, plan, result, pages)
            pages += 1
        for plan in plans:
            yield from plan.drops

    def _jobs(
        self, document: Document, book: Book, plans: deque[_Plan]
    ) -> Iterator[tuple[Chapter, Template]]:
        """Yield what is to be printed; for each chapter, printed or not, a plan is appended."""
        for item in book.spine:
            plan = _Plan(item)
            job = None
            try:
                job = self._chapter(document, book, plan)
            except DocumentError as error:
                plan.drops.append(
                    document.dropped(error.reason, item=item.name, detail=error.detail)
                )
            plans.append(plan)
            if job is not None:
                yield job

    def _chapter(self, document: Document, book: Book, plan: _Plan) -> tuple[Chapter, Template]:
        """Return what to print of a chapter, and fill its plan; `DocumentError` if nothing."""
        item = plan.item
        source = book.chapter(item)
        if source.navigation and not self._options.keep_navigation:
            raise DocumentError(Reason.NAVIGATION, item.title)
        clean = clean_html(
            source.root,
            name=item.name.rpartition("/")[2],
            vertical=source.vertical and any(t.vertical for t in self._templates),
            direction=source.direction,
            resolve=lambda path: book.picture(item, path),
        )
        for left_out in clean.left_out:
            if left_out.reason in _HOSTILE:
                raise DocumentError(left_out.reason, f"{left_out.name}: {left_out.detail}")
            name = f"{item.name}:{left_out.name}"
            plan.drops.append(document.dropped(left_out.reason, item=name, detail=left_out.detail))
        plan.language = language = identify(_prose(clean))
        if not text_of(clean.body).strip():
            raise DocumentError(Reason.NO_TEXT, "the chapter has no text")
        clean.body.set("lang", _font_language(language, book))
        header = clean_text(item.title or book.title)[:_MAX_HEADER]
        chapter = Chapter(clean.body, clean.body.get("lang", ""), header, clean.assets)
        key = f"{document.ref.id}/{item.name}"
        template = choose(self._templates, self._options.seed, key, chapter)
        plan.template = template.name
        return chapter, template

    def _page(self, document: Document, plan: _Plan, page: Page, position: int) -> Sample | Dropped:
        """Make a page's sample; `position` is how many pages of the book came before it."""
        name = f"{plan.item.name}#{page.number}"
        if page.failure is not None:
            return document.dropped(page.failure, item=name, detail=page.detail, score=page.score)
        if page.characters < self._options.min_characters:
            detail = f"{page.characters} characters"
            return document.dropped(Reason.NO_TEXT, item=name, detail=detail, score=page.score)
        return document.sample(
            position,
            category="document_ocr",
            segments=[page.image, Text(page.text)],
            language=plan.language.code,
            details={
                **self._printer.details,
                "template": plan.template,
                "seed": str(self._options.seed),
                "chapter": plan.item.name,
                "page": str(page.number),
                "text_source": "dom",
            },
            scores={
                "proof": page.score,
                "language_confidence": plan.language.confidence,
                "characters": float(page.characters),
            },
        )


def _prose(clean: Clean) -> str:
    """A chapter's text without code and formulas, as far as a language is told by it."""
    pieces: list[str] = []
    size, letters = 0, False
    for text in _prose_texts(clean.body):
        pieces.append(text)
        size += len(text)
        letters = letters or any(map(str.isalpha, text))
        if letters and size > HEAD:
            break
    return " ".join(pieces if letters else map(str, clean.body.itertext()))


def _prose_texts(element: etree._Element) -> Iterator[str]:
    if element.tag not in ("pre", "code") and element.text:
        yield element.text
    for child in element:
        if child.tag not in ("pre", "math"):
            yield from _prose_texts(child)
        if child.tail:
            yield child.tail


def _font_language(language: Language, book: Book) -> str:
    """The tag by which fonts are chosen: the text's own language, in the book's own region."""
    declared = book.language.replace("_", "-")
    return declared if declared.lower().partition("-")[0] == language.code else language.code


PIPELINE = Pipeline(
    name="ebooks",
    version=VERSION,
    options=EbookOptions,
    source=list_ebooks,
    reader=read_bytes,
    converter=EbookConverter,
    partition_size=4,
    limits=Limits(seconds=900, document_mb=200),
    needs_browser=True,
)
