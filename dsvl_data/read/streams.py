"""Bytes that are packed into a file: a member of a tar or zip, gzip, zstd; read by position.

In: a `Span` (a file, or a part of one, and how it is packed). Out: its unpacked bytes, forwards
or by range, or a `DocumentError`. Ranges asked for in order cost one pass; going back in a packed
span starts it anew. Nothing is unpacked to disk.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import IO, Any, Literal, NamedTuple, Protocol, TypeAlias, cast

import pyarrow as pa

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.gzips import GzipReader
from dsvl_data.read.zips import MAX_RATIO, SMALL_BYTES

Packing: TypeAlias = Literal["", "gzip", "zstd", "deflate"]
_SUFFIXES: dict[str, Packing] = {".gz": "gzip", ".zst": "zstd"}
_BLOCK = 64 << 10
_NEAR = 4 << 10
_ZIP_HEADER = 30


def packing_of(name: str) -> tuple[str, Packing]:
    """Split a file name into what it is called unpacked, and how it is packed."""
    for suffix, packing in _SUFFIXES.items():
        if name.lower().endswith(suffix):
            return name[: -len(suffix)], packing
    return name, ""


class Span(NamedTuple):
    """`size` bytes from `offset` of a file (-1: to its end), and how they are packed.

    With `zip_header` the offset is that of a zip member's local header, which the bytes follow
    and which says itself how long it is: so listing a zip reads nothing but its directory.
    """

    path: str
    offset: int = 0
    size: int = -1
    packing: Packing = ""
    zip_header: bool = False

    def to_list(self) -> list[Any]:
        """Return what JSON can hold; `Span(*values)` is the inverse."""
        return [self.path, self.offset, self.size, self.packing, self.zip_header]


class Stream(Protocol):
    """Unpacked bytes. `read` raises `DocumentError` (`BAD_ARCHIVE`, `ARCHIVE_BOMB`), `OSError`."""

    def read(self, size: int, /) -> bytes: ...

    def seek(self, position: int, /) -> None: ...

    def close(self) -> None: ...


def open_span(span: Span) -> Stream:
    """Open a span; `OSError` when the file is not there, `BAD_ARCHIVE` for a zip without header."""
    if span.packing == "zstd":
        return _Zstd(span)
    window = _Window(span)
    if span.packing == "gzip":
        return GzipReader(cast("IO[bytes]", window))
    return _Inflating(window) if span.packing == "deflate" else window


def read_span(span: Span, limit: int) -> bytes:
    """Return all bytes of a span. Raises `TOO_LARGE` beyond `limit`, `UNREADABLE`, and a stream's.

    Made for pictures: a span that is not packed is one read.
    """
    try:
        if not span.packing and not span.zip_header:
            if span.size > limit:
                raise DocumentError(Reason.TOO_LARGE, f"{span.size} bytes, the limit is {limit}")
            wanted = span.size if span.size >= 0 else limit + 1
            data = storage.read_bytes(span.path, span.offset, wanted)
        else:
            stream = open_span(span)
            try:
                data = stream.read(limit + 1)
            finally:
                stream.close()
    except OSError as error:
        raise DocumentError(Reason.UNREADABLE, f"{span.path}: {error}") from error
    if len(data) > limit:
        raise DocumentError(Reason.TOO_LARGE, f"more than {limit} bytes")
    if len(data) < span.size and not span.packing:
        detail = f"{span.path}: {len(data)} bytes of {span.size} are there"
        raise DocumentError(Reason.UNREADABLE, detail)
    return data


def read_ranges(span: Span, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """Return the bytes of some (offset, size) of what a span unpacks to.

    The stream is kept for the next call. Raises `UNREADABLE` when fewer bytes are there or the
    file is gone, and what a stream raises.
    """
    try:
        stream = _kept(span)
        pieces: list[bytes] = []
        for first, last in _runs(ranges):
            start = ranges[first][0]
            wanted = sum(ranges[last - 1]) - start
            if isinstance(stream, _Window):
                run = stream.read_at(start, wanted)
            else:
                stream.seek(start)
                run = stream.read(wanted)
            if last - first == 1:
                pieces.append(run)
            else:
                pieces += [run[at - start : at - start + size] for at, size in ranges[first:last]]
    except (OSError, DocumentError) as error:
        _kept.cache_clear()
        if isinstance(error, DocumentError):
            raise
        raise DocumentError(Reason.UNREADABLE, f"{span.path}: {error}") from error
    if sum(map(len, pieces)) < sum([size for _, size in ranges]):
        _kept.cache_clear()
        wanted, there = next(
            (size, len(piece))
            for (_, size), piece in zip(ranges, pieces, strict=True)
            if len(piece) < size
        )
        detail = f"{span.path}: {there} bytes of {wanted} are there"
        raise DocumentError(Reason.UNREADABLE, detail)
    return pieces


def _runs(ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield where runs of ranges begin and end that lie so near that one read is cheaper."""
    first, end = 0, -1
    for number, (offset, size) in enumerate(ranges):
        if number > first and not end <= offset <= end + _NEAR:
            yield first, number
            first = number
        end = offset + size
    if ranges:
        yield first, len(ranges)


