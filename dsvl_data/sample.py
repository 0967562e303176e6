"""The one record that crosses rooms: `Sample`, its Arrow schema and its JSON form.

In: what a converter made of a document. Out: Arrow record batches (parts on disk, between
stages) and the `KEY.json` member of a shard. Nothing else defines either layout.

A sample is an ordered list of text and image segments, whatever its kind: an interleaved
page, a caption pair, an OCR page, a figure with its code, plain text, a conversation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa

#: The seven rows of the paper's table 1, and the classes of its table 2 (SFT).
PRETRAINING_CATEGORIES = (
    "interleaved",
    "caption",
    "table_chart",
    "web_code",
    "scene_text",
    "document_ocr",
    "text",
)
SFT_CATEGORIES = ("sft_inhouse", "sft_general", "sft_table_chart", "sft_web_code", "sft_text")
CATEGORIES = PRETRAINING_CATEGORIES + SFT_CATEGORIES

ImageFormat: TypeAlias = Literal["png", "jpg", "webp", "gif"]
Role: TypeAlias = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Text:
    """A run of text. `role` is set in conversations only; `trained`: whether loss falls on it."""

    text: str
    role: Role | None = None
    trained: bool = True


@dataclass(frozen=True, slots=True)
class Image:
    """An encoded image, exactly the bytes that a shard will hold; sizes in pixels."""

    data: bytes
    format: ImageFormat
    width: int
    height: int
    role: Role | None = None


Segment: TypeAlias = Text | Image


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a sample comes from: data set, URI within it, licence (SPDX id, or `unknown`)."""

    dataset: str
    uri: str
    licence: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made a sample: pipeline, its version, and details such as a browser version."""

    pipeline: str
    version: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """One training example.

    `key` is derived from the document's id, its bytes and the sample's position in it, so the
    same input gives the same key on any machine. `document` is the id of the document it was
    made from (the ledger's key). `extras` carries text that belongs to the sample but is not
    trained on, such as the other form of a notebook figure's code.
    """

    key: str
    document: str
    category: str
    segments: Sequence[Segment]
    language: str
    source: Origin
    provenance: Provenance
    scores: Mapping[str, float] = field(default_factory=dict)
    taxonomy: str | None = None
    extras: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All text segments, joined by newlines."""
        return "\n".join(s.text for s in self.segments if isinstance(s, Text))

    @property
    def images(self) -> list[Image]:
        """The image segments, in order."""
        return [s for s in self.segments if isinstance(s, Image)]


_SEGMENT = pa.struct(
    [
        ("type", pa.string()),  # "text" or "image"
        ("text", pa.large_string()),
        ("image", pa.large_binary()),  # encoded bytes; plain `binary` ends at 2 GB a chunk
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("role", pa.string()),
        ("trained", pa.bool_()),
    ]
)
_STRINGS = pa.map_(pa.string(), pa.large_string())
_ORIGIN = pa.struct([("dataset", pa.string()), ("uri", pa.string()), ("licence", pa.string())])
_PROVENANCE = pa.struct(
    [("pipeline", pa.string()), ("version", pa.string()), ("details", _STRINGS)]
)

#: A part's columns. One row is one sample.
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("document", pa.string()),
        ("category", pa.string()),
        ("segments", pa.list_(_SEGMENT)),
        ("language", pa.string()),
        ("source", _ORIGIN),
        ("scores", pa.map_(pa.string(), pa.float64())),
        ("taxonomy", pa.string()),
        ("provenance", _PROVENANCE),
        ("extras", _STRINGS),
    ]
)


