"""Pictures: the code beside one draws the same, twice gives the same bytes, no letter is lost."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import vl_convert
from PIL import Image as Pillow

from dsvl_data.plots.choose import KINDS
from dsvl_data.plots.fonts import families_for, text_width, unwritable
from dsvl_data.plots.look import Box, Drawing, find_faults
from dsvl_data.plots.matplotlib_code import draw_matplotlib
from dsvl_data.plots.script import Script, literal
from dsvl_data.plots.style import DESIGNS, choose_style
from dsvl_data.plots.vega_code import draw_vega
from tests.plots.tables import chart_of, designs_of, shops

#: A process for all of them, since importing takes a second; each begins with the defaults.
_RUNNER = """
import matplotlib, os, runpy
for folder in sorted(os.listdir(".")):
    os.chdir(folder)
    matplotlib.rcdefaults()
    runpy.run_path("code.py")
    os.chdir("..")
"""


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Pillow.open(io.BytesIO(png)).convert("RGB"))


def test_the_python_beside_a_picture_draws_it(tmp_path: Path) -> None:
    """Every kind, every matplotlib design at least once; dollars and underscores are no markup."""
    designs = designs_of("matplotlib")
    drawn: dict[str, bytes] = {}
    for number, kind in enumerate(KINDS):
        chart = chart_of(kind, seed=number)
        style = choose_style(chart, random.Random(number), [designs[number % len(designs)]])
        drawing = draw_matplotlib(chart, style)
        folder = tmp_path / f"{number:02d}_{kind}"
        folder.mkdir()
        (folder / "code.py").write_text(drawing.code, encoding="utf-8")
        drawn[folder.name] = drawing.png
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "MPLBACKEND": "agg",
    }
    subprocess.run(
        [sys.executable, "-c", _RUNNER], cwd=tmp_path, env=environment, check=True, timeout=120
    )
    for name, png in drawn.items():
        again = (tmp_path / name / "chart.png").read_bytes()
        assert np.array_equal(pixels(png), pixels(again)), name


@pytest.mark.parametrize("kind", KINDS)
def test_the_specification_beside_a_picture_draws_it(kind: str) -> None:
    number = KINDS.index(kind)
    designs = designs_of("vega_lite")
    chart = chart_of(kind, seed=number)
    style = choose_style(chart, random.Random(number), [designs[number % len(designs)]])
    drawing = draw_vega(chart, style)
    again = vl_convert.vegalite_to_png(json.loads(drawing.code), scale=style.scale)
    assert again == drawing.png
    assert "url" not in json.loads(drawing.code)["data"]


@pytest.mark.parametrize("draw", [draw_matplotlib, draw_vega])
def test_the_same_twice_gives_the_same_bytes(draw: object, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    backend = "matplotlib" if draw is draw_matplotlib else "vega_lite"
    chart = chart_of("grouped_bar")
    style = choose_style(chart, random.Random(1), designs_of(backend))
    first = draw(chart, style)  # type: ignore[operator]
    monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "red")  # the machine's own taste
    assert draw(chart, style) == first  # type: ignore[operator]
    assert matplotlib.rcParams["axes.facecolor"] == "red"
    assert b"matplotlib" not in first.png


@pytest.mark.parametrize("backend", ["matplotlib", "vega_lite"])
def test_chinese_has_all_its_letters(backend: str) -> None:
    table = shops(chinese=True)
    chart = chart_of("bar", table)
    assert chart.words == "zh"
    draw = draw_matplotlib if backend == "matplotlib" else draw_vega
    style = choose_style(chart, random.Random(2), designs_of(backend))  # type: ignore[arg-type]
    assert not unwritable(chart.texts, style.families)
    with_glyphs = draw(chart, style)
    assert not with_glyphs.faults
    # With a font that lacks them the same words become boxes: another picture, and a fault.
    without = replace(style, families=("DejaVu Sans",))
    assert unwritable(chart.texts, without.families)
    assert draw(chart, without).png != with_glyphs.png
    if backend == "matplotlib":
        assert any("missing from" in fault for fault in draw(chart, without).faults)


def test_characters_of_no_font_are_named() -> None:
    assert unwritable(["a\U000f0000"], families_for(["a"], random.Random(0))) == "\U000f0000"
    assert text_width("ii", ("DejaVu Sans",), 10) < text_width("WW", ("DejaVu Sans",), 10)


@pytest.mark.parametrize("backend", ["matplotlib", "vega_lite"])
def test_boxes_are_where_the_letters_are(backend: str) -> None:
    """The text boxes that the check looks at hold the ink of the texts."""
    chart = replace(chart_of("bar"), note="")
    draw = draw_matplotlib if backend == "matplotlib" else draw_vega
    plain = "plain" if backend == "matplotlib" else "vega"
    style = choose_style(chart, random.Random(3), [plain])
    style = replace(style, titled=True, labelled=False, grid=False, scale=1.0)
    drawing = draw(chart, style)
    title = next(box for box in drawing.boxes if box.text.startswith(chart.title[:8]))
    ground = pixels(drawing.png).mean(axis=2)
    top = int(title.y - title.height / 2 - 2)
    bottom = int(title.y + title.height / 2 + 3)
    columns = np.flatnonzero((ground[max(top, 0) : bottom] < 128).any(axis=0))
    assert abs(columns[0] - (title.x - title.width / 2)) < 5
    assert abs(columns[-1] - (title.x + title.width / 2)) < 12  # Vega's bold is guessed


def box(x: float, y: float, angle: float = 0.0, text: str = "some words") -> Box:
    return Box(text, x, y, 60, 12, angle)


@pytest.mark.parametrize(
    ("boxes", "sound"),
    [
        ([box(50, 20), box(50, 40)], True),
        ([box(50, 20), box(50, 26)], False),
        ([box(50, 20), box(105, 20)], False),
        ([box(50, 20), box(111, 20)], False),  # no space between
        ([box(50, 20), box(113, 20)], True),
        ([box(50, 50, 0.7), box(75, 50, 0.7)], True),  # slanted labels beside each other
        ([box(50, 50, 0.7), box(60, 50, 0.7)], False),
        ([box(20, 20)], False),  # cut off at the left
        ([box(180, 20)], False),
    ],
)
def test_texts_that_touch_or_are_cut_are_faults(boxes: list[Box], sound: bool) -> None:
    drawing = Drawing(b"", "", "", tuple(boxes), 200, 100)
    assert (not find_faults(drawing)) is sound


def test_crowded_labels_are_seen_in_a_real_picture() -> None:
    chart = chart_of("bar")
    crowd = replace(
        chart,
        labels=tuple(f"a rather long label {n}" for n in range(40)),
        series=(replace(chart.series[0], values=chart.series[0].values[:1] * 40),),
        dates=(),
    )
    for backend, draw in (("matplotlib", draw_matplotlib), ("vega_lite", draw_vega)):
        style = choose_style(crowd, random.Random(1), designs_of(backend))  # type: ignore[arg-type]
        assert find_faults(draw(crowd, replace(style, labelled=True))), backend


def test_data_never_becomes_code() -> None:
    evil = '"]; import os; x = ["\\\n'
    script = Script()
    script.let("labels", [evil])
    space: dict[str, object] = {}
    exec(script.code, space)  # our own text, made from a hostile value
    assert space["labels"] == [evil]
    assert "os" not in space
    with pytest.raises(TypeError):
        literal(object())


def test_enough_designs_for_everybody() -> None:
    assert len(designs_of("matplotlib")) >= 8
    assert len(designs_of("vega_lite")) >= 4
    assert len(DESIGNS) == len(designs_of("matplotlib")) + len(designs_of("vega_lite"))
