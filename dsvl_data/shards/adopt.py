"""`dsvl-data shards index`: any WebDataset gets indexes and a manifest, and can be trained on.

In: a folder of tars, local or in an object store, and what nobody can tell from them: category,
language, licence, and where the text stands (`Form`). Out: beside each tar its index, and
`manifest.json`. The tars are read once and never written; a shard whose index fits stays as it is.

Samples that no loader could read (an image that is none, a text that is no UTF-8) are left out of
the index, and counted by reason.
"""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from multiprocessing import get_context
from typing import NamedTuple

from dsvl_data import storage
from dsvl_data.outcome import DocumentError
from dsvl_data.read import images
from dsvl_data.sample import CATEGORIES
from dsvl_data.shards import manifest as manifests
from dsvl_data.shards.foreign import Form, is_image
from dsvl_data.shards.index import (
    TAR_SUFFIX,
    Entry,
    Index,
    Member,
    Pixels,
    content_hash,
    encode_index,
    index_path,
    read_index,
)
from dsvl_data.shards.manifest import Breakdown, ShardRecord
from dsvl_data.shards.plan import ShardSettings
from dsvl_data.shards.tar import Digest
from dsvl_data.shards.tokens import token_counter
from dsvl_data.shards.verify import HashingReader
from dsvl_data.shards.write import ShardError

#: Stands in an entry's column `pipeline`.
PIPELINE = "indexed"

_READ_BYTES = 1 << 20
#: Texts that are counted together.
_COUNTED = 256


@dataclass(frozen=True, slots=True)
class Facts:
    """What the tars themselves do not tell.

    `categories` are pairs of a glob over shards' paths below the folder and a category: the first
    that fits holds.
    """

    categories: tuple[tuple[str, str], ...]
    form: Form = field(default_factory=Form)
    dataset: str = "unknown"
    language: str = "und"
    licence: str = "unknown"
    tokenizer: str | None = None

    def category(self, path: str) -> str:
        """The category of a shard; `ShardError` when no glob fits."""
        for pattern, name in self.categories:
            if fnmatchcase(path, pattern):
                return name
        raise ShardError(f"no category is given for {path}: add --category GLOB=NAME")


@dataclass
class Indexed:
    """What was done: `left_out` counts samples by why nobody could read them."""

    shards: int = 0
    kept: int = 0
    samples: int = 0
    images: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


class _Shard(NamedTuple):
    record: ShardRecord
    totals: Breakdown
    members: set[str]
    left_out: Counter[str]
    kept: bool


class _Sample(NamedTuple):
    key: str
    members: list[Member]
    payloads: list[bytes]


def index_folder(
    folder: str,
    facts: Facts,
    *,
    workers: int = 1,
    progress: Callable[[Indexed, int], None] | None = None,
) -> Indexed:
    """Index every tar below a folder, in `workers` processes, and write its manifest.

    Raises `ShardError` where there is no tar, where one cannot be read by byte ranges, and in a
    folder that `dsvl-data corpus build` has made.
    """
    for _, category in facts.categories:
        if category not in CATEGORIES:
            raise ShardError(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
    if storage.kind_of(storage.join(folder, manifests.NAME)) == "file" and (
        manifests.read_manifest(folder).form is None
    ):
        raise ShardError(f"{folder} was made by `dsvl-data corpus build`: it has its indexes")
    paths = [f.relative for f in storage.find_files(folder) if f.relative.endswith(TAR_SUFFIX)]
    if not paths:
        raise ShardError(
            f"no {TAR_SUFFIX} below {folder}; compressed tars must be unpacked first, for samples "
            "are read by byte ranges"
        )
    token_counter(facts.tokenizer)  # what cannot succeed is told before anything is read
    jobs = [(folder, path, facts, facts.category(path)) for path in paths]
    result = Indexed()
    shards = []
    for shard in _each(jobs, workers):
        shards.append(shard)
        result.shards += 1
        result.kept += shard.kept
        result.samples += shard.record.samples
        result.images += shard.record.images
        result.left_out += shard.left_out
        if progress is not None:
            progress(result, len(paths))
    _write_manifest(folder, facts, shards)
    return result


def _write_manifest(folder: str, facts: Facts, shards: Sequence[_Shard]) -> None:
    names: dict[str, set[str]] = {}
    for shard in shards:
        if shard.record.samples:
            names.setdefault(shard.record.category, set()).update(shard.members)
    recipe = {
        "indexed": {
            "categories": [list(pair) for pair in facts.categories],
            "dataset": facts.dataset,
            "language": facts.language,
            "licence": facts.licence,
            "form": facts.form.model_dump(),
        }
    }
    manifest = manifests.make(
        [shard.record for shard in shards],
        manifests.merge(shard.totals for shard in shards),
        names,
        recipe=recipe,
        settings=ShardSettings(tokenizer=facts.tokenizer),
        tokenizer=token_counter(facts.tokenizer).name,
        form=facts.form,
    )
    path = storage.join(folder, manifests.NAME)
    storage.atomic_write(path, manifests.encode_manifest(manifest))


_Job = tuple[str, str, Facts, str]


def _each(jobs: Sequence[_Job], workers: int) -> Iterator[_Shard]:
    if workers <= 1:
        yield from map(_index_shard, jobs)
        return
    # Spawned: a fork would inherit the threads' locks of whoever calls (Arrow, a tokenizer).
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_index_shard, jobs)


