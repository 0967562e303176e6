"""Jupyter notebooks of nbformat 2, 3 and 4: from untrusted bytes to cells with their outputs.

In: the JSON of one notebook. Out: a `Notebook` of plain records in one shape, whatever the
version. Read by hand rather than with `nbformat.convert`: real notebooks are often a little
wrong (a missing key, a version that lies), which a validator refuses and a reader need not.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dsvl_data.outcome import DocumentError, Reason

#: What the parsed tree may weigh, estimated from the number of its values: numbers and empty
#: lists weigh twenty times their JSON.
MAX_TREE_BYTES = 600 << 20

#: Keys of an output before nbformat 4, and the media types that they stand for.
_OLD_MEDIA_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "svg": "image/svg+xml",
    "html": "text/html",
    "javascript": "application/javascript",
    "latex": "text/latex",
    "json": "application/json",
    "pdf": "application/pdf",
    "text": "text/plain",
}
_KINDS: dict[str, Literal["display", "error", "stream"]] = {
    "display_data": "display",
    "execute_result": "display",
    "update_display_data": "display",
    "pyout": "display",
    "error": "error",
    "pyerr": "error",
}
# Bytes that a value of the parsed tree takes, by the character that gives it away.
_WEIGHTS = {b"{": 230, b"[": 90, b",": 40, b'"': 60}
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_TOKEN = re.compile(_STRING.pattern + rb"|[{\[,]", re.DOTALL)
_FEW_STRINGS = 1_000_000


@dataclass(frozen=True, slots=True)
class Output:
    """What a cell put out: `data` maps media types to text (base64 for images) or JSON objects.

    An `error` has its exception in `error`. A payload above the size limit is left out, and
    its size in bytes stands in `oversized`.
    """

    kind: Literal["display", "error", "stream"]
    data: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    oversized: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell at its position (from 0, all kinds counted), with its source and outputs."""

    index: int
    kind: Literal["code", "markdown", "other"]
    source: str
    outputs: tuple[Output, ...] = ()


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook: its format (`4.5`), its kernel's language in lower case, its cells in order."""

    version: str
    language: str
    cells: tuple[Cell, ...]


def parse(data: bytes, *, max_output_bytes: int = 20 << 20) -> Notebook:
    """Read a notebook. Raises `DocumentError`: `BAD_JSON`, `TOO_LARGE`, `EMPTY_DOCUMENT`.

    A payload of more than `max_output_bytes` is left out of its output, which says so.
    """
    if not data.strip():
        raise DocumentError(Reason.EMPTY_DOCUMENT, "no bytes but white space")
    _check_weight(data)
    try:
        root = json.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise DocumentError(Reason.BAD_JSON, str(error)) from error
    if not isinstance(root, dict):
        raise DocumentError(Reason.BAD_JSON, f"no notebook: the root is {_kind(root)}")
    metadata = _mapping(root.get("metadata"))
    cells = _cells(root)
    return Notebook(
        version=f"{root.get('nbformat', '?')}.{root.get('nbformat_minor', 0)}",
        language=_language(metadata, cells),
        cells=tuple(_cell(i, cell, max_output_bytes) for i, cell in enumerate(cells)),
    )


