"""Whether a picture shows anything: the share of its pixels that are not background.

In: a decoded picture. Out: its ink, 0 (one colour) to nearly 1.
"""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow

# How far a pixel's channel must be from the background's, of 255: less is noise of JPEG.
_VISIBLE = 24
_SIDE = 2000


def ink(picture: Pillow.Image) -> float:
    """Return the share of pixels that differ visibly from the most common colour.

    Transparency is put on white, as a notebook shows it. A line chart has 0.01 to 0.1, one thin
    line alone 0.002, a photograph nearly 1.
    """
    step = -(-max(picture.size) // _SIDE)
    if step > 1:  # every n-th row and column tell as much, in bounded memory
        width, height = (max(1, side // step) for side in picture.size)
        picture = picture.resize((width, height), Pillow.Resampling.NEAREST)
    if picture.mode != "RGB":
        rgba = picture.convert("RGBA")
        ground = Pillow.new("RGBA", rgba.size, "white")
        picture = Pillow.alpha_composite(ground, rgba).convert("RGB")
    pixels = np.asarray(picture).reshape(-1, 3)
    # 32 levels a channel, so that a background with noise is still one colour.
    levels = (pixels >> 3).astype(np.uint16)
    codes = (levels[:, 0] << 10) | (levels[:, 1] << 5) | levels[:, 2]
    background = pixels[np.argmax(codes == np.bincount(codes).argmax())].astype(np.int16)
    distance = np.abs(pixels.astype(np.int16) - background).max(axis=1)
    return float(np.count_nonzero(distance > _VISIBLE) / len(distance))
