"""Documents in, samples and ledger entries out: the inner loop, the same in every executor.

In: a job's converter and the documents of (a part of) a partition. Out: a `Segment` on local
disk. A document gives all of its samples or none; what it raises becomes its own reason and
touches nobody else. Time and memory are the caller's to watch, through `Watch`.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from dsvl_data.engine import ledger
from dsvl_data.engine.job import LoadedJob
from dsvl_data.engine.ledger import Entry
from dsvl_data.engine.parts import GROUP_BYTES, ROW_BYTES, PartWriter, Segment
from dsvl_data.outcome import DocumentError, Outcome, Reason, WorkerBroken
from dsvl_data.pipeline import Converter, Document, DocumentRef, Dropped, Took
from dsvl_data.sample import CATEGORIES, SCHEMA, Image, Sample, to_batch

#: Bytes of one document's samples that are held in memory; more of them wait on disk.
SPILL_BYTES = 64 << 20
#: Seconds after which a segment is closed, so that a crash costs no more than that.
SEGMENT_SECONDS = 120.0
#: Samples that wait as Python objects; many more of them cost the garbage collector dearly.
_BATCH_ROWS = 1024
_CATEGORIES = frozenset(CATEGORIES)


class TimeLimitReached(BaseException):
    """Raised into a converter by an in-process time limit; no `except Exception` holds it."""


class Watch(Protocol):
    """Is told what is being converted, for limits and progress."""

    def begin(self, first: int, last: int) -> None:
        """Say that the documents at these positions of the partition are in the converter."""

    def end(self) -> None:
        """Say that they are through."""

    def count(self, entry: Entry) -> None:
        """Count a document that is through."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What ended a segment early: the positions under suspicion, and of what.

    `certain` failures (time, memory) blame a document that was alone at once; the others may
    have come from outside and get a second try.
    """

    suspects: tuple[int, ...]
    reason: Reason
    detail: str
    certain: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How far a segment came: its files hold the first `done` documents, then came `failure`."""

    done: int
    failure: Failure | None = None


@dataclass(slots=True)
class _Made:
    """What one document has given so far."""

    ref: DocumentRef
    samples: list[Sample] = field(default_factory=list)
    bytes: int = 0
    keys: dict[str, None] = field(default_factory=dict)
    images: int = 0
    drops: list[Dropped] = field(default_factory=list)
    seconds: float = 0.0  # 0: as the batch's mean
    spill: _Spill | None = None


