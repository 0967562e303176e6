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

import json
import os
import tarfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason, UserError
from dsvl_data.pipeline import DocumentRef, InputSpec
from dsvl_data.read import gzips
from dsvl_data.read.gzips import inflate, open_stream, read_range
from dsvl_data.read.streams import Span, open_span, packing_of, read_ranges, read_span
from dsvl_data.read.zips import MAX_MEMBER_BYTES
from dsvl_data.storage import StoredFile

_COMPRESSED_TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
_OTHER_COMPRESSIONS = (".bz2", ".xz", ".lz4", ".zip", ".7z")
_JSON_LINES = (".jsonl", ".ndjson")
_PARQUET = (".parquet", ".pq")
_PACKED = (".gz", ".zst")
_CHUNK = 8 << 20
_ROWS_AT_ONCE = 32
#: Why a link is not followed, by what `storage.find_files` says of it.
_LINKS = {
    "outside": (Reason.UNSAFE_PATH, "is a link that leads out of its input"),
    "folder": (Reason.UNSAFE_PATH, "is a link to a folder out of its input"),
    "nowhere": (Reason.UNREADABLE, "is a link to nothing"),
}


class InputError(UserError, FileNotFoundError):
    """An input of the recipe is not there, or is not what the pipeline can list."""


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


def list_files(spec: InputSpec) -> Iterator[StoredFile]:
    """List the files of one input, sorted by relative path; hidden ones below it are left out.

    Symbolic links out of the input are listed as such (`StoredFile.link`) and must not be
    opened: `refusal` says why. Raises `InputError` when the path does not exist
    or the glob matches nothing.
    """
    path = spec.path if not storage.is_local(spec.path) else str(Path(spec.path).absolute())
    found = False
    for file in storage.find_files(path, judge_links=True):
        found = True
        yield file
    if not found and not storage.exists(path):
        raise InputError(f"no file is at {spec.path!r} of data set {spec.dataset!r}")


def refusal(link: StoredFile) -> tuple[Reason, str]:
    """Say why a link is not followed."""
    reason, what = _LINKS[link.link]
    return reason, f"{printable(link.relative)} {what}"


def read_bytes(ref: DocumentRef) -> bytes:
    """Load the bytes of one listed document.

    Raises `DocumentError`: `UNREADABLE` when the file is gone, shorter than it was when listed
    or of a kind that cannot be read by position, `BAD_ARCHIVE` for a damaged tar, `BAD_JSON`
    for a line without the field, `EMPTY_DOCUMENT` for a null.
    """
    if "reason" in ref.meta:
        raise DocumentError(Reason.parse(ref.meta["reason"]), ref.meta["detail"])
    if "row_group" in ref.meta:
        return _parquet_cell(ref)
    column = ref.meta.get("column")
    try:
        if column is not None:
            record = _record(ref.path, ref.offset, ref.size)
            _record.cache_clear()  # it may be large, and nobody asks again
            return _json_cell(record, column)
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
            _parquet_cell(ref)
    elif "column" in ref.meta and _is_zstd(ref.path):
        with suppress(DocumentError):
            read_ranges(Span(ref.path, packing="zstd"), [(ref.offset, 0)])
    elif "column" in ref.meta:
        gzips.approach(ref.path, ref.offset)


def row_facts(ref: DocumentRef, columns: Sequence[str]) -> dict[str, Any]:
    """Return what a row holds in other columns than the document's, as far as it has them.

    For a document that is no row, or whose row cannot be read, that is nothing: `read_bytes`
    meets the same and says what is wrong.
    """
    try:
        if "row_group" in ref.meta:
            facts = _group_facts(ref.path, ref.meta["row_group"], tuple(columns))
            return facts[ref.meta["row"]] if facts else {}
        if "column" in ref.meta:
            record = _record(ref.path, ref.offset, ref.size)
            if isinstance(record, dict):
                return {name: record[name] for name in columns if name in record}
    except (OSError, pa.ArrowException, DocumentError):
        pass
    return {}


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


def json_lines(path: str) -> Iterator[tuple[int, int, int]]:
    """Yield (line number from 0, offset, length) of each line that is not blank.

    Of a file that ends in `.gz` or `.zst`, offsets are those of what it unpacks to;
    `DocumentError` where it is damaged or unpacks without end.
    """
    packed = Span(path, packing="zstd")
    with closing(open_span(packed) if _is_zstd(path) else open_stream(path)) as file:
        yield from line_ranges(file.read)


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


def printable(name: str) -> str:
    """Return a file name as text that Arrow and JSON can hold."""
    # A name that is no UTF-8 comes with lone surrogates, which neither Arrow nor JSON can hold.
    return name.encode("utf-8", "backslashreplace").decode()


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
                yield _failed(spec, file, *refusal(file))
        elif name.endswith(".tar"):
            yield from _tar_refs(spec, file, suffixes, rows)
        elif name.endswith(_COMPRESSED_TARS):
            detail = f"{file.relative}: members of a compressed tar have no offset; decompress it"
            yield _failed(spec, file, Reason.UNREADABLE, detail)
        elif bare.endswith(suffixes):
            meta = {packing: True} if packing else {}
            yield _ref(spec, file, "", 0, file.size, **meta)
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
                yield _failed(spec, file, error.reason, error.detail)
        elif name.endswith(".zip") or _compressed(name, (*suffixes, *rows)):
            detail = (
                f"{file.relative}: this compression is not read; decompress it, or use gzip or zstd"
            )
            yield _failed(spec, file, Reason.UNREADABLE, detail)
    if lacking and not has_rows:  # no stray file, but an option that is wrong
        raise InputError(
            f"no file of {spec.path!r} has the column that the option `column` names: {lacking}; "
            "set `column` among the pipeline's options in the recipe"
        )


