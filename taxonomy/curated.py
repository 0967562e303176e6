"""Curation's word before the mix's: the index in; its rows that curation keeps, out.

A conversation that the recipe's rules leave out, or a duplicate, never gets into the shards, so no
mix should count on it. What only an earlier mix left out may come back.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsvl_data.curate import stored
from dsvl_data.outcome import Outcome, Reason


def usable(out: str, table: pa.Table) -> pa.Table:
    """Return rows of the index (with `key` and `part`) that curation, where it was done, keeps."""
    keep = np.ones(table.num_rows, np.bool_)
    for name in pc.unique(table["part"]).to_pylist():
        place = stored.path(out, stored.DECISIONS, name)
        if not stored.note(place):
            continue
        decisions = stored.read(place, ["key", "outcome", "reason"])
        kept = pc.equal(decisions["outcome"], Outcome.KEPT.value)
        unchosen = pc.equal(decisions["reason"], str(Reason.NOT_CHOSEN)).fill_null(False)
        gone = decisions["key"].filter(pc.invert(pc.or_(kept, unchosen)))
        if len(gone):
            rows = np.flatnonzero(np.asarray(pc.equal(table["part"], name), np.bool_))
            found = pc.is_in(table["key"].take(pa.array(rows)), gone.combine_chunks())
            keep[rows[np.asarray(found, np.bool_)]] = False
    return table if keep.all() else table.filter(pa.array(keep))
