"""What a recipe can ask of the form of a text: thresholds over the scores of `text_scores.py`.

In: the part `text: quality:` of a recipe's curation. Out: immutable thresholds, by language.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from dsvl_data.pipeline import PathOption, Settings

_Share: TypeAlias = Annotated[float | None, Field(ge=0, le=1)]
_Number: TypeAlias = Annotated[float | None, Field(ge=0)]


class FormRules(Settings):
    """Thresholds for texts in one language; null: that rule is off.

    The defaults are Gopher's and C4's, except for rules that only hold for web pages in English
    prose, which are off: what they would throw out of good books, poems and manuals is more than
    what they catch.
    """

    judged_words: int = Field(
        default=50,
        ge=0,
        description="a text with fewer words of prose (a caption, a poem, a program, a table) is "
        "only judged by `min_words` and `max_lorem_ipsum`",
    )
    min_words: _Number = Field(default=None, description="Gopher: 50")
    max_words: _Number = Field(default=100_000, description="Gopher")
    min_mean_word_length: _Number = Field(default=None, description="Gopher, for English: 3")
    max_mean_word_length: _Number = Field(default=None, description="Gopher, for English: 10")
    max_longest_word: _Number = Field(default=1000, description="C4")
    max_hashes_per_word: _Number = Field(default=0.1, description="Gopher")
    max_ellipses_per_word: _Number = Field(default=0.1, description="Gopher")
    max_bullet_lines: _Share = Field(default=0.9, description="Gopher")
    max_ellipsis_lines: _Share = Field(default=0.3, description="Gopher")
    min_alphabetic_words: _Share = Field(default=0.7, description="Gopher: 0.8")
    min_stop_words: _Number = Field(default=None, description="Gopher, for English: 2 of 8")
    max_digits: _Share = Field(default=0.3, description="ours")
    max_symbols: _Share = Field(default=0.15, description="ours")
    max_repeated_lines: _Share = Field(default=0.3, description="Gopher")
    max_repeated_line_characters: _Share = Field(default=0.2, description="Gopher")
    max_repeated_paragraphs: _Share = Field(default=0.3, description="Gopher")
    max_repeated_paragraph_characters: _Share = Field(default=0.2, description="Gopher")
    max_top_2gram: _Share = Field(default=0.2, description="Gopher")
    max_top_3gram: _Share = Field(default=0.18, description="Gopher")
    max_top_4gram: _Share = Field(default=0.16, description="Gopher")
    max_repeated_5grams: _Share = Field(default=0.15, description="Gopher")
    max_repeated_6grams: _Share = Field(default=0.14, description="Gopher")
    max_repeated_7grams: _Share = Field(default=0.13, description="Gopher")
    max_repeated_8grams: _Share = Field(default=0.12, description="Gopher")
    max_repeated_9grams: _Share = Field(default=0.11, description="Gopher")
    max_repeated_10grams: _Share = Field(default=0.1, description="Gopher")
    min_punctuated_lines: _Share = Field(default=None, description="FineWeb: 0.12")
    max_short_lines: _Share = Field(default=None, description="share of lines under 5 words")
    min_c4_sentences: _Number = Field(default=None, description="C4: 3")
    max_javascript_lines: _Share = Field(default=None, description="share of lines that C4 cuts")
    max_policy_lines: _Share = Field(default=0.5, description="share of lines that C4 cuts")
    max_curly_brackets: _Number = Field(default=None, description="C4: 0")
    max_lorem_ipsum: _Number = Field(default=0, description="C4")


class EnglishRules(FormRules):
    """Thresholds for English: with Gopher's rules on words."""

    min_mean_word_length: _Number = Field(default=3, description="Gopher")
    max_mean_word_length: _Number = Field(default=10, description="Gopher")
    min_stop_words: _Number = Field(default=2, description="Gopher: of the, be, to, of, and...")


class ChineseRules(FormRules):
    """Thresholds for Chinese: a word is two characters."""

    min_stop_words: _Number = Field(default=2, description="of some forty function characters")


#: What a sample's text is for its own sake. A page, a figure's code or an exam was chosen with its
#: image; their lists and set phrases, a hundred words of them, are no sign of a bad text.
TEXT_CATEGORIES = ("text", "interleaved")


class QualityRules(Settings):
    """The form of a text: Gopher's and C4's rules over its prose, by the sample's language."""

    categories: tuple[str, ...] = Field(
        default=TEXT_CATEGORIES, description="of which samples; empty: of all"
    )
    en: EnglishRules | None = EnglishRules()
    zh: ChineseRules | None = ChineseRules()
    others: FormRules | None = Field(default=FormRules(), description="any other language")
    by_language: dict[str, FormRules | None] = Field(
        default_factory=dict,
        description="languages (de, ja...) with rules of their own, instead of `others`",
    )


class GarbageRules(Settings):
    """Texts as a failed character recognition leaves them; see `ocr_garbage.py`."""

    max_share: float = Field(
        default=0.06, ge=0, le=1, description="of words (Chinese: characters) that are garbage"
    )
    judged_words: int = Field(
        default=20, ge=0, description="a text with fewer words of prose is not judged"
    )


class ModelRules(Settings):
    """What a model of one's own says of a text; see `quality_model.py`."""

    categories: tuple[str, ...] = Field(
        default=TEXT_CATEGORIES, description="of which samples; empty: of all"
    )
    classifier: Annotated[str | None, PathOption()] = Field(
        default=None,
        description="a fastText model of two labels, as `corpus train-quality` makes it",
    )
    good_label: str = Field(default="__label__good", description="the good one of its labels")
    min_quality: float = Field(
        default=0.5, ge=0, le=1, description="what the classifier must give for `good`"
    )
    kenlm: Annotated[str | None, PathOption()] = Field(
        default=None, description="a KenLM model (ARPA or binary); needs the package kenlm"
    )
    min_perplexity: float = Field(default=0, ge=0, description="the least, a word")
    max_perplexity: float | None = Field(
        default=None, gt=0, description="the most, a word; none: any. It depends on the model"
    )
    judged_words: int = Field(
        default=20, ge=0, description="a text with fewer words of prose is not judged"
    )
