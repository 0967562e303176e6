"""Finding the document to blame, and sparing its neighbours.

In: something that converts documents into a segment and may be ended by one of them (`Runner`).
Out: segments that hold every document of a partition, the guilty ones with their reason.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Protocol

from dsvl_data.engine import ledger
from dsvl_data.engine.convert import Ended, Failure
from dsvl_data.engine.ledger import Entry
from dsvl_data.engine.partition import Plan
from dsvl_data.engine.parts import PartWriter, Segment

#: Tries alone before a document is blamed for what may have come from outside.
ATTEMPTS = 2


class Runner(Protocol):
    """Converts documents of one job; a worker process, or this very process."""

    def convert(self, plan: Plan, partition: int, positions: Sequence[int], to: Segment) -> Ended:
        """Convert these documents into a segment; it is whole when `Ended.done` is not 0."""


def convert_isolated(
    runner: Runner,
    plan: Plan,
    partition: int,
    positions: Sequence[int],
    scratch: str,
    warn: Callable[[str], None],
) -> list[Segment]:
    """Convert documents of a partition, whatever they do; return segments in document order.

    All go in one segment while all is well. When the runner fails, the documents up to and
    including the suspects go one by one, a segment each; one is blamed only after it failed
    alone. Then the rest go together again.
    """
    segments: list[Segment] = []
    remaining = deque(positions)
    alone_until = -1
    attempts: Counter[int] = Counter()
    number = 0
    while remaining:
        chunk = [remaining[0]] if remaining[0] <= alone_until else list(remaining)
        segment = Segment.at(scratch, f"{plan.job.name}-{partition:05d}-{number:05d}")
        number += 1
        ended = runner.convert(plan, partition, chunk, segment)
        if ended.done:
            segments.append(segment)
            for _ in range(ended.done):
                remaining.popleft()
        else:
            segment.remove()
        failure = ended.failure
        if failure is None:
            continue
        if len(chunk) > 1:
            warn(f"{plan.job.name}, partition {partition}: {failure.reason}; looking for the cause")
            alone_until = max(failure.suspects, default=chunk[-1])
            continue
        (position,) = chunk
        attempts[position] += 1
        if failure.certain or attempts[position] >= ATTEMPTS:
            segments.append(_blame(plan, partition, position, failure, segment))
            remaining.popleft()
    return segments


def _blame(
    plan: Plan, partition: int, position: int, failure: Failure, segment: Segment
) -> Segment:
    ref = plan.refs(partition)[position]
    entry = Entry.failed(ref, position, failure.reason, failure.detail, failure.seconds)
    PartWriter(segment.samples).close()
    ledger.write(ledger.table([entry], partition), segment.ledger)
    return segment
