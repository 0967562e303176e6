"""Exams: questions on printed papers, each page with the Markdown of what it shows.

In: files of questions (`read.questions`): JSON lines, JSON, CSV and Parquet by a mapping of
`pipelines/mappings`, Moodle XML, GIFT. Out: a sample a page, of category `document_ocr`.

Consecutive questions of one language share a paper; a paper is one print. A question that
cannot be shown as it is meant is dropped with its reason, and so is one that spoils the proof
of its paper: such a paper is printed again in halves until the culprit stands alone.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dsvl_data import storage
from dsvl_data.language import UNDETERMINED, identify_all
from dsvl_data.outcome import DocumentError, Reason, UserError
from dsvl_data.pipeline import (
    Document,
    DocumentRef,
    Dropped,
    InputSpec,
    Limits,
    Pipeline,
)
from dsvl_data.read.questions import (
    Picture,
    Question,
    Refused,
    approach_slice,
    list_questions,
    read_questions,
    read_slice,
)
from dsvl_data.render.assets import data_asset
from dsvl_data.render.pages import Chapter, Page
from dsvl_data.render.printer import Printer
from dsvl_data.render.template import Template, choose, load_templates
from dsvl_data.sample import Sample, Text
from pipelines.exam_layouts import LAYOUTS
from pipelines.exam_options import ExamOptions, load_mappings
from pipelines.exam_paper import make_paper
from pipelines.exam_text import Shown, show

VERSION = "1"
_MAX_PICTURE = 20 << 20
#: Questions whose language is judged together, and the confidence below which one alone is not.
_TOGETHER = 64
_SURE = 0.7


def list_exams(inputs: Sequence[InputSpec], options: ExamOptions) -> Iterable[DocumentRef]:
    """List the slices of the inputs' question files."""
    listed = False
    for ref in list_questions(inputs, rows=options.slice_rows, format=options.format):
        listed = True
        yield ref
    if not listed and inputs:
        paths = ", ".join(spec.path for spec in inputs)
        raise UserError(
            f"no file of questions in {paths}: expected .json, .jsonl, .csv, .tsv, .parquet, "
            ".xml (Moodle) or .gift; set `format` for files with other names"
        )


class ExamConverter:
    """Prints papers; holds one browser."""

    def __init__(self, options: ExamOptions) -> None:
        self._options = options
        self._templates = [
            template
            for template in load_templates("papers")
            if template.name in (options.layouts or LAYOUTS)
        ]
        self._printer = Printer(longest_side=options.longest_side, timeout=options.print_seconds)

    def __call__(self, documents: Sequence[Document]) -> Iterator[Sample | Dropped]:
        """Yield the pages of each document's papers, and the questions left out."""
        for document in documents:
            yield from _Exam(document, self._options, self._templates, self._printer).convert()

    def close(self) -> None:
        """End the browser."""
        self._printer.close()


@dataclass(frozen=True, slots=True)
class _Paper:
    """Questions that are printed together."""

    questions: Sequence[Shown]
    language: str
    template: Template
    number: int
    key: str

    def job(self) -> tuple[Chapter, Template]:
        layout = LAYOUTS[self.template.name]
        return make_paper(self.questions, layout, self.language, self.key), self.template

    def halves(self) -> list[_Paper]:
        middle = len(self.questions) // 2
        return [
            replace(self, questions=half)
            for half in (self.questions[:middle], self.questions[middle:])
        ]


