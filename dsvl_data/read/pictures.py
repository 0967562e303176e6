"""Pictures as shards hold them: the published bytes wherever that can be.

In: the bytes of an encoded picture, from anywhere. Out: an `Image`, and a word on what was
changed, or a `DocumentError`. This is the one place that decides what passes:

- PNG, JPEG, WebP and GIF with 8 bits (or fewer) a channel, upright and with one frame keep their
  bytes. That they are whole is seen by how they end, and of a PNG by the checksums of its chunks;
  one that ends otherwise is decoded to see. The others have no checksums: a JPEG with bytes
  overwritten in its scan passes, as it does with every decoder.
- Turned by EXIF: drawn upright. CMYK: RGB. 16 bits: 8 bits. BMP and TIFF: PNG. Of an animation
  and of a TIFF with several pages: the first frame, which is what every viewer shows first.
  JPEG becomes JPEG (quality 95), a lossy WebP too, all else PNG.
- Nothing in it, cut off, no picture at all: `BAD_IMAGE`. Too many pixels: `IMAGE_BOMB`.
"""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from PIL import ExifTags, ImageOps
from PIL import Image as Pillow

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.images import MAX_PIXELS, decode, open_header
from dsvl_data.read.picture_headers import is_whole_png, plain_header
from dsvl_data.sample import Image, ImageFormat

JPEG_QUALITY = 95
_FORMATS: dict[str, ImageFormat] = {
    "PNG": "png", "JPEG": "jpg", "MPO": "jpg", "WEBP": "webp", "GIF": "gif",
}  # fmt: skip
#: The modes whose channels have 8 bits and that every decoder of these formats knows.
_PLAIN_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA"})
_WIDE_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
_UPRIGHT = 1


def to_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[Image, str]:
    """Return a picture as a shard holds it, and what was done to it: empty, nothing.

    Raises `DocumentError`: `BAD_IMAGE`, `IMAGE_BOMB`.
    """
    if not data:
        raise DocumentError(Reason.BAD_IMAGE, "no bytes")
    plain = plain_header(data)
    if plain is not None and plain.width * plain.height <= max_pixels:
        if not _is_whole(data, plain.format):
            decode(data, max_pixels=max_pixels)
        return Image(data, plain.format, plain.width, plain.height), ""
    with open_header(data, max_pixels) as picture:
        changes = _changes(picture, data)
        kind = _FORMATS.get(str(picture.format))
        whole = kind is not None and _is_whole(data, kind)
        if kind is not None and not changes:
            if not whole:
                decode(data, max_pixels=max_pixels)
            return Image(data, kind, *picture.size), ""
        lossy = kind == "jpg" or (kind == "webp" and _lossy_webp(data))
    return _encode(_upright(data, max_pixels), "jpg" if lossy else "png"), ", ".join(changes)


def _changes(picture: Pillow.Image, data: bytes) -> list[str]:
    """What stands between a picture and its bytes being passed on."""
    changes = []
    if str(picture.format) not in _FORMATS:
        changes.append(f"was {str(picture.format).lower()}")
    # Of a PNG with 16 bits Pillow tells by its mode where it is grey, and else not.
    if picture.mode in _WIDE_MODES or (data[:4] == b"\x89PNG" and data[24] == 16):
        changes.append("was 16 bit")
    elif picture.mode not in _PLAIN_MODES:
        changes.append(f"was {picture.mode}")
    # MPO holds further views behind a whole JPEG, which is all that decoders look at.
    if picture.format != "MPO" and getattr(picture, "n_frames", 1) > 1:
        changes.append("first frame")
    try:
        turned = picture.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, TypeError):
        turned = _UPRIGHT  # damaged EXIF, which says nothing
    if isinstance(turned, int) and 2 <= turned <= 8:
        changes.append("exif-rotated")
    return changes


def _is_whole(data: bytes, kind: ImageFormat) -> bool:
    """Whether a picture ends as a whole one does; raises for a PNG with a wrong checksum."""
    if kind == "jpg":
        return data.rstrip(b"\0").endswith(b"\xff\xd9")
    if kind == "png":
        return is_whole_png(data)
    if kind == "gif":
        return data.endswith(b"\x3b")
    return len(data) >= int.from_bytes(data[4:8], "little") + 8


def _lossy_webp(data: bytes) -> bool:
    """Whether a WebP is a photograph: its pixels are lossy, and none is transparent."""
    position, kinds = 12, set()
    while len(header := data[position : position + 8]) == 8:
        kinds.add(header[:4])
        size = int.from_bytes(header[4:], "little")
        position += 8 + size + size % 2
    return b"VP8 " in kinds and b"ALPH" not in kinds


def _upright(data: bytes, max_pixels: int) -> Pillow.Image:
    picture = decode(data, max_pixels=max_pixels)
    try:
        upright = ImageOps.exif_transpose(picture)
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, TypeError):
        upright = picture
    if upright.mode in _WIDE_MODES:
        return Pillow.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    if upright.mode in ("I", "F"):
        # Nobody says what range these numbers have.
        raise DocumentError(Reason.BAD_IMAGE, f"pixels of mode {upright.mode}")
    if upright.mode in _PLAIN_MODES:
        return upright
    return upright.convert("RGBA" if upright.mode == "RGBa" else "RGB")


def _encode(picture: Pillow.Image, kind: Literal["png", "jpg"]) -> Image:
    buffer = io.BytesIO()
    if kind == "jpg":
        if picture.mode not in ("L", "RGB"):
            picture = picture.convert("RGB")
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
    else:
        picture.info.pop("exif", None)
        picture.save(buffer, "PNG", compress_level=2)
    return Image(buffer.getvalue(), kind, *picture.size)
