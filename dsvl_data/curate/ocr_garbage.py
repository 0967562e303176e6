"""How much of a text is what a failed character recognition leaves, for English and Chinese.

In: a text and its language. Out: shares of its prose (`prose.py`: programs and formulas are left
out) that are garbage, by kind; a word, or a single Chinese character, is a unit, and counts once.
Rules and one small table, no model:

- `broken_characters`: U+FFFD, private use, control characters, and UTF-8 read as another
  encoding (`Ã©`, `â€™`, 锟斤拷);
- `broken_words`: letters of two alphabets in a word, digits for letters (`w0rd`), signs amid
  letters (`wo|rd`), a letter four times in a row, signs that stand alone (`~ ¬ |`); between
  Chinese characters such signs, and parts of characters (亻, 讠, 冂) that stand for whole ones;
- `isolated_letters`: words in which each letter stands alone (`w o r d`, 中 国 人 民);
- `improbable_words`: English only, words with pairs of letters that English has not, but for
  abbreviations (a capital and two or three consonants);
- `rare_characters`: Chinese only, characters neither in GB 2312 (6,763 simplified ones) nor among
  Big5's 5,401 common traditional ones. Text in a wrong encoding is mostly made of them.

A word that is improbable, or a character that is rare, counts twice at most: what comes again and
again (the commands `dh` and `gbp` of a manual, a name) was meant.

The rules on words are of the kind of Taghva et al., "Automatic Removal of Garbage Strings in OCR
Text: An Implementation" (WMSCI 2001), and Kulp and Kontostathis, "On Retrieving Legal Files:
Shortening Documents and Weeding Out Garbage" (TREC 2007).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from dsvl_data.curate.prose import LEFT_OUT, Prose, count_spaceless, read_prose

#: Every score, and what it says.
SCORES: Mapping[str, str] = MappingProxyType(
    {
        "ocr_garbage": "share of words (Chinese: characters) that are garbage of any kind",
        "broken_characters": "share with characters that no text has",
        "broken_words": "share with signs, digits or strange letters amid letters",
        "isolated_letters": "share of letters that stand alone in rows",
        "improbable_words": "share with pairs of letters that English has not",
        "rare_characters": "share of Chinese characters that hardly any text has",
    }
)

# The second letters that never follow a first one within 14,000 words of this project's own
# documents and samples; `scripts/english_bigrams.py` derives it. Pairs that English has in rare
# words are among them, so one of them in a long word is no evidence.
_UNSEEN = {
    "a": "jq",
    "b": "ghkmnpqvwz",
    "c": "bdfgjnpqvwxz",
    "d": "bchjkmnqwz",
    "e": "j",
    "f": "bcdghjkmnpqvwxyz",
    "g": "bcdfgjkpqvwx",
    "h": "cfghjkpvwxz",
    "i": "hijw",
    "j": "bcdfghjklmnpqrtvwxyz",
    "k": "bcjkpquvwxz",
    "l": "jnqxz",
    "m": "dfhjqrxz",
    "n": "wxz",
    "o": "q",
    "p": "bcfgjknqvxz",
    "q": "bcdefghijklmopqstvwxyz",
    "r": "jz",
    "s": "bdgjnrvz",
    "t": "bdgjqv",
    "u": "hjquwx",
    "v": "bcdfghjklmnpqsuvwxz",
    "w": "bfgjmpquvwxyz",
    "x": "bdfghjklmnqrsvxz",
    "y": "hjqvxz",
    "z": "bcdfgjkmnopqrstuvwxy",
}
IMPROBABLE = frozenset(first + second for first, rest in _UNSEEN.items() for second in rest)
#: A word is improbable when this share of its pairs is.
_MOST_IMPROBABLE = 0.3

_BROKEN = re.compile(
    "[\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]"
    "|[ÃÂ][\u00a0-\u00bf\u2018-\u201e\u2020-\u203a€™]|â€|ï¿½|ï»¿"
)
_BROKEN_HAN = re.compile("(?:锟斤拷?|烫{3,}|屯{3,})+")
_OTHER_ALPHABET = re.compile("[\u0400-\u052f\u0590-\u06ff]")
_LATIN = re.compile("[A-Za-zÀ-ɏ]")
_DIGIT_AMID = re.compile(r"[a-z]{2}[01568][a-z]|[a-z][01568][a-z]{2}")
_SIGN_AMID = re.compile(
    r"[a-z][|~^¬¦¢£¥§¶■□•¤«»{}<>][a-z]|[a-z][,;:!?\"][a-z]+[,;:!?\"][a-z]", re.I
)
_FOUR_TIMES = re.compile(r"([^\W\d_])\1{3}")
_SIGNS_ALONE = re.compile(r"[|~^¬¦¢¶■□¤`´¨¸«»\\{}]{1,4}")
_WORD = re.compile(r"[A-Za-z]?[a-z]{2,}")
_ABBREVIATION = re.compile(r"[A-Z][bcdfghjklmnpqrstvwxz]{1,3}")  # Svn, Cvs, Mtn, Ltd

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HAN_CHARACTER = re.compile(f"[{_HAN}]")
_SIGN_AMID_HAN = re.compile(f"(?<=[{_HAN}])[|~^`\\\\¬¦¢¶■□¤{{}}#$&@]+(?=[{_HAN}])")
_PARTS = re.compile(
    "[丨丿丶亅亠冂冖凵勹匚卩厶囗宀尢屮巛廴彐彡彳攴攵氵忄扌犭纟艹讠辶钅阝饣冫刂亻礻衤疒"
    "\u2e80-\u2fdf\u31c0-\u31ef\uff66-\uff9f]"
)
_SPACED_HAN = re.compile(f"(?<![{_HAN}])[{_HAN}](?: [{_HAN}](?![{_HAN}])){{3,}}")


def score(text: str, language: str) -> dict[str, float]:
    """Return the scores of `SCORES`; none for a text without prose.

    The last two are there for English and for Chinese only (`language` as `language.identify`
    gives it).
    """
    return score_prose(read_prose(text), language)


def score_prose(prose: Prose, language: str) -> dict[str, float]:
    """Do what `score` does for prose that was read already."""
    tokens = prose.tokens
    if not tokens:
        return {}
    text = prose.text
    counts = {"broken_characters": 0, "broken_words": 0, "isolated_letters": 0}
    if language == "en":
        counts["improbable_words"] = 0
    spaced = [token for token in tokens if len(token) > 1 or not count_spaceless(token)]
    counts["isolated_letters"] += _isolated(spaced)
    for token, times in Counter(spaced).items():
        if (kind := _kind(token, english=language == "en")) is not None:
            counts[kind] += min(times, 2) if kind == "improbable_words" else times
    if prose.spaceless:
        counts["broken_characters"] += sum(map(len, _BROKEN_HAN.findall(text)))
        counts["broken_words"] += len(_SIGN_AMID_HAN.findall(text)) + len(_PARTS.findall(text))
        counts["isolated_letters"] += sum(
            (len(match.group()) + 1) // 2 for match in _SPACED_HAN.finditer(text)
        )
    if language == "zh":
        characters = Counter(_HAN_CHARACTER.findall(text))
        counts["rare_characters"] = sum(min(n, 2) for c, n in characters.items() if _is_rare(c))
    total = len(tokens)
    shares = {kind: min(1.0, count / total) for kind, count in counts.items()}
    return {"ocr_garbage": min(1.0, sum(counts.values()) / total), **shares}


def _kind(token: str, *, english: bool) -> str | None:
    """Which kind of garbage a word is, if any."""
    if token.isascii() and token.isalpha() and token.islower():
        # Most words, quickly.
        if english and _is_improbable(token):
            return "improbable_words"
        return "broken_words" if _FOUR_TIMES.search(token) else None
    if _BROKEN.search(token):
        return "broken_characters"
    core = token.strip(".,;:!?()[]\"'“”‘’…")
    if (
        (_OTHER_ALPHABET.search(core) and _LATIN.search(core))
        or _DIGIT_AMID.search(core)
        or _SIGN_AMID.search(core)
        or _FOUR_TIMES.search(core)
        or _SIGNS_ALONE.fullmatch(token)
    ):
        return "broken_words"
    if (
        english
        and _WORD.fullmatch(core)
        and not _ABBREVIATION.fullmatch(core)
        and _is_improbable(core.lower())
    ):
        return "improbable_words"
    return None


@lru_cache(maxsize=1 << 16)
def _is_improbable(word: str) -> bool:
    pairs = len(word) - 1
    if pairs < 1:
        return False
    found = sum(1 for i in range(pairs) if word[i : i + 2] in IMPROBABLE)
    return found / pairs >= _MOST_IMPROBABLE


def _isolated(tokens: list[str]) -> int:
    """Count single letters in rows of four or more; rows in order (A B C D) are lists."""
    count = 0
    row: list[str] = []
    for token in [*tokens, LEFT_OUT]:
        if len(token) == 1 and token.isalpha():
            row.append(token)
            continue
        if len(row) >= 4 and row != sorted(row):
            count += len(row)
        row = []
    return count


@lru_cache(maxsize=1 << 16)
def _is_rare(character: str) -> bool:
    """Whether a Chinese character is outside of GB 2312 and of Big5's level 1 (A440 to C67E)."""
    if len(character.encode("gb2312", "ignore")) == 2:
        return False
    code = character.encode("big5", "ignore")
    return not (len(code) == 2 and 0xA4 <= code[0] <= 0xC6)
