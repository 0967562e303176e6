"""Every stage of the model against the outputs of its authors' code, whatever the set's shapes.

A golden set is a folder with `config.json`, `weights.safetensors`, `golden.safetensors` and a
`processed_*.png`, hybrid or SigLIP alone, and perhaps `image_*.png`, `geometry.json`,
`prompts.json`. `DSVL_GOLDEN` names another one than the project's:

    DSVL_GOLDEN=folder python -m pytest tests/model -k golden -rs
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from model.checkpoint import load_parameters
from model.official_config import official_config
from model.vlm import Loss, VisionLanguageModel

TOLERANCE = 2e-5


def activations(
    golden: Path, change: Callable[[VisionLanguageModel], object] = lambda model: None
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """What the golden set says, and what this model says, by the same names."""
    model = VisionLanguageModel(official_config(golden / "config.json")).requires_grad_(False)
    load_parameters(model, golden / "weights.safetensors")
    change(model)
    expected = load_file(golden / "golden.safetensors")
    pictures = [Image.open(path).convert("RGB") for path in sorted(golden.glob("processed_*.png"))]
    images = torch.from_numpy(np.stack([np.array(picture) for picture in pictures]))
    images = images.permute(0, 3, 1, 2).contiguous()
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str, module: torch.nn.Module) -> None:
        module.register_forward_hook(lambda _module, _inputs, out: seen.update({name: out}))

    if model.high is not None:
        for number, block in enumerate(model.high.blocks):
            keep(f"sam.block{number}", block)
        keep("sam.neck", model.high.neck)
        keep("sam.neck_hd", model.high.neck_first)
        keep("tower.high", model.high)
    for number, block in enumerate(model.low.blocks):
        keep(f"siglip.block{number}", block)
    keep("tower.low", model.low)
    keep("aligner.out", model.adaptor)
    tokens = expected["input_ids"].view(1, -1)
    logits = model(tokens, images)
    assert isinstance(logits, torch.Tensor)
    loss = model(tokens, images, labels=expected["labels"].view(1, -1))
    assert isinstance(loss, Loss)
    seen["logits"] = logits[0]
    seen["loss"] = loss.mean.view(1)
    if "logits_tail" in expected:
        seen["logits_tail"] = logits[0, -len(expected["logits_tail"]) :]
    return expected, seen


def differences(
    expected: dict[str, torch.Tensor], seen: dict[str, torch.Tensor]
) -> dict[str, float]:
    return {
        name: float((seen[name].reshape(value.shape) - value).abs().max())
        for name, value in sorted(expected.items())
        if name in seen
    }


def test_every_stage_is_that_of_the_authors_code(golden: Path) -> None:
    expected, seen = activations(golden)
    names = expected.keys() - {"input_ids", "labels"}
    worst = differences(expected, seen)
    assert names <= seen.keys(), f"nothing to compare with {names - seen.keys()}; else {worst}"
    assert all(difference <= TOLERANCE for difference in worst.values()), worst


def test_a_small_change_of_the_arithmetic_is_seen(golden: Path) -> None:
    """The comparison can fail: a model without the second path, as the paper has it, does."""

    def without_its_second_path(model: VisionLanguageModel) -> None:
        if model.high is None:
            pytest.skip("a set without a high branch")
        model.high.alpha.zero_()

    expected, seen = activations(golden, without_its_second_path)
    worst = differences(expected, seen)
    late = [name for name in worst if name not in ("sam.neck", "sam.neck_hd", "tower.low")]
    late = [name for name in late if ".block" not in name]
    assert max(worst[name] for name in late) > 10 * TOLERANCE, worst
    assert all(worst[name] <= TOLERANCE for name in worst if name not in late), worst
