"""Clusters of nearly equal conversations: an index and its parts in; its `near` column out.

Texts are compared by MinHash as curation compares them (`dsvl_data.curate`), whatever images they
go with: those that share a band are candidates, joined where their signatures agree in 0.8 of
their values. Nothing is done while neither index nor parts have changed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.curate.clusters import stars
from dsvl_data.curate.minhash import MinHashParameters, signatures, similarity
from dsvl_data.curate.signature_files import band_keys, bands_for
from dsvl_data.curate.stored import digest
from dsvl_data.curate.union_find import UnionFind
from dsvl_data.outcome import UserError
from taxonomy import index

#: Jaccard similarity of shingles from which texts are nearly the same, as in curation.
THRESHOLD = 0.8

_PARAMETERS = MinHashParameters()
# The bands are cut for a lower threshold, since they miss many pairs just above theirs.
_BANDS = bands_for(THRESHOLD - 0.1, _PARAMETERS.permutations)
_ROWS = 1024
_PAIRS = 1 << 16
_NOTE = "near"


def annotate(out: str, threads: int = 1) -> bool:
    """Fill the column `near` of an index, unless it is up to date; say whether it can be.

    An index whose parts are not there (one made elsewhere) keeps the clusters it came with:
    False. Disk: 640 bytes a conversation among the unfinished files of `out`; memory: 20.
    """
    names = index.names(out)
    if not names:
        raise UserError(f"{out} has no index: run `dsvl-data taxonomy classify {out}` first")
    parts = [storage.join(out, "parts", name) for name in names]
    if not all(storage.exists(part) for part in parts):
        return False
    keys = [index.read_part(out, name, ["key", "text_hash"]) for name in names]
    lines = [digest(table["key"].to_pylist(), table["text_hash"].to_pylist()) for table in keys]
    made = digest(THRESHOLD, repr(_PARAMETERS), repr(_BANDS), names, lines)
    if all(index.note(out, name).get(_NOTE) == made for name in names):
        return True
    firsts = [0, *itertools.accumulate(table.num_rows for table in keys)]
    with storage.scratch(out, "near") as folder:
        rows = np.memmap(
            Path(folder, "signatures"),
            _PARAMETERS.dtype,
            "w+",
            shape=(max(1, firsts[-1]), _PARAMETERS.permutations),
        )
        bands = np.memmap(
            Path(folder, "bands"), np.uint64, "w+", shape=(_BANDS.bands, max(1, firsts[-1]))
        )
        for part, table, first in zip(parts, keys, firsts, strict=False):
            _sign(part, table["key"].to_pylist(), first, rows, bands, threads)
        members, smallest = _join(rows, bands, firsts[-1])
    for name, first, after in zip(names, firsts, firsts[1:], strict=False):
        low, high = np.searchsorted(members, [first, after])
        _fill(out, name, members[low:high] - first, smallest[low:high], made)
    return True


def _sign(
    part: str,
    keys: list[str],
    first: int,
    rows: NDArray[np.uint32],
    bands: NDArray[np.uint64],
    threads: int,
) -> None:
    place = {key: first + number for number, key in enumerate(keys)}
    seen = 0
    for names, texts in _texts(part, place):
        where = [place[name] for name in names]
        matrix = signatures(texts, _PARAMETERS, threads)
        rows[where] = matrix
        bands[:, where] = band_keys(matrix, _BANDS)
        seen += len(set(names))
    if seen < len(place):
        raise UserError(
            f"{part} has not all the samples that the index has of it: it changed; run "
            "`dsvl-data taxonomy classify` again"
        )


def _join(
    rows: NDArray[np.uint32], bands: NDArray[np.uint64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    union = UnionFind(count)
    numbers = np.arange(count)
    wordless = np.asarray(rows[:count, 0]) == _PARAMETERS.empty  # these resemble nothing
    for band in bands:
        first, other = stars(np.asarray(band[:count])[~wordless], numbers[~wordless])
        # Also neighbours in a bucket: two may be alike, and neither be like its first.
        near = np.flatnonzero(first[1:] == first[:-1])
        left = np.concatenate([first, other[near]])
        right = np.concatenate([other, other[near + 1]])
        for start in range(0, len(left), _PAIRS):
            a, b = left[start : start + _PAIRS], right[start : start + _PAIRS]
            alike = similarity(rows[a], rows[b]) >= THRESHOLD
            union.join(np.minimum(a, b)[alike], np.maximum(a, b)[alike])
    return union.components()


def _texts(part: str, wanted: dict[str, int]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield keys and texts of a part's conversations; images are not read."""
    columns = ["key", *(f"segments.list.element.{name}" for name in ("type", "text", "role"))]
    with storage.open_input(part) as source:
        for batch in pq.ParquetFile(source).iter_batches(_ROWS, columns=columns):
            chosen = [row for row in batch.to_pylist() if row["key"] in wanted]
            if chosen:
                texts = [index.segments_text(row["segments"]) for row in chosen]
                yield [row["key"] for row in chosen], texts


def _fill(
    out: str, name: str, rows: NDArray[np.int64], numbers: NDArray[np.int64], made: str
) -> None:
    table = index.read_part(out, name)
    values = np.zeros(table.num_rows, np.uint64)
    alone = np.ones(table.num_rows, np.bool_)
    values[rows] = numbers
    alone[rows] = False
    at = table.schema.get_field_index("near")
    table = table.set_column(at, "near", pa.array(values, mask=alone))
    index.write(out, name, table, {**index.note(out, name), _NOTE: made})
