"""What of the style sheets a page uses.

In: parsed `Sheet`s, and the page's `Answers` to the `Questions` that only a browser can answer
(which selectors match, which conditions hold). Out: the rules that are left.

What goes: selectors that match nothing (so those of states that nobody sees, `:hover`), conditions
that do not hold, and animations, counters and custom properties that nothing uses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dsvl_data.render.styles import At, Declaration, Rule, Sheet, Style, Substitute, substituted

_VARIABLE = re.compile(r"var\(\s*(--[^\s,)]+)")
_WORD = re.compile(r"[\w-]+|[^\x00-\x7f]+")


@dataclass(frozen=True, slots=True)
class Answers:
    """What a page says: the probes that match, the selector lists that are valid, what holds."""

    matching: frozenset[str]
    invalid: frozenset[str]
    media: Mapping[str, bool]
    supports: Mapping[str, bool]


@dataclass(slots=True)
class Questions:
    """What a page is asked before its sheets can be pruned."""

    probes: dict[str, None] = field(default_factory=dict)
    lists: dict[str, None] = field(default_factory=dict)
    media: dict[str, None] = field(default_factory=dict)
    supports: dict[str, None] = field(default_factory=dict)


def ask(sheets: Sequence[Sheet], there: frozenset[str] | None) -> Questions:
    """Collect what a page must be asked.

    `there` are the classes and ids that it has (`.name`, `#name`); None: not known, ask for all.
    """
    questions = Questions()

    def walk(rules: Iterable[Rule]) -> None:
        for rule in rules:
            if isinstance(rule, Style):
                wanted = [s for s in rule.selectors if there is None or s.needs <= there]
                if wanted:
                    questions.probes.update(dict.fromkeys(s.probe for s in wanted))
                    if len(rule.selectors) > 1 or wanted[0].probe != wanted[0].text:
                        questions.lists[_list(rule)] = None
                walk(rule.rules)
                continue
            if rule.keyword == "media":
                questions.media[rule.prelude] = None
            elif rule.keyword == "supports":
                questions.supports[rule.prelude] = None
            walk(rule.rules or ())

    for sheet in sheets:
        if sheet.media:
            questions.media[sheet.media] = None
        walk(sheet.rules)
    return questions


def prune(
    sheets: Sequence[Sheet],
    answers: Answers,
    *,
    substitute: Callable[[str, str], str | None],
    inline: Sequence[str] = (),
) -> tuple[list[Rule], set[str]]:
    """Keep what the page uses, of all sheets in order; and the names that its selectors mention.

    `substitute(url, base)` gives what stands for a picture; `inline` are the page's `style`
    attributes, which use variables and animations too.
    """
    kept: list[Rule] = []
    for sheet in sheets:
        if sheet.media and not answers.media.get(sheet.media, False):
            continue
        rules = list(_kept(sheet.rules, answers, lambda url, s=sheet: substitute(url, s.base)))  # type: ignore[misc]
        if rules and sheet.media.strip().lower() not in ("", "all", "screen"):
            rules = [At("media", sheet.media, tuple(rules))]
        if rules and sheet.layer is not None:
            rules = [At("layer", sheet.layer, tuple(rules))]
        kept += rules
    kept = list(_merged(_without_unused(kept, inline)))
    names: set[str] = set()
    for style in _styles(kept):
        for selector in style.selectors:
            names |= selector.names
    for declaration in _all_declarations(kept):
        if "attr(" in declaration.value:
            names.update("[" + n for n in re.findall(r"attr\(\s*([\w-]+)", declaration.value))
    return kept, names


def _list(style: Style) -> str:
    return ",".join(selector.text for selector in style.selectors)


def _kept(
    rules: Iterable[Rule], answers: Answers, substitute: Substitute, nested: bool = False
) -> Iterator[Rule]:
    for rule in rules:
        if isinstance(rule, Style):
            selectors = tuple([s for s in rule.selectors if s.probe in answers.matching])
            if not selectors:
                continue
            # One selector that a browser does not know makes it ignore the whole rule.
            if not nested and _list(rule) in answers.invalid:
                continue
            inner = tuple(_kept(rule.rules, answers, substitute, nested=True))
            if inner:  # `&` stands for all of them
                selectors = rule.selectors
            declarations = tuple(substituted(rule.declarations, substitute))
            if declarations or inner:
                yield Style(selectors, declarations, inner)
        elif rule.rules is None:
            if rule.keyword != "import":
                yield rule if rule.body is None else replace(rule, body=_frames(rule, substitute))
        elif rule.keyword == "media":
            inner = tuple(_kept(rule.rules, answers, substitute, nested))
            if inner and answers.media.get(rule.prelude, False):
                if rule.prelude.lower() in ("all", "screen", "only screen"):
                    yield from inner
                else:
                    yield At("media", rule.prelude, inner)
        elif rule.keyword == "supports":
            if answers.supports.get(rule.prelude, False):
                yield from _kept(rule.rules, answers, substitute, nested)
        else:
            inner = tuple(_kept(rule.rules, answers, substitute, nested))
            if inner:
                yield At(rule.keyword, rule.prelude, inner)
            elif rule.keyword == "layer" and rule.prelude:
                yield At("layer", rule.prelude)  # its place among the layers counts


def _frames(rule: At, substitute: Substitute) -> tuple[Declaration | Style, ...]:
    return tuple(
        replace(f, declarations=tuple(substituted(f.declarations, substitute)))
        if isinstance(f, Style)
        else f
        for f in rule.body or ()
    )


def _styles(rules: Iterable[Rule]) -> Iterator[Style]:
    for rule in rules:
        if isinstance(rule, Style):
            yield rule
        yield from _styles(rule.rules or ())


def _all_declarations(rules: Iterable[Rule]) -> Iterator[Declaration]:
    for rule in rules:
        if isinstance(rule, Style):
            yield from rule.declarations
        elif rule.body is not None:
            for part in rule.body:
                yield from part.declarations if isinstance(part, Style) else (part,)
        yield from _all_declarations(rule.rules or ())


def _without_unused(rules: Sequence[Rule], inline: Sequence[str]) -> list[Rule]:
    """Leave out animations, variables and counters that nothing refers to."""
    words: set[str] = set()
    for declaration in _all_declarations(rules):
        names = ("animation", "-webkit-animation", "list-style", "--")
        if declaration.name.startswith(names) or "counter" in declaration.value:
            words.update(_WORD.findall(declaration.value))
    for text in inline:
        words.update(_WORD.findall(text))

    def used_at(rule: Rule) -> Rule | None:
        if isinstance(rule, At) and rule.body is not None and rule.keyword != "property":
            return rule if rule.prelude.strip("\"'") in words else None
        return rule

    rules = list(_mapped(rules, used_at))
    variables: dict[str, set[str]] = {}
    used: set[str] = set()
    for text in inline:
        used.update(_VARIABLE.findall(text))
    for declaration in _all_declarations(rules):
        found = _VARIABLE.findall(declaration.value)
        if declaration.name.startswith("--"):
            variables.setdefault(declaration.name, set()).update(found)
        else:
            used.update(found)
    queue = list(used)
    while queue:
        for name in variables.get(queue.pop(), set()) - used:
            used.add(name)
            queue.append(name)

    def with_used_variables(rule: Rule) -> Rule | None:
        if isinstance(rule, Style):
            left = tuple(d for d in rule.declarations if d.name[:2] != "--" or d.name in used)
            return replace(rule, declarations=left) if left or rule.rules else None
        if rule.keyword == "property":
            return rule if rule.prelude in used else None
        return rule

    return list(_mapped(rules, with_used_variables))


def _merged(rules: Iterable[Rule]) -> Iterator[Rule]:
    """Join neighbours that style the same, as those of which parts are gone often do."""
    last: Rule | None = None
    for rule in rules:
        if isinstance(rule, At) and rule.rules:
            rule = replace(rule, rules=tuple(_merged(rule.rules)))
        if (
            isinstance(rule, Style)
            and isinstance(last, Style)
            and rule.selectors == last.selectors
            and not (rule.rules or last.rules)
        ):
            last = replace(last, declarations=last.declarations + rule.declarations)
            continue
        if last is not None:
            yield last
        last = rule
    if last is not None:
        yield last


def _mapped(rules: Iterable[Rule], change: Callable[[Rule], Rule | None]) -> Iterator[Rule]:
    for rule in rules:
        changed: Rule | None = rule
        if rule.rules is not None and (rule.rules or isinstance(rule, At)):
            inner = tuple(_mapped(rule.rules, change))
            if isinstance(rule, At) and not inner:
                changed = At("layer", rule.prelude) if rule.keyword == "layer" else None
            else:
                changed = replace(rule, rules=inner)
        changed = change(changed) if changed is not None else None
        if changed is not None:
            yield changed