class SegmentConverter:
    """A job's converter, ready to turn documents into segments.

    The constructor builds the converter and raises whatever that raises.
    """

    def __init__(self, loaded: LoadedJob, watch: Watch) -> None:
        self._loaded = loaded
        self._watch = watch
        self._limit = int(loaded.limits.document_mb * 1e6)
        self._converter: Converter = loaded.pipeline.converter(loaded.options)

    def close(self) -> None:
        """Give back what the converter holds; one that cannot is no reason to fail."""
        # Its tool may be dead, in a way of its own.
        with contextlib.suppress(Exception):
            self._converter.close()

    def convert(
        self, refs: Sequence[tuple[int, DocumentRef]], partition: int, segment: Segment
    ) -> Ended:
        """Convert documents, given with their positions, into a segment.

        Stops early, with a whole segment of what it has, when the converter's tool breaks
        (`WorkerBroken`) or after `SEGMENT_SECONDS`. Raises `OSError` when the segment cannot
        be written.
        """
        approach = self._loaded.pipeline.approach
        writer = _SegmentWriter(segment, partition)
        folder = str(Path(segment.samples).parent)
        started = time.monotonic()
        done = 0
        try:
            for batch in _batches(refs, self._loaded.batch_size):
                first, last = batch[0][0], batch[-1][0]
                if approach is not None:
                    approach(batch[0][1])
                self._watch.begin(first, last)
                begun = time.perf_counter()
                try:
                    results = self._convert_batch(batch, folder)
                except (WorkerBroken, TimeLimitReached) as error:
                    seconds = time.perf_counter() - begun
                    writer.close()
                    return Ended(done, _failure(error, [at for at, _ in batch], seconds))
                finally:
                    self._watch.end()
                seconds = (time.perf_counter() - begun) / len(batch)
                for entry, made in results:
                    entry.seconds = entry.seconds or seconds
                    writer.add(entry, made)
                    self._watch.count(entry)
                done += len(batch)
                if time.monotonic() - started > SEGMENT_SECONDS:
                    break
            writer.close()
        except BaseException:
            writer.abort()
            raise
        return Ended(done)

    def _convert_batch(
        self, batch: Sequence[tuple[int, DocumentRef]], folder: str
    ) -> Sequence[tuple[Entry, _Made]]:
        results: list[tuple[Entry, _Made]] = []
        documents: list[tuple[int, Document]] = []
        for position, ref in batch:
            admitted = self._admit(position, ref)
            if isinstance(admitted, Entry):
                results.append((admitted, _Made(admitted.ref)))
            else:
                documents.append((position, admitted))
        if len(documents) > 1:
            try:
                made = self._collect([document for _, document in documents], folder)
            except (WorkerBroken, TimeLimitReached):
                raise
            except (Exception, SystemExit):  # noqa: BLE001 foreign code raises anything
                # Whatever it was, it belongs to one of them: each alone tells to which.
                results += [self._convert_alone(*document, folder) for document in documents]
            else:
                results += [
                    (_entry(position, one), one)
                    for (position, _), one in zip(documents, made, strict=True)
                ]
        else:
            results += [self._convert_alone(*document, folder) for document in documents]
        results.sort(key=lambda result: result[0].position)
        return results

    def _admit(self, position: int, ref: DocumentRef) -> Document | Entry:
        """Return the document, or the entry of one that is not even opened."""
        loaded = self._loaded
        if ref.size > self._limit:
            detail = f"{ref.size} bytes, the limit is {self._limit}"
            return Entry.failed(ref, position, Reason.TOO_LARGE, detail)
        if loaded.pipeline.resolve is not None:
            try:
                ref = loaded.pipeline.resolve(ref, loaded.options)
            except DocumentError as error:
                return Entry.failed(ref, position, error.reason, error.detail)
            except Exception as error:  # noqa: BLE001 it reads foreign bytes
                return Entry.failed(ref, position, Reason.ERROR, _describe(error))
        if not loaded.keeps(ref.licence):
            return Entry.failed(ref, position, Reason.LICENCE, ref.licence)
        return self._document(ref)

    def _convert_alone(self, position: int, document: Document, folder: str) -> tuple[Entry, _Made]:
        ref = document.ref
        started = time.perf_counter()
        try:
            (made,) = self._collect([document], folder)
            return _entry(position, made), made
        except (WorkerBroken, TimeLimitReached):
            raise
        except DocumentError as error:
            reason, detail = error.reason, error.detail
        except MemoryError as error:
            reason, detail = Reason.MEMORY, _describe(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 foreign code raises anything
            reason, detail = Reason.ERROR, _describe(error)
        seconds = time.perf_counter() - started
        return Entry.failed(ref, position, reason, detail, seconds), _Made(ref)

    def _collect(self, documents: Sequence[Document], folder: str) -> list[_Made]:
        """Run the converter and sort what it yields by document, checking each item."""
        by_id = {document.ref.id: _Made(document.ref) for document in documents}
        try:
            for item in self._converter(documents):
                if isinstance(item, Sample):
                    made = by_id.get(item.document)
                    if made is None:
                        raise ValueError(f"a sample of {item.document!r}: not in the batch")
                    _take(made, item)
                    if made.bytes > SPILL_BYTES:
                        _spill(made, folder)
                elif isinstance(item, Dropped):
                    made = by_id.get(item.document)
                    if made is None:
                        raise ValueError(f"a drop of {item.document!r}: not in the batch")
                    made.drops.append(item)
                elif isinstance(item, Took):
                    made = by_id.get(item.document)
                    if made is None:
                        raise ValueError(f"the time of {item.document!r}: not in the batch")
                    made.seconds = item.seconds
                else:
                    raise TypeError(f"a converter yields Sample, Dropped or Took, not {type(item)}")
            for made in by_id.values():
                if made.spill is not None:
                    _spill(made, folder)
        except BaseException:
            for made in by_id.values():
                if made.spill is not None:
                    made.spill.close()
            raise
        return list(by_id.values())

    def _document(self, ref: DocumentRef) -> Document:
        reader = self._loaded.pipeline.reader

        def read() -> bytes:
            try:
                data = reader(ref)
            except (DocumentError, MemoryError):
                raise
            except Exception as error:
                # Readers meet whatever file systems, archives and networks can raise.
                raise DocumentError(Reason.UNREADABLE, _describe(error)) from error
            if len(data) > self._limit:  # listing knew the size of what it is packed in
                detail = f"{len(data)} bytes, the limit is {self._limit}"
                raise DocumentError(Reason.TOO_LARGE, detail)
            return data

        pipeline = self._loaded.pipeline
        return Document(ref, read, pipeline.name, pipeline.version, self._loaded.limits)


class _Spill:
    """Samples of one big document, on disk until it is known that the document is whole."""

    def __init__(self, folder: str) -> None:
        # Without a name: gone with the process, however that ends.
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 outlives this call
        self._writer = pa.ipc.new_stream(self._file, SCHEMA)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def batches(self) -> Iterator[pa.RecordBatch]:
        self._writer.close()
        self._file.seek(0)
        yield from pa.ipc.open_stream(self._file)

    def close(self) -> None:
        self._file.close()


class _SegmentWriter:
    """Gathers entries and samples and writes them as the two files of a segment."""

    def __init__(self, segment: Segment, partition: int) -> None:
        self._segment = segment
        self._partition = partition
        self._writer = PartWriter(segment.samples)
        self._entries: list[Entry] = []
        self._waiting: list[tuple[Entry, _Made]] = []
        self._bytes = 0
        self._rows = 0

    def add(self, entry: Entry, made: _Made) -> None:
        """Append a document."""
        self._entries.append(entry)
        if made.spill is not None:
            self._convert()
            for batch in made.spill.batches():
                self._writer.write(batch)
            made.spill.close()
        elif made.samples:
            self._waiting.append((entry, made))
            self._bytes += made.bytes
            self._rows += len(made.samples)
            if self._writer.pending_bytes + self._bytes >= GROUP_BYTES or self._rows >= _BATCH_ROWS:
                self._convert()

    def close(self) -> None:
        """Finish both files."""
        self._convert()
        self._writer.close()
        ledger.write(ledger.table(self._entries, self._partition), self._segment.ledger)

    def abort(self) -> None:
        """Leave the files as they are, of no use to anybody."""
        # Whatever stopped the work says more than this could.
        with contextlib.suppress(OSError, pa.ArrowException):
            self._writer.abort()

    def _convert(self) -> None:
        if not self._waiting:
            return
        waiting, self._waiting, self._bytes, self._rows = self._waiting, [], 0, 0
        try:
            batches = [to_batch([sample for _, made in waiting for sample in made.samples])]
        except _NOT_ARROW:
            # One of them holds a value that no column takes: find the document, spare the rest.
            batches = []
            for entry, made in waiting:
                try:
                    batches.append(to_batch(made.samples))
                except _NOT_ARROW as error:
                    entry.outcome, entry.reason = Reason.ERROR.outcome, Reason.ERROR
                    entry.detail, entry.keys, entry.images = _describe(error), (), 0
        for batch in batches:
            self._writer.write(batch)


#: What Arrow raises for values of a wrong type or range.
_NOT_ARROW = (pa.ArrowException, TypeError, ValueError, AttributeError, OverflowError)


def _take(made: _Made, sample: Sample) -> None:
    if sample.category not in _CATEGORIES:
        raise ValueError(f"unknown category {sample.category!r}; one of {', '.join(CATEGORIES)}")
    if sample.key in made.keys:
        raise ValueError(f"two samples with the key {sample.key!r}")
    made.keys[sample.key] = None
    total = ROW_BYTES
    for segment in sample.segments:
        if isinstance(segment, Image):
            total += len(segment.data)
            made.images += 1
        else:
            text = segment.text
            total += len(text) if text.isascii() else len(text.encode())
    made.bytes += total
    made.samples.append(sample)


def _spill(made: _Made, folder: str) -> None:
    if made.spill is None:
        made.spill = _Spill(folder)
    if made.samples:
        made.spill.write(to_batch(made.samples))
    made.samples, made.bytes = [], 0


def _entry(position: int, made: _Made) -> Entry:
    if made.keys:
        return Entry(
            made.ref,
            position,
            Outcome.KEPT,
            keys=tuple(made.keys),
            images=made.images,
            drops=tuple(made.drops),
            seconds=made.seconds,
        )
    if not made.drops:
        return Entry.failed(made.ref, position, Reason.EMPTY_DOCUMENT, "", made.seconds)
    # Broken weighs more than unwanted; among equals the commonest, then the first, names it.
    broken = [d.reason for d in made.drops if d.reason.outcome is Outcome.QUARANTINED]
    reason, _ = Counter(broken or [d.reason for d in made.drops]).most_common(1)[0]
    detail = next(d.detail for d in made.drops if d.reason is reason)
    drops = tuple(made.drops)
    return Entry(
        made.ref, position, reason.outcome, reason, detail, drops=drops, seconds=made.seconds
    )


def _failure(error: BaseException, positions: Sequence[int], seconds: float) -> Failure:
    if isinstance(error, WorkerBroken):
        return Failure(tuple(positions), error.reason, error.detail, seconds=seconds)
    return Failure(tuple(positions), Reason.TIMEOUT, str(error), certain=True, seconds=seconds)


def _describe(error: BaseException) -> str:
    """Type and message of an error, then the innermost lines that it came through."""
    head = "".join(traceback.format_exception_only(error)).strip()
    frames = traceback.format_tb(error.__traceback__)[-3:]
    return f"{head}\n{''.join(frames)}".strip()


def _batches(
    refs: Sequence[tuple[int, DocumentRef]], size: int
) -> Iterator[Sequence[tuple[int, DocumentRef]]]:
    for start in range(0, len(refs), size):
        yield refs[start : start + size]
