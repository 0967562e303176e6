"""Make the truth set anew: PDFs, the page of every word, and LaTeXML's marked HTML.

In: `NAME/source.tex` of this folder. Out, beside it: `document.pdf` (of the clean source),
`pages.txt` (where TeX shipped each word), `html.xz` (LaTeXML's HTML, and that of the
source whose words carry their page). Needs TeX Live and LaTeXML; the tests need neither.

    python -m tests.latex.truth.build [NAME ...]

Refuses a document whose glyphs move when it is marked, or whose words then reach the reader
otherwise.
"""

from __future__ import annotations

import argparse
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pymupdf

from tests.latex.truth import marks, truth

HERE = Path(__file__).parent
BINDINGS = HERE.parents[2] / "dsvl_data" / "latex" / "bindings"
#: TeX's clock: the PDFs are the same bytes whenever they are made.
CLOCK = {"SOURCE_DATE_EPOCH": "1793491200", "FORCE_SOURCE_DATE": "1", "TZ": "UTC"}
_HEX = re.compile(rb"/ID ?\[[^\]]*\]")


def run(command: list[str], folder: Path, seconds: float) -> None:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **CLOCK}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False,
    )  # fmt: skip
    if done.returncode:
        tail = done.stdout.decode(errors="replace")[-3000:]
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{tail}")


def compile_tex(tex: str, folder: Path, name: str) -> Path:
    """The PDF of `tex`, after as many runs as its references need."""
    (folder / f"{name}.tex").write_text(tex)
    engine = "xelatex" if "program = xelatex" in tex else "pdflatex"
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"]
    for _ in range(3):
        run(command, folder, 300)
    return folder / f"{name}.pdf"


def glyphs(pdf: Path) -> list[list[tuple[str, float, float]]]:
    """Each page's characters with their places, in tenths of a point."""
    pages = []
    with pymupdf.open(pdf) as document:
        for number in range(len(document)):
            page = document[number].get_text("rawdict")
            pages.append(
                [
                    (char["c"], round(char["origin"][0], 1), round(char["origin"][1], 1))
                    for block in page["blocks"]
                    for line in block.get("lines", ())
                    for span in line["spans"]
                    for char in span["chars"]
                    if not char["c"].isspace()
                ]
            )
    return pages


def same_glyphs(clean: Path, marked: Path) -> str:
    """Empty when no glyph moved (by more than the PDF's rounding), else what did."""
    first, second = glyphs(clean), glyphs(marked)
    if len(first) != len(second):
        return f"{len(first)} pages, {len(second)} when marked"
    for number, (a, b) in enumerate(zip(first, second, strict=True), 1):
        if len(a) != len(b):
            return f"page {number}: {len(a)} glyphs, {len(b)} when marked"
        for x, y in zip(a, b, strict=True):
            if x[0] != y[0] or abs(x[1] - y[1]) > 0.5 or abs(x[2] - y[2]) > 0.2:
                return f"page {number}: {x} became {y}"
    return ""


def latexml(tex: str, folder: Path, name: str) -> str:
    """LaTeXML's HTML, with the options and the bindings of the pipeline."""
    from dsvl_data.latex.latexml import run_latexml

    (folder / f"{name}.tex").write_text(tex)
    result = run_latexml(folder, f"{name}.tex", seconds=600, memory=4096)
    if result.errors:
        print(f"    LaTeXML: {result.errors} errors: {result.messages}")
    return result.html.decode()


def build(name: str, *, html: bool) -> None:
    start = time.perf_counter()
    folder = HERE / name
    source = (folder / "source.tex").read_text()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch) / name
        shutil.copytree(folder, work)
        if (HERE / "images").is_dir():
            shutil.copytree(HERE / "images", Path(scratch) / "images")
        clean = compile_tex(source, work, "document")
        marked = marks.for_tex(source)
        other = compile_tex(marked.tex, work, "marked")
        if moved := same_glyphs(clean, other):
            raise SystemExit(f"{name}: marks move the text: {moved}")
        pages = marks.read_marks((work / "marked.marks").read_text())
        (folder / "pages.txt").write_text(pages.dump())
        shutil.copyfile(clean, folder / "document.pdf")
        with pymupdf.open(clean) as document:
            count = len(document)
        print(
            f"{name}: {count} pages, {marked.words} words marked, {len(pages.straddling)} broken "
            f"over pages, {clean.stat().st_size >> 10} KiB, {time.perf_counter() - start:.0f} s",
            flush=True,
        )
        if html:
            plain = latexml(source, work, "document")
            sentinel = latexml(marks.for_latexml(source, pages), work, "document")
            packed = lzma.compress(f"{plain}\0{sentinel}".encode(), preset=9 | lzma.PRESET_EXTREME)
            (folder / "html.xz").write_bytes(packed)
            document = truth.load(name)
            print(
                f"    HTML: {len(packed) >> 10} KiB, {time.perf_counter() - start:.0f} s",
                flush=True,
            )
            if changed := document.changed():
                raise SystemExit(f"{name}: the marks change the reader's words: {changed}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="documents; all of them when left out")
    parser.add_argument("--no-html", action="store_true", help="leave LaTeXML's HTML as it is")
    arguments = parser.parse_args()
    names = arguments.names or sorted(p.parent.name for p in HERE.glob("*/source.tex"))
    for name in names:
        build(name, html=not arguments.no_html)


if __name__ == "__main__":
    sys.exit(main())
