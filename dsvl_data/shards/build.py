"""From parts to shards, manifest and data card.

In: `DIR/parts/<pipeline>/part-*.parquet`. Out: `DIR/shards/<category>/<category>-00000.tar`
with their indexes, `DIR/manifest.json`, `DIR/README.md`. The plan (`plan.py`) settles which
parts become which shards; here each group of parts is read once, shuffled and written, in
this process or in Ray tasks. Where a recipe curates, a part is read as if what was left out had
never been in it (`curate/select.py`). A note in `DIR/shards/.groups/` says that a group is done and
from what; so a build that is started again does what is missing, and nothing if nothing is.

Memory of a worker: `memory_mb` of samples (what is beyond that passes through a file), one
batch of rows of a part, and about a kilobyte of index for each sample of its group.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.curate import mix as mixes
from dsvl_data.curate import select
from dsvl_data.curate.chosen import repeat
from dsvl_data.curate.settings import Curation
from dsvl_data.engine.tasks import Executor, Tasks
from dsvl_data.pipeline import Settings
from dsvl_data.sample import Sample, from_batch
from dsvl_data.shards import manifest as manifests
from dsvl_data.shards.card import write_card
from dsvl_data.shards.index import INDEX_SUFFIX, TAR_SUFFIX, Entry, index_path
from dsvl_data.shards.manifest import Breakdown, Manifest, ShardRecord
from dsvl_data.shards.plan import (
    PARTS,
    SHARDS,
    Group,
    Part,
    ShardSettings,
    cut,
    list_parts,
    plan,
    read_part,
    shuffle_key,
)
from dsvl_data.shards.tokens import token_counter
from dsvl_data.shards.write import STAGING_PREFIX, Encoded, ShardError, encode, write_shard

__all__ = ["BuildResult", "Progress", "ShardError", "ShardSettings", "build_shards"]

_NOTES = f"{SHARDS}/.groups"
_ROWS = 32  # rows decoded at once; bounds what pages with large images cost
_READ_BUFFER = 4 << 20
_MB = 1_000_000
_PARTS_A_TASK = 64


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is: groups that need work, and what those done have become."""

    groups: int
    done: int
    shards: int
    samples: int
    bytes: int


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build did: shards written anew, shards kept from before, files removed."""

    manifest: Manifest
    written: int
    kept: int
    removed: int


class _Note(Settings):
    """What is remembered of a finished group."""

    digest: str
    category: str
    shards: list[ShardRecord]
    members: list[str]
    totals: Breakdown


def build_shards(
    out: str,
    settings: ShardSettings,
    *,
    recipe: Mapping[str, Any] | None = None,
    dropped: Mapping[str, Mapping[str, int]] | None = None,
    curation: Curation | None = None,
    left_out: Mapping[str, Mapping[str, int]] | None = None,
    executor: Executor = "ray",
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> BuildResult:
    """Build or complete the shards of an output folder.

    `recipe` (JSON values) goes into manifest and data card, `dropped` (per pipeline, how many
    documents for which reason) into the card. With `curation`, by whose rules `curate.run` has
    decided before, only what is kept gets into shards; `left_out` counts the other samples for
    the card, as `dropped` does documents. Its `mix` gets into manifest, card and
    `DIR/curation/mix.json`, with no other effect on shards.

    `executor="ray"` runs at most `workers` tasks at a time (None: as many as the cluster has
    CPUs), on the Ray that is connected or one that it starts; `"local"` runs everything in this
    process, one group after the other.

    The shards depend on the parts' samples and names and on the settings; not on executor,
    workers, row groups or crashes. Raises `ShardError` for unreadable parts, a key that occurs
    twice in a group, or samples that no shard can hold; `OSError` when the store fails.
    """
    if not storage.exists(storage.join(out, PARTS)):
        raise ShardError(
            f"{out} has no parts to build shards from; run `dsvl-data corpus build` with this --out"
        )
    counter = token_counter(settings.tokenizer)
    run = Tasks(executor, workers)
    names = list_parts(out)
    slices = [names[i : i + _PARTS_A_TASK] for i in range(0, len(names), _PARTS_A_TASK)]
    parts = [
        part
        for found in run.map(_read_parts, [(out, s, curation) for s in slices])
        for part in found
    ]
    groups = plan(sorted(parts, key=lambda part: part.name), settings, counter.name)

    notes = {group.name: _finished(out, group) for group in groups}
    present = {file.path: file.size for file in storage.find_files(storage.join(out, SHARDS))}
    for name, note in notes.items():
        if note is not None and not _all_there(out, note, present):
            notes[name] = None
    pending = [group for group in groups if notes[group.name] is None]
    kept = sum(len(group.shards) for group in groups) - sum(len(g.shards) for g in pending)
    removed = _sweep(out, groups)
    if pending or removed:
        # A manifest must not name shards that are about to change.
        storage.remove(storage.join(out, manifests.NAME))

    state = Progress(len(pending), 0, 0, 0, 0)
    for name, note in run.map(
        _build_group, [(out, group, settings, curation) for group in pending]
    ):
        notes[name] = note
        state = replace(
            state,
            done=state.done + 1,
            shards=state.shards + len(note.shards),
            samples=state.samples + sum(shard.samples for shard in note.shards),
            bytes=state.bytes + sum(shard.bytes for shard in note.shards),
        )
        if progress is not None:
            progress(state)

    done = [note for group in groups if (note := notes[group.name]) is not None]
    members: dict[str, set[str]] = {}
    for note in done:
        members.setdefault(note.category, set()).update(note.members)
    totals = manifests.merge(note.totals for note in done)
    rules = curation.mix if curation else None
    mix = mixes.make(rules, manifests.amounts(totals)) if rules else None
    manifest = manifests.make(
        [shard for note in done for shard in note.shards],
        totals,
        members,
        recipe=recipe or {},
        settings=settings,
        tokenizer=counter.name,
        mix=mix,
    )
    if mix is None:
        storage.remove(storage.join(out, mixes.REPORT))
    else:
        _write_if_new(storage.join(out, mixes.REPORT), mixes.encode(mix))
    _write_if_new(
        storage.join(out, "README.md"), write_card(manifest, dropped or {}, left_out or {}).encode()
    )
    _write_if_new(storage.join(out, manifests.NAME), manifests.encode_manifest(manifest))
    return BuildResult(manifest, len(manifest.shards) - kept, kept, removed)


def _read_parts(job: tuple[str, Sequence[str], Curation | None]) -> list[Part]:
    out, names, curation = job
    parts = [read_part(out, name) for name in names]
    return parts if curation is None else [select.narrow(out, part, curation) for part in parts]


def _build_group(job: tuple[str, Group, ShardSettings, Curation | None]) -> tuple[str, _Note]:
    """Read a group's parts, shuffle their samples, write the shards and the note."""
    out, group, settings, curation = job
    note_path = _note_path(out, group)
    storage.remove(note_path)
    counter = token_counter(settings.tokenizer)
    scratch = storage.join(out, SHARDS) if storage.is_local(out) else None
    if scratch is not None:
        storage.make_folder(scratch)
    with _Spool(round(settings.memory_mb * _MB), scratch) as spool:
        for part in group.parts:
            path = storage.join(out, PARTS, part)
            uses = None if curation is None else select.times(out, part)
            for samples, times in _read_samples(path, group.category, uses):
                if curation is not None:
                    samples = repeat(select.mask(samples, curation), times)
                tokens = counter.count([sample.text for sample in samples])
                for sample, count in zip(samples, tokens, strict=True):
                    spool.add(encode(sample, count), part)
        order = spool.order(settings.seed)
        runs = cut([spool.size(number) for number in order], len(group.shards))
        if len(runs) != len(group.shards):
            raise ShardError(
                f"the parts of {group.name} changed while their shards were built; run it again"
            )
        records, totals = [], []
        members: set[str] = set()
        for name, (start, stop) in zip(group.shards, runs, strict=True):
            samples_of = (spool.read(number) for number in order[start:stop])
            digest, entries = write_shard(storage.join(out, name), samples_of)
            totals.append(manifests.breakdown(entries))
            members.update(member.name for entry in entries for member in entry.members)
            records.append(manifests.shard_record(name, group.category, digest, totals[-1]))
    note = _Note(
        digest=group.digest,
        category=group.category,
        shards=records,
        members=manifests.sort_members(members),
        totals=manifests.merge(totals),
    )
    storage.atomic_write(note_path, note.model_dump_json().encode())
    return group.name, note


