"""Gzip from untrusted bytes: inflated as far as it is asked for, and never without end.

In: compressed bytes, or a compressed file wherever it lies. Out: the bytes in them, or a
`DocumentError` (`BAD_ARCHIVE` for a damaged or truncated stream, `ARCHIVE_BOMB` for one that
inflates to far more than text does). Streams of several members are read through.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import IO, Any, cast

import pyarrow as pa

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.zips import MAX_MEMBER_BYTES, MAX_RATIO, SMALL_BYTES

_CHUNK = 4 << 20


class GzipReader:
    """The inflated bytes of a stream, read forwards; `seek` backwards starts anew.

    `read` raises `DocumentError`; memory holds what one `read` returns.
    """

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        # Untyped for what is no Python file, but it needs only read and seek.
        self._inflated = gzip.GzipFile(fileobj=cast("Any", source), mode="rb")

    @classmethod
    def of_file(cls, path: str) -> GzipReader:
        """Open a file; `OSError` when that fails."""
        return cls(cast("IO[bytes]", storage.open_input(path)))

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer before the end or damage, which the next call tells.

        So what comes before the damage can be had.
        """
        pieces: list[bytes] = []
        left = size
        while left:
            try:
                with _told():
                    piece = self._inflated.read1(left)
            except DocumentError:
                if not pieces:
                    raise
                break
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece)
        position, packed = self._inflated.tell(), max(self._source.tell(), 1)
        if position > SMALL_BYTES and position > MAX_RATIO * packed:
            raise DocumentError(Reason.ARCHIVE_BOMB, f"more than {position} bytes from {packed}")
        return b"".join(pieces)

    def seek(self, position: int) -> None:
        """Go to a position among the inflated bytes."""
        with _told():
            self._inflated.seek(position)

    def close(self) -> None:
        """Close the file below."""
        self._inflated.close()
        self._source.close()


def is_gzip(path: str) -> bool:
    """Whether a file is gzipped, by its name."""
    return path.lower().endswith(".gz")


def open_stream(path: str) -> GzipReader | pa.NativeFile:
    """Open a file to be read forwards, inflated when it is gzipped; `OSError` when that fails."""
    return GzipReader.of_file(path) if is_gzip(path) else storage.open_input(path)


def read_range(path: str, offset: int, size: int) -> bytes:
    """Return `size` bytes from `offset` of what a file holds, inflated when it is gzipped.

    Cheap where ranges are asked for in order. Raises `OSError`, and `DocumentError`:
    `UNREADABLE` when fewer bytes are there, and those of a gzipped stream.
    """
    if not is_gzip(path):
        data = storage.read_bytes(path, offset, size)
    else:
        try:
            reader = _reader(path)
            reader.seek(offset)
            data = reader.read(size)
        except (OSError, DocumentError):
            _reader.cache_clear()
            raise
    if len(data) < size:
        raise DocumentError(Reason.UNREADABLE, f"{path}: {len(data)} bytes of {size} are there")
    return data


@lru_cache(maxsize=1)
def _reader(path: str) -> GzipReader:
    # Kept, since every start anew inflates all that comes before.
    return GzipReader.of_file(path)


def inflate(data: bytes) -> bytes:
    """Inflate a whole document, of at most `MAX_MEMBER_BYTES`."""
    reader = GzipReader(io.BytesIO(data))
    made = bytearray()
    while chunk := reader.read(_CHUNK):
        made += chunk
        if len(made) > MAX_MEMBER_BYTES:
            raise DocumentError(
                Reason.ARCHIVE_BOMB, f"more than {MAX_MEMBER_BYTES} bytes from {len(data)}"
            )
    return bytes(made)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DocumentError(Reason.BAD_ARCHIVE, f"gzip: {error}") from error
