"""The whole e-book pipeline through Ray against the bare renderer, one worker to one process.

In: the EPUBs of the real data, several copies of each under different names. Out: pages a second
of both sides and their ratio. The bare renderer prints chapters that are opened and cleaned
beforehand. The pipeline reads, opens, cleans, tells languages, prints, proves, and writes parts
and ledger; every book is a partition. Start-up is not counted on either side: the pipeline's
clock runs from the first finished book to the last, the renderer's from the second chapter.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.rendering import Job as Chapter
from benchmarks.rendering import load_jobs, real_data, time_ours
from dsvl_data.engine.events import Event, PartDone
from dsvl_data.engine.run import Job, run
from dsvl_data.pipeline import InputSpec
from dsvl_data.render.printer import Printer

TARGET = 0.7


def bare(chapters: list[Chapter]) -> float:
    """Pages a second of one renderer in this process."""
    printer = Printer()
    try:
        time_ours(printer, chapters[:2])
        pages, seconds = time_ours(printer, chapters)
    finally:
        printer.close()
    return pages / seconds


def pipeline(books: Path, workers: int) -> float:
    """Pages a second of the pipeline, after the first book."""
    finished: list[tuple[float, int]] = []

    def note(event: Event) -> None:
        if isinstance(event, PartDone):
            finished.append((time.perf_counter(), event.tally.samples))

    job = Job(
        name="ebooks",
        pipeline="pipelines.ebooks:PIPELINE",
        inputs=(InputSpec(path=str(books), dataset="bench"),),
        options={},
        partition_size=1,
    )
    with tempfile.TemporaryDirectory(prefix="dsvl-bench-") as out:
        result = run([job], out, workers=workers, on_event=note)
    assert result.ok, result
    pages = sum(samples for _, samples in finished[1:])
    return pages / (finished[-1][0] - finished[0][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--copies", type=int, default=2, help="copies of each book")
    arguments = parser.parse_args()
    folder = real_data()
    if folder is None:
        print("ebooks pipeline: no real data; set DSVL_REAL_DATA to a folder with ebooks/*.epub")
        return
    chapters = load_jobs(folder)
    alone, whole = [], []
    with tempfile.TemporaryDirectory(prefix="dsvl-books-") as books:
        for path in sorted((folder / "ebooks").glob("*.epub")):
            for copy in range(arguments.copies):
                Path(books, f"{copy}-{path.name}").write_bytes(path.read_bytes())
        for _ in range(arguments.rounds):
            alone.append(bare(chapters))
            whole.append(pipeline(Path(books), workers=1))
    ratio = statistics.median(whole) / statistics.median(alone)
    print(f"bare renderer, one process   {statistics.median(alone):6.1f} pages/s")
    print(f"ebooks through Ray, 1 worker {statistics.median(whole):6.1f} pages/s")
    print(f"  ratio {ratio:.2f} x (asked: {TARGET} x)")


if __name__ == "__main__":
    main()
