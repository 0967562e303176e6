"""Samples as the bytes that shards hold, fetched by range.

In: which rows of which shards. Out: their members (`json`, `0.jpg`), as views of the bytes where
they lie. A shard is opened once, its index says where everything is, and nothing else is read.
"""

from __future__ import annotations

import itertools
import mmap
import os
from array import array
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.shards.foreign import Form, is_image
from dsvl_data.shards.index import read_index

#: A sample's members by name.
Payloads: TypeAlias = dict[str, memoryview]
#: Why a sample could not be read.
Unreadable: TypeAlias = OSError | ValueError
#: Samples of one shard: row there, place in the answer.
_Samples: TypeAlias = list[tuple[int, int]]

#: Shards that stay open, with their indexes: at least so many.
_KEPT = 128
#: Samples with no more bytes between them are read at once: to ask again takes as long.
_GAP_LOCAL, _GAP_STORED = 64 << 10, 1 << 20
#: But not more at once than so many bytes.
_BLOCK = 8 << 20
#: Requests to an object store that are under way at a time.
_REQUESTS = 16
#: Linux's MADV_POPULATE_READ (5.14), which Python has no name for.
_POPULATE_READ = 22
#: None on systems that take no advice.
_ADVICE: int | None = getattr(os, "POSIX_FADV_WILLNEED", None)


@dataclass(frozen=True, slots=True)
class Members:
    """Where the samples of a shard lie.

    Sample i is bytes `starts[i]` to `stops[i]`, and members `first[i]` to `first[i + 1]` of
    `names`, `offsets`, `ends`. `form` and `keys` are those of a shard that is not ours (see
    `dsvl_data.shards.foreign`). Arrays of Python's own: they are read number by number, which
    NumPy's are slow at.
    """

    starts: array[int]
    stops: array[int]
    first: array[int]
    names: list[str]
    offsets: array[int]
    ends: array[int]
    keys: list[str]
    form: Form | None

    def __len__(self) -> int:
        return len(self.starts)

    def images(self, row: int) -> list[str]:
        """The names of a sample's images."""
        return [n for n in self.names[self.first[row] : self.first[row + 1]] if is_image(n)]

    def without_images(self) -> Members:
        """The same samples, without their images."""
        kept = [
            [m for m in range(*ends) if not is_image(self.names[m])]
            for ends in itertools.pairwise(self.first)
        ]
        chosen = [m for members in kept for m in members]
        return Members(
            array(
                "q",
                [self.offsets[m[0]] if m else s for m, s in zip(kept, self.starts, strict=True)],
            ),
            array(
                "q", [self.ends[m[-1]] if m else s for m, s in zip(kept, self.starts, strict=True)]
            ),
            array("q", itertools.accumulate(map(len, kept), initial=0)),
            [self.names[m] for m in chosen],
            array("q", [self.offsets[m] for m in chosen]),
            array("q", [self.ends[m] for m in chosen]),
            self.keys,
            self.form,
        )


