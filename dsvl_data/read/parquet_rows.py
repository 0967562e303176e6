"""Rows of Parquet files, one by one and with any columns.

In: a file, a row group, a row. Out: the row as bytes (an Arrow stream of one row), and as a
mapping. A row group is decoded forwards in batches of some MB, once, when rows are asked for in
order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason

_BATCH_BYTES = 8 << 20
_BATCH_ROWS = 256


def groups(path: str, columns: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Yield (rows, mean bytes of a row) of each row group, as far as `columns` go (empty: all).

    Raises `DocumentError` (`BAD_ARCHIVE`, `BAD_RECORD` where it has none of the columns).
    """
    try:
        with closing(storage.open_input(path)) as source, pq.ParquetFile(source) as table:
            chosen = _leaves(table, columns)
            sizes = []
            for g in range(table.metadata.num_row_groups):
                group = table.metadata.row_group(g)
                total = sum(group.column(c).total_uncompressed_size for c in chosen)
                sizes.append((group.num_rows, total // max(group.num_rows, 1)))
    except (pa.ArrowException, OSError) as error:
        raise DocumentError(Reason.BAD_ARCHIVE, str(error)) from error
    yield from sizes


def read_row(path: str, group: int, row: int, columns: tuple[str, ...]) -> bytes:
    """Return a row as bytes. Raises `DocumentError` (`UNREADABLE`)."""
    try:
        batch = _group(path, group, columns).row(row)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        data: bytes = sink.getvalue().to_pybytes()
        return data
    except (pa.ArrowException, OSError) as error:
        _group.cache_clear()
        raise DocumentError(Reason.UNREADABLE, f"{path}: {error}") from error


def parse_row(data: bytes) -> Mapping[str, Any]:
    """Return the row in bytes of `read_row`. Raises `DocumentError` (`BAD_ENCODING`)."""
    with pa.ipc.open_stream(data) as stream:
        table = stream.read_all()
    try:
        rows: list[dict[str, Any]] = table.to_pylist()
    except UnicodeDecodeError as error:
        raise DocumentError(Reason.BAD_ENCODING, str(error)[:200]) from error
    return rows[0]


class _Group:
    """One row group, read forwards."""

    def __init__(self, path: str, group: int, columns: tuple[str, ...]) -> None:
        self._path, self._number, self._columns = path, group, columns
        self._restart()

    def _restart(self) -> None:
        table = pq.ParquetFile(storage.open_input(self._path), pre_buffer=False)
        group = table.metadata.row_group(self._number)
        leaves = _leaves(table, self._columns)
        total = sum(group.column(c).total_uncompressed_size for c in leaves)
        rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES * group.num_rows // max(total, 1)))
        names = [n for n in self._columns if n in table.schema_arrow.names] or None
        self._batches = table.iter_batches(
            rows, row_groups=[self._number], columns=names, use_threads=False
        )
        self._start = 0
        self._batch: pa.RecordBatch | None = None

    def row(self, row: int) -> pa.RecordBatch:
        if row < self._start:
            self._restart()
        while self._batch is None or row >= self._start + self._batch.num_rows:
            self._start += self._batch.num_rows if self._batch is not None else 0
            self._batch = next(self._batches, None)
            if self._batch is None:
                raise OSError(f"there is no row {row} any more")
        return self._batch.slice(row - self._start, 1)


@lru_cache(maxsize=1)
def _group(path: str, group: int, columns: tuple[str, ...]) -> _Group:
    return _Group(path, group, columns)


def _leaves(table: pq.ParquetFile, columns: tuple[str, ...]) -> list[int]:
    """The numbers of the Parquet columns that belong to the named ones."""
    schema = table.metadata.schema
    leaves = range(table.metadata.num_columns)
    if not columns:
        return list(leaves)
    chosen = [i for i in leaves if schema.column(i).path.partition(".")[0] in columns]
    if not chosen:
        names = ", ".join(table.schema_arrow.names)
        raise DocumentError(
            Reason.BAD_RECORD, f"none of the columns {', '.join(columns)}, but {names}"
        )
    return chosen
