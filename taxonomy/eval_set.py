"""A balanced set of questions that no training mix has seen: an index in; questions out.

    OUT/taxonomy/eval-set.jsonl      a question a line: id, category, path, language, question,
                                     images (paths beside the file), reference (its answer), source
    OUT/taxonomy/eval-set/           the images
    OUT/taxonomy/eval-set.parquet    rows of the index, by which mixes keep out of its way

The paper has 100 questions over seven main categories, and its table of the taxonomy has eight;
it does not say which one is left out. Here that is Multi-graph by default: many of the models
that one would compare with take one image, and two answers to a question that one of the models
could not be asked are no comparison. `--main` takes others.

Main categories are given the same number of questions first, then what is below them the same as
far as it goes: it is a mix like any other (`balance.py`), in which no image comes twice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsvl_data import storage
from dsvl_data.outcome import UserError
from dsvl_data.sample import Image, Sample, from_batch
from taxonomy import index
from taxonomy.balance import balance
from taxonomy.mix_report import MIX
from taxonomy.pool import COLUMNS, HeldOut, gather
from taxonomy.targets import BalanceSettings, check_names
from taxonomy.tree import Taxonomy

QUESTIONS, ROWS, IMAGES = "eval-set.jsonl", "eval-set.parquet", "eval-set"
LEFT_OUT_BY_DEFAULT = ("multi-graph",)

_BATCH = 64


def make(
    out: str,
    taxonomy: Taxonomy,
    size: int = 100,
    main: Sequence[str] | None = None,
    languages: Mapping[str, float] | None = None,
    seed: int = 0,
    threads: int = 1,
) -> list[str]:
    """Choose and write the set; returns lines that say what is in it.

    Raises `UserError` where the index has too few conversations outside of the mix.
    """
    table = index.read(out, COLUMNS)
    mix = _mix_rows(out, table)
    chosen = choose(table, taxonomy, size, main, languages, seed, mix, threads)
    rows = table.take(pa.array(chosen))
    questions = _questions(out, rows)
    text = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in questions)
    folder = storage.join(out, index.ROOT)
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    storage.atomic_write(storage.join(folder, ROWS), sink.getvalue().to_pybytes())
    storage.atomic_write(storage.join(folder, QUESTIONS), text.encode())
    by_main = Counter(question["category"] for question in questions)
    by_language = Counter(question["language"] for question in questions)
    leaves = len({question["path"] for question in questions})
    fair = size // len(mains(taxonomy, main))
    short = [name for name in mains(taxonomy, main) if by_main[name] < fair]
    uneven = [
        f"short of {', '.join(short)}: there are no more conversations outside of the mix; make "
        "the set before the mix, or classify more"
    ]
    return [
        f"{len(questions)} questions over {len(by_main)} main categories and {leaves} leaves: "
        + ", ".join(f"{name} {by_main[name]}" for name in mains(taxonomy, main)),
        *(uneven if short else ()),
        "languages: " + ", ".join(f"{name} {count}" for name, count in sorted(by_language.items())),
        "nothing is shared with the mix: no conversation, image or nearly equal text"
        if mix is not None
        else "there is no mix yet; `taxonomy balance` will keep out of the way of these",
        f"wrote {storage.join(folder, QUESTIONS)}",
    ]


def mains(taxonomy: Taxonomy, wanted: Sequence[str] | None) -> list[str]:
    """Return the main categories that are asked about, in the taxonomy's order."""
    known = [node.id for node in taxonomy.main]
    if wanted:
        check_names("main category", wanted, known)
        return [name for name in known if name in wanted]
    return [name for name in known if name not in LEFT_OUT_BY_DEFAULT]


