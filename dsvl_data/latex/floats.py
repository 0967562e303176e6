"""Where floats and footnotes went: their words and the pages' words in, a place for each out.

TeX puts them on a page of its own choosing, so they are looked for in the whole document: the
page that has most of a block's pairs of words, rare pairs counting more. On it the words are
aligned, twice, since a table's caption may stand above it there and below it here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsvl_data.latex.article import Kind
from dsvl_data.latex.matching import Pair, clusters, match_words
from dsvl_data.latex.pdf_lines import Zone
from dsvl_data.latex.sequences import BlockWords, PdfStream

_LEAST = 0.5  # of a block's weight must be found, or it is not placed
_SLACK = 1.6  # a block's words on the page lie within so many times its length


@dataclass(frozen=True, slots=True)
class Placement:
    """A block (by its index) with the words found: `(i, j)` in block words and PDF stream."""

    block: int
    pairs: tuple[Pair, ...]


def place_blocks(
    blocks: BlockWords,
    stream: PdfStream,
    taken: NDArray[np.bool_],
    *,
    zone: Zone,
    expected: Sequence[float],
    but: Collection[int] = (),
) -> list[Placement]:
    """Place each block that the pages show; `taken[j]` is set for the words that it uses.

    `zone` is where such blocks lie if the page's lines were recognised; `expected[k]` the page on
    which block k is called for, which decides between pages that fit equally; blocks in `but` are
    left alone.
    """
    codes = _pair_codes(stream.ids)
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    placements = []
    for index in range(len(blocks.blocks)):
        start, end = blocks.first[index], blocks.first[index + 1]
        if start == end or index in but:
            continue
        hits = _hits(blocks.ids[start:end], ordered, order)
        pages = _candidates(hits, stream, taken, zone, expected[index])
        best: list[Pair] = []
        best_weight = 0.0
        total = sum(blocks.weights[start:end])
        for page in pages:
            pairs = _align(blocks, stream, taken, (start, end), page, hits)
            weight = sum(blocks.weights[i] for i, _ in pairs)
            if weight > best_weight + 0.05 * total:
                best, best_weight = pairs, weight
        if best and best_weight >= _LEAST * total:
            best = _with_neighbours(blocks, stream, taken, (start, end), best, hits)
            placements.append(Placement(index, tuple(best)))
            take(stream, taken, [j for _, j in best])
    return placements


def _pair_codes(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for each two neighbouring words, -1 where the article lacks one of them."""
    if len(ids) < 2:
        return np.empty(0, dtype=np.int64)
    known = (ids[:-1] >= 0) & (ids[1:] >= 0)
    return np.where(known, ids[:-1] * (1 << 31) + ids[1:], -1)


