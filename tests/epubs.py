"""Small EPUBs for tests, made on the spot, sound ones and hostile ones."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

CONTAINER = (
    '<?xml version="1.0"?><container version="1.0" '
    'xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile '
    'full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles>'
    "</container>"
)
PROSE = (
    "<p>The maintainer of a package must make sure that every file in it carries a statement of "
    "copyright, and that the licence lets others use, change and pass on what they were given.</p>"
)


def xhtml(body: str, head: str = "", attributes: str = "") -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html '
        'xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" '
        f"{attributes}><head><title>t</title>{head}</head><body>{body}</body></html>"
    )


def opf(
    chapters: Sequence[str],
    *,
    metadata: str = "",
    manifest: str = "",
    spine: str | None = None,
    progression: str = "",
) -> str:
    items = "".join(
        f'<item id="c{i}" href="{name}" media-type="application/xhtml+xml"/>'
        for i, name in enumerate(chapters)
    )
    refs = "".join(f'<itemref idref="c{i}"/>' for i in range(len(chapters)))
    return (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>A book</dc:title>'
        f"<dc:language>en</dc:language>{metadata}</metadata><manifest>{items}{manifest}</manifest>"
        f"<spine {progression}>{refs if spine is None else spine}</spine></package>"
    )


def make_epub(
    chapters: Mapping[str, str | bytes],
    *,
    files: Mapping[str, str | bytes] | None = None,
    package: str | None = None,
    container: str = CONTAINER,
    **options: str,
) -> bytes:
    """An EPUB whose `chapters` (below OEBPS) are the spine; a chapter without `<html` is a body."""
    members: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": container,
        "OEBPS/content.opf": package or opf(list(chapters), **options),
    }
    for name, content in chapters.items():
        whole = isinstance(content, bytes) or "<html" in content
        members[f"OEBPS/{name}"] = content if whole else xhtml(str(content))
    members.update(files or {})
    return make_zip(members)


def make_zip(members: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
