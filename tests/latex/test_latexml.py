"""LaTeXML: what it keeps of an article, and what an article cannot do to us."""

from __future__ import annotations

import html
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dsvl_data.latex import latexml
from dsvl_data.latex.latexml import BINDINGS, Latexml, run_latexml
from dsvl_data.outcome import DocumentError, Reason

pytestmark = pytest.mark.skipif(shutil.which("latexml") is None, reason="LaTeXML is not installed")

SECRET = "xylophonequartz"


def convert(
    folder: Path, body: str, *, preamble: str = "", name: str = "paper.tex", seconds: float = 240
) -> Latexml:
    text = (
        f"\\documentclass{{article}}\n{preamble}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    )
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return run_latexml(folder, name, seconds=seconds, memory=1500)


def words(result: Latexml) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", result.html.decode()).split())


def formulas(result: Latexml) -> list[str]:
    found = re.findall(r'<math [^>]*alttext="([^"]*)"', result.html.decode())
    return [html.unescape(tex).replace("\n", " ") for tex in found]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "article"
    made.mkdir()
    return made


def test_formulas_keep_their_tex_after_macro_expansion(folder: Path) -> None:
    result = convert(
        folder,
        r"Let $\R \subset \set{x}{x>0}$ and $\bra{a}$. \begin{equation}\label{e}"
        r"\norm[2]{v} = \frac{1}{2} \end{equation} See (\ref{e}).",
        preamble=r"""\usepackage{amssymb}
        \newcommand{\R}{\mathbb{R}} \newcommand{\set}[2]{\{#1 \mid #2\}}
        \NewDocumentCommand{\bra}{sm}{\IfBooleanTF{#1}{[#2]}{\langle #2|}}
        \NewDocumentCommand{\norm}{O{1} m}{\| #2 \|_{#1}}""",
    )
    found = formulas(result)
    assert found[0] == r"\mathbb{R}\subset\{x\mid x>0\}"
    assert found[1] == r"\langle a|"
    assert any(r"\|v\|_{2}=\frac{1}{2}" in tex for tex in found)
    assert result.errors == 0
    assert "See ( 1 )" in words(result)


def test_packages_made_of_expl3_end_and_are_understood(folder: Path) -> None:
    result = convert(
        folder,
        r"""\lipsum[2]
        \begin{dmath}[label={eq:sum}] a = b + c \end{dmath}
        \begin{dmath*} u = v \end{dmath*}
        Equation~\ref{eq:sum} weighs \SI{3.5}{\kilogram}.
        \begin{figure}\resizebox{1cm}{!}{\begin{tikzpicture}[scale=2]
          \draw (0,0) -- node {inside} (1,1); \foreach \x in {1,2} {\node at (\x,0) {\x};}
        \end{tikzpicture}}\caption{A drawing}\end{figure}
        \begin{tcolorbox}[title=Boxed title] Boxed text \end{tcolorbox}
        After \tikz[baseline] \node {gone}; and \tikz{\draw (0,0);} all.""",
        preamble=r"""\usepackage{breqn,lipsum,siunitx,tikz,tcolorbox,pgfplots}
        \usetikzlibrary{arrows.meta} \tikzset{every node/.style={draw}} \pgfplotsset{compat=1.18}
        \ExplSyntaxOn \tl_new:N \l_mine_tl \ExplSyntaxOff""",
    )
    text = words(result)
    if subprocess.run(["kpsewhich", "lipsum.ltd.tex"], capture_output=True).returncode == 0:
        assert "Nam dui ligula" in text  # the second paragraph, out of TeX Live's own file
    assert "Equation1weighs3.5" in text.replace("\u2062", "").replace(" ", "")
    assert any("a=b+c" in tex for tex in formulas(result))
    assert "Boxed title" in text
    assert "Boxed text" in text
    assert "A drawing" in text
    assert "After and all." in text
    assert "inside" not in text
    assert result.undefined == ()
    assert result.errors == 0


def test_quantities_are_tex_within_formulas_too(folder: Path) -> None:
    result = convert(
        folder,
        r"""$x=\SI{3}{\metre}$, $\qty{3.5}{\kilo\gram\per\second}$, \unit{\micro\metre},
        $v=\num{1e5}$, \SIrange{1}{5}{\percent}, \ang{30}, \SI{20}{\degreeCelsius}""",
        preamble=r"\usepackage{siunitx}",
    )
    assert formulas(result) == [
        r"x={3\,\mathrm{m}}",
        r"{3.5\,\mathrm{kg}\,{\mathrm{s}}^{-1}}",
        r"\mathrm{{\mu}m}",
        r"v={1\times{10}^{5}}",
        r"1\,\mathrm{\%}\text{{ to }}5\,\mathrm{\%}",
        r"30{}^{\circ}",
        r"20\,\mathrm{{}^{\circ}\mathrm{C}}",
    ]
    assert (result.undefined, result.errors) == ((), 0)


def test_packages_that_latexml_does_not_know(folder: Path) -> None:
    (folder / "paper.bbl").write_text(
        r"""\entry{k}{article}{}
        \name{author}{1}{}{{{hash=a}{family={Knuth}, given={Donald\bibnamedelima E.}}}}
        \field{title}{On {TeX}} \field{journaltitle}{Journal} \field{year}{1984}
        \field{pages}{1\bibrangedash 9}
        \endentry"""
    )
    result = convert(
        folder,
        r"""First \gls{cnn}, then \gls{cnn}. Water \ce{H2O} \autocite{k}.
        \begin{claim}{Named}{one} claimed \end{claim} Claim \ref{c:one}.
        \begin{minted}{python}
def f(x):
    return x % 2
\end{minted}
        \begin{table}\caption{中文标题}
        \begin{tabular}{l:l} a & b \\ \hdashline \end{tabular}\end{table}
        \printbibliography""",
        preamble=r"""\usepackage{glossaries,mhchem,tcolorbox,minted,arydshln,ctex,libertine,biblatex}
        \newacronym{cnn}{CNN}{convolutional network} \addbibresource{nowhere.bib}
        \newtcbtheorem{claim}{Claim}{colback=red}{c}""",
    )
    text = words(result)
    assert "First convolutional network (CNN), then CNN." in text
    assert r"\mathrm{H}_{2}\mathrm{O}" in formulas(result)
    assert "Claim 1 (Named)" in text
    assert "Claim 1 ." in text
    assert "% 2" in text
    assert "表 1: 中文标题" in text
    assert "Donald E. Knuth. “On TeX”. In: Journal (1984), pp. 1–9." in text
    assert (result.undefined, result.missing, result.errors) == ((), (), 0)


def test_log_tells_what_the_exit_code_does_not(folder: Path) -> None:
    result = convert(folder, r"Some \unheardof{text} here.", preamble=r"\usepackage{nosuchpackage}")
    assert result.undefined == ("\\unheardof",)
    assert "nosuchpackage" in result.missing
    assert result.errors == 1
    assert "unheardof" in result.messages[0]


def test_local_style_and_bbl_are_used_and_nothing_is_written_beside_them(folder: Path) -> None:
    (folder / "ours.sty").write_text(r"\newcommand{\ours}{defined beside the paper}")
    (folder / "paper.bbl").write_text(
        r"\begin{thebibliography}{1}\bibitem{k} A. Knuth, The bbl book.\end{thebibliography}"
    )
    (folder / "refs.bib").write_text("@book{k, author={A. Knuth}, title={The bib book}}")
    body = r"We are \ours{} \cite{k}. \bibliographystyle{plain}\bibliography{refs}"
    before = {path.name for path in folder.iterdir()} | {"paper.tex"}
    with_bbl = words(convert(folder, body, preamble=r"\usepackage{ours}"))
    assert {path.name for path in folder.iterdir()} == before
    assert "We are defined beside the paper [ 1 ]" in with_bbl
    assert "The bbl book" in with_bbl
    assert "bib book" not in with_bbl
    (folder / "paper.bbl").unlink()
    assert "The bib book" in words(convert(folder, body, preamble=r"\usepackage{ours}"))


class Listener:
    """Counts who connects to an address of this machine."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


@pytest.mark.parametrize("kernel", ["1", "0"])
def test_article_reaches_nothing_outside_its_folder(
    tmp_path: Path,
    folder: Path,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    kernel: str,
) -> None:
    environment = latexml._environment
    monkeypatch.setattr(
        latexml,
        "_environment",
        lambda *paths: {**environment(*paths), "CONFINE_KERNEL": kernel},
    )
    secret, mark = tmp_path / "secret.tex", tmp_path / "mark"
    secret.write_text(SECRET)
    (tmp_path / "secret.bib").write_text(f"@book{{k, title={{{SECRET}}}}}")
    (folder / "link.tex").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path)
    code = f'use LaTeXML::Package; open(my $f, ">", "{mark}"); system("touch {mark}"); 1;'
    for name in ("evil.sty.ltxml", "article.cls.ltxml", "paper.latexml", "evil.pm"):
        (folder / name).write_text(code)
    (folder / "refs.bib.xml").write_text(
        f'<!DOCTYPE d [<!ENTITY e SYSTEM "file://{secret}">]><d>&e;</d>'
    )
    result = convert(
        folder,
        rf"""Start.
        \input{{{secret}}} \input{{../secret}} \input{{link}} \input{{up/secret}}
        \input{{|"cat {secret}"}} \input{{file://{secret}}} \input{{{listener.address}/x}}
        \newread\f \openin\f={secret} \read\f to \line \line \closein\f
        \openin\f=../secret \read\f to \line \line \closein\f
        \lstinputlisting{{{secret}}} \verbatiminput{{../secret.tex}}
        \IfFileExists{{{secret}}}{{{SECRET}}}{{absent}}
        \immediate\write18{{touch {mark}}} \newwrite\o \immediate\openout\o={mark}
        \immediate\write\o{{x}} \immediate\closeout\o
        \pgfmathparse{{system("touch {mark}")}}\pgfmathresult
        \pgfmathparse{{`touch {mark}`}}
        \definecolor{{c}}{{../../../../../../../..{folder}/evil}}{{1}} \textcolor{{c}}{{x}}
        \IfFileExists{{/etc/passwd}}{{passwd exists}}{{}} \input{{/etc/passwd}}
        \bibliography{{../secret,refs}}
        End.""",
        preamble=r"""\usepackage{evil,listings,verbatim,color,tikz}
        \input{pgfmath.code.tex}""",
    )
    text = words(result)
    assert "Start." in text
    assert "End." in text
    assert SECRET not in result.html.decode()
    assert "root:" not in result.html.decode()
    assert "passwd exists" not in text
    assert not mark.exists()
    assert listener.connections == 0


def test_kernel_holds_perl_code_too(tmp_path: Path, folder: Path) -> None:
    """Should some Perl of an article run after all, the kernel still stops it."""
    (tmp_path / "secret").write_text(SECRET)
    (folder / "own").write_text("own")
    work = tmp_path / "work"
    work.mkdir()
    script = (
        'die "no kernel fence\\n" unless $Confine::ABI;'
        "for my $path (@ARGV) { my $f; CORE::open($f, '<', $path) and print <$f>; }"
        f"system('cat {tmp_path / 'secret'}');"
        f"CORE::open(my $w, '>', '{folder}/new') and print 'written';"
        "CORE::open(my $x, '>', \"$ENV{CONFINE_WORK}/new\") and print ' work';"
    )
    told = subprocess.run(
        ["perl", "-e", script, str(tmp_path / "secret"), str(folder / "own"), "/etc/passwd"],
        env=latexml._environment(folder, work),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "no kernel fence" in told.stderr:
        pytest.skip("this kernel has no Landlock")
    assert told.stdout == "own work"


@pytest.mark.parametrize(
    ("body", "reasons"),
    [
        (r"\def\a{\b}\def\b{\a}\a", {Reason.TIMEOUT}),
        # 40 levels that each double: 2 to the 40th letters.
        (
            r"\def\xa{ha}"
            + "".join(
                rf"\expandafter\def\csname x{n}\endcsname{{\csname x{n - 1}\endcsname"
                rf"\csname x{n - 1}\endcsname}}"
                for n in range(2, 42)
            ).replace(r"\csname x1\endcsname", r"\xa")
            + r"\csname x41\endcsname",
            {Reason.TIMEOUT, Reason.MEMORY, Reason.LATEX_FATAL},
        ),
        (r"\def\a{\b x}\def\b{\a x}\a", {Reason.TIMEOUT, Reason.MEMORY, Reason.LATEX_FATAL}),
    ],
)
def test_loop_costs_its_time_limit_and_nothing_else(
    folder: Path, body: str, reasons: set[Reason]
) -> None:
    started = time.monotonic()
    with pytest.raises(DocumentError) as error:
        convert(folder, body, seconds=12)
    assert error.value.reason in reasons
    assert time.monotonic() - started < 20
    running = [
        " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
    ]
    assert not [command for command in running if str(folder) in command]


def test_fatal_error_names_the_trouble(folder: Path) -> None:
    with pytest.raises(DocumentError) as error:
        convert(folder, "outside_of mathematics^all_indices are^errors " * 600)
    assert error.value.reason is Reason.LATEX_FATAL
    assert "too_many_errors" in error.value.detail


def test_main_file_must_lie_in_the_folder(folder: Path) -> None:
    (folder.parent / "other.tex").write_text("x")
    with pytest.raises(DocumentError) as error:
        run_latexml(folder, "../other.tex", seconds=10, memory=500)
    assert error.value.reason is Reason.UNSAFE_PATH


def test_same_article_same_bytes(folder: Path) -> None:
    body = r"\section{One} \today{} $x^2$ \begin{tabular}{ll}a&b\\c&d\end{tabular}\index{x}"
    first = convert(folder, body, name="deep/paper.tex")
    second = run_latexml(folder, "deep/paper.tex", seconds=240, memory=1500)
    assert first.html == second.html


def test_bindings_travel_with_the_package() -> None:
    assert {"Confine.pm", "breqn.sty.ltxml", "lipsum.sty.ltxml"} <= {
        path.name for path in BINDINGS.iterdir()
    }
