import contextlib
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import xxhash
from datasketch import MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvl_data import storage
from dsvl_data.curate import verify
from dsvl_data.curate.clusters import BandFile, find_clusters, prefixes_for, run_task, stars, tasks
from dsvl_data.curate.minhash import MinHashParameters, signatures
from dsvl_data.curate.near_text import candidate_bands
from dsvl_data.curate.normalise import shingles
from dsvl_data.curate.settings import NearTextRules
from dsvl_data.curate.signature_files import (
    Bands,
    band_keys,
    bands_for,
    metadata_of,
    read_band,
    read_signatures,
    write_bands,
    write_signatures,
)
from dsvl_data.curate.union_find import UnionFind

PARAMETERS = MinHashParameters(permutations=128)


def varied(count: int, seed: int, changes: range = range(0, 9)) -> list[str]:
    """Texts of 300 words, each followed by copies with ever more words changed."""
    rng = random.Random(seed)
    texts = []
    while len(texts) < count:
        words = [f"w{rng.randrange(5000)}" for _ in range(300)]
        for changed in rng.sample(changes, 3):
            copy = list(words)
            for place in rng.sample(range(300), changed):
                copy[place] = f"x{rng.randrange(5000)}"
            texts.append(" ".join(copy))
    rng.shuffle(texts)
    return texts[:count]


def stored(folder: str, rows: np.ndarray, cuts: list[int], bands: Bands, prefixes: int):
    """Bands and signatures on disk, in runs of one part each."""
    files, signed = [], []
    for first, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        file = BandFile(f"{folder}/bands-{first}-{len(files)}.arrow", first)
        path = f"{folder}/signatures-{first}-{len(files)}.parquet"
        part = rows[first:end]
        write_bands(file.path, [part], bands, prefixes, PARAMETERS.empty, {})
        write_signatures(path, [f"k{i}" for i in range(first, end)], part, {})
        files.append(file)
        signed.append(verify.Signed((path,), (end - first,), first))
    return files, signed


def clusters_from(
    rows, folder, files, signed, bands, prefixes, similarity=0.0, mapping=map, memory=1 << 30
):
    """Candidates and, with a similarity, their verification, from what `stored` wrote."""
    jobs = list(tasks(files, bands, prefixes, f"{folder}/edges", "f"))
    union = find_clusters(len(rows), jobs, mapping)
    if similarity:
        place = verify.Place(f"{folder}/edges", "f", rows.shape[1] * rows.itemsize)
        paths = [job.out for job in jobs]
        union = verify.verified(union, paths, signed, similarity, place, memory, mapping)
    documents, smallest = union.components()
    return dict(zip(documents.tolist(), smallest.tolist(), strict=True))


def labels(
    rows, folder, cuts=(), bands=None, prefixes=1, similarity=0.0, mapping=map, memory=1 << 30
):
    bands = bands or bands_for(0.8, rows.shape[1])
    files, signed = stored(folder, rows, list(cuts), bands, prefixes)
    return clusters_from(rows, folder, files, signed, bands, prefixes, similarity, mapping, memory)


def components_of(pairs: Iterable[tuple[int, int]], count: int) -> dict[int, int]:
    """The same by the plainest way there is."""
    group = list(range(count))
    for a, b in pairs:
        low, high = sorted((group[a], group[b]))
        group = [low if g == high else g for g in group]
    return {i: g for i, g in enumerate(group) if group.count(g) > 1}


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(
            st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)))
        )
    ),
    st.randoms(use_true_random=False),
)
@settings(deadline=None)
def test_union_find_does_not_depend_on_the_order_of_edges(given_pairs, rng):
    count, pairs = given_pairs
    expected = components_of(pairs, count)
    shuffled = [rng.choice([(a, b), (b, a)]) for a, b in pairs for _ in range(rng.randint(1, 2))]
    rng.shuffle(shuffled)
    union = UnionFind(count)
    while shuffled:  # in batches of any size
        size = rng.randint(1, len(shuffled))
        batch, shuffled = np.array(shuffled[:size], np.int64), shuffled[size:]
        union.join(batch[:, 0], batch[:, 1])
        union.components()  # asking in between changes nothing
        union.smallest(np.arange(count))
    documents, smallest = union.components()
    assert dict(zip(documents.tolist(), smallest.tolist(), strict=True)) == expected
    assert union.smallest(np.arange(count)).tolist() == [expected.get(i, i) for i in range(count)]


