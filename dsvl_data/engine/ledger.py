"""The ledger: what became of every document.

In: one `Entry` per document, from whoever converted it. Out: `ledger/<job>/part-*.parquet`
(`SCHEMA`), counts that must balance (`balances`), and everything known of one document or
sample (`explain`).
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsvl_data import storage
from dsvl_data.engine.partition import Plan, read_plans
from dsvl_data.outcome import Outcome, Reason, UserError
from dsvl_data.pipeline import DocumentRef, Dropped

#: Characters of an error that are kept.
_DETAIL = 4000
_DROP = pa.struct(
    [
        ("item", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("score", pa.float64()),
    ]
)
#: A ledger's columns. One row is one document.
SCHEMA = pa.schema(
    [
        ("document", pa.string()),
        ("uri", pa.string()),
        ("partition", pa.int32()),
        ("position", pa.int32()),  # within the partition
        ("outcome", pa.string()),
        ("reason", pa.string()),  # null when kept
        ("detail", pa.string()),
        ("samples", pa.int32()),
        ("images", pa.int32()),
        ("keys", pa.list_(pa.string())),  # of its samples, in order
        ("drops", pa.list_(_DROP)),
        ("seconds", pa.float64()),
        ("bytes", pa.int64()),
        ("licence", pa.string()),  # as the worker found it, where rows bring their own
    ]
)


class BalanceError(Exception):
    """Documents or samples went missing, or appeared from nowhere: a fault of the engine."""


@dataclass(slots=True)
class Entry:
    """What became of one document: a row of the ledger. `position` is within its partition."""

    ref: DocumentRef
    position: int
    outcome: Outcome
    reason: Reason | None = None
    detail: str = ""
    keys: Sequence[str] = ()
    images: int = 0
    drops: Sequence[Dropped] = ()
    seconds: float = 0.0

    @classmethod
    def failed(
        cls, ref: DocumentRef, position: int, reason: Reason, detail: str, seconds: float = 0.0
    ) -> Entry:
        """Make the entry of a document of which nothing was kept, for one reason."""
        return cls(ref, position, reason.outcome, reason, detail, seconds=seconds)


@dataclass(slots=True)
class Counts:
    """Documents by outcome and reason, items by outcome and reason, and what they gave."""

    documents: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    item_outcomes: Counter[str] = field(default_factory=Counter)
    item_reasons: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    images: int = 0

    def add(self, other: Counts) -> None:
        """Add the counts of other documents."""
        self.documents += other.documents
        self.outcomes += other.outcomes
        self.reasons += other.reasons
        self.item_outcomes += other.item_outcomes
        self.item_reasons += other.item_reasons
        self.samples += other.samples
        self.images += other.images


def table(entries: Sequence[Entry], partition: int) -> pa.Table:
    """Turn entries into a table of `SCHEMA`."""
    drops = [
        [
            {
                "item": _text(drop.item),
                "outcome": str(drop.reason.outcome),
                "reason": str(drop.reason),
                "detail": _text(drop.detail),
                "score": drop.score,
            }
            for drop in entry.drops
        ]
        for entry in entries
    ]
    columns = [
        pa.array([entry.ref.id for entry in entries], pa.string()),
        pa.array([entry.ref.uri for entry in entries], pa.string()),
        pa.repeat(pa.scalar(partition, pa.int32()), len(entries)),
        pa.array([entry.position for entry in entries], pa.int32()),
        pa.array([entry.outcome.value for entry in entries], pa.string()),
        pa.array([None if e.reason is None else str(e.reason) for e in entries], pa.string()),
        pa.array([_text(entry.detail) for entry in entries], pa.string()),
        pa.array([len(entry.keys) for entry in entries], pa.int32()),
        pa.array([entry.images for entry in entries], pa.int32()),
        pa.array([entry.keys for entry in entries], pa.list_(pa.string())),
        pa.array(drops, pa.list_(_DROP)),
        pa.array([entry.seconds for entry in entries], pa.float64()),
        pa.array([entry.ref.size for entry in entries], pa.int64()),
        pa.array([_text(entry.ref.licence) for entry in entries], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def write(rows: pa.Table, local_path: str) -> None:
    """Write a ledger file to a local path."""
    pq.write_table(rows, local_path, compression="zstd")


def read(file: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a ledger file."""
    # Closed here: thousands are read in one go.
    with storage.open_input(file) as source:
        chosen = None if columns is None else list(columns)
        return pq.ParquetFile(io.BytesIO(source.read())).read(chosen, use_threads=False)


