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
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from dsvl_data.outcome import UserError
from model.checkpoint import write
from model.config import ModelConfig
from model.cost import BatchShape, step_flops
from model.freeze import Stage, parameter_groups, set_stage
from model.processor import IGNORED, PADDING, Batch, Processor
from model.tokenizer import load_tokenizer
from model.vlm import Loss, VisionLanguageModel
from train.checkpoints import Checkpoints, whole_parameters
from train.device import memory_gb, peak_tflops
from train.evaluate import Scorer
from train.held_out import held_out_scorers, scorer
from train.log import Log
from train.parallel import Ranks, let_go, spread
from train.plan import LANGUAGE
from train.schedules import factor
from train.settings import Stages, TrainRecipe, model_config
from train.sources import make_plan, open_corpus
from train.stream import Loader, LoaderSettings, MicroBatch
from train.weights import begin_facts, begin_or_go_on, first_weights, stage_folder

#: Losses that a spike is measured against.
_MEAN_OF = 100


class TrainingStopped(UserError):
    """A run that ends itself; the message says why and what to do."""


@dataclass(slots=True)
class _Counts:
    """What a rank has seen since the last line of the log."""

    seconds: float = 0.0
    waited: float = 0.0
    tokens: int = 0
    places: int = 0
    images: int = 0
    flops: int = 0
    steps: int = 0
    losses: dict[str, list[float]] = field(default_factory=dict)


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
            recompute=recipe.recompute,
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
        state = None
        self.step = self._skipped = 0
        if last is not None:
            facts = self._checkpoints.load(last, self.model, self.optimiser)
            self.step, self._skipped, state = facts["step"], facts["skipped"], facts["loader"]
        try:
            self.loader = Loader(
                self.corpus,
                self.processor,
                self.plan,
                LoaderSettings(
                    self.settings.micro_rows, recipe.workers, recipe.ahead, recipe.broken
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
        self._recent: deque[float] = deque(maxlen=_MEAN_OF)
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
        counts = _Counts()
        with (
            Log(self.folder, self._ranks, self.settings.steps, self.step) as log,
            _signals(self._on_signal),
            closing(iter(self.loader)) as micros,
        ):
            log.say(self.describe())
            if self.step == 0:
                self._evaluate(log)
            steps = _by_step(micros)
            while self.step < self.settings.steps:
                began = time.perf_counter()
                batches = next(steps)
                counts.waited += time.perf_counter() - began
                facts = self.train_step(batches, counts)
                counts.seconds += time.perf_counter() - began
                self.step += 1
                log.ids(self.step, batches)
                if self.step % self._recipe.log_every == 0 or self.step == self.settings.steps:
                    log.line({**facts, **self._rates(counts)})
                    counts = _Counts()
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
            write(self.config, parameters, final)
        self._ranks.wait()
        return final

    def train_step(self, batches: list[MicroBatch], counts: _Counts) -> dict[str, Any]:
        """One step of the optimiser; returns what is worth a line of the log."""
        self.optimiser.zero_grad(set_to_none=True)
        total, predicted = 0.0, 0
        for micro in batches:
            loss = self._loss(micro)
            loss.sum.backward()  # type: ignore[no-untyped-call]
            total += float(loss.sum.detach())
            predicted += int(loss.tokens)
            self._count(micro, int(loss.tokens), counts)
        if (self.step + 1) % self._recipe.log_every == 0:
            self._losses_by_category(batches[0], counts)
        total, predicted_everywhere = self._ranks.total([total, predicted])
        mean = total / max(1.0, predicted_everywhere)
        gradients = [p.grad for p in self._trained if p.grad is not None]
        torch._foreach_mul_(gradients, 1 / max(1.0, predicted_everywhere))
        norm = torch.nn.utils.clip_grad_norm_(self._trained, self._recipe.clip)
        whole_norm = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        rate = self.settings.learning_rate * factor(self.settings, self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        bad = self._what_is_wrong(mean, whole_norm)
        if bad:
            self._skip(bad, batches)
        else:
            self._recent.append(mean)
            self.optimiser.step()
        counts.steps += 1
        return {
            "step": self.step + 1,
            "loss": mean,
            "learning_rate": rate,
            "gradient_norm": whole_norm,
            "modality": batches[0].modality,
            "skipped": self._skipped,
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
        if self._ranks.world > 1 and micro.modality != LANGUAGE and not len(batch.images):
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

    def _losses_by_category(self, micro: MicroBatch, counts: _Counts) -> None:
        """From the step's first micro-batch, before its update: costs a forward pass."""
        batch, device = micro.batch, self._ranks.device
        if self._ranks.world > 1 and micro.modality != LANGUAGE and not len(batch.images):
            return
        with torch.no_grad():
            losses = self.model(
                batch.tokens.to(device),
                batch.images.to(device),
                batch.documents,
                batch.labels.to(device),
                each=True,
            )
        let_go(self.model)
        assert isinstance(losses, torch.Tensor)
        places = losses.cpu()
        for number in sorted(set(micro.categories.flatten().tolist())):
            here = (micro.categories == number) & (places != 0)
            if number >= 0 and here.any():
                name = self.corpus.categories[number]
                sums = counts.losses.setdefault(name, [0.0, 0.0])
                sums[0] += float(places[here].sum())
                sums[1] += int(here.sum())

    def _what_is_wrong(self, loss: float, norm: float) -> str:
        if not torch.isfinite(torch.tensor([loss, norm])).all():
            return f"the loss is {loss}, the gradient's norm {norm}"
        mean = sum(self._recent) / len(self._recent) if self._recent else 0.0
        known = self._recipe.spike > 0 and len(self._recent) == _MEAN_OF
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

    def _count(self, micro: MicroBatch, predicted: int, counts: _Counts) -> None:
        documents = micro.batch.documents
        lengths: list[int] = []
        for row in documents:
            there = row[row != PADDING]
            lengths += torch.unique_consecutive(there, return_counts=True)[1].tolist()
        shape = BatchShape(lengths, micro.images, predicted)
        counts.flops += step_flops(self.config, self._stage, shape).total
        counts.tokens += micro.tokens
        counts.places += documents.numel()
        counts.images += micro.images

    def _rates(self, counts: _Counts) -> dict[str, Any]:
        """What all ranks did since the last line."""
        names = sorted(self.plan.shares)
        sums = [counts.losses.get(name, [0.0, 0.0]) for name in names]
        flat = [value for pair in sums for value in pair]
        tokens, places, images, flops, waited, *flat = self._ranks.total(
            [counts.tokens, counts.places, counts.images, counts.flops, counts.waited, *flat]
        )
        seconds = max(counts.seconds, 1e-9)
        rates: dict[str, Any] = {
            "seconds_a_step": seconds / counts.steps,
            "tokens_a_second": tokens / seconds,
            "images_a_second": images / seconds,
            "padding": 1 - tokens / max(1.0, places),
            "waiting_for_data": waited / self._ranks.world / seconds,
            "tflops": flops / self._ranks.world / seconds / 1e12,
            "memory_gb": memory_gb(self._ranks.device),
            "broken": self.loader.broken,
        }
        peak = self._recipe.peak_tflops or peak_tflops(self._ranks.device)
        if peak:
            rates["mfu"] = rates["tflops"] / peak
        for name, total, number in zip(names, flat[::2], flat[1::2], strict=True):
            if number:
                rates[f"loss/{name}"] = total / number
        for name, epochs in self.loader.epochs.items():
            rates[f"epochs/{name}"] = round(epochs, 3)
        return rates

    def _evaluate(self, log: Log) -> None:
        for evaluation in self._evaluations:
            score = evaluation.score(self.model, rows=self.settings.micro_rows)
            let_go(self.model)
            log.score(self.step, score)

    def _save(self) -> None:
        facts = {"step": self.step, "skipped": self._skipped, "loader": self.loader.state}
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


def with_blank_image(batch: Batch, config: ModelConfig) -> Batch:
    """The batch with one row more: a blank image that no loss falls on.

    Where ranks share the towers' parameters, either all run a tower or none may.
    """
    length = max(config.image_tokens, batch.tokens.shape[1])

    def widened(values: torch.Tensor, filling: int, row: torch.Tensor) -> torch.Tensor:
        wide = torch.full((len(values) + 1, length), filling)
        wide[:-1, : values.shape[1]] = values
        wide[-1, : len(row)] = row
        return wide

    places = torch.arange(config.image_tokens)
    size = config.image_size
    return replace(
        batch,
        tokens=widened(
            batch.tokens, config.tokens.eos, torch.full_like(places, config.tokens.image)
        ),
        labels=widened(batch.labels, IGNORED, torch.full_like(places, IGNORED)),
        documents=widened(batch.documents, PADDING, torch.zeros_like(places)),
        positions=widened(batch.positions, 0, places),
        images=torch.zeros((1, 3, size, size), dtype=torch.uint8),
    )


def _processor(recipe: TrainRecipe, config: ModelConfig) -> Processor:
    try:
        return Processor(config, load_tokenizer(recipe.tokenizer))
    except ValueError as error:
        raise UserError(f"tokenizer {recipe.tokenizer!r}: {error}") from error


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
