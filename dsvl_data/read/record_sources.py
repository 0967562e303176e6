"""What holds the records of an input: its files, and the members of its tars and zips.

In: an input and the `Rows` of a reader. Out: a `Source` for each file or member that the rows'
globs choose: where its bytes lie, however they are packed; nothing is read but directories.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, Literal, TypeAlias, cast

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef, InputSpec
from dsvl_data.read.listing import failed, located
from dsvl_data.read.members import OTHER_TARS, STREAMED_TARS, MemberParts, tar_members, zip_members
from dsvl_data.read.published.reader import Rows
from dsvl_data.read.streams import Span, Stream, open_span, packing_of
from dsvl_data.storage import StoredFile

Form: TypeAlias = Literal["line", "element", "cells", "example", "row", "whole"]

_FORMS: dict[str, Form] = {
    ".jsonl": "line", ".ndjson": "line", ".json": "element", ".csv": "cells", ".tsv": "cells",
    ".tfrecord": "example", ".parquet": "row", ".pq": "row",
}  # fmt: skip
_SHARD = re.compile(r"-\d{5}-of-\d{5}\Z")


@dataclass(frozen=True, slots=True)
class Source:
    """Something that holds records: a file, or a member of an archive.

    `base` is where its bytes begin in what `span` unpacks to; `open` gives them from the start.
    """

    spec: InputSpec
    file: StoredFile
    part: str
    name: str
    span: Span
    size: int
    base: int
    open: Callable[[], Stream | IO[bytes]]

    def ref(self, part: str, offset: int, size: int, **meta: Any) -> DocumentRef:
        """Locate a record at `offset` from where the source begins."""
        span = self.span
        if span != Span(self.file.path):
            meta["within"] = span.to_list()[1:]
        return located(self.spec, self.file, self.part + part, self.base + offset, size, meta)

    def failed(self, reason: Reason, detail: str, part: str = "") -> DocumentRef:
        """List something that cannot be read."""
        return failed(self.spec, self.file, reason, detail, self.part + part)


class Wanted:
    """Which files of an input hold records."""

    def __init__(self, spec: InputSpec, rows: Rows) -> None:
        kind = storage.kind_of(spec.path)
        self._single = kind == "file"
        by_name = kind == "glob"  # what is above the files is not below the input
        globs = [glob.rpartition("/")[2] if by_name else glob for glob in rows.files]
        self._patterns = [storage.glob_pattern(glob) for glob in globs]
        self._members = [storage.glob_pattern(glob) for glob in rows.files]
        self._by_name = by_name
        #: Whether archives of the input are looked into.
        self.archives = not all(form_of(glob, rows) == "row" for glob in rows.files)

    def file(self, relative: str) -> bool:
        """Whether a file is one of them."""
        if self._single:
            return not relative.lower().endswith((".tar", ".zip", *STREAMED_TARS, *OTHER_TARS))
        name = relative.rpartition("/")[2] if self._by_name else relative
        return _matches(self._patterns, name)

    def member(self, name: str) -> bool:
        """Whether a member of an archive is one of them."""
        return _matches(self._members, name)


def _matches(patterns: list[re.Pattern[str]], name: str) -> bool:
    bare = unsharded(name)
    names = {name, bare, packing_of(bare)[0]}
    return any(pattern.fullmatch(name) for pattern in patterns for name in names)


def unsharded(name: str) -> str:
    """Return a name without the `-00000-of-00005` of a shard."""
    return _SHARD.sub("", name)


def form_of(name: str, rows: Rows) -> Form:
    """Return the form of the records in a file of this name."""
    if rows.whole:
        return "whole"
    if rows.lines:
        return "line"
    if rows.at:
        return "element"
    bare = packing_of(unsharded(name))[0].lower()
    return next((form for suffix, form in _FORMS.items() if bare.endswith(suffix)), "whole")


def tar_sources(spec: InputSpec, file: StoredFile, wanted: Wanted) -> Iterator[Source]:
    """Yield the chosen members of a tar."""
    parts = MemberParts()
    for name, offset, size in tar_members(file.path):
        if wanted.member(name):
            span = Span(file.path, offset, size, packing_of(unsharded(name))[1])
            part = parts.part(name)
            yield Source(spec, file, part, name, span, size, 0, partial(open_span, span))


def zip_sources(
    spec: InputSpec, file: StoredFile, wanted: Wanted
) -> Iterator[Source | DocumentRef]:
    """Yield the chosen members of a zip; a reference that fails for one that cannot be read."""
    parts = MemberParts()
    for name, span, size in zip_members(file.path):
        if not wanted.member(name):
            continue
        part = parts.part(name)
        if isinstance(span, DocumentError):
            yield failed(spec, file, span.reason, span.detail, part)
        else:
            yield Source(spec, file, part, name, span, size, 0, partial(open_span, span))


def streamed_sources(spec: InputSpec, file: StoredFile, wanted: Wanted) -> Iterator[Source]:
    """Members of a compressed tar: byte ranges of what it unpacks to, in one pass."""
    parts = MemberParts()
    span = Span(file.path, packing="zstd" if file.relative.lower().endswith(".zst") else "gzip")
    with closing(open_span(span)) as stream:
        packed = cast("Any", stream)
        with tarfile.open(fileobj=packed, mode="r|") as archive:
            for member in archive:
                if member.isreg() and wanted.member(member.name):
                    content = archive.extractfile(member)
                    assert content is not None
                    yield Source(
                        spec, file, parts.part(member.name), member.name, span, member.size,
                        member.offset_data, partial(_itself, content),
                    )  # fmt: skip
                cast("Any", archive).members.clear()  # tarfile remembers every member


def _itself(content: IO[bytes]) -> IO[bytes]:
    return content
