"""Which shards there will be, and from which parts, before any of them is written.

In: the footers of the part files (no samples, no images). Out: groups, each a set of parts of
one category that is read once, shuffled as a whole and written as shards whose names are
settled here. The plan follows from the parts' names and contents and from the settings only:
neither from how a part is cut into row groups or compressed, nor from who writes what when.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from dsvl_data import storage
from dsvl_data.pipeline import Settings
from dsvl_data.sample import CATEGORIES
from dsvl_data.shards.footer import value_bytes
from dsvl_data.shards.index import TAR_SUFFIX
from dsvl_data.shards.write import ShardError

#: Raised whenever the same parts and settings would give other shards than before.
FORMAT = 1

PARTS = "parts"
SHARDS = "shards"

#: Roughly what a sample takes besides its values: tar headers, padding, names in the JSON.
_BYTES_A_SAMPLE = 2500
_MB = 1_000_000


class ShardSettings(Settings):
    """What a recipe can say about its shards."""

    target_mb: float = Field(default=256, gt=0, description="MB (10^6 bytes) of a shard, about")
    group_mb: float = Field(
        default=512, gt=0, description="MB of samples that are shuffled together, about"
    )
    memory_mb: float = Field(
        default=768,
        gt=0,
        description="MB of samples that a worker holds; a group beyond that goes through a file",
    )
    seed: int = Field(default=0, description="seed of the order of samples")
    tokenizer: str | None = Field(
        default=None,
        description="tokenizer that counts text tokens: a tokenizer.json, its folder, or a name "
        "on the Hugging Face hub; none: an estimate",
    )


@dataclass(frozen=True, slots=True)
class Part:
    """One part file as the plan sees it.

    `name` is its path below `parts/`; `categories` counts its samples by category; `bytes` is
    the sum of all its values; `fingerprint` changes with any change of the file. Where only some
    samples are taken, the numbers are of those, and `selections` has, for the categories of which
    some are not, what changes with which.
    """

    name: str
    categories: Mapping[str, int]
    bytes: int
    fingerprint: str
    selections: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """Parts that are shuffled together, and the shards that they become.

    `parts` are paths below `parts/`, `shards` paths below the output folder; `digest` stands
    for everything that decides the shards' bytes.
    """

    name: str
    category: str
    parts: tuple[str, ...]
    shards: tuple[str, ...]
    digest: str


def list_parts(out: str) -> list[str]:
    """Return the part files of an output folder, as sorted paths below `parts/`."""
    folder = storage.join(out, PARTS)
    return [
        f"{pipeline}/{name}"
        for pipeline in storage.list_names(folder)
        if not pipeline.startswith(".")
        for name in storage.list_names(storage.join(folder, pipeline))
        if name.startswith("part-") and name.endswith(".parquet")
    ]


def read_part(out: str, name: str) -> Part:
    """Look at one part: its footer, and its categories where the footer does not tell them.

    Raises `ShardError` when it cannot be read or holds an unknown category.
    """
    path = storage.join(out, PARTS, name)
    try:
        with storage.open_input(path) as source:
            footer = read_footer(source)
            source.seek(0)
            file = pq.ParquetFile(source)
            categories = _categories(file)
            recorded = value_bytes(footer)
            total = sum(recorded.values()) if recorded else _measure(file)
            fingerprint = fingerprint_of(footer, source.size())
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ShardError(
            f"{path} is no readable part: {error}; remove it and run `dsvl-data corpus build` again"
        ) from error
    unknown = sorted(set(categories) - set(CATEGORIES))
    if unknown:
        raise ShardError(
            f"{path}: unknown category {unknown[0]!r}; a sample's category is one of "
            f"{', '.join(CATEGORIES)}"
        )
    return Part(name, categories, total, fingerprint)


def read_footer(source: pa.NativeFile) -> bytes:
    """Return the footer of an open Parquet file; `ValueError` when it has none."""
    size = source.size()
    if size < 12:
        raise ValueError("too short for a Parquet file")
    source.seek(size - 8)
    length, magic = struct.unpack("<I4s", source.read(8))
    if magic != b"PAR1" or length > size - 12:
        raise ValueError("no Parquet file, or cut off")
    source.seek(size - 8 - length)
    footer: bytes = source.read(length)
    return footer


def fingerprint_of(footer: bytes, size: int) -> str:
    """Return what changes with any change of a part: from its footer and the file's size."""
    state = hashlib.blake2b(footer, digest_size=16)
    state.update(str(size).encode())
    return state.hexdigest()


