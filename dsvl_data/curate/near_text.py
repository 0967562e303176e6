"""Near-duplicate texts of a corpus: its parts in, the number of each sample's cluster out.

    DIR/curation/signatures/<pipeline>/part-*.parquet    MinHash signatures, a row a sample
    DIR/curation/bands/run-*.arrow                       the keys of their bands, by run of parts
    DIR/curation/edges/*.arrow                           who may resemble whom, while it is asked
    DIR/curation/near_text/<pipeline>/part-*.parquet     `cluster`, null for who resembles nobody

Signatures are made part by part and stay while a part does, bands while their run of parts does
(a run is a million samples: a task opens a file for each run, not for each part). Edges and
clusters are those of the whole corpus, and are made anew when any part changes; no rule and no
threshold of another kind matters to them. Candidates are texts that share a band, cut for a lower
threshold than the recipe's since banding misses many of the pairs that lie just above its own; of
these only such are joined whose signatures agree in as many values as the recipe asks for.

Memory: a part's signatures (512 bytes a sample) in the tasks that make them, 20 bytes a band of a
run's samples in those that make bands, 1 GB in those that look for edges and verify them; nine
bytes a sample of the corpus, and 26 a candidate, where edges are joined (`docs/scale.md`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.curate import clusters, stored, verify
from dsvl_data.curate.measure import Measured
from dsvl_data.curate.minhash import MinHashParameters, signatures
from dsvl_data.curate.settings import NearTextRules
from dsvl_data.curate.signature_files import (
    Bands,
    bands_for,
    metadata_of,
    read_signatures,
    write_bands,
    write_signatures,
)
from dsvl_data.curate.stored import CurationError
from dsvl_data.engine.tasks import Tasks
from dsvl_data.shards.plan import PARTS

SIGNATURES, BANDS, EDGES, CLUSTERS = "signatures", "bands", "edges", "near_text"

_FORMAT = 1
_ROWS = 1024  # texts at once
_TASK_MEMORY = 1 << 30  # of a task that finds edges, or verifies them
_RUN_SAMPLES = 1 << 20  # whose bands are in one file
_SLACK = 0.1  # by which the bands' threshold lies below the recipe's


Run = Sequence[Measured]


@dataclass(frozen=True, slots=True)
class _Signing:
    """What makes the signatures and bands of every part."""

    out: str
    parameters: MinHashParameters
    bands: Bands
    prefixes: int

    def signed(self, part: Measured) -> str:
        """What a part's signatures are made from."""
        return stored.digest(_FORMAT, part.part, repr(self.parameters))

    def banded(self, run: Run) -> str:
        """What a run's bands are made from."""
        return stored.digest([self.signed(part) for part in run], repr(self.bands), self.prefixes)

    def place(self, part: Measured) -> str:
        """Where the signatures of a part stand."""
        return stored.path(self.out, SIGNATURES, part.name)


def fingerprint(rules: NearTextRules, parts: Sequence[Measured]) -> str:
    """Return what changes with the clusters: the parts, in order, and the rules for texts."""
    said = rules.model_dump(mode="json", exclude={"categories"})
    return stored.digest(_FORMAT, said, [[part.name, part.part] for part in parts])


def candidate_bands(rules: NearTextRules) -> Bands:
    """Return the bands that find candidates: for a lower threshold than the one to be verified."""
    return bands_for(max(0.1, rules.threshold - _SLACK), rules.permutations)


def find(
    out: str, rules: NearTextRules, parts: Sequence[Measured], tasks: Tasks
) -> Iterator[tuple[int, int]]:
    """Find the clusters of a corpus, as far as they are not there.

    Yields how many tasks are done, and how many there are.
    """
    made = fingerprint(rules, parts)
    stale = [part for part in parts if _fingerprint(out, part) != made]
    if not stale:
        return
    documents = sum(part.rows for part in parts)
    signing = _Signing(
        out,
        MinHashParameters(rules.permutations, rules.ngram, rules.seed),
        candidate_bands(rules),
        clusters.prefixes_for(documents, _TASK_MEMORY),
    )
    runs = list(_runs(parts))
    total = 2 * len(parts) + len(runs) + signing.bands.bands * signing.prefixes
    done = 0
    for _ in tasks.map(_sign, [(signing, part) for part in parts]):
        done += 1
        yield done, total
    banding, files, signed = [], [], []
    first = 0
    for number, run in enumerate(runs):
        place = stored.path(out, BANDS, f"run-{number:05d}.arrow")
        banding.append((signing, run, place))
        files.append(clusters.BandFile(place, first))
        rows = tuple(part.rows for part in run)
        signed.append(verify.Signed(tuple(map(signing.place, run)), rows, first))
        first += sum(rows)
    for _ in tasks.map(_band, banding):
        done += 1
        yield done, total

    def anywhere(function: Callable[[Any], str], some: Iterable[Any]) -> Iterable[str]:
        return tasks.map(function, list(some))

    folder = storage.join(out, stored.ROOT, EDGES)
    jobs = list(clusters.tasks(files, signing.bands, signing.prefixes, folder, made))
    candidates = clusters.find_clusters(documents, jobs, anywhere)
    bytes_each = signing.parameters.permutations * signing.parameters.dtype.itemsize
    members, smallest = verify.verified(
        candidates,
        [job.out for job in jobs],
        signed,
        rules.threshold,
        verify.Place(folder, made, bytes_each),
        _TASK_MEMORY,
        anywhere,
    ).components()
    done += len(jobs)
    yield done, total
    writing = []
    first = 0
    for part in parts:
        low, high = np.searchsorted(members, [first, first + part.rows])
        writing.append((out, part, made, members[low:high] - first, smallest[low:high]))
        first += part.rows
    for _ in tasks.map(_write_clusters, writing):
        done += 1
        yield done, total
    # All that depends on the whole corpus is in the clusters now.
    _keep_only(folder, [])
    _keep_only(storage.join(out, stored.ROOT, BANDS), [place for _, _, place in banding])


