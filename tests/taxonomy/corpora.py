"""A small built output folder with conversations, classified: for the tests of what reads one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image as Pillow

from dsvl_data.sample import Image, Origin, Provenance, Sample, Text, to_batch
from taxonomy import index

PART = "sft/part-00000.parquet"


def picture(number: int) -> bytes:
    """A PNG that no other number has."""
    sink = io.BytesIO()
    Pillow.new("RGB", (40, 30), (number % 256, number // 256 % 256, 90)).save(sink, "PNG")
    return sink.getvalue()


def conversation(
    number: int, question: str, answer: str, images: Sequence[int] = (), language: str = "en"
) -> Sample:
    shown = [Image(picture(each), "png", 40, 30, "user") for each in images]
    return Sample(
        f"key-{number:04d}",
        f"doc-{number:04d}",
        "sft_general",
        [
            Text("You are an assistant.", "system", False),
            *shown,
            Text(question, "user", False),
            Text(answer, "assistant", True),
            Text("And then?", "user", False),
            Text("Nothing more.", "assistant", True),
        ],
        language,
        Origin("set-a" if number % 3 else "set-b", f"u{number}", "MIT"),
        Provenance("sft", "1"),
    )


def build(out: Path, samples: Sequence[Sample], paths: Sequence[str | None]) -> str:
    """Write one part and its index; returns the folder."""
    place = out / "parts" / PART
    place.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_batches([to_batch(samples)]), place)
    labels = [(path, 0.9 if path else 0.1) for path in paths]
    index.write(str(out), PART, [index.rows(samples, labels, PART)], {"made": "by a test"})
    return str(out)


def words(number: int, count: int = 40) -> str:
    """A text that resembles no other number's."""
    return " ".join(f"w{number}x{i * 7919 % 1009}" for i in range(count))
