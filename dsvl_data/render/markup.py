"""What an HTML or JavaScript output is, told from its source alone, so that no browser is asked.

In: an output. Out: whether it may draw, is a table, is only text or loads a library; and, for
plots that are stored as JSON, the HTML that draws them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal, Protocol

# Each takes what is not closed to the end: else a hostile text costs the square of its length.
_SCRIPT = re.compile(r"<script\b.*?(?:</script\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_SILENT = re.compile(
    r"<!--.*?(?:-->|\Z)|<(style|template|title)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE
)
_ELEMENT = re.compile(r"<([a-zA-Z][\w-]*)")
_TAG = re.compile(r"<[^<>]*>")
# What is no tag to balance, else a tag; its attributes are bounded, so that the search is linear.
_PIECE = re.compile(
    r"<script\b.*?(?:</script\s*>|\Z)|<style\b.*?(?:</style\s*>|\Z)|<!--.*?(?:-->|\Z)"
    r"|<(?P<end>/?)(?P<name>[a-zA-Z][\w-]*)(?:\"[^\"]*+\"|'[^']*+'|[^\"'<>]++){0,64}+>",
    re.DOTALL | re.IGNORECASE,
)
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"]
)
_GRAPHIC = frozenset({"canvas", "svg", "img", "picture", "iframe", "embed", "object", "video"})
_NO_PLACE = frozenset({"html", "head", "body", "meta", "link", "base", "script", "br"})
# The frame of a table that Colab puts pandas data into: buttons with icons and scripts.
_DATA_FRAME = re.compile(r"class=\"[^\"]*\bdataframe\b")
_LOADERS = ("application/vnd.bokehjs_load.v0+json", "application/vnd.holoviews_load.v0+json")

_PLOTLY = "application/vnd.plotly.v1+json"
_VEGA = re.compile(r"application/vnd\.(vega|vegalite)\.v(\d+)(?:\.[\d.]+)?\+json")
_PLOTLY_ADDRESS = "https://cdn.plot.ly/plotly-latest.min.js"


class _Output(Protocol):
    @property
    def media_type(self) -> str: ...
    @property
    def payload(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Markup:
    """`figure`: shows a picture, or may once its scripts ran; `library`: a script for others."""

    kind: Literal["figure", "table", "text", "library"]
    scripted: bool


def is_plot_json(media_type: str) -> bool:
    """Whether this media type is a plot's JSON that a library draws (plotly, vega)."""
    return media_type == _PLOTLY or _VEGA.fullmatch(media_type) is not None


def markup_of(output: _Output) -> Markup:
    """Tell what an output is."""
    if output.media_type == "application/javascript":
        return Markup("figure", True)
    if output.media_type in _LOADERS:
        return Markup("library", True)
    if is_plot_json(output.media_type):
        return Markup("figure", True)
    if output.media_type != "text/html":
        return Markup("figure", False)
    return _html(output.payload)


def is_library(output: _Output) -> bool:
    """Whether later plots may need the scripts of this output: a library, or one that holds one."""
    markup = markup_of(output)
    large = isinstance(output.payload, str) and len(output.payload) > 200_000
    return markup.kind == "library" or (markup.scripted and large)


def as_html(output: _Output) -> tuple[str, Any]:
    """Return media type and payload as nbconvert can show them: it knows no plots in JSON."""
    payload = output.payload
    if output.media_type in ("application/javascript", *_LOADERS):
        # Jupyter runs a script in a function: what it declares is its own, and so is `element`.
        script = f"(function(element) {{\n{payload}\n}}).call(window, element);"
        return "application/javascript", script
    if output.media_type == _PLOTLY and isinstance(payload, dict):
        arguments = ", ".join(_json(payload.get(k, d)) for k, d in (("data", []), ("layout", {})))
        return "text/html", (
            '<div class="plot" style="width: 100%"></div><script>(() => {'
            "const place = document.currentScript.previousElementSibling;"
            f"const draw = () => Plotly.newPlot(place, {arguments});"
            "if (window.Plotly) { draw(); return; }"
            "const script = document.createElement('script');"
            f"script.src = '{_PLOTLY_ADDRESS}'; script.onload = draw;"
            "document.head.append(script); })()</script>"
        )
    vega = _VEGA.fullmatch(output.media_type)
    if vega is not None:
        lite = f"vega-lite@{vega[2]}" if vega[1] == "vegalite" else ""
        base = "vega@6" if (not lite and vega[2] == "6") or lite.endswith("@6") else "vega@5"
        embed = "vega-embed@7" if base == "vega@6" else "vega-embed@6"
        sources = [f"https://cdn.jsdelivr.net/npm/{n}" for n in (base, lite, embed) if n]
        tags = "".join(f'<script src="{source}"></script>' for source in sources)
        return "text/html", (
            f'<div class="plot"></div>{tags}<script>'
            "vegaEmbed(document.currentScript.parentElement.querySelector('.plot'),"
            f" {_json(payload)}, {{actions: false}})</script>"
        )
    if output.media_type.startswith("image/") and output.media_type not in (
        "image/png",
        "image/jpeg",
        "image/svg+xml",
    ):
        source = "".join(str(payload).split())
        return "text/html", f'<img src="data:{output.media_type};base64,{_attribute(source)}">'
    if output.media_type == "text/html":
        return output.media_type, balanced(str(payload))
    return output.media_type, payload


def balanced(source: str) -> str:
    """Close what HTML leaves open and drop end tags of nothing.

    Jupyter gives each output an element of its own, which its markup cannot leave; on
    nbconvert's page, which is one text, it could.
    """
    out: list[str] = []
    stack: list[str] = []
    position = 0
    for piece in _PIECE.finditer(source):
        name = (piece["name"] or "").lower()
        out.append(source[position : piece.start()])
        position = piece.end()
        if piece["end"]:
            if name not in stack:
                continue
            while stack.pop() != name:
                pass
        elif name and name not in _VOID and not piece[0].endswith("/>"):
            stack.append(name)
        out.append(piece[0])
    out.append(source[position:])
    return "".join(out) + "".join(f"</{name}>" for name in reversed(stack))


def _html(source: Any) -> Markup:
    if not isinstance(source, str):
        return Markup("text", False)
    body = _SCRIPT.sub("", source)
    scripted = len(body) != len(source)
    body = _SILENT.sub("", body)
    elements = {name.lower() for name in _ELEMENT.findall(body)}
    if "table" in elements and (_DATA_FRAME.search(body) or not (scripted or elements & _GRAPHIC)):
        return Markup("table", False)
    if elements & _GRAPHIC:
        return Markup("figure", scripted or "iframe" in elements)
    if scripted:
        return Markup("figure" if elements - _NO_PLACE else "library", True)
    if "id=" in body and not _TAG.sub("", body).strip():
        return Markup("figure", True)  # an empty place, which the next output's script fills
    return Markup("text", False)


def _json(value: Any) -> str:
    return json.dumps(value).replace("</", "<\\/").replace("<!--", "<\\!--")


def _attribute(value: str) -> str:
    return value.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
