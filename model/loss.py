"""Next-token loss: normalised vectors and the head's weights in, a sum out; never all the logits.

Logits are made only where there is something to predict, and there a slice at a time: at the
published vocabulary, those of one row of 4,096 tokens are 1.7 GB in float32.
"""

from __future__ import annotations

import torch
from torch.nn import LinearCrossEntropyOptions, functional

from model.packing import IGNORED

# Rows of a slice: enough that its products fill a GPU, few enough that its logits fit beside it.
_SLICE = 2048


def summed_loss(
    hidden: torch.Tensor, head: torch.Tensor, wanted: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of the cross entropies and their number.

    hidden: [B, T, width]; head: [vocabulary, width]; wanted: int64, [B, T], what each token is to
    predict, or `IGNORED`. Both results are scalars, float32 and int64; with nothing to predict the
    sum is 0 and still has a gradient, so that a rank without targets can take part in a step.
    """
    where = wanted != IGNORED
    chosen, ids = hidden[where], wanted[where]
    count = where.sum()
    if not len(ids):
        return (hidden * 0).sum().float(), count
    half = hidden.dtype in (torch.bfloat16, torch.float16)
    if len(ids) <= _SLICE and not half:
        logits = functional.linear(chosen, head)
        return functional.cross_entropy(logits, ids, reduction="sum"), count
    options = LinearCrossEntropyOptions(
        batch_chunk_size=_SLICE,
        chunking_method=None,
        # Losses and gradients add up in float32; a CPU has no other way to do that than this one.
        acc_policy="accurate" if hidden.device.type == "cpu" else "balanced",
        acc_dtype=torch.float32 if half else None,
    )
    loss = functional.linear_cross_entropy(
        chosen, head, ids, reduction="sum", ignore_index=IGNORED, options=options
    )
    return loss.float(), count


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
