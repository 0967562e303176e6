"""What a picture with annotated text becomes: its transcription, boxes, or a question about it.

In: the marks of a picture, which the readers of `scene_text_sets` make of a record as published
(a text with its outline, or none where nobody can read it). Out: one `Item` a picture, in one of
three forms that the recipe weighs, and `Left` for every outline that is none.

- `full`: the picture, then all that can be read in it, a line a line, in reading order.
- `boxes`: a question for all text with its place, and the same lines, each followed by its box.
- `region`: a question that names one box, and the text that stands in it.

The two questions come in several wordings, English and Chinese, drawn by the seed; they carry the
role of the user and are not trained on, the answers that of the assistant. Without them nothing
in a sample would say which of the forms is wanted. Boxes are `[x1, y1, x2, y2]`, whole numbers
from 0 to 999 of the picture's width and height.

What cannot be read (`###`, a flag) is left out. `full` and `boxes` claim to be all the text of a
picture: where less than `legible` of the annotated area can be read, it is left (`ILLEGIBLE`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from dsvl_data.language import UNDETERMINED
from dsvl_data.layout.reading_order import reading_order
from dsvl_data.layout.shapes import Ends, Shape
from dsvl_data.layout.writing import has_cjk, language_of_script
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.published.fields import box_text, kind_of
from dsvl_data.read.published.reader import Choice, Item, Left, Pictures, Record
from dsvl_data.sample import Image, Role, Segment, Text

VARIANTS = {"full": 0.6, "boxes": 0.2, "region": 0.2}
THRESHOLDS = {"legible": 0.5}
_TELLING = 30  # letters
# How much of the box that a question names may belong to other texts.
_FOREIGN = 0.15
#: More than the densest page of any of these sets; comparing them all could take minutes.
MAX_MARKS = 4000

BOXES_PROMPTS = (
    "Read all the text in the image, and give the box of each line.",
    "What text is in this image, and where? Give each line with its bounding box.",
    "Transcribe the image with the coordinates of every line.",
    "List the lines of text in the picture with their positions.",
    "读出图中的所有文字，并给出每一行的位置。",
    "图中有哪些文字？请逐行写出，并标出坐标框。",
    "请识别图片中的文字，每行后面附上它的边界框。",
)
REGION_PROMPTS = (
    "Read the text in this box: {box}",
    "What does the text at {box} say?",
    "What is written in the region {box} of the image?",
    "Transcribe the text inside the bounding box {box}.",
    "读出框 {box} 中的文字。",
    "图中 {box} 处写的是什么？",
    "请识别区域 {box} 内的文字。",
)
KEYWORD_PROMPTS = (
    "What is the main text on the sign?",
    "Which words name this place?",
    "Read the most important text in the image.",
    "图中最主要的文字是什么？",
    "这块招牌上写的是什么？",
    "请读出图中的关键文字。",
)


class Mark(NamedTuple):
    """An annotated text: its outline in pixels of the annotated picture, and what it says.

    An empty text is one that cannot be read. `group` is the annotated paragraph, where the set
    has any.
    """

    text: str
    shape: Shape
    group: int = 0


#: As `Mark`, in a third of the time.
_mark_of: Callable[[tuple[str, Shape, int]], Mark] = partial(tuple.__new__, Mark)


@dataclass(slots=True)
class Marks:
    """All marks of a picture, and the outlines that are none: (number of the mark, what it is).

    `width` and `height` are the size that the set gives for the picture, 0 where it gives none.
    """

    marks: list[Mark] = field(default_factory=list)
    broken: list[tuple[int, str]] = field(default_factory=list)
    width: float = 0
    height: float = 0

    def add(self, text: str, shape: Shape | None, *, group: int = 0) -> None:
        """Take in the next annotation of the picture."""
        if shape is None:
            self.add_broken("its outline encloses nothing")
        else:
            self.marks.append(_mark_of((text, shape, group)))

    def add_broken(self, why: str) -> None:
        """Count an annotation that is none: text of the picture that nobody gets to know."""
        self.broken.append((len(self.marks) + len(self.broken), why))

    def objects(self, values: object, what: str) -> list[dict[str, Any]]:
        """Return the objects of a list of annotations; what is no such thing counts as broken."""
        if not isinstance(values, list):
            self.add_broken(f"`{what}` is {kind_of(values)}")
            return []
        # JSON has no mapping but `dict`, and there are dozens of annotations a picture.
        found = [each for each in values if isinstance(each, dict)]
        if len(found) < len(values):
            for each in values:
                if not isinstance(each, dict):
                    self.add_broken(f"one of its `{what}` is {kind_of(each)}")
        return found


class Readable(NamedTuple):
    """A line of the transcription, what it is made of, and the rectangle around that.

    The rectangle is left, top, right, bottom in pixels.
    """

    text: str
    box: tuple[float, float, float, float]
    marks: Sequence[Mark]


#: As `Readable`, in half the time.
_readable_of: Callable[[tuple[Any, ...]], Readable] = partial(tuple.__new__, Readable)


def scene_text(
    marks_of: Callable[[Record], Marks],
    *,
    lines: bool = False,
    oriented: bool = True,
    language: str = "",
) -> Callable[[Record, Pictures, Choice], Iterator[Item | Left]]:
    """Return the `Reader.convert` of a set whose records `marks_of` understands.

    `lines`: the set annotates whole lines, so that neighbours are not joined to one. `oriented`:
    the first corner of an outline is the upper left one of the text as it is read. `language`: what
    the set's text is in where its script does not tell.
    """
    return partial(_convert, marks_of, lines, oriented, language)


def _convert(
    marks_of: Callable[[Record], Marks],
    lines: bool,
    oriented: bool,
    language: str,
    record: Record,
    pictures: Pictures,
    choice: Choice,
) -> Iterator[Item | Left]:
    found = marks_of(record)
    total = len(found.marks) + len(found.broken)
    if not total:
        raise DocumentError(Reason.NO_TEXT, "no text is annotated")
    if total > MAX_MARKS:
        raise DocumentError(Reason.TEXT_TOO_LONG, f"{total} texts in one picture")
    if len(pictures) != 1:
        raise DocumentError(Reason.BAD_RECORD, "it names no picture")
    picture = pictures[0]
    marks = _placed(found, picture)
    for number, why in found.broken:
        yield Left(Reason.BAD_RECORD, f"text {number}", why)
    form = choice.variant()
    legible = [mark for mark in marks if mark.text]
    share = _share(legible, marks, total)
    if not legible:
        raise DocumentError(Reason.ILLEGIBLE, f"none of {total} texts can be read")
    least = choice.thresholds.get("legible", THRESHOLDS["legible"])
    if form != "region" and share < least:
        raise DocumentError(
            Reason.ILLEGIBLE, f"{share:.0%} of the text can be read, and not {least:.0%}"
        )
    readable = transcription(legible, lines=lines, oriented=oriented)
    text = "\n".join([line.text for line in readable])
    yield Item(
        _form(form, picture, readable, marks, choice),
        language=language_of(text, language),
        scores={"legible": share},
        details={"texts": str(len(marks))},
    )


def language_of(text: str, usual: str = "") -> str:
    """Return the language that the script tells, else the usual one of the set.

    Empty, which has it identified, only for texts of some length: of a word or two nobody knows.
    """
    told = language_of_script(text) or usual
    return told or ("" if sum(map(str.isalpha, text)) >= _TELLING else UNDETERMINED)


def _placed(found: Marks, picture: Image) -> list[Mark]:
    """Bring outlines to the picture's own size; those outside of it go to the broken ones."""
    width, height = float(picture.width), float(picture.height)
    resized = bool(found.width and found.height) and (found.width, found.height) != (width, height)
    x_factor = width / found.width if resized else 1.0
    y_factor = height / found.height if resized else 1.0
    if not 0.95 < x_factor / y_factor < 1.05:
        raise DocumentError(
            Reason.BAD_RECORD,
            f"annotated on {found.width:g} x {found.height:g} pixels,"
            f" and the picture has {picture.width} x {picture.height}",
        )
    placed = []
    for number, mark in enumerate(found.marks):
        _, left, top, right, bottom, _ = mark.shape
        if not resized and left >= 0 and top >= 0 and right <= width and bottom <= height:
            placed.append(mark)
            continue
        shape = mark.shape.scaled(x_factor, y_factor) if resized else mark.shape
        inside = shape.within(width, height)
        if inside is None:
            found.broken.append((number, "its outline lies outside of the picture"))
        else:
            placed.append(Mark(mark.text, inside, mark.group))
    return placed