def _is_zstd(path: str) -> bool:
    return path.lower().endswith(".zst")


def _compressed(name: str, suffixes: tuple[str, ...]) -> bool:
    bare, dot, compression = name.rpartition(".")
    return dot + compression in (*_OTHER_COMPRESSIONS, *_PACKED) and bare.endswith(suffixes)


def _ref(
    spec: InputSpec, file: StoredFile, part: str, offset: int, size: int, **meta: Any
) -> DocumentRef:
    uri = printable(file.relative) + part
    return DocumentRef(spec.dataset, uri, spec.licence, file.path, size, offset, meta)


def _failed(
    spec: InputSpec, file: StoredFile, reason: Reason, detail: str, part: str = ""
) -> DocumentRef:
    return _ref(spec, file, part, 0, 0, reason=str(reason), detail=printable(detail))


def _line_refs(spec: InputSpec, file: StoredFile, column: str) -> Iterator[DocumentRef]:
    try:
        for number, offset, size in json_lines(file.path):
            yield _ref(spec, file, f"#{number}", offset, size, column=column)
    except DocumentError as error:  # the sound lines before it are documents already
        yield _failed(spec, file, error.reason, f"{file.relative}: {error.detail}")


def _tar_refs(
    spec: InputSpec, file: StoredFile, suffixes: tuple[str, ...], rows: tuple[str, ...]
) -> Iterator[DocumentRef]:
    times: dict[str, int] = {}
    try:
        for name, offset, size in tar_members(file.path):
            bare, packing = packing_of(name.lower())
            if not bare.endswith((*suffixes, *rows)):
                continue
            times[name] = times.get(name, 0) + 1
            again = f"#{times[name]}" if times[name] > 1 else ""
            part = f"!{printable(name)}{again}"
            if not bare.endswith(suffixes):
                detail = f"{name}: rows of a table within a tar are not read; unpack the tar"
                yield _failed(spec, file, Reason.UNREADABLE, detail, part)
            elif bare != name.lower():
                yield _ref(spec, file, part, offset, size, **{packing: True})
            else:
                yield _ref(spec, file, part, offset, size)
    except (tarfile.TarError, ValueError, EOFError) as error:
        yield _failed(spec, file, Reason.BAD_ARCHIVE, f"{file.relative}: {error}")


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
            yield _ref(spec, file, f"#{number}", 0, mean, column=column, row_group=group, row=row)
            number += 1


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


class _RowGroup:
    """One column of one row group, read forwards in small batches.

    The rows of a group are asked for in order, so each is decoded once and memory holds a few.
    """

    def __init__(self, path: str, group: int, column: str) -> None:
        self._path, self._group, self._column = path, group, column
        self._restart()

    def _restart(self) -> None:
        table = pq.ParquetFile(_open(self._path), pre_buffer=False)
        self._batches = table.iter_batches(
            _ROWS_AT_ONCE, row_groups=[self._group], columns=[self._column], use_threads=False
        )
        self._start = 0
        self._cells: pa.Array = pa.array([], pa.string())

    def cell(self, row: int) -> str | bytes | None:
        if row < self._start:
            self._restart()
        while row >= self._start + len(self._cells):
            self._start += len(self._cells)
            batch = next(self._batches, None)
            if batch is None:
                raise DocumentError(Reason.UNREADABLE, f"{self._path} has no row {row} any more")
            self._cells = batch.column(0)
        return cast("str | bytes | None", self._cells[row - self._start].as_py())


@lru_cache(maxsize=1)
def _row_group(path: str, group: int, column: str) -> _RowGroup:
    return _RowGroup(path, group, column)


def _parquet_cell(ref: DocumentRef) -> bytes:
    try:
        group = _row_group(ref.path, ref.meta["row_group"], ref.meta["column"])
        cell = group.cell(ref.meta["row"])
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        _row_group.cache_clear()
        raise DocumentError(Reason.UNREADABLE, f"{ref.path}: {error}") from error
    if cell is None:
        raise DocumentError(Reason.EMPTY_DOCUMENT, f"{ref.meta['column']} is null")
    return cell.encode() if isinstance(cell, str) else cell


@lru_cache(maxsize=1)
def _group_facts(path: str, group: int, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of a row group, but for the payload; empty when it has none of the columns."""
    with closing(_open(path)) as source, pq.ParquetFile(source) as table:
        there = [name for name in columns if name in table.schema_arrow.names]
        rows = table.read_row_group(group, columns=there).to_pylist() if there else []
    return cast("list[dict[str, Any]]", rows)


@lru_cache(maxsize=1)
def _record(path: str, offset: int, size: int) -> Any:
    """The decoded JSON of a line: asked for twice, for its facts and for its document."""
    try:
        if _is_zstd(path):
            line = read_ranges(Span(path, packing="zstd"), [(offset, size)])[0]
        else:
            line = read_range(path, offset, size)
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DocumentError(Reason.BAD_JSON, str(error)) from error


def _json_cell(record: Any, column: str) -> bytes:
    value = record.get(column) if isinstance(record, dict) else None
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    if isinstance(value, dict | list):  # the document itself, not a string that holds it
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    raise DocumentError(Reason.BAD_JSON, f"the line has no text field {column!r}")


def _open(path: str) -> IO[bytes]:
    return cast("IO[bytes]", storage.open_input(path))
