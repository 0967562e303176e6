"""Where page breaks cut blocks, and the Markdown of what lies between two cuts.

In: blocks, and for their words the pages that show them. Out: pieces of blocks, each on one
page. A word that a hyphen breaks over two pages is cut as the page shows it: "exam-" ends one
page's text and "ple" begins the next, because that is what a reader of the page sees.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Indel

from dsvl_data.latex.article import Block, Kind
from dsvl_data.latex.sequences import BlockWords, PdfStream
from dsvl_data.latex.words import CJK, key_of

BY_WORD = frozenset({Kind.PARAGRAPH, Kind.ITEM, Kind.FOOTNOTE, Kind.REFERENCE})
BY_LINE = frozenset({Kind.CODE, Kind.ALGORITHM, Kind.TABLE})

_MOST_LETTERS = 6000


@dataclass(frozen=True, slots=True)
class Unit:
    """The least that a page break leaves whole: words `first` to `end` (without) of a block.

    `start` is where it starts in the block's Markdown; -1 where that follows from its words.
    """

    block: int
    first: int
    end: int
    start: int = -1


@dataclass(frozen=True, slots=True)
class Piece:
    """The part `start:end` of a block's Markdown that page `page` shows.

    `broken` says that it ends within a word whose other half the next page shows.
    """

    block: int
    page: int
    start: int
    end: int
    broken: bool = False


def units_of(words: BlockWords) -> list[Unit]:
    """Cut blocks into units; every block has at least one."""
    units: list[Unit] = []
    for index, block in enumerate(words.blocks):
        first, end = words.first[index], words.first[index + 1]
        if block.kind in BY_WORD and end > first:
            start = first
            for i in range(first + 1, end + 1):
                formula = (
                    i < end
                    and words.words[i].opaque
                    and words.words[i].start == words.words[start].start
                )
                if not formula:
                    units.append(Unit(index, start, i, 0 if start == first else -1))
                    start = i
        elif block.kind in BY_LINE:
            units.extend(_lines(words, index))
        else:
            units.append(Unit(index, first, end, 0))
    return units


def _lines(words: BlockWords, index: int) -> Iterator[Unit]:
    """A unit a line; lines without words, an opening and a closing stay with their neighbour."""
    text = words.blocks[index].markdown
    first, end = words.first[index], words.first[index + 1]
    starts = [0, *(m.end() for m in re.finditer("\n", text))]
    bounds = [*starts[1:], len(text) + 1]
    i = first
    pending = 0  # where the unit being gathered starts
    found: list[Unit] = []
    for line_start, line_end in zip(starts, bounds, strict=True):
        low = i
        while i < end and words.words[i].start < line_end:
            i += 1
        if i > low and not text[line_start:line_end].lstrip().startswith("\\begin"):
            found.append(Unit(index, found[-1].end if found else first, i, pending))
            pending = line_end
    if not found:
        found.append(Unit(index, first, end, 0))
    yield from found


def place_units(
    units: Sequence[Unit],
    words: BlockWords,
    stream: PdfStream,
    pairs: Mapping[int, int],
    rest: Sequence[int],
) -> tuple[list[int], set[int]]:
    """The page of every unit, in order and never going back; and the units torn by a page break.

    `pairs` ties words to places in `rest`, the PDF's words that may belong to these blocks. What
    no match decides goes where its letters fit best.
    """
    pages = [-1] * len(units)
    lows, highs = [-1] * len(units), [-1] * len(units)
    torn: set[int] = set()
    for n, unit in enumerate(units):
        votes: Counter[int] = Counter()
        for i in range(unit.first, unit.end):
            j = pairs.get(i)
            if j is not None:
                votes[stream.page[rest[j]]] += 1
                lows[n] = j if lows[n] < 0 else lows[n]
                highs[n] = j
        if votes:
            pages[n] = votes.most_common(1)[0][0]
            if len(votes) > 1:
                torn.add(n)
    n = 0
    while n < len(units):
        if pages[n] >= 0:
            n += 1
            continue
        end = n
        while end < len(units) and pages[end] < 0:
            end += 1
        low = highs[n - 1] + 1 if n else 0
        high = lows[end] if end < len(units) else len(rest)
        from_page = pages[n - 1] if n else 0
        to_page = pages[end] if end < len(units) else max(len(stream.pages) - 1, from_page)
        pages[n:end] = _share(units[n:end], words, stream, rest[low:high], from_page, to_page)
        n = end
    return pages, torn


def pages_by_majority(units: Sequence[Unit], shown: Mapping[int, int]) -> list[int]:
    """The page of each unit of one block, `shown[i]` being that of word i; else its neighbour's."""
    pages: list[int] = []
    for unit in units:
        votes = Counter(shown[i] for i in _of(unit) if i in shown)
        pages.append(votes.most_common(1)[0][0] if votes else -1)
    known = [page for page in pages if page >= 0]
    last = known[0]
    for n, page in enumerate(pages):
        last = pages[n] = page if page >= 0 else last
    return pages


