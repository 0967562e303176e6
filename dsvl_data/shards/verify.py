"""Reads every byte of a corpus's shards back and says everything that is wrong with it.

In: an output folder with `manifest.json`. Out: a `Verification` that lists each problem with
its file, sample and remedy. The tars are read by Python's own `tarfile`, so that the writer
does not check itself; every image is decoded.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from dsvl_data import storage
from dsvl_data.outcome import DocumentError
from dsvl_data.read import images
from dsvl_data.sample import Sample, from_json
from dsvl_data.shards import manifest as manifests
from dsvl_data.shards.index import Entry, Index, content_hash, index_path, read_index
from dsvl_data.shards.manifest import Breakdown, Manifest, ShardRecord
from dsvl_data.shards.plan import SHARDS
from dsvl_data.shards.tokens import Estimate, TokenCounter

_REBUILD = "delete the shard and run `dsvl-data corpus build` again: it writes what is missing"
_RESTORE = "run `dsvl-data corpus build` again: it writes what is missing"
_REPORT = "the bytes are as they were written, so a pipeline made it so: report it"
_REMANIFEST = "run `dsvl-data corpus build` again: it writes the manifest anew"

_READ_BYTES = 1 << 20
#: What tarfile, json and pyarrow raise over damaged bytes.
_DAMAGE = (tarfile.TarError, EOFError, OSError, ValueError, KeyError, TypeError, pa.ArrowException)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong: in which file (below the output folder), in which sample, what to do."""

    path: str
    what: str
    remedy: str
    key: str | None = None

    def __str__(self) -> str:
        place = f"{self.path}, sample {self.key}" if self.key else self.path
        return f"{place}: {self.what}; {self.remedy}"


@dataclass
class Verification:
    """What was read and what was found."""

    shards: int = 0
    samples: int = 0
    images: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass
class _Checked:
    """What one shard's check gives back to the caller's process."""

    problems: list[Problem] = field(default_factory=list)
    samples: int = 0
    images: int = 0
    bytes: int = 0
    totals: Breakdown | None = None
    keys: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))


def verify(
    out: str,
    *,
    workers: int = 1,
    progress: Callable[[Verification, int], None] | None = None,
) -> Verification:
    """Check all shards of an output folder against manifest and indexes.

    Reads every byte, in `workers` processes (1: in this one); `progress` gets the state so far
    and the number of shards in all. Raises `ShardError` when there is no manifest to check by.
    """
    manifest = manifests.read_manifest(out)
    result = Verification()
    checked: dict[str, _Checked] = {}
    for path, one in _check_all(out, manifest, workers):
        checked[path] = one
        result.shards += 1
        result.samples += one.samples
        result.images += one.images
        result.bytes += one.bytes
        result.problems += one.problems
        if progress is not None:
            progress(result, len(manifest.shards))
    result.problems += _check_manifest(manifest, checked)
    result.problems += _duplicate_keys(out, {path: one.keys for path, one in checked.items()})
    result.problems += _unknown_files(out, manifest)
    result.problems.sort(key=lambda problem: (problem.path, problem.key or "", problem.what))
    return result


def _check_all(out: str, manifest: Manifest, workers: int) -> Iterator[tuple[str, _Checked]]:
    estimated = manifest.settings.tokenizer is None
    if workers <= 1:
        for record in manifest.shards:
            yield record.path, _check_shard(out, record, estimated)
        return
    # Spawned: a fork would inherit the threads' locks of whoever calls (Ray, Arrow).
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running = {
            pool.submit(_check_shard, out, record, estimated): record.path
            for record in manifest.shards
        }
        for done in as_completed(running):
            yield running[done], done.result()


def _check_shard(out: str, record: ShardRecord, estimated: bool) -> _Checked:
    result = _Checked()
    path = storage.join(out, record.path)

    def problem(what: str, remedy: str = _REBUILD, key: str | None = None) -> None:
        result.problems.append(Problem(record.path, what, remedy, key))

    index: Index | None = None
    try:
        index = read_index(path)
    except FileNotFoundError:
        problem("has no index beside it")
    except (OSError, ValueError) as error:
        problem(f"its index cannot be read ({error})")
    entries = _compare_index(record, index, problem, result) if index else {}
    try:
        with closing(storage.open_input(path)) as source:
            counter = Estimate() if estimated else None
            if index is not None and index.form is not None:
                # Not our bytes, so not our rules: they must be those that were indexed.
                result.samples, result.images = len(index), record.images
                _read_whole(HashingReader(source), record, problem, result)
            else:
                _read_tar(source, record, entries, problem, result, counter)
    except FileNotFoundError:
        problem("is not there", _RESTORE)
    except OSError as error:
        problem(f"cannot be read: {error}", "make the store readable and verify again")
    return result


