"""kill -9 at random moments of a real build, driver and worker: the corpus is the same in the end.

The command that a user runs, on Ray, with browsers and (where it is installed) LaTeXML below it.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from dsvl_data import sandbox, storage
from tests.engine.test_kill import alive, wait_for, workers
from tests.epubs import PROSE, make_epub

ROOT = Path(__file__).resolve().parent.parent
#: Rasters, and what a browser has to draw.
NOTEBOOKS = ("falling_things_julia", "javascript_plots")
#: A machine may be busy.
PATIENCE = 300


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    """A small corpus of each kind, every document a partition of its own."""
    folder = tmp_path_factory.mktemp("raw")
    inputs = {name: folder / name for name in ("notebooks", "ebooks", "exams")}
    for each in inputs.values():
        each.mkdir()
    for name in NOTEBOOKS:
        shutil.copy(samples / "notebooks" / f"{name}.ipynb", inputs["notebooks"])
    shutil.copy(samples / "exams" / "arithmetic.csv", inputs["exams"])
    for name in ("first", "second"):
        chapters = {
            f"c{n}.xhtml": f"<h1>{name}, chapter {n}</h1>{PROSE * 8}<p>The end of {n}.</p>"
            for n in range(1, 3)
        }
        (inputs["ebooks"] / f"{name}.epub").write_bytes(make_epub(chapters))
    if shutil.which("latexml"):
        inputs["arxiv"] = folder / "arxiv"
        shutil.copytree(samples / "arxiv" / "rainbow", inputs["arxiv"] / "rainbow")
    pipelines = {
        name: {
            "inputs": [{"path": str(path), "dataset": name, "licence": "CC0-1.0"}],
            "partition_size": 1,
        }
        for name, path in inputs.items()
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "kill", "pipelines": pipelines}))
    return path


def start(recipe: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    program = "from dsvl_data.cli import main; main()"
    arguments = ["corpus", "build", str(recipe), "--out", str(out), *options]
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(driver: subprocess.Popen[str]) -> None:
    output, _ = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 0, output


def kill_a_worker(driver: subprocess.Popen[str], chance: random.Random) -> bool:
    there = list(workers(driver))
    if there:
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(chance.choice(there), signal.SIGKILL)
            return True
    return False


def parts(out: Path) -> int:
    return len(list(out.glob("ledger/*/part-*.parquet")))


def corpus(out: Path) -> dict[str, bytes]:
    """The bytes of all that a user takes away."""
    files = [*out.glob("shards/**/*"), out / "manifest.json", out / "README.md"]
    return {str(file.relative_to(out)): file.read_bytes() for file in files if file.is_file()}


@pytest.mark.timeout(4 * PATIENCE)
def test_killed_builds_make_the_same_corpus(recipe: Path, tmp_path: Path) -> None:
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")  # shown when the test fails
    chance = random.Random(seed)
    end(start(recipe, undisturbed, "--executor", "local"))
    expected, total = corpus(undisturbed), parts(undisturbed)
    assert sum(name.endswith(".tar") for name in expected) >= 2

    driver = start(recipe, out, "--workers", "2")
    try:
        done = chance.randint(0, total - 3)  # two are in work; the last must be left to do
        wait_for(lambda: parts(out) >= done and any(workers(driver)), driver, PATIENCE)
        time.sleep(chance.uniform(0, 1))
        mine = sandbox.descendants(driver.pid)
    finally:
        driver.kill()
        driver.wait()
    wait_for(lambda: not alive(mine))
    assert done <= parts(out) < total
    assert not (out / "shards").exists()

    driver = start(recipe, out, "--workers", "2")
    try:
        wait_for(lambda: any(workers(driver)), driver, PATIENCE)
        time.sleep(chance.uniform(0, 3))
        wait_for(lambda: kill_a_worker(driver, chance), driver, PATIENCE)
        end(driver)
    finally:
        driver.kill()
    assert corpus(out) == expected
    assert not (out / ".scratch").exists()
    among_temporary = Path(storage.temporary(str(out), "test"))
    assert list(among_temporary.parent.iterdir()) == [among_temporary]
    storage.sweep(str(out))
