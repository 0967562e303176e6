"""Records of published data are found by their bytes, whatever holds them."""

from __future__ import annotations

import gzip
import io
import json
import math
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef, InputSpec
from dsvl_data.read import json_elements, streams, tfrecord
from dsvl_data.read.csv_records import csv_cells, csv_ranges
from dsvl_data.read.json_elements import elements
from dsvl_data.read.published.reader import Record, Rows
from dsvl_data.read.records import approach, list_records, parse_record, read_bytes
from tests.read.packing import packed_tar, packed_zip, zstd

LINES = b'{"a": 1}\n\n{"a": "zwei"}\n{"a": [3]}'
VALUES = [{"a": 1}, {"a": "zwei"}, {"a": [3]}]


def refs_of(path: Path, rows: Rows) -> list[DocumentRef]:
    return list(list_records(InputSpec(path=str(path), dataset="d"), rows))


def load(ref: DocumentRef, rows: Rows) -> Record:
    return parse_record(ref, read_bytes(ref), rows)


def outcome(ref: DocumentRef, rows: Rows) -> Any:
    try:
        return load(ref, rows)
    except DocumentError as error:
        return error.reason


def records_of(path: Path, rows: Rows) -> dict[str, Any]:
    return {ref.uri: outcome(ref, rows) for ref in refs_of(path, rows)}


# JSON elements

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def found_in(text: bytes, at: str, chunk: int) -> list[Any]:
    source = io.BytesIO(text)
    found = []
    for element in elements(lambda size: source.read(min(size, chunk)), at):
        value = json.loads(text[element.offset : element.offset + element.size])
        found.append(value if element.key is None else (element.key, value))
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(json_values, max_size=6),
    st.dictionaries(st.text(), json_values, max_size=4),
    st.booleans(),
    st.sampled_from([None, 1]),
    st.integers(1, 40),
)
def test_elements_are_those_of_the_json_module(
    values: list[Any], around: dict[str, Any], ascii_only: bool, indent: int | None, chunk: int
) -> None:
    document = {**around, "data": {**around, "items": values, "z": around}, "more": values}
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode(
        "utf-8", "surrogatepass"
    )
    assert found_in(text, "data.items", chunk) == values
    assert found_in(text, "data", chunk) == list(document["data"].items())
    assert found_in(text, "", chunk) == list(document.items())
    assert found_in(json.dumps(values).encode(), "", chunk) == values


@pytest.mark.parametrize(
    ("text", "at", "whole"),
    [
        (b'{"data": [1, 2, {"a": "]', "data", 2),  # cut off
        (b'{"other": [1]}', "data", 0),
        (b'{"data": "text"}', "data", 0),
        (b"17", "", 0),
        (b"", "", 0),
        (b'{"a": {"data": [1]}}', "data", 0),  # deeper than the path says
        (b'{"a": [1], "b": {"c": [2]}}', "a.c", 0),  # an array on the way
    ],
)
def test_what_is_not_there_is_told_after_what_is(text: bytes, at: str, whole: int) -> None:
    found = elements(io.BytesIO(text).read, at)
    for _ in range(whole):
        next(found)
    with pytest.raises(DocumentError) as error:
        next(found)
    assert error.value.reason is Reason.BAD_JSON


def test_scanning_needs_little_memory_and_no_quadratic_time() -> None:
    # One element of 30 MB, and a key far longer than a chunk.
    text = b'{"items": ["' + b"x" * 30_000_000 + b'", 2], "z": 0}'
    reads: list[int] = []
    source = io.BytesIO(text)

    def read(size: int) -> bytes:
        reads.append(size)
        return source.read(size)

    started = time.process_time()
    assert [e.size for e in elements(read, "items")] == [30_000_002, 2]
    assert time.process_time() - started < 5
    assert max(reads) <= 8 << 20
    with pytest.raises(DocumentError, match="a key of more than"):
        list(elements(io.BytesIO(b'{"' + b"k" * (json_elements._MAX_KEY + 1000000)).read, "items"))


# Lines, and what they are packed in


