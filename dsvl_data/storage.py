"""Files wherever they lie: local paths, `s3://`, `gs://` and whatever else fsspec knows.

In: a path as a recipe or command line names it. Out: bytes, listings, and writes that are
whole or not there at all. Outputs are written through `commit` and `atomic_write` only, so
that a process killed at any moment leaves no half file under a final name.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import glob
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from pathlib import Path

import pyarrow as pa
from pyarrow import fs as arrow_fs

_ARROW_SCHEMES = ("s3", "gs", "gcs", "hdfs")
_COPY_BYTES = 8 << 20
_SCRATCH = ".scratch"
_WRITING = ".writing-"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file found by `find_files`: its full path (openable as it stands) and its bytes."""

    path: str
    size: int


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


def find_files(path: str) -> Iterator[StoredFile]:
    """Yield the files that a path stands for, sorted: one file, all below a folder, or a glob.

    Nothing there yields nothing. `*`, `?`, `[..]` and `**` have their usual meaning; a path
    that exists is never taken for a pattern. Hidden files (`.name`) below a folder are left out.
    """
    if is_local(path):
        yield from _find_local(path)
        return
    fs, inner = _filesystem(path)
    info = fs.get_file_info(inner)
    if info.type == arrow_fs.FileType.File:
        yield StoredFile(path, info.size)
        return
    fixed = inner
    if info.type == arrow_fs.FileType.NotFound:
        if not glob.has_magic(path):
            return
        fixed = re.split(r"[*?\[]", inner, maxsplit=1)[0].rpartition("/")[0]
    selector = arrow_fs.FileSelector(fixed, allow_not_found=True, recursive=True)
    for item in sorted(fs.get_file_info(selector), key=lambda item: str(item.path)):
        if not item.is_file:
            continue
        if fixed == inner:
            wanted = "/." not in item.path[len(fixed) :]
        else:
            wanted = _matches(item.path.split("/"), inner.split("/"))
        if wanted:
            yield StoredFile(f"{path.partition('://')[0]}://{item.path}", item.size)


def size(path: str) -> int:
    """Bytes of a file; `FileNotFoundError` when it is not there."""
    if is_local(path):
        return Path(path).stat().st_size
    fs, inner = _filesystem(path)
    info = fs.get_file_info(inner)
    if info.type != arrow_fs.FileType.File:
        raise FileNotFoundError(path)
    return int(info.size)


def open_input(path: str) -> pa.NativeFile:
    """Open a file for random reads; `OSError` when that fails."""
    if is_local(path):
        return pa.OSFile(path, "rb")
    fs, inner = _filesystem(path)
    return fs.open_input_file(inner)


def read_bytes(path: str, offset: int = 0, length: int | None = None) -> bytes:
    """Return a file's bytes, or the `length` bytes from `offset`; `OSError` when that fails."""
    if is_local(path):
        with open(path, "rb") as file:  # noqa: PTH123 once per document; a Path costs as much again
            if offset:
                file.seek(offset)
            return file.read() if length is None else file.read(length)
    with open_input(path) as source:
        if offset:
            source.seek(offset)
        data: bytes = source.read() if length is None else source.read(length)
        return data


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
    if is_local(out):
        parent = Path(out, _SCRATCH, run)
    else:
        parent = Path(tempfile.gettempdir(), f"dsvl-{_digest(out)}", run)
    parent.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(dir=parent)
    try:
        yield folder
    finally:
        # A later run may have swept it away already.
        shutil.rmtree(folder, ignore_errors=True)


def sweep(out: str) -> None:
    """Remove the unfinished files that killed runs left in and for an output folder."""
    # What a dying process of a killed run still adds is the next sweep's.
    shutil.rmtree(Path(tempfile.gettempdir(), f"dsvl-{_digest(out)}"), ignore_errors=True)
    if is_local(out):
        shutil.rmtree(Path(out, _SCRATCH), ignore_errors=True)
        for leftover in Path(out).glob("**/" + _WRITING + "*"):
            leftover.unlink()


def _digest(path: str) -> str:
    return hashlib.blake2b(path.encode(), digest_size=8).hexdigest()


def _find_local(path: str) -> Iterator[StoredFile]:
    if Path(path).is_file():
        yield StoredFile(path, Path(path).stat().st_size)
    elif Path(path).is_dir():
        # Sorted by components, so that the order does not hang on the file system.
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                full = Path(folder, name)
                if not name.startswith(".") and full.is_file():
                    yield StoredFile(str(full), full.stat().st_size)
    elif glob.has_magic(path):
        # Not Path.glob: the pattern may be absolute.
        for match in sorted(glob.glob(path, recursive=True)):  # noqa: PTH207
            if Path(match).is_file():
                yield StoredFile(match, Path(match).stat().st_size)


def _matches(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_matches(parts[start:], patterns[1:]) for start in range(len(parts)))
    return (
        bool(parts)
        and fnmatch.fnmatchcase(parts[0], patterns[0])
        and _matches(parts[1:], patterns[1:])
    )


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
