"""Near-duplicate images of a corpus: measures in, the number of each sample's group out.

    DIR/curation/image_runs/run-*.arrow                  hashes, by run of parts, mask and prefix
    DIR/curation/image_edges/*.arrow                     which images resemble each other
    DIR/curation/near_image/<pipeline>/part-*.parquet    `high`, `low`: the number of the group

The hashes and traits were measured (`image_rules.py`), so no image is read here. A task is one
(mask, prefix of the bucket) over all runs, see `hamming.py`: it finds the hashes that differ in
few enough bits and compares the traits of their images. Images with the very same hash are
compared with the first of their kind (64 kinds at most), so a million copies of a logo are a
million comparisons, not the square. Union-find over the edges gives clusters of images; two
samples are of one group when their images, in order, are of the same clusters. A sample with an
image that resembles no other, or is flat, is of none.

Memory: a task's share of the hashes, 64 bytes each, and the traits (176 bytes) of those that have
a near one; four bytes an image where the edges are joined.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numba import njit
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.curate import clusters, measure, stored
from dsvl_data.curate.hamming import Numbers, masks_for, near_pairs, prefixes_of
from dsvl_data.curate.image_hash import TRAITS
from dsvl_data.curate.image_rules import HASHES, TRAITS_OF, ImageScorer
from dsvl_data.curate.image_settings import NearImageRules
from dsvl_data.curate.measure import Measured
from dsvl_data.curate.signature_files import metadata_of, read_batch, write_batches
from dsvl_data.curate.union_find import UnionFind
from dsvl_data.engine.tasks import Tasks

RUNS, EDGES, CLUSTERS = "image_runs", "image_edges", "near_image"

_FORMAT = 1
_RUN_SAMPLES = 1 << 20
_TASK_MEMORY = 1 << 30
_KINDS = 64  # of images with one hash
_FINE_BYTES, _FINE_BITS = 128, 1024
_SCHEMA = pa.schema(
    [pa.field("hash", pa.uint64(), nullable=False), pa.field("row", pa.uint32(), nullable=False)]
)

Run = tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class _Search:
    """One search over a whole corpus, the same for every task of it.

    `firsts` are the numbers of the first images of the parts (images with a hash are numbered
    through the corpus), `runs` the files of hashes, each with that of its first.
    """

    out: str
    rules: NearImageRules
    fingerprint: str
    parts: tuple[str, ...]
    firsts: tuple[int, ...]
    runs: tuple[tuple[str, int], ...]
    masks: tuple[int, ...]
    prefixes: int

    def place(self, group: int) -> str:
        """Where the edges of one (mask, prefix) stand."""
        return stored.path(self.out, EDGES, f"edges-{group:06d}.arrow")


def fingerprint(rules: NearImageRules, parts: Sequence[Measured]) -> str:
    """Return what changes with the clusters: the parts, in order, and the rules for images."""
    said = rules.model_dump(mode="json", exclude={"by", "categories"})
    listed = [[part.name, part.part] for part in parts]
    return stored.digest(_FORMAT, ImageScorer.version, said, listed)


def find(
    out: str, rules: NearImageRules, parts: Sequence[Measured], tasks: Tasks
) -> Iterator[tuple[int, int]]:
    """Find the groups of a corpus, as far as they are not there.

    Yields how many tasks are done, and how many there are.
    """
    made = fingerprint(rules, parts)
    if all(stored.note(_place(out, part)).get("fingerprint") == made for part in parts):
        return
    counted = dict(tasks.map(_count, [(out, part.name) for part in parts]))
    firsts = [0, *itertools.accumulate(counted[part.name] for part in parts)]
    masks = tuple(masks_for(firsts[-1], rules.bits).tolist())
    prefixes = clusters.prefixes_for(firsts[-1], _TASK_MEMORY)
    runs, files, first = list(_runs(parts)), [], 0
    for number, run in enumerate(runs):
        files.append((stored.path(out, RUNS, f"run-{number:05d}.arrow"), first))
        first += sum(counted[part.name] for part in run)
    total, done = len(runs) + len(masks) * prefixes + len(parts), 0
    spreading = [
        (out, run, place, masks, prefixes) for run, (place, _) in zip(runs, files, strict=True)
    ]
    for _ in tasks.map(_spread, spreading):
        done += 1
        yield done, total
    names = tuple(part.name for part in parts)
    search = _Search(out, rules, made, names, tuple(firsts), tuple(files), masks, prefixes)
    union = UnionFind(firsts[-1])
    for place in tasks.map(_search, [(search, group) for group in range(len(masks) * prefixes)]):
        union.join(*clusters.read_edges(place))
        done += 1
        yield done, total
    members, smallest = union.components()
    writing = []
    for part, (start, end) in zip(parts, itertools.pairwise(firsts), strict=True):
        low, high = np.searchsorted(members, [start, end])
        writing.append((out, part, made, members[low:high] - start, smallest[low:high]))
    for _ in tasks.map(_write_groups, writing):
        done += 1
        yield done, total
    # All that depends on the whole corpus is in the groups now.
    for stage, kept in ((EDGES, set[str]()), (RUNS, {place for place, _ in files})):
        folder = storage.join(out, stored.ROOT, stage)
        for name in storage.list_names(folder):
            if storage.join(folder, name) not in kept:
                storage.remove(storage.join(folder, name))


def groups(out: str, name: str) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return the group of each sample of a part, as `exact.groups` does."""
    table = stored.read(stored.path(out, CLUSTERS, name))
    columns = [np.asarray(table.column(side).fill_null(0)) for side in ("high", "low")]
    return np.stack(columns, axis=1), np.array(table.column("high").is_valid(), np.bool_)


