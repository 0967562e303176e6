"""The extracted texts of a web crawl: WARC files of the WET kind, plain or gzipped.

In: `*.warc.wet`, `*.warc.wet.gz` (Common Crawl's) among the inputs of a recipe. Out: a
`DocumentRef` for each `conversion` record, by its byte range (WARC files are gzipped record by
record), and the text and headers of one. Format: ISO 28500, and Common Crawl's "WET format"
(https://commoncrawl.org/get-started).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef, InputSpec
from dsvl_data.read.gzips import inflate
from dsvl_data.read.listing import failed, located
from dsvl_data.storage import StoredFile

SUFFIXES = (".warc.wet", ".warc.wet.gz", ".wet", ".wet.gz")
_GZIP_MAGIC = b"\x1f\x8b"
#: What warcio raises of a damaged file.
_DAMAGE = (ArchiveLoadFailed, EOFError, OSError, ValueError, AttributeError)


@dataclass(frozen=True, slots=True)
class WetRecord:
    """The text of a page, its address, and the languages that the crawler saw (ISO 639-3)."""

    text: bytes
    uri: str
    languages: str


def is_wet(name: str) -> bool:
    """Whether a file is one of extracted texts, by its name."""
    return name.lower().endswith(SUFFIXES)


def list_records(spec: InputSpec, file: StoredFile) -> Iterator[DocumentRef]:
    """List the texts of a file, without keeping one.

    Where the file is damaged, the records before the damage are listed, and after them a
    document that fails with `BAD_ARCHIVE`.
    """
    number, end, damaged = 0, 0, False
    with closing(storage.open_input(file.path)) as source:
        compressed = source.read(2) == _GZIP_MAGIC
        source.seek(0)
        records = ArchiveIterator(source, no_record_parse=True)
        try:
            for record in records:
                kind, address = record.rec_type, record.rec_headers.get_header("WARC-Target-URI")
                offset, size = records.get_record_offset(), records.get_record_length()
                end = offset + size
                if kind == "conversion":
                    meta = {"wet": address or "", **({"gzip": True} if compressed else {})}
                    yield located(spec, file, f"#{number}", offset, size, meta)
                number += 1
        except _DAMAGE:
            damaged = True
    # warcio may also end without a word where a gzipped member does not inflate.
    if damaged or end < file.size - len("\r\n" * 4):
        detail = f"{file.relative}: no sound WARC record from byte {max(end, 0)} on"
        yield failed(spec, file, Reason.BAD_ARCHIVE, detail, f"#{number}")


def parse_record(data: bytes) -> WetRecord:
    """Take a record apart, given as it stands in its file. Raises `DocumentError`.

    `BAD_ARCHIVE` for a record that is damaged or cut off, `ARCHIVE_BOMB` for one that inflates
    without end.
    """
    if data.startswith(_GZIP_MAGIC):
        data = inflate(data)
    try:
        record = next(iter(ArchiveIterator(io.BytesIO(data), no_record_parse=True)))
        text = record.raw_stream.read()
        declared = int(record.rec_headers.get_header("Content-Length"))
    except (*_DAMAGE, StopIteration, TypeError) as error:
        raise DocumentError(Reason.BAD_ARCHIVE, f"no WARC record: {error}") from error
    if len(text) != declared:
        detail = f"a WARC record with {len(text)} bytes of the {declared} that it declares"
        raise DocumentError(Reason.BAD_ARCHIVE, detail)
    header = record.rec_headers.get_header
    return WetRecord(
        text,
        header("WARC-Target-URI") or "",
        header("WARC-Identified-Content-Language") or "",
    )
