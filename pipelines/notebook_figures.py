"""An output of a notebook that may be a figure, and what is found out about it.

In: an output of a code cell. Out: a `Figure` that the converter of `notebooks` gives a picture
or a reason why it has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsvl_data.outcome import Reason
from dsvl_data.read.notebooks import Cell, Output
from dsvl_data.render.markup import markup_of
from dsvl_data.render.screen import Shown
from dsvl_data.sample import Image

_RASTERS = ("image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp")


@dataclass(slots=True)
class Figure:
    """An output that may be a figure, and what is found out about it."""

    position: int  # among all outputs of the notebook's code cells: the sample's number
    cell: Cell
    number: int  # of the output within its cell
    output: Output
    media_type: str  # of the form that is looked at; empty where that is over the size limit
    dropped: tuple[Reason, str, float | None] | None = None
    image: Image | None = None
    ink: float = 0.0
    shown_by: str = "as is"
    fallback: str = ""

    @property
    def item(self) -> str:
        """Its name within the notebook."""
        return f"cell {self.cell.index} output {self.number}"

    @property
    def is_raster(self) -> bool:
        """Whether the form that is looked at is a raster image."""
        return self.media_type in _RASTERS

    def shown(self) -> Shown:
        """What a page is to show of it."""
        metadata = self.output.metadata.get(self.media_type)
        size = metadata if isinstance(metadata, dict) else {}
        return Shown(self.media_type, self.output.data[self.media_type], size)

    def drop(self, reason: Reason, detail: str, score: float | None = None) -> None:
        """Leave it out for a reason."""
        self.dropped, self.image = (reason, detail, score), None


def raster_form(output: Output) -> str:
    """Media type of an output's raster form, empty if there is none."""
    return next((name for name in _RASTERS if name in output.data), "")


def completes(output: Output) -> bool:
    """Whether an output is the script that draws in the output before it (bokeh)."""
    executes = any(name.endswith("_exec.v0+json") for name in output.data)
    return executes and "text/html" not in output.data


def needs_scripts(figure: Figure) -> bool:
    """Whether only a page can tell if an output shows a figure at all."""
    return bool(figure.media_type) and markup_of(figure.shown()).scripted


def payload(figure: Figure) -> object:
    """What tells a figure from another before it is drawn: the bytes or text of its form."""
    return figure.output.data[figure.media_type]


def picture(figure: Figure) -> object:
    """What tells a figure from another once it is drawn."""
    return figure.image.data if figure.image else figure.position


def without_repetitions(figures: Sequence[Figure]) -> list[Figure]:
    """Leave out what the same cell shows again (`fig.show()`, then `fig`): one figure, not two."""
    kept, seen = [], set()
    for figure in figures:
        mark = (figure.cell.index, figure.image.data) if figure.image else figure.position
        if mark not in seen:
            kept.append(figure)
            seen.add(mark)
    return kept
