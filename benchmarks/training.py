"""Training on real shards beside Hugging Face's Trainer with transformers' port, in one run.

Stage 2 of a preset, from random weights that all contestants share:

- `ours`: `train.loop.Trainer` itself, packed rows from the corpus through the loader;
- `synthetic`: its same step on noise of the same shapes, made beforehand: what `ours` takes longer
  is what the loader costs;
- `transformers`: Hugging Face's Trainer and the DeepSeek-VL port on the samples of `ours`, in the
  same order, already decoded; padded batches of as many rows as a micro-batch of ours, as many of
  them a step as take the samples of one step of ours.

Useful tokens are those of samples, images' included; padding is none. MFU counts what `model.cost`
says the samples need, for all contestants alike, against the device's dense bf16 peak. On a GPU all
compute in bf16 with float32 weights and moments, on a CPU in float32.

    python -m benchmarks.training --model 1.3b --corpus out/corpus --steps 20 [--compile]
    python -m benchmarks.training --model 7b --corpus out/corpus --steps 10 [--recompute]
    python -m benchmarks.training --model tiny --corpus out/corpus --device cpu

The Trainer needs `accelerate` (`uv pip install --group peers`); without it the others run alone.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml

from benchmarks.training_port import run_port
from benchmarks.training_steps import STAGE, Steps, forget_peak, peak_memory, synchronised
from model.checkpoint import write
from model.config import ModelConfig, preset
from model.processor import IGNORED, PADDING, Example
from model.tokenizer import load_tokenizer, token_ids
from train.checkpoints import whole_parameters
from train.device import peak_tflops
from train.loop import Trainer
from train.parallel import Ranks, join, leave
from train.settings import load, preset_stages
from train.stream import MicroBatch

AIM_MFU, AIM_RATIO = 0.42, 3.0
#: Rows of a step and of a micro-batch on one device of 80 GB or more; the presets' are of clusters.
ROWS = {"tiny": (2, 2), "1.3b": (16, 4), "7b": (4, 1)}


class EnoughSteps(Exception):
    """Ends a run of the trainer before it exports weights."""


class TimedTrainer(Trainer):
    """The trainer; each step on the clock from the end of the one before it."""

    def measure(self, warmup: int, steps: int) -> tuple[Steps, list[list[MicroBatch]]]:
        """Train on what the loader brings; returns also what it brought, all steps of it."""
        self._took, self._warmup, self._wanted = Steps("ours"), warmup, warmup + steps
        self._brought: list[list[MicroBatch]] = []
        self._ended, self._spent = time.perf_counter(), time.process_time()
        forget_peak(self._ranks.device)
        with suppress(EnoughSteps):
            self.run()
        self._took.memory = peak_memory(self._ranks.device)
        return self._took, self._brought

    def train_step(self, batches: list[MicroBatch]) -> dict[str, Any]:
        """A step of the trainer's, then its figures."""
        began = time.perf_counter()
        facts = super().train_step(batches)
        ended = synchronised(self._ranks.device)
        if len(self._brought) >= self._warmup:
            self._took.seconds.append(ended - self._ended)
            self._took.processor.append(time.process_time() - self._spent)
            self._took.waited.append(began - self._ended)
            self._took.losses.append(facts["loss"])
            self._count_step(self._took, batches)
        # Copies: a worker's own tensors hold shared memory and a file descriptor each.
        self._brought.append([copied(micro) for micro in batches])
        if len(self._brought) == self._wanted:
            raise EnoughSteps
        self._ended, self._spent = time.perf_counter(), time.process_time()
        return facts

    def measure_synthetic(self, shapes: Sequence[list[MicroBatch]]) -> Steps:
        """Train on noise of the same shapes, with no loader."""
        took, device = Steps("synthetic"), self._ranks.device
        forget_peak(device)
        for number, shape in enumerate(shapes):
            batches = [noise(micro, self.config) for micro in shape]
            began, spent = synchronised(device), time.process_time()
            facts = super().train_step(batches)
            ended = synchronised(device)
            self.step += 1
            if number >= self._warmup:
                took.seconds.append(ended - began)
                took.processor.append(time.process_time() - spent)
                took.losses.append(facts["loss"])
                self._count_step(took, batches)
        took.memory = peak_memory(device)
        return took

    def _count_step(self, took: Steps, batches: Sequence[MicroBatch]) -> None:
        samples = [sample for micro in batches for sample in examples(micro, self.config)]
        took.count(self.config, samples, sum(micro.batch.tokens.numel() for micro in batches))


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    options.add_argument("--model", choices=ROWS, default="tiny")
    options.add_argument("--corpus", type=Path, default=Path("out/corpus"))
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--warmup", type=int, default=10, help="steps before these, not counted")
    options.add_argument("--rows", type=int, help="of a step; default: by the model")
    options.add_argument("--micro-rows", type=int, help="of a micro-batch; default: by the model")
    options.add_argument("--recompute", action="store_true", help="activations, going back")
    options.add_argument("--compile", action="store_true", help="our layers with torch.compile")
    options.add_argument("--tokenizer", default="bytes", help="`bytes`, a folder or a hub's name")
    options.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    options.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda if there is one")
    options.add_argument("--peak-tflops", type=float, help="default: by the device's name")
    given = options.parse_args()
    if not (given.corpus / "manifest.json").is_file():
        print(f"{given.corpus} is no corpus: `make corpus` builds one, --corpus names another")
        return
    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no GPU here; --model tiny --device cpu runs the same code on a CPU")
    if given.device != "cpu" and torch.cuda.device_count() > 1:
        raise SystemExit("this compares on one GPU, CUDA_VISIBLE_DEVICES=0: the Trainer takes all")
    rows, micro_rows = ROWS[given.model]
    given.rows = given.rows or rows
    given.micro_rows = given.micro_rows or min(micro_rows, given.rows)
    cpu = given.device == "cpu" or not torch.cuda.is_available()
    ranks = Ranks(0, 1, torch.device("cpu"), False) if cpu else join(sharded=True)
    peak = given.peak_tflops or peak_tflops(ranks.device)
    describe(ranks.device, given)
    with tempfile.TemporaryDirectory(prefix="training-") as folder:
        try:
            config, ours, shapes = measure_ours(given, ranks, Path(folder), peak)
        except torch.cuda.OutOfMemoryError:
            print(f"ours: {given.model} does not fit with these rows; --micro-rows 1 --recompute?")
            return
        finally:
            leave(ranks)
        samples = [one for step in shapes for micro in step for one in examples(micro, config)]
        del shapes
        measure_port(given, config, ranks.device, Path(folder), samples, ours, peak)


