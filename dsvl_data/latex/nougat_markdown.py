r"""LaTeXML's HTML in, an `Article` out: Nougat's parser and formatter, cut into our blocks.

The Markdown is Nougat's (`.mmd`): `# Title`, `## 1 Heading`, `###### Abstract`, formulas in
`\( \)` and `\[ \]` with their number after them (`\[x\] (3)`), tables as LaTeX tabulars within
`\begin{table}` and the caption below, `Footnote 1: ...`, `* [6] reference`, code and algorithms
fenced. Where we differ, Nougat's text would not be what the page shows:

- Formulas keep LaTeXML's TeX to the letter; Nougat replaces commands by synonyms (and
  `\lbrace` by the wrong brace).
- Subsections keep their numbers, appendices their case; Nougat drops the one and shouts the other.
- References and citations stand as LaTeXML prints them, "?" and "??" for missing ones; Nougat
  puts the place in the bibliography for what it can't read, or gives the article up.
- Run-in titles (theorems, proofs, paragraphs) start the text they run into, without Nougat's
  added ": "; a description's term likewise.
- Items carry their printed label (`2.`, `* (b)`), nested ones are lines of their own, and formulas
  displayed in them too; Nougat folds an item and all in it into one line.
- Code keeps indentation and blank lines. Figures keep tables and text set in them, and the
  captions of their parts; Nougat keeps a figure's caption alone.
- A forced line break is a line end, not an empty line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from dsvl_data.latex.article import Article, Block, Kind
from dsvl_data.latex.nougat_import import elements, format_elements, parse
from dsvl_data.latex.parser_tree import (
    CODE_SPACE,
    CODE_START,
    FORMULA_MARK,
    LABEL_CLOSE,
    LABEL_OPEN,
    NOTE_MARK,
    NUMBER_CLOSE,
    NUMBER_OPEN,
    PROGRAM_MARK,
    REFERENCE_MARK,
    UNDEFINED_MARK,
    names,
)
from dsvl_data.latex.prepass import prepare
from dsvl_data.outcome import DocumentError, Reason

Found = Any  # an element of Nougat's, which has no types

_BLOCKS = (
    elements.Section,
    elements.SectionHeader,
    elements.Paragraph,
    elements.EquationList,
    elements.ListContainer,
    elements.DefinitionList,
    elements.Tabular,
    elements.Table,
    elements.Figure,
    elements.Algorithm,
    elements.Footnote,
)

_FORMULA = re.compile(f"{FORMULA_MARK}(\\d+){FORMULA_MARK}")
_NOTE = re.compile(f"{NOTE_MARK}(\\d+){NOTE_MARK}")
_UNDEFINED = re.compile(f"{UNDEFINED_MARK}(\\d+){UNDEFINED_MARK}")
_LABEL = re.compile(f"{LABEL_OPEN}(.*?){LABEL_CLOSE}", re.DOTALL)
_NUMBERED = re.compile(f"{NUMBER_OPEN}(.*?){NUMBER_CLOSE}", re.DOTALL)
_OTHER_MARKS = re.compile(
    f"[{LABEL_OPEN}{LABEL_CLOSE}{NUMBER_OPEN}{NUMBER_CLOSE}"
    f"{REFERENCE_MARK}{PROGRAM_MARK}{CODE_START}]"
)
_LINE_ENDS = re.compile(r"\s*\n\s*")
_EMPTY_LINES = re.compile(r"(?m)^[*_]+$\n?")  # a font around a line break only
_RUNS_OF_SPACES = re.compile(r" {2,}")
_NUMBER = re.compile(r"(?<!\w)(?:[A-Z]?\d+|[A-Z]|[IVXLCDM]+)(?:[.\-–][A-Z\d]+)*[a-z]?(?!\w)")
_BULLETS = frozenset("•∙·◦○●∗*-–—−▪■□◆◇▶►▸‣⁃★✓→")


def read_article(html: bytes) -> Article:
    """Read LaTeXML's HTML5 of one article.

    `DocumentError` with `BAD_MARKUP` (no article, nested too deeply), `TOO_LARGE` (bytes, or a
    table beyond any real one) or `EMPTY_DOCUMENT` (nothing to read in it).
    """
    prepared = prepare(html)
    writer = _Writer(prepared.formulas, prepared.undefined)
    return writer.article(parse(prepared.article), [parse(note) for note in prepared.notes])


@dataclass(slots=True)
class _Item:
    """The list item that is being written: its bullet waits for the item's first text."""

    level: int
    bullet: str  # "" once it has been written
    number: str = ""
    kind: Kind = Kind.ITEM

    def take_label(self, label: str, *, reference: bool) -> None:
        bare = re.sub(r"(?<!\w)[*_]+|[*_]+(?!\w)", "", label).strip() or label.strip()
        bracketed = re.fullmatch(r"[\[(](.*)[\])][.:]?", bare)
        self.number = bracketed[1] if bracketed else bare.rstrip(".: ")
        if reference:
            self.kind = Kind.REFERENCE
            self.bullet = f"* {label.strip()}"
        elif bare in _BULLETS or bare in _BULLET_FORMULAS:
            self.number = ""
            self.bullet = "*"
        elif re.fullmatch(r"\d+\.", bare):
            self.bullet = bare
        else:
            self.bullet = f"* {label.strip()}"

    def start(self, text: str) -> str:
        line = f"{'  ' * max(self.level - 1, 0)}{self.bullet} {text}".rstrip()
        self.bullet = ""
        return line


