"""Curation as a user meets it: `corpus build`, `status`, `explain`; and a build that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvl_data.cli import main
from tests.curate.conftest import ENGLISH
from tests.curate.test_run import TALES, contents

Run = Callable[..., tuple[int, str, str]]
RECIPE = """\
name: small
pipelines:
  text:
    partition_size: 2
    inputs:
      - {path: free, dataset: free, licence: CC0-1.0}
      - {path: closed, dataset: closed, licence: CC-BY-NC-4.0}
curation:
  text: {length: {min_characters: 250}}
  rights: {deny: [CC-BY-NC-4.0]}
  duplicates: {near_text: {}}
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dsvl-data", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return command


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Texts, one of them a copy, one nearly so, one short, one that must not be used."""
    for name, text in {
        "free/a.txt": TALES[0],
        "free/b.txt": TALES[0],
        "free/c.txt": TALES[0].replace("boats0", "ships0"),
        "free/d.txt": TALES[1],
        "free/e.txt": ENGLISH,
        "closed/f.txt": TALES[2],
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n")
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def test_build_status_and_explain_tell_of_curation(run: Run, recipe: Path) -> None:
    out = recipe.parent / "out"
    code, shown, err = run("corpus", "build", recipe, "--out", out, "--executor", "local")
    assert code == 0, err
    assert "duplicate_pair" in shown
    code, shown, _ = run("corpus", "status", out, "--json")
    assert code == 0
    account = json.loads(shown)["curation"]["text"]
    assert (account["in"], account["kept"], account["pending"]) == (6, 2, 0)
    assert account["reasons"] == {
        "duplicate_pair": 1,
        "licence": 1,
        "near_duplicate_text": 1,
        "text_too_short": 1,
    }
    code, shown, _ = run("corpus", "explain", out, "free:b.txt", "--json")
    assert code == 0
    curation = json.loads(shown)[0]["samples"][0]["curation"]
    first = json.loads(run("corpus", "explain", out, "free:a.txt", "--json")[1])[0]["samples"][0]
    assert (curation["reason"], curation["of"]) == ("duplicate_pair", first["key"])
    assert first["shard"].endswith(".tar")
    _, shown, _ = run("corpus", "explain", out, "free:e.txt")
    assert "threshold: at least 250" in shown
    card = (out / "README.md").read_text()
    assert "What curation left out" in card

    # Less asked for, and then nothing at all.
    recipe.write_text(RECIPE.replace("  rights: {deny: [CC-BY-NC-4.0]}\n", ""))
    assert run("corpus", "build", recipe, "--out", out, "--executor", "local")[0] == 0
    assert json.loads(run("corpus", "status", out, "--json")[1])["curation"]["text"]["kept"] == 3
    recipe.write_text(RECIPE.partition("curation:")[0])
    assert run("corpus", "build", recipe, "--out", out, "--executor", "local")[0] == 0
    assert "curation" not in json.loads(run("corpus", "status", out, "--json")[1])
    manifest = json.loads((out / "manifest.json").read_bytes())
    assert manifest["total"]["samples"] == 6
    assert "curation" not in manifest["recipe"]


def test_personal_data_is_masked_and_counted(run: Run, recipe: Path) -> None:
    (recipe.parent / "free/g.txt").write_text(f"{TALES[3]} Write to anna@harbour-office.net.\n")
    recipe.write_text(RECIPE + "  pii: {}\n")
    out = recipe.parent / "out"
    code, shown, err = run("corpus", "build", recipe, "--out", out, "--executor", "local")
    assert code == 0, err
    assert "masked in the samples kept: 1 email" in shown
    texts = b"".join(path.read_bytes() for path in (out / "shards").rglob("*.tar"))
    assert b"[EMAIL]" in texts
    assert b"anna@" not in texts


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("  contamination: {benchmarks: [{path: none.jsonl}]}\n", "no benchmark at"),
        ("  contamination: {benchmarks: [{path: recipe.yaml}]}\n", "recipe.yaml:1: not JSON"),
        ("  by_category: {text: {text: {model: {classifier: no.bin}}}}\n", "no.bin cannot be read"),
    ],
)
def test_what_curation_lacks_is_told_before_any_work(
    run: Run, recipe: Path, section: str, message: str
) -> None:
    recipe.write_text(RECIPE + section)
    out = recipe.parent / "out"
    code, _, err = run("corpus", "build", recipe, "--out", out, "--executor", "local")
    assert code == 1
    assert message in err
    assert not out.exists()


def test_a_build_that_is_killed_goes_on_to_the_same_end(run: Run, recipe: Path) -> None:
    whole, killed = recipe.parent / "whole", recipe.parent / "killed"
    assert run("corpus", "build", recipe, "--out", whole, "--executor", "local")[0] == 0
    program = "from dsvl_data.cli import main; main()"
    command = [sys.executable, "-c", program, "corpus", "build", str(recipe)]
    for wait_for in ("curation/measures/text/part-00001.parquet", "curation/clusters/pair"):
        build = subprocess.Popen(
            [*command, "--out", str(killed), "--executor", "local"],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        while not (killed / wait_for).exists() and build.poll() is None:
            time.sleep(0.01)
        os.killpg(build.pid, signal.SIGKILL)
        build.wait()
    assert run("corpus", "build", recipe, "--out", killed, "--executor", "local")[0] == 0
    assert contents(killed) == contents(whole)
