"""A draft for each page of an article's PDF: the text that the source gives it, or why not.

In: an article's source, unpacked, and the PDFs that may be its own. Out: the PDF that the source
explains best, a `Draft` for each of its pages, and the main files that no page shows. Nothing says
which main file was printed, so the likely ones are tried: LaTeXML, Nougat's parser, our alignment
with each PDF, and how well the two agree.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pymupdf

from dsvl_data.latex.align import align
from dsvl_data.latex.article import Article
from dsvl_data.latex.dollars import formula_with_dollar
from dsvl_data.latex.gates import Gates, check_page
from dsvl_data.latex.latexml import Latexml, run_latexml
from dsvl_data.latex.nougat_markdown import read_article
from dsvl_data.latex.pdf_words import read_pdf_pages
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.article_source import Candidate, find_roots
from dsvl_data.sample import Image

#: Main files of one submission that are tried against its PDFs.
_MOST_ROOTS = 4
#: A file with a lower score is hardly an article: see `find_roots`.
_LEAST_SCORE = -20
#: A main file whose score is so far behind the best one's is no second article.
_FAR_SCORE = 45
#: One article that explains so much of its PDF needs no second main file, and a PDF of which it
#: explains so little is not its own.
_ENOUGH, _STRANGE = 0.85, 0.2
#: What may be the article, or a part of it (see `article_source.Role`).
_PAPERS = frozenset(("article", "supplement", "plain"))
#: What is told of a main file that no page shows.
_BESIDE: Mapping[str, str] = {
    "article": "another main file; no page shows its text",
    "supplement": "a supplement; no page shows its text",
    "letter": "a letter or a rebuttal",
    "slides": "slides, a poster or a life",
}


@dataclass(slots=True)
class Draft:
    """A page on its way: its picture and its text, or why it has none."""

    number: int
    text: str = ""
    root: str = ""
    reason: Reason | None = None
    detail: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    image: Image | None = None
    text_source: Literal["latex", "nougat"] = "latex"

    @property
    def fit(self) -> float:
        """How well the text agrees with the page, 0 to 1."""
        return self.scores.get("precision", 0.0) * self.scores.get("coverage", 0.0)


@dataclass(frozen=True, slots=True)
class Explained:
    """The PDF that a source explains best, its pages in order, and what the source holds beside.

    `beside` are the main files that no page took its text from, each with what it seems to be.
    """

    pdf: bytes
    drafts: list[Draft]
    beside: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class LatexmlLimits:
    """What LaTeXML may take: seconds for all main files of an article together, and MB."""

    seconds: float
    memory_mb: int


def explain_pdf(
    folder: Path, pdfs: Sequence[bytes], gates: Gates, limits: LatexmlLimits
) -> Explained:
    """Return the PDF that the source explains best, and a draft for each of its pages.

    Where several main files may be the article, each is tried against each PDF. The likeliest
    file that explains a PDF at all says which one is the article's; each page of it takes its
    text from the file that agrees with it best: arXiv joins the PDFs of all of them. Letters,
    slides and what is far less likely come after, where those explain nothing: the paper that
    LaTeXML gives up on is not replaced by its rebuttal. Raises `DocumentError`: `PDF_ONLY`,
    `NO_SOURCE`, `NO_PDF`, or what the likeliest main file failed with when none could be read.
    """
    roots = find_roots(folder)
    if not roots:
        nothing = not any(folder.iterdir())
        raise DocumentError(
            Reason.PDF_ONLY if nothing else Reason.NO_SOURCE,
            "no source" if nothing else "no main file: no TeX file begins a document",
        )
    if not pdfs:
        raise DocumentError(Reason.NO_PDF, "no PDF beside the source")
    papers = [root for root in roots if root.role in _PAPERS] or roots
    likely = [root for root in papers if _is_likely(root, papers[0])] or papers[:1]
    trials = _Trials(folder, pdfs, gates, limits)
    failures = trials.run(likely)
    if not failures and max(map(_share, trials.best.values())) < _STRANGE:
        trials.run([root for root in roots if root not in likely and root.role != "piece"])
    best = trials.best
    chosen = max(best, key=lambda at: _share(best[at]))
    if not best[chosen]:
        raise failures[0]
    shown = {draft.root for draft in best[chosen]}
    beside = [
        (root.path, _BESIDE[root.role])
        for root in roots
        if root.role in _BESIDE and root.path not in shown
    ]
    return Explained(pdfs[chosen], best[chosen], beside)


@contextmanager
def open_pdf(data: bytes) -> Iterator[pymupdf.Document]:
    """Open a PDF that nobody trusts; raises `DocumentError` (`BAD_PDF`, `ENCRYPTED`)."""
    try:
        with pymupdf.open("pdf", data) as document:
            if document.needs_pass:
                raise DocumentError(Reason.ENCRYPTED, "the PDF asks for a password")
            if not len(document):
                raise DocumentError(Reason.BAD_PDF, "a PDF without pages")
            yield document
    except (RuntimeError, ValueError) as error:  # PyMuPDF's own errors are RuntimeErrors
        raise DocumentError(Reason.BAD_PDF, str(error)) from error


class _Trials:
    """Main files tried against PDFs.

    `best` keeps each page's best draft by the PDF's number; once a file explains a PDF, it keeps
    that PDF only.
    """

    def __init__(
        self, folder: Path, pdfs: Sequence[bytes], gates: Gates, limits: LatexmlLimits
    ) -> None:
        self._folder, self._pdfs, self._gates, self._limits = folder, pdfs, gates, limits
        self._spent = 0.0
        self.best: dict[int, list[Draft]] = {at: [] for at in range(len(pdfs))}

    def run(self, roots: Sequence[Candidate]) -> list[DocumentError]:
        """Judge main files against the PDFs that are left; returns what failed."""
        best = self.best
        failures = []
        for root in roots[:_MOST_ROOTS]:
            try:
                made = self._run_latexml(root.path)
                article = read_article(made.html)
                tried = {at: self._align(made, article, root.path, self._pdfs[at]) for at in best}
            except DocumentError as error:
                failures.append(error)
                continue
            own = max(tried, key=lambda at: _share(tried[at]))
            for at in list(best):
                if at != own and _share(tried[own]) >= _STRANGE:
                    del best[at]
                    continue
                pairs = zip(best[at], tried[at], strict=True) if best[at] else ()
                best[at] = [max(pair, key=lambda draft: draft.fit) for pair in pairs] or tried[at]
            if max(map(_share, best.values())) >= _ENOUGH:
                break
        return failures

    def _run_latexml(self, root: str) -> Latexml:
        """Run LaTeXML; all main files of an article together have the time of one."""
        left = self._limits.seconds - self._spent
        if left <= 0:
            detail = f"LaTeXML took more than {self._limits.seconds:g} s"
            raise DocumentError(Reason.TIMEOUT, detail)
        started = time.monotonic()
        try:
            return run_latexml(self._folder, root, seconds=left, memory=self._limits.memory_mb)
        finally:
            self._spent += time.monotonic() - started

    def _align(self, made: Latexml, article: Article, root: str, pdf: bytes) -> list[Draft]:
        """Give each page of a PDF its text, and judge it."""
        with open_pdf(pdf) as document:
            pages = read_pdf_pages(document)
        drafts = []
        for aligned, page in zip(align(article, pages), pages, strict=True):
            draft = Draft(
                aligned.number,
                aligned.text,
                root,
                scores={"precision": aligned.precision, "coverage": aligned.coverage},
            )
            faults = check_page(aligned, page, self._gates)
            unknown = [name for name in made.undefined if _shows(aligned.text, name)]
            if unknown:
                draft.reason, draft.detail = Reason.LATEX_UNDEFINED, ", ".join(unknown)
            elif broken := formula_with_dollar(aligned.text):
                draft.reason, draft.detail = Reason.BAD_FORMULA, f"a dollar in {broken[:60]!r}"
            elif faults:
                draft.reason = faults[0].reason
                draft.detail = "; ".join(fault.detail for fault in faults)
            drafts.append(draft)
        return drafts


def _share(drafts: Sequence[Draft]) -> float:
    """The share of a PDF that its drafts agree with."""
    return sum(draft.fit for draft in drafts) / max(1, len(drafts))


def _is_likely(root: Candidate, best: Candidate) -> bool:
    """Whether a main file may be the article, or one of those that its PDF was joined from."""
    near = root.role == "supplement" or root.score >= best.score - _FAR_SCORE
    return near and root.score >= _LEAST_SCORE


def _shows(text: str, name: str) -> bool:
    r"""Whether a text holds an undefined macro (`\name`) or environment (`{name}`)."""
    return (
        re.search(re.escape(name) + (r"(?![a-zA-Z])" if name.startswith("\\") else ""), text)
        is not None
    )
