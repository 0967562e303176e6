"""Cutting an article at its PDF's page ends: nothing is lost, nothing stands twice."""

from __future__ import annotations

import re

import numpy as np
import pymupdf
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvl_data.latex.align import align
from dsvl_data.latex.aligned import AlignedPage
from dsvl_data.latex.article import Article, Block, Kind
from dsvl_data.latex.matching import match_words
from dsvl_data.latex.pdf_words import read_pdf_pages
from tests.latex.typeset import Line, column, page, wrap

WORDS = re.findall(
    r"\w+",
    "measure river stone lantern orbit winter copper meadow signal thread harbour violet engine "
    "feather mountain pepper candle shadow timber velvet whistle yonder zephyr anchor bridge",
)


def prose(seed: int, count: int) -> str:
    random = np.random.default_rng(seed)
    return " ".join(WORDS[k] for k in random.integers(0, len(WORDS), count)) + "."


def aligned(article: Article, *pages: list[Line]) -> list[AlignedPage]:
    document = pymupdf.open()
    for lines in pages:
        page(document, lines)
    return align(article, read_pdf_pages(document))


def paragraphs(*texts: str) -> Article:
    return Article(tuple(Block(Kind.PARAGRAPH, text) for text in texts))


def test_a_paragraph_is_cut_between_the_words_of_two_pages() -> None:
    text = prose(1, 120)
    lines = wrap(text)
    pages = aligned(paragraphs(text), column(lines[:7]), column(lines[7:]))
    assert [page.text for page in pages] == [" ".join(lines[:7]), " ".join(lines[7:])]
    assert all(page.precision == page.coverage == 1 for page in pages)
    assert pages[0].bottom == pages[1].top == 0


def test_a_broken_word_stands_on_both_pages_as_they_show_it() -> None:
    before, after = prose(2, 60), prose(3, 60)
    pages = aligned(
        paragraphs(f"{before} alignment {after}"),
        column([*wrap(before), "align-"]),
        column(["ment " + wrap(after)[0], *wrap(after)[1:]]),
    )
    assert pages[0].text == f"{before} align-"
    assert pages[1].text == f"ment {after}"


def test_emphasis_is_closed_and_opened_again_at_a_cut() -> None:
    lines = wrap(prose(4, 80))
    words = " ".join(lines).split()
    start, cut = 20, len(" ".join(lines[:4]).split())
    marked = [*words[:start], "_" + words[start], *words[start + 1 : -1], words[-1] + "_"]
    pages = aligned(paragraphs(" ".join(marked)), column(lines[:4]), column(lines[4:]))
    assert (
        pages[0].text
        == " ".join([*words[:start], "_" + words[start], *words[start + 1 : cut]]) + "_"
    )
    assert pages[1].text == "_" + " ".join(words[cut:]) + "_"


def test_a_formula_is_never_cut() -> None:
    one, two = prose(5, 50), prose(6, 50)
    article = Article(
        (
            Block(Kind.PARAGRAPH, one),
            Block(Kind.FORMULA, r"\[a_{1}+b=c^{2}\] (1)", "1"),
            Block(Kind.PARAGRAPH, two),
        )
    )
    first = aligned(article, [*column(wrap(one)), (150, 300, "a1 + b = c2")], column(wrap(two)))
    assert first[0].text.endswith(r"\[a_{1}+b=c^{2}\] (1)")
    second = aligned(article, column(wrap(one)), [(150, 40, "a1 + b = c2"), *column(wrap(two))])
    assert second[1].text.startswith(r"\[a_{1}+b=c^{2}\] (1)")


def test_code_is_cut_between_lines_and_fenced_on_both_pages() -> None:
    code = [f"{WORDS[n]} = {WORDS[n + 1]}({n})" for n in range(12)]
    before, after = prose(7, 40), prose(8, 40)
    article = Article(
        (
            Block(Kind.PARAGRAPH, before),
            Block(Kind.CODE, "\n".join(["```python", *code, "```"])),
            Block(Kind.PARAGRAPH, after),
        )
    )
    pages = aligned(article, column([*wrap(before), *code[:5]]), column([*code[5:], *wrap(after)]))
    assert pages[0].text == "\n".join([before, "", "```python", *code[:5], "```"])
    assert pages[1].text == "\n".join(["```python", *code[5:], "```", "", after])


def test_a_float_stands_on_the_page_that_shows_it_behind_the_paragraph_it_interrupts() -> None:
    one, two = prose(9, 90), prose(10, 90)
    caption = "Figure 2: A tall lighthouse drawn by nobody in particular."
    article = Article(
        tuple(Block(Kind.PARAGRAPH, text) for text in (one, two)),
        floats=(Block(Kind.FIGURE, caption, "2", caption[10:], anchor=0),),
    )
    lines = wrap(one)
    middle = [*lines[4:], *wrap(two)]
    pages = aligned(
        article,
        column(lines[:4]),
        [*column(middle[:2]), (60, 130, caption), *column(middle[2:], y=200)],
    )
    rest = " ".join(lines[4:])
    assert pages[0].text == " ".join(lines[:4])
    assert pages[1].text == f"{rest}\n\n{caption}\n\n{two}"
    assert [part.block.number for part in pages[1].floats] == ["2"]


