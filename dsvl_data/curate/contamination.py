"""What samples share with benchmarks: samples in, runs of words and near images in common out.

A sample is contaminated when it shares a run of words with a benchmark (lengths, and which runs
are evidence at all: `contamination_index.py`) or when one of its images is nearly one of a
benchmark's. GPT-3 (Brown et al. 2020, appendix C) removed around any 13-gram in common; so one
run is enough by default, and `min_runs` asks for more.

A run that many documents of the corpus have (licences, prayers, headers) is no evidence either:
GPT-3 drew the line at 10 documents. That rule alone would let through what leaks most, a question
that was copied a hundred times; here a sample that has half of a benchmark's text (and 10 of its
runs) is contaminated however common these are. Those runs are found after all parts are measured,
and are part of the rules by which the decisions are made (`common`): no sample is read again.

An image's hash is compared with that of every image of the benchmarks (some 0.1 ms for 100,000),
and its traits with those of the images whose hashes are near (`image_hash.py` says why).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsvl_data.curate import benchmarks, ngrams
from dsvl_data.curate import contamination_index as indexes
from dsvl_data.curate.benchmarks import ContaminationRules
from dsvl_data.curate.contamination_index import Index
from dsvl_data.curate.image_hash import COLOUR, differences, fingerprint, reduced
from dsvl_data.curate.rule import Criterion, Rule, Scorer
from dsvl_data.curate.settings import CategoryRules, Curation
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.sample import Sample

TEXT, RUNS, SHARE = "contamination", "contamination_runs", "contamination_share"
HASHES, ITEMS = "contamination_hashes", "contamination_items"
IMAGE, IMAGES = "contamination_image", "contamination_images"

_VERSION = 3
_MOST_HASHES = 256  # of one sample that are kept to be counted
_MOST_ITEMS = 16
_EXCERPT = 120  # characters
_FEWEST_OF_WHOLE = 10  # runs: to have a whole short text (a proverb) proves nothing
_WIDEST = 8  # bits: beyond that two images are not compared


class SharedItem(NamedTuple):
    """What a text shares with an item of a benchmark.

    `others`: items that have the same text; `runs` in common, and what `share` they are of the
    item's text; `excerpt`: the longest stretch that they cover, as it stands in the sample.
    """

    item: int
    others: int
    runs: int
    share: float
    excerpt: str


class NearImage(NamedTuple):
    """An item of a benchmark with an image that is like a sample's: how many bits of the hashes
    differ, and what share of the fine ones.
    """

    item: int
    bits: int
    detail: float


@dataclass(frozen=True, slots=True)
class ContaminationScorer:
    """The scorer: what is shared with which item. `place` is where the index stands."""

    rules: ContaminationRules
    place: str = ""
    name: ClassVar[str] = "contamination"
    columns: ClassVar[Mapping[str, pa.DataType]] = {
        TEXT: pa.string(),  # in words
        RUNS: pa.int64(),  # different runs in common; 0: none
        SHARE: pa.float64(),  # the largest share of a benchmark's text
        HASHES: pa.list_(pa.uint64()),
        ITEMS: pa.list_(
            pa.struct(
                [
                    ("item", pa.string()),
                    ("runs", pa.int64()),
                    ("share", pa.float64()),
                    ("text", pa.string()),
                ]
            )
        ),
        IMAGE: pa.string(),  # in words
        IMAGES: pa.list_(
            pa.struct(
                [
                    ("item", pa.string()),
                    ("bits", pa.int64()),  # of the hash that differ
                    ("detail", pa.float64()),  # share of the fine bits that do
                ]
            )
        ),
    }
    gpus: ClassVar[float] = 0

    def check(self) -> None:
        """See `Prepared`: the files, and the first record of each."""
        for benchmark, path in benchmarks.files(self.rules.benchmarks):
            next(benchmarks.items(benchmark, path), None)

    def prepare(self, out: str) -> None:
        """See `Prepared`."""
        indexes.prepare(out, self.rules)

    def placed(self, out: str) -> ContaminationScorer:
        """See `Prepared`."""
        return replace(self, place=indexes.place(out))

    @property
    def version(self) -> str:
        """See `Scorer`."""
        return f"{_VERSION}/{indexes.note(self.place)['fingerprint']}"

    def score(self, samples: Sequence[Sample]) -> Mapping[str, Sequence[Any]]:
        """See `Scorer`."""
        index = indexes.load(self.place, self.version.removeprefix(f"{_VERSION}/"))
        values: dict[str, list[Any]] = {name: [] for name in self.columns}
        for sample in samples:
            hashes, shared = find_text(sample.text, index)
            items = [
                {
                    "item": index.name(each.item),
                    "runs": each.runs,
                    "share": each.share,
                    "text": each.excerpt,
                }
                for each in shared
            ]
            values[TEXT].append(_in_words(shared[0], index) if shared else None)
            values[RUNS].append(len(hashes))
            values[SHARE].append(shared[0].share if shared else 0.0)
            values[HASHES].append(hashes[:_MOST_HASHES] if shared else None)
            values[ITEMS].append(items or None)
            pictures = [
                {"item": index.name(each.item), "bits": each.bits, "detail": each.detail}
                for each in find_images([each.data for each in sample.images], index)
            ]
            said = (
                f"{each['item']} ({each['bits']} bits, {each['detail']:.1%} different)"
                for each in pictures
            )
            values[IMAGE].append("; ".join(said) or None)
            values[IMAGES].append(pictures or None)
        return values


def find_text(text: str, index: Index) -> tuple[NDArray[np.uint64], list[SharedItem]]:
    """Find what a text shares with an index: its runs, and the items by share, largest first."""
    tokens = ngrams.read_tokens(text)
    slots, starts, stops = ngrams.search(tokens, index.lengths, index.buckets)
    different = np.unique(slots)
    if not len(different):
        return np.zeros(0, np.uint64), []
    lists = [index.texts[index.firsts[slot] : index.firsts[slot + 1]] for slot in different]
    owners = np.repeat(different, [len(each) for each in lists])
    members = np.concatenate(lists)
    texts, counts = np.unique(members, return_counts=True)
    shares = counts / index.runs[texts]
    found: dict[int, SharedItem] = {}
    for at in np.lexsort((texts, -counts, -shares)).tolist():
        number = int(texts[at])
        item = int(index.items[number])
        if item in found:
            continue
        mine = np.isin(slots, owners[members == number])
        first, last = _longest(starts[mine], stops[mine])
        found[item] = SharedItem(
            item,
            int(index.sharing[number]) - 1,
            int(counts[at]),
            float(shares[at]),
            _shortened(text[tokens.begins[first] : tokens.ends[last]]),
        )
        if len(found) == _MOST_ITEMS:
            break
    return index.buckets.hashes[different], list(found.values())


def find_images(images: Iterable[bytes], index: Index) -> list[NearImage]:
    """Find the images of an index that are like one of some images, the most alike first.

    Each item once, `_MOST_ITEMS` of them; and beyond these whatever has fewer bits different than
    all before it. So whatever the limits, what is within both is among them if there is any.
    """
    found: list[NearImage] = []
    if not len(index.hashes):
        return found
    for data in images:
        try:
            seen = fingerprint(reduced(data))
        except DocumentError:
            continue  # what nobody can decode resembles nothing
        if seen is None:
            continue
        distances = np.bitwise_count(index.hashes ^ np.uint64(seen.hash))
        for number in np.flatnonzero(distances <= _WIDEST).tolist():
            detail, colour = differences(seen.traits, index.traits[number].tobytes())
            if colour <= COLOUR:
                item, bits = int(index.image_items[number]), int(distances[number])
                found.append(NearImage(item, bits, detail))
    kept: list[NearImage] = []
    items: set[int] = set()
    for each in sorted(found, key=lambda near: (near.detail, near.bits, near.item)):
        nearest = all(each.bits < other.bits for other in kept)
        if nearest or (each.item not in items and len(items) < _MOST_ITEMS):
            kept.append(each)
            items.add(each.item)
    return kept


@dataclass(frozen=True, slots=True)
class _NoSharedText:
    """Runs of a benchmark, as far as they are evidence, are too many."""

    rules: ContaminationRules
    column: str = TEXT
    reason: Reason = Reason.CONTAMINATED
    threshold: str = "none"

    def passes(self, measures: pa.Table) -> NDArray[np.bool_]:
        runs, whole = evidence(measures, self.rules)
        return ~(whole | (runs >= self.rules.min_runs))


@dataclass(frozen=True, slots=True)
class _NoSharedImage:
    """An image of a benchmark is too near."""

    rules: ContaminationRules
    column: str = IMAGE
    reason: Reason = Reason.CONTAMINATED

    @property
    def threshold(self) -> str:
        least = f"more than {self.rules.image_bits} bits"
        return f"{least} or {self.rules.image_detail:.0%} different"

    def passes(self, measures: pa.Table) -> NDArray[np.bool_]:
        return ~near_image(measures, self.rules)


def evidence(
    measures: pa.Table, rules: ContaminationRules
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return for each sample how many runs are evidence, and whether it has most of a text."""
    runs = np.array(measures.column(RUNS).fill_null(0), np.int64)
    items = measures.column(ITEMS).combine_chunks()
    flat = items.flatten()
    most = (np.asarray(flat.field("share")) >= rules.whole) & (
        np.asarray(flat.field("runs")) >= _FEWEST_OF_WHOLE
    )
    whole = np.zeros(len(runs), np.bool_)
    whole[np.asarray(items.value_parent_indices())[most]] = True
    if rules.common:
        common = np.array(sorted(int(each, 16) for each in rules.common), np.uint64)
        column = measures.column(HASHES).combine_chunks()
        owners = np.asarray(column.value_parent_indices())
        excused = np.isin(np.asarray(column.flatten()), common)
        runs = runs - np.bincount(owners[excused], minlength=len(runs))
    return runs, whole


