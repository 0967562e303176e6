"""Drawings become pictures of a sensible size, whatever units they are in."""

from __future__ import annotations

import io

import pytest
from PIL import Image as Pillow

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.svg_pictures import draw_svg


def drawing(width: float, height: float) -> bytes:
    half = f'<rect width="{width / 2}" height="{height}" fill="red"/>'
    space = "http://www.w3.org/2000/svg"
    return f'<svg xmlns="{space}" width="{width}" height="{height}">{half}</svg>'.encode()


def no_check(width: int, height: int) -> None:
    """Whatever the size, it is wanted."""


@pytest.mark.parametrize(
    ("size", "drawn"),
    [
        ((6, 3), (384, 192)),
        ((0.5, 0.25), (384, 192)),
        ((100, 150), (256, 384)),
        ((300, 150), (600, 300)),
        ((800, 400), (1024, 512)),
        ((5000, 2500), (1024, 512)),
    ],
)
def test_the_size_of_a_drawing(size: tuple[float, float], drawn: tuple[int, int]) -> None:
    picture = Pillow.open(io.BytesIO(draw_svg(drawing(*size), no_check))).convert("RGB")
    assert picture.size == drawn
    y = drawn[1] // 2
    assert picture.getpixel((drawn[0] // 4, y)) == (255, 0, 0)
    assert picture.getpixel((drawn[0] * 3 // 4, y)) == (255, 255, 255)


def test_the_size_that_it_gives_itself_is_checked() -> None:
    seen = []
    draw_svg(drawing(6, 3), lambda width, height: seen.append((width, height)))
    assert seen == [(6, 3)]


@pytest.mark.parametrize("size", [(5000, 1), (1, 90_000), (1e30, 1)])
def test_a_line_is_no_picture(size: tuple[float, float]) -> None:
    with pytest.raises(DocumentError) as error:
        draw_svg(drawing(*size), no_check)
    assert error.value.reason is Reason.BAD_IMAGE
