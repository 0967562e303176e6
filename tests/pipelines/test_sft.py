"""SFT sets from files to samples: classes, reasons in the ledger, and the project's own samples."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image as Pillow
from pydantic import ValidationError

from dsvl_data.engine.job import Job
from dsvl_data.engine.run import run
from dsvl_data.outcome import UserError
from dsvl_data.pipeline import InputSpec
from dsvl_data.read.sft import READERS
from dsvl_data.recipe import jobs, load
from dsvl_data.sample import SFT_CATEGORIES, Sample, Text, from_batch, to_json
from pipelines import PIPELINES
from pipelines.sft import PIPELINE, SftOptions
from tests.engine.conftest import ledger_rows
from tests.read.published.records import png
from train.encode import write

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "sft.md").read_text(encoding="utf-8")


def build(out: Path, inputs: dict[str, Path], **options: Any) -> list[Sample]:
    specs = tuple(InputSpec(path=str(path), dataset=name) for name, path in inputs.items())
    job = Job(name="sft", pipeline="pipelines.sft:PIPELINE", inputs=specs, options=options)
    assert run([job], str(out), executor="local").ok
    return [
        sample
        for part in sorted((out / "parts" / "sft").glob("*.parquet"))
        for sample in from_batch(pq.read_table(part))
    ]


def llava(image: str | None, question: str, *answers: str) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}]
    turns += [{"from": "gpt", "value": answer} for answer in answers]
    return {**({"image": image} if image else {}), "conversations": turns}


def trained(sample: Sample) -> None:
    """The trainer takes the sample and trains on its answers, each with its end."""
    runs = write(to_json(sample), lambda _: Pillow.new("RGB", (1, 1)))
    answers = [s.text for s in sample.segments if isinstance(s, Text) and s.trained]
    said = [run.content for run in runs if run.trained and isinstance(run.content, str)]
    assert said == [f" {answer}" for answer in answers]
    assert answers


def test_records_become_conversations_of_their_class_and_the_rest_has_reasons(
    tmp_path: Path,
) -> None:
    records = [
        llava("a.png", "<image>\nWhat?", "That."),
        llava(None, "Hello", "Hi."),
        llava("b.png", "<image>\nWhat?", "That."),
        llava("a.png", "<image><image>", "That."),
        llava("a.png", "<image>", "One.", "Two."),
        llava("a.png", "<image>", " "),
        {"image": "a.png", "conversations": [{"from": "bard", "value": "x"}]},
        llava("a.png", "What?", "See <image>."),
    ]
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "chat.json").write_text(json.dumps(records))
    (folder / "a.png").write_bytes(png(1))
    samples = build(tmp_path / "out", {"llava": folder})
    assert [(s.category, len(s.images)) for s in samples] == [("sft_general", 1), ("sft_text", 0)]
    assert samples[0].images[0].data == png(1)
    for sample in samples:
        trained(sample)
    rows = ledger_rows(str(tmp_path / "out"), "sft")
    assert {uri.partition("#")[2]: row["reason"] for uri, row in rows.items()} == {
        "0": None, "1": None, "2": "missing_image", "3": "image_count", "4": "turn_order",
        "5": "empty_turn", "6": "odd_role", "7": "image_in_answer",
    }  # fmt: skip


def test_a_recipe_gives_a_set_its_class(tmp_path: Path) -> None:
    (tmp_path / "chat.json").write_text(json.dumps([llava(None, "Hello", "Hi.")]))
    samples = build(
        tmp_path / "out",
        {"mine": tmp_path / "chat.json"},
        sets={"mine": {"reader": "llava"}},
        classes={"mine": "sft_inhouse"},
    )
    assert [sample.category for sample in samples] == ["sft_inhouse"]


def test_what_does_not_exist_is_told_with_what_does(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="did you mean 'sharegpt4v'"):
        SftOptions.model_validate({"sets": {"x": {"reader": "sharegpt4"}}})
    with pytest.raises(ValidationError, match="sft_inhouse"):
        SftOptions.model_validate({"classes": {"x": "caption"}})
    with pytest.raises(UserError, match=r"sft: data set 'lava'.*did you mean 'llava'"):
        list(PIPELINE.source([InputSpec(path=str(tmp_path), dataset="lava")], SftOptions()))


def test_the_samples_of_the_default_recipe_are_conversations_of_every_class(tmp_path: Path) -> None:
    path = ROOT / "pipelines" / "recipes" / "default.yaml"
    (job,) = (
        job for job in jobs(load(path, PIPELINES), path.parent, PIPELINES) if job.name == "sft"
    )
    result = run([job], str(tmp_path), executor="local")
    account = result.balances["sft"].to_json()
    assert account["in"] == account["kept"] >= 20
    samples = [
        sample
        for part in sorted((tmp_path / "parts" / "sft").glob("*.parquet"))
        for sample in from_batch(pq.read_table(part))
    ]
    assert {sample.category for sample in samples} == set(SFT_CATEGORIES)
    languages = Counter(sample.language for sample in samples)
    assert set(languages) == {"en", "zh"}
    assert min(languages.values()) >= 10
    for sample in samples:
        trained(sample)


def test_the_mix_of_table_2_is_that_of_the_paper() -> None:
    path = ROOT / "pipelines" / "recipes" / "sft.yaml"
    shares = yaml.safe_load(path.read_text(encoding="utf-8"))["curation"]["mix"]["shares"]
    loaded = load(path, PIPELINES)
    wanted = {name: share for name, share in loaded.curation.mix.wanted().items() if share}
    assert wanted == pytest.approx({name: share / 100 for name, share in shares.items()})
    assert wanted == pytest.approx(
        {
            "sft_inhouse": 0.105,
            "sft_general": 0.355,
            "sft_table_chart": 0.041,
            "sft_web_code": 0.02,
            "sft_text": 0.479,
        }
    )
    named = {spec.dataset for spec in loaded.pipelines["sft"].inputs}
    assert named - {"inhouse"} <= set(READERS)


def test_the_table_of_readers_in_the_documentation_is_that_of_the_readers() -> None:
    rows = {}
    for line in DOCS.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].startswith("`"):
            rows[cells[0].strip("`")] = (cells[1], cells[2], cells[3])
    assert rows == {
        name: (reader.category, reader.licence, reader.layout) for name, reader in READERS.items()
    }
