"""The data card: a manifest flows in, a README in Markdown with Hugging Face's front matter out.

The front matter names each category's columns, so that `datasets.load_dataset(DIR, CATEGORY)`
need not guess them from the first samples (which fails as soon as two samples differ).
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from dsvl_data.curate import mix as mixes
from dsvl_data.render.markdown_table import write_cell, write_table
from dsvl_data.shards.manifest import Counts, Manifest

#: Columns beyond this are left to those who read the tar itself: pages of a thousand images
#: would make a front matter that nobody can read.
_MAX_COLUMNS = 64
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
)


def write_card(
    manifest: Manifest,
    dropped: Mapping[str, Mapping[str, int]],
    left_out: Mapping[str, Mapping[str, int]],
) -> str:
    """Return the data card; by pipeline and reason, documents `dropped` and samples `left_out`."""
    recipe, total = manifest.recipe, manifest.total
    name = _line(str(recipe.get("name") or "corpus"))
    blocks = [
        "---\n" + yaml.safe_dump(_front_matter(manifest), sort_keys=False, allow_unicode=True),
        "---\n",
        f"# {name}\n",
    ]
    if recipe.get("description"):
        blocks.append(_line(str(recipe["description"])) + "\n")
    blocks.append(
        f"{total.samples:,} samples with {total.images:,} images in {len(manifest.shards):,} "
        f"WebDataset shards: {total.text_tokens:,} text tokens (counted by: "
        f"{_line(manifest.tokenizer)}) and {total.image_tokens:,} image tokens "
        f"({manifest.tokens_per_image} for each image).\n"
    )
    totals = manifest.totals
    if manifest.mix:
        blocks += [
            "## Mix\n",
            "How much of each category a training is to draw; `mix` in `manifest.json` has the "
            f"weights. {mixes.sentences(manifest.mix)}\n",
            _table(mixes.HEAD, mixes.rows(manifest.mix)),
        ]
    blocks += ["## Composition\n", _composition("category", totals.category, manifest)]
    for title, table in (("pipeline", totals.pipeline), ("language", totals.language)):
        blocks.append(_composition(title, table))
    blocks += [
        "## Sources and licences\n",
        "A licence is what the recipe, or the source itself, states; `unknown` means that nobody "
        "did. Each sample carries its own in `source.licence`.\n",
        _composition("dataset", totals.dataset),
        _composition("licence", totals.licence),
        "## How it was made\n",
        f"By dsvl-data {manifest.versions['dsvl-data']}, from the recipe in `manifest.json` "
        f"(SHA-256 of its canonical JSON: `{manifest.recipe_sha256}`), shuffled with seed "
        f"{manifest.settings.seed}. The same inputs, recipe and versions give the same bytes.\n",
        _table(("package", "version"), sorted(manifest.versions.items())),
    ]
    if rows := _reasons(dropped):
        blocks += [
            "### What was left out\n",
            "Documents that gave no sample, by the reason in the ledger.\n",
            _table(("pipeline", "reason", "documents"), rows),
        ]
    if rows := _reasons(left_out):
        blocks += [
            "### What curation left out\n",
            "Samples, by the first rule of the recipe that they did not pass; of duplicates one is "
            "kept.\n",
            _table(("pipeline", "reason", "samples"), rows),
        ]
    blocks += ["## How to load it\n", _loading(manifest)]
    return "\n".join(blocks)


def _reasons(counts: Mapping[str, Mapping[str, int]]) -> list[tuple[str, str, str]]:
    return [
        (pipeline, reason, f"{count:,}")
        for pipeline, reasons in sorted(counts.items())
        for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        if count
    ]


def _front_matter(manifest: Manifest) -> dict[str, Any]:
    totals = manifest.totals
    licences = [licence.lower() for licence in totals.licence]
    known = len(licences) == 1 and licences[0] != "unknown"
    columns = {
        category: names
        for category, names in manifest.members.items()
        if len(names) <= _MAX_COLUMNS
    }
    return {
        "license": licences[0] if known else "other",
        "language": [code for code in totals.language if 2 <= len(code) <= 3 and code.isalpha()],
        "task_categories": ["image-text-to-text"],
        "tags": ["webdataset"],
        "size_categories": [
            next((name for most, name in _SIZES if manifest.total.samples < most), "n>1B")
        ],
        "configs": [
            {"config_name": category, "data_files": f"shards/{category}/*.tar"}
            for category in manifest.members
        ],
        "dataset_info": [
            {"config_name": category, "features": _features(names)}
            for category, names in columns.items()
        ],
    }


def _features(names: Sequence[str]) -> list[dict[str, str]]:
    columns = [{"name": name, "dtype": "string"} for name in ("__key__", "__url__")]
    return columns + [
        {"name": name, "dtype": "json" if name == "json" else "image"} for name in names
    ]


def _loading(manifest: Manifest) -> str:
    shard = manifest.shards[0].path if manifest.shards else "shards/CATEGORY/CATEGORY-00000.tar"
    category = manifest.shards[0].category if manifest.shards else "CATEGORY"
    return f"""A shard is a plain tar: `KEY.json`, then the images `KEY.0.png`, `KEY.1.jpg`, ...
The JSON's `segments` give the order of text and images, an image by its member's name. Beside
each shard lies an index (Parquet) with byte offsets, sizes, token counts and a hash for each
sample.

```python
import webdataset

for sample in webdataset.WebDataset("{shard}", shardshuffle=False).decode("pil"):
    print(sample["__key__"], sample["json"]["segments"])
```

```python
import datasets  # this folder, or its name on the hub

corpus = datasets.load_dataset(".", "{category}", split="train")
```

```python
import tarfile

with tarfile.open("{shard}") as shard:
    print(shard.getnames()[:4])
```

`dsvl-data shards verify DIR` reads every byte back and compares it with `manifest.json`.
"""


def _composition(title: str, table: Mapping[str, Counts], manifest: Manifest | None = None) -> str:
    head = (title, "samples", "images", "text tokens", "image tokens", "MB")
    rows = [
        (
            name,
            f"{counts.samples:,}",
            f"{counts.images:,}",
            f"{counts.text_tokens:,}",
            f"{counts.image_tokens:,}",
            f"{counts.bytes / 1e6:,.1f}",
        )
        for name, counts in table.items()
    ]
    if manifest is None:
        return _table(head, rows)
    shards = [sum(shard.category == name for shard in manifest.shards) for name in table]
    return _table(
        (*head, "shards"),
        [(*row, f"{count:,}") for row, count in zip(rows, shards, strict=True)],
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return write_table([*map(_cell, head)], ([*map(_cell, row)] for row in rows)) + "\n"


def _cell(text: str) -> str:
    return write_cell(_line(text))


def _line(text: str) -> str:
    """Names come from input: they must neither end their line nor be taken for markup."""
    return html.escape(" ".join(text.split()), quote=False).replace("`", "&#96;")
