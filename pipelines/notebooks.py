"""Notebooks: every figure in a code cell's output, with the code that made it.

In: Jupyter notebooks (files, folders, tars, a column of Parquet or JSON lines). Out: a sample a
figure, of category `web_code` (where the paper's table 1 has its notebook plots): the image,
then the code as plain text, without a fence: a trainer's template can add one, and a fence that
is part of the data cannot be told from one that is not.

- *Figures.* An output is judged as Jupyter shows it, its richest form first. Raster images are
  stored byte for byte; SVG, HTML, JavaScript and the JSON of plotly and vega are shot on a page
  (`render.screen`). An HTML output that shows only text is no figure, and neither are widgets,
  whose state lives in a kernel. Where the richest form shows nothing (its library is on the
  network, say) and the output has a raster form too, that one is taken.
- *Code.* `cell` is the source as it stands; `standalone` adds what it needs of the cells before
  it (`notebook_slice`). The recipe chooses which is the text; the other is in `extras`.
- *Language.* `code_language` in the provenance is the programming language; the sample's own
  `language` is that of the comments and of the notebook's Markdown cells, `und` where neither
  says anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from dsvl_data.language import UNDETERMINED, identify
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import (
    Document,
    DocumentRef,
    Dropped,
    InputSpec,
    Limits,
    PathOption,
    Pipeline,
    Settings,
)
from dsvl_data.read.archives import approach, list_documents, read_bytes
from dsvl_data.read.blank import ink
from dsvl_data.read.cells import row_facts
from dsvl_data.read.images import decode, inspect
from dsvl_data.read.notebooks import Cell, Notebook, Output, decode_image, parse
from dsvl_data.render.browser import Browser
from dsvl_data.render.markup import is_plot_json, markup_of
from dsvl_data.render.screen import Screen, Shot, Shown
from dsvl_data.sample import Image, ImageFormat, Sample, Text
from pipelines.notebook_code import Code, comments, count_lines, plain, standalone
from pipelines.notebook_figures import (
    Figure,
    completes,
    needs_scripts,
    payload,
    picture,
    raster_form,
    without_repetitions,
)

_FORMATS: dict[str, ImageFormat] = {"png": "png", "jpeg": "jpg", "gif": "gif", "webp": "webp"}
#: What Jupyter prefers among an output's forms, as nbconvert has it. Widgets are left out; the
#: JSON of a plot stands after the HTML that shows the same.
_RICHEST = ("application/javascript", "text/html", "image/svg+xml")
#: Fewer letters than this say nothing reliable about a natural language.
_MIN_LETTERS = 20


class Options(Settings):
    """What a recipe can set for notebooks."""

    column: str = Field("content", description="column of Parquet or JSON lines with the notebook")
    path_column: str = Field("max_stars_repo_path", description="column with its path, if any")
    licence_column: str = Field(
        "max_stars_repo_licenses", description="column with its licence or licences, if any"
    )
    code: Literal["cell", "standalone"] = Field(
        "cell", description="the text: the cell's source, or with all it needs of earlier cells"
    )
    min_lines: int = Field(5, ge=0, description="code lines of the cell; comments do not count")
    max_images: int = Field(1, ge=1, description="figures that one cell may show")
    min_side: int = Field(64, ge=1, description="pixels of a figure's shorter side")
    min_ink: float = Field(
        0.001, ge=0, le=1, description="share of a figure's pixels that are not background"
    )
    html_tables: bool = Field(False, description="take HTML tables as figures")
    error_cells: bool = Field(False, description="take figures of cells that end in a traceback")
    prefer: Literal["richest", "raster"] = Field(
        "richest", description="which form of an output: as Jupyter shows it, or a raster image"
    )
    render_rasters: bool = Field(
        False, description="shoot raster images on the page too, at the size Jupyter shows them"
    )
    width: int = Field(1000, ge=200, le=4000, description="CSS pixels of the page's width")
    scale: float = Field(1, ge=0.5, le=4, description="device pixels a CSS pixel")
    page_seconds: float = Field(15, gt=0, description="seconds for one page")
    settle_seconds: float = Field(3, gt=0, description="seconds a page may go on drawing")
    notebook_seconds: float = Field(90, gt=0, description="seconds for all pages of a notebook")
    assets: Annotated[Path | None, PathOption()] = Field(
        None,
        description="folder that stands for the network: HOST/PATH in it answers https://HOST/PATH",
    )
    max_output_mb: float = Field(20, gt=0, description="MB of one output")

    @field_validator("assets")
    @classmethod
    def _is_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError(f"there is no folder {value}")
        return value


def source(inputs: Sequence[InputSpec], options: Options) -> Iterator[DocumentRef]:
    """List notebooks; a row's own licence and path are for `resolve` to find."""
    return list_documents(inputs, suffixes=(".ipynb",), column=options.column)