def _runs(parts: Sequence[Measured]) -> Iterator[Run]:
    """Part parts into runs of about a million samples."""
    run: list[Measured] = []
    for part in parts:
        if run and sum(each.rows for each in run) + part.rows > _RUN_SAMPLES:
            yield tuple(run)
            run = []
        run.append(part)
    if run:
        yield tuple(run)


def _place(out: str, part: Measured) -> str:
    return stored.path(out, CLUSTERS, part.name)


def _hashes(out: str, name: str) -> pa.Array:
    """The hashes of a part's images in order, null for one without."""
    return pc.list_flatten(measure.read(out, name, [HASHES]).column(HASHES).combine_chunks())


def _count(job: tuple[str, str]) -> tuple[str, int]:
    found = _hashes(*job)
    return job[1], len(found) - found.null_count


def _spread(job: tuple[str, Run, str, Sequence[int], int]) -> None:
    """Write the hashes of a run, a batch for each (mask, prefix), unless they are there."""
    out, run, place, masks, prefixes = job
    made = stored.digest(
        _FORMAT, ImageScorer.version, [part.part for part in run], list(masks), prefixes
    )
    if metadata_of(place).get(clusters.FINGERPRINT) == made:
        return
    found = [np.asarray(_hashes(out, part.name).drop_null()) for part in run]
    hashes = np.concatenate([np.empty(0, np.uint64), *found])
    batches = []
    for mask in masks:
        prefix = prefixes_of(hashes, np.uint64(mask), prefixes)
        order = np.argsort(prefix, kind="stable")
        ends = np.searchsorted(prefix[order], np.arange(prefixes), side="right").tolist()
        for start, end in itertools.pairwise([0, *ends]):
            rows = order[start:end]
            batches.append((hashes[rows], rows.astype(np.uint32)))
    write_batches(place, _SCHEMA, batches, {clusters.FINGERPRINT: made})


def _search(job: tuple[_Search, int]) -> str:
    """Find the edges of one (mask, prefix), unless they are there; returns where they stand."""
    search, group = job
    place = search.place(group)
    if metadata_of(place).get(clusters.FINGERPRINT) != search.fingerprint:
        made = {clusters.FINGERPRINT: search.fingerprint}
        write_batches(place, clusters.EDGES, [_edges(search, group)], made)
    return place


def _edges(search: _Search, group: int) -> tuple[Numbers, Numbers]:
    batches = [read_batch(place, group) for place, _ in search.runs]
    hashes = np.concatenate(
        [np.empty(0, np.uint64), *(batch["hash"].to_numpy() for batch in batches)]
    )
    numbers = np.concatenate(
        [
            np.empty(0, np.int64),
            *(
                batch["row"].to_numpy().astype(np.int64) + first
                for batch, (_, first) in zip(batches, search.runs, strict=True)
            ),
        ]
    )
    del batches
    distinct, whose, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    which = group // search.prefixes
    masks = np.array(search.masks, np.uint64)
    left, right = near_pairs(distinct, masks, which, search.rules.bits)
    # Equal hashes share every bucket: the first mask settles which of their images are the same.
    wanted = (sizes > 1) if which == 0 else np.zeros(len(distinct), np.bool_)
    wanted[left] = wanted[right] = True
    chosen = np.flatnonzero(wanted[whose])
    chosen = chosen[np.lexsort((numbers[chosen], whose[chosen]))]
    numbers, whose = numbers[chosen], whose[chosen]
    traits = _traits(search, numbers)
    most = int(search.rules.detail * _FINE_BITS + 1e-9)
    to, leads = _kinds(whose, traits, most, search.rules.colour)
    same = np.flatnonzero(to >= 0) if which == 0 else np.empty(0, np.int64)
    leaders = np.flatnonzero(leads)
    begins = np.searchsorted(whose[leaders], np.arange(len(distinct) + 1))
    ones, others = _across(left, right, leaders, begins, traits, most, search.rules.colour)
    ends = np.concatenate([numbers[to[same]], numbers[ones]])
    starts = np.concatenate([numbers[same], numbers[others]])
    return np.minimum(starts, ends), np.maximum(starts, ends)


