"""Where commands print: a terminal as wide as it is, a pipe or log file wide enough for tables."""

from __future__ import annotations

from rich.console import Console

#: Columns where no terminal says how wide it is.
_PLAIN_WIDTH = 120


def console(*, stderr: bool = False) -> Console:
    """Make a console on standard output or error."""
    made = Console(stderr=stderr)
    return made if made.is_terminal else Console(stderr=stderr, width=_PLAIN_WIDTH)