def measure_ours(
    given: argparse.Namespace, ranks: Ranks, folder: Path, peak: float | None
) -> tuple[ModelConfig, Steps, list[list[MicroBatch]]]:
    """Both of our contestants; leaves the weights they began with in `folder`/weights."""
    tokenizer = load_tokenizer(given.tokenizer)
    config = replace(preset(given.model), tokens=token_ids(tokenizer))
    (folder / "model.yaml").write_text(yaml.safe_dump(plain(asdict(config))), encoding="utf-8")
    usual = preset_stages(given.model).of(STAGE)
    recipe: dict[str, Any] = {
        "name": "benchmark",
        "model": "./model.yaml",
        "preset": given.model,
        "corpora": [str(given.corpus.absolute())],
        "out": "run",
        "tokenizer": given.tokenizer,
        "missing": "leave_out",
        "precision": "float32" if ranks.device.type == "cpu" else "bf16",
        "compile": given.compile,
        "recompute": given.recompute,
        "workers": given.workers,
        "log_every": 10**6,  # no extra work for a line of the log in a step that is timed
        "checkpoint_every": 10**6,
        "evaluate_every": 10**6,
        "stages": {
            "stage_2": {
                "rows": given.rows,
                "micro_rows": given.micro_rows,
                "language_warmup": 0,  # the mix of the whole training, not of its first steps
                "steps": max(usual.steps, 2 * (given.warmup + given.steps) + 1),
            }
        },
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    trainer = TimedTrainer(*load(folder / "recipe.yaml"), STAGE, ranks)
    write(config, whole_parameters(trainer.model, ranks), folder / "weights")
    ours, shapes = trainer.measure(given.warmup, given.steps)
    if ranks.device.type == "cuda":
        print(f"right after a step: {nvidia_smi()}")
    ours.tell(peak)
    synthetic = trainer.measure_synthetic(shapes)
    synthetic.tell(peak)
    both = zip(ours.seconds, synthetic.seconds, strict=True)
    cost = statistics.median(real / made - 1 for real, made in both)
    print(
        f"the loader costs {cost:+.1%} of a synthetic step (median of pairs of one shape);"
        f" ours waited {sum(ours.waited) / sum(ours.seconds):.1%} of its time for data"
    )
    if peak:
        found = sum(ours.flops) / sum(ours.seconds) / 1e12 / peak
        print(f"MFU {found:.1%} on real shards; aim {AIM_MFU:.0%}, 1.3b on an H100 or H200")
    return config, ours, shapes


def measure_port(
    given: argparse.Namespace,
    config: ModelConfig,
    device: torch.device,
    folder: Path,
    samples: list[Example],
    ours: Steps,
    peak: float | None,
) -> None:
    """Hugging Face's Trainer, with fewer rows a batch where as many do not fit; then the ratio."""
    if importlib.util.find_spec("accelerate") is None:
        print("transformers' Trainer needs accelerate, which is not installed: --group peers")
        return
    a_step = len(samples) / (given.warmup + given.steps)
    rows = given.micro_rows
    while rows:
        torch.compiler.reset()  # what is compiled holds on to the model it was made of
        gc.collect()
        torch.cuda.empty_cache()
        batches = max(1, round(a_step / rows))
        if len(samples) < 2 * rows * batches:
            print(f"{len(samples)} samples make no two steps of the port's: more --steps")
            return
        print(f"transformers: {batches} padded batches of {rows} a step", flush=True)
        try:
            theirs = run_port(given, config, device, folder, samples, rows, batches)
            break
        except torch.cuda.OutOfMemoryError:
            print(f"transformers: batches of {rows} do not fit into the device's memory")
            rows //= 2
    else:
        return
    theirs.tell(peak)
    print(
        f"{ours.rate / theirs.rate:.2f} x the useful tokens a second of transformers' Trainer"
        f" ({ours.processor_rate / theirs.processor_rate:.2f} x by this process's CPU time);"
        f" aim {AIM_RATIO:g} x, 1.3b on an H100 or H200"
    )


def noise(micro: MicroBatch, config: ModelConfig) -> MicroBatch:
    """Random texts and images where the micro-batch has its own; labels where it has some."""
    batch = micro.batch
    text = torch.randint(1, config.tokens.bos, batch.tokens.shape)
    tokens = torch.where(batch.tokens == config.tokens.image, batch.tokens, text)
    labels = torch.where(batch.labels == IGNORED, IGNORED, tokens)
    images = torch.randint(0, 256, batch.images.shape, dtype=torch.uint8)
    return replace(micro, batch=replace(batch, tokens=tokens, labels=labels, images=images))


def copied(micro: MicroBatch) -> MicroBatch:
    tensors = {f.name: getattr(micro.batch, f.name).clone() for f in fields(micro.batch)}
    categories = micro.categories.clone()
    return replace(micro, batch=replace(micro.batch, **tensors), categories=categories)


def examples(micro: MicroBatch, config: ModelConfig) -> list[Example]:
    """The samples that a micro-batch's rows are packed of."""
    batch = micro.batch
    found: list[Example] = []
    taken = 0
    for tokens, labels, documents in zip(batch.tokens, batch.labels, batch.documents, strict=True):
        for number in torch.unique(documents[documents != PADDING]):
            here = documents == number
            images = int((tokens[here] == config.tokens.image).sum()) // config.image_tokens
            found.append(Example(tokens[here], labels[here], batch.images[taken : taken + images]))
            taken += images
    assert taken == len(batch.images)
    return found


def plain(value: Any) -> Any:
    """With lists for tuples, which safe YAML has no word for."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def describe(device: torch.device, given: argparse.Namespace) -> None:
    """The machine as it was found: nothing is set."""
    if device.type == "cuda":
        what = f"{torch.cuda.get_device_name(device)}; {nvidia_smi()}"
    else:
        load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        what = f"CPU, {torch.get_num_threads()} threads, load {load}; no GPU: no power, no clocks"
    print(
        f"{given.model}, stage {STAGE}, {given.rows} rows a step, {given.micro_rows} at a time,"
        f" tokenizer {given.tokenizer}, {given.workers} workers; torch {torch.__version__},"
        f" transformers {transformers.__version__}; {what}",
        flush=True,
    )


def nvidia_smi() -> str:
    """Power and clocks, now and at most, by `nvidia-smi`."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "no nvidia-smi: power and clocks unknown"
    names = "power.limit,power.draw,clocks.sm,clocks.max.sm,clocks.mem,temperature.gpu"
    asked = [program, f"--query-gpu={names}", "--format=csv,noheader", "--id=0"]
    answer = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)
    values = answer.stdout.strip().split(", ")
    if answer.returncode or len(values) != len(names.split(",")):
        return f"nvidia-smi failed: {answer.stderr.strip() or answer.stdout.strip()}"
    return ", ".join(f"{k} {v}" for k, v in zip(names.split(","), values, strict=True))


if __name__ == "__main__":
    main()
