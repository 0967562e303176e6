"""The whole model. In: tokens, uint8 images, document ids, labels. Out: logits, or a loss sum.

    images -> normalised -> SigLIP, SAM -> adaptor -\
    tokens -> embedding ------------------------------> language model -> head, where asked

An image is `config.image_tokens` placeholder ids in a row of tokens; its vectors take their places,
images in the order in which the placeholders come, row by row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from model.adaptor import Adaptor
from model.config import ModelConfig
from model.images import low_resolution, normalise, unit_range
from model.language import LanguageModel
from model.loss import token_losses, training_losses
from model.packing import Rows, lay_out, targets, whole_rows
from model.sam import SamTower
from model.siglip import SiglipTower


class ImageMismatchError(ValueError):
    """The placeholders of a batch do not fit its images; the message says where."""


@dataclass(frozen=True)
class Loss:
    """The sum of the losses of `tokens` tokens: what a trainer divides by the global batch's count.

    sum: float32; tokens: int64; both scalars. each: float32, [B, T], the loss of every labelled
    token at its own place and 0 elsewhere, without gradients.
    """

    sum: torch.Tensor
    tokens: torch.Tensor
    each: torch.Tensor

    @property
    def mean(self) -> torch.Tensor:
        """Loss of a token."""
        return self.sum / self.tokens.clamp(min=1)


class VisionLanguageModel(nn.Module):
    """DeepSeek-VL of any size. `model.checkpoint` fills it; `initialise_weights` a new one."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.high = SamTower(config.sam) if config.sam is not None else None
        self.low = SiglipTower(config.siglip)
        self.adaptor = Adaptor(config)
        self.language = LanguageModel(config.language)

    def forward(
        self,
        tokens: torch.Tensor,
        images: torch.Tensor | None = None,
        documents: torch.Tensor | Rows | None = None,
        labels: torch.Tensor | None = None,
        *,
        each: bool = False,
    ) -> torch.Tensor | Loss:
        """Logits, [B, T, vocabulary]; with labels, their loss and no logits.

        With `each`, the losses of tokens alone, as `Loss.each` has them, and no gradients at all:
        what perplexities are made of.

        tokens: int64, [B, T]. images: uint8, [N, 3, S, S]; none, or N of 0, and no vision tower
        runs. documents: ids as `model.packing` has them; None: each row is one document. labels:
        int64, [B, T], the token's own id where it is to be predicted, else `IGNORED`.
        """
        rows = self._rows(tokens, documents)
        hidden = self.language(self.embed(tokens, images), rows)
        if labels is None:
            logits: torch.Tensor = self.language.head(hidden)
            return logits
        wanted = targets(labels, rows)
        if each:
            return token_losses(hidden, self.language.head.weight, wanted).roll(1, 1)
        total, tokens, losses = training_losses(hidden, self.language.head.weight, wanted)
        return Loss(total, tokens, losses.roll(1, 1))

    def embed(self, tokens: torch.Tensor, images: torch.Tensor | None) -> torch.Tensor:
        """Tokens as vectors, [B, T, width], images in their places.

        Raises ImageMismatchError.
        """
        places = tokens == self.config.tokens.image
        # A placeholder's own vector is never looked up: its id may be outside a small vocabulary.
        embedded: torch.Tensor = self.language.embed(tokens.masked_fill(places, 0))
        count = 0 if images is None else len(images)
        if images is not None and count:
            seen = self.encode(images)
            self._check(places, count)
            return embedded.masked_scatter(places[..., None], seen.to(embedded.dtype))
        self._check(places, 0)
        return embedded

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 images, [N, 3, S, S], to what takes their places: [N, image_tokens, width]."""
        low, high = self.see(images)
        projected: torch.Tensor = self.adaptor(low, high)
        return projected

    def see(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The branches' own outputs, low and high: [N, image_tokens, SigLIP's or SAM's width]."""
        size = self.config.image_size
        if images.shape[1:] != (3, size, size):
            raise ImageMismatchError(
                f"images come as [N, 3, {size}, {size}], these are {list(images.shape)}"
            )
        pixels = unit_range(images)
        siglip, sam = self.config.siglip, self.config.sam
        low = self.low(
            normalise(low_resolution(pixels, siglip.image_size), siglip.mean, siglip.std)
        )
        high = self.high(normalise(pixels, sam.mean, sam.std)) if self.high and sam else None
        return low, high

    def _rows(self, tokens: torch.Tensor, documents: torch.Tensor | Rows | None) -> Rows:
        if isinstance(documents, Rows):
            rows = documents
        elif documents is None:
            rows = whole_rows(tokens.shape[0], tokens.shape[1], tokens.device)
        else:
            rows = lay_out(documents, tokens.device)
        if rows.documents.shape != tokens.shape:
            raise ValueError(
                f"document ids for {list(rows.documents.shape)} tokens, but there are"
                f" {list(tokens.shape)}"
            )
        return rows

    def _check(self, places: torch.Tensor, images: int) -> None:
        each = self.config.image_tokens
        found_in = places.sum(1)
        # Also by row: half an image at the end of one and half at the start of the next add up.
        fits = (found_in.sum() == images * each) & (found_in % each == 0).all()
        if bool(fits):
            return
        where = []
        for row, marks in enumerate(places.cpu()):
            found = int(marks.sum())
            if found:
                first = int(marks.nonzero()[0])
                whole = f"{found // each} images"
                over = f" and {found % each} tokens more" if found % each else ""
                where.append(f"row {row}: {found} from position {first} on, {whole}{over}")
        raise ImageMismatchError(
            f"{images} images take {images * each} placeholders ({each} each), the tokens have"
            f" {int(places.sum())}: {'; '.join(where) or 'none in any row'}"
        )


def initialise_weights(model: VisionLanguageModel, seed: int = 0) -> None:
    """Fill every parameter of a new model, the same on any device for one seed.

    A matrix or kernel is normal with a deviation of one over the root of its inputs: 0.022 at the
    published width of 2,048, and in a small model enough that what comes out depends on what is
    looked at, which 0.02 is not. Embeddings have 0.02, biases are 0, norms 1; the second neck
    begins as the first one, its scale at 0.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(parameter: torch.Tensor, deviation: float) -> None:
        values = torch.randn(parameter.shape, generator=generator) * deviation
        parameter.data.copy_(values)

    for module in model.modules():
        if isinstance(module, nn.LayerNorm | nn.RMSNorm):
            nn.init.ones_(module.weight)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            normal(module.weight, module.weight[0].numel() ** -0.5)
        elif isinstance(module, nn.Embedding):
            normal(module.weight, 0.02)
        bias = getattr(module, "bias", None)
        if isinstance(bias, nn.Parameter):
            nn.init.zeros_(bias)
    for name, parameter in model.named_parameters():
        if name.endswith(("pos_embed", "rel_pos_h", "rel_pos_w")):
            normal(parameter, 0.02)
    if model.high is not None:
        model.high.neck_first.load_state_dict(model.high.neck.state_dict())
        nn.init.zeros_(model.high.alpha)
