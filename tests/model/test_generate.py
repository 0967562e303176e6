"""Generation with a cache is generation without one, and no row depends on its neighbours."""

from __future__ import annotations

import pytest
import torch

from model.generate import Sampling, generate
from model.packing import whole_rows
from model.vlm import ImageMismatchError, VisionLanguageModel
from tests.model.shapes import HYBRID, pictures, randomised

torch.set_num_threads(1)
IMAGE, EACH = HYBRID.tokens.image, HYBRID.image_tokens
PROMPTS = [
    [1, *[IMAGE] * EACH, 9, 10, 11],
    [1, 20, 21],
    [30],
    [1, *[IMAGE] * EACH, 12, *[IMAGE] * EACH, 13],
]


@pytest.fixture(scope="module")
def model() -> VisionLanguageModel:
    return randomised(HYBRID).requires_grad_(False)


def step_by_step(
    model: VisionLanguageModel, prompt: list[int], images: torch.Tensor | None, steps: int
) -> list[int]:
    """Greedy, the whole sequence anew for every token."""
    written = list(prompt)
    for _ in range(steps):
        logits = model(torch.tensor([written]), images)
        assert isinstance(logits, torch.Tensor)
        logits[..., IMAGE] = -torch.inf
        written.append(int(logits[0, -1].argmax()))
    return written[len(prompt) :]


def test_a_ragged_batch_with_a_cache_is_each_prompt_without_one(
    model: VisionLanguageModel,
) -> None:
    images = pictures(HYBRID, 3)
    expected = [
        step_by_step(model, PROMPTS[0], images[:1], 12),
        step_by_step(model, PROMPTS[1], None, 12),
        step_by_step(model, PROMPTS[2], None, 12),
        step_by_step(model, PROMPTS[3], images[1:], 12),
    ]
    assert generate(model, PROMPTS, images, max_new_tokens=12, stop=()) == expected
    assert len({tuple(row) for row in expected}) > 2


def test_the_cached_logits_are_those_of_the_whole_row(model: VisionLanguageModel) -> None:
    """Not only the likeliest token: every layer's cache is right to the last digits."""
    tokens = torch.tensor([[4, 5, 6, 7, 8, 9], [9, 8, 7, 0, 0, 0]])
    lengths = torch.tensor([3, 3])
    language = model.language
    rows = whole_rows(2, 3, torch.device("cpu"))
    hidden, cache = language.begin(language.embed(tokens[:, :3]), rows, lengths, 6)
    assert torch.allclose(hidden, language(language.embed(tokens[:, :3]), rows))
    for at in range(3, 6):
        hidden = language.step(language.embed(tokens[:, at : at + 1]), cache)
        whole = language(
            language.embed(tokens[:, : at + 1]), whole_rows(2, at + 1, torch.device("cpu"))
        )
        assert torch.allclose(hidden[:, 0], whole[:, -1], atol=1e-5)


def test_a_row_stops_alone(model: VisionLanguageModel) -> None:
    images = pictures(HYBRID, 3)
    free = generate(model, PROMPTS, images, max_new_tokens=10, stop=())
    stop = free[1][4]
    stopped = generate(model, PROMPTS, images, max_new_tokens=10, stop=[stop])
    for row, whole in zip(stopped, free, strict=True):
        assert row == whole[: whole.index(stop)] if stop in whole else row == whole
    assert len(stopped[1]) < 10


def test_sampling_is_reproducible_and_independent_of_the_batch(
    model: VisionLanguageModel,
) -> None:
    hot = Sampling(temperature=2.0, seed=5)
    both = generate(model, PROMPTS[1:3], max_new_tokens=8, stop=(), sampling=hot)
    assert both == generate(model, PROMPTS[1:3], max_new_tokens=8, stop=(), sampling=hot)
    alone = generate(model, PROMPTS[1:2], max_new_tokens=8, stop=(), sampling=hot)
    assert alone == both[:1]
    other = Sampling(temperature=2.0, seed=77)
    assert both != generate(model, PROMPTS[1:3], max_new_tokens=8, stop=(), sampling=other)


def test_the_narrowest_sampling_is_greedy(model: VisionLanguageModel) -> None:
    greedy = generate(model, PROMPTS[1:3], max_new_tokens=8, stop=())
    for narrow in (Sampling(top_k=1), Sampling(top_p=1e-6), Sampling(temperature=1e-4)):
        assert generate(model, PROMPTS[1:3], max_new_tokens=8, stop=(), sampling=narrow) == greedy


def test_sampling_draws_by_the_models_own_probabilities(model: VisionLanguageModel) -> None:
    logits = model(torch.tensor([[1, 20, 21]]))
    assert isinstance(logits, torch.Tensor)
    logits[..., IMAGE] = -torch.inf
    expected = logits[0, -1].softmax(-1)
    draws = 2000
    counts = torch.zeros(len(expected))
    rows = generate(
        model, [PROMPTS[1]] * draws, max_new_tokens=1, stop=(), sampling=Sampling(seed=1)
    )
    for (token,) in rows:
        counts[token] += 1
    likely = expected > 0.02
    assert likely.sum() > 2
    assert torch.allclose(counts[likely] / draws, expected[likely], atol=0.04)
    narrow = Sampling(top_k=2, seed=1)
    rows = generate(model, [PROMPTS[1]] * 50, max_new_tokens=1, stop=(), sampling=narrow)
    assert {token for (token,) in rows} == set(expected.topk(2).indices.tolist())


def test_what_cannot_be_generated_is_refused(model: VisionLanguageModel) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        generate(model, [[4], []], max_new_tokens=2)
    with pytest.raises(ValueError, match="256 positions"):
        generate(model, [[4] * 200], max_new_tokens=57)
    with pytest.raises(ImageMismatchError):
        generate(model, PROMPTS[:1], max_new_tokens=2)
    with pytest.raises(ValueError, match="temperature"):
        Sampling(temperature=0)
    assert generate(model, [[4]], max_new_tokens=0) == [[]]
