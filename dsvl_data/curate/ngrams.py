"""Runs of words as numbers, by which text is found again whatever its markup: text in, hashes out.

A text is seen as tokens. Every character is folded by itself (NFKC's compatibility forms, case,
accents), punctuation, symbols and markup part words and are dropped, and what remains is words of
letters and digits; a character of a script written without spaces (Han, kana, Thai, ...) is a
token of its own. So `**The cat's** $x^2$` is `the cat s x 2`, and full-width forms are plain ones.
GPT-3's decontamination normalises alike (Brown et al. 2020, appendix C: lower case, punctuation
dropped, split at white space).

A run of n tokens has a hash of 64 bits: a polynomial in the tokens' hashes, rolled along the text.
Among 10^12 runs and 10^7 that are looked for, one or two are taken for each other by chance.
Compiled by numba at the first call (some seconds) and kept on disk.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dsvl_data.curate.normalise import spaceless

#: Raised whenever a text would have other tokens or hashes.
VERSION: Final = 2

_GAP, _LETTER, _DIGIT, _ALONE = range(4)
_HIGHEST = 0x34000  # no character that is written lies beyond, but for marks that are dropped

_IMAGE_MARK = re.compile(r"<\|?/?image[ _-]?[0-9]{0,3}\|?>|\[image[ _-]?[0-9]{0,3}\]")

_U64 = np.uint64
_BASE = _U64(0x9E3779B97F4A7C15)
_PRIME = _U64(0xD6E8FEB86659FD93)
_MIX_1 = _U64(0xBF58476D1CE4E5B9)
_MIX_2 = _U64(0x94D049BB133111EB)
_30, _27, _31 = _U64(30), _U64(27), _U64(31)


class Tokens(NamedTuple):
    """A text's tokens: `hashes` (uint64), and where each begins and ends in the text.

    `telling` says of each whether it is a word of two letters or more, or a character that
    stands alone; numbers, single letters and the like are not.
    """

    hashes: NDArray[np.uint64]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    telling: NDArray[np.bool_]
    alone: int


class Buckets(NamedTuple):
    """Sorted hashes for search: those with the same first bits are `firsts[b]:firsts[b + 1]`."""

    hashes: NDArray[np.uint64]
    firsts: NDArray[np.uint32]


def without_marks(text: str) -> str:
    """Return a text in which marks of an image's place (`<image 1>`) are blank, as long as it was.

    A page shows the image there, and another copy of the text has another mark.
    """
    if "image" not in text:
        return text
    return _IMAGE_MARK.sub(lambda mark: " " * len(mark.group()), text)


def read_tokens(text: str) -> Tokens:
    """Return the tokens of a text."""
    text = without_marks(text)
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    found: tuple[Any, ...] = _tokens(points, *_folds())
    return Tokens(*found)


def run_hashes(tokens: Tokens, length: int) -> NDArray[np.uint64]:
    """Return the hash of each run of `length` tokens, in the order of the text."""
    found: NDArray[np.uint64] = _runs(tokens.hashes, length)
    return found


def telling_in_runs(tokens: Tokens, length: int) -> NDArray[np.int64]:
    """Return how many different telling tokens each run has."""
    found: NDArray[np.int64] = _telling(tokens.hashes, tokens.telling, length)
    return found


def buckets(hashes: NDArray[np.uint64]) -> Buckets:
    """Prepare hashes, sorted and each there once, for `search`: 4 to 8 bytes more for each."""
    bits = max(1, len(hashes).bit_length())
    tops = (hashes >> _U64(64 - bits)).astype(np.int64)
    counts = np.bincount(tops, minlength=1 << bits)
    firsts = np.zeros(len(counts) + 1, np.uint32)
    np.cumsum(counts, out=firsts[1:])
    return Buckets(hashes, firsts)


def search(
    tokens: Tokens, lengths: NDArray[np.int64], index: Buckets
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Find the runs of a text that are in an index.

    Returns for each hit its place in `index.hashes`, and the first and last token of the run; by
    length, then in the order of the text.
    """
    if not len(index.hashes):
        empty = np.zeros(0, np.int64)
        return empty, empty, empty
    found: tuple[NDArray[np.int64], ...] = _search(tokens.hashes, lengths, *index)
    return found[0], found[1], found[2]


