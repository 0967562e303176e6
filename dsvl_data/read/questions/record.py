"""What a question is, whatever format it came in.

The readers of this package give `Question`s and `Refused` ones; what their texts mean (LaTeX,
HTML, placeholders for pictures) is settled by whoever shows them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dsvl_data.outcome import Reason

#: `text`: plain text with LaTeX in `$..$`, `$$..$$`, `\(..\)` or `\[..\]` and placeholders for
#: pictures. `html`: HTML with LaTeX in all of these but single dollars.
Markup: TypeAlias = Literal["text", "html"]
#: `choice`: one or more of the options; `true_false`: `correct` is 0 for true and 1 for false;
#: `matching`: an option for each item; `short`: a word,
#: number or formula; `essay`: a longer text; `description`: nothing is asked.
Kind: TypeAlias = Literal["choice", "true_false", "matching", "short", "essay", "description"]

#: More characters than this in one question are not for a page.
MAX_CHARACTERS = 100_000
MAX_OPTIONS = 26
_LETTERS = re.compile(r"[(（\[]?([A-Z])[)）\].．、]?")


@dataclass(frozen=True, slots=True)
class Passage:
    """A text and how it is to be read."""

    text: str = ""
    markup: Markup = "text"

    def __bool__(self) -> bool:
        return bool(self.text.strip())


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a question: the name that its texts use, and its bytes or where they lie.

    `path` is relative to the question file, as the file gives it: nobody has checked it.
    """

    name: str
    path: str = ""
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question as its file gives it.

    `item` names it within its document. `correct` holds indices into `options`: the right
    ones, or for `matching` the one that belongs to each of `items`. `answer` is the answer in
    words where it is no option. Pictures that no text names follow the stem.
    """

    item: str
    kind: Kind
    stem: Passage
    options: tuple[Passage, ...] = ()
    items: tuple[Passage, ...] = ()
    correct: tuple[int, ...] = ()
    answer: Passage = Passage()
    solution: Passage = Passage()
    pictures: tuple[Picture, ...] = ()
    subject: str = ""
    grade: str = ""
    language: str = ""
    points: str = ""

    @property
    def passages(self) -> tuple[Passage, ...]:
        """All texts of the question."""
        return (self.stem, *self.options, *self.items, self.answer, self.solution)


@dataclass(frozen=True, slots=True)
class Refused:
    """A question that its file gives wrongly; its neighbours are unharmed."""

    item: str
    reason: Reason
    detail: str


def letters(answer: str, options: int) -> tuple[int, ...] | None:
    """The options that an answer such as `B`, `(C)`, `ABD` or `A, C` names; None if it is none."""
    compact = re.sub(r"[\s,，;；、/&]+", "", answer.replace("and", ","))
    if not compact or len(compact) > 4 * MAX_OPTIONS:
        return None
    found, end = [], 0
    for match in _LETTERS.finditer(compact):
        if match.start() != end:
            return None
        end = match.end()
        found.append(ord(match[1]) - ord("A"))
    if end != len(compact) or len(set(found)) != len(found) or max(found) >= options:
        return None
    return tuple(found)


def shuffle_matches(matches: Sequence[str], distractors: Sequence[str] = ()) -> list[str]:
    """Return the distinct options of a matching question, given the match of each item.

    Their order hangs on the question's texts alone, and the matches never stand as their items
    do: a file lists the pairs side by side, which would give the solution away.
    """
    seed = "\0".join(matches)

    def place(option: str) -> bytes:
        return hashlib.blake2b(f"{seed}\0\0{option}".encode(errors="surrogatepass")).digest()

    options = sorted({*matches, *distractors}, key=place)
    solution = list(dict.fromkeys(matches))
    if len(solution) > 1 and [option for option in options if option in solution] == solution:
        options.reverse()
    return options


def check(question: Question) -> Question | Refused:
    """Refuse what no page can show: no stem, too long, too many options."""
    if not question.stem and not question.pictures:
        return Refused(question.item, Reason.BAD_QUESTION, "it has no stem")
    length = sum(len(passage.text) for passage in question.passages)
    if length > MAX_CHARACTERS:
        detail = f"{length} characters, the limit is {MAX_CHARACTERS}"
        return Refused(question.item, Reason.TOO_LARGE, detail)
    if max(len(question.options), len(question.items)) > MAX_OPTIONS:
        return Refused(question.item, Reason.BAD_QUESTION, f"more than {MAX_OPTIONS} options")
    return question
