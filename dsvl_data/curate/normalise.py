"""The form of a text in which near-duplicates are looked for, and its tables for a fast kernel.

In: a text. Out: the normalised text and its tokens, in Python (the definition, and what rare
texts take), and the same as tables by code point (`TABLES`) for `minhash_kernel.py`.

The normal form, in this order: lower case (`str.lower`), canonical decomposition (Unicode's
NFD: context-free but for the order of marks, which NFC is not), white space to single spaces.
Punctuation stays. A token is a word, or a single character of a script that is written without
spaces (Han, kana, Thai, Lao, Khmer, Burmese and their punctuation) with its marks; white space
between two such characters is dropped, as the ends of lines mean nothing there. Five tokens in
a row are thus five words of English, five characters of Chinese, and the like of a mixture.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

WORD: Final = 0  # classes of characters
SPACE: Final = 1
ALONE: Final = 2
MARK: Final = 3
CONTEXT: Final = 4  # its normal form depends on its neighbours: left to Python

_BLOCK = 256  # code points
_HIGHEST = 0x110000
_SPACELESS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # radicals
    (0x3000, 0x30FF),  # punctuation, kana
    (0x3190, 0x319F),
    (0x31C0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF01, 0xFF9F),  # full-width forms, half-width kana
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFF),
)


_MARK_OR_SPACE: Final = {"Mn", "Mc", "Me", "Zs", "Zl", "Zp"}
# The limits of the ranges that fall within a block.
_CUTS = [point for first, last in _SPACELESS for point in (first, last + 1)]


class Tables(NamedTuple):
    """What becomes of each code point, in two levels: `entries[pages[point >> 8], point & 255]`.

    An entry holds the class in bits 0-7, the combining class of the first and of the last
    character that it becomes in bits 8-15 and 16-23, and, when it changes, the length of its
    UTF-8 spelling in bits 24-31 and where that starts in `spellings` from bit 32. `growth` is
    the largest ratio of bytes after to bytes before.
    """

    pages: NDArray[np.uint16]
    entries: NDArray[np.uint64]
    spellings: NDArray[np.uint8]
    growth: int


def normalise(text: str) -> str:
    """Return the normal form of a text (see the module); lone surrogates become `?`."""
    words = " ".join(_decompose(text).split())
    return _expressions()[1].sub(_without_space, words)


def tokens(normal: str) -> list[tuple[int, int]]:
    """Return the start and end of each token in a normalised text, in characters."""
    return [match.span() for match in _expressions()[0].finditer(normal)]


def shingles(text: str, length: int) -> list[str]:
    """Return each run of `length` tokens of a text, as it stands in the normal form.

    A text of fewer tokens is one shingle, an empty one has none. This is what `minhash.signatures`
    hashes; a peer that is given these makes the same signatures.
    """
    normal = normalise(text)
    spans = tokens(normal)
    if not spans:
        return []
    first = range(max(1, len(spans) - length + 1))
    return [normal[spans[i][0] : spans[min(i + length, len(spans)) - 1][1]] for i in first]


@lru_cache(maxsize=1)
def tables() -> Tables:
    """Build the tables from this Python's `unicodedata`: some 50 ms, once a process."""
    blocks: dict[bytes, int] = {}
    pages = np.zeros(_HIGHEST // _BLOCK, np.uint16)
    pool = bytearray()
    growth = 3  # what is no UTF-8 becomes U+FFFD, byte by byte
    for page in range(len(pages)):
        block = np.zeros(_BLOCK, np.uint64)
        if not _plain(page):
            for low in range(_BLOCK):
                point = page * _BLOCK + low
                entry, spelling = _entry(point)
                if spelling:
                    growth = max(growth, -(-len(spelling) // len(chr(point).encode())))
                    entry |= len(spelling) << 24 | len(pool) << 32
                    pool += spelling
                block[low] = entry
        elif spaceless(page * _BLOCK):
            block[:] = ALONE
        pages[page] = blocks.setdefault(block.tobytes(), len(blocks))
    entries = np.frombuffer(b"".join(blocks), np.uint64).reshape(-1, _BLOCK)
    return Tables(pages, entries, np.frombuffer(bytes(pool), np.uint8), growth)


def _decompose(text: str) -> str:
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return unicodedata.normalize("NFD", text.lower())


def _without_space(match: re.Match[str]) -> str:
    return match.group().replace(" ", "")


def spaceless(point: int) -> bool:
    """Whether a code point is of a script that is written without spaces."""
    return bisect_right(_CUTS, point) % 2 == 1


def _plain(page: int) -> bool:
    """Whether nothing in a block of code points changes, combines or parts the block."""
    first = page * _BLOCK
    if 0xD800 <= first <= 0xDFFF:
        return True  # surrogates
    letters = "".join(map(chr, range(first, first + _BLOCK)))
    return (
        _decompose(letters) == letters
        and not any(first < cut < first + _BLOCK for cut in _CUTS)
        and not _MARK_OR_SPACE & set(map(unicodedata.category, letters))
    )


def _kind(character: str) -> int:
    if character.isspace():
        return SPACE
    if unicodedata.category(character)[0] == "M":
        return MARK
    return ALONE if spaceless(ord(character)) else WORD


def _entry(point: int) -> tuple[int, bytes]:
    """Return the table's entry of a code point, and its new spelling where it has one."""
    if 0xD800 <= point <= 0xDFFF:
        return WORD, b""
    character = chr(point)
    normal = _decompose(character)
    kinds = [_kind(c) for c in normal]
    same = all(kind == MARK or kind == kinds[0] == WORD for kind in kinds[1:])
    if character == "Σ" or not same:  # a sigma is written otherwise at the end of a word
        return CONTEXT, b""
    first, last = (unicodedata.combining(normal[i]) for i in (0, -1))
    entry = kinds[0] | first << 8 | last << 16
    return entry, b"" if normal == character else normal.encode()


@lru_cache(maxsize=1)
def _expressions() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what matches a token, and spaceless characters with single spaces between them."""
    marks: list[list[int]] = []
    for point in (*range(0x30000), *range(0xE0000, 0xE1000)):
        if unicodedata.category(chr(point))[0] == "M":
            if marks and marks[-1][1] == point - 1:
                marks[-1][1] = point
            else:
                marks.append([point, point])
    mark, alone = (
        "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges) + "]"
        for ranges in (marks, _SPACELESS)
    )
    single = f"(?!{mark}){alone}{mark}*"
    return re.compile(f"{single}|(?:(?!{single})\\S)+"), re.compile(f"{single}(?: {single})+")
