"""What of a web page is its document: navigation, boilerplate and apparatus are cut out.

In: a parsed page, which is changed. Out: the element that holds the document, with nothing but
the document left in it, in its own order; and how much of the page's text that is.

An element goes for one of three reasons: its tag or role says that it is navigation, a banner, a
form or the like; a word of its class or id does (`navbar`, `breadcrumbs`, MediaWiki's and
Sphinx's own names); or nearly all of its text is links. None of them takes what holds most of the
page's text. Nothing is scored or trained: the same page always gives the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache

from lxml import etree

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.render.parse import attribute, name_of, text_of

_TAGS = frozenset(("nav", "menu", "form", "dialog", "search"))
_SILENT = frozenset(
    ("script", "style", "template", "noscript", "iframe", "select", "textarea", "button")
)
_ROLES = frozenset(
    ("navigation", "banner", "contentinfo", "search", "complementary", "menu", "menubar", "toolbar",
     "dialog", "alert", "alertdialog", "tablist", "doc-toc", "doc-index", "doc-pagelist")
)  # fmt: skip
#: Words of a class or an id that are enough, whole.
_NAMES = frozenset({
    # any site
    "nav", "navbar", "navigation", "navi", "menu", "breadcrumb", "breadcrumbs", "pagination",
    "pager", "paginator", "masthead", "cookie", "cookies", "consent", "gdpr", "share", "sharing",
    "social", "socials", "advert", "advertisement", "ads", "adsbygoogle", "promo", "newsletter",
    "subscribe", "subscription", "related-posts", "related-articles", "skip-link", "skip",
    "skiplink", "noprint", "no-print", "printonly", "print-only", "comments", "disqus_thread",
    "respond", "banner", "topbar", "toolbar", "footer", "site-footer", "site-header", "searchbox",
    "page-header-nav", "post-navigation", "entry-meta-nav", "back-to-top", "backtotop", "toc",
    "table-of-contents", "tableofcontents", "minitoc", "sidenav", "off-canvas", "offcanvas",
    # DocBook, Sphinx, Doxygen, Javadoc, man pages
    "docnav", "navheader", "navfooter", "sphinxsidebar", "sphinxsidebarwrapper", "related",
    "headerlink", "copybtn", "viewcode-link", "permalink", "anchor-link", "contents-tree",
    "wy-nav-side", "wy-breadcrumbs", "rst-footer-buttons", "toctree-wrapper", "topnav", "bottomnav",
    "subnav", "skipnav", "navlist", "edit-this-page", "prev-next-area", "indexterm",
    # MediaWiki, and Kiwix's forms of it
    "mw-editsection", "mw-jump-link", "mw-jump", "mw-indicators", "catlinks", "printfooter",
    "navbox", "navbox-styles", "vertical-navbox", "navigation-not-searchable", "metadata", "ambox",
    "mbox-small", "tmbox", "ombox", "sistersitebox", "portalbox", "portal-bar", "hatnote",
    "shortdescription", "reflist", "mw-references-wrap", "mw-cite-backlink",
    "mw-references-columns",
    "authority-control", "mw-empty-elt", "sitenotice", "siteNotice", "mw-navigation", "mw-panel",
    "mw-head", "p-personal", "vector-toc", "vector-header", "contentSub", "jump-to-nav",
    "mw-hidden-catlinks",
    "stub", "mw-authority-control", "magnify", "noexcerpt", "zim-footer",
})  # fmt: skip
#: Parts of such words (`site-nav`, `main_menu`, `footerLinks`) that are enough.
_PARTS = frozenset(
    ("nav", "navbar", "navigation", "menu", "breadcrumb", "breadcrumbs", "footer", "cookie",
     "advert", "pagination", "newsletter", "share", "sharing", "social")
)  # fmt: skip
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
#: Elements that these words may be said of. `body class="has-sidebar"` says nothing of the body.
_NAMED = frozenset(
    ("div", "section", "aside", "header", "footer", "ul", "ol", "dl", "li", "p", "table", "tr",
     "td", "span", "a", "sup", "center", "button", "main", "details", "figure", "nav")
)  # fmt: skip
#: Beside the document these words are enough, too; within it a `sidebar` may be a box of text.
_BESIDE = frozenset(("sidebar", "side-bar", "aside", "widget", "widgets"))
#: Of inline elements only these: a `span class="menu"` is a word of a manual's text.
_INLINE = frozenset(("span", "a", "sup", "button"))
_INLINE_NAMES = frozenset(
    ("headerlink", "copybtn", "viewcode-link", "permalink", "anchor-link", "mw-editsection",
     "mw-cite-backlink", "mw-jump-link", "skip-link", "skiplink", "noprint", "indexterm",
     "back-to-top", "backtotop", "jump-to-nav", "shortdescription", "mw-empty-elt")
)  # fmt: skip
_ROOTS = frozenset(("mw-parser-output", "mw-content-text", "bodyContent"))
_ROOT_TAGS = frozenset(("main", "article", "div", "section", "td"))
_ROOT_NAMES = frozenset({
    "content", "main", "main-content", "maincontent", "article", "article-body", "article-content",
    "articlebody", "post-content", "entry-content", "post-body", "page-content", "documentwrapper",
    "document", "body-content", "markdown-body", "book-body", "rst-content",
})  # fmt: skip
#: Links are navigation where they are nearly all of an element's text, several and short.
_LINKED_SHARE, _LINKS, _LINK_LENGTH = 0.75, 4, 60
_LINK_HOLDERS = frozenset(
    ("ul", "ol", "dl", "div", "p", "table", "section", "td", "tr", "aside", "header", "footer",
     "center", "h2", "h3", "h4", "h5", "h6", "details", "li")
)  # fmt: skip
_BOX_LINKS, _BOX_LENGTH = 0.3, 160
#: A page of which so much is links, and so many of them, is a page of contents.
_INDEX_SHARE, _INDEX_LINKS = 0.7, 8
#: Share of the text that no rule but a tag's takes at once, and that a root must hold.
_MOST, _ROOT_SHARE = 0.5, 0.4
_FOOTNOTES = frozenset(("doc-footnote", "doc-endnotes", "doc-endnote", "footnote", "footnotes"))
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


@dataclass(frozen=True, slots=True)
class MainContent:
    """The element with the document; `share` of the page's visible characters that are in it.

    `title` is the page's first heading where that stands outside of the element, else None.
    """

    root: etree._Element
    share: float
    title: etree._Element | None


def main_content(page: etree._Element) -> MainContent:
    """Cut a page down to its document. `page` is changed.

    Raises `DocumentError` (`NAVIGATION`) for a page that is nothing but links.
    """
    body = next((e for e in page.iter("{*}body")), page)
    for element in list(body.iter(*_tags(_SILENT))):
        if _is_silent(element, name_of(element)):
            remove(element)
    before = max(1, _length(body))
    title = next(body.iter("{*}h1"), None)
    root = _root(body, before)
    _prune(root, max(1, _length(root)), inside=root is not body)
    linked, links = _prune_links(root)
    if links >= _INDEX_LINKS and linked > _INDEX_SHARE:
        raise DocumentError(Reason.NAVIGATION, f"{links} links are {linked:.0%} of the text")
    inside = title is not None and (title is root or root in title.iterancestors())
    lost = title is None or inside or next(root.iter("{*}h1"), None) is not None
    # A page whose title went with its header has it back; one with a title of its own needs none.
    return MainContent(root, min(1.0, _length(root) / before), None if lost else title)


@cache
def _tags(names: frozenset[str]) -> tuple[str, ...]:
    """Names as lxml searches for them, with any name space: a tenth of the time of a loop."""
    return tuple(f"{{*}}{name}" for name in sorted(names))


def _is_silent(element: etree._Element, name: str) -> bool:
    if name == "script":
        return not (element.get("type") or "").startswith("math/")
    return name in _SILENT and not (name == "noscript" and len(element))


def remove(element: etree._Element) -> None:
    """Take an element out of its tree, and leave the text after it where it is."""
    parent = element.getparent()
    if parent is None:
        return
    if element.tail:
        before = element.getprevious()
        if before is not None:
            before.tail = (before.tail or "") + element.tail
        else:
            parent.text = (parent.text or "") + element.tail
    element.tail = None
    parent.remove(element)


def _link_length(link: etree._Element) -> int:
    return _length(link) if len(link) else _visible(link.text or "")


def _length(element: etree._Element) -> int:
    """Characters of an element's text, white space aside."""
    return _visible(text_of(element))


