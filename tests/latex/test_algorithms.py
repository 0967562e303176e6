"""algorithm2e: the text of an algorithm has the lines, the numbers and the ends of the page."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dsvl_data.latex.latexml import run_latexml
from dsvl_data.latex.nougat_markdown import read_article

pytestmark = pytest.mark.skipif(shutil.which("latexml") is None, reason="LaTeXML is not installed")

BODY = r"""
\begin{algorithm}
\caption{Rays}\label{a}
\KwIn{the index $n$}
\For{$i$ \KwTo $N$}{
  count \tcp*{evenly}
  \tcc{alone}
  \eIf{$a<b$}{ less\; }(\tcp*[h]{otherwise}){ more \tcp{beside} }
}
\While(\tcc*[f]{for ever}){true}{ work\; \lIf{$y$}{rest} }
\Repeat{$z$}{ again\label{line}\; once more\;\label{other} }
\end{algorithm}
Lines \ref{line} and \ref{other} of Algorithm~\ref{a}.
"""

PLAIN = {
    "": """\
Input: the index \\(n\\)
for \\(i\\) to \\(N\\) do
 count ; // evenly
 /* alone */
 if \\(a<b\\) then
  less;
 else // otherwise
  more // beside
 end
end
while true do /* for ever */
 work;
 if \\(y\\) then rest;
end
repeat
 again;
 once more;
until \\(z\\);""",
}
PLAIN["longend"] = (
    PLAIN[""]
    .replace(" end\nend\n", " end if\nend for\n", 1)
    .replace("rest;\nend\n", "rest;\nend while\n")
)
PLAIN["noend"] = PLAIN[""].replace(" end\nend\n", "", 1).replace("rest;\nend\n", "rest;\n")
PLAIN["vlined"] = PLAIN["noend"]


def algorithm(folder: Path, option: str) -> tuple[list[str], str]:
    """Return the lines of the algorithm, a space for each level, and the text after it."""
    (folder / "paper.tex").write_text(
        rf"\documentclass{{article}}\usepackage[{option}]{{algorithm2e}}"
        rf"\begin{{document}}Text.{BODY}\end{{document}}"
    )
    made = run_latexml(folder, "paper.tex", seconds=120, memory=1200)
    assert made.errors == 0
    article = read_article(made.html)
    lines = article.floats[0].markdown.split("\n")
    assert lines[0] == "**Algorithm 1:** Rays"
    assert (lines[1], lines[-1]) == ("```", "```")
    return lines[2:-1], article.flow[-1].markdown


def levelled(lines: list[str]) -> str:
    """Make one space of each five, which is a level, and of two within a line."""
    depth = [(len(line) - len(line.lstrip())) / 5 for line in lines]
    assert all(level.is_integer() for level in depth)
    return "\n".join(
        " " * int(level) + " ".join(line.split()) for level, line in zip(depth, lines, strict=True)
    )


@pytest.mark.parametrize("option", PLAIN)
def test_blocks_end_as_the_options_say(tmp_path: Path, option: str) -> None:
    lines, _ = algorithm(tmp_path, option)
    assert levelled(lines) == PLAIN[option]


def test_each_line_that_shows_has_one_number_and_comments_have_none(tmp_path: Path) -> None:
    lines, after = algorithm(tmp_path, "linesnumbered")
    numbers = [line.split()[0] for line in lines]
    assert [each for each in numbers if each.isdigit()] == [str(n) for n in range(1, 17)]
    assert [each for each in numbers if not each.isdigit()] == ["Input:", "/*"]
    assert lines[2].split()[1] == "count"
    # A reference is to the line that has the label, or that ends where it stands.
    again, more = (line.split()[0] for line in lines if "again" in line or "once" in line)
    assert after == f"Lines {again} and {more} of Algorithm 1."
