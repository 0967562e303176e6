"""Whole runs: the same result on any number of workers, resume, retry, refusals before the work."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from dsvl_data.engine import ledger, lock, option_files, preflight
from dsvl_data.engine.events import Event, Finished, PartDone, Planned, Progress, Warned
from dsvl_data.engine.run import Job, retry, run
from dsvl_data.outcome import UserError
from dsvl_data.pipeline import InputSpec, Limits
from tests.engine.conftest import MakeJob, good, ledger_rows, parts, reasons

BAD = {
    "good003b": "exit",
    "good009b": "fail",
    "good012b": "hang",
    "good015b": "drop no_text",
    "good015c": "broken",
}
BAD_REASONS = {
    "good003b": "crashed",
    "good009b": "error",
    "good012b": "timeout",
    "good015b": "no_text",
    "good015c": "browser_crashed",
}


def test_any_number_of_workers(ray_session: None, make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(good(20) | BAD, partition_size=4, limits=Limits(seconds=1))
    results = {}
    for workers in (1, 2, 3):
        out = str(tmp_path / f"out{workers}")
        events: list[Event] = []
        result = run([job], out, workers=workers, on_event=events.append)
        assert result.ok, result
        results[workers] = parts(out)
        found = reasons(out)
        assert {uri: reason for uri, reason in found.items() if reason} == BAD_REASONS
        assert list(found) == sorted(good(20) | BAD)
        assert sum(isinstance(event, PartDone) for event in events) == 7
        assert sorted(path.name for path in Path(out).iterdir()) == [
            ".lock",
            "ledger",
            "parts",
            "plan",
        ]
    assert results[1] == results[2] == results[3]
    account = result.balances["fake"].to_json()
    assert account == {
        "in": 25,
        "kept": 20,
        "filtered": 1,
        "duplicate": 0,
        "quarantined": 4,
        "pending": 0,
        "samples": 39,
        "images": 39,
        "reasons": {"browser_crashed": 1, "crashed": 1, "error": 1, "no_text": 1, "timeout": 1},
        "items": {"kept": 39, "filtered": 1, "quarantined": 0, "reasons": {"no_text": 1}},
    }


def test_local_is_the_same(ray_session: None, make_job: MakeJob, tmp_path: Path) -> None:
    bad = {name: content for name, content in BAD.items() if content != "exit"}
    job = make_job(good(9) | bad, partition_size=4, limits=Limits(seconds=0.5))
    run([job], str(tmp_path / "ray"), workers=2)
    result = run([job], str(tmp_path / "local"), executor="local")
    assert result.ok
    assert parts(str(tmp_path / "ray")) == parts(str(tmp_path / "local"))
    assert reasons(str(tmp_path / "ray")) == reasons(str(tmp_path / "local"))


def test_several_pipelines_share_the_workers(
    ray_session: None, make_job: MakeJob, out: str
) -> None:
    jobs = [
        make_job(good(9), partition_size=2),
        make_job(name="loud", partition_size=3, options={"shout": True}),
    ]
    events: list[Event] = []
    result = run(jobs, out, workers=2, on_event=events.append)
    assert result.ok
    assert result.balances["fake"].counts.samples == result.balances["loud"].counts.samples == 18
    texts = pq.read_table(f"{out}/parts/loud/part-00000.parquet").column("segments").to_pylist()
    assert texts[0][0]["text"] == "WORDS OF 0"
    assert [event.name for event in events if isinstance(event, Planned)] == ["fake", "loud"]
    assert [event.name for event in events if isinstance(event, Finished)] == ["fake", "loud"]
    assert any(isinstance(event, Progress) for event in events)


def test_second_run_does_nothing(make_job: MakeJob, out: str) -> None:
    job = make_job(good(6), partition_size=2)
    run([job], out, executor="local")
    before = {path: path.stat().st_mtime_ns for path in Path(out).rglob("*.parquet")}
    events: list[Event] = []
    assert run([job], out, executor="local", on_event=events.append).ok
    assert {path: path.stat().st_mtime_ns for path in Path(out).rglob("*.parquet")} == before
    assert not any(isinstance(event, PartDone) for event in events)


def test_only_what_is_missing(make_job: MakeJob, out: str) -> None:
    job = make_job(good(6), partition_size=2)
    run([job], out, executor="local")
    whole = parts(out)
    Path(out, "ledger/fake/part-00001.parquet").unlink()
    assert ledger.balances(out)["fake"].to_json()["pending"] == 2
    Path(out, "parts/fake/part-00001.parquet").write_bytes(b"half")
    events: list[Event] = []
    assert run([job], out, executor="local", on_event=events.append).ok
    assert [e.partition for e in events if isinstance(e, PartDone)] == [1]
    assert parts(out) == whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": {"shout": True}}, "option shout: was False, is True"),
        ({"pipeline": "NEXT_VERSION"}, "version: was '1', is '2'"),
        ({"partition_size": 3}, "partition size: was 2, is 3"),
        ({"documents": {"new": "text"}}, r"documents added: 1 \(set:new.txt\)"),
        ({"documents": {"good000": "text\nmore words"}}, r"documents changed: 1 \(set:good000"),
        ({"gone": "good001"}, r"documents gone: 1 \(set:good001.txt\)"),
    ],
)
def test_another_recipe_is_refused(
    make_job: MakeJob, out: str, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    run([make_job(good(5), partition_size=2)], out, executor="local")
    whole = parts(out)
    fields = {"partition_size": 2} | change
    gone = fields.pop("gone", None)
    if gone:
        (tmp_path / f"in/{gone}.txt").unlink()
    changed = make_job(**fields)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=message) as caught:
        run([changed], out, executor="local")
    assert "--rebuild fake" in str(caught.value)
    assert parts(out) == whole
    assert run([changed], out, executor="local", rebuild=["fake"]).ok


@pytest.mark.parametrize("whole_bytes", [option_files.WHOLE_BYTES, 0])
@pytest.mark.parametrize("name", ["table.yaml", "folder"])
def test_another_content_of_an_options_file_is_refused(
    make_job: MakeJob,
    out: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    whole_bytes: int,
) -> None:
    monkeypatch.setattr(option_files, "WHOLE_BYTES", whole_bytes)
    file = tmp_path / name if name.endswith("yaml") else tmp_path / name / "one"
    file.parent.mkdir(exist_ok=True)
    file.write_text("old")
    job = make_job(good(4) | {"bad": "fail"}, options={"table": str(tmp_path / name)})
    run([job], out, executor="local")
    assert run([job], out, executor="local").ok
    os.utime(file, (1, 1))  # only what is too large to be read counts by its time
    if whole_bytes:
        assert run([job], out, executor="local").ok
    file.write_text("new")
    with pytest.raises(UserError, match=r"option table: .* other content"):
        run([job], out, executor="local")
    with pytest.raises(UserError, match=r"option table: .* other content"):
        retry(out, ["error"], executor="local")


def test_a_plan_from_before_options_files_were_known_goes_on(
    make_job: MakeJob, out: str, tmp_path: Path
) -> None:
    (tmp_path / "t").write_text("old")
    job = make_job(good(2), options={"table": str(tmp_path / "t")})
    run([job], out, executor="local")
    path = Path(out, "plan/fake/plan.json")
    record = json.loads(path.read_text())
    del record["fingerprint"]["files"]
    path.write_text(json.dumps(record))
    assert run([job], out, executor="local").ok


def test_moved_inputs_go_on(make_job: MakeJob, out: str, tmp_path: Path) -> None:
    job = make_job(good(4), partition_size=2)
    run([job], out, executor="local")
    whole = parts(out)
    Path(out, "ledger/fake/part-00001.parquet").unlink()
    shutil.move(tmp_path / "in", tmp_path / "elsewhere")
    spec = InputSpec(path=str(tmp_path / "elsewhere"), dataset="set", licence="CC0-1.0")
    assert run([job.model_copy(update={"inputs": (spec,)})], out, executor="local").ok
    assert parts(out) == whole


def test_retry_gives_what_a_good_run_had(
    ray_session: None, make_job: MakeJob, out: str, tmp_path: Path
) -> None:
    documents = good(9) | {
        "good002b": "once fail",
        "good004b": "once exit",
        "good004c": "fail",
        "good007b": "once hang",
    }
    job = make_job(documents, partition_size=4, limits=Limits(seconds=1))
    bad = tmp_path / "hooks/bad"
    bad.touch()
    assert run([job], out, workers=2).balances["fake"].counts.reasons.total() == 4
    bad.unlink()
    result = retry(out, ["error", "timeout", "crashed"], workers=2)
    assert result.ok
    assert {uri: reason for uri, reason in reasons(out).items() if reason} == {"good004c": "error"}
    undisturbed = str(tmp_path / "undisturbed")
    run([job], undisturbed, workers=1)
    assert parts(out) == parts(undisturbed)
    assert list(reasons(out)) == list(reasons(undisturbed))


def test_retry_of_one_reason_leaves_the_others(make_job: MakeJob, out: str, tmp_path: Path) -> None:
    job = make_job(good(3) | {"a": "once fail", "b": "once nothing"})
    (tmp_path / "hooks/bad").touch()
    run([job], out, executor="local")
    (tmp_path / "hooks/bad").unlink()
    retry(out, ["empty_document"], executor="local")
    assert reasons(out)["a"] == "error"
    assert reasons(out)["b"] is None


def test_retry_with_more_time(make_job: MakeJob, out: str) -> None:
    job = make_job({"a": "slow 0.6"}, limits=Limits(seconds=0.3))
    run([job], out, executor="local")
    assert reasons(out) == {"a": "timeout"}
    retry(out, ["timeout"], limits={"fake": Limits(seconds=30)}, executor="local")
    assert reasons(out) == {"a": None}


def test_retry_of_drops(make_job: MakeJob, out: str) -> None:
    """A kept document with a dropped item of that reason counts too."""
    job = make_job({"a": "mixed blank_image", "b": "text"})
    run([job], out, executor="local")
    events: list[Event] = []
    retry(out, ["blank_image"], executor="local", on_event=events.append)
    (done,) = (event for event in events if isinstance(event, PartDone))
    assert done.tally.documents == 1


def test_retry_for_a_reason_that_nothing_has(make_job: MakeJob, out: str) -> None:
    documents = {"a": "fail", "b": "fail", "c": "mixed blank_image"}
    run([make_job(documents)], out, executor="local")
    events: list[Event] = []
    assert retry(out, ["timeout", "error"], executor="local", on_event=events.append).ok
    (message,) = (event.message for event in events if isinstance(event, Warned))
    assert "nothing failed for timeout" in message
    assert message.endswith("error (2), blank_image (1)")


def test_a_licence_that_only_the_worker_finds_is_judged_and_explained(
    make_job: MakeJob, out: str
) -> None:
    documents = {"a": "text\nMIT", "b": "text\nGPL-3.0", "c": "text\nMIT AND CC0-1.0"}
    job = make_job(
        documents | {"d": "text\nMIT AND GPL-3.0"}, "LICENSED", licences=("mit", "CC0-1.0")
    )
    run([job], out, executor="local")
    assert reasons(out) == {"a": None, "b": "licence", "c": None, "d": "licence"}
    assert ledger_rows(out)["b"]["outcome"] == "filtered"
    assert ledger.explain(out, "set:d.txt")[0]["licence"] == "MIT AND GPL-3.0"
    other = job.model_copy(update={"licences": ()})
    with pytest.raises(UserError, match=r"licences: was \['CC0-1.0', 'mit'\], is \[\]"):
        run([other], out, executor="local")


def test_a_document_is_measured_when_it_is_read_too(make_job: MakeJob, out: str) -> None:
    job = make_job({"a": "text\n" + "x" * 2000, "packed": "text"}, limits=Limits(document_mb=0.01))
    run([job], out, executor="local")
    assert reasons(out) == {"a": None, "packed": "too_large"}


def test_killed_between_the_renames_of_a_retry(
    make_job: MakeJob, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(good(3) | {"a": "once fail"})
    (tmp_path / "hooks/bad").touch()
    run([job], out, executor="local")
    (tmp_path / "hooks/bad").unlink()
    moved: list[str] = []

    def die(source: str, final: str) -> None:
        if moved:
            raise KeyboardInterrupt
        moved.append(final)
        Path(source).replace(final)

    monkeypatch.setattr("dsvl_data.storage.move", die)
    with pytest.raises(KeyboardInterrupt):
        retry(out, ["error"], executor="local")
    monkeypatch.undo()
    assert ledger.balances(out)["fake"].problems  # new part, old ledger
    assert run([job], out, executor="local").ok
    assert reasons(out)["a"] is None


def test_balance_violations_are_seen(make_job: MakeJob, out: str) -> None:
    job = make_job(good(6), partition_size=2)
    run([job], out, executor="local")
    shutil.copy(f"{out}/parts/fake/part-00000.parquet", f"{out}/parts/fake/part-00001.parquet")
    result = run([job], out, executor="local")
    assert not result.ok
    assert result.balances["fake"].problems == (
        "partition 1: 3 samples in the part, 4 by the ledger",
    )
    shutil.copy(f"{out}/ledger/fake/part-00002.parquet", f"{out}/ledger/fake/part-00000.parquet")
    problems = ledger.balances(out)["fake"].problems
    assert any("partition 0: the ledger's 2 documents are not" in problem for problem in problems)
    Path(out, "parts/fake/part-00002.parquet").unlink()
    assert any("no part" in problem for problem in ledger.balances(out)["fake"].problems)


def test_explain(make_job: MakeJob, out: str) -> None:
    job = make_job({"a": "text 2\nabc", "b": "mixed blank_image", "c": "fail"}, partition_size=2)
    run([job], out, executor="local")
    key = ledger_rows(out)["a"]["keys"][1]
    (by_key,) = ledger.explain(out, key)
    assert by_key["document"] == "set:a.txt"
    assert by_key["licence"] == "CC0-1.0"
    assert [sample["key"] for sample in by_key["samples"]] == [key]
    assert by_key["samples"][0]["scores"] == {"length": 3.0}
    assert by_key["samples"][0]["shard"] is None
    (by_id,) = ledger.explain(out, "set:b.txt")
    assert by_id["drops"][0]["reason"] == "blank_image"
    assert len(by_id["samples"]) == 1
    (failed,) = ledger.explain(out, "set:c.txt")
    assert failed["reason"] == "error"
    assert failed["partition"] == 1
    assert ledger.explain(out, "set:nobody") == []
    Path(out, "ledger/fake/part-00001.parquet").unlink()
    assert ledger.explain(out, "set:c.txt")[0]["outcome"] == "pending"
    assert json.dumps([by_key, by_id, failed])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pipeline": "NONE"}, "no pipeline at .*has these: PIPELINE, BATCHES"),
        ({"options": {"shuot": True}}, "shuot: Extra inputs are not permitted.*shout"),
        ({"inputs": (InputSpec(path="nowhere/*.txt", dataset="x"),)}, "matches no file"),
        ({"inputs": ()}, "has no inputs"),
        ({"options": {"unusable": "no weights"}}, "cannot start: .*no weights"),
    ],
)
def test_refused_before_the_work(
    make_job: MakeJob, out: str, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run([make_job(good(1), **fields)], out, executor="local")  # type: ignore[arg-type]
    assert not list(Path(out).rglob("part-*"))


def test_a_refused_build_leaves_no_folder(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even when one of its jobs was planned already; but what was there stays."""
    outer = tmp_path / "deep"
    nothing = make_job(good(1), name="other").model_copy(
        update={"inputs": (InputSpec(path=__file__, dataset="x"),)}
    )
    with pytest.raises(UserError, match="no document of its kind"):
        run([make_job(good(1)), nothing], str(outer / "out"), executor="local")
    assert not outer.exists()
    (outer / "out").mkdir(parents=True)
    (outer / "out" / "mine").touch()
    with monkeypatch.context() as patch:
        patch.setattr(preflight.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
        with pytest.raises(UserError, match="too little disk"):
            run([make_job(good(1))], str(outer / "out"), executor="local")
    assert (outer / "out" / "mine").exists()
    assert run([make_job(good(1))], str(outer / "out"), executor="local").ok
    before = sorted(str(path) for path in outer.rglob("*"))
    with pytest.raises(UserError, match="was begun with another"):
        run([make_job(good(2))], str(outer / "out"), executor="local")
    assert sorted(str(path) for path in outer.rglob("*")) == before


def test_refused_by_ray_too(ray_session: None, make_job: MakeJob, out: str) -> None:
    with pytest.raises(UserError, match="cannot start: RuntimeError: no weights"):
        run([make_job(good(1), options={"unusable": "no weights"})], out, workers=1)


def test_unknown_modules(out: str) -> None:
    spec = (InputSpec(path=__file__, dataset="x"),)
    with pytest.raises(UserError, match=r"there is no module 'pipelines.nonsense'"):
        run([Job(name="a", pipeline="pipelines.nonsense:PIPELINE", inputs=spec)], out)
    with pytest.raises(UserError, match="two jobs are called 'a'"):
        run([Job(name="a", pipeline="x:Y", inputs=spec)] * 2, out)
    with pytest.raises(UserError, match="names no pipeline"):
        run([], out)
    job = Job(name="a", pipeline="tests.engine.fake_pipelines:PIPELINE", inputs=spec)
    with pytest.raises(UserError, match="`ray` or `local`"):
        run([job], out, executor="dask")


def test_no_document_of_the_kind(make_job: MakeJob, out: str, tmp_path: Path) -> None:
    job = make_job()
    (tmp_path / "in/readme.md").touch()
    with pytest.raises(UserError, match="found no document of its kind"):
        run([job], out, executor="local")


def test_two_documents_of_one_id(make_job: MakeJob, out: str, tmp_path: Path) -> None:
    job = make_job({"a": "text"})
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("text")
    inputs = (*job.inputs, InputSpec(path=str(other), dataset="set"))
    with pytest.raises(UserError, match=r"id 'set:a.txt': .*/in/a.txt and .*/other/a.txt"):
        run([job.model_copy(update={"inputs": inputs})], out, executor="local")


def test_unwritable_output(make_job: MakeJob, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write to the output"):
        run([make_job(good(1))], str(tmp_path / "file/out"), executor="local")


def test_too_little_disk(make_job: MakeJob, out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        preflight.shutil, "disk_usage", lambda path: SimpleNamespace(free=100 << 20)
    )
    with pytest.raises(UserError, match=r"too little disk at .*: 0.1 GB free, about 0.5 GB needed"):
        run([make_job(good(1))], out, executor="local")


def test_no_browser(make_job: MakeJob, out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsvl_data.render.browser.find_browser", lambda: None)
    with pytest.raises(UserError, match="no Chromium"):
        run([make_job(good(1), "RENDERING")], out, executor="local")


def test_one_writer_at_a_time(make_job: MakeJob, out: str) -> None:
    preflight.check_writable(out)
    with lock.lock(out), pytest.raises(UserError, match=r"another run is writing to .*process"):
        run([make_job(good(1))], out, executor="local")
    assert run([make_job(good(1))], out, executor="local").ok


def test_lock_of_a_run_elsewhere(make_job: MakeJob, out: str) -> None:
    preflight.check_writable(out)
    path = Path(out, ".lock")
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "alive": 4e9}))
    with pytest.raises(UserError, match=r"process 1 on elsewhere.*If it is dead"):
        run([make_job(good(1))], out, executor="local")
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "alive": 1e9}))
    assert run([make_job(good(1))], out, executor="local").ok


