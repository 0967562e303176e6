"""A web page's tree written out as source that a person might have written.

In: the tree that `render.survey` harvests, the style sheet, and what stands for its pictures. Out:
one self-contained HTML document: two spaces a level, no scripts, comments, event handlers or
tracking, and no classes, ids or attributes that nothing refers to.

White space is put only where the browser says that it shows nothing, or where there was some.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from dsvl_data.render.survey import BLOCK, END, FOREIGN, FREE, PRESERVED, START, UNSEEN

#: [tag, flags, attributes (name, value, name, value...), children]
Node: TypeAlias = Any

_LINE = 100  # characters; what fits stays on one line
_MAX_HREF = 200
_VOID = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
})  # fmt: skip
_ATTRIBUTES = frozenset({
    "style", "lang", "dir", "hidden", "href", "alt", "width", "height", "type", "value",
    "placeholder", "checked", "selected", "disabled", "rows", "cols", "size", "rowspan", "colspan",
    "align", "valign", "bgcolor", "border", "cellpadding", "cellspacing", "color", "face", "start",
    "reversed", "open", "multiple", "min", "max", "low", "high", "optimum", "label", "wrap",
    "nowrap", "hspace", "vspace", "clear", "noshade", "span", "controls", "frame", "rules", "text",
    "link", "vlink", "compact", "frameborder", "for", "readonly",
})  # fmt: skip
_NOT_FOREIGN = frozenset({
    "version", "xmlns", "baseprofile", "enable-background", "focusable", "role", "tabindex",
})  # fmt: skip
_SPACE = re.compile(r"[ \t\n\r\f]+")
_REFERENCE = re.compile(r"#([^\s\"')]+)")
_TRACKING = re.compile(r"(?:utm_\w+|gclid|fbclid|mc_[ce]id|msclkid|igshid|ref_src)=[^&#]*&?")
_GLUE, _GAP, _FREE = 0, 1, 2  # no white space may stand here, some must, some may


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes a tree.

    `names` are the classes, ids and attributes that the style sheet mentions (`.a`, `#b`, `[c`);
    None keeps all classes. `picture(url, width, height)` gives the address that stands for a
    picture of that natural size, `style(text)` a `style` attribute as it shall be; `whole` keeps
    what cannot be seen.
    """

    names: frozenset[str] | None
    picture: Callable[[str, str, str], str]
    style: Callable[[str], str]
    whole: bool = False
    referred: set[str] = field(default_factory=set)

    def document(self, tree: Node, css: str, doctype: Sequence[str] | None) -> str:
        """Write the document whose root is `tree`, with `css` as its one style sheet."""
        self.referred.clear()
        self.referred.update(_references(tree))
        no_head: Node = ["head", FREE, [], []]
        head = next((c for c in tree[3] if _is(c, "head")), no_head)
        bodies = [c for c in tree[3] if _is(c, "body")]
        lines = [_doctype(doctype)] if doctype else []
        lines += [self._open(tree), self._open(head), '  <meta charset="utf-8">']
        lines.append('  <meta name="viewport" content="width=device-width, initial-scale=1">')
        titles = [c for c in head[3] if _is(c, "title")]
        for title in titles[:1]:
            words = "".join(part for part in title[3] if isinstance(part, str)).split()
            lines.append(f"  <title>{_escape(' '.join(words)[:200])}</title>")
        if css:
            lines += ["  <style>", css.replace("</", "<\\/"), "  </style>"]
        lines.append("</head>")
        lines += [self._element(body, 0) for body in bodies[:1]]
        lines.append("</html>")
        return "\n".join(lines) + "\n"

    def _element(self, node: Node, depth: int) -> str:
        tag, flags, _, children = node
        opening = self._open(node)
        if tag in _VOID and not flags & FOREIGN:
            return opening
        closing = f"</{tag}>"
        if flags & PRESERVED:
            inner = "".join(self._raw(child) for child in children if self._shown(child))
            # A parser drops a newline right at the start.
            feed = "\n" if tag in ("pre", "textarea", "listing") and inner.startswith("\n") else ""
            return opening + feed + inner + closing
        parts, gaps, blocks = self._parts(node, depth)
        if not parts and flags & FOREIGN:
            return opening[:-1] + " />"
        if not parts:
            return opening + (" " if _GAP in gaps else "") + closing
        flat = opening
        for gap, part in zip(gaps, [*parts, closing], strict=True):
            flat += (" " if gap == _GAP else "") + part
        elements = sum(1 for c in children if not isinstance(c, str) and self._shown(c))
        lined = blocks or (flags & FREE and elements > 1)
        if tag != "body" and not lined and "\n" not in flat and len(flat) + 2 * depth <= _LINE:
            return flat
        return self._lined(opening, parts, closing, gaps, depth)

    def _lined(
        self, opening: str, parts: Sequence[str], closing: str, gaps: Sequence[int], depth: int
    ) -> str:
        """Join with line breaks where white space may stand."""
        out = [opening]
        last = opening
        for number, (gap, part) in enumerate(zip(gaps, [*parts, closing], strict=True)):
            level = depth + (number < len(parts))
            broken = gap == _FREE or (
                gap == _GAP
                and (
                    "\n" in part
                    or "\n" in last
                    or (part.startswith("<") and last.endswith(">"))
                    or number in (0, len(parts))
                )
            )
            out.append("\n" + "  " * level if broken else " " * (gap == _GAP))
            out.append(part)
            last = part
        return "".join(out)

    def _parts(self, node: Node, depth: int) -> tuple[list[str], list[int], bool]:
        """The children as text, what may stand between them, and whether any is a block."""
        flags = node[1]
        parts: list[str] = []
        gaps: list[int] = []
        space = False  # white space since the last part
        block = True  # the last part, or the start, is one beside which white space is nothing
        any_block = False
        start = bool(flags & (FREE | START))
        for child in node[3]:
            if isinstance(child, str):
                text = _SPACE.sub(" ", child)
                core = text.strip(" ")
                if not core:
                    space = True
                    continue
                space = space or text[0] == " "
                gaps.append(_gap(flags, space, start if not parts else block))
                parts.append(_escape(core))
                space, block = text[-1] == " ", False
                continue
            if not self._shown(child):
                continue
            is_block = bool(child[1] & BLOCK)
            any_block = any_block or is_block
            beside = is_block or (start if not parts else block)
            gaps.append(_gap(flags, space, beside))
            parts.append(self._element(child, depth + 1))
            space, block = False, is_block
        gaps.append(_gap(flags, space, bool(flags & (FREE | END)) or (bool(parts) and block)))
        return parts, gaps, any_block

    def _raw(self, child: Node) -> str:
        if isinstance(child, str):
            return _escape(child)
        tag, flags, _, children = child
        if tag in _VOID and not flags & FOREIGN:
            return self._open(child)
        inner = "".join(self._raw(each) for each in children if self._shown(each))
        return f"{self._open(child)}{inner}</{tag}>"

    def _shown(self, node: Node) -> bool:
        if isinstance(node, str):
            return True
        if node[1] & FOREIGN and (":" in node[0] or node[0] in ("metadata", "title", "desc")):
            return False
        return self.whole or not node[1] & UNSEEN

    def _open(self, node: Node) -> str:
        written = []
        for name, value in self._attributes(node):
            quoted = value.replace("&", "&amp;").replace('"', "&quot;").replace("\u00a0", "&nbsp;")
            written.append(f' {name}="{quoted}"' if value else f" {name}")
        return f"<{node[0]}{''.join(written)}>"

    def _attributes(self, node: Node) -> Iterator[tuple[str, str]]:
        tag, flags, flat, _ = node
        attributes = dict(zip(flat[::2], flat[1::2], strict=True))
        width, height = attributes.pop("~width", ""), attributes.pop("~height", "")
        for name, value in attributes.items():
            if name == "class":
                classes = [c for c in value.split() if self._used("." + c)]
                if classes:
                    yield name, " ".join(classes)
            elif name == "id":
                if self._used("#" + value) or value in self.referred:
                    yield name, value
            elif name == "style":
                value = self.style(value)
                if value:
                    yield name, value
            elif name.startswith("on"):
                continue
            elif name in ("src", "poster") or (name == "background" and not flags & FOREIGN):
                if tag in ("img", "input") or name != "src":
                    yield name, self.picture(value, width, height)
            elif flags & FOREIGN:
                if name in ("href", "xlink:href") and not value.startswith("#"):
                    if tag in ("image", "feImage"):
                        yield "href", self.picture(value, "", "")
                elif (
                    not name.startswith(("data-", "aria-", "xmlns", "xml:"))
                    and (":" not in name or name == "xlink:href")
                    and name.lower() not in _NOT_FOREIGN
                ):
                    yield name, value
            elif name == "href":
                yield name, _link(value)
            elif name == "name":
                if tag == "input" and attributes.get("type", "").lower() == "radio":
                    yield name, value  # one of a group is checked
            elif name in _ATTRIBUTES or "[" + name in (self.names or ()):
                yield name, value

    def _used(self, name: str) -> bool:
        return self.names is None or name in self.names


