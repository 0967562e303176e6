"""arXiv: from an article's source and PDF to its pages, each beside the Markdown of what it shows.

In: arXiv's bulk tars, or folders of articles (`read.arxiv`). Out: one `document_ocr` sample a
page: the page of the PDF as a picture, and its text. The text comes from the source (LaTeXML,
Nougat's parser, our alignment with the PDF: `text_source` is `latex`), or, where there is no
usable source and the recipe names a checkpoint, from the Nougat model (`nougat`).
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import pymupdf
from PIL import Image as Pillow
from pydantic import Field

from dsvl_data.language import identify
from dsvl_data.latex.gates import DEFAULT_GATES, Gates
from dsvl_data.latex.latexml import latexml_version
from dsvl_data.outcome import DocumentError, Reason, UserError
from dsvl_data.pipeline import (
    Document,
    DocumentRef,
    Dropped,
    InputSpec,
    Limits,
    PathOption,
    Pipeline,
    Settings,
    Took,
)
from dsvl_data.read.article_source import find_roots, own_pdfs
from dsvl_data.read.arxiv import list_articles, read_article, split_article
from dsvl_data.read.arxiv_metadata import approach_metadata, resolve_article
from dsvl_data.read.submission import unpack_source
from dsvl_data.render.raster import encode, rasterise
from dsvl_data.sample import Sample, Text
from pipelines.arxiv_drafts import Draft, LatexmlLimits, explain_pdf, open_pdf

if TYPE_CHECKING:
    from dsvl_data.latex.nougat_model import NougatModel

VERSION = "1"

#: PDFs within a source that are tried, and how near the best one's score theirs is: see `own_pdfs`.
_MOST_PDFS, _NEAR_SCORE = 3, 15
#: What may be mended by letting the model read the PDF.
_FOR_MODEL = frozenset(
    (
        Reason.NO_SOURCE,
        Reason.PDF_ONLY,
        Reason.EMPTY_DOCUMENT,
        Reason.BAD_ARCHIVE,
        Reason.BAD_MARKUP,
        Reason.LATEX_FATAL,
        Reason.LATEX_UNDEFINED,
        Reason.TIMEOUT,
        Reason.MEMORY,
        Reason.TOO_LARGE,
    )
)


class GateOptions(Settings):
    """What a page's text must reach to be kept; the defaults are those of `latex.gates.Gates`."""

    precision: float = Field(
        default=DEFAULT_GATES.precision,
        ge=0,
        le=1,
        description="share of the text's words on the page",
    )
    coverage: float = Field(
        default=DEFAULT_GATES.coverage,
        ge=0,
        le=1,
        description="share of the page's words in the text",
    )
    edge: int = Field(
        default=DEFAULT_GATES.edge,
        ge=0,
        description="words at either end that may be the next page's",
    )
    words: int = Field(
        default=DEFAULT_GATES.words, ge=1, description="words below which there is no text"
    )
    foreign: int = Field(
        default=DEFAULT_GATES.foreign,
        ge=0,
        description="words of the text that the page may have nowhere",
    )


class ArxivOptions(Settings):
    """What a recipe can set for arXiv."""

    metadata: Annotated[str, PathOption()] = Field(
        default="",
        description="arxiv-metadata-oai-snapshot.json: licences, categories and titles",
    )
    longest_side: int = Field(
        default=1024, ge=256, le=4096, description="longer side of a page image in pixels"
    )
    image_format: Literal["png", "jpg"] = Field(
        default="png", description="format of the page images"
    )
    latexml_seconds: float | None = Field(
        default=None,
        gt=0,
        description="wall-clock seconds that LaTeXML may take for an article; not given: half of "
        "the document's limit",
    )
    latexml_mb: int = Field(default=1200, gt=0, description="MB of memory for LaTeXML")
    gates: GateOptions = Field(
        default_factory=GateOptions, description="what a page's text must reach to be kept"
    )
    nougat: Annotated[str, PathOption(or_name=True)] = Field(
        default="",
        description="checkpoint of the Nougat model for PDFs without usable source: a folder "
        "or a hub name; empty: such articles are left out",
    )
    nougat_for_failed_pages: bool = Field(
        default=False, description="let the model read the pages that fail the gates, too"
    )
    nougat_batch: int = Field(default=4, ge=1, description="pages that the model reads together")
    nougat_device: str = Field(default="auto", description="cuda, cpu, or auto: cuda if there")


