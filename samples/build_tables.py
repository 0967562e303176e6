"""Writes the tables of samples/charts: invented numbers, the same on each run.

Run from the repository: python samples/build_tables.py
"""

from __future__ import annotations

import csv
import json
import math
import random
from pathlib import Path

_FOLDER = Path(__file__).parent / "charts"
_BRANCHES = {"Harbour": 1900, "Old Town": 1200, "Hillside": 700}
_TEAS = (
    ("云雾绿", "绿茶", 42.5, 168),
    ("松针绿", "绿茶", 61.2, 120),
    ("早春芽", "绿茶", 18.4, 320),
    ("溪谷红", "红茶", 35.7, 145),
    ("焙火红", "红茶", 52.9, 98),
    ("蜜香红", "红茶", 24.1, 210),
    ("岩壁青", "乌龙茶", 29.8, 260),
    ("山涧青", "乌龙茶", 33.3, 185),
    ("桂花青", "乌龙茶", 15.6, 298),
    ("陈年黑", "黑茶", 47.0, 88),
    ("竹筒黑", "黑茶", 21.9, 132),
    ("雪芽白", "白茶", 12.7, 350),
    ("牡丹白", "白茶", 19.5, 226),
)
_BIRDS = {"reed runner": (62, 14.5), "cliff dipper": (81, 27.0), "dusk finch": (70, 19.5)}


def _loans() -> None:
    """A library's three branches over two years: months, categories, whole numbers."""
    draw = random.Random(11)
    with (_FOLDER / "library_loans.csv").open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["month", "branch", "loans", "visitors", "new_members"])
        for month in range(24):
            for branch, size in _BRANCHES.items():
                season = 1 + 0.25 * math.cos(math.tau * (month - 1) / 12)
                loans = round(size * season * draw.uniform(0.92, 1.08) * (1 + month / 120))
                visitors = round(loans * draw.uniform(1.3, 1.7))
                name = f"{2023 + month // 12}-{month % 12 + 1:02d}"
                out.writerow([name, branch, f"{loans:,}", f"{visitors:,}", draw.randint(8, 60)])


def _teas() -> None:
    """Chinese names and units, a category, a date, one cell missing."""
    draw = random.Random(12)
    with (_FOLDER / "茶园产量.csv").open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["品名", "茶类", "产量（吨）", "单价（元）", "采摘日期", "评分"])
        for name, kind, tons, price in _TEAS:
            score = "" if name == "竹筒黑" else f"{draw.uniform(80, 96):.1f}"
            day = f"2024年{draw.randint(3, 6)}月{draw.randint(1, 28)}日"
            out.writerow([name, kind, tons, price, day, score])


def _birds() -> None:
    """Single measurements: three kinds, two sexes, a few values missing."""
    draw = random.Random(13)
    with (_FOLDER / "ringed_birds.jsonl").open("w", encoding="utf-8") as file:
        for number in range(90):
            kind = draw.choice(list(_BIRDS))
            wing, mass = _BIRDS[kind]
            size = draw.gauss(1, 0.05)
            record = {
                "species": kind,
                "sex": draw.choice(("female", "male")),
                "wing_length_mm": round(wing * size, 1),
                "tail_length_mm": round(wing * 0.7 * size * draw.gauss(1, 0.03), 1),
                "body_mass_g": None if number % 31 == 7 else round(mass * size**2.4, 1),
            }
            file.write(json.dumps(record) + "\n")


def main() -> None:
    """Write all of them."""
    _FOLDER.mkdir(exist_ok=True)
    _loans()
    _teas()
    _birds()


if __name__ == "__main__":
    main()
