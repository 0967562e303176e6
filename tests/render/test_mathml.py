from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from dsvl_data.render.math_latex import math_to_latex
from dsvl_data.render.mathml import MAX_DEPTH, BadLatex, clean_math, latex_to_math, styled

SPACE = "http://www.w3.org/1998/Math/MathML"
FORMULAS = [
    r"\frac{a}{b}",
    r"\sqrt{b^2-4ac}",
    r"\sqrt[3]{x+1}",
    r"x_1^2+y_{ij}",
    r"x=\frac{-b\pm\sqrt{b^2-4ac}}{2a}",
    r"\sum_{i=1}^n i",
    r"\lim_{x\to 0}\frac{\sin x}{x}",
    r"\int_0^\infty e^{-x^2}\,dx",
    r"\begin{pmatrix} 1 & 0 \\ 0 & 1 \end{pmatrix}",
    r"\begin{vmatrix} a & b \\ c & d \end{vmatrix}",
    r"\begin{cases} x & x>0 \\ -x & x\le 0 \end{cases}",
    r"\left(\frac{a}{b}\right)^2",
    r"\binom{n}{k}",
    r"\alpha+\beta\le\Gamma",
    r"\mathbb{R}^n",
    r"\mathbf{AB}",
    r"\mathrm{d}x",
    r"\overline{AB}",
    r"\hat{x}",
    r"\overrightarrow{AB}\cdot\overrightarrow{CD}",
    r"f''(x)",
    r"x\in\{1,2,3\}",
    r"\{x\mid y\}",
    r"A\subseteq B\cup C",
    r"\triangle ABC\perp\angle D",
    r"|x|\ge 0",
    r"\log_2 y",
    r"\operatorname{rank}A",
    r"5\%",
    r"a\&b",
    r"\text{若 }x>0",
    r"\boxed{y}",
    r"\overset{a}{=}",
    r"x^\circ",
    r"\forall x\exists y\neg z",
]


def shape(math: etree._Element) -> object:
    """A formula without the rows that only group, and without attributes."""
    if math.tag in ("mrow", "math", "mstyle"):
        inner = [shape(child) for child in math]
        flat = [x for i in inner for x in (i[1] if i[0] == "row" else [i])]  # type: ignore[index]
        return flat[0] if len(flat) == 1 and math.tag != "math" else ("row", flat)
    if len(math):
        return (math.tag, [shape(child) for child in math])
    return (math.tag, math.text)


@pytest.mark.parametrize("display", [True, False])
@pytest.mark.parametrize("latex", FORMULAS)
def test_latex_survives_the_way_through_mathml(latex: str, display: bool) -> None:
    math = latex_to_math(latex, display)
    assert math.get("data-latex") == latex
    assert math.get("display") == ("block" if display else "inline")
    again = math_to_latex(math)
    assert shape(latex_to_math(again, display)) == shape(math), again


def mathml(inner: str, **attributes: str) -> etree._Element:
    given = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return etree.fromstring(f'<math xmlns="{SPACE}"{given}>{inner}</math>')


