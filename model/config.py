"""In: a preset's name. Out: the frozen shapes of one model. Files of others are read elsewhere.

Everything that decides a tensor's shape or a constant of the arithmetic stands here; the other
files of this room read it and add none of their own. A preset is a value, not a class:

| preset        | branches     | adaptor | language model                             | input |
|---------------|--------------|---------|--------------------------------------------|-------|
| `tiny`        | SAM + SigLIP | hybrid  | 6 layers, width 192, byte vocabulary       | 384   |
| `1.3b`        | SigLIP       | mlp     | 24 layers, width 2048, FFN 5632, 16 heads  | 384   |
| `1.3b-hybrid` | SAM + SigLIP | hybrid  | the same                                   | 1024  |
| `7b`          | SAM + SigLIP | hybrid  | 30 layers, width 4096, FFN 11008, 32 heads | 1024  |

The names of the parameters in a `VisionLanguageModel` (what a checkpoint's keys are mapped to);
N counts from 0, shapes in the order of `torch.nn`:

    high.patch_embed.{weight,bias}                      only where config.sam is given
    high.pos_embed                                      1, grid, grid, width
    high.blocks.N.{norm1,norm2}.{weight,bias}
    high.blocks.N.attn.{qkv,proj}.{weight,bias}         qkv: queries, then keys, then values
    high.blocks.N.attn.{rel_pos_h,rel_pos_w}            2 x side - 1, head width
    high.blocks.N.mlp.{fc1,fc2}.{weight,bias}
    high.{neck,neck_first}.0.weight                     1 x 1 convolution
    high.{neck,neck_first}.1.{weight,bias}              LayerNorm over channels
    high.{neck,neck_first}.2.weight                     3 x 3 convolution
    high.{neck,neck_first}.3.{weight,bias}              LayerNorm over channels
    high.downsamples.{0,1}.weight                       3 x 3 convolutions, stride 2
    high.alpha                                          1: the scale of the first global block
    low.patch_embed.{weight,bias}
    low.pos_embed                                       1, patches, width
    low.blocks.N.{norm1,norm2}.{weight,bias}
    low.blocks.N.attn.{qkv,proj}.{weight,bias}
    low.blocks.N.mlp.{fc1,fc2}.{weight,bias}
    low.norm.{weight,bias}
    adaptor.{high,low}.{weight,bias}                    hybrid: each to half the LM's width
    adaptor.layers.N.{weight,bias}                      hybrid: depth - 1 of them; mlp: depth
    language.embed.weight
    language.layers.N.{attn_norm,mlp_norm}.weight
    language.layers.N.attn.{q_proj,k_proj,v_proj,o_proj}.weight
    language.layers.N.mlp.{gate_proj,up_proj,down_proj}.weight
    language.norm.weight
    language.head.weight
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
RGB = tuple[float, float, float]
#: Nothing counted here comes near: beyond them, a file asks for memory and not for a model.
_LARGEST, _MOST_LAYERS = 1 << 24, 1 << 10


class ConfigError(ValueError):
    """A configuration that describes no model of this family; the message names the field."""


def _divides(part: str, of_part: int, whole: str, of_whole: int) -> None:
    if of_part < 1 or of_whole % of_part:
        raise ConfigError(f"{part} is {of_part}, which does not divide {whole}, {of_whole}")


def _check_numbers(part: str, config: Any) -> None:
    """Whole numbers above 0 wherever there is an `int`: files come from anywhere."""
    for field in fields(config):
        value = getattr(config, field.name)
        most = _MOST_LAYERS if field.name == "layers" else _LARGEST
        if field.type == "int" and (type(value) is not int or not 0 < value <= most):
            raise ConfigError(f"{part}.{field.name} is {value!r}: not a number from 1 on")
        if field.type == "float" and not (type(value) is float and 0 < value < math.inf):
            raise ConfigError(f"{part}.{field.name} is {value!r}: not a number above 0")


@dataclass(frozen=True)
class SamConfig:
    """The high-resolution branch: SAM's image encoder, two necks, and two convolutions."""

    image_size: int = 1024
    patch_size: int = 16
    width: int = 768
    layers: int = 12
    heads: int = 12
    mlp_width: int = 3072
    window: int = 14
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    neck_width: int = 256
    resized: int = 96
    """Side to which the neck's output is resized before the convolutions."""
    downsample_widths: tuple[int, ...] = (512, 1024)
    norm_eps: float = 1e-6
    mean: RGB = CLIP_MEAN
    std: RGB = CLIP_STD

    def __post_init__(self) -> None:
        _check_numbers("sam", self)
        if not all(type(width) is int and width > 0 for width in self.downsample_widths):
            raise ConfigError(f"sam.downsample_widths {self.downsample_widths}: numbers from 1 on")
        _divides("sam.heads", self.heads, "sam.width", self.width)
        _divides("sam.patch_size", self.patch_size, "sam.image_size", self.image_size)
        if not self.global_blocks or not set(self.global_blocks) <= set(range(self.layers)):
            raise ConfigError(
                f"sam.global_blocks {self.global_blocks} must name one or more of the"
                f" {self.layers} blocks, counted from 0"
            )

    @property
    def grid(self) -> int:
        """Patches along a side."""
        return self.image_size // self.patch_size

    @property
    def side(self) -> int:
        """Tokens along a side of the branch's output."""
        side = self.resized
        for _ in self.downsample_widths:
            side = (side + 1) // 2
        return side

    @property
    def out_width(self) -> int:
        """Channels of the branch's output."""
        return self.downsample_widths[-1] if self.downsample_widths else self.neck_width


