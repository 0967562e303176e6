"""Wikimedia Enterprise's articles: records in the published layout, written here."""

from __future__ import annotations

from typing import Any

from dsvl_data.read.published.wikimedia import READERS
from tests.read.published.records import Store, articles, convert, png, reasons, shape

READER = READERS["wikimedia_enterprise"]
FERN, FLAG, BOG = png(1, 250, 200), png(2, 23, 15), png(3, 120, 110)
_COMMONS = "upload.wikimedia.org/wikipedia/commons"
_THUMB = f"//{_COMMONS}/thumb/a/ab/Fern%26Moss.jpg/250px-Fern%26Moss.jpg"

_HTML = f"""<!DOCTYPE html>
<html prefix="dc: http://purl.org/dc/terms/" about="https://en.wikipedia.org/wiki/Special:Redirect/revision/11">
<head prefix="mwr: https://en.wikipedia.org/wiki/Special:Redirect/"><meta charset="utf-8"/>
<title>Fern</title></head>
<body lang="en" dir="ltr"
class="mw-content-ltr sitedir-ltr ltr mw-body-content parsoid-body mediawiki mw-parser-output">
<section data-mw-section-id="0">
<div role="note" class="hatnote navigation-not-searchable">For the album, see elsewhere.</div>
<figure class="mw-default-size" typeof="mw:File/Thumb"><a href="./File:Fern.jpg">
<img resource="./File:Fern.jpg" src="{_THUMB}"
width="250" height="200" class="mw-file-element"/></a>
<figcaption>A fern in <i>spring</i></figcaption></figure>
<p><b>Ferns</b> are plants of <a href="./Shade">shade</a>.<sup class="mw-ref reference"
typeof="mw:Extension/ref"><a href="./Fern#cite_note-1"><span>[1]</span></a></sup>
They need
<span typeof="mw:File"><a href="./File:Flag.svg"><img src="//{_COMMONS}/f/Flag.png" width="230"
height="150"/></a></span> water.</p></section>
<section data-mw-section-id="1"><h2 id="Habitat">Habitat</h2><p>Some like bogs, and there they are
found from spring to autumn in great numbers, often beside moss.</p>
<figure typeof="mw:File"><img src="https://{_COMMONS}/b/Bog.jpg"/></figure>
<table class="wikitable"><tbody><tr><th>Year</th><th>Ferns</th></tr>
<tr><td>2019</td><td>7</td></tr></tbody></table></section>
</body></html>"""

_STORE = Store(
    {
        f"https://{_COMMONS}/a/ab/Fern%26Moss.jpg": FERN,
        f"https://{_COMMONS}/f/Flag.png": FLAG,
        f"https://{_COMMONS}/b/Bog.jpg": BOG,
    }
)


def _article(**changes: Any) -> dict[str, Any]:
    record = {
        "name": "Fern",
        "identifier": 42,
        "date_modified": "2024-01-01T00:00:00Z",
        "version": {"identifier": 11},
        "url": "https://en.wikipedia.org/wiki/Fern",
        "namespace": {"identifier": 0, "name": ""},
        "in_language": {"identifier": "en", "name": "English"},
        "is_part_of": {"identifier": "enwiki"},
        "license": [{"name": "CC BY-SA", "identifier": "CC-BY-SA-4.0", "url": "https://..."}],
        "article_body": {"html": _HTML, "wikitext": "'''Ferns'''"},
    }
    return {**record, **changes}


def test_an_article_has_its_pictures_with_captions_and_none_of_its_apparatus() -> None:
    results = convert(READER, _article(), _STORE)
    assert [reason for reason, _ in reasons(results)] == ["image_too_small"]
    (item,) = articles(results)
    assert shape(item) == [
        "# Fern",
        FERN,
        "A fern in *spring*\n\n**Ferns** are plants of shade. They need water.\n\n## Habitat\n\n"
        "Some like bogs, and there they are found from spring to autumn in great numbers, often "
        "beside moss.",
        BOG,
        "| Year | Ferns |\n| --- | --- |\n| 2019 | 7 |",
    ]
    assert (item.language, item.details) == (
        "en",
        {"page": "https://en.wikipedia.org/wiki/Fern", "licence": "CC-BY-SA-4.0"},
    )


def test_a_thumbnail_is_taken_before_the_file_it_was_made_from() -> None:
    store = Store({**_STORE.pictures, f"https:{_THUMB}": png(9, 250, 200)})
    (item,) = articles(convert(READER, _article(), store))
    assert shape(item)[1] == png(9, 250, 200)


def test_an_article_whose_pictures_are_all_missing_is_one_of_text() -> None:
    (article,) = articles(convert(READER, _article(), Store()))
    (text,) = shape(article)
    assert isinstance(text, str)
    assert text.startswith("# Fern\n\n**Ferns** are plants of shade.")
    assert text.endswith("| 2019 | 7 |")


def test_articles_that_are_left() -> None:
    def left(**changes: Any) -> list[tuple[str, str]]:
        return reasons(convert(READER, _article(**changes), Store()))

    assert {reason for reason, _ in left()} == {"missing_image"}
    assert left(namespace={"identifier": 14}) == [("navigation", "")]
    assert left(name=None) == [("bad_record", "")]
    assert left(article_body=None) == [("bad_record", "")]
    assert left(article_body={"html": ["x"]}) == [("bad_record", "")]
    assert left(article_body={"html": "<html><body></body></html>"}) == [("no_text", "")]