def near_image(measures: pa.Table, rules: ContaminationRules) -> NDArray[np.bool_]:
    """Say of each sample whether one of its images is nearly a benchmark's."""
    lists = measures.column(IMAGES).combine_chunks()
    flat = lists.flatten()
    near = is_near(np.asarray(flat.field("bits")), np.asarray(flat.field("detail")), rules)
    found = np.zeros(len(lists), np.bool_)
    found[np.asarray(lists.value_parent_indices())[near]] = True
    return found


def is_near(
    bits: NDArray[np.int64], detail: NDArray[np.float64], rules: ContaminationRules
) -> NDArray[np.bool_]:
    """Say of differences between two images whether they are those of one picture."""
    near: NDArray[np.bool_] = (bits <= rules.image_bits) & (detail <= rules.image_detail)
    return near


def with_common(settings: Curation, runs: Sequence[int]) -> Curation:
    """Return settings by which some runs, too common in the corpus, are no evidence."""
    common = [f"{run:016x}" for run in runs]

    def widened(rules: ContaminationRules | None) -> ContaminationRules | None:
        if rules is None:
            return None
        return rules.model_copy(update={"common": tuple(sorted({*rules.common, *common}))})

    by_category = {
        category: rules.model_copy(update={"contamination": widened(rules.contamination)})
        for category, rules in settings.by_category.items()
    }
    return settings.model_copy(
        update={"contamination": widened(settings.contamination), "by_category": by_category}
    )


