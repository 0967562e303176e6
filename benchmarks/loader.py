"""The loader: ours against webdataset, litdata, mosaicml-streaming and a raw read, in one run.

Undecoded: whole samples, each member's bytes by its name; of every 4 KiB of them one byte is looked
at, by everybody alike, since a view of a mapped file is not yet read. Ours comes in the order of a
plan (drawn, shuffled over windows of eight shards and packed), by micro-batches of four rows of
4,096 tokens, once with the planning counted and once without; webdataset, and the peers of
loader_peers.py in a Python of their own (`DSVL_PEERS`), come from first to last without shuffling,
which is their fastest, and shuffled. The raw read puts the same files through one buffer of 1 MiB.
Decoded: page images as JPEG and PNG to RGB squares of one size, ours by `encode`, with and without
`draft`, webdataset with PIL and the same resize.

CPU seconds of one process; rounds in an order drawn anew; medians. The files lie on a disk (where
`TMPDIR` says) and have just been written, so they are in memory. `--only` runs one part.

    uv venv PEERS; uv pip install --python PEERS/bin/python webdataset litdata mosaicml-streaming
    PYTHONPATH=. DSVL_PEERS=PEERS/bin/python python benchmarks/loader.py
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from dsvl_data.sample import Image, ImageFormat, Origin, Provenance, Sample, Text
from dsvl_data.shards import manifest as manifests
from dsvl_data.shards.plan import ShardSettings
from dsvl_data.shards.write import encode as encode_sample
from dsvl_data.shards.write import write_shard
from model.config import preset
from model.images import padding_colour, place
from model.processor import Processor
from model.tokenizer import ByteTokenizer
from train.corpus import Corpus, Counter
from train.encode import encode
from train.plan import Planner
from train.pool import PlanSettings
from train.reader import Reader

#: Name, samples, mean bytes of an image, samples a shard.
SETS = (
    ("text", 40_000, 0, 5_000),
    ("small pages", 8_000, 20_000, 1_000),
    ("pages", 4_000, 120_000, 500),
)
#: Tokens and rows of a micro-batch, and what an image costs.
ROW, MICRO, IMAGE = 4096, 4, 576
PAGES = ((1240, 1754), (1654, 2339), (2480, 3508))
SIZES = (384, 1024)
FORMATS: tuple[ImageFormat, ...] = ("jpg", "png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["undecoded", "decoded"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.only != "decoded":
        for name, number, size, each in SETS:
            with tempfile.TemporaryDirectory() as folder:
                undecoded(name, Path(folder), number, size, each, given.rounds)
    if given.only != "undecoded":
        decoded(given.rounds)


def undecoded(name: str, folder: Path, number: int, size: int, each: int, rounds: int) -> None:
    category = "document_ocr" if size else "text"
    build(folder, category, make_samples(number, size, category), each)
    corpus = Corpus([str(folder)], Counter("a quarter", tokens), folder / "lengths")
    corpus.measure()
    paths = [corpus.shard(0, shard).path for shard in range(len(corpus.counts(category)))]
    settings = PlanSettings(rows=64, tokens=ROW, shares={category: 1.0})
    Planner(corpus, settings).next()  # compiles

    def batches() -> Iterator[list[tuple[str, int]]]:
        planner, given = Planner(corpus, settings), 0
        while given < number:
            rows = planner.next().rows
            for start in range(0, len(rows), MICRO):
                micro = rows[start : start + MICRO]
                yield [(paths[slot.shard], slot.row) for row in micro for slot in row]
                given += sum(map(len, micro))

    ready = list(batches())

    def fetch(wanted: Iterator[list[tuple[str, int]]]) -> int:
        reader, count = Reader(), 0
        for batch in wanted:
            for sample in reader.fetch(batch):
                if isinstance(sample, Exception):
                    raise sample
                look(sample)
                count += 1
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
        count = 0
        for sample in dataset.shuffle(shuffle) if shuffle else dataset:
            look(sample)
            count += 1
        return count

    run: dict[str, Callable[[], tuple[float, int]]] = {
        "dsvl, plan and fetch": lambda: timed(lambda: fetch(batches())),
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


def tokens(record: Mapping[str, Any]) -> int:
    return 30 + sum(
        IMAGE if segment["type"] == "image" else len(segment["text"]) // 4
        for segment in record["segments"]
    )


def look(sample: Mapping[str, Any]) -> None:
    """At one byte of every 4 KiB."""
    for data in sample.values():
        if not isinstance(data, str):
            bytes(data[::4096])


def decoded(rounds: int) -> None:
    for (width, height), form in itertools.product(PAGES, FORMATS):
        data = page(width, height, form)
        with tempfile.TemporaryDirectory() as folder:
            samples = [
                Sample(
                    f"k{i}", "d:1", "document_ocr", (Image(data, form, width, height),), "en",
                    Origin("b", "1", "CC0-1.0"), Provenance("ebooks", "1", {}),
                )
                for i in range(12)
            ]  # fmt: skip
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
                    size: int = size,
                    mean: tuple[float, ...] = mean,
                    path: str = path,
                    form: str = form,
                ) -> int:
                    def square(decoded: dict[str, object]) -> torch.Tensor:
                        image = decoded[f"0.{form}"]
                        assert isinstance(image, Pillow.Image)
                        at = place(*image.size, size)
                        out = Pillow.new("RGB", (size, size), padding_colour(mean))
                        scaled = image.resize((at.width, at.height), Pillow.Resampling.BICUBIC)
                        out.paste(scaled, (at.left, at.top))
                        return torch.from_numpy(np.array(out)).permute(2, 0, 1).contiguous()

                    dataset = webdataset.WebDataset([path], shardshuffle=False)
                    return sum(1 for _ in dataset.decode("pilrgb").map(square))

                ours(False)  # compiles
                rates = compete(
                    {
                        "dsvl": lambda: timed(lambda: ours(False)),
                        "dsvl, draft": lambda: timed(lambda: ours(True)),
                        "webdataset and PIL": lambda: timed(theirs),
                    },
                    rounds,
                )
                what = f"{form} of {width} x {height}, {len(data) / 1000:.0f} KB"
                print(f"\ndecoded, {what}, to {size} x {size}")
                show(rates, ("dsvl", "dsvl, draft"))


def page(width: int, height: int, form: ImageFormat) -> bytes:
    """Lines of words, as a book has them."""
    random_ = random.Random(0)
    picture = Pillow.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture)
    size = height // 60
    font = ImageFont.load_default(size)
    for y in range(height // 12, height * 11 // 12, size * 3 // 2):
        words = (
            "".join(random_.choices("etaoinshrdlu", k=random_.randint(2, 9))) for _ in "x" * 12
        )
        pen.text((width // 10, y), " ".join(words), fill=(20, 20, 40), font=font)
    sink = io.BytesIO()
    picture.save(sink, "JPEG" if form == "jpg" else "PNG", quality=85)
    return sink.getvalue()


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
