"""What the files hold that a pipeline's options name: a mapping, a table of licences, a model.

In: options, with `PathOption` on those that are paths. Out: a digest for each, for a plan's
fingerprint: whoever edits such a file and goes on would mix old and new.

A file up to `WHOLE_BYTES` counts by its bytes. A larger one (arXiv's table of licences has
4 GB) counts by its size and the time it was written, so that planning stays quick: a copy that
does not keep that time is another file. A folder counts by the names and digests of its files.
What is not there has no digest: it is for the pipeline to say what that means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from dsvl_data import storage
from dsvl_data.pipeline import PathOption, Settings, map_paths

#: Bytes up to which a file is read whole.
WHOLE_BYTES = 16 << 20


def digest_files(options: Settings) -> dict[str, str]:
    """Return a digest of the file or folder behind each option that names one."""
    return {name: _digest(path) for name, path in _paths(options) if storage.exists(path)}


def changed_files(stored: Mapping[str, str] | None, options: Settings) -> Iterator[str]:
    """Yield a line for each option whose file is not what it was when `stored` was taken.

    None stands for a plan older than these digests: nobody knows, so nothing is said.
    """
    if stored is None:
        return
    now, paths = digest_files(options), dict(_paths(options))
    for name in sorted(stored.keys() | now.keys()):
        if name not in now:
            yield f"option {name}: what it named is not there any more"
        elif stored.get(name) != now[name]:
            yield f"option {name}: {paths[name]} has other content than then"


def _paths(options: Settings) -> Iterator[tuple[str, str]]:
    found: list[str] = []

    def collect(mark: PathOption, path: str) -> str:
        if mark.digested and mark.is_path(path):
            found.append(path)
        return path

    # As JSON, in which a path is a text.
    for name, value in options.model_dump(mode="json").items():
        found.clear()
        map_paths(type(options), {name: value}, collect)
        for number, path in enumerate(found):
            yield name if number == 0 else f"{name}, {number + 1}", path


def _digest(path: str) -> str:
    state = hashlib.blake2b(digest_size=16)
    for file in sorted(storage.find_files(path), key=lambda file: file.relative):
        if file.size <= WHOLE_BYTES:
            content = hashlib.blake2b(storage.read_bytes(file.path), digest_size=16).hexdigest()
        else:
            content = f"{file.size} {storage.modified(file.path)}"
        # No name holds a null character, so no two lists of files give the same bytes.
        name = file.relative.encode("utf-8", "surrogateescape")
        state.update(name + b"\0" + content.encode() + b"\0")
    return state.hexdigest()