def test_union_find_refuses_numbers_out_of_range():
    for wrong in (-1, 3):
        with pytest.raises(IndexError, match=r"0\.\.2"):
            UnionFind(3).join(np.array([0]), np.array([wrong]))


@given(st.lists(st.integers(0, 12), max_size=60), st.sampled_from([0, 3]))
@settings(deadline=None)
def test_stars_join_equal_keys_to_the_first(values, bits):
    # Keys alike in all bits but the highest or the lowest.
    keys = np.array([v << 60 if bits else v for v in values], np.uint64)
    numbers = np.arange(len(values), dtype=np.int64) * 10
    left, right = stars(keys, numbers)
    expected = [
        (values.index(v) * 10, i * 10) for i, v in enumerate(values) if values.index(v) != i
    ]
    assert sorted(zip(left.tolist(), right.tolist(), strict=True)) == sorted(expected)


def test_stars_in_many_chunks():
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 30_000, 100_000).astype(np.uint64) << np.uint64(34)
    left, right = stars(keys, np.arange(len(keys)))
    first = {}
    expected = set()
    for number, key in enumerate(keys.tolist()):
        if first.setdefault(key, number) != number:
            expected.add((first[key], number))
    assert set(zip(left.tolist(), right.tolist(), strict=True)) == expected


@pytest.fixture(scope="module")
def rows():
    return signatures([*varied(240, seed=5), "", "", " "], PARAMETERS)


def test_clusters_are_datasketchs(rows, tmp_path):
    index = MinHashLSH(threshold=0.8, num_perm=128)
    pairs = []
    for number, row in enumerate(rows[:240]):
        minhash = MinHash(num_perm=128, hashvalues=row, scheme="affine32")
        pairs += [(number, other) for other in index.query(minhash)]
        index.insert(number, minhash)
    assert (index.b, index.r) == (bands_for(0.8, 128).bands, bands_for(0.8, 128).rows)
    expected = components_of(pairs, 240)
    assert len(expected) > 100
    assert labels(rows, str(tmp_path)) == expected  # the empty ones at the end are alone


@given(
    st.lists(st.integers(0, 243), max_size=4).map(sorted),
    st.sampled_from([1, 2, 16]),
    st.sampled_from([0.0, 0.7, 0.85]),
    st.sampled_from([1 << 30, 40_000, 5_000]),
    st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=8)
def test_files_prefixes_shares_and_order_change_nothing(
    rows, whole, tmp_path_factory, cuts, prefixes, similarity, memory, rng
):
    def shuffled(function, jobs):
        jobs = list(jobs)
        rng.shuffle(jobs)
        return [function(job) for job in jobs]

    folder = str(tmp_path_factory.mktemp("cut"))
    found = labels(rows, folder, cuts, None, prefixes, similarity, shuffled, memory)
    assert found == whole[similarity]


@pytest.fixture(scope="module")
def whole(rows, tmp_path_factory):
    return {
        similarity: labels(rows, str(tmp_path_factory.mktemp("whole")), similarity=similarity)
        for similarity in (0.0, 0.7, 0.85)
    }


@given(st.permutations(range(60)))
@settings(deadline=None, max_examples=8)
def test_the_order_of_documents_changes_numbers_only(rows, tmp_path_factory, order):
    folder = tmp_path_factory.mktemp("order")
    straight = labels(rows[:60], str(folder / "a"))
    moved = labels(rows[:60][order], str(folder / "b"))

    def groups(found: dict[int, int], names: list[int]) -> set[frozenset[int]]:
        of: dict[int, set[int]] = {}
        for document, cluster in found.items():
            of.setdefault(cluster, set()).add(names[document])
        return {frozenset(members) for members in of.values()}

    assert groups(moved, order) == groups(straight, list(range(60)))