def _visible(text: str) -> int:
    # Counting takes a tenth of the time of taking the text apart.
    return len(text) - text.count(" ") - text.count("\n") - text.count("\t") - text.count("\r")


def _root(body: etree._Element, length: int) -> etree._Element:
    """The element that says it is the document, if it holds enough of the text; else the body."""
    named: list[etree._Element] = []
    said: list[etree._Element] = []
    articles: list[etree._Element] = []
    for element in body.iter(*_tags(_ROOT_TAGS)):
        keys = element.keys()
        label = _root_label(element.get("class") or "", element.get("id") or "") if keys else ""
        if label == "wiki":
            return element
        name = name_of(element)
        if name == "main" or (keys and element.get("role") == "main"):
            said.append(element)
        elif name == "article":
            articles.append(element)
        elif label:
            named.append(element)
    if len(articles) == 1:
        said += articles
    for candidates in (said, named):
        # The innermost of them that still holds the text: `main` around `article`.
        for element in reversed(candidates):
            if _length(element) >= _ROOT_SHARE * length:
                return element
    return body


@lru_cache(maxsize=4096)
def _root_label(classes: str, identity: str) -> str:
    names = _names(classes, identity)
    if names & _ROOTS:
        return "wiki"
    return "named" if names & _ROOT_NAMES else ""