def asked(settings: Curation) -> ContaminationRules | None:
    """Return the rules by which a corpus is measured, None where no category asks for it."""
    every = (rules.contamination for rules in settings.every_rules())
    return indexes.check([rules for rules in every if rules])


def _in_words(shared: SharedItem, index: Index) -> str:
    others = f" and {shared.others} with the same text" if shared.others else ""
    return (
        f"{index.name(shared.item)}{others}: {shared.runs} runs, {shared.share:.0%} of its text: "
        f"{shared.excerpt}"
    )


def _shortened(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _EXCERPT else words[:_EXCERPT] + "..."


def _longest(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> tuple[int, int]:
    """Return the first and last token of the longest stretch that runs cover together."""
    order = np.argsort(starts, kind="stable")
    begin, end = int(starts[order[0]]), int(stops[order[0]])
    best = (begin, end)
    for at in order.tolist():
        if starts[at] > end + 1:
            begin = int(starts[at])
        end = max(end, int(stops[at]))
        if end - begin > best[1] - best[0]:
            best = (begin, end)
    return best


def _scorer(settings: Curation) -> Scorer | None:
    rules = asked(settings)
    return ContaminationScorer(rules) if rules else None


def _rules(rules: CategoryRules) -> Iterable[Rule]:
    if rules.contamination and rules.contamination.action == "drop":
        yield _NoSharedText(rules.contamination)
        yield _NoSharedImage(rules.contamination)


CRITERION = Criterion(_scorer, _rules)
