"""Each doubt about a page has its own reason, and a page without one has none."""

from __future__ import annotations

import pymupdf
import pytest

from dsvl_data.latex.align import align
from dsvl_data.latex.article import Article, Block, Kind
from dsvl_data.latex.gates import Gates, check_page
from dsvl_data.latex.pdf_words import read_pdf_pages
from dsvl_data.outcome import Reason
from tests.latex.test_align import prose
from tests.latex.typeset import Line, column, page, wrap


def reasons(article: Article, *pages: list[Line], gates: Gates = Gates()) -> list[list[Reason]]:  # noqa: B008
    document = pymupdf.open()
    for lines in pages:
        page(document, lines)
    read = read_pdf_pages(document)
    return [
        [fault.reason for fault in check_page(aligned, read[aligned.number], gates)]
        for aligned in align(article, read)
    ]


def flow(*blocks: Block | str) -> Article:
    return Article(tuple(b if isinstance(b, Block) else Block(Kind.PARAGRAPH, b) for b in blocks))


TEXT = prose(1, 70)


def test_a_page_that_agrees_has_no_fault() -> None:
    assert reasons(flow(TEXT), column(wrap(TEXT))) == [[]]


def test_little_text() -> None:
    few = flow("Lanterns over harbours")
    assert reasons(few, column(["Lanterns over harbours"])) == [[Reason.NO_TEXT]]
    assert reasons(few, column(["Lanterns over harbours"]), gates=Gates(words=3)) == [[]]


def test_precision_and_coverage_are_settings() -> None:
    extra = " ".join(f"foreign{chr(97 + n)}" for n in range(10))
    half = wrap(TEXT)
    written = flow(f"{TEXT[:200]} {extra} {TEXT[200:]}")
    assert Reason.LOW_PRECISION in reasons(written, column(half))[0]
    assert reasons(written, column(half), gates=Gates(precision=0.5, foreign=10)) == [[]]
    shown = column([*half[:4], *wrap(extra), *half[4:]])
    assert Reason.LOW_COVERAGE in reasons(flow(TEXT), shown)[0]
    assert reasons(flow(TEXT), shown, gates=Gates(coverage=0.5)) == [[]]


def test_uncertain_words_at_a_page_end() -> None:
    one, two = prose(2, 60), prose(3, 60)
    unknown = "gulls never counted their own lighthouses"
    found = reasons(
        flow(f"{one} {unknown} {two}"), column(wrap(one)), column(wrap(two)), gates=Gates(0.5, 0.5)
    )
    assert Reason.LOOSE_EDGE in found[0] + found[1]


@pytest.mark.parametrize(
    ("written", "shown", "reason"),
    [
        ("see Section 3 for", "see Section ?? for", Reason.UNRESOLVED_REFERENCE),
        ("see Section 3 for", "see Section next for", Reason.REFERENCE_NUMBER),
        ("as in [11, 6] for", "as in [Kno86] for", Reason.CITATION_STYLE),
    ],
)
def test_numbers_in_the_text(written: str, shown: str, reason: Reason) -> None:
    before, after = prose(4, 40)[:-1], prose(5, 40)
    text, page_ = f"{before} {written} {after}", f"{before} {shown} {after}"
    assert reasons(flow(text), column(wrap(page_))) == [[reason]]
    assert reasons(flow(page_), column(wrap(page_))) == [[]]


def test_a_heading_with_another_number() -> None:
    heading = Block(Kind.HEADING, "## 3.1 Lanterns and harbours", "3.1")
    one, two = prose(6, 40), prose(7, 40)

    def shown(number: str) -> list[Line]:
        return column([*wrap(one), "", f"{number} Lanterns and harbours", "", *wrap(two)])

    assert reasons(flow(one, heading, two), shown("Two points one:")) == [[Reason.HEADING_NUMBER]]
    assert reasons(flow(one, heading, two), shown("3.1")) == [[]]


@pytest.mark.parametrize(("size", "font"), [(14.0, "tiro"), (10.0, "tibo")])
def test_a_heading_that_only_the_page_has(size: float, font: str) -> None:
    """One word is within what a page's end may have too much, but it is not to be overlooked."""
    document = pymupdf.open()
    page(document, [(40, 70, "")])
    document[0].insert_text((40, 80), "Declaration", fontsize=size, fontname=font)
    for x, y, line in column(wrap(TEXT), y=100):
        document[0].insert_text((x, y), line, fontsize=10, fontname="tiro")
    read = read_pdf_pages(document)

    def faults(*blocks: Block | str) -> list[Reason]:
        (aligned,) = align(flow(*blocks), read)
        return [fault.reason for fault in check_page(aligned, read[0])]

    assert faults(TEXT) == [Reason.MISSING_HEADING]
    assert faults(Block(Kind.HEADING, "# Declaration"), TEXT) == []


def test_words_that_the_page_has_nowhere() -> None:
    """Alternative texts, and names of environments that LaTeXML takes for text."""
    words = ["woman", "dresses", "motorcar"]
    some = [f"{TEXT[:150]} {' '.join(words[:n])} {TEXT[150:]}" for n in range(4)]
    many = prose(51, 150)
    shown = column(wrap(f"{TEXT} {many}"))
    found = [reasons(flow(f"{text} {many}"), shown) for text in some]
    assert found == [[[]], [[]], [[]], [[Reason.FOREIGN_WORDS]]]