def _share(
    units: Sequence[Unit],
    words: BlockWords,
    stream: PdfStream,
    rest: Sequence[int],
    from_page: int,
    to_page: int,
) -> list[int]:
    """Share unmatched units out to pages so that most of their letters are on their page."""
    if from_page == to_page:
        return [from_page] * len(units)
    left, owner = _letters((words.words[i].key, n) for n, u in enumerate(units) for i in _of(u))
    right, page_of = _letters((stream.keys[j], stream.page[j]) for j in rest)
    found: list[Counter[int]] = [Counter() for _ in units]
    if len(left) <= _MOST_LETTERS and len(right) <= _MOST_LETTERS:
        for op in Indel.opcodes(left, right):
            if op.tag == "equal":
                for k in range(op.src_end - op.src_start):
                    found[owner[op.src_start + k]][page_of[op.dest_start + k]] += 1
    # Best non-decreasing row of pages; a break between blocks is worth a little more.
    span = range(from_page, to_page + 1)
    best = [0.0] * len(span)
    came: list[list[int]] = []
    for n, unit in enumerate(units):
        whole = n == 0 or units[n - 1].block != unit.block
        top, at = float("-inf"), 0
        new, back = [0.0] * len(span), [0] * len(span)
        for k in range(len(span)):
            stay = best[k]
            if top > stay:
                new[k], back[k] = top, at
            else:
                new[k], back[k] = stay, k
            turned = best[k] + (0.5 if whole else 0.0)
            if turned > top:
                top, at = turned, k
            new[k] += found[n][from_page + k]
        best = new
        came.append(back)
    # After the last unit a break is one between words at worst, between blocks at best.
    k = max(range(len(span)), key=lambda k: (best[k], k))
    result = []
    for back in reversed(came):
        result.append(from_page + k)
        k = back[k]
    return result[::-1]


def _of(unit: Unit) -> range:
    return range(unit.first, unit.end)


def _letters(keys: Iterator[tuple[str, int]]) -> tuple[str, list[int]]:
    text: list[str] = []
    owner: list[int] = []
    for key, of in keys:
        text.append(key)
        owner.extend([of] * len(key))
    return "".join(text), owner


def cut(
    units: Sequence[Unit],
    pages: Sequence[int],
    words: BlockWords,
    broken: Mapping[int, str],
) -> list[Piece]:
    """The pieces of blocks, in order; `broken[i]` is the first half of word i, if it is broken.

    Units with page -1 are left out.
    """
    pieces: list[Piece] = []
    start = 0
    for n, unit in enumerate(units):
        block = words.blocks[unit.block]
        if n == 0 or units[n - 1].block != unit.block:
            start = 0
        if n + 1 < len(units) and units[n + 1].block == unit.block:
            if pages[n + 1] == pages[n]:
                continue
            following = units[n + 1]
            end = following.start
            half = broken.get(unit.end - 1, "")
            if end < 0 and half:
                end = _within(block.markdown, words, unit.end - 1, half)
            elif end < 0:
                end = _between(
                    block.markdown,
                    words.words[unit.end - 1].end,
                    words.words[following.first].start,
                )
            if pages[n] >= 0:
                pieces.append(Piece(unit.block, pages[n], start, end, bool(half)))
            start = end
        elif pages[n] >= 0:
            half = broken.get(unit.end - 1, "") if unit.end > unit.first else ""
            if half and block.kind in BY_WORD:
                end = _within(block.markdown, words, unit.end - 1, half)
                pieces.append(Piece(unit.block, pages[n], start, end, broken=True))
                pieces.append(Piece(unit.block, pages[n] + 1, end, len(block.markdown)))
            else:
                pieces.append(Piece(unit.block, pages[n], start, len(block.markdown)))
    return pieces


