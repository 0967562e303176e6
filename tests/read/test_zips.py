"""Members of zips: each as often as it is asked for, and none that leads out."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import pytest

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
