"""Small corpora for curation: samples with given texts, pictures and licences, as parts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from dsvl_data.sample import Image, Origin, Provenance, Sample, Text
from tests.shards.conftest import write_part

PIXEL = b"\x89PNG made up, nobody decodes it: "

ENGLISH = (
    "The harbour was quiet when the first boats came back in the morning, and the people on the "
    "pier counted them, one after the other, until the last of them had been tied to its post. "
    "Nobody spoke much. "
)
CHINESE = (
    "清晨的港口十分安静，最早出海的渔船陆续返航，"
    "码头上的人一艘一艘地数着，直到最后一艘也系好了缆绳。"
)


def sample(
    name: str,
    text: str = ENGLISH,
    *,
    images: tuple[str, ...] = (),
    category: str = "text",
    licence: str = "CC0-1.0",
    scores: Mapping[str, float] | None = None,
) -> Sample:
    """A sample called `name`; pictures are told apart by their names."""
    pictures = (Image(PIXEL + picture.encode(), "png", 8, 8) for picture in images)
    return Sample(
        key=f"{hashlib.sha256(name.encode()).hexdigest()[:12]}-{name}",
        document=f"made:{name}",
        category=category,
        segments=(*pictures, *([Text(text)] if text else [])),
        language="en",
        source=Origin("made", name, licence),
        provenance=Provenance("made", "1"),
        scores=scores or {},
    )


def key(name: str) -> str:
    """The key of the sample with this name."""
    return sample(name).key


def write(out: Path, **parts: list[Sample]) -> Path:
    """Write parts, named as in `made_0=[...]`: pipeline and number."""
    for name, samples in parts.items():
        pipeline, _, number = name.rpartition("_")
        write_part(out, f"{pipeline}/part-{int(number):05d}.parquet", samples, row_group_size=7)
    return out
