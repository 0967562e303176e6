"""In: nothing. Out: the figures of the English book of measures; each function draws one."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle

from figures.canvas import ENGLISH, canvas


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


#: Each file's name below `samples/`, what draws it, and in which font.
PICTURES = {
    "ebooks/src/measure/images/scales.png": (scales, ENGLISH),
    "ebooks/src/measure/images/equation_of_time.png": (equation_of_time, ENGLISH),
    "ebooks/src/measure/images/scales_of_heat.png": (scales_of_heat, ENGLISH),
    "ebooks/src/measure/images/strings.png": (strings, ENGLISH),
    "ebooks/src/measure/images/mercator.png": (mercator, ENGLISH),
    "ebooks/src/measure/images/contours.png": (contours, ENGLISH),
    "ebooks/src/measure/images/tanks.png": (tanks, ENGLISH),
    "ebooks/src/measure/images/targets.png": (targets, ENGLISH),
}
