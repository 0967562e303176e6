"""In: nothing. Out: the figures of the exams in physics and chemistry; each function draws one."""

from __future__ import annotations

import numpy as np
from matplotlib.patches import Arc, Circle, Polygon, Rectangle

from figures.canvas import CHINESE, ENGLISH, canvas, label


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


#: Each file's name below `samples/`, what draws it, and in which font.
PICTURES = {
    "exams/images/motion.png": (motion, ENGLISH),
    "exams/images/motion_zh.png": (motion_zh, CHINESE),
    "exams/images/circuit.png": (circuit, ENGLISH),
    "exams/images/lever.png": (lever, ENGLISH),
    "exams/images/lens.png": (lens, ENGLISH),
    "exams/images/titration.png": (titration, ENGLISH),
    "exams/images/ethanol.png": (molecule, ENGLISH),
    "exams/images/incline.png": (incline, ENGLISH),
    "exams/images/pendulum.png": (pendulum, ENGLISH),
    "exams/images/decay.png": (decay, ENGLISH),
    "exams/images/solubility.png": (solubility, CHINESE),
}
