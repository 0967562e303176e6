"""The plan: what a pipeline's source listed, cut into partitions and kept on disk.

In: the `DocumentRef`s of a source, one pass, never all in memory. Out: `plan/<job>/plan.json`
with a fingerprint, and `plan/<job>/refs-*.parquet`, in which one row group is one partition.
The same inputs, options and version give the same partitions, so a run can go on where
another one stopped; with others it must not, and `make_plan` says what changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dsvl_data import storage
from dsvl_data.engine.job import Job, LoadedJob
from dsvl_data.engine.option_files import changed_files, digest_files
from dsvl_data.outcome import UserError
from dsvl_data.pipeline import DocumentRef

#: Partitions per file of the plan: few enough that a footer is read in a millisecond.
_FILE_PARTITIONS = 64
_SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("uri", pa.string()),
        ("licence", pa.string()),
        ("path", pa.binary()),  # a file name need not be UTF-8
        ("size", pa.int64()),
        ("offset", pa.int64()),
        ("meta", pa.string()),  # JSON
    ]
)


@dataclass(frozen=True)
class Plan:
    """The partitions of one job below an output folder, and the job that made them."""

    out: str
    job: Job
    documents: int
    bytes: int
    partition_size: int
    fingerprint: dict[str, Any] = field(repr=False)

    @property
    def partitions(self) -> int:
        """How many partitions there are."""
        return -(-self.documents // self.partition_size)

    def size_of(self, partition: int) -> int:
        """Documents in a partition."""
        return min(self.partition_size, self.documents - partition * self.partition_size)

    def part_path(self, partition: int) -> str:
        """Where the samples of a partition stand."""
        return storage.join(self.out, "parts", self.job.name, f"part-{partition:05d}.parquet")

    def ledger_path(self, partition: int) -> str:
        """Where the ledger of a partition stands; that it does proves the partition done."""
        return storage.join(self.out, "ledger", self.job.name, f"part-{partition:05d}.parquet")

    def done(self) -> set[int]:
        """Return the partitions that are done."""
        names = set(storage.list_names(storage.join(self.out, "ledger", self.job.name)))
        return {n for n in range(self.partitions) if f"part-{n:05d}.parquet" in names}

    def refs(self, partition: int) -> list[DocumentRef]:
        """Return a partition's documents, in order."""
        return list(_refs(self._read(partition)))

    def ids(self, partition: int) -> list[str]:
        """Return the ids of a partition's documents, in order."""
        table = self._read(partition, ["dataset", "uri"])
        datasets, uris = table.column("dataset").to_pylist(), table.column("uri").to_pylist()
        return [f"{dataset}:{uri}" for dataset, uri in zip(datasets, uris, strict=True)]

    def datasets(self, partition: int) -> list[str]:
        """Return the data sets of a partition's documents, in order."""
        names: list[str] = self._read(partition, ["dataset"]).column("dataset").to_pylist()
        return names

    def _read(self, partition: int, columns: list[str] | None = None) -> pa.Table:
        path = _refs_path(_folder(self.out, self.job.name), partition // _FILE_PARTITIONS)
        version = f"{self.fingerprint['located']}/{self.partition_size}"
        return _open(path, version).read_row_group(partition % _FILE_PARTITIONS, columns=columns)


def make_plan(loaded: LoadedJob, out: str, scratch: str) -> Plan:
    """List a job's documents and store the plan, or find that it is the stored one.

    `scratch` is a local folder. Raises `UserError` when there is no document, when two have
    one id, and when the output was begun with another recipe or other inputs.
    """
    listed = Path(scratch, f"plan-{loaded.name}")
    listed.mkdir(parents=True)
    plan = _list(loaded, out, str(listed))
    stored = read_plan(out, loaded.name)
    if stored is not None:
        changes = list(_changes(stored, plan, loaded, str(listed)))
        if changes:
            raise UserError(
                f"{out} was begun with another {loaded.name!r}:\n  "
                + "\n  ".join(changes)
                + f"\nTo discard what was made of it and start anew: --rebuild {loaded.name}; "
                "to keep it, choose another --out."
            )
    if stored is None or stored.fingerprint["located"] != plan.fingerprint["located"]:
        folder = _folder(out, loaded.name)
        storage.make_folder(folder)
        for path in sorted(listed.iterdir()):
            storage.commit(str(path), storage.join(folder, path.name))
    # Written last: a plan without it is none. Limits may differ from the stored ones.
    if stored != plan:
        _write(plan)
    return plan


def read_plan(out: str, name: str) -> Plan | None:
    """Return the stored plan of a job; None when there is none."""
    path = storage.join(_folder(out, name), "plan.json")
    if not storage.exists(path):
        return None
    record = json.loads(storage.read_bytes(path))
    fingerprint = record["fingerprint"]
    return Plan(
        out,
        Job.model_validate(record["job"]),
        fingerprint["documents"],
        record["bytes"],
        fingerprint["partition size"],
        fingerprint,
    )


def read_plans(out: str) -> list[Plan]:
    """Return the plans of all jobs that an output folder knows, by name."""
    names = storage.list_names(storage.join(out, "plan"))
    return [plan for name in names if (plan := read_plan(out, name)) is not None]


def _list(loaded: LoadedJob, out: str, folder: str) -> Plan:
    size, total, documents = loaded.partition_size, 0, 0
    listing, located = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
    hashes = array("q")
    refs = iter(loaded.pipeline.source(loaded.job.inputs, loaded.options))
    writer: pq.ParquetWriter | None = None
    partition = 0
    try:
        while chunk := list(islice(refs, size)):
            if partition % _FILE_PARTITIONS == 0:
                if writer is not None:
                    writer.close()
                path = _refs_path(folder, partition // _FILE_PARTITIONS)
                writer = pq.ParquetWriter(path, _SCHEMA, compression="zstd")
            assert writer is not None
            rows = [_row(ref) for ref in chunk]
            for row in rows:
                document = f"{row['dataset']}:{row['uri']}"
                hashes.append(hash(document))
                total += row["size"]
                _feed(listing, document, row["licence"], row["size"])
                _feed(located, row["path"], row["meta"], row["offset"])
            writer.write_table(pa.Table.from_pylist(rows, _SCHEMA), row_group_size=len(rows))
            documents += len(rows)
            partition += 1
    finally:
        if writer is not None:
            writer.close()
    if documents == 0:
        paths = ", ".join(spec.path for spec in loaded.job.inputs)
        raise UserError(
            f"pipeline {loaded.name!r} found no document of its kind in {paths}: "
            "check the inputs of the recipe"
        )
    _refuse_duplicates(loaded.name, hashes, folder)
    fingerprint = {
        "pipeline": loaded.job.pipeline,
        "version": loaded.pipeline.version,
        "options": loaded.options.model_dump(mode="json"),
        "files": digest_files(loaded.options),
        "partition size": size,
        "licences": sorted(loaded.job.licences),
        "documents": documents,
        "listing": listing.hexdigest(),
        "located": located.hexdigest(),
    }
    return Plan(out, loaded.job, documents, total, size, fingerprint)


def _refuse_duplicates(name: str, hashes: array[int], folder: str) -> None:
    # Eight bytes a document, exact in the end: only ids whose hashes meet are compared.
    ordered = np.sort(np.frombuffer(hashes, dtype=np.int64))
    suspects = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    if not suspects:
        return
    first: dict[str, str] = {}
    for ref in _stored_refs(folder):
        if hash(ref.id) in suspects:
            if ref.id in first:
                raise UserError(
                    f"pipeline {name!r}: two documents have the id {ref.id!r}: {first[ref.id]} "
                    f"and {ref.path}. Give their inputs different data set names, or remove one."
                )
            first[ref.id] = ref.path


def _changes(stored: Plan, plan: Plan, loaded: LoadedJob, listed: str) -> Iterator[str]:
    old, new = stored.fingerprint, plan.fingerprint
    for key in ("pipeline", "version", "partition size", "licences"):
        if old.get(key, []) != new[key]:  # older plans have no licences: all were kept
            yield f"{key}: was {old.get(key, [])!r}, is {new[key]!r}"
    for key in sorted(old["options"].keys() | new["options"].keys()):
        before, now = old["options"].get(key), new["options"].get(key)
        if before != now:
            yield f"option {key}: was {before!r}, is {now!r}"
    if old["options"] == new["options"]:
        yield from changed_files(old.get("files"), loaded.options)
    if old["listing"] != new["listing"]:
        yield from _listing_changes(_folder(stored.out, stored.job.name), listed)


def _listing_changes(before: str, now: str) -> Iterator[str]:
    old = {hash(ref.id): hash((ref.size, ref.licence)) for ref in _stored_refs(before)}
    added, changed, kept = [], [], set()
    for ref in _stored_refs(now):
        known = old.get(hash(ref.id))
        kept.add(hash(ref.id))
        if known is None:
            added.append(ref.id)
        elif known != hash((ref.size, ref.licence)):
            changed.append(ref.id)
    gone = [ref.id for ref in _stored_refs(before) if hash(ref.id) not in kept]
    nothing = True
    for word, ids in (("added", added), ("gone", gone), ("changed", changed)):
        if ids:
            nothing = False
            names = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
            yield f"documents {word}: {len(ids)} ({names})"
    if nothing:
        yield "the documents are listed in another order"


def _write(plan: Plan) -> None:
    record = {
        "job": plan.job.model_dump(mode="json"),
        "bytes": plan.bytes,
        "fingerprint": plan.fingerprint,
    }
    path = storage.join(_folder(plan.out, plan.job.name), "plan.json")
    storage.atomic_write(path, json.dumps(record, indent=1, sort_keys=True).encode())


def _row(ref: DocumentRef) -> dict[str, Any]:
    return {
        "dataset": _text(ref.dataset),
        "uri": _text(ref.uri),
        "licence": _text(ref.licence),
        "path": os.fsencode(ref.path),
        "size": ref.size,
        "offset": ref.offset,
        "meta": json.dumps(dict(ref.meta), sort_keys=True) if ref.meta else "{}",
    }


def _text(value: str) -> str:
    # A file name that is not UTF-8 arrives with lone surrogates, which no column can hold.
    return value.encode("utf-8", "backslashreplace").decode()


def _refs(table: pa.Table) -> Iterator[DocumentRef]:
    columns = [table.column(name).to_pylist() for name in _SCHEMA.names]
    for dataset, uri, licence, path, size, offset, meta in zip(*columns, strict=True):
        yield DocumentRef(
            dataset,
            uri,
            licence,
            os.fsdecode(path),
            size,
            offset,
            {} if meta == "{}" else json.loads(meta),
        )


def _stored_refs(folder: str) -> Iterator[DocumentRef]:
    for name in storage.list_names(folder):
        if name.startswith("refs-"):
            with pq.ParquetFile(storage.open_input(storage.join(folder, name))) as file:
                for group in range(file.num_row_groups):
                    yield from _refs(file.read_row_group(group))


@lru_cache(maxsize=4)
def _open(path: str, version: str) -> pq.ParquetFile:
    # `version` is there for the cache: a plan made anew is another file of the same name.
    return pq.ParquetFile(storage.open_input(path))


def _folder(out: str, name: str) -> str:
    return storage.join(out, "plan", name)


def _refs_path(folder: str, number: int) -> str:
    return storage.join(folder, f"refs-{number:05d}.parquet")


def _feed(state: hashlib.blake2b, first: str | bytes, second: str, number: int) -> None:
    a, b = first.encode() if isinstance(first, str) else first, second.encode()
    state.update(struct.pack("<IIq", len(a), len(b), number))
    state.update(a)
    state.update(b)
