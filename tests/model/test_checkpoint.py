"""Checkpoints: every layout in, transformers' out, and what does not fit by name."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    SamConfig,
    SamModel,
    SiglipConfig,
    SiglipModel,
)

from model import checkpoint
from model.checkpoint import MismatchError
from model.config import ConfigError, ModelConfig, TokenIds, preset
from model.key_maps import OFFICIAL, TRANSFORMERS_4, TRANSFORMERS_5, Layout
from model.tensor_files import CheckpointError
from model.vlm import VisionLanguageModel
from tests.model.shapes import ALONE, HYBRID, randomised

BOTH = pytest.mark.parametrize("config", [HYBRID, ALONE], ids=lambda config: config.name)


def write_as(model: VisionLanguageModel, layout: Layout, path: Path) -> None:
    """A model's parameters under the names of a layout, by way of the code that reads them."""
    tensors = {
        their_name: view.clone()
        for name, parameter in model.named_parameters()
        for their_name, view in checkpoint._views(
            parameter.detach(), checkpoint._found(layout, name)
        )
    }
    save_file(tensors, path)


def same(one: VisionLanguageModel, other: VisionLanguageModel) -> bool:
    theirs = dict(other.named_parameters())
    return all(torch.equal(p, theirs[name]) for name, p in one.named_parameters())


@BOTH
@pytest.mark.parametrize("shard_bytes", [10**9, 20_000, 1])
def test_what_is_saved_is_loaded(config: ModelConfig, shard_bytes: int, tmp_path: Path) -> None:
    model = randomised(config)
    checkpoint.save(model, tmp_path / "saved", shard_bytes=shard_bytes)
    again = checkpoint.load(tmp_path / "saved")
    assert again.config == config
    assert same(model, again)
    files = sorted((tmp_path / "saved").glob("*.safetensors"))
    assert (len(files) == 1) == (shard_bytes == 10**9)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]  # nothing unfinished is left
    with pytest.raises(FileExistsError, match="saved exists"):
        checkpoint.save(model, tmp_path / "saved")


@BOTH
def test_half_precision_out_and_in(config: ModelConfig, tmp_path: Path) -> None:
    model = randomised(config)
    checkpoint.save(model, tmp_path / "half", dtype=torch.bfloat16)
    again = checkpoint.load(tmp_path / "half", dtype=torch.bfloat16)
    assert {p.dtype for p in again.parameters()} == {torch.bfloat16}
    assert same(model.to(torch.bfloat16), again)


@BOTH
@pytest.mark.parametrize("layouts", [OFFICIAL, TRANSFORMERS_5, TRANSFORMERS_4])
def test_every_layout_of_a_whole_model(
    config: ModelConfig, layouts: tuple[Layout, Layout], tmp_path: Path
) -> None:
    model = randomised(config)
    layout = layouts[0 if config.sam else 1]
    write_as(model, layout, tmp_path / "model.safetensors")
    again = randomised(config, seed=1)
    report = checkpoint.load_parameters(again, tmp_path)
    assert same(model, again)
    assert report.layout == layout.name
    assert report == checkpoint.Loaded(layout.name)


@pytest.mark.parametrize(("base", "depth"), [(HYBRID, 3), (ALONE, 3), (ALONE, 1)])
def test_official_adaptors_of_any_depth(base: ModelConfig, depth: int, tmp_path: Path) -> None:
    config = replace(base, adaptor=replace(base.adaptor, depth=depth))
    model = randomised(config)
    layout = OFFICIAL[0 if base.sam else 2 if depth == 1 else 1]
    write_as(model, layout, tmp_path / "model.safetensors")
    # The official adaptor's layers stand in a sequence with the activations between them.
    numbers = {(HYBRID, 3): [1, 3], (ALONE, 3): [0, 2, 4]}.get((base, depth))
    names = sorted(n for n in load_file(tmp_path / "model.safetensors") if ".layers" in n[:16])
    assert [n for n in names if n.endswith("weight")] == (
        [f"aligner.layers.{i}.weight" for i in numbers] if numbers else ["aligner.layers.weight"]
    )
    again = randomised(config, seed=1)
    checkpoint.load_parameters(again, tmp_path)
    assert same(model, again)


