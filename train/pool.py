"""The rows of one modality: categories drawn by share, packed or grouped by length.

In: the sizes of each category's samples, shares, and a state of a few integers. Out: rows of
slots, without end. See `train/plan.py`.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from train.mixing import Mixer, WarmUp
from train.order import Order, permute
from train.packing import WAITING, Limits, pack

_Integers: TypeAlias = NDArray[np.int64]

#: Samples drawn for a window of packed rows.
_WINDOW = 1024
#: Batches of a window of padded rows, which are grouped by length.
_BATCHES = 16
#: Shards of a category whose sizes are kept: at least so many.
_SHARDS_KEPT = 256


class Sizes(NamedTuple):
    """Of each sample of a shard: its tokens as the model will see them, images among them."""

    tokens: _Integers
    images: _Integers


class Catalog(Protocol):
    """What the plan must know of a corpus."""

    @property
    def categories(self) -> Sequence[str]:
        """Names of the categories, in a fixed order."""
        ...

    @property
    def digest(self) -> str:
        """Changes when any shard or any size does."""
        ...

    def counts(self, category: str) -> Sequence[int]:
        """Samples in each shard of a category, in a fixed order."""
        ...

    def has_images(self, category: str) -> bool:
        """Whether any of its samples has an image."""
        ...

    def sizes(self, category: str, shard: int) -> Sizes:
        """Sizes of the samples of a category's shard, by its number in `counts`."""
        ...


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """The shape of batches and the order of samples.

    `rows` is the global batch; a row holds `tokens` tokens and at most `images` images (0: no
    limit). `shares` are those of the categories, counted in `unit`. With `grouping`, each step
    is all language or all multimodal, and `language` is the share of language steps (none: as
    the shares have it). `window` shards of a category are mixed with each other. One sample in
    `hold_out` (0: none) keeps its place without being trained on (see `train/held_out.py`).
    """

    rows: int
    tokens: int
    shares: Mapping[str, float]
    images: int = 0
    packing: bool = True
    grouping: bool = True
    language: WarmUp | None = None
    unit: Literal["tokens", "samples"] = "tokens"
    seed: int = 0
    window: int = 8
    hold_out: int = 0


class Slot(NamedTuple):
    """`tokens` tokens of a sample, from its token `start` on."""

    category: int
    shard: int
    row: int
    start: int
    tokens: int


Row: TypeAlias = tuple[Slot, ...]


@dataclass(slots=True)
class _Pieces:
    """Samples, or parts of very long ones, as parallel arrays."""

    category: _Integers
    drawn: _Integers
    start: _Integers
    tokens: _Integers
    images: _Integers
    shard: _Integers
    row: _Integers

    @classmethod
    def joined(cls, parts: Sequence[_Pieces]) -> _Pieces:
        return cls(
            *(np.concatenate(columns) for columns in zip(*map(_columns, parts), strict=True))
        )

    def __len__(self) -> int:
        return len(self.category)

    def __getitem__(self, chosen: _Integers) -> _Pieces:
        return _Pieces(*(column[chosen] for column in _columns(self)))

    def slots(self) -> list[Slot]:
        columns = (self.category, self.shard, self.row, self.start, self.tokens)
        # What `Slot._make` does, without a call of Python's for each.
        made = map(partial(tuple.__new__, Slot), zip(*(c.tolist() for c in columns), strict=True))
        return cast("list[Slot]", list(made))


def _columns(pieces: _Pieces) -> tuple[_Integers, ...]:
    return (
        pieces.category,
        pieces.drawn,
        pieces.start,
        pieces.tokens,
        pieces.images,
        pieces.shard,
        pieces.row,
    )


@dataclass(slots=True)
class _WindowState:
    """Where a window begins: its number, credits and draws of each category, pieces that wait.

    A piece is the category's number, which draw of it, and its first token.
    """

    number: int = 0
    credits: list[int] = field(default_factory=list)
    drawn: list[int] = field(default_factory=list)
    waiting: list[list[int]] = field(default_factory=list)
    taken: int = 0


