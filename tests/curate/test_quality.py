from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from dsvl_data.curate import quality, quality_scores
from dsvl_data.curate.quality import FORM, GARBAGE
from dsvl_data.curate.settings import Curation
from dsvl_data.outcome import Reason, UserError
from dsvl_data.sample import Origin, Provenance, Sample, Text
from tests.curate.test_text_scores import CHINESE, ENGLISH


def sample(text: str, language: str = "en", category: str = "text") -> Sample:
    origin = Origin("s", "u", "CC0-1.0")
    return Sample("k", "d", category, (Text(text),), language, origin, Provenance("p", "1"))


def reasons(one: Sample, text_rules: dict[str, Any]) -> set[Reason]:
    """Why curation would leave a sample out."""
    settings = Curation.model_validate({"text": text_rules})
    columns: dict[str, pa.Array] = {
        "category": pa.array([one.category]),
        "language": pa.array([one.language]),
    }
    for scorer in (FORM, GARBAGE):
        for name, values in scorer.score([one]).items():
            columns[name] = pa.array(values, scorer.columns[name])
    table = pa.table(columns)
    chosen = settings.rules_for(one.category)
    found = [*quality.FORM_CRITERION.rules(chosen), *quality.GARBAGE_CRITERION.rules(chosen)]
    return {rule.reason for rule in found if not rule.passes(table)[0]}


SPAM = ENGLISH * 4
GARBAGE_TEXT = "tbe qn1ck brovvn fqx jnmps ovcr thc lqzy dqg and w0rd ~ ¬ pa|n " * 3


def test_rules_hold_by_language_and_category() -> None:
    rules: dict[str, Any] = {"quality": {}}
    assert reasons(sample(ENGLISH), rules) == set()
    assert reasons(sample(CHINESE, "zh"), rules) == set()
    repeated = {Reason.REPEATED_LINES, Reason.REPEATED_NGRAMS}
    assert reasons(sample(SPAM), rules) == repeated
    assert reasons(sample(SPAM, "fr"), rules) == repeated
    assert reasons(sample(SPAM, category="document_ocr"), rules) == set()
    assert reasons(sample(SPAM, category="document_ocr"), {"quality": {"categories": []}})
    assert reasons(sample(SPAM), {"quality": {"en": None}}) == set()


def test_a_language_can_have_rules_of_its_own() -> None:
    names = " ".join(f"Kessel{i} Herd{i}" for i in range(60))
    assert reasons(sample(names, "de"), {"quality": {}}) == set()
    strict = {"quality": {"by_language": {"de": {"min_mean_word_length": 30}}}}
    assert reasons(sample(names, "de"), strict) == {Reason.WORD_LENGTH}
    assert reasons(sample(names, "fr"), strict) == set()


def test_a_short_text_is_judged_by_its_length_only_where_asked() -> None:
    poem = sample("Water, water,\nwater, water,\nwater, water.")
    assert reasons(poem, {"quality": {}}) == set()
    assert reasons(poem, {"quality": {"en": {"min_words": 50}}}) == {Reason.WORD_COUNT}


def test_garbage_is_told_in_any_category() -> None:
    assert reasons(sample(GARBAGE_TEXT, category="document_ocr"), {"ocr_garbage": {}}) == {
        Reason.OCR_GARBAGE
    }
    assert reasons(sample(ENGLISH), {"ocr_garbage": {}}) == set()
    assert reasons(sample("tbe qnick fqx"), {"ocr_garbage": {}}) == set()  # three words


def test_scores_that_mean_nothing_are_null() -> None:
    given = FORM.score([sample(CHINESE, "zh"), sample("```\nx\n```"), sample(ENGLISH)])
    assert given["mean_word_length"][:2] == [None, None]
    assert given["mean_word_length"][2] > 3
    assert given["words"][1] == 0


def test_what_is_not_asked_for_is_not_measured() -> None:
    assert quality.FORM_CRITERION.scorer(Curation()) is None
    text = {"text": {"quality": {}}}
    assert quality.FORM_CRITERION.scorer(Curation.model_validate(text)) is FORM
    assert quality.GARBAGE_CRITERION.scorer(Curation.model_validate(text)) is None
    assert quality_scores.QUALITY_CRITERION.scorer(Curation.model_validate(text)) is None


def test_one_model_for_all_categories() -> None:
    one = {"text": {"model": {"classifier": "/a.bin"}}}
    scorer = quality_scores.QUALITY_CRITERION.scorer(Curation.model_validate(one))
    assert scorer is not None
    with pytest.raises(UserError, match="cannot be read"):
        _ = scorer.version
    two = one | {"by_category": {"caption": {"text": {"model": {"classifier": "/b.bin"}}}}}
    with pytest.raises(UserError, match="several models"):
        quality_scores.QUALITY_CRITERION.scorer(Curation.model_validate(two))
