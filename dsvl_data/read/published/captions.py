"""Pictures with captions: web pairs, detailed descriptions, and whatever img2dataset has fetched.

In: records of image-text sets as published. Out: a picture and its caption, a sample for each
caption.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.published.fields import image_of, objects_of, required_text, text_of
from dsvl_data.read.published.reader import Choice, Item, Left, Pictures, Reader, Record, Rows
from dsvl_data.sample import Text


def _named(*fields: str) -> Callable[[Record], Sequence[str | bytes]]:
    """Name the picture that the first of some fields has."""

    def pictures(record: Record) -> Sequence[str | bytes]:
        found = (image_of(record.get(field)) for field in fields)
        return [name for name in found if name][:1]

    return pictures


def _pair(pictures: Pictures, caption: str) -> Item:
    """A picture and the caption under it."""
    if not len(pictures):
        raise DocumentError(Reason.BAD_RECORD, "it names no picture")
    return Item([pictures[0], Text(caption)])


def _captioned(field: str) -> Callable[[Record, Pictures, Choice], Iterator[Item | Left]]:
    def convert(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
        yield _pair(pictures, required_text(record, field))

    return convert


def _openclipart(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    """Title and description of a drawing; the description alone says too little."""
    title = required_text(record, "title")
    caption = text_of(record.get("caption"))
    text = f"{title}: {caption}" if caption else title
    yield _pair(pictures, text)


def _coco_pictures(record: Record) -> Sequence[str | bytes]:
    name = text_of(record.get("file_name"))
    return [name] if name else []


def _coco(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    """Five people's captions of one picture: a sample each."""
    annotations = objects_of(record.get("annotations"))
    if not annotations:
        raise DocumentError(Reason.NO_TEXT, "nobody has captioned it")
    for annotation in annotations:
        try:
            yield _pair(pictures, required_text(annotation, "caption"))
        except DocumentError as error:
            yield Left(error.reason, f"annotation {annotation.get('id')}", error.detail)


_READERS = (
    Reader(
        name="coco_captions",
        category="caption",
        licence="CC-BY-4.0",
        layout="https://cocodataset.org/#format-data",
        rows=Rows(("**/captions_*.json",), at="images", joined=("annotations", "image_id", "id")),
        pictures=_coco_pictures,
        convert=_coco,
        images="folder",
    ),
    Reader(
        name="openclipart",
        category="caption",
        licence="CC0-1.0",
        layout="a `captions.jsonl` beside SVG drawings: `file`, `title`, `caption`, `keywords`",
        rows=Rows(("**/captions.jsonl",)),
        pictures=_named("file"),
        convert=_openclipart,
        images="folder",
    ),
)

READERS: Mapping[str, Reader] = {reader.name: reader for reader in _READERS}
