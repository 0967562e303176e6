"""Documents that mean harm, or are merely broken, each beside sound neighbours of its kind.

Used by `tests/test_hostile.py`. Every function writes one file; nothing here is ever opened
by a library that could act on it.
"""

from __future__ import annotations

import base64
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw

_CONTAINER = """<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>"""

PARAGRAPH = (
    "The tide came in twice a day and took the measure of the harbour wall. "
    "Nobody had written it down before, so she began with a notebook and a stick. "
)


def epub(
    path: Path,
    body: str = "",
    *,
    chapter: str | None = None,
    extra: Mapping[str, bytes] | None = None,
    container: str = _CONTAINER,
) -> None:
    """Write a book of one chapter; `chapter` replaces the whole XHTML file."""
    text = f"<h1>Tides</h1><p>{PARAGRAPH * 6}</p>{body}<p>{PARAGRAPH * 6}</p>"
    page = chapter or (
        '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml">'
        f"<head><title>t</title></head><body>{text}</body></html>"
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="i">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Tides</dc:title>'
        '<dc:language>en</dc:language><dc:identifier id="i">x</dc:identifier></metadata>'
        '<manifest><item id="c" href="c.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="c"/></spine></package>'
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("book.opf", package)
        archive.writestr("c.xhtml", page)
        for name, data in (extra or {}).items():
            archive.writestr(name, data, zipfile.ZIP_DEFLATED)


def truncated_epub(path: Path) -> None:
    """Write the first two thirds of a book."""
    epub(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def zip_bomb(path: Path) -> None:
    """Write a book with a member that inflates a thousandfold, to 400 MB."""
    zeros = b"\0" * (1 << 20)
    epub(path)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("bomb.css", "w", force_zip64=True) as member,
    ):
        for _ in range(400):
            member.write(zeros)


def entities_epub(path: Path, target: str) -> None:
    """Write a book whose container reads a file through an external entity."""
    declaration = f'<?xml version="1.0"?><!DOCTYPE c [<!ENTITY x SYSTEM "{target}">]>'
    epub(path, container=declaration + _CONTAINER.split("?>", 1)[1].replace("book.opf", "&x;"))


def notebook(path: Path, *outputs: Mapping[str, object], lines: int = 6) -> None:
    """Write a notebook of one code cell with these outputs (mime bundles)."""
    source = "import numpy as np\n" + "".join(f"y{i} = np.arange({i + 3})\n" for i in range(lines))
    cell = {
        "cell_type": "code",
        "execution_count": 1,
        "metadata": {},
        "source": source,
        "outputs": [
            {"output_type": "display_data", "metadata": {}, "data": dict(output)}
            for output in outputs
        ],
    }
    cells = [cell] if outputs else []
    document = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}
    path.write_text(json.dumps(document), encoding="utf-8")


def figure() -> dict[str, object]:
    """Return the mime bundle of an honest little chart."""
    picture = Image.new("RGB", (320, 240), "white")
    draw = ImageDraw.Draw(picture)
    for i in range(12):
        draw.rectangle((20 + 24 * i, 220 - 15 * i, 38 + 24 * i, 220), fill=(40, 20 * i, 160))
    draw.line((10, 10, 10, 225, 310, 225), fill="black", width=2)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return {"image/png": base64.b64encode(buffer.getvalue()).decode()}


def giant_png() -> bytes:
    """Return a valid PNG of 50,000 x 50,000 black pixels in a few megabytes at most."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    side = 50_000
    row = b"\0" * (1 + (side + 7) // 8)
    compressor = zlib.compressobj(9)
    rows = b"".join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def huge_output(path: Path, megabytes: int = 200) -> None:
    """Write a notebook with one output of this size, without holding it in memory."""
    with path.open("w", encoding="utf-8") as file:
        file.write(
            '{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [{"cell_type": "code",'
            '"execution_count": 1, "metadata": {}, "source": "a\\nb\\nc\\nd\\ne\\nf",'
            '"outputs": [{"output_type": "display_data", "metadata": {}, "data": {"text/html": "'
        )
        block = "A" * (1 << 20)
        for _ in range(megabytes):
            file.write(block)
        file.write('"}}]}]}')


def questions(path: Path, *lines: str) -> None:
    """Write JSON lines as they are given."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def question(number: int, **changes: object) -> str:
    """Return one sound question as a JSON line, with some fields changed."""
    record: dict[str, object] = {
        "id": f"q{number}",
        "subject": "mathematics",
        "grade": "5",
        "language": "en",
        "stem": f"A basket holds {number + 3} apples and {number + 5} pears. How many is that?",
        "options": [str(2 * number + 7), str(2 * number + 8), str(2 * number + 9), "none"],
        "answer": "B",
        "solution": f"Add them: {2 * number + 8}.",
        "images": [],
    }
    return json.dumps(record | changes)
