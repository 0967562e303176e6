"""What every step of a training reads, decided before anything is read.

In: how many tokens and images each sample has, shares, the shape of a batch, and a state of a few
integers. Out: global steps, each a list of rows, each a list of slots: which sample of which
shard, and which of its tokens. The plan knows nothing of ranks, workers or payloads, so these
may change between two runs and the samples stay the same; its state is a checkpoint.

    positions of a category (order.py) -> draws by share (mixing.py) -> rows (packing.py) -> steps

Samples are planned in windows of some thousand. The state is that of the window's beginning and
how many of its rows have been handed out: the rest follows from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from train.mixing import Mixer
from train.pool import Catalog, PlanSettings, Pool, Row

LANGUAGE, MULTIMODAL, ALL = "language", "multimodal", "all"


@dataclass(frozen=True, slots=True)
class Step:
    """A global step, counted from 0."""

    number: int
    modality: str
    rows: tuple[Row, ...]


class Planner:
    """Plans step after step; `state` is a checkpoint, from which another goes on alike.

    Raises `ValueError` when shares name a category that is not there, when none has a share,
    or when `state` was made from another corpus or with other settings.
    """

    def __init__(
        self, catalog: Catalog, settings: PlanSettings, state: Mapping[str, Any] | None = None
    ) -> None:
        self._catalog = catalog
        self._settings = settings
        self._facts = {"corpus": catalog.digest, "settings": _digest(settings)}
        wanted = {name: share for name, share in settings.shares.items() if share > 0}
        if not wanted:
            raise ValueError("no category has a share above zero")
        for name in wanted:
            if name not in catalog.categories or not sum(catalog.counts(name)):
                have = ", ".join(n for n in catalog.categories if sum(catalog.counts(n)))
                raise ValueError(
                    f"category {name!r} has a share of {wanted[name]:g} and no sample; there are "
                    f"samples of {have or 'no category'}"
                )
        if state is not None:
            self._check(state)
        pools = _pools(catalog, wanted, grouping=settings.grouping)
        self._modality = Mixer(list(pools), state["modality"] if state else None)
        self._shares = {name: sum(shares.values()) for name, shares in pools.items()}
        self._pools = {
            name: Pool(catalog, settings, shares, state["pools"][name] if state else None)
            for name, shares in pools.items()
        }
        self._step = state["step"] if state else 0

    @property
    def state(self) -> dict[str, Any]:
        """All that the next steps follow from, as JSON values: integers and two digests."""
        return {
            **self._facts,
            "step": self._step,
            "modality": list(self._modality.credits),
            "pools": {name: pool.state for name, pool in self._pools.items()},
        }

    @property
    def epochs(self) -> dict[str, float]:
        """How often each category has been read so far."""
        return {name: epochs for pool in self._pools.values() for name, epochs in pool.epochs}

    def __iter__(self) -> Iterator[Step]:
        while True:
            yield self.next()

    def next(self) -> Step:
        """Plan the next step."""
        one = np.ones((len(self._pools), 1), np.int64)
        drawn = int(self._modality.draw(self._modality_shares(), one, 1)[0])
        name = self._modality.names[drawn]
        step = Step(self._step, name, self._pools[name].take(self._settings.rows))
        self._step += 1
        return step

    def _modality_shares(self) -> dict[str, float]:
        if len(self._pools) < 2 or self._settings.language is None:
            return self._shares
        share = self._settings.language.share(self._step)
        return {LANGUAGE: share, MULTIMODAL: 1 - share}

    def _check(self, state: Mapping[str, Any]) -> None:
        for name, what in (
            ("corpus", "the shards or the lengths of their samples are others"),
            ("settings", "batch, shares, seed or packing are others"),
        ):
            if state[name] != self._facts[name]:
                raise ValueError(
                    f"this checkpoint of the loader does not fit: {what} than when it was written "
                    f"({name} {state[name]}, now {self._facts[name]}); go on with what it was "
                    "written with, or start the order anew from step 0"
                )


def _pools(
    catalog: Catalog, shares: Mapping[str, float], *, grouping: bool
) -> dict[str, dict[str, float]]:
    """The categories' shares by what a step draws from."""
    pools: dict[str, dict[str, float]] = {}
    for name in catalog.categories:
        if name in shares:
            modality = MULTIMODAL if catalog.has_images(name) else LANGUAGE
            pools.setdefault(modality if grouping else ALL, {})[name] = shares[name]
    return dict(sorted(pools.items()))


def _digest(settings: PlanSettings) -> str:
    facts = json.dumps(asdict(settings), sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:16]
