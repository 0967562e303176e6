"""kill -9 of the browser in the middle of a book: it is converted again, to the same bytes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dsvl_data import sandbox
from dsvl_data.engine.run import Job, run
from dsvl_data.pipeline import InputSpec
from dsvl_data.render.pages import Chapter
from dsvl_data.render.press import Press, Sheet
from dsvl_data.render.template import Template
from pipelines import PIPELINES
from tests.engine.conftest import ledger_rows, parts
from tests.epubs import PROSE, make_epub
from tests.render.test_browser import own_browsers


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("books")
    for name in ("first", "second"):
        chapters = {
            f"c{n}.xhtml": f"<h1>{name}, chapter {n}</h1>{PROSE * 20}<p>The end of {n}.</p>"
            for n in range(3)
        }
        (folder / f"{name}.epub").write_bytes(make_epub(chapters))
    return Job(
        name="fake",
        pipeline=PIPELINES["ebooks"],
        inputs=(InputSpec(path=str(folder), dataset="books", licence="CC0-1.0"),),
        options={"longest_side": 256},
        partition_size=10,
    )


@pytest.fixture(scope="module")
def undisturbed(job: Job, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = str(tmp_path_factory.mktemp("undisturbed") / "out")
    assert run([job], out, executor="local").ok
    return parts(out)


def kill_browser() -> None:
    sandbox.kill_all(own_browsers())


@pytest.mark.parametrize("seconds", [None, 0.02], ids=["before a print", "under a print"])
def test_a_book_whose_browser_is_killed_is_kept(
    job: Job,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float | None,
) -> None:
    prints = 0
    original = Press.print

    def print_and_die(self: Press, chapter: Chapter, template: Template, before: int) -> Sheet:
        nonlocal prints
        prints += 1
        if prints == 5:  # the second chapter of the second book
            assert own_browsers()
            if seconds is None:
                kill_browser()
            else:
                threading.Timer(seconds, kill_browser).start()
        return original(self, chapter, template, before)

    monkeypatch.setattr(Press, "print", print_and_die)
    out = str(tmp_path / "out")
    assert run([job], out, executor="local").ok
    assert prints > 6, "nothing was printed again"
    assert {row["outcome"] for row in ledger_rows(out).values()} == {"kept"}
    assert undisturbed
    assert parts(out) == undisturbed