@njit(cache=True)
def _tokens(points: Any, firsts: Any, folded: Any, kinds: Any) -> Any:
    room = 0
    for point in points:
        if point < _HIGHEST:
            room += firsts[point + 1] - firsts[point]
    hashes = np.empty(room, np.uint64)
    begins = np.empty(room, np.int64)
    ends = np.empty(room, np.int64)
    telling = np.empty(room, np.bool_)
    count = 0
    alone = 0
    inside = False
    letters = 0
    value = _U64(0)
    for at in range(len(points)):
        point = points[at]
        if point >= _HIGHEST:
            continue
        if inside and firsts[point] == firsts[point + 1]:
            ends[count] = at + 1  # a mark that is dropped
        for place in range(firsts[point], firsts[point + 1]):
            kind = kinds[place]
            if inside and kind in (_GAP, _ALONE):
                hashes[count] = _mix(value)
                telling[count] = letters >= 2
                count += 1
                inside = False
            if kind == _GAP:
                continue
            if not inside:
                value = _PRIME
                letters = 0
                begins[count] = at
            value = (value ^ _U64(folded[place])) * _BASE
            value ^= value >> _31
            ends[count] = at + 1
            if kind == _ALONE:
                hashes[count] = _mix(value)
                telling[count] = True
                count += 1
                alone += 1
            else:
                inside = True
                if kind == _LETTER:
                    letters += 1
    if inside:
        hashes[count] = _mix(value)
        telling[count] = letters >= 2
        count += 1
    return hashes[:count], begins[:count], ends[:count], telling[:count], alone


@njit(cache=True)
def _runs(tokens: Any, length: int) -> Any:
    count = max(0, len(tokens) - length + 1)
    found = np.empty(count, np.uint64)
    power = _power(length)
    value = _U64(0)
    for at in range(len(tokens)):
        value = value * _PRIME + tokens[at]
        if at >= length:
            value -= tokens[at - length] * power
        if at >= length - 1:
            found[at - length + 1] = _of_run(value, length)
    return found


@njit(cache=True)
def _telling(tokens: Any, telling: Any, length: int) -> Any:
    count = max(0, len(tokens) - length + 1)
    found = np.zeros(count, np.int64)
    for first in range(count):
        for at in range(first, first + length):
            if not telling[at]:
                continue
            again = False
            for before in range(first, at):
                if tokens[before] == tokens[at]:
                    again = True
                    break
            if not again:
                found[first] += 1
    return found


@njit(cache=True)
def _search(tokens: Any, lengths: Any, hashes: Any, firsts: Any) -> Any:
    slots = []
    starts = []
    stops = []
    bits = _U64(0)
    while (1 << int(bits)) < len(firsts) - 1:
        bits += _U64(1)
    shift = _U64(64) - bits
    for length in lengths:
        power = _power(length)
        value = _U64(0)
        for at in range(len(tokens)):
            value = value * _PRIME + tokens[at]
            if at >= length:
                value -= tokens[at - length] * power
            if at < length - 1:
                continue
            run = _of_run(value, length)
            bucket = run >> shift
            for slot in range(firsts[bucket], firsts[bucket + _U64(1)]):
                if hashes[slot] == run:
                    slots.append(slot)
                    starts.append(at - length + 1)
                    stops.append(at)
                    break
    found = np.empty((3, len(slots)), np.int64)
    for number in range(len(slots)):
        found[0, number] = slots[number]
        found[1, number] = starts[number]
        found[2, number] = stops[number]
    return found[0], found[1], found[2]


@njit(inline="always")
def _power(length: int) -> Any:
    power = _U64(1)
    for _ in range(length):
        power *= _PRIME
    return power


@njit(inline="always")
def _of_run(value: Any, length: int) -> Any:
    return _mix(value + _U64(length) * _BASE)


@njit(inline="always")
def _mix(value: Any) -> Any:
    value = (value ^ (value >> _30)) * _MIX_1
    value = (value ^ (value >> _27)) * _MIX_2
    return value ^ (value >> _31)


@lru_cache(maxsize=1)
def _folds() -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint8]]:
    """What each code point becomes: `folded[firsts[p]:firsts[p + 1]]`, with the kind of each."""
    firsts = np.zeros(_HIGHEST + 1, np.uint32)
    folded: list[int] = []
    kinds: list[int] = []
    for point in range(_HIGHEST):
        if not 0xD800 <= point <= 0xDFFF:  # a surrogate is no character, and says nothing
            for character in _fold(chr(point)):
                folded.append(ord(character))
                kinds.append(_kind(character))
        firsts[point + 1] = len(folded)
    return firsts, np.array(folded, np.uint32), np.array(kinds, np.uint8)


def _fold(character: str) -> str:
    plain = unicodedata.normalize("NFKD", character).casefold()
    return "".join(
        each
        for each in unicodedata.normalize("NFKD", plain)
        if unicodedata.category(each) not in ("Mn", "Me", "Cf")
    )


def _kind(character: str) -> int:
    category = unicodedata.category(character)
    if category[0] == "N":
        return _DIGIT
    if category[0] == "L" or category == "Mc":
        return _ALONE if spaceless(ord(character)) else _LETTER
    return _GAP
