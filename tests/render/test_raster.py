"""A page's pixels and the PNG made of them."""

from __future__ import annotations

import gc
import io

import numpy as np
import pymupdf
import pytest
from PIL import Image as Pillow

from dsvl_data.render.raster import encode, rasterise


def _page(ink: tuple[float, float, float]) -> pymupdf.DisplayList:
    document = pymupdf.open()
    page = document.new_page(width=300.3, height=411.7)
    page.insert_text((40, 200), "Seen as it is drawn", fontsize=24, color=ink)
    listing: pymupdf.DisplayList = page.get_displaylist()
    return listing


@pytest.mark.parametrize("grey", [True, False])
def test_the_longest_side_is_what_was_asked_for(grey: bool) -> None:
    pixels = rasterise(_page((0, 0, 0)), longest_side=512, grey=grey).pixels

    assert pixels.shape[0] == 512
    assert abs(pixels.shape[1] - 512 * 300.3 / 411.7) <= 2
    assert pixels.ndim == (2 if grey else 3)
    assert pixels.min() < 50
    assert pixels.max() == 255


def test_pixels_outlive_the_page_and_its_drawing() -> None:
    """They lie in the drawing's own memory: nobody may free it before them."""
    expected = rasterise(_page((0, 0, 0)), longest_side=512).pixels.copy()
    pixels = rasterise(_page((0, 0, 0)), longest_side=512).pixels
    gc.collect()
    others = [rasterise(_page((1, 0, 0)), longest_side=512).pixels for _ in range(5)]

    assert (pixels == expected).all()
    assert all((other != expected).any() for other in others)


@pytest.mark.parametrize("ink", [(0, 0, 0), (0.9, 0.1, 0.2)])
@pytest.mark.parametrize("grey", [True, False])
def test_a_png_holds_every_pixel(ink: tuple[float, float, float], grey: bool) -> None:
    pixels = rasterise(_page(ink), longest_side=300, grey=grey).pixels

    image = encode(pixels, "png")

    shown = np.asarray(Pillow.open(io.BytesIO(image.data)).convert("RGB"))
    assert (image.height, image.width) == pixels.shape[:2]
    assert (shown == (pixels[..., None] if grey else pixels)).all()
