"""Which samples share what with benchmarks, over a whole corpus: measures in, a report out.

    DIR/curation/contamination.json    counts by benchmark; items with the samples that share them;
                                       runs that were too common to be evidence
    DIR/curation/contamination/common.json    those runs, and what they were counted from

Counts are made a slice of parts at a time, by as many workers as there are; the driver holds the
runs that any sample shares with a benchmark, and at most `_MOST_ITEMS` items with `_MOST_SAMPLES`
samples each.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsvl_data import storage
from dsvl_data.curate import contamination as scores
from dsvl_data.curate import contamination_index as indexes
from dsvl_data.curate import measure, stored
from dsvl_data.curate.benchmarks import ContaminationRules
from dsvl_data.curate.measure import Measured
from dsvl_data.curate.settings import Curation
from dsvl_data.engine.tasks import Tasks
from dsvl_data.outcome import Reason

NAME = "contamination.json"

_COMMON = "common.json"
_PARTS_A_TASK = 64
_MOST_ITEMS = 1000
_MOST_SAMPLES = 5
_MOST_COMMON = 50


def with_common_runs(
    out: str, settings: Curation, parts: Sequence[Measured], tasks: Tasks
) -> Curation:
    """Return settings that know which runs are too common in the corpus to be evidence."""
    rules = scores.asked(settings)
    if rules is None:
        return settings
    counted_from = stored.digest(
        [[part.name, part.fingerprint] for part in parts], rules.common_documents
    )
    place = stored.path(out, indexes.STAGE, _COMMON)
    held: dict[str, Any] = {}
    if storage.exists(place):
        held = json.loads(storage.read_bytes(place))
    if held.get("counted_from") != counted_from:
        counts: Counter[int] = Counter()
        for found in tasks.map(_count_documents, [(out, names) for names in _slices(parts)]):
            counts.update(found)
        common = {run: n for run, n in counts.items() if n > rules.common_documents}
        held = {
            "counted_from": counted_from,
            "runs": {f"{run:016x}": n for run, n in sorted(common.items())},
        }
        storage.atomic_write(place, json.dumps(held, indent=1).encode() + b"\n")
    return scores.with_common(settings, [int(run, 16) for run in held["runs"]])


def write(out: str, settings: Curation, parts: Sequence[Measured], tasks: Tasks) -> None:
    """Write the report, where a recipe names benchmarks; else remove one of earlier."""
    place = storage.join(out, stored.ROOT, NAME)
    rules = scores.asked(settings)
    if rules is None:
        storage.remove(place)
        return
    total = _Total()
    jobs = [(out, names, settings) for names in _slices(parts)]
    for found in tasks.map(_contaminated, jobs):
        total.add(found)
    report = _report(out, rules, settings, total)
    data = json.dumps(report, ensure_ascii=False, indent=1).encode() + b"\n"
    if not storage.exists(place) or storage.read_bytes(place) != data:
        storage.atomic_write(place, data)


def summary(out: str) -> str:
    """Return the report in a sentence; empty where there is none."""
    place = storage.join(out, stored.ROOT, NAME)
    if not storage.exists(place):
        return ""
    report = json.loads(storage.read_bytes(place))
    total = report["total"]
    if not total["samples"]:
        said = "no sample shares text or images with a benchmark"
    else:
        found = sum(each["items_found"] for each in report["benchmarks"].values())
        done = "kept: the recipe asks for a report only"
        if report["rules"]["action"] == "drop":
            done = f"{total['left_out_for_it']} left out for it"
        said = (
            f"{total['samples']} sample{' shares' if total['samples'] == 1 else 's share'} text or "
            f"images with {found} item{'' if found == 1 else 's'} of benchmarks ({done})"
        )
    faults = sum(each["images_unreadable"] for each in report["benchmarks"].values())
    unread = f"; {faults} images of benchmarks cannot be read" if faults else ""
    return f"contamination: {said}{unread}; see curation/{NAME}"


@dataclass(slots=True)
class _Total:
    """What the parts add up to."""

    samples: int = 0
    by_text: int = 0
    by_image: int = 0
    excused: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    by_item: Counter[str] = field(default_factory=Counter)
    best: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, found: _Total) -> None:
        """Add a slice's."""
        self.samples += found.samples
        self.by_text += found.by_text
        self.by_image += found.by_image
        self.excused += found.excused
        self.left_out += found.left_out
        self.outcomes.update(found.outcomes)
        self.by_item.update(found.by_item)
        for item, samples in found.best.items():
            both = self.best.setdefault(item, []) + samples
            both.sort(key=lambda each: (-each["share"], each["key"]))
            self.best[item] = both[:_MOST_SAMPLES]
        if len(self.best) > 2 * _MOST_ITEMS:
            self.best = dict(sorted(self.best.items(), key=_rank)[:_MOST_ITEMS])


def _rank(item: tuple[str, list[dict[str, Any]]]) -> tuple[float, str]:
    return -item[1][0]["share"], item[0]


def _count_documents(job: tuple[str, Sequence[str]]) -> dict[int, int]:
    """Count in how many documents each run is. A document's samples lie in one part."""
    out, names = job
    counts: Counter[int] = Counter()
    for name in names:
        table = measure.read(out, name, ["document", scores.HASHES])
        column = table.column(scores.HASHES).combine_chunks()
        if column.null_count == len(column):
            continue
        documents = table.column("document").combine_chunks().dictionary_encode().indices
        owners = np.asarray(documents)[np.asarray(column.value_parent_indices())]
        pairs = np.unique(
            np.stack([np.asarray(column.flatten()), owners.astype(np.uint64)]), axis=1
        )
        runs, found = np.unique(pairs[0], return_counts=True)
        counts.update(dict(zip(runs.tolist(), found.tolist(), strict=True)))
    return dict(counts)