def test_the_golden_weights(golden: Path) -> None:
    config = checkpoint.read_config(golden)
    model = VisionLanguageModel(config)
    report = checkpoint.load_parameters(model, golden / "weights.safetensors")
    assert report.layout.startswith("official")
    theirs = load_file(golden / "weights.safetensors")
    ours = sum(parameter.numel() for parameter in model.parameters())
    assert ours + sum(theirs[name].numel() for name in report.unused) == sum(
        tensor.numel() for tensor in theirs.values()
    )
    # The pooling head, and two norms that the authors' code never calls.
    assert all("attn_pool" in name or "_layer_norm" in name for name in report.unused)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    model = randomised(HYBRID)
    path = tmp_path / "model.safetensors"
    write_as(model, OFFICIAL[0], path)
    tensors = load_file(path)
    del tensors["aligner.low_up_proj.bias"]
    tensors["language_model.model.layers.7.mlp.up_proj.weight"] = torch.zeros(1)
    tensors["language_model.lm_head.weight"] = torch.zeros(65, 32)
    tensors["language_model.model.norm.weight"] = torch.zeros(32, dtype=torch.int32)
    save_file(tensors, path)
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(MismatchError) as caught:
        checkpoint.load_parameters(model, path)
    assert caught.value.missing == ["aligner.low_up_proj.bias (our adaptor.low.bias)"]
    assert caught.value.extra == ["language_model.model.layers.7.mlp.up_proj.weight"]
    assert sorted(caught.value.misshapen) == [
        "language_model.lm_head.weight: [65, 32], expected [64, 32] (our language.head.weight)",
        "language_model.model.norm.weight: not of a floating type (our language.norm.weight)",
    ]
    for name in (*caught.value.missing, *caught.value.extra, *caught.value.misshapen):
        assert name in str(caught.value)
    # Nothing was written before everything had been checked.
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_another_models_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_as(randomised(HYBRID), OFFICIAL[0], path)
    with pytest.raises(MismatchError) as caught:
        checkpoint.load_parameters(randomised(ALONE), path)
    assert any("vision_tower_high" in name for name in caught.value.extra)
    assert "more" in str(caught.value)
    save_file({"encoder.weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=r"no known layout.*encoder\.weight.*official"):
        checkpoint.load_parameters(randomised(ALONE), path)


def test_files_that_are_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        checkpoint.load_parameters(randomised(ALONE), tmp_path / "nowhere")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin must be converted"):
        checkpoint.load_parameters(randomised(ALONE), tmp_path)
    saved = tmp_path / "saved"
    checkpoint.save(randomised(ALONE), saved, shard_bytes=20_000)
    shards = sorted(saved.glob("*.safetensors"))
    whole = shards[0].read_bytes()
    shards[0].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=f"{shards[0].name} is not a whole safetensors file"):
        checkpoint.load(saved)
    shards[0].unlink()
    with pytest.raises(CheckpointError, match=f"missing: {shards[0].name}"):
        checkpoint.load(saved)
    index = saved / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../a.safetensors"}}))
    with pytest.raises(CheckpointError, match="points out of its folder"):
        checkpoint.load(saved)
    index.write_text("[]")
    with pytest.raises(CheckpointError, match="is no index"):
        checkpoint.load(saved)
    (saved / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json is not readable"):
        checkpoint.load(saved)


def test_a_tied_head_is_the_embedding(tmp_path: Path) -> None:
    model = randomised(ALONE)
    saved = tmp_path / "saved"
    checkpoint.save(model, saved)
    tensors = load_file(saved / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, saved / "model.safetensors")
    with pytest.raises(MismatchError, match=r"missing: lm_head\.weight"):
        checkpoint.load(saved)
    raw = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(raw | {"tie_word_embeddings": True}))
    again = checkpoint.load(saved)
    assert torch.equal(again.language.head.weight, model.language.embed.weight)
    assert again.language.head.weight is not again.language.embed.weight
    assert checkpoint.load_parameters(again, saved).tied == ["language.head.weight"]


@pytest.mark.parametrize(
    ("name", "part"),
    [("sam", "downsample_widths"), ("sam", "resized"), ("sam", "norm_eps"), ("adaptor", "depth")],
)
def test_what_transformers_cannot_express(name: str, part: str, tmp_path: Path) -> None:
    other = {"downsample_widths": (24, 32), "resized": 15, "norm_eps": 1e-5, "depth": 3}[part]
    config = replace(HYBRID, **{name: replace(getattr(HYBRID, name), **{part: other})})
    with pytest.raises(ConfigError, match=rf"{name}\.{part} is"):
        checkpoint.save(randomised(config), tmp_path / "saved")
    assert not list(tmp_path.iterdir())


def test_what_is_written_is_a_whole_model(tmp_path: Path) -> None:
    parameters = dict(randomised(ALONE).named_parameters())
    parameters["module.low.norm.weight"] = parameters.pop("low.norm.weight")
    parameters["low.norm.bias"] = torch.nn.Parameter(torch.zeros(2))
    with pytest.raises(CheckpointError, match=r"3 are missing.*low\.norm\.bias.*module\.low"):
        checkpoint.write(ALONE, parameters, tmp_path / "saved")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["tiny", "1.3b", "1.3b-hybrid", "7b"])
