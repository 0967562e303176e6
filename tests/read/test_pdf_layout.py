"""PDFs as blocks: the order of reading, captions at their figures, nothing lost without a word."""

from __future__ import annotations

import io
from pathlib import Path

import pymupdf
import pytest
from PIL import Image

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.blocks import LostBlock, PictureBlock, TextBlock
from dsvl_data.read.pdf_layout import read_pdf

WORDS = "the slow river bends around an old mill and leaves the valley by a narrow gate of stone"
TRUTH = Path(__file__).parent.parent / "latex" / "truth"


def sentence(number: int, words: int = 40) -> str:
    many = (WORDS.split() * 9)[number : number + words]
    return f"Sentence {number} " + " ".join(many) + "."


def picture(kind: str = "JPEG", mode: str = "RGB", size: tuple[int, int] = (300, 200)) -> bytes:
    file = io.BytesIO()
    made = Image.linear_gradient("L").resize(size).convert(mode)
    made.save(file, kind)
    return file.getvalue()


def column(page: pymupdf.Page, box: tuple[float, float, float, float], text: str, **how: object):
    left = page.insert_textbox(pymupdf.Rect(box), text, fontsize=10, align=3, **how)
    assert left >= 0, "the text does not fit: the test is wrong"


def texts(blocks: list[object]) -> list[str]:
    return [block.markdown for block in blocks if isinstance(block, TextBlock)]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 1, 3), (3, 1, 2, 0), (2, 0, 3, 1)])
def test_two_columns_are_read_one_after_the_other_whatever_was_written_first(order):
    places = [(60, 80, 285, 200), (60, 320, 285, 440), (310, 80, 535, 200), (310, 320, 535, 440)]
    document = pymupdf.open()
    for number in range(3):
        page = document.new_page()
        page.insert_text((60, 40), "A History of Rivers", fontsize=9)
        page.insert_text((300, 810), str(number + 1), fontsize=9)
        for place in order:
            column(page, places[place], sentence(4 * number + place))
    found = texts(read_pdf(document.tobytes()))
    assert found == [sentence(n) for n in range(12)]


def test_lines_that_are_written_row_by_row_are_read_column_by_column():
    document = pymupdf.open()
    page = document.new_page()
    page.insert_text((60, 60), "Across both columns stands a title", fontsize=18)
    for n in range(12):
        page.insert_text((60, 100 + 12 * n), f"Left {n} of the lines of the first.", fontsize=10)
        page.insert_text((310, 100 + 12 * n), f"Right {n} of the lines of the last.", fontsize=10)
    title, left, right = texts(read_pdf(document.tobytes()))
    assert title == "# Across both columns stands a title"
    assert [int(word) for word in left.split() if word.isdecimal()] == list(range(12))
    assert [int(word) for word in right.split() if word.isdecimal()] == list(range(12))
    assert left.startswith("Left 0")
    assert right.startswith("Right 0")


def test_an_embedded_picture_keeps_its_bytes_and_takes_its_caption():
    jpeg = picture()
    document = pymupdf.open()
    page = document.new_page()
    column(page, (60, 60, 535, 150), sentence(1))
    page.insert_image(pymupdf.Rect(150, 200, 450, 400), stream=jpeg)
    column(page, (150, 410, 450, 440), "Figure 1: A grey ramp, dark at one end.")
    column(page, (60, 480, 535, 560), sentence(2))
    first, shown, last = read_pdf(document.tobytes())
    assert isinstance(shown, PictureBlock)
    assert shown.data == jpeg
    assert shown.caption == "Figure 1: A grey ramp, dark at one end."
    assert (first.markdown, last.markdown) == (sentence(1), sentence(2))


def test_a_drawing_is_drawn_by_its_box_with_the_labels_in_it():
    document = pymupdf.open()
    page = document.new_page()
    column(page, (60, 60, 535, 150), sentence(1))
    page.draw_rect(pymupdf.Rect(150, 200, 450, 400))
    for step in range(8):
        page.draw_circle((180 + 30 * step, 380 - 20 * step), 6, fill=(0, 0, 1))
    page.insert_text((280, 415), "time in s", fontsize=8)
    column(page, (150, 440, 450, 470), "Figure 2. Points that rise.")
    _, shown = read_pdf(document.tobytes())
    assert isinstance(shown, PictureBlock)
    assert shown.caption == "Figure 2. Points that rise."
    drawn = Image.open(io.BytesIO(shown.data)).convert("RGB")
    assert drawn.width == pytest.approx(2 * 300, abs=30)
    assert (0, 0, 255) in {colour for _, colour in drawn.getcolors(1 << 20)}


def test_a_ruled_table_is_markdown_and_a_frame_around_text_is_text():
    document = pymupdf.open()
    page = document.new_page()
    page.insert_text((60, 90), "Table 1: Rivers and what they carry.", fontsize=10)
    rows = [("River", "Length"), ("Elbe", "1,094 km"), ("Oder | Odra", "866 km")]
    for n, row in enumerate(rows):
        for m, cell in enumerate(row):
            box = pymupdf.Rect(60 + 150 * m, 100 + 20 * n, 210 + 150 * m, 120 + 20 * n)
            page.draw_rect(box)
            page.insert_text((box.x0 + 5, box.y1 - 6), cell, fontsize=10)
    page.draw_rect(pymupdf.Rect(55, 295, 540, 375))
    column(page, (60, 300, 535, 370), sentence(5))
    table, framed = read_pdf(document.tobytes())
    assert isinstance(table, TextBlock)
    assert table.kind == "table"
    assert table.markdown.splitlines() == [
        "Table 1: Rivers and what they carry.",
        "",
        "| River | Length |",
        "| --- | --- |",
        "| Elbe | 1,094 km |",
        "| Oder \\| Odra | 866 km |",
    ]
    assert framed.markdown == sentence(5)


