"""The texts and pictures of one question as clean HTML.

In: a `Question` and a way to the bytes of its pictures. Out: a `Shown` question: each of its
texts as blocks of the contract in `dsvl_data.render`, with the assets they name. What cannot
be shown as it is meant raises `DocumentError`; a solution that cannot costs the solution only.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from lxml import etree

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.images import inspect
from dsvl_data.read.questions import Passage, Picture, Question
from dsvl_data.read.questions.chemistry import expand_chemistry
from dsvl_data.read.questions.formulas import BadText, Formula, Heading, Part, Table, split_text
from dsvl_data.render.assets import clean_svg, is_svg, raster_asset
from dsvl_data.render.clean import clean_html, clean_text
from dsvl_data.render.fitting import SVG_TYPE
from dsvl_data.render.mathml import BadLatex, latex_to_math
from dsvl_data.render.pages import Asset
from dsvl_data.render.parse import parse_markup

#: The bytes of a picture; raises `DocumentError` when they cannot be had.
Load = Callable[[Picture], bytes]
Blocks = list[etree._Element]

#: Pixels up to which a picture amid a sentence is set like a letter; a higher one is a figure.
_SIGN_HEIGHT = 48
_UNTOUCHED = frozenset(("pre", "code", "math"))
_SIGN = re.compile(r"\\[A-Za-z]+|[{}^_\\\s]")


@dataclass(slots=True)
class Shown:
    """A question ready to be laid out. Blocks belong to this object: copy them into a page."""

    question: Question
    stem: Blocks
    options: list[Blocks]
    items: list[Blocks]
    answer: Blocks
    solution: Blocks
    figures: list[str]
    assets: dict[str, Asset] = field(default_factory=dict)
    solution_error: DocumentError | None = None
    language: str = ""

    @property
    def prose(self) -> str:
        """The question's words without its formulas, to tell its language by."""
        return " ".join(words(blocks) for blocks in (self.stem, *self.options, *self.items))


def show(question: Question, load: Load) -> Shown:
    """Turn a question's texts and pictures into clean HTML.

    Raises `DocumentError`: `BAD_FORMULA`, the reasons of a picture (`MISSING_IMAGE`,
    `UNSAFE_PATH`, `BAD_IMAGE`, `IMAGE_BOMB`, `TOO_LARGE`) and those of broken HTML.
    """
    writer = _Writer(question.pictures, load)
    stem = writer.blocks(question.stem)
    options = [writer.blocks(option) for option in question.options]
    items = [writer.blocks(item) for item in question.items]
    answer = writer.blocks(question.answer)
    error: DocumentError | None = None
    solution: Blocks = []
    try:
        solution = writer.blocks(question.solution)
    except DocumentError as failure:
        error = failure
    # Those that a format keeps with its HTML are shown only where the HTML says so.
    loose = [p for p in question.pictures if p.data is None or not p.name]
    named = set(writer.used)
    figures = [writer.asset(p) for p in loose if p.name not in named]
    if not any(words(b) or any(e.tag in ("img", "math") for x in b for e in x.iter())
               for b in (stem, *options)):  # fmt: skip
        raise DocumentError(Reason.BAD_QUESTION, "nothing of its stem can be shown")
    return Shown(question, stem, options, items, answer, solution, figures, writer.assets, error)


def words(blocks: Iterable[etree._Element]) -> str:
    """The text of blocks without their formulas."""
    found: list[str] = []

    def walk(element: etree._Element) -> None:
        if element.tag == "math":
            return
        found.append(element.text or "")
        for child in element:
            walk(child)
            found.append(child.tail or "")
        if element.tag in ("p", "div", "li", "td", "th"):
            found.append(" ")

    for block in blocks:
        walk(block)
    return " ".join("".join(found).split())


