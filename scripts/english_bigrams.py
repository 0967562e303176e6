"""Derive the table of `dsvl_data/curate/ocr_garbage.py` from the project's own texts.

In: the documents and samples of this repository. Out: for each letter those that never follow it
in an English word, as lines of Python.

    python scripts/english_bigrams.py
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from string import ascii_lowercase

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (
    "README.md",
    "docs/**/*.md",
    "samples/README.md",
    "samples/**/*.txt",
    "samples/**/*.jsonl",
    "samples/ebooks/src/**/*.*html",
    "samples/arxiv_src/*",
)
# Code, tags, commands of LaTeX; and words that are part of a path or a name.
_NO_WORDS = re.compile(r"`[^`]*`|<[^>]*>|\\\w+")
_WORD = re.compile(r"(?<![A-Za-z_./-])[A-Za-z]?[a-z]{2,}(?![A-Za-z_./-])")


def main() -> None:
    texts = [
        path.read_text(encoding="utf-8", errors="ignore")
        for pattern in SOURCES
        for path in sorted(ROOT.glob(pattern))
    ]
    words = [word.lower() for word in _WORD.findall(_NO_WORDS.sub("", "\n".join(texts)))]
    seen = Counter(pair for word in words for pair in pairwise(word))
    print(f"# {len(words)} words, {len(set(words))} different ones")
    for first in ascii_lowercase:
        unseen = "".join(second for second in ascii_lowercase if not seen[first, second])
        print(f'"{first}": "{unseen}",')


if __name__ == "__main__":
    main()
