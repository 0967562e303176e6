"""`manifest.json`: every shard of an output folder, with counts, bytes and hash; and the totals.

In: what was written of each shard. Out: one JSON file that is the same, byte for byte, for the
same shards, recipe and versions: it holds no time, no machine, no path but the shards' own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

from pydantic import Field, ValidationError

from dsvl_data import storage
from dsvl_data.curate.mix import Amount, Mix
from dsvl_data.pipeline import Settings
from dsvl_data.shards.foreign import Form
from dsvl_data.shards.index import IMAGE_TOKENS, Entry
from dsvl_data.shards.plan import FORMAT, ShardSettings
from dsvl_data.shards.tar import Digest
from dsvl_data.shards.write import ShardError

NAME = "manifest.json"

#: Packages whose version can change what a corpus holds.
_PACKAGES = (
    "dsvl-data",
    "pyarrow",
    "xxhash",
    "tokenizers",
    "pillow",
    "pymupdf",
    "playwright",
    "lxml",
    "nbconvert",
    "nbformat",
    "latex2mathml",
)


class Counts(Settings):
    """How much there is of something; `bytes` are those of the payloads, without tar headers."""

    samples: int = 0
    images: int = 0
    text_tokens: int = 0
    image_tokens: int = 0
    bytes: int = 0


class ShardRecord(Settings):
    """One shard: where it lies below the output folder, what is in it, what it hashes to."""

    path: str
    category: str
    samples: int
    images: int
    text_tokens: int
    image_tokens: int
    bytes: int = Field(description="bytes of the tar file")
    xxh3: str = Field(description="128-bit XXH3 of the tar file, as xxh128sum prints it")


class Breakdown(Settings):
    """Counts by what the samples are and whose they are."""

    category: dict[str, Counts]
    pipeline: dict[str, Counts]
    language: dict[str, Counts]
    dataset: dict[str, Counts]
    licence: dict[str, Counts]


class Manifest(Settings):
    """What stands in `manifest.json`."""

    format: int = FORMAT
    recipe: dict[str, Any]
    recipe_sha256: str
    settings: ShardSettings
    tokenizer: str = Field(description="what counted the text tokens")
    tokens_per_image: int = IMAGE_TOKENS
    versions: dict[str, str]
    shards: list[ShardRecord]
    members: dict[str, list[str]] = Field(
        description="by category, the names that stand behind `KEY.` in its shards"
    )
    total: Counts
    totals: Breakdown
    form: Form | None = Field(
        default=None, description="how samples of shards that others wrote are read; absent: ours"
    )
    mix: Mix | None = Field(
        default=None, description="how much of each category a training draws; absent: nobody says"
    )


def shard_record(path: str, category: str, digest: Digest, totals: Breakdown) -> ShardRecord:
    """Describe a shard of one category from its digest and the breakdown of its entries."""
    total = totals.category[category]
    return ShardRecord(
        path=path,
        category=category,
        samples=total.samples,
        images=total.images,
        text_tokens=total.text_tokens,
        image_tokens=total.image_tokens,
        bytes=digest.size,
        xxh3=digest.xxh3,
    )


def breakdown(entries: Iterable[Entry]) -> Breakdown:
    """Count samples by every attribute that the manifest tells totals of."""
    return _add_up(
        (name, getattr(entry, name), counts)
        for entry in entries
        for counts in [_counts(entry)]
        for name in Breakdown.model_fields
    )


def merge(breakdowns: Iterable[Breakdown]) -> Breakdown:
    """Add breakdowns up."""
    return _add_up(
        (name, value, _numbers(counts))
        for one in breakdowns
        for name in Breakdown.model_fields
        for value, counts in getattr(one, name).items()
    )


def make(
    shards: list[ShardRecord],
    totals: Breakdown,
    members: Mapping[str, Iterable[str]],
    *,
    recipe: Mapping[str, Any],
    settings: ShardSettings,
    tokenizer: str,
    mix: Mix | None = None,
    form: Form | None = None,
) -> Manifest:
    """Put the manifest together; `recipe` is whatever the caller built from, as JSON values."""
    return Manifest(
        recipe=dict(recipe),
        recipe_sha256=hashlib.sha256(canonical(recipe)).hexdigest(),
        settings=settings,
        tokenizer=tokenizer,
        versions=_versions(),
        shards=shards,
        members={category: sort_members(names) for category, names in sorted(members.items())},
        total=_total(totals),
        totals=totals,
        mix=mix,
        form=form,
    )


def amounts(totals: Breakdown) -> dict[str, Amount]:
    """Return what there is of each category, as a mix counts it."""
    return {
        category: Amount(counts.samples, counts.text_tokens + counts.image_tokens, counts.bytes)
        for category, counts in totals.category.items()
    }


def sort_members(names: Iterable[str]) -> list[str]:
    """Sort members' names as they stand in a sample: `json`, `0.png`, `1.png`, ..., `10.png`."""
    return sorted(set(names), key=lambda name: (name[:1].isdigit(), len(name), name))


def canonical(value: Any) -> bytes:
    """Return JSON in one form only: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the bytes of `manifest.json`."""
    # Without a mix, or a form, the manifest is the one that it always was.
    absent = {name for name in ("mix", "form") if getattr(manifest, name) is None}
    values = manifest.model_dump(mode="json", exclude=absent)
    return json.dumps(values, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def read_manifest(out: str) -> Manifest:
    """Read the manifest of an output folder; `ShardError` when there is none or it is damaged."""
    path = storage.join(out, NAME)
    try:
        return Manifest.model_validate_json(storage.read_bytes(path))
    except OSError as error:
        raise ShardError(
            f"{path} cannot be read ({error}): the shards are not built, or not to the end; "
            "run `dsvl-data corpus build`"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ShardError(
            f"{path} is no manifest of this version: {place}: {first['msg']}; "
            "run `dsvl-data corpus build` again"
        ) from error


def _counts(entry: Entry) -> tuple[int, ...]:
    """The numbers of `Counts` for one sample: as a tuple, since this runs for every one."""
    size = sum(member.size for member in entry.members)
    return 1, entry.images, entry.text_tokens, entry.image_tokens, size


def _numbers(counts: Counts) -> tuple[int, ...]:
    return tuple(getattr(counts, name) for name in Counts.model_fields)


def _total(totals: Breakdown) -> Counts:
    rows = [_numbers(counts) for counts in totals.category.values()]
    sums = [sum(column) for column in zip(*rows, strict=True)]
    return Counts(**dict(zip(Counts.model_fields, sums, strict=False)))


def _add_up(items: Iterable[tuple[str, str, tuple[int, ...]]]) -> Breakdown:
    tables: dict[str, dict[str, list[int]]] = {name: {} for name in Breakdown.model_fields}
    for name, value, numbers in items:
        sums = tables[name].setdefault(value, [0] * len(Counts.model_fields))
        for position, number in enumerate(numbers):
            sums[position] += number
    return Breakdown(
        **{
            name: {
                value: Counts(**dict(zip(Counts.model_fields, sums, strict=True)))
                for value, sums in sorted(table.items())
            }
            for name, table in tables.items()
        }
    )


def _versions() -> dict[str, str]:
    def installed(package: str) -> str:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return "not installed"

    return {package: installed(package) for package in _PACKAGES}
