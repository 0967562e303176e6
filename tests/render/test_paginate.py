"""Matching painted characters with the flow, without a browser."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from dsvl_data.render.flow import build_flow
from dsvl_data.render.paginate import paginate


def flow_of(markup: str):  # type: ignore[no-untyped-def]
    return build_flow(etree.fromstring(f"<article>{markup}</article>"))


WORDS = st.lists(st.text("abcdefgh", min_size=1, max_size=8), min_size=1, max_size=60)


@given(WORDS, st.data())
def test_pages_in_order_get_what_they_paint(words: list[str], data: st.DataObject) -> None:
    flow = flow_of(f"<p>{' '.join(words)}</p>")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(flow.text)), max_size=4)))
    borders = [0, *cuts, len(flow.text)]
    pages = [[flow.text[a:b]] if b > a else [] for a, b in pairwise(borders)]
    shares = paginate(flow, pages)
    assert ["".join(flow.text[a:b] for a, b in s.ranges) for s in shares] == [
        "".join(page) for page in pages
    ]
    assert all(s.score == 1.0 for s in shares)


@given(st.permutations(range(12)))
def test_lines_in_any_order_are_matched_where_order_may_differ(order: list[int]) -> None:
    words = [chr(0x5D0 + n) * 3 for n in range(12)]
    flow = flow_of(f"<p>{' '.join(words)}</p>")
    [share] = paginate(flow, [[words[n] for n in order]])
    assert share.ranges == [(0, len(flow.text))]
    assert share.score == 1.0


def test_a_row_that_breaks_over_pages_is_put_together_again() -> None:
    flow = flow_of(
        "<table><tr><td>alpha beta gamma delta</td><td>one two three four</td></tr></table>"
        "<p>end</p>"
    )
    shares = paginate(
        flow, [["alpha", "beta", "one"], ["gamma", "delta", "two", "three", "four", "end"]]
    )
    said = ["".join(flow.text[a:b] for a, b in share.ranges) for share in shares]
    assert said == ["alphabetaone", "gammadeltatwothreefourend"]
    assert all(share.score == 1.0 for share in shares)


@given(WORDS, st.integers(0, 10_000))
def test_a_lost_character_is_missed(words: list[str], place: int) -> None:
    flow = flow_of(f"<p>{' '.join(words)} zzzzzz</p>")
    lost = place % (len(flow.text) - 6)
    painted = flow.text[:lost] + flow.text[lost + 1 :]
    [share] = paginate(flow, [[painted]])
    assert share.score < 1.0
    assert share.missing


@given(WORDS, st.integers(0, 10_000))
def test_a_strange_character_is_found(words: list[str], place: int) -> None:
    flow = flow_of(f"<p>{' '.join(words)}</p>")
    at = place % (len(flow.text) + 1)
    [share] = paginate(flow, [[flow.text[:at] + "Ω" + flow.text[at:]]])
    assert "Ω" in share.strange
    assert share.score < 1.0
