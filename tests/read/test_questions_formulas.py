"""Where formulas are in the text of question banks, and where there are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.outcome import Reason
from dsvl_data.read.questions.chemistry import expand_chemistry
from dsvl_data.read.questions.formulas import BadText, Formula, Heading, Table, split_text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Let $x$ be $ 2 $.", ["Let ", Formula("x", False), " be ", Formula("2", False), "."]),
        ("有$$N=6$$$P=1$ 成立, $k=2$$P=2$",
         ["有", Formula("N=6", True), Formula("P=1", False), " 成立, ", Formula("k=2", False),
          Formula("P=2", False)]),
        (r"so \[a=1\] and \(b\).",
         ["so ", Formula("a=1", True), " and ", Formula("b", False), "."]),
        ("It costs $5 and sells for $7.", ["It costs $5 and sells for $7."]),
        ("$15,000/12*10=$12,500", ["$15,000/12*10=$12,500"]),
        ("A $100 loan at 5% grows to 100*(1.05)^9 or $155.",
         ["A $100 loan at 5% grows to 100*(1.05)^9 or $155."]),
        (r"$\$300$ to \$5", [Formula(r"\$300", False), " to $5"]),
        (r"8\pi", [Formula(r"8\pi", False)]),
        (r"about 2 \times 4 of them", ["about 2 × 4 of them"]),
        (r"-\frac{1}{256}", [Formula(r"-\frac{1}{256}", False)]),
        (r"{ n : n \in A } is 5\% of it", ["{ n : n ∈ A } is 5% of it"]),
        ("$\x0crac{1}{2}$ and $a \rightarrow b$ and $I = \nrac{1}{2}$",
         [Formula(r"\frac{1}{2}", False), " and ", Formula(r"a \rightarrow b", False), " and ",
          Formula(r"I = \frac{1}{2}", False)]),
        (r"\section*{DOWN} 1. $p$", [Heading("DOWN"), " 1. ", Formula("p", False)]),
        (r"\begin{tabular}{|c|c|} \hline 1 & $x$ \\ \hline 2 & \\ \hline \end{tabular}",
         [Table((("1", "$x$"), ("2", "")))]),
    ],
)  # fmt: skip
def test_parts(text: str, parts: list[object]):
    assert split_text(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "the $Cl^{-} molecules carry a charge",
        "equal to $$10^{-3.89}$. Then",
        "$S_n$ has $\nactorial{n}$ elements",
        r"given by \frac{1}{2} of the whole lot",
        r"\(a + b",
        "$x$ is a number. If $ we take any other number then we have the same$ again",
    ],
)
def test_a_formula_whose_ends_are_unknown_is_not_guessed(text: str):
    with pytest.raises(BadText) as error:
        split_text(text)
    assert error.value.reason is Reason.BAD_FORMULA


def test_an_image_of_another_place():
    with pytest.raises(BadText) as error:
        split_text("as here ![](https://example.org/x.jpg?width=3)")
    assert error.value.reason is Reason.MISSING_IMAGE


def test_a_dollar_is_a_dollar_in_html():
    assert split_text("from $5 to $6", html=True) == ["from $5 to $6"]
    assert split_text("is $$x$$", html=True) == ["is ", Formula("x", True)]


@given(st.text(alphabet="ab $\\[](){}^_1\n", max_size=40))
def test_nothing_is_lost(text: str):
    try:
        parts = split_text(text)
    except BadText:
        return
    kept = "".join(part if isinstance(part, str) else part.latex for part in parts)  # type: ignore[union-attr]
    for sign in "ab1":
        assert kept.count(sign) == text.count(sign)


@pytest.mark.parametrize(
    ("source", "expanded"),
    [
        (r"\ce{2H2O}", r"{2\mathrm{H}_{2}\mathrm{O}}"),
        (r"\ce{Ca(OH)2}", r"{\mathrm{Ca}(\mathrm{O}\mathrm{H})_{2}}"),
        (r"\ce{SO4^2-}", r"{\mathrm{S}\mathrm{O}_{4}^{2-}}"),
        (r"x + \ce{Na+}", r"x + {\mathrm{Na}^{+}}"),
        (r"\ce{A <=> B}", r"{\mathrm{A} \rightleftharpoons \mathrm{B}}"),
    ],
)
def test_chemistry(source: str, expanded: str):
    assert expand_chemistry(source) == expanded


def test_chemistry_that_is_not_understood():
    with pytest.raises(BadText):
        expand_chemistry(r"\ce{A ->[heat] B}")
