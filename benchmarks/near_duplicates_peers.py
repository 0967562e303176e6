"""The peers of near_duplicates.py, run by a Python of their own; see there.

In: a path of documents (a JSON list of texts) as the argument; on standard input, line by line,
the name of a contestant. Out: for each a line with the CPU seconds of all threads that it took
and the number of documents, as JSON. Nothing is imported from dsvl-data.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

PERMUTATIONS = 128


def main() -> None:
    texts = json.loads(Path(sys.argv[1]).read_text())
    contestants: dict[str, Callable[[], int]] = {}
    for add in (datasketch_bulk, rensa_matrix, datatrove_signatures, daft_minhash):
        try:
            contestants |= add(texts)
        except ImportError as error:
            print(f"# {add.__name__}: {error}", file=sys.stderr)
    print(json.dumps(list(contestants)), flush=True)
    for line in sys.stdin:
        run = contestants[line.strip()]
        start = time.process_time()
        count = run()
        print(json.dumps([time.process_time() - start, count]), flush=True)


def shingles(text: str) -> list[str]:
    """The plain way in Python to what dsvl-data hashes for texts of words."""
    words = unicodedata.normalize("NFD", text.lower()).split()
    return [" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))]


def datasketch_bulk(texts: list[str]) -> dict[str, Callable[[], int]]:
    import xxhash
    from datasketch import MinHash

    some = texts[:400]
    ready = [[shingle.encode() for shingle in shingles(text)] for text in some]

    def bulk(sets: Any) -> int:
        hashed = MinHash.bulk(sets, num_perm=PERMUTATIONS, hashfunc=xxhash.xxh32_intdigest)
        return len(hashed)

    return {
        "datasketch MinHash.bulk": lambda: bulk(
            [shingle.encode() for shingle in shingles(text)] for text in some
        ),
        "datasketch MinHash.bulk, shingles given": lambda: bulk(ready),
    }


def rensa_matrix(texts: list[str]) -> dict[str, Callable[[], int]]:
    from rensa import RMinHash

    some = texts[:1000]
    ready = [shingles(text) for text in some]

    def matrix(sets: Any) -> int:
        RMinHash.digest_matrix_from_token_sets(sets, PERMUTATIONS, 1)
        return len(some)

    return {
        "rensa digest_matrix": lambda: matrix([shingles(text) for text in some]),
        "rensa digest_matrix, shingles given": lambda: matrix(ready),
    }


def datatrove_signatures(texts: list[str]) -> dict[str, Callable[[], int]]:
    from datatrove.data import Document
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
    from datatrove.utils.logging import logger

    logger.remove()
    logging.disable()
    config = MinhashConfig(n_grams=5, num_buckets=16, hashes_per_bucket=PERMUTATIONS // 16)

    def run(some: list[str]) -> int:
        with tempfile.TemporaryDirectory() as folder:
            documents = (Document(text=text, id=str(i)) for i, text in enumerate(some))
            MinhashDedupSignature(folder, config=config).run(documents)
        return len(some)

    run(texts[:2])  # loads its tokenizer
    return {"datatrove MinhashDedupSignature": lambda: run(texts[:200])}


def daft_minhash(texts: list[str]) -> dict[str, Callable[[], int]]:
    import os

    os.environ["DAFT_PROGRESS_BAR"] = "0"
    import daft
    from daft.functions import minhash, normalize

    raw = daft.from_pydict({"text": texts}).collect()
    ready = daft.from_pydict(
        {"text": [" ".join(unicodedata.normalize("NFD", t.lower()).split()) for t in texts]}
    ).collect()

    def hashed(column: Any) -> Any:
        # Its default hash is the fastest of its hashes here.
        return minhash(column, num_hashes=PERMUTATIONS, ngram_size=5)

    def whole() -> int:
        text = normalize(daft.col("text"), lowercase=True, nfd_unicode=True, white_space=True)
        return len(raw.select(hashed(text)).collect())

    whole()  # starts its runner
    return {
        "Daft normalize + minhash": whole,
        "Daft minhash, normalised text given": lambda: len(
            ready.select(hashed(daft.col("text"))).collect()
        ),
    }


if __name__ == "__main__":
    main()
