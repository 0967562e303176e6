"""Prompts for images: even over the leaves that suit, the same again, and read back answered."""

from __future__ import annotations

import io
import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageDraw
from typer.testing import CliRunner

from dsvl_data.engine.job import Job
from dsvl_data.engine.run import run
from dsvl_data.outcome import UserError
from dsvl_data.pipeline import InputSpec
from dsvl_data.sample import Sample, Text, from_batch
from taxonomy.commands import app
from taxonomy.even_spread import Group, spread
from taxonomy.image_kinds import DRAWN, PAGE, PHOTO, kinds_of, read_kinds
from taxonomy.prompts import Picture, Unusable, choose, find_pictures
from taxonomy.tree import load_taxonomy
from tests.engine.conftest import ledger_rows
from tests.read.packing import packed_tar

TREE = load_taxonomy()


def encoded(picture: Pillow.Image) -> bytes:
    sink = io.BytesIO()
    picture.save(sink, "PNG")
    return sink.getvalue()


def photo(seed: int = 1) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    return encoded(Pillow.fromarray(noise))


def drawing(colour: str) -> bytes:
    picture = Pillow.new("RGB", (120, 90), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((20, 20, 50, 70), fill=colour)
    draw.line((5, 80, 115, 80), fill="black", width=2)
    return encoded(picture)


def totals(given: list[dict[int, int]], leaves: int) -> list[int]:
    return [sum(one.get(leaf, 0) for one in given) for leaf in range(leaves)]


_LEAVES = 4
_GROUPS = st.lists(
    st.tuples(st.integers(1, 3), st.sets(st.integers(0, _LEAVES - 1), min_size=1)),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(groups=_GROUPS, each=st.integers(1, 3))
def test_nothing_is_more_even(groups: list[tuple[int, set[int]]], each: int) -> None:
    made = [Group(images, tuple(sorted(leaves))) for images, leaves in groups]
    found = spread(made, each, _LEAVES)
    for group, counts in zip(made, found, strict=True):
        assert set(counts) == set(group.leaves)
        assert sum(counts.values()) == group.images * min(each, len(group.leaves))
        assert all(0 <= count <= group.images for count in counts.values())
    ways = [
        [
            dict(zip(group.leaves, counts, strict=True))
            for counts in itertools.product(range(group.images + 1), repeat=len(group.leaves))
            if sum(counts) == group.images * min(each, len(group.leaves))
        ]
        for group in made
    ]
    best = min(
        sum(total**2 for total in totals(list(way), _LEAVES)) for way in itertools.product(*ways)
    )
    assert sum(total**2 for total in totals(found, _LEAVES)) == best


def test_kinds_by_what_is_measured() -> None:
    assert kinds_of(photo()) == PHOTO
    assert kinds_of(drawing("red")) == DRAWN
    assert kinds_of(drawing("grey")) == PAGE


def test_prompts_suit_their_image_and_are_of_different_leaves() -> None:
    pictures = [Picture(f"{n}.png", "x", (PHOTO, DRAWN, PAGE)[n % 3]) for n in range(30)]
    chosen = choose(pictures, TREE, each=3)
    assert Counter(p.picture.name for p in chosen) == {p.name: 3 for p in pictures}
    by_image: dict[str, set[str]] = {}
    for prompt in chosen:
        leaf = TREE.at(prompt.taxonomy)
        assert leaf is not None
        assert "one" in leaf.images
        assert prompt.picture.kinds & set(leaf.images)
        assert prompt.text in leaf.prompts[prompt.language]
        by_image.setdefault(prompt.picture.name, set()).add(prompt.taxonomy)
    assert all(len(leaves) == 3 for leaves in by_image.values())
    assert len({p.to_json()["id"] for p in chosen}) == len(chosen)


def test_leaves_prompts_and_languages_take_turns() -> None:
    pictures = [Picture(f"{n}.png", "x", PHOTO) for n in range(200)]
    chosen = choose(pictures, TREE, each=3)
    leaves = Counter(p.taxonomy for p in chosen)
    assert max(leaves.values()) - min(leaves.values()) <= 1
    for path in leaves:
        of_leaf = [p for p in chosen if p.taxonomy == path]
        languages = Counter(p.language for p in of_leaf)
        assert abs(languages["en"] - languages["zh"]) <= 1
        assert len({p.text for p in of_leaf}) == len(of_leaf)


def test_the_seed_decides_and_nothing_else() -> None:
    pictures = [Picture(f"{n}.png", "x", PHOTO) for n in range(9)]
    once = choose(pictures, TREE)
    assert choose(pictures, TREE) == once
    assert {p.to_json()["id"] for p in choose(pictures[::-1], TREE)} == {
        p.to_json()["id"] for p in once
    }
    assert choose(pictures, TREE, seed=1) != once
    assert {p.language for p in choose(pictures, TREE, languages=["zh"])} == {"zh"}
    with pytest.raises(UserError, match="'fr'"):
        choose(pictures, TREE, languages=["fr"])


def test_images_of_folders_and_of_shards(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a.png").write_bytes(photo())
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    found = list(find_pictures(str(tmp_path / "in")))
    assert [(type(one), one.name) for one in found] == [
        (Unusable, "b.png"),
        (Picture, "deep/a.png"),
    ]
    shard = tmp_path / "caption-00000.tar"
    shard.write_bytes(packed_tar({"k.json": b"{}", "k.0.png": photo()}))
    assert list(find_pictures(str(shard))) == [Picture("k.0.png", str(shard), PHOTO)]
    known = {"k.0.png": frozenset({"map"})}
    assert list(find_pictures(str(shard), known)) == [
        Picture("k.0.png", str(shard), known["k.0.png"])
    ]
    with pytest.raises(UserError, match="no image"):
        list(find_pictures(str(tmp_path / "nowhere")))


@pytest.mark.parametrize("line", ["{", "[]", '{"image": "a"}', '{"image": "a", "kinds": ["x"]}'])
def test_kinds_that_are_none_are_told_with_their_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "kinds.jsonl"
    path.write_text(f'{{"image": "b", "kinds": ["map"]}}\n\n{line}\n')
    with pytest.raises(UserError, match=r"kinds\.jsonl:3:"):
        read_kinds(path)


def test_answered_prompts_become_conversations_with_their_leaf(tmp_path: Path) -> None:
    shard = tmp_path / "images.tar"
    shard.write_bytes(packed_tar({f"{n}.png": photo(n) for n in range(3)}))
    lines = tmp_path / "prompts.jsonl"
    result = CliRunner().invoke(
        app, ["prompts", str(shard), "--to", str(lines), "--each", "2", "--json"]
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert (told["images"], told["prompts"], told["unusable"]) == (3, 6, {})
    assert sum(sum(by.values()) for by in told["leaves"].values()) == 6
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    answered = [{**record, "answer": f"Answer {n}."} for n, record in enumerate(records[:5])]
    lines.write_text("".join(json.dumps(record) + "\n" for record in [*answered, records[5]]))
    job = Job(
        name="sft",
        pipeline="pipelines.sft:PIPELINE",
        inputs=(InputSpec(path=str(lines), dataset="ours"),),
        options={"sets": {"ours": {"reader": "taxonomy_answers", "images": [str(shard)]}}},
    )
    out = tmp_path / "out"
    assert run([job], str(out), executor="local").ok
    samples: list[Sample] = [
        sample
        for part in sorted((out / "parts" / "sft").glob("*.parquet"))
        for sample in from_batch(pq.read_table(part))
    ]
    assert [sample.taxonomy for sample in samples] == [r["taxonomy"] for r in records[:5]]
    assert {sample.category for sample in samples} == {"sft_inhouse"}
    for number, sample in enumerate(samples):
        image, *texts = sample.segments
        assert image == sample.images[0]
        assert [s.text for s in texts if isinstance(s, Text)] == [
            records[number]["prompt"], f"Answer {number}.",
        ]  # fmt: skip
        assert sample.language == records[number]["language"]
    rows = ledger_rows(str(out), "sft")
    assert [row["reason"] for row in rows.values() if row["reason"]] == ["empty_turn"]
