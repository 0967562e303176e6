"""Pages a second from real e-books, against the two usual ways to make page images.

In: the EPUBs of the real data. Out: lines of figures. The peers get the same clean HTML, style
and page size: (a) Playwright, a new browser for each document and one PNG screenshot a page;
(b) wkhtmltoimage, one process a page. Both only make pictures: neither says what text is on
which page. A peer's page shows as much of the chapter as one of ours: the height between the
margins. Where our CPU time goes is told stage by stage, which other work on the machine blurs
less than pages a second.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar
from unittest.mock import patch

import psutil
from playwright.sync_api import Playwright, sync_playwright

from dsvl_data.outcome import DocumentError
from dsvl_data.read.epub import open_epub
from dsvl_data.render import printer as printer_module
from dsvl_data.render.browser import find_browser
from dsvl_data.render.clean import clean_html
from dsvl_data.render.flow import build_flow
from dsvl_data.render.pages import Chapter
from dsvl_data.render.press import Press
from dsvl_data.render.printer import Printer
from dsvl_data.render.template import Template, choose, load_templates

ROOT = Path(__file__).resolve().parent.parent
LONGEST_SIDE = 1024
#: A page of the slowest peer takes a third of a second; so many of a chapter are timed.
PAGES_OF_SLOWEST = 2
#: What `Printer` calls for each page or print, to be timed.
STAGES = ("read_painted", "paginate", "is_grey", "rasterise", "encode", "find_faults",
          "find_cut_pictures", "find_missing_glyphs", "write_markdown")  # fmt: skip

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Job:
    name: str
    chapter: Chapter
    template: Template

    @property
    def scale(self) -> float:
        return LONGEST_SIDE / max(self.template.width, self.template.height)


def real_data() -> Path | None:
    folder = Path(os.environ.get("DSVL_REAL_DATA", ROOT.parent / "shared" / "data"))
    return folder if (folder / "ebooks").is_dir() else None


def load_jobs(folder: Path) -> list[Job]:
    """All chapters with text of all EPUBs, each with the template that its name draws."""
    templates = load_templates("books")
    jobs = []
    for path in sorted((folder / "ebooks").glob("*.epub")):
        book = open_epub(path.read_bytes())
        for item in book.spine:
            try:
                source = book.chapter(item)
            except DocumentError:
                continue
            if source.navigation:
                continue
            clean = clean_html(
                source.root,
                language=book.language,
                name=item.name.rpartition("/")[2],
                vertical=source.vertical,
                direction=source.direction,
                resolve=partial(book.picture, item),
            )
            name = f"{path.stem}/{item.name}"
            chapter = Chapter(clean.body, book.language, item.title, clean.assets)
            jobs.append(Job(name, chapter, choose(templates, 0, name, chapter)))
    return jobs


def time_ours(printer: Printer, jobs: list[Job]) -> tuple[int, float]:
    start = time.perf_counter()
    pages = 0
    for result in printer.print_many((job.chapter, job.template) for job in jobs):
        if isinstance(result, DocumentError):
            raise result
        pages += len(result)
    return pages, time.perf_counter() - start


@contextmanager
def stage_times(spent: defaultdict[str, float]) -> Iterator[None]:
    """Add up the CPU seconds of the printer's stages, each in its own thread."""

    def timed(name: str, function: Callable[_P, _R]) -> Callable[_P, _R]:
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            start = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent[name] += time.thread_time() - start

        return call

    with ExitStack() as patches:
        for name in STAGES:
            replacement = timed(name, getattr(printer_module, name))
            patches.enter_context(patch.object(printer_module, name, replacement))
        patches.enter_context(patch.object(Press, "print", timed("press", Press.print)))
        yield


