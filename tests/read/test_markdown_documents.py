"""Markdown as HTML: formulas, prices, figures, front matter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.read.markdown_documents import markdown_to_html


def body(text: str) -> str:
    return markdown_to_html(text).removeprefix("<html><body>").removesuffix("</body></html>")


def test_formulas_are_formulas_and_prices_are_prices() -> None:
    made = body(r"$x_1$ and $y_2$ cost $5 or $10, \(a*b*c\), `$code$`, \$z\$")
    assert r'<span class="math inline">\(x_1\)</span>' in made
    assert r'<span class="math inline">\(a*b*c\)</span>' in made
    assert "cost $5 or $10" in made
    assert "<code>$code$</code>" in made
    assert "$z$" in made


def test_lines_of_a_displayed_formula_are_no_lists() -> None:
    made = body("so\n$$\na\n- b\n= c\n$$\nand")
    assert '<span class="math display">\\[a\n- b\n= c\\]</span>' in made
    assert "<li>" not in made
    assert "<h1>" not in made


def test_a_picture_alone_is_a_figure_if_it_is_described() -> None:
    assert "<figcaption>A red kite.</figcaption>" in body("![A red kite.](kite.png)")
    assert "<figcaption>Title here</figcaption>" in body('![x](kite.png "Title here")')
    assert "<figcaption>红色的风筝</figcaption>" in body("![红色的风筝](kite.png)")
    for plain in ("![kite](kite.png)", "![my kite.png](kite.png)", "![](a.png)", "a ![b c](d.png)"):
        assert "figcaption" not in body(plain)


def test_front_matter_gives_the_title_only_where_there_is_none() -> None:
    assert body('---\ntitle: "Tea & more"\ndate: 1\n---\ntext').startswith(
        "<h1>Tea &amp; more</h1>"
    )
    assert body("---\ntitle: no\n---\n# Own\n").count("<h1>") == 1
    assert "date" not in body("---\ndate: 1\n---\ntext")


@given(st.text("$\\()[]ab \n*_`-=1", max_size=60))
def test_whatever_stands_there_is_made_into_html(text: str) -> None:
    assert body(text).count("a") >= text.count("a")
