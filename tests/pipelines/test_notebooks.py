"""The notebooks pipeline: figures with their code, and every reason for leaving one out."""

from __future__ import annotations

import base64
import io
import json
import struct
import tarfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw
from pydantic import ValidationError

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import Document, DocumentRef, Dropped, InputSpec
from dsvl_data.sample import Sample, Text, from_batch, to_batch
from pipelines.notebooks import PIPELINE, NotebookConverter, Options, resolve

CODE = "import plots\na = 1\nb = 2\nc = 3\nplots.plot(a, b, c)"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="200" height="99"><circle r="80"/></svg>'
TABLE = "<table><tr><td>1</td></tr></table>"
NEEDS_NETWORK = '<div id="p"></div><script src="https://cdn.example/lib.js"></script>'


def chart(kind: str = "PNG", size: tuple[int, int] = (200, 100), colour: str = "blue") -> bytes:
    picture = Image.new("RGB", size, "white")
    ImageDraw.Draw(picture).line((0, size[1], size[0], 0), colour, 3)
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def display(**data: Any) -> dict[str, Any]:
    names = {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "html": "text/html"}
    names |= {"svg": "image/svg+xml", "javascript": "application/javascript", "text": "text/plain"}
    bundle = {names.get(name, name): value for name, value in data.items()}
    return {"output_type": "display_data", "data": bundle, "metadata": {}}


def code(source: str, *outputs: dict[str, Any]) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "outputs": list(outputs)}


