"""kill -9 at any moment: the same command finishes the job and the parts are the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from dsvl_data import sandbox
from dsvl_data.engine.run import Job, run
from tests.engine.conftest import MakeJob, good, parts

ROOT = Path(__file__).resolve().parents[2]
#: A driver of its own process and its own Ray: JOB OUT
DRIVER = """
import sys
from dsvl_data.engine.run import Job, run
result = run([Job.model_validate_json(sys.argv[1])], sys.argv[2], workers=2)
print(result)
sys.exit(0 if result.ok else 3)
"""


def slow_job(make_job: MakeJob) -> Job:
    documents = good(6) | {f"slow{n:03d}": "slow 0.4" for n in range(15)}
    return make_job(documents, partition_size=3)


def undisturbed(job: Job, folder: Path) -> dict[str, bytes]:
    run([job], str(folder), executor="local")
    return parts(str(folder))


def start(job: Job, out: str) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, job.model_dump_json(), out],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(
    what: Callable[[], object],
    driver: subprocess.Popen[str] | None = None,
    seconds: float = 120,
) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert driver is None or driver.poll() is None, driver.stdout and driver.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def below(driver: subprocess.Popen[str], title: bytes) -> list[int]:
    """Pids of the driver's descendants with a word in their command line."""
    found = []
    for pid in sandbox.descendants(driver.pid):
        try:
            if title in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def alive(pids: list[int]) -> list[int]:
    """Those that still run; a zombie has no executable any more."""
    return [pid for pid in pids if Path(f"/proc/{pid}/exe").exists()]


def workers(driver: subprocess.Popen[str]) -> Iterator[int]:
    """Pids of workers proper: those whose parent is a keeper."""
    keepers = below(driver, b"dsvl_data.engine.worker")
    for pid in keepers:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[1]) in keepers:
            yield pid


def test_worker_and_actor(make_job: MakeJob, out: str, tmp_path: Path) -> None:
    job = slow_job(make_job)
    expected = undisturbed(job, tmp_path / "expected")
    driver = start(job, out)
    try:
        wait_for(lambda: list(Path(out).glob("ledger/fake/part-*")), driver)
        os.kill(next(workers(driver)), signal.SIGKILL)
        keepers = [p for p in below(driver, b"dsvl_data.engine.worker") if p not in workers(driver)]
        os.kill(below(driver, b"ray::PartitionWorker")[0], signal.SIGKILL)
        wait_for(lambda: sum(Path(f"/proc/{pid}").exists() for pid in keepers) < 2, driver)
        mine = sandbox.descendants(driver.pid)
        output, _ = driver.communicate(timeout=240)
    finally:
        driver.kill()
    assert driver.returncode == 0, output
    wait_for(lambda: not alive(mine))
    assert parts(out) == expected


def test_driver(make_job: MakeJob, out: str, tmp_path: Path) -> None:
    job = slow_job(make_job)
    expected = undisturbed(job, tmp_path / "expected")
    driver = start(job, out)
    try:
        wait_for(lambda: len(list(Path(out).glob("ledger/fake/part-*"))) >= 2, driver)
        mine = sandbox.descendants(driver.pid)
        assert below(driver, b"dsvl_data.engine.worker")
    finally:
        driver.kill()
        driver.wait()
    wait_for(lambda: not alive(mine))
    done = {path: path.stat().st_mtime_ns for path in Path(out).glob("ledger/fake/part-*")}
    assert len(done) < 7
    assert list(Path(out, ".scratch").iterdir())  # what it left lying about
    again = start(job, out)
    output, _ = again.communicate(timeout=240)
    assert again.returncode == 0, output
    assert parts(out) == expected
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert not Path(out, ".scratch").exists()
