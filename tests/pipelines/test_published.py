"""Published sets from files to samples: pictures are found, bytes kept, bad rows accounted for."""

from __future__ import annotations

import gzip
import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from dsvl_data.engine.job import Job
from dsvl_data.engine.option_files import digest_files
from dsvl_data.engine.run import run
from dsvl_data.outcome import Reason, UserError
from dsvl_data.pipeline import Document, DocumentRef, Dropped, InputSpec, Limits
from dsvl_data.read.published import READERS
from dsvl_data.recipe import RecipeError, load
from dsvl_data.sample import Image, Sample, Text
from pipelines import PIPELINES
from pipelines.published import PIPELINE, PublishedConverter, PublishedOptions
from tests.hostile_inputs import giant_png
from tests.read.packing import packed_tar, packed_zip


def jpeg(shade: int, size: tuple[int, int] = (20, 12), **settings: Any) -> bytes:
    sink = io.BytesIO()
    Pillow.new("RGB", size, (shade, 10, 10)).save(sink, "JPEG", **settings)
    return sink.getvalue()


def listed(path: Path | str, dataset: str, **options: Any) -> list[DocumentRef]:
    chosen = PublishedOptions.model_validate(options)
    return list(PIPELINE.source([InputSpec(path=str(path), dataset=dataset)], chosen))


def convert(path: Path | str, dataset: str, **options: Any) -> tuple[list[Sample], list[Dropped]]:
    chosen = PublishedOptions.model_validate(options)
    converter = PublishedConverter(chosen)
    documents = [
        Document(ref, lambda ref=ref: PIPELINE.reader(ref), "published", "1", Limits(document_mb=5))
        for ref in listed(path, dataset, **options)
    ]
    made = list(converter(documents))
    samples = [item for item in made if isinstance(item, Sample)]
    return samples, [item for item in made if isinstance(item, Dropped)]


def captions_of(samples: list[Sample]) -> dict[str, bytes]:
    """Each caption with the bytes of its picture."""
    found = {}
    for sample in samples:
        image, text = sample.segments
        assert isinstance(image, Image)
        assert isinstance(text, Text)
        found[text.text] = image.data
    return found


def reasons_of(dropped: list[Dropped]) -> list[str]:
    return sorted(str(drop.reason) for drop in dropped)


# Where pictures lie

PICTURES = {f"in/{n}.jpg": jpeg(n * 20) for n in range(4)}


def place_folder(folder: Path) -> Path:
    for name, data in PICTURES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def place_zip(folder: Path) -> Path:
    (folder / "p.zip").write_bytes(packed_zip(PICTURES))
    return folder / "p.zip"


def place_tar(folder: Path) -> Path:
    (folder / "p.tar").write_bytes(packed_tar(PICTURES))
    return folder / "p.tar"


def place_folder_of_tars(folder: Path) -> Path:
    for number, (name, data) in enumerate(PICTURES.items()):
        (folder / f"{number}.tar").write_bytes(packed_tar({f"./{name}": data, "x.json": b"{}"}))
    return folder


def place_glob(folder: Path) -> Path:
    place_folder_of_tars(folder)
    return folder / "?.tar"


def place_short_names(folder: Path) -> Path:
    members = {f"train/{name}": data for name, data in PICTURES.items()}
    (folder / "p.zip").write_bytes(packed_zip(members))
    return folder / "p.zip"


def write_sharegpt4v(folder: Path) -> None:
    def record(name: object, text: object) -> dict[str, Any]:
        turns = [{"from": "human", "value": "What is it?\n<image>"}, {"from": "gpt", "value": text}]
        return {"id": "1", "image": name, "conversations": turns}

    records = [record(name, f"A picture called {name}.") for name in PICTURES]
    records.append(record("in/absent.jpg", "It is not there."))
    path = folder / "sharegpt4v_instruct_gpt4-vision_cap100k.json"
    path.write_text(json.dumps(records))


