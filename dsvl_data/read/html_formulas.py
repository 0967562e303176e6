r"""Formulas as web pages carry them: an element in, its LaTeX out.

Known are MathML (with the TeX that KaTeX, MathJax and MediaWiki annotate it with), MathJax's
scripts, pictures whose `alt` is TeX (MediaWiki, LaTeX2HTML, WordPress, Sphinx), and TeX between
`\(..\)`, `\[..\]` or `$$..$$` in an element marked as mathematics or on a page that loads a
typesetter for it. Nothing is drawn here, so TeX is taken as the author wrote it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from dsvl_data.render.mathml import MAX_CHARACTERS, clean_math
from dsvl_data.render.parse import attribute, name_of, text_of

_PAIRS = (("\\[", "\\]", True), ("$$", "$$", True), ("\\(", "\\)", False), ("$", "$", False))
_IN_TEXT = re.compile(
    r"\\\((?P<inline>.+?)\\\)|\\\[(?P<block>.+?)\\\]|\$\$(?P<dollars>.+?)\$\$", re.S
)
_STYLE = re.compile(r"\{\\(?:display|text)style\s*(.*)\}\Z", re.DOTALL)
_SCRIPT = re.compile(r"math/(?:tex|latex|asciimath)\b", re.IGNORECASE)
#: Classes of pictures whose `alt` is TeX, and of elements whose text is.
_PICTURES = frozenset(("tex", "latex", "math", "mathtex", "mwe-math-fallback-image-inline",
                       "mwe-math-fallback-image-display"))  # fmt: skip
_TEXTS = frozenset(("math", "tex", "arithmatex", "mathjax_process", "tex2jax_process"))
#: Elements with one of these classes may be formulas; of others, `math`, `script` and `img` only.
FORMULAS = _TEXTS | {"mwe-math-element"}
#: What typesetters drew; what they drew it from stands beside it.
DRAWN = frozenset(
    ("MathJax", "MathJax_Display", "MathJax_CHTML", "MathJax_SVG", "MathJax_SVG_Display",
     "MathJax_Preview", "katex-html", "katex-error")
)  # fmt: skip
_TYPESETTERS = (b"mathjax", b"katex", b"tex2jax")
_SIGNS_OF_TEX = re.compile(r"[\\^_{}=<>+/|()]|\w\Z")


@dataclass(frozen=True, slots=True)
class Formula:
    """LaTeX without its dollars, and whether it stands on lines of its own."""

    latex: str
    display: bool

    @property
    def markdown(self) -> str:
        """The formula as it stands in a line of text."""
        return f"$${self.latex}$$" if self.display else f"${self.latex}$"

    @property
    def block(self) -> str:
        """The formula as a block."""
        return f"$$\n{self.latex}\n$$"


def uses_tex(markup: bytes) -> bool:
    """Whether a page loads a typesetter that turns the TeX in its text into formulas."""
    lower = markup.lower()
    return any(name in lower for name in _TYPESETTERS)


def formula_of(element: etree._Element, name: str, classes: frozenset[str]) -> Formula | None:
    """Return the formula that an element is; None if it is none, or one that nobody can read."""
    if name == "math":
        return _mathml(element)
    if name == "script":
        kind = element.get("type") or ""
        if _SCRIPT.match(kind) and "ascii" not in kind.lower():
            return _made(text_of(element), "display" in kind)
        return None
    if name == "img":
        if classes & _PICTURES:
            display = any("display" in word for word in classes)
            return _made(element.get("alt") or "", display)
        return None
    if "mwe-math-element" in classes:
        math = next(element.iter("{*}math"), None)
        found = _mathml(math) if math is not None else None
        if found is None:
            image = next(element.iter("{*}img"), None)
            found = _made(attribute(image, "alt"), False) if image is not None else None
        if found is None:
            return None
        display = "mwe-math-element-block" in classes or _shown_as_block(element)
        return Formula(found.latex, found.display or display)
    if classes & _TEXTS and len(element) == 0:
        text = (element.text or "").strip()
        for left, right, display in _PAIRS:
            if text.startswith(left) and text.endswith(right) and len(text) > len(left + right):
                return _made(text, display or name == "div")
        if "math" in classes and classes & {"inline", "display"} and text:  # pandoc
            return _made(text, "display" in classes)
    return None


def split_formulas(text: str) -> Iterator[str | Formula]:
    """Cut the text of a page that loads a typesetter into plain text and formulas, in order."""
    end = 0
    for match in _IN_TEXT.finditer(text):
        found = _made(match["inline"] or match["block"] or match["dollars"], not match["inline"])
        if found is None:
            continue
        yield text[end : match.start()]
        yield found
        end = match.end()
    yield text[end:]


def _mathml(element: etree._Element) -> Formula | None:
    display = element.get("display") == "block" or element.get("mode") == "display"
    for annotation in element.iter("{*}annotation"):
        if "tex" in (annotation.get("encoding") or "").lower():
            found = _made(text_of(annotation), display)
            if found is not None:
                return found
    found = _made(element.get("alttext") or "", display)
    if found is not None:
        return found
    math = clean_math(element)
    return None if math is None else _made(math.get("data-latex") or "", display)


def _made(latex: str, display: bool) -> Formula | None:
    """Strip what wraps the TeX; None for nothing, or for more than a formula can be."""
    if len(latex) > MAX_CHARACTERS:
        return None
    latex = " ".join(unicodedata.normalize("NFC", latex).split())
    for left, right, block in _PAIRS:
        if latex.startswith(left) and latex.endswith(right) and len(latex) > len(left + right):
            latex, display = latex[len(left) : -len(right)].strip(), display or block
            break
    styled = _STYLE.match(latex)
    if styled and _balanced(styled[1]):
        latex = styled[1].strip()
    # A dollar within would end the formula where it does not end.
    if not latex or re.search(r"(?<!\\)\$", latex) or not _SIGNS_OF_TEX.search(latex):
        return None
    return Formula(latex, display)


def _balanced(latex: str) -> bool:
    depth = 0
    for match in re.finditer(r"\\.|[{}]", latex, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth < 0:
            return False
    return depth == 0


def _shown_as_block(element: etree._Element) -> bool:
    """MediaWiki indents a formula of its own as a definition without a term."""
    parent = element.getparent()
    if parent is None or name_of(parent) != "dd" or len(parent) != 1:
        return False
    return not (parent.text or "").strip() and not (element.tail or "").strip(" \n\t.,;")
