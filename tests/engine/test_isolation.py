"""A document that misbehaves hurts only itself: one supervisor and its worker, without Ray."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dsvl_data import storage
from dsvl_data.engine import ledger, parts, task
from dsvl_data.engine.board import Tally
from dsvl_data.engine.ledger import BalanceError
from dsvl_data.engine.partition import make_plan
from dsvl_data.engine.run import Job
from dsvl_data.engine.supervise import Supervisor
from dsvl_data.engine.task import Task
from dsvl_data.outcome import UserError
from dsvl_data.pipeline import Limits
from tests.engine.conftest import MakeJob, good, ledger_rows, reasons


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """One supervisor for all tests here: starting its keeper takes a second."""
    log, temporary = tmp_path_factory.mktemp("log"), tmp_path_factory.mktemp("temporary")
    with contextlib.closing(Supervisor(str(log), str(temporary))) as one:
        yield one
    assert not list(temporary.iterdir())


def convert(supervisor: Supervisor, job: Job, out: str) -> tuple[dict[str, str | None], list[str]]:
    """Convert all partitions of a job; reasons by document, and remarks."""
    loaded = job.load()
    remarks: list[str] = []
    for room in ("parts", "ledger"):
        storage.make_folder(f"{out}/{room}/{job.name}")
    with storage.scratch(out, "test") as scratch:
        plan = make_plan(loaded, out, scratch)
        supervisor.use(loaded)
        for partition in range(plan.partitions):
            one = Task(job.name, partition)
            segments = task.convert(one, supervisor, plan, scratch, remarks.append)
            task.commit(one, segments, plan)
        assert list(Path(scratch).glob("*.parquet")) == []
    balance = ledger.balances(out)[job.name]
    assert balance.problems == ()
    assert balance.pending == 0
    return reasons(out, job.name), remarks


@pytest.mark.parametrize(
    ("content", "reason", "detail"),
    [
        ("hang", "timeout", "not done after 1 seconds"),
        ("eat", "memory", "the limit is 400 MB"),
        ("eat_below", "memory", "the limit is 400 MB"),
        ("exit", "crashed", "last words"),
        ("segfault", "crashed", "SIGSEGV"),
        ("broken", "browser_crashed", "the tool broke"),
    ],
)
def test_guilty_alone(
    supervisor: Supervisor, make_job: MakeJob, out: str, content: str, reason: str, detail: str
) -> None:
    documents = good(3) | {"good001b": content}
    limits = Limits(seconds=10 if "eat" in content else 1, memory_mb=400)
    found, remarks = convert(supervisor, make_job(documents, limits=limits), out)
    assert found == {"good000": None, "good001": None, "good001b": reason, "good002": None}
    assert detail in ledger_rows(out)["good001b"]["detail"]
    assert len(remarks) == 1


def test_the_way_to_a_document_is_not_its_time(
    supervisor: Supervisor, make_job: MakeJob, out: str
) -> None:
    job = make_job({"a": "text", "b": "hang"}, "FAR", limits=Limits(seconds=1))
    found, _ = convert(supervisor, job, out)
    assert found == {"a": None, "b": "timeout"}


def test_same_part_as_without(
    supervisor: Supervisor, make_job: MakeJob, out: str, tmp_path: Path
) -> None:
    """What good documents give does not depend on the bad ones between them."""
    convert(supervisor, make_job(good(6) | {"good002b": "drop no_text"}), out)
    undisturbed = Path(out, "parts/fake/part-00000.parquet").read_bytes()
    (tmp_path / "in/good002b.txt").write_text("exit")
    again = str(tmp_path / "again")
    assert convert(supervisor, make_job(), again)[0]["good002b"] == "crashed"
    assert Path(again, "parts/fake/part-00000.parquet").read_bytes() == undisturbed


def test_ordinary_failures(supervisor: Supervisor, make_job: MakeJob, out: str) -> None:
    documents = good(2) | {
        "bad01": "fail",
        "bad02": "known bad_json",
        "bad03": "unreadable",
        "unreadable": "text",
        "bad04": "text\n" + "x" * 1_000_001,
        "bad05": "stranger",
        "bad06": "twice",
        "bad07": "category",
        "bad08": "surrogate text",
        "bad09": "surrogate details",
        "bad10": "surrogate drop",
        "bad11": "nothing",
        "bad12": "drop no_text,bad_image,too_few_lines",
        "bad13": "drop no_text,too_few_lines,too_few_lines",
        "bad14": "mixed blank_image",
        "noisy": "noisy",
    }
    found, remarks = convert(supervisor, make_job(documents, partition_size=100), out)
    assert found == {
        "bad01": "error",
        "bad02": "bad_json",
        "bad03": "error",
        "bad04": "too_large",
        "bad05": "error",
        "bad06": "error",
        "bad07": "error",
        "bad08": "error",
        "bad09": "error",
        "bad10": "no_text",
        "bad11": "empty_document",
        "bad12": "bad_image",
        "bad13": "too_few_lines",
        "bad14": None,
        "good000": None,
        "good001": None,
        "noisy": None,
        "unreadable": "unreadable",
    }
    assert remarks == []
    rows = ledger_rows(out)
    assert "ZeroDivisionError: failed on bad01.txt" in rows["bad01"]["detail"]
    assert 'raise ZeroDivisionError(f"failed' in rows["bad01"]["detail"]
    assert "the disk says no" in rows["unreadable"]["detail"]
    assert "nonsense" in rows["bad07"]["detail"]
    assert "two samples with the key" in rows["bad06"]["detail"]
    assert "nobody:x" in rows["bad05"]["detail"]
    assert "surrogates" in rows["bad09"]["detail"]
    assert rows["bad01"]["samples"] == 0
    assert [drop["reason"] for drop in rows["bad14"]["drops"]] == ["blank_image"]
    assert rows["bad12"]["outcome"] == "quarantined"
    assert rows["bad13"]["outcome"] == "filtered"
    counts = ledger.balances(out)["fake"].to_json()["items"]
    assert counts["reasons"]["no_text"] == 3
    assert counts["quarantined"] == 1


def test_batches_are_taken_apart(supervisor: Supervisor, make_job: MakeJob, out: str) -> None:
    documents = good(7) | {"good001b": "fail", "good004b": "exit", "good005b": "hang"}
    limits = Limits(seconds=1)
    job = make_job(documents, "BATCHES", limits=limits, partition_size=100)
    found, _ = convert(supervisor, job, out)
    assert {uri: reason for uri, reason in found.items() if reason} == {
        "good001b": "error",
        "good004b": "crashed",
        "good005b": "timeout",
    }


def test_killed_from_outside_once(supervisor: Supervisor, make_job: MakeJob, out: str) -> None:
    """The document that happened to be in work is not blamed for a death it did not cause."""
    found, remarks = convert(supervisor, make_job(good(3) | {"good001b": "kill"}), out)
    assert set(found.values()) == {None}
    assert len(remarks) == 1


@pytest.mark.parametrize(("times", "reason"), [("1", None), ("2", None), ("", "browser_crashed")])
def test_broken_tool_is_tried_again(
    supervisor: Supervisor, make_job: MakeJob, out: str, times: str, reason: str | None
) -> None:
    found, _ = convert(supervisor, make_job(good(3) | {"good001b": f"broken {times}"}), out)
    assert found.pop("good001b") == reason
    assert set(found.values()) == {None}


def test_what_one_task_gave_is_not_shown_as_another_s(
    supervisor: Supervisor, make_job: MakeJob, out: str
) -> None:
    job = make_job(good(3))
    convert(supervisor, job, out)
    assert supervisor.tally().documents == 3
    supervisor.use(job.load())
    assert supervisor.tally() == Tally()


@pytest.mark.parametrize("end", ["exit", "hang", "text"])
def test_no_temporary_files_left(
    supervisor: Supervisor, make_job: MakeJob, out: str, tmp_path: Path, end: str
) -> None:
    """What a worker leaves among temporary files goes when it does, not at the end of the run."""
    convert(supervisor, make_job({"a": f"litter {end}"}, limits=Limits(seconds=1)), out)
    left = [Path(line) for line in (tmp_path / "hooks/litter").read_text().split()]
    supervisor.use(make_job(good(1)).load())  # ends the worker
    deadline = time.monotonic() + 10
    while any(path.exists() for path in left) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left
    assert not [path for path in left if path.exists()]


@pytest.mark.parametrize("end", ["exit", "hang", "text"])
def test_nothing_left_running(
    supervisor: Supervisor, make_job: MakeJob, out: str, tmp_path: Path, end: str
) -> None:
    """Detached grandchildren die with the worker, whether it crashed, was killed or just ended."""
    convert(supervisor, make_job({"a": f"leave {end}"}, limits=Limits(seconds=1)), out)
    left = [int(line) for line in (tmp_path / "hooks/left").read_text().split()]
    assert left
    supervisor.use(make_job().load())  # another job: the worker ends
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in left):
        assert time.monotonic() < deadline, "a grandchild outlived its worker"
        time.sleep(0.01)


def test_big_document_waits_on_disk(supervisor: Supervisor, make_job: MakeJob, out: str) -> None:
    """150 MB of samples from one document, in order, within a limit of 400 MB."""
    job = make_job({"a": "text", "b": "big 150", "c": "text"}, limits=Limits(memory_mb=400))
    found, _ = convert(supervisor, job, out)
    assert set(found.values()) == {None}
    reader = parts.PartReader(f"{out}/parts/fake/part-00000.parquet")
    documents = [d for b in reader.take(152) for d in b.column("document").to_pylist()]
    assert documents == ["set:a.txt", *["set:b.txt"] * 150, "set:c.txt"]


def test_unusable_converter_stops(supervisor: Supervisor, make_job: MakeJob, out: str) -> None:
    with pytest.raises(UserError, match="cannot start: RuntimeError: no weights"):
        convert(supervisor, make_job(good(1), options={"unusable": "no weights"}), out)


def test_worker_too_big_from_the_start(supervisor: Supervisor, make_job: MakeJob, out: str) -> None:
    with pytest.raises(UserError, match="before the first document"):
        convert(supervisor, make_job(good(1), limits=Limits(memory_mb=5)), out)


def test_lost_document_is_noticed(supervisor: Supervisor, make_job: MakeJob, out: str) -> None:
    """A segment that lacks a document, or samples, never becomes a part."""
    loaded = make_job(good(4)).load()
    with storage.scratch(out, "test") as scratch:
        plan = make_plan(loaded, out, scratch)
        supervisor.use(loaded)

        def segments(positions: Sequence[int]) -> list[parts.Segment]:
            one = Task("fake", 0, tuple(positions))
            return task.convert(one, supervisor, plan, scratch, print)

        with pytest.raises(BalanceError, match="3 documents are not the 4"):
            parts.finish(segments([0, 1, 3]), plan, 0)
        (short,) = segments(range(1))
        samples = Path(short.samples).read_bytes()
        (whole,) = segments(range(4))
        Path(whole.samples).write_bytes(samples)
        with pytest.raises(BalanceError, match="1 samples in the part, 7 by the ledger"):
            parts.finish([whole], plan, 0)
    assert plan.done() == set()
