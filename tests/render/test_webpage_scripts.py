"""Pages with scripts as pairs, in a browser that draws by itself, as theirs need."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dsvl_data.outcome import DocumentError
from dsvl_data.pipeline import DocumentRef
from dsvl_data.read.sites import site_of
from dsvl_data.render.browser import Browser
from dsvl_data.render.webpage import Pair, View, WebPages

TEXT = "<!DOCTYPE html><h1>Title of the page</h1><p>Some text in a paragraph that can be seen.</p>"

VIEW = View(640, 480)

Make = Callable[..., Pair]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make the pair of a page; `files` lie beside it."""

    def made(by: WebPages, html: str, view: View = VIEW, **files: str) -> Pair:
        for name, text in {**files, "page.html": html}.items():
            (tmp_path / name.replace("_", ".")).write_text(text)
        raw = html.encode()
        ref = DocumentRef("sites", "page.html", "CC0-1.0", str(tmp_path / "page.html"), len(raw))
        return by.pair(raw, site_of(ref), view)

    return made


def test_with_scripts_the_page_is_what_they_leave(make: Make) -> None:
    html = (
        TEXT + "<canvas id=c width=90 height=40></canvas><script src=more.js></script>"
        "<script>const pen = document.getElementById('c').getContext('2d');"
        "pen.fillStyle = 'red'; pen.fillRect(0, 0, 90, 40);"
        "setTimeout(() => document.body.append('later'), 900);"
        "setTimeout(() => document.body.append('never'), 60000);"
        "document.querySelector('p').textContent = new Date().getFullYear();"
        "document.body.append('half \\ud800 a character')</script>"
    )
    with closing(Browser()) as browser:
        by = WebPages(browser, seconds=30, scripts=True, settle=1)
        pair = make(by, html, more_js="document.body.append('from a file')")
        by.close()
    for word in ("later", "from a file", "2024", "rgb(255 0 0", "half \ufffd a"):
        assert word in pair.source
    assert "half \ufffd a" in pair.text
    for gone in ("never", "<script", "<canvas"):
        assert gone not in pair.source


def test_a_script_without_end_costs_its_own_page_only(make: Make) -> None:
    with closing(Browser()) as browser:
        by = WebPages(browser, seconds=4, scripts=True)
        started = time.monotonic()
        with pytest.raises(DocumentError) as caught:
            make(by, TEXT + "<script>for (;;) {}</script>")
        assert str(caught.value.reason) == "timeout"
        assert time.monotonic() - started < 25
        by.seconds = 30
        assert "Title" in make(by, TEXT).source
        by.close()
