"""The command line, as a user meets it: what it prints, and its exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvl_data.cli import main
from dsvl_data.engine import cluster
from dsvl_data.outcome import Reason
from tests import hostile_inputs as make

#: Runs `dsvl-data` with these arguments: exit code, standard output, standard error.
Run = Callable[..., tuple[int, str, str]]

RECIPE = """\
name: small
pipelines:
  notebooks:
    inputs:
      - {path: in, dataset: mine, licence: MIT}
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
    """Two sound notebooks and a broken one, and the recipe over them."""
    folder = tmp_path / "in"
    folder.mkdir()
    make.notebook(folder / "a.ipynb", make.figure())
    make.notebook(folder / "b.ipynb", make.figure(), lines=9)
    make.notebook(folder / "c.ipynb", make.figure(), lines=12)
    (folder / "c.ipynb").write_bytes(b"!" + (folder / "c.ipynb").read_bytes()[1:])
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def build(run: Run, recipe: Path) -> Path:
    out = recipe.parent / "out"
    code, _, err = run("corpus", "build", recipe, "--out", out, "--executor", "local")
    assert code == 0, err
    return out


def test_a_missing_input_is_told_before_ray_starts(
    run: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(cluster, "session", start)
    recipe.write_text(RECIPE.replace("path: in", "path: gone"))
    code, _, err = run("corpus", "build", recipe, "--out", recipe.parent / "out")
    assert code == 1
    assert "matches no file" in err
    assert not (recipe.parent / "out").exists()


def test_the_reasons_stand_in_columns(run: Run) -> None:
    _, told, _ = run("corpus", "reasons")
    starts = {
        line.index(f" {Reason.parse(line.split()[0]).outcome} ") for line in told.splitlines()
    }
    assert len(starts) == 1


def test_a_corpus_is_built_counted_explained_and_verified(run: Run, recipe: Path) -> None:
    out = build(run, recipe)
    code, text, _ = run("corpus", "status", out, "--json")
    account = json.loads(text)["pipelines"]["notebooks"]
    assert code == 0
    assert (account["in"], account["kept"], account["quarantined"]) == (3, 2, 1)
    assert account["reasons"] == {"bad_json": 1}

    code, text, _ = run("corpus", "explain", out, "mine:a.ipynb", "--json")
    (record,) = json.loads(text)
    (sample,) = record["samples"]
    assert record["outcome"] == "kept"
    assert sample["shard"].endswith(".tar")
    assert run("corpus", "explain", out, sample["key"])[0] == 0

    code, text, _ = run("shards", "verify", out)
    assert code == 0
    assert "2 samples" in text
    code, text, _ = run("shards", "stats", out, "--json")
    assert json.loads(text)["total"]["images"] == 2
    images = recipe.parent / "images"
    code, text, _ = run("shards", "view", out, "--key", sample["key"], "--images", images)
    assert code == 0
    assert "np.arange" in text
    assert [path.name for path in images.iterdir()] == [f"{sample['key']}.0.png"]


def test_each_data_set_of_a_pipeline_has_its_counts(run: Run, tmp_path: Path) -> None:
    for name in ("rivers", "hills"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(f"Of {name} much is said, in many words. " * 9)
    (tmp_path / "rivers" / "b.txt").write_text(" ")
    recipe = tmp_path / "recipe.yaml"
    inputs = "".join(
        f"      - {{path: {name}, dataset: '{name}: [old]', licence: MIT}}\n"
        for name in ("rivers", "hills")
    )
    recipe.write_text(f"name: small\npipelines:\n  text:\n    inputs:\n{inputs}")
    out = build(run, recipe)

    def status(expected: int) -> dict[str, dict[str, object]]:
        code, text, _ = run("corpus", "status", out, "--json")
        assert code == expected
        account = json.loads(text)["pipelines"]["text"]
        shares = account["datasets"]
        for number in ("in", "kept", "filtered", "quarantined", "pending", "samples"):
            assert sum(share[number] for share in shares.values()) == account[number]
        return shares

    shares = status(0)
    assert list(shares) == ["hills: [old]", "rivers: [old]"]
    assert [share["kept"] for share in shares.values()] == [1, 1]
    assert shares["rivers: [old]"]["reasons"] == {"empty_document": 1}
    shown = [line.split() for line in run("corpus", "status", out)[1].splitlines()]
    assert ["rivers:", "[old]", "2", "1"] in [line[:4] for line in shown]
    assert ["rivers:", "[old]", "empty_document", "1", "0"] in shown

    for file in (out / "ledger" / "text").iterdir():
        file.unlink()
    assert [share["pending"] for share in status(1).values()] == [1, 2]


def test_the_same_command_again_changes_nothing(run: Run, recipe: Path) -> None:
    out = build(run, recipe)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.tar")}
    build(run, recipe)
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.tar")}


def test_retry_converts_again_what_failed_and_cuts_the_shards_anew(run: Run, recipe: Path) -> None:
    out = build(run, recipe)
    make.notebook(recipe.parent / "in" / "c.ipynb", make.figure(), lines=12)
    code, _, err = run("corpus", "retry", out, "--reason", "bad_json", "--executor", "local")
    assert code == 0, err
    account = json.loads(run("corpus", "status", out, "--json")[1])["pipelines"]["notebooks"]
    assert account["kept"] == 3
    assert json.loads(run("shards", "stats", out, "--json")[1])["total"]["samples"] == 3


def test_retry_for_a_reason_that_nothing_has_names_those_that_are_there(
    run: Run, recipe: Path
) -> None:
    out = build(run, recipe)
    code, text, err = run("corpus", "retry", out, "--reason", "timeout", "--executor", "local")
    said = " ".join((text + err).split())
    assert code == 0
    assert "nothing failed for timeout" in said
    assert "bad_json (1)" in said


def test_damage_is_found_and_the_exit_code_says_so(run: Run, recipe: Path) -> None:
    out = build(run, recipe)
    (shard,) = out.rglob("*.tar")
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    code, text, _ = run("shards", "verify", out)
    assert code == 1
    assert shard.name in text


def test_a_recipe_is_shown_with_every_default(run: Run, recipe: Path) -> None:
    code, text, _ = run("corpus", "build", recipe, "--show-recipe")
    assert code == 0
    assert "min_lines: 5" in text
    assert "target_mb: 256" in text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("licence: MIT", "licens: MIT"), "did you mean 'licence'?"),
        (("path: in", "path: nowhere"), "matches no file"),
        (("notebooks:", "notebook:"), "did you mean 'notebooks'?"),
    ],
)
def test_a_wrong_recipe_stops_before_the_work(
    run: Run, recipe: Path, change: tuple[str, str], says: str
) -> None:
    recipe.write_text(recipe.read_text().replace(*change))
    out = recipe.parent / "out"
    code, _, err = run("corpus", "build", recipe, "--out", out, "--executor", "local")
    assert code == 1
    assert says in " ".join(err.split())
    assert "Traceback" not in err
    assert not out.exists()


def test_no_output_folder_no_corpus(run: Run, recipe: Path) -> None:
    code, _, err = run("corpus", "build", recipe)
    assert code == 1
    assert "--out" in err


def test_a_pipeline_that_the_recipe_no_longer_names_is_not_passed_over(
    run: Run, recipe: Path
) -> None:
    out = build(run, recipe)
    recipe.write_text(recipe.read_text().replace("notebooks:", "exams:"))
    code, _, err = run("corpus", "build", recipe, "--out", out, "--executor", "local")
    assert code == 1
    assert "also holds notebooks" in err


def test_what_nobody_knows_cannot_be_explained(run: Run, recipe: Path) -> None:
    out = build(run, recipe)
    code, _, err = run("corpus", "explain", out, "nobody")
    assert code == 1
    assert "knows no document" in err


def test_doctor_finds_what_the_set_up_brought(run: Run) -> None:
    code, text, _ = run("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(text)}
    assert code == 0
    assert findings["browser"]["present"]
    assert findings["language model"]["present"]


def test_every_reason_is_listed(run: Run) -> None:
    code, text, _ = run("corpus", "reasons")
    assert code == 0
    assert "archive_bomb" in text
