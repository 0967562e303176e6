"""MMC4, OBELICS, WikiHow, WikiWeb2M: records in the published layouts, written here."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from dsvl_data.read.blocks import TextBlock
from dsvl_data.read.published.interleaved import READERS
from dsvl_data.read.tfrecord import parse_example
from tests.read.published.protobuf import sequence_example
from tests.read.published.records import Store, articles, convert, png, reasons, shape

RED, BLUE, GREEN = png(1), png(2), png(3)
MMC4, OBELICS = READERS["mmc4"], READERS["obelics"]
WIKIHOW, WIKIWEB2M = READERS["wikihow"], READERS["wikiweb2m"]


def _image(name: str, sentence: Any, similarity: float = 0.3) -> dict[str, Any]:
    return {
        "image_name": f"{name}.jpg",
        "raw_url": f"http://pictures.example/{name}",
        "matched_text_index": sentence,
        "matched_sim": similarity,
        "face_detections": None,
    }


def _mmc4(**changes: Any) -> dict[str, Any]:
    record = {
        "url": "http://garden.example/ferns.html",
        "text_list": ["Ferns have no flowers.", "They grow in shade.", "Water them often."],
        "image_info": [_image("a", 1), _image("b", 0), _image("c", 1)],
        "similarity_matrix": [[0.1, 0.3, 0.2], [0.3, 0.2, 0.1], [0.1, 0.3, 0.2]],
        "could_have_url_duplicate": 0,
    }
    return {**record, **changes}


def test_mmc4_puts_each_image_before_its_sentence_and_several_at_one_in_their_order() -> None:
    store = Store({"a.jpg": RED, "http://pictures.example/b": BLUE, "c.jpg": GREEN})
    (item,) = convert(MMC4, _mmc4(), store)
    assert shape(item) == [
        BLUE,
        "Ferns have no flowers.",
        RED,
        GREEN,
        "They grow in shade. Water them often.",
    ]
    (found,) = articles([item])
    assert found.details == {"page": "http://garden.example/ferns.html"}
    assert found.language == "en"
    assert found.scores["matched_sim"] == pytest.approx(0.3)


def test_mmc4_puts_images_after_their_sentence_where_the_recipe_says_so() -> None:
    store = Store({"a.jpg": RED, "b.jpg": BLUE, "c.jpg": GREEN})
    (item,) = convert(MMC4, _mmc4(), store, variant="after")
    assert shape(item) == [
        "Ferns have no flowers.",
        BLUE,
        "They grow in shade.",
        RED,
        GREEN,
        "Water them often.",
    ]


def test_one_bad_image_goes_and_the_document_stays() -> None:
    store = Store({"a.jpg": RED, "b.jpg": b"", "http://pictures.example/b": BLUE})
    results = convert(MMC4, _mmc4(), store)
    assert reasons(results) == [("bad_image", "b.jpg"), ("missing_image", "c.jpg")]
    assert shape(articles(results)[0]) == [
        "Ferns have no flowers.",
        RED,
        "They grow in shade. Water them often.",
    ]


def test_a_document_that_loses_all_its_images_is_one_of_text() -> None:
    results = convert(MMC4, _mmc4())
    assert reasons(results) == [
        ("missing_image", "b.jpg"),
        ("missing_image", "a.jpg"),
        ("missing_image", "c.jpg"),
    ]
    text = "Ferns have no flowers. They grow in shade. Water them often."
    assert [shape(each) for each in articles(results)] == [[text]]
    assert [shape(each) for each in convert(MMC4, _mmc4(image_info=[]))] == [[text]]
    assert reasons(convert(MMC4, _mmc4(image_info=[], text_list=[]))) == [("no_text", "")]


def test_a_picture_and_the_sentence_it_is_matched_to_are_one_block() -> None:
    store = Store({"a.jpg": RED, "b.jpg": BLUE, "c.jpg": GREEN})
    (article,) = articles(convert(MMC4, _mmc4(), store))
    below = [block[1] for block in article.blocks if isinstance(block, tuple)]
    assert below == ["Ferns have no flowers.", "", "They grow in shade. Water them often."]


def test_images_below_the_recipes_similarity_are_left() -> None:
    images = [_image("a", 0, 0.2), _image("b", 1, 0.25)]
    store = Store({"a.jpg": RED, "b.jpg": BLUE})
    results = convert(MMC4, _mmc4(image_info=images), store, min_similarity=0.24)
    assert reasons(results) == [("low_similarity", "a.jpg")]
    assert RED not in shape(articles(results)[0])
    assert articles(results)[0].scores["matched_sim"] == pytest.approx(0.25)


@pytest.mark.parametrize("index", [7, -1, None, "x", math.nan, True])
def test_an_image_matched_to_no_sentence_is_left(index: Any) -> None:
    images = [_image("a", index), _image("b", 1.0), {"matched_text_index": 0}, 5]
    results = convert(MMC4, _mmc4(image_info=images), Store({"a.jpg": RED, "b.jpg": BLUE}))
    assert reasons(results) == [("bad_record", "a.jpg"), ("bad_record", ""), ("bad_record", "")]
    assert shape(articles(results)[0])[1] == BLUE


@pytest.mark.parametrize("changes", [{"text_list": None}, {"text_list": "x"}, {"image_info": {}}])
def test_a_record_of_another_shape_is_a_bad_one(changes: dict[str, Any]) -> None:
    assert reasons(convert(MMC4, _mmc4(**changes))) == [("bad_record", "")]


def test_a_sentence_that_is_no_text_is_told_and_unfit_characters_go() -> None:
    sentences = ["A\x00 lone \ud800half.", math.nan, "End."]
    results = convert(MMC4, _mmc4(text_list=sentences), Store({"b.jpg": BLUE}))
    assert ("bad_record", "sentence 1") in reasons(results)
    assert shape(articles(results)[0]) == [BLUE, "A lone half. End."]


def _obelics(images: list[Any], texts: list[Any], general: str | None = None) -> dict[str, Any]:
    metadata = [{"src": image, "alt_text": "x"} if image else None for image in images]
    if general is None:
        general = json.dumps({"url": "https://garden.example/moss", "warc_offset": 3})
    return {
        "images": images,
        "texts": texts,
        "metadata": json.dumps(metadata),
        "general_metadata": general,
    }


def test_obelics_keeps_the_order_of_images_and_texts() -> None:
    record = _obelics(["http://a", None, "http://b"], [None, "Moss.\n\nMore.", None])
    (item,) = convert(OBELICS, record, Store({"http://a": RED, "http://b": BLUE}))
    assert shape(item) == [RED, "Moss.\n\nMore.", BLUE]
    assert articles([item])[0].details == {"page": "https://garden.example/moss"}


def test_obelics_pages_merged_from_several_are_as_many_documents() -> None:
    text = "First.\n\nEND_OF_DOCUMENT_TOKEN_TO_BE_REPLACED\n\nSecond."
    record = _obelics(["http://a", None, "http://b"], [None, text, None], general="no JSON")
    store = Store({"http://a": RED, "http://b": BLUE})
    assert [shape(item) for item in convert(OBELICS, record, store)] == [
        [RED, "First."],
        ["Second.", BLUE],
    ]


def test_obelics_of_unequal_lengths_or_types_is_told() -> None:
    assert reasons(convert(OBELICS, _obelics(["http://a"], [None, "x"]))) == [("bad_record", "")]
    results = convert(OBELICS, _obelics([3, None, None], [None, 4, "Text."]))
    assert reasons(results) == [
        ("bad_record", "position 0"),
        ("bad_record", "position 1"),
    ]
    assert [shape(each) for each in articles(results)] == [["Text."]]


def _wikihow() -> dict[str, Any]:
    def step(number: str, headline: str, description: str) -> dict[str, Any]:
        return {
            "headline": headline,
            "description": description,
            "img": f"https://www.wikihow.example/{number}.jpg",
            "img_license": "Creative Commons",
            "step_id": f"7_{number}",
        }

    return {
        "file_id": "7",
        "goal": "How to Pot a Fern",
        "goal_description": "It takes ten minutes.",
        "category_hierarchy": ["Home and Garden", "Indoor Plants"],
        "methods": [
            {
                "name": "In a Clay Pot",
                "steps": [
                    step("0_0", "Soak the pot.", "Leave it in water."),
                    step("0_1", "Fill it.", ""),
                ],
            },
            {"name": "In a Basket", "steps": [step("1_0", "Line the basket.", "Use moss.")]},
        ],
    }


def test_wikihow_shows_a_picture_above_its_step_and_numbers_each_methods_steps() -> None:
    store = Store({"7_0_0.png": RED, "https://www.wikihow.example/1_0.jpg": BLUE})
    results = convert(WIKIHOW, _wikihow(), store)
    assert reasons(results) == [("missing_image", "7_0_1.png")]
    item = articles(results)[0]
    assert shape(item) == [
        "# How to Pot a Fern\n\nIt takes ten minutes.\n\n## In a Clay Pot",
        RED,
        "1. **Soak the pot.** Leave it in water.\n\n2. **Fill it.**\n\n## In a Basket",
        BLUE,
        "1. **Line the basket.** Use moss.",
    ]
    assert item.details == {"image_licences": "Creative Commons"}


def test_wikihow_headings_are_blocks_and_a_step_stays_with_its_picture() -> None:
    (article,) = articles(convert(WIKIHOW, _wikihow(), Store({"7_0_0.png": RED})))
    assert [b.level if isinstance(b, TextBlock) else b[1] for b in article.blocks] == [
        1, 0, 2, "1. **Soak the pot.** Leave it in water.", 0, 2, 0,
    ]  # fmt: skip


def test_wikihow_of_another_shape_is_told_part_by_part() -> None:
    record = _wikihow()
    record["methods"][0]["steps"] = None
    record["methods"][1]["steps"].insert(0, "Step")
    results = convert(WIKIHOW, record, Store({"7_1_0.png": RED}))
    assert reasons(results) == [("bad_record", "method 0"), ("bad_record", "method 1, step 1")]
    assert RED in shape(articles(results)[0])
    assert reasons(convert(WIKIHOW, {"goal": math.nan})) == [("bad_record", "")]
    assert reasons(convert(WIKIHOW, {"goal": " ", "methods": []})) == [("no_text", "")]


def _wikiweb2m(**changes: Any) -> dict[str, Any]:
    sequences: dict[str, Any] = {
        "section_title": [[b"Ferns"], [b"Habitat"], [b"In  bogs"]],
        "section_index": [[0], [1], [2]],
        "section_heading_level": [[1], [2], [3]],
        "section_text": [[b"Ferns are plants."], [b"They like shade."], [b"Some like bogs."]],
        "section_image_url": [[b"http://w/a.jpg"], [], [b"http://w/b.jpg", b"http://w/c.jpg"]],
        "section_image_raw_ref_desc": [[b"A fern\nin spring"], [], [b"", b"A bog"]],
        "section_image_alt_text": [[b"fern"], [], [b"", b""]],
    }
    context = {
        "split": [b"train"],
        "page_title": [b"Ferns"],
        "page_url": [b"https://en.wikipedia.org/wiki/Ferns"],
        "page_contains_images": [1],
    }
    return {**parse_example(sequence_example(context, sequences)), **changes}


def test_wikiweb2m_sections_are_headed_and_their_pictures_have_the_pages_captions() -> None:
    store = Store({"http://w/a.jpg": RED, "http://w/b.jpg": BLUE, "http://w/c.jpg": GREEN})
    (item,) = convert(WIKIWEB2M, _wikiweb2m(), store)
    assert shape(item) == [
        "# Ferns",
        RED,
        "A fern in spring\n\nFerns are plants.\n\n## Habitat\n\nThey like shade.\n\n### In bogs",
        BLUE,
        GREEN,
        "A bog\n\nSome like bogs.",
    ]
    assert articles([item])[0].details == {"page": "https://en.wikipedia.org/wiki/Ferns"}


def test_wikiweb2m_loses_a_caption_with_its_picture() -> None:
    results = convert(WIKIWEB2M, _wikiweb2m(), Store({"http://w/a.jpg": RED}))
    assert [reason for reason, _ in reasons(results)] == ["missing_image", "missing_image"]
    assert "A bog" not in " ".join(map(str, shape(articles(results)[0])))


def test_wikiweb2m_pages_without_pictures_are_text_and_of_another_shape_are_left() -> None:
    bare = _wikiweb2m(section_image_url=[[], [], []])
    assert str(shape(convert(WIKIWEB2M, bare)[0])[0]).startswith("# Ferns\n\nFerns are plants.")
    headed = _wikiweb2m(section_image_url=[[], [], []], section_text=[[b""], [b""], [b""]])
    assert reasons(convert(WIKIWEB2M, headed)) == [("no_text", "")]
    assert reasons(convert(WIKIWEB2M, _wikiweb2m(section_image_url=[[]]))) == [("bad_record", "")]
    assert reasons(convert(WIKIWEB2M, {})) == [("bad_record", "")]


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
@pytest.mark.parametrize("value", [None, 5, math.nan, "", [], {}, [None], [[1]], b"\xff"])
def test_no_value_of_any_field_makes_a_reader_raise(reader: Any, value: Any) -> None:
    records = {"mmc4": _mmc4(), "wikihow": _wikihow(), "wikiweb2m": _wikiweb2m()}
    records["obelics"] = _obelics(["http://a", None], [None, "x"])
    for name in records[reader.name]:
        record = {**records[reader.name], name: value}
        assert convert(reader, record, Store({"a.jpg": RED})), name
