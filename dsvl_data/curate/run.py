"""Curation's door: parts in, a decision about every sample out.

    measure   each part: scores and hashes (measure.py)
    cluster   the corpus: near-duplicates by hashes and signatures (near_image.py, near_text.py)
    elect     the corpus: of those that are the same, who is kept (elect.py)
    decide    each part: rules, elections and the mix (decide.py)

Every step keeps what it made beside the parts, with a fingerprint of what it was made from; so
it can be killed anywhere, and the same call goes on. A threshold that changes makes measures and
signatures no staler than they were: only elections and decisions are made again, which read the
measures and no sample.

    DIR/curation/settings.json    the rules by which the decisions were made
    DIR/curation/report.json      the accounts
    DIR/curation/contamination.json    what is shared with benchmarks (contamination_report.py)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dsvl_data import storage
from dsvl_data.curate import (
    chosen,
    contamination_report,
    decide,
    elect,
    measure,
    near_image,
    near_text,
    stored,
)
from dsvl_data.curate.accounts import SETTINGS, Account, accounts
from dsvl_data.curate.measure import Measured
from dsvl_data.curate.settings import Curation
from dsvl_data.curate.stored import CurationError
from dsvl_data.engine.tasks import Executor, Tasks
from dsvl_data.shards.plan import PARTS, list_parts

REPORT = "report.json"

_PARTS_A_TASK = 64


@dataclass(frozen=True, slots=True)
class Progress:
    """How far curation is: the step, and how many of its tasks are done."""

    step: str
    done: int
    total: int


def curate(
    out: str,
    settings: Curation,
    *,
    tokenizer: str | None = None,
    executor: Executor = "ray",
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> dict[str, Account]:
    """Curate an output folder, as far as it is not done; return its accounts by pipeline.

    `tokenizer` is that of the shards. The decisions depend on the parts, the settings and the
    scorers' versions; not on executor, workers or crashes. Raises `CurationError` for parts that
    cannot be read, or a mix that is asked for and not there (all else is done then); `OSError`
    when the store fails.
    """
    if not storage.exists(storage.join(out, PARTS)):
        raise CurationError(f"{out} has no parts to curate; run `dsvl-data corpus build` first")
    tell = progress or _ignore
    tasks = Tasks(executor, workers)
    with tasks.session():
        parts = _measure(out, settings, tokenizer, tasks, tell)
        settings = contamination_report.with_common_runs(out, settings, parts, tasks)
        # Before the first decision by them: who explains one reads the rules here.
        held = {"settings": settings.model_dump(mode="json"), "tokenizer": tokenizer}
        write_if_new(_place(out, SETTINGS), encode(held))
        near = []
        duplicates = settings.duplicates
        if duplicates and duplicates.near_image:
            near.append(near_image.fingerprint(duplicates.near_image, parts))
            for done, total in near_image.find(out, duplicates.near_image, parts, tasks):
                tell(Progress("cluster images", done, total))
        if duplicates and duplicates.near_text:
            near.append(near_text.fingerprint(duplicates.near_text, parts))
            for done, total in near_text.find(out, duplicates.near_text, parts, tasks):
                tell(Progress("cluster", done, total))
        election = elect.call(out, settings, parts, "".join(near))
        for kind in election.kinds:
            if not all(election.is_done(place) for place in election.results(kind)):
                sending = [(election, kind, number) for number in range(len(election.slices))]
                _drain(tasks, elect.send, sending, f"send {kind}", tell)
                electing = [(election, kind, prefix) for prefix in range(election.prefixes)]
                _drain(tasks, elect.elect, electing, f"elect {kind}", tell)
        mix = chosen.chosen(out, settings)
        deciding = [(election, mix, number) for number in range(len(election.slices))]
        _drain(tasks, decide.decide, deciding, "decide", tell)
        contamination_report.write(out, settings, parts, tasks)
    _sweep(out, election, parts)
    found = accounts(out, with_shards=False)
    report = {"pipelines": {name: account.to_json() for name, account in found.items()}}
    write_if_new(_place(out, REPORT), encode(report))
    # Only now: with the decisions there, a mix is made of what curation keeps.
    chosen.require(out, settings)
    return found


def forget(out: str) -> None:
    """Take an output for uncurated, as its recipe now does; what was measured stays."""
    for name in (SETTINGS, REPORT, contamination_report.NAME):
        storage.remove(_place(out, name))


def encode(values: Any) -> bytes:
    """Return JSON as curation keeps it."""
    return json.dumps(values, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def write_if_new(path: str, data: bytes) -> None:
    """Write a small file, unless it says the same already."""
    if not storage.exists(path) or storage.read_bytes(path) != data:
        storage.atomic_write(path, data)


def _measure(
    out: str,
    settings: Curation,
    tokenizer: str | None,
    tasks: Tasks,
    tell: Callable[[Progress], None],
) -> list[Measured]:
    measure.prepare(out, settings)
    chosen = measure.all_scorers(out, settings, tokenizer)
    versions = measure.versions_of(chosen)
    names = list_parts(out)
    looking = [
        (out, names[i : i + _PARTS_A_TASK], versions) for i in range(0, len(names), _PARTS_A_TASK)
    ]
    parts = sorted(
        (part for found in tasks.map(_look, looking) for part in found), key=lambda p: p.name
    )
    pending = [(out, part, settings, tokenizer) for part in parts if not part.fresh]
    gpus = max(scorer.gpus for scorer in chosen)
    _drain(tasks, _measure_part, pending, "measure", tell, gpus)
    return parts


def _look(job: tuple[str, Sequence[str], dict[str, str]]) -> list[Measured]:
    return measure.look(*job)


def _measure_part(job: tuple[str, Measured, Curation, str | None]) -> None:
    measure.measure(*job)


def _drain(
    tasks: Tasks,
    function: Callable[[Any], Any],
    jobs: Sequence[Any],
    step: str,
    tell: Callable[[Progress], None],
    gpus: float = 0,
) -> None:
    for done, _ in enumerate(tasks.map(function, jobs, gpus=gpus), start=1):
        tell(Progress(step, done, len(jobs)))


def _sweep(out: str, election: elect.Election, parts: Sequence[Measured]) -> None:
    """Remove what belongs to no part any more, and what was only in passing."""
    elect.sweep(election)
    names = {part.name for part in parts}
    stages = (measure.STAGE, stored.DECISIONS, near_text.SIGNATURES, near_text.BANDS)
    for stage in (*stages, near_text.CLUSTERS, near_image.CLUSTERS):
        root = storage.join(out, stored.ROOT, stage)
        for pipeline in storage.list_names(root):
            for name in storage.list_names(storage.join(root, pipeline)):
                if f"{pipeline}/{name}" not in names and name.endswith(".parquet"):
                    storage.remove(storage.join(root, pipeline, name))


def _place(out: str, name: str) -> str:
    return storage.join(out, stored.ROOT, name)


def _ignore(progress: Progress) -> None:
    pass
