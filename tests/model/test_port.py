"""Against transformers' port, with mapped weights: the same logits, loss and gradients.

The port is right about the network, given a configuration that says what its defaults get wrong
(exact GELU, a head of its own); it is not the reference for how a picture is scaled.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    DeepseekVLConfig,
    DeepseekVLForConditionalGeneration,
    DeepseekVLHybridConfig,
    DeepseekVLHybridForConditionalGeneration,
)

from model import checkpoint
from model.config import ModelConfig, preset
from model.images import low_resolution, normalise, square_image, unit_range
from model.key_maps import TRANSFORMERS_5
from model.processor import IGNORED, Example, collate
from model.transformers_config import to_transformers
from model.vlm import VisionLanguageModel
from tests.model.shapes import ALONE, HYBRID, pictures, randomised

BOTH = pytest.mark.parametrize("config", [HYBRID, ALONE], ids=lambda config: config.name)


def port_of(model: VisionLanguageModel, folder: Path) -> Any:
    """The port with our weights, by way of its own `from_pretrained`; nothing may be left over."""
    checkpoint.save(model, folder)
    return load_port(folder, hybrid=model.config.sam is not None)


def load_port(folder: Path, *, hybrid: bool) -> Any:
    alone = DeepseekVLForConditionalGeneration
    port, info = (DeepseekVLHybridForConditionalGeneration if hybrid else alone).from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    assert not any(info.values()), info
    return port.train()


def inputs_of(config: ModelConfig, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """The port's float images from our uint8 ones."""
    floats = unit_range(images)
    low = low_resolution(floats, config.siglip.image_size)
    inputs = {"pixel_values": normalise(low, config.siglip.mean, config.siglip.std)}
    if config.sam:
        inputs["high_res_pixel_values"] = normalise(floats, config.sam.mean, config.sam.std)
    return inputs


def examples(config: ModelConfig) -> list[Example]:
    """Two images and text; text alone and shorter; one image last."""
    generator = torch.Generator().manual_seed(3)
    image = [config.tokens.image] * config.image_tokens
    made = []
    for number, (head, images, tail) in enumerate([(4, 2, 9), (7, 0, 0), (3, 1, 2)]):
        first, last = (
            torch.randint(4, 64, (n,), generator=generator).tolist() for n in (head, tail)
        )
        tokens = torch.tensor([config.tokens.bos, *first, *image * images, *last])
        labels = torch.where(tokens == config.tokens.image, IGNORED, tokens)
        labels[: 2 + number] = IGNORED
        made.append(Example(tokens, labels, pictures(config, images, seed=number)))
    return made


@pytest.mark.parametrize("name", ["tiny", "1.3b", "1.3b-hybrid", "7b"])
def test_every_preset_has_the_ports_tensors(name: str) -> None:
    config = preset(name)
    raw = to_transformers(config)["config.json"]
    with torch.device("meta"):
        model = VisionLanguageModel(config)
        port = (
            DeepseekVLHybridForConditionalGeneration(DeepseekVLHybridConfig.from_dict(raw))
            if config.sam
            else DeepseekVLForConditionalGeneration(DeepseekVLConfig.from_dict(raw))
        )
    layout = TRANSFORMERS_5[0 if config.sam else 1]
    ours = {
        their_name: view.shape
        for name, parameter in model.named_parameters()
        for their_name, view in checkpoint._views(
            parameter.detach(), checkpoint._found(layout, name)
        )
    }
    assert ours == {name: tensor.shape for name, tensor in port.state_dict().items()}


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-5)