def test_every_preset_survives_its_files(name: str, tmp_path: Path) -> None:
    for file, content in checkpoint.to_transformers(preset(name)).items():
        (tmp_path / file).write_text(json.dumps(content))
    assert checkpoint.read_config(tmp_path) == preset(name)


def test_configurations_of_something_else(tmp_path: Path) -> None:
    files = checkpoint.to_transformers(HYBRID)
    raw = files["config.json"]
    for change, message in (
        ({"model_type": "llava"}, "model_type 'llava'"),
        ({"vision_config": raw["vision_config"] | {"hidden_act": "gelu_pytorch_tanh"}}, "exact"),
        ({"vision_config": {"model_type": "siglip_vision_model"}}, "gelu_pytorch_tanh"),
        ({"text_config": raw["text_config"] | {"attention_bias": True}}, "biases"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(raw | change))
        with pytest.raises(ConfigError, match=message):
            checkpoint.read_config(tmp_path)


def test_a_converted_official_checkpoint_has_deepseeks_ids(tmp_path: Path) -> None:
    raw = checkpoint.to_transformers(preset("7b"))["config.json"]
    del raw["dsvl_name"]
    raw["text_config"] |= {"bos_token_id": 1, "eos_token_id": 2}  # LLaMA's, as transformers writes
    (tmp_path / "config.json").write_text(json.dumps(raw))
    assert checkpoint.read_config(tmp_path).tokens == TokenIds()


# Branches from checkpoints of their own.


def siglip(side: int) -> SiglipModel:
    return SiglipModel(
        SiglipConfig(
            vision_config={
                "image_size": side,
                "patch_size": 16,
                "hidden_size": 32,
                "intermediate_size": 40,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
            },
            text_config={
                "vocab_size": 8,
                "hidden_size": 32,
                "intermediate_size": 8,
                "num_hidden_layers": 1,
                "num_attention_heads": 1,
                "bos_token_id": 0,
                "eos_token_id": 1,
            },
        )
    )


def sam(side: int) -> SamModel:
    return SamModel(
        SamConfig(
            vision_config={
                "image_size": side,
                "patch_size": 16,
                "hidden_size": 24,
                "mlp_dim": 48,
                "num_hidden_layers": 3,
                "num_attention_heads": 2,
                "output_channels": 8,
                "window_size": 4,
                "global_attn_indexes": [1, 2],
                "num_pos_feats": 4,
            },
            prompt_encoder_config={"hidden_size": 8, "image_size": side},
            mask_decoder_config={"hidden_size": 8, "num_attention_heads": 2, "mlp_dim": 8},
        )
    )


def llama(*, tied: bool = False) -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=tied,
        )
    )


def test_branches_from_published_checkpoints(tmp_path: Path) -> None:
    for name, module in (("siglip", siglip(64)), ("sam", sam(96)), ("llama", llama())):
        module.save_pretrained(tmp_path / name)
    model = randomised(HYBRID)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    low, high, language = checkpoint.initialise(
        model, siglip=tmp_path / "siglip", sam=tmp_path / "sam", llama=tmp_path / "llama"
    )
    assert any(name.startswith("text_model.") for name in low.unused)
    assert any(".head." in name for name in low.unused)
    assert any(name.startswith("mask_decoder.") for name in high.unused)
    assert not (low.resized + high.resized + language.resized + language.unused)
    assert sorted(high.left) == [
        "high.alpha",
        "high.downsamples.0.weight",
        "high.downsamples.1.weight",
    ]
    # What is left and the adaptor are as before; all else has changed, but for norms, which
    # begin as ones and zeros everywhere.
    for name, parameter in model.named_parameters():
        kept = name in high.left or name.startswith("adaptor.")
        assert torch.equal(parameter, before[name]) == kept, name
    assert torch.equal(model.high.neck_first[0].weight, model.high.neck[0].weight)
    assert len(high.copied) == 6


