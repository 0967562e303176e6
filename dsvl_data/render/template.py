"""The page designs: one CSS file each, chosen by a seeded hash.

In: `templates/<family>/*.css` (ours; `base.css` is common to all) and a chapter. Out: a
`Template` with its page geometry, read from the CSS itself so that it is said only once.

A template is plain CSS over the clean HTML of `dsvl_data.render` and keeps these rules, since
the proof rests on them: one `@page` rule with `size` and `margin`; nothing floats, is
positioned, transformed, overlaid or hidden; no generated content but in the margin boxes of
`@page`, where `var(--header)` is the chapter's running head and `counter(page)` the page's
number; no `text-transform` and no small capitals, which show other characters than the text
has. The first comment of the file says its idea.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, TypeAlias

from dsvl_data.render.pages import Chapter

Family: TypeAlias = Literal["books", "papers", "tables"]

#: A table's cell narrower than this, in CSS pixels, breaks its words letter by letter.
_MIN_CELL = 48
_FOLDER = Path(__file__).parent / "templates"
_COMMENT = re.compile(r"/\*(.*?)\*/", re.DOTALL)
_PAGE = re.compile(r"@page\s*\{")
_LENGTH = re.compile(r"([0-9.]+)(px|mm|cm|in|pt)?$")
_PIXELS = {"px": 1.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0, "pt": 96 / 72, None: 1.0}


@dataclass(frozen=True)
class Template:
    """A page design. Lengths are CSS pixels (1/96 inch); margins are top, right, bottom, left.

    `css` is the file alone; `stylesheet` is what is printed, with the common rules before it.
    `columns` is the number of text columns, `vertical` whether lines run from top to bottom.
    """

    name: str
    family: Family
    idea: str
    css: str
    width: float
    height: float
    margins: tuple[float, float, float, float]
    columns: int = 1
    vertical: bool = False

    @property
    def content(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the area inside the margins."""
        top, right, bottom, left = self.margins
        return left, top, self.width - right, self.height - bottom

    @cached_property
    def stylesheet(self) -> str:
        """The whole style of a print; the sizes that pictures must fit in are its variables."""
        left, top, right, bottom = self.content
        sizes = (
            f":root{{--content-width:{right - left:g}px;--content-height:{bottom - top:g}px;"
            f"--column-width:{self.column_width:g}px}}"
        )
        family = _FOLDER / f"{self.family}.css"
        shared = _read(family) if family.is_file() else ""
        return f"{sizes}\n{_read(_FOLDER / 'base.css')}\n{shared}\n{self.css}"

    def suits(self, chapter: Chapter) -> bool:
        """Whether this design can show the chapter: vertical ones are for vertical text only."""
        vertical = "vertical" in chapter.body.get("class", "").split()
        return self.vertical == vertical

    def room(self, chapter: Chapter) -> float:
        """Width of a cell of the chapter's widest table, in CSS pixels; infinite without one."""
        rows = chapter.body.iter("tr")
        cells = max((len(row) for row in rows), default=0)
        return self.column_width / cells if cells else float("inf")

    @property
    def column_width(self) -> float:
        """Length of a full line of text, in CSS pixels; the gap between columns is guessed."""
        left, top, right, bottom = self.content
        line = bottom - top if self.vertical else right - left
        return line / self.columns - (24 if self.columns > 1 else 0)


def parse_template(name: str, family: Family, css: str) -> Template:
    """Read a template from CSS. Raises `ValueError` naming the template and what it lacks."""
    comment = _COMMENT.search(css)
    if comment is None:
        raise ValueError(f"template {name}: the first comment must say its idea")
    plain = _COMMENT.sub("", css)
    page = _page_rule(name, plain)
    size = _property(page, "size").split()
    margin = _property(page, "margin").split()
    if len(size) != 2 or not 1 <= len(margin) <= 4:
        raise ValueError(f"template {name}: @page needs `size: WIDTH HEIGHT` and `margin`")
    width, height = (_pixels(name, part) for part in size)
    edges = [_pixels(name, part) for part in margin]
    top = edges[0]
    right = edges[1] if len(edges) > 1 else top
    bottom = edges[2] if len(edges) > 2 else top
    left = edges[3] if len(edges) > 3 else right
    columns = re.search(r"\bcolumn-count\s*:\s*(\d+)", plain)
    return Template(
        name=name,
        family=family,
        idea=" ".join(comment[1].split()),
        css=css,
        width=width,
        height=height,
        margins=(top, right, bottom, left),
        columns=int(columns[1]) if columns else 1,
        vertical=bool(re.search(r"\bwriting-mode\s*:\s*vertical", plain)),
    )


@cache
def load_templates(family: Family) -> tuple[Template, ...]:
    """Return all templates of a family, by name."""
    files = sorted((_FOLDER / family).glob("*.css"))
    return tuple(parse_template(f.stem, family, _read(f)) for f in files)


def choose(
    templates: Sequence[Template], seed: int, key: str, chapter: Chapter | None = None
) -> Template:
    """Return one of the templates that suit the chapter, by a hash of seed and key.

    A chapter with a wide table goes on pages where its cells have room, if there are such.

    The choice is the same on every machine, and adding a template changes the choice for
    some keys only (the highest of one hash per template wins). Raises `ValueError` when no
    template suits.
    """
    suitable = [t for t in templates if chapter is None or t.suits(chapter)]
    if not suitable:
        raise ValueError("no template suits this chapter")
    if chapter is not None:
        rooms = [template.room(chapter) for template in suitable]
        enough = min(_MIN_CELL, max(rooms))
        suitable = [t for t, room in zip(suitable, rooms, strict=True) if room >= enough]

    def rank(template: Template) -> bytes:
        text = f"{seed}\0{key}\0{template.family}/{template.name}"
        return hashlib.blake2b(text.encode(), digest_size=8).digest()

    return max(suitable, key=rank)


def _page_rule(name: str, css: str) -> str:
    start = _PAGE.search(css)
    if start is None:
        raise ValueError(f"template {name}: no @page rule")
    depth, position = 1, start.end()
    while depth and position < len(css):
        depth += {"{": 1, "}": -1}.get(css[position], 0)
        position += 1
    # Without the margin boxes, which may hold a `margin` of their own.
    return re.sub(r"@[\w-]+\s*\{[^}]*\}", "", css[start.end() : position - 1])


def _property(rule: str, name: str) -> str:
    found = re.search(rf"(?:^|[;\s]){name}\s*:\s*([^;]+)", rule)
    return found[1].strip() if found else ""


def _pixels(name: str, length: str) -> float:
    found = _LENGTH.match(length)
    if found is None:
        raise ValueError(f"template {name}: {length!r} is no length in px, mm, cm, in or pt")
    return float(found[1]) * _PIXELS[found[2]]


@cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
