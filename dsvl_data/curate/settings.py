"""What a recipe can say about curation: its `curation:` section, one class a part.

In: YAML. Out: immutable rules with every default filled in. A section that is not there (null)
is not done; one that is there with nothing in it (`{}`) is done by its defaults. Nothing here
is part of a measure: thresholds only decide, see `criteria.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from dsvl_data.curate.benchmarks import ContaminationRules
from dsvl_data.curate.image_settings import ImageRules, NearImageRules
from dsvl_data.curate.mix import MixRules
from dsvl_data.curate.pii import PiiRules
from dsvl_data.curate.quality_settings import GarbageRules, ModelRules, QualityRules
from dsvl_data.pipeline import PathOption, Settings

Category: TypeAlias = Literal[
    "interleaved",
    "caption",
    "table_chart",
    "web_code",
    "scene_text",
    "document_ocr",
    "text",
    "sft_inhouse",
    "sft_general",
    "sft_table_chart",
    "sft_web_code",
    "sft_text",
]
Preference: TypeAlias = Literal["longest", "best_score", "first"]
ExactKind: TypeAlias = Literal["pair", "text", "image"]


class LanguageRules(Settings):
    """Which languages are kept, and how sure the model must be."""

    keep: tuple[str, ...] = Field(
        default=(), description="codes of the languages to keep (en, zh, ...); empty: all"
    )
    min_confidence: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="of the language model; CCNet's. FineWeb's, for English, is 0.65",
    )
    min_confidence_of: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        default={"en": 0.3, "zh": 0.35, "ja": 0.35, "ko": 0.35},
        description="of some languages instead: an English manual full of commands, or a program, "
        "gives 0.34 to 0.5, random letters up to 0.25; a Chinese manual 0.4",
    )
    min_words: int = Field(
        default=50,
        ge=1,
        description="a text with fewer words of prose (a caption, code, a formula, a table) is not "
        "judged; two Chinese or Japanese characters are a word",
    )


class LengthRules(Settings):
    """How long the text of a sample may be, in characters that are no white space."""

    min_characters: int = Field(default=0, ge=0, description="the least")
    max_characters: int | None = Field(default=None, gt=0, description="the most; none: any")


class TextRules(Settings):
    """What the text of a sample must be."""

    language: LanguageRules | None = None
    length: LengthRules | None = None
    quality: QualityRules | None = None
    ocr_garbage: GarbageRules | None = None
    model: ModelRules | None = None


class RightsRules(Settings):
    """Which licences are kept: SPDX ids, in any case, `*` for any characters.

    Of `A OR B` one must be kept, of `A AND B` both. What is denied is never kept, not even when
    `allow` names it too.
    """

    allow: tuple[str, ...] = Field(default=(), description="licences to keep; empty: all")
    deny: tuple[str, ...] = Field(default=(), description="licences to leave out")
    unknown: Literal["keep", "drop"] = Field(
        default="drop", description="samples of which nobody states a licence"
    )


class ExactRules(Settings):
    """When two samples are the same."""

    by: tuple[ExactKind, ...] = Field(
        default=("pair",),
        min_length=1,
        description="pair: same text and same images; text: same text, whatever the images; "
        "image: same images, whatever the text",
    )


class NearTextRules(Settings):
    """When two texts are nearly the same: by MinHash and banding, see `minhash.py`."""

    threshold: float = Field(
        default=0.8, gt=0.2, le=1, description="Jaccard similarity of their shingles, as estimated"
    )
    categories: tuple[Category, ...] = Field(
        default=("interleaved", "web_code", "document_ocr", "text", "sft_text"),
        description="of which samples, whatever their images; empty: of all. Of captions, charts "
        "and questions one word may tell which image it is, so they are not among them",
    )
    permutations: int = Field(default=128, ge=2, description="values of a signature")
    ngram: int = Field(default=5, ge=1, description="words (or Chinese characters) of a shingle")
    seed: int = Field(default=1, description="of the permutations")


class DuplicateRules(Settings):
    """What counts as a duplicate, and which of several is kept."""

    exact: ExactRules | None = ExactRules()
    near_text: NearTextRules | None = None
    near_image: NearImageRules | None = None
    prefer: tuple[Preference, ...] = Field(
        default=("longest", "best_score", "first"),
        description="which of several is kept: by the first of these in which they differ; "
        "the first one, by pipeline and position, where they differ in none",
    )
    score: str | None = Field(
        default=None, description="score by which `best_score` goes; the highest is best"
    )


class ChosenRules(Settings):
    """Which conversations are used, and how often: those of a mix; see `chosen.py`."""

    table: Annotated[str | None, PathOption()] = Field(
        default=None,
        description="Parquet with key and times; none: what `dsvl-data taxonomy balance` wrote "
        "into the output folder",
    )
    categories: tuple[Category, ...] = Field(
        default=("sft_inhouse", "sft_general", "sft_table_chart", "sft_web_code"),
        description="of which samples only those are used that the mix names. Instructions "
        "without an image (sft_text) are of no use case unless `taxonomy classify --text-only` "
        "gave them one, and stay as they are unless named here",
    )


class CategoryRules(Settings):
    """The rules by which samples of one category are judged."""

    text: TextRules | None = None
    images: ImageRules | None = None
    rights: RightsRules | None = None
    contamination: ContaminationRules | None = None


class Curation(Settings):
    """The recipe's `curation:` section."""

    text: TextRules | None = None
    images: ImageRules | None = None
    pii: PiiRules | None = None
    duplicates: DuplicateRules | None = None
    rights: RightsRules | None = None
    contamination: ContaminationRules | None = None
    chosen: ChosenRules | None = None
    mix: MixRules | None = None
    by_category: dict[Category, CategoryRules] = Field(
        default_factory=dict,
        description="what is otherwise for some categories: only what differs need be said, and "
        "null turns a section off there",
    )

    def rules_for(self, category: str) -> CategoryRules:
        """Return the rules for the samples of one category."""
        for name, rules in self.by_category.items():
            if name == category:
                return rules
        return CategoryRules(**{name: getattr(self, name) for name in CategoryRules.model_fields})

    def every_rules(self) -> list[CategoryRules]:
        """Return the rules of every category that has its own, and those of the rest."""
        return [*self.by_category.values(), self.rules_for("")]

    def judging(self) -> dict[str, Any]:
        """Return, as JSON values, what can change which samples are kept, but for the mix."""
        return self.model_dump(mode="json", exclude={"pii", "mix", "chosen"})

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        """Give each category what the general rules say and it does not.

        Here, so that the recipe with every default (`--show-recipe`) shows what holds where.
        """
        if not isinstance(values, Mapping) or not isinstance(values.get("by_category"), Mapping):
            return values
        general = {name: values[name] for name in CategoryRules.model_fields if name in values}
        filled = {
            category: _merged(general, given) for category, given in values["by_category"].items()
        }
        return {**values, "by_category": filled}


def _merged(general: Any, given: Any) -> Any:
    """Lay one tree of settings over another; null is a value."""
    general = general.model_dump() if isinstance(general, Settings) else general
    given = given.model_dump() if isinstance(given, Settings) else given
    if not isinstance(general, Mapping) or not isinstance(given, Mapping):
        return given
    merged = {**general, **given}
    return {
        name: _merged(general[name], value) if name in general else value
        for name, value in merged.items()
    }
