"""What became of a corpus: its documents, its samples, its mix.

In: the output folder of a build. Out: a `Status`, which says whether all is well and turns into
JSON for programs, and into tables and sentences on a console for people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape

from dsvl_data import display, storage
from dsvl_data.curate.accounts import Account, accounts, is_curated
from dsvl_data.curate.mix import Mix, sentences
from dsvl_data.engine.ledger import Balance, balances
from dsvl_data.engine.preflight import absolute
from dsvl_data.shards import manifest


@dataclass(frozen=True, slots=True)
class Status:
    """The accounts of a corpus: of documents, and of samples where a recipe has them curated."""

    out: str
    documents: dict[str, Balance]
    samples: dict[str, Account]

    @property
    def problems(self) -> list[str]:
        """What does not balance."""
        return [
            f"{name}: {problem}" for name, account in self._each() for problem in account.problems
        ]

    @property
    def is_done(self) -> bool:
        """Whether every account balances and nothing is pending."""
        return not any(account.problems or account.pending for _, account in self._each())

    @property
    def samples_are_done(self) -> bool:
        """Whether that holds of what curation is to do, which may be nothing."""
        return not any(account.problems or account.pending for account in self.samples.values())

    def mix(self) -> Mix | None:
        """Read the mix of a corpus whose shards are built and whose recipe asks for one."""
        path = storage.join(self.out, manifest.NAME)
        return manifest.read_manifest(self.out).mix if storage.exists(path) else None

    def to_json(self) -> dict[str, Any]:
        """Return what `corpus status --json` prints."""
        form = {"pipelines": {name: account.to_json() for name, account in self.documents.items()}}
        if self.samples:
            form["curation"] = {name: account.to_json() for name, account in self.samples.items()}
        if mix := self.mix():
            form["mix"] = mix.model_dump(mode="json")
        return form

    def _each(self) -> Iterator[tuple[str, Balance | Account]]:
        yield from self.documents.items()
        yield from self.samples.items()


def read_status(out: str) -> Status:
    """Read the accounts of an output folder."""
    out = absolute(out)
    return Status(out, balances(out), accounts(out) if is_curated(out) else {})


def show(status: Status, console: Console, errors: Console) -> None:
    """Print the accounts, and what curation found out about the corpus as a whole."""
    _show_accounts(status, console)
    show_problems(status, errors)
    if is_curated(status.out):
        from dsvl_data.curate.contamination_report import summary  # takes a second to import

        if said := summary(status.out):
            console.print(escape(said), highlight=False, soft_wrap=True)
    if mix := status.mix():
        console.print(display.mix_table(mix))
        console.print(sentences(mix), highlight=False, soft_wrap=True)


def show_problems(status: Status, errors: Console) -> None:
    """Print what does not balance."""
    for problem in status.problems:
        errors.print(f"[red]does not balance:[/] {escape(problem)}", highlight=False)


def _show_accounts(status: Status, console: Console) -> None:
    tables = [display.balance_table(status.documents), display.reason_table(status.documents)]
    if status.samples:
        tables.append(display.curation_table(status.samples))
        tables.append(display.curation_reason_table(status.samples))
    for table in tables:
        if table is not None:
            console.print(table)
    if status.samples and (masked := display.masked_line(status.samples)):
        console.print(masked, highlight=False, soft_wrap=True)
