"""The truth of the proof set's share: what a chapter says before it is cleaned."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.source_dom import common, read_source
from dsvl_data.render.clean import clean_html
from dsvl_data.render.flow import build_flow
from dsvl_data.render.parse import parse_markup

PAGE = """<html><head><title>No</title></head><body><h1>One</h1><script>var no;</script>
<p>Text<a epub:type="noteref" href="#n">[1]</a> goes <b>on</b>.</p><button>Press</button>
<p style="display:none">hidden</p><div class="strange">last</div>
<aside id="n" epub:type="footnote"><p>A note.</p></aside></body></html>"""


def test_what_is_seen_is_counted_and_what_is_left_out_is_named() -> None:
    source = read_source(parse_markup(PAGE), "a.xhtml")
    assert source.text == "OneText1goeson.lastAnote."
    assert source.left_out == {
        "labels and brackets of notes, written anew": 2,
        "controls and media": 5,
        "what the book hides": 6,
    }
    clean = build_flow(clean_html(parse_markup(PAGE), name="a.xhtml").body)
    assert common(source.text, clean.text) == len(source.text)


def test_what_cleaning_loses_is_missed() -> None:
    source = read_source(parse_markup(PAGE), "a.xhtml")
    lossy = build_flow(clean_html(parse_markup(PAGE.replace("goes", "go")), name="a.xhtml").body)
    assert common(source.text, lossy.text) == len(source.text) - 2


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_common_is_the_longest_common_subsequence(first: str, second: str) -> None:
    table = [0] * (len(second) + 1)
    for a in first:
        row = [0]
        for index, b in enumerate(second):
            row.append(table[index] + 1 if a == b else max(row[-1], table[index + 1]))
        table = row
    assert common(first, second) == table[-1]
