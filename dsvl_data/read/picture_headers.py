"""The headers of plain JPEGs and PNGs, read without Pillow, which takes ten times as long.

In: the bytes of an encoded picture. Out: its format and size if its header says, beyond doubt,
that it is upright, 8 bits a channel, grey or RGB and one frame; else nothing, and Pillow is asked.
Of a PNG also whether the checksums of its chunks are right.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.sample import ImageFormat

_FRAMES = frozenset((0xC0, 0xC1, 0xC2))  # baseline, extended, progressive; all by Huffman
_SCAN = 0xDA
# Tables, a comment and applications' own, but for EXIF, which may turn the picture, a list of
# pictures, of which it is one of several then, and Adobe's mark, by which channels are others.
_PASSED = frozenset((0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0))) - {0xE1, 0xE2, 0xEE}
_CHUNKS = frozenset(
    (b"PLTE", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"tEXt", b"bKGD", b"hIST",
     b"pHYs", b"sPLT", b"tIME")
)  # fmt: skip
_DEPTHS = {0: (1, 2, 4, 8), 2: (8,), 3: (1, 2, 4, 8), 4: (8,), 6: (8,)}
_PNG = b"\x89PNG\r\n\x1a\n"
_SEGMENT = struct.Struct(">BBH").unpack_from
_MOST = 100  # segments or chunks in front of the picture


class Header(NamedTuple):
    """What a plain picture's header says; sizes in pixels."""

    format: ImageFormat
    width: int
    height: int


def plain_header(data: bytes) -> Header | None:
    """Return the header of a picture that can be passed on as it is, None where it takes a look.

    None too for what is damaged: nothing is ever refused here.
    """
    try:
        if data[:3] == b"\xff\xd8\xff":
            return _jpeg(data)
        if data[:8] == _PNG:
            return _png(data)
    except (struct.error, IndexError):
        pass  # cut off within its header: Pillow says how
    return None


def is_whole_png(data: bytes) -> bool:
    """Whether a PNG's chunks are all there with the right checksums, and nothing behind them.

    Raises `DocumentError` (`BAD_IMAGE`) for a wrong checksum in what makes the picture: Pillow
    looks at none within the pixels, and shows others than were written.
    """
    view, offset, whole = memoryview(data), len(_PNG), True
    while offset + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, offset)
        end = offset + 8 + size
        if end + 4 > len(data):
            return False
        kind = data[offset + 4 : offset + 8]
        if zlib.crc32(view[offset + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            if kind[:1].isupper():  # a critical chunk
                name = kind.decode("ascii", "replace")
                raise DocumentError(Reason.BAD_IMAGE, f"the checksum of its {name} is wrong")
            whole = False
        offset = end + 4
        if kind == b"IEND":
            return whole and offset == len(data)
    return False


def _jpeg(data: bytes) -> Header | None:
    offset, header = 2, None
    for _ in range(_MOST):
        mark, marker, size = _SEGMENT(data, offset)
        if mark != 0xFF:
            return None
        if marker in _PASSED:
            offset += 2 + size
            continue
        if marker == _SCAN:
            return header
        if marker in _FRAMES:
            bits, height, width, channels = struct.unpack_from(">BHHB", data, offset + 4)
            if header or bits != 8 or channels not in (1, 3) or size != 8 + 3 * channels:
                return None
            header = Header("jpg", width, height) if width and height else None
            offset += 2 + size
        else:
            return None
    return None


def _png(data: bytes) -> Header | None:
    size, kind, width, height, depth, colour = struct.unpack_from(">I4sIIBB", data, 8)
    if size != 13 or kind != b"IHDR" or depth not in _DEPTHS.get(colour, ()):
        return None
    if zlib.crc32(data[12:29]) != int.from_bytes(data[29:33], "big"):
        return None
    offset = 33
    for _ in range(_MOST):
        size, kind = struct.unpack_from(">I4s", data, offset)
        if kind == b"IDAT":
            if b"eXIf" in data:  # it may stand behind the picture
                return None
            return Header("png", width, height) if width and height else None
        if kind not in _CHUNKS or data.startswith(b"Raw profile", offset + 8):
            return None
        offset += 12 + size
    return None
