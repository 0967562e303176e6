"""What stands for a picture."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.render.placeholder import placeholder


def encoded(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def test_a_raster_picture_gives_its_size_and_mean_colour() -> None:
    picture = Image.new("RGB", (120, 80), (250, 0, 0))
    picture.paste((0, 0, 100), (0, 0, 60, 80))
    found = placeholder(encoded(picture))
    assert (found.width, found.height, found.colour) == ("120", "80", "rgb(125 0 50)")
    assert not set('"#%') & set(found.url.removeprefix("data:"))


def test_transparency_thins_the_colour_and_does_not_darken_it() -> None:
    picture = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    picture.paste((10, 200, 30, 255), (0, 0, 20, 40))
    assert placeholder(encoded(picture)).colour == "rgb(10 200 30 / 0.5)"
    assert placeholder(encoded(Image.new("RGBA", (4, 4)))).colour == "transparent"


def test_a_picture_on_its_side_stands_as_browsers_show_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = placeholder(encoded(Image.new("RGB", (30, 10)), "JPEG", exif=exif.tobytes()))
    assert (found.width, found.height) == ("10", "30")


def test_an_svg_keeps_how_it_is_sized() -> None:
    drawing = (
        b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10"><style>.a{fill:#00f}</style>'
        b'<rect class="a" width="20" height="10"/></svg>'
    )
    found = placeholder(drawing)
    assert (found.width, found.height, found.view_box) == ("", "", "0 0 20 10")
    assert found.colour == "rgb(0 0 255)"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no picture", Reason.BAD_IMAGE),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', Reason.BAD_IMAGE),
        (encoded(Image.new("1", (9000, 9000))), Reason.IMAGE_BOMB),
    ],
)
def test_hostile_pictures_have_a_reason(data: bytes, reason: Reason) -> None:
    with pytest.raises(DocumentError) as caught:
        placeholder(data)
    assert caught.value.reason is reason