@pytest.mark.parametrize(
    "place",
    [
        place_folder, place_zip, place_tar, place_folder_of_tars, place_glob, place_short_names,
    ],
)  # fmt: skip
def test_pictures_are_found_with_their_own_bytes(
    tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "images").mkdir()
    write_sharegpt4v(tmp_path / "data")
    where = place(tmp_path / "images")
    sets = {"sharegpt4v": {"images": [str(where)]}}
    samples, dropped = convert(tmp_path / "data", "sharegpt4v", sets=sets)
    assert captions_of(samples) == {
        f"A picture called {name}.": data for name, data in PICTURES.items()
    }
    assert [(d.reason, d.document.partition("#")[2]) for d in dropped] == [
        (Reason.MISSING_IMAGE, "4")
    ]
    assert {s.source.licence for s in samples} == {"CC-BY-NC-4.0"}
    assert {(s.category, s.language) for s in samples} == {("caption", "en")}


@pytest.mark.parametrize("place", [place_folder, place_zip, place_tar])
def test_pictures_below_the_input_need_no_word(
    tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    write_sharegpt4v(tmp_path)
    place(tmp_path)
    assert len(convert(tmp_path, "sharegpt4v")[0]) == 4


def test_an_archive_named_twice_is_one(tmp_path: Path) -> None:
    write_sharegpt4v(tmp_path)
    places = [str(place_short_names(tmp_path)), str(tmp_path), str(tmp_path / "*.zip")]
    samples, _ = convert(tmp_path, "sharegpt4v", sets={"sharegpt4v": {"images": places}})
    assert len(samples) == 4


def test_a_short_name_of_two_pictures_is_nobodys(tmp_path: Path) -> None:
    members = {"train/in/0.jpg": jpeg(0), "val/in/0.jpg": jpeg(200), "val/in/1.jpg": jpeg(20)}
    (tmp_path / "p.zip").write_bytes(packed_zip(members))
    write_sharegpt4v(tmp_path)
    samples, dropped = convert(tmp_path, "sharegpt4v")
    assert captions_of(samples) == {"A picture called in/1.jpg.": members["val/in/1.jpg"]}
    assert reasons_of(dropped) == ["missing_image"] * 4


def test_names_and_links_do_not_leave_their_place(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(jpeg(1))
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "own.jpg").write_bytes(jpeg(2))
    (folder / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "in.jpg").symlink_to("own.jpg")
    (folder / "away").symlink_to(tmp_path)
    (folder / "circle.jpg").symlink_to("circle.jpg")
    wanted = {
        "../secret.jpg": "unsafe_path",
        str(tmp_path / "secret.jpg"): "unsafe_path",
        "sub/../../secret.jpg": "unsafe_path",
        "out.jpg": "unsafe_path",
        "away/secret.jpg": "unsafe_path",
        "C:\\secret.jpg": "unsafe_path",
        ".": "unsafe_path",
        "": "bad_record",
        "circle.jpg": "missing_image",
        "x" * 5000: "missing_image",
        "in.jpg": "kept",
    }
    lines = [json.dumps({"file": name, "title": "t"}) for name in wanted]
    (folder / "captions.jsonl").write_text("\n".join(lines))
    samples, dropped = convert(folder, "openclipart")
    found = {d.document: str(d.reason) for d in dropped} | {s.document: "kept" for s in samples}
    # A link to a folder may hide records, so it is told too.
    assert found.pop("openclipart:away") == "unsafe_path"
    assert [found[f"openclipart:captions.jsonl#{n}"] for n in range(len(wanted))] == list(
        wanted.values()
    )


def test_a_damaged_archive_of_pictures_is_told(tmp_path: Path) -> None:
    data, images = tmp_path / "data", tmp_path / "images"
    data.mkdir()
    images.mkdir()
    write_sharegpt4v(data)
    for folder, told in ((images, "images#0!p.tar"), (data, "p.tar")):
        (folder / "p.tar").write_bytes(packed_tar(PICTURES)[:4000])
        sets = {"sharegpt4v": {"images": [str(images)]}}
        samples, dropped = convert(data, "sharegpt4v", sets=sets)
        assert len(samples) == 2
        assert reasons_of(dropped) == ["bad_archive", *["missing_image"] * 3]
        (archive,) = [d for d in dropped if d.reason is Reason.BAD_ARCHIVE]
        assert archive.document == f"sharegpt4v:{told}"
        (folder / "p.tar").unlink()


# img2dataset's output, by itself and for others


def write_img2dataset(folder: Path, urls: list[str], form: str) -> dict[str, bytes]:
    """Write a shard as img2dataset does; the last URL could not be fetched."""
    pictures = {url: jpeg(n * 30) for n, url in enumerate(urls[:-1])}
    rows, members = [], {}
    for number, url in enumerate(urls):
        got = url in pictures
        key = f"{number:09d}"
        rows.append({
            "url": url, "key": key, "caption": f"words of {number}",
            "status": "success" if got else "failed_to_download",
            "error_message": None if got else "HTTP Error 404: Not Found",
            "width": 20 if got else None, "height": 12 if got else None, "sha256": None,
        })  # fmt: skip
        if got:
            members[f"{key}.jpg"] = pictures[url]
            members[f"{key}.json"] = json.dumps(rows[-1]).encode()
            members[f"{key}.txt"] = rows[-1]["caption"].encode()
    if form == "parquet":
        for row in rows:
            row["jpg"] = pictures.get(row["url"])
    elif form == "webdataset":
        (folder / "00000.tar").write_bytes(packed_tar(members))
    else:
        (folder / "00000").mkdir()
        for name, data in members.items():
            (folder / "00000" / name).write_bytes(data)
    pq.write_table(pa.Table.from_pylist(rows), folder / "00000.parquet")
    (folder / "00000_stats.json").write_text("{}")
    return pictures


URLS = [f"https://example.invalid/{n}.jpg?w=1" for n in range(4)]


@pytest.mark.parametrize("form", ["webdataset", "files", "parquet"])
@pytest.mark.parametrize("single", [False, True])
def test_what_img2dataset_has_fetched(tmp_path: Path, form: str, single: bool) -> None:
    pictures = write_img2dataset(tmp_path, URLS, form)
    path = tmp_path / "00000.parquet" if single else tmp_path
    samples, dropped = convert(path, "img2dataset")
    assert captions_of(samples) == {
        f"words of {n}": pictures[url] for n, url in enumerate(URLS[:-1])
    }
    assert [(d.reason, d.detail) for d in dropped] == [
        (Reason.MISSING_IMAGE, "failed_to_download: HTTP Error 404: Not Found")
    ]


@pytest.mark.parametrize("form", ["webdataset", "files"])
def test_urls_are_looked_up_in_what_was_fetched(tmp_path: Path, form: str) -> None:
    (tmp_path / "fetched").mkdir()
    pictures = write_img2dataset(tmp_path / "fetched", URLS, form)
    rows = [
        {"image_url": url, "capsfusion": f"fused {n}", "laion_2b": f"web {n}",
         "laion_coco": f"model {n}"}
        for n, url in enumerate([*URLS, "https://example.invalid/never.jpg"])
    ]  # fmt: skip
    (tmp_path / "caps").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "caps" / "capsfusion_1.parquet")
    images = {"images": [str(tmp_path / "fetched")]}
    samples, dropped = convert(tmp_path / "caps", "capsfusion", sets={"capsfusion": images})
    assert captions_of(samples) == {f"fused {n}": pictures[u] for n, u in enumerate(URLS[:-1])}
    assert reasons_of(dropped) == ["missing_image"] * 2
    weighed = {"capsfusion": images | {"variants": {"laion_2b": 1, "laion_coco": 1}}}
    drawn, _ = convert(tmp_path / "caps", "capsfusion", sets=weighed)
    assert {s.provenance.details["variant"] for s in drawn} <= {"laion_2b", "laion_coco"}
    assert all(s.text.split()[0] in ("web", "model") for s in drawn)
    with pytest.raises(UserError, match="fetch them with img2dataset"):
        listed(tmp_path / "caps", "capsfusion")


