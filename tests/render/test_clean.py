# ruff: noqa: E501 - what goes in and what comes out are read on one line
from __future__ import annotations

import base64
import io
import re
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import etree
from PIL import Image

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.images import MAX_PIXELS
from dsvl_data.render.clean import Clean, clean_fragment, clean_html, clean_text
from dsvl_data.render.pages import Asset
from dsvl_data.render.parse import parse_markup

PLACE = ("dir", "lang")
CONTRACT: dict[str, tuple[str, ...]] = {
    "article": ("lang", "dir", "class"),
    "ol": ("start", "type", *PLACE),
    "li": ("value", *PLACE),
    "pre": ("data-lang",),
    "td": ("colspan", "rowspan", *PLACE),
    "th": ("colspan", "rowspan", *PLACE),
    "aside": ("class", "data-label", *PLACE),
    "a": ("class", "data-label"),
    "img": ("src", "alt", "width", "height"),
    "math": ("display", "data-latex"),
}
INLINE = frozenset(re.findall(r"\w+", "em strong code sup sub span u s br a ruby rt img math"))
LINES = frozenset(re.findall(r"\w+", "p h1 h2 h3 h4 h5 h6 dt caption figcaption pre"))
HOLDS_TEXT = INLINE | LINES | {"li", "dd", "td", "th"}
BLOCKS = frozenset(
    re.findall(r"\w+", "blockquote hr figure ul dl table thead tbody tfoot tr article ol aside")
)


def check_contract(clean: Clean) -> None:
    """Every rule of `dsvl_data.render`'s table that a tree can break."""
    math = {e for m in clean.body.iter("math") for e in m.iter() if e is not m}
    for element in clean.body.iter():
        if element in math:
            continue
        tag, parent = str(element.tag), element.getparent()
        assert tag in INLINE | LINES | BLOCKS | HOLDS_TEXT, tag
        allowed = CONTRACT.get(tag, PLACE)
        assert set(map(str, element.attrib)) <= {*allowed}, etree.tostring(element)
        for child in element:
            if child not in math and str(child.tag) not in INLINE:
                assert tag not in INLINE | LINES, (tag, child)
        text = [element.text, *(child.tail for child in element)]
        if any(t and t.strip() for t in text):
            assert tag in HOLDS_TEXT, (tag, text)
        assert tag != "li" or (parent is not None and parent.tag in ("ul", "ol"))
        assert tag not in ("dt", "dd") or (parent is not None and parent.tag == "dl")
        assert tag not in ("td", "th") or (parent is not None and parent.tag == "tr")
        if tag == "img":
            assert element.get("src") in clean.assets
    assert clean_text("".join(map(str, clean.body.itertext()))) == "".join(
        map(str, clean.body.itertext())
    )