def as_plain(folder: Path) -> None:
    (folder / "x.jsonl").write_bytes(LINES)


def as_gzip(folder: Path) -> None:
    (folder / "x.jsonl.gz").write_bytes(gzip.compress(LINES))


def as_zstd(folder: Path) -> None:
    (folder / "x.jsonl.zst").write_bytes(zstd(LINES))


def as_zip(folder: Path) -> None:
    (folder / "x.zip").write_bytes(packed_zip({"in/x.jsonl": LINES, "in/y.txt": b"no"}))


def as_stored_zip(folder: Path) -> None:
    data = packed_zip({"in/x.jsonl": LINES}, method=zipfile.ZIP_STORED)
    (folder / "x.zip").write_bytes(data)


def as_tar(folder: Path) -> None:
    (folder / "x.tar").write_bytes(packed_tar({"in/y.txt": b"no", "in/x.jsonl": LINES}))


def as_gzip_in_tar(folder: Path) -> None:
    (folder / "x.tar").write_bytes(packed_tar({"x.jsonl.gz": gzip.compress(LINES)}))


def as_tar_gz(folder: Path) -> None:
    data = packed_tar({"a.jsonl": b"", "in/y.txt": b"no", "x.jsonl": LINES})
    (folder / "x.tar.gz").write_bytes(gzip.compress(data))


@pytest.mark.parametrize(
    "write",
    [
        as_plain, as_gzip, as_zstd, as_zip, as_stored_zip, as_tar, as_gzip_in_tar, as_tar_gz,
    ],
)  # fmt: skip
def test_lines_wherever_they_are(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    rows = Rows(("**/*.jsonl",))
    refs = refs_of(tmp_path, rows)
    assert [load(ref, rows) for ref in refs] == VALUES
    assert [load(ref, rows) for ref in reversed(refs)] == VALUES[::-1]  # and backwards
    assert [ref.uri.rpartition("#")[2] for ref in refs] == ["0", "2", "3"]
    assert len({ref.uri for ref in refs}) == 3
    # A single file is taken whatever the globs say of its folders.
    (single,) = tmp_path.iterdir()
    assert [load(ref, rows) for ref in refs_of(single, rows)] == VALUES


def test_near_a_record_deep_in_a_packed_file(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 100_000))
    rows = Rows(("*.jsonl",))
    last = refs_of(tmp_path, rows)[-1]
    approach(last)
    assert load(last, rows) == {"a": 1}
    (tmp_path / "x.jsonl.gz").unlink()
    approach(last)  # says nothing, since reading does


def test_one_bad_line_is_no_other_lines_fault(tmp_path: Path) -> None:
    deep = b"[" * 100_000
    data = b'{"a": 1}\n{"a": \n' + deep + b'\n\xff\xfe\n"text"\n{"a": NaN}\n{"a": 2}\n'
    (tmp_path / "x.jsonl").write_bytes(data)
    found = list(records_of(tmp_path, Rows(("*.jsonl",))).values())
    assert found[0] == {"a": 1}
    assert found[1:4] == [Reason.BAD_JSON] * 3
    assert found[4] == {"value": "text"}
    assert math.isnan(found[5]["a"])
    assert found[6] == {"a": 2}


def test_damage_comes_after_what_is_sound(tmp_path: Path) -> None:
    lines = b"".join(b'{"number": %d}\n' % n for n in range(20_000))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines)[:-20_000])
    (tmp_path / "b.tar").write_bytes(packed_tar({"1.jsonl": LINES, "2.jsonl": lines})[:4000])
    (tmp_path / "c.zip").write_bytes(packed_zip({"1.jsonl": LINES})[:-30])
    (tmp_path / "d.jsonl.zst").write_bytes(zstd(lines)[:-20])
    (tmp_path / "e.tar.bz2").write_bytes(b"BZh")
    found = records_of(tmp_path, Rows(("**/*.jsonl",)))
    assert found["a.jsonl.gz#0"] == {"number": 0}
    assert found["a.jsonl.gz"] is Reason.BAD_ARCHIVE
    assert found["b.tar!1.jsonl#0"] == {"a": 1}
    assert found["b.tar"] is Reason.BAD_ARCHIVE
    assert found["c.zip"] is Reason.BAD_ARCHIVE
    assert found["d.jsonl.zst"] is Reason.BAD_ARCHIVE
    assert found["e.tar.bz2"] is Reason.UNREADABLE


