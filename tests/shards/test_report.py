"""Statistics, the report as a browser shows it, and a look at single samples."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright
from rich.console import Console

from dsvl_data.render.browser import find_browser
from dsvl_data.sample import Image, Origin, Text
from dsvl_data.shards import stats as stats_module
from dsvl_data.shards.build import ShardSettings, build_shards
from dsvl_data.shards.report import write_report
from dsvl_data.shards.sheet import contact_sheet
from dsvl_data.shards.stats import distribution, human, statistics, tables
from dsvl_data.shards.view import find, save_images, show, visible
from dsvl_data.shards.write import ShardError
from tests.shards.conftest import MakeCorpus, make_sample, write_part

#: Categories with more samples than the sheet shows of them.
REPEATED = ("document_ocr", "table_chart", "interleaved")
HOSTILE = (
    "</pre></article><script>document.title='owned'</script><img src='http://a.invalid/x.png'>"
)


@pytest.fixture
def corpus(make_corpus: MakeCorpus) -> Path:
    """The made-up corpus, with samples that attack whoever shows them."""
    out = make_corpus()
    attack = dataclasses.replace(
        make_sample(7, category="text", images=0, pipeline="<b>pipe</b>"),
        segments=(Text(HOSTILE), Text("answer", role="assistant")),
        source=Origin("<script>alert(1)</script>", "x", '"><b>'),
    )
    broken = dataclasses.replace(
        make_sample(8, category="scene_text"), segments=(Image(b"no image", "png", 5, 5), Text("t"))
    )
    write_part(out, "zz/part-00000.parquet", [attack, broken])
    build_shards(
        str(out),
        ShardSettings(target_mb=0.1, group_mb=0.3),
        recipe={"name": "<i>Corpus</i>"},
        executor="local",
    )
    return out


@pytest.fixture
def page() -> Iterator[Page]:
    executable = find_browser()
    if executable is None:
        pytest.skip("no browser on this machine: run `dsvl-data doctor`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1200, "height": 900})
        browser.close()


def test_report_shows_histograms_and_images_and_fetches_nothing(corpus: Path, page: Page) -> None:
    report = corpus / "report.html"
    write_report(str(corpus), str(report), count=20)
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(report.as_uri())
    assert [url for url in requested if not url.startswith("data:")] == [report.as_uri()]
    assert complaints == []
    assert page.title() == "<i>Corpus</i>: statistics"

    charts = page.locator("figure svg")
    assert charts.count() >= 3
    assert page.get_by_role("heading", name="Text length", exact=True).is_visible()
    bars = page.locator("figure").first.locator("rect")
    heights = [bars.nth(i).bounding_box()["height"] for i in range(bars.count())]  # type: ignore[index]
    assert len(heights) > 3
    assert max(heights) > 50

    images = page.locator(".sample img")
    assert images.count() >= 10
    assert page.evaluate(
        "[...document.querySelectorAll('.sample img')].every(i => i.complete && i.naturalWidth > 0)"
    )
    images.first.scroll_into_view_if_needed()
    assert images.first.is_visible()
    # The text is there as text, beside the picture of its sample.
    assert HOSTILE in page.locator("pre").all_inner_texts()
    assert page.get_by_text("no image, or of an unknown format").is_visible()
    first = page.locator(".sample").first
    key = first.locator("header").inner_text().rsplit("\n", 1)[-1]
    _, sample = next(find(str(corpus), key=key))
    assert first.locator("pre").first.text_content() == sample.text
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200


def test_statistics_count_what_is_there(corpus: Path) -> None:
    stats = statistics(str(corpus))
    assert stats.total.samples == 4 * 50 + 2
    pages = stats.by["category"]["document_ocr"]
    samples = [make_sample(part * 100 + i) for part in range(4) for i in range(30)]
    assert (pages.samples, pages.images, pages.image_tokens) == (120, 120, 120 * 576)
    assert pages.text_characters is not None
    lengths = sorted(len(sample.text) for sample in samples)
    assert pages.text_characters.quantiles["min"] == lengths[0]
    assert pages.text_characters.quantiles["max"] == lengths[-1]
    assert pages.text_characters.quantiles["median"] in lengths[59:61]
    assert pages.text_characters.mean == pytest.approx(sum(lengths) / 120)
    assert pages.widths is not None
    assert pages.widths.quantiles["max"] == max(sample.images[0].width for sample in samples)
    text = stats.by["category"]["text"]
    assert (text.images, text.widths) == (0, None)
    for table in stats.by.values():
        assert sum(row.samples for row in table.values()) == stats.total.samples
        assert sum(row.bytes for row in table.values()) == stats.total.bytes
    json.dumps(stats.to_json())


def test_statistics_read_no_shard(corpus: Path) -> None:
    expected = statistics(str(corpus))
    for shard in corpus.rglob("*.tar"):
        shard.unlink()
    assert statistics(str(corpus)) == expected


def test_statistics_of_an_empty_corpus(tmp_path: Path) -> None:
    write_part(tmp_path, "ebooks/part-00000.parquet", [])
    build_shards(str(tmp_path), ShardSettings(), executor="local")
    assert statistics(str(tmp_path)).total.samples == 0
    write_report(str(tmp_path), str(tmp_path / "report.html"))
    assert "</html>" in (tmp_path / "report.html").read_text()


def test_tables_show_names_as_they_are(corpus: Path) -> None:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    for table in tables(statistics(str(corpus))):
        console.print(table)
    printed = console.export_text()
    for word in ("document_ocr", "by licence", '"><b>', "<script>alert(1)</script>"):
        assert word in printed


@pytest.mark.parametrize("values", [[0], [5, 5, 5], [0, 1, 10**6], list(range(100)), [3, 4]])
def test_a_histogram_holds_every_value(values: list[int]) -> None:
    import numpy as np

    spread = distribution(np.array(values))
    assert spread is not None
    assert sum(spread.bins) == spread.count == len(values)
    assert spread.edges[0] <= min(values)
    assert max(values) <= spread.edges[-1]
    assert list(spread.edges) == sorted(set(spread.edges))


@pytest.mark.parametrize(
    ("value", "expected"), [(0, "0"), (950, "950"), (12345, "12.3 k"), (999_999, "1 M")]
)
def test_numbers_are_written_short(value: int, expected: str) -> None:
    assert human(value) == expected
    assert stats_module.QUANTILES["median"] == 0.5


def test_contact_sheet_is_even_over_kinds_and_depends_on_the_seed(corpus: Path) -> None:
    sheet = contact_sheet(str(corpus), count=14)
    kinds = [(p.sample.category, p.sample.provenance.pipeline) for p in sheet]
    assert len(sheet) == 14
    assert {kinds.count(kind) for kind in set(kinds) if kind[0] in REPEATED} == {4}
    keys = [picture.sample.key for picture in sheet]
    assert keys == [p.sample.key for p in contact_sheet(str(corpus), count=14)]
    assert keys != [p.sample.key for p in contact_sheet(str(corpus), count=14, seed=1)]


def test_view_shows_a_sample_and_saves_its_images(corpus: Path, tmp_path: Path) -> None:
    wanted = make_sample(3)
    shard, sample = next(find(str(corpus), key=wanted.key))
    assert sample.images == wanted.images
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    for part in show(shard, sample):
        console.print(part)
    printed = console.export_text()
    assert wanted.document in printed
    assert wanted.text.split()[0] in printed
    (path,) = save_images(sample, tmp_path / "images")
    assert path.read_bytes() == wanted.images[0].data
    assert len(list(find(shard, count=5))) == 5


def test_view_spreads_its_samples_over_the_categories(corpus: Path) -> None:
    seen = [sample.category for _, sample in find(str(corpus), count=10)]
    kinds = {"document_ocr", "interleaved", "scene_text", "table_chart", "text"}
    assert set(seen[:5]) == kinds
    assert set(seen[5:]) == kinds - {"scene_text", "text"}  # of these there is one each
    assert len({sample.key for _, sample in find(str(corpus), count=1000)}) == 4 * 50 + 2


@pytest.mark.parametrize("place", ["a file/report.html", "a folder"])
def test_a_page_that_cannot_be_written_is_said_before_the_work(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (corpus / "a file").write_text("kept")
    (corpus / "a folder").mkdir()
    monkeypatch.setattr("dsvl_data.shards.report.statistics", lambda out: pytest.fail("worked"))
    with pytest.raises(ShardError, match=f"cannot be written to .*{place}"):
        write_report(str(corpus), str(corpus / place))
    assert (corpus / "a file").read_text() == "kept"


def test_images_that_cannot_be_saved_are_told(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("kept")
    with pytest.raises(ShardError, match=r"cannot be saved in .*a file"):
        save_images(make_sample(3), tmp_path / "a file")


def test_view_makes_control_characters_visible() -> None:
    assert visible("a\x1b[2J\n\tb\x9b\x7f") == "a␛[2J\n\tb␡␡"


def test_view_says_that_there_is_no_such_key(corpus: Path) -> None:
    with pytest.raises(ShardError, match="nonesuch"):
        list(find(str(corpus), key="nonesuch"))
    with pytest.raises(ShardError, match="no shard"):
        list(find(str(corpus / "x.tar")))
