"""A picture decoded small shows what it shows when it is decoded whole."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dsvl_data.read.images import decode


def _page(form: str, width: int = 1000, height: int = 1400) -> bytes:
    picture = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture)
    for number in range(0, height, 40):
        pen.text((20, number), "a line of words " * 9, fill=(20, 20, 120))
        pen.rectangle((600, number, 600 + number // 4, number + 20), fill=(number % 256, 90, 40))
    sink = io.BytesIO()
    picture.save(sink, form, quality=90)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("at_least", "size"),
    [(1400, (1000, 1400)), (701, (1000, 1400)), (700, (500, 700)), (384, (500, 700)),
     (200, (250, 350)), (100, (125, 175)), (10, (125, 175))],
)  # fmt: skip
def test_a_jpeg_is_decoded_no_smaller_than_asked(at_least: int, size: tuple[int, int]) -> None:
    assert decode(_page("JPEG"), at_least=at_least).size == size


@pytest.mark.parametrize("target", [384, 256, 100])
def test_what_is_decoded_small_is_the_same_picture(target: int) -> None:
    data = _page("JPEG")
    size = (target * 1000 // 1400, target)
    whole = decode(data).resize(size, Image.Resampling.BICUBIC)
    small = decode(data, at_least=target).resize(size, Image.Resampling.BICUBIC)

    difference = np.abs(np.asarray(whole, np.float64) - np.asarray(small, np.float64))

    assert 0 < difference.mean() < 3
    # A picture that is shifted by a pixel of the small one, or is another, is far off.
    moved = np.roll(np.asarray(small, np.float64), 1, axis=1)
    assert difference.mean() < 0.7 * np.abs(np.asarray(whole, np.float64) - moved).mean()


def test_only_jpegs_are_decoded_small() -> None:
    data = _page("PNG")

    assert np.array_equal(np.asarray(decode(data, at_least=100)), np.asarray(decode(data)))