def _hits(
    ids: NDArray[np.int64], ordered: NDArray[np.int64], order: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """For each of a block's distinct pairs of words, the places that have it."""
    codes = np.unique(_pair_codes(ids))
    codes = codes[codes >= 0]
    lows = np.searchsorted(ordered, codes, "left")
    highs = np.searchsorted(ordered, codes, "right")
    return [order[a:b] for a, b in zip(lows, highs, strict=True) if 0 < b - a <= 400]


def _candidates(
    hits: Sequence[NDArray[np.int64]],
    stream: PdfStream,
    taken: NDArray[np.bool_],
    zone: Zone,
    expected: float,
) -> list[int]:
    """The three likeliest pages, best first."""
    scores: defaultdict[int, float] = defaultdict(float)
    for places in hits:
        free = [j for j in places.tolist() if not taken[j]]
        of_page: dict[int, float] = {}
        for j in free:
            page = stream.page[j]
            of_page[page] = max(of_page.get(page, 0.0), 2.0 if stream.zone[j] is zone else 1.0)
        for page, worth in of_page.items():
            scores[page] += worth / len(of_page)
    near = sorted(scores, key=lambda page: (-scores[page], abs(page - expected)))
    if not near:
        return []
    worth_trying = [page for page in near[:8] if scores[page] >= 0.5 * scores[near[0]]]
    return sorted(
        worth_trying,
        key=lambda page: -scores[page] / (1 + 0.03 * abs(page - expected)),
    )[:3]


def _align(
    blocks: BlockWords,
    stream: PdfStream,
    taken: NDArray[np.bool_],
    block: Pair,
    page: int,
    hits: Sequence[NDArray[np.int64]],
    known: Collection[int] = (),
) -> list[Pair]:
    """What a page has of a block's words, but for those `known` already."""
    start, end = block
    free = [j for j in range(stream.first[page], stream.first[page + 1]) if not taken[j]]
    if not free:
        return []
    hit = np.zeros(len(stream.ids), dtype=bool)
    for places in hits:
        hit[places] = True
    # The stretch of the page that has the most of the block's pairs.
    counts = np.concatenate([[0], np.cumsum(hit[free])])
    width = min(len(free), int(_SLACK * (end - start)) + 12)
    sums = counts[width:] - counts[: len(counts) - width]
    most = np.flatnonzero(sums == sums.max())
    low = int(most[len(most) // 2])
    places = np.array(free[low : low + width])
    ids = blocks.ids[start:end].copy()
    ids[[i - start for i in known]] = -2
    there = stream.ids[places].copy()
    found: list[Pair] = []
    footnote = blocks.blocks[blocks.block[start]].kind is Kind.FOOTNOTE
    for least in (1.0,) if footnote else (1.0, 2.0):
        pairs = match_words(ids, there)
        weights = [blocks.weights[start + i] for i, _ in pairs]
        for a, b in clusters(pairs):
            if sum(weights[a:b]) >= least:
                found.extend((start + i, int(places[j])) for i, j in pairs[a:b])
                for i, j in pairs[a:b]:
                    ids[i], there[j] = -2, -3
    return sorted(found)


def _with_neighbours(
    blocks: BlockWords,
    stream: PdfStream,
    taken: NDArray[np.bool_],
    block: Pair,
    pairs: list[Pair],
    hits: Sequence[NDArray[np.int64]],
) -> list[Pair]:
    """With the rest of a block that the pages before and behind show: a table of several pages."""
    page = stream.page[pairs[0][1]]
    for step in (-1, 1):
        other = page + step
        while 0 <= other < len(stream.pages):
            known = {i for i, _ in pairs}
            left = sum(blocks.weights[i] for i in range(*block) if i not in known)
            if left < 3:
                return pairs
            more = _align(blocks, stream, taken, block, other, hits, known)
            found = sum(blocks.weights[i] for i, _ in more)
            if found < max(3.0, 0.25 * left) or 2 * len(more) < _extent(more):
                break
            pairs = sorted(pairs + more)
            other += step
    return pairs


def _extent(pairs: Sequence[Pair]) -> int:
    """How many of the PDF's words lie between the first and the last found."""
    places = [j for _, j in pairs]
    return max(places) - min(places) + 1


def take(stream: PdfStream, taken: NDArray[np.bool_], found: list[int]) -> None:
    """Take the found words, and what lies among them: the rest of their lines, small holes."""
    taken[found] = True
    on_line: Counter[tuple[int, int]] = Counter()
    for j in found:
        on_line[stream.page[j], stream.line[j]] += 1
    low, high = min(found), max(found)
    while low > 0 and not stream.breaks[low]:
        low -= 1
    while high + 1 < len(stream.ids) and not stream.breaks[high + 1]:
        high += 1
    whole: Counter[tuple[int, int]] = Counter(
        (stream.page[j], stream.line[j]) for j in range(low, high + 1)
    )
    for j in range(low, high + 1):
        here = (stream.page[j], stream.line[j])
        if 2 * on_line[here] > whole[here]:
            taken[j] = True
    previous = None
    for j in sorted(found):
        if previous is not None and 1 < j - previous <= 6:
            taken[previous:j] = True
        previous = j
