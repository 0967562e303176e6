"""The shards of one or more corpora, as the plan and the workers see them.

In: output folders of `dsvl-data corpus build`. Out: per category its shards, the exact lengths of
their samples. Nothing is read that is not asked for: a plan looks at the shards that its next
windows touch.

Lengths depend on the tokenizer. They are counted once for each shard and tokenizer, and kept in a
cache folder by the shard's hash.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.curate.mix import Mix
from dsvl_data.shards.manifest import ShardRecord, read_manifest
from train.pool import Sizes
from train.reader import Reader, read_members

_Integers: TypeAlias = NDArray[np.int64]

#: Part of a cached length's name: change it whenever `train.encode` counts otherwise.
_LENGTHS_VERSION = 1
#: Samples whose tokens are counted at a time.
_COUNTED = 256


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


class Corpus:
    """The shards below one or more output folders. Raises `ShardError` where there is no manifest.

    `cache` is a local folder for lengths.
    """

    def __init__(self, folders: Sequence[str], counter: Counter, cache: str | Path) -> None:
        self._counter = counter
        self._cache = Path(cache)
        self._shards: dict[str, list[Shard]] = {}
        #: The mixes of the manifests that have one.
        self.mixes: list[Mix] = []
        for folder in folders:
            manifest = read_manifest(folder)
            if manifest.mix is not None:
                self.mixes.append(manifest.mix)
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

    def tokens(self, category: str) -> int:
        """Tokens of a category as the manifests count them, which the model's may differ from."""
        records = (shard.record for shard in self._shards.get(category, []))
        return sum(record.text_tokens + record.image_tokens for record in records)

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


def _measure(path: str, counter: Counter) -> _Integers:
    """Tokens and images of each sample of a shard: [2, samples]."""
    number = len(read_members(path))
    reader = Reader()
    sizes: list[tuple[int, int]] = []
    try:
        for start in range(0, number, _COUNTED):
            rows = range(start, min(start + _COUNTED, number))
            for row, members in zip(rows, reader.fetch((path, r) for r in rows), strict=True):
                if isinstance(members, Exception):
                    raise members
                record, images = reader.record(path, row, members)
                sizes.append((counter.count(record), len(images)))
    finally:
        reader.close()
    return np.array(sizes, np.int64).reshape(-1, 2).T


def _digest(name: str) -> str:
    return hashlib.sha256(f"{_LENGTHS_VERSION}/{name}".encode()).hexdigest()[:16]