@pytest.mark.parametrize(
    ("inner", "latex"),
    [
        ("<mi>x</mi><mo>=</mo><mn>1.5</mn>", "x=1.5"),
        ("<mi>α</mi><mo>∈</mo><mi>ℝ</mi>", r"\alpha\in\mathbb{R}"),
        ("<mi>sin</mi><mo>&#x2061;</mo><mi>x</mi>", r"\sin x"),
        ("<mi>det</mi><mi>A</mi>", r"\det A"),
        ("<mi>rank</mi><mo>(</mo><mi>A</mi><mo>)</mo>", r"\operatorname{rank}(A)"),
        ("<mn>2</mn><mo>&#x2062;</mo><mi>x</mi>", "2x"),
        ("<mfenced open='[' close=')'><mi>a</mi><mi>b</mi></mfenced>", "[a,b)"),
        ("<mfenced><mfrac><mi>a</mi><mi>b</mi></mfrac></mfenced>", r"\left(\frac{a}{b}\right)"),
        (
            "<mfenced><mfrac linethickness='0'><mi>n</mi><mi>k</mi></mfrac></mfenced>",
            r"\binom{n}{k}",
        ),
        (
            "<mfenced open='[' close=']'><mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>2</mn></mtd>"
            "</mtr></mtable></mfenced>",
            r"\begin{bmatrix} 1 & 2 \end{bmatrix}",
        ),
        (
            "<mo>{</mo><mtable><mtr><mtd><mi>a</mi></mtd></mtr><mtr><mtd><mi>b</mi></mtd></mtr>"
            "</mtable>",
            r"\begin{cases} a \\ b \end{cases}",
        ),
        (
            "<munder><mi>lim</mi><mrow><mi>x</mi><mo>→</mo><mn>0</mn></mrow></munder>",
            r"\lim_{x\to 0}",
        ),
        ("<mover><mi>x</mi><mo>¯</mo></mover>", r"\bar{x}"),
        ("<mover><mrow><mi>A</mi><mi>B</mi></mrow><mo>→</mo></mover>", r"\overrightarrow{AB}"),
        ("<munderover><mo>∑</mo><mi>i</mi><mi>n</mi></munderover><mi>i</mi>", r"\sum_i^n i"),
        (
            "<mmultiscripts><mi>C</mi><mprescripts/><mn>6</mn><mn>12</mn></mmultiscripts>",
            "{}_6^{12}C",
        ),
        ("<msup><mi>f</mi><mo>′</mo></msup>", "f'"),
        ("<msup><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mn>2</mn></msup>", "{a+b}^2"),
        ("<msup><msup><mi>a</mi><mi>b</mi></msup><mi>c</mi></msup>", "{a^b}^c"),
        ("<mi mathvariant='bold'>v</mi><mi mathvariant='normal'>d</mi>", r"\mathbf{v}\mathrm{d}"),
        ("<mi mathvariant='double-struck'>N</mi>", r"\mathbb{N}"),
        ("<mi>a</mi><mspace width='1em'/><mi>b</mi>", r"a\quad b"),
        ("<mtext>if a_1 &amp; b</mtext>", r"\text{if a\_1 \& b}"),
        ("<menclose notation='box'><mi>x</mi></menclose>", r"\boxed{x}"),
        ("<maction><mi>shown</mi><mi>other</mi></maction>", r"\mathrm{shown}"),
        ("<mo>−</mo><mi>x</mi><mo>⋅</mo><mi>y</mi>", r"-x\cdot y"),
        ("<unknown><mi>x</mi></unknown> stray", r"x\text{stray}"),
    ],
)
def test_mathml_as_latex(inner: str, latex: str) -> None:
    math = clean_math(mathml(inner))
    assert math is not None
    assert math.get("data-latex") == latex
    if latex != "[a,b)":  # half-open intervals have no balanced fences
        latex_to_math(latex)


def test_only_presentation_is_left_and_no_name_space() -> None:
    math = clean_math(
        mathml(
            '<semantics><mrow onclick="x()" style="color:red" href="http://x"><mi>a</mi></mrow>'
            "<annotation-xml encoding='MathML-Content'><ci>a</ci></annotation-xml></semantics>",
            display="block",
        )
    )
    assert math is not None
    assert etree.tostring(math) == (
        b'<math display="block" data-latex="a"><mrow><mrow><mi>a</mi></mrow></mrow></math>'
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("x^{2}", "x^{2}"),
        ("$x^{2}$", "x^{2}"),
        (r"{\displaystyle x^{2}}", "x^{2}"),
        ("y^{3}", "x^2"),  # another formula than the one shown
        (r"\evil{x}", "x^2"),
        ("x^{2", "x^2"),
    ],
)
def test_a_documents_own_tex_counts_when_it_says_what_is_shown(given: str, expected: str) -> None:
    shown = "<msup><mi>x</mi><mn>2</mn></msup>"
    by_attribute = clean_math(mathml(shown, alttext=given))
    by_annotation = clean_math(
        mathml(
            f"<semantics>{shown}<annotation encoding='application/x-tex'>{given}</annotation>"
            "</semantics>"
        )
    )
    for math in (by_attribute, by_annotation):
        assert math is not None
        assert math.get("data-latex") == expected