def test_bombs_and_unsafe_members(tmp_path: Path) -> None:
    (tmp_path / "bomb.jsonl.gz").write_bytes(gzip.compress(b" " * 100_000_000))
    (tmp_path / "bomb.jsonl.zst").write_bytes(zstd(b" " * 100_000_000))
    (tmp_path / "bomb.zip").write_bytes(packed_zip({"x.jsonl": b" " * 100_000_000}))
    (tmp_path / "up.zip").write_bytes(packed_zip({"../x.jsonl": LINES}))
    outside = tmp_path.parent / f"{tmp_path.name}.jsonl"
    outside.write_bytes(LINES)
    (tmp_path / "link.jsonl").symlink_to(outside)
    found = records_of(tmp_path, Rows(("**/*.jsonl",)))
    assert found == {
        "bomb.jsonl.gz": Reason.ARCHIVE_BOMB,
        "bomb.jsonl.zst": Reason.ARCHIVE_BOMB,
        "bomb.zip!x.jsonl": Reason.ARCHIVE_BOMB,
        "link.jsonl": Reason.UNSAFE_PATH,
        "up.zip!../x.jsonl": Reason.UNSAFE_PATH,
    }


def test_a_file_that_shrinks_after_it_was_listed(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(LINES)
    rows = Rows(("*.jsonl",))
    refs = refs_of(tmp_path, rows)
    path.write_bytes(LINES[:20])
    assert [outcome(ref, rows) for ref in refs] == [
        {"a": 1}, Reason.UNREADABLE, Reason.UNREADABLE,
    ]  # fmt: skip
    path.unlink()
    assert outcome(refs[1], rows) is Reason.UNREADABLE


# Elements with what points to them


def test_annotations_come_to_their_image(tmp_path: Path) -> None:
    document = {
        "images": [{"id": 7, "file": "a"}, {"id": "8", "file": "b"}, {"file": "c"}, {"id": 9}],
        "annotations": [
            {"image_id": 8, "n": 1}, {"image_id": 7, "n": 2}, {"n": 3}, {"image_id": 8, "n": 4},
            {"image_id": 99, "n": 5},
        ],
    }  # fmt: skip
    (tmp_path / "x.json").write_text(json.dumps(document))
    rows = Rows(("*.json",), at="images", joined=("annotations", "image_id", "id"))
    found = records_of(tmp_path, rows)
    joined = [[a["n"] for a in record["annotations"]] for record in list(found.values())[:4]]
    assert joined == [[2], [1, 4], [], []]
    # Two annotations belong to nobody; the ledger says so.
    assert found["x.json#left-over"] is Reason.UNMATCHED
    # The same in a zip, where the ranges are those of what it inflates to.
    (tmp_path / "x.zip").write_bytes(packed_zip({"x.json": (tmp_path / "x.json").read_bytes()}))
    (tmp_path / "x.json").unlink()
    inner = records_of(tmp_path, rows)
    assert list(inner.values()) == list(found.values())


def test_joined_to_the_keys_of_an_object(tmp_path: Path) -> None:
    document = {
        "imgs": {"12": {"w": 1}, "13": {"w": 2}},
        "data": {"anns": {"a": {"img": 13, "t": "x"}, "b": {"img": 13, "t": "y"}}},
    }
    (tmp_path / "x.json").write_text(json.dumps(document))
    rows = Rows(("*.json",), at="imgs", joined=("data.anns", "img", "key"))
    found = records_of(tmp_path, rows)
    assert found["x.json[12]"] == {"key": "12", "value": {"w": 1}, "anns": []}
    assert [a["t"] for a in found["x.json[13]"]["anns"]] == ["x", "y"]


def test_a_key_given_twice_is_two_records(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b'{"a": 1, "b": 2, "a": 3, "c\\u0000": 4, "a": 5}')
    rows = Rows(("*.json",))
    found = records_of(tmp_path, rows)
    assert {uri: record["value"] for uri, record in found.items()} == {
        "x.json[a]": 1, "x.json[b]": 2, "x.json#2": 3, "x.json#3": 4, "x.json#4": 5,
    }  # fmt: skip


# Tables


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])) | st.just('a\n"b",'),
                 min_size=2, max_size=2),
        min_size=1, max_size=6,
    ),
)  # fmt: skip
def test_rows_of_a_table_are_those_of_the_csv_module(cells: list[list[str]]) -> None:
    import csv

    sink = io.StringIO(newline="")
    csv.writer(sink, quoting=csv.QUOTE_ALL).writerows(cells)
    data = sink.getvalue().encode()
    source = io.BytesIO(data)
    found = [
        csv_cells(data[offset : offset + size], ",")
        for offset, size in csv_ranges(lambda size: source.read(min(size, 7)), ",")
    ]
    assert found == cells


