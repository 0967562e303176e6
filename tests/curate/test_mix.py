"""The mix: shares that sum to one, limits that hold, and what the others make up for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from dsvl_data.curate.mix import Amount, MixRules, make, rows, sentences
from dsvl_data.curate.run import curate
from dsvl_data.curate.settings import Curation
from dsvl_data.sample import CATEGORIES, PRETRAINING_CATEGORIES
from dsvl_data.shards.build import ShardSettings, build_shards
from dsvl_data.shards.manifest import read_manifest
from tests.curate.conftest import ENGLISH, sample, write

TOLERANCE = 1e-6
AMOUNTS = st.dictionaries(
    st.sampled_from(CATEGORIES),
    st.builds(Amount, st.integers(1, 10**6), st.integers(1, 10**9), st.integers(1, 10**12)),
    max_size=len(CATEGORIES),
)
SHARES = st.dictionaries(st.sampled_from(PRETRAINING_CATEGORIES), st.floats(0.001, 100), min_size=1)
RULES = st.builds(
    MixRules,
    unit=st.sampled_from(["tokens", "samples", "bytes"]),
    training_tokens=st.none() | st.integers(1, 10**12),
    shares=SHARES,
    sft_share=st.floats(0, 0.5),
    max_epochs=st.floats(0.1, 20),
    max_epochs_of=st.dictionaries(st.sampled_from(CATEGORIES), st.floats(0.1, 20)),
)


@given(RULES, AMOUNTS)
def test_weights_sum_to_one_and_go_only_where_there_is_data(
    rules: MixRules, amounts: dict[str, Amount]
) -> None:
    wanted = rules.wanted()
    assert sum(wanted.values()) == pytest.approx(1)
    mix = make(rules, amounts)
    usable = [name for name in amounts if wanted.get(name)]
    assert sum(mix.weights.values()) == pytest.approx(1 if usable else 0, abs=TOLERANCE)
    assert sum(c.sample_weight for c in mix.categories.values()) == pytest.approx(
        1 if usable else 0, abs=TOLERANCE
    )
    for name, each in mix.categories.items():
        assert min(each.weight, each.sample_weight) >= 0
        if name not in usable:
            assert each.weight == each.sample_weight == 0
        if wanted.get(name) and name not in amounts:
            assert each.short == "no samples"
    assert set(mix.categories) == {name for name in CATEGORIES if name in amounts or name in wanted}


@given(RULES, AMOUNTS)
def test_no_category_is_drawn_beyond_its_limit_and_the_rest_keep_their_proportions(
    rules: MixRules, amounts: dict[str, Amount]
) -> None:
    mix = make(rules, amounts)
    assume(mix.weights and mix.training_tokens)
    open_ = []
    for name, each in mix.categories.items():
        limit = rules.max_epochs_of.get(name, rules.max_epochs)
        assert each.epochs is not None
        assert each.epochs <= limit * (1 + TOLERANCE)
        if each.short == "epochs":
            assert each.epochs == pytest.approx(limit, rel=TOLERANCE, abs=TOLERANCE)
        elif each.weight > TOLERANCE:
            open_.append(each)
    ratios = [each.weight / each.wanted for each in open_ if each.wanted > TOLERANCE]
    # Weights are rounded to nine digits.
    assert ratios == pytest.approx([ratios[0]] * len(ratios), rel=0.01) if ratios else True
    assert mix.training_tokens is not None
    assert mix.drawn_tokens is not None
    if open_:
        assert mix.drawn_tokens == pytest.approx(mix.training_tokens, rel=TOLERANCE, abs=1)
    else:
        assert mix.drawn_tokens <= mix.training_tokens * (1 + TOLERANCE) + 1


@given(RULES, AMOUNTS)
def test_epochs_are_what_was_drawn_over_what_there_is(
    rules: MixRules, amounts: dict[str, Amount]
) -> None:
    mix = make(rules, amounts)
    assume(mix.weights and mix.training_tokens)
    drawn = sum((each.epochs or 0) * each.tokens for each in mix.categories.values())
    # Epochs are rounded to nine digits: of a billion tokens that is one.
    assert drawn == pytest.approx(mix.drawn_tokens, rel=1e-3, abs=len(CATEGORIES))


def test_table_1_on_a_corpus_that_is_short_of_two_categories() -> None:
    amounts = {
        name: Amount(1000, tokens, tokens)
        for name, tokens in {
            "interleaved": 50_000,
            "caption": 200_000,
            "table_chart": 100_000,
            "document_ocr": 100_000,
            "text": 2_000_000,
            "sft_text": 1000,
        }.items()
    }
    mix = make(MixRules(training_tokens=2_000_000, sft_share=0.01), amounts)
    short = {name: each.short for name, each in mix.categories.items() if each.short}
    assert short == {
        "interleaved": "epochs",
        "sft_text": "epochs",
        **dict.fromkeys(
            (
                "web_code",
                "scene_text",
                "sft_inhouse",
                "sft_general",
                "sft_table_chart",
                "sft_web_code",
            ),
            "no samples",
        ),
    }
    weights = mix.weights
    assert weights["interleaved"] == pytest.approx(0.1)  # 4 x 50,000 of 2,000,000
    assert weights["sft_text"] == pytest.approx(0.002)
    assert weights["text"] / weights["caption"] == pytest.approx(70.0 / 11.1)
    assert mix.categories["interleaved"].epochs == 4
    assert mix.drawn_tokens == 2_000_000
    assert (
        mix.tokens_at_one_epoch < mix.tokens_at_max_epochs == 4 * mix.tokens_at_one_epoch + 3
        or (mix.tokens_at_max_epochs // 4 == mix.tokens_at_one_epoch)
    )


def test_shares_of_samples_are_not_shares_of_tokens() -> None:
    amounts = {"caption": Amount(1000, 600_000, 10), "text": Amount(100, 400_000, 10)}
    shares = {"caption": 50.0, "text": 50.0}
    of_samples = make(MixRules(unit="samples", shares=shares, sft_share=0), amounts)
    of_tokens = make(MixRules(unit="tokens", shares=shares, sft_share=0), amounts)
    assert {n: c.sample_weight for n, c in of_samples.categories.items()} == dict.fromkeys(
        shares, 0.5
    )
    assert of_tokens.weights == dict.fromkeys(shares, 0.5)
    # A text has 4,000 tokens, a caption 600: 4 of 23 samples make half of the tokens.
    assert of_tokens.categories["text"].sample_weight == pytest.approx(600 / 4600)


def test_a_corpus_that_is_too_small_for_the_training_is_drawn_to_its_limits() -> None:
    mix = make(MixRules(training_tokens=10**9), {"text": Amount(10, 1000, 5000)})
    assert mix.drawn_tokens == 4000
    assert "all categories to their limit" in sentences(mix)
    assert mix.weights == {"text": 1.0}


def test_nothing_to_mix_is_no_mix() -> None:
    mix = make(MixRules(training_tokens=100), {})
    assert mix.weights == {}
    assert mix.drawn_tokens == mix.tokens_at_one_epoch == 0
    assert {row[-1] for row in rows(mix)} == {"samples: there are none"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"shares": {"captions": 1}},
        {"shares": {"text": -1}},
        {"shares": {"text": 0}},
        {"shares": {"text": float("nan")}},
        {"sft_share": 1},
        {"sft_shares": {"text": 1}},
        {"max_epochs": 0},
        {"training_tokens": 0},
        {"unit": "images"},
    ],
)
def test_shares_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MixRules.model_validate(wrong)


def test_a_mix_is_in_manifest_card_and_report_and_changes_no_shard(tmp_path: Path) -> None:
    out = write(
        tmp_path,
        made_0=[
            sample("text", ENGLISH),
            sample("caption", "A dog.", images=("x",), category="caption"),
        ],
    )

    def build(rules: dict[str, Any]) -> dict[str, Any]:
        settings = Curation.model_validate(rules)
        curate(str(out), settings, executor="local")
        build_shards(str(out), ShardSettings(), curation=settings, executor="local")
        found: dict[str, Any] = json.loads((out / "manifest.json").read_text())
        return found

    plain = build({})
    assert "mix" not in plain
    assert "## Mix" not in (out / "README.md").read_text()
    decided = (out / "curation/decisions/made/part-00000.parquet").stat().st_mtime_ns
    mixed = build({"mix": {"training_tokens": 1000}})
    assert mixed["shards"] == plain["shards"]
    assert (out / "curation/decisions/made/part-00000.parquet").stat().st_mtime_ns == decided
    assert mixed["mix"] == json.loads((out / "curation/mix.json").read_text())
    assert set(read_manifest(str(out)).mix.weights) == {"text", "caption"}  # type: ignore[union-attr]
    card = (out / "README.md").read_text()
    assert "## Mix" in card
    assert "| scene_text |" in card
    assert build({}) == plain
    assert not (out / "curation/mix.json").exists()
