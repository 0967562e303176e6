"""Lengths of samples: counted once, by all ranks together, and damage costs only what it hit."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsvl_data.outcome import UserError
from dsvl_data.shards.manifest import read_manifest
from model.processor import Processor
from train import reader as reading
from train.corpus import Corpus, Counter
from train.pool import PlanSettings
from train.reader import _Local, read_members
from train.stream import Loader, LoaderSettings

_COUNTER = Counter("characters", lambda record: len(str(record["segments"])))


def _with_zeros(built: Path, out: Path, category: str, rows: slice) -> Corpus:
    """A copy whose first shard of a category has lost some records."""
    shutil.copytree(built, out)
    record = next(r for r in read_manifest(str(out)).shards if r.category == category)
    path = out / record.path
    members = read_members(str(path))
    data = bytearray(path.read_bytes())
    for row in range(len(members))[rows]:
        start = members.offsets[members.first[row]]
        data[start : start + 8] = bytes(8)
    path.write_bytes(data)
    return Corpus([str(out)], _COUNTER, out / "lengths")


@pytest.mark.parametrize("category", ["text", "document_ocr"])
def test_a_record_that_cannot_be_read_has_the_length_of_one_token(
    built: Path, tmp_path: Path, category: str
) -> None:
    whole = Corpus([str(built)], _COUNTER, tmp_path / "lengths")
    damaged = _with_zeros(built, tmp_path / "damaged", category, slice(2, 4))

    expected = whole.sizes(category, 0).tokens.copy()
    expected[2:4] = 1
    assert np.array_equal(damaged.sizes(category, 0).tokens, expected)


def test_it_is_counted_as_broken_when_it_is_trained_on(
    built: Path, tmp_path: Path, processor: Processor
) -> None:
    damaged = _with_zeros(built, tmp_path / "damaged", "text", slice(2, 4))
    plan = PlanSettings(rows=2, tokens=4000, shares={"text": 1.0})
    loader = Loader(damaged, processor, plan, LoaderSettings(micro_rows=2))

    micros = iter(loader)
    while loader.epochs["text"] < 1:
        next(micros)
    assert loader.broken >= 2


def test_a_shard_of_which_nothing_can_be_read_is_named(built: Path, tmp_path: Path) -> None:
    damaged = _with_zeros(built, tmp_path / "damaged", "text", slice(None))

    with pytest.raises(UserError, match=r"no sample of .*text.*\.tar can be read: .*shards verify"):
        damaged.sizes("text", 0)
    assert not list((tmp_path / "damaged").glob("lengths/*"))


def test_counting_reads_no_image(
    corpus: Corpus, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_GAP_LOCAL", 0)
    taken = 0
    take = _Local.take

    def counted(self: _Local, start: int, stop: int) -> memoryview:
        nonlocal taken
        taken += stop - start
        return take(self, start, stop)

    monkeypatch.setattr(_Local, "take", counted)
    sizes = corpus.sizes("document_ocr", 0)

    record = next(r for r in read_manifest(str(built)).shards if r.category == "document_ocr")
    members = read_members(str(built / record.path))
    records = [members.first[row] for row in range(len(members))]
    assert taken == sum(members.ends[m] - members.offsets[m] for m in records)
    assert sizes.images.sum() == record.images


def test_ranks_share_the_counting_out(built: Path, tmp_path: Path) -> None:
    asked: list[int] = []

    def corpus_of(rank: int) -> Corpus:
        def count(record: Mapping[str, Any]) -> int:
            asked.append(rank)
            return 1

        return Corpus([str(built)], Counter("shared", count), tmp_path / "lengths")

    ranks = [corpus_of(rank) for rank in range(3)]
    for rank, corpus in enumerate(ranks):
        assert len(list(corpus.measuring(rank, 3))) < len(read_manifest(str(built)).shards)

    samples = read_manifest(str(built)).total.samples
    assert len(asked) == samples
    assert {*asked} == {0, 1, 2}
    assert all(corpus.sizes("text", 0).tokens.all() for corpus in ranks)
    assert len(asked) == samples
