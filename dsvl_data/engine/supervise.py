"""The supervisor of one worker process: starts it, watches time and memory, kills and restarts.

In: documents to convert. Out: segments on disk, or the failure that ended one. Runs in a Ray
actor, or wherever a `Supervisor` is made; the worker is `engine.worker`, which imports all
foreign code, so that nothing that code does ends this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsvl_data import sandbox
from dsvl_data.engine.board import Board, Tally
from dsvl_data.engine.convert import Ended, Failure
from dsvl_data.engine.job import LoadedJob
from dsvl_data.engine.partition import Plan
from dsvl_data.engine.parts import Segment
from dsvl_data.engine.worker import KILL, START
from dsvl_data.outcome import Reason, UserError

_POLL_SECONDS = 0.2
#: Seconds that a converter may take to be built (a model to load, a browser to start).
_OPEN_SECONDS = 600.0
_OPEN_ATTEMPTS = 3
#: A worker that has grown over this share of its memory limit is renewed between partitions.
_RENEW_SHARE = 0.8
_LOG_BYTES = 64 << 20
_LOG_TAIL = 16_000
_DETAIL_TAIL = 2000
_CLOSE_SECONDS = 5.0
_KILL_SECONDS = 10.0


class SegmentFailed(Exception):
    """A segment could not be written (disk full, folder gone): nobody's document is to blame."""


class Supervisor:
    """Converts documents in a worker process that it keeps alive, for one job at a time.

    `scratch` is a local folder for the worker's log; in `temporary`, also local, each worker gets
    a folder for its temporary files, emptied when it ends. Not for several threads at a time,
    but for `tally`.
    """

    def __init__(self, scratch: str, temporary: str) -> None:
        self._log = str(Path(scratch, f"worker-{os.getpid()}.log"))
        self._temporary = temporary
        self._board = Board()
        self._loaded: LoadedJob | None = None
        self._worker: _Worker | None = None
        self._open = False

    def use(self, loaded: LoadedJob) -> None:
        """Turn to a job, and count anew; a worker that served another one ends."""
        self._board.clear()
        if loaded is not self._loaded:
            self._end()
            self._loaded = loaded

    @property
    def pid(self) -> int | None:
        """Pid of the worker process's keeper; None while there is none."""
        return self._worker.pid if self._worker else None

    def tally(self) -> Tally:
        """Return what the segment in work has given so far."""
        return self._board.tally()

    def convert(self, plan: Plan, partition: int, positions: Sequence[int], to: Segment) -> Ended:
        """Convert documents into a segment.

        Ends early when one passes a limit or the worker dies; then the segment is lost
        (`done` is 0) and the worker gone. Raises `UserError` when the converter cannot be
        built, `SegmentFailed` when the segment cannot be written.
        """
        loaded = self._job()
        worker = self._running()
        self._board.clear()
        worker.send(
            {
                "command": "convert",
                "out": plan.out,
                "name": plan.job.name,
                "partition": partition,
                "positions": list(positions),
                "samples": to.samples,
                "ledger": to.ledger,
            }
        )
        limits = loaded.limits
        while (answer := worker.receive(_POLL_SECONDS)) is None:
            worker.cut_output()
            current = self._board.current()
            if current is not None:
                count = min(current[1] - current[0] + 1, loaded.batch_size)
                allowed = limits.seconds * count
                if current[2] > allowed:
                    detail = f"not done after {allowed:g} seconds"
                    return self._stop(Reason.TIMEOUT, detail, positions, current)
            if worker.memory.exceeds(limits.memory_mb << 20):
                held = sandbox.proportional_bytes(worker.pid) >> 20
                detail = f"its worker held {held} MB, the limit is {limits.memory_mb} MB"
                return self._stop(Reason.MEMORY, detail, positions, current)
        if answer["answer"] == "converted":
            failure = answer["failure"]
            if failure is None:
                return Ended(answer["done"])
            self._end()  # its tool is broken: a new worker, a new tool
            reason = Reason.parse(failure["reason"])
            suspects = tuple(failure["suspects"])
            return Ended(
                answer["done"],
                Failure(suspects, reason, failure["detail"], seconds=failure["seconds"]),
            )
        if answer["answer"] == "failed":
            self._end()
            raise SegmentFailed(answer["detail"])
        current = self._board.current()
        detail = f"{_exit(answer.get('code'))}\n{worker.output()}".strip()
        return self._stop(Reason.CRASHED, detail, positions, current)

    def renew_if_grown(self) -> None:
        """Between partitions: end a worker that has come near its memory limit."""
        limit = int((self._job().limits.memory_mb << 20) * _RENEW_SHARE)
        if self._open and self._worker and sandbox.exceeds(self._worker.pid, limit):
            self._end()

    def close(self) -> None:
        """End the worker and all of its processes."""
        self._end()
        if self._worker is not None:
            self._worker.close()
            self._worker = None
        self._board.close()
        Path(self._log).unlink(missing_ok=True)

    def _stop(
        self,
        reason: Reason,
        detail: str,
        positions: Sequence[int],
        current: tuple[int, int, float] | None,
    ) -> Ended:
        self._end(gently=False)
        suspects: tuple[int, ...] = ()
        seconds = 0.0
        if current is not None:
            first, last, seconds = current
            suspects = tuple(position for position in positions if first <= position <= last)
        certain = reason in (Reason.TIMEOUT, Reason.MEMORY)
        return Ended(0, Failure(suspects, reason, detail, certain, seconds))

    def _end(self, *, gently: bool = True) -> None:
        if self._worker is not None and self._open:
            self._worker.stop(gently=gently)
        self._open = False

    def _job(self) -> LoadedJob:
        assert self._loaded is not None, "`use` comes first"
        return self._loaded

    def _running(self) -> _Worker:
        loaded = self._job()
        if self._open and self._worker is not None and not self._worker.lost:
            return self._worker
        trouble = ""
        # More than one try: somebody may kill a process that is only starting.
        for _ in range(_OPEN_ATTEMPTS):
            worker = self._kept()
            worker.start()
            worker.send({"command": "open", "job": loaded.job.model_dump(mode="json")})
            answer = worker.receive(_OPEN_SECONDS)
            if answer is not None and answer["answer"] == "open":
                self._check_size(worker)
                self._open = True
                return worker
            if answer is None:
                trouble = f"not ready after {_OPEN_SECONDS:g} seconds"
            elif answer["answer"] == "unusable":
                trouble = answer["detail"]
            else:
                trouble = f"its process ended: {_exit(answer.get('code'))}\n{worker.output()}"
            worker.stop(gently=False)
        raise UserError(f"pipeline {loaded.name!r} cannot start: {trouble.strip()}")

    def _kept(self) -> _Worker:
        """Return a worker whose keeper lives."""
        if self._worker is not None and self._worker.lost:
            self._worker.close()
            self._worker = None
        if self._worker is None:
            self._worker = _Worker(self._board.handle, self._log, self._temporary)
        return self._worker

    def _check_size(self, worker: _Worker) -> None:
        limit = self._job().limits.memory_mb
        if sandbox.exceeds(worker.pid, limit << 20):
            held = sandbox.proportional_bytes(worker.pid) >> 20
            worker.stop(gently=False)
            raise UserError(
                f"pipeline {self._job().name!r}: its worker holds {held} MB before the first "
                f"document, and its limit is {limit} MB: raise limits.memory_mb in the recipe"
            )