@lru_cache(maxsize=1)
def _kept(span: Span) -> Stream:
    return open_span(span)


class _Window:
    """A part of a file as a file of its own, with as much of Python's protocol as is needed."""

    closed = False

    def __init__(self, span: Span) -> None:
        self._file = storage.open_input(span.path)
        self._start = span.offset + (_header_size(self._file, span) if span.zip_header else 0)
        end = self._start + span.size if span.size >= 0 else self._file.size()
        self._size = end - self._start
        self._position = 0
        self._ahead: list[tuple[int, bytes]] = []  # where, what: at most two
        self._file.seek(self._start)

    def read(self, size: int = -1) -> bytes:
        left = self._size - self._position
        data: bytes = self._file.read(max(0, left if size < 0 else min(size, left)))
        self._position += len(data)
        return data

    def read_at(self, position: int, size: int) -> bytes:
        """Return as much as is there of a range; a `read` after it needs a `seek` before.

        What follows a range just read is read ahead, in two places at once: neighbouring records
        of a JSON file, and the annotations that are joined to them.
        """
        for start, data in self._ahead:
            if start <= position and position + size <= start + len(data):
                return data[position - start : position - start + size]
        follows = [
            (start, data)
            for start, data in self._ahead
            if start <= position <= start + len(data) + _NEAR
        ]
        wanted = min(max(size, _BLOCK) if follows else size, self._size - position)
        data = self._file.read_at(wanted, self._start + position) if wanted > 0 else b""
        kept = [block for block in self._ahead if block not in follows]
        tail = data[-_BLOCK:]  # a huge record is not held
        self._ahead = [*kept[-1:], (position + len(data) - len(tail), tail)]
        return data[:size]

    def seek(self, position: int) -> None:
        self._position = position
        self._file.seek(self._start + position)

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()


class _Inflating:
    """What a zip member inflates to, which has no header and no check sum of its own."""

    def __init__(self, window: _Window) -> None:
        self._window = window
        self._restart()

    def _restart(self) -> None:
        self._window.seek(0)
        self._state = zlib.decompressobj(-zlib.MAX_WBITS)
        self._position = 0

    def read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        left = size
        while left and not self._state.eof:
            block = self._state.unconsumed_tail or self._window.read(_BLOCK)
            if not block:
                raise DocumentError(Reason.BAD_ARCHIVE, "zip: a member ends in the middle")
            try:
                piece = self._state.decompress(block, left)
            except zlib.error as error:
                raise DocumentError(Reason.BAD_ARCHIVE, f"zip: {error}") from error
            pieces.append(piece)
            left -= len(piece)
            self._position += len(piece)
            _check_ratio(self._position, self._window.tell())
        return b"".join(pieces)

    def seek(self, position: int) -> None:
        if position < self._position:
            self._restart()
        _skip(self, position - self._position)

    def close(self) -> None:
        self._window.close()


class _Zstd:
    """What a zstd stream holds."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._restart()

    def _restart(self) -> None:
        # Arrow closes what it reads from when it is done with it.
        self._window = _Window(self._span)
        self._source = pa.CompressedInputStream(pa.PythonFile(self._window, "r"), "zstd")
        self._position = 0
        self._damage: DocumentError | None = None

    def read(self, size: int) -> bytes:
        """Return the next bytes; fewer before damage, which the next call tells."""
        pieces: list[bytes] = []
        left = size
        while left and (piece := self._read_some(min(left, _BLOCK), told=not pieces)):
            pieces.append(piece)
            left -= len(piece)
        _check_ratio(self._position, self._window.tell())
        return b"".join(pieces)

    def _read_some(self, size: int, *, told: bool) -> bytes:
        if self._damage is None:
            try:
                data: bytes = self._source.read(size)
            except (OSError, pa.ArrowException) as error:
                self._damage = DocumentError(Reason.BAD_ARCHIVE, f"zstd: {error}")
            else:
                self._position += len(data)
                return data
        if told:
            raise self._damage
        return b""

    def seek(self, position: int) -> None:
        if position < self._position:
            self._restart()
        _skip(self, position - self._position)

    def close(self) -> None:
        self._window.close()


def _skip(stream: _Inflating | _Zstd, left: int) -> None:
    while left > 0:
        passed = len(stream.read(min(left, _BLOCK)))
        if not passed:
            return
        left -= passed


def _check_ratio(position: int, packed: int) -> None:
    if position > SMALL_BYTES and position > MAX_RATIO * max(packed, 1):
        raise DocumentError(Reason.ARCHIVE_BOMB, f"more than {position} bytes from {packed}")


def _header_size(file: pa.NativeFile, span: Span) -> int:
    """Bytes of a zip member's local header: 30, its name, and an extra field of any length."""
    file.seek(span.offset)
    header: bytes = file.read(_ZIP_HEADER)
    if len(header) < _ZIP_HEADER or header[:4] != b"PK\x03\x04":
        raise DocumentError(Reason.BAD_ARCHIVE, f"no zip member at byte {span.offset}")
    lengths = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
    return _ZIP_HEADER + sum(lengths)
