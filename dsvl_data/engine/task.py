"""One unit of scheduling: a partition to convert, or some of its documents to convert again.

In: a plan, a runner, a local scratch folder. Out: the partition's final part and ledger. Every
executor does its work through `convert` and `commit`, whatever it schedules them on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from dsvl_data.engine import ledger, parts
from dsvl_data.engine.board import Tally
from dsvl_data.engine.isolate import Runner, convert_isolated
from dsvl_data.engine.job import LoadedJob
from dsvl_data.engine.ledger import Counts
from dsvl_data.engine.partition import Plan
from dsvl_data.engine.parts import Segment


@dataclass(frozen=True, slots=True)
class Task:
    """A partition of a job; `positions` are the documents to convert again, None for all."""

    name: str
    partition: int
    positions: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """A job that has tasks: its code, its plan, what is to do."""

    loaded: LoadedJob
    plan: Plan
    tasks: Sequence[Task]


@dataclass(frozen=True, slots=True)
class TaskDone:
    """A task whose part and ledger are final."""

    task: Task
    tally: Tally


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """A task that was given up: its documents stay as they were."""

    task: Task
    detail: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment to show progress: what is in work, by task, and how many workers there are."""

    in_work: Mapping[Task, Tally]
    workers: int


@dataclass(frozen=True, slots=True)
class Remark:
    """Something worth a line in the log."""

    message: str


Report: TypeAlias = TaskDone | TaskFailed | Tick | Remark


class Executor(Protocol):
    """Does tasks somewhere and reports; raises `UserError` when a converter cannot be built."""

    def __call__(self, work: Sequence[Work], out: str, run: str) -> Iterator[Report]:
        """Do all tasks. `run` names this run's scratch folders."""


def convert(
    task: Task, runner: Runner, plan: Plan, scratch: str, warn: Callable[[str], None]
) -> list[Segment]:
    """Convert a task's documents into segments in `scratch`."""
    positions = task.positions
    if positions is None:
        positions = tuple(range(plan.size_of(task.partition)))
    return convert_isolated(runner, plan, task.partition, positions, scratch, warn)


def commit(task: Task, segments: Sequence[Segment], plan: Plan) -> Tally:
    """Make segments final; return what the task's documents gave."""
    counts = Counts()
    for segment in segments:
        counts.add(ledger.count(ledger.read(segment.ledger)))
    make_final = parts.finish if task.positions is None else parts.replace
    make_final(segments, plan, task.partition)
    outcomes = counts.outcomes
    return Tally(
        counts.documents,
        outcomes["kept"],
        outcomes["filtered"],
        outcomes["quarantined"],
        counts.samples,
        counts.images,
    )
