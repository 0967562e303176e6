"""From uses of each cell to uses of each conversation, with no image used too often.

In: the candidates, sorted by cell and within it by their seeded hash; which images each has; how
many uses each cell is to give. Out: how often each conversation is taken, and what is short.

Where a conversation has one image, this is a flow from images (at most `image_uses` each) through
conversations (at most `conversation_uses` each) into cells: taken in the order of the hash first,
mended along augmenting paths after. What then is still short cannot be had at all: the cells that
a failed search has reached are a minimum cut, and ask for more than

    rank(S) = sum over images of min(image_uses, conversation_uses * its conversations in S)

The rank is a polymatroid's, so these cuts together say all that the images mean for the counts of
cells, and integer counts that satisfy them can be had (integer decomposition of polymatroids).
Where conversations have several images the question is a packing problem, and hard: paths go
through conversations with one image only, and `rank` counts each by the image that most have.
That is a relaxation: it never forbids what is possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from taxonomy.columns import Ints, Small, order_by_group

#: Conversations that all searches together may look at, twice: for work, not for time, so that
#: the result is the same on any machine.
_WORK = 3_000_000_000


@dataclass(frozen=True)
class Candidates:
    """What can be taken: `starts` of each cell, then (as CSR) the images of each conversation.

    Conversations are numbered in order; images from 0, and only those that may be used too often.
    """

    starts: Ints
    image_starts: Ints
    images: Small
    image_count: int
    image_uses: int
    conversation_uses: int

    @property
    def rows(self) -> int:
        """How many conversations there are."""
        return len(self.image_starts) - 1

    @cached_property
    def cell_of_row(self) -> Small:
        """The cell of each conversation."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))

    @cached_property
    def is_exact(self) -> bool:
        """Whether no conversation has more than one image that counts."""
        return len(self.image_starts) < 2 or int(np.diff(self.image_starts).max()) <= 1

    @cached_property
    def primary(self) -> Small:
        """Of each conversation the image that most others have too; -1 for none."""
        chosen = np.full(self.rows, -1, np.int32)
        counts = np.bincount(self.images, minlength=self.image_count)
        _choose(self.image_starts, self.images, counts, chosen)
        return chosen

    @cached_property
    def by_image(self) -> tuple[Ints, Small]:
        """The conversations of each image (as CSR), by their primary image."""
        return order_by_group(self.primary, self.image_count)

    @cached_property
    def _cells_by_image(self) -> Small:
        return self.cell_of_row[self.by_image[1]]

    @cached_property
    def _free(self) -> Ints:
        """How many conversations of each cell have no image that counts."""
        return np.bincount(
            self.cell_of_row[self.primary < 0], minlength=len(self.starts) - 1
        ).astype(np.int64)

    def ranks(
        self, group_of_cell: Ints, groups: int, image_uses: int, conversation_uses: int
    ) -> Ints:
        """Return the rank of each group of cells, with these limits."""
        free = np.bincount(group_of_cell, self._free, groups).astype(np.int64)
        found: Ints = free * conversation_uses
        _ranks(
            self.by_image[0], self._cells_by_image, group_of_cell, image_uses, conversation_uses,
            np.zeros(groups, np.int64), found,
        )  # fmt: skip
        return found


@dataclass(frozen=True)
class Assignment:
    """How often each conversation is taken; `short` of each cell; and why.

    `sets` are cells that together ask for more than there is, as far as the search has found;
    `proven` is false when it was given up.
    """

    times: Small
    short: Ints
    sets: list[Ints]
    proven: bool


def assign(candidates: Candidates, wanted: Ints) -> Assignment:
    """Take conversations so that each cell gives what is wanted of it, as far as possible."""
    cells = len(wanted)
    times = np.zeros(candidates.rows, np.int32)
    uses = np.zeros(candidates.image_count, np.int32)
    room = np.diff(candidates.starts) * candidates.conversation_uses
    # The tightest cells choose first.
    order = np.argsort(-wanted / np.maximum(1, room), kind="stable")
    short = wanted.copy()
    _greedy(
        order, candidates.starts, candidates.image_starts, candidates.images,
        candidates.image_uses, candidates.conversation_uses, short, times, uses,
    )  # fmt: skip
    if not short.any():
        return Assignment(times, short, [], True)
    starts, members = candidates.by_image
    reached = np.zeros(cells, np.int32)
    work = _augment(
        candidates.starts, candidates.cell_of_row, candidates.image_starts, candidates.images,
        starts, members, candidates.image_uses, candidates.conversation_uses,
        short, times, uses, reached, _WORK,
    )  # fmt: skip
    sets = [np.flatnonzero(reached == number) for number in range(1, int(reached.max()) + 1)]
    return Assignment(times, short, sets, work >= 0)


def allot(candidates: Candidates, found: Assignment) -> Small:
    """Return uses that can all be had together: those of an assignment, and what fits beside.

    Any part of them can be had, too, so they are a problem without images.
    """
    times = found.times.copy()
    uses = np.zeros(candidates.image_count, np.int32)
    owners = np.repeat(np.arange(candidates.rows), np.diff(candidates.image_starts))
    np.add.at(uses, candidates.images, times[owners])
    order = np.argsort(-found.short, kind="stable")
    _greedy(
        order, candidates.starts, candidates.image_starts, candidates.images,
        candidates.image_uses, candidates.conversation_uses,
        np.diff(candidates.starts) * candidates.conversation_uses, times, uses,
    )  # fmt: skip
    return times


def take_within(candidates: Candidates, allotted: Small, wanted: Ints) -> Small:
    """Take what is wanted of each cell from what was allotted, each conversation once at first."""
    times = np.zeros(candidates.rows, np.int32)
    _take_within(candidates.starts, allotted, wanted.copy(), times)
    return times


