"""Pages are cut where TeX ended them: over documents for which TeX wrote every word's page down."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import pymupdf
import pytest

from dsvl_data.latex.align import AlignedPage, align
from dsvl_data.latex.gates import check_page
from dsvl_data.latex.pdf_words import read_pdf_pages
from tests.latex.truth import marks, truth

#: Two columns with wide floats; floats far from their call; footnotes over pages; Chinese.
DOCUMENTS = ("twocolumn", "floats", "footnotes", "chinese")


load = lru_cache(truth.load)


@pytest.fixture(params=DOCUMENTS)
def document(request: pytest.FixtureRequest) -> truth.Document:
    return load(request.param)


@lru_cache
def cut(name: str) -> tuple[list[AlignedPage], list[bool]]:
    """The pages that are made of a document, and which of them the gates accept."""
    document = load(name)
    with pymupdf.open("pdf", document.pdf) as pdf:
        pages = read_pdf_pages(pdf)
    aligned = align(document.article, pages)
    accepted = [not check_page(a, page) for a, page in zip(aligned, pages, strict=True)]
    return aligned, accepted


def test_accepted_pages_have_the_words_that_tex_put_on_them(document: truth.Document) -> None:
    aligned, accepted = cut(document.name)
    verdicts = [
        document.judge(number, page.text, mended=page.mended > 0)
        for number, page in enumerate(aligned, 1)
    ]
    wrong = {n: v for n, (v, ok) in enumerate(zip(verdicts, accepted, strict=True), 1)
             if ok and not v.exact}  # fmt: skip
    assert not wrong
    assert sum(accepted) >= 0.65 * document.page_count


def test_four_pages_in_five_are_accepted_over_all() -> None:
    counts = [cut(name)[1] for name in DOCUMENTS]
    assert sum(map(sum, counts)) >= 0.8 * sum(map(len, counts))


def test_the_truth_is_what_the_pdf_shows(document: truth.Document) -> None:
    """Words of more than three letters outside formulas, by a reader that knows no truth."""
    assert not document.changed()
    with pymupdf.open("pdf", document.pdf) as pdf:
        for number, page in enumerate(document.pages):
            shown = pdf[number].get_text().replace("-\n", "")
            shown_words = Counter(truth.words(shown))
            expected = Counter(w for w in page.flow if len(w) > 3 or w >= "\u3400")
            missing = expected - shown_words
            assert missing.total() <= 8 + 0.06 * expected.total(), (number + 1, missing)


def test_a_shifted_boundary_is_noticed() -> None:
    document = load("footnotes")
    first, second = cut(document.name)[0][0].text, document.pages[1].flow[0]
    assert document.judge(1, first).exact
    assert document.judge(1, f"{first} {second}").leaked == (second,)
    shorter = first.rsplit(" sentence", 1)[0].rsplit(" ", 1)
    assert document.judge(1, shorter[0]).lost == tuple(truth.words(shorter[1]))


def test_marks_stand_between_words_and_nowhere_else() -> None:
    source = (
        "\\begin{document}\n\\section{Two words}\nPlain $x$ and \\emph{slanted text}, "
        "see~\\ref{a} \\cite{b}.\\footnote{A note.}\n\\begin{verbatim}\nas is\n\\end{verbatim}\n"
        "\\[ a = b \\]\n\\end{document}"
    )
    marked = marks.for_tex(source)
    body = marked.tex.split("\\begin{document}")[1]
    assert "\\section[Two words]{\\pagemark{1}Two\\wordend{1} \\pagemark{2}words}" in body
    assert "\\pagemark{3}Plain\\wordend{3} \\pagemark{4}$x$\\wordend{4} \\pagemark{5}and" in body
    assert "\\begin{verbatim}\nas is\n\\end{verbatim}" in body
    assert " \\cite{b}" in body
    assert "\\footnote{\\pagemark{9}A\\wordend{9} \\pagemark{10}note.}" in body
    assert "\\[\\mathmark{11} a = b \\]" in body
    assert marked.words == 11


def test_what_tex_wrote_down_is_kept_whole() -> None:
    pages = marks.read_marks("1 1\ne1 1\n2 1\ne2 2\n4 2\nl0 1\nl1 2\nl0 3\n")
    assert pages.word == {1: 1, 2: 1, 4: 2}
    assert pages.straddling == {2}
    assert pages.line == {(1, 1): 1, (1, 2): 2, (2, 1): 3}
    assert marks.Pages.load(pages.dump()) == pages
    with pytest.raises(ValueError, match="mark 7"):
        marks.read_marks("7 1\n7 2\n")
