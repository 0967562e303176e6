"""Turns of conversations: what passes is what the trainer takes, the rest has its reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from dsvl_data.outcome import DocumentError
from dsvl_data.read.sft.turns import PLACEHOLDER, segments_of, trimmed, turns_of
from dsvl_data.sample import Image, Segment, Text
from model.chat import Mark
from tests.read.published.records import png
from train.encode import write

PICTURE = Image(png(1), "png", 8, 8)
OTHER = Image(png(2), "png", 8, 8)


def said(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"from": who, "value": text} for who, text in turns]


def segments(*turns: tuple[str, str], images: tuple[Image, ...] = ()) -> list[Segment]:
    return segments_of(turns_of(said(*turns)), images)


def shape(found: list[Segment]) -> list[tuple[str | None, str | bytes, bool]]:
    return [
        (s.role, s.text, s.trained) if isinstance(s, Text) else (s.role, s.data, False)
        for s in found
    ]


def test_roles_turns_and_what_is_trained_on() -> None:
    found = segments(
        ("system", "Be brief."),
        ("human", " Hello "),
        ("gpt", "Hi.\n"),
        ("user", "Bye"),
        ("assistant", "See you."),
    )
    assert shape(found) == [
        ("system", "Be brief.", False),
        ("user", "Hello", False),
        ("assistant", "Hi.", True),
        ("user", "Bye", False),
        ("assistant", "See you.", True),
    ]


def test_pictures_stand_where_their_places_are() -> None:
    found = segments(("human", "Is <image> like <image>?"), ("gpt", "No."), images=(PICTURE, OTHER))
    assert shape(found) == [
        ("user", "Is ", False),
        ("user", PICTURE.data, False),
        ("user", " like ", False),
        ("user", OTHER.data, False),
        ("user", "?", False),
        ("assistant", "No.", True),
    ]
    (first, *_) = segments(("human", "<image>\nWhat?"), ("gpt", "That."), images=(PICTURE,))
    assert isinstance(first, Image)


def test_pictures_without_any_place_stand_before_the_first_question() -> None:
    found = segments(
        ("system", "Look."), ("human", "Which?"), ("gpt", "Both."), images=(PICTURE, OTHER)
    )
    assert [s.role for s in found] == ["system", "user", "user", "user", "assistant"]
    assert [type(s) for s in found[1:3]] == [Image, Image]


def test_an_empty_system_prompt_is_none() -> None:
    found = segments(("system", "  "), ("human", "Hello"), ("gpt", "Hi"))
    assert [s.role for s in found] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("turns", "images", "reason"),
    [
        ([("human", "a"), ("bing", "b")], 0, "odd_role"),
        ([("human", "a"), ("", "b")], 0, "odd_role"),
        ([("human", "a"), ("tool", "b")], 0, "odd_role"),
        ([("human", " \n"), ("gpt", "b")], 0, "empty_turn"),
        ([("human", "a"), ("gpt", "")], 0, "empty_turn"),
        ([("human", "a"), ("gpt", "b"), ("gpt", "c")], 0, "turn_order"),
        ([("human", "a"), ("human", "b"), ("gpt", "c")], 0, "turn_order"),
        ([("gpt", "a"), ("human", "b"), ("gpt", "c")], 0, "turn_order"),
        ([("human", "a"), ("gpt", "b"), ("human", "c")], 0, "turn_order"),
        ([("human", "a"), ("system", "s"), ("gpt", "b")], 0, "turn_order"),
        ([("system", "s"), ("system", "s"), ("human", "a"), ("gpt", "b")], 0, "turn_order"),
        ([("system", "s")], 0, "turn_order"),
        ([], 0, "turn_order"),
        ([("human", "<image> a"), ("gpt", "b")], 0, "image_count"),
        ([("human", "<image> a"), ("gpt", "b")], 2, "image_count"),
        ([("human", "<image><image>"), ("gpt", "b")], 1, "image_count"),
        ([("human", "a"), ("gpt", "see <image>")], 1, "image_in_answer"),
        ([("system", "<image>"), ("human", "a"), ("gpt", "b")], 1, "image_in_answer"),
    ],
)
def test_what_is_no_conversation_has_its_reason(
    turns: list[tuple[str, str]], images: int, reason: str
) -> None:
    with pytest.raises(DocumentError) as caught:
        segments(*turns, images=(PICTURE,) * images)
    assert str(caught.value.reason) == reason


@pytest.mark.parametrize("message", [None, 3, {"from": "human"}, {"from": "gpt", "value": ["a"]}])
def test_turns_of_another_shape_are_bad_records(message: Any) -> None:
    with pytest.raises(DocumentError) as caught:
        turns_of([message])
    assert str(caught.value.reason) == "bad_record"


def test_a_piece_of_a_conversation_begins_with_a_question_and_ends_with_an_answer() -> None:
    turns = turns_of(said(("gpt", "so"), ("human", "a"), ("gpt", "b"), ("human", "c")))
    kept, left = trimmed(turns)
    assert [turn.role for turn in kept] == ["user", "assistant"]
    assert left == 2


_TEXTS = st.text(st.sampled_from("ab \n图"), max_size=6)
_TURNS = st.lists(
    st.tuples(
        st.sampled_from(["system", "human", "gpt"]),
        st.lists(_TEXTS, min_size=1, max_size=3).map(PLACEHOLDER.join),
    ),
    max_size=5,
)


@given(turns=_TURNS, images=st.integers(0, 4))
def test_whatever_passes_is_taken_by_the_trainer(turns: list[tuple[str, str]], images: int) -> None:
    try:
        found = segments(*turns, images=(PICTURE,) * images)
    except DocumentError:
        return
    records = [
        {"type": "text", "text": s.text, "role": s.role, "trained": s.trained}
        if isinstance(s, Text)
        else {"type": "image", "member": "0.png", "role": s.role}
        for s in found
    ]
    runs = write({"segments": records}, lambda _: Pillow.new("RGB", (1, 1)))
    assert sum(isinstance(run.content, Pillow.Image) for run in runs) == images
    answers = sum(who == "gpt" for who, _ in turns)
    assert sum(run.content is Mark.END_OF_SENTENCE and run.trained for run in runs) == answers
