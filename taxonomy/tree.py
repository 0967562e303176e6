"""The taxonomy of use cases: YAML in (`tree_file.py`); a checked tree of nodes out.

The shipped one, `taxonomy.yaml`, is DeepSeek-VL's table 3. A user's file replaces it, or extends
it where it says so. Whatever holds a `Taxonomy` may rely on: ids are unique, there is one path to
every node, every leaf has image kinds, a definition, and prompts in every language.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

from taxonomy.tree_file import (
    DEFAULT_LANGUAGES,
    Draft,
    Place,
    TaxonomyError,
    TaxonomyFile,
    read_file,
)

__all__ = ["DEFAULT_FILE", "Node", "Taxonomy", "TaxonomyError", "load_taxonomy"]

DEFAULT_FILE = Path(__file__).parent / "taxonomy.yaml"


@dataclass(frozen=True, slots=True)
class Node:
    """A category. `name`, `definition`, `prompts`, `keywords` are by language.

    `keywords` are words of such questions, for the classifier; there need be none.
    `images` of a leaf: `one` or `several`, and kinds out of `tree_file.IMAGE_KINDS`.
    """

    id: str
    name: Mapping[str, str]
    definition: Mapping[str, str]
    images: tuple[str, ...]
    prompts: Mapping[str, tuple[str, ...]]
    keywords: Mapping[str, tuple[str, ...]]
    children: tuple[Node, ...]
    line: int = field(compare=False)
    file: str = field(compare=False)

    @property
    def is_leaf(self) -> bool:
        """Whether conversations can be of this category, and of nothing finer."""
        return not self.children

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it, each before its children."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class Taxonomy:
    """A checked tree; `main` are its main categories, in the order of the file."""

    main: tuple[Node, ...]
    languages: tuple[str, ...]

    def nodes(self) -> Iterator[Node]:
        """Yield every node, each before its children."""
        for node in self.main:
            yield from node.walk()

    def leaves(self) -> tuple[Node, ...]:
        """Return the leaves, in the order of the file."""
        return tuple(node for node in self.nodes() if node.is_leaf)

    def node(self, name: str) -> Node:
        """Return a node by its id. Raises `KeyError`."""
        return self._by_id[name]

    def path(self, name: str) -> tuple[str, ...]:
        """Return the ids from the main category to this node. Raises `KeyError`."""
        return self._paths[name]

    def text_path(self, name: str) -> str:
        """Return the path as `Sample.taxonomy` holds it: `main/secondary/leaf`."""
        return "/".join(self._paths[name])

    def at(self, path: str) -> Node | None:
        """Return the node of such a path; None when the taxonomy has no such path."""
        name = path.rpartition("/")[2]
        return self._by_id[name] if self._paths.get(name) == tuple(path.split("/")) else None

    @cached_property
    def digest(self) -> str:
        """What identifies the contents: 32 hexadecimal digits."""
        form = [
            [
                self.text_path(n.id),
                n.images,
                *(dict(by) for by in (n.name, n.definition, n.prompts, n.keywords)),
            ]
            for n in self.nodes()
        ]
        said = json.dumps([self.languages, form], ensure_ascii=False, sort_keys=True)
        return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()

    @cached_property
    def _by_id(self) -> Mapping[str, Node]:
        return {node.id: node for node in self.nodes()}

    @cached_property
    def _paths(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}

        def visit(node: Node, above: tuple[str, ...]) -> None:
            found[node.id] = (*above, node.id)
            for child in node.children:
                visit(child, found[node.id])

        for node in self.main:
            visit(node, ())
        return found


def load_taxonomy(path: str | Path | None = None) -> Taxonomy:
    """Read the taxonomy of a file, or the one that comes with the project.

    Raises `TaxonomyError` naming file and line: duplicate id, a parent that does not exist, a
    circle of parents, a leaf without prompts or definition, an unknown kind of image or key.
    """
    return _shipped() if path is None else _build(read_file(Path(path)))


@lru_cache(maxsize=1)
def _shipped() -> Taxonomy:
    return _build(read_file(DEFAULT_FILE))


def _build(file: TaxonomyFile) -> Taxonomy:
    languages = file.languages or DEFAULT_LANGUAGES
    drafts: dict[str, Draft] = {}
    parents: dict[str, str | None] = {}
    if file.extends:
        base = read_file(DEFAULT_FILE)
        languages = file.languages or base.languages or DEFAULT_LANGUAGES
        for draft in base.nodes:
            _take(draft, draft.parent, drafts, parents)
        _remove(file.removes, drafts, parents)
        _change(file.changes, drafts)
    for draft in file.nodes:
        _take(draft, draft.parent, drafts, parents)
    _refuse_circles_and_orphans(drafts, parents)
    below: dict[str | None, list[str]] = {}
    for name, parent in parents.items():
        below.setdefault(parent, []).append(name)
    main = tuple(_node(drafts[name], drafts, below, languages) for name in below.get(None, ()))
    if not main:
        raise TaxonomyError(f"{file.place}: no nodes are left")
    return Taxonomy(main, languages)


def _take(
    draft: Draft,
    parent: str | None,
    drafts: dict[str, Draft],
    parents: dict[str, str | None],
) -> None:
    if draft.id in drafts:
        raise TaxonomyError(
            f"{draft.place}: the id {draft.id!r} is also at {drafts[draft.id].place}: an id "
            "stands once in a taxonomy; to alter a node of the shipped one, use `changes`"
        )
    drafts[draft.id], parents[draft.id] = draft, parent
    for child in draft.children:
        _take(child, draft.id, drafts, parents)


def _remove(
    removes: Sequence[tuple[str, Place]],
    drafts: dict[str, Draft],
    parents: dict[str, str | None],
) -> None:
    for name, place in removes:
        if name not in drafts:
            raise TaxonomyError(f"{place}: there is no node {name!r} to remove")
    gone = {name for name, _ in removes}
    for name in list(drafts):  # parents come before their children
        if name in gone or parents[name] in gone:
            gone.add(name)
            del drafts[name], parents[name]


def _change(changes: Sequence[Draft], drafts: dict[str, Draft]) -> None:
    seen: dict[str, Place] = {}
    for change in changes:
        if change.id not in drafts:
            raise TaxonomyError(f"{change.place}: there is no node {change.id!r} to change")
        if change.id in seen:
            raise TaxonomyError(f"{change.place}: {change.id!r} is changed at {seen[change.id]}")
        if change.children or change.parent is not None:
            raise TaxonomyError(
                f"{change.place}: a change moves no nodes: list new ones under `nodes` with "
                f"`parent: {change.id}`"
            )
        seen[change.id] = change.place
        old = drafts[change.id]
        drafts[change.id] = replace(
            old,
            name={**old.name, **change.name},
            definition={**old.definition, **change.definition},
            images=change.images or old.images,
            prompts=_joined(old.prompts, change.prompts),
            keywords=_joined(old.keywords, change.keywords),
        )


def _joined(
    old: Mapping[str, tuple[str, ...]], added: Mapping[str, tuple[str, ...]]
) -> Mapping[str, tuple[str, ...]]:
    languages = dict.fromkeys((*old, *added))
    return {
        language: tuple(dict.fromkeys((*old.get(language, ()), *added.get(language, ()))))
        for language in languages
    }


def _refuse_circles_and_orphans(
    drafts: Mapping[str, Draft], parents: Mapping[str, str | None]
) -> None:
    for name, parent in parents.items():
        if parent is not None and parent not in drafts:
            raise TaxonomyError(
                f"{drafts[name].place}: {name!r} is an orphan: there is no node {parent!r} that "
                "could be its parent"
            )
    rooted: set[str] = set()
    for name in parents:
        way: list[str] = []
        here: str | None = name
        while here is not None and here not in rooted:
            if here in way:
                circle = " -> ".join([*way[way.index(here) :], here])
                raise TaxonomyError(f"{drafts[here].place}: parents go in a circle: {circle}")
            way.append(here)
            here = parents[here]
        rooted.update(way)


def _node(
    draft: Draft,
    drafts: Mapping[str, Draft],
    below: Mapping[str | None, Sequence[str]],
    languages: Sequence[str],
) -> Node:
    """Make a node of its draft, and all below it; check what only the whole tree tells."""
    children = tuple(
        _node(drafts[name], drafts, below, languages) for name in below.get(draft.id, ())
    )
    for what, values in (("name", draft.name), ("definition", draft.definition)):
        for language in languages:
            if language not in values:
                raise TaxonomyError(
                    f"{draft.place}: {draft.id!r} has no {what} in {language!r}"
                    + ("" if values else f": give it `{what}: {{{language}: ...}}`")
                )
    if children and draft.prompts:
        raise TaxonomyError(
            f"{draft.place}: {draft.id!r} has children: its prompts belong to one of them"
        )
    if not children:
        if not draft.images:
            raise TaxonomyError(f"{draft.place}: the leaf {draft.id!r} has no `images`")
        for language in languages:
            if not draft.prompts.get(language):
                raise TaxonomyError(
                    f"{draft.place}: the leaf {draft.id!r} has no prompts in {language!r}: give "
                    "at least one, and eight to be of use"
                )
    return Node(
        id=draft.id,
        name=draft.name,
        definition=draft.definition,
        images=draft.images,
        prompts=draft.prompts,
        keywords=draft.keywords,
        children=children,
        line=draft.place.line,
        file=draft.place.file,
    )
