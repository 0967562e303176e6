"""The charts pipeline from files to samples: pictures beside data, code and questions."""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import html
from PIL import Image as Pillow
from pydantic import ValidationError

from dsvl_data.outcome import DocumentError, Reason, UserError
from dsvl_data.pipeline import Document, Dropped, InputSpec
from dsvl_data.sample import Image, Sample, Text
from pipelines.charts import PIPELINE, ChartConverter, ChartOptions


@pytest.fixture(scope="module")
def convert() -> Iterator[object]:
    converters: dict[str, ChartConverter] = {}  # a browser takes a second to start

    def run(path: Path, **changes: object) -> tuple[list[Sample], list[Dropped]]:
        options = ChartOptions(**changes)
        converter = converters.setdefault(options.model_dump_json(), ChartConverter(options))
        samples: list[Sample] = []
        dropped: list[Dropped] = []
        for ref in PIPELINE.source([InputSpec(path=str(path), dataset="d")], options):
            document = Document(ref, lambda ref=ref: PIPELINE.reader(ref), "charts", "1")
            for made in converter([document]):
                (samples if isinstance(made, Sample) else dropped).append(made)
        return samples, dropped

    yield run
    for converter in converters.values():
        converter.close()


def fruit(folder: Path, name: str = "fruit.csv") -> Path:
    rows = [f"{n},{w},{c}" for n, w, c in zip("abcdef", (5, 9, 2, 7, 11, 4), "xyxyxy", strict=True)]
    (folder / name).write_text("fruit,weight_kg,kind\n" + "\n".join(rows) + "\n")
    return folder


def only(variant: str) -> dict[str, float]:
    return {name: float(name == variant) for name in ("data", "code", "questions")}


def texts(sample: Sample) -> str:
    image, text = sample.segments
    assert isinstance(image, Image)
    assert isinstance(text, Text)
    picture = Pillow.open(io.BytesIO(image.data))
    assert picture.size == (image.width, image.height)
    return text.text


def test_data_as_markdown_is_what_the_file_says(convert, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    options = {"charts": 4, "sheets": 0, "variants": only("data"), "csv": 0}
    samples, _ = convert(fruit(tmp_path), kinds=("bar", "horizontal_bar"), **options)
    assert samples
    for sample in samples:
        assert sample.category == "table_chart"
        assert sample.provenance.details["variant"] == "data"
        rows = re.findall(r"^\| ([a-f]) \| (\d+) \|$", texts(sample), re.MULTILINE)
        weights = dict(zip("abcdef", ["5", "9", "2", "7", "11", "4"], strict=True))
        assert all(weights[name] == number for name, number in rows)


def test_code_is_python_or_vega_lite_with_the_data_in_it(convert, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    samples, _ = convert(fruit(tmp_path), charts=6, sheets=0, variants=only("code"))
    languages = set()
    for sample in samples:
        fence, code = texts(sample).removesuffix("\n```").split("\n", 1)
        languages.add(fence)
        if fence == "```python":
            assert "savefig" in ast.unparse(ast.parse(code))
            assert "matplotlib" in sample.provenance.details
        else:
            assert json.loads(code)["data"]["values"]
            assert "vl-convert-python" in sample.provenance.details
        assert sample.extras["data"]
    assert languages == {"```python", "```json"}


def test_questions_come_with_answers_and_their_language(convert, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    options = {"charts": 5, "sheets": 0, "variants": only("questions")}
    for share, language in ((0.0, "en"), (1.0, "zh")):
        samples, _ = convert(fruit(tmp_path), other_language=share, **options)
        asked = [s for s in samples if s.provenance.details["variant"] == "questions"]
        assert asked
        for sample in asked:
            pairs = [pair.split("\n") for pair in texts(sample).split("\n\n")]
            assert len(pairs) >= 2
            assert all(len(pair) == 2 for pair in pairs)
            assert sample.language == language


def test_printed_tables_and_their_text(convert, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    samples, dropped = convert(fruit(tmp_path), charts=0, sheets=4)
    assert not dropped
    assert {s.provenance.details["variant"] for s in samples} == {"html", "markdown"}
    for sample in samples:
        text = texts(sample)
        if sample.provenance.details["variant"] == "html":
            assert html.fromstring(text).tag == "table"
            assert "span=" in text
        else:
            assert "| --- |" in text
        image = sample.images[0]
        assert image.height < 900  # trimmed: a page is higher
        assert sample.scores["proof"] == 1.0


def test_the_same_seed_gives_the_same_samples_and_another_one_others(
    convert, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    folder = fruit(tmp_path)
    first, _ = convert(folder, charts=2, sheets=1, seed=1)
    again = []
    converter = ChartConverter(ChartOptions(charts=2, sheets=1, seed=1))
    for ref in PIPELINE.source([InputSpec(path=str(folder), dataset="d")], ChartOptions()):
        again += converter([Document(ref, lambda ref=ref: PIPELINE.reader(ref), "charts", "1")])
    converter.close()
    assert again == first
    assert convert(folder, charts=2, sheets=1, seed=2)[0] != first


def test_what_cannot_be_charted_or_read_has_its_reason(convert, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "words.csv").write_text("a\nx\n")
    samples, dropped = convert(tmp_path)
    assert not samples
    assert [d.reason for d in dropped] == [Reason.NO_CHART]
    (tmp_path / "words.csv").write_text("a,b\n1,2,3\n")
    with pytest.raises(DocumentError) as error:
        convert(tmp_path)
    assert error.value.reason is Reason.BAD_TABLE


def test_letters_that_no_font_has_are_a_failed_proof(convert, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rows = "\n".join(f"\U000f0000{n},{n * n + 3}" for n in range(5))
    (tmp_path / "private.csv").write_text(f"name,amount\n{rows}\n", encoding="utf-8")
    samples, dropped = convert(tmp_path, charts=1, sheets=0, kinds=("bar",))
    assert not samples
    assert [d.reason for d in dropped] == [Reason.PROOF_FAILED]
    assert "glyph" in dropped[0].detail


def test_options_name_what_is_near() -> None:
    with pytest.raises(ValidationError, match="did you mean 'donut'"):
        ChartOptions(kinds=("dount",))
    with pytest.raises(ValidationError, match="did you mean 'ggplot'"):
        ChartOptions(designs=("gplot",))
    with pytest.raises(ValidationError, match="weight above 0"):
        ChartOptions(variants={"data": 0, "code": 0, "questions": 0})


def test_an_input_without_tables_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no table")
    with pytest.raises(UserError, match="no table in"):
        list(PIPELINE.source([InputSpec(path=str(tmp_path), dataset="d")], ChartOptions()))


def test_tables_in_tars_and_gzip_are_listed(tmp_path: Path) -> None:
    import gzip

    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,b\nx,1\ny,2\nz,4\n"))
    refs = list(PIPELINE.source([InputSpec(path=str(tmp_path), dataset="d")], ChartOptions()))
    assert [ref.uri for ref in refs] == ["t.csv.gz"]
    assert PIPELINE.reader(refs[0]).startswith(b"a,b")


def test_every_real_table_gives_a_chart(convert, real_data: Path) -> None:  # type: ignore[no-untyped-def]
    samples, dropped = convert(real_data / "tables_charts", charts=1, sheets=0)
    files = {ref.document for ref in samples} | {d.document for d in dropped}
    assert len(files) >= 20
    assert len(samples) >= 20
    assert {d.reason for d in dropped} <= {Reason.CROWDED}
