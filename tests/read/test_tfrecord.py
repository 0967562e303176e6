"""TFRecord files: records, features, and what is damaged."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.tfrecord import masked_crc, parse_example, read_records, scan
from tests.read.published.protobuf import example, message, sequence_example, tfrecord, varint


def _crc32c(data: bytes) -> int:
    masked = masked_crc(data)
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def test_the_checksum_is_castagnolis() -> None:
    # The check value of CRC-32C in the catalogue of CRC algorithms, and RFC 3720's 32 zeros.
    assert _crc32c(b"123456789") == 0xE3069283
    assert _crc32c(bytes(32)) == 0x8A9136AA


_VALUES = st.one_of(
    st.lists(st.binary(max_size=20), min_size=1, max_size=4),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4),
)


@given(st.dictionaries(st.text(max_size=8), _VALUES, max_size=5))
def test_features_come_back_by_name(features: dict[str, list[bytes] | list[int]]) -> None:
    data = tfrecord([example(features), b""])
    payload, empty = read_records(io.BytesIO(data))
    assert parse_example(payload) == features
    assert parse_example(empty) == {}
    (start, length), _ = scan(io.BytesIO(data))
    assert data[start : start + length] == payload


def test_a_sequence_has_a_list_for_each_step_and_an_empty_one_where_it_has_nothing() -> None:
    payload = sequence_example(
        {"title": [b"Ferns"]}, {"text": [[b"one"], [b"two"]], "urls": [[b"a", b"b"], []]}
    )
    assert parse_example(payload) == {
        "title": [b"Ferns"],
        "text": [[b"one"], [b"two"]],
        "urls": [[b"a", b"b"], []],
    }


def test_numbers_that_are_not_packed_are_read_too() -> None:
    integers = message(3, varint(1 << 3) + varint(7) + varint(1 << 3) + varint(-1))
    floats = message(2, varint(1 << 3 | 5) + struct.pack("<f", 0.5))
    entries = b"".join(
        message(1, message(1, name) + message(2, body))
        for name, body in ((b"i", integers), (b"f", floats))
    )
    assert parse_example(message(1, entries)) == {"i": [7, -1], "f": [0.5]}


def _fails(data: bytes, **limits: int) -> Reason:
    with pytest.raises(DocumentError) as error:
        list(read_records(io.BytesIO(data), **limits))
    with pytest.raises(DocumentError) as scanned:
        list(scan(io.BytesIO(data), **limits))
    assert scanned.value.reason is error.value.reason
    return error.value.reason


def test_damaged_files_are_told_and_no_length_is_believed_without_its_checksum() -> None:
    data = tfrecord([b"payload"])
    assert _fails(data[:-1]) is Reason.BAD_ARCHIVE
    assert _fails(data[:5]) is Reason.BAD_ARCHIVE
    assert _fails(b"\xff" * 7 + data[7:]) is Reason.BAD_ARCHIVE
    assert _fails(data, max_bytes=3) is Reason.TOO_LARGE


@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_a_bad_record(data: bytes) -> None:
    reason = Reason.BAD_RECORD
    try:
        parse_example(data)
    except DocumentError as error:
        reason = error.reason
    assert reason is Reason.BAD_RECORD