def test_headings_lists_code_and_broken_words():
    document = pymupdf.open()
    page = document.new_page()
    page.insert_text((60, 80), "On Mills", fontsize=20)
    column(page, (60, 110, 535, 190), sentence(1))
    page.insert_text((60, 220), "1.1 Water", fontsize=14)
    for n, line in enumerate(["The wheel is over-", "shot, and the mill-", "stone turns."]):
        page.insert_text((60, 250 + 12 * n), line, fontsize=10)
    column(page, (60, 300, 535, 340), "An overshot wheel is fast. " + sentence(2, 8))
    for n, line in enumerate(["- first of two", "- second of two"]):
        page.insert_text((70, 360 + 13 * n), line, fontsize=10)
    for n, line in enumerate(["def turn(wheel):", "    wheel.turn()", "", "turn(mill)"]):
        page.insert_text((60, 420 + 12 * n), line, fontname="cour", fontsize=9)
    blocks = read_pdf(document.tobytes())
    assert [getattr(block, "kind", "") for block in blocks] == [
        "heading", "paragraph", "heading", "paragraph", "paragraph", "list", "list", "code",
    ]  # fmt: skip
    assert [texts(blocks)[n] for n in (0, 2, 3)] == [
        "# On Mills",
        "## 1.1 Water",
        "The wheel is overshot, and the millstone turns.",
    ]
    assert texts(blocks)[-1] == "```\ndef turn(wheel):\n    wheel.turn()\n\nturn(mill)\n```"


def test_a_paragraph_over_two_pages_is_one_and_markdown_is_escaped():
    document = pymupdf.open()
    end = " and where it ends there are 5 * 3 [x]"
    column(document.new_page(), (60, 700, 535, 780), sentence(1)[:-1] + end)
    column(document.new_page(), (60, 60, 535, 120), "stones in the water.")
    (text,) = texts(read_pdf(document.tobytes()))
    assert text.endswith("there are 5 \\* 3 \\[x\\] stones in the water.")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.BAD_PDF),
        (b"%PDF-1.7 and nothing more", Reason.BAD_PDF),
        (b"<html></html>", Reason.BAD_PDF),
    ],
)
def test_what_is_no_pdf_is_told(data: bytes, reason: Reason):
    with pytest.raises(DocumentError) as told:
        read_pdf(data)
    assert told.value.reason is reason


def test_pdfs_without_text_or_under_a_password_are_told():
    document = pymupdf.open()
    document.new_page().insert_image(pymupdf.Rect(0, 0, 595, 842), stream=picture())
    with pytest.raises(DocumentError) as told:
        read_pdf(document.tobytes())
    assert told.value.reason is Reason.NO_TEXT
    document = pymupdf.open()
    document.new_page().insert_text((60, 60), "secret")
    locked = document.tobytes(encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="x", owner_pw="y")
    with pytest.raises(DocumentError) as told:
        read_pdf(locked)
    assert told.value.reason is Reason.ENCRYPTED


def test_a_bitmap_with_too_many_pixels_is_never_decoded():
    document = pymupdf.open()
    page = document.new_page()
    column(page, (60, 60, 535, 150), sentence(1))
    xref = page.insert_image(pymupdf.Rect(150, 200, 450, 400), stream=picture())
    document.xref_set_key(xref, "Width", "90000")
    document.xref_set_key(xref, "Height", "90000")
    _, lost = read_pdf(document.tobytes())
    assert isinstance(lost, LostBlock)
    assert lost.reason is Reason.IMAGE_BOMB


@pytest.mark.parametrize("name", ["twocolumn", "chinese", "floats"])
def test_articles_typeset_by_tex_are_read_in_order_with_their_floats(name: str):
    data = (TRUTH / name / "document.pdf").read_bytes()
    blocks = read_pdf(data)
    captions = [b.caption for b in blocks if isinstance(b, PictureBlock) and b.caption]
    headings = [b.markdown for b in blocks if isinstance(b, TextBlock) and b.kind == "heading"]
    expected = {"twocolumn": (5, 1), "chinese": (10, 8), "floats": (13, 4)}[name]
    assert len(captions) >= expected[0]
    assert len(headings) >= expected[1]
    assert len(set(captions)) == len(captions)
    # The sections' numbers rise, so the columns and pages are in order.
    numbers = [
        int(h.split()[1]) for h in headings if h.startswith("## ") and h.split()[1].isdecimal()
    ]
    assert numbers == sorted(numbers)


def test_captions_of_several_lines_are_whole_beside_and_within_what_they_name():
    def read(name: str) -> list[str]:
        blocks = read_pdf((TRUTH / name / "document.pdf").read_bytes())
        return [block.caption for block in blocks if isinstance(block, PictureBlock)]

    # Beside another table's cells, and between the rules of an algorithm.
    assert "TABLE II WHAT A SECOND DEPENDS ON" in read("twocolumn")
    algorithms = [caption for caption in read("listings") if caption.startswith("Algorithm")]
    assert algorithms == [
        "Algorithm 1: Binary search. The promise in the comment holds whenever the loop is "
        "entered, and at its end it says what we want to know.",
        "Algorithm 2: Merge sort, as the postmen would do it with two tables",
        "Algorithm 3: A feasible order of tasks. Whatever is left in w at the end sits on a "
        "circle of mutual needs, which is a fault of the menu and not of the cook.",
        "Algorithm 4: Bloom’s filter",
    ]
