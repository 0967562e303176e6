"""Recipes are told what is wrong with them; the paper's stages stand as it has them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from dsvl_data.cli import main
from dsvl_data.recipe import RecipeError
from tests.train.small import SMALL, write_recipe
from train.schedules import factor
from train.settings import STAGES, load, model_config, preset_stages


def test_a_model_from_a_file(tmp_path: Path) -> None:
    recipe, _ = load(write_recipe(tmp_path, tmp_path / "corpus"))
    assert model_config(recipe) == SMALL


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("  layers: 2\n", "  layer: 2\n"), r"model\.yaml.*unknown key \w+\.layer"),
        (("  heads: 2\n", "  heads: many\n"), r"model\.yaml.*\w+\.heads"),
        (("resized: 16", "resized: 32"), r"must give equally many tokens"),
    ],
)
def test_a_model_that_is_none(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    path = write_recipe(tmp_path, tmp_path / "corpus")
    model = tmp_path / "model.yaml"
    changed = model.read_text().replace(*change, 1)
    assert changed != model.read_text()
    model.write_text(changed)
    with pytest.raises(RecipeError, match=said):
        model_config(load(path)[0])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"preset": None}, "no stages of its own"),
        ({"stages": {"stage_1": {"step": 3}}}, "'stages.stage_1.step'; did you mean 'steps'?"),
        ({"stages": {"stage_1": {"steps": 0}}}, "recipe.yaml:12: stages.stage_1.steps"),
        ({"stages": {"stage_1": {"shares": {"caption": -1}}}}, "stages.stage_1.shares.caption"),
        ({"stages": {"stage_2": {"grouping": False}}}, "without `grouping` no step is all"),
        ({"out": "s3://bucket/run"}, "out: a run is written to a folder, not to s3://bucket/run"),
        ({"learning_rate": 1}, "unknown key 'learning_rate'"),
        ({"model": "13b"}, "preset"),
    ],
)
def test_the_command_line_tells_faults_in_a_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, object],
    said: str,
) -> None:
    path = write_recipe(tmp_path, tmp_path / "corpus", **changes)
    monkeypatch.setattr(sys, "argv", ["dsvl-data", "train", str(path), "--stage", "1"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert said in error
    assert "fault of ours" not in error


def test_table_4_of_the_paper() -> None:
    for size, rates, steps, rows in (
        ("1.3b", (1.0e-3, 3e-5, 2.0e-5), (15000, 96000, 10000), (256, 1024, 256)),
        ("7b", (1.0e-3, 4.2e-5, 2.0e-5), (15000, 42000, 10000), (256, 2304, 256)),
    ):
        stages = preset_stages(size)
        every = (stages.stage_1, stages.stage_2, stages.stage_3)
        assert tuple(stage.learning_rate for stage in every) == rates
        assert tuple(stage.steps for stage in every) == steps
        assert tuple(stage.rows for stage in every) == rows
        assert tuple(stage.schedule for stage in every) == ("cosine", "step", "cosine")
        assert tuple(stage.warmup for stage in every) == (128, 2000, 256)
        assert tuple(stage.packing for stage in every) == (False, True, False)


def test_activations_are_recomputed_where_a_stage_or_the_recipe_says_so(tmp_path: Path) -> None:
    large: dict[str, Any] = {"preset": "7b", "stages": {"stage_3": {"recompute": False}}}
    for given, expected in ((None, (False, True, False)), (True, (True, True, False))):
        _, stages = load(write_recipe(tmp_path, tmp_path, recompute=given, **large))
        assert tuple(stages.of(stage).recompute for stage in STAGES) == expected


def test_learning_rates() -> None:
    settings = preset_stages("1.3b").stage_2
    assert factor(settings, 999) == 0.5
    assert factor(settings, 2000) == factor(settings, 76_799) == 1
    assert factor(settings, 76_800) == pytest.approx(0.316, abs=1e-3)
    assert factor(settings, 86_400) == pytest.approx(0.1)
    cosine = settings.model_copy(update={"schedule": "cosine"})
    assert factor(cosine, 49_000) == pytest.approx(0.5)
    assert factor(cosine, settings.steps) == pytest.approx(0)


def test_there_is_no_rate_above_the_peak() -> None:
    settings = preset_stages("tiny").stage_1
    rates = [factor(settings, step) for step in range(settings.steps)]
    assert max(rates) == 1
    assert min(rates) > 0
