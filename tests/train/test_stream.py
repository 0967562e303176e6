"""The loader: what the plan says, whoever reads it, and a damaged sample costs only itself."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from dsvl_data.shards.index import read_index, read_sample
from dsvl_data.shards.manifest import read_manifest
from model.processor import IGNORED, PADDING, Processor
from train.corpus import Corpus
from train.mixing import WarmUp
from train.pool import PlanSettings
from train.reader import read_members
from train.stream import Loader, LoaderSettings, MicroBatch, TooManyBroken

_PACKED = PlanSettings(
    rows=4,
    tokens=800,
    images=4,
    shares={"document_ocr": 0.5, "text": 0.4, "sft_general": 0.1},
    language=WarmUp(0.5, 0),
    seed=1,
)
_PADDED = replace(_PACKED, packing=False, language=None, grouping=False)
_BOTH = pytest.mark.parametrize("plan", [_PACKED, _PADDED], ids=["packed", "padded"])


def _take(
    corpus: Corpus, processor: Processor, plan: PlanSettings, steps: int, **options: int
) -> list[MicroBatch]:
    rank, world = options.pop("rank", 0), options.pop("world", 1)
    settings = LoaderSettings(**{"micro_rows": 4 // world} | options)
    loader = Loader(corpus, processor, plan, settings, rank=rank, world=world)
    with closing(iter(loader)) as micros:
        return list(itertools.takewhile(lambda micro: micro.step < steps, micros))


def _rows(micros: list[MicroBatch]) -> dict[int, list[tuple[str, ...]]]:
    """The keys of each step's rows, in no order: ranks deal them out."""
    rows: dict[int, list[tuple[str, ...]]] = {}
    for micro in micros:
        rows.setdefault(micro.step, []).extend(micro.keys)
    return {step: sorted(keys) for step, keys in rows.items()}


@_BOTH
def test_a_batch_holds_its_samples(
    corpus: Corpus, processor: Processor, built: Path, plan: PlanSettings
) -> None:
    samples = {}
    for record in read_manifest(str(built)).shards:
        shard = str(built / record.path)
        for entry in read_index(shard):
            samples[entry.key] = read_sample(shard, entry)
    seen_whole = 0
    for micro in _take(corpus, processor, plan, 12):
        batch = micro.batch
        assert batch.tokens.shape == batch.labels.shape == micro.categories.shape
        assert not plan.packing or batch.tokens.shape == (4, 800)
        assert micro.tokens == int((batch.documents != PADDING).sum())
        assert len(batch.images) == micro.images
        pictures = 0
        for number, keys in enumerate(micro.keys):
            for document, key in enumerate(keys):
                here = batch.documents[number] == document
                tokens = batch.tokens[number][here].tolist()
                assert len(set(micro.categories[number][here].tolist())) == 1
                assert (batch.positions[number][here] == torch.arange(len(tokens))).all()
                sample = samples[key]
                pictures += len(sample.images)
                name = corpus.categories[int(micro.categories[number][here][0])]
                assert name == sample.category
                text = processor.tokenizer.decode(tokens)
                if sample.category == "text":
                    assert text in sample.text
                    continue
                assert tokens.count(processor.tokenizer.image_id) == 144 * len(sample.images)
                assert tokens[-1] == processor.tokenizer.eos_id
                for part in sample.segments:
                    assert getattr(part, "text", "").strip() in text
                seen_whole += 1
        assert pictures == micro.images
    assert seen_whole > 10


@_BOTH
def test_ranks_and_workers_read_the_same(
    corpus: Corpus, processor: Processor, plan: PlanSettings
) -> None:
    alone = _rows(_take(corpus, processor, plan, 9))

    for world in (2, 4):
        together = [
            micro
            for rank in range(world)
            for micro in _take(corpus, processor, plan, 9, rank=rank, world=world)
        ]
        assert _rows(together) == alone
    assert _rows(_take(corpus, processor, plan, 9, workers=2, micro_rows=2)) == alone


