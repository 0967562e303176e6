"""Elements of two arrays of one JSON file brought together: annotations and their image.

In: byte ranges of one array's elements, each with the id that it points to. Out: for an element
of the other array, the ranges of those that point to it. Held in memory: 24 bytes for each.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.json_elements import Element, elements
from dsvl_data.read.streams import Stream

# Most joins are made to parse one record, and index nothing.
_NO_HASHES = np.zeros(0, np.int64)
_NO_PLACES = np.zeros((0, 2), np.int64)
_NONE_USED = np.zeros(0, np.bool_)


class Join:
    """`(at, pointer, id)`: elements at `at` whose `pointer` is a record's `id`, as strings.

    Ids are compared by hash here and by themselves in `parse`.
    """

    def __init__(self, joined: tuple[str, str, str]) -> None:
        self._at, self._pointer, self._id = joined
        self._hashes: NDArray[np.int64] = _NO_HASHES
        self._places: NDArray[np.int64] = _NO_PLACES
        self._used: NDArray[np.bool_] = _NONE_USED

    def index(self, stream: Stream | IO[bytes], payload: Stream | IO[bytes]) -> None:
        """Find the elements that point to others: two readers of the same text."""
        hashes, places = array("q"), array("q")
        for element in elements(stream.read, self._at):
            payload.seek(element.offset)
            pointer = _field(payload.read(element.size), self._pointer)
            hashes.append(hash(pointer))
            places.extend((element.offset, element.size))
        order = np.argsort(np.array(hashes, np.int64), kind="stable")
        self._hashes = np.array(hashes, np.int64)[order]
        self._places = np.array(places, np.int64).reshape(-1, 2)[order]
        self._used = np.zeros(len(order), np.bool_)

    def find(self, element: Element, data: bytes) -> list[list[int]]:
        """Return (offset, size) of what points to an element, in the order of the file."""
        own = element.key if self._id == "key" else _field(data, self._id)
        if own is None:
            return []
        first, last = np.searchsorted(self._hashes, [hash(own), hash(own)], "left"), 0
        last = int(np.searchsorted(self._hashes, hash(own), "right"))
        self._used[int(first[0]) : last] = True
        found: list[list[int]] = self._places[int(first[0]) : last].tolist()
        return found

    def left_over(self) -> int:
        """Return how many elements point to nothing that was asked for."""
        return int(len(self._used) - self._used.sum())

    def parse(self, record: Mapping[str, Any], data: bytes, sizes: Sequence[int]) -> dict[str, Any]:
        """Return a record with what points to it, from the bytes of these one after another."""
        own = _plain(record.get(self._id, _inner(record).get(self._id)))
        joined = []
        start = 0
        for size in sizes:
            value = load_json(data[start : start + size])
            start += size
            if isinstance(value, dict) and _plain(value.get(self._pointer)) == own:
                joined.append(value)
        return {**record, self._at.rpartition(".")[2]: joined}


def load_json(data: bytes) -> Any:
    """Decode JSON, with the NaN that Python writes. Raises `DocumentError` (`BAD_JSON`)."""
    try:
        return orjson.loads(data)
    except ValueError:
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise DocumentError(Reason.BAD_JSON, str(error)[:200]) from error


def _field(data: bytes, name: str) -> str | None:
    try:
        value = load_json(data)
    except DocumentError:
        return None  # the element fails when it is read, or belongs to nothing
    return _plain(value.get(name)) if isinstance(value, Mapping) else None


def _inner(record: Mapping[str, Any]) -> Mapping[str, Any]:
    value = record.get("value")
    return value if isinstance(value, Mapping) else {}


def _plain(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
