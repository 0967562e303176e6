"""The chat format: the authors' strings, and what is trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model.chat import (
    IMAGE_PLACEHOLDER,
    Mark,
    Run,
    Turn,
    document,
    prompt,
    runs,
    with_images,
)

PICTURE = Image.new("RGB", (4, 4))
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SAID = ANY_TEXT.filter(lambda text: bool(text.strip()))


def test_every_golden_prompt(golden: Path) -> None:
    cases = json.loads((golden / "prompts.json").read_text(encoding="utf-8"))
    assert cases
    for name, case in cases.items():
        turns = []
        for message in case["messages"]:
            text = message["content"]
            images = [PICTURE] * text.count(IMAGE_PLACEHOLDER)
            turns.append(Turn(message["role"].lower(), with_images(text, images)))
        assert prompt(turns, case["system"]) == case["prompt"], name


def test_answers_and_their_ends_are_trained_on_and_nothing_else() -> None:
    turns = [
        Turn("user", [PICTURE, "What is it?"]),
        Turn("assistant", "A cat."),
        Turn("user", "Sure?"),
        Turn("assistant", "Yes."),
    ]
    assert [run.content for run in runs(turns, "") if run.trained] == [
        " A cat.",
        Mark.END_OF_SENTENCE,
        " Yes.",
        Mark.END_OF_SENTENCE,
    ]
    assert [run.content for run in runs(turns, "S") if not run.trained] == [
        "S\n\nUser: ",
        PICTURE,
        "What is it?\n\nAssistant:",
        "User: Sure?\n\nAssistant:",
    ]


def test_an_answer_may_say_that_it_is_not_trained_on() -> None:
    def turns(trained: bool) -> list[Turn]:
        return [
            Turn("user", "What is it?"),
            Turn("assistant", "A dog.", trained=trained),
            Turn("user", "Look again."),
            Turn("assistant", "A cat."),
        ]

    without = runs(turns(trained=False), "")
    assert [run.content for run in without if run.trained] == [" A cat.", Mark.END_OF_SENTENCE]
    # The model sees the same, cut into the same pieces.
    assert [run.content for run in without] == [run.content for run in runs(turns(True), "")]


@given(st.lists(st.tuples(SAID, SAID), min_size=1, max_size=3), ANY_TEXT)
def test_what_generates_is_a_prefix_of_what_trains(
    pairs: list[tuple[str, str]], system: str
) -> None:
    turns = [
        turn for said, answer in pairs for turn in (Turn("user", said), Turn("assistant", answer))
    ]
    trained = runs(turns, system)
    asked = runs([*turns[:-1], Turn("assistant", "")], system)
    assert trained[: len(asked)] == asked
    assert [run.content for run in trained[len(asked) :]] == [
        " " + turns[-1].content.strip(),  # type: ignore[union-attr]
        Mark.END_OF_SENTENCE,
    ]


def test_text_that_spells_a_placeholder_is_no_image() -> None:
    written = runs([Turn("user", f"{IMAGE_PLACEHOLDER} as text"), Turn("assistant", "ok")], "")
    assert all(not isinstance(run.content, Image.Image) for run in written)
    with pytest.raises(ValueError, match="2 image placeholders for 1 images"):
        with_images(IMAGE_PLACEHOLDER * 2, [PICTURE])
    with pytest.raises(ValueError, match="0 image placeholders for 1 images"):
        with_images("none", [PICTURE])


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([], "at least one turn"),
        ([Turn("assistant", "hi")], "turn 0 is the assistant's"),
        ([Turn("user", "a"), Turn("user", "b")], "turn 1 is the user's"),
        ([Turn("user", " \n")], "turn 0, the user's, is empty"),
        ([Turn("user", "a"), Turn("assistant", ""), Turn("user", "b")], "turn 1, .* is empty"),
        ([Turn("user", "a"), Turn("assistant", ["b", PICTURE])], "holds an image"),
    ],
)
def test_what_is_no_conversation(turns: list[Turn], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        runs(turns)


def test_a_document_trains_on_its_texts_and_its_end() -> None:
    assert document(["a", PICTURE, ("b", False), "c"]) == [
        Run("a", True),
        Run(PICTURE, False),
        Run("b", False),
        Run("c", True),
        Run(Mark.END_OF_SENTENCE, True),
    ]
