"""Counting tokens: a real tokenizer where one is named, else an estimate that is sane."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from dsvl_data.shards.tokens import Estimate, token_counter
from dsvl_data.shards.write import ShardError

TEXTS = st.lists(st.text(st.characters(), max_size=80), max_size=6)


@given(TEXTS)
def test_a_text_counts_the_same_alone_and_among_others(texts: list[str]) -> None:
    together = Estimate().count(texts)
    assert together == [Estimate().count([text])[0] for text in texts]
    assert all((count > 0) == bool(text) for count, text in zip(together, texts, strict=True))


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        # Ranges that the tokenizers of today's models fall into.
        ("The quick brown fox jumps over the lazy dog.", 9, 11),
        ("机器学习是人工智能的一个分支。", 7, 14),
        ("def f(x):\n    return x + 1\n", 10, 15),
        ("1234567890", 4, 7),
        ("internationalisation", 1, 4),
    ],
)
def test_estimates_are_of_the_right_size(text: str, low: int, high: int) -> None:
    (count,) = Estimate().count([text])
    assert low <= count <= high


def test_long_texts_are_counted_in_pieces() -> None:
    words = "word " * 500_000
    (count,) = Estimate().count([words])
    assert count == pytest.approx(475_000, rel=0.001)


def test_a_tokenizer_file_counts_exactly(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path / "tiny"
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    by_folder = token_counter(str(folder))
    by_file = token_counter(str(folder / "tokenizer.json"))
    assert by_folder.count(["a b a", "", "c"]) == [3, 0, 1]
    assert by_file.name == by_folder.name
    assert by_file.name.startswith("tiny (sha256 ")
    assert str(tmp_path) not in by_file.name


def test_a_tokenizer_that_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "tokenizer.json").write_text("{}")
    for where in (str(tmp_path), "./no/such/tokenizer.json"):
        with pytest.raises(ShardError, match="tokenizer"):
            token_counter(where)
