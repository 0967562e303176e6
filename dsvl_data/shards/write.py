"""From samples to one shard on disk: tar and index, written in one pass.

In: samples, and the count of their text tokens. Out: `NAME.tar` with `KEY.json`, `KEY.0.jpg`,
`KEY.1.png`, ... and beside it `NAME.index.parquet`. The tar is committed first and the index
behind it, so a shard with an index is complete.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from dsvl_data import storage
from dsvl_data.outcome import UserError
from dsvl_data.sample import Sample, to_json
from dsvl_data.shards.index import (
    Entry,
    Member,
    Pixels,
    content_hash,
    encode_index,
    index_path,
)
from dsvl_data.shards.tar import BLOCK, Digest, TarWriter

#: Readers split a member's name at the first dot behind the last slash, so a key has neither;
#: nor anything that means something to a file system when the shard is unpacked.
_KEY = re.compile(r"[^\x00-\x20./\\:*?\"<>|\x7f-\x9f]{1,200}")

#: Names of files in the making; nothing reads them, `build` sweeps them.
STAGING_PREFIX = ".writing-"


class ShardError(UserError):
    """Shards cannot be built or read as asked; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A sample as its shard holds it: the payloads (JSON first) and its index entry."""

    entry: Entry
    payloads: Sequence[bytes | memoryview]

    @property
    def size(self) -> int:
        """Bytes that the sample takes in a tar, headers and padding included."""
        return sum(BLOCK + len(payload) + -len(payload) % BLOCK for payload in self.payloads)


def encode(sample: Sample, text_tokens: int) -> Encoded:
    """Turn a sample into payloads and index entry.

    Raises `ShardError` for a key that a tar's readers would take apart, and for a score that
    JSON cannot say (NaN, infinity).
    """
    if not _KEY.fullmatch(sample.key):
        raise ShardError(
            f"sample {sample.key!r} of {sample.document!r}: a key must not hold dots, slashes, "
            "spaces or control characters; the pipeline's `Document.sample` makes keys without"
        )
    try:
        if not all(map(math.isfinite, sample.scores.values())):
            raise ValueError(f"a score is not finite: {dict(sample.scores)}")
        record = orjson.dumps(to_json(sample), option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError) as error:
        raise ShardError(
            f"sample {sample.key!r} of {sample.document!r} cannot be written as JSON: {error}; "
            f"its pipeline ({sample.provenance.pipeline}) must give finite scores and valid text"
        ) from error
    images = sample.images
    payloads = (record, *(image.data for image in images))
    entry = Entry(
        key=sample.key,
        document=sample.document,
        category=sample.category,
        language=sample.language,
        dataset=sample.source.dataset,
        licence=sample.source.licence,
        pipeline=sample.provenance.pipeline,
        taxonomy=sample.taxonomy,
        image_sizes=tuple(Pixels(image.width, image.height) for image in images),
        text_characters=len(sample.text),
        text_tokens=text_tokens,
        content_hash=content_hash(payloads),
        members=(
            Member("json", 0, len(record)),
            *(Member(f"{i}.{im.format}", 0, len(im.data)) for i, im in enumerate(images)),
        ),
    )
    return Encoded(entry, payloads)


class ShardStream:
    """Writes samples to an open tar; `close` gives the tar's digest and the index file."""

    def __init__(self, tar: TarWriter) -> None:
        self._tar = tar
        self.entries: list[Entry] = []
        self._offsets: list[list[int]] = []

    def add(self, sample: Encoded) -> None:
        """Write one sample's members."""
        entry, add = sample.entry, self._tar.add
        stem = entry.key + "."
        members = zip(entry.members, sample.payloads, strict=True)
        self._offsets.append([add(stem + member[0], payload) for member, payload in members])
        self.entries.append(entry)

    def close(self) -> tuple[Digest, bytes]:
        """End the tar; its sink stays open."""
        digest = self._tar.close()
        return digest, encode_index(self.entries, self._offsets, digest)


def write_shard(path: str, samples: Iterable[Encoded]) -> tuple[Digest, list[Entry]]:
    """Write a shard and its index, each whole or not at all.

    Returns the tar's digest and the samples' entries, as they came: the places of their members
    stand in the index.

    `path` ends in `.tar`, local or in an object store. Raises `OSError` when the store fails.
    """
    folder, _, name = path.rpartition("/")
    local = storage.is_local(path)
    storage.make_folder(folder or ".")
    handle, staging = tempfile.mkstemp(
        prefix=f"{STAGING_PREFIX}{name}-", dir=(folder or ".") if local else None
    )
    try:
        with os.fdopen(handle, "wb", buffering=0) as file, TarWriter(file) as tar:
            stream = ShardStream(tar)
            for sample in samples:
                stream.add(sample)
            digest, index = stream.close()
        Path(staging).chmod(0o644)
        # An index that stands beside another tar would lie; without one the shard is unfinished.
        storage.remove(index_path(path))
        storage.commit(staging, path)
        storage.atomic_write(index_path(path), index)
    finally:
        Path(staging).unlink(missing_ok=True)
    return digest, stream.entries
