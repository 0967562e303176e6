"""The recipe's `curation:` section: what is said once holds everywhere, and mistakes are named."""

from __future__ import annotations

import pytest

from dsvl_data import recipe
from dsvl_data.curate.settings import Curation
from pipelines import PIPELINES

RECIPE = """
name: made
pipelines:
  exams: {inputs: [{path: exams, dataset: made}]}
curation:
  text:
    length: {min_characters: 20}
    language: {keep: [en]}
  rights: {deny: [CC-BY-NC-4.0]}
  by_category:
    caption:
      text: {language: null}
    table_chart:
      text: {length: {max_characters: 90}}
      rights: null
"""


def test_a_category_says_only_what_differs() -> None:
    settings = recipe.parse(RECIPE, "r.yaml", PIPELINES).curation
    assert settings is not None
    caption, chart, rest = map(settings.rules_for, ("caption", "table_chart", "text"))
    assert caption.text is not None
    assert caption.text.language is None
    assert caption.text.length is not None
    assert caption.text.length.min_characters == 20
    assert caption.rights == rest.rights is not None
    assert chart.text is not None
    assert chart.text.language is not None
    assert chart.text.language.keep == ("en",)
    assert chart.text.length is not None
    assert (chart.text.length.min_characters, chart.text.length.max_characters) == (20, 90)
    assert chart.rights is None


def test_the_recipe_with_every_default_is_the_same_recipe() -> None:
    read = recipe.parse(RECIPE, "r.yaml", PIPELINES)
    assert recipe.parse(recipe.show(read), "shown.yaml", PIPELINES) == read


def test_without_the_section_nothing_is_curated() -> None:
    source = RECIPE[: RECIPE.index("curation:")]
    assert recipe.parse(source, "r.yaml", PIPELINES).curation is None
    assert Curation().rules_for("text").model_dump(exclude_none=True) == {}


@pytest.mark.parametrize(
    ("wrong", "right", "line"),
    [
        ("min_character:", "min_characters", 7),
        ("min_characters: -1", "greater than or equal to 0", 7),
        ("langage: {", "language", 8),
    ],
)
def test_a_mistake_is_named_with_its_line(wrong: str, right: str, line: int) -> None:
    broken = {
        "min_character:": RECIPE.replace("min_characters:", wrong),
        "min_characters: -1": RECIPE.replace("min_characters: 20", wrong),
        "langage: {": RECIPE.replace("language: {", wrong),
    }[wrong]
    with pytest.raises(recipe.RecipeError, match=rf"r\.yaml:{line}: .*{right}"):
        recipe.parse(broken, "r.yaml", PIPELINES)
