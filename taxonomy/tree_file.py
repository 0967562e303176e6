"""A taxonomy's YAML, read strictly: a file in; drafts of its nodes out, each with its line.

What this file checks is the form: keys, kinds of values, image kinds, includes. Whether the nodes
make a tree is for `tree.py`. Every message is `FILE:LINE: what is wrong, and what to do`.

    extends: default          # begin with the taxonomy that comes with the project; else replace it
    languages: [en, zh]       # a leaf has prompts in each of these
    nodes:                    # new nodes, nested by `children` or placed by `parent`
      - include: FILE         # one main category from a file beside this one
      - id: barcode-reading
        parent: ocr-and-transcription
        name: {en: Barcode Reading, zh: 条码识读}
        definition: {en: Reads what a barcode says., zh: 读出条码的内容。}
        images: [one, photo]
        prompts: {en: [...], zh: [...]}
        keywords: {en: [barcode, scan], zh: [条码]}    # what such questions speak of; optional
    changes:                  # what is given replaces; prompts and keywords are added
      - id: counting
        prompts: {en: [...]}
    removes: [music-score]    # with all that is below it
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import yaml

from dsvl_data.outcome import UserError

#: How many images a question is about: a leaf names one of the two.
IMAGE_COUNTS = ("one", "several")
#: What an image may be, and in words for people and models.
IMAGE_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "photo": "a photograph of the world",
        "artwork": "a painting, drawing, cartoon, poster or rendered picture",
        "document": "a page or sign that is mostly printed text",
        "handwriting": "handwritten text",
        "formula": "formulas, equations, structures of molecules",
        "table": "a table",
        "chart": "a chart that draws data",
        "diagram": "a flowchart, circuit, plan, score, geometric figure or other line drawing",
        "map": "a map",
        "interface": "a screenshot of a program, web page or game",
        "scientific": "what an instrument shows: medical images, sensors, spectra, point clouds",
        "puzzle": "a figure or board of a puzzle or test",
    }
)
DEFAULT_LANGUAGES = ("en", "zh")

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_TOP_KEYS = ("extends", "languages", "nodes", "changes", "removes")
_NODE_KEYS = (
    *("id", "parent", "name", "definition", "images"),
    *("prompts", "keywords", "children", "include"),
)
#: A file over this many characters is no taxonomy; composing it would take memory and minutes.
_MOST_CHARACTERS = 20_000_000
#: Levels below a main category. The paper's has two.
_MOST_LEVELS = 8
#: Brackets and indents within each other: composing is recursive.
_DEEPEST = 50


class TaxonomyError(UserError):
    """A taxonomy that cannot be used; the message names the file and line."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Draft:
    """A node as its file gives it; empty where the file says nothing."""

    id: str
    place: Place
    parent: str | None
    name: Mapping[str, str]
    definition: Mapping[str, str]
    images: tuple[str, ...]
    prompts: Mapping[str, tuple[str, ...]]
    keywords: Mapping[str, tuple[str, ...]]
    children: tuple[Draft, ...]


@dataclass(frozen=True, slots=True)
class TaxonomyFile:
    """What a file says. `removes` holds ids and the places where they stand."""

    place: Place
    extends: bool
    languages: tuple[str, ...] | None
    nodes: tuple[Draft, ...]
    changes: tuple[Draft, ...] = ()
    removes: tuple[tuple[str, Place], ...] = field(default=())


def read_file(path: Path) -> TaxonomyFile:
    """Read a taxonomy's file and those it includes. Raises `TaxonomyError`."""
    reader = _Reader(path)
    top = reader.mapping(reader.compose(), _TOP_KEYS, "a taxonomy")
    for key in ("changes", "removes"):
        if key in top and "extends" not in top:
            raise reader.error(
                top[key], f"{key!r} is for a taxonomy that extends another: add `extends: default`"
            )
    if "extends" in top and reader.text(top["extends"], "extends") != "default":
        raise reader.error(top["extends"], "`extends` can only be `default`")
    if not {"nodes", "changes", "removes"} & top.keys():
        raise TaxonomyError(f"{reader.file}:1: no nodes: list them under `nodes:`")
    return TaxonomyFile(
        place=Place(reader.file, 1),
        extends="extends" in top,
        languages=reader.words(top["languages"], "languages") if "languages" in top else None,
        nodes=tuple(_nodes(reader, top["nodes"])) if "nodes" in top else (),
        changes=tuple(reader.draft(node) for node in reader.items(top["changes"], "changes"))
        if "changes" in top
        else (),
        removes=tuple(
            (reader.text(node, "removes"), reader.place(node))
            for node in reader.items(top["removes"], "removes")
        )
        if "removes" in top
        else (),
    )


def _nodes(reader: _Reader, listed: yaml.Node) -> Iterator[Draft]:
    for node in reader.items(listed, "nodes"):
        fields = reader.mapping(node, _NODE_KEYS, "a node")
        if "include" not in fields:
            yield reader.draft(node)
            continue
        if len(fields) > 1:
            raise reader.error(node, "a node that has `include` has no other key")
        name = reader.text(fields["include"], "include")
        path = Path(name)
        if path.is_absolute() or ".." in path.parts:
            raise reader.error(node, f"{name!r} must lie beside this file or below it")
        if not (reader.path.parent / path).is_file():
            raise reader.error(node, f"there is no file {name!r} beside this one")
        inner = _Reader(reader.path.parent / path)
        yield inner.draft(inner.compose())


