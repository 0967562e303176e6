from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree
from PIL import Image
from pydantic import ValidationError

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import Document, DocumentRef, Dropped, InputSpec
from dsvl_data.read.epub import open_epub
from dsvl_data.sample import Sample
from pipelines.ebooks import PIPELINE, EbookConverter, EbookOptions
from tests.epubs import PROSE, make_epub, xhtml
from tests.hostile_inputs import giant_png

CHINESE = (
    "<p>"
    + "软件包的维护者必须保证其中的每个文件都有版权声明，并且许可证允许他人使用和修改。" * 3
    + "</p>"
)
JAPANESE = (
    "<p>"
    + "パッケージの保守者は、すべてのファイルに著作権表示があることを確認しなければならない。" * 3
    + "</p>"
)
SCRIPT = "<script>for(;;){}</script><p onclick='for(;;){}'>" + "calm words " * 9 + "</p>"
ENTITIES = '<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.fixture(scope="module")
def converter() -> Iterator[EbookConverter]:
    made = EbookConverter(EbookOptions(longest_side=512))
    yield made
    made.close()


@contextmanager
def another(options: EbookOptions) -> Iterator[EbookConverter]:
    """Another converter, with options of its own."""
    made = EbookConverter(options)
    yield made
    made.close()


def document(data: bytes, uri: str = "a.epub") -> Document:
    ref = DocumentRef("books", uri, "CC0-1.0", "/nowhere", len(data))
    return Document(ref, lambda: data, PIPELINE.name, PIPELINE.version)


def convert(
    converter: EbookConverter, data: bytes, uri: str = "a.epub"
) -> tuple[list[Sample], list[Dropped]]:
    made = list(converter([document(data, uri)]))
    return (
        [item for item in made if isinstance(item, Sample)],
        [item for item in made if isinstance(item, Dropped)],
    )


def png(size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "green").save(out, "PNG")
    return out.getvalue()


def visible(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)


def test_a_book_becomes_pages_with_the_text_they_show(converter: EbookConverter) -> None:
    chapter = (
        f"<h1>A title</h1>{PROSE}<ul><li>one</li><li>two</li></ul>"
        "<table><tr><th>h</th><th>i</th></tr>"
        '<tr><td>1</td><td>2</td></tr></table><p><math xmlns="http://www.w3.org/1998/Math/MathML">'
        "<mfrac><mi>a</mi><mi>b</mi></mfrac></math> and <em>so</em> on<a epub:type='noteref' "
        "href='#n'>1</a></p><pre>x =  1\n  y</pre>"
        "<aside epub:type='footnote' id='n'><p>Note.</p></aside>"
    )
    samples, drops = convert(converter, make_epub({"a.xhtml": chapter}))
    assert drops == []
    text = "\n".join(sample.text for sample in samples)
    for piece in (
        "# A title", "- one\n", "| 1", r"\frac{a}{b}", "*so*", "[^1]", "Note.",
        "```\nx =  1\n  y\n```",
    ):  # fmt: skip
        assert piece in text
    for number, sample in enumerate(samples):
        assert sample.key.endswith(f"-{number:05d}")
        assert sample.category == "document_ocr"
        assert (sample.language, sample.source.licence) == ("en", "CC0-1.0")
        assert sample.provenance.details["chapter"] == "OEBPS/a.xhtml"
        assert sample.provenance.details["text_source"] == "dom"
        assert sample.scores["proof"] >= 0.99
        (image,) = sample.images
        with Image.open(io.BytesIO(image.data)) as picture:
            assert picture.size == (image.width, image.height)
            assert max(picture.size) == 512


def test_the_same_book_gives_the_same_bytes_whatever_came_before(converter: EbookConverter) -> None:
    data = make_epub({"a.xhtml": PROSE * 20, "b.xhtml": CHINESE * 5})
    first, _ = convert(converter, data)
    convert(converter, make_epub({"x.xhtml": PROSE}))
    second, _ = convert(converter, data)
    assert first == second
    assert len({sample.key for sample in first}) == len(first)


