"""Scripts: which fill squares, and which stand for one language."""

from __future__ import annotations

import pytest

from dsvl_data.layout.writing import has_cjk, language_of_script


@pytest.mark.parametrize(
    ("text", "language", "square"),
    [
        ("SHAKE SHACK", "", False),
        ("Café", "", False),
        ("", "", False),
        ("北京烤鸭", "zh", True),
        ("KFC 肯德基", "zh", True),
        ("SHAKE SHACK SINCE 一", "", True),
        ("ラーメン二郎", "ja", True),
        ("日本料理の店", "ja", True),
        ("서울 커피", "ko", False),
        ("مطعم بيروت", "ar", False),
        ("ঢাকা", "bn", False),
    ],
)
def test_language_and_shape(text: str, language: str, square: bool) -> None:
    assert language_of_script(text) == language
    assert has_cjk(text) is square
