"""Readers of the published sets of scene text: what their files say of the text in a picture.

In: a record of a set, in the layout that its `Reader.layout` documents. Out: its marks, from which
`scene_text` makes transcriptions. Each set says in its own way what cannot be read; here that is
an empty text.
"""

from __future__ import annotations

import html
import json
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from dsvl_data.layout.shapes import box, polygon
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.published.fields import (
    kind_of,
    list_of,
    number_of,
    object_of,
    required_text,
    text_of,
)
from dsvl_data.read.published.reader import Choice, Item, Left, Pictures, Reader, Record, Rows
from dsvl_data.read.published.scene_text import (
    THRESHOLDS,
    VARIANTS,
    Marks,
    keyword_prompt,
    language_of,
    question,
    scene_text,
)
from dsvl_data.sample import Text


def _word(value: object, illegible: tuple[str, ...] = ("###",)) -> str:
    """A transcription in one line; empty where the set says that nobody can read it."""
    # Nearly all are printable, and need no cleaning; a double blank within is rare too.
    if isinstance(value, str) and value.isprintable() and "  " not in value:
        text = value.strip()
    else:
        text = " ".join(text_of(value).split())
    return "" if text in illegible else text


# --- ArT, LSVT: one object of lists, by the picture's name -------------------------------------


def _listed_marks(record: Record) -> Marks:
    annotations = record.get("value")
    if not isinstance(annotations, list):
        raise DocumentError(Reason.BAD_RECORD, f"the annotations are {kind_of(annotations)}")
    found = Marks()
    for each in annotations:
        mark = object_of(each)
        text = "" if mark.get("illegibility") else _word(mark.get("transcription"))
        found.add(text, polygon(mark.get("points")))
    return found


def _picture_of_key(record: Record) -> list[str]:
    key = text_of(record.get("key"))
    return [key] if key else []