def _within(text: str, words: BlockWords, index: int, half: str) -> int:
    """Where a broken word is cut, behind a hyphen of its own if it has one there."""
    word = words.words[index]
    count = 0
    at = word.start
    while at < word.end and count < len(half):
        count += len(key_of(text[at])) if text[at].isalnum() else 0
        at += 1
    while at < word.end and not text[at].isalnum():
        at += 1
    return at


def _between(text: str, low: int, high: int) -> int:
    """Where to cut between two words: behind the white space, else behind what closes."""
    gap = text[low:high]
    spaces = [m.end() for m in re.finditer(r"\s+", gap)]
    if spaces:
        return low + spaces[-1]
    opening = re.search(r"[(\[{“‘「『（《〈【*_`]+$", gap)
    if opening and (opening.start() > 0 or re.match(f"[{CJK}]", text[high : high + 1])):
        return low + opening.start()
    return high


_SPAN = re.compile(
    r"\\\(.*?\\\)|\\\[.*?\\\]|`[^`\n]+`|(?P<mark>\*\*|(?<![^\W_])_|_(?![^\W_]))", re.DOTALL
)


def _open_marks(text: str) -> list[str]:
    """The marks of emphasis that are open at the end of a text."""
    marks: list[str] = []
    for m in _SPAN.finditer(text):
        mark = m.group("mark")
        if mark and mark in marks:
            del marks[marks.index(mark) :]
        elif (mark and m.end() < len(text) and not text[m.end()].isspace()) or (
            mark and m.end() == len(text)
        ):
            marks.append(mark)
    return marks


def piece_text(block: Block, start: int, end: int, *, broken: bool = False) -> str:
    """The Markdown of a part of a block, whole in itself: spans and fences are closed again."""
    text = block.markdown
    part = text[start:end]
    if start == 0 and end >= len(text):
        return part.strip("\n")
    if block.kind in BY_LINE:
        return _lines_text(text, start, end)
    before = _open_marks(text[:start].rstrip()) if start else []
    inside = _open_marks(text[:end].rstrip()) if end < len(text) else []
    part = part.strip()
    for mark in reversed(inside):
        if part.endswith(mark) and not part.endswith("\\" + mark):
            part = part.removesuffix(mark).rstrip()
            continue
        part += ("-" if broken and part[-1:].isalnum() else "") + mark
        broken = False
    if broken and part[-1:].isalnum():
        part += "-"
    return "".join(before) + part


def _lines_text(text: str, start: int, end: int) -> str:
    """Some lines of code or of a table, inside the fence or environment of the whole."""
    part = text[start:end].strip("\n")
    if part.count("```") % 2:
        return f"{_fence(text)}\n{part}" if start else f"{part}\n```"
    if "```" in text and "```" not in part:
        return f"{_fence(text)}\n{part}\n```"
    opened, closed = text[:start].count("\\begin{tabular}"), text[:start].count("\\end{tabular}")
    if opened > closed:
        match = re.search(r"\\begin\{tabular\}\{[^\n]*\}", text)
        part = (match.group() if match else "\\begin{tabular}") + "\n" + part
    if part.count("\\begin{tabular}") > part.count("\\end{tabular}"):
        part += "\n\\end{tabular}"
    opened, closed = part.count("\\begin{table}"), part.count("\\end{table}")
    if opened > closed:
        part += "\n\\end{table}"
    elif closed > opened:
        part = "\\begin{table}\n" + part
    return part


def _fence(text: str) -> str:
    match = re.search(r"^```.*$", text, re.MULTILINE)
    return match.group() if match else "```"
