"""What a stage has done since the last line of its log: losses, speed, padding, waiting.

In: the micro-batches of a rank with their losses, and how long steps took. Out: figures of all
ranks for a line of the log. The losses are of every step since the last line, so that steps of one
modality are seen however they fall; a checkpoint takes along what no line has told yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from model.config import ModelConfig
from model.cost import BatchShape, step_flops
from model.freeze import Stage
from model.processor import IGNORED, PADDING, Batch
from model.vlm import Loss
from train.device import memory_gb, peak_tflops
from train.parallel import Ranks
from train.stream import MicroBatch


class Meter:
    """Sums of one rank, and the figures that follow from those of all."""

    def __init__(
        self,
        config: ModelConfig,
        stage: Stage,
        categories: Sequence[str],
        ranks: Ranks,
        peak: float | None = None,
    ) -> None:
        """`categories`: by the corpus's numbers. `peak`: teraflops of a device, where known."""
        self._config, self._stage, self._ranks = config, stage, ranks
        self._categories = tuple(categories)
        self._peak = peak or peak_tflops(ranks.device)
        self._begin()

    def _begin(self) -> None:
        self._seconds = self._waited = 0.0
        self._useful = self._tokens = self._places = self._images = self._flops = self._steps = 0
        #: By category: the sum of the losses, and of how many tokens.
        self._by_category = torch.zeros((2, len(self._categories)), dtype=torch.float64)
        #: The same by modality, of all ranks.
        self._by_modality: dict[str, list[float]] = {}

    def add(self, micro: MicroBatch, loss: Loss) -> None:
        """Count a micro-batch; rows of the loss that it does not have are left out."""
        batch = micro.batch
        lengths: list[int] = []
        for row in batch.documents:
            there = row[row != PADDING]
            lengths += torch.unique_consecutive(there, return_counts=True)[1].tolist()
        where = predicted(batch)
        numbers = micro.categories[where]
        shape = BatchShape(lengths, micro.images, len(numbers))
        self._flops += step_flops(self._config, self._stage, shape).total
        self._useful += micro.trained
        self._tokens += micro.tokens
        self._places += batch.documents.numel()
        self._images += micro.images
        rows, length = where.shape
        losses = loss.each[:rows, :length].cpu()[where].double()
        self._by_category[0].index_add_(0, numbers, losses)
        self._by_category[1] += torch.bincount(numbers, minlength=len(self._categories))

    def add_step(self, modality: str, total: float, tokens: float) -> None:
        """Count a step's loss over all ranks: its sum, and of how many tokens."""
        sums = self._by_modality.setdefault(modality, [0.0, 0.0])
        sums[0] += total
        sums[1] += tokens

    def add_time(self, seconds: float, waited: float) -> None:
        """Count the time of a step, and how much of it was spent waiting for data."""
        self._steps += 1
        self._seconds += seconds
        self._waited += waited

    def line(self) -> dict[str, Any]:
        """What all ranks did since the last line; begins anew. All ranks ask at once."""
        useful, tokens, places, images, flops, waited, *by_category = self._ranks.total(
            [
                self._useful,
                self._tokens,
                self._places,
                self._images,
                self._flops,
                self._waited,
                *self._by_category.flatten().tolist(),
            ]
        )
        seconds = max(self._seconds, 1e-9)
        world = self._ranks.world
        figures: dict[str, Any] = {
            "seconds_a_step": seconds / max(1, self._steps),
            "tokens_a_second": useful / seconds,
            "images_a_second": images / seconds,
            "padding": 1 - tokens / max(1.0, places),
            "waiting_for_data": waited / world / seconds,
            "tflops": flops / world / seconds / 1e12,
            "memory_gb": self._ranks.most(memory_gb(self._ranks.device)),
        }
        if self._peak:
            figures["mfu"] = figures["tflops"] / self._peak
        whole, number = map(sum, zip((0.0, 0.0), *self._by_modality.values(), strict=True))
        if number:
            figures["loss"] = whole / number
        for modality, (total, count) in sorted(self._by_modality.items()):
            if count:
                figures[f"loss_{modality}"] = total / count
        half = len(self._categories)
        for name, total, count in zip(
            self._categories, by_category[:half], by_category[half:], strict=True
        ):
            if count:
                figures[f"loss/{name}"] = total / count
        self._begin()
        return figures

    def state(self) -> dict[str, Any]:
        """The losses that no line has told yet, as JSON values. All ranks ask at once."""
        by_category = self._ranks.total(self._by_category.flatten().tolist())
        return {"by_category": by_category, "by_modality": dict(self._by_modality)}

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Take over the losses of a checkpoint, which were those of all ranks."""
        if self._ranks.first:
            sums = torch.tensor(state["by_category"], dtype=torch.float64)
            self._by_category = sums.view(2, -1)
        self._by_modality = {name: list(sums) for name, sums in state["by_modality"].items()}


def predicted(batch: Batch) -> torch.Tensor:
    """Which tokens a loss falls on, [B, T]: those with a label, but for a document's first."""
    where = torch.zeros_like(batch.labels, dtype=torch.bool)
    documents = batch.documents
    where[:, 1:] = documents[:, 1:] == documents[:, :-1]
    return where & (batch.labels != IGNORED) & (documents != PADDING)
