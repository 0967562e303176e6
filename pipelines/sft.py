"""Conversations for supervised fine-tuning: public SFT sets, and one's own in their forms.

In: the files of data sets that a reader of `dsvl_data.read.sft` knows. Out: conversations: segments
with the role of who says them, loss on the answers only, in an order that the trainer can take.
A record is a document, and one that is no such conversation is quarantined with its reason.

How records are listed, where pictures are found, and what a recipe can set is as in
`pipelines.published`. The class (paper, table 2) is the reader's, or `classes` of the recipe; a
conversation without a picture in a set of pictures is `sft_text`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

from pydantic import Field

from dsvl_data.pipeline import Limits, Pipeline
from dsvl_data.read.published.reader import Item, Reader
from dsvl_data.read.records import approach, read_bytes
from dsvl_data.read.sft import READERS
from dsvl_data.sample import Image
from pipelines.published import PublishedConverter, RecordOptions, check_places, list_published

VERSION = "1"
SftClass: TypeAlias = Literal[
    "sft_inhouse", "sft_general", "sft_table_chart", "sft_web_code", "sft_text"
]


class SftOptions(RecordOptions):
    """What a recipe can set for SFT data sets."""

    readers: ClassVar[Mapping[str, Reader]] = READERS
    pipeline: ClassVar[str] = "sft"

    classes: dict[str, SftClass] = Field(
        default_factory=dict,
        description="class of all conversations of a data set, where it is not its reader's",
    )


class SftConverter(PublishedConverter):
    """Converts records to conversations by their data set's reader."""

    def __init__(self, options: SftOptions) -> None:
        super().__init__(options)
        self._classes = options.classes

    def category(self, reader: Reader, dataset: str, item: Item) -> str:
        """Return the recipe's class, else `sft_text` for what has no picture, else the reader's."""
        if dataset in self._classes:
            return self._classes[dataset]
        pictured = any(isinstance(segment, Image) for segment in item.segments)
        return reader.category if pictured else "sft_text"


PIPELINE = Pipeline(
    name="sft",
    version=VERSION,
    options=SftOptions,
    source=list_published,
    reader=read_bytes,
    converter=SftConverter,
    partition_size=256,
    batch_size=16,
    limits=Limits(seconds=60, document_mb=100),
    approach=approach,
    check=check_places,
)
