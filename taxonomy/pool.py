"""What a mix can be made of: the index in; candidates, sorted by cell and seeded hash, out.

Every conversation of the index is either a candidate or left out for one reason, in this order:

    held_out         in the evaluation set, or with its image, or nearly the same text
    unlabelled       the classifier was not sure, or less than `min_confidence`
    unknown_path     its path is no leaf of this taxonomy
    repeated_key     its key has come before
    near_duplicate   nearly the same text with the same images; the surest label is kept

Nothing depends on the order of the index, or on how many threads there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dsvl_data.curate.clusters import stars
from taxonomy.assignment import Candidates
from taxonomy.columns import (
    Ints,
    hash_lists,
    hash_strings,
    list_values,
    number_values,
    order_by_group,
)
from taxonomy.targets import BalanceSettings
from taxonomy.tree import Taxonomy

COLUMNS = (
    "key", "source", "language", "taxonomy", "confidence", "images", "text_hash", "near", "part",
)  # fmt: skip
LEFT_OUT = ("held_out", "unlabelled", "unknown_path", "repeated_key", "near_duplicate")

_TAGS = 0x9E3779B97F4A7C15  # keeps numbers of clusters apart from hashes of texts


@dataclass(frozen=True)
class HeldOut:
    """What must not be in a mix: the keys, images, texts and clusters of another choice."""

    keys: pa.Array
    images: NDArray[np.uint64]
    texts: NDArray[np.uint64]
    near: NDArray[np.uint64]

    @classmethod
    def of(cls, table: pa.Table) -> HeldOut:
        """Take these columns of rows of the index."""
        near = table["near"].drop_null()
        return cls(
            table["key"].combine_chunks(),
            np.unique(np.asarray(pc.list_flatten(table["images"]), np.uint64)),
            np.unique(np.asarray(table["text_hash"], np.uint64)),
            np.unique(np.asarray(near, np.uint64)),
        )

    def among(self, table: pa.Table) -> NDArray[np.bool_]:
        """Say for each row of the index whether it is one of these, or too like one."""
        found = np.asarray(pc.is_in(table["key"], self.keys), np.bool_).copy()
        found |= np.isin(np.asarray(table["text_hash"], np.uint64), self.texts)
        near = table["near"]
        found |= np.isin(np.asarray(near.fill_null(0), np.uint64), self.near) & np.asarray(
            near.is_valid(), np.bool_
        )
        at = 0
        for chunk in table["images"].chunks:
            values, starts = list_values(chunk)
            owners = np.repeat(np.arange(len(chunk)), np.diff(starts))
            found[at + owners[np.isin(values, self.images)]] = True
            at += len(chunk)
        return found


@dataclass(frozen=True)
class Cells:
    """One entry a cell: numbers of leaf, source and language, and how many candidates it has."""

    leaf: Ints
    source: Ints
    language: Ints
    supply: Ints


@dataclass(frozen=True)
class Pool:
    """`rows` are the candidates' rows in the index, by cell and hash; `candidates` in that order.

    `counts` says what became of all rows of the index: `total`, each of `LEFT_OUT`, `candidates`.
    """

    leaves: tuple[str, ...]
    sources: tuple[str, ...]
    languages: tuple[str, ...]
    cells: Cells
    rows: Ints
    candidates: Candidates
    counts: Mapping[str, int]

    def supply(self, *by: str) -> Ints:
        """Return the candidates by leaf, source or language, or a matrix by several of them."""
        sizes = {"leaf": self.leaves, "source": self.sources, "language": self.languages}
        shape = tuple(len(sizes[name]) for name in by)
        where = np.ravel_multi_index([getattr(self.cells, name) for name in by], shape)
        total = np.bincount(where, self.cells.supply, int(np.prod(shape)))
        return total.reshape(shape).astype(np.int64)


def gather(
    table: pa.Table,
    taxonomy: Taxonomy,
    settings: BalanceSettings,
    held_out: HeldOut | None = None,
    threads: int = 1,
) -> Pool:
    """Make the pool of an index (`index.read` with `COLUMNS`)."""
    leaves = tuple(taxonomy.text_path(leaf.id) for leaf in taxonomy.leaves())
    leaf = _codes(table["taxonomy"], leaves)
    sources = tuple(sorted(set(_values(table["source"]))))
    languages = tuple(sorted(set(_values(table["language"]))))
    key_hash = hash_strings(table["key"], settings.seed, threads)
    confidence = np.asarray(table["confidence"].fill_null(0), np.float32)

    fate = np.zeros(table.num_rows, np.uint8)  # 0: a candidate, else number in LEFT_OUT + 1
    unsure = np.asarray(table["taxonomy"].is_null(), np.bool_)
    unsure = unsure | (confidence < settings.min_confidence)
    fate[leaf < 0] = 3
    fate[unsure] = 2
    if held_out is not None:
        fate[held_out.among(table)] = 1
    _leave_out_repeated(fate, key_hash, table["key"])
    if settings.near_duplicates == "remove":
        _leave_out_duplicates(fate, table, key_hash, confidence, threads)

    rows = np.flatnonzero(fate == 0)
    source, language = _codes(table["source"], sources), _codes(table["language"], languages)
    shape = (len(leaves), max(1, len(sources)), max(1, len(languages)))
    place = np.ravel_multi_index((leaf[rows], source[rows], language[rows]), shape)
    counts = np.bincount(place, minlength=int(np.prod(shape)))
    used = np.flatnonzero(counts)
    supply = counts[used].astype(np.int64)
    number = np.cumsum(counts > 0) - 1
    starts, order = order_by_group(number[place], len(used))
    hashes = key_hash[rows]
    for start, end in itertools.pairwise(starts.tolist()):
        cell = order[start:end]
        order[start:end] = cell[np.argsort(hashes[cell], kind="stable")]
    rows = rows[order]
    at_leaf, at_source, at_language = np.unravel_index(used, shape)
    names = ("total", *LEFT_OUT, "candidates")
    by_fate = np.bincount(fate, minlength=len(LEFT_OUT) + 1)
    numbers = (table.num_rows, *by_fate[1:], by_fate[0])
    return Pool(
        leaves,
        sources,
        languages,
        Cells(at_leaf, at_source, at_language, supply),
        rows,
        _candidates(table, rows, supply, settings),
        {name: int(number) for name, number in zip(names, numbers, strict=True)},
    )


def _leave_out_repeated(
    fate: NDArray[np.uint8], hashes: NDArray[np.uint64], keys: pa.ChunkedArray
) -> None:
    """Keep one row of each key."""
    rows = np.flatnonzero(fate == 0)
    first, other = stars(hashes[rows], rows)
    seen: set[str] = set()
    for row in np.unique(np.concatenate([first, other])).tolist():
        key = keys[row].as_py()
        if key in seen:
            fate[row] = 4
        seen.add(key)


def _leave_out_duplicates(
    fate: NDArray[np.uint8],
    table: pa.Table,
    key_hash: NDArray[np.uint64],
    confidence: NDArray[np.float32],
    threads: int,
) -> None:
    """Of rows with nearly one text and the same images keep the surest, then the least hash."""
    rows = np.flatnonzero(fate == 0)
    near = table["near"]
    group = np.asarray(table["text_hash"], np.uint64)
    if near.null_count < len(near):
        cluster = np.asarray(near.fill_null(0), np.uint64) * np.uint64(_TAGS) + np.uint64(1)
        group = np.where(np.asarray(near.is_valid(), np.bool_), cluster, group)
    group = (group ^ hash_lists(table["images"], 0, threads))[rows]
    some = np.unique(np.concatenate(stars(group, np.arange(len(rows)))))
    ranked = some[np.lexsort((key_hash[rows[some]], -confidence[rows[some]], group[some]))]
    later = np.flatnonzero(group[ranked][1:] == group[ranked][:-1]) + 1
    fate[rows[ranked[later]]] = 5


def _candidates(table: pa.Table, rows: Ints, supply: Ints, settings: BalanceSettings) -> Candidates:
    """Bring the images that may be used too often into the order of the candidates."""
    starts = np.concatenate([[0], np.cumsum(supply)]).astype(np.int64)
    uses = settings.conversation_uses
    if settings.image_uses is None:
        none = np.zeros(len(rows) + 1, np.int64)
        return Candidates(starts, none, np.empty(0, np.int32), 0, 1 << 30, uses)
    values, begins = list_values(table["images"].combine_chunks())
    lengths = np.diff(begins)[rows]
    owners = np.repeat(np.arange(len(rows), dtype=np.int32), lengths)
    ends = np.cumsum(lengths)
    # The values of each row, in the order of the candidates.
    within = np.arange(len(owners)) - np.repeat(ends - lengths, lengths)
    values = values[np.repeat(begins[rows], lengths) + within]
    image, images = number_values(values)
    many = lengths[owners] > 1
    if many.any():
        # A conversation that shows an image twice uses it once.
        pairs = owners[many].astype(np.int64) * images + image[many]
        kept = np.zeros(len(owners), np.bool_)
        kept[~many] = True
        kept[np.flatnonzero(many)[np.unique(pairs, return_index=True)[1]]] = True
        owners, image = owners[kept], image[kept]
    contested = np.bincount(image, minlength=images) * uses > settings.image_uses
    kept = contested[image]
    owners, image = owners[kept], image[kept]
    number = np.cumsum(contested) - 1
    image_starts = np.searchsorted(owners, np.arange(len(rows) + 1)).astype(np.int64)
    return Candidates(
        starts,
        image_starts,
        number[image].astype(np.int32),
        int(contested.sum()),
        settings.image_uses,
        uses,
    )


def _codes(column: pa.ChunkedArray, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the number of each value among `names`; -1 where it is none of them."""
    number = {name: i for i, name in enumerate(names)}
    pieces = []
    for chunk in column.chunks:
        if not pa.types.is_dictionary(chunk.type):
            chunk = chunk.dictionary_encode()
        of_value = [number.get(value, -1) for value in chunk.dictionary.to_pylist()]
        table = np.array([*of_value, -1], np.int32)
        indices = np.asarray(chunk.indices.fill_null(len(of_value)))
        pieces.append(table[indices])
    return np.concatenate([*pieces, np.empty(0, np.int32)]).astype(np.int64)


def _values(column: pa.ChunkedArray) -> list[Any]:
    return [value for value in pc.unique(column).to_pylist() if value is not None]
