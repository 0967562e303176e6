"""From probabilities of leaves to a label: a distribution and a taxonomy in; `Label`s out.

A category's probability is the sum of its leaves'. The choice goes down the tree: the likeliest
main category, in it the likeliest secondary one, in that the likeliest leaf; so a guess that is
wrong about the leaf is often right above it. How sure a level is, is calibrated: of labels
with confidence 0.7, about seven in ten are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taxonomy.classify import Conversation, Label
from taxonomy.tree import Node, Taxonomy

Floats = NDArray[np.float32]

#: How many times likelier a question about several images is of a leaf that needs several, and a
#: question about one image of a leaf that needs one.
_IMAGES_ODDS = 8.0
_NEWTON_STEPS = 50


@dataclass(frozen=True, slots=True)
class Choice:
    """A way down the tree: ids from main category to leaf, with the probability of each."""

    path: tuple[str, ...]
    probabilities: tuple[float, ...]

    def level(self, which: str) -> tuple[str, float]:
        """Return the path as text down to a level (`main`, `secondary`, `leaf`), and how sure."""
        depth = {"main": 1, "secondary": min(2, len(self.path)), "leaf": len(self.path)}[which]
        return "/".join(self.path[:depth]), self.probabilities[depth - 1]


LEVELS = ("main", "secondary", "leaf")


@dataclass(frozen=True)
class Tree:
    """A taxonomy with its leaves as columns of a matrix."""

    taxonomy: Taxonomy

    @cached_property
    def leaves(self) -> tuple[Node, ...]:
        """The leaves, in the order of the columns."""
        return self.taxonomy.leaves()

    @cached_property
    def column(self) -> dict[str, int]:
        """Column of each leaf's id."""
        return {leaf.id: i for i, leaf in enumerate(self.leaves)}

    @cached_property
    def _below(self) -> dict[str, NDArray[np.int64]]:
        return {
            node.id: np.array([self.column[n.id] for n in node.walk() if n.is_leaf])
            for node in self.taxonomy.nodes()
        }

    def choose(self, probabilities: Floats) -> list[Choice]:
        """Go down the tree for each row of an N x L matrix."""
        mass = {name: probabilities[:, columns].sum(1) for name, columns in self._below.items()}
        found = []
        for row in range(len(probabilities)):
            path: list[str] = []
            sure: list[float] = []
            nodes: Sequence[Node] = self.taxonomy.main
            while nodes:
                best = max(nodes, key=lambda node: float(mass[node.id][row]))
                path.append(best.id)
                sure.append(min(1.0, float(mass[best.id][row])))
                nodes = best.children
            found.append(Choice(tuple(path), tuple(sure)))
        return found

    def heed_images(self, probabilities: Floats, conversations: Sequence[Conversation]) -> Floats:
        """Weigh leaves by whether they need as many images as a conversation has."""
        several = np.array(["several" in leaf.images for leaf in self.leaves])
        weights = np.ones_like(probabilities)
        for row, said in enumerate(conversations):
            if said.images is not None and said.images > 1:
                weights[row, several] = _IMAGES_ODDS
            elif said.images == 1:
                weights[row, ~several] = _IMAGES_ODDS
        weighted = probabilities * weights
        result: Floats = weighted / weighted.sum(1, keepdims=True)
        return result


@dataclass(frozen=True, slots=True)
class Calibration:
    """How often a choice is right, by level: a logistic curve of the logit of its probability."""

    slopes: tuple[float, ...]
    offsets: tuple[float, ...]

    def confidence(self, level: str, probability: float) -> float:
        """Return the chance that a choice is right on a level."""
        i = LEVELS.index(level)
        score = self.slopes[i] * float(_logit(np.array(probability))) + self.offsets[i]
        return float(1 / (1 + np.exp(-score)))

    def label(self, choice: Choice, threshold: float) -> Label:
        """Make a label: a leaf where sure enough of it, else the nearest category above."""
        said = {level: choice.level(level) for level in LEVELS}
        # Nobody can be surer of a part than of the whole.
        sure = {level: self.confidence(level, said[level][1]) for level in LEVELS}
        sure["secondary"] = min(sure["main"], sure["secondary"])
        sure["leaf"] = min(sure["secondary"], sure["leaf"])
        nearest = [said[level][0] for level in LEVELS if sure[level] >= threshold]
        labelled = sure["leaf"] >= threshold
        return Label(
            path=said["leaf"][0] if labelled else None,
            confidence=sure["leaf"],
            nearest=nearest[-1] if nearest else None,
            reason=None if labelled else "unsure",
        )


def calibrate(choices: Sequence[Choice], truths: Sequence[tuple[str, ...]]) -> Calibration:
    """Fit the curves on choices for texts that training had not seen, and their true paths."""
    slopes, offsets = [], []
    for level in LEVELS:
        probabilities, right = [], []
        for choice, truth in zip(choices, truths, strict=True):
            path, probability = choice.level(level)
            probabilities.append(probability)
            right.append("/".join(truth[: path.count("/") + 1]) == path)
        slope, offset = _logistic(np.array(probabilities), np.array(right))
        slopes.append(slope)
        offsets.append(offset)
    return Calibration(tuple(slopes), tuple(offsets))


def _logistic(probabilities: Any, right: NDArray[np.bool_]) -> tuple[float, float]:
    """Fit P(right) = sigmoid(a logit(p) + b) by Newton's method, drawn a little to a=1, b=0."""
    inputs = np.stack([_logit(probabilities), np.ones(len(probabilities))], 1)
    prior = np.array([1.0, 0.0])

    def loss(at: NDArray[np.float64]) -> float:
        scores = inputs @ at
        surprise = np.logaddexp(0, np.where(right, -scores, scores)).sum()
        return float(surprise + ((at - prior) ** 2).sum() / 2)

    found = prior
    for _ in range(_NEWTON_STEPS):
        expected = 1 / (1 + np.exp(-(inputs @ found)))
        gradient = inputs.T @ (expected - right) + (found - prior)
        curvature = (inputs * (expected * (1 - expected))[:, None]).T @ inputs + np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        # Far from the minimum a whole step overshoots.
        while np.abs(step).max() > 1e-9 and loss(found - step) > loss(found):
            step = step / 2
        found = found - step
        if np.abs(step).max() < 1e-6:
            break
    return float(found[0]), float(found[1])


def _logit(probabilities: Any) -> NDArray[np.float64]:
    clipped = np.clip(np.asarray(probabilities, np.float64), 1e-4, 1 - 1e-4)
    result: NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return result
