r"""Plain text as people write it in question banks: where its formulas are.

In: text with LaTeX between dollars or `\(..\)`, tables in LaTeX, a little of LaTeX's prose
commands, and sums of money. Out: the text's parts in order: strings, `Formula`s, `Table`s,
`Heading`s. A formula whose ends cannot be told is a `BadText`, never a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from dsvl_data.outcome import Reason


class BadText(ValueError):
    """A text that cannot be shown as it stands, and the reason for the ledger."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Formula:
    """LaTeX without its delimiters."""

    latex: str
    display: bool


@dataclass(frozen=True, slots=True)
class Table:
    """The cells of a `tabular`, as texts that may hold formulas themselves."""

    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Heading:
    r"""What `\section*{..}` says."""

    text: str


Part: TypeAlias = str | Formula | Table | Heading

_MATH_ENVIRONMENTS = r"(?:equation|align|alignat|gather|multline|eqnarray)\*?"
_OPENING = re.compile(
    r"\\\$|\$\$|\$|\\\[|\\\(|\\begin\{(?P<table>tabular|array)\}"
    rf"|\\begin\{{(?P<env>{_MATH_ENVIRONMENTS})\}}"
    r"|\\(?:sub)*section\*?\{(?P<heading>[^{}$]*)\}"
    r"|!\[[^\]\n]*\]\((?P<image>[^)\s]+)\)"
)
_OPENING_HTML = re.compile(
    rf"\$\$|\\\[|\\\(|\\begin\{{(?P<env>{_MATH_ENVIRONMENTS})\}}"
    r"|(?P<table>(?!))(?P<heading>)(?P<image>)"
)
_SINGLE = re.compile(r"(?<!\\)\$")
_CHEMISTRY = re.compile(r"\\(?:ce|pu|cf)\s*\{")
_PROSE_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_TEXT_ARGUMENT = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathsf|mathit|operatorname|mbox|hbox|ce)\*?"
    r"\s*\{[^{}]*\}|\\(?:begin|end)\s*\{[^{}]*\}"
)
_COMMAND = re.compile(r"\\[A-Za-z]+")
# A command of which some program has eaten the backslash: `factorial{n}`.
_BARE_COMMAND = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}\s?\{")
# Escapes of string literals that ate the beginning of a command: form feed + rac is \frac. A
# line break may be what a later program made of a form feed or a carriage return.
_EATEN = (
    (re.compile(r"[\f\n]rac(?=\s*\{)"), r"\\frac"),
    (re.compile(r"\f(?=[a-z])"), r"\\f"),
    (re.compile(r"[\r\n]ight(?=arrow(?![A-Za-z])|[)\]}|.>/\\])"), r"\\right"),
    (re.compile(r"\r(?=(?:angle|ho|ceil|floor|brace)(?![a-z]))"), r"\\r"),
    (re.compile(r"\x08(?=(?:eta|ar|egin|oxed|inom|ullet|ig|mod|ot)(?![a-z]))"), r"\\b"),
    (re.compile(r"\t(?=(?:imes|heta|ext|an|au|o|riangle|ilde|frac)(?![a-z]))"), r"\\t"),
    (re.compile(r"\x07(?=(?:lpha|pprox|ngle|st|rctan)(?![a-z]))"), r"\\a"),
    (re.compile(r"\x0b(?=(?:ec|arphi|ert|arepsilon|dots)(?![a-z]))"), r"\\v"),
)
_PROSE = (
    (re.compile(r"\\(?:textbf|textit|emph|text|textrm|underline|mbox)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\(?:qquad|quad)(?![A-Za-z])"), " "),
    (re.compile(r"\\([%&#{}])"), r"\1"),
    (re.compile(r"\\_"), "_"),
)
# A command that is one sign is that sign wherever it stands; `\\frac` is nothing without a formula.
_SIGNS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "Delta": "Δ", "epsilon": "ε",
    "theta": "θ", "lambda": "λ", "mu": "μ", "pi": "π", "rho": "ρ", "sigma": "σ", "Sigma": "Σ",
    "tau": "τ", "phi": "φ", "omega": "ω", "Omega": "Ω", "times": "×", "cdot": "·", "div": "÷",
    "pm": "±", "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥", "neq": "≠", "ne": "≠",
    "approx": "≈", "infty": "∞", "in": "∈", "notin": "∉", "cup": "∪", "cap": "∩",
    "subset": "⊂", "forall": "∀", "exists": "∃", "angle": "∠", "rightarrow": "→", "to": "→",
    "Rightarrow": "⇒", "therefore": "∴", "triangle": "△", "perp": "⊥", "ldots": "…",
    "dots": "…",
}  # fmt: skip
_SIGN = re.compile(rf"\\({'|'.join(_SIGNS)})(?![A-Za-z]) ?(?![\^_]\{{)")
_MATH_IN_PROSE = re.compile(
    r"\\(?:[dt]?frac|sqrt|times|cdot|pi|alpha|beta|gamma|theta|omega|lambda|mu|sigma|Delta|delta"
    r"|leq?|geq?|neq|approx|infty|angle|overline|mathrm|mathbf|mathbb|left|right|begin|end|circ"
    r"|sum|int|boxed|rightarrow|Rightarrow|therefore|triangle|ce|sin|cos|tan|log|ln)(?![A-Za-z])"
)


