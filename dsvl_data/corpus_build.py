"""A corpus from its recipe: documents converted, samples curated, shards cut.

In: a recipe, an output folder, and where the pipelines are that it names (the door knows). Out:
the folder filled as far as it was not, the recipe beside what was made of it, and the engine's
`Result`. Called again after a crash or a change of the recipe, it does only what is missing;
`retry` converts again what failed, and cuts the shards anew by the recipe that is stored.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsvl_data import recipe, storage
from dsvl_data.engine import run as engine
from dsvl_data.engine.ledger import Balance, balances
from dsvl_data.engine.partition import read_plans
from dsvl_data.engine.preflight import absolute, load_jobs
from dsvl_data.engine.run import Result
from dsvl_data.engine.tasks import Executor
from dsvl_data.outcome import UserError
from dsvl_data.recipe import Recipe
from dsvl_data.shards.tokens import token_counter

if TYPE_CHECKING:
    from dsvl_data.display import RunDisplay
    from dsvl_data.pipeline import Limits

#: The resolved recipe, beside what was made of it; `retry` cuts the shards anew by it.
_RECIPE_FILE = "recipe.yaml"


@dataclass(frozen=True, slots=True)
class Means:
    """What a corpus is built with.

    `pipelines` maps names to where they are (`module:ATTRIBUTE`); `workers` is one a CPU where
    it is None.
    """

    pipelines: Mapping[str, str]
    executor: Executor
    workers: int | None
    display: RunDisplay


def build(
    plan: Recipe, recipe_path: Path, out: str, means: Means, *, rebuild: Collection[str] = ()
) -> Result:
    """Convert documents, curate and cut shards below `out`, as far as it is not done.

    Local paths of the recipe start at its folder. `rebuild` names pipelines whose earlier work
    is discarded first. Where not all documents could be converted, nothing is curated or cut.
    Raises `UserError` before the work when it could not succeed.
    """
    out = absolute(out)
    strangers = {each.job.name for each in read_plans(out)} - set(plan.pipelines)
    if strangers:
        raise UserError(
            f"{out} also holds {', '.join(sorted(strangers))}, which {recipe_path} does not "
            "name: its samples would get into the shards; choose another --out"
        )
    # What cannot succeed is told at once, not after Ray's start or the conversion.
    token_counter(plan.shards.tokenizer)
    if plan.curation:
        from dsvl_data.curate import measure

        measure.check(plan.curation)
    jobs = recipe.jobs(plan, recipe_path.parent, means.pipelines)
    load_jobs(jobs)
    with _session(means), means.display.showing() as display:
        result = engine.run(
            jobs,
            out,
            executor=means.executor,
            workers=means.workers,
            on_event=display.on_event,
            rebuild=rebuild,
        )
        storage.atomic_write(storage.join(out, _RECIPE_FILE), recipe.show(plan).encode())
        if result.ok:
            _curate_and_cut(out, plan, result.balances, means)
    return result


def retry(
    out: str,
    reasons: Sequence[str],
    means: Means,
    *,
    seconds: float | None = None,
    memory_mb: int | None = None,
) -> Result:
    """Convert again what failed for one of these reasons; then cut the shards anew.

    `seconds` and `memory_mb` give a document other limits than the build did. Shards are cut
    only when no document is pending. Raises `UserError` where nothing was built in `out`.
    """
    out = absolute(out)
    plan = _stored_recipe(out, means.pipelines)
    changes = {"seconds": seconds, "memory_mb": memory_mb}
    limits = _changed_limits(out, {k: value for k, value in changes.items() if value is not None})
    with _session(means), means.display.showing() as display:
        result = engine.retry(
            out,
            reasons,
            limits=limits,
            executor=means.executor,
            workers=means.workers,
            on_event=display.on_event,
        )
        after = balances(out)
        if result.ok and not any(balance.pending for balance in after.values()):
            _curate_and_cut(out, plan, after, means)
    return result


def _changed_limits(out: str, changes: dict[str, Any]) -> dict[str, Limits]:
    limits: dict[str, Limits] = {}
    if changes:
        for each in read_plans(out):
            before = each.job.load().limits
            limits[each.job.name] = type(before).model_validate(before.model_dump() | changes)
    return limits


def _curate_and_cut(out: str, plan: Recipe, accounts: Mapping[str, Balance], means: Means) -> None:
    from dsvl_data.curate.run import curate, forget
    from dsvl_data.shards.build import build_shards

    left_out = {}
    if plan.curation is None:
        forget(out)
    else:
        curation = curate(
            out,
            plan.curation,
            tokenizer=plan.shards.tokenizer,
            executor=means.executor,
            workers=means.workers,
            progress=means.display.on_curation,
        )
        left_out = {name: dict(account.reasons) for name, account in curation.items()}
    build_shards(
        out,
        plan.shards,
        # A recipe that says nothing of curation is the recipe that it always was.
        recipe=plan.model_dump(mode="json", exclude=None if plan.curation else {"curation"}),
        curation=plan.curation,
        left_out=left_out,
        dropped={
            name: dict(account.counts.item_reasons + account.counts.reasons)
            for name, account in accounts.items()
        },
        executor=means.executor,
        workers=means.workers,
        progress=means.display.on_shards,
    )


def _session(means: Means) -> AbstractContextManager[None]:
    """One Ray for conversion and shards: starting one takes seconds."""
    if means.executor == "local":
        return nullcontext()
    from dsvl_data.engine.cluster import session

    return session(means.pipelines.values())


def _stored_recipe(out: str, pipelines: Mapping[str, str]) -> Recipe:
    path = storage.join(out, _RECIPE_FILE)
    try:
        source = storage.read_bytes(path).decode()
    except FileNotFoundError:
        raise UserError(f"nothing was built in {out}: run `corpus build` first") from None
    return recipe.parse(source, path, pipelines)
