"""Records of published data: rows, lines, elements and files, each located by its bytes.

In: an input and the `Rows` of a reader. Out: a `DocumentRef` for each record, in a stable order
and without a payload; later its bytes, and from these the `Record`. Files of any size are scanned
once and never loaded; tars and zips are read where they lie.

A record's URI is its file's path below the input, `!member` where that is an archive, and
`#position`, or `[key]` for the element of a JSON object. What is listed and cannot be read fails
with its reason when it is read, and takes no other record with it.
"""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import IO, Any, BinaryIO, Literal, TypeAlias, cast

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef, InputSpec
from dsvl_data.read import parquet_rows, tfrecord
from dsvl_data.read.archives import line_ranges, list_files, printable, refusal, tar_members
from dsvl_data.read.csv_records import csv_cells, csv_ranges, decode
from dsvl_data.read.json_elements import Element, elements
from dsvl_data.read.json_joins import Join, load_json
from dsvl_data.read.published.reader import Record, Rows
from dsvl_data.read.streams import Span, Stream, open_span, packing_of, read_ranges, read_span
from dsvl_data.read.zips import MAX_MEMBER_BYTES, check_member_name
from dsvl_data.storage import StoredFile

Form: TypeAlias = Literal["line", "element", "cells", "example", "row", "whole"]

