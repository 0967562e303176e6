"""Scaled pictures are Pillow's, to the pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from model.resample import bicubic

_SIDE = st.integers(1, 150)


@given(_SIDE, _SIDE, _SIDE, _SIDE, st.integers(0, 2**32 - 1), st.booleans())
@example(1, 1, 150, 150, 0, False)
@example(150, 150, 1, 1, 0, True)
@example(64, 33, 64, 33, 0, False)
@settings(max_examples=150, deadline=None)
def test_pixels_are_pillows(
    width: int, height: int, new_width: int, new_height: int, seed: int, sharp: bool
) -> None:
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (height, width, 3), np.uint8)
    if sharp:  # the filter overshoots, and must be cut off at black and white
        pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)
    expected = Image.fromarray(pixels).resize((new_width, new_height), Image.Resampling.BICUBIC)

    found = bicubic(pixels, new_width, new_height)

    assert np.array_equal(found, np.asarray(expected).transpose(2, 0, 1))


@pytest.mark.parametrize("size", [(271, 384), (724, 1024), (1449, 2048)])
def test_a_page_is_pillows(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1754, 1240, 3), np.uint8)
    expected = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)

    assert np.array_equal(bicubic(pixels, *size), np.asarray(expected).transpose(2, 0, 1))


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="no RGB picture"):
        bicubic(np.zeros((4, 4), np.uint8), 2, 2)
    with pytest.raises(ValueError, match="2 x 0 pixels has no content"):
        bicubic(np.zeros((4, 4, 3), np.uint8), 2, 0)
