"""The form of texts, and garbage of recognition: samples in, scores and the rules over them out.

The scores are those of `text_scores.py` and `ocr_garbage.py`, a column each. A score that means
nothing for a text (a mean word length in Chinese) is null, and no rule holds it against it; a
text with hardly any prose is not judged either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dsvl_data.curate import ocr_garbage, text_scores
from dsvl_data.curate.prose import Prose, read_prose
from dsvl_data.curate.quality_settings import FormRules
from dsvl_data.curate.rule import Bound, Criterion, Rule, Scorer
from dsvl_data.curate.settings import CategoryRules, Curation
from dsvl_data.outcome import Reason
from dsvl_data.sample import Sample

WORDS = "words"

_REASONS: Mapping[str, Reason] = {
    WORDS: Reason.WORD_COUNT,
    "mean_word_length": Reason.WORD_LENGTH,
    "longest_word": Reason.WORD_LENGTH,
    "hashes_per_word": Reason.SYMBOLS,
    "ellipses_per_word": Reason.SYMBOLS,
    "digits": Reason.SYMBOLS,
    "symbols": Reason.SYMBOLS,
    "bullet_lines": Reason.BULLET_LINES,
    "ellipsis_lines": Reason.ELLIPSIS_LINES,
    "alphabetic_words": Reason.NO_WORDS,
    "stop_words": Reason.STOP_WORDS,
    "punctuated_lines": Reason.FRAGMENTS,
    "short_lines": Reason.FRAGMENTS,
    "c4_sentences": Reason.FRAGMENTS,
    "javascript_lines": Reason.BOILERPLATE,
    "policy_lines": Reason.BOILERPLATE,
    "lorem_ipsum": Reason.BOILERPLATE,
    "curly_brackets": Reason.CURLY_BRACKETS,
}
#: Thresholds that hold for texts of any length.
_ALWAYS = ("min_words", "max_lorem_ipsum")


@dataclass(frozen=True, slots=True)
class ProseScorer:
    """A scorer of single texts by their prose."""

    name: str
    version: str
    columns: Mapping[str, pa.DataType]
    of_prose: Callable[[Prose, str], Mapping[str, float]]
    gpus: float = 0

    def score(self, samples: Sequence[Sample]) -> Mapping[str, Sequence[Any]]:
        """See `Scorer`."""
        found = [self.of_prose(_prose(each.text), each.language) for each in samples]
        return {column: [scores.get(column) for scores in found] for column in self.columns}


# Several scorers are given the same samples, one after the other.
_prose = lru_cache(maxsize=64)(read_prose)

FORM = ProseScorer(
    "form",
    "gopher-c4/2",
    MappingProxyType(dict.fromkeys(text_scores.SCORES, pa.float64())),
    text_scores.score_prose,
)
GARBAGE = ProseScorer(
    "ocr_garbage",
    "2",
    MappingProxyType(
        {"garbage_words": pa.float64()} | dict.fromkeys(ocr_garbage.SCORES, pa.float64())
    ),
    lambda prose, language: {
        "garbage_words": prose.words,
        **ocr_garbage.score_prose(prose, language),
    },
)


@dataclass(frozen=True, slots=True)
class Within:
    """A bound for some rows only: of some categories, of (or out of) some languages, long enough.

    Empty `categories` are all; `languages` None is any. `words` names the column that says how
    long a text is, in words of prose.
    """

    bound: Bound
    categories: tuple[str, ...] = ()
    languages: tuple[str, ...] | None = None
    other_languages: bool = False
    words: str = WORDS
    at_least_words: float = 0

    @property
    def column(self) -> str:
        """See `Rule`."""
        return self.bound.column

    @property
    def reason(self) -> Reason:
        """See `Rule`."""
        return self.bound.reason

    @property
    def threshold(self) -> str:
        """See `Rule`."""
        limits = []
        if self.languages is not None and not self.other_languages:
            limits.append(f"in {', '.join(self.languages)}")
        if self.at_least_words:
            limits.append(f"from {self.at_least_words:g} words on")
        return self.bound.threshold + (f" ({', '.join(limits)})" if limits else "")

    def passes(self, measures: pa.Table) -> NDArray[np.bool_]:
        """See `Rule`."""
        concerned = np.ones(measures.num_rows, np.bool_)
        if self.categories:
            concerned &= _among(measures.column("category"), self.categories)
        if self.languages is not None:
            among = _among(measures.column("language"), self.languages)
            concerned &= ~among if self.other_languages else among
        if self.at_least_words:
            words = np.asarray(measures.column(self.words).fill_null(0.0))
            concerned &= words >= self.at_least_words
        passing: NDArray[np.bool_] = self.bound.passes(measures) | ~concerned
        return passing


def _among(column: pa.ChunkedArray, values: Sequence[str]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.asarray(pc.is_in(column, pa.array(values, pa.string())))
    return found


def bounds(rules: FormRules) -> Iterator[tuple[Bound, float]]:
    """Yield the thresholds of one language, each with the words from which on it holds."""
    for name in type(rules).model_fields:
        side, _, column = name.partition("_")
        threshold = getattr(rules, name)
        if side not in ("min", "max") or threshold is None:
            continue
        reason = _REASONS.get(column)
        if reason is None:  # top and repeated n-grams, and what else is said again
            reason = Reason.REPEATED_NGRAMS if "gram" in column else Reason.REPEATED_LINES
        lowest, highest = (threshold, None) if side == "min" else (None, threshold)
        words = 0 if name in _ALWAYS else rules.judged_words
        yield Bound(column, reason, lowest, highest), words


def _form_scorer(settings: Curation) -> Scorer | None:
    wanted = any(rules.text and rules.text.quality for rules in settings.every_rules())
    return FORM if wanted else None


def _form_rules(rules: CategoryRules) -> Iterable[Rule]:
    quality = rules.text and rules.text.quality
    if not quality:
        return
    by_language = {"en": quality.en, "zh": quality.zh, **quality.by_language}
    for language, form in by_language.items():
        for bound, words in bounds(form) if form else ():
            yield Within(bound, quality.categories, (language,), at_least_words=words)
    for bound, words in bounds(quality.others) if quality.others else ():
        yield Within(
            bound,
            quality.categories,
            tuple(by_language),
            other_languages=True,
            at_least_words=words,
        )


def _garbage_scorer(settings: Curation) -> Scorer | None:
    wanted = any(rules.text and rules.text.ocr_garbage for rules in settings.every_rules())
    return GARBAGE if wanted else None


def _garbage_rules(rules: CategoryRules) -> Iterable[Rule]:
    garbage = rules.text and rules.text.ocr_garbage
    if garbage:
        bound = Bound("ocr_garbage", Reason.OCR_GARBAGE, maximum=garbage.max_share)
        yield Within(bound, words="garbage_words", at_least_words=garbage.judged_words)


FORM_CRITERION = Criterion(_form_scorer, _form_rules)
GARBAGE_CRITERION = Criterion(_garbage_scorer, _garbage_rules)
