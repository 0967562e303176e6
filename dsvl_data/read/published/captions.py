"""Pictures with captions: web pairs, detailed descriptions, and whatever img2dataset has fetched.

In: records of image-text sets as published. Out: a picture and its caption, a sample for each
caption of a picture.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.published.conversations import PLACEHOLDER, turns_of
from dsvl_data.read.published.fields import (
    image_of,
    kind_of,
    list_of,
    object_of,
    objects_of,
    required_list,
    required_text,
    text_of,
)
from dsvl_data.read.published.reader import Choice, Item, Left, Pictures, Reader, Record, Rows
from dsvl_data.sample import Text

_QWEN_IMAGE = re.compile(r"<img>(.*?)</img>", re.DOTALL)
_ADDRESS = re.compile(r"https?://|www\.|\S+@\S+\.\S+", re.IGNORECASE)


def _named(*fields: str) -> Callable[[Record], Sequence[str | bytes]]:
    """Name the picture by the first of these fields that has one."""

    def pictures(record: Record) -> Sequence[str | bytes]:
        found = (image_of(record.get(field)) for field in fields)
        return [name for name in found if name][:1]

    return pictures


def _pair(
    pictures: Pictures, text: str, language: str = "", details: Mapping[str, str] | None = None
) -> Item:
    if not len(pictures):
        raise DocumentError(Reason.BAD_RECORD, "it names no picture")
    return Item([pictures[0], Text(text)], language, details=details or {})


def _capsfusion(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    """One of three captions: the fused one, that of the web page, that of a model."""
    name = choice.variant()
    yield _pair(pictures, required_text(record, name))


def _taisu_pictures(record: Record) -> Sequence[str | bytes]:
    name = text_of(record.get("key"))
    return [name] if name else []


def _taisu(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    """The caption of the web page or that of a model; where one is absent, the other."""
    captions = object_of(record.get("value"))
    drawn = choice.variant()
    order = {"web": "w", "generated": "g"}
    names = [drawn, *(name for name in order if name != drawn)]
    texts = [(name, _first_text(captions.get(order[name]))) for name in names]
    name, text = next(((name, text) for name, text in texts if text), ("", ""))
    if not text:
        if not any(isinstance(captions.get(field), str | list) for field in order.values()):
            raise DocumentError(Reason.BAD_RECORD, "neither `w` nor `g` is a text")
        raise DocumentError(Reason.NO_TEXT, "both captions are empty")
    yield _pair(pictures, text, "zh", {"caption": name})


def _first_text(value: object) -> str:
    """A caption, alone or in a list."""
    return text_of(value) or next((text for text in map(text_of, list_of(value)) if text), "")


def _chat_pictures(record: Record) -> Sequence[str | bytes]:
    """LLaVA names the picture in a field, Qwen-VL within the first turn."""
    named = image_of(record.get("image"))
    if named:
        return [named]
    for turn in objects_of(record.get("conversations")):
        match = _QWEN_IMAGE.search(text_of(turn.get("value")))
        if match:
            return [match[1].strip()]
    return []


def _description(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    """The first answer of a conversation that asks for a description."""
    turns = turns_of(required_list(record, "conversations"))
    answers = [text for role, text in turns if role == "assistant"]
    caption = text_of(_QWEN_IMAGE.sub("", answers[0]).replace(PLACEHOLDER, "")) if answers else ""
    if not caption:
        raise DocumentError(Reason.NO_TEXT, "nobody describes it")
    yield _pair(pictures, caption, "en")


_FETCHED = ("jpg", "png", "webp")  # where `output_format parquet` has the picture


def _fetched_pictures(record: Record) -> Sequence[str | bytes]:
    return _named(*_FETCHED, "url")(record)


def _fetched(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    """What img2dataset has fetched; what it has not is a missing image, with its own words."""
    status = text_of(record.get("status"))
    if status and status != "success":
        message = text_of(record.get("error_message"))
        raise DocumentError(Reason.MISSING_IMAGE, f"{status}: {message}")
    yield _pair(pictures, required_text(record, "caption"))


def _coco_pictures(record: Record) -> Sequence[str | bytes]:
    name = text_of(record.get("file_name"))
    return [name] if name else []


def _coco(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    """Several people's captions of one picture: a sample each."""
    required_text(record, "file_name")  # what is no object has none
    annotations = required_list(record, "annotations")
    if not annotations:
        raise DocumentError(Reason.NO_TEXT, "nobody has captioned it")
    for number, annotation in enumerate(annotations):
        if not isinstance(annotation, Mapping):
            yield Left(Reason.BAD_RECORD, f"annotation {number}", f"is {kind_of(annotation)}")
            continue
        try:
            caption = required_text(annotation, "caption")
        except DocumentError as error:
            yield Left(error.reason, f"annotation {annotation.get('id')}", error.detail)
            continue
        yield _pair(pictures, caption)