class _Reader:
    """One YAML file and the questions that are asked of its nodes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = str(path)

    def compose(self) -> yaml.Node:
        try:
            source = self.path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise TaxonomyError(f"{self.file} is not UTF-8 text: {error}") from error
        except OSError as error:
            raise TaxonomyError(f"cannot read {self.file}: {error.strerror}") from error
        if len(source) > _MOST_CHARACTERS:
            raise TaxonomyError(f"{self.file} is too large for a taxonomy")
        # Composing by libyaml is ten times as fast; every PyPI wheel of PyYAML has it.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            depth = 0
            for event in yaml.parse(source, Loader=loader):
                line = event.start_mark.line + 1 if event.start_mark else 1
                depth += isinstance(event, yaml.CollectionStartEvent)
                depth -= isinstance(event, yaml.CollectionEndEvent)
                # An alias could make a graph or a bomb of what must be a tree.
                if isinstance(event, yaml.AliasEvent):
                    raise TaxonomyError(f"{self.file}:{line}: aliases (*) are not allowed here")
                if depth > _DEEPEST:
                    raise TaxonomyError(f"{self.file}:{line}: nested too deeply")
            root = yaml.compose(source, Loader=loader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise TaxonomyError(f"{self.file}:{line}: not valid YAML: {error.problem}") from error
        except (yaml.YAMLError, RecursionError) as error:
            raise TaxonomyError(f"{self.file} is not valid YAML: {error}") from error
        if root is None:
            raise TaxonomyError(f"{self.file}:1: the file is empty")
        return root

    def place(self, node: yaml.Node) -> Place:
        return Place(self.file, node.start_mark.line + 1)

    def error(self, node: yaml.Node, message: str) -> TaxonomyError:
        return TaxonomyError(f"{self.place(node)}: {message}")

    def mapping(self, node: yaml.Node, known: Sequence[str], what: str) -> dict[str, yaml.Node]:
        """Return a mapping's values by key; an empty `known` allows every key."""
        if not isinstance(node, yaml.MappingNode):
            raise self.error(node, f"{what} must be a mapping")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self.text(key, "a key")
            if known and name not in known:
                close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
                raise self.error(key, f"unknown key {name!r}; {hint}")
            if name in found:
                raise self.error(key, f"the key {name!r} is given twice")
            found[name] = value
        return found

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(node, f"{what!r} must be a list")
        return list(node.value)

    def text(self, node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            raise self.error(node, f"{what} must be text, and not empty")
        return str(node.value).strip()

    def words(self, node: yaml.Node, what: str) -> tuple[str, ...]:
        return tuple(self.text(item, what) for item in self.items(node, what))

    def by_language(self, node: yaml.Node, what: str) -> dict[str, str]:
        values = self.mapping(node, (), what)
        return {language: self.text(value, what) for language, value in values.items()}

    def draft(self, node: yaml.Node, level: int = 0) -> Draft:
        keys = tuple(key for key in _NODE_KEYS if key != "include")
        fields = self.mapping(node, keys, "a node")
        if "id" not in fields:
            raise self.error(node, "a node without `id`")
        name = self.text(fields["id"], "id")
        if not _ID.match(name):
            raise self.error(
                fields["id"], f"the id {name!r} must be of lower-case letters, digits and hyphens"
            )
        if level > _MOST_LEVELS:
            raise self.error(node, f"{name!r} lies more than {_MOST_LEVELS} levels deep")
        if level and "parent" in fields:
            raise self.error(
                fields["parent"], f"{name!r} stands among another's children: no `parent` here"
            )
        children = self.items(fields["children"], "children") if "children" in fields else []
        return Draft(
            id=name,
            place=self.place(fields["id"]),
            parent=self.text(fields["parent"], "parent") if "parent" in fields else None,
            name=self.by_language(fields["name"], "name") if "name" in fields else {},
            definition=self.by_language(fields["definition"], "definition")
            if "definition" in fields
            else {},
            images=self._images(fields["images"]) if "images" in fields else (),
            prompts=self._lists(fields["prompts"], "prompts") if "prompts" in fields else {},
            keywords=self._lists(fields["keywords"], "keywords") if "keywords" in fields else {},
            children=tuple(self.draft(child, level + 1) for child in children),
        )

    def _images(self, node: yaml.Node) -> tuple[str, ...]:
        known = (*IMAGE_COUNTS, *IMAGE_KINDS)
        kinds = self.words(node, "images")
        for kind, item in zip(kinds, self.items(node, "images"), strict=True):
            if kind not in known:
                close = difflib.get_close_matches(kind, known, n=1, cutoff=0.5)
                hint = f"did you mean {close[0]!r}? " if close else ""
                raise self.error(
                    item, f"unknown image kind {kind!r}; {hint}known: {', '.join(known)}"
                )
        if len(set(kinds) & set(IMAGE_COUNTS)) != 1 or not set(kinds) & set(IMAGE_KINDS):
            raise self.error(
                node, "`images` must have `one` or `several`, and at least one kind of image"
            )
        return kinds

    def _lists(self, node: yaml.Node, what: str) -> dict[str, tuple[str, ...]]:
        languages = self.mapping(node, (), what)
        found = {key: self.words(value, f"{what}.{key}") for key, value in languages.items()}
        for key, value in languages.items():
            seen: set[str] = set()
            for text, item in zip(found[key], self.items(value, key), strict=True):
                if text in seen:
                    raise self.error(item, f"{text!r} stands twice in this list of {what}")
                seen.add(text)
        return found
