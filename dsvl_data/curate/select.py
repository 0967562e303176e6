"""What of a part gets into the shards: decisions in, a narrower part and its rows out.

The shard builder reads parts through here when a recipe curates. What it plans with is the part
as if the samples that were left out had never been in it; so shards change only where a decision
does, and a category of which everything is kept counts as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dsvl_data.curate import stored
from dsvl_data.curate.masking import fingerprint
from dsvl_data.curate.pii import mask_sample
from dsvl_data.curate.settings import Curation
from dsvl_data.curate.stored import CurationError
from dsvl_data.sample import Sample
from dsvl_data.shards.plan import Part


def narrow(out: str, part: Part, settings: Curation) -> Part:
    """Return a part with only what is kept, as often as it is used.

    Raises `CurationError` when nothing was decided of it.
    """
    note = stored.note(stored.path(out, stored.DECISIONS, part.name))
    if note.get("part") != part.fingerprint:
        raise CurationError(
            f"{part.name} changed since it was curated; run `dsvl-data corpus build` again"
        )
    kept: dict[str, int] = note["kept"]
    uses: dict[str, int] = note["uses"]
    selections = {
        category: digest
        for category, digest in note["selections"].items()
        if not kept.get(category) == uses.get(category) == part.categories[category]
    }
    if settings.pii is not None:
        masking = fingerprint(settings.pii)
        for category in {*settings.pii.categories} & part.categories.keys():
            selections[category] = selections.get(category, "") + masking
    return replace(
        part,
        categories=uses,
        bytes=part.bytes * sum(uses.values()) // max(1, sum(part.categories.values())),
        selections=selections,
    )


def mask(samples: Sequence[Sample], settings: Curation) -> list[Sample]:
    """Return samples without the personal data that the rules name."""
    if settings.pii is None:
        return list(samples)
    return [mask_sample(sample, settings.pii)[0] for sample in samples]


def times(out: str, name: str) -> NDArray[np.int32]:
    """Say for each sample of a part, in order, how often it gets into the shards."""
    column = stored.read(stored.path(out, stored.DECISIONS, name), ["times"]).column("times")
    return np.asarray(column, np.int32)
