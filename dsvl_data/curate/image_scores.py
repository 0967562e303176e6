"""What a picture is like, without a model: a reduced picture in, a few numbers out.

All are of the picture at some 256 to 512 pixels a side, so that a page scanned at 300 dpi and
the same page on a web site get the same. What each means is in `IMAGE_SCORES`; which rule looks
at it in `image_rules.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from dsvl_data.read.blank import ink

#: What is scored, and what it means.
IMAGE_SCORES: Mapping[str, str] = MappingProxyType(
    {
        "ink": "share of pixels that are visibly not of the background's colour, 0 to 1",
        "entropy": "of the histogram of grey levels, in bits, 0 to 8",
        "sharpness": "variance of the Laplacian of a grey thumbnail, in squared grey levels",
        "colours": "colours in 32 levels a channel, each of at least one pixel in 20,000",
    }
)

_SIDE = 256  # of the thumbnail whose edges are measured, in pixels
_RARE = 20_000


def score(picture: Pillow.Image) -> dict[str, float]:
    """Score a reduced picture (RGB or grey, see `image_hash.reduced`)."""
    grey = picture.convert("L")
    return {
        "ink": ink(picture),
        "entropy": _entropy(grey),
        "sharpness": _sharpness(grey),
        "colours": _colours(picture),
    }


def _entropy(grey: Pillow.Image) -> float:
    counts = np.array(grey.histogram(), np.float64)
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def _sharpness(grey: Pillow.Image) -> float:
    """The usual measure of focus (Pech-Pacheco et al., "Diatom autofocusing", 2000, section 2)."""
    small = grey.copy()
    small.thumbnail((_SIDE, _SIDE), Pillow.Resampling.BILINEAR)
    levels = np.asarray(small, np.int32)
    if min(levels.shape) < 3:
        return 0.0
    inner = levels[1:-1, 1:-1]
    edges = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:] - 4 * inner
    return float(edges.var())


def _colours(picture: Pillow.Image) -> int:
    channels: NDArray[np.uint8] = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    red, green, blue = (channels[:, channel].astype(np.uint16) >> 3 for channel in range(3))
    counts = np.bincount((red << 10) | (green << 5) | blue)
    return int(np.count_nonzero(counts > len(channels) // _RARE))
