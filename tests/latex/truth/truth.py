"""The truth set as tests use it: an article, its PDF, and for each page the words it must have.

In: `NAME/document.pdf` and `NAME/marked.html.xz`. Out: a `Document`, whose article is what the
reader makes of the unmarked HTML, and whose `pages` say which of its words each page shows. A
word that carries no mark (numbers that LaTeXML makes, macros) stands where the word before it
stands; a block without any mark stands where its neighbours stand, if these agree.
"""

from __future__ import annotations

import lzma
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pymupdf

from dsvl_data.latex.article import Article, Block
from dsvl_data.latex.nougat_markdown import read_article
from tests.latex.truth import marks

HERE = Path(__file__).parent
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff\ue000-\uf8ff]+")
_PIECE = re.compile(rf"(?P<page>[{chr(marks.FIRST)}-{chr(marks.LAST)}])|(?P<broken>"
                    rf"{marks.STRADDLES})|(?P<word>{_WORD.pattern})")  # fmt: skip


def words(text: str) -> list[str]:
    """The words of a page's Markdown; a Han character is a word, punctuation is none."""
    return _WORD.findall(text)


@dataclass(frozen=True)
class Word:
    """A word and its page (from 1); `broken` says that it ends on the next one."""

    text: str
    page: int
    broken: bool = False


@dataclass
class Page:
    """The words that a page shows, in the article's order; those that may be on it or not."""

    flow: list[str]
    outside: list[str]  # of floats and footnotes
    doubtful: Counter[str]
    begins_with: str = ""  # a word whose beginning stands on the page before
    ends_with: str = ""

    @property
    def all(self) -> Counter[str]:
        return Counter(self.flow) + Counter(self.outside)


@dataclass(frozen=True)
class Verdict:
    """How a page's text differs from the truth: words too many and words that are missing."""

    leaked: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def exact(self) -> bool:
        return not self.leaked and not self.lost


@dataclass(frozen=True)
class Document:
    name: str
    html: str  # marked

    @cached_property
    def pdf(self) -> bytes:
        return (HERE / self.name / "document.pdf").read_bytes()

    @cached_property
    def page_count(self) -> int:
        with pymupdf.open("pdf", self.pdf) as document:
            return len(document)

    @cached_property
    def marked(self) -> Article:
        return read_article(self.html.encode())

    @cached_property
    def article(self) -> Article:
        """The reader's article, as if nothing had been marked."""
        return read_article(marks.strip(self.html).encode())

    @cached_property
    def pages(self) -> list[Page]:
        pages = [Page([], [], Counter()) for _ in range(self.page_count)]
        flow = list(_place(self.marked.flow))
        for outside, placed in (
            (False, flow),
            *((True, list(_place([b]))) for b in self.marked.floats + self.marked.footnotes),
        ):
            for word in placed:
                if not word.page:
                    for page in pages:
                        page.doubtful[word.text] += 1
                    continue
                page = pages[word.page - 1]
                (page.outside if outside else page.flow).append(word.text)
                if word.broken:
                    page.ends_with = word.text
                    pages[word.page].begins_with = word.text
        return pages

    def judge(self, number: int, text: str) -> Verdict:
        """Compare page `number` (from 1) with what a program says its text is."""
        page = self.pages[number - 1]
        found, truth = Counter(words(text)), page.all
        leaked, lost = found - truth, truth - found
        for doubtful in (leaked, lost):
            for word, count in page.doubtful.items():
                if word in doubtful:
                    doubtful[word] -= count
        # A broken word may stand on both pages, whole or as its halves, or on one of them.
        for broken, fits in ((page.ends_with, str.startswith), (page.begins_with, str.endswith)):
            if broken:
                for word in list(leaked):
                    if fits(broken, word):
                        leaked[word] -= 1
                lost[broken] -= 1
        return Verdict(tuple((+leaked).elements()), tuple((+lost).elements()))


def _place(blocks: Iterable[Block]) -> Iterator[Word]:
    """The words of a run of blocks with their pages."""
    placed: list[list[Word]] = []
    for block in blocks:
        page, broken = 0, False
        found: list[Word] = []
        for match in _PIECE.finditer(block.markdown):
            if match.lastgroup == "page":
                page = ord(match.group()) - marks.FIRST
            elif match.lastgroup == "broken":
                broken = True
            else:
                found.append(Word(match.group(), page, broken))
                broken = False
        first = next((word.page for word in found if word.page), 0)
        placed.append([replace(word, page=word.page or first) for word in found])
    for i, found in enumerate(placed):
        if found and not found[0].page:
            before = next((w[-1].page for w in reversed(placed[:i]) if w and w[-1].page), 0)
            after = next((w[0].page for w in placed[i + 1 :] if w and w[0].page), before)
            where = after if after == before or not before else 0
            found = [replace(word, page=where) for word in found]
            placed[i] = found
        yield from found


def load(name: str) -> Document:
    html = lzma.decompress((HERE / name / "marked.html.xz").read_bytes()).decode()
    return Document(name, html)


def names() -> list[str]:
    """The documents of the set, as far as they have been built."""
    return sorted(path.parent.name for path in HERE.glob("*/marked.html.xz"))
