"""Lists, definitions and quotations of a page as blocks of Markdown.

In: the element, and how to read what stands within another (the walk of `read.html_blocks`). Out:
`Block`s: Markdown up to a picture, the picture, Markdown for the rest. What stands between items,
and should not, is kept as a browser shows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from lxml import etree

from dsvl_data.read.blocks import Block, LostBlock, PictureBlock, TextBlock
from dsvl_data.read.html_lines import list_item, prefixed
from dsvl_data.render.clean import clean_text
from dsvl_data.render.inline import escape
from dsvl_data.render.parse import name_of
from dsvl_data.render.traits import is_hidden


def list_blocks(
    source: etree._Element,
    name: str,
    read_item: Callable[[etree._Element, str], list[Block] | None],
) -> list[Block]:
    """Return a list's blocks, its items numbered where `name` is `ol`.

    `read_item` gives the blocks of a child of this name; None for one that nobody sees.
    """
    start = source.get("start") or "1"
    number = int(start) if re.fullmatch(r"\d{1,5}", start) else 1
    made: list[Block] = []
    items: list[str] = []

    def end() -> None:
        if items:
            made.append(TextBlock("list", "\n".join(items)))
            items.clear()

    def stray(text: str | None) -> None:
        if text and not text.isspace():
            items.append(f"  {_evened(text)}")

    stray(source.text)
    for item in source:
        kind = name_of(item)
        blocks = read_item(item, kind) if kind else None
        if blocks is not None:
            marker = f"{number}. " if name == "ol" else "- "
            number += 1
            for texts, picture in _runs(blocks):
                if texts:
                    items.append(list_item(texts, marker))
                    marker = " " * len(marker)
                if picture is not None:
                    end()
                    made.append(picture)
        stray(item.tail)
    end()
    return made


def definition_blocks(
    source: etree._Element,
    read_within: Callable[[etree._Element], list[Block]],
    read_note: Callable[[etree._Element], list[Block] | None],
) -> list[Block]:
    """Return a `dl`'s blocks: terms, each before its definitions.

    `read_within` gives the blocks of what a child holds; `read_note` those of a child that is a
    note, and None for any other.
    """
    made: list[Block] = []
    lines: list[str] = []

    def end() -> None:
        text = "\n".join(lines).strip("\n")
        if text:
            made.append(TextBlock("list", text))
        lines.clear()

    def stray(text: str | None) -> None:
        if text and not text.isspace():
            lines.append(_evened(text))

    stray(source.text)
    for child in source:
        name = name_of(child)
        if name == "div":
            end()
            made += definition_blocks(child, read_within, read_note)
        elif (note := read_note(child)) is not None:
            end()
            made += note
        elif name and not is_hidden(child, name):
            for texts, picture in _runs(read_within(child)):
                if texts:
                    text = "\n\n".join(each.markdown for each in texts)
                    lines.append(prefixed(text, ": ", "  ") if name == "dd" else f"\n{text}")
                if picture is not None:
                    end()
                    made.append(picture)
        stray(child.tail)
    end()
    return made


def quotation_blocks(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield blocks as a quotation: texts up to a picture are one paragraph."""
    for texts, picture in _runs(blocks):
        if texts:
            text = "\n\n".join(each.markdown for each in texts)
            yield TextBlock("paragraph", prefixed(text, "> ", "> "))
        if picture is not None:
            yield picture


def _runs(
    blocks: Iterable[Block],
) -> Iterator[tuple[list[TextBlock], PictureBlock | LostBlock | None]]:
    """Yield the texts before each picture, and it; at last the texts after all, and None."""
    texts: list[TextBlock] = []
    for block in blocks:
        if isinstance(block, TextBlock):
            texts.append(block)
        else:
            yield texts, block
            texts = []
    yield texts, None


def _evened(text: str) -> str:
    return escape(" ".join(clean_text(text).split()))
