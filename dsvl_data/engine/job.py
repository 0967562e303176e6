"""One pipeline of a run: which code, over which inputs, with which options and limits.

In: what a recipe says. Out: a `Job` that travels as JSON to wherever the work is done, and the
`LoadedJob` that it becomes there, with its code imported and its options checked.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import Field, ValidationError

from dsvl_data.outcome import UserError
from dsvl_data.pipeline import InputSpec, Limits, Pipeline, Settings


class Job(Settings):
    """A pipeline to run. `name` names its folders; what is None comes from the pipeline."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    pipeline: str = Field(description="where the pipeline is defined: `package.module:NAME`")
    inputs: tuple[InputSpec, ...]
    options: Mapping[str, Any] = Field(default_factory=dict)
    limits: Limits | None = None
    partition_size: int | None = Field(default=None, gt=0)
    batch_size: int | None = Field(default=None, gt=0)
    licences: tuple[str, ...] = Field(default=(), description="licences to keep; empty: all")

    def load(self) -> LoadedJob:
        """Import the pipeline and check the options; `UserError` when either fails."""
        pipeline = load_pipeline(self.pipeline)
        try:
            options = pipeline.options.model_validate(dict(self.options))
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(str(part) for part in fault['loc']) or 'options'}: {fault['msg']}"
                for fault in error.errors()
            )
            known = ", ".join(pipeline.options.model_fields) or "none"
            raise UserError(
                f"pipeline {self.name!r}: wrong options: {faults} (its options: {known})"
            ) from error
        return LoadedJob(self, pipeline, options)


@dataclass(frozen=True)
class LoadedJob:
    """A job with its code: everything that the work needs to know."""

    job: Job
    pipeline: Pipeline
    options: Settings

    @property
    def name(self) -> str:
        """The job's name."""
        return self.job.name

    def keeps(self, licence: str) -> bool:
        """Whether a licence is one to keep: of `A AND B` both must be, of `A OR B` one."""
        if not self.job.licences:
            return True
        kept = {name.casefold() for name in self.job.licences}
        bare = licence.casefold().replace("(", " ").replace(")", " ")
        return all(
            any(name.strip() in kept for name in either.split(" or "))
            for either in bare.split(" and ")
        )

    @cached_property
    def limits(self) -> Limits:
        """What one document may cost."""
        return self.job.limits or self.pipeline.limits

    @cached_property
    def partition_size(self) -> int:
        """Documents in a partition."""
        return self.job.partition_size or self.pipeline.partition_size

    @cached_property
    def batch_size(self) -> int:
        """Documents in one call of the converter."""
        return self.job.batch_size or self.pipeline.batch_size


def load_pipeline(where: str) -> Pipeline:
    """Import `package.module:NAME`; `UserError` when there is no pipeline."""
    module_name, _, attribute = where.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # A module that the pipeline itself lacks is another matter than a wrong name.
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise UserError(
                f"pipeline {where!r} needs the Python module {error.name!r}, which is not "
                "installed: run `make setup`"
            ) from error
        raise UserError(
            f"no pipeline at {where!r}: there is no module {error.name!r} (expected "
            "`package.module:NAME`, importable from here)"
        ) from error
    found = getattr(module, attribute, None) if attribute else None
    if not isinstance(found, Pipeline):
        there = [name for name, value in vars(module).items() if isinstance(value, Pipeline)]
        raise UserError(
            f"no pipeline at {where!r}: module {module_name!r} has "
            + (f"these: {', '.join(there)}" if there else "none")
        )
    return found
