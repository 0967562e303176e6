"""What a person sees of a run: live bars on a terminal, plain lines elsewhere, tables at the end.

In: the engine's and the shard builder's events. Out: text on a console. Nothing here decides.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from dsvl_data.curate.mix import HEAD, Mix, rows
from dsvl_data.engine import events
from dsvl_data.engine.ledger import Balance, Share
from dsvl_data.outcome import Outcome
from dsvl_data.shards import build

if TYPE_CHECKING:
    from dsvl_data.curate.accounts import Account
    from dsvl_data.curate.run import Progress as CurationProgress

_SECONDS_BETWEEN_LINES = 10.0


class RunDisplay:
    """Shows a run. Give `on_event` to the engine, the others to curation and shard builder."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._planned: dict[str, events.Planned] = {}
        self._bars: dict[str, TaskID] = {}
        self._live: Progress | None = None
        self._last_line = 0.0

    @contextmanager
    def showing(self) -> Iterator[RunDisplay]:
        """Show while the block runs."""
        if not self._console.is_terminal:
            yield self
            return
        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self._console) as self._live:
            yield self
        self._live = None

    def on_event(self, event: events.Event) -> None:
        """Take note of what the engine tells."""
        match event:
            case events.Planned():
                self._planned[event.name] = event
                if self._live is not None:
                    self._bars[event.name] = self._live.add_task(
                        event.name, total=event.documents, completed=event.documents_done, note=""
                    )
                else:
                    self._console.print(
                        f"{_now()} {event.name}: {event.documents} documents in "
                        f"{event.partitions} partitions, {event.documents_done} done before",
                        highlight=False,
                    )
            case events.Progress():
                self._progress(event)
            case events.Warned():
                self._console.print(f"[yellow]{escape(event.message)}[/]", highlight=False)
            case events.Finished():
                bar = self._bars.get(event.name)
                if self._live is not None and bar is not None:
                    done = event.balance.documents - event.balance.pending
                    note = f"{event.balance.counts.samples} samples"
                    self._live.update(bar, completed=done, note=note)

    def on_curation(self, progress: CurationProgress) -> None:
        """Take note of what curation tells."""
        if self._live is None:
            if progress.done == progress.total:
                self._console.print(
                    f"{_now()} curation: {progress.step}, {progress.total} tasks", highlight=False
                )
            return
        bar = self._bars.get("curation")
        if bar is None:
            bar = self._bars["curation"] = self._live.add_task("curation", total=0, note="")
        self._live.update(bar, total=progress.total, completed=progress.done, note=progress.step)

    def on_shards(self, progress: build.Progress) -> None:
        """Take note of what the shard builder tells."""
        note = f"{progress.shards} shards, {progress.samples} samples"
        if self._live is None:
            if progress.done == progress.groups:
                self._console.print(f"{_now()} shards: {note}", highlight=False)
            return
        bar = self._bars.get("shards")
        if bar is None:
            bar = self._bars["shards"] = self._live.add_task("shards", total=0, note="")
        self._live.update(bar, total=progress.groups, completed=progress.done, note=note)

    def _progress(self, event: events.Progress) -> None:
        rates = f"{event.samples_per_second:.1f} samples/s, {event.images_per_second:.1f} images/s"
        left = "" if event.seconds_left is None else f", {_duration(event.seconds_left)} left"
        if self._live is None:
            if time.monotonic() - self._last_line < _SECONDS_BETWEEN_LINES:
                return
            self._last_line = time.monotonic()
            done = sum(t.documents for t in event.tallies.values())
            waiting = sum(event.documents_left.values())
            self._console.print(
                f"{_now()} {done} of {done + waiting} documents, {rates}{left}, "
                f"{event.workers} workers",
                highlight=False,
            )
            return
        for name, tally in event.tallies.items():
            done = self._planned[name].documents - event.documents_left.get(name, 0)
            note = f"{tally.samples} samples"
            if tally.filtered or tally.quarantined:
                note += f", {tally.filtered} filtered, {tally.quarantined} quarantined"
            if event.documents_left.get(name):
                note += f" | {rates}{left}"
            self._live.update(self._bars[name], completed=done, note=note)


