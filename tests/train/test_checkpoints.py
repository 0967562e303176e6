"""What a run cannot go on from is refused in one line that says what to do."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dsvl_data.outcome import UserError
from tests.train.small import SMALL, write_recipe
from train.loop import Trainer
from train.parallel import Ranks
from train.settings import load

ALONE = Ranks(0, 1, torch.device("cpu"), False)
_FFN = replace(SMALL, language=replace(SMALL.language, ffn_width=64))
_DEEPER = replace(SMALL, language=replace(SMALL.language, layers=3))
_SHALLOWER = replace(SMALL, language=replace(SMALL.language, layers=1))


def _open(folder: Path, corpus: Path, **changes: Any) -> Trainer:
    recipe, stages = load(write_recipe(folder, corpus, **changes))
    return Trainer(recipe, stages, 1, ALONE)


@pytest.fixture(scope="module")
def trained(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped after four steps of six."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trained")
    _open(folder, built, each={"steps": 4}).run()
    shutil.rmtree(folder / "run" / "stage_1" / "final")
    # What a checkpoint says for itself is tested here; what is beside it, in `test_weights.py`.
    (folder / "run" / "stage_1" / "begin.json").unlink()
    return folder


@pytest.fixture
def stopped(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def _one_shard_fewer(built: Path, folder: Path) -> Path:
    corpus = Path(shutil.copytree(built, folder / "corpus"))
    manifest = json.loads((corpus / "manifest.json").read_text())
    pages = [shard for shard in manifest["shards"] if shard["category"] == "document_ocr"]
    manifest["shards"].remove(pages[-1])
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    return corpus


@pytest.mark.parametrize("changes", [{"workers": 1, "log_every": 3}, {"recompute": True}])
def test_what_changes_no_sample_may_change(
    built: Path, stopped: Path, changes: dict[str, Any]
) -> None:
    assert _open(stopped, built, **changes).step == 4


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"seed": 3}, "batch, shares, seed or packing are others"),
        ({"each": {"rows": 8}}, "batch, shares, seed or packing are others"),
        ({"config": _FFN}, r"Size mismatch .* for model\.language\.layers\.0\.mlp"),
        ({"config": _DEEPER}, r"Missing key .* model\.language\.layers\.2"),
        ({"config": _SHALLOWER}, r"parameters more than the model, such as language\.layers\.1"),
    ],
)
def test_another_recipe_is_refused(
    built: Path, stopped: Path, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(UserError, match=expected) as told:
        _open(stopped, built, **changes)
    assert str(stopped / "run" / "stage_1") in str(told.value)
    assert "\n" not in str(told.value)


def test_another_corpus_is_refused(built: Path, stopped: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the shards or the lengths of their samples are others"):
        _open(stopped, _one_shard_fewer(built, tmp_path))


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:1000])


def _cut_facts(file: Path) -> None:
    (file.parent / "complete.json").write_text('{"step"')


@pytest.mark.parametrize("damage", [_cut, Path.unlink, _cut_facts])
def test_a_damaged_checkpoint_is_told_and_the_one_before_it_serves(
    built: Path, stopped: Path, damage: Callable[[Path], None]
) -> None:
    last = stopped / "run" / "stage_1" / "checkpoints" / "step-00000004"
    (data,) = last.glob("*.distcp")
    damage(data)
    with pytest.raises(UserError, match="remove its folder") as told:
        _open(stopped, built)
    assert str(last) in str(told.value)
    shutil.rmtree(last)
    assert _open(stopped, built).step == 2


@contextmanager
def _full_disk() -> Iterator[None]:
    """As far as a process can have one: no file of it may be longer than some bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_is_told_and_costs_no_checkpoint(built: Path, stopped: Path) -> None:
    trainer = _open(stopped, built)
    trainer.step = 5
    with _full_disk(), pytest.raises(UserError, match="step-00000005 cannot be written") as told:
        trainer._save()
    assert "\n" not in str(told.value)
    assert _open(stopped, built).step == 4