class Pool:
    """Rows of the categories that one step may draw from together."""

    def __init__(
        self,
        catalog: Catalog,
        settings: PlanSettings,
        shares: Mapping[str, float],
        state: Mapping[str, Any] | None,
    ) -> None:
        self._settings = settings
        self._shares = dict(shares)
        self._names = list(shares)
        everywhere = {name: number for number, name in enumerate(catalog.categories)}
        self._numbers = np.array([everywhere[name] for name in self._names])
        self._readers = [_Reader(catalog, settings, name) for name in self._names]
        if state is None:
            nothing = [0] * len(self._names)
            self._window = _WindowState(credits=list(nothing), drawn=list(nothing))
        else:
            self._window = _WindowState(**state)
        self._begin(self._window)

    @property
    def state(self) -> dict[str, Any]:
        return asdict(self._window)

    @property
    def epochs(self) -> list[tuple[str, float]]:
        return [
            (name, drawn / len(reader))
            for name, drawn, reader in zip(
                self._names, self._window.drawn, self._readers, strict=True
            )
        ]

    def take(self, number: int) -> tuple[Row, ...]:
        """The next rows."""
        rows: list[Row] = []
        while len(rows) < number:
            if self._window.taken == len(self._rows):
                self._begin(self._next)
            chosen = self._rows[self._window.taken :][: number - len(rows)]
            self._window.taken += len(chosen)
            rows += chosen
        return tuple(rows)

    def _begin(self, window: _WindowState) -> None:
        """Plan the rows of a window, and where the next one begins."""
        self._window = window
        mixer = Mixer(self._names, window.credits)
        drawn = list(window.drawn)
        new = self._draw(mixer, drawn)
        self._next = _WindowState(window.number + 1, mixer.credits, drawn)
        if not self._settings.packing:
            self._rows = self._batches(new, window.number)
            return
        pieces = _Pieces.joined([self._waiting(window.waiting), new])
        limits = Limits(self._settings.tokens, self._settings.images)
        members, ends = pack(pieces.tokens, pieces.images, limits)
        slots = pieces[members].slots()
        starts = [0, *ends.tolist()]
        self._rows = [tuple(slots[a:b]) for a, b in itertools.pairwise(starts)]
        left = np.ones(len(pieces), bool)
        left[members] = False
        local = {int(number): place for place, number in enumerate(self._numbers)}
        self._next.waiting = [
            [local[category], draw, start]
            for category, draw, start in zip(
                *(c[left].tolist() for c in (pieces.category, pieces.drawn, pieces.start)),
                strict=True,
            )
        ]

    def _draw(self, mixer: Mixer, drawn: list[int]) -> _Pieces:
        """Draw a window's samples; advances the mixer and `drawn`."""
        most = self._settings.rows * _BATCHES
        if self._settings.packing:
            # Whatever the lengths, some rows must come of it.
            most = max(_WINDOW, 2 * WAITING)
        coming = [
            reader.read(np.arange(first, first + most))
            for reader, first in zip(self._readers, drawn, strict=True)
        ]
        costs = np.stack(
            [reader.costs(sizes) for reader, sizes in zip(self._readers, coming, strict=True)]
        )
        chosen = mixer.draw(self._shares, costs, most)
        parts = []
        for place, reader in enumerate(self._readers):
            times = np.flatnonzero(chosen == place)
            pieces, owners = reader.pieces(coming[place], drawn[place], len(times))
            pieces.category[:] = self._numbers[place]
            parts.append((pieces, times[owners]))
            drawn[place] += len(times)
        pieces = _Pieces.joined([pieces for pieces, _ in parts])
        times = np.concatenate([times for _, times in parts])
        return pieces[np.argsort(times, kind="stable")]

    def _waiting(self, waiting: Sequence[Sequence[int]]) -> _Pieces:
        """The pieces that wait, in their order."""
        table = np.array(waiting, np.int64).reshape(-1, 3)
        parts, places = [], []
        for place, reader in enumerate(self._readers):
            chosen = np.flatnonzero(table[:, 0] == place)
            parts.append(reader.again(table[chosen, 1], table[chosen, 2]))
            parts[-1].category[:] = self._numbers[place]
            places.append(chosen)
        return _Pieces.joined(parts)[np.argsort(np.concatenate(places), kind="stable")]

    def _batches(self, pieces: _Pieces, window: int) -> list[Row]:
        """Rows of one sample each: batches of like lengths, the batches in random order."""
        by_length = pieces[np.argsort(pieces.tokens, kind="stable")].slots()
        size = self._settings.rows
        order = permute(np.arange(_BATCHES), _BATCHES, self._settings.seed * 1_000_003 + window)
        return [(slot,) for b in order.tolist() for slot in by_length[b * size : (b + 1) * size]]


