"""What the cells of a column are: numbers, dates or words.

In: a column's cells as a reader found them. Out: its kind and its cells as `Decimal`s, dates
or strings, None for each that is missing; and the way numbers are written everywhere here.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Literal, TypeAlias

from dsvl_data.render.clean import clean_text

Cell: TypeAlias = Decimal | datetime.date | str | None
Kind: TypeAlias = Literal["number", "year", "month", "day", "text", "none"]

TIMES = ("year", "month", "day")
_MISSING = frozenset({
    "", "na", "n/a", "nan", "null", "none", "-", "--", "–", "—", "?", "inf", "-inf", "+inf",
    "infinity", "-infinity", ".", "..", "...", "#n/a", "nil", "缺失", "无", "暂无",
})  # fmt: skip
#: Numbers outside of these cannot be told apart on an axis, and are no measure of anything.
_LARGEST, _SMALLEST = Decimal("1e15"), Decimal("1e-9")
_NUMBER = re.compile(
    r"(?P<sign>[-+−]?)(?P<currency>[$€£¥]?)\s?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d*)?(?:[eE][-+]?\d{1,3})?|\.\d+)"
    r"\s?(?P<percent>%?)\Z"
)
_PADDED = re.compile(r"0\d")
_UNITS = (
    "mm", "cm", "km", "kg", "mg", "ml", "mph", "km/h", "kmh", "kwh", "mwh", "gwh", "usd", "eur",
    "gbp", "cny", "rmb", "pct", "percent", "ms", "hours", "days", "m", "g", "ha", "hpa", "kcal",
    "lb", "lbs", "celsius",
)  # fmt: skip
_SPELT = {
    "pct": "%", "percent": "%", "kmh": "km/h", "usd": "USD", "eur": "EUR", "gbp": "GBP",
    "cny": "CNY", "rmb": "CNY", "kwh": "kWh", "mwh": "MWh", "gwh": "GWh", "celsius": "°C",
    "hpa": "hPa", "ml": "mL",
}  # fmt: skip
_UNIT_TAIL = re.compile(rf"(.*\w)[_](?:in_)?({'|'.join(map(re.escape, _UNITS))})", re.IGNORECASE)
_BRACKETS = re.compile(r"(.+?)\s*[（(\[]\s*([^()（）\[\]]{1,16})\s*[)）\]]")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_CJK = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")

_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan january", "feb february", "mar march", "apr april", "may may", "jun june",
         "jul july", "aug august", "sep september", "oct october", "nov november",
         "dec december"), 1)
    for name in names.split()
}  # fmt: skip
_YEAR_NAME = re.compile(r"(?:^|[\s_(])(year|yr|date|annee|jahr)s?(?:$|[\s_)])|年", re.IGNORECASE)
_MAX_TEXT = 200


def plain_text(text: str, longest: int) -> str:
    """One line of what can be seen, at most so many characters."""
    line = " ".join(clean_text(text).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def is_chinese(text: str) -> bool:
    """Whether a text has Chinese characters."""
    return bool(_CJK.search(text))


def typed_column(name: str, cells: Sequence[Any]) -> tuple[str, Kind, tuple[Cell, ...], str] | None:
    """A column's title, kind, cells and unit; None for one of lists, records or bytes."""
    if any(isinstance(cell, list | dict | bytes | tuple | set) for cell in cells):
        return None
    plain = [_plain(cell) for cell in cells]
    there = [cell for cell in plain if cell is not None]
    title, unit = _title(name)
    if not there:
        return title, "none", tuple(plain), unit
    dates = _dates(there, name)
    if dates is not None:
        kind, found = dates
        return title, kind, _refill(plain, found), ""
    numbers = _numbers(there)
    if numbers is not None:
        values, mark = numbers
        if mark and not unit:
            title, unit = f"{title} ({mark})", mark
        return title, "number", _refill(plain, values), unit
    texts = [plain_text(str(cell), _MAX_TEXT) or None for cell in there]
    return title, "text", _refill(plain, texts), ""


def write_number(value: Decimal, *, commas: bool = False) -> str:
    """The number with all its decimals, `-` before a negative one."""
    return f"{value:,f}" if commas else f"{value:f}"


def rounded(value: Decimal, places: int) -> Decimal:
    """Rounded to so many decimals, halves to the even one; there is no -0."""
    found = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    return found if found else found.copy_abs()