def width(blocks: Blocks) -> float:
    """About how wide blocks are on one line, in letters of half an em; figures are very wide."""
    if len(blocks) != 1 or blocks[0].tag != "p" or blocks[0].find(".//img") is not None:
        return 1000.0
    total = 0.0
    for character in words(blocks):
        total += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    for math in blocks[0].iter("math"):
        latex = math.get("data-latex") or ""
        total += len(_SIGN.sub(" ", latex).replace(" ", "")) + latex.count("\\") * 0.7
    return total


class _Writer:
    def __init__(self, pictures: Iterable[Picture], load: Load) -> None:
        self._pictures = {picture.name: picture for picture in pictures if picture.name}
        self._load = load
        self.assets: dict[str, Asset] = {}
        self.used: set[str] = set()
        names = sorted(map(re.escape, self._pictures), key=len, reverse=True)
        self._mark = re.compile("|".join(names)) if names else None

    def asset(self, picture: Picture) -> str:
        """Make a picture an asset and return its name."""
        if picture.name:
            self.used.add(picture.name)
        data = self._load(picture)
        found = Asset(data, "")
        sound = Asset(clean_svg(data), SVG_TYPE) if is_svg(found) else raster_asset(data)
        name = hashlib.blake2b(sound.data, digest_size=10).hexdigest()
        self.assets[name] = sound
        return name

    def blocks(self, passage: Passage) -> Blocks:
        """Write a passage; raises `DocumentError`."""
        if not passage:
            return []
        try:
            return (
                self._html(passage.text) if passage.markup == "html" else self._text(passage.text)
            )
        except BadText as error:
            raise DocumentError(error.reason, error.detail) from error
        except BadLatex as error:
            raise DocumentError(Reason.BAD_FORMULA, str(error)) from error

    def _html(self, text: str) -> Blocks:
        clean = clean_html(parse_markup(text), resolve=self._resolve)
        if clean.left_out:
            first = clean.left_out[0]
            raise DocumentError(first.reason, f"{first.name}: {first.detail}")
        self.assets.update(clean.assets)
        for element in list(clean.body.iter()):
            if not isinstance(element.tag, str) or _within(element, _UNTOUCHED):
                continue
            if element.text:
                _place(element, None, split_text(element.text, html=True))
            for child in list(element):
                if child.tail:
                    _place(element, child, split_text(child.tail, html=True))
        return list(clean.body)

    def _resolve(self, path: str) -> Asset | None:
        picture = self._pictures.get(path)
        if picture is None:
            if "/" not in path or "://" in path or path.startswith("/"):
                return None
            picture = Picture("", path)
        self.used.add(path)
        return Asset(self._load(picture), "")

    def _text(self, text: str) -> Blocks:
        blocks = _Paragraphs()
        text = text.replace("\r\n", "\n")
        for part in split_text(text):
            if isinstance(part, Formula):
                blocks.formula(_math(part), part.display)
            elif isinstance(part, Table):
                blocks.block(_table(part))
            elif isinstance(part, Heading):
                blocks.heading(part.text)
            else:
                self._prose(clean_text(part), blocks)
        return blocks.finish()

    def _prose(self, text: str, blocks: _Paragraphs) -> None:
        position = 0
        for match in self._mark.finditer(text) if self._mark else ():
            blocks.text(text[position : match.start()])
            position = match.end()
            name = self.asset(self._pictures[match.group()])
            after = text[position:].lstrip(" \t")
            inline = not blocks.at_line_start and bool(after) and not after.startswith("\n")
            if inline and self._is_sign(name):
                blocks.inline(etree.Element("img", {"src": name}))
            else:
                blocks.block(figure(name))
        blocks.text(text[position:])

    def _is_sign(self, name: str) -> bool:
        """Whether a picture is as low as a line: a symbol to be read with the words around it."""
        asset = self.assets[name]
        return asset.media_type != SVG_TYPE and inspect(asset.data).height <= _SIGN_HEIGHT


def figure(name: str) -> etree._Element:
    """A picture on lines of its own."""
    made = etree.Element("figure")
    etree.SubElement(made, "img", {"src": name})
    return made


