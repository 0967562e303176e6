"""MinHash signatures of texts, bit for bit those of datasketch, some tens of times as fast.

In: texts. Out: a matrix with one row a text, as `datasketch.MinHash` (2.x) with the same seed,
number of permutations, scheme and token hash gives for `normalise.shingles(text)`. Only the way
from bytes to signatures is our own (`minhash_kernel.py`); the permutations are read from
datasketch's objects. MinHash: Broder, "On the resemblance and containment of documents" (1997).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal, assert_never

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsvl_data.curate import minhash_kernel as kernel
from dsvl_data.curate.normalise import normalise, tables

Signatures = NDArray[Any]  # uint32 or uint64


@dataclass(frozen=True, slots=True)
class MinHashParameters:
    """What makes two signatures comparable.

    `ngram` tokens make a shingle (see `normalise.py` for what is a token). The schemes are
    datasketch 2's: `affine32` (its default; 32-bit values), `affine64` (64-bit values, for sets
    of 100 million shingles and more) and `legacy` (what datasketch 1 made, 32-bit values held in
    64). `shingle_hash` is XXH32 or, for `affine64` only, XXH64, both with seed 0.
    """

    permutations: int = 128
    ngram: int = 5
    seed: int = 1
    scheme: Literal["affine32", "affine64", "legacy"] = "affine32"
    shingle_hash: Literal["xxh32", "xxh64"] = "xxh32"

    def __post_init__(self) -> None:
        if self.permutations < 2 or self.ngram < 1:
            raise ValueError("permutations must be at least 2, ngram at least 1")
        if self.shingle_hash == "xxh64" and self.scheme != "affine64":
            raise ValueError(f"xxh64 has 64 bits: scheme {self.scheme} takes xxh32 only")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a signature's values."""
        return np.dtype(np.uint32 if self.scheme == "affine32" else np.uint64)

    @property
    def empty(self) -> int:
        """The value all over the signature of a text without a token."""
        return (1 << 64) - 1 if self.scheme == "affine64" else (1 << 32) - 1


def signatures(
    texts: Sequence[str] | pa.Array, parameters: MinHashParameters, threads: int = 1
) -> Signatures:
    """Return the signatures of texts, of shape (texts, permutations) and `parameters.dtype`.

    `texts` may be an Arrow array, which is not copied if it is of large strings; null counts as
    empty. A text without a token gets `parameters.empty` all over. Memory beyond the result: the
    bytes of the texts twice, and for each thread seven times the longest text. Threads share the
    texts; more of them cost no more CPU time, but in a Ray worker one is right.
    """
    rows = np.full((len(texts), parameters.permutations), parameters.empty, parameters.dtype)
    data, offsets = _bytes_of(texts)
    left = np.zeros(len(texts), np.bool_)
    # Equal bytes for each, not equal texts.
    total = int(offsets[-1] - offsets[0])
    marks = [offsets[0] + total * i // threads for i in range(1, threads)]
    cuts = [0, *np.searchsorted(offsets[:-1], marks).tolist(), len(texts)]
    spans = [(low, high) for low, high in pairwise(cuts) if high > low]

    def work(span: tuple[int, int]) -> None:
        low, high = span
        _fill(data, offsets[low : high + 1], parameters, rows[low:high], left[low:high])

    if len(spans) > 1:
        with ThreadPoolExecutor(len(spans)) as pool:
            list(pool.map(work, spans))
    else:
        for span in spans:
            work(span)

    again = np.flatnonzero(left)
    if len(again):
        _fill_by_python([str(texts[int(i)]) for i in again], again, parameters, rows)
    return rows


def similarity(one: Signatures, other: Signatures) -> NDArray[np.float64]:
    """Estimate the Jaccard similarity of rows of signatures: the share of equal values."""
    equal: NDArray[np.float64] = (one == other).mean(axis=-1)
    return equal


def _fill_by_python(
    texts: list[str], numbers: NDArray[np.intp], parameters: MinHashParameters, rows: Signatures
) -> None:
    """Normalise in Python what has to be; the kernel then finds nothing to change."""
    data, offsets = _bytes_of([normalise(text) for text in texts])
    part = np.full((len(texts), parameters.permutations), parameters.empty, parameters.dtype)
    left = np.zeros(len(texts), np.bool_)
    _fill(data, offsets, parameters, part, left)
    if left.any():
        raise AssertionError("the kernel leaves a normal form to Python")
    rows[numbers] = part


def _fill(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    parameters: MinHashParameters,
    rows: Signatures,
    left: NDArray[np.bool_],
) -> None:
    forms = tables()
    longest = int(np.diff(offsets).max())
    normal = np.empty(longest * forms.growth + kernel.PADDING, np.uint8)
    # A word takes two bytes with its space, a character that stands alone two or more.
    starts = np.empty(longest // 2 + 3, np.int32)
    a, b = _permutations(parameters)
    arguments: tuple[Any, ...] = (
        *(data, offsets, _ascii_entries(), forms.pages, forms.entries, forms.spellings),
        *(normal, starts, parameters.ngram, a, b, rows, left),
    )
    match parameters.scheme:
        case "affine32":
            kernel.signatures32(*arguments)
        case "affine64":
            kernel.signatures64(*(*arguments, False, parameters.shingle_hash == "xxh64"))
        case "legacy":
            kernel.signatures64(*(*arguments, True, False))
        case _:
            assert_never(parameters.scheme)


@lru_cache(maxsize=8)
def _permutations(parameters: MinHashParameters) -> tuple[Signatures, Signatures]:
    from datasketch import MinHash  # imports much of scipy

    a, b = MinHash(
        num_perm=parameters.permutations, seed=parameters.seed, scheme=parameters.scheme
    ).permutations
    return (
        np.ascontiguousarray(a, parameters.dtype),
        np.ascontiguousarray(b, parameters.dtype),
    )


@lru_cache(maxsize=1)
def _ascii_entries() -> NDArray[np.uint8]:
    """For each ASCII character what it becomes, and the highest bit for white space."""
    return np.array(
        [0x80 | 0x20 if chr(c).isspace() else ord(chr(c).lower()) for c in range(128)], np.uint8
    )


def _bytes_of(texts: Sequence[str] | pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the UTF-8 bytes of texts, and where each begins, with the end of the last."""
    if not isinstance(texts, pa.Array):
        # By hand: `pa.array` would import pandas.
        try:
            encoded = [text.encode() for text in texts]
        except UnicodeEncodeError:  # lone surrogates
            encoded = [text.encode("utf-8", "replace") for text in texts]
        ends = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(text) for text in encoded], out=ends[1:])
        return np.frombuffer(b"".join(encoded) or b"\0", np.uint8), ends
    if not pa.types.is_large_string(texts.type):
        texts = texts.cast(pa.large_string())
    if texts.null_count:
        texts = texts.fill_null("")
    buffers = texts.buffers()
    window = slice(texts.offset, texts.offset + len(texts) + 1)
    offsets = np.frombuffer(buffers[1], np.int64)[window] if len(texts) else np.zeros(1, np.int64)
    return np.frombuffer(buffers[2] or b"\0", np.uint8), offsets