def decimals(value: Decimal) -> int:
    """How many decimals a number needs."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def write_date(date: datetime.date, kind: str) -> str:
    """A date as precise as its kind: 2001, 2001-03 or 2001-03-05."""
    return date.isoformat()[: {"year": 4, "month": 7}.get(kind, 10)]


def _plain(cell: Any) -> str | Decimal | datetime.date | None:
    if cell is None or isinstance(cell, bool):
        return None if cell is None else ("yes" if cell else "no")
    if isinstance(cell, datetime.datetime):
        whole = (cell.hour, cell.minute, cell.second) == (0, 0, 0)
        return cell.date() if whole else cell.isoformat(" ", "seconds")
    if isinstance(cell, datetime.date):
        return cell
    if isinstance(cell, int | float | Decimal):
        number = Decimal(str(cell))
        return number if number.is_finite() else None
    text = str(cell).strip()
    # Sodium is no missing value.
    return None if text.casefold() in _MISSING and text != "Na" else text


def _refill(plain: Sequence[Any], found: Sequence[Cell]) -> tuple[Cell, ...]:
    left = iter(found)
    return tuple(None if cell is None else next(left) for cell in plain)


def _numbers(cells: Sequence[Any]) -> tuple[list[Decimal], str] | None:
    values: list[Decimal] = []
    marks: set[str] = set()
    for cell in cells:
        if isinstance(cell, datetime.date):
            return None
        if isinstance(cell, str):
            match = _NUMBER.match(cell)
            if match is None or _PADDED.match(match["digits"]):
                return None
            marks.add(match["currency"] or match["percent"])
            try:
                value = Decimal(match["digits"].replace(",", ""))
            except InvalidOperation:
                return None
            value = -value if match["sign"] in ("-", "−") else value
        else:
            value = cell
        if value and not _SMALLEST < abs(value) < _LARGEST:
            return None
        values.append(value)
    if len(marks) > 1:
        return None
    return values, (marks or {""}).pop()


def _dates(cells: Sequence[Any], name: str) -> tuple[Kind, list[Cell]] | None:
    years = _years(cells, name)
    if years is not None:
        return "year", years
    found: list[Cell] | None = None
    if all(isinstance(cell, datetime.date) for cell in cells):
        found = list(cells)
    elif all(isinstance(cell, str) for cell in cells):
        for reads in _DATE_FORMS:
            if reads(cells[0]) is None and reads(cells[len(cells) // 2]) is None:
                continue
            read = [reads(cell) for cell in cells]
            if all(date is not None for date in read):
                found = list(read)
                break
    if found is None:
        return None
    dates = [date for date in found if isinstance(date, datetime.date)]
    if all(d.day == 1 for d in dates) and len(set(dates)) > 1:
        return ("year" if all(d.month == 1 for d in dates) else "month"), found
    return "day", found


def _years(cells: Sequence[Any], name: str) -> list[Cell] | None:
    """Whole numbers from 1000 to 2199 in a column that is called a year."""
    if not _YEAR_NAME.search(name):
        return None
    found: list[Cell] = []
    for cell in cells:
        text = str(cell)
        if not re.fullmatch(r"(1\d|20|21)\d\d(\.0+)?年?", text):
            return None
        found.append(datetime.date(int(text[:4]), 1, 1))
    return found


def _date(year: str | int, month: str | int, day: str | int = 1) -> datetime.date | None:
    try:
        return datetime.date(int(year), int(month), int(day))
    except ValueError:
        return None


def _by(pattern: str, order: Callable[[re.Match[str]], datetime.date | None]) -> Any:
    compiled = re.compile(pattern)

    def read(cell: str) -> datetime.date | None:
        match = compiled.fullmatch(cell)
        return order(match) if match else None

    return read


# 01/02/2003 may be January or February: such a column stays text.
_DATE_FORMS = (
    _by(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ]00:00(?::00(?:\.0+)?)?Z?)?",
        lambda m: _date(m[1], m[2], m[3])),
    _by(r"(\d{4})[-/](\d{1,2})", lambda m: _date(m[1], m[2])),
    _by(r"(\d{4})年(\d{1,2})月(?:(\d{1,2})日)?", lambda m: _date(m[1], m[2], m[3] or 1)),
    _by(r"([A-Za-z]{3,9})\.? (?:(\d{1,2}),? )?(\d{4})",
        lambda m: _date(m[3], _MONTHS.get(m[1].lower(), 0), m[2] or 1)),
    _by(r"(\d{1,2}) ([A-Za-z]{3,9})\.? (\d{4})",
        lambda m: _date(m[3], _MONTHS.get(m[2].lower(), 0), m[1])),
)  # fmt: skip


def _title(name: str) -> tuple[str, str]:
    """A column's name as a person would write it, and its unit where the name has one."""
    brackets = _BRACKETS.fullmatch(name)
    if brackets:
        unit = brackets[2].strip()
        plain = "%" if unit.casefold() in ("percent", "pct") else unit
        return name, plain if _short_unit(plain) else ""
    tail = _UNIT_TAIL.fullmatch(name)
    unit = ""
    if tail:
        name, unit = tail[1], tail[2].lower()
        unit = _SPELT.get(unit, unit)
    if "_" in name or re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", name):
        name = _CAMEL.sub(" ", name.replace("_", " "))
        name = " ".join(w if w.isupper() else w.lower() for w in name.split())
    return (f"{name} ({unit})" if unit else name), unit


def _short_unit(text: str) -> bool:
    return len(text) <= 8 and not any(c.isdigit() for c in text) and len(text.split()) == 1
