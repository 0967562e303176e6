"""What a mix chose: its table of conversations in; how often each sample of a part is used, out.

The table is Parquet with a row a conversation: `key`, `times` (at least 1), and `part`, the path
of its part below `DIR/parts/`, if its maker knows (it spares readers the rest). `dsvl-data taxonomy
balance` writes one as `DIR/taxonomy/mix.parquet`; any program may. Curation comes first: the mix
has its word on what is kept, last of all, and leaves out what it does not name.

A conversation that is used three times stands in the shards three times, under its own key, and
with `-use2` and `-use3` behind it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.curate.settings import Curation
from dsvl_data.curate.stored import CurationError
from dsvl_data.sample import Sample

#: Where `dsvl-data taxonomy balance` writes its mix, below an output folder.
DEFAULT = "taxonomy/mix.parquet"

_USE = re.compile(r"-use[2-9][0-9]*$|-use1[0-9]+$")
_MOST = 1000  # more than any mix repeats a conversation: a table of something else
_CHUNK = 8 << 20


@dataclass(frozen=True, slots=True)
class Chosen:
    """A mix's table, and whose samples it decides on; `fingerprint` changes with either."""

    place: str
    categories: tuple[str, ...]
    fingerprint: str

    def times(self, slices: Mapping[str, pa.Table]) -> dict[str, NDArray[np.int32]]:
        """Return for parts, by name, how often each of their rows is used.

        `slices` are tables with `key` and `category`. Samples of other categories are used once.
        Raises `CurationError` for a table that names a key twice, or a sample of those.
        """
        keys, uses = self._rows(slices)
        if pc.count_distinct(keys).as_py() != len(keys):
            raise CurationError(f"{self.place} names a key twice; a key has one row, with `times`")
        found = {}
        for name, table in slices.items():
            at = pc.index_in(table.column("key"), value_set=keys).combine_chunks()
            named = np.asarray(at.is_valid(), np.bool_)
            times = np.where(named, uses[np.asarray(at.fill_null(0))] if len(uses) else 0, 0)
            ours = pc.is_in(table.column("category"), pa.array(self.categories, pa.string()))
            mine = np.asarray(ours, np.bool_)
            if (named & ~mine).any():
                row = int(np.flatnonzero(named & ~mine)[0])
                category = table.column("category")[row].as_py()
                raise CurationError(
                    f"{self.place} names {table.column('key')[row].as_py()!r}, which is "
                    f"{category}: add {category} to the recipe's curation.chosen.categories"
                )
            found[name] = np.where(mine, times, 1).astype(np.int32)
        return found

    def count(self) -> int:
        """Return how many conversations the table names."""
        return len(_open(self.place, ["key"]))

    def _rows(self, slices: Mapping[str, pa.Table]) -> tuple[pa.Array, NDArray[np.int32]]:
        """Return keys and times of what the table may name of these parts."""
        table = _open(self.place, ["key", "times", "part"])
        if "part" in table.column_names:
            names = pa.array([*slices], pa.string())
            table = table.filter(pc.is_in(table.column("part").cast(pa.string()), names))
        elif slices:
            keys = pa.concat_arrays(
                [chunk for part in slices.values() for chunk in part.column("key").chunks]
            )
            table = table.filter(pc.is_in(table.column("key").cast(pa.string()), keys))
        times = table.column("times")
        if not pa.types.is_integer(times.type) or times.null_count:
            raise CurationError(f"{self.place}: `times` must be whole numbers, none missing")
        limits = pc.min_max(times).as_py()
        if len(times) and not 1 <= limits["min"] <= limits["max"] <= _MOST:
            raise CurationError(
                f"{self.place}: `times` is from {limits['min']} to {limits['max']}; a conversation "
                f"that is used has 1 to {_MOST}, another no row"
            )
        key = table.column("key").cast(pa.string()).combine_chunks()
        return key, np.asarray(times, np.int32)


def chosen(out: str, settings: Curation) -> Chosen | None:
    """Return the mix that a recipe asks for; None where it asks for none, or there is none yet."""
    if settings.chosen is None:
        return None
    place = table_place(out, settings)
    if not storage.exists(place):
        return None
    categories = settings.chosen.categories
    state = hashlib.blake2b(repr(categories).encode(), digest_size=16)
    with storage.open_input(place) as source:
        while data := source.read(_CHUNK):
            state.update(data)
    return Chosen(place, categories, state.hexdigest())


def require(out: str, settings: Curation) -> None:
    """Raise `CurationError` where a recipe asks for a mix that is not there."""
    if settings.chosen is not None and chosen(out, settings) is None:
        place = table_place(out, settings)
        raise CurationError(
            f"{place} is not there, and the recipe's curation.chosen asks for the mix in it. What "
            f"was converted is kept: run `dsvl-data taxonomy classify {out}`, `dsvl-data taxonomy "
            f"balance {out} --size N`, and then `dsvl-data corpus build` again, which cuts the "
            "shards"
        )


def table_place(out: str, settings: Curation) -> str:
    """Where a recipe's mix stands."""
    named = settings.chosen.table if settings.chosen else None
    return named or storage.join(out, DEFAULT)


def repeat(samples: Sequence[Sample], times: Sequence[int]) -> list[Sample]:
    """Return each sample as often as it is used, every use with a key of its own."""
    return [
        sample if use == 1 else replace(sample, key=f"{sample.key}-use{use}")
        for sample, count in zip(samples, times, strict=True)
        for use in range(1, count + 1)
    ]


def without_use(key: str) -> str:
    """Return the key of the sample that a key in a shard is a use of."""
    return _USE.sub("", key)


def _open(place: str, columns: Sequence[str]) -> pa.Table:
    try:
        with storage.open_input(place) as source:
            file = pq.ParquetFile(source)
            there = file.schema_arrow.names
            missing = [name for name in columns if name not in there and name != "part"]
            if missing:
                raise CurationError(
                    f"{place} has no column {missing[0]!r}; a mix has key and times, and part too "
                    "where it is known"
                )
            return file.read([name for name in columns if name in there], use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise CurationError(
            f"{place} is no readable mix: {error}; run `dsvl-data taxonomy balance` again"
        ) from error
