"""What a part of curation brings: scores for samples, and rules that judge by them.

In: samples, once, whatever they cost. Out: columns of a table, and from those, as often as a
recipe changes, who passes. A new part is a module with a `CRITERION`, named in `criteria.py`;
a scorer never sees a threshold, a rule never sees a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dsvl_data.curate.settings import CategoryRules, Curation
from dsvl_data.outcome import Reason
from dsvl_data.sample import Sample


class Scorer(Protocol):
    """Measures samples. Made anew for each task, so a model is loaded at the first `score` only
    and kept by its module.
    """

    @property
    def name(self) -> str:
        """Name, unique among scorers."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever a score may: holds the digests of models and lists, no paths."""
        ...

    @property
    def columns(self) -> Mapping[str, pa.DataType]:
        """The columns that it gives, unique among all scorers, and their types."""
        ...

    @property
    def gpus(self) -> float:
        """The GPUs that one worker takes; 0 for most."""
        ...

    def score(self, samples: Sequence[Sample]) -> Mapping[str, Sequence[Any]]:
        """Return a value for each sample in each column; None where there is nothing to score."""
        ...


@runtime_checkable
class Prepared(Protocol):
    """What a scorer also has for which something is made once for all workers, below the output
    folder.
    """

    def check(self) -> None:
        """Raise `UserError` for what cannot be made, as far as can be seen without making it."""
        ...

    def prepare(self, out: str) -> None:
        """Make it, unless it is there; called by the driver, before anything is measured."""
        ...

    def placed(self, out: str) -> Scorer:
        """Return the scorer that uses what was made."""
        ...


class Rule(Protocol):
    """Judges measured samples by one threshold, list or expression."""

    @property
    def column(self) -> str:
        """The column that it looks at, or at most."""
        ...

    @property
    def threshold(self) -> str:
        """What the recipe asks for, in words: `at least 100`."""
        ...

    @property
    def reason(self) -> Reason:
        """Why those that do not pass are left out."""
        ...

    def passes(self, measures: pa.Table) -> NDArray[np.bool_]:
        """Say for each row whether it passes; a null, which nobody scored, does."""
        ...


@dataclass(frozen=True, slots=True)
class Bound:
    """A rule: a number must be at least `minimum` and at most `maximum`."""

    column: str
    reason: Reason
    minimum: float | None = None
    maximum: float | None = None

    @property
    def threshold(self) -> str:
        """See `Rule`."""
        bounds = (("at least", self.minimum), ("at most", self.maximum))
        return ", ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)

    def passes(self, measures: pa.Table) -> NDArray[np.bool_]:
        """See `Rule`. What is no number (NaN) does not pass."""
        column = measures.column(self.column)
        values = np.asarray(column.cast(pa.float64()).fill_null(0.0))
        passing = ~np.isnan(values)
        if self.minimum is not None:
            passing &= values >= self.minimum
        if self.maximum is not None:
            passing &= values <= self.maximum
        found: NDArray[np.bool_] = passing | np.asarray(pc.is_null(column))
        return found


@dataclass(frozen=True, slots=True)
class Criterion:
    """One part of curation.

    `scorer` returns what measures, None where the settings ask for nothing of it; `rules` what
    the rules for one category make of the measures, in the order in which they are tried.
    """

    scorer: Callable[[Curation], Scorer | None]
    rules: Callable[[CategoryRules], Iterable[Rule]]
