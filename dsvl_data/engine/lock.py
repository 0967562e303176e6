"""One writer per output: a lock file that a dead run does not hold for ever.

In: an output folder. Out: the right to write to it, or a `UserError` that says who has it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from dsvl_data import storage
from dsvl_data.outcome import UserError

#: Name of the lock file in an output folder.
LOCK = ".lock"
_BEAT_SECONDS = 30.0
#: A run on another machine that gave no sign for this long is taken for dead.
_DEAD_SECONDS = 300.0


@contextlib.contextmanager
def lock(out: str) -> Iterator[None]:
    """Hold the lock of an output folder; `UserError` when another run does.

    On this machine the kernel knows whether the holder lives. For holders elsewhere, and in
    object stores, the lock carries a sign of life that is renewed every half minute.
    """
    path = storage.join(out, LOCK)
    handle = _take_local(path, out) if storage.is_local(out) else None
    stop = threading.Event()
    try:
        _refuse_foreign(path, out)
        _sign(path, handle)
        beat = threading.Thread(target=_beat, args=(path, handle, stop), daemon=True)
        beat.start()
        try:
            yield
        finally:
            stop.set()
            beat.join()
            if handle is None:
                storage.remove(path)
            else:
                os.ftruncate(handle, 0)
    finally:
        if handle is not None:
            os.close(handle)


def _take_local(path: str, out: str) -> int:
    while True:
        Path(out).mkdir(parents=True, exist_ok=True)  # a refused run may just have removed it
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            holder = _holder(path)
            raise UserError(
                f"another run is writing to {out} ({_describe(holder)}): wait for it, end it, or "
                "choose another --out"
            ) from None
        # A refused run removes its lock file: then this lock is on a file that nobody sees.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), Path(path).stat()):
                return handle
        os.close(handle)


def _refuse_foreign(path: str, out: str) -> None:
    holder = _holder(path)
    if not holder:
        return
    if holder.get("host") == socket.gethostname():
        # Local: we have the kernel's lock, so it is dead. Object store: look for the process.
        if storage.is_local(path) or not Path(f"/proc/{holder.get('pid')}").exists():
            return
    elif time.time() - float(str(holder.get("alive", 0))) > _DEAD_SECONDS:
        return
    raise UserError(
        f"another run is writing to {out} ({_describe(holder)}). If it is dead, wait "
        f"{_DEAD_SECONDS / 60:g} minutes or remove {path}; else choose another --out"
    )


def _beat(path: str, handle: int | None, stop: threading.Event) -> None:
    while not stop.wait(_BEAT_SECONDS):
        # A store that is away for a moment will be back at the next beat.
        with contextlib.suppress(OSError):
            _sign(path, handle)


def _sign(path: str, handle: int | None) -> None:
    record = {"host": socket.gethostname(), "pid": os.getpid(), "alive": round(time.time())}
    data = json.dumps(record).encode()
    if handle is None:
        storage.atomic_write(path, data)
    else:
        # In place: the lock belongs to this file, not to a new one of its name.
        os.pwrite(handle, data.ljust(200) + b"\n", 0)


def _holder(path: str) -> dict[str, object]:
    try:
        record = json.loads(storage.read_bytes(path) or b"{}")
    except (FileNotFoundError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _describe(holder: dict[str, object]) -> str:
    if not holder:
        return "it has just begun"
    return f"process {holder.get('pid')} on {holder.get('host')}"