def cleaned(markup: str, **options: str) -> str:
    clean = clean_fragment(markup, **options)
    check_contract(clean)
    whole = etree.tostring(clean.body, encoding="unicode")
    return whole.partition(">")[2].removesuffix("</article>")


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        # nesting
        ("<p>a<p>b</p></p>c", "<p>a</p><p>b</p><p>c</p>"),
        ("<b>x<div>y <i>z</i></div>w</b>", "<p><strong>x</strong></p><p><strong>y <em>z</em>"
         "</strong></p><p><strong>w</strong></p>"),
        ("<div><div>a</div>b<section>c</section></div>", "<p>a</p><p>b</p><p>c</p>"),
        ("<ul>x<li>a<li>b<ul><li>c</ul></ul>", "<ul><li>x</li><li>a</li><li>b<ul><li>c</li></ul>"
         "</li></ul>"),
        ("<li>a</li><li>b</li>", "<ul><li>a</li><li>b</li></ul>"),
        ("<ul><li>a</li><ul><li>b</li></ul></ul>", "<ul><li>a</li><li><ul><li>b</li></ul></li></ul>"),
        ("<dl><dt>a</dt><div><dt>b</dt></div><dd><p>c</p></dd></dl>",
         "<dl><dt>a</dt><dt>b</dt><dd><p>c</p></dd></dl>"),
        ("<h1><div>One</div><div>Two</div></h1>", "<h1>One<br/>Two</h1>"),
        ("<blockquote>a<p>b</p>c</blockquote>", "<blockquote><p>a</p><p>b</p><p>c</p></blockquote>"),
        ("<li><div>a</div><div>b</div></li>", "<ul><li><p>a</p><p>b</p></li></ul>"),
        ("<center>a</center><font color='red'>b</font>", "<p>a</p><p>b</p>"),
        ("<custom-x>a</custom-x>", "<p>a</p>"),
        ("<form>a <label>b <input value='v'></label><select><option>o</select></form>", "<p>a b</p>"),
        # line breaks
        ("a<br>b<br><br>c<br>", "<p>a<br/>b</p><p>c</p>"),
        ("<p><br>a<br></p><p><br></p><p>&nbsp;</p>", "<p>a</p>"),
        ("<div class='line-block'><div class='line'>a</div><div class='line'>b</div></div>",
         "<p>a<br/>b</p>"),
        # tables
        ("<table><tr><td>1<td>2<tr><td colspan=2 rowspan=x>3</table>", "<table><tbody><tr><td>1</td>"
         '<td>2</td></tr><tr><td colspan="2">3</td></tr></tbody></table>'),
        ("<table><caption>c</caption><thead><tr><th>h</th><th/></tr></thead><tr><td/><td>d</td></tr>"
         "</table>", "<table><caption>c</caption><thead><tr><th>h</th><th/></tr></thead><tbody><tr>"
         "<td/><td>d</td></tr></tbody></table>"),
        ("<table><tr><td><table><tr><td>1</td><td>2</td></tr></table></td><td>q</td></tr></table>",
         "<table><tbody><tr><td>1</td><td>2</td></tr></tbody></table><p>q</p>"),
        ("<table><tr><td>alone</td></tr></table>", "<p>alone</p>"),
        ("<td>a</td>", "<p>a</p>"),
        # inline
        ("<i>a</i><tt>b</tt><strike>c</strike><ins>d</ins>", "<p><em>a</em><code>b</code><s>c</s>"
         "<u>d</u></p>"),
        ("<em>a</em><em>b</em> <em></em>c", "<p><em>ab</em> c</p>"),
        ("<strong>a.&nbsp;</strong> <p>b&nbsp;</p>", "<p><strong>a.</strong></p><p>b</p>"),
        ("x<em> a </em>y", "<p>x <em>a</em> y</p>"),
        ("<span style='font-weight: bold; font-style:italic'>a</span>",
         "<p><strong><em>a</em></strong></p>"),
        ("<q>a <q>b</q></q>", "<p>“a ‘b’”</p>"),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>", "<p><ruby>漢<rt>kan</rt></ruby></p>"),
        ("<a href='http://evil.example/' onclick='x()'>link</a>", "<p>link</p>"),
        # numbers
        ("<ol start=3 type=a><li value=7>x</ol>", '<ol type="a" start="3"><li value="7">x</li></ol>'),
        ("<ol class='upperroman'><li>x</ol>", '<ol type="I"><li>x</li></ol>'),
        ("<ul style='list-style: none'><li>a<li>b</ul>", "<p>a</p><p>b</p>"),
        # text
        ("<p>soft\u00adhy\u200bphen \x07 e\u0301\ufeff</p>", "<p>softhyphen é</p>"),
        ("<p>  a \n\t b  </p>", "<p>a b</p>"),
        ("<p>中文\n换行，\n and\nmore 한국\n어</p>", "<p>中文换行， and more 한국 어</p>"),
        ("<p>क\u094d\u200dष می\u200cخواهم a\u200cb</p>", "<p>क\u094d\u200dष می\u200cخواهم ab</p>"),
        # gone
        ("<script>1</script><style>p{}</style><!-- c --><p hidden>h</p><p style='display:none'>n</p>"
         "<iframe src=x>i</iframe><video>v</video>k", "<p>k</p>"),
        ("<p>a<span epub:type='pagebreak'>12</span>b</p>", "<p>ab</p>"),
        ("<hr><p></p><div><span></span></div>a<hr>b<hr><hr>", "<hr/><p>a</p><hr/><p>b</p>"),
        # language and direction
        ("<p dir='rtl' lang='he'>שלום <bdo dir='ltr'>abc</bdo></p><p>many more words here</p>",
         '<p dir="rtl" lang="he">שלום <span dir="ltr">abc</span></p><p>many more words here</p>'),
    ],
)  # fmt: skip
def test_clean(markup: str, expected: str) -> None:
    assert cleaned(markup) == expected


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<pre>\n  a\n\tb <b>c</b> &lt;\n\n</pre>", "<pre>  a\n\tb c &lt;</pre>"),
        ("<pre>a\r\nb\rc\u00a0d<br>e</pre>", "<pre>a\nb\nc d\ne</pre>"),
        ("<pre><code class='language-C++'>int x;</code></pre>", '<pre data-lang="c++">int x;</pre>'),
        ('<div class="highlight-python notranslate"><div class="highlight"><pre><span></span>'
         '<span class="k">def</span> <span class="nf">f</span>():\n    <span class="k">pass</span>\n'
         "</pre></div></div>", '<pre data-lang="python">def f():\n    pass</pre>'),
        ('<div class="highlight-default"><pre>x</pre></div>', "<pre>x</pre>"),
        ('<pre class="sourceCode bash"><code class="sourceCode bash"><span id="cb1-1">ls</span>\n'
         '<span id="cb1-2">cd</span></code></pre>', '<pre data-lang="bash">ls\ncd</pre>'),
        ('<table class="highlighttable"><tr><td class="linenos"><div class="linenodiv"><pre>1\n2</pre>'
         '</div></td><td class="code"><div><pre>a\n  b\n</pre></div></td></tr></table>',
         "<pre>a\n  b</pre>"),
        ('<pre><span class="linenos">1</span>a\n<span class="linenos">2</span>b</pre>',
         "<pre>a\nb</pre>"),
        ("<pre><div>a</div><div>b</div></pre>", "<pre>a\nb</pre>"),
        ("<p>a<pre>b</pre>c</p>", "<p>a</p><pre>b</pre><p>c</p>"),
        ("<ul><li>a<pre>b\n c</pre></li></ul>", "<ul><li>a<pre>b\n c</pre></li></ul>"),
        ("<pre> \n </pre>", ""),
    ],
)  # fmt: skip
def test_code(markup: str, expected: str) -> None:
    assert cleaned(markup) == expected


