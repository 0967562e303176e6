"""The hybrid vision encoder, forward: this model beside transformers' port, in one run.

Both have the same random weights (written by `model.checkpoint`, read by the port), at the 7B's
full size: SAM-B at 1024, SigLIP-L at 384, the adaptor; the language model is cut to one layer and
not run. Ours begins with uint8 images, the port with its two normalised ones, so normalising and
the small image are in our time and not in its. Every round runs both, in an order drawn anew;
medians are printed, the largest difference of the results, and how far memory rose above what the
weights take. With one thread the speeds are compared by processor time, which tells more than the
clock where other work runs beside; and by tower.

    python -m benchmarks.vision_encoder [--preset 7b] [--images 1] [--rounds 5] [--threads 1]
                                        [--device cuda]
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from transformers import DeepseekVLHybridForConditionalGeneration

from model import checkpoint
from model.config import LanguageConfig, ModelConfig, SamConfig, preset
from model.cost import BatchShape, step_flops
from model.images import low_resolution, normalise, unit_range
from model.vlm import VisionLanguageModel, initialise_weights

TARGET = 1.3


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    options.add_argument("--preset", default="7b", help="7b, or tiny to try the script")
    options.add_argument("--images", type=int, default=1)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--device", default="cpu")
    options.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    config = encoder_only(preset(given.preset))
    assert config.sam is not None
    ours, port = both(config, device, dtype)
    sam = config.sam
    images = torch.randint(
        0, 256, (given.images, 3, sam.image_size, sam.image_size), dtype=torch.uint8
    ).to(device)
    high, low = prepared(config, images)
    high, low = high.to(dtype), low.to(dtype)
    contestants: dict[str, Callable[[], torch.Tensor]] = {
        "model": lambda: ours.encode(images),
        "transformers": lambda: features(port, high, low),
    }
    towers = {
        "model": ([ours.low], [ours.high]),
        "transformers": (
            [port.model.vision_model],
            [getattr(port.model, f"high_res_vision_{part}") for part in ("model", "neck", "proj")],
        ),
    }
    clocks = {name: (Clock(low), Clock(high)) for name, (low, high) in towers.items()}
    with torch.inference_mode():
        difference = (contestants["model"]() - contestants["transformers"]()).abs().max().item()
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        processor: dict[str, list[float]] = {name: [] for name in contestants}
        memory = {name: peak(run, device) for name, run in contestants.items()}
        for pair in clocks.values():
            for clock in pair:
                clock.take()
        for _ in range(given.rounds):
            for name in random.sample(list(contestants), len(contestants)):
                wall, cpu = timed(contestants[name], device)
                seconds[name].append(wall)
                processor[name].append(cpu)
                for clock in clocks[name]:
                    clock.rounds.append(clock.take())
    flops = step_flops(config, None, BatchShape([], given.images, 0)).components
    work = sum(flops[part].forward for part in ("sam", "downsamples", "siglip", "adaptor"))
    print(f"hybrid encoder, {given.preset}, {given.images} image(s), {dtype}, {describe(device)}")
    print(f"largest difference of the results: {difference:.2e}")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(
            f"{name:12}  {median:8.3f} s  ({min(times):.3f} to {max(times):.3f})"
            f"  {given.images / median:7.2f} images/s  {work / median / 1e9:8.1f} GFLOP/s"
            f"  {memory[name] / 2**20:7.0f} MiB above the weights"
            f"  (processor time {statistics.median(processor[name]):.2f} s:"
            f" SigLIP {statistics.median(clocks[name][0].rounds):.2f},"
            f" SAM with its necks and convolutions {statistics.median(clocks[name][1].rounds):.2f})"
        )
    alone = given.threads == 1 and device.type == "cpu"
    compared = processor if alone else seconds
    ratios = [t / m for m, t in zip(compared["model"], compared["transformers"], strict=True)]
    speed = statistics.median(compared["transformers"]) / statistics.median(compared["model"])
    rounds = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(
        f"{speed:.2f} x the speed by {'processor time' if alone else 'the clock'}"
        f" (by round: {rounds}); target {TARGET} x on a CPU at full size"
    )
    print(f"{memory['model'] / memory['transformers']:.2f} x the memory; target below 1")
    full_size = config.sam == SamConfig() and device.type == "cpu"
    if full_size and (speed < TARGET or memory["model"] >= memory["transformers"]):
        raise SystemExit("missed")


def encoder_only(config: ModelConfig) -> ModelConfig:
    """The same encoder and adaptor, before a language model of one small layer."""
    language = config.language
    small = LanguageConfig(320, language.width, 64, 1, language.heads, language.kv_heads)
    return replace(config, language=small, tokens=preset("tiny").tokens)


def both(
    config: ModelConfig, device: torch.device, dtype: torch.dtype
) -> tuple[VisionLanguageModel, DeepseekVLHybridForConditionalGeneration]:
    ours = VisionLanguageModel(config).requires_grad_(False)
    initialise_weights(ours)
    assert ours.high is not None
    ours.high.alpha.fill_(0.3)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "model"
        checkpoint.save(ours, written)
        port = DeepseekVLHybridForConditionalGeneration.from_pretrained(written, dtype=dtype)
    moved: torch.nn.Module = port  # what transformers declares of `to` is not what it takes
    moved.to(device).eval()
    return ours.to(device, dtype).eval(), port


def prepared(config: ModelConfig, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the port's processor would hand it."""
    assert config.sam is not None
    pixels = unit_range(images)
    small = low_resolution(pixels, config.siglip.image_size)
    return (
        normalise(pixels, config.sam.mean, config.sam.std),
        normalise(small, config.siglip.mean, config.siglip.std),
    )


def features(
    port: DeepseekVLHybridForConditionalGeneration, high: torch.Tensor, low: torch.Tensor
) -> torch.Tensor:
    found = port.model.get_image_features(low, high, return_dict=True)
    projected: torch.Tensor = found.pooler_output
    return projected


class Clock:
    """Processor time spent in some modules, of all threads; on a GPU, in launching their work."""

    def __init__(self, modules: Sequence[torch.nn.Module]) -> None:
        self.spent = 0.0
        self.rounds: list[float] = []
        for module in modules:
            module.register_forward_pre_hook(lambda *_: self._add(-time.process_time()))
            module.register_forward_hook(lambda *_: self._add(time.process_time()))

    def take(self) -> float:
        """Seconds since it was last asked."""
        spent, self.spent = self.spent, 0.0
        return spent

    def _add(self, seconds: float) -> None:
        self.spent += seconds


def timed(run: Callable[[], torch.Tensor], device: torch.device) -> tuple[float, float]:
    """Seconds on the clock, and of all threads together: the latter tells of a busy machine."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start, begun = time.perf_counter(), time.process_time()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, time.process_time() - begun


def peak(run: Callable[[], torch.Tensor], device: torch.device) -> int:
    """Bytes above what was held before: the allocator's on a GPU, the process's on Linux."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # begins the peak anew
    before = resident("VmRSS")
    run()
    return resident("VmHWM") - before


def resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def describe(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads, torch {torch.__version__}"


if __name__ == "__main__":
    main()
