"""What of benchmarks is looked for in a corpus: benchmark files in, one index file out.

    DIR/curation/contamination/index.arrow    made once, by the driver; mapped by every worker

A text of a benchmark is looked for by its runs of 13 words, a text that is shorter by its runs of
8, one with fewer than 8 not at all (`ContaminationRules` has the lengths). 13 words is GPT-3's
length (Brown et al. 2020, appendix C, which goes down to 8 for data sets of short texts), and that
of the decontamination in EleutherAI's lm-evaluation-harness; PaLM (Chowdhery et al. 2022, section
8) compares 8-grams. In texts that are mostly Chinese, Japanese or the like the runs are 20 and 13
characters long: a manual has 1.75 characters in Chinese for a word in English (debmake-doc, both),
so they say what 11 and 7 words do.

Two kinds of runs are no evidence, and are left out: those that say too little (fewer than half as
many different words of two letters or more as tokens: rows of numbers, formulas, the alphabet),
and those that more different texts of the benchmarks share than the rules allow (instructions).
The same text in several items (a passage with five questions, options in another order) is one
text. What is left of each text is counted, and the report says of which nothing is.

An index takes, for each different run, 8 bytes (hash), 4 to 8 (buckets, made at loading), 4 (where
its texts begin) and 4 for each text that has it; for each image 188. Building takes some 60 bytes
a run.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsvl_data import storage
from dsvl_data.curate import benchmarks, ngrams, stored
from dsvl_data.curate.benchmarks import ContaminationRules, Item
from dsvl_data.curate.image_hash import TRAITS, fingerprint, reduced
from dsvl_data.outcome import DocumentError, UserError

STAGE = "contamination"
NAME = "index.arrow"
_FORMAT = 1
_NOTE = b"dsvl-data"
_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Index:
    """An index as workers see it.

    `texts[firsts[i]:firsts[i + 1]]` are the texts that have the i-th run; of text t, `items[t]` is
    the first item that has it, `sharing[t]` how many do, and `runs[t]` how many of its runs are
    looked for.
    Images: perceptual `hashes`, `traits` (n, 176) as of `image_hash.py`, and `image_items`.
    """

    fingerprint: str
    lengths: NDArray[np.int64]
    buckets: ngrams.Buckets
    firsts: NDArray[np.uint32]
    texts: NDArray[np.uint32]
    items: NDArray[np.uint32]
    sharing: NDArray[np.uint32]
    runs: NDArray[np.uint32]
    names: pa.Array
    hashes: NDArray[np.uint64]
    traits: NDArray[np.uint8]
    image_items: NDArray[np.uint32]

    def name(self, item: int) -> str:
        """Return an item's name: `BENCHMARK/ID`."""
        return str(self.names[item].as_py())


def place(out: str) -> str:
    """Where the index of an output stands."""
    return stored.path(out, STAGE, NAME)