def browser_seconds() -> float:
    """CPU seconds so far of our child processes: Playwright's driver and the browser."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(time.user + time.system for time in times)


def time_stages(printer: Printer, jobs: list[Job]) -> tuple[int, defaultdict[str, float], float]:
    """Pages, CPU seconds by stage with the browser's and the rest's, and wall-clock seconds."""
    spent: defaultdict[str, float] = defaultdict(float)
    browser, own = browser_seconds(), time.process_time()
    with stage_times(spent):
        pages, seconds = time_ours(printer, jobs)
    own = time.process_time() - own
    spent["other"] = own - sum(spent.values())
    spent["browser"] = browser_seconds() - browser
    return pages, spent, seconds


def write_html(job: Job, folder: Path) -> Path:
    """The chapter as a file for the peers: the page's margins become the body's."""
    flow = build_flow(job.chapter.body)
    for name, asset in job.chapter.assets.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(asset.data)
    top, right, bottom, left = job.template.margins
    margins = f"body{{padding:{top}px {right}px {bottom}px {left}px!important}}"
    language = job.chapter.language
    page = folder / "chapter.html"
    page.write_text(
        f'<!DOCTYPE html><html lang="{language}"><head><meta charset="utf-8"><style>'
        f"{job.template.stylesheet}{margins}</style></head><body>{flow.html}</body></html>",
        encoding="utf-8",
    )
    return page


def time_playwright(jobs: list[Job]) -> tuple[int, float]:
    """The driver's start is not counted, each document's browser is."""
    pages, seconds = 0, 0.0
    with sync_playwright() as playwright:
        for job in jobs:
            with tempfile.TemporaryDirectory() as folder:
                file = write_html(job, Path(folder))
                start = time.perf_counter()
                pages += screenshots(playwright, job, file)
                seconds += time.perf_counter() - start
    return pages, seconds


def screenshots(playwright: Playwright, job: Job, file: Path) -> int:
    width, height = round(job.template.width), round(job.template.height)
    browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
    page = browser.new_page(
        viewport={"width": width, "height": height}, device_scale_factor=job.scale
    )
    page.goto(file.as_uri())
    full = int(page.evaluate("document.documentElement.scrollHeight"))
    _, top, _, bottom = job.template.content
    step = round(bottom - top)
    number = max(1, -(-full // step))
    for index in range(number):
        page.evaluate(f"window.scrollTo(0, {index * step})")
        page.screenshot(path=file.with_name(f"{index}.png"))
    browser.close()
    return number


def time_wkhtmltoimage(jobs: list[Job]) -> tuple[int, float]:
    pages, seconds = 0, 0.0
    for job in jobs:
        with tempfile.TemporaryDirectory() as folder:
            file = write_html(job, Path(folder))
            width = round(job.template.width * job.scale)
            height = round(job.template.height * job.scale)
            for number in range(PAGES_OF_SLOWEST):
                start = time.perf_counter()
                subprocess.run(
                    ["wkhtmltoimage", "--quiet", "--enable-local-file-access",
                     "--zoom", f"{job.scale:.4f}", "--width", str(width),
                     "--crop-y", str(number * height), "--crop-h", str(height),
                     str(file), f"{folder}/{number}.png"],
                    check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    timeout=120,
                )  # fmt: skip
                seconds += time.perf_counter() - start
                pages += 1
    return pages, seconds


def rounds(jobs: list[Job], number: int, each: int) -> Iterator[list[Job]]:
    """For each round some chapters from all over the books, other ones each time."""
    step = max(1, len(jobs) // (number * each))
    for start in range(number):
        yield jobs[start * step :: number * step][:each]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chapters", type=int, default=15, help="chapters a round")
    arguments = parser.parse_args()
    folder = real_data()
    if folder is None:
        print("rendering: no real data; set DSVL_REAL_DATA to a folder with ebooks/*.epub")
        return
    jobs = load_jobs(folder)
    printer = Printer(longest_side=LONGEST_SIDE)
    time_ours(printer, jobs[:2])  # the browser's start, which a corpus pays once
    rates: dict[str, list[float]] = {"ours": [], "playwright": [], "wkhtmltoimage": []}
    counts: list[tuple[int, int]] = []
    have_wkhtmltoimage = shutil.which("wkhtmltoimage") is not None
    try:
        for chosen in rounds(jobs, arguments.rounds, arguments.chapters):
            pages, seconds = time_ours(printer, chosen)
            rates["ours"].append(pages / seconds)
            pages_shot, seconds = time_playwright(chosen)
            rates["playwright"].append(pages_shot / seconds)
            counts.append((pages, pages_shot))
            if have_wkhtmltoimage:
                pages, seconds = time_wkhtmltoimage(chosen)
                rates["wkhtmltoimage"].append(pages / seconds)
        pages, spent, seconds = time_stages(printer, jobs)
    finally:
        printer.close()
    ours = statistics.median(rates["ours"])
    print(f"rendering: {len(jobs)} chapters, {arguments.rounds} rounds of {arguments.chapters}")
    print(f"  pages a round, ours and Playwright's: {', '.join(f'{a} and {b}' for a, b in counts)}")
    print(f"  ours, with text and proof   {ours:8.1f} pages/s  {_list(rates['ours'])}")
    print(f"  ours, all chapters once     {pages / seconds:8.1f} pages/s  ({pages} pages)")
    print(f"  CPU a page, in ms: {1000 * sum(spent.values()) / pages:.1f}, of which")
    for name, cpu in sorted(spent.items(), key=lambda stage: -stage[1]):
        print(f"    {name:25} {1000 * cpu / pages:8.2f}")
    for name, target in (("playwright", 8), ("wkhtmltoimage", 16)):
        if not rates[name]:
            print(f"  {name}: not installed")
            continue
        theirs = statistics.median(rates[name])
        print(f"  {name:27} {theirs:8.1f} pages/s  {_list(rates[name])}")
        print(f"    ratio {ours / theirs:.1f} x (asked: {target} x)")


def _list(rates: list[float]) -> str:
    return " ".join(f"{rate:.1f}" for rate in rates)


if __name__ == "__main__":
    main()