_FORMS: dict[str, Form] = {
    ".jsonl": "line", ".ndjson": "line", ".json": "element", ".csv": "cells", ".tsv": "cells",
    ".tfrecord": "example", ".parquet": "row", ".pq": "row",
}  # fmt: skip
_SHARD = re.compile(r"-\d{5}-of-\d{5}\Z")
_STREAMED_TARS = (".tar.gz", ".tgz", ".tar.zst")
_OTHER_TARS = (".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_MAX_KEY = 100


@dataclass(frozen=True, slots=True)
class _Source:
    """Something that holds records: a file, or a member of an archive.

    `base` is where its bytes begin in what `span` unpacks to; `open` gives them from the start.
    """

    spec: InputSpec
    file: StoredFile
    part: str
    name: str
    span: Span
    size: int
    base: int
    open: Callable[[], Stream | IO[bytes]]

    def ref(self, part: str, offset: int, size: int, **meta: Any) -> DocumentRef:
        """Locate a record at `offset` from where the source begins."""
        span = self.span
        if span != Span(self.file.path):
            meta["within"] = span.to_list()[1:]
        uri = printable(self.file.relative) + self.part + part
        return DocumentRef(
            self.spec.dataset,
            uri,
            self.spec.licence,
            self.file.path,
            size,
            self.base + offset,
            meta,
        )

    def failed(self, reason: Reason, detail: str, part: str = "") -> DocumentRef:
        """List something that cannot be read."""
        uri = printable(self.file.relative) + self.part + part
        return failed_ref(self.spec, uri, self.file.path, reason, detail)


def failed_ref(spec: InputSpec, uri: str, path: str, reason: Reason, detail: str) -> DocumentRef:
    """List something that cannot be read: its reading fails with this reason."""
    meta = {"reason": str(reason), "detail": printable(detail)}
    return DocumentRef(spec.dataset, uri, spec.licence, path, 0, 0, meta)


def list_records(spec: InputSpec, rows: Rows) -> Iterator[DocumentRef]:
    """List the records of one input.

    An input that is a single file is taken whatever it is called; below a folder or glob, and
    within archives, the globs of `rows` choose. Raises `InputError` when the input is not there.
    """
    wanted = _Wanted(spec, rows)
    for file in list_files(spec):
        name = file.relative.lower()
        if file.link:
            if file.link == "folder" or wanted.file(file.relative):
                reason, detail = refusal(file)
                yield failed_ref(spec, printable(file.relative), file.path, reason, detail)
        elif wanted.file(file.relative):
            packing = packing_of(_unsharded(file.relative))[1]
            span = Span(file.path, packing=packing)
            source = _Source(
                spec, file, "", file.relative, span, file.size, 0, partial(open_span, span)
            )
            yield from _records(source, rows)
        elif wanted.archives and name.endswith((".tar", ".zip", *_STREAMED_TARS)):
            yield from _members(spec, file, rows, wanted)
        elif wanted.archives and name.endswith(_OTHER_TARS):
            detail = f"{file.relative}: members of this kind of tar are not read; decompress it"
            uri = printable(file.relative)
            yield failed_ref(spec, uri, file.path, Reason.UNREADABLE, detail)


def read_bytes(ref: DocumentRef) -> bytes:
    """Load the bytes that make a record: an element, and behind it all that is joined to it.

    Raises `DocumentError`: `UNREADABLE`, `BAD_ARCHIVE`, `ARCHIVE_BOMB`, `TOO_LARGE`, or the reason
    that listing found.
    """
    meta = ref.meta
    if "reason" in meta:
        raise DocumentError(Reason.parse(meta["reason"]), meta["detail"])
    if meta["form"] == "row":
        return parquet_rows.read_row(ref.path, meta["group"], meta["row"], tuple(meta["columns"]))
    span = _span(ref)
    if meta["form"] == "whole" and "base" not in meta:
        return read_span(span, MAX_MEMBER_BYTES)
    header = _header(span, *meta["header"]) if "header" in meta else b""
    joined = [(offset, size) for offset, size in meta.get("joined", ())]
    own = ref.size - sum(size for _, size in joined)
    ranges = [(ref.offset, own), *joined]
    if joined and span.packing:
        content = _unpacked(span)
        return b"".join(content[offset : offset + size] for offset, size in ranges)
    return header + b"".join(read_ranges(span, ranges))


@lru_cache(maxsize=1)
def _unpacked(span: Span) -> bytes:
    # What is joined lies far apart: by position, each record would unpack it all anew.
    return read_span(span, MAX_MEMBER_BYTES)


@lru_cache(maxsize=8)
def _header(span: Span, offset: int, size: int) -> bytes:
    # Kept: to go back to the start of a packed file costs unpacking it anew.
    return read_ranges(span, [(offset, size)])[0]


def approach(ref: DocumentRef) -> None:
    """Get near a record deep in a packed file, which takes its time; nothing to do for others."""
    if "reason" not in ref.meta and ref.offset and ref.meta["form"] != "row":
        span = _span(ref)
        if span.packing:
            try:
                read_ranges(span, [(ref.offset, 0)])
            except DocumentError:
                return  # reading the record meets the same, and tells


def parse_record(ref: DocumentRef, data: bytes, rows: Rows) -> Record:
    """Make a record of its bytes.

    Raises `DocumentError`: `BAD_JSON`, `BAD_RECORD`, `BAD_ENCODING`. Objects of JSON that are no
    mappings become `{"value": value}`; a key given twice within one counts as its last.
    """
    meta = ref.meta
    form: Form = meta["form"]
    if form == "row":
        return parquet_rows.parse_row(data)
    if form == "whole":
        content: dict[str, str | bytes] = {"name": meta["name"]}
        return content | ({"bytes": data} if rows.bytes else {"text": decode(data)})
    if form == "example":
        return tfrecord.parse_example(data)
    if form == "cells":
        return _cells(data, meta, rows)
    joined = meta.get("joined", ())
    own = len(data) - sum(size for _, size in joined)
    value = load_json(data[:own])
    record: dict[str, Any]
    if "key" in meta:
        record = {"key": meta["key"], "value": value}
    else:
        record = value if isinstance(value, dict) else {"value": value}
    if rows.joined is not None:
        record = Join(rows.joined).parse(record, data[own:], [size for _, size in joined])
    return record


def _span(ref: DocumentRef) -> Span:
    return Span(ref.path, *ref.meta.get("within", ()))


class _Wanted:
    """Which files of an input hold records."""

    def __init__(self, spec: InputSpec, rows: Rows) -> None:
        kind = storage.kind_of(spec.path)
        self._single = kind == "file"
        by_name = kind == "glob"  # what is above the files is not below the input
        globs = [glob.rpartition("/")[2] if by_name else glob for glob in rows.files]
        self._patterns = [storage.glob_pattern(glob) for glob in globs]
        self._members = [storage.glob_pattern(glob) for glob in rows.files]
        self._by_name = by_name
        #: Whether archives of the input are looked into.
        self.archives = not all(_form(glob, rows) == "row" for glob in rows.files)

    def file(self, relative: str) -> bool:
        """Whether a file is one of them."""
        if self._single:
            return not relative.lower().endswith((".tar", ".zip", *_STREAMED_TARS, *_OTHER_TARS))
        name = relative.rpartition("/")[2] if self._by_name else relative
        return _matches(self._patterns, name)

    def member(self, name: str) -> bool:
        """Whether a member of an archive is one of them."""
        return _matches(self._members, name)


def _matches(patterns: list[re.Pattern[str]], name: str) -> bool:
    bare = _unsharded(name)
    names = {name, bare, packing_of(bare)[0]}
    return any(pattern.fullmatch(name) for pattern in patterns for name in names)


def _unsharded(name: str) -> str:
    return _SHARD.sub("", name)


def _form(name: str, rows: Rows) -> Form:
    if rows.whole:
        return "whole"
    if rows.lines:
        return "line"
    if rows.at:
        return "element"
    bare = packing_of(_unsharded(name))[0].lower()
    return next((form for suffix, form in _FORMS.items() if bare.endswith(suffix)), "whole")


def _members(
    spec: InputSpec, file: StoredFile, rows: Rows, wanted: _Wanted
) -> Iterator[DocumentRef]:
    """List the records in the members of an archive; damage comes after what is sound."""
    name = file.relative.lower()
    found = _tar_sources if name.endswith(".tar") else _streamed_sources
    sources = (_zip_sources if name.endswith(".zip") else found)(spec, file, wanted)
    try:
        for source in sources:
            if isinstance(source, DocumentRef):
                yield source
            else:
                yield from _records(source, rows)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        ValueError,
        EOFError,
        NotImplementedError,
    ) as error:
        detail = f"{file.relative}: {error}"
        yield failed_ref(spec, printable(file.relative), file.path, Reason.BAD_ARCHIVE, detail)
    except DocumentError as error:
        detail = f"{file.relative}: {error.detail}"
        yield failed_ref(spec, printable(file.relative), file.path, error.reason, detail)


