"""Charts and tables drawn from data, each with the data, the code or questions and answers.

In: tables as CSV, TSV, JSON, JSON lines or Parquet, a file a document. Out: `table_chart`
samples. A chart is a picture by matplotlib or Vega-Lite beside one of three texts, weighed by
the recipe: its data as Markdown or CSV, the code that draws it, or questions with computed
answers. A sheet is a part of the table laid out in HTML and printed, beside Markdown, or HTML
where cells are merged. A picture that cannot be read is drawn anew with other looks, and left
out with its reason when that does not help.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Annotated

import numpy as np
from PIL import Image as Pillow
from pydantic import Field, field_validator

from dsvl_data.outcome import DocumentError, Reason, UserError
from dsvl_data.pipeline import (
    Document,
    DocumentRef,
    Dropped,
    InputSpec,
    Limits,
    Pipeline,
    Settings,
)
from dsvl_data.plots.answers import ask
from dsvl_data.plots.chart import Chart, Words, escaped, write_csv, write_markdown_table
from dsvl_data.plots.choose import KINDS, choose_charts
from dsvl_data.plots.fonts import unwritable
from dsvl_data.plots.look import Drawing, find_faults
from dsvl_data.plots.matplotlib_code import draw_matplotlib
from dsvl_data.plots.sheets import Sheet, make_sheets
from dsvl_data.plots.style import DESIGNS, Style, choose_style
from dsvl_data.plots.table import SUFFIXES, Table, format_of, read_table
from dsvl_data.plots.vega_code import draw_vega
from dsvl_data.read.archives import list_documents, read_bytes
from dsvl_data.read.blank import ink
from dsvl_data.render.pages import Chapter, Page
from dsvl_data.render.printer import Printer
from dsvl_data.render.raster import encode
from dsvl_data.render.template import Template, choose, load_templates
from dsvl_data.sample import Image, Sample, Text

VERSION = "1"
#: A picture with less on it shows nothing.
_MIN_INK = 0.004
_ATTEMPTS = 3
#: A question alone says little.
_MIN_PAIRS = 2
#: Pixels left around a printed table.
_MARGIN = 14

Weight = Annotated[float, Field(ge=0)]


class Variants(Settings):
    """How often a chart gets which text; weights need not add up to 1."""

    data: Weight = Field(default=1, description="the numbers it shows, as Markdown or CSV")
    code: Weight = Field(default=1, description="the Python or Vega-Lite that draws it")
    questions: Weight = Field(default=1, description="questions and answers about it")


class ChartOptions(Settings):
    """What a recipe can set for charts."""

    charts: int = Field(6, ge=0, le=100, description="charts a table, at most")
    sheets: int = Field(2, ge=0, le=20, description="printed tables a table, at most")
    kinds: tuple[str, ...] = Field((), description="kinds of charts to draw; empty: all")
    designs: tuple[str, ...] = Field((), description="names of the looks to use; empty: all")
    variants: Variants = Field(Variants(), description="weights of the texts beside a chart")
    csv: float = Field(0.3, ge=0, le=1, description="share of data written as CSV, not Markdown")
    questions: int = Field(5, ge=2, le=20, description="questions a chart, at most")
    other_language: float = Field(
        0.1, ge=0, le=1, description="share of charts asked about in Chinese where the table is "
        "English, and the other way round"
    )  # fmt: skip
    longest_side: int = Field(
        1024, ge=256, le=4096, description="longer side in pixels of the page of a printed table"
    )
    seed: int = Field(0, description="decides what is drawn, how, and what is asked")
    print_seconds: float = Field(
        60, gt=0, description="wall-clock seconds that one table's print may take"
    )

    @field_validator("kinds", "designs")
    @classmethod
    def _are_known(cls, names: tuple[str, ...], info: object) -> tuple[str, ...]:
        field = getattr(info, "field_name", "")
        known = list(KINDS if field == "kinds" else DESIGNS)
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
                raise ValueError(f"no {field[:-1]} is called {name!r}{hint}")
        return names

    @field_validator("variants")
    @classmethod
    def _some(cls, weights: Variants) -> Variants:
        if not weights.data + weights.code + weights.questions:
            raise ValueError("give one of data, code and questions a weight above 0")
        return weights


def list_tables(inputs: Sequence[InputSpec], options: ChartOptions) -> Iterable[DocumentRef]:
    """List the tables of the inputs."""
    listed = False
    for ref in list_documents(inputs, suffixes=tuple(SUFFIXES)):
        listed = True
        yield ref
    if not listed and inputs:
        paths = ", ".join(spec.path for spec in inputs)
        raise UserError(f"no table in {paths}: expected files with {', '.join(SUFFIXES)}")


class ChartConverter:
    """Draws charts and prints tables; its browser starts with the first table printed."""

    def __init__(self, options: ChartOptions) -> None:
        self._options = options
        self._templates = load_templates("tables")
        self._printer = Printer(longest_side=options.longest_side, timeout=options.print_seconds)
        self._versions = {name: version(name) for name in ("matplotlib", "vl-convert-python")}

    def __call__(self, documents: Sequence[Document]) -> Iterator[Sample | Dropped]:
        """Yield the charts and printed tables of each document."""
        for document in documents:
            name = document.ref.uri
            format = format_of(name)
            assert format is not None  # nothing else is listed
            table = read_table(document.data, format, name)
            yield from self._convert(document, table)

    def close(self) -> None:
        """End the browser."""
        self._printer.close()

    def _convert(self, document: Document, table: Table) -> Iterator[Sample | Dropped]:
        options = self._options
        rng = random.Random(_number(options.seed, document.ref.id))  # noqa: S311
        kinds = [kind for kind in KINDS if not options.kinds or kind in options.kinds]
        charts = choose_charts(table, rng, options.charts, kinds)
        sheets = make_sheets(table, rng, options.sheets)
        if not charts and not sheets:
            detail = f"{len(table)} rows, {len(table.columns)} columns"
            yield document.dropped(Reason.NO_CHART, detail=detail)
        for number, chart in enumerate(charts):
            one = random.Random(_number(options.seed, document.ref.id, number))  # noqa: S311
            yield self._chart(document, number, chart, one)
        if sheets:
            yield from self._print(document, len(charts), sheets)

    def _chart(
        self, document: Document, number: int, chart: Chart, rng: random.Random
    ) -> Sample | Dropped:
        item = f"chart {number} ({chart.kind})"
        dropped = document.dropped(Reason.CROWDED, item=item)
        for _ in range(_ATTEMPTS):
            style = choose_style(chart, rng, self._options.designs)
            lacking = unwritable(chart.texts, style.families)
            if lacking:
                detail = f"no font has a glyph for {lacking[:20]!r}"
                return document.dropped(Reason.PROOF_FAILED, item=item, detail=detail)
            draw = draw_matplotlib if style.backend == "matplotlib" else draw_vega
            drawing = draw(chart, style)
            faults = find_faults(drawing)
            if faults:
                detail = "; ".join(faults)[:300]
                dropped = document.dropped(Reason.CROWDED, item=item, detail=detail)
                continue
            picture = Pillow.open(io.BytesIO(drawing.png))
            score = ink(picture)
            if score >= _MIN_INK:
                image = Image(drawing.png, "png", *picture.size)
                return self._sample(document, number, chart, style, drawing, image, score, rng)
            dropped = document.dropped(Reason.BLANK_IMAGE, item=item, score=score)
        return dropped

    def _sample(
        self,
        document: Document,
        number: int,
        chart: Chart,
        style: Style,
        drawing: Drawing,
        image: Image,
        score: float,
        rng: random.Random,
    ) -> Sample:
        options = self._options
        words: Words = chart.words
        if rng.random() < options.other_language:
            words = "en" if words == "zh" else "zh"
        weights = options.variants
        order: Mapping[str, float] = {
            "data": weights.data, "code": weights.code, "questions": weights.questions
        }  # fmt: skip
        pairs = ask(chart, style, words, rng, options.questions) if weights.questions else []
        if len(pairs) < _MIN_PAIRS:
            order = {name: weight for name, weight in order.items() if name != "questions"}
            if not any(order.values()):
                order = {"data": 1.0}
        variant = rng.choices(list(order), list(order.values()))[0]
        language = chart.words
        if variant == "data":
            text = _data(chart, style, csv=rng.random() < options.csv)
        elif variant == "code":
            text = f"```{drawing.code_language}\n{drawing.code}\n```"
        else:
            text = "\n\n".join(f"{pair.question}\n{pair.answer}" for pair in pairs)
            language = words
        package = "matplotlib" if style.backend == "matplotlib" else "vl-convert-python"
        details = {
            package: self._versions[package], "kind": chart.kind, "design": style.design,
            "variant": variant, "seed": str(options.seed),
            "columns": ", ".join(chart.columns)[:500],
        }  # fmt: skip
        if variant == "questions":
            details["questions"] = ", ".join(pair.about for pair in pairs)
        extras = {} if variant == "data" else {"data": write_csv(chart.header(), chart.rows())}
        return document.sample(
            number, category="table_chart", segments=[image, Text(text)], language=language,
            details=details, scores={"ink": round(score, 6)}, extras=extras,
        )  # fmt: skip

    def _print(
        self, document: Document, first: int, sheets: Sequence[Sheet]
    ) -> Iterator[Sample | Dropped]:
        seed = self._options.seed
        designs = [
            choose(self._templates, seed, f"{document.ref.id}\0{number}")
            for number in range(len(sheets))
        ]
        jobs = (
            (Chapter(sheet.body, sheet.words), design)
            for sheet, design in zip(sheets, designs, strict=True)
        )
        results = self._printer.print_many(jobs)
        for number, (sheet, design, pages) in enumerate(zip(sheets, designs, results, strict=True)):
            item = f"table {number} ({sheet.kind})"
            if isinstance(pages, DocumentError):
                yield document.dropped(pages.reason, item=item, detail=pages.detail)
            elif len(pages) != 1:
                detail = f"does not fit on a page of {design.name}"
                yield document.dropped(Reason.CROWDED, item=item, detail=detail)
            elif pages[0].failure is not None:
                page = pages[0]
                yield document.dropped(
                    pages[0].failure, item=item, detail=page.detail, score=page.score
                )
            else:
                yield self._printed(document, first + number, sheet, design, pages[0])

    def _printed(
        self, document: Document, position: int, sheet: Sheet, design: Template, page: Page
    ) -> Sample:
        details = {
            **self._printer.details, "kind": sheet.kind, "template": design.name,
            "variant": "html" if sheet.merged else "markdown", "seed": str(self._options.seed),
            "columns": ", ".join(sheet.columns)[:500],
        }  # fmt: skip
        return document.sample(
            position,
            category="table_chart",
            segments=[_trimmed(page.image), Text(sheet.html if sheet.merged else page.text)],
            language=sheet.words,
            details=details,
            scores={"proof": page.score, "characters": float(page.characters)},
        )


def _data(chart: Chart, style: Style, *, csv: bool) -> str:
    """What the picture says, in words: its title, its numbers, its note."""
    if csv:
        table = f"```csv\n{write_csv(chart.header(), chart.rows())}\n```"
    else:
        table = write_markdown_table(chart.header(), chart.rows(commas=style.commas))
    title = escaped(chart.title) if style.titled else ""
    if not title and chart.across and chart.kind not in ("scatter", "bubble"):
        title = escaped(chart.measure)  # which its columns do not say
    return "\n\n".join(filter(None, (title, table, escaped(chart.note))))


def _trimmed(image: Image) -> Image:
    """The picture of a page without what is empty around its table, but for a margin."""
    pixels = np.asarray(Pillow.open(io.BytesIO(image.data)).convert("RGB"))
    drawn = (pixels != pixels[-1, -1]).any(axis=2)
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    low, high = max(0, rows[0] - _MARGIN), rows[-1] + 1 + _MARGIN
    left, right = max(0, columns[0] - _MARGIN), columns[-1] + 1 + _MARGIN
    return encode(np.ascontiguousarray(pixels[low:high, left:right]), "png")


def _number(*parts: object) -> int:
    text = "\0".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


PIPELINE = Pipeline(
    name="charts",
    version=VERSION,
    options=ChartOptions,
    source=list_tables,
    reader=read_bytes,
    converter=ChartConverter,
    partition_size=8,
    limits=Limits(seconds=180, memory_mb=3000),
    needs_browser=True,
)
