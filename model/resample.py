"""Bicubic scaling of pictures: Pillow's own pixels, in a third to a half of its time.

In: uint8, [H, W, 3]. Out: uint8, [3, height, width]. Scaling a page is most of what a data worker
does beside decoding it. Pillow's filter works in integers (weights in units of 2^-22, bytes after
each of its two passes), so the same sums in another order are the same pixels; here they are done
for many pixels at once. Across, that takes rows of a strip turned into columns.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

_Bytes = NDArray[np.uint8]

#: Binary places of a weight.
_PLACES = 22
_HALF = np.int32(1 << (_PLACES - 1))
#: Pixels on each side of its centre that the filter reaches, when nothing is made smaller.
_REACH = 2.0
#: Rows of a strip, and how many columns of it are turned at a time: both stay in the cache.
_STRIP, _TURNED = 32, 16


def bicubic(pixels: _Bytes, width: int, height: int) -> _Bytes:
    """Scale to `width` x `height` as `Image.resize` does with `BICUBIC`: uint8, [3, height, width].

    Raises `ValueError` for what is no RGB picture, or for a size without pixels.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise ValueError(f"no RGB picture: {pixels.dtype}, {pixels.shape}")
    if width < 1 or height < 1:
        raise ValueError(f"a picture of {width} x {height} pixels has no content")
    rows, columns, _ = pixels.shape
    across, down = _weights(columns, width), _weights(rows, height)
    # Which pass is first shows in the last bit. This is Pillow's choice since its version 13.
    if rows - height > max(0, 2 * (columns - width)):
        lines = _down(pixels.reshape(rows, -1), *down)
        words = _across(lines.reshape(height, columns, 3), *across)
    else:
        words = _down(_across(pixels, *across).view(np.uint8), *down).view(np.uint32)
    return _planes(words)


@numba.njit(cache=True)
def _weights(
    size: int, target: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:  # pragma: no cover - compiled
    """For each new pixel: the first old one that it is made of, how many, and their weights."""
    scale = size / target
    widened = max(scale, 1.0)
    reach = _REACH * widened
    most = math.ceil(reach) * 2 + 1
    first = np.zeros(target, np.int64)
    count = np.zeros(target, np.int64)
    weights = np.zeros((target, most), np.int32)
    exact = np.zeros(most)
    for place in range(target):
        centre = (place + 0.5) * scale
        start = max(int(centre - reach + 0.5), 0)
        number = min(int(centre + reach + 0.5), size) - start
        total = 0.0
        for tap in range(number):
            exact[tap] = _curve((tap + start - centre + 0.5) * (1.0 / widened))
            total += exact[tap]
        for tap in range(number):
            weight = exact[tap] / total * (1 << _PLACES)
            weights[place, tap] = int(weight - 0.5 if weight < 0 else weight + 0.5)
        first[place], count[place] = start, number
    return first, count, weights


@numba.njit(cache=True)
def _curve(x: float) -> float:  # pragma: no cover - compiled
    """Keys' cubic convolution (1981), with his parameter of -1/2."""
    x = abs(x)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    if x < 2:
        return (((x - 5) * x + 8) * x - 4) * -0.5
    return 0.0


@numba.njit(cache=True)
def _across(
    pixels: _Bytes,
    first: NDArray[np.int64],
    count: NDArray[np.int64],
    weights: NDArray[np.int32],
) -> NDArray[np.uint32]:  # pragma: no cover - compiled
    """The pass across, to a word a pixel: [H, width]."""
    height, width, _ = pixels.shape
    target = len(first)
    result = np.empty((height, target), np.uint32)
    strip = min(_STRIP, height)  # a line of fifty million pixels is a picture too
    turned = np.zeros((width, strip), np.uint32)
    scaled = np.empty((target, strip), np.uint32)
    turned_bytes, scaled_bytes = turned.view(np.uint8), scaled.view(np.uint8)
    sums = np.empty(4 * strip, np.int32)
    for top in range(0, height, strip):
        rows = min(strip, height - top)
        for left in range(0, width, _TURNED):
            for row in range(rows):
                line = pixels[top + row]
                for x in range(left, min(left + _TURNED, width)):
                    turned[x, row] = (
                        np.uint32(line[x, 0])
                        | np.uint32(line[x, 1]) << np.uint32(8)
                        | np.uint32(line[x, 2]) << np.uint32(16)
                    )
        for x in range(target):
            _sum(turned_bytes, first[x], count[x], weights[x], sums)
            _round(sums, scaled_bytes[x])
        for row in range(rows):
            for x in range(target):
                result[top + row, x] = scaled[x, row]
    return result


@numba.njit(cache=True)
def _down(
    lines: _Bytes,
    first: NDArray[np.int64],
    count: NDArray[np.int64],
    weights: NDArray[np.int32],
) -> _Bytes:  # pragma: no cover - compiled
    """The pass down, of lines of bytes, whatever they are: [height, bytes of a line]."""
    result = np.empty((len(first), lines.shape[1]), np.uint8)
    sums = np.empty(lines.shape[1], np.int32)
    for y in range(len(first)):
        _sum(lines, first[y], count[y], weights[y], sums)
        _round(sums, result[y])
    return result


@numba.njit(cache=True)
def _planes(words: NDArray[np.uint32]) -> _Bytes:  # pragma: no cover - compiled
    height, width = words.shape
    planes = np.empty((3, height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            word = words[y, x]
            planes[0, y, x] = word & np.uint32(255)
            planes[1, y, x] = word >> np.uint32(8) & np.uint32(255)
            planes[2, y, x] = word >> np.uint32(16) & np.uint32(255)
    return planes


@numba.njit(cache=True)
def _sum(
    lines: _Bytes, first: int, count: int, weights: NDArray[np.int32], sums: NDArray[np.int32]
) -> None:  # pragma: no cover - compiled
    """The weighted sum of neighbouring lines; the compiler does eight bytes of it at once."""
    sums[:] = _HALF
    for tap in range(count):
        weight, line = weights[tap], lines[first + tap]
        for i in range(len(sums)):
            sums[i] += weight * np.int32(line[i])


@numba.njit(cache=True)
def _round(sums: NDArray[np.int32], line: _Bytes) -> None:  # pragma: no cover - compiled
    for i in range(len(sums)):
        line[i] = np.uint8(min(max(sums[i] >> _PLACES, np.int32(0)), np.int32(255)))
