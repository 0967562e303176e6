"""Is every character on the page where the text says it is? Documents whose truth is known.

In: documents made here, in every book template, in English and in Chinese, with paragraphs,
lists, tables, notes and code, in which every word (English) or letter (Chinese) occurs once;
and the real e-books. Out: characters on a wrong page, which must be 0, and the share of the
real books' characters that reach the text of a proved page: from their own pages to the clean
tree, and from there to the page.

The truth is read from the printed PDF by PyMuPDF's plain text extraction, which knows nothing
of the matching that is under test.
"""

from __future__ import annotations

import argparse
import itertools
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pymupdf
from lxml import etree

from benchmarks.rendering import load_jobs, real_data
from benchmarks.source_dom import common, read_sources
from dsvl_data.outcome import Reason
from dsvl_data.render.flow import build_flow
from dsvl_data.render.pages import Chapter, Page
from dsvl_data.render.press import Sheet
from dsvl_data.render.printer import Printer
from dsvl_data.render.template import Template, load_templates

ENGLISH = re.compile("Q[a-p]{5}")
CHINESE = re.compile("[\u4e00-\u9fa5]")
#: Not letters of either language, so that margins never hold a word of the text.
_HEADER = "2026 – 11"


class RecordingPrinter(Printer):
    """Keeps each print, for the truth to be read from."""

    def __init__(self) -> None:
        super().__init__(longest_side=512)
        self.pdfs: list[bytes] = []

    def _prove(self, sheet: Sheet, document: pymupdf.Document, before: int) -> Iterator[Page]:
        self.pdfs.append(sheet.pdf)
        return super()._prove(sheet, document, before)


def words(language: str) -> Iterator[str]:
    """Words or Chinese letters that never come again."""
    if language == "en":
        for letters in itertools.product("abcdefghijklmnop", repeat=5):
            yield "Q" + "".join(letters)
    else:
        # Every third letter, lest neighbours look alike.
        yield from (chr(code) for first in range(3) for code in range(0x4E00 + first, 0x9FA6, 3))


def make_document(language: str, sections: int = 3) -> etree._Element:
    """A chapter with all that breaks over pages and columns; no word stands twice."""
    supply = words(language)
    glue, scale = (" ", 1) if language == "en" else ("", 3)

    def text(count: int) -> str:
        return glue.join(itertools.islice(supply, count * scale))

    def cell(count: int) -> str:
        return f"<td>{text(count)}</td>"

    parts = []
    for section in range(sections):
        parts.append(f"<h1>{text(3)}</h1>")
        parts += [f"<p>{text(60)} <em>{text(3)}</em> {text(40)}</p>" for _ in range(4)]
        nested = "".join(f"<li><p>{text(8)}</p><p>{text(30)}</p></li>" for _ in range(3))
        parts.append(f"<ul><li>{text(20)}<ol>{nested}</ol></li><li>{text(30)}</li></ul>")
        rows = "".join(f"<tr>{cell(6)}{cell(2)}{cell(3)}</tr>" for _ in range(20))
        head = f"<tr><th>{text(1)}</th><th>{text(1)}</th><th>{text(1)}</th></tr>"
        parts.append(f"<h2>{text(2)}</h2><table><thead>{head}</thead>{rows}</table>")
        tall = f"<tr>{cell(120)}{cell(90)}</tr><tr>{cell(5)}{cell(150)}</tr>"
        parts.append(f"<table>{tall}</table>")
        parts.append(f"<p>{text(20)}<a class='noteref' data-label='{section + 1}'/></p>")
        note = f"<aside class='footnote' data-label='{section + 1}'><p>{text(25)}</p></aside>"
        lines = "\n".join(text(7) for _ in range(50))
        parts.append(f"{note}<pre>{lines}</pre><blockquote><p>{text(40)}</p></blockquote>")
    return etree.fromstring(f'<article lang="{language}">{"".join(parts)}</article>')


