"""Pictures as numbers that stay near each other when the picture is encoded again or resized.

In: the bytes of an encoded image, from anywhere. Out: a hash of 64 bits, or None where there is
nothing to tell the picture by: it is of one colour, or nearly.

The hash is the sign of the 8 x 8 lowest frequencies of a discrete cosine transform (as pHash's:
Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, section 3.2),
each against their median. Two pictures whose hashes differ in few bits *may* be the same; pages
of text all look alike to so few frequencies.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, ImageOps
from PIL import Image as Pillow

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.images import open_header

#: Bits of a hash.
BITS = 64

_SIDE = 64  # of the grey picture that is transformed, in pixels
_LOW = 8  # frequencies a side
# Standard deviation of the low frequencies, in levels of grey (of 255), below which a hash would
# be that of the noise.
_FLAT = 0.25


def perceptual_hash(data: bytes) -> int | None:
    """Return the hash of an encoded image; None for one that is flat, which resembles nothing.

    Raises `DocumentError` (`BAD_IMAGE`, `IMAGE_BOMB`) for what is none.
    """
    return hash_grey(np.asarray(small(data, _SIDE).convert("L").resize((_SIDE, _SIDE), _BOX)))


def distance(one: int, other: int) -> int:
    """Return in how many of their bits two hashes differ."""
    return (one ^ other).bit_count()


def small(data: bytes, side: int) -> Pillow.Image:
    """Decode an image at a reduced size where its format can, at least `side` pixels a side.

    Upright, RGB or grey, transparency on white. Raises `DocumentError` as `perceptual_hash`.
    """
    picture = open_header(data)
    try:
        picture.draft("RGB", (2 * side, 2 * side))  # JPEG: by a power of two, in its transform
        picture.load()
        turned = picture.getexif().get(ExifTags.Base.Orientation, 1)
        if turned != 1:
            picture = ImageOps.exif_transpose(picture)
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, TypeError) as error:
        raise DocumentError(Reason.BAD_IMAGE, f"does not decode: {error}") from error
    if picture.mode in ("RGB", "L"):
        return picture
    if picture.mode.startswith("I;16"):
        return Pillow.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    rgba = picture.convert("RGBA")
    return Pillow.alpha_composite(Pillow.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def hash_grey(grey: NDArray[np.uint8]) -> int | None:
    """Return the hash of a square grey picture of 64 x 64 pixels, None for a flat one."""
    waves = _waves(_SIDE, _LOW)
    low = (waves @ grey.astype(np.float64) @ waves.T).ravel()
    if low[1:].std() < _FLAT:
        return None
    bits = low > np.median(low[1:])
    bits[0] = low[0] > 127.5  # the mean says something only against the middle
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


_BOX = Pillow.Resampling.BOX


@lru_cache(maxsize=4)
def _waves(side: int, low: int) -> NDArray[np.float64]:
    """The lowest waves of the cosine transform (type II), each scaled to the mean."""
    at = (np.arange(side) + 0.5) * np.pi / side
    waves: NDArray[np.float64] = np.cos(np.arange(low)[:, None] * at[None, :]) / side
    return waves
