"""What a page of arXiv costs, from LaTeXML's HTML to the stored image, and what a book needs.

In: the documents of `tests/latex/truth`. Out: CPU milliseconds a page on one core for each stage,
medians over rounds, for each document and over all; beside them LaTeXML's own time for one of the
documents. With `--book`: the most memory that a worker and its children hold while they convert a
book of 272 pages (a book of the truth set eight times over), sampled as in `worker_memory`.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import pymupdf

from benchmarks.worker_memory import TARGET_MB, peak
from dsvl_data.latex.align import align
from dsvl_data.latex.gates import check_page
from dsvl_data.latex.latexml import run_latexml
from dsvl_data.latex.nougat_markdown import read_article
from dsvl_data.latex.pdf_words import read_pdf_pages
from dsvl_data.render.raster import Raster, encode, rasterise
from tests.latex.truth import truth

LONGEST_SIDE = 1024
TARGET_MS = 80
COPIES = 8
STAGES = ("read HTML", "PDF words", "align", "gates", "rasterise", "encode")

_P = ParamSpec("_P")
_T = TypeVar("_T")


def draw(page: pymupdf.Page) -> Raster:
    return rasterise(page.get_displaylist(), longest_side=LONGEST_SIDE)


def convert(document: truth.Document) -> dict[str, float]:
    """CPU seconds of each stage for one document."""
    spent: dict[str, float] = defaultdict(float)

    def timed(stage: str, work: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T:
        start = time.process_time()
        result = work(*args, **options)
        spent[stage] += time.process_time() - start
        return result

    html, data = document.html.encode(), document.pdf
    article = timed("read HTML", read_article, html)
    with pymupdf.open("pdf", data) as pdf:
        pages = timed("PDF words", read_pdf_pages, pdf)
    aligned = timed("align", align, article, pages)
    with pymupdf.open("pdf", data) as pdf:
        for a, page in zip(aligned, pages, strict=True):
            if not timed("gates", check_page, a, page):
                raster = timed("rasterise", draw, pdf[a.number])
                timed("encode", encode, raster.pixels, "png")
    return spent


def latexml_line(name: str) -> str:
    if shutil.which("latexml") is None:
        return "LaTeXML is not installed"
    folder = truth.HERE / name
    start = time.perf_counter()
    made = run_latexml(folder, "source.tex", seconds=600, memory=1200)
    seconds = time.perf_counter() - start
    pages = truth.load(name).page_count
    return (
        f"LaTeXML beside it: {name} {seconds:.1f} s by the clock, {1000 * seconds / pages:.0f} ms "
        f"a page, {made.errors} errors"
    )


def book(folder: Path) -> Path:
    """A folder with one article: the book of the truth set, `COPIES` times over."""
    original = truth.HERE / "book"
    before, rest = (original / "source.tex").read_text().split("\\begin{document}")
    body, after = rest.split("\\end{document}")
    article = folder / "book"
    article.mkdir()
    text = f"{before}\\begin{{document}}{body * COPIES}\\end{{document}}{after}"
    (article / "book.tex").write_text(text)
    with pymupdf.open() as joined, pymupdf.open(original / "document.pdf") as pdf:
        for _ in range(COPIES):
            joined.insert_pdf(pdf)
        joined.save(article / "book.pdf")
        print(f"a book of {len(joined)} pages", flush=True)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--book", action="store_true", help="measure the memory for a long book")
    arguments = parser.parse_args()
    if arguments.book:
        with tempfile.TemporaryDirectory(prefix="dsvl-bench-") as name:
            folder = Path(name) / "articles"
            folder.mkdir()
            highest, became = peak("pipelines.arxiv:PIPELINE", book(folder), name, 900)
        print(f"most memory: {highest / 1e6:.0f} MB (asked: {TARGET_MB} MB)  {became}")
        return
    total: dict[str, float] = defaultdict(float)
    pages = 0
    print(f"{'CPU ms a page':14}" + "".join(f"{stage:>11}" for stage in (*STAGES, "all")))
    for name in truth.names():
        document = truth.load(name)
        rounds = [convert(document) for _ in range(arguments.rounds)]
        row = {stage: statistics.median(spent[stage] for spent in rounds) for stage in STAGES}
        print(line(name, row, document.page_count), flush=True)
        for stage, seconds in row.items():
            total[stage] += seconds
        pages += document.page_count
    print(line("all", total, pages) + f"   asked: {TARGET_MS}")
    print(latexml_line("twocolumn"))


def line(name: str, spent: dict[str, float], pages: int) -> str:
    figures = [1000 * spent[stage] / pages for stage in STAGES]
    return f"{name:14}" + "".join(f"{figure:11.1f}" for figure in (*figures, sum(figures)))


if __name__ == "__main__":
    main()
