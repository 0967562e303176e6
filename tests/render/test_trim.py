"""What surrounds a figure goes, but for a margin; the figure stays whole."""

from __future__ import annotations

from PIL import Image as Pillow
from PIL import ImageDraw

from dsvl_data.render.trim import trim


def drawn(*boxes: tuple[int, int, int, int]) -> Pillow.Image:
    picture = Pillow.new("RGB", (300, 200), "white")
    for box in boxes:
        ImageDraw.Draw(picture).rectangle(box, fill="navy")
    return picture


def test_a_figure_in_the_middle_keeps_a_margin() -> None:
    assert trim(drawn((100, 50, 149, 99)), 8).size == (66, 66)


def test_the_margin_ends_at_the_edge() -> None:
    assert trim(drawn((5, 50, 299, 99)), 8).size == (300, 66)


def test_a_figure_that_touches_an_edge_is_cut_at_the_others() -> None:
    canvas = drawn((0, 0, 99, 192))
    ImageDraw.Draw(canvas).ellipse((20, 20, 80, 80), fill="orange")
    found = trim(canvas, 8)
    assert found.size == (108, 200)
    assert found.getpixel((50, 50)) == (255, 165, 0)


def test_what_two_figures_leave_between_them_stays() -> None:
    assert trim(drawn((10, 10, 20, 20), (280, 180, 290, 190)), 0).size == (281, 181)


def test_a_picture_of_one_colour_stays() -> None:
    assert trim(drawn(), 8).size == (300, 200)
