r"""Chemical formulas: LaTeX with `\ce{2H2O}` in, LaTeX that says the same without it out."""

from __future__ import annotations

import re

from dsvl_data.outcome import Reason
from dsvl_data.read.questions.formulas import BadText

_CE = re.compile(r"\\ce\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_ARROWS = {
    "<=>": r"\rightleftharpoons",
    "<->": r"\leftrightarrow",
    "->": r"\rightarrow",
    "<-": r"\leftarrow",
}
_TOKEN = re.compile(
    r"\s*(?P<arrow><=>|<->|->|<-)\s*"
    r"|\s(?P<gas>\^|v)(?=\s|\Z)"
    r"|\s+(?P<plus>\+)\s+"
    r"|(?P<state>\((?:s|l|g|aq)\))"
    r"|(?P<atom>[A-Z][a-z]?|e(?=\^?-))"
    r"|\^(?:\{(?P<braced>\d*[+-])\}|(?P<charge>\d*[+-]))"
    r"|_(?:\{(?P<index>\d+)\}|(?P<digit>\d+))"
    r"|(?P<number>\d+)"
    r"|(?P<bracket>[()\[\]])"
    r"|(?P<sign>[+-])(?=\s|\Z|[)\]])"
    r"|(?P<space>\s+)"
)


def expand_chemistry(latex: str) -> str:
    r"""Rewrite each `\ce{..}`. Raises `BadText` (`BAD_FORMULA`) for what is not understood."""
    return _CE.sub(lambda match: "{" + _expand(match[1]) + "}", latex)


def _expand(source: str) -> str:
    made: list[str] = []
    position = 0
    after_atom = False
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            raise BadText(Reason.BAD_FORMULA, f"chemistry that is not understood: {source[:60]!r}")
        position = match.end()
        kind, text = next((k, v) for k, v in match.groupdict().items() if v is not None)
        if kind == "arrow":
            made.append(f" {_ARROWS[text]} ")
        elif kind == "gas":
            made.append(r"\uparrow " if text == "^" else r"\downarrow ")
        elif kind == "plus":
            made.append(" + ")
        elif kind in ("atom", "state"):
            made.append(rf"\mathrm{{{text}}}")
        elif kind in ("braced", "charge", "sign"):
            made.append(f"^{{{text}}}")
        elif kind in ("index", "digit") or (kind == "number" and after_atom):
            made.append(f"_{{{text}}}")
        else:
            made.append(text)
        after_atom = kind == "atom" or (kind == "bracket" and text in ")]")
    return "".join(made)
