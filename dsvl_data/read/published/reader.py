"""What a published data set's reader is: where its records are, and what a record becomes.

In: one record as published (a row of Parquet or CSV, a JSON object, a text file) and its pictures.
Out: `Item`s, each the segments of one sample, `Article`s, each cut into as many as it takes, or
`Left`: an item that does not become one, and why. A reader is a row of data with two small
functions; finding files, joining pictures, limits, sequences, keys, licences and accounts are the
business of `pipelines.published`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from dsvl_data.outcome import Reason
from dsvl_data.read.blocks import TextBlock
from dsvl_data.sample import Image, Segment

#: One record as published. Types are not to be trusted: a caption may be NaN, a box a string.
Record: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """Where the records of a data set lie, in globs below the input (`**/` crosses folders).

    The suffix tells the format. `.jsonl`/`.ndjson` (also `.gz`, `.zst`, or within `.zip` or
    `.tar.gz`): a line a record; so is any other file that says `lines`. `.tfrecord` (also `.gz`,
    and with `-00000-of-00005` behind): a serialised Example or SequenceExample a record, as
    `dsvl_data.read.tfrecord` gives it. `.parquet`: a row a record; `columns` are all that is
    loaded (empty: every column). `.csv`/`.tsv`: a row a record, all values strings, by the header,
    or by `columns` where the file has none; quotes are part of a value where not `quoted`.
    `.json`, and any file with an `at`: the elements of the array or object at `at`
    (`"data.items"`; empty: the top level); an element of an object `{key: value}` becomes
    `{"key": key, "value": value}`.
    Anything else (`.txt`, `.html`, an image), or `whole`: the file is the record,
    `{"name": path below the input, "text": content}`; with `bytes`, `{"name", "bytes"}`.

    `joined` adds to each element of `at` the elements of another array or object of the same file
    that point to it: `("annotations", "image_id", "id")` gives a record `annotations`, the list of
    those whose `image_id` is the record's `id` (compared as strings).
    """

    files: tuple[str, ...]
    at: str = ""
    columns: tuple[str, ...] = ()
    header: bool = True
    quoted: bool = True
    joined: tuple[str, str, str] | None = None
    whole: bool = False
    bytes: bool = False
    lines: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """The segments of one sample, in order.

    `language` is an ISO 639 code; empty: it is identified from the text. `extras` carries text
    that belongs to the sample and is not trained on. `taxonomy` is as `Sample` has it.
    """

    segments: Sequence[Segment]
    language: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    extras: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)
    taxonomy: str | None = None


@dataclass(frozen=True, slots=True)
class Article:
    """A document of text and pictures, in reading order, of any length.

    Its blocks are text, or a picture with the Markdown that stays below it: a caption, the step
    that it shows. The pipeline cuts it into sequences that fit the model. The rest is as `Item`'s.
    """

    blocks: Sequence[TextBlock | tuple[Image, str]]
    language: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Left:
    """An item of a record that does not become a sample, and why."""

    reason: Reason
    item: str = ""
    detail: str = ""


class Pictures(Protocol):
    """The pictures that `Reader.pictures` named for a record, loaded when asked for.

    `pictures[i]` is a `dsvl_data.sample.Image` whose bytes are the published ones wherever a
    shard can hold them. Raises `DocumentError`: `MISSING_IMAGE`, `BAD_IMAGE`, `IMAGE_BOMB`.
    `file(i)` are the bytes of the i-th of `Reader.files`; raises `DocumentError`: `MISSING_FILE`,
    `TOO_LARGE`.
    """

    def __getitem__(self, index: int, /) -> Image: ...

    def __len__(self) -> int: ...

    def file(self, index: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Choice:
    """What a recipe lets a reader choose: weighed `variants` by name, and a `draw` per record.

    `draw` is uniform in [0, 1), decided by the recipe's seed and the record's id, so that the
    same recipe makes the same choice on any machine. `thresholds` are the reader's, by name, with
    those that the recipe sets.
    """

    variants: Mapping[str, float]
    draw: float
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def variant(self) -> str:
        """Return the name of the drawn variant; weights need not add up to 1."""
        left = self.draw * sum(self.variants.values())
        for name, weight in self.variants.items():
            left -= weight
            if left < 0:
                return name
        return list(self.variants)[-1]


@dataclass(frozen=True, slots=True)
class Reader:
    """One published data set.

    `pictures(record)` names the record's pictures: a path below one of the recipe's image places,
    a URL (looked up in img2dataset's output), or the encoded bytes themselves. It must not raise
    on a malformed record: what is no name is left out. A path that no image place has is looked
    for in the input's own folder. `files(record)` names, in the same places, further files that
    hold parts of the record: the table of a chart, the layout of a screen. `convert(record,
    pictures, choice)` yields what the record gives, and may raise `DocumentError` when nothing can
    be had of it. With `stems`, pictures are named without folder and suffix.

    `layout` is the address of the page that documents the layout; `licence` what its publisher
    states (SPDX id where there is one), taken where the recipe says none; `images` tells a user
    where the pictures come from; `variants` are the default weights of the forms that a record
    can take, `thresholds` the default numbers by which it is judged.
    """

    name: str
    category: str
    licence: str
    layout: str
    rows: Rows
    convert: Callable[[Record, Pictures, Choice], Iterator[Item | Article | Left]]
    pictures: Callable[[Record], Sequence[str | bytes]] = lambda record: ()
    files: Callable[[Record], Sequence[str]] = lambda record: ()
    images: Literal["inside", "folder", "urls", "none"] = "none"
    variants: Mapping[str, float] = field(default_factory=lambda: {"plain": 1.0})
    thresholds: Mapping[str, float] = field(default_factory=dict)
    stems: bool = False
