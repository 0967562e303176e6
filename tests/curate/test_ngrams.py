"""Runs of words: the same for the same words whatever is around them, and found again by search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvl_data.curate import ngrams

WORDS = st.lists(st.text("abcdeäß1清晨", min_size=1, max_size=4), min_size=1, max_size=40)


def words(text: str) -> list[str]:
    tokens = ngrams.read_tokens(text)
    return [text[b:e] for b, e in zip(tokens.begins, tokens.ends, strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cat's **hat**, x_1!", ["The", "cat", "s", "hat", "x", "1"]),
        ("在 GPT-3 里，有", ["在", "GPT", "3", "里", "有"]),
        ("", []),
        ("?! …\n\t", []),
        ("soft\u00adly e\u0301te\u0301", ["soft\u00adly", "e\u0301te\u0301"]),
        ("a\ud800b", ["a\ud800b"]),
    ],
)
def test_tokens_are_words_and_characters_that_stand_alone(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Straße, ÉTÉ", "**strasse** ete"),
        ("ＦＵＬＬ　１２", "full 12"),
        ("don’t", "don't"),
        ("See <image 1> here [image] <image> <|image_2|>", "see here"),
        ("$x^2$ is \\(y\\)", "x 2 is y"),
        ("ｶﾞ", "ガ"),
    ],
)
def test_markup_case_width_and_accents_make_no_difference(one: str, other: str) -> None:
    first, second = (ngrams.read_tokens(text).hashes.tolist() for text in (one, other))
    assert first == second


def test_words_of_two_letters_and_lone_characters_are_telling() -> None:
    tokens = ngrams.read_tokens("an x 12 清 e2e 7")
    assert tokens.telling.tolist() == [True, False, False, True, True, False]
    assert tokens.alone == 1
    again = ngrams.read_tokens("one two one two one 3")
    assert ngrams.telling_in_runs(again, 4).tolist() == [2, 2, 2]


@settings(max_examples=60, deadline=None)
@given(WORDS, WORDS, st.integers(1, 9))
def test_a_run_has_one_hash_wherever_it_stands(
    inner: list[str], before: list[str], length: int
) -> None:
    alone = ngrams.run_hashes(ngrams.read_tokens(" ".join(inner)), length).tolist()
    tokens = ngrams.read_tokens(" ".join([*before, *inner]))
    among = ngrams.run_hashes(tokens, length).tolist()
    assert len(among) == max(0, len(tokens.hashes) - length + 1)
    assert among[len(among) - len(alone) :] == alone


@settings(max_examples=60, deadline=None)
@given(WORDS, WORDS, st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True))
def test_search_finds_what_is_in_the_index_and_nothing_else(
    one: list[str], other: list[str], lengths: list[int]
) -> None:
    known = [
        run
        for length in lengths
        for run in ngrams.run_hashes(ngrams.read_tokens(" ".join(one)), length).tolist()
    ]
    index = ngrams.buckets(np.unique(np.array(known, np.uint64)))
    tokens = ngrams.read_tokens(" ".join(other))
    slots, starts, stops = ngrams.search(tokens, np.array(lengths), index)
    found = {
        (int(start), int(stop - start + 1), int(index.hashes[slot]))
        for slot, start, stop in zip(slots, starts, stops, strict=True)
    }
    assert found == {
        (start, length, run)
        for length in lengths
        for start, run in enumerate(ngrams.run_hashes(tokens, length).tolist())
        if run in set(known)
    }
