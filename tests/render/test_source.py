"""A tree written out: white space only where it shows nothing, and nothing that is not used."""

from __future__ import annotations

from typing import Any

from dsvl_data.render.source import Writer
from dsvl_data.render.survey import BLOCK, END, FOREIGN, FREE, PRESERVED, START, UNSEEN

CONTAINER = BLOCK | START | END


def node(tag: str, flags: int, *children: Any, **attributes: str) -> Any:
    flat = [part for name, value in attributes.items() for part in (name.rstrip("_"), value)]
    return [tag, flags, flat, list(children)]


def body(*children: Any, names: frozenset[str] | None = frozenset(), whole: bool = False) -> str:
    writer = Writer(names, lambda url, w, h: f"box-{url}-{w}x{h}", lambda text: text, whole)
    tree = node("html", FREE, node("head", FREE), node("body", CONTAINER, *children))
    written = writer.document(tree, "", ["html", "", ""])
    return written.split("<body>\n", 1)[1].removesuffix("\n</body>\n</html>\n")


def test_blocks_stand_on_lines_of_their_own() -> None:
    inner = node("p", CONTAINER, "Some  text\n ", node("b", 0, "bold"), ".")
    assert body(node("div", CONTAINER, inner)) == (
        "  <div>\n    <p>Some text <b>bold</b>.</p>\n  </div>"
    )


def test_no_space_is_put_between_words_and_none_is_lost() -> None:
    line = node("p", CONTAINER, node("i", 0, "a"), node("b", 0, "b"), " ", node("u", 0, " c "))
    assert body(line) == "  <p><i>a</i><b>b</b> <u> c </u></p>"


def test_space_that_shows_stays_at_the_edges_of_inline_elements() -> None:
    # Without START the browser has said that a space there would be seen.
    assert body(node("p", BLOCK, " a ")) == "  <p> a </p>"


def test_a_long_line_breaks_only_where_there_was_space() -> None:
    links = [node("a", 0, f"link number {n}") for n in range(9)]
    spaced = [part for link in links for part in (link, " ")]
    written = body(node("nav", CONTAINER, *spaced))
    assert written.count("\n") == 10
    glued = body(node("nav", CONTAINER, *links))
    assert glued.count("\n") == 2


def test_preserved_text_is_as_it_was() -> None:
    pre = node("pre", CONTAINER | PRESERVED, "\n  a <\n", node("b", PRESERVED, " b "))
    assert body(pre) == "  <pre>\n\n  a &lt;\n<b> b </b></pre>"


def test_attributes_stay_only_where_something_refers_to_them() -> None:
    made = node(
        "p", CONTAINER, "x", class_="used gone", id="top", onclick="f()", title="t",
        align="center", **{"data-a": "1", "data-b": "2", "aria-label": "l"},
    )  # fmt: skip
    assert body(made, names=frozenset({".used", "[data-b"})) == (
        '  <p class="used" align="center" data-b="2">x</p>'
    )
    link = node("a", 0, "up", href="#top")
    assert 'id="top"' in body(made, link)


def test_links_lose_what_follows_readers_about() -> None:
    def written(href: str) -> str:
        return body(node("a", 0, "x", href=href))

    assert written("javascript:f()") == '  <a href="#">x</a>'
    assert written("shop.html?utm_source=a&id=3&gclid=9") == '  <a href="shop.html?id=3">x</a>'
    assert written("http://[bad") == '  <a href="#">x</a>'


def test_pictures_get_what_stands_for_them() -> None:
    image = node("img", 0, src="http://x/a.png", srcset="b.png 2x", alt="A", **{"~width": "3"})
    assert body(image) == '  <img alt="A" src="box-http://x/a.png-3x">'.replace(
        'alt="A" src="box-http://x/a.png-3x"', 'src="box-http://x/a.png-3x" alt="A"'
    )
    assert "src" not in body(node("video", 0, src="film.mp4"))


def test_what_cannot_be_seen_is_left_out_unless_all_is_asked_for() -> None:
    hidden = node("p", CONTAINER | UNSEEN, "secret")
    assert "secret" not in body(hidden, "seen")
    assert "secret" in body(hidden, "seen", whole=True)


def test_drawings_are_short() -> None:
    stop = node("stop", FOREIGN | FREE, offset="0", **{"inkscape:label": "x"})
    svg = node("svg", FOREIGN | FREE, node("metadata", FOREIGN | FREE, "m"), stop, version="1.1")
    assert body(svg) == '  <svg><stop offset="0" /></svg>'


def test_marks_of_markup_are_escaped() -> None:
    made = node("p", CONTAINER, "a < b & c > \u00a0d", style='content: "x&y"')
    assert body(made) == (
        '  <p style="content: &quot;x&amp;y&quot;">a &lt; b &amp; c &gt; &nbsp;d</p>'
    )


def test_a_style_sheet_cannot_end_its_element() -> None:
    writer = Writer(None, lambda url, w, h: url, lambda text: text)
    tree = node("html", FREE, node("head", FREE), node("body", CONTAINER, "x"))
    written = writer.document(tree, 'p::after { content: "</style>" }', None)
    assert written.count("</style>") == 1
    assert not written.startswith("<!DOCTYPE")
