"""The local executor: the same conversion in this very process, for debugging.

In: tasks. Out: their parts and ledgers, one after the other. No Ray and no worker process, so
a debugger and `print` work as usual. The time limit is an alarm signal, which works in the main
thread only and cannot interrupt C code; there is **no memory limit**, and a document that
crashes its process crashes the run.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

from dsvl_data import storage
from dsvl_data.engine import task
from dsvl_data.engine.convert import Ended, SegmentConverter, TimeLimitReached
from dsvl_data.engine.job import LoadedJob
from dsvl_data.engine.ledger import BalanceError, Entry
from dsvl_data.engine.partition import Plan
from dsvl_data.engine.parts import Segment
from dsvl_data.engine.task import Remark, Report, TaskDone, TaskFailed, Tick, Work
from dsvl_data.outcome import UserError


def execute(work: Sequence[Work], out: str, run: str) -> Iterator[Report]:
    """Do all tasks here, in order."""
    with storage.scratch(out, run) as folder:
        for each in work:
            with contextlib.closing(_InProcess(each.loaded)) as runner:
                for one in each.tasks:
                    remarks: list[str] = []
                    try:
                        segments = task.convert(one, runner, each.plan, folder, remarks.append)
                        yield from map(Remark, remarks)
                        yield TaskDone(one, task.commit(one, segments, each.plan))
                    except (OSError, BalanceError) as error:
                        yield TaskFailed(one, str(error))
                    yield Tick({}, 1)


class _InProcess:
    """A `Runner` whose converter lives here, and its `Watch`."""

    def __init__(self, loaded: LoadedJob) -> None:
        self._loaded = loaded
        self._converter: SegmentConverter | None = None
        self._converting = False

    def convert(self, plan: Plan, partition: int, positions: Sequence[int], to: Segment) -> Ended:
        refs = plan.refs(partition)
        converter = self._running()
        with self._alarm():
            chosen = [(position, refs[position]) for position in positions]
            ended = converter.convert(chosen, partition, to)
        if ended.failure is not None:
            self.close()  # in an unknown state: the next document gets a new one
        return ended

    def begin(self, first: int, last: int) -> None:
        self._converting = True
        if threading.current_thread() is threading.main_thread():
            count = min(last - first + 1, self._loaded.batch_size)
            signal.setitimer(signal.ITIMER_REAL, self._loaded.limits.seconds * count)

    def end(self) -> None:
        self._converting = False
        if threading.current_thread() is threading.main_thread():
            signal.setitimer(signal.ITIMER_REAL, 0)

    def count(self, entry: Entry) -> None:
        pass  # progress is by partition here

    def close(self) -> None:
        if self._converter is not None:
            self._converter.close()
            self._converter = None

    def _running(self) -> SegmentConverter:
        if self._converter is None:
            try:
                self._converter = SegmentConverter(self._loaded, self)
            except UserError:
                raise
            except Exception as error:
                # It may need anything; whatever it lacks, the user must read it.
                raise UserError(
                    f"pipeline {self._loaded.name!r} cannot start: {type(error).__name__}: {error}"
                ) from error
        return self._converter

    @contextlib.contextmanager
    def _alarm(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ring(number: int, frame: FrameType | None) -> None:
            if self._converting:  # else it came a moment too late
                raise TimeLimitReached(f"not done after {self._loaded.limits.seconds:g} seconds")

        before = signal.signal(signal.SIGALRM, ring)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
