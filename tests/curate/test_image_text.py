"""Image-text scores by a checkpoint: tiny random models, made here, of both kinds."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from dsvl_data.curate.explain import explain
from dsvl_data.curate.image_text import SIMILARITY, SimilarityScorer
from dsvl_data.curate.run import curate
from dsvl_data.curate.settings import Curation
from dsvl_data.outcome import UserError
from dsvl_data.sample import Image, Sample, Text
from tests.curate.conftest import key, sample, write
from tests.curate.pictures import encode, image, scene
from tests.curate.test_run import fates

WORDS = tuple("abcdefghijklmno")


@pytest.fixture(scope="module", params=["clip", "siglip"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(request.param, tmp_path_factory.mktemp(request.param))


def save(kind: str, folder: Path, seed: int = 0) -> Path:
    """Write a random checkpoint of a kind."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: n for n, word in enumerate(["<pad>", "<unk>", "<s>", "</s>", *WORDS])}
    tokens = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    special = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "</s>", "bos_token": "<s>"}
    PreTrainedTokenizerFast(tokenizer_object=tokens, **special).save_pretrained(folder)
    torch.manual_seed(seed)
    tower = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }  # fmt: skip
    text = {
        **tower, "vocab_size": len(vocabulary), "max_position_embeddings": 12,
        "eos_token_id": 3, "bos_token_id": 2, "pad_token_id": 0,
    }  # fmt: skip
    vision = {**tower, "image_size": 32, "patch_size": 8}
    if kind == "clip":
        config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
        CLIPModel(config).save_pretrained(folder)
        size = {"shortest_edge": 32}
        CLIPImageProcessorPil(size=size, crop_size=32).save_pretrained(folder)
    else:
        text["projection_size"] = 16
        SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
        SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def shown(name: str, text: str, *images: Image) -> Sample:
    segments = (*images, *([Text(text)] if text else []))
    return replace(sample(name, category="caption"), segments=segments)


def test_the_score_is_the_models_cosine(checkpoint: Path) -> None:
    """Against the model's own logits for one image and one text."""
    picture, text = scene(1, 64, 64), "a f d c b"
    scorer = SimilarityScorer(str(checkpoint))
    (score,) = scorer.score([shown("a", text, image(picture))])[SIMILARITY]
    is_clip = "clip" in checkpoint.name and "siglip" not in checkpoint.name
    model = (CLIPModel if is_clip else SiglipModel).from_pretrained(checkpoint).eval()
    processor = CLIPImageProcessorPil if is_clip else SiglipImageProcessorPil
    pixels = processor.from_pretrained(checkpoint)(images=[picture], return_tensors="pt")
    ids = [2, *(4 + WORDS.index(word) for word in text.split()), 3]
    if not is_clip:
        ids += [0] * (12 - len(ids))
    with torch.inference_mode():
        found = model(input_ids=torch.tensor([ids]), pixel_values=pixels["pixel_values"])
        cosine = float(found.text_embeds[0] @ found.image_embeds[0])
    assert score == pytest.approx(cosine, abs=1e-5)


def test_batches_change_nothing_and_the_best_of_several_images_counts(checkpoint: Path) -> None:
    scorer = SimilarityScorer(str(checkpoint))
    random = np.random.default_rng(0)
    samples = [
        shown(
            str(n), " ".join(random.choice(WORDS, random.integers(1, 30))), image(scene(n, 90, 60))
        )
        for n in range(40)
    ]
    together = scorer.score(samples)[SIMILARITY]
    alone = [scorer.score([each])[SIMILARITY][0] for each in samples]
    assert together == pytest.approx(alone, abs=1e-5)
    both = replace(samples[0], segments=(*samples[0].segments, *samples[1].images))
    other = replace(samples[0], segments=(Text(samples[0].text), *samples[1].images))
    best = max(alone[0], scorer.score([other])[SIMILARITY][0])
    assert scorer.score([both])[SIMILARITY] == pytest.approx([best], abs=1e-5)


def test_without_text_or_image_there_is_no_score(checkpoint: Path) -> None:
    samples = [
        shown("no text", "", image(scene(1))),
        shown("no image", "a b"),
        shown("broken", "a b", Image(encode(scene(1))[:90], "png", 480, 360)),
        shown("whole", "a b", image(scene(1).convert("RGBA"))),
    ]
    scores = SimilarityScorer(str(checkpoint)).score(samples)[SIMILARITY]
    assert [score is None for score in scores] == [True, True, True, False]


def test_the_version_is_the_checkpoints(tmp_path: Path) -> None:
    one, same, other = (
        SimilarityScorer(str(save("clip", tmp_path / name, seed))).version
        for name, seed in (("one", 0), ("same", 0), ("other", 1))
    )
    assert one == same != other


def test_a_recipe_judges_by_it(checkpoint: Path, tmp_path: Path) -> None:
    captions = [shown(f"c{n}", "a b c", image(scene(n, 90, 90))) for n in range(6)]
    text = replace(captions[0], key=key("text"), category="text")
    out = write(tmp_path, made_0=[*captions, text])
    scores = SimilarityScorer(str(checkpoint)).score(captions)[SIMILARITY]
    middle = sorted(scores)[3]
    rules = {"images": {"similarity": {"model": str(checkpoint), "min_similarity": middle}}}
    curate(str(out), Curation.model_validate(rules), executor="local")
    expected = {
        f"c{n}": "low_similarity" if score < middle - 1e-6 else None
        for n, score in enumerate(scores)
        if abs(score - middle) > 1e-6
    }
    found = fates(out)
    assert {name: found[name] for name in expected} == expected
    assert found["text"] is None
    shown_to_user = explain(str(out), "made/part-00000.parquet", {key("c0")})[key("c0")]
    assert shown_to_user["measures"][SIMILARITY] == pytest.approx(scores[0], abs=1e-5)


@pytest.mark.parametrize("content", [None, "{}", '{"model_type": "bert"}', "no json"])
def test_what_is_no_checkpoint_is_told(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config\.json|type 'bert'"):
        _ = SimilarityScorer(str(tmp_path)).version


def test_two_models_in_a_recipe_are_refused() -> None:
    from dsvl_data.curate.criteria import scorers

    def images(model: str) -> dict[str, object]:
        return {"similarity": {"model": model}}

    rules = {"images": images("/a"), "by_category": {"caption": {"images": images("/b")}}}
    with pytest.raises(UserError, match="several image-text models"):
        scorers(Curation.model_validate(rules))


def test_curation_imports_no_torch_where_no_model_is_asked_for() -> None:
    code = "import sys, dsvl_data.curate.run; print({'torch', 'transformers'} & {*sys.modules})"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert found.stdout.strip() == "set()"
