"""Classes and styles of journals and conferences: what authors write in them is known."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dsvl_data.latex.latexml import run_latexml
from dsvl_data.latex.nougat_markdown import read_article

pytestmark = pytest.mark.skipif(shutil.which("latexml") is None, reason="LaTeXML is not installed")

BODY = r"""
\section{First}\label{s} Words of Section~\ref{s}.
\begin{itemize}\item One thing. \item Another.\end{itemize}
\end{document}
"""


def convert(folder: Path, text: str) -> tuple[list[str], tuple[str, ...]]:
    """Return the Markdown of an article's blocks, and the names that nothing defines."""
    (folder / "paper.tex").write_text(text)
    made = run_latexml(folder, "paper.tex", seconds=240, memory=1200)
    return [block.markdown for block in read_article(made.html).flow], made.undefined


@pytest.mark.parametrize(
    ("head", "shown"),
    [
        (
            r"\documentclass{elsarticle}\begin{document}\begin{frontmatter}\title{Of Ice}"
            r"\author[1]{Ann Author}\affiliation[1]{organization={A Place},city={Uppsala}}"
            r"\begin{highlights}\item It melts.\end{highlights}\end{frontmatter}",
            ("A Place, Uppsala", "* It melts."),
        ),
        (
            r"\documentclass[pdflatex,sn-mathphys-num]{sn-jnl}\begin{document}"
            r"\title[Ice]{Of Ice}\author*[1]{\fnm{Ann} \sur{Author}}\equalcont{Both did.}"
            r"\affil*[1]{\orgdiv{D}, \orgname{A Place}}\abstract{It melts.}\keywords{ice}\maketitle"
            r"\bmhead{Acknowledgements} Thanks.",
            ("Ann Author¹", "###### Abstract", "It melts.", "Acknowledgements"),
        ),
        (
            r"\documentclass{article}\usepackage[preprint]{neurips_2023}\begin{document}"
            r"\title{Of Ice}\author{Ann Author\\ A Place \And Bob Other}\maketitle"
            r"\answerYes{} as said.",
            ("Bob Other", "[Yes] as said."),
        ),
        (
            r"\documentclass{article}\usepackage[review]{acl2023}\begin{document}"
            r"\title{Of Ice}\author{Ann Author\\ A Place \And Bob Other}\maketitle",
            ("Bob Other",),
        ),
        (
            r"\documentclass{article}\usepackage{iclr2024_conference,times}\iclrfinalcopy"
            r"\begin{document}\title{Of Ice}\author{Ann Author}\maketitle",
            ("Ann Author",),
        ),
        (
            r"\documentclass[10pt]{article}\usepackage[pagenumbers]{cvpr}\begin{document}"
            r"\title{Of Ice}\author{Ann Author}\maketitle As Smith \etal\ say.",
            ("Smith _et al_. say",),
        ),
        (
            r"\documentclass[pmlr]{jmlr}\title[Ice]{Of Ice}\author{\Name{Ann Author}"
            r" \Email{a@b.c}\\ \addr A Place}\begin{document}\maketitle"
            r"\begin{theorem}\label{t}It melts.\end{theorem} See \theoremref{t} and"
            r" \sectionref{s,s}.",
            ("Ann Author", "See Theorem 1 and Sections 1 and 1."),
        ),
    ],
    ids=("elsarticle", "sn-jnl", "neurips", "acl", "iclr", "cvpr", "jmlr"),
)
def test_front_matter_is_known(tmp_path: Path, head: str, shown: tuple[str, ...]) -> None:
    blocks, undefined = convert(tmp_path, head + BODY)
    assert undefined == ()
    assert blocks[0].startswith("# Of Ice")
    for text in shown:
        assert any(text in block for block in blocks), text
    assert blocks[-2:] == ["* One thing.", "* Another."]


def test_a_class_of_the_tex_system_without_a_binding_is_read_as_it_is(tmp_path: Path) -> None:
    found = subprocess.run(["kpsewhich", "spie.cls"], capture_output=True, check=False)
    if not found.stdout:
        pytest.skip("spie.cls is not installed (texlive-publishers)")
    head = (
        r"\documentclass{spie}\title{Of Ice}\author{Ann Author\supit{a}\skiplinehalf A Place}"
        r"\begin{document}\maketitle\begin{abstract}It melts.\end{abstract}"
    )
    blocks, undefined = convert(tmp_path, head + BODY)
    assert undefined == ()
    assert blocks[0].startswith("# ")
    assert any("Ann Author" in block for block in blocks)
    assert blocks[-2:] == ["* One thing.", "* Another."]


def test_labels_of_chicago_s_style_end_with_an_unknown_class(tmp_path: Path) -> None:
    blocks, _ = convert(
        tmp_path,
        r"\documentclass{nowhereknown}\usepackage{natbib}\begin{document}As \citet{a} say."
        r"\begin{thebibliography}{}\bibitem[\protect\citeauthoryear{Author}{Author}{2001}]{a}"
        r"A. Author. A title.\end{thebibliography}\end{document}",
    )
    assert any("A title" in block for block in blocks)


def test_a_hundred_unknown_macros_do_not_cost_the_article(tmp_path: Path) -> None:
    names = [f"\\no{a}{b}" for a in "abcdefghijkl" for b in "abcdefghijkl"]
    blocks, undefined = convert(
        tmp_path,
        r"\documentclass{article}\begin{document}\section{Known}Good words.\section{Not}"
        + " ".join(names)
        + r"\end{document}",
    )
    assert "Good words." in blocks
    assert set(names) <= set(undefined)
