"""The page designs and how one is chosen."""

from __future__ import annotations

import pytest
from lxml import etree

from dsvl_data.render.pages import Chapter
from dsvl_data.render.template import choose, load_templates, parse_template

BOOKS = load_templates("books")


def chapter(markup: str = "<p>a</p>", attributes: str = "") -> Chapter:
    return Chapter(etree.fromstring(f"<article {attributes}>{markup}</article>"), "en")


def test_there_are_enough_designs_and_they_differ() -> None:
    assert len(BOOKS) >= 12
    assert len({(t.width, t.height) for t in BOOKS}) >= 8
    assert len({t.columns for t in BOOKS}) == 2
    assert sum(t.vertical for t in BOOKS) >= 2
    assert len({t.idea for t in BOOKS}) == len(BOOKS)


def test_no_design_uses_what_the_proof_cannot_follow() -> None:
    for template in BOOKS:
        for word in ("float", "position:", "text-transform", "small-caps", "::before", "::after"):
            assert word not in template.css, template.name


def test_the_choice_is_the_same_everywhere() -> None:
    names = [choose(BOOKS, 7, f"book/{n}", chapter()).name for n in range(5)]
    assert names == [choose(BOOKS[::-1], 7, f"book/{n}", chapter()).name for n in range(5)]
    chosen = {choose(BOOKS, 0, f"book/{n}", chapter()).name for n in range(400)}
    assert chosen == {t.name for t in BOOKS if not t.vertical}


def test_vertical_designs_are_for_vertical_chapters_only() -> None:
    for n in range(50):
        assert choose(BOOKS, n, "x", chapter(attributes='class="vertical"')).vertical
        assert not choose(BOOKS, n, "x", chapter()).vertical


def test_wide_tables_get_wide_pages() -> None:
    row = "<tr>" + "<td>a</td>" * 9 + "</tr>"
    for n in range(50):
        assert choose(BOOKS, n, "x", chapter(f"<table>{row}</table>")).column_width >= 9 * 48


def test_geometry_is_read_from_the_style() -> None:
    css = (
        "/* Idea. */ @page { size: 100px 2in; margin: 1px 2px 3px; @top-left { margin: 9px } }"
        " article { column-count: 2 }"
    )
    template = parse_template("t", "books", css)
    assert (template.width, template.height) == (100, 192)
    assert template.margins == (1, 2, 3, 2)
    assert template.content == (2, 1, 98, 189)
    assert template.columns == 2


@pytest.mark.parametrize(
    ("css", "complaint"),
    [
        ("@page { size: 1px 1px; margin: 0 }", "first comment"),
        ("/* a */ body {}", "no @page"),
        ("/* a */ @page { size: a4; margin: 0 }", "needs `size"),
        ("/* a */ @page { size: 1em 2em; margin: 0 }", "no length"),
    ],
)
def test_a_broken_design_says_what_it_lacks(css: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_template("t", "books", css)
