"""Elements of two arrays of one JSON file brought together: annotations and their image.

In: byte ranges of one array's elements, each with the id that it points to. Out: for an element
of the other array, the ranges of those that point to it. Held in memory: 24 bytes for each.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.json_elements import Element, elements
from dsvl_data.read.streams import Stream

_BLOCK = 1 << 20
# Most joins are made to parse one record, and index nothing.
_NOTHING = array("q")
_NONE_USED = np.zeros(0, np.bool_)


class Join:
    """`(at, pointer, id)`: elements at `at` whose `pointer` is a record's `id`, as strings.

    Ids are compared by hash here and by themselves in `parse`.
    """

    def __init__(self, joined: tuple[str, str, str]) -> None:
        self._at, self._pointer, self._id = joined
        self._hashes = self._offsets = self._sizes = _NOTHING
        self._used: NDArray[np.bool_] = _NONE_USED

    def index(self, stream: Stream | IO[bytes], payload: Stream | IO[bytes]) -> None:
        """Find the elements that point to others: two readers of the same text."""
        hashes, offsets, sizes = array("q"), array("q"), array("q")
        content = Passing(payload)
        waiting: list[bytes] = []
        bytes_waiting = 0
        for _, _, offset, size in elements(stream.read, self._at, keys=False):
            waiting.append(content.part(offset, size))
            bytes_waiting += size
            offsets.append(offset)
            sizes.append(size)
            if bytes_waiting >= _BLOCK:
                hashes.extend(map(hash, _fields(waiting, self._pointer)))
                waiting, bytes_waiting = [], 0
        hashes.extend(map(hash, _fields(waiting, self._pointer)))
        order = np.argsort(np.frombuffer(hashes, np.int64), kind="stable")
        self._hashes, self._offsets, self._sizes = (
            array("q", np.frombuffer(column, np.int64)[order].tobytes())
            for column in (hashes, offsets, sizes)
        )
        self._used = np.zeros(len(order), np.bool_)

    def find(self, element: Element, content: Passing) -> tuple[tuple[int, int], ...]:
        """Return (offset, size) of what points to an element, in the order of the file.

        In tuples: the garbage collector forgets those of numbers, and walks lists again and again.
        """
        if self._id == "key":
            own = element.key
        else:
            own = _field(content.part(element.offset, element.size), self._id)
        if own is None:
            return ()
        wanted = hash(own)
        first = bisect_left(self._hashes, wanted)
        last = bisect_right(self._hashes, wanted, first)
        self._used[first:last] = True
        return tuple(zip(self._offsets[first:last], self._sizes[first:last], strict=True))

    def left_over(self) -> int:
        """Return how many elements point to nothing that was asked for."""
        return int(len(self._used) - self._used.sum())

    def parse(self, record: Mapping[str, Any], data: bytes, sizes: Sequence[int]) -> dict[str, Any]:
        """Return a record with what points to it, from the bytes of these one after another."""
        own = _plain(record[self._id] if self._id in record else _inner(record).get(self._id))
        pointer = self._pointer
        parts = []
        start = 0
        for size in sizes:
            parts.append(data[start : start + size])
            start += size
        joined = [
            value
            for value in _load_all(parts)
            if isinstance(value, dict)
            and ((given := value.get(pointer)) == own or _plain(given) == own)
        ]
        return {**record, self._at.rpartition(".")[2]: joined}


class Passing:
    """Parts of a text that follow one another, from a reader that is asked for large blocks."""

    def __init__(self, stream: Stream | IO[bytes]) -> None:
        self._stream = stream
        self._block = b""
        self._start = 0

    def part(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer at the end of the text."""
        first = offset - self._start
        if first < 0 or first + size > len(self._block):
            # What is at hand is not read again: in a packed file that is to go back to its start.
            kept = self._block[first:] if first >= 0 else b""
            self._stream.seek(offset + len(kept))
            self._block = kept + self._stream.read(max(size - len(kept), _BLOCK))
            self._start, first = offset, 0
        return self._block[first : first + size]


def _load_all(texts: Sequence[bytes]) -> list[Any]:
    """Decode several texts at once; one by one where there is something wrong with any."""
    values = _load_sound(texts)
    return [load_json(text) for text in texts] if values is None else values


def _load_sound(texts: Sequence[bytes]) -> list[Any] | None:
    """Decode several texts at once; None where there is something wrong with any."""
    try:
        values: list[Any] = orjson.loads(b"[%b]" % b",".join(texts))
    except ValueError:
        return None
    return values if len(values) == len(texts) else None


def load_json(data: bytes) -> Any:
    """Decode JSON, with the NaN that Python writes. Raises `DocumentError` (`BAD_JSON`)."""
    try:
        return orjson.loads(data)
    except ValueError:
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise DocumentError(Reason.BAD_JSON, str(error)[:200]) from error


def _fields(texts: Sequence[bytes], name: str) -> list[str | None]:
    values = _load_sound(texts)
    if values is None:
        return [_field(text, name) for text in texts]
    return [_plain(value.get(name)) if isinstance(value, dict) else None for value in values]


def _field(data: bytes, name: str) -> str | None:
    try:
        value = load_json(data)
    except DocumentError:
        return None  # the element fails when it is read, or belongs to nothing
    return _plain(value.get(name)) if isinstance(value, dict) else None


def _inner(record: Mapping[str, Any]) -> Mapping[str, Any]:
    value = record.get("value")
    return value if isinstance(value, dict) else {}


def _plain(value: object) -> str | None:
    if type(value) is str:
        return value
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
