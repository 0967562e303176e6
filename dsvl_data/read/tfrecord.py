"""TFRecord files and the protocol buffers in them, without TensorFlow.

In: a stream of a `.tfrecord` file (unpacked, where it was gzipped). Out: the records' bytes, and
from each `tf.train.Example` or `tf.train.SequenceExample` its features by name.

A record is an 8-byte length, the masked CRC-32C of the length, the payload and the masked CRC-32C
of the payload (https://www.tensorflow.org/tutorials/load_data/tfrecord). The length's checksum is
proved, because a damaged length would ask for any amount of memory; the payload's is not: that
takes longer than all the rest in Python, and gzip has proved the bytes already.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from dsvl_data.outcome import DocumentError, Reason

#: No page or screen of a data set comes near it.
MAX_RECORD_BYTES = 256 * 1024 * 1024

_HEADER = struct.Struct("<QI")
_FOOTER_BYTES = 4
_MASK = 0xA282EAD8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

#: A feature's values: bytes, floats or integers; in a sequence, a list of them for each step.
Values = list[bytes] | list[float] | list[int]


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC_TABLE = _crc_table()


def masked_crc(data: bytes) -> int:
    """Return the CRC-32C of a few bytes, rotated and shifted as TFRecord stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


def scan(stream: BinaryIO, max_bytes: int = MAX_RECORD_BYTES) -> Iterator[tuple[int, int]]:
    """Yield `(start, length)` of each record's payload in a seekable stream, reading none of it.

    Raises `DocumentError` (`BAD_ARCHIVE`) where a record's header is damaged or cut, or the
    stream ends within a record; `TOO_LARGE` for a record of more than `max_bytes`.
    """
    size = stream.seek(0, 2)
    position = 0
    while position < size:
        stream.seek(position)
        length = _length(stream.read(_HEADER.size), max_bytes)
        start = position + _HEADER.size
        position = start + length + _FOOTER_BYTES
        if position > size:
            raise DocumentError(Reason.BAD_ARCHIVE, "the file ends within a record")
        yield start, length


def ranges(stream: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield what `scan` does, from a stream that need not be seekable."""
    position = 0
    for data in read_records(stream):
        yield position + _HEADER.size, len(data)
        position += _HEADER.size + len(data) + _FOOTER_BYTES


def read_records(stream: BinaryIO, max_bytes: int = MAX_RECORD_BYTES) -> Iterator[bytes]:
    """Yield each record's payload, from a stream that need not be seekable. Raises as `scan`."""
    while header := stream.read(_HEADER.size):
        length = _length(header, max_bytes)
        data = stream.read(length)
        if len(data) < length or len(stream.read(_FOOTER_BYTES)) < _FOOTER_BYTES:
            raise DocumentError(Reason.BAD_ARCHIVE, "the file ends within a record")
        yield data


def _length(header: bytes, max_bytes: int) -> int:
    if len(header) < _HEADER.size:
        raise DocumentError(Reason.BAD_ARCHIVE, "the file ends within a record's header")
    length: int
    length, crc = _HEADER.unpack(header)
    if masked_crc(header[:8]) != crc:
        raise DocumentError(Reason.BAD_ARCHIVE, "a record's length has a wrong checksum")
    if length > max_bytes:
        raise DocumentError(Reason.TOO_LARGE, f"a record of {length} bytes")
    return length


def parse_example(data: bytes) -> dict[str, Values | list[Values]]:
    """Return the features of a serialised `Example` or `SequenceExample`, by name.

    A feature of an example, or of a sequence example's context, is the list of its values; one of
    a sequence is a list of such lists, one for each step. Raises `DocumentError` (`BAD_RECORD`)
    for bytes that are neither message.
    """
    features: dict[str, Values | list[Values]] = {}
    for number, value in _fields(data):
        if number not in (1, 2):
            continue
        for entry_number, entry in _fields(_message(value)):
            if entry_number != 1:
                continue
            name, body = "", b""
            for part, content in _fields(_message(entry)):
                if part == 1:
                    name = _message(content).decode("utf-8", "replace")
                elif part == 2:
                    body = _message(content)
            features[name] = (
                _feature(body)
                if number == 1
                else [_feature(_message(step)) for part, step in _fields(body) if part == 1]
            )
    return features


def _feature(data: bytes) -> Values:
    for number, value in _fields(data):
        body = _message(value)
        if number == 1:
            return [_message(content) for part, content in _fields(body) if part == 1]
        if number == 2:
            floats: list[float] = []
            for part, content in _fields(body):
                if part == 1:
                    floats.extend(_floats(_message(content)))  # packed, or one of four bytes
            return floats
        if number == 3:
            integers: list[int] = []
            for part, content in _fields(body):
                if part == 1:
                    integers.extend([content] if isinstance(content, int) else _varints(content))
            return [_signed(integer) for integer in integers]
    return []


def _floats(data: bytes) -> tuple[float, ...]:
    if len(data) % 4:
        raise DocumentError(Reason.BAD_RECORD, "a list of floats of a broken length")
    return struct.unpack(f"<{len(data) // 4}f", data)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise DocumentError(Reason.BAD_RECORD, "a number where a message belongs")
    return value


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    fields: list[tuple[int, int | bytes]] = []
    position, size = 0, len(data)
    while position < size:
        # Nearly all tags and most lengths are one byte.
        tag = data[position]
        position += 1
        if tag > 0x7F:
            tag, position = _varint(data, position - 1)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            fields.append((number, value))
            continue
        if wire == _BYTES:
            length, position = _varint(data, position)
        elif wire == _FIXED64:
            length = 8
        elif wire == _FIXED32:
            length = 4
        else:
            raise DocumentError(Reason.BAD_RECORD, f"a protocol buffer with wire type {wire}")
        end = position + length
        if end > size:
            raise DocumentError(Reason.BAD_RECORD, "a protocol buffer that is cut")
        fields.append((number, data[position:end]))
        position = end
    return fields


def _varints(data: bytes) -> Iterator[int]:
    position = 0
    while position < len(data):
        value, position = _varint(data, position)
        yield value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    end = len(data)
    while position < end and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
    raise DocumentError(Reason.BAD_RECORD, "a protocol buffer with a broken number")
