"""What an element of arbitrary HTML says of itself.

In: a parsed element, its attributes as anybody wrote them. Out: whether it is hidden, its
language and direction, the numbers of lists and cells, and the text and language of code.
"""

from __future__ import annotations

import re

from lxml import etree

from dsvl_data.render.parse import attribute, is_plain, name_of, text_of

#: Elements that are left out with all they hold.
DROPPED = frozenset({
    "head", "script", "style", "title", "meta", "link", "base", "template", "iframe", "frame",
    "frameset", "noframes", "applet", "embed", "audio", "video", "canvas", "source", "track",
    "map", "area", "input", "button", "select", "option", "optgroup", "textarea", "datalist",
    "progress", "meter", "dialog", "rp", "col", "colgroup", "wbr", "trigger", "param", "basefont",
})  # fmt: skip
#: Elements that stand on lines of their own, shown as themselves.
BLOCKS = frozenset({
    "h1", "h2", "h3", "h4", "h5", "h6", "p", "blockquote", "ul", "ol", "li", "dl", "dt", "dd",
    "pre", "table", "caption", "thead", "tbody", "tfoot", "tr", "td", "th", "figure",
    "figcaption",
})  # fmt: skip
#: Classes of the cells in which highlighters count the lines of code.
LINE_NUMBERS = frozenset(("lineno", "linenos", "linenumber", "line-number", "linenodiv"))

_HIDDEN_STYLE = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
# KaTeX and MathJax draw a second time what their MathML says.
_DRAWN_AGAIN = frozenset(("katex-html", "MathJax_Preview", "MathJax_SVG"))
_PAGE_BREAKS = frozenset(("pagebreak", "doc-pagebreak"))
_LIST_TYPES = {
    "lower-alpha": "a", "loweralpha": "a", "lower-latin": "a", "upper-alpha": "A",
    "upperalpha": "A", "upper-latin": "A", "lower-roman": "i", "lowerroman": "i",
    "upper-roman": "I", "upperroman": "I", "1": "1", "a": "a", "A": "A", "i": "i", "I": "I",
}  # fmt: skip
_CODE_CLASS = re.compile(r"(?:language|lang|highlight|brush)[-:]\s*([\w+#.-]{1,30})", re.IGNORECASE)
_NO_LANGUAGE = frozenset(
    ("default", "notranslate", "none", "text", "plain", "source", "literal-block")
)
_PANDOC_CODE = re.compile(r"\bsourceCode\s+([\w+#-]{1,30})")
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,4}\Z")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")


def is_hidden(source: etree._Element, name: str) -> bool:
    """Whether an element, with this name, is not seen, or says again what another one says."""
    if not is_plain(source):
        if source.get("hidden") is not None or _HIDDEN_STYLE.search(source.get("style", "")):
            return True
        kinds = f"{attribute(source, 'type')} {attribute(source, 'role')}"
        if not _PAGE_BREAKS.isdisjoint(kinds.split()):
            return True
    if classes := source.get("class"):
        names = classes.split()
        if not _DRAWN_AGAIN.isdisjoint(names):
            return True
        if name == "td" and not LINE_NUMBERS.isdisjoint(names):
            return True
    return name == "svg" and _inside_mathjax(source)


def _inside_mathjax(source: etree._Element) -> bool:
    return any(
        name_of(parent) == "mjx-container" and any(name_of(e) == "math" for e in parent.iter())
        for parent in source.iterancestors()
    )


def copy_numbers(source: etree._Element, made: etree._Element, name: str) -> None:
    """Copy the numbering of a list and the spans of a cell, within bounds."""
    if not source.keys():
        return
    if name == "ol":
        style = (source.get("style") or "").lower()
        words = [source.get("type") or "", *(source.get("class") or "").split()]
        words += re.findall(r"list-style(?:-type)?\s*:\s*([\w-]+)", style)
        kind = next((_LIST_TYPES[word] for word in words if word in _LIST_TYPES), "1")
        if kind != "1":
            made.set("type", kind)
    for key, least, most in (
        ("start", -9999, 99_999), ("value", -9999, 99_999), ("colspan", 2, 100), ("rowspan", 2, 500)
    ):  # fmt: skip
        allowed = {"start": ("ol",), "value": ("li",)}.get(key, ("td", "th"))
        value = (source.get(key) or "").strip()
        if name in allowed and re.match(r"-?\d{1,6}\Z", value) and least <= int(value):
            made.set(key, str(min(int(value), most)))


def code_strings(source: etree._Element, hidden: set[etree._Element]) -> list[str]:
    """The text of a code block in pieces, each of its inner blocks on lines of its own."""
    strings = [source.text or ""]
    for child in source:
        name = name_of(child)
        if name == "br":
            strings.append("\n")
        elif _is_code(child, name) and child not in hidden:
            inner = code_strings(child, hidden)
            if name == "div" or name in BLOCKS:
                inner = ["\n" * (not _ends_line(strings)), *inner, "\n" * (not _ends_line(inner))]
            strings += inner
        strings.append(child.tail or "")
    return strings


def _is_code(element: etree._Element, name: str) -> bool:
    if not name or name in DROPPED or is_hidden(element, name):
        return False
    return not classes_of(element) & LINE_NUMBERS


def _ends_line(strings: list[str]) -> bool:
    last = next((string for string in reversed(strings) if string), "\n")
    return last.endswith("\n")


def code_language(source: etree._Element) -> str:
    """The language that a code block, or what stands around it, is marked with; else nothing."""
    candidates = [source, *(e for e in source if name_of(e) == "code")]
    candidates += list(source.iterancestors())[:3]
    for element in candidates:
        names = element.get("class") or ""
        found = [*_CODE_CLASS.findall(names), *_PANDOC_CODE.findall(names)]
        found.append(element.get("data-lang") or element.get("data-language") or "")
        for language in found:
            if language and language.lower() not in _NO_LANGUAGE:
                return str(language).lower()
    return ""


def guess_direction(body: etree._Element) -> str:
    """`rtl` if most letters run from right to left, else nothing."""
    text = text_of(body)
    rtl = 0 if text.isascii() else len(_RIGHT_TO_LEFT.findall(text))
    return "rtl" if rtl and 2 * rtl > sum(map(str.isalpha, text)) else ""


def direction_of(source: etree._Element) -> str:
    """`ltr` or `rtl` where an element says so, else nothing."""
    value = source.get("dir", "").lower()
    return value if value in ("ltr", "rtl") else ""


def language_of(source: etree._Element) -> str:
    """The language tag of an element; nothing where there is none or it is malformed."""
    value = attribute(source, "lang").strip()
    return value if value and _LANGUAGE_TAG.match(value) else ""


def classes_of(source: etree._Element) -> set[str]:
    """The classes of an element."""
    return set(source.get("class", "").split())
