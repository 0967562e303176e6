"""What is checked before any work begins: a run that cannot succeed must not start.

In: jobs, the output folder, what the plans say. Out: nothing, or a `UserError` that says what
is wrong and what to do.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

from dsvl_data import storage
from dsvl_data.engine.job import Job, LoadedJob
from dsvl_data.engine.partition import Plan
from dsvl_data.outcome import UserError

#: Bytes of parts and shards to expect for a byte of input, and what must be free in any case.
EXPANSION = 3.0
FREE_BYTES = 512 << 20


def absolute(path: str) -> str:
    """Make a local path independent of the working folder, which workers do not share."""
    return str(Path(path).expanduser().absolute()) if storage.is_local(path) else path.rstrip("/")


def load_jobs(jobs: Sequence[Job]) -> list[LoadedJob]:
    """Load jobs and check their names, inputs and browser."""
    if not jobs:
        raise UserError("nothing to do: the recipe names no pipeline")
    names = [job.name for job in jobs]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two jobs are called {name!r}: names must differ")
    loaded = []
    for job in jobs:
        specs = [spec.model_copy(update={"path": absolute(spec.path)}) for spec in job.inputs]
        one = job.model_copy(update={"inputs": tuple(specs)}).load()
        check_inputs(one)
        check_browser(one)
        if one.pipeline.check is not None:
            one.pipeline.check(one.options, one.limits)
        loaded.append(one)
    return loaded


def check_inputs(loaded: LoadedJob) -> None:
    """Refuse inputs that name no file."""
    if not loaded.job.inputs:
        raise UserError(f"pipeline {loaded.name!r} has no inputs: name a file, folder or glob")
    for spec in loaded.job.inputs:
        try:
            found = next(storage.find_files(spec.path, judge_links=True), None)
        except (OSError, ValueError) as error:  # ValueError: a scheme that nobody knows
            raise UserError(
                f"pipeline {loaded.name!r}: cannot list {spec.path}: {error}"
            ) from error
        if found is None:
            raise UserError(
                f"pipeline {loaded.name!r}: input {spec.path} matches no file: check the path "
                "(in a recipe, relative ones start at the recipe's folder)"
            )


def check_browser(loaded: LoadedJob) -> None:
    """Refuse a pipeline that renders where there is nothing to render with."""
    if loaded.pipeline.needs_browser:
        from dsvl_data.render.browser import find_browser

        if find_browser() is None:
            raise UserError(
                f"pipeline {loaded.name!r} renders pages and this machine has no Chromium: run "
                "`make setup`, or `playwright install chromium --only-shell`, or set DSVL_BROWSER"
            )


def check_writable(out: str) -> None:
    """Refuse an output folder that cannot be written; makes it when it is not there."""
    probe = storage.join(out, f".probe-{uuid.uuid4().hex}")
    try:
        storage.make_folder(out)
        storage.atomic_write(probe, b"")
        storage.remove(probe)
    except (OSError, ValueError) as error:  # ValueError: a scheme that nobody knows
        why = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot write to the output {out}: {why}: choose another --out or change its "
            "permissions"
        ) from error


def check_space(plans: Sequence[Plan], out: str) -> None:
    """Refuse a local output with too little free space for what is still to do."""
    if not storage.is_local(out):
        return
    needed = FREE_BYTES
    for plan in plans:
        share = 1 - len(plan.done()) / max(1, plan.partitions)
        needed += int(plan.bytes * share * EXPANSION)
    free = shutil.disk_usage(out).free
    if free < needed:
        raise UserError(
            f"too little disk at {out}: {free / 1e9:.1f} GB free, about {needed / 1e9:.1f} GB "
            "needed: free some or choose another --out"
        )
