"""One document in a row: a cell of a Parquet file, or a field of a line of JSON.

In: a `DocumentRef` that `read.archives` listed with a column. Out: the bytes in that column, and
what the row holds in others. Rows are asked for in order: a row group is decoded once, in small
batches, and memory holds a few rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from functools import lru_cache
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef
from dsvl_data.read.gzips import read_range
from dsvl_data.read.streams import Span, read_ranges

_ROWS_AT_ONCE = 32


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


class _RowGroup:
    """One column of one row group, read forwards in small batches.

    The rows of a group are asked for in order, so each is decoded once and memory holds a few.
    """

    def __init__(self, path: str, group: int, column: str) -> None:
        self._path, self._group, self._column = path, group, column
        self._restart()

    def _restart(self) -> None:
        table = pq.ParquetFile(_open_file(self._path), pre_buffer=False)
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


def parquet_cell(ref: DocumentRef) -> bytes:
    """Return the bytes of a cell. Raises `DocumentError`: `UNREADABLE`, `EMPTY_DOCUMENT`."""
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
    with closing(_open_file(path)) as source, pq.ParquetFile(source) as table:
        there = [name for name in columns if name in table.schema_arrow.names]
        rows = table.read_row_group(group, columns=there).to_pylist() if there else []
    return cast("list[dict[str, Any]]", rows)


@lru_cache(maxsize=1)
def _record(path: str, offset: int, size: int) -> Any:
    """The decoded JSON of a line: asked for twice, for its facts and for its document."""
    try:
        if path.lower().endswith(".zst"):
            line = read_ranges(Span(path, packing="zstd"), [(offset, size)])[0]
        else:
            line = read_range(path, offset, size)
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DocumentError(Reason.BAD_JSON, str(error)) from error


def json_cell(ref: DocumentRef) -> bytes:
    """Return the field of a line. Raises `DocumentError` (`BAD_JSON`), `OSError`."""
    column = ref.meta["column"]
    record = _record(ref.path, ref.offset, ref.size)
    _record.cache_clear()  # it may be large, and nobody asks again
    value = record.get(column) if isinstance(record, dict) else None
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    if isinstance(value, dict | list):  # the document itself, not a string that holds it
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    raise DocumentError(Reason.BAD_JSON, f"the line has no text field {column!r}")


def _open_file(path: str) -> IO[bytes]:
    return cast("IO[bytes]", storage.open_input(path))
