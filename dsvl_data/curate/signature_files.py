"""Signatures and the keys of their bands on disk, in any store.

In: a matrix of signatures for one part, or a run of parts, of the corpus. Out: two Parquet
files, whole or not there at all, each with the caller's metadata: `write_signatures` keeps the
matrix, of which a few rows can be read again (`take_signatures`); `write_bands` keeps a 64-bit
key for each document and band, in one row group for each (band, prefix of the key), so that a
task of `clusters.py` reads its own row group of each file and nothing else. 12 bytes a document
and band; nothing is compressed, for hashes can't be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

_SIGNATURE_ROWS = 4096  # in a row group: what has to be read for one signature
_MOST_PREFIXES = 1 << 16
_SCHEMA = pa.schema([("key", pa.uint64()), ("row", pa.uint32())])


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
    """Return a 64-bit hash of each band of each signature, of shape (signatures, bands)."""
    if bands.bands * bands.rows > signatures.shape[1]:
        raise ValueError(f"{bands} need more values than the {signatures.shape[1]} of a signature")
    return _band_keys(np.ascontiguousarray(signatures), bands.bands, bands.rows)


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


def read_signatures(path: str) -> tuple[list[str], Signatures]:
    """Return the keys and the signatures of a part; `OSError` when it can't be read."""
    with storage.open_input(path) as source:
        table = pq.ParquetFile(source).read()
    return table["key"].to_pylist(), _matrix(table)


def take_signatures(path: str, rows: NDArray[np.int64]) -> Signatures:
    """Return the signatures of ascending row numbers; only their row groups are read."""
    with storage.open_input(path) as source:
        file = pq.ParquetFile(source)
        pieces = []
        each = file.metadata.row_group(0).num_rows
        groups = rows // each
        for group in np.unique(groups):
            matrix = _matrix(file.read_row_group(int(group), columns=["signature"]))
            pieces.append(matrix[rows[groups == group] - group * each])
    return np.concatenate(pieces)


def write_bands(
    path: str,
    signatures: Signatures,
    bands: Bands,
    prefixes: int,
    empty: int,
    metadata: Mapping[str, str],
) -> None:
    """Write the band keys of the signatures, one row group for each (band, prefix), in order.

    `prefixes` is a power of two; the highest bits of a key are its prefix. Signatures that are
    `empty` all over (see `MinHashParameters.empty`) are left out: no words resemble nothing.
    """
    if not 1 <= prefixes <= _MOST_PREFIXES or prefixes & (prefixes - 1):
        raise ValueError(f"prefixes: expected a power of two up to {_MOST_PREFIXES}: {prefixes}")
    blank = np.flatnonzero(signatures[:, 0] == empty)
    blank = blank[(signatures[blank] == empty).all(axis=1)]
    rows = np.delete(np.arange(len(signatures), dtype=np.uint32), blank)
    keys = band_keys(signatures if len(rows) == len(signatures) else signatures[rows], bands)
    sink = pa.BufferOutputStream()
    with _writer(sink, _SCHEMA.with_metadata(dict(metadata))) as writer:
        for band in range(bands.bands):
            column = np.ascontiguousarray(keys[:, band])
            prefix = _prefix_of(column, prefixes)
            order = np.argsort(prefix, kind="stable")
            ends = np.searchsorted(prefix[order], np.arange(prefixes), side="right")
            table = pa.table([column[order], rows[order]], schema=_SCHEMA)
            for start, end in zip([0, *ends], ends, strict=False):
                writer.write_table(table[start:end], row_group_size=max(1, len(rows)))
    storage.atomic_write(path, sink.getvalue())


def read_band(path: str, group: int) -> tuple[Keys, NDArray[np.uint32]]:
    """Return the keys of one row group of a file of bands, and the rows that they are of."""
    with storage.open_input(path) as source:
        table = pq.ParquetFile(source).read_row_group(group)
    return table["key"].to_numpy(), table["row"].to_numpy()


def metadata_of(path: str) -> dict[str, str]:
    """Return the metadata that a file was written with; empty when there is no such file."""
    if not storage.exists(path):
        return {}
    with storage.open_input(path) as source:
        found = pq.read_schema(source).metadata or {}
    return {key.decode(): value.decode() for key, value in found.items()}


def _writer(sink: pa.NativeFile, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        sink, schema, compression="none", use_dictionary=False, write_statistics=False
    )


def _matrix(table: pa.Table) -> Signatures:
    width = int(table.schema.metadata[b"value_bytes"])
    column = table["signature"].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    bytes_each = column.type.byte_width
    values = np.frombuffer(
        column.buffers()[1],
        f"<u{width}",
        len(column) * bytes_each // width,
        column.offset * bytes_each,
    )
    return values.reshape(len(column), bytes_each // width)


def _prefix_of(keys: Keys, prefixes: int) -> NDArray[np.uint16]:
    if prefixes == 1:
        return np.zeros(len(keys), np.uint16)
    return (keys >> np.uint64(65 - prefixes.bit_length())).astype(np.uint16)


_Q1 = np.uint64(0x9E3779B185EBCA87)
_Q2 = np.uint64(0xC2B2AE3D27D4EB4F)


@njit(nogil=True, cache=True)
def _band_keys(signatures: Signatures, bands: int, rows: int) -> Keys:
    keys = np.empty((signatures.shape[0], bands), np.uint64)
    for i in range(signatures.shape[0]):
        for band in range(bands):
            h = _Q2
            for k in range(band * rows, band * rows + rows):
                h = np.uint64(h ^ np.uint64(signatures[i, k])) * _Q1
                h = np.uint64(h ^ np.uint64(h >> np.uint64(29)))
            h = np.uint64(h ^ np.uint64(h >> np.uint64(33))) * _Q2
            keys[i, band] = np.uint64(h ^ np.uint64(h >> np.uint64(32)))
    return keys
