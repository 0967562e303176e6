"""Published data sets: their records, as downloaded, become samples.

In: the files of data sets that a reader of `dsvl_data.read.published` knows. Out: what the reader
makes of each record; a record is a document. An article of any length is cut into sequences, as
`pipelines.interleaved` cuts documents.

Pictures keep their published bytes wherever a shard can hold them (`dsvl_data.read.pictures`).
They lie in the places that the recipe names or beside the records: in the input's own folder, in
tars and zips in it, and, where the set names them by their stem and the recipe no place, in a
folder of it. A picture that is absent or broken, or a record that is malformed, costs its own
sample and no other.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field, field_validator

from dsvl_data import storage
from dsvl_data.language import identify_all
from dsvl_data.outcome import DocumentError, Reason, UserError
from dsvl_data.pipeline import (
    Document,
    DocumentRef,
    Dropped,
    InputSpec,
    Limits,
    PathOption,
    Pipeline,
    Settings,
)
from dsvl_data.read.image_places import (
    PACKED,
    Places,
    checked_name,
    in_folder,
    in_folders_of,
    is_archive,
)
from dsvl_data.read.listing import failed_ref, printable
from dsvl_data.read.pictures import to_image
from dsvl_data.read.published import READERS
from dsvl_data.read.published.reader import Article, Choice, Item, Left, Reader
from dsvl_data.read.records import approach, list_records, parse_record, read_bytes
from dsvl_data.read.streams import Span, read_span
from dsvl_data.sample import Image, Sample, Segment, Text
from pipelines.interleaved_sequences import Budget, SequenceOptions, make_parts, make_sequences

VERSION = "2"
_UNKNOWN = InputSpec.model_fields["licence"].default


class SetOptions(Settings):
    """What a recipe can set for one data set."""

    reader: str = Field(default="", description="which reader; empty: the data set's own name")
    images: tuple[Annotated[str, PathOption(digested=False)], ...] = Field(
        default=(),
        description="where its pictures are: folders, tars, zips, outputs of img2dataset, globs; "
        "those beside its records, in the input's own folder, are found anyway",
    )
    variants: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict,
        description="weights of the forms that a record can take; empty: the reader's own",
    )
    thresholds: dict[str, float] = Field(
        default_factory=dict, description="numbers by which a record is judged, by name"
    )


class RecordOptions(Settings):
    """What a recipe can set for data sets of records.

    `readers` are the data sets there are to read, `pipeline` is whose options they are: both are
    `pipelines.sft`'s own there.
    """

    readers: ClassVar[Mapping[str, Reader]] = READERS
    pipeline: ClassVar[str] = "published"

    sets: dict[str, SetOptions] = Field(
        default_factory=dict, description="what is set for single data sets, by their names"
    )
    seed: int = Field(default=0, description="decides which record takes which form")
    max_characters: int = Field(
        default=100_000,
        ge=1,
        description="characters of text beyond which a sample is dropped; articles are cut instead",
    )
    min_side: int = Field(
        default=1, ge=1, description="pixels of a picture's shorter side below which it is dropped"
    )

    @field_validator("sets")
    @classmethod
    def _are_known(cls, sets: dict[str, SetOptions]) -> dict[str, SetOptions]:
        for name, chosen in sets.items():
            reader = cls.readers.get(chosen.reader or name)
            if reader is None:
                raise ValueError(f"{name}: {_no_reader(chosen.reader or name, cls.readers)}")
            _check_names(f"{name}: variants", chosen.variants, reader.variants)
            _check_names(f"{name}: thresholds", chosen.thresholds, reader.thresholds)
            if chosen.variants and not sum(chosen.variants.values()) > 0:
                raise ValueError(f"{name}: variants: one of them needs a weight above 0")
        return sets


class PublishedOptions(RecordOptions):
    """What a recipe can set for published data sets."""

    sequences: SequenceOptions = Field(
        default_factory=SequenceOptions,
        description="how articles of text and pictures are cut into samples",
    )


def _no_reader(name: str, readers: Mapping[str, Reader]) -> str:
    near = difflib.get_close_matches(name, readers, 1, 0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"the readers are: {', '.join(readers)}"
    return f"no reader is called {name!r}; {hint}"


def _check_names(what: str, given: Mapping[str, float], known: Mapping[str, float]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
            raise ValueError(f"{what}: there is no {name!r}; {hint}")


def check_places(options: RecordOptions, limits: Limits) -> None:
    """Refuse image places that are not there, or that no picture can be read from."""
    for name, chosen in options.sets.items():
        for path in chosen.images:
            fault = _fault_of(path)
            if fault:
                raise UserError(f"{options.pipeline}: sets.{name}.images: {fault}")


def _fault_of(place: str) -> str:
    """What is wrong with an image place; empty for a sound one."""
    kind = storage.kind_of(place)
    if kind == "folder":
        return ""
    files = [place] if kind == "file" else []
    if kind == "glob":
        files = [file.path for file in storage.find_files(place)]
    if not files:
        return (
            f"nothing is at {place}: check the path "
            "(in a recipe, relative ones start at the recipe's folder)"
        )
    packed = next((file for file in files if file.lower().endswith(PACKED)), "")
    if packed:
        return (
            f"pictures in {packed} cannot be read by their position: "
            "unpack it and name the folder, or pack it as .tar or .zip"
        )
    if not any(map(is_archive, files)):
        return f"{place} is no folder, .tar, .zip, nor a .parquet of img2dataset"
    return ""


def reader_of(dataset: str, options: RecordOptions) -> Reader:
    """Return the reader of a data set; `UserError` when there is none."""
    chosen = options.sets.get(dataset)
    name = (chosen.reader if chosen else "") or dataset
    if name not in options.readers:
        raise UserError(
            f"{options.pipeline}: data set {dataset!r}: {_no_reader(name, options.readers)} "
            f"(options.sets.{dataset}.reader says which one to use for a data set of another name)"
        )
    return options.readers[name]


def list_published(inputs: Sequence[InputSpec], options: RecordOptions) -> Iterator[DocumentRef]:
    """List the records of all inputs, each with where the archives hold its pictures.

    Raises `UserError` for a data set without a reader, and for one with options and no input.
    """
    readers = {spec.dataset: reader_of(spec.dataset, options) for spec in inputs}
    for name in options.sets:
        if name not in readers:
            near = difflib.get_close_matches(name, readers, 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else f": {', '.join(readers)}"
            raise UserError(f"{options.pipeline}: no input has the data set {name!r} of sets{hint}")
    for spec in inputs:
        reader = readers[spec.dataset]
        if spec.licence == _UNKNOWN:
            spec = spec.model_copy(update={"licence": reader.licence})
        yield from _located(spec, reader, options)


def _located(spec: InputSpec, reader: Reader, options: RecordOptions) -> Iterator[DocumentRef]:
    chosen = options.sets.get(spec.dataset, SetOptions())
    root = _root(spec.path)
    places = Places()
    if reader.images in ("folder", "urls") or chosen.images:
        places = Places.of([*chosen.images, *_own_places(spec.path)], stems=reader.stems)
    if reader.images == "urls" and not places.indexed and not chosen.images:
        raise UserError(
            f"{options.pipeline}: data set {spec.dataset!r} names its pictures by URL: fetch them "
            f"with img2dataset and name its output in options.sets.{spec.dataset}.images"
        )
    told: set[str] = set()
    for ref in list_records(spec, reader.rows):
        meta: dict[str, Any] = {**ref.meta, "root": root}
        if places.indexed and "reason" not in ref.meta:
            meta |= _found(ref, reader, places)
        # Not by `replace`, which takes as long as all else here.
        yield DocumentRef(ref.dataset, ref.uri, ref.licence, ref.path, ref.size, ref.offset, meta)
        # A packed tar may hold records: then it is none of pictures.
        if "reason" in ref.meta or ref.path.lower().endswith(PACKED):
            told.add(ref.path)
    for number, fault in enumerate(places.faults):
        if fault.place not in told:
            uri = f"images#{number}!{printable(fault.place.rpartition('/')[2])}"
            yield failed_ref(spec, uri, fault.place, fault.reason, fault.detail)


def _found(ref: DocumentRef, reader: Reader, places: Places) -> dict[str, Any]:
    """Where archives hold what a record names; nothing for one that cannot be read."""
    try:
        record = parse_record(ref, read_bytes(ref), reader.rows)
    except DocumentError:
        return {}  # the worker meets the same, and tells
    found = {
        "pictures": [_find(name, places) for name in reader.pictures(record)],
        "files": [_find(name, places) for name in reader.files(record)],
    }
    return {kind: spans for kind, spans in found.items() if any(spans)}


def _find(name: str | bytes, places: Places) -> list[Any] | None:
    return places.find(name) if isinstance(name, str) else None


def _own_places(path: str) -> list[str]:
    """Where pictures may lie beside the records of an input."""
    kind = storage.kind_of(path)
    if kind == "folder":
        return [path]
    if kind == "file":  # alone of its folder: only what img2dataset has put beside it
        beside = f"{path.removesuffix('.parquet')}.tar"
        table = [path] if path.endswith(".parquet") else []
        return [beside] if storage.exists(beside) else table
    return [storage.split_glob(path)[0]]


def _root(path: str) -> str:
    """The folder below which an input lies."""
    kind = storage.kind_of(path)
    if kind == "folder":
        return path
    if kind == "file":
        return path.rpartition("/")[0] or "/"
    return storage.split_glob(path)[0]


class PublishedConverter:
    """Converts records by their data set's reader."""

    def __init__(self, options: RecordOptions) -> None:
        self._options = options
        # Only published sets have articles to cut.
        cut = options.sequences if isinstance(options, PublishedOptions) else SequenceOptions()
        self._sequences, self._budget = cut, Budget.of(cut)
        self._sets: dict[str, _Set] = {}

    def __call__(self, documents: Sequence[Document]) -> Iterator[Sample | Dropped]:
        """Yield what each record gives, in order."""
        made = [self._made(document) for document in documents]
        unknown = [
            item
            for one in made
            for item in one.items
            if isinstance(item, Item) and not item.language
        ]
        languages = identify_all([_text(item.segments) for item in unknown])
        found = {id(item): language for item, language in zip(unknown, languages, strict=True)}
        for document, one in zip(documents, made, strict=True):
            position = 0
            for item in one.items:
                if isinstance(item, Left):
                    yield document.dropped(
                        item.reason, item=_storable(item.item), detail=_storable(item.detail)
                    )
                    continue
                language = found.get(id(item))
                scores = dict(item.scores)
                if language is not None:
                    scores["language_confidence"] = language.confidence
                yield document.sample(
                    position,
                    category=self.category(one.reader, document.ref.dataset, item),
                    segments=item.segments,
                    language=item.language or (language.code if language else ""),
                    details={**one.details, **item.details},
                    scores=scores,
                    extras={name: _storable(text) for name, text in item.extras.items()},
                    taxonomy=item.taxonomy,
                )
                position += 1

    def close(self) -> None:
        """Nothing is held."""

    def category(self, reader: Reader, dataset: str, item: Item) -> str:
        """Return the reader's; `text` for a sequence of an article that has no picture."""
        if reader.category == "interleaved" and not any(
            isinstance(s, Image) for s in item.segments
        ):
            return "text"
        return reader.category

    def _made(self, document: Document) -> _Made:
        reader, variants, thresholds, folders, named = self._set(document.ref.dataset)
        made = _Made(reader, [], {"reader": reader.name})
        try:
            record = parse_record(document.ref, document.data, reader.rows)
            pictures = _Pictures(
                document,
                reader.pictures(record),
                reader.files(record),
                folders,
                self._options.min_side,
                reader.stems,
                named,
            )
            choice = Choice(variants, _draw(self._options.seed, document.ref.id), thresholds)
            if len(variants) > 1:
                made.details["variant"] = choice.variant()
                made.details["seed"] = str(self._options.seed)
            for item in reader.convert(record, pictures, choice):
                if isinstance(item, Article):
                    made.items += self._cut(item)
                else:
                    made.items.append(item if isinstance(item, Left) else self._judged(item))
            if pictures.changes:
                made.details["pictures"] = ", ".join(
                    f"{number}: {change}" for number, change in sorted(pictures.changes.items())
                )
        except DocumentError as error:
            made.items.append(Left(error.reason, "", error.detail))
        return made

    def _set(self, dataset: str) -> _Set:
        """What the reader and the recipe say of a data set, put together once."""
        known = self._sets.get(dataset)
        if known is None:
            reader = reader_of(dataset, self._options)
            chosen = self._options.sets.get(dataset, SetOptions())
            known = self._sets[dataset] = _Set(
                reader,
                chosen.variants or reader.variants,
                {**reader.thresholds, **chosen.thresholds},
                tuple(path for path in chosen.images if storage.kind_of(path) == "folder"),
                bool(chosen.images),
            )
        return known

    def _cut(self, article: Article) -> Iterator[Item | Left]:
        """Yield an article's sequences, each within the recipe's budget."""
        sequences = make_sequences([make_parts(article.blocks, self._budget)], self._budget)
        for number, segments in enumerate(sequences, 1):
            place = f"{number} of {len(sequences)}"
            pictured = any(isinstance(segment, Image) for segment in segments)
            if not pictured and self._sequences.without_picture == "drop":
                yield Left(Reason.NO_PICTURE, f"sequence {place}")
                continue
            yield Item(
                _stored(segments),
                article.language,
                scores=article.scores if pictured else {},
                details={**article.details, "sequence": place},
            )

    def _judged(self, item: Item) -> Item | Left:
        """An item within the recipe's limits, its text such as can be stored."""
        texts = [s.text for s in item.segments if isinstance(s, Text)]
        characters = sum(map(len, texts))
        if not any(map(str.strip, texts)):
            return Left(Reason.NO_TEXT, "", "nothing but pictures")
        if characters > self._options.max_characters:
            limit = self._options.max_characters
            return Left(Reason.TEXT_TOO_LONG, "", f"{characters} characters, the limit is {limit}")
        if all(_storable(text) == text for text in texts):
            return item
        return replace(item, segments=_stored(item.segments))


