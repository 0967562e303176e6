"""Whether a page's text may stand beside its image: an aligned page in, its faults out.

Every fault has a reason of its own, because a user of the corpus asks first why pages are gone.
The scores themselves stay on the `AlignedPage`; the thresholds here are settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dsvl_data.latex.aligned import AlignedPage
from dsvl_data.latex.article import Block, Kind
from dsvl_data.latex.differences import Difference, Source, is_citation
from dsvl_data.latex.pdf_words import FLOAT_NAMES, PdfPage
from dsvl_data.latex.words import UNRESOLVED, fold
from dsvl_data.outcome import Reason


@dataclass(frozen=True, slots=True)
class Gates:
    """What a page must reach; the defaults keep 98 of 100 accepted pages exact on the truth set.

    `precision` and `coverage` as in `AlignedPage`; `edge` words at either end may be uncertain;
    a page with fewer than `words` words has no text to speak of; `foreign` words may be such that
    the page has nowhere (two spellings of a name, a word that the font garbles).
    """

    precision: float = 0.9
    coverage: float = 0.9
    edge: int = 2
    words: int = 8
    foreign: int = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a page is not accepted, and what was seen."""

    reason: Reason
    detail: str


DEFAULT_GATES = Gates()


def check_page(aligned: AlignedPage, page: PdfPage, gates: Gates = DEFAULT_GATES) -> list[Fault]:
    """All faults of a page, the gravest kind of doubt first; none means that it is accepted."""
    faults: list[Fault] = []
    if aligned.words < gates.words:
        faults.append(Fault(Reason.NO_TEXT, f"{aligned.words} words"))
    if aligned.precision < gates.precision:
        faults.append(Fault(Reason.LOW_PRECISION, f"{aligned.precision:.3f}"))
    if len(aligned.foreign) > gates.foreign:
        few = " ".join(aligned.foreign[:6])
        faults.append(Fault(Reason.FOREIGN_WORDS, _short(f"{len(aligned.foreign)}: {few}")))
    if aligned.coverage < gates.coverage:
        faults.append(Fault(Reason.LOW_COVERAGE, f"{aligned.coverage:.3f}"))
    if max(aligned.top, aligned.bottom) > gates.edge:
        detail = f"{aligned.top} words at the top, {aligned.bottom} at the bottom"
        faults.append(Fault(Reason.LOOSE_EDGE, detail))
    if aligned.unseen:
        faults.append(Fault(Reason.MISSING_HEADING, _short(aligned.unseen[0])))
    if aligned.torn:
        faults.append(Fault(Reason.TORN_BLOCK, f"{aligned.torn} blocks"))
    for difference in aligned.differences:
        faults.extend(_numbers(difference, page))
    faults.extend(_unresolved(aligned, page))
    faults.extend(_equations(aligned, page))
    faults.extend(_captions(aligned, page))
    return faults


_DIGITS = re.compile(r"\d+")
_UNCITED = re.compile(r"\[\s*\?+\s*\]|\(\s*\?+\s*\)|\?\?")


def _numbers(difference: Difference, page: PdfPage) -> Iterator[Fault]:
    """Numbers of the text for which the page has another, or none."""
    written, shown = difference.written, difference.shown
    detail = f"{_short(written)!r} where the page shows {_short(shown)!r}"
    ours, theirs = _DIGITS.findall(fold(written)), _DIGITS.findall(fold(shown))
    if ours and _UNCITED.search(shown):
        yield Fault(Reason.UNRESOLVED_REFERENCE, detail)
    elif ours and not _within(ours, theirs) and _cites(difference):
        yield Fault(Reason.CITATION_STYLE, detail)
    elif difference.block.kind is Kind.HEADING:
        missing = not written and re.match(r"\W*(?:[A-Z][.\s]|\d)", shown)
        if missing or not _within(ours, theirs):
            yield Fault(Reason.HEADING_NUMBER, detail)
    elif difference.block.kind is Kind.FORMULA and _numbered(ours, page):
        return  # the page has it, on the other side of its formula
    elif not _within(ours, theirs):
        reason = Reason.REFERENCE_NUMBER
        if difference.block.kind is Kind.FORMULA:
            reason = Reason.EQUATION_NUMBER
        elif difference.source is Source.FLOATS and _labels(difference):
            reason = Reason.CAPTION_NUMBER
        yield Fault(reason, detail)


def _numbered(ours: list[str], page: PdfPage) -> bool:
    shown = {digits for number in page.equations for digits in _DIGITS.findall(number)}
    return shown.issuperset(ours)


