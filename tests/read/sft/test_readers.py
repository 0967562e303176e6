"""Records in the layouts as published, written here, become conversations."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from dsvl_data.read.published.reader import Left
from dsvl_data.read.sft import READERS
from dsvl_data.sample import Image, Text
from tests.read.published.records import Store, convert, items, png, reasons, shape

RED, BLUE, GREEN = png(1), png(2), png(3)
ASKED = [
    {"from": "human", "value": "<image>\nWhat is the dog doing?"},
    {"from": "gpt", "value": "It sleeps."},
    {"from": "human", "value": "Where?"},
    {"from": "gpt", "value": "On a mat."},
]
SAID = [RED, "\nWhat is the dog doing?", "It sleeps.", "Where?", "On a mat."]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("llava", "000000033471.jpg"),
        ("sharegpt4v", "coco/train2017/000000000009.jpg"),
        ("lvis_instruct4v", "train2017/000000000030.jpg"),
        ("llava16_gpt4v", "ai2d/abc.png"),
        ("geo170k", "geo3k/train/12/img.png"),
    ],
)
def test_sets_in_llavas_form(name: str, path: str) -> None:
    record = {"id": "000000033471", "image": path, "conversations": ASKED}
    stored = f"images/{path}" if name == "geo170k" else path
    (item,) = items(convert(READERS[name], record, Store({stored: RED})))
    assert shape(item) == SAID
    assert [s.role for s in item.segments] == ["user", "user", "assistant", "user", "assistant"]
    assert [s.trained for s in item.segments if isinstance(s, Text)] == [False, True, False, True]
    assert reasons(convert(READERS[name], record)) == [("missing_image", "")]


def test_llava_next_rows_hold_their_picture() -> None:
    record = {
        "id": "1",
        "image": {"bytes": RED, "path": None},
        "conversations": ASKED,
        "data_source": "laion_gpt4v",
    }
    (item,) = items(convert(READERS["llava16_gpt4v"], record))
    assert shape(item) == SAID
    assert item.details == {"data_source": "laion_gpt4v"}


def test_llava_with_several_pictures_and_with_none() -> None:
    turns = [{"from": "human", "value": "<image><image>Same?"}, {"from": "gpt", "value": "No."}]
    record = {"image": ["a.png", "b.png"], "conversations": turns}
    (item,) = items(convert(READERS["llava"], record, Store({"a.png": RED, "b.png": BLUE})))
    assert shape(item) == [RED, BLUE, "Same?", "No."]
    text = [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}]
    for image in ({}, {"image": None}, {"image": ""}, {"image": []}):
        (item,) = items(convert(READERS["llava"], {**image, "conversations": text}))
        assert shape(item) == ["Hello", "Hi"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"image": ["a.png", "a.png"]}, "image_count"),
        ({"image": None}, "image_count"),
        ({"image": ["a.png", 3]}, "bad_record"),
        ({"image": {"bytes": None, "path": None}}, "bad_record"),
        ({"conversations": None}, "bad_record"),
        ({"conversations": "hello"}, "bad_record"),
        ({"conversations": []}, "turn_order"),
        ({"conversations": [*ASKED, ASKED[1]]}, "turn_order"),
        ({"conversations": [ASKED[0], {"from": "bard", "value": "x"}]}, "odd_role"),
        ({"conversations": [ASKED[0], {"from": "gpt", "value": ""}]}, "empty_turn"),
        ({"conversations": [ASKED[0], {"from": "gpt", "value": None}]}, "bad_record"),
    ],
)
def test_llava_records_that_are_left(changes: dict[str, Any], reason: str) -> None:
    record = {"image": "a.png", "conversations": ASKED, **changes}
    assert reasons(convert(READERS["llava"], record, Store({"a.png": RED}))) == [(reason, "")]


def test_ureader_has_the_picture_in_a_turn_of_its_own() -> None:
    record = {
        "image": ["DUE_Benchmark/DocVQA/pngs/a.png"],
        "prompt": "",
        "text": "",
        "system_instruction": "",
        "conversations": [
            {"from": "user", "value": "<image>"},
            {"from": "user", "value": "Which is the longest bar?"},
            {"from": "assistant", "value": "Nigeria"},
        ],
        "task_type": "qa_sft",
    }
    store = Store({"ureader_images/DUE_Benchmark/DocVQA/pngs/a.png": RED})
    (item,) = items(convert(READERS["ureader"], record, store))
    assert shape(item) == [RED, "\nWhich is the longest bar?", "Nigeria"]
    assert item.details == {"task_type": "qa_sft"}
    twice = {**record, "conversations": [*record["conversations"], record["conversations"][2]]}  # type: ignore[misc, index]
    assert reasons(convert(READERS["ureader"], twice, store)) == [("turn_order", "")]


def test_laion_gptv_is_asked_for_its_description() -> None:
    record = {
        "link": "https://cdn.example/1.png",
        "caption": "A kite above a field.",
        "message_id": "1",
        "timestamp": "2023-11-06T00:00:00",
    }
    (item,) = items(convert(READERS["laion_gptv"], record, Store({record["link"]: RED})))
    image, question, answer = item.segments
    assert isinstance(image, Image)
    assert isinstance(question, Text)
    assert question.role == "user"
    assert isinstance(answer, Text)
    assert (answer.text, answer.trained) == ("A kite above a field.", True)
    assert reasons(convert(READERS["laion_gptv"], record)) == [("missing_image", "")]
    assert reasons(convert(READERS["laion_gptv"], {"link": "x"})) == [("bad_record", "")]


def test_textocr_gpt4v_has_two_captions() -> None:
    record = {
        "filename": "00a.jpg",
        "caption_image": "A shop.",
        "caption_condensed": "A shop with the sign 'Bread'.",
    }
    store = Store({"train_images/00a.jpg": RED})
    reader = READERS["textocr_gpt4v"]
    assert shape(convert(reader, record, store)[0])[2] == "A shop with the sign 'Bread'."
    assert shape(convert(reader, record, store, variant="image")[0])[2] == "A shop."
    no_picture = {"caption_condensed": "A shop."}
    assert reasons(convert(reader, no_picture, store)) == [("bad_record", "")]


def _iconqa(kind: str, **data: Any) -> dict[str, str]:
    record = {"question": "How many circles?", "grade": "grade1", "label": "S1", **data}
    return {"name": f"iconqa/train/{kind}/7/data.json", "text": json.dumps(record)}


ICONS = Store(
    {
        "iconqa/train/choose_txt/7/image.png": RED,
        "iconqa/train/fill_in_blank/7/image.png": RED,
        "iconqa/train/choose_img/7/image.png": RED,
        "iconqa/train/choose_img/7/choice_0.png": BLUE,
        "iconqa/train/choose_img/7/choice_1.png": GREEN,
    }
)


def test_iconqa_of_three_kinds() -> None:
    reader = READERS["iconqa"]
    (item,) = items(convert(reader, _iconqa("choose_txt", choices=["3", "4"], answer=1), ICONS))
    assert shape(item) == [RED, "How many circles?\nA. 3\nB. 4", "B. 4"]
    assert item.details == {"kind": "choose_txt", "grade": "grade1", "label": "S1"}
    (item,) = items(convert(reader, _iconqa("fill_in_blank", answer="4"), ICONS))
    assert shape(item) == [RED, "How many circles?", "4"]
    record = _iconqa("choose_img", choices=["choice_0.png", "choice_1.png"], answer=0)
    (item,) = items(convert(reader, record, ICONS))
    assert shape(item) == [RED, "\nHow many circles?\nA. ", BLUE, "\nB. ", GREEN, "A."]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (_iconqa("choose_txt", choices=["3"], answer=1), "bad_record"),
        (_iconqa("choose_txt", choices=["3", ""], answer=0), "bad_record"),
        (_iconqa("choose_txt", choices=3, answer=0), "bad_record"),
        (_iconqa("fill_in_blank", answer=None), "bad_record"),
        (
            _iconqa("choose_img", choices=["choice_9.png", "choice_1.png"], answer=0),
            "missing_image",
        ),
        ({"name": "iconqa/train/choose_txt/7/data.json", "text": "{"}, "bad_json"),
    ],
)
def test_iconqa_records_that_are_left(record: dict[str, str], reason: str) -> None:
    assert reasons(convert(READERS["iconqa"], record, ICONS)) == [(reason, "")]


def _problem(**changes: Any) -> dict[str, Any]:
    problem = {
        "question": "Which is a solid?",
        "choices": ["water", "ice"],
        "answer": 1,
        "hint": "Look at the picture.",
        "image": "image.png",
        "split": "train",
        "solution": "Ice keeps its shape.",
        "subject": "natural science",
    }
    return {"key": "5", "value": {**problem, **changes}}


def test_scienceqa_asks_and_explains() -> None:
    store = Store({"train/5/image.png": RED})
    reader = READERS["scienceqa"]
    question = "Look at the picture.\nWhich is a solid?\nA. water\nB. ice"
    (item,) = items(convert(reader, _problem(), store, variant="explained"))
    assert shape(item) == [RED, question, "B. ice\n\nIce keeps its shape."]
    (item,) = items(convert(reader, _problem(), store, variant="short"))
    assert shape(item) == [RED, question, "B. ice"]
    (item,) = items(convert(reader, _problem(image=None), store, variant="short"))
    assert shape(item) == [question, "B. ice"]
    assert reasons(convert(reader, _problem(split="test"), store)) == [("held_out", "")]
    assert reasons(convert(reader, _problem(answer=2), store)) == [("bad_record", "")]


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("screenqa", [{"full_answer": "<no answer>"}, {"full_answer": "4.5"}]),
        ("screenqa_short", ["<no answer>", "4.5"]),
    ],
)
def test_screenqa_answers_about_a_screen(name: str, truth: list[Any]) -> None:
    record = {"image_id": "123", "question": "What is the rating?", "ground_truth": truth}
    store = Store({"combined/123.jpg": RED})
    (item,) = items(convert(READERS[name], record, store))
    assert shape(item) == [RED, "What is the rating?", "4.5"]
    record["ground_truth"] = truth[:1]
    assert reasons(convert(READERS[name], record, store)) == [("no_text", "")]


def test_screen_to_code_answers_with_fenced_code() -> None:
    reader = READERS["screen_to_code"]
    (item,) = items(convert(reader, {"image": {"bytes": RED}, "text": "<p>Hi</p>"}))
    assert shape(item)[0] == RED
    assert shape(item)[2] == "```html\n<p>Hi</p>\n```"
    beside = {"name": "pages/1.html", "text": "<pre>```</pre>"}
    (item,) = items(convert(reader, beside, Store({"pages/1.png": BLUE})))
    assert shape(item)[0] == BLUE
    assert shape(item)[2] == "````html\n<pre>```</pre>\n````"


def test_sharegpt_is_text_and_its_pieces_are_trimmed() -> None:
    turns = [
        {"from": "gpt", "value": "(goes on)"},
        {"from": "human", "value": "What is the <image> tag?"},
        {"from": "chatgpt", "value": "It is <img>."},
        {"from": "human", "value": "Thanks"},
    ]
    (item,) = items(convert(READERS["sharegpt"], {"id": "a_1", "conversations": turns}))
    assert shape(item) == ["What is the <image> tag?", "It is <img>."]
    assert item.details == {"turns_left_out": "2"}
    (item,) = items(convert(READERS["sharegpt"], {"id": "a", "items": turns[1:3]}))
    assert item.details == {}
    only = {"conversations": turns[:1]}
    assert reasons(convert(READERS["sharegpt"], only)) == [("turn_order", "")]


def test_alpaca_joins_instruction_and_input() -> None:
    record = {"instruction": "Translate.", "input": "Guten Tag", "output": "Good day"}
    assert shape(convert(READERS["alpaca"], record)[0]) == ["Translate.\nGuten Tag", "Good day"]
    longer = {**record, "input": "", "system": "Be kind.", "history": [["Hi", "Hello"]]}
    (item,) = items(convert(READERS["alpaca"], longer))
    assert shape(item) == ["Be kind.", "Hi", "Hello", "Translate.", "Good day"]
    assert [s.role for s in item.segments] == ["system", "user", "assistant", "user", "assistant"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"output": ""}, "empty_turn"),
        ({"output": None}, "bad_record"),
        ({"instruction": ""}, "no_text"),
        ({"history": [["Hi"]]}, "bad_record"),
        ({"history": [["Hi", ""]]}, "empty_turn"),
    ],
)
def test_alpaca_records_that_are_left(changes: dict[str, Any], reason: str) -> None:
    record = {"instruction": "Say hello.", "input": "", "output": "Hello", **changes}
    assert reasons(convert(READERS["alpaca"], record)) == [(reason, "")]


def _messages(*turns: tuple[str, Any], **others: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns], **others}


DATA_URL = f"data:image/png;base64,{base64.b64encode(RED).decode()}"


def test_messages_with_pictures_as_parts() -> None:
    asked = [
        {"type": "text", "text": "Which <image> is red?"},
        {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://x.example/b.png"}},
    ]
    record = _messages(("developer", "Be brief."), ("user", asked), ("assistant", "The first."))
    store = Store({"https://x.example/b.png": BLUE})
    (item,) = items(convert(READERS["openai_chat"], record, store))
    assert shape(item) == ["Be brief.", "Which <image> is red?", RED, BLUE, "The first."]
    assert item.segments[0].role == "system"


def test_messages_with_pictures_beside_them() -> None:
    record = _messages(
        ("user", "<image>Who?"), ("assistant", "A."), ("user", "And?<image>"), ("assistant", "B."),
        images=["1.jpg", "2.jpg"],
    )  # fmt: skip
    store = Store({"1.jpg": RED, "2.jpg": BLUE})
    assert shape(convert(READERS["openai_chat"], record, store)[0]) == [
        RED, "Who?", "A.", "And?", BLUE, "B.",
    ]  # fmt: skip
    parts = [{"type": "image"}, {"type": "text", "text": "Who?"}]
    record = _messages(("user", parts), ("assistant", "A."), images=["1.jpg"])
    assert shape(convert(READERS["openai_chat"], record, store)[0]) == [RED, "Who?", "A."]


def test_messages_of_weight_0_are_not_trained_on() -> None:
    record = _messages(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))
    record["messages"][1]["weight"] = 0
    (item,) = items(convert(READERS["openai_chat"], record))
    assert [s.trained for s in item.segments if isinstance(s, Text)] == [False, False, False, True]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (_messages(("user", "a"), ("tool", "b")), "odd_role"),
        (_messages(("user", "a"), ("assistant", None)), "empty_turn"),
        (_messages(("user", "a"), ("assistant", 3)), "bad_record"),
        (_messages(("user", [{"type": "audio"}]), ("assistant", "b")), "bad_record"),
        (_messages(("user", "<image>a"), ("assistant", "b"), images=[]), "image_count"),
        (_messages(("user", "<image>a"), ("assistant", "b"), images=["x.png"]), "missing_image"),
        (_messages(("user", "<image>a"), ("assistant", "b"), images=[None]), "bad_record"),
        (
            _messages(
                ("user", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,@"}}]),
                ("assistant", "b"),
            ),
            "bad_image",
        ),
        ({"messages": "a"}, "bad_record"),
        ({"messages": [None]}, "bad_record"),
        ({}, "bad_record"),
    ],
)
def test_messages_that_are_left(record: dict[str, Any], reason: str) -> None:
    assert reasons(convert(READERS["openai_chat"], record)) == [(reason, "")]


def _hostile() -> list[Any]:
    return [None, 3, float("nan"), "", "x", [], [None], [[]], {}, {"url": 3}, b"\xff", [{"a": 1}]]


_FIELDS = (
    "image", "images", "conversations", "items", "messages", "instruction", "output", "link",
    "caption", "filename", "caption_condensed", "name", "text", "value", "image_id", "question",
    "ground_truth", "choices", "answer", "history", "system",
)  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_no_record_breaks_a_reader(name: str) -> None:
    for value in _hostile():
        record = dict.fromkeys(_FIELDS, value)
        for result in convert(READERS[name], record):
            assert isinstance(result, Left) or result.segments  # type: ignore[union-attr]
        nested = {
            "conversations": [{"from": value, "value": value}],
            "messages": [{"role": "user", "content": [value]}, {"role": value, "content": value}],
        }
        assert reasons(convert(READERS[name], nested))
