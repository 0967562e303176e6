"""The engine's door: `run` jobs into an output folder, `retry` what failed there.

In: jobs (which pipeline, over which inputs, with which options), an output folder, an executor.
Out: `parts/`, `ledger/` and `plan/` below the output, events while it goes on, and a `Result`
whose accounts balance or which says that they do not. Both can be killed at any moment; the
same call goes on from there.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dsvl_data import storage
from dsvl_data.engine import ledger, parts, preflight
from dsvl_data.engine.board import Tally
from dsvl_data.engine.events import Event, Finished, PartDone, Planned, Progress, Warned
from dsvl_data.engine.job import Job, LoadedJob
from dsvl_data.engine.ledger import Balance
from dsvl_data.engine.lock import LOCK, lock
from dsvl_data.engine.option_files import changed_files
from dsvl_data.engine.partition import Plan, make_plan, read_plans
from dsvl_data.engine.task import Executor, Remark, Task, TaskDone, TaskFailed, Tick, Work
from dsvl_data.outcome import Reason, UserError
from dsvl_data.pipeline import Limits

__all__ = ["Job", "Result", "retry", "run"]

_RATE_SECONDS = 30.0


@dataclass(frozen=True)
class Result:
    """How a run ended: the accounts of its pipelines, and the partitions it had to give up."""

    balances: dict[str, Balance]
    failures: tuple[str, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether everything was done and every account holds."""
        return not self.failures and all(
            balance.pending == 0 and not balance.problems for balance in self.balances.values()
        )


def run(
    jobs: Sequence[Job],
    out: str,
    *,
    executor: str = "ray",
    workers: int | None = None,
    on_event: Callable[[Event], None] | None = None,
    rebuild: Collection[str] = (),
) -> Result:
    """Convert what is still missing of these jobs below `out`.

    `executor` is `ray` (on `RAY_ADDRESS`, else on this machine) or `local` (see
    `engine.local`); `workers` is the number of Ray actors, one for each CPU by default.
    `rebuild` names jobs whose earlier work is discarded first. `on_event` is called in this
    thread. Raises `UserError` before the work when it could not succeed.
    """
    out = preflight.absolute(out)
    loaded = preflight.load_jobs(jobs)
    unknown = set(rebuild) - {each.name for each in loaded}
    if unknown:
        raise UserError(f"cannot rebuild {', '.join(sorted(unknown))}: no such pipeline here")
    execute = _executor(executor, workers)
    emit = on_event or _ignore
    with _held(out) as is_new:
        try:
            for name in rebuild:
                discard(out, name)
            work = list(_planned_work(loaded, out, emit))
            preflight.check_space([each.plan for each in work], out)
        except UserError:
            if is_new:
                for each in loaded:
                    discard(out, each.name)
            raise
        return _execute(work, out, execute, emit)


