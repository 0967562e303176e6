"""Parts: the Parquet files that hold a partition's samples, and how they become final.

In: record batches of `sample.SCHEMA` and ledger rows, document by document. Out:
`parts/<job>/part-*.parquet` and `ledger/<job>/part-*.parquet`. The ledger file is renamed
last and is the proof that its partition is done. Row groups are cut by the bytes of the
samples alone, so the same samples give the same file, whether written in one go or pieced
together from the segments that crashes left behind.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsvl_data import storage
from dsvl_data.engine import ledger
from dsvl_data.engine.partition import Plan
from dsvl_data.sample import SCHEMA

#: A row group ends with the sample that reaches one of these; bounds what a reader must hold.
GROUP_BYTES = 32 << 20
GROUP_ROWS = 8192
#: Counted for each sample beside the bytes of its images and texts.
ROW_BYTES = 256


@dataclass(frozen=True, slots=True)
class Segment:
    """The samples and ledger rows of some documents of a partition, in local scratch files."""

    samples: str
    ledger: str

    @classmethod
    def at(cls, folder: str, name: str) -> Segment:
        """Name the two files of a segment in a scratch folder."""
        return cls(f"{folder}/{name}.samples.parquet", f"{folder}/{name}.ledger.parquet")

    def remove(self) -> None:
        """Remove the files, as far as they are there."""
        Path(self.samples).unlink(missing_ok=True)
        Path(self.ledger).unlink(missing_ok=True)


def parquet_settings() -> dict[str, Any]:
    """Return how `pyarrow.parquet.ParquetWriter` writes a part."""
    columns = _columns()
    labels = [name for name in columns if not _is_payload(name)]
    return {
        # Images are compressed already; so are most bytes of a part.
        "compression": {name: "none" if _is_image(name) else "zstd" for name in columns},
        "compression_level": {name: 1 for name in columns if not _is_image(name)},
        # A dictionary, minima and maxima help with labels, not with payloads.
        "use_dictionary": labels,
        "write_statistics": labels,
    }


class PartWriter:
    """Writes batches of samples to a local Parquet file; memory stays below two row groups."""

    def __init__(self, path: str) -> None:
        self.rows = 0
        self.pending_bytes = 0
        self.pending_rows = 0
        self._pending: list[pa.RecordBatch] = []
        self._writer = pq.ParquetWriter(path, SCHEMA, **parquet_settings())

    def write(self, batch: pa.RecordBatch) -> None:
        """Append samples, in order."""
        costs = _costs(batch)
        start = 0
        while start < batch.num_rows:
            reached = self.pending_bytes + np.cumsum(costs[start:])
            by_bytes = int(np.searchsorted(reached, GROUP_BYTES)) + 1
            end = start + min(by_bytes, GROUP_ROWS - self.pending_rows)
            full = end <= batch.num_rows
            end = min(end, batch.num_rows)
            self._pending.append(batch.slice(start, end - start))
            self.pending_bytes = int(reached[end - start - 1])
            self.pending_rows += end - start
            if full:
                self._flush()
            start = end

    def close(self) -> int:
        """Finish the file and return its number of samples."""
        self._flush()
        self._writer.close()
        return self.rows

    def abort(self) -> None:
        """Close without caring for what is pending."""
        self._writer.close()

    def _flush(self) -> None:
        if self._pending:
            # One chunk, since page limits within a row group follow the chunks.
            table = pa.Table.from_batches(self._pending).combine_chunks()
            self._writer.write_table(table, row_group_size=table.num_rows)
            self.rows += table.num_rows
        self._pending = []
        self.pending_bytes = self.pending_rows = 0


class PartReader:
    """Reads the samples of a part or segment from front to end, one row group at a time."""

    def __init__(self, path: str) -> None:
        self._file = pq.ParquetFile(storage.open_input(path))
        self._group = 0
        self._table: pa.Table | None = None
        self._offset = 0

    def take(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the next `rows` samples; `EOFError` when there are fewer."""
        while rows:
            if self._table is None or self._offset == self._table.num_rows:
                if self._group == self._file.num_row_groups:
                    raise EOFError(f"{rows} samples fewer than the ledger says")
                self._table = self._file.read_row_group(self._group)
                self._group += 1
                self._offset = 0
            part = self._table.slice(self._offset, rows)
            self._offset += part.num_rows
            rows -= part.num_rows
            yield from part.to_batches()

    def close(self) -> None:
        """Close the file."""
        self._file.close(force=True)


