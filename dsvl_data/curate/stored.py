"""The tables that curation keeps beside the parts, each with what it was made from.

In: a table and a fingerprint of everything that decided it. Out: `DIR/curation/<stage>/...`
(Parquet), whole or not there at all; and, for a stage that is called again, the note that says
whether a table still holds.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.outcome import UserError

ROOT = "curation"
#: The last stage's tables: what became of each sample, see `decide.py`.
DECISIONS = "decisions"

_NOTE = b"dsvl-data"
_BUCKETS = "buckets"


class CurationError(UserError):
    """Curation cannot go on; the message says where and what to do."""


def path(out: str, stage: str, name: str) -> str:
    """Where a table of a stage stands; `name` as in `ebooks/part-00000.parquet`."""
    return storage.join(out, ROOT, stage, name)


def digest(*values: Any) -> str:
    """32 hex digits over JSON values."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def write(
    place: str, table: pa.Table, note: Mapping[str, Any], buckets: NDArray[np.int64] | None = None
) -> None:
    """Write a table with its note; with `buckets` (one a row) so that each can be read alone."""
    note = dict(note)
    runs = [(0, table.num_rows)]
    if buckets is not None:
        order = np.argsort(buckets, kind="stable")
        table = table.take(pa.array(order))
        names, starts = np.unique(buckets[order], return_index=True)
        note[_BUCKETS] = names.tolist()
        runs = list(itertools.pairwise([*starts.tolist(), table.num_rows]))
    schema = table.schema.with_metadata({_NOTE: json.dumps(note, sort_keys=True).encode()})
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for start, stop in runs:
            if stop > start:
                rows = table.slice(start, stop - start).replace_schema_metadata(schema.metadata)
                writer.write_table(rows, row_group_size=stop - start)
    storage.atomic_write(place, sink.getvalue().to_pybytes())


def note(place: str) -> dict[str, Any]:
    """Return the note of a table; empty when it is not there, or not of our making."""
    try:
        with storage.open_input(place) as source:
            found = pq.read_metadata(source).metadata or {}
            held: dict[str, Any] = json.loads(found[_NOTE])
            return held
    except (FileNotFoundError, KeyError, ValueError, pa.ArrowInvalid):
        return {}


def read(place: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table, or some of its columns; `CurationError` when it cannot be read."""
    try:
        with storage.open_input(place) as source:
            chosen = None if columns is None else list(columns)
            return pq.ParquetFile(source).read(chosen, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise CurationError(
            f"{place} cannot be read: {error}; run `dsvl-data corpus build` again"
        ) from error


def read_bucket(places: Sequence[str], bucket: int) -> pa.Table:
    """Read one bucket from several tables, in their order."""
    tables = []
    for place in places:
        with storage.open_input(place) as source:
            file = pq.ParquetFile(source)
            held = json.loads(file.metadata.metadata[_NOTE])[_BUCKETS]
            if bucket in held:
                tables.append(file.read_row_group(held.index(bucket), use_threads=False))
            elif not tables:
                tables.append(file.schema_arrow.empty_table())
    # Notes differ, and a schema holds its own.
    return pa.concat_tables(table.replace_schema_metadata() for table in tables)
