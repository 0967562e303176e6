"""The worker process: holds one job's converter and converts what its supervisor sends.

In: commands, one JSON line each, from an inherited descriptor. Out: segments on disk, one JSON
line of answer each, and the shared `Board`. Two processes: a *keeper*, which adopts every
orphan, kills all that is left when the worker ends or the supervisor is gone, and forks the
next worker in milliseconds, since it has imported the engine; and below it the worker proper,
which alone imports and runs foreign code.

    python -m dsvl_data.engine.worker LIFELINE BOARD TEMPORARY

The lifeline (a descriptor, as is the board) is a socket that carries `START`, with the
descriptors of a worker's commands and answers, and `KILL`; when it closes, the supervisor is
gone. The folder `TEMPORARY` is the worker's `TMPDIR`; the keeper empties it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import os
import select
import shutil
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsvl_data import sandbox
from dsvl_data.engine.board import Board
from dsvl_data.engine.convert import SegmentConverter
from dsvl_data.engine.job import Job
from dsvl_data.engine.partition import Plan, read_plan
from dsvl_data.engine.parts import Segment
from dsvl_data.outcome import UserError, WorkerBroken

START = b"s"
KILL = b"k"


def main() -> None:
    """Keep workers until the lifeline closes; never returns."""
    lifeline, board = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    temporary = sys.argv[3]
    # The supervisor decides when to end, not a Ctrl-C meant for it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sandbox.no_core_dumps()
    sandbox.adopt_orphans()
    pa.array([""])  # imports pandas, if that is there: half a second that no worker should pay
    gc.freeze()  # a collection in a worker would else copy every page that it shares with us
    keeper = os.getpid()
    worker, watch, answers = 0, -1, -1  # no worker yet
    while True:
        watched = [lifeline.fileno(), *([watch] if worker else [])]
        ready, _, _ = select.select(watched, [], [], 1)
        order, handles = b"-", list[int]()
        if lifeline.fileno() in ready:
            order, handles, _, _ = socket.recv_fds(lifeline, 1, 2)
        if order == START:
            commands, answers = handles
            worker = os.fork()
            if worker == 0:
                lifeline.close()
                _work(keeper, commands, answers, board)
            os.close(commands)
            watch = os.pidfd_open(worker)
            continue
        status = sandbox.reap().get(worker)
        if worker and (status is not None or order in (KILL, b"")):
            sandbox.kill_descendants(keeper)
            if status is None:
                _, status = os.waitpid(worker, 0)
            # The supervisor may be gone; nobody else wants to know.
            with contextlib.suppress(OSError):
                code = os.waitstatus_to_exitcode(status)
                os.write(answers, _line({"answer": "exit", "code": code}))
            os.close(answers)
            os.close(watch)
            worker = 0
            _empty(temporary)
        if order == b"":
            shutil.rmtree(temporary, ignore_errors=True)
            os._exit(0)


def _empty(folder: str) -> None:
    """Remove what a worker has left among its temporary files."""
    # Without the folder there is nothing in it.
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()


def _work(keeper: int, commands: int, answers: int, board: int) -> None:
    """Be the worker; never returns."""
    code = 0
    try:
        sandbox.die_with_parent(keeper)
        sandbox.prefer_as_victim()
        faulthandler.enable()
        _serve(commands, answers, board)
    except BaseException:  # noqa: BLE001 printed, and told by the exit code
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _serve(commands: int, answers: int, board_handle: int) -> None:
    """Build the converter, then obey until the commands end."""
    board = Board(board_handle)
    converter: SegmentConverter | None = None
    plan: Plan | None = None  # the same for as long as the run lasts
    with os.fdopen(commands, "rb") as lines, os.fdopen(answers, "wb", buffering=0) as sink:
        for line in lines:
            command: dict[str, Any] = json.loads(line)
            # What the last command printed is of no interest any more.
            with contextlib.suppress(OSError):
                os.ftruncate(1, 0)
            if command["command"] == "open":
                try:
                    converter = SegmentConverter(Job.model_validate(command["job"]).load(), board)
                except Exception as error:  # noqa: BLE001 whatever it is, the user must read it
                    plain = isinstance(error, UserError | WorkerBroken)
                    detail = str(error) if plain else f"{type(error).__name__}: {error}"
                    sink.write(_line({"answer": "unusable", "detail": detail}))
                    return
                # Modules live as long as we: no collection needs to look through them again.
                gc.collect()
                gc.freeze()
                sink.write(_line({"answer": "open"}))
            elif command["command"] == "close":
                break
            elif command["command"] == "convert":
                assert converter is not None
                plan = plan or read_plan(command["out"], command["name"])
                assert plan is not None
                refs = plan.refs(command["partition"])
                chosen = [(position, refs[position]) for position in command["positions"]]
                segment = Segment(command["samples"], command["ledger"])
                try:
                    ended = converter.convert(chosen, command["partition"], segment)
                except OSError as error:
                    sink.write(_line({"answer": "failed", "detail": f"{error}"}))
                    return
                failure = ended.failure
                sink.write(
                    _line(
                        {
                            "answer": "converted",
                            "done": ended.done,
                            "failure": failure
                            and {
                                "suspects": failure.suspects,
                                "reason": str(failure.reason),
                                "detail": failure.detail,
                                "seconds": failure.seconds,
                            },
                        }
                    )
                )
        if converter is not None:
            converter.close()


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


if __name__ == "__main__":
    main()