def to_batch(samples: Sequence[Sample]) -> pa.RecordBatch:
    """Turn samples into one record batch of `SCHEMA`.

    Builds the flat children of each nested column directly: from a list of dictionaries
    Arrow needs several times longer, and this runs once for every sample of a corpus.
    """
    segments = [segment for sample in samples for segment in sample.segments]
    texts = [s if isinstance(s, Text) else None for s in segments]
    images = [s if isinstance(s, Image) else None for s in segments]
    segment_array = pa.StructArray.from_arrays(
        [
            pa.array(["image" if t is None else "text" for t in texts], pa.string()),
            pa.array([None if t is None else t.text for t in texts], pa.large_string()),
            _binary_array([None if i is None else i.data for i in images]),
            pa.array([None if i is None else i.format for i in images], pa.string()),
            pa.array([None if i is None else i.width for i in images], pa.int32()),
            pa.array([None if i is None else i.height for i in images], pa.int32()),
            pa.array([s.role for s in segments], pa.string()),
            pa.array([None if t is None else t.trained for t in texts], pa.bool_()),
        ],
        fields=list(_SEGMENT),
    )
    source_array = pa.StructArray.from_arrays(
        [
            pa.array([s.source.dataset for s in samples], pa.string()),
            pa.array([s.source.uri for s in samples], pa.string()),
            pa.array([s.source.licence for s in samples], pa.string()),
        ],
        fields=list(_ORIGIN),
    )
    provenance_array = pa.StructArray.from_arrays(
        [
            pa.array([s.provenance.pipeline for s in samples], pa.string()),
            pa.array([s.provenance.version for s in samples], pa.string()),
            _map_array([s.provenance.details for s in samples], pa.large_string()),
        ],
        fields=list(_PROVENANCE),
    )
    columns = [
        pa.array([s.key for s in samples], pa.string()),
        pa.array([s.document for s in samples], pa.string()),
        pa.array([s.category for s in samples], pa.string()),
        pa.ListArray.from_arrays(_offsets(len(s.segments) for s in samples), segment_array),
        pa.array([s.language for s in samples], pa.string()),
        source_array,
        _map_array([s.scores for s in samples], pa.float64()),
        pa.array([s.taxonomy for s in samples], pa.string()),
        provenance_array,
        _map_array([s.extras for s in samples], pa.large_string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def from_batch(batch: pa.RecordBatch | pa.Table) -> Iterator[Sample]:
    """Yield the samples of a batch or table with `SCHEMA`; the inverse of `to_batch`."""
    for row in batch.to_pylist():
        source, provenance = row["source"], row["provenance"]
        yield Sample(
            key=row["key"],
            document=row["document"],
            category=row["category"],
            segments=tuple(_segment(s) for s in row["segments"]),
            language=row["language"],
            source=Origin(source["dataset"], source["uri"], source["licence"]),
            provenance=Provenance(
                provenance["pipeline"], provenance["version"], dict(provenance["details"])
            ),
            scores=dict(row["scores"]),
            taxonomy=row["taxonomy"],
            extras=dict(row["extras"]),
        )


def to_json(sample: Sample) -> dict[str, Any]:
    """Return what stands in a shard's `KEY.json`; images are named by member (`0.jpg`)."""
    return {
        "key": sample.key,
        "document": sample.document,
        "category": sample.category,
        "language": sample.language,
        "segments": list(_json_segments(sample.segments)),
        "source": {
            "dataset": sample.source.dataset,
            "uri": sample.source.uri,
            "licence": sample.source.licence,
        },
        "scores": dict(sample.scores),
        "taxonomy": sample.taxonomy,
        "provenance": {
            "pipeline": sample.provenance.pipeline,
            "version": sample.provenance.version,
            "details": dict(sample.provenance.details),
        },
        "extras": dict(sample.extras),
    }


def from_json(record: Mapping[str, Any], members: Mapping[str, bytes]) -> Sample:
    """Rebuild a sample from its `KEY.json` and its image members; the inverse of `to_json`.

    Raises `KeyError` naming the field or image member that is absent.
    """
    segments: list[Segment] = []
    for s in record["segments"]:
        role = s.get("role")
        if s["type"] == "text":
            segments.append(Text(s["text"], role, s.get("trained", True)))
        else:
            suffix = s["member"].rpartition(".")[2]
            segments.append(Image(members[s["member"]], suffix, s["width"], s["height"], role))
    source, provenance = record["source"], record["provenance"]
    return Sample(
        key=record["key"],
        document=record["document"],
        category=record["category"],
        segments=tuple(segments),
        language=record["language"],
        source=Origin(source["dataset"], source["uri"], source["licence"]),
        provenance=Provenance(provenance["pipeline"], provenance["version"], provenance["details"]),
        scores=record["scores"],
        taxonomy=record["taxonomy"],
        extras=record["extras"],
    )


def _json_segments(segments: Sequence[Segment]) -> Iterator[dict[str, Any]]:
    position = 0
    for s in segments:
        record: dict[str, Any]
        if isinstance(s, Text):
            record = {"type": "text", "text": s.text}
            if not s.trained:
                record["trained"] = False
        else:
            record = {
                "type": "image",
                "member": f"{position}.{s.format}",
                "width": s.width,
                "height": s.height,
            }
            position += 1
        if s.role is not None:
            record["role"] = s.role
        yield record


def _segment(row: Mapping[str, Any]) -> Segment:
    if row["type"] == "text":
        return Text(row["text"], row["role"], row["trained"])
    return Image(row["image"], row["format"], row["width"], row["height"], row["role"])


def _offsets(lengths: Iterable[int]) -> pa.Array:
    offsets = [0]
    for length in lengths:
        offsets.append(offsets[-1] + length)
    return pa.array(offsets, pa.int32())


def _binary_array(values: Sequence[bytes | None]) -> pa.Array:
    # One copy of the payloads; `pa.array` grows its buffer and makes several.
    offsets = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum([0 if v is None else len(v) for v in values], out=offsets[1:])
    mask = np.array([v is not None for v in values], dtype=np.bool_)
    present = np.packbits(mask, bitorder="little")
    data = b"".join([v for v in values if v is not None])
    buffers = [pa.py_buffer(present.tobytes()), pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_binary(), len(values), buffers)


def _map_array(maps: Sequence[Mapping[str, Any]], item_type: pa.DataType) -> pa.Array:
    # Sorted, so that equal maps give equal bytes.
    items = [item for m in maps for item in sorted(m.items())]
    return pa.MapArray.from_arrays(
        _offsets(len(m) for m in maps),
        pa.array([key for key, _ in items], pa.string()),
        pa.array([value for _, value in items], item_type),
    )
