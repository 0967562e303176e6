"""The shards of one or more corpora, as the plan and the workers see them.

In: output folders of `dsvl-data corpus build`. Out: per category its shards, the exact lengths of
their samples.

Lengths depend on the tokenizer. They are counted once for each shard and tokenizer, and kept in a
cache folder by the shard's hash.
"""

from __future__ import annotations

import hashlib
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.curate.mix import Mix
from dsvl_data.outcome import UserError
from dsvl_data.shards.manifest import ShardRecord, read_manifest
from train.pool import Sizes
from train.reader import Reader, read_members

_Integers: TypeAlias = NDArray[np.int64]
_Damage: TypeAlias = OSError | ValueError | KeyError | TypeError

#: Part of a cached length's name: change it whenever `train.encode` counts otherwise.
_LENGTHS_VERSION = 1
#: Samples whose tokens are counted at a time.
_COUNTED = 256
#: In place of an image that nobody looks at.
_NOTHING = memoryview(b"")


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
            # Written aside: another process, of any machine, may be counting the same shard.
            aside = file.with_suffix(f".{socket.gethostname()}-{uuid4().hex}.npy")
            np.save(aside, table, allow_pickle=False)
            aside.replace(file)
        return Sizes(table[0], table[1])

    def measuring(self, rank: int = 0, world: int = 1, workers: int = 1) -> Iterator[None]:
        """Count the tokens of a rank's part of the shards; yields after each of them.

        Who stops asking for the next one loses at most those that `workers` threads are counting.
        """
        jobs = [(name, n) for name in self.categories for n in range(len(self._shards[name]))]
        coming: deque[Future[Sizes]] = deque()
        with ThreadPoolExecutor(workers) as pool:
            for job in jobs[rank::world]:
                coming.append(pool.submit(self.sizes, *job))
                if len(coming) > workers:
                    coming.popleft().result()
                    yield
            while coming:
                coming.popleft().result()
                yield

    def measure(self, workers: int = 1) -> None:
        """Count the tokens of all shards now, some at a time."""
        for _ in self.measuring(workers=workers):
            pass


def _measure(path: str, counter: Counter) -> _Integers:
    """Tokens and images of each sample of a shard: [2, samples]. Reads no image.

    A sample that cannot be read has one token: the loader will put a blank there, and count it.
    Raises `UserError` where that is so of all of them.
    """
    members = read_members(path)
    reader = Reader(images=False)
    sizes: list[tuple[int, int]] = []
    why: _Damage | None = None
    good = 0
    try:
        for start in range(0, len(members), _COUNTED):
            rows = range(start, min(start + _COUNTED, len(members)))
            for row, fetched in zip(rows, reader.fetch((path, r) for r in rows), strict=True):
                images = members.images(row)
                try:
                    if isinstance(fetched, Exception):
                        raise fetched
                    record, _ = reader.record(path, row, dict.fromkeys(images, _NOTHING) | fetched)
                    tokens = counter.count(record)
                    good += 1
                except (OSError, ValueError, KeyError, TypeError) as error:
                    why, tokens = error, 1
                sizes.append((tokens, len(images)))
    finally:
        reader.close()
    if why is not None and not good:
        raise UserError(
            f"no sample of {path} can be read: {type(why).__name__}: {why}; `dsvl-data shards "
            "verify` lists all damage"
        ) from why
    return np.array(sizes, np.int64).reshape(-1, 2).T


def _digest(name: str) -> str:
    return hashlib.sha256(f"{_LENGTHS_VERSION}/{name}".encode()).hexdigest()[:16]
