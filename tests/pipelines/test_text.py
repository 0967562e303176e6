"""Plain text: nothing is lost, no sample is too long, and bytes that are no text are told."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import Document, Dropped, InputSpec
from dsvl_data.sample import Sample
from dsvl_data.shards.tokens import Estimate
from pipelines.text import PIPELINE, TextConverter, TextOptions, decode_text, list_texts
from pipelines.text_chunks import cut

ENGLISH = "The river rises in the hills. It is slow, brown and older than the town on its banks."
CHINESE = (
    "这条河从山里流下来，水流得很慢，颜色发黄，比岸边的城市还要老。"
    "每年春天，它都会漫上田地，人们就把牛赶到高处去。"
)


def convert(folder: Path, **options: object) -> tuple[list[Sample], list[Dropped], list[str]]:
    """Samples, drops, and the reasons of documents that failed as wholes."""
    settings = TextOptions.model_validate({"min_tokens": 1, **options})
    converter = TextConverter(settings)
    made: list[Sample] = []
    drops: list[Dropped] = []
    failed: list[str] = []
    spec = InputSpec(path=str(folder), dataset="t", licence="CC0-1.0")
    for ref in list_texts([spec], settings):
        document = Document(ref, lambda ref=ref: PIPELINE.reader(ref), "text", "1")
        try:
            for item in converter([document]):
                (made if isinstance(item, Sample) else drops).append(item)  # type: ignore[arg-type]
        except DocumentError as error:
            failed.append(f"{ref.uri} {error.reason}")
    return made, drops, failed


def wet(*pages: tuple[str, str]) -> list[bytes]:
    records = []
    for kind, (address, text) in [
        ("warcinfo", ("", "")),
        *(("conversion", page) for page in pages),
    ]:
        body = text.encode()
        head = (
            f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {address}\r\n"
            "WARC-Date: 2026-01-01T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:0>\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        records.append(head.encode() + body + b"\r\n\r\n")
    return records


def test_files_rows_and_crawls_become_samples_with_language_and_scores(tmp_path: Path):
    (tmp_path / "a.txt").write_text(ENGLISH)
    (tmp_path / "b.txt").write_bytes(CHINESE.encode("gb18030"))
    rows = [{"text": ENGLISH + " One."}, {"text": CHINESE}, {"text": None}, {"other": "x"}]
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    (tmp_path / "c.jsonl").write_bytes(lines)
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "g.jsonl.zst").write_bytes(pa.compress(lines, "zstd", asbytes=True))
    (tmp_path / "h.txt.zst").write_bytes(pa.compress(CHINESE.encode(), "zstd", asbytes=True))
    pages = wet(("http://a/", ENGLISH + " Two."), ("http://b/", CHINESE))
    (tmp_path / "e.warc.wet").write_bytes(b"".join(pages))
    (tmp_path / "f.warc.wet.gz").write_bytes(b"".join(map(gzip.compress, pages)))

    samples, drops, failed = convert(tmp_path)

    by_uri = {sample.source.uri: sample for sample in samples}
    assert list(by_uri) == [
        "a.txt", "b.txt", "c.jsonl#0", "c.jsonl#1", "d.jsonl.gz#0", "d.jsonl.gz#1",
        "g.jsonl.zst#0", "g.jsonl.zst#1", "h.txt.zst",
        "e.warc.wet#1", "e.warc.wet#2", "f.warc.wet.gz#1", "f.warc.wet.gz#2",
    ]  # fmt: skip
    assert by_uri["b.txt"].text == by_uri["h.txt.zst"].text == CHINESE
    assert [by_uri[uri].language for uri in ("a.txt", "b.txt")] == ["en", "zh"]
    assert by_uri["f.warc.wet.gz#2"].provenance.details["address"] == "http://b/"
    assert by_uri["a.txt"].scores["characters"] == len(ENGLISH)
    assert by_uri["a.txt"].scores["language_confidence"] > 0.5
    assert failed == [
        f"{name}#{row} bad_json"
        for name in ("c.jsonl", "d.jsonl.gz", "g.jsonl.zst")
        for row in (2, 3)
    ]
    assert not drops


@pytest.mark.parametrize(
    ("name", "change", "expected", "sound"),
    [
        ("cut.warc.wet.gz", lambda pages: b"".join(map(gzip.compress, pages))[:-9], ["#2"], 1),
        ("cut.warc.wet", lambda pages: b"".join(pages)[:-40], ["#2"], 1),
        ("one.warc.wet.gz", lambda pages: gzip.compress(b"".join(pages)), ["#1"], 0),
        ("no.wet", lambda pages: b"nothing of the kind\n" * 9, ["#0"], 0),
        ("tail.wet.gz", lambda pages: gzip.compress(pages[1]) + bytes(999), ["#1"], 1),
    ],
)
def test_a_damaged_crawl_gives_what_is_sound_and_says_the_rest(
    tmp_path: Path, name, change, expected, sound
):
    pages = wet(("http://a/", ENGLISH), ("http://b/", CHINESE))
    (tmp_path / name).write_bytes(change(pages))
    samples, _, failed = convert(tmp_path)
    assert failed == [f"{name}{row} bad_archive" for row in expected]
    assert len(samples) == sound


def test_a_web_page_gives_what_it_says_without_its_navigation(tmp_path: Path):
    menu = "<nav><a href=/>Home</a> <a href=/b>About us</a></nav>"
    page = f"<html><body>{menu}<h1>On rivers</h1><p>{ENGLISH}</p><img src=a.png><p>{CHINESE}</p>"
    (tmp_path / "a.html").write_text(page + "<footer>Imprint</footer></body></html>")
    ((sample,), drops, failed) = convert(tmp_path)
    assert sample.text == f"# On rivers\n\n{ENGLISH}\n\n{CHINESE}"
    assert not drops
    assert not failed


def test_bytes_that_are_no_text_are_told(tmp_path: Path):
    (tmp_path / "page.html").write_bytes(bytes(range(256)) * 50)
    (tmp_path / "picture.txt").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "empty.txt").write_bytes(b" \r\n\t ")
    (tmp_path / "marked.txt").write_bytes(("\ufeff" + ENGLISH).encode("utf-16"))
    samples, _, failed = convert(tmp_path)
    assert failed == [
        "empty.txt empty_document", "page.html bad_encoding", "picture.txt bad_encoding",
    ]  # fmt: skip
    assert [sample.text for sample in samples] == [ENGLISH]


def test_old_encodings_are_told_from_one_another():
    german = "Größe und Maß der Brücke über den Fluß: schön, kühl, fünfzig Fuß hoch.\n" * 5
    assert decode_text(german.encode("cp1252")) == german
    assert decode_text((CHINESE * 5).encode("gb18030")) == CHINESE * 5
    assert decode_text((CHINESE * 5).encode("utf-16-le")[:0] + CHINESE.encode()) == CHINESE


def test_a_long_text_is_cut_where_paragraphs_end(tmp_path: Path):
    paragraphs = [f"Paragraph {n}. {ENGLISH}" for n in range(40)]
    (tmp_path / "a.txt").write_text("\n\n".join(paragraphs))
    samples, drops, _ = convert(tmp_path, sequence_tokens=100)
    found = [part for sample in samples for part in sample.text.split("\n\n")]
    assert found == paragraphs
    assert len(samples) > 5
    assert not drops
    assert all(sample.scores["tokens"] <= 100 for sample in samples)
    assert samples[1].provenance.details["piece"] == f"2 of {len(samples)}"


def test_what_is_too_little_is_left_out_with_its_reason(tmp_path: Path):
    (tmp_path / "a.txt").write_text("Too short.")
    samples, drops, _ = convert(tmp_path, min_tokens=16)
    assert not samples
    assert [drop.reason for drop in drops] == [Reason.NO_TEXT]


@given(
    st.lists(st.sampled_from([ENGLISH, CHINESE, "\n", "\n\n", " ", "x" * 90, "。", "a b", "1234"]),
             max_size=30),
    st.integers(16, 60),
)  # fmt: skip
def test_nothing_but_white_space_is_lost_and_no_piece_is_too_long(parts: list[str], limit: int):
    text = "".join(parts)
    pieces = cut(text, limit, Estimate())
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(count <= limit for count in Estimate().count(pieces))
    assert all(piece == piece.strip() and piece for piece in pieces)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(40, 120))
def test_a_heading_stands_with_what_it_heads(lengths: list[int], limit: int):
    sections = [f"## Part {n}\n\n{' '.join([ENGLISH] * size)}" for n, size in enumerate(lengths)]
    text = "\n\n".join(sections)
    pieces = cut(text, limit, Estimate())
    assert not [piece for piece in pieces if piece.splitlines()[-1].startswith("#")]
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(count <= limit for count in Estimate().count(pieces))


def test_headings_alone_are_cut_like_any_text():
    text = "\n\n".join(f"# Entry {n} of the contents" for n in range(40))
    pieces = cut(text, 50, Estimate())
    assert "\n\n".join(pieces) == text
    assert max(Estimate().count(pieces)) <= 50
