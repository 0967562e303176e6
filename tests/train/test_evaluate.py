"""Sets in their makers' forms are read, and scores are what the model's own losses say."""

from __future__ import annotations

import base64
import csv
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dsvl_data.outcome import UserError
from model.processor import Processor
from model.tokenizer import ByteTokenizer
from model.vlm import VisionLanguageModel, initialise_weights
from tests.shards.conftest import picture
from tests.train.small import SMALL
from train.evaluate import Evaluation, windows
from train.evaluation_sets import EvaluationSet, Form, Question, read_questions

PROCESSOR = Processor(SMALL, ByteTokenizer())
PNG = picture(random.Random(1)).data
B64 = base64.b64encode(PNG).decode()


@pytest.fixture
def model() -> VisionLanguageModel:
    torch.set_num_threads(1)
    model = VisionLanguageModel(SMALL)
    initialise_weights(model)
    return model


def _set(path: Path, form: Form, **options: Any) -> EvaluationSet:
    return EvaluationSet(name="set", form=form, path=str(path), **options)


def _mmbench(folder: Path) -> Path:
    rows = [
        {"index": "7", "question": "What?", "hint": "Look.", "A": "a cat", "B": "a dog"}
        | {"C": "", "D": "nan", "answer": "B", "category": "what", "image": B64},
        {"index": "1000007", "question": "Who?", "hint": "nan", "A": "x", "B": "y"}
        | {"C": "z", "D": "nan", "answer": "C", "category": "who", "image": "7"},
    ]
    path = folder / "mmbench.tsv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_mmbench(tmp_path: Path) -> None:
    questions, refused = read_questions(_set(_mmbench(tmp_path), "mmbench"))
    assert not refused
    assert questions == [
        Question("7", "Look.\nWhat?", ("a cat", "a dog"), 1, (PNG,), "what"),
        # The image of question 7, given by its number.
        Question("1000007", "Who?", ("x", "y", "z"), 2, (PNG,), "who"),
    ]


