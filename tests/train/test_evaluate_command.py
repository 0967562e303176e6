"""`dsvl-data evaluate model` as it is typed: a checkpoint, a set of each form, and its score.

The checkpoint says B whatever it is asked, so the scores are known.
"""

from __future__ import annotations

import base64
import csv
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dsvl_data.cli import main
from model.checkpoint import write
from model.vlm import VisionLanguageModel, initialise_weights
from tests.shards.conftest import picture
from tests.train.small import SMALL

PNG = picture(random.Random(1)).data
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model that finds the letter B likeliest, and all else about equally likely."""
    model = VisionLanguageModel(SMALL)
    initialise_weights(model)
    hidden = torch.randn(32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.language.norm.weight.fill_(1)
        for layer in model.language.layers:
            layer.attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        for projection in model.adaptor.parameters():
            projection.zero_()
        model.language.embed.weight[:] = hidden
        model.language.head.weight.zero_()
        model.language.head.weight[ord("B")] = hidden
    folder = tmp_path_factory.mktemp("checkpoint") / "final"
    write(SMALL, dict(model.named_parameters()), folder)
    return folder


@pytest.fixture
def run(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Type the command; returns the exit code, and what it printed and said."""
    torch.set_num_threads(1)

    def command(path: Path, form: str, *options: str, model: Path = checkpoint) -> Any:
        argv = ["dsvl-data", "evaluate", "model", str(model), str(path), "--form", form, *options]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return command


def _mmbench(folder: Path) -> Path:
    image = base64.b64encode(PNG).decode()
    rows = [
        {"index": i, "question": "What?", "hint": "nan", "A": "x", "B": "y", "C": "z", "D": "nan"}
        | {"answer": answer, "category": category, "image": image}
        for i, (answer, category) in enumerate([("B", "one"), ("C", "one"), ("B", "two")])
    ]
    with (folder / "set.tsv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    return folder / "set.tsv"


def _seed_bench(folder: Path) -> Path:
    (folder / "1_2").write_bytes(PNG)
    record = {f"choice_{letter}": letter for letter in "abcd"} | {"data_type": "image"}
    record |= {"data_id": "1_2", "question": "How many?", "question_type_id": 5}
    answers = [record | {"question_id": i, "answer": a} for i, a in enumerate("BBAD")]
    video = record | {"question_id": "v", "answer": "B", "data_type": "video"}
    whole = {"questions": [*answers, video], "question_type": {"Instances Counting": 5}}
    (folder / "set.json").write_text(json.dumps(whole))
    return folder / "set.json"


def _scienceqa(folder: Path) -> Path:
    (folder / "test" / "3").mkdir(parents=True)
    (folder / "test" / "3" / "image.png").write_bytes(PNG)
    base = {"question": "Which?", "choices": ["this", "that"], "hint": "", "image": None}
    problems = {
        "3": base | {"answer": 1, "image": "image.png", "split": "test", "subject": "physics"},
        "4": base | {"answer": 0, "split": "test", "subject": "biology"},
        "5": base | {"answer": 0, "split": "train", "subject": "biology"},
    }
    (folder / "problems.json").write_text(json.dumps(problems))
    return folder / "problems.json"


def _lines(folder: Path) -> Path:
    (folder / "a.png").write_bytes(PNG)
    base = {"question": "?", "options": ["cat", "dog"], "images": ["a.png", "a.png"]}
    records = [base | {"answer": answer} for answer in ("B", "dog", 0, "A")]
    (folder / "set.jsonl").write_text("\n".join(map(json.dumps, records)))
    return folder / "set.jsonl"


def _hellaswag(folder: Path) -> Path:
    base = {"activity_label": "Baking", "ctx": "A man", "endings": ["eats it all", "BBBB"]}
    lines = [base | {"ind": i, "label": label} for i, label in enumerate((1, 1, 0))]
    (folder / "set.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder / "set.jsonl"


def _mmlu(folder: Path) -> Path:
    (folder / "anatomy_test.csv").write_text('"Where, then?",a,b,"BB, BB",d,C\n')
    (folder / "law_test.csv").write_text("Who?,BBB,b,c,d,A\nWho?,BBB,b,c,d,D\n")
    return folder


@pytest.mark.parametrize(
    ("make", "form", "options", "value", "categories", "skipped"),
    [
        (_mmbench, "mmbench", (), 2 / 3, {"one": [1, 2], "two": [1, 1]}, []),
        (_seed_bench, "seed-bench", (), 2 / 4, {"Instances Counting": [2, 4]}, ["v"]),
        (_scienceqa, "scienceqa", (), 1 / 3, {"physics": [1, 1], "biology": [0, 2]}, []),
        (
            _scienceqa,
            "scienceqa",
            ("--split", "test"),
            1 / 2,
            {"physics": [1, 1], "biology": [0, 1]},
            [],
        ),
        (_lines, "lines", ("--rows", "3"), 2 / 4, {"": [2, 4]}, []),
        (_lines, "lines", ("--limit", "2"), 1 / 2, {"": [1, 2]}, []),
        (_hellaswag, "hellaswag", (), 2 / 3, {"Baking": [2, 3]}, []),
        (_mmlu, "mmlu", (), 2 / 3, {"anatomy": [1, 1], "law": [1, 2]}, []),
    ],
)
def test_questions_of_each_form(
    run: Run,
    tmp_path: Path,
    make: Callable[[Path], Path],
    form: str,
    options: tuple[str, ...],
    value: float,
    categories: dict[str, list[int]],
    skipped: list[str],
) -> None:
    path = make(tmp_path)
    code, out, _ = run(path, form, *options, "--json")
    score = json.loads(out)
    assert code == 0
    assert score["metric"] == "accuracy"
    assert score["value"] == pytest.approx(value)
    assert score["items"] == sum(asked for _, asked in categories.values())
    assert score["categories"] == categories
    assert list(score["skipped"]) == skipped

    code, out, _ = run(path, form, *options)
    assert code == 0
    assert f"{value:.4f} accuracy" in out
    for name, (right, asked) in categories.items():
        assert not name or f"  {name}: {right} of {asked}" in out
    assert ("1 not asked; the first, v:" in out) == bool(skipped)


def test_texts_in_bits_per_byte(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("BBBBBBBB")
    code, out, _ = run(tmp_path, "text", "--json")
    score = json.loads(out)
    assert (code, score["metric"], score["items"]) == (0, "bits per byte", 8)
    assert score["value"] < 0.1

    (tmp_path / "a.jsonl").write_text('{"text": "another"}\n')
    code, out, _ = run(tmp_path / "a.jsonl", "text", "--json")
    assert json.loads(out)["value"] > 8


def test_what_cannot_be_scored_is_told_in_a_line(run: Run, tmp_path: Path) -> None:
    path = _lines(tmp_path)
    for arguments, expected in (
        ((path, "seed-bench"), "is not of the form seed-bench"),
        ((tmp_path / "none.jsonl", "lines"), "none.jsonl"),
        ((path, "lines", "--tokenizer", str(tmp_path / "none")), "no tokenizer at"),
    ):
        code, _, err = run(*arguments)
        assert code == 1
        assert expected in err
        assert "Traceback" not in err
    code, _, err = run(path, "lines", model=tmp_path / "nothing")
    assert code == 1
    assert "nothing" in err