class _Set(NamedTuple):
    """How the records of a data set are read: the reader's ways, and the recipe's."""

    reader: Reader
    variants: Mapping[str, float]
    thresholds: Mapping[str, float]
    folders: tuple[str, ...]
    named: bool  # whether the recipe names any place of pictures


@dataclass(slots=True)
class _Made:
    """What a record gives."""

    reader: Reader
    items: list[Item | Left]
    details: dict[str, str]


class _Pictures:
    """A record's pictures and files, loaded when asked for."""

    def __init__(
        self,
        document: Document,
        names: Sequence[str | bytes],
        files: Sequence[str],
        folders: tuple[str, ...],
        min_side: int,
        stems: bool,
        named: bool,
    ) -> None:
        meta = document.ref.meta
        self._names, self._files = names, files
        self._located = meta.get("pictures") or [None] * len(names)
        self._files_located = meta.get("files") or [None] * len(files)
        self._folders = (*folders, meta["root"])
        self._limit = int(document.limits.document_mb * 1e6)
        self._min_side, self._stems = min_side, stems
        # `train_images` beside `train_labels.json`: only where the recipe names no other place.
        self._deeper = stems and not named
        self._loaded: dict[int, Image] = {}
        #: What was done to a picture, by its number.
        self.changes: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Image:
        index = range(len(self._names))[index]
        if index not in self._loaded:
            data = self._data(self._names[index], self._located[index], Reason.MISSING_IMAGE)
            if _is_svg(data):
                from dsvl_data.read.svg_pictures import draw_svg  # loads a large library

                data = draw_svg(data, _any_size)
                self.changes[index] = "drawn from SVG"
            image, change = to_image(data)
            if min(image.width, image.height) < self._min_side:
                size = f"{image.width} x {image.height} pixels"
                raise DocumentError(Reason.IMAGE_TOO_SMALL, size)
            if change:
                self.changes[index] = change
            self._loaded[index] = image
        return self._loaded[index]

    def file(self, index: int) -> bytes:
        """Return the bytes of the record's file of that number."""
        return self._data(self._files[index], self._files_located[index], Reason.MISSING_FILE)

    def _data(self, name: str | bytes, located: list[Any] | None, missing: Reason) -> bytes:
        if isinstance(name, bytes):
            return name
        if located is not None:
            return read_span(Span(*located), self._limit)
        if "://" in name:
            raise DocumentError(missing, f"{name[:300]}: was not fetched")
        checked = checked_name(name)
        for folder in self._folders:
            span = in_folder(folder, name, stems=self._stems and missing is Reason.MISSING_IMAGE)
            if span is not None:
                return read_span(span, self._limit)
        if self._deeper and missing is Reason.MISSING_IMAGE:
            span = in_folders_of(self._folders[-1], checked)
            if span is not None:
                return read_span(span, self._limit)
        raise DocumentError(missing, f"{name[:300]}: in none of the places")


def _is_svg(data: bytes) -> bool:
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    return head.startswith(b"<") and (b"<svg" in head or b"<!DOCTYPE svg" in head)


def _any_size(width: int, height: int) -> None:
    """Drawings are enlarged: their picture is judged, not what they say of themselves."""


def _draw(seed: int, document: str) -> float:
    """Uniform in [0, 1), the same for a record on any machine."""
    digest = hashlib.blake2b(f"{seed}\0{document}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _text(segments: Sequence[Segment]) -> str:
    return "\n".join(s.text for s in segments if isinstance(s, Text))


def _stored(segments: Sequence[Segment]) -> list[Segment]:
    return [replace(s, text=_storable(s.text)) if isinstance(s, Text) else s for s in segments]


def _storable(text: str) -> str:
    """A text without halves of surrogate pairs, which neither Arrow nor UTF-8 can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


PIPELINE = Pipeline(
    name="published",
    version=VERSION,
    options=PublishedOptions,
    source=list_published,
    reader=read_bytes,
    converter=PublishedConverter,
    partition_size=256,
    batch_size=16,
    limits=Limits(seconds=60, document_mb=100),
    approach=approach,
    check=check_places,
)
