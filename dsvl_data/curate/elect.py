"""Of samples that are the same, one is kept: groups of samples in, losers and their winners out.

In: for every part, which of its samples belong together (`exact.py` by hashes, `clusters.py` by
signatures), and what they are ranked by. Out: `DIR/curation/clusters/<kind>/clusters-*.parquet`,
a row for each member of a group of two or more: who it is, and who represents it.

One kind after the other, from exact to near: who has lost already takes no part any more, and
neither does who does not pass the rules, so a group never ends with a representative that is not
in the corpus. A representative may lose later, to one of another kind.

Both ways go through files, with no sort of the whole: a slice of parts is sent off by the first
bits of its groups' numbers (a row group for each prefix), a prefix elects and answers by slices
(a row group for each slice). Memory of a task: the rows of one slice, or of one prefix, some
hundred bytes each. The result does not depend on how many slices and prefixes there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.curate import exact, measure, near_image, near_text, stored
from dsvl_data.curate.judge import passes
from dsvl_data.curate.length import CHARACTERS
from dsvl_data.curate.measure import Measured
from dsvl_data.curate.settings import Curation, DuplicateRules, ExactKind
from dsvl_data.outcome import Reason

STAGE = "clusters"
NEAR_TEXT, NEAR_IMAGE = "near_text", "near_image"

#: A kind of duplicates: the ways of being the same, in the order in which they are looked for.
Kind: TypeAlias = str
REASONS: dict[Kind, Reason] = {
    "pair": Reason.DUPLICATE_PAIR,
    "text": Reason.DUPLICATE_TEXT,
    "image": Reason.DUPLICATE_IMAGE,
    NEAR_IMAGE: Reason.NEAR_DUPLICATE_IMAGE,
    NEAR_TEXT: Reason.NEAR_DUPLICATE_TEXT,
}

_FORMAT = 2
_SLICE_ROWS = 1_000_000
_SLICE_PARTS = 256
_PREFIX_ROWS = 4_000_000


@dataclass(frozen=True, slots=True)
class Election:
    """One election over a whole corpus, the same for every task of it.

    `slices` are runs of the sorted list of parts; `fingerprint` changes with anything that may
    change who wins.
    """

    out: str
    settings: Curation
    kinds: tuple[Kind, ...]
    slices: tuple[tuple[Measured, ...], ...]
    prefixes: int
    fingerprint: str

    def sent(self, kind: Kind, number: int) -> str:
        """Where a slice's rows of one kind wait for the election."""
        return stored.path(self.out, STAGE, f"{kind}/sent-{number:05d}.parquet")

    def result(self, kind: Kind, prefix: int) -> str:
        """Where a prefix's groups of one kind stand with their representatives."""
        return stored.path(self.out, STAGE, f"{kind}/clusters-{prefix:05d}.parquet")

    def results(self, kind: Kind) -> list[str]:
        """Return all of a kind's."""
        return [self.result(kind, prefix) for prefix in range(self.prefixes)]

    def is_done(self, place: str) -> bool:
        """Whether a table is of this election."""
        return stored.note(place).get("fingerprint") == self.fingerprint


@dataclass(frozen=True, slots=True)
class Losers:
    """The rows of one part that lost: why, and the key of who won."""

    rows: NDArray[np.int64]
    kinds: list[Kind]
    of: list[str]


def kinds(settings: Curation) -> tuple[Kind, ...]:
    """Return the kinds of duplicates that a recipe leaves out, in order."""
    duplicates = settings.duplicates
    if duplicates is None:
        return ()
    by = duplicates.exact.by if duplicates.exact else ()
    chosen = [kind for kind in ("pair", "text", "image") if kind in by]
    near = {NEAR_IMAGE: duplicates.near_image, NEAR_TEXT: duplicates.near_text}
    return (*chosen, *(kind for kind, rules in near.items() if rules))


