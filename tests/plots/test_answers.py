"""Answers: right by another computation, never ambiguous, only of what can be seen."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvl_data.plots.answers import Pair, ask
from dsvl_data.plots.chart import Chart, Series
from dsvl_data.plots.choose import KINDS
from dsvl_data.plots.phrases import PHRASES
from dsvl_data.plots.style import Style, choose_style
from tests.plots.tables import chart_of


def bars(values: Sequence[object], **changes: object) -> Chart:
    numbers = tuple(Decimal(str(v)) for v in values)
    chart = Chart(
        kind="bar", words="en", title="t", label="fruit",
        labels=tuple("abcdefghijklmnop"[: len(numbers)]), series=(Series("weight", numbers),),
        measure="weight", unit="kg", sums=True,
    )  # fmt: skip
    return replace(chart, **changes)


def style_of(chart: Chart, *, labelled: bool = True, commas: bool = False) -> Style:
    style = choose_style(chart, random.Random(0), ["plain"])
    return replace(style, labelled=labelled, commas=commas)


def every(chart: Chart, *, words: str = "en", **looks: bool) -> dict[str, list[Pair]]:
    """All pairs that many seeds give, by what they are about."""
    found: dict[str, list[Pair]] = {}
    for seed in range(40):
        for pair in ask(chart, style_of(chart, **looks), words, random.Random(seed), 99):  # type: ignore[arg-type]
            found.setdefault(pair.about, []).append(pair)
    return found


def answers(pairs: dict[str, list[Pair]], about: str) -> set[str]:
    return {pair.answer for pair in pairs.get(about, [])}


def test_known_answers() -> None:
    pairs = every(bars(["1.5", "4.0", "2.5", "3.0"]))
    assert answers(pairs, "largest") == {"b"}
    assert answers(pairs, "smallest") == {"a"}
    assert answers(pairs, "second") == {"d"}
    assert answers(pairs, "total") == {"11.0 kg"}
    assert answers(pairs, "average") == {"2.75 kg"}
    assert answers(pairs, "count") == {"4"}
    lookup = {"What is the weight of b?", "What weight does the chart show for b?"}
    assert {p.answer for p in pairs["lookup"] if p.question in lookup} == {"4.0 kg"}
    gaps = {p.answer for p in pairs["gap"] if "of b exceed that of a" in p.question}
    assert gaps == {"2.5 kg"}


def test_rounding_is_stated_and_halves_are_not_asked() -> None:
    pairs = every(bars([1, 2, 5]))
    assert answers(pairs, "average") == {"2.7 kg"}
    assert all("1 decimal place" in p.question for p in pairs["average"])
    # 8.25 lies halfway between 8.2 and 8.3: people round it differently.
    assert "average" not in every(bars([1, 2, 6, 24]))
    shares = every(bars([1, 2, 5], kind="pie", unit=""))["share"]
    assert {p.answer for p in shares} <= {"25.0%", "62.5%", "12.5%"}
    assert all("decimal place" in p.question for p in shares)


def test_equals_are_never_asked_about() -> None:
    pairs = every(bars([3, 3, 1, 1]))
    for about in ("largest", "smallest", "second"):
        assert about not in pairs
    assert all(p.answer != "0 kg" for p in pairs["gap"])


def test_without_numbers_in_the_picture_only_what_is_seen_is_asked() -> None:
    pairs = every(bars([100, 101, 50]), labelled=False)
    assert not pairs.keys() & {"lookup", "gap", "total", "average", "above", "share"}
    assert "largest" not in pairs  # 100 and 101 look alike
    assert answers(pairs, "smallest") == {"c"}
    for pair in pairs["larger"]:
        assert "c" in pair.question.split()[-1] + pair.question


def test_commas_as_in_the_picture() -> None:
    assert answers(every(bars([1500, 4000]), commas=True), "total") == {"5,500 kg"}


def test_chinese_questions_keep_the_words_of_the_data() -> None:
    chart = bars([1, 2, 4], words="zh", label="水果", measure="重量", unit="千克")
    pairs = every(chart, words="zh")
    assert answers(pairs, "largest") == {"c"}
    assert answers(pairs, "total") == {"7千克"}
    assert all("A" not in p.question for found in pairs.values() for p in found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("words", ["en", "zh"])
def test_every_kind_is_asked_about_in_both_languages(kind: str, words: str) -> None:
    found = 0
    for seed in range(4):
        chart = chart_of(kind, seed=seed)  # type: ignore[arg-type]
        style = choose_style(chart, random.Random(seed))
        pairs = ask(chart, style, words, random.Random(seed), 9)  # type: ignore[arg-type]
        found += len(pairs)
        for pair in pairs:
            assert "{" not in pair.question + pair.answer
            assert pair.answer
            assert pair.question[-1] in "?？.。）)"
        assert len({p.question for p in pairs}) == len(pairs)
    assert found


def test_every_phrase_is_there_in_both_languages() -> None:
    for about, phrases in PHRASES.items():
        assert set(phrases) == {"en", "zh"}, about
        assert all(phrases.values()), about


_NUMBERS = st.lists(st.integers(0, 40).map(lambda n: Decimal(n) / 2), min_size=2, max_size=9)


@settings(max_examples=80, deadline=None)
@given(_NUMBERS, st.integers(0, 9))
def test_answers_follow_from_the_data_alone(values: list[Decimal], seed: int) -> None:
    """The extremes, counts and sums once more, from the labels and numbers as written."""
    if not any(values):
        return
    values = [v.quantize(Decimal("0.1")) for v in values]
    chart = bars(values, unit="")
    rows = {label: Decimal(number) for label, number in chart.rows()}
    for pair in ask(chart, style_of(chart), "en", random.Random(seed), 99):
        ordered = sorted(rows.values())
        if pair.about == "largest":
            assert rows[pair.answer] == ordered[-1] > ordered[-2]
        elif pair.about == "smallest":
            assert rows[pair.answer] == ordered[0] < ordered[1]
        elif pair.about == "second":
            assert ordered[-1] > rows[pair.answer] == ordered[-2] > ordered[-3]
        elif pair.about == "total":
            assert Decimal(pair.answer) == sum(ordered)
        elif pair.about == "average":
            exact = sum(ordered) / len(ordered)
            # To as many places as the answer has; the question says how many.
            places = -Decimal(pair.answer).as_tuple().exponent  # type: ignore[operator]
            assert abs(Decimal(pair.answer) - exact) <= Decimal(5).scaleb(-places - 1)
            assert Decimal(pair.answer) == exact or "ound" in pair.question
        elif pair.about == "above":
            border = Decimal(pair.question.rstrip("?").split()[-1])
            assert border not in ordered
            assert int(pair.answer) == sum(v > border for v in ordered)
        elif pair.about == "larger":
            asked = [
                name
                for name in rows
                if name in pair.question.replace("?", " ?").replace(",", " ,").split()
            ]
            assert pair.answer in asked
            assert rows[pair.answer] == max(rows[name] for name in asked)
