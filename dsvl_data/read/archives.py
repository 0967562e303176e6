"""Where documents lie: files, folders, globs, members of tars, rows of JSON lines and Parquet.

In: the `InputSpec`s of a recipe. Out: `DocumentRef`s in a stable order (by POSIX path within
the input, then by position inside the file), and the bytes of each. Nothing is unpacked and no
payload is looked at: a member of a tar and a line of JSON are byte ranges of their file (of what
it unpacks to, where it ends in `.gz` or `.zst`), a Parquet row is a row group and a row.

What looks like a document and cannot be read (a damaged or compressed tar, a link that leads
out of the input) is listed all the same, and its reading fails with the reason: so the ledger
accounts for it.
"""

from __future__ import annotations

import tarfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, suppress
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef, InputSpec
from dsvl_data.read import gzips
from dsvl_data.read.cells import json_cell, parquet_cell
from dsvl_data.read.gzips import inflate, open_stream
from dsvl_data.read.listing import InputError, check_listed, failed, list_files, located, refused
from dsvl_data.read.members import OTHER_TARS, STREAMED_TARS, MemberParts, line_ranges, tar_members
from dsvl_data.read.streams import Span, open_span, packing_of, read_ranges, read_span
from dsvl_data.read.zips import MAX_MEMBER_BYTES
from dsvl_data.storage import StoredFile

_OTHER_COMPRESSIONS = (".bz2", ".xz", ".lz4", ".zip", ".7z")
_JSON_LINES = (".jsonl", ".ndjson")
_PARQUET = (".parquet", ".pq")
_PACKED = (".gz", ".zst")


def list_documents(
    inputs: Sequence[InputSpec], *, suffixes: Collection[str], column: str | None = None
) -> Iterator[DocumentRef]:
    """List the documents of all inputs, in order.

    A file whose name ends with one of `suffixes` (lower case, with the dot) is a document, and
    so is each such member of an uncompressed tar. With `column`, each row of a JSON-lines or
    Parquet file is one too: the string (or bytes) in that field. All but Parquet and tars may
    be packed by gzip or zstd (`.gz`, `.zst` after the name). Raises `InputError` when an
    input is missing, has no file with the column, or shares document ids with another input.
    """
    datasets = [spec.dataset for spec in inputs]
    seen: set[tuple[str, str]] = set()
    for spec in inputs:
        shared = datasets.count(spec.dataset) > 1
        for ref in _documents(spec, tuple(suffixes), column):
            if shared:
                if (ref.dataset, ref.uri) in seen:
                    raise InputError(
                        f"two inputs of data set {ref.dataset!r} both hold {ref.uri!r}: "
                        "document ids would clash; give the inputs different dataset names"
                    )
                seen.add((ref.dataset, ref.uri))
            yield ref


def read_bytes(ref: DocumentRef) -> bytes:
    """Load the bytes of one listed document.

    Raises `DocumentError`: `UNREADABLE` when the file is gone, shorter than it was when listed
    or of a kind that cannot be read by position, `BAD_ARCHIVE` for a damaged tar, `BAD_JSON`
    for a line without the field, `EMPTY_DOCUMENT` for a null.
    """
    check_listed(ref)
    if "row_group" in ref.meta:
        return parquet_cell(ref)
    try:
        if "column" in ref.meta:
            return json_cell(ref)
        if "zstd" in ref.meta:
            return read_span(Span(ref.path, ref.offset, ref.size, "zstd"), MAX_MEMBER_BYTES)
        data = storage.read_bytes(ref.path, ref.offset, ref.size)
    except OSError as error:
        raise DocumentError(Reason.UNREADABLE, f"{ref.path}: {error}") from error
    if len(data) < ref.size:
        detail = f"{ref.path}: {len(data)} bytes of {ref.size} are there"
        raise DocumentError(Reason.UNREADABLE, detail)
    return inflate(data) if "gzip" in ref.meta else data


def approach(ref: DocumentRef) -> None:
    """Get near a row deep in a gzipped file or a row group: that takes its time, once.

    What is wrong there, `read_bytes` tells.
    """
    if "row_group" in ref.meta:
        with suppress(DocumentError):
            parquet_cell(ref)
    elif "column" in ref.meta and _is_zstd(ref.path):
        with suppress(DocumentError):
            read_ranges(Span(ref.path, packing="zstd"), [(ref.offset, 0)])
    elif "column" in ref.meta:
        gzips.approach(ref.path, ref.offset)


def json_lines(path: str) -> Iterator[tuple[int, int, int]]:
    """Yield (line number from 0, offset, length) of each line that is not blank.

    Of a file that ends in `.gz` or `.zst`, offsets are those of what it unpacks to;
    `DocumentError` where it is damaged or unpacks without end.
    """
    packed = Span(path, packing="zstd")
    with closing(open_span(packed) if _is_zstd(path) else open_stream(path)) as file:
        yield from line_ranges(file.read)


