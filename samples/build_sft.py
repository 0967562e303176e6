"""Takes the screenshots of samples/sft/pages: each page as a window of 480 x 320 shows it.

In: the pages, the fonts Noto Sans and Noto Sans CJK, and a Chromium. Out: a PNG beside each page;
the same bytes with the same browser and fonts:

    .venv/bin/python samples/build_sft.py /usr/bin/chromium-headless-shell
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PAGES = Path(__file__).resolve().parent / "sft" / "pages"


def main(browser: str) -> None:
    """Open each page in the browser at this path, and keep what it shows."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser)
        page = chromium.new_page(viewport={"width": 480, "height": 320})
        for source in sorted(PAGES.glob("*.html")):
            page.goto(source.as_uri())
            page.screenshot(path=source.with_suffix(".png"))
        chromium.close()


if __name__ == "__main__":
    main(sys.argv[1])
