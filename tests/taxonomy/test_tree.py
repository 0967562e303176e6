"""The taxonomy: what ships is whole, what a user writes is checked, mistakes name their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from taxonomy.tree import Taxonomy, TaxonomyError, load_taxonomy
from taxonomy.tree_file import IMAGE_COUNTS, IMAGE_KINDS

LEAF = """\
  - id: {id}
    name: {{en: A, zh: 甲}}
    definition: {{en: Says a., zh: 说甲。}}
    images: [one, photo]
    prompts: {{en: [say a of {id}], zh: [说甲{id}]}}
"""
EXTENDS = "extends: default\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def nodes(*leaves: str) -> str:
    return "nodes:\n" + "".join(leaves)


def leaf(name: str, **lines: str) -> str:
    text = LEAF.format(id=name)
    for key, value in lines.items():
        text += f"    {key}: {value}\n"
    return text


@pytest.fixture(scope="module")
def shipped() -> Taxonomy:
    return load_taxonomy()


def test_the_shipped_one_has_the_whole_of_table_3(shipped: Taxonomy) -> None:
    counts = {node.id: sum(n.is_leaf for n in node.walk()) for node in shipped.main}
    assert counts == {
        "recognition": 18,
        "conversion": 9,
        "analysis": 18,
        "commonsense-reasoning": 20,
        "logical-reasoning": 8,
        "evaluation": 5,
        "multi-graph": 8,
        "safety": 3,
    }
    assert shipped.path("counting") == ("recognition", "local-description", "counting")
    assert shipped.text_path("humor-reasoning") == "commonsense-reasoning/humor-reasoning"
    assert shipped.text_path("prompt-injection") == "safety/prompt-injection"


def test_every_shipped_leaf_has_eight_different_prompts_a_language(shipped: Taxonomy) -> None:
    seen: dict[str, str] = {}
    for node in shipped.leaves():
        assert set(node.images) <= {*IMAGE_COUNTS, *IMAGE_KINDS}
        for language in ("en", "zh"):
            prompts = node.prompts[language]
            assert len(prompts) >= 8, node.id
            lengths = [len(prompt) for prompt in prompts]
            assert max(lengths) > 1.5 * min(lengths), f"{node.id}: prompts of one length"
            for prompt in prompts:
                assert prompt not in seen, f"{prompt!r} is of {node.id} and {seen[prompt]}"
                seen[prompt] = node.id


def test_chinese_prompts_are_chinese(shipped: Taxonomy) -> None:
    for node in shipped.leaves():
        for prompt in (*node.prompts["zh"], node.name["zh"], node.definition["zh"]):
            assert any("\u4e00" <= c <= "\u9fff" for c in prompt), (node.id, prompt)
        for prompt in (*node.prompts["en"], node.name["en"], node.definition["en"]):
            assert not any("\u4e00" <= c <= "\u9fff" for c in prompt), (node.id, prompt)


def test_a_path_finds_its_node_and_no_other(shipped: Taxonomy) -> None:
    for node in shipped.nodes():
        assert shipped.at(shipped.text_path(node.id)) is node
    assert shipped.at("counting") is None
    assert shipped.at("safety/counting") is None
    assert shipped.at("") is None


def test_a_users_file_replaces_it(tmp_path: Path) -> None:
    tree = load_taxonomy(written(tmp_path, nodes(leaf("a"), leaf("b"))))
    assert [node.id for node in tree.leaves()] == ["a", "b"]
    assert tree.leaves()[1].line == 7


def test_a_users_file_extends_changes_and_removes(tmp_path: Path, shipped: Taxonomy) -> None:
    text = (
        EXTENDS
        + "removes: [music-score, safety]\n"
        + "changes:\n  - id: counting\n    name: {en: Tallying}\n    prompts: {en: [tally them]}\n"
        + nodes(leaf("barcodes", parent="ocr-and-transcription"), leaf("top"))
    )
    tree = load_taxonomy(written(tmp_path, text))
    names = {node.id for node in tree.nodes()}
    assert tree.text_path("barcodes") == "recognition/ocr-and-transcription/barcodes"
    assert tree.path("top") == ("top",)
    assert not names & {"music-score", "safety", "prompt-injection"}
    assert tree.node("counting").name == {"en": "Tallying", "zh": "计数"}
    before = shipped.node("counting").prompts["en"]
    assert tree.node("counting").prompts["en"] == (*before, "tally them")
    assert tree.digest != shipped.digest


def test_the_digest_is_of_the_contents(tmp_path: Path) -> None:
    one = load_taxonomy(written(tmp_path, nodes(leaf("a"))))
    same = load_taxonomy(written(tmp_path, "# a comment\n" + nodes(leaf("a"))))
    other = load_taxonomy(written(tmp_path, nodes(leaf("a")).replace("say a of", "name")))
    assert one.digest == same.digest != other.digest


def test_one_language_is_enough_where_the_file_says_so(tmp_path: Path) -> None:
    text = "languages: [en]\n" + nodes(
        "  - {id: a, name: {en: A}, definition: {en: A.}, images: [one, map], prompts: {en: [a]}}\n"
    )
    assert load_taxonomy(written(tmp_path, text)).languages == ("en",)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (nodes(leaf("a"), leaf("b"), leaf("a")), 12, "the id 'a' is also at"),
        (EXTENDS + nodes(leaf("counting")), 3, "the id 'counting' is also at"),
        (nodes(leaf("a", parent="nobody")), 2, "'a' is an orphan"),
        (nodes(leaf("a", parent="a")), 2, "circle: a -> a"),
        (nodes(leaf("r"), leaf("a", parent="b"), leaf("b", parent="a")), 7, "circle: a -> b -> a"),
        (nodes(leaf("a").replace("    prompts", "    #")), 2, "'a' has no prompts in 'en'"),
        (nodes(leaf("a").replace("zh: [说甲a]", "zh: []")), 2, "'a' has no prompts in 'zh'"),
        (nodes(leaf("a").replace("photo", "foto")), 5, "did you mean 'photo'?"),
        (nodes(leaf("a").replace("one, ", "")), 5, "must have `one` or `several`"),
        (nodes(leaf("a").replace("    images", "    image")), 5, "did you mean 'images'?"),
        (nodes(leaf("a").replace(", zh: 甲", "")), 2, "'a' has no name in 'zh'"),
        (nodes(leaf("a").replace("[say a of a]", "[x, x]")), 6, "stands twice"),
        (nodes(leaf("a", id="b")), 7, "given twice"),
        (nodes(leaf("A b")), 2, "lower-case"),
        (nodes("  - {name: {en: A}}\n"), 2, "without `id`"),
        (nodes(leaf("a"), leaf("b", parent="a")), 2, "has children"),
        (nodes(leaf("a").replace("[say a of a]", "*x")), 6, "aliases"),
        (nodes("  - include: /etc/passwd\n"), 2, "beside this file"),
        (nodes("  - include: ../x.yaml\n"), 2, "beside this file"),
        (nodes("  - include: none.yaml\n"), 2, "no file"),
        ("nodes: " + "[" * 60 + "]" * 60, 1, "too deeply"),
        ("nodes:\n  - {id: a\n", 3, "not valid YAML"),
        ("", 1, "empty"),
        ("nodes: 3\n", 1, "must be a list"),
        ("removes: [counting]\n", 1, "extends another"),
        (EXTENDS + "removes: [nobody]\n", 2, "no node 'nobody'"),
        (EXTENDS + "changes: [{id: nobody}]\n", 2, "no node 'nobody'"),
        ("extends: mine\n" + nodes(leaf("a")), 1, "can only be `default`"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(TaxonomyError) as caught:
        load_taxonomy(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert said in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(TaxonomyError, match="cannot read"):
        load_taxonomy(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("é".encode("latin-1"))
    with pytest.raises(TaxonomyError, match="not UTF-8"):
        load_taxonomy(tmp_path / "latin.yaml")
