"""Rules for images: what is no use goes, for its own reason; sparse pages and drawings stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter

from dsvl_data.curate.explain import explain
from dsvl_data.curate.image_hash import reduced
from dsvl_data.curate.image_rules import ImageScorer
from dsvl_data.curate.image_scores import score
from dsvl_data.curate.run import curate
from dsvl_data.curate.settings import Curation
from dsvl_data.sample import Image, Sample, Text
from tests.curate.conftest import key, sample, write
from tests.curate.pictures import encode, image, page, scene
from tests.curate.test_run import fates


def shown(name: str, *pictures: Pillow.Image | Image, category: str = "caption") -> Sample:
    images = tuple(each if isinstance(each, Image) else image(each) for each in pictures)
    return replace(sample(name, category=category), segments=(*images, Text(name)))


def drawing(width: int = 300, height: int = 200) -> Pillow.Image:
    """A black ring on white: two colours, sharp."""
    picture = Pillow.new("RGB", (width, height), "white")
    ImageDraw.Draw(picture).ellipse((20, 20, width - 20, height - 20), outline="black", width=6)
    return picture


def line_of_text() -> Pillow.Image:
    return page(4, 1).crop((50, 55, 690, 87))


def gradient() -> Pillow.Image:
    """Many levels, no edge."""
    return Pillow.linear_gradient("L").resize((300, 300)).convert("RGB")


SOUND = {
    "page": page(0),
    "one line on a page": page(1, 1),
    "drawing": drawing(),
    "line of text": line_of_text(),
    "scene": scene(0),
    "transparent": drawing().convert("RGBA"),
    "palette": drawing().quantize(2),
    "grey": page(2).convert("L"),
}
USELESS = {
    "image_too_small": drawing().resize((40, 12)),
    "image_ratio": page(3, 1).crop((50, 58, 690, 76)).resize((640, 20)),
    "blank_image": Pillow.new("RGB", (300, 300), "#20c0f0"),
    "plain_image": page(5, 1).crop((50, 55, 200, 90)),
    "blurred_image": gradient(),
    "broken_image": Image(encode(scene(1))[:300], "png", 480, 360),
}


def test_each_image_goes_for_its_reason_and_sound_ones_stay(tmp_path: Path) -> None:
    samples = [shown(name, picture) for name, picture in (SOUND | USELESS).items()]
    out = write(tmp_path, made_0=[*samples, sample("no image")])
    rules: dict[str, Any] = {"max_ratio": 25, "min_entropy": 0.02}
    curate(str(out), Curation.model_validate({"images": rules}), executor="local")
    expected = dict.fromkeys((*SOUND, "no image"))
    expected |= {why: why for why in USELESS if why not in ("plain_image",)}
    expected["plain_image"] = None
    assert fates(out) == {**expected, "image_ratio": "image_ratio"}
    # The thresholds of single rules: each is the reason that the ledger gives.
    for rule, reason in (({"min_entropy": 3}, "plain_image"), ({"min_colours": 90}, "few_colours")):
        only = dict.fromkeys(("min_ink", "min_side", "max_ratio", "min_sharpness"))
        both = {"min_entropy": None, "min_colours": None} | only | rule
        curate(str(out), Curation.model_validate({"images": both}), executor="local")
        found = fates(out)
        assert found["drawing"] == reason
        assert found["scene"] is None


def test_several_images_are_judged_together(tmp_path: Path) -> None:
    blank = USELESS["blank_image"]
    out = write(
        tmp_path,
        made_0=[
            shown("one blank", drawing(), blank, category="interleaved"),
            shown("all blank", blank, blank, category="interleaved"),
            shown("none blank", drawing(), scene(0), category="interleaved"),
        ],
    )
    for several, lost in (("all", {"all blank"}), ("any", {"all blank", "one blank"})):
        rules = Curation.model_validate({"images": {"several": several}})
        curate(str(out), rules, executor="local")
        assert {name for name, why in fates(out).items() if why} == lost
    found = explain(str(out), "made/part-00000.parquet", {key("one blank")})[key("one blank")]
    ink = score(reduced(encode(drawing())))["ink"]
    assert found["detail"] == f"image_ink is {ink:.4g}, 0, not at least 0.001 in every image"


@pytest.mark.parametrize("make", [page, scene, lambda _: drawing()])
def test_sharpness_falls_as_an_image_is_blurred(make: Any) -> None:
    picture = reduced(encode(make(0)))
    sharp = [
        score(picture.filter(ImageFilter.GaussianBlur(radius)))["sharpness"]
        for radius in (0, 1, 2, 4, 8)
    ]
    assert sharp == sorted(sharp, reverse=True)
    assert sharp[0] > 60


def test_a_page_scores_as_its_scan_at_another_resolution() -> None:
    large = page(6).resize((1440, 2040), Pillow.Resampling.LANCZOS)
    scores = [score(reduced(encode(each, "JPEG", quality=90))) for each in (page(6), large)]
    for name in ("ink", "entropy"):
        assert scores[0][name] == pytest.approx(scores[1][name], rel=0.25)


def test_a_jpeg_is_decoded_at_a_part_of_its_size() -> None:
    huge = encode(scene(2, 4000, 3000), "JPEG")
    picture = reduced(huge)
    assert 256 <= min(picture.size) <= 600


def test_images_are_scored_alike_in_any_batch() -> None:
    samples = [shown(name, picture) for name, picture in SOUND.items()]
    together = ImageScorer().score(samples)
    for row, each in enumerate(samples):
        assert {name: values[0] for name, values in ImageScorer().score([each]).items()} == {
            name: values[row] for name, values in together.items()
        }
