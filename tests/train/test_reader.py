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
from train.reader import Reader


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


def test_fetched_members_are_the_tars(built: Path) -> None:
    expected = {
        (shard, row): sample
        for shard in _shards(built)
        for row, sample in enumerate(_expected(shard))
    }
    # Out of order, over several shards, and one of them twice.
    wanted = sorted(expected, key=lambda sample: (sample[1], sample[0]), reverse=True)
    wanted.append(wanted[3])

    found = Reader().fetch(wanted)

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


def test_what_is_still_looked_at_is_not_overwritten(built: Path) -> None:
    shard = _shards(built)[0]
    expected = _expected(shard)
    reader = Reader()

    held = [reader.fetch([(shard, row)])[0] for row in range(len(expected))]

    assert [_bytes(each) for each in held] == expected


def test_memory_that_nobody_looks_at_serves_again(built: Path) -> None:
    shard = _shards(built)[0]
    reader = Reader()
    reader.fetch([(shard, 0), (shard, 1)])
    (before,) = reader._buffers

    reader.fetch([(shard, 1)])

    assert len(reader._buffers) == 1
    assert reader._buffers[0] is before


def test_more_shards_than_stay_open(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_KEPT", 1)
    shards = _shards(built)
    assert len(shards) > 2
    reader = Reader()

    for _ in range(2):
        found = reader.fetch((shard, 0) for shard in shards)
        assert [_bytes(each) for each in found] == [_expected(shard)[0] for shard in shards]
        assert len(reader._kept) == 1


def test_a_shard_cut_off_loses_only_what_lay_behind(built: Path, tmp_path: Path) -> None:
    shard = _shards(built)[0]
    expected = _expected(shard)
    last = read_index(shard)
    *_, entry = last
    cut = tmp_path / Path(shard).name
    for suffix in (".tar", ".index.parquet"):
        shutil.copy(shard.removesuffix(".tar") + suffix, tmp_path)
    os.truncate(cut, entry.members[0].offset + 1)

    *whole, broken = Reader().fetch((str(cut), row) for row in range(len(expected)))

    assert [_bytes(each) for each in whole] == expected[:-1]
    assert isinstance(broken, OSError)
    assert f"ends within sample {len(expected) - 1}" in str(broken)


def test_a_bad_place_of_a_disk_costs_no_neighbour(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = _shards(built)[0]
    expected = _expected(shard)
    bad = list(read_index(shard))[1].members[0].offset
    read = os.preadv

    def fails(file: int, views: list[memoryview], start: int) -> int:
        if start <= bad < start + len(views[0]):
            raise OSError(5, "Input/output error")
        return read(file, views, start)

    monkeypatch.setattr(os, "preadv", fails)
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
