"""Fetched samples are the tar's, whatever else is asked for, and damage costs only what it hit."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

import pytest

from dsvl_data.shards.index import read_index
from dsvl_data.shards.manifest import read_manifest
from train import reader as reading
from train.reader import Reader, _Local, read_members


def _shards(built: Path) -> list[str]:
    return [str(built / record.path) for record in read_manifest(str(built)).shards]


def _expected(shard: str) -> list[dict[str, bytes]]:
    with tarfile.open(shard) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    return [
        {m.name: members[f"{entry.key}.{m.name}"] for m in entry.members}
        for entry in read_index(shard)
    ]


def _bytes(found: object) -> dict[str, bytes]:
    assert isinstance(found, dict), found
    return {name: bytes(data) for name, data in found.items()}


def _map_or_not(mapped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not mapped:
        # As a kernel answers that does not know the advice.
        monkeypatch.setattr(reading, "_POPULATE_READ", 9999)


_BOTH = pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "copied"])


@_BOTH
def test_fetched_members_are_the_tars(
    built: Path, mapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _map_or_not(mapped, monkeypatch)
    expected = {
        (shard, row): sample
        for shard in _shards(built)
        for row, sample in enumerate(_expected(shard))
    }
    # Out of order, over several shards, and one of them twice.
    wanted = sorted(expected, key=lambda sample: (sample[1], sample[0]), reverse=True)
    wanted.append(wanted[3])

    reader = Reader()
    found = reader.fetch(wanted)

    for shard in reader._kept.values():
        assert isinstance(shard.file, _Local)
        assert (shard.file._map is not None) == mapped
    assert [_bytes(each) for each in found] == [expected[sample] for sample in wanted]


def test_one_at_a_time_is_all_at_once_and_also_from_a_store(built: Path) -> None:
    shard = _shards(built)[0]
    expected = _expected(shard)
    reader = Reader()

    for path in (shard, f"file://{shard}"):
        assert [_bytes(reader.fetch([(path, r)])[0]) for r in range(len(expected))] == expected
        assert [_bytes(x) for x in reader.fetch((path, r) for r in range(len(expected)))] == (
            expected
        )
    reader.close()


def test_what_was_fetched_outlives_the_reader(built: Path) -> None:
    shard = _shards(built)[0]
    expected = _expected(shard)
    reader = Reader()

    held = [reader.fetch([(shard, row)])[0] for row in range(len(expected))]
    reader.close()

    assert [_bytes(each) for each in held] == expected


def test_more_shards_than_stay_open(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_KEPT", 1)
    shards = _shards(built)
    assert len(shards) > 2
    reader = Reader()

    for _ in range(2):
        found = reader.fetch((shard, 0) for shard in shards)
        assert [_bytes(each) for each in found] == [_expected(shard)[0] for shard in shards]
        assert len(reader._kept) == 1


def test_shards_that_are_read_in_turns_stay_open(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_KEPT", 1)
    shards = _shards(built)
    reader = Reader(kept=len(shards))
    reader.fetch((shard, 0) for shard in shards)
    monkeypatch.setattr(reading, "read_members", None)  # must not be asked again

    found = reader.fetch((shard, 1) for shard in shards)
    assert [_bytes(each) for each in found] == [_expected(shard)[1] for shard in shards]


def _copied(shard: str, folder: Path) -> str:
    for suffix in (".tar", ".index.parquet"):
        shutil.copy(shard.removesuffix(".tar") + suffix, folder)
    return str(folder / Path(shard).name)


@_BOTH
def test_a_shard_cut_off_loses_only_what_lay_behind(
    built: Path, tmp_path: Path, mapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _map_or_not(mapped, monkeypatch)
    shard = _shards(built)[0]
    expected = _expected(shard)
    *_, entry = read_index(shard)
    cut = _copied(shard, tmp_path)
    os.truncate(cut, entry.members[0].offset + 1)

    *whole, broken = Reader().fetch((cut, row) for row in range(len(expected)))

    assert [_bytes(each) for each in whole] == expected[:-1]
    assert isinstance(broken, OSError)
    assert f"ends within sample {len(expected) - 1}" in str(broken)


@_BOTH
def test_a_shard_that_vanishes_under_the_reader_is_an_error_and_no_signal(
    built: Path, tmp_path: Path, mapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _map_or_not(mapped, monkeypatch)
    shard = _copied(_shards(built)[0], tmp_path)
    number = len(read_members(shard))
    reader = Reader()
    assert isinstance(reader.fetch([(shard, 0)])[0], dict)
    os.truncate(shard, 0)

    found = reader.fetch((shard, row) for row in range(number))

    assert number > 1
    assert all(isinstance(each, OSError) for each in found)


@_BOTH
def test_a_bad_place_of_a_disk_costs_no_neighbour(
    built: Path, mapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _map_or_not(mapped, monkeypatch)
    shard = _shards(built)[0]
    expected = _expected(shard)
    bad = list(read_index(shard))[1].members[0].offset
    take = _Local.take

    def fails(self: _Local, start: int, stop: int) -> memoryview:
        if start <= bad < stop:
            raise OSError(5, "Input/output error")
        return take(self, start, stop)

    monkeypatch.setattr(_Local, "take", fails)
    first, broken, *rest = Reader().fetch((shard, row) for row in range(len(expected)))

    assert [_bytes(each) for each in (first, *rest)] == [expected[0], *expected[2:]]
    assert isinstance(broken, OSError)


def test_a_shard_without_its_index_costs_no_other(built: Path, tmp_path: Path) -> None:
    good = _shards(built)[0]
    lost = str(tmp_path / "lost.tar")
    (tmp_path / "no.index.parquet").write_bytes(b"not parquet")

    found = Reader().fetch([(lost, 0), (good, 0), (str(tmp_path / "no.tar"), 0)])

    assert isinstance(found[0], FileNotFoundError)
    assert _bytes(found[1]) == _expected(good)[0]
    assert isinstance(found[2], ValueError)