def _cites(difference: Difference) -> bool:
    """Whether a difference is a citation, or a part of one in brackets."""
    text, start = difference.block.markdown, difference.start
    inside = re.search(r"\[[\d,;\s–-]*$", text[:start]) and re.match(r"[\d,;\s–-]*\]", text[start:])
    year = re.search(r"(?:1[5-9]|20)\d\d", difference.written)
    return (
        inside is not None
        or is_citation(difference.shown)
        or (year is not None and is_citation(difference.written) and "(" in difference.written)
    )


def _within(ours: list[str], theirs: list[str]) -> bool:
    """Whether our numbers are all there, in order; "10 000" and "10000" are one number."""
    rest = iter(theirs)
    return all(number in rest for number in ours) or "".join(ours) in "".join(theirs)


def _labels(difference: Difference) -> bool:
    """Whether a difference lies in a caption's label: "Figure 3"."""
    before = difference.block.markdown[: difference.start].rstrip(" .~*_")
    return re.search(r"(?:^|\W)(\w+)$", before) is not None and (
        re.findall(r"\w+", before)[-1].lower() in FLOAT_NAMES
    )


def _unresolved(aligned: AlignedPage, page: PdfPage) -> Iterator[Fault]:
    """References that TeX could not resolve when it made this PDF, or LaTeXML can't."""
    on_page = sum(word.text.count(UNRESOLVED) for word in page.words)
    in_text = aligned.text.count(UNRESOLVED)
    seen = any(UNRESOLVED in difference.shown for difference in aligned.differences)
    if on_page > in_text and not seen:
        yield Fault(Reason.UNRESOLVED_REFERENCE, f"{on_page} on the page, {in_text} in the text")
    if inside := _IN_FORMULA.search(aligned.text):
        yield Fault(Reason.UNRESOLVED_REFERENCE, _short(inside.group()))
    parts = (part for part in aligned.parts if part.block.kind is not Kind.CODE)
    ours = sum(len(_OURS.findall(part.text)) for part in (*parts, *aligned.floats))
    theirs = len(_OURS.findall(" ".join(word.text for word in page.words)))
    if ours > theirs:
        yield Fault(Reason.UNRESOLVED_REFERENCE, f"{ours} in the text, {theirs} on the page")


_IN_FORMULA = re.compile(r"\\\((?:(?!\\\)).)*\\(?:eq)?ref\{(?:(?!\\\)).)*\\\)")
_OURS = re.compile(r"\?\?|(?<=[\[(;,\s])\?(?=[\]);,])|(?<=[\[(])\?(?=\W)")


_AFTER_FORMULA = re.compile(r"\\\]\s*\(([^()\s]+)\)|^\(([^()\s]+)\)\s*\\\[", re.MULTILINE)


def _equations(aligned: AlignedPage, page: PdfPage) -> Iterator[Fault]:
    """Equation numbers that only one side has, when both have some of their own."""
    ours = [a or b for a, b in _AFTER_FORMULA.findall(aligned.text)]
    theirs = list(page.equations)
    only_ours = [number for number in ours if number not in theirs]
    only_theirs = [number for number in theirs if number not in ours]
    if only_ours and only_theirs:
        detail = f"({only_ours[0]}) where the page shows ({only_theirs[0]})"
        yield Fault(Reason.EQUATION_NUMBER, detail)


def _captions(aligned: AlignedPage, page: PdfPage) -> Iterator[Fault]:
    """Captions of the page without a float of their number in the text."""
    texts = [part.text for part in (*aligned.floats, *aligned.parts)]
    unused = [part.block for part in aligned.floats if part.block.number]
    missing = []
    for caption in page.captions:
        same = [b for b in unused if _same_number(b.number, caption.number)]
        if same:
            unused.remove(same[0])
        elif not any(_has_label(text, caption.kind, caption.number) for text in texts):
            missing.append(caption)
    for caption in missing:
        other = [block for block in unused if _float_kind(block) == caption.kind]
        label = f"{caption.kind} {caption.number}"
        if other:
            detail = f"{other[0].number} where the page shows {label}"
            yield Fault(Reason.CAPTION_NUMBER, detail)
        else:
            yield Fault(Reason.MISSING_CAPTION, label)


def _same_number(ours: str, theirs: str) -> bool:
    return ours.strip(". ").casefold() == theirs.strip(". ").casefold()


def _float_kind(block: Block) -> str:
    label = re.search(r"[^\W\d_]+", block.markdown.rpartition("\\end{table}")[2])
    return FLOAT_NAMES.get(label.group().lower(), block.kind.value) if label else block.kind.value


def _has_label(text: str, kind: str, number: str) -> bool:
    """Whether a line of a text starts with a caption's label."""
    names = "|".join(name for name, of in FLOAT_NAMES.items() if of == kind)
    return (
        re.search(
            rf"^[\s*_#`]*(?:{names})[\s.~*_]*{re.escape(number)}(?![\w])",
            text,
            re.IGNORECASE | re.MULTILINE,
        )
        is not None
    )


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