def test_a_quote_that_nobody_closes_costs_its_own_line(tmp_path: Path) -> None:
    text = 'name\tcaption\na\t"a 5 inch nail\nb\tgood\n\nc\t5" wide\nd\t"x\ty"\ne\t1\t2\nf\n'
    (tmp_path / "x.tsv").write_text(text, encoding="utf-8-sig")
    rows = Rows(("*.tsv",))
    assert list(records_of(tmp_path, rows).values()) == [
        Reason.BAD_RECORD,
        {"name": "b", "caption": "good"},
        {"name": "c", "caption": '5" wide'},
        {"name": "d", "caption": "x\ty"},
        Reason.BAD_RECORD,  # a cell without a name
        {"name": "f"},
    ]
    (tmp_path / "x.tsv").unlink()
    (tmp_path / "y.csv").write_bytes("甲,乙\n丙,丁\n".encode("gb18030") + b"\xff\xff,1\n")
    headless = Rows(("*.csv",), columns=("a", "b"), header=False)
    assert list(records_of(tmp_path, headless).values()) == [
        {"a": "甲", "b": "乙"}, {"a": "丙", "b": "丁"}, Reason.BAD_ENCODING,
    ]  # fmt: skip


def test_a_packed_table_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "name,n\n" + "".join(f"row,{n}\n" for n in range(50_000))
    (tmp_path / "x.csv.zst").write_bytes(zstd(text.encode()))
    rows = Rows(("*.csv",))
    refs = refs_of(tmp_path, rows)
    starts = []
    restart = streams._Zstd._restart
    monkeypatch.setattr(
        streams._Zstd, "_restart", lambda stream: (starts.append(1), restart(stream))
    )
    assert [load(ref, rows)["n"] for ref in refs[-500:]] == [str(n) for n in range(49_500, 50_000)]
    assert len(starts) <= 2  # the header, then the rows


def test_parquet_rows_with_nested_columns(tmp_path: Path) -> None:
    rows_in = [{"image": {"bytes": bytes([n]), "path": f"{n}"}, "t": f"t{n}", "z": n}
               for n in range(10)]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows_in), tmp_path / "x.parquet", row_group_size=4)
    rows = Rows(("*.parquet",), columns=("t", "image", "absent"))
    refs = refs_of(tmp_path, rows)
    assert [load(r, rows) for r in refs] == [{"image": r["image"], "t": r["t"]} for r in rows_in]
    assert [load(r, rows)["t"] for r in reversed(refs)] == [r["t"] for r in reversed(rows_in)]
    assert load(refs[3], Rows(("*.parquet",)))["t"] == "t3"
    (tmp_path / "y.parquet").write_bytes(b"PAR1 no")
    pq.write_table(pa.table({"u": [1]}), tmp_path / "z.parquet")
    found = records_of(tmp_path, rows)
    assert found["y.parquet"] is Reason.BAD_ARCHIVE
    assert found["z.parquet"] is Reason.BAD_RECORD


