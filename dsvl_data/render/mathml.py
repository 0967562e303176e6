"""Formulas: LaTeX or arbitrary MathML in, the clean HTML contract's `<math>` out.

What comes out is MathML Core without a namespace (it is printed as HTML), its attributes from a
short list, with `display` and `data-latex`: the formula as the Markdown says it.
"""

from __future__ import annotations

import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator

from latex2mathml.converter import Converter
from lxml import etree

from dsvl_data.render.math_latex import math_to_latex

#: A formula longer or deeper than this is no formula.
MAX_CHARACTERS = 20_000
MAX_DEPTH = 60

_LAYOUT = frozenset({
    "mrow", "mfrac", "msqrt", "mroot", "msub", "msup", "msubsup", "munder", "mover",
    "munderover", "mmultiscripts", "mprescripts", "mtable", "mtr", "mtd", "mstyle",
    "mpadded", "mphantom", "mspace", "menclose", "none",
})  # fmt: skip
_TOKENS = frozenset({
    "mi", "mn", "mo", "mtext", "ms",
})  # fmt: skip
_ATTRIBUTES = frozenset({
    "stretchy", "fence", "separator", "form", "accent", "accentunder", "movablelimits",
    "symmetric", "largeop", "lspace", "rspace", "minsize", "maxsize", "linethickness",
    "displaystyle", "scriptlevel", "width", "height", "depth", "voffset", "columnalign",
    "columnspan", "rowspan", "notation",
})  # fmt: skip
_VALUE = re.compile(r"[\w.%+ -]{0,40}\Z")
_CHILDREN = {
    **dict.fromkeys(("mfrac", "mroot", "msub", "msup", "munder", "mover"), 2),
    **dict.fromkeys(("msubsup", "munderover"), 3),
}
_PHANTOM_OPERATORS = frozenset("\u2061\u2062\u2063\u2064")
# In a block, what stands by these stands below and above them.
_LIMITS = frozenset(("lim", "max", "min", "sup", "inf", "det", "gcd", "Pr", "argmax", "argmin"))
_BIG_OPERATORS = frozenset("∑∏∐⋂⋃⋀⋁⨀⨁⨂⨄⨆")

_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
# They change what later text means, or name something outside of the formula.
_REFUSED = re.compile(
    r"\\(?:(?:re)?newcommand|def|newenvironment|DeclareMathOperator|href|url|input|include"
    r"|includegraphics|unicode)(?![a-zA-Z])"
)
# latex2mathml lacks these; the ones it has draw the same, without numbering the lines.
_ENVIRONMENTS = {
    "aligned": "split", "align": "align*", "alignat": "align*", "eqnarray": "align*",
    "eqnarray*": "align*", "gather": "matrix", "gather*": "matrix", "gathered": "matrix",
    "multline": "matrix", "multline*": "matrix", "dcases": "cases",
}  # fmt: skip
_ENVIRONMENT = re.compile(r"\\(begin|end)\s*\{([a-zA-Z]+\*?)\}")
_TRANSPARENT = frozenset(("equation", "equation*", "displaymath", "math"))
_ALIKE = str.maketrans("−–∣∥⋅·∗ϕϵ∼′’‾―¯ˆ˜", "--||..*φε~''___^~")
_SPECIAL = frozenset("{}&^_#")
_REFERENCE = re.compile(r"&#x([0-9A-Fa-f]+);")


class BadLatex(ValueError):
    """The LaTeX cannot be shown as it stands; the message says where."""


def latex_to_math(latex: str, display: bool = False) -> etree._Element:
    """Turn LaTeX (without its dollars) into `<math display=.. data-latex=..>`.

    Raises `BadLatex` for unbalanced braces, unknown commands, missing arguments and formulas
    beyond `MAX_CHARACTERS` or `MAX_DEPTH`: what would be shown wrong is not shown.
    """
    latex = unicodedata.normalize("NFC", latex).strip()
    _check(latex)
    math = etree.Element("math", {"display": "block" if display else "inline"})
    math.set("data-latex", " ".join(latex.split()))
    _convert(latex, display, math)
    return math


