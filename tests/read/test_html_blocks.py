"""Blocks of web pages: order, captions, tables, formulas, notes; and that no text gets lost."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.blocks import Block, LostBlock, PictureBlock, TextBlock
from dsvl_data.read.html_blocks import read_blocks
from dsvl_data.read.html_formulas import uses_tex
from dsvl_data.render.parse import parse_markup


def load(path: str) -> bytes:
    if "missing" in path:
        raise DocumentError(Reason.MISSING_IMAGE, "it is not there")
    return path.encode()


def draw(element: object) -> bytes:
    return b"drawn"


def read(body: str, **options: bool) -> list[Block]:
    page = parse_markup(f"<html><body>{body}</body></html>")
    return read_blocks(page, load=load, draw=draw, **options)


def texts(blocks: list[Block]) -> list[str]:
    return [block.markdown for block in blocks if isinstance(block, TextBlock)]


def captions(blocks: list[Block]) -> list[tuple[str, str]]:
    return [(block.name, block.caption) for block in blocks if isinstance(block, PictureBlock)]


def test_blocks_stand_in_the_order_of_the_page() -> None:
    blocks = read(
        "<h1>Tea</h1><p>Boil <b>water</b>.<br>Wait.</p><img src=a.png><ul><li>one<li>two</ul>"
        "<pre><code class='language-py'>x = 1\n  y</code></pre><blockquote><p>said</p></blockquote>"
    )
    assert [getattr(block, "kind", "picture") for block in blocks] == [
        "heading", "paragraph", "picture", "list", "code", "paragraph",
    ]  # fmt: skip
    assert texts(blocks) == [
        "# Tea", "Boil **water**.  \nWait.", "- one\n- two", "```py\nx = 1\n  y\n```", "> said",
    ]  # fmt: skip


def test_a_picture_parts_its_sentence_and_a_lost_one_does_not() -> None:
    blocks = read("<p>before <img src=a.png> after</p><p>and <img src=missing.png> on</p>")
    assert [type(block) for block in blocks] == [
        TextBlock, PictureBlock, TextBlock, TextBlock, LostBlock,
    ]  # fmt: skip
    assert texts(blocks) == ["before", "after", "and on"]


def test_captions_of_every_convention_belong_to_their_pictures() -> None:
    blocks = read(
        "<figure><img src=html.png><figcaption>A <i>b</i></figcaption></figure>"
        "<div class='thumb tright'><div class='thumbinner'><a class=image><img src=wiki.png></a>"
        "<div class=thumbcaption>Wiki</div></div></div>"
        "<figure typeof='mw:File/Thumb'><a><img src=parsoid.png></a>"
        "<figcaption>Parsoid</figcaption></figure>"
        "<div class='wp-caption'><img src=wp.png><p class='wp-caption-text'>Press</p></div>"
        "<div class=figure><div class=figure-contents><div class=mediaobject><img src=db.png></div>"
        "</div><p class=title><b>DocBook</b></p></div>"
        "<div class=imageblock><div class=content><img src=adoc.png></div>"
        "<div class=title>Adoc</div></div>"
        "<ul class='gallery'><li class=gallerybox><div class=thumb><img src=g1.png></div>"
        "<div class=gallerytext>One</div></li><li class=gallerybox><div class=thumb>"
        "<img src=g2.png></div><div class=gallerytext>Two</div></li></ul>"
        "<p><img src=book.png></p><p class=caption>Book</p>"
        "<p><img src=said.png></p><p>Figure 3. Said so</p><p>Figure 3 is above.</p>"
    )
    assert captions(blocks) == [
        ("html.png", "A *b*"), ("wiki.png", "Wiki"), ("parsoid.png", "Parsoid"),
        ("wp.png", "Press"), ("db.png", "**DocBook**"), ("adoc.png", "Adoc"), ("g1.png", "One"),
        ("g2.png", "Two"), ("book.png", "Book"), ("said.png", "Figure 3. Said so"),
    ]  # fmt: skip
    assert texts(blocks) == ["Figure 3 is above."]


def test_the_caption_of_a_lost_picture_is_lost_and_that_of_a_table_is_not() -> None:
    blocks = read(
        "<figure><img src=missing.png><figcaption>gone</figcaption></figure>"
        "<figure><table><tr><th>a<th>b<tr><td>1<td>2</table><figcaption>kept</figcaption></figure>"
    )
    assert isinstance(blocks[0], LostBlock)
    assert texts(blocks) == ["kept", "| a | b |\n| --- | --- |\n| 1 | 2 |"]


def test_nested_figures_keep_their_own_captions() -> None:
    blocks = read(
        "<figure><figure><img src=a.png><figcaption>(a)</figcaption></figure>"
        "<figure><img src=b.png><figcaption>(b)</figcaption></figure>"
        "<figcaption>both</figcaption></figure>"
    )
    assert captions(blocks) == [("a.png", "(a)"), ("b.png", "(b) both")]


def test_steps_with_pictures_keep_their_numbers_and_order() -> None:
    blocks = read(
        "<ol><li>Cut.<img src=1.png></li><li>Fold.<p>Twice.</p><img src=2.png>Press.</li>"
        "<li>Done.<ul><li>really</ul></ol>"
    )
    assert [block.name if isinstance(block, PictureBlock) else block.markdown  # type: ignore[union-attr]
            for block in blocks] == [
        "1. Cut.", "1.png", "2. Fold.\n\n   Twice.", "2.png", "   Press.\n3. Done.\n   - really",
    ]  # fmt: skip


def test_merged_cells_bars_and_pictures_of_tables() -> None:
    blocks = read(
        "<table><caption>T</caption><tr><th>a<th>b<th>c<tr><td rowspan=2>1|2<td colspan=2>x<br>y"
        "<tr><td>3<td>4<img src=cell.png></table>"
    )
    assert texts(blocks) == [
        "T\n\n| a | b | c |\n| --- | --- | --- |\n| 1\\|2 | x<br>y |  |\n|  | 3 | 4 |"
    ]
    assert captions(blocks) == [("cell.png", "")]


def test_a_layout_table_is_text() -> None:
    blocks = read("<table><tr><td><h2>Left</h2><p>one</p><td><p>two</p></tr></table>")
    assert texts(blocks) == ["## Left", "one", "two"]


def test_formulas_of_every_kind_become_latex() -> None:
    blocks = read(
        r"<p>a <math alttext='x^2'><mi>x</mi></math> b</p>"
        r"<p>c <img class='mwe-math-fallback-image-inline' alt='{\displaystyle y_1}' src=f.svg></p>"
        r"<p><span class='mwe-math-element'><span style='display:none'><math>"
        r"<semantics><mi>q</mi><annotation encoding='application/x-tex'>{\displaystyle q^{3}}"
        r"</annotation></semantics></math></span><img class=mwe-math-fallback-image-inline "
        r"alt='no'></span></p>"
        r"<p>d <script type='math/tex'>\alpha</script> e <span class='MathJax'>α</span></p>"
        r"<script type='math/tex; mode=display'>\int_0^1</script>"
        r"<p><span class='katex'><span class=katex-mathml><math><semantics><mi>k</mi>"
        r"<annotation encoding='application/x-tex'>k_0</annotation></semantics></math></span>"
        r"<span class=katex-html>k0</span></span></p>"
        r"<p>p <span class='math inline'>\(z\)</span></p>"
    )
    assert texts(blocks) == [
        "a $x^2$ b", "c $y_1$", "$q^{3}$", r"d $\alpha$ e", "$$\n\\int_0^1\n$$", "$k_0$", "p $z$",
    ]  # fmt: skip


def test_tex_in_text_is_a_formula_only_where_a_typesetter_is_loaded() -> None:
    body = r"<p>so \(a_1\) is; $$b$$ too</p>"
    assert uses_tex(b"<script src='/MathJax.js'>")
    assert texts(read(body, tex=True)) == ["so $a_1$ is;", "$$\nb\n$$", "too"]
    assert "$a_1$" not in texts(read(body))[0]


def test_notes_are_referred_to_by_their_labels() -> None:
    blocks = read(
        "<p>Said<a epub:type='noteref' href='#n1'>1</a>.</p>"
        "<aside epub:type='footnote' id='n1'><p>By whom?</p></aside>"
    )
    assert texts(blocks) == ["Said[^1].", "[^1]: By whom?"]


def test_hidden_elements_icons_and_empty_sections_are_left_out() -> None:
    blocks = read(
        "<p>seen<span style='display: none'>unseen</span><img src=i.png width=16 height=16></p>"
        "<h2>Empty</h2><h2>Full</h2><p>text</p><h3>End</h3>"
    )
    assert texts(blocks) == ["seen", "## Full", "text"]
    lost = next(block for block in blocks if isinstance(block, LostBlock))
    assert lost.reason is Reason.IMAGE_TOO_SMALL


def test_lazy_pictures_are_taken_from_where_the_script_would_take_them() -> None:
    blocks = read(
        "<img src='data:image/gif;base64,R0lGOD' data-src=real.jpg><noscript><img src=real.jpg>"
        "</noscript><picture><source srcset='s.jpg 480w, l.jpg 960w'><img></picture>"
    )
    assert [name for name, _ in captions(blocks)] == ["real.jpg", "l.jpg"]


WORDS = st.text("abcdefgh", min_size=1, max_size=8)


@st.composite
def bodies(draw_: st.DrawFn, depth: int = 3) -> str:
    """A piece of a page with words in it, nested as pages are."""
    parts = []
    for _ in range(draw_(st.integers(0, 4))):
        kind = draw_(st.sampled_from(
            ("text", "img", "p", "div", "b", "span", "ul", "ol", "dl", "table", "blockquote",
             "h2", "figure", "pre", "section", "code", "li", "a")))  # fmt: skip
        inner = draw_(bodies(depth - 1)) if depth else draw_(WORDS)
        word = draw_(WORDS)
        if kind == "text":
            parts.append(f" {word} ")
        elif kind == "img":
            parts.append(f"<img src={word}.png>")
        elif kind in ("ul", "ol"):
            parts.append(f"<{kind}><li>{word} {inner}</li><li> {word}</li></{kind}>")
        elif kind == "dl":
            parts.append(f"<dl><dt>{word}</dt><dd>{inner} {word}</dd></dl>")
        elif kind == "table":
            parts.append(f"<table><tr><td>{word}</td><td>{inner}</td></tr></table>")
        elif kind == "figure":
            parts.append(f"<figure>{inner}<figcaption>{word}</figcaption></figure>")
        elif kind == "h2":
            parts.append(f"<h2>{word}</h2><p>{word}</p>")
        else:
            parts.append(f"<{kind}> {inner} {word} </{kind}>")
    return " ".join(parts)


@settings(max_examples=60, deadline=None)
@given(bodies())
def test_every_word_is_kept_once_and_every_picture_is_shown(body: str) -> None:
    blocks = read(f"<p>first</p>{body}<p>last</p>")
    shown = re.findall("[a-h]+", re.sub("<[^>]*>", " ", body))
    said = " ".join(
        block.markdown if isinstance(block, TextBlock) else block.caption  # type: ignore[union-attr]
        for block in blocks
    )
    said = re.sub(r"</?\w+>|first|last", " ", said)
    assert sorted(re.findall("[a-h]+", said)) == sorted(shown)
    names = {name for name, _ in captions(blocks)}
    assert names == {f"{word}.png" for word in re.findall("src=([a-h]+)", body)}


@given(st.lists(st.one_of(WORDS, st.just("")), min_size=1, max_size=20))
def test_the_order_of_text_and_pictures_is_that_of_the_page(words: list[str]) -> None:
    body = "".join(
        f"<div><p>{word}{number}</p></div>" if word else f"<span><img src={number}.png></span>"
        for number, word in enumerate(words)
    )
    order = [block.markdown if isinstance(block, TextBlock) else block.name for block in read(body)]
    assert order == [f"{word}{n}" if word else f"{n}.png" for n, word in enumerate(words)]
