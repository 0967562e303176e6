"""How long a sample's text is: samples in, `characters` out, and the rules over it.

Measured for every curated corpus: the longest of several duplicates is found by it too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from dsvl_data.curate.rule import Bound, Criterion, Rule
from dsvl_data.curate.settings import CategoryRules
from dsvl_data.outcome import Reason
from dsvl_data.sample import Sample

CHARACTERS = "characters"


@dataclass(frozen=True, slots=True)
class Length:
    """The scorer."""

    name: ClassVar[str] = "length"
    version: ClassVar[str] = "1"
    columns: ClassVar[Mapping[str, pa.DataType]] = {CHARACTERS: pa.int64()}
    gpus: ClassVar[float] = 0

    def score(self, samples: Sequence[Sample]) -> Mapping[str, Sequence[Any]]:
        """Count the characters of each text; white space, which anyone can add, counts not."""
        return {CHARACTERS: [sum(map(len, sample.text.split())) for sample in samples]}


def _rules(rules: CategoryRules) -> Iterator[Rule]:
    length = rules.text and rules.text.length
    if length:
        if length.min_characters:
            yield Bound(CHARACTERS, Reason.TEXT_TOO_SHORT, minimum=length.min_characters)
        if length.max_characters is not None:
            yield Bound(CHARACTERS, Reason.TEXT_TOO_LONG, maximum=length.max_characters)


CRITERION = Criterion(scorer=lambda _: Length(), rules=_rules)
