"""As even as can be: how many of each leaf, where not every image suits every leaf.

In: groups of alike images, how many each has, the leaves that suit it, and how many different
leaves each image is to get. Out: for each group, how many of its images get which leaf. The sum of
the squares of the leaves' totals is the least there is: no leaf can be raised without lowering one
that has no more. Found unit by unit, each along the shortest chain of exchanges to the leaf that
has least (a network with separable convex cost: such chains are enough).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """Images that the same leaves suit."""

    images: int
    leaves: tuple[int, ...]


def spread(groups: Sequence[Group], each: int, leaves: int) -> list[dict[int, int]]:
    """Return for each group the number of its images by leaf: at most all of them for one leaf.

    An image gets `each` different leaves, or as many as suit it.
    """
    given: list[dict[int, int]] = [dict.fromkeys(group.leaves, 0) for group in groups]
    totals = [0] * leaves
    left = [group.images * min(each, len(group.leaves)) for group in groups]
    while any(left):
        for number, group in enumerate(groups):
            # In rounds, so that no group takes a leaf that others will need.
            for _ in range(min(left[number], max(1, group.images // 16))):
                _place(number, groups, given, totals)
                left[number] -= 1
    return given


def _place(
    start: int, groups: Sequence[Group], given: list[dict[int, int]], totals: list[int]
) -> None:
    """Give a group one more leaf: that of least total which a chain of exchanges reaches."""
    came: dict[int, tuple[int, int]] = {}  # leaf: the group that takes it, the leaf it gives for it
    seen = {start}
    queue: deque[tuple[int, int]] = deque([(start, -1)])
    while queue:
        number, gives = queue.popleft()
        for leaf, count in given[number].items():
            if leaf not in came and count < groups[number].images:
                came[leaf] = (number, gives)
        for leaf in list(came):
            for other, held in enumerate(given):
                if other not in seen and held.get(leaf, 0) > 0:
                    seen.add(other)
                    queue.append((other, leaf))
    leaf = min(came, key=lambda found: (totals[found], found))
    totals[leaf] += 1
    while leaf >= 0:
        number, gives = came[leaf]
        given[number][leaf] += 1
        if gives >= 0:
            given[number][gives] -= 1
        leaf = gives
