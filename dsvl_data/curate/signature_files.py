"""Signatures and the keys of their bands on disk, in any store.

In: matrices of signatures, a part of the corpus each. Out: files, whole or not there at all, each
with the caller's metadata. `write_signatures` keeps the matrix of a part (Parquet, with the
samples' keys). `write_bands` keeps a 64-bit key for each document and band of a run of parts, in
one record batch of an Arrow file for each (band, prefix of the key), so that a task of
`clusters.py` reads its own batch of each file and nothing else: 12 bytes a document and band.
Nothing is compressed, for hashes can't be, and the bands and edges that are written once and read
once are Arrow's own layout: writing and reading are copies of memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.curate.minhash import Signatures

Keys = NDArray[np.uint64]
Rows = NDArray[np.uint32]

_SIGNATURE_ROWS = 1 << 16  # in a row group
_MOST_PREFIXES = 1 << 16
_SCHEMA = pa.schema(
    [pa.field("key", pa.uint64(), nullable=False), pa.field("row", pa.uint32(), nullable=False)]
)
_BATCH_BYTES = 1024  # of an Arrow file for a batch, beside its columns


@dataclass(frozen=True, slots=True)
class Bands:
    """How signatures are cut for locality-sensitive hashing: `bands` times `rows` values."""

    bands: int
    rows: int


@lru_cache(maxsize=16)
def bands_for(threshold: float, permutations: int) -> Bands:
    """Return datasketch's bands and rows for a Jaccard threshold: its `MinHashLSH` chooses.

    It weighs false positives and false negatives alike. Some pairs above the threshold are
    missed: at 0.8 and 128 permutations (9 bands of 13 rows) 60 % of those just above it, 7 % at
    0.9. Bands for a lower threshold find them, with the candidates verified (`clusters.Task`).
    """
    from datasketch import MinHashLSH  # imports much of scipy

    index = MinHashLSH(threshold=threshold, num_perm=permutations)
    return Bands(index.b, index.r)


def band_keys(signatures: Signatures, bands: Bands) -> Keys:
    """Return a 64-bit hash of each band of each signature, of shape (bands, signatures)."""
    if bands.bands * bands.rows > signatures.shape[1]:
        raise ValueError(f"{bands} need more values than the {signatures.shape[1]} of a signature")
    factors = _factors(bands.bands * bands.rows)
    return _band_keys(np.ascontiguousarray(signatures), bands.bands, bands.rows, factors)


def write_signatures(
    path: str, keys: Sequence[str], signatures: Signatures, metadata: Mapping[str, str]
) -> None:
    """Write a part's signatures, in the order of its samples, with the samples' keys."""
    width = signatures.shape[1] * signatures.itemsize
    values = pa.py_buffer(
        np.ascontiguousarray(signatures.astype(signatures.dtype.newbyteorder("<")))
    )
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(signatures), [None, values])
    table = pa.table({"key": pa.array(keys, pa.string()), "signature": column})
    metadata = {**metadata, "value_bytes": str(signatures.itemsize)}
    sink = pa.BufferOutputStream()
    with _writer(sink, table.schema.with_metadata(metadata)) as writer:
        writer.write_table(table, row_group_size=_SIGNATURE_ROWS)
    storage.atomic_write(path, sink.getvalue())


def read_signatures(path: str) -> Signatures:
    """Return the signatures of a part, in its order; `OSError` when they can't be read."""
    with storage.open_input(path) as source:
        file = pq.ParquetFile(source)
        width = int(file.schema_arrow.metadata[b"value_bytes"])
        column = file.read(["signature"], use_threads=False)["signature"]
        return matrix_of(column, width)


def matrix_of(column: pa.ChunkedArray | pa.Array, value_bytes: int) -> Signatures:
    """Return a column of signatures as a matrix of values of `value_bytes` bytes each."""
    if isinstance(column, pa.ChunkedArray):
        # Of several chunks a copy is made, of one none.
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    each = column.type.byte_width // value_bytes
    start = column.offset * column.type.byte_width
    values = np.frombuffer(column.buffers()[1], f"<u{value_bytes}", len(column) * each, start)
    return values.reshape(len(column), each)


def write_bands(
    path: str,
    parts: Iterable[Signatures],
    bands: Bands,
    prefixes: int,
    empty: int,
    metadata: Mapping[str, str],
) -> None:
    """Write the band keys of a run of parts, one batch for each (band, prefix), in order.

    `prefixes` is a power of two; the highest bits of a key are its prefix. Rows are numbered
    through all parts. Signatures that are `empty` all over (see `MinHashParameters.empty`) are
    left out: no words resemble nothing. One part's signatures are looked at at a time; the keys
    of all are in memory twice, 20 bytes a document and band.
    """
    if not 1 <= prefixes <= _MOST_PREFIXES or prefixes & (prefixes - 1):
        raise ValueError(f"prefixes: expected a power of two up to {_MOST_PREFIXES}: {prefixes}")
    every_keys: list[Keys] = []
    every_rows: list[Rows] = []
    first = 0
    for signatures in parts:
        blank = np.flatnonzero(signatures[:, 0] == empty)
        blank = blank[(signatures[blank] == empty).all(axis=1)]
        rows = np.delete(np.arange(first, first + len(signatures), dtype=np.uint32), blank)
        told = signatures[rows - first] if len(blank) else signatures
        every_keys.append(band_keys(told, bands))
        every_rows.append(rows)
        first += len(signatures)
    rows = np.concatenate([np.empty(0, np.uint32), *every_rows])
    groups = []
    for band in range(bands.bands):
        keys = np.concatenate([np.empty(0, np.uint64), *(some[band] for some in every_keys)])
        by_prefix, whose, ends = _part(keys, rows, prefixes)
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            groups.append((by_prefix[start:end], whose[start:end]))
    write_batches(path, _SCHEMA, groups, metadata)


