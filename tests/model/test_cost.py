"""Parameters and FLOPs by formula against what torch counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from model import sam
from model.config import ModelConfig, preset
from model.cost import BatchShape, parameter_counts, step_flops
from model.freeze import Stage, set_stage
from model.packing import IGNORED
from model.vlm import Loss
from tests.model.shapes import ALONE, HYBRID, pictures, randomised
from tests.model.test_sam import written_out

torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("name", "component", "millions", "digits"),
    [
        ("7b", "sam", 96.36, 2),
        ("7b", "siglip", 316.3 - 12.6, 1),
        ("7b", "adaptor", 20.98, 2),
        ("1.3b", "adaptor", 6.30, 2),
        ("7b", "language", 6910, 0),
        ("1.3b", "language", 1653, 0),
        ("1.3b", "sam", 0, 2),
        ("1.3b-hybrid", "sam", 96.36, 2),
    ],
)
def test_the_published_sizes(name: str, component: str, millions: float, digits: int) -> None:
    count = parameter_counts(preset(name))[component]
    assert round(count / 1e6, digits) == pytest.approx(millions)


def test_what_a_stage_trains_is_counted() -> None:
    config = preset("7b")
    first, whole = parameter_counts(config, 1), parameter_counts(config)
    assert first["language"] == first["siglip"] == 0
    assert first["adaptor"] == whole["adaptor"]
    # Two convolutions and a scale.
    assert first["sam"] == 9 * (256 * 512 + 512 * 1024) + 1
    assert parameter_counts(config, 3)["siglip"] == whole["siglip"]


def counted(config: ModelConfig, stage: Stage | None, images: int) -> tuple[int, int]:
    """Forward and backward FLOPs as torch counts them in a step of one document."""
    # Attention as plain products, which is what the counter knows on a CPU.
    model = randomised(config)
    if stage:
        set_stage(model, stage)
    else:
        model.requires_grad_(False)
    marks = [config.tokens.image] * (config.image_tokens * images)
    tokens = torch.tensor([[4, *marks, *range(5, 20)]])
    labels = tokens.masked_fill(tokens == config.tokens.image, IGNORED)
    labels[0, -4:] = IGNORED
    with (
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        loss = model(tokens, pictures(config, images), labels=labels)
        forward = counter.get_total_flops()
        assert isinstance(loss, Loss)
        if loss.sum.requires_grad:
            loss.sum.backward()
    # The counter takes causal attention for a full square: two products, and four backward.
    length = tokens.shape[1]
    language = config.language
    above = language.layers * 4 * (length * (length - 1) // 2) * language.width
    through = stage is not None and (stage > 1 or images > 0)
    return forward - above, counter.get_total_flops() - forward - 2 * above * through


@pytest.mark.parametrize("stage", [None, 1, 2, 3])
@pytest.mark.parametrize("images", [0, 2])
@pytest.mark.parametrize("config", [HYBRID, ALONE], ids=lambda config: config.name)
def test_the_formula_is_what_torch_counts(
    config: ModelConfig, images: int, stage: Stage | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sam, "relative_attention", written_out)
    predicted = 15 - 4 if images else 14 - 4 + 1
    length = 1 + config.image_tokens * images + 15
    cost = step_flops(config, stage, BatchShape([length], images, predicted))
    forward, backward = counted(config, stage, images)
    components = cost.components.values()
    assert sum(part.forward for part in components) == forward
    assert sum(part.backward for part in components) == backward


def test_documents_of_a_row_cost_less_than_one_as_long() -> None:
    config = preset("tiny")
    whole = step_flops(config, 2, BatchShape([1000], 0, 1000))
    packed = step_flops(config, 2, BatchShape([500, 500], 0, 1000))
    language = config.language
    pairs = 1000 * 1001 // 2 - 2 * (500 * 501 // 2)
    saved = 3 * language.layers * 4 * pairs * language.width
    assert whole.total - packed.total == saved
    assert whole.utilisation(2.0, 1e12) == whole.total / 2e12


def test_a_frozen_language_model_still_passes_gradients_on() -> None:
    config = preset("7b")
    batch = BatchShape([576 + 24], 1, 20)
    first = step_flops(config, 1, batch).components["language"]
    second = step_flops(config, 2, batch).components["language"]
    assert 0.99 < first.backward / first.forward < 1.02
    assert 1.99 < second.backward / second.forward < 2.01
    assert step_flops(config, 1, replace(batch, images=0)).components["language"].backward == 0
