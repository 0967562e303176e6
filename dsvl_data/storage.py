"""Files wherever they lie: local paths, `s3://`, `gs://` and whatever else fsspec knows.

In: a path as a recipe or command line names it. Out: bytes, listings, and writes that are
whole or not there at all. Outputs are written through `commit` and `atomic_write` only, so
that a process killed at any moment leaves no half file under a final name.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pyarrow import fs as arrow_fs

_ARROW_SCHEMES = ("s3", "gs", "gcs", "hdfs")
_COPY_BYTES = 8 << 20
_MAGIC = re.compile(r"[*?\[]")
_SCRATCH = ".scratch"
_WRITING = ".writing-"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file found by `find_files`.

    `path` can be opened as it stands; `size` is in bytes; `relative` is the POSIX path below the
    folder, or below the fixed part of the glob, that was asked for (a single file's name).
    `link` says of a symbolic link why it must not be followed: see `find_files`.
    """

    path: str
    size: int
    relative: str
    link: Literal["", "outside", "folder", "nowhere"] = ""


def is_local(path: str) -> bool:
    """Whether a path lies on this machine's file system (no `scheme://`)."""
    return "://" not in path


def join(base: str, *parts: str) -> str:
    """Append path components with `/`, for local paths and URLs alike."""
    return "/".join([base.rstrip("/") if base != "/" else "", *parts])


def exists(path: str) -> bool:
    """Whether a file or folder is there."""
    if is_local(path):
        return Path(path).exists()
    fs, inner = _filesystem(path)
    return bool(fs.get_file_info(inner).type != arrow_fs.FileType.NotFound)


def list_names(folder: str) -> list[str]:
    """Return the sorted names of the files and folders in a folder; none if it is not there."""
    if is_local(folder):
        local = Path(folder)
        return sorted(item.name for item in local.iterdir()) if local.is_dir() else []
    fs, inner = _filesystem(folder)
    selector = arrow_fs.FileSelector(inner, allow_not_found=True)
    return sorted(info.base_name for info in fs.get_file_info(selector))


def find_files(path: str, *, judge_links: bool = False) -> Iterator[StoredFile]:
    """Yield the files that a path stands for, by `relative`: one file, a folder's, or a glob's.

    Nothing there yields nothing. In a glob `*`, `?` and `[..]` stay within a folder and `**/`
    crosses folders; a path that exists is never taken for a pattern. Hidden files (`.name`)
    below a folder are left out, and links to folders are not followed.

    With `judge_links`, for input that nobody has vetted, links are told as such and not as
    files: `outside` leads to a file outside of the folder, `folder` to a folder outside of it,
    `nowhere` to nothing.
    """
    if path.startswith("file://"):
        path = path.removeprefix("file://")
    walk = _walk_local if is_local(path) else _walk_store
    kind, one = _look_at(path)
    if one is not None:
        yield one
    elif kind == arrow_fs.FileType.Directory:
        yield from walk(path, judge_links)
    elif kind == arrow_fs.FileType.NotFound and glob.has_magic(path):
        base, pattern = split_glob(path)
        wanted = glob_pattern(pattern)
        if _look_at(base)[0] == arrow_fs.FileType.Directory:
            for file in walk(base, judge_links):
                if file.link == "folder":
                    matches = _leads_on(file.relative, pattern)
                else:
                    matches = wanted.fullmatch(file.relative) is not None
                if matches:
                    yield file


def kind_of(path: str) -> Literal["file", "folder", "glob", "nothing"]:
    """Say what `find_files` takes a path for."""
    kind, one = _look_at(path.removeprefix("file://"))
    if one is not None:
        return "file"
    if kind == arrow_fs.FileType.Directory:
        return "folder"
    return "glob" if glob.has_magic(path) else "nothing"


def glob_pattern(pattern: str) -> re.Pattern[str]:
    """Return a glob below its base as an expression: see `find_files`."""
    parts = re.split(r"(\*\*/?|\*|\?|\[!?[^\]]+\])", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(known.get(part) or _literal(part) for part in parts), re.DOTALL)


def size(path: str) -> int:
    """Bytes of a file; `FileNotFoundError` when it is not there."""
    if is_local(path):
        return Path(path).stat().st_size
    fs, inner = _filesystem(path)
    info = fs.get_file_info(inner)
    if info.type != arrow_fs.FileType.File:
        raise FileNotFoundError(path)
    return int(info.size)


def modified(path: str) -> int:
    """Return when a file was last written, in nanoseconds since 1970; 0 where nobody says."""
    if is_local(path):
        return Path(path).stat().st_mtime_ns
    fs, inner = _filesystem(path)
    return int(fs.get_file_info(inner).mtime_ns or 0)


def open_input(path: str) -> pa.NativeFile:
    """Open a file for random reads; `OSError` when that fails."""
    if is_local(path):
        return pa.OSFile(os.fsencode(path), "rb")  # a name need not be UTF-8
    fs, inner = _filesystem(path)
    return fs.open_input_file(inner)