def _documents(
    spec: InputSpec, suffixes: tuple[str, ...], column: str | None
) -> Iterator[DocumentRef]:
    rows = () if column is None else (*_JSON_LINES, *_PARQUET)
    has_rows, lacking = False, ""
    for file in list_files(spec):
        name = file.relative.lower()
        bare, packing = packing_of(name)
        if file.link:
            if file.link == "folder" or bare.endswith((*suffixes, *rows, ".tar")):
                yield refused(spec, file)
        elif name.endswith(".tar"):
            yield from _tar_refs(spec, file, suffixes, rows)
        elif name.endswith((*STREAMED_TARS, *OTHER_TARS)):
            detail = f"{file.relative}: members of a compressed tar have no offset; decompress it"
            yield failed(spec, file, Reason.UNREADABLE, detail)
        elif bare.endswith(suffixes):
            meta: dict[str, Any] = {packing: True} if packing else {}
            yield located(spec, file, "", 0, file.size, meta)
        elif column is not None and bare.endswith(_JSON_LINES):
            has_rows = True  # whether they have the field is not known before they are read
            yield from _line_refs(spec, file, column)
        elif column is not None and name.endswith(_PARQUET):
            try:
                yield from _parquet_refs(spec, file, column)
                has_rows = True
            except DocumentError as error:
                if error.reason is Reason.BAD_RECORD:
                    lacking = lacking or error.detail
                yield failed(spec, file, error.reason, error.detail)
        elif name.endswith(".zip") or _is_compressed(name, (*suffixes, *rows)):
            detail = (
                f"{file.relative}: this compression is not read; decompress it, or use gzip or zstd"
            )
            yield failed(spec, file, Reason.UNREADABLE, detail)
    if lacking and not has_rows:  # no stray file, but an option that is wrong
        raise InputError(
            f"no file of {spec.path!r} has the column that the option `column` names: {lacking}; "
            "set `column` among the pipeline's options in the recipe"
        )


def _is_zstd(path: str) -> bool:
    return path.lower().endswith(".zst")


def _is_compressed(name: str, suffixes: tuple[str, ...]) -> bool:
    bare, dot, compression = name.rpartition(".")
    return dot + compression in (*_OTHER_COMPRESSIONS, *_PACKED) and bare.endswith(suffixes)


def _line_refs(spec: InputSpec, file: StoredFile, column: str) -> Iterator[DocumentRef]:
    try:
        for number, offset, size in json_lines(file.path):
            yield located(spec, file, f"#{number}", offset, size, {"column": column})
    except DocumentError as error:  # the sound lines before it are documents already
        yield failed(spec, file, error.reason, f"{file.relative}: {error.detail}")


def _tar_refs(
    spec: InputSpec, file: StoredFile, suffixes: tuple[str, ...], rows: tuple[str, ...]
) -> Iterator[DocumentRef]:
    parts = MemberParts()
    try:
        for name, offset, size in tar_members(file.path):
            bare, packing = packing_of(name.lower())
            if not bare.endswith((*suffixes, *rows)):
                continue
            part = parts.part(name)
            if not bare.endswith(suffixes):
                detail = f"{name}: rows of a table within a tar are not read; unpack the tar"
                yield failed(spec, file, Reason.UNREADABLE, detail, part)
            elif bare != name.lower():
                yield located(spec, file, part, offset, size, {packing: True})
            else:
                yield located(spec, file, part, offset, size, {})
    except (tarfile.TarError, ValueError, EOFError) as error:
        yield failed(spec, file, Reason.BAD_ARCHIVE, f"{file.relative}: {error}")


def _parquet_refs(spec: InputSpec, file: StoredFile, column: str) -> Iterator[DocumentRef]:
    """Raises `DocumentError`, before the first row: `BAD_ARCHIVE`; `BAD_RECORD`, no such column."""
    try:
        with closing(_open(file.path)) as source, pq.ParquetFile(source) as table:
            schema, metadata = table.schema_arrow, table.metadata
    except (pa.ArrowException, OSError) as error:
        raise DocumentError(Reason.BAD_ARCHIVE, f"{file.relative}: {error}") from error
    if column not in schema.names:
        columns = ", ".join(schema.names)[:1000]
        detail = f"{file.relative} has no column {column!r}; its columns are: {columns}"
        raise DocumentError(Reason.BAD_RECORD, detail)
    kind = schema.field(column).type
    if not (_is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        detail = f"column {column!r} of {file.relative} holds {kind}, not text or bytes"
        raise DocumentError(Reason.BAD_RECORD, detail)
    leaf = [metadata.schema.column(i).path for i in range(metadata.num_columns)].index(column)
    number = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group)
        # The size of one cell is not known before it is read; the group's mean stands for it.
        mean = rows.column(leaf).total_uncompressed_size // max(rows.num_rows, 1)
        for row in range(rows.num_rows):
            meta = {"column": column, "row_group": group, "row": row}
            yield located(spec, file, f"#{number}", 0, mean, meta)
            number += 1


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _open(path: str) -> IO[bytes]:
    return cast("IO[bytes]", storage.open_input(path))
