from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dsvl_data.cli import app
from dsvl_data.curate.prose import read_prose
from dsvl_data.curate.quality_model import (
    Classifier,
    LanguageModel,
    Settings,
    check_kenlm,
    digest,
    model_lines,
    train,
)
from dsvl_data.outcome import UserError

GOOD_WORDS = "kettle water boils morning stove cook sleep sound learn listen because slowly"
BAD_WORDS = "buy cheap now click offer free winner casino deal bonus subscribe best"
SMALL = Settings(dimensions=8, buckets=1000)


def texts(words: str, count: int, seed: int) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    return [(f"{seed}:{i}", " ".join(draw.choices(words.split(), k=30))) for i in range(count)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "model.bin"
    train(texts(GOOD_WORDS, 80, 1), texts(BAD_WORDS, 60, 2), str(path), SMALL)
    return path


def test_a_classifier_tells_good_from_bad(model: Path) -> None:
    proses = [read_prose("The kettle boils in the morning."), read_prose("Click now: free casino!")]
    good, bad = Classifier(str(model)).score(proses)
    assert good is not None
    assert bad is not None
    assert bad < 0.5 < good
    assert Classifier(str(model)).score([read_prose("```\nx = 1\n```")]) == [None]


def test_the_report_is_of_documents_that_were_held_out(model: Path) -> None:
    report = json.loads(Path(f"{model}.json").read_text())["report"]
    assert (report["good"], report["held_out_good"]) == (72, 8)
    assert (report["bad"], report["held_out_bad"]) == (54, 6)
    assert report["precision"] == report["recall"] == 1


def test_a_useless_distinction_is_reported_as_such(tmp_path: Path) -> None:
    report = train(texts(GOOD_WORDS, 60, 1), texts(GOOD_WORDS, 60, 2), str(tmp_path / "m"), SMALL)
    assert report.precision < 0.9 or report.recall < 0.9


def test_the_same_texts_give_the_same_model(tmp_path: Path, model: Path) -> None:
    again = tmp_path / "again.bin"
    train(texts(GOOD_WORDS, 80, 1), texts(BAD_WORDS, 60, 2), str(again), SMALL)
    assert again.read_bytes() == model.read_bytes()
    assert digest(str(again)) == digest(str(model))


def test_texts_on_both_sides_and_twice_are_left_out(tmp_path: Path) -> None:
    good, bad = texts(GOOD_WORDS, 20, 1), texts(BAD_WORDS, 20, 2)
    shared = [("s", "this one stands on both sides of it")]
    report = train(good + shared + good[:3], bad + shared, str(tmp_path / "m"), SMALL)
    assert report.left_out == 5
    assert report.good + report.held_out_good == 20


def test_pieces_of_a_document_are_not_parted(tmp_path: Path) -> None:
    pieces = [(f"d{i // 5}", text) for i, (_, text) in enumerate(texts(GOOD_WORDS, 60, 1))]
    report = train(pieces, texts(BAD_WORDS, 20, 2), str(tmp_path / "m"), SMALL)
    assert report.held_out_good == 10  # two documents of five pieces


def test_too_few_documents_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="9 different documents with prose are bad"):
        train(texts(GOOD_WORDS, 60, 1), texts(BAD_WORDS, 9, 2), str(tmp_path / "m"), SMALL)
    assert not (tmp_path / "m").exists()


def test_what_is_no_model_of_two_labels_is_refused(tmp_path: Path, model: Path) -> None:
    prose = [read_prose("The kettle boils.")]
    with pytest.raises(UserError, match="__label__hq"):
        Classifier(str(model), "__label__hq").score(prose)
    (tmp_path / "no.bin").write_bytes(b"no model")
    with pytest.raises(UserError, match="no fastText model"):
        Classifier(str(tmp_path / "no.bin")).score(prose)
    with pytest.raises(UserError, match="there is no model"):
        Classifier(str(tmp_path / "nowhere.bin")).score(prose)


def test_both_models_see_words_alike() -> None:
    assert model_lines("## The Year 1984\n\n- 水壶 has $x$ 2 lids\n") == [
        "the year 0000",
        "水 壶 has 0 lids",
    ]


def test_the_command_trains_and_reports(tmp_path: Path) -> None:
    for side, words, seed in (("good", GOOD_WORDS, 1), ("bad", BAD_WORDS, 2)):
        (tmp_path / side).mkdir()
        rows = texts(words, 30, seed)
        for name, text in rows[:15]:
            (tmp_path / side / f"{name.replace(':', '-')}.txt").write_text(text)
        lines = "".join(json.dumps({"text": text}) + "\n" for _, text in rows[15:])
        (tmp_path / side / "more.jsonl").write_text(lines)
    arguments = [str(tmp_path / "good"), str(tmp_path / "bad"), "--out", str(tmp_path / "m.bin")]
    result = CliRunner().invoke(app, ["corpus", "train-quality", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["good"] + report["held_out_good"] == 30
    assert report["precision"] == report["recall"] == 1
    assert (tmp_path / "m.bin").stat().st_size > 0


ARPA = """\\data\\
ngram 1=6
ngram 2=3

\\1-grams:
-2.0\t<unk>\t0
0\t<s>\t-0.3
-1.0\t</s>\t0
-1.0\tthe\t-0.3
-1.0\tkettle\t-0.3
-1.0\tboils\t-0.3

\\2-grams:
-0.1\t<s> the
-0.1\tthe kettle
-0.1\tkettle boils

\\end\\
"""


def test_perplexity_is_lower_for_what_the_model_knows(tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="kenlm is not installed: it is compiled, and optional")
    (tmp_path / "m.arpa").write_text(ARPA)
    model = LanguageModel(str(tmp_path / "m.arpa"))
    known = model.perplexity(read_prose("The kettle boils"))
    assert known is not None
    # 0.1 for each of three words, 0.3 + 1.0 for the end, in four.
    assert known == pytest.approx(10 ** ((0.3 + 1.3) / 4), rel=1e-4)
    strange = model.perplexity(read_prose("Qwerty zxcvb boils"))
    assert strange is not None
    assert strange > 2 * known
    assert model.perplexity(read_prose("")) is None


def test_without_kenlm_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kenlm", None)
    with pytest.raises(UserError, match="pip install kenlm"):
        check_kenlm()
