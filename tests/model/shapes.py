"""Models small enough for a test, with every part of the big ones; and random pictures for them."""

from __future__ import annotations

from dataclasses import replace

import torch

from model.config import (
    AdaptorConfig,
    LanguageConfig,
    ModelConfig,
    SamConfig,
    SiglipConfig,
    TokenIds,
)
from model.vlm import VisionLanguageModel

HYBRID = ModelConfig(
    "small-hybrid",
    SamConfig(
        image_size=96,
        width=24,
        layers=3,
        heads=2,
        mlp_width=48,
        window=4,  # six patches a side: the windows at the edges are padded
        global_blocks=(1, 2),
        neck_width=8,
        resized=16,
        downsample_widths=(16, 32),
    ),
    SiglipConfig(image_size=64, width=32, layers=2, heads=2, mlp_width=40),
    AdaptorConfig("hybrid"),
    LanguageConfig(
        vocab_size=64, width=32, ffn_width=48, layers=2, heads=4, kv_heads=2, max_positions=256
    ),
    TokenIds(bos=1, eos=2, image=3),
)
ALONE = replace(HYBRID, name="small-siglip", sam=None, adaptor=AdaptorConfig("mlp"))


def pictures(config: ModelConfig, number: int, seed: int = 0) -> torch.Tensor:
    """uint8, [number, 3, S, S]."""
    generator = torch.Generator().manual_seed(seed)
    shape = (number, 3, config.image_size, config.image_size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def randomised(config: ModelConfig, seed: int = 0) -> VisionLanguageModel:
    """A model in which no parameter is 0 or 1: what is wired wrongly cannot go unnoticed."""
    torch.manual_seed(seed)
    model = VisionLanguageModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=0.2)
            if "norm" in name and name.endswith("weight"):
                parameter += 1
    return model
