"""A recipe's mistakes are told with file, line and the nearest right key."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsvl_data.recipe import RecipeError, jobs, load, show
from pipelines import PIPELINES

GOOD = """\
name: small
pipelines:
  notebooks:
    inputs:
      - path: books
        dataset: mine
        licence: MIT
    options:
      min_lines: 7
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_paths_are_relative_to_the_recipe_and_defaults_are_filled_in(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, GOOD), PIPELINES)
    notebooks = recipe.pipelines["notebooks"]
    assert jobs(recipe, tmp_path, PIPELINES)[0].inputs[0].path == str(tmp_path / "books")
    assert notebooks.options["min_lines"] == 7
    assert notebooks.limits is not None
    assert notebooks.partition_size is not None


def test_what_show_writes_is_the_same_recipe(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, GOOD), PIPELINES)
    again = load(write(tmp_path, show(recipe)), PIPELINES)
    assert again == recipe


def test_remote_paths_stay_as_they_are(tmp_path: Path) -> None:
    text = GOOD.replace("path: books", "path: s3://bucket/books")
    recipe = load(write(tmp_path, text), PIPELINES)
    assert jobs(recipe, tmp_path, PIPELINES)[0].inputs[0].path == "s3://bucket/books"


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (("name: small", "nmae: small"), 1, "did you mean 'name'?"),
        (("licence: MIT", "license: MIT"), 7, "did you mean 'licence'?"),
        (("min_lines: 7", "min_line: 7"), 9, "did you mean 'min_lines'?"),
        (("min_lines: 7", "min_lines: many"), 9, "not 'many'"),
        (("  notebooks:", "  notebook:"), 3, "did you mean 'notebooks'?"),
        (("        licence: MIT\n", "        dataset: yours\n"), 7, "given twice"),
        (("dataset: mine", ""), 5, "pipelines.notebooks.inputs.0.dataset' is missing"),
        (("    options:\n      min_lines: 7", "    limits: {second: 3}"), 8, "mean 'seconds'?"),
        (("name: small", "name: small\nshards: {sed: 3}"), 2, "did you mean 'seed'?"),
        (("name: small", "name: small\nshards: 3"), 2, "shards: must be a mapping, not 3"),
        (("name: small", "name: [small]"), 1, "name: must be text, not ['small']"),
        (("min_lines: 7", "min_lines: many"), 9, "min_lines: must be a whole number, not 'many'"),
        (("    options:\n      min_lines: 7", "    options: 7"), 8, "must be a mapping, not 7"),
        (("    options:\n      min_lines: 7", "    licences: MIT"), 8, "must be a list, not 'MIT'"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, change: tuple[str, str], line: int, says: str) -> None:
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(RecipeError) as error:
        load(path, PIPELINES)
    assert f"{path}:{line}: " in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "must be a mapping"), ("- a", "must be a mapping"), ("a: [", "not valid YAML")],
)
def test_no_recipe_at_all(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        load(write(tmp_path, text), PIPELINES)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"gone\.yaml: No such file"):
        load(tmp_path / "gone.yaml", PIPELINES)


def test_yaml_makes_no_objects(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="not valid YAML"):
        load(write(tmp_path, "name: !!python/object/apply:os.getcwd []"), PIPELINES)


def test_paths_in_options_start_at_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cdn").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    text = """\
name: paths
pipelines:
  notebooks:
    inputs: [{path: nb, dataset: d}]
    options: {assets: cdn}
  arxiv:
    inputs: [{path: papers, dataset: d}]
    options: {metadata: "s3://bucket/meta.json", nougat: facebook/nougat-base}
"""
    recipe = load(write(tmp_path, text), PIPELINES)
    assert recipe.pipelines["notebooks"].options["assets"] == str(tmp_path / "cdn")
    options = recipe.pipelines["arxiv"].options
    assert options["metadata"] == "s3://bucket/meta.json"
    assert options["nougat"] == "facebook/nougat-base"
    text = text.replace("facebook/nougat-base", "./weights")
    options = load(write(tmp_path, text), PIPELINES).pipelines["arxiv"].options
    assert options["nougat"] == str(tmp_path / "weights")


@pytest.mark.parametrize(
    ("given", "whole"),
    [("auto", "auto"), ("my.yaml", "{}/my.yaml"), ("./my.yaml", "{}/my.yaml")],
)
def test_a_mapping_is_a_name_or_a_file_beside_the_recipe(
    tmp_path: Path, given: str, whole: str
) -> None:
    (tmp_path / "my.yaml").write_text("stem: text\n")
    text = f"""\
name: exams
pipelines:
  exams:
    inputs: [{{path: questions, dataset: d}}]
    options: {{mapping: {given}}}
"""
    options = load(write(tmp_path, text), PIPELINES).pipelines["exams"].options
    assert options["mapping"] == whole.format(tmp_path)
