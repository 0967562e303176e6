"""Encoded images from untrusted input: what they are, checked before a pixel is decoded.

In: bytes. Out: `ImageInfo` from the header alone, or the decoded picture; a bomb or a fake is
a `DocumentError` either way.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from dsvl_data.outcome import DocumentError, Reason

#: A 50-megapixel picture takes 200 MB when decoded; nothing that a page shows needs more.
MAX_PIXELS = 50_000_000
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Format in lower case (`png`, `jpeg`, ...) and size in pixels, as the header gives them."""

    format: str
    width: int
    height: int


def inspect(data: bytes, *, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Read an image's header. Raises `DocumentError` (`BAD_IMAGE`, `IMAGE_BOMB`)."""
    with open_header(data, max_pixels) as picture:
        return ImageInfo(str(picture.format).lower(), *picture.size)


def decode(
    data: bytes, *, max_pixels: int = MAX_PIXELS, at_least: int | None = None
) -> Pillow.Image:
    """Decode an image fully, after the header passed. Raises `DocumentError` as `inspect` does.

    With `at_least`, a JPEG whose longer side is two or more times as long may come out at half,
    a quarter or an eighth of its size, its longer side no shorter than that: its decoder then
    leaves out what a smaller picture does not show, which is several times faster.
    """
    picture = open_header(data, max_pixels)
    try:
        if at_least is not None and picture.format == "JPEG":
            width, height = (max(1, at_least * n // max(picture.size)) for n in picture.size)
            picture.draft(None, (width, height))
        picture.load()
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise DocumentError(Reason.BAD_IMAGE, f"does not decode: {error}") from error
    return picture


def open_header(data: bytes, max_pixels: int = MAX_PIXELS) -> Pillow.Image:
    """Open an image without decoding it. Raises `DocumentError` as `inspect` does."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of bombs at a size of its own; ours is checked below.
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            picture = Pillow.open(io.BytesIO(data), formats=_FORMATS)
    except Pillow.DecompressionBombError as error:
        raise DocumentError(Reason.IMAGE_BOMB, str(error)) from error
    except UnidentifiedImageError as error:
        # Its message names the buffer by its address, which is another one each time.
        raise DocumentError(Reason.BAD_IMAGE, "no image, or of an unknown format") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise DocumentError(Reason.BAD_IMAGE, f"no image: {error}") from error
    width, height = picture.size
    if width * height > max_pixels:
        picture.close()
        raise DocumentError(
            Reason.IMAGE_BOMB, f"{width} x {height} pixels, the limit is {max_pixels} in all"
        )
    return picture
