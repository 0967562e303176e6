"""WebDatasets of others: indexed once, read as ours, what is broken left out and counted."""

from __future__ import annotations

import io
import json
import random
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dsvl_data.cli import app
from dsvl_data.shards.adopt import Facts, index_folder
from dsvl_data.shards.foreign import Form
from dsvl_data.shards.index import index_path, read_index, read_sample
from dsvl_data.shards.manifest import read_manifest
from dsvl_data.shards.verify import verify
from dsvl_data.shards.write import ShardError
from model.config import preset
from model.processor import Processor
from model.tokenizer import ByteTokenizer
from tests.shards.conftest import picture
from train.corpus import Corpus, Counter, Reader
from train.encode import count_tokens
from train.pool import PlanSettings
from train.stream import Loader, LoaderSettings

_CAPTIONS = Facts((("*", "caption"),), dataset="pairs", language="en", licence="CC0-1.0")


def _tar(path: Path, members: list[tuple[str, bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def _pairs(numbers: range) -> list[tuple[str, bytes]]:
    members = []
    for number in numbers:
        image = picture(random.Random(number))
        members.append((f"./some.folder/{number:05d}.{image.format}", image.data))
        members.append((f"./some.folder/{number:05d}.txt", f"caption {number} 图".encode()))
        members.append((f"./some.folder/{number:05d}.cls", b"3"))
    return members


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for shard in range(3):
        _tar(tmp_path / f"set/{shard:03d}.tar", _pairs(range(10 * shard, 10 * shard + 10)))
    return tmp_path / "set"


def test_samples_are_what_the_tar_holds(pairs: Path) -> None:
    result = index_folder(str(pairs), _CAPTIONS)

    assert (result.shards, result.samples, result.images, result.kept) == (3, 30, 30, 0)
    shard = str(pairs / "001.tar")
    index = read_index(shard)
    assert index.form == Form()
    for number, entry in enumerate(index, 10):
        image = picture(random.Random(number))
        sample = read_sample(shard, entry, index.form)
        assert sample.text == f"caption {number} 图"
        assert sample.images == [image]
        assert entry.text_characters == len(sample.text)
        assert entry.text_tokens > 0
        assert (sample.category, sample.source.licence) == ("caption", "CC0-1.0")
    manifest = read_manifest(str(pairs))
    assert manifest.total.samples == 30
    assert manifest.total.images == 30
    assert "cls" in manifest.members["caption"]
    assert verify(str(pairs)).ok


def test_the_loader_reads_them(pairs: Path, tmp_path: Path) -> None:
    index_folder(str(pairs), _CAPTIONS)
    processor = Processor(preset("tiny"), ByteTokenizer())
    counter = Counter("bytes", lambda record: count_tokens(record, processor))
    corpus = Corpus([str(pairs)], counter, tmp_path / "lengths")
    plan = PlanSettings(rows=5, tokens=400, shares={"caption": 1.0}, packing=False)

    seen: dict[str, str] = {}
    for micro in Loader(corpus, processor, plan, LoaderSettings(5)):
        assert not micro.broken
        assert micro.images == 5
        for row, (key,) in enumerate(micro.keys):
            tokens = micro.batch.tokens[row][micro.batch.documents[row] == 0].tolist()
            seen[key] = processor.tokenizer.decode(tokens)
        if len(seen) == 30:
            break

    for key, text in seen.items():
        assert f"caption {int(key.rpartition('/')[2])} 图" in text


def test_another_text_is_another_corpus(pairs: Path, tmp_path: Path) -> None:
    """A checkpoint of the loader must not be continued with other texts of the same tars."""
    counter = Counter("x", lambda record: len(json.dumps(record["segments"])))
    index_folder(str(pairs), _CAPTIONS)
    before = Corpus([str(pairs)], counter, tmp_path / "lengths")
    lengths = before.sizes("caption", 0).tokens.tolist()

    index_folder(str(pairs), Facts(_CAPTIONS.categories, Form(text="cls")))
    after = Corpus([str(pairs)], counter, tmp_path / "lengths")

    assert after.digest != before.digest
    assert after.sizes("caption", 0).tokens.tolist() != lengths


def test_text_of_a_field_before_the_image(tmp_path: Path) -> None:
    image = picture(random.Random(1))
    record = json.dumps({"meta": {"caption": "below"}}).encode()
    _tar(tmp_path / "a.tar", [("k." + image.format, image.data), ("k.json", record)])
    form = Form(text="json:meta.caption", text_first=True)
    index_folder(str(tmp_path), Facts((("*", "caption"),), form))

    reader = Reader()
    record_read, images = reader.sample(str(tmp_path / "a.tar"), 0)
    reader.close()

    assert record_read["segments"] == [
        {"type": "text", "text": "below"},
        {"type": "image", "member": image.format},
    ]
    assert bytes(images[image.format]) == image.data


def test_what_is_broken_is_left_out_and_counted(tmp_path: Path) -> None:
    good = picture(random.Random(1))
    _tar(
        tmp_path / "a.tar",
        [
            ("1.png", b"no image"),
            ("1.txt", b"text"),
            ("2.txt", b"\xff\xfe\xff"),
            ("3.cls", b"7"),
            (f"4.{good.format}", good.data),
            ("5.txt", b"only text"),
            ("README", b"no sample"),
            (".hidden.txt", b"nor this"),
        ],
    )

    result = index_folder(str(tmp_path), _CAPTIONS)

    assert result.left_out == {
        "bad_image": 1,
        "text is no UTF-8": 1,
        "it has no image and no text": 1,
    }
    assert [entry.key for entry in read_index(str(tmp_path / "a.tar"))] == ["4", "5"]


def test_indexed_again_only_what_changed(pairs: Path) -> None:
    index_folder(str(pairs), _CAPTIONS)
    before = Path(index_path(str(pairs / "000.tar"))).stat().st_mtime_ns
    _tar(pairs / "003.tar", _pairs(range(90, 95)))

    result = index_folder(str(pairs), _CAPTIONS, workers=2)

    assert (result.shards, result.kept, result.samples) == (4, 3, 35)
    assert Path(index_path(str(pairs / "000.tar"))).stat().st_mtime_ns == before
    other = Facts((("*", "scene_text"),), dataset="pairs")
    assert index_folder(str(pairs), other).kept == 0


def test_categories_by_shard(pairs: Path) -> None:
    facts = Facts((("000*", "text"), ("*", "caption")))
    index_folder(str(pairs), facts)

    counts = {name: c.samples for name, c in read_manifest(str(pairs)).totals.category.items()}
    assert counts == {"text": 10, "caption": 20}


def test_what_cannot_be_indexed_is_said(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="no category 'captions'; there are interleaved"):
        index_folder(str(pairs), Facts((("*", "captions"),)))
    with pytest.raises(ShardError, match=r"no category is given for 001.tar"):
        index_folder(str(pairs), Facts((("000*", "text"),)))
    with pytest.raises(ShardError, match="compressed tars must be unpacked first"):
        index_folder(str(tmp_path / "nothing"), _CAPTIONS)
    (pairs / "000.tar").write_bytes((pairs / "000.tar").read_bytes()[:1300])
    with pytest.raises(ShardError, match="is no sound tar"):
        index_folder(str(pairs), _CAPTIONS)


def test_the_command(pairs: Path) -> None:
    command = ["shards", "index", str(pairs), "--category", "caption", "--language", "en"]
    result = CliRunner().invoke(app, command)

    assert result.exit_code == 0, result.output
    assert "3 shards (0 as they were), 30 samples, 30 images; left out: 0" in result.output
    seen = CliRunner().invoke(app, ["shards", "view", str(pairs / "000.tar")])
    assert "caption 0" in seen.output