def plan(parts: Iterable[Part], settings: ShardSettings, tokenizer: str) -> list[Group]:
    """Sort parts into groups and settle their shards.

    Each category's parts are put in an order given by the seed, cut into groups of about
    `group_mb`, and each group gets as many shards as `target_mb` asks for.
    """
    listed = list(parts)
    groups = []
    for category in CATEGORIES:
        chosen = [part for part in listed if part.categories.get(category)]
        chosen.sort(key=lambda part: shuffle_key(settings.seed, part.name))
        sizes = [_bytes_of(part, category) for part in chosen]
        shards = 0
        slices = cut(sizes, _rounded(sum(sizes), settings.group_mb))
        for number, (start, stop) in enumerate(slices):
            members = chosen[start:stop]
            samples = sum(part.categories[category] for part in members)
            wanted = _rounded(sum(sizes[start:stop]), settings.target_mb)
            count = min(wanted, samples)
            names = tuple(
                f"{SHARDS}/{category}/{category}-{shards + i:05d}{TAR_SUFFIX}" for i in range(count)
            )
            shards += count
            groups.append(_group(category, number, members, names, settings, tokenizer))
    return groups


def cut(sizes: Sequence[int], count: int) -> list[tuple[int, int]]:
    """Cut a sequence into `count` runs of about equal total size, none of them empty.

    Returns (start, stop) pairs; fewer than `count` only where there are fewer items.
    """
    count = min(count, len(sizes))
    total, done, start = sum(sizes), 0, 0
    runs = []
    for number in range(count):
        stop = start + 1
        done += sizes[start]
        last_stop = len(sizes) - (count - number - 1)
        # An item goes to the run in which its middle lies.
        while stop < last_stop and (2 * done + sizes[stop]) * count <= 2 * total * (number + 1):
            done += sizes[stop]
            stop += 1
        if number == count - 1:
            stop = len(sizes)
        runs.append((start, stop))
        start = stop
    return runs


def shuffle_key(seed: int, name: str) -> bytes:
    """Return what to sort by for an order that looks random and depends on seed and names only."""
    return hashlib.blake2b(
        name.encode(), digest_size=16, salt=(seed % 2**64).to_bytes(8, "little")
    ).digest()


def _group(
    category: str,
    number: int,
    parts: Sequence[Part],
    shards: tuple[str, ...],
    settings: ShardSettings,
    tokenizer: str,
) -> Group:
    decisive = {
        "format": FORMAT,
        "category": category,
        "seed": settings.seed,
        "tokenizer": tokenizer,
        "parts": [
            [part.name, part.fingerprint + part.selections.get(category, "")] for part in parts
        ],
        "shards": shards,
    }
    digest = hashlib.blake2b(json.dumps(decisive).encode(), digest_size=16).hexdigest()
    names = tuple(part.name for part in parts)
    return Group(f"{category}-{number:05d}", category, names, shards, digest)


def _rounded(total: int, megabytes: float) -> int:
    size = max(1, round(megabytes * _MB))
    return max(1, (total + size // 2) // size)


def _bytes_of(part: Part, category: str) -> int:
    rows = sum(part.categories.values())
    mine = part.categories[category]
    return part.bytes * mine // rows + _BYTES_A_SAMPLE * mine


def _categories(file: pq.ParquetFile) -> dict[str, int]:
    """Count samples by category: from the footer if every row group has one category only."""
    counts: Counter[str] = Counter()
    names = [file.schema.column(i).path for i in range(len(file.schema))]
    column = names.index("category")
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        known = group.column(column).statistics
        if known is not None and known.has_min_max and known.min == known.max:
            counts[known.min] += group.num_rows
            continue
        values = file.read_row_group(number, columns=["category"]).column(0)
        for item in pc.value_counts(values).to_pylist():
            counts[str(item["values"])] += item["counts"]
    return dict(counts)


def _measure(file: pq.ParquetFile) -> int:
    """Sum the values' bytes by reading them, for a part whose writer did not record the sums."""
    total = 0
    for batch in file.iter_batches(batch_size=32):
        total += sum(_value_bytes(column) for column in batch.columns)
    return total


def _value_bytes(array: pa.Array) -> int:
    kind = array.type
    if pa.types.is_struct(kind):
        return sum(_value_bytes(array.field(i)) for i in range(kind.num_fields))
    if pa.types.is_map(kind):
        return _value_bytes(array.keys) + _value_bytes(array.items)
    if pa.types.is_list(kind):
        return _value_bytes(array.flatten())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return int(pc.sum(pc.binary_length(array)).as_py() or 0)
    return 0
