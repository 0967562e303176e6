"""Rows deep in a gzipped file are had without inflating all that lies before them each time."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import InputSpec
from dsvl_data.read.archives import approach, list_documents, read_bytes
from dsvl_data.read.gzips import GzipReader


def noise(size: int) -> bytes:
    """Bytes that gzip makes a little smaller, the same each time."""
    return random.Random(size).randbytes(size // 2).hex().encode()


class Counting(io.BytesIO):
    """Knows how many bytes were read from it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.taken += len(found)
        return found


PLAIN = noise(40_000_000)
PACKED = gzip.compress(PLAIN[:30_000_000], 1) + gzip.compress(PLAIN[30_000_000:], 1)


def test_going_back_and_forth_starts_near_by() -> None:
    source = Counting(PACKED)
    reader = GzipReader(source)
    reader.seek(len(PLAIN) - 10)
    assert reader.read(100) == PLAIN[-10:]
    whole = source.taken
    for position in (38_000_000, 20_000_000, 29_999_990, 35_000_000):
        before = source.taken
        reader.seek(position)
        assert reader.read(20) == PLAIN[position : position + 20]
        assert source.taken - before < whole // 5


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 210_000), st.integers(0, 70_000)), max_size=8))
def test_any_range_in_any_order(ranges: list[tuple[int, int]]) -> None:
    plain = PLAIN[:200_000]
    packed = b"".join(gzip.compress(plain[at : at + 70_000]) for at in range(0, 200_000, 70_000))
    reader = GzipReader(io.BytesIO(packed + bytes(7)))  # padding is allowed
    for position, size in ranges:
        reader.seek(position)
        assert reader.read(size) == plain[position : position + size]


@pytest.mark.parametrize("cut", [1, 4, 9, 5000])
def test_all_that_comes_before_the_damage_is_there(cut: int) -> None:
    plain = PLAIN[:100_000]
    reader = GzipReader(io.BytesIO(gzip.compress(plain)[:-cut]))
    found = reader.read(200_000)
    assert plain.startswith(found)
    assert len(found) > 100_000 - 3 * cut - 500
    with pytest.raises(DocumentError) as error:
        reader.read(1)
    assert error.value.reason is Reason.BAD_ARCHIVE


def test_a_flipped_bit_is_told_and_what_is_before_it_read() -> None:
    packed = bytearray(gzip.compress(PLAIN[:100_000]))
    packed[-5] ^= 1  # in the check sum
    reader = GzipReader(io.BytesIO(packed))
    assert reader.read(100_000) == PLAIN[:100_000]
    for _ in range(2):
        with pytest.raises(DocumentError) as error:
            reader.read(1)
        assert error.value.reason is Reason.BAD_ARCHIVE


def test_a_row_that_was_approached_is_near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.dumps({"t": PLAIN[at : at + 1000].decode()}) for at in range(0, 8_000_000, 1000)]
    (tmp_path / "r.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode(), 1))
    spec = InputSpec(path=str(tmp_path), dataset="d")
    last = list(list_documents([spec], suffixes=(".txt",), column="t"))[-1]
    opened: list[Counting] = []

    def open_counting(path: str) -> Counting:
        opened.append(Counting(Path(path).read_bytes()))
        return opened[-1]

    monkeypatch.setattr(storage, "open_input", open_counting)
    approach(last)
    (source,) = opened
    before = source.taken
    assert before > 3_000_000
    assert read_bytes(last) == PLAIN[7_999_000:8_000_000]
    assert source.taken - before < 200_000
    assert len(opened) == 1


def test_what_cannot_be_approached_is_told_by_the_reading(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl.gz").write_bytes(gzip.compress(b'{"t": "a"}\n{"t": "b"}\n'))
    spec = InputSpec(path=str(tmp_path), dataset="d")
    last = list(list_documents([spec], suffixes=(".txt",), column="t"))[-1]
    (tmp_path / "r.jsonl.gz").write_bytes(b"no gzip any more")
    approach(last)
    with pytest.raises(DocumentError) as error:
        read_bytes(last)
    assert error.value.reason is Reason.BAD_ARCHIVE


def test_rows_of_parquet_are_approached_too(tmp_path: Path) -> None:
    table = pa.table({"t": [*(f"row {n}" for n in range(100)), None]})
    pq.write_table(table, tmp_path / "r.parquet")
    spec = InputSpec(path=str(tmp_path), dataset="d")
    refs = list(list_documents([spec], suffixes=(".txt",), column="t"))
    for ref in (refs[99], refs[100]):  # a null is told by the reading
        approach(ref)
    assert read_bytes(refs[99]) == b"row 99"
    with pytest.raises(DocumentError) as error:
        read_bytes(refs[100])
    assert error.value.reason is Reason.EMPTY_DOCUMENT
