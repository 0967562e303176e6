"""What a page prints in a label's place is what its text has, whatever LaTeXML counted."""

from __future__ import annotations

import pymupdf
import pytest

from dsvl_data.latex.align import align
from dsvl_data.latex.article import Article, Block, Kind
from dsvl_data.latex.pdf_words import read_pdf_pages
from tests.latex.test_align import aligned, prose
from tests.latex.typeset import Line, column, page, wrap

ONE, TWO = prose(31, 50), prose(32, 50)


def made(*blocks: Block, shown: list[Line], floats: tuple[Block, ...] = ()) -> str:
    flow = (Block(Kind.PARAGRAPH, ONE), *blocks, Block(Kind.PARAGRAPH, TWO))
    (page,) = aligned(
        Article(flow, floats), [*column(wrap(ONE)), *shown, *column(wrap(TWO), y=300)]
    )
    text = page.text.removeprefix(ONE).removesuffix(TWO).strip()
    assert page.mended or text == "\n\n".join(b.markdown for b in (*blocks, *floats))
    return text


@pytest.mark.parametrize(
    ("written", "number", "shown", "text"),
    [
        ("## 3.1 Lanterns and gulls", "3.1", "2.1 Lanterns and gulls", "## 2.1 Lanterns and gulls"),
        ("## I.1 Lanterns and gulls", "I.1", "A. Lanterns and gulls", "## A. Lanterns and gulls"),
        ("# Appendix A Lanterns", "A", "A Lanterns", "# A Lanterns"),
        ("# A Lanterns", "A", "Appendix A. Lanterns", "# Appendix A. Lanterns"),
        ("# 4 Lanterns and gulls", "4", "Lanterns and gulls", "# Lanterns and gulls"),
        ("# Lanterns and gulls", "", "7. Lanterns and gulls", "# 7. Lanterns and gulls"),
        ("# 4 Lanterns and gulls", "4", "4 Lanterns and gulls", "# 4 Lanterns and gulls"),
        ("# A lantern", "", "A lantern", "# A lantern"),
        ("# Lanterns and gulls", "", "Our Lanterns and gulls", "# Lanterns and gulls"),
    ],
)
def test_headings(written: str, number: str, shown: str, text: str) -> None:
    heading = Block(Kind.HEADING, written, number)
    assert made(heading, shown=[(40, 200, shown)]) == text


def test_a_heading_below_its_own_label_keeps_it() -> None:
    heading = Block(Kind.HEADING, "# Chapter 2 Lanterns and gulls", "2")
    shown: list[Line] = [(40, 190, "Chapter 2"), (40, 210, "Lanterns and gulls")]
    assert made(heading, shown=shown) == heading.markdown


def test_a_title_in_the_line_of_its_paragraph() -> None:
    block = Block(Kind.PARAGRAPH, f"**Gulls** {prose(33, 20)}")
    shown = wrap(block.markdown.replace("**", ""))
    assert made(block, shown=column([f"a. {shown[0]}", *shown[1:]], y=180)) == (
        block.markdown.replace("**Gulls", "**a. Gulls")
    )


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("see Section 3 and", "see Section 4 and"),
        ("see Section 3.2 and", "see Section IV and"),
        ("see Eq. (3) of", "see Eq. (2.5) of"),
        ("as in [3, 1, 2] and", "as in [1-3] and"),
        ("as in [3], [1] and", "as in [1, 3] and"),
        ("as in [11, 6] and", "as in [7], [8] and"),
        ("as in [5, 6, 7] and", "as in [5]-[7] and"),
        ("as often [11, 6]. So", "as often [6], [11]. So"),
        ("so (Gull and others, 2025) and", "so (Gull et al., 2025) and"),
        ("see Tables 1, 2 and 3 with", "see Tables I, II and III with"),
        ("made on January 1, 2000 by", "made on (Dated: 27 December 2018) by"),
    ],
)
def test_numbers_in_the_text(written: str, shown: str) -> None:
    before, after = prose(34, 14)[:-1], prose(35, 14)
    block = Block(Kind.PARAGRAPH, f"{before} {written} {after}")
    lines = column(wrap(f"{before} {shown} {after}"), y=180)
    assert made(block, shown=lines) == f"{before} {shown} {after}"


def test_a_word_is_no_number() -> None:
    before, after = prose(34, 14)[:-1], prose(35, 14)
    block = Block(Kind.PARAGRAPH, f"{before} in 3 ships {after}")
    lines = column(wrap(f"{before} in three ships {after}"), y=180)
    assert made(block, shown=lines) == block.markdown