def test_positions_of_another_size(tmp_path: Path) -> None:
    siglip(96).save_pretrained(tmp_path / "siglip")
    larger = sam(128)
    with torch.no_grad():  # a ramp stays one at any size
        ramp = torch.arange(8.0)
        larger.vision_encoder.pos_embed.copy_(ramp[None, :, None, None].expand(1, 8, 8, 24))
    larger.save_pretrained(tmp_path / "sam")
    model = randomised(HYBRID)
    low, high = checkpoint.initialise(model, siglip=tmp_path / "siglip", sam=tmp_path / "sam")
    assert low.resized == ["low.pos_embed: [36, 32] to [16, 32]"]
    assert "high.pos_embed: [1, 8, 8, 24] to [1, 6, 6, 24]" in high.resized
    # Only global blocks have tables of the whole grid's size; windows keep theirs.
    assert "high.blocks.1.attn.rel_pos_h: [15, 12] to [11, 12]" in high.resized
    assert not any("blocks.0" in line for line in high.resized)
    column = model.high.pos_embed.detach()[0, :, 3, 5]
    assert (column.diff() > 0).all()
    torch.testing.assert_close(column.mean(), ramp.mean())
    # A whole model's checkpoint, though, must fit.
    checkpoint.save(randomised(HYBRID), tmp_path / "whole")
    other = replace(
        HYBRID, siglip=replace(HYBRID.siglip, image_size=32), sam=replace(HYBRID.sam, resized=8)
    )
    with pytest.raises(MismatchError, match=r"embedding\.weight: \[16, 32\], expected \[4, 32\]"):
        checkpoint.load_parameters(randomised(other), tmp_path / "whole")


def test_segment_anythings_and_timms_own_names(tmp_path: Path) -> None:
    source = randomised(HYBRID)
    for layout, prefixes in ((OFFICIAL[0], {"high": "image_encoder.", "low": "visual.trunk."}),):
        write_as(source, layout, tmp_path / "all.safetensors")
        for branch, prefix in prefixes.items():
            stem = f"vision_model.vision_tower_{branch}.vision_tower."
            tensors = {
                prefix + name.removeprefix(stem): tensor
                for name, tensor in load_file(tmp_path / "all.safetensors").items()
                if name.startswith(stem)
                and not any(new in name for new in ("neck_hd", "downsamples"))
            }
            save_file(tensors, tmp_path / f"{branch}.safetensors")
    model = randomised(HYBRID, seed=1)
    checkpoint.initialise(
        model, siglip=tmp_path / "low.safetensors", sam=tmp_path / "high.safetensors"
    )
    assert torch.equal(model.low.blocks[1].attn.qkv.weight, source.low.blocks[1].attn.qkv.weight)
    assert torch.equal(model.high.blocks[2].attn.rel_pos_w, source.high.blocks[2].attn.rel_pos_w)


def test_a_tied_llama_and_a_branch_that_is_not_there(tmp_path: Path) -> None:
    llama(tied=True).save_pretrained(tmp_path / "llama")
    model = randomised(ALONE)
    (report,) = checkpoint.initialise(model, llama=tmp_path / "llama")
    assert report.tied == ["language.head.weight"]
    assert torch.equal(model.language.head.weight, model.language.embed.weight)
    with pytest.raises(ConfigError, match="no SAM branch"):
        checkpoint.initialise(model, sam=tmp_path)


def test_the_file_may_go_once_it_is_loaded(tmp_path: Path) -> None:
    model = randomised(ALONE)
    checkpoint.save(model, tmp_path / "saved")
    again = checkpoint.load(tmp_path / "saved")
    file = tmp_path / "saved" / "model.safetensors"
    file.write_bytes(bytes(file.stat().st_size))  # a mapped tensor would now be zeros
    shutil.rmtree(tmp_path / "saved")
    assert same(model, again)
