"""Whatever a record holds, a reader tells what is wrong with it and raises nothing of Python's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsvl_data.outcome import Reason
from dsvl_data.read.published import charts, interleaved, screens, webcode, wikimedia
from dsvl_data.read.published.reader import Article, Item, Left
from tests.read.published.records import Store, convert, png

RED = png(1, 120, 100)
_TURNS = [{"from": "user", "value": "<image> Which?"}, {"from": "assistant", "value": "This."}]
_HTML = '<p>Ferns.</p><img src="https://x.example/a.jpg"><svg><path d="M0 0"/></svg>'

#: A sound record of each set, by its reader's name.
RECORDS: dict[str, dict[str, Any]] = {
    "mmc4": {
        "text_list": ["Ferns.", "Moss."],
        "image_info": [{"image_name": "a.jpg", "matched_text_index": 0, "matched_sim": 0.3}],
        "url": "http://x.example",
    },
    "obelics": {"images": ["a.jpg", None], "texts": [None, "x"], "general_metadata": "{}"},
    "wikihow": {
        "goal": "How",
        "goal_description": "x",
        "methods": [
            {"name": "m", "steps": [{"headline": "h", "description": "d", "step_id": "1"}]}
        ],
    },
    "wikiweb2m": {
        "page_title": [b"Ferns"],
        "section_title": [[b"Ferns"]],
        "section_text": [[b"x"]],
        "section_heading_level": [[1]],
        "section_image_url": [[b"a.jpg"]],
        "section_image_raw_ref_desc": [[b"A fern"]],
    },
    "wikimedia_enterprise": {
        "name": "Fern",
        "article_body": {"html": _HTML},
        "namespace": {"identifier": 0},
        "in_language": {"identifier": "en"},
        "license": [{"identifier": "x"}],
        "url": "x",
    },
    "chart2text": {"name": "captions/1.txt", "text": "It grows ."},
    "unichart": {"imgname": "a.jpg", "query": "<chartqa> Which? <s_answer>", "label": "7"},
    "paper2figure100k": {"figure_id": "a", "captions": ["Figure 1"]},
    "scienceqa": {
        "key": "1",
        "value": {
            "question": "Which?",
            "choices": ["a", "b"],
            "answer": 1,
            "image": "image.png",
            "split": "train",
        },
    },
    "geo170k": {"image": "a.jpg", "conversations": _TURNS},
    "scigraphqa": {"image_file": "a.jpg", "q_a_pairs": [["Which?", "This."]]},
    "ureader": {"image": ["a.jpg"], "conversations": _TURNS, "task_type": "qa"},
    "mpaper": {"image": ["a.jpg"], "conversations": _TURNS},
    "screenqa": {
        "image_id": 1,
        "question": "Which?",
        "ground_truth": [
            {"full_answer": "x", "ui_elements": [{"text": "x", "bounds": [0, 0, 1, 1]}]}
        ],
        "image_width": 10,
        "image_height": 10,
    },
    "screenqa_short": {"image_id": "1", "question": "Which?", "ground_truth": ["this"]},
    "screen2words": {"screenId": "1", "summary": "x"},
    "widget_captioning": {"screenId": "1", "nodeId": "0.0", "captions": "a|b"},
    "refexp": {
        "image/id": [b"1"],
        "image/ref_exp/label": [0],
        "image/ref_exp/text": [b"x"],
        **{f"image/object/bbox/{side}": [0.0] for side in ("xmin", "ymin")},
        **{f"image/object/bbox/{side}": [1.0] for side in ("xmax", "ymax")},
    },
    "websight": {"image": {"bytes": RED, "path": None}, "text": "<html>"},
    "design2code": {"name": "1.html", "text": "<html>"},
    "pix2code": {"name": "1.gui", "text": "row {}"},
}
GROUPS = (charts, interleaved, screens, webcode, wikimedia)
READERS = {name: reader for group in GROUPS for name, reader in group.READERS.items()}

_NAMES = ("a.jpg", "1.png", "imgs/1.png", "a.png", "images/a.jpg", "train/1/image.png")
STORE = Store(
    {
        **dict.fromkeys(_NAMES, RED),
        "https://x.example/a.jpg": RED,
        "combined/1.jpg": RED,
    },
    {
        "combined/1.json": b'{"activity": {"root": {"children": [{"bounds": [0, 0, 9, 9]}]}}}',
        "data/1.csv": b"a,b\n1,2\n",
    },
)


def test_every_reader_has_a_sound_record_here() -> None:
    assert set(RECORDS) == set(READERS)
    for name, record in RECORDS.items():
        results = convert(READERS[name], record, STORE)
        assert any(isinstance(result, Item | Article) for result in results), (name, results)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, element in value.items():
            yield from _places(element, (*path, key))
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from _places(element, (*path, index))


def _replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    if isinstance(value, dict):
        return {k: _replaced(v, path[1:], by) if k == path[0] else v for k, v in value.items()}
    return [_replaced(v, path[1:], by) if i == path[0] else v for i, v in enumerate(value)]


ODD = (None, True, -1, 10**30, 0.5, math.nan, math.inf, "", "\ud800", "x" * 1_000_000, b"\xff\x00")
ODDER = (
    *ODD,
    [],
    {},
    [None],
    [[[]]],
    {"": None},
    ["a", "b", "c"],
    {"bytes": 3},
    "../../a",
    "<image>",
)


@pytest.mark.parametrize("name", RECORDS)
def test_a_field_of_any_type_anywhere_in_a_record_is_told(name: str) -> None:
    for path in _places(RECORDS[name]):
        if not path:
            continue
        for odd in ODDER:
            record = _replaced(RECORDS[name], path, odd)
            for variant in READERS[name].variants:
                results = convert(READERS[name], record, STORE, variant)
                assert results, (path, odd)
                _check(results)


def _check(results: list[Item | Article | Left]) -> None:
    for result in results:
        if isinstance(result, Left):
            assert isinstance(result.reason, Reason)
            assert result.reason is not Reason.ERROR
        elif isinstance(result, Article):
            assert result.blocks
        else:
            assert result.segments


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(RECORDS)), st.data())
def test_records_of_odd_values_only_are_told(name: str, data: st.DataObject) -> None:
    record = {field: data.draw(_JSON) for field in RECORDS[name]}
    results = convert(READERS[name], record, STORE)
    assert results
    _check(results)