# Sets with a layout of their own


def test_coco_gives_a_sample_for_each_caption(tmp_path: Path) -> None:
    document = {
        "info": {"year": 2017},
        "images": [
            {"license": 3, "file_name": "1.jpg", "height": 12, "width": 20, "id": 1},
            {"license": 3, "file_name": "2.jpg", "height": 12, "width": 20, "id": 2},
        ],
        "licenses": [],
        "annotations": [
            {"image_id": 1, "id": 10, "caption": "A red field."},
            {"image_id": 1, "id": 11, "caption": "Nothing but red. "},
            {"image_id": 1, "id": 12, "caption": float("nan")},
        ],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "captions_val2017.json").write_text(json.dumps(document))
    (tmp_path / "annotations" / "instances_val2017.json").write_text("{}")
    (tmp_path / "val2017.zip").write_bytes(packed_zip({"val2017/1.jpg": jpeg(200)}))
    samples, dropped = convert(tmp_path, "coco_captions")
    assert [s.text for s in samples] == ["A red field.", "Nothing but red."]
    assert [s.key.partition("-")[2] for s in samples] == ["00000", "00001"]
    assert [(d.reason, d.item) for d in dropped] == [
        (Reason.BAD_RECORD, "annotation 12"), (Reason.NO_TEXT, ""),
    ]  # fmt: skip