def decode_image(payload: Any) -> bytes:
    """Return the bytes of a base64 image output. Raises `DocumentError` (`BAD_IMAGE`)."""
    if not isinstance(payload, str):
        raise DocumentError(Reason.BAD_IMAGE, f"the image is {_kind(payload)}, not base64 text")
    try:
        return base64.b64decode("".join(payload.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DocumentError(Reason.BAD_IMAGE, f"no base64: {error}") from error


def _check_weight(data: bytes) -> None:
    """Refuse JSON whose tree would not fit in memory, before it is built."""
    if sum(data.count(token) * weight for token, weight in _WEIGHTS.items()) <= MAX_TREE_BYTES:
        return
    # Perhaps it is only text with many commas: count again, outside the strings. Where these are
    # few they are taken out first; where they are many, each must be looked at, but not all.
    found: Iterable[bytes]
    if data.count(b'"') < _FEW_STRINGS:
        bare = _STRING.sub(b'"', data)
        weight = sum(bare.count(token) * each for token, each in _WEIGHTS.items())
        found = ()
    else:
        weight = 0
        found = (token[0][:1] for token in _TOKEN.finditer(data))
    for character in found:
        weight += _WEIGHTS[character]
        if weight > MAX_TREE_BYTES:
            break
    if weight > MAX_TREE_BYTES:
        raise DocumentError(
            Reason.TOO_LARGE,
            f"{len(data)} bytes of JSON whose values would take over "
            f"{MAX_TREE_BYTES >> 20} MB of memory",
        )


def _cells(root: Mapping[str, Any]) -> list[Any]:
    if isinstance(root.get("cells"), list):
        return list(root["cells"])
    sheets = root.get("worksheets")
    if isinstance(sheets, list):
        cells: list[Any] = []
        for sheet in sheets:
            found = _mapping(sheet).get("cells", [])
            if not isinstance(found, list):
                raise DocumentError(
                    Reason.BAD_JSON, f"a worksheet's cells are {_kind(found)}, not a list"
                )
            cells += found
        return cells
    raise DocumentError(Reason.BAD_JSON, "no notebook: it has neither `cells` nor `worksheets`")


def _language(metadata: Mapping[str, Any], cells: list[Any]) -> str:
    info, kernel = _mapping(metadata.get("language_info")), _mapping(metadata.get("kernelspec"))
    old = next((c["language"] for c in cells if isinstance(c, dict) and c.get("language")), None)
    for name in (info.get("name"), kernel.get("language"), metadata.get("language"), old):
        if isinstance(name, str) and name.strip():
            return name.strip().lower()
    name = str(kernel.get("name") or "").lower()
    if name in ("ir", "irkernel"):
        return "r"
    # Kernels are called `python3` or `julia-1.9`, environments anything: those are Python's.
    found = re.match(r"(julia|scala|javascript|octave|ruby|bash|xcpp)", name)
    return found[1] if found else "python"


def _cell(index: int, cell: Any, limit: int) -> Cell:
    if not isinstance(cell, dict):
        raise DocumentError(Reason.BAD_JSON, f"cell {index} is {_kind(cell)}, not an object")
    kind = cell.get("cell_type")
    try:
        source = _text(cell.get("source", cell.get("input", "")))
    except TypeError as error:
        raise DocumentError(Reason.BAD_JSON, f"the source of cell {index}: {error}") from error
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    if kind != "code":
        return Cell(index, "markdown" if kind in ("markdown", "heading") else "other", source)
    outputs = cell.get("outputs") or []
    if not isinstance(outputs, list):
        raise DocumentError(
            Reason.BAD_JSON, f"the outputs of cell {index} are {_kind(outputs)}, not a list"
        )
    return Cell(index, "code", source, tuple(_output(index, o, limit) for o in outputs))


def _output(index: int, output: Any, limit: int) -> Output:
    if not isinstance(output, dict):
        raise DocumentError(
            Reason.BAD_JSON, f"an output of cell {index} is {_kind(output)}, not an object"
        )
    kind = _KINDS.get(str(output.get("output_type")), "stream")
    if kind == "error":
        return Output(kind, error=f"{output.get('ename', 'error')}: {output.get('evalue', '')}")
    if kind == "stream":
        return Output(kind)
    if isinstance(output.get("data"), dict):
        bundle = output["data"]
    else:
        bundle = {media: output[key] for key, media in _OLD_MEDIA_TYPES.items() if key in output}
    data: dict[str, Any] = {}
    oversized = 0
    for media_type, payload in bundle.items():
        media_type = str(media_type).lower()
        if media_type.endswith("json") and not isinstance(payload, str):
            data[media_type] = payload
            continue
        try:
            text = _text(payload)
        except TypeError:  # a payload of another shape shows nothing in Jupyter either
            continue
        if len(text) <= limit:
            data[media_type] = text
        elif media_type != "text/plain":
            oversized = max(oversized, len(text))
    return Output(kind, data, _mapping(output.get("metadata")), oversized=oversized)


def _text(value: Any) -> str:
    """Text as nbformat has it: a string, or a list of lines."""
    if isinstance(value, list):
        value = "".join(value)
    if not isinstance(value, str):
        raise TypeError(f"{_kind(value)} where text should be")
    try:
        value.encode()
    except UnicodeEncodeError:  # halves of surrogate pairs, escaped one by one
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a truth value"}
    return names.get(type(value), "null" if value is None else "a number")
