"""The Ray executor: a pool of actors, each with one worker process, that share out the tasks.

In: tasks. Out: their parts and ledgers, and reports as they come. Ray carries partition numbers
and counts, never a payload. An actor or node that dies costs its tasks another try; what
foreign code does to a worker process, the actor's `Supervisor` deals with.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from dsvl_data import sandbox, storage
from dsvl_data.engine import task
from dsvl_data.engine.board import Tally
from dsvl_data.engine.job import Job, LoadedJob
from dsvl_data.engine.ledger import BalanceError
from dsvl_data.engine.partition import Plan, read_plan
from dsvl_data.engine.supervise import SegmentFailed, Supervisor
from dsvl_data.engine.task import Remark, Report, Task, TaskDone, TaskFailed, Tick, Work
from dsvl_data.outcome import UserError

#: Tries of a task whose actor or node died, before it is given up.
ATTEMPTS = 3
#: Tasks given to an actor: one is converted while the one before it reaches the disk.
_IN_FLIGHT = 2
_TICK_SECONDS = 1.0
_WAIT_WARNING_SECONDS = 60.0
_PACKAGES = ("dsvl_data", "pipelines", "taxonomy", "model", "train")


@dataclass(frozen=True, slots=True)
class Answer:
    """What an actor returns for a task: a tally, or why there is none."""

    tally: Tally | None = None
    unusable: str | None = None
    failed: str | None = None
    remarks: tuple[str, ...] = ()


class PartitionWorker:
    """The actor: converts partitions, one at a time, with one worker process.

    Keeps the process while tasks of one job come; another job's first task ends it.
    """

    def __init__(self, jobs: Sequence[str], out: str, run: str) -> None:
        self._jobs = {job.name: job for job in map(Job.model_validate_json, jobs)}
        self._out = out
        self._run = run
        self._resources = contextlib.ExitStack()
        self._scratch = ""
        self._supervisor: Supervisor | None = None  # and a scratch folder, from the first task on
        self._plans: dict[str, Plan] = {}
        self._loaded: dict[str, LoadedJob] = {}
        self._converting = threading.Lock()
        self._in_work: dict[Task, Tally] = {}
        self._current: Task | None = None

    def ready(self) -> str:
        """Answer with this actor's node, once it sees the output."""
        for name in self._jobs:
            plan = read_plan(self._out, name)
            if plan is None:
                node = os.uname().nodename
                return (
                    f"node {node} does not see {self._out}: on a cluster the output must lie on a "
                    "shared file system or in an object store"
                )
            self._plans[name] = plan
        return ""

    def execute(self, one: Task) -> Answer:
        """Do a task. Two may be here at a time: one converts, the other commits."""
        remarks: list[str] = []
        plan = self._plans[one.name]
        try:
            with self._converting:
                supervisor = self._begun()
                supervisor.use(self._load(one.name))
                self._current = one  # not before `use`: what is counted is still the last one's
                segments = task.convert(one, supervisor, plan, self._scratch, remarks.append)
                self._in_work[one] = supervisor.tally()
                self._current = None
                supervisor.renew_if_grown()
            return Answer(task.commit(one, segments, plan), remarks=tuple(remarks))
        except UserError as error:
            return Answer(unusable=str(error))
        except (OSError, SegmentFailed, BalanceError) as error:
            return Answer(failed=str(error) or type(error).__name__, remarks=tuple(remarks))
        finally:
            self._current = None
            self._in_work.pop(one, None)

    def in_work(self) -> dict[Task, Tally]:
        """Return what the tasks that are here have given so far."""
        current, supervisor = self._current, self._supervisor
        shown = dict(self._in_work)
        if current is not None and supervisor is not None:
            shown[current] = supervisor.tally()
        return shown

    def close(self) -> None:
        """End the worker process and remove the scratch folder."""
        with self._converting:
            self._resources.close()

    def _begun(self) -> Supervisor:
        if self._supervisor is None:
            self._scratch = self._resources.enter_context(storage.scratch(self._out, self._run))
            self._supervisor = self._resources.enter_context(
                contextlib.closing(
                    Supervisor(self._scratch, storage.temporary(self._out, self._run))
                )
            )
        return self._supervisor

    def _load(self, name: str) -> LoadedJob:
        # Here and not at the start: an actor may never see a task of some job.
        if name not in self._loaded:
            self._loaded[name] = self._jobs[name].load()
        return self._loaded[name]


