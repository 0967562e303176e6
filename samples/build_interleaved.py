"""Draws the pictures of `interleaved/` (the pages and notes beside them are written by hand).

In: nothing. Out: `interleaved/*/images/*.png`, always the same bytes with the same Pillow:

    python samples/build_interleaved.py
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent / "interleaved"
INK, PALE, RED, BLUE, SAND = "#223", "#dde3ea", "#b5452c", "#2f6690", "#d9b26f"
Draw = ImageDraw.ImageDraw


def main() -> None:
    """Draw every picture, on twice the size, and save it with a small palette."""
    for name, (width, height, draw) in PICTURES.items():
        picture = Image.new("RGB", (2 * width, 2 * height), "white")
        draw(ImageDraw.Draw(picture))
        small = picture.resize((width, height), Image.Resampling.LANCZOS).quantize(48)
        target = HERE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        small.save(target, "PNG", optimize=True)
        print(name, target.stat().st_size)


def label(draw: Draw, x: float, y: float, text: str, size: int = 26) -> None:
    """Write a word, centred."""
    draw.text((x, y), text, INK, ImageFont.load_default(size), anchor="mm")


def sails(draw: Draw) -> None:
    """A tower mill from the front."""
    draw.polygon([(310, 700), (490, 700), (450, 330), (350, 330)], SAND, INK, 4)
    draw.pieslice((345, 270, 455, 390), 180, 360, RED, INK, 4)
    for quarter in range(4):
        angle = math.radians(20 + 90 * quarter)
        along, across = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
        draw.line([(400, 320), (400 + 290 * along[0], 320 + 290 * along[1])], INK, 8)
        for step in range(60, 290, 30):
            x, y = 400 + step * along[0], 320 + step * along[1]
            draw.line([(x, y), (x + 55 * across[0], y + 55 * across[1])], BLUE, 5)
    draw.ellipse((385, 305, 415, 335), INK)
    draw.rectangle((375, 600, 425, 700), INK)
    for x, y, word in ((610, 250, "stock"), (640, 690, "tower"), (200, 330, "cap")):
        label(draw, x, y, word, 30)
    draw.line([(250, 330), (345, 340)], INK, 2)


def gears(draw: Draw) -> None:
    """A large wheel drives a small one."""
    for x, y, radius, teeth, colour in ((290, 330, 210, 24, SAND), (595, 330, 95, 10, BLUE)):
        for tooth in range(teeth):
            angle = 2 * math.pi * (tooth + 0.5) / teeth
            reach = radius + 24
            end = (x + reach * math.cos(angle), y + reach * math.sin(angle))
            draw.line([(x, y), end], INK, 16)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour, INK, 5)
        draw.ellipse((x - 14, y - 14, x + 14, y + 14), INK)
    label(draw, 290, 250, "brake wheel, 24", 32)
    label(draw, 595, 290, "wallower, 10", 24)


def stones(draw: Draw) -> None:
    """The furrows of a millstone."""
    draw.ellipse((60, 60, 640, 640), PALE, INK, 6)
    for furrow in range(10):
        start = 2 * math.pi * furrow / 10
        for lane in range(3):
            a, b = start + 0.16 * lane, start + 0.5
            r = 90 + 65 * lane
            draw.line(
                [(350 + r * math.cos(a), 350 + r * math.sin(a)),
                 (350 + 285 * math.cos(b - 0.1 * lane), 350 + 285 * math.sin(b - 0.1 * lane))],
                RED, 6,
            )  # fmt: skip
    draw.ellipse((290, 290, 410, 410), "white", INK, 5)
    label(draw, 350, 350, "eye", 34)


def wind(draw: Draw) -> None:
    """Power over wind speed: the curve of a cube."""
    draw.line([(90, 560), (760, 560)], INK, 5)
    draw.line([(90, 560), (90, 60)], INK, 5)
    points = [(90 + 62 * v, 560 - 0.47 * v**3) for v in [n / 4 for n in range(41)]]
    draw.line(points, RED, 7, joint="curve")
    for v in range(2, 11, 2):
        draw.line([(90 + 62 * v, 560), (90 + 62 * v, 572)], INK, 4)
        label(draw, 90 + 62 * v, 595, str(v))
    label(draw, 430, 640, "wind speed in metres a second", 30)
    label(draw, 190, 40, "power in kilowatts", 30)


def logo(draw: Draw) -> None:
    """The mark at the foot of every page."""
    draw.ellipse((10, 10, 250, 250), BLUE, INK, 6)
    for quarter in range(4):
        angle = math.radians(45 + 90 * quarter)
        draw.line(
            [(130, 130), (130 + 100 * math.cos(angle), 130 + 100 * math.sin(angle))], "white", 18
        )


def dial(draw: Draw) -> None:
    """The hour lines of a horizontal dial at 50 degrees north."""
    draw.rectangle((40, 40, 760, 560), "white", INK, 5)
    for hour in range(-3, 4):
        line = math.atan(math.sin(math.radians(50)) * math.tan(math.radians(15 * hour)))
        x, y = 400 + 420 * math.sin(line), 540 - 420 * math.cos(line)
        draw.line([(400, 540), (x, y)], BLUE if hour else RED, 4)
        label(draw, 400 + 455 * math.sin(line), 540 - 455 * math.cos(line), str(12 + hour), 28)
    draw.polygon([(400, 540), (400, 240), (408, 540)], SAND, INK, 3)


def shadow(draw: Draw) -> None:
    """A stick, the sun's ray and the shadow."""
    draw.line([(40, 480), (760, 480)], INK, 5)
    draw.line([(300, 480), (300, 160)], INK, 14)
    draw.line([(300, 160), (660, 480)], RED, 5)
    draw.line([(300, 160), (150, 27)], SAND, 5)
    draw.ellipse((70, -20, 170, 80), SAND, INK, 4)
    draw.line([(300, 486), (660, 486)], BLUE, 10)
    label(draw, 250, 330, "h", 44)
    label(draw, 480, 525, "s", 44)
    label(draw, 590, 450, "a", 38)


PICTURES: dict[str, tuple[int, int, Callable[[Draw], None]]] = {
    "windmill/images/sails.png": (400, 370, sails),
    "windmill/images/gears.png": (380, 320, gears),
    "windmill/images/stones.png": (350, 350, stones),
    "windmill/images/wind.png": (400, 340, wind),
    "windmill/images/logo.png": (130, 130, logo),
    "sundial/images/dial.png": (400, 300, dial),
    "sundial/images/shadow.png": (400, 280, shadow),
}

if __name__ == "__main__":
    main()
