"""What models of one's own say of texts: a fastText classifier's quality, a KenLM's perplexity.

In: two folders' texts, good and bad, and out a classifier with its held-out precision and recall;
or texts and a model, and out a number a text.

Both models see a text in one form (`tokens_of_line`): its prose (`prose.py`) in lower case,
digits as 0, words parted by spaces, characters of scripts without spaces one by one. Whoever
trains a KenLM model feeds `lmplz` with `model_lines` of texts, a line each.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from dsvl_data import storage
from dsvl_data.curate.prose import Prose, line_tokens, read_prose
from dsvl_data.outcome import UserError

GOOD, BAD = "__label__good", "__label__bad"
#: Documents of each folder below which precision and recall would mean nothing.
FEWEST_DOCUMENTS = 10
#: fastText reads no more of a line.
_MOST_TOKENS = 1000
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a classifier is trained; the defaults are fit for thousands of documents.

    `buckets` times `dimensions` times 4 bytes is the size of the model.
    """

    held_out: float = 0.1
    epochs: int = 25
    learning_rate: float = 0.5
    dimensions: int = 32
    ngrams: int = 2
    buckets: int = 200_000
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """What was trained on, and how the model did on documents that it had not seen.

    Counts are of texts. `precision` and `recall` are of `good`, at a score of 0.5; `left_out` are
    texts that stand twice, stand on both sides, or have no prose.
    """

    good: int
    bad: int
    held_out_good: int
    held_out_bad: int
    left_out: int
    precision: float
    recall: float
    bad_precision: float
    bad_recall: float


def tokens_of_line(line: str) -> list[str]:
    """Return a line's words as the models see them."""
    return [_DIGIT.sub("0", token.lower()) for token in line_tokens(line)]


def model_lines(text: str) -> list[str]:
    """Return the lines of a text's prose as the models see them."""
    return _model_lines(read_prose(text))


def train(
    good: Iterable[tuple[str, str]],
    bad: Iterable[tuple[str, str]],
    out: str,
    settings: Settings | None = None,
) -> Report:
    """Train a classifier and write it to `out`, with the report beside it (`out` + `.json`).

    Texts come with the id of their document; a tenth of the documents of each side, chosen by
    their ids, is held out. Raises `UserError` when a side has too few documents. The same texts
    give the same model.
    """
    chosen = settings or Settings()
    sides, left_out = _sides({GOOD: good, BAD: bad})
    trained, held_out = {}, {}
    for label, documents in sides.items():
        if len(documents) < FEWEST_DOCUMENTS:
            raise UserError(
                f"{len(documents)} different documents with prose are {label[9:]}: at least "
                f"{FEWEST_DOCUMENTS} are needed, and thousands to be of use"
            )
        order = sorted(documents, key=lambda name: _hash(f"{chosen.seed}:{name}"))
        count = max(2, round(chosen.held_out * len(order)))
        held_out[label] = [text for name in order[:count] for text in documents[name]]
        trained[label] = [text for name in order[count:] for text in documents[name]]
    with tempfile.TemporaryDirectory() as folder:
        model = _fit(trained, Path(folder), chosen)
        said = {label: _shares(model, texts, GOOD) for label, texts in held_out.items()}
        report = _report(trained, said, left_out)
        file = Path(folder) / "model.bin"
        model.save_model(str(file))
        storage.atomic_write(out, file.read_bytes())
    note = {"report": asdict(report), "settings": asdict(chosen)}
    storage.atomic_write(f"{out}.json", json.dumps(note, indent=2).encode())
    return report


@dataclass(frozen=True, slots=True)
class Classifier:
    """A fastText model of two labels, as `train` makes it; `label` is the good one's."""

    path: str
    label: str = GOOD

    def score(self, proses: Sequence[Prose]) -> list[float | None]:
        """Return for each text how good it is, 0 to 1; None where there is no prose."""
        texts = [_one_line(_model_lines(prose)) for prose in proses]
        model = _classifier(self.path)
        names = model.get_labels()
        if len(names) != 2 or self.label not in names:
            raise UserError(
                f"{self.path} must have two labels, {self.label} and another, and has "
                f"{', '.join(names[:5])}: name the good one, or train a model with "
                "`dsvl-data corpus train-quality`"
            )
        shares = iter(_shares(model, [text for text in texts if text], self.label))
        return [next(shares) if text else None for text in texts]


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A KenLM model, ARPA or binary."""

    path: str

    def perplexity(self, prose: Prose) -> float | None:
        """Return the perplexity a word (ends of lines are words); None where there is no prose."""
        model = _kenlm(self.path)
        lines = _model_lines(prose)
        words = sum(line.count(" ") + 2 for line in lines)
        if not words:
            return None
        logarithm = sum(model.score(line, bos=True, eos=True) for line in lines)
        return float(10 ** min(-logarithm / words, 300.0))


def digest(path: str) -> str:
    """Return what identifies a model's bytes. Raises `UserError` when it is not there."""
    try:
        return _digest(path, storage.size(path), storage.modified(path))
    except OSError as error:
        raise UserError(f"the model {path} cannot be read: {error}") from error


