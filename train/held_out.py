"""Samples that no stage trains on: a loss that falls on them shows that something was learnt.

In: a corpus, and one in how many samples is held out. Out: which those are, tokenised.

They are chosen by a hash of their keys: the same on any machine and in any order, and the same
when the corpus grows. A held-out sample keeps its place in the plan as a masked blank does.
Where samples are pages of a book, others of its pages are trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import xxhash

from dsvl_data import storage
from dsvl_data.outcome import UserError
from dsvl_data.shards.index import read_index
from dsvl_data.shards.manifest import read_manifest
from model.processor import IGNORED, Example, Processor
from train.corpus import Corpus
from train.encode import cut, encode
from train.evaluate import Evaluation, ImageTest, SampleLoss, Scorer
from train.evaluation_sets import OF_CORPUS, EvaluationSet
from train.pool import PlanSettings
from train.reader import Reader

#: What the log calls the two scores.
HELD_OUT, IMAGE_TEST = "held-out loss", "image test"


def is_held_out(key: str, one_in: int) -> bool:
    """Whether a sample is held out, where about one in so many is; 0: none."""
    return one_in > 0 and xxhash.xxh3_64_intdigest(key.encode()) % one_in == 0


def read_held_out(
    shards: Mapping[str, Sequence[str]],
    processor: Processor,
    *,
    one_in: int,
    most: int,
    tokens: int,
) -> dict[str, list[Example]]:
    """Held-out samples of each category, at most `most` of them, cut to so many tokens.

    `shards`: paths of tars by category. `one_in` of 0 takes every sample: those of a corpus that is
    for evaluation alone; `most` of 0 has no limit. What cannot be read, and what has nothing to
    predict, is left out, and so is a category of which nothing is left. Opens the indexes of as
    many shards as it needs.
    """
    found: dict[str, list[Example]] = {}
    reader = Reader()
    try:
        for category, paths in shards.items():
            samples: list[Example] = []
            for path, row in _rows(paths, one_in):
                if most and len(samples) == most:
                    break
                try:
                    encoded = encode(*reader.sample(path, row), processor)
                except (OSError, ValueError, KeyError, TypeError):
                    continue  # the loader tells of it, and counts it
                example = cut(encoded.example, 0, tokens, 0, processor)
                if (example.labels[1:] != IGNORED).any():
                    samples.append(example)
            if samples:
                found[category] = samples
    finally:
        reader.close()
    return found


def held_out_scorers(
    corpus: Corpus, processor: Processor, plan: PlanSettings, most: int
) -> list[Scorer]:
    """What a stage is watched by: the loss of held-out samples of its categories, the image test.

    The image test is made of all categories, so that stages compare, but for where rows end.
    None where the plan holds nothing out.
    """
    if not plan.hold_out:
        return []
    shards = {
        name: [corpus.shard(number, n).path for n in range(len(corpus.counts(name)))]
        for number, name in enumerate(corpus.categories)
    }
    samples = read_held_out(shards, processor, one_in=plan.hold_out, most=most, tokens=plan.tokens)
    trained = {name: samples[name] for name in plan.shares if name in samples}
    return [
        SampleLoss(HELD_OUT, trained, processor),
        ImageTest(IMAGE_TEST, samples, processor),
    ]


def scorer(given: EvaluationSet, processor: Processor) -> Scorer:
    """What scores a model on a set of any form. Raises `UserError` for one that cannot be read."""
    if given.form not in OF_CORPUS:
        return Evaluation(given, processor)
    shards: dict[str, list[str]] = {}
    for record in read_manifest(given.path).shards:
        if record.samples and (not given.categories or record.category in given.categories):
            shards.setdefault(record.category, []).append(storage.join(given.path, record.path))
    samples = read_held_out(
        shards,
        processor,
        one_in=given.hold_out,
        most=given.limit,
        tokens=processor.config.language.max_positions,
    )
    kind = ImageTest if given.form == "image-test" else SampleLoss
    found = kind(given.name, samples, processor)
    if not found.samples:
        raise UserError(
            f"{given.path} has no samples for the form {given.form}: "
            + ("two of a category with an image" if kind is ImageTest else "one with a loss")
            + f" among those of {', '.join(shards) or 'no category'}, one in {given.hold_out or 1}"
        )
    return found


def _rows(paths: Sequence[str], one_in: int) -> Iterator[tuple[str, int]]:
    for path in paths:
        keys = read_index(path, ["key"]).table["key"].to_pylist()
        yield from (
            (path, n) for n, key in enumerate(keys) if not one_in or is_held_out(key, one_in)
        )
