from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef, InputSpec
from dsvl_data.read import members
from dsvl_data.read.archives import json_lines, list_documents, read_bytes
from dsvl_data.read.cells import row_facts
from dsvl_data.read.listing import InputError


def spec(path: Path | str, dataset: str = "d") -> InputSpec:
    return InputSpec(path=str(path), dataset=dataset, licence="MIT")


def listed(path: Path | str, column: str | None = None) -> list[DocumentRef]:
    return list(list_documents([spec(path)], suffixes=(".txt",), column=column))


def contents(refs: list[DocumentRef]) -> dict[str, bytes]:
    return {ref.uri: read_bytes(ref) for ref in refs}


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_folder_is_listed_recursively_by_posix_path_whatever_the_case_of_the_suffix(
    tmp_path: Path,
) -> None:
    for name in ("b/z.txt", "b.txt", "a/1.TXT", "a/ignored.md", ".git/x.txt", "a/.x.txt"):
        write(tmp_path / name, name)
    refs = listed(tmp_path)
    assert [ref.uri for ref in refs] == ["a/1.TXT", "b.txt", "b/z.txt"]
    assert contents(refs)["b/z.txt"] == b"b/z.txt"
    assert {ref.licence for ref in refs} == {"MIT"}


def test_ids_are_the_same_wherever_the_input_lies(tmp_path: Path) -> None:
    for machine in ("one", "two/deeper"):
        write(tmp_path / machine / "in/a.txt")
    ids = [[ref.id for ref in listed(tmp_path / m / "in")] for m in ("one", "two/deeper")]
    assert ids[0] == ids[1] == ["d:a.txt"]


def test_a_relative_path_is_read_from_another_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "in/a.txt", "hello")
    monkeypatch.chdir(tmp_path)
    refs = listed("in")
    monkeypatch.chdir("/")
    assert contents(refs) == {"a.txt": b"hello"}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["a.txt"]),
        ("**/*.txt", ["a.txt", "s/b.txt", "s/t/c.txt"]),
        ("s/?.txt", ["s/b.txt"]),
        ("s/**/[bc].txt", ["b.txt", "t/c.txt"]),
        ("s/*/[!b].txt", ["t/c.txt"]),
    ],
)
def test_globs(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    for name in ("a.txt", "s/b.txt", "s/t/c.txt"):
        write(tmp_path / name)
    found = [ref.uri for ref in listed(f"{tmp_path}/{pattern}")]
    base = "s/" if pattern == "s/?.txt" else ""
    assert found == [name.removeprefix(base) for name in expected]


def test_a_path_with_brackets_that_exists_is_no_glob(tmp_path: Path) -> None:
    write(tmp_path / "x[1]/a.txt")
    assert [ref.uri for ref in listed(tmp_path / "x[1]")] == ["a.txt"]


@pytest.mark.parametrize("name", ["absent", "absent/*.txt", "*.none"])
def test_an_input_that_is_not_there_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"absent|none") as caught:
        listed(tmp_path / name)
    assert isinstance(caught.value, FileNotFoundError)


def reason(ref: DocumentRef) -> Reason:
    with pytest.raises(DocumentError) as caught:
        read_bytes(ref)
    return caught.value.reason


