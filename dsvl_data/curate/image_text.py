"""How well images fit their text, by a model of one's own: samples in, `image_text` out.

The score is the cosine of the two embeddings of a CLIP (Radford et al., 2021) or SigLIP (Zhai et
al., 2023) model, of the image of a sample that fits best; of a text longer than the model reads,
its beginning counts. Null for a sample without a text or an image. As a filter for captions:
Schuhmann et al., "LAION-400M" (2021), section 2.1.

Torch and transformers are imported where a recipe asks for the score. Images are prepared with
NumPy and Pillow (torchvision is not needed), in 32-bit floats on any device.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image as Pillow

from dsvl_data.curate.image_hash import reduced
from dsvl_data.curate.image_settings import SimilarityRules
from dsvl_data.curate.quality import Within
from dsvl_data.curate.rule import Bound, Criterion, Rule, Scorer
from dsvl_data.curate.settings import CategoryRules, Curation
from dsvl_data.outcome import DocumentError, Reason, UserError
from dsvl_data.sample import Sample

SIMILARITY = "image_text"

_BATCH = 32  # images or texts at once
_SIDE = 256  # pixels that an image keeps at least, or as many as the model sees
_LONGEST = 10_000  # characters of a text; no model reads as many
_PATTERNS = ("*.json", "*.txt", "*.model", "*.safetensors")


@dataclass(frozen=True, slots=True)
class SimilarityScorer:
    """The scorer: on a GPU where the worker has one, else on the CPU."""

    model: str
    gpus: float = 0
    name: ClassVar[str] = "image_text"
    columns: ClassVar[Mapping[str, pa.DataType]] = MappingProxyType({SIMILARITY: pa.float64()})

    @property
    def version(self) -> str:
        """See `Scorer`: the digest of the checkpoint's files, wherever they lie."""
        return f"1/{_digest(*_stamp(folder_of(self.model)))}"

    def score(self, samples: Sequence[Sample]) -> Mapping[str, Sequence[Any]]:
        """See `Scorer`. Images that do not decode count as not there."""
        texts = [sample.text[:_LONGEST].strip() for sample in samples]
        best: list[float | None] = [None] * len(samples)
        concerned = [row for row, sample in enumerate(samples) if texts[row] and sample.images]
        if not concerned:
            return {SIMILARITY: best}
        model = _load(*_stamp(folder_of(self.model)))
        pictures, owners = [], []
        for row in concerned:
            for image in samples[row].images:
                try:
                    pictures.append(reduced(image.data, max(_SIDE, model.side)).convert("RGB"))
                except DocumentError:
                    continue
                owners.append(row)
        embedded = dict(zip(concerned, model.of_texts([texts[r] for r in concerned]), strict=True))
        for row, picture in zip(owners, model.of_images(pictures), strict=True):
            cosine = float(picture @ embedded[row])
            held = best[row]
            best[row] = cosine if held is None else max(held, cosine)
        return {SIMILARITY: best}


def folder_of(model: str) -> Path:
    """Return the folder of a checkpoint, fetched from the hub where it is a name of it.

    Raises `UserError` when there is none, or it is of another kind of model.
    """
    folder = Path(model).expanduser()
    if not (folder.is_absolute() or model.startswith((".", "~")) or folder.exists()):
        folder = _fetch(model)
    try:
        kind = json.loads((folder / "config.json").read_bytes())["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"no checkpoint at {folder}: its config.json cannot be read ({error}); give a folder "
            "that transformers' save_pretrained wrote, or a hub name"
        ) from error
    if kind not in ("clip", "siglip"):
        raise UserError(f"{model} is a model of type {kind!r}: expected clip or siglip")
    return folder


@lru_cache(maxsize=8)
def _fetch(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(_PATTERNS)))
    except Exception as error:
        # Whatever HTTP library the hub's client happens to use raises here.
        raise UserError(
            f"the checkpoint {name!r} is not in the hub's cache and cannot be fetched: {error}; "
            "give a local folder instead"
        ) from error


