"""Samples survive Arrow, Parquet and JSON unchanged, whatever is in them."""

from __future__ import annotations

import io
import json

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvl_data.sample import (
    CATEGORIES,
    SCHEMA,
    Image,
    Origin,
    Provenance,
    Sample,
    Text,
    from_batch,
    from_json,
    to_batch,
    to_json,
)

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
roles = st.sampled_from([None, "system", "user", "assistant"])
texts = st.builds(Text, words, roles, st.booleans())
sizes = st.integers(0, 2**31 - 1)
images = st.builds(
    Image,
    st.binary(max_size=50),
    st.sampled_from(["png", "jpg", "webp", "gif"]),
    sizes,
    sizes,
    roles,
)
maps = st.dictionaries(words, words, max_size=3)
samples = st.builds(
    Sample,
    key=words,
    document=words,
    category=st.sampled_from(CATEGORIES),
    segments=st.lists(st.one_of(texts, images), max_size=5).map(tuple),
    language=words,
    source=st.builds(Origin, words, words, words),
    provenance=st.builds(Provenance, words, words, maps),
    scores=st.dictionaries(words, st.floats(allow_nan=False), max_size=3),
    taxonomy=st.none() | words,
    extras=maps,
)


@settings(deadline=None, max_examples=50)
@given(st.lists(samples, max_size=6))
def test_arrow(given: list[Sample]) -> None:
    batch = to_batch(given)
    assert batch.schema == SCHEMA
    batch.validate(full=True)
    assert list(from_batch(batch)) == given


@settings(deadline=None, max_examples=50)
@given(st.lists(samples, max_size=4), st.integers(0, 4), st.integers(0, 4))
def test_slices(given: list[Sample], start: int, length: int) -> None:
    assert list(from_batch(to_batch(given).slice(start, length))) == given[start : start + length]


@settings(deadline=None, max_examples=50)
@given(st.lists(samples, min_size=1, max_size=4))
def test_parquet(given: list[Sample]) -> None:
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, SCHEMA) as writer:
        writer.write_batch(to_batch(given))
    table = pq.read_table(sink)
    assert table.schema == SCHEMA
    assert list(from_batch(table)) == given


@settings(deadline=None, max_examples=50)
@given(samples)
def test_json(given: Sample) -> None:
    record = json.loads(json.dumps(to_json(given)))
    members = {f"{n}.{image.format}": image.data for n, image in enumerate(given.images)}
    assert from_json(record, members) == given


def test_order_of_a_map_does_not_show() -> None:
    def make(details: dict[str, str]) -> Sample:
        provenance = Provenance("p", "1", details)
        return Sample("k", "d", "text", (Text("x"),), "en", Origin("a", "b", "c"), provenance)

    assert to_batch([make({"a": "1", "b": "2"})]) == to_batch([make({"b": "2", "a": "1"})])


def test_absent_member_is_named() -> None:
    image = Image(b"x", "png", 1, 1)
    sample = Sample("k", "d", "text", (image,), "en", Origin("a", "b", "c"), Provenance("p", "1"))
    with pytest.raises(KeyError, match=r"0\.png"):
        from_json(to_json(sample), {})