def _share(legible: Sequence[Mark], marks: Sequence[Mark], total: int) -> float:
    """The share of the annotated area that can be read; broken outlines count by number."""
    area = sum([mark.shape.area for mark in marks])
    if not area:
        return 0.0
    read = sum([mark.shape.area for mark in legible]) if len(legible) < len(marks) else area
    return min(read / area, 1.0) * len(marks) / total


def transcription(
    marks: Sequence[Mark], *, lines: bool = False, oriented: bool = True
) -> list[Readable]:
    """Return the lines of text that marks make, in reading order.

    Marks of one group stay together. Words that stand in one line are joined by blanks; a mark
    with Chinese or Japanese characters, which need none, is a line of its own, as every mark is
    with `lines`.
    """
    groups: dict[int, list[Mark]] = {}
    for mark in marks:
        groups.setdefault(mark.group, []).append(mark)
    ordered = list(groups.values())
    if len(ordered) > 1:
        around = [_rectangle([mark.shape for mark in group]) for group in ordered]
        rows = reading_order(
            # A text as long as the box is wide: paragraphs are not turned.
            ["x" * 9 for _ in ordered],
            [_upright(box) for box in around],
        )
        ordered = [ordered[index] for row in rows for index in row.texts]
    return [line for group in ordered for line in _lines(group, lines, oriented)]


