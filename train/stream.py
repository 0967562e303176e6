"""Batches of one rank, streamed from shards.

In: a corpus, a plan, a processor, and which rank this is. Out: micro-batches in the plan's order.

    plan (here, a few integers) -> requests -> workers (stateless: fetch, decode, tokenise) -> here

Workers get whole requests and keep nothing, so their number, and how far they read ahead, cannot
change what is read. The loader's state is the plan's before the first step that has not been
handed out to its end; another loader, on any number of ranks, goes on from there.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.context import BaseContext
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from dsvl_data.outcome import UserError
from model.processor import IGNORED, Batch, Example, Processor, collate
from train.corpus import Corpus
from train.encode import Encoded, blank, cut, encode, masked
from train.held_out import is_held_out
from train.plan import Planner
from train.pool import PlanSettings, Row, Slot
from train.reader import Payloads, Reader, Unreadable


class TooManyBroken(UserError):
    """More samples than the limit could not be read; the message names the last ones."""


class Request(NamedTuple):
    """One micro-batch to be made: rows of slots, with the paths of their shards."""

    step: int
    modality: str
    last: bool
    rows: tuple[Row, ...]
    shards: Mapping[tuple[int, int], str]


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """A micro-batch; `last` of its step. `keys`: by row, the samples' keys.

    `categories`: [B, T], the category's number in the corpus of each token, -1 in padding.
    `broken`: what of its samples is only a blank, and why. `tokens` and `images` count what is
    no padding, `trained` the tokens of samples that a loss falls on: neither blanks nor held-out
    ones. `starts`: by row, at which of its sample's tokens each part begins.
    """

    step: int
    modality: str
    last: bool
    batch: Batch
    categories: torch.Tensor
    keys: tuple[tuple[str, ...], ...]
    broken: tuple[str, ...]
    tokens: int
    images: int
    trained: int
    starts: tuple[tuple[int, ...], ...]

    def pin_memory(self) -> MicroBatch:
        """The same, where a GPU copies it from while the program goes on."""
        batch = self.batch
        pinned = replace(
            batch,
            tokens=batch.tokens.pin_memory(),
            labels=batch.labels.pin_memory(),
            images=batch.images.pin_memory(),
        )
        return replace(self, batch=pinned)


@dataclass(frozen=True, slots=True)
class LoaderSettings:
    """How a rank reads. None of it changes which samples are read.

    At most `micro_rows` rows make a micro-batch, as many as a rank's rows divide into; `workers`
    processes read `ahead` micro-batches each (0: in this process). More than `broken` samples that
    cannot be read end the run; None: whoever reads counts them. `draft` decodes large JPEGs faster,
    to slightly other pixels (see `train.encode.encode`). `pin`: batches come in pinned memory, for
    a GPU.
    """

    micro_rows: int
    workers: int = 0
    ahead: int = 2
    broken: int | None = 100
    draft: bool = False
    pin: bool = False


class Loader:
    """Iterates over the micro-batches of one rank, without end.

    Raises `ValueError` when the global batch cannot be dealt out evenly, or when `state` does not
    fit (see `Planner`).
    """

    def __init__(
        self,
        corpus: Corpus,
        processor: Processor,
        plan: PlanSettings,
        settings: LoaderSettings,
        *,
        rank: int = 0,
        world: int = 1,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self._micro_rows = _micro_rows(plan.rows, world, settings.micro_rows)
        self._corpus = corpus
        self._processor = processor
        self._settings = settings
        self._plan = plan
        self._rank, self._world = rank, world
        self._planner = Planner(corpus, plan, state)
        self._state = self._planner.state
        #: The plan's state after each step that is on its way.
        self._coming: deque[dict[str, Any]] = deque()
        self.broken = 0

    @property
    def state(self) -> dict[str, Any]:
        """A checkpoint: the plan's state before the next step. JSON values; small."""
        return self._state

    @property
    def epochs(self) -> dict[str, float]:
        """How often each category has been read, to the nearest window of the plan."""
        return self._planner.epochs

    def __iter__(self) -> Generator[MicroBatch]:
        """Go on from the first step that has not been handed out whole; closing ends workers."""
        self._planner = Planner(self._corpus, self._plan, self._state)
        self._coming.clear()
        for micro in self._batches():
            self.broken += len(micro.broken)
            if self._settings.broken is not None and self.broken > self._settings.broken:
                raise TooManyBroken(
                    f"{self.broken} samples cannot be read, {self._settings.broken} are allowed; "
                    f"the last: {'; '.join(micro.broken[-3:])}. `dsvl-data shards verify` lists "
                    "all damage"
                )
            if micro.last:
                self._state = self._coming.popleft()
            yield micro

    def _batches(self) -> Iterator[MicroBatch]:
        dataset = _Rows(self._processor, self._plan, draft=self._settings.draft)
        if not self._settings.workers:
            for request in self._requests():
                micro = dataset[request]
                yield micro.pin_memory() if self._settings.pin else micro
            return
        yield from DataLoader(
            dataset,
            sampler=self._requests(),
            batch_size=None,
            num_workers=self._settings.workers,
            prefetch_factor=self._settings.ahead,
            pin_memory=self._settings.pin,
            multiprocessing_context=_workers(),
            worker_init_fn=_begin_worker,
        )

    def _requests(self) -> Iterator[Request]:
        size = self._micro_rows
        for step in self._planner:
            self._coming.append(self._planner.state)
            rows = step.rows[self._rank :: self._world]
            for start in range(0, len(rows), size):
                chosen = rows[start : start + size]
                shards = {
                    (slot.category, slot.shard): self._corpus.shard(slot.category, slot.shard).path
                    for row in chosen
                    for slot in row
                }
                last = start + size == len(rows)
                yield Request(step.number, step.modality, last, chosen, shards)


