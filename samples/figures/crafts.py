"""In: nothing. Out: the figures of the Chinese book of crafts; each function draws one."""

from __future__ import annotations

import numpy as np
from matplotlib.patches import Circle

from figures.canvas import CHINESE, canvas


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


#: Each file's name below `samples/`, what draws it, and in which font.
PICTURES = {
    "ebooks/src/crafts/images/纤维.png": (fibres, CHINESE),
    "ebooks/src/crafts/images/石拱桥.png": (stone_bridge, CHINESE),
    "ebooks/src/crafts/images/凉茶.png": (cooling_tea, CHINESE),
    "ebooks/src/crafts/images/闰月.png": (leap_months, CHINESE),
    "ebooks/src/crafts/images/窑温.png": (kiln, CHINESE),
    "ebooks/src/crafts/images/转轮.png": (turntable, CHINESE),
    "ebooks/src/crafts/images/音律.png": (tuning, CHINESE),
}
