"""What a call does to its object, judged by its name; and the names in an expression.

In: the name of a method or function, or an expression of Python. Out: whether it changes what it
is called on or given; the names that an expression starts from, may be, or binds.
"""

from __future__ import annotations

import ast
import re

#: Methods that, called for their effect, have none on the object: they print, show or draw it.
READ_ONLY = re.compile(
    r"(?:get|is|has|to|iter|print|show|plot|describe|predict|select|value)(?:_\w+)?|"
    r"head|tail|info|hist|boxplot|sample|copy|keys|values|items|count|summary|score|evaluate|"
    r"transform|corr|cov|groupby|query|unique|nunique|sum|mean|median|std|var|min|max|argmin|"
    r"argmax|any|all|dot|join|split|format|index|lower|upper|strip|startswith|endswith|"
    r"sort_values|sort_index|drop|dropna|fillna|merge|pivot|pivot_table|rename|astype|apply|"
    r"map|agg|aggregate|isnull|isna|notnull|diff|cumsum|rolling|resample|explain|savefig|save|"
    r"display|_repr_\w+|lineplot|pie|bar|barh|line|scatter|area|kde|hexbin"
)
#: Methods that change their object even where their result is used.
MUTATORS = re.compile(
    r"(?:add|set|run|train|fit|partial_fit|pop|register|load|append|insert|remove|update|step)"
    r"(?:_\w+)?|extend|clear|setdefault|next|read|readline|readlines|write|seed|shuffle|discard|"
    r"popitem|warmup|burn|advance|compile|build|reset|\w+_"
)
#: On these (axes, figures) drawing is a change, whatever the method is called.
CANVAS_MAKERS = re.compile(
    r"subplots?|subplot2grid|subplot_mosaic|axes|[fF]igure|gc[af]|add_(?:subplot|axes|gridspec)|"
    r"twin[xy]|inset_axes|(?:Facet|Pair|Joint|Image)Grid|Map|make_subplots|Scene"
)
#: Functions that change the argument they are given.
ARGUMENT_MUTATORS = re.compile(
    r"shuffle|fill_diagonal|put|putmask|place|copyto|heappush|heappop|heapify|heapreplace|"
    r"insort(?:_\w+)?|setattr|delattr|next|setp|train\w*|fit\w*|load_state_dict|\w+_"
)
#: Functions of a library that are its settings.
SETTINGS = re.compile(
    r"(?:set|register|config|configure|enable|init|seed|manual_seed|use|basic)(?:_\w+|[A-Z]\w*)?|"
    r"rc|rc_file|update|reset_defaults|rcdefaults|filterwarnings|simplefilter|output_notebook|"
    r"extension|append|insert|style|theme"
)


def root_name(node: ast.expr) -> str | None:
    """The name at the bottom of `a.b[0].c()`: `a`."""
    inner: ast.AST = node
    while isinstance(inner, ast.Attribute | ast.Subscript | ast.Call | ast.Starred):
        inner = inner.func if isinstance(inner, ast.Call) else inner.value
    return inner.id if isinstance(inner, ast.Name) else None


def shared_names(value: ast.expr) -> list[str]:
    """Names whose object, or a part of it, the value may be: `a`, `a.b[0]`, `zip(a, b)`."""
    if isinstance(value, ast.Name):
        return [value.id]
    if isinstance(value, ast.Attribute | ast.Subscript | ast.Starred):
        return shared_names(value.value)
    if isinstance(value, ast.Tuple | ast.List):
        return [name for item in value.elts for name in shared_names(item)]
    if isinstance(value, ast.Dict):
        return [name for item in value.values for name in shared_names(item)]
    if isinstance(value, ast.IfExp):
        return shared_names(value.body) + shared_names(value.orelse)
    if isinstance(value, ast.Call):
        name = called_name(value.func)
        if name in ("zip", "enumerate", "reversed", "iter", "list", "asarray"):
            return [n for argument in value.args for n in shared_names(argument)]
        views = ("ravel", "flatten", "reshape", "items", "values", "get", "view", "setdefault")
        if isinstance(value.func, ast.Attribute) and name in views:
            return shared_names(value.func.value)
    return []


def target_names(target: ast.expr) -> list[str]:
    """Names that an assignment to the target binds: `a` and `b` of `a, *b`."""
    return [
        node.id
        for node in ast.walk(target)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]


def called_name(function: ast.expr) -> str:
    """The last name of what is called: `c` of `a.b.c`; nothing where it has none."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def attributes(function: ast.expr) -> list[str]:
    """The attributes of `a.b.c`, the last first: `c`, `b`."""
    found = []
    while isinstance(function, ast.Attribute):
        found.append(function.attr)
        function = function.value
    return found


def is_plain_chain(function: ast.expr) -> bool:
    """Whether it is a name and attributes, with no call or index between."""
    while isinstance(function, ast.Attribute):
        function = function.value
    return isinstance(function, ast.Name)


def is_false(node: ast.expr) -> bool:
    """Whether it is the constant `False`."""
    return isinstance(node, ast.Constant) and node.value is False
