"""How others name the tensors of this model: tables, and nothing that touches a tensor.

Ours on the left, theirs on the right, both relative to a prefix; `*` is a number, the same on both
sides. A name stands for a parameter or for a module, whose `weight` and `bias` go with it.

A `Layout` is the names of one kind of file, whole model or one branch. Where a file may come in two
spellings, there are two layouts, and the reader takes the one that fits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Thirds:
    """Three tensors of theirs that lie one below the other in ours."""

    names: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Unbatched:
    """Theirs lacks the first dimension of ours, which is 1."""

    name: str


Theirs: TypeAlias = str | Thirds | Unbatched
Table: TypeAlias = Mapping[str, Theirs]

_NUMBER = re.compile(r"\.(\d+)(?=\.|$)")


@dataclass(frozen=True, slots=True)
class Part:
    """The parameters of ours that begin with `ours`, named by `table`, theirs by `theirs`."""

    ours: str
    theirs: str
    table: Table

    def find(self, name: str) -> Theirs | None:
        """Their name, or names, of one of our parameters; None where it is not of this part."""
        if not name.startswith(self.ours):
            return None
        relative = name.removeprefix(self.ours)
        module, _, leaf = relative.rpartition(".")
        for stem, suffix in ((relative, ""), (module, f".{leaf}")):
            # A number may be fixed (`neck.0`) or any (`blocks.*.norm1`).
            for key, numbers in ((stem, []), (_NUMBER.sub(".*", stem), _NUMBER.findall(stem))):
                if key in self.table:
                    return self._full(self.table[key], numbers, suffix)
        return None

    def _full(self, theirs: Theirs, numbers: list[str], suffix: str) -> Theirs:
        def full(name: str) -> str:
            for number in numbers:
                name = name.replace("*", number, 1)
            return f"{self.theirs}{name}{suffix}"

        if isinstance(theirs, Thirds):
            first, second, third = theirs.names
            return Thirds((full(first), full(second), full(third)))
        # A lookup table's `weight` is spelled out, since ours is a parameter and no module.
        return Unbatched(full(theirs.name)) if isinstance(theirs, Unbatched) else full(theirs)


@dataclass(frozen=True)
class Layout:
    """The names of one kind of checkpoint.

    `unused`: patterns (`re.match`) of tensors that belong to it and that this model has no use for.
    `copied`: our parameters that it lacks and that begin as a copy of others, by prefix.
    `left`: our parameters that it lacks and that keep the values they have, by prefix.
    """

    name: str
    parts: tuple[Part, ...]
    unused: tuple[str, ...] = ()
    copied: tuple[tuple[str, str], ...] = ()
    left: tuple[str, ...] = ()

    @cached_property
    def _unused(self) -> re.Pattern[str]:
        return re.compile("|".join(self.unused) if self.unused else r"(?!)")

    def ignores(self, theirs: str) -> bool:
        """Whether a tensor of theirs is known to be of no use here."""
        return self._unused.match(theirs) is not None

    def find(self, ours: str) -> Theirs | None:
        """Their name, or names, of one of our parameters."""
        return next((found for part in self.parts if (found := part.find(ours))), None)

    def covers(self, ours: str) -> bool:
        """Whether the parameter is one that this layout gives, copies or leaves alone."""
        named = (*(copy for copy, _ in self.copied), *self.left)
        return ours.startswith(named) or any(ours.startswith(part.ours) for part in self.parts)


# The branches, in the two spellings of each.

_SAM_BLOCKS = ("attn.qkv", "attn.proj", "attn.rel_pos_h", "attn.rel_pos_w")

SAM: Table = {
    "patch_embed": "patch_embed.proj",
    "pos_embed": "pos_embed",
    **{f"blocks.*.{name}": f"blocks.*.{name}" for name in ("norm1", "norm2", *_SAM_BLOCKS)},
    "blocks.*.mlp.fc1": "blocks.*.mlp.lin1",
    "blocks.*.mlp.fc2": "blocks.*.mlp.lin2",
    **{f"neck.{i}": f"neck.{i}" for i in range(4)},
}
SAM_ADDED: Table = {
    **{f"neck_first.{i}": f"neck_hd.{i}" for i in range(4)},
    "downsamples.*": "downsamples.*",
    "alpha": "hd_alpha_downsamples",
}
SAM_TRANSFORMERS: Table = {
    "patch_embed": "patch_embed.projection",
    "pos_embed": "pos_embed",
    "blocks.*.norm1": "layers.*.layer_norm1",
    "blocks.*.norm2": "layers.*.layer_norm2",
    **{f"blocks.*.{name}": f"layers.*.{name}" for name in _SAM_BLOCKS},
    "blocks.*.mlp.fc1": "layers.*.mlp.lin1",
    "blocks.*.mlp.fc2": "layers.*.mlp.lin2",
    "neck.0": "neck.conv1",
    "neck.1": "neck.layer_norm1",
    "neck.2": "neck.conv2",
    "neck.3": "neck.layer_norm2",
}
SAM_ADDED_TRANSFORMERS: Table = {
    "neck_first.0": "high_res_vision_neck.conv1",
    "neck_first.1": "high_res_vision_neck.layer_norm1",
    "neck_first.2": "high_res_vision_neck.conv2",
    "neck_first.3": "high_res_vision_neck.layer_norm2",
    "downsamples.0": "high_res_vision_proj.conv1",
    "downsamples.1": "high_res_vision_proj.conv2",
    "alpha": "high_res_vision_alpha",
}
SIGLIP: Table = {
    "patch_embed": "patch_embed.proj",
    "pos_embed": "pos_embed",
    "norm": "norm",
    **{
        f"blocks.*.{name}": f"blocks.*.{name}"
        for name in ("norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    },
}
SIGLIP_TRANSFORMERS: Table = {
    "patch_embed": "embeddings.patch_embedding",
    "pos_embed": Unbatched("embeddings.position_embedding.weight"),
    "norm": "post_layernorm",
    "blocks.*.norm1": "encoder.layers.*.layer_norm1",
    "blocks.*.norm2": "encoder.layers.*.layer_norm2",
    "blocks.*.attn.qkv": Thirds(
        (
            "encoder.layers.*.self_attn.q_proj",
            "encoder.layers.*.self_attn.k_proj",
            "encoder.layers.*.self_attn.v_proj",
        )
    ),
    "blocks.*.attn.proj": "encoder.layers.*.self_attn.out_proj",
    "blocks.*.mlp.fc1": "encoder.layers.*.mlp.fc1",
    "blocks.*.mlp.fc2": "encoder.layers.*.mlp.fc2",
}
LLAMA: Table = {
    "embed": "embed_tokens",
    "norm": "norm",
    "layers.*.attn_norm": "layers.*.input_layernorm",
    "layers.*.mlp_norm": "layers.*.post_attention_layernorm",
    **{f"layers.*.attn.{name}_proj": f"layers.*.self_attn.{name}_proj" for name in "qkvo"},
    **{f"layers.*.mlp.{name}_proj": f"layers.*.mlp.{name}_proj" for name in ("gate", "up", "down")},
}
HEAD: Table = {"head": "lm_head"}

# Rotary frequencies, which old versions of transformers stored.
_FREQUENCIES = r".*\.rotary_emb\.inv_freq$"
_TIMM_HEAD = r"(attn_pool|head|fc_norm)\."


# Whole models.

# The official adaptor is a sequence in which every second layer is an activation.
_OFFICIAL_ADAPTOR: Table = {
    "high": "high_up_proj",
    "low": "low_up_proj",
    **{f"layers.{i}": f"layers.{2 * i + 1}" for i in range(8)},
}

OFFICIAL = (
    Layout(
        "official, hybrid",
        (
            Part("high.", "vision_model.vision_tower_high.vision_tower.", {**SAM, **SAM_ADDED}),
            Part("low.", "vision_model.vision_tower_low.vision_tower.", SIGLIP),
            Part("adaptor.", "aligner.", _OFFICIAL_ADAPTOR),
            Part("language.", "language_model.", HEAD),
            Part("language.", "language_model.model.", LLAMA),
        ),
        unused=(
            rf"vision_model\.vision_tower_low\.vision_tower\.{_TIMM_HEAD}",
            r"vision_model\.(high|low)_layer_norm\.",
            _FREQUENCIES,
        ),
    ),
    *(
        Layout(
            f"official, SigLIP alone{kind}",
            (
                Part("low.", "vision_model.vision_tower.", SIGLIP),
                Part("adaptor.", "aligner.", adaptor),
                Part("language.", "language_model.", HEAD),
                Part("language.", "language_model.model.", LLAMA),
            ),
            unused=(rf"vision_model\.vision_tower\.{_TIMM_HEAD}", _FREQUENCIES),
        )
        for kind, adaptor in (
            ("", {f"layers.{i}": f"layers.{2 * i}" for i in range(8)}),
            (", one linear layer", {"layers.0": "layers"}),
        )
    ),
)


def _transformers(siglip: str, version: str) -> tuple[Layout, Layout]:
    """DeepseekVLHybrid and DeepseekVL, with one of the two spellings of SigLIP's names."""
    shared = (
        Part("low.", siglip, SIGLIP_TRANSFORMERS),
        Part("language.", "model.language_model.", LLAMA),
        Part("language.", "", HEAD),
    )
    unused = (re.escape(siglip) + r"head\.", _FREQUENCIES)
    hybrid = Layout(
        f"transformers {version}, DeepseekVLHybrid",
        (
            Part("high.", "model.high_res_vision_model.vision_encoder.", SAM_TRANSFORMERS),
            Part("high.", "model.", SAM_ADDED_TRANSFORMERS),
            Part(
                "adaptor.",
                "model.aligner.",
                {"high": "high_res_vision_proj", "low": "vision_proj", "layers.0": "proj"},
            ),
            *shared,
        ),
        unused,
    )
    alone = Layout(
        f"transformers {version}, DeepseekVL",
        (
            Part("adaptor.", "model.aligner.", {"layers.0": "linear1", "layers.1": "linear2"}),
            *shared,
        ),
        unused,
    )
    return hybrid, alone


