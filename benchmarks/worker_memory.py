"""The most memory that one worker holds, whatever it is given.

In: the real EPUBs; a book with a chapter of 20 MB; a book of 50 large PNGs; a notebook with an
output of 90 MB. Out: one line each: the peak, in MB, of the proportional set size summed over a
fresh worker process and all that it started (driver and browser), sampled every 50 ms. Each
input is stopped after `--seconds`; a line says so where that happened.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.rendering import real_data
from dsvl_data.engine.job import Job
from dsvl_data.outcome import DocumentError
from dsvl_data.pipeline import Document, DocumentRef
from dsvl_data.sandbox import kill_descendants, proportional_bytes

TARGET_MB = 1500
_CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
    '<rootfile full-path="b.opf" media-type="application/oebps-package+xml"/></rootfiles>'
    "</container>"
)


def make_epub(body: str, pictures: dict[str, bytes]) -> bytes:
    """A book of one chapter."""
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata/><manifest>'
        '<item id="c" href="c.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="c"/></spine></package>'
    )
    page = f'<html xmlns="http://www.w3.org/1999/xhtml"><head/><body>{body}</body></html>'
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        members = {"META-INF/container.xml": _CONTAINER, "b.opf": package, "c.xhtml": page}
        for name, data in {**members, **pictures}.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def long_chapter(size: int = 20_000_000) -> bytes:
    """Plain prose of `size` bytes, in paragraphs of about 1 KB."""
    line = "The quick brown fox jumps over the lazy dog near the bank of the river. " * 14
    paragraphs = "".join(f"<p>{number} {line}</p>" for number in range(size // len(line)))
    return make_epub(paragraphs, {})


def large_pictures(count: int = 50) -> bytes:
    """A chapter with `count` noisy PNGs of 2400 by 1800."""
    generator = np.random.default_rng(0)
    pictures = {}
    for number in range(count):
        pixels = generator.integers(0, 64, (1800, 2400, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
        pictures[f"{number}.png"] = buffer.getvalue()
    body = "".join(f'<p>Figure {n} stands below.</p><p><img src="{n}.png"/></p>' for n in range(50))
    return make_epub(body, pictures)


def large_output(size: int = 90_000_000) -> bytes:
    """A notebook whose one cell has an HTML output of `size` bytes."""
    source = "\n".join(f"x{n} = {n}" for n in range(8))
    data = {"text/html": "<div>" + "x " * (size // 2) + "</div>"}
    output = {"output_type": "display_data", "metadata": {}, "data": data}
    cell = {
        "cell_type": "code", "metadata": {}, "execution_count": 1, "source": source,
        "outputs": [output],
    }  # fmt: skip
    return json.dumps(
        {"nbformat": 4, "nbformat_minor": 2, "metadata": {}, "cells": [cell]}
    ).encode()


def work(pipeline: str, path: str) -> None:
    """Convert one file as a worker does, and let the samples go."""
    loaded = Job(name="memory", pipeline=pipeline, inputs=()).load()
    converter = loaded.pipeline.converter(loaded.options)
    data = Path(path).read_bytes()
    ref = DocumentRef("bench", Path(path).name, "unknown", path, len(data))
    try:
        for _ in converter([Document(ref, lambda: data, loaded.pipeline.name, "1")]):
            pass
    except DocumentError as error:
        print(f"  quarantined: {error.reason}: {error.detail[:60]}")
    converter.close()


def peak(pipeline: str, path: Path, seconds: float) -> tuple[float, bool]:
    """The peak in MB over a conversion, and whether it was stopped."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=(pipeline, str(path)))
    process.start()
    pid, highest, end = process.pid or 0, 0, time.monotonic() + seconds
    while process.is_alive() and time.monotonic() < end:
        highest = max(highest, proportional_bytes(pid))
        time.sleep(0.05)
    stopped = process.is_alive()
    kill_descendants(pid)
    process.kill()
    process.join()
    assert stopped or process.exitcode == 0, f"the worker ended with {process.exitcode}"
    return highest / 1e6, stopped


def cases(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write each input; yields the pipeline and the file."""
    real = real_data()
    if real is None:
        print("worker memory: no real data; set DSVL_REAL_DATA to a folder with ebooks/*.epub")
    else:
        for path in sorted((real / "ebooks").glob("*.epub")):
            yield "ebooks", path
    for pipeline, name, make in (
        ("notebooks", "output of 90 MB.ipynb", large_output),
        ("ebooks", "50 large PNGs.epub", large_pictures),
        ("ebooks", "chapter of 20 MB.epub", long_chapter),
    ):
        path = folder / name
        path.write_bytes(make())
        yield pipeline, path
        path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="limit of each input")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dsvl-bench-") as folder:
        for pipeline, path in cases(Path(folder)):
            name = f"pipelines.{pipeline}:PIPELINE"
            highest, stopped = peak(name, path, arguments.seconds)
            note = f"  (stopped after {arguments.seconds:g} s)" if stopped else ""
            print(f"{path.name:24} {highest:7.0f} MB (at most {TARGET_MB}){note}", flush=True)


if __name__ == "__main__":
    main()
