"""What the whole model refuses, leaves out and never computes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from model import loss as losses
from model.config import PRESETS, ConfigError, preset
from model.cost import parameter_counts
from model.loss import training_losses
from model.official_config import official_config
from model.packing import IGNORED
from model.vlm import ImageMismatchError, Loss, VisionLanguageModel, initialise_weights
from tests.model.shapes import ALONE, HYBRID, pictures, randomised

torch.set_num_threads(1)
IMAGE, EACH = HYBRID.tokens.image, HYBRID.image_tokens


@pytest.fixture(scope="module")
def model() -> VisionLanguageModel:
    return randomised(HYBRID).requires_grad_(False)


def test_text_alone_never_runs_a_tower(model: VisionLanguageModel) -> None:
    def seen(*_: object) -> None:
        raise AssertionError("a tower was run")

    towers = (model.high, model.low, model.adaptor)
    hooks = [tower.register_forward_pre_hook(seen) for tower in towers if tower is not None]
    try:
        tokens = torch.tensor([[4, 5, 6]])
        without = model(tokens)
        assert torch.equal(without, model(tokens, pictures(HYBRID, 0)))
        with pytest.raises(AssertionError, match="a tower was run"):
            model(torch.tensor([[IMAGE] * EACH]), pictures(HYBRID, 1))
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize(
    ("rows", "images", "told"),
    [
        (
            [[4, *[IMAGE] * EACH], [4] * (EACH + 1)],
            2,
            f"row 0: {EACH} from position 1 on, 1 images",
        ),
        ([[4, *[IMAGE] * (EACH - 1)]], 1, f"0 images and {EACH - 1} tokens more"),
        ([[4, *[IMAGE] * EACH]], 0, "0 images take 0 placeholders"),
        ([[4, 5, 6]], 1, "none in any row"),
        # As many as one image takes, but torn apart.
        (
            [[4, *[IMAGE] * (EACH - 1)], [IMAGE, *[4] * (EACH - 1)]],
            1,
            f"row 0: {EACH - 1} from position 1 on.*row 1: 1 from position 0 on",
        ),
    ],
)
def test_a_mismatch_of_placeholders_and_images_says_where(
    model: VisionLanguageModel, rows: list[list[int]], images: int, told: str
) -> None:
    with pytest.raises(ImageMismatchError, match=told):
        model(torch.tensor(rows), pictures(HYBRID, images))


def test_images_of_another_size_are_refused(model: VisionLanguageModel) -> None:
    images = torch.zeros(1, 3, 64, 96, dtype=torch.uint8)
    with pytest.raises(ImageMismatchError, match=r"\[N, 3, 96, 96\].*\[1, 3, 64, 96\]"):
        model(torch.tensor([[IMAGE] * EACH]), images)


def test_images_go_where_their_placeholders_are(model: VisionLanguageModel) -> None:
    images = pictures(HYBRID, 2)
    one, other = model.encode(images)
    tokens = torch.tensor([[4, *[IMAGE] * EACH, 5, 5], [6, 7, *[IMAGE] * EACH, 8]])
    embedded = model.embed(tokens, images)
    assert torch.equal(embedded[0, 1 : EACH + 1], one)
    assert torch.equal(embedded[1, 2 : EACH + 2], other)
    assert torch.equal(embedded[1, :2], model.language.embed(tokens[1, :2]))
    assert not torch.allclose(one, other)


def test_an_image_changes_what_follows_it_and_nothing_before(model: VisionLanguageModel) -> None:
    images = pictures(HYBRID, 2)
    tokens = torch.tensor([[4, 5, *[IMAGE] * EACH, 6]])
    one, other = model(tokens, images[:1]), model(tokens, images[1:])
    assert torch.equal(one[0, :2], other[0, :2])
    assert not torch.allclose(one[0, -1], other[0, -1])


def test_logits_are_made_only_where_there_are_labels() -> None:
    model = randomised(ALONE).requires_grad_(False)
    tokens = torch.arange(4, 44)[None]
    work = {}
    for predicted in (3, 30):
        labels = torch.full_like(tokens, IGNORED)
        labels[0, -predicted:] = tokens[0, -predicted:]
        with FlopCounterMode(display=False) as counter:
            model(tokens, labels=labels)
        work[predicted] = counter.get_total_flops()
    language = ALONE.language
    assert work[30] - work[3] == 2 * 27 * language.width * language.vocab_size


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_loss_in_slices_is_the_loss(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(2, 20, 16, generator=generator).to(dtype)
    head = torch.randn(50, 16, generator=generator).to(dtype)
    wanted = torch.randint(0, 50, (2, 20), generator=generator)
    wanted[0, :7] = IGNORED
    found, expected = [], []
    for gradients, slice_ in ((found, 6), (expected, None)):
        h, w = hidden.clone().requires_grad_(), head.clone().requires_grad_()
        if slice_:
            monkeypatch.setattr(losses, "_SLICE", slice_)
            loss, count, each = training_losses(h, w, wanted)
            assert int(count) == 33
            assert not each.requires_grad
            assert ((each != 0) == (wanted != IGNORED)).all()
            assert float(each.sum()) == pytest.approx(float(loss.detach()), rel=1e-5)
        else:
            logits = h.float() @ w.float().T
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), wanted.flatten(), reduction="sum"
            )
        assert loss.dtype == torch.float32
        (loss / 33).backward()
        gradients += [loss.detach(), h.grad, w.grad]
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours.float(), theirs.float(), rtol=tolerance, atol=tolerance)


def test_each_loss_stands_at_its_own_token(model: VisionLanguageModel) -> None:
    tokens = torch.tensor([[4, 5, 6, 7, 8, 9], [9, 8, 7, 6, 5, 4]])
    documents = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, -1, -1]])
    labels = tokens.clone()
    labels[0, 1] = IGNORED
    each = model(tokens, documents=documents, labels=labels, each=True)
    total = model(tokens, documents=documents, labels=labels)
    assert (each != 0).tolist() == [
        [False, False, True, False, True, True],
        [False, True, True, True, False, False],
    ]
    assert torch.allclose(total.each, each, rtol=1e-5)
    assert not total.each.requires_grad
    assert float(each.sum()) == pytest.approx(float(total.sum.detach()), rel=1e-5)
    first = model(tokens[:1, :3], labels=labels[:1, :3])
    assert float(each[0, 2]) == pytest.approx(float(first.sum), rel=1e-5)


def test_nothing_to_predict_is_a_loss_of_zero_with_gradients() -> None:
    model = randomised(ALONE)
    tokens = torch.tensor([[4, 5, 6]])
    loss = model(tokens, labels=torch.full_like(tokens, IGNORED))
    assert isinstance(loss, Loss)
    assert (loss.sum.item(), loss.tokens.item(), loss.mean.item()) == (0.0, 0, 0.0)
    loss.sum.backward()
    assert model.language.norm.weight.grad is not None


def test_a_new_model_is_the_same_for_one_seed_and_has_every_parameter_filled() -> None:
    first, second, third = (VisionLanguageModel(HYBRID) for _ in range(3))
    for model, seed in ((first, 1), (second, 1), (third, 2)):
        for parameter in model.parameters():
            parameter.data.fill_(torch.nan)
        initialise_weights(model, seed)
    names = dict(first.named_parameters())
    assert all(bool(p.isfinite().all()) for p in names.values())
    assert all(torch.equal(names[name], p) for name, p in second.named_parameters())
    assert not torch.equal(first.language.head.weight, third.language.head.weight)
    assert first.high is not None
    assert first.high.alpha.item() == 0
    assert torch.equal(first.high.neck[0].weight, first.high.neck_first[0].weight)


def test_what_comes_out_of_a_new_layer_is_as_large_as_what_goes_in() -> None:
    model = VisionLanguageModel(preset("tiny"))
    initialise_weights(model)
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d)]
    assert len(layers) > 50
    for layer in layers:
        inputs = layer.weight[0].numel()
        assert float(layer.weight.detach().std()) * inputs**0.5 == pytest.approx(1, abs=0.05)


def test_tiny_is_tiny() -> None:
    assert sum(parameter_counts(preset("tiny")).values()) < 6_000_000
    with pytest.raises(ConfigError, match=", ".join(PRESETS)):
        preset("tiney")


def test_a_published_configuration_without_its_defaults_is_the_preset() -> None:
    """As the published 7B names things: a table's row by name, LLaMA's defaults left out."""
    high = {"model_name": "sam_b_downsample", "image_size": 1024}
    low = {"model_name": "siglip_large_patch16_384", "image_size": 384, "select_layer": -1}
    raw = {
        "vision_config": {
            "cls": "HybridVisionTower",
            "params": {"concat_type": "tuple", "high_res_cfg": high, "low_res_cfg": low},
        },
        "aligner_config": {
            "params": {
                "projector_type": "low_high_hybrid_split_mlp_gelu",
                "depth": 2,
                "input_dim": 1024,
                "n_embed": 4096,
            }
        },
        "language_config": {
            "vocab_size": 102400,
            "num_hidden_layers": 30,
            "max_position_embeddings": 16384,
        },
    }
    assert official_config(raw, "7b") == preset("7b")
    raw["vision_config"]["cls"] = "OtherTower"
    with pytest.raises(ConfigError, match="OtherTower"):
        official_config(raw)


@pytest.mark.parametrize(
    "raw",
    [
        [],
        {"vision_config": [], "aligner_config": {"params": {}}},
        {"vision_config": {"cls": [], "params": {}}, "aligner_config": {"params": {}}},
    ],
)
def test_an_official_configuration_of_other_forms_is_refused(raw: object) -> None:
    with pytest.raises(ConfigError):
        official_config(raw)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("language", "layers", 10**9),
        ("language", "width", -32),
        ("language", "vocab_size", "64"),
        ("siglip", "heads", 0),
        ("siglip", "image_size", 8),
        ("sam", "norm_eps", float("nan")),
        ("sam", "downsample_widths", (16, -32)),
        ("adaptor", "depth", 10**9),
        ("tokens", "image", -1),
    ],
)
def test_numbers_that_make_no_model_are_refused(part: str, field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{part}.{field}|TokenIds"):
        replace(HYBRID, **{part: replace(getattr(HYBRID, part), **{field: value})})