_Say = Callable[..., None]


def _compare_index(
    record: ShardRecord, index: Index, problem: _Say, result: _Checked
) -> dict[str, Entry]:
    """Compare the index with the manifest's line; returns its entries by key."""
    listed = list(index)
    entries = {entry.key: entry for entry in listed}
    if len(entries) < len(listed):
        problem(f"{len(listed) - len(entries)} keys stand in its index more than once")
    result.totals = manifests.breakdown(listed)
    digests = [hashlib.blake2b(entry.key.encode(), digest_size=8).digest() for entry in listed]
    result.keys = np.frombuffer(b"".join(digests), np.uint64)
    strangers = [name for name in result.totals.category if name != record.category]
    if strangers:
        problem(f"its index lists samples of category {strangers[0]!r}")
    mine = result.totals.category.get(record.category)
    for name in ("samples", "images", "text_tokens", "image_tokens"):
        found = getattr(mine, name) if mine else 0
        if found != getattr(record, name):
            problem(f"{name}: {getattr(record, name)} by the manifest, {found} by its index")
    if (index.digest.size, index.digest.xxh3) != (record.bytes, record.xxh3):
        problem("its index was written for another tar than the manifest names")
    return entries


def _read_tar(
    source: pa.NativeFile,
    record: ShardRecord,
    entries: Mapping[str, Entry],
    problem: _Say,
    result: _Checked,
    counter: TokenCounter | None,
) -> None:
    stream = HashingReader(source)
    missing = dict(entries)
    try:
        for key, members in _samples(stream):
            result.samples += 1
            result.images += len(members) - 1
            entry = missing.pop(key, None)
            if entry is not None:
                for what, remedy in _check_sample(entry, members, counter):
                    problem(what, remedy, key)
            elif entries:
                problem("is in the tar but not, or not so often, in the index", _REBUILD, key)
    except _DAMAGE as error:
        problem(f"is no sound tar: {error}")
    for key in missing:
        problem("is in the index but not in the tar", _REBUILD, key)
    _read_whole(stream, record, problem, result)


def _read_whole(
    stream: HashingReader, record: ShardRecord, problem: _Say, result: _Checked
) -> None:
    """Read what is left of a shard, and compare its bytes with the manifest's line."""
    stream.drain()
    result.bytes = stream.size
    if stream.size != record.bytes:
        problem(f"has {stream.size} bytes, the manifest says {record.bytes}")
    elif stream.hash.hexdigest() != record.xxh3:
        problem("its bytes are not those that were written: another hash than the manifest's")


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    offset: int
    data: bytes


def _samples(stream: HashingReader) -> Iterator[tuple[str, list[_Member]]]:
    """Yield key and members of each run of members with one key."""
    key, members = "", list[_Member]()
    with tarfile.open(fileobj=stream, mode="r|", bufsize=_READ_BYTES) as tar:
        for info in tar:
            file = tar.extractfile(info) if info.isreg() else None
            if file is None:
                raise ValueError(f"{info.name!r} is no regular file")
            stem, _, name = info.name.partition(".")
            if stem != key and members:
                yield key, members
                members = []
            key = stem
            data = file.read()
            if len(data) != info.size:
                raise EOFError(f"{info.name!r} is cut off")
            members.append(_Member(name, info.offset_data, data))
    if members:
        yield key, members