def markdown(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": source}


def notebook(*cells: dict[str, Any], language: str = "python") -> bytes:
    metadata = {"language_info": {"name": language}}
    return json.dumps({"nbformat": 4, "metadata": metadata, "cells": list(cells)}).encode()


def document(data: bytes, **meta: Any) -> Document:
    ref = DocumentRef("set", "a.ipynb", "MIT", "a.ipynb", len(data), meta=meta)
    return Document(ref, lambda: data, PIPELINE.name, PIPELINE.version)


def convert(*cells: dict[str, Any], language: str = "python", **options: Any) -> list[Any]:
    """Convert one notebook of the given cells; options by name."""
    converter = NotebookConverter(Options(settle_seconds=1, **options))
    try:
        return list(converter([document(notebook(*cells, language=language))]))
    finally:
        converter.close()


def reasons(items: list[Sample | Dropped]) -> list[tuple[str, Reason]]:
    return [(item.item, item.reason) for item in items if isinstance(item, Dropped)]


def test_a_figure_is_its_bytes_and_then_its_code() -> None:
    data = chart()
    (sample,) = convert(
        markdown("# The measurements of the whole year\nWe look at what they say."),
        code("import unused"),
        code(CODE + "\n", {"output_type": "stream", "text": "x"}, display(png=b64(data), text="F")),
    )
    image, text = sample.segments
    assert image.data == data
    assert (image.format, image.width, image.height) == ("png", 200, 100)
    assert text == Text(CODE)
    assert sample.category == "web_code"
    assert sample.language == "en"
    assert sample.source.licence == "MIT"
    assert sample.key.endswith("-00001")
    assert sample.scores["code_lines"] == 5
    assert sample.provenance.details["code_language"] == "python"
    assert sample.provenance.details["cell"] == "2"
    assert sample.extras["standalone"] == CODE
    assert next(from_batch(to_batch([sample]))) == sample


@pytest.mark.parametrize(("kind", "stored"), [("PNG", "png"), ("JPEG", "jpg"), ("GIF", "gif")])
def test_raster_formats_are_stored_as_they_are_whatever_they_are_called(
    kind: str, stored: str
) -> None:
    data = chart(kind)
    (sample,) = convert(code(CODE, display(png=b64(data))))
    assert (sample.images[0].data, sample.images[0].format) == (data, stored)


def test_the_recipe_chooses_which_code_is_the_text() -> None:
    cells = [
        code("x = 1\nother = 2"),
        code(f"%matplotlib inline\n{CODE}\nplots.plot(x)", display(png=b64(chart()))),
    ]
    whole = f"x = 1\n\n{CODE}\nplots.plot(x)"
    (cell,) = convert(*cells)
    (standalone,) = convert(*cells, code="standalone")
    assert cell.text == standalone.extras["cell"] == f"%matplotlib inline\n{CODE}\nplots.plot(x)"
    assert standalone.text == cell.extras["standalone"] == whole
    assert cell.key == standalone.key
    assert cell.provenance.details["standalone"] == "slice"


def test_other_languages_keep_their_whole_code() -> None:
    body = "\n".join(f"lines(x, {i})" for i in range(5))
    (sample,) = convert(code("x <- 1"), code(body, display(png=b64(chart()))), language="R")
    assert sample.provenance.details["code_language"] == "r"
    assert sample.extras["standalone"] == f"x <- 1\n\n{body}"
    (magic,) = convert(code("y = 1"), code(f"%%R\n{body}", display(png=b64(chart()))))
    assert magic.provenance.details["code_language"] == "r"
    assert magic.extras["standalone"] == body


def test_each_filter_has_its_reason() -> None:
    picture = b64(chart())
    blank = io.BytesIO()
    Image.new("RGB", (200, 200), "white").save(blank, "PNG")
    sides = struct.pack(">4sII", b"IHDR", 50_000, 50_000)
    header = sides + chart()[24:29]
    bomb = chart()[:12] + header + struct.pack(">I", zlib.crc32(header)) + chart()[33:]
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no"}
    items = convert(
        code("# c\n\nx = 1\n%matplotlib inline", display(png=picture)),
        code(CODE, display(png=picture), display(png=b64(chart(colour="red")))),
        code(CODE, display(png=b64(blank.getvalue()))),
        code(CODE, display(png=b64(chart(size=(300, 63))))),
        code(CODE, display(html=TABLE)),
        code(CODE, display(png=picture), error),
        code(CODE, error),
        code(CODE, display(png=b64(b"no image at all"))),
        code(CODE, display(png=b64(chart()[:-40]))),
        code(CODE, display(png="!")),
        code(CODE, display(png=b64(bomb))),
        code(CODE, display(png="A" * 3_000_000)),
        code(CODE, display(png=b64(chart("BMP")))),
        code(CODE, display(text="[1, 2]"), display(html="<b>1</b>")),
        max_output_mb=2,
    )
    assert reasons(items) == [
        ("cell 0 output 0", Reason.TOO_FEW_LINES),
        ("cell 1 output 0", Reason.SEVERAL_IMAGES),
        ("cell 1 output 1", Reason.SEVERAL_IMAGES),
        ("cell 2 output 0", Reason.BLANK_IMAGE),
        ("cell 3 output 0", Reason.IMAGE_TOO_SMALL),
        ("cell 4 output 0", Reason.HTML_TABLE),
        ("cell 5 output 0", Reason.ERROR_OUTPUT),
        ("cell 7 output 0", Reason.BAD_IMAGE),
        ("cell 8 output 0", Reason.BAD_IMAGE),
        ("cell 9 output 0", Reason.BAD_IMAGE),
        ("cell 10 output 0", Reason.IMAGE_BOMB),
        ("cell 11 output 0", Reason.TOO_LARGE),
        ("cell 12 output 0", Reason.BAD_IMAGE),
        ("cell 6 output 0", Reason.ERROR_OUTPUT),
    ]
    assert len(items) == 14
    assert all(item.detail for item in items if isinstance(item, Dropped))


def test_each_filter_can_be_set() -> None:
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no"}
    two = [display(png=b64(chart(colour=colour))) for colour in ("red", "blue")]
    items = convert(
        code("plot()", *two, error), min_lines=1, max_images=2, error_cells=True, min_side=100
    )
    assert [type(item) for item in items] == [Sample, Sample]


def test_the_same_picture_twice_in_a_cell_is_one_figure() -> None:
    (sample,) = convert(code(CODE, display(png=b64(chart())), display(png=b64(chart()))))
    assert sample.provenance.details["output"] == "0"


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([], Reason.NO_CODE_CELLS),
        ([markdown("# only words"), code("  \n")], Reason.NO_CODE_CELLS),
        ([code(CODE)], Reason.NO_FIGURE),
        ([code(CODE, display(text="1"), display(html="<b>1</b>"))], Reason.NO_FIGURE),
        ([code(CODE, display(html="<script>window.library = 1</script>"))], Reason.NO_FIGURE),
        (
            [code(CODE, display(**{"application/vnd.jupyter.widget-view+json": {}}))],
            Reason.NO_FIGURE,
        ),
    ],
)
def test_a_notebook_without_figures_says_so(cells: list[dict[str, Any]], reason: Reason) -> None:
    with pytest.raises(DocumentError) as caught:
        convert(*cells)
    assert caught.value.reason is reason


def test_what_needs_a_page_is_shot_there() -> None:
    draw = (
        "const c = document.createElement('canvas'); c.width = 200; c.height = 100;"
        "c.getContext('2d').fillRect(50, 20, 100, 70); element.append(c);"
    )
    items = convert(
        code(CODE, display(svg=SVG)),
        code(CODE, display(javascript=draw)),
        code(CODE, display(html=f"{SVG}<br>{SVG}")),
        code(CODE, display(html=NEEDS_NETWORK)),
        code(CODE, display(html="<b>text</b><script>1</script>")),
        code(CODE, display(svg=SVG), display(javascript=draw)),
    )
    samples = [item for item in items if isinstance(item, Sample)]
    media_types = [sample.provenance.details["media_type"] for sample in samples]
    assert media_types == ["image/svg+xml", "application/javascript", "text/html"]
    assert all(s.provenance.details["shown_by"].startswith("nbconvert") for s in samples)
    assert reasons(items) == [
        ("cell 3 output 0", Reason.NEEDS_NETWORK),
        ("cell 5 output 0", Reason.SEVERAL_IMAGES),
        ("cell 5 output 1", Reason.SEVERAL_IMAGES),
    ]


