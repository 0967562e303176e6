"""Child processes that cannot outlive, outgrow or outwait whoever started them.

In: a process to be or a command to run. Out: its end, with every process that came of it
gone, and how much memory they all hold together. Linux only: everything is read from `/proc`.
Imports nothing heavy, since the keeper of a worker process (`engine.worker`) lives on it.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOOK_SECONDS = 0.25
_MEASURE_SECONDS = 1.0


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent, of pid `parent`, dies.

    Only for a parent that forks from a thread which lives as long as it does: the signal comes
    when that *thread* ends.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os.kill(os.getpid(), signal.SIGKILL)


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose own parent dies, wherever they moved."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def no_core_dumps() -> None:
    """A crash on hostile input must not fill the disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_file_size(megabytes: int) -> None:
    """Cap every file that this process and its children write; over it they get SIGXFSZ."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (megabytes << 20, megabytes << 20))


def prefer_as_victim() -> None:
    """When the machine runs out of memory, the kernel takes this process before its parents."""
    # A container may forbid it; then the kernel chooses as it always does.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def descendants(pid: int) -> list[int]:
    """Return the pids of all living descendants of a process, nearest first; zombies left out."""
    found: list[int] = []
    queue = [pid]
    while queue:
        for child in _children(queue.pop(0)):
            queue.append(child)
            if _state(child) not in ("Z", "X", ""):
                found.append(child)
    return found


def kill_all(pids: Iterable[int]) -> None:
    """Send SIGKILL to each process that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_descendants(pid: int, *, seconds: float = 5) -> bool:
    """Kill all descendants of a process until none is left; False when some will not die.

    Complete when `pid` is this process and it adopts orphans: what forks while we kill is found
    in the next round. Zombies stay for their parents to collect.
    """
    deadline = time.monotonic() + seconds
    while alive := descendants(pid):
        if time.monotonic() > deadline:
            return False
        kill_all(alive)
        time.sleep(0.002)
    return True


def reap() -> dict[int, int]:
    """Collect children that have ended: pid to wait status."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended[pid] = status
    return ended


def resident_bytes(pid: int) -> int:
    """Return an upper bound of the memory that a process and its descendants hold together.

    The sum of resident sizes: memory that processes share counts once for each of them.
    """
    return _resident((pid, *descendants(pid)))


def proportional_bytes(pid: int) -> int:
    """Return the memory that a process and its descendants hold together, shared pages once.

    The sum of proportional set sizes; milliseconds per process, for when `resident_bytes`
    says that a limit may be passed.
    """
    total = 0
    for each in (pid, *descendants(pid)):
        with contextlib.suppress(OSError):
            for line in _read(f"/proc/{each}/smaps_rollup").splitlines():
                if line.startswith(b"Pss:"):
                    total += int(line.split()[1]) << 10
                    break
    return total


def exceeds(pid: int, limit_bytes: int) -> bool:
    """Whether a process and its descendants hold more than a limit; cheap when they don't."""
    return resident_bytes(pid) > limit_bytes and proportional_bytes(pid) > limit_bytes


class MemoryGauge:
    """`exceeds` for one process, asked several times a second.

    To find all descendants takes milliseconds, since any of a browser's hundred threads may have
    some; to measure shared pages takes more. New descendants are looked for four times a second
    (what they hold is unseen until then), and shared pages measured anew when so much was added
    that the limit may be passed, or a second has gone by.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._family: Sequence[int] = (pid,)
        self._looked = self._measured = -math.inf
        self._resident = self._proportional = 0

    def exceeds(self, limit_bytes: int) -> bool:
        """Whether the process and its descendants hold more than a limit."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            self._family, self._looked = (self._pid, *descendants(self._pid)), now
        resident = _resident(self._family)
        if resident <= limit_bytes:
            return False
        possible = self._proportional + resident - self._resident
        if possible <= limit_bytes and now - self._measured < _MEASURE_SECONDS:
            return False
        self._proportional = proportional_bytes(self._pid)
        self._resident, self._measured = resident, now
        return self._proportional > limit_bytes


