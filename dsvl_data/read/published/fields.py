"""Values of a record whose types nobody vouches for.

In: anything that JSON, Parquet, CSV or a protocol buffer can hold. Out: a text, a list, a number
or a box, or nothing; never an exception of Python's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dsvl_data.outcome import DocumentError, Reason

# Control characters that no text has, and halves of surrogate pairs, which UTF-8 cannot hold.
_UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_BOX_SCALE = 999


def text_of(value: object) -> str:
    """Return a text without white space around it; empty for whatever is none (a NaN, a list)."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    if value.isprintable():  # as nearly all names and words are: nothing in it to mend
        return value.strip()
    value = value.replace("\r\n", "\n").replace("\r", "\n")
    return _UNFIT.sub("", value).strip()


def required_text(record: Mapping[str, Any], name: str) -> str:
    """Return a text that the record cannot do without.

    Raises `DocumentError`: `BAD_RECORD` where it is absent or of another type, `NO_TEXT` where
    nothing is in it.
    """
    value = record.get(name)
    if not isinstance(value, str | bytes):
        raise DocumentError(Reason.BAD_RECORD, f"`{name}` is {kind_of(value)}")
    text = text_of(value)
    if not text:
        raise DocumentError(Reason.NO_TEXT, f"`{name}` is empty")
    return text


def required_list(record: Mapping[str, Any], name: str) -> list[Any]:
    """Return a list that the record cannot do without; raises `DocumentError` (`BAD_RECORD`)."""
    value = record.get(name)
    if not is_list(value):
        raise DocumentError(Reason.BAD_RECORD, f"`{name}` is {kind_of(value)}")
    return list_of(value)


def is_list(value: object) -> bool:
    """Whether a value is a list, and no text."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def list_of(value: object) -> list[Any]:
    """Return a list's elements; none for whatever is no list."""
    return list(value) if isinstance(value, Sequence) and is_list(value) else []


def objects_of(value: object) -> list[Mapping[str, Any]]:
    """Return the objects among a list's elements."""
    return [element for element in list_of(value) if isinstance(element, Mapping)]


def object_of(value: object) -> Mapping[str, Any]:
    """Return an object; an empty one for whatever is none."""
    return value if isinstance(value, Mapping) else {}


def integer_of(value: object) -> int | None:
    """Return a whole number, also one written as a text or a float; `None` for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = value.strip()
        return int(value) if re.fullmatch(r"-?[0-9]{1,18}", value) else None
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value == int(value) else None
    return value if isinstance(value, int) else None


def number_of(value: object) -> float | None:
    """Return a finite number, `None` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def image_of(value: object) -> str | bytes | None:
    """Return what names a picture: a path or URL, bytes, or the `{bytes, path}` of `datasets`."""
    if isinstance(value, Mapping):
        data = value.get("bytes")
        value = data if isinstance(data, bytes) and data else value.get("path")
    if isinstance(value, bytes):
        return value
    return text_of(value) or None


def box_text(box: Sequence[object], width: float, height: float) -> str:
    """Return `[x1, y1, x2, y2]` in thousandths (0 to 999) of an image of `width` by `height`.

    `box` is left, top, right, bottom in the same units. Empty for what is no box, or one without
    an area in the image.
    """
    sides = [number_of(side) for side in box]
    if len(sides) != 4 or None in sides or not (width > 0 and height > 0):
        return ""
    scaled = [
        min(max(round(side / extent * _BOX_SCALE), 0), _BOX_SCALE)
        for side, extent in zip(sides, (width, height, width, height), strict=True)
        if side is not None
    ]
    left, top, right, bottom = scaled
    if left >= right or top >= bottom:
        return ""
    return f"[{left}, {top}, {right}, {bottom}]"


def kind_of(value: object) -> str:
    """Return a value's type in words, for an account of what is wrong with it."""
    if value is None:
        return "absent"
    if isinstance(value, float) and math.isnan(value):
        return "not a number"
    return f"of type {type(value).__name__}"