TRANSFORMERS_5 = _transformers("model.vision_model.", "5")
TRANSFORMERS_4 = _transformers("model.vision_model.vision_model.", "4")

WHOLE: tuple[Layout, ...] = (*OFFICIAL, *TRANSFORMERS_5, *TRANSFORMERS_4)


# Branches from checkpoints of their own, as a training run starts.

_SIGLIP_REST = r"(text_model|text|logit_scale|logit_bias)"
SIGLIP_ALONE = (
    *(
        Layout(
            f"transformers' SigLIP, names beginning with {prefix!r}",
            (Part("low.", prefix, SIGLIP_TRANSFORMERS),),
            unused=(_SIGLIP_REST, re.escape(prefix) + r"head\."),
        )
        for prefix in ("vision_model.", "", "vision_model.vision_model.")
    ),
    *(
        Layout(
            f"timm's SigLIP, names beginning with {prefix!r}",
            (Part("low.", prefix, SIGLIP),),
            unused=(_SIGLIP_REST, re.escape(prefix) + _TIMM_HEAD),
        )
        for prefix in ("", "visual.trunk.")
    ),
)

_SAM_REST = r"(prompt_encoder|mask_decoder|shared_image_embedding|pixel_mean|pixel_std)"
#: The neck of the first global block begins as the other neck; the rest is new to SAM.
_SAM_COPIED = (("high.neck_first.", "high.neck."),)
_SAM_LEFT = ("high.downsamples.", "high.alpha")
SAM_ALONE = (
    Layout(
        "transformers' SAM",
        (Part("high.", "vision_encoder.", SAM_TRANSFORMERS),),
        (_SAM_REST,),
        _SAM_COPIED,
        _SAM_LEFT,
    ),
    *(
        Layout(
            f"Segment Anything, names beginning with {prefix!r}",
            (Part("high.", prefix, SAM),),
            (_SAM_REST,),
            _SAM_COPIED,
            _SAM_LEFT,
        )
        for prefix in ("image_encoder.", "")
    ),
)

LLAMA_ALONE = (
    Layout(
        "transformers' LLaMA",
        (Part("language.", "model.", LLAMA), Part("language.", "", HEAD)),
        (_FREQUENCIES,),
    ),
)


def their_names(theirs: Theirs) -> Iterator[str]:
    """Every tensor of theirs that one of our parameters is made of."""
    if isinstance(theirs, Thirds):
        yield from theirs.names
    else:
        yield theirs.name if isinstance(theirs, Unbatched) else theirs
