"""When two samples are the same, exactly: samples in, hashes of text and images out.

Which of several is kept is settled in `elect.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from dsvl_data.curate.normalise import normalise
from dsvl_data.curate.rule import Criterion, Scorer
from dsvl_data.curate.settings import Curation, ExactKind
from dsvl_data.sample import Image, Sample

TEXT_HASH, IMAGE_HASH = "text_hash", "image_hash"
#: Bytes of a hash: among 10^10 samples two that differ meet with a chance of 10^-19.
HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class Hashes:
    """The scorer: XXH3 with 128 bits of the normalised text, and of all images in their order.

    None for a sample that has no text, or no images.
    """

    name: ClassVar[str] = "exact"
    version: ClassVar[str] = "1"
    columns: ClassVar[Mapping[str, pa.DataType]] = {
        TEXT_HASH: pa.binary(HASH_BYTES),
        IMAGE_HASH: pa.binary(HASH_BYTES),
    }
    gpus: ClassVar[float] = 0

    def score(self, samples: Sequence[Sample]) -> Mapping[str, Sequence[Any]]:
        """Hash each sample."""
        return {
            TEXT_HASH: [_hash_text(sample.text) for sample in samples],
            IMAGE_HASH: [_hash_images(sample.images) for sample in samples],
        }


def groups(measures: pa.Table, kind: ExactKind) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Say who is the same as whom: samples with one number (128 bits, two words) are.

    Returns an array of shape (rows, 2), and for each row whether it is in any group at all.
    """
    text, has_text = _words(measures, TEXT_HASH)
    image, has_image = _words(measures, IMAGE_HASH)
    if kind == "text":
        return text, has_text
    if kind == "image":
        return image, has_image
    # Zeros stand for what is not there. The multiplication keeps the two apart: a text hash is
    # never taken for an image's.
    mixed = text * np.uint64(0x9E3779B97F4A7C15) + image
    return mixed, has_text | has_image


def _words(measures: pa.Table, column: str) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    values = measures.column(column).combine_chunks()
    there = np.asarray(values.is_valid())
    data = values.fill_null(bytes(HASH_BYTES))
    words = np.frombuffer(data.buffers()[1], np.uint64)
    start = data.offset * 2
    return words[start : start + 2 * len(data)].reshape(-1, 2), there


def _hash_text(text: str) -> bytes | None:
    normal = normalise(text)
    return xxhash.xxh3_128_digest(normal.encode()) if normal else None


def _hash_images(images: Sequence[Image]) -> bytes | None:
    if not images:
        return None
    state = xxhash.xxh3_128()
    for image in images:
        state.update(xxhash.xxh3_128_digest(image.data))
    return state.digest()


def _scorer(settings: Curation) -> Scorer | None:
    duplicates = settings.duplicates
    return Hashes() if duplicates and (duplicates.exact or duplicates.near_image) else None


CRITERION = Criterion(_scorer, rules=lambda _: ())
