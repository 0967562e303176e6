"""Readers of published data sets: one small declaration each, by category.

`READERS` has them all by name, which is what a recipe calls them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dsvl_data.read.published import (
    captions,
    charts,
    interleaved,
    scene_text_sets,
    screens,
    webcode,
    wikimedia,
)
from dsvl_data.read.published.reader import Reader

_GROUPS = (
    captions.READERS,
    interleaved.READERS,
    wikimedia.READERS,
    charts.READERS,
    screens.READERS,
    webcode.READERS,
    scene_text_sets.READERS,
)


def _join() -> dict[str, Reader]:
    joined: dict[str, Reader] = {}
    for group in _GROUPS:
        for name, reader in group.items():
            if name != reader.name or name in joined:
                raise ValueError(f"two readers are called {name!r}, or one by another's name")
            joined[name] = reader
    return joined


READERS: Mapping[str, Reader] = MappingProxyType(_join())
