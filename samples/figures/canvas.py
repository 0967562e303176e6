"""In: a size in inches. Out: axes to draw a figure on.

Needs matplotlib, in the environment that `build_notebooks.py` names.
"""

from __future__ import annotations

import matplotlib.pyplot as plt

ENGLISH, CHINESE = "DejaVu Sans", "Noto Sans CJK JP"


def canvas(width: float, height: float, bare: bool = True):
    """A figure with one axes, without frame and with equal scales when it is bare."""
    _figure, ax = plt.subplots(figsize=(width, height))
    if bare:
        ax.set_aspect("equal")
        ax.axis("off")
    return ax


def label(ax, x, y, text, **style) -> None:
    ax.text(x, y, text, ha="center", va="center", **{"fontsize": 12, **style})
