"""The files of an input, and the references by which documents are known.

In: an `InputSpec`. Out: its files in a stable order, without payloads; and `DocumentRef`s: one for
what lies in a file, one for what is there and cannot be read, whose reading fails with the reason,
so that the ledger accounts for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason, UserError
from dsvl_data.pipeline import DocumentRef, InputSpec
from dsvl_data.storage import StoredFile

#: Why a link is not followed, by what `storage.find_files` says of it.
_LINKS = {
    "outside": (Reason.UNSAFE_PATH, "is a link that leads out of its input"),
    "folder": (Reason.UNSAFE_PATH, "is a link to a folder out of its input"),
    "nowhere": (Reason.UNREADABLE, "is a link to nothing"),
}


class InputError(UserError, FileNotFoundError):
    """An input of the recipe is not there, or is not what the pipeline can list."""


def list_files(spec: InputSpec) -> Iterator[StoredFile]:
    """List the files of one input, sorted by relative path; hidden ones below it are left out.

    Symbolic links out of the input are listed as such (`StoredFile.link`) and must not be
    opened: `refusal` says why. Raises `InputError` when the path does not exist
    or the glob matches nothing.
    """
    path = spec.path if not storage.is_local(spec.path) else str(Path(spec.path).absolute())
    found = False
    for file in storage.find_files(path, judge_links=True):
        found = True
        yield file
    if not found and not storage.exists(path):
        raise InputError(f"no file is at {spec.path!r} of data set {spec.dataset!r}")


def refusal(link: StoredFile) -> tuple[Reason, str]:
    """Say why a link is not followed."""
    reason, what = _LINKS[link.link]
    return reason, f"{printable(link.relative)} {what}"


def located(
    spec: InputSpec, file: StoredFile, part: str, offset: int, size: int, meta: Mapping[str, Any]
) -> DocumentRef:
    """List what lies in a file; `part` stands behind the file's path in its URI."""
    uri = printable(file.relative) + part
    return DocumentRef(spec.dataset, uri, spec.licence, file.path, size, offset, meta)


def failed(
    spec: InputSpec, file: StoredFile, reason: Reason, detail: str, part: str = ""
) -> DocumentRef:
    """List a file, or a part of one, that cannot be read."""
    return failed_ref(spec, printable(file.relative) + part, file.path, reason, detail)


def refused(spec: InputSpec, link: StoredFile) -> DocumentRef:
    """List a link that is not followed."""
    return failed(spec, link, *refusal(link))


def failed_ref(spec: InputSpec, uri: str, path: str, reason: Reason, detail: str) -> DocumentRef:
    """List something that cannot be read: its reading fails with this reason."""
    meta = {"reason": str(reason), "detail": printable(detail)}
    return DocumentRef(spec.dataset, uri, spec.licence, path, 0, 0, meta)


def check_listed(ref: DocumentRef) -> None:
    """Raise `DocumentError` with its reason for what was listed as something not to be read."""
    if "reason" in ref.meta:
        raise DocumentError(Reason.parse(ref.meta["reason"]), ref.meta["detail"])


def printable(name: str) -> str:
    """Return a file name as text that Arrow and JSON can hold."""
    # A name that is no UTF-8 comes with lone surrogates, which neither Arrow nor JSON can hold.
    return name.encode("utf-8", "backslashreplace").decode()