class Reader:
    """Fetches samples; keeps the last indexes and open files. For one thread.

    Without `images`, none is fetched, nor read where samples do not lie close together. `kept`:
    how many shards are read in turns; to open one again is to read its index again.
    """

    def __init__(self, *, images: bool = True, kept: int = 0) -> None:
        self._images = images
        self._most = max(_KEPT, kept)
        self._kept: OrderedDict[str, _Shard] = OrderedDict()
        self._requests: ThreadPoolExecutor | None = None

    def fetch(self, wanted: Iterable[tuple[str, int]]) -> list[Payloads | Unreadable]:
        """The members of samples, each given by its shard and row, in the order asked for.

        What lies close together is read at once, and all is asked for before any is waited for.
        What cannot be read is the error that says why.
        """
        rows: dict[str, list[tuple[int, int]]] = {}
        place = -1
        for place, (path, row) in enumerate(wanted):
            if path in rows:
                rows[path].append((row, place))
            else:
                rows[path] = [(row, place)]
        found: list[Payloads | Unreadable] = [{}] * (place + 1)
        blocks: list[tuple[_Shard, int, int, _Samples]] = []
        for path, samples in rows.items():
            try:
                shard = self._shard(path)
            except (OSError, ValueError) as error:
                for _, place in samples:
                    found[place] = error
                continue
            samples.sort()
            for start, stop, block in shard.blocks(samples):
                shard.file.expect(start, stop)
                blocks.append((shard, start, stop, block))
        for shard, start, stop, block in blocks:
            shard.read(start, stop, block, found)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)[1].file.close()
        return found

    def sample(self, shard: str, row: int) -> tuple[dict[str, Any], Payloads]:
        """A sample's record and images. Raises as `record` does, and what `fetch` finds."""
        (members,) = self.fetch([(shard, row)])
        if isinstance(members, Exception):
            raise members
        return self.record(shard, row, members)

    def record(self, shard: str, row: int, members: Payloads) -> tuple[dict[str, Any], Payloads]:
        """The record and the images, by member, of what was fetched, whoever wrote the shard.

        Raises `ValueError` or `KeyError` where the bytes are no sample's.
        """
        layout = self._shard(shard).members
        if layout.form is not None:
            return layout.form.read(layout.keys[row], members)
        record: dict[str, Any] = orjson.loads(members["json"])
        return record, {name: data for name, data in members.items() if name != "json"}

    def close(self) -> None:
        """Close the files; what was fetched can still be looked at."""
        while self._kept:
            self._kept.popitem()[1].file.close()
        if self._requests is not None:
            self._requests.shutdown()
            self._requests = None

    def _shard(self, path: str) -> _Shard:
        try:
            self._kept.move_to_end(path)
            return self._kept[path]
        except KeyError:
            members = read_members(path)
            if not self._images:
                members = members.without_images()
            if storage.is_local(path):
                shard = _Shard(path, members, _Local(path), _GAP_LOCAL)
            else:
                self._requests = self._requests or ThreadPoolExecutor(_REQUESTS)
                shard = _Shard(path, members, _Stored(path, self._requests), _GAP_STORED)
            self._kept[path] = shard
            return shard


class _File(Protocol):
    """Bytes by range: first what will be needed, then the bytes themselves."""

    def expect(self, start: int, stop: int) -> None:
        """Begin to bring a range."""

    def take(self, start: int, stop: int) -> memoryview:
        """The range, or as much of it as there is. Raises `OSError`."""

    def close(self) -> None: ...


class _Shard:
    """An open shard and its index. Of samples it is given their rows and places in the answer."""

    def __init__(self, path: str, members: Members, file: _File, gap: int) -> None:
        self.path = path
        self.members = members
        self.file = file
        self._gap = gap

    def blocks(self, samples: _Samples) -> list[tuple[int, int, _Samples]]:
        """Samples, in the order of rows, with those that lie close together at once."""
        starts, stops, gap = self.members.starts, self.members.stops, self._gap
        blocks: list[tuple[int, int, _Samples]] = []
        first = last = 0
        block: _Samples = []
        for sample in samples:
            start, stop = starts[sample[0]], stops[sample[0]]
            if block and start - last <= gap and stop - first <= _BLOCK:
                block.append(sample)
            else:
                if block:
                    blocks.append((first, last, block))
                first, block = start, [sample]
            last = stop
        blocks.append((first, last, block))
        return blocks

    def read(
        self, start: int, stop: int, block: _Samples, found: list[Payloads | Unreadable]
    ) -> None:
        """Put a block's samples, or why they are none, into their places."""
        try:
            data = self.file.take(start, stop)
        except OSError as error:
            if len(block) == 1:
                found[block[0][1]] = error
                return
            # A bad place of a disk must cost no neighbour.
            for row, place in block:
                self.read(self.members.starts[row], self.members.stops[row], [(row, place)], found)
            return
        got = start + len(data)
        members = self.members
        first, names, offsets, ends = members.first, members.names, members.offsets, members.ends
        for row, place in block:
            if members.stops[row] > got:
                found[place] = OSError(f"{self.path} ends within sample {row}")
                continue
            sample = found[place] = {}
            for m in range(first[row], first[row + 1]):
                sample[names[m]] = data[offsets[m] - start : ends[m] - start]