def choose(
    table: pa.Table,
    taxonomy: Taxonomy,
    size: int,
    main: Sequence[str] | None = None,
    languages: Mapping[str, float] | None = None,
    seed: int = 0,
    mix: HeldOut | None = None,
    threads: int = 1,
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the rows of an index (`COLUMNS`) that make a set, with nothing of a mix in it."""
    wanted = mains(taxonomy, main)
    others = [node.id for node in taxonomy.main if node.id not in wanted]
    values: dict[str, Any] = {
        "size": size,
        "shares": dict.fromkeys(others, 0.0),
        "skip_empty": True,
        "languages": dict(languages or {}),
        "image_uses": 1,
        "seed": seed,
    }
    pool = gather(table, taxonomy, BalanceSettings.model_validate(values), mix, threads)
    main_of = np.array(
        [
            wanted.index(path.split("/")[0]) if path.split("/")[0] in wanted else -1
            for path in pool.leaves
        ]
    )[pool.cells.leaf]
    group = np.where(main_of >= 0, main_of, len(wanted))
    supply = pool.candidates.ranks(group, len(wanted) + 1, 1, 1)[: len(wanted)]
    if supply.sum() < size:
        listed = ", ".join(f"{n} {count}" for n, count in zip(wanted, supply, strict=True))
        kept = " outside of the mix" if mix is not None else ""
        raise UserError(
            f"{size} questions are wanted, and{kept} there are {supply.sum()}: {listed}; "
            "take a smaller --size, or leave more out of the mix"
        )
    counts = _even(supply.tolist(), size)
    for exact in (True, False):
        bounds = {
            name: {"min": count / size if exact else 0, "max": count / size if exact else 1}
            for name, count in zip(wanted, counts, strict=True)
        }
        bounds |= {name: {"max": 0} for name in others}
        target = BalanceSettings.model_validate({**values, "bounds": {"nodes": bounds}})
        try:
            return balance(table, taxonomy, target, mix, threads).rows
        except UserError:
            # Categories may share images, of which each can have but one question.
            if not exact:
                raise
    raise AssertionError


def held_out(out: str) -> HeldOut | None:
    """Return what mixes have to keep out of; None where there is no set."""
    path = storage.join(out, index.ROOT, ROWS)
    if not storage.exists(path):
        return None
    with storage.open_input(path) as source:
        stored = pq.read_table(source)
    columns = ["key", "images", "text_hash", "near"]
    # Clusters are numbered anew when the index changes: those of now count.
    now = index.read(out, columns)
    now = now.filter(pc.is_in(now["key"], stored["key"].combine_chunks()))
    old = stored.select(["key", "images", "text_hash"])
    old = old.append_column("near", pa.nulls(len(stored), pa.uint64()))
    return HeldOut.of(pa.concat_tables([now, old.cast(now.schema)]))


def _mix_rows(out: str, table: pa.Table) -> HeldOut | None:
    path = storage.join(out, index.ROOT, MIX)
    if not storage.exists(path):
        return None
    with storage.open_input(path) as source:
        keys = pq.read_table(source, columns=["key"])["key"].combine_chunks()
    return HeldOut.of(table.filter(pc.is_in(table["key"], keys)))


def _even(supply: Sequence[int], size: int) -> list[int]:
    """Share `size` out evenly, nobody more than there is; the first ones get the odd ones."""
    counts = [0] * len(supply)
    left = size
    while left:
        for number, most in enumerate(supply):
            if left and counts[number] < most:
                counts[number] += 1
                left -= 1
    return counts


def _questions(out: str, rows: pa.Table) -> list[dict[str, Any]]:
    """Write the images and return the questions, by category and key."""
    found = []
    folder = storage.join(out, index.ROOT, IMAGES)
    storage.remove(folder)
    path_of = dict(zip(rows["key"].to_pylist(), rows["taxonomy"].to_pylist(), strict=True))
    for sample in _samples(out, rows):
        path = path_of[sample.key]
        question, reference, images = _first_turn(sample)
        names = []
        for number, image in enumerate(images):
            name = f"{sample.key}.{number}.{image.format}"
            storage.atomic_write(storage.join(folder, name), image.data)
            names.append(f"{IMAGES}/{name}")
        found.append(
            {
                "id": sample.key,
                "category": path.split("/")[0],
                "path": path,
                "language": sample.language,
                "question": question,
                "images": names,
                "reference": reference,
                "source": sample.source.dataset,
            }
        )
    return sorted(found, key=lambda question: (question["path"], question["id"]))


def _first_turn(sample: Sample) -> tuple[str, str, list[Image]]:
    """Return the first question, its answer, and the images that stand before that."""
    question: list[str] = []
    reference: list[str] = []
    images: list[Image] = []
    for segment in sample.segments:
        if isinstance(segment, Image):
            if not reference:
                images.append(segment)
        elif segment.role == "assistant":
            reference.append(segment.text)
        elif segment.role == "user":
            if reference:
                break
            question.append(segment.text)
    return "\n".join(question).strip(), "\n".join(reference).strip(), images


def _samples(out: str, rows: pa.Table) -> Iterator[Sample]:
    parts = rows["part"].to_pylist()
    keys = rows["key"].to_pylist()
    for part in sorted(set(parts)):
        wanted = {key for key, where in zip(keys, parts, strict=True) if where == part}
        path = storage.join(out, "parts", part)
        if not storage.exists(path):
            raise UserError(f"{path} is not there: the questions' texts and images lie in it")
        with storage.open_input(path) as source:
            for batch in pq.ParquetFile(source).iter_batches(_BATCH):
                chosen = batch.filter(pc.is_in(batch["key"], pa.array(sorted(wanted))))
                for sample in from_batch(chosen):
                    wanted.discard(sample.key)
                    yield sample
        if wanted:
            raise UserError(
                f"{path} has no conversation {min(wanted)!r}, which the index has: it changed; "
                "run `dsvl-data taxonomy classify` again"
            )