@BOTH
def test_logits_loss_and_gradients(config: ModelConfig, tmp_path: Path) -> None:
    model = randomised(config)
    port = port_of(model, tmp_path / "saved")
    batch = collate([[example] for example in examples(config)], config.tokens.eos)
    real = batch.documents >= 0

    logits = model(batch.tokens, batch.images, batch.documents)
    theirs = port(
        input_ids=batch.tokens,
        attention_mask=real.long(),
        labels=batch.labels,
        **inputs_of(config, batch.images),
    )
    assert theirs.logits.std() > 0.5  # the comparison is of something
    close(logits[real], theirs.logits[real])

    loss = model(batch.tokens, batch.images, batch.documents, batch.labels)
    assert loss.tokens == (batch.labels[:, 1:] != IGNORED).sum()
    close(loss.mean, theirs.loss)

    loss.mean.backward()
    theirs.loss.backward()
    gradients = {name: parameter.grad for name, parameter in port.named_parameters()}
    layout = TRANSFORMERS_5[0 if config.sam else 1]
    compared = set()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        for their_name, view in checkpoint._views(parameter.grad, checkpoint._found(layout, name)):
            gradient = gradients[their_name]
            assert gradient is not None, their_name
            scale = float(gradient.abs().max())
            # A bias of keys shifts every score of a query alike: its true gradient is nothing.
            assert scale > 1e-6 or "k_proj.bias" in their_name, their_name
            torch.testing.assert_close(
                view, gradient, atol=2e-5 * max(scale, 1e-2), rtol=1e-4, msg=their_name
            )
            compared.add(their_name)
    assert compared == gradients.keys()


@BOTH
def test_text_alone(config: ModelConfig, tmp_path: Path) -> None:
    model = randomised(config)
    port = port_of(model, tmp_path / "saved")
    tokens = torch.randint(4, 64, (2, 11), generator=torch.Generator().manual_seed(0))
    close(model(tokens), port(input_ids=tokens).logits)


@BOTH
def test_a_packed_row_is_what_the_port_makes_of_each_document(
    config: ModelConfig, tmp_path: Path
) -> None:
    model = randomised(config)
    port = port_of(model, tmp_path / "saved")
    alone = examples(config)
    batch = collate([alone], config.tokens.eos)
    packed = model(batch.tokens, batch.images, batch.documents)[0]
    start = 0
    for example in alone:
        images = inputs_of(config, example.images) if len(example.images) else {}
        theirs = port(input_ids=example.tokens[None], **images).logits[0]
        close(packed[start : start + len(theirs)], theirs)
        start += len(theirs)


@BOTH
def test_what_the_port_saves_is_loaded(config: ModelConfig, tmp_path: Path) -> None:
    model = randomised(config)
    port = port_of(model, tmp_path / "ours")
    with torch.no_grad():
        for parameter in port.parameters():
            parameter.mul_(1.5)
    port.save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    assert len(list((tmp_path / "theirs").glob("*.safetensors"))) > 1
    again = checkpoint.load(tmp_path / "theirs")
    assert replace(again.config, name=config.name) == config
    ours, theirs = model.state_dict(), again.state_dict()
    assert all(torch.equal(ours[name] * 1.5, theirs[name]) for name in ours)


@BOTH
def test_its_image_processor_reads_our_file(config: ModelConfig, tmp_path: Path) -> None:
    checkpoint.save(randomised(config), tmp_path / "saved")
    processor = AutoImageProcessor.from_pretrained(tmp_path / "saved")
    generator = np.random.default_rng(0)
    # A picture of a size at which rounding and truncating agree.
    picture = Image.fromarray(generator.integers(0, 256, (20, 40, 3), dtype=np.uint8))
    theirs = processor(picture, return_tensors="pt")
    square = square_image(picture, config.image_size, config.mean)[None]
    last = "high_res_pixel_values" if config.sam else "pixel_values"
    torch.testing.assert_close(inputs_of(config, square)[last], theirs[last], atol=1e-6, rtol=1e-5)


def test_the_ports_processor_is_no_reference_for_sizes(tmp_path: Path) -> None:
    checkpoint.save(randomised(HYBRID), tmp_path / "saved")
    processor = AutoImageProcessor.from_pretrained(tmp_path / "saved")
    picture = Image.new("RGB", (40, 27), (255, 0, 0))  # 27 / 40 * 96 = 64.8
    theirs = processor(picture, return_tensors="pt")["high_res_pixel_values"]
    ours = square_image(picture, 96, HYBRID.mean)
    red = int((ours[0, :, 0] == 255).sum())
    assert red == 64
    assert int((theirs[0, 0, :, 0] > 1).sum()) == 65