def _gap(flags: int, space: bool, free: bool) -> int:
    if flags & FREE or free:
        return _FREE
    return _GAP if space else _GLUE


def _is(node: Node, tag: str) -> bool:
    return not isinstance(node, str) and node[0] == tag


def _references(node: Node) -> Iterator[str]:
    if isinstance(node, str):
        return
    for name, value in zip(node[2][::2], node[2][1::2], strict=True):
        if name in ("for", "list"):
            yield value
        elif "#" in value and name not in ("class", "id"):
            yield from _REFERENCE.findall(value)
    for child in node[3]:
        yield from _references(child)


def _link(value: str) -> str:
    """A link's address, without what follows its readers about."""
    value = value.strip()
    try:
        parts = urlsplit(value)
    except ValueError:
        return "#"
    if parts.scheme.lower() not in ("", "http", "https", "mailto", "tel") or len(value) > _MAX_HREF:
        return "#"
    return _TRACKING.sub("", value).rstrip("?&") or "#" if parts.query else value


def _doctype(doctype: Sequence[str]) -> str:
    _, public, system = doctype
    if not public or '"' in public + system or ">" in public + system:
        return "<!DOCTYPE html>"
    return f'<!DOCTYPE html PUBLIC "{public}"' + (f' "{system}">' if system else ">")


def _escape(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("\u00a0", "&nbsp;")
