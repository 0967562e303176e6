"""Next-token loss: normalised vectors and the head's weights in, losses out; never all the logits.

Logits are made only where there is something to predict, and there a slice at a time: at the
published vocabulary, those of one row of 4,096 tokens are 1.7 GB in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from model.packing import IGNORED

# Tokens of a slice: enough that its products fill a GPU, few enough that its logits fit beside it.
_SLICE = 2048


def training_losses(
    hidden: torch.Tensor, head: torch.Tensor, wanted: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sum of the cross entropies, their number, and each of them, without gradients.

    hidden: [B, T, width]; head: [vocabulary, width]; wanted: int64, [B, T], what each token is to
    predict, or `IGNORED`. The first two are scalars, float32 and int64; the third is float32,
    [B, T], at the *predicting* token, 0 where there is nothing to predict. With nothing at all the
    sum is 0 and still has a gradient, so that a rank without targets can take part in a step.
    """
    where = wanted != IGNORED
    chosen, ids = hidden[where], wanted[where]
    each = torch.zeros(wanted.shape, dtype=torch.float32, device=hidden.device)
    if not len(ids):
        return (hidden * 0).sum().float(), where.sum(), each
    half = hidden.dtype in (torch.bfloat16, torch.float16)
    if len(ids) <= _SLICE and not half:
        losses = functional.cross_entropy(functional.linear(chosen, head), ids, reduction="none")
        total = losses.sum()
    else:
        total, losses = _Sliced.apply(chosen, head, ids)  # type: ignore[no-untyped-call]
    each[where] = losses.detach()
    return total, where.sum(), each


class _Sliced(torch.autograd.Function):
    """The sum of cross entropies, whose gradients are made slice by slice along with them.

    Only what comes out of a slice stays: no logits wait for the backward pass, and none are made
    twice. Losses and the head's gradient add up in float32.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, head: torch.Tensor, ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        losses = torch.empty(len(ids), dtype=torch.float32, device=hidden.device)
        for_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for_head = torch.zeros_like(head, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        for start in range(0, len(ids), _SLICE):
            part = slice(start, start + _SLICE)
            h, wanted = hidden[part], ids[part, None]
            values = _logits(h, head)
            values.sub_(values.amax(1, keepdim=True))
            found = values.gather(1, wanted)
            sums = values.exp_().sum(1, keepdim=True)
            losses[part] = (sums.log() - found)[:, 0]
            if for_hidden is None and for_head is None:
                continue
            # Of a loss by its logits: probabilities, less 1 at what was wanted.
            slopes = values.div_(sums).scatter_add_(1, wanted, -torch.ones_like(sums))
            if hidden.device.type == "cuda":
                slopes = slopes.to(hidden.dtype)
            if for_hidden is not None:
                for_hidden[part] = slopes @ head.to(slopes.dtype)
            if for_head is not None:
                for_head += slopes.T @ h.to(slopes.dtype)
        ctx.gradients = for_hidden, None if for_head is None else for_head.to(head.dtype)
        ctx.mark_non_differentiable(losses)
        return losses.sum(), losses

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        made = (None if g is None else g.mul_(gradients[0].to(g.dtype)) for g in ctx.gradients)
        ctx.gradients = None
        return *made, None


def _logits(hidden: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
    """In float32, which a GPU gives of products of bfloat16; a CPU has to compute in it."""
    if hidden.dtype == torch.float32:
        return functional.linear(hidden, head)
    if hidden.device.type == "cuda":
        return torch.mm(hidden, head.T, out_dtype=torch.float32)
    return functional.linear(hidden.float(), head.float())


@torch.no_grad()
def token_losses(hidden: torch.Tensor, head: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The cross entropy of each token, float32, [B, T], at the *predicting* token; else 0."""
    where = wanted != IGNORED
    chosen, ids = hidden[where], wanted[where]
    losses = torch.zeros(wanted.shape, dtype=torch.float32, device=hidden.device)
    if len(ids):
        losses[where] = torch.cat(
            [
                functional.cross_entropy(functional.linear(h, head).float(), i, reduction="none")
                for h, i in zip(torch.split(chosen, _SLICE), torch.split(ids, _SLICE), strict=True)
            ]
        )
    return losses
