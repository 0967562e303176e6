"""Which fonts can write a text, and how wide it becomes in them.

In: texts. Out: font families with a glyph for each of their characters, those for which there
is none, and widths. Only families that we name are used, so that a picture does not depend on
what else a machine has; where none of them is there, matplotlib's own DejaVu is.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font, LoadFlags

from dsvl_data.plots.values import is_chinese

_LATIN = (
    "DejaVu Sans", "DejaVu Serif", "Noto Sans", "Noto Serif", "Liberation Sans",
    "Liberation Serif",
)  # fmt: skip
_CHINESE = ("Noto Sans CJK SC", "Noto Serif CJK SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei")
_LAST = "DejaVu Sans"
_EM = 1000.0


@cache
def _files() -> dict[str, tuple[str, int]]:
    """File and face of each family's regular font."""
    wanted = {*_LATIN, *_CHINESE}
    found: dict[str, tuple[str, int]] = {}
    for entry in sorted(font_manager.fontManager.ttflist, key=lambda e: (e.fname, e.index)):
        regular = entry.style == "normal" and str(entry.weight) in ("400", "normal", "regular")
        if entry.name in wanted and regular and entry.stretch in ("normal", 100):
            found.setdefault(entry.name, (entry.fname, entry.index))
    return found


@cache
def _face(family: str) -> tuple[FT2Font, frozenset[int]]:
    path, index = _files()[family]
    font = FT2Font(path, face_index=index)
    font.set_size(_EM, 72)
    return font, frozenset(font.get_charmap())


@lru_cache(maxsize=20_000)
def _advance(family: str, character: str) -> float:
    font, _ = _face(family)
    return font.load_char(ord(character), flags=LoadFlags.NO_HINTING).linearHoriAdvance / 65536


def families_for(texts: Iterable[str], rng: random.Random) -> tuple[str, ...]:
    """One or two families, the first of them the seed's choice, that write all of the texts."""
    there = _files()
    text = "".join(texts)
    latin = [name for name in _LATIN if name in there]
    first = rng.choice(latin)
    serif = "Serif" in first
    chinese = [name for name in _CHINESE if name in there]
    chinese.sort(key=lambda name: ("Serif" in name) != serif)
    if is_chinese(text) and chinese:
        # A Chinese font's own Latin letters go well with it.
        own = rng.random() < 0.6
        return tuple(dict.fromkeys((*([] if own else [first]), chinese[0], _LAST)))
    if unwritable([text], [first]):
        return tuple(dict.fromkeys((first, *chinese[:1], _LAST)))
    return (first,)


def unwritable(texts: Iterable[str], families: Sequence[str]) -> str:
    """The characters for which no family has a glyph, each once."""
    characters = sorted({c for text in texts for c in text if not c.isspace()})
    return "".join(
        c for c in characters if not any(ord(c) in _face(family)[1] for family in families)
    )


def text_width(text: str, families: Sequence[str], size: float) -> float:
    """Width of one line of text at a font size, in the size's own unit."""
    total = 0.0
    for character in text:
        for family in families:
            if ord(character) in _face(family)[1]:
                total += _advance(family, character)
                break
        else:
            total += _EM
    return total * size / _EM
