"""In: nothing. Out: the PNG figures of the e-books and the exams, drawn from scratch.

Each function draws one picture; its name is not the file's, `PICTURES` at the end pairs them.
Needs matplotlib, numpy and Noto Sans CJK, in the environment that `build_notebooks.py` names.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Arc, Circle, FancyArrowPatch, Polygon, Rectangle

HERE = Path(__file__).parent
ENGLISH, CHINESE = "DejaVu Sans", "Noto Sans CJK JP"


def canvas(width: float, height: float, bare: bool = True):
    """A figure with one axes, without frame and with equal scales when it is bare."""
    _figure, ax = plt.subplots(figsize=(width, height))
    if bare:
        ax.set_aspect("equal")
        ax.axis("off")
    return ax


# ---------------------------------------------------------------- the English book


def scales() -> None:
    ax = canvas(7, 2, bare=False)
    marks = [
        (-10, "atom"),
        (-7, "virus"),
        (-4, "hair"),
        (-1, "hand"),
        (2, "football\nfield"),
        (5, "small\ncountry"),
        (8, "to the\nMoon"),
        (11, "to the\nSun"),
        (16, "light\nyear"),
        (21, "galaxy"),
    ]
    ax.hlines(0, -11, 22, color="black")
    for power in range(-10, 22, 3):
        ax.vlines(power, -0.1, 0.1, color="black")
        ax.text(power, -0.4, f"$10^{{{power}}}$ m", ha="center", fontsize=8)
    for power, name in marks:
        ax.plot(power, 0, "o", color="#c1121f")
        ax.text(power, 0.25, name, ha="center", va="bottom", fontsize=8)
    ax.set_ylim(-0.7, 1.1)
    ax.axis("off")


def equation_of_time() -> None:
    ax = canvas(6.5, 3.2, bare=False)
    day = np.arange(366)
    angle = 2 * np.pi * (day - 81) / 364
    minutes = 9.87 * np.sin(2 * angle) - 7.53 * np.cos(angle) - 1.5 * np.sin(angle)
    ax.plot(day, minutes, color="#bc6c25", lw=2.5)
    ax.axhline(0, color="black", lw=0.8)
    starts = np.cumsum([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30])
    ax.set_xticks(starts, list("JFMAMJJASOND"))
    ax.set_ylabel("minutes")
    ax.set_title("The sundial against the clock")


def scales_of_heat() -> None:
    ax = canvas(5.5, 4.6, bare=False)
    marks = [(-273.15, "nothing is colder"), (0, "ice melts"), (37, "you"), (100, "water boils")]
    for x, name in ((0, "°C"), (1, "°F"), (2, "K")):
        ax.vlines(x, -273.15, 130, color="black", lw=5)
        ax.text(x, 145, name, ha="center", fontsize=13)
    for celsius, label in marks:
        values = (celsius, celsius * 9 / 5 + 32, celsius + 273.15)
        for x, value in enumerate(values):
            ax.plot(x, celsius, "_", color="#d62828", ms=18, mew=2)
            ax.text(x + 0.12, celsius, f"{value:.0f}", va="center")
        ax.text(2.6, celsius, label, va="center", style="italic")
    ax.set_xlim(-0.3, 3.7)
    ax.axis("off")


def strings() -> None:
    ax = canvas(6, 3.6, bare=False)
    x = np.linspace(0, 1, 300)
    for row, parts in enumerate((1, 2, 3, 4)):
        y = 0.35 * np.sin(parts * np.pi * x)
        ax.fill_between(x, -row + y, -row - y, color="#457b9d", alpha=0.25)
        ax.plot(x, -row + y, color="#1d3557", lw=2)
        ax.plot(np.arange(parts + 1) / parts, [-row] * (parts + 1), "o", color="#e63946")
        ax.text(1.05, -row, f"{110 * parts} Hz", va="center")
    ax.set_xlim(-0.03, 1.22)
    ax.axis("off")


def mercator() -> None:
    _figure, axes = plt.subplots(1, 2, figsize=(8, 3.8))
    turn = np.linspace(0, 2 * np.pi, 80)
    radius = np.radians(7)
    for latitude in (-60, -30, 0, 30, 60):
        for longitude in range(-150, 180, 60):
            p = np.radians(latitude)
            north = np.arcsin(
                np.sin(p) * np.cos(radius) + np.cos(p) * np.sin(radius) * np.cos(turn)
            )
            east = np.radians(longitude) + np.arctan2(
                np.sin(turn) * np.sin(radius) * np.cos(p),
                np.cos(radius) - np.sin(p) * np.sin(north),
            )
            axes[0].fill(east, np.log(np.tan(np.pi / 4 + north / 2)), color="#e76f51", ec="#9c2c13")
            axes[1].fill(east, np.sin(north) * np.pi / 2, color="#2a9d8f", ec="#14504a")
    for ax, name in zip(axes, ("angles kept", "areas kept"), strict=True):
        ax.set_aspect("equal")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_title(name)


def contours() -> None:
    _figure, (top, low) = plt.subplots(
        2, 1, figsize=(5.5, 5.2), sharex=True, height_ratios=[2, 1], layout="constrained"
    )
    x, y = np.meshgrid(np.linspace(0, 4, 200), np.linspace(0, 2.4, 120))
    height = 180 * np.exp(-((x - 1.2) ** 2 + (y - 1.2) ** 2) / 0.35)
    height += 120 * np.exp(-((x - 2.8) ** 2 + (y - 1.1) ** 2) / 0.5)
    lines = top.contour(x, y, height, levels=range(20, 180, 20), colors="#6f4518", linewidths=1)
    top.clabel(lines, levels=[40, 80, 120], fontsize=8)
    top.axhline(1.2, color="black", ls=":")
    top.set_yticks([])
    low.fill_between(x[60], height[60], color="#a98467")
    low.set_ylabel("metres")
    low.set_xlabel("kilometres")


def tanks() -> None:
    ax = canvas(6.5, 1.6, bare=False)
    ax.hlines(0, 0, 80, color="black")
    for number in (19, 40, 42, 60):
        ax.plot(number, 0, "s", color="#386641", ms=12)
        ax.text(number + {40: -1.3, 42: 1.3}.get(number, 0), 0.35, number, ha="center")
    ax.plot(74, 0, "s", mfc="none", mec="#bc4749", ms=12)
    ax.text(74, 0.35, "74 ?", ha="center", color="#bc4749")
    ax.annotate("", (74, -0.45), (60, -0.45), arrowprops={"arrowstyle": "<->", "color": "#bc4749"})
    ax.set_ylim(-0.8, 0.8)
    ax.axis("off")


def targets() -> None:
    _figure, axes = plt.subplots(1, 4, figsize=(9, 2.4))
    rng = np.random.default_rng(11)
    for ax, (spread, off) in zip(axes, ((0.5, 0), (0.1, 0.55), (0.4, 0.6), (0.1, 0)), strict=True):
        for radius in (1.2, 0.8, 0.4):
            ax.add_patch(Circle((0, 0), radius, fill=False, color="#003049"))
        shots = rng.normal(off * 0.8, spread * 0.7, (9, 2))
        ax.plot(shots[:, 0], shots[:, 1], "x", color="#d62828", mew=2)
        ax.set_xlim(-1.7, 1.7)
        ax.set_ylim(-1.7, 1.7)
        ax.set_aspect("equal")
        ax.axis("off")


# ---------------------------------------------------------------- the Chinese book


def fibres() -> None:
    ax = canvas(5.5, 3.2, bare=False)
    rng = np.random.default_rng(105)
    for count, length, colour, width in ((60, 1.6, "#7f5539", 2.2), (160, 0.5, "#ddb892", 1.4)):
        for _ in range(count):
            x, y, turn = rng.uniform(0, 5), rng.uniform(0, 3), rng.uniform(0, np.pi)
            s = np.linspace(-length, length, 30) / 2
            bend = rng.normal(0, 0.35) * s**2
            ax.plot(
                x + s * np.cos(turn) - bend * np.sin(turn),
                y + s * np.sin(turn) + bend * np.cos(turn),
                color=colour,
                lw=width,
            )
    ax.set_xlim(0, 5)
    ax.set_ylim(0, 3)
    ax.set_xticks([])
    ax.set_yticks([])


def stone_bridge() -> None:
    ax = canvas(7, 2.6)
    ax.set_xlim(-27, 27)
    ax.set_ylim(-3, 11)
    x = np.linspace(-18.5, 18.5, 200)
    radius, rise = 27.37, 7.2
    arch = np.sqrt(radius**2 - x**2) - (radius - rise)
    deck = 9.2 - 0.0042 * x**2
    wide = np.linspace(-25, 25, 200)
    ax.fill_between(wide, 0, 9.2 - 0.0042 * wide**2, color="#b8b0a2", ec="#5c5346")
    ax.fill_between(x, -3, arch, color="white", ec="#5c5346")
    assert (deck > arch).all()
    for centre, size, base in (
        (-15.2, 1.9, 3.2),
        (-11.2, 1.4, 5.2),
        (11.2, 1.4, 5.2),
        (15.2, 1.9, 3.2),
    ):
        turn = np.linspace(0, np.pi, 40)
        ax.fill(
            centre + size * np.cos(turn), base + size * np.sin(turn), color="white", ec="#5c5346"
        )
    ax.fill_between([-27, 27], -3, 0.6, color="#74c0fc", alpha=0.8, lw=0)
    ax.annotate("", (18.5, -1.2), (-18.5, -1.2), arrowprops={"arrowstyle": "<->"})
    ax.text(0, -0.9, "跨度三十七米", ha="center", fontsize=10)
    ax.annotate("", (0, 7.2), (0, 0.6), arrowprops={"arrowstyle": "<->"})
    ax.text(0.6, 3.4, "拱高七米二", fontsize=10)


def cooling_tea() -> None:
    ax = canvas(6.2, 3.6, bare=False)
    t = np.linspace(0, 40, 200)
    for name, k, colour in (
        ("敞口瓷杯", 0.05, "#bc4749"),
        ("加盖瓷杯", 0.03, "#386641"),
        ("保温杯", 0.004, "#1d3557"),
    ):
        ax.plot(t, 20 + 80 * np.exp(-k * t), label=name, color=colour, lw=2)
    ax.axhline(80, color="grey", ls=":")
    ax.set_xlabel("分钟")
    ax.set_ylabel("水温（摄氏度）")
    ax.legend()


def leap_months() -> None:
    ax = canvas(6.8, 3.2, bare=False)
    day, leaps = [0.0], 0
    for year in range(1, 20):
        months = 12 + (year * 7 // 19 - leaps)
        leaps = year * 7 // 19
        day.append(day[-1] + months * 29.5306 - 365.2422)
    ax.step(range(20), day, where="mid", color="#9d0208", lw=2)
    ax.plot(range(20), day, "o", color="#9d0208")
    ax.axhline(0, color="black", lw=0.7)
    ax.set_xticks(range(0, 20))
    ax.set_xlabel("第几年")
    ax.set_ylabel("相差（日）")


def kiln() -> None:
    ax = canvas(6.5, 3.4, bare=False)
    hours = [0, 12, 24, 36, 44, 50, 60, 72]
    heat = [30, 250, 700, 1050, 1300, 1300, 700, 120]
    ax.plot(hours, heat, "-o", color="#d00000", lw=2)
    ax.fill_between(hours, heat, color="#ffba08", alpha=0.3)
    for x, y, label in (
        (10, 420, "烘干"),
        (26, 960, "还原焰"),
        (47, 1340, "保温"),
        (60, 820, "冷却"),
    ):
        ax.text(x, y, label, ha="center")
    ax.set_ylim(0, 1480)
    ax.set_xlabel("点火后的小时数")
    ax.set_ylabel("摄氏度")


def turntable() -> None:
    ax = canvas(6.4, 3.4)
    words = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏"
    for centre, offset in ((-2.3, 0), (2.3, 12)):
        for radius in (2.0, 1.3, 0.5):
            ax.add_patch(Circle((centre, 0), radius, fill=False, lw=1.5, color="#7f5539"))
        for step in range(12):
            angle = step * np.pi / 6
            ax.plot(
                [centre + 0.5 * np.cos(angle + 0.26), centre + 2 * np.cos(angle + 0.26)],
                [0.5 * np.sin(angle + 0.26), 2 * np.sin(angle + 0.26)],
                color="#ddb892",
                lw=0.8,
            )
            ax.text(
                centre + 1.65 * np.cos(angle),
                1.65 * np.sin(angle),
                words[(step + offset) % 24],
                ha="center",
                va="center",
                fontsize=13,
            )
    ax.add_patch(Circle((0, 0), 0.22, color="#1d3557"))
    ax.text(0, -0.6, "人", ha="center", fontsize=12)
    ax.set_xlim(-4.5, 4.5)
    ax.set_ylim(-2.2, 2.2)


def tuning() -> None:
    ax = canvas(6.5, 3.2, bare=False)
    names = [
        "黄钟",
        "林钟",
        "太簇",
        "南吕",
        "姑洗",
        "应钟",
        "蕤宾",
        "大吕",
        "夷则",
        "夹钟",
        "无射",
        "仲吕",
    ]
    cents = np.arange(12) * (1200 * np.log2(1.5) - 700)
    ax.bar(range(12), cents, color="#577590")
    ax.set_xticks(range(12), names, fontsize=9)
    ax.set_ylabel("高出平均律（音分）")


BOOKS = {
    "ebooks/src/measure/images/scales.png": (scales, ENGLISH),
    "ebooks/src/measure/images/equation_of_time.png": (equation_of_time, ENGLISH),
    "ebooks/src/measure/images/scales_of_heat.png": (scales_of_heat, ENGLISH),
    "ebooks/src/measure/images/strings.png": (strings, ENGLISH),
    "ebooks/src/measure/images/mercator.png": (mercator, ENGLISH),
    "ebooks/src/measure/images/contours.png": (contours, ENGLISH),
    "ebooks/src/measure/images/tanks.png": (tanks, ENGLISH),
    "ebooks/src/measure/images/targets.png": (targets, ENGLISH),
    "ebooks/src/crafts/images/纤维.png": (fibres, CHINESE),
    "ebooks/src/crafts/images/石拱桥.png": (stone_bridge, CHINESE),
    "ebooks/src/crafts/images/凉茶.png": (cooling_tea, CHINESE),
    "ebooks/src/crafts/images/闰月.png": (leap_months, CHINESE),
    "ebooks/src/crafts/images/窑温.png": (kiln, CHINESE),
    "ebooks/src/crafts/images/转轮.png": (turntable, CHINESE),
    "ebooks/src/crafts/images/音律.png": (tuning, CHINESE),
}


# ---------------------------------------------------------------- exams


def label(ax, x, y, text, **style) -> None:
    ax.text(x, y, text, ha="center", va="center", **{"fontsize": 12, **style})


def right_triangle() -> None:
    ax = canvas(3.4, 2.6)
    ax.add_patch(Polygon([(0, 0), (4, 0), (4, 3)], fill=False, lw=2))
    ax.add_patch(Rectangle((3.7, 0), 0.3, 0.3, fill=False))
    label(ax, 2, -0.3, "8")
    label(ax, 4.3, 1.5, "6")
    label(ax, 1.8, 1.8, "x")
    label(ax, -0.2, -0.2, "A")
    label(ax, 4.2, -0.2, "B")
    label(ax, 4.2, 3.2, "C")
    ax.set_xlim(-0.6, 4.8)
    ax.set_ylim(-0.6, 3.5)


def square_in_circle() -> None:
    ax = canvas(2.8, 2.8)
    ax.add_patch(Circle((0, 0), 1, color="#a8dadc", ec="black", lw=2))
    r = np.sqrt(0.5)
    ax.add_patch(Rectangle((-r, -r), 2 * r, 2 * r, color="white", ec="black", lw=2))
    ax.plot([0, 1], [0, 0], color="black", ls="--")
    label(ax, 0.35, 0.12, "r = 4")
    ax.set_xlim(-1.1, 1.1)
    ax.set_ylim(-1.1, 1.1)


def parabola() -> None:
    ax = canvas(3.4, 3, bare=False)
    x = np.linspace(-1.6, 3.6, 200)
    ax.plot(x, x**2 - 2 * x - 3, color="#1d3557", lw=2)
    ax.axhline(0, color="black", lw=1)
    ax.axvline(0, color="black", lw=1)
    ax.grid(alpha=0.4)
    ax.set_xticks(range(-2, 5))
    ax.set_yticks(range(-4, 5))
    ax.set_ylim(-4.6, 4.2)


def bars() -> None:
    ax = canvas(3.8, 2.8, bare=False)
    ax.bar(["Mon", "Tue", "Wed", "Thu", "Fri"], [12, 18, 9, 15, 21], color="#2a9d8f")
    ax.set_ylabel("books lent")
    ax.set_yticks(range(0, 25, 3))
    ax.grid(axis="y", alpha=0.5)


def motion(xlabel: str = "time, s", ylabel: str = "speed, m/s") -> None:
    ax = canvas(4, 2.8, bare=False)
    ax.plot([0, 4, 10, 12], [0, 8, 8, 0], color="#d62828", lw=2.5)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.set_xticks(range(0, 13, 2))
    ax.set_yticks(range(0, 11, 2))
    ax.grid(alpha=0.5)


def motion_zh() -> None:
    motion("时间（秒）", "速度（米/秒）")


def resistor(ax, x, y, name, upright=False) -> None:
    w, h = (0.3, 0.8) if upright else (0.8, 0.3)
    ax.add_patch(Rectangle((x - w / 2, y - h / 2), w, h, fc="white", ec="black", lw=1.8, zorder=3))
    label(ax, x + (0.55 if upright else 0), y + (0 if upright else 0.38), name, fontsize=10)


def circuit() -> None:
    ax = canvas(4, 2.8)
    ax.plot([0, 0, 4, 4, 0, 0], [1.3, 3, 3, 0, 0, 1.1], color="black", lw=1.8)
    ax.plot([-0.35, 0.35], [1.3, 1.3], color="black", lw=1.8)
    ax.plot([-0.18, 0.18], [1.1, 1.1], color="black", lw=4)
    label(ax, -0.7, 1.2, "12 V", fontsize=10)
    ax.plot([2.2, 2.2], [3, 0], color="black", lw=1.8)
    resistor(ax, 1.1, 3, "2 Ω")
    resistor(ax, 2.2, 1.5, "6 Ω", True)
    resistor(ax, 4, 1.5, "3 Ω", True)
    ax.set_xlim(-1.2, 5)
    ax.set_ylim(-0.3, 3.8)


def lever() -> None:
    ax = canvas(4.6, 2)
    ax.plot([0, 6], [1, 1], color="#6c584c", lw=6)
    ax.add_patch(Polygon([(2, 0.93), (1.7, 0.3), (2.3, 0.3)], color="#adb5bd", ec="black"))
    ax.add_patch(Rectangle((-0.25, 1.07), 0.5, 0.5, color="#457b9d"))
    ax.add_patch(Rectangle((5.75, 1.07), 0.5, 0.5, color="#e63946"))
    label(ax, 0, 1.85, "60 N")
    label(ax, 6, 1.85, "F")
    label(ax, 1, 0.62, "0.5 m", fontsize=10)
    label(ax, 4, 0.62, "1.0 m", fontsize=10)
    ax.set_xlim(-0.7, 6.7)
    ax.set_ylim(0.1, 2.1)


def lens() -> None:
    ax = canvas(5, 2.4)
    ax.axhline(0, color="black", lw=0.8)
    ax.annotate("", (0, 1.3), (0, -1.3), arrowprops={"arrowstyle": "<->", "lw": 2})
    for x, name in ((-1, "F"), (1, "F"), (-2, "2F"), (2, "2F")):
        ax.plot(x, 0, "k.")
        label(ax, x, -0.22, name, fontsize=10)
    ax.annotate(
        "", (-2, 0.8), (-2, 0), arrowprops={"arrowstyle": "->", "lw": 2, "color": "#d62828"}
    )
    ax.plot([-2, 0, 2], [0.8, 0.8, -0.8], color="#457b9d")
    ax.plot([-2, 2], [0.8, -0.8], color="#457b9d")
    ax.annotate("", (2, -0.8), (2, 0), arrowprops={"arrowstyle": "->", "lw": 2, "color": "#d62828"})
    ax.set_xlim(-2.6, 2.8)
    ax.set_ylim(-1.4, 1.4)


def titration() -> None:
    ax = canvas(4, 3, bare=False)
    v = np.linspace(0, 40, 801)
    excess = 0.1 * (v - 20) / (20 + v)
    hydrogen = (-excess + np.sqrt(excess**2 + 4e-14)) / 2
    ax.plot(v, -np.log10(hydrogen), color="#7209b7", lw=2)
    ax.set_xlabel("mL of 0.10 mol/L NaOH")
    ax.set_ylabel("pH")
    ax.set_yticks(range(0, 15, 2))
    ax.grid(alpha=0.4)


def molecule() -> None:
    ax = canvas(3, 2)
    ax.plot([0, 1.2, 2.1], [0, 0, 0.8], color="black", lw=2)
    atoms = [(0, 0, "C"), (1.2, 0, "C"), (2.1, 0.8, "O")]
    hydrogens = [(-0.9, 0), (0, 0.9), (0, -0.9), (1.2, 0.9), (1.2, -0.9), (3, 0.8)]
    owners = [0, 0, 0, 1, 1, 2]
    for (x, y), owner in zip(hydrogens, owners, strict=True):
        ax.plot([x, atoms[owner][0]], [y, atoms[owner][1]], color="black", lw=2)
        atoms.append((x, y, "H"))
    for x, y, name in atoms:
        ax.add_patch(Circle((x, y), 0.25, color="white", zorder=3))
        label(ax, x, y, name, fontsize=14, zorder=4)
    ax.set_xlim(-1.3, 3.4)
    ax.set_ylim(-1.3, 1.3)


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


def incline() -> None:
    ax = canvas(3.8, 2.4)
    ax.add_patch(Polygon([(0, 0), (4, 0), (4, 2.31)], fill=False, lw=2))
    ax.add_patch(
        Polygon(
            [(1.6, 0.924), (2.5, 1.444), (2.2, 1.963), (1.3, 1.444)], color="#a8dadc", ec="black"
        )
    )
    ax.add_patch(Arc((0, 0), 1.6, 1.6, theta1=0, theta2=30))
    label(ax, 1.05, 0.27, "30°", fontsize=11)
    label(ax, 1.9, 1.44, "m", fontsize=11)
    ax.set_xlim(-0.2, 4.2)
    ax.set_ylim(-0.2, 2.6)


def pendulum() -> None:
    ax = canvas(2.4, 2.8)
    ax.plot([-0.7, 0.7], [0, 0], color="black", lw=4)
    ax.plot([0, 0], [0, -2], color="grey", ls="--")
    ax.plot([0, 0.9], [0, -1.78], color="black")
    ax.add_patch(Circle((0.9, -1.78), 0.15, color="#e76f51"))
    ax.add_patch(Arc((0, 0), 4, 4, theta1=250, theta2=300, color="grey"))
    label(ax, 0.75, -0.85, "L", fontsize=13)
    ax.set_xlim(-1, 1.4)
    ax.set_ylim(-2.3, 0.3)


def sector() -> None:
    ax = canvas(3, 2.4)
    turn = np.radians(np.linspace(30, 150, 80))
    ax.fill(np.r_[0, np.cos(turn)], np.r_[0, np.sin(turn)], color="#ffd166", ec="black", lw=2)
    ax.add_patch(Arc((0, 0), 0.5, 0.5, theta1=30, theta2=150))
    label(ax, 0, 0.4, "120°")
    label(ax, 0.6, 0.2, "6")
    label(ax, 0, -0.12, "O")
    ax.set_xlim(-1.1, 1.1)
    ax.set_ylim(-0.25, 1.1)


def shaded_grid() -> None:
    ax = canvas(3, 1.8)
    for x in range(5):
        for y in range(3):
            colour = (
                "#f4a261" if (x, y) in {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)} else "white"
            )
            ax.add_patch(Rectangle((x, y), 1, 1, fc=colour, ec="black", lw=1.5))
    ax.set_xlim(-0.1, 5.1)
    ax.set_ylim(-0.1, 3.1)


def clock_face() -> None:
    ax = canvas(2.2, 2.2)
    ax.add_patch(Circle((0, 0), 1, fill=False, lw=2.5))
    for hour in range(1, 13):
        angle = np.pi / 2 - hour * np.pi / 6
        label(ax, 0.82 * np.cos(angle), 0.82 * np.sin(angle), str(hour), fontsize=10)
    for turn, reach, width in ((3.5 / 12, 0.5, 5), (30 / 60, 0.7, 2.5)):
        angle = np.pi / 2 - turn * 2 * np.pi
        ax.plot([0, reach * np.cos(angle)], [0, reach * np.sin(angle)], color="black", lw=width)
    ax.set_xlim(-1.05, 1.05)
    ax.set_ylim(-1.05, 1.05)


def decay() -> None:
    ax = canvas(3.8, 2.8, bare=False)
    t = np.linspace(0, 32, 200)
    ax.plot(t, 80 * 0.5 ** (t / 8), color="#386641", lw=2)
    ax.set_xticks(range(0, 33, 4))
    ax.set_yticks(range(0, 81, 10))
    ax.grid(alpha=0.5)
    ax.set_xlabel("days")
    ax.set_ylabel("grams")


def solubility() -> None:
    ax = canvas(3.8, 3, bare=False)
    t = np.array([0, 20, 40, 60, 80])
    ax.plot(t, [13, 32, 64, 110, 169], "-o", color="#c1121f", label="硝酸钾")
    ax.plot(t, [35.7, 36.0, 36.6, 37.3, 38.4], "-s", color="#003049", label="氯化钠")
    ax.set_xlabel("温度（℃）")
    ax.set_ylabel("溶解度（克/100 克水）")
    ax.legend()
    ax.grid(alpha=0.5)


def cell() -> None:
    ax = canvas(3.8, 2.6)
    ax.add_patch(Rectangle((0, 0), 4, 2.6, fc="#e9f5db", ec="#31572c", lw=5))
    ax.add_patch(Rectangle((1.5, 0.3), 2.2, 1.4, fc="#cfe8fc", ec="#1c7ed6", lw=1.5))
    ax.add_patch(Circle((0.8, 1.8), 0.4, fc="#d0bfff", ec="#5f3dc4"))
    for x, y in ((0.4, 0.5), (1.0, 0.6), (2.2, 2.15), (3.3, 2.15)):
        ax.add_patch(matplotlib.patches.Ellipse((x, y), 0.5, 0.26, fc="#69db7c", ec="#2b8a3e"))
    label(ax, 2.6, 1.0, "甲")
    label(ax, 0.8, 1.8, "乙")
    ax.annotate("丙", (3.3, 2.15), (4.4, 2.2), arrowprops={"arrowstyle": "-"}, fontsize=12)
    ax.annotate("丁", (4.0, 0.9), (4.4, 0.6), arrowprops={"arrowstyle": "-"}, fontsize=12)
    ax.set_xlim(-0.2, 4.8)
    ax.set_ylim(-0.2, 2.8)


def earth_sun() -> None:
    ax = canvas(4.4, 2.4)
    ax.add_patch(matplotlib.patches.Ellipse((0, 0), 4.4, 2, fill=False, ls="--"))
    ax.add_patch(Circle((0, 0), 0.3, color="#ffba08"))
    label(ax, 0, -0.5, "太阳", fontsize=10)
    for x, y, name in ((2.2, 0, "甲"), (0, 1, "乙"), (-2.2, 0, "丙"), (0, -1, "丁")):
        ax.add_patch(Circle((x, y), 0.16, color="#1c7ed6", zorder=3))
        ax.plot([x - 0.13, x + 0.13], [y - 0.3, y + 0.3], color="black", lw=1.5, zorder=4)
        label(ax, x + 0.38, y + 0.12, name)
    ax.set_xlim(-2.8, 3)
    ax.set_ylim(-1.5, 1.5)


def cube_net() -> None:
    ax = canvas(3, 2.4)
    for x, y, name in (
        (0, 1, "我"),
        (1, 1, "爱"),
        (2, 1, "测"),
        (3, 1, "量"),
        (1, 2, "世"),
        (1, 0, "界"),
    ):
        ax.add_patch(Rectangle((x, y), 1, 1, fill=False, lw=1.8))
        label(ax, x + 0.5, y + 0.5, name, fontsize=15)
    ax.set_xlim(-0.1, 4.1)
    ax.set_ylim(-0.1, 3.1)


def parallel_lines() -> None:
    ax = canvas(3.4, 2.2)
    ax.plot([0, 4], [2, 2], color="black", lw=1.8)
    ax.plot([0, 4], [0.5, 0.5], color="black", lw=1.8)
    ax.plot([0.72, 3.0], [0, 2.5], color="black", lw=1.8)
    label(ax, 3.0, 1.8, "∠1")
    label(ax, 0.78, 0.7, "∠2")
    label(ax, 4.2, 2, "a")
    label(ax, 4.2, 0.5, "b")
    ax.set_xlim(-0.1, 4.5)
    ax.set_ylim(-0.2, 2.7)


EXAMS = {
    "triangle": (right_triangle, ENGLISH),
    "square_circle": (square_in_circle, ENGLISH),
    "parabola": (parabola, ENGLISH),
    "bars": (bars, ENGLISH),
    "motion": (motion, ENGLISH),
    "motion_zh": (motion_zh, CHINESE),
    "circuit": (circuit, ENGLISH),
    "lever": (lever, ENGLISH),
    "lens": (lens, ENGLISH),
    "titration": (titration, ENGLISH),
    "ethanol": (molecule, ENGLISH),
    "pedigree": (pedigree, ENGLISH),
    "food_web": (food_web, ENGLISH),
    "climate": (climate, ENGLISH),
    "climate_zh": (climate_zh, CHINESE),
    "contour_map": (contour_map, ENGLISH),
    "incline": (incline, ENGLISH),
    "pendulum": (pendulum, ENGLISH),
    "sector": (sector, ENGLISH),
    "grid": (shaded_grid, ENGLISH),
    "clock": (clock_face, ENGLISH),
    "decay": (decay, ENGLISH),
    "solubility": (solubility, CHINESE),
    "cell": (cell, CHINESE),
    "earth_sun": (earth_sun, CHINESE),
    "cube_net": (cube_net, CHINESE),
    "parallel": (parallel_lines, ENGLISH),
}
PICTURES = BOOKS | {f"exams/images/{name}.png": how for name, how in EXAMS.items()}


def main() -> None:
    """Draw every picture anew."""
    for name, (draw, font) in PICTURES.items():
        target = HERE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with plt.rc_context({"font.family": font, "axes.unicode_minus": False}):
            draw()
            plt.savefig(target, dpi=90, bbox_inches="tight", metadata={"Software": None})
            plt.close("all")


if __name__ == "__main__":
    main()
