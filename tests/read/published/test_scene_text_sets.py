"""The published sets of scene text, each in its own layout, from the files to the samples."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from dsvl_data.pipeline import Document, Dropped, InputSpec
from dsvl_data.read.published.scene_text_sets import READERS
from dsvl_data.sample import Image, Sample, Text
from pipelines.published import PIPELINE, PublishedConverter, PublishedOptions

SIZE = (400, 200)


def jpeg(size: tuple[int, int] = SIZE, colour: str = "white") -> bytes:
    buffer = io.BytesIO()
    Pillow.new("RGB", size, colour).save(buffer, "JPEG")
    return buffer.getvalue()


def put(path: Path, content: bytes | str | Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content, encoding="utf-8", newline="")
    else:
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def run(
    dataset: str,
    folder: Path,
    *,
    images: Sequence[Path] = (),
    variant: str = "full",
    thresholds: dict[str, float] | None = None,
) -> dict[str, list[Sample | Dropped]]:
    """What each record becomes, by its URI."""
    known = READERS[dataset].variants
    chosen: dict[str, Any] = {
        "images": [str(path) for path in images],
        "variants": {variant: 1.0} if variant in known else {},
        "thresholds": thresholds or {},
    }
    options = PublishedOptions.model_validate({"sets": {dataset: chosen}})
    converter = PublishedConverter(options)
    results: dict[str, list[Sample | Dropped]] = {}
    for ref in PIPELINE.source([InputSpec(path=str(folder), dataset=dataset)], options):
        document = Document(ref, lambda ref=ref: PIPELINE.reader(ref), "published", "1")  # type: ignore[misc]
        results[ref.uri] = list(converter([document]))
    return results


def text_of(results: Sequence[Sample | Dropped]) -> str:
    (sample,) = [result for result in results if isinstance(result, Sample)]
    assert sample.category == "scene_text"
    image, *texts = sample.segments
    assert isinstance(image, Image)
    assert image.data == jpeg()  # the published bytes
    assert all(isinstance(segment, Text) for segment in texts)
    return texts[-1].text if isinstance(texts[-1], Text) else ""


def reasons(results: Sequence[Sample | Dropped]) -> list[str]:
    return [str(result.reason) for result in results if isinstance(result, Dropped)]


def language_of(results: Sequence[Sample | Dropped]) -> str:
    (sample,) = [result for result in results if isinstance(result, Sample)]
    return sample.language


def licence_of(results: Sequence[Sample | Dropped]) -> str:
    (sample,) = [result for result in results if isinstance(result, Sample)]
    return sample.source.licence


def test_art(tmp_path: Path) -> None:
    labels = {
        "gt_0": [
            {
                "points": [[10, 30], [60, 10], [110, 30], [110, 60], [60, 40], [10, 60]],
                "transcription": "CAFÉ",
                "language": "Latin",
                "illegibility": False,
            },
            {
                "points": [[10, 90], [200, 90], [200, 130], [10, 130]],
                "transcription": "营业中",
                "language": "Chinese",
                "illegibility": False,
            },
            {
                "points": [[300, 10], [320, 10], [320, 20], [300, 20]],
                "transcription": "###",
                "language": "Latin",
                "illegibility": True,
            },
        ],
        "gt_1": [
            {"points": [[0, 0], [9, 9]], "transcription": "two points", "illegibility": False},
            {"points": [[0, 0], [99, 0], [99, 30], [0, 30]], "transcription": "OK",
             "illegibility": False},
        ],
        "gt_2": "no list",
        "gt_3": [{"points": [[0, 0], [99, 0], [99, 30], [0, 30]], "transcription": "OK",
                  "illegibility": False}],
    }  # fmt: skip
    put(tmp_path / "train_labels.json", labels)
    for number in range(3):
        put(tmp_path / f"train_images/gt_{number}.jpg", jpeg())
    found = run("art", tmp_path, images=[tmp_path / "train_images"])
    assert text_of(found["train_labels.json[gt_0]"]) == "CAFÉ\n营业中"
    assert language_of(found["train_labels.json[gt_0]"]) == "zh"
    assert text_of(found["train_labels.json[gt_1]"]) == "OK"
    assert reasons(found["train_labels.json[gt_1]"]) == ["bad_record"]
    assert reasons(found["train_labels.json[gt_2]"]) == ["bad_record"]
    assert reasons(found["train_labels.json[gt_3]"]) == ["missing_image"]


def test_lsvt(tmp_path: Path) -> None:
    points = [[10, 10], [200, 12], [200, 52], [10, 50]]
    put(
        tmp_path / "train_full_labels.json",
        {
            "gt_0": [
                {"transcription": "欢迎光临", "points": [[10, 60], [200, 60], [200, 98], [10, 98]],
                 "illegibility": False},
                {"transcription": "一站式购物中心", "points": points, "illegibility": False},
                {"transcription": "###", "points": [[300, 0], [310, 0], [310, 9], [300, 9]],
                 "illegibility": True},
            ],
        },
    )  # fmt: skip
    put(tmp_path / "train_full_images_0/gt_0.jpg", jpeg())
    places = [tmp_path / "train_full_images_0"]
    found = run("lsvt", tmp_path, images=places)
    assert text_of(found["train_full_labels.json[gt_0]"]) == "一站式购物中心\n欢迎光临"
    found = run("lsvt", tmp_path, images=places, variant="boxes")
    assert text_of(found["train_full_labels.json[gt_0]"]) == (
        "一站式购物中心 [25, 50, 500, 260]\n欢迎光临 [25, 300, 500, 490]"
    )


def test_lsvt_weak_labels_are_the_answer_to_a_question(tmp_path: Path) -> None:
    put(
        tmp_path / "train_weak_labels.json",
        {"gt_0": [{"transcription": "光明眼镜"}], "gt_1": "光明", "gt_2": []},
    )
    for number in range(3):
        put(tmp_path / f"images/gt_{number}.jpg", jpeg())
    found = run("lsvt_weak", tmp_path, images=[tmp_path / "images"], variant="keyword")
    (sample,) = found["train_weak_labels.json[gt_0]"]
    assert isinstance(sample, Sample)
    _, prompt, answer = sample.segments
    assert isinstance(prompt, Text)
    assert (prompt.role, prompt.trained) == ("user", False)
    assert answer == Text("光明眼镜", "assistant")
    assert reasons(found["train_weak_labels.json[gt_1]"]) == ["bad_record"]
    assert reasons(found["train_weak_labels.json[gt_2]"]) == ["bad_record"]


def test_icdar_2015(tmp_path: Path) -> None:
    gt = tmp_path / "ch4_training_localization_transcription_gt"
    put(
        gt / "gt_img_1.txt",
        "\ufeff97,17,136,17,136,40,97,40,Genaxis Theatre, Hall 2\r\n"
        "10,17,90,19,90,41,10,39,The\r\n"
        "300,117,310,117,310,125,300,125,###\r\n",
    )
    put(gt / "gt_img_2.txt", "1,2,3,4,word\r\n\r\n377,x,463,117,465,130,378,130,letters\r\n")
    put(gt / "gt_img_3.txt", "")
    put(gt / "gt_img_4.txt", "377,117,390,117,390,130,377,130,###\r\n")
    for number in range(1, 5):
        put(tmp_path / f"ch4_training_images/img_{number}.jpg", jpeg())
    found = run("icdar2015", tmp_path, images=[tmp_path / "ch4_training_images"])
    prefix = "ch4_training_localization_transcription_gt/gt_img_"
    assert text_of(found[f"{prefix}1.txt"]) == "The Genaxis Theatre, Hall 2"
    assert licence_of(found[f"{prefix}1.txt"]) == "CC-BY-4.0"
    assert reasons(found[f"{prefix}2.txt"])[:2] == ["bad_record", "bad_record"]
    assert reasons(found[f"{prefix}2.txt"])[2:] == ["illegible"]
    assert reasons(found[f"{prefix}3.txt"]) == ["no_text"]
    assert reasons(found[f"{prefix}4.txt"]) == ["illegible"]


def test_icdar_2015_as_it_is_downloaded(tmp_path: Path) -> None:
    line = "10,17,90,19,90,41,10,39,Exit\r\n"
    with zipfile.ZipFile(tmp_path / "ch4_training_images.zip", "w") as archive:
        archive.writestr("img_7.jpg", jpeg())
    gt = tmp_path / "ch4_training_localization_transcription_gt.zip"
    with zipfile.ZipFile(gt, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("gt_img_7.txt", line)
    found = run("icdar2015", tmp_path)
    assert text_of(found[f"{gt.name}!gt_img_7.txt"]) == "Exit"


def test_mlt_17(tmp_path: Path) -> None:
    gt = tmp_path / "ch8_training_localization_transcription_gt_v2"
    put(
        gt / "gt_img_1.txt",
        "100,20,200,20,200,60,100,60,Arabic,مطعم\n10,20,90,20,90,60,10,60,Arabic,بيروت\n"
        "10,100,150,100,150,130,10,130,Latin,Open, daily\n390,190,399,190,399,199,390,199,None,###",
    )
    put(gt / "gt_img_2.txt", "10,20,190,20,190,60,10,60,Japanese,ラーメン\n")
    put(tmp_path / "ch8_training_images_1/img_1.jpg", jpeg())
    # The pictures of this set are JPEG, PNG and GIF.
    buffer = io.BytesIO()
    Pillow.new("RGB", SIZE, "red").save(buffer, "PNG")
    put(tmp_path / "ch8_training_images_2/img_2.png", buffer.getvalue())
    places = [tmp_path / f"ch8_training_images_{number}" for number in (1, 2)]
    found = run("mlt17", tmp_path, images=places)
    prefix = "ch8_training_localization_transcription_gt_v2/gt_img_"
    assert text_of(found[f"{prefix}1.txt"]) == "مطعم بيروت\nOpen, daily"
    assert language_of(found[f"{prefix}1.txt"]) == "ar"
    (sample,) = found[f"{prefix}2.txt"]
    assert isinstance(sample, Sample)
    assert [image.format for image in sample.images] == ["png"]
    assert sample.images[0].data == buffer.getvalue()
    assert sample.language == "ja"


def test_rctw_17(tmp_path: Path) -> None:
    put(
        tmp_path / "train_gts/image_0.txt",
        '\ufeff39,90,185,90,185,122,39,122,0,"金氏眼镜, 100"\r\n'
        '39,20,185,20,185,60,39,60,0,""创于"1989"\r\n'
        '205,127,219,127,219,132,205,132,1,"难"\r\n205,147,219,147,219,152,205,152,0,"###"\r\n',
    )
    put(tmp_path / "train_images/image_0.jpg", jpeg())
    found = run("rctw17", tmp_path, images=[tmp_path / "train_images"])
    assert text_of(found["train_gts/image_0.txt"]) == '"创于"1989\n金氏眼镜, 100'


def test_rects(tmp_path: Path) -> None:
    annotation = {
        "chars": [
            {"ignore": 0, "transcription": "H", "points": [25, 75, 112, 75, 112, 186, 25, 186]}
        ],
        "lines": [
            {"ignore": 0, "transcription": "TEA", "points": [268, 80, 390, 80, 390, 194, 268, 194]},
            {"ignore": 0, "transcription": "HOKI", "points": [23, 73, 250, 80, 250, 190, 23, 183]},
            {"ignore": 1, "transcription": "###", "points": [10, 10, 40, 10, 40, 20, 10, 20]},
        ],
    }
    put(tmp_path / "ReCTS/gt_unicode/train_ReCTS_000001.json", annotation)
    put(tmp_path / "ReCTS/gt_unicode/train_ReCTS_000002.json", {"chars": []})
    put(tmp_path / "ReCTS/gt_unicode/train_ReCTS_000003.json", '{"lines": [')
    put(tmp_path / "ReCTS/img/train_ReCTS_000001.jpg", jpeg())
    found = run("rects", tmp_path, images=[tmp_path / "ReCTS/img"])
    prefix = "ReCTS/gt_unicode/train_ReCTS_00000"
    assert text_of(found[f"{prefix}1.json"]) == "HOKI\nTEA"
    assert reasons(found[f"{prefix}2.json"]) == ["bad_record"]
    assert reasons(found[f"{prefix}3.json"]) == ["bad_json"]


def test_ubertext(tmp_path: Path) -> None:
    folder = tmp_path / "train/1Kx1K"
    put(
        folder / "truth_img_000125.txt",
        "10 80 200 80 200 120 10 120\tMAIN ST\tStreetName\n"
        "10 10 200 10 200 50 10 50\tJoe's Diner\tBusinessName\n"
        "300 10 320 10 320 20 300 20\t*\tNone\n1 2 3 4\tx\tNone\n",
    )
    put(folder / "img_000125.jpg", jpeg())
    found = run("ubertext", tmp_path)  # the pictures lie beside
    results = found["train/1Kx1K/truth_img_000125.txt"]
    assert text_of(results) == "Joe's Diner\nMAIN ST"
    assert reasons(results) == ["bad_record"]
    assert licence_of(results) == "CC-BY-SA-4.0"


def test_coco_text(tmp_path: Path) -> None:
    def annotation(number: int, **fields: Any) -> dict[str, Any]:
        return {
            "id": number, "image_id": 217925, "class": "machine printed", "language": "english",
            "legibility": "legible", "area": 1.0, **fields,
        }  # fmt: skip

    put(
        tmp_path / "cocotext.v2.json",
        {
            "info": {"version": "2.0"},
            "cats": {},
            "anns": {
                "45346": annotation(
                    45346,
                    mask=[168.9, 86.7, 168.9, 105.2, 193.0, 105.8, 193.0, 87.2],
                    bbox=[168.9, 86.7, 24.1, 19.1],
                    utf8_string="York",
                ),
                "45347": annotation(
                    45347, mask=[1, 2], bbox=[130.0, 86.0, 34.0, 20.0], utf8_string="New"
                ),
                "45348": annotation(
                    45348, mask=[100, 150, 140, 150, 140, 170, 100, 170], bbox=[100, 150, 40, 20],
                    utf8_string="R&amp;B",
                ),
                "45349": annotation(
                    45349, mask=[10, 10, 20, 10, 20, 20, 10, 20], bbox=[10, 10, 10, 10],
                    legibility="illegible", utf8_string="",
                ),
            },
            "imgs": {
                "217925": {"id": 217925, "set": "train", "width": 400, "height": 200,
                           "file_name": "COCO_train2014_000000217925.jpg"},
                "1": {"id": 1, "set": "val", "width": 400, "height": 200,
                      "file_name": "COCO_train2014_000000000001.jpg"},
            },
            "imgToAnns": {"217925": [45346, 45347, 45348, 45349], "1": []},
        },
    )  # fmt: skip
    for number in (217925, 1):
        put(tmp_path / f"train2014/COCO_train2014_{number:012}.jpg", jpeg())
    found = run("coco_text", tmp_path, images=[tmp_path / "train2014"])
    assert text_of(found["cocotext.v2.json[217925]"]) == "New York\nR&B"
    assert reasons(found["cocotext.v2.json[1]"]) == ["no_text"]


def textocr(width: int = 400, height: int = 200) -> dict[str, Any]:
    name = "a4ea732cd3d5948a"
    words = {"1": ("Performance", 10, 80), "2": ("Sport", 10, 20), "3": ("watch", 110, 20),
             "4": (".", 300, 20)}  # fmt: skip
    return {
        "info": {"version": "0.1"},
        "imgs": {
            name: {"id": name, "width": width, "height": height, "set": "train",
                   "file_name": f"train/{name}.jpg"},
        },
        "anns": {
            f"{name}_{number}": {
                "id": f"{name}_{number}", "image_id": name, "bbox": [x, y, 90.0, 24.0],
                "utf8_string": text, "area": 2160.0,
                "points": [x, y, x + 90.0, y, x + 90.0, y + 24.0, x, y + 24.0],
            }
            for number, (text, x, y) in words.items()
        },
        "imgToAnns": {name: [f"{name}_{number}" for number in words]},
    }  # fmt: skip


def test_textocr(tmp_path: Path) -> None:
    put(tmp_path / "TextOCR_0.1_train.json", textocr())
    put(tmp_path / "train_images/a4ea732cd3d5948a.jpg", jpeg())
    found = run("textocr", tmp_path, images=[tmp_path / "train_images"])
    assert text_of(found["TextOCR_0.1_train.json[a4ea732cd3d5948a]"]) == "Sport watch\nPerformance"
    strict = run(
        "textocr", tmp_path, images=[tmp_path / "train_images"], thresholds={"legible": 0.9}
    )
    assert reasons(strict["TextOCR_0.1_train.json[a4ea732cd3d5948a]"]) == ["illegible"]


def test_textocr_on_a_picture_that_stands_otherwise(tmp_path: Path) -> None:
    put(tmp_path / "TextOCR_0.1_val.json", textocr(200, 400))
    put(tmp_path / "train_images/a4ea732cd3d5948a.jpg", jpeg())
    found = run("textocr", tmp_path, images=[tmp_path / "train_images"])
    assert reasons(found["TextOCR_0.1_val.json[a4ea732cd3d5948a]"]) == ["bad_record"]


def test_openvino(tmp_path: Path) -> None:
    def annotation(number: int, text: str, x: int, legible: bool = True) -> dict[str, Any]:
        return {
            "id": number, "image_id": 0, "category_id": 1, "iscrowd": 0, "area": 800,
            "bbox": [x, 20, 40, 20],
            "segmentation": [[x, 20, x + 40, 20, x + 40, 40, x, 40]],
            "attributes": {"transcription": text, "legible": legible, "language": "english"},
        }  # fmt: skip

    put(
        tmp_path / "text_spotting_openimages_v5_train_1.json",
        {
            "categories": [{"id": 1, "name": "text", "supercategory": "none"}],
            "images": [
                {"id": 0, "file_name": "openimages_v5/train_1/1000b9.jpg", "width": 400,
                 "height": 200},
            ],
            "annotations": [
                annotation(0, "left", 110),
                annotation(1, "Turn", 60), annotation(2, "", 300, legible=False),
            ],
        },
    )  # fmt: skip
    put(tmp_path / "openimages_v5/train_1/1000b9.jpg", jpeg())
    found = run("openvino", tmp_path, images=[tmp_path / "openimages_v5"])
    assert text_of(found["text_spotting_openimages_v5_train_1.json#0"]) == "Turn left"


@pytest.mark.parametrize("packed", [True, False])
def test_hiertext(tmp_path: Path, packed: bool) -> None:
    def region(text: str, x: int, y: int, width: int, **fields: Any) -> dict[str, Any]:
        return {
            "vertices": [[x, y], [x + width, y], [x + width, y + 20], [x, y + 20]], "text": text,
            "legible": bool(text), "handwritten": False, "vertical": False, **fields,
        }  # fmt: skip

    def line(text: str, x: int, y: int, *words: str) -> dict[str, Any]:
        parts = [region(word, x + 50 * number, y, 45) for number, word in enumerate(words)]
        legible = all(words)
        return region(text, x, y, 50 * len(words), words=parts, legible=legible)

    content = json.dumps(
        {
            "info": {"date": "2022", "version": "1.0"},
            "annotations": [
                {
                    "image_id": "0123456789abcdef",
                    "image_width": 400,
                    "image_height": 200,
                    "paragraphs": [
                        {"vertices": [], "legible": True, "lines": [
                            line("in the", 10, 130, "in", "the"),
                            line("middle ", 10, 160, "middle", "", "word")]},
                        {"vertices": [], "legible": True, "lines": [
                            line("second line", 10, 40, "second", "line"),
                            line("First line", 10, 10, "First", "line")]},
                    ],
                }
            ],
        }
    )  # fmt: skip
    # One object, whatever its name says.
    if packed:
        put(tmp_path / "gt/train.jsonl.gz", gzip.compress(content.encode()))
    else:
        put(tmp_path / "gt/train.jsonl", content)
    put(tmp_path / "train/0123456789abcdef.jpg", jpeg())
    found = run("hiertext", tmp_path, images=[tmp_path / "train"])
    (results,) = found.values()
    assert text_of(results) == "First line\nsecond line\nin the\nmiddle\nword"


_JUNK: dict[str, tuple[Callable[[Any], object], str]] = {
    "a paragraph": (lambda a: a["paragraphs"].append("junk"), "`paragraphs` is of type str"),
    "a line": (lambda a: a["paragraphs"][0]["lines"].append(7), "`lines` is of type int"),
    "lines": (lambda a: a["paragraphs"][1].update(lines="junk"), "`lines` is of type str"),
    "no lines": (lambda a: a["paragraphs"][1].pop("lines"), "`lines` is absent"),
    "a word": (lambda a: _line_of(a)["words"].append(None), "`words` is absent"),
    "words": (lambda a: _line_of(a).update(words="junk"), "`words` is of type str"),
}  # fmt: skip


def _line_of(annotation: Any) -> Any:
    """A line that cannot be read as a whole."""
    return annotation["paragraphs"][1]["lines"][0]


@pytest.mark.parametrize("junk", _JUNK)
def test_hiertext_tells_every_part_that_is_none(tmp_path: Path, junk: str) -> None:
    def region(text: str, y: int, **fields: Any) -> dict[str, Any]:
        corners = [[10, y], [390, y], [390, y + 20], [10, y + 20]]
        return {"vertices": corners, "text": text, "legible": True, **fields}

    whole = region("All of it", 10, words=[region("All", 10), region("of it", 10)])
    partly = region("", 40, legible=False, words=[region("some", 40)])
    annotation = {
        "image_id": "a", "image_width": 400, "image_height": 200,
        "paragraphs": [{"lines": [whole]}, {"lines": [partly]}],
    }  # fmt: skip
    change, why = _JUNK[junk]
    change(annotation)
    put(tmp_path / "gt/train.jsonl", {"info": {}, "annotations": [annotation]})
    put(tmp_path / "train/a.jpg", jpeg())
    (results,) = run("hiertext", tmp_path, images=[tmp_path / "train"]).values()
    assert text_of(results).startswith("All of it")
    (told,) = [result for result in results if isinstance(result, Dropped)]
    assert (str(told.reason), told.item.split()[0]) == ("bad_record", "text")
    assert why in told.detail
    # What nobody knows of lowers the share that can be read: it is no longer all the text.
    strict = {"legible": 0.9}
    (results,) = run("hiertext", tmp_path, images=[tmp_path / "train"], thresholds=strict).values()
    assert reasons(results) == ["bad_record", "illegible"]


@pytest.mark.parametrize("paragraphs", [None, "junk", {}])
def test_hiertext_without_paragraphs_is_a_bad_record(tmp_path: Path, paragraphs: Any) -> None:
    annotation = {"image_id": "a", "paragraphs": paragraphs}
    put(tmp_path / "gt/train.jsonl", {"annotations": [annotation]})
    put(tmp_path / "train/a.jpg", jpeg())
    (results,) = run("hiertext", tmp_path, images=[tmp_path / "train"]).values()
    assert reasons(results) == ["bad_record"]


def test_weak_labels_that_are_none_are_told(tmp_path: Path) -> None:
    put(tmp_path / "train_weak_labels.json", {"gt_0": [{"transcription": "书店"}, "junk"]})
    put(tmp_path / "train/gt_0.jpg", jpeg())
    (results,) = run("lsvt_weak", tmp_path, images=[tmp_path / "train"]).values()
    assert text_of(results) == "书店"
    assert reasons(results) == ["bad_record"]


def test_cut_out_text(tmp_path: Path) -> None:
    put(tmp_path / "words/labels.tsv", 'a.jpg\tAvailable\nb.jpg\t"quoted" 量\nc.jpg\t\nd.jpg\n')
    for name in "abc":
        put(tmp_path / f"words/{name}.jpg", jpeg())
    found = run("cut_out_text", tmp_path / "words", variant="plain")
    texts = [text_of(results) for results in list(found.values())[:2]]
    assert texts == ["Available", '"quoted" 量']
    assert [reasons(results) for results in list(found.values())[2:]] == [
        ["no_text"],
        ["bad_record"],
    ]


def test_the_words_and_lines_that_others_cut_out(real_data: Path) -> None:
    for name, count in (("clovaai_words", 10), ("cnocr_lines", 11)):
        found = run("cut_out_text", real_data / "ocr" / name, variant="plain")
        assert len(found) == count
        for results in found.values():
            (sample,) = results
            assert isinstance(sample, Sample)
            assert len(sample.images) == 1
            assert sample.text


def test_every_reader_says_where_its_layout_stands() -> None:
    for reader in READERS.values():
        assert reader.layout.startswith("https://")
        assert reader.category == "scene_text"
        assert reader.images == "folder"
