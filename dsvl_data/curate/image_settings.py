"""What a recipe can ask of the images of its samples: the `images:` part, and near-duplicates.

In: YAML. Out: immutable thresholds. The defaults keep what this project is about: sparse pages,
charts, formulas, lines of text 32 pixels high, drawings in two colours. Filters for photographs
from the web ask for far more (OBELICS and MMC4 for 150 pixels a side and a ratio of 2 at most,
DataComp's basic filter for 200 and 3); a recipe can do that for its captions (`by_category`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dsvl_data.curate.image_hash import COLOUR, DETAIL, NEAR
from dsvl_data.pipeline import PathOption, Settings


class SimilarityRules(Settings):
    """How well images fit their text, by a CLIP or SigLIP model; see `image_text.py`."""

    model: Annotated[str, PathOption(or_name=True)] = Field(
        description="a CLIP or SigLIP checkpoint of transformers: a folder (./clip, /models/clip), "
        "or a hub name such as openai/clip-vit-base-patch32"
    )
    categories: tuple[str, ...] = Field(
        default=("caption",), description="of which samples; empty: of all"
    )
    min_similarity: float = Field(
        default=0.0,
        ge=-1,
        le=1,
        description="cosine of image and text, of the best of several images. It depends on the "
        "model: LAION-400M took 0.3 with CLIP ViT-B/32",
    )
    gpus: float = Field(
        default=0, ge=0, description="GPUs of the cluster that one worker takes; 0: the CPU"
    )


class ImageRules(Settings):
    """What an image must be; null: that rule is off. A sample without images passes."""

    several: Literal["all", "any"] = Field(
        default="all",
        description="a sample of several images is left out when all of them fail, or any",
    )
    min_side: int | None = Field(default=16, ge=1, description="the least width and height, pixels")
    max_ratio: float | None = Field(default=20, ge=1, description="longer side to shorter")
    min_ink: float | None = Field(
        default=0.001,
        ge=0,
        le=1,
        description="share of pixels that are not background; the emptiest sound pages have 0.005",
    )
    min_entropy: float | None = Field(
        default=0.02,
        ge=0,
        le=8,
        description="bits of the histogram of grey levels; the emptiest sound pages have 0.12, "
        "photographs 5 and more",
    )
    min_colours: int | None = Field(
        default=2, ge=1, description="colours, in 32 levels a channel; a drawing has two"
    )
    min_sharpness: float | None = Field(
        default=10,
        ge=0,
        description="variance of the Laplacian at 256 pixels; sound pages, charts and pictures "
        "have 60 and more, pages blurred until nobody can read them 2 to 50",
    )
    similarity: SimilarityRules | None = None


class NearImageRules(Settings):
    """When the images of two samples are nearly the same; see `near_image.py`."""

    by: Literal["pair", "image"] = Field(
        default="pair",
        description="pair: nearly the same images and the same text, so an image with another "
        "caption is no duplicate; image: whatever the text",
    )
    bits: int = Field(
        default=NEAR, ge=0, le=10, description="of the 64 of a perceptual hash, may differ"
    )
    detail: float = Field(
        default=DETAIL, ge=0, le=0.5, description="share of 1,024 finer bits that may differ"
    )
    colour: int = Field(
        default=COLOUR, ge=0, le=255, description="levels by which a region's colour may differ"
    )
    categories: tuple[str, ...] = Field(default=(), description="of which samples; empty: of all")
