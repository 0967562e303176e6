"""The index beside a shard, `NAME.index.parquet`: one row a sample, in the shard's order.

In: what the shard writer knows of each sample as it writes it. Out: a typed reader, and
samples fetched from a shard by byte range, without reading the rest of it.

| column          | meaning                                                                   |
|-----------------|---------------------------------------------------------------------------|
| key, document   | the sample's key; the id of the document it was made from                 |
| category, language, dataset, licence, pipeline, taxonomy | as in the sample                 |
| members         | name behind `KEY.`, offset and size in bytes of every payload in the tar   |
| images          | how many images                                                           |
| image_sizes     | width and height of each, in pixels                                       |
| text_characters | characters (code points) of all text segments                             |
| text_tokens     | tokens of the same text, by the manifest's tokenizer                      |
| image_tokens    | 576 for each image                                                        |
| content_hash    | XXH3 (128 bits, hex) of all payloads in order                             |
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from dsvl_data import storage
from dsvl_data.sample import Image, Origin, Provenance, Sample, Text, from_json
from dsvl_data.shards.foreign import Form, image_format
from dsvl_data.shards.tar import Digest

#: What one image costs the language model: 24 x 24 patches after the vision adaptor.
IMAGE_TOKENS = 576

TAR_SUFFIX = ".tar"
INDEX_SUFFIX = ".index.parquet"

_DIGEST = b"dsvl.shard"
_REPEATED = ["document", "category", "language", "dataset", "licence", "pipeline", "taxonomy"]


class Member(NamedTuple):
    """A payload in a shard: `name` stands behind `KEY.`; offset and size in bytes.

    The offset is 0 until the payload has been written.
    """

    name: str
    offset: int
    size: int


class Pixels(NamedTuple):
    """An image's size."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One sample of a shard, as its index tells it; the columns are described above."""

    key: str
    document: str
    category: str
    language: str
    dataset: str
    licence: str
    pipeline: str
    taxonomy: str | None
    image_sizes: tuple[Pixels, ...]
    text_characters: int
    text_tokens: int
    content_hash: str
    members: tuple[Member, ...] = ()

    @property
    def images(self) -> int:
        """How many images the sample has."""
        return len(self.image_sizes)

    @property
    def image_tokens(self) -> int:
        """What its images cost the language model."""
        return IMAGE_TOKENS * len(self.image_sizes)


SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("document", pa.string()),
        ("category", pa.string()),
        ("language", pa.string()),
        ("dataset", pa.string()),
        ("licence", pa.string()),
        ("pipeline", pa.string()),
        ("taxonomy", pa.string()),
        (
            "members",
            pa.list_(
                pa.struct([("name", pa.string()), ("offset", pa.int64()), ("size", pa.int64())])
            ),
        ),
        ("images", pa.int32()),
        ("image_sizes", pa.list_(pa.struct([("width", pa.int32()), ("height", pa.int32())]))),
        ("text_characters", pa.int64()),
        ("text_tokens", pa.int64()),
        ("image_tokens", pa.int64()),
        ("content_hash", pa.string()),
    ]
)


@dataclass(frozen=True)
class Index:
    """The index of one shard: its rows as a table of `SCHEMA`, and the digest of the tar.

    `form` says how to read the samples of a shard that we did not write; none: as ours.
    """

    table: pa.Table
    digest: Digest
    form: Form | None = None

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Entry]:
        for row in self.table.to_pylist():
            del row["images"], row["image_tokens"]  # properties of an entry
            row["members"] = tuple(Member(**member) for member in row["members"])
            row["image_sizes"] = tuple(Pixels(**size) for size in row["image_sizes"])
            yield Entry(**row)


def index_path(shard: str) -> str:
    """Return where the index of a shard lies."""
    return shard.removesuffix(TAR_SUFFIX) + INDEX_SUFFIX


def read_index(shard: str, columns: Sequence[str] | None = None) -> Index:
    """Read the index of a shard, given the tar's path or the index's own.

    With `columns` its table has only those, which is read several times as fast, and makes no
    entries. Raises `OSError` when it cannot be read, `ValueError` when it is no index.
    """
    path = shard if shard.endswith(INDEX_SUFFIX) else index_path(shard)
    with storage.open_input(path) as source:
        try:
            # Not `read_table`: that imports pandas, two seconds in every process that reads.
            table = pq.ParquetFile(source).read(columns, use_threads=False)
            facts = json.loads((table.schema.metadata or {})[_DIGEST])
            digest = Digest(facts["bytes"], facts["xxh3"])
            form = Form.model_validate(facts["form"]) if "form" in facts else None
            schema = SCHEMA if columns is None else pa.schema([SCHEMA.field(c) for c in columns])
            table = table.replace_schema_metadata(None).cast(schema)
        except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is no shard index: {error}") from error
    return Index(table, digest, form)


