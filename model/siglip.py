"""SigLIP's vision transformer: normalised images in, one vector per patch out.

No class token, no pooling head; exact GELU; a LayerNorm after the last block.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from model.config import SiglipConfig


class PatchEmbedding(nn.Conv2d):
    """A convolution whose stride is its kernel: one linear layer over each patch."""

    def __init__(self, width: int, patch_size: int) -> None:
        super().__init__(3, width, patch_size, patch_size)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """[N, 3, height, width] to [N, rows, columns, width].

        As a product and not as a convolution, whose result has the channels first: all the layers
        after it would work on that, transposed, or copy it.
        """
        size = self.kernel_size[0]
        patches = images.to(self.weight.dtype).unfold(2, size, size).unfold(3, size, size)
        flat = patches.permute(0, 2, 3, 1, 4, 5).flatten(3)
        return functional.linear(flat, self.weight.flatten(1), self.bias)


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., width] to [..., width]."""
        hidden: torch.Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return hidden


class SiglipAttention(nn.Module):
    """Every patch sees every patch."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, patches, width] to the same."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        seen = functional.scaled_dot_product_attention(q, k, v)
        mixed: torch.Tensor = self.proj(seen.transpose(1, 2).flatten(2))
        return mixed


class SiglipBlock(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, config: SiglipConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, config.norm_eps)
        self.attn = SiglipAttention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width, config.norm_eps)
        self.mlp = Mlp(config.width, config.mlp_width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, patches, width] to the same."""
        x = x + self.attn(self.norm1(x))
        mixed: torch.Tensor = x + self.mlp(self.norm2(x))
        return mixed


class SiglipTower(nn.Module):
    """The low-resolution branch."""

    def __init__(self, config: SiglipConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbedding(config.width, config.patch_size)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.side**2, config.width))
        self.blocks = nn.ModuleList(SiglipBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, config.norm_eps)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images, [N, 3, image_size, image_size], to [N, side x side, width]."""
        x = self.patch_embed(images).flatten(1, 2) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        normed: torch.Tensor = self.norm(x)
        return normed
