"""What one statement does to names: which it reads, binds and changes in place.

In: a top-level statement of Python. Out: its `Names`. Nothing is run; what a call does is
judged by the function's body where the notebook has it, else by the method's name.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

#: Methods that, called for their effect, have none on the object: they print, show or draw it.
_READ_ONLY = re.compile(
    r"(?:get|is|has|to|iter|print|show|plot|describe|predict|select|value)(?:_\w+)?|"
    r"head|tail|info|hist|boxplot|sample|copy|keys|values|items|count|summary|score|evaluate|"
    r"transform|corr|cov|groupby|query|unique|nunique|sum|mean|median|std|var|min|max|argmin|"
    r"argmax|any|all|dot|join|split|format|index|lower|upper|strip|startswith|endswith|"
    r"sort_values|sort_index|drop|dropna|fillna|merge|pivot|pivot_table|rename|astype|apply|"
    r"map|agg|aggregate|isnull|isna|notnull|diff|cumsum|rolling|resample|explain|savefig|save|"
    r"display|_repr_\w+|lineplot|pie|bar|barh|line|scatter|area|kde|hexbin"
)
#: Methods that change their object even where their result is used.
_MUTATORS = re.compile(
    r"(?:add|set|run|train|fit|partial_fit|pop|register|load|append|insert|remove|update|step)"
    r"(?:_\w+)?|extend|clear|setdefault|next|read|readline|readlines|write|seed|shuffle|discard|"
    r"popitem|warmup|burn|advance|compile|build|reset|\w+_"
)
#: On these (axes, figures) drawing is a change, whatever the method is called.
_CANVAS_MAKERS = re.compile(
    r"subplots?|subplot2grid|subplot_mosaic|axes|[fF]igure|gc[af]|add_(?:subplot|axes|gridspec)|"
    r"twin[xy]|inset_axes|(?:Facet|Pair|Joint|Image)Grid|Map|make_subplots|Scene"
)
#: Functions that change the argument they are given.
_ARGUMENT_MUTATORS = re.compile(
    r"shuffle|fill_diagonal|put|putmask|place|copyto|heappush|heappop|heapify|heapreplace|"
    r"insort(?:_\w+)?|setattr|delattr|next|setp|train\w*|fit\w*|load_state_dict|\w+_"
)
#: Functions of a library that are its settings.
_SETTINGS = re.compile(
    r"(?:set|register|config|configure|enable|init|seed|manual_seed|use|basic)(?:_\w+|[A-Z]\w*)?|"
    r"rc|rc_file|update|reset_defaults|rcdefaults|filterwarnings|simplefilter|output_notebook|"
    r"extension|append|insert|style|theme"
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
        name = _last_name(node.func)
        arguments = [*node.args, *(k.value for k in node.keywords)]
        for keyword in node.keywords:
            if keyword.arg == "inplace" and not _is_false(keyword.value):
                self._change(node.func)
            elif keyword.arg in ("out", "ax"):
                self._change(keyword.value)
        root = _root(node.func)
        mutator = _ARGUMENT_MUTATORS.fullmatch(name) and (discarded or name in ("next", "heappop"))
        if mutator and (isinstance(node.func, ast.Name) or root in self.libraries):
            for argument in arguments:
                self._change(argument)
        function = self.functions.get(name)
        if function is not None:
            self._changed_arguments(function, node)
        if not isinstance(node.func, ast.Attribute):
            return
        if root in self.libraries:
            if _plain_chain(node.func) and any(map(_SETTINGS.fullmatch, _attributes(node.func))):
                self._change(node.func)
        elif discarded:
            # On a canvas a call that merely looks read-only (`ax.plot`) draws; see `_link`.
            if _READ_ONLY.fullmatch(name):
                self._change_canvas(root)
            else:
                self._change(node.func)
        elif _MUTATORS.fullmatch(name):
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
                self._change_canvas(_root(value))

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
        for source in _elements(node.iter):
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
        root = _root(node)
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
        for source in _elements(value):
            self._alias_all(target, source)
        targets = _target_names(target)
        if isinstance(value, ast.Call) and _CANVAS_MAKERS.fullmatch(_last_name(value.func)):
            # Figure and axes are one picture, and so are axes and the figure they were made on;
            # `#name` stands for what is drawn on it.
            root = _root(value.func)
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
        for name in _target_names(target):
            if name != source and source not in self.libraries:
                self.names.aliases.add((name, source))
                self.names.aliases.add((f"#{name}", f"#{source}"))


def _root(node: ast.expr) -> str | None:
    """The name at the bottom of `a.b[0].c()`: `a`."""
    inner: ast.AST = node
    while isinstance(inner, ast.Attribute | ast.Subscript | ast.Call | ast.Starred):
        inner = inner.func if isinstance(inner, ast.Call) else inner.value
    return inner.id if isinstance(inner, ast.Name) else None


def _elements(value: ast.expr) -> list[str]:
    """Names whose object, or a part of it, the value may be: `a`, `a.b[0]`, `zip(a, b)`."""
    if isinstance(value, ast.Name):
        return [value.id]
    if isinstance(value, ast.Attribute | ast.Subscript | ast.Starred):
        return _elements(value.value)
    if isinstance(value, ast.Tuple | ast.List):
        return [name for item in value.elts for name in _elements(item)]
    if isinstance(value, ast.Dict):
        return [name for item in value.values for name in _elements(item)]
    if isinstance(value, ast.IfExp):
        return _elements(value.body) + _elements(value.orelse)
    if isinstance(value, ast.Call):
        name = _last_name(value.func)
        if name in ("zip", "enumerate", "reversed", "iter", "list", "asarray"):
            return [n for argument in value.args for n in _elements(argument)]
        views = ("ravel", "flatten", "reshape", "items", "values", "get", "view", "setdefault")
        if isinstance(value.func, ast.Attribute) and name in views:
            return _elements(value.func.value)
    return []


def _target_names(target: ast.expr) -> list[str]:
    return [
        node.id
        for node in ast.walk(target)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]


def _last_name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _attributes(function: ast.expr) -> list[str]:
    found = []
    while isinstance(function, ast.Attribute):
        found.append(function.attr)
        function = function.value
    return found


def _plain_chain(function: ast.expr) -> bool:
    while isinstance(function, ast.Attribute):
        function = function.value
    return isinstance(function, ast.Name)


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False
