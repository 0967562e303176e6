"""Data sets as they are downloaded, through the published pipeline: files, archives, pictures."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvl_data.engine.run import Job, run
from dsvl_data.pipeline import InputSpec
from dsvl_data.sample import Sample, Text, from_batch
from tests.engine.conftest import ledger_rows
from tests.read.published.protobuf import example, sequence_example, tfrecord
from tests.read.published.records import png

A, B, C = png(1, 120, 100), png(2, 120, 100), png(3, 120, 100)
RECORD = dict[str, Any]


def _write(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def _zip(path: Path, members: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def _tar(path: Path, members: Mapping[str, bytes], mode: str = "w") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def _parquet(path: Path, rows: list[RECORD]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def _fetched(folder: Path, pictures: Mapping[str, bytes]) -> None:
    """What img2dataset leaves: a tar, and beside it a Parquet file with key, URL and status."""
    keys = [f"{number:09d}" for number in range(len(pictures))]
    _tar(
        folder / "00000.tar",
        {f"{key}.png": data for key, data in zip(keys, pictures.values(), strict=True)},
    )
    _parquet(
        folder / "00000.parquet",
        [
            {"key": key, "url": url, "status": "success"}
            for key, url in zip(keys, pictures, strict=True)
        ],
    )


def _lines(records: list[RECORD]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def _build(
    folder: Path, name: str, **options: Any
) -> tuple[list[Sample], list[tuple[str, str, str]]]:
    """Run the pipeline over `folder/NAME`: its samples, and uri, item and reason of what was left.

    A document without a sample has its own line, without an item.
    """
    spec = InputSpec(path=str(folder / name), dataset=name)
    sets = {name: options} if options else {}
    job = Job(
        name="published",
        pipeline="pipelines.published:PIPELINE",
        inputs=(spec,),
        options={"sets": sets},
    )
    out = str(folder / "out")
    assert run([job], out, executor="local").ok
    samples: list[Sample] = []
    for part in sorted(Path(out, "parts", "published").glob("*.parquet")):
        samples += from_batch(pq.read_table(part))
    left = []
    for uri, row in ledger_rows(out, "published").items():
        if row["reason"]:
            left.append((uri, "", row["reason"]))
        left += [(uri, drop["item"], drop["reason"]) for drop in row["drops"] or [] if drop["item"]]
    return samples, left


def _shape(sample: Sample) -> list[str | bytes]:
    return [s.text if isinstance(s, Text) else s.data for s in sample.segments]


def test_mmc4_in_zips_with_the_images_of_its_script(tmp_path: Path) -> None:
    def image(name: str, sentence: int) -> RECORD:
        url = f"http://x.example/{name}"
        return {"image_name": name, "raw_url": url, "matched_text_index": sentence}

    record = {
        "url": "http://x.example",
        "text_list": ["One.", "Two."],
        "image_info": [image("a.jpg", 1), image("b.jpg", 0)],
    }
    lines = _lines([record, {**record, "image_info": [image("c.jpg", 0)]}]) + b"{broken\n"
    name = "docs_no_face_shard_7_v3.jsonl"
    _zip(tmp_path / "mmc4" / f"{name}.zip", {name: lines})
    _write(tmp_path / "pictures/a.jpg", A)
    samples, left = _build(tmp_path, "mmc4", images=[str(tmp_path / "pictures")])
    assert [_shape(sample) for sample in samples] == [["One.", A, "Two."], ["One. Two."]]
    assert samples[0].source.licence == "ODC-By-1.0"
    assert [sample.category for sample in samples] == ["interleaved", "text"]
    uri = f"{name}.zip!{name}"
    assert (f"{uri}#0", "b.jpg", "missing_image") in left
    assert (f"{uri}#1", "c.jpg", "missing_image") in left
    assert {(u, reason) for u, item, reason in left if not item} == {(f"{uri}#2", "bad_json")}


def test_obelics_and_wikiweb2m_with_the_output_of_img2dataset(tmp_path: Path) -> None:
    _fetched(tmp_path / "pictures", {"https://w.example/a.jpg": A, "https://w.example/b.jpg": B})
    images = {"images": [str(tmp_path / "pictures")]}
    _parquet(
        tmp_path / "obelics/data/train-00000-of-01432.parquet",
        [
            {
                "images": ["https://w.example/a.jpg", None],
                "metadata": "[null]",
                "general_metadata": '{"url": "https://w.example"}',
                "texts": [None, "Ferns."],
            }
        ],
    )
    samples, left = _build(tmp_path, "obelics", **images)
    assert ([_shape(sample) for sample in samples], left) == ([[A, "Ferns."]], [])

    page = sequence_example(
        {"page_title": [b"Ferns"], "page_url": [b"https://en.wikipedia.org/wiki/Ferns"]},
        {
            "section_title": [[b"Ferns"]],
            "section_heading_level": [[1]],
            "section_text": [[b"Ferns are plants."]],
            "section_image_url": [[b"https://w.example/b.jpg"]],
            "section_image_raw_ref_desc": [[b"A fern"]],
        },
    )
    file = tmp_path / "wikiweb2m/wikiweb2m-train.tfrecord.gz-00000-of-00005"
    _write(file, gzip.compress(tfrecord([page, b"\xff"])))
    (tmp_path / "out").rename(tmp_path / "out1")
    samples, left = _build(tmp_path, "wikiweb2m", **images)
    assert [_shape(s) for s in samples] == [["# Ferns", B, "A fern\n\nFerns are plants."]]
    assert left == [(f"{file.name}#1", "", "bad_record")]


def test_wikihow_with_its_zip_of_images(tmp_path: Path) -> None:
    step = {"headline": "Dig.", "description": "", "img": "https://w.example/1", "step_id": "7_0_0"}
    record = {
        "goal": "How to Dig",
        "goal_description": "",
        "methods": [{"name": "M", "steps": [step]}],
    }
    _write(tmp_path / "wikihow/WikihowText_data.json", _lines([record]))
    _zip(tmp_path / "wikihow/wiki_images.zip", {"wiki_images/7_0_0.png": A})
    samples, left = _build(tmp_path, "wikihow")
    assert [_shape(s) for s in samples] == [["# How to Dig\n\n## M", A, "1. **Dig.**"]]
    assert left == []


def test_wikimedia_enterprise_in_a_packed_tar(tmp_path: Path) -> None:
    article = {
        "name": "农家",
        "namespace": {"identifier": 0},
        "in_language": {"identifier": "zh"},
        "article_body": {
            "html": "<html><body><section><p>农家在山里。</p><figure>"
            '<img src="//w.example/a.jpg"/><figcaption>山</figcaption></figure></section></body>'
            "</html>"
        },
    }
    name = "zhwiki-NS0-20240201-ENTERPRISE-HTML.json.tar.gz"
    members = {"zhwiki_namespace_0_0.ndjson": _lines([article]), "zhwiki_namespace_0_1.ndjson": b""}
    _tar(tmp_path / "wikimedia_enterprise" / name, members, "w:gz")
    _fetched(tmp_path / "pictures", {"https://w.example/a.jpg": A})
    samples, left = _build(tmp_path, "wikimedia_enterprise", images=[str(tmp_path / "pictures")])
    assert [_shape(s) for s in samples] == [["# 农家\n\n农家在山里。", A, "山"]]
    assert (samples[0].language, left) == ("zh", [])


def test_chart2text_beside_its_images_titles_and_tables(tmp_path: Path) -> None:
    folder = tmp_path / "chart2text/statista_dataset/dataset/multiColumn"
    _write(folder / "captions/7.txt", "It grows .")
    _write(folder / "imgs/7.png", A)
    _write(folder / "titles/7.txt", "Ferns")
    _write(folder / "data/7.csv", "Year,Ferns\n2019,7\n")
    _write(folder / "captions/8.txt", "It has no image .")
    samples, left = _build(tmp_path, "chart2text", variants={"table": 1})
    table = "Ferns\n\n| Year | Ferns |\n| --- | --- |\n| 2019 | 7 |"
    assert [_shape(s) for s in samples] == [[A, table]]
    assert samples[0].extras == {"title": "Ferns", "summary": "It grows."}
    uri = "statista_dataset/dataset/multiColumn/captions/8"
    assert left == [(uri, "", "missing_image")]


@pytest.mark.parametrize("packed", [True, False])
def test_questions_with_images_in_a_zip_or_a_folder(tmp_path: Path, packed: bool) -> None:
    turns = [{"from": "human", "value": "<image>\nAB?"}, {"from": "gpt", "value": "4"}]
    records = [{"image": "geo3k/7.png", "conversations": turns}]
    _write(tmp_path / "geo170k/qa_tuning.json", json.dumps(records))
    if packed:
        _zip(tmp_path / "geo170k/images.zip", {"images/geo3k/7.png": A})
    else:
        _write(tmp_path / "geo170k/images/geo3k/7.png", A)
    samples, left = _build(tmp_path, "geo170k")
    assert ([_shape(s) for s in samples], left) == ([[A, "AB?", "4"]], [])
    assert samples[0].source.uri == "qa_tuning.json#0"


def test_unichart_and_scigraphqa_rows_with_their_zips_of_images(tmp_path: Path) -> None:
    row = {"imgname": "two_col_7.png", "query": "<chartqa> How many? <s_answer>", "label": "7"}
    _parquet(tmp_path / "unichart/data/train-00000-of-00003.parquet", [row])
    _zip(tmp_path / "pictures/UniChart Images.zip", {"content/two_col_7.png": A})
    samples, left = _build(tmp_path, "unichart", images=[str(tmp_path / "pictures")])
    assert ([_shape(s) for s in samples], left) == ([[A, "How many?\n7"]], [])

    (tmp_path / "out").rename(tmp_path / "out1")
    pairs = [["What is shown?", "The loss."], ["Does it fall?", "Yes."]]
    row = {"image_file": "1002.1v1-Figure2-1.png", "id": "1", "caption": "Loss"}
    folder = tmp_path / "scigraphqa"
    _parquet(folder / "data/train-00000-of-00004.parquet", [{**row, "q_a_pairs": pairs}])
    _zip(folder / "img.zip", {"img/1002.1v1-Figure2-1.png": B})
    samples, left = _build(tmp_path, "scigraphqa", variants={"plain": 1})
    text = "What is shown?\nThe loss.\n\nDoes it fall?\nYes."
    assert ([_shape(s) for s in samples], left) == ([[B, text]], [])


def test_figures_of_papers(tmp_path: Path) -> None:
    figure = {"figure_id": "1001.1v1-Figure1-1", "captions": ["Figure 1: It."], "aspect": 1.2}
    _write(tmp_path / "paper2figure100k/paper2fig_train.json", json.dumps([figure]))
    _write(tmp_path / "paper2figure100k/paper2fig_test.json", json.dumps([figure]))
    _write(tmp_path / "paper2figure100k/figures/1001.1v1-Figure1-1.png", A)
    samples, left = _build(tmp_path, "paper2figure100k")
    assert ([_shape(s) for s in samples], left) == ([[A, "Figure 1: It."]], [])

    (tmp_path / "out").rename(tmp_path / "out1")
    turns = [{"from": "user", "value": "<image> and <image>"}, {"from": "assistant", "value": "x"}]
    record = {"image": ["imgs/a.png", "imgs/b.png"], "conversations": turns}
    _write(tmp_path / "mpaper/sft/3tasks_train.jsonl", _lines([record]))
    _write(tmp_path / "mpaper/sft/cap_train.jsonl", _lines([record]))
    _write(tmp_path / "mpaper/imgs/a.png", A)
    _write(tmp_path / "mpaper/imgs/b.png", B)
    samples, left = _build(tmp_path, "mpaper")
    assert ([_shape(s) for s in samples], left) == ([[A, "and", B, "x"]], [])


def test_scienceqa_is_an_object_of_problems_and_its_tests_are_not_read(tmp_path: Path) -> None:
    problem = {"question": "Which?", "choices": ["a", "b"], "answer": 0, "image": "image.png"}
    problems = {"1": {**problem, "split": "train"}, "2": {**problem, "split": "test"}}
    _write(tmp_path / "scienceqa/data/scienceqa/problems.json", json.dumps(problems))
    _write(tmp_path / "pictures/train/1/image.png", A)
    samples, left = _build(tmp_path, "scienceqa", images=[str(tmp_path / "pictures")])
    assert [_shape(s) for s in samples] == [[A, "Which?\nA. a\nB. b\nAnswer: A. a"]]
    assert left == [("data/scienceqa/problems.json[2]", "", "held_out")]


def test_rico_annotations_of_four_kinds_on_one_folder_of_screens(tmp_path: Path) -> None:
    layout = {"activity": {"root": {"children": [{"bounds": [0, 0, 1536, 2560]}]}}}
    screen = png(4, 60, 100)
    _write(tmp_path / "rico/combined/12.jpg", screen)
    _write(tmp_path / "rico/combined/12.json", json.dumps(layout))
    rico = {"images": [str(tmp_path / "rico")]}
    _write(
        tmp_path / "widget_captioning/widget_captions.csv",
        'screenId,nodeId,captions\n12,0.0,"go on|next"\n12,0.5,none\n99,0.0,x\n',
    )
    samples, left = _build(tmp_path, "widget_captioning", **rico, variants={"describe": 1})
    assert [_shape(s) for s in samples] == [[screen, "[0, 0, 999, 999]\ngo on"]]
    assert [reason for _, _, reason in left] == ["bad_record", "missing_image"]

    (tmp_path / "out").rename(tmp_path / "out1")
    answers = {"image_id": "12", "question": "Which?", "ground_truth": ["this"]}
    _write(tmp_path / "screenqa_short/short_answers/train.json", json.dumps([answers]))
    samples, left = _build(tmp_path, "screenqa_short", **rico)
    assert ([_shape(s) for s in samples], left) == ([[screen, "Which?\nthis"]], [])

    (tmp_path / "out").rename(tmp_path / "out2")
    summaries = 'screenId,summary\n12,"log in, or sign up"\n12,page to log in\n'
    _write(tmp_path / "screen2words/screen_summaries.csv", summaries)
    samples, left = _build(tmp_path, "screen2words", **rico)
    assert [_shape(s)[1] for s in samples] == ["log in, or sign up", "page to log in"]
    assert left == []

    (tmp_path / "out").rename(tmp_path / "out3")
    features: dict[str, Any] = {
        "image/id": [b"12"],
        "image/ref_exp/label": [0],
        "image/ref_exp/text": [b"the top half"],
        **{f"image/object/bbox/{side}": [0.0] for side in ("xmin", "ymin")},
        "image/object/bbox/xmax": [1.0],
        "image/object/bbox/ymax": [0.5],
    }
    _write(tmp_path / "refexp/ref_exp/train.tfrecord", tfrecord([example(features)]))
    samples, left = _build(tmp_path, "refexp", **rico)
    assert [_shape(s) for s in samples] == [[screen, "the top half\n[0, 0, 999, 500]"]]
    assert left == []


def test_ureader_in_a_zip_of_lines_with_tars_of_images(tmp_path: Path) -> None:
    record = {
        "image": ["ChartQA/train/png/1.png"],
        "conversations": [
            {"from": "user", "value": "<image>"},
            {"from": "user", "value": "How many?"},
            {"from": "assistant", "value": "7"},
        ],
        "task_type": "qa_sft",
    }
    lines = {"ureader_json/train.jsonl": _lines([record]), "ureader_json/test_X.jsonl": b"{}\n"}
    _zip(tmp_path / "ureader/ureader_json.zip", lines)
    _tar(tmp_path / "ureader/ChartQA.tar", {"ChartQA/train/png/1.png": A})
    samples, left = _build(tmp_path, "ureader")
    assert ([_shape(s) for s in samples], left) == ([[A, "How many?", "7"]], [])
    assert [getattr(s, "trained", None) for s in samples[0].segments] == [None, False, True]


def test_websight_keeps_the_bytes_of_its_screenshots(tmp_path: Path) -> None:
    rows = [
        {"image": {"bytes": A, "path": None}, "text": "<html></html>", "llm_generated_idea": "x"},
        {"image": {"bytes": b"", "path": None}, "text": "<html></html>", "llm_generated_idea": ""},
    ]
    _parquet(tmp_path / "websight/v0.2/train-00000-of-00738-80a5.parquet", rows)
    samples, left = _build(tmp_path, "websight")
    assert [_shape(s) for s in samples] == [[A, "<html></html>"]]
    assert [reason for _, _, reason in left] == ["bad_record"]


def test_design2code_and_pix2code_folders(tmp_path: Path) -> None:
    _write(tmp_path / "design2code/testset_final/1.html", "<html>é</html>")
    _write(tmp_path / "design2code/testset_final/1.png", A)
    _write(tmp_path / "design2code/testset_final/rick.jpg", B)
    samples, left = _build(tmp_path, "design2code")
    assert ([_shape(s) for s in samples], left) == ([[A, "<html>é</html>"]], [])

    (tmp_path / "out").rename(tmp_path / "out1")
    _write(tmp_path / "pix2code/web/all_data/0A.gui", "header {\nbtn-active\n}\n")
    _write(tmp_path / "pix2code/web/all_data/0A.png", A)
    _write(tmp_path / "pix2code/web/all_data/0B.gui", "row {\n}\n")
    samples, left = _build(tmp_path, "pix2code")
    assert [_shape(s) for s in samples] == [[A, "header {\nbtn-active\n}"]]
    assert [reason for _, _, reason in left] == ["missing_image"]
