"""Style sheets as their author wrote them: parsed, and written out for people to read.

In: CSS. Out: `Sheet`s of rules, parsed once and kept; and text again. Values stay as they were
written: a browser's own serialisation turns `#fff` into `rgb(255, 255, 255)`, and loses shorthands
with variables.

Left out at once is what no picture of a page shows: `@font-face` (no web font is ever loaded),
`@page`, other browsers' properties, and properties without a look of their own (`cursor`,
`transition`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import tinycss2

#: Depth of rules in rules; deeper ones are dropped.
_MAX_DEPTH = 16
_UNSEEN = re.compile(
    r"transition(-.+)?|-webkit-transition(-.+)?|cursor|will-change|touch-action|scroll-behavior|"
    r"(-webkit-)?user-select|-webkit-tap-highlight-color|-webkit-overflow-scrolling|pointer-events|"
    r"-(moz|ms|o|khtml)-.+|[^\w-].*"
)
_OLD_PSEUDO_ELEMENTS = frozenset({"before", "after", "first-line", "first-letter"})
#: Pseudo-elements that no picture of a page shows, or no Chromium.
_UNSEEN_PSEUDO = re.compile(
    r"selection|-webkit-(scrollbar|resizer|calendar).*|-(moz|ms|o)-.*|backdrop|cue.*|target-text|"
    r"spelling-error|grammar-error|highlight|view-transition.*"
)
_GROUPS = frozenset({"media", "supports", "layer", "container", "scope", "import"})
_URL = re.compile(
    r"""url\(\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|((?:[^)"'\s\\]|\\.)*))\s*\)""",
    re.IGNORECASE,
)
_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))", re.DOTALL)

#: Finds what stands for the URL of a picture, as the sheet writes it; None when nothing does.
Substitute: TypeAlias = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector of a list. `probe` finds the elements that it styles, in a whole document.

    `needs` are the classes and ids without which it cannot match; `names` all that it mentions
    (`.class`, `#id`, `[attribute`).
    """

    text: str
    probe: str
    needs: frozenset[str]
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Declaration:
    """A property and its value as written, `!important` included."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Style:
    """Selectors with their declarations, and rules nested in them."""

    selectors: tuple[Selector, ...]
    declarations: tuple[Declaration, ...]
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class At:
    """An at-rule: a group of rules, or (`rules` is None) text as it stands, perhaps a body too."""

    keyword: str
    prelude: str
    rules: tuple[Rule, ...] | None = None
    body: tuple[Declaration | Style, ...] | None = None


Rule: TypeAlias = Style | At


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rules of a style sheet. `media` is the condition under which it holds, or empty."""

    rules: tuple[Rule, ...]
    media: str = ""
    layer: str | None = None
    base: str = ""


@lru_cache(maxsize=32)
def parse_rules(text: str) -> tuple[Rule, ...]:
    """Parse a style sheet; what is no CSS is left out, as a browser would."""
    nodes = tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True)
    return tuple(_rules(nodes, (), 0))


@lru_cache(maxsize=4096)
def parse_declarations(text: str) -> tuple[Declaration, ...]:
    """Parse the value of a `style` attribute."""
    nodes = tinycss2.parse_blocks_contents(text, skip_comments=True, skip_whitespace=True)
    return tuple(_declarations(nodes))


def write_declarations(declarations: Iterable[Declaration], substitute: Substitute) -> str:
    """Write declarations on one line, for a `style` attribute; pictures are substituted."""
    return "; ".join(f"{d.name}: {d.value}" for d in substituted(declarations, substitute))


def imports_of(rules: Sequence[Rule]) -> list[At]:
    """The `@import`s at the head of a sheet."""
    found = []
    for rule in rules:
        if isinstance(rule, At) and rule.keyword == "import":
            found.append(rule)
        elif not (isinstance(rule, At) and rule.keyword == "layer" and rule.rules is None):
            break
    return found


def import_parts(rule: At) -> tuple[str, str, str | None, str]:
    """The URL, media condition, layer and supports condition of an `@import`."""
    tokens = [t for t in tinycss2.parse_component_value_list(rule.prelude) if t.type != "comment"]
    tokens = tokens[next((i for i, t in enumerate(tokens) if t.type != "whitespace"), 0) :]
    if not tokens:
        return "", "", None, ""
    head, rest = tokens[0], tokens[1:]
    if head.type in ("url", "string"):
        url = str(head.value)
    elif head.type == "function" and head.lower_name == "url" and head.arguments:
        url = str(getattr(head.arguments[0], "value", ""))
    else:
        return "", "", None, ""
    layer: str | None = None
    supports, media = "", list[Any]()
    for token in rest:
        if token.type == "ident" and token.lower_value == "layer" and not media:
            layer = ""
        elif token.type == "function" and token.lower_name == "layer" and not media:
            layer = tinycss2.serialize(token.arguments).strip()
        elif token.type == "function" and token.lower_name == "supports" and not media:
            supports = tinycss2.serialize(token.arguments).strip()
        elif media or token.type != "whitespace":
            media.append(token)
    return url, tinycss2.serialize(media).strip(), layer, supports


def write(rules: Iterable[Rule], indent: str = "") -> str:
    """Write rules out, two spaces a level and a line for each declaration."""
    lines: list[str] = []
    for rule in rules:
        _write(rule, indent, lines)
    return "\n".join(lines)


def unescape(text: str) -> str:
    """Undo CSS's escapes in a name or URL."""

    def character(match: re.Match[str]) -> str:
        if match[1]:
            code = int(match[1], 16)
            return chr(code) if 0 < code < 0x110000 else "\ufffd"
        return "" if match[2] == "\n" else match[2]

    return _ESCAPE.sub(character, text) if "\\" in text else text


