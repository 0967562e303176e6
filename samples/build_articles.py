"""Build the articles in `samples/arxiv`: the figure of `rainbow`, and both PDFs.

In: `arxiv/rainbow/rainbow.tex`, which stays beside its PDF as an article's source does, and
`arxiv_src/leap_days.tex`, which does not, since that article is the one without source. Needs
PyMuPDF and TeX Live (pdflatex); the bytes are the same with the same versions.
"""

import math
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pymupdf

HERE = Path(__file__).parent
CLOCK = {"SOURCE_DATE_EPOCH": "1793491200", "FORCE_SOURCE_DATE": "1", "TZ": "UTC"}
WATER = 1.333
WIDTH, HEIGHT = 360, 210
LEFT, TOP, RIGHT, BOTTOM = 42, 10, 350, 176


def deflection(alpha: float, reflections: int) -> float:
    """By how many degrees a drop of water turns a ray that meets it at `alpha` degrees."""
    outside = math.radians(alpha)
    inside = math.asin(math.sin(outside) / WATER)
    return math.degrees(2 * (outside - inside) + reflections * (math.pi - 2 * inside))


def place(alpha: float, degrees: float) -> pymupdf.Point:
    x = LEFT + (RIGHT - LEFT) * alpha / 90
    return pymupdf.Point(x, BOTTOM - (BOTTOM - TOP) * (degrees - 90) / 270)


def draw_deflection(target: Path) -> None:
    document = pymupdf.open()
    page = document.new_page(width=WIDTH, height=HEIGHT)
    shape = page.new_shape()
    shape.draw_rect(pymupdf.Rect(LEFT, TOP, RIGHT, BOTTOM))
    for degrees in range(120, 361, 60):
        shape.draw_line(place(0, degrees), place(1.2, degrees))
    for alpha in range(0, 91, 15):
        shape.draw_line(place(alpha, 90), place(alpha, 94))
    shape.finish(width=0.6)
    for reflections in (1, 2):
        shape.draw_polyline([place(a, deflection(a, reflections)) for a in range(91)])
        shape.finish(width=1.2, closePath=False)
    for reflections in (1, 2):
        lowest = min((a / 10 for a in range(901)), key=lambda a: deflection(a, reflections))
        value = deflection(lowest, reflections)
        shape.draw_circle(place(lowest, value), 2)
        shape.finish(width=0.6, fill=(0, 0, 0))
        shape.draw_line(place(0, value), place(lowest, value))
        shape.finish(width=0.4, dashes="[2 2] 0")
        shape.insert_text(place(lowest, value) + pymupdf.Point(-14, 13), f"{value:.1f}", fontsize=8)
    for degrees in range(120, 361, 60):
        shape.insert_text(place(0, degrees) + pymupdf.Point(-20, 3), str(degrees), fontsize=8)
    for alpha in range(0, 91, 15):
        shape.insert_text(place(alpha, 90) + pymupdf.Point(-4, 12), str(alpha), fontsize=8)
    shape.insert_text((LEFT + 92, BOTTOM + 27), "angle of incidence (degrees)", fontsize=9)
    shape.insert_text((12, BOTTOM - 45), "deflection (degrees)", fontsize=9, rotate=90)
    shape.commit()
    document.set_metadata({})
    document.save(target, garbage=4, deflate=True, no_new_id=True)


def compile_tex(source: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "article"
        shutil.copytree(source.parent, folder)
        for _ in range(3):
            subprocess.run(
                ["pdflatex", "-interaction=batchmode", "-halt-on-error", source.name],
                cwd=folder,
                env={**os.environ, **CLOCK},
                check=True,
                timeout=300,
            )
        shutil.copyfile(folder / f"{source.stem}.pdf", target)


def main() -> None:
    rainbow = HERE / "arxiv" / "rainbow"
    draw_deflection(rainbow / "deflection.pdf")
    compile_tex(rainbow / "rainbow.tex", rainbow / "rainbow.pdf")
    compile_tex(HERE / "arxiv_src" / "leap_days.tex", HERE / "arxiv" / "leap_days.pdf")


if __name__ == "__main__":
    main()
