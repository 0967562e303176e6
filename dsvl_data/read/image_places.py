"""Where the pictures of a published set lie: folders, tars, zips, img2dataset's output.

In: the places that a recipe names. Out: for a name or URL of a record, the byte range of the
picture. Archives are indexed once, while the records are listed: 48 bytes a picture, so that a
worker needs no index. A folder needs none: its path is joined to the name, and no name and no
link leads out of it. A packed tar, in which nothing can be found by its position, is a fault.

A name is the member's whole path in the archive, or what follows its first folder
(`train2017/1.jpg` in `train2017.zip` is also `1.jpg`) where that is one picture only.
"""

from __future__ import annotations

import os
import re
import stat
import tarfile
import zipfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.members import OTHER_TARS, STREAMED_TARS, tar_members, zip_members
from dsvl_data.read.streams import Span

_PICTURES = (
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".svg", ".jfif", ".jpe",
)  # fmt: skip
_ARCHIVES = (".tar", ".zip")
#: Archives that a picture cannot be read from without unpacking all that lies before it.
PACKED = (*STREAMED_TARS, *OTHER_TARS, ".7z", ".rar")
# A folder with more of them has one for each picture, or something else.
_MOST_FOLDERS = 64
# Most names are of this kind, and need no closer look.
_PLAIN_NAME = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_SHORT = "\0"  # no name holds it: before one that lacks its first folder


@dataclass(frozen=True, slots=True)
class Fault:
    """A place, or an archive in one, that could not be read to its end."""

    place: str
    reason: Reason
    detail: str


@dataclass(slots=True)
class Places:
    """The pictures of some places: `Places.of(paths)`.

    `folders` are those in which a worker looks; `faults` what is wrong with an archive, whose
    pictures up to there can be had all the same.
    """

    folders: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    _index: _Index | None = None

    @classmethod
    def of(cls, paths: Sequence[str], *, stems: bool = False) -> Places:
        """Look at the places, and index the archives: files, or those that lie in a folder.

        A tar beside a Parquet file of the same name is img2dataset's: its pictures are known by
        URL. So are those in a folder of that name (`output_format files`). With `stems`, pictures
        are known by their file name without its suffix, wherever they lie in an archive.
        """
        places = cls()
        index = _Index(stems)
        seen: set[str] = set()
        for path in paths:
            try:
                for where in _archives(path):
                    if where not in seen:  # twice, and its short names would be ambiguous
                        seen.add(where)
                        places._add(where, index)
            except OSError as error:
                places.faults.append(Fault(path, Reason.UNREADABLE, str(error)))
            if storage.kind_of(path) == "folder":
                places.folders.append(path)
        if len(index):
            index.close()
            places._index = index
        return places

    def find(self, name: str) -> list[Any] | None:
        """Return where an archive holds a picture, as `Span.to_list`; None when none does."""
        return None if self._index is None else self._index.find(name)

    @property
    def indexed(self) -> bool:
        """Whether there is an archive to look into."""
        return self._index is not None

    def _add(self, path: str, index: _Index) -> None:
        if path.lower().endswith(PACKED):
            detail = "pictures in it cannot be read by position: unpack it, or pack it as .tar"
            self.faults.append(Fault(path, Reason.UNREADABLE, detail))
            return
        found = 0
        try:
            for name, span in _pictures(path):
                index.add(name, span)
                found += 1
        except (tarfile.TarError, zipfile.BadZipFile, ValueError, EOFError, pa.ArrowException) as e:
            self.faults.append(Fault(path, Reason.BAD_ARCHIVE, f"after {found} pictures: {e}"))
        except OSError as error:
            self.faults.append(Fault(path, Reason.UNREADABLE, str(error)))