def test_links_that_lead_out_of_the_input_are_documents_that_are_not_read(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret/s.txt", "secret")
    inside = write(tmp_path / "in/a.txt")
    write(tmp_path / "in/sub/b.txt")
    (tmp_path / "in/out.txt").symlink_to(secret)
    (tmp_path / "in/out.md").symlink_to(secret)  # no document, wherever it leads
    (tmp_path / "in/folder").symlink_to(secret.parent)
    (tmp_path / "in/again").symlink_to(tmp_path / "in/sub")
    (tmp_path / "in/same.txt").symlink_to(inside)
    (tmp_path / "in/nowhere.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "in/round.txt").symlink_to(tmp_path / "in/round.txt")
    refs = {ref.uri: ref for ref in listed(tmp_path / "in")}
    bad = {"folder", "nowhere.txt", "out.txt", "round.txt"}
    assert list(refs) == sorted({"a.txt", "same.txt", "sub/b.txt"} | bad)
    assert reason(refs["out.txt"]) is reason(refs["folder"]) is Reason.UNSAFE_PATH
    assert reason(refs["nowhere.txt"]) is reason(refs["round.txt"]) is Reason.UNREADABLE
    globbed = {ref.uri: ref for ref in listed(f"{tmp_path}/in/*.txt")}
    assert reason(globbed["out.txt"]) is Reason.UNSAFE_PATH
    assert "folder" not in globbed
    assert "folder" in {ref.uri for ref in listed(f"{tmp_path}/in/*/*.txt")}


def test_a_name_that_is_no_utf8_is_read_all_the_same(tmp_path: Path) -> None:
    Path(str(tmp_path).encode().decode(), "b\udcff.txt").write_text("x")
    (ref,) = listed(tmp_path)
    assert ref.uri.encode() == rb"b\udcff.txt"
    assert read_bytes(ref) == b"x"


def make_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return path


def test_tar_members_are_byte_ranges(tmp_path: Path) -> None:
    long = "deep/" * 40 + "b.txt"
    members = [("z.txt", b"zed"), (long, b"long name"), ("c.md", b"no"), ("z.txt", b"again")]
    refs = listed(make_tar(tmp_path / "x.tar", members))
    assert contents(refs) == {
        "x.tar!z.txt": b"zed",
        f"x.tar!{long}": b"long name",
        "x.tar!z.txt#2": b"again",
    }


@pytest.mark.parametrize("keep", [700, 1500, 2048 + 100])
def test_a_damaged_tar_is_one_quarantined_document_beside_its_sound_members(
    tmp_path: Path, keep: int
) -> None:
    make_tar(tmp_path / "x.tar", [("a.txt", b"a" * 600), ("b.txt", b"b" * 600)])
    data = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "x.tar").write_bytes(data[:keep] if keep < 2000 else data[:1536] + b"?" * 9000)
    write(tmp_path / "y.txt", "neighbour")
    refs = listed(tmp_path)
    assert refs[-1].uri == "y.txt"
    assert read_bytes(refs[-1]) == b"neighbour"
    with pytest.raises(DocumentError) as caught:
        read_bytes(refs[-2])
    assert caught.value.reason is Reason.BAD_ARCHIVE
    assert all(read_bytes(ref) == b"a" * 600 for ref in refs[:-2])


def test_a_compressed_tar_says_what_to_do(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz"):
        pass
    (ref,) = listed(tmp_path)
    with pytest.raises(DocumentError, match="decompress") as caught:
        read_bytes(ref)
    assert caught.value.reason is Reason.UNREADABLE


def test_json_lines(tmp_path: Path) -> None:
    lines = ['{"t": "one 中"}', "", "{broken", '{"t": 3}', '{"t": {"cells": []}}', '{"t": "last"}']
    write(tmp_path / "x.jsonl", "\n".join(lines))
    refs = listed(tmp_path, column="t")
    assert [ref.uri for ref in refs] == [f"x.jsonl#{n}" for n in (0, 2, 3, 4, 5)]
    assert read_bytes(refs[0]).decode() == "one 中"
    assert json.loads(read_bytes(refs[3])) == {"cells": []}
    assert read_bytes(refs[4]) == b"last"
    for ref in refs[1:3]:
        with pytest.raises(DocumentError) as caught:
            read_bytes(ref)
        assert caught.value.reason is Reason.BAD_JSON


@given(
    lines=st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line), max_size=20),
    chunk=st.integers(1, 64),
)
def test_a_line_is_found_wherever_the_chunks_end(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], chunk: int
) -> None:
    path = tmp_path_factory.mktemp("lines") / "x.jsonl"
    data = b"\n".join(lines)
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(members, "_CHUNK", chunk)
        found = list(json_lines(str(path)))
    expected = [(n, line) for n, line in enumerate(lines) if line.strip()]
    assert [(n, data[start : start + size]) for n, start, size in found] == expected


