"""Charts, figures and questions: records in the published layouts, written here."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dsvl_data.read.published.charts import READERS
from dsvl_data.sample import Image, Text
from tests.read.published.records import Store, convert, items, png, reasons, shape

RED, BLUE, GREEN = png(1), png(2), png(3)

_CAPTION = {
    "name": "statista_dataset/dataset/multiColumn/captions/7.txt",
    "text": "In 2019 , growth was 3.5 % ( as in 2018 ) . It 's slow .\n",
}
_FOLDER = "statista_dataset/dataset/multiColumn"
_CHART2TEXT = Store(
    {f"{_FOLDER}/imgs/7.png": RED},
    {
        f"{_FOLDER}/titles/7.txt": b"Growth of ferns , 2018-2019\n",
        f"{_FOLDER}/data/7.csv": b'Year,Growth,"Of | which"\r\n2019,3.5,"1,000"\r\n2018,3.5,-\r\n',
    },
)


def test_chart2text_pairs_a_chart_with_its_summary_whose_signs_are_joined() -> None:
    (item,) = convert(READERS["chart2text"], _CAPTION, _CHART2TEXT, variant="summary")
    assert shape(item) == [RED, "In 2019, growth was 3.5% (as in 2018). It's slow."]
    assert items([item])[0].extras == {"title": "Growth of ferns, 2018-2019"}


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (
            "The isles ' growth is `` slow '' , I 'd say .",
            "The isles' growth is \"slow\", I'd say.",
        ),
        ("Ferns : Share from 1985 to 2025 ( in % )", "Ferns: Share from 1985 to 2025 (in %)"),
        ("It cost $ 5 ; it did n't fall by .5 .", "It cost $5; it didn't fall by .5."),
        ('Half say "yes." The rest (13.7%) don\'t.', 'Half say "yes." The rest (13.7%) don\'t.'),
    ],
)
def test_chart2text_tokens_become_text(tokens: str, text: str) -> None:
    record = {**_CAPTION, "text": tokens}
    (item,) = convert(READERS["chart2text"], record, _CHART2TEXT, variant="summary")
    assert shape(item)[1] == text


def test_chart2text_pairs_a_chart_with_its_data_as_markdown() -> None:
    (item,) = convert(READERS["chart2text"], _CAPTION, _CHART2TEXT, variant="table")
    assert shape(item)[1] == (
        "Growth of ferns, 2018-2019\n\n"
        "| Year | Growth | Of \\| which |\n| --- | --- | --- |\n"
        "| 2019 | 3.5 | 1,000 |\n| 2018 | 3.5 | - |"
    )


def test_chart2text_of_pew_has_no_table_and_gives_its_summary() -> None:
    record = {"name": "pew_dataset/dataset/captions/1.txt", "text": "Half of adults agree."}
    store = Store({"pew_dataset/dataset/imgs/1.png": RED})
    (item,) = convert(READERS["chart2text"], record, store, variant="table")
    assert shape(item) == [RED, "Half of adults agree."]


def test_chart2text_with_a_broken_table_says_so_and_keeps_the_summary() -> None:
    store = Store(_CHART2TEXT.pictures, {f"{_FOLDER}/data/7.csv": b"a,b\n1\n"})
    results = convert(READERS["chart2text"], _CAPTION, store, variant="table")
    assert reasons(results) == [("bad_table", "data")]
    assert len(items(results)) == 1
    assert reasons(convert(READERS["chart2text"], _CAPTION, Store())) == [("missing_image", "")]
    empty = {**_CAPTION, "text": " \n"}
    assert reasons(convert(READERS["chart2text"], empty, _CHART2TEXT)) == [("no_text", "")]


def _unichart(query: Any, label: Any) -> list[Any]:
    record = {"imgname": "two_col_7.png", "query": query, "label": label}
    return convert(READERS["unichart"], record, Store({"two_col_7.png": RED}))


def test_unichart_tasks_become_plain_text() -> None:
    assert shape(_unichart("<chartqa> How many? <s_answer>", "7")[0]) == [RED, "How many?\n7"]
    assert shape(_unichart("<summarize_chart> <s_answer>", "It grows.")[0]) == [RED, "It grows."]
    table = "Year | Ferns & 2019 | 7 & 2020 | 9"
    assert shape(_unichart("<extract_data_table> <s_answer>", table)[0]) == [
        RED,
        "| Year | Ferns |\n| --- | --- |\n| 2019 | 7 |\n| 2020 | 9 |",
    ]


def test_unichart_rows_of_another_shape_are_told() -> None:
    assert reasons(_unichart("<extract_data_table> <s_answer>", "a | b & 1")) == [("bad_table", "")]
    assert reasons(_unichart("How many?", "7")) == [("bad_record", "")]
    assert reasons(_unichart("<chartqa> How many? <s_answer>", math.nan)) == [("bad_record", "")]
    assert reasons(_unichart(None, "7")) == [("bad_record", "")]


def test_paper2figure_has_the_caption_and_keeps_what_the_paper_says_of_it_aside() -> None:
    record = {
        "figure_id": "1001.1968v1-Figure1-1",
        "captions": ["Figure 1: Overview of the model.", "Figure 1 shows it.", None],
        "captions_norm": ["figure number-tk: overview of the model.", "x"],
        "aspect": 1.5,
    }
    store = Store({"figures/1001.1968v1-Figure1-1.png": RED})
    (item,) = convert(READERS["paper2figure100k"], record, store)
    assert shape(item) == [RED, "Figure 1: Overview of the model."]
    assert items([item])[0].extras == {"mentions": "Figure 1 shows it."}
    bad = {**record, "captions": []}
    assert reasons(convert(READERS["paper2figure100k"], bad, store)) == [("bad_record", "")]


def _problem(**changes: Any) -> dict[str, Any]:
    problem = {
        "question": "Which of these is a fern?",
        "choices": ["moss", "bracken"],
        "answer": 1,
        "hint": "Look at the picture.",
        "image": "image.png",
        "task": "closed choice",
        "grade": "grade4",
        "subject": "natural science",
        "topic": "biology",
        "category": "Plants",
        "skill": "Identify ferns",
        "lecture": "Ferns have fronds.",
        "solution": "Bracken has fronds.",
        "split": "train",
    }
    return {**problem, **changes}


_SCIENCEQA_TEXT = (
    "Look at the picture.\nWhich of these is a fern?\nA. moss\nB. bracken\nAnswer: B. bracken"
    "\n\nBracken has fronds."
)


def test_scienceqa_is_read_from_problems_json_and_from_parquet() -> None:
    reader = READERS["scienceqa"]
    store = Store({"images/train/12/image.png": RED})
    (item,) = convert(reader, {"key": "12", "value": _problem()}, store)
    assert shape(item) == [RED, _SCIENCEQA_TEXT]
    row = _problem(image={"bytes": BLUE, "path": "image.png"})
    del row["split"]
    (item,) = convert(reader, row)
    assert shape(item) == [BLUE, _SCIENCEQA_TEXT]
    assert items([item])[0].details == {"subject": "natural science", "topic": "biology"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"answer": 2}, "bad_record"),
        ({"answer": "B"}, "bad_record"),
        ({"choices": ["moss", 3]}, "bad_record"),
        ({"choices": None}, "bad_record"),
        ({"question": math.nan}, "bad_record"),
        ({"image": None}, "no_picture"),
        ({"split": "test"}, "held_out"),
        ({"image": {"bytes": b"", "path": None}}, "bad_record"),
    ],
)
def test_scienceqa_questions_that_are_left(changes: dict[str, Any], reason: str) -> None:
    record = {"key": "12", "value": _problem(**changes)}
    store = Store({"train/12/image.png": RED})
    assert reasons(convert(READERS["scienceqa"], record, store)) == [(reason, "")]


def test_geo170k_keeps_the_roles_or_becomes_plain_text() -> None:
    record = {
        "image": "geo3k/7.png",
        "conversations": [
            {"from": "human", "value": "<image>\nHow long is AB?"},
            {"from": "gpt", "value": "AB is 4. Answer: A"},
        ],
    }
    store = Store({"images/geo3k/7.png": RED})
    (item,) = items(convert(READERS["geo170k"], record, store))
    assert item.segments == [
        Image(RED, "png", 8, 8, "user"),
        Text("How long is AB?", "user", trained=False),
        Text("AB is 4. Answer: A", "assistant", trained=True),
    ]
    (plain,) = convert(READERS["geo170k"], record, store, variant="plain")
    assert shape(plain) == [RED, "How long is AB?\nAB is 4. Answer: A"]


def test_scigraphqa_has_several_turns_and_its_caption_aside() -> None:
    record = {
        "image_file": "1002.1v1-Figure2-1.png",
        "id": "1002.1v1-Figure2-1",
        "caption": "Loss by epoch.",
        "conversations": [{"from": "human", "value": "unused"}],
        "first_mention": "Figure 2 shows the loss.",
        "response": "raw",
        "title": "On Ferns",
        "abstract": "We study.",
        "q_a_pairs": [["What is shown?", "The loss."], ["Does it fall?", "Yes."]],
    }
    store = Store({"img/1002.1v1-Figure2-1.png": RED})
    (item,) = items(convert(READERS["scigraphqa"], record, store))
    assert [s.role for s in item.segments] == ["user", "user", "assistant", "user", "assistant"]
    assert item.extras["caption"] == "Loss by epoch."
    (plain,) = convert(READERS["scigraphqa"], record, store, variant="plain")
    assert shape(plain) == [RED, "What is shown?\nThe loss.\n\nDoes it fall?\nYes."]
    for pairs in ([["only a question"]], ["ab"], [[1, 2]]):
        bad = {**record, "q_a_pairs": pairs}
        assert reasons(convert(READERS["scigraphqa"], bad, store)) == [("bad_record", "")]


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
    assert shape(item) == [RED, "Which is the longest bar?", "Nigeria"]
    assert item.details == {"task": "qa_sft"}


def test_mpaper_has_several_pictures_each_in_its_place() -> None:
    record = {
        "task_type": "analysis_sft",
        "image": ["imgs/a.png", "imgs/b.png"],
        "conversations": [
            {"from": "user", "value": "First: <image>\nsecond: <image> Explain."},
            {"from": "assistant", "value": "They differ."},
        ],
    }
    store = Store({"imgs/a.png": RED, "imgs/b.png": BLUE})
    (item,) = convert(READERS["mpaper"], record, store)
    assert shape(item) == ["First:", RED, "second:", BLUE, "Explain.", "They differ."]
    assert reasons(convert(READERS["mpaper"], record, Store({"imgs/a.png": RED}))) == [
        ("missing_image", "")
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"image": []}, "bad_record"),
        ({"image": ["imgs/a.png", "imgs/a.png", 3]}, "bad_record"),
        ({"image": ["imgs/a.png", "imgs/a.png"]}, "bad_record"),
        ({"conversations": [{"from": "user", "value": "<image> What?"}]}, "no_text"),
        ({"conversations": [{"from": "bird", "value": "x"}]}, "bad_record"),
        ({"conversations": [{"from": "user", "value": None}]}, "bad_record"),
        ({"conversations": ["x"]}, "bad_record"),
        ({"conversations": None}, "bad_record"),
    ],
)
def test_conversations_of_another_shape_are_told(changes: dict[str, Any], reason: str) -> None:
    record = {
        "image": ["imgs/a.png"],
        "conversations": [
            {"from": "user", "value": "<image>\nWhat?"},
            {"from": "assistant", "value": "That."},
        ],
        **changes,
    }
    assert reasons(convert(READERS["mpaper"], record, Store({"imgs/a.png": RED}))) == [(reason, "")]
