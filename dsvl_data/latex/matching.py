"""Which word of one sequence is which of another: two arrays of word ids in, pairs out.

A global alignment (longest common subsequence, rapidfuzz's `Indel`) needs memory for every pair
of words, 2.8 GB for a book of 150,000. So triples of words that each sequence has once are tied
first, and the alignment only fills what lies between them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Indel

Ids = NDArray[np.int64]
Pair = tuple[int, int]

_MOST_CELLS = 400_000_000  # pairs of words for one alignment: 50 MB in rapidfuzz


def match_words(left: Ids, right: Ids) -> list[Pair]:
    """A longest common subsequence (nearly, where anchors bind it): increasing `(i, j)`.

    A negative id matches nothing.
    """
    return _between(left, right, _anchors(left, right, most=1), retry=True)


def _between(left: Ids, right: Ids, anchors: list[Pair], *, retry: bool) -> list[Pair]:
    """The pairs of the anchors' runs and of what lies between them."""
    pairs: list[Pair] = []
    i = j = 0
    for a, b in [*anchors, (len(left), len(right))]:
        if a < i or b < j:
            continue  # the run before has grown over this anchor
        _fill(left, right, (i, a), (j, b), pairs, retry=retry)
        i, j = a, b
        while i < len(left) and j < len(right) and left[i] == right[j] >= 0:
            pairs.append((i, j))
            i, j = i + 1, j + 1
    return pairs


def _anchors(left: Ids, right: Ids, *, most: int) -> list[Pair]:
    """Where triples start that both sides have equally often, the longest increasing row of them.

    Triples that stand more than `most` times are none.
    """
    if len(left) < 3 or len(right) < 3:
        return []
    size = np.uint64(max(left.max(), right.max(), 0) + 2)
    (one, of_one), (two, of_two) = _triples(left, size), _triples(right, size)
    first, starts, counts = _shared(one, two)
    equal = (counts[0] == counts[1]) & (counts[0] <= most)
    first, starts, count = first[equal], starts[equal], counts[0][equal]
    i = np.concatenate([of_one[first[count > n] + n] for n in range(most)])
    j = np.concatenate([of_two[starts[count > n] + n] for n in range(most)])
    order = np.argsort(i)
    i, j = i[order], j[order]
    chain = _longest_increasing(j.tolist())
    return [(int(i[k]), int(j[k])) for k in chain]


def _triples(ids: Ids, size: np.uint64) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """All triples of known words in the order of their codes, and where they start."""
    known = (ids[:-2] >= 0) & (ids[1:-1] >= 0) & (ids[2:] >= 0)
    at = np.flatnonzero(known)
    words = ids.astype(np.uint64)
    codes = (words[at] * size + words[at + 1]) * size + words[at + 2]
    order = np.argsort(codes, kind="stable")
    return codes[order], at[order]


def _shared(
    one: NDArray[np.uint64], two: NDArray[np.uint64]
) -> tuple[
    NDArray[np.int64],
    NDArray[np.int64],
    tuple[NDArray[np.int64], NDArray[np.int64]],
]:
    """Codes that two sorted rows share: the first place in either, and the counts in both."""
    codes, first, count = np.unique(one, return_index=True, return_counts=True)
    low = np.searchsorted(two, codes, "left")
    high = np.searchsorted(two, codes, "right")
    both = high > low
    return first[both], low[both], (count[both], (high - low)[both])


def _longest_increasing(values: Sequence[int]) -> list[int]:
    """Indices of a longest strictly increasing subsequence (patience sorting)."""
    tops: list[int] = []
    where: list[int] = []
    before: list[int] = []
    for index, value in enumerate(values):
        pile = bisect_left(tops, value)
        before.append(where[pile - 1] if pile else -1)
        if pile == len(tops):
            tops.append(value)
            where.append(index)
        else:
            tops[pile], where[pile] = value, index
    chain = []
    index = where[-1] if where else -1
    while index >= 0:
        chain.append(index)
        index = before[index]
    return chain[::-1]


