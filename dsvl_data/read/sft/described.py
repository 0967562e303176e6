"""Pictures that GPT-4V has described, without a question: LAION-GPTV and textOCR-GPT4V.

In: a row with a description and the address or name of its picture. Out: a conversation of one
question, of our own wording, and the description. Which wording is decided by the record's draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.published.conversations import first_picture
from dsvl_data.read.published.fields import image_of, required_text
from dsvl_data.read.published.reader import Choice, Item, Left, Pictures, Reader, Record, Rows
from dsvl_data.read.sft.turns import chosen, one_exchange

_DESCRIBE = (
    "Describe this image in detail.",
    "What can be seen in this picture? Take your time and mention everything that matters.",
    "Please write a full description of the image.",
    "Explain what this image shows to somebody who cannot see it.",
    "What is going on here?",
    "Walk me through this picture, from its main subject to the details.",
)
_DESCRIBE_WITH_TEXT = (
    "Describe this image, including any text that can be read in it.",
    "What does this picture show, and what is written in it?",
    "Please describe the scene and quote the writing you see.",
    "Tell me about this image. Do not leave out the words on signs, labels or covers.",
)


def _laion_names(record: Record) -> Sequence[str | bytes]:
    # `image` in copies of the set that hold the pictures.
    names = (image_of(record.get("image")), image_of(record.get("link")))
    return [name for name in names if name]


def _laion(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    caption = required_text(record, "caption")
    image = first_picture(pictures)
    yield Item(one_exchange(chosen(_DESCRIBE, choice), caption, [image]), "en")


def _textocr_names(record: Record) -> Sequence[str | bytes]:
    """TextOCR's pictures are `train_images/ID.jpg`; the set names them by `ID.jpg`."""
    name = image_of(record.get("filename"))
    if not isinstance(name, str):
        held = image_of(record.get("image"))
        return [] if held is None else [held]
    return (name, f"train_images/{name}")


def _textocr(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    variant = choice.variant()
    caption = required_text(record, f"caption_{variant}")
    if not len(pictures):
        raise DocumentError(Reason.BAD_RECORD, "it names no picture")
    questions = _DESCRIBE_WITH_TEXT if variant == "condensed" else _DESCRIBE
    question = chosen(questions, choice)
    yield Item(one_exchange(question, caption, [first_picture(pictures)]), "en")


_READERS = (
    # `link`, `caption`, `message_id`, `timestamp`; the pictures are to be fetched.
    Reader(
        name="laion_gptv",
        category="sft_general",
        licence="unknown",
        layout="https://huggingface.co/datasets/laion/gpt4v-dataset",
        rows=Rows(("**/*.parquet",)),
        convert=_laion,
        pictures=_laion_names,
        images="urls",
        variants={"conversation": 1.0},
    ),
    # `filename`, `caption_image` (the scene) and `caption_condensed` (the scene and its writing).
    Reader(
        name="textocr_gpt4v",
        category="sft_general",
        licence="CC-BY-NC-4.0",
        layout="https://huggingface.co/datasets/jimmycarter/textocr-gpt4v",
        rows=Rows(("**/*.parquet", "**/*.jsonl")),
        convert=_textocr,
        pictures=_textocr_names,
        images="folder",
        variants={"condensed": 1.0, "image": 0.0},
    ),
)

READERS: Mapping[str, Reader] = {reader.name: reader for reader in _READERS}
