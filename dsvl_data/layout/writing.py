"""Which script a text is written in, as far as layout and language go.

In: a text. Out: whether it has characters that fill a square, and the language that its script
stands for where that is one language.
"""

from __future__ import annotations

import re

# Han, with its extensions, kana, bopomofo and full-width forms.
_CJK = re.compile(
    "[\u3005-\u3007\u3040-\u30ff\u3100-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff01-\uff60\U00020000-\U0003ffff]"
)
_SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff\u31f0-\u31ff]")),
    ("ko", re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")),
    (
        "zh",
        re.compile("[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"),
    ),
    ("ar", re.compile("[\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff]")),
    ("bn", re.compile("[\u0980-\u09ff]")),
)
_SHARE = 0.3


def has_cjk(text: str) -> bool:
    """Whether a text has Chinese or Japanese characters, each of which fills a square."""
    return not text.isascii() and _CJK.search(text) is not None


def language_of_script(text: str) -> str:
    """Return `zh`, `ja`, `ko`, `ar` or `bn` where the script tells; empty for other scripts.

    The script must make a good part of the letters; Han with any kana is Japanese.
    """
    if text.isascii():
        return ""
    letters = sum(map(str.isalpha, text))
    for language, script in _SCRIPTS:
        count = len(script.findall(text))
        if count and (language == "ja" or count >= _SHARE * letters):
            return language
    return ""
