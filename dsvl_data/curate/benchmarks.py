"""Benchmarks as files: JSON lines in, items with texts and images out.

A record is one item. Its texts are the strings in the fields that a recipe names, however deep in
lists and mappings (so `options` may be either); its images are paths beside the file, base64, a
`data:` address, or a mapping with `bytes` or `path`, as data sets are exported. A file may be
compressed (`.gz`), a path may be a folder or a glob.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from dsvl_data import storage
from dsvl_data.outcome import UserError
from dsvl_data.pipeline import PathOption, Settings

_TEXTS = (
    "question",
    "problem",
    "prompt",
    "query",
    "instruction",
    "text",
    "context",
    "passage",
    "stem",
    "options",
    "choices",
)
_IMAGES = ("image", "images", "image_path", "image_file", "decoded_image")
_IDS = ("id", "question_id", "item_id", "uid", "pid", "index", "task_id")
#: Bytes of one line: a record with its images.
_LONGEST_LINE = 256 << 20
_SUFFIXES = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")
_DEEPEST = 8  # lists in lists

#: What is done with samples that share something with a benchmark.
Action = Literal["report", "drop"]


class Benchmark(Settings):
    """One benchmark, and which fields of its records are looked at: those that a record has."""

    path: Annotated[str, PathOption()] = Field(description="JSON lines: file, folder or glob")
    name: str = Field(default="", description="in reports; else the file's name")
    text: tuple[str, ...] = Field(
        default=_TEXTS,
        description="fields with text; answers are not among them: where they are long enough to "
        "be evidence they are mostly captions, which many people write alike",
    )
    image: tuple[str, ...] = Field(default=_IMAGES, description="fields with images")
    id: tuple[str, ...] = Field(
        default=_IDS, description="fields that name an item, the first one there; else its line"
    )
    images: Annotated[str, PathOption()] = Field(
        default="", description="folder that paths of images start at; else the file's own"
    )


@dataclass(frozen=True, slots=True)
class Picture:
    """An item's image: its bytes, or the path that has them."""

    data: bytes = b""
    path: str = ""

    def read(self) -> bytes:
        """Return the bytes; `OSError` when the file cannot be read."""
        return storage.read_bytes(self.path) if self.path else self.data


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a benchmark. `faults` says of images that are none what they are."""

    benchmark: str
    id: str
    texts: tuple[str, ...]
    pictures: tuple[Picture, ...]
    faults: tuple[str, ...]


def files(benchmarks: Sequence[Benchmark]) -> list[tuple[Benchmark, str]]:
    """Return the files of benchmarks, in their order; `UserError` for one that has none."""
    found = []
    for benchmark in benchmarks:
        paths = [
            file.path
            for file in storage.find_files(benchmark.path)
            if file.path == benchmark.path or file.path.lower().endswith(_SUFFIXES)
        ]
        if not paths:
            raise UserError(
                f"curation.contamination: no benchmark at {benchmark.path}; give a file, folder or "
                "glob of JSON lines"
            )
        found += [(benchmark, path) for path in paths]
    return found


def digest(listed: Sequence[tuple[Benchmark, str]]) -> str:
    """Return what changes with a benchmark file or with what is read of it."""
    state = hashlib.blake2b(digest_size=16)
    for benchmark, path in listed:
        said = benchmark.model_dump_json(exclude={"path", "images"})
        state.update(json.dumps([said, _name(benchmark, path)]).encode())
        with storage.open_input(path) as source:
            while piece := source.read(8 << 20):
                state.update(piece)
    return state.hexdigest()


def items(benchmark: Benchmark, path: str) -> Iterator[Item]:
    """Yield the items of one file of a benchmark.

    Raises `UserError` with file and line for what is no JSON object, and when no record of the
    file has a field with text or an image.
    """
    name = _name(benchmark, path)
    # Numbers begin anew in each file.
    within = f"{_stem(path)}:" if benchmark.name and path != benchmark.path else ""
    root = benchmark.images or path.rpartition("/")[0]
    fields: set[str] = set()
    any_there = False
    for number, record in _records(path):
        texts = [text for field in benchmark.text for text in _strings(_get(record, field))]
        pictures: list[Picture] = []
        faults: list[str] = []
        for field in benchmark.image:
            for found in _pictures(_get(record, field), root):
                (pictures if isinstance(found, Picture) else faults).append(found)  # type: ignore[arg-type]
        any_there = any_there or bool(texts or pictures or faults)
        if not any_there:
            fields.update(record)
        given = (str(value) for each in benchmark.id if (value := _get(record, each)) is not None)
        yield Item(
            name,
            within + next(given, f"line {number}")[:200],
            tuple(dict.fromkeys(texts)),
            tuple(pictures),
            tuple(faults),
        )
    if fields and not any_there:
        raise UserError(
            f"{path}: no record has any of the fields {', '.join(benchmark.text)} with text or "
            f"{', '.join(benchmark.image)} with an image; its fields are "
            f"{', '.join(sorted(fields)[:20])}: say which to look at by `text:` and `image:`"
        )


def _name(benchmark: Benchmark, path: str) -> str:
    return benchmark.name or _stem(path)


def _stem(path: str) -> str:
    name = path.rpartition("/")[2]
    suffix = max((each for each in _SUFFIXES if name.lower().endswith(each)), key=len, default="")
    return name.removesuffix(suffix) or name


def _records(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with storage.open_input(path) as source:
        stream: io.BufferedIOBase = io.BufferedReader(source, 1 << 20)
        if path.lower().endswith(".gz"):
            stream = gzip.GzipFile(fileobj=stream)
        number = 0
        while line := _line(stream, path, number + 1):
            number += 1
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(
                    f"{path}:{number}: not JSON: {error}; a benchmark is JSON lines, a record a "
                    "line (from an array: `jq -c '.[]' FILE`)"
                ) from error
            if not isinstance(record, dict):
                raise UserError(
                    f"{path}:{number}: a record must be a JSON object, not {type(record).__name__}"
                )
            yield number, record


def _line(stream: io.BufferedIOBase, path: str, number: int) -> bytes:
    try:
        line = stream.readline(_LONGEST_LINE + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}:{number}: cannot be read: {error}") from error
    if len(line) > _LONGEST_LINE:
        raise UserError(f"{path}:{number}: a line of more than {_LONGEST_LINE >> 20} MB")
    return line


def _get(record: Mapping[str, Any], field: str) -> Any:
    """Return a field, or one within another: `doc.question`."""
    if field in record:
        return record[field]
    first, _, rest = field.partition(".")
    inner = record.get(first) if rest else None
    return _get(inner, rest) if isinstance(inner, Mapping) else None


def _strings(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list) and depth < _DEEPEST:
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(inner, depth + 1)


def _pictures(value: Any, root: str, depth: int = 0) -> Iterator[Picture | str]:
    """Yield images, and of what is none what it is."""
    if isinstance(value, list) and depth < _DEEPEST:
        for inner in value:
            yield from _pictures(inner, root, depth + 1)
    elif isinstance(value, Mapping):
        yield from _pictures(value.get("bytes") or value.get("path"), root, depth + 1)
    elif isinstance(value, str) and value:
        yield _picture(value, root)
    elif value is not None and value != "":
        yield f"{type(value).__name__} for an image"


def _picture(value: str, root: str) -> Picture | str:
    kind, data = "", value
    if value.startswith("data:"):
        kind, _, data = value.partition(",")
    # A name is short and has a point; base64 has none.
    if not kind and "." in value[-6:] and len(value) < 4096:
        if value.startswith("/") or "://" in value or ".." in value.split("/"):
            return f"a path that leads out of the folder: {value[:200]}"
        return Picture(path=storage.join(root, value) if root else value)
    try:
        return Picture(base64.b64decode("".join(data.split()), validate=True))
    except (binascii.Error, ValueError):
        return f"neither a path nor base64: {value[:60]}"


class ContaminationRules(Settings):
    """What of benchmarks must not be trained on, see `contamination.py`.

    Lengths and `common_texts` decide what is looked for (changing one measures again), the rest
    what counts.
    """

    benchmarks: tuple[Benchmark, ...] = Field(min_length=1, description="what must not leak")
    action: Action = Field(
        default="report", description="drop: leave such samples out; report: only say so"
    )
    words: int = Field(default=13, ge=4, description="run of words that is looked for")
    short_words: int = Field(
        default=8, ge=4, description="the same in benchmark texts shorter than that"
    )
    characters: int = Field(
        default=20,
        ge=6,
        description="run of characters in Chinese, Japanese, Thai, ...: 11 words of English",
    )
    short_characters: int = Field(
        default=13, ge=6, description="the same in shorter texts: 7 words"
    )
    common_texts: int = Field(
        default=10,
        ge=1,
        description="a run that more different texts of the benchmarks have is an instruction "
        "(`answer with the letter of the option`), and not looked for",
    )
    common_documents: int = Field(
        default=10,
        ge=1,
        description="a run that more documents of the corpus have is no evidence (GPT-3's number), "
        "but in samples that have `whole` of a text",
    )
    whole: float = Field(
        default=0.5, gt=0, le=1, description="share of a text's runs that is evidence in any case"
    )
    min_runs: int = Field(default=1, ge=1, description="runs that a sample must share")
    image_bits: int = Field(
        default=4, ge=0, le=8, description="bits of 64 in which perceptual hashes may differ"
    )
    image_detail: float = Field(
        default=0.15,
        ge=0,
        le=1,
        description="share of 1,024 fine bits in which images may differ whose hashes are near: "
        "pages and charts of one design have near hashes",
    )
    common: tuple[str, ...] = Field(
        default=(), description="runs (hashes) that are no evidence; a build adds those it finds"
    )

    def looking(self) -> dict[str, Any]:
        """Return, as JSON values, what decides what is looked for; without the files' places."""
        return self.model_dump(
            include={"words", "short_words", "characters", "short_characters", "common_texts"}
        )
