"""Doing and writing down at once: calls on objects, and the Python that repeats them.

In: names, values, calls. Out: their effect on the objects, and lines of code with the same
effect. Values from data become literals, so nothing in them can become code.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Any

_WIDTH = 92


@dataclass(frozen=True, slots=True)
class Named:
    """A value and the name that it has in the code."""

    name: str
    value: Any


class Script:
    """Lines of Python, each carried out as it is written."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str = "") -> None:
        """Write a line that does nothing here."""
        self.lines.append(line)

    def let(self, name: str, value: Any) -> Named:
        """Give a value a name."""
        self._write(f"{name} = ", value)
        return Named(name, value)

    def call(self, target: Named, method: str, *args: Any, to: str = "", **kwargs: Any) -> Named:
        """Call a method (`set_title`, `yaxis.grid`) of a named object."""
        parts = [literal(a) for a in args] + [f"{k}={literal(v)}" for k, v in kwargs.items()]
        head = f"{to} = " if to else ""
        line = f"{head}{target.name}.{method}({', '.join(parts)})"
        if len(line) > _WIDTH and len(args) == 1 and isinstance(args[0], Mapping):
            line = f"{head}{target.name}.{method}({_wrapped(args[0])})"
        elif len(line) > _WIDTH:
            inner = "".join(f"\n    {part}," for part in parts)
            line = f"{head}{target.name}.{method}({inner}\n)"
        self.lines.append(line)
        function = reduce(getattr, method.split("."), target.value)
        found = function(*map(_bare, args), **{k: _bare(v) for k, v in kwargs.items()})
        return Named(to, found)

    def block(self, code: str, action: Callable[[], object]) -> None:
        """Write a loop by hand and do what it says; the tests run both."""
        self.lines.extend(code.rstrip().split("\n"))
        action()

    @property
    def code(self) -> str:
        """All lines."""
        return "\n".join(self.lines)

    def _write(self, head: str, value: Any) -> None:
        text = literal(value)
        if len(head) + len(text) > _WIDTH and isinstance(value, list | dict):
            text = _wrapped(value)
        self.lines.append(head + text)


def literal(value: Any) -> str:
    """The Python expression of a plain value; `TypeError` for any other."""
    if isinstance(value, Named):
        return value.name
    if value is None or isinstance(value, bool | int | str | range):
        return repr(value) if not isinstance(value, str) else _quoted(value)
    if isinstance(value, float):
        return repr(value) if value == value else 'float("nan")'
    if isinstance(value, Decimal):
        return repr(plain_number(value))
    if isinstance(value, datetime.date):
        return f"date({value.year}, {value.month}, {value.day})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, tuple):
        inner = ", ".join(map(literal, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_quoted(k)}: {literal(v)}' for k, v in value.items())}}}"
    raise TypeError(f"{type(value).__name__} has no literal here")


def plain_number(value: Decimal) -> int | float:
    """The number as Python and JSON write it."""
    return int(value) if value == int(value) else float(value)


def _quoted(text: str) -> str:
    body = repr(text)
    if body.startswith("'") and '"' not in body:
        return '"' + body[1:-1].replace("\\'", "'") + '"'
    return body


def _wrapped(value: Sequence[Any] | Mapping[str, Any]) -> str:
    if isinstance(value, Mapping):
        items = [f"{_quoted(k)}: {literal(v)}" for k, v in value.items()]
        return "{\n" + "".join(f"    {item},\n" for item in items) + "}"
    lines, line = [], "   "
    for item in map(literal, value):
        if len(line) + len(item) + 2 > _WIDTH and line.strip():
            lines.append(line)
            line = "   "
        line += f" {item},"
    return "[\n" + "\n".join([*lines, line]) + "\n]"


def _bare(value: Any) -> Any:
    if isinstance(value, Named):
        return _bare(value.value)
    if isinstance(value, Decimal):
        return plain_number(value)
    if isinstance(value, list):
        return [_bare(v) for v in value]
    return value
