"""Pictures that tests make: drawings, pages of text, and copies of them."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from dsvl_data.sample import Image


def encode(picture: Pillow.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def image(picture: Pillow.Image, kind: str = "PNG", **options: Any) -> Image:
    """A picture as a sample holds it."""
    name = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}[kind]
    return Image(encode(picture, kind, **options), name, *picture.size)  # type: ignore[arg-type]


@lru_cache(maxsize=32)
def scene(seed: int, width: int = 480, height: int = 360) -> Pillow.Image:
    """Shapes in colours on a sky: a picture that differs from another's in everything."""
    random = np.random.default_rng(seed)
    sky = random.integers(0, 255, (2, 3, 3), dtype=np.uint8)
    picture = Pillow.fromarray(sky).resize((width, height), Pillow.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y = random.integers(0, width), random.integers(0, height)
        w, h = random.integers(width // 10, width // 2), random.integers(height // 10, height // 2)
        colour = tuple(random.integers(0, 255, 3).tolist())
        shape = draw.ellipse if random.random() < 0.5 else draw.rectangle
        shape((int(x), int(y), int(x + w), int(y + h)), fill=colour)
    return picture


@lru_cache(maxsize=32)
def page(seed: int, lines: int = 40) -> Pillow.Image:
    """A page of text, which looks from afar like any other."""
    random = np.random.default_rng(seed)
    picture = Pillow.new("RGB", (720, 1020), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(15)
    for line in range(lines):
        words = [
            "".join(random.choice(list("aeinorstlkmpu"), random.integers(2, 9))) for _ in range(14)
        ]
        text = " ".join(words)[: 78 if line % 9 != 8 else int(random.integers(10, 70))]
        draw.text((60, 60 + 22 * line), text, "black", font)
    return picture


def copies(picture: Pillow.Image) -> dict[str, Image]:
    """What becomes of a picture on its way through the web."""
    width, height = picture.size
    half = picture.resize((width // 2, height // 2), Pillow.Resampling.LANCZOS)
    larger = picture.resize((width * 3 // 2, height * 3 // 2), Pillow.Resampling.BICUBIC)
    return {
        "jpeg": image(picture, "JPEG", quality=75),
        "bad jpeg": image(picture, "JPEG", quality=40),
        "webp": image(picture, "WEBP", quality=60),
        "half": image(half),
        "larger": image(larger, "JPEG", quality=85),
        "transparent": image(picture.convert("RGBA")),
    }