def _stamp(folder: Path) -> tuple[str, tuple[tuple[str, int, int], ...]]:
    files = sorted({path for pattern in _PATTERNS for path in folder.glob(pattern)})
    stats = ((path, path.stat()) for path in files)
    return str(folder), tuple((path.name, at.st_size, at.st_mtime_ns) for path, at in stats)


@lru_cache(maxsize=8)
def _digest(folder: str, files: tuple[tuple[str, int, int], ...]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for name, size, _ in files:
        found.update(f"{name}\0{size}\0".encode())
        with (Path(folder) / name).open("rb") as source:
            while block := source.read(1 << 22):
                found.update(block)
    return found.hexdigest()


class _Embedder:
    """A checkpoint's two towers; what they return has length 1."""

    def __init__(self, folder: str) -> None:
        import torch
        from transformers import AutoTokenizer, CLIPModel, SiglipModel, logging
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
        from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

        # It would write over the command's own.
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        kind = json.loads((Path(folder) / "config.json").read_bytes())["model_type"]
        classes: tuple[Any, Any] = {
            "clip": (CLIPModel, CLIPImageProcessorPil),
            "siglip": (SiglipModel, SiglipImageProcessorPil),
        }[kind]
        self._torch = torch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            model = classes[0].from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
            self._images = classes[1].from_pretrained(folder)
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{folder} is no whole {kind} checkpoint: {error}") from error
        self._model = model.eval().to(self._device)
        self._longest = int(model.config.text_config.max_position_embeddings)
        # SigLIP was trained on texts filled up to one length, and sees the filling.
        self._padding: Any = "max_length" if kind == "siglip" else True
        self.side = int(model.config.vision_config.image_size)

    def of_texts(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Embed texts."""
        return [row for some in _batches(texts) for row in self._of(self._tokens(some), "text")]

    def of_images(self, pictures: Sequence[Pillow.Image]) -> list[NDArray[np.float32]]:
        """Embed RGB pictures."""
        prepared = (
            {"pixel_values": self._images(images=list(some), return_tensors="pt")["pixel_values"]}
            for some in _batches(pictures)
        )
        return [row for inputs in prepared for row in self._of(inputs, "image")]

    def _tokens(self, texts: Sequence[str]) -> dict[str, Any]:
        found = self._tokenizer(
            list(texts),
            padding=self._padding,
            truncation=True,
            max_length=self._longest,
            return_tensors="pt",
        )
        names = ["input_ids"] if self._padding == "max_length" else ["input_ids", "attention_mask"]
        return {name: found[name] for name in names}

    def _of(self, inputs: Mapping[str, Any], what: str) -> NDArray[np.float32]:
        embed = getattr(self._model, f"get_{what}_features")
        with self._torch.inference_mode():
            found = embed(**{name: each.to(self._device) for name, each in inputs.items()})
            # Of older releases the tensor itself.
            pooled = getattr(found, "pooler_output", found)
            unit = self._torch.nn.functional.normalize(pooled.float(), dim=-1)
        rows: NDArray[np.float32] = unit.cpu().numpy()
        return rows


@lru_cache(maxsize=1)
def _load(folder: str, files: tuple[tuple[str, int, int], ...]) -> _Embedder:
    """Load a checkpoint once in a process, unless its files change."""
    return _Embedder(folder)


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _similarities(settings: Curation) -> list[SimilarityRules]:
    found = (rules.images.similarity for rules in settings.every_rules() if rules.images)
    return [rules for rules in found if rules]


def _scorer(settings: Curation) -> Scorer | None:
    asked = _similarities(settings)
    models = sorted({rules.model for rules in asked})
    if len(models) > 1:
        raise UserError(
            f"curation names several image-text models ({', '.join(models)}): one is used for all "
            "categories, which may differ in thresholds"
        )
    return SimilarityScorer(models[0], max(rules.gpus for rules in asked)) if models else None


def _rules(rules: CategoryRules) -> Iterable[Rule]:
    asked = rules.images and rules.images.similarity
    if asked:
        bound = Bound(SIMILARITY, Reason.LOW_SIMILARITY, minimum=asked.min_similarity)
        yield Within(bound, asked.categories)


CRITERION = Criterion(_scorer, _rules)