@dataclass(slots=True)
class _Actor:
    handle: Any
    starting: Any  # reference of `ready`; None once it has answered
    polling: Any = None
    in_flight: dict[Any, Task] = field(default_factory=dict)
    in_work: dict[Task, Tally] = field(default_factory=dict)
    name: str = ""


class Cluster:
    """Does tasks on Ray: an `Executor`. `workers` is how many actors; None for one a CPU."""

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers

    def __call__(self, work: Sequence[Work], out: str, run: str) -> Iterator[Report]:
        with session(each.loaded.job.pipeline for each in work):
            pool = _Pool(work, out, run, self._workers)
            try:
                yield from pool.reports()
            finally:
                pool.close()


class _Pool:
    def __init__(self, work: Sequence[Work], out: str, run: str, workers: int | None) -> None:
        cpus = float(_resources("cluster_resources").get("CPU", 1))
        total = sum(len(each.tasks) for each in work)
        self._wanted = min(workers or max(1, int(cpus)), total)
        # More workers than CPUs were asked for: share them.
        share = min(1.0, int(1000 * cpus / self._wanted) / 1000)
        jobs = [each.loaded.job.model_dump_json() for each in work]
        remote: Any = ray.remote(PartitionWorker).options(
            num_cpus=share,
            max_restarts=0,
            max_concurrency=_IN_FLIGHT + 2,
            scheduling_strategy="SPREAD",
        )
        self._create: Callable[[], Any] = lambda: remote.remote(jobs, out, run)
        self._waiting = {each.loaded.name: deque(each.tasks) for each in work}
        self._attempts: Counter[Task] = Counter()
        self._actors: list[_Actor] = []
        self._failed_starts = 0

    def reports(self) -> Iterator[Report]:
        """Do everything; see `Executor`."""
        next_tick = time.monotonic()
        started, warned = time.monotonic(), False
        for _ in range(self._wanted):
            self._start()
        while any(self._waiting.values()) or any(actor.in_flight for actor in self._actors):
            for actor in self._actors:
                self._feed(actor)
            references = self._references()
            ready, _ = ray.wait(
                list(references), num_returns=1, timeout=max(0.0, next_tick - time.monotonic())
            )
            for reference in ready:
                yield from self._handle(references[reference], reference)
            if time.monotonic() >= next_tick:
                next_tick = time.monotonic() + _TICK_SECONDS
                working = [actor for actor in self._actors if actor.starting is None]
                for actor in working:
                    if actor.polling is None:
                        actor.polling = actor.handle.in_work.remote()
                in_work = {t: n for actor in working for t, n in actor.in_work.items()}
                yield Tick(in_work, len(working))
                if not working and not warned and next_tick - started > _WAIT_WARNING_SECONDS:
                    warned = True
                    yield Remark(
                        "no worker has started yet: Ray has no free CPU; its resources are "
                        f"{_resources('available_resources')}"
                    )

    def close(self) -> None:
        """End the actors: idle ones tidy up, busy ones are killed."""
        idle = [actor for actor in self._actors if not actor.in_flight and actor.starting is None]
        closing = [actor.handle.close.remote() for actor in idle]
        if closing:
            ray.wait(closing, num_returns=len(closing), timeout=15)
        for actor in self._actors:
            if actor.in_flight:
                ray.kill(actor.handle)
        # Ray ends the others when nobody holds them any more.
        self._actors = []

    def _start(self) -> None:
        handle: Any = self._create()
        self._actors.append(_Actor(handle, handle.ready.remote()))

    def _feed(self, actor: _Actor) -> None:
        while actor.starting is None and len(actor.in_flight) < _IN_FLIGHT:
            # Stay with a job while it lasts: changing ends a worker process.
            if not self._waiting.get(actor.name):
                left = {name: len(tasks) for name, tasks in self._waiting.items() if tasks}
                if not left:
                    return
                if actor.in_flight:
                    return
                actor.name = max(left, key=lambda name: left[name])
            one = self._waiting[actor.name].popleft()
            actor.in_flight[actor.handle.execute.remote(one)] = one

    def _references(self) -> dict[Any, _Actor]:
        references = {}
        for actor in self._actors:
            for reference in (actor.starting, actor.polling, *actor.in_flight):
                if reference is not None:
                    references[reference] = actor
        return references

    def _handle(self, actor: _Actor, reference: Any) -> Iterator[Report]:
        try:
            value = ray.get(reference)
        except RayError as error:
            yield from self._lost(actor, error)
            return
        if reference == actor.starting:
            if value:
                raise UserError(value)
            actor.starting = None
            self._failed_starts = 0
        elif reference == actor.polling:
            actor.polling = None
            actor.in_work = value
        else:
            one = actor.in_flight.pop(reference)
            actor.in_work.pop(one, None)
            yield from map(Remark, value.remarks)
            if value.unusable is not None:
                raise UserError(value.unusable)
            if value.tally is not None:
                yield TaskDone(one, value.tally)
            else:
                yield from self._again(one, value.failed)

    def _lost(self, actor: _Actor, error: RayError) -> Iterator[Report]:
        """Replace an actor that died, and give its tasks to others."""
        self._actors.remove(actor)
        ray.kill(actor.handle)
        if actor.starting is not None:
            self._failed_starts += 1
            if self._failed_starts >= ATTEMPTS:
                raise UserError(f"Ray cannot start workers: {error}") from error
        yield Remark("a worker was lost and is replaced")
        lost = list(actor.in_flight.values())
        for one in lost[1:]:  # it had not begun
            self._waiting[one.name].appendleft(one)
        if lost:
            yield from self._again(lost[0], f"its worker was lost ({type(error).__name__})")
        self._start()

    def _again(self, one: Task, detail: str) -> Iterator[Report]:
        self._attempts[one] += 1
        where = f"{one.name}, partition {one.partition}"
        if self._attempts[one] < ATTEMPTS:
            self._waiting[one.name].appendleft(one)
            yield Remark(f"{where}: tried again: {detail}")
        else:
            yield TaskFailed(one, f"{where}: given up after {ATTEMPTS} tries: {detail}")