REF = '<a class="noteref" data-label="{}"/>'
NOTE = '<aside class="footnote" data-label="{}"><p>{}</p></aside>'


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        # EPUB 3
        ('<p>T<a epub:type="noteref" href="#n">1</a></p><aside epub:type="footnote" id="n"><p>N</p>'
         "</aside>", f"<p>T{REF.format(1)}</p>{NOTE.format(1, 'N')}"),
        ('<p>T<sup><a role="doc-noteref" href="#n" id="r">*</a></sup></p><div role="doc-footnote" '
         'id="n">* N <a role="doc-backlink" href="#r">↩</a></div>',
         f"<p>T{REF.format('*')}</p>{NOTE.format('*', 'N')}"),
        # DocBook
        ('<p>T <a href="#ftn.x" class="footnote" id="x"><sup class="footnote">[4]</sup></a></p>'
         '<div class="footnotes"><br/><hr/><div id="ftn.x" class="footnote"><p><a href="#x">'
         '<sup class="simpara">[4] </sup></a>N</p></div></div>',
         f"<p>T {REF.format(4)}</p>{NOTE.format(4, 'N')}"),
        # Sphinx before and after docutils 0.18, and table form
        ('<p>T <a class="footnote-reference brackets" href="#i6" id="i1">1</a></p><dl class="footnote'
         ' brackets"><dt class="label" id="i6"><span class="brackets"><a class="fn-backref" '
         'href="#i1">1</a></span></dt><dd><p>N</p></dd></dl>',
         f"<p>T {REF.format(1)}</p>{NOTE.format(1, 'N')}"),
        ('<p>T<a class="footnote-reference brackets" href="#i6" id="i1" role="doc-noteref"><span '
         'class="fn-bracket">[</span>1<span class="fn-bracket">]</span></a></p><aside '
         'class="footnote-list brackets"><aside class="footnote brackets" id="i6" '
         'role="doc-footnote"><span class="label"><span class="fn-bracket">[</span><a role='
         '"doc-backlink" href="#i1">1</a><span class="fn-bracket">]</span></span><p>N</p></aside>'
         "</aside>", f"<p>T{REF.format(1)}</p>{NOTE.format(1, 'N')}"),
        ('<p>T<a class="footnote-reference" href="#i3" id="i2">[1]</a></p><table class="docutils '
         'footnote" id="i3"><tbody><tr><td class="label"><a class="fn-backref" href="#i2">[1]</a>'
         "</td><td>N</td></tr></tbody></table>", f"<p>T{REF.format(1)}</p>{NOTE.format(1, 'N')}"),
        # pandoc
        ('<p>T<a href="#fn1" class="footnote-ref" id="fnref1"><sup>1</sup></a></p><section '
         'class="footnotes"><hr/><ol><li id="fn1"><p>N<a href="#fnref1" class="footnote-back">↩︎</a>'
         "</p></li></ol></section>", f"<p>T{REF.format(1)}</p>{NOTE.format(1, 'N')}"),
        # plain
        ('<p>T<sup>[<a href="#f" id="r">2</a>]</sup> on.</p><p id="f"><a href="#r">2</a>. N</p>',
         f"<p>T{REF.format(2)} on.</p>{NOTE.format(2, 'N')}"),
        ('<p>中<a href="#f" id="r">〔1〕</a></p><p><a id="f" href="#r">〔1〕</a>注</p>',
         f"<p>中{REF.format(1)}</p>{NOTE.format(1, '注')}"),
        # a note in another file
        ('<p>T<a epub:type="noteref" href="notes.xhtml#n">7</a></p>', f"<p>T{REF.format(7)}</p>"),
        # what only looks like one
        ('<p>x<sup>2</sup> see <a href="#s">1</a></p><p id="s">1 is a section</p>',
         "<p>x<sup>2</sup> see 1</p><p>1 is a section</p>"),
        ('<p>see <sup><a href="#t">3</a></sup></p><p id="t">Another thing</p>',
         "<p>see <sup>3</sup></p><p>Another thing</p>"),
    ],
)  # fmt: skip
def test_footnotes(markup: str, expected: str) -> None:
    assert cleaned(markup) == expected


