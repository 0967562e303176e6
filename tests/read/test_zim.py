"""Articles of a ZIM archive that the test writes itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from libzim.writer import Creator, Hint, Item, StringProvider

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef
from dsvl_data.read.zim import ZimSite, list_articles, read_article


class Entry(Item):  # type: ignore[misc]
    def __init__(self, path: str, kind: str, content: str | bytes) -> None:
        super().__init__()
        self._path, self._kind, self._content = path, kind, content

    def get_path(self) -> str:
        return self._path

    def get_title(self) -> str:
        return self._path

    def get_mimetype(self) -> str:
        return self._kind

    def get_contentprovider(self) -> Any:
        return StringProvider(self._content)

    def get_hints(self) -> dict[Any, Any]:
        return {Hint.FRONT_ARTICLE: self._kind.startswith("text/html")}


def write_zim(path: Path, entries: list[tuple[str, str, str | bytes]]) -> DocumentRef:
    with Creator(path) as creator:
        creator.set_mainpath(entries[0][0])
        for entry in entries:
            creator.add_item(Entry(*entry))
        creator.add_redirection("Old_name", "Old name", entries[0][0], {})
    return DocumentRef("wiki", path.name, "CC-BY-SA-4.0", str(path), path.stat().st_size)


@pytest.fixture
def archive(tmp_path: Path) -> DocumentRef:
    return write_zim(
        tmp_path / "small.zim",
        [
            ("Tea", "text/html", "<p>Tea</p>"),
            ("Coffee/Beans", "text/html; charset=utf-8", "<p>Beans</p>"),
            ("_assets_/leaf.png", "image/png", b"picture"),
            ("style.css", "text/css", "p {}"),
        ],
    )


def test_articles_are_listed_and_nothing_else(archive: DocumentRef) -> None:
    refs = list(list_articles(archive))
    assert [ref.uri for ref in refs] == ["small.zim!Coffee/Beans", "small.zim!Tea"]
    assert [read_article(ref) for ref in refs] == [b"<p>Beans</p>", b"<p>Tea</p>"]


def test_pictures_are_found_beside_the_article_and_through_redirections(
    archive: DocumentRef,
) -> None:
    site = ZimSite(archive.path, "Tea")
    assert site.read("_assets_/leaf.png") == b"picture"
    assert site.read("Old_name") == b"<p>Tea</p>"
    assert site.read("../../etc/passwd") is None
    assert site.read("nowhere.png") is None


def test_what_is_no_zim_is_one_document_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "bad.zim"
    path.write_bytes(b"ZIM\x04" + bytes(200))
    (ref,) = list_articles(DocumentRef("wiki", "bad.zim", "unknown", str(path), 204))
    assert ref.meta["reason"] == str(Reason.BAD_ARCHIVE)


def test_an_archive_that_was_cut_off_after_listing_fails_with_its_reason(
    archive: DocumentRef, tmp_path: Path
) -> None:
    ref = next(iter(list_articles(archive)))
    gone = DocumentRef("wiki", ref.uri, "x", str(tmp_path / "gone.zim"), 0, 0, ref.meta)
    with pytest.raises(DocumentError) as caught:
        read_article(gone)
    assert caught.value.reason is Reason.BAD_ARCHIVE
