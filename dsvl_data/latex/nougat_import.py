"""Nougat's parser and formatter without Nougat's model: a tree of tags in, Nougat's elements out.

`nougat/__init__.py` imports the model and with it packages that nothing here needs, so a bare
package object stands in for it while `nougat.dataset.parser` is imported.

The parser asks every node about fifty CSS selectors; with BeautifulSoup and soupsieve that is
most of the time that a page takes. So a private copy of the parser module gets `Tag` below as
its tree and `Selectors` as its matcher: the same questions, answered from a table.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self


class Tag:
    """An HTML element as Nougat's parser sees it; text between tags is plain `str`."""

    __slots__ = ("attrs", "children", "name", "signature")

    def __init__(self, name: str, attrs: dict[str, Any], signature: tuple[object, ...]) -> None:
        self.name = name
        self.attrs = attrs
        self.signature = signature
        self.children: list[Tag | str] = []

    def get_text(self, *, strip: bool = False) -> str:
        """All text below this tag."""
        text = "".join(
            child if isinstance(child, str) else child.get_text() for child in self.children
        )
        return text.strip() if strip else text

    def find_parent(self, kind: object) -> None:
        """The parser asks whether a tag lies in a `ListItem`, which no tag ever is."""
        return None

    def walk(self) -> Iterator[Self]:
        """The tag itself and every tag below it."""
        pending: list[Any] = [self]
        while pending:
            tag = pending.pop()
            yield tag
            pending.extend(child for child in tag.children if not isinstance(child, str))


class Selectors:
    """`soupsieve.match` for the selectors of Nougat's parser: `tag.class.class`, commas, one `>`.

    The answer depends only on a tag's name and classes and its parent's, which is its
    `signature`, so each question is worked out once.
    """

    def __init__(self) -> None:
        self._answers: dict[str, dict[tuple[object, ...], bool]] = {}
        self._parsed: dict[str, list[list[tuple[str, frozenset[str]]]]] = {}

    def match(self, selector: str, tag: Tag) -> bool:
        """Whether `tag` is what `selector` describes."""
        answers = self._answers.setdefault(selector, {})
        answer = answers.get(tag.signature)
        if answer is None:
            if len(answers) > _MOST_SIGNATURES:  # a hostile page has a new class on every tag
                answers.clear()
            answer = answers[tag.signature] = self._work_out(selector, tag)
        return answer

    def _work_out(self, selector: str, tag: Tag) -> bool:
        if selector not in self._parsed:
            self._parsed[selector] = [
                [_compound(step) for step in reversed(choice.split(">"))]
                for choice in selector.split(",")
            ]
        name, classes, parent_name, parent_classes = tag.signature
        seen = ((name, classes), (parent_name, parent_classes))
        return any(
            all(
                wanted in ("", here) and needed <= has  # type: ignore[operator]
                for (wanted, needed), (here, has) in zip(steps, seen, strict=False)
            )
            for steps in self._parsed[selector]
        )


class Compiled:
    """What `soupsieve.compile` gives: one selector with a `match`."""

    def __init__(self, selectors: Selectors, selector: str) -> None:
        self._selectors = selectors
        self._selector = selector

    def match(self, tag: Tag) -> bool:
        """Whether `tag` is what the selector describes."""
        return self._selectors.match(self._selector, tag)


_MOST_SIGNATURES = 10_000


def _compound(step: str) -> tuple[str, frozenset[str]]:
    name, *classes = step.strip().split(".")
    if not re.fullmatch(r"[\w.-]*", step.strip()):
        raise ValueError(f"Nougat's parser has a selector that is not understood: {step!r}")
    return name, frozenset(classes)


def _load() -> tuple[types.ModuleType, types.ModuleType, types.ModuleType]:
    if "nougat" not in sys.modules:
        found = importlib.util.find_spec("nougat")
        if found is None or found.origin is None:
            raise ImportError("the arXiv reader needs the package nougat-ocr", name="nougat")
        bare = types.ModuleType("nougat")
        bare.__path__ = [str(Path(found.origin).parent)]
        bare.__spec__ = found
        sys.modules["nougat"] = bare
    document = importlib.import_module("nougat.dataset.parser.document")
    markdown = importlib.import_module("nougat.dataset.parser.markdown")
    public = importlib.util.find_spec("nougat.dataset.parser.latexml_parser")
    if public is None or public.loader is None:
        raise ImportError("this nougat-ocr has no LaTeXML parser", name="nougat")
    private = importlib.util.module_from_spec(public)
    public.loader.exec_module(private)
    selectors = Selectors()
    patched: Any = private
    patched.sv = selectors
    patched.NavigableString = str
    for name in ("latexml_wrapper_selector", "latexml_ignore_selector"):
        setattr(patched, name, Compiled(selectors, getattr(patched, name).pattern))
    return document, markdown, private


_document, _markdown, _parser = _load()

elements: Any = _document
"""Nougat's element classes (`nougat.dataset.parser.document`)."""


def parse(article: Tag) -> Any:
    """Nougat's `Document` for an article's tag; `RecursionError` when nested too deeply."""
    document = elements.Document()
    _parser.parse_latexml_children(article, document)
    return document


def format_elements(found: list[Any], *, in_tabular: bool = False) -> str:
    """Nougat's Markdown for a run of elements."""
    return "".join(_markdown.format_iterator(found, True, in_tabular))
