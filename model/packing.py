"""Which tokens of a batch belong together: document ids in, positions and masks out.

A row holds one document or several, one after the other; equal neighbouring ids are one document,
and `PADDING` marks what is none. No document sees another one.

    ids          0 0 0 1 1 1 1 - -
    positions    0 1 2 0 1 2 3 0 0
    token 4 sees       x x

Three ways to attend, all of them exact. Rows that hold one document each, padded on the right or
not at all, need no mask but the causal one. Packed rows are cut into their documents on a CPU,
which costs what the documents alone would; a GPU runs them at once with FlexAttention, whose mask
skips the blocks that no document crosses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

#: The document id of what belongs to no document.
PADDING = -1
#: The label of what is not trained on.
IGNORED = -100


@dataclass(frozen=True)
class Rows:
    """Where the documents of a batch lie.

    documents: int64, [B, T], numbered from 0 in every row, `PADDING` in padding. positions: int64,
    [B, T], from 0 in every document and in padding. spans: (row, start, end) of every document, in
    order. mask: for packed rows on a GPU.
    """

    documents: torch.Tensor
    positions: torch.Tensor
    spans: tuple[tuple[int, int, int], ...]
    packed: bool
    mask: BlockMask | None


def lay_out(documents: torch.Tensor, device: torch.device | None = None) -> Rows:
    """Read document ids, [B, T]. Given on the CPU, no GPU has to be waited for."""
    if documents.ndim != 2:
        raise ValueError(f"document ids come as [B, T], not {tuple(documents.shape)}")
    ids = documents.detach().cpu()
    batch, length = ids.shape
    begins = torch.ones_like(ids, dtype=torch.bool)
    begins[:, 1:] = ids[:, 1:] != ids[:, :-1]
    spans = []
    for row in range(batch):
        starts = begins[row].nonzero().flatten().tolist()
        for start, end in zip(starts, [*starts[1:], length], strict=True):
            if ids[row, start] != PADDING:
                spans.append((row, start, end))
    numbers, positions = torch.full_like(ids, PADDING), torch.zeros_like(ids)
    seen = [0] * batch
    for row, start, end in spans:
        numbers[row, start:end] = seen[row]
        positions[row, start:end] = torch.arange(end - start)
        seen[row] += 1
    packed = any(start for _, start, _ in spans)
    device = device or documents.device
    numbers, positions = numbers.to(device), positions.to(device)
    mask = _block_mask(numbers) if packed and device.type == "cuda" else None
    return Rows(numbers, positions, tuple(spans), packed, mask)


def whole_rows(batch: int, length: int, device: torch.device) -> Rows:
    """Rows that are one document each, without padding."""
    positions = torch.arange(length, device=device).expand(batch, length)
    spans = tuple((row, 0, length) for row in range(batch))
    return Rows(torch.zeros_like(positions), positions, spans, False, None)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: Rows) -> torch.Tensor:
    """Causal attention inside each document.

    q: [B, heads, T, D]; k and v: [B, kv_heads, T, D]. Gives [B, heads, T, D]; what padding gets is
    finite and means nothing.
    """
    grouped = q.shape[1] != k.shape[1]
    if not rows.packed:
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
    if rows.mask is not None:
        attention: Any = flex_attention  # inside a compiled layer, compiled along with it
        if not torch.compiler.is_compiling():
            attention = _compiled_flex()
        fused: torch.Tensor = attention(q, k, v, block_mask=rows.mask, enable_gqa=grouped)
        return fused
    return _attend_by_document(q, k, v, rows, grouped)


def targets(labels: torch.Tensor, rows: Rows) -> torch.Tensor:
    """What each token is to predict, [B, T]: its right neighbour's label, in its own document."""
    shifted = torch.full_like(labels, IGNORED)
    same = rows.documents[:, 1:] == rows.documents[:, :-1]
    same &= rows.documents[:, 1:] != PADDING
    shifted[:, :-1] = torch.where(same, labels[:, 1:], IGNORED)
    return shifted


def _attend_by_document(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: Rows, grouped: bool
) -> torch.Tensor:
    batch, _, length, _ = q.shape
    pieces: list[list[torch.Tensor]] = [[] for _ in range(batch)]
    filled = [0] * batch

    def pad(row: int, until: int) -> None:
        if until > filled[row]:
            pieces[row].append(torch.zeros_like(q[row : row + 1, :, filled[row] : until]))

    for row, start, end in rows.spans:
        pad(row, start)
        here = (slice(row, row + 1), slice(None), slice(start, end))
        pieces[row].append(
            functional.scaled_dot_product_attention(
                q[here], k[here], v[here], is_causal=True, enable_gqa=grouped
            )
        )
        filled[row] = end
    for row in range(batch):
        pad(row, length)
    return torch.cat([torch.cat(row, 2) for row in pieces])


@cache
def _compiled_flex() -> Callable[..., torch.Tensor]:
    # Uncompiled, FlexAttention writes the scores out; compiled once, it serves every layer.
    compiled: Callable[..., torch.Tensor] = torch.compile(flex_attention, dynamic=False)
    return compiled


def _visibility(documents: torch.Tensor) -> Callable[..., torch.Tensor]:
    def sees(
        batch: torch.Tensor, _head: torch.Tensor, query: torch.Tensor, key: torch.Tensor
    ) -> torch.Tensor:
        # Padding counts as one document of its own: a row of a mask must not be empty.
        same: torch.Tensor = documents[batch, query] == documents[batch, key]
        return same & (query >= key)

    return sees


def _block_mask(documents: torch.Tensor) -> BlockMask:
    batch, length = documents.shape
    sees = _visibility(documents)
    return create_block_mask(sees, batch, None, length, length, device=documents.device)
