"""Records of a CSV file as byte ranges: line ends within quotes do not end one.

In: a stream, read forwards. Out: (offset, size) of each record, then, from a record's bytes, its
cells. A quote that nobody closes costs its own line and no other.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain

from dsvl_data.outcome import DocumentError, Reason

_CHUNK = 1 << 20
#: Bytes over which a record may spread when it has several lines.
_MAX_SPREAD = 1 << 20
_MAX_CELL = 256 << 20
_UNCLOSED = "unexpected end of data"


def csv_ranges(read: Callable[[int], bytes], delimiter: str) -> Iterator[tuple[int, int]]:
    """Yield (offset, size) of each record, blank lines left out."""
    csv.field_size_limit(_MAX_CELL)
    lines = _lines(read)
    again: deque[bytes] = deque()  # lines taken by a record that turned out to have no end
    offset = 0
    while True:
        taken: list[bytes] = []
        pull = chain(_drained(again), lines)
        source = _counted(pull, taken)
        # Latin-1: any byte is a character, and none of them is mistaken for a quote or a comma.
        cells = csv.reader(source, delimiter=delimiter)
        try:
            row = next(cells, None)
            whole = len(taken) <= 1 or not _unclosed(taken, delimiter)
        except csv.Error:
            row, whole = [], False
        if row is None and not taken:
            return
        if not whole:
            again.extendleft(reversed(taken[1:]))
            del taken[1:]
        size = sum(map(len, taken))
        if any(line.strip() for line in taken):
            yield offset, size
        offset += size


def csv_cells(data: bytes, delimiter: str) -> list[str]:
    """Return the cells of one record. Raises `DocumentError`: `BAD_RECORD`, `BAD_ENCODING`."""
    csv.field_size_limit(_MAX_CELL)
    text = decode(data)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        try:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
        except csv.Error as error:
            raise DocumentError(Reason.BAD_RECORD, f"no CSV: {error}") from error
        if _unclosed([data], delimiter):
            raise DocumentError(Reason.BAD_RECORD, "a quote that is not closed") from None
    return next((row for row in rows if row), [])


def decode(data: bytes) -> str:
    """Decode text: UTF-8, UTF-16 with its mark, GB 18030; else `DocumentError` (`BAD_ENCODING`)."""
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            failure = error
    raise DocumentError(Reason.BAD_ENCODING, str(failure)[:200])


def _unclosed(lines: list[bytes], delimiter: str) -> bool:
    """Whether a quote of these lines is never closed, or only by one of another line's cells."""
    if sum(map(len, lines)) > _MAX_SPREAD and len(lines) > 1:
        return True
    text = (line.decode("latin-1") for line in lines)
    try:
        deque(csv.reader(text, delimiter=delimiter, strict=True), maxlen=0)
    except csv.Error as error:
        return len(lines) > 1 or str(error) == _UNCLOSED
    return False


def _counted(lines: Iterator[bytes], taken: list[bytes]) -> Iterator[str]:
    size = 0
    for line in lines:
        taken.append(line)
        size += len(line)
        yield line.decode("latin-1")
        if size > _MAX_SPREAD:
            return


def _drained(lines: deque[bytes]) -> Iterator[bytes]:
    while lines:
        yield lines.popleft()


def _lines(read: Callable[[int], bytes]) -> Iterator[bytes]:
    rest = b""
    while chunk := read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest
