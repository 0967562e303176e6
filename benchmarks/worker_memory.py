"""The most memory that one worker holds, whatever it is given.

In: the two largest of the real EPUBs; a book with a chapter of 8 MB and one of 20 MB; a book of
180 MB of large PNGs; notebooks with an output of 90 and of 200 MB. Out: one line each: the peak,
in MB, of the proportional set size summed over the engine's worker process, its keeper, and all
that they start (Playwright's driver, Chromium), sampled every 50 ms; and what became of the
input. The pipelines' own limits hold, but for time: a document is stopped after `--seconds`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.rendering import real_data
from dsvl_data.engine import ledger
from dsvl_data.engine.job import Job, load_pipeline
from dsvl_data.engine.partition import make_plan
from dsvl_data.engine.parts import Segment
from dsvl_data.engine.supervise import Supervisor
from dsvl_data.pipeline import InputSpec
from dsvl_data.sandbox import proportional_bytes

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
        archive.writestr("META-INF/container.xml", _CONTAINER)
        archive.writestr("b.opf", package)
        archive.writestr("c.xhtml", page)
        for name, data in pictures.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def long_chapter(size: int = 20_000_000) -> bytes:
    """Plain prose of `size` bytes, in paragraphs of about 1 KB."""
    line = "The quick brown fox jumps over the lazy dog near the bank of the river. " * 14
    paragraphs = "".join(f"<p>{number} {line}</p>" for number in range(size // len(line)))
    return make_epub(paragraphs, {})


def large_pictures(size: int = 180_000_000) -> bytes:
    """A chapter with noisy PNGs of 2400 by 1800 that weigh `size` bytes together."""
    generator = np.random.default_rng(0)
    pictures: dict[str, bytes] = {}
    while sum(map(len, pictures.values())) < size:
        pixels = generator.integers(0, 256, (1800, 2400, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
        pictures[f"{len(pictures)}.png"] = buffer.getvalue()
    body = "".join(f'<p>Figure {n} stands below.</p><p><img src="{n}"/></p>' for n in pictures)
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


def peak(pipeline: str, path: Path, folder: str, seconds: float) -> tuple[int, str]:
    """The peak in bytes while a fresh worker converts one file, and what became of the file."""
    limits = load_pipeline(pipeline).limits.model_copy(update={"seconds": seconds})
    job = Job(
        name="memory",
        pipeline=pipeline,
        inputs=(InputSpec(path=str(path), dataset="bench"),),
        limits=limits,
    )
    with tempfile.TemporaryDirectory(dir=folder) as out:
        loaded = job.load()
        plan = make_plan(loaded, out, f"{out}/scratch")
        segment = Segment.at(out, "segment")
        with closing(Supervisor(out, out)) as supervisor, ThreadPoolExecutor(1) as thread:
            supervisor.use(loaded)
            converting = thread.submit(supervisor.convert, plan, 0, [0], segment)
            highest = 0
            while not converting.done():
                if supervisor.pid is not None:
                    highest = max(highest, proportional_bytes(supervisor.pid))
                time.sleep(0.05)
            ended = converting.result()
        if ended.failure is not None:
            return highest, f"quarantined: {ended.failure.reason}: {ended.failure.detail[:50]}"
        (row,) = ledger.read(segment.ledger).to_pylist()
        said = f"{row['samples']} samples" if row["samples"] else str(row["detail"])[:50]
        return highest, f"{row['outcome']}: {row['reason'] or ''} {said}"


def cases(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write each input; yields the pipeline and the file."""
    real = real_data()
    if real is None:
        print("no real data: set DSVL_REAL_DATA to a folder with ebooks/*.epub")
    else:
        books = sorted((real / "ebooks").glob("*.epub"), key=lambda path: path.stat().st_size)
        for path in books[-2:]:
            yield "ebooks", path
    made: tuple[tuple[str, str, Callable[[], bytes]], ...] = (
        ("notebooks", "output of 90 MB.ipynb", large_output),
        ("notebooks", "output of 200 MB.ipynb", lambda: large_output(200_000_000)),
        ("ebooks", "180 MB of PNGs.epub", large_pictures),
        ("ebooks", "chapter of 8 MB.epub", lambda: long_chapter(8_000_000)),
        ("ebooks", "chapter of 20 MB.epub", long_chapter),
    )
    for pipeline, name, make in made:
        path = folder / name
        path.write_bytes(make())
        yield pipeline, path
        path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20, help="time limit of each input")
    arguments = parser.parse_args()
    worst = 0
    with tempfile.TemporaryDirectory(prefix="dsvl-bench-") as folder:
        for pipeline, path in cases(Path(folder)):
            where = f"pipelines.{pipeline}:PIPELINE"
            highest, became = peak(where, path, folder, arguments.seconds)
            worst = max(worst, highest)
            print(f"{path.name:24} {highest / 1e6:6.0f} MB  {became}", flush=True)
    own = proportional_bytes(os.getpid())
    print(
        f"most: {worst / 1e6:.0f} MB (asked: {TARGET_MB} MB): worker, its keeper, Playwright's "
        f"driver and Chromium.\nNot counted: who supervises it, here {own / 1e6:.0f} MB."
    )


if __name__ == "__main__":
    main()