def test_gzipped_documents_and_lines_are_read(tmp_path: Path) -> None:
    lines = [json.dumps({"t": f"line {n} " + "x" * n}) for n in range(300)]
    packed = gzip.compress("\n".join(lines[:100]).encode() + b"\n")
    packed += gzip.compress("\n".join(lines[100:]).encode())  # a stream may have several members
    (tmp_path / "r.jsonl.gz").write_bytes(packed)
    (tmp_path / "a.TXT.gz").write_bytes(gzip.compress(b"hello"))
    make_tar(tmp_path / "x.tar", [("m.txt.gz", gzip.compress(b"in a tar")), ("n.gz", b"no")])
    refs = {ref.uri: ref for ref in listed(tmp_path, column="t")}
    assert list(refs) == ["a.TXT.gz", *(f"r.jsonl.gz#{n}" for n in range(300)), "x.tar!m.txt.gz"]
    assert read_bytes(refs["a.TXT.gz"]) == b"hello"
    assert read_bytes(refs["x.tar!m.txt.gz"]) == b"in a tar"
    for n in (0, 1, 99, 100, 299, 7):  # backwards too: a retry asks for single rows
        assert read_bytes(refs[f"r.jsonl.gz#{n}"]).startswith(b"line %d x" % n if n else b"line 0")


def test_gzip_bombs_and_damage_are_documents_with_a_reason(tmp_path: Path) -> None:
    zeros = gzip.compress(bytes(60_000_000))
    good = gzip.compress(b'{"t": "good"}\n')
    (tmp_path / "a.jsonl.gz").write_bytes(good + zeros)
    (tmp_path / "b.txt.gz").write_bytes(zeros)
    (tmp_path / "c.jsonl.gz").write_bytes(good + good[:-14])
    (tmp_path / "d.txt.gz").write_bytes(b"no gzip at all")
    refs = listed(tmp_path, column="t")
    assert [ref.uri for ref in refs] == [
        "a.jsonl.gz#0", "a.jsonl.gz", "b.txt.gz", "c.jsonl.gz#0", "c.jsonl.gz", "d.txt.gz",
    ]  # fmt: skip
    assert read_bytes(refs[0]) == read_bytes(refs[3]) == b"good"
    assert [reason(refs[n]) for n in (1, 2, 4, 5)] == [
        Reason.ARCHIVE_BOMB, Reason.ARCHIVE_BOMB, Reason.BAD_ARCHIVE, Reason.BAD_ARCHIVE,
    ]  # fmt: skip


def test_what_is_packed_in_another_way_is_accounted_for(tmp_path: Path) -> None:
    names = ["a.txt.lz4", "b.zip", "c.jsonl.bz2", "d.parquet.gz", "e.md.xz", "f.gz"]
    for name in names:
        write(tmp_path / name)
    make_tar(tmp_path / "x.tar", [("rows.jsonl", b"{}"), ("rows.md", b"")])
    refs = listed(tmp_path, column="t")
    assert [ref.uri for ref in refs] == [*names[:4], "x.tar!rows.jsonl"]
    assert {reason(ref) for ref in refs} == {Reason.UNREADABLE}


def test_damage_in_zstd_is_told_after_what_is_sound(tmp_path: Path) -> None:
    lines = b"".join(json.dumps({"t": f"{n} {'x' * 99}"}).encode() + b"\n" for n in range(9999))
    packed = pa.compress(lines, "zstd", asbytes=True)
    (tmp_path / "a.jsonl.zst").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "b.txt.zst").write_bytes(b"no such thing")
    refs = listed(tmp_path, column="t")
    assert reason(refs[-1]) is reason(refs[-2]) is Reason.BAD_ARCHIVE
    assert len(refs) > 2
    assert read_bytes(refs[0]).startswith(b"0 ")


def test_listing_lines_looks_at_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "x.jsonl", '{"t": "one", "licence": "MIT"}\n{broken\n')
    with monkeypatch.context() as patch:
        patch.setattr(json, "loads", lambda line: pytest.fail("a row was parsed"))
        refs = listed(tmp_path, column="t")
    assert [row_facts(ref, ["licence", "path"]) for ref in refs] == [{"licence": "MIT"}, {}]
    assert read_bytes(refs[0]) == b"one"
    assert reason(refs[1]) is Reason.BAD_JSON


