"""What one statement does to names: which it reads, binds and changes in place.

In: a top-level statement of Python. Out: its `Names`. Nothing is run; what a call does is
judged by the function's body where the notebook has it, else by the method's name.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from pipelines.notebook_calls import (
    ARGUMENT_MUTATORS,
    CANVAS_MAKERS,
    MUTATORS,
    READ_ONLY,
    SETTINGS,
    attributes,
    called_name,
    is_false,
    is_plain_chain,
    root_name,
    shared_names,
    target_names,
)

#: Libraries that draw through matplotlib, so that its settings change their figures too.
_MATPLOTLIB = frozenset(
    {"matplotlib", "mpl_toolkits", "pylab", "seaborn", "pandas", "geopandas", "corner", "arviz"}
)


@dataclass(slots=True)
class Names:
    """What a statement does.

    `uses` are read while it runs; `binds` surely bound, `weak` perhaps bound, `changes` changed
    in place or perhaps bound (it includes `weak`). `late[f]` are the names that code bound to
    `f` reads when called, `effects[f]` those it then changes. `holds[x]` are the names whose
    values `x` may keep; `aliases` the pairs that may be one object. `star`: binds anything.
    """

    uses: set[str] = field(default_factory=set)
    binds: set[str] = field(default_factory=set)
    weak: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    late: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    effects: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    holds: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    aliases: set[tuple[str, str]] = field(default_factory=set)
    star: bool = False

    def follow(self, other: Names) -> None:
        """Add what a statement does that runs right after this one."""
        self.uses |= other.uses - self.binds
        self.binds |= other.binds
        self.weak |= other.weak
        self.changes |= other.changes
        self.aliases |= other.aliases
        self.star |= other.star
        for mine, theirs in (
            (self.late, other.late),
            (self.effects, other.effects),
            (self.holds, other.holds),
        ):
            for name, names in theirs.items():
                mine[name] |= names


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the notebook: its parameters by position, and what its body changes."""

    parameters: tuple[str, ...]
    changes: frozenset[str]


def read_function(node: ast.FunctionDef | ast.AsyncFunctionDef, libraries: Set[str]) -> Function:
    """Read what a call of the function may do to its arguments."""
    body = _Reader(libraries, {})  # what it calls in turn is not followed: recursion must end
    for statement in node.body:
        body.visit(statement)
    parameters = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
    return Function(tuple(parameters), frozenset(body.names.changes))