def count(rows: pa.Table) -> Counts:
    """Count a ledger table (columns outcome, reason, samples, images, drops)."""
    drops = pc.list_flatten(rows.column("drops").combine_chunks())
    return Counts(
        documents=rows.num_rows,
        outcomes=_tally(rows.column("outcome")),
        reasons=_tally(rows.column("reason")),
        item_outcomes=_tally(pc.struct_field(drops, "outcome")),
        item_reasons=_tally(pc.struct_field(drops, "reason")),
        samples=pc.sum(rows.column("samples")).as_py() or 0,
        images=pc.sum(rows.column("images")).as_py() or 0,
    )


@dataclass(frozen=True)
class Share:
    """What became of some documents. `counts` has none that are pending: they have no rows."""

    documents: int
    pending: int
    counts: Counts

    def to_json(self) -> dict[str, Any]:
        """Return the form that `status --json` prints."""
        outcomes, items = self.counts.outcomes, self.counts.item_outcomes
        return {
            "in": self.documents,
            "kept": outcomes[Outcome.KEPT.value],
            "filtered": outcomes[Outcome.FILTERED.value],
            "duplicate": outcomes[Outcome.DUPLICATE.value],
            "quarantined": outcomes[Outcome.QUARANTINED.value],
            "pending": self.pending,
            "samples": self.counts.samples,
            "images": self.counts.images,
            "reasons": dict(sorted(self.counts.reasons.items())),
            "items": {
                "kept": self.counts.samples,
                "filtered": items[Outcome.FILTERED.value],
                "quarantined": items[Outcome.QUARANTINED.value],
                "reasons": dict(sorted(self.counts.item_reasons.items())),
            },
        }


@dataclass(frozen=True)
class Balance(Share):
    """One pipeline's account, from its plan, its ledger and its parts.

    `problems` says where it does not hold; empty when all is well. `done` and `partitions`
    count partitions. `datasets` are the shares of its data sets by name, in all this account.
    """

    partitions: int
    done: int
    datasets: Mapping[str, Share]
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the form that `status --json` prints."""
        form = super().to_json()
        if len(self.datasets) > 1:
            form["datasets"] = {name: share.to_json() for name, share in self.datasets.items()}
        return form


def balances(out: str) -> dict[str, Balance]:
    """Return the account of every pipeline of an output folder, by name.

    Streams over plans, ledgers and the footers of parts. `UserError` when nothing was built
    there.
    """
    plans = read_plans(out)
    if not plans:
        raise UserError(f"nothing was built in {out}: it has no plan; run `corpus build` first")
    return {plan.job.name: balance(plan) for plan in plans}


def balance(plan: Plan) -> Balance:
    """Return the account of one pipeline."""
    done = plan.done()
    counts = Counts()
    problems: list[str] = []
    columns = ("document", "uri", "outcome", "reason", "samples", "images", "drops")
    pending: Counter[str] = Counter()
    of_dataset: dict[str, Counts] = {}
    for partition in range(plan.partitions):
        if partition not in done:
            pending.update(plan.datasets(partition))
            continue
        rows = read(plan.ledger_path(partition), columns)
        here = count(rows)
        counts.add(here)
        for name, some in _by_dataset(rows).items():
            of_dataset.setdefault(name, Counts()).add(some)
        where = f"partition {partition}"
        if rows.column("document").to_pylist() != plan.ids(partition):
            problems.append(
                f"{where}: the ledger's {rows.num_rows} documents are not the "
                f"{plan.size_of(partition)} of the plan"
            )
        try:
            with storage.open_input(plan.part_path(partition)) as source:
                held = pq.read_metadata(source).num_rows
        except FileNotFoundError:
            problems.append(f"{where}: has a ledger and no part")
        except (OSError, pa.ArrowException) as error:
            problems.append(f"{where}: its part cannot be read: {error}")
        else:
            if held != here.samples:
                problems.append(
                    f"{where}: {held} samples in the part, {here.samples} by the ledger"
                )
    known = sum(counts.outcomes[outcome.value] for outcome in Outcome)
    if known + pending.total() != plan.documents:
        problems.append(
            f"in {plan.documents} is not kept + filtered + duplicate + quarantined {known} "
            f"+ pending {pending.total()}"
        )
    datasets = {
        name: Share(found.documents + pending[name], pending[name], found)
        for name in sorted({*of_dataset, *pending})
        for found in (of_dataset.get(name, Counts()),)
    }
    return Balance(
        plan.documents,
        pending.total(),
        counts,
        partitions=plan.partitions,
        done=len(done),
        datasets=datasets,
        problems=tuple(problems),
    )


def _by_dataset(rows: pa.Table) -> dict[str, Counts]:
    """Count a ledger table by data set: what stands before the URI in a document's id."""
    ids, uris = rows.column("document").to_pylist(), rows.column("uri").to_pylist()
    names = [document[: -len(uri) - 1] for document, uri in zip(ids, uris, strict=True)]
    different = dict.fromkeys(names)
    if len(different) == 1:
        return {names[0]: count(rows)}
    column = pa.array(names, pa.string())
    return {name: count(rows.filter(pc.equal(column, name))) for name in different}


