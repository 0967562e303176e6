"""The loader: ours against webdataset, litdata, mosaicml-streaming and a raw read, in one run.

Undecoded: whole samples, as bytes. Ours in the order of a plan (drawn, shuffled over windows of
eight shards and packed), once with the planning counted and once without; webdataset, and the
peers of loader_peers.py in a Python of their own (`DSVL_PEERS`), from first to last without
shuffling, which is their fastest, and shuffled. The raw read puts the same files through one
buffer of 1 MiB. Decoded: page images as JPEG to RGB squares of one size, ours by `encode`, with
and without `draft`, webdataset with PIL and the same resize.

CPU seconds of one process; rounds in an order drawn anew; medians. All in `/dev/shm`.

    uv venv PEERS; uv pip install --python PEERS/bin/python webdataset litdata mosaicml-streaming
    PYTHONPATH=. DSVL_PEERS=PEERS/bin/python python benchmarks/loader.py
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import webdataset
from PIL import Image as Pillow

from dsvl_data.sample import Image, Origin, Provenance, Sample, Text
from dsvl_data.shards import manifest as manifests
from dsvl_data.shards.plan import ShardSettings
from dsvl_data.shards.write import encode as encode_sample
from dsvl_data.shards.write import write_shard
from model.config import preset
from model.images import padding_colour, place
from model.processor import Processor
from model.tokenizer import ByteTokenizer
from train.corpus import Corpus, Counter, Reader
from train.encode import encode
from train.plan import Planner
from train.pool import PlanSettings

#: Name, samples, mean bytes of an image, samples a shard.
SETS = (
    ("text", 6_000, 0, 750),
    ("small pages", 3_000, 20_000, 375),
    ("pages", 1_000, 120_000, 125),
)
PAGES = ((1240, 1754), (1654, 2339), (2480, 3508))
SIZES = (384, 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        for name, number, size, each in SETS:
            undecoded(name, Path(folder) / name.replace(" ", "-"), number, size, each, rounds)
        decoded(rounds)


def undecoded(name: str, folder: Path, number: int, size: int, each: int, rounds: int) -> None:
    category = "document_ocr" if size else "text"
    build(folder, category, make_samples(number, size, category), each)
    counter = Counter(
        "a quarter", lambda r: 30 + sum(len(s.get("text", "")) for s in r["segments"]) // 4
    )
    corpus = Corpus([str(folder)], counter, folder / "lengths")
    corpus.measure()
    paths = [corpus.shard(0, shard).path for shard in range(len(corpus.counts(category)))]
    settings = PlanSettings(rows=64, tokens=4096, shares={category: 1.0})
    Planner(corpus, settings).next()  # compiles

    def slots() -> Iterator[tuple[str, int]]:
        planner, given = Planner(corpus, settings), 0
        while given < number:
            for row in planner.next().rows:
                for slot in row:
                    yield paths[slot.shard], slot.row
                given += len(row)

    ready = list(slots())

    def fetch(wanted: Iterator[tuple[str, int]]) -> int:
        reader = Reader()
        count = sum(1 for path, row in wanted if reader.fetch(path, row))
        reader.close()
        return count

    def raw() -> int:
        buffer = bytearray(1 << 20)
        for path in paths:
            with Path(path).open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass
        return number

    def wds(shuffle: int) -> int:
        dataset = webdataset.WebDataset(paths, shardshuffle=False)
        return sum(1 for _ in (dataset.shuffle(shuffle) if shuffle else dataset))

    run: dict[str, Callable[[], tuple[float, int]]] = {
        "dsvl, plan and fetch": lambda: timed(lambda: fetch(slots())),
        "dsvl, fetch": lambda: timed(lambda: fetch(iter(ready))),
        "raw read": lambda: timed(raw),
        "webdataset": lambda: timed(lambda: wds(0)),
        "webdataset, shuffled": lambda: timed(lambda: wds(1000)),
    }
    peers = Peers(folder)
    run |= {peer: lambda peer=peer: peers.run(peer) for peer in peers.names}  # type: ignore[misc]
    rates = compete(run, rounds)
    peers.close()
    total = sum(Path(path).stat().st_size for path in paths)
    print(f"\nundecoded, {name}: {number} samples of {total / number / 1000:.1f} KB")
    show(rates, ("dsvl, plan and fetch", "dsvl, fetch"))


def decoded(rounds: int) -> None:
    random_ = np.random.default_rng(0)
    for width, height in PAGES:
        # Blocks of a few pixels, with edges as sharp as print has.
        blocks = random_.integers(0, 2, (height // 6 + 1, width // 4 + 1, 1), np.uint8) * 255
        pixels = np.kron(blocks, np.ones((6, 4, 3), np.uint8))[:height, :width]
        sink = io.BytesIO()
        Pillow.fromarray(pixels).save(sink, "JPEG", quality=85)
        with tempfile.TemporaryDirectory() as folder:
            sample = Sample(
                "k", "d:1", "document_ocr", (Image(sink.getvalue(), "jpg", width, height),), "en",
                Origin("b", "1", "CC0-1.0"), Provenance("ebooks", "1", {}),
            )  # fmt: skip
            samples = [
                Sample(f"k{i}", *[getattr(sample, f) for f in list(Sample.__slots__)[1:]])
                for i in range(12)
            ]
            build(Path(folder), "document_ocr", iter(samples), 12)
            path = str(next(Path(folder).glob("shards/*.tar")))
            for size in SIZES:
                processor = tiny(size)
                mean = processor.config.mean

                def ours(draft: bool, processor: Processor = processor, path: str = path) -> int:
                    reader = Reader()
                    for row in range(12):
                        encode(*reader.sample(path, row), processor, draft=draft)
                    reader.close()
                    return 12

                def theirs(
                    size: int = size, mean: tuple[float, ...] = mean, path: str = path
                ) -> int:
                    def square(decoded: dict[str, object]) -> torch.Tensor:
                        image = decoded["0.jpg"]
                        assert isinstance(image, Pillow.Image)
                        at = place(*image.size, size)
                        out = Pillow.new("RGB", (size, size), padding_colour(mean))
                        scaled = image.resize((at.width, at.height), Pillow.Resampling.BICUBIC)
                        out.paste(scaled, (at.left, at.top))
                        return torch.from_numpy(np.array(out)).permute(2, 0, 1).contiguous()

                    dataset = webdataset.WebDataset([path], shardshuffle=False)
                    return sum(1 for _ in dataset.decode("pilrgb").map(square))

                rates = compete(
                    {
                        "dsvl": lambda: timed(lambda: ours(False)),
                        "dsvl, draft": lambda: timed(lambda: ours(True)),
                        "webdataset and PIL": lambda: timed(theirs),
                    },
                    rounds,
                )
                print(f"\ndecoded, JPEG of {width} x {height} to {size} x {size}")
                show(rates, ("dsvl", "dsvl, draft"))


def tiny(size: int) -> Processor:
    """The tiny model's processor, at an image size of the paper's towers."""
    processor = Processor(preset("tiny"), ByteTokenizer())

    class Sized:
        image_size, mean = size, processor.config.mean
        image_tokens, tokens = processor.config.image_tokens, processor.config.tokens

    processor.config = Sized()  # type: ignore[assignment]
    return processor


class Peers:
    """The contestants of loader_peers.py."""

    def __init__(self, folder: Path) -> None:
        python = os.environ.get("DSVL_PEERS")
        self.names: list[str] = []
        if python is None:
            print("no DSVL_PEERS: litdata and mosaicml-streaming are left out")
            return
        script = Path(__file__).with_name("loader_peers.py")
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [python, script, folder], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        self.names = json.loads(self._line())

    def run(self, name: str) -> tuple[float, int]:
        assert self._process.stdin is not None
        self._process.stdin.write(name + "\n")
        self._process.stdin.flush()
        seconds, count = json.loads(self._line())
        return seconds, count

    def close(self) -> None:
        if self.names:
            self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def timed(run: Callable[[], int]) -> tuple[float, int]:
    start = time.process_time()
    count = run()
    return time.process_time() - start, count


def compete(run: dict[str, Callable[[], tuple[float, int]]], rounds: int) -> dict[str, float]:
    """Medians of samples a CPU second."""
    rates: dict[str, list[float]] = {name: [] for name in run}
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(list(run), len(run)):
            seconds, count = run[name]()
            rates[name].append(count / seconds)
    return {name: statistics.median(each) for name, each in rates.items()}


def show(rates: dict[str, float], mine: tuple[str, ...]) -> None:
    for name, rate in rates.items():
        ratios = "" if name in mine else ", ".join(f"{rates[m] / rate:.2f} x" for m in mine)
        print(f"  {name:30} {rate:12,.0f} a CPU second  {ratios}")


def build(folder: Path, category: str, samples: Iterator[Sample], each: int) -> None:
    """Write shards and their manifest."""
    encoded = [encode_sample(sample, 0) for sample in samples]
    records, totals, members = [], [], set()
    for start in range(0, len(encoded), each):
        path = f"shards/{category}-{start:06d}.tar"
        digest, entries = write_shard(str(folder / path), encoded[start : start + each])
        totals.append(manifests.breakdown(entries))
        records.append(manifests.shard_record(path, category, digest, totals[-1]))
        members |= {member.name for entry in entries for member in entry.members}
    manifest = manifests.make(
        records, manifests.merge(totals), {category: members},
        recipe={}, settings=ShardSettings(), tokenizer="none",
    )  # fmt: skip
    (folder / manifests.NAME).write_bytes(manifests.encode_manifest(manifest))


def make_samples(number: int, size: int, category: str) -> Iterator[Sample]:
    """Texts of some 1,500 characters; pages with images of random bytes."""
    random_ = random.Random(1)
    text = " ".join(random_.choices(["page", "of", "words,", "图表", "x = y\n"], k=20_000))
    for i in range(number):
        start, length = random_.randrange(60_000), int(random_.lognormvariate(7.1, 0.7))
        words = Text(text[start : start + min(length, 12_000)])
        data = os.urandom(int(size * random_.uniform(0.5, 1.5)))
        yield Sample(
            key=f"{random_.getrandbits(80):020x}",
            document=f"books:{i // 100}",
            category=category,
            segments=(Image(data, "jpg", 1240, 1754), words) if size else (words,),
            language="en",
            source=Origin("books", str(i), "CC-BY-4.0"),
            provenance=Provenance("ebooks", "1", {"template": "novel"}),
        )


if __name__ == "__main__":
    main()
