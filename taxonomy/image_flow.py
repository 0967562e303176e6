"""Uses that flow from images into cells, as columns of the program: exact, where they are few.

In: candidates. Out: a `Flow`: for every kind of image that is in several cells a column for each
of these, how many uses of such images go there. Images are of one kind when they have as many
conversations in the same cells; uses of n images of a kind can be parted among them (integer
decomposition), so a kind needs no more columns than an image. Images of one cell alone only bound
that cell.
"""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import scipy.sparse as sparse

from taxonomy.assignment import Candidates
from taxonomy.program import Flow

#: Beyond these the program takes minutes, and cuts have to do.
MOST_PAIRS, MOST_COLUMNS = 1_000_000, 100_000


def image_flow(candidates: Candidates) -> Flow | None:
    """Return the flow of images, None when it has too many columns.

    Each conversation counts by its primary image; see `assignment.py`.
    """
    cells = len(candidates.starts) - 1
    uses, most = candidates.conversation_uses, candidates.image_uses
    contested = np.flatnonzero(candidates.primary >= 0)
    if len(contested) > MOST_PAIRS:
        return None
    cell_of_row = candidates.cell_of_row
    pairs = candidates.primary[contested].astype(np.int64) * cells + cell_of_row[contested]
    pair, count = np.unique(pairs, return_counts=True)
    image, cell = pair // cells, pair % cells
    free = np.bincount(cell_of_row[candidates.primary < 0], minlength=cells) * uses
    kinds: Counter[tuple[tuple[int, int], ...]] = Counter()
    starts = np.flatnonzero(np.diff(image, prepend=-1))
    for start, end in itertools.pairwise([*starts.tolist(), len(image)]):
        if end - start == 1:
            free[cell[start]] += min(most, uses * int(count[start]))
        else:
            there, counts = cell[start:end].tolist(), count[start:end].tolist()
            kinds[tuple(zip(there, counts, strict=True))] += 1
    columns = sum(len(kind) for kind in kinds)
    if columns > MOST_COLUMNS:
        return None
    upper, into, of_kind = np.empty(columns), np.empty(columns, np.int64), []
    at = 0
    for number, (kind, images) in enumerate(kinds.items()):
        for where, conversations in kind:
            upper[at] = images * min(most, uses * conversations)
            into[at] = where
            of_kind.append(number)
            at += 1
    every = np.arange(columns)
    # A cell takes no more than what flows into it and what it has without these images.
    inflow = sparse.csr_matrix((-np.ones(columns), (into, every)), shape=(cells, columns))
    outflow = sparse.csr_matrix((np.ones(columns), (of_kind, every)), shape=(len(kinds), columns))
    matrix = sparse.vstack(
        [
            sparse.hstack([sparse.identity(cells), inflow]),
            sparse.hstack([sparse.csr_matrix((len(kinds), cells)), outflow]),
        ]
    ).tocsr()
    limits = np.array([images * most for images in kinds.values()], np.float64)
    return Flow(upper, matrix, np.concatenate([free.astype(np.float64), limits]))
