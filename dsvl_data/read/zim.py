"""ZIM archives (Kiwix: Wikipedia and much else for reading without a network), through libzim.

In: a `.zim` file on this machine. Out: its HTML articles as `DocumentRef`s, in the archive's own
order, which is that of their paths; the bytes of each, and of the pictures beside it. Listing
reads the directory, not an article.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from libzim.reader import Archive, Item

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef

#: Larger entries are no article and no picture that a page shows.
MAX_ENTRY_BYTES = 100_000_000
_REDIRECTS = 5


def list_articles(archive: DocumentRef) -> Iterator[DocumentRef]:
    """List the articles of a ZIM, given as a document; redirections are left out.

    What cannot be opened is one document whose reading fails (`BAD_ARCHIVE`, `UNREADABLE`).
    An article's size is not known before it is read, and given as 0.
    """
    try:
        opened = _opened(archive.path)
    except DocumentError as error:
        meta = {"reason": str(error.reason), "detail": error.detail}
        yield replace(archive, size=0, meta=meta)
        return
    for number in range(opened.entry_count):
        try:
            entry = opened._get_entry_by_id(number)
            if entry.is_redirect or not entry.get_item().mimetype.startswith("text/html"):
                continue
            path = entry.path
        except (RuntimeError, ValueError, UnicodeDecodeError) as error:
            meta = {"reason": str(Reason.BAD_ARCHIVE), "detail": f"entry {number}: {error}"}
            yield replace(archive, uri=f"{archive.uri}!#{number}", size=0, meta=meta)
            continue
        yield replace(archive, uri=f"{archive.uri}!{path}", size=0, meta={"entry": path})


def read_article(ref: DocumentRef) -> bytes:
    """Load a listed article. Raises `DocumentError`."""
    return _content(_item(_opened(ref.path), ref.meta["entry"]))


class ZimSite:
    """The files beside an article. `page` is its path within the archive."""

    def __init__(self, path: str, page: str) -> None:
        self._path, self.page = path, page

    def read(self, path: str) -> bytes | None:
        """Return an entry's bytes; None when there is none at this path."""
        inner = posixpath.normpath(path.lstrip("/"))
        archive = _opened(self._path)
        if inner.startswith("..") or not archive.has_entry_by_path(inner):
            return None
        return _content(_item(archive, inner))


def _item(archive: Archive, path: str) -> Item:
    try:
        entry = archive.get_entry_by_path(path)
        for _ in range(_REDIRECTS):
            if not entry.is_redirect:
                return entry.get_item()
            entry = entry.get_redirect_entry()
    except (KeyError, RuntimeError) as error:
        raise DocumentError(Reason.UNREADABLE, f"{path}: {error}") from error
    raise DocumentError(Reason.UNREADABLE, f"{path}: more than {_REDIRECTS} redirections")


def _content(item: Item) -> bytes:
    try:
        if item.size > MAX_ENTRY_BYTES:
            raise DocumentError(Reason.TOO_LARGE, f"{item.path}: {item.size} bytes")
        return bytes(item.content)
    except RuntimeError as error:  # a damaged cluster
        raise DocumentError(Reason.BAD_ARCHIVE, f"{item.path}: {error}") from error


@lru_cache(maxsize=4)
def _opened(path: str) -> Archive:
    if not storage.is_local(path):
        raise DocumentError(Reason.UNREADABLE, f"{path}: a ZIM must lie on this machine's disk")
    try:
        return Archive(path)
    except RuntimeError as error:
        raise DocumentError(Reason.BAD_ARCHIVE, f"no ZIM archive: {error}") from error