def test_a_row_that_is_no_utf8_spares_its_neighbours(tmp_path: Path) -> None:
    offsets = pa.py_buffer(b"".join(n.to_bytes(4, "little") for n in (0, 1, 2, 3)))
    broken = pa.StringArray.from_buffers(3, offsets, pa.py_buffer(b"a\xffb"))
    pq.write_table(pa.table({"t": broken}), tmp_path / "x.parquet")
    assert list(records_of(tmp_path, Rows(("*.parquet",))).values()) == [
        {"t": "a"}, Reason.BAD_ENCODING, {"t": "b"},
    ]  # fmt: skip


# Whole files, and TFRecord


def test_whole_files_and_members(tmp_path: Path) -> None:
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "1.txt").write_bytes("\ufeffeins".encode())
    (tmp_path / "notes.md").write_bytes(b"no")
    (tmp_path / "a.zip").write_bytes(packed_zip({"gt/2.txt": "二".encode("gb18030")}))
    (tmp_path / "b.tar").write_bytes(packed_tar({"gt/3.txt": b"drei", "gt/4.txt": b"\xff\xff"}))
    packed = packed_tar({"gt/0.txt": b"0", "gt/5.txt": "fünf".encode("utf-16")})
    (tmp_path / "c.tar.gz").write_bytes(gzip.compress(packed))
    rows = Rows(("gt/*.txt",))
    found = records_of(tmp_path, rows)
    assert found == {
        "a.zip!gt/2.txt": {"name": "gt/2.txt", "text": "二"},
        "b.tar!gt/3.txt": {"name": "gt/3.txt", "text": "drei"},
        "b.tar!gt/4.txt": Reason.BAD_ENCODING,
        "c.tar.gz!gt/0.txt": {"name": "gt/0.txt", "text": "0"},
        "c.tar.gz!gt/5.txt": {"name": "gt/5.txt", "text": "fünf"},
        "gt/1.txt": {"name": "gt/1.txt", "text": "eins"},
    }
    as_bytes = Rows(("gt/1.txt",), bytes=True)
    assert records_of(tmp_path, as_bytes)["gt/1.txt"]["bytes"] == "\ufeffeins".encode()


def test_the_same_member_twice_is_two_records(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for content in (b"one", b"two"):
            info = tarfile.TarInfo("a.txt")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    (tmp_path / "x.tar").write_bytes(sink.getvalue())
    found = records_of(tmp_path, Rows(("*.txt",)))
    assert {uri: record["text"] for uri, record in found.items()} == {
        "x.tar!a.txt": "one", "x.tar!a.txt#2": "two",
    }  # fmt: skip


def test_tfrecord_shards(tmp_path: Path) -> None:
    def framed(payload: bytes) -> bytes:
        length = len(payload).to_bytes(8, "little")
        crc = tfrecord.masked_crc(length).to_bytes(4, "little")
        return length + crc + payload + b"\0\0\0\0"

    data = framed(b"") + framed(b"\x0a\x00")
    (tmp_path / "x.tfrecord.gz-00000-of-00005").write_bytes(gzip.compress(data))
    (tmp_path / "y.tfrecord").write_bytes(data + b"rest")
    found = records_of(tmp_path, Rows(("*.tfrecord",)))
    assert found == {
        "x.tfrecord.gz-00000-of-00005#0": {},
        "x.tfrecord.gz-00000-of-00005#1": {},
        "y.tfrecord": Reason.BAD_ARCHIVE,
        "y.tfrecord#0": {},
        "y.tfrecord#1": {},
    }


def test_a_glob_as_input_chooses_by_the_last_part_of_the_readers(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "captions_val.json").write_bytes(b'{"images": [{"id": 1}]}')
    (tmp_path / "annotations" / "instances_val.json").write_bytes(b'{"images": [{"id": 2}]}')
    rows = Rows(("annotations/captions_*.json",), at="images")
    everything = Path(f"{tmp_path}/annotations/*")
    assert [r["id"] for r in records_of(everything, rows).values()] == [1]
    assert [r["id"] for r in records_of(tmp_path, rows).values()] == [1]