def picture(kind: str = "PNG", size: tuple[int, int] = (4, 3)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, kind)
    return out.getvalue()


def header_of_a_huge_png() -> bytes:
    data = bytearray(picture())
    data[16:24] = (50_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'viewBox="0 0 40 20"{}>{}</svg>'
)
ASSETS = {
    "a.png": Asset(picture(), "image/png"),
    "liar.png": Asset(picture("JPEG"), "image/png"),
    "fake.png": Asset(b"<html>no image", "image/png"),
    "huge.png": Asset(header_of_a_huge_png(), "image/png"),
    "d.svg": Asset(SVG.format("", "<text>words</text>").encode(), "image/svg+xml"),
    "xxe.svg": Asset(
        b'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        + SVG.format("", "&x;").encode(),
        "image/svg+xml",
    ),
}


def with_pictures(markup: str) -> Clean:
    clean = clean_fragment(markup, resolve=ASSETS.get)
    check_contract(clean)
    return clean


def test_a_picture_becomes_an_asset_of_its_true_type() -> None:
    clean = with_pictures('<p>x<img src="liar.png" alt="an alt" width="40px" height="50%"></p>')
    (image,) = clean.body.iter("img")
    asset = clean.assets[image.get("src", "")]
    assert asset == Asset(picture("JPEG"), "image/jpeg")
    assert (image.get("alt"), image.get("width"), image.get("height")) == ("an alt", "40", None)
    assert "".join(map(str, clean.body.itertext())) == "x"


