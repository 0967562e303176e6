"""A recipe's own models as scorers: samples in, `quality` and `perplexity` and their rules out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import pyarrow as pa

from dsvl_data.curate.prose import read_prose
from dsvl_data.curate.quality import Within
from dsvl_data.curate.quality_model import Classifier, LanguageModel, check_kenlm, digest
from dsvl_data.curate.quality_settings import ModelRules
from dsvl_data.curate.rule import Bound, Criterion, Rule, Scorer
from dsvl_data.curate.settings import CategoryRules, Curation
from dsvl_data.outcome import Reason, UserError
from dsvl_data.sample import Sample


@dataclass(frozen=True, slots=True)
class QualityScorer:
    """What a classifier says, 0 to 1."""

    path: str
    label: str
    name: str = "quality_model"
    columns: ClassVar[Mapping[str, pa.DataType]] = MappingProxyType(
        {"quality": pa.float64(), "quality_words": pa.float64()}
    )
    gpus: float = 0

    @property
    def version(self) -> str:
        """See `Scorer`."""
        return f"1/{self.label}/{digest(self.path)}"

    def score(self, samples: Sequence[Sample]) -> Mapping[str, Sequence[Any]]:
        """See `Scorer`."""
        proses = [read_prose(each.text) for each in samples]
        return {
            "quality": Classifier(self.path, self.label).score(proses),
            "quality_words": [prose.words for prose in proses],
        }


@dataclass(frozen=True, slots=True)
class PerplexityScorer:
    """A language model's perplexity a word."""

    path: str
    name: str = "perplexity"
    columns: ClassVar[Mapping[str, pa.DataType]] = MappingProxyType(
        {"perplexity": pa.float64(), "perplexity_words": pa.float64()}
    )
    gpus: float = 0

    @property
    def version(self) -> str:
        """See `Scorer`."""
        check_kenlm()
        return f"1/{digest(self.path)}"

    def score(self, samples: Sequence[Sample]) -> Mapping[str, Sequence[Any]]:
        """See `Scorer`."""
        model = LanguageModel(self.path)
        proses = [read_prose(each.text) for each in samples]
        return {
            "perplexity": [model.perplexity(prose) for prose in proses],
            "perplexity_words": [prose.words for prose in proses],
        }


def _one_model(
    settings: Curation, key: Callable[[ModelRules], tuple[str, ...] | None]
) -> tuple[str, ...] | None:
    """The model that the rules name; a column holds the scores of one."""
    models = [rules.text.model for rules in settings.every_rules() if rules.text]
    found = {named for model in models if model and (named := key(model))}
    if len(found) > 1:
        listed = "; ".join(" ".join(each) for each in sorted(found))
        raise UserError(
            f"curation names several models of a kind ({listed}): one is used for all categories, "
            "which may differ in thresholds"
        )
    return next(iter(found), None)


def _quality_scorer(settings: Curation) -> Scorer | None:
    found = _one_model(
        settings, lambda rules: (rules.classifier, rules.good_label) if rules.classifier else None
    )
    return QualityScorer(found[0], found[1]) if found else None


def _quality_rules(rules: CategoryRules) -> Iterable[Rule]:
    model = rules.text and rules.text.model
    if model and model.classifier:
        bound = Bound("quality", Reason.LOW_QUALITY, minimum=model.min_quality)
        yield Within(
            bound, model.categories, words="quality_words", at_least_words=model.judged_words
        )


def _perplexity_scorer(settings: Curation) -> Scorer | None:
    found = _one_model(settings, lambda rules: (rules.kenlm,) if rules.kenlm else None)
    return PerplexityScorer(found[0]) if found else None


def _perplexity_rules(rules: CategoryRules) -> Iterable[Rule]:
    model = rules.text and rules.text.model
    if model and model.kenlm and (model.min_perplexity or model.max_perplexity):
        bound = Bound(
            "perplexity", Reason.PERPLEXITY, model.min_perplexity or None, model.max_perplexity
        )
        yield Within(
            bound, model.categories, words="perplexity_words", at_least_words=model.judged_words
        )


QUALITY_CRITERION = Criterion(_quality_scorer, _quality_rules)
PERPLEXITY_CRITERION = Criterion(_perplexity_scorer, _perplexity_rules)
