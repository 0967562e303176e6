"""Which use case each conversation is of: samples and a classifier in; the index out.

Two classifiers have this interface: `FastTextClassifier` (offline, trained from the taxonomy) and
`EndpointClassifier` (a model behind an OpenAI-compatible server). Who is not sure enough of a leaf
leaves the conversation unlabelled and says which category above it is sure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from dsvl_data import storage
from dsvl_data.curate.stored import digest
from dsvl_data.outcome import UserError
from dsvl_data.sample import SFT_CATEGORIES, Sample, Text, from_batch
from dsvl_data.shards.plan import PARTS, list_parts, read_part
from dsvl_data.shards.tokens import token_counter
from taxonomy import index
from taxonomy.tree import Taxonomy

#: A label that is more probably right than wrong; see `--threshold`.
THRESHOLD = 0.5
#: Raised whenever the same samples and classifier would give other rows than before.
FORMAT = 1
_ROWS = 512


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is classified: the user's turns, in order, and how many images they are about.

    `images` is None where nobody knows, as in a list of prompts.
    """

    questions: tuple[str, ...]
    images: int | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """A classifier's word on one conversation.

    `path` is a leaf's, None when it is not sure enough; `confidence` (0 to 1) is of the best
    leaf; `nearest` is the path of the deepest category that is sure enough; `reason` says why
    there is no path.
    """

    path: str | None
    confidence: float
    nearest: str | None = None
    reason: str | None = None


class Classifier(Protocol):
    """Gives conversations their labels."""

    def fingerprint(self) -> str:
        """What identifies it: the same on equal input gives the same labels, or nearly so."""
        ...

    def classify(self, conversations: Sequence[Conversation]) -> list[Label]:
        """Return one label for each conversation, in order."""
        ...


@dataclass
class Summary:
    """What was classified. Counts are of conversations; `nearest` is of the unlabelled."""

    conversations: int = 0
    labelled: int = 0
    parts: int = 0
    parts_done_before: int = 0
    leaves: Counter[str] = field(default_factory=Counter)
    nearest: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, most frequent first."""
        return {
            "conversations": self.conversations,
            "labelled": self.labelled,
            "unlabelled": self.conversations - self.labelled,
            "parts": self.parts,
            "parts_done_before": self.parts_done_before,
            "leaves": dict(self.leaves.most_common()),
            "unlabelled_reasons": dict(self.reasons.most_common()),
            "unlabelled_nearest": dict(self.nearest.most_common()),
        }


def conversation(sample: Sample) -> Conversation:
    """Return what is classified of a sample."""
    questions = [s.text for s in sample.segments if isinstance(s, Text) and s.role == "user"]
    return Conversation(tuple(q for q in questions if q.strip()), len(sample.images))


def classify_parts(
    out: str,
    taxonomy: Taxonomy,
    classifier: Classifier,
    *,
    text_only: bool = False,
    tokenizer: str | None = None,
    progress: Callable[[Summary], None] = lambda summary: None,
) -> Summary:
    """Classify the conversations among the parts of `out`, and write the index, part by part.

    A part is left alone when its rows were made from the same part by the same classifier. What a
    reader labelled already keeps its label. Conversations without an image are of no category of
    this taxonomy and stay unlabelled, unless `text_only`. Raises `UserError` when there is none.
    """
    summary = Summary()
    counter = token_counter(tokenizer)
    names = []
    for name in list_parts(out):
        part = read_part(out, name)
        if not _holds_conversations(part.categories):
            continue
        names.append(name)
        made = digest(
            FORMAT, part.fingerprint, classifier.fingerprint(), taxonomy.digest, text_only
        ) + (tokenizer or "")
        if index.note(out, name).get("classified") == made:
            summary.parts_done_before += 1
            _recount(summary, index.read_part(out, name, ["taxonomy"]))
        else:
            batches, sure = [], True
            for samples in _samples(storage.join(out, PARTS, name)):
                labels = _labels(samples, taxonomy, classifier, text_only)
                _count(summary, labels)
                sure &= not any(label.reason in ("budget", "request") for label in labels)
                pairs = [(label.path, label.confidence) for label in labels]
                batches.append(index.rows(samples, pairs, name, counter))
                progress(summary)
            # Where a server or a budget failed, the next call tries again.
            index.write(out, name, batches, {"classified": made if sure else ""})
        summary.parts += 1
        progress(summary)
    if not names:
        raise UserError(
            f"{out} holds no conversations: build a corpus with a pipeline of SFT data first"
        )
    for stale in set(index.names(out)) - set(names):
        storage.remove(index.place(out, stale))
    return summary


def _holds_conversations(categories: Any) -> bool:
    return bool({*categories} & {*SFT_CATEGORIES})


def _samples(path: str) -> Iterator[list[Sample]]:
    with storage.open_input(path) as source:
        for batch in pq.ParquetFile(source).iter_batches(_ROWS):
            samples = [s for s in from_batch(batch) if s.category in SFT_CATEGORIES]
            if samples:
                yield samples


def _labels(
    samples: Sequence[Sample], taxonomy: Taxonomy, classifier: Classifier, text_only: bool
) -> list[Label]:
    labels: list[Label | None] = [None] * len(samples)
    asked: dict[int, Conversation] = {}
    for i, sample in enumerate(samples):
        node = taxonomy.at(sample.taxonomy) if sample.taxonomy else None
        said = conversation(sample)
        if node is not None and node.is_leaf:
            labels[i] = Label(sample.taxonomy, 1.0, sample.taxonomy)
        elif not said.questions:
            labels[i] = Label(None, 0.0, reason="no question")
        elif not said.images and not text_only:
            labels[i] = Label(None, 0.0, reason="no image")
        else:
            asked[i] = said
    for i, label in zip(asked, classifier.classify(list(asked.values())), strict=True):
        labels[i] = label
    return [label for label in labels if label is not None]


def _count(summary: Summary, labels: Sequence[Label]) -> None:
    summary.conversations += len(labels)
    for label in labels:
        if label.path is not None:
            summary.labelled += 1
            summary.leaves[label.path] += 1
        else:
            summary.reasons[label.reason or "unsure"] += 1
            if label.nearest is not None:
                summary.nearest[label.nearest] += 1


def _recount(summary: Summary, rows: pa.Table) -> None:
    paths = rows.column("taxonomy").to_pylist()
    summary.conversations += len(paths)
    found = [path for path in paths if path is not None]
    summary.labelled += len(found)
    summary.leaves.update(found)
    summary.reasons["decided before"] += len(paths) - len(found)
    if not summary.reasons["decided before"]:
        del summary.reasons["decided before"]
