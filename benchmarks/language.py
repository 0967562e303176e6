"""Language identification: `identify_all` against predicting whole texts, one at a time.

Both use the same model, fastText's lid.176. Ours looks at 400 characters, in passages from all
over what is no code, formula or address, 64 texts in a call; the peer gives the model each text
whole, on one line, as the library's documentation does. One process, one core; every round runs
both in an order drawn anew; medians of CPU time are printed, and in how many documents both say
the same.

The documents are the English and Chinese texts of the real data (HTML and EPUB pages without
their tags), as they are; and, where short cuts save least, cut into pieces of 500 to 20,000
characters, with the mean of web pages (some 3,000).

    python benchmarks/language.py
"""

from __future__ import annotations

import json
import os
import random
import re
import statistics
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

from dsvl_data.language import _model, identify_all

ROUNDS = 5
DOCUMENTS = 2_000
BATCH = 64
LEAST = 200  # characters
TARGET_SPEED, TARGET_AGREEMENT = 2.5, 0.975
_TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    folder = Path(os.environ.get("DSVL_REAL_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        print(f"no real data at {folder}; set DSVL_REAL_DATA to a folder that has it")
        return
    whole_documents = [text.strip() for text in sources(folder) if len(text.strip()) >= LEAST]
    ok = [
        measure("pages and poems as they are", whole_documents),
        measure("pieces of a web page's length", pieces_of(folder)),
    ]
    if not all(ok):
        raise SystemExit("missed")


def measure(name: str, texts: list[str]) -> bool:
    contestants: dict[str, Callable[[list[str]], list[str]]] = {
        "identify_all": ours,
        "whole texts, one at a time": whole,
    }
    for contestant in contestants.values():
        contestant(texts[:BATCH])  # the model is loaded
    seconds: dict[str, list[float]] = {each: [] for each in contestants}
    said: dict[str, list[str]] = {}
    order = random.Random(1)
    for _ in range(ROUNDS):
        for each in order.sample(list(contestants), len(contestants)):
            started = time.process_time()
            said[each] = contestants[each](texts)
            seconds[each].append(time.process_time() - started)
    characters = sum(map(len, texts))
    print(
        f"{name}: {len(texts):,} documents, {characters / len(texts):,.0f} characters on average; "
        f"medians of {ROUNDS} rounds, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    speed = {each: len(texts) / statistics.median(times) for each, times in seconds.items()}
    for contestant_name, rate in speed.items():
        print(f"  {contestant_name:28} {rate:8,.0f} documents a CPU second")
    first, second = contestants
    agreed = sum(a == b for a, b in zip(said[first], said[second], strict=True)) / len(texts)
    ratio = speed[first] / speed[second]
    print(f"  {ratio:.2f} times as fast (wanted: {TARGET_SPEED})")
    print(f"  {agreed:.2%} agree (wanted: {TARGET_AGREEMENT:.1%})")
    differing = Counter(
        (b, a) for a, b in zip(said[first], said[second], strict=True) if a != b
    ).most_common(5)
    for (theirs, mine), count in differing:
        print(f"    {count:4} {theirs} of the whole text, {mine} of passages")
    return ratio >= TARGET_SPEED and agreed >= TARGET_AGREEMENT


def ours(texts: list[str]) -> list[str]:
    found = []
    for start in range(0, len(texts), BATCH):
        found += [language.code for language in identify_all(texts[start : start + BATCH])]
    return found


def whole(texts: list[str]) -> list[str]:
    model: Any = _model()
    found = []
    for text in texts:
        labels, _ = model.predict([text.replace("\n", " ")], k=1)
        found.append(labels[0][0].removeprefix("__label__").partition("-")[0])
    return found


def pieces_of(folder: Path) -> list[str]:
    """Cut the folder's texts into pieces, the same ones in each run."""
    draw = random.Random(0)
    pieces = []
    for text in sources(folder):
        position = 0
        while position < len(text):
            size = min(20_000, int(500 + draw.expovariate(1 / 2500)))
            if len(piece := text[position : position + size].strip()) >= LEAST:
                pieces.append(piece)
            position += size
    draw.shuffle(pieces)
    return pieces[:DOCUMENTS]


def sources(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        suffix = path.suffix.lower()
        if suffix == ".txt":
            yield path.read_text(encoding="utf-8", errors="replace")
        elif suffix in (".html", ".htm"):
            yield plain(path.read_text(encoding="utf-8", errors="replace"))
        elif suffix == ".epub":
            with zipfile.ZipFile(path) as book:
                for name in sorted(book.namelist()):
                    if name.endswith(("html", "htm")):
                        yield plain(book.read(name).decode("utf-8", "replace"))
        elif suffix == ".json" and path.parent.name == "chinese_poetry":
            for poem in json.loads(path.read_text(encoding="utf-8")):
                yield "\n".join(poem.get("para") or poem.get("paragraphs") or ())


def plain(markup: str) -> str:
    return re.sub(r"\s*\n\s*", "\n", unescape(_TAGS.sub(" ", markup)))


if __name__ == "__main__":
    main()