def in_folder(folder: str, name: str, *, stems: bool = False) -> Span | None:
    """Locate a picture that a record names below a folder; None when it is not there.

    With `stems` the name lacks its suffix. Raises `DocumentError` (`UNSAFE_PATH`) for a name or
    a link that leads out of the folder.
    """
    if stems:
        for suffix in _PICTURES:
            if (span := in_folder(folder, name + suffix)) is not None:
                return span
        return None
    path = checked_name(name)
    if not storage.is_local(folder):
        whole = storage.join(folder, path)
        return Span(whole) if storage.exists(whole) else None
    file = f"{folder.rstrip('/')}/{path}"
    try:
        status = os.lstat(file)
        # The folders above are few and looked at once; the file itself is looked at every time.
        inside = _leads_inside(folder, file.rpartition("/")[0])
        if stat.S_ISLNK(status.st_mode):
            target = Path(file).resolve(strict=True)
            inside = target.is_relative_to(_resolved(folder))
            status = target.stat()
    except (OSError, RuntimeError, ValueError):  # RuntimeError: links in a circle
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    if not inside:
        raise DocumentError(Reason.UNSAFE_PATH, f"{name!r} is a link that leads out of its place")
    return Span(file, 0, status.st_size)


def in_folders_of(folder: str, stem: str) -> Span | None:
    """Locate a picture by its stem in the folders of a local folder; None when none has it.

    Raises `DocumentError`: `MISSING_IMAGE` where several have one of that stem, and nothing says
    which is meant; `UNSAFE_PATH` as `in_folder`.
    """
    found = {}
    for each in _folders_of(folder):
        span = in_folder(each, stem, stems=True)
        if span is not None:
            found[each.rpartition("/")[2]] = span
    if len(found) > 1:
        detail = f"{stem[:300]}: in several folders, {', '.join(found)}: say which in `images`"
        raise DocumentError(Reason.MISSING_IMAGE, detail)
    return next(iter(found.values()), None)


@lru_cache(maxsize=256)
def _folders_of(folder: str) -> tuple[str, ...]:
    if not storage.is_local(folder):
        return ()
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
    except OSError:  # as `in_folder`: nothing is found where nothing can be looked at
        return ()
    if len(names) > _MOST_FOLDERS:
        return ()
    return tuple(f"{folder.rstrip('/')}/{name}" for name in names)


def is_archive(path: str) -> bool:
    """Whether a file may hold pictures: a tar, a zip, or the table of img2dataset's output."""
    return path.lower().endswith((*_ARCHIVES, ".parquet"))


def checked_name(name: str) -> str:
    """Return a record's name of a picture as a path below its place.

    Raises `DocumentError` (`UNSAFE_PATH`) for one that is absolute or leads upwards.
    """
    if _PLAIN_NAME.fullmatch(name):
        return name
    path = PurePosixPath(name.removeprefix("./"))
    unsafe = path.is_absolute() or ".." in path.parts or "\0" in name or name[1:3] in (":\\", ":/")
    if unsafe or not path.parts:
        raise DocumentError(Reason.UNSAFE_PATH, f"a picture named {name[:200]!r}")
    return str(path)


@lru_cache(maxsize=4096)
def _leads_inside(folder: str, parent: str) -> bool:
    return _resolved(parent).is_relative_to(_resolved(folder))


@lru_cache(maxsize=4096)
def _resolved(folder: str) -> Path:
    return Path(folder).resolve(strict=True)


def _archives(path: str) -> Iterator[str]:
    """Yield the archives that a place is or holds, and the Parquet files of img2dataset."""
    kind = storage.kind_of(path)
    if kind == "file":
        yield path
    elif kind == "glob":
        yield from (file.path for file in storage.find_files(path))
    elif kind == "folder":
        names = storage.list_names(path)
        here = set(names)
        for name in names:
            stem, _, suffix = name.rpartition(".")
            beside_folder = suffix == "parquet" and stem in here and f"{stem}.tar" not in here
            if beside_folder or name.lower().endswith((*_ARCHIVES, *PACKED)):
                yield storage.join(path, name)


