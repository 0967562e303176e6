"""arXiv's bulk tars and plain folders: what is listed, joined, unpacked and taken for the paper."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pymupdf
import pytest

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef, InputSpec
from dsvl_data.read import submission
from dsvl_data.read.article_source import find_roots, own_pdfs
from dsvl_data.read.arxiv import list_articles, read_article, split_article
from dsvl_data.read.arxiv_metadata import resolve_article
from dsvl_data.read.listing import InputError
from dsvl_data.read.submission import unpack_source

PAPER = r"\documentclass{article}\title{A study of fences}\begin{document}Hello\end{document}"


def tar(members: Mapping[str, bytes | str]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


def pdf(*pages: str, width: float = 595, height: float = 842) -> bytes:
    with pymupdf.open() as document:
        for text in pages:
            document.new_page(width=width, height=height).insert_text((50, 60), text)
        return bytes(document.tobytes())


def spec(path: Path, dataset: str = "arxiv", licence: str = "unknown") -> InputSpec:
    return InputSpec(path=str(path), dataset=dataset, licence=licence)


def by_uri(*specs: InputSpec, metadata: Path | None = None) -> dict[str, DocumentRef]:
    refs = list(list_articles(specs, metadata=str(metadata) if metadata else None))
    assert len({ref.uri for ref in refs}) == len(refs)
    return {ref.uri: ref for ref in refs}


@pytest.fixture
def bulk(tmp_path: Path) -> Path:
    folder = tmp_path / "bulk"
    folder.mkdir()
    tars = {
        "arXiv_src_2301_001.tar": {
            "2301/2301.00001.gz": gzip.compress(tar({"main.tex": PAPER, "fig/a.eps": "%!PS"})),
            "2301/2301.00002.gz": gzip.compress(PAPER.encode()),
            "2301/2301.00003.pdf": pdf("only a PDF"),
        },
        "arXiv_src_2301_002.tar": {
            "2301/2301.00004.gz": gzip.compress(
                b"%auto-ignore\r\nThis paper has been withdrawn by the authors.\r\n"
            ),
        },
        "arXiv_src_0001_001.tar": {
            "0001/astro-ph0001001.gz": gzip.compress(PAPER.encode()),
            "0001/math.AG0001002.gz": gzip.compress(PAPER.encode()),
        },
        "arXiv_pdf_2301_001.tar": {
            "2301/2301.00002v1.pdf": b"%PDF-old",
            "2301/2301.00002v2.pdf": b"%PDF-new",
            "2301/2301.00005v1.pdf": b"%PDF-without source",
        },
        "arXiv_pdf_2301_002.tar": {"2301/2301.00001v3.pdf": b"%PDF-first"},
        "arXiv_pdf_0001_001.tar": {"0001/astro-ph0001001v1.pdf": b"%PDF-old style"},
    }
    for name, members in tars.items():
        (folder / name).write_bytes(tar(members))
    return folder


def test_bulk_tars_are_joined_by_id_across_files(bulk: Path, tmp_path: Path) -> None:
    refs = by_uri(spec(bulk))
    assert list(refs) == sorted(refs)
    assert set(refs) == {
        "2301.00001", "2301.00002", "2301.00003", "2301.00004", "2301.00005",
        "astro-ph/0001001", "math.AG/0001002",
    }  # fmt: skip
    source, paper = split_article(read_article(refs["2301.00001"]))
    assert paper == b"%PDF-first"
    assert refs["2301.00001"].meta["version"] == 3
    unpack_source(source, tmp_path)
    assert (tmp_path / "main.tex").read_text() == PAPER
    assert split_article(read_article(refs["2301.00002"]))[1] == b"%PDF-new"
    old_source, old_pdf = split_article(read_article(refs["astro-ph/0001001"]))
    assert gzip.decompress(old_source).decode() == PAPER
    assert old_pdf == b"%PDF-old style"
    assert split_article(read_article(refs["math.AG/0001002"]))[1] == b""
    assert split_article(read_article(refs["2301.00005"])) == (b"", b"%PDF-without source")
    assert split_article(read_article(refs["2301.00003"]))[1].startswith(b"%PDF")


def test_sources_and_pdfs_may_come_as_two_inputs(bulk: Path) -> None:
    both = by_uri(
        InputSpec(path=str(bulk / "arXiv_src_*.tar"), dataset="arxiv", licence="CC-BY-4.0"),
        InputSpec(path=str(bulk / "arXiv_pdf_*.tar"), dataset="arxiv"),
    )
    assert {uri: ref.meta["pdf"] for uri, ref in both.items()} == {
        uri: ref.meta["pdf"] for uri, ref in by_uri(spec(bulk)).items()
    }
    assert both["2301.00001"].licence == "CC-BY-4.0"


def test_listing_reads_headers_only(bulk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> bytes:
        raise AssertionError("a payload was read")

    monkeypatch.setattr("dsvl_data.storage.read_bytes", forbidden)
    assert len(by_uri(spec(bulk))) == 7


def test_damaged_tar_is_accounted_for_and_takes_nothing_with_it(bulk: Path) -> None:
    whole = (bulk / "arXiv_src_2301_001.tar").read_bytes()
    (bulk / "arXiv_src_2302_001.tar").write_bytes(whole[:700])
    refs = by_uri(spec(bulk))
    assert len(refs) == 8
    with pytest.raises(DocumentError) as error:
        read_article(refs["arXiv_src_2302_001.tar"])
    assert error.value.reason is Reason.BAD_ARCHIVE


def test_a_damaged_tar_whose_name_is_no_utf_8_is_accounted_for(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"arXiv_\xff.tar")).write_bytes(b"x" * 700)
    (ref,) = list_articles([spec(tmp_path)])
    json.dumps([ref.uri, ref.meta], ensure_ascii=False).encode()  # as the plan stores it
    with pytest.raises(DocumentError) as error:
        read_article(ref)
    assert error.value.reason is Reason.BAD_ARCHIVE


def test_source_and_pdf_of_other_versions_are_not_joined(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(
        tar(
            {"2301/2301.00001v1.gz": gzip.compress(b"x", mtime=0), "2301/2301.00001v2.pdf": b"%PDF"}
        )
    )
    assert by_uri(spec(tmp_path))["2301.00001"].meta["pdf"] is None


@pytest.mark.parametrize(
    ("members", "joined"),
    [
        (("v1.gz", "v1.pdf", "v2.pdf"), ("v1.gz", "v1.pdf")),
        (("v2.pdf", "v1.pdf", "v1.gz"), ("v1.gz", "v1.pdf")),
        (("v1.gz", "v2.gz", "v1.pdf"), ("v1.gz", "v1.pdf")),
        (("v1.gz", "v2.gz", "v1.pdf", "v2.pdf"), ("v2.gz", "v2.pdf")),
        ((".gz", "v10.pdf", "v9.pdf"), (".gz", "v10.pdf")),
        (("v3.gz", ".pdf", "v4.pdf"), ("v3.gz", ".pdf")),
    ],
)
def test_the_pdf_of_the_source_s_own_version_is_taken(
    tmp_path: Path, members: tuple[str, ...], joined: tuple[str, str]
) -> None:
    (tmp_path / "a.tar").write_bytes(tar({f"2401/2401.00014{end}": end for end in members}))
    (ref,) = by_uri(spec(tmp_path)).values()
    assert split_article(read_article(ref)) == (joined[0].encode(), joined[1].encode())


def test_metadata_adds_licence_title_and_categories(bulk: Path, tmp_path: Path) -> None:
    lines = [
        {"id": f"9901.{number:05d}", "title": "other", "license": None} for number in range(500)
    ]
    lines.insert(
        250,
        {
            "id": "2301.00001",
            "title": "A study\n  of fences",
            "categories": "math.AG hep-th",
            "license": "http://creativecommons.org/licenses/by-sa/4.0/",
        },
    )
    lines.append({"id": "2301.00004", "title": "older than the question", "license": None})
    lines.append(
        {
            "id": "astro-ph/0001001",
            "license": "http://arxiv.org/licenses/nonexclusive-distrib/1.0/",
        }
    )
    path = tmp_path / "metadata.json"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    refs = by_uri(spec(bulk, licence="unknown"), metadata=path)
    first = resolve_article(refs["2301.00001"])
    assert first.licence == "CC-BY-SA-4.0"
    assert first.meta["title"] == "A study of fences"
    assert first.meta["categories"] == "math.AG hep-th"
    old = resolve_article(refs["astro-ph/0001001"])
    assert old.licence == "arXiv-nonexclusive-distrib-1.0"
    assert resolve_article(refs["2301.00002"]) == refs["2301.00002"]
    mixed = by_uri(spec(bulk, licence="CC0-1.0"), metadata=path)
    assert resolve_article(mixed["2301.00004"]).licence == "unknown"
    assert resolve_article(mixed["2301.00002"]).licence == "CC0-1.0"
    assert read_article(first) == read_article(refs["2301.00001"])
    with pytest.raises(InputError):
        by_uri(spec(bulk), metadata=tmp_path / "nowhere.json")


def test_plain_folder_of_articles(tmp_path: Path) -> None:
    files: dict[str, bytes] = {
        "fences/main.tex": PAPER.encode(),
        "fences/parts/one.tex": b"part",
        "fences/fences.pdf": pdf("A study of fences", "page two"),
        "deep/er/2301.00001v2/paper.tex": PAPER.encode(),
        "packed.tar.gz": gzip.compress(tar({"p.tex": PAPER})),
        "packed.pdf": b"%PDF-packed",
        "single.gz": gzip.compress(PAPER.encode()),
        "lonely.pdf": b"%PDF-lonely",
        "notes.md": b"none of it",
    }
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as archive:
        archive.writestr("z.tex", PAPER)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    refs = by_uri(spec(tmp_path, licence="MIT"))
    assert set(refs) == {
        "fences", "deep/er/2301.00001v2", "packed", "single", "lonely", "zipped"
    }  # fmt: skip
    assert refs["deep/er/2301.00001v2"].meta["id"] == "2301.00001"
    assert refs["fences"].licence == "MIT"
    assert split_article(read_article(refs["packed"]))[1] == b"%PDF-packed"
    assert split_article(read_article(refs["lonely"])) == (b"", b"%PDF-lonely")
    for uri, name in (("fences", "main.tex"), ("zipped", "z.tex"), ("single", "single.tex")):
        out = tmp_path / "out" / uri
        out.mkdir(parents=True)
        unpack_source(split_article(read_article(refs[uri]))[0], out, name=uri)
        assert (out / name).read_text() == PAPER
    assert read_article(refs["fences"]) == read_article(refs["fences"])
    assert set(by_uri(spec(tmp_path / "fences"))) == {"fences"}


def test_files_as_arxiv_s_site_names_them_are_joined(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "arXiv-2401.00001v1.tar.gz": "source 1",
            "2401.00001v1.pdf": "pdf 1",
            "2401.00001v2.pdf": "pdf of a version without source",
            "arXiv-2401.00002v3.gz": "source 2",
            "2401.00002v3.pdf": "pdf 2",
            "src/2401.00003.tar.gz": "source 3",
            "pdf/2401.00003v9.pdf": "pdf 3, ninth version",
            "pdf/2401.00003v10.pdf": "pdf 3, tenth version",
            "arXiv-hep-th9901001v1/main.tex": PAPER,
            "hep-th9901001v1.pdf": "pdf 4",
        },
    )
    refs = by_uri(spec(tmp_path))
    assert set(refs) == {
        "arXiv-2401.00001v1", "2401.00001v2", "arXiv-2401.00002v3", "src/2401.00003",
        "pdf/2401.00003v9", "arXiv-hep-th9901001v1",
    }  # fmt: skip
    first = refs["arXiv-2401.00001v1"]
    assert (first.meta["id"], first.meta["version"]) == ("2401.00001", 1)
    assert split_article(read_article(first)) == (b"source 1", b"pdf 1")
    assert split_article(read_article(refs["arXiv-2401.00002v3"])) == (b"source 2", b"pdf 2")
    assert split_article(read_article(refs["src/2401.00003"]))[1] == b"pdf 3, tenth version"
    assert refs["arXiv-hep-th9901001v1"].meta["id"] == "hep-th/9901001"
    assert split_article(read_article(refs["arXiv-hep-th9901001v1"]))[1] == b"pdf 4"


def test_links_that_lead_out_of_the_input_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.tex").write_text("secret")
    folder = tmp_path / "in" / "paper"
    folder.mkdir(parents=True)
    (folder / "main.tex").write_text(PAPER)
    (folder / "out.tex").symlink_to(tmp_path / "secret.tex")
    refs = by_uri(spec(tmp_path / "in"))
    assert b"secret" not in read_article(refs["paper"])
    with pytest.raises(DocumentError) as error:
        read_article(refs["paper/out.tex"])
    assert error.value.reason is Reason.UNSAFE_PATH


def hostile_tar(kind: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        member = tarfile.TarInfo("main.tex")
        member.size = len(PAPER)
        archive.addfile(member, io.BytesIO(PAPER.encode()))
        other = tarfile.TarInfo({"up": "../out.tex", "absolute": "/tmp/out.tex"}.get(kind, "x"))
        other.type = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "fifo": tarfile.FIFOTYPE,
                      "device": tarfile.CHRTYPE}.get(kind, tarfile.REGTYPE)  # fmt: skip
        other.linkname = "/etc/passwd"
        archive.addfile(other)
    return made.getvalue()


@pytest.mark.parametrize("kind", ["up", "absolute"])
def test_unpacking_refuses_names_that_lead_out(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DocumentError) as error:
        unpack_source(hostile_tar(kind), tmp_path)
    assert error.value.reason is Reason.UNSAFE_PATH


@pytest.mark.parametrize("kind", ["link", "hard", "fifo", "device"])
def test_unpacking_leaves_links_and_devices_out(tmp_path: Path, kind: str) -> None:
    unpack_source(gzip.compress(hostile_tar(kind)), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["main.tex"]


def test_bombs_do_not_go_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (
        gzip.compress(b"%" * (40 << 20)),
        gzip.compress(tar({"main.tex": bytes(150 << 20)})),
    ):
        with pytest.raises(DocumentError) as error:
            unpack_source(data, tmp_path)
        assert error.value.reason is Reason.ARCHIVE_BOMB
    monkeypatch.setattr(submission, "MAX_FILES", 10)
    with pytest.raises(DocumentError) as error:
        unpack_source(tar({f"{number}.tex": "x" for number in range(20)}), tmp_path)
    assert error.value.reason is Reason.ARCHIVE_BOMB


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (gzip.compress(b"%auto-ignore\nThis paper has been withdrawn.", mtime=0), Reason.WITHDRAWN),
        (
            gzip.compress(b"This submission has been withdrawn by its author", mtime=0),
            Reason.WITHDRAWN,
        ),
        (pdf("a page"), Reason.PDF_ONLY),
        (gzip.compress(b"%!PS-Adobe-2.0", mtime=0), Reason.NO_SOURCE),
        (gzip.compress(b"<html><body>no</body></html>", mtime=0), Reason.NO_SOURCE),
        (gzip.compress(tar({"main.tex": PAPER * 99}))[:-40], Reason.BAD_ARCHIVE),
        (tar({}), Reason.EMPTY_DOCUMENT),
        (b"", Reason.EMPTY_DOCUMENT),
    ],
)
def test_what_is_no_latex_source_says_so(tmp_path: Path, source: bytes, reason: Reason) -> None:
    with pytest.raises(DocumentError) as error:
        unpack_source(source, tmp_path)
    assert error.value.reason is reason


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(data)
    return folder


def roots(folder: Path, files: Mapping[str, str | bytes]) -> list[str]:
    return [root.path for root in find_roots(write(folder, files))]


def test_main_file_is_the_one_that_no_other_inputs(tmp_path: Path) -> None:
    found = roots(
        tmp_path,
        {
            "zz.tex": r"\documentclass{article}\input pre \begin{document}\include{body}"
            r"\import{figs/}{drawing}\end{document}",
            "pre.tex": r"\newcommand{\x}{\documentclass}",
            "body.tex": r"\section{One}",
            "figs/drawing.tex": r"\documentclass{standalone}\begin{document}x\end{document}",
            "commented.tex": "%\\documentclass{article}\n%\\begin{document}",
        },
    )
    assert found[0] == "zz.tex"
    assert "commented.tex" not in found


@pytest.mark.parametrize(
    "beside",
    [
        {"cover.tex": r"\documentclass{letter}\begin{document}" + "Dear editor " * 3000},
        {"rebuttal.tex": PAPER.replace("Hello", "We thank the referees. " * 4000)},
        {"aa_response_to_reviewers.tex": PAPER.replace("Hello", r"\cite{a}" * 400)},
        {"talk.tex": r"\documentclass{beamer}\title{A}\begin{document}" + r"\cite{a}" * 9000},
        {"supplement.tex": PAPER.replace("Hello", "More. " * 4000)},
        {"template/sample.tex": PAPER.replace("Hello", "More. " * 4000)},
    ],
)
def test_what_lies_beside_the_paper_is_not_the_paper(
    tmp_path: Path, beside: Mapping[str, str]
) -> None:
    paper = PAPER.replace("Hello", r"\begin{abstract}x\end{abstract} text \cite{k} " * 20)
    found = roots(tmp_path, {"submission.tex": paper, **beside})
    assert found[0] == "submission.tex"
    assert set(beside) <= set(found)


SHORT_PAPER = (
    r"\documentclass{article}\title{Of fences}\begin{document}\begin{abstract}Short."
    r"\end{abstract}\section{One}\begin{figure}\includegraphics{a}\end{figure}\section{Two}"
    r"Text \cite{k}.\bibliography{b}\end{document}"
)


@pytest.mark.parametrize(
    "start",
    [
        "We thank the referee for the careful reading. ",
        "We are grateful to both reviewers for their time. ",
        r"\title{Response to the Referees}\maketitle ",
        "Dear Editor, ",
        r"\section*{Reviewer \#1} ",
        r"\opening{Dear Sir,} ",
        r"\input{greeting} ",
    ],
)
def test_a_letter_is_told_by_its_words_however_long_it_is(tmp_path: Path, start: str) -> None:
    letter = r"\documentclass{article}\begin{document}" + start
    letter += r"\section{x}\cite{a} answers, and more of them. " * 4000 + r"\end{document}"
    files = {
        "zz.tex": SHORT_PAPER,
        "answers.tex": letter,
        "greeting.tex": r"\textbf{Dear Dr. Fence,} hello",
    }
    found = find_roots(write(tmp_path, files))
    assert [(root.path, root.role) for root in found] == [
        ("zz.tex", "article"),
        ("answers.tex", "letter"),
    ]
    for name in ("zz", "answers"):
        (tmp_path / f"{name}.pdf").write_bytes(pdf("one", "two"))
    first, second = own_pdfs(tmp_path, found)
    assert first.path == "zz.pdf"
    assert first.score > second.score + 30


def test_papers_that_thank_their_referees_are_no_letters(tmp_path: Path) -> None:
    thanks = r"\section*{Acknowledgements}We thank the referee for a careful reading."
    texts = {
        "end.tex": SHORT_PAPER.replace(
            r"\bibliography", "More. " * 900 + thanks + r"\bibliography"
        ),
        "short.tex": SHORT_PAPER.replace(r"\bibliography", thanks + r"\bibliography"),
        "note.tex": SHORT_PAPER.replace("fences", r"fences\thanks{We thank the referee.}"),
        "reply.tex": SHORT_PAPER.replace("Of fences", "Response to the comment on fences"),
        "about.tex": SHORT_PAPER.replace("Short", "We study what reviewers write"),
    }
    found = find_roots(write(tmp_path, texts))
    assert {root.role for root in found} == {"article"}


def test_what_a_main_file_is_for_is_told(tmp_path: Path) -> None:
    files = {
        "main.tex": r"\documentclass{article}\begin{document}\input{part}\end{document}",
        "part.tex": PAPER,
        "talk.tex": PAPER.replace("{article}", "{beamer}"),
        "supplement.tex": PAPER,
        "drawing.tex": PAPER.replace("{article}", "{standalone}"),
        "plain.tex": r"Text \bye",
    }
    found = find_roots(write(tmp_path, files))
    assert {root.path: root.role for root in found} == {
        "main.tex": "article", "part.tex": "piece", "talk.tex": "slides",
        "supplement.tex": "supplement", "drawing.tex": "piece", "plain.tex": "plain",
    }  # fmt: skip


@pytest.mark.parametrize(
    "readme",
    [
        {"00README.XXX": "b.tex toplevelfile\na.tex ignore\n"},
        {
            "00README.json": '{"sources": [{"filename": "b.tex", "usage": "toplevel"},'
            '{"filename": "a.tex", "usage": "ignore"}]}'
        },
        {
            "00README.yaml": "sources:\n- {filename: b.tex, usage: toplevel}\n"
            "- {filename: a.tex, usage: ignore}\n"
        },
    ],
)
def test_readme_decides(tmp_path: Path, readme: Mapping[str, str]) -> None:
    files = {"a.tex": PAPER.replace("Hello", "long " * 5000), "b.tex": PAPER, **readme}
    assert roots(tmp_path, files) == ["b.tex"]


def test_several_roots_all_come_and_bbl_decides(tmp_path: Path) -> None:
    assert roots(tmp_path, {"one.tex": PAPER, "two.tex": PAPER, "two.bbl": "x"}) == [
        "two.tex",
        "one.tex",
    ]


def test_old_latex_and_plain_tex_are_known(tmp_path: Path) -> None:
    old = r"\documentstyle[12pt]{article} \begin{document} x \end{document}"
    assert roots(tmp_path / "a", {"paper.tex": old}) == ["paper.tex"]
    assert roots(tmp_path / "b", {"paper.tex": r"\magnification=1200 Text \bye"}) == ["paper.tex"]
    assert roots(tmp_path / "c", {"readme.txt": "no TeX"}) == []


def test_own_pdf_is_not_a_figure(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "main.tex": PAPER.replace("Hello", r"\includegraphics[width=1cm]{plot}"),
            "plot.pdf": pdf("A study of fences", "two"),
            "figures/sheet.pdf": pdf("axis", "axis"),
            "small.pdf": pdf("1", width=200, height=200),
            "final_version.pdf": pdf("A STUDY OF FENCES", "by N. N."),
            "broken.pdf": b"%PDF-1.4 broken",
        },
    )
    found = own_pdfs(tmp_path, find_roots(tmp_path))
    assert found[0].path == "final_version.pdf"
    assert {pdf.path for pdf in found} == {"final_version.pdf", "figures/sheet.pdf"}
    (tmp_path / "main.pdf").write_bytes(pdf("A study of fences", "two"))
    assert own_pdfs(tmp_path, find_roots(tmp_path))[0].path == "main.pdf"


def test_real_articles(real_data: Path, tmp_path: Path) -> None:
    refs = by_uri(spec(real_data / "arxiv"))
    expected = {
        "emcee": ("document_ms.tex", None),
        "hepthesis_example": ("example.tex", "example.pdf"),
        "sic_arxiv": ("arxiv.tex", "arxiv.pdf"),
        "turnstile_artigo": ("turnstile_artigo.tex", "turnstile_artigo.pdf"),
    }
    assert set(expected) <= set(refs)
    for uri, (main, own) in expected.items():
        folder = tmp_path / uri
        folder.mkdir()
        unpack_source(split_article(read_article(refs[uri]))[0], folder)
        candidates = find_roots(folder)
        assert candidates[0].path == main
        pdfs = own_pdfs(folder, candidates, name=uri)
        assert (pdfs[0].path if pdfs else None) == own
