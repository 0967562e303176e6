"""Which texts the language rules leave out, and which they must not."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from dsvl_data.curate.language_rules import CRITERION, LanguageScorer
from dsvl_data.curate.settings import CategoryRules, LanguageRules, TextRules
from tests.curate.conftest import CHINESE, ENGLISH, sample
from tests.curate.test_run import FRENCH

CODE = """
import numpy as np

def next_power(n):
    i = 1
    while i < n:
        i = i << 1
    return i

for n, axis in zip([10, 100, 1000], axes):
    axis.plot(tau / true_tau, f0, "k", label="true")
    axis.set_title(f"N = {n}", fontsize=14)
"""
TABLE = "| strain | dose | gram |\n| --- | --- | --- |\n" + "| Klebsiella | 1.2 | negative |\n" * 40
FORMULA = "$$\n" + "\\int_0^\\infty e^{-x^2} dx = \\frac{\\sqrt{\\pi}}{2} \\\\\n" * 30 + "$$\n"
POEM = "关关雎鸠，在河之洲。窈窕淑女，君子好逑。\n参差荇菜，左右流之。窈窕淑女，寤寐求之。\n" * 3
MIXED = (
    "请运行 apt-get install build-essential 安装软件包，然后阅读 dpkg-architecture(1) 手册页中"
    "关于 Debian 架构的描述。\n" * 6
)
#: Chinese in UTF-8, read as GBK.
MOJIBAKE = (CHINESE * 6).encode().decode("gbk", "ignore")


def reasons(text: str, **rules: object) -> list[str]:
    given = LanguageScorer().score([sample("one", text)])
    table = pa.table({name: pa.array(given[name], kind) for name, kind in
                      LanguageScorer.columns.items()})  # fmt: skip
    chosen = CategoryRules(text=TextRules(language=LanguageRules.model_validate(rules)))
    return [str(rule.reason) for rule in CRITERION.rules(chosen) if not rule.passes(table)[0]]


@pytest.mark.parametrize(
    "text",
    [ENGLISH * 2, CHINESE * 6, POEM, MIXED, FRENCH, CODE * 3, TABLE, FORMULA, "A dog.", ""],
    ids=["english", "chinese", "poem", "mixed", "french", "code", "table", "formula", "cap", "no"],
)
def test_what_somebody_wrote_is_kept(text: str) -> None:
    assert reasons(text) == []


def test_a_manual_full_of_commands_is_english() -> None:
    """Nine pages of real manuals had 0.34 to 0.5, two programs 0.37 and 0.44."""
    manual = "\n".join(
        f"- **{name}**: run `{name} --help` (alias: **{name[:2]}**), see **dh_{name}**(1)"
        for name in ("debmake", "gbp", "sbuild", "dpkg", "dget", "uscan", "lintian", "dput") * 3
    )
    assert reasons(manual) == []
    letters = random.Random(1)
    nonsense = " ".join(
        "".join(letters.choices("etaoinshrdlucmfwyp", k=letters.randint(2, 9))) for _ in range(120)
    )
    assert reasons(nonsense) == ["language_unsure"]


def test_what_nobody_wrote_is_not() -> None:
    assert reasons(MOJIBAKE) == ["language_unsure"]
    assert reasons(MOJIBAKE, min_confidence=0, min_confidence_of={}) == []


def test_only_the_languages_asked_for() -> None:
    assert reasons(FRENCH, keep=["en", "zh"]) == ["language"]
    assert reasons(CHINESE * 6, keep=["en"]) == ["language"]
    assert reasons(CHINESE * 6, keep=["en", "zh"]) == []
    # Too short to be judged, and no prose at all.
    assert reasons(FRENCH, keep=["en"], min_words=500) == []
    assert reasons(CODE * 3, keep=["zh"]) == []
