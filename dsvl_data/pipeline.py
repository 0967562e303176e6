"""What a kind of data has to bring: a source that lists documents, a converter that makes samples.

In: paths that a recipe names. Out: `DocumentRef`s for the engine to slice into partitions,
and, called with documents, `Sample`s or `Dropped` items. Nothing here or in a pipeline
knows of Ray, parts or retries: that is the engine's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Protocol, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field

from dsvl_data.outcome import Reason
from dsvl_data.sample import Origin, Provenance, Sample, Segment


class Settings(BaseModel):
    """Base of everything a recipe can set: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class PathOption:
    """Marks an option as a path (`Annotated[str, PathOption()]`): it starts at the recipe's folder.

    Addresses with a scheme and absolute paths stay. With `or_name` it may also be a name of
    something else: see `is_path`. What a path holds is part of a plan's fingerprint, but for
    one that is not `digested`: data that the listing of documents locates anyway.

    The mark may also stand within a type: `dict[str, tuple[Annotated[str, PathOption()], ...]]`,
    or in a nested `Settings`.
    """

    or_name: bool = False
    digested: bool = True

    def is_path(self, value: str) -> bool:
        """Whether a value is a path: with `or_name`, if it begins or ends as only paths do."""
        return (
            not self.or_name
            or "://" in value
            or value.startswith((".", "/", "~"))
            or value.lower().endswith((".yaml", ".yml"))
        )

    def resolve(self, value: str, folder: str) -> str:
        """Return the path as seen from anywhere."""
        if "://" in value or not self.is_path(value):
            return value
        # normpath and not resolve: a link must stay what it is.
        return os.path.normpath(Path(folder) / Path(value).expanduser())