def clean_math(element: etree._Element) -> etree._Element | None:
    """Turn a `<math>` of any document into the contract's; None when it shows nothing.

    The TeX that the document itself gives (an annotation, `alttext`) becomes `data-latex` when
    it is sound; else the MathML is converted. `element` is left as it is.
    """
    block = element.get("display") == "block" or element.get("mode") == "display"
    math = etree.Element("math", {"display": "block" if block else "inline"})
    _copy_children(element, math, 0)
    if not "".join(_strings(math)).strip():
        return None
    _mend_arity(math)
    math.set("data-latex", _own_latex(element, math) or math_to_latex(math))
    return math


def _check(latex: str) -> None:
    if not latex:
        raise BadLatex("an empty formula")
    if len(latex) > MAX_CHARACTERS:
        raise BadLatex(f"a formula of {len(latex)} characters; the limit is {MAX_CHARACTERS}")
    refused = _REFUSED.search(latex)
    if refused:
        raise BadLatex(f"{refused.group()} is not allowed in a formula")
    depth = 0
    for match in _BRACES.finditer(latex):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth < 0:
            raise BadLatex(f"a closing brace too many at character {match.start()}")
        if depth > MAX_DEPTH:
            raise BadLatex(f"braces nested deeper than {MAX_DEPTH}")
    if depth:
        raise BadLatex(f"{depth} braces are not closed")


def _convert(latex: str, display: bool, parent: etree._Element) -> None:
    converter = Converter(display="block" if display else "inline")
    try:
        made = converter.convert_to_element(_ENVIRONMENT.sub(_known_environment, latex))
    except Exception as error:  # it raises a dozen unrelated types, IndexError too
        raise BadLatex(f"{type(error).__name__}: {error}".removesuffix(": ")) from error
    for child in made:
        parent.append(_from_latex2mathml(child, display))
    _check_arity(parent)


def _known_environment(match: re.Match[str]) -> str:
    name = match[2]
    if name in _TRANSPARENT:
        return ""
    return rf"\{match[1]}{{{_ENVIRONMENTS.get(name, name)}}}"


def _from_latex2mathml(source: ElementTree.Element, display: bool) -> etree._Element:
    raw = source.text or ""
    text = _REFERENCE.sub(lambda match: chr(int(match[1], 16)), raw)
    # A character that was written escaped arrives as a reference, a stray one as itself.
    if source.tag in _TOKENS and raw == text and (text[:1] == "\\" or text in _SPECIAL):
        raise BadLatex(f"{text} is not known, or has no business where it stands")
    if source.tag == "mtext" and "$" in text:
        return _text_with_formulas(text, display)
    element = etree.Element(source.tag)
    for name, value in source.attrib.items():
        if name in _ATTRIBUTES and _VALUE.match(value):
            element.set(name, value)
    variant = source.get("mathvariant")
    if source.tag == "mi" and len(text) == 1 and (variant == "normal" or raw != text):
        if text.isascii() and text.isalpha():
            element.set("mathvariant", "normal")  # \mathrm{d}: one letter would be italic
    elif variant:
        text = styled(text, variant)
    element.text = text or None
    for child in source:
        element.append(_from_latex2mathml(child, display))
    return _with_limits(_with_stretching_bar(element), display)


def _text_with_formulas(text: str, display: bool) -> etree._Element:
    r"""`\text{if $x>0$}`: latex2mathml takes the inner formula for text."""
    row = etree.Element("mrow")
    for i, part in enumerate(text.split("$")):
        if i % 2:
            part = part.replace("\u00a0", " ")
            _check(part)
            _convert(part, False, row)
        elif part:
            etree.SubElement(row, "mtext").text = part
    if text.count("$") % 2:
        raise BadLatex("a dollar sign without its partner in a text")
    return row


def _with_stretching_bar(element: etree._Element) -> etree._Element:
    if element.tag in ("mover", "munder") and len(element) == 2 and element[1].text == "\u2015":
        element[1].text = "\u203e" if element.tag == "mover" else "_"
        element[1].set("stretchy", "true")
    return element