@contextlib.contextmanager
def session(pipelines: Iterable[str], *, echo: bool = False) -> Iterator[None]:
    """Have a Ray: the one that runs in this process, `RAY_ADDRESS`, or a new one here.

    `pipelines` (`package.module:NAME`) says whose code a cluster needs beside our own. `echo`:
    what workers print is printed here too.
    """
    if ray.is_initialized():
        yield
        return
    if os.environ.get("RAY_ADDRESS"):
        try:
            ray.init(
                runtime_env={"py_modules": _modules(pipelines)},
                log_to_driver=echo,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, RayError) as error:
            raise UserError(
                f"no Ray at RAY_ADDRESS={os.environ['RAY_ADDRESS']}: {error}. Is the cluster up, "
                "and is its token known here (RAY_AUTH_MODE=token, see `ray get-auth-token`)? "
                "Without RAY_ADDRESS, Ray starts on this machine"
            ) from error
    else:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        _start_here(echo=echo)
    try:
        yield
    finally:
        ray.shutdown()


def _start_here(*, echo: bool) -> None:
    before = set(sandbox.descendants(os.getpid()))
    for attempt in range(1, ATTEMPTS + 1):
        try:
            ray.init(
                address="local",  # not whatever cluster somebody has started on this machine
                include_dashboard=False,
                log_to_driver=echo,
                logging_level=logging.ERROR,
                object_store_memory=80 << 20,  # the least it takes; nothing big goes through it
            )
        except Exception as error:
            # A bare one is what Ray raises when its processes need over 30 seconds to start.
            ray.shutdown()
            # It forgets those that had started: they would slow down the next try.
            sandbox.kill_all(set(sandbox.descendants(os.getpid())) - before)
            if attempt == ATTEMPTS:
                raise UserError(
                    f"Ray does not start on this machine: {error} Is it very busy, or out of "
                    "memory? `--executor local` needs no Ray"
                ) from error
        else:
            return


def _resources(which: str) -> dict[str, float]:
    # Untyped in Ray.
    found: dict[str, float] = getattr(ray, which)()
    return found


def _modules(pipelines: Iterable[str]) -> list[str]:
    """Name the package folders that a cluster needs: ours, and those that hold the pipelines."""
    names = dict.fromkeys(_PACKAGES)
    names.update(dict.fromkeys(where.partition(".")[0] for where in pipelines))
    folders = []
    for name in names:
        spec = importlib.util.find_spec(name.partition(":")[0])
        if spec is not None and spec.submodule_search_locations:
            folders.append(str(Path(next(iter(spec.submodule_search_locations)))))
    return folders