def _lines(marks: Sequence[Mark], whole: bool, oriented: bool) -> Iterator[Readable]:
    texts = [mark.text for mark in marks]
    ends = [mark.shape.ends(oriented=oriented) for mark in marks]
    for row in reading_order(texts, ends, oriented=oriented):
        if len(row.texts) == 1:
            yield _readable([marks[row.texts[0]]])
            continue
        run: list[Mark] = []
        joins = True  # whether the next word may follow in the same run
        for index in row.texts:
            alone = whole or has_cjk(texts[index])
            if run and (alone or not joins):
                yield _readable(run)
                run = []
            run.append(marks[index])
            joins = not alone
        yield _readable(run)


def _readable(marks: Sequence[Mark]) -> Readable:
    if len(marks) == 1:
        ((text, (_, left, top, right, bottom, _), _),) = marks
        return _readable_of((text, (left, top, right, bottom), marks))
    return Readable(
        " ".join([mark.text for mark in marks]), _rectangle([mark.shape for mark in marks]), marks
    )


def _rectangle(shapes: Sequence[Shape]) -> tuple[float, float, float, float]:
    return (
        min([shape.left for shape in shapes]),
        min([shape.top for shape in shapes]),
        max([shape.right for shape in shapes]),
        max([shape.bottom for shape in shapes]),
    )


def _upright(box: tuple[float, float, float, float]) -> Ends:
    left, top, right, bottom = box
    return (left, top), (right, top), (right, bottom), (left, bottom)


def _form(
    form: str,
    picture: Image,
    readable: Sequence[Readable],
    marks: Sequence[Mark],
    choice: Choice,
) -> list[Segment]:
    if form == "boxes":
        boxes = [_box(line, picture) for line in readable]
        answer = "\n".join(
            [f"{line.text} {box}" for line, box in zip(readable, boxes, strict=True)]
        )
        return question(picture, BOXES_PROMPTS[_pick(choice, len(BOXES_PROMPTS))], answer)
    if form == "region":
        line = _region(readable, marks, choice)
        prompt = REGION_PROMPTS[_pick(choice, len(REGION_PROMPTS))]
        return question(picture, prompt.format(box=_box(line, picture)), line.text)
    return [picture, Text("\n".join([line.text for line in readable]))]


def question(picture: Image, prompt: str, answer: str) -> list[Segment]:
    """Return a conversation about a picture, of which the answer is trained on."""
    user: Role = "user"
    return [
        Image(picture.data, picture.format, picture.width, picture.height, user),
        Text(prompt, user, trained=False),
        Text(answer, "assistant"),
    ]


def keyword_prompt(choice: Choice) -> str:
    """Draw a question for the text that matters most in a picture."""
    return KEYWORD_PROMPTS[_pick(choice, len(KEYWORD_PROMPTS))]


def _box(line: Readable, picture: Image) -> str:
    left, top, right, bottom = line.box
    # A text of less than a thousandth of the picture has a box too.
    least_x, least_y = picture.width / 999, picture.height / 999
    if right - left < 2 * least_x:
        left, right = max(left - least_x, 0), right + least_x
    if bottom - top < 2 * least_y:
        top, bottom = max(top - least_y, 0), bottom + least_y
    return box_text((left, top, right, bottom), picture.width, picture.height)


def _region(readable: Sequence[Readable], marks: Sequence[Mark], choice: Choice) -> Readable:
    """Draw a line whose box holds (nearly) nothing but its own text; the largest, if none does."""
    alone = [line for line in readable if _foreign(line, marks) < _FOREIGN * _size(line.box)]
    if alone:
        return alone[_pick(choice, len(alone), "line")]
    return max(readable, key=lambda line: _size(line.box))


def _foreign(line: Readable, marks: Sequence[Mark]) -> float:
    """How much of a line's box belongs to other marks than its own."""
    left, top, right, bottom = line.box
    area = 0.0
    for mark in marks:
        _, x0, y0, x1, y1, _ = mark.shape
        if x0 < right and left < x1 and y0 < bottom and top < y1 and mark not in line.marks:
            area += (min(right, x1) - max(left, x0)) * (min(bottom, y1) - max(top, y0))
    return area


def _size(box: tuple[float, float, float, float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _pick(choice: Choice, count: int, purpose: str = "prompt") -> int:
    """Draw one of `count`, for this purpose, by the record's draw."""
    state = hashlib.blake2b(f"{purpose} {choice.draw!r}".encode(), digest_size=8)
    return int.from_bytes(state.digest(), "big") % count
