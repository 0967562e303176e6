"""Which language a sample's text is in, as the model sees it: samples in, code and confidence out.

The language that a converter stated is another matter: it may come from metadata. Only prose is
judged (`prose.py`), and only where there is enough of it: code, tables, formulas and captions are
in no language that the model could be sure of. Confidence as a filter: above 0.5 in Wenzek et
al., "CCNet" (LREC 2020, arXiv:1911.00359), section 3.3, and `lang_threshold` of
facebookresearch/cc_net, `cc_net/mine.py`; 0.65 for English in Penedo et al., "The FineWeb
Datasets" (arXiv:2406.17557), section 3.3. English, Chinese, Japanese and Korean have lower
thresholds of our own: their technical texts are full of commands and names, which tear the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dsvl_data.curate.prose import LEFT_OUT, read_prose
from dsvl_data.curate.rule import Criterion, Rule, Scorer
from dsvl_data.curate.settings import CategoryRules, Curation, LanguageRules
from dsvl_data.language import HEAD, identify_all
from dsvl_data.outcome import Reason
from dsvl_data.sample import Sample

CODE, CONFIDENCE, WORDS = "text_language", "language_confidence", "language_words"


@dataclass(frozen=True, slots=True)
class LanguageScorer:
    """The scorer: by fastText's `lid.176`."""

    name: ClassVar[str] = "language"
    version: ClassVar[str] = "lid.176.ftz, prose/2"
    columns: ClassVar[Mapping[str, pa.DataType]] = {
        CODE: pa.string(),
        CONFIDENCE: pa.float64(),
        WORDS: pa.float64(),
    }
    gpus: ClassVar[float] = 0

    def score(self, samples: Sequence[Sample]) -> Mapping[str, Sequence[Any]]:
        """Identify the language of each text's prose, all in one call of the model."""
        proses = [read_prose(sample.text[:HEAD]) for sample in samples]
        found = identify_all([prose.text.replace(LEFT_OUT, " ") for prose in proses])
        return {
            CODE: [language.code for language in found],
            CONFIDENCE: [language.confidence for language in found],
            WORDS: [prose.words for prose in proses],
        }


@dataclass(frozen=True, slots=True)
class _Kept:
    """The language must be one of some."""

    rules: LanguageRules
    column: str = CODE
    reason: Reason = Reason.LANGUAGE

    @property
    def threshold(self) -> str:
        return f"one of {', '.join(self.rules.keep)}"

    def passes(self, measures: pa.Table) -> NDArray[np.bool_]:
        kept = pc.is_in(measures.column(CODE), pa.array(self.rules.keep, pa.string()))
        return np.asarray(kept) | _too_little_text(measures, self.rules)


@dataclass(frozen=True, slots=True)
class _Sure:
    """The model must be sure enough."""

    rules: LanguageRules
    column: str = CONFIDENCE
    reason: Reason = Reason.LANGUAGE_UNSURE

    @property
    def threshold(self) -> str:
        others = (f", {code} {least:g}" for code, least in self.rules.min_confidence_of.items())
        return (
            f"at least {self.rules.min_confidence:g}{''.join(others)} in texts of "
            f"{self.rules.min_words} words"
        )

    def passes(self, measures: pa.Table) -> NDArray[np.bool_]:
        asked = np.full(measures.num_rows, self.rules.min_confidence)
        for code, least in self.rules.min_confidence_of.items():
            asked[np.asarray(pc.equal(measures.column(CODE), code))] = least
        sure = np.asarray(measures.column(CONFIDENCE)) >= asked
        passing: NDArray[np.bool_] = sure | _too_little_text(measures, self.rules)
        return passing


def _too_little_text(measures: pa.Table, rules: LanguageRules) -> NDArray[np.bool_]:
    few: NDArray[np.bool_] = np.asarray(measures.column(WORDS)) < rules.min_words
    return few


def _scorer(settings: Curation) -> Scorer | None:
    wanted = any(rules.text and rules.text.language for rules in settings.every_rules())
    return LanguageScorer() if wanted else None


def _rules(rules: CategoryRules) -> Iterator[Rule]:
    language = rules.text and rules.text.language
    if language:
        if language.keep:
            yield _Kept(language)
        if language.min_confidence or language.min_confidence_of:
            yield _Sure(language)


CRITERION = Criterion(_scorer, _rules)
