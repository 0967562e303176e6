"""Answers to the prompts of `dsvl-data taxonomy prompts`: lines as it wrote them, with `answer`.

In: `{"image", "prompt", "language", "taxonomy", "answer"}`. Out: a conversation of one exchange,
with the leaf that its prompt was chosen for. A line that nobody has answered is an empty turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dsvl_data.read.published.conversations import first_picture
from dsvl_data.read.published.fields import image_of, required_text, text_of
from dsvl_data.read.published.reader import Choice, Item, Left, Pictures, Reader, Record, Rows
from dsvl_data.read.sft.turns import one_exchange


def _names(record: Record) -> list[str | bytes]:
    name = image_of(record.get("image"))
    return [] if name is None else [name]


def _convert(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    prompt = required_text(record, "prompt")
    answer = text_of(record.get("answer"))
    segments = one_exchange(prompt, answer, [first_picture(pictures)])
    path = text_of(record.get("taxonomy"))
    yield Item(segments, text_of(record.get("language")), taxonomy=path or None)


READERS: Mapping[str, Reader] = {
    "taxonomy_answers": Reader(
        name="taxonomy_answers",
        category="sft_inhouse",
        licence="unknown",
        layout="taxonomy/prompts.py",
        rows=Rows(("**/*.jsonl",)),
        convert=_convert,
        pictures=_names,
        images="folder",
        variants={"conversation": 1.0},
    )
}