def balance_table(balances: Mapping[str, Balance]) -> Table:
    """One row a pipeline, and one a data set where it reads several: where documents ended."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    columns = ("in", "kept", "filtered", "duplicate", "quarantined", "pending", "samples")
    table.add_column("documents of")
    for column in columns:
        table.add_column(column, justify="right")
    for name, account in _with_datasets(balances):
        form = account.to_json()
        table.add_row(name, *(str(form[column]) for column in columns))
    return table


def reason_table(balances: Mapping[str, Balance]) -> Table | None:
    """One row a reason: documents and items that were not kept; None when there are none."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("not kept of")
    table.add_column("reason")
    table.add_column("documents", justify="right")
    table.add_column("items", justify="right")
    for name, account in _with_datasets(balances):
        documents, items = account.counts.reasons, account.counts.item_reasons
        for reason in sorted({*documents, *items}):
            table.add_row(name, reason, str(documents[reason]), str(items[reason]))
    return table if table.row_count else None


def _with_datasets(balances: Mapping[str, Balance]) -> Iterator[tuple[str, Share]]:
    """Yield each pipeline's account and, where it reads several data sets, theirs."""
    for name, balance in balances.items():
        yield name, balance
        if len(balance.datasets) > 1:
            for dataset, share in balance.datasets.items():
                yield f"  {escape(dataset)}", share


def curation_table(accounts: Mapping[str, Account]) -> Table:
    """One row a pipeline: what curation made of its samples."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("samples of")
    columns = ["in", "kept", "filtered", "duplicate", "pending"]
    if any(a.uses != a.outcomes[Outcome.KEPT.value] or a.missed for a in accounts.values()):
        columns += ["uses", "missed_uses"]  # a mix repeats some, or names some that are left out
    for column in columns:
        table.add_column(column, justify="right")
    for name, account in accounts.items():
        form = account.to_json()
        table.add_row(name, *(str(form[column]) for column in columns))
    return table


def curation_reason_table(accounts: Mapping[str, Account]) -> Table | None:
    """One row a reason: samples that curation left out; None when there are none."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("left out of")
    table.add_column("reason")
    table.add_column("samples", justify="right")
    for name, account in accounts.items():
        for reason, count in sorted(account.reasons.items()):
            table.add_row(name, reason, str(count))
    return table if table.row_count else None


def masked_line(accounts: Mapping[str, Account]) -> str:
    """Say what personal data is masked in the samples kept; empty when there is none."""
    total: Counter[str] = Counter()
    for account in accounts.values():
        total.update(account.masked)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(total.items()))
    return f"masked in the samples kept: {counts}" if counts else ""


def mix_table(mix: Mix) -> Table:
    """One row a category: what there is, what is wanted, what is drawn."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in HEAD:
        table.add_column("mix" if column == "category" else column, justify="right")
    table.columns[0].justify = table.columns[-1].justify = "left"
    for row in rows(mix):
        table.add_row(*row)
    return table


def explain_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """Write a ledger record as indented lines, nested parts below their name."""
    yield from _lines(record, 0)


def _lines(value: Any, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, (Mapping, list)) and inner:
                yield f"{indent}{key}:"
                yield from _lines(inner, depth + 1)
            elif inner not in (None, "", [], {}):
                yield f"{indent}{key}: {inner}"
    elif isinstance(value, list):
        for inner in value:
            first, *rest = _lines(inner, depth + 1) if isinstance(inner, Mapping) else [str(inner)]
            yield f"{indent}- {first.strip()}"
            yield from rest


def _now() -> str:
    return time.strftime("%H:%M:%S")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"
