"""Pages as pairs, in a real browser: what they show, what they may not do, and how they end."""

from __future__ import annotations

import base64
import io
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from dsvl_data import sandbox
from dsvl_data.outcome import DocumentError, WorkerBroken
from dsvl_data.pipeline import DocumentRef
from dsvl_data.read.sites import site_of
from dsvl_data.render import window
from dsvl_data.render.browser import Browser
from dsvl_data.render.webpage import Pair, Unproved, View, WebPages

VIEW = View(640, 480)
TEXT = "<h1>Title of the page</h1><p>Some text in a paragraph that can be seen.</p>"
HTML = "<!DOCTYPE html>"

Make = Callable[..., Pair]


def png(width: int, height: int, colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


def data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser = Browser(still=True)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def pages(browser: Browser) -> Iterator[WebPages]:
    pages = WebPages(browser, seconds=30)
    yield pages
    pages.close()


@pytest.fixture
def make(pages: WebPages, tmp_path: Path) -> Make:
    """Make the pair of a page; `files` lie beside it."""

    def made(
        html: str | bytes,
        view: View = VIEW,
        files: dict[str, bytes] | None = None,
        by: WebPages | None = None,
    ) -> Pair:
        site = tmp_path / "site"
        site.mkdir(exist_ok=True)
        for name, data in (files or {}).items():
            (site / name).write_bytes(data)
        raw = html if isinstance(html, bytes) else html.encode()
        (site / "page.html").write_bytes(raw)
        ref = DocumentRef("sites", "page.html", "CC0-1.0", str(site / "page.html"), len(raw))
        return (by or pages).pair(raw, site_of(ref), view)

    return made


def reason(make: Make, *args: object, **more: object) -> str:
    with pytest.raises(DocumentError) as caught:
        make(*args, **more)
    return str(caught.value.reason)


def colours(pair: Pair) -> set[tuple[int, ...]]:
    picture = Image.open(io.BytesIO(pair.image.data)).convert("RGB")
    return {pixel for _, pixel in picture.getcolors(1 << 20)}


def test_a_page_becomes_one_document_of_its_own(make: Make) -> None:
    html = (
        HTML + '<html lang="en"><head><title>T</title><link rel="stylesheet" href="a.css">'
        '<script>document.write("script")</script></head><body onload="x()"><!-- note -->'
        + TEXT
        + '<img src="red.png" class="pic gone"></body></html>'
    )
    css = b"@import 'b.css'; .pic { width: 50% } .nothing { color: red } p { color: rgb(0 0 255) }"
    files = {"a.css": css, "b.css": b"h1 { color: rgb(0, 128, 0) }", "red.png": png(60, 30, "red")}
    pair = make(html, files=files)
    assert pair.differing == 0
    assert (pair.pictures, pair.absent) == (1, 0)
    assert {(255, 0, 0), (0, 128, 0), (0, 0, 255)} <= colours(pair)
    assert '<img class="pic" src="data:image/svg+xml,<svg' in pair.source
    assert "width='60' height='30' style='background:rgb(255 0 0)'" in pair.source
    for gone in ("script", "note", "onload", "nothing", "gone", "<link", "@import"):
        assert gone not in pair.source
    # The source alone gives the picture, and gives itself.
    again = make(pair.source)
    assert again.image.data == pair.image.data
    assert again.source == pair.source


def test_pictures_in_the_text_itself_become_boxes(make: Make) -> None:
    url = data_url(png(40, 40, "blue"))
    pair = make(f"{HTML}{TEXT}<img src='{url}'><div style='height: 9px; background: url({url})'>")
    assert "base64" not in pair.source
    assert pair.source.count("rgb(0 0 255)") == 2
    assert (0, 0, 255) in colours(pair)


def test_what_lies_below_the_picture_or_is_closed_is_not_in_the_source(make: Make) -> None:
    html = (
        HTML + TEXT + '<div style="display: none">closed menu</div>'
        "<details><summary>More</summary><p>folded</p></details>"
        '<div style="height: 900px"></div><p>far below</p>'
    )
    pair = make(html)
    assert not pair.complete
    assert "More" in pair.source
    for gone in ("closed menu", "folded", "far below"):
        assert gone not in pair.source
    whole = make(html, View(640, 480, whole=True, max_height=3000))
    assert whole.image.height > 1000
    assert "far below" in whole.source


def test_a_page_whose_height_shows_is_proved_by_itself_shortened(make: Make) -> None:
    ground = "background: linear-gradient(white, navy)"
    html = f"{HTML}<div style='{ground}'>{TEXT}<div style='height: 440px'></div><p>below"
    pair = make(html + "<br>x" * 9)
    assert "below" not in pair.source
    assert pair.differing == 0


def test_a_whole_page_is_laid_out_as_in_its_window(make: Make) -> None:
    style = (
        "body { margin: 0 } .tall { height: 900px; background: blue } p { min-height: 40vh }"
        "@media (min-height: 900px) { p { color: red } }"
        "#end { position: fixed; left: 0; bottom: 0; width: 99px; height: 9px; background: lime }"
    )
    rest = "<div class=tall></div><div id=end></div><input autofocus value=field>"
    html = f"{HTML}<style>{style}</style>{TEXT}{rest}"
    pairs = [make(html, view) for view in (View(360, 740, whole=True), VIEW) * 2]
    assert pairs[2:] == pairs[:2]
    picture = Image.open(io.BytesIO(pairs[0].image.data)).convert("RGB")
    assert picture.height > 1200
    blue = [y for y in range(picture.height) if picture.getpixel((300, y)) == (0, 0, 255)]
    assert len(blue) == 900  # down to its end, below the window too
    lime = [y for y in range(picture.height) if picture.getpixel((90, y)) == (0, 255, 0)]
    assert lime == list(range(731, 740))
    assert (255, 0, 0) not in colours(pairs[0])


def test_a_page_of_20000_pixels_is_cut(make: Make) -> None:
    html = f"{HTML}{TEXT}<div style='height: 20000px; background: teal'></div><p>end"
    pair = make(html, View(400, 300, whole=True, max_height=1500))
    assert (pair.image.width, pair.image.height) == (400, 1500)
    assert "<p>end" not in pair.source


def test_motion_stands_still(make: Make) -> None:
    html = (
        HTML + "<style>@keyframes in { from { opacity: 0 } to { margin-left: 90px } }"
        "@keyframes on { to { color: red } } h1 { animation: in 5s forwards }"
        "p { animation: on 1s infinite }</style>"
        + TEXT
        + "<svg width=99 height=9><rect width=9 height=9><animate attributeName=x to=90 dur=1s "
        "repeatCount=indefinite /></rect></svg>"
    )
    assert make(html).image.data == make(html).image.data


def test_the_form_field_with_the_focus_loses_it(make: Make) -> None:
    form = "<input {} value=a><select><option>1<option selected>2</select><textarea> b </textarea>"
    focused, other = (make(HTML + TEXT + form.format(word)) for word in ("autofocus", ""))
    assert focused.source == other.source
    assert focused.image.data == other.image.data
    assert "<option selected>2</option>" in focused.source


def test_nothing_lights_up_under_a_pointer(make: Make) -> None:
    pair = make(HTML + "<style>body,h1{margin:0}h1:hover{background:red}</style>" + TEXT)
    assert (255, 0, 0) not in colours(pair)
    assert "hover" not in pair.source


@pytest.mark.parametrize(
    "extra",
    [
        '<meta http-equiv="refresh" content="0;url=http://evil.invalid/">',
        "<script>while (true) {}</script>",
        "<iframe src='http://evil.invalid/' width=90 height=40></iframe><iframe src=page.html>",
        "<video controls src='http://evil.invalid/x.mp4'></video>",
        "<object data='http://evil.invalid/x.swf'><p>instead</p></object>",
        "<link rel=stylesheet href='https://fonts.googleapis.com/css?family=X'>",
        "<link rel=stylesheet media=print href='https://cdn.invalid/print.css'>",
        "<style>p { background: url(http://evil.invalid/pixel.gif) }</style>",
        "<style>@import url(file:///etc/passwd); p { background: url(file:///etc/passwd) }</style>",
        "<base href='http://evil.invalid/'><a href=x>link</a>",
        "<noscript><p>no scripts here</p></noscript>",
    ],
)
def test_harmless_in_the_end(make: Make, extra: str) -> None:
    pair = make(HTML + "<body>" + extra + TEXT)
    assert "evil" not in pair.source
    assert "passwd" not in pair.source
    assert "no scripts" not in pair.source
    assert "Some text in a paragraph" in pair.source


def test_imports_in_a_circle_end(make: Make) -> None:
    files = {"a.css": b"@import 'b.css'; p { color: red }", "b.css": b"@import 'a.css';"}
    pair = make(f"{HTML}<link rel=stylesheet href=a.css>{TEXT}", files=files)
    assert "color: red" in pair.source


@pytest.mark.parametrize(
    ("html", "wanted"),
    [
        ("", "empty_document"),
        ("\0\1\2" * 400, "bad_markup"),
        (HTML + "<div id=root></div><script src=app.js></script>", "blank_image"),
        (HTML + "<link rel=stylesheet href='https://cdn.invalid/b.css'>" + TEXT, "needs_network"),
        (HTML + "<base href='http://evil.invalid/'><link rel=stylesheet href=a.css>" + TEXT,
         "needs_network"),
        (HTML + "<script src='https://cdn.tailwindcss.com'></script>" + TEXT, "needs_network"),
        (HTML + "<link rel=stylesheet href='../outside.css'>" + TEXT, "missing_file"),
        (HTML + TEXT + "<img src='file:///etc/passwd' width=90 height=90>", "unsafe_path"),
        (HTML + TEXT + "<img src=gone.png>", "missing_image"),
        (HTML + TEXT + "<img src='http://x.invalid/gone.png'>", "needs_network"),
        (HTML + TEXT + f"<img src='{data_url(png(8000, 8000, 'red'))}'>", "image_bomb"),
        (HTML + "<div>" * 400 + TEXT, "bad_markup"),
        (HTML + "<img width=5 src=x.png>" * 600 + TEXT, "text_too_long"),
        (HTML + TEXT + "<p>" + "word " * 9000, "text_too_long"),
    ],
)  # fmt: skip
def test_pages_that_are_dropped_have_their_reason(make: Make, html: str, wanted: str) -> None:
    assert reason(make, html, View(640, 480, whole=True, max_height=10_000)) == wanted


def test_bombs_in_files_are_found_too(make: Make) -> None:
    bomb = {"big.png": png(8000, 8000, "red")}
    assert reason(make, HTML + TEXT + "<img width=9 src=big.png>", files=bomb) == "image_bomb"


def test_an_absent_picture_of_known_size_is_grey(make: Make) -> None:
    pair = make(HTML + TEXT + "<img src='http://x.invalid/gone.png' width=100 height=50>")
    assert pair.absent == 1
    assert (204, 204, 204) in colours(pair)


def test_a_source_that_does_not_show_the_page_is_not_kept(make: Make) -> None:
    shadow = "<div><template shadowrootmode=open><h2>in a shadow</h2></template></div>"
    with pytest.raises(Unproved) as caught:
        make(HTML + TEXT + shadow)
    assert str(caught.value.reason) == "proof_failed"
    assert 0.9 < caught.value.score < 1


@pytest.mark.parametrize("times", range(2))
def test_a_film_that_is_not_there_is_its_empty_frame(make: Make, times: int) -> None:
    film = "<video controls src=gone.mp4></video><audio controls><source src=gone.mp3></audio>"
    assert "<video controls>" in make(HTML + TEXT + film).source


def test_pages_with_scripts_need_a_browser_that_draws(browser: Browser) -> None:
    if not browser.still:
        pytest.skip("this browser draws by itself")
    with pytest.raises(ValueError, match="not still"):
        WebPages(browser, scripts=True)


@pytest.mark.parametrize("whole", [False, True])
def test_a_browser_that_draws_no_more_is_started_anew(
    make: Make, browser: Browser, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    if not browser.still:
        pytest.skip("this browser draws by itself")
    tall, view = HTML + TEXT + "<p style='height: 900px'>tall", View(640, 480, whole)
    before = make(tall, view)
    for pid in sandbox.descendants(os.getpid()):
        if b"--type=gpu-process" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(window, "_STALLED", 1)
    with pytest.raises(WorkerBroken, match="no frame in 1 s"):
        make(tall, view)
    monkeypatch.undo()
    assert make(tall, view) == before


def test_old_pages_keep_their_mode_and_encoding(make: Make) -> None:
    style = "<meta charset=gbk><style>.A { color: red; font-size: 60px }</style>"
    pair = make((style + "<p class=a>你好，世界</p>").encode("gbk"))
    assert not pair.source.startswith("<!DOCTYPE")
    assert "你好，世界" in pair.source
    assert 'class="a"' in pair.source


def test_documents_do_not_see_each_others_files(make: Make) -> None:
    html = HTML + TEXT + "<img src=p.png width=40 height=40>"
    first = make(html, files={"p.png": png(9, 9, "red")})
    second = make(html, files={"p.png": png(9, 9, "blue")})
    assert (255, 0, 0) in colours(first)
    assert (255, 0, 0) not in colours(second)


def test_documents_do_not_see_each_others_style_sheets(make: Make) -> None:
    html = HTML + "<link rel=stylesheet href=/a.css>" + TEXT
    first = make(html, files={"a.css": b"p { color: red }"})
    second = make(html, files={"a.css": b"p { color: blue }"})
    assert (255, 0, 0) in colours(first)
    assert (255, 0, 0) not in colours(second)
    assert "color: red" not in second.source


FOLLOWER = (
    HTML + "<style>@layer two { p { color: teal } } h1 { color: var(--ink, navy) }"
    "a:visited { color: red } #x:target { color: red } li { list-style: marks }</style>"
    + TEXT
    + "<ul><li>one</ul><p id=x><a href=page.html>a link</a> <input value=field> "
    "<details><summary>More</summary>folded</details><table bgcolor=silver><td>cell</table>"
)


@pytest.mark.parametrize(
    "leaver",
    [
        "<style>.A { color: red }</style><table class=a><td>old</table>" + TEXT,  # quirks
        HTML + "<html dir=rtl lang=ar style='zoom: 2; color-scheme: dark'>" + TEXT,
        HTML + "<style>@property --ink { syntax: '<color>'; inherits: true; initial-value: red }"
        "h1 { color: var(--ink) } @layer two, one; @layer one { p { color: red } }</style>" + TEXT,
        HTML + "<style>@counter-style marks { system: cyclic; symbols: '>' } li { color: red;"
        "list-style: marks }</style><ul><li>one</ul>" + TEXT,
        HTML + "<input autofocus value=other><details open><summary>More</summary>x</details>"
        "<dialog open>said</dialog><p popover>y</p>" + TEXT,
        HTML + "<title>T</title><base href='/elsewhere/' target=_blank><a href=page.html>a</a>"
        "<style>html { scroll-behavior: smooth; overflow: scroll; height: 900px }</style>" + TEXT,
        HTML + "<style>h1 { animation: in 9s infinite } @keyframes in { to { color: red } }</style>"
        "<svg width=9 height=9><animate attributeName=width to=90 dur=1s /></svg>" + TEXT,
        HTML + TEXT + "<div style='height: 20000px; width: 9000px; background: teal'></div>",
    ],
)
def test_a_document_leaves_nothing_to_the_next(make: Make, browser: Browser, leaver: str) -> None:
    fresh = WebPages(browser, seconds=30)
    alone = make(FOLLOWER, by=fresh)
    make(leaver, View(640, 480, whole=True), by=fresh)
    after = make(FOLLOWER, by=fresh)
    fresh.close()
    assert after == alone
    assert (255, 0, 0) not in colours(after)


def test_each_source_that_asks_for_something_is_found(make: Make) -> None:
    # No address in it is marked as one, so it is still there in the source.
    html = HTML + TEXT + "<div style='background: image-set(\"p.png\" 1x); height: 90px'></div>"
    for _ in range(2):  # no less when the same was asked for, and refused, before
        with pytest.raises(Unproved, match="asks for"):
            make(html, files={"p.png": png(90, 90, "red")})
    assert make(HTML + TEXT).differing == 0


def test_what_was_refused_once_is_refused_again(make: Make) -> None:
    # Addresses of elsewhere are the same for each document that asks for them.
    gone = HTML + TEXT + "<img src='http://x.invalid/gone.png' {}>"
    for _ in range(2):
        assert make(gone.format("width=100 height=50")).absent == 1
        assert reason(make, gone.format("")) == "needs_network"
        link = "<link rel=stylesheet href='https://cdn.invalid/b.css'>"
        assert reason(make, HTML + link + TEXT) == "needs_network"