def test_an_image_of_coco_that_is_no_object_is_a_bad_record(tmp_path: Path) -> None:
    images = ["x", 7, None, [1], {"file_name": "1.jpg", "id": 1}, {"id": 2}]
    annotations = [{"image_id": n, "id": 10 + n, "caption": "A red field."} for n in (1, 2)]
    (tmp_path / "captions_val2017.json").write_text(
        json.dumps({"images": images, "annotations": annotations})
    )
    (tmp_path / "1.jpg").write_bytes(jpeg(200))
    samples, dropped = convert(tmp_path, "coco_captions")
    assert [s.text for s in samples] == ["A red field."]
    assert [d.reason for d in dropped] == [Reason.BAD_RECORD] * 5


def test_taisu_is_matched_by_the_stem(tmp_path: Path) -> None:
    captions = {
        "img1baidu1": {"w": "红色的图片", "g": "一张红色的图"},
        "img1baidu2": {"w": "只有网页文字", "g": None},
        "img1baidu3": {"w": "", "g": ""},
        "img1baidu4": 7,
    }
    (tmp_path / "captions.json").write_text(json.dumps(captions))
    members = {f"baidu_images_0/img1baidu{n}.jpg": jpeg(n) for n in range(1, 5)}
    (tmp_path / "baidu_images0.tar").write_bytes(packed_tar(members))
    weights = {"taisu": {"variants": {"generated": 1}}}
    samples, dropped = convert(tmp_path, "taisu", sets=weights)
    assert {s.text: s.provenance.details["caption"] for s in samples} == {
        "一张红色的图": "generated", "只有网页文字": "web",
    }  # fmt: skip
    assert reasons_of(dropped) == ["bad_record", "no_text"]
    # The same from a folder.
    (tmp_path / "baidu_images0.tar").unlink()
    for name, data in members.items():
        (tmp_path / name.rpartition("/")[2]).write_bytes(data)
    assert len(convert(tmp_path, "taisu")[0]) == 2


