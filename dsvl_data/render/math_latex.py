"""MathML to LaTeX: a clean `<math>` in (see `render.mathml`), the formula as Markdown says it out.

Fractions, roots, scripts, limits, accents, fences, matrices, cases, operators, Greek, styled
letters and functions become their usual LaTeX; what has none is kept as text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from latex2mathml.symbols_parser import SYMBOLS
from lxml import etree

_FUNCTIONS = frozenset({
    "arccos", "arcsin", "arctan", "arg", "cos", "cosh", "cot", "coth", "csc", "deg", "det",
    "dim", "exp", "gcd", "hom", "inf", "ker", "lg", "lim", "liminf", "limsup", "ln", "log",
    "max", "min", "Pr", "sec", "sin", "sinh", "sup", "tan", "tanh",
})  # fmt: skip
#: What a reader of LaTeX expects where Unicode's own name differs, or where several stand.
_SYMBOLS = {
    "−": "-", "‐": "-", "–": "-", "∗": "*", "∣": r"\mid", "|": "|", "‖": r"\|", "∥": r"\|",
    "′": "'", "″": "''", "‴": "'''", "’": "'", "⋅": r"\cdot", "·": r"\cdot", "×": r"\times",
    "÷": r"\div", "±": r"\pm", "∓": r"\mp", "≤": r"\le", "≥": r"\ge", "≠": r"\ne", "≈": r"\approx",
    "≡": r"\equiv", "∼": r"\sim", "≃": r"\simeq", "≅": r"\cong", "∝": r"\propto", "∞": r"\infty",
    "∂": r"\partial", "∇": r"\nabla", "∑": r"\sum", "∏": r"\prod", "∐": r"\coprod", "∫": r"\int",
    "∬": r"\iint", "∭": r"\iiint", "∮": r"\oint", "→": r"\to", "⟶": r"\longrightarrow",
    "←": r"\leftarrow", "↔": r"\leftrightarrow", "⇒": r"\Rightarrow", "⟹": r"\implies",
    "⇐": r"\Leftarrow", "⇔": r"\Leftrightarrow", "⟺": r"\iff", "↦": r"\mapsto", "↑": r"\uparrow",
    "↓": r"\downarrow", "∈": r"\in", "∉": r"\notin", "∋": r"\ni", "⊂": r"\subset",
    "⊃": r"\supset", "⊆": r"\subseteq", "⊇": r"\supseteq", "∪": r"\cup", "∩": r"\cap",
    "∅": r"\emptyset", "∖": r"\setminus", "∀": r"\forall", "∃": r"\exists", "¬": r"\neg",
    "∧": r"\land", "∨": r"\lor", "⊕": r"\oplus", "⊗": r"\otimes", "⊥": r"\perp", "∠": r"\angle",
    "△": r"\triangle", "°": r"^\circ", "∘": r"\circ", "…": r"\ldots", "⋯": r"\cdots",
    "⋮": r"\vdots", "⋱": r"\ddots", "⟨": r"\langle", "⟩": r"\rangle", "〈": r"\langle",
    "〉": r"\rangle", "⌊": r"\lfloor", "⌋": r"\rfloor", "⌈": r"\lceil", "⌉": r"\rceil",
    "ℏ": r"\hbar", "ℓ": r"\ell", "ℜ": r"\Re", "ℑ": r"\Im", "ℵ": r"\aleph", "√": r"\surd",
    "∴": r"\therefore", "∵": r"\because", "ϵ": r"\epsilon", "ε": r"\varepsilon", "ϕ": r"\phi",
    "φ": r"\varphi", "ϑ": r"\vartheta", "ϱ": r"\varrho", "ς": r"\varsigma", "ϖ": r"\varpi",
    "Δ": r"\Delta", "∆": r"\Delta", "Ω": r"\Omega", "µ": r"\mu", "ı": r"\imath", "ȷ": r"\jmath",
    "\\": r"\backslash", "{": r"\{", "}": r"\}", "$": r"\$", "%": r"\%", "&": r"\&", "#": r"\#",
    "_": r"\_", "^": r"\hat{}", "~": r"\sim", "\u00a0": r"\ ", "\u2061": "", "\u2062": "",
    "\u2063": "", "\u2064": "", "\u2009": r"\,", "\u2003": r"\quad",
}  # fmt: skip
_ACCENTS = {
    "^": "hat", "ˆ": "hat", "̂": "hat", "ˇ": "check", "~": "tilde", "˜": "tilde", "̃": "tilde",
    "¯": "bar", "̄": "bar", "˙": "dot", ".": "dot", "̇": "dot", "¨": "ddot", "̈": "ddot",
    "→": "vec", "⃗": "vec", "´": "acute", "`": "grave", "˘": "breve", "‾": "overline",
    "―": "overline", "_": "overline", "⏞": "overbrace", "︷": "overbrace", "←": "overleftarrow",
}  # fmt: skip
_WIDE = {"hat": "widehat", "tilde": "widetilde", "bar": "overline", "vec": "overrightarrow"}
_UNDER_ACCENTS = {
    "_": "underline", "‾": "underline", "―": "underline", "̲": "underline", "¯": "underline",
    "⏟": "underbrace", "︸": "underbrace",
}  # fmt: skip
_LIMITS = frozenset(("lim", "liminf", "limsup", "max", "min", "sup", "inf", "det", "gcd", "Pr"))
_BIG_OPERATORS = frozenset("∑∏∐⋂⋃⋀⋁⨁⨂⨄⨆∫∬∭∮")
_OPENING, _CLOSING = frozenset("([{⟨⌊⌈〈|‖∥"), frozenset(")]}⟩⌋⌉〉|‖∥")
_MATRICES = {("(", ")"): "pmatrix", ("[", "]"): "bmatrix", ("{", "}"): "Bmatrix",
             ("|", "|"): "vmatrix", ("‖", "‖"): "Vmatrix", ("∥", "∥"): "Vmatrix"}  # fmt: skip
_TALL = frozenset({
    "mfrac", "mtable", "munder", "mover", "munderover", "mroot", "msqrt",
})  # fmt: skip
_BARE = re.compile(r"[^\\{}\s]\Z|\\[a-zA-Z]+\Z|\\.\Z")
_NEEDS_SPACE = re.compile(r"(?:\\[a-zA-Z]+|[_^][^\\{}])\Z")
_SAME_FONT = re.compile(r"(\\math[a-z]+)\{(\w+)\}\1\{(\w+)\}")
_TEXT_ESCAPES = str.maketrans(
    {c: "\\" + c for c in "{}$%&#_"} | {"\\": r"\backslash ", "^": r"\^{}", "~": r"\~{}"}
)

_NAMES: dict[str, str] = {}
for _name, _code in SYMBOLS.items():
    if re.fullmatch(r"\\[A-Za-z]+", _name) and not _name.startswith((r"\up", r"\m")):
        _NAMES.setdefault(chr(int(_code, 16)), _name)

#: Unicode's styled alphabets by the words of their character names.
_FONTS = (
    ("MATHEMATICAL BOLD ITALIC", "boldsymbol"), ("MATHEMATICAL SANS-SERIF BOLD", "mathbf"),
    ("MATHEMATICAL BOLD SCRIPT", "mathcal"), ("MATHEMATICAL BOLD FRAKTUR", "mathfrak"),
    ("MATHEMATICAL BOLD", "mathbf"), ("MATHEMATICAL SCRIPT", "mathcal"),
    ("MATHEMATICAL FRAKTUR", "mathfrak"), ("MATHEMATICAL DOUBLE-STRUCK", "mathbb"),
    ("MATHEMATICAL SANS-SERIF", "mathsf"), ("MATHEMATICAL MONOSPACE", "mathtt"),
    ("MATHEMATICAL ITALIC", ""), ("DOUBLE-STRUCK CAPITAL", "mathbb"),
    ("SCRIPT CAPITAL", "mathcal"), ("BLACK-LETTER CAPITAL", "mathfrak"),
)  # fmt: skip


def math_to_latex(math: etree._Element) -> str:
    """Write a formula as LaTeX, without dollars. `math` has no namespace and is not changed."""
    return _row(list(math)).strip()


def _join(pieces: Sequence[str]) -> str:
    """Set pieces side by side; a command or a script needs space before a letter or digit."""
    out = ""
    for piece in pieces:
        if piece[:1].isalnum() and _NEEDS_SPACE.search(out):
            out += " "
        out += piece
    return _SAME_FONT.sub(r"\1{\2\3}", out)


def _row(children: Sequence[etree._Element]) -> str:
    """A run of siblings: fences around something tall grow, matrices take their fences in."""
    pieces = []
    i = 0
    while i < len(children):
        child = children[i]
        fence = _fence(children, i)
        if fence is not None:
            piece, i = fence
        elif _is_function_application(children, i):
            piece, i = rf"\operatorname{{{_plain(child)}}}", i + 1
        else:
            piece, i = _element(child), i + 1
        pieces.append(piece)
    return _join(pieces)


def _fence(children: Sequence[etree._Element], i: int) -> tuple[str, int] | None:
    opening = _operator(children[i])
    if opening not in _OPENING or (opening in "|‖∥" and children[i].get("form") == "postfix"):
        return None
    end = _closing(children, i)
    if end is None:
        inside = children[i + 1 :]
        alone = len(inside) == 1 or (len(inside) == 2 and _operator(inside[1]) == "")
        table = _only_table(inside[:1])
        if opening == "{" and alone and table is not None:
            return _environment(table, "cases"), len(children)
        return None
    inside, closing = _unwrapped(children[i + 1 : end]), _operator(children[end])
    table = _only_table(inside)
    if table is not None and (name := _MATRICES.get((opening, closing))):
        return _environment(table, name), end + 1
    if (opening, closing) == ("(", ")") and len(inside) == 1 and _bare_fraction(inside[0]):
        over, under = (_element(child) for child in inside[0])
        return rf"\binom{{{over}}}{{{under}}}", end + 1
    body = _row(inside)
    if not any(True for part in inside for _ in part.iter(*_TALL)):
        return _join([_symbol(opening, fence=True), body, _symbol(closing, fence=True)]), end + 1
    left, right = _symbol(opening, fence=True), _symbol(closing, fence=True)
    return _join([rf"\left{left}", body, rf"\right{right}"]), end + 1


def _closing(children: Sequence[etree._Element], start: int) -> int | None:
    opening, depth = _operator(children[start]), 0
    for i in range(start + 1, len(children)):
        text = _operator(children[i])
        if opening in "|‖∥":
            if text == opening:
                return i
        elif text in _CLOSING - {*"|‖∥"}:
            if depth == 0:
                return i
            depth -= 1
        elif text in _OPENING - {*"|‖∥"}:
            depth += 1
    return None


def _only_table(children: Sequence[etree._Element]) -> etree._Element | None:
    children = _unwrapped(children)
    return children[0] if len(children) == 1 and children[0].tag == "mtable" else None


def _unwrapped(children: Sequence[etree._Element]) -> Sequence[etree._Element]:
    while len(children) == 1 and children[0].tag in ("mrow", "mstyle"):
        children = list(children[0])
    return children


def _is_function_application(children: Sequence[etree._Element], i: int) -> bool:
    name = _plain(children[i])
    if children[i].tag != "mi" or len(name) < 2 or name in _FUNCTIONS or not name.isalpha():
        return False
    return i + 1 < len(children) and _operator(children[i + 1]) == "("


def _element(element: etree._Element) -> str:
    tag = str(element.tag)
    children = list(element)
    if tag == "mi":
        return _identifier(element)
    if tag == "mn":
        return "".join(_symbol(c) if c != "," else "{,}" for c in _plain(element))
    if tag == "mo":
        return _operator_latex(_plain(element))
    if tag in ("mtext", "ms"):
        return _text(element)
    if tag == "mspace":
        return _space(element)
    if tag == "mfrac":
        return _fraction(element, children)
    if tag == "msqrt":
        return rf"\sqrt{{{_row(children)}}}"
    if tag == "mroot":
        return rf"\sqrt[{_element(children[1])}]{{{_element(children[0])}}}"
    if tag in ("msub", "msup", "msubsup"):
        return _scripts(tag, children)
    if tag in ("munder", "mover", "munderover"):
        return _limits(tag, children)
    if tag == "mmultiscripts":
        return _multiscripts(children)
    if tag == "mtable":
        return _environment(element, _table_kind(element))
    if tag == "mphantom":
        return rf"\phantom{{{_row(children)}}}"
    if tag == "menclose":
        return _enclosed(element, children)
    return _row(children)


def _identifier(element: etree._Element) -> str:
    text = _plain(element)
    if len(text) == 1:
        symbol = _symbol(text)
        upright = element.get("mathvariant") == "normal" and text.isascii() and text.isalpha()
        return rf"\mathrm{{{symbol}}}" if upright else symbol
    if text in _FUNCTIONS:
        return "\\" + text
    styled = [_styled(character) for character in text]
    if styled and all(styled) and len({font for font, _ in filter(None, styled)}) == 1:
        font = next(font for font, _ in filter(None, styled))
        letters = "".join(letter for _, letter in filter(None, styled))
        return rf"\{font}{{{letters}}}" if font else letters
    if text.isascii() and text.isalnum():
        return rf"\mathrm{{{text}}}"
    return _text(element) if text.isalpha() else _join([_symbol(c) for c in text])


def _operator_latex(text: str) -> str:
    compact = text.replace("\u2009", "").replace("\u2006", "").replace(" ", "")
    if compact in _FUNCTIONS:
        return "\\" + compact
    if len(text) > 1 and text.isalpha():
        return rf"\operatorname{{{text}}}"
    return _join([_symbol(character) for character in text])


def _text(element: etree._Element) -> str:
    text = "".join(str(part) for part in element.itertext()).replace("\u00a0", " ")
    if not text.strip():
        return r"\ " if text else ""
    if element.tag == "ms":
        text = f"“{text}”"
    return rf"\text{{{text.translate(_TEXT_ESCAPES)}}}"


def _space(element: etree._Element) -> str:
    match = re.match(r"(-?[\d.]+)em", element.get("width", ""))
    if not match or float(match[1]) <= 0:
        return ""
    width = float(match[1])
    for least, command in ((1.9, r"\qquad"), (0.9, r"\quad"), (0.27, r"\;"), (0.2, r"\:")):
        if width >= least:
            return command
    return r"\,"


def _fraction(element: etree._Element, children: Sequence[etree._Element]) -> str:
    over, under = (_element(child) for child in children)
    if _bare_fraction(element):
        return rf"{{{over} \atop {under}}}"
    return rf"\frac{{{over}}}{{{under}}}"


def _bare_fraction(element: etree._Element) -> bool:
    thickness = element.get("linethickness", "")
    return element.tag == "mfrac" and re.match(r"0[a-z%]*\Z", thickness) is not None


def _scripts(tag: str, children: Sequence[etree._Element]) -> str:
    base = _base(children[0])
    parts = [_element(child) for child in children[1:]]
    if tag == "msub":
        return f"{base}_{_group(parts[0])}"
    above = _superscript(parts[-1])
    return f"{base}_{_group(parts[0])}{above}" if tag == "msubsup" else f"{base}{above}"


def _superscript(latex: str) -> str:
    if latex and not latex.strip("'"):
        return latex
    return "^" + _group(latex.removeprefix("^"))


def _base(element: etree._Element) -> str:
    latex = _element(element)
    composite = element.tag in ("mrow", "mstyle") and len(element) != 1
    # A script on a script is an error in TeX, and a prime counts as one.
    if (composite and latex[-1:] not in ")]|") or element.tag in ("msub", "msup", "msubsup"):
        return f"{{{latex}}}"
    return f"{{{latex}}}" if latex.endswith("'") or not latex else latex


def _group(latex: str) -> str:
    return latex if _BARE.match(latex) else f"{{{latex}}}"


def _limits(tag: str, children: Sequence[etree._Element]) -> str:
    base = children[0]
    names = _plain(base).replace("\u2009", "").replace("\u2006", "").replace(" ", "")
    if names in _LIMITS or names in _BIG_OPERATORS:
        return _scripts({"munder": "msub", "mover": "msup"}.get(tag, "msubsup"), children)
    latex = _element(base)
    if base.tag in ("mover", "munder") and latex.startswith((r"\overbrace", r"\underbrace")):
        return _scripts({"munder": "msub", "mover": "msup"}.get(tag, "msubsup"), children)
    if tag in ("munder", "munderover"):
        name = _UNDER_ACCENTS.get(_plain(children[1]))
        below = _element(children[1])
        latex = rf"\{name}{{{latex}}}" if name else rf"\underset{{{below}}}{{{latex}}}"
    if tag in ("mover", "munderover"):
        name = _ACCENTS.get(_plain(children[-1]))
        if name and len(names) > 1:
            name = _WIDE.get(name, name)
        above = _element(children[-1])
        latex = rf"\{name}{{{latex}}}" if name else rf"\overset{{{above}}}{{{latex}}}"
    return latex


def _multiscripts(children: Sequence[etree._Element]) -> str:
    if not children:
        return ""
    split = next((i for i, c in enumerate(children) if c.tag == "mprescripts"), len(children))
    before = _pairs(children[split + 1 :])
    after = _pairs(children[1:split])
    return ("{}" + before if before else "") + _base(children[0]) + after


def _pairs(children: Sequence[etree._Element]) -> str:
    below = _join([_element(child) for child in children[0::2] if child.tag != "none"])
    above = _join([_element(child) for child in children[1::2] if child.tag != "none"])
    return (f"_{_group(below)}" if below else "") + (f"^{_group(above)}" if above else "")


def _table_kind(table: etree._Element) -> str:
    alignment = [cell.get("columnalign", "") for cell in table.iter("mtd")]
    column = (table.get("columnalign") or "").split()
    if "right" in (*alignment[:1], *column[:1]) and "left" in (*alignment[1:2], *column[1:2]):
        return "aligned"
    return "matrix"


def _environment(table: etree._Element | None, name: str) -> str:
    rows = [] if table is None else [row for row in table if row.tag == "mtr"]
    lines = [" & ".join(_row(list(cell)).strip() for cell in row) for row in rows]
    if name == "aligned":  # alignment marks stand against their operators
        lines = [line.replace(" & ", " &") for line in lines]
    return rf"\begin{{{name}}}" + " " + r" \\ ".join(lines) + " " + rf"\end{{{name}}}"


def _enclosed(element: etree._Element, children: Sequence[etree._Element]) -> str:
    notation = set(element.get("notation", "longdiv").split())
    body = _row(children)
    for names, command in (
        ({"box", "roundedbox"}, "boxed"),
        ({"updiagonalstrike", "downdiagonalstrike"}, "cancel"),
        ({"radical"}, "sqrt"),
        ({"top"}, "overline"),
        ({"bottom"}, "underline"),
    ):
        if notation & names:
            return rf"\{command}{{{body}}}"
    return body


def _plain(element: etree._Element) -> str:
    return "".join(str(part) for part in element.itertext()).strip()


def _operator(element: etree._Element) -> str:
    """The text of an operator; of anything else a character that is none."""
    return _plain(element) if element.tag == "mo" else "\0"


def _symbol(character: str, *, fence: bool = False) -> str:
    if fence and not character:
        return "."
    known = _SYMBOLS.get(character)
    if known is not None:
        return known
    if character.isascii():
        return character
    font = _styled(character)
    if font:
        name, letter = font
        return rf"\{name}{{{letter}}}" if name else letter
    if character in _NAMES:
        return _NAMES[character]
    return rf"\text{{{character}}}" if character.isalpha() else character


def _styled(character: str) -> tuple[str, str] | None:
    """(command, plain letter) of a character from one of the styled alphabets."""
    if character.isascii():
        return None
    name = unicodedata.name(character, "")
    for words, command in _FONTS:
        if name.startswith(words):
            plain = unicodedata.normalize("NFKC", character)
            return command, _SYMBOLS.get(plain) or _NAMES.get(plain) or plain
    return None
