"""What a stage will never see: the ends of samples that are longer than a row.

In: the lengths of a corpus, a plan. Out: by category, how many samples, tokens and images are cut
off, in every epoch alike. A text without images is carried on in the next row where rows are
packed, so it loses nothing; a sample with images is cut where its row ends, or before the first
image that is more than a row may hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from train.pool import Catalog, PlanSettings


@dataclass(slots=True)
class Cuts:
    """Of a category: what there is, and what of it is cut off at the least.

    Where a sample has more images than a row may hold, lengths do not say how much text stands
    behind the last one that is shown: only the images that are not shown are counted then.
    """

    samples: int = 0
    tokens: int = 0
    images: int = 0
    cut_samples: int = 0
    cut_tokens: int = 0
    cut_images: int = 0


def count_cuts(catalog: Catalog, plan: PlanSettings, image_tokens: int) -> dict[str, Cuts]:
    """What the plan cuts off of each category that it draws, one epoch. Looks at all lengths."""
    return {
        name: _of_category(catalog, plan, image_tokens, name)
        for name, share in sorted(plan.shares.items())
        if share > 0
    }


def describe_cuts(cuts: Mapping[str, Cuts]) -> str:
    """One line on what is cut off."""
    parts = [
        f"{name} {each.cut_samples:,} of {each.samples:,} samples "
        f"({each.cut_tokens / each.tokens:.1%} of tokens, {each.cut_images:,} images)"
        for name, each in cuts.items()
        if each.cut_samples
    ]
    if not parts:
        return "no sample is longer than what a row has room for"
    return f"cut off where a row ends, in every epoch: {'; '.join(parts)}"


def _of_category(catalog: Catalog, plan: PlanSettings, image_tokens: int, name: str) -> Cuts:
    found = Cuts()
    carried_on = plan.packing and not catalog.has_images(name)
    for shard in range(len(catalog.counts(name))):
        tokens, images = catalog.sizes(name, shard)
        found.samples += len(tokens)
        found.tokens += int(tokens.sum())
        found.images += int(images.sum())
        if carried_on:
            continue
        allowed = np.minimum(images, plan.images) if plan.images else images
        kept = np.minimum(tokens - (images - allowed) * image_tokens, plan.tokens)
        shown = np.minimum(allowed, kept // image_tokens)
        found.cut_samples += int((kept < tokens).sum())
        found.cut_tokens += int((tokens - kept).sum())
        found.cut_images += int((images - shown).sum())
    return found
