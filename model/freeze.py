"""What each stage trains. In: a model and a stage. Out: gradients switched, groups for AdamW.

| trained                                       | stage 1 | stage 2 | stage 3 |
|-----------------------------------------------|---------|---------|---------|
| adaptor, SAM's two convolutions and its scale | yes     | yes     | yes     |
| language model                                |         | yes     | yes     |
| SigLIP                                        |         |         | yes     |
| SAM: blocks and both necks                    |         |         |         |

The paper counts the convolutions behind SAM as adaptor. The scale of the first global block goes
with them: it begins at 0, so frozen it would leave its path dead. The second neck begins as a copy
of SAM's own and stays one.
"""

from __future__ import annotations

from typing import Literal, TypedDict

import torch
from torch import nn

Stage = Literal[1, 2, 3]

_ADAPTOR = ("adaptor.", "high.downsamples.", "high.alpha")
#: The beginnings of the names of the parameters that a stage trains.
TRAINED: dict[Stage, tuple[str, ...]] = {
    1: _ADAPTOR,
    2: (*_ADAPTOR, "language."),
    3: (*_ADAPTOR, "language.", "low."),
}


class ParameterGroup(TypedDict):
    """What an optimiser of torch takes, with a name to log and to set a learning rate by."""

    name: str
    params: list[nn.Parameter]
    weight_decay: float


def is_trained(name: str, stage: Stage) -> bool:
    """Whether the stage trains the parameter of this name."""
    return name.startswith(TRAINED[stage])


def set_stage(model: nn.Module, stage: Stage) -> None:
    """Let gradients reach what the stage trains, and nothing else. Raises ValueError."""
    if stage not in TRAINED:
        raise ValueError(f"there is no stage {stage!r}; there are {', '.join(map(str, TRAINED))}")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_trained(name, stage))


def parameter_groups(model: nn.Module, weight_decay: float = 0.0) -> list[ParameterGroup]:
    """The trained parameters, as `set_stage` left them, by component.

    Matrices and kernels decay; norms, biases, embeddings of positions and scales do not. A group
    is named `component` or `component, no decay`; none is empty.
    """
    groups: dict[str, ParameterGroup] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        component = name.split(".")[0]
        if name.startswith(_ADAPTOR):
            component = "adaptor"
        decays = _decays(name, parameter)
        key = component if decays else f"{component}, no decay"
        group: ParameterGroup = {
            "name": key,
            "params": [],
            "weight_decay": weight_decay if decays else 0.0,
        }
        groups.setdefault(key, group)["params"].append(parameter)
    return list(groups.values())


def _decays(name: str, parameter: torch.Tensor) -> bool:
    return parameter.ndim > 1 and not name.endswith(("pos_embed", "rel_pos_h", "rel_pos_w"))
