"""What a screen shows of notebook outputs, in a real browser."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from dsvl_data.outcome import Reason
from dsvl_data.render.browser import Browser
from dsvl_data.render.markup import balanced, markup_of
from dsvl_data.render.screen import Screen, Shot, Shown

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="200" height="100">'
    '<rect x="20" y="20" width="160" height="60" fill="red"/></svg>'
)
DRAW = (
    "const canvas = document.createElement('canvas'); canvas.width = 200; canvas.height = 100;"
    "const pen = canvas.getContext('2d'); pen.fillStyle = 'COLOUR'; pen.fillRect(20, 20, 160, 60);"
    "PLACE.append(canvas);"
)


def html(payload: str) -> Shown:
    return Shown("text/html", payload)


def javascript(payload: str, *, completes: bool = False) -> Shown:
    return Shown("application/javascript", payload, completes=completes)


def canvas(colour: str, place: str = "element") -> str:
    return DRAW.replace("COLOUR", colour).replace("PLACE", place)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def screen(browser: Browser) -> Screen:
    return Screen(browser, seconds=10, settle=1)


def picture(shot: Shot) -> Image.Image:
    assert shot.image is not None, shot
    found = Image.open(io.BytesIO(shot.image.data))
    assert found.size == (shot.image.width, shot.image.height)
    return found.convert("RGB")


def colour(shot: Shot) -> tuple[int, ...]:
    shown = picture(shot)
    return shown.getpixel((shown.width // 2, shown.height // 2))


def test_svg_html_and_javascript_are_shot_and_trimmed(screen: Screen) -> None:
    outputs = [
        Shown("image/svg+xml", SVG),
        html(
            '<p>title</p><div style="padding: 9px"><canvas id="c"></canvas></div>'
            f"<script>{canvas('blue', 'document.body.querySelector(`#c`).parentElement')}</script>"
        ),
        javascript(canvas("lime")),
    ]
    shots = screen.shoot(outputs, [0, 1, 2])
    red, _, green = (picture(shots[i]) for i in range(3))
    assert red.size == green.size == (176, 76)  # 160 x 60 and a margin of 8
    assert colour(shots[0]) == (255, 0, 0)
    assert colour(shots[2]) == (0, 255, 0)
    assert (0, 0, 255) in {pixel for _, pixel in picture(shots[1]).getcolors(99999)}


def test_the_same_output_gives_the_same_bytes(screen: Screen) -> None:
    noise = (
        "for (let i = 0; i < 99; i++) pen.fillRect(Math.random() * 200, Math.random() * 99, 2, 2);"
    )
    output = javascript(canvas("red") + noise)
    first, second = (screen.shoot([output], [0])[0] for _ in range(2))
    assert first.image == second.image


_MOVING = (
    "let n = 0; const paint = () => { pen.fillStyle = `hsl(${++n * 7}, 90%, 50%)`; "
    "pen.fillRect(n % 180, 10, 20, 40); };"
)
_BAR = '<svg width="200" height="90"><rect id="bar" width="40" height="40" fill="red"/></svg>'


@pytest.mark.parametrize(
    "payload",
    [
        "const go = () => { paint(); requestAnimationFrame(go); }; go();",
        "const go = () => { paint(); if (n < 40) requestAnimationFrame(go); }; go();",
        f"element.innerHTML = '{_BAR}'; const bar = document.getElementById('bar');"
        "setInterval(() => bar.setAttribute('x', (n += 3) % 160), 17);",
        "paint(); setTimeout(() => { n = 90; paint(); }, 500);",
        "new ResizeObserver(() => { element.style.height = 100 + (++n % 30) + 'px'; paint(); })"
        ".observe(element); setInterval(() => element.style.height = 100 + n + 'px', 40);",
        f"element.innerHTML = '{_BAR}'; document.getElementById('bar').animate("
        "[{transform: 'none'}, {transform: 'translate(90px)'}], {duration: 700, iterations: 99});",
        f"element.innerHTML = '{_BAR}'.replace('/>', '><animate attributeName=\"x\" ' + "
        '\'values="0;150" dur="1.3s" repeatCount="indefinite"/></rect>\');',
    ],
    ids=["endless", "finite", "attribute", "late", "layout", "web", "smil"],
)
def test_what_moves_gives_the_same_bytes(browser: Browser, payload: str) -> None:
    output = javascript(canvas("white") + _MOVING + payload)
    shots = []
    for run in range(3):
        shots.append(Screen(browser, settle=2).shoot([output], [0])[0])
        if run == 1:
            browser.close()  # it starts anew
    assert shots[0].image is not None, shots[0]
    assert [shot.image for shot in shots] == [shots[0].image] * 3


def test_what_is_due_in_the_page_s_own_time_is_drawn_however_slow_the_page(
    browser: Browser,
) -> None:
    busy = "const until = n => { let sum = 0; for (let i = 0; i < n; i++) sum += i % 7; };"
    late = "setTimeout(() => { pen.fillStyle = 'red'; pen.fillRect(20, 20, 160, 60); }, 900);"
    steps = "setInterval(() => until(3e7), 30);"
    shot = Screen(browser, settle=1).shoot([javascript(canvas("blue") + busy + steps + late)], [0])
    assert colour(shot[0]) == (255, 0, 0)


def test_what_is_due_later_is_not_drawn(browser: Browser) -> None:
    late = "setTimeout(() => { pen.fillStyle = 'red'; pen.fillRect(20, 20, 160, 60); }, 1100);"
    shot = Screen(browser, settle=1).shoot([javascript(canvas("blue") + late)], [0])
    assert colour(shot[0]) == (0, 0, 255)


#: Every source of chance and of time that a script may show.
_READINGS = """
const random = crypto.getRandomValues(new Uint32Array(2));
const uuid = crypto.randomUUID ? crypto.randomUUID() : 'none';
const clock = new Intl.DateTimeFormat('en', {dateStyle: 'short', timeStyle: 'medium'});
const later = window.Temporal ? [Temporal.Now.instant(), Temporal.Now.plainTimeISO()] : [];
performance.mark('a');
const read = () => [Date.now(), +new Date(), Date(), performance.now(), performance.timeOrigin,
  document.lastModified, Math.random(), random, uuid, clock.format(),
  clock.formatToParts().map(part => part.value).join(''), later,
  document.timeline.currentTime, new Event('x').timeStamp, performance.timing.loadEventEnd,
  performance.mark('b').startTime, performance.measure('c', 'a').duration,
  performance.getEntries().map(entry => entry.startTime + entry.name)].join(' ');
