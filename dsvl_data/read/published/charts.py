"""Published charts, figures and tables: summaries, data, questions and answers.

Chart2text, UniChart, Paper2Figure100k, ScienceQA, Geo170K, SciGraphQA-295K, UReader, M-Paper.
In: a record and its pictures. Out: the image, then its text. The sets that are conversations as
published (Geo170K, SciGraphQA, UReader, M-Paper) keep their roles, with loss on the answers; their
variant `plain` is the same as text without roles. What a set holds out for testing is not read.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.plots.chart import write_markdown_table
from dsvl_data.read.published.conversations import (
    Turn,
    first_picture,
    pairs_of,
    segments_of,
    turns_of,
)
from dsvl_data.read.published.fields import (
    image_of,
    integer_of,
    kind_of,
    list_of,
    object_of,
    required_list,
    required_text,
    text_of,
)
from dsvl_data.read.published.reader import Choice, Item, Left, Pictures, Reader, Record, Rows
from dsvl_data.sample import Text

_CONVERSATION = {"conversation": 1.0, "plain": 0.0}

# Chart2text: `imgs/7.png`, `captions/7.txt`, `titles/7.txt` and `data/7.csv` (Statista) or
# `data/7.txt` (Pew: words that were recognised in the chart, which are no table), and the same
# below `multiColumn/`. The form of Obeid and Hoque (2020) is the same without `imgs`.

# Statista's texts are published as the Penn Treebank's tokens, with spaces between.
_QUOTE = re.compile(r"``\s*|\s*''")
_SPACE = re.compile(
    r"\s+(?=[,.?!;:)\]](?:[\s\"]|$)|'(?:s|re|ve|ll|d|m)\b|n't\b)"
    r"|(?<=\d)\s+(?=%)|(?<=s)\s+(?='\s)|(?<=[(\[$])\s+"
)


def _beside(record: Record, folder: str, suffix: str) -> str:
    path = PurePosixPath(text_of(record.get("name")))
    return str(path.parent.parent / folder / (path.stem + suffix))


def _chart2text_files(record: Record) -> Sequence[str]:
    return (_beside(record, "titles", ".txt"), _beside(record, "data", ".csv"))


def _chart2text(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    caption = _untokenised(required_text(record, "text"))
    image = pictures[0]
    title = _untokenised(text_of(_file(pictures, 0)))
    data = _file(pictures, 1)
    extras = {"title": title} if title else {}
    if choice.variant() == "table" and data is not None:
        try:
            table = _table(_csv(text_of(data)))
        except DocumentError as error:
            yield Left(error.reason, "data", error.detail)
        else:
            text = f"{title}\n\n{table}" if title else table
            yield Item([image, Text(text)], "en", extras={**extras, "summary": caption})
            return
    yield Item([image, Text(caption)], "en", extras=extras)


def _csv(text: str) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(text)))
    except csv.Error as error:
        raise DocumentError(Reason.BAD_TABLE, str(error)) from error


def _file(pictures: Pictures, index: int) -> bytes | None:
    try:
        return pictures.file(index)
    except DocumentError as error:
        if error.reason is not Reason.MISSING_FILE:
            raise
        return None


def _untokenised(text: str) -> str:
    return _SPACE.sub("", _QUOTE.sub('"', text))


def _table(rows: Sequence[Sequence[str]]) -> str:
    cells = [[" ".join(cell.split()) for cell in row] for row in rows if any(row)]
    if len(cells) < 2 or len({len(row) for row in cells}) != 1:
        raise DocumentError(Reason.BAD_TABLE, f"{len(cells)} rows, of unequal lengths or too few")
    return write_markdown_table(cells[0], cells[1:])


# UniChart: `query` is `<task> question <s_answer>`, `label` the answer. Rows of a table are parted
# by `&`, cells by `|`.

_QUERY = re.compile(r"\s*<([a-z_]+)>\s*(.*?)\s*(?:<s_answer>\s*)?\Z", re.DOTALL)


def _unichart(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    query, label = required_text(record, "query"), required_text(record, "label")
    match = _QUERY.match(query)
    if match is None:
        raise DocumentError(Reason.BAD_RECORD, f"a query without a task: {query[:80]!r}")
    task, question = match.groups()
    if task == "extract_data_table":
        label = _table([row.split("|") for row in label.split("&")])
    text = f"{question}\n{label}" if question else label
    yield Item([first_picture(pictures), Text(text)], "en", details={"task": task})


# Paper2Figure100k: `captions` are the caption and then the paragraphs that speak of the figure.


def _paper2figure_names(record: Record) -> Sequence[str]:
    name = text_of(record.get("figure_id"))
    return (f"figures/{name}.png", f"{name}.png") if name else ()


def _paper2figure(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    captions = required_list(record, "captions")
    caption = required_text({"captions[0]": captions[0] if captions else None}, "captions[0]")
    mentions = [mention for value in captions[1:] if (mention := text_of(value))]
    extras = {"mentions": "\n\n".join(mentions)} if mentions else {}
    yield Item([first_picture(pictures), Text(caption)], "en", extras=extras)


# ScienceQA: `problems.json` (`{id: problem}`, images in `SPLIT/ID/image.png`), or the Parquet files
# of derek-thomas/ScienceQA. Questions without a picture belong elsewhere.


def _problem(record: Record) -> Record:
    return object_of(record["value"]) if "value" in record else record


def _scienceqa_names(record: Record) -> Sequence[str | bytes]:
    image = image_of(_problem(record).get("image"))
    if not isinstance(image, str) or "value" not in record:
        return () if image is None else (image,)
    path = f"{text_of(_problem(record).get('split'))}/{text_of(record.get('key'))}/{image}"
    return (path, f"images/{path}")


def _scienceqa(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    problem = _problem(record)
    if text_of(problem.get("split")) in ("val", "test"):
        raise DocumentError(Reason.HELD_OUT, f"of the split {problem['split']!r}")
    question = required_text(problem, "question")
    choices = [text_of(option) for option in required_list(problem, "choices")]
    answer = integer_of(problem.get("answer"))
    if answer is None or not 0 <= answer < len(choices) <= 26 or not all(choices):
        raise DocumentError(Reason.BAD_RECORD, "an answer that is none of the choices")
    if problem.get("image") is None:
        raise DocumentError(Reason.NO_PICTURE, "a question without a picture")
    options = [f"{chr(ord('A') + index)}. {option}" for index, option in enumerate(choices)]
    parts = [text_of(problem.get("hint")), question, *options, f"Answer: {options[answer]}"]
    text = "\n".join(part for part in parts if part)
    if solution := text_of(problem.get("solution")):
        text += f"\n\n{solution}"
    lecture = text_of(problem.get("lecture"))
    extras = {"lecture": lecture} if lecture else {}
    details = {
        name: value for name in ("subject", "topic") if (value := text_of(problem.get(name)))
    }
    image = first_picture(pictures)
    yield Item([image, Text(text)], "en", extras=extras, details=details)


# Conversations. Each picture of a record may go by so many names, the likeliest first.


def _names_of(field: str, folders: Sequence[str]) -> Callable[[Record], Sequence[str]]:
    def names(record: Record) -> Sequence[str]:
        value = record.get(field)
        found = [text_of(image) for image in (list_of(value) or [value])]
        return [folder + image for image in found if image for folder in folders]

    return names


def _conversation(
    turns: Callable[[Record], Sequence[Turn]], field: str, folders: Sequence[str]
) -> Callable[[Record, Pictures, Choice], Iterator[Item | Left]]:
    def convert(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
        said = turns(record)
        value = record.get(field)
        wanted = list_of(value) or [value]
        if not all(isinstance(image, str) and text_of(image) for image in wanted):
            raise DocumentError(Reason.BAD_RECORD, f"`{field}` is {kind_of(value)}")
        step = len(folders)
        images = [
            first_picture(pictures, start, start + step)
            for start in range(0, step * len(wanted), step)
        ]
        extras = {
            name: text
            for name in ("caption", "first_mention", "title")
            if (text := text_of(record.get(name)))
        }
        task = text_of(record.get("task_type"))
        details = {"task": task} if task else {}
        segments = segments_of(said, images, choice.variant())
        yield Item(segments, "en", extras=extras, details=details)

    return convert


def _talk(
    name: str,
    licence: str,
    layout: str,
    rows: Rows,
    turns: Callable[[Record], Sequence[Turn]],
    field: str = "image",
    folders: Sequence[str] = ("",),
) -> Reader:
    return Reader(
        name=name,
        category="table_chart",
        licence=licence,
        layout=layout,
        rows=rows,
        convert=_conversation(turns, field, folders),
        pictures=_names_of(field, folders),
        images="folder",
        variants=_CONVERSATION,
    )


def _messages(record: Record) -> Sequence[Turn]:
    return turns_of(required_list(record, "conversations"))


def _pairs(record: Record) -> Sequence[Turn]:
    return pairs_of(required_list(record, "q_a_pairs"))


_READERS = (
    Reader(
        name="chart2text",
        category="table_chart",
        licence="GPL-3.0-only",
        layout="https://github.com/vis-nlp/Chart-to-text#chart-to-text-dataset",
        rows=Rows(("**/captions/*.txt",)),
        convert=_chart2text,
        pictures=lambda record: (_beside(record, "imgs", ".png"),),
        files=_chart2text_files,
        images="inside",
        variants={"summary": 1.0, "table": 1.0},
    ),
    Reader(
        name="unichart",
        category="table_chart",
        licence="MIT",
        layout="https://huggingface.co/datasets/ahmed-masry/unichart-pretrain-data",
        rows=Rows(("**/train-*.parquet",), columns=("imgname", "query", "label")),
        convert=_unichart,
        pictures=_names_of("imgname", ("",)),
        images="folder",
    ),
    Reader(
        name="paper2figure100k",
        category="table_chart",
        licence="CC-BY-4.0",
        layout="https://github.com/joanrod/ocr-vqgan#download-paper2fig100k-dataset",
        rows=Rows(("**/paper2fig_train.json",)),
        convert=_paper2figure,
        pictures=_paper2figure_names,
        images="inside",
    ),
    Reader(
        name="scienceqa",
        category="table_chart",
        licence="CC-BY-NC-SA-4.0",
        layout="https://github.com/lupantech/ScienceQA#ghost-download-the-dataset",
        rows=Rows(("**/problems.json", "**/train-*.parquet")),
        convert=_scienceqa,
        pictures=_scienceqa_names,
        images="inside",
    ),
    _talk(
        "geo170k",
        "unknown",
        "https://github.com/pipilurj/G-LLaVA#data-preparation",
        Rows(("**/alignment.json", "**/qa_tuning.json")),
        _messages,
        folders=("images/", ""),
    ),
    _talk(
        "scigraphqa",
        "MIT",
        "https://huggingface.co/datasets/alexshengzhili/SciGraphQA-295K-train",
        Rows(("**/train-*.parquet",)),
        _pairs,
        field="image_file",
        folders=("", "img/"),
    ),
    _talk(
        "ureader",
        "unknown",
        "https://github.com/X-PLUG/mPLUG-DocOwl/tree/main/UReader#instruction-tuning-dataset",
        Rows(("**/train*.jsonl",)),
        _messages,
        folders=("", "ureader_images/"),
    ),
    # `sft/3tasks_train.jsonl` is the union of captions, analyses and outlines.
    _talk(
        "mpaper",
        "Apache-2.0",
        "https://huggingface.co/datasets/mPLUG/M-Paper",
        Rows(("**/sft/3tasks_train.jsonl",)),
        _messages,
    ),
)

READERS: Mapping[str, Reader] = {reader.name: reader for reader in _READERS}
