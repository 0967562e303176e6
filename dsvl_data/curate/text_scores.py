"""What Gopher's and C4's rules look at, as scores: a text in, numbers out, no threshold.

Sources of the rules:

- Gopher: Rae et al., "Scaling Language Models: Methods, Analysis & Insights from Training
  Gopher", arXiv:2112.11446, appendix A.1.1: "Quality Filtering" and "Repetition Removal" with
  table A1.
- C4: Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
  Transformer", JMLR 21 (2020), arXiv:1910.10683, section 2.2 (3 sentences, 5 words a line); and
  tensorflow/datasets, `tensorflow_datasets/text/c4_utils.py`, for what only the code says: 1,000
  characters a word (such a *line* goes), lines that end in `...` go, the six phrases of policies.
- FineWeb: Penedo et al., arXiv:2406.17557, section 3.6: at most 0.12 of lines with punctuation at
  their end, from 0.1 of characters in repeated lines (Gopher: 0.2), from 0.67 of lines under 30
  characters; huggingface/datatrove, `src/datatrove/pipeline/filters/fineweb_quality_filter.py`.

All of them are counted over the prose only (`prose.py`): programs, formulas and tables are left
out. C4 removes lines and then asks what is left; nothing is removed here, so its rules on lines
are shares of lines, and `c4_sentences` counts what it would have left.

By language: words are what white space parts, but in scripts without spaces (Han, kana, Thai...)
two characters count as a word, an n-gram is 2n characters in a text that is mostly written so,
and `mean_word_length`, which says nothing there, is absent. `stop_words` is there for English
(Gopher's eight) and Chinese (our list, modern and classical, both scripts). Chinese marks count
where English ones do. An absent score is one that no rule can hold against a text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from dsvl_data.curate.prose import CHARACTERS_PER_WORD, LEFT_OUT, Prose, count_spaceless, read_prose

#: Gopher's n for the commonest n-gram and for repeated n-grams (table A1).
TOP_NGRAMS = (2, 3, 4)
REPEATED_NGRAMS = (5, 6, 7, 8, 9, 10)

#: Every score, and what it says.
SCORES: Mapping[str, str] = MappingProxyType(
    {
        "prose_share": "characters that are prose, of all but white space",
        "words": "words of the prose (Gopher: 50 to 100,000)",
        "mean_word_length": "characters a word (Gopher: 3 to 10)",
        "longest_word": "characters of the longest word (C4: lines with 1,000 go)",
        "hashes_per_word": "`#` a word (Gopher: at most 0.1)",
        "ellipses_per_word": "ellipses a word (Gopher: at most 0.1)",
        "bullet_lines": "share of lines that start with a bullet (Gopher: at most 0.9)",
        "ellipsis_lines": "share of lines that end with an ellipsis (Gopher: at most 0.3)",
        "alphabetic_words": "share of words with a letter (Gopher: at least 0.8)",
        "stop_words": "how many of the language's commonest words occur (Gopher: at least 2 of 8)",
        "digits": "share of digits among the characters of words",
        "symbols": "share of characters that are no letter, digit or mark of punctuation",
        "repeated_lines": "share of lines that stood before (Gopher: at most 0.3)",
        "repeated_line_characters": "share of characters in them (Gopher: at most 0.2)",
        "repeated_paragraphs": "share of paragraphs that stood before (Gopher: at most 0.3)",
        "repeated_paragraph_characters": "share of characters in them (Gopher: at most 0.2)",
        **{
            f"top_{n}gram": f"share of characters in the commonest n-gram (Gopher: at most {most})"
            for n, most in zip(TOP_NGRAMS, (0.2, 0.18, 0.16), strict=True)
        },
        **{
            f"repeated_{n}grams": "share of characters in n-grams that stood before "
            f"(Gopher: at most {most})"
            for n, most in zip(REPEATED_NGRAMS, (0.15, 0.14, 0.13, 0.12, 0.11, 0.1), strict=True)
        },
        "punctuated_lines": "share of lines that end with terminal punctuation "
        "(C4: the others go; FineWeb: at least 0.12)",
        "short_lines": "share of lines of fewer than 5 words (C4: they go)",
        "c4_sentences": "sentences in the lines that C4 leaves (C4: at least 3)",
        "javascript_lines": "share of lines with the word Javascript (C4: they go)",
        "policy_lines": "share of lines on cookies and terms of use (C4: they go)",
        "curly_brackets": "curly brackets (C4: none)",
        "lorem_ipsum": "times that `lorem ipsum` is said (C4: none)",
    }
)

#: Gopher, "Quality Filtering".
_ENGLISH_STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
# Function characters of modern and classical Chinese; a text of 50 words without two of them is
# a list of names, or no Chinese.
_CHINESE_STOP_WORDS = frozenset(
    "的是了在和有不我他这這也就都而之其以于於为為与與者所无無此上中一人来來到个個"
)
_ELLIPSIS = re.compile(r"\.{3,}|…+|。{3,}|(?:\. ){2,}\.")
_ELLIPSIS_ENDS = ("...", "…", "。。。", ". . .")
_CLOSERS = "\"'”’»)]）】」』》〉*_ "
_TERMINAL = (".", "?", "!", "。", "？", "！", "；", "…", "｡", "।", "؟", "։")
_QUOTES = ('"', "”", "」", "』")
_SENTENCE = re.compile(r"[.?!؟।]+[\"'”’)\]]*(?=\s|$)|[。？！｡]+")
_POLICY = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
_C4_WORDS = 5
_NO_SYMBOL = re.compile(r"[^\W_]+|[.,;:!?'\"()\[\]%/-]+")
_DIGITS = re.compile(r"\d+")
_MOST_TOKENS = 200_000  # beyond it n-grams are looked for in the first ones only


def score(text: str, language: str) -> dict[str, float]:
    """Return the scores of `SCORES` that mean something for this text in this language.

    `language` is a code as `language.identify` gives it. A text without prose has only
    `prose_share` and `words`.
    """
    return score_prose(read_prose(text), language)


def score_prose(prose: Prose, language: str) -> dict[str, float]:
    """Do what `score` does for prose that was read already."""
    scores = {"prose_share": prose.share, "words": prose.words}
    if not prose.tokens:
        return scores
    scores |= _words(prose, language)
    scores |= _lines(prose)
    scores |= _repeated_parts(prose)
    scores |= _repeated_ngrams(prose)
    return scores


def _words(prose: Prose, language: str) -> dict[str, float]:
    tokens, words = prose.tokens, prose.words
    characters = "".join(tokens)
    text = prose.text
    with_letters = sum(1 for token in tokens if token.isalpha() or any(map(str.isalpha, token)))
    without = len(tokens) - with_letters
    scores = {
        "longest_word": float(max(map(len, tokens))),
        "hashes_per_word": text.count("#") / words,
        "ellipses_per_word": len(_ELLIPSIS.findall(text)) / words,
        "alphabetic_words": max(0.0, 1 - without / words),
        "digits": sum(map(len, _DIGITS.findall(characters))) / len(characters),
        "symbols": _symbols(characters) / len(characters),
        "curly_brackets": float(text.count("{") + text.count("}")),
        "lorem_ipsum": float(text.lower().count("lorem ipsum")),
    }
    spaced = len(tokens) - prose.spaceless
    if spaced > prose.spaceless:
        scores["mean_word_length"] = (len(characters) - prose.spaceless) / spaced
    # A page of a Chinese book may be in English; what it quotes is not judged as Chinese.
    if language == "en" and spaced > prose.spaceless:
        found = {token.strip(".,;:!?()[]\"'“”‘’").lower() for token in tokens}
        scores["stop_words"] = float(len(found & _ENGLISH_STOP_WORDS))
    elif language == "zh" and spaced < prose.spaceless:
        scores["stop_words"] = float(len(_CHINESE_STOP_WORDS & set(tokens)))
    return scores


def _symbols(characters: str) -> int:
    """Count what is neither letter, number, mark nor common punctuation."""
    odd = _NO_SYMBOL.sub("", characters)
    return sum(1 for c in odd if unicodedata.category(c)[0] in "SC" or c in "_#*@\\{}&§¶†‡•")


def _lines(prose: Prose) -> dict[str, float]:
    lines = prose.lines
    texts = [line.text for line in lines]
    folded = [text.lower() for text in texts]
    ends = [text.rstrip(_CLOSERS) for text in texts]
    dotted = [end.endswith(_ELLIPSIS_ENDS) for end in ends]
    closed = [
        end.endswith(_TERMINAL) or text.endswith(_QUOTES)
        for text, end in zip(texts, ends, strict=True)
    ]
    short = [_few_words(text) for text in texts]
    script = ["javascript" in text for text in folded]
    policy = [any(phrase in text for phrase in _POLICY) for text in folded]
    left = [
        text
        for text, end, dots, few, js, legal in zip(
            texts, closed, dotted, short, script, policy, strict=True
        )
        if end and not dots and not few and not js and not legal
    ]
    return {
        "bullet_lines": _share(line.bullet for line in lines),
        "ellipsis_lines": _share(dotted),
        "punctuated_lines": _share(closed),
        "short_lines": _share(short),
        "javascript_lines": _share(script),
        "policy_lines": _share(policy),
        "c4_sentences": float(sum(max(1, len(_SENTENCE.findall(text))) for text in left)),
    }


def _few_words(text: str) -> bool:
    if len(text) > 40 * _C4_WORDS:
        return False
    if text.isascii():
        return len(text.split()) < _C4_WORDS
    words = 0.0
    for part in text.split():
        eastern = count_spaceless(part)
        words += eastern / CHARACTERS_PER_WORD if eastern else 1
    return words < _C4_WORDS


def _repeated_parts(prose: Prose) -> dict[str, float]:
    lines = [line.text for line in prose.lines]
    paragraphs = ["\n".join(line.text for line in part) for part in prose.paragraphs]
    line_share, line_characters = _repeated(lines)
    paragraph_share, paragraph_characters = _repeated(paragraphs)
    return {
        "repeated_lines": line_share,
        "repeated_line_characters": line_characters,
        "repeated_paragraphs": paragraph_share,
        "repeated_paragraph_characters": paragraph_characters,
    }


def _repeated(parts: Sequence[str]) -> tuple[float, float]:
    """Return the shares of parts, and of their characters, that are like an earlier part.

    Parts that say nothing but what was left out are not counted: two formulas are not one.
    """
    said = [part for part in parts if any(c.isalnum() for c in part.replace(LEFT_OUT, ""))]
    seen: set[str] = set()
    again = [part for part in said if part in seen or seen.add(part)]  # type: ignore[func-returns-value]
    total = sum(map(len, said))
    return (len(again) / len(said), sum(map(len, again)) / total) if said else (0.0, 0.0)


def _repeated_ngrams(prose: Prose) -> dict[str, float]:
    """Gopher's "Repetition Removal": no character counts twice where n-grams overlap.

    The commonest n-gram counts when it occurs twice or more, of two equally common ones that
    with more characters. A repeated n-gram counts from its second occurrence on, so that the
    share is what would go if each were said once.
    """
    tokens = [token.lower() for token in prose.tokens[:_MOST_TOKENS]]
    numbers: dict[str, int] = {}
    identity = np.array([numbers.setdefault(token, len(numbers)) for token in tokens], np.int64)
    lengths = np.array([len(token) for token in tokens], np.int64)
    # In a text of spaceless script a word, and so the unit of an n-gram, is two tokens.
    unit = CHARACTERS_PER_WORD if 2 * prose.spaceless > len(prose.tokens) else 1
    unigrams = identity
    for step in range(1, unit):
        unigrams = _joined(unigrams, identity, step)
    total = int(lengths.sum())
    starts = np.concatenate([[0], np.cumsum(lengths)])
    scores = {f"top_{n}gram": 0.0 for n in TOP_NGRAMS}
    scores |= {f"repeated_{n}grams": 0.0 for n in REPEATED_NGRAMS}
    ngrams = unigrams
    for n in range(2, REPEATED_NGRAMS[-1] + 1):
        ngrams = _joined(ngrams, unigrams, unit * (n - 1))
        counts = np.bincount(ngrams)
        if counts.max(initial=0) < 2:
            break  # nothing is said twice, nor is anything longer
        width = unit * n
        first = np.unique(ngrams, return_index=True)[1]
        if n in TOP_NGRAMS:
            most = np.lexsort((starts[first + width] - starts[first], counts))[-1]
            scores[f"top_{n}gram"] = _characters(ngrams == most, lengths, width) / total
        elif n in REPEATED_NGRAMS:
            again = np.ones(len(ngrams), np.bool_)
            again[first] = False
            scores[f"repeated_{n}grams"] = _characters(again, lengths, width) / total
    return scores


def _joined(left: NDArray[np.int64], right: NDArray[np.int64], offset: int) -> NDArray[np.int64]:
    """Number the pairs (left[i], right[i + offset]): equal pairs, and only those, are equal."""
    count = max(0, min(len(left), len(right) - offset))
    if count == 0:
        return np.zeros(0, np.int64)
    pairs = left[:count] * (int(right.max()) + 1) + right[offset : offset + count]
    numbers: NDArray[np.int64] = np.unique(pairs, return_inverse=True)[1]
    return numbers


def _characters(covered: NDArray[np.bool_], lengths: NDArray[np.int64], width: int) -> int:
    """Count the characters of the tokens in windows of `width` that are marked."""
    edges = np.zeros(len(lengths) + 1, np.int64)
    at = np.flatnonzero(covered)
    np.add.at(edges, at, 1)
    np.add.at(edges, at + width, -1)
    return int(lengths[np.cumsum(edges[:-1]) > 0].sum())


def _share(flags: Iterable[bool]) -> float:
    found = list(flags)
    return sum(found) / len(found) if found else 0.0
