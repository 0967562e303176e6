"""Web pages as samples."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import Document, Dropped, InputSpec
from dsvl_data.sample import Sample, Text
from pipelines.webcode import PIPELINE, WINDOWS, Options, WebCodeConverter, choose_view


@pytest.fixture(scope="module")
def converter() -> Iterator[WebCodeConverter]:
    made = WebCodeConverter(Options(windows={"desktop": 1}, whole=0, page_seconds=40))
    yield made
    made.close()


def documents(path: Path) -> list[Document]:
    refs = PIPELINE.source([InputSpec(path=str(path), dataset="d", licence="CC0-1.0")], Options())
    return [
        Document(ref, lambda ref=ref: PIPELINE.reader(ref), PIPELINE.name, PIPELINE.version)
        for ref in refs
    ]


def convert(converter: WebCodeConverter, document: Document) -> Sample | Dropped | str:
    try:
        (made,) = converter([document])
    except DocumentError as error:
        return str(error.reason)
    return made


def test_the_samples_become_pairs(converter: WebCodeConverter, samples: Path) -> None:
    made = {d.ref.uri: convert(converter, d) for d in documents(samples / "webcode")}
    assert sorted(made) == ["garden/index.html", "timetable.html", "茶馆.html"]
    for sample in made.values():
        assert isinstance(sample, Sample), sample
        image, text = sample.segments
        assert isinstance(text, Text)
        shown = Image.open(io.BytesIO(sample.images[0].data))
        assert shown.size == (image.width, image.height)
        assert sample.category == "web_code"
        assert sample.scores["proof"] > 0.9999
        assert text.text.startswith("<!DOCTYPE html>")
        assert "<script" not in text.text
    assert [made[uri].language for uri in sorted(made)] == ["en", "en", "zh"]
    garden = made["garden/index.html"].text
    for gone in ("sold-out-x", "popup", "--unused", "statistics", "utm_", "onclick", "@keyframes"):
        assert gone not in garden
    assert "grid-template-columns: repeat(3, 1fr)" in garden
    assert "max-width: 800px" not in garden


def test_the_same_page_gives_the_same_sample(converter: WebCodeConverter, samples: Path) -> None:
    document = documents(samples / "webcode" / "timetable.html")[0]
    first, second = (convert(converter, document) for _ in range(2))
    assert isinstance(first, Sample)
    assert first == second


def test_a_page_with_more_tokens_than_the_recipe_sets_is_told(
    converter: WebCodeConverter, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [d for d in documents(samples / "webcode") if "garden" not in d.ref.uri]
    counts = {page.ref.uri: convert(converter, page).scores["tokens"] for page in pages}
    (short, fewest), (long, most) = sorted(counts.items(), key=lambda each: each[1])
    assert 16 < fewest < most
    limited = converter.options.model_copy(update={"max_tokens": int(fewest)})
    monkeypatch.setattr(converter, "options", limited)
    made = {page.ref.uri: convert(converter, page) for page in pages}
    assert isinstance(made[short], Sample)
    left = made[long]
    assert isinstance(left, Dropped)
    assert (left.reason, left.score) == (Reason.TEXT_TOO_LONG, most)
    assert left.detail == f"{int(most)} tokens, the limit is {int(fewest)}"


def test_a_page_that_cannot_be_proved_is_told_with_its_score(
    converter: WebCodeConverter, tmp_path: Path
) -> None:
    (tmp_path / "a.html").write_text(
        "<!DOCTYPE html><h1>Title of this page</h1>"
        "<div><template shadowrootmode=open><h2>Words in a shadow</h2></template></div>"
    )
    made = convert(converter, documents(tmp_path)[0])
    assert isinstance(made, Dropped)
    assert str(made.reason) == "proof_failed"
    assert made.score is not None
    assert 0.9 < made.score < 0.9999


def test_real_pages(converter: WebCodeConverter, real_data: Path) -> None:
    pages = documents(real_data / "webpages" / "startbootstrap-sb-admin-2")
    made = {d.ref.uri: convert(converter, d) for d in pages[:1] + pages[-2:]}
    kept = [sample for sample in made.values() if isinstance(sample, Sample)]
    assert len(kept) == len(made)
    assert all(sample.scores["proof"] == 1 for sample in kept)


def test_windows_are_drawn_by_weight_seed_and_page() -> None:
    options = Options(windows={"desktop": 3, "phone": 1}, whole=0.5)
    views = [choose_view(options, f"page {n}") for n in range(2000)]
    names = Counter(name for name, _ in views)
    assert set(names) == {"desktop", "phone"}
    assert 0.7 < names["desktop"] / 2000 < 0.8
    assert 0.45 < sum(view.whole for _, view in views) / 2000 < 0.55
    assert {(v.width, v.height) for n, v in views if n == "phone"} == set(WINDOWS["phone"])
    assert views[:9] == [choose_view(options, f"page {n}") for n in range(9)]
    other = Options(windows={"desktop": 3, "phone": 1}, whole=0.5, seed=1)
    assert views != [choose_view(other, f"page {n}") for n in range(2000)]


@pytest.mark.parametrize(
    "windows", [{"dekstop": 1}, {"desktop": 0}, {"desktop": -1, "phone": 2}, {}]
)
def test_windows_that_make_no_sense_are_refused(windows: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Options(windows=windows)
