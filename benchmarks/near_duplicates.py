"""Near-duplicate text: signatures, clusters and recall beside datasketch, rensa, datatrove, Daft.

All figures are CPU seconds of all threads (`time.process_time`), so that a busy machine says
much the same as an idle one; each round runs every contestant once, and medians are printed.
Documents have 3,000 characters, cut from the texts of `DSVL_REAL_DATA` (default: ../shared/data;
made of invented words when that is not there). Signatures: 128 permutations, word 5-grams, lower
case, NFD, from text. What a peer leaves to Python (normalising, shingles) is done there in the
plainest way and counts; the rows "given" leave it out and measure the peer's own code alone.

The peers run in a Python of their own, since Daft wants an older pyarrow than ours:

    uv venv peers && uv pip install --python peers/bin/python --group near-duplicate-peers
    DSVL_PEERS=peers/bin/python python benchmarks/near_duplicates.py [--large 10000000]

Without DSVL_PEERS only datasketch (a dependency of ours) is compared, in clusters and recall.
`--large` is the number of synthetic signatures to write, cut into bands, and cluster from disk,
in a process of its own whose peak memory is told; it needs 650 bytes of disk each; 0 leaves it out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from datasketch import MinHash, MinHashLSH

from dsvl_data.curate import verify
from dsvl_data.curate.clusters import BandFile, find_clusters, prefixes_for, stars, tasks
from dsvl_data.curate.minhash import MinHashParameters, signatures
from dsvl_data.curate.normalise import normalise, shingles, tables
from dsvl_data.curate.signature_files import (
    band_keys,
    bands_for,
    read_signatures,
    write_bands,
    write_signatures,
)
from dsvl_data.curate.union_find import UnionFind

ROUNDS = 5
DOCUMENTS = 4000
LENGTH = 3000
PARAMETERS = MinHashParameters()
PART, RUN = 100_000, 1_000_000
TASK_MEMORY = 1 << 30


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--large", type=int, default=10_000_000)
    parser.add_argument("--parts", nargs="*", default=["signing", "clustering", "recalling"])
    parser.add_argument("--only-large", metavar="FOLDER", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.only_large:
        large(chosen.large, chosen.only_large)
        return
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    first_call()
    for part in chosen.parts:
        {"signing": signing, "clustering": clustering, "recalling": recalling}[part]()
    if chosen.large:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--large", str(chosen.large)]
            subprocess.run([*command, "--only-large", folder], check=True)


def first_call() -> None:
    start = time.process_time()
    tables()
    middle = time.process_time()
    signatures(["compile"], PARAMETERS)
    print(
        f"once a process: Unicode tables {middle - start:.2f} s, kernels {clock(middle):.2f} s "
        "(compiled by the first process on a machine: some 10 s)"
    )


def signing() -> None:
    texts = documents()
    ascii_share = statistics.mean(text.isascii() for text in texts)
    words = statistics.mean(len(text.split()) for text in texts)
    print(f"\nsignatures: {len(texts)} documents of {LENGTH} characters, {words:.0f} words, "
          f"{ascii_share:.0%} pure ASCII")  # fmt: skip
    normal = [normalise(text) for text in texts]
    chinese = chinese_documents()
    contestants: dict[str, Callable[[], tuple[float, int]]] = {
        "dsvl": lambda: timed(lambda: signatures(texts, PARAMETERS), len(texts)),
        "dsvl, normalised text given": lambda: timed(
            lambda: signatures(normal, PARAMETERS), len(texts)
        ),
        "dsvl, two threads": lambda: timed(
            lambda: signatures(texts, PARAMETERS, threads=2), len(texts)
        ),
        "dsvl, Chinese of 1,000 characters": lambda: timed(
            lambda: signatures(chinese, PARAMETERS), len(chinese)
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "documents.json")
        path.write_text(json.dumps(texts))
        peers = start_peers(path)
        contestants |= peers
        rates: dict[str, list[float]] = {name: [] for name in contestants}
        for round_ in range(ROUNDS):
            for name in random.Random(round_).sample(list(contestants), len(contestants)):
                seconds, count = contestants[name]()
                rates[name].append(count / seconds)
    ours = statistics.median(rates["dsvl"])
    for name, found in rates.items():
        rate = statistics.median(found)
        ratio = "" if name.startswith("dsvl") else f"   dsvl is {ours / rate:6.1f} x"
        print(f"  {name:42s} {rate:9,.0f} documents a CPU second "
              f"({min(found):,.0f}-{max(found):,.0f}){ratio}")  # fmt: skip
    agreement(texts[:200] + chinese[:20])


def agreement(texts: list[str]) -> None:
    for parameters in (PARAMETERS, MinHashParameters(scheme="affine64"),
                       MinHashParameters(scheme="affine64", shingle_hash="xxh64"),
                       MinHashParameters(scheme="legacy")):  # fmt: skip
        hashed = {"xxh32": xxhash.xxh32_intdigest, "xxh64": xxhash.xxh64_intdigest}
        found = MinHash.bulk(
            ([shingle.encode() for shingle in shingles(text, 5)] for text in texts),
            num_perm=128, scheme=parameters.scheme, hashfunc=hashed[parameters.shingle_hash],
        )  # fmt: skip
        same = np.array([m.hashvalues for m in found]) == signatures(texts, parameters)
        count = int(same.all(axis=1).sum())
        print(f"  {parameters.scheme} over {parameters.shingle_hash}: "
              f"{count} of {len(texts)} signatures are datasketch's")  # fmt: skip


def clustering(count: int = 200_000, peer_count: int = 20_000) -> None:
    rows = synthetic(count, 0)
    bands = bands_for(0.8, 128)
    print(f"\nclusters: synthetic signatures, 10 % near-duplicates, threshold 0.8, {bands}")

    def ours() -> None:
        keys = band_keys(rows, bands)
        union = UnionFind(count)
        for band in range(bands.bands):
            union.join(*stars(keys[band], np.arange(count)))
        union.components()

    def from_disk() -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = BandFile(f"{folder}/bands", 0)
            prefixes = prefixes_for(count, TASK_MEMORY)
            write_bands(file.path, [rows], bands, prefixes, PARAMETERS.empty, {})
            jobs = tasks([file], bands, prefixes, f"{folder}/edges", "f")
            find_clusters(count, jobs).components()

    minhashes = [MinHash(num_perm=128, hashvalues=row, scheme="affine32") for row in
                 rows[:peer_count]]  # fmt: skip

    def theirs() -> None:
        index = MinHashLSH(threshold=0.8, num_perm=128)
        for number, minhash in enumerate(minhashes):
            index.query(minhash)
            index.insert(number, minhash)

    contestants = {
        f"dsvl in memory, {count:,}": (ours, count),
        f"dsvl with bands and edges on disk, {count:,}": (from_disk, count),
        f"datasketch MinHashLSH, {peer_count:,}": (theirs, peer_count),
    }
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    ours()
    for _ in range(ROUNDS):
        for name, (run, number) in contestants.items():
            rates[name].append(number / timed(run, number)[0])
    peer = statistics.median(list(rates.values())[-1])
    for name, found in rates.items():
        rate = statistics.median(found)
        print(f"  {name:46s} {rate:11,.0f} documents a CPU second   {rate / peer:6.1f} x")


def recalling() -> None:
    """Pairs of texts in twos: which share of those from 0.8 on, and of the others, is joined."""
    print("\npairs joined: of those with a Jaccard similarity of 0.8 and more / of those below")
    for seed in range(1, 6):
        texts, similarities = similar_pairs(seed)
        sets = [[s.encode() for s in shingles(text, 5)] for text in texts]
        minhashes = MinHash.bulk(sets, num_perm=128, seed=seed, hashfunc=xxhash.xxh32_intdigest)
        found = {}
        for threshold in (0.8, 0.7):
            found[f"datasketch {threshold}"] = by_datasketch(minhashes, threshold)
            found[f"dsvl, bands for {threshold}"] = by_us(texts, seed, threshold, 0)
        found["dsvl, default"] = by_us(texts, seed, 0.7, 0.8)
        alike = similarities >= 0.8
        print(f"  seed {seed}, {alike.sum()} / {(~alike).sum()} pairs: " + "; ".join(
            f"{name} {joined[alike].mean():.1%} / {joined[~alike].mean():.1%} "
            f"(lowest {similarities[joined].min():.2f})"
            for name, union in found.items() for joined in [pairs_joined(union)]))  # fmt: skip
    print("chains of 12 versions, each changed in 1 word of 80: pairs in one cluster")
    texts, similarity_of = versions()
    for name, union in (
        ("bands for 0.8", by_us(texts, 1, 0.8, 0)), ("default", by_us(texts, 1, 0.7, 0.8))
    ):  # fmt: skip
        labels = union.smallest(np.arange(len(texts)))
        within = np.array([s for (i, j), s in similarity_of.items() if labels[i] == labels[j]])
        print(f"  {name}: {len(within)} of {len(similarity_of)}, "
              f"{(within < 0.8).mean():.0%} below 0.8, {(within < 0.6).mean():.0%} below 0.6, "
              f"lowest {within.min():.2f}")  # fmt: skip


def by_us(texts: list[str], seed: int, threshold: float, similarity: float) -> UnionFind:
    """What curation does: bands for a threshold, verified (0: not) at another, through files."""
    rows = signatures(texts, MinHashParameters(seed=seed))
    bands = bands_for(threshold, 128)
    with tempfile.TemporaryDirectory() as folder:
        write_signatures(f"{folder}/signatures", [str(i) for i in range(len(texts))], rows, {})
        write_bands(f"{folder}/bands", [rows], bands, 1, PARAMETERS.empty, {})
        jobs = list(tasks([BandFile(f"{folder}/bands", 0)], bands, 1, f"{folder}/edges", "f"))
        union = find_clusters(len(texts), jobs)
        if similarity:
            signed = [verify.Signed((f"{folder}/signatures",), (len(texts),), 0)]
            place = verify.Place(f"{folder}/edges", "f", 512)
            edges = [job.out for job in jobs]
            union = verify.verified(union, edges, signed, similarity, place, TASK_MEMORY)
        return union


def by_datasketch(minhashes: list[MinHash], threshold: float) -> UnionFind:
    union = UnionFind(len(minhashes))
    index = MinHashLSH(threshold=threshold, num_perm=128)
    for number, minhash in enumerate(minhashes):
        others = np.array(index.query(minhash), np.int64)
        union.join(others, np.full(len(others), number))
        index.insert(number, minhash)
    return union


def pairs_joined(union: UnionFind) -> np.ndarray[Any, Any]:
    labels = union.smallest(np.arange(union.documents))
    joined: np.ndarray[Any, Any] = labels[0::2] == labels[1::2]
    return joined


def similar_pairs(seed: int) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Texts in twos, and the true similarity of each two: 0.45 to 1."""
    rng = random.Random(seed)
    texts, similarities = [], []
    for _ in range(1000):
        words = [f"w{rng.randrange(50_000)}" for _ in range(rng.randrange(100, 500))]
        texts += [
            " ".join(words),
            " ".join(changed(words, rng.randrange(0, len(words) // 15 + 2), rng)),
        ]
        similarities.append(jaccard(*texts[-2:]))
    return texts, np.array(similarities)


def versions() -> tuple[list[str], dict[tuple[int, int], float]]:
    """40 texts in 12 versions each, and the similarities of a text's versions."""
    rng = random.Random(0)
    texts: list[str] = []
    similarities = {}
    for _ in range(40):
        words = [f"w{rng.randrange(50_000)}" for _ in range(400)]
        first = len(texts)
        for _ in range(12):
            texts.append(" ".join(words))
            words = changed(words, len(words) // 80, rng)
        for i in range(first, len(texts)):
            for j in range(first, i):
                similarities[j, i] = jaccard(texts[i], texts[j])
    return texts, similarities


def changed(words: list[str], count: int, rng: random.Random) -> list[str]:
    other = list(words)
    for place in rng.sample(range(len(words)), count):
        other[place] = f"x{rng.randrange(50_000)}"
    return other


def jaccard(one: str, other: str) -> float:
    a, b = set(shingles(one, 5)), set(shingles(other, 5))
    return len(a & b) / len(a | b)


def large(count: int, folder: str) -> None:
    bands = bands_for(0.8, 128)
    prefixes = prefixes_for(count, TASK_MEMORY)
    print(f"\n{count:,} synthetic signatures, one process, {bands}, {prefixes} prefix(es)")
    files, signed = [], []
    made = written = banded = 0.0
    wall = time.perf_counter()
    for first in range(0, count, RUN):
        paths, lengths = [], []
        for at in range(first, min(first + RUN, count), PART):
            start = time.process_time()
            rows = synthetic(min(PART, count - at), at // PART)
            made += clock(start)
            start = time.process_time()
            paths.append(f"{folder}/signatures-{at}")
            lengths.append(len(rows))
            write_signatures(paths[-1], [f"{at + i:x}" for i in range(len(rows))], rows, {})
            written += clock(start)
        start = time.process_time()
        files.append(BandFile(f"{folder}/bands-{first}", first))
        signed.append(verify.Signed(tuple(paths), tuple(lengths), first))
        write_bands(files[-1].path, map(read_signatures, paths), bands, prefixes,
                    PARAMETERS.empty, {})  # fmt: skip
        banded += clock(start)
    sizes = [sum(p.stat().st_size for p in Path(folder).glob(f"{kind}-*"))
             for kind in ("signatures", "bands")]  # fmt: skip
    print(f"  CPU: made {made:.0f} s, signatures written {written:.0f} s "
          f"({sizes[0] / count:.0f} bytes each), bands written {banded:.0f} s "
          f"({sizes[1] / count:.0f} bytes each); {time.perf_counter() - wall:.0f} s in all; "
          f"peak {peak():.2f} GB")  # fmt: skip
    start, wall = time.process_time(), time.perf_counter()
    edges = f"{folder}/edges"
    jobs = list(tasks(files, bands, prefixes, edges, "f"))
    union = find_clusters(count, jobs)
    told("clusters of candidates", union, start, wall, edges, "edges-*")
    start, wall = time.process_time(), time.perf_counter()
    place = verify.Place(edges, "f", PARAMETERS.permutations * PARAMETERS.dtype.itemsize)
    union = verify.verified(union, [job.out for job in jobs], signed, 0.8, place, TASK_MEMORY)
    told("verified at 0.8", union, start, wall, edges, "[!e]*")


def told(name: str, union: UnionFind, start: float, wall: float, edges: str, files: str) -> None:
    documents, smallest = union.components()
    size = sum(path.stat().st_size for path in Path(edges).glob(files))
    print(f"  {name}: {clock(start):.0f} CPU seconds, {time.perf_counter() - wall:.0f} s, "
          f"{len(documents):,} documents in {len(np.unique(smallest)):,} clusters, "
          f"written {size / 1e6:.0f} MB, peak {peak():.2f} GB")  # fmt: skip


def synthetic(count: int, part: int) -> np.ndarray[Any, Any]:
    """Signatures at random; each tenth resembles one of another part, in 75 to 100 % of values."""
    rows = at_random(count, part)
    rng = np.random.default_rng([part, 1])
    copies = np.arange(9, count, 10)
    models = (at_random(count, part // 2) if part // 2 != part else rows)[copies - 1]
    kept = rng.random(models.shape) < rng.uniform(0.75, 1, len(copies))[:, None]
    rows[copies] = np.where(kept, rng.permutation(models), rows[copies])
    return rows


def at_random(count: int, part: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(part).integers(0, 1 << 32, (count, 128), dtype=np.uint32)


def start_peers(path: Path) -> dict[str, Callable[[], tuple[float, int]]]:
    python = os.environ.get("DSVL_PEERS")
    if not python:
        print("  no DSVL_PEERS: the peers are left out (see the top of this file)")
        return {}
    script = Path(__file__).with_name("near_duplicates_peers.py")
    process = subprocess.Popen(
        [python, script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    asked, answers = process.stdin, process.stdout

    def ask(name: str) -> tuple[float, int]:
        asked.write(name + "\n")
        asked.flush()
        seconds, count = json.loads(answers.readline())
        return seconds, count

    names = json.loads(answers.readline())
    return {name: lambda name=name: ask(name) for name in names}  # type: ignore[misc]


def documents() -> list[str]:
    folder = Path(os.environ.get("DSVL_REAL_DATA", Path(__file__).parents[2] / "shared/data"))
    pages = sorted((folder / "text").glob("**/*.html"))
    if pages:
        text = " ".join(page.read_text(errors="replace") for page in pages)
        words = re.sub(r"<[^>]*>", " ", text).split()
    else:
        print("  no real data: documents are made of invented words")
        rng = random.Random(0)
        words = [
            "".join(rng.choices("etaoinshrdlu", k=rng.randrange(1, 10))) for _ in range(30_000)
        ]
    return list(windows(words, DOCUMENTS))


def windows(words: list[str], count: int) -> Iterator[str]:
    rng = random.Random(1)
    for _ in range(count):
        first = rng.randrange(len(words) - LENGTH // 2)
        yield " ".join(words[first : first + LENGTH // 2])[:LENGTH]


def chinese_documents() -> list[str]:
    rng = random.Random(2)
    signs = [chr(rng.randrange(0x4E00, 0x9FA5)) for _ in range(3000)]
    return ["，".join("".join(rng.choices(signs, k=24)) for _ in range(40)) for _ in range(1000)]


def timed(run: Callable[[], object], count: int) -> tuple[float, int]:
    start = time.process_time()
    run()
    return clock(start), count


def clock(start: float) -> float:
    return time.process_time() - start


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