def _micro_rows(rows: int, world: int, most: int) -> int:
    """Rows of each micro-batch: a rank's rows divide into it. Raises `ValueError`."""
    if rows % world:
        would = [n for n in range(1, rows + 1) if rows % n == 0]
        near = [*[n for n in would if n < world][-2:], *[n for n in would if n > world][:2]]
        raise ValueError(
            f"a global batch of {rows} rows does not divide into {world} ranks: "
            f"{', '.join(map(str, near))} would do, or another number of rows"
        )
    own = rows // world
    return max(n for n in range(1, min(most, own) + 1) if own % n == 0)


class _Rows(Dataset[MicroBatch]):
    """Makes micro-batches of requests; constructed once, used in each worker."""

    def __init__(self, processor: Processor, plan: PlanSettings, *, draft: bool) -> None:
        self._processor = processor
        self._draft = draft
        self._plan = plan
        self._reader = Reader(kept=plan.window * len(plan.shares))
        #: The sample read last: the parts of a long text follow each other.
        self._last: tuple[tuple[str, int], Encoded] | None = None

    def __getitem__(self, request: Request) -> MicroBatch:
        wanted = {
            (request.shards[slot.category, slot.shard], slot.row): None
            for row in request.rows
            for slot in row
        }
        read = dict(zip(wanted, self._reader.fetch(wanted), strict=True))
        made = [[self._make(slot, request.shards, read) for slot in row] for row in request.rows]
        rows = [[encoded.example for encoded in row] for row in made]
        batch = collate(
            rows,
            self._processor.tokenizer.eos_id,
            length=self._plan.tokens if self._plan.packing else None,
        )
        return MicroBatch(
            request.step,
            request.modality,
            request.last,
            batch,
            _categories(request.rows, rows, batch),
            tuple(tuple(encoded.key for encoded in row) for row in made),
            tuple(f"{e.key}: {e.broken}" for row in made for e in row if e.broken),
            sum(len(example.tokens) for row in rows for example in row),
            len(batch.images),
            sum(
                len(example.tokens)
                for row in rows
                for example in row
                if (example.labels != IGNORED).any()
            ),
            tuple(tuple(slot.start for slot in row) for row in request.rows),
        )

    def _make(
        self,
        slot: Slot,
        shards: Mapping[tuple[int, int], str],
        read: Mapping[tuple[str, int], Payloads | Unreadable],
    ) -> Encoded:
        sample = shards[slot.category, slot.shard], slot.row
        if self._last is not None and self._last[0] == sample:
            encoded = self._last[1]
        else:
            encoded = self._encode(sample, slot, read[sample])
            # A blank is only as long as this slot needs it to be.
            self._last = None if encoded.broken else (sample, encoded)
        example = cut(encoded.example, slot.start, slot.tokens, self._plan.images, self._processor)
        return replace(encoded, example=example)

    def _encode(
        self, sample: tuple[str, int], slot: Slot, members: Payloads | Unreadable
    ) -> Encoded:
        path, row = sample
        try:
            if isinstance(members, Exception):
                raise members
            record, images = self._reader.record(path, row, members)
            encoded = encode(record, images, self._processor, draft=self._draft)
        except (OSError, ValueError, KeyError, TypeError) as error:
            # Damage on a disk must not end a run of weeks: the plan knows how long it was.
            tokens = slot.start + slot.tokens
            reason = f"{type(error).__name__}: {error}"
            return blank(f"sample {row} of {path}", tokens, reason, self._processor)
        if is_held_out(encoded.key, self._plan.hold_out):
            return replace(encoded, example=masked(encoded.example))
        return encoded


def _categories(
    rows: Sequence[Row], examples: Sequence[Sequence[Example]], batch: Batch
) -> torch.Tensor:
    categories = torch.full_like(batch.tokens, -1)
    for number, (slots, row) in enumerate(zip(rows, examples, strict=True)):
        start = 0
        for slot, example in zip(slots, row, strict=True):
            end = start + len(example.tokens)
            categories[number, start:end] = slot.category
            start = end
    return categories


def _workers() -> BaseContext:
    """Workers are forked from a process that has imported what they need, once for all loaders.

    Not from this one, whose threads and device a fork would break; and not from nothing: each
    would import for seconds.
    """
    context = multiprocessing.get_context("forkserver")
    # First the package that says where this one lies: the server knows no other path than Python's.
    context.set_forkserver_preload(["dsvl_data", __name__])
    return context


def _end_with_the_run() -> None:
    run = multiprocessing.parent_process()
    assert run is not None  # workers only
    run.join()
    os._exit(1)


def _begin_worker(_: int) -> None:
    """Workers are many: one thread each, or they fight for the cores.

    Who interrupts a run at its terminal interrupts them too: what they have read must still be
    there when the step is done and the checkpoint written, which ends them. Who kills the run has
    nobody left to end them: they must see it themselves.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
