"""What the engine costs a row: through Ray, supervisor and worker process, against a plain loop.

In: one file of random bytes; a document is a range of it. Out, per kind of row (a 100 KB image,
a 1 KB text): microseconds a row of a plain loop that reads, converts and writes Parquet with
pyarrow, of the engine, and their difference. The target is at most 50 microseconds more.

Both write the same samples with the same Parquet settings to a folder in memory, so that the
disk's speed is no part of it. The engine's start-up is not counted: its time runs from the
first finished partition to the last.

    python -m benchmarks.engine_overhead [rounds]
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from dsvl_data import storage
from dsvl_data.engine.events import Event, PartDone
from dsvl_data.engine.job import LoadedJob
from dsvl_data.engine.parts import GROUP_BYTES, GROUP_ROWS, parquet_settings
from dsvl_data.engine.run import Job, run
from dsvl_data.pipeline import Document, DocumentRef, InputSpec, Limits, Pipeline, Settings
from dsvl_data.sample import SCHEMA, Image, Sample, Text, to_batch

TARGET = 50.0
#: Name, bytes of a document, documents in a partition, partitions.
KINDS = (("image of 100 KB", 100_000, 1000, 6), ("text of 1 KB", 1000, 10_000, 6))
_FILE_BYTES = 100_000_000


class Options(Settings):
    """How many bytes a document has, and how many there are."""

    size: int
    count: int


def source(inputs: Sequence[InputSpec], options: Options) -> Iterator[DocumentRef]:
    """List ranges of the one input file."""
    (spec,) = inputs
    slots = _FILE_BYTES // options.size
    for n in range(options.count):
        offset = n % slots * options.size
        yield DocumentRef(spec.dataset, str(n), spec.licence, spec.path, options.size, offset)


def read(ref: DocumentRef) -> bytes:
    """Read a range of a file."""
    return storage.read_bytes(ref.path, ref.offset, ref.size)


class Converter:
    """Makes one sample of a document: an image, or a text when it is small."""

    def __init__(self, options: Options) -> None:
        pass

    def __call__(self, documents: Sequence[Document]) -> Iterator[Sample]:
        for document in documents:
            if document.ref.size > 10_000:
                segment: Image | Text = Image(document.data, "png", 800, 600)
            else:
                segment = Text(document.data.decode())
            yield document.sample(0, category="text", segments=(segment,), language="en")

    def close(self) -> None:
        """Nothing to give back."""


PIPELINE = Pipeline("bench", "1", Options, source, read, Converter, limits=Limits())


def plain(loaded: LoadedJob, folder: str) -> float:
    """Convert everything in a plain loop; microseconds a row."""
    pipeline, size = loaded.pipeline, loaded.partition_size
    converter = pipeline.converter(loaded.options)
    refs = list(pipeline.source(loaded.job.inputs, loaded.options))
    started = time.perf_counter()
    for start in range(0, len(refs), size):
        path = f"{folder}/part-{start}.parquet"
        writer = pq.ParquetWriter(path, SCHEMA, **parquet_settings())
        samples: list[Sample] = []
        held = 0
        for ref in refs[start : start + size]:
            document = Document(ref, lambda ref=ref: pipeline.reader(ref), "bench", "1")  # type: ignore[misc]
            samples.extend(converter([document]))  # type: ignore[arg-type]
            held += ref.size
            if held >= GROUP_BYTES or len(samples) >= GROUP_ROWS:
                writer.write_batch(to_batch(samples))
                samples, held = [], 0
        if samples:
            writer.write_batch(to_batch(samples))
        writer.close()
    return (time.perf_counter() - started) / len(refs) * 1e6


def engine(job: Job, out: str) -> float:
    """Convert everything through the engine with one worker; microseconds a row after the start."""
    finished: list[tuple[float, int]] = []

    def note(event: Event) -> None:
        if isinstance(event, PartDone):
            finished.append((time.perf_counter(), event.tally.documents))

    result = run([job], out, workers=1, on_event=note)
    assert result.ok, result
    rows = sum(documents for _, documents in finished[1:])
    return (finished[-1][0] - finished[0][0]) / rows * 1e6


def main(rounds: int = 5) -> None:
    """Run both sides in turn and print medians."""
    import ray

    ray.init(
        address="local",  # not whatever cluster somebody has started on this machine
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
    )
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    worst = 0.0
    with tempfile.TemporaryDirectory(prefix="dsvl-bench-", dir=base) as folder:
        data = Path(folder, "data.bin")
        data.write_bytes(os.urandom(_FILE_BYTES // 2).hex().encode())
        for kind, size, partition_size, partitions in KINDS:
            job = Job(
                name="bench",
                pipeline="benchmarks.engine_overhead:PIPELINE",
                inputs=(InputSpec(path=str(data), dataset="bench"),),
                options={"size": size, "count": partition_size * partitions},
                partition_size=partition_size,
            )
            loops, engines = [], []
            for number in range(rounds):
                target = Path(folder, f"out-{number}")
                target.mkdir()
                loops.append(plain(job.load(), str(target)))
                shutil.rmtree(target)
                engines.append(engine(job, str(target)))
                shutil.rmtree(target)
            loop, whole = statistics.median(loops), statistics.median(engines)
            worst = max(worst, whole - loop)
            print(
                f"{kind}: plain loop {loop:.1f} us a row, engine {whole:.1f} us, "
                f"overhead {whole - loop:+.1f} us (target {TARGET:g}), ratio {whole / loop:.2f}"
            )
    ray.shutdown()
    print(f"worst overhead {worst:.1f} us: {'reached' if worst <= TARGET else 'NOT reached'}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
