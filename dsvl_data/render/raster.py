"""A PDF page's picture, encoded losslessly and small.

In: a PyMuPDF display list and the wanted longest side in pixels. Out: `Raster`: the pixels
for the proof to look at, and an encoded `Image`. The same page gives the same bytes.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pymupdf
from numpy.typing import NDArray
from PIL import Image as Pillow
from zlib_ng import zlib_ng

from dsvl_data.sample import Image

#: Of zlib-ng, whose bytes at a level are the same on any CPU, as a cluster of unlike machines
#: needs (ISA-L's are not). Text pages are flat: without filters, level 3 comes within 3 % of the
#: size of zlib's level 2 in three fifths of its time.
_DEFLATE_LEVEL = 3
_JPEG_QUALITY = 90

#: Pictures, groups, patterns and shadings, which may have any colour.
_ANY_COLOUR = (b" Do", b" scn", b" SCN", b" sh")


@dataclass(frozen=True, slots=True)
class Raster:
    """A page's pixels and `scale` in pixels a PDF point.

    `pixels` is `(height, width, 3)` in RGB, or `(height, width)` for a page without colours.
    """

    pixels: NDArray[np.uint8]
    scale: float


def is_grey(content: bytes) -> bool:
    """Whether a page, given by its PDF operators as Chromium writes them, is drawn in greys."""
    if any(operator in content for operator in _ANY_COLOUR):
        return False
    for operator in (b" rg", b" RG"):
        inks = {before[-40:] for before in content.split(operator)[:-1]}
        if not all(len(set(ink.split()[-3:])) == 1 for ink in inks):
            return False
    return True


def rasterise(page: pymupdf.DisplayList, *, longest_side: int, grey: bool = False) -> Raster:
    """Draw a page so that its longest side has `longest_side` pixels; `grey`: has no colours."""
    # Two pixels more, cut off again: those at the edge are only partly covered by the page.
    scale = (longest_side + 2) / max(page.rect.width, page.rect.height)
    height, width = (
        min(int(side * scale) - 2, longest_side) for side in (page.rect.height, page.rect.width)
    )
    pixmap = page.get_pixmap(
        matrix=pymupdf.Matrix(scale, scale),
        colorspace=pymupdf.csGRAY if grey else pymupdf.csRGB,
        alpha=0,
        clip=pymupdf.Rect(0, 0, width / scale, height / scale),
    )
    return Raster(np.asarray(_Samples(pixmap)), scale)


class _Samples:
    """A pixmap as NumPy takes it: an array over it keeps it alive, and nothing is copied."""

    def __init__(self, pixmap: pymupdf.Pixmap) -> None:
        self._pixmap = pixmap

    @property
    def __array_interface__(self) -> Mapping[str, Any]:
        height, width, channels = self._pixmap.height, self._pixmap.width, self._pixmap.n
        return {
            "version": 3,
            "typestr": "|u1",
            "shape": (height, width) if channels == 1 else (height, width, channels),
            "data": (self._pixmap.samples_ptr, True),
        }


def encode(pixels: NDArray[np.uint8], image_format: Literal["png", "jpg"]) -> Image:
    """Encode the pixels of a `Raster`. PNG is lossless: grey or with a palette where it can be."""
    height, width = pixels.shape[:2]
    data = _png(pixels) if image_format == "png" else _jpeg(pixels)
    return Image(data, image_format, width, height)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    height, width = pixels.shape[:2]
    colour_type, rows, extra = _rows(pixels)
    lines = np.zeros((height, rows.shape[1] + 1), np.uint8)  # each line starts with filter 0
    lines[:, 1:] = rows
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + extra
        + _chunk(b"IDAT", zlib_ng.compress(lines.data, _DEFLATE_LEVEL))
        + _chunk(b"IEND", b"")
    )


def _rows(pixels: NDArray[np.uint8]) -> tuple[int, NDArray[np.uint8], bytes]:
    """The colour type of PNG that needs fewest bytes a pixel, the lines, and a palette."""
    if pixels.ndim == 2:
        return 0, pixels, b""
    height, width = pixels.shape[:2]
    green = np.ascontiguousarray(pixels[..., 1])
    # A few rows tell most coloured pages.
    palette = _palette(pixels[::16], np.ascontiguousarray(green[::16]))
    if palette is not None:
        palette = _palette(pixels, green)
    if palette is None:
        return 2, pixels.reshape(height, width * 3), b""
    if (palette == np.arange(256)[:, None]).all():
        return 0, green, b""
    return 3, green, _chunk(b"PLTE", palette.tobytes())


def _palette(pixels: NDArray[np.uint8], green: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The colours by their green value, where green alone tells the colour: one ink on paper.

    Grey pages are the simplest case. None when a page has more colours than that.
    """
    palette = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    for channel in (0, 2):
        values = np.ascontiguousarray(pixels[..., channel])
        if np.array_equal(values, green):
            continue
        table = palette[:, channel].copy()
        table[green.ravel()] = values.ravel()
        if not np.array_equal(np.take(table, green), values):
            return None
        palette[:, channel] = table
    return palette


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    if pixels.ndim == 3 and (pixels == pixels[..., 1:2]).all():
        pixels = pixels[..., 1]
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
