"""Lines and blocks of Markdown, from what a walk over a page collects.

In: a line as pieces (text as the page has it, marks of emphasis, Markdown that is done), or blocks
of Markdown. Out: the line as Markdown; blocks within list items, quotations and notes; blocks
without sections in which nothing is left.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dsvl_data.read.blocks import Block, LostBlock, TextBlock
from dsvl_data.render.clean import clean_text
from dsvl_data.render.inline import escape, escape_line_start, join_pieces


def written(line: list[tuple[str, str]]) -> str:
    """A line of text as Markdown."""
    line = plain(line)
    if len(line) == 1 and line[0][0] == "text" and line[0][1].isascii():
        return escape_line_start(escape(line[0][1].strip()))
    text = join_pieces(line)
    if "\n" in text:
        return "\n".join(escape_line_start(each) for each in text.split("\n"))
    return escape_line_start(text) if text else ""


def plain(line: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The line with nothing in its texts that is not seen."""
    return [(kind, _seen(value) if kind == "text" else value) for kind, value in line]


def list_item(texts: Sequence[TextBlock], marker: str) -> str:
    """Blocks as one item of a list, its marker before the first line."""
    text = texts[0].markdown
    for block in texts[1:]:
        # Nested lists follow their line closely; other blocks stand apart.
        text += ("\n" if block.kind == "list" else "\n\n") + block.markdown
    return prefixed(text, marker, " " * len(marker))


def prefixed(text: str, first: str, rest: str) -> str:
    """Each line after a prefix: `first` for the first, `rest` for those that follow."""
    lines = text.split("\n")
    tail = [rest + line if line or rest.strip() else line for line in lines[1:]]
    return "\n".join(
        line.rstrip() if not line.strip() else line for line in [first + lines[0], *tail]
    )


def fenced(code: str, language: str) -> str:
    """Code between fences that it does not hold itself, without blank lines before or after."""
    lines = code.split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    code = "\n".join(lines).rstrip()
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"


def without_empty_sections(blocks: Sequence[Block]) -> list[Block]:
    """Leave out headings of sections in which nothing is left."""
    kept: list[Block] = []
    level = 6 + 1  # of the heading after this block, if nothing stands between; 0 at the end
    follows = 0
    for block in reversed(blocks):
        if isinstance(block, TextBlock) and block.kind == "heading":
            if follows <= block.level and follows != level:
                continue
            follows = block.level
        elif not isinstance(block, LostBlock):
            follows = level
        kept.append(block)
    kept.reverse()
    return kept


def _seen(text: str) -> str:
    text = clean_text(text)
    if text.isascii():  # what is not may end lines between wide characters
        return _evened(text)
    # A no-break space says where lines are not broken, which nobody asks here.
    return text.replace("\u00a0", " ")


def _evened(text: str) -> str:
    """ASCII text with its white space collapsed, that at its ends to one space."""
    core = " ".join(text.split())
    if not core:
        return " "
    if text[0].isspace():
        core = " " + core
    return core + " " if text[-1].isspace() else core
