"""In: nothing. Out: the figures of the exams in mathematics; each function draws one."""

from __future__ import annotations

import numpy as np
from matplotlib.patches import Arc, Circle, Polygon, Rectangle

from figures.canvas import CHINESE, ENGLISH, canvas, label


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


#: Each file's name below `samples/`, what draws it, and in which font.
PICTURES = {
    "exams/images/triangle.png": (right_triangle, ENGLISH),
    "exams/images/square_circle.png": (square_in_circle, ENGLISH),
    "exams/images/parabola.png": (parabola, ENGLISH),
    "exams/images/bars.png": (bars, ENGLISH),
    "exams/images/sector.png": (sector, ENGLISH),
    "exams/images/grid.png": (shaded_grid, ENGLISH),
    "exams/images/clock.png": (clock_face, ENGLISH),
    "exams/images/cube_net.png": (cube_net, CHINESE),
    "exams/images/parallel.png": (parallel_lines, ENGLISH),
}
