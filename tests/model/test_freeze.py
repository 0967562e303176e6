"""A step of a stage changes exactly what the stage trains."""

from __future__ import annotations

import pytest
import torch

from model.cost import parameter_counts
from model.freeze import Stage, parameter_groups, set_stage
from model.packing import IGNORED
from tests.model.shapes import ALONE, HYBRID, pictures, randomised

torch.set_num_threads(1)


@pytest.mark.parametrize("config", [HYBRID, ALONE], ids=lambda config: config.name)
@pytest.mark.parametrize(
    ("stage", "language", "siglip"), [(1, False, False), (2, True, False), (3, True, True)]
)
def test_a_step_changes_what_the_stage_trains(
    config: type[HYBRID], stage: Stage, language: bool, siglip: bool
) -> None:
    model = randomised(config)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    set_stage(model, stage)
    groups = parameter_groups(model, weight_decay=0.1)
    optimiser = torch.optim.AdamW(groups, lr=1e-2)
    tokens = torch.tensor([[4, *[config.tokens.image] * config.image_tokens, 5, 6, 7]])
    labels = tokens.masked_fill(tokens == config.tokens.image, IGNORED)
    model(tokens, pictures(config, 1), labels=labels).sum.backward()
    optimiser.step()
    changed = {
        name for name, parameter in model.named_parameters()
        if not torch.equal(parameter, before[name])
    }  # fmt: skip
    expected = {
        name
        for name in before
        if name.startswith("adaptor.")
        or name in ("high.downsamples.0.weight", "high.downsamples.1.weight", "high.alpha")
        or (language and name.startswith("language."))
        or (siglip and name.startswith("low."))
    }
    assert changed == expected
    trained = sum(p.numel() for group in groups for p in group["params"])
    assert trained == sum(parameter_counts(config, stage).values())


def test_groups_are_by_component_and_spare_what_must_not_decay() -> None:
    model = randomised(HYBRID)
    set_stage(model, 3)
    groups = {group["name"]: group for group in parameter_groups(model, weight_decay=0.1)}
    assert sorted(groups) == [
        "adaptor", "adaptor, no decay", "language", "language, no decay", "low", "low, no decay",
    ]  # fmt: skip
    for name, group in groups.items():
        assert group["weight_decay"] == (0.0 if name.endswith("no decay") else 0.1)
    spared = {id(p) for name, group in groups.items() if "no" in name for p in group["params"]}
    named = dict(model.named_parameters())
    assert id(named["low.pos_embed"]) in spared
    assert id(named["language.norm.weight"]) in spared
    assert id(named["high.alpha"]) in spared
    assert id(named["language.head.weight"]) not in spared


def test_a_stage_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="1, 2, 3"):
        set_stage(randomised(ALONE), 4)  # type: ignore[arg-type]
