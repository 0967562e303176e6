"""In what proportions a corpus is trained on: wanted shares and what there is in, weights out.

A recipe says what share of a training each category is to be, in tokens (576 an image and those
of its text), samples or bytes. What a corpus has of a category seldom is that share of it. So a
category is drawn from more than once (its epochs), or in part; beyond a limit of epochs it runs
short, and what it lacks is made up by the others, in proportion to their shares. Four epochs are
nearly as good as new data (Muennighoff et al. 2023, "Scaling Data-Constrained Language Models",
section 6), hence the default limit.

In `manifest.json`, under `mix`, for those who load the shards:

    unit                       what is shared out: `tokens`, `samples` or `bytes`
    categories.NAME.weight     this category's share of all that is drawn, in that unit
    categories.NAME.sample_weight   the same as a share of samples drawn: the probability with
                               which the next sample is of this category, if drawn at random
    categories.NAME.epochs     how often a training of `training_tokens` goes through it

Weights are 0 to 1, sum to 1, and are above 0 only where there are samples. A loader draws each
category without repetition until it is through, then again; it needs no other up-sampling.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator

from dsvl_data.pipeline import Settings
from dsvl_data.sample import CATEGORIES, SFT_CATEGORIES

Unit: TypeAlias = Literal["tokens", "samples", "bytes"]
_Share: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Epochs: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_TABLE_1 = {
    "interleaved": 13.1,
    "caption": 11.1,
    "table_chart": 2.1,
    "web_code": 0.4,
    "scene_text": 1.2,
    "document_ocr": 2.1,
    "text": 70.0,
}
_TABLE_2 = {
    "sft_inhouse": 10.5,
    "sft_general": 35.5,
    "sft_table_chart": 4.1,
    "sft_web_code": 2.0,
    "sft_text": 47.9,
}
#: Where the mix also stands, below the output folder.
REPORT = "curation/mix.json"

_DIGITS = 9


class MixRules(Settings):
    """The recipe's `curation: mix:` section. It decides nothing about single samples."""

    unit: Unit = Field(
        default="tokens", description="what shares are of: training tokens, samples or bytes"
    )
    training_tokens: int | None = Field(
        default=None, gt=0, description="tokens that are to be trained on; none: no limit is met"
    )
    shares: dict[str, _Share] = Field(
        default=_TABLE_1,
        description="share of each category, in any scale: they are divided by their sum; the "
        "default is the paper's table 1",
    )
    sft_share: float = Field(
        default=0.01,
        ge=0,
        lt=1,
        description="share of conversations among it; the paper's stage 2 has `a minimal share` "
        "and gives no number",
    )
    sft_shares: dict[str, _Share] = Field(
        default=_TABLE_2, description="how they are parted; the default is the paper's table 2"
    )
    max_epochs: float = Field(
        default=4.0, gt=0, allow_inf_nan=False, description="how often a sample is drawn at most"
    )
    max_epochs_of: dict[str, _Epochs] = Field(
        default_factory=dict, description="the same for some categories"
    )

    @field_validator("shares", "sft_shares", "max_epochs_of")
    @classmethod
    def _known(cls, given: dict[str, float]) -> dict[str, float]:
        for name in given:
            if name not in CATEGORIES:
                raise ValueError(
                    f"there is no category {name!r}; the categories are {', '.join(CATEGORIES)}"
                )
        return given

    @field_validator("shares", "sft_shares")
    @classmethod
    def _positive(cls, given: dict[str, float]) -> dict[str, float]:
        if not sum(given.values()) > 0:
            raise ValueError("at least one share must be above 0")
        return given

    @field_validator("sft_shares")
    @classmethod
    def _conversations(cls, given: dict[str, float]) -> dict[str, float]:
        for name in given:
            if name not in SFT_CATEGORIES:
                raise ValueError(f"{name!r} is no category of conversations")
        return given

    def wanted(self) -> dict[str, float]:
        """Return the share of each category, summing to 1; one in a billion is none."""
        found = dict.fromkeys(CATEGORIES, 0.0)
        for shares, part in ((self.shares, 1 - self.sft_share), (self.sft_shares, self.sft_share)):
            total = sum(shares.values())
            for name, share in shares.items():
                found[name] += part * share / total
        return {name: share for name, share in found.items() if round(share, _DIGITS)}


#: What stands above the columns of `rows`.
HEAD = ("category", "samples", "tokens", "wanted", "weight", "epochs", "short of")
_SHORT = {"no samples": "samples: there are none", "epochs": "samples: at the limit of epochs"}


@dataclass(frozen=True, slots=True)
class Amount:
    """What there is of a category; tokens are those of text and images together."""

    samples: int
    tokens: int
    bytes: int


class CategoryMix(Settings):
    """One category in a mix; the first lines of the module say what is for loaders.

    `wanted` is the share that the recipe asks for; `epochs` is null where no `training_tokens`
    are given. `short`: `no samples`, or `epochs`, where the limit of epochs is met.
    """

    wanted: float
    weight: float
    sample_weight: float
    epochs: float | None
    max_epochs: float
    samples: int
    tokens: int
    bytes: int
    short: Literal["no samples", "epochs"] | None


class Mix(Settings):
    """A corpus in its proportions.

    `drawn_tokens` is what can be drawn within the limits of epochs, less than `training_tokens`
    where all categories run short. With the wanted shares unchanged, `tokens_at_one_epoch` is the
    longest training that repeats nothing, `tokens_at_max_epochs` the longest within the limits.
    """

    unit: Unit
    training_tokens: int | None
    drawn_tokens: int | None
    tokens_at_one_epoch: int
    tokens_at_max_epochs: int
    categories: dict[str, CategoryMix]

    @property
    def weights(self) -> dict[str, float]:
        """The weights above 0, by category."""
        return {name: each.weight for name, each in self.categories.items() if each.weight}