def _contaminated(job: tuple[str, Sequence[str], Curation]) -> _Total:
    out, names, settings = job
    total = _Total()
    columns = ["key", "document", "category", *scores.ContaminationScorer.columns]
    for name in names:
        measures = measure.read(out, name, columns)
        decisions = stored.read(
            stored.path(out, stored.DECISIONS, name), ["outcome", "reason", "detail"]
        )
        coded = measures.column("category").combine_chunks().dictionary_encode()
        for number, category in enumerate(coded.dictionary.to_pylist()):
            rules = settings.rules_for(category).contamination
            if rules is None:
                continue
            rows = np.flatnonzero(np.asarray(coded.indices) == number)
            _add_rows(total, name, measures, decisions, rows, rules)
    return total


def _add_rows(
    total: _Total,
    part: str,
    measures: pa.Table,
    decisions: pa.Table,
    rows: Any,
    rules: ContaminationRules,
) -> None:
    table = measures.take(pa.array(rows))
    runs, whole = scores.evidence(table, rules)
    by_text = whole | (runs >= rules.min_runs)
    by_image = scores.near_image(table, rules)
    shares = np.asarray(pc.greater(table.column(scores.RUNS), 0))
    total.by_text += int(by_text.sum())
    total.by_image += int(by_image.sum())
    total.excused += int((shares & ~by_text).sum())
    wanted = np.flatnonzero(by_text | by_image)
    total.samples += len(wanted)
    chosen = table.take(pa.array(wanted)).to_pylist()
    fates = decisions.take(pa.array(rows[wanted])).to_pylist()
    for at, row, fate in zip(wanted.tolist(), chosen, fates, strict=True):
        total.outcomes[fate["outcome"]] += 1
        total.left_out += fate["reason"] == str(Reason.CONTAMINATED)
        items = {each["item"]: each for each in row[scores.ITEMS]} if by_text[at] else {}
        pictures = _near(row[scores.IMAGES], rules) if by_image[at] else {}
        for item, sample in _shown(row, fate, part, items, pictures):
            total.by_item[item] += 1
            total.add(_Total(best={item: [sample]}))


def _near(
    images: Sequence[Mapping[str, Any]], rules: ContaminationRules
) -> dict[str, Mapping[str, Any]]:
    """Return by item those images of benchmarks that are near enough, the most alike of each."""
    bits, detail = (np.array([each[name] for each in images]) for name in ("bits", "detail"))
    found: dict[str, Mapping[str, Any]] = {}
    for at in np.flatnonzero(scores.is_near(bits, detail, rules)).tolist():
        found.setdefault(images[at]["item"], images[at])
    return found


def _shown(
    row: Mapping[str, Any],
    fate: Mapping[str, Any],
    part: str,
    items: Mapping[str, Mapping[str, Any]],
    pictures: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in [*items, *(each for each in pictures if each not in items)]:
        found = {
            "key": row["key"],
            "document": row["document"],
            "part": part,
            "category": row["category"],
            "outcome": fate["outcome"],
            "share": 0.0,
            "runs": 0,
        }
        if item in items:
            found |= items[item]
            del found["item"]
            found["share"] = round(found["share"], 4)
        if picture := pictures.get(item):
            found |= {
                "image_bits": picture["bits"],
                "image_detail": round(picture["detail"], 4),
            }
        yield item, found


def _report(
    out: str, rules: ContaminationRules, settings: Curation, total: _Total
) -> dict[str, Any]:
    said = indexes.note(indexes.place(out))
    benchmarks = {}
    for name, counts in sorted(said["benchmarks"].items()):
        found = [item for item in total.by_item if item.startswith(f"{name}/")]
        benchmarks[name] = {
            "items": counts["items"],
            "items_with_text": counts.get("items_with_text", 0),
            "images": counts.get("images", 0),
            "images_unreadable": counts.get("images_unreadable", 0),
            "images_flat": counts.get("images_flat", 0),
            "items_found": len(found),
        }
    common = json.loads(storage.read_bytes(stored.path(out, indexes.STAGE, _COMMON)))["runs"]
    often = sorted(common.items(), key=lambda each: (-each[1], each[0]))[:_MOST_COMMON]
    texts = indexes.readings(rules, {int(run, 16) for run, _ in often})
    return {
        "rules": rules.model_dump(mode="json", exclude={"benchmarks", "common"}),
        "index": {"runs": said["runs"], "faults": said["faults"]},
        "total": {
            "samples": total.samples,
            "by_text": total.by_text,
            "by_image": total.by_image,
            "left_out_for_it": total.left_out,
            "outcomes": dict(sorted(total.outcomes.items())),
            "with_common_runs_only": total.excused,
        },
        "benchmarks": benchmarks,
        "items": [
            {"item": item, "samples": total.by_item[item], "best": best}
            for item, best in sorted(total.best.items(), key=_rank)[:_MOST_ITEMS]
        ],
        "common_in_benchmarks": {"runs": said["common"], "examples": said["common_examples"]},
        "common_in_corpus": {
            "runs": len(common),
            "examples": [
                {"text": texts.get(int(run, 16), run), "documents": count} for run, count in often
            ],
        },
    }


def _slices(parts: Sequence[Measured]) -> list[list[str]]:
    names = [part.name for part in parts]
    return [names[i : i + _PARTS_A_TASK] for i in range(0, len(names), _PARTS_A_TASK)]
