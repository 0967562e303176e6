"""Gzip from untrusted bytes: inflated as far as it is asked for, and never without end.

In: compressed bytes, or a compressed file wherever it lies. Out: the bytes in them, or a
`DocumentError` (`BAD_ARCHIVE` for a damaged or truncated stream, `ARCHIVE_BOMB` for one that
inflates to far more than text does). Streams of several members are read through.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import IO, NamedTuple, cast

import pyarrow as pa

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.zips import MAX_MEMBER_BYTES, MAX_RATIO, SMALL_BYTES

_CHUNK = 4 << 20
#: Compressed bytes at a time; zlib makes at most a thousand times as many of them.
_BLOCK = 32 << 10
#: `wbits` of a gzip member, with header and check sum.
_GZIP = 31
#: Places to start from that a reader keeps, 40 kB each, and inflated bytes between them at first.
_PLACES = 64
_APART = 4 << 20


class GzipReader:
    """The inflated bytes of a stream; `seek` goes anywhere, and starts near by where it has been.

    `read` raises `DocumentError`. Memory holds what one `read` returns, and some MB.
    """

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._places = [_Place(0, 0, None)]
        self._apart = _APART
        self._piece = memoryview(b"")  # what is inflated and not read yet
        self._damage: DocumentError | None = None
        self._go_to(self._places[0])

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
        while left and (self._piece or self._inflate(told=not pieces)):
            piece, self._piece = self._piece[:left], self._piece[left:]
            pieces.append(bytes(piece))
            left -= len(piece)
        position = self._end - len(self._piece)
        if position > SMALL_BYTES and position > MAX_RATIO * max(self._packed, 1):
            detail = f"more than {position} bytes from {self._packed}"
            raise DocumentError(Reason.ARCHIVE_BOMB, detail)
        return b"".join(pieces)

    def seek(self, position: int) -> None:
        """Go to a position among the inflated bytes, or the end if that is before it."""
        place = next(place for place in reversed(self._places) if place.position <= position)
        if position < self._end - len(self._piece) or place.position > self._end:
            self._go_to(place)
        while self._end < position and self._inflate(told=True):
            pass
        self._piece = self._piece[len(self._piece) - max(0, self._end - position) :]

    def close(self) -> None:
        """Close the file below."""
        self._source.close()

    def _go_to(self, place: _Place) -> None:
        self._source.seek(place.packed)
        # `_end`: where in the inflated bytes `_piece` ends.
        self._end, self._packed = place.position, place.packed
        self._state = place.state and place.state.copy()
        self._piece = memoryview(b"")
        self._damage = None

    def _inflate(self, *, told: bool) -> bool:
        """Inflate the next block into `_piece`; False at the end, or at damage unless `told`."""
        self._piece = memoryview(b"")
        while not self._piece:
            if self._damage is None:
                self._remember()
                block = self._source.read(_BLOCK)
                self._packed += len(block)
                if not block:
                    if self._state is None:
                        return False
                    self._damage = _damage("it ends in the middle")
            if self._damage is not None:
                if told:
                    raise self._damage
                return False
            self._piece = memoryview(b"".join(self._inflated(block)))
            self._end += len(self._piece)
        return True

    def _inflated(self, block: bytes) -> Iterator[bytes]:
        while block:
            if self._state is None:  # between two members, where zeros may lie
                block = block.lstrip(b"\0")
                if not block:
                    return
                self._state = zlib.decompressobj(_GZIP)
            before = self._state.copy()
            try:
                yield self._state.decompress(block)
            except zlib.error as error:
                self._damage = _damage(error)
                yield from _sound(before, block)
                return
            block = self._state.unused_data
            if self._state.eof:
                self._state = None

    def _remember(self) -> None:
        """Keep this place to start from, if none is near."""
        if self._end < self._places[-1].position + self._apart:
            return
        self._places.append(_Place(self._end, self._packed, self._state and self._state.copy()))
        if len(self._places) > _PLACES:
            del self._places[1::2]
            self._apart *= 2


class _Place(NamedTuple):
    """Somewhere to start from: a position, what was read to get there, the state after that."""

    position: int
    packed: int
    state: zlib._Decompress | None


def is_gzip(path: str) -> bool:
    """Whether a file is gzipped, by its name."""
    return path.lower().endswith(".gz")


def open_stream(path: str) -> GzipReader | pa.NativeFile:
    """Open a file to be read forwards, inflated when it is gzipped; `OSError` when that fails."""
    return GzipReader.of_file(path) if is_gzip(path) else storage.open_input(path)


def read_range(path: str, offset: int, size: int) -> bytes:
    """Return `size` bytes from `offset` of what a file holds, inflated when it is gzipped.

    In a gzipped file, the first call inflates all that lies before the range (see `approach`),
    a later one what lies between it and a place near by. Raises `OSError`, and `DocumentError`:
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


def approach(path: str, offset: int) -> None:
    """Get near a range that `read_range` will be asked for, however long that takes.

    Nothing to do for a file that is not gzipped. What is wrong there, `read_range` tells.
    """
    if is_gzip(path):
        with suppress(OSError, DocumentError):
            _reader(path).seek(offset)


@lru_cache(maxsize=1)
def _reader(path: str) -> GzipReader:
    # Kept, since a new one inflates all that comes before.
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


def _sound(state: zlib._Decompress, block: bytes) -> Iterator[bytes]:
    """Inflate a damaged block as far as it goes: of a failed call, zlib keeps nothing."""
    with suppress(zlib.error):
        for at in range(len(block)):
            yield state.decompress(block[at : at + 1])


def _damage(what: object) -> DocumentError:
    return DocumentError(Reason.BAD_ARCHIVE, f"gzip: {what}")
