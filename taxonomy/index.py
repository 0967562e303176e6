"""The index of conversations: one row each, no payload; everything that chooses reads only this.

In: samples with their labels, part by part. Out: `OUT/taxonomy/index/<pipeline>/part-*.parquet`,
one file for each part, in its order:

    key         the sample's key
    source      the data set it is from
    category    one of the SFT classes of `dsvl_data.sample`
    language    as the sample has it (`en`, `zh`, ...)
    taxonomy    path of its leaf, ids joined by `/`; null where nobody was sure
    confidence  of that path, 0 to 1
    images      64-bit XXH3 of each image's encoded bytes, in order
    text_hash   64-bit XXH3 of the normalised text; equal texts have equal hashes
    near        number of its cluster of near-duplicate texts; null for who resembles nobody,
                and until `near.py` has looked
    tokens      text tokens, estimated unless a tokenizer was given
    part        path of the part that holds the payload, below `OUT/parts/`
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from dsvl_data import storage
from dsvl_data.curate.normalise import normalise
from dsvl_data.outcome import UserError
from dsvl_data.sample import Image, Sample, Text
from dsvl_data.shards.tokens import TokenCounter, token_counter

ROOT = "taxonomy"
INDEX = "index"

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("source", pa.string()),
        ("category", pa.string()),
        ("language", pa.string()),
        ("taxonomy", pa.string()),
        ("confidence", pa.float32()),
        ("images", pa.list_(pa.uint64())),
        ("text_hash", pa.uint64()),
        ("near", pa.uint64()),
        ("tokens", pa.int32()),
        ("part", pa.string()),
    ]
)
_FEW_VALUES = ("source", "category", "language", "taxonomy", "part")
_NOTE = b"dsvl-data"


def place(out: str, name: str) -> str:
    """Where the rows of a part stand; `name` as in `sft/part-00000.parquet`."""
    return storage.join(out, ROOT, INDEX, name)


def rows(
    samples: Sequence[Sample],
    labels: Sequence[tuple[str | None, float]],
    part: str,
    counter: TokenCounter | None = None,
) -> pa.RecordBatch:
    """Return a batch of `SCHEMA` for samples and their (path or None, confidence)."""
    texts = [conversation_text(sample) for sample in samples]
    columns: dict[str, Any] = {
        "key": [sample.key for sample in samples],
        "source": [sample.source.dataset for sample in samples],
        "category": [sample.category for sample in samples],
        "language": [sample.language for sample in samples],
        "taxonomy": [path for path, _ in labels],
        "confidence": [confidence for _, confidence in labels],
        "images": [[image_hash(image) for image in sample.images] for sample in samples],
        "text_hash": [xxhash.xxh3_64_intdigest(normalise(t).encode()) for t in texts],
        "near": [None] * len(samples),
        "tokens": (counter or token_counter(None)).count(texts),
        "part": [part] * len(samples),
    }
    return pa.RecordBatch.from_pydict(columns, schema=SCHEMA)


def conversation_text(sample: Sample) -> str:
    """Return what is compared of a conversation: questions and answers, not the system's words."""
    pieces = [s.text for s in sample.segments if isinstance(s, Text) and s.role != "system"]
    return "\n".join(pieces)


def segments_text(segments: Sequence[Mapping[str, Any]]) -> str:
    """Return the same of a part's rows, without decoding whole samples."""
    return "\n".join(s["text"] for s in segments if s["type"] == "text" and s["role"] != "system")


def image_hash(image: Image) -> int:
    """Return the hash by which the index knows an image."""
    return xxhash.xxh3_64_intdigest(image.data)


def write(
    out: str, name: str, batches: Sequence[pa.RecordBatch] | pa.Table, note: Mapping[str, Any]
) -> None:
    """Write a part's rows, whole or not at all; `note` (JSON values) says what made them."""
    table = batches if isinstance(batches, pa.Table) else pa.Table.from_batches(batches, SCHEMA)
    schema = SCHEMA.with_metadata({_NOTE: json.dumps(dict(note), sort_keys=True).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table.select(SCHEMA.names).cast(SCHEMA).cast(schema), sink, compression="zstd")
    storage.atomic_write(place(out, name), sink.getvalue().to_pybytes())


def note(out: str, name: str) -> dict[str, Any]:
    """Return the note that a part's rows were written with; empty when they are not there."""
    if not storage.exists(place(out, name)):
        return {}
    with storage.open_input(place(out, name)) as source:
        found = pq.read_metadata(source).metadata or {}
    held: dict[str, Any] = json.loads(found.get(_NOTE, b"{}"))
    return held


def names(out: str) -> list[str]:
    """Return the parts that are in the index, sorted, as paths below `OUT/parts/`."""
    folder = storage.join(out, ROOT, INDEX)
    return [file.relative for file in storage.find_files(folder) if file.path.endswith(".parquet")]


def read(out: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the index, part after part; `UserError` when there is none or it cannot be read.

    Columns of few values (source, category, language, taxonomy, part) come as dictionaries, each
    column with one for the whole table. Memory: about 100 bytes a conversation.
    """
    found = names(out)
    if not found:
        raise UserError(
            f"{out} has no index of conversations: run `dsvl-data taxonomy classify {out}` first"
        )
    tables = [read_part(out, name, columns) for name in found]
    return pa.concat_tables(tables).unify_dictionaries()


def read_part(out: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the rows of one part; see `read`."""
    where = place(out, name)
    try:
        with storage.open_input(where) as source:
            file = pq.ParquetFile(source, read_dictionary=list(_FEW_VALUES))
            wanted = list(columns or SCHEMA.names)
            missing = sorted({*wanted} - {*file.schema_arrow.names})
            if missing:
                raise UserError(
                    f"{where} has no column {missing[0]!r}; an index has {', '.join(SCHEMA.names)}"
                )
            return file.read(wanted).replace_schema_metadata()
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{where} is no readable index: {error}; remove it and run "
            "`dsvl-data taxonomy classify` again"
        ) from error
