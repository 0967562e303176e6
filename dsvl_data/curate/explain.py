"""Why a sample is in the corpus, or not: its key in; scores, thresholds, duplicates out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsvl_data.curate import contamination, elect, image_rules, measure, stored
from dsvl_data.curate.accounts import read_settings
from dsvl_data.curate.criteria import rules
from dsvl_data.curate.measure import BASE
from dsvl_data.outcome import Outcome
from dsvl_data.shards.plan import list_parts

_STANDS_FOR = 20  # keys of duplicates that are named
#: What says nothing to a reader, or stands elsewhere in what is said of a sample.
_UNSHOWN = {*BASE.names, contamination.HASHES, image_rules.TRAITS_OF} - {"images", "licence"}


def add_curation(out: str, records: Sequence[dict[str, Any]]) -> None:
    """Add to the ledger's records of documents, for each of their samples, what `explain` says."""
    for record in records:
        samples = {sample["key"]: sample for sample in record.get("samples", ())}
        if samples:
            part = f"{record['pipeline']}/part-{record['partition']:05d}.parquet"
            for key, known in explain(out, part, samples.keys()).items():
                samples[key]["curation"] = known


def explain(out: str, part: str, keys: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return what curation knows of samples of one part (`ebooks/part-00000.parquet`), by key.

    Each record has `outcome`, `reason`, `detail`; `times`, how often it stands in the shards; `of`,
    who represents a duplicate, and `represented_by` where that one lost in its turn; `represents`,
    the duplicates that it stands for; `measures`; and `rules`, each with its score, value and
    threshold and whether it passes.
    """
    if not stored.note(stored.path(out, stored.DECISIONS, part)):
        return {}
    settings = read_settings(out)
    decisions = stored.read(stored.path(out, stored.DECISIONS, part))
    positions = np.flatnonzero(pc.is_in(decisions.column("key"), pa.array(list(keys), pa.string())))
    found = {}
    for row in positions.tolist():
        decision = decisions.slice(row, 1).to_pylist()[0]
        measures = measure.read(out, part).slice(row, 1)
        record = {name: decision[name] for name in ("outcome", "reason", "detail", "of", "times")}
        record["represented_by"] = _last(out, decision["of"])
        record["represents"] = {
            str(elect.REASONS[kind]): {"samples": len(others), "keys": others[:_STANDS_FOR]}
            for kind, others in elect.members(out, decision["key"])
        }
        record["measures"] = {
            name: _hexadecimal(value) if name == image_rules.HASHES else _plain(value)
            for name, value in measures.to_pylist()[0].items()
            if name not in _UNSHOWN
        }
        record["rules"] = [
            {
                "score": rule.column,
                "value": _plain(measures.column(rule.column)[0].as_py()),
                "threshold": rule.threshold,
                "passes": bool(rule.passes(measures)[0]),
                "reason": str(rule.reason),
            }
            for rule in rules(settings, decision["category"])
        ]
        found[decision["key"]] = record
    return found


def _last(out: str, key: str | None) -> str | None:
    """Return who represents a representative that lost in its turn; None when it did not."""
    first, seen = key, {key}
    while key is not None:
        loser = _find(out, key)
        if loser is None or loser["outcome"] != Outcome.DUPLICATE.value or loser["of"] in seen:
            break
        key = loser["of"]
        seen.add(key)
    return key if key != first else None


def _find(out: str, key: str) -> Mapping[str, Any] | None:
    for part in list_parts(out):
        place = stored.path(out, stored.DECISIONS, part)
        if stored.note(place):
            table = stored.read(place, ["key", "outcome", "of"])
            mine = table.filter(pc.equal(table.column("key"), key))
            if mine.num_rows:
                row: Mapping[str, Any] = mine.to_pylist()[0]
                return row
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.hex() if isinstance(value, bytes) else value


def _hexadecimal(hashes: Sequence[int | None] | None) -> list[str | None]:
    """Hashes as one compares them by eye; JSON's numbers end at 53 bits."""
    return [None if each is None else f"{each:016x}" for each in hashes or ()]
