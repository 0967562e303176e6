"""A table as a printed sheet: plain, with rows grouped, or summed up, cells merged where it helps.

In: a `Table` and a seed. Out: `Sheet`s, each a clean HTML `<article>` (see `dsvl_data.render`) that
holds one table of at most a page, and the same table as minimal HTML where Markdown cannot say
it. Every number is the table's own, or computed from it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape

from lxml import etree

from dsvl_data.plots import facts as f
from dsvl_data.plots.chart import Words
from dsvl_data.plots.facts import Facts
from dsvl_data.plots.table import Column, Table
from dsvl_data.plots.values import Cell, decimals, rounded, write_date, write_number
from dsvl_data.plots.wording import listed

_MAX_ROWS, _MAX_COLUMNS = 14, 7
#: Characters that a row can hold at the width of a page, and a cell with its line breaks.
_MAX_LINE, _MAX_CELL = 90, 60
_STATISTICS = {
    "en": ("Count", "Lowest", "Mean", "Highest"),
    "zh": ("数量", "最低", "平均", "最高"),
}
_ALL = {"en": "All", "zh": "合计"}
_CAPTION = {"en": "Table {n}. {t}", "zh": "表{n} {t}"}


@dataclass(frozen=True, slots=True)
class Sheet:
    """One printed table. `merged`: some cells span several rows or columns.

    `html` is the table alone, without styles, one row a line.
    """

    body: etree._Element
    kind: str
    merged: bool
    html: str
    words: Words
    columns: tuple[str, ...]


def make_sheets(table: Table, rng: random.Random, count: int) -> list[Sheet]:
    """Up to `count` sheets, of different kinds as far as the table allows."""
    makers: list[Callable[[Facts, random.Random], Sheet | None]]
    makers = [_plain, _grouped, _summary, _paired]
    rng.shuffle(makers)
    facts, sheets = Facts(table), list[Sheet]()
    for _ in range(2):
        for maker in makers:
            if len(sheets) >= count:
                return sheets
            sheet = maker(facts, rng)
            if sheet is not None and all(sheet.html != other.html for other in sheets):
                sheets.append(sheet)
    return sheets


@dataclass(slots=True)
class _Cell:
    text: str
    head: bool = False
    rows: int = 1
    columns: int = 1
    number: bool = False


def _plain(facts: Facts, rng: random.Random) -> Sheet | None:
    """Some columns of some rows that follow each other."""
    columns = _some_columns(facts, rng, rng.randint(2, _MAX_COLUMNS))
    if not columns:
        return None
    wanted = rng.randint(3, _MAX_ROWS)
    start = rng.randint(0, max(0, len(facts.table) - wanted))
    rows = range(start, min(start + wanted, len(facts.table)))
    grid = [[_Cell(c.name, head=True) for c in columns]]
    grid += [[_cell(c, row, rng) for c in columns] for row in rows]
    return _sheet(facts, "plain", grid, 1, columns, rng)


def _grouped(facts: Facts, rng: random.Random) -> Sheet | None:
    """Rows gathered under a category whose cell stands beside all of them."""
    if not facts.categories:
        return None
    category = rng.choice(facts.categories)
    others = [c for c in _some_columns(facts, rng, rng.randint(2, 4)) if c is not category]
    if not others:
        return None
    groups = f.grouped(category, facts.rows_with([category]))
    names = list(groups)[:4] if len(groups) > 4 else list(groups)
    bold = rng.random() < 0.5
    grid = [[_Cell(c.name, head=True) for c in (category, *others)]]
    for name in names:
        rows = groups[name][: rng.randint(2, 4)]
        for number, row in enumerate(rows):
            line = [_cell(c, row, rng) for c in others]
            if not number:
                line.insert(0, _Cell(name, rows=len(rows), head=bold))
            grid.append(line)
    return _sheet(facts, "grouped", grid, 1, [category, *others], rng)


def _summary(facts: Facts, rng: random.Random) -> Sheet | None:
    """Lowest, mean and highest of some numbers for each category, under two rows of heads."""
    if not facts.categories or not facts.measures:
        return None
    category = rng.choice(facts.categories)
    measures = [c for c in facts.measures if c is not category]
    if not measures:
        return None
    measures = rng.sample(measures, min(len(measures), 2))
    rows = facts.rows_with([category, *measures])
    groups = f.grouped(category, rows)
    if not 2 <= len(groups) <= 10:
        return None
    words = facts.words
    count, *names = _STATISTICS[words]
    picked = sorted(rng.sample(range(3), rng.randint(2, 3)))
    top = [_Cell(category.name, head=True, rows=2), _Cell(count, head=True, rows=2)]
    top += [_Cell(m.name, head=True, columns=len(picked)) for m in measures]
    second = [_Cell(names[i], head=True) for _ in measures for i in picked]
    grid = [top, second]
    everything = [(name, group) for name, group in groups.items()]
    if rng.random() < 0.6:
        everything.append((_ALL[words], rows))
    for name, group in everything:
        line = [_Cell(name), _Cell(str(len(group)), number=True)]
        for measure in measures:
            values = f.numbers(measure, group)
            places = min(max(map(decimals, f.numbers(measure, rows))), 3)
            mean = rounded(f.mean(values), min(places + 1, 3))
            figures = (rounded(min(values), places), mean, rounded(max(values), places))
            line += [_Cell(write_number(figures[i]), number=True) for i in picked]
        grid.append(line)
    return _sheet(facts, "summary", grid, 2, [category, *measures], rng)


def _paired(facts: Facts, rng: random.Random) -> Sheet | None:
    """Columns of one unit, or whose names begin alike, under a common head."""
    families = [(name, cs) for name, cs in _families(facts) if len(cs) >= 2]
    label = next(iter(facts.keys + facts.times + facts.categories), None)
    if not families or label is None:
        return None
    rng.shuffle(families)
    families = families[:2]
    taken = [(name, columns[: rng.randint(2, 3)]) for name, columns in families]
    every = [label, *(c for _, columns in taken for c in columns)]
    wanted = rng.randint(4, 10)
    start = rng.randint(0, max(0, len(facts.table) - wanted))
    rows = range(start, min(start + wanted, len(facts.table)))
    top = [_Cell(label.name, head=True, rows=2)]
    top += [_Cell(name, head=True, columns=len(columns)) for name, columns in taken]
    second = [_Cell(_rest(c.name, name), head=True) for name, columns in taken for c in columns]
    grid = [top, second, *([_cell(c, row, rng) for c in every] for row in rows)]
    return _sheet(facts, "paired", grid, 2, every, rng)


def _families(facts: Facts) -> Iterator[tuple[str, list[Column]]]:
    """Numbers whose names share their first word, with that word."""
    first: dict[str, list[Column]] = {}
    for column in facts.table.columns:
        word, _, rest = column.name.partition(" ")
        if column.kind == "number" and rest and len(word) > 2:
            first.setdefault(word, []).append(column)
    yield from first.items()


def _rest(name: str, head: str) -> str:
    return name.removeprefix(head).strip()


def _some_columns(facts: Facts, rng: random.Random, wanted: int) -> list[Column]:
    """Columns in the table's order, one that names the rows first, as many as a line holds."""
    there = [c for c in facts.table.columns if c.kind != "none" and _widest(c) <= _MAX_CELL]
    names = [c for c in facts.keys + facts.times + facts.categories if c in there]
    others = [c for c in there if c not in names[:1]]
    picked = rng.sample(others, min(len(others), wanted - len(names[:1])))
    columns = [c for c in there if c in picked or c in names[:1]]
    while columns and sum(min(_widest(c), 30) + 2 for c in columns) > _MAX_LINE:
        columns.pop()
    return columns if len(columns) >= 2 else []


