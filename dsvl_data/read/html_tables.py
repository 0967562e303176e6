"""Tables of web pages as Markdown: which hold data, their cells on a grid, the grid as text.

In: a `table` of any page. Out: its rows, or that it is there for its looks only; a grid in which
merged cells leave gaps; the Markdown table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lxml import etree

from dsvl_data.render.markdown_table import write_table
from dsvl_data.render.parse import attribute, name_of, text_of
from dsvl_data.render.traits import LINE_NUMBERS, is_hidden

_SECTIONS = ("thead", "tbody", "tfoot")
#: Cells that hold these hold a page, not a datum.
_BLOCKS = ("{*}pre", "{*}table", "{*}h1", "{*}h2", "{*}h3", "{*}h4", "{*}figure", "{*}form")
_MAX_CELL = 1500
_MAX_SPAN, _MAX_COLUMNS, _MAX_ROWS = 100, 200, 5000
#: Share of cells with pictures above which a table lays pictures out.
_PICTURES = 0.5

Row = Sequence[etree._Element]


def data_rows(table: etree._Element) -> list[Row] | None:
    """The rows of a table that holds data, each its cells; None for one that is layout."""
    if attribute(table, "role") in ("presentation", "none"):
        return None
    if next((e for e in table.iter(*_BLOCKS) if e is not table), None) is not None:
        return None
    rows: list[Row] = []
    cells = pictures = 0
    for row in _rows(table):
        found = [
            cell
            for cell in row
            if name_of(cell) in ("td", "th") and not is_hidden(cell, name_of(cell))
        ]
        if found:
            rows.append(found)
        for cell in found:
            cells += 1
            pictures += next(cell.iter("{*}img", "{*}svg"), None) is not None
            if (cell.get("class") or "") in LINE_NUMBERS or len(text_of(cell)) > _MAX_CELL:
                return None
    if cells < 2 or pictures > _PICTURES * cells or max(map(len, rows)) > _MAX_COLUMNS:
        return None
    if len(rows) > _MAX_ROWS or (max(map(len, rows)) == 1 and pictures):
        return None
    return rows


def _rows(table: etree._Element) -> list[etree._Element]:
    rows = []
    for child in table:
        name = name_of(child)
        if name == "tr":
            rows.append(child)
        elif name in _SECTIONS:
            rows += [row for row in child if name_of(row) == "tr"]
    return [row for row in rows if not is_hidden(row, "tr")]


def grid_of(
    rows: Sequence[Row], text: Callable[[etree._Element], str]
) -> list[tuple[list[str], bool]]:
    """The rows as texts, and whether each is a header; merged cells leave empty ones."""
    below: dict[int, int] = {}  # column: rows that a cell from above still covers
    grid: list[tuple[list[str], bool]] = []
    for cells in rows:
        texts: list[str] = []
        for cell in cells:
            while below.get(len(texts), 0):
                below[len(texts)] -= 1
                texts.append("")
            width, height = _span(cell, "colspan"), _span(cell, "rowspan")
            width = min(width, _MAX_COLUMNS - len(texts))
            for column in range(len(texts), len(texts) + width):
                below[column] = height - 1
            if width > 0:
                texts += [text(cell), *[""] * (width - 1)]
        for column in range(len(texts), max(below, default=-1) + 1):
            if below.get(column, 0):
                below[column] -= 1
        header = not grid and all(name_of(cell) == "th" for cell in cells)
        grid.append((texts, header))
    return grid


def grid_table(grid: Sequence[tuple[list[str], bool]]) -> str:
    """Write a grid as a Markdown table; empty when no cell has text."""
    rows = [texts for texts, _ in grid]
    columns = max(map(len, rows), default=0)
    while columns and not any("".join(row[columns - 1 :]) for row in rows):
        columns -= 1
    if not columns:
        return ""
    header = rows.pop(0) if grid[0][1] else []
    rows = [row for row in rows if any(row)]
    return write_table(header, rows, columns)


def _span(cell: etree._Element, name: str) -> int:
    text = (cell.get(name) or "1").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        return 1
    return min(max(int(text), 1), _MAX_SPAN)
