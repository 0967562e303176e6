"""Tables that tests draw: one that suits every kind of chart, in English and in Chinese."""

from __future__ import annotations

import random
from collections.abc import Sequence

from dsvl_data.plots.chart import Chart, ChartKind
from dsvl_data.plots.choose import choose_charts
from dsvl_data.plots.style import DESIGNS, Backend
from dsvl_data.plots.table import Table, read_table


def shops(*, chinese: bool = False) -> Table:
    """Months, branches, two counts and two measures: all but keyed rows."""
    draw = random.Random(4)
    names = ("month", "branch", "kind", "sold", "returned", "speed_kmh", "mass_kg")
    branches: Sequence[str] = ("North", "South & $5", "East_side")
    kinds: Sequence[str] = ("big", "small")
    if chinese:
        names = ("月份", "分店", "类型", "销量", "退货", "速度（km/h）", "质量（kg）")
        branches, kinds = ("北店", "南店", "东店"), ("大号", "小号")
    rows = [",".join(names)]
    for month in range(12):
        for number, branch in enumerate(branches):
            sold = 200 + 90 * number + draw.randint(0, 60) + 10 * month
            kind = kinds[(month + number) % 2 if draw.random() < 0.8 else 0]
            speed = draw.gauss(60 + 12 * number, 6)
            rows.append(
                f"2023-{month + 1:02d},{branch},{kind},{sold},{sold // 3 + draw.randint(0, 20)},"
                f"{speed:.1f},{speed / 2 + draw.gauss(0, 4):.1f}"
            )
    return read_table("\n".join(rows).encode(), "csv", "shops")


def cities() -> Table:
    """Named rows, with two numbers of one unit."""
    rows = ["city,wall_width_m,wall_length_m,people"]
    draw = random.Random(5)
    for name in ("Ahl", "Borun", "Cets", "Dimm", "Edra", "Fosk"):
        rows.append(
            f"{name},{draw.uniform(5, 20):.1f},{draw.uniform(8, 25):.1f},{draw.randint(90, 990)}"
        )
    return read_table("\n".join(rows).encode(), "csv", "cities")


def chart_of(kind: ChartKind, table: Table | None = None, seed: int = 0) -> Chart:
    """The first chart of this kind."""
    for attempt in range(seed, seed + 40):
        for source in [table] if table else [shops(), cities()]:
            found = choose_charts(source, random.Random(attempt), 1, [kind])
            if found:
                return found[0]
    raise AssertionError(f"no {kind}")


def designs_of(backend: Backend) -> list[str]:
    """The designs that one program draws."""
    return [name for name, design in DESIGNS.items() if design.backend == backend]
