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
    # A channel after the other: NumPy is slow where an axis is short.
    channels = np.ascontiguousarray(np.asarray(picture).reshape(-1, 3).T)
    # 32 levels a channel, so that a background with noise is still one colour.
    red, green, blue = (channels >> 3).astype(np.uint16)
    codes = (red << 10) | (green << 5) | blue
    background = channels[:, np.argmax(codes == np.bincount(codes).argmax())]
    visible = np.zeros(len(codes), bool)
    for channel, level in zip(channels, background, strict=True):
        # A channel has 256 values only: what each is worth is looked up.
        visible |= (np.abs(np.arange(256) - int(level)) > _VISIBLE)[channel]
    return float(np.count_nonzero(visible) / len(visible))
