r"""A page's Markdown in; out comes the first of its formulas that a dollar breaks."""

from __future__ import annotations

import re

_WRITTEN_FORMULA = re.compile(r"(?<!\\)\\(?:\((.*?)(?<!\\)\\\)|\[(.*?)(?<!\\)\\\])")
_DOLLAR = re.compile(
    r"(?P<box>\\(?:text[a-z]*|[hmf]box|makebox|framebox|tag\*?)\s*(?=\{))|\\.|(?P<brace>[{}$])",
    re.DOTALL,
)


def formula_with_dollar(markdown: str) -> str:
    r"""The first formula with a dollar outside text (`\text{..}`, `\mbox{..}`), "" if none has.

    A formula within a formula is no TeX: a binding of LaTeXML's has put it there.
    """
    for found in _WRITTEN_FORMULA.finditer(markdown):
        tex = found[1] or found[2] or ""
        if "$" not in tex:
            continue
        boxes: list[int] = []  # the depths at which text begins
        depth, opens_box = 0, False
        for token in _DOLLAR.finditer(tex):
            brace = token["brace"]
            if brace == "{":
                depth += 1
                if opens_box:
                    boxes.append(depth)
            elif brace == "}":
                if boxes and boxes[-1] == depth:
                    boxes.pop()
                depth -= 1
            elif brace == "$" and not boxes:
                return tex
            opens_box = token["box"] is not None
    return ""
