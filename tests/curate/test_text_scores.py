from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.curate.prose import blank_literals, read_prose
from dsvl_data.curate.quality import bounds
from dsvl_data.curate.quality_settings import ChineseRules, EnglishRules, FormRules
from dsvl_data.curate.rule import Bound
from dsvl_data.curate.text_scores import SCORES, score

ENGLISH = (
    "A kettle that is filled to the brim will boil over, and the cook has to clean the stove. "
    "Nobody who has done that twice would fill it so again. The mark inside of the kettle says "
    "where to stop, but it is hard to see in the morning, with sleep still in the eyes. "
    "So people learn the sound of the water instead.\n"
)
CHINESE = (
    "水壶装得太满，烧开的时候就会溢出来，做饭的人还得擦灶台。这样的事做过两次的人，不会再犯第三次。"
    "壶里面有一条线，告诉人该在哪里停下来，可是早上还没睡醒，很难看清楚。所以大家都学会了听水的声音。\n"
    "老人说，听声音比看线准。水少的时候声音尖，水多了声音就低下去，像人慢慢坐下来一样。\n"
)


def broken(text: str, language: str) -> set[str]:
    """The scores that the default thresholds of the language hold against a text."""
    rules = {"en": EnglishRules(), "zh": ChineseRules()}.get(language, FormRules())
    found = score(text, language)
    return {
        bound.column
        for bound, words in bounds(rules)
        if bound.column in found and found["words"] >= words and not _within(bound, found)
    }


def _within(bound: Bound, found: dict[str, float]) -> bool:
    value = found[bound.column]
    low, high = bound.minimum, bound.maximum
    return (low is None or value >= low) and (high is None or value <= high)


def test_plain_prose_passes_every_rule() -> None:
    assert broken(ENGLISH, "en") == set()
    assert broken(CHINESE, "zh") == set()


def test_every_score_has_a_meaning_and_is_finite() -> None:
    for text, language in ((ENGLISH, "en"), (CHINESE, "zh"), ("x", "de")):
        found = score(text, language)
        assert found.keys() <= SCORES.keys()
        assert all(value == value and abs(value) < 1e9 for value in found.values())
    assert score(ENGLISH, "en").keys() == SCORES.keys()


def test_words_of_both_kinds_are_counted() -> None:
    assert score("one two three", "en")["words"] == 3
    assert score("我们今天去公园", "zh")["words"] == 3.5
    assert score("用 Python 写程序", "zh")["words"] == 3
    assert score("aa bbbb", "en")["mean_word_length"] == 3
    assert "mean_word_length" not in score(CHINESE, "zh")


@pytest.mark.parametrize(
    ("text", "language", "column"),
    [
        ("abcdefghijklmnop " * 3 + "qrstuvwxyzabc the to " * 60, "en", "top_2gram"),
        ("".join(f"#tag{i} and the word{i} " for i in range(60)), "en", "hashes_per_word"),
        ("".join(f"well {i} the... of and... " for i in range(60)), "en", "ellipses_per_word"),
        ("".join(f"- the item of number{i}\n" for i in range(60)), "en", "bullet_lines"),
        ("".join(f"the story of day {i} and then…\n" for i in range(60)), "en", "ellipsis_lines"),
        ("".join(f"故事说到第{i}天的时候就……\n" for i in range(60)), "zh", "ellipsis_lines"),
        (" ".join(f"{i} -- {i * 7}" for i in range(99)) + " the and", "en", "alphabetic_words"),
        (" ".join(f"Kettle{i} spout{i}" for i in range(60)), "en", "stop_words"),
        (ENGLISH * 4, "en", "repeated_lines"),
        (ENGLISH * 4, "en", "repeated_line_characters"),
        ("\n\n".join([ENGLISH] * 4), "en", "repeated_paragraphs"),
        (ENGLISH.replace("\n", " ") * 4, "en", "repeated_10grams"),
        (CHINESE * 4, "zh", "repeated_lines"),
        (CHINESE.replace("\n", "") * 3, "zh", "repeated_10grams"),
        ("买水壶请找我们公司，" * 60, "zh", "top_4gram"),
        (ENGLISH + "Lorem ipsum dolor sit amet.", "en", "lorem_ipsum"),
        ("Lorem ipsum", "en", "lorem_ipsum"),
        (ENGLISH + "x" * 1500, "en", "longest_word"),
        ("This site uses cookies, see the privacy policy of ours.\n" * 9, "en", "policy_lines"),
        (" ".join(str(i * 7919) + " the of" for i in range(60)), "en", "digits"),
        (" ".join("internationalisation" for _ in range(60)), "en", "mean_word_length"),
    ],
)
def test_each_rule_finds_what_it_was_made_for(text: str, language: str, column: str) -> None:
    assert column in broken(text, language)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # Terminal punctuation, five words, three sentences; from C4's section 2.2.
        (["The cat sat on the mat. It slept.", "A dog came in to see it!"], 3),
        (["Home | About | Contact", "Read more"], 0),
        (["Please enable Javascript to see the page."], 0),
        (["We use cookies to make the page better."], 0),
        (["And then he was gone for good..."], 0),
        (["今天天气很好，我们去公园散步吧。你来吗？"], 2),
    ],
)
def test_sentences_that_c4_would_leave(lines: list[str], expected: int) -> None:
    assert score("\n".join(lines), "en")["c4_sentences"] == expected