def test_detailed_captions_in_either_form(tmp_path: Path) -> None:
    qwen = [
        {"from": "user", "value": "Picture 1: <img>in/0.jpg</img>\nGenerate the detailed caption"},
        {"from": "assistant", "value": "A long description."},
    ]
    (tmp_path / "detailed_caption.json").write_text(json.dumps([{"conversations": qwen}]))
    (tmp_path / "densecap_data.zip").write_bytes(packed_zip(PICTURES))
    samples, dropped = convert(tmp_path, "detailed_caption")
    assert captions_of(samples) == {"A long description.": PICTURES["in/0.jpg"]}
    assert dropped == []


def test_drawings_are_drawn(tmp_path: Path) -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="100" height="60">'
        '<rect width="50" height="60" fill="#f00"/><script>alert(1)</script></svg>'
    )
    (tmp_path / "a.svg").write_text(svg)
    lines = [
        {"file": "a.svg", "title": "half_red", "caption": "somebody@example.org"},
        {"file": "a.svg", "title": "Half", "caption": "red on the left"},
    ]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    samples, _ = convert(tmp_path, "openclipart")
    assert [s.text for s in samples] == ["half red", "Half: red on the left"]
    picture = Pillow.open(io.BytesIO(samples[0].images[0].data)).convert("RGB")
    assert picture.getpixel((10, 30)) == (255, 0, 0)
    assert picture.getpixel((picture.width - 5, 30)) == (255, 255, 255)
    assert samples[0].provenance.details["pictures"] == "0: drawn from SVG"


# Bad rows


def bad_rows(folder: Path) -> list[tuple[Any, str]]:
    """Records of `openclipart`, each with what becomes of it."""
    exif = Pillow.Exif()
    exif[0x0112] = 6
    cmyk, animated = io.BytesIO(), io.BytesIO()
    Pillow.new("CMYK", (20, 12)).save(cmyk, "JPEG")
    frames = [Pillow.new("RGB", (20, 12), colour) for colour in ("red", "blue")]
    frames[0].save(animated, "GIF", save_all=True, append_images=frames[1:])
    wide = io.BytesIO()
    Pillow.new("I;16", (20, 12)).save(wide, "PNG")
    files = {
        "good.jpg": jpeg(9), "zero.jpg": b"", "cut.jpg": jpeg(9, (400, 400))[:900],
        "page.jpg": b"<html>gone</html>", "bomb.png": giant_png(),
        "turned.jpg": jpeg(9, exif=exif), "cmyk.jpg": cmyk.getvalue(),
        "animated.gif": animated.getvalue(),
        "wide.png": wide.getvalue(),
        "tiny.jpg": jpeg(9, (3, 12)), "huge.jpg": jpeg(9) + b"\0" * 6_000_000,
    }  # fmt: skip
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "folder.jpg").mkdir()
    return [
        ({"file": "good.jpg", "title": "good"}, "kept"),
        ({"file": "absent.jpg", "title": "t"}, "missing_image"),
        ({"file": "folder.jpg", "title": "t"}, "missing_image"),
        ({"file": "zero.jpg", "title": "t"}, "bad_image"),
        ({"file": "cut.jpg", "title": "t"}, "bad_image"),
        ({"file": "page.jpg", "title": "t"}, "bad_image"),
        ({"file": "bomb.png", "title": "t"}, "image_bomb"),
        ({"file": "huge.jpg", "title": "t"}, "too_large"),
        ({"file": "tiny.jpg", "title": "t"}, "image_too_small"),
        ({"file": "turned.jpg", "title": "turned"}, "0: exif-rotated"),
        ({"file": "cmyk.jpg", "title": "cmyk"}, "0: was CMYK"),
        ({"file": "animated.gif", "title": "animated"}, "0: first frame"),
        ({"file": "wide.png", "title": "wide"}, "0: was 16 bit"),
        ({"file": 7, "title": "t"}, "bad_record"),
        ({"file": ["good.jpg"], "title": "t"}, "bad_record"),
        ({"title": "t"}, "bad_record"),
        ({"file": "good.jpg"}, "bad_record"),
        ({"file": "good.jpg", "title": float("nan")}, "bad_record"),
        ({"file": "good.jpg", "title": None}, "bad_record"),
        ({"file": "good.jpg", "title": ["t"]}, "bad_record"),
        ({"file": "good.jpg", "title": " \n "}, "no_text"),
        ({"file": "good.jpg", "title": "long " * 200_000}, "text_too_long"),
        ({"file": "good.jpg", "title": "half a pair \ud83d of a kind"}, "kept"),
        ([1, 2], "bad_record"),
        (None, "bad_record"),
        ({"file": "good.jpg", "title": "good"}, "kept"),  # the same again is curation's business
    ]


