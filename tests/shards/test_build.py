"""From parts to shards: the same bytes whatever happens on the way, and nothing done twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.sample import to_json
from dsvl_data.shards.build import BuildResult, ShardSettings, build_shards
from dsvl_data.shards.footer import value_bytes
from dsvl_data.shards.index import read_index, read_sample
from dsvl_data.shards.manifest import read_manifest
from dsvl_data.shards.plan import cut, read_part
from dsvl_data.shards.verify import verify
from dsvl_data.shards.write import ShardError
from tests.shards.conftest import MakeCorpus, make_sample, write_part

#: Several groups of several shards each, out of a few hundred kilobytes.
SMALL = ShardSettings(target_mb=0.08, group_mb=0.2)


def build(out: Path, settings: ShardSettings = SMALL, **options: object) -> BuildResult:
    options.setdefault("executor", "local")
    return build_shards(str(out), settings, **options)  # type: ignore[arg-type]


def contents(out: Path) -> dict[str, bytes]:
    """Everything that a build makes, but for its own notes."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in [out / "manifest.json", out / "README.md", *(out / "shards").rglob("*")]
        if path.is_file() and ".groups" not in path.parts
    }


def test_every_sample_comes_out_once_in_a_shard_of_its_category(make_corpus: MakeCorpus) -> None:
    out = make_corpus()
    manifest = build(out).manifest
    seen = {}
    for shard in manifest.shards:
        assert shard.path.startswith(f"shards/{shard.category}/{shard.category}-")
        index = read_index(str(out / shard.path))
        assert len(index) == shard.samples
        for entry in index:
            assert entry.category == shard.category
            assert entry.key not in seen
            seen[entry.key] = read_sample(str(out / shard.path), entry)
    assert len(seen) == 4 * 50 == manifest.total.samples
    for number in range(30):
        expected = make_sample(number)
        assert to_json(seen[expected.key]) == to_json(expected)
        assert seen[expected.key].images == expected.images
    numbers = [s.path for s in manifest.shards if s.category == "document_ocr"]
    assert numbers == [f"shards/document_ocr/document_ocr-{i:05d}.tar" for i in range(len(numbers))]
    assert len(numbers) > 2
    assert verify(str(out)).problems == []


