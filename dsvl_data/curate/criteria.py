"""The parts of curation, in the order in which their rules are tried.

In: a recipe's rules. Out: the scorers that they need, and the rules of a category. A new part
adds its module's `CRITERION` to the list.
"""

from __future__ import annotations

from dsvl_data.curate import (
    contamination,
    exact,
    image_rules,
    image_text,
    language_rules,
    length,
    masking,
    quality,
    quality_scores,
    rights,
)
from dsvl_data.curate.rule import Rule, Scorer
from dsvl_data.curate.settings import Curation

CRITERIA = (
    rights.CRITERION,
    contamination.CRITERION,
    length.CRITERION,
    language_rules.CRITERION,
    quality.FORM_CRITERION,
    quality.GARBAGE_CRITERION,
    quality_scores.QUALITY_CRITERION,
    quality_scores.PERPLEXITY_CRITERION,
    image_rules.CRITERION,
    image_text.CRITERION,
    exact.CRITERION,
    masking.CRITERION,
)


def scorers(settings: Curation) -> list[Scorer]:
    """Return what the settings ask to be measured."""
    found = (criterion.scorer(settings) for criterion in CRITERIA)
    return [scorer for scorer in found if scorer is not None]


def rules(settings: Curation, category: str) -> list[Rule]:
    """Return the rules for samples of one category."""
    chosen = settings.rules_for(category)
    return [rule for criterion in CRITERIA for rule in criterion.rules(chosen)]
