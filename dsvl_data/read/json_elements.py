"""Where the elements of one array or object lie within a JSON file of any size.

In: a JSON text, read forwards in chunks, and a dotted path. Out: the byte range of each element
(and its key, in an object), without the text ever being whole in memory. Only brackets, commas
and colons outside of strings are looked at, by numpy, so that gigabytes pass in seconds; whether
an element is valid JSON is for whoever loads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from dsvl_data.outcome import DocumentError, Reason

_CHUNK = 1 << 17  # what stays in the processor's cache
_MAX_KEY = 1 << 20
_OPEN, _CLOSE, _COMMA, _COLON = 1, 2, 3, 4
_KINDS = np.zeros(256, np.int8)
_KINDS[list(b"{[")] = _OPEN
_KINDS[list(b"}]")] = _CLOSE
_KINDS[list(b",")] = _COMMA
_KINDS[list(b":")] = _COLON
_STEPS = np.array([0, 1, -1, 0, 0], np.int64)
_QUOTE, _BACKSLASH, _BRACE, _COMMA_BYTE, _COLON_BYTE = b'"\\{,:'


class Element(NamedTuple):
    """An element's position in its array or object, its key there, and the bytes of its value."""

    position: int
    key: str | None
    offset: int
    size: int


#: As `Element`, in half the time.
_element_of: Callable[[tuple[Any, ...]], Element] = partial(tuple.__new__, Element)


def elements(read: Callable[[int], bytes], at: str = "", *, keys: bool = True) -> Iterator[Element]:
    """Yield the elements of the array or object at `at`, a path of keys joined by dots.

    `read(n)` returns up to n bytes, none at the end. Memory holds a chunk of some MB and a key.
    Without `keys`, those of an object's elements are not decoded: each is "".
    Raises `DocumentError` (`BAD_JSON`) where there is no such array or object, or where the text
    ends within it: after the elements that are whole.
    """
    path = at.split(".") if at else []
    tokens = _Tokens(len(path))
    inside = 0  # containers entered on the way to the elements; all of them: len(path) + 1
    is_object = False
    position = 0
    key: str | None = None
    start = 0  # of the value or key that is being read, in the whole text
    carry = b""  # what earlier chunks hold of a key
    blank = True  # whether earlier chunks hold only white space since `start`
    origin = 0  # of the chunk, in the whole text
    while chunk := read(_CHUNK):
        for offset, kind, level, byte in tokens.feed(chunk):
            if kind == _COMMA and level == inside > len(path):  # the most frequent, with colons
                yield _element_of((position, key, start, origin + offset - start))
                position += 1
                key = None
            elif kind == _OPEN:
                if level != inside or (inside and key != path[inside - 1]):
                    continue
                inside += 1
                is_object = byte == _BRACE
                key = None  # the first element of an array has none, not its container's
            elif level != inside - (kind == _CLOSE):
                continue
            elif kind == _COLON:
                if keys or inside <= len(path):
                    key = _key(carry + chunk[max(start - origin, 0) : offset])
                else:
                    key = ""
            elif kind == _COMMA:
                key = None
            else:
                if inside > len(path):
                    if key is not None or not (
                        is_object or (blank and not chunk[max(start - origin, 0) : offset].strip())
                    ):
                        yield Element(position, key, start, origin + offset - start)
                    return
                inside -= 1
                is_object, key = True, None  # only an object leads on to another container
            start, carry, blank = origin + offset + 1, b"", True
        rest = max(start - origin, 0)
        if is_object and key is None:
            carry += chunk[rest:]
            if len(carry) > _MAX_KEY:
                raise DocumentError(Reason.BAD_JSON, f"a key of more than {_MAX_KEY} bytes")
        blank = blank and not chunk[rest:].strip()
        origin += len(chunk)
    if tokens.depth > 0 or tokens.in_string:
        raise DocumentError(Reason.BAD_JSON, f"it ends in the middle, after {origin} bytes")
    where = f"at {at!r}" if at else "at the top"
    raise DocumentError(Reason.BAD_JSON, f"no array or object {where}")


class _Tokens:
    """Finds the brackets, commas and colons that are no deeper than the elements' separators."""

    def __init__(self, path_length: int) -> None:
        self._deepest = path_length
        self.depth = 0
        self.in_string = False
        self._escaped = False

    def feed(self, chunk: bytes) -> Iterator[tuple[int, int, int, int]]:
        """Return (offset, kind, level, byte) for each.

        The level of a bracket is that of its container, the number of containers around it; that
        of a comma or colon is one more than its container's.
        """
        data = np.frombuffer(chunk, np.uint8)
        quotes = self._quotes(data)
        braces = data | 0x20  # which makes a brace of a bracket
        marks = (braces == _BRACE) | (braces == _BRACE + 2) | (data == _COMMA_BYTE)
        found = np.flatnonzero(marks | (data == _COLON_BYTE) | quotes)
        is_quote = quotes[found]
        opened = np.cumsum(is_quote) + int(self.in_string)  # odd within strings
        self.in_string = bool(opened[-1] % 2) if len(found) else self.in_string
        found = found[(opened % 2 == 0) & ~is_quote]
        kinds = _KINDS[data[found]]
        steps = _STEPS[kinds]
        after = self.depth + np.cumsum(steps)
        self.depth = int(after[-1]) if len(after) else self.depth
        levels = after - (steps > 0)
        near = levels <= self._deepest + (steps == 0)
        found, kinds, levels = found[near], kinds[near], levels[near]
        return zip(
            found.tolist(), kinds.tolist(), levels.tolist(), data[found].tolist(), strict=True
        )

    def _quotes(self, data: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Where strings begin and end: quotes behind an even number of backslashes."""
        quotes: NDArray[np.bool_] = data == _QUOTE
        escaped, self._escaped = self._escaped, False
        slashes = np.flatnonzero(data == _BACKSLASH)
        if len(slashes):
            breaks = np.flatnonzero(np.diff(slashes) > 1)
            firsts = slashes[np.concatenate(([0], breaks + 1))]
            lasts = slashes[np.concatenate((breaks, [len(slashes) - 1]))]
            lengths = lasts - firsts + 1
            if escaped and firsts[0] == 0:
                lengths[0] -= 1
            after = lasts[lengths % 2 == 1] + 1
            if len(after) and after[-1] == len(data):
                self._escaped = True
                after = after[:-1]
            quotes[after] = False
        if escaped and data[0] != _BACKSLASH:
            quotes[0] = False
        return quotes


def _key(raw: bytes) -> str:
    try:
        key = orjson.loads(raw)
    except ValueError:
        try:
            key = json.loads(raw)
        except (ValueError, RecursionError):
            key = None
    # A key that is none is no reason to lose the value behind it.
    return key if isinstance(key, str) else raw[:100].decode("utf-8", "replace").strip()
