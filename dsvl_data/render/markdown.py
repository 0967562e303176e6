"""A page's text: the flow's tree, clipped to what the page shows, as Markdown.

In: a `Flow` and the position ranges of a page. Out: Markdown of exactly these characters.
A list item, table or footnote that began on an earlier page goes on without its marker,
header or label; a word is cut where the page cuts it; a formula is whole or absent.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from dsvl_data.render.flow import INVISIBLE, Flow, Node, Run
from dsvl_data.render.inline import (
    Piece,
    code_span,
    escape,
    escape_line_start,
    join_pieces,
)
from dsvl_data.render.markdown_table import write_cell, write_table

_INLINE_HTML = {"sup", "sub", "u", "ruby", "rt"}
_EMPHASIS = {"em", "strong", "s"}
_INLINE = _INLINE_HTML | _EMPHASIS | {"code", "span", "a", "br", "img", "math", "marker"}
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_LANGUAGE = re.compile(r"[\w+#.-]{1,30}$")
_MAX_SPAN = 100


def write_markdown(flow: Flow, ranges: Sequence[tuple[int, int]]) -> str:
    """Write the characters at `ranges` (sorted, disjoint) as Markdown."""
    writer = _Writer(ranges)
    return "\n\n".join(writer.blocks(flow.root))


def write_line(text: str) -> str:
    """Write a line that stands outside the flow, such as a running head."""
    return escape_line_start(escape(" ".join(text.split())))


class _Writer:
    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        self._ranges = ranges
        self._starts = [start for start, _ in ranges]

    def blocks(self, node: Node) -> list[str]:
        """The Markdown blocks of a container's children."""
        result: list[str] = []
        line: list[Node | Run] = []

        def end_line() -> None:
            text = self._line(line)
            if text:
                result.append(text)
            line.clear()

        for child in self._near(node.children):
            if isinstance(child, Run) or _is_inline(child):
                line.append(child)
                continue
            end_line()
            if child.tag == "hr":
                if self._inside(child.start):
                    result.append("---")
            elif self._shown(child):
                result.extend(block for block in self._block(child) if block)
        end_line()
        return result

    def _near(self, children: list[Node | Run]) -> list[Node | Run]:
        """The children that can be on the page: of a chapter's many blocks a few."""
        if len(children) < 16 or not self._ranges:
            return children
        first, last = self._ranges[0][0], self._ranges[-1][1]
        low = bisect_left(children, first, key=lambda child: child.end)
        return children[low : bisect_right(children, last, key=lambda child: child.start)]

    def _block(self, node: Node) -> list[str]:
        tag = node.tag
        if tag in _HEADINGS:
            text = join_pieces(list(self._pieces(node.children)), line_break=" ")
            return [f"{_HEADINGS[tag]} {text}"] if text else []
        if tag == "pre":
            return [self._code(node)]
        if tag == "math":
            return [_display_formula(node)]
        if tag in ("ul", "ol"):
            return [self._list(node)]
        if tag == "dl":
            return [self._definitions(node)]
        if tag == "table":
            return self._table(node)
        if tag == "blockquote":
            quoted = "\n\n".join(self.blocks(node))
            return [_prefixed(quoted, "> ", "> ")]
        if tag == "aside":
            text = "\n\n".join(self.blocks(node))
            label = _label(node)
            if label and self._has(node.start):
                return [_prefixed(text, f"[^{label}]: ", "    ")]
            return [text]
        return self.blocks(node)

    def _line(self, children: Sequence[Node | Run]) -> str:
        text = join_pieces(list(self._pieces(children)))
        return "\n".join(escape_line_start(line) for line in text.split("\n")) if text else ""

    def _pieces(self, children: Sequence[Node | Run], *, flat: bool = False) -> Iterator[Piece]:
        for child in children:
            if isinstance(child, Run):
                yield Piece("text", self._clip(child))
            elif child.tag == "br":
                if self._has(child.start - 1) or self._has(child.start):
                    yield Piece("break")
            elif not self._shown(child):
                continue
            elif child.tag == "marker":
                if flat:
                    yield from self._pieces(child.children)
                    yield Piece("text", " ")
            elif child.tag == "math":
                if self._has(child.start):
                    yield Piece("raw", _inline_formula(child))
            elif child.tag == "a":
                yield Piece("raw", f"[^{_label(child)}]")
            elif child.tag == "code":
                yield from _spaced(code_span(self._plain(child)), self._plain(child))
            elif child.tag in _EMPHASIS or child.tag in _INLINE_HTML:
                yield Piece("open", child.tag)
                yield from self._pieces(child.children, flat=flat)
                yield Piece("close", child.tag)
            elif flat and child.tag not in _INLINE:
                yield Piece("break")
                yield from self._pieces(child.children, flat=True)
                yield Piece("break")
            else:
                yield from self._pieces(child.children, flat=flat)

    def _code(self, node: Node) -> str:
        text = self._plain(node, whole_lines=True).strip("\n")
        longest = max((len(run) for run in re.findall("`+", text)), default=0)
        fence = "`" * max(3, longest + 1)
        language = node.attributes.get("data-lang", "")
        name = language if _LANGUAGE.match(language) else ""
        return f"{fence}{name}\n{text}\n{fence}"

    def _plain(self, node: Node, *, whole_lines: bool = False) -> str:
        parts = []
        for child in node.children:
            if isinstance(child, Run):
                parts.append(self._clip(child, whole_lines=whole_lines))
            elif child.tag == "br":
                parts.append("\n")
            elif child.tag != "marker":
                parts.append(self._plain(child, whole_lines=whole_lines))
        return "".join(parts)

    def _list(self, node: Node) -> str:
        items = []
        for item in node.nodes():
            if not self._shown(item):
                continue
            blocks = self.blocks(item)
            # Nested lists follow their line closely; other blocks stand apart.
            text = blocks[0] if blocks else ""
            closely = [_is_list(text), *(_is_list(block) for block in blocks[1:])]
            for block, nested in zip(blocks[1:], closely[1:], strict=True):
                text += ("\n" if nested else "\n\n") + block
            if self._has(item.start):
                marker = "- " if node.tag == "ul" else f"{item.attributes['marker']} "
                text = _prefixed(text, marker, " " * len(marker)) if text else marker.rstrip()
            elif text:
                text += "\n"  # or the next number would not start a list
            items.append(text)
        return "\n".join(items).rstrip("\n")

    def _definitions(self, node: Node) -> str:
        lines: list[str] = []
        for child in node.nodes():
            if child.tag == "div":
                lines.append(self._definitions(child))
            elif self._shown(child):
                text = "\n\n".join(self.blocks(child))
                if child.tag == "dd" and self._has(child.start):
                    text = _prefixed(text, ": ", "  ")
                elif lines:
                    text = "\n" + text
                lines.append(text)
        return "\n".join(lines).strip("\n")

    def _table(self, node: Node) -> list[str]:
        blocks = []
        rows: list[Node] = []
        for child in node.nodes():
            if child.tag == "caption" and self._shown(child):
                blocks.append("\n\n".join(self.blocks(child)))
            elif child.tag == "tr":
                rows.append(child)
            else:
                rows.extend(row for row in child.nodes() if row.tag == "tr")
        grid = self._grid(rows)
        columns = max((len(row) for row, _ in grid), default=0)
        while columns > 1 and not any("".join(row[columns - 1 :]) for row, _ in grid):
            columns -= 1
        if not columns:
            return blocks
        header = grid.pop(0)[0] if grid[0][1] else []
        blocks.append(write_table(header, (row for row, _ in grid), columns))
        return blocks

    def _grid(self, rows: list[Node]) -> list[tuple[list[str], bool]]:
        """The shown rows as texts, and whether each is a header; merged cells leave gaps."""
        below: dict[int, int] = {}  # column: rows that a cell from above still covers
        grid: list[tuple[list[str], bool]] = []
        for row in rows:
            texts: list[str] = []
            cells = [cell for cell in row.nodes() if cell.tag in ("td", "th")]
            for cell in cells:
                while below.get(len(texts), 0):
                    below[len(texts)] -= 1
                    texts.append("")
                width, height = _span(cell, "colspan"), _span(cell, "rowspan")
                for column in range(len(texts), len(texts) + width):
                    below[column] = height - 1
                texts += [self._cell(cell), *[""] * (width - 1)]
            for column in range(len(texts), max(below, default=-1) + 1):
                if below[column]:
                    below[column] -= 1
            if self._shown(row):
                header = not grid and bool(cells) and all(c.tag == "th" for c in cells)
                grid.append((texts, header and row is rows[0]))
        return grid

    def _cell(self, cell: Node) -> str:
        text = join_pieces(list(self._pieces(cell.children, flat=True)), line_break="<br>")
        return write_cell(text)

    def _clip(self, run: Run, *, whole_lines: bool = False) -> str:
        """The part of a run that the page shows; in code with its line's indentation."""
        if run.start == run.end:
            # White space: shown between two characters that are.
            near = self._has(run.start - 1) and self._has(run.start)
            return run.text if near else " " if run.text else ""
        parts = []
        indices: list[int] = []
        for start, end in self._overlaps(run.start, run.end):
            if start == run.start and end == run.end:
                return run.text
            if not indices:
                indices = [i for i, c in enumerate(run.text) if not INVISIBLE.match(c)]
            low = 0 if start == run.start else indices[start - run.start]
            high = len(run.text) if end == run.end else indices[end - 1 - run.start] + 1
            if whole_lines and start > run.start:
                while low and run.text[low - 1] in " \t":
                    low -= 1
            parts.append(run.text[low:high])
        return " ".join(parts)

    def _overlaps(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        for low, high in self._ranges[max(0, bisect_right(self._starts, start) - 1) :]:
            if low >= end:
                return
            if high > start:
                yield max(low, start), min(high, end)

    def _has(self, position: int) -> bool:
        return any(True for _ in self._overlaps(position, position + 1))

    def _inside(self, position: int) -> bool:
        return self._has(position - 1) and self._has(position)

    def _shown(self, node: Node) -> bool:
        if node.start == node.end:
            return node.tag == "tr" and self._inside(node.start)
        return any(True for _ in self._overlaps(node.start, node.end))


def _is_inline(node: Node) -> bool:
    if node.tag == "math":
        return node.attributes.get("display") != "block"
    return node.tag in _INLINE


def _is_list(block: str) -> bool:
    return bool(re.match(r"(- |\w{1,6}\. )", block))


def _spaced(markdown: str, text: str) -> Iterator[Piece]:
    if text[:1].isspace():
        yield Piece("text", " ")
    yield Piece("raw", markdown)
    if text[-1:].isspace():
        yield Piece("text", " ")


def _latex(node: Node) -> str:
    latex = " ".join(node.attributes.get("data-latex", "").split())
    if latex:
        return latex
    return "".join(child.text for child in node.children if isinstance(child, Run))


def _inline_formula(node: Node) -> str:
    if node.attributes.get("display") == "block":
        return f"$${_latex(node)}$$"
    return f"${_latex(node)}$"


def _display_formula(node: Node) -> str:
    return f"$$\n{_latex(node)}\n$$"


def _label(node: Node) -> str:
    return re.sub(r"[\[\]\s^]+", "", node.attributes.get("data-label", ""))


def _prefixed(text: str, first: str, rest: str) -> str:
    lines = text.split("\n")
    tail = [rest + line if line or rest.strip() else line for line in lines[1:]]
    return "\n".join(line if line.strip() else "" for line in [first + lines[0], *tail])


def _span(cell: Node, name: str) -> int:
    text = cell.attributes.get(name, "1")
    return min(max(int(text), 1), _MAX_SPAN) if text.isdigit() and text.isascii() else 1
