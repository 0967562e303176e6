"""Markdown documents as HTML, so that they are read as every page is.

In: Markdown as manuals, notes and repositories have it: CommonMark with tables and strike-through,
HTML within, formulas in dollars or TeX's brackets, front matter in YAML. Out: an HTML document.
A picture that is alone in its paragraph is a figure, as pandoc has it, and its title, else its
description, the caption.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

_FRONT = re.compile(r"\A---[ \t]*\n(?P<matter>.{0,20000}?)\n(?:---|\.\.\.)[ \t]*\n", re.DOTALL)
_TITLE = re.compile(r"^title\s*:\s*(?P<title>.+?)\s*$", re.MULTILINE)
_ALONE = re.compile(r"<p>\s*(<img\b[^<>]*>)\s*</p>")
_IMAGE = re.compile(r'\b(alt|title)="([^"]*)"')
#: A description that names the file, or is a word, says nothing that a reader would be told.
_NO_CAPTION = re.compile(r".*\.(?:png|jpe?g|gif|svg|webp)|[\x21-\x7e]*", re.IGNORECASE)
_BRACKETS = (("\\(", "\\)", False), ("\\[", "\\]", True), ("$$", "$$", True))


def markdown_to_html(text: str) -> str:
    """Return a Markdown document as an HTML document."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    title = ""
    front = _FRONT.match(text)
    if front:
        text = text[front.end() :]
        named = _TITLE.search(front["matter"])
        title = named["title"].strip("\"'") if named else ""
    body = _ALONE.sub(_figure, str(_parser().render(text)))
    if title and "<h1" not in body:
        body = f"<h1>{escape(title)}</h1>\n{body}"
    return f"<html><body>{body}</body></html>"


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.block.ruler.before("fence", "formula", _block_rule, {"alt": ["paragraph"]})
    parser.inline.ruler.before("escape", "formula", _inline_rule)
    parser.add_render_rule("formula", _render)
    return parser


def _figure(match: re.Match[str]) -> str:
    given = dict(_IMAGE.findall(match[1]))
    caption = given.get("title") or given.get("alt") or ""
    if not given.get("title") and _NO_CAPTION.fullmatch(caption):
        return match[0]
    return f"<figure>{match[1]}<figcaption>{caption}</figcaption></figure>"


def _block_rule(state: StateBlock, line: int, last: int, silent: bool) -> bool:
    """A formula on lines of its own, from `$$` to `$$`: its lines are no lists or headings."""
    first = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip()
    if not first.startswith("$$") or state.is_code_block(line):
        return False
    end = line
    if len(first) < 5 or not first.endswith("$$"):
        for end in range(line + 1, last):
            if state.src[state.bMarks[end] : state.eMarks[end]].rstrip().endswith("$$"):
                break
        else:
            return False
    if silent:
        return True
    latex = state.getLines(line, end + 1, state.blkIndent, False).strip()[2:-2]
    _push(state, latex, True)
    state.line = end + 1
    return True


def _inline_rule(state: StateInline, silent: bool) -> bool:
    start, source = state.pos, state.src
    for left, right, display in _BRACKETS:
        if source.startswith(left, start):
            end = source.find(right, start + len(left), state.posMax)
            if end < start + len(left) + 1:
                return False
            return _take(state, start + len(left), end, end + len(right), display, silent)
    if source[start] != "$" or source[start + 1 : start + 2].isspace():
        return False
    # As pandoc has it: no space within the dollars, no digit after them, so prices are prices.
    end = start + 1
    while True:
        end = source.find("$", end, state.posMax)
        if end < 0 or "\n\n" in source[start:end] or "`" in source[start:end]:
            return False
        if source[end - 1] != "\\":
            break
        end += 1
    if end == start + 1 or source[end - 1].isspace() or source[end + 1 : end + 2].isdigit():
        return False
    return _take(state, start + 1, end, end + 1, False, silent)


def _take(
    state: StateInline, start: int, end: int, after: int, display: bool, silent: bool
) -> bool:
    if not silent:
        _push(state, state.src[start:end], display)
    state.pos = after
    return True


def _push(state: StateBlock | StateInline, latex: str, display: bool) -> None:
    token = state.push("formula", "", 0)
    token.content = latex
    token.meta = {"display": display}


def _render(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    latex, display = escape(tokens[index].content.strip()), tokens[index].meta["display"]
    left, right = ("\\[", "\\]") if display else ("\\(", "\\)")
    name = "display" if display else "inline"
    return f'<span class="math {name}">{left}{latex}{right}</span>'
