"""Web pages: each as a picture, with source that gives this picture.

In: HTML files with what lies beside them (folders, members of tars and zips) or a column of JSON
lines or Parquet. Out: a sample a page, of category `web_code`: the picture of a screen, or of the
whole page down to a limit, then one self-contained HTML document as plain text.

- *The pair is proved* (`render.webpage`): the text was loaded again, alone, and gives the picture.
  The picture that is stored is the one of that second visit.
- *Pictures* in a page are boxes of their size and mean colour, as small SVG data: URLs. Their bytes
  are noise to a language model, and what a photograph shows follows from no source.
- *Own files* of a page are those below the recipe's input (or in its archive). It asks nobody else:
  a page whose style sheets are elsewhere is dropped, one that lacks letters or signs only (web and
  icon fonts) is not, and one that lacks pictures only where their size is not told.
- *Scripts* do not run, unless `scripts` is set: then the source is what they leave behind when the
  page's own time, on a clock that does not depend on the machine, is over.
- *Length*: a training row has room for so many tokens, and half a page's source is no pair.
  `max_tokens` leaves out the pages whose source is longer; by default none is.
- *What cannot be seen* (closed menus, what lies below the picture's edge) is not in the text.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import Field, field_validator

from dsvl_data.language import identify
from dsvl_data.outcome import Reason
from dsvl_data.pipeline import (
    Document,
    DocumentRef,
    Dropped,
    InputSpec,
    Limits,
    PathOption,
    Pipeline,
    Settings,
)
from dsvl_data.read.sites import list_pages, read_page, site_of
from dsvl_data.render.browser import Browser
from dsvl_data.render.webpage import Unproved, View, WebPages
from dsvl_data.sample import Sample, Text
from dsvl_data.shards.tokens import token_counter

#: Windows in CSS pixels, by the kind of machine that has them.
WINDOWS: Mapping[str, Sequence[tuple[int, int]]] = {
    "desktop": ((1280, 800), (1366, 768), (1440, 900), (1920, 1080)),
    "tablet": ((768, 1024), (820, 1180), (1024, 768)),
    "phone": ((360, 740), (390, 844), (412, 915)),
}


class Options(Settings):
    """What a recipe can set for web pages."""

    column: str | None = Field(
        "html", description="column of JSON lines or Parquet with the page; null: tables are none"
    )
    windows: Mapping[str, float] = Field(
        {"desktop": 0.6, "tablet": 0.2, "phone": 0.2},
        description="weights of the windows: desktop, tablet, phone",
    )
    whole: float = Field(
        0.3, ge=0, le=1, description="share of pages taken whole, others as the first screen"
    )
    max_height: int = Field(
        3000, ge=200, le=10_000, description="CSS pixels down to which a whole page is taken"
    )
    seed: int = Field(0, description="decides which page gets which window")
    scripts: bool = Field(False, description="run the page's own scripts before it is taken")
    settle_seconds: float = Field(
        3, gt=0, description="seconds of its own time that a page with scripts may go on drawing"
    )
    max_characters: int = Field(30_000, ge=100, description="characters of the source, at most")
    max_tokens: int | None = Field(
        None, ge=16, description="tokens of the source, at most; empty: as many as it has"
    )
    tokenizer: Annotated[str | None, PathOption(or_name=True)] = Field(
        None, description="tokenizer.json, its folder or a hub name; empty: an estimate"
    )
    min_ink: float = Field(
        0.003, ge=0, le=1, description="share of the picture that is not background, at least"
    )
    tolerance: float = Field(
        0.0001, ge=0, le=1, description="share of pixels that may differ by more than 16 of 255"
    )
    page_seconds: float = Field(20, gt=0, description="wall-clock seconds for one page")

    @field_validator("windows")
    @classmethod
    def _known_windows(cls, weights: Mapping[str, float]) -> Mapping[str, float]:
        for name in weights:
            if name not in WINDOWS:
                near = difflib.get_close_matches(name, WINDOWS, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"no window is called {name!r}{hint}")
        if any(weight < 0 for weight in weights.values()) or not sum(weights.values()) > 0:
            raise ValueError("weights are not negative, and not all zero")
        return weights


def source(inputs: Sequence[InputSpec], options: Options) -> Iterator[DocumentRef]:
    """List pages: files, members of archives, rows."""
    return list_pages(inputs, suffixes=(".html", ".htm"), column=options.column)


class WebCodeConverter:
    """From a page to its pair. Holds a browser, started with the first page."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._counter = token_counter(options.tokenizer)
        # Scripts need frames to go on.
        self._browser = Browser(timeout=options.page_seconds, still=not options.scripts)
        self._pages = WebPages(
            self._browser,
            seconds=options.page_seconds,
            scripts=options.scripts,
            settle=options.settle_seconds,
            tolerance=options.tolerance,
            max_characters=options.max_characters,
            min_ink=options.min_ink,
        )

    def __call__(self, documents: Sequence[Document]) -> Iterator[Sample | Dropped]:
        """Yield a sample for each page, or the pair that could not be proved."""
        for document in documents:
            yield self._convert(document)

    def close(self) -> None:
        """End the browser."""
        self._pages.close()
        self._browser.close()

    def _convert(self, document: Document) -> Sample | Dropped:
        name, view = choose_view(self.options, document.ref.id)
        try:
            pair = self._pages.pair(document.data, site_of(document.ref), view)
        except Unproved as error:
            return document.dropped(error.reason, detail=error.detail, score=error.score)
        (tokens,) = self._counter.count([pair.source])
        most = self.options.max_tokens
        if most is not None and tokens > most:
            detail = f"{tokens} tokens, the limit is {most}"
            return document.dropped(Reason.TEXT_TOO_LONG, detail=detail, score=float(tokens))
        details = {
            "window": f"{name} {view.width}x{view.height}",
            "part": "whole" if view.whole else "screen",
            "shown_by": f"chromium {self._browser.version}",
            "scripts": "ran" if self.options.scripts else "did not run",
            "unseen": "kept" if pair.complete else "left out",
            "pictures": str(pair.pictures),
            "absent_pictures": str(pair.absent),
        }
        return document.sample(
            0,
            category="web_code",
            segments=[pair.image, Text(pair.source)],
            language=identify(pair.text).code,
            details=details,
            scores={
                "proof": 1 - pair.differing,
                "ink": pair.ink,
                "characters": float(len(pair.source)),
                "tokens": float(tokens),
            },
        )


def choose_view(options: Options, key: str) -> tuple[str, View]:
    """Draw the window for a document: by the seed and its id, so the same on any machine."""
    digest = hashlib.blake2b(f"{options.seed}\0{key}".encode(), digest_size=24).digest()
    kind, size, whole = (int.from_bytes(digest[i : i + 8]) / 2**64 for i in (0, 8, 16))
    kind *= sum(options.windows.values())
    name = next(reversed([n for n, weight in options.windows.items() if weight > 0]))
    for candidate, weight in options.windows.items():
        kind -= weight
        if kind < 0:
            name = candidate
            break
    width, height = WINDOWS[name][int(size * len(WINDOWS[name]))]
    return name, View(width, height, whole < options.whole, options.max_height)


PIPELINE = Pipeline(
    name="webcode",
    version="3",
    options=Options,
    source=source,
    reader=read_page,
    converter=WebCodeConverter,
    limits=Limits(seconds=90, document_mb=50),
    needs_browser=True,
)
