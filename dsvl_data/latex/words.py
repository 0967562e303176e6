"""What a word is, for a page of a PDF and for Markdown alike: text in, comparable words out.

Both sides of an alignment must be split by one rule, or nothing matches. A word is a run of
letters or a run of digits; hyphens and apostrophes inside a run of letters are dropped, so that
"well-known", "well-" + "known" at a line's end and "wellknown" are one word; an ideograph is a
word by itself; "??" is one, because LaTeX prints it for a reference that it could not resolve.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from dsvl_data.latex.article import Block, Kind

UNRESOLVED = "??"

# Scripts that put no spaces between words: ideographs, kana, Hangul.
CJK = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_LETTER = rf"[^\W\d_{CJK}]"
_ACCENTS = "\u00a8\u00af\u00b4\u00b8\u02c6\u02c7\u02d8-\u02dd\u0300-\u036f"
_HYPHENS = "\\-\u00ad\u2010\u2011"
_WORD = re.compile(
    rf"\?\?|[{CJK}]|\d+"
    rf"|{_LETTER}[{_ACCENTS}]*(?:[{_HYPHENS}'’`]?[{_ACCENTS}]*{_LETTER}[{_ACCENTS}]*)*"
)
_DROPPED = re.compile(rf"[{_HYPHENS}'’`{_ACCENTS}]")
_DOTLESS = str.maketrans({"ı": "i", "ȷ": "j", "ſ": "s", "ς": "σ"})

# Markdown that shows as something else than itself, or not at all.
_MARKUP = re.compile(
    r"(?P<formula>\\\((?:.*?)\\\)|\\\[(?:.*?)\\\])"
    r"|(?P<hidden>\\(?:begin|end)\{[a-z]+\*?\}(?:\{[^}\n]*\})?"
    r"|\\multicolumn\{\d+\}\{[^}]*\}|\\multirow\{[^}]*\}\{[^}]*\}|\\c(?:mid|)rule\{[^}]*\}"
    r"|\\cline\{[^}]*\}|\\[a-zA-Z]+|\]\([^)\s]*\)|!\[)",
    re.DOTALL,
)

_GREEK = {
    name.replace("lamda", "lambda"): chr(code)
    for code in range(0x3B1, 0x3CA)
    if (name := unicodedata.name(chr(code)).split()[-1].lower())
}
_GREEK |= {
    "varepsilon": "ε",
    "vartheta": "θ",
    "varphi": "φ",
    "varrho": "ρ",
    "varpi": "π",
    "ell": "l",
    "hbar": "ħ",
    "partial": "∂",
}
# Commands whose name is shown as a word of its own.
_OPERATORS = re.compile(
    "log|ln|exp|(?:arc)?(?:sin|cos|tan)|cot|sec|csc|(?:sin|cos|tan)h|min|max|inf|sup|lim(?:inf|sup)?"
    "|det|dim|ker|deg|gcd|arg|Pr|hom|mod"
)
_TEX = re.compile(
    r"\\(?:begin|end)\s*\{[a-zA-Z]+\*?\}(?:\s*\{[^{}]*\})?"
    r"|\\(?:label|tag|vspace|hspace|color)\*?\s*\{[^{}]*\}"
    r"|\\(?P<command>[a-zA-Z]+)|\\.|[{}\s~]|(?P<plain>[^\\{}\s~]+)"
)


class _OneToOne(dict[int, int]):
    """For `str.translate`: compatibility forms that are one plain character, found as they come."""

    def __missing__(self, code: int) -> int:
        plain = unicodedata.normalize("NFKC", chr(code))
        self[code] = ord(plain) if len(plain) == 1 else code
        return self[code]


_ONE_TO_ONE = _OneToOne()


def fold(text: str) -> str:
    """Compatibility forms (ligatures, mathematical alphabets, full-width forms) to plain ones."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


@lru_cache(maxsize=1 << 16)
def key_of(word: str) -> str:
    """What two spellings of one word have in common: no case, no accents, no hyphens."""
    if word.isascii():
        bare = word.lower()
        return bare if bare.isalnum() else _DROPPED.sub("", bare)
    bare = unicodedata.normalize("NFKD", word)
    bare = _DROPPED.sub("", bare).translate(_DOTLESS).casefold()
    # What compatibility forms leave behind: a fraction slash, a space before an accent.
    return "".join(c for c in bare if c.isalnum()) or UNRESOLVED


def split_words(text: str) -> list[tuple[str, int, int]]:
    """The words of a plain text: `(key, start, end)`, in order."""
    return [
        (word if word == UNRESOLVED else key_of(word), m.start(), m.end())
        for m in _WORD.finditer(text)
        if (word := m.group())
    ]


def formula_text(tex: str) -> str:
    """About what a simple formula shows, letters and digits in TeX's order: `x_{i}` is "xi"."""
    parts: list[str] = []
    for m in _TEX.finditer(tex):
        if command := m.group("command"):
            low = command[:1].lower() + command[1:]
            if _OPERATORS.fullmatch(command):
                parts.append(f" {command} ")
            elif low in _GREEK:
                letter = _GREEK[low]
                parts.append(letter if command == low else letter.upper())
            elif command in ("frac", "sqrt", "quad", "qquad", "sum", "int", "prod"):
                parts.append(" ")
        elif plain := m.group("plain"):
            parts.append(plain.replace("_", "").replace("^", ""))
        elif m.group().startswith("\\"):
            parts.append(" ")
    return fold("".join(parts))


@dataclass(frozen=True, slots=True)
class MarkdownWord:
    """A word of a block's Markdown: `key`, and its place there.

    For a word out of a formula the place is the whole formula's, and `opaque` is set: the PDF's
    glyphs need not agree with it.
    """

    key: str
    start: int
    end: int
    opaque: bool = False

    @property
    def prose(self) -> bool:
        """Whether the page must show this very word."""
        return not self.opaque


def markdown_words(block: Block) -> list[MarkdownWord]:
    """The words of a block, formulas' letters and digits included, markup left out."""
    text = block.markdown
    if not text.isascii():
        text = text.translate(_ONE_TO_ONE)  # keeps the places of the words
    if block.kind in (Kind.CODE, Kind.ALGORITHM) and "\\(" not in text:
        return [MarkdownWord(*word) for word in split_words(_blank(text, _FENCE))]
    words: list[MarkdownWord] = []
    label = _NOTE_LABEL.match(text) if block.kind is Kind.FOOTNOTE else None
    place = label.end() if label else 0
    for m in _MARKUP.finditer(text, place):
        _plain(text, place, m.start(), words)
        if tex := m.group("formula"):
            start, end = m.span()
            keys = [key for key, _, _ in split_words(formula_text(tex[2:-2]))]
            words.extend(MarkdownWord(key, start, end, opaque=True) for key in keys or [""])
        place = m.end()
    _plain(text, place, len(text), words)
    return words


_NOTE_LABEL = re.compile(r"Footnote(?: \d+)?:")
_FENCE = re.compile(r"^```.*$", re.MULTILINE)


def _blank(text: str, pattern: re.Pattern[str]) -> str:
    """The text with spaces in the place of what matches, so that offsets stay."""
    return pattern.sub(lambda m: " " * len(m.group()), text)


def _plain(text: str, start: int, end: int, words: list[MarkdownWord]) -> None:
    for m in _WORD.finditer(text, start, end):
        word = m.group()
        key = word if word == UNRESOLVED else key_of(word)
        words.append(MarkdownWord(key, m.start(), m.end()))
