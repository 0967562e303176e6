"""Samples as the bytes that shards hold, fetched by range.

In: which rows of which shards. Out: their members (`json`, `0.jpg`), as views of one buffer. A
shard is opened once, its index says where everything lies, and nothing else of it is read.
"""

from __future__ import annotations

import os
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.shards.foreign import Form
from dsvl_data.shards.index import read_index

#: A sample's members by name. They are views: `bytes(view)` outlives the next call of `fetch`.
Payloads: TypeAlias = dict[str, memoryview]
#: What is no sample's, and why.
Unreadable: TypeAlias = OSError | ValueError

#: Shards that stay open, with their indexes.
_KEPT = 128
#: Bytes between two samples that are read along rather than asked around: what a request costs.
_LOCAL_GAP, _STORED_GAP = 4 << 10, 1 << 20
#: Neighbours are read together up to so many bytes.
_BLOCK = 8 << 20
#: Requests to an object store that are under way at a time.
_REQUESTS = 16


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


class Reader:
    """Fetches samples; keeps the last indexes and open files. For one thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Shard] = OrderedDict()
        self._buffer = bytearray()
        self._requests: ThreadPoolExecutor | None = None

    def fetch(self, wanted: Iterable[tuple[str, int]]) -> list[Payloads | Unreadable]:
        """The members of samples, each given by its shard and row, in the order asked for.

        Each shard is read front to back, close neighbours at once; what cannot be read is the
        error that says why. Drop the views before the next call, and their memory serves again:
        to touch new memory takes as long as to read.
        """
        rows: dict[str, list[tuple[int, int]]] = {}
        place = -1
        for place, (path, row) in enumerate(wanted):
            if path in rows:
                rows[path].append((row, place))
            else:
                rows[path] = [(row, place)]
        found: list[Payloads | Unreadable] = [{}] * (place + 1)
        blocks: list[_Block] = []
        for path, samples in rows.items():
            try:
                blocks += self._shard(path).blocks(sorted(samples))
            except (OSError, ValueError) as error:
                for _, place in samples:
                    found[place] = error
        self._read(blocks, found)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)[1].close()
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
        """Close the files."""
        while self._kept:
            self._kept.popitem()[1].close()
        if self._requests is not None:
            self._requests.shutdown()
            self._requests = None

    def _shard(self, path: str) -> _Shard:
        try:
            self._kept.move_to_end(path)
            return self._kept[path]
        except KeyError:
            shard = self._kept[path] = _Shard(path)
            return shard

    def _read(self, blocks: Sequence[_Block], found: list[Payloads | Unreadable]) -> None:
        room = self._room(sum(block.stop - block.start for block in blocks))
        stored: list[tuple[_Block, memoryview]] = []
        end = 0
        for block in blocks:
            start, end = end, end + block.stop - block.start
            if block.shard.local:
                block.shard.read(block, room[start:end], found)
            else:
                stored.append((block, room[start:end]))
        if stored:
            self._requests = self._requests or ThreadPoolExecutor(_REQUESTS)
            jobs = [self._requests.submit(b.shard.read, b, view, found) for b, view in stored]
            for job in jobs:
                job.result()

    def _room(self, size: int) -> memoryview:
        """Memory for so many bytes that nobody looks at."""
        try:
            # Python refuses to resize what somebody still has a view of.
            self._buffer.append(0)
            self._buffer.pop()
        except BufferError:
            self._buffer = bytearray()
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        return memoryview(self._buffer)


class _Block(NamedTuple):
    """Bytes of a shard that are read at once, and the samples in them: row, place in the answer."""

    shard: _Shard
    start: int
    stop: int
    samples: list[tuple[int, int]]


class _Shard:
    """An open shard and its index."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.members = read_members(path)
        self.local = storage.is_local(path)
        self._gap = _LOCAL_GAP if self.local else _STORED_GAP
        self._number = os.open(path, os.O_RDONLY) if self.local else -1
        self._file = None if self.local else storage.open_input(path)

    def blocks(self, samples: Sequence[tuple[int, int]]) -> list[_Block]:
        """Where samples lie, in the order of rows, close neighbours together."""
        starts, stops, gap = self.members.starts, self.members.stops, self._gap
        blocks: list[_Block] = []
        held: list[tuple[int, int]] = []
        first = last = 0
        for sample in samples:
            start, stop = starts[sample[0]], stops[sample[0]]
            if held and start - last <= gap and stop - first <= _BLOCK:
                held.append(sample)
            else:
                if held:
                    blocks.append(_Block(self, first, last, held))
                held, first = [sample], start
            last = stop
        blocks.append(_Block(self, first, last, held))
        return blocks

    def read(self, block: _Block, view: memoryview, found: list[Payloads | Unreadable]) -> None:
        """Read a block into `view`, and put its samples, or why they are none, where they go."""
        try:
            got = self._fill(view, block.start)
        except OSError as error:
            if len(block.samples) == 1:
                found[block.samples[0][1]] = error
                return
            # A bad place on a disk must cost no neighbour.
            for part in (part for sample in block.samples for part in self.blocks([sample])):
                own = view[part.start - block.start : part.stop - block.start]
                self.read(part, own, found)
            return
        start, members = block.start, self.members
        first, names, offsets, ends = members.first, members.names, members.offsets, members.ends
        for row, place in block.samples:
            if members.stops[row] - start > got:
                found[place] = OSError(f"{self.path} ends within sample {row}")
            else:
                found[place] = {
                    names[m]: view[offsets[m] - start : ends[m] - start]
                    for m in range(first[row], first[row + 1])
                }

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        else:
            os.close(self._number)

    def _fill(self, view: memoryview, start: int) -> int:
        """Read bytes from `start` on; how many there were."""
        if self._file is not None:
            data = self._file.read_at(len(view), start)
            view[: len(data)] = data
            return len(data)
        got = os.preadv(self._number, [view], start)
        # One call gives 2 GiB at most.
        while 0 < got < len(view):
            more = os.preadv(self._number, [view[got:]], start + got)
            if not more:
                break
            got += more
        return got


def read_members(shard: str) -> Members:
    """Read where the samples of a shard lie, from its index. Raises as `read_index` does."""
    index = read_index(shard, ["key", "members"])
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
        [] if index.form is None else index.table["key"].to_pylist(),
        index.form,
    )


def _integers(column: pa.Array) -> NDArray[np.int64]:
    # Not `to_numpy`: that imports pandas, two seconds in every process that reads.
    return np.from_dlpack(column).astype(np.int64)


def _array(values: NDArray[np.int64]) -> array[int]:
    return array("q", values.tobytes())
