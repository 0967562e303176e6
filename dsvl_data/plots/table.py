"""A table of any origin as typed columns.

In: the bytes of a CSV, TSV, JSON, JSON-lines or Parquet file. Out: a `Table` whose columns hold
`Decimal`s, dates or strings, with None for what is missing (blank, NA, NaN, infinite). A column
is numeric, or one of dates, only when all that is there says so: nothing is guessed.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.plots.values import Cell, Kind, plain_text, typed_column
from dsvl_data.read.gzips import is_gzip

Format: TypeAlias = Literal["csv", "tsv", "json", "jsonl", "parquet"]

SUFFIXES: dict[str, Format] = {
    ".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
#: Rows and columns beyond these are not looked at; `Table.total` says how many rows there are.
MAX_ROWS = 20_000
MAX_COLUMNS = 300
_MAX_CELL = 1 << 20
_MAX_NAME = 60
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: a name fit to be shown, its unit (in the name too), and its cells.

    `kind` is `number` (Decimals), `year`, `month` or `day` (dates), `text` (strings), or `none`
    where all is missing.
    """

    name: str
    kind: Kind
    values: tuple[Cell, ...]
    unit: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length; `total` counts the rows of the file, of which these come first."""

    name: str
    columns: tuple[Column, ...]
    total: int

    def __len__(self) -> int:
        return len(self.columns[0].values)


def format_of(name: str) -> Format | None:
    """The format that a file's name says; `.gz` after it does not count."""
    lower = name.lower()
    bare = lower.removesuffix(".gz") if is_gzip(lower) else lower
    return next((f for suffix, f in SUFFIXES.items() if bare.endswith(suffix)), None)


def read_table(data: bytes, format: Format, name: str) -> Table:
    """Read a table; `name` is for people.

    Raises `DocumentError`: `EMPTY_DOCUMENT` without rows, `BAD_TABLE` where rows do not fit
    the header or there is no table in it, `BAD_ENCODING`, `BAD_JSON`, and `BAD_ARCHIVE` for
    damaged Parquet.
    """
    if format in ("csv", "tsv"):
        names, columns, total = _from_csv(_decode(data), "\t" if format == "tsv" else None)
    elif format == "parquet":
        names, columns, total = _from_parquet(data)
    else:
        names, columns, total = _from_json(data, lines=format == "jsonl")
    if not total or not columns:
        raise DocumentError(Reason.EMPTY_DOCUMENT, "a table without rows")
    typed = []
    for source, shown, cells in zip(names, _shown_names(names), columns, strict=True):
        column = typed_column(shown, cells)
        if column is not None:
            title, kind, values, unit = column
            typed.append(Column(title, kind, values, unit, source))
    if not typed:
        raise DocumentError(Reason.BAD_TABLE, "no column holds plain values")
    return Table(name, tuple(typed), total)


def _from_csv(text: str, delimiter: str | None) -> tuple[list[str], list[list[Any]], int]:
    csv.field_size_limit(_MAX_CELL)
    if "\0" in text:
        raise DocumentError(Reason.BAD_TABLE, "binary data, no CSV")
    source = io.StringIO(text, newline="")
    reader = csv.reader(source, delimiter=delimiter or _delimiter(text), skipinitialspace=True)
    try:
        rows = (row for row in reader if any(cell.strip() for cell in row))
        first = next(rows, [])
        kept = list(itertools.islice(rows, MAX_ROWS))
        total = len(kept) + sum(1 for _ in rows)
    except csv.Error as error:
        raise DocumentError(Reason.BAD_TABLE, f"no CSV: {error}") from error
    if first and all(_is_number(cell) for cell in first):  # no header: these are data
        names, kept, total = ["" for _ in first], [first, *kept], total + 1
    else:
        names = [cell.strip() for cell in first]
    while names and not names[-1] and all(len(r) < len(names) or not r[-1].strip() for r in kept):
        names.pop()  # each line ends with a delimiter
    for number, row in enumerate(kept):
        if len(row) > len(names) and any(cell.strip() for cell in row[len(names) :]):
            detail = f"row {number} has {len(row)} cells, the header {len(names)}"
            raise DocumentError(Reason.BAD_TABLE, detail)
    width = min(len(names), MAX_COLUMNS)
    columns = [[row[i] if i < len(row) else None for row in kept] for i in range(width)]
    return names[:width], columns, total


def _delimiter(text: str) -> str:
    """The mark that stands equally often, and at least once, in the first lines; else a comma."""
    lines = [line for line in text[:20_000].splitlines()[:20] if line.strip()]
    for mark in _DELIMITERS:
        counts = {next_count for next_count in (line.count(mark) for line in lines) if next_count}
        if len(counts) == 1 and all(mark in line for line in lines):
            return mark
    return ","


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _from_json(data: bytes, *, lines: bool) -> tuple[list[str], list[list[Any]], int]:
    text = _decode(data)
    try:
        if lines:
            value: Any = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DocumentError(Reason.BAD_JSON, str(error)[:200]) from error
    if isinstance(value, dict):
        lists = [v for v in value.values() if isinstance(v, list)]
        if len(lists) == len(value) and len(set(map(len, lists))) == 1:
            names = list(value)[:MAX_COLUMNS]
            total = len(lists[0])
            return names, [value[name][:MAX_ROWS] for name in names], total
        # An envelope: {"data": [...]} and the like.
        value = lists[0] if len(lists) == 1 else value
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise DocumentError(Reason.BAD_TABLE, "JSON that is no list of objects, nor lists by name")
    kept = value[:MAX_ROWS]
    names = list(dict.fromkeys(key for row in kept for key in row))[:MAX_COLUMNS]
    return names, [[row.get(name) for row in kept] for name in names], len(value)


def _from_parquet(data: bytes) -> tuple[list[str], list[list[Any]], int]:
    try:
        with pq.ParquetFile(io.BytesIO(data)) as file:
            names = file.schema_arrow.names[:MAX_COLUMNS]
            if len(set(names)) < len(names):
                raise DocumentError(Reason.BAD_TABLE, "two columns of one name")
            batches = []
            left = MAX_ROWS
            for batch in file.iter_batches(batch_size=4096, columns=names, use_threads=False):
                batches.append(batch.slice(0, left))
                left -= batches[-1].num_rows
                if not left:
                    break
            total = file.metadata.num_rows
            columns = [[v for b in batches for v in b.column(n).to_pylist()] for n in names]
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError, ValueError) as error:
        raise DocumentError(Reason.BAD_ARCHIVE, f"no Parquet: {error}"[:200]) from error
    return names, columns, total


def _shown_names(names: Sequence[str]) -> list[str]:
    """Names fit to be shown: cleaned, never empty, each but once."""
    shown: list[str] = []
    for number, name in enumerate(names, 1):
        plain = plain_text(str(name), _MAX_NAME).lstrip("_#").strip() or f"Column {number}"
        again = next(
            candidate
            for candidate in _numbered(plain)
            if candidate.casefold() not in {s.casefold() for s in shown}
        )
        shown.append(again)
    return shown


def _numbered(name: str) -> Iterable[str]:
    yield name
    for number in itertools.count(2):
        yield f"{name} ({number})"


def _decode(data: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):  # the second is what Chinese spreadsheets write
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DocumentError(Reason.BAD_ENCODING, "neither UTF-8 nor GB 18030")