@njit(nogil=True, cache=True)
def _take_within(starts: Ints, allotted: Small, short: Ints, times: Small) -> None:
    for cell in range(short.shape[0]):
        taken = 1
        while short[cell] > 0 and taken > 0:
            taken = 0
            for row in range(starts[cell], starts[cell + 1]):
                if short[cell] > 0 and times[row] < allotted[row]:
                    times[row] += 1
                    short[cell] -= 1
                    taken += 1


@njit(nogil=True, cache=True)
def _choose(starts: Ints, images: Small, counts: Ints, chosen: Small) -> None:
    for row in range(chosen.shape[0]):
        most = -1
        for at in range(starts[row], starts[row + 1]):
            if counts[images[at]] > most:
                most = counts[images[at]]
                chosen[row] = images[at]


@njit(nogil=True, cache=True)
def _ranks(
    starts: Ints, cells: Small, group_of_cell: Ints, image_uses: int, uses: int,
    seen: Ints, found: Ints,
) -> None:  # fmt: skip
    for image in range(starts.shape[0] - 1):
        for at in range(starts[image], starts[image + 1]):
            seen[group_of_cell[cells[at]]] += uses
        for at in range(starts[image], starts[image + 1]):
            group = group_of_cell[cells[at]]
            found[group] += min(image_uses, seen[group])
            seen[group] = 0


@njit(nogil=True, cache=True)
def _open(row: int, starts: Ints, images: Small, uses: Small, image_uses: int) -> bool:
    """Whether all images of a conversation can be used once more."""
    for at in range(starts[row], starts[row + 1]):  # noqa: SIM110 numba takes no generators
        if uses[images[at]] >= image_uses:
            return False
    return True


@njit(nogil=True, cache=True)
def _take(row: int, starts: Ints, images: Small, times: Small, uses: Small) -> None:
    times[row] += 1
    for at in range(starts[row], starts[row + 1]):
        uses[images[at]] += 1


@njit(nogil=True, cache=True)
def _greedy(
    order: Ints, cell_starts: Ints, starts: Ints, images: Small, image_uses: int, row_uses: int,
    short: Ints, times: Small, uses: Small,
) -> None:  # fmt: skip
    for cell in order:
        for turn in range(row_uses):
            for row in range(cell_starts[cell], cell_starts[cell + 1]):
                if short[cell] == 0:
                    break
                if times[row] == turn and _open(row, starts, images, uses, image_uses):
                    _take(row, starts, images, times, uses)
                    short[cell] -= 1


@njit(nogil=True, cache=True)
def _augment(
    cell_starts: Ints, cell_of_row: Small, starts: Ints, images: Small,
    image_starts: Ints, image_rows: Small, image_uses: int, row_uses: int,
    short: Ints, times: Small, uses: Small, reached: Small, work: int,
) -> int:  # fmt: skip
    """Mend what is short; `reached` numbers the cells that failed searches have been to.

    Returns what is left of `work`; negative when it was used up.
    """
    cells = short.shape[0]
    cell_seen = np.zeros(cells, np.int64)  # by which search
    image_seen = np.zeros(uses.shape[0], np.int64)
    taken_in = np.zeros(cells, np.int64)  # in the cell before on the path, one more of this row
    dropped = np.zeros(cells, np.int64)  # in the cell, one less of this
    cursor = cell_starts[:-1].copy()  # before it, no row can be taken any more
    queue = np.empty(cells, np.int64)
    search = 0
    failures = 0
    for cell in range(cells):
        while short[cell] > 0 and reached[cell] == 0:
            search += 1
            queue[0] = cell
            head, tail = 0, 1
            cell_seen[cell] = search
            end = -1
            if _has_room(cell, cursor, cell_starts, starts, images, image_uses, row_uses,
                         times, uses):  # fmt: skip
                end = cell
            while head < tail and end < 0:
                here = queue[head]
                head += 1
                work -= cell_starts[here + 1] - cell_starts[here]
                for row in range(cell_starts[here], cell_starts[here + 1]):
                    if times[row] >= row_uses or starts[row + 1] - starts[row] != 1:
                        continue
                    image = images[starts[row]]
                    if image_seen[image] == search:
                        continue
                    image_seen[image] = search
                    for at in range(image_starts[image], image_starts[image + 1]):
                        other = image_rows[at]
                        work -= 1
                        if times[other] == 0 or starts[other + 1] - starts[other] != 1:
                            continue
                        there = cell_of_row[other]
                        if cell_seen[there] == search or reached[there] > 0:
                            continue
                        cell_seen[there] = search
                        taken_in[there] = row
                        dropped[there] = other
                        queue[tail] = there
                        tail += 1
                        if _has_room(there, cursor, cell_starts, starts, images, image_uses,
                                     row_uses, times, uses):  # fmt: skip
                            end = there
                            break
                    if end >= 0:
                        break
            if end < 0:
                failures += 1
                for number in range(tail):
                    reached[queue[number]] = failures
                break
            _take(cursor[end], starts, images, times, uses)
            while end != cell:
                times[dropped[end]] -= 1
                times[taken_in[end]] += 1
                end = cell_of_row[taken_in[end]]
            short[cell] -= 1
            if work < 0:
                return work
    return work


@njit(nogil=True, cache=True)
def _has_room(
    cell: int, cursor: Ints, cell_starts: Ints, starts: Ints, images: Small, image_uses: int,
    row_uses: int, times: Small, uses: Small,
) -> bool:  # fmt: skip
    """Move a cell's cursor to a row that can be taken; such rows only ever get fewer."""
    while cursor[cell] < cell_starts[cell + 1]:
        row = cursor[cell]
        if times[row] < row_uses and _open(row, starts, images, uses, image_uses):
            return True
        cursor[cell] += 1
    return False