def read_bytes(path: str, offset: int = 0, length: int | None = None) -> bytes:
    """Return a file's bytes, or the `length` bytes from `offset`; `OSError` when that fails."""
    if is_local(path):
        # Once per picture: a file object costs three times as much as the read.
        handle = os.open(path, os.O_RDONLY)
        try:
            if length is None or length > _COPY_BYTES:  # no more memory than there are bytes
                left = max(os.fstat(handle).st_size - offset, 0)
                length = left if length is None else min(left, length)
            return _read(handle, offset, length)
        finally:
            os.close(handle)
    with open_input(path) as source:
        if offset:
            source.seek(offset)
        data: bytes = source.read() if length is None else source.read(length)
        return data


def _read(handle: int, offset: int, size: int) -> bytes:
    """Read all of a range, or as much as is there: one call gives 2 GiB at most."""
    data = os.pread(handle, size, offset)
    if len(data) == size:
        return data
    pieces = [data]
    while pieces[-1]:
        size, offset = size - len(pieces[-1]), offset + len(pieces[-1])
        pieces.append(os.pread(handle, size, offset))
    return b"".join(pieces)


def commit(local_file: str, final: str) -> None:
    """Move a finished local file to its final path, so that it is there whole or not at all.

    Local: fsync of the file, rename, fsync of the folder; after the return it survives a power
    cut. The file must lie on the same file system as `final`. Object stores: an upload, which
    becomes visible when it is complete; then the local file is removed.
    """
    if is_local(final):
        _sync(local_file)
        _replace(local_file, final)
        return
    fs, inner = _filesystem(final)
    try:
        with Path(local_file).open("rb") as source, fs.open_output_stream(inner) as sink:
            shutil.copyfileobj(source, sink, _COPY_BYTES)
    except BaseException:
        # Closing the stream has published what was there so far.
        if fs.get_file_info(inner).type == arrow_fs.FileType.File:
            fs.delete_file(inner)
        raise
    Path(local_file).unlink()


