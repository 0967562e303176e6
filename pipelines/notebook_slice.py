"""The backward slice of a notebook: which statements does the last cell need?

In: the parsed cells up to a figure's, in notebook order. Out: the text of the statements that
(transitively) define, change or configure what the last cell uses, followed by that cell.

It works on whole top-level statements and walks them backwards with the set of names still
needed. A statement is taken when it binds a needed name (and then, if it surely binds it, the
name is needed no longer) or changes it in place: an attribute or item that is set or deleted, a
method called for its effect, an argument of a function that changes it. Where Python cannot be
known without running it, the slice takes too much rather than too little, but for:

- methods and functions known to be read-only (`df.head()`, `print(x)`) change nothing;
- a library is changed by its settings only (`plt.rcParams[...] = ...`, `np.random.seed(0)`),
  so that the drawing calls of earlier cells are not taken for a later figure;
- an object that a function returns without having made it is not known to be the same object;
- random generators: what an earlier draw leaves behind is not followed.

A function needs what its body names where it is *called*, not where it is defined, so the
names its body reads travel with the function's own name (`late`).
"""

from __future__ import annotations

import ast
import builtins
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipelines.notebook_names import Names, imported_library, read_function, read_names

_ALWAYS_THERE = frozenset(dir(builtins)) | {
    "__file__",
    "display",
    "exit",
    "get_ipython",
    "quit",
}


@dataclass(frozen=True, slots=True)
class Block:
    """One cell of Python: its text and its tree."""

    text: str
    tree: ast.Module


@dataclass(frozen=True, slots=True)
class Slice:
    """Text of a slice, and the names that it uses and nothing in the notebook defines."""

    text: str
    unresolved: tuple[str, ...]


@dataclass(slots=True)
class _Unit:
    """Top-level statements that share lines: taken together or not at all."""

    block: int
    first: int  # lines of the block, from 1
    last: int
    names: Names
    nodes: list[ast.stmt]
    taken: bool = False


@dataclass(slots=True)
class _Notebook:
    """What is known of names all over the notebook."""

    late: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    effects: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    alias: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    libraries: dict[str, str] = field(default_factory=dict)

    def reads(self, names: set[str]) -> set[str]:
        """The names, with all that code reachable through them reads when it is called."""
        found = _closure(names, self.late)
        return found | {f"@{self.libraries[n]}" for n in found if n in self.libraries}

    def changes(self, unit: _Unit) -> set[str]:
        """All that running a unit may change in place, under every name it may go by."""
        called = _closure(unit.names.uses, self.late)
        changed = unit.names.changes.union(*(self.effects[n] for n in called if n in self.effects))
        changed |= {f"@{self.libraries[n]}" for n in changed if n in self.libraries}
        return _closure(changed, self.alias)


def backward_slice(blocks: Sequence[Block]) -> Slice:
    """Return the slice for the last block."""
    units = _units(blocks)
    notebook = _survey(units)
    needed: set[str] = set()
    last = len(blocks) - 1
    for unit in reversed(units):
        if unit.block == last or needed & (unit.names.binds | notebook.changes(unit)):
            unit.taken = True
            needed -= unit.names.binds
            needed |= notebook.reads(unit.names.uses)
    bound = set().union(*(u.names.binds | u.names.weak for u in units if u.taken))
    unresolved = {n for n in needed if not n.startswith("@")} - _ALWAYS_THERE - bound
    stars = [u for u in units if u.names.star]
    if unresolved and stars:
        for unit in stars:
            unit.taken = True
        unresolved = set()  # a star may bring any of them
    taken = _without_repeated_imports([u for u in units if u.taken], last)
    return Slice(_text(blocks, taken), tuple(sorted(unresolved)))


def _units(blocks: Sequence[Block]) -> list[_Unit]:
    nodes = [node for block in blocks for node in ast.walk(block.tree)]
    libraries = {
        name
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imported_library(node)
    }
    functions = {
        node.name: read_function(node, libraries)
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    units: list[_Unit] = []
    for index, block in enumerate(blocks):
        for node in block.tree.body:
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(d.lineno for d in decorators)])
            last = node.end_lineno or node.lineno
            names = read_names(node, libraries, functions)
            if units and units[-1].block == index and first <= units[-1].last:
                units[-1].names.follow(names)
                units[-1].last = max(last, units[-1].last)
                units[-1].nodes.append(node)
            else:
                units.append(_Unit(index, first, last, names, [node]))
    return units


def _survey(units: Sequence[_Unit]) -> _Notebook:
    notebook = _Notebook()
    for unit in units:
        for node in unit.nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                notebook.libraries.update(imported_library(node))
        for name, reads in unit.names.late.items():
            notebook.late[name] |= reads
        for name, effects in unit.names.effects.items():
            notebook.effects[name] |= effects
        for one, other in unit.names.aliases:
            notebook.alias[one].add(other)
            notebook.alias[other].add(one)
    # A value made with a function in hand (a sampler, a partial) calls it later.
    for unit in units:
        for name, values in unit.names.holds.items():
            notebook.late[name] |= {v for v in values if notebook.late.get(v) and v != name}
    return notebook


def _closure(names: set[str], edges: dict[str, set[str]]) -> set[str]:
    found = set(names)
    todo = list(names)
    while todo:
        for name in edges.get(todo.pop(), ()):
            if name not in found:
                found.add(name)
                todo.append(name)
    return found


def _without_repeated_imports(taken: list[_Unit], last: int) -> list[_Unit]:
    """Leave out an import that stands there already, if nothing binds its names in between."""
    kept: list[_Unit] = []
    standing: dict[str, _Unit] = {}
    for unit in taken:
        for key, earlier in list(standing.items()):
            if earlier.names.binds & (unit.names.binds | unit.names.weak):
                if unit.block != last and key == _import_key(unit):
                    break
                del standing[key]
        else:
            kept.append(unit)
            key = _import_key(unit)
            if key:
                standing[key] = unit
    return kept


def _import_key(unit: _Unit) -> str:
    if all(isinstance(node, ast.Import | ast.ImportFrom) for node in unit.nodes):
        return "\n".join(ast.unparse(node) for node in unit.nodes)
    return ""


def _text(blocks: Sequence[Block], taken: Sequence[_Unit]) -> str:
    """The taken units of each block, with the comments right above them, then the last block."""
    parts: list[str] = []
    future: list[str] = []
    for index, block in enumerate(blocks[:-1]):
        lines = block.text.split("\n")
        chosen: set[int] = set()
        for unit in taken:
            if unit.block != index:
                continue
            first = unit.first
            while first > 1 and lines[first - 2].startswith("#"):
                first -= 1
            chosen.update(range(first, unit.last + 1))
        text = _lines(lines, chosen)
        if text:
            parts.append(text)
    body = blocks[-1].text
    for node in blocks[-1].tree.body:
        # `from __future__` must come first, also before what the slice puts there.
        if isinstance(node, ast.ImportFrom) and node.module == "__future__" and parts:
            segment = ast.get_source_segment(body, node) or ""
            future.append(ast.unparse(node))
            body = body.replace(segment, "", 1)
    return "\n\n".join([*future, *parts, body.strip("\n")]).strip("\n")


def _lines(lines: Sequence[str], chosen: set[int]) -> str:
    """The chosen lines (from 1), with one blank line where others were left out."""
    out: list[str] = []
    previous = 0
    for number in sorted(chosen):
        if out and number != previous + 1:
            out.append("")
        out.append(lines[number - 1].rstrip())
        previous = number
    return "\n".join(out)
