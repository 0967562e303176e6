"""Charts fit their tables: the right kinds, notes that say what was left out, sound numbers."""

from __future__ import annotations

import random
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsvl_data.outcome import DocumentError
from dsvl_data.plots.choose import KINDS, choose_charts
from dsvl_data.plots.facts import mean, quartiles, shown_numbers
from dsvl_data.plots.table import read_table
from tests.plots.tables import chart_of, cities, shops


def charts(text: str, count: int = 20, seed: int = 0) -> list:  # type: ignore[type-arg]
    table = read_table(text.encode(), "csv", "t")
    return choose_charts(table, random.Random(seed), count)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_drawn_and_is_what_was_asked_for(kind: str) -> None:
    assert chart_of(kind).kind == kind  # type: ignore[arg-type]


def test_kinds_come_before_repeats_and_the_seed_decides() -> None:
    table = shops()
    first = choose_charts(table, random.Random(3), 10)
    assert len({chart.kind for chart in first}) == 10
    assert first == choose_charts(table, random.Random(3), 10)
    assert first != choose_charts(table, random.Random(4), 10)


def test_no_pie_of_negative_numbers_nor_of_sizes() -> None:
    text = "city,balance,height_m\n" + "\n".join(f"c{n},{n * 7 - 20},{n + 30}" for n in range(6))
    for seed in range(10):
        kinds = {c.kind for c in charts(text, seed=seed)}
        assert not kinds & {"pie", "donut", "stacked_bar"}


def test_no_line_without_time_and_times_in_order() -> None:
    assert not {c.kind for c in charts("a,b\nx,1\ny,2\nz,3\n")} & {"line", "area", "step"}
    shuffled = "year,sold\n" + "\n".join(
        f"{y},{y * y % 97 + 5}" for y in (2003, 2001, 2005, 2002, 2004)
    )
    line = next(c for c in charts(shuffled) if c.kind in ("line", "step"))
    assert list(line.labels) == sorted(line.labels)
    assert all(a < b for a, b in pairwise(line.dates))


def test_several_numbers_for_one_time_are_averaged_and_it_is_said() -> None:
    text = "year,rate\n" + "\n".join(f"{2000 + n // 2},{n * n % 37 + 1}" for n in range(12))
    line = next(c for c in charts(text) if c.kind == "line")
    assert line.measure == "mean rate"
    assert line.note == "Means of 12 rows"
    assert line.series[0].values[0] == mean([Decimal(1), Decimal(2)])


def test_ten_thousand_rows_are_sampled_counted_or_averaged_and_it_is_said() -> None:
    draw = random.Random(1)
    rows = [
        f"{draw.gauss(50, 9):.2f},{draw.gauss(5, 2):.2f},{draw.choice('abcd')}"
        for _ in range(10_000)
    ]
    found = charts("speed,mass,kind\n" + "\n".join(rows))
    assert {"scatter", "histogram", "box", "bar"} <= {c.kind for c in found}
    for chart in found:
        assert "10,000" in chart.note, chart
        assert len(chart.rows()) <= 40


def test_two_hundred_columns() -> None:
    names = ",".join(f"value {n}" for n in range(200))
    rows = "\n".join(",".join(str((n * r) % 97) for n in range(200)) for r in range(1, 30))
    assert charts(f"{names}\n{rows}\n")


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n5,5\n5,5\n5,5\n5,5\n",  # constant
        "a\nx\n",
        "a,b\nNaN,inf\n,\nnull,NA\n",
        "id,latitude\n1,2.5\n2,3.5\n3,4.5\n",  # names and places are no measures
        "text\n" + "\n".join("word " * 40 + str(n) for n in range(9)),
    ],
)
def test_tables_that_no_chart_fits(text: str) -> None:
    try:
        assert charts(text) == []
    except DocumentError:
        pytest.fail("a table all the same")


def test_long_names_are_left_out_of_axes() -> None:
    rows = [
        f"{'a very long name that nobody can read on an axis ' * 2}{n},{n * 3 + 5}"
        for n in range(8)
    ]
    for chart in charts("name,amount\n" + "\n".join(rows)):
        assert all(len(label) <= 40 for label in chart.labels)


def test_missing_numbers_are_counted_in_the_note() -> None:
    rows = "\n".join(f"{'ab'[n % 2]},{'' if n < 2 else 10 + n * (n % 2 + 1)}" for n in range(20))
    chart = next(c for c in charts("kind,amount\n" + rows) if c.measure == "mean amount")
    assert chart.note == "Means of 18 rows; 2 rows without a value left out"


def test_large_numbers_are_shown_in_millions() -> None:
    rows = "\n".join(f"c{n},{12_345_678 * (n + 1)}" for n in range(5))
    chart = next(c for c in charts("city,people\n" + rows) if c.kind == "bar")
    assert chart.measure == "people (millions)"
    assert chart.series[0].values[0] == Decimal("12.35")
    rows = "\n".join(f"城{n},{12_345_678 * (n + 1)}" for n in range(5))
    chart = next(c for c in charts("城市,人口\n" + rows) if c.kind == "bar")
    assert (chart.measure, chart.unit) == ("人口 (万)", "万")


def test_bins_hold_every_value_once() -> None:
    chart = chart_of("histogram")
    values = [
        v for c in shops().columns if c.source in chart.columns for v in c.values
        if isinstance(v, Decimal)
    ]  # fmt: skip
    for low, high, count in zip(chart.edges, chart.edges[1:], chart.series[0].values, strict=False):
        last = high == chart.edges[-1]
        assert sum(low <= v < high or (last and v == high) for v in values) == count


def test_quartiles_are_those_of_numpy() -> None:
    import numpy as np

    values = [Decimal(n) for n in (3, 9, 1, 7, 4, 4)]
    want = np.percentile([float(v) for v in values], [0, 25, 50, 75, 100])
    assert [float(v) for v in quartiles(values)] == pytest.approx(list(want))


def test_rounding_never_makes_nothing_of_a_number() -> None:
    assert shown_numbers([[Decimal("0.001"), Decimal(800)]], "en") is None
    shown = shown_numbers([[Decimal("0.12345"), None]], "en")
    assert shown is not None
    assert shown[0] == [(Decimal("0.1234"), None)]


_CELLS = st.one_of(
    st.integers(-(10**7), 10**7).map(str),
    st.floats(allow_nan=True, allow_infinity=True, width=32).map(str),
    st.text(max_size=6),
    st.sampled_from(["", "NA", "2001-02-03", "1999", "x", "$5", "_a", "北京", "12%", "1,234"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(_CELLS, min_size=n, max_size=n), min_size=1, max_size=30)
    ),
    st.integers(0, 5),
)
def test_any_table_gives_sound_charts_or_none(cells: list[list[str]], seed: int) -> None:
    import json

    rows = [dict(zip(("year", "name", "mass_kg", "sum"), row, strict=False)) for row in cells]
    try:
        table = read_table(json.dumps(rows).encode(), "json", "t")
    except DocumentError:
        return
    for chart in choose_charts(table, random.Random(seed), 8):
        assert all(len(series.values) == len(chart.labels) for series in chart.series)
        values = [v for series in chart.series for v in series.values if v is not None]
        assert all(v.is_finite() for v in values)
        if chart.kind in ("pie", "donut"):
            assert min(values) >= 0
            assert sum(values) > 0
        assert len(chart.header()) == len(chart.rows()[0])
    assert cities()
