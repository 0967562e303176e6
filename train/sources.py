"""What a stage reads: the corpora of a recipe, and the plan of the stage's batches.

In: a recipe, a stage's settings. Out: an open `Corpus`, and `PlanSettings`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from dsvl_data.curate.mix import Mix
from dsvl_data.outcome import UserError
from dsvl_data.recipe import RecipeError
from model.processor import Processor
from train.corpus import Corpus, Counter
from train.encode import count_tokens
from train.mixing import WarmUp
from train.parallel import Ranks
from train.pool import PlanSettings
from train.settings import StageSettings, TrainRecipe, with_shares

#: Seconds that a rank counts before it hears from the others.
_TURN = 30.0
_END = object()
_Unit: TypeAlias = Literal["tokens", "samples"]


def open_corpus(recipe: TrainRecipe, processor: Processor) -> Corpus:
    """The recipe's corpora, with lengths by its tokenizer."""
    # By what it does: another tokenizer may come to lie under the same name.
    name = f"{processor.tokenizer.digest} {processor.config.image_tokens}"
    counter = Counter(name, lambda record: count_tokens(record, processor))
    return Corpus(list(recipe.corpora), counter, Path(recipe.out) / "lengths")


def measure_lengths(corpus: Corpus, ranks: Ranks, threads: int = 1) -> None:
    """Count the tokens of all samples that nobody has counted yet, each rank its part of them.

    All ranks must call it, and return together. Raises on all of them what it raises on one.
    """
    counting = corpus.measuring(ranks.rank, ranks.world, threads)
    while True:
        failed: Exception | None = None
        more = False
        until = time.monotonic() + _TURN
        try:
            more = next(counting, _END) is not _END
            while more and time.monotonic() < until:
                more = next(counting, _END) is not _END
        except (OSError, ValueError, UserError) as error:
            failed = error
        # In turns: ranks that wait for one that counts for hours would give it up for dead.
        going, wrong = ranks.total([float(more), float(failed is not None)])
        if wrong:
            raise failed or UserError(
                "another rank cannot count the tokens of its shards; it says why"
            )
        if not going:
            return


def make_plan(recipe: TrainRecipe, settings: StageSettings, corpus: Corpus) -> PlanSettings:
    """The stage's batches, in the shares of the stage, else of the mixes, else of the corpus.

    Raises `RecipeError` when a category with a share has no sample, and when the mixes do not say
    what all there is is to be drawn by.
    """
    there = {name: sum(corpus.counts(name)) for name in corpus.categories}
    unit = settings.unit or "tokens"
    if settings.shares:
        wanted = settings.shares
    elif corpus.mixes:
        unit, wanted = _mixed(corpus.mixes, there, settings.unit)
    elif unit == "samples":
        wanted = {name: samples / sum(there.values()) for name, samples in there.items()}
    else:
        # Then all categories are read in equal epochs.
        tokens = {name: _shown(corpus, settings, name) for name in there}
        wanted = {name: tokens[name] / sum(tokens.values()) for name in there}
    language = settings.language
    return PlanSettings(
        rows=settings.rows,
        tokens=settings.tokens,
        shares=with_shares(recipe, wanted, there),
        images=settings.images,
        packing=settings.packing,
        grouping=settings.grouping,
        language=None if language is None else WarmUp(language, settings.language_warmup),
        unit=unit,
        seed=recipe.seed,
        window=recipe.window,
        hold_out=recipe.hold_out,
    )


def _shown(corpus: Corpus, settings: StageSettings, name: str) -> int:
    """Tokens of a category, of each sample as many as the plan counts when it draws it."""
    lengths = [corpus.sizes(name, n).tokens for n in range(len(corpus.counts(name)))]
    if not settings.packing or corpus.has_images(name):
        lengths = [np.minimum(tokens, settings.tokens) for tokens in lengths]
    return sum(int(tokens.sum()) for tokens in lengths)


def _mixed(
    mixes: Sequence[Mix], there: Mapping[str, int], asked: _Unit | None
) -> tuple[_Unit, dict[str, float]]:
    """What the mixes say together, and in which unit.

    The weights of each mix sum to 1 and are added: corpora with a mix count alike, whatever their
    sizes. The plan does not count bytes: shares of these become shares of tokens, by how many
    tokens a byte of the category has in the mix's own corpus.
    """
    if len({mix.unit for mix in mixes}) > 1:
        units = ", ".join(f"of {mix.unit}" for mix in mixes)
        raise RecipeError(
            f"the mixes of the corpora are not in one unit ({units}): set `shares` and `unit` of "
            "the stage"
        )
    unit: _Unit = "samples" if mixes[0].unit == "samples" else "tokens"
    if asked not in (None, unit):
        raise RecipeError(
            f"the corpus's mix is of {mixes[0].unit}, the stage has `unit: {asked}`: leave that "
            "out, or set `shares` too"
        )
    unsaid = sorted(set(there) - {name for mix in mixes for name in mix.categories})
    if unsaid:
        held = ", ".join(f"{name} ({there[name]} samples)" for name in unsaid)
        raise RecipeError(
            f"some of the corpora have a mix, and none speaks of {held}: set `shares` of the stage"
        )
    weights: dict[str, float] = {}
    for mix in mixes:
        for name, part in mix.categories.items():
            ratio = part.tokens / max(1, part.bytes) if mix.unit == "bytes" else 1.0
            weights[name] = weights.get(name, 0.0) + part.weight * ratio
    return unit, weights
