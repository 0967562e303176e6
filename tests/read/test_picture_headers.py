"""Headers of plain pictures: the same as Pillow's, and nothing for what is not plain."""

from __future__ import annotations

import io
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from dsvl_data.outcome import DocumentError
from dsvl_data.read.picture_headers import plain_header
from dsvl_data.read.pictures import to_image


def encoded(mode: str, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Pillow.new(mode, (31, 17), 1 if mode in ("1", "L", "P", "I;16") else None).save(
        buffer, kind, **options
    )
    return buffer.getvalue()


PLAIN = [
    *[("jpg", encoded(mode, "JPEG")) for mode in ("L", "RGB")],
    ("jpg", encoded("RGB", "JPEG", progressive=True, optimize=True)),
    ("jpg", encoded("RGB", "JPEG", comment=b"hello", dpi=(72, 72))),
    *[("png", encoded(mode, "PNG")) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")],
]


@pytest.mark.parametrize(("kind", "data"), PLAIN)
def test_a_plain_picture(kind: str, data: bytes) -> None:
    assert plain_header(data) == (kind, 31, 17)
    image, change = to_image(data)
    assert (image.data, image.format, image.width, image.height, change) == (data, kind, 31, 17, "")


def turned() -> bytes:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    return encoded("RGB", "JPEG", exif=exif)


def chunk(kind: bytes, content: bytes) -> bytes:
    size, check = len(content), zlib.crc32(kind + content)
    return size.to_bytes(4, "big") + kind + content + check.to_bytes(4, "big")


def with_chunk(kind: bytes, content: bytes, *, behind: bool = False) -> bytes:
    data = encoded("RGB", "PNG")
    place = data.index(b"IEND" if behind else b"IDAT") - 4
    return data[:place] + chunk(kind, content) + data[place:]


def animated() -> bytes:
    more = [Pillow.new("RGB", (31, 17), colour) for colour in ("red", "blue")]
    return encoded("RGB", "PNG", save_all=True, append_images=more)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        encoded("CMYK", "JPEG"),
        encoded("I;16", "PNG"),
        encoded("RGB", "WEBP"),
        encoded("RGB", "BMP"),
        turned(),
        animated(),
        with_chunk(b"eXIf", b"MM\0*"),
        with_chunk(b"eXIf", b"MM\0*", behind=True),
        with_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>"),
        with_chunk(b"tEXt", b"Raw profile type exif\0\nexif\n0\n"),
        encoded("RGB", "PNG").replace(b"IHDR\0\0\0\x1f", b"IHDR\0\0\0\x1e"),
    ],
)
def test_what_takes_a_closer_look(data: bytes) -> None:
    assert plain_header(data) is None


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PLAIN), st.integers(0, 700), st.integers(0, 255), st.integers(0, 900))
def test_damage_is_no_more_than_pillow_lets_pass(
    plain: tuple[str, bytes], place: int, value: int, length: int
) -> None:
    """A header that passes here has a size that Pillow reads too, if it reads anything."""
    _, data = plain
    spoilt = bytearray(data[: max(length, 40)])
    spoilt[place % len(spoilt)] = value
    header = plain_header(bytes(spoilt))
    if header is not None:
        try:
            with Pillow.open(io.BytesIO(bytes(spoilt))) as picture:
                assert picture.size == (header.width, header.height)
        except (OSError, SyntaxError, ValueError):
            pass


def test_a_plain_picture_that_is_cut_off_is_bad() -> None:
    for _, data in PLAIN:
        with pytest.raises(DocumentError):
            to_image(data[: len(data) * 2 // 3])
