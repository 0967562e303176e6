"""The arXiv pipeline: small articles written here, run through LaTeXML where it is installed."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pymupdf
import pytest

from dsvl_data.engine.run import Job, run
from dsvl_data.outcome import Reason, UserError
from dsvl_data.pipeline import Document, Dropped, InputSpec, Limits, Took
from dsvl_data.read.arxiv import list_articles, read_article
from dsvl_data.sample import Sample
from pipelines.arxiv import PIPELINE, ArxivConverter, ArxivOptions, check_arxiv
from tests.latex.tiny_nougat import save_tiny_nougat

pytestmark = pytest.mark.skipif(
    shutil.which("latexml") is None, reason="LaTeXML is not installed: run `make setup`"
)

HARBOUR = (
    "The harbour froze before the pilots had returned, and nobody in the village remembered a "
    "winter that began so early. Fishermen pulled their boats over the shingle by lantern light."
)
ORCHARD = (
    "An orchard on the southern slope kept its leaves until the first week of December. Starlings "
    "gathered in it every evening, wheeled twice above the chapel and vanished into the reeds."
)
COPPER = (
    "Copper wire was drawn in the long shed behind the mill, where the river turned four wheels "
    "and a fifth that nobody repaired. Its hum could be heard across three parishes at night."
)
LIGHTHOUSE = (
    "Keepers of the lighthouse wrote down each ship that passed, its flag and its bearing, in "
    "ledgers bound with canvas. Forty of these volumes survive in the county archive today."
)
MAIN = rf"""\documentclass{{article}}
\title{{Notes from a cold coast}}
\begin{{document}}
\maketitle
\section{{Ice}}
{HARBOUR} The depth is $d_{{\max}} = 3$ fathoms.

{ORCHARD}

{COPPER}

