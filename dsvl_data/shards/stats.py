"""What is in a corpus: shard indexes flow in, counts and distributions flow out.

Nothing but the indexes is read: no tar, no image. Per category, pipeline, language, source and
licence: samples, images, tokens, bytes, image sizes and text lengths, as plain data
(`Statistics.to_json`), as tables for the terminal (`tables`), and for the report (`report.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from dsvl_data import storage
from dsvl_data.shards import manifest as manifests
from dsvl_data.shards.index import index_path

#: Attribute of the index by the word that tables and JSON use.
DIMENSIONS = {
    "category": "category",
    "pipeline": "pipeline",
    "language": "language",
    "source": "dataset",
    "licence": "licence",
}
QUANTILES = {"min": 0.0, "p5": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "max": 1}

_COLUMNS = (*DIMENSIONS.values(), "images", "text_characters", "text_tokens", "image_tokens")
_COUNTS = ("samples", "images", "text_tokens", "image_tokens", "bytes")

Numbers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Distribution:
    """How values are spread: how many, their mean, quantiles (nearest value), and a histogram.

    `edges` has one value more than `bins`; they grow by a constant factor where values span
    more than two powers of ten, else by a constant whole step.
    """

    count: int
    mean: float
    quantiles: Mapping[str, int]
    edges: tuple[float, ...]
    bins: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "count": self.count,
            "mean": round(self.mean, 2),
            **self.quantiles,
            "histogram": {"edges": list(self.edges), "counts": list(self.bins)},
        }


@dataclass(frozen=True)
class Slice:
    """The samples that share one value of a dimension, or all samples.

    `bytes` are those of the payloads; `widths`, `heights` in pixels, one value an image;
    `text_characters`, one value a sample.
    """

    samples: int
    images: int
    text_tokens: int
    image_tokens: int
    bytes: int
    widths: Distribution | None
    heights: Distribution | None
    text_characters: Distribution | None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        record: dict[str, Any] = {name: getattr(self, name) for name in _COUNTS}
        for name in ("widths", "heights", "text_characters"):
            spread: Distribution | None = getattr(self, name)
            record[name] = None if spread is None else spread.to_json()
        return record


@dataclass(frozen=True)
class Statistics:
    """A corpus in numbers: the whole, and by dimension (`DIMENSIONS`) and value."""

    name: str
    tokenizer: str
    shards: int
    shard_bytes: int
    total: Slice
    by: Mapping[str, Mapping[str, Slice]]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "name": self.name,
            "tokenizer": self.tokenizer,
            "shards": self.shards,
            "shard_bytes": self.shard_bytes,
            "total": self.total.to_json(),
            "by": {
                dimension: {value: slice_.to_json() for value, slice_ in table.items()}
                for dimension, table in self.by.items()
            },
        }


def statistics(out: str) -> Statistics:
    """Read the indexes of an output folder.

    Raises `ShardError` when there is no manifest, `OSError` when an index cannot be read.
    """
    manifest = manifests.read_manifest(out)
    columns = _read(storage.join(out, shard.path) for shard in manifest.shards)
    by = {dimension: _sliced(columns, attribute) for dimension, attribute in DIMENSIONS.items()}
    return Statistics(
        name=str(manifest.recipe.get("name") or "corpus"),
        tokenizer=manifest.tokenizer,
        shards=len(manifest.shards),
        shard_bytes=sum(shard.bytes for shard in manifest.shards),
        total=_slice(columns, None),
        by=by,
    )


def tables(stats: Statistics) -> list[RenderableType]:
    """Return one `rich` table a dimension, for the terminal."""
    return [_table(dimension, rows, stats.total) for dimension, rows in stats.by.items()]


def human(value: float) -> str:
    """Write a number short: 950, 12.3 k, 4.57 M."""
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * factor:
            return f"{value / factor:.3g} {letter}"
    return f"{value:.3g}"


@dataclass(frozen=True)
class _Columns:
    """The indexes of all shards, by sample; and by image, with the sample's number."""

    labels: Mapping[str, pa.DictionaryArray]
    numbers: Mapping[str, Numbers]
    widths: Numbers
    heights: Numbers
    owners: Numbers


