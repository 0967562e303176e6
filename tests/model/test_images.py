"""Pictures in their squares: the sizes, paddings and pixels of the model's authors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model.config import CLIP_MEAN, CLIP_STD, HALF
from model.images import (
    low_resolution,
    normalise,
    padding_colour,
    place,
    square_image,
    unit_range,
)
from model.official_config import official_config


def test_every_golden_geometry(golden: Path) -> None:
    cases = json.loads((golden / "geometry.json").read_text(encoding="utf-8"))
    assert cases
    means = {padding_colour(mean): mean for mean in (CLIP_MEAN, HALF)}
    for case in cases:
        size = case["image_size"]
        placement = place(case["width"], case["height"], size)
        expected = (case["left"], case["top"], case["content_w"], case["content_h"])
        assert tuple(placement) == expected, case
        assert tuple(case["pad_rgb"]) in means, case
        assert (case["out_w"], case["out_h"]) == (size, size)


def test_the_golden_picture_is_exact(golden: Path) -> None:
    config = official_config(golden / "config.json")
    sources = sorted(golden.glob("image_*.png"))
    assert sources
    for source in sources:
        expected = np.array(Image.open(golden / source.name.replace("image_", "processed_")))
        ours = square_image(Image.open(source), config.image_size, config.mean)
        np.testing.assert_array_equal(ours.permute(1, 2, 0).numpy(), expected)


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([56, 288, 384, 1024]))
def test_a_picture_lies_inside_its_square(width: int, height: int, size: int) -> None:
    left, top, scaled_width, scaled_height = place(width, height, size)
    assert max(scaled_width, scaled_height) == size
    assert min(scaled_width, scaled_height) >= 14
    assert left >= 0
    assert left + scaled_width <= size
    assert top >= 0
    assert top + scaled_height <= size


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    assert square_image(Image.new(mode, (30, 20)), 56, CLIP_MEAN).shape == (3, 56, 56)


def test_what_is_padding_and_what_is_picture() -> None:
    square = square_image(Image.new("RGB", (40, 20), (200, 10, 0)), 56, CLIP_MEAN)
    assert square.dtype == torch.uint8
    assert square[:, 13].unique(dim=1).flatten().tolist() == [122, 116, 104]
    assert square[:, 14].unique(dim=1).flatten().tolist() == [200, 10, 0]
    assert padding_colour(HALF) == (127, 127, 127)


def test_a_size_below_the_shortest_side_is_refused() -> None:
    with pytest.raises(ValueError, match="below 14"):
        place(10, 10, 13)
    with pytest.raises(ValueError, match="no content"):
        place(0, 10, 56)


def test_the_forms_on_the_device() -> None:
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    floats = unit_range(images)
    assert floats.max() <= 1
    with pytest.raises(TypeError, match="uint8"):
        unit_range(floats)
    high = normalise(floats, CLIP_MEAN, CLIP_STD)
    restored = high * torch.tensor(CLIP_STD).view(3, 1, 1) + torch.tensor(CLIP_MEAN).view(3, 1, 1)
    torch.testing.assert_close(restored, floats)
    # Antialiased: a pixel is the mean of all that it covers; plain bilinear sees none of these.
    stripes = torch.zeros(1, 3, 64, 64)
    stripes[..., ::4] = 1
    half = low_resolution(stripes, 16)
    assert half.shape == (1, 3, 16, 16)
    inner = half[..., 1:-1]  # at the edges less is covered
    torch.testing.assert_close(inner, torch.full_like(inner, 0.25))
