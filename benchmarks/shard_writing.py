"""Shards to memory: ours against `webdataset.ShardWriter`, and against a bare sequential write.

The same samples (a page image with its text), the same target size, the same place (`/dev/shm`,
so that no disk takes part, and nobody waits for durability: there the fsync that only ours asks
for has nothing to do). Every round runs all of them, in an order drawn anew; medians are printed.
Ours does what production does: tar, XXH3 of the shard, index, fsync and rename. "from samples"
starts at `Sample` objects and includes the JSON and, for ours, the hash and index entry of each
sample; "from bytes" starts at the encoded members, for both writers alike. The bare write puts
the bytes of our finished shards down in pieces of 4 MiB, from one buffer.

Ours writes in a thread of its own: wall time is what one build waits on a machine with a core to
spare, CPU time (of both threads) what it costs one with none. On a busy machine the wall times
say little; the load is printed.

    python benchmarks/shard_writing.py
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import webdataset

from dsvl_data.sample import Image, Origin, Provenance, Sample, Text, to_json
from dsvl_data.shards.write import Encoded, encode, write_shard

ROUNDS = 7
TOTAL = 250_000_000  # bytes of images a round
TARGET = 256_000_000  # bytes of a shard: production's default
#: Mean bytes of a page: a small JPEG, a page of text as PNG, a large or scanned one.
PAGE_BYTES = (50_000, 200_000, 500_000)
CHUNK = 4 << 20


def main() -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir():
        print("no /dev/shm on this machine: the writes below go through its disk's cache")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        for mean in PAGE_BYTES:
            measure(make_samples(mean), mean, Path(folder))


def measure(samples: Sequence[Sample], mean: int, folder: Path) -> None:
    encoded = [encode(sample, 700) for sample in samples]
    written = ours(encoded, folder / "keep")
    shards = sorted((folder / "keep").glob("*.tar"))
    contents = [shard.read_bytes() for shard in shards]
    shutil.rmtree(folder / "keep")

    contestants: dict[str, Callable[[Path], object]] = {
        "bare write": lambda to: bare(contents, to),
        "dsvl from bytes": lambda to: ours(encoded, to),
        "webdataset from bytes": lambda to: theirs(encoded, to),
        "dsvl from samples": lambda to: ours((encode(s, 700) for s in samples), to),
        "webdataset from samples": lambda to: theirs_from_samples(samples, to),
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    order = random.Random(mean)
    for _ in range(ROUNDS):
        for name in order.sample(list(contestants), len(contestants)):
            write = contestants[name]
            to = folder / "round"
            to.mkdir()
            start, processor = time.perf_counter(), time.process_time()
            write(to)
            seconds[name].append((time.perf_counter() - start, time.process_time() - processor))
            shutil.rmtree(to)
    wall = {name: statistics.median(t for t, _ in times) for name, times in seconds.items()}
    cpu = {name: statistics.median(t for _, t in times) for name, times in seconds.items()}
    print(
        f"\n{len(samples):,} samples, images of {mean / 1000:.0f} KB on average, "
        f"{written / 1e6:,.0f} MB in {len(shards)} shards; medians of {ROUNDS} rounds, "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    for name in contestants:
        rate = written / 1e6 / wall[name]
        print(f"  {name:24} {rate:8,.0f} MB/s {1e9 * cpu[name] / written:8.2f} CPU seconds a GB")
    for form in ("from bytes", "from samples"):
        for measured, medians in (("wall", wall), ("CPU", cpu)):
            mine = medians[f"dsvl {form}"]
            print(
                f"  {form}, {measured}: {medians[f'webdataset {form}'] / mine:.2f} x "
                f"webdataset.ShardWriter, {medians['bare write'] / mine:.2f} x the bare write"
            )


def ours(samples: Sequence[Encoded] | Iterator[Encoded], to: Path) -> int:
    """Write shards of the target size; returns their bytes."""
    total = 0
    rest = iter(samples)
    first = next(rest, None)
    while first is not None:
        batch, size = [first], first.size
        for sample in rest:
            if size + sample.size > TARGET:
                first = sample
                break
            batch.append(sample)
            size += sample.size
        else:
            first = None
        digest, _ = write_shard(str(to / f"pages-{total:012d}.tar"), batch)
        total += digest.size
    return total


def theirs(samples: Sequence[Encoded], to: Path) -> None:
    pattern = str(to / "pages-%05d.tar")
    with webdataset.ShardWriter(pattern, maxcount=10**9, maxsize=TARGET, verbose=0) as writer:
        for sample in samples:
            record: dict[str, object] = {"__key__": sample.entry.key}
            for member, payload in zip(sample.entry.members, sample.payloads, strict=True):
                record[member.name] = payload
            writer.write(record)


def theirs_from_samples(samples: Sequence[Sample], to: Path) -> None:
    pattern = str(to / "pages-%05d.tar")
    with webdataset.ShardWriter(pattern, maxcount=10**9, maxsize=TARGET, verbose=0) as writer:
        for sample in samples:
            record: dict[str, object] = {"__key__": sample.key, "json": to_json(sample)}
            for number, image in enumerate(sample.images):
                record[f"{number}.{image.format}"] = image.data
            writer.write(record)


def bare(contents: Sequence[bytes], to: Path) -> None:
    for number, content in enumerate(contents):
        view = memoryview(content)
        with (to / f"{number}.tar").open("wb", buffering=0) as file:
            for start in range(0, len(view), CHUNK):
                file.write(view[start : start + CHUNK])


def make_samples(mean: int) -> list[Sample]:
    """Pages with images of random bytes (their sizes spread as real ones) and 3,000 characters."""
    random_ = random.Random(mean)
    text = " ".join(
        random_.choices(["page", "of", "words,", "图表", "x = y\n", "“quoted”"], k=20_000)
    )
    samples: list[Sample] = []
    total = 0
    while total < TOTAL:
        size = min(int(random_.lognormvariate(0, 0.5) * mean / 1.13), 20 * mean)
        start = random_.randrange(len(text) - 3000)
        samples.append(
            Sample(
                key=f"{random_.getrandbits(80):020x}-{len(samples):05d}",
                document=f"books:{len(samples) // 100}.epub",
                category="document_ocr",
                segments=(
                    Image(os.urandom(size), "png", 1200, 1600),
                    Text(text[start : start + 3000]),
                ),
                language="en",
                source=Origin("books", f"{len(samples) // 100}.epub", "CC-BY-4.0"),
                provenance=Provenance("ebooks", "1", {"template": "novel", "browser": "140.0"}),
                scores={"proof": 1.0},
            )
        )
        total += size
    return samples


if __name__ == "__main__":
    main()
