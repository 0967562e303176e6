"""Classifying: features, what is decided and how surely, the index, accuracy, the commands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dsvl_data import storage
from dsvl_data.outcome import UserError
from dsvl_data.sample import Image, Origin, Provenance, Sample, Text, to_batch
from taxonomy import index
from taxonomy.accuracy import Example, measure, read_examples
from taxonomy.classify import Conversation, Label, classify_parts
from taxonomy.commands import app
from taxonomy.decide import LEVELS, Choice, Tree, calibrate
from taxonomy.fasttext_classifier import FastTextClassifier, load_or_train, train
from taxonomy.features import features
from taxonomy.tree import Taxonomy, load_taxonomy

COUNT, READ, SOLVE, COMPARE = "see/count", "see/read", "solve", "compare"


@pytest.fixture(scope="module")
def classifier(small: Taxonomy) -> FastTextClassifier:
    return train(small)


def asked(*questions: str, images: int | None = None) -> Conversation:
    return Conversation(questions, images)


def test_words_share_features_with_their_forms() -> None:
    assert set(features("Counting")) & set(features("counted"))
    assert "苹果" in features("数一数苹果")
    assert "的车" not in features("my 的 car")
    assert features("<image>\n") == []


@given(st.text(max_size=3000))
def test_any_text_has_clean_features(text: str) -> None:
    for feature in features(text):
        assert feature
        assert not any(c.isspace() for c in feature)
        assert not feature.startswith("__label__")


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ("please count the windows", COUNT),
        ("how many birds", COUNT),
        ("一共有几个人", COUNT),
        ("what does the label say?", READ),
        ("帮我读一下标签", READ),
        ("calculate x", SOLVE),
        ("求解这道题", SOLVE),
        ("compare both photos", COMPARE),
        ("两张照片的区别", COMPARE),
    ],
)
def test_a_new_question_finds_its_leaf(
    classifier: FastTextClassifier, question: str, path: str
) -> None:
    (label,) = classifier.classify([asked(question)])
    assert label.path == path
    assert 0.5 <= label.confidence <= 1


def test_nonsense_stays_unlabelled(classifier: FastTextClassifier) -> None:
    for text in ("zzxqv kkwj", "", "🙂🙂", "\ud800"):
        (label,) = classifier.classify([asked(text)])
        assert label.path is None, text
        assert (label.reason, label.confidence) == ("no known word", 0)


def test_a_conversation_is_of_what_it_begins_with(classifier: FastTextClassifier) -> None:
    first, later = classifier.classify(
        [asked("how many birds", "what does the label say?"), asked("xqzv", "solve the equation")]
    )
    assert first.path == COUNT
    assert later.path == SOLVE


def test_the_number_of_images_weighs(classifier: FastTextClassifier) -> None:
    one, several = classifier.choose([asked("cars", images=1), asked("cars", images=2)])
    tree = Tree(classifier.taxonomy)
    uniform = np.full((2, 4), 0.25, np.float32)
    first, second = tree.heed_images(uniform, [asked("x", images=1), asked("x", images=2)])
    assert first[tree.column["compare"]] < 0.25 < second[tree.column["compare"]]
    assert one.probabilities[0] > 0 < several.probabilities[0]


def test_a_choice_goes_down_the_tree(small: Taxonomy) -> None:
    tree = Tree(small)
    columns = [tree.column[name] for name in ("count", "read", "solve", "compare")]
    row = np.zeros((1, 4), np.float32)
    # The likeliest leaf lies in a less likely category than `see`.
    row[0, columns] = 0.3, 0.28, 0.4, 0.02
    (choice,) = tree.choose(row)
    assert choice.path == ("see", "count")
    assert choice.probabilities == pytest.approx((0.58, 0.3))


def test_calibrated_confidence_is_the_share_that_is_right() -> None:
    rng = np.random.default_rng(7)
    # Of choices that say 0.9, six in ten are right; of those that say 0.5, three in ten.
    said = [(0.9, 0.6)] * 2000 + [(0.5, 0.3)] * 2000
    choices = [Choice(("a", "b"), (p, p)) for p, _ in said]
    truths = [("a", "b") if rng.random() < share else ("x", "y") for _, share in said]
    calibration = calibrate(choices, truths)
    for level in LEVELS:
        assert calibration.confidence(level, 0.9) == pytest.approx(0.6, abs=0.05)
        assert calibration.confidence(level, 0.5) == pytest.approx(0.3, abs=0.05)


def test_where_every_choice_is_right_calibration_still_has_an_answer() -> None:
    choices = [Choice(("a",), (0.9,))] * 50
    found = calibrate(choices, [("a",)] * 50)
    assert 0.9 < found.confidence("leaf", 0.9) < 1


def test_equal_taxonomies_give_equal_models(small: Taxonomy, classifier: object) -> None:
    again = train(small)
    assert isinstance(classifier, FastTextClassifier)
    assert again.calibration == classifier.calibration
    assert np.array_equal(again.model.vectors, classifier.model.vectors)


def test_a_model_is_kept_and_a_broken_one_made_anew(small: Taxonomy, tmp_path: Path) -> None:
    first = load_or_train(small, tmp_path)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    second = load_or_train(small, tmp_path)
    assert file.stat().st_mtime_ns == written
    assert second.calibration == first.calibration
    question = [asked("how many cats")]
    assert second.choose(question) == first.choose(question)
    assert second.held_out.to_json() == first.held_out.to_json()
    file.write_bytes(file.read_bytes()[:100])
    assert load_or_train(small, tmp_path).calibration == first.calibration
    assert file.stat().st_size > 100


def test_accuracy_counts_levels_and_languages() -> None:
    examples = [
        Example("a", ("m", "s", "x"), "en"),
        Example("b", ("m", "s", "y"), "en"),
        Example("c", ("n", "z"), "zh"),
    ]
    found = [("m", "s", "x"), ("m", "s", "x"), None]
    labels = [Label("m/s/x", 0.9), Label("m/s/x", 0.6), Label(None, 0.1)]
    got = measure(examples, found, labels)
    assert got.right["en"] == {"main": 1, "secondary": 1, "leaf": 0.5}
    assert got.right["zh"] == {"main": 0, "secondary": 0, "leaf": 0}
    assert got.right["all"]["leaf"] == pytest.approx(1 / 3)
    assert got.labelled == pytest.approx(2 / 3)
    assert got.labelled_right == 0.5
    assert got.confusion == {"m": {"m": 2}, "n": {"-": 1}}
    assert got.mistaken == [("y", "x", 1)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "must be an object"),
        ('{"id": "count", "text": "x"}', "language"),
        ('{"id": "nobody", "language": "en", "text": "x"}', "'nobody' is no leaf"),
        ('{"id": "see", "language": "en", "text": "x"}', "'see' is no leaf"),
        ('{"id": "count", "language": "en", "text": 3}', "must be text"),
    ],
)
def test_a_bad_line_of_a_test_file_is_named(
    small: Taxonomy, tmp_path: Path, line: str, said: str
) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text('{"id": "count", "language": "en", "text": "x"}\n' + line + "\n")
    with pytest.raises(UserError, match=r":2: ") as caught:
        read_examples(path, small)
    assert said in str(caught.value)


def sample(key: str, question: str, *, images: int = 1, **other: str) -> Sample:
    pictures = [Image(b"png" + key.encode(), "png", 4, 4, "user") for _ in range(images)]
    return Sample(
        key=key,
        document="d:" + key,
        category=other.get("category", "sft_general"),
        segments=(
            *pictures,
            Text(question, "user", trained=False),
            Text("an answer", "assistant"),
        ),
        language="en",
        source=Origin("set", key, "unknown"),
        provenance=Provenance("sft", "1"),
        taxonomy=other.get("taxonomy"),
    )


def store(out: Path, samples: Sequence[Sample], name: str = "sft/part-00000.parquet") -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_batches([to_batch(samples)]), sink)
    storage.atomic_write(storage.join(str(out), "parts", name), sink.getvalue().to_pybytes())


SAMPLES = (
    sample("a", "how many birds are there"),
    sample("b", "xqzv"),
    sample("c", "how many birds are there", images=0),
    sample("d", "whatever", taxonomy="see/read"),
    sample("e", "whatever", category="caption"),
    sample("f", "  "),
)


def test_parts_become_an_index(
    small: Taxonomy, classifier: FastTextClassifier, tmp_path: Path
) -> None:
    store(tmp_path, SAMPLES)
    summary = classify_parts(str(tmp_path), small, classifier)
    rows = index.read(str(tmp_path)).to_pylist()
    assert [(row["key"], row["taxonomy"]) for row in rows] == [
        ("a", COUNT),
        ("b", None),
        ("c", None),
        ("d", READ),
        ("f", None),
    ]
    assert rows[3]["confidence"] == 1
    assert rows[0]["part"] == "sft/part-00000.parquet"
    assert len(rows[0]["images"]) == 1
    assert summary.conversations == 5
    assert summary.labelled == 2
    assert summary.reasons == {"no known word": 1, "no image": 1, "no question": 1}


def test_classifying_again_does_only_what_is_missing(
    small: Taxonomy, classifier: FastTextClassifier, tmp_path: Path
) -> None:
    store(tmp_path, SAMPLES)
    store(tmp_path, [sample("g", "count the cars")], "sft/part-00001.parquet")
    first = classify_parts(str(tmp_path), small, classifier)
    again = classify_parts(str(tmp_path), small, classifier)
    assert (again.parts_done_before, again.labelled) == (2, first.labelled)
    store(tmp_path, [sample("g", "read the sign")], "sft/part-00001.parquet")
    assert classify_parts(str(tmp_path), small, classifier).parts_done_before == 1
    with_text = classify_parts(str(tmp_path), small, classifier, text_only=True)
    assert with_text.labelled == first.labelled + 1
    storage.remove(storage.join(str(tmp_path), "parts", "sft/part-00001.parquet"))
    classify_parts(str(tmp_path), small, classifier)
    assert index.names(str(tmp_path)) == ["sft/part-00000.parquet"]


def test_an_output_without_conversations_is_told(
    small: Taxonomy, classifier: FastTextClassifier, tmp_path: Path
) -> None:
    store(tmp_path, SAMPLES[4:5])
    with pytest.raises(UserError, match="no conversations"):
        classify_parts(str(tmp_path), small, classifier)


def test_show_prints_the_tree_and_its_json() -> None:
    shown = CliRunner().invoke(app, ["show"])
    assert shown.exit_code == 0
    assert "89 leaves" in shown.output
    assert "prompt-injection" in shown.output
    form = json.loads(CliRunner().invoke(app, ["show", "--json", "--node", "safety"]).output)
    assert [child["id"] for child in form["nodes"][0]["children"]] == [
        "suggestive-questioning",
        "counterfactual-questioning",
        "prompt-injection",
    ]


def test_the_command_classifies_and_evaluates(small: Taxonomy, tmp_path: Path) -> None:
    store(tmp_path / "out", SAMPLES)
    test = tmp_path / "test.jsonl"
    test.write_text('{"id": "count", "language": "en", "text": "how many cups"}\n')
    command = [
        *("classify", str(tmp_path / "out"), "--taxonomy", small.leaves()[0].file),
        *("--evaluate", str(test), "--cache", str(tmp_path / "cache"), "--json"),
    ]
    said = json.loads(CliRunner().invoke(app, command, catch_exceptions=False).output)
    assert said["test"]["right"]["en"]["leaf"] == 1
    assert said["summary"]["labelled"] == 2
    assert said["held_out"]["count"]["all"] == 84
    shown = CliRunner().invoke(app, command[:-1], catch_exceptions=False).output
    assert "accuracy on test.jsonl" in shown
    assert "done before" in " ".join(shown.split())  # a long path breaks the line anywhere


BLIND = Path(__file__).parent / "blind_prompts.jsonl"


@pytest.mark.skipif(not BLIND.exists(), reason="the blind prompts are not in this checkout")
def test_prompts_of_another_hand_find_their_main_category() -> None:
    """The promise of the README: three in four, on prompts that training never saw."""
    taxonomy = load_taxonomy()
    examples = read_examples(BLIND, taxonomy)
    trained = load_or_train(taxonomy)
    said = [asked(example.text) for example in examples]
    found = [choice.path for choice in trained.choose(said)]
    assert measure(examples, found, trained.classify(said)).right["all"]["main"] >= 0.75