def _tar_sources(spec: InputSpec, file: StoredFile, wanted: _Wanted) -> Iterator[_Source]:
    names: Counter[str] = Counter()
    for name, offset, size in tar_members(file.path):
        if wanted.member(name):
            span = Span(file.path, offset, size, packing_of(_unsharded(name))[1])
            part = _part(name, names)
            yield _Source(spec, file, part, name, span, size, 0, partial(open_span, span))


def _zip_sources(
    spec: InputSpec, file: StoredFile, wanted: _Wanted
) -> Iterator[_Source | DocumentRef]:
    names: Counter[str] = Counter()
    for name, span, size in zip_members(file.path):
        if not wanted.member(name):
            continue
        part = _part(name, names)
        if isinstance(span, DocumentError):
            uri = printable(file.relative) + part
            yield failed_ref(spec, uri, file.path, span.reason, span.detail)
        else:
            yield _Source(spec, file, part, name, span, size, 0, partial(open_span, span))


def _streamed_sources(spec: InputSpec, file: StoredFile, wanted: _Wanted) -> Iterator[_Source]:
    """Members of a compressed tar: byte ranges of what it unpacks to, in one pass."""
    names: Counter[str] = Counter()
    span = Span(file.path, packing="zstd" if file.relative.lower().endswith(".zst") else "gzip")
    with closing(open_span(span)) as stream:
        packed = cast("Any", stream)
        with tarfile.open(fileobj=packed, mode="r|") as archive:
            for member in archive:
                if member.isreg() and wanted.member(member.name):
                    content = archive.extractfile(member)
                    assert content is not None
                    yield _Source(
                        spec, file, _part(member.name, names), member.name, span, member.size,
                        member.offset_data, partial(_itself, content),
                    )  # fmt: skip
                cast("Any", archive).members.clear()  # tarfile remembers every member


def zip_members(path: str) -> Iterator[tuple[str, Span | DocumentError, int]]:
    """Yield (name, where, size unpacked) of each file in a zip, from its directory alone.

    A member that must not or cannot be read comes with the reason. Raises `BadZipFile` for what is
    no zip, `OSError`.
    """
    with storage.open_input(path) as file, zipfile.ZipFile(cast("IO[bytes]", file)) as archive:
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


def _itself(content: IO[bytes]) -> IO[bytes]:
    return content


def _part(name: str, names: Counter[str]) -> str:
    names[name] += 1
    return f"!{printable(name)}" + (f"#{names[name]}" if names[name] > 1 else "")


def _records(source: _Source, rows: Rows) -> Iterator[DocumentRef]:
    form = _form(source.name, rows)
    if form == "whole":
        name = printable(source.name)
        if source.base:
            # Within a compressed tar, where whole members are ranges too.
            yield source.ref("", 0, source.size, form=form, name=name, base=True)
        else:
            yield source.ref("", 0, source.size, form=form, name=name)
    elif form == "row":
        yield from _rows(source, rows)
    else:
        listing = {"line": _lines, "element": _elements, "cells": _table, "example": _examples}
        try:
            yield from listing[form](source, rows)
        except DocumentError as error:
            yield source.failed(error.reason, f"{source.name}: {error.detail}")
        except OSError as error:
            yield source.failed(Reason.UNREADABLE, f"{source.name}: {error}")