def test_a_page_of_floats_only_has_their_text() -> None:
    one, two = prose(11, 60), prose(12, 60)
    captions = [f"Table {n}: {prose(20 + n, 9)}" for n in (1, 2)]
    article = Article(
        (Block(Kind.PARAGRAPH, one), Block(Kind.PARAGRAPH, two)),
        floats=tuple(Block(Kind.FIGURE, text, text[6], text[9:], 0) for text in captions),
    )
    pages = aligned(
        article,
        column(wrap(one)),
        [(40, 100, captions[0]), (40, 300, captions[1])],
        column(wrap(two)),
    )
    assert pages[1].text == "\n\n".join(captions)
    assert (pages[0].text, pages[2].text) == (one, two)


def test_a_footnote_may_go_on_at_the_next_page() -> None:
    one = wrap(prose(13, 110))
    note = wrap("A remark about lighthouses whose keeper counted every gull that passed the "
                "window and wrote numbers into books nobody has opened since.", 40)  # fmt: skip
    article = Article(
        (Block(Kind.PARAGRAPH, " ".join(one)),),
        footnotes=(Block(Kind.FOOTNOTE, "Footnote 1: " + " ".join(note), "1", anchor=0),),
    )
    document = pymupdf.open()
    page(document, column(one[:7]))
    page(document, column(one[7:]))
    for n, part in enumerate((note[:2], note[2:])):
        for k, text in enumerate(part):
            document[n].insert_text((40, 440 + 10 * k), text, fontsize=7, fontname="tiro")
    first, second = align(article, read_pdf_pages(document))
    assert first.text == " ".join(one[:7]) + "\n\nFootnote 1: " + " ".join(note[:2])
    assert second.text == " ".join(one[7:]) + "\n\n" + " ".join(note[2:])


def test_text_that_no_page_shows_is_left_out_and_counted() -> None:
    one, two = prose(14, 60), prose(15, 60)
    hidden = "Words which the printed version never had anywhere."
    pages = aligned(paragraphs(one, hidden, two), column([*wrap(one), *wrap(two)]))
    assert pages[0].text == f"{one}\n\n{two}"
    assert pages[0].unplaced == 8


def test_a_citation_is_mended_from_the_page() -> None:
    shown = f"{prose(16, 20)[:-1]} by graphs [6], which {prose(17, 20)}"
    written = shown.replace("[6]", "(Hagberg et al., 2008)")
    (page_,) = aligned(paragraphs(written), column(wrap(shown)))
    assert page_.text == shown
    assert page_.mended == 1
    (back,) = aligned(paragraphs(shown), column(wrap(written)))
    assert back.text == written


def test_nothing_to_align_is_no_error() -> None:
    assert align(paragraphs("some words"), []) == []
    (blank,) = aligned(Article(()), [])
    assert (blank.text, blank.words) == ("", 0)
    (nothing,) = aligned(paragraphs("entirely other words here"), column(["foreign speech"] * 3))
    assert nothing.coverage == 0


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_word_of_the_flow_is_on_one_page_or_counted(data: st.DataObject) -> None:
    kinds = st.sampled_from([Kind.PARAGRAPH, Kind.ITEM, Kind.HEADING, Kind.REFERENCE])
    texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=40).map(" ".join)
    flow = data.draw(st.lists(st.builds(Block, kinds, texts), min_size=1, max_size=6))
    shown = " ".join(block.markdown for block in flow).split()
    kept = [word for word in shown if data.draw(st.integers(0, 9))]
    lines = wrap(" ".join(kept)) if kept else []
    size = data.draw(st.integers(1, 8))
    pages = aligned(
        Article(tuple(flow)),
        *[column(lines[n : n + size]) for n in range(0, len(lines) or 1, size)],
    )
    found = [word for page in pages for part in page.parts for word in part.text.split()]
    unplaced = sum(page.unplaced for page in pages)
    assert len(found) + unplaced == len(shown)
    assert unplaced or found == shown
    cuts = [(id(part.block), part.start, part.end) for page in pages for part in page.parts]
    for block in flow:
        mine = [(start, end) for owner, start, end in cuts if owner == id(block)]
        assert "".join(block.markdown[a:b] for a, b in mine) in ("", block.markdown)


def test_150_000_words_are_aligned_in_a_second_or_so() -> None:
    random = np.random.default_rng(0)
    left = np.minimum(random.zipf(1.3, 150_000), 20_000).astype(np.int64)
    right = np.insert(left, random.integers(0, 150_000, 4_000), -1)
    pairs = match_words(left, right)
    assert len(pairs) > 0.999 * len(left)
    assert all(left[i] == right[j] for i, j in pairs)
    i, j = np.array(pairs).T
    assert (np.diff(i) > 0).all()
    assert (np.diff(j) > 0).all()


def test_what_matches_nothing_is_not_matched() -> None:
    assert match_words(np.array([-1, -1, -1]), np.array([-1, -1, -1])) == []


def test_words_of_the_page_are_not_respelt() -> None:
    text = "The “naïve” method—as Erdős put it—works well-enough for 3.14 and \\(x_{1}\\) too."
    (page_,) = aligned(paragraphs(text), column(["The naive method as Erdos put it works",
                                                 "well-enough for 3.14 and x1 too."]))  # fmt: skip
    assert page_.text == text
    assert re.sub(r"\s+", " ", page_.text) == text
