"""Published documents of text and pictures: MMC4, OBELICS, WikiHow and WikiWeb2M.

In: a document as published, and its pictures. Out: its text and pictures in order, an `Article`
(for OBELICS one for each page that a document was merged from). A picture that cannot be had is
left out with its reason and the document is kept, as one of text where it was the last.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.blocks import TextBlock
from dsvl_data.read.published.conversations import first_picture
from dsvl_data.read.published.fields import (
    integer_of,
    is_list,
    kind_of,
    list_of,
    number_of,
    object_of,
    objects_of,
    required_list,
    required_text,
    text_of,
)
from dsvl_data.read.published.reader import Article, Choice, Left, Pictures, Reader, Record, Rows
from dsvl_data.sample import Image


@dataclass(frozen=True, slots=True)
class Placed:
    """A picture's place in a document, and the names it may go by, the likeliest first.

    Its caption stands below it, and is lost with it. `similarity` is that of picture and text.
    """

    names: tuple[str, ...]
    caption: str = ""
    similarity: float | None = None


class Break:
    """Where one document of a record ends and the next begins."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A part of the record that is not as published: it has no place in the document."""

    item: str
    detail: str


#: A document in reading order: headings, paragraphs (or sentences), pictures, and what is not to be
#: had.
Part: TypeAlias = str | TextBlock | Placed | Break | Lost


def _names(layout: Callable[[Record], list[Part]]) -> Callable[[Record], Sequence[str]]:
    def names(record: Record) -> Sequence[str]:
        try:
            parts = layout(record)
        except DocumentError:
            return ()  # `convert` will say why
        return [name for part in parts if isinstance(part, Placed) for name in part.names]

    return names