def _lines(source: _Source, rows: Rows) -> Iterator[DocumentRef]:
    with closing(source.open()) as stream:
        for number, offset, size in line_ranges(stream.read):
            yield source.ref(f"#{number}", offset, size, form="line")


def _table(source: _Source, rows: Rows) -> Iterator[DocumentRef]:
    delimiter = "\t" if ".tsv" in source.name.lower() else ","
    with closing(source.open()) as stream:
        ranges = (
            csv_ranges(stream.read, delimiter)
            if rows.quoted
            else ((offset, size) for _, offset, size in line_ranges(stream.read))
        )
        meta: dict[str, Any] = {"form": "cells", "delimiter": delimiter}
        if rows.header:
            first = next(ranges, None)
            if first is None:
                return
            meta["header"] = [source.base + first[0], first[1]]
        for number, (offset, size) in enumerate(ranges):
            yield source.ref(f"#{number}", offset, size, **meta)


def _examples(source: _Source, rows: Rows) -> Iterator[DocumentRef]:
    with closing(source.open()) as stream:
        for number, (offset, size) in enumerate(tfrecord.ranges(cast("BinaryIO", stream))):
            yield source.ref(f"#{number}", offset, size, form="example")


def _elements(source: _Source, rows: Rows) -> Iterator[DocumentRef]:
    join = None
    if rows.joined is not None:
        if source.base or (source.span.packing and source.size > MAX_MEMBER_BYTES):
            detail = "annotations far from their image in a packed file of this size: unpack it"
            raise DocumentError(Reason.UNREADABLE, detail)
        join = Join(rows.joined)
        with closing(source.open()) as stream, closing(source.open()) as payload:
            join.index(stream, payload)
    keys: set[str] = set()
    with closing(source.open()) as stream:
        payload_ = source.open() if join is not None else None
        for element in elements(stream.read, rows.at):
            meta: dict[str, Any] = {"form": "element"}
            if element.key is not None:
                meta["key"] = printable(element.key)
            size = element.size
            if join is not None and payload_ is not None:
                payload_.seek(element.offset)
                joined = join.find(element, payload_.read(element.size))
                size += sum(length for _, length in joined)
                meta["joined"] = joined
            yield source.ref(_element_part(element, keys), element.offset, size, **meta)
        if payload_ is not None:
            payload_.close()
    if join is not None and (left := join.left_over()):
        detail = f"{left} of {rows.joined[0] if rows.joined else ''!r} point to no record"
        yield source.failed(Reason.UNMATCHED, detail, "#left-over")


def _element_part(element: Element, keys: set[str]) -> str:
    """What an element is called; a key that comes again gives way to the position."""
    key = element.key
    if key is None or len(key) > _MAX_KEY or not key.isprintable() or key in keys:
        return f"#{element.position}"
    keys.add(key)
    return f"[{key}]"


def _rows(source: _Source, rows: Rows) -> Iterator[DocumentRef]:
    if source.span != Span(source.file.path):
        detail = f"{source.name}: Parquet within an archive is not read; unpack it"
        yield source.failed(Reason.UNREADABLE, detail)
        return
    try:
        number = 0
        for group, (count, size) in enumerate(parquet_rows.groups(source.file.path, rows.columns)):
            for row in range(count):
                columns = list(rows.columns)
                yield source.ref(
                    f"#{number}", 0, size, form="row", group=group, row=row, columns=columns
                )
                number += 1
    except DocumentError as error:
        yield source.failed(error.reason, f"{source.name}: {error.detail}")


def _cells(data: bytes, meta: Any, rows: Rows) -> Record:
    def split(line: bytes) -> list[str]:
        if rows.quoted:
            return csv_cells(line, meta["delimiter"])
        return decode(line).rstrip("\r\n").split(meta["delimiter"])

    names = list(rows.columns)
    if "header" in meta:
        length = meta["header"][1]
        names = split(data[:length])
        data = data[length:]
    cells = split(data)
    if len(cells) > len(names):
        detail = f"{len(cells)} cells, and names for {len(names)}"
        raise DocumentError(Reason.BAD_RECORD, detail)
    return dict(zip(names, cells, strict=False))
