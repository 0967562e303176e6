"""Contamination: what of a benchmark is found in samples, what is no evidence, and what is told."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageDraw

from dsvl_data.curate import contamination_index, measure, ngrams, stored
from dsvl_data.curate.contamination import find_images
from dsvl_data.curate.contamination_index import Index
from dsvl_data.curate.contamination_report import summary
from dsvl_data.curate.explain import explain
from dsvl_data.curate.image_hash import fingerprint, reduced
from dsvl_data.curate.run import curate
from dsvl_data.curate.settings import Curation
from dsvl_data.outcome import UserError
from dsvl_data.sample import Image, Sample
from tests.curate.conftest import key, sample, write
from tests.curate.test_run import fates, run

LETTERS = "bcdfghjklmnpqrstvwz"
CHINESE = "清晨的港口十分安静最早出海的渔船陆续返航码头上的人一艘一艘地数着直到最后一艘也系好了缆绳"


def story(number: int, words: int = 30) -> list[str]:
    """Words that no other story has."""
    start = LETTERS[number % 19] + LETTERS[number // 19]
    return [f"{start}a{LETTERS[i % 19]}e{LETTERS[i // 19]}o" for i in range(words)]


def told(number: int, words: int = 30) -> str:
    return " ".join(story(number, words))


def drawing(seed: int, *, size: int = 200, form: str = "PNG") -> bytes:
    """A picture with something in it, the same for a seed in any size and format."""
    picture = Pillow.new("RGB", (400, 400), "white")
    draw = ImageDraw.Draw(picture)
    for i in range(6):
        x, y = (seed * 97 + i * 131) % 300, (seed * 61 + i * 173) % 300
        draw.ellipse((x, y, x + 40 + 20 * i, y + 90), fill=(40 * i, seed * 50 % 255, 120))
    data = io.BytesIO()
    picture.resize((size, size)).save(data, form)
    return data.getvalue()


def pictured(name: str, data: bytes) -> Sample:
    made = sample(name, f"A drawing called {name}.", category="caption")
    return Sample(
        **{
            **{field: getattr(made, field) for field in made.__slots__},
            "segments": (Image(data, "png", 200, 200), *made.segments),
        }
    )


def benchmark(folder: Path, *records: dict[str, Any], name: str = "exam.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    return path


def rules(path: Path, **said: Any) -> dict[str, Any]:
    contamination = {"benchmarks": [{"path": str(path)}], "action": "drop", **said}
    return {"contamination": contamination}


def report(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "curation" / "contamination.json").read_text())
    return found


def test_runs_of_13_words_are_found_and_of_8_in_short_texts(tmp_path: Path) -> None:
    long, short, tiny = story(0), story(1, 10), story(2, 7)
    path = benchmark(
        tmp_path,
        {"id": "long", "question": " ".join(long)},
        {"id": "short", "question": " ".join(short)},
        {"id": "tiny", "question": " ".join(tiny), "options": ["Yes, of course", "No"]},
        {"id": "zh", "question": CHINESE},
        {"id": "zh-short", "question": "".join(reversed(CHINESE[:15]))},
    )
    out = write(
        tmp_path / "out",
        made_0=[
            sample("long", f"Before. **{', '.join(long[4:17]).upper()}**! And after."),
            sample("nearly-long", f"Before. {' '.join(long[4:16])}! And after."),
            sample("short", f"Then {' '.join(short[2:10])}."),
            sample("nearly-short", f"Then {' '.join(short[3:10])}."),
            sample("tiny", " ".join(tiny)),
            sample("zh", f"他说：“{CHINESE[3:10]}，{CHINESE[10:23]}。”"),
            sample("nearly-zh", CHINESE[3:22]),
            sample("zh-short", "".join(reversed(CHINESE[1:14]))),
            sample("nearly-zh-short", "".join(reversed(CHINESE[1:13]))),
        ],
    )
    run(out, rules(path))
    assert {name for name, reason in fates(out).items() if reason} == {
        "long",
        "short",
        "zh",
        "zh-short",
    }
    counts = report(out)["benchmarks"]["exam"]
    assert (counts["items"], counts["items_with_text"], counts["items_found"]) == (5, 4, 4)


def test_what_is_told_of_a_sample(tmp_path: Path) -> None:
    path = benchmark(tmp_path, *({"id": n, "question": told(n)} for n in range(3)))
    both = f"{told(0)} and then {' '.join(story(2)[:15])}"
    out = write(tmp_path / "out", made_0=[sample("both", both), sample("none", told(7))])
    run(out, rules(path))
    found = report(out)
    assert found["total"]["samples"] == found["total"]["left_out_for_it"] == 1
    assert [each["item"] for each in found["items"]] == ["exam/0", "exam/2"]
    first, second = (each["best"][0] for each in found["items"])
    assert (first["key"], first["runs"], first["share"]) == (key("both"), 18, 1.0)
    assert (second["runs"], second["share"]) == (3, round(3 / 18, 4))
    assert second["text"] == " ".join(story(2)[:15])
    assert "1 sample shares text or images with 2 items" in summary(str(out))

    known = explain(str(out), "made/part-00000.parquet", [key("both"), key("none")])
    assert known[key("both")]["reason"] == "contaminated"
    assert known[key("both")]["detail"].startswith("contamination is exam/0: 18 runs, 100% of")
    assert [rule["passes"] for rule in known[key("none")]["rules"]] == [True, True]
    items = known[key("both")]["measures"]["contamination_items"]
    assert [each["item"] for each in items] == ["exam/0", "exam/2"]


def test_a_report_leaves_everything_in(tmp_path: Path) -> None:
    path = benchmark(tmp_path, {"question": told(0)})
    out = write(tmp_path / "out", made_0=[sample("leak", told(0))])
    run(out, rules(path, action="report"))
    assert fates(out) == {"leak": None}
    assert report(out)["total"]["samples"] == 1
    assert "kept" in summary(str(out))
    run(out, {})
    assert not (out / "curation" / "contamination.json").exists()
    assert summary(str(out)) == ""


def test_instructions_number_rows_and_formulas_are_not_looked_for(tmp_path: Path) -> None:
    instruction = "Answer the question with the letter of the one option that is right, please."
    numbers = " ".join(str(year) for year in range(1990, 2020))
    formula = " ".join(f"x_{i} + y^{i} =" for i in range(12))
    path = benchmark(
        tmp_path,
        *({"id": n, "question": f"{told(n)} {instruction}"} for n in range(11)),
        {"id": "numbers", "question": numbers},
        {"id": "formula", "question": formula},
    )
    texts = {"instruction": instruction, "numbers": numbers, "formula": formula, "leak": told(3)}
    out = write(tmp_path / "out", made_0=[sample(name, text) for name, text in texts.items()])
    run(out, rules(path))
    assert {name for name, reason in fates(out).items() if reason} == {"leak"}
    found = report(out)
    assert found["common_in_benchmarks"]["runs"] == 2  # of 14 words
    assert found["common_in_benchmarks"]["examples"][0]["texts"] == 11
    assert found["benchmarks"]["exam"]["items_with_text"] == 11
    run(out, rules(path, common_texts=11))
    assert fates(out)["instruction"] == "contaminated"


def test_one_passage_with_many_questions_is_one_text(tmp_path: Path) -> None:
    records = [{"id": n, "context": told(0), "question": f"Who is {n}?"} for n in range(30)]
    path = benchmark(tmp_path, *records)
    out = write(tmp_path / "out", made_0=[sample("passage", told(0))])
    run(out, rules(path))
    assert fates(out) == {"passage": "contaminated"}
    detail = explain(str(out), "made/part-00000.parquet", [key("passage")])[key("passage")][
        "detail"
    ]
    assert "exam/0 and 29 with the same text" in detail


def test_what_many_documents_have_is_no_evidence_but_a_whole_text_is(tmp_path: Path) -> None:
    licence = " ".join(story(40, 14))
    path = benchmark(
        tmp_path,
        {"id": "licensed", "question": f"{told(0, 60)} {licence} {told(1, 60)}"},
        {"id": "copied", "question": told(2)},
    )
    everywhere = [sample(f"licence{n}", f"{told(50 + n)} {licence}.") for n in range(11)]
    copies = [sample(f"copy{n}", f"{told(70 + n)} {told(2)}") for n in range(11)]
    out = write(
        tmp_path / "out",
        made_0=[*everywhere[:6], *copies],
        made_1=[*everywhere[6:], sample("leak", f"{licence} {told(1, 60)}")],
    )
    run(out, rules(path))
    assert {name for name, reason in fates(out).items() if reason} == {
        "leak",
        *(f"copy{n}" for n in range(11)),
    }
    found = report(out)
    assert found["total"]["with_common_runs_only"] == 11
    assert {each["documents"] for each in found["common_in_corpus"]["examples"]} == {11, 12}
    assert licence.startswith(found["common_in_corpus"]["examples"][0]["text"]) or (
        licence.endswith(found["common_in_corpus"]["examples"][0]["text"])
    )
    # Thresholds alone: nothing is measured again.
    before = (out / "curation/measures/made/part-00000.parquet").stat().st_mtime_ns
    run(out, rules(path, common_documents=12))
    assert fates(out)["licence0"] == "contaminated"
    assert (out / "curation/measures/made/part-00000.parquet").stat().st_mtime_ns == before


def test_images_are_found_in_another_size_and_format(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/one.png").write_bytes(drawing(1))
    encoded = base64.b64encode(drawing(2)).decode()
    flat = io.BytesIO()
    Pillow.new("RGB", (90, 90), "white").save(flat, "PNG")
    path = benchmark(
        tmp_path,
        {"id": "path", "image": "pictures/one.png"},
        {"id": "base64", "image": encoded},
        {
            "id": "address",
            "images": [f"data:image/png;base64,{base64.b64encode(drawing(3)).decode()}"],
        },
        {"id": "bytes", "image": {"bytes": base64.b64encode(drawing(4)).decode(), "path": "x.png"}},
        {"id": "flat", "image": base64.b64encode(flat.getvalue()).decode()},
        {"id": "missing", "image": "pictures/two.png"},
        {"id": "outside", "image": "../secret.png"},
        {"id": "broken", "image": base64.b64encode(b"no picture at all").decode()},
    )
    out = write(
        tmp_path / "out",
        made_0=[
            *(pictured(f"copy{n}", drawing(n, size=300, form="JPEG")) for n in (1, 2, 3, 4)),
            *(pictured(f"other{n}", drawing(n)) for n in (5, 6)),
            pictured("flat", flat.getvalue()),
            sample("undecodable", images=("x",)),
        ],
    )
    run(out, rules(path))
    assert {name for name, reason in fates(out).items() if reason} == {
        f"copy{n}" for n in (1, 2, 3, 4)
    }
    found = report(out)
    assert {each["item"] for each in found["items"]} == {
        f"exam/{name}" for name in ("path", "base64", "address", "bytes")
    }
    counts = found["benchmarks"]["exam"]
    assert (counts["images"], counts["images_unreadable"], counts["images_flat"]) == (8, 3, 1)
    assert "3 images of benchmarks cannot be read" in summary(str(out))
    assert any("leads out" in fault for fault in found["index"]["faults"])

    # A file written anew is another benchmark, though the lines are the same.
    (tmp_path / "pictures/one.png").write_bytes(drawing(5))
    run(out, rules(path))
    assert fates(out)["copy1"] is None
    assert fates(out)["other5"] == "contaminated"


def test_a_picture_of_several_items_is_told_of_each(tmp_path: Path) -> None:
    encoded = base64.b64encode(drawing(1)).decode()
    path = benchmark(tmp_path, *({"id": name, "image": encoded} for name in ("first", "second")))
    out = write(tmp_path / "out", made_0=[pictured("copy", drawing(1, size=300, form="JPEG"))])
    run(out, rules(path))
    assert {each["item"] for each in report(out)["items"]} == {"exam/first", "exam/second"}
    assert report(out)["benchmarks"]["exam"]["items_found"] == 2
    assert report(out)["total"]["samples"] == 1


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 400)), max_size=60),
    st.integers(0, 8),
    st.integers(0, 400),
)
def test_no_limits_miss_an_image_for_one_that_is_more_alike_in_another_way(
    differing: list[tuple[int, int]], bits: int, fine: int
) -> None:
    seen = fingerprint(reduced(drawing(1)))
    assert seen is not None
    traits = np.tile(np.frombuffer(seen.traits, np.uint8), (len(differing), 1))
    for row, (_, off) in zip(traits, differing, strict=True):
        flipped = np.unpackbits(row[:128])
        flipped[:off] ^= 1
        row[:128] = np.packbits(flipped)
    hashes = [seen.hash ^ ((1 << off) - 1) for off, _ in differing]
    nothing = np.zeros(0, np.uint32)
    index = Index(
        "",
        nothing.astype(np.int64),
        ngrams.buckets(nothing.astype(np.uint64)),
        *(nothing,) * 5,
        names=pa.array(["a"] * len(differing)),
        hashes=np.array(hashes, np.uint64),
        traits=traits,
        image_items=np.arange(len(differing), dtype=np.uint32),
    )
    found = find_images([drawing(1)], index)
    expected = any(off <= bits and far <= fine for off, far in differing)
    assert any(each.bits <= bits and each.detail <= fine / 1024 for each in found) == expected
    assert len(found) <= 16 + 9


def test_other_benchmarks_redo_only_what_is_shared_with_them(tmp_path: Path) -> None:
    path = benchmark(tmp_path, {"question": told(0)})
    out = write(tmp_path / "out", made_0=[sample("a", told(0)), sample("b", told(1))])
    run(out, rules(path))
    place = stored.path(str(out), measure.STAGE, "made/part-00000.parquet")
    table, note = stored.read(place), stored.note(place)
    marked = table.set_column(
        table.column_names.index("characters"), "characters", [[-1] * table.num_rows]
    )
    stored.write(place, marked.replace_schema_metadata(), note)
    benchmark(tmp_path, {"question": told(1)})
    run(out, rules(path))
    assert fates(out) == {"a": None, "b": "contaminated"}
    assert pq.read_table(place).column("characters").to_pylist() == [-1, -1]
    # Nothing changed: nothing is written.
    index = Path(contamination_index.place(str(out)))
    before = index.stat().st_mtime_ns
    run(out, rules(path))
    assert index.stat().st_mtime_ns == before


def test_a_field_within_another_a_name_and_a_packed_file(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "packed.jsonl.gz"
    record = {"doc": {"stem": told(0)}, "choices": {"text": [told(1), "no"]}, "uid": "u1"}
    path.write_bytes(gzip.compress(json.dumps(record).encode()))
    said = {"path": str(tmp_path), "name": "mine", "text": ["doc.stem", "choices"]}
    out = write(tmp_path / "out", made_0=[sample("a", told(0)), sample("b", told(1))])
    run(out, {"contamination": {"benchmarks": [said], "action": "drop"}})
    assert set(fates(out).values()) == {"contaminated"}
    assert [each["item"] for each in report(out)["items"]] == ["mine/packed:u1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", None),
        ('[\n{"question": "x"}\n]\n', r"exam.jsonl:1: not JSON|a record must be a JSON object"),
        ('{"question": "x"}\n{"quest\n', r"exam.jsonl:2: not JSON"),
        ('"text"\n', r"exam.jsonl:1: a record must be a JSON object, not str"),
        ('{"Frage": "was?", "n": 1}\n', r"its fields are Frage, n: say which"),
        ("[" * 100_000 + "\n", r"exam.jsonl:1: not JSON"),
    ],
)
def test_a_benchmark_that_cannot_be_read_is_named(
    tmp_path: Path, content: str, message: str | None
) -> None:
    (tmp_path / "exam.jsonl").write_text(content)
    out = write(tmp_path / "out", made_0=[sample("a")])
    asked = Curation.model_validate(rules(tmp_path / "exam.jsonl"))
    if message is None:
        assert curate(str(out), asked, executor="local")["made"].outcomes["kept"] == 1
        return
    with pytest.raises(UserError, match=message):
        curate(str(out), asked, executor="local")


def test_a_benchmark_that_is_not_there_is_named(tmp_path: Path) -> None:
    out = write(tmp_path / "out", made_0=[sample("a")])
    asked = Curation.model_validate(rules(tmp_path / "none.jsonl"))
    with pytest.raises(UserError, match=r"no benchmark at .*none.jsonl"):
        curate(str(out), asked, executor="local")


def test_a_category_may_be_spared(tmp_path: Path) -> None:
    path = benchmark(tmp_path, {"question": told(0)})
    out = write(
        tmp_path / "out",
        made_0=[sample("text", told(0)), sample("caption", told(0), category="caption")],
    )
    said = {**rules(path), "by_category": {"caption": {"contamination": {"action": "report"}}}}
    run(out, said)
    assert fates(out) == {"text": "contaminated", "caption": None}
    said["by_category"] = {"caption": {"contamination": {"words": 9}}}
    with pytest.raises(UserError, match="all categories look for the same"):
        run(out, said)


@pytest.mark.usefixtures("ray_session")
def test_workers_share_one_index(tmp_path: Path) -> None:
    path = benchmark(
        tmp_path, {"question": told(0), "image": base64.b64encode(drawing(1)).decode()}
    )
    parts = {
        f"made_{n}": [sample(f"leak{n}", told(0)), sample(f"fine{n}", told(9 + n))]
        for n in range(3)
    }
    out = write(tmp_path / "out", **parts)
    run(out, rules(path), executor="ray")
    assert fates(out) == {
        f"{name}{n}": reason
        for n in range(3)
        for name, reason in (("leak", "contaminated"), ("fine", None))
    }
