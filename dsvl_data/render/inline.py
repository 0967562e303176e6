"""Lines of text as Markdown: emphasis, code, formulas, line breaks, and what must be escaped.

In: pieces of a line in reading order. Out: one string of CommonMark with the usual additions
(`$..$`, `[^1]`, `~~..~~`, and HTML for what Markdown has no sign for).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

#: What Markdown may take for markup in a line whose origin knows none, such as a PDF's.
SIGNS = "\\`*_$<>[]"
_ENTITY = re.compile(r"&(?=#?\w+;)")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_STARS = re.compile(r"\*")
_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_BACKSLASH = re.compile(r"\\(?=[!-/:-@\[-`{-~]|$)")
_LINK = re.compile(r"\](?=[(\[:])")
_NOTE = re.compile(r"\[(?=\^)")
_LINE_START = re.compile(
    r"(?P<mark>[-+*#>=~:]+(?=\s|$)|>|[-=_*]{3,}$)|(?P<number>\d{1,9})(?=[.)](\s|$))"
)
_WIDE = (
    "\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f"
    "\uff01-\uff60\uffe0-\uffe6\U00020000-\U0003fffd"
)
_CJK_BREAK = re.compile(f"(?<=[{_WIDE}])[^\\S\u3000]*\n[^\\S\u3000]*(?=[{_WIDE}])")
#: White space that collapses; the wide space of Chinese and no-break spaces do not.
_SPACE = re.compile(r"[ \t\n\r\f]+")
_UNEVEN = re.compile("[\t\n\r\f]|  ")  # any but single spaces
_EDGE = " \t\n\r\f"


class Piece(NamedTuple):
    """A part of a line: `kind` is text, raw (Markdown as it is), open, close or break."""

    kind: str
    value: str = ""


_SIGNS = {"em": "*", "strong": "**", "s": "~~"}


def escape(text: str) -> str:
    """Put a backslash before what Markdown would misread inside a line."""
    if "\\" in text:
        text = _BACKSLASH.sub(r"\\\\", text)
    for sign in ("`", "$", "~~"):
        if sign in text:
            text = text.replace(sign, "\\" + sign)
    if "*" in text:
        text = _STARS.sub(r"\\*", text)
    if "_" in text:
        text = _UNDERSCORE.sub(r"\\_", text)
    if "]" in text:
        text = _LINK.sub(r"\\]", text)
    if "[" in text:
        text = _NOTE.sub(r"\\[", text)
    if "<" in text:
        text = _TAG.sub(r"\\<", text)
    if "&" in text:
        text = _ENTITY.sub(r"\\&", text)
    return text


def escape_signs(text: str, signs: str = SIGNS) -> str:
    """Put a backslash before every one of some signs, whatever stands around it."""
    return text.translate({ord(sign): "\\" + sign for sign in signs})


def escape_line_start(line: str) -> str:
    """Put a backslash where a line would turn into a heading, list, quotation or rule."""
    found = _LINE_START.match(line)
    if found is None:
        return line
    if found["number"]:
        return f"{found['number']}\\{line[found.end() :]}"
    return "\\" + line


def code_span(text: str) -> str:
    """`text` between backticks, more of them than it holds in a row."""
    text = " ".join(text.split("\n"))
    if not text.strip():
        return ""
    if "`" not in text:
        return f"`{text}`"
    longest = max(len(run) for run in re.findall("`+", text))
    fence = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def join_pieces(pieces: Sequence[tuple[str, str]], *, line_break: str = "  \n") -> str:
    """Write pieces as Markdown: white space collapsed, emphasis closed before spaces."""
    out: list[tuple[str, str]] = []
    waiting: list[tuple[str, str]] = []  # opened, but nothing inside yet
    space = ""
    line_empty = True
    marked = False
    for kind, value in pieces:
        if kind == "open":
            waiting.append((kind, value))
        elif kind == "close":
            if waiting and waiting[-1][1] == value:
                waiting.pop()
            else:
                out.append((kind, value))
                marked = True
        elif kind == "break":
            if not line_empty:
                out.append(("text", line_break))
                line_empty, space = True, ""
        else:
            inner = value
            if kind == "text":
                value = _collapsed(value)
                inner = value.strip(_EDGE)
                if value[:1] in _EDGE and not line_empty:
                    space = " "
            if not inner:
                continue
            if space:
                out.append(("text", space))
            if waiting:
                out.extend(waiting)
                waiting, marked = [], True
            out.append(("text", inner))
            line_empty = False
            space = " " if kind == "text" and value[-1] in _EDGE else ""
    text = _written(out) if marked else "".join([value for _, value in out])
    return text.removesuffix(line_break).strip(_EDGE)


def _collapsed(value: str) -> str:
    """Text with its white space collapsed and its signs escaped."""
    if "\n" in value and not value.isascii():
        value = _CJK_BREAK.sub("", value)
    if _UNEVEN.search(value):
        value = _SPACE.sub(" ", value)
    return escape(value)


def _written(pieces: list[tuple[str, str]]) -> str:
    """Emphasis as signs where CommonMark would read them as such, else as HTML."""
    texts = [value if kind == "text" else "" for kind, value in pieces]
    stack: list[int] = []
    for number, (kind, value) in enumerate(pieces):
        if kind == "open":
            stack.append(number)
        elif kind == "close" and stack:
            start = stack.pop()
            sign = _SIGNS.get(value)
            if sign and _flanks(texts, start, number):
                texts[start] = texts[number] = sign
            else:
                texts[start], texts[number] = f"<{value}>", f"</{value}>"
    return "".join(texts)


def _flanks(texts: list[str], start: int, end: int) -> bool:
    before = _next(texts, start - 1, -1)[-1]
    first = _next(texts, start + 1, 1)[0]
    last = _next(texts, end - 1, -1)[-1]
    after = _next(texts, end + 1, 1)[0]
    # Signs side by side run into each other: ***a*** is read in more than one way.
    if before in "*~" or after in "*~" or first in "*~" or last in "*~":
        return False
    return _can_flank(first, before) and _can_flank(last, after)


def _next(texts: list[str], place: int, step: int) -> str:
    """The nearest text that is not empty; a space where there is none."""
    while 0 <= place < len(texts):
        if texts[place]:
            return texts[place]
        place += step
    return " "


def _can_flank(inner: str, outer: str) -> bool:
    """CommonMark's rule for a sign that stands between `outer` and `inner`."""
    if inner.isspace():
        return False
    return not _punctuation(inner) or outer.isspace() or _punctuation(outer)


def _punctuation(character: str) -> bool:
    return not character.isalnum() and unicodedata.category(character)[0] in "PS"