def test_each_bad_row_has_an_outcome_and_hurts_no_other(tmp_path: Path) -> None:
    rows = bad_rows(tmp_path)
    (tmp_path / "captions.jsonl").write_text("\n".join(json.dumps(row) for row, _ in rows))
    samples, dropped = convert(tmp_path, "openclipart", min_side=10)
    found = {d.document: str(d.reason) for d in dropped}
    for sample in samples:
        found[sample.document] = sample.provenance.details.get("pictures", "kept")
        sample.text.encode()  # raises where a column could not hold it
    assert [found[f"openclipart:captions.jsonl#{n}"] for n in range(len(rows))] == [
        wanted for _, wanted in rows
    ]


def test_a_csv_and_json_of_bad_rows_are_listed_all_the_same(tmp_path: Path) -> None:
    text = b'[{"id": "1"}, {"image": "a.jpg", "conversations": "x"}, {bad}, 7, {"conversations": []'
    (tmp_path / "sharegpt4v_instruct_gpt4-vision_cap100k.json").write_bytes(text)
    _, dropped = convert(tmp_path, "sharegpt4v")
    # Four whole elements, and what is missing behind them.
    assert reasons_of(dropped) == ["bad_json", "bad_json", *["bad_record"] * 3]


# In the engine


def test_a_run_balances_and_is_the_same_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    rows = bad_rows(data)
    (data / "captions.jsonl").write_text("\n".join(json.dumps(row) for row, _ in rows))
    parts = []
    for number in range(2):
        job = Job(
            name="published",
            pipeline="pipelines.published:PIPELINE",
            inputs=(InputSpec(path=str(data), dataset="openclipart"),),
            options={"min_side": 10},
            partition_size=7,
            limits=Limits(document_mb=5),
        )
        out = tmp_path / f"out{number}"
        result = run([job], str(out), executor="local")
        assert result.ok, result
        account = result.balances["published"].to_json()
        assert account["in"] == len(rows)
        assert account["kept"] == account["samples"] == 7
        assert account["reasons"]["bad_record"] == 9
        parts.append([p.read_bytes() for p in sorted((out / "parts").rglob("*.parquet"))])
    assert parts[0] == parts[1]


def test_a_draw_is_even_and_the_same_on_any_machine(tmp_path: Path) -> None:
    lines = {f"i{n}": {"w": "网", "g": "造"} for n in range(300)}
    (tmp_path / "captions.json").write_text(json.dumps(lines))
    members = {f"i{n}.jpg": jpeg(1) for n in range(300)}
    (tmp_path / "i.tar").write_bytes(packed_tar(members))
    first, _ = convert(tmp_path, "taisu", seed=1)
    again, _ = convert(tmp_path, "taisu", seed=1)
    other, _ = convert(tmp_path, "taisu", seed=2)
    assert [s.text for s in first] == [s.text for s in again] != [s.text for s in other]
    assert 100 < sum(s.text == "网" for s in first) < 200


# Recipes


RECIPE = """\
name: small
pipelines:
  published:
    inputs:
      - {path: data, dataset: mine}
    options:
      sets:
        mine:
          reader: sharegpt4v
          images: [pictures, /elsewhere, s3://bucket/pictures, "~/p*"]
"""


