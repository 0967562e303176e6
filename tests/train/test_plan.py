"""The plan of a training: every sample in its turn, shares kept, and a state of integers."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.mixing import WarmUp
from train.plan import Planner, Step
from train.pool import PlanSettings, Sizes, Slot

_IMAGE = 10


class _Corpus:
    """Made-up shards: by category, for each shard its samples' tokens and images."""

    categories = ("caption", "document_ocr", "text")

    def __init__(self, seed: int = 0, *, samples: int = 60, shards: int = 5) -> None:
        generator = np.random.default_rng(seed)
        self.digest = f"{seed}-{samples}-{shards}"
        self._shards: dict[str, list[Sizes]] = {}
        for name in self.categories:
            longest, pictures = {"caption": (15, 1), "document_ocr": (60, 2), "text": (300, 0)}[
                name
            ]
            self._shards[name] = []
            for _ in range(shards):
                images = np.full(samples, pictures)
                tokens = generator.integers(1, longest, samples) + _IMAGE * images
                self._shards[name].append(Sizes(tokens, images))

    def counts(self, category: str) -> Sequence[int]:
        return [len(sizes.tokens) for sizes in self._shards[category]]

    def has_images(self, category: str) -> bool:
        return category != "text"

    def sizes(self, category: str, shard: int) -> Sizes:
        return self._shards[category][shard]

    def of(self, slot: Slot) -> tuple[int, int]:
        sizes = self.sizes(self.categories[slot.category], slot.shard)
        return int(sizes.tokens[slot.row]), int(sizes.images[slot.row])


_PACKED = PlanSettings(
    rows=4,
    tokens=100,
    images=6,
    shares={"caption": 0.1, "document_ocr": 0.2, "text": 0.7},
    language=WarmUp(0.7, 0),
    seed=3,
)
_PADDED = replace(_PACKED, packing=False, language=None)
_BOTH = pytest.mark.parametrize("plan", [_PACKED, _PADDED], ids=["packed", "padded"])


def _steps(plan: PlanSettings, number: int, corpus: _Corpus | None = None) -> list[Step]:
    return list(itertools.islice(Planner(corpus or _Corpus(), plan), number))


def _slots(steps: list[Step]) -> list[Slot]:
    return [slot for step in steps for row in step.rows for slot in row]


@_BOTH
def test_a_step_is_a_batch_of_one_modality(plan: PlanSettings) -> None:
    for number, step in enumerate(_steps(plan, 200)):
        assert step.number == number
        assert len(step.rows) == plan.rows
        names = {_Corpus.categories[slot.category] for row in step.rows for slot in row}
        assert names <= ({"text"} if step.modality == "language" else {"caption", "document_ocr"})


@_BOTH
def test_rows_keep_their_limits(plan: PlanSettings) -> None:
    corpus = _Corpus()
    for step in _steps(plan, 200, corpus):
        for row in step.rows:
            assert 0 < sum(slot.tokens for slot in row) <= plan.tokens
            assert sum(corpus.of(slot)[1] for slot in row) <= plan.images
            assert plan.packing or len(row) == 1


def test_packed_rows_are_nearly_full() -> None:
    rows = [row for step in _steps(_PACKED, 400) for row in step.rows]

    assert np.mean([sum(slot.tokens for slot in row) for row in rows]) > 0.97 * _PACKED.tokens


