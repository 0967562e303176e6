"""Personal data on its way into the shards: counted when samples are measured, masked when they
are written.

In: samples, and the recipe's `pii:` rules (`pii.py`). Out: a column for each kind with how many
there are, and samples with placeholders in their stead. Parts keep what they have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from dsvl_data.curate import stored
from dsvl_data.curate.pii import PLACEHOLDERS, PiiRules, mask_sample
from dsvl_data.curate.rule import Criterion, Scorer
from dsvl_data.curate.settings import Curation
from dsvl_data.sample import Sample

#: Raised whenever the same rules would mask something else than before.
_VERSION = 1


@dataclass(frozen=True, slots=True)
class PiiScorer:
    """The scorer: how much of each kind would be masked."""

    rules: PiiRules
    name: ClassVar[str] = "pii"
    columns: ClassVar[Mapping[str, pa.DataType]] = {
        f"pii_{kind}": pa.int32() for kind in PLACEHOLDERS
    }
    gpus: ClassVar[float] = 0

    @property
    def version(self) -> str:
        """See `Scorer`: the rules say what is looked for."""
        return fingerprint(self.rules)

    def score(self, samples: Sequence[Sample]) -> Mapping[str, Sequence[Any]]:
        """Count by kind."""
        found = [mask_sample(sample, self.rules)[1] for sample in samples]
        return {f"pii_{kind}": [counts.get(kind, 0) for counts in found] for kind in PLACEHOLDERS}


def fingerprint(rules: PiiRules) -> str:
    """Return what changes with what is masked."""
    return stored.digest(_VERSION, rules.model_dump(mode="json"))


def _scorer(settings: Curation) -> Scorer | None:
    return None if settings.pii is None else PiiScorer(settings.pii)


CRITERION = Criterion(_scorer, rules=lambda _: ())