def write(folder: Path, text: str) -> Path:
    (folder / "recipe.yaml").write_text(text)
    return folder / "recipe.yaml"


def test_image_places_start_at_the_recipe(tmp_path: Path) -> None:
    options = load(write(tmp_path, RECIPE), PIPELINES).pipelines["published"].options
    assert options["sets"]["mine"]["images"] == [
        str(tmp_path / "pictures"), "/elsewhere", "s3://bucket/pictures",
        str(Path("~/p*").expanduser()),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("reader: sharegpt4v", "reader: sharegpt4"), "did you mean 'sharegpt4v'?"),
        (("reader: sharegpt4v\n", "variants: {x: 1}\n"), "no reader is called 'mine'"),
        (("images:", "image:"), "did you mean 'images'?"),
        (("reader: sharegpt4v", "reader: taisu\n          variants: {webb: 1}"), "mean 'web'?"),
        (("reader: sharegpt4v", "reader: taisu\n          variants: {web: 0}"), "weight above 0"),
        (("reader: sharegpt4v", "reader: taisu\n          variants: {web: -1}"), "variants.web"),
        (("reader: sharegpt4v", "reader: taisu\n          thresholds: {x: 1}"), "no 'x'"),
        (("      sets:", "      seed: 1\n      set:"), "did you mean 'sets'?"),
    ],
)
def test_a_mistake_in_a_recipe_is_named(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    assert change[0] in RECIPE
    with pytest.raises(RecipeError) as error:
        load(write(tmp_path, RECIPE.replace(*change)), PIPELINES)
    assert says in str(error.value)


def test_image_places_are_no_part_of_a_plans_digests(tmp_path: Path) -> None:
    """They may hold terabytes; the listing locates what is in them."""
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    chosen = {"sets": {"taisu": {"images": [str(tmp_path)]}}}
    assert digest_files(PublishedOptions.model_validate(chosen)) == {}


@pytest.mark.parametrize("name", ["p.tar.gz", "p.tgz", "p.TAR.GZ", "p.tar.zst", "p.7z", "p.txt"])
def test_a_place_that_no_picture_can_be_read_from_is_refused(tmp_path: Path, name: str) -> None:
    check = PIPELINE.check
    assert check is not None
    (tmp_path / name).write_bytes(gzip.compress(packed_tar(PICTURES)))
    for place in (tmp_path / name, tmp_path / "p.*"):
        options = PublishedOptions.model_validate({"sets": {"art": {"images": [str(place)]}}})
        with pytest.raises(UserError, match=r"sets\.art\.images: .*(unpack it|no folder)"):
            check(options, Limits())
    sound = place_tar(tmp_path)
    check(PublishedOptions.model_validate({"sets": {"art": {"images": [str(sound)]}}}), Limits())


def write_art(folder: Path, pictures: int = 3) -> None:
    mark = {"points": [[1, 1], [9, 1], [9, 9], [1, 9]], "illegibility": False}
    labels = {f"gt_{n}": [{**mark, "transcription": f"T{n}"}] for n in range(pictures)}
    (folder / "train_labels.json").write_text(json.dumps(labels))


def test_a_packed_archive_beside_the_records_is_told(tmp_path: Path) -> None:
    write_art(tmp_path)
    members = {f"train_images/gt_{n}.jpg": jpeg(n) for n in range(3)}
    (tmp_path / "train_images.tar.gz").write_bytes(gzip.compress(packed_tar(members)))
    samples, dropped = convert(tmp_path, "art")
    assert samples == []
    assert reasons_of(dropped) == [*["missing_image"] * 3, "unreadable"]
    (archive,) = [d for d in dropped if d.reason is Reason.UNREADABLE]
    assert archive.document == "art:images#0!train_images.tar.gz"
    assert "unpack it" in archive.detail


def test_a_packed_archive_of_records_is_no_place_of_pictures(tmp_path: Path) -> None:
    lines = json.dumps({"file": "a.jpg", "title": "A title"}).encode()
    archive = gzip.compress(packed_tar({"captions.jsonl": lines}))
    (tmp_path / "records.tar.gz").write_bytes(archive)
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    samples, dropped = convert(tmp_path, "openclipart")
    assert [s.text for s in samples] == ["A title"]
    assert dropped == []


def test_pictures_by_their_stem_are_found_in_a_folder_of_the_input(tmp_path: Path) -> None:
    write_art(tmp_path)
    for name in ("train_images/gt_0.jpg", "train_images/gt_1.png", "more/gt_1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(jpeg(5))
    samples, dropped = convert(tmp_path, "art", sets={"art": {"variants": {"full": 1}}})
    assert [s.text for s in samples] == ["T0"]
    details = [d.detail for d in dropped]
    assert details == [
        "gt_1: in several folders, more, train_images: say which in `images`",
        "gt_2: in none of the places",
    ]
    # Where the recipe says where they are, they are nowhere else.
    more = {"art": {"variants": {"full": 1}, "images": [str(tmp_path / "more")]}}
    samples, _ = convert(tmp_path, "art", sets=more)
    assert [s.text for s in samples] == ["T1"]


def test_a_folder_that_is_a_link_is_not_looked_into_for_pictures(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "gt_0.jpg").write_bytes(jpeg(5))
    (tmp_path / "in").mkdir()
    write_art(tmp_path / "in", 1)
    (tmp_path / "in" / "train_images").symlink_to(tmp_path / "away")
    samples, dropped = convert(tmp_path / "in", "art")
    assert samples == []
    assert "missing_image" in reasons_of(dropped)


def test_what_is_not_there_is_told_before_the_work(tmp_path: Path) -> None:
    check = PIPELINE.check
    assert check is not None
    place = tmp_path / "pictures"
    options = PublishedOptions.model_validate({"sets": {"taisu": {"images": [str(place)]}}})
    with pytest.raises(UserError, match="nothing is at"):
        check(options, Limits())
    place.mkdir()
    check(options, Limits())
    globbed = PublishedOptions.model_validate(
        {"sets": {"taisu": {"images": [str(place / "*.tar")]}}}
    )
    with pytest.raises(UserError, match="nothing is at"):
        check(globbed, Limits())
    with pytest.raises(UserError, match="did you mean 'capsfusion'"):
        listed(tmp_path, "capfusion")
    with pytest.raises(UserError, match="no input has the data set 'taisu'"):
        listed(tmp_path, "sharegpt4v", sets={"taisu": {}})


def test_readers_are_whole() -> None:
    for name, reader in READERS.items():
        assert reader.name == name
        assert reader.layout, name
        assert sum(reader.variants.values()) > 0, name
        for record in ({}, {"image": 7}, {"image": float("nan"), "conversations": [None]}):
            named = list(reader.pictures(record))  # and raises nothing
            assert all(isinstance(name, str | bytes) for name in named), name


def test_a_picture_cut_in_its_archive(tmp_path: Path) -> None:
    """A zip whose directory is sound and whose member is not."""
    data = bytearray(
        packed_zip({"in/0.jpg": PICTURES["in/0.jpg"], "in/1.jpg": PICTURES["in/1.jpg"]})
    )
    (offset,) = struct.unpack("<I", data[-22 + 16 : -22 + 20])
    assert data[offset : offset + 4] == b"PK\x01\x02"
    data[4 + 26 + 20 : 4 + 26 + 60] = b"\xff" * 40  # within the first member's bytes
    (tmp_path / "p.zip").write_bytes(bytes(data))
    write_sharegpt4v(tmp_path)
    samples, dropped = convert(tmp_path, "sharegpt4v")
    assert [s.text for s in samples] == ["A picture called in/1.jpg."]
    assert reasons_of(dropped)[0] in ("bad_archive", "bad_image")
