"""A contact sheet: a few samples of every kind, as a person wants to see them.

In: an output folder's shards, read by byte range. Out: samples drawn by seed, evenly over
category and pipeline, with thumbnails as data URIs.
"""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq
from PIL import Image as Pillow

from dsvl_data import storage
from dsvl_data.outcome import DocumentError
from dsvl_data.read import images
from dsvl_data.sample import Image, Sample
from dsvl_data.shards import manifest as manifests
from dsvl_data.shards.index import index_path, read_index, read_sample
from dsvl_data.shards.plan import shuffle_key
from dsvl_data.shards.write import ShardError

_THUMBNAIL = (520, 640)  # pixels, at most; shown at half of that, sharp on any screen
_MOST_IMAGES = 4


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An image as the report shows it: a data URI, or why there is none."""

    uri: str
    alt: str
    width: int
    height: int
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A sample of the sheet: the sample, its first few images, and its shard's path."""

    sample: Sample
    shard: str
    thumbnails: tuple[Thumbnail, ...]


def contact_sheet(out: str, *, count: int = 24, seed: int = 0) -> list[Picture]:
    """Draw `count` samples, turn by turn from each pair of category and pipeline.

    Raises `ShardError` when there is no manifest, or a drawn sample is damaged.
    """
    manifest = manifests.read_manifest(out)
    chosen = _draw((shard.path for shard in manifest.shards), out, count, seed)
    wanted: dict[str, set[str]] = defaultdict(set)
    for shard, key in chosen:
        wanted[shard].add(key)
    found: dict[str, Sample] = {}
    for shard, keys in wanted.items():
        path = storage.join(out, shard)
        index = read_index(path)
        for entry in index:
            if entry.key in keys:
                try:
                    found[entry.key] = read_sample(path, entry, index.form)
                except (OSError, ValueError) as error:
                    raise ShardError(f"sample {entry.key} cannot be shown: {error}") from error
    return [
        Picture(
            sample := found[key],
            shard,
            tuple(thumbnail(image) for image in sample.images[:_MOST_IMAGES]),
        )
        for shard, key in chosen
    ]


def thumbnail(image: Image) -> Thumbnail:
    """Scale an image down to a data URI; one that does not decode gives its fault instead."""
    alt = f"{image.width} × {image.height} {image.format}"
    try:
        picture = images.decode(image.data)
    except DocumentError as error:
        return Thumbnail("", alt, 0, 0, error.detail)
    picture.thumbnail(_THUMBNAIL, Pillow.Resampling.LANCZOS)
    # Transparent images are made for white paper.
    rgba = picture.convert("RGBA")
    flat = Pillow.new("RGB", rgba.size, "white")
    flat.paste(rgba, mask=rgba)
    data = io.BytesIO()
    flat.save(data, "WEBP", quality=82, method=2)
    uri = "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()
    return Thumbnail(uri, alt, *flat.size)


def _draw(shards: Iterable[str], out: str, count: int, seed: int) -> list[tuple[str, str]]:
    """Return (shard, key) of the drawn samples, those of one kind together."""
    strata: dict[tuple[str, str], list[tuple[bytes, str, str]]] = defaultdict(list)
    for shard in shards:
        with storage.open_input(index_path(storage.join(out, shard))) as source:
            rows = pq.ParquetFile(source).read(columns=["key", "category", "pipeline"]).to_pylist()
        for row in rows:
            drawn = strata[row["category"], row["pipeline"]]
            drawn.append((shuffle_key(seed, row["key"]), shard, row["key"]))
        for drawn in strata.values():  # only the first can be chosen: forget the others
            drawn.sort()
            del drawn[count:]
    kinds = [drawn for _, drawn in sorted(strata.items())]
    shares = _shares([len(drawn) for drawn in kinds], count)
    return [
        (shard, key)
        for drawn, share in zip(kinds, shares, strict=True)
        for _, shard, key in drawn[:share]
    ]


def _shares(available: Sequence[int], count: int) -> list[int]:
    """Deal `count` out evenly, nobody getting more than there is."""
    shares = [0] * len(available)
    while count and shares != list(available):
        for number, most in enumerate(available):
            if count and shares[number] < most:
                shares[number] += 1
                count -= 1
    return shares
