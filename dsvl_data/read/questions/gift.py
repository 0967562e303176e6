"""GIFT, Moodle's text format for questions: a file in, questions out.

Questions stand apart by blank lines: `::title:: stem {answers} rest of the stem`. `//` begins
a comment line, `$CATEGORY:` names the subject of what follows, a backslash takes the meaning
from `~ = # { } :`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dsvl_data.outcome import Reason
from dsvl_data.read.questions.markdown import from_markdown
from dsvl_data.read.questions.record import (
    Passage,
    Question,
    Refused,
    check,
    shuffle_matches,
)

BLANK = "________"
_TITLE = re.compile(r"::(.*?)::", re.DOTALL)
_FORMAT = re.compile(r"\[(html|moodle|plain|markdown)\]\s*")
_CATEGORY = re.compile(r"\$CATEGORY:(.*)")
_SIGN = re.compile(r"\s*([=~])")
_WEIGHT = re.compile(r"\s*%(-?\d{1,3}(?:\.\d+)?)%")
_TRUTH = re.compile(r"\s*(TRUE|T|FALSE|F)\s*(?=#|\Z)", re.IGNORECASE)
# Escaped signs leave the text for the private use area until the structure is known.
_ESCAPED = {sign: chr(0xE100 + i) for i, sign in enumerate("~=#{}:\\")}
_ESCAPE = re.compile(r"\\([~=#{}:\\])")
_NEWLINE = re.compile(r"\\n(?![A-Za-z])")
_HTML_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>")


class _Wrong(ValueError):
    """A question that breaks the rules of the format."""


def read_gift(text: str) -> Iterator[Question | Refused]:
    """Yield the questions of a GIFT file in order; items are their titles, or their numbers."""
    subject = ""
    number = 0
    lines = [
        "" if line.lstrip().startswith("//") else line
        for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    ]
    for block in re.split(r"\n\s*\n", "\n".join(lines)):
        category = _CATEGORY.match(block.strip())
        if category:
            subject = category[1].strip().rpartition("/")[2]
            block = block.strip()[category.end() :]
        if not block.strip():
            continue
        item = str(number)
        number += 1
        try:
            yield check(_question(block.strip(), item, subject))
        except _Wrong as error:
            yield Refused(item, Reason.BAD_QUESTION, str(error))


def _question(block: str, item: str, subject: str) -> Question:
    block = _ESCAPE.sub(lambda match: _ESCAPED[match[1]], block)
    title = _TITLE.match(block)
    if title:
        item = _plain(title[1]).strip()[:200] or item
        block = block[title.end() :].lstrip()
    style = "moodle"
    if found := _FORMAT.match(block):
        style = found[1]
        block = block[found.end() :]
    start, end = block.find("{"), block.rfind("}")
    if (start < 0) != (end < 0) or end < start:
        raise _Wrong("a brace without its partner")
    if start < 0:
        return Question(item, "description", _passage(block, style), subject=subject)
    answers, rest = block[start + 1 : end], block[end + 1 :]
    if "{" in answers or "}" in answers:
        raise _Wrong("several answers in one question")
    solution = ""
    if "####" in answers:
        answers, _, solution = answers.partition("####")
    before = block[:start]
    stem = f"{before.rstrip()} {BLANK} {rest.lstrip()}" if rest.strip() else before
    question = _answered(item, _passage(stem, style), answers.strip(), style)
    return _with(question, _passage(solution, style), subject)


def _with(question: Question, solution: Passage, subject: str) -> Question:
    return Question(
        item=question.item,
        kind=question.kind,
        stem=question.stem,
        options=question.options,
        items=question.items,
        correct=question.correct,
        answer=question.answer,
        solution=solution,
        subject=subject,
    )


def _answered(item: str, stem: Passage, answers: str, style: str) -> Question:
    if not answers:
        return Question(item, "essay", stem)
    if answers.startswith("#"):
        return Question(item, "short", stem, answer=Passage(_numbers(answers[1:])))
    truth = _TRUTH.match(answers)
    if truth:
        right = 0 if truth[1].upper().startswith("T") else 1
        return Question(item, "true_false", stem, correct=(right,))
    found = list(_alternatives(answers))
    if not found:
        raise _Wrong(f"no = or ~ in {_plain(answers)[:40]!r}")
    if all("->" in text for _, _, text in found):
        return _matching(item, stem, [text for _, _, text in found], style)
    if all(sign == "=" for sign, _, _ in found):
        full = [text for _, weight, text in found if weight in (None, 100.0)] or [found[0][2]]
        return Question(item, "short", stem, answer=_passage(full[0], style))
    correct = tuple(
        i
        for i, (sign, weight, _) in enumerate(found)
        if (weight is None and sign == "=") or (weight or 0) > 0
    )
    options = tuple(_passage(text, style) for _, _, text in found)
    return Question(item, "choice", stem, options=options, correct=correct)


def _alternatives(answers: str) -> Iterator[tuple[str, float | None, str]]:
    """Yield sign, weight in per cent (None if not given) and text, without the feedback."""
    pieces = re.split(r"([=~])", answers)
    if pieces[0].strip():
        raise _Wrong(f"an answer without = or ~: {_plain(pieces[0])[:40]!r}")
    for sign, text in zip(pieces[1::2], pieces[2::2], strict=True):
        weight = _WEIGHT.match(text)
        if weight:
            text = text[weight.end() :]
        text = text.partition("#")[0].strip()
        if text:
            yield sign, float(weight[1]) if weight else None, text


def _matching(item: str, stem: Passage, pairs: list[str], style: str) -> Question:
    sides = [tuple(part.strip() for part in pair.split("->", 1)) for pair in pairs]
    asked = [(left, right) for left, right in sides if left]
    rights = shuffle_matches(
        [right for _, right in asked], [right for left, right in sides if not left]
    )
    return Question(
        item,
        "matching",
        stem,
        options=tuple(_passage(right, style) for right in rights),
        items=tuple(_passage(left, style) for left, _ in asked),
        correct=tuple(rights.index(right) for _, right in asked),
    )


def _numbers(text: str) -> str:
    """`3:2` as `3 ± 2`, `1..5` as `1 – 5`; of several the one with the most points."""
    best, best_weight = "", -1.0
    for piece in re.split(r"=", text):
        weight = _WEIGHT.match(piece)
        share = float(weight[1]) if weight else 100.0
        value = (piece[weight.end() :] if weight else piece).partition("#")[0].strip(" ~\n\t")
        if value and share > best_weight:
            best, best_weight = value, share
    number = r"([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
    if found := re.fullmatch(rf"{number}\s*\.\.\s*{number}", best):
        return f"{found[1]} – {found[2]}"
    if found := re.fullmatch(rf"{number}\s*(?:[:{_ESCAPED[':']}]\s*{number})?", best):
        tolerance = found[2] if found[2] and float(found[2]) else ""
        return f"{found[1]} ± {tolerance}" if tolerance else found[1]
    raise _Wrong(f"no number: {_plain(text)[:40]!r}")


def _passage(text: str, style: str) -> Passage:
    plain = _plain(text).strip()
    if style == "markdown":
        return Passage(from_markdown(plain), "html")
    if style == "html" or (style == "moodle" and _HTML_TAG.search(plain)):
        return Passage(plain, "html")
    return Passage(plain)


def _plain(text: str) -> str:
    text = _NEWLINE.sub("\n", text)
    for sign, stand_in in _ESCAPED.items():
        text = text.replace(stand_in, sign)
    return text