def _widest(column: Column) -> int:
    texts = [column.name, *(_text(v, column) for v in column.values[:200])]
    return max(sum(1 + (ord(c) > 0x2E80) for c in text) for text in texts)


def _text(value: Cell, column: Column) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return write_number(value)
    return value if isinstance(value, str) else write_date(value, column.kind)


def _cell(column: Column, row: int, rng: random.Random) -> _Cell:
    return _Cell(_text(column.values[row], column), number=column.kind == "number")


def _sheet(
    facts: Facts,
    kind: str,
    grid: Sequence[Sequence[_Cell]],
    heads: int,
    columns: Sequence[Column],
    rng: random.Random,
) -> Sheet | None:
    """Build the tree and the HTML of a grid whose first `heads` rows are heads."""
    body = [cell for line in grid[heads:] for cell in line]
    if len(grid) < heads + 2 or sum(bool(c.text) for c in body) * 2 < len(body):
        return None
    if max(len(cell.text) for line in grid for cell in line) > _MAX_CELL * 2:
        return None
    merged = any(c.rows > 1 or c.columns > 1 for line in grid for c in line)
    words = facts.words
    article = etree.Element("article", lang=words)
    table = etree.SubElement(article, "table", {"class": kind})
    html = ["<table>"]
    if rng.random() < 0.5:
        title = listed([c.name for c in columns[:4]], words)
        text = _CAPTION[words].format(n=rng.randint(1, 9), t=title[:1].upper() + title[1:])
        etree.SubElement(table, "caption").text = text
        html.append(f"<caption>{escape(text, quote=False)}</caption>")
    for name, lines in (("thead", grid[:heads]), ("tbody", grid[heads:])):
        part = etree.SubElement(table, name)
        html.append(f"<{name}>")
        for line in lines:
            html.append(_add_row(part, line))
        html.append(f"</{name}>")
    html.append("</table>")
    sources = tuple(dict.fromkeys(c.source for c in columns))
    return Sheet(article, kind, merged, "\n".join(html), words, sources)


def _add_row(part: etree._Element, line: Sequence[_Cell]) -> str:
    row = etree.SubElement(part, "tr")
    html = "<tr>"
    for cell in line:
        tag = "th" if cell.head else "td"
        spans = {
            name: str(n) for name, n in (("rowspan", cell.rows), ("colspan", cell.columns)) if n > 1
        }
        element = etree.SubElement(
            row, tag, {**spans, **({"class": "number"} if cell.number else {})}
        )
        element.text = cell.text
        attributes = "".join(f' {name}="{n}"' for name, n in spans.items())
        html += f"<{tag}{attributes}>{escape(cell.text, quote=False)}</{tag}>"
    return html + "</tr>"