def make(rules: MixRules, amounts: Mapping[str, Amount]) -> Mix:
    """Work out the mix of a corpus."""
    wanted = rules.wanted()
    names = [name for name in CATEGORIES if wanted.get(name) or _is_there(amounts.get(name))]
    held = {name: amounts.get(name, Amount(0, 0, 0)) for name in names}
    usable = {
        name: (wanted[name], float(getattr(held[name], rules.unit)))
        for name in names
        if wanted.get(name) and _is_there(held[name])
    }
    most = {name: rules.max_epochs_of.get(name, rules.max_epochs) for name in names}
    limits = {name: most[name] * there for name, (_, there) in usable.items()}
    tokens_a_unit = {name: held[name].tokens / there for name, (_, there) in usable.items()}
    shares = {name: share for name, (share, _) in usable.items()}
    if rules.training_tokens is None:
        drawn = shares
    else:
        drawn = _fill(shares, limits, tokens_a_unit, rules.training_tokens)
    total = sum(drawn.values())
    in_samples = {n: drawn[n] * held[n].samples / there for n, (_, there) in usable.items()}
    all_samples = sum(in_samples.values())
    categories = {}
    for name in names:
        short: Literal["no samples", "epochs"] | None = None
        epochs = None if rules.training_tokens is None else 0.0
        if name in usable and epochs is not None:
            epochs = drawn[name] / usable[name][1]
            short = "epochs" if drawn[name] >= limits[name] else None
        elif wanted.get(name) and name not in usable:
            short = "no samples"
        categories[name] = CategoryMix(
            wanted=round(wanted.get(name, 0.0), _DIGITS),
            weight=round(drawn[name] / total, _DIGITS) if name in usable else 0.0,
            sample_weight=round(in_samples[name] / all_samples, _DIGITS) if name in usable else 0.0,
            epochs=None if epochs is None else round(epochs, _DIGITS),
            max_epochs=most[name],
            samples=held[name].samples,
            tokens=held[name].tokens,
            bytes=held[name].bytes,
            short=short,
        )
    return Mix(
        unit=rules.unit,
        training_tokens=rules.training_tokens,
        drawn_tokens=None
        if rules.training_tokens is None
        else round(sum(drawn[name] * tokens_a_unit[name] for name in usable)),
        tokens_at_one_epoch=_longest({n: u[1] for n, u in usable.items()}, shares, tokens_a_unit),
        tokens_at_max_epochs=_longest(limits, shares, tokens_a_unit),
        categories=categories,
    )


def encode(mix: Mix) -> bytes:
    """Return the bytes of `curation/mix.json`."""
    return json.dumps(mix.model_dump(mode="json"), indent=1).encode() + b"\n"


def rows(mix: Mix) -> list[tuple[str, ...]]:
    """Return the mix as lines of a table, for `HEAD`."""
    return [
        (
            name,
            f"{each.samples:,}",
            f"{each.tokens:,}",
            f"{each.wanted:.2%}",
            f"{each.weight:.2%}",
            "" if each.epochs is None else f"{each.epochs:.3g}",
            _SHORT[each.short] if each.short else "" if each.wanted else "not asked for",
        )
        for name, each in mix.categories.items()
    ]


def sentences(mix: Mix) -> str:
    """Say what a mix comes to."""
    said = (
        f"Shares are of {mix.unit}. In the wanted shares the corpus lasts for "
        f"{mix.tokens_at_one_epoch:,} tokens without repeating a sample, and for "
        f"{mix.tokens_at_max_epochs:,} within the limits of epochs."
    )
    if mix.training_tokens is None or mix.drawn_tokens is None:
        return said
    if mix.drawn_tokens < mix.training_tokens:
        return (
            f"{said} A training of {mix.training_tokens:,} tokens is more than it has within the "
            f"limits: {mix.drawn_tokens:,} are drawn, all categories to their limit."
        )
    return f"{said} Weights and epochs are for a training of {mix.training_tokens:,} tokens."


def _fill(
    shares: Mapping[str, float],
    limits: Mapping[str, float],
    tokens_a_unit: Mapping[str, float],
    tokens: float,
) -> dict[str, float]:
    """Draw so many tokens in these shares, of none beyond its limit: the others make up for it."""
    drawn: dict[str, float] = {}
    open_ = set(shares)
    while open_:
        left = tokens - sum(units * tokens_a_unit[name] for name, units in drawn.items())
        level = left / sum(shares[name] * tokens_a_unit[name] for name in open_)
        full = {name for name in open_ if level * shares[name] >= limits[name]}
        if not full:
            return drawn | {name: level * shares[name] for name in open_}
        drawn |= {name: limits[name] for name in full}
        open_ -= full
    return drawn


def _longest(
    limits: Mapping[str, float], shares: Mapping[str, float], tokens_a_unit: Mapping[str, float]
) -> int:
    """Return the tokens that can be drawn in these shares before one meets its limit."""
    if not shares:
        return 0
    level = min(limits[name] / share for name, share in shares.items())
    return int(sum(level * share * tokens_a_unit[name] for name, share in shares.items()))


def _is_there(amount: Amount | None) -> bool:
    return amount is not None and min(amount.samples, amount.tokens, amount.bytes) > 0
