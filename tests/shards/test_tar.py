"""The tar writer, judged by Python's tarfile."""

from __future__ import annotations

import io
import os
import tarfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.shards import tar
from dsvl_data.shards.tar import TarWriter, header

# Any text that a member can be called: tarfile strips slashes from a pax name's end, and no tar
# holds a NUL.
NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=150
).filter(lambda name: not name.endswith("/"))
PAYLOADS = st.one_of(st.binary(max_size=1600), st.integers(0, 3000).map(bytes))


def write(members: list[tuple[str, bytes]], sink: io.BytesIO) -> tuple[tar.Digest, list[int]]:
    writer = TarWriter(sink)
    offsets = [writer.add(name, payload) for name, payload in members]
    return writer.close(), offsets


@given(st.lists(st.tuples(NAMES, PAYLOADS), max_size=8))
def test_tarfile_reads_back_what_was_written(members: list[tuple[str, bytes]]) -> None:
    sink = io.BytesIO()
    digest, offsets = write(members, sink)
    data = sink.getvalue()
    assert digest.size == len(data)
    assert len(data) % tarfile.RECORDSIZE == 0
    assert digest.xxh3 == xxhash.xxh3_128_hexdigest(data)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        infos = archive.getmembers()
        assert [info.name for info in infos] == [name for name, _ in members]
        assert [info.offset_data for info in infos] == offsets
        for info, (_, payload) in zip(infos, members, strict=True):
            assert info.isreg()
            assert (info.mode, info.mtime, info.uid, info.gid) == (0o644, 0, 0, 0)
            file = archive.extractfile(info)
            assert file is not None
            assert file.read() == payload
    for offset, (_, payload) in zip(offsets, members, strict=True):
        assert data[offset : offset + len(payload)] == payload


def test_file_and_stream_get_the_same_bytes(tmp_path: Path) -> None:
    # Enough for several batches, by bytes and by number of buffers.
    members = [(f"k{i}.bin", os.urandom(i * 13 % 5000)) for i in range(3000)]
    members.append(("large.bin", os.urandom(9 << 20)))
    stream = io.BytesIO()
    of_stream, _ = write(members, stream)
    with (tmp_path / "x.tar").open("wb", buffering=0) as file:
        writer = TarWriter(file)
        for name, payload in members:
            writer.add(name, memoryview(payload))
        of_file = writer.close()
    assert of_file == of_stream
    assert (tmp_path / "x.tar").read_bytes() == stream.getvalue()


def test_short_writes_are_continued(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, buffers: os.write(fd, b"".join(buffers)[:700]))
    assert os.writev is not real
    members = [(f"{i}.bin", bytes([i]) * 1000) for i in range(5)]
    with (tmp_path / "x.tar").open("wb", buffering=0) as file:
        writer = TarWriter(file)
        for name, payload in members:
            writer.add(name, payload)
        writer.close()
    expected = io.BytesIO()
    write(members, expected)
    assert (tmp_path / "x.tar").read_bytes() == expected.getvalue()


def test_a_write_that_fails_in_the_other_thread_is_told(tmp_path: Path) -> None:
    with (tmp_path / "x.tar").open("wb", buffering=0) as file, TarWriter(file) as writer:
        writer.add("a.bin", b"x" * (20 << 20))  # more than a batch: it is handed over
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, file.fileno())
        os.close(full)
        with pytest.raises(OSError, match="No space"):  # noqa: PT012 one of these, or the close
            for number in range(5):
                writer.add(f"{number}.bin", b"x" * (20 << 20))
            writer.close()


def test_who_gives_up_waits_for_the_write_under_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real, done = tar.write_all, threading.Event()

    def slow(descriptor: int, buffers: Sequence[bytes | memoryview]) -> None:
        time.sleep(0.2)
        real(descriptor, buffers)
        done.set()

    monkeypatch.setattr(tar, "write_all", slow)
    with (tmp_path / "x.tar").open("wb", buffering=0) as file:
        with pytest.raises(RuntimeError, match="enough"), TarWriter(file) as writer:  # noqa: PT012
            writer.add("a.bin", b"x" * (20 << 20))
            raise RuntimeError("enough")
        assert done.is_set()


@pytest.mark.parametrize("size", [0, 8**11 - 1, 8**11, 2**40])
def test_sizes_beyond_ustar_go_into_a_pax_header(size: int) -> None:
    head = header("large.bin", size)
    assert (len(head) == tar.BLOCK) == (size < 8**11)
    info = tarfile.TarFile(fileobj=io.BytesIO(head + bytes(1024))).next()
    assert info is not None
    assert (info.name, info.size, info.offset_data) == ("large.bin", size, len(head))


@pytest.mark.parametrize("name", ["", "a\0b", "folder/", "lone \ud800 surrogate"])
def test_names_that_no_tar_holds_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        header(name, 1)


def test_gnu_tar_lists_it(tmp_path: Path) -> None:
    import shutil
    import subprocess

    program = shutil.which("tar")
    if program is None:
        pytest.skip("no tar program on this machine")
    path = tmp_path / "x.tar"
    with path.open("wb", buffering=0) as file:
        writer = TarWriter(file)
        for name in ("a.json", "长" * 60 + ".png", "b" * 150):
            writer.add(name, b"x" * 600)
        writer.close()
    listing = subprocess.run(
        [program, "-tf", str(path), "--quoting-style=literal"],
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C.UTF-8"},
    )
    assert listing.stdout.split() == ["a.json", "长" * 60 + ".png", "b" * 150]
    assert not listing.stderr
