"""A stage begins with the weights it was told to, in a folder of its own; no chain is another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from dsvl_data.outcome import UserError
from model.checkpoint import load as load_model
from model.checkpoint import read_config
from model.config import TokenIds
from model.freeze import Stage
from model.tokenizer import load_tokenizer, token_ids
from tests.model.test_processor import trained_bpe
from tests.train.small import SMALL, write_recipe
from train.commands import _chain, _own
from train.loop import Trainer
from train.parallel import Ranks
from train.run import train
from train.settings import load
from train.weights import stage_folder, weights_before

ALONE = Ranks(0, 1, torch.device("cpu"), False)
_CHANGES = {"steps": 1, "rows": 1}


pytestmark = pytest.mark.usefixtures("one_thread")


def _weights(final: Path) -> dict[str, torch.Tensor]:
    return dict(load_model(final).named_parameters())


def _change(recipe: Path, **stage_3: object) -> Path:
    told = yaml.safe_load(recipe.read_text())
    told["stages"]["stage_3"] |= stage_3
    recipe.write_text(yaml.safe_dump(told))
    return recipe


def test_all_ablations_from_one_run(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_recipe(tmp_path, built, each=_CHANGES)
    one, two, three = train(path)
    assert [final.parent.name for final in (one, two, three)] == ["stage_1", "stage_2", "stage_3"]
    (only,) = train(path, (2,), after=())
    (one_three,) = train(path, (3,), after=(1,))
    (two_three,) = train(path, (3,), after=(2,))
    assert [final.parent.name for final in (only, one_three, two_three)] == [
        "stage_2_after_0",
        "stage_3_after_1",
        "stage_3_after_2",
    ]

    recipe, stages = load(path)
    began: dict[tuple[Stage, ...], Path] = {
        (1, 2): two,
        (1,): one,
        (2,): only,
    }
    for before, final in began.items():
        begin = weights_before(recipe, 3, before)
        assert begin == final
        trainer = Trainer(recipe, stages, 3, ALONE, begin=begin, folder=tmp_path / str(before))
        there = _weights(final)
        assert all(torch.equal(p, there[name]) for name, p in trainer.model.named_parameters())
    # Each ended somewhere else.
    ends = [_weights(final)["language.norm.weight"] for final in (three, one_three, two_three)]
    for number, end in enumerate(ends):
        assert not any(torch.equal(end, other) for other in ends[number + 1 :])

    capsys.readouterr()
    assert train(path, (3,), after=(1,)) == [one_three]
    assert "stage 3 is trained already" in " ".join(capsys.readouterr().err.split())


def test_a_stage_without_the_ones_before_says_what_can_be_done(built: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, built, each=_CHANGES)
    with pytest.raises(UserError, match=r"stage 2 after 1 begins from .*stage_1/final.*--stage 1"):
        train(path, (2,))
    with pytest.raises(UserError, match=r"stage_2_after_0/final.*--stage 2 --after 0"):
        train(path, (3,), after=(2,))
    with pytest.raises(UserError, match="in the order 1\\+2\\+3"):
        train(path, (2,), after=(2,))
    recipe, _ = load(path)
    assert stage_folder(recipe, 3, ()).name == "stage_3_after_0"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("done", [True, False])
def test_a_stage_does_not_go_on_with_other_settings(
    built: Path, tmp_path: Path, done: bool
) -> None:
    path = write_recipe(tmp_path, built, each=_CHANGES | {"steps": 2}, checkpoint_every=1)
    (final,) = train(path, (3,), after=())
    if not done:
        final.rename(tmp_path / "elsewhere")
    train(_change(path, micro_rows=1), (3,), after=())
    if not done:
        final.rename(tmp_path / "again")
    with pytest.raises(UserError, match=r"stage_3_after_0 was .*learning_rate was 0.002, is 0.5"):
        train(_change(path, learning_rate=0.5), (3,), after=())


def test_what_was_never_trained_may_begin_with_other_settings(built: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, built, each=_CHANGES)
    recipe, stages = load(path)
    Trainer(recipe, stages, 3, ALONE)
    recipe, stages = load(_change(path, learning_rate=0.5))
    Trainer(recipe, stages, 3, ALONE)


def test_a_stage_does_not_go_on_from_weights_that_were_trained_anew(
    built: Path, tmp_path: Path
) -> None:
    path = write_recipe(tmp_path, built, each=_CHANGES)
    train(path, (2, 3), after=())
    (tmp_path / "run" / "stage_2_after_0").rename(tmp_path / "old")
    told = yaml.safe_load(path.read_text())
    told["stages"]["stage_2"]["learning_rate"] = 1e-4
    path.write_text(yaml.safe_dump(told))
    train(path, (2,), after=())
    with pytest.raises(UserError, match="from_digest"):
        train(path, (3,), after=(2,))


@pytest.mark.parametrize("kind", ["bytes", "bpe"])
def test_final_weights_have_their_tokenizer_beside_them(
    built: Path, tmp_path: Path, kind: str
) -> None:
    given = "bytes"
    if kind == "bpe":
        given = str(tmp_path / "bpe")
        trained_bpe().save_pretrained(given)
    tokenizer = load_tokenizer(given)
    config = replace(SMALL, tokens=token_ids(tokenizer))
    path = write_recipe(tmp_path, built, each=_CHANGES, config=config, tokenizer=given)
    (final,) = train(path, (3,), after=())

    beside = load_tokenizer(_own(final, read_config(final)))
    assert type(beside) is type(tokenizer)
    assert token_ids(beside) == token_ids(tokenizer)
    assert beside.encode("What is (this)?") == tokenizer.encode("What is (this)?")


def test_weights_without_a_tokenizer_are_not_taken_for_those_of_bytes(tmp_path: Path) -> None:
    assert _own(tmp_path, SMALL) == "bytes"
    other = replace(SMALL, tokens=TokenIds(0, 1, 310))
    with pytest.raises(UserError, match=r"no tokenizer in .*--tokenizer"):
        _own(tmp_path, other)


def test_chains_as_they_are_written() -> None:
    assert [_chain(given) for given in ("0", "1", "1+2")] == [(), (1,), (1, 2)]
    for wrong in ("", "1+", "4", "one", "-1"):
        with pytest.raises(UserError):
            _chain(wrong)
