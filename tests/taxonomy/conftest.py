"""A taxonomy of four leaves, and conversations of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from taxonomy.tree import Taxonomy, load_taxonomy

NODES = {
    "see/count": (
        "one",
        "How many {}? ; count the {} ; number of {}",
        "有几个{} ; 数一数{} ; 多少{}",
    ),
    "see/read": (
        "one",
        "read the {} ; what does the {} say ; text of {}",
        "读一下{} ; {}上写了什么",
    ),
    "solve": ("one", "solve {} ; calculate {} ; equation of {}", "求解{} ; 计算{} ; {}的方程"),
    "compare": ("several", "compare both {} ; differences of {}", "比较两张{} ; {}的区别"),
}
THINGS = {"en": ("apples", "signs", "cars", "dogs"), "zh": ("苹果", "牌子", "车", "狗")}


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Taxonomy:
    """Counting and reading below one main category; solving and comparing are leaves at once."""
    text = "nodes:\n  - {id: see, name: {en: See, zh: 看}, definition: {en: See, zh: 看}}\n"
    for path, (number, english, chinese) in NODES.items():
        parent, _, name = path.rpartition("/")
        text += f"  - id: {name}\n" + (f"    parent: {parent}\n" if parent else "")
        text += f"    name: {{en: {name}, zh: {name}}}\n    images: [{number}, photo]\n"
        text += f"    definition: {{en: {name}, zh: {name}}}\n    prompts:\n"
        for language, forms in (("en", english), ("zh", chinese)):
            text += f"      {language}:\n"
            for form in forms.split(" ; "):
                for thing in THINGS[language]:
                    text += f"        - '{form.format(thing)}'\n"
    path = Path(tmp_path_factory.mktemp("taxonomy")) / "small.yaml"
    path.write_text(text, encoding="utf-8")
    return load_taxonomy(path)