def _traits(search: _Search, numbers: Numbers) -> NDArray[np.uint8]:
    """Return the traits of images, of shape (images, 176), in the order asked for."""
    found = np.empty((len(numbers), TRAITS), np.uint8)
    part = np.searchsorted(np.array(search.firsts), numbers, side="right") - 1
    for number in np.unique(part).tolist():
        column = measure.read(search.out, search.parts[number], [TRAITS_OF]).column(TRAITS_OF)
        values = pc.list_flatten(column.combine_chunks()).drop_null()
        matrix = np.frombuffer(values.buffers()[1], np.uint8, len(values) * TRAITS,
                               values.offset * TRAITS).reshape(-1, TRAITS)  # fmt: skip
        here = np.flatnonzero(part == number)
        found[here] = matrix[numbers[here] - search.firsts[number]]
    return found


def _write_groups(job: tuple[str, Measured, str, Numbers, Numbers]) -> None:
    out, part, made, rows, cluster = job
    lists = measure.read(out, part.name, [HASHES]).column(HASHES).combine_chunks()
    known = np.asarray(pc.list_flatten(lists).is_valid())
    of_hashed = np.full(int(known.sum()), -1, np.int64)
    of_hashed[rows] = cluster
    of_images = np.full(len(known), -1, np.int64)
    of_images[known] = of_hashed
    ends = np.cumsum(np.asarray(pc.list_value_length(lists)), dtype=np.int64).tolist()
    group = np.zeros((part.rows, 2), np.uint64)
    alone = np.ones(part.rows, np.bool_)
    for row, (start, end) in enumerate(itertools.pairwise([0, *ends])):
        mine = of_images[start:end]
        if len(mine) and (mine >= 0).all():
            digest = xxhash.xxh3_128_digest(mine.astype("<i8").tobytes())
            group[row] = np.frombuffer(digest, "<u8")
            alone[row] = False
    table = pa.table(
        {side: pa.array(group[:, i], mask=alone) for i, side in enumerate(("high", "low"))}
    )
    stored.write(_place(out, part), table, {"fingerprint": made})


@njit(nogil=True, cache=True)
def _resemble(one: NDArray[np.uint8], other: NDArray[np.uint8], most: int, colour: int) -> bool:
    bits = 0
    for k in range(_FINE_BYTES):
        word = one[k] ^ other[k]
        while word:
            word &= word - np.uint8(1)
            bits += 1
        if bits > most:
            return False
    for k in range(_FINE_BYTES, one.shape[0]):
        if abs(np.int64(one[k]) - np.int64(other[k])) > colour:
            return False
    return True


@njit(nogil=True, cache=True)
def _kinds(
    whose: Numbers, traits: NDArray[np.uint8], most: int, colour: int
) -> tuple[Numbers, NDArray[np.bool_]]:
    """Return for each image the first of its hash that it resembles (-1: none), and who leads."""
    to = np.full(whose.shape[0], -1, np.int64)
    leads = np.zeros(whose.shape[0], np.bool_)
    leaders = np.empty(_KINDS, np.int64)
    kinds = 0
    for i in range(whose.shape[0]):
        if i == 0 or whose[i] != whose[i - 1]:
            kinds = 0
        for kind in range(kinds):
            if _resemble(traits[i], traits[leaders[kind]], most, colour):
                to[i] = leaders[kind]
                break
        if to[i] < 0 and kinds < _KINDS:
            leaders[kinds] = i
            leads[i] = True
            kinds += 1
    return to, leads


@njit(nogil=True, cache=True)
def _across(
    left: Numbers,
    right: Numbers,
    leaders: Numbers,
    begins: Numbers,
    traits: NDArray[np.uint8],
    most: int,
    colour: int,
) -> tuple[Numbers, Numbers]:
    """Return the pairs of leaders of two near hashes that resemble each other."""
    ones, others = np.empty(1024, np.int64), np.empty(1024, np.int64)
    found = 0
    for pair in range(left.shape[0]):
        for i in range(begins[left[pair]], begins[left[pair] + 1]):
            for j in range(begins[right[pair]], begins[right[pair] + 1]):
                if not _resemble(traits[leaders[i]], traits[leaders[j]], most, colour):
                    continue
                if found == ones.shape[0]:
                    ones = np.concatenate((ones, np.empty(found, np.int64)))
                    others = np.concatenate((others, np.empty(found, np.int64)))
                ones[found], others[found] = leaders[i], leaders[j]
                found += 1
    return ones[:found], others[:found]
