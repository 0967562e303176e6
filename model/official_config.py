"""The official `config.json`: the shapes of a `deepseek-ai/deepseek-vl-*` model.

In: the file, or what `json.load` gave of it. Out: the shapes, or a `ConfigError` with what this
family has not. A file names its towers; the rows behind those names stand here, since the official
code keeps them in tables of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from model.config import (
    CLIP_MEAN,
    CLIP_STD,
    HALF,
    RGB,
    AdaptorConfig,
    ConfigError,
    LanguageConfig,
    ModelConfig,
    SamConfig,
    SiglipConfig,
    TokenIds,
)

# By model name.
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
    try:
        raw = json.loads(source.read_text(encoding="utf-8")) if isinstance(source, Path) else source
        return _read(raw, name)
    except ConfigError:
        raise
    except KeyError as error:
        raise ConfigError(f"the configuration has no key {error}") from error
    except (TypeError, AttributeError, ValueError, OSError) as error:
        # A list where an object belongs, a word where a number does, a file that is no JSON.
        raise ConfigError(f"the configuration is not an official one: {error}") from error


def _read(raw: Mapping[str, Any], name: str) -> ModelConfig:
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
    if params.get("select_feature", "same") != "same":
        raise ConfigError(f"select_feature {params['select_feature']!r}: not every patch, `same`")
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
    if raw.get("hidden_act", "silu") != "silu":
        raise ConfigError(f"language_config.hidden_act is {raw['hidden_act']!r}, not silu")
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
