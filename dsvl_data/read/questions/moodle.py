"""Moodle XML: a question bank's export in, questions out.

Pictures are base64 in `<file>` elements beside the text that names them by `@@PLUGINFILE@@`;
categories come as questions of their own; texts are HTML unless they say otherwise.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterator
from urllib.parse import unquote
from xml.parsers import expat

from lxml import etree

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.questions.gift import BLANK
from dsvl_data.read.questions.markdown import from_markdown
from dsvl_data.read.questions.record import (
    Passage,
    Picture,
    Question,
    Refused,
    check,
    shuffle_matches,
)

_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]{1,40})""")
_ENCODINGS = frozenset(
    (b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1", b"iso-8859-15", b"windows-1252")
)
_SHORTANSWERS = ("SHORTANSWER", "SA", "MW", "SHORTANSWER_C", "SAC", "MWC")
_CLOZE = re.compile(r"\{(\d{0,3}):([A-Z_]{2,20}):((?:\\.|[^{}\\])*)\}", re.DOTALL)
_WEIGHT = re.compile(r"%(-?\d{1,3}(?:\.\d+)?)%|=")


class _Wrong(ValueError):
    """A question that breaks the rules of the format."""


def read_moodle(data: bytes) -> Iterator[Question | Refused]:
    """Yield the questions of a Moodle XML file; items are their numbers from 0.

    Raises `DocumentError`: `XML_ENTITIES` when the file declares entities or uses one that is
    not XML's own, `BAD_MARKUP` when it is not well-formed or no quiz. A `<!DOCTYPE>` without
    entities is let pass; an external one is never fetched.
    """
    root = _parse(data)
    subject = ""
    number = 0
    for element in root.iterchildren("question"):
        kind = element.get("type", "")
        if kind == "category":
            path = element.findtext("category/text") or ""
            subject = path.strip().rpartition("/")[2]
            continue
        item = str(number)
        number += 1
        try:
            yield check(_Reader(element, item, subject).question(kind))
        except _Wrong as error:
            yield Refused(item, Reason.BAD_QUESTION, str(error))


def _parse(data: bytes) -> etree._Element:
    data = data.removeprefix(b"\xef\xbb\xbf")
    declared = _ENCODING.match(data[:400])
    if (declared and declared[1].lower() not in _ENCODINGS) or b"\0" in data[:100]:
        raise DocumentError(Reason.BAD_MARKUP, "Moodle writes UTF-8, this is another encoding")
    _read_prolog(data)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=True,  # pictures are megabytes of text
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise DocumentError(Reason.BAD_MARKUP, str(error)) from error
    # Where an external DTD could have declared it, no parser complains of an unknown one.
    for entity in root.iter(etree.Entity):
        raise DocumentError(
            Reason.XML_ENTITIES, f"the file uses the entity {str(entity.text)[:40]}"
        )
    return root


def _read_prolog(data: bytes) -> None:
    """Read what stands before the root element; raise `DocumentError` where it is not as it must.

    By a parser that calls back at each declaration: lxml would expand entities in attributes
    before anyone could look, and a search for `<!ENTITY` mistakes comments for declarations.
    """

    def entity(name: str, *_: object) -> None:
        raise DocumentError(Reason.XML_ENTITIES, f"the file declares the entity {name[:40]}")

    def element(name: str, _: object) -> None:
        if name != "quiz":
            raise DocumentError(Reason.BAD_MARKUP, f"the root is {name[:40]}, not quiz")
        raise _RootReached

    parser = expat.ParserCreate()
    parser.EntityDeclHandler = entity
    parser.StartElementHandler = element
    try:
        parser.Parse(data, True)
    except _RootReached:
        return
    except expat.ExpatError as error:
        raise DocumentError(Reason.BAD_MARKUP, str(error)) from error


class _RootReached(Exception):
    """The prolog is read."""


class _Reader:
    def __init__(self, element: etree._Element, item: str, subject: str) -> None:
        self._element = element
        self._item = item
        self._subject = subject
        self._pictures: list[Picture] = []
        self._texts = 0

    def question(self, kind: str) -> Question:
        stem = self._passage(self._element.find("questiontext"))
        solution = self._passage(self._element.find("generalfeedback"))
        answers = self._element.findall("answer")
        if kind == "multichoice":
            options = tuple(self._passage(answer) for answer in answers)
            shares = [_fraction(answer) for answer in answers]
            single = (self._element.findtext("single") or "true").strip() in ("true", "1")
            best = max(shares, default=0.0)
            correct = tuple(
                i for i, share in enumerate(shares) if share > 0 and (share == best or not single)
            )
            return self._made("choice", stem, solution, options=options, correct=correct)
        if kind == "truefalse":
            right = next((a for a in answers if _fraction(a) > 0), None)
            if right is None:
                raise _Wrong("true or false, and neither is right")
            false = (right.findtext("text") or "").strip().lower() == "false"
            return self._made("true_false", stem, solution, correct=(int(false),))
        if kind in ("shortanswer", "numerical"):
            return self._made("short", stem, solution, answer=self._best(answers, kind))
        if kind == "matching":
            return self._matching(stem, solution)
        if kind == "essay":
            return self._made("essay", stem, solution)
        if kind == "description":
            return self._made("description", stem, solution)
        if kind == "cloze":
            text, answer = _fill_cloze(stem.text)
            answered = Passage(answer)
            return self._made("short", Passage(text, stem.markup), solution, answer=answered)
        raise _Wrong(f"questions of the type {kind[:40]!r} are not read")

    def _made(
        self,
        kind: str,
        stem: Passage,
        solution: Passage,
        *,
        options: tuple[Passage, ...] = (),
        items: tuple[Passage, ...] = (),
        correct: tuple[int, ...] = (),
        answer: Passage = Passage(),  # noqa: B008 - frozen
    ) -> Question:
        if kind == "choice" and not all(options):
            raise _Wrong("an option without a text")
        points = (self._element.findtext("defaultgrade") or "").strip()
        number = _number(points)
        return Question(
            item=self._item,
            kind=kind,  # type: ignore[arg-type]
            stem=stem,
            options=options,
            items=items,
            correct=correct,
            answer=answer,
            solution=solution,
            pictures=tuple(self._pictures),
            subject=self._subject,
            points=f"{number:g}" if number and number != 1 else "",
        )

    def _best(self, answers: list[etree._Element], kind: str) -> Passage:
        right = max(answers, key=_fraction, default=None)
        if right is None or _fraction(right) <= 0:
            raise _Wrong("no answer is right")
        text = (right.findtext("text") or "").strip()
        tolerance = _number(right.findtext("tolerance") or "")
        if kind == "numerical" and tolerance:
            text += f" ± {tolerance:g}"
        return Passage(text)

    def _matching(self, stem: Passage, solution: Passage) -> Question:
        asked: list[Passage] = []
        matches: list[str] = []
        distractors: list[str] = []
        for pair in self._element.findall("subquestion"):
            left = self._passage(pair)
            right = (pair.findtext("answer/text") or "").strip()
            if not right:
                raise _Wrong("a match without its other half")
            if left:
                asked.append(left)
                matches.append(right)
            else:
                distractors.append(right)
        options = shuffle_matches(matches, distractors)
        return self._made(
            "matching",
            stem,
            solution,
            options=tuple(Passage(option) for option in options),
            items=tuple(asked),
            correct=tuple(options.index(right) for right in matches),
        )

    def _passage(self, element: etree._Element | None) -> Passage:
        if element is None:
            return Passage()
        text = element.findtext("text") or ""
        folder = f"file{self._texts}"
        self._texts += 1
        for file in element.findall("file"):
            name = f"{folder}/{unquote(file.get('name') or '')}"
            self._pictures.append(Picture(name, data=_decoded(file)))
        style = element.get("format", "html")
        if style == "plain_text":
            return Passage(text)
        if style == "markdown":
            text = from_markdown(text)
        text = re.sub(
            r"@@PLUGINFILE@@/([^\"'<>\s]*)",
            lambda match: html.escape(f"{folder}/{unquote(match[1]).partition('?')[0]}"),
            text,
        )
        shown = re.sub(r"<(?!img\b)[^>]*>|&nbsp;|\s", "", text)
        return Passage(text if shown else "", "html")


def _decoded(file: etree._Element) -> bytes:
    try:
        return base64.b64decode("".join((file.text or "").split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _Wrong(f"the file {file.get('name')!r} is no base64: {error}") from error


def _fill_cloze(text: str) -> tuple[str, str]:
    """Put blanks where a cloze asks; return the text and the answers, numbered if several."""
    answers: list[str] = []

    def blank(match: re.Match[str]) -> str:
        kind = match[2].upper()
        pieces = [piece for piece in re.split(r"(?<!\\)~", match[3]) if piece.strip()]
        options: list[str] = []
        best, best_share = "", 0.0
        for piece in pieces:
            weight = _WEIGHT.match(piece.strip())
            share = 0.0
            shown = piece.strip()
            if weight:
                share = float(weight[1]) if weight[1] else 100.0
                shown = shown[weight.end() :]
            shown = re.split(r"(?<!\\)#", shown)[0].strip()
            shown = re.sub(r"\\([~#}{\"\\])", r"\1", shown)
            if kind in ("NUMERICAL", "NM"):
                value, _, tolerance = shown.partition(":")
                shown = f"{value} ± {tolerance}" if (_number(tolerance) or 0) > 0 else value
            options.append(shown)
            if share > best_share:
                best, best_share = shown, share
        if not best:
            raise _Wrong(f"a blank without an answer: {match.group()[:40]!r}")
        answers.append(html.unescape(best))
        if kind in _SHORTANSWERS or kind in ("NUMERICAL", "NM"):
            return BLANK
        return f"{BLANK} ({' / '.join(options)})"

    filled = _CLOZE.sub(blank, text)
    if not answers:
        raise _Wrong("a cloze without a blank")
    if len(answers) == 1:
        return filled, answers[0]
    return filled, "; ".join(f"({i}) {answer}" for i, answer in enumerate(answers, 1))


def _fraction(answer: etree._Element) -> float:
    return _number(answer.get("fraction") or "") or 0.0


def _number(text: str) -> float | None:
    try:
        return float(text.strip())
    except ValueError:
        return None