def _read_samples(
    path: str, category: str, uses: NDArray[np.int32] | None
) -> Iterator[tuple[list[Sample], list[int]]]:
    """Yield a part's samples of one category with how often each is used, a batch at a time.

    No row group is loaded whole. `uses` says so of each row; None: all are used once.
    """
    done = 0
    try:
        with storage.open_input(path) as source:
            file = pq.ParquetFile(source, buffer_size=_READ_BUFFER, pre_buffer=False)
            for batch in file.iter_batches(batch_size=_ROWS, use_threads=False):
                wanted = np.array(pc.equal(batch.column("category"), category), np.bool_)
                times = wanted.astype(np.int32)
                if uses is not None:
                    times *= uses[done : done + batch.num_rows]
                done += batch.num_rows
                mine = batch.filter(pa.array(times > 0))
                if mine.num_rows:
                    yield list(from_batch(mine)), times[times > 0].tolist()
    except (OSError, pa.ArrowException) as error:
        raise ShardError(
            f"{path} cannot be read: {error}; remove it and run `dsvl-data corpus build` again"
        ) from error


class _Spool:
    """The encoded samples of a group: in memory up to `limit` bytes, behind that in a file."""

    def __init__(self, limit: int, scratch: str | None) -> None:
        self._limit = limit
        self._scratch = scratch
        self._held = 0
        self._written = 0
        self._file: IO[bytes] | None = None
        self._entries: list[Entry] = []
        self._sizes: list[int] = []
        #: The payloads, or where they begin in the file.
        self._places: list[Sequence[bytes | memoryview] | int] = []
        self._parts: dict[str, str] = {}

    def __enter__(self) -> _Spool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, sample: Encoded, part: str) -> None:
        """Take a sample; `ShardError` if its key is there already."""
        entry = sample.entry
        if entry.key in self._parts:
            raise ShardError(
                f"sample {entry.key!r} of {entry.document!r} occurs twice, in {PARTS}/"
                f"{self._parts[entry.key]} and {PARTS}/{part}: a recipe lists the same document "
                "in two inputs or pipelines; take one out, and remove the part that it made"
            )
        self._parts[entry.key] = part
        self._entries.append(entry)
        self._sizes.append(sample.size)
        self._held += sample.size
        if self._held <= self._limit:
            self._places.append(sample.payloads)
            return
        if self._file is None:
            # Without a name, so that no crash can leave it behind; closed by __exit__.
            self._file = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115
        self._places.append(self._written)
        for payload in sample.payloads:
            self._written += self._file.write(payload)

    def order(self, seed: int) -> list[int]:
        """Return the numbers of the samples in their shuffled order."""
        keys = [shuffle_key(seed, entry.key) for entry in self._entries]
        return sorted(range(len(keys)), key=keys.__getitem__)

    def size(self, number: int) -> int:
        """Bytes that a sample takes in a tar."""
        return self._sizes[number]

    def read(self, number: int) -> Encoded:
        """Return a sample."""
        entry, place = self._entries[number], self._places[number]
        if not isinstance(place, int):
            return Encoded(entry, place)
        assert self._file is not None
        self._file.seek(place)
        return Encoded(entry, [self._file.read(member.size) for member in entry.members])