def test_the_seed_decides_the_design_chapter_by_chapter(converter: EbookConverter) -> None:
    data = make_epub({f"{n}.xhtml": PROSE for n in range(8)})
    samples, _ = convert(converter, data)
    assert len({sample.provenance.details["template"] for sample in samples}) > 2
    with another(EbookOptions(seed=7, longest_side=256)) as other:
        again, _ = convert(other, data)
    designs = [[s.provenance.details["template"] for s in made] for made in (samples, again)]
    assert designs[0] != designs[1]


def test_the_language_is_the_texts_not_the_declared_one(converter: EbookConverter) -> None:
    chapters = {"en.xhtml": PROSE * 3, "zh.xhtml": CHINESE * 3, "ja.xhtml": JAPANESE * 3}
    samples, _ = convert(converter, make_epub(chapters))
    for sample in samples:
        assert sample.provenance.details["chapter"] == f"OEBPS/{sample.language}.xhtml"
        assert sample.scores["language_confidence"] > 0.5


def test_vertical_books_are_printed_vertically(converter: EbookConverter) -> None:
    chapter = xhtml(JAPANESE, "<style>html{writing-mode:vertical-rl}</style>")
    samples, drops = convert(converter, make_epub({"a.xhtml": chapter}))
    assert drops == []
    assert visible(JAPANESE[3:-4]) in visible("".join(sample.text for sample in samples))
    with another(EbookOptions(templates=("a4_report",), longest_side=256)) as only:
        samples, _ = convert(only, make_epub({"a.xhtml": chapter}))
    assert {s.provenance.details["template"] for s in samples} == {"a4_report"}


def test_navigation_pictures_and_short_pages_are_filtered(converter: EbookConverter) -> None:
    chapters = {
        "cover.xhtml": '<section epub:type="cover"><p>A book by somebody</p></section>',
        "nav.xhtml": '<nav epub:type="toc"><ol><li><a href="a.xhtml">One</a></li></ol></nav>',
        "picture.xhtml": '<img src="p.png" alt="a picture"/>',
        "short.xhtml": "<p>To my mother</p>",
        "a.xhtml": PROSE,
    }
    samples, drops = convert(converter, make_epub(chapters, files={"OEBPS/p.png": png()}))
    assert [(d.item.partition("#")[0], d.reason) for d in drops] == [
        ("OEBPS/cover.xhtml", Reason.NAVIGATION),
        ("OEBPS/nav.xhtml", Reason.NAVIGATION),
        ("OEBPS/picture.xhtml", Reason.NO_TEXT),
        ("OEBPS/short.xhtml", Reason.NO_TEXT),
    ]
    assert {s.provenance.details["chapter"] for s in samples} == {"OEBPS/a.xhtml"}
    with another(EbookOptions(keep_navigation=True, min_characters=1, longest_side=256)) as keeper:
        samples, _ = convert(keeper, make_epub(chapters))
    assert "OEBPS/cover.xhtml" in {s.provenance.details["chapter"] for s in samples}


@pytest.mark.parametrize(
    ("chapter", "reason"),
    [
        (ENTITIES + "<html><body>&x;</body></html>", Reason.XML_ENTITIES),
        (b"<html><body>" + b"<div>" * 1_000_000, Reason.BAD_MARKUP),
        (b"<html><body><p>" + b"word " * 4_000_000, Reason.TOO_LARGE),
        (b"", Reason.EMPTY_DOCUMENT),
        ("<p></p>", Reason.NO_TEXT),
    ],
)
def test_a_bad_chapter_takes_no_other_with_it(
    converter: EbookConverter, chapter: str | bytes, reason: Reason
) -> None:
    data = make_epub({"1.xhtml": PROSE, "bad.xhtml": chapter, "2.xhtml": PROSE})
    samples, drops = convert(converter, data)
    assert [(drop.item, drop.reason) for drop in drops] == [("OEBPS/bad.xhtml", reason)]
    chapters = {sample.provenance.details["chapter"] for sample in samples}
    assert chapters == {"OEBPS/1.xhtml", "OEBPS/2.xhtml"}


