"""Each hostile document ends with its own reason, and its neighbours are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dsvl_data.engine.ledger import balances
from dsvl_data.engine.run import Job, run
from dsvl_data.pipeline import InputSpec, Limits
from pipelines import PIPELINES
from tests import hostile_inputs as make

SECRET = "the-secret-that-no-page-may-show"
GOOD = {"good_a.epub", "good_b.epub", "good_a.ipynb", "good_b.ipynb", "good.jsonl#0-2"}

#: Document -> outcome and reason, of the document or of the item in it that does harm.
WANTED = {
    "truncated.epub": ("quarantined", "bad_archive"),
    "bomb.epub": ("quarantined", "archive_bomb"),
    "dotdot.epub": ("quarantined", "unsafe_path"),
    "entities.epub": ("quarantined", "xml_entities"),
    "remote.epub": ("quarantined", "needs_network"),
    "local_file.epub": ("quarantined", "unsafe_path"),
    "giant.epub": ("quarantined", "image_bomb"),
    "invalid.ipynb": ("quarantined", "bad_json"),
    "no_cells.ipynb": ("filtered", "no_code_cells"),
    "huge.ipynb": ("quarantined", "too_large"),
    "giant.ipynb": ("quarantined", "image_bomb"),
    "fake_image.ipynb": ("quarantined", "bad_image"),
    "loops.ipynb": ("quarantined", "timeout"),
    "fetches.ipynb": ("quarantined", "needs_network"),
    "reads_files.ipynb": ("quarantined", "unsafe_path"),
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> dict[str, dict[str, Any]]:
    """The ledger of a run over all of them, by document uri."""
    folder = tmp_path_factory.mktemp("hostile")
    secret = folder / "secret.txt"
    secret.write_text(SECRET)
    books, notebooks, exams = (folder / name for name in ("books", "notebooks", "exams"))
    for each in (books, notebooks, exams):
        each.mkdir()
    _books(books, secret)
    _notebooks(notebooks, secret)
    make.questions(
        exams / "good.jsonl", make.question(1), '{"stem": "cut', make.question(2, options=[])
    )
    out = str(folder / "out")
    jobs = [
        Job(
            name=name,
            pipeline=PIPELINES[name],
            inputs=(InputSpec(path=str(path), dataset="h", licence="CC0-1.0"),),
            limits=Limits(seconds=40, memory_mb=1500, document_mb=100),
            options=options,
            partition_size=100,
        )
        for name, path, options in (
            ("ebooks", books, {}),
            ("notebooks", notebooks, {"page_seconds": 10, "settle_seconds": 0.5}),
            ("exams", exams, {}),
        )
    ]
    result = run(jobs, out, workers=2)
    assert result.ok, result
    assert all(not balance.problems for balance in balances(out).values())
    ledgers = sorted(Path(out, "ledger").rglob("*.parquet"))
    parts = sorted(Path(out, "parts").rglob("*.parquet"))
    texts = [row for part in parts for row in pq.read_table(part).to_pylist()]
    assert texts
    assert SECRET not in json.dumps(texts, default=str)
    return {row["uri"]: row for path in ledgers for row in pq.read_table(path).to_pylist()}


def _books(folder: Path, secret: Path) -> None:
    make.epub(folder / "good_a.epub")
    make.epub(folder / "good_b.epub", "<p>Another book altogether.</p>")
    make.truncated_epub(folder / "truncated.epub")
    make.zip_bomb(folder / "bomb.epub")
    make.epub(folder / "dotdot.epub", extra={"../../escaped.css": b"p {}"})
    make.entities_epub(folder / "entities.epub", secret.as_uri())
    make.epub(folder / "loops.epub", "<script>while (true) {}</script>")
    make.epub(folder / "remote.epub", '<p><img src="http://example.com/a.png" alt=""/></p>')
    make.epub(folder / "local_file.epub", f'<p><img src="{secret.as_uri()}" alt=""/></p>')
    make.epub(
        folder / "giant.epub",
        '<p><img src="giant.png" alt=""/></p>',
        extra={"giant.png": make.giant_png()},
    )


def _notebooks(folder: Path, secret: Path) -> None:
    import base64

    def html(body: str) -> dict[str, object]:
        return {"text/html": body}

    make.notebook(folder / "good_a.ipynb", make.figure())
    make.notebook(folder / "good_b.ipynb", make.figure(), lines=9)
    (folder / "invalid.ipynb").write_text('{"cells": [')
    make.notebook(folder / "no_cells.ipynb")
    make.huge_output(folder / "huge.ipynb")
    make.notebook(
        folder / "giant.ipynb", {"image/png": base64.b64encode(make.giant_png()).decode()}
    )
    make.notebook(
        folder / "fake_image.ipynb", {"image/png": base64.b64encode(b"no image at all").decode()}
    )
    make.notebook(folder / "loops.ipynb", html("<p>wait</p><script>while (true) {}</script>"))
    make.notebook(
        folder / "fetches.ipynb",
        html('<div id="p"></div><img src="http://example.com/p.png" width="300" height="200">'),
    )
    make.notebook(
        folder / "reads_files.ipynb",
        html(f'<iframe src="{secret.as_uri()}" width="300" height="200"></iframe>'),
    )


@pytest.mark.parametrize("uri", sorted(WANTED))
def test_it_ends_with_its_own_reason(rows: dict[str, dict[str, Any]], uri: str) -> None:
    row = rows[uri]
    outcome, reason = WANTED[uri]
    assert (row["outcome"], row["reason"]) == (outcome, reason), row["detail"]


@pytest.mark.parametrize("uri", sorted(GOOD))
def test_its_neighbours_are_kept(rows: dict[str, dict[str, Any]], uri: str) -> None:
    assert rows[uri]["outcome"] == "kept"


def test_a_script_in_a_book_never_runs(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["loops.epub"]["outcome"] == "kept"


def test_a_bad_line_costs_only_its_question(rows: dict[str, dict[str, Any]]) -> None:
    drops = rows["good.jsonl#0-2"]["drops"]
    assert [drop["reason"] for drop in drops] == ["bad_json"]
