"""One stage of a training: batches in, a trained checkpoint out.

In: a recipe, a stage, the ranks. Out: `OUT/stage_N/`: `log.jsonl`, TensorBoard's files,
`checkpoints/`, and, at the end, `final/`, which transformers loads.

A step sums the losses of its micro-batches and divides the gradient by the tokens of the global
batch that carry a loss, so that neither packing, nor padding, nor the number of ranks weighs a
token more than another.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from dsvl_data.outcome import UserError
from model.checkpoint import write
from model.config import ModelConfig
from model.freeze import Stage, parameter_groups, set_stage
from model.processor import Processor
from model.tokenizer import load_tokenizer
from model.vlm import Loss, VisionLanguageModel
from train.blank_image import with_blank_image
from train.checkpoints import Checkpoints, whole_parameters
from train.cuts import count_cuts, describe_cuts
from train.evaluate import Scorer
from train.held_out import held_out_scorers, scorer
from train.log import Log
from train.meter import Meter
from train.parallel import Ranks, let_go, spread
from train.plan import LANGUAGE
from train.schedules import factor
from train.settings import Stages, TrainRecipe, model_config
from train.sources import make_plan, measure_lengths, open_corpus
from train.stream import Loader, LoaderSettings, MicroBatch, TooManyBroken
from train.weights import begin_facts, begin_or_go_on, first_weights, stage_folder

#: Losses of one modality that a spike is measured against.
_MEAN_OF = 100


class TrainingStopped(UserError):
    """A run that ends itself; the message says why and what to do."""


class Trainer:
    """Trains one stage, from its last checkpoint if there is one."""

    def __init__(
        self,
        recipe: TrainRecipe,
        stages: Stages,
        stage: Stage,
        ranks: Ranks,
        *,
        begin: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        """`begin`: the folder of weights to begin from; none: what the recipe says.

        `folder`: the stage's own, where its chain is not the whole one (see `train/weights.py`).

        Raises `RecipeError` and `UserError` for what cannot work, before anything is trained.
        """
        self._recipe, self._stage, self._ranks = recipe, stage, ranks
        self.settings = stages.of(stage)
        self.config = model_config(recipe)
        self.processor = _processor(recipe, self.config)
        self.folder = folder or stage_folder(recipe, stage)
        self.corpus = open_corpus(recipe, self.processor)
        measure_lengths(self.corpus, ranks, max(1, recipe.workers))
        self.plan = make_plan(recipe, self.settings, self.corpus)
        self._checkpoints = Checkpoints(self.folder / "checkpoints", ranks, recipe.keep)
        last = self._checkpoints.last()
        facts = begin_facts(recipe, self.settings, self.config, self.corpus.digest, begin)
        begun = last is not None or (self.folder / "final").exists()
        begin_or_go_on(self.folder, facts, ranks, begun=begun)
        with torch.device("meta"):
            self.model = VisionLanguageModel(self.config)
        # Of a model that goes on, the weights come from its checkpoint; these only make its shape.
        weights = first_weights(recipe, self.config, begin if last is None else None, ranks)
        spread(
            self.model,
            weights,
            ranks,
            half=recipe.precision == "bf16",
            recompute=self.settings.recompute,
            compiled=recipe.compile,
        )
        del weights
        set_stage(self.model, stage)
        self.optimiser = torch.optim.AdamW(
            [dict(group) for group in parameter_groups(self.model, recipe.weight_decay)],
            lr=self.settings.learning_rate,
            betas=recipe.betas,
            fused=ranks.device.type == "cuda",
        )
        self._trained = [p for p in self.model.parameters() if p.requires_grad]
        _begin_moments(self.optimiser)
        self.meter = Meter(self.config, stage, self.corpus.categories, ranks, recipe.peak_tflops)
        #: The last losses, by modality.
        self._recent: dict[str, deque[float]] = {}
        state = None
        self.step = self._skipped = self._broken = 0
        if last is not None:
            facts = self._checkpoints.load(last, self.model, self.optimiser)
            self.step, self._skipped, state = facts["step"], facts["skipped"], facts["loader"]
            self._broken = facts["broken"]
            self.meter.go_on(facts["meter"])
            for modality, losses in facts["recent"].items():
                self._recent[modality] = deque(losses, maxlen=_MEAN_OF)
        try:
            self.loader = Loader(
                self.corpus,
                self.processor,
                self.plan,
                LoaderSettings(
                    self.settings.micro_rows,
                    recipe.workers,
                    recipe.ahead,
                    broken=None,  # all ranks must end together: counted here
                    pin=ranks.device.type == "cuda",
                ),
                rank=ranks.rank,
                world=ranks.world,
                state=state,
            )
        except ValueError as error:
            raise UserError(f"stage {stage}, in {self.folder}: {error}") from error
        self._evaluations: list[Scorer] = [
            *(scorer(given, self.processor) for given in recipe.evaluate),
            *held_out_scorers(self.corpus, self.processor, self.plan, recipe.held_out),
        ]
        self._stop = False

    def run(self) -> Path:
        """Train to the stage's last step; returns the folder of the final weights.

        Ends early, with a checkpoint, on SIGTERM or SIGINT: raises `TrainingStopped`.
        """
        final = self.folder / "final"
        if final.exists():
            if self._ranks.first:
                Log.warn(f"stage {self._stage} is trained already: {final}")
            return final
        with (
            Log(self.folder, self._ranks, self.settings.steps, self.step) as log,
            _signals(self._on_signal),
            closing(iter(self.loader)) as micros,
        ):
            log.say(self.describe())
            if self._ranks.first:
                cuts = count_cuts(self.corpus, self.plan, self.config.image_tokens)
                log.say(describe_cuts(cuts))
            if self.step == 0:
                self._evaluate(log)
            steps = _by_step(micros)
            epochs = dict(self.loader.epochs)
            while self.step < self.settings.steps:
                began = time.perf_counter()
                batches = next(steps)
                waited = time.perf_counter() - began
                facts = self.train_step(batches)
                self.meter.add_time(time.perf_counter() - began, waited)
                self.step += 1
                log.ids(self.step, batches)
                self._check_broken(batches)
                epochs = self._tell_epochs(log, epochs)
                if self.step % self._recipe.log_every == 0 or self.step == self.settings.steps:
                    log.line({**facts, **self.meter.line(), **_epochs(self.loader)})
                last = self.step == self.settings.steps
                if last or self.step % self._recipe.evaluate_every == 0:
                    self._evaluate(log)
                stop = self._stopping()
                if stop or self.step % self._recipe.checkpoint_every == 0:
                    self._save()
                if stop:
                    self._checkpoints.finish()
                    raise TrainingStopped(
                        f"stopped by a signal after step {self.step} of stage {self._stage}, with "
                        "a checkpoint; the same command goes on"
                    )
        self._save()
        self._checkpoints.finish()
        parameters = whole_parameters(self.model, self._ranks)
        if self._ranks.first:
            write(self.config, parameters, final, tokenizer=self.processor.tokenizer)
        self._ranks.wait()
        return final

    def train_step(self, batches: list[MicroBatch]) -> dict[str, Any]:
        """One step of the optimiser; returns what is worth a line of the log."""
        self.optimiser.zero_grad(set_to_none=True)
        modality = batches[0].modality
        total, predicted = 0.0, 0
        for micro in batches:
            loss = self._loss(micro)
            loss.sum.backward()  # type: ignore[no-untyped-call]
            total += float(loss.sum.detach())
            predicted += int(loss.tokens)
            self.meter.add(micro, loss)
        broken = sum(len(micro.broken) for micro in batches)
        total, predicted_everywhere, broken_everywhere = self._ranks.total(
            [total, predicted, broken]
        )
        self._broken += int(broken_everywhere)
        mean = total / max(1.0, predicted_everywhere)
        gradients = [p.grad for p in self._trained if p.grad is not None]
        torch._foreach_mul_(gradients, 1 / max(1.0, predicted_everywhere))
        norm = torch.nn.utils.clip_grad_norm_(self._trained, self._recipe.clip)
        whole_norm = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        rate = self.settings.learning_rate * factor(self.settings, self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        recent = self._recent.setdefault(modality, deque(maxlen=_MEAN_OF))
        bad = self._what_is_wrong(mean, whole_norm, recent)
        if bad:
            self._skip(bad, batches)
        else:
            recent.append(mean)
            self.meter.add_step(modality, total, predicted_everywhere)
            self.optimiser.step()
        return {
            "step": self.step + 1,
            "loss": mean,
            "learning_rate": rate,
            "gradient_norm": whole_norm,
            "modality": modality,
            "skipped": self._skipped,
            "broken": self._broken,
        }

    def describe(self) -> str:
        """One line on what will be trained."""
        trained = sum(p.numel() for p in self._trained)
        settings = self.settings
        how = "packed" if settings.packing else "padded"
        shares = ", ".join(f"{name} {share:g}" for name, share in self.plan.shares.items())
        return (
            f"stage {self._stage} of {self.config.name}: {trained / 1e6:,.1f} M trained "
            f"parameters, {settings.steps} steps of {settings.rows} {how} rows of "
            f"{settings.tokens} tokens on {self._ranks.world} x {self._ranks.device.type}; "
            f"shares: {shares}" + (f"; from step {self.step}" if self.step else "")
        )

    def _loss(self, micro: MicroBatch) -> Loss:
        batch = micro.batch
        # In stage 1 only what images go through is trained: without one nothing has a gradient.
        seeing = self._stage == 1 or micro.modality != LANGUAGE
        if seeing and not len(batch.images):
            batch = with_blank_image(batch, self.config)
        device = self._ranks.device
        loss = self.model(
            batch.tokens.to(device, non_blocking=True),
            batch.images.to(device, non_blocking=True),
            batch.documents,
            batch.labels.to(device, non_blocking=True),
        )
        assert isinstance(loss, Loss)
        return loss

    def _what_is_wrong(self, loss: float, norm: float, recent: Collection[float]) -> str:
        if not torch.isfinite(torch.tensor([loss, norm])).all():
            return f"the loss is {loss}, the gradient's norm {norm}"
        mean = sum(recent) / len(recent) if recent else 0.0
        known = self._recipe.spike > 0 and len(recent) == _MEAN_OF
        if known and loss > self._recipe.spike * mean:
            return f"the loss is {loss:.3f}, {loss / mean:.1f} times the mean of the last steps"
        return ""

    def _skip(self, why: str, batches: list[MicroBatch]) -> None:
        """Leave a step out, or end the run, and say which samples it was made of."""
        keys = [key for micro in batches for row in micro.keys for key in row]
        self._skipped += 1
        said = (
            f"step {self.step + 1} of stage {self._stage}: {why}; this rank's samples: "
            f"{', '.join(keys)}"
        )
        if self._recipe.on_bad_step == "stop" or self._skipped > self._recipe.most_skipped:
            raise TrainingStopped(
                f"{said}. {self._skipped} bad steps; `dsvl-data corpus explain KEY` tells where a "
                "sample comes from; the last checkpoint is whole"
            )
        Log.warn(said)

    def _check_broken(self, batches: list[MicroBatch]) -> None:
        """End the run, on all ranks, when too many of all ranks' samples could not be read."""
        if self._broken <= self._recipe.broken:
            return
        last = [said for micro in batches for said in micro.broken][-3:]
        raise TooManyBroken(
            f"{self._broken} samples cannot be read, {self._recipe.broken} are allowed; the last "
            f"of this rank: {'; '.join(last) or 'in earlier steps'}. "
            f"{self.folder / 'broken-*.jsonl'} names them all; `dsvl-data shards verify` lists "
            "all damage"
        )

    def _tell_epochs(self, log: Log, before: Mapping[str, float]) -> dict[str, float]:
        """Say which categories have come to their end and start over."""
        now = self.loader.epochs
        for name, epochs in now.items():
            if int(epochs) > int(before.get(name, 0)):
                log.say(
                    f"step {self.step}: {name} has come to its end and starts over: epoch "
                    f"{int(epochs) + 1}"
                )
        return now

    def _evaluate(self, log: Log) -> None:
        for evaluation in self._evaluations:
            score = evaluation.score(self.model, rows=self.settings.micro_rows)
            let_go(self.model)
            log.score(self.step, score)

    def _save(self) -> None:
        facts = {
            "step": self.step,
            "skipped": self._skipped,
            "broken": self._broken,
            "recent": {modality: list(losses) for modality, losses in self._recent.items()},
            "meter": self.meter.state(),
            "loader": self.loader.state,
        }
        self._checkpoints.save(self.model, self.optimiser, facts)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop = True

    def _stopping(self) -> bool:
        """Whether any rank was told to stop: all then do after the same step."""
        return self._ranks.total([float(self._stop)])[0] > 0