def test_a_formula_that_shows_nothing_is_none() -> None:
    assert clean_math(mathml("<mrow><mo>&#x2061;</mo></mrow>")) is None
    assert clean_math(mathml("")) is None


def test_a_script_without_its_base_is_no_error_box() -> None:
    math = clean_math(mathml("<msup><mn>2</mn></msup><mfrac><mi>a</mi></mfrac>"))
    assert math is not None
    assert [child.tag for child in math] == ["mrow", "mrow"]


@pytest.mark.parametrize(
    "latex",
    [
        "", r"\frac{a", r"\frac{a}", r"\foo x", "}", r"\left( x", "a_b_c", "a^", "a & b", "\\",
        r"\begin{matrix} a & b", r"\end{x}", r"\sqrt", r"\text{a $b}", "{" * (MAX_DEPTH + 1) + "}" *
        (MAX_DEPTH + 1), "x" * 30_000, r"\def\x{\x\x}\x", r"\newcommand{\x}{y}\x",
        r"\href{http://x}{y}", r"\input{/etc/passwd}",
    ],
)  # fmt: skip
def test_bad_latex_is_refused(latex: str) -> None:
    with pytest.raises(BadLatex):
        latex_to_math(latex)


def test_limits_stand_below_in_a_block_and_beside_in_a_line() -> None:
    assert latex_to_math(r"\lim_{x\to 0} x", True).find(".//munder") is not None
    assert latex_to_math(r"\lim_{x\to 0} x", False).find(".//munder") is None


def test_environments_for_lines_are_tables_without_invented_numbers() -> None:
    for name in ("aligned", "align", "eqnarray", "gather"):
        latex = rf"\begin{{{name}}} a &= b \\ c &= d \end{{{name}}}"
        math = latex_to_math(latex if name != "gather" else latex.replace("&", ""), True)
        assert len(math.findall(".//mtr")) == 2
        assert "(" not in "".join(map(str, math.itertext()))


def test_one_upright_letter_says_so() -> None:
    math = latex_to_math(r"\mathrm{d}x")
    assert [mi.get("mathvariant") for mi in math.iter("mi")] == ["normal", None]


def test_styled_letters_use_the_places_that_unicode_had_before() -> None:
    assert styled("ABCR", "double-struck") == "𝔸𝔹ℂℝ"
    assert styled("Hx", "script") == "ℋ𝓍"
    assert styled("a1α", "bold") == "𝐚𝟏𝛂"


@given(st.text(alphabet=r"\{}[]()^_&$%#~'ab12 frcsqtlehi.,+-=<>|α中", max_size=40))
def test_any_text_is_a_formula_or_refused(latex: str) -> None:
    try:
        math = latex_to_math(latex)
    except BadLatex:
        return
    assert "\\" not in "".join(map(str, math.itertext()))


ELEMENTS = "mi mn mo mtext mrow mfrac msqrt mroot msub msup msubsup munder mover mtable mtr mtd"


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> str:
    name = draw(st.sampled_from(ELEMENTS.split()))
    if depth == 0 or name in ("mi", "mn", "mo", "mtext"):
        text = draw(st.sampled_from(["x", "2", "+", "(", "|", "{", "%", "sin", ""]))
        return f"<{name}>{text}</{name}>"
    return f"<{name}>{''.join(draw(st.lists(trees(depth - 1), max_size=4)))}</{name}>"


@given(trees())
def test_any_mathml_has_a_latex_with_balanced_braces(inner: str) -> None:
    math = clean_math(mathml(inner))
    if math is not None:
        bare = math.get("data-latex", "").replace(r"\{", "").replace(r"\}", "").replace(r"\\", "")
        assert bare.count("{") == bare.count("}")