class _Reader:
    """The samples of one category in the order in which they are drawn, from draw 0 on for ever."""

    def __init__(self, catalog: Catalog, settings: PlanSettings, name: str) -> None:
        self._order = Order(
            catalog.counts(name), seed=_seed(settings.seed, name), window=settings.window
        )
        self._settings = settings
        # What has no image may be cut anywhere: a long text fills several rows.
        self._splits = settings.packing and not catalog.has_images(name)
        self._sizes = lru_cache(max(_SHARDS_KEPT, 2 * settings.window))(
            lambda shard: catalog.sizes(name, shard)
        )

    def __len__(self) -> int:
        return len(self._order)

    def read(self, draws: _Integers) -> _Pieces:
        """Whole samples, with the sizes that they have."""
        shards, rows = np.empty_like(draws), np.empty_like(draws)
        tokens, images = np.empty_like(draws), np.empty_like(draws)
        epochs, positions = np.divmod(draws, len(self._order))
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            shards[chosen], rows[chosen] = self._order.locate(int(epoch), positions[chosen])
        for shard in np.unique(shards):
            chosen = shards == shard
            sizes = self._sizes(int(shard))
            tokens[chosen], images[chosen] = (size[rows[chosen]] for size in sizes)
        nothing = np.zeros_like(draws)
        return _Pieces(nothing.copy(), draws, nothing, tokens, images, shards, rows)

    def costs(self, pieces: _Pieces) -> _Integers:
        """What each draw costs in the unit of the shares."""
        if self._settings.unit == "samples":
            return np.ones(len(pieces), np.int64)
        return pieces.tokens if self._splits else np.minimum(pieces.tokens, self._settings.tokens)

    def pieces(self, coming: _Pieces, first: int, number: int) -> tuple[_Pieces, _Integers]:
        """The first `number` of `coming`, cut to rows; and which draw each piece is of."""
        whole = coming[np.arange(number)]
        limit = self._settings.tokens
        if not self._splits:
            return self._cut(whole), np.arange(number)
        times = -(-whole.tokens // limit)
        owners = np.repeat(np.arange(number), times)
        pieces = whole[owners]
        pieces.start = (np.arange(len(owners)) - np.repeat(np.cumsum(times) - times, times)) * limit
        return self._cut(pieces), owners

    def again(self, draws: _Integers, starts: _Integers) -> _Pieces:
        """Pieces by their draws and first tokens."""
        pieces = self.read(draws)
        pieces.start = starts
        return self._cut(pieces)

    def _cut(self, pieces: _Pieces) -> _Pieces:
        """What of each sample the piece shows; what has images is cut off where a row ends."""
        pieces.tokens = np.minimum(pieces.tokens - pieces.start, self._settings.tokens)
        if self._settings.images:
            pieces.images = np.minimum(pieces.images, self._settings.images)
        return pieces


def _seed(seed: int, name: str) -> int:
    """Categories of one size must not be read in one order."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little")
