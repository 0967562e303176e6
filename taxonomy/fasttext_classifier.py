"""The default classifier: a taxonomy in; labels out, offline, trained in seconds on a CPU.

It learns from the taxonomy's own words: prompts, keywords, names and definitions of the leaves.
What it knows of its own errors it learns from prompts that it leaves out in turn. The trained
model is kept on disk under the digest of the taxonomy.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dsvl_data import storage
from taxonomy import fasttext_model
from taxonomy.accuracy import Accuracy, Example, measure
from taxonomy.classify import THRESHOLD, Conversation, Label
from taxonomy.decide import Calibration, Choice, Floats, Tree, calibrate
from taxonomy.fasttext_model import Model
from taxonomy.tree import Taxonomy

#: Raised whenever the same taxonomy would give another model than before.
FORMAT = 2
#: Each prompt is left out once, by a model trained without its fold.
FOLDS = 4
#: Of a long conversation, this many questions are read.
_QUESTIONS = 8


@dataclass(frozen=True)
class FastTextClassifier:
    """A trained classifier; `held_out` is its accuracy on prompts left out in training."""

    taxonomy: Taxonomy
    model: Model
    calibration: Calibration
    held_out: Accuracy
    threshold: float = THRESHOLD

    def fingerprint(self) -> str:
        """What identifies it."""
        return f"fasttext-{FORMAT}-{self.taxonomy.digest}-{self.threshold}"

    def classify(self, conversations: Sequence[Conversation]) -> list[Label]:
        """Return one label for each conversation, in order."""
        # A conversation is of what it begins with; later turns count where that is unsure.
        flat = [
            (i, Conversation((question,), said.images))
            for i, said in enumerate(conversations)
            for question in said.questions[:_QUESTIONS]
            if self.model.knows(question)
        ]
        labels = [Label(None, 0.0, reason="no known word") for _ in conversations]
        choices = self.choose([said for _, said in flat])
        for (i, _), choice in zip(flat, choices, strict=True):
            found = self.calibration.label(choice, self.threshold)
            if labels[i].path is None and found.confidence > labels[i].confidence:
                labels[i] = found
        return labels

    def choose(self, conversations: Sequence[Conversation]) -> list[Choice]:
        """Return each conversation's likeliest way down the tree, however unsure."""
        return _choose(Tree(self.taxonomy), self.model, conversations)


def load_or_train(
    taxonomy: Taxonomy, cache: Path | None = None, threshold: float = THRESHOLD
) -> FastTextClassifier:
    """Return the classifier of a taxonomy, trained now unless it is in the cache.

    The cache is `DSVL_CACHE`, else the user's cache folder. A file there that cannot be read is
    made anew.
    """
    folder = cache or cache_folder()
    path = folder / f"taxonomy-{FORMAT}-{_settings()}-{taxonomy.digest}.npz"
    try:
        return _read(path, taxonomy, threshold)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, TypeError):
        made = train(taxonomy, threshold)
    buffer = io.BytesIO()
    note = {"calibration": asdict(made.calibration), "held_out": made.held_out.to_json()}
    said = np.frombuffer(json.dumps(note).encode(), np.uint8)
    np.savez_compressed(buffer, note=said, **made.model.arrays())  # type: ignore[arg-type]
    storage.atomic_write(str(path), buffer.getvalue())
    return made


def cache_folder() -> Path:
    """Where trained models are kept on this machine."""
    named = os.environ.get("DSVL_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dsvl-data"


def train(taxonomy: Taxonomy, threshold: float = THRESHOLD) -> FastTextClassifier:
    """Train a classifier from a taxonomy, and measure it on prompts left out in turn."""
    tree = Tree(taxonomy)
    words: list[tuple[str, int]] = []  # of keywords, names, definitions: always trained on
    prompts: list[tuple[str, int, str]] = []
    for column, leaf in enumerate(tree.leaves):
        for texts in (leaf.name, leaf.definition):
            words += [(text, column) for text in texts.values()]
        for listed in leaf.keywords.values():
            words += [(text, column) for text in listed]
        for language, listed in leaf.prompts.items():
            prompts += [(text, column, language) for text in listed]
    choices: dict[int, Choice] = {}
    for fold in range(FOLDS):
        # Every prompt's neighbours in its list are in other folds.
        left_out = [i for i in range(len(prompts)) if i % FOLDS == fold]
        kept = [prompts[i][:2] for i in range(len(prompts)) if i % FOLDS != fold]
        model = _train(words + kept, len(tree.leaves))
        said = [Conversation((prompts[i][0],)) for i in left_out]
        choices.update(zip(left_out, _choose(tree, model, said), strict=True))
    truths = [taxonomy.path(tree.leaves[column].id) for _, column, _ in prompts]
    ordered = [choices[i] for i in range(len(prompts))]
    calibration = calibrate(ordered, truths)
    examples = [Example(text, taxonomy.path(tree.leaves[c].id), lang) for text, c, lang in prompts]
    labels = [calibration.label(choice, threshold) for choice in ordered]
    return FastTextClassifier(
        taxonomy=taxonomy,
        model=_train(words + [p[:2] for p in prompts], len(tree.leaves)),
        calibration=calibration,
        held_out=measure(examples, [choice.path for choice in ordered], labels),
        threshold=threshold,
    )


def _train(examples: Sequence[tuple[str, int]], leaves: int) -> Model:
    texts, columns = zip(*examples, strict=True)
    return fasttext_model.train(texts, columns, leaves)


def _choose(tree: Tree, model: Model, conversations: Sequence[Conversation]) -> list[Choice]:
    if not conversations:
        return []
    # An empty text has the distribution of no evidence.
    questions = [said.questions[:_QUESTIONS] or ("",) for said in conversations]
    flat = model.probabilities([text for texts in questions for text in texts])
    ends = np.cumsum([len(texts) for texts in questions])
    means: Floats = np.stack(
        [flat[end - len(texts) : end].mean(0) for texts, end in zip(questions, ends, strict=True)]
    )
    return tree.choose(tree.heed_images(means, conversations))


def _settings() -> str:
    """What decides a model besides the taxonomy."""
    said = json.dumps([fasttext_model.settings(), FOLDS])
    return hashlib.blake2b(said.encode(), digest_size=4).hexdigest()


def _read(path: Path, taxonomy: Taxonomy, threshold: float) -> FastTextClassifier:
    with np.load(path, allow_pickle=False) as arrays:
        note = json.loads(arrays["note"].tobytes())
        model = Model.from_arrays(arrays)
    slopes, offsets = note["calibration"]["slopes"], note["calibration"]["offsets"]
    return FastTextClassifier(
        taxonomy=taxonomy,
        model=model,
        calibration=Calibration(tuple(slopes), tuple(offsets)),
        held_out=Accuracy.from_json(note["held_out"]),
        threshold=threshold,
    )
