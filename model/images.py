"""From a picture of any size to what the towers see: a padded square, then its normalised forms.

In: a PIL image. Out, on the data worker: uint8, [3, S, S], a quarter of float32's bytes to move.
Then, on the device: the float image of each tower (`normalise`, `low_resolution`).

The sizes are those of the model's authors, to the pixel: they truncate where other ports round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from model.resample import bicubic

#: No side of a picture becomes shorter than this, however long the other one is.
SHORTEST_SIDE = 14


class Placement(NamedTuple):
    """Where a picture lies in its square, in pixels."""

    left: int
    top: int
    width: int
    height: int


def place(width: int, height: int, size: int) -> Placement:
    """Where a picture of `width` x `height` lies in a square of `size`: as large as fits, centred.

    The order of the arithmetic is part of the format: `side / longest * size`, truncated.
    """
    if width < 1 or height < 1:
        raise ValueError(f"an image of {width} x {height} pixels has no content")
    if size < SHORTEST_SIDE:
        raise ValueError(f"an image size of {size} is below {SHORTEST_SIDE}, the shortest side")
    longest = max(width, height)
    scaled_width = max(int(width / longest * size), SHORTEST_SIDE)
    scaled_height = max(int(height / longest * size), SHORTEST_SIDE)
    return Placement(
        (size - scaled_width) // 2, (size - scaled_height) // 2, scaled_width, scaled_height
    )


def padding_colour(mean: Sequence[float]) -> tuple[int, int, int]:
    """The colour around a picture: the mean of its tower's normalisation, truncated to a byte."""
    red, green, blue = (int(255 * channel) for channel in mean)
    return red, green, blue


def square_image(image: Image.Image, size: int, mean: Sequence[float]) -> torch.Tensor:
    """Scale (bicubic) and pad a picture to `size`: uint8, [3, size, size], RGB.

    Raises `ValueError` for a picture without pixels. Transparency is dropped, not blended, as the
    model's authors do.
    """
    placement = place(image.width, image.height, size)
    left, top, width, height = placement
    # Converting RGB to RGB would be a copy of the whole picture.
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    square = np.empty((3, size, size), np.uint8)
    square[:] = np.reshape(padding_colour(mean), (3, 1, 1))
    square[:, top : top + height, left : left + width] = bicubic(np.asarray(rgb), width, height)
    return torch.from_numpy(square)


def unit_range(images: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """uint8 images, [N, 3, S, S], as floats from 0 to 1."""
    if images.dtype != torch.uint8:
        raise TypeError(f"images come as uint8, these are {images.dtype}")
    return images.to(dtype) / 255


def normalise(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Float images, [N, 3, S, S], less the mean and over the deviation of each channel."""
    shape = (1, 3, 1, 1)
    return (images - images.new_tensor(mean).view(shape)) / images.new_tensor(std).view(shape)


def low_resolution(images: torch.Tensor, size: int) -> torch.Tensor:
    """Float images, [N, 3, S, S], at the SigLIP tower's size: bilinear, antialiased."""
    if images.shape[-2:] == (size, size):
        return images
    return functional.interpolate(
        images, size=(size, size), mode="bilinear", align_corners=False, antialias=True
    )