def _read(shards: Iterable[str]) -> _Columns:
    tables_ = []
    sizes: list[Numbers] = []
    for shard in shards:
        with storage.open_input(index_path(shard)) as source:
            # Not the keys and hashes: they are most of an index, and nothing counts them.
            table = pq.ParquetFile(source).read(
                columns=[*_COLUMNS, "image_sizes", "members.list.element.size"]
            )
        members = table.column("members").combine_chunks()
        lengths = _flat(members).field("size").to_numpy(zero_copy_only=False)
        starts = members.offsets.to_numpy()
        sums = np.concatenate([[0], np.cumsum(lengths)])
        sizes.append((sums[starts[1:]] - sums[starts[:-1]]).astype(np.int64))
        tables_.append(table.drop_columns(["members"]))
    if not tables_:
        empty = np.empty(0, np.int64)
        no_labels = pa.array([], pa.string()).dictionary_encode()
        return _Columns(
            dict.fromkeys(DIMENSIONS.values(), no_labels),
            dict.fromkeys((*_COUNTS, "text_characters"), empty),
            empty,
            empty,
            empty,
        )
    table = pa.concat_tables(tables_)
    image_sizes = table.column("image_sizes").combine_chunks()
    pixels = _flat(image_sizes)
    numbers: dict[str, Numbers] = {
        name: table.column(name).to_numpy().astype(np.int64)
        for name in ("images", "text_characters", "text_tokens", "image_tokens")
    }
    numbers["samples"] = np.ones(table.num_rows, np.int64)
    numbers["bytes"] = np.concatenate(sizes)
    return _Columns(
        {
            name: table.column(name).combine_chunks().dictionary_encode()
            for name in DIMENSIONS.values()
        },
        numbers,
        pixels.field("width").to_numpy(zero_copy_only=False).astype(np.int64),
        pixels.field("height").to_numpy(zero_copy_only=False).astype(np.int64),
        pc.list_parent_indices(image_sizes).to_numpy().astype(np.int64),
    )


def _flat(lists: pa.ListArray | pa.ChunkedArray) -> pa.StructArray:
    values = lists.flatten()
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _sliced(columns: _Columns, attribute: str) -> dict[str, Slice]:
    labels = columns.labels[attribute]
    codes = labels.indices.to_numpy(zero_copy_only=False)
    slices = {
        str(value): _slice(columns, codes == code)
        for code, value in enumerate(labels.dictionary.to_pylist())
    }
    # The largest first: what a reader looks for.
    return dict(sorted(slices.items(), key=lambda item: (-item[1].samples, item[0])))


def _slice(columns: _Columns, chosen: npt.NDArray[np.bool_] | None) -> Slice:
    def of(values: Numbers) -> Numbers:
        return values if chosen is None else values[chosen]

    images = slice(None) if chosen is None else chosen[columns.owners]
    sums = {name: int(of(columns.numbers[name]).sum()) for name in _COUNTS}
    return Slice(
        **sums,
        widths=distribution(columns.widths[images]),
        heights=distribution(columns.heights[images]),
        text_characters=distribution(of(columns.numbers["text_characters"])),
    )


def distribution(values: Numbers, bins: int = 24) -> Distribution | None:
    """Return how values (none negative) are spread; None when there are none."""
    if not len(values):
        return None
    ordered = np.sort(values)
    low, high = int(ordered[0]), int(ordered[-1])
    quantiles = {
        name: int(ordered[round(share * (len(ordered) - 1))]) for name, share in QUANTILES.items()
    }
    if high > 100 * max(low, 1):
        edges = np.geomspace(max(low, 1), high, bins + 1)
        edges[0] = low  # zeros belong to the first
    else:
        # Whole steps, or some bins would hold more whole numbers than others.
        step = -(-(high - low + 1) // bins)
        edges = np.arange(low, high + step + 1, step).astype(float)
    counts, _ = np.histogram(ordered, edges)
    return Distribution(
        count=len(ordered),
        mean=float(ordered.mean()),
        quantiles=quantiles,
        edges=tuple(round(float(edge), 3) for edge in edges),
        bins=tuple(int(count) for count in counts),
    )


def _table(dimension: str, rows: Mapping[str, Slice], total: Slice) -> Table:
    table = Table(box=SIMPLE_HEAD, header_style="bold", padding=(0, 1), pad_edge=False)
    table.add_column(f"by {dimension}", overflow="fold", min_width=12)
    for head in (
        "samples",
        "images",
        "text tokens",
        "image tokens",
        "MB",
        "median pixels",
        "characters p5/median/p95",
    ):
        table.add_column(head, justify="right")
    for name, row in rows.items():
        table.add_row(escape(name), *_cells(row))
    if len(rows) > 1:
        table.add_section()
        table.add_row("all", *_cells(total), style="bold")
    return table


def _cells(row: Slice) -> list[str]:
    size = text = "–"
    if row.widths is not None and row.heights is not None:
        size = f"{row.widths.quantiles['median']:,} × {row.heights.quantiles['median']:,}"
    if row.text_characters is not None:
        text = " / ".join(f"{row.text_characters.quantiles[q]:,}" for q in ("p5", "median", "p95"))
    return [
        f"{row.samples:,}",
        f"{row.images:,}",
        f"{row.text_tokens:,}",
        f"{row.image_tokens:,}",
        f"{row.bytes / 1e6:,.1f}",
        size,
        text,
    ]