def test_samples_are_shuffled_across_parts_and_by_seed(make_corpus: MakeCorpus) -> None:
    def order(name: str, seed: int) -> list[str]:
        out = make_corpus(name)
        manifest = build(out, ShardSettings(seed=seed)).manifest
        first = next(s for s in manifest.shards if s.category == "document_ocr")
        return [entry.key for entry in read_index(str(out / first.path))]

    made = [make_sample(part * 100 + i).key for part in range(4) for i in range(30)]
    one, again, other = order("a", 1), order("b", 1), order("c", 2)
    assert one == again
    assert sorted(one) == sorted(other) == sorted(made)
    assert one != other
    parts_of_first_ten = {made.index(key) // 30 for key in one[:10]}
    assert len(parts_of_first_ten) > 1


def test_same_bytes_whatever_the_row_groups_and_the_memory(make_corpus: MakeCorpus) -> None:
    plain, cut_up, spooled = make_corpus("a"), make_corpus("b", row_group_size=7), make_corpus("c")
    build(plain)
    build(cut_up)
    tight = SMALL.model_copy(update={"memory_mb": 0.01})
    build(spooled, tight)
    expected = contents(plain)
    assert contents(cut_up) == expected
    other = contents(spooled)
    # The settings stand in the manifest; nothing else may differ.
    assert json.loads(other.pop("manifest.json"))["settings"]["memory_mb"] == 0.01
    expected.pop("manifest.json")
    assert other == expected


def test_same_bytes_from_ray_and_from_one_process(
    make_corpus: MakeCorpus, ray_session: None
) -> None:
    local, on_ray = make_corpus("a"), make_corpus("b")
    build(local)
    result = build(on_ray, executor="ray", workers=2)
    assert result.written == len(result.manifest.shards)
    assert contents(on_ray) == contents(local)


def test_errors_reach_the_caller_through_ray(make_corpus: MakeCorpus, ray_session: None) -> None:
    out = make_corpus(parts=1)
    write_part(out, "ebooks/part-00001.parquet", [make_sample(0)])
    with pytest.raises(ShardError, match="occurs twice"):
        build(out, executor="ray", workers=2)


def test_a_second_run_does_nothing(make_corpus: MakeCorpus) -> None:
    out = make_corpus()
    first = build(out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    second = build(out)
    assert (first.kept, second.written, second.removed) == (0, 0, 0)
    assert second.kept == first.written
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_changed_part_rebuilds_its_group_and_removes_what_is_stale(
    make_corpus: MakeCorpus,
) -> None:
    out = make_corpus()
    build(out)
    part = out / "parts/ebooks/part-00002.parquet"
    write_part(out, "ebooks/part-00002.parquet", [make_sample(2000 + i) for i in range(5)])
    result = build(out)
    assert result.kept > 0
    assert 0 < result.written < len(result.manifest.shards)
    assert verify(str(out)).problems == []
    # As if the other part had never been there.
    fresh = make_corpus("fresh")
    (fresh / "parts/ebooks/part-00002.parquet").write_bytes(part.read_bytes())
    build(fresh)
    assert contents(out) == contents(fresh)


def test_a_category_that_is_gone_takes_its_shards_with_it(make_corpus: MakeCorpus) -> None:
    out = make_corpus()
    build(out)
    for part in (out / "parts/notebooks").iterdir():
        part.unlink()
    result = build(out)
    assert result.removed > 0
    assert {shard.category for shard in result.manifest.shards} == {"document_ocr"}
    assert verify(str(out)).problems == []


@pytest.mark.parametrize("lost", ["tar", "index", "short"])
def test_what_is_missing_is_written_again(make_corpus: MakeCorpus, lost: str) -> None:
    out = make_corpus()
    shard = out / build(out).manifest.shards[-1].path
    expected = contents(out)
    if lost == "tar":
        shard.unlink()
    elif lost == "index":
        shard.with_suffix(".index.parquet").unlink()
    else:
        os.truncate(shard, 1000)
    assert build(out).written > 0
    assert contents(out) == expected


def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(make_corpus: MakeCorpus) -> None:
    undisturbed, killed = make_corpus("a"), make_corpus("b")
    build(undisturbed)
    # A build that stops for good with its fourth shard half-written.
    program = f"""
import signal
from dsvl_data.shards import build
real, calls = build.write_shard, []
def stop_behind_the_first(samples):
    yield next(samples)
    print("half-way", flush=True)
    signal.pause()
def write_shard(path, samples):
    calls.append(path)
    return real(path, stop_behind_the_first(samples) if len(calls) == 4 else samples)
build.write_shard = write_shard
settings = build.ShardSettings(target_mb=0.08, group_mb=0.2)
build.build_shards({str(killed)!r}, settings, executor="local")
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half-way\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    names = [path.name for path in (killed / "shards").rglob("*")]
    assert any(name.startswith(".writing-") for name in names)
    assert not (killed / "manifest.json").exists()
    result = build(killed)
    assert result.kept > 0
    assert contents(killed) == contents(undisturbed)


def test_a_part_with_two_categories_is_split(tmp_path: Path) -> None:
    pages = [make_sample(i) for i in range(10)]
    texts = [make_sample(i, category="text", images=0) for i in range(10)]
    mixed = [s for pair in zip(pages, texts, strict=True) for s in pair]
    write_part(tmp_path, "mixed/part-00000.parquet", mixed)
    manifest = build(tmp_path).manifest
    assert {s.category: s.samples for s in manifest.shards} == {"document_ocr": 10, "text": 10}
    assert manifest.totals.category["text"].images == 0


def test_no_documents_kept_gives_an_empty_corpus(tmp_path: Path) -> None:
    write_part(tmp_path, "ebooks/part-00000.parquet", [])
    manifest = build(tmp_path).manifest
    assert (manifest.shards, manifest.total.samples) == ([], 0)
    assert verify(str(tmp_path)).ok


def test_without_parts_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="corpus build"):
        build(tmp_path)


def test_an_unreadable_part_is_named(make_corpus: MakeCorpus) -> None:
    out = make_corpus()
    part = out / "parts/ebooks/part-00001.parquet"
    os.truncate(part, part.stat().st_size - 20)
    with pytest.raises(ShardError, match=r"part-00001\.parquet"):
        build(out)


def test_an_unknown_category_is_named(tmp_path: Path) -> None:
    write_part(tmp_path, "x/part-00000.parquet", [make_sample(0, category="../../etc")])
    with pytest.raises(ShardError, match=r"\.\./\.\./etc"):
        build(tmp_path)


def test_files_of_others_are_left_alone(make_corpus: MakeCorpus) -> None:
    out = make_corpus()
    build(out)
    mine = out / "shards/document_ocr/notes.txt"
    mine.write_text("keep me")
    (out / "shards/document_ocr/document_ocr-99999.tar").write_text("stale")
    build(out)
    assert mine.read_text() == "keep me"
    assert not (out / "shards/document_ocr/document_ocr-99999.tar").exists()


def test_manifest_tells_recipe_and_totals(make_corpus: MakeCorpus) -> None:
    out = make_corpus()
    build(out, recipe={"name": "Kleines Korpus", "b": [1], "a": "é"})
    manifest = read_manifest(str(out))
    assert manifest.recipe == {"name": "Kleines Korpus", "b": [1], "a": "é"}
    for table in (manifest.totals.licence, manifest.totals.language, manifest.totals.pipeline):
        assert sum(counts.samples for counts in table.values()) == manifest.total.samples
        assert sum(counts.text_tokens for counts in table.values()) == manifest.total.text_tokens
    assert manifest.total.image_tokens == 576 * manifest.total.images
    assert sum(shard.samples for shard in manifest.shards) == manifest.total.samples
    text = (out / "manifest.json").read_text()
    assert str(out) not in text
    assert manifest.versions["dsvl-data"]


def test_card_is_not_broken_by_what_input_calls_itself(make_corpus: MakeCorpus) -> None:
    out = make_corpus(parts=1)
    name = "---\nlicense: mit\n---\n# | <script>alert(1)</script> `x`"
    build(out, recipe={"name": name}, dropped={"ebooks": {"no_text": 3, "timeout": 0}})
    card = (out / "README.md").read_text()
    assert card.count("\n---\n") == 1
    assert "<script>" not in card
    assert "| ebooks | no_text | 3 |" in card
    assert "timeout" not in card


def test_datasets_loads_single_image_categories(make_corpus: MakeCorpus) -> None:
    out = make_corpus()
    manifest = build(out).manifest
    cache = str(out.parent / "cache")
    files = [str(out / s.path) for s in manifest.shards if s.category == "document_ocr"]
    plain = datasets.load_dataset("webdataset", data_files=files, split="train", cache_dir=cache)
    assert plain.num_rows == 120
    row = plain[0]
    segment = row["json"]["segments"][0]
    assert row["0.png"].size == (segment["width"], segment["height"])


def test_datasets_loads_every_category_by_the_card(make_corpus: MakeCorpus) -> None:
    # Two samples of one category that share neither scores nor number of images.
    out = make_corpus()
    build(out)
    cache = str(out.parent / "cache")
    loaded = datasets.load_dataset(str(out), "interleaved", split="train", cache_dir=cache)
    assert loaded.num_rows == 28
    for row in loaded:
        named = [s["member"] for s in row["json"]["segments"] if s["type"] == "image"]
        assert [name for name in loaded.column_names if "." in name and row[name]] == named


@given(st.lists(st.integers(0, 1000), max_size=40), st.integers(1, 12))
def test_cut_covers_everything_with_no_empty_run(sizes: list[int], count: int) -> None:
    runs = cut(sizes, count)
    assert len(runs) == min(count, len(sizes))
    assert [n for start, stop in runs for n in range(start, stop)] == list(range(len(sizes)))
    assert all(start < stop for start, stop in runs)


@given(st.lists(st.integers(90, 110), min_size=50, max_size=80), st.integers(1, 5))
def test_cut_is_even(sizes: list[int], count: int) -> None:
    totals = [sum(sizes[start:stop]) for start, stop in cut(sizes, count)]
    assert max(totals) - min(totals) <= 3 * 110


def test_footer_gives_exact_bytes(tmp_path: Path) -> None:
    samples = [make_sample(i, images=2) for i in range(20)]
    write_part(tmp_path, "a/part-00000.parquet", samples)
    write_part(tmp_path, "b/part-00000.parquet", samples, row_group_size=3)
    one, other = (read_part(str(tmp_path), f"{p}/part-00000.parquet") for p in "ab")
    assert one.bytes == other.bytes
    images = sum(len(image.data) for sample in samples for image in sample.images)
    texts = sum(len(sample.text.encode()) for sample in samples)
    assert images + texts < one.bytes < images + texts + 200 * len(samples)


def test_a_writer_that_records_no_sizes_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dsvl_data.shards import plan

    write_part(tmp_path, "a/part-00000.parquet", [make_sample(i, images=2) for i in range(20)])
    recorded = read_part(str(tmp_path), "a/part-00000.parquet")
    monkeypatch.setattr(plan, "value_bytes", lambda footer: None)
    assert read_part(str(tmp_path), "a/part-00000.parquet") == recorded


@given(st.binary(max_size=200))
def test_a_damaged_footer_is_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        value_bytes(data)
