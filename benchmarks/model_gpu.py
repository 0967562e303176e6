"""Forward passes and training steps of whole models: bf16, compiled or not; MFU and memory.

One line for each preset, pass and way of running. A row is `--length` tokens: an image for every
`--per-image` of them, the rest text, cut into documents of unequal lengths that do not see each
other. MFU counts what `model.cost` says the arithmetic needs, against the device's dense bf16 peak:
nothing for padding, masked attention or activations computed twice. Weights, gradients and AdamW's
two moments are all bf16 here (a trainer that keeps float32 masters needs 8 to 12 bytes a parameter
more); the time of a step is forward, backward and AdamW.

    python -m benchmarks.model_gpu --presets 1.3b 1.3b-hybrid 7b --stage 2 [--checkpoint]
    python -m benchmarks.model_gpu --device cpu --presets tiny --length 512 --per-image 256

A pass that does not fit into the device's memory says so in its line.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch.utils.checkpoint import checkpoint

from model.config import PRESETS, ModelConfig, preset
from model.cost import BatchShape, StepCost, parameter_counts, step_flops
from model.freeze import Stage, parameter_groups, set_stage
from model.packing import IGNORED, Rows, lay_out, targets
from model.vlm import Loss, VisionLanguageModel, initialise_weights

# Dense bf16, in FLOP/s, by the makers' data sheets.
PEAKS = {"H100 PCIe": 756e12, "H100": 989e12, "H200": 989e12, "A100": 312e12, "B200": 2250e12}


@dataclass(frozen=True)
class Work:
    """A batch on the device, and what it costs."""

    tokens: torch.Tensor
    images: torch.Tensor
    rows: Rows
    labels: torch.Tensor
    shape: BatchShape


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    options.add_argument("--presets", nargs="+", choices=PRESETS, default=["1.3b", "7b"])
    options.add_argument("--stage", type=int, choices=get_args(Stage), default=2)
    options.add_argument("--length", type=int, default=4096)
    options.add_argument("--rows", type=int, default=2)
    options.add_argument("--per-image", type=int, default=2048)
    options.add_argument("--steps", type=int, default=10)
    options.add_argument("--device", default="cuda")
    options.add_argument("--checkpoint", action="store_true", help="recompute activations")
    options.add_argument("--eager-only", action="store_true")
    options.add_argument("--peak", type=float, help="FLOP/s; default: by the device's name")
    options.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no GPU here; --device cpu --presets tiny runs the same code on a CPU")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    peak = given.peak or next((flops for part, flops in PEAKS.items() if part in name), None)
    print(
        f"{name}, torch {torch.__version__}, {given.rows} rows of {given.length},"
        f" {dtype_on(device)}"
    )
    for preset_name in given.presets:
        config = preset(preset_name)
        total = sum(parameter_counts(config).values())
        print(f"{preset_name}: {total / 1e9:.3f} G parameters, stage {given.stage}")
        for compiled in (False,) if given.eager_only else (False, True):
            measure(config, given, device, compiled, peak)


def measure(
    config: ModelConfig,
    given: argparse.Namespace,
    device: torch.device,
    compiled: bool,
    peak: float | None,
) -> None:
    """Both passes of one model, a line each."""
    with torch.device("meta"):
        model = VisionLanguageModel(config).to(dtype_on(device))
    model.to_empty(device=device)
    if device.type == "cpu":
        initialise_weights(model)
    else:
        # Speed depends on no value, but on their being finite; a 7B's draws take a CPU minutes.
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
    set_stage(model, given.stage)
    if given.checkpoint:
        recompute(model)
    if compiled:
        compile_layers(model)
    work = batch(config, given, device)
    how = "compiled" if compiled else "eager"

    def forward() -> None:
        with torch.no_grad():
            loss(model, work)

    optimiser = torch.optim.AdamW(
        [dict(group) for group in parameter_groups(model)],
        lr=1e-5,
        betas=(0.9, 0.95),
        weight_decay=0.0,
        fused=True,
    )

    def step() -> None:
        torch.autograd.backward(loss(model, work).mean)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    try:
        line(f"forward, {how}", forward, step_flops(config, None, work.shape), work, peak, given)
        cost = step_flops(config, given.stage, work.shape)
        line(f"training step, {how}", step, cost, work, peak, given)
    except torch.cuda.OutOfMemoryError:
        print(f"  {how}: does not fit into the device's memory")


def dtype_on(device: torch.device) -> torch.dtype:
    """bf16, but on a CPU, most of which have to emulate it."""
    return torch.float32 if device.type == "cpu" else torch.bfloat16


def loss(model: VisionLanguageModel, work: Work) -> Loss:
    found = model(work.tokens, work.images, work.rows, work.labels)
    assert isinstance(found, Loss)
    return found


def line(
    name: str,
    run: Callable[[], None],
    cost: StepCost,
    work: Work,
    peak: float | None,
    given: argparse.Namespace,
) -> None:
    cuda = work.tokens.device.type == "cuda"

    def synchronised() -> float:
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    start = synchronised()
    run()
    run()  # the second one too: what is compiled may be compiled again for other strides
    warming = synchronised() - start
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(given.steps):
        start = synchronised()
        run()
        seconds.append(synchronised() - start)
    median = statistics.median(seconds)
    parts = [
        f"  {name:24} {median * 1e3:9.1f} ms",
        f"{work.tokens.numel() / median:9.0f} tokens/s",
        f"{len(work.images) / median:7.2f} images/s",
        f"{cost.total / median / 1e12:7.2f} TFLOP/s",
        f"MFU {cost.utilisation(median, peak):6.1%}" if peak else "MFU unknown: give --peak",
    ]
    if cuda:
        parts.append(f"peak {torch.cuda.max_memory_allocated() / 2**30:5.1f} GiB")
    print("  ".join([*parts, f"(first two {warming:.1f} s)"]), flush=True)


def batch(config: ModelConfig, given: argparse.Namespace, device: torch.device) -> Work:
    """Packed rows: in each, documents of an image and text, and documents of text alone."""
    generator = torch.Generator().manual_seed(0)
    each, length = config.image_tokens, given.length
    with_image = min(length // given.per_image, length // (each + 2))
    documents = torch.zeros(given.rows, length, dtype=torch.int64)
    tokens = torch.randint(
        1, min(config.tokens.bos, config.tokens.image), documents.shape, generator=generator
    )
    for row in range(given.rows):
        for number in range(with_image):
            start = number * length // with_image
            tokens[row, start + 1 : start + 1 + each] = config.tokens.image
            documents[row, start:] += 1
            # The rest of its stretch: a text of its own, from two thirds of the way on.
            documents[row, start + each + (length // with_image - each) * 2 // 3 :] += 1
    labels = tokens.masked_fill(tokens == config.tokens.image, IGNORED)
    rows = lay_out(documents, device)
    tokens, labels = tokens.to(device), labels.to(device)
    size = config.image_size
    images = torch.randint(
        0, 256, (given.rows * with_image, 3, size, size), dtype=torch.uint8, generator=generator
    ).to(device)
    predicted = int((targets(labels, rows) != IGNORED).sum())
    lengths = [end - start for _, start, end in rows.spans]
    return Work(tokens, images, rows, labels, BatchShape(lengths, len(images), predicted))


def compile_layers(model: VisionLanguageModel) -> None:
    """Each layer by itself: the model is many times the same one, and that compiles once."""
    high = list(model.high.blocks) if model.high is not None else []
    for layer in (*high, *model.low.blocks, *model.language.layers):
        layer.compile()


def recompute(model: VisionLanguageModel) -> None:
    """Keep only the inputs of the language model's layers; compute the rest again going back."""
    for layer in model.language.layers:
        forward = layer.forward

        def again(*args: Any, forward: Callable[..., torch.Tensor] = forward) -> torch.Tensor:
            kept: torch.Tensor = checkpoint(forward, *args, use_reentrant=False)
            return kept

        layer.forward = again


if __name__ == "__main__":
    main()
