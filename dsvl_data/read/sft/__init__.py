"""Readers of conversations for supervised fine-tuning: one small declaration each, by form.

`READERS` has them all by name, which is what a recipe calls them. They are readers as those of
`dsvl_data.read.published` are; what differs is that each item is a conversation, with roles, turns
and loss on the answers, checked by `dsvl_data.read.sft.turns`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dsvl_data.read.published.reader import Reader
from dsvl_data.read.sft import answers, chats, described, llava, questions

_GROUPS = (llava.READERS, described.READERS, questions.READERS, chats.READERS, answers.READERS)


def _join() -> dict[str, Reader]:
    joined: dict[str, Reader] = {}
    for group in _GROUPS:
        for name, reader in group.items():
            if name != reader.name or name in joined:
                raise ValueError(f"two readers are called {name!r}, or one by another's name")
            joined[name] = reader
    return joined


READERS: Mapping[str, Reader] = MappingProxyType(_join())
