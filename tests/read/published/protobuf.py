"""Writes TFRecord files and the messages in them, as TensorFlow does, for fixtures."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from dsvl_data.read.tfrecord import masked_crc

Values = Sequence[bytes] | Sequence[float] | Sequence[int]


def varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def feature(values: Values) -> bytes:
    first = values[0] if values else None
    if isinstance(first, bytes):
        return message(1, b"".join(message(1, v) for v in values if isinstance(v, bytes)))
    if isinstance(first, float):
        return message(2, message(1, struct.pack(f"<{len(values)}f", *values)))
    if isinstance(first, int):
        return message(3, message(1, b"".join(varint(int(v)) for v in values)))
    return b""


def _map(entries: Mapping[str, bytes]) -> bytes:
    return b"".join(
        message(1, message(1, name.encode()) + message(2, body)) for name, body in entries.items()
    )


def example(features: Mapping[str, Values]) -> bytes:
    return message(1, _map({name: feature(values) for name, values in features.items()}))


def sequence_example(
    context: Mapping[str, Values], sequences: Mapping[str, Sequence[Values]]
) -> bytes:
    lists = {
        name: b"".join(message(1, feature(step)) for step in steps)
        for name, steps in sequences.items()
    }
    return example(context) + message(2, _map(lists))


def tfrecord(payloads: Sequence[bytes]) -> bytes:
    out = b""
    for payload in payloads:
        length = struct.pack("<Q", len(payload))
        out += length + struct.pack("<I", masked_crc(length))
        out += payload + struct.pack("<I", masked_crc(payload))
    return out
