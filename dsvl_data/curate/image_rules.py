"""Images as columns and rules: samples in; sizes, scores and fingerprints of each image out.

A column holds a list for each sample, an item an image in its order, null for an image that does
not decode; so one decode of an image serves its scores, its hash and its traits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dsvl_data.curate import image_scores
from dsvl_data.curate.image_hash import TRAITS, fingerprint, reduced
from dsvl_data.curate.rule import Bound, Criterion, Rule, Scorer
from dsvl_data.curate.settings import CategoryRules, Curation
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.sample import Image, Sample

HASHES, TRAITS_OF = "image_hashes", "image_traits"
BROKEN, SIDES, RATIOS = "broken_images", "image_side", "image_ratio"

_SCORED = {name: f"image_{name}" for name in image_scores.IMAGE_SCORES}


@dataclass(frozen=True, slots=True)
class ImageScorer:
    """The scorer. The shorter side in pixels and the ratio are as its header says."""

    name: ClassVar[str] = "images"
    version: ClassVar[str] = "1"
    columns: ClassVar[Mapping[str, pa.DataType]] = {
        BROKEN: pa.int32(),
        SIDES: pa.list_(pa.int32()),
        RATIOS: pa.list_(pa.float32()),
        **dict.fromkeys(_SCORED.values(), pa.list_(pa.float32())),
        HASHES: pa.list_(pa.uint64()),
        TRAITS_OF: pa.list_(pa.binary(TRAITS)),
    }
    gpus: ClassVar[float] = 0

    def score(self, samples: Sequence[Sample]) -> Mapping[str, Sequence[Any]]:
        """See `Scorer`."""
        found = [[_look(image) for image in sample.images] for sample in samples]
        columns: dict[str, Sequence[Any]] = {
            column: [[look.get(column) for look in looks] for looks in found]
            for column in self.columns
        }
        columns[BROKEN] = [sum(not look for look in looks) for looks in found]
        return columns


def _look(image: Image) -> Mapping[str, Any]:
    """Everything that is measured of one image; nothing of one that does not decode."""
    try:
        picture = reduced(image.data)
    except DocumentError:
        return {}
    shorter, longer = sorted((image.width, image.height))
    found: dict[str, Any] = {SIDES: shorter, RATIOS: longer / max(1, shorter)}
    found |= {_SCORED[name]: value for name, value in image_scores.score(picture).items()}
    known = fingerprint(picture)
    if known is not None:
        found |= {HASHES: known.hash, TRAITS_OF: known.traits}
    return found


@dataclass(frozen=True, slots=True)
class OfImages:
    """A bound for the images of a sample, one by one: all of them may not fail, or none."""

    bound: Bound
    several: str

    @property
    def column(self) -> str:
        """See `Rule`."""
        return self.bound.column

    @property
    def reason(self) -> Reason:
        """See `Rule`."""
        return self.bound.reason

    @property
    def threshold(self) -> str:
        """See `Rule`."""
        whose = "in one image or more" if self.several == "all" else "in every image"
        return f"{self.bound.threshold} {whose}"

    def passes(self, measures: pa.Table) -> NDArray[np.bool_]:
        """See `Rule`. Images that nobody could score are not judged."""
        lists = measures.column(self.column).combine_chunks()
        values = pa.table({self.column: pc.list_flatten(lists)})
        judged = np.asarray(values.column(0).is_valid())
        owners = np.asarray(pc.list_parent_indices(lists))[judged]
        passing = self.bound.passes(values)[judged]
        of = np.bincount(owners, minlength=measures.num_rows)
        failing = np.bincount(owners[~passing], minlength=measures.num_rows)
        limit = of if self.several == "all" else 1
        found: NDArray[np.bool_] = (failing < limit) | (failing == 0)
        return found


def _scorer(settings: Curation) -> Scorer | None:
    wanted = any(rules.images for rules in settings.every_rules())
    near = settings.duplicates and settings.duplicates.near_image
    return ImageScorer() if wanted or near else None


def _rules(rules: CategoryRules) -> Iterator[Rule]:
    images = rules.images
    if images is None:
        return
    yield Bound(BROKEN, Reason.BROKEN_IMAGE, maximum=0)
    for bound in (
        Bound(SIDES, Reason.IMAGE_TOO_SMALL, images.min_side),
        Bound(RATIOS, Reason.IMAGE_RATIO, maximum=images.max_ratio),
        Bound("image_ink", Reason.BLANK_IMAGE, images.min_ink),
        Bound("image_entropy", Reason.PLAIN_IMAGE, images.min_entropy),
        Bound("image_colours", Reason.FEW_COLOURS, images.min_colours),
        Bound("image_sharpness", Reason.BLURRED_IMAGE, images.min_sharpness),
    ):
        if bound.minimum is not None or bound.maximum is not None:
            yield OfImages(bound, images.several)


CRITERION = Criterion(_scorer, _rules)
