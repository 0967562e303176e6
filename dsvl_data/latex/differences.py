"""Where an aligned text and its page disagree: matches in, differences and mended citations out.

A difference lies between two words that both sides share, on one page. LaTeXML resolves
citations itself and may do it in another style than the journal's: there the page is right.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from dsvl_data.latex.article import Article, Block, Kind
from dsvl_data.latex.matching import Pair
from dsvl_data.latex.pdf_words import PdfLine
from dsvl_data.latex.sequences import BlockWords, PdfStream
from dsvl_data.latex.words import split_words

_AROUND = 12
_MOST_WORDS = 16  # a longer disagreement is missing text, not another spelling


class Source(StrEnum):
    """The field of `Article` that a block stands in."""

    FLOW = "flow"
    FLOATS = "floats"
    FOOTNOTES = "footnotes"


@dataclass(frozen=True, slots=True)
class Difference:
    """`block.markdown[start:end]` is `written`, where page `page` has `shown` instead.

    The block is number `index` of the article's `source`. Either text may be empty. `before` and
    `after` are what the page has around `shown`.
    """

    source: Source
    index: int
    block: Block
    start: int
    end: int
    page: int
    shown: str
    before: str = ""
    after: str = ""

    @property
    def written(self) -> str:
        """What the Markdown has."""
        return self.block.markdown[self.start : self.end]


def differences(
    source: Source, blocks: BlockWords, stream: PdfStream, pairs: Sequence[Pair]
) -> Iterator[Difference]:
    """The differences between neighbouring matches; words in formulas are no difference."""
    for (i, j), (a, b) in pairwise(pairs):
        if not (a - i > 1 or (b - j > 1 and blocks.blocks[blocks.block[a]].kind is Kind.HEADING)):
            continue
        if not 0 < b - j <= _MOST_WORDS or stream.page[j] != stream.page[b]:
            continue
        shown = stream.shown(j + 1, b)
        before, after = _around(stream, j + 1, b)
        by_block: dict[int, list[int]] = {}
        for k in range(i + 1, a):
            if not blocks.words[k].opaque:
                by_block.setdefault(blocks.block[k], []).append(k)
        heading = blocks.block[a]
        alone = b - j > 1 and not row_before(stream, j + 1)[0]  # no number of a page in a contents
        if not by_block and alone and blocks.block[i] != heading:
            start = blocks.words[a].start
            yield Difference(
                source,
                heading,
                blocks.blocks[heading],
                start,
                start,
                stream.page[b],
                shown,
                before,
                after,
            )
        for index, words in by_block.items():
            if len(words) <= _MOST_WORDS:
                yield Difference(
                    source,
                    index,
                    blocks.blocks[index],
                    blocks.words[words[0]].start,
                    blocks.words[words[-1]].end,
                    stream.page[b],
                    shown,
                    before,
                    after,
                )


def row_before(stream: PdfStream, place: int) -> tuple[str, str]:
    """What stands left of a word on its row; and, if that is nothing, the line above."""
    number, index = stream.page[place], stream.line[place]
    lines, words = stream.pages[number].lines, stream.pages[number].words
    start = end = stream.word[place]
    while start > 0 and words[start - 1].line == index:
        start -= 1
    text = " ".join(word.text for word in words[start:end])
    here = lines[index]
    above = index - 1
    while above >= 0 and _same_row(lines[above], here):
        text = f"{lines[above].text} {text}".strip()
        above -= 1
    if not text and above >= 0 and 0 < here.y1 - lines[above].y1 < 4 * here.size:
        return "", lines[above].text
    return text, ""


def _same_row(left: PdfLine, right: PdfLine) -> bool:
    return abs(left.y1 - right.y1) < 0.5 * right.size and left.x1 <= right.x0 + 1


def _around(stream: PdfStream, start: int, end: int) -> tuple[str, str]:
    """Some words of the page before and after a stretch, with the spaces that part them."""
    page = stream.page[end]
    low, high = max(start - _AROUND, stream.first[page]), min(end + _AROUND, stream.first[page + 1])
    before, shown, after = (
        stream.shown(low, start),
        stream.shown(start, end),
        stream.shown(end, high),
    )
    if shown and start > low and stream.word[start - 1] == stream.word[start]:
        before = before[: -len(stream.shown(start - 1, start))]  # parts of one word, shown whole
    elif before:
        before += " "
    if end < high and end > low and stream.word[end - 1] == stream.word[end]:
        after = after[len(stream.shown(end, end + 1)) :]
    elif after:
        after = " " + after
    return before, after


_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d[a-z]?\b")
_NUMBERS = re.compile(r"\[\d+[a-z]?(?:\s*[,;–\-]\s*\d+[a-z]?)*\]")
_NAMES = re.compile(r"[\[(]?[A-Z][\w'’\-]+.*?(?:1[5-9]|20)\d\d[a-z]?[\])]{0,2}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Edit:
    """`markdown[start:end]` of a block becomes `text`, because page `page` prints it so."""

    source: Source
    index: int
    start: int
    end: int
    text: str
    page: int


def mend(article: Article, edits: Iterable[Edit]) -> tuple[Article, Counter[int]]:
    """The article with its citations and numbers as the PDF prints them.

    Of edits that touch one another the first counts. Also returns how many each page has.
    """
    by_block: dict[tuple[Source, int], list[Edit]] = {}
    mended: Counter[int] = Counter()
    for edit in edits:
        others = by_block.setdefault((edit.source, edit.index), [])
        if all(edit.end < other.start or other.end < edit.start for other in others):
            others.append(edit)
            mended[edit.page] += 1
    if not mended:
        return article, mended
    fields: dict[Source, list[Block]] = {
        Source.FLOW: list(article.flow),
        Source.FLOATS: list(article.floats),
        Source.FOOTNOTES: list(article.footnotes),
    }
    for (source, index), changes in by_block.items():
        block = fields[source][index]
        text = block.markdown
        for edit in sorted(changes, key=lambda edit: edit.start, reverse=True):
            text = text[: edit.start] + edit.text + text[edit.end :]
        fields[source][index] = replace(block, markdown=text)
    return Article(*(tuple(fields[source]) for source in Source)), mended


def is_citation(text: str) -> bool:
    """Whether a text looks like a citation, in numbers or with names and a year."""
    return _NUMBERS.search(text) is not None or (
        _YEAR.search(text) is not None and re.search(r"[A-Z][^\W\d_]", text) is not None
    )


def difference_edits(found: Sequence[Difference]) -> Iterator[Edit]:
    """Citations, and numbers in the text, that the pages print otherwise."""
    for difference in found:
        change = _mended(difference)
        if change is not None:
            yield Edit(difference.source, difference.index, *change, difference.page)


_UNDEFINED = re.compile(r"(?:\\[a-zA-Z@]+|\{[a-zA-Z@*]+\}) ?")
_PROSE = frozenset((Kind.TITLE, Kind.HEADING, Kind.PARAGRAPH, Kind.ITEM, Kind.FOOTNOTE))


def unshown_names(
    source: Source, blocks: BlockWords, stream: PdfStream, pairs: Sequence[Pair]
) -> Iterator[Edit]:
    r"""Names that nothing defines (`\name`, `{name}`) where the page shows nothing at all.

    The page may have been given there what it must not show, such as a length; that text goes
    on to the next word proves that nothing is missing.
    """
    for (i, j), (a, b) in pairwise(pairs):
        if b != j + 1:
            continue
        here, there = blocks.block[i], blocks.block[a]
        found: list[Edit] = []
        named = 0  # words that are part of a name
        for index in range(here, there + 1):
            block = blocks.blocks[index]
            low = blocks.words[i].end if index == here else 0
            high = blocks.words[a].start if index == there else len(block.markdown)
            if low >= high or block.kind not in _PROSE:
                continue
            for m in _UNDEFINED.finditer(block.markdown, low, high):
                found.append(Edit(source, index, m.start(), m.end(), "", stream.page[j]))
                named += m.group().startswith("{") and len(split_words(m.group()))
        if named == a - i - 1:
            yield from found


def _mended(difference: Difference) -> tuple[int, int, str] | None:
    """How to mend a citation or a number in another style: start, end, new text."""
    text, start, end = difference.block.markdown, difference.start, difference.end
    if difference.block.kind is Kind.REFERENCE and start <= len(difference.block.number):
        return _reference_label(difference)
    if difference.block.kind in (Kind.TITLE, Kind.HEADING, Kind.CODE, Kind.ALGORITHM):
        return None
    if "\n" in text[start:end]:
        return None
    if text[start:end] == "and others" and (names := re.match(r"et al\b\.?", difference.shown)):
        return start, end, names.group()
    if (row := _numbers_cited(difference)) is not None:
        return row
    if (change := _date(difference) or _number_row(difference)) is not None:
        return change
    shown = _ONE_NUMBER.fullmatch(difference.shown.strip("()[]{}.,;:"))
    written = next((m for m in _ONE_NUMBER.finditer(text) if m.start() <= start < m.end()), None)
    if shown and written and end <= written.end() and written.group() != shown.group():
        return *written.span(), shown.group()
    # The brackets that hold it belong to it.
    while start > 0 and text[start - 1] in "([" and text[start - 1 : start + 1] != "](":
        start -= 1
    while end < len(text) and text[end] in ")]" and _unbalanced(text[start:end]):
        end += 1
    cited = text[start:end]
    if "\\" in cited:
        return None
    numbers, names = _NUMBERS.search(difference.shown), _NAMES.search(difference.shown)
    if numbers and _YEAR.search(cited) and not _NUMBERS.search(cited):
        return start, end, numbers.group()
    if names and _NUMBERS.fullmatch(cited):
        return start, end, _balanced(names.group(), difference.shown[names.end() :])
    return None


_ONE_NUMBER = re.compile(
    r"(?<![\w.\-])(?:(?:[A-Z][.\-]?)?\d+(?:[.\-]\d+)*[a-z]?|[IVXL]+(?:[.\-](?:[A-Z]|\d+))*|[A-Z])"
    r"(?![\w\-])"
)
_NUMBER_ROW = re.compile(
    rf"{_ONE_NUMBER.pattern}(?:(?:,|,? and|,? or| to|–)\s*{_ONE_NUMBER.pattern})*"
)
_MONTH = r"(?:[^\W\d_]{3,9}\.?)"
_DATE = re.compile(
    rf"\(?(?:[^\W\d_]+: ?)?(?:{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?|\d{{1,2}}\.? {_MONTH}),? "
    r"(?:19|20)\d\d\)?"
)


def _date(difference: Difference) -> tuple[int, int, str] | None:
    """A date, which may be the day on which the article was compiled."""
    shown = _DATE.search(difference.shown)
    if shown is None or not _DATE.fullmatch(difference.written.strip()):
        return None
    return difference.start, difference.end, shown.group()


def _number_row(difference: Difference) -> tuple[int, int, str] | None:
    """Several numbers, or one behind a word that both sides have: "Tables I and II"."""
    written, shown = difference.written, difference.shown.strip("()[]{}.,;: ")
    ours, theirs = written.split(" ", 1), shown.split(" ", 1)
    start = difference.start
    if len(ours) == len(theirs) == 2 and ours[0].isalpha() and ours[0] == theirs[0]:
        start, written, shown = start + len(ours[0]) + 1, ours[1], theirs[1]
    elif " " not in written:
        return None
    if not (_NUMBER_ROW.fullmatch(written) and _NUMBER_ROW.fullmatch(shown)):
        return None
    if len(_ONE_NUMBER.findall(written)) != len(_ONE_NUMBER.findall(shown)):
        return None
    return start, difference.end, shown


_CITED = r"\[[\d?][\d,;\s–\-?]*\]"
_CITED_ROW = re.compile(rf"{_CITED}(?:\s*[,;–\-]?\s*{_CITED})*")


def _numbers_cited(difference: Difference) -> tuple[int, int, str] | None:
    """A citation by numbers in another order or shorter: "[1–3]" for "[3, 1, 2]"."""
    low, high = len(difference.before), len(difference.before) + len(difference.shown)
    row = difference.before + difference.shown + difference.after
    ours = _overlapping(difference.block.markdown, difference.start, difference.end)
    theirs = _overlapping(row, low - 2, high + 2)  # over spaces and a full stop
    if ours is None or theirs is None:
        return None
    if ours.group() == theirs.group() or "?" in theirs.group():
        return None
    return *ours.span(), theirs.group()


def _overlapping(text: str, start: int, end: int) -> re.Match[str] | None:
    """The citation that lies over a stretch of text, if it is one."""
    found = [m for m in _CITED_ROW.finditer(text) if m.start() <= end and m.end() >= start]
    return found[0] if len(found) == 1 else None


def _reference_label(difference: Difference) -> tuple[int, int, str] | None:
    """The label of a bibliography's item: the style may print a number instead, or nothing."""
    label, text = difference.block.number, difference.block.markdown
    start = text.find(label) if label else -1
    if not 0 <= start <= 4 or difference.end > start + len(label) or "[" in text[:start]:
        return None
    shown = difference.shown.strip()
    if raised := re.fullmatch(r"(\d+)[A-Z]\.", shown):
        shown = raised[1]  # a raised number right before an initial
    if shown and not re.fullmatch(r"\[[^\[\]]+\]|\(\d+\)|\d+\.?", shown):
        return None
    if len(split_words(label)) > len(split_words(difference.written)):
        return None  # some of the label's words are there
    end = start + len(label)
    return (start, end, shown) if shown else (start, end + text[end:].startswith(" "), "")


def _unbalanced(text: str) -> bool:
    return text.count("(") > text.count(")") or text.count("[") > text.count("]")


def _balanced(text: str, following: str) -> str:
    while _unbalanced(text) and following[:1] in {")", "]"}:
        text, following = text + following[0], following[1:]
    return text
