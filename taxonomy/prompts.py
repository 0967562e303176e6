"""Prompts for images: a folder or shards of images in; JSON lines to be answered out.

Each image gets prompts of different leaves, such as suit its kind, so that all prompts together are
as even over the leaves as the images allow (`even_spread.py`). Within a leaf its prompts take turns
in each language, and languages take turns in each leaf. A line is

    {"id": "..", "image": "name", "source": "folder or shard", "prompt": "..", "language": "en",
     "taxonomy": "main/../leaf"}

Annotators or a model add `"answer"`; the SFT reader `taxonomy_answers` reads the lines back, its
image places being the folder or the shards. The same images, taxonomy and seed give the same lines.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, UserError
from dsvl_data.read.members import tar_members
from dsvl_data.read.streams import Span, read_span
from taxonomy.even_spread import Group, spread
from taxonomy.image_kinds import kinds_of
from taxonomy.tree import Node, Taxonomy

_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
_MOST_BYTES = 100_000_000


@dataclass(frozen=True)
class Picture:
    """An image by its name in its source, with the kinds it may be of."""

    name: str
    source: str
    kinds: frozenset[str]


@dataclass(frozen=True)
class Prompt:
    """One line of the output."""

    picture: Picture
    text: str
    language: str
    taxonomy: str

    def to_json(self) -> dict[str, str]:
        """Return what is written for annotators."""
        said = f"{self.picture.name}\0{self.taxonomy}\0{self.language}\0{self.text}"
        return {
            "id": hashlib.blake2b(said.encode("utf-8", "replace"), digest_size=10).hexdigest(),
            "image": self.picture.name,
            "source": self.picture.source,
            "prompt": self.text,
            "language": self.language,
            "taxonomy": self.taxonomy,
        }


@dataclass(frozen=True)
class Unusable:
    """An image that cannot be read, and why."""

    name: str
    detail: str


def find_pictures(
    path: str, known: Mapping[str, frozenset[str]] | None = None
) -> Iterator[Picture | Unusable]:
    """Yield the images of a folder, or of the shards (tars) that a file, folder or glob names.

    Kinds are those `known` by name, else measured. Raises `UserError` where there is no image.
    """
    known = known or {}
    count = 0
    for name, source, span in _spans(path):
        count += 1
        try:
            kinds = known.get(name) or kinds_of(read_span(span, _MOST_BYTES))
        except DocumentError as error:
            yield Unusable(name, str(error))
        else:
            yield Picture(name, source, kinds)
    if not count:
        raise UserError(f"{path}: no image ({', '.join(_PICTURES)}) in a folder or tar there")


def choose(
    pictures: Sequence[Picture],
    taxonomy: Taxonomy,
    *,
    each: int = 3,
    languages: Sequence[str] = ("en", "zh"),
    seed: int = 0,
) -> list[Prompt]:
    """Choose prompts for images, in the order of the images; none for one that no leaf suits.

    Raises `UserError` for a language that the taxonomy has no prompts in.
    """
    for language in languages:
        if language not in taxonomy.languages:
            raise UserError(
                f"no prompts in {language!r}: the taxonomy has {', '.join(taxonomy.languages)}"
            )
    leaves = [leaf for leaf in taxonomy.leaves() if "one" in leaf.images]
    alike: dict[frozenset[str], list[Picture]] = defaultdict(list)
    for picture in pictures:
        alike[picture.kinds].append(picture)
    groups = {kinds: alike[kinds] for kinds in sorted(alike, key=sorted)}
    suits = {kinds: _suiting(kinds, leaves) for kinds in groups}
    found = spread([Group(len(groups[k]), suits[k]) for k in groups], each, len(leaves))
    texts = {leaf.id: _texts(leaf, languages, seed) for leaf in leaves}
    chosen: dict[tuple[str, str], list[Prompt]] = {}
    for (kinds, members), counts in zip(groups.items(), found, strict=True):
        order = sorted(members, key=lambda p: _draw(seed, p.source, p.name))
        # A leaf has at most as many slots as there are images: one after the other, dealt in turn,
        # they never meet the same image twice.
        slots = [leaf for leaf in suits[kinds] for _ in range(counts[leaf])]
        for position, number in enumerate(slots):
            picture = order[position % len(order)]
            leaf = leaves[number]
            language, text = next(texts[leaf.id])
            path = taxonomy.text_path(leaf.id)
            at = (picture.source, picture.name)
            chosen.setdefault(at, []).append(Prompt(picture, text, language, path))
    return [prompt for p in pictures for prompt in chosen.get((p.source, p.name), ())]


def write(prompts: Sequence[Prompt], path: Path) -> None:
    """Write JSON lines, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    lines = (json.dumps(prompt.to_json(), ensure_ascii=False) + "\n" for prompt in prompts)
    temporary.write_text("".join(lines), encoding="utf-8")
    temporary.replace(path)


def per_leaf(prompts: Sequence[Prompt], taxonomy: Taxonomy) -> dict[str, Counter[str]]:
    """Count prompts by leaf and language; a leaf without any is there too."""
    counts: dict[str, Counter[str]] = {
        taxonomy.text_path(leaf.id): Counter() for leaf in taxonomy.leaves()
    }
    for prompt in prompts:
        counts[prompt.taxonomy][prompt.language] += 1
    return counts


def _suiting(kinds: frozenset[str], leaves: Sequence[Node]) -> tuple[int, ...]:
    return tuple(n for n, leaf in enumerate(leaves) if kinds & set(leaf.images))


def _texts(leaf: Node, languages: Sequence[str], seed: int) -> Iterator[tuple[str, str]]:
    """Yield a leaf's prompts without end: languages by turns, every prompt before any again."""
    first = _draw(seed, leaf.id) % len(languages)
    turns = [
        itertools.cycle(sorted(leaf.prompts[language], key=lambda t: _draw(seed, leaf.id, t)))
        for language in languages
    ]
    for position in itertools.count(first):
        number = position % len(languages)
        yield languages[number], next(turns[number])


def _draw(seed: int, *names: str) -> int:
    said = "\0".join((str(seed), *names)).encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big")


def _spans(path: str) -> Iterator[tuple[str, str, Span]]:
    """Yield the name of each image, what it lies in, and where its bytes are."""
    for file in storage.find_files(path):
        lower = file.relative.lower()
        if file.link:
            continue
        if lower.endswith(".tar"):
            try:
                for name, offset, size in tar_members(file.path):
                    if name.lower().endswith(_PICTURES):
                        yield name, file.path, Span(file.path, offset, size)
            except tarfile.TarError as error:
                raise UserError(f"{file.path}: no sound tar: {error}") from None
        elif lower.endswith(_PICTURES):
            root = path if storage.kind_of(path) == "folder" else file.path.rpartition("/")[0]
            yield file.relative, root, Span(file.path, 0, file.size)
