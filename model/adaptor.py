"""From the branches' vectors to vectors of the language model: [N, tokens, ...] in and out."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from model.config import ModelConfig


class Adaptor(nn.Module):
    """Linear layers with an exact GELU between each two.

    Hybrid: the first is one layer for each branch, to half the width, the high branch's half first.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.language.width
        depth = config.adaptor.depth
        self.hybrid = config.sam is not None
        if config.sam is not None:
            self.high = nn.Linear(config.sam.out_width, width // 2)
            self.low = nn.Linear(config.siglip.width, width // 2)
            widths = [width] * depth
        else:
            widths = [config.siglip.width] + [width] * depth
        self.layers = nn.ModuleList(nn.Linear(narrow, wide) for narrow, wide in pairwise(widths))

    def forward(self, low: torch.Tensor, high: torch.Tensor | None = None) -> torch.Tensor:
        """low: [N, tokens, SigLIP's width]; high: [N, tokens, SAM's], for a hybrid."""
        if not self.hybrid:
            x = self.layers[0](low)
            rest = self.layers[1:]
        else:
            x, rest = torch.cat((self.high(high), self.low(low)), -1), self.layers[:]
        for layer in rest:
            x = layer(functional.gelu(x))
        projected: torch.Tensor = x
        return projected
