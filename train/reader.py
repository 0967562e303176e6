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
from typing import Any, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.shards.foreign import Form
from dsvl_data.shards.index import read_index

#: A sample's members by name. They are views: `bytes(view)` outlives the next call of `fetch`.
Payloads: TypeAlias = dict[str, memoryview]
#: Why a sample could not be read.
Unreadable: TypeAlias = OSError | ValueError
#: Samples that are read together: row in the shard, place in the answer.
_Block: TypeAlias = list[tuple[int, int]]

#: Shards that stay open, with their indexes.
_KEPT = 128
#: Samples of an object in a store that lie no further apart, in bytes, come in one request of at
#: most so many: to ask takes as long as to get that much.
_GAP, _BLOCK = 1 << 20, 8 << 20
#: Buffers that are kept to be used again: whoever loops still holds the last sample of the last.
_BUFFERS = 2
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
        self._buffers: list[bytearray] = []
        self._requests: ThreadPoolExecutor | None = None

    def fetch(self, wanted: Iterable[tuple[str, int]]) -> list[Payloads | Unreadable]:
        """The members of samples, each given by its shard and row, in the order asked for.

        Each shard is read front to back; what cannot be read is the error that says why. Drop the
        views soon, and their memory serves again: to touch new memory takes longer than to read.
        """
        rows: dict[str, list[tuple[int, int]]] = {}
        place = -1
        for place, (path, row) in enumerate(wanted):
            if path in rows:
                rows[path].append((row, place))
            else:
                rows[path] = [(row, place)]
        found: list[Payloads | Unreadable] = [{}] * (place + 1)
        local: list[tuple[_Shard, list[tuple[int, int]]]] = []
        size = 0
        for path, samples in rows.items():
            try:
                shard = self._shard(path)
            except (OSError, ValueError) as error:
                for _, place in samples:
                    found[place] = error
                continue
            samples.sort()
            if shard.stored is not None:
                self._fetch_stored(shard, samples, found)
            else:
                local.append((shard, samples))
                starts, stops = shard.members.starts, shard.members.stops
                for row, _ in samples:
                    size += stops[row] - starts[row]
        room = self._room(size)
        for shard, samples in local:
            room = shard.read(samples, room, found)
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

    def _fetch_stored(
        self,
        shard: _Shard,
        samples: Sequence[tuple[int, int]],
        found: list[Payloads | Unreadable],
    ) -> None:
        """Close neighbours in one request, and several requests at a time."""
        self._requests = self._requests or ThreadPoolExecutor(_REQUESTS)
        for _ in self._requests.map(lambda b: shard.request(b, found), shard.blocks(samples)):
            pass

    def _room(self, size: int) -> memoryview:
        """Memory for so many bytes that nobody looks at."""
        for buffer in self._buffers:
            try:
                # Python refuses to resize what somebody still has a view of.
                buffer.append(0)
                buffer.pop()
            except BufferError:
                continue
            break
        else:
            buffer = bytearray()
            self._buffers.append(buffer)
            del self._buffers[:-_BUFFERS]
        if len(buffer) < size:
            buffer.extend(bytes(size - len(buffer)))
        return memoryview(buffer)


class _Shard:
    """An open shard and its index. Of samples it is given their rows and places in the answer."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.members = read_members(path)
        #: The file in an object store; none for a local one, which needs no object.
        self.stored = None if storage.is_local(path) else storage.open_input(path)
        self._number = os.open(path, os.O_RDONLY) if self.stored is None else -1

    def read(
        self,
        samples: Sequence[tuple[int, int]],
        room: memoryview,
        found: list[Payloads | Unreadable],
    ) -> memoryview:
        """Read samples of a local file into `room`; what is left of it.

        One call of the system each: what it costs is less than most gaps would.
        """
        starts, stops, number = self.members.starts, self.members.stops, self._number
        at = 0
        for row, place in samples:
            start = starts[row]
            size = stops[row] - start
            view = room[at : at + size]
            at += size
            try:
                got = os.preadv(number, [view], start)
                while 0 < got < size:  # one call gives 2 GiB at most
                    more = os.preadv(number, [view[got:]], start + got)
                    if not more:
                        break
                    got += more
            except OSError as error:
                found[place] = error
            else:
                self._unpack(row, place, view, got, found)
        return room[at:]

    def blocks(self, samples: Sequence[tuple[int, int]]) -> list[_Block]:
        """Samples, in the order of rows, by what one request brings."""
        starts, stops = self.members.starts, self.members.stops
        blocks: list[_Block] = []
        first = last = 0
        for sample in samples:
            start, stop = starts[sample[0]], stops[sample[0]]
            if blocks and start - last <= _GAP and stop - first <= _BLOCK:
                blocks[-1].append(sample)
            else:
                blocks.append([sample])
                first = start
            last = stop
        return blocks

    def request(self, block: _Block, found: list[Payloads | Unreadable]) -> None:
        """Read a block of an object in a store, which may be done from several threads."""
        assert self.stored is not None
        starts, stops = self.members.starts, self.members.stops
        begin = starts[block[0][0]]
        try:
            data = memoryview(self.stored.read_at(stops[block[-1][0]] - begin, begin))
        except OSError as error:
            for _, place in block:
                found[place] = error
            return
        for row, place in block:
            view = data[starts[row] - begin : stops[row] - begin]
            self._unpack(row, place, view, len(view), found)

    def close(self) -> None:
        """Close the file."""
        if self.stored is not None:
            self.stored.close()
        else:
            os.close(self._number)

    def _unpack(
        self, row: int, place: int, view: memoryview, got: int, found: list[Payloads | Unreadable]
    ) -> None:
        members = self.members
        start = members.starts[row]
        if members.stops[row] - start != got:
            found[place] = OSError(f"{self.path} ends within sample {row}")
            return
        names, offsets, ends = members.names, members.offsets, members.ends
        sample = found[place] = {}
        for m in range(members.first[row], members.first[row + 1]):
            sample[names[m]] = view[offsets[m] - start : ends[m] - start]


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


def _array(values: NDArray[np.int64]) -> array[int]:
    return array("q", values.tobytes())
