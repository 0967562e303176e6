"""What is said to be cut off is what a row has no room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from train.cuts import Cuts, count_cuts, describe_cuts
from train.pool import PlanSettings, Sizes

_IMAGE = 10

_SIZES = {
    "document_ocr": Sizes(np.array([40, 100, 130, 90]), np.array([1, 2, 2, 8])),
    "text": Sizes(np.array([50, 250]), np.array([0, 0])),
}


class _Corpus:
    """One shard of pages, one of texts; by sample its tokens and images."""

    categories = ("document_ocr", "text")
    digest = "made up"

    def counts(self, category: str) -> Sequence[int]:
        return [len(_SIZES[category].tokens)]

    def has_images(self, category: str) -> bool:
        return category != "text"

    def sizes(self, category: str, shard: int) -> Sizes:
        return _SIZES[category]


_PACKED = PlanSettings(rows=4, tokens=100, shares={"document_ocr": 1.0, "text": 1.0}, images=6)


def test_what_has_images_is_cut_and_text_is_carried_on() -> None:
    cuts = count_cuts(_Corpus(), _PACKED, _IMAGE)

    # The third is 30 tokens too long; the last has two images too many.
    assert cuts["document_ocr"] == Cuts(4, 360, 13, 2, 30 + 2 * _IMAGE, 2)
    assert cuts["text"] == Cuts(2, 300, 0, 0, 0, 0)
    assert describe_cuts(cuts) == (
        "cut off where a row ends, in every epoch: document_ocr 2 of 4 samples (13.9% of tokens, "
        "2 images)"
    )


def test_padded_rows_cut_texts_too() -> None:
    cuts = count_cuts(_Corpus(), replace(_PACKED, packing=False), _IMAGE)

    assert cuts["text"] == Cuts(2, 300, 0, 1, 150, 0)


def test_a_row_that_ends_among_images_does_not_show_the_last() -> None:
    cuts = count_cuts(_Corpus(), replace(_PACKED, tokens=75, images=0), _IMAGE)

    assert cuts["document_ocr"].cut_images == 1
    assert cuts["document_ocr"].cut_tokens == 25 + 55 + 15


def test_it_is_said_that_nothing_is_cut() -> None:
    cuts = count_cuts(_Corpus(), replace(_PACKED, tokens=250, images=0), _IMAGE)

    assert describe_cuts(cuts) == "no sample is longer than what a row has room for"


def test_what_is_not_drawn_is_not_counted() -> None:
    assert list(count_cuts(_Corpus(), replace(_PACKED, shares={"text": 1, "caption": 0}), 10)) == [
        "text"
    ]
