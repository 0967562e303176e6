"""The plain margins of a screenshot, cut off."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow


def trim(picture: Pillow.Image, margin: int) -> Pillow.Image:
    """Cut off each side as far as it has one colour, but for `margin` pixels.

    Each side has its own: a figure with a ground of its own may touch one edge of the page.
    A picture of one colour stays as it is.
    """
    pixels = np.asarray(picture)
    if (pixels == pixels[0, 0]).all():
        return picture
    height, width = pixels.shape[:2]
    top, bottom = _plain(pixels), height - _plain(pixels[::-1])
    left, right = _plain(pixels.swapaxes(0, 1)), width - _plain(pixels.swapaxes(0, 1)[::-1])
    return picture.crop(
        (
            max(0, left - margin),
            max(0, top - margin),
            min(width, right + margin),
            min(height, bottom + margin),
        )
    )


def _plain(rows: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> int:
    """Return how many of the first rows are all of the first one's colour."""
    return int(np.argmax((rows != rows[0, 0]).any(axis=(1, 2))))
