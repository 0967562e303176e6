"""Near-duplicate images of a corpus: copies go, other pages stay, however the work is cut."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from PIL import Image as Pillow

from dsvl_data.curate import near_image
from dsvl_data.curate.explain import explain
from dsvl_data.curate.hamming import masks_for
from dsvl_data.curate.run import curate
from dsvl_data.curate.settings import Curation
from dsvl_data.sample import Image, Sample, Text
from tests.curate.conftest import key, sample, write
from tests.curate.pictures import copies, image, page, scene
from tests.curate.test_run import fates, state


def shown(name: str, images: Sequence[Image], text: str = "A caption.") -> Sample:
    """A sample called `name` with these images."""
    segments = (*images, *([Text(text)] if text else []))
    return replace(sample(name, category="caption"), segments=segments)


def lost(out: Path) -> set[str]:
    """Names of those that are near-duplicates of others by their images."""
    return {name for name, why in fates(out).items() if why == "near_duplicate_image"}


def run(out: Path, **near: Any) -> None:
    rules = {"duplicates": {"near_image": near, "prefer": ["first"]}}
    curate(str(out), Curation.model_validate(rules), executor="local")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two parts of scenes and pages with copies of some, and blank images; measured, no more."""
    out = tmp_path_factory.mktemp("measured")
    blank = image(Pillow.new("RGB", (200, 200), "white"))
    grey = image(Pillow.new("RGB", (100, 100), "#fefefe"))
    write(
        out,
        made_0=[
            *(shown(f"scene{n}", [image(scene(n))]) for n in range(4)),
            *(shown(f"page{n}", [image(page(n))]) for n in range(8)),
            shown("two", [image(scene(10)), image(scene(11))]),
            shown("blank", [blank]),
            shown("none", []),
        ],
        made_1=[
            *(shown(f"scene1 {kind}", [copy]) for kind, copy in copies(scene(1)).items()),
            shown("page2 jpeg", [copies(page(2))["jpeg"]]),
            shown("other caption", [copies(scene(2))["jpeg"]], "Another caption."),
            shown("two jpeg", [copies(scene(n))["jpeg"] for n in (10, 11)]),
            shown("two turned round", [copies(scene(n))["jpeg"] for n in (11, 10)]),
            shown("one of two", [copies(scene(10))["jpeg"]]),
            shown("blank again", [grey]),
            shown("broken", [Image(b"no image", "png", 8, 8)]),
        ],
    )
    curate(str(out), Curation.model_validate({"images": {}, "duplicates": {}}), executor="local")
    return out


@pytest.fixture
def out(measured: Path, tmp_path: Path) -> Path:
    """The same, for one test."""
    return Path(shutil.copytree(measured, tmp_path / "out"))


SAME = {f"scene1 {kind}" for kind in copies(scene(1))} | {"page2 jpeg", "two jpeg"}


def test_copies_are_found_and_nothing_else(out: Path) -> None:
    run(out)
    assert lost(out) == SAME
    run(out, by="image")
    assert lost(out) == SAME | {"other caption"}
    run(out, categories=["text"])
    assert lost(out) == set()


def test_by_hash_alone_pages_would_be_taken_for_each_other(out: Path) -> None:
    """What the traits are for: without them, some of these pages are within ten bits."""
    run(out, bits=10)
    assert lost(out) == SAME
    run(out, bits=10, detail=0.5, colour=255)
    assert any(name.startswith("page") for name in lost(out) - SAME)


@pytest.mark.parametrize(("prefixes", "run_samples"), [(8, 1 << 20), (1, 1), (4, 20)])
def test_the_groups_do_not_depend_on_how_the_work_is_cut(
    out: Path, prefixes: int, run_samples: int
) -> None:
    run(out)
    whole = state(out / "curation" / "near_image")
    shutil.rmtree(out / "curation" / "near_image")
    with (
        mock.patch.object(near_image.clusters, "prefixes_for", return_value=prefixes),
        mock.patch.object(near_image, "_RUN_SAMPLES", run_samples),
        mock.patch.object(near_image, "masks_for", return_value=masks_for(10**7, 4)),
    ):
        run(out)
    cut = state(out / "curation" / "near_image")
    assert [data for data, _ in whole.values()] == [data for data, _ in cut.values()]
    assert lost(out) == SAME


def test_many_of_one_hash_are_not_compared_each_with_each(tmp_path: Path) -> None:
    """More kinds than are looked at for one hash: those beyond stay alone, none is lost twice."""
    out = write(tmp_path, made_0=[shown(str(n), [image(page(n % 5))], str(n)) for n in range(15)])
    run(out, by="image")
    assert len(lost(out)) == 10


def test_a_run_that_was_cut_short_goes_on(out: Path) -> None:
    with (
        mock.patch.object(near_image, "_write_groups", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        run(out)
    with mock.patch.object(near_image, "_edges", side_effect=AssertionError("found again")):
        run(out)
    assert lost(out) == SAME
    before = state(out / "curation")
    run(out)
    assert state(out / "curation") == before


def test_explain_shows_the_hash_and_whose_duplicate_it_is(out: Path) -> None:
    run(out)
    name = "scene1 half"
    found = explain(str(out), "made/part-00001.parquet", {key(name)})[key(name)]
    assert (found["reason"], found["of"]) == ("near_duplicate_image", key("scene1"))
    (hashed,) = found["measures"]["image_hashes"]
    assert len(hashed) == 16
    assert "image_traits" not in found["measures"]
    first = explain(str(out), "made/part-00000.parquet", {key("scene1")})[key("scene1")]
    assert first["represents"]["near_duplicate_image"]["samples"] == 6
    json.dumps([found, first])
