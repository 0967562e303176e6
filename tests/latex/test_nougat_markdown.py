"""LaTeXML's HTML becomes blocks of Markdown: nothing is lost, and no formula is touched."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvl_data.latex.article import Article, Block, Kind
from dsvl_data.latex.dollars import formula_with_dollar
from dsvl_data.latex.nougat_markdown import read_article
from dsvl_data.outcome import DocumentError, Reason


def read(body: str) -> Article:
    page = (
        f'<!DOCTYPE html><html><body><article class="ltx_document">{body}</article></body></html>'
    )
    return read_article(page.encode())


def flow(body: str) -> list[str]:
    return [block.markdown for block in read(body).flow]


def para(text: str) -> str:
    return f'<div class="ltx_para"><p class="ltx_p">{text}</p></div>'


def math(tex: str, display: str = "inline") -> str:
    escaped = tex.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return (
        f'<math class="ltx_Math" alttext="{escaped}" display="{display}">'
        f"<semantics><mi>x</mi></semantics></math>"
    )


def equation(*cells: str, number: str = "") -> str:
    tag = f'<span class="ltx_tag ltx_tag_equation">({number})</span>' if number else ""
    row = "".join(f'<td class="ltx_td ltx_eqn_cell">{cell}</td>\n' for cell in cells)
    return (
        '<table class="ltx_equation ltx_eqn_table">\n<tbody><tr class="ltx_equation ltx_eqn_row">'
        f'\n{row}<td class="ltx_eqn_cell ltx_eqn_eqno">{tag}</td></tr></tbody></table>'
    )


def note(mark: str, text: str, role: str = "footnote") -> str:
    sup = f'<sup class="ltx_note_mark">{mark}</sup>'
    return (
        f'<span class="ltx_note ltx_role_{role}">{sup}<span class="ltx_note_outer">'
        f'<span class="ltx_note_content">{sup}\n<span class="ltx_tag ltx_tag_note">{mark}</span>\n'
        f"{text}</span></span></span>"
    )


def item(label: str, text: str) -> str:
    return f'<li class="ltx_item"><span class="ltx_tag ltx_tag_item">{label}</span> {text}</li>'


def listing(*lines: str, source: str = "", kind: str = "ltx_lstlisting") -> str:
    data = base64.b64encode(source.encode()).decode()
    link = f'<div class="ltx_listing_data"><a href="data:text/plain;base64,{data}">x</a></div>'
    rows = "".join(f'<div class="ltx_listingline">\n{line}\n</div>' for line in lines)
    return f'<div class="ltx_listing {kind}">{link if source else ""}{rows}</div>'


# ------------------------------------------------------------------ what stopped Nougat's parser


def test_missing_labels_and_citations_show_as_latex_prints_them() -> None:
    body = (
        'See <span class="ltx_ref ltx_missing_label ltx_ref_self">LABEL:gone</span> and '
        '<cite class="ltx_cite">[<span class="ltx_ref ltx_missing_citation">key99</span>]</cite>.'
    )
    assert flow(para(body)) == ["See ?? and [?]."]


def test_author_year_citations_keep_their_letters() -> None:
    body = '<cite class="ltx_cite">Smith (<a href="#bib.bib1" class="ltx_ref">2017b</a>)</cite>'
    assert flow(para(body)) == ["Smith (2017b)"]


def test_a_reference_without_a_target_is_text() -> None:
    assert flow(para('<a class="ltx_ref">3.1</a>')) == ["3.1"]


def test_formulas_of_any_class_are_kept() -> None:
    bare = '<math display="inline"><annotation encoding="application/x-tex">y^2</annotation></math>'
    odd = '<math class="ltx_math_unparsed" alttext="x_1"><mi>x</mi></math>'
    assert flow(para(f"{bare} and {odd}")) == [r"\(y^2\) and \(x_1\)"]


# ------------------------------------------------------------------ formulas


@pytest.mark.parametrize(
    "tex",
    [
        r"\left\lbrace x\right\rbrace",  # Nougat turns the brace round
        r"a\le b\ne c\lor d\>e",
        r"\displaystyle\frac{1}{2}",
        r"50\% of \_x_{a*b*c}",
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        r"\text{for $x<y$ \& all `z'}",
        r"\]\[ \) \( $$",
    ],
)
def test_formulas_are_kept_to_the_letter_everywhere(tex: str) -> None:
    table = (
        '<figure class="ltx_table"><table class="ltx_tabular"><tr class="ltx_tr">'
        f'<td class="ltx_td">{math(tex)}</td></tr></table></figure>'
    )
    article = read(
        f'<section><h2 class="ltx_title">{math(tex)}</h2>'
        + para(f'<em class="ltx_emph ltx_font_italic">a {math(tex)}</em>{note("1", math(tex))}')
        + equation(math(tex, "block"), number="7")
        + table
        + "</section>"
    )
    heading, text, formula = article.flow
    assert heading.markdown == rf"## \({tex}\)"
    assert text.markdown == rf"_a \({tex}\)_¹"
    shown = tex.removeprefix(r"\displaystyle")
    assert (formula.markdown, formula.number) == (rf"\[{shown}\] (7)", "7")
    assert rf"\({tex}\)" in article.floats[0].markdown
    assert article.footnotes[0].markdown == rf"Footnote 1: \({tex}\)"


def test_latexmls_line_ends_in_a_formula_are_taken_back() -> None:
    tex = "\\alpha%\nx+50\\%\ny\\\\%\nz"
    assert flow(para(math(tex))) == [r"\(\alpha x+50\% y\\z\)"]


def test_rows_of_an_aligned_display_are_blocks_with_their_numbers() -> None:
    body = equation(math(r"\displaystyle a"), math(r"\displaystyle=b"), number="2.1a")
    body += equation("", math(r"\displaystyle=c"))
    article = read(para("Then") + body)
    assert [(b.kind, b.markdown, b.number) for b in article.flow[1:]] == [
        (Kind.FORMULA, r"\[a =b\] (2.1a)", "2.1a"),
        (Kind.FORMULA, r"\[=c\]", ""),
    ]


def test_text_between_rows_of_a_display_is_a_paragraph() -> None:
    assert flow(equation("and also")) == ["and also"]


# ------------------------------------------------------------------ text


def test_white_space_ligatures_and_accents() -> None:
    body = "a\u00a0b\u2009c \ufb01ne cafe\u0301 so\u00adft\n   end"
    assert flow(para(body)) == ["a b c fine café soft end"]


def test_a_line_end_between_chinese_characters_is_no_space() -> None:
    assert flow(para("中文 测试，\n下一行 and 中文\nEnglish")) == [
        "中文测试，下一行 and 中文 English"
    ]
    assert flow(para("跋\u2003附诗")) == ["跋 附诗"]


def test_fonts_are_joined_and_not_doubled() -> None:
    bold = '<span class="ltx_text ltx_font_bold">{}</span>'
    body = bold.format("Lemma") + bold.format(" ") + bold.format(f"1{bold.format('.')}") + " So"
    assert flow(para(body)) == ["**Lemma** **1.** So"]


def test_a_font_around_a_display_does_not_hide_it() -> None:
    body = f'<span class="ltx_text ltx_font_italic">let {equation(math("x"))} be</span>'
    assert flow(para(body)) == ["_let_", r"\[x\]", "_be_"]


def test_a_title_that_runs_in_starts_its_text() -> None:
    title = '<h6 class="ltx_title ltx_runin ltx_title_theorem"><span class="ltx_tag '
    title += 'ltx_tag_theorem"><span class="ltx_text ltx_font_bold">Theorem 1</span></span>.</h6>\n'
    proof = '<div class="ltx_proof"><h6 class="ltx_title ltx_font_italic ltx_title_proof">Proof.'
    assert flow(f'<div class="ltx_theorem">{title}{para("Let it be.")}</div>') == [
        "**Theorem 1**. Let it be."
    ]
    assert flow(f"{proof}</h6>{equation(math('x'))}</div>") == ["_Proof._", r"\[x\]"]


# ------------------------------------------------------------------ structure


def test_headings_keep_their_numbers_and_case() -> None:
    article = read(
        '<h1 class="ltx_title ltx_title_document">On Things</h1>'
        '<div class="ltx_abstract"><h6 class="ltx_title ltx_title_abstract">Abstract</h6>'
        '<p class="ltx_p">Short.</p></div>'
        '<section class="ltx_section"><h2 class="ltx_title ltx_title_section">'
        '<span class="ltx_tag ltx_tag_section">1 </span>First</h2>'
        '<section class="ltx_subsection"><h3 class="ltx_title ltx_title_subsection">'
        '<span class="ltx_tag ltx_tag_subsection">1.2 </span>Sub</h3></section></section>'
        '<section class="ltx_appendix"><h2 class="ltx_title ltx_title_appendix">'
        '<span class="ltx_tag ltx_tag_appendix">Appendix B </span>Last</h2></section>'
    )
    assert article.flow == (
        Block(Kind.TITLE, "# On Things"),
        Block(Kind.HEADING, "###### Abstract"),
        Block(Kind.PARAGRAPH, "Short."),
        Block(Kind.HEADING, "## 1 First", "1"),
        Block(Kind.HEADING, "### 1.2 Sub", "1.2"),
        Block(Kind.HEADING, "## Appendix B Last", "B"),
    )


def test_items_keep_their_labels_and_their_nesting() -> None:
    inner = f'<ol class="ltx_enumerate">{item("(a)", para("in"))}{item("2.", para("two"))}</ol>'
    body = f'<ul class="ltx_itemize">{item("•", para("First:") + inner + para("after"))}'
    body += f"{item(math(chr(92) + 'bullet'), equation(math('x'), number='3'))}</ul>"
    article = read(body)
    assert [b.markdown for b in article.flow] == [
        "* First:",
        "  * (a) in",
        "  2. two",
        "after",
        r"* \[x\] (3)",
    ]
    assert [b.kind for b in article.flow] == [
        Kind.ITEM,
        Kind.ITEM,
        Kind.ITEM,
        Kind.PARAGRAPH,
        Kind.FORMULA,
    ]


def test_lists_made_of_spans_are_lists() -> None:
    entry = '<span class="ltx_item"><span class="ltx_tag ltx_tag_item">•</span> {}</span>'
    text = '<span class="ltx_para"><span class="ltx_p">one</span></span>'
    body = f'<span class="ltx_itemize">{entry.format(text)}{entry.format("two")}</span>'
    assert flow(para(body)) == ["* one", "* two"]


def test_the_name_of_an_undefined_macro_is_kept() -> None:
    """So that a page which lacks what it shows is known."""
    name = '<span class="ltx_ERROR undefined">\\PTPTeX</span>'
    assert flow(para(f"when using {name}, we")) == ["when using \\PTPTeX, we"]
    assert flow(para(f"when using {name}we <i>do</i>")) == ["when using \\PTPTeX we _do_"]
    name = '<span class="ltx_ERROR undefined">{my_*box*}</span>'
    assert flow(para(f"when {name}we")) == ["when {my_*box*}we"]
    alone = f'<div class="ltx_para">{name}</div>'
    assert flow(para("One.") + alone + para("two") + alone) == ["One.", "{my_*box*}two{my_*box*}"]
    assert flow(para('so <span class="ltx_ERROR malformed">no p in p</span> it is')) == ["so it is"]


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        (r"\(x=$3\) and", "x=$3"),
        (r"so \[\frac{a}{$b$}\] it is", r"\frac{a}{$b$}"),
        (r"\(\text{if $x$ is {$y$}}$\)", r"\text{if $x$ is {$y$}}$"),
        (r"\(\text{if {a} $x$}\hbox{$y$}\mbox{$z$}\)", ""),
        (r"costs $3, \(x=\$3\) and $5", ""),
        (r"\(a\\$\)", r"a\\$"),
    ],
)
def test_a_dollar_in_a_formula_is_found(text: str, broken: str) -> None:
    assert formula_with_dollar(text) == broken


def test_a_date_below_the_text_of_the_first_page_is_a_note() -> None:
    """The classes of the AMS print it there, and name it."""
    date = '<div class="ltx_dates">{}</div>'
    text = para("A text.")
    assert flow(date.format("(May 1979)") + text) == ["May 1979", "A text."]
    article = read(date.format("(Date: May 1979)") + text)
    assert [block.markdown for block in article.flow] == ["A text."]
    assert [block.markdown for block in article.footnotes] == ["Footnote: Date: May 1979"]


def test_what_latexml_adds_to_a_reference_for_the_web_is_left_out() -> None:
    markdown = "\n".join(
        flow(
            '<section class="ltx_bibliography"><ul class="ltx_biblist"><li class="ltx_bibitem">'
            '<span class="ltx_tag ltx_tag_bibitem">[1]</span>'
            '<span class="ltx_bibblock">A. Gull.</span>'
            '<span class="ltx_bibblock">Note: In print</span>'
            '<span class="ltx_bibblock">External Links: <a href="x">Document</a></span>'
            '<span class="ltx_bibblock ltx_bib_cited">Cited by: <a href="#S1">§1</a>.</span>'
            "</li></ul></section>"
        )
    )
    assert "[1] A. Gull. In print" in markdown
    assert not re.search("External|Document|Cited|Note", markdown)


def test_references_carry_the_label_that_is_printed() -> None:
    entry = (
        '<li class="ltx_bibitem"><span class="ltx_tag ltx_tag_bibitem">{}</span>'
        '<span class="ltx_bibblock">J. Doe.</span><span class="ltx_bibblock">A title.</span></li>'
    )
    article = read(
        '<section class="ltx_bibliography"><h2 class="ltx_title">References</h2>'
        f'<ul class="ltx_biblist">{entry.format("[6]")}{entry.format("Doe (2000)")}</ul></section>'
    )
    assert article.flow[1:] == (
        Block(Kind.REFERENCE, "* [6] J. Doe. A title.", "6"),
        Block(Kind.REFERENCE, "* Doe (2000) J. Doe. A title.", "Doe (2000)"),
    )


def test_footnotes_stand_outside_the_flow_and_know_who_calls_them() -> None:
    nested = note("2", f"Outer{note('3', 'Inner')}.")
    article = read(para("One.") + para(f"Two{note('1', para('First.') + para('More.'))} {nested}"))
    assert [b.markdown for b in article.flow] == ["One.", "Two¹ ²"]
    assert article.footnotes == (
        Block(Kind.FOOTNOTE, "Footnote 1: First.\nMore.", "1", anchor=1),
        Block(Kind.FOOTNOTE, "Footnote 2: Outer³.", "2", anchor=1),
        Block(Kind.FOOTNOTE, "Footnote 3: Inner", "3", anchor=1),
    )


def test_a_table_is_a_latex_tabular_with_its_caption_below() -> None:
    article = read(
        para("Before.")
        + '<figure class="ltx_table"><figcaption class="ltx_caption"><span class="ltx_tag '
        'ltx_tag_table">Table 2.1: </span>Some numbers</figcaption><table class="ltx_tabular">'
        '<tr class="ltx_tr"><td class="ltx_td ltx_align_left ltx_border_t" colspan="2">A &amp; B'
        '</td></tr><tr class="ltx_tr"><td class="ltx_td ltx_align_left">50%'
        f'{note("1", "Noted.")}</td><td class="ltx_td ltx_align_left">{math("x_1")}</td></tr>'
        "</table></figure>"
    )
    (table,) = article.floats
    assert table == Block(
        Kind.TABLE,
        "\\begin{table}\n\\begin{tabular}{l l}\n\\hline\n\\multicolumn{2}{l}{A \\& B} \\\\\n"
        "50\\%¹ & \\(x_1\\) \\\\\n\\end{tabular}\n\\end{table}\nTable 2.1: Some numbers",
        "2.1",
        "Some numbers",
        anchor=0,
    )
    assert article.footnotes[0].anchor == 0


def test_a_figure_is_its_captions_and_its_text() -> None:
    panel = '<figure class="ltx_figure"><img src=""/><figcaption><span class="ltx_tag">(a) </span>'
    caption = '<figcaption><span class="ltx_tag ltx_tag_figure">Figure {}: </span>{}</figcaption>'
    article = read(
        f'<figure class="ltx_figure"><div>{panel}Left</figcaption></figure></div>'
        f"{caption.format(1, 'Whole')}</figure>"
        f'<figure class="ltx_figure"><img/>{caption.format(2, "P")}{caption.format(2, "P")}'
        f"{caption.format(3, 'Q')}</figure>"
    )
    assert [(b.markdown, b.number, b.caption) for b in article.floats] == [
        ("(a) Left\nFigure 1: Whole", "1", "Whole"),
        ("Figure 2: P", "2", "P"),  # LaTeXML wrote it twice
        ("Figure 3: Q", "3", "Q"),
    ]


# ------------------------------------------------------------------ code


def test_code_keeps_indentation_blank_lines_and_its_own_quotes() -> None:
    source = 'def f(x):\n    return  {"a": 1}\n\n# * _x_ ```'
    shown = (
        "def\u00a0f(x):",
        "\u00a0\u00a0return\u00a0{”a”:\u00a01}",
        "",
        "#\u00a0*\u00a0_x_\u00a0```",
    )
    article = read(listing(*shown, source=source))
    assert article.flow == (Block(Kind.CODE, f"````\n{source}\n````"),)


def test_code_with_formulas_is_shown_and_not_its_source() -> None:
    article = read(listing(f"x\u00a0=\u00a0{math('y')}", source="x = $y$"))
    assert article.flow[0].markdown == "```\nx = \\(y\\)\n```"


def test_verbatim_text_is_code() -> None:
    body = '<pre class="ltx_verbatim">\n  a  $x$ &amp; \\b\n\n\tc\n</pre>'
    assert flow(para(body)) == ["```\n  a  $x$ & \\b\n\n        c\n```"]
    tab = '<pre class="ltx_verbatim">a {x}Ψ% b</pre>'  # what LaTeXML makes of one
    assert flow(para(tab)) == ["```\na {x}   % b\n```"]


def test_formulas_in_verbatim_text_are_kept() -> None:
    body = f'<pre class="ltx_verbatim">a\n  <em>b {math("x")}\n</em> c</pre>'
    assert flow(para(body)) == ["```\na\n  b \\(x\\)\n c\n```"]


def test_an_algorithm_keeps_its_numbers_and_indentation() -> None:
    number = '<span class="ltx_tag ltx_tag_listingline">{}:</span>\n    '
    lines = number.format(1) + "\u00a0\u00a0<b>if</b> it", number.format(2) + "\u00a0" * 4 + "go"
    article = read(
        '<figure class="ltx_float ltx_float_algorithm"><figcaption><span class="ltx_tag">'
        f"Algorithm 4 </span>Do</figcaption>{listing(*lines, kind='')}</figure>"
    )
    (algorithm,) = article.floats
    assert algorithm.markdown == "Algorithm 4 Do\n```\n1:   if it\n2:     go\n```"
    assert (algorithm.kind, algorithm.number) == (Kind.ALGORITHM, "4")


# ------------------------------------------------------------------ hostile input


def test_no_article_is_bad_markup() -> None:
    for page in (b"", b"<html><body>no</body></html>", b"\x00\xff"):
        with pytest.raises(DocumentError) as caught:
            read_article(page)
        assert caught.value.reason is Reason.BAD_MARKUP


def test_an_article_without_text_is_empty() -> None:
    with pytest.raises(DocumentError) as caught:
        read('<div class="ltx_para"><p class="ltx_p"> </p></div>')
    assert caught.value.reason is Reason.EMPTY_DOCUMENT


@pytest.mark.parametrize(
    "opening",
    ['<div class="ltx_para">', "<span>", '<ul class="ltx_itemize"><li class="ltx_item">', "<sup>"],
)
@pytest.mark.parametrize("depth", [130, 390, 100_000])
def test_deep_nesting_is_refused(opening: str, depth: int) -> None:
    if opening == "<span>" and depth < 400:  # what means nothing to the parser costs no depth
        assert "deep" in read(opening * depth + "deep").flow[0].markdown
        return
    with pytest.raises(DocumentError) as caught:
        read(opening * depth + "deep")
    assert caught.value.reason is Reason.BAD_MARKUP


@pytest.mark.parametrize("opening", ['<div class="ltx_para">', "<section><section>", "<sup>"])
def test_nesting_just_within_the_limit_is_read(opening: str) -> None:
    levels = opening.count("<")
    assert "deep" in read(opening * (110 // levels) + "deep").flow[0].markdown


@pytest.mark.parametrize(
    "cell",
    [
        '<td class="ltx_td" rowspan="99999999">',
        '<td class="ltx_td" colspan="99999">',
        '<td class="ltx_td" colspan="1000" rowspan="900">' * 900,
    ],
)
def test_a_table_that_would_fill_the_memory_is_refused(cell: str) -> None:
    rows = f'<tr class="ltx_tr">{cell}x</td></tr>' * (1 if cell.count("<td") == 1 else 900)
    if "99999999" in cell:  # no number at all: the cell is a plain one
        assert "x" in read(f'<table class="ltx_tabular">{rows}</table>').flow[0].markdown
        return
    with pytest.raises(DocumentError) as caught:
        read(f'<table class="ltx_tabular">{rows}</table>')
    assert caught.value.reason is Reason.TOO_LARGE


def test_our_own_marks_in_the_input_mean_nothing() -> None:
    marks = "".join(f"&#x{code:x};7&#x{code:x};" for code in range(0xFDD0, 0xFDDA))
    body = para(f"a{marks}b {math('x' + chr(0xFDD1) + '0' + chr(0xFDD1))}")
    style = '<td class="ltx_td ltx_align_justify" style="width:&#xfdd1;9&#xfdd1;pt">c</td>'
    table = f'<table class="ltx_tabular"><tr class="ltx_tr">{style}</tr></table>'
    assert flow(body + table)[0] == r"a" + "7" * 10 + r"b \(x0\)"


def test_entities_are_not_expanded() -> None:
    page = b'<!DOCTYPE html [<!ENTITY e SYSTEM "file:///etc/hostname">]><article><p>a&e;b</p></article>'
    assert "&e;" in read_article(page).flow[0].markdown


_TAG_LIST = """
<p class="ltx_p">|<div class="ltx_para">|<span class="ltx_text ltx_font_bold">
<em class="ltx_emph">|<table class="ltx_tabular">|<tr class="ltx_tr">|<td class="ltx_td">
<ul class="ltx_itemize">|<li class="ltx_item">|<span class="ltx_tag ltx_tag_item">
<h2 class="ltx_title">|<figure class="ltx_figure">|<figure class="ltx_table">
<span class="ltx_tag">|<table class="ltx_eqn_table">|<tr class="ltx_eqn_row">
<td class="ltx_eqn_cell">|<div class="ltx_listing">|<div class="ltx_listingline">
<span class="ltx_note ltx_role_footnote">|<span class="ltx_note_outer">
<span class="ltx_note_content">|<sup class="ltx_note_mark">|<dl class="ltx_description">
<dt class="ltx_item">|<dd class="ltx_item">|<h6 class="ltx_title ltx_title_theorem">
<a class="ltx_ref" href="#bib.bib1">|<pre class="ltx_verbatim">|<br class="ltx_break">
<li class="ltx_bibitem">|<span class="ltx_tag ltx_tag_bibitem">|<nav class="ltx_TOC">
<div class="ltx_theorem">|<span class="ltx_tabular">|<span class="ltx_tr">
"""
_TAGS = st.sampled_from(re.findall("<[^>]*>", _TAG_LIST))
_PIECES = st.one_of(
    _TAGS, st.sampled_from(["one ", "2", "中", " ", "&amp;", "* "]), st.just("math")
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(_PIECES, st.integers(0, 3)), max_size=40))
def test_any_tangle_of_tags_is_read_with_all_its_formulas(
    pieces: list[tuple[str, int]],
) -> None:
    html, opened, formulas = "", [], 0
    for piece, closes in pieces:
        if piece == "math":
            html += math(f"f_{{{formulas}}}")
            formulas += 1
        else:
            html += piece
            if piece.startswith("<"):
                opened.append(piece[1:].split()[0].rstrip(">"))
        for _ in range(min(closes, len(opened))):
            html += f"</{opened.pop()}>"
    article = read("end " + html)
    blocks = (*article.flow, *article.floats, *article.footnotes)
    text = "\n".join(block.markdown for block in blocks)
    assert not re.search("[\ufdd0-\ufdef]|\\[(?:END)?(?:FOOTNOTE|TABLE|FIGURE)", text)
    assert read("end " + html) == article  # Nougat names what has no name at random
    for index in range(formulas):
        assert text.count(f"f_{{{index}}}") == 1
    assert all(-1 <= block.anchor < max(len(article.flow), 1) for block in blocks)
