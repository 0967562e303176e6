"""How many bytes of values a Parquet file holds, from its footer alone.

In: the bytes of a footer (Thrift's compact protocol). Out: per column, the sum of the lengths
of its values. Parquet records it since format 2.10 (`SizeStatistics`), Arrow writes it, but
pyarrow hands out only sizes that depend on how the file is cut and packed; the plan of shards
must not.
"""

from __future__ import annotations

import struct
from typing import Any

# Field numbers of parquet.thrift.
_FILE_ROW_GROUPS = 4
_GROUP_COLUMNS = 1
_CHUNK_META = 3
_META_PATH = 3
_META_SIZES = 16
_SIZES_UNENCODED = 1

_MAX_DEPTH = 32


def value_bytes(footer: bytes) -> dict[str, int] | None:
    """Return the bytes of all values per byte-array column (`segments.list.element.image`).

    None when the file's writer did not record them. Raises `ValueError` for a footer that is
    no Thrift.
    """
    try:
        root = _Reader(footer).struct(0)
        totals: dict[str, int] = {}
        for group in root[_FILE_ROW_GROUPS]:
            for chunk in group[_GROUP_COLUMNS]:
                meta = chunk[_CHUNK_META]
                sizes = meta.get(_META_SIZES)
                if sizes is None or _SIZES_UNENCODED not in sizes:
                    continue
                name = b".".join(meta[_META_PATH]).decode()
                totals[name] = totals.get(name, 0) + sizes[_SIZES_UNENCODED]
    except (LookupError, TypeError, AttributeError, struct.error) as error:
        raise ValueError(f"not the footer of a Parquet file: {error!r}") from error
    return totals or None


class _Reader:
    """Reads Thrift's compact protocol into dictionaries by field number, lists and values."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self, depth: int) -> dict[int, Any]:
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deep for the footer of a Parquet file")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            delta, kind = head >> 4, head & 15
            number = number + delta if delta else self._zigzag()
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2):  # a boolean in a list is a byte of its own
            return self._byte() == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 7:
            return struct.unpack("<d", self._take(8))[0]
        if kind == 8:
            return self._take(self._varint())
        if kind in (9, 10):
            head = self._byte()
            count = head >> 4
            if count == 15:
                count = self._varint()
            return [self._value(head & 15, depth + 1) for _ in range(count)]
        if kind == 12:
            return self.struct(depth + 1)
        raise ValueError(f"Thrift type {kind} does not occur in the footer of a Parquet file")

    def _byte(self) -> int:
        value = self._data[self._at]
        self._at += 1
        return value

    def _take(self, count: int) -> bytes:
        data = self._data[self._at : self._at + count]
        self._at += count
        return data

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