const key = {name: 'HMAC', hash: 'SHA-256'};
if (crypto.subtle) crypto.subtle.generateKey(key, true, ['sign']).then(() => pen.fillRect(
  0, 0, 400, 300));
"""


def test_time_and_chance_are_the_same_in_every_run(browser: Browser) -> None:
    show = (
        "pen.fillStyle = 'white'; const show = (y, text) => { for (let i = 0; i < 9; i++) "
        "pen.fillText(text.slice(i * 60, i * 60 + 60), 2, y + 10 * i); };"
    )
    timers = (
        "show(10, read()); setTimeout(() => show(110, read()), 30);"
        "let n = 0; const wait = setInterval(() => { if (++n == 3) { clearInterval(wait);"
        "show(210, read()); } }, 20);"
    )
    draw = canvas("blue").replace("width = 200", "width = 400").replace("= 100", "= 300")
    output = javascript(draw + "pen.fillRect(0, 0, 400, 300);" + _READINGS + show + timers)
    shots = []
    for pause in (0, 1.1):
        time.sleep(pause)
        shots.append(Screen(browser, settle=1.5).shoot([output], [0])[0])
        browser.close()  # it starts anew
    assert shots[0].image is not None, shots[0]
    assert shots[0].image == shots[1].image


@pytest.mark.parametrize(
    "script",
    [
        "const start = Date.now(); while (Date.now() - start < 5000) {} draw();",
        "const start = performance.now(); const step = now => now - start > 1000 ? draw() : "
        "requestAnimationFrame(step); requestAnimationFrame(step);",
        "let start = new Date(); const i = setInterval('step()', 50);"
        "window.step = () => { if (new Date() - start >= 100) { clearInterval(i); draw(); } };",
        "if (new Date(2020, 1).getFullYear() == 2020 && new Date() instanceof Date "
        "&& typeof Date() == 'string' && new Date().constructor === Date) draw();",
    ],
)
def test_a_page_s_clock_goes_on(browser: Browser, script: str) -> None:
    # What waits for a time to pass draws in red over blue.
    draw = "const draw = () => { pen.fillStyle = 'red'; pen.fillRect(20, 20, 160, 60); };"
    output = javascript(canvas("blue") + draw + script)
    shot = Screen(browser, seconds=15, settle=8).shoot([output], [0])[0]
    assert colour(shot) == (255, 0, 0)


def test_the_device_scale_multiplies_pixels(browser: Browser) -> None:
    shot = Screen(browser, scale=2).shoot([Shown("image/svg+xml", SVG)], [0])[0]
    assert picture(shot).size == (352, 152)


def test_a_library_in_an_earlier_output_is_there_for_later_ones(screen: Screen) -> None:
    library = html("<script>window.Lib = {draw: (element) => {" + canvas("red") + "}}</script>")
    place = html('<div id="here"></div>')
    fill = javascript("Lib.draw(document.getElementById('here'))", completes=True)
    late = html(
        '<div id="late"></div><script>setTimeout(() => '
        "Lib.draw(document.getElementById('late')), 1500)</script>"
    )
    screen.settle = 3
    shots = screen.shoot([library, place, fill, late], [1, 3])
    assert colour(shots[1]) == (255, 0, 0)
    assert colour(shots[3]) == (255, 0, 0)


@pytest.mark.parametrize(
    "payload", ["while (true) {}", "setTimeout(() => { while (true) {} }, 20)"]
)
def test_a_script_without_end_costs_its_limit_and_no_neighbour(
    browser: Browser, payload: str
) -> None:
    screen = Screen(browser, seconds=3, settle=0.5)
    start = time.monotonic()
    shots = screen.shoot([javascript(payload), Shown("image/svg+xml", SVG)], [0, 1])
    assert shots[0].reason is Reason.TIMEOUT
    assert colour(shots[1]) == (255, 0, 0)
    assert time.monotonic() - start < 15


def test_a_notebook_has_a_budget(browser: Browser) -> None:
    screen = Screen(browser, seconds=2, budget=3)
    start = time.monotonic()
    loops = [javascript("while (true) {}")] * 9
    shots = screen.shoot(loops, range(9))
    assert {shot.reason for shot in shots.values()} == {Reason.TIMEOUT}
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    "payload",
    [
        '<div id="p"></div><script src="https://cdn.example/lib.js"></script>',
        '<img src="https://cdn.example/picture.png" width="200" height="100">',
        '<iframe src="https://maps.example/" width="300" height="200"></iframe>',
        '<iframe srcdoc="<script src=https://cdn.example/x.js></script>" width=300 height=200>'
        "</iframe>",
        '<div id="p"></div><script>fetch("https://cdn.example/data").catch(() => 1)</script>',
        '<div id="p"></div><script>location.href = "https://elsewhere.example/"</script>',
    ],
)
def test_what_needs_the_network_says_so_and_harms_no_neighbour(
    screen: Screen, payload: str
) -> None:
    shots = screen.shoot([html(payload), Shown("image/svg+xml", SVG)], [0, 1])
    assert shots[0].image is None
    assert shots[0].reason is Reason.NEEDS_NETWORK
    assert "://" in shots[0].detail
    assert colour(shots[1]) == (255, 0, 0)


def test_what_reads_this_machine_s_files_is_named_apart(screen: Screen) -> None:
    payload = '<iframe src="file:///etc/passwd" width="300" height="200"></iframe>'
    shots = screen.shoot([html(payload), Shown("image/svg+xml", SVG)], [0, 1])
    assert shots[0].image is None
    assert shots[0].reason is Reason.UNSAFE_PATH
    assert "file:///etc/passwd" in shots[0].detail
    assert colour(shots[1]) == (255, 0, 0)


def test_a_folder_stands_for_the_network(browser: Browser, tmp_path: Path) -> None:
    library = tmp_path / "assets/cdn.example/npm/lib@5"
    library.parent.mkdir(parents=True)
    library.write_text("window.draw = (element) => {" + canvas("red") + "}")
    (tmp_path / "secret.js").write_text("window.draw = (element) => {" + canvas("red") + "}")
    screen = Screen(browser, assets=tmp_path / "assets", settle=1)

    def load(source: str) -> Shown:
        return html(
            f'<div id="p"></div><script src="{source}"></script>'
            "<script>draw(document.getElementById('p'))</script>"
        )

    shot = screen.shoot([load("https://cdn.example/npm/lib@5?query=1")], [0])[0]
    assert colour(shot) == (255, 0, 0)
    escaped = screen.shoot([load("https://cdn.example/..%2f..%2fsecret.js")], [0])[0]
    assert escaped.reason is Reason.NEEDS_NETWORK


def test_plot_json_is_drawn_by_its_library(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "cdn.plot.ly"
    folder.mkdir()
    (folder / "plotly-latest.min.js").write_text(
        "window.Plotly = {newPlot: (element, data) => {" + canvas("red") + "}}"
    )
    figure = {"data": [{"y": ["</script><b>"]}], "layout": {}}
    shot = Screen(browser, assets=tmp_path).shoot(
        [Shown("application/vnd.plotly.v1+json", figure)], [0]
    )[0]
    assert colour(shot) == (255, 0, 0)


def test_a_picture_beside_the_notebook_is_missing(screen: Screen) -> None:
    shot = screen.shoot([html('<img src="figures/a.png">')], [0])[0]
    assert (shot.reason, shot.image) == (Reason.MISSING_IMAGE, None)
    assert "figures/a.png" in shot.detail


def test_open_markup_does_not_swallow_the_next_output(screen: Screen) -> None:
    outputs = [html(f"<div><div><b>{SVG}"), html(f"</div></div>{SVG.replace('red', 'blue')}")]
    shots = screen.shoot(outputs, [0, 1])
    assert colour(shots[0]) == (255, 0, 0)
    assert colour(shots[1]) == (0, 0, 255)


def test_text_is_no_figure_and_a_table_is_a_table(screen: Screen) -> None:
    text = html("<b>words</b><script>1</script>")
    table = html("<table><tr><td>1</td><td>2</td></tr></table>")
    empty = html('<div style="height: 300px" id="x"></div><script>1</script>')
    shots = screen.shoot([text, table, empty], [0, 1, 2])
    assert shots[0] == Shot()
    assert shots[1].table
    assert picture(shots[1]).width > 20
    assert shots[2].reason is Reason.BLANK_IMAGE


def test_an_empty_canvas_is_blank(screen: Screen) -> None:
    shot = screen.shoot([html('<canvas width="300" height="200"></canvas>')], [0])[0]
    assert shot.reason is Reason.BLANK_IMAGE


def test_a_figure_wider_than_the_page_is_shown_whole(screen: Screen) -> None:
    wide = '<div style="width: 1800px; height: 60px; background: red"></div>'
    end = '<div style="width: 40px; height: 60px; background: blue">'
    svg = '<svg width="40" height="40"></svg></div>'
    row = f'<div style="display: flex; width: 1840px">{wide}{end}{svg}</div>'
    shown = picture(screen.shoot([html(row)], [0])[0])
    assert shown.width >= 1840
    assert (0, 0, 255) in {pixel for _, pixel in shown.getcolors(999999)}


def test_a_figure_with_too_many_pixels_is_refused(screen: Screen) -> None:
    shot = screen.shoot([html('<canvas style="width: 90000px; height: 900px"></canvas>')], [0])[0]
    assert shot.reason is Reason.IMAGE_BOMB


@pytest.mark.parametrize(
    ("payload", "kind", "scripted"),
    [
        ("<b>x</b>", "text", False),
        ("<table><tr><td>1</table>", "table", False),
        (
            '<table class="dataframe"></table><button><svg></svg></button><script>1</script>',
            "table",
            False,
        ),
        ("<script>1</script>", "library", True),
        ("<style>p {}</style><script src='x'></script>", "library", True),
        ("<div></div><script>1", "figure", True),
        ("<img src='x'>", "figure", False),
        ("<iframe srcdoc='x'></iframe>", "figure", True),
        ("<div id='x'></div>", "figure", True),
        ("<!-- <img> --><p>x", "text", False),
        ("<script>'<img>'</script>", "library", True),
    ],
)
def test_markup_is_told_without_a_browser(payload: str, kind: str, scripted: bool) -> None:
    found = markup_of(html(payload))
    assert (found.kind, found.scripted) == (kind, scripted)


def test_hostile_markup_is_told_in_linear_time() -> None:
    start = time.process_time()
    for piece in ("<script", "<style", "<!--", "<", "<a ", "<table ", '<a "', "<a '\"", "<p>"):
        markup_of(html(piece * 300_000))
        balanced(piece * 100_000)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<div><p>x", "<div><p>x</p></div>"),
        ("</div>x</p>", "x"),
        ("<ul><li>x</ul>y", "<ul><li>x</ul>y"),
        ("<br><img src='>'><path/>", "<br><img src='>'><path/>"),
        ("<script>'</div>'</script></div>", "<script>'</div>'</script>"),
        ('<!-- </div> --><div title="</b>"></div>', '<!-- </div> --><div title="</b>"></div>'),
    ],
)
def test_markup_cannot_leave_its_place(source: str, expected: str) -> None:
    assert balanced(source) == expected
