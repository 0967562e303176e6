"""What of a web page is its document, and what is not."""

from __future__ import annotations

import pytest

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.main_content import main_content
from dsvl_data.render.parse import parse_markup, text_of

PROSE = "<p>" + "A long sentence about the weather in the mountains of the north. " * 6 + "</p>"
LINKS = "".join(f"<li><a href='{n}.html'>Chapter {n}</a></li>" for n in range(9))


def kept(body: str) -> str:
    page = parse_markup(f"<html><head><title>t</title></head><body>{body}</body></html>")
    return " ".join(text_of(main_content(page).root).split())


@pytest.mark.parametrize(
    "apparatus",
    [
        "<nav>gone</nav>",
        "<div class='site-nav'>gone</div>",
        "<div id='footer'>gone</div>",
        "<footer>gone</footer>",
        "<header>gone</header>",
        "<div role='navigation'>gone</div>",
        "<form>gone</form>",
        "<script>gone</script><style>gone</style>",
        "<div class='cookie-banner'>gone</div>",
        "<ul class='docnav top'><li>gone</ul>",
        "<div class='sphinxsidebar'>gone</div>",
        "<h2>On<a class='headerlink' href='#x'>gone</a></h2>",
        "<span class='mw-editsection'>gone</span>",
        "<table class='navbox'><tr><td>gone</table>",
        "<p>Said.<sup class='reference'>gone</sup></p>",
        "<ol class='references'><li>gone</ol>",
        "<div class='sidebar'><a href='x'>gone</a></div>",
        f"<ul>{LINKS.replace('Chapter', 'gone')}</ul>",
    ],
)
def test_apparatus_is_cut_out(apparatus: str) -> None:
    text = kept(PROSE + apparatus + PROSE)
    assert "gone" not in text
    assert text.count("weather") == 12


@pytest.mark.parametrize(
    "content",
    [
        f"<div class='sidebar'>{PROSE}kept</div>",  # a box in a manual
        "<p>Choose <span class='menu'>kept</span> to save.</p>",
        "<ul><li>See <a href=a>a</a>, kept, and more about what this is all about.</ul>",
        "<p>One <a href=a>kept</a> link.</p>",
        "<div class='navigation-systems-of-migrating-birds'>kept</div>",
        "<aside role='doc-footnote'>kept</aside>",
        "<blockquote><p>words</p><footer>kept</footer></blockquote>",
        "<article><header><h1>kept</h1></header></article>",
    ],
)
def test_content_is_not_mistaken_for_apparatus(content: str) -> None:
    assert "kept" in kept(PROSE + content + PROSE)


def test_a_page_that_calls_all_of_its_text_a_menu_is_not_believed() -> None:
    assert "weather" in kept(f"<div class='menu'>{PROSE}</div>")


def test_the_document_is_what_says_so_if_it_holds_the_text() -> None:
    assert kept(f"<div>{PROSE}beside</div><main>{PROSE}{PROSE}</main>").count("beside") == 0
    assert "beside" in kept(f"<div>{PROSE * 4}beside</div><main>little</main>")
    assert "gone" not in kept(f"<p>gone</p><div id='mw-content-text'>{PROSE}</div><p>gone</p>")


def test_a_title_outside_of_the_document_is_found() -> None:
    page = parse_markup(
        f"<html><body><h1 id='firstHeading'>Tea</h1><div class='mw-parser-output'>{PROSE}</div>"
        "</body></html>"
    )
    main = main_content(page)
    assert main.title is not None
    assert main.title.text == "Tea"
    inside = parse_markup(f"<html><body><main><h1>Tea</h1>{PROSE}</main></body></html>")
    assert main_content(inside).title is None


def test_a_page_of_links_is_navigation() -> None:
    with pytest.raises(DocumentError) as caught:
        kept(f"<ul>{LINKS}</ul><p>A word.</p>")
    assert caught.value.reason is Reason.NAVIGATION
    assert "weather" in kept(f"{PROSE}<ul>{LINKS}</ul>")
