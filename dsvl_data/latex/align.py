"""An article's Markdown cut where its PDF's pages end: Article and PDF pages in, page texts out.

1. Floats and footnotes are looked for on all pages and taken out of them (`floats`).
2. The flow's words are aligned with what the pages have left (`matching`).
3. The flow is cut where the page of its words changes (`cutting`), and each page's text put
   together: the flow's pieces, floats where the page shows them (after the paragraph that they
   interrupt), footnotes at the end.

A word broken over two pages stands on both as they show it: "exam-" and "ple".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsvl_data.latex.aligned import (
    AlignedPage,
    Part,
    Placed,
    foreign_words,
    page_text,
    unseen_lines,
)
from dsvl_data.latex.article import Article
from dsvl_data.latex.cutting import (
    Piece,
    Unit,
    cut,
    pages_by_majority,
    place_units,
    units_of,
)
from dsvl_data.latex.differences import (
    Difference,
    Edit,
    Source,
    difference_edits,
    differences,
    mend,
    unshown_names,
)
from dsvl_data.latex.floats import Placement, place_blocks, take
from dsvl_data.latex.matching import Pair, match_words, slide, without_isolated
from dsvl_data.latex.numbering import equation_edits, footnote_edits, label_edits
from dsvl_data.latex.pdf_lines import Zone
from dsvl_data.latex.pdf_words import PdfPage
from dsvl_data.latex.sequences import (
    BlockWords,
    Vocabulary,
    block_words,
    join_broken,
    pdf_stream,
)
from dsvl_data.latex.signs import sign_edits


def align(article: Article, pages: Sequence[PdfPage]) -> list[AlignedPage]:
    """Cut an article into the texts of the pages of its PDF, one for each page, in order.

    Every word of `article.flow` is on exactly one page or counted as `unplaced` there; a float or
    a footnote that no page shows is on none. Citations that the PDF prints in another style
    ("[6]" for "Hagberg et al. (2008)") are mended from it.
    """
    if not pages:
        return []
    alignment = _Alignment(article, pages)
    aligned = alignment.pages()
    mended, edits = mend(article, alignment.edits(aligned))
    if not edits:
        return aligned
    aligned = _Alignment(mended, pages).pages()
    return [replace(page, mended=edits[page.number]) for page in aligned]


@dataclass(slots=True)
class _Tally:
    """What is counted on one page while the pages are put together."""

    parts: list[Placed]  # with the place in the stream of its first word found
    floats: list[Placed]
    footnotes: list[Placed]
    words: int = 0
    found: int = 0
    torn: int = 0
    unplaced: int = 0


@dataclass(frozen=True, slots=True)
class _Track:
    """Blocks in a row, `rest` the PDF's words that may be theirs, and which are: `(i, index)`.

    `halves` ties the first half of a broken word to its second, both as places in the stream.
    """

    blocks: BlockWords
    rest: list[int]
    halves: dict[int, int]
    pairs: list[Pair]

    def blocks_found(self) -> set[int]:
        """The blocks with a match."""
        return {self.blocks.block[i] for i, _ in self.pairs}


class _Alignment:
    """One article against one PDF."""

    def __init__(self, article: Article, pages: Sequence[PdfPage]) -> None:
        vocabulary = Vocabulary()
        self.article = article
        self.flow = block_words(article.flow, vocabulary)
        self.floats = block_words(article.floats, vocabulary)
        self.footnotes = block_words(article.footnotes, vocabulary)
        self.stream = pdf_stream(pages, vocabulary)
        self.taken = np.zeros(len(self.stream.ids), dtype=bool)
        self.matched = np.zeros(len(self.stream.ids), dtype=bool)
        self.vocabulary = vocabulary
        called = self._called_for()
        self.float_places = self._place(self.floats, Zone.CAPTION, called)
        self.note_track = self._track_footnotes()
        self.note_places = self._place(
            self.footnotes, Zone.FOOTNOTE, called, but=set(self.note_track.blocks_found())
        )
        self.track = self._track(self.flow, np.flatnonzero(~self.taken).tolist())
        self._match(self.track)

    def _track(self, blocks: BlockWords, rest: Sequence[int]) -> _Track:
        """Align a row of blocks with some of the PDF's words."""
        kept, ids, halves = join_broken(self.stream, rest, self.vocabulary)
        breaks = [*(self.stream.breaks[j] for j in kept), True]
        pairs = slide(match_words(blocks.ids, ids), blocks.ids, ids, breaks)
        return _Track(blocks, kept, halves, without_isolated(pairs, blocks.weights))

    def _track_footnotes(self) -> _Track:
        """Footnotes keep their order: align all of them with the small print."""
        free = np.flatnonzero(~self.taken).tolist() if self.footnotes.blocks else []
        track = self._track(self.footnotes, [j for j in free if self.stream.small[j]])
        found = [0.0] * len(self.footnotes.blocks)
        total = [0.0] * len(self.footnotes.blocks)
        for i, weight in enumerate(self.footnotes.weights):
            total[self.footnotes.block[i]] += weight
        for i, _ in track.pairs:
            found[self.footnotes.block[i]] += self.footnotes.weights[i]
        sure = {k for k, weight in enumerate(found) if weight >= 0.5 * total[k] > 0}
        track = replace(
            track, pairs=[pair for pair in track.pairs if self.footnotes.block[pair[0]] in sure]
        )
        self._match(track)
        by_block: dict[int, list[int]] = {}
        for i, j in track.pairs:
            by_block.setdefault(self.footnotes.block[i], []).append(track.rest[j])
        for places in by_block.values():
            take(self.stream, self.taken, places)
        return track

    def _match(self, track: _Track) -> None:
        """Note the PDF's words that a track has found."""
        for _, j in track.pairs:
            self.matched[track.rest[j]] = True
            if (half := track.halves.get(track.rest[j])) is not None:
                self.matched[half] = self.taken[half] = True

    def _called_for(self) -> list[float]:
        """About the page of each block of the flow."""
        marks = match_words(self.flow.ids, self.stream.ids)
        pages = []
        at = 0
        for first in self.flow.first:
            while at + 1 < len(marks) and marks[at][0] < first:
                at += 1
            pages.append(float(self.stream.page[marks[at][1]]) if marks else 0.0)
        return pages

    def _place(
        self,
        blocks: BlockWords,
        zone: Zone,
        called: list[float],
        but: Collection[int] = (),
    ) -> list[Placement]:
        expected = [called[block.anchor] for block in blocks.blocks]
        places = place_blocks(
            blocks, self.stream, self.taken, zone=zone, expected=expected, but=but
        )
        for place in places:
            self.matched[[j for _, j in place.pairs]] = True
        return places

    def differences(self) -> list[Difference]:
        """Where text and pages disagree, everywhere but at the pages' ends."""
        found: list[Difference] = []
        for source, track in ((Source.FLOW, self.track), (Source.FOOTNOTES, self.note_track)):
            pairs = [(i, track.rest[j]) for i, j in track.pairs]
            found.extend(differences(source, track.blocks, self.stream, pairs))
        for source, blocks, places in (
            (Source.FLOATS, self.floats, self.float_places),
            (Source.FOOTNOTES, self.footnotes, self.note_places),
        ):
            for place in places:
                found.extend(differences(source, blocks, self.stream, place.pairs))
        return found

    def edits(self, pages: Sequence[AlignedPage]) -> Iterator[Edit]:
        """What the pages print otherwise than the article has it."""
        yield from equation_edits(self.article, pages, self.stream)
        for source, track in ((Source.FLOW, self.track), (Source.FOOTNOTES, self.note_track)):
            pairs = [(i, track.rest[j]) for i, j in track.pairs]
            yield from label_edits(source, track.blocks, self.stream, pairs)
            yield from sign_edits(source, track.blocks, self.stream, pairs)
            yield from unshown_names(source, track.blocks, self.stream, pairs)
            if source is Source.FOOTNOTES:
                yield from footnote_edits(self.article, track.blocks, self.stream, pairs)
        pairs = [pair for place in self.float_places for pair in place.pairs]
        yield from label_edits(Source.FLOATS, self.floats, self.stream, pairs)
        yield from sign_edits(Source.FLOATS, self.floats, self.stream, pairs)
        yield from difference_edits([d for page in pages for d in page.differences])

    def pages(self) -> list[AlignedPage]:
        """Put all pages together."""
        tallies = [_Tally([], [], []) for _ in self.stream.pages]
        ends = self._place_flow(tallies)
        self._place_footnotes(tallies)
        self._place_others(tallies)
        within = self._within_floats()
        unlike: list[list[Difference]] = [[] for _ in tallies]
        for difference in self.differences():
            unlike[difference.page].append(difference)
        return [
            self._page(number, tally, ends[number], unlike[number], within)
            for number, tally in enumerate(tallies)
        ]

    def _place_flow(self, tallies: list[_Tally]) -> list[tuple[int, int]]:
        """Put the flow's pieces on their pages; returns the uncertain words at each page's ends."""
        track = self.track
        pairs = dict(track.pairs)
        units = units_of(self.flow)
        pages, torn = place_units(units, self.flow, self.stream, pairs, track.rest)
        self._drop_unshown(units, pages, pairs, tallies)
        for n in torn:
            for page in {
                self.stream.page[track.rest[pairs[i]]]
                for i in range(units[n].first, units[n].end)
                if i in pairs
            }:
                tallies[page].torn += 1
        loose = [[0, 0] for _ in tallies]
        seen = [False] * len(tallies)
        for unit, page in zip(units, pages, strict=True):
            for i in range(unit.first, unit.end) if page >= 0 else ():
                if i in pairs:
                    seen[page] = True
                    loose[page][1] = 0
                elif not self.flow.words[i].opaque:
                    loose[page][1] += 1
                    loose[page][0] += not seen[page]
        self._cut(track, units, pages, [tally.parts for tally in tallies], tallies)
        return [(top, bottom) for top, bottom in loose]

    def _place_footnotes(self, tallies: list[_Tally]) -> None:
        """Put the footnotes that the small print has on their pages."""
        track = self.note_track
        found = track.blocks_found()
        units = units_of(self.footnotes)
        pages, torn = place_units(units, self.footnotes, self.stream, dict(track.pairs), track.rest)
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for i, j in track.pairs:
            first.setdefault(self.footnotes.block[i], self.stream.page[track.rest[j]])
            last[self.footnotes.block[i]] = self.stream.page[track.rest[j]]
        for n, unit in enumerate(units):
            if unit.block in found:
                # What is unmatched at a footnote's ends is no neighbour's.
                pages[n] = min(max(pages[n], first[unit.block]), last[unit.block])
            else:
                pages[n] = -1
        for n in torn:
            tallies[pages[n]].torn += pages[n] >= 0
        self._cut(track, units, pages, [tally.footnotes for tally in tallies], tallies)

    def _cut(
        self,
        track: _Track,
        units: Sequence[Unit],
        pages: Sequence[int],
        into: Sequence[list[Placed]],
        tallies: Sequence[_Tally],
    ) -> None:
        """Cut a track's blocks into the parts of each page, and count their words."""
        matched = {i for i, _ in track.pairs}
        for unit, page in zip(units, pages, strict=True):
            for i in range(unit.first, unit.end) if page >= 0 else ():
                if not track.blocks.words[i].opaque:
                    tallies[page].words += 1
                    tallies[page].found += i in matched
        broken = {
            i: self.stream.keys[track.rest[j]]
            for i, j in track.pairs
            if (half := track.halves.get(track.rest[j])) is not None
            and self.stream.page[half] == self.stream.page[track.rest[j]] + 1
        }
        places: dict[tuple[int, int], int] = {}
        for i, j in reversed(track.pairs):
            places[track.blocks.block[i], self.stream.page[track.rest[j]]] = track.rest[j]
        for piece in cut(units, pages, track.blocks, broken):
            parts = into[piece.page]
            before = parts[-1][1] if parts else -1
            place = places.get((piece.block, piece.page), before)
            parts.append((self._part(track.blocks, piece), place))

    def _drop_unshown(
        self,
        units: Sequence[Unit],
        pages: list[int],
        pairs: Mapping[int, int],
        tallies: list[_Tally],
    ) -> None:
        """Leave out whole blocks without a match where the pages have no words left for them."""
        n = 0
        before = -1  # the last match before the block, as an index into `rest`
        while n < len(units):
            end = n
            while end < len(units) and units[end].block == units[n].block:
                end += 1
            words = range(units[n].first, units[end - 1].end)
            here = [pairs[i] for i in words if i in pairs]
            prose = sum(not self.flow.words[i].opaque for i in words)
            if prose and not here:
                after = next(
                    (pairs[i] for i in range(words.stop, len(self.flow.words)) if i in pairs),
                    len(self.track.rest),
                )
                left = sum(self.stream.prose[j] for j in self.track.rest[before + 1 : after])
                if left < 0.3 * prose:
                    tallies[pages[n]].unplaced += prose
                    pages[n:end] = [-1] * (end - n)
            elif here:
                before = here[-1]
            n = end

    def _place_others(self, tallies: list[_Tally]) -> None:
        """Put floats and footnotes on the pages that show them."""
        for blocks, places, into in (
            (self.floats, self.float_places, "floats"),
            (self.footnotes, self.note_places, "footnotes"),
        ):
            units_by_block: dict[int, list[Unit]] = {}
            for unit in units_of(blocks):
                units_by_block.setdefault(unit.block, []).append(unit)
            for place in places:
                units = units_by_block[place.block]
                found = dict(place.pairs)
                pages = pages_by_majority(units, {i: self.stream.page[j] for i, j in place.pairs})
                for unit, page in zip(units, pages, strict=True):
                    for i in range(unit.first, unit.end):
                        if not blocks.words[i].opaque:
                            tallies[page].words += 1
                            tallies[page].found += i in found
                for piece in cut(units, pages, blocks, {}):
                    at = min(j for j in found.values() if self.stream.page[j] == piece.page)
                    getattr(tallies[piece.page], into).append((self._part(blocks, piece), at))

    def _within_floats(self) -> NDArray[np.bool_]:
        """Which of the PDF's words lie between the first and last word of a float, or are its."""
        within = self.taken.copy()
        for place in self.float_places + self.note_places:
            by_page: dict[int, list[int]] = {}
            for _, j in place.pairs:
                by_page.setdefault(self.stream.page[j], []).append(j)
            for places in by_page.values():
                if 2 * len(places) > max(places) - min(places):
                    within[min(places) : max(places)] = True
        return within

    @staticmethod
    def _part(blocks: BlockWords, piece: Piece) -> Part:
        return Part(blocks.blocks[piece.block], piece.start, piece.end, piece.broken)

    def _page(
        self,
        number: int,
        tally: _Tally,
        ends: tuple[int, int],
        unlike: list[Difference],
        within: NDArray[np.bool_],
    ) -> AlignedPage:
        stream = self.stream
        here = range(stream.first[number], stream.first[number + 1])
        shown = [j for j in here if stream.prose[j] and stream.zone[j] is not Zone.FIGURE]
        covered = sum(bool(self.matched[j]) for j in shown)
        body = [
            j for j in here if stream.zone[j] is Zone.BODY and not self.taken[j] and not within[j]
        ]
        hits = [k for k, j in enumerate(body) if self.matched[j]]
        head = body[: hits[0]] if hits else body
        tail = body[hits[-1] + 1 :] if hits else body
        top = ends[0] + sum(stream.prose[j] for j in head)
        bottom = ends[1] + sum(stream.prose[j] for j in tail)
        placed = [*tally.parts, *tally.floats, *tally.footnotes]
        tally.floats.sort(key=lambda placed: placed[1])
        tally.footnotes.sort(key=lambda placed: placed[1])
        return AlignedPage(
            number,
            tuple(part for part, _ in tally.parts),
            tuple(part for part, _ in tally.floats),
            tuple(part for part, _ in tally.footnotes),
            page_text(tally.parts, tally.floats, tally.footnotes),
            tally.words,
            tally.found / tally.words if tally.words else 1.0,
            covered / len(shown) if shown else 1.0,
            top if number else 0,
            bottom if number + 1 < len(stream.pages) else 0,
            tally.torn,
            tally.unplaced,
            unseen=unseen_lines(stream, here, self.matched | self.taken, placed),
            foreign=foreign_words(stream, here, placed),
            differences=tuple(unlike),
        )
