"""One record through a reader, with pictures from a dictionary: what the pipeline does, by hand."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.blocks import TextBlock
from dsvl_data.read.published.reader import Article, Choice, Item, Left, Reader
from dsvl_data.sample import Image, Text


def png(red: int, width: int = 8, height: int = 8) -> bytes:
    """A PNG of one colour, told from others by it."""
    rows = b"".join(b"\0" + bytes([red, 0, 0]) * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@dataclass
class Store:
    """Pictures and files by name. A picture of no bytes is a bad one."""

    pictures: Mapping[str, bytes] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


class _Listed:
    def __init__(self, names: list[str | bytes], files: list[str], store: Store) -> None:
        self._names, self._files, self._store = names, files, store

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int, /) -> Image:
        name = self._names[index]
        data = name if isinstance(name, bytes) else self._store.pictures.get(name)
        if data is None:
            raise DocumentError(Reason.MISSING_IMAGE, str(name))
        if not data.startswith(b"\x89PNG"):
            raise DocumentError(Reason.BAD_IMAGE, str(name))
        width, height = struct.unpack(">II", data[16:24])
        return Image(data, "png", width, height)

    def file(self, index: int, /) -> bytes:
        name = self._files[index]
        if name not in self._store.files:
            raise DocumentError(Reason.MISSING_FILE, name)
        return self._store.files[name]


def convert(
    reader: Reader,
    record: Mapping[str, Any],
    store: Store | None = None,
    variant: str = "",
    **thresholds: float,
) -> list[Item | Article | Left]:
    """What a record becomes; a `DocumentError` is a `Left` without an item, as in the ledger."""
    names = list(reader.pictures(record))
    files = list(reader.files(record))
    variants = {variant: 1.0} if variant else reader.variants
    choice = Choice(variants, 0.0, {**reader.thresholds, **thresholds})
    results: list[Item | Article | Left] = []
    try:
        for result in reader.convert(record, _Listed(names, files, store or Store()), choice):
            results.append(result)
    except DocumentError as error:
        results.append(Left(error.reason, "", error.detail))
    return results


def shape(item: Item | Article | Left) -> list[str | bytes]:
    """Texts, and pictures by their bytes: an item's segments, or all of an article."""
    if isinstance(item, Item):
        return [s.text if isinstance(s, Text) else s.data for s in item.segments]
    assert isinstance(item, Article), item
    shown: list[str | bytes] = []
    for block in item.blocks:
        if not isinstance(block, TextBlock):
            shown.append(block[0].data)
        text = block.markdown if isinstance(block, TextBlock) else block[1]
        if text and shown and isinstance(shown[-1], str):
            shown[-1] = f"{shown[-1]}\n\n{text}"
        elif text:
            shown.append(text)
    return shown


def reasons(results: list[Item | Article | Left]) -> list[tuple[str, str]]:
    """Why things were left, with the item's name."""
    return [(str(r.reason), r.item) for r in results if isinstance(r, Left)]


def items(results: list[Item | Article | Left]) -> list[Item]:
    return [r for r in results if isinstance(r, Item)]


def articles(results: list[Item | Article | Left]) -> list[Article]:
    return [r for r in results if isinstance(r, Article)]
