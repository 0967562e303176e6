"""Near-duplicates, mix, report and evaluation set over one output folder, by the command line."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from dsvl_data.cli import main
from dsvl_data.outcome import UserError
from taxonomy import eval_set, index, near
from taxonomy.balance import balance
from taxonomy.pool import COLUMNS, HeldOut, gather
from taxonomy.targets import BalanceSettings
from taxonomy.tree import load_taxonomy
from tests.taxonomy.corpora import build, conversation, words

TREE = load_taxonomy()
LEAVES = [TREE.text_path(leaf.id) for leaf in TREE.leaves()]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dsvl-data", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return command


@pytest.fixture
def out(tmp_path: Path) -> str:
    """400 conversations; every tenth resembles the one before, or has the same picture."""
    samples, paths = [], []
    for number in range(400):
        text, image = words(number, 200), number
        if number % 20 == 10:
            text = words(number - 1, 200) + " changed"
        if number % 20 == 11:
            image = number - 2
        language = "zh" if number % 4 == 0 else "en"
        samples.append(conversation(number, f"Question {number}?", text, [image], language))
        paths.append(LEAVES[number % len(LEAVES)] if number % 13 else None)
    return build(tmp_path / "out", samples, paths)


def test_near_duplicates_are_found_whatever_their_images(out: str) -> None:
    assert near.annotate(out)
    table = index.read(out, ["key", "near"])
    clusters: dict[int, list[str]] = {}
    for row in table.filter(pc.is_valid(table["near"])).to_pylist():
        clusters.setdefault(row["near"], []).append(row["key"])
    pairs = sorted(tuple(keys) for keys in clusters.values())
    assert pairs == [(f"key-{n - 1:04d}", f"key-{n:04d}") for n in range(10, 400, 20)]
    before = index.note(out, index.names(out)[0])
    assert near.annotate(out)
    assert index.note(out, index.names(out)[0]) == before


def test_an_index_without_its_parts_keeps_its_clusters(out: str) -> None:
    (Path(out) / "parts/sft/part-00000.parquet").unlink()
    assert not near.annotate(out)


def check_apart(out: str) -> None:
    """No conversation, image or near-duplicate text is in both, by the index's own columns."""
    table = index.read(out, COLUMNS).to_pylist()
    folder = Path(out) / "taxonomy"
    mix = set(pq.read_table(folder / "mix.parquet")["key"].to_pylist())
    held = {json.loads(line)["id"] for line in (folder / "eval-set.jsonl").open()}
    of_mix = [row for row in table if row["key"] in mix]
    of_set = [row for row in table if row["key"] in held]
    assert len(of_set) == len(held) > 0
    for values in (
        lambda row: {row["key"]},
        lambda row: set(row["images"]),
        lambda row: {row["text_hash"]},
        lambda row: {row["near"]} - {None},
    ):
        in_mix = set().union(*map(values, of_mix))
        assert not in_mix & set().union(*map(values, of_set))


def test_mix_report_and_evaluation_set_by_the_command_line(run: Run, out: str) -> None:
    code, said, _ = run("taxonomy", "eval-set", out, "--size", 70)
    assert code == 0
    assert "70 questions over 7 main categories" in said
    assert "short of" not in said
    lines = [json.loads(line) for line in (Path(out) / "taxonomy/eval-set.jsonl").open()]
    assert set(Counter(line["category"] for line in lines).values()) == {10}
    assert "multi-graph" not in {line["category"] for line in lines}
    first = lines[0]
    assert first["question"].startswith("Question ")
    assert first["reference"].startswith("w")
    assert "Nothing more" not in first["reference"]
    assert (Path(out) / "taxonomy" / first["images"][0]).is_file()

    code, said, _ = run(
        *("taxonomy", "balance", out, "--size", 150, "--skip-empty", "--source-cap", "0.7"),
        *("--language", "zh=0.2:", "--image-uses", 1, "--seed", 5),
    )
    assert code == 0
    assert "near duplicate" not in said  # the same text with another picture is another question
    assert "mix: 150 uses of 150 conversations" in said
    mix = pq.read_table(Path(out) / "taxonomy/mix.parquet")
    assert sum(mix["times"].to_pylist()) == 150
    sources = Counter(mix["source"].to_pylist())
    assert max(sources.values()) <= 105
    numbers = json.loads((Path(out) / "taxonomy/mix.json").read_text())
    assert numbers["optimal"]
    assert numbers["languages"]["zh"]["taken"] >= 30
    assert sum(leaf["taken"] for leaf in numbers["leaves"]) == 150
    check_apart(out)

    # A set that is made after the mix keeps out of its way in turn.
    code, said, _ = run("taxonomy", "eval-set", out, "--size", 40, "--seed", 9)
    assert code == 0
    check_apart(out)

    # A larger mix keeps out of the set's way; so it stays apart.
    code, said, _ = run("taxonomy", "balance", out, "--size", 250, "--skip-empty")
    assert code == 0
    assert "held out" in said
    check_apart(out)

    code, said, _ = run("taxonomy", "report", out, "--html", Path(out) / "report.html", "--json")
    assert code == 0
    report = json.loads(said[said.index("{") :])
    assert sum(node["taken"] for node in report["tree"]) == 250
    page = (Path(out) / "report.html").read_text()
    assert "__DATA__" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_what_cannot_be_is_told_and_nothing_is_written(run: Run, out: str) -> None:
    code, _, said = run("taxonomy", "balance", out, "--size", 300, "--language", "zh=0.9:")
    assert code == 1
    assert "language zh: at least 270" in said
    assert "Traceback" not in said
    assert not (Path(out) / "taxonomy/mix.parquet").exists()
    code, _, said = run("taxonomy", "report", out)
    assert code == 1
    assert "run `dsvl-data taxonomy balance" in said
    code, _, said = run("taxonomy", "eval-set", out, "--size", 4000)
    assert code == 1
    assert "4000 questions are wanted, and there are" in said
    code, _, said = run("taxonomy", "balance", out, "--size", 10, "--node", "counting=0.1")
    assert code == 1
    assert "expected NAME=MIN:MAX" in said


def test_categories_get_the_same_number_as_far_as_there_are(out: str) -> None:
    table = index.read(out, COLUMNS)
    chosen = eval_set.choose(table, TREE, 70, main=["recognition", "safety"])
    mains = Counter(table["taxonomy"][int(row)].as_py().split("/")[0] for row in chosen)
    pool = gather(table, TREE, BalanceSettings(size=1))
    there = sum(n for p, n in zip(pool.leaves, pool.supply("leaf"), strict=True) if "safety" in p)
    assert mains["safety"] <= there
    assert mains["recognition"] == 70 - mains["safety"]
    with pytest.raises(UserError, match="did you mean 'safety'"):
        eval_set.choose(table, TREE, 10, main=["safty"])


def test_a_mix_of_everything_leaves_nothing_for_the_set(out: str) -> None:
    near.annotate(out)
    table = index.read(out, COLUMNS)
    everything = gather(table, TREE, BalanceSettings(size=1)).counts["candidates"]
    mix = balance(table, TREE, BalanceSettings(size=everything))
    held = HeldOut.of(table.take(mix.rows))
    with pytest.raises(UserError, match="outside of the mix there are"):
        eval_set.choose(table, TREE, 10, mix=held)