def _with_limits(element: etree._Element, display: bool) -> etree._Element:
    under = {"msub": "munder", "msup": "mover", "msubsup": "munderover"}.get(str(element.tag))
    if display and under and len(element) and element[0].tag == "mo":
        name = (element[0].text or "").replace("\u2009", "").replace("\u2006", "")
        if name in _BIG_OPERATORS or name in _LIMITS or name in ("liminf", "limsup"):
            element.tag = under
    return element


def _check_arity(math: etree._Element) -> None:
    for element in math.iter(*_CHILDREN):
        if len(element) != _CHILDREN[str(element.tag)]:
            raise BadLatex(f"an argument is missing ({element.tag} has {len(element)})")


def _mend_arity(math: etree._Element) -> None:
    # A script without its base is invalid MathML and shows as a red box: a row shows the parts.
    for element in list(math.iter(*_CHILDREN)):
        if len(element) != _CHILDREN[str(element.tag)]:
            element.tag = "mrow"


def _copy_children(source: etree._Element, target: etree._Element, depth: int) -> None:
    if depth > MAX_DEPTH:
        _append_text(target, "".join(_strings(source)))
        return
    if source.text and target.tag not in _TOKENS:
        _append_text(target, source.text)
    for child in source:
        if isinstance(child.tag, str):
            _copy(child, target, depth + 1)
        if child.tail:
            _append_text(target, child.tail)


def _copy(source: etree._Element, target: etree._Element, depth: int) -> None:
    name = etree.QName(source).localname.lower()
    if name in ("annotation", "annotation-xml") or source.get("hidden") is not None:
        return
    if name == "maction":
        _copy_first(source, target, depth)
    elif name in _TOKENS:
        copied = _start(source, target, name)
        text = " ".join("".join(_strings(source)).split())
        if name == "mtext":  # there, white space at the ends is the author's
            text = "\u00a0".join("".join(_strings(source)).split(" "))
        text = unicodedata.normalize("NFC", text)
        if name == "mo" and text in _PHANTOM_OPERATORS:
            target.remove(copied)
            return
        variant = source.get("mathvariant")
        if variant == "normal" and name == "mi":
            copied.set("mathvariant", "normal")
        elif variant:
            text = styled(text, variant)
        copied.text = text
    elif name == "mfenced":
        _copy_fenced(source, target, depth)
    elif name == "mlabeledtr":
        row = _start(source, target, "mtr")
        _copy_children(source, row, depth)
    elif name in _LAYOUT:
        _copy_children(source, _start(source, target, name), depth)
    elif name in ("semantics", "math"):
        _copy_children(source, etree.SubElement(target, "mrow"), depth)
    else:  # what we do not know is shown for the text in it
        _copy_children(source, etree.SubElement(target, "mrow"), depth)


def _start(source: etree._Element, target: etree._Element, name: str) -> etree._Element:
    element = etree.SubElement(target, name)
    for key, value in source.attrib.items():
        if key in _ATTRIBUTES and _VALUE.match(str(value)):
            element.set(key, str(value))
    return element


def _copy_first(source: etree._Element, target: etree._Element, depth: int) -> None:
    for child in source:
        if isinstance(child.tag, str):
            _copy(child, target, depth)
            return


def _copy_fenced(source: etree._Element, target: etree._Element, depth: int) -> None:
    row = etree.SubElement(target, "mrow")
    separators = "".join(source.get("separators", ",").split())
    _operator(row, source.get("open", "("), "prefix")
    inner = etree.SubElement(row, "mrow")
    children = [child for child in source if isinstance(child.tag, str)]
    for i, child in enumerate(children):
        if i and separators:
            _operator(inner, separators[min(i - 1, len(separators) - 1)], None)
        _copy(child, inner, depth)
    _operator(row, source.get("close", ")"), "postfix")


