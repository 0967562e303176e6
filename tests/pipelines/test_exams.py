"""The exams pipeline from files to pages: what is kept, what is dropped, what a page says."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image as Pillow
from PIL import ImageDraw
from pydantic import ValidationError

from dsvl_data.outcome import DocumentError, Reason, UserError
from dsvl_data.pipeline import Document, Dropped, InputSpec
from dsvl_data.read.questions import Passage, Question
from dsvl_data.render.template import load_templates
from dsvl_data.sample import Image, Sample, Text
from pipelines.exam_layouts import LAYOUTS
from pipelines.exam_options import ExamOptions
from pipelines.exam_paper import make_paper
from pipelines.exam_text import show
from pipelines.exams import PIPELINE, ExamConverter, picture_path

SIZE = 512


@pytest.fixture(scope="module")
def convert() -> Iterator[object]:
    converters: dict[str, ExamConverter] = {}  # a browser takes a second to start

    def run(path: Path, **changes: object) -> tuple[list[Sample], list[Dropped]]:
        options = ExamOptions(**({"longest_side": SIZE} | changes))
        form = options.model_dump_json()
        converter = converters.setdefault(form, converters.get(form) or ExamConverter(options))
        samples: list[Sample] = []
        dropped: list[Dropped] = []
        for ref in PIPELINE.source([InputSpec(path=str(path), dataset="d")], options):
            document = Document(ref, lambda ref=ref: PIPELINE.reader(ref), "exams", "1")
            for made in converter([document]):
                (samples if isinstance(made, Sample) else dropped).append(made)
        return samples, dropped

    yield run
    for converter in converters.values():
        converter.close()


def question(number: int, **changes: object) -> dict[str, object]:
    return {
        "id": f"q{number}",
        "subject": "mathematics",
        "language": "en",
        "stem": f"A basket holds {number + 3} apples and {number + 5} pears. How many is that?",
        "options": [str(2 * number + 7), str(2 * number + 8), "none of these at all"],
        "answer": "B",
        "solution": f"Add them up: {2 * number + 8}.",
    } | changes


def write(path: Path, *records: object) -> Path:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def picture() -> bytes:
    made = Pillow.new("RGB", (200, 120), "white")
    ImageDraw.Draw(made).ellipse((20, 20, 180, 100), outline="black", width=3)
    buffer = io.BytesIO()
    made.save(buffer, "PNG")
    return buffer.getvalue()


def giant_png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def text_of(samples: list[Sample]) -> str:
    return "\n".join(sample.text for sample in samples)


def test_every_hostile_question_is_dropped_alone(convert, tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(picture())
    (folder / "good.png").write_bytes(picture())
    (folder / "fake.png").write_bytes(b"GIF89a is what I am not")
    (folder / "giant.png").write_bytes(giant_png())
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    hostile = {
        "missing": ({"images": ["nowhere.png"]}, Reason.MISSING_IMAGE),
        "fake": ({"images": ["fake.png"]}, Reason.BAD_IMAGE),
        "giant": ({"images": ["giant.png"]}, Reason.IMAGE_BOMB),
        "passwd": ({"images": ["../../../../etc/passwd"]}, Reason.UNSAFE_PATH),
        "absolute": ({"images": ["/etc/passwd"]}, Reason.UNSAFE_PATH),
        "file": ({"images": ["file:///etc/passwd"]}, Reason.UNSAFE_PATH),
        "sibling": ({"images": ["../secret.png"]}, Reason.UNSAFE_PATH),
        "link": ({"images": ["link.png"]}, Reason.UNSAFE_PATH),
        "network": ({"images": ["https://example.org/a.png"]}, Reason.MISSING_IMAGE),
        "formula": ({"stem": r"What is $\frac{1}{2$ of it?"}, Reason.BAD_FORMULA),
        "command": ({"stem": r"What is $\nosuchcommand{1}$ of it?"}, Reason.BAD_FORMULA),
        "huge": ({"stem": "x" * 5_000_000}, Reason.TOO_LARGE),
        "no stem": ({"stem": None}, Reason.BAD_QUESTION),
        "wrong type": ({"options": {"A": 1}}, Reason.BAD_QUESTION),
    }
    records: list[object] = [question(1, images=["good.png"])]
    for name, (changes, _) in hostile.items():
        records += [question(0, id=name, **changes), question(len(records) + 1)]
    records += ["{invalid", '["a", "list"]', question(99)]
    samples, dropped = convert(write(folder / "q.jsonl", *records).parent, layouts=("one_column",))
    reasons = {drop.item: drop.reason for drop in dropped}
    count = len(records)
    expected = {name: reason for name, (_, reason) in hostile.items()}
    # A line of five megabytes is not even parsed: it is known by its row.
    expected[str(1 + 2 * list(hostile).index("huge"))] = expected.pop("huge")
    assert reasons == expected | {
        str(count - 3): Reason.BAD_JSON,
        str(count - 2): Reason.BAD_QUESTION,
    }
    said = text_of(samples)
    good = [
        record for record in records if isinstance(record, dict) and record["id"] not in hostile
    ]
    assert len(good) == len(hostile) + 2
    for record in good:
        assert said.count(str(record["stem"])) == 1


def test_every_layout_shows_what_it_promises(convert, tmp_path: Path):
    english = [question(n, solution=f"Because {n} is so.") for n in range(1, 4)]
    chinese = [
        question(
            n,
            stem=f"甲有 ${n}$ 个苹果，乙有 {n + 2} 个梨，两个人一共有多少个水果？",
            solution=f"因为一共有 {2 * n + 2} 个。",
        )
        for n in range(1, 4)
    ]
    assert {template.name for template in load_templates("papers")} == set(LAYOUTS)
    for name, layout in LAYOUTS.items():
        path = write(tmp_path / f"{name}.jsonl", *(chinese if layout.languages else english))
        # An own layout for a language needs one beside it that is for every language.
        names = (name,) if not layout.languages else (name, "workbook")
        samples: list[Sample] = []
        for seed in range(20):
            samples, dropped = convert(path, layouts=names, seed=seed)
            assert not dropped
            if samples[0].provenance.details["template"] == name:
                break
        said = text_of(samples)
        assert samples[0].provenance.details["template"] == name
        assert all(sample.scores["proof"] == 1.0 for sample in samples)
        assert ("一共有多少个水果" in said or "How many" in said) == (layout.answers != "only")
        solved = layout.solutions and layout.answers != "none"
        assert ("Because 2 is so" in said or "因为一共有 6 个" in said) == solved
        assert ("一、选择题" in said) == layout.sections
        assert ("注意事项" in said) == layout.notice


def test_a_page_says_its_formulas_as_latex(convert, tmp_path: Path):
    record = question(
        1,
        stem=r"Solve $x^2 = \frac{9}{4}$ and balance $\ce{2H2 + O2 -> 2H2O}$ and $\ce{SO4^2-}$.",
        options=[r"$\frac{3}{2}$", r"-\frac{3}{2}", "$25 \\%$"],
    )
    samples, dropped = convert(write(tmp_path / "p.jsonl", record), layouts=("one_column",))
    assert not dropped
    assert r"$x^2 = \frac{9}{4}$ and balance $\ce{2H2 + O2 -> 2H2O}$ and" in text_of(samples)
    assert r"A. $\frac{3}{2}$ B. $-\frac{3}{2}$ C. $25 \%$" in text_of(samples)


def test_a_solution_that_cannot_be_shown_costs_the_solution_only(convert, tmp_path: Path):
    path = write(tmp_path / "q.jsonl", question(1, solution="It is $x^2 of the whole"), question(2))
    samples, dropped = convert(path, layouts=("worked_examples",))
    assert [(drop.item, drop.reason) for drop in dropped] == [("q1/solution", Reason.BAD_FORMULA)]
    assert "A basket holds 4 apples" in text_of(samples)


def test_moodle_pictures_formulas_and_scripts(convert, tmp_path: Path):
    encoded = base64.b64encode(picture()).decode()
    stem = (
        '<p onclick="x()">Look at the ellipse <img src="@@PLUGINFILE@@/e.png" alt="secret"> and '
        "find \\(x^2\\) from $5.<script>alert(1)</script></p>"
    )
    gone = '<p>Look here <img src="@@PLUGINFILE@@/other.png"> please.</p>'
    (tmp_path / "quiz.xml").write_text(
        f"""<quiz><question type="shortanswer"><questiontext format="html">
        <text><![CDATA[{stem}]]></text><file name="e.png" encoding="base64">{encoded}</file>
        </questiontext><answer fraction="100"><text>four</text></answer></question>
        <question type="essay"><questiontext format="html"><text><![CDATA[{gone}]]></text>
        </questiontext></question>
        <question type="essay"><questiontext format="html"><text>Write a story of the sea.</text>
        </questiontext></question></quiz>"""
    )
    samples, dropped = convert(tmp_path, layouts=("workbook",))
    assert [(drop.item, drop.reason) for drop in dropped] == [("1", Reason.MISSING_IMAGE)]
    said = text_of(samples)
    assert "$x^2$ from \\$5." in said
    assert "Write a story" in said
    assert "alert" not in said
    assert "secret" not in said


def test_gift_and_a_json_file_that_nothing_fits(convert, tmp_path: Path):
    (tmp_path / "a.gift").write_text("What gives us the tides of the sea? {=the moon ~the wind}\n")
    samples, _ = convert(tmp_path, layouts=("one_column",))
    assert "A. the moon B. the wind" in text_of(samples)
    (tmp_path / "b.json").write_text('{"colour": "red"}')
    with pytest.raises(DocumentError, match="no mapping fits") as error:
        convert(tmp_path / "b.json")
    assert error.value.reason is Reason.BAD_JSON


def test_languages_do_not_share_a_paper_and_samples_repeat(convert, tmp_path: Path):
    path = write(
        tmp_path / "q.jsonl",
        question(1),
        question(2, stem="下列关于植物生长的叙述，正确的是哪一项？", options=["根", "茎", "叶"]),
        question(3),
    )
    samples, _ = convert(path, layouts=("two_columns",))
    assert [sample.language for sample in samples] == ["en", "zh", "en"]
    again, _ = convert(path, layouts=("two_columns",))
    assert again == samples
    first = samples[0]
    assert isinstance(first.segments[0], Image)
    assert isinstance(first.segments[1], Text)
    assert first.segments[0].height == SIZE
    details = first.provenance.details
    assert (details["questions"], details["subject"], details["page"]) == ("q1", "mathematics", "1")


def test_the_answer_table_has_the_right_letters():
    questions = [
        Question(str(n), "choice", Passage("Which?"), tuple(map(Passage, "wxyz")), correct=(n % 4,))
        for n in range(12)
    ]
    shown = [show(q, lambda picture: b"") for q in questions]
    chapter = make_paper(shown, LAYOUTS["answer_key"], "en", "seed")
    cells = ["".join(cell.itertext()) for cell in chapter.body.iter("td")]
    assert cells == [*map(str, range(1, 11)), *"ABCDABCDAB", "11", "12", "C", "D"]


def test_paths_of_pictures_in_a_store():
    found = picture_path("s3://bucket/exams/a/q.json", "s3://bucket/exams", "../img/x.png")
    assert found == "s3://bucket/exams/img/x.png"
    with pytest.raises(DocumentError) as error:
        picture_path("s3://bucket/exams/a/q.json", "s3://bucket/exams", "../../other/x.png")
    assert error.value.reason is Reason.UNSAFE_PATH


def test_a_recipe_is_told_what_is_wrong_with_it(tmp_path: Path):
    with pytest.raises(ValidationError, match="did you mean 'workbook'"):
        ExamOptions(layouts=("wrokbook",))
    with pytest.raises(ValidationError, match="gaokao_mm"):
        ExamOptions(mapping="gaokao")
    (tmp_path / "m.yaml").write_text("stem: text\nanser: {path: a}\n")
    with pytest.raises(ValidationError, match=r"anser.*did you mean 'answer'"):
        ExamOptions(mapping=str(tmp_path / "m.yaml"))
    with pytest.raises(UserError, match="no file of questions"):
        list(PIPELINE.source([InputSpec(path=str(tmp_path), dataset="d")], ExamOptions()))


def test_real_questions(convert, real_data: Path):
    samples, dropped = convert(real_data / "exams" / "gaokao_mm_zh")
    assert not [drop for drop in dropped if drop.reason is not Reason.NO_TEXT]
    assert {sample.language for sample in samples} == {"zh"}
    assert r"$\mathrm{NiCl}_2+2 \mathrm{e}^{-}=\mathrm{Ni}+2 \mathrm{Cl}^{-}$" in text_of(samples)
