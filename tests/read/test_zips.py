"""Members of zips: each as often as it is asked for, and none that leads out."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import pytest

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read import zips
from dsvl_data.read.zips import ZipArchive


def packed(files: Mapping[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return sink.getvalue()


def test_a_member_may_be_read_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MAX_TOTAL_BYTES", 1000)
    archive = ZipArchive(packed({"logo.png": b"x" * 900, "page.html": b"y"}))
    for _ in range(5):
        assert archive.read("logo.png") == b"x" * 900
    assert archive.read("page.html") == b"y"


UNSAFE = ["../up.html", "/etc/up.html", "a/../../up.html", "C:/up.html", "a\\up.html"]


@pytest.mark.parametrize("name", UNSAFE)
def test_one_name_that_leads_out_costs_that_member_where_the_caller_says_so(name: str) -> None:
    data = packed({"a.html": b"sound", name: b"evil", "../folder/": b""})
    archive = ZipArchive(data, whole=False)
    assert archive.names == ["a.html"]
    assert name not in archive
    assert archive.read("a.html") == b"sound"
    with pytest.raises(DocumentError) as error:
        archive.read(name)
    assert error.value.reason is Reason.UNSAFE_PATH
    with pytest.raises(DocumentError) as error:
        ZipArchive(data)
    assert error.value.reason is Reason.UNSAFE_PATH


def test_a_bomb_under_an_unsafe_name_is_a_bomb() -> None:
    with pytest.raises(DocumentError) as error:
        ZipArchive(packed({"a.html": b"sound", "../bomb": b"\0" * 50_000_000}), whole=False)
    assert error.value.reason is Reason.ARCHIVE_BOMB
