"""What lies in a file, by position: the members of a tar or zip, the lines of a stream.

In: a file's path, or a stream. Out: names, offsets and sizes, in the order of the file; no payload
is looked at but for the ends of lines.
"""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.listing import printable
from dsvl_data.read.streams import Span
from dsvl_data.read.zips import check_member_name

#: Compressed tars: members of the first can be ranges of what the tar unpacks to.
STREAMED_TARS = (".tar.gz", ".tgz", ".tar.zst")
OTHER_TARS = (".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_CHUNK = 8 << 20


class MemberParts:
    """Names the members of one archive in URIs: `!name`, and `!name#2` where it comes again."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def part(self, name: str) -> str:
        """Name the next member."""
        self._times[name] += 1
        times = self._times[name]
        return f"!{printable(name)}" + (f"#{times}" if times > 1 else "")


def tar_members(path: str) -> Iterator[tuple[str, int, int]]:
    """Yield (name, offset, size) of each regular file of an uncompressed tar, without payloads.

    Raises `tarfile.ReadError` where the tar is damaged or cut off.
    """
    with _open(path) as file, tarfile.open(fileobj=file, mode="r:") as archive:
        end = file.seek(0, os.SEEK_END)
        file.seek(0)
        while (member := archive.next()) is not None:
            if member.offset_data + member.size > end:
                raise tarfile.ReadError(f"{member.name!r} reaches beyond the end of the file")
            if member.isreg() and not member.issparse():
                yield member.name, member.offset_data, member.size
            cast("Any", archive).members.clear()  # tarfile remembers every member it has seen
        # tarfile takes a header that makes no sense for the end of the archive.
        file.seek(archive.offset)
        if any(file.read(tarfile.BLOCKSIZE)):
            raise tarfile.ReadError(f"no header at byte {archive.offset}")


def zip_members(path: str) -> Iterator[tuple[str, Span | DocumentError, int]]:
    """Yield (name, where, size unpacked) of each file in a zip, from its directory alone.

    A member that must not or cannot be read comes with the reason. Raises `BadZipFile` for what is
    no zip, `OSError`.
    """
    with _open(path) as file, zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            where: Span | DocumentError
            stored = info.compress_type == zipfile.ZIP_STORED
            try:
                check_member_name(info.orig_filename)
            except DocumentError as error:
                where = error
            else:
                where = Span(
                    path, info.header_offset, info.compress_size, "" if stored else "deflate", True
                )
            if info.flag_bits & 0x1:
                where = DocumentError(Reason.ENCRYPTED, f"{info.filename} has a password")
            elif not stored and info.compress_type != zipfile.ZIP_DEFLATED:
                where = DocumentError(Reason.BAD_ARCHIVE, f"compressed by {info.compress_type}")
            yield info.filename, where, info.file_size


def line_ranges(read: Callable[[int], bytes]) -> Iterator[tuple[int, int, int]]:
    """Yield (line number from 0, offset, length) of each line of a stream that is not blank."""
    number = start = position = 0
    blank = True
    while chunk := read(_CHUNK):
        here = 0
        while (end := chunk.find(b"\n", here)) >= 0:
            if not blank or chunk[here:end].strip():
                yield number, start, position + end - start
            number, start, blank, here = number + 1, position + end + 1, True, end + 1
        blank = blank and not chunk[here:].strip()
        position += len(chunk)
    if not blank:
        yield number, start, position - start


def _open(path: str) -> IO[bytes]:
    return cast("IO[bytes]", storage.open_input(path))
