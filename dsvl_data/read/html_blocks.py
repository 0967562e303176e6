"""A web page's document as blocks in reading order: text as Markdown, pictures with captions.

In: the element that holds the document (`read.main_content`) and a way to load its pictures. Out:
`Block`s in the order of the DOM. One walk: an inline element adds to the line, a block ends it.

A picture within a sentence parts the sentence; one that is left out does not. What a table cell
shows follows its table. Captions come from `figcaption`, from the class names of MediaWiki,
WordPress, DocBook, Sphinx, Asciidoctor and books, and from a paragraph after the picture that
begins like a caption. Links are their text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from lxml import etree

from dsvl_data.read.blocks import Block, LostBlock, PictureBlock, TextBlock
from dsvl_data.read.html_captions import (
    begins_like_caption,
    caption_of,
    is_caption,
    is_figure,
    with_caption,
)
from dsvl_data.read.html_formulas import DRAWN, FORMULAS, Formula, formula_of, split_formulas
from dsvl_data.read.html_lines import fenced, plain, prefixed, without_empty_sections, written
from dsvl_data.read.html_lists import definition_blocks, list_blocks, quotation_blocks
from dsvl_data.read.html_pictures import Draw, Load, Pictures, emoji_of
from dsvl_data.read.html_tables import data_rows, grid_of, grid_table
from dsvl_data.read.main_content import remove
from dsvl_data.render.clean import clean_text
from dsvl_data.render.inline import code_span, escape_line_start, join_pieces
from dsvl_data.render.markdown_table import write_cell
from dsvl_data.render.notes import Notes, find_notes
from dsvl_data.render.parse import is_plain, name_of, text_of
from dsvl_data.render.traits import DROPPED, code_language, code_strings, is_hidden

_EMPHASIS = {
    "b": "strong", "strong": "strong", "i": "em", "em": "em", "cite": "em", "dfn": "em",
    "var": "em", "sup": "sup", "sub": "sub", "u": "u", "ins": "u", "s": "s", "strike": "s",
    "del": "s", "ruby": "ruby", "rt": "rt",
}  # fmt: skip
_NESTABLE = frozenset(("sup", "sub"))
_CODE = frozenset(("code", "tt", "kbd", "samp"))
_INLINE = frozenset({
    "a", "span", "font", "small", "big", "abbr", "acronym", "mark", "time", "label", "q", "bdi",
    "bdo", "data", "output", "rb", "rtc", "nobr", "blink", "picture", "switch", "case", "default",
    "mjx-container", "mjx-assistive-mml", "semantics",
})  # fmt: skip
_MAY_BE_FORMULAS = frozenset(("math", "script", "img"))
_NO_CLASSES: frozenset[str] = frozenset()
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_PRE = frozenset(("pre", "listing", "xmp", "plaintext"))
_LISTS = frozenset(("ul", "ol", "dir", "menu"))
_LEFT_OUT = (DROPPED - {"table"}) | {"noscript"}
#: What may hold a figure, and what a caption may be.
_HOLDERS = frozenset(("div", "p", "section", "li", "td", "span", "center", "aside", "dl", "table"))
_MAX_LABEL = 8


def read_blocks(
    root: etree._Element, *, load: Load, draw: Draw, name: str = "", tex: bool = False
) -> list[Block]:
    """Return the blocks of an element. `root` may be changed.

    `name` is the document's own file name, by which links to its notes are known; with `tex`,
    TeX between delimiters in plain text is a formula.
    """
    notes = find_notes(root, name) if _strip_links(root) else Notes()
    return _Walk(load, draw, notes, tex).run(root)


def _strip_links(root: etree._Element) -> bool:
    """Make links their text, unless one may lead to a note: to a place in a page, by few letters.

    Returns whether one may.
    """
    for link in list(root.iter("{*}a")):
        href = link.get("href")
        if href and "#" in href and len(text_of(link).strip()) <= _MAX_LABEL:
            return True
        if not is_plain(link) and is_hidden(link, "a"):
            remove(link)
    # Half of many a page's elements: the walk is as much shorter.
    etree.strip_tags(root, "{*}a")
    return False


class _Walk:
    def __init__(self, load: Load, draw: Draw, notes: Notes, tex: bool) -> None:
        self._pictures, self._notes, self._tex = Pictures(load, draw), notes, tex
        self._marked = bool(notes.references or notes.notes or notes.hidden)
        self._blocks: list[Block] = []
        self._line: list[tuple[str, str]] = []
        self._waiting: list[Block] = []  # what stands after the line that is being written
        self._emphasised: list[str] = []
        self._hidden: dict[tuple[str, str], bool] = {}  # by name and class
        self._flat = False  # within a cell or a caption: blocks are lines
        self._captions: set[etree._Element] = set()  # written with their pictures

    def run(self, root: etree._Element) -> list[Block]:
        self._children(root)
        self._end()
        return without_empty_sections(self._blocks)

    def _children(self, source: etree._Element) -> None:
        if text := source.text:
            self._text(text)
        for child in source:
            if name := name_of(child):
                self._element(child, name)
            if text := child.tail:
                self._text(text)

    def _text(self, text: str) -> None:
        line = self._line
        if self._tex and ("\\(" in text or "\\[" in text or "$$" in text):
            for part in split_formulas(text):
                if isinstance(part, Formula):
                    self._formula(part)
                elif part:
                    self._line.append(("text", part))
        elif line and line[-1][0] == "text":  # links are their text: most of a line is one piece
            line[-1] = ("text", line[-1][1] + text)
        elif line or not text.isspace():
            line.append(("text", text))

    def _element(self, source: etree._Element, name: str) -> None:
        classes = _NO_CLASSES
        if source.keys():
            if value := source.get("class"):
                classes = _class_set(value)
            if name in _MAY_BE_FORMULAS or (classes and not FORMULAS.isdisjoint(classes)):
                formula = formula_of(source, name, classes)
                if formula is not None:
                    self._formula(formula)
                    return
            if value and name != "svg" and is_plain(source):
                kind = (name, value)  # nothing else tells, and pages have few of these
                hidden = self._hidden.get(kind)
                if hidden is None:
                    hidden = is_hidden(source, name) or not DRAWN.isdisjoint(classes)
                    self._hidden[kind] = hidden
            else:
                hidden = is_hidden(source, name) or not DRAWN.isdisjoint(classes)
            if hidden:
                return
            if source in self._captions:
                return
        elif name == "math":
            self._math(source)
            return
        if name in _LEFT_OUT:
            if name == "noscript" and len(source):
                self._children(source)  # a picture for those without scripts
            elif name == "source":
                self._children(source)  # a parser that does not know it ends at once
            return
        if self._marked and self._is_note(source):
            return
        if name in _EMPHASIS:
            self._emphasis(source, _EMPHASIS[name])
        elif name in _CODE:
            self._code_span(source)
        elif classes and name in _HOLDERS and self._holder(source, classes):
            return
        elif name in _INLINE:
            self._children(source)
        elif name == "br":
            self._line.append(("break", ""))
        elif name in ("img", "image", "object"):
            self._image(source, name, classes)
        elif name == "svg":
            self._put(self._pictures.svg(source))
        elif name == "math":
            pass  # one that shows nothing
        else:
            self._block(source, name)

    def _block(self, source: etree._Element, name: str) -> None:
        self._end()
        if self._flat:
            self._children(source)
        elif name in _HEADINGS:
            self._heading(source, _HEADINGS[name])
        elif name in _PRE:
            self._code(source)
        elif name in _LISTS:
            self._list(source, name)
        elif name == "dl":
            self._blocks.extend(definition_blocks(source, self._within, self._note_in_list))
        elif name == "table":
            self._table(source)
        elif name == "blockquote":
            self._blocks.extend(quotation_blocks(self._within(source)))
        elif name == "figure":
            self._figure(source)
        else:
            self._children(source)
        self._end()

    def _end(self) -> None:
        """End the line: what was written of it becomes a paragraph."""
        if self._flat:
            self._line.append(("break", ""))
            return
        if self._line:
            text = written(self._line)
            self._line = []
            if text and not self._tie(text):
                self._blocks.append(TextBlock("paragraph", text))
        if self._waiting:
            self._blocks += self._waiting
            self._waiting = []

    def _tie(self, text: str, *, sure: bool = False) -> bool:
        """Make a text the caption of the picture right before it, if it is one."""
        last = self._blocks[-1] if self._blocks else None
        if not isinstance(last, PictureBlock) or last.caption:
            return False
        if not sure and not begins_like_caption(text):
            return False
        self._blocks[-1] = replace(last, caption=text)
        return True

    def _within(self, source: etree._Element) -> list[Block]:
        """The blocks of what an element holds, by themselves."""
        return self._apart(lambda: self._children(source))

    def _apart(self, walk: Callable[[], object]) -> list[Block]:
        """The blocks of a part of the walk, by themselves."""
        outer = self._blocks, self._line, self._waiting
        self._blocks, self._line, self._waiting = [], [], []
        walk()
        self._end()
        made = self._blocks
        self._blocks, self._line, self._waiting = outer
        return made

    def _flattened(self, source: etree._Element, line_break: str) -> str:
        """An element's text on one line; pictures within wait until the line's end."""
        outer, self._line, was_flat = self._line, [], self._flat
        self._flat = True
        self._children(source)
        text = join_pieces(plain(self._line), line_break=line_break)
        self._line, self._flat = outer, was_flat
        return text.replace("\n", " ")

    def _emphasis(self, source: etree._Element, kind: str) -> None:
        if kind in self._emphasised and kind not in _NESTABLE:  # bold in bold is bold
            self._children(source)
            return
        self._emphasised.append(kind)
        self._line.append(("open", kind))
        self._children(source)
        self._line.append(("close", kind))
        self._emphasised.pop()

    def _heading(self, source: etree._Element, level: int) -> None:
        text = self._flattened(source, " ")
        if text:
            self._blocks.append(TextBlock("heading", f"{'#' * level} {text}", level))

    def _formula(self, formula: Formula) -> None:
        if formula.display and not self._flat:
            self._end()
            self._blocks.append(TextBlock("formula", formula.block))
        else:
            self._line.append(("raw", f"${formula.latex}$"))

    def _math(self, source: etree._Element) -> None:
        formula = formula_of(source, "math", _NO_CLASSES)
        if formula is not None:
            self._formula(formula)

    def _code_span(self, source: etree._Element) -> None:
        if len(source) and any(not _is_phrase(name_of(each)) for each in source.iter()):
            self._children(source)  # whole blocks set in type
            return
        text = clean_text(text_of(source) if len(source) else source.text or "")
        if text.strip():
            if text[0].isspace():
                self._line.append(("text", " "))
            self._line.append(("raw", code_span(" ".join(text.split()))))
            if text[-1].isspace():
                self._line.append(("text", " "))
        if len(source):
            for image in source.iter("{*}img"):
                self._image(image, "img", _NO_CLASSES)

    def _code(self, source: etree._Element) -> None:
        text = "".join(code_strings(source, self._notes.hidden))
        text = clean_text(text.replace("\r\n", "\n").replace("\r", "\n")).replace("\u00a0", " ")
        if text.strip():
            self._blocks.append(TextBlock("code", fenced(text, code_language(source))))
        for image in source.iter("{*}img"):
            self._image(image, "img", _NO_CLASSES)

    def _list(self, source: etree._Element, name: str) -> None:
        if "gallery" in (source.get("class") or ""):
            self._children(source)
        else:
            self._blocks.extend(list_blocks(source, name, self._item))

    def _item(self, item: etree._Element, kind: str) -> list[Block] | None:
        if kind in _LEFT_OUT or is_hidden(item, kind):
            return None
        if kind == "li" and not (self._marked and item in self._notes.notes):
            classes = frozenset((item.get("class") or "").split())
            if not is_figure(classes) or caption_of(item) is None:
                return self._within(item)
        # A figure, a note, or what has no business in a list.
        return self._apart(lambda: self._element(item, kind))

    def _note_in_list(self, source: etree._Element) -> list[Block] | None:
        notes = self._notes
        if self._marked and (source in notes.notes or source in notes.hidden):
            return self._apart(lambda: self._is_note(source))
        return None

    def _table(self, source: etree._Element) -> None:
        rows = data_rows(source)
        if rows is None:  # it is there for its looks
            self._children_apart(source)
            return
        caption = next((child for child in source if name_of(child) == "caption"), None)
        title = self._flattened(caption, " ") if caption is not None else ""
        grid = grid_of(rows, lambda cell: write_cell(self._flattened(cell, "<br>")))
        table = grid_table(grid)
        text = "\n\n".join(part for part in (title, table) if part)
        if text:
            self._blocks.append(TextBlock("table", text))

    def _children_apart(self, source: etree._Element) -> None:
        """The rows and cells of a layout, each a block of its own."""
        for child in source:
            name = name_of(child)
            if name in ("tbody", "thead", "tfoot", "tr"):
                self._children_apart(child)
            elif name:
                self._element(child, name)
                self._end()

    def _holder(self, source: etree._Element, classes: frozenset[str]) -> bool:
        """Read an element whose classes call it a figure or a caption; False if it is neither."""
        if is_figure(classes) and not self._flat and caption_of(source) is not None:
            self._end()
            self._figure(source)
            return True
        if is_caption(classes) and not self._flat and not self._line:
            text = self._flattened(source, " ")
            if text and not self._tie(text, sure=True):
                self._blocks.append(TextBlock("paragraph", escape_line_start(text)))
            self._end()
            return True
        return False

    def _figure(self, source: etree._Element) -> None:
        caption = caption_of(source)
        if caption is None or caption in self._captions:  # a box around the same picture has it
            self._children(source)
            return
        self._captions.add(caption)
        caption.set("data-caption", "")  # so that the walk asks whether it is one
        text = self._flattened(caption, " ")
        self._blocks += with_caption(self._within(source), text)

    def _is_note(self, source: etree._Element) -> bool:
        notes = self._notes
        if source in notes.hidden:
            return True
        if source in notes.references:
            self._line.append(("raw", f"[^{_label(notes.references[source])}]"))
            return True
        if source in notes.notes and not self._flat:
            label = _label(notes.notes[source])
            self._end()
            texts: list[str] = []
            for block in self._within(source):
                if isinstance(block, TextBlock):
                    texts.append(block.markdown)
                else:
                    self._waiting.append(block)
            if texts:
                text = prefixed("\n\n".join(texts), f"[^{label}]: ", "    ")
                self._blocks.append(TextBlock("paragraph", text))
            self._end()
            return True
        return False

    def _image(self, source: etree._Element, name: str, classes: frozenset[str]) -> None:
        if name == "object" and not (source.get("type") or "").startswith("image/"):
            self._children(source)
            return
        emoji = emoji_of(source, classes)
        if emoji:
            self._line.append(("text", emoji))
            return
        self._put(self._pictures.image(source))

    def _put(self, block: PictureBlock | LostBlock | None) -> None:
        """Set a picture where it stands: one that is lost does not part the line."""
        if block is None:
            return
        if self._flat or (isinstance(block, LostBlock) and self._line):
            self._waiting.append(block)
            return
        self._end()
        last = self._blocks[-1] if self._blocks else None
        if not isinstance(last, PictureBlock) or last != block:
            # Else: a lazy picture and its fallback, or a thumbnail within the link to itself.
            self._blocks.append(block)


def _is_phrase(name: str) -> bool:
    return not name or name in _INLINE or name in _EMPHASIS or name in _CODE or name == "img"


@lru_cache(maxsize=4096)
def _class_set(value: str) -> frozenset[str]:
    return frozenset(value.split())


def _label(label: str) -> str:
    return re.sub(r"[\[\]\s^]+", "", label)
