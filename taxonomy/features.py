"""What the offline classifier sees of a question: text in; features out.

English gives stems of words, pairs of them, and pieces of four letters (`counting`, `counted` and
`recount` share some); Chinese, which parts no words, single characters and pairs. Pieces of three
or five letters and triples of characters made accuracy on prompts held out no better.
"""

from __future__ import annotations

import re
import unicodedata

#: Of a longer text only its two ends are read: there the question stands, not in what is pasted.
_END = 600
_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+|[\u3400-\u9fff]|[^\W\d_a-z\u3400-\u9fff]+")
_PLACEHOLDER = re.compile(r"<image>|<img>|</?box>", re.IGNORECASE)
_SUFFIXES = ("ing", "ed", "es", "s", "ly", "er")
_SHORTEST_STEM = 3
_PIECE = 4


def features(text: str) -> list[str]:
    """Return the features of a text, repeated as they occur; empty when it has no letters."""
    plain = _PLACEHOLDER.sub(" ", text)
    if len(plain) > 2 * _END:
        plain = f"{plain[:_END]} {plain[-_END:]}"
    tokens = _TOKEN.findall(unicodedata.normalize("NFKC", plain).lower())
    found = []
    before = "^"
    for token in tokens:
        if _is_cjk(token):
            found.append(token)
            if _is_cjk(before) or before == "^":
                found.append(before + token)
        else:
            stem = _stem(token)
            found += [stem, f"{before}_{stem}"]
            framed = f"<{token}>"
            if token.isalpha():
                found += [f"#{framed[i : i + _PIECE]}" for i in range(len(framed) - _PIECE + 1)]
            token = stem
        before = token
    return found


def _is_cjk(token: str) -> bool:
    return "\u3400" <= token[0] <= "\u9fff"


def _stem(word: str) -> str:
    if word.isdigit():
        return "0"
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _SHORTEST_STEM:
            return word.removesuffix(suffix).rstrip("e")
    return word.rstrip("e") or word