def check(printer: RecordingPrinter, template: Template, language: str) -> tuple[int, int, int]:
    """Pages, characters, and characters that stand on another page than their text says."""
    body = make_document(language)
    if template.vertical:
        body.set("class", "vertical")
    printer.pdfs.clear()
    pages = list(printer.pages(Chapter(body, language, _HEADER), template))
    with pymupdf.open("pdf", printer.pdfs[0]) as document:
        truth = ["".join(document[i].get_text().split()) for i in range(len(document))]
    word = ENGLISH if language == "en" else CHINESE
    wrong = characters = 0
    for page, painted in zip(pages, truth, strict=True):
        said = word.findall(re.sub(r"\s|<br>", "", page.text))
        shown = word.findall(painted)
        wrong += sum(len(w) for w in set(said) ^ set(shown))
        wrong += sum(len(w) for w in said) - sum(len(w) for w in set(said))
        characters += sum(len(w) for w in shown)
        if page.failure is not None and page.failure is not Reason.NO_TEXT:
            print(f"    {template.name} {language} page {page.number}: {page.detail}")
    expected = sum(len(w) for w in word.findall("".join(map(str, body.itertext()))))
    return len(pages), characters, wrong + abs(expected - characters)


def check_real_books(printer: Printer, report: Callable[[str], None]) -> None:
    folder = real_data()
    if folder is None:
        report("proof set: no real data; set DSVL_REAL_DATA to a folder with ebooks/*.epub")
        return
    sources = read_sources(folder)
    left_out: Counter[str] = sum((source.left_out for source in sources.values()), Counter())
    said = sum(len(source.text) for source in sources.values())
    kept = total = reached = pages = proved = 0
    lost: Counter[str] = Counter()
    for job in load_jobs(folder):
        clean, source = build_flow(job.chapter.body).text, sources[job.name].text
        shared = common(source, clean)
        kept += shared
        total += len(clean)
        if shared < len(source):
            report(f"    {job.name}: {len(source) - shared} of {len(source)} lost by cleaning")
        for page in printer.pages(job.chapter, job.template):
            characters = page.characters - page.margin_characters
            pages += 1
            if page.failure is None:
                reached += characters
                proved += 1
                continue
            lost[str(page.failure)] += characters
            if page.failure is not Reason.NO_TEXT:
                report(f"    {job.name} ({job.template.name}) page {page.number}: {page.detail}")
    report("real e-books, characters left out on purpose:")
    for kind, count in left_out.most_common():
        report(f"    {count:8} {kind}")
    report(f"  source DOM -> clean: {kept} of {said} characters, {100 * kept / said:.4f} %")
    report(
        f"  clean -> proved pages: {reached} of {total} characters, {100 * reached / total:.4f} %; "
        f"{proved} of {pages} pages proved"
        + "".join(f", {count} characters on pages of {reason}" for reason, count in lost.items())
    )
    both = kept / said * reached / total
    report(f"  source DOM -> proved pages: {100 * both:.4f} % (asked: 99.9 %)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--template", help="one template only")
    parser.add_argument("--books", action="store_true", help="the real e-books only")
    arguments = parser.parse_args()
    printer = RecordingPrinter()
    start = time.perf_counter()
    pages = characters = wrong = 0
    try:
        for template in () if arguments.books else load_templates("books"):
            if arguments.template not in (None, template.name):
                continue
            for language in ("en", "zh"):
                counts = check(printer, template, language)
                print(f"  {template.name:20} {language}  {counts[0]:4} pages  {counts[2]} wrong")
                pages, characters, wrong = (
                    pages + counts[0], characters + counts[1], wrong + counts[2],
                )  # fmt: skip
        if not arguments.books:
            print(
                f"proof set: {wrong} of {characters} characters on a wrong page (asked: 0), "
                f"{pages} pages, {time.perf_counter() - start:.0f} s"
            )
        check_real_books(printer, print)
    finally:
        printer.close()


if __name__ == "__main__":
    main()
