"""The README says what is there: data sets, pipelines, recipes, in the tree's own words."""

from __future__ import annotations

import re
from pathlib import Path

from dsvl_data import recipe
from dsvl_data.read.published import READERS
from pipelines import PIPELINES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_data_sets_is_that_of_the_readers() -> None:
    rows = {}
    for line in README.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and re.fullmatch(r"`\w+`", cells[1]):
            address = re.fullmatch(r"\[.+\]\((.+)\)", cells[0])
            assert address is not None, f"no address: {line}"
            rows[cells[1].strip("`")] = (cells[2], cells[3], address[1])
    expected = {
        name: (
            reader.category,
            "none stated" if reader.licence == "unknown" else reader.licence,
            reader.layout,
        )
        for name, reader in READERS.items()
    }
    assert rows == expected
    assert f"{len(READERS)} readers" in README


def test_recipes_that_come_with_the_project_are_valid() -> None:
    for path in sorted((ROOT / "pipelines" / "recipes").glob("*.yaml")):
        loaded = recipe.load(path, PIPELINES)
        expected = {"sft"} if path.name == "sft.yaml" else set(PIPELINES)
        assert set(loaded.pipelines) == expected, path.name
