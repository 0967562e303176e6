"""A training's checkpoints: parameters, moments and the loader's place, whole or not at all.

In: a model and its optimiser, sharded or not. Out: `STAGE/checkpoints/step-NNNNNNNN/`, written by
torch.distributed.checkpoint, so any number of ranks reads what any other wrote. A folder without
its `complete.json` is no checkpoint: that file is written last, when every rank's data is there.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save, save

from dsvl_data.outcome import UserError
from model.vlm import VisionLanguageModel
from train.parallel import Ranks

_COMPLETE = "complete.json"
_REMEDY = (
    "where the recipe's model is another one now, give the run another `out`; where the checkpoint "
    "is damaged, remove its folder, and the run goes on from the one before"
)
_WRITTEN = "the checkpoint before it is whole"


class Checkpoints:
    """The checkpoints of one stage; keeps the last `keep`."""

    def __init__(self, folder: Path, ranks: Ranks, keep: int) -> None:
        self._folder = folder
        self._ranks = ranks
        self._keep = keep
        self._under_way: tuple[Future[Any] | None, Path, Mapping[str, Any]] | None = None

    def last(self) -> Path | None:
        """The newest whole checkpoint."""
        found = sorted(path.parent for path in self._folder.glob(f"step-*/{_COMPLETE}"))
        return found[-1] if found else None

    def save(
        self,
        model: VisionLanguageModel,
        optimiser: torch.optim.Optimizer,
        facts: Mapping[str, Any],
    ) -> None:
        """Write a checkpoint; on a GPU while training goes on. `facts`: JSON values."""
        self.finish()
        folder = self._folder / f"step-{facts['step']:08d}"
        if (folder / _COMPLETE).exists():
            return
        if self._ranks.first:
            shutil.rmtree(folder, ignore_errors=True)
            self._folder.mkdir(parents=True, exist_ok=True)
        self._ranks.wait()
        parameters, moments = get_state_dict(model, optimiser)
        state: dict[str, Any] = {"model": parameters, "optimiser": moments}
        writing: Future[Any] | None = None
        if self._ranks.device.type == "cuda":
            with _told(f"{folder} cannot be written", _WRITTEN):
                begun = async_save(state, checkpoint_id=folder)
            assert isinstance(begun, Future)
            writing = begun
        else:
            with _without_group_warning(), _told(f"{folder} cannot be written", _WRITTEN):
                save(state, checkpoint_id=folder, no_dist=not self._ranks.together)
        self._under_way = (writing, folder, facts)
        if writing is None:
            self.finish()

    def finish(self) -> None:
        """Wait until the checkpoint under way is whole, and remove the oldest."""
        if self._under_way is None:
            return
        writing, folder, facts = self._under_way
        if writing is not None:
            with _told(f"{folder} cannot be written", _WRITTEN):
                writing.result()
        self._ranks.wait()
        if self._ranks.first:
            aside = folder / f".{_COMPLETE}"
            aside.write_text(json.dumps(facts), encoding="utf-8")
            with aside.open("rb") as file:
                os.fsync(file.fileno())
            aside.rename(folder / _COMPLETE)
            whole = sorted(path.parent for path in self._folder.glob(f"step-*/{_COMPLETE}"))
            for old in whole[: -self._keep]:
                # Not a checkpoint any more before anything of it goes.
                (old / _COMPLETE).unlink()
                shutil.rmtree(old)
        self._under_way = None
        self._ranks.wait()

    def load(
        self, folder: Path, model: VisionLanguageModel, optimiser: torch.optim.Optimizer
    ) -> dict[str, Any]:
        """Fill a model and its optimiser; returns the facts.

        Raises `UserError` for a checkpoint that is damaged, or of another model.
        """
        try:
            facts: dict[str, Any] = json.loads((folder / _COMPLETE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{folder / _COMPLETE} is damaged: {error}; {_REMEDY}") from error
        parameters, moments = get_state_dict(model, optimiser)
        state: dict[str, Any] = {"model": parameters, "optimiser": moments}
        with _without_group_warning(), _told(f"{folder} does not fit", _REMEDY):
            load(state, checkpoint_id=folder, no_dist=not self._ranks.together)
        more = _parameters_in(folder) - parameters.keys()
        if more:
            raise UserError(
                f"{folder} does not fit: it has {len(more)} parameters more than the model, such "
                f"as {min(more)}; {_REMEDY}"
            )
        set_state_dict(
            model,
            optimiser,
            model_state_dict=state["model"],
            optim_state_dict=state["optimiser"],
        )
        return facts


def _parameters_in(folder: Path) -> set[str]:
    names = FileSystemReader(folder).read_metadata().state_dict_metadata
    return {name.removeprefix("model.") for name in names if name.startswith("model.")}


@contextmanager
def _told(what: str, remedy: str) -> Iterator[None]:
    """Tell in one line what torch tells with the stack of every rank."""
    try:
        yield
    except CheckpointException as error:  # no `Exception`: nobody else would catch it
        cause = next(iter(error.failures.values()))[0]
        why = " ".join(f"{type(cause).__name__}: {cause}".split())
        raise UserError(f"{what}: {why}; {remedy}") from error


@contextmanager
def _without_group_warning() -> Iterator[None]:
    """One process without a group is what was asked for: torch need not warn of it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield


def whole_parameters(model: VisionLanguageModel, ranks: Ranks) -> dict[str, torch.Tensor]:
    """All parameters on the CPU of the first rank, by the model's names; nothing on the others."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    parameters: dict[str, Any] = get_model_state_dict(model, options=options)
    return parameters if ranks.first else {}
