"""A tar writer for shards: names and payloads flow in, a plain tar flows out, hashed on the way.

It builds its headers itself (ustar; a pax header before it where ustar has no room) and hands
payloads to the kernel as they are (`writev`, no copy), in a thread of its own, so that hashing,
and whatever makes the next members, goes on meanwhile. The same members in the same order give
the same bytes on any machine: no time, no user, mode 0644.

The hash is XXH3 with 128 bits, which `xxh128sum` checks: it guards against damage, not against
a forger, who could as well change the manifest beside it. On a core with SHA instructions
SHA-256 hashes 1.4 GiB/s and BLAKE3 2.3, hardly more than memory takes in (1.7), so either would
halve the writer's speed; XXH3 reads 13 GiB/s.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, Self

import xxhash

BLOCK = 512
#: A tar ends with two empty blocks, filled up to a record of 20 blocks as every tar does.
RECORD = 20 * BLOCK

_MAX_NAME = 100
_MAX_SIZE = 8**11  # eleven octal digits: 8 GiB
_ZEROS = bytes(RECORD)
#: Padding by the payload's size modulo the block, so that no bytes object is made for it.
_PADDING = [b"", *(_ZEROS[:n] for n in range(BLOCK - 1, 0, -1))]

# What stands between and behind name, size, checksum and kind in a ustar header of ours.
_OWNER = b"0000644\0" + b"0000000\0" + b"0000000\0"
_TIME = b"\0" + b"00000000000\0"
_CHECKSUM_END = b"\0 "
_TAIL = b"\0" * 100 + b"ustar\x0000" + b"\0" * 64 + b"0000000\0" * 2 + b"\0" * 167
# The checksum is the sum of the header's bytes, its own eight counted as spaces.
_FIXED_SUM = sum(_OWNER + _TIME + _TAIL) + 8 * ord(" ")

#: Bytes queued before they go out in one call. Large enough that a call's and a hand-over's cost
#: vanish, small enough that what the hash has just read is still in the L3 cache.
_BATCH = 8 << 20
#: Batches handed over and not yet written: with a second one the thread need not wait for more.
_AHEAD = 2
_MAX_BUFFERS = 1000  # IOV_MAX is 1024 on Linux and macOS
#: A payload up to this size is joined with the headers and padding around it: a copy costs less
#: than one buffer more does, and a batch of texts is not cut short by the count of buffers.
_SMALL = 16 << 10


class Sink(Protocol):
    """Anything that takes bytes in order: a local `File`, a remote store's stream, a buffer."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Take all of `data`."""
        ...


@dataclass(frozen=True, slots=True)
class Digest:
    """What a finished tar is: its size in bytes and its 128-bit XXH3 in hex."""

    size: int
    xxh3: str


