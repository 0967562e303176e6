"""Does curation balance: parts, decisions and manifest in; every sample's end, counted, out.

    in = kept + filtered + duplicate + pending        for each pipeline, in samples

`in` is what the footers of the parts say, the rest what stands in the decisions, and the samples
kept, each as often as a mix uses it, are those that the manifest has, when the shards are built.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsvl_data import storage
from dsvl_data.curate import stored
from dsvl_data.curate.chosen import chosen
from dsvl_data.curate.decide import rules_digest
from dsvl_data.curate.settings import Curation
from dsvl_data.outcome import Outcome
from dsvl_data.shards.manifest import NAME as MANIFEST
from dsvl_data.shards.manifest import read_manifest
from dsvl_data.shards.plan import PARTS, list_parts

SETTINGS = "settings.json"


@dataclass(slots=True)
class Account:
    """One pipeline's samples by outcome and reason; `problems` says where it does not balance.

    `uses` counts the samples kept as often as they are used, `missed` how many of the uses that a
    mix asks for are not, since curation leaves their conversations out; `masked` by kind the
    personal data that the samples kept had.
    """

    samples: int = 0
    pending: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    uses: int = 0
    missed: int = 0
    text_tokens: int = 0
    masked: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the form that `status --json` prints."""
        return {
            "in": self.samples,
            "kept": self.outcomes[Outcome.KEPT.value],
            "filtered": self.outcomes[Outcome.FILTERED.value],
            "duplicate": self.outcomes[Outcome.DUPLICATE.value],
            "pending": self.pending,
            "uses": self.uses,
            "missed_uses": self.missed,
            "kept_text_tokens": self.text_tokens,
            "reasons": dict(sorted(self.reasons.items())),
            "masked": dict(sorted(self.masked.items())),
        }


def is_curated(out: str) -> bool:
    """Whether the output's recipe asked for curation."""
    return storage.exists(storage.join(out, stored.ROOT, SETTINGS))


def read_settings(out: str) -> Curation:
    """Return the rules of an output's recipe; `CurationError` when it has none."""
    path = storage.join(out, stored.ROOT, SETTINGS)
    try:
        return Curation.model_validate(json.loads(storage.read_bytes(path))["settings"])
    except (OSError, ValueError, KeyError) as error:
        raise stored.CurationError(
            f"{path} cannot be read: {error}; run `dsvl-data corpus build` again"
        ) from error


def accounts(out: str, *, with_shards: bool = True) -> dict[str, Account]:
    """Return the account of every pipeline; streams over footers and decisions.

    `with_shards` compares the shards too, which are cut only after the decisions. Pending is what
    was not decided, or by other rules than the recipe's: a build was cut short.
    """
    settings = read_settings(out)
    mix = chosen(out, settings)
    rules = rules_digest(settings, mix)
    found: dict[str, Account] = {}
    named = 0
    for name in list_parts(out):
        named += _add(out, name, rules, found.setdefault(name.partition("/")[0], Account()))
    for account in found.values():
        known = sum(
            account.outcomes[outcome.value]
            for outcome in (Outcome.KEPT, Outcome.FILTERED, Outcome.DUPLICATE)
        )
        if known + account.pending != account.samples:
            account.problems.append(
                f"in {account.samples} is not kept + filtered + duplicate {known} + pending "
                f"{account.pending}"
            )
    pending = any(account.pending for account in found.values())
    if mix is not None and found and not pending and named != (listed := mix.count()):
        next(iter(found.values())).problems.append(
            f"{mix.place} names {listed} conversations, and {named} of them are here: it was made "
            "of other parts; run `dsvl-data taxonomy classify` and `balance` again, then build"
        )
    if with_shards and found and not pending and storage.exists(storage.join(out, MANIFEST)):
        uses = sum(account.uses for account in found.values())
        held = read_manifest(out).total.samples
        if held != uses:
            next(iter(found.values())).problems.append(
                f"{uses} samples are kept in all, {held} are in the shards: these were cut from "
                "other decisions; run `dsvl-data corpus build` again"
            )
    return found


def _add(out: str, name: str, rules: str, account: Account) -> int:
    """Add a part to an account; returns how many of its conversations the mix names."""
    path = storage.join(out, PARTS, name)
    try:
        with storage.open_input(path) as source:
            samples = pq.read_metadata(source).num_rows
    except (OSError, pa.ArrowException) as error:
        account.problems.append(f"{name}: its part cannot be read: {error}")
        return 0
    account.samples += samples
    place = stored.path(out, stored.DECISIONS, name)
    note = stored.note(place)
    if note.get("rules") != rules:
        account.pending += samples
        return 0
    account.masked.update(note["masked"])
    table = stored.read(place, ["outcome", "reason", "times", "text_tokens"])
    if table.num_rows != samples:
        account.problems.append(f"{name}: {samples} samples, {table.num_rows} decisions")
    for column, tally in (("outcome", account.outcomes), ("reason", account.reasons)):
        for item in pc.value_counts(table.column(column)).to_pylist():
            if item["values"] is not None:
                tally[item["values"]] += item["counts"]
    kept = table.filter(pc.equal(table.column("outcome"), Outcome.KEPT.value))
    account.text_tokens += pc.sum(kept.column("text_tokens")).as_py() or 0
    account.uses += pc.sum(kept.column("times")).as_py() or 0
    named: dict[str, int] = note["named"]
    account.missed += named.get("uses", 0) - named.get("served", 0)
    return named.get("conversations", 0)
