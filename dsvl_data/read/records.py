"""Records of published data: rows, lines, elements and files, each located by its bytes.

In: an input and the `Rows` of a reader. Out: a `DocumentRef` for each record, in a stable order
and without a payload; later its bytes, and from these the `Record`. Files of any size are scanned
once and never loaded; tars and zips are read where they lie.

A record's URI is its file's path below the input, `!member` where that is an archive, and
`#position`, or `[key]` for the element of a JSON object. What is listed and cannot be read fails
with its reason when it is read, and takes no other record with it.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache, partial
from typing import Any, BinaryIO, cast

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef, InputSpec
from dsvl_data.read import parquet_rows, tfrecord
from dsvl_data.read.csv_records import csv_cells, csv_ranges, decode
from dsvl_data.read.json_elements import Element, elements
from dsvl_data.read.json_joins import Join, Passing, load_json
from dsvl_data.read.listing import check_listed, failed, list_files, printable, refused
from dsvl_data.read.members import OTHER_TARS, STREAMED_TARS, line_ranges
from dsvl_data.read.published.reader import Record, Rows
from dsvl_data.read.record_sources import (
    Form,
    Source,
    Wanted,
    form_of,
    streamed_sources,
    tar_sources,
    unsharded,
    zip_sources,
)
from dsvl_data.read.streams import Span, open_span, packing_of, read_ranges, read_span
from dsvl_data.read.zips import MAX_MEMBER_BYTES
from dsvl_data.storage import StoredFile

_MAX_KEY = 100


def list_records(spec: InputSpec, rows: Rows) -> Iterator[DocumentRef]:
    """List the records of one input.

    An input that is a single file is taken whatever it is called; below a folder or glob, and
    within archives, the globs of `rows` choose. Raises `InputError` when the input is not there.
    """
    wanted = Wanted(spec, rows)
    for file in list_files(spec):
        name = file.relative.lower()
        if file.link:
            if file.link == "folder" or wanted.file(file.relative):
                yield refused(spec, file)
        elif wanted.file(file.relative):
            packing = packing_of(unsharded(file.relative))[1]
            span = Span(file.path, packing=packing)
            source = Source(
                spec, file, "", file.relative, span, file.size, 0, partial(open_span, span)
            )
            yield from _records(source, rows)
        elif wanted.archives and name.endswith((".tar", ".zip", *STREAMED_TARS)):
            yield from _members(spec, file, rows, wanted)
        elif wanted.archives and name.endswith(OTHER_TARS):
            detail = f"{file.relative}: members of this kind of tar are not read; decompress it"
            yield failed(spec, file, Reason.UNREADABLE, detail)


def read_bytes(ref: DocumentRef) -> bytes:
    """Load the bytes that make a record: an element, and behind it all that is joined to it.

    Raises `DocumentError`: `UNREADABLE`, `BAD_ARCHIVE`, `ARCHIVE_BOMB`, `TOO_LARGE`, or the reason
    that listing found.
    """
    check_listed(ref)
    meta = ref.meta
    if meta["form"] == "row":
        return parquet_rows.read_row(ref.path, meta["group"], meta["row"], tuple(meta["columns"]))
    span = _span(ref)
    if meta["form"] == "whole" and "base" not in meta:
        return read_span(span, MAX_MEMBER_BYTES)
    header = _header(span, *meta["header"]) if "header" in meta else b""
    joined = meta.get("joined", ())
    if not joined:
        return header + read_ranges(span, [(ref.offset, ref.size)])[0]
    own = ref.size - sum([size for _, size in joined])
    ranges = [(ref.offset, own), *joined]
    if span.packing:
        content = _unpacked(span)
        return b"".join(content[offset : offset + size] for offset, size in ranges)
    return b"".join(read_ranges(span, ranges))


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
    sizes = [size for _, size in meta.get("joined", ())]
    own = len(data) - sum(sizes)
    value = load_json(data[:own])
    record: dict[str, Any]
    if "key" in meta:
        record = {"key": meta["key"], "value": value}
    else:
        record = value if isinstance(value, dict) else {"value": value}
    if rows.joined is not None:
        record = Join(rows.joined).parse(record, data[own:], sizes)
    return record


def _span(ref: DocumentRef) -> Span:
    return Span(ref.path, *ref.meta.get("within", ()))


def _members(
    spec: InputSpec, file: StoredFile, rows: Rows, wanted: Wanted
) -> Iterator[DocumentRef]:
    """List the records in the members of an archive; damage comes after what is sound."""
    name = file.relative.lower()
    found = tar_sources if name.endswith(".tar") else streamed_sources
    sources = (zip_sources if name.endswith(".zip") else found)(spec, file, wanted)
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
        yield failed(spec, file, Reason.BAD_ARCHIVE, detail)
    except DocumentError as error:
        detail = f"{file.relative}: {error.detail}"
        yield failed(spec, file, error.reason, detail)


def _records(source: Source, rows: Rows) -> Iterator[DocumentRef]:
    form = form_of(source.name, rows)
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


def _lines(source: Source, rows: Rows) -> Iterator[DocumentRef]:
    with closing(source.open()) as stream:
        for number, offset, size in line_ranges(stream.read):
            yield source.ref(f"#{number}", offset, size, form="line")


def _table(source: Source, rows: Rows) -> Iterator[DocumentRef]:
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


def _examples(source: Source, rows: Rows) -> Iterator[DocumentRef]:
    with closing(source.open()) as stream:
        for number, (offset, size) in enumerate(tfrecord.ranges(cast("BinaryIO", stream))):
            yield source.ref(f"#{number}", offset, size, form="example")


def _elements(source: Source, rows: Rows) -> Iterator[DocumentRef]:
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
        content = Passing(payload_) if payload_ is not None else None
        for element in elements(stream.read, rows.at):
            meta: dict[str, Any] = {"form": "element"}
            if element.key is not None:
                meta["key"] = printable(element.key)
            size = element.size
            if join is not None and content is not None:
                joined = join.find(element, content)
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


def _rows(source: Source, rows: Rows) -> Iterator[DocumentRef]:
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
