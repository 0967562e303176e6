"""Paths of any store: what is found, and writes that are whole or not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dsvl_data import storage


@pytest.fixture(params=["local", "file", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder in each kind of store."""
    if request.param == "local":
        return str(tmp_path / "store")
    if request.param == "file":
        return f"file://{tmp_path}/store"
    return f"memory:///{tmp_path.name}/store"


def test_write_and_read(root: str) -> None:
    path = storage.join(root, "a", "b.bin")
    assert not storage.exists(path)
    storage.atomic_write(path, b"0123456789")
    assert storage.exists(path)
    assert storage.read_bytes(path) == b"0123456789"
    assert storage.read_bytes(path, 3) == b"3456789"
    assert storage.read_bytes(path, 3, 4) == b"3456"
    assert storage.size(path) == 10
    with storage.open_input(path) as source:
        source.seek(8)
        assert source.read() == b"89"
    storage.atomic_write(path, b"again")
    assert storage.read_bytes(path) == b"again"
    assert storage.list_names(storage.join(root, "a")) == ["b.bin"]


def test_commit_moves(root: str, tmp_path: Path) -> None:
    storage.make_folder(root)
    local = tmp_path / "made"
    for content in (b"first", b"second"):
        local.write_bytes(content)
        storage.commit(str(local), storage.join(root, "final"))
        assert storage.read_bytes(storage.join(root, "final")) == content
        assert not local.exists()


def test_move_and_remove(root: str) -> None:
    one, two = storage.join(root, "one"), storage.join(root, "two")
    storage.atomic_write(one, b"1")
    storage.atomic_write(two, b"2")
    storage.move(one, two)
    assert storage.read_bytes(two) == b"1"
    assert not storage.exists(one)
    storage.remove(two)
    storage.remove(two)
    storage.atomic_write(storage.join(root, "folder", "x"), b"")
    storage.remove(storage.join(root, "folder"))
    assert not storage.exists(storage.join(root, "folder"))


def test_find(root: str) -> None:
    for name in ("b/2.txt", "b/1.txt", "a/3.txt", "a/.hidden", "a/4.md"):
        storage.atomic_write(storage.join(root, *name.split("/")), b"x" * 3)

    def found(pattern: str) -> list[str]:
        files = list(storage.find_files(storage.join(root, *pattern.split("/"))))
        assert all(storage.read_bytes(file.path) == b"xxx" and file.size == 3 for file in files)
        return [file.path.rpartition("/store/")[2] for file in files]

    assert found("b") == ["b/1.txt", "b/2.txt"]
    assert found("b/2.txt") == ["b/2.txt"]
    assert [*storage.find_files(storage.join(root, "nowhere"))] == []
    assert sorted(file.path.rpartition("/")[2] for file in storage.find_files(root)) == [
        "1.txt",
        "2.txt",
        "3.txt",
        "4.md",
    ]
    assert found("*/*.txt") == ["a/3.txt", "b/1.txt", "b/2.txt"]
    assert found("**/*.md") == ["a/4.md"]
    assert found("?/[1-2].*") == ["b/1.txt", "b/2.txt"]
    assert found("x*/*") == []


def test_folder_named_like_a_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "odd [1]"
    folder.mkdir()
    (folder / "x").touch()
    assert [file.path for file in storage.find_files(str(folder))] == [str(folder / "x")]


def test_missing_file(root: str) -> None:
    with pytest.raises(FileNotFoundError):
        storage.size(storage.join(root, "nothing"))
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(storage.join(root, "nothing"))


def test_failed_upload_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = tmp_path / "made"
    local.write_bytes(b"x" * 100)

    def tear(source: object, sink: object, length: int) -> None:
        sink.write(b"half")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(storage.shutil, "copyfileobj", tear)
    final = f"memory:///{tmp_path.name}/final"
    with pytest.raises(KeyboardInterrupt):
        storage.commit(str(local), final)
    assert not storage.exists(final)
    assert local.exists()


def test_killed_while_writing(tmp_path: Path) -> None:
    """A process that dies in the middle of a write leaves the old file, and litter to sweep."""
    final = tmp_path / "out/file"
    storage.atomic_write(str(final), b"old")
    code = (
        "import os, sys; from dsvl_data import storage; "
        "storage._sync = lambda path: os._exit(9); "
        "storage.atomic_write(sys.argv[1], b'new')"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(final)], check=False)
    assert ended.returncode == 9
    assert final.read_bytes() == b"old"
    assert len(list(final.parent.iterdir())) == 2
    storage.sweep(str(final.parent))
    assert list(final.parent.iterdir()) == [final]


def test_scratch_is_beside_and_goes_away(tmp_path: Path) -> None:
    out = str(tmp_path)
    with storage.scratch(out, "run") as folder:
        assert Path(folder).stat().st_dev == tmp_path.stat().st_dev
        assert Path(folder).is_relative_to(tmp_path)
    assert not Path(folder).exists()
    with storage.scratch("memory:///x", "run") as folder:
        assert Path(folder).is_dir()
    assert not Path(folder).exists()


def test_temporary_files_of_killed_runs_are_swept(tmp_path: Path) -> None:
    out = str(tmp_path)
    killed = Path(storage.temporary(out, "killed"))
    (killed / "browser" / "profile").mkdir(parents=True)
    folder = Path(storage.temporary(out, "next"))
    assert folder == Path(storage.temporary(out, "next"))
    assert folder.is_dir()
    assert not killed.exists()
    storage.sweep(out)
    assert not folder.parent.exists()