def _runs(parts: Sequence[Measured]) -> Iterator[Run]:
    """Part parts into runs of about a million samples."""
    run: list[Measured] = []
    samples = 0
    for part in parts:
        if run and samples + part.rows > _RUN_SAMPLES:
            yield run
            run, samples = [], 0
        run.append(part)
        samples += part.rows
    if run:
        yield run


def _keep_only(folder: str, wanted: Sequence[str]) -> None:
    for name in storage.list_names(folder):
        if storage.join(folder, name) not in wanted:
            storage.remove(storage.join(folder, name))


def groups(out: str, name: str) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return the cluster of each sample of a part, as `exact.groups` does."""
    column = stored.read(stored.path(out, CLUSTERS, name), ["cluster"]).column("cluster")
    numbers = np.asarray(column.fill_null(0)).astype(np.uint64)
    pairs = np.stack([numbers, np.zeros_like(numbers)], axis=1)
    return pairs, np.array(column.is_valid(), np.bool_)


def _sign(job: tuple[_Signing, Measured]) -> None:
    """Make the signatures of a part, unless they are there."""
    signing, part = job
    place = signing.place(part)
    if metadata_of(place).get(clusters.FINGERPRINT) == signing.signed(part):
        return
    keys, matrices = [], []
    for names, texts in _texts(signing.out, part.name):
        keys += names
        matrices.append(signatures(texts, signing.parameters))
    empty = np.zeros((0, signing.parameters.permutations), signing.parameters.dtype)
    made = {clusters.FINGERPRINT: signing.signed(part)}
    write_signatures(place, keys, np.concatenate([empty, *matrices]), made)


def _band(job: tuple[_Signing, Run, str]) -> None:
    """Make the bands of a run of parts, unless they are there."""
    signing, run, place = job
    made = signing.banded(run)
    if metadata_of(place).get(clusters.FINGERPRINT) != made:
        write_bands(
            place,
            (read_signatures(signing.place(part)) for part in run),
            signing.bands,
            signing.prefixes,
            signing.parameters.empty,
            {clusters.FINGERPRINT: made},
        )


def _texts(out: str, name: str) -> Iterator[tuple[list[str], pa.Array]]:
    """Yield keys and texts of a part's samples; images are not read."""
    path = storage.join(out, PARTS, name)
    columns = ["key", "segments.list.element.text"]
    try:
        with storage.open_input(path) as source:
            file = pq.ParquetFile(source, buffer_size=4 << 20, pre_buffer=False)
            for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
                segments = batch.column("segments")
                texts = pc.struct_field(pc.list_flatten(segments), "text")
                there = np.asarray(texts.is_valid())
                owners = np.asarray(pc.list_parent_indices(segments))[there]
                ends = np.searchsorted(owners, np.arange(batch.num_rows + 1))
                pieces = texts.drop_null().to_pylist()
                joined = [
                    "\n".join(pieces[start:end]) for start, end in itertools.pairwise(ends.tolist())
                ]
                yield batch.column("key").to_pylist(), pa.array(joined, pa.large_string())
    except (OSError, pa.ArrowException) as error:
        raise CurationError(
            f"{path} is no readable part: {error}; remove it and run `dsvl-data corpus build` again"
        ) from error


def _write_clusters(
    job: tuple[str, Measured, str, NDArray[np.int64], NDArray[np.int64]],
) -> None:
    out, part, made, rows, numbers = job
    values = np.zeros(part.rows, np.uint64)
    alone = np.ones(part.rows, np.bool_)
    values[rows] = numbers
    alone[rows] = False
    table = pa.table({"cluster": pa.array(values, mask=alone)})
    stored.write(stored.path(out, CLUSTERS, part.name), table, {"fingerprint": made})


def _fingerprint(out: str, part: Measured) -> str:
    return str(stored.note(stored.path(out, CLUSTERS, part.name)).get("fingerprint"))