def read_band(path: str, group: int) -> tuple[Keys, Rows]:
    """Return the keys of one (band, prefix) of a file of bands, and the rows that they are of."""
    batch = read_batch(path, group)
    return batch["key"].to_numpy(), batch["row"].to_numpy()


def write_batches(
    path: str,
    schema: pa.Schema,
    batches: Iterable[Sequence[NDArray[np.generic] | pa.Array]],
    metadata: Mapping[str, str],
) -> None:
    """Write an Arrow file of record batches, each given by its columns."""
    schema = schema.with_metadata(dict(metadata))
    made = [pa.record_batch([pa.array(column) for column in some], schema) for some in batches]
    room = sum(batch.nbytes for batch in made) + _BATCH_BYTES * (len(made) + 2)
    buffer = pa.allocate_buffer(room + len(str(schema)), resizable=True)
    sink = pa.FixedSizeBufferWriter(buffer)
    with pa.ipc.new_file(sink, schema) as writer:
        for batch in made:
            writer.write_batch(batch)
    storage.atomic_write(path, buffer.slice(0, sink.tell()))


def read_batch(path: str, number: int) -> pa.RecordBatch:
    """Return one batch of what `write_batches` wrote."""
    with storage.open_input(path) as source:
        return pa.ipc.open_file(source).get_batch(number)


def metadata_of(path: str) -> dict[str, str]:
    """Return the metadata that a file was written with; empty when there is no such file.

    Empty, too, for a file that is none of ours, or only a piece of one: it is made again.
    """
    try:
        with storage.open_input(path) as source:
            found = _schema_of(source).metadata or {}
            return {key.decode(): value.decode() for key, value in found.items()}
    except (FileNotFoundError, ValueError):  # Arrow's errors about a file's content are ValueErrors
        return {}


def _schema_of(source: pa.NativeFile) -> pa.Schema:
    magic = source.read(6)
    source.seek(0)
    return pa.ipc.open_file(source).schema if magic == b"ARROW1" else pq.read_schema(source)


def _writer(sink: pa.NativeFile, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        sink, schema, compression="none", use_dictionary=False, write_statistics=False
    )


_Q1 = np.uint64(0x9E3779B185EBCA87)
_Q2 = np.uint64(0xC2B2AE3D27D4EB4F)


@njit(nogil=True, cache=True)
def _band_keys(signatures: Signatures, bands: int, rows: int, factors: Keys) -> Keys:
    """Multiply-add hashing: products that don't wait for each other; then the bits are mixed."""
    keys = np.empty((bands, signatures.shape[0]), np.uint64)
    for i in range(signatures.shape[0]):
        row = signatures[i]
        for band in range(bands):
            h = np.uint64(band)
            for k in range(rows):
                at = np.uintp(band * rows + k)  # a signed index might count from the end
                h += np.uint64(row[at]) * factors[at]
            h = np.uint64(h ^ np.uint64(h >> np.uint64(33))) * _Q2
            h = np.uint64(h ^ np.uint64(h >> np.uint64(29))) * _Q1
            keys[band, i] = np.uint64(h ^ np.uint64(h >> np.uint64(32)))
    return keys


@lru_cache(maxsize=8)
def _factors(count: int) -> Keys:
    """Odd numbers at random, the same ones for ever."""
    drawn = np.random.Generator(np.random.PCG64(0)).integers(0, 1 << 63, count, dtype=np.uint64)
    return drawn * np.uint64(2) + np.uint64(1)


@njit(nogil=True, cache=True)
def _part(keys: Keys, rows: Rows, prefixes: int) -> tuple[Keys, Rows, NDArray[np.int64]]:
    """Sort keys by their prefix, in order within each; return them and where each prefix ends."""
    ends = np.zeros(prefixes, np.int64)
    if prefixes == 1:  # a shift by 64 is undefined
        ends[0] = keys.shape[0]
        return keys, rows, ends
    bits = 0
    while prefixes >> bits > 1:
        bits += 1
    shift = np.uint64(64 - bits)
    for i in range(keys.shape[0]):
        ends[np.int64(keys[i] >> shift)] += 1
    place = np.empty(prefixes, np.int64)
    total = 0
    for prefix in range(prefixes):
        place[prefix] = total
        total += ends[prefix]
        ends[prefix] = total
    parted, whose = np.empty(keys.shape[0], np.uint64), np.empty(keys.shape[0], np.uint32)
    for i in range(keys.shape[0]):
        at = place[np.int64(keys[i] >> shift)]
        parted[at], whose[at] = keys[i], rows[i]
        place[np.int64(keys[i] >> shift)] = at + 1
    return parted, whose, ends
