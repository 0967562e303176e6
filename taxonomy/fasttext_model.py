"""The numbers behind the offline classifier: labelled texts in; probabilities of leaves out.

Two models of the same features vote, by the geometric mean of what they say. fastText learns
vectors, in which words that stand in for each other lie close; naive Bayes with inverse document
frequencies needs few examples and is not led astray by frequent words. Neither alone was as good
on prompts held out. Both are kept as plain arrays: no pickle, and prediction is two products of
matrices for any number of texts.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from taxonomy.features import features

Floats = NDArray[np.float32]

#: fastText: chosen by accuracy on prompts held out.
EPOCHS, RATE, DIMENSIONS = 10, 0.5, 32
#: Naive Bayes: what every feature is taken to have been seen, and how sharp its voice is.
_SMOOTHING, _SHARPNESS = 0.015, 10.0
#: fastText's end of a line, part of every text.
_END = "</s>"


def settings() -> list[float]:
    """Return what decides a model besides its texts."""
    return [EPOCHS, RATE, DIMENSIONS, _SMOOTHING, _SHARPNESS]


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model. V features, L leaves, D dimensions.

    `vectors` is V x D, `leaf_vectors` L x D, `evidence` V x L (log probabilities), `rarity` V.
    """

    vocabulary: Mapping[str, int]
    vectors: Floats
    leaf_vectors: Floats
    evidence: Floats
    rarity: Floats

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return for each text the probability of each leaf: N x L, rows sum to 1."""
        counts = self._counts([features(text) for text in texts])
        # A text of unknown words is only its end, as for fastText itself.
        ends = sparse.csr_matrix(
            (
                np.ones(len(texts), np.float32),
                (np.arange(len(texts)), np.full(len(texts), self.vocabulary[_END])),
            ),
            shape=counts.shape,
        )
        whole = counts + ends
        means = sparse.diags(1 / np.asarray(whole.sum(1)).ravel()) @ whole
        by_vectors = _log_softmax((means @ self.vectors) @ self.leaf_vectors.T)
        by_evidence = _log_softmax(_SHARPNESS * (_weighted(counts, self.rarity) @ self.evidence))
        both: Floats = np.exp(_log_softmax((by_vectors + by_evidence) / 2)).astype(np.float32)
        return both

    def knows(self, text: str) -> bool:
        """Whether training had any feature of a text: else its distribution says nothing."""
        return any(feature in self.vocabulary for feature in features(text))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return it as arrays that `numpy.savez` writes; `from_arrays` reads them."""
        words = "\n".join(self.vocabulary).encode()
        return {
            "vocabulary": np.frombuffer(words, np.uint8),
            "vectors": self.vectors,
            "leaf_vectors": self.leaf_vectors,
            "evidence": self.evidence,
            "rarity": self.rarity,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Model:
        """Rebuild a model from its `arrays`."""
        words = arrays["vocabulary"].tobytes().decode().split("\n")
        return cls(
            {word: i for i, word in enumerate(words)},
            arrays["vectors"],
            arrays["leaf_vectors"],
            arrays["evidence"],
            arrays["rarity"],
        )

    def _counts(self, found: Sequence[Sequence[str]]) -> sparse.csr_matrix:
        return _counts(found, self.vocabulary)


def train(texts: Sequence[str], leaves: Sequence[int], number: int) -> Model:
    """Train a model of `number` leaves from texts and their leaves. Equal input, equal model."""
    found = [features(text) for text in texts]
    vectors, leaf_vectors, vocabulary = _fasttext(found, leaves, number)
    counts = _counts(found, vocabulary)
    seen = np.asarray((counts > 0).sum(0)).ravel()
    rarity = (np.log((1 + len(texts)) / (1 + seen)) + 1).astype(np.float32)
    members = sparse.csr_matrix(
        (np.ones(len(texts), np.float32), (np.asarray(leaves), np.arange(len(texts)))),
        shape=(number, len(texts)),
    )
    mass = (members @ _weighted(counts, rarity)).toarray() + _SMOOTHING
    evidence = np.log(mass / mass.sum(1, keepdims=True)).T.astype(np.float32)
    return Model(vocabulary, vectors, leaf_vectors, np.ascontiguousarray(evidence), rarity)


def _fasttext(
    found: Sequence[Sequence[str]], leaves: Sequence[int], number: int
) -> tuple[Floats, Floats, dict[str, int]]:
    import fasttext

    # It prints a warning about its own interface at every load.
    fasttext.FastText.eprint = lambda *_: None
    lines = [f"__label__{leaf} {' '.join(f)}" for f, leaf in zip(found, leaves, strict=True) if f]
    # One leaf after the other would teach the last one best.
    order = np.random.default_rng(0).permutation(len(lines))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.txt"
        file.write_text("\n".join(lines[i] for i in order) + "\n", encoding="utf-8")
        model = fasttext.train_supervised(
            input=str(file),
            epoch=EPOCHS,
            lr=RATE,
            dim=DIMENSIONS,
            wordNgrams=1,
            bucket=0,
            minCount=1,
            seed=1,
            thread=1,  # with more the same texts give another model each time
            verbose=0,
        )
    vocabulary = {word: i for i, word in enumerate(model.get_words())}
    output = model.get_output_matrix()
    leaf_vectors = np.zeros((number, output.shape[1]), np.float32)
    for row, label in enumerate(model.get_labels()):
        leaf_vectors[int(label.removeprefix("__label__"))] = output[row]
    vectors = np.asarray(model.get_input_matrix()[: len(vocabulary)], np.float32)
    return vectors, leaf_vectors, vocabulary


def _counts(found: Sequence[Sequence[str]], vocabulary: Mapping[str, int]) -> sparse.csr_matrix:
    rows, columns, values = [], [], []
    for row, text in enumerate(found):
        for feature, count in Counter(text).items():
            column = vocabulary.get(feature)
            if column is not None:
                rows.append(row)
                columns.append(column)
                values.append(count)
    shape = (len(found), len(vocabulary))
    return sparse.csr_matrix((np.array(values, np.float32), (rows, columns)), shape=shape)


def _weighted(counts: sparse.csr_matrix, rarity: Floats) -> sparse.csr_matrix:
    """Return rows of length 1: logarithms of counts times rarity."""
    weighted = counts.copy()
    weighted.data = 1 + np.log(weighted.data)
    weighted = weighted.multiply(rarity).tocsr()
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)).ravel())
    return sparse.diags(1 / np.maximum(lengths, 1e-9)).astype(np.float32) @ weighted


def _log_softmax(scores: Any) -> Floats:
    shifted = np.asarray(scores) - np.max(scores, axis=1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return result