def _index_shard(job: _Job) -> _Shard:
    folder, path, facts, category = job
    shard = storage.join(folder, path)
    counter = token_counter(facts.tokenizer)
    made_by = f"{PIPELINE}: {counter.name}"
    found = _fitting(shard, facts, category, made_by)
    if found is not None:
        return _described(path, category, list(found), found.digest, Counter(), kept=True)
    left_out: Counter[str] = Counter()
    entries: list[Entry] = []
    waiting: list[tuple[Entry, str]] = []

    def count() -> None:
        numbers = counter.count([text for _, text in waiting])
        for (entry, _), tokens in zip(waiting, numbers, strict=True):
            entries.append(replace(entry, text_tokens=tokens))
        waiting.clear()

    with closing(storage.open_input(shard)) as source:
        stream = HashingReader(source)
        try:
            for sample in _samples(stream):
                try:
                    waiting.append(_entry(sample, path, facts, category, made_by))
                except (ValueError, DocumentError) as error:
                    left_out[_reason(error)] += 1
                if len(waiting) == _COUNTED:
                    count()
        except (tarfile.TarError, EOFError) as error:
            raise ShardError(f"{shard} is no sound tar: {error}") from error
        count()
        stream.drain()
    digest = Digest(stream.size, stream.hash.hexdigest())
    offsets = [[member.offset for member in entry.members] for entry in entries]
    index = encode_index(entries, offsets, digest, facts.form)
    storage.atomic_write(index_path(shard), index)
    return _described(path, category, entries, digest, left_out, kept=False)


def _fitting(shard: str, facts: Facts, category: str, made_by: str) -> Index | None:
    """The index beside a shard, if it says what a new one would."""
    try:
        index = read_index(shard)
    except (OSError, ValueError):
        return None
    wanted = {
        "category": category,
        "language": facts.language,
        "dataset": facts.dataset,
        "licence": facts.licence,
        "pipeline": made_by,
    }
    same = all(set(index.table[n].unique().to_pylist()) <= {v} for n, v in wanted.items())
    same &= index.form == facts.form and index.digest.size == storage.size(shard)
    # An index without samples does not tell what it was made with.
    return index if same and len(index) else None


def _described(
    path: str,
    category: str,
    entries: Sequence[Entry],
    digest: Digest,
    left_out: Counter[str],
    *,
    kept: bool,
) -> _Shard:
    totals = manifests.breakdown(entries)
    totals.category.setdefault(category, manifests.Counts())
    record = manifests.shard_record(path, category, digest, totals)
    names = {member.name for entry in entries for member in entry.members}
    return _Shard(record, totals, names, left_out, kept)


def _samples(stream: HashingReader) -> Iterator[_Sample]:
    """Members of one key that stand together, as WebDataset has it.

    The key is the name up to the first dot behind the last slash.
    """
    sample = _Sample("", [], [])
    with tarfile.open(fileobj=stream, mode="r|", bufsize=_READ_BYTES) as tar:
        for info in tar:
            file = tar.extractfile(info) if info.isreg() else None
            above, slash, base = info.name.rpartition("/")
            stem, dot, name = base.partition(".")
            # Folders, hidden files and files without an ending belong to no sample.
            if file is None or not dot or not stem:
                continue
            data = file.read()
            if len(data) != info.size:
                raise EOFError(f"{info.name!r} is cut off")
            key = above + slash + stem
            if key != sample.key:
                if sample.members:
                    yield sample
                sample = _Sample(key, [], [])
            sample.members.append(Member(name, info.offset_data, len(data)))
            sample.payloads.append(data)
    if sample.members:
        yield sample


def _entry(
    sample: _Sample, path: str, facts: Facts, category: str, made_by: str
) -> tuple[Entry, str]:
    """A sample's index entry, its tokens not counted yet, and its text."""
    members = {
        member.name: data for member, data in zip(sample.members, sample.payloads, strict=True)
    }
    if len(members) < len(sample.members):
        raise ValueError("two members have one name")
    record, _ = facts.form.read(sample.key, members)
    text = "\n".join(part["text"] for part in record["segments"] if part["type"] == "text")
    sizes = []
    for name, data in members.items():
        if is_image(name):
            info = images.inspect(data)
            sizes.append(Pixels(info.width, info.height))
    entry = Entry(
        key=sample.key,
        document=f"{facts.dataset}:{path}",
        category=category,
        language=facts.language,
        dataset=facts.dataset,
        licence=facts.licence,
        pipeline=made_by,
        taxonomy=None,
        image_sizes=tuple(sizes),
        text_characters=len(text),
        text_tokens=0,
        content_hash=content_hash(sample.payloads),
        members=tuple(sample.members),
    )
    return entry, text


def _reason(error: ValueError | DocumentError) -> str:
    if isinstance(error, DocumentError):
        return str(error.reason)
    # A codec's message holds the bytes' places; one kind of damage must be one line.
    return "text is no UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