def imported_library(node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """Map each name that an import binds to the library it comes from (`np`: `numpy`)."""
    found = {}
    for item in node.names:
        source = node.module or "" if isinstance(node, ast.ImportFrom) else item.name
        library = source.partition(".")[0]
        name = item.asname or (item.name.partition(".")[0] if isinstance(node, ast.Import) else "")
        found[name or item.name] = "matplotlib" if library in _MATPLOTLIB else library
    return found


def read_names(
    statement: ast.stmt,
    libraries: Set[str],
    functions: Mapping[str, Function],
) -> Names:
    """Read one statement; `libraries` are imported names, `functions` those of the notebook."""
    reader = _Reader(libraries, functions)
    reader.visit(statement)
    names = reader.names
    names.binds = reader.bound
    names.changes |= names.weak
    return names


class _Reader(ast.NodeVisitor):
    """Visits in order of evaluation; a name read before it is bound here is a use."""

    def __init__(
        self,
        libraries: Set[str],
        functions: Mapping[str, Function],
    ) -> None:
        self.libraries = libraries
        self.functions = functions
        self.names = Names()
        self.bound: set[str] = set()
        self.declared_global: set[str] = set()

    # Names and what is stored where

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._use(node.id)
        elif isinstance(node.ctx, ast.Store):
            self.bound.add(node.id)
        else:
            self._use(node.id)
            self.names.weak.add(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._stored(node)
        self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._stored(node)
        self.visit(node.value)
        self.visit(node.slice)

    def visit_Global(self, node: ast.Global) -> None:
        self.declared_global.update(node.names)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._link(target, node.value)
        for target in node.targets:
            self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self._link(node.target, node.value)
            self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._link(node.target, node.value)
        self.visit(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            # In place for lists and arrays, so it may reach other names of the object too.
            self._use(node.target.id)
            self.names.changes.add(node.target.id)
        else:
            self.visit(node.target)

    # Calls

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self._call(node.value, discarded=True)
        else:
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        self._call(node, discarded=False)

    def _call(self, node: ast.Call, *, discarded: bool) -> None:
        self.generic_visit(node)
        name = called_name(node.func)
        arguments = [*node.args, *(k.value for k in node.keywords)]
        for keyword in node.keywords:
            if keyword.arg == "inplace" and not is_false(keyword.value):
                self._change(node.func)
            elif keyword.arg in ("out", "ax"):
                self._change(keyword.value)
        root = root_name(node.func)
        mutator = ARGUMENT_MUTATORS.fullmatch(name) and (discarded or name in ("next", "heappop"))
        if mutator and (isinstance(node.func, ast.Name) or root in self.libraries):
            for argument in arguments:
                self._change(argument)
        function = self.functions.get(name)
        if function is not None:
            self._changed_arguments(function, node)
        if not isinstance(node.func, ast.Attribute):
            return
        if root in self.libraries:
            if is_plain_chain(node.func) and any(map(SETTINGS.fullmatch, attributes(node.func))):
                self._change(node.func)
        elif discarded:
            # On a canvas a call that merely looks read-only (`ax.plot`) draws; see `_link`.
            if READ_ONLY.fullmatch(name):
                self._change_canvas(root)
            else:
                self._change(node.func)
        elif MUTATORS.fullmatch(name):
            self._change(node.func)
        else:
            self._change_canvas(root)

    def _changed_arguments(self, function: Function, call: ast.Call) -> None:
        """Change the arguments that the function's body changes, by position or by name."""
        method = isinstance(call.func, ast.Attribute) and function.parameters[:1] == ("self",)
        given = list(zip(function.parameters[1 if method else 0 :], call.args, strict=False))
        given += [(k.arg, k.value) for k in call.keywords if k.arg is not None]
        for parameter, value in given:
            if parameter in function.changes:
                self._change(value)
            if f"#{parameter}" in function.changes:
                self._change_canvas(root_name(value))

    # Scopes

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for part in (*node.decorator_list, node.args, node.returns):
            if part is not None:
                self.visit(part)
        body = self._body(node, node.body)
        self.names.late[node.name] |= body.uses
        self.names.effects[node.name] |= body.changes
        self.bound.add(node.name)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.args)
        body = self._body(node, [ast.Expr(node.body)])
        for name in body.uses:
            self._use(name)

    def visit_arguments(self, node: ast.arguments) -> None:
        for default in (*node.defaults, *(d for d in node.kw_defaults if d is not None)):
            self.visit(default)
        for argument in (*node.posonlyargs, *node.args, *node.kwonlyargs):
            if argument.annotation is not None:
                self.visit(argument.annotation)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        inner = _Reader(self.libraries, self.functions)
        for statement in node.body:
            inner.visit(statement)
        for name in inner.names.uses - {node.name}:
            self._use(name)
        self.names.changes |= inner.names.changes - inner.bound
        for reads in inner.names.late.values():
            self.names.late[node.name] |= reads
        for effects in inner.names.effects.values():
            self.names.effects[node.name] |= effects
        self.bound.add(node.name)

    def _body(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, body: list[ast.stmt]
    ) -> Names:
        """What a function's body reads and changes outside of itself, when called."""
        inner = _Reader(self.libraries, self.functions)
        for statement in body:
            inner.visit(statement)
        arguments = node.args
        every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        local = {a.arg for a in every} | {
            a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None
        }
        # A name bound anywhere in the body is local everywhere in it.
        local |= (inner.bound | inner.names.weak) - inner.declared_global
        nested = set().union(*inner.names.late.values())
        shared = (inner.bound | inner.names.weak) & inner.declared_global
        return Names(
            uses=(inner.names.uses | nested) - local,
            changes=((inner.names.changes | shared) - local) | shared,
        )

    # Comprehensions: their own targets are nobody else's

    def _comprehension(self, node: ast.AST, *results: ast.expr) -> None:
        before = set(self.bound)
        for generator in getattr(node, "generators", []):
            self.visit(generator.iter)
            self.visit(generator.target)
            for condition in generator.ifs:
                self.visit(condition)
        for result in results:
            self.visit(result)
        self.bound = before

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node, node.elt)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._comprehension(node, node.elt)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node, node.elt)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node, node.key, node.value)

    # Statements that may or may not run their parts

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._branches(node.body, node.orelse)

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._branches(node.body, node.orelse, [])

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        before = set(self.bound)
        self.visit(node.target)
        for source in shared_names(node.iter):
            self._alias_all(node.target, source)
        self._branches(node.body, node.orelse, [])
        self.names.weak |= self.bound - before
        self.bound = before

    visit_AsyncFor = visit_For

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        handlers = [
            [
                *([handler.type] if handler.type else []),
                *([ast.Name(handler.name, ast.Store())] if handler.name else []),
                *handler.body,
            ]
            for handler in node.handlers
        ]
        self._branches([*node.body, *node.orelse], *handlers, [])
        for statement in node.finalbody:
            self.visit(statement)

    visit_TryStar = visit_Try

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        self._branches(*([case] for case in node.cases), [])

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self.generic_visit(node)
        if node.name is not None:
            self.bound.add(node.name)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name is not None:
            self.bound.add(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.generic_visit(node)
        if node.rest is not None:
            self.bound.add(node.rest)

    def visit_withitem(self, node: ast.withitem) -> None:
        self.visit(node.context_expr)
        if node.optional_vars is not None:
            self._link(node.optional_vars, node.context_expr)
            self.visit(node.optional_vars)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.bound.update(name for name in imported_library(node) if name != "*")
        self.names.star |= any(item.name == "*" for item in node.names)

    visit_ImportFrom = visit_Import

    def _branches(self, *branches: Sequence[ast.AST]) -> None:
        """Visit alternatives: only what all of them bind is surely bound."""
        before = set(self.bound)
        ends = []
        for branch in branches:
            self.bound = set(before)
            for statement in branch:
                self.visit(statement)
            ends.append(self.bound)
        self.bound = set.intersection(*ends)
        self.names.weak |= set().union(*ends) - self.bound

    # What is done to a name

    def _use(self, name: str) -> None:
        if name not in self.bound:
            self.names.uses.add(name)

    def _change(self, node: ast.expr) -> None:
        root = root_name(node)
        if root is not None:
            self.names.changes.add(root)

    def _change_canvas(self, root: str | None) -> None:
        if root is not None:
            self.names.changes.add(f"#{root}")

    def _stored(self, node: ast.Attribute | ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._change(node)

    def _link(self, target: ast.expr, value: ast.expr) -> None:
        """Note which objects and functions a target may share with the value assigned to it."""
        for source in shared_names(value):
            self._alias_all(target, source)
        targets = target_names(target)
        if isinstance(value, ast.Call) and CANVAS_MAKERS.fullmatch(called_name(value.func)):
            # Figure and axes are one picture, and so are axes and the figure they were made on;
            # `#name` stands for what is drawn on it.
            root = root_name(value.func)
            family = [*targets, *([root] if root and root not in self.libraries else [])]
            self.names.aliases.update((family[0], other) for other in family[1:])
            self.names.aliases.update((f"#{name}", name) for name in family)
        nodes = list(ast.walk(value))
        # `y = f(x)` keeps no hold of `f`; `m = Model()` does of its methods.
        called = {
            node.func.id
            for node in nodes
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        held = {node.id for node in nodes if isinstance(node, ast.Name)}
        held -= called & self.functions.keys()
        late: set[str] = set()
        for node in nodes:
            if isinstance(node, ast.Lambda):
                late |= self._body(node, [ast.Expr(node.body)]).uses
        for name in targets:
            self.names.holds[name] |= held
            if late:
                self.names.late[name] |= late

    def _alias_all(self, target: ast.expr, source: str) -> None:
        for name in target_names(target):
            if name != source and source not in self.libraries:
                self.names.aliases.add((name, source))
                self.names.aliases.add((f"#{name}", f"#{source}"))