class _Paragraphs:
    """Text, formulas and figures in order as paragraphs."""

    def __init__(self) -> None:
        self._blocks: Blocks = []
        self._open: etree._Element | None = None

    @property
    def at_line_start(self) -> bool:
        """Whether nothing stands on the current line yet."""
        return self._open is None or (
            len(self._open) > 0
            and self._open[-1].tag == "br"
            and not (self._open[-1].tail or "").strip()
        )

    def text(self, text: str) -> None:
        for number, paragraph in enumerate(re.split(r"\n[ \t]*\n\s*", text)):
            if number:
                self._end()
            for line_number, line in enumerate(paragraph.split("\n")):
                if line_number and self._open is not None and not self.at_line_start:
                    etree.SubElement(self._open, "br")
                line = re.sub(r"[ \t\f\v\r]+", " ", line)
                if self.at_line_start:
                    line = line.lstrip(" ")
                if line:
                    self._append(line)

    def formula(self, math: etree._Element, display: bool) -> None:
        if display:
            self.block(math)
        else:
            self.inline(math)

    def inline(self, element: etree._Element) -> None:
        if self._open is None:
            self._open = etree.Element("p")
        self._open.append(element)

    def heading(self, text: str) -> None:
        made = etree.Element("p")
        etree.SubElement(made, "strong").text = clean_text(text)
        self.block(made)

    def block(self, element: etree._Element) -> None:
        self._end()
        self._blocks.append(element)

    def finish(self) -> Blocks:
        self._end()
        return self._blocks

    def _append(self, text: str) -> None:
        if self._open is None:
            self._open = etree.Element("p")
        if len(self._open):
            self._open[-1].tail = (self._open[-1].tail or "") + text
        else:
            self._open.text = (self._open.text or "") + text

    def _end(self) -> None:
        paragraph, self._open = self._open, None
        if paragraph is None:
            return
        while (
            len(paragraph) and paragraph[-1].tag == "br" and not (paragraph[-1].tail or "").strip()
        ):
            paragraph.remove(paragraph[-1])
        if "".join(map(str, paragraph.itertext())).strip() or paragraph.find("img") is not None:
            self._blocks.append(paragraph)


def _math(formula: Formula) -> etree._Element:
    """A formula as MathML; its Markdown keeps the source, chemistry too."""
    expanded = expand_chemistry(formula.latex)
    made = latex_to_math(expanded, formula.display)
    if expanded != formula.latex:
        made.set("data-latex", " ".join(formula.latex.split()))
    return made


def _table(table: Table) -> etree._Element:
    made = etree.Element("table")
    body = etree.SubElement(made, "tbody")
    for cells in table.rows:
        row = etree.SubElement(body, "tr")
        for text in cells:
            cell = etree.SubElement(row, "td")
            for part in split_text(text):
                if isinstance(part, Formula):
                    cell.append(_math(part))
                elif isinstance(part, str):
                    _add(cell, clean_text(part))
                else:
                    raise BadText(Reason.BAD_FORMULA, "a table or heading within a table")
    return made


def _place(parent: etree._Element, after: etree._Element | None, parts: Sequence[Part]) -> None:
    """Put the parts of a text in its place: the text of `parent`, or the tail of `after`."""
    if not any(isinstance(part, Formula) for part in parts):
        return
    if after is None:
        parent.text = None
        index = 0
    else:
        after.tail = None
        index = parent.index(after) + 1
    previous = after
    for part in parts:
        if isinstance(part, Formula):
            previous = _math(part)
            parent.insert(index, previous)
            index += 1
        elif previous is None:
            parent.text = (parent.text or "") + str(part)
        else:
            previous.tail = (previous.tail or "") + str(part)


def _within(element: etree._Element, tags: frozenset[str]) -> bool:
    return element.tag in tags or any(parent.tag in tags for parent in element.iterancestors())


def _add(element: etree._Element, text: str) -> None:
    if len(element):
        element[-1].tail = (element[-1].tail or "") + text
    else:
        element.text = (element.text or "") + text
