"""The peers of loader.py, run by a Python of their own; see there.

In: a folder with `shards/*.tar` as the argument; on standard input, line by line, the name of a
contestant. Out: for each a line with CPU seconds and samples, as JSON. Nothing is imported from
dsvl-data. Each peer reads its own form of the same payloads, whole samples, nothing decoded.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def main() -> None:
    folder = Path(sys.argv[1])
    logging.disable()
    # What libraries print would get between the lines of JSON.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    contestants: dict[str, Callable[[], int]] = {}
    for add in (litdata_streaming, mosaicml_streaming):
        try:
            contestants |= add(folder)
        except ImportError as error:
            print(f"# {add.__name__}: {error}", file=sys.stderr)
    print(json.dumps(list(contestants)), file=answers, flush=True)
    for line in sys.stdin:
        start = time.process_time()
        count = contestants[line.strip()]()
        print(json.dumps([time.process_time() - start, count]), file=answers, flush=True)


def samples(folder: Path) -> Iterator[dict[str, bytes]]:
    for path in sorted(folder.glob("shards/*.tar")):
        key, sample = "", dict[str, bytes]()
        with tarfile.open(path) as tar:
            for member in tar:
                stem, _, name = member.name.partition(".")
                file = tar.extractfile(member)
                assert file is not None
                if stem != key and sample:
                    yield sample
                    sample = {}
                key = stem
                sample["json" if name == "json" else "image"] = file.read()
        yield sample


def litdata_streaming(folder: Path) -> dict[str, Callable[[], int]]:
    from litdata import StreamingDataset
    from litdata.streaming.cache import Cache

    out = folder / "litdata"
    if not out.exists():
        cache = Cache(str(out), chunk_bytes="64MB")
        for number, sample in enumerate(samples(folder)):
            cache[number] = sample
        cache.done()
        cache.merge()
    return {
        "litdata": lambda: _all(StreamingDataset(str(out), shuffle=False)),
        "litdata, shuffled": lambda: _all(StreamingDataset(str(out), shuffle=True)),
    }


def mosaicml_streaming(folder: Path) -> dict[str, Callable[[], int]]:
    from streaming import MDSWriter, StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    out = folder / "mds"
    if not out.exists():
        first = next(samples(folder))
        with MDSWriter(out=str(out), columns=dict.fromkeys(first, "bytes")) as writer:
            for sample in samples(folder):
                writer.write(sample)

    def read(shuffle: bool) -> int:
        clean_stale_shared_memory()
        return _all(StreamingDataset(local=str(out), shuffle=shuffle, batch_size=64))

    return {
        "mosaicml-streaming": lambda: read(False),
        "mosaicml-streaming, shuffled": lambda: read(True),
    }


def _all(dataset: Any) -> int:
    """Counts samples; looks at one byte of every 4 KiB, as loader.py does of ours."""
    count = 0
    for sample in dataset:
        for data in sample.values():
            bytes(data[::4096])
        count += 1
    return count


if __name__ == "__main__":
    main()
