"""A function over jobs, wherever the work is done: in this process, or as Ray tasks.

In: a function of a module, and jobs that can be sent elsewhere. Out: its results, as they are
done. The engine's own actors (`cluster.py`) hold converters and supervise foreign code; this is
for our own code over files: shards, and every stage of curation.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

Executor = Literal["ray", "local"]

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


class Tasks:
    """Runs functions over jobs: `ray`, at most `workers` at a time, or `local`, one by one.

    `workers` of None: as many as the cluster has CPUs. Ray is the one that is connected, else
    one that is started.
    """

    def __init__(self, executor: Executor, workers: int | None = None) -> None:
        self._executor = executor
        self._workers = workers

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Keep one Ray for all that is done in the block: starting one takes seconds."""
        if self._executor == "local":
            yield
            return
        from dsvl_data.engine.cluster import session  # takes seconds to import

        with session(()):
            yield

    def map(
        self, function: Callable[[_Job], _Result], jobs: Sequence[_Job], *, gpus: float = 0
    ) -> Iterator[_Result]:
        """Yield the results in the order in which they are done.

        `gpus` is what one job takes of a cluster's. A job whose node dies is done again; what
        the function raises is raised here, and ends the rest.
        """
        if self._executor == "local" or not jobs:
            yield from map(function, jobs)
            return
        with self.session():
            yield from self._on_ray(function, jobs, gpus)

    def _on_ray(
        self, function: Callable[[_Job], _Result], jobs: Sequence[_Job], gpus: float
    ) -> Iterator[_Result]:
        import ray

        cores: float = ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call]
        limit = self._workers or max(1, int(cores))
        # A task that dies with its node runs again elsewhere: it does the same once more.
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=3)(function)
        waiting = list(reversed(jobs))
        running: list[Any] = []
        try:
            while waiting or running:
                while waiting and len(running) < limit:
                    running.append(task.remote(waiting.pop()))
                done, running = ray.wait(running)
                for reference in done:
                    try:
                        yield ray.get(reference)
                    except ray.exceptions.RayTaskError as error:
                        # What the function raised, not Ray's wrapping of it.
                        raise error.cause from None
        finally:
            for reference in running:
                ray.cancel(reference)
