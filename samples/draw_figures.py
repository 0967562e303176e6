"""In: nothing. Out: the PNG figures of the e-books and the exams, drawn from scratch.

Needs matplotlib, numpy and Noto Sans CJK, in the environment that `build_notebooks.py` names.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt

from figures import crafts, exams_mathematics, exams_nature, exams_physics, measure

HERE = Path(__file__).parent


def main() -> None:
    """Draw every picture anew."""
    rooms = (measure, crafts, exams_mathematics, exams_physics, exams_nature)
    pictures = [picture for room in rooms for picture in room.PICTURES.items()]
    for name, (draw, font) in pictures:
        target = HERE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with plt.rc_context({"font.family": font, "axes.unicode_minus": False}):
            draw()
            plt.savefig(target, dpi=90, bbox_inches="tight", metadata={"Software": None})
            plt.close("all")


if __name__ == "__main__":
    main()
