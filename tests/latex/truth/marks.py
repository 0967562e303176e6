"""Page marks: invisible notes between the words of a TeX source, one a word.

In: a clean TeX source of the truth set. Out: the same source for TeX, where `\\pagemark{n}`
stands before word n and `\\wordend{n}` after it (TeX writes n and the page down when it ships
the page out), and for LaTeXML, where a private-use character says the page of the word that
follows. The marks stand after glue, where a whatsit breaks neither a kern nor hyphenation; the
build checks that no glyph moves.

The sources keep to a few habits, so that a scanner of one screen suffices: a word that begins
with a macro other than the font switches has no mark and is taken to stand where the word
before it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

#: A private-use character U+E000 + page precedes each word; this one follows it where the word
#: is broken over two pages (it begins on that page and ends on the next).
FIRST, LAST = 0xE000, 0xEFFF
STRADDLES = "\uf8f0"
MARKS = re.compile(f"[{chr(FIRST)}-{chr(LAST)}{STRADDLES}]")

PREAMBLE = r"""
\newwrite\pagemarks \immediate\openout\pagemarks=\jobname.marks
\newcount\truthpage
\AddToHook{shipout/before}{\global\advance\truthpage by 1 }
\protected\def\pagemark#1{\ifvmode\indent\fi\write\pagemarks{#1 \the\truthpage}}
\protected\def\wordend#1{\write\pagemarks{e#1 \the\truthpage}}
% Han characters: the glue that xeCJK would have put between the two.
\protected\def\hanmark#1{\CJKglue\write\pagemarks{#1 \the\truthpage}}
\protected\def\mathmark#1{\write\pagemarks{#1 \the\truthpage}}
\makeatletter
\AddToHook{package/listings/after}{%
  \lst@AddToHook{EveryLine}{%
    \edef\@tempa{\write\pagemarks{l\the\c@lstnumber\space\noexpand\the\truthpage}}\@tempa}}
