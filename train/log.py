"""What a run tells: a line on the terminal, one in `log.jsonl`, and TensorBoard's files.

In: numbers of a step. Out: the same in three forms, from the first rank alone; W&B's too where it
is installed and `WANDB_PROJECT` is set. Of each rank, `ids-RANK.jsonl` has a hash of the samples of
every step, and `broken-RANK.jsonl` those that could not be read, and why.
"""

from __future__ import annotations

import importlib.util
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import xxhash
from rich.console import Console
from torch.utils.tensorboard.writer import SummaryWriter

from train.evaluate import Score
from train.parallel import Ranks
from train.plan import LANGUAGE, MULTIMODAL
from train.stream import MicroBatch

_CONSOLE = Console(stderr=True, highlight=False)


class Log:
    """The log of one stage; a context manager."""

    def __init__(self, folder: Path, ranks: Ranks, steps: int, done: int) -> None:
        """`steps`: of the stage; `done`: those that the run goes on after."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._ranks, self._steps, self._done = folder, ranks, steps, done
        self._lines: TextIO | None = None
        self._board: SummaryWriter | None = None
        self._wandb: Any = None
        self._ids: TextIO | None = None
        self._told_broken = False

    def __enter__(self) -> Self:
        if self._ranks.first:
            for file in self._folder.glob("*.jsonl"):
                # Of a run that begins anew, not even what was told before the first step.
                _keep_steps(file, self._done if self._done else -1)
        self._ranks.wait()
        self._ids = (self._folder / f"ids-{self._ranks.rank}.jsonl").open("a", encoding="utf-8")
        if self._ranks.first:
            self._lines = (self._folder / "log.jsonl").open("a", encoding="utf-8")
            # What a killed run has told of the steps after its checkpoint is told again.
            self._board = SummaryWriter(
                str(self._folder / "tensorboard"), purge_step=self._done and self._done + 1
            )
            project = os.environ.get("WANDB_PROJECT")
            if project and importlib.util.find_spec("wandb"):
                wandb = importlib.import_module("wandb")
                self._wandb = wandb.init(
                    project=project, dir=str(self._folder), id=self._run_id(), resume="allow"
                )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in (self._lines, self._ids):
            if file is not None:
                file.close()
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()

    def say(self, text: str) -> None:
        """A line on the terminal."""
        if self._ranks.first:
            _CONSOLE.print(text, soft_wrap=True)

    @staticmethod
    def warn(text: str) -> None:
        """A warning on the terminal, of any rank."""
        _CONSOLE.print(text, style="yellow", soft_wrap=True)

    def ids(self, step: int, batches: Sequence[MicroBatch]) -> None:
        """Note which samples a step, counted from 1, was made of on this rank, and the broken."""
        assert self._ids is not None
        rows = (
            "\n".join(f"{key} {start}" for key, start in zip(keys, starts, strict=True)).encode()
            for micro in batches
            for keys, starts in zip(micro.keys, micro.starts, strict=True)
        )
        total = sum(xxhash.xxh3_128_intdigest(row) for row in rows) % 2**128
        line = {"step": step, "samples": f"{total:032x}"}
        self._ids.write(json.dumps(line) + "\n")
        self._ids.flush()
        broken = [said for micro in batches for said in micro.broken]
        if not broken:
            return
        file = self._folder / f"broken-{self._ranks.rank}.jsonl"
        with file.open("a", encoding="utf-8") as lines:
            lines.writelines(json.dumps({"step": step, "broken": b}) + "\n" for b in broken)
        if not self._told_broken:
            self.warn(f"step {step}: {broken[0]}: a blank stands for it; all such are in {file}")
            self._told_broken = True

    def _run_id(self) -> str:
        """What W&B knows this training by, and goes on with after a resume."""
        file = self._folder / "wandb-id"
        if not self._done or not file.exists():
            file.write_text(uuid.uuid4().hex, encoding="utf-8")
        return file.read_text(encoding="utf-8")

    def score(self, step: int, score: Score) -> None:
        """What an evaluation of the model after a step gave, in `scores.jsonl`."""
        if not self._ranks.first:
            return
        assert self._board is not None
        with (self._folder / "scores.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **score.to_json()}) + "\n")
        self._board.add_scalar(f"evaluation/{score.name}", score.value, step)
        if self._wandb is not None:
            self._wandb.log({f"evaluation/{score.name}": score.value}, step=step)
        error = f" ± {score.error:.4f}" if score.error else ""
        self.say(
            f"step {step:>6}/{self._steps}  {score.name}: {score.value:.4f}{error} {score.metric} "
            f"({score.items:,})"
        )

    def line(self, facts: Mapping[str, Any]) -> None:
        """A line of figures."""
        if not self._ranks.first:
            return
        assert self._lines is not None
        assert self._board is not None
        self._lines.write(json.dumps(facts) + "\n")
        self._lines.flush()
        for name, value in facts.items():
            if isinstance(value, int | float) and name != "step":
                self._board.add_scalar(name, value, facts["step"])
        if self._wandb is not None:
            self._wandb.log(dict(facts), step=facts["step"])
        mfu = f"  MFU {facts['mfu']:.1%}" if "mfu" in facts else ""
        parts = {m: facts[f"loss_{m}"] for m in (LANGUAGE, MULTIMODAL) if f"loss_{m}" in facts}
        each = ", ".join(f"{modality} {loss:.4f}" for modality, loss in parts.items())
        _CONSOLE.print(
            f"step {facts['step']:>6}/{self._steps}  loss {facts['loss']:.4f}"
            f"{f' ({each})' if len(parts) > 1 else ''}  "
            f"lr {facts['learning_rate']:.2e}  norm {facts['gradient_norm']:.2f}  "
            f"{facts['tokens_a_second']:,.0f} tokens/s  {facts['images_a_second']:.1f} images/s  "
            f"padding {facts['padding']:.1%}  data {facts['waiting_for_data']:.1%}{mfu}",
            soft_wrap=True,
        )


def _keep_steps(file: Path, last: int) -> None:
    """Drop the lines after a step, and one that a kill cut off."""
    if not file.exists():
        return
    kept = []
    for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n") or json.loads(line)["step"] > last:
            break
        kept.append(line)
    aside = file.with_suffix(".aside")
    aside.write_text("".join(kept), encoding="utf-8")
    aside.replace(file)