def _check_sample(
    entry: Entry, members: Sequence[_Member], counter: TokenCounter | None
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with one sample, and the remedy."""
    found = [(member.name, member.offset, len(member.data)) for member in members]
    if found != [tuple(member) for member in entry.members]:
        yield "its members are not where, or not what, the index says", _REBUILD
    if content_hash([member.data for member in members]) != entry.content_hash:
        yield (
            "its payloads are not those that were written: another hash than the index's",
            _REBUILD,
        )
        return  # what follows would only say it again
    try:
        record = json.loads(members[0].data)
        sample = from_json(record, {member.name: member.data for member in members[1:]})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"its JSON is not a sample: {error!r}", _REPORT
        return
    for name, value in _facts(sample, counter).items():
        if value != getattr(entry, name):
            yield f"{name}: {getattr(entry, name)!r} by the index, {value!r} in the tar", _REBUILD
    if len(sample.images) != len(members) - 1:
        yield f"{len(members) - 1} images, but its JSON names {len(sample.images)}", _REPORT
    for number, image in enumerate(sample.images):
        try:
            size = images.decode(image.data).size
            kind = images.inspect(image.data).format.replace("jpeg", "jpg")
        except DocumentError as error:
            yield f"image {number}: {error.detail}", _REPORT
            continue
        if size != (image.width, image.height):
            yield (
                f"image {number} is {size[0]} x {size[1]}, not {image.width} x {image.height}",
                (_REPORT),
            )
        if kind != image.format:
            yield f"image {number} is {kind}, its name says {image.format}", _REPORT


def _facts(sample: Sample, counter: TokenCounter | None) -> dict[str, object]:
    """What the index says of a sample, told from the sample; tokens where we can count alike."""
    facts: dict[str, object] = {
        "key": sample.key,
        "document": sample.document,
        "category": sample.category,
        "language": sample.language,
        "dataset": sample.source.dataset,
        "licence": sample.source.licence,
        "pipeline": sample.provenance.pipeline,
        "taxonomy": sample.taxonomy,
        "image_sizes": tuple((image.width, image.height) for image in sample.images),
        "text_characters": len(sample.text),
    }
    if counter is not None:
        facts["text_tokens"] = counter.count([sample.text])[0]
    return facts


def _check_manifest(manifest: Manifest, checked: Mapping[str, _Checked]) -> Iterator[Problem]:
    recipe_hash = hashlib.sha256(manifests.canonical(manifest.recipe)).hexdigest()
    if recipe_hash != manifest.recipe_sha256:
        yield Problem(manifests.NAME, "its recipe does not have the hash beside it", _REMANIFEST)
    known = [one.totals for one in checked.values() if one.totals is not None]
    if len(known) == len(checked) and manifests.merge(known) != manifest.totals:
        yield Problem(manifests.NAME, "its totals are not those of the indexes", _REMANIFEST)


def _duplicate_keys(out: str, keys: Mapping[str, npt.NDArray[np.uint64]]) -> Iterator[Problem]:
    """Find keys that stand in more than one shard: by hashes first, 8 bytes a sample."""
    if not keys:
        return
    paths = list(keys)
    hashes = np.concatenate(list(keys.values()))
    owners = np.repeat(np.arange(len(paths)), [len(one) for one in keys.values()])
    order = np.argsort(hashes, kind="stable")
    same = hashes[order][1:] == hashes[order][:-1]
    suspects = sorted(
        {int(o) for o in owners[order][1:][same]} | {int(o) for o in owners[order][:-1][same]}
    )
    seen: dict[str, str] = {}
    for number in suspects:
        path = paths[number]
        for key in read_index(storage.join(out, path)).table.column("key").to_pylist():
            if seen.setdefault(key, path) != path:
                yield Problem(
                    path,
                    f"has a key that {seen[key]} has too",
                    "a recipe lists one document twice: take one input out and build again",
                    key,
                )


def _unknown_files(out: str, manifest: Manifest) -> Iterator[Problem]:
    named = {shard.path for shard in manifest.shards}
    named |= {index_path(path) for path in named}
    root = storage.join(out, SHARDS)
    found = {file.path[len(root) + 1 :] for file in storage.find_files(root)}
    for folder in storage.list_names(root):
        if folder != ".groups":  # the notes of `build`
            # Hidden ones too: what a crash left behind.
            found |= {f"{folder}/{name}" for name in storage.list_names(f"{root}/{folder}")}
    for name in sorted(found):
        path = f"{SHARDS}/{name}"
        if path not in named:
            yield Problem(path, "is not in the manifest", "delete it, or build again")


class HashingReader(io.RawIOBase):
    """Passes on what it reads from `source`, and hashes and counts it."""

    def __init__(self, source: pa.NativeFile) -> None:
        self._source = source
        self.hash = xxhash.xxh3_128()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._source.read(size if size >= 0 else None)
        self.hash.update(data)
        self.size += len(data)
        return data

    def drain(self) -> None:
        """Read to the end."""
        while self.read(_READ_BYTES):
            pass