@dataclass(frozen=True, slots=True)
class Finished:
    """How a limited command ended.

    `returncode` is negative for a signal; `timed_out` and `out_of_memory` say that we killed it.
    `output` holds stdout and stderr together: the first and last halves of what is over the cap.
    """

    returncode: int
    output: str
    seconds: float
    timed_out: bool = False
    out_of_memory: bool = False


def run_limited(
    argv: Sequence[str],
    *,
    cwd: str | Path,
    seconds: float,
    memory_mb: int,
    env: Mapping[str, str] | None = None,
    output_bytes: int = 1 << 20,
    file_mb: int = 4096,
) -> Finished:
    """Run a command in a process group of its own, within limits, and leave nothing behind.

    It is killed, with all its descendants, after `seconds` of wall clock or when they hold more
    than `memory_mb` together; no file may grow over `file_mb`. stdin is empty. Raises
    `FileNotFoundError` when the command does not exist.
    """
    parent = os.getpid()

    def prepare() -> None:
        die_with_parent(parent)
        no_core_dumps()
        limit_file_size(file_mb)
        prefer_as_victim()

    started = time.monotonic()
    timed_out = out_of_memory = False
    with tempfile.TemporaryFile() as captured:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(env) if env is not None else None,
            stdin=subprocess.DEVNULL,
            stdout=captured,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=prepare,
        )
        seen: dict[int, str] = {}
        watch = os.pidfd_open(process.pid)
        try:
            while not select.select([watch], [], [], 0.1)[0]:
                seen.update((pid, _born(pid)) for pid in descendants(process.pid))
                if time.monotonic() - started > seconds:
                    timed_out = True
                elif exceeds(process.pid, memory_mb << 20):
                    out_of_memory = True
                if timed_out or out_of_memory:
                    break
        finally:
            os.close(watch)
            # What is below it, its group, and what left both: known by pid and time of birth.
            kill_descendants(process.pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            left = [pid for pid, born in seen.items() if born and _born(pid) == born]
            for pid in left:
                kill_descendants(pid)
            kill_all(left)
            process.wait()
        output = _head_and_tail(captured.fileno(), output_bytes)
    return Finished(
        process.returncode, output, time.monotonic() - started, timed_out, out_of_memory
    )


def _head_and_tail(handle: int, limit: int) -> str:
    size = os.fstat(handle).st_size
    if size <= limit:
        return os.pread(handle, size, 0).decode(errors="replace")
    half = limit // 2
    head, tail = os.pread(handle, half, 0), os.pread(handle, half, size - half)
    gap = f"\n[... {size - 2 * half} bytes left out ...]\n".encode()
    return (head + gap + tail).decode(errors="replace")


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _read(path: str) -> bytes:
    # Hundreds of these files are read in each round: a buffer and a decoder cost twice as much.
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        return file.read()


def _resident(pids: Iterable[int]) -> int:
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            total += int(_read(f"/proc/{pid}/statm").split()[1]) * _PAGE
    return total


def _children(pid: int) -> list[int]:
    found: list[int] = []
    # A process that ends meanwhile has no children left to find.
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 names only
            with contextlib.suppress(OSError):
                found.extend(map(int, _read(f"/proc/{pid}/task/{thread}/children").split()))
    return found


def _stat(pid: int) -> list[str]:
    # Fields after the command name, which may itself hold spaces and parentheses.
    try:
        return _read(f"/proc/{pid}/stat").rpartition(b")")[2].decode().split()
    except OSError:
        return []


def _state(pid: int) -> str:
    fields = _stat(pid)
    return fields[0] if fields else ""


def _born(pid: int) -> str:
    """Ticks after boot at which a process began: with its pid, a name that is not used again."""
    fields = _stat(pid)
    return fields[19] if fields else ""
