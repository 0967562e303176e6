"""Words of a PDF: reading order, margins, hyphens, captions, footnotes, numbers of equations."""

from __future__ import annotations

import pymupdf

from dsvl_data.latex.pdf_lines import Zone
from dsvl_data.latex.pdf_words import read_pdf_pages
from dsvl_data.latex.words import fold, formula_text, key_of, split_words
from tests.latex.typeset import Line, column, page

PROSE = "the quick brown fox jumps over the lazy dog again"


def read(*pages: list[Line]) -> list[list[str]]:
    document = pymupdf.open()
    for lines in pages:
        page(document, lines)
    return [[word.text for word in page.words] for page in read_pdf_pages(document)]


def test_words_of_both_sides_compare_equal() -> None:
    assert key_of("Well-known") == key_of("wellknown")
    assert key_of("naïve") == key_of("nai¨ve") == "naive"
    assert fold("ﬁnite ﬂow") == "finite flow"
    assert [key for key, _, _ in split_words("x1, 3.14 don't ?? 水是水")] == [
        *("x", "1", "3", "14", "dont", "??"),
        *("水", "是", "水"),
    ]


def test_a_simple_formula_has_its_letters_and_digits() -> None:
    assert formula_text(r"x_{i}+\alpha^2").replace(" ", "") == "xi+α2"
    assert "sin" in formula_text(r"\sin\theta").split("θ")[0]


def test_a_word_broken_at_a_line_end_is_one_word() -> None:
    (words,) = read(column(["the align-", "ment of low-", "Level words"]))
    assert words == ["the", "alignment", "of", "low-Level", "words"]


def test_running_heads_and_page_numbers_go_and_headings_stay() -> None:
    pages = []
    for n in range(6):
        head = ["Chapter One", str(n + 1)] if n % 2 else [str(n + 1), "A Book of Tests"]
        pages.append(
            [
                (40.0, 30.0, head[0]),
                (300.0, 30.0, head[1]),
                *column([f"{PROSE} {chr(97 + n)}{line}" for line in range(30)]),
            ]
        )
    for words in read(*pages):
        assert words[:3] == ["the", "quick", "brown"]
        assert not {"Book", "Chapter"} & set(words)


def test_a_list_that_starts_with_the_page_number_is_no_margin() -> None:
    pages = [
        [
            *column([PROSE] * 30),
            (40.0, 420.0, f"{n + 1}. an item {chr(97 + n)}"),
            (200.0, 480.0, str(n + 1)),
        ]
        for n in range(4)
    ]
    for n, words in enumerate(read(*pages)):
        assert words[-4:] == [f"{n + 1}.", "an", "item", chr(97 + n)]


def test_columns_are_read_one_after_the_other_even_from_a_row_wise_stream() -> None:
    left = [f"left column line number {n} here" for n in range(12)]
    right = [f"right column line number {n} here" for n in range(12)]
    rows = []
    for n in range(12):
        rows += [(40.0, 60 + 12.0 * n, left[n]), (215.0, 60 + 12.0 * n, right[n])]
    (words,) = read(rows)
    assert words == " ".join(left + right).split()


def test_captions_and_footnotes_are_zones() -> None:
    document = pymupdf.open()
    page(document, column([PROSE] * 12))
    page(document, [(40, 240, "Figure 3: A caption below its figure"), (40, 252, "of two lines")])
    sheet = document[0]
    sheet.insert_text((40, 400), "1", fontsize=5, fontname="tiro")
    sheet.insert_text((43, 402), "A note in small print.", fontsize=8, fontname="tiro")
    first, second = read_pdf_pages(document)
    assert first.lines[0].zone is Zone.BODY
    assert first.lines[-1].zone is Zone.FOOTNOTE
    (caption,) = second.captions
    assert (caption.kind, caption.number) == ("figure", "3")
    assert [line.zone for line in second.lines] == [Zone.CAPTION] * 2


def test_a_sentence_that_mentions_a_figure_is_no_caption() -> None:
    document = pymupdf.open()
    page(
        document, column([PROSE + " as we see in", "Figure 3. After that the text goes on", PROSE])
    )
    assert read_pdf_pages(document)[0].captions == ()


def test_equation_numbers_at_the_right_edge() -> None:
    document = pymupdf.open()
    lines = column([PROSE] * 8)
    page(document, lines)
    right = document[0].get_text("words")[-1][2]
    width = pymupdf.get_text_length("(2.7)", fontname="tiro", fontsize=10)
    document[0].insert_text((right - width, 300), "(2.7)", fontsize=10, fontname="tiro")
    assert read_pdf_pages(document)[0].equations == ("2.7",)


def test_the_stamp_of_arxiv_goes() -> None:
    document = pymupdf.open()
    page(document, column([PROSE] * 10))
    document[0].insert_text((25, 400), "arXiv:2101.00001v1 [cs.LG] 1 Jan 2021", rotate=90)
    words = [word.text for word in read_pdf_pages(document)[0].words]
    assert not any("arXiv" in word for word in words)
    assert len(words) == 100


def test_a_first_line_before_a_formula_is_no_running_title() -> None:
    """It stands apart, at one height on every page; what follows it does not."""
    titles = ["Now gulls appear", "Then boats arrive", "So harbours fill", "Thus lanterns glow"]

    def pages(step: int) -> list[str]:
        tops = [(40.0, 60.0, title) for title in titles]
        bodies = [column([PROSE] * 12, y=90 + step * n) for n in range(4)]
        shown = read(*([top, *body] for top, body in zip(tops, bodies, strict=True)))
        return [" ".join(words) for words in shown]

    assert all(text.startswith(title) for text, title in zip(pages(9), titles, strict=True))
    assert all(text.startswith(PROSE) for text in pages(0))


def test_a_running_title_in_larger_type_goes() -> None:
    document = pymupdf.open()
    for n in range(4):
        page(document, [(40, 40, "")])
        document[n].insert_text((40, 40), "A guide for authors", fontsize=13, fontname="tiro")
        for x, y, text in column([f"{PROSE} {n}"] * 12, y=80):
            document[n].insert_text((x, y), text, fontsize=10, fontname="tiro")
    first = [" ".join(word.text for word in page.words[:4]) for page in read_pdf_pages(document)]
    assert first == ["the quick brown fox"] * 4
