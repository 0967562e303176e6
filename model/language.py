"""The language model: LLaMA's decoder. Vectors in, the last layer's normalised vectors out.

Its head is applied by the caller, and only where a prediction is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from model.config import LanguageConfig
from model.packing import Rows, attend


@dataclass
class Cache:
    """The keys and values of rows that are being continued: one pair for each layer.

    keys, values: [B, kv_heads, room, D]. lengths: int64, [B], how many tokens of each row are in
    it. longest: their maximum. A row's tokens begin at 0, whatever the other rows' lengths are.
    """

    lengths: torch.Tensor
    longest: int
    keys: list[torch.Tensor] = field(default_factory=list)
    values: list[torch.Tensor] = field(default_factory=list)


def rotary(
    positions: torch.Tensor, config: LanguageConfig, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of rotary positions: int64, [B, T], to two of [B, 1, T, head width]."""
    pairs = torch.arange(0, config.head_width, 2, device=positions.device, dtype=torch.float32)
    frequencies = 1.0 / config.theta ** (pairs / config.head_width)
    angles = positions[:, None, :, None].float() * frequencies
    angles = torch.cat((angles, angles), -1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    """Turn [B, heads, T, D]: channel i and channel i + D/2 are a pair."""
    first, second = x.chunk(2, -1)
    return x * cosines + torch.cat((-second, first), -1) * sines


class LanguageAttention(nn.Module):
    """Causal attention with rotary positions; fewer key heads than query heads are allowed."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.head_width = config.head_width
        keys = config.kv_heads * config.head_width
        self.q_proj = nn.Linear(config.width, config.width, bias=False)
        self.k_proj = nn.Linear(config.width, keys, bias=False)
        self.v_proj = nn.Linear(config.width, keys, bias=False)
        self.o_proj = nn.Linear(config.width, config.width, bias=False)

    def project(
        self, x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """[B, T, width] to turned queries, turned keys and values, each [B, heads, T, D]."""
        batch, length, _ = x.shape
        shape = (batch, length, -1, self.head_width)
        q, k, v = (
            layer(x).view(shape).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        return rotate(q, *turn), rotate(k, *turn), v

    def forward(
        self, x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor], rows: Rows
    ) -> torch.Tensor:
        """[B, T, width] to the same."""
        q, k, v = self.project(x, turn)
        mixed: torch.Tensor = self.o_proj(attend(q, k, v, rows).transpose(1, 2).flatten(2))
        return mixed

    def begin(
        self, x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor], rows: Rows, cache: Cache,
        room: int,
    ) -> torch.Tensor:  # fmt: skip
        """As `forward`, and leave this layer's keys and values in the cache, with `room` in all."""
        q, k, v = self.project(x, turn)
        shape = (k.shape[0], k.shape[1], room, k.shape[3])
        for entries, store in ((k, cache.keys), (v, cache.values)):
            # Zeros, not whatever was in memory: a masked NaN is a NaN still.
            store.append(entries.new_zeros(shape))
            store[-1][:, :, : entries.shape[2]] = entries
        mixed: torch.Tensor = self.o_proj(attend(q, k, v, rows).transpose(1, 2).flatten(2))
        return mixed

    def step(
        self, x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor], cache: Cache, layer: int
    ) -> torch.Tensor:
        """One token a row, [B, 1, width]: each is put behind its own row's and sees all of it."""
        q, k, v = self.project(x, turn)
        each = torch.arange(x.shape[0], device=x.device)
        cache.keys[layer][each, :, cache.lengths] = k[:, :, 0]
        cache.values[layer][each, :, cache.lengths] = v[:, :, 0]
        room = cache.longest + 1
        visible = torch.arange(room, device=x.device) <= cache.lengths[:, None]
        seen = functional.scaled_dot_product_attention(
            q,
            cache.keys[layer][:, :, :room],
            cache.values[layer][:, :, :room],
            attn_mask=visible[:, None, None],
            enable_gqa=q.shape[1] != k.shape[1],
        )
        mixed: torch.Tensor = self.o_proj(seen.transpose(1, 2).flatten(2))
        return mixed


class GatedMlp(nn.Module):
    """SwiGLU."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.width, config.ffn_width, bias=False)
        self.up_proj = nn.Linear(config.width, config.ffn_width, bias=False)
        self.down_proj = nn.Linear(config.ffn_width, config.width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., width] to the same."""
        mixed: torch.Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return mixed


class LanguageLayer(nn.Module):
    """Pre-norm decoder layer."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.attn_norm = nn.RMSNorm(config.width, config.norm_eps)
        self.attn = LanguageAttention(config)
        self.mlp_norm = nn.RMSNorm(config.width, config.norm_eps)
        self.mlp = GatedMlp(config)

    def forward(
        self, x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor], rows: Rows
    ) -> torch.Tensor:
        """[B, T, width] to the same."""
        x = x + self.attn(self.attn_norm(x), turn, rows)
        mixed: torch.Tensor = x + self.mlp(self.mlp_norm(x))
        return mixed


class LanguageModel(nn.Module):
    """Embedding, decoder, last norm and head."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.width)
        self.layers = nn.ModuleList(LanguageLayer(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, config.norm_eps)
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)

    def forward(self, x: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Embedded tokens, [B, T, width], to what the head takes, the same shape."""
        turn = rotary(rows.positions, self.config, x.dtype)
        for layer in self.layers:
            x = layer(x, turn, rows)
        normed: torch.Tensor = self.norm(x)
        return normed

    def _decoder(self) -> Iterable[LanguageLayer]:
        return cast("Iterable[LanguageLayer]", self.layers)

    def begin(
        self, x: torch.Tensor, rows: Rows, lengths: torch.Tensor, room: int
    ) -> tuple[torch.Tensor, Cache]:
        """As `forward`, with a cache that has room for `room` tokens a row.

        Each row holds one document from its first token on, of which `lengths`, [B], says how long.
        """
        turn = rotary(rows.positions, self.config, x.dtype)
        cache = Cache(lengths, int(lengths.max()))
        for layer in self._decoder():
            x = x + layer.attn.begin(layer.attn_norm(x), turn, rows, cache, room)
            x = x + layer.mlp(layer.mlp_norm(x))
        return self.norm(x), cache

    def step(self, x: torch.Tensor, cache: Cache) -> torch.Tensor:
        """The next token of every row, embedded, [B, 1, width]; the cache grows by it."""
        turn = rotary(cache.lengths[:, None], self.config, x.dtype)
        for number, layer in enumerate(self._decoder()):
            x = x + layer.attn.step(layer.attn_norm(x), turn, cache, number)
            x = x + layer.mlp(layer.mlp_norm(x))
        cache.lengths = cache.lengths + 1
        cache.longest += 1
        normed: torch.Tensor = self.norm(x)
        return normed
