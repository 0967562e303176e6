"""The files that a web page may use: what lies beside it in its input, and nothing else.

In: a document's `DocumentRef`. Out: bytes by path, relative to the input's folder or to the
archive that holds the page. A row of a table has no files. Listing adds the members of zips to
what `read.archives` lists.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import IO, Protocol, cast

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef, InputSpec
from dsvl_data.read.archives import list_documents, read_bytes
from dsvl_data.read.listing import printable
from dsvl_data.read.members import tar_members
from dsvl_data.read.zips import MAX_MEMBERS, ZipArchive, member_name

#: One file of a site; larger ones are left aside as if they were not there.
MAX_FILE_BYTES = 20_000_000
MAX_ZIP_BYTES = 500_000_000


class Site(Protocol):
    """Where a page lies. `page` is its own path within, with `/`."""

    page: str

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes; None when there is none that may be read."""
        ...


def list_pages(
    inputs: Sequence[InputSpec], *, suffixes: Collection[str], column: str | None
) -> Iterator[DocumentRef]:
    """List pages as `list_documents` does, and those in zips; raises `InputError` likewise."""
    for ref in list_documents(inputs, suffixes=suffixes, column=column):
        if ref.meta.get("reason") == str(Reason.UNREADABLE) and ref.path.lower().endswith(".zip"):
            yield from _zip_members(ref, tuple(suffixes))
        else:
            yield ref


def read_page(ref: DocumentRef) -> bytes:
    """Load a listed page. Raises `DocumentError` as `read_bytes` and `ZipArchive` do."""
    member = ref.meta.get("member")
    if member is None:
        return read_bytes(ref)
    try:
        return _zip(ref.path).read(member)
    except KeyError as error:
        raise DocumentError(Reason.UNREADABLE, f"{ref.path} has no {member!r} any more") from error


def site_of(ref: DocumentRef) -> Site:
    """Return the files that belong to a page."""
    if "column" in ref.meta:
        return _NoSite()
    if "member" in ref.meta:
        return _ZipSite(ref.path, ref.meta["member"])
    page = page_path(ref.uri, ref.path)
    if page != ref.uri:
        return _TarSite(ref.path, page)
    return _Folder(ref.path.removesuffix(page).rstrip("/"), page.removesuffix(".gz"))


def page_path(uri: str, path: str) -> str:
    """Return where a listed page lies within the tar at `path`, or in its input's folder.

    A `!` parts a tar from its member; in any other place it belongs to a name.
    """
    if path.lower().endswith(".tar"):
        end = len(uri)
        while (end := uri.rfind("!", 0, end)) >= 0:
            if f"/{printable(path)}".endswith(f"/{uri[:end]}"):
                return uri[end + 1 :]
    return uri


class _NoSite:
    page = "page.html"

    def read(self, path: str) -> bytes | None:
        return None


class _Folder:
    def __init__(self, root: str, page: str) -> None:
        self._root, self.page = root, page

    def read(self, path: str) -> bytes | None:
        inner = _inner(path)
        if inner is None:
            return None
        full = storage.join(self._root, inner)
        try:
            if storage.is_local(full):
                real = Path(full).resolve()
                if not real.is_file() or not real.is_relative_to(Path(self._root).resolve()):
                    return None
            return None if storage.size(full) > MAX_FILE_BYTES else storage.read_bytes(full)
        except (OSError, ValueError):  # not there, or a name that no file can have
            return None


class _TarSite:
    def __init__(self, path: str, page: str) -> None:
        self._path, self.page = path, page

    def read(self, path: str) -> bytes | None:
        place = _tar_places(self._path).get(_inner(path) or "")
        if place is None or place[1] > MAX_FILE_BYTES:
            return None
        try:
            return storage.read_bytes(self._path, *place)
        except OSError:
            return None


class _ZipSite:
    def __init__(self, path: str, page: str) -> None:
        self._path, self.page = path, page

    def read(self, path: str) -> bytes | None:
        archive, inner = _zip(self._path), _inner(path) or ""
        if inner not in archive:
            return None
        try:
            data = archive.read(inner)
        except DocumentError:  # a damaged picture is one that is not there
            return None
        return data if len(data) <= MAX_FILE_BYTES else None


def _inner(path: str) -> str | None:
    """A path within the site; None for one that leads out, or is none."""
    inner = posixpath.normpath(path.replace("\\", "/").lstrip("/"))
    return None if not path or "\0" in inner or inner.startswith(("..", "/")) else inner


def _zip_members(ref: DocumentRef, suffixes: tuple[str, ...]) -> Iterator[DocumentRef]:
    try:
        source = cast("IO[bytes]", storage.open_input(ref.path))
        with closing(source) as file, zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        yield replace(ref, meta={"reason": str(Reason.BAD_ARCHIVE), "detail": f"no zip: {error}"})
        return
    size = storage.size(ref.path)
    if len(infos) > MAX_MEMBERS or size > MAX_ZIP_BYTES:
        detail = f"{len(infos)} members, {size} bytes: unpack it"
        yield replace(ref, meta={"reason": str(Reason.TOO_LARGE), "detail": detail})
        return
    # A name that leads out is listed too: its reading fails with that reason.
    for info in sorted(infos, key=member_name):
        member = member_name(info)
        if member.lower().endswith(suffixes) and not info.is_dir():
            uri = f"{ref.uri}!{printable(member)}"
            yield replace(ref, uri=uri, size=info.file_size, meta={"member": member})


@lru_cache(maxsize=1)
def _zip(path: str) -> ZipArchive:
    try:
        return ZipArchive(storage.read_bytes(path), whole=False)
    except OSError as error:
        raise DocumentError(Reason.UNREADABLE, f"{path}: {error}") from error


@lru_cache(maxsize=4)
def _tar_places(path: str) -> Mapping[str, tuple[int, int]]:
    return {name.removeprefix("./"): (offset, size) for name, offset, size in tar_members(path)}