class Killed(BaseException):
    """What no handler of errors stops, as a signal does."""


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
    st.sampled_from([0.0, 0.7]),
)
@settings(deadline=None, max_examples=8)
def test_kills_and_torn_files_change_nothing(rows, whole, tmp_path_factory, lives, rng, similarity):
    """Each life ends after some writes; files are cut, emptied or full of noise before the next."""
    folder = tmp_path_factory.mktemp("killed")
    bands, prefixes = bands_for(0.8, 128), rng.choice([1, 4])
    files, signed = stored(str(folder), rows, [60, 100], bands, prefixes)
    write = storage.atomic_write
    left = 0

    def mortal(path, data):
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        write(path, data)

    def run(mapping=map):
        return clusters_from(
            rows, str(folder), files, signed, bands, prefixes, similarity, mapping, 40_000
        )

    def shuffled(function, jobs):
        jobs = list(jobs)
        rng.shuffle(jobs)
        return map(function, jobs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "atomic_write", mortal)
        for left in lives:  # noqa: B007 `mortal` counts it down
            with contextlib.suppress(Killed):
                run(shuffled)
            written = sorted((folder / "edges").glob("*.arrow"))
            for path in rng.sample(written, len(written) // 4):
                data = path.read_bytes()
                path.write_bytes(
                    rng.choice(
                        [b"", data[: len(data) * rng.randint(0, 99) // 100], b"ARROW1" + b"x" * 99]
                    )
                )
    assert run(shuffled) == whole[similarity]


def test_what_is_there_is_not_made_again(rows, whole, tmp_path):
    bands = bands_for(0.8, 128)
    files, signed = stored(str(tmp_path), rows, [100], bands, 4)
    run = [rows, str(tmp_path), files, signed, bands, 4, 0.7]
    assert clusters_from(*run) == whole[0.7]
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "edges").iterdir()}
    assert {path.name.partition("-")[0] for path in stamps} == {
        "edges", "gathered", "routed", "verified"
    }  # fmt: skip
    assert clusters_from(*run) == whole[0.7]
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    # Made from something else: what is there does not count.
    other = next(tasks(files, bands, 4, str(tmp_path / "edges"), "g"))
    run_task(other)
    assert Path(other.out).stat().st_mtime_ns != stamps[Path(other.out)]


def test_verification_drops_pairs_below_the_threshold(tmp_path):
    texts = varied(150, seed=8)
    rows = signatures(texts, PARAMETERS)
    bands = Bands(32, 4)  # takes much for candidates
    loose = labels(rows, str(tmp_path / "loose"), bands=bands)
    strict = labels(rows, str(tmp_path / "strict"), bands=bands, similarity=0.8)
    assert 0 < len(strict) < len(loose)
    for document in strict:
        best = max((rows[document] == rows[other]).mean() for other in strict if other != document)
        assert best >= 0.8


@pytest.mark.parametrize("seed", range(5))
def test_recall_of_similar_pairs_is_datasketchs(seed, tmp_path):
    texts = varied(120, seed, range(0, 10))
    sets = [set(shingles(text, 5)) for text in texts]
    pairs = [
        (i, j)
        for j in range(len(texts))
        for i in range(j)
        if len(sets[i] & sets[j]) >= 0.8 * len(sets[i] | sets[j])
    ]
    assert len(pairs) >= 20
    parameters = MinHashParameters(seed=seed + 1)
    ours = labels(signatures(texts, parameters), str(tmp_path), bands=bands_for(0.7, 128))
    index = MinHashLSH(threshold=0.7, num_perm=128)
    peers = []
    for number, some in enumerate(sets):
        minhash = MinHash(num_perm=128, seed=seed + 1, hashfunc=xxhash.xxh32_intdigest)
        minhash.update_batch([shingle.encode() for shingle in some])
        peers += [(number, other) for other in index.query(minhash)]
        index.insert(number, minhash)
    theirs = components_of(peers, len(texts))

    def recall(found):
        return sum(i in found and found[i] == found.get(j) for i, j in pairs) / len(pairs)

    assert recall(ours) == recall(theirs)
    assert recall(ours) > 0.8


def test_signatures_are_kept(rows, tmp_path):
    many = np.tile(rows, (40, 1))
    for matrix in (many, many.astype(np.uint64), many[:0]):
        path = str(tmp_path / "s.parquet")
        write_signatures(path, [str(i) for i in range(len(matrix))], matrix, {"fingerprint": "x"})
        found = read_signatures(path)
        assert found.dtype == matrix.dtype
        np.testing.assert_array_equal(found, matrix)
        assert metadata_of(path)["fingerprint"] == "x"
    assert metadata_of(str(tmp_path / "none")) == {}


def test_a_file_of_bands_holds_a_run_of_parts(rows, tmp_path):
    bands = bands_for(0.8, 128)
    for prefixes in (1, 4):
        write_bands(str(tmp_path / "one"), [rows], bands, prefixes, PARAMETERS.empty, {})
        parts = [rows[:50], rows[50:50], rows[50:]]
        write_bands(str(tmp_path / "run"), parts, bands, prefixes, PARAMETERS.empty, {})
        assert (tmp_path / "one").read_bytes() == (tmp_path / "run").read_bytes()
        keys, numbers = read_band(str(tmp_path / "run"), prefixes - 1)
        assert set(keys.tolist()) <= set(band_keys(rows, bands)[0].tolist())
        assert len(numbers) > 0
        assert numbers.max() < 240  # the empty ones at the end are not there


@pytest.mark.parametrize("seed", range(5))
def test_the_default_rules_find_more_than_datasketch_and_join_less_that_is_not_alike(
    seed, tmp_path
):
    """At the default threshold, pairs of a true similarity of 0.6 to 1, against its default use."""
    texts = varied(150, seed + 50, range(0, 10))
    sets = [set(shingles(text, 5)) for text in texts]
    true = {
        (i, j): len(sets[i] & sets[j]) / len(sets[i] | sets[j])
        for j in range(len(texts))
        for i in range(j)
        if sets[i] & sets[j]
    }
    alike = [pair for pair, similarity in true.items() if similarity >= 0.8]
    other = [pair for pair, similarity in true.items() if similarity < 0.75]
    assert min(len(alike), len(other)) >= 20
    rules = NearTextRules(seed=seed + 1)
    rows = signatures(texts, MinHashParameters(seed=seed + 1))
    index = MinHashLSH(threshold=rules.threshold, num_perm=rules.permutations)
    peers = []
    for number, row in enumerate(rows):
        minhash = MinHash(num_perm=128, seed=seed + 1, hashvalues=row, scheme="affine32")
        peers += [(number, near) for near in index.query(minhash)]
        index.insert(number, minhash)
    theirs = components_of(peers, len(texts))
    ours = labels(rows, str(tmp_path), bands=candidate_bands(rules), similarity=rules.threshold)

    def joined(found, pairs):
        return sum(i in found and found[i] == found.get(j) for i, j in pairs) / len(pairs)

    assert joined(ours, alike) >= joined(theirs, alike) - 0.02
    assert joined(ours, alike) > 0.8
    assert joined(ours, other) <= joined(theirs, other) + 0.02
    assert joined(ours, other) < 0.1


def test_any_store(rows):
    labelled = labels(rows, "memory://near", [50, 200], prefixes=2, similarity=0.7)
    assert labelled


def test_keys_differ_where_bands_do():
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 2, (4096, 12)).astype(np.uint32)
    keys = band_keys(rows, Bands(1, 12))[0]
    assert len(np.unique(keys)) == len(np.unique(rows, axis=0))
    with pytest.raises(ValueError, match="12 of a signature"):
        band_keys(rows, Bands(2, 7))


def test_tasks_are_as_many_as_the_memory_needs():
    assert prefixes_for(10_000, 1 << 30) == 1
    assert prefixes_for(1_000_000_000, 1 << 30) == 64
    with pytest.raises(ValueError, match="power of two"):
        write_bands("memory://x", [np.zeros((1, 8), np.uint32)], Bands(2, 4), 3, 1, {})


def test_a_part_without_documents_is_a_part(rows, tmp_path):
    assert labels(rows, str(tmp_path / "a"), [0, 100, 100], similarity=0.7)
    assert labels(rows[:0], str(tmp_path / "b"), similarity=0.7) == {}
    assert labels(rows[:0], str(tmp_path / "c")) == {}