def _prune(root: etree._Element, length: int, *, inside: bool) -> None:
    for element in list(root.iter(*_tags(_TAGS | _NAMED))):
        if element is root or not _is_apparatus(element, name_of(element), inside):
            continue
        # A page that calls its whole text a menu is believed less than its text.
        name = name_of(element)
        if name in _TAGS or name in _INLINE or _length(element) <= _MOST * length:
            remove(element)


def _is_apparatus(element: etree._Element, name: str, inside: bool) -> bool:
    if name in _TAGS:
        return True
    if name not in _NAMED:
        return False
    if not element.keys() and name not in ("footer", "header", "aside"):
        return False
    role = element.get("role")
    if role in _ROLES:
        return True
    classes, identity = element.get("class") or "", element.get("id") or ""
    if name == "aside" and (role in _FOOTNOTES or attribute(element, "type") in _FOOTNOTES):
        return False
    if name in _INLINE:
        names = _names(classes, "")
        return not names.isdisjoint(_INLINE_NAMES) or (name == "sup" and "reference" in names)
    if name == "ol" and "references" in _names(classes, ""):
        return True  # MediaWiki; elsewhere the word may name a section
    label = _label(classes, identity)
    if label == "apparatus":
        return True
    if name == "footer":
        return not _within(element, ("blockquote", "figure"))
    if name in ("header", "aside") and not inside:
        # Within the document a header holds its title, and an aside may be a box of the text.
        return not _within(element, ("article", "section", "main"))
    return label == "beside" and not inside and not _is_box(element)


def _is_box(element: etree._Element) -> bool:
    """Whether a `sidebar` is a box of the text, as in manuals: prose, with few links."""
    length = _length(element)
    linked = sum(_link_length(link) for link in element.iter("{*}a") if link.get("href"))
    return length >= _BOX_LENGTH and linked < _BOX_LINKS * length


def _within(element: etree._Element, names: tuple[str, ...]) -> bool:
    return any(name_of(parent) in names for parent in element.iterancestors())


@lru_cache(maxsize=4096)
def _label(classes: str, identity: str) -> str:
    names = _names(classes, identity)
    if not names:
        return ""
    if names & _NAMES:
        return "apparatus"
    for name in names:
        parts = [part.lower() for part in _WORD.findall(name)]
        # `main-nav`, `footerLinks`; but not `navigation-systems-of-birds`, an anchor.
        if 1 < len(parts) <= 3 and not _PARTS.isdisjoint(parts):
            return "apparatus"
    return "beside" if names & _BESIDE else ""


@lru_cache(maxsize=4096)
def _names(classes: str, identity: str) -> frozenset[str]:
    return frozenset((*classes.split(), *identity.split()))


def _prune_links(root: etree._Element) -> tuple[float, int]:
    """Take out what is a list of links; return the share of links before that, and their number."""
    linked: dict[etree._Element, tuple[int, int]] = {}
    total = links = 0
    for link in root.iter("{*}a"):
        if not link.get("href"):
            continue
        length = _link_length(link)
        if not length:
            continue
        total, links = total + length, links + 1
        for parent in link.iterancestors():
            if parent is root:
                break
            count, characters = linked.get(parent, (0, 0))
            linked[parent] = (count + 1, characters + length)
    share = total / max(1, _length(root)) if links else 0.0
    gone: set[etree._Element] = set()
    for element, (count, characters) in linked.items():
        if count < _LINKS or name_of(element) not in _LINK_HOLDERS:
            continue
        if characters > count * _LINK_LENGTH or characters < _LINKED_SHARE * _length(element):
            continue
        if next(element.iter("{*}img", "{*}pre", "{*}math"), None) is None:
            gone.add(element)
    for element in gone:
        if not any(parent in gone for parent in element.iterancestors()):
            remove(element)
    return share, links