def _weak(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    """Ask for the text of interest, all that a weak label says: no place, no other text."""
    value = record.get("value")
    found = Marks()
    texts = [_word(mark.get("transcription")) for mark in found.objects(value, "annotations")]
    if not texts:
        raise DocumentError(Reason.BAD_RECORD, f"the annotations are {kind_of(value)}")
    answer = "\n".join(filter(None, texts))
    if not answer:
        raise DocumentError(Reason.ILLEGIBLE, "the text of interest cannot be read")
    if len(pictures) != 1:
        raise DocumentError(Reason.BAD_RECORD, "it names no picture")
    for number, why in found.broken:
        yield Left(Reason.BAD_RECORD, f"text {number}", why)
    yield Item(question(pictures[0], keyword_prompt(choice), answer), language="zh")


# --- ICDAR 2015, MLT-17, RCTW-17, UberText: a file of lines beside each picture -----------------


def _fields(record: Record, commas: int) -> Iterator[list[str]]:
    """The comma-separated fields of each line; the last is the text, and may hold commas."""
    for line in required_text(record, "text").removeprefix("\ufeff").split("\n"):
        if line.strip():
            yield line.split(",", commas)


def _numbers(fields: list[str]) -> list[float] | None:
    try:
        return [float(each) for each in fields]
    except ValueError:
        return None


def _incidental_marks(record: Record) -> Marks:
    found = Marks()
    for fields in _fields(record, 8):
        found.add(_word(fields[-1]), polygon(_numbers(fields[:8]) if len(fields) == 9 else None))
    return found


def _multilingual_marks(record: Record) -> Marks:
    found = Marks()
    for fields in _fields(record, 9):
        found.add(_word(fields[-1]), polygon(_numbers(fields[:8]) if len(fields) == 10 else None))
    return found


def _wild_marks(record: Record) -> Marks:
    found = Marks()
    for fields in _fields(record, 9):
        whole = len(fields) == 10
        text = fields[-1].strip().removeprefix('"').removesuffix('"')
        difficult = whole and fields[8].strip() != "0"
        found.add(
            "" if difficult else _word(text), polygon(_numbers(fields[:8]) if whole else None)
        )
    return found


def _street_marks(record: Record) -> Marks:
    found = Marks()
    for line in required_text(record, "text").removeprefix("\ufeff").split("\n"):
        if line.strip():
            points, _, rest = line.partition("\t")
            text = rest.rpartition("\t")[0] if "\t" in rest else rest
            found.add(_word(text, ("*", "###")), polygon(_numbers(points.split())))
    return found


def _picture_of_file(prefix: str) -> Any:
    def pictures(record: Record) -> list[str]:
        stem = posixpath.splitext(posixpath.basename(text_of(record.get("name"))))[0]
        return [stem.removeprefix(prefix)] if stem else []

    return pictures


def _picture_beside(record: Record) -> list[str]:
    folder, name = posixpath.split(text_of(record.get("name")))
    stem = posixpath.splitext(name)[0].removeprefix("truth_")
    return [posixpath.join(folder, f"{stem}.jpg")] if stem else []


# --- ReCTS: a JSON file a picture ---------------------------------------------------------------


def _signboard_marks(record: Record) -> Marks:
    try:
        annotation = json.loads(required_text(record, "text").removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise DocumentError(Reason.BAD_JSON, str(error)[:200]) from error
    lines = object_of(annotation).get("lines")
    if not isinstance(lines, list):
        raise DocumentError(Reason.BAD_RECORD, f"`lines` is {kind_of(lines)}")
    found = Marks()
    for each in lines:
        mark = object_of(each)
        text = "" if mark.get("ignore") else _word(mark.get("transcription"))
        found.add(text, polygon(mark.get("points")))
    return found


# --- COCO-Text, TextOCR, OpenVINO: pictures and annotations joined by the picture's id ----------


def _annotations(found: Marks, record: Record, name: str) -> list[dict[str, Any]]:
    if not isinstance(record.get(name), list):
        raise DocumentError(Reason.BAD_RECORD, f"`{name}` is {kind_of(record.get(name))}")
    return found.objects(record[name], name)


def _sized(picture: Mapping[str, Any]) -> Marks:
    width, height = number_of(picture.get("width")), number_of(picture.get("height"))
    return Marks(width=max(width or 0, 0), height=max(height or 0, 0))


def _coco_text_marks(record: Record) -> Marks:
    found = _sized(object_of(record.get("value")))
    for mark in _annotations(found, record, "anns"):
        text = html.unescape(_word(mark.get("utf8_string")))
        if mark.get("legibility") != "legible" or text.startswith("*") or text.endswith("*"):
            text = ""
        shape = polygon(mark.get("mask"))
        if shape is None:
            sides = list_of(mark.get("bbox"))
            shape = box(*sides) if len(sides) == 4 else None
        found.add(text, shape)
    return found


def _textocr_marks(record: Record) -> Marks:
    found = _sized(object_of(record.get("value")))
    for mark in _annotations(found, record, "anns"):
        found.add(_word(mark.get("utf8_string"), (".", "###")), polygon(mark.get("points")))
    return found


def _open_images_marks(record: Record) -> Marks:
    found = _sized(record)
    for mark in _annotations(found, record, "annotations"):
        attributes = object_of(mark.get("attributes"))
        text = _word(attributes.get("transcription")) if attributes.get("legible") is True else ""
        parts = list_of(mark.get("segmentation"))
        shape = polygon(parts[0]) if parts else None
        if shape is None:
            sides = list_of(mark.get("bbox"))
            shape = box(*sides) if len(sides) == 4 else None
        found.add(text, shape)
    return found


def _picture_of_value(record: Record) -> list[str]:
    name = posixpath.basename(text_of(object_of(record.get("value")).get("file_name")))
    stem = posixpath.splitext(name)[0]
    return [stem] if stem else []


def _picture_of_subset(record: Record) -> list[str]:
    """`.../train_1/0123.jpg`: the last folder is that of the published archive."""
    parts = text_of(record.get("file_name")).split("/")
    return ["/".join(parts[-2:])] if parts[-1] else []


# --- HierText: paragraphs of lines of words -----------------------------------------------------


def _hierarchical_marks(record: Record) -> Marks:
    """Lines are the marks, by paragraph; of a line with words that nobody can read, its words."""
    found = Marks(
        width=max(number_of(record.get("image_width")) or 0, 0),
        height=max(number_of(record.get("image_height")) or 0, 0),
    )
    for group, paragraph in enumerate(_annotations(found, record, "paragraphs")):
        for line in found.objects(paragraph.get("lines"), "lines"):
            words = line.get("words")
            text = _word(line.get("text"))
            if (line.get("legible") is True and text) or not words:
                found.add(
                    text if line.get("legible") is True else "",
                    polygon(line.get("vertices")),
                    group=group,
                )
                continue
            for word in found.objects(words, "words"):
                text = _word(word.get("text")) if word.get("legible") is True else ""
                found.add(text, polygon(word.get("vertices")), group=group)
    return found


def _picture_of_id(record: Record) -> list[str]:
    name = text_of(record.get("image_id"))
    return [name] if name else []


# --- Cut-out words and lines: a table of names and texts ----------------------------------------


def _cut_out(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    text = required_text(record, "text")
    if len(pictures) != 1:
        raise DocumentError(Reason.BAD_RECORD, "it names no picture")
    yield Item([pictures[0], Text(text)], language=language_of(text))


def _picture_of_row(record: Record) -> list[str]:
    name = text_of(record.get("file"))
    return [name] if name else []


def _reader(name: str, **fields: Any) -> Reader:
    return Reader(
        name,
        "scene_text",
        images="folder",
        **{"variants": VARIANTS, "thresholds": THRESHOLDS, "stems": True, **fields},
    )


_SETS = (
    _reader(
        "art",
        licence="unknown",
        layout="https://rrc.cvc.uab.es/?ch=14&com=tasks",
        rows=Rows(("**/train_labels.json",)),
        convert=scene_text(_listed_marks),
        pictures=_picture_of_key,
    ),
    _reader(
        "lsvt",
        licence="unknown",
        layout="https://rrc.cvc.uab.es/?ch=16&com=tasks",
        rows=Rows(("**/train_full_labels.json",)),
        convert=scene_text(_listed_marks, lines=True),
        pictures=_picture_of_key,
    ),
    # The page of LSVT describes the full labels, and https://github.com/PaddlePaddle/PaddleOCR/
    # issues/209 says that the weak ones are texts without a place. That they come in the same
    # lists, without `points`, is not documented; what is not so is a BAD_RECORD.
    _reader(
        "lsvt_weak",
        licence="unknown",
        layout="https://rrc.cvc.uab.es/?ch=16&com=tasks",
        rows=Rows(("**/train_weak_labels.json",)),
        convert=_weak,
        pictures=_picture_of_key,
        variants={"keyword": 1.0},
        thresholds={},
    ),
    _reader(
        "mlt17",
        licence="CC-BY-4.0",
        layout="https://rrc.cvc.uab.es/?ch=8&com=tasks",
        rows=Rows(("**/gt_*.txt",)),
        convert=scene_text(_multilingual_marks),
        pictures=_picture_of_file("gt_"),
    ),
    _reader(
        "icdar2015",
        licence="CC-BY-4.0",
        layout="https://rrc.cvc.uab.es/?ch=4&com=tasks",
        rows=Rows(("**/gt_*.txt",)),
        convert=scene_text(_incidental_marks, language="en"),
        pictures=_picture_of_file("gt_"),
    ),
    _reader(
        "rctw17",
        licence="unknown",
        layout="https://rctw.vlrlab.net/dataset",
        rows=Rows(("**/*.txt",)),
        convert=scene_text(_wild_marks, lines=True),
        pictures=_picture_of_file(""),
    ),
    _reader(
        "ubertext",
        licence="CC-BY-SA-4.0",
        # The page says what is in the archive; that its files are `truth_NAME.txt` beside
        # `NAME.jpg`, `x y x y ...<tab>text<tab>category`, is what its users' code reads.
        layout="https://s3-us-west-2.amazonaws.com/uber-common-public/ubertext/index.html",
        rows=Rows(("**/truth_*.txt",)),
        convert=scene_text(_street_marks, lines=True, oriented=False, language="en"),
        pictures=_picture_beside,
        stems=False,
    ),
    _reader(
        "rects",
        licence="unknown",
        layout="https://rrc.cvc.uab.es/?ch=12&com=tasks",
        rows=Rows(("**/gt_unicode/*.json",), whole=True),
        convert=scene_text(_signboard_marks, lines=True),
        pictures=_picture_of_file(""),
    ),
    _reader(
        "coco_text",
        licence="CC-BY-4.0",
        layout="https://vision.cornell.edu/se3/coco-text-2/",
        rows=Rows(("**/cocotext.v2.json",), at="imgs", joined=("anns", "image_id", "key")),
        convert=scene_text(_coco_text_marks, oriented=False),
        pictures=_picture_of_value,
    ),
    _reader(
        "textocr",
        licence="CC-BY-4.0",
        layout="https://textvqa.org/textocr/dataset/",
        rows=Rows(("**/TextOCR_*.json",), at="imgs", joined=("anns", "image_id", "key")),
        convert=scene_text(_textocr_marks, language="en"),
        pictures=_picture_of_value,
    ),
    _reader(
        "openvino",
        licence="unknown",
        layout="https://storage.openvinotoolkit.org/repositories/openvino_training_extensions/"
        "datasets/open_images_v5_text",
        rows=Rows(
            ("**/text_spotting_openimages_v5_*.json",),
            at="images",
            joined=("annotations", "image_id", "id"),
        ),
        convert=scene_text(_open_images_marks, oriented=False),
        pictures=_picture_of_subset,
        stems=False,
    ),
    _reader(
        "hiertext",
        licence="CC-BY-SA-4.0",
        layout="https://github.com/google-research-datasets/hiertext",
        # One JSON object, in spite of the name.
        rows=Rows(("**/train.jsonl*", "**/validation.jsonl*"), at="annotations"),
        convert=scene_text(_hierarchical_marks),
        pictures=_picture_of_id,
    ),
    # Words or lines that were cut out of their pictures, with a table of names and texts.
    _reader(
        "cut_out_text",
        licence="unknown",
        layout="https://github.com/clovaai/deep-text-recognition-benchmark",
        rows=Rows(("**/labels.tsv",), columns=("file", "text"), header=False, quoted=False),
        convert=_cut_out,
        pictures=_picture_of_row,
        stems=False,
        variants={"plain": 1.0},
        thresholds={},
    ),
)

READERS = {reader.name: reader for reader in _SETS}