def test_data_urls_and_repeated_pictures() -> None:
    url = "data:image/png;base64," + base64.b64encode(picture()).decode()
    clean = with_pictures(f'<img src="{url}"><img src="a.png"><object data="a.png">no</object>')
    assert len(list(clean.body.iter("img"))) == 3
    assert len(clean.assets) == 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("none.png", Reason.MISSING_IMAGE),
        ("http://evil.example/x.png", Reason.MISSING_IMAGE),
        ("file:///etc/passwd", Reason.MISSING_IMAGE),
        ("data:image/png;base64,AAAA", Reason.BAD_IMAGE),
        ("data:nonsense", Reason.MISSING_IMAGE),
        ("fake.png", Reason.BAD_IMAGE),
        ("huge.png", Reason.IMAGE_BOMB),
        ("xxe.svg", Reason.XML_ENTITIES),
    ],
)
def test_a_bad_picture_is_left_out_and_its_text_stays(source: str, reason: Reason) -> None:
    clean = with_pictures(f'<p>before<img src="{source}">after</p><img src="a.png">')
    assert [left.reason for left in clean.left_out] == [reason]
    assert "".join(map(str, clean.body.itertext())) == "beforeafter"
    assert len(clean.assets) == 1
    assert MAX_PIXELS < 50_000**2


def svg_of(clean: Clean) -> str:
    (asset,) = clean.assets.values()
    assert asset.media_type == "image/svg+xml"
    return asset.data.decode()


def test_an_inline_svg_is_a_picture_and_its_words_are_no_text() -> None:
    clean = with_pictures("<p>x" + SVG.format("", "<text>words</text>") + "</p>")
    assert "words" in svg_of(clean)
    assert "".join(map(str, clean.body.itertext())) == "x"
    assert 'width="40"' in svg_of(clean)


def test_an_inline_svg_from_html_has_its_names_again() -> None:
    clean = clean_fragment(
        "<p>unclosed<svg viewBox='0 0 9 9'><linearGradient id='g' gradientUnits='userSpaceOnUse'/>"
        "<rect fill='url(#g)'/></svg>"
    )
    svg = svg_of(clean)
    assert "linearGradient" in svg
    assert "viewBox" in svg
    assert "gradientUnits" in svg
    assert "url(#g)" in svg


def test_an_svg_runs_nothing_and_reaches_nothing() -> None:
    hostile = SVG.format(
        ' onload="evil()"',
        "<script>evil()</script><style>@import url(http://evil.example/x.css); rect{fill:url("
        "http://evil.example/y)} text{fill:red}</style><image xlink:href='file:///etc/passwd'/>"
        "<image href='http://evil.example/z.png'/><image xlink:href='a.png' width='3'/>"
        "<a xlink:href='javascript:evil()'><rect onclick='evil()' fill='url(http://evil.example)'/>"
        "</a><foreignObject><iframe src='http://evil.example'/></foreignObject><use href='#r'/>",
    )
    svg = svg_of(with_pictures("<p>x" + hostile + "</p>"))
    for word in ("evil", "passwd", "script", "foreignObject", "iframe", "@import"):
        assert word not in svg
    assert "text{fill:red}" in svg
    assert svg.count("data:image/png;base64,") == 1


def test_an_svg_bomb_of_uses() -> None:
    levels = "".join(
        f'<g id="l{n}">' + f'<use xlink:href="#l{n - 1}"/>' * 10 + "</g>" for n in range(1, 9)
    )
    bomb = SVG.format("", f'<rect id="l0"/>{levels}<use href="#l8"/>')
    clean = with_pictures(f"<p>x{bomb}</p>")
    assert [left.reason for left in clean.left_out] == [Reason.IMAGE_BOMB]
    looped = SVG.format("", '<g id="a"><use xlink:href="#a"/></g>')
    assert [e.reason for e in with_pictures(f"<p>x{looped}</p>").left_out] == [Reason.IMAGE_BOMB]


def test_the_usual_wrapper_of_a_cover_is_the_picture_in_it() -> None:
    clean = with_pictures("<p>x</p>" + SVG.format("", '<image xlink:href="a.png"/>'))
    assert [asset.media_type for asset in clean.assets.values()] == ["image/png"]


