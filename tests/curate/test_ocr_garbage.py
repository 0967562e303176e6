from __future__ import annotations

import random

import pytest

from dsvl_data.curate.ocr_garbage import IMPROBABLE, score
from tests.curate.test_text_scores import CHINESE, ENGLISH


def share(text: str, language: str) -> float:
    return score(text, language)["ocr_garbage"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "en"),
        (CHINESE, "zh"),
        ("He wrote JavaScript and LaTeX in PyTorch on an iPhone, i18n and UTF-8 and all.", "en"),
        (
            "Choose one: A B C D. The plane x y is flat. It’s O’Brien’s well-known rock’n’roll.",
            "en",
        ),
        ("The x86_64 build of libfoo-2.3.so needs foo_bar(), see C++ and C#.", "en"),
        ("Москва и Санкт-Петербург стоят далеко друг от друга.", "ru"),
        ("α-helix and β-sheet, 5 μm wide, Δt = 3 s", "en"),
        ("繁體中文的書籍也應該保留，這裡沒有任何亂碼。", "zh"),
        ("子曰：學而時習之，不亦說乎？有朋自遠方來，不亦樂乎？", "zh"),
        ("在 Debian 系统里安装 A 股软件，按 Ctrl+C 退出。", "zh"),
    ],
)
def test_good_text_has_none(text: str, language: str) -> None:
    assert share(text, language) == 0


@pytest.mark.parametrize(
    ("text", "language", "kind"),
    [
        ("tbe qnick brovvn fqx jnmps ovcr thc lqzy dqg", "en", "improbable_words"),
        ("the w0rd was wr0ng and the pa|n was t~o much", "en", "broken_words"),
        ("a k e t t l e of tin was there", "en", "isolated_letters"),
        ("caf� au lait � and donâ€™t Ã©t", "en", "broken_characters"),
        ("the рaper had Cyrillic in iт", "en", "broken_words"),
        ("~ the ¬ sign | stands ^ alone", "en", "broken_words"),
        ("中 国 人 民 的 水 壶", "zh", "isolated_letters"),
        ("亻尔好，讠青坐", "zh", "broken_words"),
        ("水壶~里面|有一条\\线", "zh", "broken_words"),
        ("锟斤拷锟斤拷", "zh", "broken_characters"),
        (CHINESE.encode().decode("gbk", "replace"), "zh", "rare_characters"),
    ],
)
def test_each_kind_is_found(text: str, language: str, kind: str) -> None:
    found = score(text, language)
    assert found[kind] > 0
    assert found["ocr_garbage"] >= found[kind]


def test_a_term_that_comes_again_and_again_was_meant() -> None:
    text = "the dh command and the gbp command of the manual are run one by one here. " * 20
    assert share(text, "en") < 0.02


def test_no_prose_no_score() -> None:
    assert score("```\n~ | ~\n```", "en") == {}


def test_common_pairs_of_english_are_no_garbage() -> None:
    assert not IMPROBABLE & {"th", "he", "in", "er", "qu", "ck", "gh", "ph", "ng", "wh", "xt"}


def test_more_noise_gives_a_higher_share() -> None:
    confused = {"e": "c", "h": "b", "m": "rn", "l": "1", "o": "0", "t": "~", "a": "|", "i": "^"}
    shares = []
    for rate in (0.0, 0.1, 0.3):
        draw = random.Random(1)
        noisy = "".join(confused.get(c, c) if draw.random() < rate else c for c in ENGLISH * 5)
        shares.append(share(noisy, "en"))
    assert shares[0] == 0
    assert 0.06 < shares[1] < shares[2]


def test_names_of_programs_and_placeholders_of_pictures_are_no_garbage() -> None:
    systems = "- Bzr (Bazaar)\n- Cvs\n- Hg (Mercurial)\n- Mtn (Monotone)\n- Svn (Subversion)\n\n"
    said = "The value must have the following syntax, of which the portions in quotes are optional."
    assert score(systems + said, "en")["ocr_garbage"] == 0
    question = "Which of the pictures below is obtained when it is turned?\n\\<image1>\n\\<image2>"
    assert score(question, "en")["ocr_garbage"] == 0
    assert score("Tvq bvlk xzrp " + said, "en")["ocr_garbage"] > 0.1
