"""How full rows could be at best: a bound that no packer passes, for lengths of packing.py.

In: tokens and images of samples, all known beforehand. Out: the least number of rows by linear
programming, where rows may also be taken in parts (Gilmore and Gomory 1961): patterns of a row are
added as long as one is worth more than it costs, and the bound holds at any moment (Farley 1990).
Lengths are rounded down to multiples of 8 tokens, so the bound is a little too kind.

    PYTHONPATH=. python benchmarks/packing_bound.py
"""

from __future__ import annotations

from collections import Counter

import numba
import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.optimize import linprog

from benchmarks.packing import IMAGE, make
from train.packing import Limits, pack

_UNIT = 8
_TOKENS = 4096
_ENOUGH = 1.0005


def main() -> None:
    lengths, images = make(np.random.default_rng(0))["several images"]
    for most in (6, 7):
        members, ends = pack(lengths, images, Limits(_TOKENS, most))
        fill = lengths[members].sum() / (len(ends) * _TOKENS)
        best = lengths.sum() / _TOKENS / least_rows(lengths, images, most)
        print(f"several images, at most {most} a row: {fill:.2%}; at most {best:.2%} can be had")


def least_rows(lengths: NDArray[np.int64], images: NDArray[np.int64], most: int) -> float:
    """A number of rows that no packing of all samples stays below."""
    text = (lengths - IMAGE * images) // _UNIT * _UNIT
    kinds = Counter(zip(images.tolist(), ((text + IMAGE * images) // _UNIT).tolist(), strict=True))
    pictures = np.array([kind[0] for kind in kinds])
    sizes = np.array([kind[1] for kind in kinds])
    wanted = np.array([float(number) for number in kinds.values()])
    room = _TOKENS // _UNIT
    patterns = [
        {kind: int(min(room // sizes[kind], most // max(1, pictures[kind])))}
        for kind in range(len(kinds))
    ]
    while True:
        rows = [(kind, n) for n, pattern in enumerate(patterns) for kind in pattern]
        held = [float(pattern[kind]) for pattern in patterns for kind in pattern]
        table = sparse.csr_matrix(
            (held, tuple(zip(*rows, strict=True))), (len(kinds), len(patterns))
        )
        found = linprog(np.ones(len(patterns)), A_ub=-table, b_ub=-wanted, method="highs")
        worth, choice = _best(-found.ineqlin.marginals, pictures, sizes, most, room)
        if worth[most, room] < _ENOUGH:
            return float(found.fun / max(1.0, worth[most, room]))
        new = {
            tuple(sorted(_pattern(choice, pictures, sizes, n, size).items()))
            for n in range(1, most + 1)
            for size in (room, room - 1, room - 2, room - 4, room - 8, room - 16, room - 32)
            if worth[n, size] > 1
        }
        patterns += [dict(pattern) for pattern in sorted(new)]


@numba.njit(cache=True)
def _best(
    value: NDArray[np.float64],
    pictures: NDArray[np.int64],
    sizes: NDArray[np.int64],
    most: int,
    room: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The most that a row of so many images and so much room can be worth; its last kind."""
    worth = np.zeros((most + 1, room + 1))
    choice = np.full((most + 1, room + 1), -1)
    for n in range(most + 1):
        for size in range(room + 1):
            for kind in range(len(value)):
                if pictures[kind] <= n and sizes[kind] <= size:
                    total = worth[n - pictures[kind], size - sizes[kind]] + value[kind]
                    if total > worth[n, size] + 1e-12:
                        worth[n, size], choice[n, size] = total, kind
    return worth, choice


def _pattern(
    choice: NDArray[np.int64],
    pictures: NDArray[np.int64],
    sizes: NDArray[np.int64],
    n: int,
    size: int,
) -> dict[int, int]:
    pattern: Counter[int] = Counter()
    while choice[n, size] >= 0:
        kind = int(choice[n, size])
        pattern[kind] += 1
        n, size = n - int(pictures[kind]), size - int(sizes[kind])
    return dict(pattern)


if __name__ == "__main__":
    main()