\makeatother
"""

_VERBATIM = r"verbatim|lstlisting|tikzpicture|picture"
_DISPLAY = r"equation|align|gather|multline|eqnarray|displaymath|flalign"
_TOKEN = re.compile(
    r"(?P<comment>(?<!\\)%[^\n]*\n[ \t]*)"
    rf"|(?P<verbatim>\\begin\{{(?P<v>(?:{_VERBATIM})\*?)\}}.*?\\end\{{(?P=v)\}})"
    rf"|(?P<display>\\\[.*?\\\]|\\begin\{{(?P<d>(?:{_DISPLAY})\*?)\}}.*?\\end\{{(?P=d)\}})"
    r"|(?P<inline>\$[^$]+\$|\\\(.*?\\\))"
    r"|(?P<command>\\(?:[a-zA-Z@]+\*?|.))"
    r"|(?P<space>\s+)"
    r"|(?P<han>[\u3400-\u9fff])"
    r"|(?P<word>[^\s\\{}$&%~\[\]\u3400-\u9fff]+)"
    r"|(?P<other>.)",
    re.S,
)
#: Commands whose last argument is text, with the number of arguments before it.
_TEXT = {
    "footnote": 0, "footnotetext": 0, "title": 0, "author": 0, "thanks": 0, "multicolumn": 2,
    "affiliation": 0, "address": 0, "IEEEauthorblockN": 0, "IEEEauthorblockA": 0,
}  # fmt: skip
#: Text too, but it also goes into a table of contents or a running head: those get the clean one.
_MOVING = {"section", "subsection", "subsubsection", "paragraph", "chapter", "caption", "part"}
_FONTS = {"emph", "textit", "textbf", "texttt", "textsc", "textsf", "enquote"}
#: xeCJK sets these into the margin of a paragraph's first line, if it sees them.
_CJK_OPENING = "“‘《〈（「『"
_FONT = re.compile(rf"\s+\\(?:{'|'.join(_FONTS)})\b")
_CITES = re.compile(r"(?:cite|Cite|ref$|eqref|cref|Cref)")


@dataclass
class Marked:
    """A marked source, with the number of word marks in it."""

    tex: str
    words: int


@dataclass
class _Scanner:
    mark: Callable[[int, str], str]
    end: Callable[[int], str]
    line: Callable[[int, int], str]
    number: int = 0
    listings: int = 0
    #: IEEEtran's \\section takes no optional argument in an appendix (and has no contents).
    ieee: bool = False
    _after_han: bool = False
    out: list[str] = field(default_factory=list)

    def scan(self, text: str, *, open_: bool = True) -> None:
        """Append `text` with its marks; `open_` says that its first word may have one."""
        self._after_han = False
        at = 0
        while (match := _TOKEN.match(text, at)) is not None:
            at = match.end()
            token, kind = match.group(), match.lastgroup
            kind = {"v": "verbatim", "d": "display"}.get(str(kind), kind)
            if kind == "space":
                self.out.append(token)
                if token.count("\n") > 1:
                    self._after_han = False
                open_ = True
            elif kind == "comment":
                self.out.append(token)
            elif kind == "verbatim":
                self.out.append(self._listing(token))
                open_ = True
            elif kind == "display":
                start = re.match(r"\\\[|\\begin\{[a-z]+\*?\}(?:\\label\{[^}]*\})?", token)
                assert start is not None
                self.out += [start.group(), self._next("math"), token[start.end() :]]
                open_ = True
            elif kind == "command":
                at, open_ = self._command(text, token[1:], at, open_)
            elif kind == "other" and token in "&[]{}~":
                self.out.append(token)
                open_ = token == "&" or (token == "{" and open_)
            else:
                number = 0
                if kind == "han":
                    # xeCJK looks at what follows a space or a full stop: no mark comes between.
                    before = self.out[-1][-1:] if self.out else ""
                    if "\u3400" <= before <= "\u9fff" or (open_ and not self._after_han):
                        self._next_into(before)
                    self._after_han = True
                elif open_ and not self._after_han and token[0] not in _CJK_OPENING:
                    number = self._next_into("")
                self.out.append(token)
                if number and text[at : at + 1].isspace() and not _FONT.match(text, at):
                    self.out.append(self.end(number))
                open_ = False

    def _next_into(self, before: str) -> int:
        self.out.append(self._next("han" if before and before > "\u3400" else "word"))
        return self.number

    def _next(self, kind: str) -> str:
        self.number += 1
        return self.mark(self.number, kind)

    def _listing(self, token: str) -> str:
        if not token.startswith(r"\begin{lstlisting}"):
            return token
        self.listings += 1
        head, *lines, tail = token.split("\n")
        marked = [self.line(self.listings, i) + line for i, line in enumerate(lines, 1)]
        return "\n".join([head, *marked, tail])

    def _command(self, text: str, name: str, at: int, open_: bool) -> tuple[int, bool]:
        plain = name.rstrip("*")
        if plain in _FONTS and text[at : at + 1] == "{":
            # Within, for a font command adds an italic correction before the glue before it.
            end = _argument(text, at)
            self.out.append(f"\\{name}{{")
            self.scan(text[at + 1 : end - 1], open_=open_)
            self.out.append("}")
            return end, False
        if plain in _MOVING or plain in _TEXT:
            head = at
            for _ in range(_TEXT.get(plain, 0)):
                at = _argument(text, at)
            if text[at : at + 1] == "[":
                at = _argument(text, at)
            if text[at : at + 1] != "{":
                raise ValueError(f"\\{name} without its text: {text[at : at + 40]!r}")
            end = _argument(text, at)
            body = text[at + 1 : end - 1]
            given = text[head:at]
            moving = plain in _MOVING and not (self.ieee and plain == "section")
            if moving and not name.endswith("*") and not given:
                given = f"[{body}]"
            self.out.append(f"\\{name}{given}{{")
            self.scan(body)
            self.out.append("}")
            return end, plain not in {"footnote", "thanks", "footnotetext"} or open_
        if _CITES.match(plain):
            # The package cite looks at the glue before it, which must stay the last thing.
            if open_ and plain not in {"cite", "citep"}:
                self.out.append(self._next("word"))
            end = _arguments(text, at)
            self.out.append(f"\\{name}{text[at:end]}")
            return end, False
        if plain in {"item", "\\", "par", "newblock", "and", "qquad", "quad"}:
            end = _argument(text, at) if text[at : at + 1] == "[" and plain != "item" else at
            if plain == "item" and text[at : at + 1] == "[":
                end = _argument(text, at)
            self.out.append(f"\\{name}{text[at:end]}")
            return end, True
        end = _arguments(text, at) if len(name) > 1 and name not in {"noindent"} else at
        self.out.append(f"\\{name}{text[at:end]}")
        # An accent or an escaped sign is the beginning of a word.
        return end, (open_ or end > at) and (name[0].isalpha() or name == " ")


def _argument(text: str, at: int) -> int:
    """Where the group that opens at `at` ends."""
    opening = text[at]
    closing = {"{": "}", "[": "]"}[opening]
    depth = 0
    for i in range(at, len(text)):
        if text[i] == "\\":
            continue
        if i and text[i - 1] == "\\":
            continue
        if text[i] == "{" or text[i] == opening:
            depth += 1
        elif (text[i] == "}" or text[i] == closing) and (depth := depth - 1) == 0:
            return i + 1
    raise ValueError(f"no end of {text[at : at + 40]!r}")


def _arguments(text: str, at: int) -> int:
    while text[at : at + 1] in {"{", "["}:
        at = _argument(text, at)
    return at


def _split(source: str) -> tuple[str, str, str]:
    head, begin, rest = source.partition("\\begin{document}")
    body, end, tail = rest.partition("\\end{document}")
    return head + begin, body, end + tail


def for_tex(source: str) -> Marked:
    """The source whose run of TeX writes `JOB.marks`."""
    head, body, tail = _split(source)
    kinds = {"math": r"\mathmark{%d}", "han": r"\hanmark{%d}", "word": r"\pagemark{%d}"}
    scanner = _Scanner(
        mark=lambda number, kind: kinds[kind] % number,
        end=lambda number: rf"\wordend{{{number}}}",
        line=lambda listing, line: "",
        ieee="{IEEEtran}" in head,
    )
    scanner.scan(body)
    head = head.replace("\\begin{document}", PREAMBLE + "\\begin{document}")
    return Marked(head + "".join(scanner.out) + tail, scanner.number)


@dataclass(frozen=True)
class Pages:
    """Where each word, and each line of each listing, was shipped out."""

    word: Mapping[int, int]
    straddling: frozenset[int]
    line: Mapping[tuple[int, int], int]

    def dump(self) -> str:
        """As text: runs of words on one page, broken words, lines of code."""
        rows = [f"word {a} {b} {page}" for a, b, page in _runs(self.word)]
        rows += [f"broken {number}" for number in sorted(self.straddling)]
        for listing in sorted({k for k, _ in self.line}):
            lines = {i: page for (k, i), page in self.line.items() if k == listing}
            rows += [f"code {listing} {a} {b} {page}" for a, b, page in _runs(lines)]
        return "\n".join(rows) + "\n"

    @classmethod
    def load(cls, text: str) -> Pages:
        word: dict[int, int] = {}
        line: dict[tuple[int, int], int] = {}
        broken = set()
        for row in text.splitlines():
            kind, *rest = row.split()
            numbers = [int(n) for n in rest]
            if kind == "word":
                word.update(dict.fromkeys(range(numbers[0], numbers[1] + 1), numbers[2]))
            elif kind == "broken":
                broken.add(numbers[0])
            else:
                k, a, b, page = numbers
                line.update({(k, i): page for i in range(a, b + 1)})
        return cls(word, frozenset(broken), line)


def _runs(pages: Mapping[int, int]) -> Iterator[tuple[int, int, int]]:
    first = last = page = 0
    for number in sorted(pages):
        if number == last + 1 and pages[number] == page and first:
            last = number
            continue
        if first:
            yield first, last, page
        first = last = number
        page = pages[number]
    if first:
        yield first, last, page


def read_marks(text: str) -> Pages:
    """What TeX wrote down; a mark that was shipped twice (it can't be) is an error."""
    word: dict[int, int] = {}
    ends: dict[int, int] = {}
    line: dict[tuple[int, int], int] = {}
    listing, last = 0, 0
    for row in text.split("\n"):
        if not row.strip():
            continue
        name, page = row.split()
        if name[0] == "l":
            number = int(name[1:]) + 1  # counted before the line is
            if number <= last or not listing:
                listing += 1
            last = number
            line[listing, number] = int(page)
            continue
        target, number = (ends, int(name[1:])) if name[0] == "e" else (word, int(name))
        if target.get(number, int(page)) != int(page):
            raise ValueError(f"mark {name} stands on pages {target[number]} and {page}")
        target[number] = int(page)
    straddling = frozenset(n for n, page in ends.items() if page != word.get(n, page))
    return Pages(word, straddling, line)


def for_latexml(source: str, pages: Pages) -> str:
    """The source in which each word is preceded by its page as one private-use character."""

    def mark(number: int, kind: str) -> str:
        page = pages.word.get(number)
        if page is None:
            raise ValueError(f"TeX never shipped word {number}")
        return chr(FIRST + page) + (STRADDLES if number in pages.straddling else "")

    def line(listing: int, number: int) -> str:
        return chr(FIRST + pages.line[listing, number])

    head, body, tail = _split(source)
    scanner = _Scanner(mark=mark, end=lambda number: "", line=line, ieee="{IEEEtran}" in head)
    scanner.scan(body)
    return head + "".join(scanner.out) + tail


def strip(text: str) -> str:
    """`text` as if it had never been marked."""
    return MARKS.sub("", text)
