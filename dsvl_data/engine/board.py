"""A few numbers that a worker process shares with its supervisor, without a message.

In: what the worker is at, document by document. Out: the same, read at any moment from the
other process, and still there when the worker is not. Costs a microsecond a document, where a
line through a pipe costs the reader a wake-up.
"""

from __future__ import annotations

import mmap
import os
import time
from dataclasses import dataclass

from dsvl_data.engine.ledger import Entry
from dsvl_data.outcome import Outcome

_CELLS = 16
_FIRST, _LAST, _SINCE, _DOCUMENTS, _KEPT, _FILTERED, _QUARANTINED, _SAMPLES, _IMAGES = range(9)
_OUTCOMES = {
    Outcome.KEPT: _KEPT,
    Outcome.FILTERED: _FILTERED,
    Outcome.QUARANTINED: _QUARANTINED,
}


@dataclass(frozen=True, slots=True)
class Tally:
    """What has been converted so far, for a progress display."""

    documents: int = 0
    kept: int = 0
    filtered: int = 0
    quarantined: int = 0
    samples: int = 0
    images: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.documents + other.documents,
            self.kept + other.kept,
            self.filtered + other.filtered,
            self.quarantined + other.quarantined,
            self.samples + other.samples,
            self.images + other.images,
        )


class Board:
    """The shared numbers: a `Watch` for the worker, a view of it for the supervisor."""

    def __init__(self, handle: int | None = None) -> None:
        self.handle = os.memfd_create("dsvl-board") if handle is None else handle
        if handle is None:
            os.ftruncate(self.handle, _CELLS * 8)
        # Aligned eight-byte cells: each is read and written in one piece.
        self._cells = memoryview(mmap.mmap(self.handle, _CELLS * 8)).cast("q")
        if handle is None:
            self.clear()

    def clear(self) -> None:
        """Nothing in the converter, nothing counted."""
        for cell in range(_CELLS):
            self._cells[cell] = 0
        self._cells[_FIRST] = -1

    def begin(self, first: int, last: int) -> None:
        """Say which documents are in the converter, and since when."""
        cells = self._cells
        cells[_SINCE] = time.monotonic_ns()
        cells[_LAST] = last
        cells[_FIRST] = first

    def end(self) -> None:
        """Say that none is."""
        self._cells[_FIRST] = -1

    def count(self, entry: Entry) -> None:
        """Count a document that is through."""
        cells = self._cells
        cells[_DOCUMENTS] += 1
        cells[_OUTCOMES[entry.outcome]] += 1
        cells[_SAMPLES] += len(entry.keys)
        cells[_IMAGES] += entry.images

    def current(self) -> tuple[int, int, float] | None:
        """Return first and last position in the converter and the seconds since; None if none."""
        first, last = self._cells[_FIRST], self._cells[_LAST]
        if first < 0:
            return None
        return first, last, (time.monotonic_ns() - self._cells[_SINCE]) / 1e9

    def tally(self) -> Tally:
        """Return what has been counted since `clear`."""
        return Tally(*self._cells[_DOCUMENTS : _IMAGES + 1])

    def close(self) -> None:
        """Let go of the memory."""
        self._cells.release()
        os.close(self.handle)