@_BOTH
def test_another_goes_on_where_one_stopped(
    corpus: Corpus, processor: Processor, plan: PlanSettings
) -> None:
    whole = _rows(_take(corpus, processor, plan, 14))
    settings = LoaderSettings(micro_rows=2)
    first = Loader(corpus, processor, plan, settings)
    # In the middle of step 5: it is not done.
    seen = list(itertools.islice(first, 11))
    state = json.loads(json.dumps(first.state))
    assert seen[-1].step == 5 == state["step"]

    rest = []
    for rank in range(2):
        again = Loader(corpus, processor, plan, settings, rank=rank, world=2, state=state)
        rest += list(itertools.takewhile(lambda micro: micro.step < 14, again))

    assert _rows(rest) == {step: keys for step, keys in whole.items() if step >= 5}


def test_workers_reading_ahead_do_not_move_the_checkpoint(
    corpus: Corpus, processor: Processor
) -> None:
    loader = Loader(corpus, processor, _PACKED, LoaderSettings(4, workers=1, ahead=4))

    with closing(iter(loader)) as micros:
        for expected in range(1, 5):
            next(micros)
            assert loader.state["step"] == expected


def test_lengths_are_what_is_encoded(corpus: Corpus, processor: Processor) -> None:
    """A plan that is off by a token would cut samples off or leave gaps."""
    for micro in _take(corpus, processor, _PADDED, 20):
        for number, (key,) in enumerate(micro.keys):
            tokens = int((micro.batch.documents[number] == 0).sum())
            category = int(micro.categories[number, 0])
            name = corpus.categories[category]
            planned = {
                entry.key: min(int(length), _PADDED.tokens)
                for shard in range(len(corpus.counts(name)))
                for entry, length in zip(
                    read_index(corpus.shard(category, shard).path),
                    corpus.sizes(name, shard).tokens,
                    strict=True,
                )
            }
            assert tokens == planned[key]


def _damage(built: Path, out: Path, category: str) -> int:
    """A copy whose shards of a category have lost their last images; how many."""
    shutil.copytree(built, out)
    damaged = 0
    for record in read_manifest(str(out)).shards:
        if record.category == category:
            path = out / record.path
            members = read_members(str(path))
            data = bytearray(path.read_bytes())
            for number in range(len(members)):
                last = members.first[number + 1] - 1
                start = int(members.offsets[last])
                data[start : start + 16] = bytes(16)
                damaged += 1
            path.write_bytes(data)
    return damaged


def test_a_damaged_image_is_a_masked_blank_in_its_place(
    corpus: Corpus, processor: Processor, built: Path, tmp_path: Path
) -> None:
    _damage(built, tmp_path / "damaged", "document_ocr")
    damaged = Corpus([str(tmp_path / "damaged")], corpus._counter, tmp_path / "lengths")

    good = _take(corpus, processor, _PACKED, 10)
    bad = _take(damaged, processor, _PACKED, 10, broken=1000)

    assert [m.keys for m in bad] == [m.keys for m in good]
    page = corpus.categories.index("document_ocr")
    for whole, blank in zip(good, bad, strict=True):
        assert (whole.batch.tokens == blank.batch.tokens).all()
        pages = blank.categories == page
        assert (blank.batch.labels[pages] == IGNORED).all()
        assert (blank.batch.labels[~pages] == whole.batch.labels[~pages]).all()
        assert len(blank.broken) == sum(
            int(blank.categories[row][blank.batch.documents[row] == document][0]) == page
            for row, keys in enumerate(blank.keys)
            for document in range(len(keys))
        )


def test_too_much_damage_ends_the_run(
    corpus: Corpus, processor: Processor, built: Path, tmp_path: Path
) -> None:
    _damage(built, tmp_path / "damaged", "document_ocr")
    damaged = Corpus([str(tmp_path / "damaged")], corpus._counter, tmp_path / "lengths")

    with pytest.raises(TooManyBroken, match=r"5 are allowed; the last: .*shards verify"):
        _take(damaged, processor, _PADDED, 50, broken=5)


def test_a_shard_cut_off_on_disk_is_a_blank_too(
    corpus: Corpus, processor: Processor, built: Path, tmp_path: Path
) -> None:
    corpus.measure()
    shutil.copytree(built, tmp_path / "cut")
    for record in read_manifest(str(built)).shards:
        if record.category == "text":
            path = tmp_path / "cut" / record.path
            path.write_bytes(path.read_bytes()[:2000])
    cut = Corpus([str(tmp_path / "cut")], corpus._counter, tmp_path / "lengths")

    good = _take(corpus, processor, _PACKED, 10)
    bad = _take(cut, processor, _PACKED, 10, broken=1000)

    assert [m.tokens for m in bad] == [m.tokens for m in good]
    assert any("ends within sample" in reason for m in bad for reason in m.broken)


def test_a_batch_that_cannot_be_dealt_out_is_refused(corpus: Corpus, processor: Processor) -> None:
    with pytest.raises(ValueError, match="4 rows does not divide into 3 ranks: 1, 2, 4 would do"):
        Loader(corpus, processor, _PACKED, LoaderSettings(1), world=3)
    with pytest.raises(ValueError, match="into 512 ranks: 128, 256 would do"):
        Loader(corpus, processor, replace(_PADDED, rows=256), LoaderSettings(1), world=512)


@pytest.mark.parametrize(("world", "most", "each"), [(1, 8, 6), (1, 4, 3), (2, 2, 1), (3, 8, 2)])
def test_a_micro_batch_has_as_many_rows_as_go_into_a_ranks(
    corpus: Corpus, processor: Processor, world: int, most: int, each: int
) -> None:
    loader = Loader(corpus, processor, replace(_PADDED, rows=6), LoaderSettings(most), world=world)
    with closing(iter(loader)) as micros:
        step = list(itertools.islice(micros, 6 // world // each))
    assert [len(micro.keys) for micro in step] == [each] * len(step)
    assert [micro.last for micro in step] == [False] * (len(step) - 1) + [True]


def test_counting_twice_is_counting_once(corpus: Corpus) -> None:
    first = corpus.sizes("text", 0)
    corpus._counter.count = None  # type: ignore[assignment]  # must not be asked again

    assert np.array_equal(corpus.sizes("text", 0).tokens, first.tokens)


def test_a_killed_run_takes_its_workers_along(built: Path, tmp_path: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", _READS, str(built), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert run.stdout is not None
        assert run.stdout.readline() == "reading\n"
        below = psutil.Process(run.pid).children(recursive=True)
        assert len(below) >= 3  # the server that forks, and two workers
    finally:
        run.kill()
        run.wait()
    assert psutil.wait_procs(below, timeout=60)[1] == []


#: A program that reads with two workers, and waits with the iterator open.
_READS = """
import sys
import dsvl_data
from model.config import preset
from model.processor import Processor
from model.tokenizer import ByteTokenizer
from train.corpus import Corpus, Counter
from train.encode import count_tokens
from train.pool import PlanSettings
from train.stream import Loader, LoaderSettings

if __name__ == "__main__":
    processor = Processor(preset("tiny"), ByteTokenizer())
    counter = Counter("tiny bytes", lambda record: count_tokens(record, processor))
    corpus = Corpus([sys.argv[1]], counter, sys.argv[2] + "/lengths")
    plan = PlanSettings(rows=4, tokens=800, shares={"text": 1.0}, images=4, seed=1)
    micros = iter(Loader(corpus, processor, plan, LoaderSettings(micro_rows=4, workers=2)))
    next(micros)
    print("reading", flush=True)
    sys.stdin.read()
"""
