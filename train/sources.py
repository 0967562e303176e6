"""What a stage reads: the corpora of a recipe, and the plan of the stage's batches.

In: a recipe, a stage's settings. Out: an open `Corpus`, and `PlanSettings`.
"""

from __future__ import annotations

from pathlib import Path

from model.processor import Processor
from train.corpus import Corpus, Counter
from train.encode import count_tokens
from train.mixing import WarmUp
from train.pool import PlanSettings
from train.settings import StageSettings, TrainRecipe, with_shares


def open_corpus(recipe: TrainRecipe, processor: Processor) -> Corpus:
    """The recipe's corpora, with lengths by its tokenizer."""
    name = f"{recipe.tokenizer} {processor.config.image_tokens}"
    counter = Counter(name, lambda record: count_tokens(record, processor))
    return Corpus(list(recipe.corpora), counter, Path(recipe.out) / "lengths")


def make_plan(recipe: TrainRecipe, settings: StageSettings, corpus: Corpus) -> PlanSettings:
    """The stage's batches. Raises `RecipeError` when a category with a share has no sample."""
    there = {name: sum(corpus.counts(name)) for name in corpus.categories}
    wanted = settings.shares or corpus.weights or {name: float(n) for name, n in there.items()}
    language = settings.language
    return PlanSettings(
        rows=settings.rows,
        tokens=settings.tokens,
        shares=with_shares(recipe, wanted, there),
        images=settings.images,
        packing=settings.packing,
        grouping=settings.grouping,
        language=None if language is None else WarmUp(language, settings.language_warmup),
        unit=settings.unit,
        seed=recipe.seed,
        window=recipe.window,
        hold_out=recipe.hold_out,
    )
