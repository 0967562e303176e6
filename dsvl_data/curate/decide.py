"""What becomes of each sample: measures and duplicates in, one decision a sample out.

    DIR/curation/decisions/<pipeline>/part-*.parquet    a row a sample, in the part's order:
        key, document, category, outcome (kept, filtered, duplicate), reason, detail,
        of (the key of the sample that a duplicate is represented by), times (how often it stands
        in the shards: 0 unless kept, 1 unless a mix wants more), text_tokens, images

The rules come first, in the order of `criteria.py`; then duplicates, among those that pass; then
the mix (`chosen.py`), among what is left, so that a new mix changes no election.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from dsvl_data.curate import measure, stored
from dsvl_data.curate.chosen import Chosen
from dsvl_data.curate.elect import REASONS, Election, Losers, losers
from dsvl_data.curate.judge import failures, sentence
from dsvl_data.curate.masking import PiiScorer
from dsvl_data.curate.measure import TEXT_TOKENS, Measured
from dsvl_data.curate.settings import Curation
from dsvl_data.outcome import Outcome, Reason

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("document", pa.string()),
        ("category", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),  # null when kept
        ("detail", pa.string()),
        ("of", pa.string()),  # null but for duplicates
        ("times", pa.int32()),
        (TEXT_TOKENS, pa.int64()),
        ("images", pa.int32()),
    ]
)

_FORMAT = 2


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided of a part's samples, in numbers: samples by outcome."""

    name: str
    outcomes: dict[str, int]


def rules_digest(settings: Curation, chosen: Chosen | None) -> str:
    """Return what changes with anything that can change a decision, parts apart."""
    return stored.digest(settings.judging()) + (chosen.fingerprint if chosen else "")


def decide(job: tuple[Election, Chosen | None, int]) -> list[Decided]:
    """Decide on the parts of a slice, as far as it is not done."""
    election, chosen, number = job
    places = [
        stored.path(election.out, stored.DECISIONS, part.name) for part in election.slices[number]
    ]
    notes = [stored.note(place) for place in places]
    made = stored.digest(_FORMAT, election.fingerprint, chosen and chosen.fingerprint)
    stale = [i for i, note in enumerate(notes) if note.get("fingerprint") != made]
    if stale:
        lost = losers(election, number)
        times = {} if chosen is None else chosen.times(_keys(election, number, stale))
        for i in stale:
            part = election.slices[number][i]
            table = _decisions(election, part, lost[i], times.get(part.name))
            notes[i] = _note(election, table, part, made)
            notes[i]["rules"] = rules_digest(election.settings, chosen)
            notes[i]["named"] = _named(table, chosen, times.get(part.name))
            stored.write(places[i], table, notes[i])
    return [
        Decided(part.name, note["outcomes"])
        for part, note in zip(election.slices[number], notes, strict=True)
    ]


def _keys(election: Election, number: int, positions: list[int]) -> dict[str, pa.Table]:
    parts = [election.slices[number][i] for i in positions]
    return {part.name: measure.read(election.out, part.name, ["key", "category"]) for part in parts}


def _named(
    table: pa.Table, chosen: Chosen | None, times: NDArray[np.int32] | None
) -> dict[str, int]:
    """Count what a mix names of a part: conversations, their uses, and those that are served."""
    if chosen is None or times is None:
        return {}
    mine = np.asarray(
        pc.is_in(table.column("category"), pa.array(chosen.categories, pa.string())), np.bool_
    )
    wanted, served = times[mine], np.asarray(table.column("times"))[mine]
    return {
        "conversations": int((wanted > 0).sum()),
        "uses": int(wanted.sum()),
        "served": int(served.sum()),
    }


def _decisions(
    election: Election, part: Measured, lost: Losers, wanted: NDArray[np.int32] | None
) -> pa.Table:
    measures = measure.read(election.out, part.name)
    rows = measures.num_rows
    outcomes = [Outcome.KEPT.value] * rows
    reasons: list[str | None] = [None] * rows
    details = [""] * rows
    of: list[str | None] = [None] * rows
    for rule, failing in failures(measures, election.settings):
        values = measures.column(rule.column).take(pa.array(failing)).to_pylist()
        for row, value in zip(failing.tolist(), values, strict=True):
            outcomes[row] = rule.reason.outcome.value
            reasons[row] = str(rule.reason)
            details[row] = sentence(rule, value)
    for row, kind, representative in zip(lost.rows.tolist(), lost.kinds, lost.of, strict=True):
        outcomes[row] = REASONS[kind].outcome.value
        reasons[row] = str(REASONS[kind])
        of[row] = representative
    kept = np.array([outcome == Outcome.KEPT.value for outcome in outcomes], np.bool_)
    times = kept.astype(np.int32) if wanted is None else np.where(kept, wanted, 0)
    for row in np.flatnonzero(kept & (times == 0)).tolist():
        outcomes[row] = Reason.NOT_CHOSEN.outcome.value
        reasons[row] = str(Reason.NOT_CHOSEN)
    columns = [
        measures.column("key"),
        measures.column("document"),
        measures.column("category"),
        pa.array(outcomes, pa.string()),
        pa.array(reasons, pa.string()),
        pa.array(details, pa.string()),
        pa.array(of, pa.string()),
        pa.array(times, pa.int32()),
        measures.column(TEXT_TOKENS),
        measures.column("images"),
    ]
    return pa.table(columns, schema=SCHEMA)


def _note(election: Election, table: pa.Table, part: Measured, made: str) -> dict[str, Any]:
    """What those who read the decisions need before they read them."""
    kept = np.array(pc.equal(table.column("outcome"), Outcome.KEPT.value), np.bool_)
    times = np.asarray(table.column("times"))
    counts, uses, selections = {}, {}, {}
    for category in sorted(pc.unique(table.column("category")).to_pylist()):
        rows = np.array(pc.equal(table.column("category"), category), np.bool_)
        mine, used = kept[rows], times[rows]
        # A mix that repeats nothing selects as any other rule does.
        repeats = used.astype("<i4").tobytes() if (used > 1).any() else b""
        selections[category] = xxhash.xxh3_128_hexdigest(np.packbits(mine).tobytes() + repeats)
        if mine.any():
            counts[category] = int(mine.sum())
            uses[category] = int(used.sum())
    return {
        "fingerprint": made,
        "part": part.part,
        "outcomes": dict(sorted(Counter(table.column("outcome").to_pylist()).items())),
        "kept": counts,
        "uses": uses,
        "selections": selections,
        "masked": _masked(election, part, kept),
    }


def _masked(election: Election, part: Measured, kept: NDArray[np.bool_]) -> dict[str, int]:
    """Count what is masked in the samples that are kept, by kind."""
    if election.settings.pii is None:
        return {}
    counts = measure.read(election.out, part.name, list(PiiScorer.columns)).filter(pa.array(kept))
    totals = {name.removeprefix("pii_"): pc.sum(counts[name]).as_py() for name in PiiScorer.columns}
    return {kind: total for kind, total in totals.items() if total}