def test_a_long_text_fills_several_rows_and_loses_nothing() -> None:
    corpus = _Corpus()
    # Five epochs of text: every one but the last few draws is complete.
    slots = [s for s in _slots(_steps(_PACKED, 1200, corpus)) if s.category == 2]
    seen: Counter[tuple[int, int, int]] = Counter()
    for slot in slots:
        seen[slot.shard, slot.row, slot.start] += 1
        assert slot.tokens == min(_PACKED.tokens, corpus.of(slot)[0] - slot.start)
    pieces = sum(
        -(-int(tokens) // _PACKED.tokens)
        for shard in range(5)
        for tokens in corpus.sizes("text", shard).tokens
    )
    assert len(seen) == pieces
    assert max(seen.values()) - min(seen.values()) <= 1


@_BOTH
def test_every_sample_is_read_in_every_epoch(plan: PlanSettings) -> None:
    drawn: Counter[tuple[int, int, int]] = Counter()
    for slot in _slots(_steps(plan, 1500)):
        if slot.start == 0:
            drawn[slot.category, slot.shard, slot.row] += 1

    pages = [count for (category, _, _), count in drawn.items() if category == 1]
    assert len(pages) == 300
    assert min(pages) >= 2
    # The last epoch is under way, and the last window's rows are in an order of their own.
    assert max(pages) - min(pages) <= 2


def test_epochs_are_told() -> None:
    planner = Planner(_Corpus(), _PADDED)
    for _ in range(160):
        planner.next()

    draws = sum(epochs * 300 for epochs in planner.epochs.values())
    assert 640 - 2 * 64 <= draws <= 640


@_BOTH
def test_shares_are_of_tokens(plan: PlanSettings) -> None:
    slots = _slots(_steps(plan, 900))
    tokens: Counter[int] = Counter()
    for slot in slots:
        tokens[slot.category] += slot.tokens

    assert tokens[0] / (tokens[0] + tokens[1]) == pytest.approx(1 / 3, abs=0.02)


def test_seven_steps_of_ten_are_language_at_any_moment() -> None:
    modalities = [step.modality for step in _steps(_PACKED, 300)]

    for number in range(1, 301):
        assert abs(modalities[:number].count("language") - 0.7 * number) < 1


def test_language_warms_up() -> None:
    plan = replace(_PACKED, language=WarmUp(0.7, 200))
    modalities = [step.modality for step in _steps(plan, 400)]

    assert modalities[:3] == ["language"] * 3
    assert abs(modalities[:200].count("language") - 170) <= 1
    assert abs(modalities[200:].count("language") - 140) <= 1


def test_without_grouping_a_row_may_hold_both() -> None:
    steps = _steps(replace(_PACKED, grouping=False), 20)

    assert {step.modality for step in steps} == {"all"}
    assert any({slot.category for slot in row} > {2} for step in steps for row in step.rows)


@_BOTH
@given(stop=st.integers(0, 150), seed=st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_another_goes_on_from_a_state(plan: PlanSettings, stop: int, seed: int) -> None:
    plan = replace(plan, seed=seed)
    whole = _steps(plan, stop + 60)
    planner = Planner(_Corpus(), plan)
    for _ in range(stop):
        planner.next()

    state = json.loads(json.dumps(planner.state))

    assert list(itertools.islice(Planner(_Corpus(), plan, state), 60)) == whole[stop:]


def test_a_state_is_small() -> None:
    planner = Planner(_Corpus(), _PACKED)
    for _ in range(500):
        planner.next()

    assert len(json.dumps(planner.state)) < 4000


def test_seeds_give_other_orders() -> None:
    assert _slots(_steps(_PACKED, 5)) != _slots(_steps(replace(_PACKED, seed=4), 5))


def test_a_state_of_something_else_is_refused() -> None:
    state = Planner(_Corpus(), _PACKED).state

    with pytest.raises(ValueError, match="the shards or the lengths of their samples are others"):
        Planner(_Corpus(1), _PACKED, state)
    with pytest.raises(ValueError, match="batch, shares, seed or packing are others"):
        Planner(_Corpus(), replace(_PACKED, rows=8), state)


def test_shares_without_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="'web_code' has a share"):
        Planner(_Corpus(), replace(_PACKED, shares={"web_code": 0.5}))
    with pytest.raises(ValueError, match="no category has a share"):
        Planner(_Corpus(), replace(_PACKED, shares={"text": 0}))


def test_padded_batches_have_like_lengths() -> None:
    steps = _steps(_PADDED, 320)
    tokens = np.array([[row[0].tokens for row in step.rows] for step in steps])

    padding = 1 - tokens.sum() / (tokens.max(axis=1) * 4).sum()
    assert padding < 0.05
    # But long and short ones come in no order.
    longest = tokens.max(axis=1)
    assert abs(np.corrcoef(longest[:-1], longest[1:])[0, 1]) < 0.3