def atomic_write(path: str, data: bytes) -> None:
    """Write a small file whole; the same guarantee as `commit`. Makes the folder if need be."""
    make_folder(path.rpartition("/")[0] or ".")
    if is_local(path):
        handle, name = tempfile.mkstemp(prefix=_WRITING, dir=Path(path).parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(name).chmod(0o644)
            _sync(name)
            _replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return
    fs, inner = _filesystem(path)
    with fs.open_output_stream(inner) as sink:
        sink.write(data)


def move(source: str, final: str) -> None:
    """Give a stored file another name in the same store, in place of what stands there."""
    if is_local(final):
        _replace(source, final)
        return
    fs, inner = _filesystem(final)
    if fs.get_file_info(inner).type == arrow_fs.FileType.File:
        fs.delete_file(inner)
    fs.move(_filesystem(source)[1], inner)


def make_folder(path: str) -> None:
    """Make a folder and its parents; object stores need none."""
    if is_local(path):
        Path(path).mkdir(parents=True, exist_ok=True)
    else:
        fs, inner = _filesystem(path)
        if not isinstance(fs, arrow_fs.S3FileSystem):
            fs.create_dir(inner, recursive=True)


def missing_folders(path: str) -> list[str]:
    """Return the folder and those above it that are not there, innermost first; local ones only."""
    if not is_local(path):
        return []
    above = (Path(path), *Path(path).parents)
    return [str(folder) for folder in takewhile(lambda folder: not folder.exists(), above)]


def remove_empty(path: str) -> None:
    """Remove a folder if it is there and nothing is in it."""
    if not is_local(path):
        if not list_names(path):
            remove(path)
        return
    try:
        Path(path).rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
            raise


def remove(path: str) -> None:
    """Remove a file or a folder with all that is in it; nothing there is fine."""
    if is_local(path):
        if Path(path).is_dir() and not Path(path).is_symlink():
            shutil.rmtree(path)
        else:
            Path(path).unlink(missing_ok=True)
        return
    fs, inner = _filesystem(path)
    kind = fs.get_file_info(inner).type
    if kind == arrow_fs.FileType.Directory:
        fs.delete_dir(inner)
    elif kind == arrow_fs.FileType.File:
        fs.delete_file(inner)


@contextlib.contextmanager
def scratch(out: str, run: str) -> Iterator[str]:
    """Make a local folder for unfinished files of `out`, so that `commit` from it is atomic.

    Beside the output when that is local (one file system), else among the machine's temporary
    files. Removed at the end; `sweep` removes what a killed process left.
    """
    parent = Path(out, _SCRATCH, run) if is_local(out) else _among_temporary(out) / run
    parent.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(dir=parent)
    try:
        yield folder
    finally:
        # A later run may have swept it away already.
        shutil.rmtree(folder, ignore_errors=True)


def temporary(out: str, run: str) -> str:
    """Return this machine's folder for what programs leave among temporary files in a run.

    Other runs' are removed: only one at a time works for an output. `sweep` removes it.
    """
    folder = _among_temporary(out)
    (folder / run).mkdir(parents=True, exist_ok=True)
    for other in folder.iterdir():
        if other.name != run:
            shutil.rmtree(other, ignore_errors=True)
    return str(folder / run)


def sweep(out: str) -> None:
    """Remove the unfinished files that killed runs left in and for an output folder."""
    # What a dying process of a killed run still adds is the next sweep's.
    shutil.rmtree(_among_temporary(out), ignore_errors=True)
    if is_local(out):
        shutil.rmtree(Path(out, _SCRATCH), ignore_errors=True)
        for leftover in Path(out).glob("**/" + _WRITING + "*"):
            leftover.unlink()


def _among_temporary(out: str) -> Path:
    # Short: the path of a socket, which a browser may put below it, has 107 bytes at most.
    digest = hashlib.blake2b(out.encode(), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir(), f"dsvl-{digest}")


def _look_at(path: str) -> tuple[arrow_fs.FileType, StoredFile | None]:
    """What a path is, and the file if it is one."""
    if is_local(path):
        local = Path(path)
        if local.is_file():
            return arrow_fs.FileType.File, StoredFile(path, local.stat().st_size, local.name)
        found = arrow_fs.FileType.Directory if local.is_dir() else arrow_fs.FileType.NotFound
        return found, None
    fs, inner = _filesystem(path)
    info = fs.get_file_info(inner)
    if info.type == arrow_fs.FileType.File:
        return info.type, StoredFile(path, int(info.size), info.base_name)
    return info.type, None


def _walk_store(base: str, judge_links: bool) -> Iterator[StoredFile]:
    fs, inner = _filesystem(base)
    scheme, above = base.partition("://")[0], inner.strip("/")
    files = []
    for info in fs.get_file_info(arrow_fs.FileSelector(inner, recursive=True)):
        relative = info.path.strip("/")[len(above) :].lstrip("/")
        if info.is_file and not f"/{relative}".count("/."):
            files.append(StoredFile(f"{scheme}://{info.path}", int(info.size), relative))
    yield from sorted(files, key=lambda file: file.relative)


def _walk_local(base: str, judge_links: bool) -> Iterator[StoredFile]:
    inside = Path(base).resolve()

    def walk(folder: str, above: str) -> Iterator[StoredFile]:
        with os.scandir(folder) as found:
            # A folder stands where its files do: the order is that of the whole relative path.
            entries = sorted(
                (entry for entry in found if not entry.name.startswith(".")),
                key=lambda e: f"{e.name}/" if e.is_dir(follow_symlinks=False) else e.name,
            )
        for entry in entries:
            relative = above + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from walk(entry.path, f"{relative}/")
                continue
            link = _judge(entry, inside) if judge_links and entry.is_symlink() else ""
            if link:
                yield StoredFile(entry.path, 0, relative, link)
            elif entry.is_file():
                yield StoredFile(entry.path, entry.stat().st_size, relative)

    yield from walk(base, "")


def _judge(entry: os.DirEntry[str], inside: Path) -> Literal["", "outside", "folder", "nowhere"]:
    try:
        target = Path(entry.path).resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: links in a circle
        return "nowhere"
    if target.is_relative_to(inside):
        return ""
    return "folder" if target.is_dir() else "outside"


def split_glob(path: str) -> tuple[str, str]:
    """Cut a glob into the folder before its first special character and the pattern below it."""
    fixed = _MAGIC.split(path, maxsplit=1)[0].rpartition("/")[0]
    base = fixed or ("/" if path.startswith("/") else ".")
    return base, path[len(fixed) :].lstrip("/")


def _literal(part: str) -> str:
    if part.startswith("[") and part.endswith("]") and len(part) > 2:
        inside = part[1:-1].replace("\\", r"\\")
        return "[^" + inside[1:] + "]" if inside.startswith("!") else f"[{inside}]"
    return re.escape(part)


def _leads_on(folder: str, pattern: str) -> bool:
    """Whether a pattern may match something below a folder."""
    folders, patterns = folder.split("/"), pattern.split("/")
    for name, wanted in zip(folders, patterns, strict=False):
        if "**" in wanted:
            return True
        if not glob_pattern(wanted).fullmatch(name):
            return False
    return len(patterns) > len(folders)


def _filesystem(path: str) -> tuple[arrow_fs.FileSystem, str]:
    scheme, _, rest = path.partition("://")
    if scheme == "file":
        return arrow_fs.LocalFileSystem(), rest
    store = rest.partition("/")[0]
    fs = _connect(scheme, store)
    # fsspec keeps a leading slash for stores without buckets (memory), pyarrow has none.
    return fs, rest if scheme in _ARROW_SCHEMES else str(fs.handler.fs._strip_protocol(path))


@lru_cache(maxsize=64)
def _connect(scheme: str, store: str) -> arrow_fs.FileSystem:
    if scheme in _ARROW_SCHEMES:
        fs, _ = arrow_fs.FileSystem.from_uri(f"{scheme}://{store}")
        return fs
    import fsspec  # few need it, and it takes its time

    return arrow_fs.PyFileSystem(arrow_fs.FSSpecHandler(fsspec.filesystem(scheme)))


def _replace(source: str, final: str) -> None:
    Path(source).replace(final)
    _sync(str(Path(final).parent))


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
