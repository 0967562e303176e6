"""The configuration files of transformers' DeepseekVL and DeepseekVLHybrid, in and out.

In: their `config.json` and `preprocessor_config.json`. Out: a `ModelConfig`; and back.

transformers' own classes fill in what a file leaves out, since their defaults are not ours: their
SigLIP has the approximate GELU, and a fresh configuration ties the head to the embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

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
from model.images import SHORTEST_SIDE

Json: TypeAlias = dict[str, Any]

_HYBRID = "deepseek_vl_hybrid"
_ALONE = "deepseek_vl"
#: A key of our own, which they carry along unread.
_NAME = "dsvl_name"
#: Their models have no field for these; elsewhere they are this model's constants too.
_NORM_EPS = 1e-6
_BILINEAR, _BICUBIC = 2, 3


def from_transformers(raw: Mapping[str, Any], images: Mapping[str, Any]) -> ModelConfig:
    """Read what `json.load` gave of `config.json` and of `preprocessor_config.json` (or nothing).

    Raises `ConfigError` for what this model cannot compute, such as the approximate GELU.
    """
    kind = raw.get("model_type")
    if kind not in (_HYBRID, _ALONE):
        raise ConfigError(f"model_type {kind!r} is neither {_HYBRID} nor {_ALONE}")
    # Not at the top: their package takes seconds to import, and a training may never need it.
    from transformers import DeepseekVLConfig, DeepseekVLHybridConfig

    kinds = DeepseekVLHybridConfig if kind == _HYBRID else DeepseekVLConfig
    # Typed as Any: its parts are annotated as dictionaries and are none.
    config: Any = kinds.from_dict(dict(raw))
    vision, text = config.vision_config, config.text_config
    activations = {"vision_config": vision.hidden_act}
    if kind == _HYBRID:
        activations["high_res_vision_config"] = config.high_res_vision_config.hidden_act
    for part, activation in activations.items():
        if activation != "gelu":
            raise ConfigError(f"{part}.hidden_act is {activation}; this model has the exact `gelu`")
    rope = text.rope_parameters or {}
    if rope.get("rope_type", "default") != "default":
        raise ConfigError(f"text_config.rope_parameters are {rope}; only the default type is known")
    if text.hidden_act != "silu":
        raise ConfigError(f"text_config.hidden_act is {text.hidden_act}; this model has `silu`")
    if text.attention_bias or text.mlp_bias:
        raise ConfigError("text_config has biases; this model has none")
    return ModelConfig(
        str(raw.get(_NAME, kind)),
        _sam(config.high_res_vision_config, vision, images) if kind == _HYBRID else None,
        SiglipConfig(
            vision.image_size,
            vision.patch_size,
            vision.hidden_size,
            vision.num_hidden_layers,
            vision.num_attention_heads,
            vision.intermediate_size,
            vision.layer_norm_eps,
            _rgb(images, "image_mean", HALF),
            _rgb(images, "image_std", HALF),
        ),
        AdaptorConfig("hybrid" if kind == _HYBRID else "mlp", 2),
        LanguageConfig(
            text.vocab_size,
            text.hidden_size,
            text.intermediate_size,
            text.num_hidden_layers,
            text.num_attention_heads,
            text.num_key_value_heads,
            text.rms_norm_eps,
            float(rope.get("rope_theta", 10_000.0)),
            text.max_position_embeddings,
        ),
        _token_ids(raw, config.image_token_id),
    )


def _token_ids(raw: Mapping[str, Any], image: int) -> TokenIds:
    defaults = TokenIds()
    if image == defaults.image and _NAME not in raw:
        # A converted official checkpoint: its text_config has LLaMA's ids, which mean nothing.
        return defaults
    text = raw.get("text_config") or {}
    return TokenIds(
        text.get("bos_token_id", defaults.bos), text.get("eos_token_id", defaults.eos), image
    )


def _sam(high: Any, vision: Any, images: Mapping[str, Any]) -> SamConfig:
    if not (high.use_abs_pos and high.use_rel_pos and high.qkv_bias):
        raise ConfigError(
            "high_res_vision_config turns off positions or biases; this model has all of them"
        )
    return SamConfig(
        high.image_size,
        high.patch_size,
        high.hidden_size,
        high.num_hidden_layers,
        high.num_attention_heads,
        high.mlp_dim,
        high.window_size,
        tuple(high.global_attn_indexes),
        high.output_channels,
        4 * (vision.image_size // vision.patch_size),
        (2 * high.output_channels, 4 * high.output_channels),
        high.layer_norm_eps,
        _rgb(images, "high_res_image_mean", CLIP_MEAN),
        _rgb(images, "high_res_image_std", CLIP_STD),
    )


def to_transformers(config: ModelConfig) -> dict[str, Json]:
    """The files, by name, with which transformers computes what this model does.

    Raises `ConfigError`, with the field, for what their classes cannot express.
    """
    _expressible(config)
    low, language = config.siglip, config.language
    model: Json = {
        "architectures": [
            "DeepseekVLHybridForConditionalGeneration"
            if config.sam
            else "DeepseekVLForConditionalGeneration"
        ],
        "model_type": _HYBRID if config.sam else _ALONE,
        _NAME: config.name,
        "image_token_id": config.tokens.image,
        "tie_word_embeddings": False,
        "vision_config": {
            "model_type": "siglip_vision_model",
            "image_size": low.image_size,
            "patch_size": low.patch_size,
            "hidden_size": low.width,
            "num_hidden_layers": low.layers,
            "num_attention_heads": low.heads,
            "intermediate_size": low.mlp_width,
            "layer_norm_eps": low.norm_eps,
            "hidden_act": "gelu",
            "vision_use_head": False,
        },
        "text_config": {
            "model_type": "llama",
            "vocab_size": language.vocab_size,
            "hidden_size": language.width,
            "intermediate_size": language.ffn_width,
            "num_hidden_layers": language.layers,
            "num_attention_heads": language.heads,
            "num_key_value_heads": language.kv_heads,
            "rms_norm_eps": language.norm_eps,
            # Versions 4 and 5 of transformers each read one of these two.
            "rope_theta": language.theta,
            "rope_parameters": {"rope_type": "default", "rope_theta": language.theta},
            "max_position_embeddings": language.max_positions,
            "tie_word_embeddings": False,
            "bos_token_id": config.tokens.bos,
            "eos_token_id": config.tokens.eos,
        },
    }
    if config.sam:
        model["high_res_vision_config"] = _sam_json(config.sam)
    return {
        "config.json": model,
        "generation_config.json": {
            "bos_token_id": config.tokens.bos,
            "eos_token_id": config.tokens.eos,
            "pad_token_id": config.tokens.eos,
        },
        "preprocessor_config.json": _images_json(config),
    }


def _sam_json(high: SamConfig) -> Json:
    return {
        "model_type": "sam_vision_model",
        "image_size": high.image_size,
        "patch_size": high.patch_size,
        "hidden_size": high.width,
        "num_hidden_layers": high.layers,
        "num_attention_heads": high.heads,
        "mlp_dim": high.mlp_width,
        "window_size": high.window,
        "global_attn_indexes": list(high.global_blocks),
        "output_channels": high.neck_width,
        "layer_norm_eps": high.norm_eps,
        "hidden_act": "gelu",
        "qkv_bias": True,
        "use_abs_pos": True,
        "use_rel_pos": True,
    }


def _images_json(config: ModelConfig) -> Json:
    def square(side: int) -> Json:
        return {"height": side, "width": side}

    files: Json = {
        "image_processor_type": (
            "DeepseekVLHybridImageProcessor" if config.sam else "DeepseekVLImageProcessor"
        ),
        "do_resize": True,
        "do_pad": True,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "min_size": SHORTEST_SIDE,
        "size": square(config.siglip.image_size),
        "resample": _BILINEAR if config.sam else _BICUBIC,
        "image_mean": list(config.siglip.mean),
        "image_std": list(config.siglip.std),
    }
    if config.sam:
        files |= {
            "high_res_size": square(config.sam.image_size),
            "high_res_resample": _BICUBIC,
            "high_res_image_mean": list(config.sam.mean),
            "high_res_image_std": list(config.sam.std),
        }
    return files


def _expressible(config: ModelConfig) -> None:
    wanted: list[tuple[str, object, object]] = [("adaptor.depth", config.adaptor.depth, 2)]
    if config.sam:
        neck = config.sam.neck_width
        wanted += [
            ("sam.downsample_widths", config.sam.downsample_widths, (2 * neck, 4 * neck)),
            ("sam.resized", config.sam.resized, 4 * config.siglip.side),
            ("sam.norm_eps", config.sam.norm_eps, _NORM_EPS),
        ]
    for field, ours, theirs in wanted:
        if ours != theirs:
            raise ConfigError(f"{field} is {ours}; transformers' model has {theirs} and no choice")


def _rgb(images: Mapping[str, Any], key: str, default: RGB) -> RGB:
    red, green, blue = images.get(key) or default
    return float(red), float(green), float(blue)
