"""Which leaves are short, by how much, in each language: the last mix's numbers in; a report out.

As a table for a screen, as JSON, and as one HTML page that needs nothing else: the tree as an
icicle, each node as high as its target, filled as far as the mix reaches it, with the supply
beside each leaf.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from dsvl_data import storage
from dsvl_data.outcome import UserError
from taxonomy import index
from taxonomy.mix_report import MIX_JSON
from taxonomy.tree import Node, Taxonomy

_PAGE = Path(__file__).parent / "templates" / "report.html"
_ADVISED = 10


def deficits(out: str, taxonomy: Taxonomy) -> dict[str, Any]:
    """Return the tree with target, supply, and what the last mix took, of every node.

    Each node has these numbers in all and by language. `short` is what the mix lacks of the
    target; `collect` what the supply lacks of it, were each conversation used once: what no
    choice can make up. Languages without a target of their own get the mix's proportion.
    Raises `UserError` when there is no mix.
    """
    path = storage.join(out, index.ROOT, MIX_JSON)
    try:
        said = json.loads(storage.read_bytes(path))
    except FileNotFoundError:
        raise UserError(
            f"{out} has no mix: run `dsvl-data taxonomy balance {out} --size N` first"
        ) from None
    by_path = {leaf["path"]: leaf for leaf in said["leaves"]}
    shares = said["target_languages"] or {
        name: numbers["taken"] / said["size"] for name, numbers in said["languages"].items()
    }

    def node(each: Node) -> dict[str, Any]:
        here: dict[str, Any] = {
            "id": each.id,
            "path": taxonomy.text_path(each.id),
            "name": dict(each.name),
            "images": list(each.images),
        }
        if each.is_leaf:
            leaf = by_path.get(here["path"])
            if leaf is None:
                raise UserError(
                    f"the mix in {out} was made with another taxonomy: it has no leaf "
                    f"{here['path']!r}; give that one with --taxonomy, or balance again"
                )
            none = {"taken": 0, "supply": 0}
            here["languages"] = {
                name: _numbers(leaf["target"] * share, **leaf["languages"].get(name, none))
                for name, share in sorted(shares.items())
            }
            here |= _numbers(leaf["target"], leaf["taken"], leaf["supply"])
            here["price"] = leaf["price"]
            return here
        here["children"] = [node(child) for child in each.children]
        here["languages"] = {
            name: _sum([child["languages"][name] for child in here["children"]])
            for name in sorted(shares)
        }
        return here | _sum(here["children"])

    return {
        "size": said["size"],
        "distance": said["distance"],
        "optimal": said["optimal"],
        "language_target": bool(said["target_languages"]),
        "pool": said["pool"],
        "tree": [node(main) for main in taxonomy.main],
    }


def leaves(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the leaves of a report, those that lack most first."""
    every: list[dict[str, Any]] = []

    def visit(nodes: Sequence[dict[str, Any]]) -> None:
        for each in nodes:
            if "children" in each:
                visit(each["children"])
            else:
                every.append(each)

    visit(found["tree"])
    return sorted(every, key=lambda leaf: (-leaf["short"], -leaf["collect"], leaf["path"]))


def table(found: Mapping[str, Any], count: int) -> Table:
    """Return the `count` leaves that lack most, as a table."""
    every = leaves(found)
    languages = list(every[0]["languages"]) if every else []
    short = sum(leaf["short"] for leaf in every)
    title = f"{sum(leaf['short'] >= 1 for leaf in every)} of {len(every)} leaves are short, "
    drawn = Table(title=f"{title}by {short:.0f} of {found['size']} in all", box=SIMPLE_HEAD)
    drawn.add_column("leaf", overflow="fold")
    for name in ("target", "mix", "supply", "short"):
        drawn.add_column(name, justify="right")
    for language in languages:
        drawn.add_column(f"short {language}", justify="right")
    for leaf in every[:count]:
        numbers = [f"{leaf['target']:.0f}", str(leaf["taken"]), str(leaf["supply"])]
        lacks = [f"{leaf['languages'][name]['short']:.0f}" for name in languages]
        drawn.add_row(leaf["path"], *numbers, f"{leaf['short']:.0f}", *lacks)
    return drawn


def advice(found: Mapping[str, Any], count: int = _ADVISED) -> list[str]:
    """Return what to collect next: the leaves whose supply is farthest below their target."""
    wanted = sorted(leaves(found), key=lambda leaf: (-leaf["collect"], leaf["path"]))
    wanted = [leaf for leaf in wanted if leaf["collect"] >= 0.5][:count]
    if not wanted:
        return ["there is enough of every leaf; what is short, the constraints keep out"]
    lines = ["to collect next:"]
    for leaf in wanted:
        parts = ", ".join(
            f"{name} {numbers['collect']:.0f}"
            for name, numbers in leaf["languages"].items()
            if numbers["collect"] >= 0.5
        )
        images = ", ".join(leaf["images"])
        lines.append(
            f"  {leaf['collect']:.0f} of {leaf['path']}"
            + (f" ({parts})" if parts else "")
            + f"; images: {images}"
        )
    return lines


def page(found: Mapping[str, Any]) -> str:
    """Return the report as an HTML page that needs no network and no other file."""
    data = json.dumps(found, ensure_ascii=False).replace("<", "\\u003c")
    # U+2028 and U+2029 end a line in older JavaScript.
    data = data.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return _PAGE.read_text(encoding="utf-8").replace("__DATA__", data)


def _numbers(target: float, taken: int, supply: int) -> dict[str, Any]:
    return {
        "target": target,
        "taken": taken,
        "supply": supply,
        "short": max(0.0, target - taken),
        "collect": max(0.0, target - supply),
    }


def _sum(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = ("target", "taken", "supply", "short", "collect")
    return {name: sum(part[name] for part in parts) for name in names}