def call(out: str, settings: Curation, parts: Sequence[Measured], near: str) -> Election:
    """Set an election up; `near` changes with the groups of near-duplicates."""
    slices: list[tuple[Measured, ...]] = []
    held: list[Measured] = []
    for part in parts:
        rows = sum(each.rows for each in held)
        if held and (len(held) == _SLICE_PARTS or rows + part.rows > _SLICE_ROWS):
            slices.append(tuple(held))
            held = []
        held.append(part)
    if held:
        slices.append(tuple(held))
    prefixes = max(1, -(-sum(part.rows for part in parts) // _PREFIX_ROWS))
    listed = [[part.name, part.fingerprint] for part in parts]
    fingerprint = stored.digest(_FORMAT, settings.judging(), listed, near, prefixes)
    return Election(out, settings, kinds(settings), tuple(slices), prefixes, fingerprint)


def send(job: tuple[Election, Kind, int]) -> None:
    """Send a slice's candidates of one kind off to the prefixes of their groups."""
    election, kind, number = job
    place = election.sent(kind, number)
    if election.is_done(place):
        return
    tables = []
    earlier = election.kinds[: election.kinds.index(kind)]
    lost = losers(election, number, earlier)
    for position, part in enumerate(election.slices[number]):
        table = measure.read(election.out, part.name)
        passing = passes(table, election.settings)
        passing[lost[position].rows] = False
        group, grouped = _groups(election, part, table, kind)
        rows = np.flatnonzero(passing & grouped)
        chosen = table.take(pa.array(rows))
        tables.append(
            pa.table(
                {
                    "high": group[rows, 0],
                    "low": group[rows, 1],
                    "slice": np.full(len(rows), number, np.int32),
                    "part": np.full(len(rows), position, np.int32),
                    "row": rows,
                    "key": chosen.column("key"),
                    "longest": chosen.column(CHARACTERS),
                    "best_score": _score(chosen, election.settings.duplicates),
                }
            )
        )
    candidates = pa.concat_tables(tables)
    high = np.asarray(candidates.column("high"))
    # The first bits of a hash are as good as any; a cluster's number is spread first.
    spread = (high * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    prefixes = (spread % np.uint64(election.prefixes)).astype(np.int64)
    stored.write(place, candidates, {"fingerprint": election.fingerprint}, prefixes)


def elect(job: tuple[Election, Kind, int]) -> None:
    """Settle the groups of one kind whose numbers have one prefix."""
    election, kind, prefix = job
    place = election.result(kind, prefix)
    if election.is_done(place):
        return
    sent = [election.sent(kind, number) for number in range(len(election.slices))]
    table = stored.read_bucket(sent, prefix)
    order = [("high", "ascending"), ("low", "ascending")]
    duplicates = election.settings.duplicates
    for preference in duplicates.prefer if duplicates else ():
        if preference == "first":
            break
        order.append((preference, "descending"))
    order += [("slice", "ascending"), ("part", "ascending"), ("row", "ascending")]
    table = table.take(pc.sort_indices(table, sort_keys=order))
    high, low = np.asarray(table.column("high")), np.asarray(table.column("low"))
    begins = np.ones(len(high), np.bool_)
    begins[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    starts = np.flatnonzero(begins)
    sizes = np.diff(np.append(starts, len(high)))
    winners = np.repeat(starts, sizes)
    several = np.flatnonzero(np.repeat(sizes, sizes) > 1)
    keys = table.column("key")
    found = table.select(["slice", "part", "row", "key"]).take(pa.array(several))
    found = found.append_column("representative", keys.take(pa.array(winners[several])))
    slices = np.asarray(found.column("slice")).astype(np.int64)
    stored.write(place, found, {"fingerprint": election.fingerprint}, slices)


def losers(election: Election, number: int, chosen: Sequence[Kind] | None = None) -> list[Losers]:
    """Return who lost of each part of a slice, by all kinds or by some."""
    parts = len(election.slices[number])
    rows: list[list[int]] = [[] for _ in range(parts)]
    why: list[list[Kind]] = [[] for _ in range(parts)]
    of: list[list[str]] = [[] for _ in range(parts)]
    for kind in election.kinds if chosen is None else chosen:
        table = stored.read_bucket(election.results(kind), number)
        table = table.filter(pc.not_equal(table.column("key"), table.column("representative")))
        columns = (table.column(name).to_pylist() for name in ("part", "row", "representative"))
        for part, row, representative in zip(*columns, strict=True):
            rows[part].append(row)
            why[part].append(kind)
            of[part].append(representative)
    return [Losers(np.array(rows[part], np.int64), why[part], of[part]) for part in range(parts)]


def sweep(election: Election) -> None:
    """Remove what is not of this election, and what was sent."""
    root = storage.join(election.out, stored.ROOT, STAGE)
    for kind in REASONS:
        wanted = set(election.results(kind)) if kind in election.kinds else set()
        for name in storage.list_names(storage.join(root, kind)):
            ours = name.startswith(("sent-", "clusters-"))
            if ours and (place := storage.join(root, kind, name)) not in wanted:
                storage.remove(place)


def members(out: str, key: str) -> Iterator[tuple[Kind, list[str]]]:
    """Yield for each kind the keys of those that a sample represents."""
    root = storage.join(out, stored.ROOT, STAGE)
    for kind in REASONS:
        found: list[str] = []
        for name in storage.list_names(storage.join(root, kind)):
            if name.startswith("clusters-"):
                table = stored.read(storage.join(root, kind, name), ["key", "representative"])
                mine = table.filter(pc.equal(table.column("representative"), key))
                found += [each for each in mine.column("key").to_pylist() if each != key]
        if found:
            yield kind, sorted(found)


def _groups(
    election: Election, part: Measured, measures: pa.Table, kind: Kind
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Say which samples of a part belong together, as `exact.groups` does."""
    duplicates = election.settings.duplicates
    if kind not in (NEAR_IMAGE, NEAR_TEXT):
        return exact.groups(measures, cast(ExactKind, kind))
    assert duplicates is not None
    if kind == NEAR_IMAGE:
        assert duplicates.near_image is not None
        categories = duplicates.near_image.categories
        found, there = near_image.groups(election.out, part.name)
        if duplicates.near_image.by == "pair":
            # An image with another text, or with none, is another sample.
            found = found * np.uint64(0x9E3779B97F4A7C15) + exact.groups(measures, "text")[0]
    else:
        assert duplicates.near_text is not None
        categories = duplicates.near_text.categories
        found, there = near_text.groups(election.out, part.name)
    if categories:
        there &= np.asarray(pc.is_in(measures.column("category"), pa.array(categories)))
    return found, there


def _score(table: pa.Table, duplicates: DuplicateRules | None) -> pa.Array:
    """The score that candidates are ranked by; those that have none come last."""
    name = duplicates.score if duplicates else None
    if name is None:
        return pa.array(np.zeros(table.num_rows))
    if name in table.column_names:
        found = table.column(name).combine_chunks().cast(pa.float64())
    else:
        scores = table.column("scores").combine_chunks()
        found = pc.map_lookup(scores, pa.scalar(name), "last").cast(pa.float64())
    values = np.asarray(pc.fill_null(found, -np.inf))
    return pa.array(np.where(np.isnan(values), -np.inf, values))
