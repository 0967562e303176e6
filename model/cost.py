"""What a model costs. In: a configuration, a stage, a batch's shape. Out: parameters and FLOPs.

Nothing is allocated: parameters are counted on the meta device, FLOPs by formula. A multiplication
and an addition are 2 FLOPs; only products of matrices and convolutions count. Counted is what the
arithmetic needs, not what some kernel spends: causal attention costs its lower triangle, document
by document; no padding of rows; logits only where there is a label; no recomputed activations.
SAM's windows cost their whole 14 x 14, since padded keys take part in its softmax.

The backward pass has two halves, each as dear as the forward pass of a linear layer: the gradient
of its weights, where they are trained, and that of its input, where something *before* it is. So a
frozen language model in stage 1 still costs the second half, SAM's frozen blocks cost nothing, and
attention, which has no weights, costs twice its forward pass wherever a gradient goes through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch

from model.config import LanguageConfig, ModelConfig, SamConfig, SiglipConfig
from model.freeze import Stage, is_trained
from model.vlm import VisionLanguageModel


@dataclass(frozen=True)
class BatchShape:
    """What a step sees: the lengths of its documents, its images, and the tokens it predicts."""

    documents: Sequence[int]
    images: int
    predicted: int


@dataclass(frozen=True)
class Flops:
    """Of one component, for one batch."""

    forward: int
    backward: int

    @property
    def total(self) -> int:
        """Both."""
        return self.forward + self.backward


@dataclass(frozen=True)
class StepCost:
    """By component, in the order of the data: sam, downsamples, siglip, adaptor, language, head."""

    components: dict[str, Flops]

    @property
    def total(self) -> int:
        """All FLOPs of a step."""
        return sum(flops.total for flops in self.components.values())

    def utilisation(self, seconds: float, peak: float) -> float:
        """Model FLOPs utilisation of a step that took `seconds`, on devices of `peak` FLOP/s."""
        return self.total / seconds / peak


@cache
def _names(config: ModelConfig) -> tuple[tuple[str, int], ...]:
    with torch.device("meta"):
        model = VisionLanguageModel(config)
    return tuple((name, parameter.numel()) for name, parameter in model.named_parameters())


def parameter_counts(config: ModelConfig, stage: Stage | None = None) -> dict[str, int]:
    """Parameters by component (sam, siglip, adaptor, language), or those that a stage trains.

    SAM's are all of its branch's, the two convolutions that the paper counts as adaptor included.
    """
    rooms = {"high": "sam", "low": "siglip", "adaptor": "adaptor", "language": "language"}
    counts = dict.fromkeys(rooms.values(), 0)
    for name, numbers in _names(config):
        if stage is None or is_trained(name, stage):
            counts[rooms[name.split(".")[0]]] += numbers
    return counts


@dataclass(frozen=True)
class _Work:
    """Forward FLOPs of a component: with weights, of these in its first layer, and without."""

    weighted: int
    first: int = 0
    unweighted: int = 0

    @property
    def forward(self) -> int:
        return self.weighted + self.unweighted

    def cost(self, trained: bool, upstream: bool) -> Flops:
        """`upstream`: whether a gradient is wanted of what comes in."""
        backward = 0
        if trained:
            backward += self.weighted
        if upstream:
            backward += self.weighted
        elif trained:
            # The first layer's input is wanted by nobody, the other layers' by the ones before.
            backward += self.weighted - self.first
        if trained or upstream:
            backward += 2 * self.unweighted
        return Flops(self.forward, backward)


def step_flops(config: ModelConfig, stage: Stage | None, batch: BatchShape) -> StepCost:
    """FLOPs of one step of a stage; `stage` None: of a forward pass alone."""
    trains_language, trains_siglip = stage in (2, 3), stage == 3
    training = stage is not None
    components: dict[str, Flops] = {}
    images = batch.images
    if config.sam is not None:
        blocks, downsamples = _sam(config.sam, images)
        components["sam"] = blocks.cost(False, False)
        # The scale in front of them is trained with them: a gradient goes all the way through.
        components["downsamples"] = downsamples.cost(training, training)
    components["siglip"] = _siglip(config.siglip, images).cost(trains_siglip, False)
    components["adaptor"] = _adaptor(config, images, training, trains_siglip)
    # What comes into the language model: images that an adaptor is trained on, or its own
    # embedding's vectors.
    upstream = trains_language or (training and images > 0)
    components["language"] = _language(config.language, batch.documents).cost(
        trains_language, upstream
    )
    head = _Work(2 * batch.predicted * config.language.width * config.language.vocab_size)
    components["head"] = head.cost(trains_language, upstream)
    return StepCost(components)


def _attention(pairs: int, width: int) -> int:
    """Scores of `pairs` queries with keys, and as many values weighted: all heads together."""
    return 4 * pairs * width


def _sam(config: SamConfig, images: int) -> tuple[_Work, _Work]:
    """The blocks and necks, and the convolutions behind them."""
    width, side = config.width, config.grid
    tokens = side**2
    patches = 2 * tokens * 3 * config.patch_size**2 * width
    weighted = patches + config.layers * 2 * tokens * width * (4 * width + 2 * config.mlp_width)
    unweighted = 0
    for number in range(config.layers):
        within = side if number in config.global_blocks else config.window
        windows = (-(-side // within)) ** 2
        queries = windows * within**2
        # Scores and values, then the two terms: each query with every row and every column.
        unweighted += _attention(queries * within**2, width) + 2 * queries * 2 * within * width
    neck = config.neck_width
    weighted += 2 * (2 * tokens * (width * neck + 9 * neck * neck))
    convolutions = 0
    size, narrow = config.resized, neck
    for wide in config.downsample_widths:
        size = (size + 1) // 2
        convolutions += 2 * size**2 * 9 * narrow * wide
        narrow = wide
    return (
        _Work(weighted * images, patches * images, unweighted * images),
        _Work(convolutions * images),
    )


def _siglip(config: SiglipConfig, images: int) -> _Work:
    width, tokens = config.width, config.side**2
    patches = 2 * tokens * 3 * config.patch_size**2 * width
    layers = config.layers * 2 * tokens * width * (4 * width + 2 * config.mlp_width)
    attention = config.layers * _attention(tokens**2, width)
    return _Work((patches + layers) * images, patches * images, attention * images)


def _adaptor(config: ModelConfig, images: int, training: bool, trains_siglip: bool) -> Flops:
    tokens, width = images * config.image_tokens, config.language.width
    if config.sam is None:
        first = 2 * tokens * config.siglip.width * width
        rest = 2 * tokens * width**2 * (config.adaptor.depth - 1)
        return _Work(first + rest, first).cost(training, trains_siglip)
    high = _Work(2 * tokens * config.sam.out_width * (width // 2)).cost(training, training)
    low_work = 2 * tokens * config.siglip.width * (width // 2)
    low = _Work(low_work, low_work).cost(training, trains_siglip)
    rest_work = _Work(2 * tokens * width**2 * (config.adaptor.depth - 1)).cost(training, training)
    parts = (high, low, rest_work)
    return Flops(sum(part.forward for part in parts), sum(part.backward for part in parts))


def _language(config: LanguageConfig, documents: Sequence[int]) -> _Work:
    width, keys = config.width, config.kv_heads * config.head_width
    layer = 2 * width * width + 2 * width * keys + 3 * width * config.ffn_width
    pairs = sum(length * (length + 1) // 2 for length in documents)
    return _Work(
        2 * sum(documents) * config.layers * layer,
        unweighted=config.layers * _attention(pairs, width),
    )
