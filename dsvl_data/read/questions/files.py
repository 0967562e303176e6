"""Files of questions as documents: slices of tables and lines, whole files of the rest.

In: the inputs of a recipe. Out: `DocumentRef`s, the bytes of each, and the questions in these
bytes. JSON lines and CSV are cut into slices of so many records (their file is scanned once
for line ends when it is listed), Parquet by rows of a row group; JSON, Moodle XML and GIFT are
a document each. The format is in `DocumentRef.meta`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef, InputSpec
from dsvl_data.read import gzips
from dsvl_data.read.gzips import inflate, is_gzip, open_stream, read_range
from dsvl_data.read.listing import check_listed, list_files, refusal
from dsvl_data.read.questions.apply import Record, fits, records, to_question
from dsvl_data.read.questions.gift import read_gift
from dsvl_data.read.questions.mapping import Mapping
from dsvl_data.read.questions.moodle import read_moodle
from dsvl_data.read.questions.record import Question, Refused
from dsvl_data.storage import StoredFile

Format: TypeAlias = Literal["jsonl", "json", "csv", "tsv", "parquet", "moodle", "gift"]

_SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv",
    ".parquet": "parquet", ".xml": "moodle", ".gift": "gift", ".gift.txt": "gift",
}  # fmt: skip
_CHUNK = 8 << 20
#: A record that is longer than this is refused unread.
MAX_RECORD = 4 << 20


def list_questions(
    inputs: Sequence[InputSpec], *, rows: int, format: Format | None = None
) -> Iterator[DocumentRef]:
    """List the documents of all inputs, `rows` records each where a file can be cut.

    With `format` every file of the inputs is taken for one; else files are known by their
    suffix, and others (pictures, notes) are passed over.
    """
    for spec in inputs:
        for file in list_files(spec):
            name = file.relative.lower().removesuffix(".gz")
            known = format or next((f for s, f in _SUFFIXES.items() if name.endswith(s)), None)
            if known is not None or file.link == "folder":
                yield from _slices(spec, file, known or "json", rows)


def _slices(spec: InputSpec, file: StoredFile, format: Format, rows: int) -> Iterator[DocumentRef]:
    root = file.path[: -len(file.relative)].rstrip("/") or "/"
    meta: dict[str, Any] = {"format": format, "root": root}

    def ref(first: int, end: int, offset: int, size: int, **more: Any) -> DocumentRef:
        uri = file.relative if first < 0 else f"{file.relative}#{first}-{end - 1}"
        return DocumentRef(
            spec.dataset, uri, spec.licence, file.path, size, offset, {**meta, "row": first, **more}
        )

    if file.link:
        reason, detail = refusal(file)
        yield ref(-1, 0, 0, 0, reason=str(reason), detail=detail)
    elif format in ("jsonl", "csv", "tsv"):
        quoted = format != "jsonl"
        ends = _record_ends(file.path, quoted=quoted)
        start = first = count = end = header = 0
        try:
            start = end = header = next(ends, 0) if quoted else 0
            for end in ends:
                count += 1
                if count == rows:
                    yield ref(first, first + count, start, end - start, header=header)
                    start, first, count = end, first + count, 0
        except DocumentError as error:  # the records before the damage are documents all the same
            yield ref(-1, 0, 0, 0, reason=str(error.reason), detail=error.detail)
        if count:
            yield ref(first, first + count, start, end - start, header=header)
    elif format == "parquet":
        try:
            with storage.open_input(file.path) as source, pq.ParquetFile(source) as table:
                groups = [
                    (table.metadata.row_group(g).num_rows, table.metadata.row_group(g))
                    for g in range(table.metadata.num_row_groups)
                ]
                sizes = [(n, int(group.total_byte_size)) for n, group in groups]
        except (OSError, pa.ArrowException) as error:
            yield ref(-1, 0, 0, file.size, failed=str(error))
            return
        first = 0
        for group, (count, size) in enumerate(sizes):
            for start in range(0, count, rows):
                n = min(rows, count - start)
                part = size * n // max(count, 1)
                yield ref(
                    first + start, first + start + n, 0, part, group=group, start=start, rows=n
                )
            first += count
    else:
        yield ref(-1, 0, 0, file.size)


def _record_ends(path: str, *, quoted: bool) -> Iterator[int]:
    """Yield the offset after each record's line end; in a CSV line ends may be quoted."""
    position = end = 0
    inside = False
    with closing(open_stream(path)) as source:
        while chunk := source.read(_CHUNK):
            here = 0
            while (found := chunk.find(b"\n", here)) >= 0:
                if quoted and chunk.count(b'"', here, found) % 2:
                    inside = not inside
                here = found + 1
                if not inside:
                    end = position + here
                    yield end
            if quoted and chunk.count(b'"', here) % 2:
                inside = not inside
            position += len(chunk)
    if position > end:
        yield position


