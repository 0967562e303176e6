"""Processes within limits, and none left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsvl_data import sandbox


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def run(code: str, **limits: float) -> sandbox.Finished:
    settings = {"seconds": 30, "memory_mb": 500} | limits
    return sandbox.run_limited(python(code), cwd="/", **settings)  # type: ignore[arg-type]


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}/exe").exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_output_and_code() -> None:
    done = run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(4)")
    assert done.returncode == 4
    assert done.output.split() == ["out", "err"] or done.output.split() == ["err", "out"]
    assert not done.timed_out
    assert not done.out_of_memory


def test_environment_and_folder(tmp_path: Path) -> None:
    done = sandbox.run_limited(
        ["env"], cwd=tmp_path, seconds=5, memory_mb=100, env={"ONLY": "this"}
    )
    assert done.output == "ONLY=this\n"
    done = sandbox.run_limited(["pwd"], cwd=tmp_path, seconds=5, memory_mb=100)
    assert done.output.strip() == str(tmp_path)


def test_time() -> None:
    done = run("import time; print('begun', flush=True); time.sleep(60)", seconds=0.5)
    assert done.timed_out
    assert done.returncode == -9
    assert done.output == "begun\n"
    assert done.seconds < 10


def test_memory_of_a_grandchild() -> None:
    grandchild = "x = bytearray(b'x') * (400 << 20); import time; time.sleep(60)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    done = run(code, memory_mb=200)
    assert done.out_of_memory
    assert not done.timed_out
    assert done.seconds < 20


@pytest.mark.parametrize("ending", ["time.sleep(60)", "time.sleep(0.5)"])
def test_grandchildren_in_their_own_session_die(ending: str) -> None:
    code = f"""
import subprocess, time
child = subprocess.Popen(["sleep", "300"], start_new_session=True)
print(child.pid, flush=True)
{ending}
"""
    assert gone(int(run(code, seconds=2).output))


def test_background_job_of_its_session_dies() -> None:
    code = """
import subprocess
print(subprocess.Popen(["sleep", "300"]).pid)
"""
    assert gone(int(run(code).output))


def test_output_is_capped() -> None:
    done = sandbox.run_limited(
        python("print('a' * 100000 + 'z')"), cwd="/", seconds=30, memory_mb=500, output_bytes=1000
    )
    assert len(done.output) < 1100
    assert done.output.startswith("aaa")
    assert done.output.endswith("az\n")
    assert "99002 bytes left out" in done.output


def test_file_size(tmp_path: Path) -> None:
    code = "open('big', 'wb').write(bytes(3 << 20))"
    done = sandbox.run_limited(python(code), cwd=tmp_path, seconds=30, memory_mb=500, file_mb=1)
    assert done.returncode != 0
    assert (tmp_path / "big").stat().st_size <= 1 << 20


def test_no_such_command() -> None:
    with pytest.raises(FileNotFoundError):
        sandbox.run_limited(["no-such-command"], cwd="/", seconds=5, memory_mb=100)


def test_shared_memory_counts_once() -> None:
    """A forked child shares its parent's pages: twice in the cheap bound, once in the exact one."""
    code = """
import os, time
held = bytearray(b"x") * (100 << 20)
if os.fork() == 0:
    time.sleep(60)
print("ready", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen(python(code), stdout=subprocess.PIPE, start_new_session=True)
    children: list[int] = []
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert sandbox.resident_bytes(process.pid) > 200 << 20
        assert 100 << 20 < sandbox.proportional_bytes(process.pid) < 150 << 20
        assert not sandbox.exceeds(process.pid, 160 << 20)
        assert sandbox.exceeds(process.pid, 90 << 20)
        gauge = sandbox.MemoryGauge(process.pid)
        for _ in range(2):  # measured, and by what was measured before
            assert not gauge.exceeds(160 << 20)
        assert gauge.exceeds(90 << 20)
        children = sandbox.descendants(process.pid)
        assert len(children) == 1
    finally:
        assert sandbox.kill_descendants(process.pid)
        process.kill()
        process.wait()
    # Not all of ours: the test session's Ray may be among them.
    assert not {process.pid, *children} & set(sandbox.descendants(os.getpid()))


def test_a_gauge_sees_what_grows_after_it_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the process itself at once, in a child that it did not know of a quarter later."""
    code = """
import os, sys, time
print("ready", flush=True)
sys.stdin.readline()
held = bytearray(b"x") * (60 << 20)
print("grown", flush=True)
sys.stdin.readline()
del held
if os.fork() == 0:
    held = bytearray(b"x") * (60 << 20)
    print("grown", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen(
        python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        gauge = sandbox.MemoryGauge(process.pid)
        clock = [100.0]
        monkeypatch.setattr(sandbox.time, "monotonic", lambda: clock[0])
        process.stdout.readline()
        assert not gauge.exceeds(50 << 20)
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        assert gauge.exceeds(50 << 20)
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        assert not gauge.exceeds(50 << 20)
        clock[0] += 0.25
        assert gauge.exceeds(50 << 20)
    finally:
        monkeypatch.undo()
        sandbox.kill_descendants(process.pid)
        process.kill()
        process.communicate()
