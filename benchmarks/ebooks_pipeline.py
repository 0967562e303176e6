"""The whole e-book pipeline through Ray against the bare renderer, one worker to one process.

In: the EPUBs of the real data. Out: pages a second of both sides, side by side in each round,
and the ratio of their medians. The bare renderer prints and proves chapters that were opened and
cleaned beforehand. The pipeline reads, opens, cleans, tells languages, prints, proves, and writes
parts and ledger; every book is a partition. Start-up is on neither side: the renderer has
printed two chapters before its clock starts, and the pipeline's clock starts when a small book
of its own, the first of the input, is done.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.rendering import Job as Chapter
from benchmarks.rendering import load_jobs, real_data, time_ours
from benchmarks.worker_memory import make_epub
from dsvl_data.engine.cluster import session
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


def pipeline(books: Path) -> float:
    """Pages a second of the pipeline with one worker, after the first, small book."""
    finished: list[tuple[float, int]] = []

    def note(event: Event) -> None:
        if isinstance(event, PartDone):
            finished.append((time.perf_counter(), event.tally.samples))

    job = Job(
        name="ebooks",
        pipeline="pipelines.ebooks:PIPELINE",
        inputs=(InputSpec(path=str(books), dataset="bench"),),
        partition_size=1,
    )
    with tempfile.TemporaryDirectory(prefix="dsvl-bench-") as out:
        result = run([job], out, workers=1, on_event=note)
    assert result.ok, result
    pages = sum(samples for _, samples in finished[1:])
    return pages / (finished[-1][0] - finished[0][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=150, help="begin no round after so long")
    arguments = parser.parse_args()
    started = time.monotonic()
    folder = real_data()
    if folder is None:
        print("ebooks pipeline: no real data; set DSVL_REAL_DATA to a folder with ebooks/*.epub")
        return
    chapters = load_jobs(folder)
    alone: list[float] = []
    whole: list[float] = []
    longest = 0.0
    with tempfile.TemporaryDirectory(prefix="dsvl-books-") as books, session(()):
        Path(books, "0.epub").write_bytes(make_epub("<p>Some words to begin with.</p>" * 9, {}))
        for path in sorted((folder / "ebooks").glob("*.epub")):
            shutil.copyfile(path, Path(books, path.name))
        for _ in range(arguments.rounds):
            begun = time.monotonic()
            if begun - started + longest > arguments.seconds and alone:
                break
            alone.append(bare(chapters))
            whole.append(pipeline(Path(books)))
            longest = max(longest, time.monotonic() - begun)
    ratio = statistics.median(whole) / statistics.median(alone)
    print(f"ebooks pipeline: {len(chapters)} chapters, {len(alone)} rounds")
    print(f"  bare renderer, one process   {statistics.median(alone):6.1f} pages/s  {_list(alone)}")
    print(f"  ebooks through Ray, 1 worker {statistics.median(whole):6.1f} pages/s  {_list(whole)}")
    print(f"    ratio {ratio:.2f} x (asked: {TARGET} x)")


def _list(rates: list[float]) -> str:
    return " ".join(f"{rate:.1f}" for rate in rates)


if __name__ == "__main__":
    main()
