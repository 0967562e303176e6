"""Pictures pass with the bytes they were published with, or changed as the module says."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.pictures import to_image
from tests.hostile_inputs import giant_png

RED, BLUE = (220, 30, 30), (30, 30, 220)


def halves(size: tuple[int, int] = (24, 16), mode: str = "RGB") -> Pillow.Image:
    """Red on the left, blue on the right."""
    picture = Pillow.new("RGB", size, RED)
    picture.paste(BLUE, (size[0] // 2, 0, *size))
    return picture.convert(mode)


def encoded(picture: Pillow.Image, kind: str, **settings: Any) -> bytes:
    sink = io.BytesIO()
    picture.save(sink, kind, **settings)
    return sink.getvalue()


def turned(kind: str, orientation: int, **settings: Any) -> bytes:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    return encoded(halves(), kind, exif=exif, **settings)


def pixel(data: bytes, x: int, y: int) -> tuple[int, ...]:
    found = Pillow.open(io.BytesIO(data)).convert("RGB").getpixel((x, y))
    assert isinstance(found, tuple)
    return found


def near(found: tuple[int, ...], wanted: tuple[int, ...], by: int = 40) -> bool:
    return all(abs(a - b) < by for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (encoded(halves(), "JPEG"), "jpg"),
        (encoded(halves(mode="L"), "JPEG", progressive=True), "jpg"),
        (encoded(halves(), "JPEG") + b"\0\0\0", "jpg"),  # padded
        (turned("JPEG", 1), "jpg"),
        (encoded(halves(), "PNG"), "png"),
        (encoded(halves(mode="P"), "PNG"), "png"),
        (encoded(halves(mode="1"), "PNG"), "png"),
        (encoded(halves(mode="RGBA"), "PNG"), "png"),
        (encoded(halves(), "PNG") + b"more", "png"),  # it decodes, whatever comes behind
        (encoded(halves(mode="P"), "GIF"), "gif"),
        (encoded(halves(), "WEBP"), "webp"),
        (encoded(halves(), "WEBP", lossless=True), "webp"),
    ],
)
def test_bytes_pass_untouched(data: bytes, kind: str) -> None:
    image, change = to_image(data)
    assert (image.data, image.format, image.width, image.height) == (data, kind, 24, 16)
    assert change == ""


@pytest.mark.parametrize("orientation", range(2, 9))
def test_turned_by_exif_is_drawn_upright(orientation: int) -> None:
    image, change = to_image(turned("JPEG", orientation, quality=95))
    assert (image.format, change) == ("jpg", "exif-rotated")
    upright = (24, 16) if orientation < 5 else (16, 24)
    assert (image.width, image.height) == upright
    # Where what was left comes to lie.
    width, height = upright
    red = {
        2: (width - 2, 8), 3: (width - 2, 8), 4: (2, 8),
        5: (8, 2), 6: (8, 2), 7: (8, height - 2), 8: (8, height - 2),
    }[orientation]  # fmt: skip
    assert near(pixel(image.data, *red), RED)
    assert Pillow.open(io.BytesIO(image.data)).getexif().get(0x0112, 1) == 1  # and not twice
    assert to_image(image.data) == (image, "")


def test_exif_of_other_formats() -> None:
    assert to_image(turned("PNG", 6))[1] == "exif-rotated"
    webp, change = to_image(turned("WEBP", 6))
    assert (webp.format, webp.width, change) == ("jpg", 16, "exif-rotated")
    lossless, _ = to_image(turned("WEBP", 6, lossless=True))
    assert lossless.format == "png"
    # EXIF that is broken, or says something impossible, turns nothing.
    assert to_image(turned("JPEG", 77))[1] == ""
    damaged = turned("JPEG", 6).replace(b"Exif\0\0MM\0*", b"Exif\0\0XXXX")
    assert to_image(damaged)[1] == ""


def test_cmyk_becomes_rgb() -> None:
    image, change = to_image(encoded(halves(mode="CMYK"), "JPEG", quality=95))
    assert (image.format, change) == ("jpg", "was CMYK")
    assert near(pixel(image.data, 3, 8), RED)
    assert near(pixel(image.data, 20, 8), BLUE)


def wide_rgb() -> bytes:
    """A PNG with 16 bits a channel, which Pillow reads and does not write."""
    row = b"\0" + b"".join(struct.pack(">3H", *(c * 257 for c in RED)) for _ in range(24))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 24, 16, 16, 2, 0, 0, 0)
    body = zlib.compress(row * 16)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def test_sixteen_bits_become_eight() -> None:
    image, change = to_image(wide_rgb())
    assert (image.format, change) == ("png", "was 16 bit")
    assert pixel(image.data, 3, 8) == RED
    assert image.data[24] == 8
    grey = Pillow.fromarray(np.full((16, 24), 0x8041, np.uint16))
    for kind in ("PNG", "TIFF"):
        image, change = to_image(encoded(grey, kind))
        assert "was 16 bit" in change
        assert Pillow.open(io.BytesIO(image.data)).getpixel((0, 0)) == 0x80


def test_bmp_and_tiff_become_png() -> None:
    for kind, mode in (("BMP", "RGB"), ("TIFF", "RGB"), ("TIFF", "CMYK"), ("TIFF", "1")):
        image, change = to_image(encoded(halves(mode=mode), kind))
        assert image.format == "png"
        assert change.startswith(f"was {kind.lower()}")
        assert near(pixel(image.data, 3, 8), RED) or mode == "1"
    floats = Pillow.fromarray(np.ones((4, 4), np.float32))
    with pytest.raises(DocumentError, match="mode F") as error:
        to_image(encoded(floats, "TIFF"))
    assert error.value.reason is Reason.BAD_IMAGE


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame(kind: str) -> None:
    frames = [Pillow.new("RGB", (24, 16), colour) for colour in (RED, BLUE)]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **lossless)
    image, change = to_image(data)
    assert image.format == "png"
    assert "first frame" in change
    assert near(pixel(image.data, 3, 8), RED)
    assert to_image(image.data) == (image, "")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_what_is_cut_off_is_no_image(kind: str) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    data = encoded(Pillow.fromarray(noise), kind)
    for end in (len(data) * 2 // 3, 30, 3):
        with pytest.raises(DocumentError) as error:
            to_image(data[:end])
        assert error.value.reason is Reason.BAD_IMAGE


def noise_png(**settings: Any) -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    return encoded(Pillow.fromarray(noise), "PNG", **settings)


@pytest.mark.parametrize(
    "data",
    # Stored pixels decode to other ones without a word, whichever byte is another.
    [noise_png(), noise_png(compress_level=0), encoded(Pillow.fromarray(np.eye(64) > 0), "PNG")],
)
def test_a_png_with_one_byte_changed_is_no_image(data: bytes) -> None:
    start = data.index(b"IDAT") + 4
    for place in range(start, len(data) - 16, max(1, (len(data) - start) // 40)):
        changed = data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]
        with pytest.raises(DocumentError) as error:
            to_image(changed)
        assert error.value.reason is Reason.BAD_IMAGE


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.BAD_IMAGE),
        (b"<html>404 Not Found</html>", Reason.BAD_IMAGE),
        (b"\0" * 5000, Reason.BAD_IMAGE),
        (giant_png(), Reason.IMAGE_BOMB),
    ],
)
def test_what_is_no_picture(data: bytes, reason: Reason) -> None:
    with pytest.raises(DocumentError) as error:
        to_image(data)
    assert error.value.reason is reason


def test_what_is_said_of_bytes_is_the_same_each_time() -> None:
    said = set()
    for _ in range(2):
        with pytest.raises(DocumentError) as error:
            to_image(b"<html>404 Not Found</html>")
        said.add(error.value.detail)
    assert said == {"no image, or of an unknown format"}
