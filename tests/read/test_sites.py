"""The files that a page may use, and none beyond."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef, InputSpec
from dsvl_data.read.sites import list_pages, read_page, site_of

FILES = {"a/page.html": b"<p>page", "a/style.css": b"p {}", "top.css": b"b {}", "other.txt": b"x"}


def listed(path: Path, column: str | None = None) -> list[DocumentRef]:
    spec = InputSpec(path=str(path), dataset="sites")
    return list(list_pages([spec], suffixes=(".html",), column=column))


@pytest.fixture(params=["folder", "tar", "zip"])
def ref(request: pytest.FixtureRequest, tmp_path: Path) -> DocumentRef:
    """A page with files beside it, in each place where they may lie."""
    where = tmp_path / "input"
    where.mkdir()
    if request.param == "folder":
        for name, data in FILES.items():
            (where / name).parent.mkdir(exist_ok=True)
            (where / name).write_bytes(data)
    elif request.param == "tar":
        with tarfile.open(where / "site.tar", "w") as tar:
            for name, data in FILES.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    else:
        with zipfile.ZipFile(where / "site.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in FILES.items():
                archive.writestr(name, data)
    (tmp_path / "secret.css").write_bytes(b"secret")
    (found,) = listed(where)
    return found


def test_a_page_has_what_lies_beside_and_above_it(ref: DocumentRef) -> None:
    assert read_page(ref) == b"<p>page"
    site = site_of(ref)
    assert site.page == "a/page.html"
    assert site.read("a/style.css") == b"p {}"
    assert site.read("a/../top.css") == b"b {}"
    assert site.read("gone.css") is None


@pytest.mark.parametrize(
    "path",
    ["../secret.css", "a/../../secret.css", "/etc/passwd", "a\\..\\..\\secret.css", "", "\0"],
)
def test_nothing_leads_out(ref: DocumentRef, path: str) -> None:
    assert site_of(ref).read(path) is None


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.css").write_text("secret")
    site = tmp_path / "input"
    site.mkdir()
    (site / "page.html").write_text("x")
    (site / "link.css").symlink_to(tmp_path / "secret.css")
    (found,) = listed(site)
    assert site_of(found).read("link.css") is None


def test_rows_are_pages_without_files(tmp_path: Path) -> None:
    (tmp_path / "pages.jsonl").write_text(json.dumps({"html": "<p>row"}) + "\n")
    (found,) = listed(tmp_path, column="html")
    assert read_page(found) == b"<p>row"
    assert site_of(found).read("pages.jsonl") is None


def test_damaged_zips_are_told(tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 cut")
    (found,) = listed(tmp_path)
    with pytest.raises(DocumentError) as caught:
        read_page(found)
    assert str(caught.value.reason) == "bad_archive"


def test_a_member_that_leads_out_of_a_zip_fails_alone(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "site.zip", "w") as archive:
        for name in ("a.html", "../up.html", "../up.css", "b.html"):
            archive.writestr(name, f"<p>{name}")
    refs = {ref.uri: ref for ref in listed(tmp_path)}
    assert sorted(refs) == ["site.zip!../up.html", "site.zip!a.html", "site.zip!b.html"]
    for name in ("a.html", "b.html"):
        assert read_page(refs[f"site.zip!{name}"]) == f"<p>{name}".encode()
    assert site_of(refs["site.zip!a.html"]).read("../up.css") is None
    with pytest.raises(DocumentError) as caught:
        read_page(refs["site.zip!../up.html"])
    assert caught.value.reason is Reason.UNSAFE_PATH


@pytest.mark.parametrize("kind", ["folder", "tar", "zip"])
def test_an_exclamation_mark_in_a_name_parts_nothing(tmp_path: Path, kind: str) -> None:
    where = tmp_path / "in!put" / "oh!no"
    where.mkdir(parents=True)
    files = {"a!b/page!.html": b"<p>page", "a!b/style.css": b"p {}"}
    if kind == "folder":
        (where / "a!b").mkdir()
        for name, data in files.items():
            (where / name).write_bytes(data)
    elif kind == "tar":
        with tarfile.open(where / "what!.tar", "w") as tar:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    else:
        with zipfile.ZipFile(where / "what!.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    (found,) = listed(tmp_path / "in!put")
    site = site_of(found)
    assert site.page == ("oh!no/" if kind == "folder" else "") + "a!b/page!.html"
    assert site.read(site.page.replace("page!.html", "style.css")) == b"p {}"
