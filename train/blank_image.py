"""A batch without images, and one that has one: so that all ranks run the towers, or none does."""

from __future__ import annotations

from dataclasses import replace

import torch

from model.config import ModelConfig
from model.processor import IGNORED, PADDING, Batch


def with_blank_image(batch: Batch, config: ModelConfig) -> Batch:
    """The batch with one row more: a blank image that no loss falls on.

    Where ranks share the towers' parameters, either all run a tower or none may; and any number of
    ranks must come to the same moments of what images alone go through.
    """
    length = max(config.image_tokens, batch.tokens.shape[1])

    def widened(values: torch.Tensor, filling: int, row: torch.Tensor) -> torch.Tensor:
        wide = torch.full((len(values) + 1, length), filling)
        wide[:-1, : values.shape[1]] = values
        wide[-1, : len(row)] = row
        return wide

    places = torch.arange(config.image_tokens)
    size = config.image_size
    return replace(
        batch,
        tokens=widened(
            batch.tokens, config.tokens.eos, torch.full_like(places, config.tokens.image)
        ),
        labels=widened(batch.labels, IGNORED, torch.full_like(places, IGNORED)),
        documents=widened(batch.documents, PADDING, torch.zeros_like(places)),
        positions=widened(batch.positions, 0, places),
        images=torch.zeros((1, 3, size, size), dtype=torch.uint8),
    )
