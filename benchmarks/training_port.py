"""Hugging Face's Trainer with transformers' DeepSeek-VL port, for `benchmarks/training.py`.

In: weights that the port reads, samples. Out: what it did, step by step. Needs `accelerate`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.utils.data import Dataset

from benchmarks.training_steps import STAGE, Steps, forget_peak, peak_memory, synchronised
from benchmarks.vision_encoder import prepared
from model.config import ModelConfig
from model.cost import parameter_counts
from model.images import normalise, unit_range
from model.processor import PADDING, Example, collate
from train.settings import preset_stages

#: What the port keeps frozen in stage 2, as ours does; a check on the number of parameters follows.
FROZEN = ("model.vision_model.", "model.high_res_vision_model.", "model.high_res_vision_neck.")


def run_port(
    given: argparse.Namespace,
    config: ModelConfig,
    device: torch.device,
    folder: Path,
    samples: list[Example],
    rows: int,
    batches: int,
) -> Steps:
    """Train on the samples in their order, `batches` padded batches of `rows` a step."""
    kind = (
        transformers.DeepseekVLHybridForConditionalGeneration
        if config.sam
        else transformers.DeepseekVLForConditionalGeneration
    )
    port = kind.from_pretrained(folder / "weights", dtype=torch.float32)
    for name, parameter in port.named_parameters():
        parameter.requires_grad_(not name.startswith(FROZEN))
    trained = sum(p.numel() for p in port.parameters() if p.requires_grad)
    counts = parameter_counts(config, STAGE)
    if trained != sum(counts.values()):
        raise SystemExit(f"the port trains {trained:,} parameters, ours {sum(counts.values()):,}")
    settings = preset_stages(given.model).of(STAGE)
    steps = len(samples) // (rows * batches)
    clock = StepClock(device)
    trainer = transformers.Trainer(
        model=port,
        args=transformers.TrainingArguments(
            output_dir=str(folder / f"port-{rows}"),
            use_cpu=device.type == "cpu",
            bf16=device.type == "cuda",
            per_device_train_batch_size=rows,
            gradient_accumulation_steps=batches,
            max_steps=steps,
            train_sampling_strategy="sequential",
            learning_rate=settings.learning_rate,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=settings.warmup,
            adam_beta2=0.95,
            max_grad_norm=1.0,
            activation_checkpointing=given.recompute,
            dataloader_num_workers=given.workers,
            remove_unused_columns=False,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Samples(samples),
        data_collator=Padded(config),
        callbacks=[clock],
    )
    # The losses come back from `log_history`; as they come they are noise in this one's output.
    trainer.remove_callback(transformers.PrinterCallback)
    forget_peak(device)
    trainer.train()
    took = Steps("transformers", memory=peak_memory(device))
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    # The first step is on no clock: the one before it has no end.
    for number in range(min(max(1, given.warmup), steps - 1), steps):
        took.seconds.append(clock.ends[number] - clock.ends[number - 1])
        took.processor.append(clock.spent[number] - clock.spent[number - 1])
        took.losses.append(losses[number])
        chosen = samples[number * rows * batches : (number + 1) * rows * batches]
        longest = [
            max(len(sample.tokens) for sample in chosen[start : start + rows])
            for start in range(0, len(chosen), rows)
        ]
        took.count(config, chosen, rows * sum(longest))
    return took


class StepClock(transformers.TrainerCallback):
    """When each step ended."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.ends: list[float] = []
        self.spent: list[float] = []  # CPU time of this process, at those moments

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(synchronised(self._device))
        self.spent.append(time.process_time())


class Samples(Dataset[Example]):
    """Decoded samples in their order."""

    def __init__(self, samples: list[Example]) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, number: int) -> Example:
        return self._samples[number]


@dataclass(frozen=True)
class Padded:
    """A plain collator: each sample a row, padded to the longest; images as the port wants them."""

    config: ModelConfig

    def __call__(self, samples: Sequence[Example]) -> dict[str, torch.Tensor]:
        batch = collate([[sample] for sample in samples], self.config.tokens.eos)
        made = {
            "input_ids": batch.tokens,
            "labels": batch.labels,
            "attention_mask": (batch.documents != PADDING).long(),
        }
        if len(batch.images) and self.config.sam:
            high, low = prepared(self.config, batch.images)
            made |= {"pixel_values": low, "high_res_pixel_values": high}
        elif len(batch.images):
            siglip = self.config.siglip
            pixels = normalise(unit_range(batch.images), siglip.mean, siglip.std)
            made["pixel_values"] = pixels
        return made