def test_the_form_of_an_output_is_the_richest_that_shows_something() -> None:
    picture = b64(chart())
    (rich,) = convert(code(CODE, display(png=picture, svg=SVG)))
    (raster,) = convert(code(CODE, display(png=picture, svg=SVG)), prefer="raster")
    (fallback,) = convert(code(CODE, display(png=picture, html=NEEDS_NETWORK)))
    assert rich.provenance.details["media_type"] == "image/svg+xml"
    assert raster.provenance.details["media_type"] == "image/png"
    assert fallback.images[0].data == chart()
    assert fallback.provenance.details["fallback"] == "needs_network"


def test_tables_and_rasters_are_rendered_when_asked_for() -> None:
    row = "<tr>" + "<td>A thousand words</td>" * 4 + "</tr>"
    (table,) = convert(code(CODE, display(html=f"<table>{row * 6}</table>")), html_tables=True)
    assert table.images[0].width > 200
    (raster,) = convert(code(CODE, display(png=b64(chart()))), render_rasters=True)
    assert raster.images[0].data != chart()
    assert abs(raster.images[0].width - 200) <= 16


def test_keys_do_not_depend_on_what_else_is_kept() -> None:
    cells = [code("x = 1", display(png=b64(chart()))), code(CODE, display(png=b64(chart())))]
    (strict,) = [item for item in convert(*cells) if isinstance(item, Sample)]
    assert strict.key in {item.key for item in convert(*cells, min_lines=0)}


def test_folders_tars_and_columns_are_listed(tmp_path: Path) -> None:
    data = notebook(code(CODE, display(png=b64(chart()))))
    (tmp_path / "b").mkdir()
    (tmp_path / "b/x.ipynb").write_bytes(data)
    with tarfile.open(tmp_path / "c.tar", "w") as tar:
        member = tarfile.TarInfo("in/y.ipynb")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    rows = [
        {"content": data.decode(), "max_stars_repo_path": "r/1.ipynb",
         "max_stars_repo_licenses": ["MIT", "Apache-2.0"]},
        {"content": data.decode(), "max_stars_repo_path": "r/2.ipynb",
         "max_stars_repo_licenses": []},
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet", row_group_size=1)
    (tmp_path / "e.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "broken\n")
    options = Options()
    spec = InputSpec(path=str(tmp_path), dataset="set", licence="CC0-1.0")
    refs = [resolve(ref, options) for ref in PIPELINE.source([spec], options)]
    assert [(ref.uri, ref.licence, ref.meta.get("path")) for ref in refs] == [
        ("b/x.ipynb", "CC0-1.0", None),
        ("c.tar!in/y.ipynb", "CC0-1.0", None),
        ("d.parquet#0", "Apache-2.0 AND MIT", "r/1.ipynb"),
        ("d.parquet#1", "unknown", "r/2.ipynb"),
        ("e.jsonl#0", "Apache-2.0 AND MIT", "r/1.ipynb"),
        ("e.jsonl#1", "unknown", "r/2.ipynb"),
        ("e.jsonl#2", "CC0-1.0", None),
    ]
    assert {bytes(PIPELINE.reader(ref)) for ref in refs[:6]} == {data}
    row = Document(refs[4], lambda: data, "notebooks", "1")
    (sample,) = NotebookConverter(options)([row])
    assert isinstance(sample, Sample)
    assert sample.source.licence == "Apache-2.0 AND MIT"
    assert sample.provenance.details["path"] == "r/1.ipynb"


def test_columns_may_have_other_names_or_be_absent(tmp_path: Path) -> None:
    pq.write_table(pa.table({"nb": [b"{}"], "spdx": ["MIT"]}), tmp_path / "a.parquet")
    options = Options(column="nb", licence_column="spdx")
    (ref,) = PIPELINE.source([InputSpec(path=str(tmp_path), dataset="s")], options)
    assert ref.licence == "unknown"  # listing looks at no row
    ref = resolve(ref, options)
    assert (ref.licence, ref.meta.get("path")) == ("MIT", None)
    (plain,) = PIPELINE.source([InputSpec(path=str(tmp_path), dataset="s")], Options(column="nb"))
    plain = resolve(plain, Options(column="nb"))
    assert plain.licence == "unknown"


def test_a_folder_of_assets_must_be_there() -> None:
    with pytest.raises(ValidationError, match="there is no folder"):
        Options(assets="/nowhere/at/all")


def test_real_notebooks(real_data: Path) -> None:
    converter = NotebookConverter(Options())
    counts: Counter[str] = Counter()
    spec = InputSpec(path=str(real_data / "notebooks"), dataset="real")
    for ref in PIPELINE.source([spec], converter.options):
        data = PIPELINE.reader(ref)
        try:
            items = list(converter([Document(ref, lambda data=data: data, "notebooks", "1")]))
        except DocumentError as error:
            counts[f"document {error.reason}"] += 1
            continue
        for item in items:
            counts["kept" if isinstance(item, Sample) else str(item.reason)] += 1
    assert counts == {
        "kept": 18,
        "too_few_lines": 3,
        "html_table": 1,
        "document no_figure": 2,
    }