def _pictures(path: str) -> Iterator[tuple[str, Span]]:
    """Yield each picture of an archive by its name, or by its URL."""
    lower = path.lower()
    if lower.endswith(".zip"):
        for name, where, _ in zip_members(path):
            if isinstance(where, Span):
                yield _plain(name), where
    elif lower.endswith(".tar"):
        table = f"{path[:-4]}.parquet"
        urls = _urls(table) if storage.exists(table) else {}
        for name, offset, size in tar_members(path):
            # Beside each picture img2dataset writes its caption and its facts.
            if not urls or name.lower().endswith(_PICTURES):
                plain = _plain(name)
                yield urls.get(plain.rpartition(".")[0], plain), Span(path, offset, size)
    elif lower.endswith(".parquet"):
        folder = path.removesuffix(".parquet")
        urls = _urls(path)
        for name in storage.list_names(folder):
            url = urls.get(name.rpartition(".")[0])
            if url is not None and name.lower().endswith(_PICTURES):
                yield url, Span(storage.join(folder, name))


def _urls(table: str) -> dict[str, str]:
    """The URL of each picture that img2dataset has got, by its key."""
    with closing(storage.open_input(table)) as source, pq.ParquetFile(source) as file:
        if not {"key", "url"} <= set(file.schema_arrow.names):
            return {}
        columns = file.read(["key", "url"]).to_pydict()
    return {str(k): str(u) for k, u in zip(columns["key"], columns["url"], strict=True)}


def _plain(name: str) -> str:
    return name.removeprefix("./")


class _Index:
    """Spans by the hash of a name, 128 bits of it, sorted."""

    def __init__(self, stems: bool = False) -> None:
        self._stems = stems
        self._files: dict[str, int] = {}
        self._paths: list[str] = []
        self._columns = [array("Q"), array("Q"), array("I"), array("q"), array("q"), array("B")]
        self._sorted: list[NDArray[Any]] = []

    def __len__(self) -> int:
        return len(self._columns[0])

    def add(self, name: str, span: Span) -> None:
        """Take up a picture; by its short name too."""
        if self._stems:
            self._put(name.rpartition("/")[2].rpartition(".")[0], span)
            return
        self._put(name, span)
        short = name.partition("/")[2]
        if short and "://" not in name:
            self._put(_SHORT + short, span)

    def close(self) -> None:
        """Sort, when all are in."""
        arrays = [np.frombuffer(column, dtype=column.typecode) for column in self._columns]
        order = np.lexsort((arrays[1], arrays[0]))  # stable: the first of equal names stays first
        self._sorted = [column[order] for column in arrays]
        self._columns = [array(column.typecode) for column in self._columns]

    def find(self, name: str) -> list[Any] | None:
        """Return the first picture of that name, else the only one of that short name."""
        name = _plain(name)
        found = self._rows(name)
        if not found:
            found = self._rows(_SHORT + name)
            if len(found) != 1:
                return None
        row = found[0]
        _, _, file, offset, size, flags = (column[row] for column in self._sorted)
        span = Span(
            self._paths[int(file)],
            int(offset),
            int(size),
            "deflate" if flags & 1 else "",
            bool(flags & 2),
        )
        return span.to_list()

    def _put(self, name: str, span: Span) -> None:
        digest = xxhash.xxh3_128_intdigest(name.encode("utf-8", "surrogateescape"))
        file = self._files.setdefault(span.path, len(self._paths))
        if file == len(self._paths):
            self._paths.append(span.path)
        flags = (span.packing == "deflate") | span.zip_header << 1
        values = (digest >> 64, digest & (1 << 64) - 1, file, span.offset, span.size, flags)
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)

    def _rows(self, name: str) -> range:
        digest = xxhash.xxh3_128_intdigest(name.encode("utf-8", "surrogateescape"))
        high, low = np.uint64(digest >> 64), digest & (1 << 64) - 1
        first = int(np.searchsorted(self._sorted[0], high, "left"))
        last = first
        while last < len(self._sorted[0]) and self._sorted[0][last] == high:
            if int(self._sorted[1][last]) < low:
                first = last + 1
            elif int(self._sorted[1][last]) > low:
                break
            last += 1
        return range(first, last)
