"""Are an article's pages cut where they end? Ours and Nougat's splitter, over the truth set.

In: `tests/latex/truth`, documents for which TeX itself wrote down the page of every word. Out, for
each document and over all: pages, pages accepted, and of those the pages whose text has exactly
the words that the page shows; the words that leaked from another page and those that were lost.

Nougat's splitter (`uv sync --group peers` brings what it needs) gets the Markdown that we cut too,
which Nougat's own parser made after our mending, its own PDF text and its threshold (0.9), and no
figures, as pdffigures2 is not here. So of its pages only the words of the running text are
judged, and its Markdown is spared footnotes and floats. It puts out one page too many for each
page without text, so in `book` most of its pages are right but stand one page too late.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import types
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec

import pymupdf

from dsvl_data.latex.align import align
from dsvl_data.latex.gates import check_page
from dsvl_data.latex.pdf_words import read_pdf_pages
from tests.latex.truth import truth


@dataclass
class Score:
    """What became of the pages of one document, or of all."""

    pages: int = 0
    accepted: int = 0
    exact: int = 0
    leaked: int = 0
    lost: int = 0
    seconds: float = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def __iadd__(self, other: Score) -> Score:
        self.pages += other.pages
        self.accepted += other.accepted
        self.exact += other.exact
        self.leaked += other.leaked
        self.lost += other.lost
        self.seconds += other.seconds
        self.reasons += other.reasons
        return self

    def line(self) -> str:
        share = 100 * self.accepted / max(1, self.pages)
        exact = 100 * self.exact / max(1, self.accepted)
        reasons = ", ".join(f"{name} {count}" for name, count in self.reasons.most_common())
        return (
            f"{self.pages:4} pages  accepted {self.accepted:4} ({share:5.1f} %)  exact "
            f"{self.exact:4} ({exact:5.1f} % of accepted)  leaked {self.leaked:4}  lost "
            f"{self.lost:4}  {1000 * self.seconds / max(1, self.pages):6.1f} ms a page"
            + (f"  [{reasons}]" if reasons else "")
        )


def score_ours(document: truth.Document, report: Callable[[str], None]) -> Score:
    score = Score()
    start = time.perf_counter()
    article = document.article
    with pymupdf.open("pdf", document.pdf) as pdf:
        pages = read_pdf_pages(pdf)
    aligned = align(article, pages)
    faults = [check_page(a, page) for a, page in zip(aligned, pages, strict=True)]
    score.seconds = time.perf_counter() - start
    for number, (page, found) in enumerate(zip(aligned, faults, strict=True), 1):
        score.pages += 1
        verdict = document.judge(number, page.text, mended=page.mended > 0)
        state = "exact" if verdict.exact else "wrong"
        if found:
            score.reasons.update({str(fault.reason) for fault in found})
            why = "; ".join(f"{fault.reason}: {fault.detail}" for fault in found)
            report(f"    page {number}: refused ({why}); {state}")
            continue
        score.accepted += 1
        score.exact += verdict.exact
        score.leaked += len(verdict.leaked)
        score.lost += len(verdict.lost)
        if not verdict.exact:
            report(f"    page {number}: WRONG, leaked {verdict.leaked}, lost {verdict.lost}")
    return score


#: What Nougat's splitter imports; none of it is needed by dsvl-data itself.
PEERS = (
    "sklearn", "pdfminer", "pypdf", "Levenshtein", "fuzzysearch", "pypdfium2", "pylatexenc",
)  # fmt: skip


#: Returns the pages and what it knows of them, or None when it gives up.
Splitter = Callable[..., tuple[list[str], dict[str, object]] | None]


def nougat_splitter() -> Splitter | None:
    """`nougat.dataset.split_md_to_pages.split_markdown`, without importing Nougat's model."""
    if missing := [name for name in PEERS if find_spec(name) is None]:
        print(f"Nougat's splitter is left out, it needs: {' '.join(missing)}")
        return None
    spec = find_spec("nougat")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    if "nougat" not in sys.modules:
        bare = types.ModuleType("nougat")
        bare.__path__ = list(spec.submodule_search_locations)
        sys.modules["nougat"] = bare
    found: Splitter = importlib.import_module("nougat.dataset.split_md_to_pages").split_markdown
    return found


def score_nougat(
    document: truth.Document,
    split: Splitter,
    report: Callable[[str], None],
) -> Score:
    from unidecode import unidecode

    score = Score(pages=document.page_count)
    # It spells "£20" as one word, "PS20", which is neither right nor its fault.
    markdown = "\n\n".join(b.markdown.replace("£", "") for b in document.article.flow)
    start = time.perf_counter()
    try:
        pages, _ = split(markdown, str(document.pdf_path), min_score=0.9) or ([], {})
    except (IndexError, ValueError, KeyError, ZeroDivisionError, AssertionError) as error:
        report(f"    the splitter failed: {error!r}")
        score.reasons[type(error).__name__] += 1
        return score
    score.seconds = time.perf_counter() - start
    for number, text in enumerate(pages[: document.page_count], 1):
        if not text.strip():
            continue
        score.accepted += 1
        verdict = document.judge_flow(number, text, unidecode)
        score.exact += verdict.exact
        score.leaked += len(verdict.leaked)
        score.lost += len(verdict.lost)
        if not verdict.exact:
            report(f"    page {number}: leaked {verdict.leaked[:9]}, lost {verdict.lost[:9]}")
    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="documents of the truth set; all when left out")
    parser.add_argument("--verbose", action="store_true", help="what is wrong with which page")
    arguments = parser.parse_args()

    def report(line: str) -> None:
        if arguments.verbose:
            print(line[:1000])

    split = nougat_splitter()
    ours, nougat = Score(), Score()
    for name in arguments.names or truth.names():
        document = truth.load(name)
        if changed := document.changed():
            print(f"{name}: the marks change the reader's words, its truth is doubtful: {changed}")
        score = score_ours(document, report)
        ours += score
        print(f"{name:12} ours    {score.line()}", flush=True)
        if split is not None:
            score = score_nougat(document, split, report)
            nougat += score
            print(f"{name:12} Nougat  {score.line()}", flush=True)
    print(f"{'all':12} ours    {ours.line()}")
    if split is not None:
        print(f"{'all':12} Nougat  {nougat.line()}")
    print("asked: at least 80 % of pages accepted, at least 98 % of those exact")


if __name__ == "__main__":
    main()