def test_seed_bench(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1_2").write_bytes(PNG)
    record = {
        "answer": "D",
        "choice_a": "One",
        "choice_b": "Two",
        "choice_c": "Three",
        "choice_d": "Four",
        "data_id": "1_2",
        "data_type": "image",
        "question": "How many?",
        "question_id": "101",
        "question_type_id": 5,
    }
    others = [
        record | {"question_id": "v", "data_type": "video"},
        record | {"question_id": "w", "data_id": "missing"},
        record | {"question_id": "x", "data_id": "../seed.json"},
    ]
    path = tmp_path / "seed.json"
    types = {"Instances Counting": 5}
    path.write_text(json.dumps({"questions": [record, *others], "question_type": types}))
    given = _set(path, "seed-bench", images=str(tmp_path / "images"))
    questions, refused = read_questions(given)
    options = ("One", "Two", "Three", "Four")
    assert questions == [Question("101", "How many?", options, 3, (PNG,), "Instances Counting")]
    assert set(refused) == {"v", "w", "x"}
    assert "only images can be shown" in refused["v"]
    assert "outside" in refused["x"]


def test_scienceqa(tmp_path: Path) -> None:
    (tmp_path / "test" / "3").mkdir(parents=True)
    (tmp_path / "test" / "3" / "image.png").write_bytes(PNG)
    base = {"question": "Which?", "choices": ["this", "that"], "answer": 1, "hint": ""}
    problems = {
        "3": base | {"image": "image.png", "split": "test", "subject": "physics"},
        "4": base | {"image": None, "split": "train", "subject": "biology"},
    }
    path = tmp_path / "problems.json"
    path.write_text(json.dumps(problems))
    assert [q.id for q in read_questions(_set(path, "scienceqa"))[0]] == ["3", "4"]
    questions, _ = read_questions(_set(path, "scienceqa", split="test"))
    assert questions == [Question("3", "Which?", ("this", "that"), 1, (PNG,), "physics")]


@pytest.mark.parametrize("answer", ["B", "(b)", 1, "dog"])
def test_lines(tmp_path: Path, answer: object) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    record = {"question": "?", "options": ["cat", "dog"], "answer": answer, "images": ["a.png"]}
    path = tmp_path / "set.jsonl"
    path.write_text(json.dumps(record) + "\n\n" + json.dumps(record | {"answer": "cow"}) + "\n")
    questions, refused = read_questions(_set(path, "lines"))
    assert questions == [Question("0", "?", ("cat", "dog"), 1, (PNG,))]
    assert refused == {"2": "RecordError: the answer 'cow' is none of the options"}


def test_hellaswag_and_mmlu(tmp_path: Path) -> None:
    line = {"ind": 4, "activity_label": "Baking", "ctx": "A man", "endings": ["eats", "runs"]}
    swag = tmp_path / "hellaswag.jsonl"
    swag.write_text(json.dumps(line | {"label": 0}))
    questions, _ = read_questions(_set(swag, "hellaswag"))
    assert questions == [Question("4", "Baking: A man", ("eats", "runs"), 0, (), "Baking")]

    (tmp_path / "mmlu").mkdir()
    (tmp_path / "mmlu" / "anatomy_test.csv").write_text('"Where, then?",a,b,c,"d, e",D\n')
    questions, _ = read_questions(_set(tmp_path / "mmlu", "mmlu"))
    options = ("a", "b", "c", "d, e")
    assert questions == [Question("anatomy/0", "Where, then?\nAnswer:", options, 3, (), "anatomy")]


def test_hellaswag_is_asked_as_it_usually_is(tmp_path: Path) -> None:
    parts = {
        "ctx_a": "[header] How to bake [title] Mix it. [step] Take flour.",
        "ctx_b": "then you",
    }
    endings = ["[substeps] stir  it [title] Bake it.", " eat."]
    swag = tmp_path / "hellaswag.jsonl"
    asked = []
    for context in (parts | {"ctx": f"{parts['ctx_a']} {parts['ctx_b']}"}, parts):
        line = {"ind": 4, "activity_label": "Food", "endings": endings, "label": "1"} | context
        swag.write_text(json.dumps(line))
        asked += read_questions(_set(swag, "hellaswag"))[0]

    assert asked[0] == asked[1]
    assert asked[0].question == "Food: How to bake. Mix it. Take flour. Then you"
    assert asked[0].options == ("stir it. Bake it.", "eat.")


def test_one_split_of_mmlu_is_asked(tmp_path: Path) -> None:
    for split, answer in (("dev", "A"), ("val", "B"), ("test", "C"), ("train", "D")):
        (tmp_path / split).mkdir()
        name = "race.csv" if split == "train" else f"anatomy_{split}.csv"
        (tmp_path / split / name).write_text(f"Who?,a,b,c,d,{answer}\n")

    def answers(**given: str) -> list[tuple[str, int]]:
        path = str(tmp_path)
        asked = EvaluationSet.model_validate({"name": "x", "form": "mmlu", "path": path} | given)
        return [(question.id, question.answer) for question in read_questions(asked)[0]]

    assert answers() == [("anatomy/0", 2)]
    assert answers(split="val") == [("anatomy/0", 1)]
    assert answers(path=str(tmp_path / "train")) == [("race/0", 3)]
    with pytest.raises(UserError, match="no split 'tset'"):
        answers(split="tset")


@pytest.mark.parametrize("form", ["mmbench", "seed-bench", "scienceqa", "lines", "mmlu"])
def test_a_file_of_another_form_is_told_by_its_name(tmp_path: Path, form: Form) -> None:
    path = tmp_path / "set.csv"
    path.write_text("[1, 2]\nno question\n")
    with pytest.raises(UserError, match=r"set\.csv"):
        read_questions(_set(path, form))


def test_a_limit_is_spread_evenly(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    lines = [{"question": str(i), "options": ["a", "b"], "answer": 0} for i in range(10)]
    path.write_text("\n".join(map(json.dumps, lines)))
    questions, _ = read_questions(_set(path, "lines", limit=4))
    assert [q.question for q in questions] == ["0", "2", "5", "7"]


def test_the_letter_that_the_model_finds_likeliest_is_its_answer(
    model: VisionLanguageModel, tmp_path: Path
) -> None:
    with torch.no_grad():
        # A model that says B whatever it is asked.
        model.language.norm.weight.fill_(1)
        hidden = torch.randn(32, generator=torch.Generator().manual_seed(0))
        for layer in model.language.layers:
            layer.attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.language.embed.weight[:] = hidden
        model.language.head.weight[ord("B")] = hidden
    score = Evaluation(_set(_mmbench(tmp_path), "mmbench"), PROCESSOR).score(model, rows=2)
    assert score.value == 0.5
    assert score.categories == {"what": (1, 1), "who": (0, 1)}


def test_options_are_compared_by_the_loss_of_a_token(
    model: VisionLanguageModel, tmp_path: Path, by_hand: Callable[..., float]
) -> None:
    options = ["a", "quite another ending", "zz top"]
    line = {"ind": 4, "ctx": "A man", "endings": options, "label": 0}
    costs = [by_hand(model, "A man", f" {option}") for option in options]
    best = costs.index(min(costs))
    for label in range(3):
        path = tmp_path / f"{label}.jsonl"
        path.write_text(json.dumps(line | {"label": label}))
        score = Evaluation(_set(path, "hellaswag"), PROCESSOR).score(model)
        assert score.value == (label == best)


@pytest.fixture
def by_hand() -> Callable[..., float]:
    """Mean loss of what follows a context, from the model's logits."""

    def loss(model: VisionLanguageModel, context: str, text: str) -> float:
        ids = [256, *context.encode(), *text.encode()]
        with torch.no_grad():
            logits = model(torch.tensor([ids]))
        assert isinstance(logits, torch.Tensor)
        chances = logits[0].log_softmax(-1)
        first = len(ids) - len(text.encode())
        costs = [-float(chances[place - 1, ids[place]]) for place in range(first, len(ids))]
        return sum(costs) / len(costs)

    return loss


def test_bits_per_byte(
    model: VisionLanguageModel, tmp_path: Path, by_hand: Callable[..., float]
) -> None:
    (tmp_path / "a.txt").write_text("Ein Bär.")
    (tmp_path / "b.txt").write_text("Two lines\nof text")
    score = Evaluation(_set(tmp_path, "text"), PROCESSOR).score(model, rows=1)
    nats = [
        by_hand(model, "", text) * len(text.encode()) for text in ("Ein Bär.", "Two lines\nof text")
    ]
    assert score.items == 9 + 17
    assert score.value == pytest.approx(sum(nats) / math.log(2) / 26, rel=1e-5)


def test_every_token_of_a_long_text_is_predicted_once() -> None:
    text = "".join(random.Random(0).choices("abc", k=2500))
    parts = list(windows(text, PROCESSOR))
    assert len(parts) == 3
    assert bytes(int(t) for part in parts for t in part.labels if t >= 0) == text.encode()
    assert max(len(part.tokens) for part in parts) == SMALL.language.max_positions


def test_what_is_too_long_or_damaged_is_not_asked_and_told(
    model: VisionLanguageModel, tmp_path: Path
) -> None:
    good = {"id": "good", "question": "?", "options": ["a", "b"], "answer": 0}
    long = good | {"id": "long", "question": "x" * 2000}
    (tmp_path / "no.png").write_bytes(b"no picture")
    damaged = good | {"id": "damaged", "images": ["no.png"]}
    path = tmp_path / "set.jsonl"
    path.write_text("\n".join(map(json.dumps, [long, good, damaged])))
    score = Evaluation(_set(path, "lines"), PROCESSOR).score(model)
    assert score.items == 1
    assert set(score.skipped) == {"long", "damaged"}
    assert "1024 positions" in score.skipped["long"]