def _drawing(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    """A drawing's title and description; one that only tells whose it is says nothing of it."""
    title = required_text(record, "title").replace("_", " ")
    description = text_of(record.get("caption"))
    if _ADDRESS.search(description) or description == title:
        description = ""
    between = "：" if description[:1] > "\u2e80" else ": "  # Chinese has its own colon
    yield _pair(pictures, f"{title}{between}{description}" if description else title)


_READERS = (
    Reader(
        name="capsfusion",
        category="caption",
        licence="unknown",
        layout="https://huggingface.co/datasets/BAAI/CapsFusion-120M",
        rows=Rows(("**/*.parquet",), columns=("image_url", "capsfusion", "laion_2b", "laion_coco")),
        pictures=_named("image_url"),
        convert=_capsfusion,
        images="urls",
        variants={"capsfusion": 1.0, "laion_2b": 0.0, "laion_coco": 0.0},
    ),
    Reader(
        name="taisu",
        category="caption",
        licence="CC-BY-NC-SA-4.0",
        layout="https://github.com/ksOAn6g5/TaiSu#dataset-download",
        rows=Rows(("**/*.json",)),
        pictures=_taisu_pictures,
        convert=_taisu,
        images="folder",
        stems=True,
        variants={"web": 0.5, "generated": 0.5},
    ),
    Reader(
        name="detailed_caption",
        category="caption",
        licence="MIT",
        # The files are listed there; what a record looks like nobody says: the forms of both
        # models that it was made for are read.
        layout="https://huggingface.co/datasets/echo840/Detailed_Caption/tree/main",
        rows=Rows(("**/detailed_caption.json", "**/densecap.json")),
        pictures=_chat_pictures,
        convert=_description,
        images="folder",
    ),
    Reader(
        name="sharegpt4v",
        category="caption",
        licence="CC-BY-NC-4.0",
        layout="https://github.com/InternLM/InternLM-XComposer/blob/main/projects/ShareGPT4V/docs/Data.md",
        rows=Rows(("**/sharegpt4v_instruct_gpt4-vision_cap100k.json", "**/share-captioner_*.json")),
        pictures=_chat_pictures,
        convert=_description,
        images="folder",
    ),
    Reader(
        name="img2dataset",
        category="caption",
        licence="unknown",
        layout="https://github.com/rom1504/img2dataset#usage",
        rows=Rows(
            ("**/*.parquet",),
            columns=("key", "url", "caption", "status", "error_message", *_FETCHED),
        ),
        pictures=_fetched_pictures,
        convert=_fetched,
        images="folder",
    ),
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
        # Drawings of the Debian package openclipart-svg with a `captions.jsonl` beside them:
        # `file`, `title`, `caption`, `keywords`.
        layout="https://packages.debian.org/stable/openclipart-svg",
        rows=Rows(("**/captions.jsonl",)),
        pictures=_named("file"),
        convert=_drawing,
        images="folder",
    ),
)

READERS: Mapping[str, Reader] = {reader.name: reader for reader in _READERS}