@pytest.mark.parametrize("label", ["Figure 2:", "FIG. 1.", "Fig. II."])
def test_captions(label: str) -> None:
    block = Block(Kind.FIGURE, "Figure 1: The keeper who counted gulls.", "1", anchor=0)
    shown: list[Line] = [(40, 200, f"{label} The keeper who counted gulls.")]
    assert made(floats=(block,), shown=shown) == f"{label} The keeper who counted gulls."


def test_lines_of_an_algorithm() -> None:
    rows = ["while the gull is awake do", "count the harbours", "light a lantern", "end while"]
    text = "\n".join(f"{n}: {row}" for n, row in enumerate(rows, 1))
    block = Block(Kind.ALGORITHM, text)

    def shown(*labels: str) -> str:
        lines = column([f"{a} {b}".strip() for a, b in zip(labels, rows, strict=True)], y=180)
        return made(block, shown=lines)

    assert shown("1:", "2:", "3:", "4:") == text
    assert shown("", "", "", "") == "\n".join(rows)
    assert shown("", "1:", "2:", "3:") == "\n".join(
        [rows[0], *(f"{n}: {row}" for n, row in enumerate(rows[1:], 1))]
    )


def test_the_empty_line_behind_an_algorithm() -> None:
    rows = ["1: repeat the winter", "2: light a lantern", "3: until you sail"]
    block = Block(Kind.ALGORITHM, "\n".join([*rows, "4:"]))
    assert made(block, shown=column(rows, y=180)) == "\n".join(rows)
    numbered = made(block, shown=column([*rows, "4:"], y=180))
    assert numbered == block.markdown


def test_equations() -> None:
    width = pymupdf.get_text_length(max(wrap(ONE), key=len), fontname="tiro", fontsize=10)
    block = Block(Kind.FORMULA, r"\[a=b\] (3.1)" + "\n\n" + r"\[c=d\] (3.2)", "3.1")
    shown: list[Line] = []
    for n, row in enumerate(("a = b", "c = d"), 1):
        shown += [(150, 180 + 20 * n, row), (40 + width - 17, 180 + 20 * n, f"(2.{n})")]
    assert made(block, shown=shown) == block.markdown.replace("(3.", "(2.")


@pytest.mark.parametrize("shown", ["", "[7] ", "7. "])
def test_the_label_of_the_first_reference_on_a_page(shown: str) -> None:
    """There no match before it says where it would have to be."""
    entry = "M. Gull and D. Boat. Lighthouses and lanterns. Harbour Press, 1979."
    article = Article(
        (
            Block(Kind.PARAGRAPH, ONE),
            Block(Kind.REFERENCE, f"* Gull and Boat (1979) {entry}", "Gull and Boat (1979)"),
            Block(Kind.PARAGRAPH, TWO),
        )
    )
    pages = aligned(article, column(wrap(ONE)), column([*wrap(f"{shown}{entry}"), *wrap(TWO)]))
    assert pages[1].text == f"* {shown}{entry}\n\n{TWO}"
    assert pages[1].top == 0


@pytest.mark.parametrize("latin", ["1", "*"])
def test_footnotes(latin: str) -> None:
    """LaTeXML counts the thanks on the title page, too."""
    note = "Lighthouses were meant, not lanterns."
    text = f"{prose(36, 30)[:-1]} gull² stone."
    article = Article(
        (Block(Kind.PARAGRAPH, text),),
        footnotes=(Block(Kind.FOOTNOTE, f"Footnote 2: {note}", "2", anchor=0),),
    )
    document = pymupdf.open()
    page(document, column(wrap(text.replace("²", latin))))
    document[0].insert_text((40, 400), f"{latin} {note}", fontsize=7, fontname="tiro")
    (aligned_page,) = align(article, read_pdf_pages(document))
    raised = {"1": "¹"}.get(latin, latin)
    assert aligned_page.text == f"{text.replace('²', raised)}\n\nFootnote {latin}: {note}"


@pytest.mark.parametrize("name", [r"\linenumbers", "{extract}"])
def test_the_name_of_a_macro_that_shows_nothing(name: str) -> None:
    before, after = prose(37, 14)[:-1], prose(38, 14)
    block = Block(Kind.PARAGRAPH, f"{before} {name} {after}")
    assert made(block, shown=column(wrap(f"{before} {after}"), y=180)) == f"{before} {after}"
    shown = column(wrap(f"{before} METAFONT {after}"), y=180)
    assert made(block, shown=shown) == block.markdown
