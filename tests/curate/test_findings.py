"""What a user is told of a corpus as a whole: contamination and the mix, by the command line."""

from __future__ import annotations

import json
from pathlib import Path

from dsvl_data.recipe import parse, show
from pipelines import PIPELINES
from tests.curate.test_cli import Run, run
from tests.curate.test_run import TALES

__all__ = ["run"]  # the fixture

RECIPE = """\
name: small
pipelines:
  text:
    inputs:
      - {path: texts, dataset: texts, licence: CC0-1.0}
curation:
  contamination:
    action: drop
    benchmarks: [{path: exams/*.jsonl, images: exams}]
  mix: {training_tokens: 1000, shares: {text: 1, caption: 1}}
"""


def test_build_status_and_explain_tell_of_contamination_and_mix(run: Run, tmp_path: Path) -> None:
    for name in ("texts", "exams"):
        (tmp_path / name).mkdir()
    for number in range(3):
        (tmp_path / f"texts/{number}.txt").write_text(TALES[number] + "\n")
    (tmp_path / "exams/quiz.jsonl").write_text(json.dumps({"question": TALES[1]}) + "\n")
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out"
    recipe.write_text(RECIPE)

    code, shown, err = run("corpus", "build", recipe, "--out", out, "--executor", "local")
    assert code == 0, err
    for text in (shown, run("corpus", "status", out)[1]):
        assert "contamination: 1 sample shares text or images with 1 item of benchmarks" in text
        assert "contaminated" in text
        assert "samples: there are none" in text  # captions
    status = json.loads(run("corpus", "status", out, "--json")[1])
    assert status["curation"]["text"]["reasons"] == {"contaminated": 1}
    assert status["mix"]["categories"]["text"]["weight"] == 1
    assert status["mix"] == json.loads((out / "manifest.json").read_text())["mix"]

    found = json.loads((out / "curation/contamination.json").read_text())
    code, shown, err = run("corpus", "explain", out, found["items"][0]["best"][0]["key"])
    assert code == 0, err
    assert "contamination is quiz/line 1:" in shown
    assert "contamination_hashes" not in shown


def test_paths_of_benchmarks_start_at_the_recipe(tmp_path: Path) -> None:
    recipe = parse(RECIPE, str(tmp_path / "recipe.yaml"), PIPELINES)
    assert recipe.curation is not None
    assert recipe.curation.contamination is not None
    benchmark = recipe.curation.contamination.benchmarks[0]
    assert benchmark.path == str(tmp_path / "exams/*.jsonl")
    assert benchmark.images == str(tmp_path / "exams")
    assert parse(show(recipe), "elsewhere.yaml", PIPELINES).curation == recipe.curation