def substitute_urls(value: str, substitute: Substitute) -> str | None:
    """Replace each `url(..)` in a value; None when one of them has no substitute."""
    missing = False

    def one(match: re.Match[str]) -> str:
        nonlocal missing
        url = unescape(next((group for group in match.groups() if group is not None), ""))
        if url.startswith("#"):
            return match[0]
        found = substitute(url)
        missing = missing or found is None
        return f'url("{found}")'

    replaced = _URL.sub(one, value)
    return None if missing else replaced


def _rules(nodes: Iterable[Any], parents: tuple[Selector, ...], depth: int) -> Iterator[Rule]:
    for node in nodes:
        if node.type == "qualified-rule":
            style = _style(node, parents, depth)
            if style is not None:
                yield style
        elif node.type == "at-rule":
            rule = _at_rule(node, parents, depth)
            if rule is not None:
                yield rule


def _style(node: Any, parents: tuple[Selector, ...], depth: int) -> Style | None:
    selectors = tuple(_selector(tokens, parents) for tokens in _split(node.prelude))
    if depth >= _MAX_DEPTH or not all(s.text for s in selectors):
        return None
    nodes = tinycss2.parse_blocks_contents(node.content, skip_comments=True, skip_whitespace=True)
    nested = tuple(_rules(nodes, selectors, depth + 1))
    return Style(selectors, tuple(_declarations(nodes)), nested)


def _at_rule(node: Any, parents: tuple[Selector, ...], depth: int) -> At | None:
    keyword = node.lower_at_keyword
    prelude = " ".join(tinycss2.serialize(_plain(node.prelude)).split())
    if node.content is None:
        return At(keyword, prelude) if keyword in ("layer", "namespace", "import") else None
    if keyword in _GROUPS:
        if depth >= _MAX_DEPTH:
            return None
        nodes = tinycss2.parse_blocks_contents(
            node.content, skip_comments=True, skip_whitespace=True
        )
        rules = list(_rules(nodes, parents, depth + 1))
        bare = tuple(_declarations(nodes))
        if bare and parents:  # conditional declarations within a nested rule
            rules.insert(0, Style((_selector_text("&", parents),), bare))
        return At(keyword, prelude, tuple(rules))
    if keyword.endswith("keyframes") or keyword in ("property", "counter-style"):
        nodes = tinycss2.parse_blocks_contents(
            node.content, skip_comments=True, skip_whitespace=True
        )
        frames: list[Declaration | Style] = list(_declarations(nodes))
        for frame in nodes:
            if frame.type == "qualified-rule":
                inner = tinycss2.parse_blocks_contents(
                    frame.content, skip_comments=True, skip_whitespace=True
                )
                name = tinycss2.serialize(_plain(frame.prelude)).strip()
                selector = Selector(name, "", frozenset(), frozenset())
                frames.append(Style((selector,), tuple(_declarations(inner))))
        return At(keyword, prelude, None, tuple(frames))
    return None


