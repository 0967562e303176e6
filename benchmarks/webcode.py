"""Web pages a second, against a new browser for each page.

In: the web pages of the real data. Out: lines of figures. One peer makes the same pair (picture,
source and proof) in a browser of its own; the other only takes the page's picture, by Playwright as
its documentation shows it, and makes neither source nor proof. All take the same pages in turns,
each on the same first screen. Other work on the machine blurs pages a second; the ratio is that of
medians over the rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from playwright.sync_api import sync_playwright

from dsvl_data.outcome import DocumentError
from dsvl_data.pipeline import DocumentRef, InputSpec
from dsvl_data.read.sites import list_pages, read_page, site_of
from dsvl_data.render.browser import Browser, find_browser
from dsvl_data.render.webpage import View, WebPages

ROOT = Path(__file__).resolve().parent.parent
VIEW = View(1280, 800)


def real_pages() -> list[DocumentRef]:
    folder = Path(os.environ.get("DSVL_REAL_DATA", ROOT.parent / "shared" / "data")) / "webpages"
    if not folder.is_dir():
        return []
    spec = InputSpec(path=str(folder), dataset="pages")
    return list(list_pages([spec], suffixes=(".html",), column=None))


def make_pairs(pages: WebPages, refs: list[DocumentRef]) -> int:
    made = 0
    for ref in refs:
        try:
            pages.pair(read_page(ref), site_of(ref), VIEW)
            made += 1
        except DocumentError as error:
            print(f"  {ref.uri}: {error}")
    return made


def in_own_browsers(refs: list[DocumentRef]) -> None:
    for ref in refs:
        # With a driver of its own, as a script that runs once a page has.
        browser = Browser(still=True)
        pages = WebPages(browser)
        pages.pair(read_page(ref), site_of(ref), VIEW)
        pages.close()
        browser.close()


def pictures_only(refs: list[DocumentRef]) -> None:
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        for ref in refs:
            browser = playwright.chromium.launch(executable_path=find_browser(), args=arguments)
            page = browser.new_page(viewport={"width": VIEW.width, "height": VIEW.height})
            page.context.set_offline(True)
            page.goto(Path(ref.path).as_uri())
            page.screenshot()
            browser.close()


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    refs = real_pages()
    if not refs:
        print("no real data: set DSVL_REAL_DATA to a folder with webpages/")
        return
    times: dict[str, list[float]] = {"ours": [], "own browsers": [], "picture only": []}
    good: list[DocumentRef] = []
    for number in range(rounds):
        # Playwright runs once in a thread, so ours makes way for the peers in each round.
        browser = Browser(still=True)
        pages = WebPages(browser)
        if not number:  # a page that is dropped costs less than a pair
            good = [ref for ref in refs if make_pairs(pages, [ref])]
        else:
            make_pairs(pages, good[:1])  # our browser has started
        times["ours"].append(seconds(partial(make_pairs, pages, good)))
        pages.close()
        browser.close()
        times["own browsers"].append(seconds(partial(in_own_browsers, good)))
        times["picture only"].append(seconds(partial(pictures_only, good)))
    medians = {name: statistics.median(values) / len(good) for name, values in times.items()}
    print(f"{len(good)} of {len(refs)} pages, {rounds} rounds, {VIEW.width} x {VIEW.height}")
    for name, label in (
        ("ours", "pairs, one browser"),
        ("own browsers", "pairs, a new browser each"),
        ("picture only", "pictures alone, a new browser each"),
    ):
        print(
            f"{label:35} {1000 * medians[name]:7.0f} ms a page {1 / medians[name]:6.2f} pages/s"
            f"   {medians[name] / medians['ours']:5.2f} x ours"
        )


if __name__ == "__main__":
    main()
