"""Connected components from edges that arrive in any order.

In: pairs of numbers of documents. Out: for each document the smallest number in its component,
which is the same whatever the order, the number or the repetition of the pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


class UnionFind:
    """Components of the documents 0 to `documents` - 1; 4 bytes each (8 beyond 4 billion)."""

    def __init__(self, documents: int) -> None:
        dtype = np.uint32 if documents <= 1 << 32 else np.int64
        self.documents = documents
        self._above: NDArray[Any] = np.arange(documents, dtype=dtype)

    def join(self, left: Numbers, right: Numbers) -> None:
        """Join the components of each pair; `IndexError` for a number out of range."""
        for numbers in (left, right):
            if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(self._above):
                raise IndexError(f"a pair names a document not in 0..{len(self._above) - 1}")
        if len(left) != len(right):
            raise ValueError("the pairs' sides differ in length")
        _join(self._above, left, right)

    def components(self) -> tuple[Numbers, Numbers]:
        """Return the documents in components of two and more, ascending, and their smallest."""
        _flatten(self._above)
        inner = _members(self._above)
        documents = np.flatnonzero(inner)
        return documents, self._above[documents].astype(np.int64)

    def smallest(self, documents: Numbers) -> Numbers:
        """Return the smallest number in the component of each of some documents."""
        _flatten(self._above)
        return self._above[documents].astype(np.int64)


@njit(nogil=True, cache=True)
def _root(above: Any, document: int) -> Any:
    at = np.int64(document)
    while above[at] != at:
        above[at] = above[above[at]]
        at = np.int64(above[at])
    return at


@njit(nogil=True, cache=True)
def _join(above: Any, left: Numbers, right: Numbers) -> None:
    for i in range(left.shape[0]):
        one, other = _root(above, left[i]), _root(above, right[i])
        # The smaller becomes the root: nothing depends on the order of the pairs.
        if one < other:
            above[other] = one
        elif other < one:
            above[one] = other


@njit(nogil=True, cache=True)
def _flatten(above: Any) -> None:
    for document in range(above.shape[0]):
        above[document] = above[above[document]]  # what is above is smaller: already flat


@njit(nogil=True, cache=True)
def _members(above: Any) -> NDArray[np.bool_]:
    inner = np.zeros(above.shape[0], np.bool_)
    for document in range(above.shape[0]):
        if above[document] != document:
            inner[document] = True
            inner[above[document]] = True
    return inner
