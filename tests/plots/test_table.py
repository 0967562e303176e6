"""Tables from bytes: types, missing cells, hostile and untidy files."""

from __future__ import annotations

import datetime
import io
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.plots.table import MAX_COLUMNS, MAX_ROWS, Table, format_of, read_table


def table(text: str | bytes, format: str = "csv") -> Table:
    data = text.encode() if isinstance(text, str) else text
    return read_table(data, format, "t")  # type: ignore[arg-type]


def kinds(found: Table) -> dict[str, str]:
    return {column.name: column.kind for column in found.columns}


def test_numbers_dates_words_and_what_is_missing() -> None:
    found = table(
        'name,price_usd,share,"weight, big",day,code\n'
        'a,"1,234.50",12%,NaN,2024-01-31,007\n'
        "b,-5,3.5%,inf,2024-02-01,012\n"
        "Na,,1%,7,2024-02-02,100\n"
    )
    assert kinds(found) == {
        "name": "text", "price (USD)": "number", "share (%)": "number", "weight, big": "number",
        "day": "day", "code": "text",
    }  # fmt: skip
    assert found.columns[0].values == ("a", "b", "Na")  # sodium is not missing
    assert found.columns[1].values == (Decimal("1234.50"), Decimal(-5), None)
    assert found.columns[3].values == (None, None, Decimal(7))
    assert found.columns[4].values[0] == datetime.date(2024, 1, 31)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["2001", "2002"], "year"),
        (["2001-01", "2001-02"], "month"),
        (["Jan 1 2000", "Feb 1 2000"], "month"),
        (["2024年3月5日", "2024年3月6日"], "day"),
        (["2012/01/01", "2012/01/02"], "day"),
        (["01/02/2003", "02/03/2003"], "text"),  # month first, or day first?
        (["2001-13-01", "2001-02-01"], "text"),
        (["2001", "no"], "text"),
    ],
)
def test_kinds_of_dates(cells: list[str], kind: str) -> None:
    assert kinds(table("year\n" + "\n".join(cells)))["year"] == kind


def test_numbers_that_are_no_years() -> None:
    assert kinds(table("amount\n2001\n2002\n")) == {"amount": "number"}


def test_names_are_cleaned_and_each_stands_once() -> None:
    found = table("bill_length_mm,a,a,,_x,bodyMass,GDP\n1,2,3,4,5,6,7\n")
    assert [column.name for column in found.columns] == [
        "bill length (mm)", "a", "a (2)", "Column 4", "x", "body mass", "GDP",
    ]  # fmt: skip
    assert found.columns[0].unit == "mm"


def test_other_delimiters_and_chinese_encodings() -> None:
    assert len(table("a;b\n1,5;2\n2,5;3\n").columns) == 2
    assert len(table("a\tb\n1\t2\n", "tsv").columns) == 2
    found = table("城市,人口\n北京,2189\n".encode("gb18030"))
    assert found.columns[0].values == ("北京",)
    assert found.columns[0].name == "城市"


def test_numbers_without_a_header_lose_no_row() -> None:
    found = table("1,2\n3,4\n")
    assert len(found) == 2
    assert [column.name for column in found.columns] == ["Column 1", "Column 2"]


def test_json_in_its_shapes() -> None:
    rows = [{"a": 1, "b": "x"}, {"a": float("nan"), "b": "y", "c": [1]}]
    for data, format in [
        (json.dumps(rows), "json"),
        (json.dumps({"data": rows, "version": 1}), "json"),
        ("\n".join(map(json.dumps, rows)), "jsonl"),
    ]:
        found = table(data, format)
        assert kinds(found) == {"a": "number", "b": "text"}, data  # a list is no cell
        assert found.columns[0].values == (Decimal(1), None)
    assert kinds(table('{"a": [1, 2], "b": ["x", "y"]}', "json")) == {"a": "number", "b": "text"}


def test_parquet_with_its_types() -> None:
    sink = io.BytesIO()
    day = datetime.datetime(2024, 5, 6)
    arrow = pa.table({"n": [1.5, None], "t": [day, day], "ok": [True, False], "l": [[1], [2]]})
    pq.write_table(arrow, sink)
    found = table(sink.getvalue(), "parquet")
    assert kinds(found) == {"n": "number", "t": "day", "ok": "text"}
    assert found.columns[2].values == ("yes", "no")


def test_rows_and_columns_beyond_the_limits_are_counted() -> None:
    found = table("a,b\n" + "1,2\n" * (MAX_ROWS + 5))
    assert (len(found), found.total) == (MAX_ROWS, MAX_ROWS + 5)
    names = ",".join(f"c{n}" for n in range(MAX_COLUMNS + 9))
    assert len(table(f"{names}\n{names.replace('c', '')}\n").columns) == MAX_COLUMNS


@pytest.mark.parametrize(
    ("data", "format", "reason"),
    [
        (b"", "csv", Reason.EMPTY_DOCUMENT),
        (b"a,b\n", "csv", Reason.EMPTY_DOCUMENT),
        (b"a,b\n1,2,3\n", "csv", Reason.BAD_TABLE),
        (b"a,b\n\0\0,1\n", "csv", Reason.BAD_TABLE),
        (b"a\n" + b"x" * (1 << 21) + b"\n", "csv", Reason.BAD_TABLE),
        (b"\xff\xff\xff\n\xff", "csv", Reason.BAD_ENCODING),
        (b"{", "json", Reason.BAD_JSON),
        (b"[" * 100_000, "json", Reason.BAD_JSON),
        (b"[1, 2]", "json", Reason.BAD_TABLE),
        (b"[]", "json", Reason.EMPTY_DOCUMENT),
        (b'[{"a": [1]}]', "json", Reason.BAD_TABLE),
        (b'{"a": 1', "jsonl", Reason.BAD_JSON),
        (b"PAR1 no parquet", "parquet", Reason.BAD_ARCHIVE),
    ],
)
def test_what_is_no_table_has_its_reason(data: bytes, format: str, reason: Reason) -> None:
    with pytest.raises(DocumentError) as error:
        table(data, format)
    assert error.value.reason is reason


def test_numbers_beyond_reason_are_words() -> None:
    assert kinds(table("a\n1e400\n2\n")) == {"a": "text"}
    assert kinds(table('[{"a": 1e308}, {"a": 1}]', "json")) == {"a": "text"}


def test_names_of_files() -> None:
    assert format_of("x/Y.CSV") == "csv"
    assert format_of("y.jsonl.gz") == "jsonl"
    assert format_of("y.txt") is None
