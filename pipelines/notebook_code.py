"""The code of a notebook figure: its language, its lines, and the code it needs to stand alone.

In: the sources of a notebook's code cells. Out: plain code without IPython's additions, the
number of its code lines, and, for a figure's cell, the earlier statements that it needs.

What becomes of IPython's additions in plain code (a cell's own source is never changed):

| in the notebook | in plain code |
|---|---|
| `%%time`, `%%capture` and other cell magics around Python | the body |
| `%%R`, `%%bash`, `%%html` ... | the body, in that language |
| `%time STATEMENT` | the statement, since it may bind names |
| `%pylab ...` | `from pylab import *` |
| other line magics, `!shell` lines, `name?`, `x = !ls` | nothing (`pass` inside a block) |
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.notebook_slice import Block, backward_slice

#: Cell magics whose body is not Python, and what it is.
_LANGUAGES = {
    "r": "r",
    "bash": "bash",
    "sh": "bash",
    "script": "bash",
    "cmd": "batch",
    "system": "bash",
    "!": "bash",
    "sx": "bash",
    "javascript": "javascript",
    "js": "javascript",
    "html": "html",
    "svg": "svg",
    "latex": "latex",
    "markdown": "markdown",
    "julia": "julia",
    "perl": "perl",
    "ruby": "ruby",
    "octave": "octave",
    "matlab": "matlab",
    "cython": "cython",
    "fortran": "fortran",
    "sql": "sql",
    "bigquery": "sql",
    "python2": "python2",
    "writefile": "text",
    "file": "text",
}
#: Cell magics around Python, with lines of their own or other magics below.
_AROUND_PYTHON = frozenset(
    ["time", "timeit", "capture", "prun", "px", "python", "python3", "memit", "snakeviz", "debug"]
)
_COMMENTS = {
    "#": "python python2 r julia bash perl ruby cython octave elixir yaml powershell coffeescript",
    "//": "javascript typescript c c++ scala go rust java c# f# kotlin swift php groovy",
    "--": "sql haskell lua",
    ";": "clojure scheme common-lisp racket",
    "%": "matlab prolog latex erlang",
    "!": "fortran",
}
_COMMENT_OF = {name: mark for mark, names in _COMMENTS.items() for name in names.split()}

_CELL_MAGIC = re.compile(r"\s*%%(\w+|!)[^\n]*(?:\n|\Z)")
_TIME = re.compile(r"(\s*)%time\s+(\S.*)")
_PYLAB = re.compile(r"\s*%pylab\b")
_LINE_MAGIC = re.compile(
    r"\s*(?:%[a-zA-Z]|!|\?)"  # %magic, !shell, ?help
    r"|\s*[\w.\[\]'\"]+\?{1,2}\s*$"  # name?
    r"|\s*[\w.,\s]+=\s*(?:!|%[a-zA-Z])"  # x = !ls, x = %magic
    r"|\s*(?:pip|conda) install\b|\s*(?:cd|ls|pwd)(?:\s+[^=(\s].*)?$"  # what IPython takes bare
)
_STRING_OR_BRACKET = re.compile(r"""#|\"{3}|'{3}|"|'|[\[({]|[\])}]""")


@dataclass(frozen=True, slots=True)
class Code:
    """Plain code of one cell: its language, its text, and how many lines of magic it lost."""

    language: str
    text: str
    magics: int = 0


@dataclass(frozen=True, slots=True)
class Standalone:
    """Code that can stand alone, as far as its notebook goes.

    `method` is `slice` (the statements that the figure needs) or `whole_cells` (everything
    before it: another language, or a cell that this Python cannot parse). `unresolved` are the
    names that nothing in the notebook defines.
    """

    text: str
    method: str
    unresolved: tuple[str, ...] = ()


