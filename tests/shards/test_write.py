"""One shard: its members and index, and what other programs read of it."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import tarfile
from pathlib import Path

import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from dsvl_data.sample import Image, Sample, Text, to_json
from dsvl_data.shards.index import content_hash, read_index, read_sample
from dsvl_data.shards.write import ShardError, encode, write_shard
from tests.shards.conftest import make_sample


def write(path: Path, samples: list[Sample]) -> str:
    write_shard(str(path), [encode(sample, 7) for sample in samples])
    return str(path)


def test_members_stand_in_order_with_compact_sorted_json(tmp_path: Path) -> None:
    samples = [make_sample(i, images=i) for i in range(3)]
    shard = write(tmp_path / "s.tar", samples)
    with tarfile.open(shard) as archive:
        names = archive.getnames()
        expected = []
        for sample in samples:
            expected.append(f"{sample.key}.json")
            expected += [f"{sample.key}.{i}.{m.format}" for i, m in enumerate(sample.images)]
        assert names == expected
        file = archive.extractfile(names[0])
        assert file is not None
        raw = file.read().decode()
    assert json.loads(raw) == to_json(samples[0])
    assert raw == json.dumps(
        to_json(samples[0]), ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )


def test_index_tells_what_the_tar_holds(tmp_path: Path) -> None:
    samples = [make_sample(i, images=i % 4) for i in range(12)]
    shard = write(tmp_path / "s.tar", samples)
    index = read_index(shard)
    assert index.digest.size == Path(shard).stat().st_size
    data = Path(shard).read_bytes()
    for sample, entry in zip(samples, index, strict=True):
        assert (entry.key, entry.document) == (sample.key, sample.document)
        assert (entry.dataset, entry.licence) == (sample.source.dataset, sample.source.licence)
        assert entry.image_sizes == tuple((i.width, i.height) for i in sample.images)
        assert (entry.images, entry.image_tokens) == (len(sample.images), 576 * len(sample.images))
        assert (entry.text_tokens, entry.text_characters) == (7, len(sample.text))
        payloads = [data[m.offset : m.offset + m.size] for m in entry.members]
        assert payloads[1:] == [image.data for image in sample.images]
        assert entry.content_hash == content_hash(payloads)
    assert index.table.column("image_tokens").to_pylist() == [576 * (i % 4) for i in range(12)]


def test_a_sample_is_fetched_by_its_byte_range(tmp_path: Path) -> None:
    samples = [make_sample(i, images=i % 4) for i in range(12)]
    shard = write(tmp_path / "s.tar", samples)
    for sample, entry in zip(samples, read_index(shard), strict=True):
        assert read_sample(shard, entry) == sample


def test_a_damaged_sample_is_not_handed_out(tmp_path: Path) -> None:
    shard = write(tmp_path / "s.tar", [make_sample(0)])
    entry = next(iter(read_index(shard)))
    data = bytearray(Path(shard).read_bytes())
    data[entry.members[1].offset + 5] ^= 1
    Path(shard).write_bytes(data)
    with pytest.raises(ValueError, match=entry.key):
        read_sample(shard, entry)


def test_plain_webdataset_reads_it(tmp_path: Path) -> None:
    samples = [make_sample(i, images=1 + i % 3) for i in range(6)]
    shard = write(tmp_path / "s.tar", samples)
    read = list(webdataset.WebDataset(shard, shardshuffle=False).decode("pil"))
    assert [record["__key__"] for record in read] == [sample.key for sample in samples]
    for sample, record in zip(samples, read, strict=True):
        assert record["json"] == to_json(sample)
        for number, image in enumerate(sample.images):
            picture = record[f"{number}.{image.format}"]
            assert picture.size == (image.width, image.height)


def test_all_image_formats_keep_their_bytes(tmp_path: Path) -> None:
    images = []
    for format_ in ("png", "jpg", "webp", "gif"):
        data = io.BytesIO()
        Pillow.new("RGB", (9, 5), "red").save(data, {"jpg": "JPEG"}.get(format_, format_))
        images.append(Image(data.getvalue(), format_, 9, 5))
    sample = dataclasses.replace(make_sample(0), segments=(Text("四"), *images))
    shard = write(tmp_path / "s.tar", [sample])
    (record,) = webdataset.WebDataset(shard, shardshuffle=False)
    assert [record[f"{i}.{image.format}"] for i, image in enumerate(images)] == [
        image.data for image in images
    ]


@pytest.mark.parametrize(
    "key", ["a.b", "../up", "a/b", "", "new\nline", "a b", "tab\t", "c:d", "x" * 201]
)
def test_keys_that_readers_take_apart_are_refused(key: str) -> None:
    with pytest.raises(ShardError, match="key"):
        encode(dataclasses.replace(make_sample(0), key=key), 0)


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_scores_that_json_cannot_say_are_refused(score: float) -> None:
    with pytest.raises(ShardError, match="ebooks"):
        encode(dataclasses.replace(make_sample(0), scores={"s": score}), 0)


@pytest.mark.parametrize("text", ["lone \ud800 surrogate"])
def test_text_that_utf_8_cannot_say_is_refused(text: str) -> None:
    with pytest.raises(ShardError, match="cannot be written"):
        encode(dataclasses.replace(make_sample(0), segments=(Text(text),)), 0)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.floats(-1e15, 1e15))
def test_json_says_any_text_and_score(text: str, score: float) -> None:
    sample = dataclasses.replace(
        make_sample(0), segments=(Text(text),), scores={"s": score, "a": 1.0}, extras={text: text}
    )
    record = bytes(encode(sample, 0).payloads[0])
    assert json.loads(record) == to_json(sample)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> object:
        yield encode(make_sample(0), 1)
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="fire"):
        write_shard(str(tmp_path / "s.tar"), failing())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_remote_store_gets_the_same_bytes(tmp_path: Path) -> None:
    from dsvl_data import storage

    samples = [make_sample(i) for i in range(3)]
    local = write(tmp_path / "s.tar", samples)
    write_shard("memory://bucket/s.tar", [encode(sample, 7) for sample in samples])
    assert storage.read_bytes("memory://bucket/s.tar") == Path(local).read_bytes()
    remote = read_index("memory://bucket/s.tar")
    assert [read_sample("memory://bucket/s.tar", entry) for entry in remote] == samples


@pytest.mark.parametrize("data", [b"", b"PAR1 no parquet", b"{}"])
def test_what_is_no_index_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "s.index.parquet").write_bytes(data)
    with pytest.raises(ValueError, match="no shard index"):
        read_index(str(tmp_path / "s.tar"))