def split_text(text: str, *, html: bool = False) -> list[Part]:
    r"""Split a text at its formulas.

    In HTML a single dollar is a dollar. Raises `BadText` (`BAD_FORMULA`, `MISSING_IMAGE` for a
    Markdown image).
    """
    bare = None if html else _bare_formula(text)
    if bare is not None:
        return [bare]
    parts: list[Part] = []
    prose: list[str] = []
    position = 0
    opening = _OPENING_HTML if html else _OPENING

    def flush() -> None:
        if joined := "".join(prose):
            parts.append(joined if html else _prose(joined))
        prose.clear()

    while match := opening.search(text, position):
        prose.append(text[position : match.start()])
        opened, position = match.group(), match.end()
        if opened == r"\$":
            prose.append("$")
        elif opened == "$":
            end = _single_end(text, match.start())
            if end is None:
                prose.append("$")
                continue
            flush()
            parts.append(_formula(text[match.end() : end], False))
            position = end + 1
        elif match["image"]:
            raise BadText(Reason.MISSING_IMAGE, f"an image of another place: {match['image'][:80]}")
        elif (
            match["heading"] is not None
            and opened.endswith("}")
            and not match["env"]
            and not match["table"]
        ):
            flush()
            parts.append(Heading(match["heading"].strip()))
        elif match["table"]:
            flush()
            inner, position = _until(text, match.end(), rf"\end{{{match['table']}}}")
            parts.append(_table(inner))
        elif match["env"]:
            flush()
            closing = rf"\end{{{match['env']}}}"
            inner, position = _until(text, match.end(), closing)
            parts.append(_formula(opened + inner + closing, True))
        else:
            flush()
            closing = {"$$": "$$", r"\[": r"\]", r"\(": r"\)"}[opened]
            inner, position = _until(text, match.end(), closing)
            parts.append(_formula(inner, opened != r"\("))
    prose.append(text[position:])
    flush()
    return parts


def _until(text: str, start: int, closing: str) -> tuple[str, int]:
    end = text.find(closing, start)
    if end < 0:
        raise BadText(
            Reason.BAD_FORMULA, f"nothing closes the formula {text[start - 2 : start + 40]!r}"
        )
    return text[start:end], end + len(closing)


def _single_end(text: str, start: int) -> int | None:
    """Where the formula that a dollar at `start` opens ends; None when it is money."""
    after = text[start + 1 : start + 2]
    closing = _SINGLE.search(text, start + 1)
    inner = text[start + 1 : closing.start()] if closing else ""
    if after.isdigit() or (after == "." and text[start + 2 : start + 3].isdigit()):
        if closing is None or _is_money(inner, text[closing.end() : closing.end() + 1]):
            return None
    elif after in ("", " ", "\n") and closing is None:
        return None  # a lone dollar sign
    if closing is None:
        raise BadText(
            Reason.BAD_FORMULA, f"a dollar without its partner: {text[start : start + 40]!r}"
        )
    # Prose between two dollars: one of them lacks its own partner.
    words = _PROSE_WORD.findall(_COMMAND.sub(" ", _TEXT_ARGUMENT.sub(" ", inner)))
    if "\n\n" in inner or (len(words) > 2 and len(" ".join(words)) > 0.6 * len(inner.strip())):
        raise BadText(Reason.BAD_FORMULA, f"prose where a formula should be: {inner[:40]!r}")
    return closing.start()


def _is_money(inner: str, after: str) -> bool:
    words = _PROSE_WORD.findall(_COMMAND.sub(" ", _TEXT_ARGUMENT.sub(" ", inner)))
    if len(words) > 2:
        return True
    if "\\" in inner:
        return False
    if any(sign in inner for sign in "^_{"):
        return after.isdigit() and bool(words)
    return after.isdigit() or bool(words) or inner.endswith((" ", "(", "\n"))


def _formula(latex: str, display: bool) -> Formula:
    for pattern, mended in _EATEN:
        latex = pattern.sub(mended, latex)
    plain = _TEXT_ARGUMENT.sub(" ", latex)
    bare = _BARE_COMMAND.search(plain)
    if bare and not _CHEMISTRY.search(latex):
        raise BadText(Reason.BAD_FORMULA, f"a command without its backslash: {bare.group()!r}")
    stray = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", latex)
    if stray:
        raise BadText(Reason.BAD_FORMULA, f"a control character in a formula: {latex[:40]!r}")
    return Formula(latex.strip(), display)


def _bare_formula(text: str) -> Formula | None:
    r"""A text that is all LaTeX, without dollars: `8\pi`, `-\frac{1}{256}`."""
    stripped = text.strip()
    if "$" in text or "\n" in stripped or not _MATH_IN_PROSE.search(stripped):
        return None
    if stripped.startswith((r"\(", r"\[")) or len(stripped) > 300:
        return None
    if _PROSE_WORD.search(_COMMAND.sub(" ", _TEXT_ARGUMENT.sub(" ", stripped))):
        return None
    return _formula(stripped, False)


def _prose(text: str) -> str:
    for pattern, plain in _PROSE:
        text = pattern.sub(plain, text)
    text = _SIGN.sub(
        lambda match: _SIGNS[match[1]] + (" " if match.group()[-1] == " " else ""), text
    )
    lost = _MATH_IN_PROSE.search(text) or re.search(r"[\f\n]rac\{", text)
    if lost:
        around = text[max(0, lost.start() - 10) : lost.end() + 30]
        raise BadText(Reason.BAD_FORMULA, f"LaTeX outside of a formula: {around!r}")
    return text


def _table(inner: str) -> Table:
    columns = re.match(r"\s*\{(?:[^{}]|\{[^{}]*\})*\}", inner)
    body = inner[columns.end() :] if columns else inner
    body = re.sub(r"\\(?:hline|toprule|midrule|bottomrule)|\\cline\{[^{}]*\}", "", body)
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", body) if row.strip()]
    cells = tuple(tuple(c.strip() for c in re.split(r"(?<!\\)&", row)) for row in rows)
    if not cells or any(r"\multi" in cell for row in cells for cell in row):
        raise BadText(Reason.BAD_FORMULA, "a LaTeX table that is empty or has merged cells")
    return Table(cells)