{LIGHTHOUSE}
\end{{document}}
"""


def pdf(*pages: str) -> bytes:
    document = pymupdf.open()
    for text in pages:
        page = document.new_page(width=420, height=595)
        assert page.insert_textbox((50, 60, 370, 540), text, fontsize=11) > 0
    return document.tobytes()


PAPER = pdf(
    f"Notes from a cold coast\n\n1   Ice\n\n{HARBOUR} The depth is dmax = 3 fathoms.\n\n{ORCHARD}",
    f"{COPPER}\n\n{LIGHTHOUSE}",
)


def tar(files: Mapping[str, str | bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def documents(folder: Path, files: Mapping[str, bytes]) -> list[Document]:
    """The articles that these files make, as the engine would hand them over."""
    for name, data in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    refs = list_articles([InputSpec(path=str(folder), dataset="coast", licence="CC0-1.0")])
    return [
        Document(ref, lambda ref=ref: read_article(ref), PIPELINE.name, PIPELINE.version)
        for ref in refs
    ]


@pytest.fixture(scope="module")
def converter() -> Iterator[ArxivConverter]:
    made = ArxivConverter(ArxivOptions(longest_side=256))
    yield made
    made.close()


def split(made: Iterator[Sample | Dropped | Took]) -> tuple[list[Sample], list[Dropped]]:
    samples, drops = [], []
    for one in made:
        if isinstance(one, Sample):
            samples.append(one)
        elif isinstance(one, Dropped):
            drops.append(one)
    return samples, drops


def test_pages_carry_the_text_that_they_show(converter: ArxivConverter, tmp_path: Path) -> None:
    files = {"2401.00001.tar.gz": tar({"ms.tex": MAIN}), "2401.00001.pdf": PAPER}
    samples, drops = split(converter(documents(tmp_path, files)))
    assert not drops
    first, second = samples
    assert "## 1 Ice" in first.text
    assert r"\(d_{\max}=3\)" in first.text
    assert first.text.index("harbour") < first.text.index("orchard")
    assert "Copper" not in first.text
    assert second.text == f"{COPPER}\n\n{LIGHTHOUSE}"
    for number, sample in enumerate(samples, 1):
        assert max(sample.images[0].width, sample.images[0].height) == 256
        assert sample.category == "document_ocr"
        assert sample.language == "en"
        assert sample.provenance.details["text_source"] == "latex"
        assert sample.provenance.details["page"] == str(number)
        assert sample.source.licence == "CC0-1.0"


def test_a_page_that_the_source_does_not_explain_is_dropped_alone(
    converter: ArxivConverter, tmp_path: Path
) -> None:
    strange = pdf(
        f"Notes from a cold coast\n\n1   Ice\n\n{HARBOUR} The depth is dmax = 3 fathoms.\n\n"
        f"{ORCHARD}",
        "Nothing of this stands in the source: an advertisement for bicycles, lamps and saddles, "
        "printed by mistake between two sheets of another journal entirely.",
        f"{COPPER}\n\n{LIGHTHOUSE}",
    )
    files = {"2401.00002.tar.gz": tar({"ms.tex": MAIN}), "2401.00002.pdf": strange}
    samples, drops = split(converter(documents(tmp_path, files)))
    assert [sample.provenance.details["page"] for sample in samples] == ["1", "3"]
    assert [drop.item for drop in drops] == ["#2"]


def test_each_article_of_a_batch_has_its_own_seconds_in_the_ledger(
    converter: ArxivConverter, tmp_path: Path
) -> None:
    files = {
        "2401.00005.tar.gz": tar({"ms.tex": MAIN}),
        "2401.00005.pdf": PAPER,
        "2401.00006.pdf": PAPER,  # nothing to do
    }
    made = documents(tmp_path / "in", files)
    took = {one.document: one.seconds for one in converter(made) if isinstance(one, Took)}
    assert took["coast:2401.00005"] > 20 * took["coast:2401.00006"] > 0
    spec = InputSpec(path=str(tmp_path / "in"), dataset="coast", licence="CC0-1.0")
    job = Job(name="arxiv", pipeline="pipelines.arxiv:PIPELINE", inputs=(spec,))
    assert run([job], str(tmp_path / "out"), executor="local").ok
    rows = pq.read_table(
        next((tmp_path / "out" / "ledger" / "arxiv").glob("*.parquet"))
    ).to_pylist()
    slow, fast = (row["seconds"] for row in rows)
    assert slow > 20 * fast > 0


def test_two_main_files_share_one_pdf(converter: ArxivConverter, tmp_path: Path) -> None:
    head = "\\documentclass{article}\n\\begin{document}\n"
    files = {
        "main.tex": f"{head}{HARBOUR}\n\n{ORCHARD}\n\\end{{document}}",
        "supplement.tex": f"{head}{COPPER}\n\n{LIGHTHOUSE}\n\\end{{document}}",
        "rebuttal.tex": f"{head}We thank the reviewers for their remarks.\n\\end{{document}}",
    }
    both = pdf(f"{HARBOUR}\n\n{ORCHARD}", f"{COPPER}\n\n{LIGHTHOUSE}")
    made = documents(tmp_path, {"2401.00003.tar.gz": tar(files), "2401.00003.pdf": both})
    samples, drops = split(converter(made))
    assert [(drop.item, drop.reason) for drop in drops] == [("rebuttal.tex", Reason.BESIDE_ARTICLE)]
    roots = [sample.provenance.details["root"] for sample in samples]
    assert roots == ["main.tex", "supplement.tex"]


def folder_of(folder: Path, files: Mapping[str, str | bytes]) -> list[Document]:
    """One article that lies as a plain folder of files, its PDF among them."""
    made = documents(
        folder,
        {
            f"paper/{name}": content.encode() if isinstance(content, str) else content
            for name, content in files.items()
        },
    )
    assert len(made) == 1
    return made


REBUTTAL = (
    "\\documentclass{article}\n\\begin{document}\nWe thank the referee for the careful reading.\n\n"
    f"{COPPER}\n\n" + f"{LIGHTHOUSE}\n\n" * 3 + "\\end{document}" + "\n% padding" * 9000
)
REBUTTAL_PDF = pdf(
    f"We thank the referee for the careful reading.\n\n{COPPER}", "\n\n".join([LIGHTHOUSE] * 3)
)


def test_a_rebuttal_with_a_pdf_of_its_own_does_not_replace_the_paper(
    converter: ArxivConverter, tmp_path: Path
) -> None:
    files = {"zz.tex": MAIN, "zz.pdf": PAPER, "answers.tex": REBUTTAL, "answers.pdf": REBUTTAL_PDF}
    samples, drops = split(converter(folder_of(tmp_path, files)))
    assert [sample.provenance.details["root"] for sample in samples] == ["zz.tex"] * 2
    assert [(drop.item, drop.reason) for drop in drops] == [("answers.tex", Reason.BESIDE_ARTICLE)]
    assert "rebuttal" in drops[0].detail


def test_a_rebuttal_does_not_stand_in_for_a_paper_that_fails(
    converter: ArxivConverter, tmp_path: Path
) -> None:
    looped = MAIN.replace("Its hum", r"\def\a{\b}\def\b{\a}\a Its hum")
    files = {
        "zz.tex": looped,
        "zz.pdf": PAPER,
        "answers.tex": REBUTTAL,
        "answers.pdf": REBUTTAL_PDF,
    }
    (document,) = folder_of(tmp_path, files)
    samples, drops = split(converter([replace(document, limits=Limits(seconds=6))]))
    assert not samples
    assert [(drop.item, drop.reason) for drop in drops] == [("", Reason.TIMEOUT)]


def test_of_two_papers_in_a_folder_the_other_is_named(
    converter: ArxivConverter, tmp_path: Path
) -> None:
    head = "\\documentclass{article}\n\\title{Of mills}\n\\begin{document}\n"
    other = f"{head}{COPPER}\n\n{LIGHTHOUSE}\n\\end{{document}}"
    files = {
        "a.tex": MAIN,
        "a.pdf": PAPER,
        "b.tex": other,
        "b.pdf": pdf(f"{COPPER}\n\n{LIGHTHOUSE}"),
    }
    samples, drops = split(converter(folder_of(tmp_path, files)))
    assert {sample.provenance.details["root"] for sample in samples} == {"a.tex"}
    assert [(drop.item, drop.reason) for drop in drops] == [("b.tex", Reason.BESIDE_ARTICLE)]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"2401.1.tar.gz": tar({"ms.tex": MAIN})}, Reason.NO_PDF),
        ({"2401.2.pdf": PAPER}, Reason.PDF_ONLY),
        ({"2401.3.tar.gz": tar({"notes.txt": "no TeX"}), "2401.3.pdf": PAPER}, Reason.NO_SOURCE),
        ({"2401.4.tar.gz": tar({"ms.tex": MAIN}), "2401.4.pdf": b"%PDF-1.5\n"}, Reason.BAD_PDF),
        ({"2401.5.tar.gz": tar({"../ms.tex": MAIN}), "2401.5.pdf": PAPER}, Reason.UNSAFE_PATH),
        ({"2401.6.tar.gz": b"\x1f\x8b\x08\x00", "2401.6.pdf": PAPER}, Reason.BAD_ARCHIVE),
    ],
)
def test_what_cannot_be_used_says_why(
    converter: ArxivConverter, tmp_path: Path, files: Mapping[str, bytes], reason: Reason
) -> None:
    samples, drops = split(converter(documents(tmp_path, files)))
    assert not samples
    assert [(drop.item, drop.reason) for drop in drops] == [("", reason)]


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        ("Its hum", r"$\unheardof$ Its hum"),
        ("Its hum", r"\unheardof hum"),
        ("the mill, where", r"the \unheardof{}, where"),
        ("could be heard", r"\emph{could \unheardof heard}"),
        (LIGHTHOUSE, rf"\begin{{unheardof}}[one] {LIGHTHOUSE} \end{{unheardof}}"),
    ],
)
def test_macros_that_nobody_defines_spoil_their_own_page(
    converter: ArxivConverter, tmp_path: Path, words: str, instead: str
) -> None:
    source = MAIN.replace(words, instead)
    files = {"2401.00007.tar.gz": tar({"ms.tex": source}), "2401.00007.pdf": PAPER}
    samples, drops = split(converter(documents(tmp_path, files)))
    assert [sample.provenance.details["page"] for sample in samples] == ["1"]
    assert [(drop.item, drop.reason) for drop in drops] == [("#2", Reason.LATEX_UNDEFINED)]


def test_a_formula_that_is_no_tex_spoils_its_page(
    converter: ArxivConverter, tmp_path: Path
) -> None:
    source = MAIN.replace("Its hum", "$a\\vbox{$b$}$ Its hum")
    files = {"2401.00011.tar.gz": tar({"ms.tex": source}), "2401.00011.pdf": PAPER}
    samples, drops = split(converter(documents(tmp_path, files)))
    assert [sample.provenance.details["page"] for sample in samples] == ["1"]
    assert [(drop.item, drop.reason) for drop in drops] == [("#2", Reason.BAD_FORMULA)]


def test_the_model_reads_what_has_no_source(tmp_path: Path) -> None:
    checkpoint = save_tiny_nougat(tmp_path / "tiny", favour="a", weight=50, longest=40)
    options = ArxivOptions(longest_side=256, nougat=checkpoint, nougat_device="cpu")
    converter = ArxivConverter(options)
    files = {
        "2401.00008.pdf": PAPER,
        "2401.00009.tar.gz": tar({"ms.tex": MAIN}),
        "2401.00009.pdf": PAPER,
    }
    samples, drops = split(converter(documents(tmp_path / "in", files)))
    converter.close()
    assert [sample.provenance.details["text_source"] for sample in samples] == ["latex"] * 2
    # A model of random weights comes to no end; what it read is told, not kept.
    assert [(drop.item, drop.reason) for drop in drops] == [
        ("#1", Reason.REPETITION),
        ("#2", Reason.REPETITION),
    ]


def test_what_the_model_lacks_stops_the_run_before_it_begins(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no Nougat checkpoint"):
        check_arxiv(ArxivOptions(nougat=str(tmp_path / "nothing")), Limits(memory_mb=9000))
    options = ArxivOptions(nougat=save_tiny_nougat(tmp_path / "tiny"))
    with pytest.raises(UserError, match=r"needs about 2200 MB .*memory_mb: 2200"):
        check_arxiv(options, Limits(memory_mb=1500))
    check_arxiv(options, Limits(memory_mb=2200))


def test_latexml_has_half_of_the_document_s_time(converter: ArxivConverter, tmp_path: Path) -> None:
    source = MAIN.replace("Its hum", r"\def\a{\b}\def\b{\a}\a Its hum")
    files = {"2401.00010.tar.gz": tar({"ms.tex": source}), "2401.00010.pdf": PAPER}
    (document,) = documents(tmp_path, files)
    hasty = replace(document, limits=Limits(seconds=6))
    samples, drops = split(converter([hasty]))
    assert not samples
    assert [(drop.reason, drop.detail) for drop in drops] == [
        (Reason.TIMEOUT, "LaTeXML took more than 3 s")
    ]


def test_an_undefined_environment_that_shows_nothing_of_itself_does_no_harm(
    converter: ArxivConverter, tmp_path: Path
) -> None:
    source = MAIN.replace(LIGHTHOUSE, rf"\begin{{unheardof}}{LIGHTHOUSE}\end{{unheardof}}")
    files = {"2401.00011.tar.gz": tar({"ms.tex": source}), "2401.00011.pdf": PAPER}
    samples, drops = split(converter(documents(tmp_path, files)))
    assert not drops
    assert samples[1].text == f"{COPPER}\n\n{LIGHTHOUSE}"