def _declarations(nodes: Iterable[Any]) -> Iterator[Declaration]:
    for node in nodes:
        if node.type != "declaration":
            continue
        name = node.name if node.name.startswith("--") else node.lower_name
        if not name.startswith("--") and _UNSEEN.fullmatch(name):
            continue
        value = " ".join(tinycss2.serialize(_plain(node.value)).split())
        if "\\9" in value or "\\0" in value or value.lower().startswith(("expression(", "progid:")):
            continue
        yield Declaration(name, value + (" !important" if node.important else ""))


def _plain(tokens: Iterable[Any]) -> list[Any]:
    return [token for token in tokens if token.type != "comment"]


def _split(tokens: Sequence[Any]) -> Iterator[list[Any]]:
    part: list[Any] = []
    for token in _plain(tokens):
        if token.type == "literal" and token.value == ",":
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _selector_text(text: str, parents: tuple[Selector, ...]) -> Selector:
    return _selector(tinycss2.parse_component_value_list(text), parents)


def _selector(tokens: Sequence[Any], parents: tuple[Selector, ...]) -> Selector:
    text = " ".join(tinycss2.serialize(tokens).split())
    probe: list[Any] = []
    position, unseen = 0, False
    while position < len(tokens):
        token = tokens[position]
        following = tokens[position + 1 : position + 3]
        if _is(token, ":") and len(following) == 2 and _is(following[0], ":"):
            unseen = unseen or bool(_UNSEEN_PSEUDO.fullmatch(_name(following[1])))
            position += 3
            continue
        if _is(token, ":") and following and _name(following[0]) in _OLD_PSEUDO_ELEMENTS:
            position += 2
            continue
        probe.append(token)
        position += 1
    wanted = tinycss2.serialize(probe).strip()
    if not wanted or wanted[-1] in ">+~":
        wanted += "*"
    if parents:
        around = ":is(" + ",".join(parent.probe for parent in parents) + ")"
        wanted = wanted.replace("&", around) if "&" in wanted else f"{around} {wanted}"
    needs, names = set[str](), set[str]()
    _collect(tokens, needs, names)
    if unseen:
        wanted = ":not(*)"
    return Selector(text, wanted, frozenset(needs), frozenset(names))


def _is(token: Any, literal: str) -> bool:
    return bool(token.type == "literal" and token.value == literal)


def _name(token: Any) -> str:
    if token.type == "ident":
        return str(token.lower_value)
    return str(token.lower_name) if token.type == "function" else ""


def _collect(tokens: Sequence[Any], needs: set[str] | None, names: set[str]) -> None:
    """Gather what a selector mentions; within `:not(..)` and its like nothing is needed."""
    last = None
    for token in tokens:
        if token.type == "ident" and last is not None and _is(last, "."):
            names.add("." + token.value)
            if needs is not None:
                needs.add("." + token.value)
        elif token.type == "hash":
            names.add("#" + token.value)
            if needs is not None:
                needs.add("#" + token.value)
        elif token.type == "[] block":
            first = next((t for t in token.content if t.type == "ident"), None)
            if first is not None:
                names.add("[" + first.lower_value)
        elif token.type == "function":
            _collect(token.arguments, None, names)
        last = token


def substituted(
    declarations: Iterable[Declaration], substitute: Substitute
) -> Iterator[Declaration]:
    """Declarations with what stands for the pictures in them; without those that lack it."""
    for declaration in declarations:
        if "url(" not in declaration.value.lower():
            yield declaration
            continue
        value = substitute_urls(declaration.value, substitute)
        if value is not None:
            yield Declaration(declaration.name, value)


def _write(rule: Rule, indent: str, lines: list[str]) -> None:
    inner = indent + "  "
    if isinstance(rule, Style):
        selectors = f",\n{indent}".join(selector.text for selector in rule.selectors)
        lines.append(f"{indent}{selectors} {{")
        lines.extend(f"{inner}{d.name}: {d.value};" for d in rule.declarations)
        for nested in rule.rules:
            _write(nested, inner, lines)
        lines.append(f"{indent}}}")
        return
    head = f"{indent}@{rule.keyword} {rule.prelude}".rstrip()
    if rule.rules is None and rule.body is None:
        lines.append(head + ";")
        return
    lines.append(head + " {")
    for part in rule.body or ():
        if isinstance(part, Style):
            _write(part, inner, lines)
        else:
            lines.append(f"{inner}{part.name}: {part.value};")
    for nested in rule.rules or ():
        _write(nested, inner, lines)
    lines.append(f"{indent}}}")