@dataclass(frozen=True)
class SiglipConfig:
    """The low-resolution branch: SigLIP's vision transformer without its pooling head."""

    image_size: int = 384
    patch_size: int = 16
    width: int = 1024
    layers: int = 24
    heads: int = 16
    mlp_width: int = 4096
    norm_eps: float = 1e-6
    mean: RGB = HALF
    std: RGB = HALF

    def __post_init__(self) -> None:
        _check_numbers("siglip", self)
        _divides("siglip.heads", self.heads, "siglip.width", self.width)
        if self.image_size < self.patch_size:
            raise ConfigError(f"siglip.image_size {self.image_size} is less than a patch")

    @property
    def side(self) -> int:
        """Tokens along a side; pixels that fill no whole patch are not seen."""
        return self.image_size // self.patch_size


@dataclass(frozen=True)
class AdaptorConfig:
    """From the branches' widths to the language model's."""

    kind: Literal["hybrid", "mlp"] = "hybrid"
    depth: int = 2
    """Linear layers on the way; a GELU between each two."""


@dataclass(frozen=True)
class LanguageConfig:
    """A LLaMA-style decoder; the head is not tied to the embedding."""

    vocab_size: int = 102_400
    width: int = 4096
    ffn_width: int = 11_008
    layers: int = 30
    heads: int = 32
    kv_heads: int = 32
    norm_eps: float = 1e-6
    theta: float = 10_000.0
    max_positions: int = 16_384

    def __post_init__(self) -> None:
        _check_numbers("language", self)
        _divides("language.heads", self.heads, "language.width", self.width)
        _divides("language.kv_heads", self.kv_heads, "language.heads", self.heads)

    @property
    def head_width(self) -> int:
        """Channels of one attention head."""
        return self.width // self.heads


@dataclass(frozen=True)
class TokenIds:
    """The ids that the model itself must know. Padding is told by document ids, not by these."""

    bos: int = 100_000
    eos: int = 100_001
    image: int = 100_015


@dataclass(frozen=True)
class ModelConfig:
    """One model. `sam` is None where SigLIP sees alone."""

    name: str
    sam: SamConfig | None
    siglip: SiglipConfig
    adaptor: AdaptorConfig
    language: LanguageConfig
    tokens: TokenIds = TokenIds()

    def __post_init__(self) -> None:
        if (self.sam is not None) != (self.adaptor.kind == "hybrid"):
            raise ConfigError(
                f"adaptor.kind is {self.adaptor.kind!r}, but the model has"
                f" {'no' if self.sam is None else 'a'} high-resolution branch"
            )
        if self.sam is not None and self.sam.side != self.siglip.side:
            raise ConfigError(
                f"the branches must give equally many tokens: sam gives {self.sam.side} a side,"
                f" siglip {self.siglip.side}"
            )
        if not (2 if self.sam else 1) <= self.adaptor.depth <= 8:
            raise ConfigError(f"adaptor.depth is {self.adaptor.depth}: too few or many layers")
        if self.sam is not None and self.language.width % 2:
            raise ConfigError("a hybrid adaptor gives half of language.width to each branch")
        if min(self.tokens.bos, self.tokens.eos, self.tokens.image) < 0:
            raise ConfigError(f"{self.tokens}: no id is below 0")
        last = max(self.tokens.bos, self.tokens.eos, self.tokens.image)
        if last >= self.language.vocab_size:
            raise ConfigError(
                f"token id {last} is outside the vocabulary of {self.language.vocab_size}"
            )

    @property
    def image_size(self) -> int:
        """Side in pixels of the square images that the model takes."""
        return self.sam.image_size if self.sam is not None else self.siglip.image_size

    @property
    def image_tokens(self) -> int:
        """Placeholder ids that one image takes in a sequence (576 in the published models)."""
        return self.siglip.side**2

    @property
    def mean(self) -> RGB:
        """Whose rounded-down 255-fold is the colour of the padding."""
        return self.sam.mean if self.sam is not None else self.siglip.mean


_LM_1_3B = LanguageConfig(width=2048, ffn_width=5632, layers=24, heads=16, kv_heads=16)
_HYBRID_1_3B = ModelConfig(
    "1.3b-hybrid", SamConfig(), SiglipConfig(), AdaptorConfig("hybrid"), _LM_1_3B
)
PRESETS: Mapping[str, ModelConfig] = {
    # Small enough that a step takes a fraction of a second on a CPU, with every part of the big
    # ones: windows that need padding, two kinds of blocks, both necks, two convolutions.
    "tiny": ModelConfig(
        "tiny",
        SamConfig(
            image_size=384,
            width=96,
            layers=4,
            heads=3,
            mlp_width=384,
            window=7,
            global_blocks=(1, 3),
            neck_width=32,
            resized=48,
            downsample_widths=(64, 128),
        ),
        SiglipConfig(image_size=192, width=128, layers=4, heads=4, mlp_width=512),
        AdaptorConfig("hybrid"),
        LanguageConfig(
            vocab_size=320,
            width=192,
            ffn_width=512,
            layers=6,
            heads=6,
            kv_heads=6,
            max_positions=8192,
        ),
        TokenIds(bos=256, eos=257, image=258),
    ),
    "1.3b": replace(_HYBRID_1_3B, name="1.3b", sam=None, adaptor=AdaptorConfig("mlp")),
    "1.3b-hybrid": _HYBRID_1_3B,
    "7b": replace(_HYBRID_1_3B, name="7b", language=LanguageConfig()),
}


def preset(name: str) -> ModelConfig:
    """The preset of that name; ConfigError lists the names there are."""
    if name not in PRESETS:
        raise ConfigError(f"no preset {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
