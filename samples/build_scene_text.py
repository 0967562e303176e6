"""Draws the pictures of `scene_text/` and writes their annotations, in the layout of ICDAR 2015.

In: the fonts Noto Sans and Noto Sans CJK (of Debian's fonts-noto-core, fonts-noto-cjk). Out:
`scene_text/ch4_training_images/*.jpg` and, beside them, a file of quadrilaterals and texts each;
always the same bytes with the same Pillow and fonts:

    python samples/build_scene_text.py
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).parent / "scene_text"
FONTS = {
    "sans": ("/usr/share/fonts/truetype/noto/NotoSans-Bold.ttf", 0),
    "cjk": ("/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc", 2),  # simplified Chinese
}
WIDTH, HEIGHT = 800, 600


class Word(NamedTuple):
    """A text in a picture; `###` where nobody can read it. The outline is clockwise, in pixels."""

    outline: tuple[tuple[float, float], ...]
    text: str


class Scene:
    """A picture, and the words that are written into it."""

    def __init__(self, sky: str, ground: str, seed: int) -> None:
        self.picture = Image.new("RGB", (WIDTH, HEIGHT), sky)
        self.draw = ImageDraw.Draw(self.picture)
        self.draw.rectangle((0, 470, WIDTH, HEIGHT), ground)
        self.words: list[Word] = []
        self._random = random.Random(seed)

    def write(
        self,
        at: tuple[float, float],
        text: str,
        size: int,
        *,
        ink: str = "white",
        font: str = "sans",
        turn: float = 0,
        downwards: bool = False,
        legible: bool = True,
    ) -> None:
        """Write words, centred; `turn` is in degrees, counter-clockwise.

        Each is annotated, split at blanks; of Chinese, and of what runs downwards, the whole line.
        """
        file, face_number = FONTS[font]
        face = ImageFont.truetype(file, size, face_number)
        layer = Image.new("L", (WIDTH, HEIGHT), 0)
        pen = ImageDraw.Draw(layer)
        boxes: list[tuple[tuple[float, float, float, float] | None, str]] = []
        if downwards:
            top = at[1] - size * 1.1 * len(text) / 2
            for number, character in enumerate(text):
                pen.text((at[0], top + size * 1.1 * (number + 0.5)), character, 255, face, "mm")
            boxes.append((layer.getbbox(), text))
        else:
            left: float = at[0] - face.getlength(text) / 2
            for word in text.split(" "):
                pen.text((left, at[1]), word, 255, face, "lm")
                boxes.append((pen.textbbox((left, at[1]), word, face, "lm"), word))
                left += face.getlength(word + " ")
        rotation = layer.rotate(turn, Image.Resampling.BICUBIC, center=at)
        if not legible:
            rotation = rotation.filter(ImageFilter.GaussianBlur(size / 4))
        self.picture.paste(ink, mask=rotation)
        for box, word in boxes:
            assert box is not None
            outline = turned(box, turn, at)
            self.words.append(Word(outline, word if legible else "###"))

    def save(self, number: int) -> None:
        """Photograph the scene: a little noise and blur, and JPEG."""
        noise = self._random.randbytes(WIDTH * HEIGHT)
        grain = Image.frombytes("L", (WIDTH, HEIGHT), noise).convert("RGB")
        picture = Image.blend(self.picture.filter(ImageFilter.GaussianBlur(0.7)), grain, 0.06)
        images, texts = HERE / "ch4_training_images", HERE / "ch4_training_gt"
        for folder in (images, texts):
            folder.mkdir(parents=True, exist_ok=True)
        picture.save(images / f"img_{number}.jpg", quality=80)
        lines = [
            ",".join([*(str(round(side)) for point in outline for side in point), text])
            for outline, text in self.words
        ]
        # The published files begin with a byte order mark, and their lines end in both signs.
        content = "".join(f"{line}\r\n" for line in lines)
        (texts / f"gt_img_{number}.txt").write_bytes(content.encode("utf-8-sig"))
        print(f"img_{number}.jpg", len(self.words), "texts")


def turned(
    box: tuple[float, float, float, float], degrees: float, at: tuple[float, float]
) -> tuple[tuple[float, float], ...]:
    """The corners of a box that is turned counter-clockwise around a point."""
    left, top, right, bottom = box
    whole = complex(*at)
    # Pillow's angles go against the clock, and y downwards: hence the minus.
    unit = complex(0, 1) ** (-degrees / 90)
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    points = [(complex(x, y) - whole) * unit + whole for x, y in corners]
    return tuple((point.real, point.imag) for point in points)


def bakery() -> Scene:
    """A shop front, English; the small print on the door cannot be read."""
    scene = Scene("#b9cfdc", "#7d7a74", 1)
    scene.draw.rectangle((60, 60, 740, 520), "#9c5b3c")
    scene.draw.rectangle((90, 90, 710, 200), "#20352b")
    scene.draw.rectangle((110, 250, 430, 480), "#e9dfc7", "#4a2c1a", 8)
    scene.draw.rectangle((500, 250, 680, 520), "#2f5a4c", "#1b342c", 6)
    scene.draw.rectangle((535, 330, 645, 400), "#f3efe4")
    scene.write((400, 132), "The Copper Kettle", 52, ink="#f0c76a")
    scene.write((400, 178), "bakery & tea room", 26)
    scene.write((270, 300), "Fresh bread", 38, ink="#5a2f16")
    scene.write((270, 350), "from 7 o'clock", 34, ink="#5a2f16")
    scene.write((270, 430), "Closed on Mondays", 26, ink="#8a1f1f")
    scene.write((590, 290), "OPEN", 40, ink="#ffe9a8")
    scene.write((590, 350), "please ring twice", 9, ink="#555555", legible=False)
    scene.write((590, 380), "deliveries behind", 9, ink="#555555", legible=False)
    return scene


def teahouse() -> Scene:
    """A tea house, Chinese: a board across, and a couplet that runs downwards, right line first."""
    scene = Scene("#d9cdb8", "#8b8478", 2)
    scene.draw.polygon([(40, 130), (400, 20), (760, 130)], "#4b4f52")
    scene.draw.rectangle((90, 130, 710, 540), "#a8573d")
    scene.draw.rectangle((250, 150, 550, 240), "#2b2320", "#c9a24a", 5)
    scene.draw.rectangle((320, 280, 480, 540), "#5b2d1f")
    for left in (190, 540):
        scene.draw.rectangle((left, 260, left + 70, 530), "#7c1d1d", "#c9a24a", 3)
    scene.write((400, 195), "山前茶馆", 62, ink="#e6c46a", font="cjk")
    scene.write((575, 395), "一壶春水", 48, ink="#f1dca0", font="cjk", downwards=True)
    scene.write((225, 395), "半日清风", 48, ink="#f1dca0", font="cjk", downwards=True)
    return scene


def crossing() -> Scene:
    """Signs at a crossing, English and Chinese, two of them slanted."""
    scene = Scene("#a9c8e6", "#5f6b4f", 3)
    scene.draw.rectangle((385, 60, 415, 600), "#6f6f6f")
    for y, turn, colour, texts in (
        (140, 8, "#1c5fa8", (("Station Road", "sans"), ("车站路", "cjk"))),
        (290, -6, "#2d7a3e", (("River Bank", "sans"), ("河岸", "cjk"))),
    ):
        scene.draw.polygon(turned((190, y - 55, 610, y + 55), turn, (400, y)), colour, "white", 4)
        for (text, font), down in zip(texts, (-20, 28), strict=True):
            x, middle = turned((400, y + down, 401, y + down + 1), turn, (400, y))[0]
            scene.write((x, middle), text, 38 if font == "sans" else 34, font=font, turn=turn)
    scene.draw.rectangle((560, 400, 760, 540), "#f5f1df", "#333333", 4)
    scene.write((660, 440), "Slow down", 30, ink="#b01818")
    scene.write((660, 495), "20 km/h", 40, ink="#222222")
    return scene


def parcel() -> Scene:
    """A label whose text has run in the rain: hardly anything of it can be read."""
    scene = Scene("#c8a97e", "#8f7350", 4)
    scene.draw.rectangle((150, 120, 650, 450), "#faf7ef", "#b8ab93", 3)
    scene.write((400, 180), "To: 14 Millers Lane", 34, ink="#333355", legible=False)
    scene.write((400, 250), "Lower Ashby", 40, ink="#333355", legible=False)
    scene.write((400, 320), "handle with care", 34, ink="#333355", legible=False)
    scene.write((580, 410), "2 kg", 26, ink="#222222")
    return scene


SCENES: tuple[Callable[[], Scene], ...] = (bakery, teahouse, crossing, parcel)


def main() -> None:
    """Draw every scene."""
    for number, scene in enumerate(SCENES, 1):
        scene().save(number)


if __name__ == "__main__":
    main()
