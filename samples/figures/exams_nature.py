"""In: nothing. Out: the figures of the exams in biology and geography; each function draws one."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle, Ellipse, FancyArrowPatch, Rectangle

from figures.canvas import CHINESE, ENGLISH, canvas, label


def pedigree() -> None:
    ax = canvas(3.8, 2.8)
    shapes = [
        ("s", 0, 2, "white", "1"),
        ("o", 2, 2, "white", "2"),
        ("s", 0, 0, "white", "3"),
        ("o", 1, 0, "black", "4"),
        ("s", 2, 0, "white", "5"),
    ]
    ax.plot([0, 2], [2, 2], color="black", zorder=1)
    ax.plot([1, 1], [2, 1], color="black", zorder=1)
    ax.plot([0, 2], [1, 1], color="black", zorder=1)
    for x in (0, 1, 2):
        ax.plot([x, x], [1, 0], color="black", zorder=1)
    for marker, x, y, fill, name in shapes:
        ax.plot(x, y, marker, ms=26, mfc=fill, mec="black", mew=1.8, zorder=2)
        label(ax, x + 0.35, y - 0.35, name, fontsize=10)
    ax.set_xlim(-0.5, 2.6)
    ax.set_ylim(-0.6, 2.5)


def food_web() -> None:
    ax = canvas(4.2, 3)
    places = {
        "grass": (1, 0),
        "oak": (3, 0),
        "hare": (0.4, 1.3),
        "caterpillar": (2.7, 1.1),
        "fox": (0.6, 2.7),
        "tit": (3.0, 2.0),
        "hawk": (3.5, 2.9),
    }
    eaten = [
        ("grass", "hare"),
        ("oak", "caterpillar"),
        ("hare", "fox"),
        ("caterpillar", "tit"),
        ("tit", "hawk"),
        ("hare", "hawk"),
    ]
    for prey, hunter in eaten:
        ax.add_patch(
            FancyArrowPatch(
                places[prey],
                places[hunter],
                arrowstyle="-|>",
                mutation_scale=14,
                shrinkA=14,
                shrinkB=14,
                color="#588157",
            )
        )
    for name, (x, y) in places.items():
        label(ax, x, y, name, fontsize=11)
    ax.set_xlim(-0.3, 4.2)
    ax.set_ylim(-0.4, 3.3)


def cell() -> None:
    ax = canvas(3.8, 2.6)
    ax.add_patch(Rectangle((0, 0), 4, 2.6, fc="#e9f5db", ec="#31572c", lw=5))
    ax.add_patch(Rectangle((1.5, 0.3), 2.2, 1.4, fc="#cfe8fc", ec="#1c7ed6", lw=1.5))
    ax.add_patch(Circle((0.8, 1.8), 0.4, fc="#d0bfff", ec="#5f3dc4"))
    for x, y in ((0.4, 0.5), (1.0, 0.6), (2.2, 2.15), (3.3, 2.15)):
        ax.add_patch(Ellipse((x, y), 0.5, 0.26, fc="#69db7c", ec="#2b8a3e"))
    label(ax, 2.6, 1.0, "甲")
    label(ax, 0.8, 1.8, "乙")
    ax.annotate("丙", (3.3, 2.15), (4.4, 2.2), arrowprops={"arrowstyle": "-"}, fontsize=12)
    ax.annotate("丁", (4.0, 0.9), (4.4, 0.6), arrowprops={"arrowstyle": "-"}, fontsize=12)
    ax.set_xlim(-0.2, 4.8)
    ax.set_ylim(-0.2, 2.8)


def climate(
    temperature: str = "°C", rain: str = "mm", months: str = "JFMAMJJASOND", unit: int = 10
) -> None:
    _figure, ax = plt.subplots(figsize=(4, 2.8))
    fall = [80, 70, 60, 45, 20, 8, 3, 5, 25, 65, 85, 90]
    heat = [9, 10, 12, 15, 19, 24, 27, 27, 23, 18, 13, 10]
    ax.bar(range(12), fall, color="#74c0fc")
    ax.set_ylabel(rain)
    ax.set_xticks(range(12), list(months) if len(months) == 12 else range(1, 13), fontsize=unit)
    other = ax.twinx()
    other.plot(range(12), heat, "-o", color="#e03131")
    other.set_ylim(0, 35)
    other.set_ylabel(temperature)


def climate_zh() -> None:
    climate("气温（℃）", "降水量（毫米）", "月份", 9)


def contour_map() -> None:
    ax = canvas(4, 3, bare=False)
    x, y = np.meshgrid(np.linspace(0, 4, 200), np.linspace(0, 3, 150))
    height = 100 + 430 * np.exp(-((x - 1.5) ** 2 / 0.4 + (y - 1.6) ** 2 / 0.9))
    height += 260 * np.exp(-((x - 3.1) ** 2 + (y - 1.4) ** 2) / 0.25)
    lines = ax.contour(x, y, height, levels=range(100, 501, 50), colors="#7f4f24", linewidths=1)
    ax.clabel(lines, levels=[200, 300, 400], fontsize=8)
    ax.plot(1.5, 1.6, "k^")
    ax.plot(3.1, 1.4, "k^")
    ax.text(1.58, 1.62, "P", fontsize=11)
    ax.text(3.15, 1.45, "Q", fontsize=11)
    ax.set_xticks([])
    ax.set_yticks([])


def earth_sun() -> None:
    ax = canvas(4.4, 2.4)
    ax.add_patch(Ellipse((0, 0), 4.4, 2, fill=False, ls="--"))
    ax.add_patch(Circle((0, 0), 0.3, color="#ffba08"))
    label(ax, 0, -0.5, "太阳", fontsize=10)
    for x, y, name in ((2.2, 0, "甲"), (0, 1, "乙"), (-2.2, 0, "丙"), (0, -1, "丁")):
        ax.add_patch(Circle((x, y), 0.16, color="#1c7ed6", zorder=3))
        ax.plot([x - 0.13, x + 0.13], [y - 0.3, y + 0.3], color="black", lw=1.5, zorder=4)
        label(ax, x + 0.38, y + 0.12, name)
    ax.set_xlim(-2.8, 3)
    ax.set_ylim(-1.5, 1.5)


#: Each file's name below `samples/`, what draws it, and in which font.
PICTURES = {
    "exams/images/pedigree.png": (pedigree, ENGLISH),
    "exams/images/food_web.png": (food_web, ENGLISH),
    "exams/images/climate.png": (climate, ENGLISH),
    "exams/images/climate_zh.png": (climate_zh, CHINESE),
    "exams/images/contour_map.png": (contour_map, ENGLISH),
    "exams/images/cell.png": (cell, CHINESE),
    "exams/images/earth_sun.png": (earth_sun, CHINESE),
}