def retry(
    out: str,
    reasons: Iterable[str | Reason],
    *,
    limits: Mapping[str, Limits] | None = None,
    executor: str = "ray",
    workers: int | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Result:
    """Convert again the documents that failed for one of these reasons, and only those.

    A document counts when it, or an item in it, has the reason. The result takes the place of
    the old one in part and ledger, atomically; the same bytes as if it had gone well at first.
    `limits` gives pipelines other limits than the build had. Partitions that were never
    finished are left to `run`. A reason that nothing failed for is told in a `Warned`, with the
    reasons that are there. Raises `UserError` before the work when it could not succeed.
    """
    out = preflight.absolute(out)
    wanted = {str(reason if isinstance(reason, Reason) else _parse(reason)) for reason in reasons}
    execute = _executor(executor, workers)
    emit = on_event or _ignore
    plans = read_plans(out)
    if not plans:
        raise UserError(f"nothing was built in {out}: run `corpus build` first")
    with _held(out):
        work = []
        there: Counter[str] = Counter()
        for plan in plans:
            parts.recover(out, plan.job.name)
            tasks = list(_failed_tasks(plan, wanted, there))
            if tasks:
                loaded = _load_again(plan, limits or {})
                emit(_planned(plan, plan.done()))
                work.append(Work(loaded, plan, tasks))
        for reason in sorted(wanted - there.keys()):
            emit(Warned(f"nothing failed for {reason} in {out}; {_listed(there)}"))
        return _execute(work, out, execute, emit)


def discard(out: str, name: str) -> None:
    """Remove everything that was made of a job: ledger first, so that no part seems done."""
    for room in ("ledger", "parts", "plan"):
        storage.remove(storage.join(out, room, name))


@contextlib.contextmanager
def _held(out: str) -> Iterator[bool]:
    """Be the one writer of an output, without the litter of killed runs or our own.

    Yields whether nothing was there. What is then refused leaves nothing there either.
    """
    made = storage.missing_folders(out)
    preflight.check_writable(out)
    try:
        with lock(out):
            storage.sweep(out)
            is_new = not set(storage.list_names(out)) - {LOCK}
            try:
                yield is_new
            finally:
                storage.sweep(out)
                if is_new:
                    storage.remove_empty(storage.join(out, "plan"))
                    if set(storage.list_names(out)) <= {LOCK}:
                        storage.remove(storage.join(out, LOCK))
    finally:
        for folder in made:
            storage.remove_empty(folder)


def _planned_work(
    loaded: Sequence[LoadedJob], out: str, emit: Callable[[Event], None]
) -> Iterator[Work]:
    """List every job's documents, and find what is still to do."""
    with storage.scratch(out, "plan") as scratch:
        for each in loaded:
            parts.recover(out, each.name)
            plan = make_plan(each, out, scratch)
            done = plan.done()
            emit(_planned(plan, done))
            missing = (n for n in range(plan.partitions) if n not in done)
            yield Work(each, plan, [Task(each.name, partition) for partition in missing])


def _execute(
    work: Sequence[Work], out: str, execute: Executor, emit: Callable[[Event], None]
) -> Result:
    started = time.monotonic()
    for each in work:
        for room in ("parts", "ledger"):
            storage.make_folder(storage.join(out, room, each.loaded.name))
    progress = _Meter(work)
    failures = []
    if any(each.tasks for each in work):
        for report in execute([each for each in work if each.tasks], out, uuid.uuid4().hex[:12]):
            match report:
                case TaskDone(task, tally):
                    progress.done(task, tally)
                    emit(PartDone(task.name, task.partition, tally))
                case TaskFailed(_, detail):
                    failures.append(detail)
                    emit(Warned(detail))
                case Tick(in_work, workers):
                    emit(progress.read(in_work, workers))
                case Remark(message):
                    emit(Warned(message))
    balances = {each.loaded.name: ledger.balance(each.plan) for each in work}
    for name, balance in balances.items():
        emit(Finished(name, balance))
    return Result(balances, tuple(failures), time.monotonic() - started)


class _Meter:
    """Adds up what a run has done and how fast it goes."""

    def __init__(self, work: Sequence[Work]) -> None:
        self._sizes = {
            task: len(task.positions)
            if task.positions is not None
            else each.plan.size_of(task.partition)
            for each in work
            for task in each.tasks
        }
        self._left = {each.loaded.name: sum(self._sizes[t] for t in each.tasks) for each in work}
        self._done = {each.loaded.name: Tally() for each in work}
        self._open = set(self._sizes)
        self._history: deque[tuple[float, Tally]] = deque([(time.monotonic(), Tally())])

    def done(self, task: Task, tally: Tally) -> None:
        self._open.discard(task)
        self._left[task.name] -= self._sizes[task]
        self._done[task.name] += tally

    def read(self, in_work: Mapping[Task, Tally], workers: int) -> Progress:
        tallies, left = dict(self._done), dict(self._left)
        for task, tally in in_work.items():
            if task in self._open:  # else it is counted as done already
                tallies[task.name] += tally
                left[task.name] -= tally.documents
        total = sum(tallies.values(), Tally())
        now = time.monotonic()
        self._history.append((now, total))
        while len(self._history) > 2 and self._history[0][0] < now - _RATE_SECONDS:
            self._history.popleft()
        since, before = self._history[0]
        span = max(now - since, 1e-6)
        rate = max(0.0, (total.documents - before.documents) / span)
        remaining = sum(left.values())
        return Progress(
            tallies,
            left,
            rate,
            max(0.0, (total.samples - before.samples) / span),
            max(0.0, (total.images - before.images) / span),
            remaining / rate if rate > 0 else None,
            workers,
        )


def _executor(name: str, workers: int | None) -> Executor:
    if workers is not None and workers < 1:
        raise UserError(f"workers is {workers}; it must be at least 1")
    if name == "local":
        from dsvl_data.engine import local

        return local.execute
    if name == "ray":
        from dsvl_data.engine.cluster import Cluster  # takes seconds to import

        return Cluster(workers)
    raise UserError(f"no executor is called {name!r}: it is `ray` or `local`")


def _failed_tasks(plan: Plan, reasons: set[str], there: Counter[str]) -> Iterable[Task]:
    """Yield what failed for one of `reasons`; counts in `there` the documents of every reason."""
    columns = ("position", "reason", "drops")
    for partition in sorted(plan.done()):
        positions = []
        for row in ledger.read(plan.ledger_path(partition), columns).to_pylist():
            found = {row["reason"], *(drop["reason"] for drop in row["drops"])} - {None}
            there.update(found)
            if found & reasons:
                positions.append(row["position"])
        if positions:
            yield Task(plan.job.name, partition, tuple(positions))


def _listed(there: Counter[str]) -> str:
    if not there:
        return "nothing failed there at all"
    counts = ", ".join(f"{reason} ({count})" for reason, count in there.most_common())
    return f"the reasons there, with their documents: {counts}"


def _load_again(plan: Plan, limits: Mapping[str, Limits]) -> LoadedJob:
    job = plan.job
    if job.name in limits:
        job = job.model_copy(update={"limits": limits[job.name]})
    loaded = job.load()
    preflight.check_browser(loaded)
    version = plan.fingerprint["version"]
    if loaded.pipeline.version != version:
        raise UserError(
            f"{plan.out} was made by version {version} of {job.name!r}, and this is version "
            f"{loaded.pipeline.version}: build it anew with --rebuild {job.name}"
        )
    changes = list(changed_files(plan.fingerprint.get("files"), loaded.options))
    if changes:
        raise UserError(
            f"{plan.out} was made with another {job.name!r}:\n  "
            + "\n  ".join(changes)
            + f"\nPut back what was there, or build it anew with --rebuild {job.name}"
        )
    return loaded


def _planned(plan: Plan, done: set[int]) -> Planned:
    documents_done = sum(plan.size_of(partition) for partition in done)
    return Planned(plan.job.name, plan.documents, plan.partitions, documents_done, len(done))


def _parse(reason: str) -> Reason:
    try:
        return Reason.parse(reason)
    except ValueError as error:
        raise UserError(str(error)) from None


def _ignore(event: Event) -> None:
    pass
