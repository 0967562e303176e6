"""Pictures as numbers that stay near each other when the picture is encoded again or resized.

In: the bytes of an encoded image, from anywhere. Out: a hash of 64 bits to search by, or None
where there is nothing to tell the picture by (it is of one colour, or nearly); and its *traits*,
176 bytes by which two pictures are compared that the search brought together.

The hash is the sign of the 8 x 8 lowest frequencies of a discrete cosine transform, each against
their median, as pHash's (Zauner, "Implementation and Benchmarking of Perceptual Image Hash
Functions", 2010, section 3.2.1). Pages of text look alike to so few frequencies, so the traits
hold the signs of 32 x 32, and the colours of a grid of 4 x 4, since flags of one layout look
alike in grey. Among 1,292 pages, charts and pictures of real documents no two different ones had
traits nearer than `DETAIL`; of their copies (half the size, half as large again, JPEG of quality
30 to 90, WebP) nearly all had. `docs/curation.md` has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, ImageOps
from PIL import Image as Pillow

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.images import open_header

#: Bits of a hash, and bytes of traits: 1,024 bits, then 16 colours of 3 channels.
BITS, TRAITS = 64, 176
#: In how many bits of a hash a copy may differ, in what share of the fine bits, and by how many
#: levels (of 255) in a channel of its colours.
NEAR, DETAIL, COLOUR = 4, 0.15, 32

_FINE = 32  # frequencies a side
_GRID = 4  # colours a side
_SIDE = 256  # a reduced picture keeps as many pixels a side, if it had them
_LONGEST = 4096  # and on its longer side no more
_UPRIGHT = 1
_UNIT = 1 << 12  # a wave's height
_BILINEAR = Pillow.Resampling.BILINEAR
# Standard deviation of the low frequencies, in levels of grey (of 255), below which their signs
# are those of noise: that of an empty page with its number is 0.1, of one line of text 0.2.
_FLAT = 0.1


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a picture is known by; equal or near for its copies."""

    hash: int
    traits: bytes

    def resembles(
        self, other: Fingerprint, bits: int = NEAR, detail: float = DETAIL, colour: int = COLOUR
    ) -> bool:
        """Whether both are, as far as can be seen, of one picture; the limits are included."""
        fine, levels = differences(self.traits, other.traits)
        return distance(self.hash, other.hash) <= bits and fine <= detail and levels <= colour


def perceptual_hash(data: bytes) -> int | None:
    """Return the hash of an encoded image; None for a flat one, which resembles nothing.

    Raises `DocumentError` (`BAD_IMAGE`, `IMAGE_BOMB`) for what is none. Near hashes make
    candidates only: compare with `Fingerprint.resembles` before two pictures are taken for one.
    """
    found = fingerprint(reduced(data))
    return found.hash if found else None


def distance(one: int, other: int) -> int:
    """Return in how many of their bits two hashes differ."""
    return (one ^ other).bit_count()


def differences(one: bytes, other: bytes) -> tuple[float, int]:
    """Return the share of fine bits in which traits differ, and the most that a colour does."""
    first, second = (np.frombuffer(each, np.uint8) for each in (one, other))
    fine = np.bitwise_count(first[: _FINE * _FINE // 8] ^ second[: _FINE * _FINE // 8]).sum()
    colours = (each[_FINE * _FINE // 8 :].astype(np.int16) for each in (first, second))
    return float(fine) / (_FINE * _FINE), int(np.abs(next(colours) - next(colours)).max())


def reduced(data: bytes, side: int = _SIDE) -> Pillow.Image:
    """Decode an image once, JPEG at a part of its size, and reduce it by whole pixels.

    Upright, RGB or grey, transparency on white, at least `side` pixels a side where it had them.
    Raises `DocumentError` as `perceptual_hash` does.
    """
    picture = open_header(data)
    try:
        picture.draft("RGB", _at_least(picture.size, side))
        picture.load()
        if picture.getexif().get(ExifTags.Base.Orientation, _UPRIGHT) != _UPRIGHT:
            picture = ImageOps.exif_transpose(picture)
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, TypeError) as error:
        raise DocumentError(Reason.BAD_IMAGE, f"does not decode: {error}") from error
    picture = _plain(picture)
    step = max(min(picture.size) // side, -(-max(picture.size) // _LONGEST))
    return picture.reduce(step) if step > 1 else picture


def fingerprint(picture: Pillow.Image) -> Fingerprint | None:
    """Return the fingerprint of a reduced picture (grey or RGB), None for a flat one."""
    side = 4 * _FINE
    grey = np.asarray(picture.convert("L").resize((side, side), _BILINEAR), np.int64)
    waves = _waves(side, _FINE)
    fine = waves @ grey @ waves.T
    low = np.ascontiguousarray(fine[:8, :8])
    if low.ravel()[1:].std() < _FLAT * (_UNIT * side) ** 2:
        return None
    colours = picture.convert("RGB").resize((_GRID, _GRID), _BILINEAR)
    number = int.from_bytes(np.packbits(_signs(low)).tobytes(), "big")
    return Fingerprint(number, np.packbits(_signs(fine)).tobytes() + colours.tobytes())


def _signs(waves: NDArray[np.int64]) -> NDArray[np.bool_]:
    values = waves.ravel()
    signs: NDArray[np.bool_] = values > np.median(values[1:])
    signs[0] = False  # how bright it is on the whole says little, and the colours say it
    return signs


def _at_least(size: tuple[int, int], side: int) -> tuple[int, int]:
    """The size that a JPEG may be decoded at: its shorter side keeps twice what is needed."""
    scale = min(1.0, 2 * side / min(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _plain(picture: Pillow.Image) -> Pillow.Image:
    if picture.mode in ("RGB", "L"):
        return picture
    if picture.mode.startswith("I;16"):
        return Pillow.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    rgba = picture.convert("RGBA")
    return Pillow.alpha_composite(Pillow.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


@lru_cache(maxsize=1)
def _waves(side: int, low: int) -> NDArray[np.int64]:
    """The lowest waves of the cosine transform (type II), in whole numbers.

    So that a sign is the same on any machine, whatever its library for floats does.
    """
    at = (np.arange(side) + 0.5) * np.pi / side
    heights = np.cos(np.arange(low)[:, None] * at[None, :]) * _UNIT
    waves: NDArray[np.int64] = np.rint(heights).astype(np.int64)
    return waves