def list_arxiv(inputs: Sequence[InputSpec], options: ArxivOptions) -> Iterable[DocumentRef]:
    """List the articles of the inputs."""
    return list_articles(inputs, metadata=options.metadata or None)


def check_arxiv(options: ArxivOptions, limits: Limits) -> None:
    """Raise `UserError` when LaTeXML or the model is not there, or has not the memory it needs."""
    latexml_version()
    if options.nougat:
        from dsvl_data.latex.nougat_model import check_checkpoint

        # Weights as 32-bit numbers, what reading a batch takes, Python and torch.
        needed = int(check_checkpoint(options.nougat) / 1e6 + 300 * options.nougat_batch + 1000)
        if limits.memory_mb < needed:
            raise UserError(
                f"the Nougat model {options.nougat} needs about {needed} MB in each worker: write "
                f"`limits: {{memory_mb: {needed}}}` beside `options`, and give --workers no more "
                "than the memory holds"
            )


@dataclass(slots=True)
class _Paper:
    """One document on its way; `failure` when nothing of it can be used."""

    document: Document
    drafts: list[Draft] = field(default_factory=list)
    failure: DocumentError | None = None
    seconds: float = 0.0
    #: Main files that no page took its text from, each with what it seems to be.
    beside: list[tuple[str, str]] = field(default_factory=list)


class ArxivConverter:
    """Converts articles; holds the Nougat model where the recipe names one."""

    def __init__(self, options: ArxivOptions) -> None:
        self._options = options
        self._gates = Gates(**options.gates.model_dump())
        self._latexml = latexml_version()
        self._model: NougatModel | None = None
        if options.nougat:
            # Torch is loaded only where it is needed: it takes half a gigabyte.
            from dsvl_data.latex.nougat_model import NougatModel

            self._model = NougatModel(
                options.nougat, device=options.nougat_device, batch_size=options.nougat_batch
            )

    def __call__(self, documents: Sequence[Document]) -> Iterator[Sample | Dropped | Took]:
        """Yield the pages of each article in order."""
        papers = [self._paper(document) for document in documents]
        started = time.monotonic()
        if self._model is not None:
            _read_by_model(self._model, papers)
        shared = (time.monotonic() - started) / len(papers)
        for paper in papers:
            yield from self._finish(paper)
            # One article's LaTeXML may take a thousand times another's: no mean says anything.
            yield Took(paper.document.ref.id, paper.seconds + shared)

    def close(self) -> None:
        """Give back the model."""
        self._model = None

    def _paper(self, document: Document) -> _Paper:
        """Do everything but the model's work.

        What fails the article is kept, not raised: the engine would do the batch's others again.
        """
        paper = _Paper(document)
        started = time.monotonic()
        try:
            self._convert(paper)
        finally:
            paper.seconds = time.monotonic() - started
        return paper

    def _convert(self, paper: _Paper) -> None:
        source, pdf = split_article(paper.document.data)
        with tempfile.TemporaryDirectory(prefix="dsvl-arxiv-") as name:
            folder = Path(name)
            pdfs = [pdf] if pdf else []
            try:
                pdfs = self._unpack(paper, source, pdfs, folder)
                explained = explain_pdf(folder, pdfs, self._gates, self._latexml_limits(paper))
                paper.drafts, paper.beside = explained.drafts, explained.beside
                pdf = explained.pdf
            except DocumentError as error:
                paper.failure = error
                if self._model is None or error.reason not in _FOR_MODEL or not pdfs:
                    return
                pdf = pdfs[0]
            try:
                self._draw(paper, pdf)
            except DocumentError as error:
                paper.failure = error

    def _unpack(self, paper: _Paper, source: bytes, pdfs: list[bytes], folder: Path) -> list[bytes]:
        """Unpack the source; returns the PDFs that may be the article's, the likeliest first."""
        if not source:
            return pdfs
        unpack_source(source, folder, name=_stem(paper.document))
        if pdfs:
            return pdfs
        found = own_pdfs(folder, find_roots(folder), name=_stem(paper.document))
        near = [one.path for one in found if one.score >= found[0].score - _NEAR_SCORE]
        return [(folder / path).read_bytes() for path in near[:_MOST_PDFS]]

    def _latexml_limits(self, paper: _Paper) -> LatexmlLimits:
        seconds = self._options.latexml_seconds or paper.document.limits.seconds / 2
        return LatexmlLimits(seconds, self._options.latexml_mb)

    def _draw(self, paper: _Paper, pdf: bytes) -> None:
        """Draw the pages that have a text, or may get one from the model."""
        with open_pdf(pdf) as document:
            if not paper.drafts:
                assert paper.failure is not None
                reason, detail = paper.failure.reason, paper.failure.detail
                paper.drafts = [
                    Draft(number, reason=reason, detail=detail) for number in range(len(document))
                ]
                paper.failure = None
            for draft in paper.drafts:
                if draft.reason is None or self._is_for_model(draft):
                    listing = document[draft.number].get_displaylist()
                    raster = rasterise(listing, longest_side=self._options.longest_side)
                    draft.image = encode(raster.pixels, self._options.image_format)

    def _is_for_model(self, draft: Draft) -> bool:
        if self._model is None or draft.reason is Reason.NO_TEXT:
            return False
        return draft.reason in _FOR_MODEL or self._options.nougat_for_failed_pages

    def _finish(self, paper: _Paper) -> Iterator[Sample | Dropped | Took]:
        document, failure = paper.document, paper.failure
        if failure is not None:
            yield document.dropped(failure.reason, detail=failure.detail)
            return
        prose = "\n\n".join(draft.text for draft in paper.drafts if draft.reason is None)
        language = identify(prose)
        known = ("title", "categories", "id", "version")
        extras = {key: str(document.ref.meta[key]) for key in known if document.ref.meta.get(key)}
        for draft in paper.drafts:
            if draft.reason is not None:
                yield document.dropped(
                    draft.reason,
                    item=f"#{draft.number + 1}",
                    detail=draft.detail,
                    score=draft.scores.get("coverage"),
                )
                continue
            assert draft.image is not None
            yield document.sample(
                draft.number,
                category="document_ocr",
                segments=[draft.image, Text(draft.text)],
                language=language.code,
                details={
                    "text_source": draft.text_source,
                    "page": str(draft.number + 1),
                    "pymupdf": str(pymupdf.version[0]),
                    **(
                        {"root": draft.root, "latexml": self._latexml}
                        if draft.text_source == "latex"
                        else {"checkpoint": self._options.nougat}
                    ),
                },
                scores={**draft.scores, "language_confidence": language.confidence},
                extras=extras,
            )
        for root, detail in paper.beside:
            yield document.dropped(Reason.BESIDE_ARTICLE, item=root, detail=detail)