class _Worker:
    """A worker process with its keeper, its pipes, its log and its temporary files."""

    def __init__(self, board: int, log: str, temporary: str) -> None:
        self._log = log
        self._temporary = tempfile.mkdtemp(prefix="w-", dir=temporary)
        self._lifeline, lifeline = socket.socketpair()
        # Appending, so that the worker can cut the file while it writes.
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o644)
        inherited = (lifeline.fileno(), board)
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "dsvl_data.engine.worker"),
                    *(str(handle) for handle in inherited),
                    self._temporary,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=inherited,
                start_new_session=True,
                env=_environment(self._temporary),
            )
        finally:
            lifeline.close()
            os.close(output)
        self.memory = sandbox.MemoryGauge(self._process.pid)
        self._commands = self._answers = -1
        self._buffer = b""
        self._ended = True
        self.lost = False

    @property
    def pid(self) -> int:
        """Pid of the keeper, which every process of this worker descends from."""
        return self._process.pid

    def send(self, command: dict[str, Any]) -> None:
        """Send a command; a dead worker shows in the answer."""
        data = json.dumps(command).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._commands, data) :]

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """Return the next answer, None when none came in time; `exit` when it ended."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._answers], [], [], left)[0]:
                return None
            data = os.read(self._answers, 65536)
            if not data:
                self._ended = self.lost = True
                return {"answer": "exit"}
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        self._ended = answer["answer"] == "exit"
        return answer

    def output(self) -> str:
        """Return the end of what the worker has printed."""
        with Path(self._log).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_TAIL))
            lines = file.read().decode(errors="replace").splitlines()
        # faulthandler ends with the names of all that is imported.
        kept = "\n".join(line for line in lines if not line.startswith("Extension modules:"))
        return kept.strip()[-_DETAIL_TAIL:]

    def cut_output(self) -> None:
        """Keep a worker that prints without end from filling the disk."""
        if os.stat(self._log).st_size > _LOG_BYTES:  # noqa: PTH116 five times a second
            os.truncate(self._log, 0)

    def start(self) -> None:
        """Have the keeper fork a worker, with pipes of its own."""
        self._hang_up()
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        self._buffer = b""
        self._ended = False
        # A dead keeper shows in the answers.
        with contextlib.suppress(BrokenPipeError):
            socket.send_fds(self._lifeline, [START], [commands, answers])
        os.close(commands)
        os.close(answers)

    def stop(self, *, gently: bool) -> None:
        """End the worker and everything below it; `gently` lets it close its converter first."""
        if gently and not self._ended:
            self.send({"command": "close"})
            self._await_end(_CLOSE_SECONDS)
        if not self._ended:
            with contextlib.suppress(BrokenPipeError):
                self._lifeline.send(KILL)
            self._await_end(_KILL_SECONDS)
        if not self._ended:
            raise SegmentFailed("a worker process cannot be killed")

    def close(self) -> None:
        """End the keeper, and whatever it still keeps."""
        self._lifeline.close()
        try:
            self._process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            sandbox.kill_descendants(self.pid)
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._hang_up()

    def _hang_up(self) -> None:
        if self._commands >= 0:
            os.close(self._commands)
            os.close(self._answers)
            self._commands = self._answers = -1

    def _await_end(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._ended and self.receive(max(0.0, deadline - time.monotonic())):
            pass


def _environment(temporary: str) -> dict[str, str]:
    environment = dict(os.environ)
    # Whatever a browser, LaTeXML or a library leaves when it is killed lies where we find it.
    environment.update(TMPDIR=temporary, TEMP=temporary, TMP=temporary)
    # The worker sees the modules that we see.
    folders = [os.path.abspath(folder) for folder in sys.path]  # noqa: PTH100 "" means here
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(folders))
    # The order of a set of strings must not differ between workers.
    environment["PYTHONHASHSEED"] = "0"
    # One worker is one core; libraries that count cores would make many threads each.
    environment.setdefault("OMP_NUM_THREADS", "1")
    return environment


def _exit(code: int | None) -> str:
    if code is None:
        return "its process was killed, and its keeper too"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with code {code}"
