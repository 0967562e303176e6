r"""Sets in LLaVA's form: LLaVA, ShareGPT4V, LVIS-Instruct4V, LLaVA 1.6's GPT-4V data, Geo170K and,
near to it, UReader.

In: a record of `image`, one name or several, and `conversations`, the turns:
`{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A kite."}`
(https://github.com/haotian-liu/LLaVA/blob/main/docs/Finetune_Custom_Data.md). Out: a conversation.
A record without a picture is a conversation of text, which LLaVA's mixtures hold too. Each reader
names the page of its own layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.published.conversations import first_picture
from dsvl_data.read.published.fields import image_of, is_list, kind_of, list_of, required_list
from dsvl_data.read.published.fields import text_of as text
from dsvl_data.read.published.reader import Choice, Item, Left, Pictures, Reader, Record, Rows
from dsvl_data.read.sft.turns import joined, segments_of, turns_of


def _wanted(record: Record) -> list[object]:
    """What a record says of its pictures: `image`, one or several, or `images`."""
    value = record.get("image")
    if value is None or value == "":
        value = record.get("images")
    if value is None or value == "":
        return []
    return list_of(value) if is_list(value) else [value]


def _names(folders: Sequence[str]) -> Callable[[Record], Sequence[str | bytes]]:
    """Name each picture in all the folders it may lie in, the likeliest first."""

    def names(record: Record) -> Sequence[str | bytes]:
        found: list[str | bytes] = []
        for value in _wanted(record):
            name = image_of(value)
            if isinstance(name, bytes):
                # Bytes stand for themselves: as often as there are folders, so that positions fit.
                found += [name] * len(folders)
            elif name is not None:
                found += [folder + name for folder in folders]
        return found

    return names


def _talk(
    name: str,
    category: str,
    licence: str,
    layout: str,
    rows: Rows,
    *,
    folders: Sequence[str] = ("",),
    picture_turns: bool = False,
    language: str = "",
) -> Reader:
    """A set in LLaVA's form; `picture_turns`: a picture may have a user's turn of its own."""

    def convert(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
        turns = turns_of(required_list(record, "conversations"))
        wanted = _wanted(record)
        for value in wanted:
            if image_of(value) is None:
                raise DocumentError(Reason.BAD_RECORD, f"an image is {kind_of(value)}")
        step = len(folders)
        images = [
            first_picture(pictures, start, start + step)
            for start in range(0, step * len(wanted), step)
        ]
        found = ("task_type", "data_source")
        details = {key: value for key in found if (value := text(record.get(key)))}
        segments = segments_of(joined(turns) if picture_turns else turns, images)
        yield Item(segments, language, details=details)

    return Reader(
        name=name,
        category=category,
        licence=licence,
        layout=layout,
        rows=rows,
        convert=convert,
        pictures=_names(folders),
        images="folder",
        variants={"conversation": 1.0},
    )


_READERS = (
    _talk(
        "llava",
        "sft_general",
        "unknown",
        "https://github.com/haotian-liu/LLaVA/blob/main/docs/Finetune_Custom_Data.md",
        Rows(("**/*.json", "**/*.jsonl", "**/*.parquet")),
    ),
    # `..._cap100k.json`, the captions, and `..._mix665k_...json`, LLaVA 1.5's mixture with a part
    # of them in place of its own descriptions.
    _talk(
        "sharegpt4v",
        "sft_general",
        "CC-BY-NC-4.0",
        "https://github.com/InternLM/InternLM-XComposer/blob/main/projects/ShareGPT4V/docs/Data.md",
        Rows(("**/sharegpt4v_*.json",)),
        language="en",
    ),
    # `lvis_instruct4v_220k.json`, and the mixtures with LLaVA's own data.
    _talk(
        "lvis_instruct4v",
        "sft_general",
        "unknown",
        "https://huggingface.co/datasets/X2FD/LVIS-Instruct4V",
        Rows(("**/lvis_instruct4v_*.json",)),
        language="en",
    ),
    # Parquet with the pictures, or `llava_next_raw_format_processed.json` with tars of them.
    _talk(
        "llava16_gpt4v",
        "sft_general",
        "unknown",
        "https://huggingface.co/datasets/lmms-lab/LLaVA-NeXT-Data",
        Rows(("**/train-*.parquet", "**/llava_next_raw_format_processed.json")),
    ),
    _talk(
        "geo170k",
        "sft_table_chart",
        "unknown",
        "https://github.com/pipilurj/G-LLaVA#data-preparation",
        Rows(("**/alignment.json", "**/qa_tuning.json")),
        folders=("images/", ""),
        language="en",
    ),
    # The picture stands in a user's turn of its own, before the question's.
    _talk(
        "ureader",
        "sft_table_chart",
        "unknown",
        "https://github.com/X-PLUG/mPLUG-DocOwl/tree/main/UReader#instruction-tuning-dataset",
        Rows(("**/train*.jsonl",)),
        folders=("", "ureader_images/"),
        picture_turns=True,
        language="en",
    ),
)

READERS: Mapping[str, Reader] = {reader.name: reader for reader in _READERS}