def explain(out: str, name: str) -> list[dict[str, Any]]:
    """Return everything known of a document id or a sample key; empty when nobody knows it.

    One record for each pipeline that has the document: where it came from, what became of it
    and of its items and why, its samples with their scores, provenance and shard.
    """
    found: list[dict[str, Any]] = []
    for plan in read_plans(out):
        done = plan.done()
        for partition in range(plan.partitions):
            if partition not in done:
                ids = plan.ids(partition)
                if name in ids:
                    ref = plan.refs(partition)[ids.index(name)]
                    found.append(_known(plan, partition, ref) | {"outcome": "pending"})
                continue
            rows = read(plan.ledger_path(partition))
            match = pc.equal(rows.column("document"), name)
            keys = rows.column("keys").combine_chunks()
            holders = pc.list_parent_indices(keys).filter(pc.equal(pc.list_flatten(keys), name))
            positions = {*pc.indices_nonzero(match).to_pylist(), *holders.to_pylist()}
            for index in sorted(positions):
                row = rows.slice(index, 1).to_pylist()[0]
                ref = plan.refs(partition)[row["position"]]
                wanted = set(row["keys"]) if row["document"] == name else {name}
                samples = _samples(plan, partition, row["document"], wanted)
                shards = _shards(out, {sample["key"] for sample in samples})
                for sample in samples:
                    sample["shard"] = shards.get(sample["key"])
                del row["document"], row["uri"], row["partition"]
                if row.get("licence") is None:  # a ledger of an earlier version
                    row["licence"] = ref.licence
                found.append(_known(plan, partition, ref) | row | {"samples": samples})
    return found


def _known(plan: Plan, partition: int, ref: DocumentRef) -> dict[str, Any]:
    return {
        "pipeline": plan.job.name,
        "version": plan.fingerprint["version"],
        "document": ref.id,
        "dataset": ref.dataset,
        "uri": ref.uri,
        "licence": ref.licence,
        "path": ref.path,
        "offset": ref.offset,
        "bytes": ref.size,
        "partition": partition,
    }


def _samples(plan: Plan, partition: int, document: str, keys: set[str]) -> list[dict[str, Any]]:
    """Read what a part says of some samples of a document; images and texts stay on disk."""
    if not keys:
        return []
    columns = ("key", "document", "category", "language", "taxonomy", "scores", "provenance")
    with storage.open_input(plan.part_path(partition)) as source:
        rows = pq.read_table(
            source, columns=list(columns), filters=[("document", "=", document)]
        ).to_pylist()
    return [
        {
            "key": row["key"],
            "category": row["category"],
            "language": row["language"],
            "taxonomy": row["taxonomy"],
            "scores": dict(row["scores"]),
            "provenance": row["provenance"] | {"details": dict(row["provenance"]["details"])},
        }
        for row in rows
        if row["key"] in keys
    ]


def _shards(out: str, keys: set[str]) -> dict[str, str]:
    """Look samples up in the shard indexes, as far as shards were built: key to shard."""
    found: dict[str, str] = {}
    if keys:
        root = storage.join(out, "shards")
        for file in storage.find_files(root):
            if file.path.endswith(".index.parquet"):
                with storage.open_input(file.path) as source:
                    index = pq.read_table(
                        source, columns=["key"], filters=[("key", "in", sorted(keys))]
                    )
                shard = file.path[len(root) + 1 :].removesuffix(".index.parquet") + ".tar"
                found.update(dict.fromkeys(index.column("key").to_pylist(), shard))
    return found


def _tally(column: Any) -> Counter[str]:
    return Counter(
        {
            item["values"]: item["counts"]
            for item in pc.value_counts(column).to_pylist()
            if item["values"] is not None
        }
    )


def _text(value: str) -> str:
    if not value:
        return value
    return value[:_DETAIL].encode("utf-8", "backslashreplace").decode()
