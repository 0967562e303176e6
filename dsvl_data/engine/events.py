"""What a run tells while it goes on: the events that a progress display listens to.

In: nothing. Out: frozen records, handed to `on_event` in the thread that called `run`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from dsvl_data.engine.board import Tally
from dsvl_data.engine.ledger import Balance


@dataclass(frozen=True, slots=True)
class Planned:
    """A pipeline has been listed: how much there is, and how much of it is done already."""

    name: str
    documents: int
    partitions: int
    documents_done: int
    partitions_done: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the run stands, about once a second.

    `tallies` counts, per pipeline, what this run has converted (not what earlier ones had);
    rates are per second over the last half minute; `seconds_left` is None while unknown.
    """

    tallies: dict[str, Tally]
    documents_left: dict[str, int]
    documents_per_second: float
    samples_per_second: float
    images_per_second: float
    seconds_left: float | None
    workers: int


@dataclass(frozen=True, slots=True)
class PartDone:
    """A partition's part and ledger are final."""

    name: str
    partition: int
    tally: Tally


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a person may want to know: a worker restarted, a partition tried again."""

    message: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A pipeline's account after the run."""

    name: str
    balance: Balance


Event: TypeAlias = Planned | Progress | PartDone | Warned | Finished
