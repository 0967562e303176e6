"""The prose of a text: what rules about language may count.

In: a text, plain or Markdown, of any size and from anybody. Out: its lines without code,
formulas, tables, pictures, addresses, HTML and Markdown's own marks, and its words.

Rules that were made for web pages in English count words and signs. A program, a formula and a
table have other words and other signs, so they are left out before anything is counted: a text
that is nothing else has no prose, and no rule judges it. Where something stood inside of a line,
U+FFFC stands; what touches it is no word.

Every search here takes time linear in the text: a closing mark is looked for within a bound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

#: Stands for what was left out of a line (OBJECT REPLACEMENT CHARACTER).
LEFT_OUT = "\ufffc"
#: Characters of a word in a script without spaces. Chinese words in running text have one or two
#: characters, most of them two, so two are counted as a word, Japanese and Thai alike: which
#: pairs are words is not asked (that takes a dictionary, and a new one for classical Chinese).
CHARACTERS_PER_WORD = 2

_SPACELESS = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u104f\u1780-\u17d3"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"  # kana, and Han's signs
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_EASTERN_MARKS = (
    "\u3001-\u3004\u3008-\u3030\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
)
_TOKEN = re.compile(f"[{_SPACELESS}]|[^\\s{_SPACELESS}{_EASTERN_MARKS}]+")
_SPACELESS_CHARACTER = re.compile(f"[{_SPACELESS}]")

# (what opens it, what closes it, the most characters between, whether it fills whole lines)
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*$", re.MULTILINE)
_ENVIRONMENTS = (
    "equation|align|gather|multline|eqnarray|displaymath|math|array|matrix|tabular|table|tikzpicture|"
    "verbatim|lstlisting|minted|algorithm|algorithmic|thebibliography"
)
_SPANS: tuple[tuple[re.Pattern[str], str, int], ...] = (
    (re.compile(r"<!--"), "-->", 20_000),
    (re.compile(r"<table\b", re.I), "</table>", 200_000),
    (re.compile(r"<style\b", re.I), "</style>", 200_000),
    (re.compile(r"<script\b", re.I), "</script>", 200_000),
    (re.compile(r"<pre\b", re.I), "</pre>", 200_000),
    (re.compile(r"<math\b", re.I), "</math>", 20_000),
    (re.compile(r"<svg\b", re.I), "</svg>", 200_000),
    (re.compile(r"\$\$"), "$$", 10_000),
    (re.compile(r"\\\["), "\\]", 10_000),
    (re.compile(r"\\\("), "\\)", 2_000),
)
_BEGIN = re.compile(rf"\\begin\{{((?:{_ENVIRONMENTS})\*?)\}}")
_FORMULA = re.compile(r"(?<![\\$\w])\$(?![\s$])[^$\n]{1,300}(?<![\s\\])\$(?![\d$])")
_CODE_SPAN = re.compile(r"(?<!`)(`{1,2})(?!`)[^`\n]{1,300}\1(?!`)")
_PICTURE = re.compile(r"!\[[^\[\]\n]{0,500}\]\([^()\n]{0,500}\)")
_LINK = re.compile(r"\[([^\[\]\n]{1,500})\]\([^()\n]{1,500}\)")
_WEB_ADDRESS = re.compile(r"<?\b(?:https?|ftp)://[^\s<>\"]+>?|\bwww\.[^\s<>\"]+")
_MAIL_ADDRESS = re.compile(r"(?<!\S)[^\s@]{1,100}@[^\s@]{3,100}")
_TAG = re.compile(r"\\?</?[a-zA-Z][\w:-]{0,30}(?:\s[^<>]{0,1000})?/?>")
_BREAK = re.compile(r"<(?:br|/p|/div|/li|/tr|/h[1-6]|/option|/title)\b[^<>]{0,200}>", re.I)

_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]+")
_QUOTE = re.compile(r"(?:[ \t]*>[ \t]?)+")
_BULLET = re.compile(r"[ \t]*(?:[-*+•‣◦▪·●○■□–—][ \t]+|[•‣◦▪●○■□])")
_NUMBER = re.compile(
    r"[ \t]*(?::[ \t]+)?(?:(?:\d{1,3}\\?\.){1,6}\d{0,3}|\d{1,3}\)|\([\da-zA-Z]{1,3}\)|[a-zA-Z][.)])"
    r"(?:[ \t]+|$)"
)
_EMPHASIS = re.compile(r"(?<!\w)[*_]{1,3}(?=\S)|(?<=\S)[*_]{1,3}(?!\w)|~~")
_RULE = re.compile(r"[\s\-=_*+~.:|#─━═│┌┐└┘├┤┬┴┼]*")
_CELLS = re.compile(r"(?:^|(?<=\s))[|│&](?=\s|$)|\t")
_VALUES = re.compile(r"[^,;\s]*(?:[,;][^,;\s]+){3,}")

# A line that a program would have and prose would not; see `_is_code`.
_CODE_LINE = re.compile(
    r"""[ \t]*(?:
      (?:from[ ][\w.]+[ ])?import[ ][\w.*{}]+(?:[ ]as[ ]\w+)?(?:,[ ]*\w+)*;?$
    | (?:async[ ])?(?:def|class|func|fn|function)[ ]\w+.*[:({]\s*$
    | (?:public|private|protected|static|void|const|let|var|return|using|package)\b.*[;{]$
    | (?:if|elif|else|for|while|with|try|except|switch|case)\b[^.]*[({\[=][^.]*[:{]$
    | (?:else|try|finally|do)\s*[:{]$
    | (?:return|raise|yield|assert|print|echo|exit|break|continue|pass)$
    | .*[\w)\]}"'][ ]?[;{]$
    | [\])};,\s]+$
    | [\w.\[\]"'$@]+(?:[ ]*,[ ]*[\w.\[\]"']+)*[ ]?(?:[-+*/|&:]?=|<-|:=|=>|->)[ ]?\S
    | [\w.]{2,60}\([^ ].{0,200}[),;:({\[]$
    | [\w.]{2,60}!?\([^ ].{0,200}\)\s*(?:=|$)
    | [\w.]{2,60}\(\)[\w.()]*[;:]?$
    | for[ ]\w+(?:,[ ]?\w+)*[ ]in[ ]\S+$ | (?:end|fi|done|esac|then|begin)$
    | ["'][\w .:/-]{1,60}["'][ ]?:[ ]?\S
    | @\w+(?:\.\w+)*(?:\(.*\))?$
    | \#include\b | //(?!\S*\.\w) | /\*\* | \#!/ | >>>[ ] | \.\.\.[ ]{2,} | \$[ ]\w
    | (?:sudo|apt-get|apt|pip|git|cd|ls|cp|mv|rm|mkdir|export|dpkg|make|curl|wget|docker)
      [ ][\w./~$<"-]+(?:[ ][-./~$\w=]+)*$
    | \\[a-zA-Z]+(?:\[[^\]\n]{0,200}\])?(?:\{[^{}\n]{0,500}\})*\s*$
    | [.\#]?[\w-]+(?:[ ]?[,>+ ][ ]?[.\#:]?[\w-]+){0,6}\s*\{
    )""",
    re.VERBOSE,
)
_BLANK = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of prose, without its marks, and whether it is an item of a list."""

    text: str
    bullet: bool


@dataclass(frozen=True)
class Prose:
    """What is left of a text: paragraphs of lines, none of them empty.

    `total` counts the characters of the whole text but white space.
    """

    paragraphs: Sequence[Sequence[Line]]
    total: int

    @cached_property
    def lines(self) -> list[Line]:
        """All lines."""
        return [line for paragraph in self.paragraphs for line in paragraph]

    @cached_property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(line.text for line in self.lines)

    @cached_property
    def tokens(self) -> list[str]:
        """Words of scripts with spaces, as they stand; single characters of the others."""
        return line_tokens(self.text)

    @cached_property
    def spaceless(self) -> int:
        """How many tokens are characters of a script without spaces."""
        return len(_SPACELESS_CHARACTER.findall(self.text))

    @property
    def words(self) -> float:
        """The number of words; of a script without spaces two characters are one."""
        return len(self.tokens) - self.spaceless + self.spaceless / CHARACTERS_PER_WORD

    @property
    def share(self) -> float:
        """How much of the text is prose, 0 to 1."""
        kept = sum(len(line.text) - line.text.count(" ") for line in self.lines)
        return min(kept / self.total, 1.0) if self.total else 0.0


def line_tokens(text: str) -> list[str]:
    """Part prose into words and single characters; see `Prose.tokens`."""
    return [token for token in _TOKEN.findall(text) if LEFT_OUT not in token]


def count_spaceless(text: str) -> int:
    """Count the characters of scripts that are written without spaces."""
    return 0 if text.isascii() else len(_SPACELESS_CHARACTER.findall(text))


def read_prose(text: str) -> Prose:
    """Find the prose of a text."""
    total = sum(map(len, text.split()))
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _without_inline(_without_blocks(text))
    paragraphs = []
    for block in _BLANK.split(text):
        lines = [line for line in block.split("\n") if line.strip()]
        if not lines or _is_code(lines):
            continue
        paragraph = [clean for line in lines if (clean := _clean(line)) is not None]
        if paragraph:
            paragraphs.append(paragraph)
    return Prose(paragraphs, total)


def blank_literals(text: str) -> str:
    """Overwrite code, formulas, tags and web addresses by U+FFFC: what is left keeps its place."""
    text = _without_blocks(text, _same_length)
    for pattern in (_CODE_SPAN, _FORMULA, _WEB_ADDRESS, _TAG):
        text = pattern.sub(lambda match: _same_length(match.group()), text)
    return text


def _mark(_: str) -> str:
    return LEFT_OUT


def _same_length(text: str) -> str:
    return "\n".join(LEFT_OUT * len(line) for line in text.split("\n"))


def _without_blocks(text: str, instead: Callable[[str], str] = _mark) -> str:
    if "```" in text or "~~~" in text:
        text = _without_fences(text, instead)
    for opening, closing, most in _SPANS:
        if closing in text or closing in text.lower():
            text = _cut(text, opening, closing, most, instead)
    if "\\begin{" in text:
        text = _without_environments(text, instead)
    return text


def _without_fences(text: str, instead: Callable[[str], str]) -> str:
    kept: list[str] = []
    fence = ""
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if fence:
            if match and match[1].startswith(fence) and match.end(1) == len(line.rstrip()):
                fence = ""
        elif match:
            fence = match[1]
        else:
            kept.append(line)
            continue
        kept.append(instead(line))
    return "\n".join(kept)


def _cut(
    text: str, opening: re.Pattern[str], closing: str, most: int, instead: Callable[[str], str]
) -> str:
    folded = text.lower() if closing.startswith("</") else text
    if len(folded) != len(text):  # lower case can be longer: then only exact tags are found
        folded = text
    pieces, start, position = [], 0, 0
    while match := opening.search(text, position):
        end = folded.find(closing, match.end(), match.end() + most)
        if end < 0:
            position = match.end()
            continue
        end += len(closing)
        pieces += [text[start : match.start()], instead(text[match.start() : end])]
        start = position = end
    return "".join(pieces) + text[start:]


def _without_environments(text: str, instead: Callable[[str], str]) -> str:
    pieces, start, position = [], 0, 0
    while match := _BEGIN.search(text, position):
        closing = f"\\end{{{match[1]}}}"
        end = text.find(closing, match.end(), match.end() + 50_000)
        if end < 0:
            position = match.end()
            continue
        end += len(closing)
        pieces += [text[start : match.start()], instead(text[match.start() : end])]
        start = position = end
    return "".join(pieces) + text[start:]


def _without_inline(text: str) -> str:
    if "`" in text:
        text = _CODE_SPAN.sub(LEFT_OUT, text)
    if "$" in text:
        text = _FORMULA.sub(LEFT_OUT, text)
    if "](" in text:
        text = _LINK.sub(r"\1", _PICTURE.sub(LEFT_OUT, text))
    if "://" in text or "www." in text:
        text = _WEB_ADDRESS.sub(LEFT_OUT, text)
    if "@" in text:
        text = _MAIL_ADDRESS.sub(LEFT_OUT, text)
    if "<" in text and ">" in text:
        text = _TAG.sub("", _BREAK.sub("\n", text))
    return text


def _is_code(lines: Sequence[str]) -> bool:
    """Whether a block of lines is a program or a listing: half of its lines look like one's."""
    return 2 * sum(1 for line in lines if _CODE_LINE.match(line[:400])) >= len(lines)


def _clean(line: str) -> Line | None:
    """A line without its marks; None for rows of tables, rules and what has no character left."""
    if _RULE.fullmatch(line) and not line.strip().startswith("."):
        return None
    bare = line.strip(" ")
    if len(_CELLS.findall(bare)) >= 2 or (len(bare) > 2 and bare[0] == bare[-1] == "|"):
        return None
    if _VALUES.fullmatch(bare):
        return None
    if "(" not in line and _CODE_LINE.match(line[:400]) and line.rstrip().endswith((";", "{", "}")):
        return None
    if quote := _QUOTE.match(line):
        line = line[quote.end() :]
    bullet = False
    if heading := _HEADING.match(line):
        line = line[heading.end() :]
    elif item := _BULLET.match(line):
        line, bullet = line[item.end() :], True
    if number := _NUMBER.match(line):  # of a heading, or of an item of a list
        line = line[number.end() :]
    line = _EMPHASIS.sub("", line).strip()
    return Line(line, bullet) if line.strip(LEFT_OUT + " .,;:、，。；：") else None
