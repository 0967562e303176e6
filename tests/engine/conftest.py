"""A corpus of fake documents, and the work of one supervisor without Ray around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dsvl_data.engine.run import Job
from dsvl_data.pipeline import InputSpec

MODULE = "tests.engine.fake_pipelines"
MakeJob = Callable[..., Job]


@pytest.fixture
def make_job(tmp_path: Path) -> MakeJob:
    """Write documents (name to content) below `tmp_path/in` and return a job over them."""

    def make(
        documents: Mapping[str, str] | None = None, pipeline: str = "PIPELINE", **fields: Any
    ) -> Job:
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        hooks = tmp_path / "hooks"
        hooks.mkdir(exist_ok=True)
        for name, content in (documents or {}).items():
            (folder / f"{name}.txt").write_text(content)
        fields.setdefault("name", "fake")
        options = {"hooks": str(hooks)} | fields.pop("options", {})
        inputs = (InputSpec(path=str(folder), dataset="set", licence="CC0-1.0"),)
        fields.setdefault("inputs", inputs)
        return Job(pipeline=f"{MODULE}:{pipeline}", options=options, **fields)

    return make


@pytest.fixture
def out(tmp_path: Path) -> str:
    """An output folder that is not there yet."""
    return str(tmp_path / "out")


def good(count: int, start: int = 0) -> dict[str, str]:
    """Documents without a flaw; their number of samples varies."""
    return {f"good{n:03d}": f"text {n % 3 + 1}\nwords of {n}" for n in range(start, start + count)}


def ledger_rows(out: str, name: str = "fake") -> dict[str, dict[str, Any]]:
    """All ledger rows by document uri without its suffix, in order."""
    rows: dict[str, dict[str, Any]] = {}
    for path in sorted(Path(out, "ledger", name).glob("part-*.parquet")):
        for row in pq.read_table(path).to_pylist():
            rows[row["uri"].removesuffix(".txt")] = row
    return rows


def reasons(out: str, name: str = "fake") -> dict[str, str | None]:
    """Reason by document."""
    return {uri: row["reason"] for uri, row in ledger_rows(out, name).items()}


def parts(out: str, name: str = "fake") -> dict[str, bytes]:
    """The bytes of all parts by file name."""
    return {p.name: p.read_bytes() for p in sorted(Path(out, "parts", name).iterdir())}