def test_scripts_are_gone_before_anything_could_run(converter: EbookConverter) -> None:
    samples, drops = convert(converter, make_epub({"a.xhtml": SCRIPT}))
    assert drops == []
    assert "calm words" in samples[0].text
    assert "for(" not in samples[0].text


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("http://127.0.0.1:9/x.png", Reason.NEEDS_NETWORK),
        ("//127.0.0.1:9/x.png", Reason.NEEDS_NETWORK),
        ("file:///etc/passwd", Reason.UNSAFE_PATH),
        ("../../../etc/passwd", Reason.UNSAFE_PATH),
        ("huge.png", Reason.IMAGE_BOMB),
    ],
)
def test_a_chapter_that_means_harm_takes_no_other_with_it(
    converter: EbookConverter, source: str, reason: Reason
) -> None:
    chapters = {"a.xhtml": PROSE + f'<p><img src="{source}"/></p>', "b.xhtml": PROSE}
    book = make_epub(chapters, files={"OEBPS/huge.png": giant_png()})
    samples, drops = convert(converter, book)
    assert [(drop.item, drop.reason) for drop in drops] == [("OEBPS/a.xhtml", reason)]
    assert {sample.provenance.details["chapter"] for sample in samples} == {"OEBPS/b.xhtml"}


def test_broken_pictures_leave_their_page_standing(converter: EbookConverter) -> None:
    body = PROSE + "".join(f'<p><img src="{n}.png"/></p>' for n in ("fake", "good", "none"))
    files = {"OEBPS/fake.png": b"MZ this is no image", "OEBPS/good.png": png()}
    samples, drops = convert(converter, make_epub({"a.xhtml": body}, files=files))
    assert {drop.item.rpartition(":")[2]: drop.reason for drop in drops} == {
        "fake.png": Reason.BAD_IMAGE,
        "none.png": Reason.MISSING_IMAGE,
    }
    assert "maintainer" in samples[0].text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (make_epub({"a.xhtml": PROSE})[:-60], Reason.BAD_ARCHIVE),
        (make_epub({"a.xhtml": PROSE}, files={"b": b"\0" * 50_000_000}), Reason.ARCHIVE_BOMB),
        (make_epub({"a.xhtml": PROSE}, files={"../evil": "x"}), Reason.UNSAFE_PATH),
        (make_epub({"a.xhtml": PROSE}, spine=""), Reason.EMPTY_DOCUMENT),
    ],
)
def test_a_bad_book_fails_for_its_own_reason(
    converter: EbookConverter, data: bytes, reason: Reason
) -> None:
    with pytest.raises(DocumentError) as caught:
        convert(converter, data)
    assert caught.value.reason is reason


def test_options_name_the_nearest_design() -> None:
    with pytest.raises(ValidationError, match="did you mean 'a4_report'"):
        EbookOptions(templates=("a4_raport",))
    with pytest.raises(ValidationError):
        EbookOptions(longest_sides=3)  # type: ignore[call-arg]


def test_books_are_listed_by_their_path(tmp_path: Path) -> None:
    for name in ("b.epub", "a/c.EPUB", "d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    spec = InputSpec(path=str(tmp_path), dataset="books")
    refs = list(PIPELINE.source([spec], EbookOptions()))
    assert [ref.id for ref in refs] == ["books:a/c.EPUB", "books:b.epub"]
    assert PIPELINE.reader(refs[0]) == b"x"


def test_real_chapters_reach_their_pages_whole(converter: EbookConverter, real_data: Path) -> None:
    """The characters of a real chapter's body, counted by a plain walk, against its pages."""
    data = (real_data / "ebooks" / "policy.epub").read_bytes()
    book = open_epub(data)
    item = next(item for item in book.spine if item.name == "ap-pkg-scope.xhtml")
    body = book.chapter(item).root.find("{*}body")
    assert body is not None
    for label in body.xpath("//*[@class='brackets' or contains(@class, 'footnote-reference')]"):
        label.text = None  # labels are written by the renderer, `[^1]`
        etree.strip_elements(label, "{*}a", with_tail=False)
    wanted = visible("".join(map(str, body.itertext())))
    chapters = list(converter._book(document(data), replace(book, spine=(item,))))
    text = visible("".join(s.text for s in chapters if isinstance(s, Sample)))
    assert len(wanted) > 1500
    missing = sum(
        word not in text for word in (wanted[i : i + 12] for i in range(0, len(wanted), 12))
    )
    assert missing <= 0.01 * len(wanted) / 12 + 6  # where pages and notes begin
