"""Records by a mapping: decoded JSON, CSV rows or Parquet rows in, questions out.

A record that is not as its mapping says becomes `Refused`, with the key that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.questions.mapping import Images, Mapping, Options, Value, steps_of
from dsvl_data.read.questions.record import (
    Kind,
    Passage,
    Picture,
    Question,
    Refused,
    check,
    letters,
)

_ABSENT = (None, "")
_LETTER_FORMS = (r"(?<![A-Za-z0-9]){}[.．、:：]\s*", r"\({}\)\s*", r"（{}）\s*")


@dataclass(frozen=True, slots=True)
class Record:
    """A record with what its paths may lead to."""

    value: Any
    root: Any
    key: str
    row: int


def records(root: Any, mapping: Mapping) -> Iterator[Record]:
    """Yield the records of a decoded JSON file, split where the mapping says so.

    Raises `DocumentError` (`BAD_JSON`) when the path of the records leads nowhere.
    """
    found = list(_walk(root, steps_of(mapping.records), mapping.records, ""))
    row = 0
    for value, key in found:
        if not mapping.split:
            yield Record(value, root, key, row)
            row += 1
            continue
        if not isinstance(value, str):
            raise DocumentError(Reason.BAD_JSON, f"{mapping.records}: expected a text")
        for match in re.finditer(mapping.split, value):
            yield Record(match.groupdict(), root, key, row)
            row += 1


def fits(mapping: Mapping, root: Any) -> bool:
    """Whether a decoded file, or a single record, has what the mapping requires."""
    return bool(mapping.requires) and all(
        any(True for _ in _walk_or_nothing(root, path)) for path in mapping.requires
    )


def to_question(record: Record, mapping: Mapping) -> Question | Refused:
    """Read one record as the mapping says."""
    item = str(record.row)
    try:
        if mapping.id:
            item = _text(record, mapping.id, "id") or item
        return check(_question(record, mapping, item))
    except _WrongValue as error:
        return Refused(item[:200], Reason.BAD_QUESTION, str(error))


class _WrongValue(ValueError):
    """A value of a record is not of the type that its key has."""


def _question(record: Record, mapping: Mapping, item: str) -> Question:
    if not isinstance(record.value, dict):
        raise _WrongValue(f"a question is an object, this is {_kind_of(record.value)}")
    stem = _text(record, mapping.stem, "stem")
    points = _text(record, mapping.points, "points")
    if mapping.lead and (match := re.match(mapping.lead, stem)):
        stem = stem[match.end() :]
        points = match.groupdict().get("points") or points
    options: list[str] = []
    if mapping.options is not None:
        options = _options(record, mapping.options)
    if not options and mapping.lettered_stem:
        stem, options = split_lettered(stem)
    given = options
    if _only_letters(options):
        options = []  # they are in the picture
    kind, correct, answer = _answer(record, mapping, options, given)
    pictures = _pictures(record, mapping.images, stem) if mapping.images else ()
    return Question(
        item=item[:200],
        kind=kind,
        stem=Passage(stem.strip()),
        options=tuple(Passage(option.strip()) for option in options),
        correct=correct,
        answer=Passage(answer),
        solution=Passage(_text(record, mapping.solution, "solution").strip()),
        pictures=pictures,
        subject=_text(record, mapping.subject, "subject"),
        grade=_text(record, mapping.grade, "grade"),
        language=_text(record, mapping.language, "language"),
        points=points,
    )


def _answer(
    record: Record, mapping: Mapping, options: list[str], given: list[str]
) -> tuple[Kind, tuple[int, ...], str]:
    kind: Kind = "choice" if given else "short"
    rule = mapping.answer
    if rule is None:
        return kind, (), ""
    values = _flat(list(_walk_record(record, rule.path)), f"answer ({rule.path})")
    if rule.form in ("index0", "index1") and options:
        first = int(rule.form[-1])
        correct = tuple(_index(value, first, len(options)) for value in values)
        return kind, correct, ""
    text = ", ".join(values)
    if rule.form == "auto" and options:
        by_letter = letters(text, len(options))
        if by_letter is not None:
            return kind, by_letter, ""
        if text in options:
            return kind, (options.index(text),), ""
    if not given and letters(text, 8) is not None and mapping.lettered_stem:
        kind = "choice"  # its options are pictures
    return kind, (), text


def _index(value: str, first: int, count: int) -> int:
    if not re.fullmatch(r"\d{1,3}(\.0)?", value):
        raise _WrongValue(f"answer: expected an option's number, found {value[:40]!r}")
    number = int(value.partition(".")[0]) - first
    if not 0 <= number < count:
        raise _WrongValue(f"answer: there is no option {value}")
    return number


def _options(record: Record, rule: Options) -> list[str]:
    if rule.form == "lettered":
        path = rule.path if isinstance(rule.path, str) else rule.path[0]
        text = _text(record, path, "options")
        before, options = split_lettered(text)
        if text.strip() and (before.strip() or not options):
            raise _WrongValue(f"options ({path}): no A., B., C. in {text[:60]!r}")
        return options
    if isinstance(rule.path, list):
        return [text for path in rule.path if (text := _text(record, path, "options"))]
    values = list(_walk_record(record, rule.path))
    if len(values) == 1 and not isinstance(values[0], list | tuple) and "[]" not in rule.path:
        if values[0] in _ABSENT:
            return []
        raise _WrongValue(f"options ({rule.path}): expected a list, found {_kind_of(values[0])}")
    return _flat(values, f"options ({rule.path})")


def _pictures(record: Record, rule: Images, stem: str) -> tuple[Picture, ...]:
    paths = [rule.path] if isinstance(rule.path, str) else rule.path
    values: list[Any] = []
    for path in paths:
        for value in _walk_record(record, path):
            values.extend(value if isinstance(value, list | tuple) else [value])
    values = [value for value in values if value not in _ABSENT]
    marks: list[str] = []
    if rule.placeholder:
        found = dict.fromkeys(match.group() for match in re.finditer(rule.placeholder, stem))
        marks = sorted(found, key=_number)
        if rule.composite and len(values) == 1 and len(marks) > 1:
            marks = []  # the picture has them in it, and the text goes on speaking of them
        elif len(marks) > len(values):
            return (*_named(values, marks, rule.folder), *map(Picture, marks[len(values) :]))
    return tuple(_named(values, marks, rule.folder))


def _named(values: list[Any], marks: list[str], folder: str) -> Iterator[Picture]:
    for i, value in enumerate(values):
        name = marks[i] if i < len(marks) else ""
        data, path = None, value
        if isinstance(value, dict):  # as the datasets library stores an image
            data, path = value.get("bytes"), value.get("path") or ""
        elif isinstance(value, bytes):
            data, path = value, ""
        if not isinstance(path, str) or not isinstance(data, bytes | None):
            raise _WrongValue(f"images: expected a path or bytes, found {_kind_of(value)}")
        if folder and path and data is None:
            path = f"{folder.rstrip('/')}/{path}"
        yield Picture(name, path, data)


def _number(mark: str) -> tuple[int, str]:
    found = re.search(r"\d{1,9}", mark)
    return (int(found.group()) if found else 0, mark)


def split_lettered(text: str) -> tuple[str, list[str]]:
    """Split a stem from the options written after it as `A. .. B. ..`, or `(A) .. (B) ..`.

    The letters must follow each other from A on; formulas hold none. Without two options the
    text is all stem.
    """
    without_formulas = re.sub(
        r"\$\$.*?\$\$|\$[^$]*\$", lambda m: "\0" * len(m.group()), text, flags=re.DOTALL
    )
    # What stood between two dollars may have been between two prices: the longer run is right.
    runs = [_letter_marks(t, form) for t in (without_formulas, text) for form in _LETTER_FORMS]
    marks = max(runs, key=len)
    if not marks:
        return text, []
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    options = [text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
    return text[: marks[0].start()].rstrip(), options


def _letter_marks(text: str, form: str) -> list[re.Match[str]]:
    """The last run of marks for A, B, C .. in a text; empty when there are not two."""
    for start in reversed(list(re.finditer(form.format("A"), text))):
        marks = [start]
        for letter in "BCDEFGHIJ":
            found = re.compile(form.format(letter)).search(text, marks[-1].end())
            if found is None:
                break
            marks.append(found)
        if len(marks) > 1:
            return marks
    return []


def _only_letters(options: list[str]) -> bool:
    return len(options) > 1 and all(
        option.strip() == chr(ord("A") + i) for i, option in enumerate(options)
    )


def _text(record: Record, rule: str | Value, key: str) -> str:
    if isinstance(rule, Value):
        text = rule.constant or (_text(record, rule.path, key) if rule.path else "")
        return rule.values.get(text, text)
    if not rule:
        return ""
    values = list(_walk_record(record, rule))
    if len(values) > 1:
        raise _WrongValue(f"{key} ({rule}): expected one value, found {len(values)}")
    return _scalar(values[0], f"{key} ({rule})") if values else ""


def _flat(values: list[Any], key: str) -> list[str]:
    result: list[str] = []
    for value in values:
        if isinstance(value, list | tuple):
            result.extend(_scalar(element, key) for element in value)
        elif value not in _ABSENT:
            result.append(_scalar(value, key))
    return result


def _scalar(value: Any, key: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    raise _WrongValue(f"{key}: expected a text, found {_kind_of(value)}")


def _kind_of(value: Any) -> str:
    names = {dict: "an object", list: "a list", bool: "true or false", bytes: "bytes"}
    return names.get(type(value), "nothing" if value is None else f"a {type(value).__name__}")


def _walk_record(record: Record, path: str) -> Iterator[Any]:
    if path == "@key":
        yield record.key
    elif path.startswith("/"):
        yield from _walk_or_nothing(record.root, path)
    else:
        yield from _walk_or_nothing(record.value, path)


def _walk_or_nothing(value: Any, path: str) -> Iterator[Any]:
    try:
        found = [value for value, _ in _walk(value, steps_of(path), path, "")]
    except DocumentError:
        return
    yield from found


def _walk(value: Any, steps: list[str], path: str, key: str) -> Iterator[tuple[Any, str]]:
    if not steps:
        yield value, key
        return
    step, rest = steps[0], steps[1:]
    if step == "[]" and isinstance(value, list | tuple):
        for element in value:
            yield from _walk(element, rest, path, key)
    elif step == "{}" and isinstance(value, dict):
        for name, element in value.items():
            yield from _walk(element, rest, path, str(name))
    elif (
        step[0] == "[" and step != "[]" and isinstance(value, list) and len(value) > int(step[1:-1])
    ):
        yield from _walk(value[int(step[1:-1])], rest, path, key)
    elif isinstance(value, dict) and step in value:
        yield from _walk(value[step], rest, path, key)
    else:
        raise DocumentError(Reason.BAD_JSON, f"{path}: there is no {step} in {_kind_of(value)}")