@dataclass(slots=True)
class _Document:
    """Blocks as they are put together. `flowing`: sentences go on in the block before them.

    `paired`: the text behind a picture belongs to it, and stays with it.
    """

    flowing: bool
    paired: bool
    blocks: list[TextBlock | tuple[Image, str]] = field(default_factory=list)
    similarities: list[float] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Append a sentence, or a text of paragraphs."""
        paragraphs = [text] if self.flowing else _PARAGRAPHS.split(text)
        for paragraph in filter(None, map(str.strip, paragraphs)):
            last = self.blocks[-1] if self.blocks else None
            if isinstance(last, TextBlock) and self.flowing:
                self.blocks[-1] = TextBlock("paragraph", f"{last.markdown} {paragraph}")
            elif isinstance(last, tuple) and last[1] and self.flowing:
                self.blocks[-1] = last[0], f"{last[1]} {paragraph}"
            elif isinstance(last, tuple) and not last[1] and self.paired:
                self.blocks[-1] = last[0], paragraph
            else:
                self.blocks.append(TextBlock("paragraph", paragraph))

    def end(self, language: str, details: Mapping[str, str]) -> Iterator[Article | Left]:
        """Yield the document, unless it is none."""
        pictured = any(isinstance(block, tuple) for block in self.blocks)
        if not any(isinstance(block, TextBlock) or block[1] for block in self.blocks):
            if pictured:
                yield Left(Reason.NO_TEXT)
            return
        if not pictured and all(_is_heading(block) for block in self.blocks):
            yield Left(Reason.NO_TEXT, detail="nothing but headings")
            return
        count = len(self.similarities)
        scores = {"matched_sim": sum(self.similarities) / count} if count else {}
        yield Article(self.blocks, language, scores, details)


_PARAGRAPHS = re.compile(r"\n[ \t]*\n")


def _is_heading(block: TextBlock | tuple[Image, str]) -> bool:
    return isinstance(block, TextBlock) and block.kind == "heading"


def _assemble(
    parts: Sequence[Part],
    pictures: Pictures,
    *,
    flowing: bool = False,
    paired: bool = False,
    after: bool = False,
    language: str = "en",
    details: Mapping[str, str] | None = None,
    min_similarity: float = 0.0,
) -> Iterator[Article | Left]:
    """Yield the documents of a record. `after`: a picture follows the text that it stands before.

    `flowing` and `paired` are as `_Document`'s.
    """
    document = _Document(flowing, paired)
    waiting: list[tuple[Image, str]] = []
    first = 0  # of the pictures that have not been asked for
    for part in [*parts, Break()]:
        match part:
            case str():
                document.add(part)
                document.blocks += waiting
                waiting = []
            case TextBlock():
                document.blocks.append(part)
            case Placed():
                first, start = first + len(part.names), first
                similarity = part.similarity
                if similarity is not None and similarity < min_similarity:
                    detail = f"{similarity:.3f}, below {min_similarity:.3f}"
                    yield Left(Reason.LOW_SIMILARITY, part.names[0], detail)
                    continue
                try:
                    image = first_picture(pictures, start, first)
                    (waiting if after else document.blocks).append((image, part.caption))
                    document.similarities += [] if similarity is None else [similarity]
                except DocumentError as error:
                    yield Left(error.reason, part.names[0], error.detail)
            case Lost():
                yield Left(Reason.BAD_RECORD, part.item, part.detail)
            case Break():
                document.blocks += waiting
                yield from document.end(language, details or {})
                document, waiting = _Document(flowing, paired), []
    if not any(isinstance(part, str | TextBlock | Placed | Lost) for part in parts):
        yield Left(Reason.NO_TEXT, detail="nothing in the record")


def _heading(level: int, text: str) -> TextBlock:
    return TextBlock("heading", f"{'#' * level} {text}", level)


def _texts(value: object, item: str) -> list[Part]:
    if not isinstance(value, str):
        return [Lost(item, f"its text is {kind_of(value)}")]
    text = text_of(value)
    return [text] if text else []


def _candidates(*values: object) -> tuple[str, ...]:
    return tuple(name for value in values if (name := text_of(value)))


# MMC4. An image is matched to a sentence; nothing published says on which side of it the image
# belongs. OpenFlamingo, by authors of the same paper, puts it before: so the sentence can be told
# from the image. https://github.com/mlfoundations/open_flamingo/issues/219


def _mmc4_layout(record: Record) -> list[Part]:
    sentences = required_list(record, "text_list")
    matched: dict[int, list[Part]] = {}
    lost: list[Part] = []
    for info in required_list(record, "image_info"):
        image = object_of(info)
        # The publishers' script saves an image by this name; img2dataset knows its URL.
        names = _candidates(image.get("image_name"), image.get("raw_url"))
        index = integer_of(image.get("matched_text_index"))
        if not names or index is None or not 0 <= index < len(sentences):
            lost.append(Lost(names[0] if names else "", "an image without a name or a sentence"))
            continue
        matched.setdefault(index, []).append(
            Placed(names, similarity=number_of(image.get("matched_sim")))
        )
    parts: list[Part] = []
    for index, sentence in enumerate(sentences):
        parts += matched.get(index, [])
        parts += _texts(sentence, f"sentence {index}")
    return parts + lost


def _mmc4(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Article | Left]:
    yield from _assemble(
        _mmc4_layout(record),
        pictures,
        flowing=True,
        paired=choice.variant() != "after",
        after=choice.variant() == "after",
        details=_page(record.get("url")),
        min_similarity=choice.thresholds.get("min_similarity", 0.0),
    )


# OBELICS. `images` and `texts` have the same length; at each position one of the two is null.

_OBELICS_END = "END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED"


def _obelics_layout(record: Record) -> list[Part]:
    images, texts = required_list(record, "images"), required_list(record, "texts")
    if len(images) != len(texts):
        raise DocumentError(Reason.BAD_RECORD, f"{len(images)} images beside {len(texts)} texts")
    parts: list[Part] = []
    for index, (image, text) in enumerate(zip(images, texts, strict=True)):
        if names := _candidates(image):
            parts.append(Placed(names))
        elif image is not None or text is None:
            parts.append(Lost(f"position {index}", f"its image is {kind_of(image)}"))
        if text is None:
            continue
        for part in _texts(text, f"position {index}"):
            if not isinstance(part, str):
                parts.append(part)
                continue
            for piece_index, piece in enumerate(part.split(_OBELICS_END)):
                parts += [Break()] if piece_index else []
                parts += [piece.strip()] if piece.strip() else []
    return parts


def _obelics(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Article | Left]:
    try:
        general = object_of(json.loads(text_of(record.get("general_metadata")) or "{}"))
    except (ValueError, RecursionError):
        general = {}  # it only tells where the page was
    details = _page(general.get("url"))
    yield from _assemble(_obelics_layout(record), pictures, details=details)


# WikiHow. A picture stands above its step, as on the site; it is named by the step's id.


def _wikihow_layout(record: Record) -> list[Part]:
    parts: list[Part] = [_heading(1, _line(required_text(record, "goal")))]
    if description := text_of(record.get("goal_description")):
        parts.append(description)
    for index, method in enumerate(required_list(record, "methods")):
        steps = object_of(method).get("steps")
        if not is_list(steps):
            parts.append(Lost(f"method {index}", f"its steps are {kind_of(steps)}"))
        if name := _line(text_of(object_of(method).get("name"))):
            parts.append(_heading(2, name))
        for number, element in enumerate(list_of(steps), 1):
            if not isinstance(element, Mapping):
                parts.append(Lost(f"method {index}, step {number}", f"is {kind_of(element)}"))
            step = object_of(element)
            identity = text_of(step.get("step_id"))
            names = _candidates(f"{identity}.png" if identity else "", step.get("img"))
            if names:
                parts.append(Placed(names))
            headline = _line(text_of(step.get("headline")))
            text = " ".join(
                filter(
                    None, [f"**{headline}**" if headline else "", text_of(step.get("description"))]
                )
            )
            if text:
                parts.append(f"{number}. {text}")
    return parts


def _wikihow(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Article | Left]:
    licences = {
        licence
        for method in objects_of(record.get("methods"))
        for step in objects_of(method.get("steps"))
        if (licence := text_of(step.get("img_license")))
    }
    details = {"image_licences": ", ".join(sorted(licences))} if licences else {}
    yield from _assemble(_wikihow_layout(record), pictures, paired=True, details=details)


# WikiWeb2M. Pictures are grouped by section, without a place in its text: they stand between the
# section's heading and its text, each with the caption that the page shows.


def _wikiweb2m_layout(record: Record) -> list[Part]:
    texts = required_list(record, "section_text")
    title = _line(_scalar(record.get("page_title")))
    parts: list[Part] = [_heading(1, title)] if title else []
    titles, levels = _steps(record, "section_title"), _steps(record, "section_heading_level")
    urls, captions = (
        _steps(record, "section_image_url"),
        _steps(record, "section_image_raw_ref_desc"),
    )
    if urls and len(urls) != len(texts):
        raise DocumentError(Reason.BAD_RECORD, f"pictures of {len(urls)} of {len(texts)} sections")
    for index, text in enumerate(texts):
        heading = _line(_scalar(titles[index] if index < len(titles) else None))
        if heading and (index or heading != title):
            level = _scalar_integer(levels[index] if index < len(levels) else None) or 2
            parts.append(_heading(min(max(level, 2), 6), heading))
        shown = list_of(urls[index]) if urls else []
        said = list_of(captions[index]) if index < len(captions) else []
        for position, url in enumerate(shown):
            caption = _line(text_of(said[position])) if len(said) == len(shown) else ""
            if names := _candidates(url):
                parts.append(Placed(names, caption))
            else:
                parts.append(Lost(f"section {index}, image {position}", "an image without a URL"))
        if body := _scalar(text):
            parts.append(body)
    return parts


def _wikiweb2m(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Article | Left]:
    details = _page(_scalar(record.get("page_url")))
    yield from _assemble(_wikiweb2m_layout(record), pictures, details=details)


def _steps(record: Record, name: str) -> list[object]:
    return list_of(record.get(name))


def _scalar(value: object) -> str:
    values = list_of(value)
    return text_of(values[0]) if values else text_of(value)


def _scalar_integer(value: object) -> int | None:
    values = list_of(value)
    return integer_of(values[0]) if values else integer_of(value)


def _line(text: str) -> str:
    return " ".join(text.split())


def _page(url: object) -> dict[str, str]:
    address = text_of(url)
    return {"page": address} if address else {}


_READERS = (
    Reader(
        name="mmc4",
        category="interleaved",
        licence="ODC-By-1.0",
        layout="https://github.com/allenai/mmc4#documents",
        # `docs_no_face_shard_0_v2.jsonl.zip` (fewer faces), `..._v3.jsonl.zip` (core, fewer faces),
        # `docs_shard_0_v2.jsonl.zip` and `..._v3.jsonl.zip`: the same lines in all four corpora.
        rows=Rows(("**/docs_*shard_*.jsonl",)),
        convert=_mmc4,
        pictures=_names(_mmc4_layout),
        images="urls",
        variants={"before": 1.0, "after": 0.0},
        # Of CLIP ViT-L/14; OpenFlamingo asks for 0.24.
        thresholds={"min_similarity": 0.0},
    ),
    Reader(
        name="obelics",
        category="interleaved",
        licence="CC-BY-4.0",
        layout="https://huggingface.co/datasets/HuggingFaceM4/OBELICS",
        rows=Rows(("**/*.parquet",), columns=("images", "texts", "general_metadata")),
        convert=_obelics,
        pictures=_names(_obelics_layout),
        images="urls",
    ),
    Reader(
        name="wikihow",
        category="interleaved",
        licence="CC-BY-NC-SA-3.0",
        layout="https://github.com/YueYANG1996/wikiHow-VGSI#dataset",
        rows=Rows(("**/WikihowText_data.json",), lines=True),
        convert=_wikihow,
        pictures=_names(_wikihow_layout),
        images="folder",
    ),
    Reader(
        name="wikiweb2m",
        category="interleaved",
        licence="CC-BY-SA-3.0",
        layout="https://github.com/google-research-datasets/wit/blob/main/wikiweb2m.md",
        rows=Rows(("**/wikiweb2m-train.tfrecord.gz-*-of-*",)),
        convert=_wikiweb2m,
        pictures=_names(_wikiweb2m_layout),
        images="urls",
    ),
)

READERS: Mapping[str, Reader] = {reader.name: reader for reader in _READERS}