def resolve(ref: DocumentRef, options: Options) -> DocumentRef:
    """Give a row the licence and path that stand beside it, where the table has such columns.

    A row whose licences are empty says that none was found: it is `unknown`, and not under
    the licence of the input, which is for what has no such column.
    """
    row = row_facts(ref, (options.path_column, options.licence_column))
    path, licences = row.get(options.path_column), row.get(options.licence_column)
    if isinstance(licences, list):
        # All that were found: whoever uses the notebook has to heed each.
        licences = " AND ".join(sorted({str(name) for name in licences}))
    return replace(
        ref,
        licence=str(licences or "unknown") if options.licence_column in row else ref.licence,
        meta={**ref.meta, "path": path} if isinstance(path, str) and path else ref.meta,
    )


class NotebookConverter:
    """From a notebook to its figures. Holds a browser, started when a notebook first needs it."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._browser = Browser(timeout=options.page_seconds)
        self._screen = Screen(
            self._browser,
            assets=options.assets,
            width=options.width,
            scale=options.scale,
            seconds=options.page_seconds,
            settle=options.settle_seconds,
            budget=options.notebook_seconds,
            min_ink=options.min_ink,
        )

    def __call__(self, documents: Sequence[Document]) -> Iterator[Sample | Dropped]:
        """Yield a sample or a drop for each figure; `DocumentError` for a notebook without any."""
        for document in documents:
            yield from self._convert(document)

    def close(self) -> None:
        """End the browser."""
        self._browser.close()

    def _convert(self, document: Document) -> Iterator[Sample | Dropped]:
        limit = int(self.options.max_output_mb * (1 << 20))
        notebook = parse(document.data, max_output_bytes=limit)
        cells = [cell for cell in notebook.cells if cell.kind == "code"]
        if not any(cell.source.strip() for cell in cells):
            raise DocumentError(
                Reason.NO_CODE_CELLS,
                f"{len(notebook.cells)} cells, {len(cells)} of them for code, none with any in it",
            )
        codes = {cell.index: plain(cell.source, notebook.language) for cell in cells}
        figures = self._candidates(cells)
        for figure in figures:
            self._judge_cell(figure, codes[figure.cell.index])
        self._judge_together(figures, [f for f in figures if not needs_scripts(f)], payload)
        self._shoot(figures, cells)
        for figure in figures:
            if figure.is_raster and not figure.image and not figure.dropped:
                self._read_raster(figure)
        # What has neither picture nor reason by now turned out to show none.
        figures = [figure for figure in figures if figure.image or figure.dropped]
        self._judge_together(figures, [f for f in figures if f.image], picture)
        figures = without_repetitions(figures)
        for figure in figures:
            self._judge_image(figure)
        errors = self._errors(cells, figures)
        if not figures and not errors:
            raise DocumentError(
                Reason.NO_FIGURE, f"no figure in the outputs of {len(cells)} code cells"
            )
        prose = "\n".join(cell.source for cell in notebook.cells if cell.kind == "markdown")
        for figure in figures:
            if figure.dropped:
                reason, detail, score = figure.dropped
                yield document.dropped(reason, item=figure.item, detail=detail, score=score)
            else:
                yield self._sample(document, notebook, figure, codes, prose)
        for item, detail in errors:
            yield document.dropped(Reason.ERROR_OUTPUT, item=item, detail=detail)

    def _candidates(self, cells: Sequence[Cell]) -> list[Figure]:
        """All outputs that show a figure, or may; tables too, to be counted."""
        figures = []
        position = -1
        for cell in cells:
            for number, output in enumerate(cell.outputs):
                position += 1
                if output.kind != "display":
                    continue
                figure = Figure(position, cell, number, output, self._media_type(output))
                if not figure.media_type:
                    if not output.oversized:
                        continue
                    limit = f"{self.options.max_output_mb:g} MB"
                    figure.drop(Reason.TOO_LARGE, f"{output.oversized} bytes, the limit is {limit}")
                elif not figure.is_raster:
                    kind = markup_of(figure.shown()).kind
                    if kind in ("text", "library"):
                        continue
                    if kind == "table" and not self.options.html_tables:
                        figure.drop(Reason.HTML_TABLE, "a table")
                figures.append(figure)
        return figures

    def _media_type(self, output: Output) -> str:
        """The form of an output that Jupyter would show, if that may be a figure."""
        raster = raster_form(output)
        if raster and self.options.prefer == "raster":
            return raster
        if any(name.endswith("_load.v0+json") for name in output.data) or completes(output):
            return ""  # the script of other outputs; it takes part in `_shoot`
        rich = next((name for name in _RICHEST if name in output.data), "")
        plot = next((name for name in output.data if is_plot_json(name)), "")
        return rich or plot or raster

    def _judge_cell(self, figure: Figure, code: Code) -> None:
        """Drop what its cell rules out, before a picture is decoded or a browser asked."""
        if figure.dropped:
            return
        errors = [output.error for output in figure.cell.outputs if output.kind == "error"]
        lines = count_lines(code)
        if errors and not self.options.error_cells:
            figure.drop(Reason.ERROR_OUTPUT, errors[0])
        elif lines < self.options.min_lines:
            detail = f"{lines} code lines, the recipe asks for {self.options.min_lines}"
            figure.drop(Reason.TOO_FEW_LINES, detail, lines)

    def _judge_together(
        self,
        figures: Sequence[Figure],
        sure: Sequence[Figure],
        identity: Callable[[Figure], object],
    ) -> None:
        """Drop figures of cells that show too many; the same picture twice is one."""
        shown: dict[int, set[object]] = defaultdict(set)
        for figure in sure:
            if not figure.dropped:
                shown[figure.cell.index].add(identity(figure))
        for figure in figures:
            number = len(shown[figure.cell.index])
            if number > self.options.max_images and not figure.dropped:
                detail = f"{number} figures, the recipe takes {self.options.max_images} a cell"
                figure.drop(Reason.SEVERAL_IMAGES, detail, number)

    def _shoot(self, figures: Sequence[Figure], cells: Sequence[Cell]) -> None:
        """Give each figure that needs a page its picture, or the reason why it has none."""
        wanted = {
            figure.position: figure
            for figure in figures
            if not figure.dropped and (not figure.is_raster or self.options.render_rasters)
        }
        if not wanted:
            return
        # Every output with a script takes part: it may hold the library of a later one.
        last = max(figure.cell.index for figure in wanted.values())
        everything = [o for cell in cells if cell.index <= last for o in cell.outputs]
        outputs: list[Shown] = []
        places: dict[int, int] = {}
        for position, output in enumerate(everything):
            script = next((name for name in _RICHEST[:2] if name in output.data), "")
            if position in wanted:
                places[position] = len(outputs)
                outputs.append(wanted[position].shown())
            elif script:
                shown = Shown(script, output.data[script], completes=completes(output))
                if markup_of(shown).scripted:
                    outputs.append(shown)
        shots = self._screen.shoot(outputs, list(places.values()))
        for position, figure in wanted.items():
            self._take(figure, shots[places[position]])

    def _take(self, figure: Figure, shot: Shot) -> None:
        table = shot.table and not self.options.html_tables
        if shot.image is not None and not table:
            figure.image, figure.shown_by = shot.image, self._screen.version
        elif raster := raster_form(figure.output):
            figure.fallback = str(shot.reason or Reason.HTML_TABLE)
            figure.media_type = raster
        elif table:
            figure.drop(Reason.HTML_TABLE, "a table")
        elif shot.reason is not None:
            figure.drop(shot.reason, shot.detail)

    def _read_raster(self, figure: Figure) -> None:
        try:
            data = decode_image(figure.output.data[figure.media_type])
            info = inspect(data)
        except DocumentError as error:
            figure.drop(error.reason, error.detail)
            return
        if info.format in _FORMATS:
            figure.image = Image(data, _FORMATS[info.format], info.width, info.height)
        else:
            detail = f"{figure.media_type} that is {info.format}"
            figure.drop(Reason.BAD_IMAGE, detail)

    def _judge_image(self, figure: Figure) -> None:
        image, options = figure.image, self.options
        if image is None:
            return
        side = min(image.width, image.height)
        if side < options.min_side:
            detail = (
                f"{image.width} x {image.height} pixels, the recipe asks for {options.min_side}"
            )
            figure.drop(Reason.IMAGE_TOO_SMALL, detail, side)
            return
        try:
            figure.ink = ink(decode(image.data))
        except DocumentError as error:
            figure.drop(error.reason, error.detail)
            return
        if figure.ink < options.min_ink:
            detail = (
                f"{figure.ink:.5f} of it is no background, the recipe asks for {options.min_ink}"
            )
            figure.drop(Reason.BLANK_IMAGE, detail, figure.ink)

    def _errors(self, cells: Sequence[Cell], figures: Sequence[Figure]) -> list[tuple[str, str]]:
        """Tracebacks of cells without a figure: items too, so that they are counted."""
        if self.options.error_cells:
            return []
        shown = {figure.cell.index for figure in figures}
        return [
            (f"cell {cell.index} output {number}", output.error)
            for cell in cells
            for number, output in enumerate(cell.outputs)
            if output.kind == "error" and cell.index not in shown
        ]

    def _sample(
        self,
        document: Document,
        notebook: Notebook,
        figure: Figure,
        codes: Mapping[int, Code],
        prose: str,
    ) -> Sample:
        assert figure.image is not None
        code = codes[figure.cell.index]
        whole = standalone([codes[index] for index in codes if index <= figure.cell.index])
        forms = {"cell": figure.cell.source.strip("\n").rstrip(), "standalone": whole.text}
        text = forms.pop(self.options.code)
        details = {
            "cell": str(figure.cell.index),
            "output": str(figure.number),
            "media_type": figure.media_type,
            "shown_by": figure.shown_by,
            "nbformat": notebook.version,
            "code": self.options.code,
            "code_language": code.language,
            "standalone": whole.method,
            "unresolved": " ".join(whole.unresolved),
            "fallback": figure.fallback,
            "path": str(document.ref.meta.get("path", "")),
        }
        return document.sample(
            figure.position,
            category="web_code",
            segments=[figure.image, Text(text)],
            language=_natural_language(comments(code), prose),
            details={name: value for name, value in details.items() if value},
            scores={"ink": figure.ink, "code_lines": float(count_lines(code))},
            extras=forms,
        )


def _natural_language(comment: str, prose: str) -> str:
    """Language of the comments and the notebook's prose together: of one alone there is little."""
    text = f"{comment}\n{prose}"
    if sum(character.isalpha() for character in text) < _MIN_LETTERS:
        return UNDETERMINED
    return identify(text).code


PIPELINE = Pipeline(
    name="notebooks",
    version="1",
    options=Options,
    source=source,
    reader=read_bytes,
    approach=approach,
    resolve=resolve,
    converter=NotebookConverter,
    limits=Limits(seconds=180),
    # Only notebooks with SVG, HTML or JavaScript start it, but which ones those are is not known
    # before they are read.
    needs_browser=True,
)