def encode_index(
    entries: Sequence[Entry],
    offsets: Sequence[Sequence[int]],
    digest: Digest,
    form: Form | None = None,
) -> bytes:
    """Return the index file of a shard; the same entries give the same bytes.

    `offsets` has, for each entry, where its members lie; the entries' own offsets are not read.
    """
    said = {} if form is None else {"form": form.model_dump()}
    facts = json.dumps({"bytes": digest.size, "xxh3": digest.xxh3, **said}).encode()
    columns = [
        pa.array([e.key for e in entries], pa.string()),
        pa.array([e.document for e in entries], pa.string()),
        pa.array([e.category for e in entries], pa.string()),
        pa.array([e.language for e in entries], pa.string()),
        pa.array([e.dataset for e in entries], pa.string()),
        pa.array([e.licence for e in entries], pa.string()),
        pa.array([e.pipeline for e in entries], pa.string()),
        pa.array([e.taxonomy for e in entries], pa.string()),
        _nested(
            [e.members for e in entries],
            [m[0] for e in entries for m in e.members],
            [offset for sample in offsets for offset in sample],
            [m[2] for e in entries for m in e.members],
            kind=SCHEMA.field("members").type,
        ),
        pa.array([e.images for e in entries], pa.int32()),
        _nested(
            [e.image_sizes for e in entries],
            [size[0] for e in entries for size in e.image_sizes],
            [size[1] for e in entries for size in e.image_sizes],
            kind=SCHEMA.field("image_sizes").type,
        ),
        pa.array([e.text_characters for e in entries], pa.int64()),
        pa.array([e.text_tokens for e in entries], pa.int64()),
        pa.array([e.image_tokens for e in entries], pa.int64()),
        pa.array([e.content_hash for e in entries], pa.string()),
    ]
    table = pa.Table.from_arrays(columns, schema=SCHEMA.with_metadata({_DIGEST: facts}))
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=_REPEATED)
    return sink.getvalue()


def read_sample(shard: str, entry: Entry, form: Form | None = None) -> Sample:
    """Fetch one sample of a shard by its byte range; `form` is the index's.

    Raises `OSError` when the shard cannot be read, `ValueError` when its bytes are not those
    that the index was written for.
    """
    start = entry.members[0].offset
    end = entry.members[-1].offset + entry.members[-1].size
    data = memoryview(storage.read_bytes(shard, start, end - start))
    payloads = [data[m.offset - start : m.offset - start + m.size] for m in entry.members]
    if content_hash(payloads) != entry.content_hash:
        raise ValueError(
            f"{shard}: sample {entry.key} is not what the index describes; `dsvl-data shards "
            "verify` lists all damage"
        )
    if form is not None:
        return _foreign(entry, form, payloads)
    record = json.loads(bytes(payloads[0]))
    images = zip(entry.members[1:], payloads[1:], strict=True)
    return from_json(record, {member.name: bytes(payload) for member, payload in images})


def content_hash(payloads: Sequence[bytes | memoryview]) -> str:
    """Return the hash of a sample's payloads, the JSON first, then its images in order."""
    state = xxhash.xxh3_128()
    for payload in payloads:
        state.update(payload)
    return str(state.hexdigest())


def _foreign(entry: Entry, form: Form, payloads: Sequence[memoryview]) -> Sample:
    names = [member.name for member in entry.members]
    record, images = form.read(entry.key, dict(zip(names, payloads, strict=True)))
    sizes = dict(zip(images, entry.image_sizes, strict=True))
    segments: list[Text | Image] = []
    for part in record["segments"]:
        if part["type"] == "text":
            segments.append(Text(part["text"]))
        else:
            name = part["member"]
            segments.append(Image(bytes(images[name]), image_format(name), *sizes[name]))
    return Sample(
        key=entry.key,
        document=entry.document,
        category=entry.category,
        segments=tuple(segments),
        language=entry.language,
        source=Origin(entry.dataset, entry.key, entry.licence),
        provenance=Provenance(entry.pipeline, "1"),
    )


def _nested(
    rows: Sequence[Sequence[object]], *children: Sequence[object], kind: pa.ListType
) -> pa.ListArray:
    """Build a list-of-structs column as long as `rows` are, from its flat children."""
    lengths = np.fromiter(map(len, rows), np.int32, len(rows))
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
    fields = list(kind.value_type)
    arrays = [pa.array(child, f.type) for child, f in zip(children, fields, strict=True)]
    values = pa.StructArray.from_arrays(arrays, fields=fields)
    return pa.ListArray.from_arrays(pa.array(offsets), values, type=kind)
