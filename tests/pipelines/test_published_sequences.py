"""Published articles of any length become sequences that fit the model: in order, nothing lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dsvl_data.outcome import Reason
from dsvl_data.sample import Image, Sample, Text
from dsvl_data.shards.tokens import Estimate
from pipelines.published import PublishedOptions
from tests.pipelines.test_published import convert
from tests.read.published.records import png


def article(pictures: int, characters: int) -> dict[str, Any]:
    """A document of MMC4 with its pictures at equal distances."""
    sentences = [f"This is sentence number {n} of the article." for n in range(characters // 42)]
    step = len(sentences) // max(pictures, 1)
    return {
        "url": "http://garden.example/ferns.html",
        "text_list": sentences,
        "image_info": [
            {"image_name": f"{n}.png", "matched_text_index": n * step, "matched_sim": 0.3}
            for n in range(pictures)
        ],
    }


def write(folder: Path, *articles: dict[str, Any], pictures: int) -> dict[str, Any]:
    """Write articles and pictures; returns the options that name the latter's place."""
    (folder / "data").mkdir()
    (folder / "pictures").mkdir()
    for number in range(pictures):
        (folder / "pictures" / f"{number}.png").write_bytes(png(number))
    lines = "\n".join(map(json.dumps, articles))
    (folder / "data" / "docs_shard_0_v2.jsonl").write_text(lines)
    return {"sets": {"mmc4": {"images": [str(folder / "pictures")]}}}


def cost(sample: Sample) -> int:
    texts = "\n\n".join(s.text for s in sample.segments if isinstance(s, Text))
    return Estimate().count([texts])[0] + 576 * len(sample.images)


@pytest.mark.parametrize(("pictures", "characters"), [(30, 34_000), (3, 135_000), (0, 135_000)])
def test_an_article_is_cut_and_nothing_of_it_is_lost(
    tmp_path: Path, pictures: int, characters: int
) -> None:
    record = article(pictures, characters)
    options = write(tmp_path, record, pictures=pictures)
    samples, dropped = convert(tmp_path / "data", "mmc4", **options)
    assert dropped == []
    assert len(samples) > 5
    assert max(map(cost, samples)) <= 4096
    assert max(len(sample.images) for sample in samples) <= 6
    shown = [image.data for sample in samples for image in sample.images]
    assert shown == [png(number) for number in range(pictures)]
    said = " ".join(s.text for sample in samples for s in sample.segments if isinstance(s, Text))
    assert said.split() == " ".join(record["text_list"]).split()
    for sample in samples:
        assert sample.category == ("interleaved" if sample.images else "text")
    places = [sample.provenance.details["sequence"] for sample in samples]
    assert places == [f"{n + 1} of {len(samples)}" for n in range(len(samples))]
    assert len({sample.key for sample in samples}) == len(samples)


def test_a_picture_opens_no_sequence_without_its_sentence(tmp_path: Path) -> None:
    options = write(tmp_path, article(30, 34_000), pictures=30)
    samples, _ = convert(tmp_path / "data", "mmc4", **options)
    assert all(isinstance(sample.segments[-1], Text) for sample in samples)


def test_an_article_whose_pictures_are_missing_is_text_or_dropped(tmp_path: Path) -> None:
    options = write(tmp_path, article(2, 600), article(0, 600), pictures=0)
    samples, dropped = convert(tmp_path / "data", "mmc4", **options)
    assert [(s.category, len(s.images)) for s in samples] == [("text", 0)] * 2
    assert [d.reason for d in dropped] == [Reason.MISSING_IMAGE] * 2
    options["sequences"] = {"without_picture": "drop"}
    samples, dropped = convert(tmp_path / "data", "mmc4", **options)
    assert samples == []
    assert [(d.reason, d.item) for d in dropped if d.reason is Reason.NO_PICTURE] == [
        (Reason.NO_PICTURE, "sequence 1 of 1")
    ] * 2


def test_the_recipe_says_how_much_a_sequence_holds(tmp_path: Path) -> None:
    options = write(tmp_path, article(8, 8000), pictures=8)
    options["sequences"] = {"sequence_tokens": 1024, "image_tokens": 100, "max_images": 2}
    samples, _ = convert(tmp_path / "data", "mmc4", **options)
    assert max(len(sample.images) for sample in samples) == 2
    assert max(cost(s) - 476 * len(s.images) for s in samples) <= 1024
    with pytest.raises(ValidationError, match="at most half of a sequence"):
        PublishedOptions.model_validate({"sequences": {"image_tokens": 3000}})


def test_headings_are_borders_and_are_said_again(tmp_path: Path) -> None:
    steps = [
        {"headline": f"Do {n}.", "description": "With care. " * 40, "step_id": f"{n}"}
        for n in range(60)
    ]
    record = {"goal": "How to Pot", "methods": [{"name": "By Hand", "steps": steps}]}
    (tmp_path / "WikihowText_data.json").write_text(json.dumps(record))
    for number in range(60):
        (tmp_path / f"{number}.png").write_bytes(png(number))
    samples, _ = convert(tmp_path, "wikihow")
    assert len(samples) > 9
    for sample in samples:
        first, picture, *_ = sample.segments
        assert isinstance(first, Text)
        assert first.text == "# How to Pot\n\n## By Hand"
        assert isinstance(picture, Image)
        assert isinstance(sample.segments[-1], Text)
