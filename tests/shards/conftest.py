"""Made-up corpora: samples of every kind, and part files as the engine leaves them."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from dsvl_data.sample import Image, Origin, Provenance, Sample, Text, to_batch

WORDS = [
    "page",
    "图",
    "表格",
    "the",
    "of",
    "=",
    "y",
    "+1",
    "\n",
    "plot(x):",
    "<b>&amp;</b>",
    "Straße",
]


def picture(random_: random.Random, format_: str = "png") -> Image:
    """A noisy little picture, its size in [8, 40] x [8, 40]."""
    width, height = random_.randint(8, 40), random_.randint(8, 40)
    image = Pillow.frombytes("RGB", (width, height), random_.randbytes(width * height * 3))
    data = io.BytesIO()
    image.save(data, {"jpg": "JPEG"}.get(format_, format_.upper()))
    return Image(data.getvalue(), format_, width, height)


def make_sample(
    number: int,
    *,
    category: str = "document_ocr",
    pipeline: str = "ebooks",
    images: int = 1,
    seed: int = 0,
) -> Sample:
    """The sample with this number: always the same, whatever was made before."""
    random_ = random.Random(f"{seed}/{category}/{number}")
    text = " ".join(random_.choices(WORDS, k=random_.randint(1, 60)))
    format_ = random_.choice(["png", "jpg"]) if images > 1 else "png"
    return Sample(
        key=f"{random_.getrandbits(80):020x}-{number:05d}",
        document=f"books:{number // 3}.epub",
        category=category,
        segments=(*(picture(random_, format_) for _ in range(images)), Text(text)),
        language=random_.choice(["en", "zh"]),
        source=Origin("books", f"{number // 3}.epub", random_.choice(["CC0-1.0", "unknown"])),
        provenance=Provenance(pipeline, "1", {"template": random_.choice("abc")}),
        scores={"proof": round(random_.random(), 3)},
    )


def write_part(
    out: Path, name: str, samples: Sequence[Sample], *, row_group_size: int = 1000
) -> None:
    """Write a part file, `name` as in `ebooks/part-00000.parquet`."""
    path = out / "parts" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_batches([to_batch(samples)])
    pq.write_table(table, path, row_group_size=row_group_size, compression="zstd")


MakeCorpus = Callable[..., Path]


@pytest.fixture
def make_corpus(tmp_path: Path) -> MakeCorpus:
    """Parts of two pipelines and three categories in a folder of the given name."""

    def make(name: str = "out", *, row_group_size: int = 1000, parts: int = 4) -> Path:
        out = tmp_path / name
        for part in range(parts):
            pages = [make_sample(part * 100 + i) for i in range(30)]
            write_part(out, f"ebooks/part-{part:05d}.parquet", pages, row_group_size=row_group_size)
            figures = [
                make_sample(
                    part * 100 + i,
                    category="table_chart" if i % 3 else "interleaved",
                    pipeline="notebooks",
                    images=1 if i % 3 else i % 4,
                )
                for i in range(20)
            ]
            write_part(
                out, f"notebooks/part-{part:05d}.parquet", figures, row_group_size=row_group_size
            )
        return out

    return make
