"""Small taxonomies and indexes for the tests of what chooses from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from taxonomy import index
from taxonomy.tree import Node, Taxonomy


def tree(shape: Mapping[str, Sequence[str]]) -> Taxonomy:
    """Make a taxonomy of main categories with leaves below; without leaves they are leaves."""

    def node(name: str, children: tuple[Node, ...] = ()) -> Node:
        names = {"en": name.title(), "zh": name}
        return Node(
            id=name,
            name=names,
            definition=names,
            images=("one", "photo"),
            prompts={},
            keywords={},
            children=children,
            line=1,
            file="test.yaml",
        )

    return Taxonomy(
        tuple(node(main, tuple(node(leaf) for leaf in leaves)) for main, leaves in shape.items()),
        ("en", "zh"),
    )


def rows(values: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Make an index of rows that need say only in what they differ."""
    full = [
        {
            "key": f"k{number:05d}",
            "source": "a",
            "category": "sft_general",
            "language": "en",
            "taxonomy": None,
            "confidence": 1.0,
            "images": [],
            "text_hash": 1000 + number,
            "near": None,
            "tokens": 10,
            "part": "sft/part-00000.parquet",
            **value,
        }
        for number, value in enumerate(values)
    ]
    return pa.Table.from_pylist(full, schema=index.SCHEMA)
