"""From clean HTML to proved pages, in the real browser."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from itertools import product

import pytest
from lxml import etree
from PIL import Image

from benchmarks.proof_set import CHINESE, ENGLISH, make_document
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.render.flow import build_flow, visible
from dsvl_data.render.pages import Asset, Chapter, Page
from dsvl_data.render.press import Sheet
from dsvl_data.render.printer import Printer
from dsvl_data.render.template import Template, load_templates, parse_template

TEMPLATES = {template.name: template for template in load_templates("books")}


@pytest.fixture(scope="module")
def printer() -> Iterator[Printer]:
    made = Printer(longest_side=768, timeout=60)
    yield made
    made.close()


def article(markup: str, attributes: str = 'lang="en"') -> etree._Element:
    return etree.fromstring(f"<article {attributes}>{markup}</article>")


def pages_of(
    printer: Printer, body: etree._Element, template: str | Template, **more: object
) -> list[Page]:
    design = TEMPLATES[template] if isinstance(template, str) else template
    chapter = Chapter(body, body.get("lang", "en"), **more)  # type: ignore[arg-type]
    return list(printer.pages(chapter, design))


def failures(pages: list[Page]) -> list[str]:
    return [f"{p.number}: {p.failure} {p.detail}" for p in pages if p.failure]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", ["a4_journal", "pocket_paperback", "night_phone"])
def test_every_word_is_on_the_page_that_shows_it(
    printer: Printer, name: str, language: str
) -> None:
    body = make_document(language, sections=1)
    pages = pages_of(printer, body, name, header="2026")
    assert failures(pages) == []
    word = ENGLISH if language == "en" else CHINESE
    said = [word.findall(re.sub(r"\s|<br>", "", page.text)) for page in pages]
    # Each word once, on one page, and none lost.
    flat = [w for page in said for w in page]
    assert sorted(flat) == sorted(word.findall("".join(body.itertext())))
    body_characters = sum(page.characters - page.margin_characters for page in pages)
    assert body_characters == len(build_flow(body).text)
    assert all(page.score == 1.0 for page in pages)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_words_of_any_length_stay_inside_the_page(printer: Printer, name: str) -> None:
    """The widest letters, four lists deep: a word that no line has room for is broken."""
    words = " ".join("W" * length for length in (5, 13, 14, 15, 30, 80))
    glued = "<strong>" + "W" * 9 + "</strong>" + "W" * 9
    inner = f"<p>{words} {glued}</p>"
    for _ in range(4):
        inner = f"<ul><li>{words}{inner}</li></ul>"
    body = article(f"<h2>{words}</h2><p>{words} {glued} and more.</p>{inner}")

    pages = pages_of(printer, body, name)

    assert failures(pages) == []
    assert sum(p.characters - p.margin_characters for p in pages) == len(build_flow(body).text)


def test_head_and_number_are_said_first_and_last(printer: Printer) -> None:
    [page] = pages_of(printer, article("<p>Plain words here.</p>"), "a5_novel", header="My *book*")
    assert page.text == "My \\*book\\*\n\nPlain words here.\n\n1"
    assert page.margin_characters == len("My*book*1")
    picture = Image.open(io.BytesIO(page.image.data))
    assert picture.size == (page.image.width, page.image.height)
    assert max(picture.size) == 768


def test_the_same_chapter_gives_the_same_bytes(printer: Printer) -> None:
    body = article("<h1>Twice</h1><p>The same words, the same bytes.</p>")
    first, second = (pages_of(printer, body, "sepia_reader") for _ in range(2))
    assert [(p.image.data, p.text) for p in first] == [(p.image.data, p.text) for p in second]


@pytest.mark.parametrize(
    ("attributes", "markup", "template"),
    [
        (
            'lang="ar" dir="rtl"',
            "<p>السلام عليكم ورحمة الله (نص) 123 word وبركاته</p>" * 90,
            "a5_novel",
        ),
        ('lang="he" dir="rtl"', "<ul><li>שלום עולם (2024) A/B</li></ul>" * 120, "a4_journal"),
        ('lang="en"', "<p>English with עברית and العربية inside, 5%.</p>" * 150, "a4_journal"),
        ('lang="ja"', "<p><ruby>東京<rt>とうきょう</rt></ruby>へ行きました。</p>" * 40, "a5_novel"),
        (
            'lang="ja" class="vertical"',
            "<p><ruby>漢<rt>かん</rt>字<rt>じ</rt></ruby>です、「12月」ABC。</p>" * 40,
            "vertical_bunko",
        ),
    ],
)
def test_other_directions_are_proved(
    printer: Printer, attributes: str, markup: str, template: str
) -> None:
    body = article(markup, attributes)
    pages = pages_of(printer, body, template)
    assert len(pages) > 1
    assert failures(pages) == []
    assert sum(p.characters - p.margin_characters for p in pages) == len(build_flow(body).text)


def test_a_formula_is_said_as_latex(printer: Printer) -> None:
    formula = (
        '<math data-latex="\\sqrt{a}-\\mathbf{v}"><msqrt><mi>a</mi></msqrt><mo>-</mo>'
        '<mi mathvariant="bold">v</mi></math>'
    )
    [page] = pages_of(printer, article(f"<p>Let {formula} be small.</p>"), "a4_report")
    assert page.failure is None, page.detail
    assert "Let $\\sqrt{a}-\\mathbf{v}$ be small." in page.text


def test_a_missing_glyph_fails_its_page_only(printer: Printer) -> None:
    # U+0378 is no character: no font has it, and an empty box is drawn.
    words = "<p>Sound words. </p>" * 60
    pages = pages_of(printer, article(f"<p>A box: \u0378!</p>{words}"), "ereader_portrait")
    assert pages[0].failure is Reason.PROOF_FAILED
    assert "no font has a glyph" in pages[0].detail
    assert len(pages) > 1
    assert failures(pages[1:]) == []


def flawed(rules: str) -> Template:
    css = "/* A test. */ @page { size: 400px 300px; margin: 30px; } body { font: 16px serif; }"
    return parse_template("flawed", "books", f"{css} {rules}")


@pytest.mark.parametrize(
    ("rules", "markup", "complaint"),
    [
        ("p { color: #fefefe }", "<p>Pale words on white</p>", "hardly visible"),
        ("h2 { margin-block-start: -1.9em }", "<h1>Under it</h1><h2>Over it</h2>", "on top of"),
        ("p { margin-inline-start: -25px }", "<p>Words in the margin</p>", "outside"),
        ("p { white-space: nowrap }", f"<p>{'far too long ' * 9}</p>", "outside"),
        ("em { display: none }", "<p>Some <em>hidden</em> words here</p>", "not shown: 'hidden'"),
        ("em { visibility: hidden }", "<p>Some <em>hidden</em> words</p>", "not shown: 'hidden'"),
        ("p::before { content: 'NOTE' }", "<p>Words said here</p>", "not in the text: 'NOTE'"),
    ],
)
def test_what_is_not_as_it_is_said_is_found(
    printer: Printer, rules: str, markup: str, complaint: str
) -> None:
    [page] = pages_of(printer, article(markup), flawed(rules))
    assert page.failure is Reason.PROOF_FAILED
    assert complaint in page.detail


def png(width: int, height: int) -> Asset:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "green").save(buffer, "PNG")
    return Asset(buffer.getvalue(), "image/png")


def test_pictures_are_shown_and_a_missing_one_fails_its_page(printer: Printer) -> None:
    text = "<p>Some words between the pictures. </p>" * 30
    body = article(f'<p>First <img src="a/b.png"/> one</p>{text}<p>Then <img src="gone"/> none</p>')
    pages = pages_of(printer, body, "ereader_portrait", assets={"a/b.png": png(3000, 1500)})
    picture = Image.open(io.BytesIO(pages[0].image.data)).convert("RGB")
    greens = sum(1 for p in picture.resize((60, 80)).getdata() if p == (0, 128, 0))
    assert greens > 200
    assert failures(pages) == [f"{len(pages)}: missing_image no image 'gone'"]


def test_a_picture_that_is_cut_off_fails_its_page(printer: Printer) -> None:
    body = article('<p>Words before it</p><figure><img src="wide"/></figure>')
    assets = {"wide": png(1600, 400)}
    sound = parse_template("sound", "books", f"{flawed('').css}")
    [page] = pages_of(printer, body, sound, assets=assets)
    assert page.failure is None, page.detail
    [page] = pages_of(printer, body, flawed("img { margin-left: 40px }"), assets=assets)
    assert page.failure is Reason.PROOF_FAILED
    assert "a picture is cut off" in page.detail


def test_pictures_of_an_indented_design_are_whole(printer: Printer) -> None:
    markup = '<p>Words before it</p><figure><p><img src="wide"/></p></figure>'
    for template, language in product(load_templates("books"), ("en", "zh")):
        body = article(markup)
        body.set("lang", language)
        pages = pages_of(printer, body, template, assets={"wide": png(1600, 400)})
        # A picture may come to stand on a page of its own, which has no text then.
        assert {page.failure for page in pages} <= {None, Reason.NO_TEXT}, template.name


def test_letters_of_a_drawing_are_not_text(printer: Printer) -> None:
    svg = (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="200" height="80">'
        b'<text x="10" y="50" font-size="30">DRAWN</text></svg>'
    )
    body = article('<p>Words around it</p><figure><img src="d"/></figure>')
    [page] = pages_of(printer, body, "a5_novel", assets={"d": Asset(svg, "image/svg+xml")})
    assert page.failure is None, page.detail
    assert "DRAWN" not in page.text


def test_a_page_with_pictures_only_has_no_text(printer: Printer) -> None:
    body = article('<figure><img src="p"/></figure>')
    [page] = pages_of(printer, body, "a5_novel", assets={"p": png(50, 50)})
    assert page.failure is Reason.NO_TEXT


def test_a_print_asks_for_nothing_outside_its_assets(printer: Printer) -> None:
    body = article('<p>Words <img src="http://example.org/x.png"/> here</p>')
    [page] = pages_of(printer, body, "a5_novel")
    assert page.failure is Reason.MISSING_IMAGE


def test_a_print_that_takes_too_long_is_a_timeout() -> None:
    hasty = Printer(timeout=0.05)
    try:
        with pytest.raises(DocumentError) as caught:
            pages_of(hasty, article("<p>word </p>" * 20_000), "a4_report")
        assert caught.value.reason is Reason.TIMEOUT
    finally:
        hasty.close()


def test_a_print_that_takes_too_long_costs_no_neighbour(printer: Printer) -> None:
    small = Chapter(article("<p>Some words here, to print.</p>"), "en")
    paragraphs = "<p>One paragraph of many, all alike.</p>" * 60_000
    endless = Chapter(article(f"<section>{paragraphs}</section>"), "en")  # one block, one print
    template = TEMPLATES["a4_report"]
    hasty = Printer(longest_side=768, timeout=3)
    try:
        first, timeout, second = hasty.print_many(
            (chapter, template) for chapter in (small, endless, small)
        )
    finally:
        hasty.close()
    assert isinstance(timeout, DocumentError)
    assert timeout.reason is Reason.TIMEOUT
    assert first == second == list(printer.pages(small, template))


def test_many_chapters_give_what_each_gives_alone(printer: Printer) -> None:
    jobs = [
        (Chapter(article(f"<p>Chapter {n}. {'words ' * 400}</p>"), "en"), TEMPLATES[name])
        for n, name in enumerate(["a5_novel", "a5_novel", "ereader_portrait"])
    ]
    together = list(printer.print_many(iter(jobs)))
    assert together == [list(printer.pages(*job)) for job in jobs]


def test_a_very_long_chapter_goes_in_parts(
    printer: Printer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsvl_data.render.printer.PRINT_LIMIT", 3000)
    body = article("".join(f"<p>Paragraph {n}. {'words ' * 60}</p>" for n in range(20)))
    pages = pages_of(printer, body, "a4_report")
    assert [page.number for page in pages] == list(range(1, len(pages) + 1))
    assert [page.text.split("\n")[-1] for page in pages] == [str(p.number) for p in pages]
    assert failures(pages) == []
    said = visible("".join(page.text for page in pages))
    assert all(f"Paragraph{n}." in said for n in range(20))


def test_a_stream_left_early_leaves_no_prints_behind(
    printer: Printer, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed, go_on = [], threading.Event()
    real = printer._press.print

    def slow(chapter: Chapter, template: Template, before: int) -> Sheet:
        printed.append(chapter.header)
        if chapter.header == "job 1":
            assert go_on.wait(30)
        return real(chapter, template, before)

    monkeypatch.setattr(printer._press, "print", slow)
    body, template = article("<p>Words of some document.</p>"), TEMPLATES["a5_novel"]
    stream = printer.stream((Chapter(body, "en", f"job {n}"), template) for n in range(9))
    assert next(stream)[0] == 0
    stream.close()
    go_on.set()
    pages = list(printer.pages(Chapter(body, "en", "next"), template))
    assert failures(pages) == []
    assert set(printed) <= {"job 0", "job 1", "next"}, "only what was under way is finished"
