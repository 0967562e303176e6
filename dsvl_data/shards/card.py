"""The data card: a manifest flows in, a README in Markdown with Hugging Face's front matter out."""

from __future__ import annotations

from collections.abc import Mapping

from dsvl_data.shards.manifest import Manifest


def write_card(manifest: Manifest, dropped: Mapping[str, Mapping[str, int]]) -> str:
    """Return the data card."""
    return "# corpus\n"