def _operator(row: etree._Element, text: str, form: str | None) -> None:
    if text.strip():
        operator = etree.SubElement(row, "mo", {"fence": "true", "form": form} if form else {})
        operator.text = text.strip()


def _append_text(target: etree._Element, text: str) -> None:
    if text.strip():
        etree.SubElement(target, "mtext").text = " ".join(text.split())


def _strings(element: etree._Element) -> Iterator[str]:
    return (str(text) for text in element.itertext())


def _own_latex(element: etree._Element, shown: etree._Element) -> str | None:
    """The TeX that the document gives for its formula, when it can be trusted to be TeX."""
    for annotation in element.iter("{*}annotation"):
        if "tex" in (annotation.get("encoding") or "").lower():
            latex = _sound("".join(_strings(annotation)), shown)
            if latex:
                return latex
    return _sound(element.get("alttext") or "", shown)


def _sound(latex: str, shown: etree._Element) -> str | None:
    latex = " ".join(unicodedata.normalize("NFC", latex).split())
    for left, right in (("$$", "$$"), ("$", "$"), (r"\[", r"\]"), (r"\(", r"\)")):
        if latex.startswith(left) and latex.endswith(right) and len(latex) > 2 * len(left):
            latex = latex[len(left) : -len(right)].strip()
    if latex.startswith(r"{\displaystyle ") and latex.endswith("}"):
        latex = latex[len(r"{\displaystyle ") : -1]
    try:
        claimed = latex_to_math(latex)
    except BadLatex:
        return None
    # What is said must be what is shown: an annotation of another formula is no annotation.
    said, seen = (Counter(_comparable(math)) for math in (claimed, shown))
    different = (said - seen).total() + (seen - said).total()
    return latex if different <= 0.1 * seen.total() else None


def _comparable(math: etree._Element) -> str:
    text = unicodedata.normalize("NFKC", "".join(_strings(math)))
    return "".join(c for c in text.translate(_ALIKE) if not c.isspace() and c.isprintable())


#: First code points of `A`, `a`, `0` and the Greek letters in Unicode's styled alphabets.
_ALPHABETS = {
    "bold": (0x1D400, 0x1D41A, 0x1D7CE, 0x1D6A8, 0x1D6C2),
    "bold-italic": (0x1D468, 0x1D482, None, 0x1D71C, 0x1D736),
    "script": (0x1D49C, 0x1D4B6, None, None, None),
    "bold-script": (0x1D4D0, 0x1D4EA, None, None, None),
    "fraktur": (0x1D504, 0x1D51E, None, None, None),
    "bold-fraktur": (0x1D56C, 0x1D586, None, None, None),
    "double-struck": (0x1D538, 0x1D552, 0x1D7D8, None, None),
    "sans-serif": (0x1D5A0, 0x1D5BA, 0x1D7E2, None, None),
    "bold-sans-serif": (0x1D5D4, 0x1D5EE, 0x1D7EC, 0x1D756, 0x1D770),
    "monospace": (0x1D670, 0x1D68A, 0x1D7F6, None, None),
}
# Letters that had a place in Unicode before the alphabets came.
_EARLIER = {
    "script": dict(zip("BEFHILMRego", "ℬℰℱℋℐℒℳℛℯℊℴ", strict=True)),
    "fraktur": dict(zip("CHIRZ", "ℭℌℑℜℨ", strict=True)),
    "double-struck": dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True)),
}


def styled(text: str, variant: str) -> str:
    """Text in one of Unicode's mathematical alphabets: Core has no `mathvariant` but `normal`."""
    starts = _ALPHABETS.get(variant)
    if starts is None:
        return text
    earlier = _EARLIER.get(variant, {})
    return "".join(earlier.get(character) or _shift(character, starts) for character in text)


def _shift(character: str, starts: tuple[int | None, ...]) -> str:
    for start, ends in zip(starts, ("AZ", "az", "09", "ΑΩ", "αω"), strict=True):
        if start is not None and ends[0] <= character <= ends[1]:
            return chr(start + ord(character) - ord(ends[0]))
    return character
