"""What goes into a renderer and what comes out: `Chapter` in, proved `Page`s out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lxml import etree

from dsvl_data.outcome import Reason
from dsvl_data.sample import Image


@dataclass(frozen=True, slots=True)
class Asset:
    """A resource that a page may load: its bytes and media type (`image/png`)."""

    data: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """One print: a clean HTML tree (see `dsvl_data.render`) and the images it shows.

    `header` is what a template with running heads writes at the top of each page.
    """

    body: etree._Element
    language: str
    header: str = ""
    assets: Mapping[str, Asset] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a print: what it looks like and what it says.

    `text` is Markdown; `characters` counts the visible characters (white space aside) that it
    carries, `margin_characters` those of them in the running head and foot; `score` is the
    share of the page's visible characters, PDF and DOM together, on which both agree (1.0:
    proved). `failure` is None for a proved page, else why not (`PROOF_FAILED` with the detail,
    a picture's own reason, `NO_TEXT` for pages that show pictures only).
    """

    number: int
    image: Image
    text: str
    characters: int
    score: float
    failure: Reason | None = None
    detail: str = ""
    margin_characters: int = 0