def _begin_moments(optimiser: torch.optim.AdamW) -> None:
    """Make all moments, as the first gradient of each parameter would.

    Steps of language alone give the adaptor no gradient; what a checkpoint must hold cannot depend
    on which steps came before it.
    """
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            optimiser.state[parameter] = {
                "step": torch.zeros((), device=parameter.device if group["fused"] else "cpu"),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }


def _processor(recipe: TrainRecipe, config: ModelConfig) -> Processor:
    try:
        return Processor(config, load_tokenizer(recipe.tokenizer))
    except ValueError as error:
        raise UserError(f"tokenizer {recipe.tokenizer!r}: {error}") from error


def _epochs(loader: Loader) -> dict[str, float]:
    return {f"epochs/{name}": round(epochs, 3) for name, epochs in loader.epochs.items()}


def _by_step(micros: Iterator[MicroBatch]) -> Iterator[list[MicroBatch]]:
    batches: list[MicroBatch] = []
    for micro in micros:
        batches.append(micro)
        if micro.last:
            yield batches
            batches = []


@contextmanager
def _signals(handler: Any) -> Iterator[None]:
    """Let SIGTERM and SIGINT end the run between two steps.

    A worker of Ray trains in a thread, where nobody may handle signals: Ray ends it as it likes,
    and the run goes on from the last checkpoint.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
