"""Question files to questions: mappings, slices, and what is wrong said per question."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import InputSpec
from dsvl_data.read.questions import (
    Mapping,
    Question,
    Refused,
    list_questions,
    read_questions,
    read_slice,
)
from dsvl_data.read.questions.apply import split_lettered
from dsvl_data.read.questions.record import letters

PLAIN = Mapping(
    id="id",
    stem="stem",
    options={"path": "options"},
    answer={"path": "answer"},
    solution="solution",
    images={"path": "images", "placeholder": r"<image\d+>"},
)


def read_all(path: Path, mapping: Mapping = PLAIN, rows: int = 3) -> list[Question | Refused]:
    found: list[Question | Refused] = []
    for ref in list_questions([InputSpec(path=str(path), dataset="d")], rows=rows):
        data = read_slice(ref)
        found += read_questions(data, ref.meta["format"], [mapping], ref.meta["row"])
    return found


def one(record: object, mapping: Mapping = PLAIN) -> Question | Refused:
    (found,) = read_questions(json.dumps(record).encode(), "jsonl", [mapping])
    return found


def test_a_record_becomes_a_question():
    found = one(
        {"id": "q7", "stem": "Where <image1>?", "options": ["here", "there"], "answer": "B",
         "solution": "Look.", "images": ["a.png", "b.png"]}
    )  # fmt: skip
    assert isinstance(found, Question)
    assert (found.item, found.kind, found.correct) == ("q7", "choice", (1,))
    assert [option.text for option in found.options] == ["here", "there"]
    assert [(p.name, p.path) for p in found.pictures] == [("<image1>", "a.png"), ("", "b.png")]


@pytest.mark.parametrize(
    ("record", "reason", "said"),
    [
        ([1], Reason.BAD_QUESTION, "object"),
        ({"options": ["a", "b"]}, Reason.BAD_QUESTION, "stem"),
        ({"stem": {"text": "x"}}, Reason.BAD_QUESTION, "stem (stem): expected a text"),
        ({"stem": "x", "options": "a or b"}, Reason.BAD_QUESTION, "options (options)"),
        ({"stem": "x", "options": [{"a": 1}, 2]}, Reason.BAD_QUESTION, "options (options)"),
        ({"stem": "x", "images": [17]}, Reason.BAD_QUESTION, "images"),
        ({"stem": "x" * 5_000_000}, Reason.TOO_LARGE, "limit"),
        ({"stem": "x" * 200_000}, Reason.TOO_LARGE, "limit"),
        ({"stem": "x", "options": [str(n) for n in range(40)]}, Reason.BAD_QUESTION, "26"),
    ],
)
def test_a_bad_record_is_refused_by_name(record: object, reason: Reason, said: str):
    found = one(record)
    assert isinstance(found, Refused)
    assert found.reason is reason
    assert said in found.detail


def test_bad_lines_leave_their_neighbours_alone(tmp_path: Path):
    deep = "[" * 100_000
    lines = ['{"stem": "one"}', "{broken", '{"stem": "two"}', deep, '"text"', '{"stem": "three"}']
    path = tmp_path / "q.jsonl"
    path.write_text("\n".join(lines))
    found = read_all(path, rows=2)
    assert [f.stem.text for f in found if isinstance(f, Question)] == ["one", "two", "three"]
    refused = {f.item: f.reason for f in found if isinstance(f, Refused)}
    assert refused == {"1": Reason.BAD_JSON, "3": Reason.BAD_JSON, "4": Reason.BAD_QUESTION}


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=12), st.integers(1, 5))
def test_slices_of_a_csv_hold_every_row_once(tmp_path_factory, stems: list[str], rows: int):
    stems = ["Q" + stem.replace("\0", "").replace("\r", "") for stem in stems]
    path = tmp_path_factory.mktemp("csv") / "q.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "stem"])
        writer.writerows(enumerate(stems))
    found = read_all(path, Mapping(id="id", stem="stem"), rows)
    assert [(f.item, f.stem.text) for f in found if isinstance(f, Question)] == [
        (str(i), stem.strip()) for i, stem in enumerate(stems)
    ]


def test_parquet_rows_with_pictures_in_them(tmp_path: Path):
    rows = [
        {"stem": f"Question {n}", "images": {"bytes": b"x%d" % n, "path": None}} for n in range(7)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "q.parquet", row_group_size=4)
    refs = list(list_questions([InputSpec(path=str(tmp_path), dataset="d")], rows=3))
    assert [ref.uri.partition("#")[2] for ref in refs] == ["0-2", "3-3", "4-6"]
    found = read_all(tmp_path)
    assert [(f.item, f.pictures[0].data) for f in found] == [(str(n), b"x%d" % n) for n in range(7)]


def test_a_list_in_a_json_file_and_its_root(tmp_path: Path):
    mapping = Mapping(
        records="papers[].questions[]",
        stem="text",
        subject={"path": "/title", "values": {"phys": "Physics"}},
        answer={"path": "right", "form": "index1"},
        options={"path": ["a", "b", "c"]},
    )
    root = {
        "title": "phys",
        "papers": [{"questions": [{"text": "x", "a": "1", "b": "2", "c": "", "right": 2}]}],
    }
    (tmp_path / "p.json").write_text(json.dumps(root))
    (found,) = read_all(tmp_path, mapping)
    assert isinstance(found, Question)
    assert (found.subject, found.correct, len(found.options)) == ("Physics", (1,), 2)
    (tmp_path / "p.json").write_text('{"papers": 3}')
    with pytest.raises(DocumentError, match=r"papers\[\]"):
        read_all(tmp_path, mapping)


def test_a_mapping_names_the_key_that_is_wrong():
    for changes, key in (
        ({"stemm": "x"}, "stemm"),
        ({"stem": "a..[x]"}, "stem"),
        ({"answer": {"path": "a", "form": "roman"}}, "form"),
        ({"split": "("}, "split"),
    ):
        with pytest.raises(ValidationError) as error:
            Mapping.model_validate({"stem": "stem"} | changes)
        assert key in str(error.value.errors()[0]["loc"])


@pytest.mark.parametrize(
    ("text", "stem", "options"),
    [
        ("Which? ( )A. one\nB. two", "Which? ( )", ["one", "two"]),
        (r"则 $(\quad)$A. $A+B$ 为和B. $\frac{A}{B}$ 差", r"则 $(\quad)$",
         ["$A+B$ 为和", r"$\frac{A}{B}$ 差"]),
        ("How much? (A) $0 (B) $500 (C) $1,650", "How much?", ["$0", "$500", "$1,650"]),
        ("Vitamin A. is good", "Vitamin A. is good", []),
        ("the USA. and B. is", "the USA. and B. is", []),
    ],
)  # fmt: skip
def test_options_that_stand_in_the_stem(text: str, stem: str, options: list[str]):
    assert split_lettered(text) == (stem, options)


@pytest.mark.parametrize(
    ("answer", "indices"),
    [("B", (1,)), ("(C)", (2,)), ("A, C", (0, 2)), ("ABD", (0, 1, 3)), ("E", None), ("Ann", None),
     ("", None), ("AA", None)],
)  # fmt: skip
def test_letters(answer: str, indices: tuple[int, ...] | None):
    assert letters(answer, 4) == indices


def test_fewer_pictures_than_marks():
    composite = PLAIN.model_copy(
        update={"images": PLAIN.images.model_copy(update={"composite": True})}
    )
    record = {"stem": "See <image1> and <image2>.", "images": ["all.png"]}
    found = one(record, composite)
    assert [(p.name, p.path) for p in found.pictures] == [("", "all.png")]
    found = one(record)
    assert [(p.name, p.path) for p in found.pictures] == [("<image1>", "all.png"), ("<image2>", "")]


def test_gzipped_files_are_cut_and_read_like_others(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.mkdir()
    packed.mkdir()
    records = [{"id": str(n), "stem": f"Question {n}?", "options": []} for n in range(7)]
    files = {
        "a.jsonl": "".join(json.dumps(record) + "\n" for record in records),
        "b.csv": "id,stem\n" + "".join(f'{n},"What,\nis {n}?"\n' for n in range(7)),
        "c.gift": "::one:: Is it so? {TRUE}",
    }
    for name, text in files.items():
        (plain / name).write_text(text)
        (packed / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    assert read_all(packed, Mapping(id="id", stem="stem")) == read_all(
        plain, Mapping(id="id", stem="stem")
    )


def test_what_must_not_or_cannot_be_read_is_a_document_with_a_reason(tmp_path: Path) -> None:
    outside = tmp_path / "secret.jsonl"
    outside.write_text("{}")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").symlink_to(outside)
    lines = b"".join(b'{"stem": "%d"}\n' % n for n in range(4))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(lines)[:-9])
    refs = list(list_questions([InputSpec(path=str(folder), dataset="d")], rows=3))
    reasons = []
    for ref in refs:
        try:
            read_slice(ref)
            reasons.append("")
        except DocumentError as error:
            reasons.append(str(error.reason))
    assert [ref.uri for ref in refs] == [
        "a.jsonl", "b.jsonl.gz#0-2", "b.jsonl.gz", "b.jsonl.gz#3-3",
    ]  # fmt: skip
    assert reasons == ["unsafe_path", "", "bad_archive", ""]