def map_paths(
    kind: Any, value: Any, change: Callable[[PathOption, str], str], marks: Sequence[Any] = ()
) -> Any:
    """Return options, or what stands for them in YAML, with every path in them changed.

    `kind` is their type, a `Settings` or what one is made of; `marks` what `Annotated` says of it.
    What does not fit its type stays as it is.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return map_paths(arguments[0], value, change, arguments[1:])
    for mark in marks:
        if isinstance(mark, PathOption) and isinstance(value, str) and value:
            return change(mark, value)
    if origin in (Union, UnionType):
        for alternative in arguments:
            value = map_paths(alternative, value, change)
        return value
    if isinstance(value, Mapping) and isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = kind.model_fields
        return {
            name: map_paths(fields[name].annotation, item, change, fields[name].metadata)
            if name in fields
            else item
            for name, item in value.items()
        }
    if isinstance(value, Mapping) and len(arguments) == 2:
        return {name: map_paths(arguments[1], item, change) for name, item in value.items()}
    if isinstance(value, list | tuple) and origin in (list, tuple, Sequence):
        return [map_paths(arguments[0], item, change) for item in value]
    return value


class InputSpec(Settings):
    """One input of a pipeline: a file, folder or glob, and whose it is."""

    path: str = Field(description="file, folder or glob; local, s3:// or gs://")
    dataset: str = Field(description="name of the data set, the first part of every document id")
    licence: str = Field(default="unknown", description="SPDX id of the data set's licence")


class Limits(Settings):
    """What one document may cost before it is quarantined."""

    seconds: float = Field(default=60, gt=0, description="wall-clock seconds a document")
    memory_mb: int = Field(default=1500, gt=0, description="MB of a worker and its children")
    document_mb: float = Field(default=100, gt=0, description="MB of a document, unopened")


@dataclass(frozen=True, slots=True)
class DocumentRef:
    """Where a document's bytes lie. Cheap: listing a billion of these reads no payload.

    `uri` is unique within the data set and does not depend on the machine (a path relative to
    the input, `!member` for a member of an archive, `#12` for a row). `offset` and `size` give
    the byte range inside `path` (0 and the file's size for a whole file); `meta` is what the
    pipeline's own source needs to remember (a column, a row range).
    """

    dataset: str
    uri: str
    licence: str
    path: str
    size: int
    offset: int = 0
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The document's id in ledger and samples."""
        return f"{self.dataset}:{self.uri}"


@dataclass(frozen=True, slots=True)
class Dropped:
    """An item of a document (figure, page, question) that did not become a sample, and why."""

    document: str
    reason: Reason
    item: str = ""
    detail: str = ""
    score: float | None = None


@dataclass(frozen=True)
class Took:
    """What a document of a batch took, where the converter knows better than the batch's mean."""

    document: str
    seconds: float


@dataclass(frozen=True)
class Document:
    """A document with its bytes, as a converter gets it."""

    ref: DocumentRef
    read: Callable[[], bytes]
    pipeline: str
    version: str
    limits: Limits = field(default_factory=Limits)

    @cached_property
    def data(self) -> bytes:
        """The document's bytes, read on first use; `DocumentError` when they cannot be had."""
        return self.read()

    @cached_property
    def digest(self) -> str:
        """20 hex digits over id and bytes, the first part of every key made from this document."""
        state = hashlib.blake2b(self.ref.id.encode(), digest_size=10)
        state.update(b"\0")
        state.update(self.data)
        return state.hexdigest()

    def sample(
        self,
        position: int,
        *,
        category: str,
        segments: Sequence[Segment],
        language: str,
        details: Mapping[str, str] | None = None,
        scores: Mapping[str, float] | None = None,
        extras: Mapping[str, str] | None = None,
        taxonomy: str | None = None,
    ) -> Sample:
        """Make the sample at `position` of this document; its key follows from both."""
        return Sample(
            key=f"{self.digest}-{position:05d}",
            document=self.ref.id,
            category=category,
            segments=tuple(segments),
            language=language,
            source=Origin(self.ref.dataset, self.ref.uri, self.ref.licence),
            provenance=Provenance(self.pipeline, self.version, details or {}),
            scores=scores or {},
            taxonomy=taxonomy,
            extras=extras or {},
        )

    def dropped(
        self, reason: Reason, *, item: str = "", detail: str = "", score: float | None = None
    ) -> Dropped:
        """Say that an item of this document was left out."""
        return Dropped(self.ref.id, reason, item, detail, score)


class Converter(Protocol):
    """Turns documents into samples. Built once per worker process; may hold a browser or a model.

    Called with at most `Pipeline.batch_size` documents. May raise `DocumentError` (known
    reason), `WorkerBroken` (its tool died) or anything else (reason `error`); when a batch of
    several raises, the engine calls again with each document alone.
    """

    def __call__(self, documents: Sequence[Document]) -> Iterator[Sample | Dropped | Took]:
        """Yield what the documents give, in their order."""
        ...

    def close(self) -> None:
        """Give back what the converter holds."""
        ...


@dataclass(frozen=True)
class Pipeline:
    """One kind of data, as its module declares it.

    `source(inputs, options)` lists the documents in a stable order; `reader(ref)` loads the
    bytes of one; `converter(options)` is called once in each worker. `resolve(ref, options)`
    fills in what listing did not look at (the licence of a row, say) and is called by the
    worker before the licence is judged; `dataset` and `uri` must stay. `approach(ref)` is called
    by the worker before a document's time begins, for readers that must pass over much of a file
    once to get there; it raises nothing that the reader would tell. `check(options, limits)`
    raises `UserError`, before any work, when what the options ask for is not there or cannot be
    done within the limits.
    """

    name: str
    version: str
    options: type[Settings]
    source: Callable[[Sequence[InputSpec], Any], Iterable[DocumentRef]]
    reader: Callable[[DocumentRef], bytes]
    converter: Callable[[Any], Converter]
    partition_size: int = 64
    batch_size: int = 1
    limits: Limits = field(default_factory=Limits)
    needs_browser: bool = False
    resolve: Callable[[DocumentRef, Any], DocumentRef] | None = None
    approach: Callable[[DocumentRef], None] | None = None
    check: Callable[[Any, Limits], None] | None = None