def test_unknown_reason(out: str) -> None:
    with pytest.raises(UserError, match="no reason is called 'tiemout'"):
        retry(out, ["tiemout"])
    with pytest.raises(UserError, match="nothing was built"):
        retry(out, ["timeout"])


def test_retry_after_an_upgrade(
    make_job: MakeJob, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.engine import fake_pipelines

    run([make_job({"a": "fail"})], out, executor="local")
    monkeypatch.setattr(fake_pipelines, "PIPELINE", fake_pipelines.NEXT_VERSION)
    with pytest.raises(UserError, match="made by version 1 of 'fake', and this is version 2"):
        retry(out, ["error"], executor="local")


def test_store_without_renames(make_job: MakeJob, tmp_path: Path) -> None:
    """The whole engine on an object store (fsspec's, in memory), against a local folder."""
    job = make_job(good(5) | {"bad": "once fail"}, partition_size=2)
    (tmp_path / "hooks/bad").touch()
    out = f"memory:///{tmp_path.name}"
    assert run([job], out, executor="local").ok
    (tmp_path / "hooks/bad").unlink()
    assert retry(out, ["error"], executor="local").ok
    assert run([job], str(tmp_path / "local"), executor="local").ok
    from dsvl_data import storage

    for name, data in parts(str(tmp_path / "local")).items():
        assert storage.read_bytes(f"{out}/parts/fake/{name}") == data
    assert ledger.explain(out, "set:bad.txt")[0]["outcome"] == "kept"
