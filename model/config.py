"""In: a preset's name or the official `config.json`. Out: the frozen shapes of one model.

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

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
RGB = tuple[float, float, float]


class ConfigError(ValueError):
    """A configuration that describes no model of this family; the message names the field."""


def _divides(part: str, of_part: int, whole: str, of_whole: int) -> None:
    if of_part < 1 or of_whole % of_part:
        raise ConfigError(f"{part} is {of_part}, which does not divide {whole}, {of_whole}")


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
        _divides("siglip.heads", self.heads, "siglip.width", self.width)

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
        if self.adaptor.depth < (2 if self.sam else 1):
            raise ConfigError(f"adaptor.depth is {self.adaptor.depth}: too few linear layers")
        if self.sam is not None and self.language.width % 2:
            raise ConfigError("a hybrid adaptor gives half of language.width to each branch")
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


# What the official code keeps in tables beside its `config.json`, by model name.
_SAM_TABLE: Mapping[str, Mapping[str, Any]] = {
    "sam_b_downsample": {
        "width": 768,
        "layers": 12,
        "heads": 12,
        "global_attn_indexes": [2, 5, 8, 11],
        "downsample_channels": [512, 1024],
    }
}
_SIGLIP_TABLE: Mapping[str, Mapping[str, Any]] = {
    "siglip_large_patch16_384": {"width": 1024, "layers": 24, "heads": 16, "mlp_ratio": 4},
    "siglip_so400m_patch14_384": {
        "width": 1152,
        "layers": 27,
        "heads": 16,
        "patch_size": 14,
        "mlp_ratio": 3.7362,
    },
}


def official_config(source: Path | Mapping[str, Any], name: str = "official") -> ModelConfig:
    """Read the `config.json` of an official `deepseek-ai/deepseek-vl-*` checkpoint.

    source: the file, or what `json.load` gave of it. A model name that the official code's tables
    don't list may bring its own row, as `sam_table_entry` and `siglip_table_entry`. Missing keys
    of `language_config` have LLaMA's defaults. Raises ConfigError for what this family has not.
    """
    raw = json.loads(source.read_text(encoding="utf-8")) if isinstance(source, Path) else source
    try:
        vision, aligner = raw["vision_config"], raw["aligner_config"]["params"]
        params = vision["params"]
        if vision["cls"] == "HybridVisionTower":
            if params.get("concat_type", "tuple") != "tuple":
                raise ConfigError(f"vision_config.concat_type {params['concat_type']!r}: not tuple")
            sam = _official_sam(params["high_res_cfg"], raw.get("sam_table_entry"))
            siglip = _official_siglip(params["low_res_cfg"], raw.get("siglip_table_entry"))
        elif vision["cls"] == "CLIPVisionTower":
            sam = None
            siglip = _official_siglip(params, raw.get("siglip_table_entry"))
        else:
            raise ConfigError(f"vision_config.cls {vision['cls']!r} is not of this family")
        language = _official_language(raw["language_config"])
        kinds: Mapping[str, tuple[Literal["hybrid", "mlp"], int]] = {
            "low_high_hybrid_split_mlp_gelu": ("hybrid", aligner.get("depth", 1)),
            "mlp_gelu": ("mlp", aligner.get("depth", 1)),
            "linear": ("mlp", 1),
        }
        if aligner["projector_type"] not in kinds:
            raise ConfigError(f"aligner_config.projector_type {aligner['projector_type']!r}")
        if aligner["n_embed"] != language.width:
            raise ConfigError(
                f"aligner_config.n_embed is {aligner['n_embed']}, language_config.hidden_size"
                f" {language.width}"
            )
    except KeyError as error:
        raise ConfigError(f"the configuration has no key {error}") from error
    inputs = {siglip.width} | ({sam.out_width} if sam else set())
    if inputs != {aligner["input_dim"]}:
        raise ConfigError(
            f"aligner_config.input_dim is {aligner['input_dim']}, the branches give {inputs}"
        )
    defaults = TokenIds()
    text = raw["language_config"]
    tokens = TokenIds(
        # An official configuration names none of them: they are DeepSeek-LLM's. A small model's
        # vocabulary has other ones; its last id stands in where it says nothing.
        bos=min(text.get("bos_token_id", defaults.bos), language.vocab_size - 1),
        eos=min(text.get("eos_token_id", defaults.eos), language.vocab_size - 1),
        image=raw.get("image_token_id", defaults.image),
    )
    kind, depth = kinds[aligner["projector_type"]]
    return ModelConfig(name, sam, siglip, AdaptorConfig(kind, depth), language, tokens)


def _official_row(
    given: Mapping[str, Any] | None, table: Mapping[str, Mapping[str, Any]], name: str
) -> Mapping[str, Any]:
    if given is not None:
        return given
    if name not in table:
        raise ConfigError(f"vision model {name!r} is unknown; known are {', '.join(table)}")
    return table[name]


def _official_sam(params: Mapping[str, Any], given: Mapping[str, Any] | None) -> SamConfig:
    row = _official_row(given, _SAM_TABLE, params["model_name"])
    return SamConfig(
        image_size=params["image_size"],
        patch_size=row.get("patch_size", 16),
        width=row["width"],
        layers=row["layers"],
        heads=row["heads"],
        # These two the official code fixes, whatever its table says.
        mlp_width=4 * row["width"],
        window=14,
        global_blocks=tuple(row["global_attn_indexes"]),
        neck_width=row.get("prompt_embed_dim", 256),
        downsample_widths=tuple(row["downsample_channels"]),
        mean=_rgb(params, "pixel_mean", CLIP_MEAN),
        std=_rgb(params, "pixel_std", CLIP_STD),
    )


def _official_siglip(params: Mapping[str, Any], given: Mapping[str, Any] | None) -> SiglipConfig:
    row = _official_row(given, _SIGLIP_TABLE, params["model_name"])
    last = params.get("select_layer", -1)
    layers = row["layers"] + last + 1 if last <= 0 else last
    return SiglipConfig(
        image_size=params["image_size"],
        patch_size=row.get("patch_size", 16),
        width=row["width"],
        layers=min(row["layers"], layers),
        heads=row["heads"],
        mlp_width=int(row["width"] * row.get("mlp_ratio", 4)),
        mean=_rgb(params, "pixel_mean", HALF),
        std=_rgb(params, "pixel_std", HALF),
    )


def _official_language(raw: Mapping[str, Any]) -> LanguageConfig:
    rope = raw.get("rope_parameters") or {}
    scaling = raw.get("rope_scaling") or {}
    if (rope | scaling).get("rope_type", "default") != "default" or scaling.get("type"):
        raise ConfigError(f"language_config has scaled rotary positions: {rope or scaling}")
    heads = raw.get("num_attention_heads", 32)
    return LanguageConfig(
        vocab_size=raw.get("vocab_size", 32_000),
        width=raw.get("hidden_size", 4096),
        ffn_width=raw.get("intermediate_size", 11_008),
        layers=raw.get("num_hidden_layers", 32),
        heads=heads,
        kv_heads=raw.get("num_key_value_heads") or heads,
        norm_eps=raw.get("rms_norm_eps", 1e-6),
        theta=float(rope.get("rope_theta", raw.get("rope_theta", 10_000.0))),
        max_positions=raw.get("max_position_embeddings", 2048),
    )


def _rgb(params: Mapping[str, Any], key: str, default: RGB) -> RGB:
    red, green, blue = params.get(key) or default
    return float(red), float(green), float(blue)