def _read_by_model(model: NougatModel, papers: Sequence[_Paper]) -> None:
    """Have the model read the drawn pages that have no text, of all papers together."""
    waiting = [
        draft
        for paper in papers
        for draft in paper.drafts
        if draft.reason is not None and draft.image is not None
    ]
    images = (Pillow.open(io.BytesIO(draft.image.data)) for draft in waiting if draft.image)
    for draft, reading in zip(waiting, model.read(images), strict=True):
        draft.text_source, draft.root = "nougat", ""
        draft.scores = {"steadiness": reading.steadiness} if reading.tokens else {}
        if reading.looped:
            draft.reason, draft.detail = Reason.REPETITION, "the model fell into a loop"
        elif not reading.ended:
            draft.reason = Reason.REPETITION
            draft.detail = f"the model came to no end in {reading.tokens} tokens"
        elif not reading.text:
            draft.reason, draft.detail = Reason.NO_TEXT, "the model read nothing"
        else:
            draft.text, draft.reason, draft.detail = reading.text, None, ""


def _stem(document: Document) -> str:
    return str(document.ref.meta.get("id") or "paper").rpartition("/")[2]


PIPELINE = Pipeline(
    name="arxiv",
    version=VERSION,
    options=ArxivOptions,
    source=list_arxiv,
    reader=read_article,
    converter=ArxivConverter,
    resolve=lambda ref, options: resolve_article(ref),
    approach=approach_metadata,
    check=check_arxiv,
    partition_size=8,
    # Short articles fill a batch of the model together.
    batch_size=4,
    limits=Limits(seconds=1200, document_mb=500),
)
