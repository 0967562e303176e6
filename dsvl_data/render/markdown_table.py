"""Tables as Markdown: rows of finished cells flow in, the text of a table flows out.

Every table that this project writes is written here. What a cell says is Markdown already, made
by whoever knows what it shows; here only what would break the row is mended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def write_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], columns: int | None = None
) -> str:
    """Write a table without a line end after its last row; an empty header is empty cells.

    Each row is cut or filled up to `columns`, as many as the header has by default.
    """
    columns = len(header) if columns is None else columns
    lines = [header, ["---"] * columns, *rows]
    return "\n".join(_row(cells, columns) for cells in lines)


def write_cell(markdown: str) -> str:
    """Make inline Markdown a cell: on one line, and no sign of it ends the cell."""
    return markdown.replace("|", "\\|").replace("\n", " ")


def _row(cells: Sequence[str], columns: int) -> str:
    padded = [*cells, *[""] * (columns - len(cells))][:columns]
    return "| " + " | ".join(padded) + " |"
