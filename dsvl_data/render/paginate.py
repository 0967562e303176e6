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
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from dsvl_data.render.flow import Flow, fold

#: How many cells ahead a row's fragments may begin.
_CELLS_AHEAD = 60
#: Agreement over this many characters settles a choice; so many must agree after a flaw.
_LOOK = 64
_AFTER_FLAW = 6
#: A passage that is nowhere shown may be so long before what follows is looked for elsewhere.
_LOST = 500
#: After so many a page is given up: it has failed, and hostile input must not cost minutes.
_MAX_FLAWS = 20
#: Lines painted in another order than said are put right within so many characters.
_WINDOW = 4000


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
        every = agreed + len(self.strange) + len(self.missing)
        return agreed / every if every else 1.0


def paginate(flow: Flow, pages: Sequence[Sequence[str]]) -> list[Share]:
    """Match the painted characters of all pages with the flow.

    `pages` holds, for each page, the visible characters of its spans in painting order. Every
    position of the flow is in exactly one page's `ranges` or in one page's `missing`.
    """
    matcher = _Matcher(flow)
    shares = [matcher.page(spans) for spans in pages]
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
        self._cells = [self._index(position) for position in flow.cells]
        self._frontier = 0
        self._gaps: list[tuple[int, int]] = []

    def page(self, spans: Sequence[str]) -> Share:
        """Take the next page."""
        painted = fold("".join(spans))
        end = self._frontier + len(painted)
        if not self._gaps and self._text[self._frontier : end] == painted:
            taken = [(self._frontier, end)]
            self._frontier = end
            return self._share(taken, painted)
        borders = [0, *accumulate(len(fold(span)) for span in spans)]
        taken, strange = self._align(painted, borders)
        return self._share(taken, painted, strange)

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

    def _share(self, taken: list[tuple[int, int]], painted: str, strange: str = "") -> Share:
        order = [self._position_range(piece) for piece in taken]
        return Share(_merged(order), order, len(painted), strange)

    def _align(self, painted: str, borders: list[int]) -> tuple[list[tuple[int, int]], str]:
        taken: list[tuple[int, int]] = []
        strange: list[str] = []
        position = 0
        here, limit = self._frontier, len(self._text)
        if self._gaps:
            here, limit = self._best(painted, 0, self._left(0), borders[1]) or (here, limit)
        flaws = 0
        while position < len(painted):
            agreed = _common(painted, position, self._text, here, limit)
            stop = position + agreed
            if stop < len(painted):
                # The flow is left between spans only: back to the border before the flaw.
                stop = max(position, borders[bisect_right(borders, stop) - 1])
            if stop > position:
                self._take(here, here + stop - position, taken)
                here, position = here + stop - position, stop
                if position == len(painted):
                    break
            length = self._permuted(painted, position, here, limit)
            if length:
                self._take(here, here + length, taken)
                here, position = here + length, position + length
                continue
            border = borders[bisect_right(borders, position)]
            found = self._best(painted, position, self._left(here), border)
            if found is not None and found[0] != here:
                here, limit = found
                continue
            flaws += 1
            if flaws > _MAX_FLAWS:
                strange.append(painted[position:])
                self._skip(painted, position)
                break
            # A flaw within a span: take what agrees, then one character on either side.
            agreed = _common(painted, position, self._text, here, limit)
            self._take(here, here + agreed, taken)
            here, position = here + agreed, position + agreed
            if position < len(painted):
                shown, said = self._flaw(painted, position, here, limit)
                strange.append(painted[position : position + shown])
                position, here = position + shown, here + said
        return taken, "".join(strange)

    def _left(self, here: int) -> list[tuple[int, int]]:
        """Where painting can go on, likeliest first: (index, limit).

        A fragment of a cell or column goes on where an earlier page or column cut it: at the
        start of a gap. Else it is the frontier, or a cell that nothing was shown of yet.
        """
        end = len(self._text)
        gaps = sorted(self._gaps, key=lambda gap: (gap[0] < here, gap[0]))
        first = bisect_right(self._cells, self._frontier)
        cells = [(cell, end) for cell in self._cells[first : first + _CELLS_AHEAD]]
        inside: list[tuple[int, int]] = []
        for low, high in gaps:
            first, last = bisect_right(self._cells, low), bisect_left(self._cells, high)
            inside += [(cell, high) for cell in self._cells[first:last]]
        return [*gaps, *cells, *inside[:_CELLS_AHEAD], (self._frontier, end)]

    def _best(
        self, painted: str, position: int, left: list[tuple[int, int]], border: int
    ) -> tuple[int, int] | None:
        """The place at which the whole span and most of what follows agree; None if none."""
        best, longest = None, min(border - position, len(painted) - position) - 1
        for start, limit in left:
            agreed = _common(painted, position, self._text, start, min(limit, start + _LOOK))
            if agreed > longest:
                best, longest = (start, limit), agreed
        return best

    def _skip(self, painted: str, position: int) -> None:
        """Give the rest of a page up; the next page goes on after its last words, if found."""
        rest = len(painted) - position
        tail = painted[-min(rest, _LOOK // 3) :]
        found = self._text.find(tail, self._frontier, self._frontier + 3 * rest)
        if found >= 0:
            self._gaps.append((self._frontier, found + len(tail)))
            self._frontier = found + len(tail)

    def _flaw(self, painted: str, position: int, here: int, limit: int) -> tuple[int, int]:
        """How many characters to skip as painted and as said: one for one, one, or a passage."""
        rest = len(painted) - position
        for shown, said in ((1, 1), (1, 0), (0, 1), (1, 2), (2, 1)):
            if shown > rest or here + said > limit:
                continue
            needed = min(_AFTER_FLAW, rest - shown)
            after = painted[position + shown : position + shown + needed]
            if self._text.startswith(after, here + said):
                return shown, said
        key = painted[position : position + _AFTER_FLAW]
        found = self._text.find(key, here, min(limit, here + _LOST)) if len(key) > 3 else -1
        return (0, found - here) if found > here else (1, 0)

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
        stop = min(
            self._unordered[number][1], limit, here + len(painted) - position, here + _WINDOW
        )
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
