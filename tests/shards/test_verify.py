"""Each kind of damage is found, named and told how to mend; sound shards pass."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvl_data.sample import Image, Text
from dsvl_data.shards.build import ShardSettings, build_shards
from dsvl_data.shards.index import index_path, read_index
from dsvl_data.shards.manifest import read_manifest
from dsvl_data.shards.verify import Verification, verify
from dsvl_data.shards.write import ShardError, encode, write_shard
from tests.shards.conftest import MakeCorpus, make_sample, write_part

SETTINGS = ShardSettings(target_mb=0.1, group_mb=0.3)


@pytest.fixture
def corpus(make_corpus: MakeCorpus) -> Path:
    out = make_corpus()
    build_shards(str(out), SETTINGS, executor="local")
    return out


def first_shard(out: Path) -> Path:
    return out / read_manifest(str(out)).shards[0].path


def whats(result: Verification) -> str:
    return "\n".join(str(problem) for problem in result.problems)


def test_sound_shards_pass_in_one_process_and_in_two(corpus: Path) -> None:
    one = verify(str(corpus))
    assert one.ok
    assert (one.samples, one.images) == (200, read_manifest(str(corpus)).total.images)
    assert one.bytes == sum(path.stat().st_size for path in corpus.rglob("*.tar"))
    seen: list[int] = []
    two = verify(str(corpus), workers=2, progress=lambda state, total: seen.append(state.shards))
    assert two == one
    assert seen == list(range(1, one.shards + 1))


@pytest.mark.parametrize("where", ["image", "json", "header", "padding", "end"])
def test_a_flipped_byte_is_found(corpus: Path, where: str) -> None:
    shard = first_shard(corpus)
    entry = list(read_index(str(shard)))[2]
    record, image = entry.members[:2]
    offset = {
        "image": image.offset + image.size // 2,
        "json": record.offset + 3,
        "header": record.offset - 512 + 5,
        "padding": record.offset + record.size,
        "end": shard.stat().st_size - 1,
    }[where]
    data = bytearray(shard.read_bytes())
    data[offset] ^= 1
    shard.write_bytes(data)
    result = verify(str(corpus))
    assert any("hash" in problem.what for problem in result.problems), whats(result)
    assert {problem.path for problem in result.problems} == {str(shard.relative_to(corpus))}
    if where in ("image", "json"):
        assert entry.key in [problem.key for problem in result.problems]
    assert "delete the shard" in whats(result)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_shard_is_found(corpus: Path, share: float) -> None:
    shard = first_shard(corpus)
    os.truncate(shard, int(shard.stat().st_size * share))
    result = verify(str(corpus))
    assert "bytes, the manifest says" in whats(result)
    missing = [p for p in result.problems if "in the index but not in the tar" in p.what]
    assert bool(missing) == (share < 0.9)


def test_what_is_missing_is_named(corpus: Path) -> None:
    shard = first_shard(corpus)
    shard.unlink()
    other = corpus / read_manifest(str(corpus)).shards[1].path
    Path(index_path(str(other))).unlink()
    result = verify(str(corpus))
    assert f"{shard.relative_to(corpus)}: is not there" in whats(result)
    assert not any("delete" in p.remedy for p in result.problems if p.path.endswith(shard.name))
    assert f"{other.relative_to(corpus)}: has no index" in whats(result)


def test_following_the_remedy_mends_it(corpus: Path) -> None:
    shard = first_shard(corpus)
    sound = shard.read_bytes()
    shard.write_bytes(sound[:-600] + b"x" * 600)
    assert not verify(str(corpus)).ok
    shard.unlink()
    build_shards(str(corpus), SETTINGS, executor="local")
    assert shard.read_bytes() == sound
    assert verify(str(corpus)).ok


@pytest.mark.parametrize(
    "name", ["document_ocr/extra.tar", "document_ocr/.writing-x", "stray.txt", "other/x.tar"]
)
def test_files_that_nobody_names_are_found(corpus: Path, name: str) -> None:
    path = corpus / "shards" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"?")
    (problem,) = verify(str(corpus)).problems
    assert problem.path == f"shards/{name}"
    assert "not in the manifest" in problem.what


def rewrite(out: Path, change: Callable[[dict[str, object]], None]) -> None:
    path = out / "manifest.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_a_manifest_that_lies_is_found(corpus: Path) -> None:
    def lie(values: dict[str, object]) -> None:
        values["shards"][0]["samples"] += 1  # type: ignore[index]
        values["totals"]["licence"]["CC0-1.0"]["images"] += 1  # type: ignore[index]
        values["recipe"] = {"name": "another"}

    rewrite(corpus, lie)
    told = whats(verify(str(corpus)))
    assert "samples: " in told
    assert "totals" in told
    assert "recipe" in told


@pytest.mark.parametrize("text", ["", "{}", "[1]", "no json"])
def test_a_damaged_manifest_is_an_error(corpus: Path, text: str) -> None:
    (corpus / "manifest.json").write_text(text)
    with pytest.raises(ShardError, match="manifest"):
        verify(str(corpus))
    (corpus / "manifest.json").unlink()
    with pytest.raises(ShardError, match="corpus build"):
        verify(str(corpus))


def test_images_that_are_not_what_they_say_are_found(tmp_path: Path) -> None:
    good = make_sample(0)
    picture = good.images[0]
    wrong_size = dataclasses.replace(picture, width=picture.width + 1)
    wrong_kind = dataclasses.replace(picture, format="jpg")
    samples = [
        dataclasses.replace(make_sample(number), segments=(image, Text("t")))
        for number, image in enumerate([wrong_size, wrong_kind, Image(b"GIF89a", "gif", 3, 4)])
    ]
    write_part(tmp_path, "p/part-00000.parquet", samples)
    build_shards(str(tmp_path), SETTINGS, executor="local")
    result = verify(str(tmp_path))
    told = {problem.key: problem.what for problem in result.problems}
    assert f"not {picture.width + 1} x" in told[samples[0].key]
    assert "is png, its name says jpg" in told[samples[1].key]
    assert "image 0: " in told[samples[2].key]
    assert len(result.problems) == 3


def test_one_key_in_two_shards_is_found(tmp_path: Path) -> None:
    write_part(tmp_path, "a/part-00000.parquet", [make_sample(i) for i in range(3)])
    twin = dataclasses.replace(make_sample(1), category="scene_text")
    write_part(tmp_path, "b/part-00000.parquet", [twin, make_sample(9, category="scene_text")])
    build_shards(str(tmp_path), SETTINGS, executor="local")
    (problem,) = verify(str(tmp_path)).problems
    assert problem.key == twin.key
    assert "too" in problem.what


def test_a_consistent_but_foreign_shard_is_found(corpus: Path) -> None:
    # Tar and index agree with each other, not with the manifest.
    shard = first_shard(corpus)
    write_shard(str(shard), [encode(make_sample(5), 3)])
    told = whats(verify(str(corpus)))
    assert "written for another tar" in told
    assert "text_tokens: 3 by the index" in told