def _finished(out: str, group: Group) -> _Note | None:
    """Return the note of a group that was built from the same parts and settings."""
    try:
        note = _Note.model_validate_json(storage.read_bytes(_note_path(out, group)))
    except (FileNotFoundError, ValueError):  # none, or one of another version
        return None
    return note if note.digest == group.digest else None


def _all_there(out: str, note: _Note, present: Mapping[str, int]) -> bool:
    paths = [(storage.join(out, shard.path), shard.bytes) for shard in note.shards]
    return all(present.get(p) == size and index_path(p) in present for p, size in paths)


def _sweep(out: str, groups: Iterable[Group]) -> int:
    """Remove stale shards, indexes and notes, and what crashes left; returns how many files.

    Files of other kinds are not ours to remove; `verify` names them.
    """
    wanted = {shard for group in groups for shard in group.shards}
    wanted |= {index_path(shard) for shard in wanted}
    wanted |= {f"{_NOTES}/{group.name}.json" for group in groups}
    removed = 0
    root = storage.join(out, SHARDS)
    for folder in storage.list_names(root):
        for name in storage.list_names(storage.join(root, folder)):
            ours = name.endswith((TAR_SUFFIX, INDEX_SUFFIX)) or folder == ".groups"
            if name.startswith(STAGING_PREFIX) or (
                ours and f"{SHARDS}/{folder}/{name}" not in wanted
            ):
                storage.remove(storage.join(root, folder, name))
                removed += 1
    return removed


def _note_path(out: str, group: Group) -> str:
    return storage.join(out, _NOTES, f"{group.name}.json")


def _write_if_new(path: str, data: bytes) -> None:
    try:
        if storage.read_bytes(path) == data:
            return
    except FileNotFoundError:
        pass  # then it is written below
    storage.atomic_write(path, data)
