"""Samples of a shard for a person to look at.

In: a shard, or an output folder, and which samples. Out: renderables for the terminal, and
the images as files where asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from rich.console import RenderableType
from rich.json import JSON
from rich.rule import Rule
from rich.text import Text as RichText

from dsvl_data import storage
from dsvl_data.sample import Sample, Text, to_json
from dsvl_data.shards import manifest as manifests
from dsvl_data.shards.index import TAR_SUFFIX, read_index, read_sample
from dsvl_data.shards.write import ShardError

_Item = TypeVar("_Item")


def find(where: str, *, key: str | None = None, count: int = 1) -> Iterator[tuple[str, Sample]]:
    """Yield shard and sample: the one with `key`, or `count`, turn by turn from each category.

    `where` is a shard (`.tar`) or an output folder. Raises `ShardError` when there is no such
    shard, folder or key, or when a sample is damaged.
    """
    by_category = _shards(where)
    if key is None:
        turns = [_samples(shards) for shards in by_category.values()]
        yield from islice(_in_turn(turns), count)
        return
    found = next(_samples(chain.from_iterable(by_category.values()), key), None)
    if found is None:
        raise ShardError(
            f"{where} has no sample {key!r}; `dsvl-data corpus explain` says what became of it"
        )
    yield found


def show(shard: str, sample: Sample, *, raw: bool = False) -> Iterator[RenderableType]:
    """Yield what to print of a sample: its facts as JSON, then its segments as they are read.

    With `raw`, the whole `KEY.json` instead. Control characters of its text are made visible,
    so that no sample can play with the terminal.
    """
    record = to_json(sample)
    yield Rule(RichText(f"{shard}  {sample.key}"), align="left")
    if raw:
        yield JSON(json.dumps(record, ensure_ascii=False))
        return
    del record["segments"]
    yield JSON(json.dumps(record, ensure_ascii=False))
    images = 0
    for segment in sample.segments:
        role = f"{segment.role}: " if segment.role else ""
        if isinstance(segment, Text):
            yield RichText(role + visible(segment.text))
        else:
            yield RichText(
                f"{role}[image {images}: {segment.width} × {segment.height} {segment.format}, "
                f"{len(segment.data):,} bytes]",
                style="bold",
            )
            images += 1


def save_images(sample: Sample, folder: Path) -> list[Path]:
    """Write a sample's images as `KEY.0.png`, ... into a folder; returns their paths.

    Raises `ShardError` when they cannot be written there.
    """
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(sample.images):
            # A key of a foreign shard may hold anything; only its last component names a file.
            path = folder / f"{Path(sample.key).name}.{number}.{image.format}"
            path.write_bytes(image.data)
            paths.append(path)
    except OSError as error:
        raise ShardError(
            f"images cannot be saved in {folder}: {error.strerror}; give --images a folder that "
            "you may write to"
        ) from error
    return paths


def visible(text: str) -> str:
    """Replace control characters but newline and tab by their pictures (`␛` for escape)."""
    return text.translate(_PICTURES)


_PICTURES = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"},
    **dict.fromkeys(range(0x7F, 0xA0), 0x2421),
}


def _shards(where: str) -> dict[str, list[str]]:
    """Return the shards by category; a lone shard has one, whose name nobody needs."""
    if where.endswith(TAR_SUFFIX):
        if not storage.exists(where):
            raise ShardError(f"there is no shard {where}")
        return {"": [where]}
    found: dict[str, list[str]] = {}
    for shard in manifests.read_manifest(where).shards:
        found.setdefault(shard.category, []).append(storage.join(where, shard.path))
    return found


def _samples(shards: Iterable[str], key: str | None = None) -> Iterator[tuple[str, Sample]]:
    """Yield the samples of shards in their order, or those with `key`."""
    for shard in shards:
        try:
            index = read_index(shard)
            for entry in index:
                if key is None or entry.key == key:
                    yield shard, read_sample(shard, entry, index.form)
        except (OSError, ValueError) as error:
            raise ShardError(f"{shard} cannot be read: {error}") from error


def _in_turn(many: Sequence[Iterator[_Item]]) -> Iterator[_Item]:
    """Yield one of each, then the next of each, leaving out what has ended."""
    left = list(many)
    while left:
        still = []
        for items in left:
            for item in islice(items, 1):
                yield item
                still.append(items)
        left = still
