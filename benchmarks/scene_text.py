"""Scene text: published annotations and pictures to samples, against plain loops.

A made set in TextOCR's layout: one JSON file, a folder of small JPEGs. Ours lists the records
(byte ranges of the JSON, annotations joined to their picture) and converts them: pictures are
checked by header and end and passed on, outlines checked, texts put in reading order, one of
three forms made. The plain loop loads the JSON whole, reads each file and joins the texts from
top to bottom: no check, no lines, no forms. The other loop also decodes each picture and encodes
it again, as converters do that pass every picture through PIL. All on one core; every round runs
all of them in an order drawn anew; medians are printed, CPU time beside wall time, since on a
busy machine the wall says little.

    python benchmarks/scene_text.py
"""

from __future__ import annotations

import io
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from dsvl_data.pipeline import Document, DocumentRef, InputSpec
from dsvl_data.sample import Sample
from pipelines.published import PIPELINE, PublishedConverter, PublishedOptions

ROUNDS = 5
PICTURES = 5_000
#: Words a picture, on average. COCO-Text's: 145,859 texts in the pictures for training and
#: validation (https://vision.cornell.edu/se3/coco-text-2/), of which 22,184 + 7,026 have one that
#: can be read; the others become no sample. About those of ICDAR 2015, UberText, LSVT; TextOCR's.
WORDS = (5, 8, 33)
SIZE = (320, 240)
TARGET = 2_000  # pictures a second


def main() -> None:
    for words in WORDS:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), words)
            measure(Path(folder), words)


def measure(folder: Path, words: int) -> None:
    options = PublishedOptions.model_validate(
        {"sets": {"textocr": {"images": [str(folder / "train_images")]}}}
    )
    refs = listed(folder, options)
    contestants: dict[str, Callable[[], int]] = {
        "ours, list and convert": lambda: converted(listed(folder, options), options),
        "ours, convert": lambda: converted(refs, options),
        "plain loop": partial(plain, folder, encode=False),
        "loop with PIL": partial(plain, folder, encode=True),
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    order = random.Random(words)
    for _ in range(ROUNDS):
        for name in order.sample(list(contestants), len(contestants)):
            wall, processor = time.perf_counter(), time.process_time()
            made = contestants[name]()
            seconds[name].append((time.perf_counter() - wall, time.process_time() - processor))
            if made < 0.98 * PICTURES:
                raise SystemExit(f"{name}: {made} samples of {PICTURES} pictures")
    print(
        f"\n{PICTURES:,} pictures, {words} words each on average; medians of {ROUNDS} rounds, "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    cpu = {name: statistics.median(c for _, c in times) for name, times in seconds.items()}
    for name, times in seconds.items():
        wall = statistics.median(w for w, _ in times)
        print(
            f"  {name:24} {PICTURES / cpu[name]:8,.0f} pictures a CPU second "
            f"{PICTURES / wall:8,.0f} a second"
        )
    ours = cpu["ours, list and convert"]
    print(
        f"  ours: {TARGET * ours / PICTURES:.2f} of the time that {TARGET:,} pictures a second "
        f"allow; {cpu['plain loop'] / ours:.2f} x the plain loop's speed, "
        f"{cpu['loop with PIL'] / ours:.2f} x that of the loop with PIL"
    )


def listed(folder: Path, options: PublishedOptions) -> list[DocumentRef]:
    return list(PIPELINE.source([InputSpec(path=str(folder), dataset="textocr")], options))


def converted(refs: list[DocumentRef], options: PublishedOptions) -> int:
    converter = PublishedConverter(options)
    made = 0
    for start in range(0, len(refs), PIPELINE.batch_size):
        batch = [
            Document(
                ref, partial(PIPELINE.reader, ref), PIPELINE.name, PIPELINE.version, PIPELINE.limits
            )
            for ref in refs[start : start + PIPELINE.batch_size]
        ]
        made += sum(isinstance(result, Sample) for result in converter(batch))
    return made


def plain(folder: Path, *, encode: bool) -> int:
    content = json.loads((folder / "TextOCR_0.1_train.json").read_bytes())
    made = 0
    for name, picture in content["imgs"].items():
        words = [content["anns"][number] for number in content["imgToAnns"][name]]
        words.sort(key=lambda word: (word["bbox"][1], word["bbox"][0]))
        text = " ".join(word["utf8_string"] for word in words if word["utf8_string"] != ".")
        data = (folder / "train_images" / picture["file_name"].rpartition("/")[2]).read_bytes()
        if encode:
            buffer = io.BytesIO()
            Image.open(io.BytesIO(data)).convert("RGB").save(buffer, "JPEG", quality=95)
            data = buffer.getvalue()
        made += bool(text and data)
    return made


def make(folder: Path, words: int) -> None:
    """Write the set: rows of words on a sign, of different lengths, a few that cannot be read."""
    draw = random.Random(words)
    (folder / "train_images").mkdir()
    imgs: dict[str, Any] = {}
    anns: dict[str, Any] = {}
    joins: dict[str, list[str]] = {}
    for number in range(PICTURES):
        name = f"{number:016x}"
        picture = Image.new("RGB", SIZE, (draw.randrange(256), draw.randrange(256), 90))
        ImageDraw.Draw(picture).line((0, 0, *SIZE), fill="white", width=draw.randrange(3, 30))
        picture.save(folder / f"train_images/{name}.jpg", quality=85)
        imgs[name] = {"id": name, "width": SIZE[0], "height": SIZE[1], "set": "train",
                      "file_name": f"train/{name}.jpg"}  # fmt: skip
        joins[name] = []
        for word in range(max(1, round(draw.gauss(words, words / 3)))):
            x, y = 10 + 60 * (word % 5) + draw.random() * 4, 10 + 22 * (word // 5) + draw.random()
            width = draw.uniform(20, 52)
            key = f"{name}_{word + 1}"
            joins[name].append(key)
            anns[key] = {
                "id": key, "image_id": name, "bbox": [x, y, width, 14.0], "area": width * 14,
                "utf8_string": "." if word and draw.random() < 0.1 else f"word{word}",
                "points": [x, y, x + width, y + 1.0, x + width, y + 14.0, x, y + 13.0],
            }  # fmt: skip
    content = {"info": {}, "imgs": imgs, "anns": anns, "imgToAnns": joins}
    (folder / "TextOCR_0.1_train.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main()
