"""What a stage draws, and in which unit, where the stage itself does not say."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from dsvl_data.curate.mix import MixRules, make
from dsvl_data.outcome import UserError
from dsvl_data.recipe import RecipeError
from dsvl_data.shards.manifest import amounts, encode_manifest, read_manifest
from model.processor import Processor
from model.tokenizer import ByteTokenizer
from tests.train.small import write_recipe
from train import sources
from train.corpus import Corpus
from train.parallel import Ranks
from train.plan import Planner
from train.pool import PlanSettings
from train.settings import load
from train.sources import make_plan, measure_lengths, open_corpus

_NOBODY_SAYS = {"shares": None}


def _plan(
    folder: Path, processor: Processor, *corpora: Path, each: dict[str, Any] | None = None
) -> PlanSettings:
    path = write_recipe(
        folder, corpora[0], each=each or _NOBODY_SAYS, corpora=[str(path) for path in corpora]
    )
    recipe, stages = load(path)
    return make_plan(recipe, stages.of(2), open_corpus(recipe, processor))


def _only(built: Path, out: Path, *categories: str, mix: MixRules | None = None) -> Path:
    """A copy of a corpus that has only some categories, and a mix."""
    shutil.copytree(built, out)
    manifest = read_manifest(str(out))
    there = {name: a for name, a in amounts(manifest.totals).items() if name in categories}
    changed = manifest.model_copy(
        update={
            "shards": [shard for shard in manifest.shards if shard.category in categories],
            "mix": mix and make(mix, there),
        }
    )
    (out / "manifest.json").write_bytes(encode_manifest(changed))
    return out


def _mix(unit: str, **shares: float) -> MixRules:
    return MixRules.model_validate({"unit": unit, "shares": shares, "sft_share": 0})


def test_without_a_mix_shares_are_of_tokens_and_epochs_alike(
    built: Path, tmp_path: Path, processor: Processor
) -> None:
    path = write_recipe(tmp_path, built, each=_NOBODY_SAYS | {"grouping": False, "language": None})
    recipe, stages = load(path)
    corpus = open_corpus(recipe, processor)

    plan = make_plan(recipe, stages.of(2), corpus)
    planner = Planner(corpus, plan)
    while min(planner.epochs.values()) < 3:
        planner.next()

    assert plan.unit == "tokens"
    assert max(planner.epochs.values()) < 1.05 * min(planner.epochs.values())


def test_without_a_mix_samples_are_shared_out_where_the_stage_says_so(
    built: Path, tmp_path: Path, processor: Processor
) -> None:
    plan = _plan(tmp_path, processor, built, each=_NOBODY_SAYS | {"unit": "samples"})

    assert plan.unit == "samples"
    assert plan.shares == {"text": 180 / 336, "document_ocr": 120 / 336, "sft_general": 36 / 336}


@pytest.mark.parametrize("unit", ["tokens", "samples"])
def test_a_mix_says_its_unit(built: Path, tmp_path: Path, processor: Processor, unit: str) -> None:
    rules = _mix(unit, text=3, document_ocr=1)
    corpus = _only(built, tmp_path / "mixed", "text", "document_ocr", mix=rules)

    plan = _plan(tmp_path, processor, corpus)

    assert (plan.unit, plan.shares) == (unit, {"text": 0.75, "document_ocr": 0.25})


def test_a_mix_of_bytes_is_obeyed_in_tokens(
    built: Path, tmp_path: Path, processor: Processor
) -> None:
    rules = _mix("bytes", text=3, document_ocr=1)
    corpus = _only(built, tmp_path / "mixed", "text", "document_ocr", mix=rules)
    there = amounts(read_manifest(str(built)).totals)

    plan = _plan(tmp_path, processor, corpus)

    drawn = {
        name: plan.shares[name] * a.bytes / a.tokens
        for name, a in there.items()
        if name in plan.shares
    }
    assert plan.unit == "tokens"
    assert drawn["text"] / drawn["document_ocr"] == pytest.approx(3)


def test_a_mix_in_another_unit_than_the_stage_is_refused(
    built: Path, tmp_path: Path, processor: Processor
) -> None:
    corpus = _only(built, tmp_path / "mixed", "text", mix=_mix("samples", text=1))

    with pytest.raises(RecipeError, match=r"mix is of samples.*`unit: tokens`.*set `shares`"):
        _plan(tmp_path, processor, corpus, each=_NOBODY_SAYS | {"unit": "tokens"})


def test_mixes_in_different_units_are_refused(
    built: Path, tmp_path: Path, processor: Processor
) -> None:
    one = _only(built, tmp_path / "one", "text", mix=_mix("samples", text=1))
    other = _only(built, tmp_path / "other", "document_ocr", mix=_mix("tokens", document_ocr=1))

    with pytest.raises(RecipeError, match=r"of samples, of tokens.*set `shares`"):
        _plan(tmp_path, processor, one, other)


def test_corpora_with_mixes_count_alike(built: Path, tmp_path: Path, processor: Processor) -> None:
    one = _only(built, tmp_path / "one", "text", mix=_mix("tokens", text=1))
    rules = _mix("tokens", document_ocr=3, text=1)
    other = _only(built, tmp_path / "other", "document_ocr", "text", mix=rules)

    plan = _plan(tmp_path, processor, one, other)

    assert plan.shares == {"text": 1.25, "document_ocr": 0.75}


def test_samples_that_no_mix_speaks_of_are_not_left_out_unsaid(
    built: Path, tmp_path: Path, processor: Processor
) -> None:
    mixed = _only(built, tmp_path / "mixed", "text", mix=_mix("tokens", text=1))
    beside = _only(built, tmp_path / "beside", "document_ocr")

    with pytest.raises(RecipeError, match=r"document_ocr \(120 samples\).*set `shares`"):
        _plan(tmp_path, processor, mixed, beside)


def test_a_category_that_a_mix_leaves_out_stays_out(
    built: Path, tmp_path: Path, processor: Processor
) -> None:
    corpus = _only(built, tmp_path / "mixed", "text", "sft_general", mix=_mix("tokens", text=1))

    assert _plan(tmp_path, processor, corpus).shares == {"text": 1.0}


class _Together(Ranks):
    """The first of two ranks; the other one always answers what it is told to."""

    def total(self, values: Iterable[float]) -> list[float]:
        more, wrong = values
        return [more + _OTHER["more"], wrong + _OTHER["wrong"]]


_OTHER = {"more": 0.0, "wrong": 0.0}


def test_lengths_are_counted_before_a_training_by_all_ranks(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_TURN", 0.0)
    measure_lengths(corpus, Ranks(0, 1, torch.device("cpu"), together=False))

    corpus._counter.count = None  # type: ignore[assignment]  # must not be asked again
    for name in corpus.categories:
        for shard in range(len(corpus.counts(name))):
            assert corpus.sizes(name, shard).tokens.all()


def test_a_rank_that_cannot_count_ends_all(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_OTHER, "wrong", 1.0)

    with pytest.raises(UserError, match="another rank"):
        measure_lengths(corpus, _Together(0, 2, torch.device("cpu"), together=True))


def test_lengths_are_those_of_what_the_tokenizer_does(
    built: Path, tmp_path: Path, processor: Processor
) -> None:
    class Other(ByteTokenizer):
        digest = "other"

    recipe, _ = load(write_recipe(tmp_path, built))

    digests = {
        open_corpus(recipe, Processor(processor.config, tokenizer)).digest
        for tokenizer in (ByteTokenizer(), ByteTokenizer(), Other())
    }
    assert len(digests) == 2
