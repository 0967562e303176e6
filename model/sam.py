"""SAM's image encoder with two necks: normalised images in, one vector per image token out.

Most blocks attend inside windows, some globally; both add decomposed relative positions (one term
for the row distance, one for the column distance). The last block's output and the first global
block's output go through a neck each; their sum (the second one times a learned scalar that begins
at 0) is resized and halved twice by convolutions.

Two facts keep this cheap. A window's padding is zeros *before* the projection to queries, keys and
values, so after it padding is the projection's bias: nothing has to be computed for it. And resize
and convolutions are linear, so the two necks are summed before them, not after.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from model.config import SamConfig
from model.siglip import Mlp, PatchEmbedding

# On a CPU, scores are biased for this many at a time: 16 MB in float32, near to its caches.
_BIASED_SCORES = 1 << 22


def relative_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """Attention over a grid of H x W with decomposed relative positions.

    q, k, v: [N, heads, H x W, D]. rows: [N, heads, H x W, H], what is added to a query's score with
    any key of that row; columns: [N, heads, H x W, W] likewise. Gives [N, heads, H x W, D].
    """
    if q.device.type == "cpu":
        return _biased_in_slices(q, k, v, rows, columns)
    return _appended(q, k, v, rows, columns)


def _appended(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """One plain attention, no bias: a query carries its terms, a key picks its own by one-hots.

    The scores are those of the written-out form to the last bit. Values are widened with zeros,
    because fused kernels want them as wide as the keys.
    """
    height, width, channels = rows.shape[-1], columns.shape[-1], q.shape[-1]
    row = torch.eye(height, dtype=k.dtype, device=k.device).repeat_interleave(width, 0)
    column = torch.eye(width, dtype=k.dtype, device=k.device).repeat(height, 1)
    picks = torch.cat((row, column), -1).expand(*k.shape[:-1], -1)
    seen = functional.scaled_dot_product_attention(
        torch.cat((q * channels**-0.5, rows, columns), -1),
        torch.cat((k, picks), -1),
        functional.pad(v, (0, height + width)),
        scale=1.0,
    )
    return seen[..., :channels]


def _biased_in_slices(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """The bias written out for a slice of the scores at a time, so that none is ever all there.

    A CPU pays for the appended form's three times wider vectors; this took half its time and half
    that of one whole bias (float32, 4,096 tokens, 64 channels).
    """
    batch, heads, queries, _ = q.shape
    keys = k.shape[2]
    # Every map by itself and in one piece: kernels read it faster than one strided by all heads.
    q, k, v, rows, columns = (x.flatten(0, 1).unsqueeze(1) for x in (q, k, v, rows, columns))
    # A task of the kernel is up to 256 queries: four or more for each thread.
    scores = _BIASED_SCORES * -(-torch.get_num_threads() // 4)
    maps = min(batch * heads, max(1, scores // (queries * keys)))
    slices = min(queries, max(1, scores // keys))
    # Where no gradient needs it again, one place for the bias of all slices: it is in the cache.
    needed = any(x.requires_grad for x in (q, k, v, rows, columns))
    shape = (maps, 1, slices, rows.shape[-1], columns.shape[-1])
    place = None if needed else rows.new_empty(shape)

    def attend(n: slice, t: slice) -> torch.Tensor:
        by_row, by_column = rows[n, :, t, :, None], columns[n, :, t, None, :]
        out = place if place is None else place[: by_row.shape[0], :, : by_row.shape[2]]
        bias = torch.add(by_row, by_column, out=out).flatten(-2)
        return functional.scaled_dot_product_attention(q[n, :, t], k[n], v[n], attn_mask=bias)

    # Either many maps at a time or slices of one: their queries follow each other in both.
    seen = [
        attend(slice(n, n + maps), slice(t, t + slices)).flatten(0, 2)
        for n in range(0, batch * heads, maps)
        for t in range(0, queries, slices)
    ]
    return torch.cat(seen).view(batch, heads, queries, -1)


class SamAttention(nn.Module):
    """Attention over a grid, whole or in windows of `window` (0: whole)."""

    def __init__(self, config: SamConfig, window: int) -> None:
        super().__init__()
        self.heads = config.heads
        self.head_width = config.width // config.heads
        self.window = window
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.proj = nn.Linear(config.width, config.width)
        table = (2 * (window or config.grid) - 1, self.head_width)
        self.rel_pos_h = nn.Parameter(torch.zeros(table))
        self.rel_pos_w = nn.Parameter(torch.zeros(table))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, height, width, channels] to the same."""
        batch, height, width, _ = x.shape
        side = self.window or max(height, width)
        grid = (side, side) if self.window else (height, width)
        q, k, v = self._by_heads(x)
        distance = torch.arange(side, device=x.device)
        distance = distance[:, None] - distance[None, :] + side - 1
        at = q.view(-1, self.heads, *grid, self.head_width)
        rows = torch.einsum("nhyxc,ykc->nhyxk", at, self.rel_pos_h[distance]).flatten(2, 3)
        columns = torch.einsum("nhyxc,xkc->nhyxk", at, self.rel_pos_w[distance]).flatten(2, 3)
        seen = relative_attention(q, k, v, rows, columns)
        seen = seen.transpose(1, 2).reshape(-1, *grid, self.heads * self.head_width)
        if self.window:
            seen = self._grid(seen, batch, height, width)
        mixed: torch.Tensor = self.proj(seen)
        return mixed

    def _by_heads(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Queries, keys and values of [N, height, width, channels]: [windows, heads, tokens, D]."""
        if x.device.type == "cpu" and not self.window:
            # Three products of 13 MB, not one of 38 that the system hands out anew, page by page.
            parts = zip(self.qkv.weight.chunk(3), self.qkv.bias.chunk(3), strict=True)
            flat = (functional.linear(x, weight, bias) for weight, bias in parts)
            heads = (part.view(len(x), -1, self.heads, self.head_width) for part in flat)
            # In one piece, which both the relative terms and the attention read faster.
            return tuple(part.transpose(1, 2).contiguous() for part in heads)
        qkv = self.qkv(x)
        if self.window:
            qkv = self._windows(qkv)
        tokens = qkv.shape[1] * qkv.shape[2]
        qkv = qkv.reshape(-1, tokens, 3, self.heads, self.head_width)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return q, k, v

    def _windows(self, qkv: torch.Tensor) -> torch.Tensor:
        """[N, height, width, C] to [N x windows, window, window, C], padded right and below."""
        window = self.window
        batch, height, width, channels = qkv.shape
        # Not zeros: the padding was zeros before the projection.
        padding = self.qkv.bias.to(qkv.dtype)
        if below := -height % window:
            qkv = torch.cat((qkv, padding.expand(batch, below, width, channels)), 1)
        if right := -width % window:
            qkv = torch.cat((qkv, padding.expand(batch, height + below, right, channels)), 2)
        down, across = (height + below) // window, (width + right) // window
        qkv = qkv.view(batch, down, window, across, window, channels).transpose(2, 3)
        return qkv.reshape(-1, window, window, channels)

    def _grid(self, x: torch.Tensor, batch: int, height: int, width: int) -> torch.Tensor:
        """The way back: the windows side by side, less the padding."""
        window, channels = self.window, x.shape[-1]
        down, across = -(-height // window), -(-width // window)
        x = x.view(batch, down, across, window, window, channels).transpose(2, 3)
        x = x.reshape(batch, down * window, across * window, channels)
        # In one piece: a linear layer goes through a cut-out row by row, at a third of its speed.
        return x[:, :height, :width].contiguous()


class SamBlock(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, config: SamConfig, window: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, config.norm_eps)
        self.attn = SamAttention(config, window)
        self.norm2 = nn.LayerNorm(config.width, config.norm_eps)
        self.mlp = Mlp(config.width, config.mlp_width)
        self.strip = config.window

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, height, width, channels] to the same."""
        if x.device.type != "cpu":
            return self._mix(self._attend(x))
        # A strip as high as a window at a time, so that the 3,072 channels of its tokens stay in
        # the cache; and strips of windows have nothing to do with each other.
        if self.attn.window:
            whole = [self._mix(self._attend(strip)) for strip in torch.split(x, self.strip, 1)]
        else:
            whole = [self._mix(strip) for strip in torch.split(self._attend(x), self.strip, 1)]
        return torch.cat(whole, 1)

    def _attend(self, x: torch.Tensor) -> torch.Tensor:
        attended: torch.Tensor = x + self.attn(self.norm1(x))
        return attended

    def _mix(self, x: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = x + self.mlp(self.norm2(x))
        return mixed


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of [N, C, H, W]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W] to the same."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _neck(config: SamConfig) -> nn.Sequential:
    width = config.neck_width
    return nn.Sequential(
        nn.Conv2d(config.width, width, 1, bias=False),
        ChannelNorm(width, config.norm_eps),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        ChannelNorm(width, config.norm_eps),
    )


class SamTower(nn.Module):
    """The high-resolution branch."""

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbedding(config.width, config.patch_size)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.grid, config.grid, config.width))
        self.blocks = nn.ModuleList(
            SamBlock(config, 0 if number in config.global_blocks else config.window)
            for number in range(config.layers)
        )
        self.neck = _neck(config)
        self.neck_first = _neck(config)
        widths = (config.neck_width, *config.downsample_widths)
        self.downsamples = nn.Sequential(
            *(
                nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False)
                for narrow, wide in pairwise(widths)
            )
        )
        self.alpha = nn.Parameter(torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images, [N, 3, image_size, image_size], to [N, side x side, out_width]."""
        x = self.patch_embed(images) + self.pos_embed
        first_global = min(self.config.global_blocks)
        early = x
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number == first_global:
                early = x
        last = self.neck(x.permute(0, 3, 1, 2))
        first = self.neck_first(early.permute(0, 3, 1, 2))
        # Added and resized in float32, whatever the tower's own precision.
        both = last.float() + first.float() * self.alpha.float()
        size = (self.config.resized, self.config.resized)
        both = functional.interpolate(both, size, mode="bilinear", align_corners=False)
        halved: torch.Tensor = self.downsamples(both.to(last.dtype))
        return halved.flatten(2).transpose(1, 2)
