"""arXiv's metadata: a file of JSON lines, one for each article, that says its licence and title.

In: the file, gzipped or not, and the articles that `read.arxiv` lists. Out: where each article's
line lies, and what it says of the article.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef
from dsvl_data.read import gzips
from dsvl_data.read.gzips import open_stream, read_range
from dsvl_data.read.listing import InputError

_CHUNK = 8 << 20
_MAX_LINE = 64 << 20
_ID_IN_LINE = re.compile(rb'"id"\s*:\s*"([^"\\]+)"')

#: What arXiv's licence addresses are called in a recipe (SPDX where there is such an id).
_LICENCES = {
    "nonexclusive-distrib/1.0": "arXiv-nonexclusive-distrib-1.0",
    "by/3.0": "CC-BY-3.0",
    "by/4.0": "CC-BY-4.0",
    "by-sa/4.0": "CC-BY-SA-4.0",
    "by-nc-sa/3.0": "CC-BY-NC-SA-3.0",
    "by-nc-sa/4.0": "CC-BY-NC-SA-4.0",
    "by-nc-nd/4.0": "CC-BY-NC-ND-4.0",
    "zero/1.0": "CC0-1.0",
    "publicdomain": "CC-PDDC",
}


class MetadataIndex:
    """Where the line of each article lies in a file of JSON lines, at 24 bytes an article.

    The file (4 GB) is read through once, and no line is parsed: the id is the first field that is
    called so. Lines without one are passed over.
    """

    def __init__(self, path: str) -> None:
        if not storage.exists(path):
            raise InputError(f"the metadata {path!r} is not there")
        kinds = [("key", "u8"), ("offset", "u8"), ("size", "u8")]
        rows = np.fromiter(_metadata_lines(path), dtype=kinds)
        rows.sort(order=("key", "offset"))
        self._rows: NDArray[Any] = rows
        self._keys: NDArray[Any] = np.ascontiguousarray(rows["key"])

    def find(self, name: str) -> tuple[int, int] | None:
        """Return offset and size of an article's line (the last of several), or None."""
        key = _key(name)
        at = int(np.searchsorted(self._keys, np.uint64(key), side="right")) - 1
        if at < 0 or int(self._keys[at]) != key:
            return None
        return int(self._rows[at]["offset"]), int(self._rows[at]["size"])


def approach_metadata(ref: DocumentRef) -> None:
    """Get near an article's line of a gzipped metadata file, which takes its time."""
    if "metadata" in ref.meta:
        path, offset, _ = ref.meta["metadata"]
        gzips.approach(path, offset)


def resolve_article(ref: DocumentRef) -> DocumentRef:
    """Add what the metadata says: the licence, and `title` and `categories` in `meta`.

    Where it names no licence (articles of before 2007), none is known, whatever the recipe says
    of the others. An article without metadata is returned as it is. Raises `DocumentError`:
    `BAD_JSON`.
    """
    if "metadata" not in ref.meta:
        return ref
    path, offset, size = ref.meta["metadata"]
    try:
        record = json.loads(read_range(path, offset, size))
    except (ValueError, RecursionError) as error:
        raise DocumentError(Reason.BAD_JSON, f"metadata of {ref.uri}: {error}") from error
    if not isinstance(record, dict):
        raise DocumentError(Reason.BAD_JSON, f"metadata of {ref.uri} is no object")
    if str(record.get("id", "")) != ref.meta["id"]:
        return ref
    added = {
        "title": " ".join(str(record.get("title") or "").split()),
        "categories": str(record.get("categories") or ""),
    }
    licence = record.get("license")
    named = _licence(licence) if isinstance(licence, str) and licence else "unknown"
    return replace(ref, licence=named, meta={**ref.meta, **added})


def _licence(address: str) -> str:
    for part, name in _LICENCES.items():
        if f"/{part}" in address:
            return name
    return address


def _metadata_lines(path: str) -> Iterator[tuple[int, int, int]]:
    """Yield (key of the id, offset, size) of each line of a file of JSON lines."""
    position, rest = 0, b""
    with closing(open_stream(path)) as file:
        while chunk := file.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if (found := _ID_IN_LINE.search(line)) is not None:
                    yield _key(found[1].decode(errors="replace")), position, len(line)
                position += len(line) + 1
            if len(rest) > _MAX_LINE:
                raise InputError(f"the metadata {path!r} has a line of more than {_MAX_LINE} bytes")
    if (found := _ID_IN_LINE.search(rest)) is not None:
        yield _key(found[1].decode(errors="replace")), position, len(rest)


def _key(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")