def test_mathml_katex_and_mathjax_say_their_formula_once() -> None:
    math = "<math><mi>x</mi></math>"
    for markup in (
        math,
        f'<span class="katex"><span class="katex-mathml">{math}</span><span class="katex-html" '
        'aria-hidden="true">x</span></span>',
        f"<mjx-container><svg><path/></svg><mjx-assistive-mml>{math}</mjx-assistive-mml>"
        "</mjx-container>",
        f"<epub:switch><epub:case required-namespace='http://www.w3.org/1998/Math/MathML'>{math}"
        "</epub:case><epub:default>x</epub:default></epub:switch>",
    ):
        clean = clean_fragment(f"<p>{markup}</p>")
        assert len(list(clean.body.iter("math"))) == 1, markup
        assert "".join(map(str, clean.body.itertext())) == "x", markup


def test_the_articles_own_language_and_direction() -> None:
    markup = '<html lang="en" dir="rtl"><body><p lang="en">a</p><p lang="fr">b</p></body></html>'
    clean = clean_html(parse_markup(markup), language="ar", vertical=True)
    assert dict(clean.body.attrib) == {"lang": "ar", "dir": "rtl", "class": "vertical"}
    assert [p.get("lang") for p in clean.body] == [None, "fr"]
    hebrew = clean_fragment("<p>" + "שלום " * 9 + "abc</p>")
    assert hebrew.body.get("dir") == "rtl"


PIECES = (
    "<p>", "</p>", "<div>", "</div>", "<ul>", "</ul>", "<li>", "</li>", "<table>", "</table>",
    "<tr>", "<td>", "</td>", "<b>", "</b>", "<i>", "</i>", "<br>", "<h1>", "</h1>", "<pre>", "</pre>",
    "<dl>", "<dt>", "<dd>", "</dl>", "<blockquote>", "</blockquote>", "<figure>", "<figcaption>",
    "</figure>", "<caption>", "<hr>", "<span dir=rtl>", "</span>", "<ol>", "</ol>", "<sup>", "</sup>",
    "<code>", "</code>", "<ruby>", "<rt>", "</ruby>", "<a epub:type=noteref href=#n>1</a>",
    "<aside epub:type=footnote id=n>", "</aside>", "<img src=a.png>", "<math><mi>q</mi></math>", " ",
    "\n", "<section>", "</section>", "<thead>", "<th>", "<q>", "</q>",
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@example(["<span dir=rtl>", "<pre>", "a"])
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from("abcdefgh")), max_size=40))
def test_any_soup_keeps_its_words_and_meets_the_contract(pieces: list[str]) -> None:
    markup = "<body>" + "".join(pieces)
    try:
        root = parse_markup(markup)
    except DocumentError:
        return
    for footnote in root.iter("a"):
        if any(True for _ in footnote.iterancestors("pre")):
            continue  # code is kept to the letter
        footnote.text = None  # a reference's label is an attribute in clean HTML
    before = "".join("".join(map(str, root.itertext())).split())
    clean = clean_html(parse_markup(markup), resolve=ASSETS.get)
    check_contract(clean)
    after = "".join("".join(map(str, clean.body.itertext())).split())
    assert after.replace("“", "").replace("”", "").replace("‘", "").replace("’", "") == before


def test_every_visible_character_of_the_real_books_is_kept(real_data: Path) -> None:
    """By another way: the bodies' text nodes against the clean tree's, as bags of characters."""
    for path in sorted((real_data / "ebooks").glob("*.epub")):
        archive = zipfile.ZipFile(path)
        for name in archive.namelist():
            if name.endswith("html"):
                body = etree.fromstring(archive.read(name)).find("{*}body")
                assert body is not None
                clean = clean_html(parse_markup(archive.read(name)), name=name.rpartition("/")[2])
                before = Counter("".join("".join(map(str, body.itertext())).split()))
                after = Counter("".join("".join(map(str, clean.body.itertext())).split()))
                assert after - before == Counter(), name
                # The labels of footnotes are attributes, since they are written elsewhere.
                lost = before - after
                assert set(lost) <= set("0123456789[](),"), name
                notes = len(list(clean.body.iter("aside"))) + len(list(clean.body.iter("a")))
                assert lost.total() <= 4 * notes, name
