"""Byte ranges of files: what is asked for comes, and what follows it is read ahead."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.streams import Span, read_ranges

SIZE = 300_000
CONTENT = random.Random(1).randbytes(SIZE)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("streams") / "records.json"
    file.write_bytes(CONTENT)
    return str(file)


def ranges() -> st.SearchStrategy[list[tuple[int, int]]]:
    """Some anywhere, some one after the other from somewhere, up to the end of the file."""
    anywhere = st.tuples(st.integers(0, SIZE), st.integers(0, 90_000))
    in_a_row = st.tuples(
        st.integers(0, SIZE), st.integers(1, 3_000), st.integers(0, 6_000), st.integers(1, 30)
    ).map(lambda row: [(row[0] + n * (row[1] + row[2]), row[1]) for n in range(row[3])])
    found = st.lists(st.one_of(anywhere.map(lambda one: [one]), in_a_row), min_size=1, max_size=6)
    return found.map(lambda lists: [each for some in lists for each in some if sum(each) <= SIZE])


@settings(max_examples=100, deadline=None)
@given(ranges())
def test_every_range_is_what_the_file_holds(path: str, wanted: list[tuple[int, int]]) -> None:
    expected = [CONTENT[offset : offset + size] for offset, size in wanted]
    assert [read_ranges(Span(path), [each])[0] for each in wanted] == expected
    assert read_ranges(Span(path), wanted) == expected


def test_more_than_there_is_cannot_be_read(path: str) -> None:
    assert read_ranges(Span(path), [(SIZE - 200, 100)]) == [CONTENT[-200:-100]]
    with pytest.raises(DocumentError, match="100 bytes of 101 are there") as caught:
        read_ranges(Span(path), [(SIZE - 200, 100), (SIZE - 100, 101)])
    assert caught.value.reason is Reason.UNREADABLE


def test_neighbours_in_two_places_take_few_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "joined.json"
    file.write_bytes(CONTENT)
    reads: list[int] = []

    class Counted:
        def __init__(self, path: str) -> None:
            self._file = opened(path)

        def read_at(self, size: int, offset: int) -> Any:
            reads.append(size)
            return self._file.read_at(size, offset)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    opened = storage.open_input
    monkeypatch.setattr(storage, "open_input", Counted)
    pairs: Sequence[list[tuple[int, int]]] = [
        [(n * 100, 100), (100_000 + n * 1_000, 1_000)] for n in range(200)
    ]
    for pair in pairs:
        read = read_ranges(Span(str(file)), pair)
        assert read == [CONTENT[offset : offset + size] for offset, size in pair]
    assert len(reads) < 12  # of 400
    assert sum(reads) < 2 * 220_000