def plain(source: str, language: str) -> Code:
    """Take IPython's additions out of a cell's source; `language` is the kernel's."""
    if language not in ("python", "ipython"):
        return Code(language, source.strip("\n"))
    lost = 0
    while (magic := _CELL_MAGIC.match(source)) is not None:
        name = magic[1].lower()
        body = source[magic.end() :]
        if name in _LANGUAGES:
            return Code(_LANGUAGES[name], body.strip("\n"), lost + 1)
        if name not in _AROUND_PYTHON and not _parses(_without_magics(body)[0]):
            return Code(name, body.strip("\n"), lost + 1)
        source, lost = body, lost + 1
    if _parses(source):
        return Code("python", source.strip("\n"), lost)
    text, lines = _without_magics(source)
    return Code("python", text.strip("\n"), lost + lines)


def count_lines(code: Code) -> int:
    """Count the lines that do something: no blank lines, comments, docstrings or magics."""
    if code.language == "python":
        try:
            return _python_lines(code.text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass  # Python 2, or half a program: counted by its look, below
    mark = _COMMENT_OF.get(code.language, "#")
    lines = (line.strip() for line in code.text.splitlines())
    return sum(1 for line in lines if line and not line.startswith(mark))


def standalone(cells: Sequence[Code]) -> Standalone:
    """Return what the last of `cells`, a notebook's code up to a figure, needs to run alone.

    For Python the backward slice, else all cells of that language. The text of a slice always
    parses, and ends with the figure's cell.
    """
    last = cells[-1]
    same = [cell for cell in cells if cell.language == last.language and cell.text.strip()]
    blocks = []
    if last.language == "python":
        for cell in same:
            tree = _parse(cell.text)
            if tree is None:
                break
            blocks.append(Block(cell.text, tree))
    if last.language == "python" and blocks and len(blocks) == len(same):
        found = backward_slice(blocks)
        if _parses(found.text):
            return Standalone(found.text, "slice", found.unresolved)
    return Standalone("\n\n".join(cell.text for cell in same), "whole_cells")


def comments(code: Code) -> str:
    """Return the words of a cell's comments, a line each: what tells its natural language."""
    mark = re.escape(_COMMENT_OF.get(code.language, "#"))
    found = re.findall(rf"(?:^|\s){mark}+[ \t]*([^\n]+)", code.text)
    return "\n".join(text.strip() for text in found)


def _python_lines(text: str) -> int:
    tree = _parse(text)
    if tree is None:
        raise SyntaxError("not this Python")
    lines: set[int] = set()
    blank = {i for i, line in enumerate(text.splitlines(), 1) if not line.strip()}
    skipped = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines - blank)


def _without_magics(source: str) -> tuple[str, int]:
    """The source without line magics and shell lines, and how many lines went."""
    lines: list[str] = []
    lost = 0
    shell = False  # inside a shell line that goes on after a backslash
    for line, starts in _logical_starts(source.split("\n")):
        if shell or (starts and _LINE_MAGIC.match(line)):
            indent = line[: len(line) - len(line.lstrip())]
            timed = None if shell else _TIME.fullmatch(line)
            if timed is not None:
                lines.append(timed[1] + timed[2])
            elif not shell and _PYLAB.match(line):
                lines.append(indent + "from pylab import *")
            elif indent and not shell:
                lines.append(indent + "pass")
            lost += 1
            shell = line.endswith("\\")
        else:
            lines.append(line)
    return "\n".join(lines), lost


def _logical_starts(lines: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Each line, and whether a statement may start there: not inside a string or bracket."""
    depth, quote, continued = 0, "", False
    for line in lines:
        starts = depth == 0 and not quote and not continued
        yield line, starts
        if starts and _LINE_MAGIC.match(line):
            continue
        position = 0
        while position < len(line):
            if quote:
                end = re.compile(rf"(?:\\.|[^\\])*?{quote}").match(line, position)
                if end is None:
                    break
                position, quote = end.end(), ""
                continue
            piece = _STRING_OR_BRACKET.search(line, position)
            if piece is None or piece[0] == "#":
                break
            position = piece.end()
            if piece[0] in "[({":
                depth += 1
            elif piece[0] in "])}":
                depth = max(0, depth - 1)
            else:
                quote = piece[0]
        continued = line.endswith("\\")
        if len(quote) == 1 and not continued:
            quote = ""  # an unfinished string ends with its line


def _parse(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in somebody's string is no concern of ours
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _parses(text: str) -> bool:
    return _parse(text) is not None
