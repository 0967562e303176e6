"""Which characters of the flow stand on which page.

In: a `Flow` and, page by page, the characters that the PDF paints, in the order in which it
paints them. Out: for each page the set of flow positions that it shows, as ranges, with what
did not agree.

A browser paints text in the order of the document, so a page normally continues the flow
exactly and one string comparison settles it. Where lines are painted in another order
(formulas, ruby, right-to-left text) the smallest stretch is taken that holds the same
characters on both sides. Rows that break over columns or pages leave gaps, which later pages
fill.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate

from dsvl_data.render.flow import Flow, fold

#: How far ahead a fragment is looked for, in characters.
_HORIZON = 20_000
#: A fragment is known again by this many characters, fewer at a gap's start.
_ANCHOR = 12
_MIN_ANCHOR = 4


@dataclass(slots=True)
class Share:
    """What one page shows of the flow.

    `ranges` are sorted, disjoint ranges of positions, `order` the same as painted; `painted`
    counts the characters on the page, `strange` holds those of them that the flow has nowhere,
    and `missing` those of the flow that should have been here and are nowhere.
    """

    ranges: list[tuple[int, int]] = field(default_factory=list)
    order: list[tuple[int, int]] = field(default_factory=list)
    painted: int = 0
    strange: str = ""
    missing: str = ""

    @property
    def characters(self) -> int:
        """How many positions the page shows."""
        return sum(end - start for start, end in self.ranges)

    @property
    def score(self) -> float:
        """Share of the page's characters, PDF and DOM together, on which both agree."""
        agreed = 2 * self.characters
        return agreed / max(1, agreed + len(self.strange) + len(self.missing))


def paginate(flow: Flow, pages: list[str]) -> list[Share]:
    """Match the painted characters of all pages with the flow.

    `pages` holds, for each page, its visible characters without white space in painting
    order. Every position of the flow is in exactly one page's `ranges` or in one `missing`.
    """
    matcher = _Matcher(flow)
    shares = [matcher.page(fold(text)) for text in pages]
    matcher.blame(shares)
    return shares


