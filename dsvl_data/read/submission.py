"""What was submitted to arXiv as an article's source, unpacked within limits.

In: the bytes of a submission (a gzipped tar, a gzipped TeX file, a tar, a zip, a TeX file) that
nobody trusts. Out: its files in a folder, or a `DocumentError` that says why there are none.
"""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.gzips import GzipReader
from dsvl_data.read.zips import ZipArchive

MAX_FILES = 10_000
MAX_FILE_BYTES = 200_000_000
MAX_TOTAL_BYTES = 1_000_000_000
_MAX_DEPTH = 16
_SNIFFED = 1 << 16
_CHUNK = 1 << 20
_WITHDRAWN_BYTES = 4000
_DOCUMENT = re.compile(r"\\document(?:class|style)\s*(?:\[[^\]]*\])?\s*\{")


def unpack_source(source: bytes, folder: Path, *, name: str = "paper") -> None:
    """Write the files of a submission to an empty folder; a single TeX file is `name` + `.tex`.

    Links and devices are left out. Raises `DocumentError`: `EMPTY_DOCUMENT`, `WITHDRAWN` (a stub
    that says so), `PDF_ONLY`, `NO_SOURCE` (PostScript, HTML, Word), `BAD_ARCHIVE`, `UNSAFE_PATH`
    (a name that leads out), `ARCHIVE_BOMB` (too many files, too many bytes), `ENCRYPTED`.
    """
    if not source.strip(b"\0 \r\n\t"):
        raise DocumentError(Reason.EMPTY_DOCUMENT, "no source")
    if source.startswith(b"PK\x03\x04"):
        _unpack_zip(source, folder)
        return
    if not source.startswith(b"\x1f\x8b"):
        _unpack_stream(io.BytesIO(source), folder, name)
        return
    head = GzipReader(io.BytesIO(source)).read(_SNIFFED)
    if head.startswith(b"\x1f\x8b"):  # gzipped twice, by a browser
        head = b""
    if head.startswith(b"PK\x03\x04"):
        _unpack_zip(_whole(GzipReader(io.BytesIO(source))), folder)
        return
    _unpack_stream(GzipReader(io.BytesIO(source)), folder, name)


def _unpack_zip(source: bytes, folder: Path) -> None:
    archive = ZipArchive(source)
    writer = _Writer(folder)
    for name in archive.names:
        writer.add(name, io.BytesIO(archive.read(name)))
    writer.finish()


def _unpack_stream(stream: IO[bytes] | GzipReader, folder: Path, name: str) -> None:
    """Unpack a tar, or write the one file that it is."""
    head = stream.read(_SNIFFED)
    stream.seek(0)
    if not _is_tar(head):
        _write_single(head, stream, folder, name)
        return
    writer = _Writer(folder)
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as archive:
            for member in archive:
                if member.isreg() and not member.issparse():
                    inside = archive.extractfile(member)
                    assert inside is not None
                    writer.add(member.name, inside)
                elif not member.isdir():
                    writer.check(member.name)
                writer.count()
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise DocumentError(Reason.BAD_ARCHIVE, f"tar: {error}") from error
    writer.finish()


def _is_tar(head: bytes) -> bool:
    if len(head) >= 262 and head[257:262] == b"ustar":
        return True
    try:  # tars of before 1988 have no mark; their checksum says what they are
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _write_single(head: bytes, stream: IO[bytes] | GzipReader, folder: Path, name: str) -> None:
    start = head.lstrip()[:1024]
    text = head[:_WITHDRAWN_BYTES].decode("utf-8", "replace")
    if start.startswith(b"%PDF"):
        raise DocumentError(Reason.PDF_ONLY, "the source is a PDF")
    if start.startswith((b"%!PS", b"\x04%!PS")):
        raise DocumentError(Reason.NO_SOURCE, "the source is PostScript")
    if re.match(rb"(?i)<!doctype|<html|<\?xml", start):
        raise DocumentError(Reason.NO_SOURCE, "the source is HTML")
    if len(head) < _SNIFFED and _DOCUMENT.search(text) is None and _is_withdrawal(text):
        raise DocumentError(Reason.WITHDRAWN, " ".join(text.replace("%auto-ignore", "").split()))
    if b"\0" in head:
        raise DocumentError(Reason.NO_SOURCE, "the source is neither TeX nor an archive")
    writer = _Writer(folder)
    writer.add(f"{re.sub(r'[^A-Za-z0-9._-]', '_', name) or 'paper'}.tex", stream)


def _is_withdrawal(text: str) -> bool:
    if text.lstrip().startswith("%auto-ignore"):
        return True
    return re.search(r"\bwithdrawn\b", text) is not None and "\\" not in text


def _whole(stream: GzipReader) -> bytes:
    made = bytearray()
    while chunk := stream.read(_CHUNK):
        made += chunk
        if len(made) > MAX_FILE_BYTES:
            raise DocumentError(Reason.ARCHIVE_BOMB, f"more than {MAX_FILE_BYTES} bytes")
    return bytes(made)


class _Writer:
    """Writes the files of one submission below a folder, and counts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._members = 0
        self._bytes = 0
        self._files = 0

    def count(self) -> None:
        self._members += 1
        if self._members > MAX_FILES:
            raise DocumentError(Reason.ARCHIVE_BOMB, f"more than {MAX_FILES} members")

    def check(self, name: str) -> PurePosixPath:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts:
            raise DocumentError(Reason.UNSAFE_PATH, f"{name!r} leads out of the archive")
        if len(path.parts) > _MAX_DEPTH:
            raise DocumentError(Reason.ARCHIVE_BOMB, f"{name!r} is too deep")
        return path

    def add(self, name: str, content: IO[bytes] | IO[Any] | GzipReader) -> None:
        target = self._folder.joinpath(*self.check(name).parts)
        written = 0
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                while chunk := content.read(_CHUNK):
                    written += len(chunk)
                    if written > MAX_FILE_BYTES or self._bytes + written > MAX_TOTAL_BYTES:
                        raise DocumentError(
                            Reason.ARCHIVE_BOMB, f"{name!r} and before: too many bytes"
                        )
                    file.write(chunk)
        except (OSError, UnicodeEncodeError) as error:  # names too long, a file that is a folder
            raise DocumentError(Reason.BAD_ARCHIVE, f"{name!r}: {error}") from error
        self._bytes += written
        self._files += 1

    def finish(self) -> None:
        if not self._files:
            raise DocumentError(Reason.EMPTY_DOCUMENT, "an archive without files")
