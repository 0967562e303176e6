"""Where documents lie: files, folders, globs, members of tars, rows of JSON lines and Parquet.

In: the `InputSpec`s of a recipe. Out: `DocumentRef`s in a stable order (by POSIX path within
the input, then by position inside the file), and the bytes of each. Nothing is unpacked: a
member of a tar and a line of JSON are byte ranges of their file, a Parquet row is a row group
and a row. A file that cannot be listed (a damaged or compressed tar, say) is listed as one
document whose reading fails with the reason, so that the ledger accounts for it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tarfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import fsspec
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from dsvl_data.outcome import DocumentError, Reason, UserError
from dsvl_data.pipeline import DocumentRef, InputSpec

_LOG = logging.getLogger(__name__)
_MAGIC = re.compile(r"[*?\[]")
_COMPRESSED_TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
_JSON_LINES = (".jsonl", ".ndjson")
_PARQUET = (".parquet", ".pq")
_CHUNK = 8 << 20
_ROWS_AT_ONCE = 32


class InputError(UserError, FileNotFoundError):
    """An input of the recipe is not there, or is not what the pipeline can list."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of an input: where it is, its size in bytes, and its POSIX path within the input."""

    path: str
    size: int
    relative: str


def list_documents(
    inputs: Sequence[InputSpec], *, suffixes: Collection[str], column: str | None = None
) -> Iterator[DocumentRef]:
    """List the documents of all inputs, in order.

    A file whose name ends with one of `suffixes` (lower case, with the dot) is a document, and
    so is each such member of an uncompressed tar. With `column`, each row of a JSON-lines or
    Parquet file is one too: the string (or bytes) in that field. Raises `InputError` when an
    input is missing, lacks the column, or shares document ids with another input.
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


def list_files(spec: InputSpec) -> Iterator[File]:
    """List the files of one input, sorted by relative path; hidden ones below it are left out.

    Symbolic links to folders are not followed, nor are links to files outside the input.
    Raises `InputError` when the path does not exist or the glob matches nothing.
    """
    store, path = _store(spec.path)
    info = store.get_file_info(path)
    if info.type == pafs.FileType.File:
        yield File(_full(store, spec.path, path), info.size, PurePosixPath(path).name)
        return
    if info.type == pafs.FileType.Directory:
        yield from _walk(store, spec.path, path)
        return
    if not _MAGIC.search(path):
        raise InputError(f"input {spec.path!r} of data set {spec.dataset!r} does not exist")
    base = path[: _first_magic(path)].rpartition("/")[0]
    pattern = _glob_pattern(path[len(base) :].lstrip("/"))
    matched = False
    if store.get_file_info(base or "/").type == pafs.FileType.Directory:
        for file in _walk(store, spec.path, base or "/"):
            if pattern.fullmatch(file.relative):
                matched = True
                yield file
    if not matched:
        raise InputError(f"no file matches {spec.path!r} of data set {spec.dataset!r}")


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
    try:
        with _open(ref.path) as file:
            file.seek(ref.offset)
            data = file.read(ref.size)
    except OSError as error:
        raise DocumentError(Reason.UNREADABLE, f"{ref.path}: {error}") from error
    if len(data) < ref.size:
        raise DocumentError(
            Reason.UNREADABLE, f"{ref.path}: {len(data)} bytes of {ref.size} are there"
        )
    return _json_cell(data, ref.meta["column"]) if "column" in ref.meta else data


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
    """Yield (line number from 0, offset, length) of each line that is not blank."""
    number = start = position = 0
    blank = True
    with _open(path) as file:
        while chunk := file.read(_CHUNK):
            here = 0
            while (end := chunk.find(b"\n", here)) >= 0:
                if not blank or chunk[here:end].strip():
                    yield number, start, position + end - start
                number, start, blank, here = number + 1, position + end + 1, True, end + 1
            blank = blank and not chunk[here:].strip()
            position += len(chunk)
    if not blank:
        yield number, start, position - start


def _documents(
    spec: InputSpec, suffixes: tuple[str, ...], column: str | None
) -> Iterator[DocumentRef]:
    for file in list_files(spec):
        name = file.relative.lower()
        if name.endswith(suffixes):
            yield _ref(spec, file, "", 0, file.size)
        elif name.endswith(".tar"):
            yield from _tar_refs(spec, file, suffixes)
        elif name.endswith(_COMPRESSED_TARS):
            detail = f"{file.relative}: members of a compressed tar have no offset; decompress it"
            yield _failed(spec, file, Reason.UNREADABLE, detail)
        elif column is not None and name.endswith(_JSON_LINES):
            for number, offset, size in json_lines(file.path):
                yield _ref(spec, file, f"#{number}", offset, size, column=column)
        elif column is not None and name.endswith(_PARQUET):
            yield from _parquet_refs(spec, file, column)


def _ref(
    spec: InputSpec, file: File, part: str, offset: int, size: int, **meta: Any
) -> DocumentRef:
    uri = file.relative + part
    return DocumentRef(spec.dataset, uri, spec.licence, file.path, size, offset, meta)


def _failed(spec: InputSpec, file: File, reason: Reason, detail: str) -> DocumentRef:
    return _ref(spec, file, "", 0, 0, reason=str(reason), detail=detail)


def _tar_refs(spec: InputSpec, file: File, suffixes: tuple[str, ...]) -> Iterator[DocumentRef]:
    times: dict[str, int] = {}
    try:
        for name, offset, size in tar_members(file.path):
            if name.lower().endswith(suffixes):
                times[name] = times.get(name, 0) + 1
                again = f"#{times[name]}" if times[name] > 1 else ""
                yield _ref(spec, file, f"!{_printable(name)}{again}", offset, size)
    except (tarfile.TarError, ValueError, EOFError) as error:
        yield _failed(spec, file, Reason.BAD_ARCHIVE, f"{file.relative}: {error}")


def _parquet_refs(spec: InputSpec, file: File, column: str) -> Iterator[DocumentRef]:
    try:
        with closing(_open(file.path)) as source, pq.ParquetFile(source) as table:
            schema, metadata = table.schema_arrow, table.metadata
    except (pa.ArrowException, OSError) as error:
        yield _failed(spec, file, Reason.BAD_ARCHIVE, f"{file.relative}: {error}")
        return
    if column not in schema.names:
        columns = ", ".join(schema.names)
        raise InputError(f"{file.path} has no column {column!r}; its columns are: {columns}")
    kind = schema.field(column).type
    if not (_is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise InputError(f"column {column!r} of {file.path} holds {kind}, not text or bytes")
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


def _json_cell(line: bytes, column: str) -> bytes:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DocumentError(Reason.BAD_JSON, str(error)) from error
    value = record.get(column) if isinstance(record, dict) else None
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    if isinstance(value, dict | list):  # the document itself, not a string that holds it
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    raise DocumentError(Reason.BAD_JSON, f"the line has no text field {column!r}")


def _store(path: str) -> tuple[pafs.FileSystem, str]:
    """The file system of a path or URI and the path within it; relative paths become absolute."""
    if "://" not in path:
        return pafs.LocalFileSystem(), str(Path(path).absolute())
    scheme = path.partition("://")[0]
    if scheme in ("s3", "gs", "hdfs", "file"):
        return cast("tuple[pafs.FileSystem, str]", pafs.FileSystem.from_uri(path))
    other, inner = fsspec.core.url_to_fs(path)
    return pafs.PyFileSystem(pafs.FSSpecHandler(other)), inner


def _open(path: str) -> IO[bytes]:
    store, inner = _store(path)
    if isinstance(store, pafs.LocalFileSystem):
        return Path(inner).open("rb")
    return cast("IO[bytes]", store.open_input_file(inner))


def _full(store: pafs.FileSystem, given: str, path: str) -> str:
    """The path of a file as `_store` takes it: absolute, or with the scheme of the input."""
    if isinstance(store, pafs.LocalFileSystem):
        return path
    return f"{given.partition('://')[0]}://{path.lstrip('/')}"


def _walk(store: pafs.FileSystem, given: str, base: str) -> Iterator[File]:
    if isinstance(store, pafs.LocalFileSystem):
        yield from sorted(_walk_local(Path(base)), key=lambda file: file.relative)
        return
    files = []
    for info in store.get_file_info(pafs.FileSelector(base, recursive=True)):
        relative = info.path.lstrip("/")[len(base.strip("/")) :].lstrip("/")
        if info.type == pafs.FileType.File and not _hidden(relative):
            files.append(File(_full(store, given, info.path), info.size, relative))
    yield from sorted(files, key=lambda file: file.relative)


def _walk_local(base: Path) -> Iterator[File]:
    inside = base.resolve()
    for folder, folders, names in os.walk(base, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if name.startswith("."):
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                _LOG.warning("left out: %s is a link that leads out of its input", path)
                continue
            if path.is_file():
                relative = _printable(path.relative_to(base).as_posix())
                yield File(str(path), path.stat().st_size, relative)


def _hidden(relative: str) -> bool:
    return any(part.startswith(".") for part in relative.split("/"))


def _printable(name: str) -> str:
    # A name that is no UTF-8 comes with lone surrogates, which neither Arrow nor JSON can hold.
    return name.encode("utf-8", "backslashreplace").decode()


def _first_magic(path: str) -> int:
    found = _MAGIC.search(path)
    return found.start() if found else len(path)


def _glob_pattern(pattern: str) -> re.Pattern[str]:
    """A glob below its base as an expression: `*` and `?` stay in a folder, `**/` crosses them."""
    parts = re.split(r"(\*\*/?|\*|\?|\[!?[^\]]+\])", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(known.get(part) or _literal(part) for part in parts), re.DOTALL)


def _literal(part: str) -> str:
    if part.startswith("[") and part.endswith("]") and len(part) > 2:
        inside = part[1:-1].replace("\\", r"\\")
        return "[^" + inside[1:] + "]" if inside.startswith("!") else f"[{inside}]"
    return re.escape(part)
