"""How much of a picture is drawn upon."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from dsvl_data.read.blank import ink


def test_one_colour_has_no_ink_whatever_the_mode() -> None:
    for mode in ("RGB", "RGBA", "L", "P", "1", "LA", "CMYK", "I;16"):
        assert ink(Image.new(mode, (50, 40))) == 0


def test_a_thin_line_is_seen_and_a_lone_dot_nearly_not() -> None:
    picture = Image.new("RGB", (400, 300), "white")
    draw = ImageDraw.Draw(picture)
    draw.point((5, 5), "black")
    assert 0 < ink(picture) < 0.0001
    draw.line((0, 150, 399, 150), "black")
    assert ink(picture) == pytest.approx(401 / 120_000)


def test_noise_of_compression_is_no_ink_on_any_background() -> None:
    picture = Image.effect_noise((200, 200), 6).convert("RGB")
    assert ink(picture) < 0.01
    assert ink(Image.effect_noise((200, 200), 80)) > 0.3


def test_transparency_is_white_as_a_notebook_shows_it() -> None:
    picture = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    assert ink(picture) == 0
    ImageDraw.Draw(picture).rectangle((0, 0, 49, 99), (0, 0, 0, 255))
    assert ink(picture) == pytest.approx(0.5)
    white = Image.new("RGBA", (100, 100), (255, 255, 255, 255))
    white.putalpha(Image.linear_gradient("L").resize((100, 100)))
    assert ink(white) == 0


def test_huge_and_narrow_pictures_are_thinned_out() -> None:
    picture = Image.new("L", (9000, 3), 255)
    picture.paste(0, (0, 0, 4500, 3))
    assert ink(picture) == pytest.approx(0.5, abs=0.01)
