"""Signs that LaTeXML writes and the page does not: raised citations, TeX's old encoding."""

from __future__ import annotations

import pymupdf
import pytest

from dsvl_data.latex.align import align
from dsvl_data.latex.article import Article, Block, Kind
from dsvl_data.latex.pdf_words import read_pdf_pages
from tests.latex.typeset import column, page, wrap

BEFORE = "Copper wire was drawn in the long shed behind the mill, where rivers turned four wheels"
AFTER = "nobody repaired the fifth, whose hum could be heard across three parishes at night."


@pytest.mark.parametrize(
    ("written", "shown", "text"),
    [
        ("wheels[1] and", "wheels1 and", "wheels¹ and"),
        ("wheels [1, 2] and", "wheels1,2 and", "wheels¹,² and"),
        ("wheels [3]; and", "wheels;3 and", "wheels;³ and"),
        ("wheels, see Ref. [12], and", "wheels, see Ref. 12, and", "wheels, see Ref. 12, and"),
        ("wheels [1, 2] and", "wheels [1, 2] and", "wheels [1, 2] and"),
        ("wheels [1, 2] and", "wheels [1,2] and", "wheels [1, 2] and"),
        ("wheels [4] and", "wheels (4) and", "wheels [4] and"),
        ("wheels < and", "wheels ¡ and", "wheels ¡ and"),
        ("wheels < and", "wheels < and", "wheels < and"),
    ],
)
def test_signs_are_the_page_s(written: str, shown: str, text: str) -> None:
    article = Article((Block(Kind.PARAGRAPH, f"{BEFORE.removesuffix('wheels')}{written} {AFTER}"),))
    lines = wrap(f"{BEFORE.removesuffix('wheels')}{shown} {AFTER}")
    document = pymupdf.open()
    page(document, column(lines))
    (made,) = align(article, read_pdf_pages(document))
    assert made.text == f"{BEFORE.removesuffix('wheels')}{text} {AFTER}"