_BULLET_FORMULAS = frozenset(
    rf"\({name}\)"
    for name in names(
        r"\bullet \circ \cdot \ast \star \diamond \triangleright \square \blacksquare \rightarrow "
        r"\checkmark \blacktriangleright \Diamond \Box \to \Rightarrow \rhd - * \dagger"
    )
)


@dataclass(slots=True)
class _Writer:
    """Walks Nougat's tree once and writes blocks."""

    formulas: tuple[str, ...]
    undefined: tuple[str, ...]
    flow: list[Block] = field(default_factory=list)
    floats: list[Block] = field(default_factory=list)
    _called: list[int] = field(default_factory=list)  # notes called by the text just made
    _anchors: dict[int, int] = field(default_factory=dict)  # note: block of the flow
    _waiting: str = ""  # names that stand alone, as that of an environment before its text
    _holding: dict[int, bool] = field(default_factory=dict)  # id of an element: blocks in it?

    def article(self, document: Found, notes: list[Found]) -> Article:
        if document.title is not None:
            raw = format_elements(document.title.children)
            self._emit(self.flow, Block(Kind.TITLE, f"# {self._line(raw)}".rstrip()))
        self._walk(document.children, self.flow)
        if self._waiting and self.flow:
            last = self.flow[-1]
            self.flow[-1] = replace(last, markdown=last.markdown + self._text(self._waiting))
            self._waiting = ""
        if not self.flow and not self.floats:
            raise DocumentError(Reason.EMPTY_DOCUMENT, "LaTeXML's article has no text")
        footnotes = [self._footnote(index, note) for index, note in enumerate(notes)]
        return Article(tuple(self.flow), tuple(self.floats), tuple(footnotes))

    # ------------------------------------------------------------ text

    def _text(self, raw: str) -> str:
        """Nougat's text with our marks made good; a line end in it is one of the page's."""
        self._called.extend(int(index) for index in _NOTE.findall(raw))
        text = _OTHER_MARKS.sub("", _NOTE.sub("", raw))
        text = _LINE_ENDS.sub("\n", _RUNS_OF_SPACES.sub(" ", text)).strip()
        text = _EMPTY_LINES.sub("", text)
        return self._with_tex(text.replace(CODE_SPACE, " "))

    def _line(self, raw: str) -> str:
        return self._text(raw.replace("\n", " "))

    def _with_tex(self, text: str) -> str:
        """Formulas and undefined names in the place of their marks."""
        text = _UNDEFINED.sub(self._undefined_name, text)
        return _FORMULA.sub(lambda match: self.formulas[int(match[1])], text)

    def _undefined_name(self, match: re.Match[str]) -> str:
        r"""A name as an author writes it: TeX ate the space between `\name` and a letter."""
        name = self.undefined[int(match[1])]
        after = match.string[match.end() : match.end() + 1]
        return f"{name} " if after.isalpha() and name[-1:].isalpha() else name

    def _emit(self, out: list[Block], block: Block) -> None:
        if out is self.flow:
            self._anchor_notes(len(out))
        out.append(block)

    def _anchor_notes(self, anchor: int) -> None:
        self._anchors.update(dict.fromkeys(self._called, anchor))
        self._called.clear()

    # ------------------------------------------------------------ the walk

    def _walk(
        self,
        found: list[Found],
        out: list[Block],
        item: _Item | None = None,
        fonts: tuple[type, ...] = (),
    ) -> None:
        """Write a run of elements: text between blocks becomes paragraphs."""
        run: list[Found] = []
        for element in found:
            if _is_block(element):
                self._flush(run, out, item, fonts)
                self._block(element, out, item, fonts)
            elif self._holds_block(element):
                self._flush(run, out, item, fonts)
                font = type(element) if isinstance(element, _FONTS) else None
                self._walk(element.children, out, item, (*fonts, font) if font else fonts)
            else:
                run.append(element)
        self._flush(run, out, item, fonts)

    def _holds_block(self, element: Found) -> bool:
        known = self._holding.get(id(element))
        if known is None:
            known = any(_is_block(each) or self._holds_block(each) for each in element.children)
            self._holding[id(element)] = known
        return known

    def _flush(
        self, run: list[Found], out: list[Block], item: _Item | None, fonts: tuple[type, ...]
    ) -> None:
        if not run:
            return
        wrapped: list[Found] = [*run]
        run.clear()
        for font in reversed(fonts):
            wrapped = [font(children=wrapped)]
        raw = self._waiting + format_elements(wrapped)
        self._waiting = ""
        if not _WORTH_WRITING.search(_UNDEFINED.sub("", raw)):  # names are part of what follows
            self._waiting = "".join(match[0] for match in _UNDEFINED.finditer(raw))
            return
        if item is not None and item.bullet:
            label = _LABEL.search(raw)
            if label is not None:
                item.take_label(self._line(label[1]), reference=REFERENCE_MARK in raw)
                raw = raw[: label.start()] + raw[label.end() :]
        text = self._text(raw)
        if not _WORTH_WRITING.search(text):
            return
        if item is None or not item.bullet:
            self._emit(out, Block(Kind.PARAGRAPH, text))
        else:
            kind, number = item.kind, item.number
            self._emit(out, Block(kind, item.start(text.replace("\n", " ")), number))

    def _block(
        self, element: Found, out: list[Block], item: _Item | None, fonts: tuple[type, ...]
    ) -> None:
        if isinstance(element, elements.Paragraph | elements.Footnote):
            self._walk(element.children, out, item, fonts)
            return
        if isinstance(element, elements.LatexMath | elements.EquationList):
            self._formulas(element, out, item)
            return
        if item is not None and item.bullet:
            if item.bullet != "*":
                self._emit(out, Block(item.kind, item.start(""), item.number))
            item.bullet = ""
        if isinstance(element, elements.Section | elements.SectionHeader):
            self._section(element, out)
        elif isinstance(element, elements.ListContainer):
            self._list(element, out)
        elif isinstance(element, elements.DefinitionList):
            self._definitions(element, out)
        elif isinstance(element, elements.Tabular):
            if _has_text(element):
                self._emit(out, Block(Kind.TABLE, self._text(format_elements([element]))))
        elif isinstance(element, elements.Algorithm):
            self._listing(element, out)
        else:
            self._float(element, out)

    def _section(self, element: Found, out: list[Block]) -> None:
        if element.header is not None:
            raw = format_elements([element.header])
            level = getattr(element, "hnum", 1)
            title = self._line(raw)
            if title:
                self._emit(out, Block(Kind.HEADING, f"{'#' * level} {title}", _number_in(raw)))
        self._walk(element.children, out)

    def _formulas(self, element: Found, out: list[Block], item: _Item | None) -> None:
        """Displayed formulas, one block a row; an item's bullet stands before its first."""
        rows = [element]
        if isinstance(element, elements.EquationList):
            self._walk(element.children, out, item)  # what stands in none of its rows
            rows = element.equations
        for row in rows:
            raw = format_elements([row])
            text = self._line(raw)
            if not text:
                continue
            kind, number = Kind.PARAGRAPH, ""
            if FORMULA_MARK in raw:
                kind = Kind.FORMULA
                found = _NUMBERED.search(raw)
                number = found[1].strip("() \n") if found else ""
            if item is not None and item.bullet:
                text = item.start(text)
            self._emit(out, Block(kind, text, number))

    def _list(self, element: Found, out: list[Block]) -> None:
        self._walk(element.children, out)
        for index, entry in enumerate(element.items, 1):
            item = _Item(element.level, f"{index}." if element.ordered else "*")
            self._walk(entry.children, out, item)
            if item.bullet not in ("", "*", f"{index}."):
                self._emit(out, Block(item.kind, item.start(""), item.number))

    def _definitions(self, element: Found, out: list[Block]) -> None:
        self._walk(element.children, out)
        for definition in element.items:
            term = "" if definition.term is None else self._line(format_elements([definition.term]))
            item = _Item(0, term)
            if definition.definition is not None:
                self._walk([definition.definition], out, item)
            if item.bullet:
                self._emit(out, Block(Kind.ITEM, item.start("")))

    def _listing(self, element: Found, out: list[Block]) -> None:
        self._walk(element.children, out)
        raws = [format_elements([line]) for line in element.lines]
        lines = [self._code_line(raw) for raw in raws]
        while lines and not lines[-1]:
            lines.pop()
        while lines and not lines[0]:
            del lines[0]
        if not lines:
            return
        kind = Kind.CODE if PROGRAM_MARK in raws[0] else Kind.ALGORITHM
        if kind is Kind.ALGORITHM:  # LaTeXML's empty lines close blocks, and do not show
            lines = [line for line in lines if line]
        longest = max(map(len, re.findall("`+", "\n".join(lines))), default=0)
        fence = "`" * max(3, longest + 1)
        self._emit(out, Block(kind, "\n".join([fence, *lines, fence])))

    def _code_line(self, raw: str) -> str:
        self._called.extend(int(index) for index in _NOTE.findall(raw))
        text = _OTHER_MARKS.sub("", _NOTE.sub("", raw.replace("\n", " ")))
        text = _RUNS_OF_SPACES.sub(" ", text).strip(" ")
        return self._with_tex(text.replace(CODE_SPACE, " ").rstrip())

    # ------------------------------------------------------------ outside the flow

    def _float(self, element: Found, out: list[Block]) -> None:
        """A float; one within a float or a footnote is part of what holds it."""
        inside: list[Block] = []
        self._walk(element.children, inside)
        captions = "" if element.caption is None else format_elements(element.caption.children)
        text = self._text(captions)
        kinds = {block.kind for block in inside}
        body = [block.markdown for block in inside]
        if kinds & {Kind.ALGORITHM, Kind.CODE}:
            kind, parts = Kind.ALGORITHM, [text, *body]
        elif Kind.TABLE in kinds:
            kind = Kind.TABLE
            lines = [each for each in "\n".join(body).split("\n") if each not in _TABLE_ENDS]
            parts = [_TABLE_ENDS[0], *lines, _TABLE_ENDS[1], text]
        else:
            kind = Kind.TABLE if isinstance(element, elements.Table) else Kind.FIGURE
            if not body and captions.count(NUMBER_OPEN) > 1:  # pictures side by side
                for caption in re.split(f"(?={NUMBER_OPEN})", captions):
                    self._put_float(kind, [self._text(caption)], caption, out)
                return
            parts = [*body, text]
        self._put_float(kind, parts, captions, out)

    def _put_float(self, kind: Kind, parts: list[str], captions: str, out: list[Block]) -> None:
        markdown = "\n".join(part for part in parts if part)
        if not markdown:
            return
        block = Block(kind, markdown, _number_in(captions), self._line(_NUMBERED.sub("", captions)))
        if out is self.flow:
            anchor = max(len(self.flow) - 1, 0)
            self._anchor_notes(anchor)
            self.floats.append(replace(block, anchor=anchor))
        else:
            out.append(block)

    def _footnote(self, index: int, document: Found) -> Block:
        note = document.children[0]
        number = self._line(note.id or "")
        inside: list[Block] = []
        self._walk(note.children, inside)
        text = "\n".join(block.markdown for block in inside)
        anchor = self._anchors.get(index, 0)
        self._anchor_notes(anchor)
        label = f"Footnote {number}:" if number else "Footnote:"
        return Block(Kind.FOOTNOTE, f"{label} {text}".rstrip(), number, anchor=anchor)


_FONTS = (elements.Italic, elements.Bold)
_TABLE_ENDS = (r"\begin{table}", r"\end{table}")
_WORTH_WRITING = re.compile(r"[^\s*_]")


def _is_block(element: Found) -> bool:
    return isinstance(element, _BLOCKS) or (
        isinstance(element, elements.LatexMath) and not element.inline
    )


def _has_text(tabular: Found) -> bool:
    """Whether a table says anything: many only put pictures side by side."""
    return any(
        _WORTH_WRITING.search(format_elements(cell.children))
        for row in tabular.rows
        for cell in row.cells
    )


def _number_in(raw: str) -> str:
    """What numbers a heading or caption, without the words about it."""
    marked = _NUMBERED.search(raw)
    found = _NUMBER.findall(marked[1].replace("*", " ").replace("_", " ")) if marked else []
    return found[-1] if found else ""
