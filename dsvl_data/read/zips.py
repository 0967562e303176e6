"""A zip archive from untrusted bytes: checked before anything is inflated, bounded while it is.

In: the bytes of an archive. Out: its members by name, each inflated when asked for and never
beyond what its header declares; or a `DocumentError` with the reason.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import PurePosixPath

from dsvl_data.outcome import DocumentError, Reason

MAX_MEMBERS = 20_000
MAX_MEMBER_BYTES = 200_000_000
MAX_TOTAL_BYTES = 1_000_000_000
#: Text deflates to a tenth, a blank page to a hundredth; beyond that it is a bomb.
MAX_RATIO = 250
#: What may inflate from anything: a million of equal tags deflates to nothing.
SMALL_BYTES = 32_000_000
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_ENCRYPTED = 0x1


class ZipArchive:
    """The members of a checked archive.

    Raises `DocumentError`: `BAD_ARCHIVE` (truncated, damaged, the same name twice),
    `ARCHIVE_BOMB` (too many members, too much declared, members that overlap), `UNSAFE_PATH`
    (a name that leads out of the archive), `ENCRYPTED` (a password). With `whole` false, a name
    that leads out costs that member alone: it is none of `names`, nor `in` the archive, and
    `UNSAFE_PATH` is raised when it is read (by `member_name`).
    """

    def __init__(self, data: bytes, *, whole: bool = True) -> None:
        self._data = data
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, ValueError, EOFError, struct.error, OverflowError) as error:
            raise DocumentError(Reason.BAD_ARCHIVE, f"no zip archive: {error}") from error
        except NotImplementedError as error:
            raise DocumentError(Reason.BAD_ARCHIVE, str(error)) from error
        if len(infos) > MAX_MEMBERS:
            raise DocumentError(Reason.ARCHIVE_BOMB, f"{len(infos)} members")
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._unsafe: dict[str, DocumentError] = {}
        for info in infos:
            name = member_name(info)
            try:
                check_member_name(name)
            except DocumentError as error:
                if whole:
                    raise
                self._unsafe[name] = error
            if info.is_dir():
                continue
            if name in self._members:
                raise DocumentError(Reason.BAD_ARCHIVE, f"two members named {name!r}")
            _check_sizes(info)
            self._members[name] = info
        total = sum(info.file_size for info in infos)
        if total > MAX_TOTAL_BYTES or (total > 2 * SMALL_BYTES and total > MAX_RATIO * len(data)):
            raise DocumentError(Reason.ARCHIVE_BOMB, f"{total} bytes from {len(data)}")
        self._check_overlap()

    @property
    def names(self) -> list[str]:
        """The names of the members, in the archive's order, folders left out."""
        return [name for name in self._members if name not in self._unsafe]

    def __contains__(self, name: object) -> bool:
        return name in self._members and name not in self._unsafe

    def read(self, name: str) -> bytes:
        """Inflate one member. Raises `KeyError` when there is none, `DocumentError` as above."""
        if name in self._unsafe:
            raise self._unsafe[name]
        info = self._members[name]
        if info.flag_bits & _ENCRYPTED:
            raise DocumentError(Reason.ENCRYPTED, f"{name} has a password")
        raw = self._raw(info)
        if info.compress_type == zipfile.ZIP_STORED:
            content = raw
        elif info.compress_type == zipfile.ZIP_DEFLATED:
            content = _inflate(raw, info)
        else:
            raise DocumentError(Reason.BAD_ARCHIVE, f"{name}: method {info.compress_type}")
        # No sum is kept over what is read: sizes as declared, which nothing inflates beyond, were
        # checked together at the opening, and a picture may be on all pages of a site.
        if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
            raise DocumentError(Reason.BAD_ARCHIVE, f"{name} is damaged")
        return content

    def _raw(self, info: zipfile.ZipInfo) -> bytes:
        start = self._start(info)
        raw = self._data[start : start + info.compress_size]
        if len(raw) != info.compress_size:
            raise DocumentError(Reason.BAD_ARCHIVE, f"{info.filename} is cut off")
        return raw

    def _start(self, info: zipfile.ZipInfo) -> int:
        header = self._data[info.header_offset : info.header_offset + _LOCAL_HEADER.size]
        if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
            raise DocumentError(Reason.BAD_ARCHIVE, f"{info.filename} has no header")
        *_, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        return info.header_offset + _LOCAL_HEADER.size + int(name_length) + int(extra_length)

    def _check_overlap(self) -> None:
        end = 0
        for info in sorted(self._members.values(), key=lambda info: info.header_offset):
            if info.header_offset < end:
                raise DocumentError(Reason.ARCHIVE_BOMB, f"{info.filename} overlaps another member")
            end = self._start(info) + info.compress_size


def member_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name, whole: `ZipInfo` cuts it off at a NUL."""
    return info.orig_filename if "\0" in info.orig_filename else info.filename


def check_member_name(name: str) -> None:
    """Raise `UNSAFE_PATH` for a name that leads out of its archive."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or name[1:2] == ":":
        raise DocumentError(Reason.UNSAFE_PATH, f"a member named {name!r}")


def _check_sizes(info: zipfile.ZipInfo) -> None:
    if info.file_size > MAX_MEMBER_BYTES:
        raise DocumentError(Reason.ARCHIVE_BOMB, f"{info.filename}: {info.file_size} bytes")
    if info.file_size > SMALL_BYTES and info.file_size > MAX_RATIO * max(info.compress_size, 1):
        raise DocumentError(
            Reason.ARCHIVE_BOMB,
            f"{info.filename}: {info.file_size} bytes from {info.compress_size}",
        )


def _inflate(raw: bytes, info: zipfile.ZipInfo) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        # One byte more than declared shows a header that lies, and costs no more memory.
        content = inflater.decompress(raw, info.file_size + 1)
    except zlib.error as error:
        raise DocumentError(Reason.BAD_ARCHIVE, f"{info.filename}: {error}") from error
    if len(content) > info.file_size:
        raise DocumentError(
            Reason.ARCHIVE_BOMB, f"{info.filename} is larger than the {info.file_size} it declares"
        )
    return content