def test_parquet_rows_of_text_and_bytes(tmp_path: Path) -> None:
    text = [f"row {n}" for n in range(100)]
    text[7] = None  # type: ignore[call-overload]
    table = pa.table({"t": text, "b": [b"%d" % n for n in range(100)], "n": range(100)})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=40)
    refs = listed(tmp_path, column="t")
    assert [ref.uri for ref in refs] == [f"x.parquet#{n}" for n in range(100)]
    for n in (0, 1, 39, 40, 99, 3, 80):  # backwards too: a retry asks for single rows
        assert read_bytes(refs[n]) == f"row {n}".encode()
    with pytest.raises(DocumentError) as caught:
        read_bytes(refs[7])
    assert caught.value.reason is Reason.EMPTY_DOCUMENT
    assert read_bytes(listed(tmp_path, column="b")[55]) == b"55"
    with pytest.raises(InputError, match=r"option `column`.*its columns are: t, b, n"):
        listed(tmp_path, column="absent")
    with pytest.raises(InputError, match=r"option `column`.*not text"):
        listed(tmp_path, column="n")


def test_a_parquet_file_without_the_column_fails_alone(tmp_path: Path) -> None:
    for name, column in (("a", "other"), ("b", "t"), ("c", "other")):
        pq.write_table(pa.table({column: ["x"]}), tmp_path / f"{name}.parquet")
    pq.write_table(pa.table({"t": [1]}), tmp_path / "d.parquet")
    refs = {ref.uri: ref for ref in listed(tmp_path, column="t")}
    assert list(refs) == ["a.parquet", "b.parquet#0", "c.parquet", "d.parquet"]
    assert read_bytes(refs["b.parquet#0"]) == b"x"
    for name in ("a", "c", "d"):
        with pytest.raises(DocumentError) as caught:
            read_bytes(refs[f"{name}.parquet"])
        assert caught.value.reason is Reason.BAD_RECORD
        assert "'t'" in caught.value.detail


def test_a_broken_parquet_file_is_accounted_for(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", "PAR1 no")
    (ref,) = listed(tmp_path, column="t")
    with pytest.raises(DocumentError) as caught:
        read_bytes(ref)
    assert caught.value.reason is Reason.BAD_ARCHIVE


def test_without_a_column_tables_of_rows_are_no_documents(tmp_path: Path) -> None:
    write(tmp_path / "x.jsonl", '{"t": "a"}')
    assert listed(tmp_path) == []


def test_two_inputs_of_one_data_set_may_not_share_ids(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1/a.txt"), write(tmp_path / "2/a.txt")
    with pytest.raises(InputError, match=r"a\.txt"):
        list(list_documents([spec(one), spec(two)], suffixes=(".txt",)))
    other = [spec(one), spec(two, "other")]
    assert [r.id for r in list_documents(other, suffixes=(".txt",))] == ["d:a.txt", "other:a.txt"]


def test_a_file_that_shrank_since_it_was_listed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "long text")
    (ref,) = listed(tmp_path)
    path.write_text("cut")
    with pytest.raises(DocumentError) as caught:
        read_bytes(ref)
    assert caught.value.reason is Reason.UNREADABLE


def test_a_remote_store(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    store.pipe("/bucket/in/s/a.txt", b"far")
    store.pipe("/bucket/in/b.txt", b"away")
    store.pipe("/bucket/in/r.jsonl", b'{"t": "row"}\n')
    store.pipe("/bucket/in/x.tar", make_tar(tmp_path / "x.tar", [("m.txt", b"m")]).read_bytes())
    refs = listed("memory://bucket/in", column="t")
    assert contents(refs) == {
        "b.txt": b"away",
        "r.jsonl#0": b"row",
        "s/a.txt": b"far",
        "x.tar!m.txt": b"m",
    }
    assert [ref.uri for ref in listed("memory://bucket/in/**/a.txt")] == ["s/a.txt"]
    with pytest.raises(InputError):
        listed("memory://bucket/none")