def prepare(out: str, rules: ContaminationRules) -> None:
    """Build the index of an output, unless the one there is of the same benchmarks.

    Raises `UserError` for benchmarks that cannot be read.
    """
    listed = benchmarks.files(rules.benchmarks)
    source = stored.digest(
        _FORMAT, ngrams.VERSION, rules.looking(), [b.images for b in rules.benchmarks]
    ) + benchmarks.digest(listed)
    before = note(place(out))
    if before.get("source") == source and before.get("stamp") == _stamp(before["image_files"]):
        return
    table, said = _build(listed, rules)
    said["source"] = source
    schema = table.schema.with_metadata({_NOTE: json.dumps(said, sort_keys=True).encode()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(table.replace_schema_metadata(schema.metadata))
    storage.atomic_write(place(out), sink.getvalue())


def note(where: str) -> dict[str, Any]:
    """Return what the index at a place says of itself; empty when there is none.

    `fingerprint` changes with anything that may be found by it; `benchmarks` has for each its
    counts, `left_out` examples of runs that are no evidence.
    """
    try:
        with _open(where) as source:
            metadata = pa.ipc.open_file(source).schema.metadata or {}
            found: dict[str, Any] = json.loads(metadata[_NOTE])
            return found
    except (FileNotFoundError, KeyError, ValueError, pa.ArrowInvalid):
        return {}


@lru_cache(maxsize=2)
def load(where: str, fingerprint: str) -> Index:
    """Open an index: mapped where the store is local, so that workers share its memory."""
    table = pa.ipc.open_file(_open(where)).read_all()
    said = json.loads(table.schema.metadata[_NOTE])
    if said["fingerprint"] != fingerprint:
        raise stored.CurationError(f"{where} changed while it was used; run it again")

    def column(name: str) -> Any:
        return table.column(name).chunk(0)[0].values

    def array(name: str) -> Any:
        return column(name).to_numpy(zero_copy_only=True)

    return Index(
        fingerprint,
        np.array(said["lengths"], np.int64),
        ngrams.buckets(array("runs")),
        array("run_texts_from"),
        array("run_texts"),
        array("text_item"),
        array("text_items"),
        array("text_runs"),
        column("items"),
        array("image_hashes"),
        array("image_traits").reshape(-1, TRAITS),
        array("image_items"),
    )


def readings(rules: ContaminationRules, wanted: set[int]) -> dict[int, str]:
    """Return how some runs read in the benchmarks, by their hashes: reads the files again."""
    found: dict[int, str] = {}
    if not wanted:
        return found
    hashes = np.array(sorted(wanted), np.uint64)
    for benchmark, path in benchmarks.files(rules.benchmarks):
        for item in benchmarks.items(benchmark, path):
            for text in item.texts:
                tokens = ngrams.read_tokens(text)
                length = _length(tokens, rules)
                if not length:
                    continue
                of_text = ngrams.run_hashes(tokens, length)
                for at in np.flatnonzero(np.isin(of_text, hashes)).tolist():
                    found.setdefault(int(of_text[at]), _reading(text, tokens, at, length))
    return found


def _build(
    listed: Sequence[tuple[benchmarks.Benchmark, str]], rules: ContaminationRules
) -> tuple[pa.Table, dict[str, Any]]:
    """Return the index as a table of one row, and its note."""
    gathered = _Gathered(rules)
    for benchmark, path in listed:
        for item in benchmarks.items(benchmark, path):
            gathered.add(item)
    runs, run_texts = _arrays(gathered.runs, gathered.run_texts)
    order = np.argsort(runs, kind="stable")  # by run, then by text
    runs, run_texts = runs[order], run_texts[order]
    first = np.ones(len(runs), np.bool_)
    first[1:] = runs[1:] != runs[:-1]
    starts = np.flatnonzero(first)
    sizes = np.diff(np.append(starts, len(runs)))
    common = sizes > rules.common_texts
    kept = np.repeat(~common, sizes)
    examples = starts[common][np.argsort(-sizes[common], kind="stable")[:_EXAMPLES]]
    often = {int(runs[at]): int((runs == runs[at]).sum()) for at in examples}
    text_runs = np.bincount(run_texts[kept], minlength=len(gathered.text_item)).astype(np.uint32)
    gathered.count(text_runs)
    firsts = np.zeros(int((~common).sum()) + 1, np.uint32)
    np.cumsum(sizes[~common], out=firsts[1:])
    columns: dict[str, Any] = {
        "runs": runs[starts[~common]],
        "run_texts_from": firsts,
        "run_texts": run_texts[kept],
        "text_item": np.array(gathered.text_item, np.uint32),
        "text_items": np.array(gathered.text_items, np.uint32),
        "text_runs": text_runs,
        "image_hashes": np.array(gathered.image_hashes, np.uint64),
        "image_traits": np.frombuffer(b"".join(gathered.traits), np.uint8),
        "image_items": np.array(gathered.image_items, np.uint32),
    }
    arrays = {name: pa.array(values) for name, values in columns.items()}
    arrays["items"] = pa.array(gathered.names, pa.string())
    state = hashlib.blake2b(digest_size=16)
    for name, values in sorted(columns.items()):
        state.update(name.encode() + values.tobytes())
    state.update(json.dumps(gathered.names).encode())
    lengths = [rules.short_words, rules.words, rules.short_characters, rules.characters]
    said = {
        "fingerprint": state.hexdigest(),
        "lengths": sorted(set(lengths)),
        "image_files": gathered.image_files,
        "stamp": _stamp(gathered.image_files),
        "benchmarks": {name: dict(counts) for name, counts in gathered.counts.items()},
        "runs": int((~common).sum()),
        "faults": gathered.faults,
        "common": int(common.sum()),
        "common_examples": [
            {"text": text, "texts": often[run]} for run, text in readings(rules, set(often)).items()
        ],
    }
    lists = {
        name: pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)
        for name, values in arrays.items()
    }
    return pa.table(lists), said


class _Gathered:
    """What the items of benchmarks add up to."""

    def __init__(self, rules: ContaminationRules) -> None:
        self._rules = rules
        self._known: dict[bytes, int] = {}  # texts by their tokens
        self._text_benchmarks: list[Counter[str]] = []
        self._unsure: list[tuple[Counter[str], list[int]]] = []
        self.names: list[str] = []
        self.runs: list[NDArray[np.uint64]] = []
        self.run_texts: list[NDArray[np.uint32]] = []
        self.text_item: list[int] = []
        self.text_items: list[int] = []
        self.image_hashes: list[int] = []
        self.traits: list[bytes] = []
        self.image_items: list[int] = []
        self.image_files: list[str] = []
        self.counts: dict[str, Counter[str]] = {}
        self.faults: list[str] = []

    def add(self, item: Item) -> None:
        """Take an item's texts and images."""
        number = len(self.names)
        self.names.append(f"{item.benchmark}/{item.id}")
        counts = self.counts.setdefault(item.benchmark, Counter())
        counts["items"] += 1
        texts = [found for text in item.texts if (found := self._text(text, number)) is not None]
        self._unsure.append((counts, texts))
        counts["images"] += len(item.pictures) + len(item.faults)
        for fault in item.faults:
            self._fault(number, fault, counts)
        for picture in item.pictures:
            if picture.path:
                self.image_files.append(picture.path)
            try:
                seen = fingerprint(reduced(picture.read()))
            except (OSError, DocumentError) as error:
                self._fault(number, str(error), counts)
                continue
            if seen is None:
                counts["images_flat"] += 1  # of one colour: resembles nothing
                continue
            self.image_hashes.append(seen.hash)
            self.traits.append(seen.traits)
            self.image_items.append(number)

    def count(self, text_runs: NDArray[np.uint32]) -> None:
        """Count the items that can be found by a text, now that it is known what is common."""
        for counts, texts in self._unsure:
            counts["items_with_text"] += any(text_runs[text] for text in texts)

    def _text(self, text: str, number: int) -> int | None:
        tokens = ngrams.read_tokens(text)
        length = _length(tokens, self._rules)
        if not length:
            return None
        key = hashlib.blake2b(tokens.hashes.tobytes(), digest_size=16).digest()
        known = self._known.get(key)
        if known is not None:
            self.text_items[known] += 1
            return known
        found = self._known[key] = len(self.text_item)
        self.text_item.append(number)
        self.text_items.append(1)
        telling = 2 * ngrams.telling_in_runs(tokens, length) >= length
        runs = np.unique(ngrams.run_hashes(tokens, length)[telling])
        self.runs.append(runs)
        self.run_texts.append(np.full(len(runs), found, np.uint32))
        return found

    def _fault(self, number: int, fault: str, counts: Counter[str]) -> None:
        counts["images_unreadable"] += 1
        if len(self.faults) < _EXAMPLES:
            self.faults.append(f"{self.names[number]}: {fault}")


def _length(tokens: ngrams.Tokens, rules: ContaminationRules) -> int:
    """Return by how long runs a text is looked for; 0: not at all, it is too short."""
    many = len(tokens.hashes)
    pairs = (rules.words, rules.short_words)
    if 2 * tokens.alone > many:
        pairs = (rules.characters, rules.short_characters)
    return next((length for length in pairs if many >= length), 0)


def _reading(text: str, tokens: ngrams.Tokens, first: int, length: int) -> str:
    return " ".join(text[tokens.begins[first] : tokens.ends[first + length - 1]].split())


def _arrays(
    runs: Sequence[NDArray[np.uint64]], texts: Sequence[NDArray[np.uint32]]
) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    if not runs:
        return np.zeros(0, np.uint64), np.zeros(0, np.uint32)
    return np.concatenate(runs), np.concatenate(texts)


def _stamp(paths: Sequence[str]) -> str:
    """Return what changes when one of many files is written again, without reading them."""
    return stored.digest([[path, *_seen(path)] for path in paths])


def _seen(path: str) -> Iterator[int]:
    try:
        yield storage.size(path)
        yield storage.modified(path)
    except OSError:
        yield -1


def _open(where: str) -> Any:
    if storage.is_local(where):
        return pa.memory_map(where)
    return storage.open_input(where)


def check(rules: Sequence[ContaminationRules]) -> ContaminationRules | None:
    """Return the one rules by which all categories are measured; `UserError` when they differ."""
    said = {json.dumps([each.looking(), each.model_dump(include={"benchmarks"})]) for each in rules}
    if len(said) > 1:
        raise UserError(
            "curation.contamination: all categories look for the same benchmarks and runs; by "
            "category only what counts may differ"
        )
    return rules[0] if rules else None