def test_a_citation_that_latexml_lost() -> None:
    before, after = prose(4, 40)[:-1], prose(5, 40)
    shown = column(wrap(f"{before} is ugly [11] and {after}"))
    lost = flow(f"{before} is ugly [?] and {after}")
    assert reasons(lost, shown) == [[Reason.UNRESOLVED_REFERENCE]]
    assert reasons(lost, column(wrap(f"{before} is ugly [?] and {after}"))) == [[]]
    noted = f"{before} is ugly \\({{}}^{{\\ref{{foot:itas}}}}\\) and {after}"
    shown = column(wrap(f"{before} is ugly 2 and {after}"))
    assert reasons(flow(noted), shown) == [[Reason.UNRESOLVED_REFERENCE]]
    told = f"{before} says \\ref{{foot}} and \\(x\\) {after}"
    assert reasons(flow(told), column(wrap(told.replace("\\(x\\)", "x")))) == [[]]
    asked = f"{before} is it ugly? (Or not?) {after}"
    assert reasons(flow(asked), column(wrap(asked))) == [[]]


def test_a_bold_keyword_is_no_heading() -> None:
    """It is too short for a match of its own among formulas."""
    document = pymupdf.open()
    page(document, column([*wrap(TEXT), "", "while the gulls are awake do"]))
    for y, text, font in ((170, "x = y", "tiit"), (182, "else", "tibo"), (194, "y = x", "tiit")):
        document[0].insert_text((60, y), text, fontsize=10, fontname=font)
    read = read_pdf_pages(document)
    rows = "while the gulls are awake do\n   \\(x=y\\)\nelse\n   \\(y=x\\)"
    (aligned,) = align(flow(TEXT, Block(Kind.ALGORITHM, rows)), read)
    assert not aligned.unseen


def test_captions() -> None:
    def article(label: str, number: str) -> Article:
        caption = "The lighthouse keeper who counted gulls."
        block = Block(Kind.FIGURE, f"{label}: {caption}", number, caption, 0)
        return Article(flow(TEXT).flow, floats=(block,))

    shown = [
        *column(wrap(TEXT)),
        (40.0, 300.0, "Figure 2: The lighthouse keeper who counted gulls."),
    ]
    assert reasons(article("Figure 2", "2"), shown) == [[]]
    # Not a label that could be mended.
    assert Reason.CAPTION_NUMBER in reasons(article("Figure one", "1"), shown)[0]
    bare = Article(flow(TEXT).flow)
    assert reasons(bare, shown, gates=Gates(coverage=0.5)) == [[Reason.MISSING_CAPTION]]


def test_equation_numbers() -> None:
    one, two = prose(8, 40), prose(9, 40)
    width = pymupdf.get_text_length

    def shown(number: str) -> list[Line]:
        lines = column(wrap(one))
        right = max(x + width(text, fontname="tiro", fontsize=10) for x, _, text in lines)
        label = f"({number})"
        return [
            *lines,
            (150.0, 220.0, "a + b = c"),
            (right - width(label, fontname="tiro", fontsize=10), 220.0, label),
            *column(wrap(two), y=250),
        ]

    article = flow(one, Block(Kind.FORMULA, r"\[a+b=c\] (2.7)", "2.7"), two)
    assert reasons(article, shown("2.7")) == [[]]
    unnumbered = flow(one, Block(Kind.FORMULA, r"\[a+b=c\] (2.7)" + "\n\n" + r"\[d\] (2.8)"), two)
    assert Reason.EQUATION_NUMBER in reasons(unnumbered, shown("1.7"))[0]


def test_a_number_on_the_left_of_its_equation() -> None:
    one, two = prose(8, 40), prose(9, 40)
    formula = Block(Kind.FORMULA, r"(7) \[a=b\]", "7")
    shown = [
        *column(wrap(one)),
        (150.0, 220.0, "a = b"),
        (40.0, 220.0, "(7)"),
        *column(wrap(two), y=250),
    ]
    assert reasons(flow(one, formula, two), shown) == [[]]


def test_the_page_number_in_a_table_of_contents_is_no_heading_number() -> None:
    entry = Block(Kind.ITEM, "* 2 Lanterns over harbours")
    heading = Block(Kind.HEADING, "# Introduction")
    shown = [
        *column(wrap(TEXT)),
        (40.0, 200.0, "2 Lanterns over harbours"),
        (300.0, 200.0, "14"),
        (40.0, 230.0, "Introduction"),
        *column(wrap(prose(52, 40)), y=250),
    ]
    assert reasons(flow(TEXT, entry, heading, prose(52, 40)), shown) == [[]]
    alone = [line for line in shown if line[1] != 200.0] + [(40.0, 215.0, "14")]
    alone.sort(key=lambda line: line[1])
    found = reasons(flow(TEXT, heading, prose(52, 40)), alone)
    assert found == [[Reason.HEADING_NUMBER]]