class _Exam:
    """One document on its way to pages."""

    def __init__(
        self,
        document: Document,
        options: ExamOptions,
        templates: Sequence[Template],
        printer: Printer,
    ) -> None:
        self._document = document
        self._options = options
        self._templates = templates
        self._printer = printer
        self._papers = 0
        self._pages = 0

    def convert(self) -> Iterator[Sample | Dropped]:
        steps: deque[Dropped | _Paper] = deque()
        for result in self._printer.print_many(self._jobs(steps)):
            while isinstance(step := steps.popleft(), Dropped):
                yield step
            yield from self._printed(step, result)
        for step in steps:
            assert isinstance(step, Dropped)  # every paper has had its result
            yield step

    def _jobs(self, steps: deque[Dropped | _Paper]) -> Iterator[tuple[Chapter, Template]]:
        """Yield what is to be printed; papers and questions left out are appended to `steps`."""
        waiting: list[Shown] = []
        language = ""
        found = 0
        for chunk in self._chunks():
            for entry in chunk:
                found += 1
                if isinstance(entry, Dropped):
                    steps.append(entry)
                    continue
                if waiting and self._is_full(waiting, entry, language):
                    yield from self._paper(waiting, language, steps)
                    waiting = []
                if not waiting:
                    language = entry.language
                waiting.append(entry)
                if entry.solution_error is not None:
                    error = entry.solution_error
                    name = f"{entry.question.item}/solution"
                    steps.append(
                        self._document.dropped(error.reason, item=name, detail=error.detail)
                    )
        if waiting:
            yield from self._paper(waiting, language, steps)
        if not found:
            raise DocumentError(Reason.EMPTY_DOCUMENT, "a file without a question")

    def _chunks(self) -> Iterator[list[Shown | Dropped]]:
        ref = self._document.ref
        chunk: list[Shown | Dropped] = []
        for entry in read_questions(
            self._document.data,
            ref.meta["format"],
            load_mappings(self._options.mapping),
            ref.meta["row"],
        ):
            chunk.append(self._shown(entry))
            if len(chunk) == _TOGETHER:
                _tell_languages(chunk)
                yield chunk
                chunk = []
        _tell_languages(chunk)
        yield chunk

    def _shown(self, entry: Question | Refused) -> Shown | Dropped:
        if isinstance(entry, Refused):
            return self._document.dropped(entry.reason, item=entry.item, detail=entry.detail)
        try:
            return show(entry, self._picture)
        except DocumentError as error:
            return self._document.dropped(error.reason, item=entry.item, detail=error.detail)

    def _picture(self, picture: Picture) -> bytes:
        if picture.data is not None:
            return picture.data
        if not picture.path:
            detail = f"nothing stands for {picture.name}"
            raise DocumentError(Reason.MISSING_IMAGE, detail)
        if picture.path.startswith("data:"):
            asset = data_asset(picture.path)
            if asset is None:
                raise DocumentError(Reason.BAD_IMAGE, "a malformed data: URL")
            return asset.data
        ref = self._document.ref
        path = picture_path(ref.path, ref.meta["root"], picture.path)
        try:
            size = storage.size(path)
            if size > _MAX_PICTURE:
                raise DocumentError(Reason.TOO_LARGE, f"{picture.path}: {size} bytes")
            return storage.read_bytes(path)
        except OSError as error:
            raise DocumentError(Reason.MISSING_IMAGE, f"{picture.path}: {error}") from error

    def _is_full(self, waiting: Sequence[Shown], entry: Shown, language: str) -> bool:
        if entry.language != language:
            return True
        wanted = self._options.questions_per_paper
        low = max(1, wanted // 2)
        target = low + _hash(self._seed_of("size")) % (2 * (wanted - low) + 1)
        other = entry.question.subject != waiting[-1].question.subject
        return len(waiting) >= target or (other and len(waiting) >= low)

    def _paper(
        self, questions: Sequence[Shown], language: str, steps: deque[Dropped | _Paper]
    ) -> Iterator[tuple[Chapter, Template]]:
        suitable = [t for t in self._templates if LAYOUTS[t.name].suits(questions, language)]
        number, key = self._papers, self._seed_of("paper")
        self._papers += 1
        if not suitable:
            detail = "it has not what the layouts of the recipe show"
            steps.extend(
                self._document.dropped(Reason.BAD_QUESTION, item=shown.question.item, detail=detail)
                for shown in questions
            )
            return
        template = choose(suitable, self._options.seed, key)
        paper = _Paper(questions, language, template, number, key)
        steps.append(paper)
        yield paper.job()

    def _printed(
        self, paper: _Paper, result: list[Page] | DocumentError
    ) -> Iterator[Sample | Dropped]:
        first, last = paper.questions[0].question.item, paper.questions[-1].question.item
        broken = isinstance(result, DocumentError) or any(
            page.failure not in (None, Reason.NO_TEXT) for page in result
        )
        if broken and len(paper.questions) > 1:
            halves = paper.halves()
            results = self._printer.print_many(half.job() for half in halves)
            for half, pages in zip(halves, results, strict=True):
                yield from self._printed(half, pages)
            return
        if isinstance(result, DocumentError):
            yield self._document.dropped(result.reason, item=first, detail=result.detail)
            return
        for page in result:
            if page.failure is not None:
                yield self._document.dropped(
                    page.failure,
                    item=f"{first if first == last else f'{first}..{last}'} page {page.number}",
                    detail=page.detail,
                    score=page.score,
                )
                continue
            yield self._sample(page, paper)

    def _sample(self, page: Page, paper: _Paper) -> Sample:
        position = self._pages
        self._pages += 1
        items = [shown.question.item for shown in paper.questions]
        subjects = sorted({s.question.subject for s in paper.questions if s.question.subject})
        return self._document.sample(
            position,
            category="document_ocr",
            segments=[page.image, Text(page.text)],
            language=paper.language,
            details={
                **self._printer.details,
                "template": paper.template.name,
                "layout": paper.template.name,
                "seed": str(self._options.seed),
                "paper": str(paper.number),
                "page": str(page.number),
                "questions": items[0] if len(items) == 1 else f"{items[0]}-{items[-1]}",
                "subject": ", ".join(subjects)[:200],
                "text_source": "dom",
            },
            scores={"proof": page.score, "characters": float(page.characters)},
        )

    def _seed_of(self, what: str) -> str:
        return f"{self._options.seed}\0{self._document.ref.id}\0{self._papers}\0{what}"


def picture_path(file: str, root: str, path: str) -> str:
    """Where a picture lies that a question file names by a relative path.

    Raises `DocumentError`: `UNSAFE_PATH` when that is outside of the input's folder `root`,
    `MISSING_IMAGE` when it is on the network.
    """
    if re.match(r"(?:https?|ftp):", path, re.IGNORECASE):
        raise DocumentError(Reason.MISSING_IMAGE, f"an image of another place: {path[:100]}")
    wanted = path.replace("\\", "/")
    if "\0" in wanted or wanted.startswith("/") or re.match(r"[A-Za-z][\w+.-]*:", wanted):
        raise DocumentError(Reason.UNSAFE_PATH, f"{path[:100]!r} is no relative path")
    scheme, mark, inner = file.rpartition("://")
    base = root.rpartition("://")[2].rstrip("/") + "/"
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(inner), wanted))
    if not joined.startswith(base):
        raise DocumentError(Reason.UNSAFE_PATH, f"{path[:100]!r} leads out of the input")
    if not mark and not Path(joined).resolve().is_relative_to(Path(base).resolve()):
        raise DocumentError(Reason.UNSAFE_PATH, f"{path[:100]!r} is a link out of the input")
    return scheme + mark + joined


def _tell_languages(chunk: Sequence[Shown | Dropped]) -> None:
    """Set the languages: by the text, and where that says little by what is declared or usual."""
    shown = [entry for entry in chunk if isinstance(entry, Shown)]
    found = identify_all([entry.prose for entry in shown])
    votes: Counter[str] = Counter()
    for language in found:
        votes[language.code] += round(100 * language.confidence)
    del votes[UNDETERMINED]
    usual = votes.most_common(1)[0][0] if votes else UNDETERMINED
    for entry, language in zip(shown, found, strict=True):
        declared = entry.question.language.replace("_", "-").partition("-")[0].lower()
        if language.confidence >= _SURE:
            entry.language = language.code
        else:
            entry.language = declared if re.fullmatch("[a-z]{2,3}", declared) else usual


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


PIPELINE = Pipeline(
    name="exams",
    version=VERSION,
    options=ExamOptions,
    source=list_exams,
    reader=read_slice,
    approach=approach_slice,
    converter=ExamConverter,
    partition_size=4,
    limits=Limits(seconds=600, document_mb=100),
    needs_browser=True,
)