def merge(sources: Sequence[Segment], merged: Segment) -> None:
    """Write one segment from several, in document order, by a streaming copy.

    Each source has its documents in order; where two have the same document, the later source
    in the list wins. The files of the sources stay.
    """
    readers = [PartReader(source.samples) for source in sources]
    tables = [ledger.read(source.ledger) for source in sources]
    winner: dict[int, int] = {}
    for number, table in enumerate(tables):
        winner.update(dict.fromkeys(table.column("position").to_pylist(), number))
    writer = PartWriter(merged.samples)
    rows: list[pa.Table] = []
    try:
        ends = [
            list(
                zip(t.column("position").to_pylist(), t.column("samples").to_pylist(), strict=True)
            )
            for t in tables
        ]
        heads = [0] * len(tables)
        for position in sorted(winner):
            number = winner[position]
            # What an overruled source has before this document is passed over.
            while True:
                head = heads[number]
                at, samples = ends[number][head]
                heads[number] += 1
                if at == position:
                    break
                for _ in readers[number].take(samples):
                    pass
            for batch in readers[number].take(samples):
                writer.write(batch)
            rows.append(tables[number].slice(head, 1))
        writer.close()
    finally:
        for reader in readers:
            reader.close()
    # Ledgers of an earlier version may lack a column.
    ledger.write(pa.concat_tables(rows, promote_options="default"), merged.ledger)


def finish(segments: Sequence[Segment], plan: Plan, partition: int) -> None:
    """Make segments the final part and ledger of a partition.

    One segment is renamed into place, several are merged. Raises `ledger.BalanceError` when
    the documents are not exactly the partition's, each once, or the part does not hold as many
    samples as the ledger says.
    """
    segment = segments[0]
    if len(segments) != 1:
        segment = _merged(segments, partition)
    _check(segment, plan, partition)
    storage.commit(segment.samples, plan.part_path(partition))
    storage.commit(segment.ledger, plan.ledger_path(partition))
    for each in segments:
        each.remove()


def replace(segments: Sequence[Segment], plan: Plan, partition: int) -> None:
    """Put documents that were converted again into the part and ledger that are there.

    Both new files are complete under staged names before either is renamed; `recover` finishes
    what a kill in between left.
    """
    final = Segment(plan.part_path(partition), plan.ledger_path(partition))
    segment = _merged([final, *segments], partition, beside=segments[0])
    _check(segment, plan, partition)
    staged = Segment(_staged(final.samples), _staged(final.ledger))
    storage.commit(segment.samples, staged.samples)
    storage.commit(segment.ledger, staged.ledger)
    storage.move(staged.samples, final.samples)
    storage.move(staged.ledger, final.ledger)
    for each in segments:
        each.remove()


def recover(out: str, name: str) -> None:
    """Finish or undo the replacements that a killed `retry` left half-way."""
    folders = [storage.join(out, room, name) for room in ("parts", "ledger")]
    parts, ledgers = (set(storage.list_names(folder)) for folder in folders)
    for staged in sorted(parts | ledgers):
        if not staged.startswith(".retried-"):
            continue
        if staged in ledgers:  # staged last, so both new files are complete
            for folder, there in zip(folders, (parts, ledgers), strict=True):
                if staged in there:
                    final = staged.removeprefix(".retried-")
                    storage.move(storage.join(folder, staged), storage.join(folder, final))
        else:
            storage.remove(storage.join(folders[0], staged))


def _staged(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/.retried-{name}"


def _merged(segments: Sequence[Segment], partition: int, beside: Segment | None = None) -> Segment:
    folder = str(Path((beside or segments[0]).samples).parent)
    merged = Segment.at(folder, f"merged-{partition:05d}")
    merge(segments, merged)
    return merged


def _check(segment: Segment, plan: Plan, partition: int) -> None:
    table = ledger.read(segment.ledger)
    ids = table.column("document").to_pylist()
    if ids != plan.ids(partition):
        raise ledger.BalanceError(
            f"{plan.job.name}, partition {partition}: the ledger's {len(ids)} documents are not "
            f"the {plan.size_of(partition)} of the plan"
        )
    counts = ledger.count(table)
    rows = pq.read_metadata(segment.samples).num_rows
    if counts.samples != rows:
        raise ledger.BalanceError(
            f"{plan.job.name}, partition {partition}: {rows} samples in the part, "
            f"{counts.samples} by the ledger"
        )


def _costs(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """Return the bytes that each sample counts towards a row group."""
    lists = batch.column("segments")
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
    flat = lists.flatten()
    sizes = np.zeros(len(flat) + 1, dtype=np.int64)
    for field in ("text", "image"):
        column = pc.struct_field(flat, field)
        sizes[1:] += pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
    before = np.cumsum(sizes)
    ends = np.cumsum(lengths)
    costs: npt.NDArray[np.int64] = before[ends] - before[ends - lengths] + ROW_BYTES
    return costs


@cache
def _columns() -> Mapping[str, None]:
    """Name the leaf columns of a part as Parquet does, in order."""
    sink = io.BytesIO()
    pq.write_table(SCHEMA.empty_table(), sink)
    schema = pq.ParquetFile(sink).schema
    return dict.fromkeys(schema.column(i).path for i in range(len(schema)))


def _is_image(column: str) -> bool:
    return column.startswith("segments.") and column.endswith(".image")


def _is_payload(column: str) -> bool:
    return column == "key" or column.endswith((".image", ".text", "extras.key_value.value"))
