"""The flow's tree as Markdown, whole and clipped."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from dsvl_data.render.flow import build_flow, format_number, visible
from dsvl_data.render.markdown import write_markdown


def whole(markup: str) -> str:
    flow = build_flow(etree.fromstring(f"<article>{markup}</article>"))
    return write_markdown(flow, [(0, len(flow.text))])


def part(markup: str, first: str, last: str) -> str:
    """The Markdown from the first letter of `first` to the last of `last`."""
    flow = build_flow(etree.fromstring(f"<article>{markup}</article>"))
    start, end = flow.text.index(first), flow.text.index(last) + len(last)
    return write_markdown(flow, [(start, end)])


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<h2>A <em>b</em></h2>", "## A *b*"),
        ("<p>a <strong>b c</strong> d<br/>e</p>", "a **b c** d  \ne"),
        ("<p>中文<strong>注意：</strong>请</p>", "中文<strong>注意：</strong>请"),
        ("<p><em>a<strong>b</strong></em></p>", "<em>a**b**</em>"),
        ("<p>x<sup>2</sup> <s>no</s> <u>u</u></p>", "x<sup>2</sup> ~~no~~ <u>u</u>"),
        ("<p>use <code>a `b`</code></p>", "use `` a `b` ``"),
        ("<p>5 * 3 &lt; snake_case $9 [^1] a\\*</p>", "5 \\* 3 < snake_case \\$9 \\[^1] a\\\\\\*"),
        ("<p># no heading</p>", "\\# no heading"),
        ("<p>1. no list</p>", "1\\. no list"),
        ("<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>", "- a\n  - b\n- c"),
        ('<ol start="9"><li>a</li><li><p>b</p><p>c</p></li></ol>', "9. a\n10. b\n\n    c"),
        ('<ol type="i"><li>a</li><li>b</li></ol>', "i. a\nii. b"),
        ('<pre data-lang="py">\n  a\n\n    b</pre>', "```py\n  a\n\n    b\n```"),
        ("<pre>a ``` b</pre>", "````\na ``` b\n````"),
        ("<blockquote><p>a</p><p>b</p></blockquote>", "> a\n> \n> b"),
        ("<p>a</p><hr/><p>b</p>", "a\n\n---\n\nb"),
        (
            '<p>a<a class="noteref" data-label="1"/></p>'
            '<aside class="footnote" data-label="1"><p>n</p><p>m</p></aside>',
            "a[^1]\n\n[^1]: n\n\n    m",
        ),
        (
            "<table><tr><th>A</th><th>B</th></tr><tr><td>a|b</td><td><p>c</p><p>d</p></td></tr></table>",
            "| A | B |\n| --- | --- |\n| a\\|b | c<br>d |",
        ),
        (
            '<table><tr><td rowspan="2">a</td><td>b</td></tr><tr><td>c</td></tr></table>',
            "|  |  |\n| --- | --- |\n| a | b |\n|  | c |",
        ),
        (
            "<p><ruby>漢<rt>かん</rt></ruby></p>",
            "<ruby>漢<rt>かん</rt></ruby>",
        ),
        ('<p>a <math data-latex="x^2"><mi>x</mi></math></p>', "a $x^2$"),
        ('<math display="block" data-latex="x"><mi>x</mi></math>', "$$\nx\n$$"),
        ("<dl><dt>t</dt><dd>d</dd></dl>", "t\n: d"),
        ('<p>a <img src="x" alt="never"/> b</p>', "a b"),
    ],
)
def test_whole_trees(markup: str, expected: str) -> None:
    assert whole(markup) == expected


def test_a_cut_item_goes_on_without_its_marker_and_numbers_continue() -> None:
    markup = '<ol start="3"><li>alpha beta</li><li>gamma</li></ol>'
    assert part(markup, "3", "alpha") == "3. alpha"
    assert part(markup, "beta", "gamma") == "beta\n\n4. gamma"


def test_a_cut_table_has_no_header_on_the_next_page() -> None:
    rows = "<tr><td>aa</td><td>bb</td></tr><tr><td>cc</td><td>dd</td></tr>"
    markup = f"<table><tr><th>H</th><th>I</th></tr>{rows}</table>"
    assert part(markup, "cc", "dd") == "|  |  |\n| --- | --- |\n| cc | dd |"


def test_cut_code_keeps_its_indentation() -> None:
    markup = "<pre>def f():\n    return 1\n    # end</pre>"
    assert part(markup, "return", "end") == "```\n    return 1\n    # end\n```"


def test_a_word_is_cut_where_the_page_cuts_it() -> None:
    markup = "<p>some <em>emphasised words</em> here</p>"
    assert part(markup, "sisedw", "here") == "*sised words* here"


@pytest.mark.parametrize(
    ("number", "style", "text"),
    [(27, "a", "aa"), (26, "A", "Z"), (1994, "i", "mcmxciv"), (0, "a", "0"), (-3, "1", "-3")],
)
def test_numbers(number: int, style: str, text: str) -> None:
    assert format_number(number, style) == text


@given(st.lists(st.text("ab 中。", max_size=12), min_size=1, max_size=12), st.data())
def test_cut_pages_together_say_each_character_once(
    paragraphs: list[str], data: st.DataObject
) -> None:
    markup = "".join(f"<p>{p} <em>{p}</em></p><ul><li>{p}</li></ul>" for p in paragraphs)
    flow = build_flow(etree.fromstring(f"<article>{markup}</article>"))
    cut = data.draw(st.integers(0, len(flow.text)))
    said = [write_markdown(flow, r) for r in ([(0, cut)], [(cut, len(flow.text))])]
    plain = visible(re.sub(r"<[^>]*>|[*•-]", "", "".join(said)))
    assert plain == flow.text.replace("•", "")
