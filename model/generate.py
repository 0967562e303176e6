"""Continue prompts, a batch at a time. In: token ids of unequal lengths, images. Out: new ids.

Rows are padded on the right, never on the left: behind a causal mask, what follows a prompt cannot
be seen by it, so no mask and no shifted position is needed, and each new token overwrites its own
row's padding in the cache. A row's result does not depend on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from model.packing import whole_rows
from model.vlm import VisionLanguageModel


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn. `top_k` 0 and `top_p` 1 leave the distribution whole."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature {self.temperature}: above 0, or no Sampling for greedy")
        if not 0 < self.top_p <= 1 or self.top_k < 0:
            raise ValueError(f"top_p {self.top_p} is not in (0, 1], or top_k {self.top_k} below 0")


@torch.no_grad()
def generate(
    model: VisionLanguageModel,
    prompts: Sequence[Sequence[int]],
    images: torch.Tensor | None = None,
    *,
    max_new_tokens: int,
    stop: Collection[int] | None = None,
    sampling: Sampling | None = None,
) -> list[list[int]]:
    """What follows each prompt, up to `max_new_tokens` ids or to a stop id, which is left out.

    images: uint8, [N, 3, S, S], prompt by prompt in the order of their placeholders. stop: the
    configuration's end of sentence where None. Without `sampling`, the likeliest token is taken.
    Placeholders of images are never generated. Raises ValueError for an empty prompt and for a
    sequence that would be longer than the model's positions, ImageMismatchError as the model does.
    """
    if not prompts or not all(map(len, prompts)):
        raise ValueError("every prompt needs at least one token, and a batch at least one prompt")
    if max_new_tokens < 1:
        return [[] for _ in prompts]
    config = model.config
    stops = set(stop if stop is not None else (config.tokens.eos,))
    longest = max(map(len, prompts))
    room = longest + max_new_tokens
    if room > config.language.max_positions:
        raise ValueError(
            f"{longest} prompt tokens and {max_new_tokens} new ones exceed the model's"
            f" {config.language.max_positions} positions"
        )
    language = model.language
    device = language.embed.weight.device
    # What fills the rows up is never seen; it must only not pass for an image.
    filler = 1 if config.tokens.image == 0 else 0
    tokens = torch.full((len(prompts), longest), filler, device=device)
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt)] = torch.tensor(prompt, device=device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    if images is not None:
        images = images.to(device)
    rows = whole_rows(len(prompts), longest, device)
    hidden, cache = language.begin(model.embed(tokens, images), rows, lengths, room)
    last = hidden[torch.arange(len(prompts), device=device), lengths - 1]
    chooser = _Chooser(sampling, config.tokens.image, len(prompts))
    written: list[list[int]] = [[] for _ in prompts]
    running = set(range(len(prompts)))
    for number in range(max_new_tokens):
        chosen = chooser.choose(language.head(last))
        for row in tuple(running):
            token = int(chosen[row])
            if token in stops:
                running.remove(row)
            else:
                written[row].append(token)
        if not running or number + 1 == max_new_tokens:
            break
        # Rows that have stopped go on and are not read: their cache has room for it.
        last = language.step(language.embed(chosen.to(device)[:, None]), cache)[:, 0]
    return written


class _Chooser:
    """From logits, [B, vocabulary], to a token for each row, on the CPU."""

    def __init__(self, sampling: Sampling | None, forbidden: int, rows: int) -> None:
        self.sampling = sampling
        self.forbidden = forbidden
        # A generator for each row: what one row draws must not depend on its neighbours.
        seed = sampling.seed if sampling else 0
        self.generators = [torch.Generator().manual_seed(seed + row) for row in range(rows)]

    def choose(self, logits: torch.Tensor) -> torch.Tensor:
        logits = logits.float()
        if self.forbidden < logits.shape[1]:
            logits[:, self.forbidden] = -torch.inf
        if self.sampling is None:
            return logits.argmax(-1).cpu()
        kept, ids = (logits / self.sampling.temperature).sort(dim=-1, descending=True)
        probabilities = kept.softmax(-1)
        # A token stays while what stands before it falls short of top_p; the first always does.
        before = probabilities.cumsum(-1) - probabilities
        probabilities[before >= self.sampling.top_p] = 0
        if self.sampling.top_k:
            probabilities[:, self.sampling.top_k :] = 0
        probabilities, ids = probabilities.cpu(), ids.cpu()
        drawn = [
            ids[row, torch.multinomial(probabilities[row], 1, generator=generator)]
            for row, generator in enumerate(self.generators)
        ]
        return torch.cat(drawn)
