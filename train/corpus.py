"""The shards of one or more corpora, as the plan and the workers see them.

In: output folders of `dsvl-data corpus build`. Out: per category its shards, the exact lengths of
their samples, and each sample's bytes, fetched by range. Nothing is read that is not asked for: a
plan opens the indexes of the shards that its next windows touch.

Lengths depend on the tokenizer. They are counted once for each shard and tokenizer, and kept in a
cache folder by the shard's hash.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.shards.index import read_index
from dsvl_data.shards.manifest import ShardRecord, read_manifest
from train.pool import Sizes

_Integers: TypeAlias = NDArray[np.int64]

#: Part of a cached length's name: change it whenever `train.encode` counts otherwise.
_LENGTHS_VERSION = 1
#: Indexes, and open shards, that a worker keeps.
_KEPT = 128


class Shard(NamedTuple):
    """Where a shard lies, and what the manifest says of it."""

    path: str
    record: ShardRecord


class Counter:
    """Counts the tokens of samples; `name` changes whenever a count may."""

    def __init__(self, name: str, count: Callable[[Mapping[str, Any]], int]) -> None:
        self.name = name
        self.count = count


@dataclass(frozen=True, slots=True)
class Members:
    """Where the samples of a shard lie: for sample i, members `first[i]` to `first[i + 1]`."""

    first: _Integers
    names: list[str]
    offsets: _Integers
    sizes: _Integers

    def __len__(self) -> int:
        return len(self.first) - 1


class Corpus:
    """The shards below one or more output folders. Raises `ShardError` where there is no manifest.

    `cache` is a local folder for lengths.
    """

    def __init__(self, folders: Sequence[str], counter: Counter, cache: str | Path) -> None:
        self._counter = counter
        self._cache = Path(cache)
        self._shards: dict[str, list[Shard]] = {}
        #: What the manifests' mixes say, summed; empty where none has a mix.
        self.weights: dict[str, float] = {}
        for folder in folders:
            manifest = read_manifest(folder)
            if manifest.mix is not None:
                for name, part in manifest.mix.categories.items():
                    self.weights[name] = self.weights.get(name, 0.0) + part.weight
            for record in manifest.shards:
                if record.samples:
                    shard = Shard(storage.join(folder, record.path), record)
                    self._shards.setdefault(record.category, []).append(shard)
        self.categories = sorted(self._shards)

    @property
    def digest(self) -> str:
        """A hash of every shard's hash, and of what counts tokens."""
        state = hashlib.sha256(self._counter.name.encode())
        for name in self.categories:
            for shard in self._shards[name]:
                state.update(f"\n{name} {shard.record.xxh3}".encode())
        return state.hexdigest()[:16]

    def counts(self, category: str) -> Sequence[int]:
        """Samples in each shard of a category."""
        return [shard.record.samples for shard in self._shards.get(category, [])]

    def has_images(self, category: str) -> bool:
        """Whether any sample of a category has an image."""
        return any(shard.record.images for shard in self._shards[category])

    def shard(self, category: int, number: int) -> Shard:
        """A shard by the numbers in a slot."""
        return self._shards[self.categories[category]][number]

    def sizes(self, category: str, shard: int) -> Sizes:
        """Tokens and images of a shard's samples; counts the tokens where nobody has yet."""
        path, record = self._shards[category][shard]
        file = self._cache / f"{record.xxh3}-{_digest(self._counter.name)}.npy"
        try:
            table = np.load(file, allow_pickle=False)
        except FileNotFoundError:
            table = _measure(path, self._counter)
            self._cache.mkdir(parents=True, exist_ok=True)
            # Written aside: another process may be counting the same shard.
            aside = file.with_suffix(f".{os.getpid()}.npy")
            np.save(aside, table, allow_pickle=False)
            aside.replace(file)
        return Sizes(table[0], table[1])

    def measure(self, workers: int = 1) -> None:
        """Count the tokens of all shards now, some at a time."""
        jobs = [(name, n) for name in self.categories for n in range(len(self._shards[name]))]
        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(lambda job: self.sizes(*job), jobs):
                pass


class Reader:
    """Fetches samples by byte range; keeps the last indexes and open files. For one thread."""

    def __init__(self) -> None:
        self._members: OrderedDict[str, Members] = OrderedDict()
        self._files: OrderedDict[str, int] = OrderedDict()

    def fetch(self, shard: str, row: int) -> dict[str, memoryview]:
        """The members of a sample, by name (`json`, `0.jpg`). Raises `OSError`."""
        members = self._kept(self._members, shard, read_members)
        first, end = members.first[row], members.first[row + 1]
        start = int(members.offsets[first])
        length = int(members.offsets[end - 1] + members.sizes[end - 1]) - start
        data = memoryview(self._read(shard, start, length))
        if len(data) != length:
            raise OSError(f"{shard} ends within sample {row}: {len(data)} of {length} bytes")
        return {
            members.names[m]: data[
                members.offsets[m] - start : members.offsets[m] - start + members.sizes[m]
            ]
            for m in range(first, end)
        }

    def close(self) -> None:
        """Close the files."""
        while self._files:
            os.close(self._files.popitem()[1])

    def _read(self, shard: str, start: int, length: int) -> bytes:
        if not storage.is_local(shard):
            return storage.read_bytes(shard, start, length)
        file = self._kept(self._files, shard, lambda path: os.open(path, os.O_RDONLY))
        return os.pread(file, length, start)

    def _kept(self, kept: OrderedDict[str, Any], shard: str, make: Callable[[str], Any]) -> Any:
        if shard in kept:
            kept.move_to_end(shard)
            return kept[shard]
        kept[shard] = make(shard)
        if len(kept) > _KEPT:
            _, oldest = kept.popitem(last=False)
            if kept is self._files:
                os.close(oldest)
        return kept[shard]


def read_members(shard: str) -> Members:
    """Read where the samples of a shard lie, from its index."""
    column = read_index(shard).table["members"].combine_chunks()
    values = column.values if isinstance(column, pa.ListArray) else column.flatten()
    offsets = column.offsets.to_numpy().astype(np.int64)
    return Members(
        offsets,
        values.field("name").to_pylist(),
        values.field("offset").to_numpy(),
        values.field("size").to_numpy(),
    )


def _measure(path: str, counter: Counter) -> _Integers:
    """Tokens and images of each sample of a shard: [2, samples]."""
    members = read_members(path)
    reader = Reader()
    try:
        rows = [_count(reader.fetch(path, row), counter) for row in range(len(members))]
    finally:
        reader.close()
    return np.array(rows, np.int64).reshape(-1, 2).T


def _count(members: Mapping[str, memoryview], counter: Counter) -> tuple[int, int]:
    return counter.count(orjson.loads(members["json"])), len(members) - 1


def _digest(name: str) -> str:
    return hashlib.sha256(f"{_LENGTHS_VERSION}/{name}".encode()).hexdigest()[:16]
