"""The truth set as tests use it: an article, its PDF, and for each page the words it must have.

In: `NAME/document.pdf` and `NAME/html.xz`. Out: a `Document`, whose `article` is what the reader
makes of LaTeXML's HTML, and whose `pages` say which of its words each page shows. A
word that carries no mark (a number that LaTeXML makes, a citation) stands where its neighbours
stand, and on either page if these differ; so does a block without any mark.
"""

from __future__ import annotations

import lzma
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

import pymupdf

from dsvl_data.latex.article import Article, Block
from dsvl_data.latex.nougat_markdown import read_article
from tests.latex.truth import marks

HERE = Path(__file__).parent
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff\ue000-\uf8ff]+")
_FORMULA = re.compile(r"\\\(.*?\\\)|\\\[.*?\\\]", re.S)
_PIECE = re.compile(rf"(?P<page>[{chr(marks.FIRST)}-{chr(marks.LAST)}])|(?P<broken>"
                    rf"{marks.STRADDLES})|(?P<word>{_WORD.pattern})")  # fmt: skip


def words(text: str) -> list[str]:
    """The words of a page's Markdown; a Han character is a word, punctuation is none."""
    return _WORD.findall(text)


@dataclass(frozen=True)
class Word:
    """A word and its page (from 1), 0 when nobody knows; `broken`: it ends on the next one.

    `other` is the page of the mark after it, when the word has no mark of its own.
    """

    text: str
    page: int
    broken: bool = False
    other: int = 0


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
    html: str
    marked_html: str

    @property
    def pdf_path(self) -> Path:
        return HERE / self.name / "document.pdf"

    @cached_property
    def pdf(self) -> bytes:
        return self.pdf_path.read_bytes()

    @cached_property
    def page_count(self) -> int:
        with pymupdf.open("pdf", self.pdf) as document:
            return len(document)

    @cached_property
    def marked(self) -> Article:
        return read_article(self.marked_html.encode())

    @cached_property
    def article(self) -> Article:
        return read_article(self.html.encode())

    def changed(self) -> str:
        """The first block of the article that has other words when it is marked; else empty."""
        first, second = (a.flow + a.floats + a.footnotes for a in (self.article, self.marked))
        for plain, marked in zip_longest(first, second):
            if plain is None or marked is None:
                return f"{len(first)} blocks became {len(second)}"
            if words(plain.markdown) != words(marks.strip(marked.markdown)):
                return f"{plain.markdown!r} became {marked.markdown!r}"
        return ""

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
                if word.other not in {0, word.page}:
                    page.doubtful[word.text] += 1
                    pages[word.other - 1].doubtful[word.text] += 1
                    continue
                (page.outside if outside else page.flow).append(word.text)
                if word.broken:
                    page.ends_with = word.text
                    pages[word.page].begins_with = word.text
        return pages

    def judge(self, number: int, text: str, *, mended: bool = False) -> Verdict:
        """Compare page `number` (from 1) with what a program says its text is.

        `mended` says that it corrected the article by the PDF (citations in another style):
        then a word outside formulas is no error as far as the PDF's page agrees with the text.
        """
        page = self.pages[number - 1]
        found, truth = Counter(words(text)), page.all
        if mended:
            shown = self._shown(number)
            in_formulas = set(words(" ".join(_FORMULA.findall(text))))
            for word in (found | truth).keys() - in_formulas:
                low, high = sorted((truth[word], shown[word]))
                truth[word] = min(max(found[word], low), high)
        return _compare(page, found, truth)

    def _shown(self, number: int) -> Counter[str]:
        with pymupdf.open("pdf", self.pdf) as document:
            return Counter(words(document[number - 1].get_text()))

    def judge_flow(self, number: int, text: str, spell: Callable[[str], str]) -> Verdict:
        """The same for a program that leaves out floats and footnotes and respells words."""
        page = self.pages[number - 1]
        truth = words(spell(" ".join(page.flow)))
        return _compare(page, Counter(words(text)), Counter(truth))


def _compare(page: Page, found: Counter[str], truth: Counter[str]) -> Verdict:
    leaked, lost = found - truth, truth - found
    for some in (leaked, lost):
        for word, count in page.doubtful.items():
            if word in some:
                some[word] -= count
    # A broken word may stand on both pages, whole or as its halves, or on one of them.
    for broken, fits in ((page.ends_with, str.startswith), (page.begins_with, str.endswith)):
        if broken:
            for word in leaked:
                if fits(broken, word):
                    leaked[word] -= 1
            lost[broken] -= 1
    return Verdict(tuple((+leaked).elements()), tuple((+lost).elements()))


def _place(blocks: Iterable[Block]) -> Iterator[Word]:
    """The words of a run of blocks with their pages."""
    placed: list[list[Word]] = []
    for block in blocks:
        page, broken, marked = 0, False, False
        found: list[Word] = []
        unmarked = 0  # how many of the words found last
        for match in _PIECE.finditer(block.markdown):
            if match.lastgroup == "page":
                page, marked = ord(match.group()) - marks.FIRST, True
                if unmarked:
                    tail = found[-unmarked:]
                    found[-unmarked:] = [replace(word, other=page) for word in tail]
                unmarked = 0
            elif match.lastgroup == "broken":
                broken = True
            else:
                found.append(Word(match.group(), page, broken))
                unmarked = 0 if marked else unmarked + 1
                broken = marked = False
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
    both = lzma.decompress((HERE / name / "html.xz").read_bytes()).decode()
    return Document(name, *both.split("\0"))


def names() -> list[str]:
    """The documents of the set, as far as they have been built."""
    return sorted(path.parent.name for path in HERE.glob("*/html.xz"))