def _fill(
    left: Ids, right: Ids, of_left: Pair, of_right: Pair, pairs: list[Pair], *, retry: bool
) -> None:
    """Append the pairs of two stretches.

    Where they are too long for an alignment, triples that stand several times must do as anchors;
    what is too long even then stays unmatched.
    """
    (i, a), (j, b) = of_left, of_right
    tail: list[Pair] = []
    while i < a and j < b and left[i] == right[j] >= 0:
        pairs.append((i, j))
        i, j = i + 1, j + 1
    while i < a and j < b and left[a - 1] == right[b - 1] >= 0:
        a, b = a - 1, b - 1
        tail.append((a, b))
    if retry and (a - i) * (b - j) > _MOST_CELLS:
        anchors = _anchors(left[i:a], right[j:b], most=16)
        found = _between(left[i:a], right[j:b], anchors, retry=False)
        pairs.extend((i + k, j + n) for k, n in found)
    elif i < a and j < b and (a - i) * (b - j) <= _MOST_CELLS:
        # Distinct negative numbers, so that what must match nothing does.
        one, two = left[i:a].copy(), right[j:b].copy()
        one[one < 0], two[two < 0] = -2, -3
        for op in Indel.opcodes(one.tolist(), two.tolist()):
            if op.tag == "equal":
                pairs.extend(
                    zip(
                        range(i + op.src_start, i + op.src_end),
                        range(j + op.dest_start, j + op.dest_end),
                        strict=True,
                    )
                )
    pairs.extend(reversed(tail))


def slide(pairs: list[Pair], left: Ids, right: Ids, breaks: Sequence[bool]) -> list[Pair]:
    """Move matches along equal words until what the right side has more is whole lines.

    "... the | the ..." may tie a page's last word to the next page's first: of equally long
    alignments the one is wanted where a jump on the right starts and ends with a line.
    `breaks[j]` says that a line starts at j; it has one entry more than `right`, true.
    """
    slid = list(pairs)
    for k in range(1, len(slid)):
        (i, j), (a, b) = slid[k - 1], slid[k]
        if a != i + 1 or b <= j + 1:
            continue
        best, choice = (breaks[j + 1] + breaks[b]), 0
        move = 0  # to the left: earlier pairs go over the gap
        while (
            k - 1 - move >= 0
            and move < 12
            and slid[k - 1 - move] == (i - move, j - move)
            and left[i - move] == right[b - 1 - move]
            and b - 1 - move > j
        ):
            move += 1
            score = breaks[j + 1 - move] + breaks[b - move]
            if score > best:
                best, choice = score, -move
        move = 0  # to the right: later pairs come back before the gap
        while (
            k + move < len(slid)
            and move < 12
            and slid[k + move] == (a + move, b + move)
            and left[a + move] == right[j + 1 + move]
            and j + 1 + move < b
        ):
            move += 1
            score = breaks[j + 1 + move] + breaks[b + move]
            if score > best:
                best, choice = score, move
        for n in range(-choice):
            slid[k - 1 - n] = (i - n, b - 1 - n)
        for n in range(choice):
            slid[k + n] = (a + n, j + 1 + n)
    return slid


def clusters(pairs: Sequence[Pair], reach: int = 4) -> Iterator[tuple[int, int]]:
    """Runs of matches with fewer than `reach` words between them on either side: `(from, to)`."""
    start = 0
    for k in range(1, len(pairs) + 1):
        if k < len(pairs):
            (i, j), (a, b) = pairs[k - 1], pairs[k]
            if a - i <= reach and b - j <= reach:
                continue
        if pairs:
            yield start, k
        start = k


def without_isolated(
    pairs: Sequence[Pair], weights: Sequence[float], least: float = 2.0
) -> list[Pair]:
    """Without the runs that weigh less than `least` and lie apart from the others.

    `weights[i]` is what a match of the left side's word i counts: little for a digit or an
    article, which match anywhere. A light run that fills a hole of the left side exactly stays.
    """
    kept: list[Pair] = []
    for start, end in clusters(pairs):
        weight = sum(weights[i] for i, _ in pairs[start:end])
        before = start > 0 and pairs[start - 1][0] == pairs[start][0] - 1
        after = end < len(pairs) and pairs[end][0] == pairs[end - 1][0] + 1
        if weight >= least or (before and after and weight >= 0.5 * least):
            kept.extend(pairs[start:end])
    return kept