def read_slice(ref: DocumentRef) -> bytes:
    """Load a document's bytes: a CSV slice with its header, Parquet rows as an Arrow stream.

    Raises `DocumentError`: `UNREADABLE`, `UNSAFE_PATH` for a link that is not followed,
    `BAD_ARCHIVE` and `ARCHIVE_BOMB` for a gzipped file.
    """
    check_listed(ref)
    meta = ref.meta
    if "failed" in meta:
        raise DocumentError(Reason.UNREADABLE, f"{ref.path}: {meta['failed']}")
    try:
        if meta["format"] == "parquet":
            return _parquet_rows(ref)
        if meta["format"] in ("jsonl", "csv", "tsv"):
            data = read_range(ref.path, ref.offset, ref.size)
            return _header(ref.path, meta["header"]) + data
        data = storage.read_bytes(ref.path, ref.offset, ref.size)
    except (OSError, pa.ArrowException) as error:
        raise DocumentError(Reason.UNREADABLE, f"{ref.path}: {error}") from error
    if len(data) < ref.size:
        raise DocumentError(Reason.UNREADABLE, f"{ref.path}: {len(data)} of {ref.size} bytes")
    return inflate(data) if is_gzip(ref.path) else data


def approach_slice(ref: DocumentRef) -> None:
    """Get near a slice deep in a gzipped file, which takes its time; nothing to do for others."""
    if ref.meta.get("format") in ("jsonl", "csv", "tsv"):
        gzips.approach(ref.path, ref.offset)


@lru_cache(maxsize=8)
def _header(path: str, size: int) -> bytes:
    # Kept: to go back to the start of a gzipped file costs inflating it anew.
    return read_range(path, 0, size) if size else b""


def _parquet_rows(ref: DocumentRef) -> bytes:
    skip, wanted = int(ref.meta["start"]), int(ref.meta["rows"])
    batches = []
    with storage.open_input(ref.path) as source, pq.ParquetFile(source) as table:
        for batch in table.iter_batches(batch_size=64, row_groups=[int(ref.meta["group"])]):
            taken = batch.slice(skip, wanted)
            skip = max(0, skip - batch.num_rows)
            wanted -= taken.num_rows
            if taken.num_rows:
                batches.append(taken)
            if not wanted:
                break
        schema = table.schema_arrow
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()


def read_questions(
    data: bytes, format: Format, mappings: Iterable[Mapping], first_row: int = 0
) -> Iterator[Question | Refused]:
    """Yield the questions in a document's bytes, in order.

    The first of `mappings` that fits the data is used; a single one is used in any case. Items
    without a name of their own are named by row, `first_row` being the document's first.
    Raises `DocumentError` when the document as a whole is wrong.
    """
    if format == "moodle":
        yield from read_moodle(data)
        return
    if format == "gift":
        yield from read_gift(_decode(data))
        return
    candidates = list(mappings)
    if format == "json":
        root = _load(data)
        mapping = _choose(candidates, root)
        for record in records(root, mapping):
            yield to_question(record, mapping)
        return
    mapping_ = candidates[0] if len(candidates) == 1 else None
    for row, value in enumerate(_rows(data, format), max(first_row, 0)):
        if isinstance(value, Refused):
            yield Refused(str(row), value.reason, value.detail)
            continue
        if mapping_ is None:
            try:
                mapping_ = _choose(candidates, value)
            except DocumentError as error:
                yield Refused(str(row), error.reason, error.detail)
                continue
        yield to_question(Record(value, value, "", row), mapping_)


def _rows(data: bytes, format: Format) -> Iterator[Any]:
    if format == "jsonl":
        for line in data.split(b"\n"):
            if not line.strip():
                continue
            if len(line) > MAX_RECORD:
                yield Refused("", Reason.TOO_LARGE, f"{len(line)} bytes, the limit is {MAX_RECORD}")
                continue
            try:
                yield _load(line)
            except DocumentError as error:
                yield Refused("", error.reason, error.detail)
    elif format in ("csv", "tsv"):
        csv.field_size_limit(MAX_RECORD)
        delimiter = "\t" if format == "tsv" else ","
        reader = csv.DictReader(io.StringIO(_decode(data), newline=""), delimiter=delimiter)
        while True:
            try:
                row = next(reader, None)
            except csv.Error as error:
                yield Refused("", Reason.BAD_QUESTION, f"no CSV: {error}")
                return
            if row is None:
                return
            if None in row:
                yield Refused("", Reason.BAD_QUESTION, "more cells than the header has columns")
            else:
                yield dict(row)
    else:
        with pa.ipc.open_stream(data) as stream:
            for batch in stream:
                yield from batch.to_pylist()


def _load(data: bytes) -> Any:
    try:
        return json.loads(_decode(data))
    except (ValueError, RecursionError) as error:
        raise DocumentError(Reason.BAD_JSON, str(error)[:200]) from error


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            return data.decode("gb18030")  # what Chinese spreadsheets write
        except UnicodeDecodeError as error:
            raise DocumentError(Reason.BAD_JSON, f"neither UTF-8 nor GB 18030: {error}") from error


def _choose(mappings: list[Mapping], root: Any) -> Mapping:
    if len(mappings) == 1:
        return mappings[0]
    for mapping in mappings:
        first = root[0] if isinstance(root, list) and root else root
        if fits(mapping, root) or fits(mapping, first):
            return mapping
    keys = ", ".join(map(str, list(root)[:8])) if isinstance(root, dict) else type(root).__name__
    raise DocumentError(Reason.BAD_JSON, f"no mapping fits; what is there: {keys[:200]}")
