"""Figures of a contestant of `benchmarks/training.py`. In: samples, clocks. Out: a line of text."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.vision_encoder import resident
from model.config import ModelConfig
from model.cost import BatchShape, step_flops
from model.freeze import Stage
from model.processor import IGNORED, Example

STAGE: Stage = 2


@dataclass(slots=True)
class Steps:
    """What one contestant did after its warm-up, step by step."""

    name: str
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    flops: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    memory: float = 0.0

    @property
    def rate(self) -> float:
        """Useful tokens a second, over all steps."""
        return sum(self.tokens) / sum(self.seconds)

    @property
    def processor_rate(self) -> float:
        """Useful tokens a second of this process's CPU time, which other work slows less."""
        return sum(self.tokens) / sum(self.processor)

    def tell(self, peak: float | None) -> None:
        """A line of figures, the first and the last loss among them."""
        flops = sum(self.flops) / sum(self.seconds)
        parts = [
            f"{self.name:12} {statistics.median(self.seconds) * 1e3:9.1f} ms a step"
            f" ({min(self.seconds) * 1e3:.0f} to {max(self.seconds) * 1e3:.0f})",
            f"{self.rate:9.0f} useful tokens/s ({self.processor_rate:.0f} a CPU second)",
            f"padding {1 - sum(self.tokens) / sum(self.places):5.1%}",
            f"{flops / 1e12:.4g} TFLOP/s",
            f"MFU {flops / 1e12 / peak:.1%}" if peak else "MFU unknown here (--peak-tflops)",
            f"peak {self.memory / 2**30:.2f} GiB",
            f"loss {self.losses[0]:.4f} to {self.losses[-1]:.4f}",
        ]
        print("  ".join(parts), flush=True)
        if not all(map(math.isfinite, self.losses)):
            raise SystemExit(f"{self.name}: a loss is no number")

    def count(self, config: ModelConfig, samples: Sequence[Example], places: int) -> None:
        """The tokens of a step's samples, the places that these took, and what they cost."""
        lengths = [len(sample.tokens) for sample in samples]
        images = sum(len(sample.images) for sample in samples)
        predicted = sum(int((sample.labels[1:] != IGNORED).sum()) for sample in samples)
        self.tokens.append(sum(lengths))
        self.places.append(places)
        shape = BatchShape(lengths, images, predicted)
        self.flops.append(step_flops(config, STAGE, shape).total)


def synchronised(device: torch.device) -> float:
    """The clock, once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def forget_peak(device: torch.device) -> None:
    """Begin the peak of memory anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory(device: torch.device) -> int:
    """Bytes at most since then: of the allocator on a GPU, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resident("VmHWM")