class _Matcher:
    def __init__(self, flow: Flow) -> None:
        self._raw = flow.text
        self._text = fold(flow.text)
        # Folding a ligature makes two characters of one: then indices need a map to positions.
        self._starts: list[int] | None = None
        if len(self._text) != len(flow.text):
            self._starts = [0, *accumulate(len(fold(c)) for c in flow.text)]
        self._unordered = [(self._index(a), self._index(b)) for a, b in flow.unordered]
        self._unordered_starts = [start for start, _ in self._unordered]
        self._frontier = 0
        self._gaps: list[tuple[int, int]] = []

    def page(self, painted: str) -> Share:
        """Take the next page. `painted` is folded."""
        end = self._frontier + len(painted)
        if not self._gaps and self._text[self._frontier : end] == painted:
            taken = [(self._frontier, end)]
            self._frontier = end
            return self._share(taken, painted)
        taken, strange = self._align(painted)
        return self._share(taken, painted, strange)

    def _share(self, taken: list[tuple[int, int]], painted: str, strange: str = "") -> Share:
        order = [self._position_range(piece) for piece in taken]
        return Share(_merged(order), order, len(painted), strange)

    def blame(self, shares: list[Share]) -> None:
        """Charge what no page showed to the page on which it should have been."""
        lost = [*self._gaps, (self._frontier, len(self._text))]
        for start, end in _merged([self._position_range(r) for r in lost if r[1] > r[0]]):
            before = [share for share in shares if share.ranges and share.ranges[0][0] <= start]
            if before:
                page = max(before, key=lambda share: _last_before(share.ranges, start))
            elif shares:
                page = shares[0]
            else:
                return
            page.missing += self._raw[start:end]

    def _align(self, painted: str) -> tuple[list[tuple[int, int]], str]:
        taken: list[tuple[int, int]] = []
        strange: list[str] = []
        here, limit = self._resume(painted, 0)
        position = 0
        while position < len(painted):
            length = _common(painted, position, self._text, here, limit)
            if length:
                self._take(here, here + length, taken)
                here, position = here + length, position + length
                if position == len(painted):
                    break
            if here < limit:
                length = self._permuted(painted, position, here, limit)
                if length:
                    self._take(here, here + length, taken)
                    here, position = here + length, position + length
                    continue
            found = self._find(painted, position)
            if found is None:
                strange.append(painted[position])
                position += 1
            else:
                here, limit = found
        return taken, "".join(strange)

    def _resume(self, painted: str, position: int) -> tuple[int, int]:
        """Where to go on: at the gap or frontier whose first characters are painted next."""
        return self._find(painted, position) or (self._frontier, len(self._text))

    def _find(self, painted: str, position: int) -> tuple[int, int] | None:
        """Find what is painted from `position` on in what the flow has left: (index, limit)."""
        text, left = self._text, [*self._gaps, (self._frontier, len(self._text))]
        # A fragment goes on exactly where its cell or column was cut: at the start of what is
        # left. The longest agreement wins; a tie goes to the earliest.
        best, best_length = None, 0
        for start, end in left:
            length = _common(painted, position, text, start, min(end, start + 200))
            if length > best_length:
                best, best_length = (start, end), length
        if best is not None and (best_length >= _ANCHOR or best_length == len(painted) - position):
            return best
        for size in (4 * _ANCHOR, _ANCHOR, _MIN_ANCHOR):
            key = painted[position : position + size]
            if len(key) < size:
                continue
            for start, end in left:
                found = text.find(key, start, min(end, start + _HORIZON))
                if found >= 0:
                    return found, end
        return best

    def _take(self, start: int, end: int, taken: list[tuple[int, int]]) -> None:
        """Mark `start:end` as shown, which splits a gap or moves the frontier."""
        if taken and taken[-1][1] == start:
            taken[-1] = (taken[-1][0], end)
        else:
            taken.append((start, end))
        if start >= self._frontier:
            if start > self._frontier:
                self._gaps.append((self._frontier, start))
            self._frontier = end
            return
        for number, (low, high) in enumerate(self._gaps):
            if low <= start and end <= high:
                rest = [(low, start), (end, high)]
                self._gaps[number : number + 1] = [r for r in rest if r[1] > r[0]]
                return

    def _permuted(self, painted: str, position: int, here: int, limit: int) -> int:
        """Length of the shortest stretch with the same characters on both sides, 0 if none."""
        number = bisect_right(self._unordered_starts, here) - 1
        if number < 0:
            return 0
        stop = min(self._unordered[number][1], limit, here + len(painted) - position)
        balance: Counter[str] = Counter()
        open_characters = 0
        for offset in range(stop - here):
            pair = (painted[position + offset], 1), (self._text[here + offset], -1)
            for character, step in pair:
                before = balance[character]
                balance[character] = before + step
                open_characters += (before == 0) - (before + step == 0)
            if open_characters == 0:
                return offset + 1
        return 0

    def _index(self, position: int) -> int:
        return position if self._starts is None else self._starts[position]

    def _position_range(self, piece: tuple[int, int]) -> tuple[int, int]:
        if self._starts is None:
            return piece
        return bisect_right(self._starts, piece[0]) - 1, bisect_left(self._starts, piece[1])


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif end > start:
            merged.append((start, end))
    return merged


def _common(a: str, i: int, b: str, j: int, limit: int) -> int:
    """How many characters agree from `a[i]` and `b[j]` on, not past `b[limit]`."""
    longest = min(len(a) - i, limit - j)
    if longest <= 0:
        return 0
    if a[i : i + longest] == b[j : j + longest]:
        return longest
    low, high = 0, longest  # agree up to low, not up to high
    while high - low > 1:
        middle = (low + high) // 2
        if a[i + low : i + middle] == b[j + low : j + middle]:
            low = middle
        else:
            high = middle
    return low


def _last_before(ranges: list[tuple[int, int]], position: int) -> int:
    return max((end for _, end in ranges if end <= position), default=-1)
