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
from array import array
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
from dsvl_data.shards.foreign import Form
from dsvl_data.shards.index import read_index
from dsvl_data.shards.manifest import ShardRecord, read_manifest
from train.pool import Sizes

_Integers: TypeAlias = NDArray[np.int64]

#: Part of a cached length's name: change it whenever `train.encode` counts otherwise.
_LENGTHS_VERSION = 1
#: Indexes, and open shards, that a worker keeps.
_KEPT = 128
#: Stands for the file of a shard in an object store.
_STORED = -1


class Shard(NamedTuple):
    """Where a shard lies, and what the manifest says of it."""

    path: str
    record: ShardRecord
    #: Changes with the tar's bytes and with how they are read.
    identity: str


class Counter:
    """Counts the tokens of samples; `name` changes whenever a count may."""

    def __init__(self, name: str, count: Callable[[Mapping[str, Any]], int]) -> None:
        self.name = name
        self.count = count


@dataclass(frozen=True, slots=True)
class Members:
    """Where the samples of a shard lie: for sample i, members `first[i]` to `first[i + 1]`.

    `form` and `keys` are those of a shard that is not ours (see `dsvl_data.shards.foreign`).
    Arrays of Python's own: they are read number by number, which NumPy's are slow at.
    """

    first: array[int]
    names: list[str]
    offsets: array[int]
    ends: array[int]
    keys: list[str]
    form: Form | None

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
            form = manifest.form.model_dump_json() if manifest.form else ""
            for record in manifest.shards:
                if record.samples:
                    identity = f"{record.xxh3}-{_digest(form)}" if form else record.xxh3
                    shard = Shard(storage.join(folder, record.path), record, identity)
                    self._shards.setdefault(record.category, []).append(shard)
        self.categories = sorted(self._shards)

    @property
    def digest(self) -> str:
        """A hash of every shard's hash, and of what counts tokens."""
        state = hashlib.sha256(self._counter.name.encode())
        for name in self.categories:
            for shard in self._shards[name]:
                state.update(f"\n{name} {shard.identity}".encode())
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
        path, _, identity = self._shards[category][shard]
        file = self._cache / f"{identity}-{_digest(self._counter.name)}.npy"
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
        self._kept: OrderedDict[str, tuple[Members, int]] = OrderedDict()

    def fetch(self, shard: str, row: int) -> dict[str, memoryview]:
        """The members of a sample, by name (`json`, `0.jpg`). Raises `OSError`."""
        try:
            members, file = self._kept[shard]
            self._kept.move_to_end(shard)
        except KeyError:
            members, file = self._open(shard)
        first, end = members.first[row], members.first[row + 1]
        offsets, ends, names = members.offsets, members.ends, members.names
        start = offsets[first]
        length = ends[end - 1] - start
        # One read and no copy of it: all members are views of the same bytes.
        if file >= 0:
            data = memoryview(os.pread(file, length, start))
        else:
            data = memoryview(storage.read_bytes(shard, start, length))
        if len(data) != length:
            raise OSError(f"{shard} ends within sample {row}: {len(data)} of {length} bytes")
        return {names[m]: data[offsets[m] - start : ends[m] - start] for m in range(first, end)}

    def sample(self, shard: str, row: int) -> tuple[dict[str, Any], dict[str, memoryview]]:
        """A sample's record, and its images by member, whoever wrote the shard.

        Raises `OSError`, and `ValueError` or `KeyError` where the bytes are no sample's.
        """
        members = self.fetch(shard, row)
        layout = self._kept[shard][0]
        if layout.form is not None:
            return layout.form.read(layout.keys[row], members)
        record: dict[str, Any] = orjson.loads(members.pop("json"))
        return record, members

    def close(self) -> None:
        """Close the files."""
        while self._kept:
            self._close(self._kept.popitem()[1][1])

    def _open(self, shard: str) -> tuple[Members, int]:
        members = read_members(shard)
        file = os.open(shard, os.O_RDONLY) if storage.is_local(shard) else _STORED
        self._kept[shard] = members, file
        if len(self._kept) > _KEPT:
            self._close(self._kept.popitem(last=False)[1][1])
        return members, file

    def _close(self, file: int) -> None:
        if file != _STORED:
            os.close(file)


def read_members(shard: str) -> Members:
    """Read where the samples of a shard lie, from its index."""
    index = read_index(shard)
    column = index.table["members"].combine_chunks()
    values = column.values if isinstance(column, pa.ListArray) else column.flatten()
    names = values.field("name").dictionary_encode()
    known = names.dictionary.to_pylist()
    offsets = values.field("offset").to_numpy()
    return Members(
        _array(column.offsets.to_numpy()),
        [known[number] for number in names.indices.to_pylist()],
        _array(offsets),
        _array(offsets + values.field("size").to_numpy()),
        [] if index.form is None else index.table["key"].to_pylist(),
        index.form,
    )


def _array(values: NDArray[Any]) -> array[int]:
    return array("q", values.astype(np.int64).tobytes())


def _measure(path: str, counter: Counter) -> _Integers:
    """Tokens and images of each sample of a shard: [2, samples]."""
    reader = Reader()
    try:
        rows = [
            (counter.count(record), len(images))
            for row in range(len(read_members(path)))
            for record, images in [reader.sample(path, row)]
        ]
    finally:
        reader.close()
    return np.array(rows, np.int64).reshape(-1, 2).T


def _digest(name: str) -> str:
    return hashlib.sha256(f"{_LENGTHS_VERSION}/{name}".encode()).hexdigest()[:16]
