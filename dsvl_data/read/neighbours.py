"""Pictures that the pages of a site share: logos, buttons, ornaments.

In: pages as they are listed. Out: for each page, whether a picture is one that its neighbours
show as well. A page's neighbours are up to `WITNESSES` pages of the window of `WINDOW` pages that
it was listed in, so what repeats is decided by the input alone, not by who converts what when;
a worker reads each window's witnesses once, and looks for nothing in them but the names of
pictures.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

from dsvl_data.outcome import DocumentError
from dsvl_data.pipeline import DocumentRef
from dsvl_data.read.sites import page_path

WINDOW, WITNESSES = 48, 12
#: A picture repeats when so many other witnesses show it, and so large a share of them.
_LEAST, _SHARE = 3, 1 / 3
_LOOKED_AT = 1_000_000
_TAG = re.compile(rb"<im(?:g|age)\b[^>]{0,4000}>", re.IGNORECASE)
_SOURCE = re.compile(
    rb"""[\s"'](?:data-src|data-original|data-lazy-src|src|href)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""",
    re.IGNORECASE,
)
_MARKDOWN = re.compile(rb"!\[[^\]\n]{0,500}\]\(\s*<?([^)\s>]{1,1000})")


def with_neighbours(refs: Iterable[DocumentRef]) -> Iterator[DocumentRef]:
    """Give each page its neighbours to remember (`meta["near"]`), in the order of the pages.

    Pages of different data sets are no neighbours. The last window takes in what is left over.
    """
    held: list[DocumentRef] = []
    for ref in refs:
        if held and held[-1].dataset != ref.dataset:
            yield from _window(held)
            held = []
        held.append(ref)
        if len(held) == 2 * WINDOW:
            yield from _window(held[:WINDOW])
            held = held[WINDOW:]
    yield from _window(held)


def _window(refs: list[DocumentRef]) -> Iterator[DocumentRef]:
    step = max(1, len(refs) // WITNESSES)
    sound = [ref for ref in refs if "reason" not in ref.meta]
    near = [
        [ref.uri, ref.path, ref.size, ref.offset, dict(ref.meta)]
        for ref in sound[::step][:WITNESSES]
    ]
    if len(near) <= _LEAST:
        near = []  # too few to tell a logo by
    for ref in refs:
        yield replace(ref, meta={**ref.meta, "near": near}) if near else ref


class Neighbours:
    """What a worker knows of the neighbours of the pages it reads; `read` loads a page."""

    def __init__(self, read: Callable[[DocumentRef], bytes]) -> None:
        self._read = read
        self._window: Any = None
        self._shown: dict[str, frozenset[str]] = {}  # of each witness, by its URI
        self._counts: Counter[str] = Counter()

    def repeats(self, ref: DocumentRef, name: str) -> bool:
        """Whether the picture that `picture_name` calls so is one that a page's neighbours show."""
        near = ref.meta.get("near")
        if not near:
            return False
        if near != self._window:  # pages come in the order of their windows
            self._shown = dict(self._look(ref, near))
            self._counts = Counter(each for shown in self._shown.values() for each in shown)
            self._window = near
        others = len(self._shown) - (ref.uri in self._shown)
        own = name in self._shown.get(ref.uri, ())
        return self._counts[name] - own >= max(_LEAST, _SHARE * others)

    def _look(self, ref: DocumentRef, near: Sequence[Any]) -> Iterator[tuple[str, frozenset[str]]]:
        for uri, path, size, offset, meta in near:
            witness = replace(ref, uri=uri, path=path, size=size, offset=offset, meta=meta)
            try:
                data = self._read(witness)[:_LOOKED_AT]
            except DocumentError:  # its own reading will say why
                data = b""
            page = meta.get("entry") or meta.get("member") or page_path(uri, path)
            yield uri, frozenset(picture_name(page, each) for each in _pictures(data))


def picture_name(page: str, path: str) -> str:
    """What a picture is known by among the pages of a site: its path from the site's root."""
    path = path.strip()
    if path.startswith("data:"):
        return path
    try:
        parts = urlsplit(path)
    except ValueError:
        return path
    if parts.scheme or parts.netloc:
        return path
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(parts.path)))


def _pictures(data: bytes) -> Iterator[str]:
    for tag in _TAG.findall(data):
        for values in _SOURCE.findall(tag):
            yield html.unescape(b"".join(values).decode("utf-8", "replace"))
    if b"![" in data:
        for path in _MARKDOWN.findall(data):
            yield path.decode("utf-8", "replace")