class _Local:
    """A local file, mapped: what was read once is looked at where it lies, and never copied.

    To look at a mapped page that cannot be read kills the process. So each range is brought
    in by a call that says so instead; where the system has no such call, ranges are copied.
    """

    def __init__(self, path: str) -> None:
        self._number = os.open(path, os.O_RDONLY)
        self._map: mmap.mmap | None = None
        self._view = memoryview(b"")
        try:
            self._map = mmap.mmap(self._number, 0, access=mmap.ACCESS_READ)
            self._map.madvise(_POPULATE_READ, 0, 1)
            self._view = memoryview(self._map)
        except (OSError, ValueError):  # no such call; no mapping there; an empty file
            self._map = None

    def expect(self, start: int, stop: int) -> None:
        if _ADVICE is not None:
            os.posix_fadvise(self._number, start, stop - start, _ADVICE)

    def take(self, start: int, stop: int) -> memoryview:
        if self._map is None:
            return memoryview(_copy(self._number, start, stop))
        view = self._view[start:stop]
        if view:
            page = start & -mmap.PAGESIZE
            self._map.madvise(_POPULATE_READ, page, start + len(view) - page)
        return view

    def close(self) -> None:
        # The mapping goes with the last view of it.
        self._map, self._view = None, memoryview(b"")
        os.close(self._number)


class _Stored:
    """An object in a store; several requests are under way at a time."""

    def __init__(self, path: str, requests: ThreadPoolExecutor) -> None:
        self._file = storage.open_input(path)
        self._requests = requests
        self._coming: dict[tuple[int, int], Future[bytes]] = {}

    def expect(self, start: int, stop: int) -> None:
        self._coming[start, stop] = self._requests.submit(self._file.read_at, stop - start, start)

    def take(self, start: int, stop: int) -> memoryview:
        coming = self._coming.pop((start, stop), None)
        if coming is None:  # a part of what has failed
            return memoryview(self._file.read_at(stop - start, start))
        return memoryview(coming.result())

    def close(self) -> None:
        self._file.close()


def read_members(shard: str) -> Members:
    """Read where the samples of a shard lie, from its index. Raises as `read_index` does."""
    index = read_index(shard, ["members"])
    column = index.table["members"].combine_chunks()
    values = column.values if isinstance(column, pa.ListArray) else column.flatten()
    names = values.field("name").dictionary_encode()
    known = names.dictionary.to_pylist()
    first = _integers(column.offsets)
    offsets = _integers(values.field("offset"))
    ends = offsets + _integers(values.field("size"))
    return Members(
        _array(offsets[first[:-1]]),
        _array(ends[first[1:] - 1]),
        _array(first),
        [known[number] for number in names.indices.to_pylist()],
        _array(offsets),
        _array(ends),
        [] if index.form is None else read_index(shard, ["key"]).table["key"].to_pylist(),
        index.form,
    )


def _integers(column: pa.Array) -> NDArray[np.int64]:
    # Not `to_numpy`: that imports pandas, two seconds in every process that reads.
    return np.from_dlpack(column).astype(np.int64)


def _copy(file: int, start: int, stop: int) -> bytes:
    """A range of a file, or as much of it as there is: one call gives 2 GiB at most."""
    data = os.pread(file, stop - start, start)
    while data and len(data) < stop - start:
        more = os.pread(file, stop - start - len(data), start + len(data))
        if not more:
            break
        data += more
    return data


def _array(values: NDArray[np.int64]) -> array[int]:
    return array("q", values.tobytes())