def check_kenlm() -> None:
    """Raise `UserError` where the package that reads KenLM models is not installed."""
    try:
        import kenlm  # noqa: F401
    except ImportError:
        raise UserError(
            "a perplexity is asked for, and the package kenlm is not installed: `pip install "
            "kenlm` (it is compiled on installation: needs cmake and a C++ compiler), on every "
            "machine that measures"
        ) from None


@lru_cache(maxsize=8)
def _digest(path: str, size: int, modified: int) -> str:
    found = hashlib.blake2b(digest_size=16)
    with storage.open_input(path) as source:
        while block := source.read(8 << 20):
            found.update(block)
    return found.hexdigest()


@lru_cache(maxsize=2)
def _classifier(path: str) -> Any:
    with _local(path) as file:
        try:
            return _fasttext().load_model(str(file))
        except ValueError as error:
            raise UserError(f"{path} is no fastText model: {error}") from error


@lru_cache(maxsize=2)
def _kenlm(path: str) -> Any:
    check_kenlm()
    import kenlm

    with _local(path) as file:
        try:
            return kenlm.Model(str(file))
        except OSError as error:
            raise UserError(f"{path} is no KenLM model: {error}") from error


@contextmanager
def _local(path: str) -> Iterator[Path]:
    """A model as a local file, which both libraries ask for."""
    if storage.is_local(path):
        if not Path(path).is_file():
            raise UserError(f"there is no model {path}")
        yield Path(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model"
        file.write_bytes(storage.read_bytes(path))
        yield file


def _fasttext() -> Any:
    import fasttext

    # It prints a warning about its own interface at every load.
    fasttext.FastText.eprint = lambda *_: None
    return fasttext


def _model_lines(prose: Prose) -> list[str]:
    lines = (" ".join(tokens_of_line(line.text)) for line in prose.lines)
    return [line for line in lines if line]


def _one_line(lines: Sequence[str]) -> str:
    # What begins like a label would be one.
    text = " ".join(lines).replace("__label__", "label")
    return " ".join(text.split()[:_MOST_TOKENS])


def _sides(
    sides: Mapping[str, Iterable[tuple[str, str]]],
) -> tuple[dict[str, dict[str, list[str]]], int]:
    """Return the texts of each side by document, each text once; and how many were left out.

    A text that stands on both sides says nothing, and one that stands twice may be held out and
    trained on.
    """
    found: dict[str, dict[str, list[str]]] = {}
    holders: dict[bytes, set[str]] = {}
    left_out = 0
    for label, texts in sides.items():
        documents = found.setdefault(label, {})
        for document, text in texts:
            line = _one_line(model_lines(text))
            holder = holders.setdefault(_hash(line), set())
            if not line or label in holder:
                left_out += 1
                continue
            holder.add(label)
            documents.setdefault(document, []).append(line)
    for label, documents in found.items():
        kept = {
            document: [line for line in lines if len(holders[_hash(line)]) == 1]
            for document, lines in documents.items()
        }
        left_out += sum(len(lines) - len(kept[name]) for name, lines in documents.items())
        found[label] = {document: lines for document, lines in kept.items() if lines}
    return found, left_out


def _fit(trained: Mapping[str, Sequence[str]], folder: Path, settings: Settings) -> Any:
    lines = [f"{label} {text}" for label, texts in trained.items() for text in texts]
    # One side after the other would teach the last one best.
    lines.sort(key=_hash)
    (folder / "train.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")
    return _fasttext().train_supervised(
        input=str(folder / "train.txt"),
        epoch=settings.epochs,
        lr=settings.learning_rate,
        dim=settings.dimensions,
        wordNgrams=settings.ngrams,
        bucket=settings.buckets,
        minCount=1,
        seed=settings.seed,
        thread=1,  # with more the same texts give another model each time
        verbose=0,
    )


def _shares(model: Any, texts: Sequence[str], label: str) -> list[float]:
    if not texts:
        return []
    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    # Always a list: with a single string fastText 0.9 fails under numpy 2. And always one label:
    # of a list it gives the first label's probability to all of them.
    labels, firsts = model.predict(clean, k=1)
    found = []
    for (name,), (first,) in zip(labels, firsts, strict=True):
        share = min(1.0, float(first))
        found.append(share if name == label else 1 - share)
    return found


def _report(
    trained: Mapping[str, Sequence[str]], said: Mapping[str, Sequence[float]], left_out: int
) -> Report:
    kept = sum(share >= 0.5 for share in said[GOOD])
    let_in = sum(share >= 0.5 for share in said[BAD])
    missed, caught = len(said[GOOD]) - kept, len(said[BAD]) - let_in
    return Report(
        good=len(trained[GOOD]),
        bad=len(trained[BAD]),
        held_out_good=len(said[GOOD]),
        held_out_bad=len(said[BAD]),
        left_out=left_out,
        precision=_ratio(kept, kept + let_in),
        recall=_ratio(kept, kept + missed),
        bad_precision=_ratio(caught, caught + missed),
        bad_recall=_ratio(caught, caught + let_in),
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
