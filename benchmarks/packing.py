"""Packing: fill and samples a second of ours, nanoVLM's and torchtitan's algorithms, in one run.

Lengths are drawn: text, conversations, pages (one image each) and conversations about several
images, an image being 576 tokens. Rows hold 4,096 tokens and at most 6 images. Peers are written
here from what their code does, in NumPy-free Python as theirs, on lengths alone (they also join
tensors, which is not counted):

- nanoVLM, `data/advanced_datasets.py`: a buffer is filled until it has `num_of_sequences` rows'
  worth of tokens, 4 a sample of the batch in `train.py`, so 8 for its batch of 2; longest first
  into the emptiest row that has room, of as many rows as must be and `delta` = 5 more.
- torchtitan, `experiments/vlm/datasets/utils/packing.py`: a buffer of 100, longest first, a row
  is ended when the next does not fit. It knows no limit of images; one is added here, likewise.

Each is also shown with a buffer of 1,024 where it has one, and nanoVLM's without its `delta`. How
full rows of several images could be at best: packing_bound.py.

    PYTHONPATH=. python benchmarks/packing.py
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from train.packing import Limits, pack
from train.plan import Planner
from train.pool import PlanSettings, Sizes

ROUNDS = 3
NUMBER = 10_000
LIMITS = Limits(tokens=4096, images=6)
IMAGE = 576

_Integers = NDArray[np.int64]
_Pairs = list[tuple[int, int]]


def main() -> None:
    generator = np.random.default_rng(0)
    for name, (lengths, images) in make(generator).items():
        pairs = list(zip(lengths.tolist(), images.tolist(), strict=True))

        def ours(lengths: _Integers = lengths, images: _Integers = images) -> Iterator[int]:
            members, ends = pack(lengths, images, LIMITS)
            sums = np.add.reduceat(lengths[members], np.concatenate([[0], ends[:-1]]))
            return iter(sums.tolist())

        contestants: dict[str, Callable[[], Iterator[int]]] = {
            "dsvl, 64 wait": ours,
            "nanoVLM, 8 rows, delta 5": lambda pairs=pairs: nanovlm(pairs, 8, 5),  # type: ignore[misc]
            "nanoVLM, 64 rows, delta 0": lambda pairs=pairs: nanovlm(pairs, 64, 0),  # type: ignore[misc]
            "torchtitan, buffer 100": lambda pairs=pairs: torchtitan(pairs, 100),  # type: ignore[misc]
            "torchtitan, buffer 1,024": lambda pairs=pairs: torchtitan(pairs, 1024),  # type: ignore[misc]
        }
        list(ours())  # compiles
        seconds: dict[str, list[float]] = {contestant: [] for contestant in contestants}
        fill: dict[str, float] = {}
        order = random.Random(0)
        for _ in range(ROUNDS):
            for contestant in order.sample(list(contestants), len(contestants)):
                start = time.process_time()
                rows = list(contestants[contestant]())
                seconds[contestant].append(time.process_time() - start)
                fill[contestant] = sum(rows) / (len(rows) * LIMITS.tokens)
        print(f"\n{name}: {NUMBER} samples, mean {lengths.mean():.0f} tokens")
        for contestant in contestants:
            rate = NUMBER / statistics.median(seconds[contestant])
            print(f"  {contestant:28} {fill[contestant]:7.2%} {rate:12,.0f} samples a CPU second")
        print(f"  {'whole plan':28} {'':7} {planned(lengths, images):12,.0f} samples a CPU second")


def make(generator: np.random.Generator) -> dict[str, tuple[_Integers, _Integers]]:
    """Lengths and images by kind."""

    def drawn(mean: float, spread: float, least: int, most: int) -> _Integers:
        return generator.lognormal(mean, spread, NUMBER).astype(np.int64).clip(least, most)

    none, one = np.zeros(NUMBER, np.int64), np.ones(NUMBER, np.int64)
    several = generator.choice([1, 2, 3, 4], NUMBER, p=[0.6, 0.2, 0.1, 0.1])
    return {
        "text": (drawn(5.8, 1.1, 1, 4096), none),
        "SFT, a third with an image": (
            (image := generator.binomial(1, 1 / 3, NUMBER)) * IMAGE + drawn(5.0, 1.0, 10, 3000),
            image,
        ),
        "pages": (IMAGE + drawn(5.5, 0.8, 20, 3000), one),
        "several images": (several * IMAGE + drawn(4.6, 0.8, 10, 1500), several),
    }


def nanovlm(pairs: _Pairs, rows: int, delta: int) -> Iterator[int]:
    buffer: _Pairs = []
    held = 0
    for pair in pairs:
        buffer.append(pair)
        held += pair[0]
        if held >= rows * LIMITS.tokens:
            yield from _balanced(buffer, held, delta)
            buffer, held = [], 0


def _balanced(buffer: _Pairs, held: int, delta: int) -> Iterator[int]:
    number = -(-held // LIMITS.tokens) + delta
    loads, pictures = [0] * number, [0] * number
    for length, images in sorted(buffer, reverse=True):
        for row in sorted(range(len(loads)), key=loads.__getitem__):
            if loads[row] + length <= LIMITS.tokens and pictures[row] + images <= LIMITS.images:
                break
        else:
            row = len(loads)
            loads.append(0)
            pictures.append(0)
        loads[row] += length
        pictures[row] += images
    yield from filter(None, loads)


def torchtitan(pairs: _Pairs, size: int) -> Iterator[int]:
    for start in range(0, len(pairs) - size + 1, size):
        load = pictures = 0
        for length, images in sorted(pairs[start : start + size], reverse=True):
            if load and (load + length > LIMITS.tokens or pictures + images > LIMITS.images):
                yield load
                load = pictures = 0
            load += length
            pictures += images
        yield load


class Lengths:
    """A catalogue of one category that knows lengths only."""

    digest = "none"
    categories = ("all",)

    def __init__(self, lengths: _Integers, images: _Integers) -> None:
        self._sizes = [
            Sizes(*each) for each in zip(np.split(lengths, 20), np.split(images, 20), strict=True)
        ]
        self._images = bool(images.any())

    def counts(self, category: str) -> list[int]:
        return [len(sizes.tokens) for sizes in self._sizes]

    def has_images(self, category: str) -> bool:
        return self._images

    def sizes(self, category: str, shard: int) -> Sizes:
        return self._sizes[shard]


def planned(lengths: _Integers, images: _Integers) -> float:
    """Samples a CPU second of the whole plan: order, shares, packing, slots."""
    settings = PlanSettings(64, LIMITS.tokens, {"all": 1.0}, images=LIMITS.images)
    rates = []
    for _ in range(ROUNDS):
        planner = Planner(Lengths(lengths, images), settings)
        planner.next()
        start, count = time.process_time(), 0
        while count < NUMBER:
            count += sum(map(len, planner.next().rows))
        rates.append(count / (time.process_time() - start))
    return statistics.median(rates)


if __name__ == "__main__":
    main()