def test_shares_of_repeated_characters_by_hand() -> None:
    # 8 words of 2 characters; `aa bb` occurs twice, in 4 of them.
    found = score("aa bb cc dd aa bb ee ff", "en")
    assert found["top_2gram"] == 0.5
    assert found["top_3gram"] == 0
    # The second time counts, the first does not; overlapping n-grams count once.
    again = "a1 b1 c1 d1 e1 f1 "
    found = score(again + "xx " + again, "en")
    assert found["repeated_5grams"] == pytest.approx(12 / 26)
    assert found["repeated_6grams"] == pytest.approx(12 / 26)
    assert found["repeated_7grams"] == 0
    # Overlapping occurrences: `ha ha` three times in four words is all of them.
    assert score("ha ha ha ha", "en")["top_2gram"] == 1
    # A Chinese 2-gram is four characters.
    assert score("春眠不觉晓春眠不觉", "zh")["top_2gram"] == pytest.approx(8 / 9)
    assert score("春眠不晓春眠不觉", "zh")["top_2gram"] == 0


PYTHON = (
    "import os\n\ndef main(path):\n    for name in os.listdir(path):\n        print(name)\n" * 5
)
TABLE = "| a | 1 | 2 |\n|---|---|---|\n" + "| b | 3 | 4 |\n" * 40
FORMULAS = (
    "$$\\sum_{i=1}^{n} x_i = \\frac{a}{b}$$\n\n\\begin{align}x &= y\\\\ &= z\\end{align}\n" * 20
)
CSS = "body {\n  color: red;\n}\n.box > p {\n  margin: 0;\n}\n" * 20


@pytest.mark.parametrize(
    "text",
    [
        PYTHON,
        f"```\n{ENGLISH * 4}```\n",
        TABLE,
        FORMULAS,
        CSS,
        f"<table><tr><td>{ENGLISH * 4}</table>",
    ],
    ids=["bare code", "fenced", "table", "formulas", "css", "html table"],
)
def test_what_is_no_prose_is_not_judged(text: str) -> None:
    assert broken(text, "en") == set()
    assert score(text, "en")["words"] < 20
    assert broken(ENGLISH + "\n" + text, "en") == set()


def test_a_formula_or_code_in_a_line_is_no_word_and_tears_none() -> None:
    prose = read_prose("Let $x+y$ be `foo()`, and \\(z\\)-axis of [the map](a.html) **is** here.")
    assert " ".join(prose.tokens) == "Let be and of the map is here."
    assert read_prose("设 $x$ 为整数，见图 ![a](b.png)。").spaceless == 6
    assert read_prose("It costs $5 here and $10 there.").words == 7


def test_headings_lists_and_quotes_lose_their_marks() -> None:
    lines = read_prose("## 2.1. A title\n\n- one\n* two\n1. three\n> four\n\n---\n").lines
    assert [(line.text, line.bullet) for line in lines] == [
        ("A title", False),
        ("one", True),
        ("two", True),
        ("three", False),
        ("four", False),
    ]


@given(st.text(alphabet="ab$`~<>|\\[]() \n中，.#-{}&", max_size=200))
def test_any_text_has_scores_in_their_ranges(text: str) -> None:
    found = score(text, "en")
    for name, value in found.items():
        assert value >= 0
        if SCORES[name].startswith("share"):
            assert value <= 1, name
    assert len(blank_literals(text)) == len(text)
    assert blank_literals(text).count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "unit",
    ["\\[", "$", "`", "<", "<a ", "![", "[a](", "\\begin{align}", "(", "- ", "a,", "#", "```\n"],
)
def test_hostile_texts_take_linear_time(unit: str) -> None:
    started = time.process_time()
    score(unit * (100_000 // len(unit)), "en")
    assert time.process_time() - started < 5


def test_poems_and_the_analects_are_kept(real_data: Path) -> None:
    rows = json.loads((real_data / "text/chinese_poetry/lunyu.json").read_text(encoding="utf-8"))
    poems = (real_data / "text/chinese_poetry").glob("*德*.json")
    rows += json.loads(next(poems).read_text(encoding="utf-8"))
    texts = ["\n".join(row.get("para") or row["paragraphs"]) for row in rows]
    assert len(texts) > 200
    assert [text for text in texts if broken(text, "zh")] == []


def test_a_chinese_manual_is_kept(real_data: Path) -> None:
    text = (real_data / "text/debian-faq.zh-cn.txt").read_text(encoding="utf-8")
    pieces = [text[start : start + 6000] for start in range(0, len(text), 6000)]
    assert [piece for piece in pieces if broken(piece, "zh")] == []