class TarWriter:
    """Writes members one after the other to `sink`; `close` ends the archive.

    A raw local file (`open(path, "wb", buffering=0)`, anything with a `fileno` and no buffer
    of its own) is written with `writev` by another thread, one batch behind; any other sink
    through `write`, large payloads uncopied. Payloads must not change before `close`. The caller
    opens, syncs and renames; who gives up before `close` leaves the `with` block first, and then
    the file: the thread must not write to a descriptor that means another file by then.

    `add` and `close` raise `OSError` when a write fails, also one that `add` began earlier.
    """

    def __init__(self, sink: Sink) -> None:
        self.size = 0
        self._sink = sink
        self._descriptor = _raw_descriptor(sink)
        #: What waits to be written: buffers, and behind them small pieces not yet joined.
        self._queued: list[bytes | memoryview] = []
        self._pieces: list[bytes | memoryview] = []
        self._queued_bytes = 0
        self._hash = xxhash.xxh3_128()
        self._thread: ThreadPoolExecutor | None = None
        self._writing: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until nothing is written any more; the archive has no end unless closed before."""
        if self._thread is not None:
            self._thread.shutdown()

    def add(self, name: str, payload: bytes | memoryview) -> int:
        """Add a member and return the offset of its payload in the archive.

        Raises `ValueError` for a name that no tar can hold or hand back: empty, with a NUL,
        not valid Unicode, or with a slash at its end.
        """
        size = len(payload)
        head = header(name, size)
        padding = _PADDING[size % BLOCK]
        if size <= _SMALL:
            self._pieces += (head, payload, padding)
        else:
            self._pieces.append(head)
            self._queued += (b"".join(self._pieces), payload)
            self._pieces = [padding]
        offset = self.size + len(head)
        step = len(head) + size + len(padding)
        self.size += step
        self._queued_bytes += step
        if self._queued_bytes >= _BATCH or len(self._queued) >= _MAX_BUFFERS:
            self._flush()
        return offset

    def close(self) -> Digest:
        """Write the end of the archive and return its digest; the sink stays open."""
        tail = 2 * BLOCK
        tail += -(self.size + tail) % RECORD
        self._pieces.append(bytes(tail))
        self.size += tail
        self._flush()
        self._wait(0)
        if self._thread is not None:
            self._thread.shutdown()
        return Digest(self.size, self._hash.hexdigest())

    def _flush(self) -> None:
        batch, self._queued, self._queued_bytes = self._queued, [], 0
        batch.append(b"".join(self._pieces))
        self._pieces = []
        if self._descriptor is None:
            for data in batch:
                self._hash.update(data)
                self._sink.write(data)
            return
        self._wait(_AHEAD - 1)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "tar")
        self._writing.append(self._thread.submit(write_all, self._descriptor, batch))
        for data in batch:
            self._hash.update(data)

    def _wait(self, left: int) -> None:
        """Wait until at most `left` batches are not yet written; raises what one met."""
        while len(self._writing) > left:
            self._writing[0].result()
            self._writing.popleft()


def header(name: str, size: int) -> bytes:
    """Return the header blocks of a regular file; raises `ValueError` as `TarWriter.add` does."""
    try:
        raw = name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"a member's name must be valid Unicode: {name!r}") from None
    if not raw or raw[-1] == 0x2F or 0 in raw:
        raise ValueError(f"a member's name must not be empty, hold a NUL or end in '/': {name!r}")
    if len(raw) <= _MAX_NAME and size < _MAX_SIZE and name.isascii():
        return _ustar(raw, size, b"0")
    records = _pax_record(b"path", raw)
    if size >= _MAX_SIZE:
        records += _pax_record(b"size", b"%d" % size)
    # A reader without pax sees a name that still tells members apart, and no size it trusts.
    short = hashlib.sha256(raw).hexdigest().encode()
    return (
        _ustar(b"PaxHeaders/" + short, len(records), b"x")
        + records
        + _PADDING[len(records) % BLOCK]
        + _ustar(short, size if size < _MAX_SIZE else 0, b"0")
    )


def write_all(descriptor: int, buffers: Sequence[bytes | memoryview]) -> None:
    """Write all buffers with as few calls as the kernel lets us; a short write is continued."""
    total = sum(map(len, buffers))
    done = os.writev(descriptor, buffers)
    while done < total:
        rest = _after(buffers, done)
        buffers, total = rest, total - done
        done = os.writev(descriptor, buffers)


def _after(buffers: Sequence[bytes | memoryview], count: int) -> list[bytes | memoryview]:
    """Return what is left of `buffers` behind their first `count` bytes."""
    rest = list(buffers)
    while rest and count >= len(rest[0]):
        count -= len(rest.pop(0))
    if count:
        rest[0] = memoryview(rest[0])[count:]
    return rest


def _ustar(name: bytes, size: int, kind: bytes) -> bytes:
    digits = b"%011o" % size
    checksum = b"%06o" % (_FIXED_SUM + sum(name) + sum(digits) + kind[0])
    padded = name.ljust(_MAX_NAME, b"\0")
    return b"".join((padded, _OWNER, digits, _TIME, checksum, _CHECKSUM_END, kind, _TAIL))


def _pax_record(key: bytes, value: bytes) -> bytes:
    """A length that counts its own digits, a space, `KEY=VALUE`, a newline."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _raw_descriptor(sink: Sink) -> int | None:
    # A buffered file would get its bytes out of order.
    return sink.fileno() if isinstance(sink, io.FileIO) else None
