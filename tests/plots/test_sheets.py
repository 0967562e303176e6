"""Printed tables: merged cells that add up, numbers that are the table's."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from lxml import etree, html

from dsvl_data.plots.sheets import Sheet, make_sheets
from dsvl_data.plots.table import read_table
from dsvl_data.render.template import load_templates
from tests.plots.tables import cities, shops


def sheets(kind: str) -> list[Sheet]:
    found = []
    for seed in range(12):
        for table in (shops(), cities()):
            found += [s for s in make_sheets(table, random.Random(seed), 4) if s.kind == kind]
    return found


def cells(markup: str) -> list[list[str]]:
    """The grid that an HTML table means; each slot must be covered exactly once."""
    grid: dict[tuple[int, int], str] = {}
    rows = html.fromstring(markup).iter("tr")
    for y, row in enumerate(rows):
        x = 0
        for cell in row:
            while (y, x) in grid:
                x += 1
            for dy in range(int(cell.get("rowspan", "1"))):
                for dx in range(int(cell.get("colspan", "1"))):
                    assert (y + dy, x + dx) not in grid
                    grid[y + dy, x + dx] = cell.text or ""
    height, width = (max(place[axis] for place in grid) + 1 for axis in (0, 1))
    assert len(grid) == height * width  # no holes, nothing beyond
    return [[grid[y, x] for x in range(width)] for y in range(height)]


@pytest.mark.parametrize("kind", ["plain", "grouped", "summary", "paired"])
def test_every_slot_is_covered_once(kind: str) -> None:
    found = sheets(kind)
    assert found
    for sheet in found:
        assert len(cells(sheet.html)) >= 3
        assert sheet.merged is ("span=" in sheet.html)
        # The tree that is printed and the HTML that is told are one table.
        shown = [(e.tag, e.text or "") for e in sheet.body.iter("th", "td")]
        told = [(e.tag, e.text or "") for e in html.fromstring(sheet.html).iter("th", "td")]
        assert shown == told


def test_rows_of_a_group_belong_to_it() -> None:
    table = shops()
    columns = {column.name: column for column in table.columns}
    checked = 0
    for sheet in sheets("grouped"):
        head, *body = cells(sheet.html)
        numbers = [n for n in head if n in columns and columns[n].kind == "number"]
        if head[0] not in ("branch", "kind") or not numbers:
            continue
        group, number = columns[head[0]], columns[numbers[0]]
        pairs = {(g, str(n)) for g, n in zip(group.values, number.values, strict=True)}
        for line in body:
            assert (line[0], line[head.index(numbers[0])]) in pairs
            checked += 1
    assert checked > 10


def test_summaries_are_computed_from_all_rows() -> None:
    text = "kind,mass_kg\n" + "\n".join(f"{'ab'[n % 2]},{n}" for n in range(10))
    table = read_table(text.encode(), "csv", "t")
    for seed in range(20):
        for sheet in make_sheets(table, random.Random(seed), 4):
            if sheet.kind != "summary":
                continue
            grid = cells(sheet.html)
            figures = dict(zip(grid[1][2:], grid[2][2:], strict=True))
            assert grid[2][:2] == ["a", "5"]
            want = {"Lowest": Decimal(0), "Mean": Decimal(4), "Highest": Decimal(8)}
            assert {k: Decimal(v) for k, v in figures.items()} == {k: want[k] for k in figures}
            if grid[-1][0] == "All":
                assert grid[-1][1] == "10"
            return
    pytest.fail("no summary")


def test_hostile_text_stays_text() -> None:
    rows = "\n".join(f"<script>alert({n})</script>,{n * 3 + 1},&amp;|" for n in range(6))
    table = read_table(f"a,b,c\n{rows}\n".encode(), "csv", "t")
    for sheet in make_sheets(table, random.Random(1), 4):
        assert "<script" not in sheet.html
        assert not list(sheet.body.iter("script"))
        assert "&lt;script&gt;" in etree.tostring(sheet.body).decode()


def test_there_are_several_designs() -> None:
    assert len(load_templates("tables")) >= 8
